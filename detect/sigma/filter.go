package sigma

import (
	"fmt"

	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// Filter takes events away from rules: a match of the rule that the filter also
// matches is no match.
type Filter struct {
	Rules []string // ids or names; empty means every rule of the log source

	detection *yamldoc.Node
}

func parseFilter(file string, f *yamldoc.Node) (*Filter, error) {
	if f.Kind != yamldoc.Map {
		return nil, f.Errorf(file, "filter is %v, want a map", f.Kind)
	}
	out := &Filter{}
	d := &yamldoc.Node{Kind: yamldoc.Map, Line: f.Line, Col: f.Col}
	for i, k := range f.Keys {
		if k.Text != "rules" {
			d.Keys, d.Vals = append(d.Keys, k), append(d.Vals, f.Vals[i])
			continue
		}
		out.Rules = f.Strs("rules")
		if len(out.Rules) == 1 && out.Rules[0] == "any" {
			out.Rules = nil
		} else if len(out.Rules) == 0 {
			return nil, k.Errorf(file, "rules: want a list of rule ids or names, or any")
		}
	}
	if f.Get("rules") == nil {
		return nil, f.Errorf(file, "a filter names the rules it is for: rules")
	}
	out.detection = d
	return out, nil
}

// applies reports whether the filter is for the rule: it is named, and the log
// source, as far as the filter gives one, is the rule's.
func (r *Rule) applies(to *Rule) bool {
	a, b := r.LogSource, to.LogSource
	if a.Product != "" && a.Product != b.Product || a.Category != "" && a.Category != b.Category || a.Service != "" && a.Service != b.Service {
		return false
	}
	if len(r.Filter.Rules) == 0 {
		return true
	}
	for _, name := range r.Filter.Rules {
		if to.Is(name) {
			return true
		}
	}
	return false
}

// filtered lays a filter over conditions: none of the filter's may hold.
func filtered(conditions []*expr, filter *Rule, by []*expr) []*expr {
	out := make([]*expr, len(conditions))
	not := &expr{op: opNot, kids: []*expr{{op: opNamed, name: fmt.Sprintf("filter %q", filter.Title), kids: []*expr{all(opOr, by)}}}}
	for i, c := range conditions {
		out[i] = &expr{op: opAnd, kids: []*expr{c, not}}
	}
	return out
}
