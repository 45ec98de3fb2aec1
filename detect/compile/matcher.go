package compile

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// matcher is one of the alternatives that an EventBridge pattern lists for a
// field. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
type matcher struct {
	kind   string // one of the kinds below
	text   string
	values []string // of but
	sub    string   // of but: the kind of its values
}

const (
	mString     = "string"
	mLiteral    = "literal" // true, false, null or a number, as JSON
	mIgnoreCase = "equals-ignore-case"
	mPrefix     = "prefix"
	mPrefixFold = "prefix ignoring case"
	mSuffix     = "suffix"
	mSuffixFold = "suffix ignoring case"
	mWildcard   = "wildcard"
	mExists     = "exists" // text is true or false
	mCIDR       = "cidr"
	mNumeric    = "numeric" // text is the JSON of its list
	mBut        = "anything-but"
	mNumbers    = "any number"
)

func (m matcher) json() any {
	switch m.kind {
	case mString:
		return m.text
	case mLiteral:
		return json.RawMessage(m.text)
	case mPrefixFold:
		return map[string]any{"prefix": map[string]any{"equals-ignore-case": m.text}}
	case mSuffixFold:
		return map[string]any{"suffix": map[string]any{"equals-ignore-case": m.text}}
	case mExists:
		return map[string]any{"exists": m.text == "true"}
	case mNumeric:
		return map[string]any{"numeric": json.RawMessage(m.text)}
	case mNumbers:
		return map[string]any{"numeric": []any{">=", int64(-maxNumber), "<=", int64(maxNumber)}}
	case mBut:
		if m.sub == mString {
			return map[string]any{"anything-but": m.values}
		}
		if len(m.values) == 1 {
			return map[string]any{"anything-but": map[string]any{m.sub: m.values[0]}}
		}
		return map[string]any{"anything-but": map[string]any{m.sub: m.values}}
	}
	return map[string]any{m.kind: m.text}
}

// holds reports whether the matcher takes a string.
func (m matcher) holds(s string) bool {
	switch m.kind {
	case mString:
		return s == m.text
	case mIgnoreCase:
		return strings.EqualFold(s, m.text)
	case mPrefix:
		return strings.HasPrefix(s, m.text)
	case mSuffix:
		return strings.HasSuffix(s, m.text)
	case mPrefixFold:
		return len(s) >= len(m.text) && strings.EqualFold(s[:len(m.text)], m.text)
	case mSuffixFold:
		return len(s) >= len(m.text) && strings.EqualFold(s[len(s)-len(m.text):], m.text)
	case mWildcard:
		return wild(m.text, s)
	case mExists:
		return m.text == "true"
	case mCIDR:
		p, err := netip.ParsePrefix(m.text)
		a, err2 := netip.ParseAddr(s)
		return err == nil && err2 == nil && p.Contains(a)
	case mBut:
		return !slices.ContainsFunc(m.values, func(v string) bool { return matcher{kind: m.sub, text: v}.holds(s) })
	}
	return false
}

// wild matches a pattern in which * stands for any text and \ escapes. It goes
// back to the last star only, so that the time is bounded.
func wild(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) || p < len(pattern) {
		if p < len(pattern) {
			c, n := pattern[p], 1
			if c == '*' {
				star, mark = p, i
				p++
				continue
			}
			if c == '\\' && p+1 < len(pattern) {
				c, n = pattern[p+1], 2
			}
			if i < len(s) && s[i] == c {
				p, i = p+n, i+1
				continue
			}
		}
		if star < 0 || mark >= len(s) {
			return false
		}
		mark++
		p, i = star+1, mark
	}
	return true
}

func anyHolds(list []matcher, s string) bool {
	return slices.ContainsFunc(list, func(m matcher) bool { return m.holds(s) })
}

func (m matcher) equal(o matcher) bool {
	return m.kind == o.kind && m.text == o.text && m.sub == o.sub && slices.Equal(m.values, o.values)
}

func sameList(a, b []matcher) bool { return slices.EqualFunc(a, b, matcher.equal) }

// union is the alternatives of both.
func union(a, b []matcher) []matcher {
	out := slices.Clone(a)
	for _, m := range b {
		if !slices.ContainsFunc(out, m.equal) {
			out = append(out, m)
		}
	}
	return out
}

// intersect returns the alternatives that hold where one of a and one of b
// hold for the field; exact is false where that cannot be said and the narrower
// is returned.
func (c *ebCompiler) intersect(field string, a, b []matcher) (list []matcher, exact bool) {
	if sameList(a, b) {
		return a, true
	}
	narrower := a
	if breadth(b) < breadth(a) {
		narrower = b
	}
	// In a list, different elements may meet a and b.
	scalar := isScalar(c.kind, field)
	for _, pair := range [][2][]matcher{{a, b}, {b, a}} {
		if scalar && !slices.ContainsFunc(pair[0], func(m matcher) bool { return m.kind != mString && m.kind != mIgnoreCase }) {
			var out []matcher
			for _, m := range pair[0] {
				if anyHolds(pair[1], m.text) || m.kind == mIgnoreCase && foldable(pair[1]) {
					out = append(out, m)
				}
			}
			return out, !slices.ContainsFunc(pair[0], func(m matcher) bool { return m.kind == mIgnoreCase })
		}
	}
	// Exclusions of one kind join, and so do bounds of a number; what else they
	// allow must be the same.
	for _, kind := range []string{mBut, mNumeric} {
		is := func(m matcher) bool { return m.kind == kind }
		i, j := slices.IndexFunc(a, is), slices.IndexFunc(b, is)
		if i < 0 || j < 0 || !sameList(slices.Delete(slices.Clone(a), i, i+1), slices.Delete(slices.Clone(b), j, j+1)) {
			continue
		}
		m, ok := a[i], a[i].sub == b[j].sub
		if kind == mNumeric {
			m, ok = between(a[i], b[j])
			ok = ok && scalar
		} else {
			m.values = slices.Clone(m.values)
			for _, v := range b[j].values {
				if !slices.Contains(m.values, v) {
					m.values = append(m.values, v)
				}
			}
		}
		if ok {
			out := slices.Clone(a)
			out[i] = m
			return out, true
		}
	}
	return narrower, false
}

// between joins a lower and an upper bound of a number.
func between(a, b matcher) (matcher, bool) {
	if strings.HasPrefix(a.text, `["<`) {
		a, b = b, a
	}
	var low, high []any
	if json.Unmarshal([]byte(a.text), &low) != nil || json.Unmarshal([]byte(b.text), &high) != nil || len(low) != 2 || len(high) != 2 {
		return a, false
	}
	lower, upper := low[0].(string), high[0].(string)
	if lower[0] != '>' || upper[0] != '<' || low[1].(float64) >= high[1].(float64) {
		return a, false
	}
	text, _ := json.Marshal(append(low, high...)) // names and numbers
	return matcher{kind: mNumeric, text: unescape.Replace(string(text))}, true
}

// unescape undoes what json.Marshal does for the sake of HTML.
var unescape = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">")

// foldable reports whether some spelling of a text may hold although the one
// that was tried does not.
func foldable(list []matcher) bool {
	return slices.ContainsFunc(list, func(m matcher) bool {
		return m.kind != mIgnoreCase && m.kind != mPrefixFold && m.kind != mSuffixFold && m.kind != mExists
	})
}

// breadth orders lists by how much they let through.
func breadth(list []matcher) int {
	n := 0
	for _, m := range list {
		switch m.kind {
		case mString, mLiteral, mIgnoreCase:
			n++
		case mPrefix, mSuffix, mPrefixFold, mSuffixFold, mCIDR, mNumeric, mNumbers:
			n += 100
		case mWildcard:
			n += 200
		default:
			n += 10_000
		}
	}
	return n
}

// conj is a conjunction: for each field the alternatives, one of which must hold.
type conj map[string][]matcher

// merged joins conjunctions that differ in one field and drops those that
// others contain. It changes nothing of what is matched.
func merged(list []conj) []conj {
	for again := true; again; {
		again = false
	pairs:
		for i := range list {
			for j := range list {
				if i == j {
					continue
				}
				field, n := "", 0
				for f := range list[i] {
					if !sameList(list[i][f], list[j][f]) {
						field = f
						n++
					}
				}
				switch {
				case n == 0: // j asks for all that i asks for, and more
					list = slices.Delete(list, j, j+1)
				case n == 1 && len(list[i]) == len(list[j]) && list[j][field] != nil:
					c := conj{}
					for f, l := range list[i] {
						c[f] = l
					}
					c[field] = union(list[i][field], list[j][field])
					list[i] = c
					list = slices.Delete(list, j, j+1)
				default:
					continue
				}
				again = true
				break pairs
			}
		}
	}
	return list
}
