package sigma

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Observation is one match, as a correlation sees it.
type Observation struct {
	correlation *Rule
	rule        int // within the correlation
	time        int64
	ref         string
	actor       string
	group       []string
	key         string  // what value_count counts
	number      float64 // what the other value types add up
	carry       []string
}

// CorrelationMatch is one match of a correlation.
type CorrelationMatch struct {
	Rule       *Rule
	Start, End time.Time // of its events
	Refs       []string  // the events, at most MaxRefs, in order of time
	Count      int       // of the events, also those not in Refs
	Value      float64   // what the condition was tested on, last
	Group      []string  // the values of the group-by fields
	Actor      string    // of the first event that has one

	carry []string
}

// MaxRefs is how many events a correlation's match names.
const MaxRefs = 200

// maxObservations bounds what a Correlator holds.
var maxObservations = 100_000

// counted says that a correlation counts a rule's matches: by as its rule as.
type counted struct {
	by *Rule
	as int
}

// Observe returns what the engine's correlations need to know of a match. It is
// empty for a rule that no correlation refers to. Events without a time or
// without one of the group-by fields take no part.
func (g *Engine) Observe(r *Rule, e *event.Event) []Observation {
	var out []Observation
	for _, k := range r.counted {
		c := k.by.Correlation
		t := e.Time()
		if t.IsZero() {
			continue
		}
		f := &c.feeds[k.as]
		o := Observation{correlation: k.by, rule: k.as, time: t.UnixMilli()}
		var ok bool
		o.group, ok = texts(e, f.groupAt, true)
		if !ok {
			continue
		}
		values, has := texts(e, f.valuesAt, true)
		if !has {
			continue
		}
		if ok = o.setValues(c, values); !ok {
			continue
		}
		o.ref, o.actor = e.Ref(), e.Actor()
		o.carry, _ = texts(e, f.carryAt, false)
		out = append(out, o)
	}
	return out
}

func (o *Observation) setValues(c *Correlation, values []string) bool {
	switch c.Type {
	case EventCount, Temporal, TemporalOrdered:
		return true
	case ValueCount:
		o.key = strings.Join(values, "\x00")
		return true
	}
	n, ok := number([]byte(values[0]))
	o.number = n
	return ok
}

func texts(e *event.Event, slots []event.Slot, need bool) ([]string, bool) {
	if len(slots) == 0 {
		return nil, true
	}
	out := make([]string, len(slots))
	for i, s := range slots {
		vs := e.Values(s)
		if need && missing(vs) {
			return nil, false
		}
		if len(vs) > 0 && vs[0].Kind != event.Null {
			out[i] = vs[0].String()
		}
	}
	return out, true
}

// Correlator collects observations and finds the correlations among them. The
// order in which observations come does not matter, until there are so many
// that the oldest have to be settled early; see Early.
type Correlator struct {
	engine  *Engine
	groups  map[*Rule]map[string]*group
	held    int
	matches []CorrelationMatch
	early   int64
	settled int64 // the time up to which observations have been evaluated
}

type group struct {
	values  []string
	entries []Observation
}

// NewCorrelator returns an empty correlator.
func (g *Engine) NewCorrelator() *Correlator {
	return &Correlator{engine: g, groups: map[*Rule]map[string]*group{}, settled: math.MinInt64}
}

// Add adds an observation. It returns matches only where so much is held that
// what is old had to be settled.
func (c *Correlator) Add(o Observation) []CorrelationMatch {
	if o.time <= c.settled {
		c.early++
	}
	c.add(o)
	if c.held <= maxObservations {
		return nil
	}
	c.settle()
	return c.drain()
}

func (c *Correlator) add(o Observation) {
	byKey := c.groups[o.correlation]
	if byKey == nil {
		byKey = map[string]*group{}
		c.groups[o.correlation] = byKey
	}
	key := strings.Join(o.group, "\x00")
	g := byKey[key]
	if g == nil {
		g = &group{values: o.group}
		byKey[key] = g
	}
	o.group = nil
	if n := len(g.entries); n > 0 && g.entries[n-1].actor == o.actor {
		o.actor = g.entries[n-1].actor // share the text
	}
	g.entries = append(g.entries, o)
	c.held++
}

// Early returns how many observations were decided without all that belongs to
// them: they came after the observations of their time had to be settled, or
// their window alone was more than is held. It is 0 for logs in order of time
// whose windows are of ordinary size.
func (c *Correlator) Early() int64 { return c.early }

// settle evaluates the older half of what is held and lets go of what is decided.
// Where too little is, the windows are cut.
func (c *Correlator) settle() {
	var times []int64
	for _, byKey := range c.groups {
		for _, g := range byKey {
			for i := range g.entries {
				times = append(times, g.entries[i].time)
			}
		}
	}
	slices.Sort(times)
	c.settled = max(c.settled, times[len(times)/2])
	before := c.held
	c.release(false)
	if c.held > before-before/8 {
		c.release(true)
	}
}

// release evaluates what is not after the time settled and lets go of what is
// decided, or of all of it.
func (c *Correlator) release(all bool) {
	open := map[*Rule]int64{}                 // by correlation: the earliest time that a match to come can have
	for _, r := range c.engine.correlations { // those referred to come first
		until, earliest := c.settled, int64(math.MaxInt64)
		for _, below := range r.Correlation.rules {
			if t, ok := open[below]; ok && !all {
				until = min(until, t-1)
			}
		}
		byKey := c.groups[r]
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			g := byKey[key]
			g.sort()
			old, _ := slices.BinarySearchFunc(g.entries, until, func(o Observation, t int64) int { return cmp.Compare(o.time, t+1) })
			horizon := until
			if all {
				horizon = math.MaxInt64
			}
			n := c.evaluate(r, g, g.entries[:old], horizon)
			if all {
				c.early += int64(old - n)
				n = old
			}
			if n > 0 {
				c.held -= n
				g.entries = slices.Clone(g.entries[n:])
			}
			if len(g.entries) == 0 {
				delete(byKey, key)
				continue
			}
			earliest = min(earliest, g.entries[0].time)
		}
		open[r] = min(earliest, until+1)
	}
}

func (g *group) sort() {
	slices.SortStableFunc(g.entries, func(a, b Observation) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.rule, b.rule), strings.Compare(a.ref, b.ref))
	})
}

// Finish returns every match, in order of the time of their last event.
func (c *Correlator) Finish() []CorrelationMatch {
	for _, r := range c.engine.correlations { // those referred to come first
		byKey := c.groups[r]
		for _, key := range slices.Sorted(maps.Keys(byKey)) {
			g := byKey[key]
			g.sort()
			c.evaluate(r, g, g.entries, math.MaxInt64)
		}
		delete(c.groups, r)
	}
	c.held = 0
	return c.drain()
}

func (c *Correlator) drain() []CorrelationMatch {
	out := c.matches
	c.matches = nil
	slices.SortStableFunc(out, func(a, b CorrelationMatch) int {
		return cmp.Or(a.End.Compare(b.End), cmp.Compare(a.Rule.number, b.Rule.number), slices.Compare(a.Group, b.Group))
	})
	return out
}

// found records a match and gives it to the correlations above.
func (c *Correlator) found(r *Rule, g *group, entries []Observation, value float64) {
	first, last := &entries[0], &entries[len(entries)-1]
	m := CorrelationMatch{
		Rule: r, Start: time.UnixMilli(first.time).UTC(), End: time.UnixMilli(last.time).UTC(),
		Count: len(entries), Value: value, Group: g.values, carry: last.carry,
	}
	for i := range entries {
		if m.Actor == "" {
			m.Actor = entries[i].actor
		}
		if len(m.Refs) < MaxRefs {
			m.Refs = append(m.Refs, entries[i].ref)
		}
	}
	if !r.silent {
		c.matches = append(c.matches, m)
	}
	for _, parent := range c.engine.correlations {
		p := parent.Correlation
		for i, used := range p.rules {
			if used != r {
				continue
			}
			carried := func(paths []string) ([]string, bool) {
				out := make([]string, len(paths))
				for i, path := range paths {
					if at := slices.Index(r.Correlation.carry, path); at >= 0 && at < len(m.carry) {
						out[i] = m.carry[at]
					}
					if out[i] == "" {
						return out, false
					}
				}
				return out, true
			}
			f := &p.feeds[i]
			o := Observation{correlation: parent, rule: i, time: last.time, ref: m.Refs[0], actor: m.Actor}
			var ok bool
			if o.group, ok = carried(f.group); !ok {
				continue
			}
			values, ok := carried(f.values)
			if !ok || !o.setValues(p, values) {
				continue
			}
			o.carry, _ = carried(f.carry)
			c.add(o)
		}
	}
}
