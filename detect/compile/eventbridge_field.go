package compile

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// maxNumber is as far from zero as EventBridge compares numbers.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
const maxNumber = 5_000_000_000

// test returns the alternatives for one field.
func (c *ebCompiler) test(t *sigma.Test, negated bool) []conj {
	var list []matcher
	var why string
	switch {
	case slices.Contains(strings.Split(t.Field, "."), "$or"):
		why = "EventBridge takes the name $or for alternatives"
	case sigma.IsDerived(t.Field):
		why = derived
	case negated:
		list, why = c.negative(t)
	default:
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

// Reasons that are given in more than one place.
const (
	mayBeObject = "EventBridge looks at values only, and this may be an object"
	inLists     = "of a list, one other element is enough to escape the exclusion"
	anyNumber   = "any number is let through"
	asSpelled   = "it is excluded as the rule spells it only"
)

// casing says what regard a comparison has to case.
type casing uint8

const (
	asWritten casing = iota // none, but AWS writes some fields in one way, and so do rules
	sensitive
	insensitive
)

func casingOf(cased bool) casing {
	if cased {
		return sensitive
	}
	return asWritten
}

// fixed reports whether texts of a field can be compared with regard to case.
func (c *ebCompiler) fixed(field string, how casing, lit string) bool {
	return how == sensitive || how == asWritten && isFixed(c.kind, field) || !hasLetter(lit)
}

var missing = []matcher{{kind: mExists, text: "false"}, {kind: mLiteral, text: "null"}}

func (c *ebCompiler) positive(t *sigma.Test) (list []matcher, why string) {
	switch {
	case t.Field == "":
		return nil, "EventBridge cannot search whole records"
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return nil, "EventBridge cannot do that"
	case t.Kind == sigma.TestExists && t.Exists && !isScalar(c.kind, t.Field):
		return nil, mayBeObject
	case t.Kind == sigma.TestExists:
		if !isScalar(c.kind, t.Field) {
			why = mayBeObject
		}
		return []matcher{{kind: mExists, text: fmt.Sprint(t.Exists)}}, why
	case t.Null && t.All, t.All && len(t.Patterns) == 0:
		return nil, "all of several values is left out"
	}
	if t.Null {
		if list = slices.Clone(missing); !isScalar(c.kind, t.Field) {
			why = mayBeObject
		}
	}
	patterns := t.Patterns
	if t.All && len(patterns) > 1 {
		// One of the values must do: the one that says most.
		patterns, why = longest(t.Patterns), "only one of the values that must all be there is looked for"
	}
	for _, p := range patterns {
		more, reason := c.text(t.Field, casingOf(t.Cased), p)
		if reason != "" {
			why = reason
		}
		if more == nil {
			return nil, reason
		}
		list = union(list, more)
	}
	for _, n := range t.Numbers {
		more, reason := c.number(t, n)
		if reason != "" {
			why = reason
		}
		if more == nil {
			return nil, reason
		}
		list = union(list, more)
	}
	for _, p := range t.Networks {
		list = append(list, matcher{kind: mCIDR, text: p.String()})
		if p.Addr().Is4In6() || p.Addr().Is4() && p.Bits() == 0 {
			why = "addresses are compared as EventBridge reads them"
		}
	}
	for _, re := range t.Regexps {
		forms := spelled(re, maxSpelled)
		if forms == nil {
			return nil, "EventBridge has no regular expressions, and nothing of this one can be told without"
		}
		for _, f := range forms {
			how := sensitive
			if f.fold {
				how = insensitive
			}
			more, reason := c.text(t.Field, how, f.Pattern)
			switch {
			case more == nil:
				return nil, "EventBridge has no regular expressions; " + reason
			case reason != "":
				why = reason
			case !f.exact:
				why = "EventBridge has no regular expressions; only the text in it is looked for"
			}
			list = union(list, more)
		}
	}
	return list, why
}

// number returns matchers for a comparison with a number.
func (c *ebCompiler) number(t *sigma.Test, n sigma.Comparison) (list []matcher, why string) {
	op := map[string]string{"": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[n.Op]
	if !(math.Abs(n.Want) <= maxNumber) {
		if n.Op == "" && !math.IsNaN(n.Want) && !math.IsInf(n.Want, 0) {
			return []matcher{{kind: mLiteral, text: strconv.FormatFloat(n.Want, 'f', -1, 64)}, {kind: mString, text: n.Text}}, ""
		}
		return nil, "EventBridge compares numbers up to 5000000000"
	}
	list = []matcher{{kind: mNumeric, text: fmt.Sprintf(`[%q,%s]`, op, strconv.FormatFloat(n.Want, 'f', -1, 64))}}
	switch {
	case isNumber(c.kind, t.Field):
	case n.Op == "":
		list = append(list, matcher{kind: mString, text: n.Text})
	default:
		list = append(list, matcher{kind: mPrefix})
		why = "numbers that are written as text are not compared"
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

// text returns matchers that hold wherever a text pattern does, for texts,
// numbers and literals alike; nil where that is everywhere.
func (c *ebCompiler) text(field string, how casing, p sigma.Pattern) (list []matcher, why string) {
	if isBoolean(c.kind, field) {
		for _, l := range []string{"true", "false"} {
			if p.Match(l, how == sensitive) {
				list = append(list, matcher{kind: mLiteral, text: l})
			}
		}
		if list == nil {
			list = []matcher{{kind: mString, text: shapeOf(p).lit}}
		}
		return list, ""
	}
	list, why = c.words(field, how, p)
	if list == nil || isText(c.kind, field) {
		return list, why
	}
	for _, l := range []string{"true", "false"} {
		if p.Match(l, how == sensitive) {
			list = append(list, matcher{kind: mLiteral, text: l})
		}
	}
	switch s := shapeOf(p); {
	case !couldBe(p):
	case !s.exact:
		list, why = append(list, matcher{kind: mNumbers}), anyNumber
	case isJSONNumber(s.lit):
		list = append(list, matcher{kind: mLiteral, text: s.lit})
	}
	return list, why
}

func isJSONNumber(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && strconv.FormatFloat(f, 'f', -1, 64) == s
}

// words is text for texts alone.
func (c *ebCompiler) words(field string, how casing, p sigma.Pattern) (list []matcher, why string) {
	s := shapeOf(p)
	scalar := isText(c.kind, field)
	fixed := c.fixed(field, how, s.lit)
	pick := func(cased, folded, lit string) []matcher {
		if fixed {
			return []matcher{{kind: cased, text: lit}}
		}
		return []matcher{{kind: folded, text: lit}}
	}
	switch {
	case s.notNothing && scalar:
		return []matcher{{kind: mBut, sub: mString, values: []string{""}}}, "null is let through"
	case s.exact && strings.HasPrefix(s.lit, "{"):
		return nil, "EventBridge cannot compare objects"
	case s.exact:
		return pick(mString, mIgnoreCase, s.lit), ""
	case s.lit == "" && !s.one && scalar:
		return []matcher{{kind: mPrefix}}, ""
	case s.lit == "":
		return nil, mayBeObject
	case s.simple && !s.before && s.after && !strings.HasPrefix(s.lit, "{"):
		return pick(mPrefix, mPrefixFold, s.lit), ""
	case s.simple && s.before && !s.after && !strings.HasSuffix(s.lit, "}"):
		return pick(mSuffix, mSuffixFold, s.lit), ""
	}
	if fixed && c.use.asked && stars(p) <= maxStars {
		list = []matcher{{kind: mWildcard, text: wildcardText(p)}}
		if s.one {
			why = "one character is taken for any text"
		}
		if !scalar {
			list, why = append(list, matcher{kind: mExists, text: "false"}), "events where this is an object, or missing, are let through"
		}
		return list, why
	}
	if fixed && stars(p) <= maxStars {
		c.res.lacks.asked = true
	}
	// A literal at the beginning or end is still worth something.
	first, last := p.Tokens[0], p.Tokens[len(p.Tokens)-1]
	switch {
	case first.Literal != "" && first.Literal[0] != '{':
		return pick(mPrefix, mPrefixFold, first.Literal), "only the beginning is compared"
	case last.Literal != "" && !strings.HasSuffix(last.Literal, "}"):
		return pick(mSuffix, mSuffixFold, last.Literal), "only the end is compared"
	case !fixed:
		return nil, "wildcards of EventBridge have regard to case"
	case c.use.asked:
		return nil, fmt.Sprintf("EventBridge takes no pattern of more than %d wildcards", maxStars)
	}
	return nil, fmt.Sprintf("only %d rules of a bus may have wildcards", maxWildcards)
}

// maxStars is how many wildcards one text has at most: EventBridge refuses what
// is too complex for it, and does not say where that begins.
const maxStars = 5

func stars(p sigma.Pattern) int { return strings.Count(wildcardText(p), "*") }

func hasLetter(s string) bool {
	return strings.ToLower(s) != strings.ToUpper(s)
}

func wildEscape(s string) string { return strings.NewReplacer(`\`, `\\`, `*`, `\*`).Replace(s) }

func wildcardText(p sigma.Pattern) string {
	var b strings.Builder
	star := false
	for _, t := range p.Tokens {
		if t.Any || t.One {
			if !star {
				b.WriteByte('*')
			}
			star = true
			continue
		}
		star = false
		b.WriteString(wildEscape(t.Literal))
	}
	return b.String()
}

// negative returns matchers that hold wherever the test does not: they exclude
// at most what the test takes.
func (c *ebCompiler) negative(t *sigma.Test) (list []matcher, why string) {
	scalar := isText(c.kind, t.Field)
	switch {
	case t.Kind == sigma.TestExists && !t.Exists && !isScalar(c.kind, t.Field):
		return nil, mayBeObject
	case t.Kind == sigma.TestExists:
		if !isScalar(c.kind, t.Field) {
			why = mayBeObject
		}
		return []matcher{{kind: mExists, text: fmt.Sprint(!t.Exists)}}, why
	case t.Field == "" || t.Kind != sigma.TestText && t.Kind != sigma.TestRegexp || t.All && len(t.Patterns)+len(t.Regexps) > 1 || len(t.Numbers) > 0:
		return nil, "EventBridge cannot exclude that"
	case isBoolean(c.kind, t.Field) && !t.Null && t.Kind == sigma.TestText:
		list = slices.Clone(missing)
		for _, l := range []string{"true", "false"} {
			if !slices.ContainsFunc(t.Patterns, func(p sigma.Pattern) bool { return p.Match(l, t.Cased) }) {
				list = append(list, matcher{kind: mLiteral, text: l})
			}
		}
		return list, ""
	}
	x := exclusion{c: c, test: t, groups: map[string][]string{}}
	if !scalar {
		x.why = inLists
	}
	for _, p := range t.Patterns {
		s := shapeOf(p)
		if len(t.Patterns) == 1 && scalar && s.lit == "" {
			switch {
			case s.notNothing && !t.Null:
				return append(slices.Clone(missing), matcher{kind: mString}), ""
			case !s.one && !s.exact && !t.Null:
				return missing, ""
			}
		}
		x.add(p, casingOf(t.Cased))
	}
	for _, re := range t.Regexps {
		list := spelled(re, maxSpelled)
		for _, f := range list {
			switch {
			case f.exact && f.fold:
				x.add(f.Pattern, insensitive)
			case f.exact:
				x.add(f.Pattern, sensitive)
			default:
				x.why = "only a part of the regular expression can be excluded"
			}
		}
		if list == nil {
			x.why = "a regular expression cannot be excluded"
		}
	}
	if len(x.order) == 0 {
		if t.Null && len(t.Patterns) == 0 && scalar {
			return []matcher{{kind: mPrefix}}, ""
		}
		if x.why == "" || x.why == inLists {
			x.why = "an exclusion is left out"
		}
		return nil, x.why
	}
	best := x.order[0]
	for _, k := range x.order[1:] {
		x.why = "only exclusions of one kind fit into a pattern, the others are left out"
		if len(x.groups[k]) > len(x.groups[best]) {
			best = k
		}
	}
	list = []matcher{{kind: mBut, sub: best, values: x.groups[best]}}
	if !t.Null || !scalar {
		list = append(list, missing...)
	} else if x.why == "" {
		x.why = "null is let through"
	}
	return list, x.why
}

// exclusion collects what a pattern excludes, by kind.
type exclusion struct {
	c      *ebCompiler
	test   *sigma.Test
	groups map[string][]string
	order  []string
	why    string
}

func (x *exclusion) add(p sigma.Pattern, how casing) {
	s := shapeOf(p)
	fixed := x.c.fixed(x.test.Field, how, s.lit)
	put := func(kind, value string) {
		if !fixed && kind != mIgnoreCase {
			x.why = asSpelled
		}
		if x.groups[kind] == nil {
			x.order = append(x.order, kind)
		}
		x.groups[kind] = append(x.groups[kind], value)
	}
	switch {
	case s.exact && fixed:
		put(mString, s.lit)
	case s.exact:
		put(mIgnoreCase, s.lit)
	case s.lit == "":
		x.why = "an exclusion is left out"
	case s.one:
		x.why = "an exclusion with ? is left out"
	case s.simple && !s.before && s.after:
		put(mPrefix, s.lit)
	case s.simple && s.before && !s.after:
		put(mSuffix, s.lit)
	case x.c.use.excluded && stars(p) <= maxStars:
		put(mWildcard, wildcardText(p))
	default:
		x.c.res.lacks.excluded = true
		x.why = fmt.Sprintf("an exclusion is left out: only %d rules of a bus may have wildcards", maxWildcards)
	}
}
