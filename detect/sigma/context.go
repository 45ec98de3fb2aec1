package sigma

import (
	"hash/maphash"

	"github.com/bartizan-security/bartizan/detect/event"
)

// contexts remembers, for calls that one caller makes again and again in the same
// way, what the members that are the same then decide: which rules match, which
// are left to be tried and, unsaid, which cannot match. In a busy account that
// settles most events by one look-up.
type contexts struct {
	seed  maphash.Seed
	slots []event.Slot  // one for each of the members
	known []bool        // by slot: at or below one of the members
	table [][2]*Context // by the low bits of the sum: the last two that were met
	at    *Context      // of the event at hand; nil where it has none that was met before

	asked, met int
	rest       int // events for which it is not asked
	next       int // how long the next rest is
}

// Context is what calls have in common that one caller makes in the same way: the
// same API and error, identity, address and user agent. Whoever handles matches can
// keep with it what only depends on that. One goroutine uses it, that of its Matcher.
type Context struct {
	sum     uint64
	reduced bool
	rules   []candidate
	known   []bool // of all contexts of a Matcher
	held    []held
	groups  []groupIn // of correlations
	actor   string    // of observations
}

// held is what one user keeps with a context.
type held struct{ by, what any }

// Held returns what Hold was given for a user; nil where it was given nothing.
func (c *Context) Held(by any) any {
	for i := range c.held {
		if c.held[i].by == by {
			return c.held[i].what
		}
	}
	return nil
}

// Hold keeps something for a user, a pointer, as long as the context is remembered.
// It must not hold on to an event's texts.
func (c *Context) Hold(by, what any) { c.held = append(c.held, held{by, what}) }

// Knows reports whether a field has the same values in all events of the context.
func (c *Context) Knows(s event.Slot) bool { return s >= 0 && c.known[s] }

// Settles reports whether a rule tests nothing but fields that the context knows.
func (c *Context) Settles(r *Rule) bool {
	for _, e := range r.conditions {
		if !e.onlyReads(c.known) {
			return false
		}
	}
	return len(r.conditions) > 0
}

// onlyReads reports whether an expression tests known fields only.
func (e *expr) onlyReads(known []bool) bool {
	if it := e.item; e.op == opItem {
		if it.field == "" || !known[it.slot] {
			return false
		}
		for _, r := range it.refs {
			if !known[r.slot] {
				return false
			}
		}
		return true
	}
	for _, k := range e.kids {
		if !k.onlyReads(known) {
			return false
		}
	}
	return true
}

// candidate is a rule that can match, and what is left to ask of an event.
type candidate struct {
	rule *Rule
	sure bool    // nothing: it matches
	ask  []*expr // one of these must hold
}

// A table that seldom knows an event rests, longer each time.
const (
	contextBits = 14 // of the table's size
	contextTest = 1 << 14
	longestRest = 1 << 18
)

// contextMembers are the members of a record that stay the same when one caller
// makes a call again.
var contextMembers = []string{"eventSource", "eventName", "userIdentity.type", "errorCode", "eventType", "userAgent", "sourceIPAddress"}

func newContexts(s *event.Schema) *contexts {
	c := &contexts{seed: maphash.MakeSeed(), known: make([]bool, s.Len())}
	for _, path := range contextMembers {
		slot, _ := s.Slot(path)
		c.slots = append(c.slots, slot)
		for _, below := range s.Below(slot) {
			c.known[below] = true
		}
	}
	return c
}

// candidates returns the rules that the event's context leaves, in order. ok is
// false where the table is not asked.
func (c *contexts) candidates(m *Matcher) (rules []candidate, ok bool) {
	if c.rest > 0 {
		c.rest--
		return nil, false
	}
	sum, ok := m.event.Sum(c.seed, c.slots)
	if !ok {
		return nil, false
	}
	sum = max(sum, 1) // 0 is a context that was forgotten
	if c.table == nil {
		c.table = make([][2]*Context, 1<<contextBits)
	}
	if c.asked++; c.asked == contextTest {
		if c.met < contextTest/3 {
			c.next = min(max(contextTest, 2*c.next), longestRest)
			c.rest, c.table = c.next, nil
		} else {
			c.next = 0
		}
		m.event.Lazy(c.rest == 0 && c.met > contextTest/2)
		c.asked, c.met = 0, 0
		if c.rest > 0 {
			return nil, false
		}
	}
	places := &c.table[sum&(1<<contextBits-1)]
	for _, at := range places {
		if at == nil || at.sum != sum {
			continue
		}
		c.met++
		rules, c.at = at.rules, at
		if !at.reduced {
			c.reduce(m, at)
		}
		return rules, true
	}
	at := &Context{sum: sum, known: c.known}
	places[0], places[1] = at, places[0]
	for _, r := range m.trail.candidates(m) {
		truth := no
		for _, e := range r.conditions {
			truth = max(truth, e.partial(m, c.known))
		}
		if truth != no {
			at.rules = append(at.rules, candidate{r, truth == yes, r.conditions})
		}
	}
	rules = at.rules
	c.forgetCut(m, at)
	return rules, true
}

// reduce leaves of the conditions what the context does not decide. It is worth
// its time for a context that is met a second time.
func (c *contexts) reduce(m *Matcher, at *Context) {
	at.reduced = true
	for i := range at.rules {
		r := &at.rules[i]
		if r.sure {
			continue
		}
		r.ask = nil
		for _, e := range r.rule.conditions {
			if truth, rest := e.reduce(m, c.known); truth == unknown {
				r.ask = append(r.ask, rest)
			}
		}
	}
	c.forgetCut(m, at)
}

// forgetCut forgets a context that was found with an event that was not looked at
// whole: that decides nothing about the next.
func (c *contexts) forgetCut(m *Matcher, at *Context) {
	if m.event.Cut() {
		*at, c.at = Context{known: c.known}, nil
	}
}

// reduce evaluates a condition where only some fields are known, and returns what
// is left to ask where that does not decide.
func (e *expr) reduce(m *Matcher, known []bool) (truth, *expr) {
	switch e.op {
	case opItem:
		return e.partial(m, known), e
	case opNamed:
		return e.kids[0].reduce(m, known)
	case opNot:
		t, rest := e.kids[0].reduce(m, known)
		if t != unknown {
			return -t, nil
		}
		return unknown, &expr{op: opNot, fast: []*expr{rest}}
	}
	left := &expr{op: e.op, n: e.n}
	for _, k := range e.fast {
		switch t, rest := k.reduce(m, known); {
		case t == unknown:
			left.fast = append(left.fast, rest)
		case t == yes && e.op == opOr, t == no && e.op == opAnd:
			return t, nil
		case t == yes && e.op == opCount:
			left.n--
		}
	}
	switch {
	case e.op == opCount && left.n <= 0:
		return yes, nil
	case e.op == opCount && len(left.fast) < left.n:
		return no, nil
	case len(left.fast) > 1, e.op == opCount && len(left.fast) == 1:
		return unknown, left
	case len(left.fast) == 1:
		return unknown, left.fast[0]
	case e.op == opAnd:
		return yes, nil
	}
	return no, nil
}
