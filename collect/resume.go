package collect

import (
	"slices"

	"github.com/bartizan-security/bartizan/estate"
)

// kept is what a former snapshot spares reading again.
type kept struct {
	resources []*estate.Resource
	gaps      []estate.Gap
	todo      []*unit
}

// keep divides the units into those that the former snapshot holds without any
// gap, whose resources are kept, and those to read.
func (r *run) keep(former *estate.Account, source estate.Source, units []*unit) kept {
	if former == nil || source == nil {
		return kept{todo: units}
	}
	head := source.Header().Scope
	type part struct{ typ, region string }
	holes := map[part]bool{}
	moved := map[string]bool{} // types whose resources with holes may have been read in another region
	for _, g := range former.Gaps {
		switch {
		case g.Code == CodeManagementOnly:
		case g.Type == "":
			return kept{todo: units} // the whole account is in doubt
		default:
			holes[part{g.Type, g.Region}] = true
		}
	}
	byType := map[string][]*estate.Resource{}
	for _, r := range former.Resources {
		byType[r.Type] = append(byType[r.Type], r)
		if len(r.Unknown) > 0 {
			holes[part{r.Type, r.Region}] = true
			holes[part{r.Type, ""}] = true // a global type's resource may have a region of its own
			if r.Region != "" {
				moved[r.Type] = true
			}
		}
	}
	var k kept
	for _, u := range units {
		names := r.familyOf(u.typ)
		if u.typ.region != nil && moved[u.typ.Name] {
			k.todo = append(k.todo, u)
			continue
		}
		good := u.region == "" || slices.Contains(head.Regions, u.region)
		for _, name := range names {
			good = good && slices.Contains(head.Types, name) && !holes[part{name, u.region}]
		}
		if !good {
			k.todo = append(k.todo, u)
			continue
		}
		for _, name := range names {
			for _, res := range byType[name] {
				if res.Region == u.region || u.typ.region != nil {
					k.resources = append(k.resources, res)
				}
			}
		}
	}
	k.resources = unique(k.resources)
	return k
}

// familyOf is a type with those asked for that hang below it.
func (r *run) familyOf(t *Type) []string {
	names := []string{t.Name}
	for _, c := range t.children {
		if slices.Contains(r.types, c) {
			names = append(names, r.familyOf(c)...)
		}
	}
	return names
}
