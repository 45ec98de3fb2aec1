package prove

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what one token of a glob matches.
type tokenKind uint8

const (
	literal tokenKind = iota // one rune, or with fold its other case too
	anyOne                   // ?
	anyMany                  // *
	opaque                   // the value of a policy variable: unknown text, equal to itself
)

type token struct {
	kind  tokenKind
	r     rune
	fold  bool // letters of either case
	bound bool // never a colon: a wildcard held within its ARN segment
	name  string
}

func (t token) accepts(r rune) bool {
	switch t.kind {
	case literal:
		return t.r == r || t.fold && unicode.ToLower(t.r) == unicode.ToLower(r)
	case opaque:
		return true
	default:
		return !t.bound || r != ':'
	}
}

// glob is one wildcard pattern as tokens. The language of a glob is the set of
// texts that it matches; an opaque token makes that set depend on a variable,
// and then the glob stands for the largest it can be.
type glob []token

// splitting says how the wildcards of a glob treat colons.
type splitting uint8

const (
	plain       splitting = iota // a wildcard matches anything
	resourceARN                  // as the Resource element: see identity.NewResourcePattern
	segmentARN                   // as the Arn operators: each segment by itself
)

// globOf makes a glob of pattern parts.
func globOf(parts []part, wild bool, split splitting, fold bool) glob {
	var g glob
	colons := 0
	early := split == segmentARN || split == resourceARN && len(parts) > 0 && strings.HasPrefix(parts[0].text, "arn:")
	for pi, p := range parts {
		if p.variable != "" {
			g = append(g, token{kind: opaque, name: p.variable, bound: split == segmentARN && colons < 5})
			continue
		}
		runes := []rune(p.text)
		for i, r := range runes {
			t := token{kind: literal, r: r, fold: fold}
			held := early && colons < 5
			switch {
			case p.literal || !wild:
			case r == '*':
				t = token{kind: anyMany, bound: held}
				atEnd := i+1 == len(runes) && pi+1 == len(parts) || i+1 < len(runes) && runes[i+1] == ':'
				if split == resourceARN && atEnd {
					t.bound = false
				}
			case r == '?':
				t = token{kind: anyOne, bound: held}
			}
			if r == ':' {
				colons++
			}
			if n := len(g); t.kind == anyMany && n > 0 && g[n-1].kind == anyMany {
				g[n-1].bound = g[n-1].bound && t.bound
				continue
			}
			g = append(g, t)
		}
	}
	return g
}

// text makes a glob that matches exactly s.
func text(s string) glob { return globOf([]part{{text: s, literal: true}}, false, plain, false) }

// wildcard makes a plain glob of a pattern with * and ?.
func wildcard(s string) glob { return globOf([]part{{text: s}}, true, plain, false) }

// exact returns the only text that g matches, if there is just one.
func (g glob) exact() (string, bool) {
	var b strings.Builder
	for _, t := range g {
		if t.kind != literal || t.fold && unicode.IsLetter(t.r) {
			return "", false
		}
		b.WriteRune(t.r)
	}
	return b.String(), true
}

func (g glob) hasOpaque() bool {
	for _, t := range g {
		if t.kind == opaque {
			return true
		}
	}
	return false
}

// match reports whether g matches the whole of s; opaque tokens match anything.
func (g glob) match(s string) bool {
	// Most texts differ before the first wildcard.
	for len(g) > 0 && g[0].kind == literal {
		r, size := utf8.DecodeRuneInString(s)
		if size == 0 || !g[0].accepts(r) {
			return false
		}
		g, s = g[1:], s[size:]
	}
	if len(g) == 0 || len(g) == 1 && g[0].kind == anyMany && !g[0].bound {
		return len(g) == 1 || s == ""
	}
	cur := make([]bool, len(g)+1)
	cur[0] = true
	spread := func() {
		for i, t := range g {
			if cur[i] && (t.kind == anyMany || t.kind == opaque) {
				cur[i+1] = true
			}
		}
	}
	spread()
	for _, r := range s {
		for i := len(g); i >= 0; i-- {
			stay := i < len(g) && cur[i] && g[i].kind >= anyMany && g[i].accepts(r)
			moved := i > 0 && cur[i-1] && g[i-1].kind < anyMany && g[i-1].accepts(r)
			cur[i] = stay || moved
		}
		spread()
	}
	return cur[len(g)]
}

// covers reports whether every text of h is one of g, judged token by token: a
// wildcard of h is covered by a star of g alone, an opaque token by itself or a
// star. True is certain; false may be wrong for patterns that overlap oddly.
func (g glob) covers(h glob) bool {
	// reach[i] says that g[:i] covers h[:j] for the current j.
	reach := make([]bool, len(g)+1)
	reach[0] = true
	spread := func() {
		for i, t := range g {
			if reach[i] && t.kind == anyMany {
				reach[i+1] = true
			}
		}
	}
	spread()
	for _, t := range h {
		for i := len(g); i >= 0; i-- {
			stay := i < len(g) && reach[i] && g[i].kind == anyMany && (!g[i].bound || neverColon(t))
			moved := i > 0 && reach[i-1] && swallows(g[i-1], t)
			reach[i] = stay || moved
		}
		spread()
	}
	return reach[len(g)]
}

func neverColon(t token) bool {
	if t.kind == literal {
		return t.r != ':'
	}
	return t.bound
}

// swallows reports whether the single token a of a covering pattern matches all
// that b can be.
func swallows(a, b token) bool {
	switch a.kind {
	case literal:
		if b.kind != literal {
			return false
		}
		if a.fold {
			return unicode.ToLower(a.r) == unicode.ToLower(b.r)
		}
		return a.r == b.r && !(b.fold && unicode.IsLetter(b.r))
	case anyOne:
		return (b.kind == literal || b.kind == anyOne) && (!a.bound || neverColon(b))
	case opaque:
		return b.kind == opaque && a.name == b.name
	}
	return false
}

// meets reports whether some text is of both globs; opaque tokens may be
// anything.
func (g glob) meets(h glob) bool {
	cols := len(h) + 1
	seen := make([]bool, (len(g)+1)*cols)
	stack := []int{0}
	push := func(i, j int) {
		if k := i*cols + j; !seen[k] {
			seen[k] = true
			stack = append(stack, k)
		}
	}
	seen[0] = true
	for len(stack) > 0 {
		k := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		i, j := k/cols, k%cols
		if i == len(g) && j == len(h) {
			return true
		}
		if i < len(g) && g[i].kind >= anyMany {
			push(i+1, j)
		}
		if j < len(h) && h[j].kind >= anyMany {
			push(i, j+1)
		}
		if i == len(g) || j == len(h) || !together(g[i], h[j]) {
			continue
		}
		ni, nj := i+1, j+1
		if g[i].kind >= anyMany {
			ni = i
		}
		if h[j].kind >= anyMany {
			nj = j
		}
		if ni == i && nj == j {
			continue // both stay: the pushes above go on from here
		}
		push(ni, nj)
	}
	return false
}

// together reports whether one rune can be matched by both tokens.
func together(a, b token) bool {
	switch {
	case a.kind == literal && b.kind == literal:
		if a.fold || b.fold {
			return unicode.ToLower(a.r) == unicode.ToLower(b.r)
		}
		return a.r == b.r
	case a.kind == literal:
		return b.accepts(a.r)
	case b.kind == literal:
		return a.accepts(b.r)
	}
	return true
}
