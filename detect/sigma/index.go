package sigma

import (
	"math/bits"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// index finds the rules that can match a CloudTrail event from a few fields of
// few values. For each combination of values it remembers which rules are not
// refuted by them; the rules left are the intersection.
type index struct {
	rules      []*Rule
	dimensions []*dimension
	byName     *byName
	known      []bool // by slot: scratch of partial evaluation
	left       []uint64
	key        []byte
}

type dimension struct {
	slots         []event.Slot
	seen          map[string][]uint64
	asked, missed int
	off           bool // the field has too many values for this to pay
}

// A dimension whose values keep being new is given up.
const trial, mostMissed = 1024, trial / 4

// maxSeen bounds the memory of a dimension; when it is full it starts afresh.
const maxSeen, maxKey = 4096, 512

func newIndex(g *Engine) *index {
	x := &index{rules: g.byKind[event.CloudTrail], byName: g.byName, known: make([]bool, g.schema.Len())}
	x.left = make([]uint64, (len(x.rules)+63)/64)
	for _, paths := range [][]string{
		{"eventSource", "eventName"},
		{"userIdentity.type", "errorCode", "eventType"},
		{"userAgent"},
	} {
		d := &dimension{seen: map[string][]uint64{}}
		for _, p := range paths {
			s, _ := g.schema.Slot(p)
			d.slots = append(d.slots, s)
		}
		if x.useful(d) {
			x.dimensions = append(x.dimensions, d)
		}
	}
	return x
}

// useful reports whether some rule that reads the dimension's fields would be
// left by the dimensions before it, whatever the event.
func (x *index) useful(d *dimension) bool {
	if len(x.dimensions) == 0 {
		return true
	}
	first := x.dimensions[0].slots
	for _, r := range x.rules {
		reads, bound := false, false
		for _, c := range r.conditions {
			c.items(func(it *item) {
				for _, s := range d.slots {
					reads = reads || it.field != "" && it.slot == s
				}
				for _, s := range first {
					bound = bound || it.field != "" && it.slot == s && !it.negate
				}
			})
		}
		if reads && !bound {
			return true
		}
	}
	return false
}

func (e *expr) items(visit func(*item)) {
	if e.op == opItem {
		visit(e.item)
	}
	for _, k := range e.kids {
		k.items(visit)
	}
}

// candidates returns the set of rules that can match the matcher's event.
func (x *index) candidates(m *Matcher) []uint64 {
	for i, d := range x.dimensions {
		if d.off {
			continue
		}
		if i > 0 && few(x.left) {
			break
		}
		set := x.lookup(m, d)
		if i == 0 {
			copy(x.left, set)
			continue
		}
		for w := range x.left {
			x.left[w] &= set[w]
		}
	}
	return x.left
}

// few reports whether trying the rules that are left costs less than looking
// for more that are refuted.
func few(set []uint64) bool {
	n := 0
	for _, w := range set {
		n += bits.OnesCount64(w)
	}
	return n <= 2
}

func (x *index) lookup(m *Matcher, d *dimension) []uint64 {
	if d.asked++; d.asked == trial {
		if d.missed > mostMissed && d != x.dimensions[0] {
			d.off, d.seen = true, nil
			return x.refute(m, d)
		}
		d.asked, d.missed = 0, 0
	}
	x.key = x.key[:0]
	for _, s := range d.slots {
		vs := m.event.Values(s)
		if len(vs) != 1 {
			if len(vs) > 1 {
				return x.refute(m, d)
			}
			x.key = append(x.key, 0, 0)
			continue
		}
		x.key = append(x.key, byte(vs[0].Kind))
		x.key = append(x.key, vs[0].Text...)
		x.key = append(x.key, 0)
	}
	if set, ok := d.seen[string(x.key)]; ok {
		return set
	}
	d.missed++
	set := x.refute(m, d)
	if len(x.key) <= maxKey {
		if len(d.seen) >= maxSeen {
			clear(d.seen)
		}
		d.seen[string(x.key)] = set
	}
	return set
}

// refute returns the rules that the dimension's fields alone do not refute.
func (x *index) refute(m *Matcher, d *dimension) []uint64 {
	for _, s := range d.slots {
		x.known[s] = true
	}
	set := make([]uint64, len(x.left))
	try := x.byName.candidates(m, x, d)
	for i, r := range x.rules {
		if try != nil && try[i/64]&(1<<(i%64)) == 0 {
			if d != x.first() {
				set[i/64] |= 1 << (i % 64)
			}
			continue
		}
		for _, c := range r.conditions {
			if c.partial(m, x.known) != no {
				set[i/64] |= 1 << (i % 64)
				break
			}
		}
	}
	for _, s := range d.slots {
		x.known[s] = false
	}
	return set
}

// partial evaluates a condition where only some fields are known, by Kleene's
// three-valued logic.
func (e *expr) partial(m *Matcher, known []bool) truth {
	switch e.op {
	case opItem:
		it := e.item
		if it.field == "" || !known[it.slot] {
			return unknown
		}
		for _, r := range it.refs {
			if !known[r.slot] {
				return unknown
			}
		}
		if it.match(m) {
			return yes
		}
		return no
	case opNamed:
		return e.kids[0].partial(m, known)
	case opNot:
		return -e.kids[0].partial(m, known)
	case opAnd:
		out := yes
		for _, k := range e.kids {
			if out = min(out, k.partial(m, known)); out == no {
				break
			}
		}
		return out
	case opOr:
		out := no
		for _, k := range e.kids {
			if out = max(out, k.partial(m, known)); out == yes {
				break
			}
		}
		return out
	}
	sure, possible := 0, 0
	for _, k := range e.kids {
		switch k.partial(m, known) {
		case yes:
			sure, possible = sure+1, possible+1
		case unknown:
			possible++
		}
	}
	switch {
	case sure >= e.n:
		return yes
	case possible >= e.n:
		return unknown
	}
	return no
}

type truth int8

const (
	no      truth = -1
	unknown truth = 0
	yes     truth = 1
)

// first is the dimension of the events' names.
func (x *index) first() *dimension { return x.dimensions[0] }

// byName knows which rules are about certain events only, by the names of the
// events in lower case, so that for a new name few rules need be looked at.
type byName struct {
	rules map[string][]uint64
	any   []uint64 // rules that may be about any event
	slot  event.Slot
}

func newByName(rules []*Rule, slot event.Slot) *byName {
	words := (len(rules) + 63) / 64
	b := &byName{rules: map[string][]uint64{}, any: make([]uint64, words), slot: slot}
	for i, r := range rules {
		names, known := r.Values("eventName")
		for _, n := range names {
			known = known && !strings.ContainsAny(n, "*?")
		}
		if !known {
			b.any[i/64] |= 1 << (i % 64)
			continue
		}
		for _, n := range names {
			n = string(fold(nil, []byte(n)))
			if b.rules[n] == nil {
				b.rules[n] = make([]uint64, words)
			}
			b.rules[n][i/64] |= 1 << (i % 64)
		}
	}
	return b
}

// candidates returns the rules that a dimension should try to refute, or nil for
// all of them. By event names all other rules are refuted; by user agents, of
// which there are many, only rules about any event are tried.
func (b *byName) candidates(m *Matcher, x *index, d *dimension) []uint64 {
	if d != x.first() {
		if len(d.slots) == 1 {
			return b.any
		}
		return nil
	}
	vs := m.event.Values(b.slot)
	if len(vs) != 1 || vs[0].Kind != event.String {
		return nil
	}
	set := b.rules[string(fold(nil, vs[0].Text))]
	if set == nil {
		return b.any
	}
	out := make([]uint64, len(set))
	for w := range set {
		out[w] = set[w] | b.any[w]
	}
	return out
}
