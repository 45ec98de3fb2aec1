package collect

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
)

var update = flag.Bool("update", false, "write docs/resources.md anew")

// TestResourcesPage keeps docs/resources.md in step with the catalogue.
func TestResourcesPage(t *testing.T) {
	cat, err := ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	const file = "../docs/resources.md"
	want := resourcesPage(cat)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/resources.md is out of date: run go test ./collect -run ResourcesPage -update")
	}
}

func resourcesPage(cat *Catalogue) string {
	var b strings.Builder
	types, services := map[string]bool{}, map[string]bool{}
	for _, t := range cat.types {
		types[t.Name] = true
		services[t.List.Service] = true
		for _, m := range t.More {
			services[m.Service] = true
		}
	}
	delete(services, "")
	fmt.Fprintf(&b, `# What is collected

%d resource types of %d services, as the files in `+"`catalog/resources/`"+` say. This page is made from them.

A resource's document is the item that the operation under *read by* returns. Each operation under *further members* adds a member of its name with its whole answer, or `+"`null`"+` where AWS says that there is none. *Merged* operations add their members to the document itself; [] means once for each element of a list, into that element.

| type | read by | merged | further members |
|---|---|---|---|
`, len(types), len(services))
	sorted := cat.Types()
	slices.SortStableFunc(sorted, func(a, b *Type) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range sorted {
		name := t.Name
		if t.Doc != "" {
			name += "<br>" + t.Doc
		}
		if t.When != "" {
			name += "<br>in the organization's management account"
		}
		list := "once"
		if !t.Single {
			list = t.List.Service + ":" + t.List.Operation + "<br>`" + dotted(t.List.items) + "`"
		}
		if t.parent != nil {
			list += "<br>of each " + t.parent.Name
		}
		if t.Global {
			list += "<br>global"
		}
		var merged, members []string
		for _, m := range t.More {
			op := m.Service + ":" + m.Operation
			switch {
			case m.merged:
				merged = append(merged, op)
			case m.forAll != nil:
				members = append(members, "`"+dotted(m.forAll)+"."+m.Part+"`")
			case m.Part != m.Operation:
				members = append(members, m.Part+" ("+op+")")
			case m.Option != "":
				members = append(members, m.Part+" (--include "+m.Option+")")
			default:
				members = append(members, m.Part)
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, list, strings.Join(merged, "<br>"), strings.Join(members, "<br>"))
	}
	return b.String()
}
