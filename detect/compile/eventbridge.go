package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/coverage"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// The limits of EventBridge: characters of a pattern, and rules with wildcards
// on one bus. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const (
	maxPattern   = 2048
	maxWildcards = 30
	maxOr        = 1000 // combinations of $or
	maxTerms     = 256  // of ours, so that a rule stays readable
	maxPieces    = 20   // patterns that one rule may become
)

// Pattern is one EventBridge pattern.
type Pattern struct {
	JSON     json.RawMessage `json:"pattern"`
	AllReads bool            `json:"allManagementEvents,omitempty"` // the rule needs the state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS
	wildcard bool
}

type ebCompiler struct {
	res  *Result
	kind event.Kind
	use  wildcards
}

func (r *Result) eventBridge(use wildcards) {
	if r.Rule.Correlation != nil {
		r.refuse("EventBridge looks at one event at a time, not at what happens within %s; %s", duration(r.Rule.Correlation.Timespan), instead(r.Rule, Athena, OpenSearch))
		return
	}
	kind := only(r.Rule, event.CloudTrail, event.GuardDuty, event.SecurityHub)
	if kind == "" {
		r.refuse("records of %s do not reach EventBridge; %s", names(r.Rule.Logs()), instead(r.Rule, Athena, OpenSearch))
		return
	}
	r.Fidelity = Exact
	c := &ebCompiler{r, kind, use}
	terms := c.over(r.Rule.Condition(), false)
	terms = slices.DeleteFunc(merged(terms), func(t conj) bool { return t == nil })
	switch {
	case len(terms) == 0:
		r.refuse("the condition cannot hold for any event")
		return
	case slices.ContainsFunc(terms, func(t conj) bool { return len(t) == 0 }):
		r.refuse("EventBridge can express nothing of the condition: %s", strings.Join(r.Reasons, "; "))
		return
	}
	for i := range terms {
		terms[i] = c.apart(terms[i])
	}
	c.outside(terms)
	if slices.ContainsFunc(terms, func(t conj) bool { return !narrows(t) }) {
		why := "nothing is known to be common to its events"
		if len(r.Reasons) > 0 {
			slices.Sort(r.Reasons)
			why = strings.Join(slices.Compact(r.Reasons), "; ")
		}
		r.refuse("what EventBridge can express of the condition takes almost every event: %s; %s", why, instead(r.Rule, Athena, OpenSearch))
		return
	}
	pieces, ok := c.fit(merged(terms), kind)
	if !ok {
		r.refuse("the pattern does not fit into %d patterns of %d characters", maxPieces, maxPattern)
		return
	}
	r.Patterns, r.terms, r.kind = pieces, merged(terms), kind
	c.notes(kind)
}

// instead says what to do about a rule that a target cannot express: which of
// others can, and for a correlation what is below it.
func instead(r *sigma.Rule, others ...Target) string {
	var ways []string
	for _, t := range others {
		if translate([]Result{newResult(r)}, t)[0].Fidelity != Refused {
			ways = append(ways, string(t))
		}
	}
	var out []string
	if len(ways) > 0 {
		out = append(out, "use "+strings.Join(ways, " or "))
	}
	if r.Correlation != nil {
		out = append(out, "compile the rules below it: "+strings.Join(r.Correlation.Rules, ", "))
	}
	if len(out) == 0 {
		return "use 'bartizan detect'"
	}
	return strings.Join(out, ", or ")
}

// duration writes 10m, not 10m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (c *ebCompiler) notes(kind event.Kind) {
	if kind != event.CloudTrail {
		return
	}
	names, known := c.res.Rule.Values("eventName")
	sources, _ := c.res.Rule.Values("eventSource")
	reads := !known
	for _, n := range names {
		reads = reads || coverage.ReadOnly(n) || strings.ContainsAny(n, "*?")
		for _, s := range sources {
			if t := coverage.DataType(s, n); t != "" {
				c.res.Notes = append(c.res.Notes, fmt.Sprintf("%s is a data event: a trail must record %s", n, t))
			}
		}
	}
	if reads {
		for i := range c.res.Patterns {
			c.res.Patterns[i].AllReads = true
		}
		c.res.Notes = append(c.res.Notes, "calls that only read reach the rule in state ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
	}
	for _, s := range sources {
		if s == "iam.amazonaws.com" || s == "organizations.amazonaws.com" || s == "signin.amazonaws.com" || s == "route53.amazonaws.com" || s == "cloudfront.amazonaws.com" {
			c.res.Notes = append(c.res.Notes, "events of "+s+" appear in us-east-1")
		}
	}
}

// over returns a disjunction that holds wherever the node (or, negated, its
// negation) holds.
func (c *ebCompiler) over(n *sigma.Node, negated bool) []conj {
	switch n.Op {
	case sigma.NodeNot:
		return c.over(n.Kids[0], !negated)
	case sigma.NodeTest:
		return c.test(n.Test, negated != n.Test.Negate)
	case sigma.NodeAtLeast:
		if negated || picks(len(n.Kids), n.N) > maxPicks {
			c.res.widen("at least %d of %d, or its negation, is left out", n.N, len(n.Kids))
			return []conj{{}}
		}
		var out []conj
		choose(len(n.Kids), n.N, func(pick []int) {
			term := []conj{{}}
			for _, k := range pick {
				term = c.product(term, c.over(n.Kids[k], false))
			}
			out = append(out, term...)
		})
		return out
	}
	if (n.Op == sigma.NodeAnd) != negated {
		out := []conj{{}}
		for _, k := range n.Kids {
			out = c.product(out, c.over(k, negated))
		}
		return out
	}
	var out []conj
	for _, k := range n.Kids {
		if out = append(out, c.over(k, negated)...); len(out) > maxTerms {
			if out = merged(out); len(out) > maxTerms {
				c.res.widen("a condition with too many alternatives is left out")
				return []conj{{}}
			}
		}
	}
	return merged(out)
}

// maxPicks bounds the ways to choose n of several that are written out.
const maxPicks = 200

// picks counts the ways to choose k of n, up to more than maxPicks.
func picks(n, k int) int {
	out := 1
	for i := range min(k, n-k) {
		if out = out * (n - i) / (i + 1); out > maxPicks {
			break
		}
	}
	return out
}

func choose(n, k int, visit func([]int)) {
	var walk func(from int, pick []int)
	walk = func(from int, pick []int) {
		if len(pick) == k {
			visit(pick)
			return
		}
		for i := from; i < n; i++ {
			walk(i+1, append(slices.Clone(pick), i))
		}
	}
	walk(0, nil)
}

func (c *ebCompiler) product(a, b []conj) []conj {
	if len(a)*len(b) > maxTerms {
		c.res.widen("a condition with too many alternatives is left out")
		if len(a) <= len(b) {
			return a
		}
		return b
	}
	var out []conj
	for _, x := range a {
	next:
		for _, y := range b {
			t := conj{}
			for f, l := range x {
				t[f] = l
			}
			for f, l := range y {
				if t[f] == nil {
					t[f] = l
					continue
				}
				both, exact := c.intersect(f, t[f], l)
				if len(both) == 0 && exact {
					continue next // cannot hold
				}
				if len(both) == 0 {
					both = t[f]
				}
				if !exact {
					c.res.widen("%s: EventBridge takes one condition on a field, the other is left out", f)
				}
				t[f] = both
			}
			out = append(out, t)
		}
	}
	return merged(out)
}

// apart leaves one condition where several look into what may be a list: there
// EventBridge wants one element to meet them all, Sigma any element each.
func (c *ebCompiler) apart(t conj) conj {
	kept := map[string]string{}
	out := conj{}
	for _, f := range slices.Sorted(maps.Keys(t)) {
		head := listOf(c.kind, f)
		if other, taken := kept[head]; taken && head != "" {
			c.res.widen("%s and %s may stand in different elements of a list: one is left out", other, f)
			if breadth(t[f]) < breadth(t[other]) {
				delete(out, other)
				kept[head], out[f] = f, t[f]
			}
			continue
		}
		kept[head], out[f] = f, t[f]
	}
	return out
}

// narrows reports whether a conjunction asks for something, and does not only
// exclude or name what nearly all events have.
func narrows(t conj) bool {
	for f, list := range t {
		if slices.Contains([]string{"eventType", "eventCategory", "managementEvent", "readOnly", "service.archived"}, f) {
			continue
		}
		if !slices.ContainsFunc(list, func(m matcher) bool {
			return m.kind == mBut || m.kind == mExists || m.kind == mPrefix && m.text == ""
		}) {
			return true
		}
	}
	return false
}

// outside leaves out conditions on an object where others look into it: a
// pattern cannot do both.
func (c *ebCompiler) outside(terms []conj) {
	for _, t := range terms {
		for _, f := range slices.Sorted(maps.Keys(t)) {
			if slices.ContainsFunc(terms, func(o conj) bool {
				return slices.ContainsFunc(slices.Collect(maps.Keys(o)), func(g string) bool { return strings.HasPrefix(g, f+".") })
			}) {
				c.res.widen("%s: a pattern cannot look at an object and into it; the object is left out", f)
				for i := range terms {
					terms[i] = maps.Clone(terms[i])
					delete(terms[i], f)
				}
			}
		}
	}
}

// reserved are names that EventBridge does not take for fields below $or.
// https://github.com/aws/event-ruler
var reserved = strings.Fields(`exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr html = < <= > >= regex
	not-wildcard not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range
	ip-address-not-in-range`)

func hasReserved(terms []conj) bool {
	for _, t := range terms {
		for f := range t {
			if slices.ContainsFunc(strings.Split(f, "."), func(k string) bool { return slices.Contains(reserved, k) }) {
				return true
			}
		}
	}
	return false
}

// fit writes the terms as patterns within the limits: one if they fit, else one
// for a part of the terms, or of the longest list, each.
func (c *ebCompiler) fit(terms []conj, kind event.Kind) ([]Pattern, bool) {
	p := pattern(terms, kind)
	if utf8.RuneCount(p.JSON) <= maxPattern && len(terms) <= maxOr && (len(terms) < 2 || !hasReserved(terms)) {
		return []Pattern{p}, true
	}
	if len(terms) > 1 {
		a, ok := c.fit(terms[:len(terms)/2], kind)
		b, ok2 := c.fit(terms[len(terms)/2:], kind)
		return append(a, b...), ok && ok2 && len(a)+len(b) <= maxPieces
	}
	field, size := "", 1
	for f, l := range terms[0] {
		if len(l) > size || len(l) == size && f < field && size > 1 {
			field, size = f, len(l)
		}
	}
	if size < 2 {
		return nil, false
	}
	var out []Pattern
	for _, half := range [][]matcher{terms[0][field][:size/2], terms[0][field][size/2:]} {
		t := conj{}
		for f, l := range terms[0] {
			t[f] = l
		}
		t[field] = half
		part, ok := c.fit([]conj{t}, kind)
		if !ok || len(out)+len(part) > maxPieces {
			return nil, false
		}
		out = append(out, part...)
	}
	return out, true
}

// pattern writes terms as one pattern, pinned to events that AWS sends: no
// customer can put events with a source that begins with aws.
func pattern(terms []conj, kind event.Kind) Pattern {
	wildcard := false
	for _, t := range terms {
		for _, l := range t {
			for _, m := range l {
				wildcard = wildcard || m.kind == mWildcard || m.sub == mWildcard
			}
		}
	}
	root := map[string]any{}
	switch kind {
	case event.GuardDuty:
		root["source"], root["detail-type"] = []any{"aws.guardduty"}, []any{"GuardDuty Finding"}
	case event.SecurityHub:
		root["source"], root["detail-type"] = []any{"aws.securityhub"}, []any{"Security Hub Findings - Imported"}
	default:
		root["source"], root["detail-type"] = []any{map[string]any{"prefix": "aws."}}, []any{map[string]any{"suffix": " via CloudTrail"}}
	}
	common := conj{}
	for f, l := range terms[0] {
		if !slices.ContainsFunc(terms, func(t conj) bool { return !sameList(t[f], l) }) {
			common[f] = l
		}
	}
	detail := nested(common)
	if len(terms) > 1 {
		var alternatives []any
		for _, t := range terms {
			rest := conj{}
			for f, l := range t {
				if common[f] == nil {
					rest[f] = l
				}
			}
			alternatives = append(alternatives, nested(rest))
		}
		detail["$or"] = alternatives
	}
	if kind == event.SecurityHub {
		detail = map[string]any{"findings": detail}
	}
	root["detail"] = detail
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(root) // maps, lists and strings
	return Pattern{JSON: bytes.TrimSpace(b.Bytes()), wildcard: wildcard}
}

func nested(c conj) map[string]any {
	out := map[string]any{}
	for _, f := range slices.Sorted(maps.Keys(c)) { // a path comes before what is below it
		l, at := c[f], out
		path := strings.Split(f, ".")
		for _, k := range path[:len(path)-1] {
			next, ok := at[k].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[k] = next
			}
			at = next
		}
		var list []any
		for _, m := range l {
			list = append(list, m.json())
		}
		at[path[len(path)-1]] = list
	}
	return out
}
