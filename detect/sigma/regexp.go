package sigma

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a regular expression, in instructions of Go's matcher.
const maxRegexp, maxProgram = 4096, 1500

// compileRegexp compiles an expression for Go's linear-time matcher.
func compileRegexp(s string, m modifierSet) (*expression, error) {
	if len(s) > maxRegexp {
		return nil, fmt.Errorf("a regular expression of more than %d characters", maxRegexp)
	}
	flags := ""
	for _, f := range []string{"i", "m", "s"} {
		if m.has[f] {
			flags += f
		}
	}
	if flags != "" {
		s = "(?" + flags + ")" + s
	}
	tree, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
			if strings.Contains(s, look) {
				return nil, fmt.Errorf("look-around %s…) is refused, because expressions must run in linear time; exclude with a second selection and 'not' in the condition", look)
			}
		}
		if backReference.MatchString(s) {
			return nil, fmt.Errorf("a back-reference is refused, because expressions must run in linear time")
		}
		return nil, fmt.Errorf("regular expression: %w", err)
	}
	if size := regexpSize(tree, 0); size > maxProgram {
		return nil, fmt.Errorf("a regular expression that needs more than %d instructions; use fewer repetitions", maxProgram)
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("regular expression: %w", err)
	}
	e := &expression{Regexp: re, needs: []byte(needed(tree.Simplify()))}
	for _, words := range allOf(tree.Simplify()) {
		e.words = append(e.words, newWordSet(words))
	}
	if prefix := leading(tree.Simplify()); prefix != "" {
		// Tied to where its first text stands, an expression often needs no
		// way back, and Go runs it several times as fast.
		if e.tied, err = regexp.Compile("^(?:" + s + ")"); err == nil {
			e.prefix = []byte(prefix)
		}
	}
	return e, nil
}

// expression is a regular expression with texts that every match contains.
type expression struct {
	*regexp.Regexp
	needs  []byte     // every match contains it
	words  []*wordSet // every match contains one of each, whatever their case
	prefix []byte     // what every match begins with, or nil
	tied   *regexp.Regexp
}

// mostTied is how often the first text may stand in a value for the tied
// expression to be tried at each: more would cost more than linear time.
const mostTied = 4

// maxSearched is how much of a text an expression looks at: CloudTrail's limit
// for a whole record. It bounds the time that expression and record can cost.
const maxSearched = 1 << 20

func (e *expression) Match(text []byte) bool {
	text = text[:min(len(text), maxSearched)]
	return e.mayMatch(text) && e.run(text)
}

// mayMatch tells quickly most texts that the expression does not match.
func (e *expression) mayMatch(text []byte) bool {
	return bytes.Contains(text, e.needs) && (len(e.words) == 0 || e.mayContain(text))
}

func (e *expression) run(text []byte) bool {
	if e.prefix == nil {
		return e.Regexp.Match(text)
	}
	for range mostTied {
		i := bytes.Index(text, e.prefix)
		if i < 0 {
			return false
		}
		if e.tied.Match(text[i:]) {
			return true
		}
		text = text[i+1:]
	}
	return e.Regexp.Match(text)
}

// mayContain reports whether one word of each set is in a text. A character that
// is not ASCII may be any: what it is in the other case is for the regular
// expression to say.
func (e *expression) mayContain(text []byte) bool {
	var space [1024]byte
	missing := 1<<len(e.words) - 1
	for {
		part := text[:min(len(text), len(space))]
		folded := space[:len(part)]
		for i, c := range part {
			if c >= utf8.RuneSelf {
				return true
			}
			if c >= 'A' && c <= 'Z' {
				c |= 0x20
			}
			folded[i] = c
		}
		last := len(part) == len(text)
		for i := len(e.words) - 1; i >= 0; i-- { // what stands behind tells more
			if missing&(1<<i) == 0 {
				continue
			}
			if e.words[i].in(folded) {
				missing &^= 1 << i
			} else if last {
				return false
			}
		}
		if missing == 0 {
			return true
		}
		text = text[len(part)-(longestWord-1):]
	}
}

// The bounds of the words that are looked for ahead of an expression.
const mostSets, mostWords, mostExact, longestWord = 8, 128, 32, 32

// allOf returns lists of words, in lower case, such that every match contains one
// of each list, whatever its case.
func allOf(t *syntax.Regexp) [][][]byte {
	var out [][][]byte
	var parts []*syntax.Regexp
	switch t.Op {
	case syntax.OpCapture:
		return allOf(t.Sub[0])
	case syntax.OpConcat:
		parts = t.Sub
	default:
		parts = []*syntax.Regexp{t}
	}
	add := func(words [][]byte) {
		if len(out) < mostSets && telling(words) {
			out = append(out, words)
		}
	}
	text := [][]byte{{}} // what the parts at hand can be
	flush := func() {
		add(text)
		text = [][]byte{{}}
	}
	for _, p := range parts {
		exact := exactly(p)
		switch {
		case exact != nil && len(text)*len(exact) <= mostExact && longest(text)+longest(exact) <= longestWord:
			text = times(text, exact)
		case exact != nil && longest(exact) <= longestWord:
			flush()
			text = exact
		default:
			flush()
			if words, ok := oneOf(p); ok {
				add(words)
			}
		}
	}
	flush()
	return out
}

// telling reports whether words are worth looking for: one letter or digit is in
// nearly every text.
func telling(words [][]byte) bool {
	for _, w := range words {
		if len(w) == 0 || len(w) == 1 && strings.IndexByte("@;=<>|&%!$", w[0]) < 0 {
			return false
		}
	}
	return len(words) <= mostWords
}

// oneOf returns words, in lower case, of which every match contains one, whatever
// its case. ok is false where there is no such list.
func oneOf(t *syntax.Regexp) (words [][]byte, ok bool) {
	switch t.Op {
	case syntax.OpPlus:
		return oneOf(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return oneOf(t.Sub[0])
		}
	case syntax.OpLiteral:
		words = exactly(t)
		return words, words != nil && telling(words)
	case syntax.OpConcat, syntax.OpCapture:
		for _, list := range allOf(t) {
			if !ok || worth(list) > worth(words) {
				words, ok = list, true
			}
		}
		return words, ok
	case syntax.OpAlternate:
		for _, s := range t.Sub {
			list, has := oneOf(s)
			if !has || len(words)+len(list) > mostWords {
				return nil, false
			}
			words = append(words, list...)
		}
		return distinct(words), true
	}
	return nil, false
}

// exactly returns the few texts, in lower case, that an expression can match; nil
// where there are many.
func exactly(t *syntax.Regexp) [][]byte {
	switch t.Op {
	case syntax.OpEmptyMatch:
		return [][]byte{{}}
	case syntax.OpLiteral:
		var w []byte
		for _, r := range t.Rune {
			if r >= utf8.RuneSelf {
				return nil
			}
			w = append(w, byte(unicode.ToLower(r)))
		}
		return [][]byte{w}
	case syntax.OpCharClass:
		var out [][]byte
		for i := 0; i+1 < len(t.Rune); i += 2 {
			if t.Rune[i+1] >= utf8.RuneSelf || t.Rune[i+1]-t.Rune[i] > 9 || len(out) > mostExact {
				return nil
			}
			for r := t.Rune[i]; r <= t.Rune[i+1]; r++ {
				out = append(out, []byte{byte(unicode.ToLower(r))})
			}
		}
		return distinct(out)
	case syntax.OpCapture:
		return exactly(t.Sub[0])
	case syntax.OpQuest:
		if out := exactly(t.Sub[0]); out != nil {
			return distinct(append(out, []byte{}))
		}
	case syntax.OpAlternate:
		var out [][]byte
		for _, s := range t.Sub {
			one := exactly(s)
			if one == nil || len(out)+len(one) > mostExact {
				return nil
			}
			out = append(out, one...)
		}
		return distinct(out)
	case syntax.OpConcat:
		out := [][]byte{{}}
		for _, s := range t.Sub {
			one := exactly(s)
			if one == nil || len(out)*len(one) > mostExact {
				return nil
			}
			out = times(out, one)
		}
		return out
	}
	return nil
}

// times returns every text of a before every text of b.
func times(a, b [][]byte) [][]byte {
	out := make([][]byte, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			out = append(out, append(slices.Clone(x), y...))
		}
	}
	return distinct(out)
}

func distinct(words [][]byte) [][]byte {
	slices.SortFunc(words, bytes.Compare)
	return slices.CompactFunc(words, bytes.Equal)
}

func longest(words [][]byte) int {
	n := 0
	for _, w := range words {
		n = max(n, len(w))
	}
	return n
}

// worth says how seldom words are likely to be in a text that has none of an
// expression's matches: long ones, and those with digits and signs, as far as
// names and JSON do not have them anyway.
func worth(words [][]byte) int {
	least := 1 << 10
	for _, w := range words {
		n := len(w)
		for _, c := range w {
			if c >= '0' && c <= '9' || c == '*' {
				n += 8
			}
		}
		least = min(least, n)
	}
	return least
}

// leading returns the literal that every match begins with, or "".
func leading(t *syntax.Regexp) string {
	switch {
	case t.Op == syntax.OpLiteral && t.Flags&syntax.FoldCase == 0:
		return string(t.Rune)
	case t.Op == syntax.OpConcat, t.Op == syntax.OpCapture:
		return leading(t.Sub[0])
	}
	return ""
}

// needed returns the longest literal that every match contains, or "".
func needed(t *syntax.Regexp) string {
	switch t.Op {
	case syntax.OpLiteral:
		if t.Flags&syntax.FoldCase == 0 {
			return string(t.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(t.Sub[0])
	case syntax.OpRepeat:
		if t.Min > 0 {
			return needed(t.Sub[0])
		}
	case syntax.OpConcat:
		best := ""
		for _, s := range t.Sub {
			if lit := needed(s); len(lit) > len(best) {
				best = lit
			}
		}
		return best
	}
	return ""
}

var backReference = regexp.MustCompile(`\\[1-9]|\\k[<{']`)

// regexpSize estimates the size of the compiled program without compiling it.
func regexpSize(t *syntax.Regexp, depth int) int {
	if depth > 200 {
		return maxProgram + 1
	}
	n := 1
	if t.Op == syntax.OpLiteral {
		n = len(t.Rune)
	}
	for _, s := range t.Sub {
		if n += regexpSize(s, depth+1); n > maxProgram {
			return n
		}
	}
	if t.Op == syntax.OpRepeat {
		if t.Max > 0 {
			n *= t.Max
		} else {
			n *= t.Min + 1
		}
	}
	return n
}
