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
	slots []event.Slot // one for each of the members
	known []bool       // by slot: at or below one of the members
	table [][2]context // by the low bits of the sum: the last two that were met

	asked, met int
	rest       int // events for which it is not asked
	next       int // how long the next rest is
}

// context is what is known of one sum.
type context struct {
	sum   uint64
	rules []*Rule
	sure  []bool // by rule: matches
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

// candidates returns the rules that the event's context leaves, in order, and
// which of them match. ok is false where the table is not asked.
func (c *contexts) candidates(m *Matcher) (rules []*Rule, sure []bool, ok bool) {
	if c.rest > 0 {
		c.rest--
		return nil, nil, false
	}
	sum, ok := m.event.Sum(c.seed, c.slots)
	if !ok {
		return nil, nil, false
	}
	sum = max(sum, 1) // 0 is an empty place
	if c.table == nil {
		c.table = make([][2]context, 1<<contextBits)
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
			return nil, nil, false
		}
	}
	places := &c.table[sum&(1<<contextBits-1)]
	for i := range places {
		if places[i].sum == sum {
			c.met++
			return places[i].rules, places[i].sure, true
		}
	}
	places[1] = places[0]
	places[0] = context{sum: sum}
	at := &places[0]
	for _, r := range m.trail.first(m) {
		truth := no
		for _, e := range r.conditions {
			truth = max(truth, e.partial(m, c.known))
		}
		if truth != no {
			at.rules, at.sure = append(at.rules, r), append(at.sure, truth == yes)
		}
	}
	if rules, sure = at.rules, at.sure; m.event.Cut() {
		*at = context{} // what was not looked at decides nothing about the next
	}
	return rules, sure, true
}
