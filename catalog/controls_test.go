package catalog

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/posture"
)

func loadControls(t testing.TB) []*posture.Control {
	t.Helper()
	sub, err := fs.Sub(Controls, "controls")
	if err != nil {
		t.Fatal(err)
	}
	list, err := posture.Load(sub)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Every control loads, compiles and gives what its examples say. One without a
// passing and a failing example does not load (see posture.ParseControl).
func TestControls(t *testing.T) {
	list := loadControls(t)
	set, err := posture.Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		t.Run(c.ID, func(t *testing.T) {
			for _, err := range set.Test(t.Context(), c.ID) {
				t.Error(err)
			}
			if want := path.Join(string(c.Pillar), c.ID+".yaml"); c.File != want {
				t.Errorf("stands in %s, want %s", c.File, want)
			}
			if len(c.Frameworks["waf"]) == 0 {
				t.Error("names no Well-Architected best practice")
			}
			if strings.HasSuffix(c.Title, ".") || !strings.HasSuffix(strings.TrimSpace(c.Message), ".") {
				t.Error("a title ends without a full stop, a message with one")
			}
			if !strings.Contains(c.Fix.CLI, "aws ") && !strings.HasPrefix(strings.TrimSpace(c.Fix.CLI), "#") {
				t.Error("fix.cli holds no AWS CLI command and no comment that says why not")
			}
			if !strings.ContainsAny(c.Fix.Terraform, "{#") {
				t.Error("fix.terraform holds no block and no comment that says why not")
			}
		})
	}
	t.Logf("%d controls", len(list))
}

// A control may only look at types that are collected, or it would never give a
// result.
func TestControlsUseCollectedTypes(t *testing.T) {
	declared := regexp.MustCompile(`(?m)^\s*- type: (AWS::\S+)`)
	known := map[string]bool{}
	err := fs.WalkDir(os.DirFS("resources"), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ".yaml" {
			return err
		}
		data, err := fs.ReadFile(os.DirFS("resources"), name)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(known) < 70 {
		t.Fatalf("only %d resource types are declared", len(known))
	}
	list := loadControls(t)
	for _, c := range list {
		set, err := posture.Compile([]*posture.Control{c})
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range set.Types() {
			if !known[typ] {
				t.Errorf("%s: nothing collects %s", c.ID, typ)
			}
		}
		for _, e := range c.Examples {
			for _, w := range e.With {
				if !known[w.Type] {
					t.Errorf("%s, example %q: nothing collects %s", c.ID, e.Name, w.Type)
				}
			}
		}
	}
}
