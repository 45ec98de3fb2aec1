package sigma

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Observation is one match, as a correlation sees it.
type Observation struct {
	correlation *Rule
	rule        int // within the correlation
	time        int64
	ref         string
	actor       string
	group       string  // the values of the group-by fields; see joined
	key         string  // what value_count counts
	number      float64 // what the other value types add up
	more        *more   // nil where there is one value
	carry       []string
}

// more is the second and further values of an observation whose field is an array.
type more struct {
	keys    []string
	numbers []float64
}

// maxElements is how many values of one event count.
const maxElements = 1000

// weight is what an observation takes of the bound.
func (o *Observation) weight() int {
	if o.more == nil {
		return 1
	}
	return 1 + len(o.more.keys) + len(o.more.numbers)
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
var maxObservations = 60_000

// counted says that a correlation counts a rule's matches: by as its rule as.
type counted struct {
	by *Rule
	as int
}

// AppendObservations appends to dst what the engine's correlations need to know of
// a match: nothing, without an allocation, for a rule that no correlation refers
// to. Events without a time or without one of the group-by fields take no part. The
// context is the event's, nil where it has none.
func (g *Engine) AppendObservations(dst []Observation, r *Rule, e *event.Event, in *Context) []Observation {
	if len(r.counted) == 0 {
		return dst
	}
	t := e.Time()
	if t.IsZero() {
		return dst
	}
	ref, actor := "", "" // the same for all
	for _, k := range r.counted {
		c := k.by.Correlation
		f := &c.feeds[k.as]
		o := Observation{correlation: k.by, rule: k.as, time: t.UnixMilli()}
		var ok bool
		if o.group, ok = in.groupOf(e, f); !ok || !o.count(c, e, f.valuesAt) {
			continue
		}
		if ref == "" {
			ref, actor = e.Ref(), in.actorOf(e)
		}
		o.ref, o.actor, o.carry = ref, actor, texts(e, f.carryAt)
		dst = append(dst, o)
	}
	return dst
}

// groupIn is the group that all events of a context belong to.
type groupIn struct {
	of    *feed
	group string
	ok    bool
}

// groupOf is groupOf, once for all events of the context where that knows the fields.
func (c *Context) groupOf(e *event.Event, f *feed) (string, bool) {
	if c == nil {
		return groupOf(e, f.groupAt)
	}
	for i := range c.groups {
		if g := &c.groups[i]; g.of == f {
			return g.group, g.ok
		}
	}
	group, ok := groupOf(e, f.groupAt)
	if !e.Cut() && !slices.ContainsFunc(f.groupAt, func(s event.Slot) bool { return !c.Knows(s) }) {
		c.groups = append(c.groups, groupIn{f, group, ok})
	}
	return group, ok
}

// actorOf is the event's actor, which the context knows.
func (c *Context) actorOf(e *event.Event) string {
	if c == nil || c.actor == "" && e.Cut() {
		return event.Short(e.Actor())
	}
	if c.actor == "" {
		c.actor = event.Short(e.Actor())
	}
	return c.actor
}

// groupOf joins the values of the group-by fields; of an array the first counts.
func groupOf(e *event.Event, slots []event.Slot) (string, bool) {
	var space [128]byte
	buf := space[:0]
	for _, s := range slots {
		text, ok := firstOf(e.Values(s))
		if !ok {
			return "", false
		}
		if len(slots) == 1 {
			return short(text), true
		}
		if len(text) > maxPlain {
			text = []byte(short(text))
		}
		buf = binary.AppendUvarint(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	return string(buf), true
}

// joined is one text for several that no others can give: a single text itself,
// else each behind its length.
func joined(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	var buf []byte
	for _, t := range texts {
		buf = append(binary.AppendUvarint(buf, uint64(len(t))), t...)
	}
	return string(buf)
}

// split undoes joined for n texts.
func split(s string, n int) []string {
	if n == 0 {
		return nil
	}
	if n == 1 {
		return []string{s}
	}
	out := make([]string, 0, n)
	for range n {
		length, size := binary.Uvarint([]byte(s[:min(len(s), binary.MaxVarintLen64)]))
		end := size + int(length)
		out = append(out, s[size:end])
		s = s[end:]
	}
	return out
}

func firstOf(values []event.Value) ([]byte, bool) {
	for i := range values {
		if values[i].Kind != event.Null {
			return values[i].Text, true
		}
	}
	return nil, false
}

// count takes what the correlation counts from an event: every element where a
// field is an array, and every combination where it counts several fields.
func (o *Observation) count(c *Correlation, e *event.Event, slots []event.Slot) bool {
	switch {
	case c.Type == EventCount || c.Type == Temporal || c.Type == TemporalOrdered:
		return !slices.ContainsFunc(slots, func(s event.Slot) bool { return missing(e.Values(s)) })
	case c.Type != ValueCount:
		n := 0
		for _, v := range e.Values(slots[0]) {
			if x, ok := number(v.Text); ok && n < maxElements {
				n += o.addNumber(x, n)
			}
		}
		return n > 0
	case len(slots) == 1:
		n := 0
		for _, v := range e.Values(slots[0]) {
			if isValue(v) && n < maxElements {
				o.addKey(short(v.Text), n)
				n++
			}
		}
		return n > 0
	}
	lists := make([][]string, len(slots))
	for i, s := range slots {
		for _, v := range e.Values(s) {
			if isValue(v) && len(lists[i]) < maxElements {
				lists[i] = append(lists[i], short(v.Text))
			}
		}
		if len(lists[i]) == 0 {
			return false
		}
	}
	at := make([]int, len(lists)) // counts through the combinations as an odometer
	one := make([]string, len(lists))
	for n := range maxElements {
		for i := range lists {
			one[i] = lists[i][at[i]]
		}
		o.addKey(joined(one), n)
		i := len(at) - 1
		for ; i >= 0; i-- {
			if at[i]++; at[i] < len(lists[i]) {
				break
			}
			at[i] = 0
		}
		if i < 0 {
			break
		}
	}
	return true
}

// isValue leaves out nulls and empty arrays.
func isValue(v event.Value) bool { return v.Kind != event.Null && v.Kind != event.Array }

func (o *Observation) addKey(key string, n int) {
	switch {
	case n == 0:
		o.key = key
		return
	case o.more == nil:
		o.more = &more{}
	}
	o.more.keys = append(o.more.keys, key)
}

// addNumber returns how many numbers it added: infinity would never leave a sum.
func (o *Observation) addNumber(x float64, n int) int {
	switch {
	case math.IsInf(x, 0) || math.IsNaN(x):
		return 0
	case n == 0:
		o.number = x
		return 1
	case o.more == nil:
		o.more = &more{}
	}
	o.more.numbers = append(o.more.numbers, x)
	return 1
}

// setValues is count for the values that a correlation below carried up.
func (o *Observation) setValues(c *Correlation, values []string) bool {
	switch c.Type {
	case EventCount, Temporal, TemporalOrdered:
		return true
	case ValueCount:
		o.key = joined(values)
		return true
	}
	x, ok := number([]byte(values[0]))
	return ok && o.addNumber(x, 0) > 0
}

// texts returns the first value of each field.
func texts(e *event.Event, slots []event.Slot) []string {
	if len(slots) == 0 {
		return nil
	}
	out := make([]string, len(slots))
	for i, s := range slots {
		text, _ := firstOf(e.Values(s))
		out[i] = short(text)
	}
	return out
}

// maxPlain is how long a text is held as it is.
const maxPlain = 512

// short is text as observations hold it, by the ten thousand.
func short(text []byte) string {
	if len(text) <= maxPlain {
		return string(text)
	}
	return event.Short(unsafe.String(&text[0], len(text)))
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
	g := byKey[o.group]
	if g == nil {
		g = &group{values: split(o.group, len(o.correlation.Correlation.GroupBy))}
		byKey[o.group] = g
	}
	o.group = ""
	if n := len(g.entries); n > 0 && g.entries[n-1].actor == o.actor {
		o.actor = g.entries[n-1].actor // share the text
	}
	g.entries = append(g.entries, o)
	c.held += o.weight()
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
				for i := range g.entries[:n] {
					c.held -= g.entries[i].weight()
				}
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
			group, ok := carried(f.group)
			if !ok {
				continue
			}
			o.group = joined(group)
			values, ok := carried(f.values)
			if !ok || !o.setValues(p, values) {
				continue
			}
			o.carry, _ = carried(f.carry)
			c.add(o)
		}
	}
}
