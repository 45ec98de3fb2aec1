package sigma

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
)

// index finds the rules that can match a CloudTrail event. It is a tree that
// grows with the events that come: each level asks for a few fields of few
// values, and below each combination of values stand the rules that those do not
// refute.
type index struct {
	engine     *Engine
	root       *branch
	dimensions [][]event.Slot
	known      []bool // by slot: asked for on the way to the branch at hand
	branches   int
	key        []byte
}

// branch is the rules that the values on the way to it leave, and what to ask next.
type branch struct {
	left
	way   string // the values
	below map[string]*branch

	asked, missed int
}

// left is what is known of a branch by whoever has grown it.
type left struct {
	rules     []*Rule
	dimension int // len(index.dimensions): nothing
}

// grown is what the matchers of an engine have found out, so that each finds out
// the same but once.
type grown struct {
	mu sync.Mutex
	by map[string]left // by way
}

func (g *grown) get(way string) (left, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l, ok := g.by[way]
	return l, ok
}

func (g *grown) put(way string, l left) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil || len(g.by) >= maxBranches {
		g.by = map[string]left{}
	}
	g.by[way] = l
}

// A branch whose values keep being new asks for them no longer.
const trial, mostMissed = 1024, trial / 4

// The bounds of the memory of an index; when it is full it starts afresh.
const maxBranches, maxKey = 8192, 512

func newIndex(g *Engine) *index {
	x := &index{engine: g, known: make([]bool, g.schema.Len())}
	for _, paths := range [][]string{
		{"eventSource", "eventName"},
		{"userIdentity.type", "errorCode", "eventType"},
		{"userAgent"},
	} {
		var slots []event.Slot
		for _, p := range paths {
			s, _ := g.schema.Slot(p)
			slots = append(slots, s)
		}
		x.dimensions = append(x.dimensions, slots)
	}
	x.root = &branch{left: left{rules: g.byKind[event.CloudTrail]}}
	return x
}

// candidates returns the rules that can match the matcher's event, in order.
func (x *index) candidates(m *Matcher) []*Rule {
	b := x.root
	for b.dimension < len(x.dimensions) {
		slots := x.dimensions[b.dimension]
		if !x.read(m, slots) {
			break
		}
		b.asked++
		next, ok := b.below[string(x.key)]
		if !ok {
			b.missed++
			if b.asked >= trial && b.missed > b.asked/4 && b != x.root {
				b.below, b.dimension = nil, x.ask(b.rules, b.dimension+1)
				continue
			}
			next = x.grow(m, b)
		}
		b = next
	}
	return b.rules
}

// read makes the key of the event's values; false where a field has several or
// is long.
func (x *index) read(m *Matcher, slots []event.Slot) bool {
	x.key = x.key[:0]
	for _, s := range slots {
		vs := m.event.Values(s)
		switch {
		case len(vs) == 0:
			x.key = append(x.key, 0)
		case len(vs) > 1 || len(vs[0].Text) > maxKey:
			return false
		default:
			n := len(vs[0].Text)
			x.key = append(x.key, byte(vs[0].Kind), byte(n), byte(n>>8)) // with its length, no two lists of values read the same
			x.key = append(x.key, vs[0].Text...)
		}
	}
	return true
}

// grow adds the branch for the event's values below b.
func (x *index) grow(m *Matcher, b *branch) *branch {
	if x.branches++; x.branches > maxBranches {
		x.root.below, x.branches = nil, 1
	}
	next := &branch{way: b.way + strconv.Itoa(b.dimension) + string(x.key)}
	var ok bool
	if next.left, ok = x.engine.grown.get(next.way); !ok {
		next.left = x.leave(m, b)
		x.engine.grown.put(next.way, next.left)
	}
	if b.below == nil {
		b.below = map[string]*branch{}
	}
	b.below[string(x.key)] = next
	return next
}

// leave returns the rules of a branch that the event's values do not refute.
func (x *index) leave(m *Matcher, b *branch) left {
	for d := range x.dimensions[:b.dimension+1] {
		x.know(d, true)
	}
	try := b.rules
	if b == x.root {
		try = x.engine.byName.candidates(m)
	}
	var l left
	for _, r := range try {
		if slices.ContainsFunc(r.conditions, func(c *expr) bool { return c.partial(m, x.known) != no }) {
			l.rules = append(l.rules, r)
		}
	}
	l.dimension = x.ask(l.rules, b.dimension+1)
	for d := range x.dimensions[:b.dimension+1] {
		x.know(d, false)
	}
	return l
}

func (x *index) know(dimension int, known bool) {
	for _, s := range x.dimensions[dimension] {
		x.known[s] = known
	}
}

// ask returns the next dimension that at least two of the rules read: to try a
// single rule costs no more than to look it up.
func (x *index) ask(rules []*Rule, from int) int {
	for ; from < len(x.dimensions); from++ {
		n := 0
		for _, r := range rules {
			if slices.ContainsFunc(r.conditions, func(c *expr) bool { return c.reads(x.dimensions[from]) }) {
				n++
			}
		}
		if n > 1 {
			return from
		}
	}
	return from
}

// reads reports whether an expression tests one of the fields.
func (e *expr) reads(slots []event.Slot) bool {
	if e.op == opItem {
		return e.item.field != "" && slices.Contains(slots, e.item.slot)
	}
	return slices.ContainsFunc(e.kids, func(k *expr) bool { return k.reads(slots) })
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
		return e.fast[0].partial(m, known)
	case opNot:
		return -e.fast[0].partial(m, known)
	case opAnd:
		out := yes
		for _, k := range e.fast {
			if out = min(out, k.partial(m, known)); out == no {
				break
			}
		}
		return out
	case opOr:
		out := no
		for _, k := range e.fast {
			if out = max(out, k.partial(m, known)); out == yes {
				break
			}
		}
		return out
	}
	sure, possible := 0, 0
	for _, k := range e.fast {
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

// byName knows which rules are about certain events only, by the names of the
// events in lower case, so that for a new name few rules need be looked at.
type byName struct {
	rules map[string][]*Rule // in order, with those that may be about any event
	any   []*Rule
	all   []*Rule
	slot  event.Slot
}

func newByName(rules []*Rule, slot event.Slot) *byName {
	b := &byName{rules: map[string][]*Rule{}, all: rules, slot: slot}
	about := make([][]string, len(rules)) // nil: any
	for i, r := range rules {
		names, known := r.Values("eventName")
		if !known || slices.ContainsFunc(names, func(n string) bool { return strings.ContainsAny(n, "*?") }) {
			b.any = append(b.any, r)
			continue
		}
		about[i] = make([]string, 0, len(names))
		for _, n := range names {
			n = string(fold(nil, []byte(n)))
			about[i] = append(about[i], n)
			b.rules[n] = nil
		}
	}
	for i, r := range rules {
		names := slices.Compact(slices.Sorted(slices.Values(about[i])))
		if about[i] == nil {
			for n := range b.rules {
				b.rules[n] = append(b.rules[n], r)
			}
		}
		for _, n := range names {
			b.rules[n] = append(b.rules[n], r)
		}
	}
	return b
}

// candidates returns the rules that the name of the matcher's event leaves.
func (b *byName) candidates(m *Matcher) []*Rule {
	vs := m.event.Values(b.slot)
	if len(vs) != 1 || vs[0].Kind != event.String {
		return b.all
	}
	if rules, ok := b.rules[string(fold(nil, vs[0].Text))]; ok {
		return rules
	}
	return b.any
}
