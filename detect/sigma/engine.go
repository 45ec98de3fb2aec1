package sigma

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// Options says how rules are compiled.
type Options struct {
	// Placeholders are the values of %name% under the modifier expand.
	Placeholders map[string][]string
	// Fields are paths that the caller will read from events, beside the rules'.
	Fields []string
}

// placeholder returns the values of a placeholder in a rule: those that come with
// the rule and the caller's.
func (o Options) placeholder(r *Rule, name string) (values []string, ok bool) {
	own, ok := r.Placeholders[name]
	more, given := o.Placeholders[name]
	values = slices.Clone(own)
	for _, v := range more {
		if !slices.Contains(own, v) {
			values = append(values, v)
		}
	}
	return values, ok || given
}

// Engine is a set of compiled rules, safe for concurrent use. It does not change
// but for what its matchers have found out of it, which changes no outcome.
type Engine struct {
	rules        []*Rule
	schema       *event.Schema
	byKind       map[event.Kind][]*Rule
	correlations []*Rule
	warnings     []string
	byName       *byName
	grown        grown
	memos        int // how many tests are remembered while an event is matched
}

// Compile links rules, filters and correlations and compiles them. Rules with
// faults are left out; the error lists every fault.
func Compile(rules []*Rule, opt Options) (*Engine, error) {
	g := &Engine{byKind: map[event.Kind][]*Rule{}}
	var faults errorList
	var paths []string
	var compilers []*compiler
	seen := map[string]*Rule{}
	for _, r := range rules {
		for _, id := range []string{r.ID, r.Name} {
			if id == "" {
				continue
			}
			if other := seen[id]; other != nil && other != r {
				faults = append(faults, yamldoc.Errorf(r.File, r.Line, 1, "rule %q is also in %s:%d; ids and names are unique", id, other.File, other.Line))
			}
			seen[id] = r
		}
	}
	filters := map[*Rule][]*expr{}
	var filterOrder []*Rule
	for _, r := range rules {
		if r.Filter == nil {
			continue
		}
		c := &compiler{file: r.File, placeholder: func(name string) ([]string, bool) { return opt.placeholder(r, name) }}
		conditions, _, err := c.detection(r.Filter.detection)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		filters[r], filterOrder = conditions, append(filterOrder, r)
		compilers, paths = append(compilers, c), append(paths, c.paths...)
	}
	good := map[*Rule]bool{}
	for _, r := range rules {
		if r.detection == nil {
			continue
		}
		c := &compiler{file: r.File, placeholder: func(name string) ([]string, bool) { return opt.placeholder(r, name) }}
		conditions, unused, err := c.detection(r.detection)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, u := range unused {
			g.warnings = append(g.warnings, fmt.Sprintf("%s:%d: no condition names the search identifier %q", r.File, r.Line, u))
		}
		for _, f := range shownFields(r) {
			if why := unknownField(f); why != "" {
				faults = append(faults, yamldoc.Errorf(r.File, r.Line, 1, "fields: %s", why))
			}
		}
		if len(r.Kinds()) == 0 {
			g.warnings = append(g.warnings, fmt.Sprintf("%s:%d: log source %s is no log of AWS that bartizan reads; the rule never matches", r.File, r.Line, r.LogSource))
		}
		for _, f := range filterOrder {
			if f.applies(r) {
				conditions = filtered(conditions, f, filters[f])
			}
		}
		for _, e := range conditions {
			e.finish()
		}
		copied := *r
		copied.conditions, copied.silent, copied.counted = conditions, false, nil
		g.add(&copied)
		good[r] = true
		// Findings show the fields that the rule names.
		compilers, paths = append(compilers, c), append(append(paths, c.paths...), shownFields(r)...)
	}
	for _, r := range rules {
		if r.Correlation != nil {
			copied := *r
			correlation := *r.Correlation
			copied.Correlation, copied.silent, copied.counted = &correlation, false, nil
			g.correlations = append(g.correlations, &copied)
			g.add(&copied)
		}
	}
	fields, err := g.link()
	faults = append(faults, err...)
	g.schema = newSchema(append(append(paths, fields...), opt.Fields...))
	memos := map[string]int{}
	for _, c := range compilers {
		c.bind(g.schema)
		for _, it := range c.items {
			if it.dear() {
				key := it.sameTest()
				if memos[key] == 0 {
					memos[key] = len(memos) + 1
				}
				it.memo = memos[key]
			}
		}
	}
	g.memos = len(memos)
	name, _ := g.schema.Slot("eventName")
	g.byName = newByName(g.byKind[event.CloudTrail], name)
	for _, r := range g.correlations {
		r.Correlation.bind(g.schema)
		for i, used := range r.Correlation.rules {
			used.counted = append(used.counted, counted{r, i})
		}
	}
	if len(faults) > 0 {
		return g, faults
	}
	return g, nil
}

// shownFields are the fields that a rule wants to be shown, within bounds.
func shownFields(r *Rule) []string {
	var out []string
	for _, f := range r.Fields {
		if f != "" && len(f) <= 512 && strings.Count(f, ".") <= 32 && len(out) < 50 {
			out = append(out, f)
		}
	}
	return out
}

func (g *Engine) add(r *Rule) {
	r.number = len(g.rules)
	g.rules = append(g.rules, r)
	for _, k := range r.Kinds() {
		if r.detection != nil && len(r.conditions) > 0 {
			g.byKind[k] = append(g.byKind[k], r)
		}
	}
}

// Rules returns the rules that compiled, in the order in which they were given.
func (g *Engine) Rules() []*Rule { return slices.Clone(g.rules) }

// Schema returns the fields that the rules need; readers fill events by it.
func (g *Engine) Schema() *event.Schema { return g.schema }

// Warnings returns what is suspicious about the rules but no fault.
func (g *Engine) Warnings() []string { return slices.Clone(g.warnings) }

// Find returns the rule of a name, id or key, or nil.
func (g *Engine) Find(name string) *Rule {
	for _, r := range g.rules {
		if r.Is(name) {
			return r
		}
	}
	return nil
}

// Error is a fault in a rule file.
type Error = yamldoc.Error

// Faults returns the single faults of an error that Parse or Compile returned.
func Faults(err error) []*Error {
	var out []*Error
	var list errorList
	if errors.As(err, &list) {
		for _, e := range list {
			out = append(out, Faults(e)...)
		}
		return out
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}
