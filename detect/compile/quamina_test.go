package compile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/timbray/quamina"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// TestQuaminaAgrees runs the patterns in quamina 0.2.0. It has exists,
// anything-but and shellstyle with one *, no $or, and nothing that ignores case:
// alternatives become patterns of their own, and events and patterns are put into
// lower case, but for rules with regard to it. The conditions on single fields that it cannot express are left to
// the evaluator of TestEventBridgeAgrees.
func TestQuaminaAgrees(t *testing.T) {
	c := samples(t)
	q, err := quamina.New()
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]compile.Fidelity{}
	kinds := map[event.Kind]int{}
	rest := map[string][]map[string]any{} // by rule and number: what quamina cannot express
	for _, r := range compile.Rules(c.rules, compile.EventBridge) {
		type plainPattern struct{ pattern, rest map[string]any }
		var plain []plainPattern
		ok := len(r.Patterns) > 0 && !slices.ContainsFunc(allTests(r.Rule.Condition()), func(x *sigma.Test) bool { return x.Cased })
		for _, p := range r.Patterns {
			var doc map[string]any
			if err := json.Unmarshal(bytes.ToLower(p.JSON), &doc); err != nil {
				t.Fatal(err)
			}
			left := inexpressible(doc)
			all, can := expand(doc)
			ok = ok && can
			for _, one := range all {
				plain = append(plain, plainPattern{clone(one).(map[string]any), left})
			}
		}
		if !ok || len(plain) > 64 {
			continue
		}
		for i, p := range plain {
			absent := fmt.Sprint(r.RuleID, " ", i) // an X of its own, and what must be missing
			rest[absent] = []map[string]any{p.rest}
			for _, path := range takeAbsent(p.pattern, nil) {
				absent += " " + path
			}
			text, _ := json.Marshal(p.pattern)
			if err := q.AddPattern(absent, string(text)); err != nil {
				t.Fatalf("%s: %v\n%s", r.RuleID, err, text)
			}
		}
		run[r.RuleID] = r.Fidelity
		kinds[kindOf(r.Rule)]++
	}
	matches := 0
	for _, s := range c.samples {
		if s.kind != event.CloudTrail && s.kind != event.GuardDuty && s.kind != event.SecurityHub {
			continue
		}
		text, _ := json.Marshal(withoutEmpty(envelope(s)))
		text = bytes.ToLower(text)
		var doc any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		found, err := q.MatchesForEvent(text)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, x := range found {
			words := strings.Fields(x.(string))
			if !slices.ContainsFunc(words[2:], func(path string) bool { return present(doc, strings.Split(path, ".")) }) &&
				!slices.ContainsFunc(rest[words[0]+" "+words[1]], func(p map[string]any) bool { return !(ruler{doc, true}).match(p, doc, nil) }) {
				got[words[0]] = true
			}
		}
		for rule, fidelity := range run {
			if s.hits[rule] && !got[rule] || got[rule] && !s.hits[rule] && fidelity == compile.Exact {
				t.Errorf("%s (%s): the engine says %v, quamina %v\n%s", rule, fidelity, s.hits[rule], got[rule], s.raw)
			}
			if s.hits[rule] && got[rule] {
				matches++
			}
		}
	}
	if kinds[event.CloudTrail] < 150 || kinds[event.GuardDuty] < 10 || kinds[event.SecurityHub] < 6 || matches < 1000 {
		t.Errorf("%v rules and %d matches: too few to mean much", kinds, matches)
	}
	t.Logf("quamina runs %d rules, %v; %d matches agree", len(run), kinds, matches)
}

// inexpressible takes the fields out of a pattern for which quamina has no
// operator, unless they are below $or, and returns them as a pattern. Such are
// fields of no list, so that the two parts together mean the same.
func inexpressible(p map[string]any) map[string]any {
	rest := map[string]any{}
	for k, v := range p {
		switch v := v.(type) {
		case map[string]any:
			if sub := inexpressible(v); len(sub) > 0 {
				rest[k] = sub
			}
			if len(v) == 0 {
				delete(p, k)
			}
		case []any:
			if k == "$or" {
				continue
			}
			if _, ok := expand(map[string]any{k: v}); !ok {
				rest[k] = v
				delete(p, k)
			}
		}
	}
	return rest
}

// takeAbsent takes the fields with exists: false out of a pattern and returns
// their paths: quamina 0.2.0 loses some of them where patterns are many, so the
// test looks itself.
func takeAbsent(p map[string]any, path []string) (absent []string) {
	for k, v := range p {
		at := append(slices.Clone(path), k)
		switch v := v.(type) {
		case map[string]any:
			absent = append(absent, takeAbsent(v, at)...)
			if len(v) == 0 {
				delete(p, k)
			}
		case []any:
			if m, ok := v[0].(map[string]any); ok && m["exists"] == false {
				absent = append(absent, strings.Join(at, "."))
				delete(p, k)
			}
		}
	}
	return absent
}

// present reports whether there is a plain value at a path.
func present(v any, path []string) bool {
	switch d := v.(type) {
	case []any:
		return slices.ContainsFunc(d, func(e any) bool { return present(e, path) })
	case map[string]any:
		if len(path) == 0 {
			return false
		}
		next, ok := d[path[0]]
		return ok && present(next, path[1:])
	}
	return len(path) == 0
}

// withoutEmpty leaves out empty lists and objects, which quamina 0.2.0 cannot
// read and which have no values to match.
func withoutEmpty(v any) any {
	switch d := v.(type) {
	case []any:
		var out []any
		for _, e := range d {
			if e = withoutEmpty(e); !empty(e) {
				out = append(out, e)
			}
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range d {
			if e = withoutEmpty(e); !empty(e) {
				out[k] = e
			}
		}
		return out
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// expand writes a pattern as patterns without $or, each field with one kind of
// alternative; ok is false where quamina lacks an operator.
func expand(p map[string]any) (out []map[string]any, ok bool) {
	out = []map[string]any{{}}
	times := func(key string, options []any) {
		var next []map[string]any
		for _, o := range out {
			for _, v := range options {
				m := map[string]any{}
				for k, x := range o {
					m[k] = x
				}
				m[key] = v
				next = append(next, m)
			}
		}
		out = next
	}
	var alternatives []map[string]any
	for k, v := range p {
		switch v := v.(type) {
		case map[string]any:
			subs, ok := expand(v)
			if !ok {
				return nil, false
			}
			var options []any
			for _, s := range subs {
				options = append(options, s)
			}
			times(k, options)
		case []any:
			if k == "$or" {
				for _, a := range v {
					subs, ok := expand(a.(map[string]any))
					if !ok {
						return nil, false
					}
					alternatives = append(alternatives, subs...)
				}
				continue
			}
			var options, literals []any
			but := slices.ContainsFunc(v, func(a any) bool { return isMap(a) && a.(map[string]any)["anything-but"] != nil })
			for _, a := range v {
				if a == nil && but { // anything-but takes it
					continue
				}
				m, special := a.(map[string]any)
				if !special {
					literals = append(literals, a)
					continue
				}
				for _, op := range []string{"prefix", "suffix", "anything-but"} { // everything is in lower case
					if fold, ok := m[op].(map[string]any); ok && fold["equals-ignore-case"] != nil {
						m = map[string]any{op: fold["equals-ignore-case"]}
						if op == "anything-but" {
							m[op] = values(m[op])
						}
						a = m
					}
				}
				switch {
				case m["equals-ignore-case"] != nil:
					literals = append(literals, m["equals-ignore-case"])
					continue
				case m["suffix"] != nil && !isMap(m["suffix"]):
					a = map[string]any{"shellstyle": "*" + m["suffix"].(string)}
				case m["wildcard"] != nil && !strings.Contains(m["wildcard"].(string), `\`) && strings.Count(m["wildcard"].(string), "*") < 2:
					a = map[string]any{"shellstyle": m["wildcard"]}
				case m["prefix"] != nil && !isMap(m["prefix"]) && m["prefix"] != "" && !strings.Contains(m["prefix"].(string), "*"):
					a = map[string]any{"shellstyle": m["prefix"].(string) + "*"}
				case m["exists"] != nil:
				case m["anything-but"] != nil && !isMap(m["anything-but"]) && !slices.Contains(m["anything-but"].([]any), any("")):
				default:
					return nil, false
				}
				options = append(options, []any{a})
			}
			if literals != nil {
				options = append(options, literals)
			}
			times(k, options)
		}
		if len(out) > 1000 {
			return nil, false
		}
	}
	if alternatives == nil {
		return out, true
	}
	var both []map[string]any
	for _, a := range alternatives {
		for _, o := range out {
			both = append(both, overlay(o, a))
		}
	}
	return both, true
}

func isMap(v any) bool { _, ok := v.(map[string]any); return ok }

func overlay(a, b map[string]any) map[string]any {
	m := map[string]any{}
	for k, v := range a {
		m[k] = v
	}
	for k, v := range b {
		if isMap(v) && isMap(m[k]) {
			v = overlay(m[k].(map[string]any), v.(map[string]any))
		}
		m[k] = v
	}
	return m
}
