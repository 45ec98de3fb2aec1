package identity

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// maxCases bounds how many requests are decided in place of one.
const maxCases = 128

// byCases tries to settle a decision that is unknown although every value of the
// missing keys leads to the same end: one statement allows with a value, another
// without it. Where keys are only compared with fixed strings, the values fall
// into few classes: each string, any other string, and absence.
func (e *evaluation) byCases(d Decision) Decision {
	choices := make([][]string, len(d.MissingContext))
	total := 1
	for i, key := range d.MissingContext {
		if choices[i] = e.classes(key); choices[i] == nil {
			return d
		}
		if total *= len(choices[i]) + 1; total > maxCases {
			return d
		}
	}
	var all []Decision
	for n := range total {
		req := *e.req
		req.Context = maps.Clone(e.req.Context)
		if req.Context == nil {
			req.Context = map[string][]string{}
		}
		req.UnknownContext = slices.DeleteFunc(slices.Clone(e.req.UnknownContext), func(u string) bool {
			return slices.ContainsFunc(d.MissingContext, func(k string) bool { return strings.EqualFold(u, k) })
		})
		for i, key := range d.MissingContext {
			maps.DeleteFunc(req.Context, func(k string, _ []string) bool { return strings.EqualFold(k, key) })
			c := n % (len(choices[i]) + 1)
			n /= len(choices[i]) + 1
			if c < len(choices[i]) {
				req.Context[key] = []string{choices[i][c]}
			} else if derivedFrom(strings.ToLower(key)) != notDerived {
				return d // absence cannot be shown for a key that the request implies
			}
		}
		one := evaluation{req: &req, stack: e.stack}
		if err := one.start(); err != nil {
			return d
		}
		next := one.decide()
		if next.Outcome == Unknown || len(all) > 0 && (next.Outcome == Allowed) != (all[0].Outcome == Allowed) {
			return d
		}
		all = append(all, next)
	}
	return merge(all, d.layers)
}

// classes returns the strings that the undecided statements compare a key with,
// and one more; nil if they look at it in another way.
func (e *evaluation) classes(key string) []string {
	if !slices.ContainsFunc(e.req.UnknownContext, func(u string) bool { return strings.EqualFold(u, key) }) {
		return nil // a principal, or one key of a prefix
	}
	k, known := catalog.Default().ConditionKey(key)
	if known && k.MultiValued {
		return nil
	}
	seen := map[string]bool{}
	usable, asBool, asString, fold, empty := true, false, false, false, false
	e.each(func(h *hit) {
		if h.sure != maybe {
			return
		}
		for i := range h.stmt.resources {
			usable = usable && !h.stmt.resources[i].uses(key)
		}
		for i := range h.stmt.conditions {
			c := &h.stmt.conditions[i]
			for j := range c.values {
				usable = usable && !c.values[j].template().uses(key)
			}
			if !strings.EqualFold(c.key.name, key) {
				continue
			}
			// With one value a set operator differs from a plain one only in that the
			// empty string is no value.
			empty, usable = empty || c.op.Set != NoSet, usable && (known || c.op.Set == NoSet)
			switch {
			case c.op.kind == opNull:
			case c.op.kind != opStringEquals && c.op.kind != opStringIgnoreCase && c.op.kind != opBool && c.op.kind != opStringLike:
				usable = false
			default:
				for j := range c.values {
					v := &c.values[j]
					asBool, asString = asBool || c.op.kind == opBool, asString || c.op.kind != opBool
					fold = fold || c.op.kind == opStringIgnoreCase
					switch {
					case v.template().vars:
						usable = false
					case c.op.kind == opBool:
						seen["true"], seen["false"] = true, true
					case c.op.kind == opStringLike && !v.like.fixed.exact:
						usable = false
					case c.op.kind == opStringLike:
						seen[v.like.fixed.chunks[0]] = true
					default:
						seen[v.text.source] = true
					}
				}
			}
		}
	})
	if !usable || asBool && asString || len(seen) >= maxCases {
		return nil
	}
	if fold {
		// Of each string also a spelling that no other operator names.
		for _, v := range slices.Sorted(maps.Keys(seen)) {
			if other, ok := respelled(v, seen); ok {
				seen[other] = true
			}
		}
	}
	if empty {
		seen[""] = true
	}
	fresh := "another value"
	for slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(v string) bool { return strings.EqualFold(v, fresh) }) {
		fresh += "'"
	}
	return append(slices.Sorted(maps.Keys(seen)), fresh)
}

// respelled returns the string in another case that is not among those given.
func respelled(s string, but map[string]bool) (string, bool) {
	letters := []rune(s)
	for i, r := range letters {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			letters[i] = other
			if v := string(letters); !but[v] {
				return v, true
			}
		}
		letters[i] = r
	}
	return "", false
}

// uses reports whether a variable of the template is the key.
func (t *template) uses(key string) bool {
	return slices.ContainsFunc(t.parts, func(p templatePart) bool { return p.key != nil && strings.EqualFold(p.key.name, key) })
}

// merge makes one decision of those that agree.
func merge(all []Decision, layers [len(layerOrder)]Verdict) Decision {
	d := all[0]
	d.layers = layers
	seen := map[StatementRef]bool{}
	for _, r := range d.Statements {
		seen[r] = true
	}
	for _, next := range all[1:] {
		if next.Outcome != d.Outcome { // never allowed, but not always for the same reason
			d.Outcome = ImplicitDeny
			if next.Outcome == ImplicitDeny {
				d.DecidedBy = next.DecidedBy
			}
		}
		for _, r := range next.Statements {
			if !seen[r] {
				seen[r] = true
				d.Statements = append(d.Statements, r)
			}
		}
	}
	if d.Outcome == ImplicitDeny {
		d.Statements = nil
	}
	return d
}
