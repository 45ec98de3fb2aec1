package identity

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Pattern is a compiled wildcard string: * stands for any characters, also
// none, and ? for exactly one. Matching takes time linear in the text (times
// the pattern's length over 64), whatever the pattern. The zero value matches
// only "". A Pattern is immutable.
type Pattern struct {
	source string
	exact  bool     // no wildcards: compare with chunks[0]
	chunks []string // what stands between the stars
	nfa    *nfa     // for ? and for stars that must stop at a colon
}

// wildToken is a character of a pattern.
type wildToken struct {
	r     rune
	kind  tokenKind
	bound bool // must not match a colon
}

type tokenKind uint8

const (
	literal tokenKind = iota
	anyOne
	anyMany
)

// NewPattern compiles a pattern in which every * and ? is a wildcard that
// matches any character.
func NewPattern(s string) Pattern { return newPattern(s, false) }

// NewResourcePattern compiles the pattern of a Resource element. In the first
// five segments of an ARN a wildcard stays within its segment, except that a *
// which ends its segment expands beyond the colon; in the resource itself it
// matches anything.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func NewResourcePattern(s string) Pattern { return newPattern(s, true) }

func newPattern(s string, resource bool) Pattern {
	if !strings.ContainsAny(s, "*?") {
		return Pattern{source: s, exact: true, chunks: []string{s}}
	}
	p := compileTokens(tokens(s, resource))
	p.source = s
	return p
}

func tokens(s string, resource bool) []wildToken {
	list := make([]wildToken, 0, len(s))
	colons := 0
	early := resource && strings.HasPrefix(s, "arn:")
	for i, r := range s {
		t := wildToken{r: r}
		switch r {
		case '*':
			t.kind = anyMany
			atEnd := i+1 == len(s) || s[i+1] == ':'
			t.bound = early && colons < 5 && !atEnd
		case '?':
			t.kind = anyOne
			t.bound = early && colons < 5
		case ':':
			colons++
		}
		list = append(list, t)
	}
	return list
}

// compileTokens chooses between chunks, which is fast, and the bit automaton.
// A run of stars is one star, bound only if each is.
func compileTokens(list []wildToken) Pattern {
	n := 0
	simple := true
	for _, t := range list {
		if t.kind == anyMany && n > 0 && list[n-1].kind == anyMany {
			list[n-1].bound = list[n-1].bound && t.bound
			continue
		}
		list[n] = t
		n++
	}
	list = list[:n]
	stars := 0
	for _, t := range list {
		if t.kind == anyOne || t.kind == anyMany && t.bound {
			simple = false
		}
		if t.kind == anyMany {
			stars++
		}
	}
	if !simple {
		return Pattern{nfa: newNFA(list)}
	}
	chunks := make([]string, 0, stars+1)
	var b strings.Builder
	for _, t := range list {
		if t.kind == anyMany {
			chunks = append(chunks, b.String())
			b.Reset()
		} else {
			b.WriteRune(t.r)
		}
	}
	chunks = append(chunks, b.String())
	return Pattern{exact: stars == 0, chunks: chunks}
}

// String returns the pattern's source.
func (p *Pattern) String() string { return p.source }

// IsExact reports whether the pattern has no wildcard.
func (p *Pattern) IsExact() bool { return p.exact }

// MatchesAll reports whether the pattern is only stars.
func (p *Pattern) MatchesAll() bool {
	return len(p.chunks) == 2 && p.chunks[0] == "" && p.chunks[1] == ""
}

// Match reports whether the pattern matches the whole of s.
func (p *Pattern) Match(s string) bool {
	switch {
	case p.nfa != nil:
		return p.nfa.match(s)
	case p.exact:
		return s == p.chunks[0]
	case len(p.chunks) == 0:
		return s == ""
	}
	last := len(p.chunks) - 1
	if !strings.HasPrefix(s, p.chunks[0]) {
		return false
	}
	s = s[len(p.chunks[0]):]
	if !strings.HasSuffix(s, p.chunks[last]) {
		return false
	}
	s = s[:len(s)-len(p.chunks[last])]
	// Between two stars the leftmost occurrence leaves the most for the rest.
	for _, c := range p.chunks[1:last] {
		i := strings.Index(s, c)
		if i < 0 {
			return false
		}
		s = s[i+len(c):]
	}
	return true
}

// matchFold is Match for a pattern in lower case against a text in any case.
// It allocates nothing for ordinary actions.
func (p *Pattern) matchFold(s string) bool {
	const long = 256
	if p.nfa != nil || len(p.chunks) == 0 || len(s) > long {
		return p.Match(strings.ToLower(s))
	}
	first, last := p.chunks[0], p.chunks[len(p.chunks)-1]
	if p.exact {
		return len(s) == len(first) && hasPrefixFold(s, first)
	}
	if !hasPrefixFold(s, first) {
		return false
	}
	s = s[len(first):]
	if len(s) < len(last) || !hasPrefixFold(s[len(s)-len(last):], last) {
		return false
	}
	s = s[:len(s)-len(last)]
	for _, c := range p.chunks[1 : len(p.chunks)-1] {
		i := 0
		for ; i+len(c) <= len(s); i++ {
			if hasPrefixFold(s[i:], c) {
				break
			}
		}
		if i+len(c) > len(s) {
			return false
		}
		s = s[i+len(c):]
	}
	return true
}

func hasPrefixFold(s, lower string) bool {
	if len(s) < len(lower) {
		return false
	}
	for i := range len(lower) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// nfa is the pattern as a bit automaton: state i means that i characters of the
// pattern, stars not counted, are matched. Its memory is linear in the pattern.
type nfa struct {
	states int
	words  int
	runes  []rune         // the characters of the pattern, if there are few
	index  map[rune]int32 // the same for many; into masks
	masks  [][]maskWord   // per character: the states that it advances
	one    []uint64       // states that any character advances
	oneNC  []uint64       // the same, a colon excepted
	loop   []uint64       // states that stay on any character
	loopNC []uint64
}

// maskWord is one word of a sparse bit set.
type maskWord struct {
	word int32
	bits uint64
}

func newNFA(list []wildToken) *nfa {
	n := &nfa{}
	for _, t := range list {
		if t.kind != anyMany {
			n.states++
		}
	}
	n.words = n.states/64 + 1
	sets := make([]uint64, 4*n.words)
	n.one, n.oneNC, n.loop, n.loopNC = sets[:n.words], sets[n.words:2*n.words], sets[2*n.words:3*n.words], sets[3*n.words:]
	at := 0
	for _, t := range list {
		word, bit := at/64, uint64(1)<<(at%64)
		switch {
		case t.kind == anyMany && t.bound:
			n.loopNC[word] |= bit
		case t.kind == anyMany:
			n.loop[word] |= bit
		case t.kind == anyOne && t.bound:
			n.oneNC[word] |= bit
		case t.kind == anyOne:
			n.one[word] |= bit
		default:
			m := n.slot(t.r)
			if k := len(*m); k > 0 && (*m)[k-1].word == int32(word) {
				(*m)[k-1].bits |= bit
			} else {
				*m = append(*m, maskWord{int32(word), bit})
			}
		}
		if t.kind != anyMany {
			at++
		}
	}
	return n
}

// fewRunes is up to how many characters are searched one by one.
const fewRunes = 16

// slot returns where the mask of a character is kept while building.
func (n *nfa) slot(r rune) *[]maskWord {
	if i := n.find(r); i >= 0 {
		return &n.masks[i]
	}
	i := len(n.masks)
	n.masks = append(n.masks, nil)
	n.runes = append(n.runes, r)
	switch {
	case n.index != nil:
		n.index[r] = int32(i)
	case len(n.runes) > fewRunes:
		n.index = make(map[rune]int32, 2*fewRunes)
		for k, known := range n.runes {
			n.index[known] = int32(k)
		}
	}
	return &n.masks[i]
}

// find returns the place of a character's mask, or -1.
func (n *nfa) find(r rune) int {
	if n.index != nil {
		if i, ok := n.index[r]; ok {
			return int(i)
		}
		return -1
	}
	return slices.Index(n.runes, r)
}

func (n *nfa) mask(r rune) []maskWord {
	if i := n.find(r); i >= 0 {
		return n.masks[i]
	}
	return nil
}

func (n *nfa) match(s string) bool {
	var small [8]uint64 // enough for 511 characters without an allocation
	cur := small[:]
	if n.words > len(small) {
		cur = make([]uint64, n.words)
	}
	cur = cur[:n.words]
	cur[0] = 1
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		i += size
		m := n.mask(r)
		var carry, alive uint64
		for w := range cur {
			adv := n.one[w]
			stay := n.loop[w]
			if r != ':' {
				adv |= n.oneNC[w]
				stay |= n.loopNC[w]
			}
			if len(m) > 0 && m[0].word == int32(w) {
				adv |= m[0].bits
				m = m[1:]
			}
			moved := cur[w] & adv
			next := moved<<1 | carry | cur[w]&stay
			carry = moved >> 63
			cur[w] = next
			alive |= next
		}
		if alive == 0 {
			return false
		}
	}
	return cur[n.states/64]>>(n.states%64)&1 == 1
}

// Match reports whether a pattern with * and ? matches the whole of s, in exact
// case.
func Match(pattern, s string) bool {
	p := NewPattern(pattern)
	return p.Match(s)
}

// MatchAction reports whether an action pattern of a policy (s3:Get*, *)
// matches an action. Case does not matter.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
func MatchAction(pattern, action string) bool {
	p := NewPattern(strings.ToLower(pattern))
	return p.Match(strings.ToLower(action))
}

// MatchResource reports whether a resource pattern without policy variables
// matches a resource. See NewResourcePattern.
func MatchResource(pattern, resource string) bool {
	p := NewResourcePattern(pattern)
	return p.Match(resource)
}

// MatchARN reports whether a pattern matches an ARN as the Arn operators of
// conditions do it: each of the six segments by itself, and only the last may
// hold colons. A pattern that is only * matches every ARN.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func MatchARN(pattern, s string) bool {
	if pattern == "*" {
		return strings.HasPrefix(s, "arn:") && strings.Count(s, ":") >= 5
	}
	for range 5 {
		pp, prest, ok1 := strings.Cut(pattern, ":")
		sp, srest, ok2 := strings.Cut(s, ":")
		if !ok1 || !ok2 || !Match(pp, sp) {
			return false
		}
		pattern, s = prest, srest
	}
	return Match(pattern, s)
}
