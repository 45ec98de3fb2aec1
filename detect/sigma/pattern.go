package sigma

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
)

// A token of a pattern: literal text, any text (*) or one character (?).
type token struct {
	lit string
	any bool
	one bool
}

// parsePattern reads Sigma's wildcards and escapes. A backslash escapes *, ?
// and itself; before anything else it stands for itself.
func parsePattern(s string) []token {
	var out []token
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			out = append(out, token{lit: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '?' || s[i+1] == '\\'):
			i++
			lit.WriteByte(s[i])
		case c == '*':
			flush()
			if len(out) == 0 || !out[len(out)-1].any {
				out = append(out, token{any: true})
			}
		case c == '?':
			flush()
			out = append(out, token{one: true})
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return out
}

func plain(tokens []token) (string, bool) {
	switch len(tokens) {
	case 0:
		return "", true
	case 1:
		return tokens[0].lit, !tokens[0].any && !tokens[0].one
	}
	return "", false
}

func withAny(tokens []token, before, after bool) []token {
	var out []token
	if before && (len(tokens) == 0 || !tokens[0].any) {
		out = append(out, token{any: true})
	}
	out = append(out, tokens...)
	if after && (len(out) == 0 || !out[len(out)-1].any) {
		out = append(out, token{any: true})
	}
	return out
}

type shape uint8

const (
	exact shape = iota
	prefix
	suffix
	contains
	anything
	glob
)

// pattern is a compiled text pattern.
type pattern struct {
	shape  shape
	lit    []byte
	tokens []token
	cased  bool
}

// compilePattern folds the literals unless cased: text is folded before match.
func compilePattern(tokens []token, cased bool) *pattern {
	p := &pattern{cased: cased, shape: glob}
	for _, t := range tokens {
		if !cased {
			t.lit = string(fold(nil, []byte(t.lit)))
		}
		p.tokens = append(p.tokens, t)
	}
	t := p.tokens
	isLit := func(i int) bool { return !t[i].any && !t[i].one }
	switch {
	case len(t) == 0:
		p.shape = exact
	case len(t) == 1 && isLit(0):
		p.shape, p.lit = exact, []byte(t[0].lit)
	case len(t) == 1 && t[0].any:
		p.shape = anything
	case len(t) == 2 && isLit(0) && t[1].any:
		p.shape, p.lit = prefix, []byte(t[0].lit)
	case len(t) == 2 && t[0].any && isLit(1):
		p.shape, p.lit = suffix, []byte(t[1].lit)
	case len(t) == 3 && t[0].any && isLit(1) && t[2].any:
		p.shape, p.lit = contains, []byte(t[1].lit)
	}
	return p
}

// match reports whether text, folded unless the pattern is cased, matches.
func (p *pattern) match(text []byte) bool {
	switch p.shape {
	case exact:
		return bytes.Equal(text, p.lit)
	case prefix:
		return bytes.HasPrefix(text, p.lit)
	case suffix:
		return bytes.HasSuffix(text, p.lit)
	case contains:
		return bytes.Contains(text, p.lit)
	case anything:
		return true
	}
	return matchTokens(p.tokens, text)
}

// matchTokens walks the pattern, going back only to the last star, so that the
// time is bounded by the product of the lengths.
func matchTokens(tokens []token, text []byte) bool {
	ti, star := 0, -1
	i, mark := 0, 0
	for {
		if ti < len(tokens) {
			t := tokens[ti]
			switch {
			case t.any:
				star, mark = ti, i
				ti++
				continue
			case t.one:
				if i < len(text) {
					_, n := utf8.DecodeRune(text[i:])
					i += n
					ti++
					continue
				}
			default:
				if bytes.HasPrefix(text[i:], []byte(t.lit)) {
					i += len(t.lit)
					ti++
					continue
				}
			}
		} else if i == len(text) {
			return true
		}
		if star < 0 || mark >= len(text) {
			return false
		}
		// Skip ahead to where the literal behind the star stands next.
		mark++
		if star+1 < len(tokens) && tokens[star+1].lit != "" {
			j := bytes.Index(text[mark:], []byte(tokens[star+1].lit))
			if j < 0 {
				return false
			}
			mark += j
		}
		ti, i = star+1, mark
	}
}

// fold appends text in lower case to dst.
func fold(dst, text []byte) []byte {
	n := len(dst)
	dst = slices.Grow(dst, len(text))[:n+len(text)]
	out, i := dst[n:], 0
	for ; i+8 <= len(text); i += 8 {
		w := binary.LittleEndian.Uint64(text[i:])
		if w&tops != 0 {
			return append(dst[:n+i], bytes.ToLower(text[i:])...)
		}
		// The top bit of a byte of which one sum is beyond A and the other is not
		// beyond Z.
		capitals := ((w + fromA) ^ (w + fromZ)) & tops
		binary.LittleEndian.PutUint64(out[i:], w|capitals>>2)
	}
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			return append(dst[:n+i], bytes.ToLower(text[i:])...)
		case c >= 'A' && c <= 'Z':
			c |= 0x20
		}
		out[i] = c
	}
	return dst
}

// For eight bytes at a time: what lifts A, and what is behind Z, to the top bit.
const (
	tops  = 0x8080808080808080
	fromA = 0x0101010101010101 * (0x80 - 'A')
	fromZ = 0x0101010101010101 * (0x80 - 'Z' - 1)
)
