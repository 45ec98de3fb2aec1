package sigma

import "fmt"

// Filter takes events away from rules: a match of the rule that the filter also
// matches is no match.
type Filter struct {
	Rules []string // ids or names; empty means every rule of the log source

	detection *node
}

func parseFilter(file string, f *node) (*Filter, error) {
	if f.kind != isMap {
		return nil, &Error{file, f.line, f.col, "filter is " + f.kind.String() + ", want a map"}
	}
	out := &Filter{}
	d := &node{kind: isMap, line: f.line, col: f.col}
	for i, k := range f.keys {
		if k.text != "rules" {
			d.keys, d.vals = append(d.keys, k), append(d.vals, f.vals[i])
			continue
		}
		out.Rules = f.strs("rules")
		if len(out.Rules) == 1 && out.Rules[0] == "any" {
			out.Rules = nil
		} else if len(out.Rules) == 0 {
			return nil, &Error{file, k.line, k.col, "rules: want a list of rule ids or names, or any"}
		}
	}
	if f.get("rules") == nil {
		return nil, &Error{file, f.line, f.col, "a filter names the rules it is for: rules"}
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
