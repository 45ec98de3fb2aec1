package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// fixedCase are fields whose values AWS writes in one way only.
var fixedCase = strings.Fields(`eventName eventSource eventType eventCategory awsRegion eventVersion recipientAccountId
	userIdentity.type userIdentity.accountId userIdentity.invokedBy userIdentity.sessionContext.sessionIssuer.type
	userIdentity.sessionContext.attributes.mfaAuthenticated sourceIPAddress errorCode readOnly managementEvent type
	severity accountId region service.serviceName service.action.actionType`)

// leaves are fields that are never objects, so that exists means what it says.
var leaves = append(strings.Fields(`userAgent errorMessage eventID requestID eventTime sharedEventID vpcEndpointId apiVersion
	userIdentity.arn userIdentity.principalId userIdentity.accessKeyId userIdentity.userName
	userIdentity.sessionContext.sessionIssuer.arn userIdentity.sessionContext.sessionIssuer.userName
	userIdentity.sessionContext.sessionIssuer.accountId userIdentity.sessionContext.sessionIssuer.principalId
	userIdentity.sessionContext.sourceIdentity userIdentity.sessionContext.ec2RoleDelivery title description id`), fixedCase...)

type ebCompiler struct {
	res      *Result
	wildcard bool // may be used
}

func (r *Result) eventBridge(wildcard bool) {
	if r.Rule.Correlation != nil {
		r.refuse("EventBridge looks at one event at a time and cannot count within %s; use athena, or compile the rules that it counts: %s", r.Rule.Correlation.Timespan, strings.Join(r.Rule.Correlation.Rules, ", "))
		return
	}
	kind := only(r.Rule, event.CloudTrail, event.GuardDuty, event.SecurityHub)
	if kind == "" {
		r.refuse("records of %s do not reach EventBridge", names(r.Rule.Logs()))
		return
	}
	r.Fidelity = Exact
	c := &ebCompiler{r, wildcard}
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
	for _, t := range terms {
		for f := range t {
			for g := range t {
				if strings.HasPrefix(g, f+".") {
					c.res.widen("%s: a pattern cannot look at an object and into it; the object is left out", f)
				}
			}
		}
	}
	for i := range terms {
		terms[i] = c.apart(terms[i])
	}
	pieces, ok := c.fit(merged(terms), kind)
	if !ok {
		r.refuse("the pattern does not fit into %d patterns of %d characters", maxPieces, maxPattern)
		return
	}
	r.Patterns = pieces
	c.notes(kind)
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
				both, exact := intersect(t[f], l)
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

// test returns the alternatives for one field.
func (c *ebCompiler) test(t *sigma.Test, negated bool) []conj {
	var list []matcher
	var why string
	if negated {
		list, why = c.negative(t)
	} else {
		list, why = c.positive(t)
	}
	if why != "" {
		c.res.widen("%s: %s", about(t), why)
	}
	if list == nil {
		return []conj{{}}
	}
	return []conj{{t.Field: list}}
}

func isLeaf(field string) bool { return slices.Contains(leaves, field) }

func (c *ebCompiler) positive(t *sigma.Test) (list []matcher, why string) {
	switch {
	case t.Field == "":
		return nil, "EventBridge cannot search whole records"
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return nil, "EventBridge cannot do that"
	case t.Kind == sigma.TestExists:
		if t.Exists && !isLeaf(t.Field) {
			return nil, "exists works on values only, and this may be an object"
		}
		return []matcher{{kind: mExists, text: fmt.Sprint(t.Exists)}}, ""
	case t.Null && t.All, t.All && len(t.Patterns) == 0:
		return nil, "all of several values is left out"
	}
	if t.Null {
		list = append(list, matcher{kind: mExists, text: "false"}, matcher{kind: mLiteral, text: "null"})
	}
	patterns := t.Patterns
	if t.All {
		// One of the values must do: the one that says most.
		patterns, why = longest(t.Patterns), "only one of the values that must all be there is looked for"
		if len(t.Patterns) == 1 {
			why = ""
		}
	}
	for _, p := range patterns {
		more, reason := c.text(t, p)
		if reason != "" {
			why = reason
		}
		if more == nil {
			return nil, reason
		}
		list = union(list, more)
	}
	for _, n := range t.Numbers {
		op := map[string]string{"": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[n.Op]
		list = append(list, matcher{kind: mNumeric, text: fmt.Sprintf(`[%q,%v]`, op, n.Want)})
		if n.Op == "" {
			list = append(list, matcher{kind: mString, text: n.Text})
		} else {
			list = union(list, []matcher{{kind: mPrefix}})
			why = "numbers that are written as text are not compared"
		}
	}
	for _, p := range t.Networks {
		list = append(list, matcher{kind: mCIDR, text: p.String()})
	}
	for _, re := range t.Regexps {
		why = "EventBridge has no regular expressions"
		if re.Needs == "" || !c.wildcard {
			return nil, why
		}
		list = append(list, matcher{kind: mWildcard, text: "*" + wildEscape(re.Needs) + "*"})
		if !isLeaf(t.Field) {
			list = union(list, []matcher{{kind: mExists, text: "false"}})
		}
	}
	return list, why
}

// longest returns the patterns of the value with the longest literal.
func longest(patterns []sigma.Pattern) []sigma.Pattern {
	best, length := 0, -1
	for _, p := range patterns {
		if n := len(shapeOf(p).lit); n > length {
			best, length = p.Value, n
		}
	}
	var out []sigma.Pattern
	for _, p := range patterns {
		if p.Value == best {
			out = append(out, p)
		}
	}
	return out
}

// text returns matchers that hold wherever a text pattern does; nil where that
// is everywhere.
func (c *ebCompiler) text(t *sigma.Test, p sigma.Pattern) (list []matcher, why string) {
	s := shapeOf(p)
	fixed := t.Cased || slices.Contains(fixedCase, t.Field) || !hasLetter(s.lit)
	pick := func(cased, folded string) matcher {
		if fixed {
			return matcher{kind: cased, text: s.lit}
		}
		return matcher{kind: folded, text: s.lit}
	}
	switch {
	case s.notNothing && isLeaf(t.Field):
		return []matcher{{kind: mBut, sub: mString, values: []string{""}}}, ""
	case s.exact && strings.HasPrefix(s.lit, "{"):
		return nil, "EventBridge cannot compare objects"
	case s.exact:
		return append([]matcher{pick(mString, mIgnoreCase)}, literal(s.lit)...), ""
	case s.lit == "" && !s.one:
		if isLeaf(t.Field) {
			return []matcher{{kind: mExists, text: "true"}}, ""
		}
		return nil, "exists works on values only, and this may be an object"
	case s.simple && !s.before && s.after && !strings.HasPrefix(s.lit, "{"):
		return []matcher{pick(mPrefix, mPrefixFold)}, ""
	case s.simple && s.before && !s.after && !strings.HasSuffix(s.lit, "}"):
		return []matcher{pick(mSuffix, mSuffixFold)}, ""
	}
	if !fixed {
		// A literal at the beginning or end is still worth something.
		first, last := p.Tokens[0], p.Tokens[len(p.Tokens)-1]
		switch {
		case first.Literal != "" && first.Literal[0] != '{':
			return []matcher{{kind: mPrefixFold, text: first.Literal}}, "only the beginning is compared"
		case last.Literal != "" && !strings.HasSuffix(last.Literal, "}"):
			return []matcher{{kind: mSuffixFold, text: last.Literal}}, "only the end is compared"
		}
		return nil, "wildcards of EventBridge have regard to case"
	}
	if !c.wildcard {
		return nil, fmt.Sprintf("only %d rules of a bus may have wildcards", maxWildcards)
	}
	list = []matcher{{kind: mWildcard, text: wildcardText(p)}}
	if s.one {
		why = "one character is taken for any text"
	}
	if !isLeaf(t.Field) {
		list, why = append(list, matcher{kind: mExists, text: "false"}), "events where this is an object, or missing, are let through"
	}
	return list, why
}

// literal returns the JSON literal that a text is equal to in Sigma.
func literal(text string) []matcher {
	if l := strings.ToLower(text); l == "true" || l == "false" {
		return []matcher{{kind: mLiteral, text: l}}
	}
	return nil
}

func hasLetter(s string) bool {
	return strings.ToLower(s) != strings.ToUpper(s)
}

func wildEscape(s string) string { return strings.NewReplacer(`\`, `\\`, `*`, `\*`).Replace(s) }

func wildcardText(p sigma.Pattern) string {
	var b strings.Builder
	for _, t := range p.Tokens {
		if t.Any || t.One {
			if !strings.HasSuffix(b.String(), "*") || strings.HasSuffix(b.String(), `\*`) {
				b.WriteByte('*')
			}
			continue
		}
		b.WriteString(wildEscape(t.Literal))
	}
	return b.String()
}

// negative returns matchers that hold wherever the test does not: they exclude
// at most what the test takes.
func (c *ebCompiler) negative(t *sigma.Test) (list []matcher, why string) {
	absent := []matcher{{kind: mExists, text: "false"}, {kind: mLiteral, text: "null"}}
	switch {
	case t.Kind == sigma.TestExists:
		if !t.Exists && !isLeaf(t.Field) {
			return nil, "exists works on values only, and this may be an object"
		}
		return []matcher{{kind: mExists, text: fmt.Sprint(!t.Exists)}}, ""
	case t.Field == "" || t.Kind != sigma.TestText || t.All && len(t.Patterns) > 1 || len(t.Numbers) > 0:
		return nil, "EventBridge cannot exclude that"
	}
	groups := map[string][]string{}
	var order []string
	add := func(kind, value string) {
		if groups[kind] == nil {
			order = append(order, kind)
		}
		groups[kind] = append(groups[kind], value)
	}
	for _, p := range t.Patterns {
		s := shapeOf(p)
		fixed := t.Cased || slices.Contains(fixedCase, t.Field) || !hasLetter(s.lit)
		switch {
		case s.notNothing:
			if len(t.Patterns) == 1 && isLeaf(t.Field) && !t.Null {
				return append(absent, matcher{kind: mString}), ""
			}
			why = "an exclusion is left out"
		case s.exact:
			if literal(s.lit) != nil && t.Field != "userIdentity.sessionContext.attributes.mfaAuthenticated" {
				why = "true and false are excluded as text only"
			}
			if fixed {
				add(mString, s.lit)
			} else {
				add(mIgnoreCase, s.lit)
			}
		case s.lit == "" && !s.one && isLeaf(t.Field) && len(t.Patterns) == 1:
			return absent, ""
		case s.one:
			why = "an exclusion with ? is left out"
		case s.simple && !s.before && s.after:
			add(mPrefix, s.lit)
		case s.simple && s.before && !s.after:
			add(mSuffix, s.lit)
		case c.wildcard:
			add(mWildcard, wildcardText(p))
		default:
			why = fmt.Sprintf("an exclusion is left out: only %d rules of a bus may have wildcards", maxWildcards)
		}
	}
	if len(order) == 0 {
		if t.Null && len(t.Patterns) == 0 && isLeaf(t.Field) {
			return []matcher{{kind: mExists, text: "true"}}, ""
		}
		if why == "" {
			why = "an exclusion is left out"
		}
		return nil, why
	}
	best := order[0]
	for _, k := range order[1:] {
		why = "only exclusions of one kind fit into a pattern, the others are left out"
		if len(groups[k]) > len(groups[best]) {
			best = k
		}
	}
	list = []matcher{{kind: mBut, sub: best, values: groups[best]}}
	if !t.Null || !isLeaf(t.Field) {
		list = append(list, absent...)
	}
	return list, why
}

// apart leaves one condition where several look into what may be a list: there
// EventBridge wants one element to meet them all, Sigma any element each.
func (c *ebCompiler) apart(t conj) conj {
	kept := map[string]string{}
	out := conj{}
	for _, f := range slices.Sorted(maps.Keys(t)) {
		head := listOf(f)
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

// listOf returns the first part of a path that may be a list: "" where none is.
func listOf(field string) string {
	head, rest, nested := strings.Cut(field, ".")
	switch {
	case !nested || head == "userIdentity" || head == "tlsDetails":
		return ""
	case head == "resources" || head == "Resources":
		return head
	}
	if next, _, deeper := strings.Cut(rest, "."); deeper {
		return head + "." + next
	}
	return ""
}

// fit writes the terms as patterns within the limits: one if they fit, else one
// for a part of the terms, or of the longest list, each.
func (c *ebCompiler) fit(terms []conj, kind event.Kind) ([]Pattern, bool) {
	p := pattern(terms, kind)
	if len(p.JSON) <= maxPattern && len(terms) <= maxOr {
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
		root["source"], root["detail-type"] = []any{"aws.securityhub"}, []any{"Security Hub Findings - Imported", "Security Hub Findings - Custom Action"}
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
