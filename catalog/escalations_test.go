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
)

// published is the public list of escalation paths that the catalogue covers.
const published = "../../shared/data/iam/escalation-paths.json"

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
	if os.Getenv("BARTIZAN_NO_SHARED") != "" {
		t.Log("NOT COMPARED with the published list of paths: BARTIZAN_NO_SHARED is set")
		return
	}
	data, err := os.ReadFile(published)
	if err != nil {
		t.Fatalf("the published list of paths is needed beside the repository (or set BARTIZAN_NO_SHARED): %v", err)
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
