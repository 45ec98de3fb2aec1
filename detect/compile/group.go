package compile

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// busRule is one EventBridge rule of a stack. Several detections of one severity
// share one where their events have different names, so that the name of an
// event says which detection it is for; they stand alone where there are few.
type busRule struct {
	results []*Result
	terms   []conj
	pattern Pattern
	names   [][]matcher // by result: the names of its events; nil where it stands alone
}

// The number of EventBridge rules up to which each detection has its own, and of
// detections and wildcards that one rule takes.
const (
	maxSingle   = 100
	maxTogether = 20
	maxStarred  = 12
)

// keyField is the field by whose values the detections of one EventBridge rule
// are told apart.
var keyField = map[event.Kind]string{event.CloudTrail: "eventName", event.GuardDuty: "type"}

// onStack makes EventBridge patterns for a stack. Few rules stand alone, and the
// wildcards of the bus are given to them as for any bus. Many are put together,
// which leaves wildcards for nearly all of them.
func onStack(results []Result) {
	onBus(results)
	n, more := 0, false
	for i := range results {
		n += len(results[i].Patterns)
		more = more || results[i].lacks.asked || results[i].lacks.excluded
	}
	if n <= maxSingle && !more {
		return
	}
	plain := make([]Result, len(results))
	for i := range results {
		plain[i] = possible(results[i].Rule, wildcards{})
		// Exclusions may be too long for a pattern.
		results[i] = possible(results[i].Rule, wildcards{asked: true, excluded: true}, wildcards{asked: true}, wildcards{})
	}
	for {
		rules := starred(results, plain)
		if len(rules) <= maxWildcards {
			return
		}
		var without []int // the rules point into results
		for _, b := range rules[maxWildcards:] {
			for _, r := range b.results {
				without = append(without, indexOf(results, r))
			}
		}
		for _, i := range without {
			results[i] = plain[i]
		}
	}
}

// starred returns the EventBridge rules with wildcards that results take when
// they are put together, first those whose detections have most of them.
func starred(results, plain []Result) []busRule {
	out := slices.DeleteFunc(together(results), func(b busRule) bool { return !b.pattern.wildcard })
	gain := func(b busRule) (n int) {
		for _, r := range b.results {
			n += len(severities) + 1 - severity(r)
			if plain[indexOf(plain, r)].Fidelity == Refused {
				n += 100
			}
		}
		return n
	}
	slices.SortStableFunc(out, func(a, b busRule) int { return gain(b) - gain(a) })
	return out
}

func indexOf(results []Result, r *Result) int {
	return slices.IndexFunc(results, func(o Result) bool { return o.Rule == r.Rule })
}

// possible makes the first pattern that EventBridge takes.
func possible(rule *sigma.Rule, uses ...wildcards) (r Result) {
	for _, use := range uses {
		r = newResult(rule)
		if r.eventBridge(use); r.Fidelity != Refused {
			break
		}
	}
	return r
}

var severities = []string{"critical", "high", "medium", "low", "informational"}

func severity(r *Result) int {
	if i := slices.Index(severities, r.Severity); i >= 0 {
		return i
	}
	return len(severities)
}

// busRules returns the EventBridge rules of a stack: one for each pattern where
// these are few and go without more wildcards, else detections put together.
func busRules(results []Result) []busRule {
	n, starred := 0, 0
	for _, r := range results {
		n += len(r.Patterns)
		for _, p := range r.Patterns {
			if p.wildcard {
				starred++
			}
		}
	}
	if n > maxSingle || starred > maxWildcards {
		return together(results)
	}
	var out []busRule
	for i := range results {
		out = append(out, alone(&results[i])...)
	}
	return out
}

func alone(r *Result) (out []busRule) {
	for _, p := range r.Patterns {
		out = append(out, busRule{results: []*Result{r}, terms: r.terms, pattern: p})
	}
	return out
}

// together puts results into as few EventBridge rules as their likeness allows,
// in the order of severity.
func together(results []Result) (out []busRule) {
	var apart []busRule
	classes := map[string][]busRule{} // of one severity and log, with wildcards or without
	for i := range results {
		r := &results[i]
		names := keys(r)
		if len(r.Patterns) != 1 || names == nil || hasReserved(r.terms) {
			apart = append(apart, alone(r)...)
			continue
		}
		class := fmt.Sprint(severity(r), r.Severity, r.kind, r.Patterns[0].wildcard)
		classes[class] = append(classes[class], busRule{[]*Result{r}, r.terms, r.Patterns[0], [][]matcher{names}})
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		// First those with the same conditions about the caller, which are then written
		// once; what is left over of these, with others.
		alike := map[string][]busRule{}
		for _, b := range classes[class] {
			alike[caller(b)] = append(alike[caller(b)], b)
		}
		var full, left []busRule
		for _, k := range slices.Sorted(maps.Keys(alike)) {
			packed := fill(alike[k])
			full, left = append(full, packed[:len(packed)-1]...), append(left, packed[len(packed)-1])
		}
		out = append(append(out, full...), fill(left)...)
	}
	out = append(out, apart...)
	slices.SortStableFunc(out, func(a, b busRule) int { return cmp.Compare(severity(a.results[0]), severity(b.results[0])) })
	return out
}

// fill joins rules with the first that takes them.
func fill(list []busRule) (out []busRule) {
next:
	for _, b := range list {
		for i := range out {
			if j, ok := join(out[i], b); ok {
				out[i] = j
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// join puts two rules into one, if their events can be told apart by name and the
// pattern keeps the limits.
func join(a, b busRule) (busRule, bool) {
	if len(a.results)+len(b.results) > maxTogether || overlap(slices.Concat(a.names...), slices.Concat(b.names...)) {
		return a, false
	}
	terms := merged(slices.Concat(a.terms, b.terms))
	if len(terms) > maxTerms || nests(terms) {
		return a, false
	}
	p := pattern(terms, a.results[0].kind)
	p.AllReads = a.pattern.AllReads || b.pattern.AllReads // which adds reads only, and these have other names
	if utf8.RuneCount(p.JSON) > maxPattern || strings.Count(string(p.JSON), `"wildcard"`) > maxStarred {
		return a, false
	}
	j := busRule{slices.Concat(a.results, b.results), terms, p, slices.Concat(a.names, b.names)}
	return j, len(message(j)) <= maxMessage
}

// caller is what a rule asks of the caller and the result of the call.
func caller(b busRule) string {
	var out []string
	for f, l := range b.terms[0] {
		if head, _, _ := strings.Cut(f, "."); slices.Contains([]string{"userIdentity", "userAgent", "errorCode", "service"}, head) &&
			!slices.ContainsFunc(b.terms, func(t conj) bool { return !sameList(t[f], l) }) {
			text, _ := json.Marshal(nested(conj{f: l}))
			out = append(out, string(text))
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// keys returns the names that the events of a result have; nil where they may
// have any.
func keys(r *Result) (out []matcher) {
	field := keyField[r.kind]
	for _, t := range r.terms {
		if len(t[field]) == 0 {
			return nil
		}
		for _, m := range t[field] {
			switch m.kind {
			case mString, mIgnoreCase, mPrefix, mPrefixFold:
			default:
				return nil
			}
			if m.text == "" {
				return nil
			}
			out = union(out, []matcher{m})
		}
	}
	return out
}

// overlap reports whether one name may be among both.
func overlap(a, b []matcher) bool {
	for _, x := range a {
		for _, y := range b {
			s, t := strings.ToLower(x.text), strings.ToLower(y.text)
			if s == t || isPrefix(x) && strings.HasPrefix(t, s) || isPrefix(y) && strings.HasPrefix(s, t) {
				return true
			}
		}
	}
	return false
}

func isPrefix(m matcher) bool { return m.kind == mPrefix || m.kind == mPrefixFold }

// nests reports whether some terms look at an object and others into it, which a
// pattern cannot.
func nests(terms []conj) bool {
	var fields []string
	for _, t := range terms {
		fields = slices.AppendSeq(fields, maps.Keys(t))
	}
	slices.Sort(fields)
	fields = slices.Compact(fields)
	return slices.ContainsFunc(fields, func(f string) bool {
		return slices.ContainsFunc(fields, func(g string) bool { return strings.HasPrefix(g, f+".") })
	})
}
