package catalog_test

import (
	"context"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/ruletest"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// TestDetections holds every rule of the pack against its examples and against
// what a rule of the pack must say.
func TestDetections(t *testing.T) {
	var all []*sigma.Rule
	files := map[string]bool{}
	err := fs.WalkDir(catalog.Detections, "detections", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lists, err := detect.LoadPlaceholders(catalog.Detections, "detections")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name := range files {
		if path.Base(name) == detect.PlaceholdersFile {
			continue
		}
		if base, ok := strings.CutSuffix(name, detect.ExamplesSuffix); ok {
			if !files[base+".yml"] {
				t.Errorf("%s: there is no rule file %s.yml beside it", name, base)
			}
			continue
		}
		if path.Ext(name) != ".yml" {
			t.Errorf("%s: rule files end in .yml", name)
			continue
		}
		src, err := fs.ReadFile(catalog.Detections, name)
		if err != nil {
			t.Fatal(err)
		}
		rules, err := sigma.Parse(name, src)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, r := range rules {
			r.Placeholders = lists
		}
		for _, m := range placeholder.FindAllStringSubmatch(string(src), -1) {
			used[m[1]] = true
		}
		all = append(all, rules...)
		t.Run(strings.TrimPrefix(name, "detections/"), func(t *testing.T) { checkDetections(t, name, rules) })
	}
	if _, err := sigma.Compile(all, sigma.Options{}); err != nil {
		t.Error(err)
	}
	doc, err := os.ReadFile(detectionsDoc)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range lists {
		if !used[name] {
			t.Errorf("no rule expands the list %s", name)
		}
		if !strings.Contains(string(doc), "| `"+name+"` |") {
			t.Errorf("%s does not tell of the list %s", detectionsDoc, name)
		}
		if seen := map[string]bool{}; slices.ContainsFunc(values, func(v string) bool { twice := seen[strings.ToLower(v)]; seen[strings.ToLower(v)] = true; return twice }) {
			t.Errorf("a value stands in the list %s twice", name)
		}
	}
}

var placeholder = regexp.MustCompile(`%([a-z_]+)%`)

func checkDetections(t *testing.T, name string, rules []*sigma.Rule) {
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range engine.Warnings() {
		t.Error(w)
	}
	for _, r := range engine.Rules() {
		if r.Filter != nil || r.Silent() {
			continue
		}
		switch {
		case r.ID == "" || r.Name == "":
			t.Errorf("%q needs an id and a name", r.Title)
		case r.Correlation == nil && len(rules) == 1 && r.Name != strings.TrimSuffix(path.Base(name), ".yml"):
			t.Errorf("the rule's name %q is not that of its file", r.Name)
		case len(r.Techniques()) == 0 || len(r.Tactics()) == 0:
			t.Errorf("%s needs a tag of a technique and one of a tactic", r.Name)
		case len(r.FalsePositives) == 0:
			t.Errorf("%s needs falsepositives", r.Name)
		case r.Response == "":
			t.Errorf("%s needs a response", r.Name)
		case r.Description == "":
			t.Errorf("%s needs a description", r.Name)
		}
	}
	beside := strings.TrimSuffix(name, ".yml") + detect.ExamplesSuffix
	src, err := fs.ReadFile(catalog.Detections, beside)
	if err != nil {
		t.Fatalf("a rule needs examples: %v", err)
	}
	examples, err := ruletest.Parse(beside, src)
	if err != nil {
		t.Fatal(err)
	}
	if err := examples.Complete(engine.Rules()); err != nil {
		t.Error(err)
	}
	for _, r := range examples.Run(context.Background(), engine) {
		if r.Err != nil {
			kind := "negative"
			if r.Positive {
				kind = "positive"
			}
			t.Errorf("%s example %d of %s: %v", kind, r.Number, r.Rule, r.Err)
		}
	}
}
