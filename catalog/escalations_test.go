package catalog_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/identity/paths"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// Every entry is well formed (paths.Load checks actions, resources and keys
// against the service authorization reference), and the catalogue has each path
// of the published list, with exactly the permissions stated there.
func TestEscalations(t *testing.T) {
	dir, err := fs.Sub(catalog.Escalations, "escalations")
	if err != nil {
		t.Fatal(err)
	}
	list, err := paths.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, p := range list {
		var actions []string
		for _, s := range p.Steps {
			if !s.Trusted { // the caller needs no permission to assume a role that names it
				actions = append(actions, s.Action)
			}
		}
		slices.Sort(actions)
		got[p.ID] = actions
	}
	if len(got) < 65 {
		t.Fatalf("%d escalation primitives, want 65", len(got))
	}
	page, err := os.ReadFile("../docs/iam-paths.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if !strings.Contains(string(page), "| "+p.ID+" | "+p.Title+" |") {
			t.Errorf("docs/iam-paths.md has no row of %s, %s", p.ID, p.Title)
		}
	}
	data, err := os.ReadFile(thirdparty.Path(t, "iam/escalation-paths.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want []struct {
		ID       string
		Required []struct{ Permission string }
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		var actions []string
		for _, r := range w.Required {
			actions = append(actions, r.Permission)
		}
		slices.Sort(actions)
		if !slices.Equal(actions, got[w.ID]) {
			t.Errorf("%s: steps %v, published %v", w.ID, got[w.ID], actions)
		}
	}
}
