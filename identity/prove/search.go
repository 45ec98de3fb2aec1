package prove

import (
	"errors"
	"slices"
	"sort"
	"strings"
	"unicode"
)

// errTooHard says that a question about texts was given up within its bounds.
var errTooHard = errors.New("the patterns overlap in too many ways to enumerate")

// maxSearch bounds the states that one search may visit.
const maxSearch = 60_000

// language is a union of globs.
type language []glob

func (l language) match(s string) bool {
	for _, g := range l {
		if g.match(s) {
			return true
		}
	}
	return false
}

// find returns a text that is in every language of in and in none of out, or
// reports that there is none. Opaque tokens are read as largest in in and are
// left away in out, so "none" holds for every value of the variables; a text
// found is only certain where no opaque token is concerned.
// prefer lists texts to try first.
func find(in, out []language, prefer []string, b *budget) (string, bool, error) {
	weight := 1
	for _, l := range slices.Concat(in, out) {
		weight += len(l)
	}
	ok := func(s string) bool {
		if !b.spend(weight) {
			return false
		}
		for _, l := range in {
			if !l.match(s) {
				return false
			}
		}
		for _, l := range out {
			for _, g := range l {
				if !g.hasOpaque() && g.match(s) {
					return false
				}
			}
		}
		return true
	}
	base := language{wildcard("*")}
	for _, l := range in {
		if len(l) < len(base) || base[0].isAll() && len(base) == 1 {
			base = l
		}
	}
	hard := false
	for _, s := range prefer {
		if base.match(s) && ok(s) && !opaquelyOut(s, base, out) {
			return s, true, nil
		}
	}
next:
	for _, g := range base {
		if !b.spend(weight) {
			return "", false, errTooHard
		}
		for _, l := range out {
			for _, n := range l {
				if n.covers(g) {
					continue next
				}
			}
		}
		if s, is := g.exact(); is {
			if ok(s) {
				return s, true, nil
			}
			continue
		}
		for _, fill := range fills {
			if s := g.instance(fill); ok(s) {
				return s, true, nil
			}
		}
		s, found, err := product(g, in, out, b)
		if err != nil {
			hard = true
			continue
		}
		if found {
			return s, true, nil
		}
	}
	if hard || *b <= 0 {
		return "", false, errTooHard
	}
	return "", false, nil
}

// budget bounds the work on one question, in comparisons of a text with a glob.
type budget int

// maxWork is the budget of a question about one class of callers: a few seconds.
const maxWork budget = 30_000_000

func (b *budget) spend(n int) bool {
	*b -= budget(n)
	return *b > 0
}

// opaquelyOut guards a preferred text: where the pattern that let it in is
// covered, token by token, by an excluded pattern with a variable, it proves
// nothing.
func opaquelyOut(s string, base language, out []language) bool {
	for _, g := range base {
		if !g.match(s) || !g.hasOpaque() {
			continue
		}
		for _, l := range out {
			for _, n := range l {
				if n.covers(g) {
					return true
				}
			}
		}
	}
	return false
}

// fills are what stars are replaced with for a first guess.
var fills = []string{"example", "", "x"}

func (g glob) isAll() bool { return len(g) == 1 && g[0].kind == anyMany && !g[0].bound }

// instance replaces every wildcard.
func (g glob) instance(fill string) string {
	var b strings.Builder
	for _, t := range g {
		switch t.kind {
		case literal:
			b.WriteRune(t.r)
		case anyOne:
			b.WriteByte('x')
		default:
			b.WriteString(fill)
		}
	}
	return b.String()
}

// product walks the automata of all globs side by side, breadth first, so that
// the text it finds is a shortest one.
func product(base glob, in, out []language, b *budget) (string, bool, error) {
	var m machine
	must := []group{m.add(language{base})}
	for _, l := range in {
		g := m.add(l.meeting(base))
		if g.empty() {
			return "", false, nil
		}
		must = append(must, g)
	}
	var not []group
	for _, l := range out {
		if g := m.add(l.meeting(base).ground()); !g.empty() {
			not = append(not, g)
		}
	}
	alphabet := m.alphabet()
	start := m.start()
	type visit struct {
		state  []uint64
		parent int
		by     rune
	}
	queue := []visit{{state: start, parent: -1}}
	seen := map[string]bool{key(start): true}
	for at := 0; at < len(queue); at++ {
		v := queue[at]
		if m.accepts(v.state, must, not) {
			var runes []rune
			for i := at; queue[i].parent >= 0; i = queue[i].parent {
				runes = append(runes, queue[i].by)
			}
			for i, j := 0, len(runes)-1; i < j; i, j = i+1, j-1 {
				runes[i], runes[j] = runes[j], runes[i]
			}
			return string(runes), true, nil
		}
		if !b.spend(len(alphabet) * (1 + len(start))) {
			return "", false, errTooHard
		}
		for _, r := range alphabet {
			next := m.step(v.state, r)
			if !m.alive(next, must) {
				continue
			}
			k := key(next)
			if seen[k] {
				continue
			}
			if len(seen) >= maxSearch {
				return "", false, errTooHard
			}
			seen[k] = true
			queue = append(queue, visit{next, at, r})
		}
	}
	return "", false, nil
}

// meeting returns the globs of l that share a text with g.
func (l language) meeting(g glob) language {
	var met language
	for _, h := range l {
		if h.meets(g) {
			met = append(met, h)
		}
	}
	return met
}

// ground returns the globs without variables.
func (l language) ground() language {
	var g language
	for _, h := range l {
		if !h.hasOpaque() {
			g = append(g, h)
		}
	}
	return g
}

// machine holds several globs in one bit set: each glob has a bit for every
// token and one for its end.
type machine struct {
	tokens []token // the token that leaves each bit; ends have kind end
	ends   []bool
	starts []int
}

// group is the bits [from, to) of one language.
type group struct{ from, to int }

func (g group) empty() bool { return g.from == g.to }

func (m *machine) add(l language) group {
	g := group{from: len(m.tokens)}
	for _, h := range l {
		m.starts = append(m.starts, len(m.tokens))
		for _, t := range h {
			m.tokens = append(m.tokens, t)
			m.ends = append(m.ends, false)
		}
		m.tokens = append(m.tokens, token{})
		m.ends = append(m.ends, true)
	}
	g.to = len(m.tokens)
	return g
}

func (m *machine) set(s []uint64, i int) {
	for s[i/64]>>(i%64)&1 == 0 {
		s[i/64] |= 1 << (i % 64)
		if m.ends[i] || m.tokens[i].kind < anyMany {
			return
		}
		i++ // a star may match nothing
	}
}

func (m *machine) start() []uint64 {
	s := make([]uint64, len(m.tokens)/64+1)
	for _, i := range m.starts {
		m.set(s, i)
	}
	return s
}

func (m *machine) step(s []uint64, r rune) []uint64 {
	next := make([]uint64, len(s))
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			i := w*64 + trailing(word)
			if m.ends[i] || !m.tokens[i].accepts(r) {
				continue
			}
			if m.tokens[i].kind >= anyMany {
				m.set(next, i)
			} else {
				m.set(next, i+1)
			}
		}
	}
	return next
}

func (m *machine) alive(s []uint64, must []group) bool {
	for _, g := range must {
		if !anyBit(s, g.from, g.to) {
			return false
		}
	}
	return true
}

// anyBit reports whether a bit of [from, to) is set.
func anyBit(s []uint64, from, to int) bool {
	for w := from / 64; w*64 < to; w++ {
		word := s[w]
		if w == from/64 {
			word &= ^uint64(0) << (from % 64)
		}
		if over := (w+1)*64 - to; over > 0 {
			word &= ^uint64(0) >> over
		}
		if word != 0 {
			return true
		}
	}
	return false
}

func (m *machine) accepts(s []uint64, must, not []group) bool {
	done := func(g group) bool {
		for i := g.from; i < g.to; i++ {
			if m.ends[i] && s[i/64]>>(i%64)&1 == 1 {
				return true
			}
		}
		return false
	}
	for _, g := range must {
		if !done(g) {
			return false
		}
	}
	for _, g := range not {
		if done(g) {
			return false
		}
	}
	return true
}

// alphabet returns the runes that the globs tell apart, and one that none names.
func (m *machine) alphabet() []rune {
	set := map[rune]bool{':': true}
	for i, t := range m.tokens {
		if m.ends[i] || t.kind != literal {
			continue
		}
		set[t.r] = true
		if t.fold {
			set[unicode.ToLower(t.r)] = true
			set[unicode.ToUpper(t.r)] = true
		}
	}
	var runes []rune
	for r := range set {
		runes = append(runes, r)
	}
	sort.Slice(runes, func(i, j int) bool { return runes[i] < runes[j] })
	for _, r := range "xzqwjvkyupbfghmrtdlcnsoeai0123456789XZQ_-ƀ" {
		if !set[r] && !set[unicode.ToUpper(r)] {
			return append([]rune{r}, runes...)
		}
	}
	fresh := rune(0x4e00)
	for set[fresh] {
		fresh++
	}
	return append([]rune{fresh}, runes...)
}

func key(s []uint64) string {
	var b strings.Builder
	b.Grow(len(s) * 8)
	for _, w := range s {
		for range 8 {
			b.WriteByte(byte(w))
			w >>= 8
		}
	}
	return b.String()
}
