package sigma

import "slices"

// evaluate finds the matches among a group's observations, which are in order
// of time; none that is to come is of a time up to until. It returns how many of
// them are decided: the others can be part of a match with what comes later, and
// decide the same when they are evaluated again with it. docs/sigma.md states
// the windows in words.
func (c *Correlator) evaluate(r *Rule, g *group, all []Observation, until int64) (decided int) {
	corr := r.Correlation
	switch {
	case len(all) == 0:
		return 0
	case corr.Type == TemporalOrdered:
		return c.ordered(r, g, all, until)
	case corr.rising():
		return c.sliding(r, g, all, until)
	default:
		return c.tumbling(r, g, all, until)
	}
}

// sliding: at each event the window is what happened within the timespan up to
// it. A match begins where the condition first holds, with the events of that
// window, goes on as long as it holds at each next event, and is then complete;
// its events count for no other match.
func (c *Correlator) sliding(r *Rule, g *group, all []Observation, until int64) int {
	corr := r.Correlation
	span := corr.Timespan.Milliseconds()
	w := newMeasure(corr)
	lo, from, to := 0, -1, -1
	value := 0.0
	restart := func(at int) {
		w = newMeasure(corr)
		lo = at
	}
	for j := range all {
		if from >= 0 && all[j].time-all[to].time > span {
			c.found(r, g, all[from:to+1], value)
			from = -1
			restart(j)
		}
		w.add(&all[j])
		for all[j].time-all[lo].time > span {
			w.remove(&all[lo])
			lo++
		}
		ok, v := w.holds()
		switch {
		case ok && from < 0:
			from, to, value = lo, j, v
		case ok:
			to, value = j, v
		case from >= 0:
			c.found(r, g, all[from:to+1], value)
			from = -1
			restart(j)
			w.add(&all[j])
			if ok, v := w.holds(); ok {
				from, to, value = j, j, v
			}
		}
	}
	if from >= 0 && all[to].time+span >= until {
		return from
	}
	if from >= 0 {
		c.found(r, g, all[from:to+1], value)
		lo = to + 1
	}
	for lo < len(all) && all[lo].time+span < until {
		lo++
	}
	return lo
}

// tumbling: a condition with an upper bound can only be decided when the window
// is complete. A window opens with a group's first event, or the first behind
// the last window, and lasts for the timespan.
func (c *Correlator) tumbling(r *Rule, g *group, all []Observation, until int64) int {
	span := r.Correlation.Timespan.Milliseconds()
	i := 0
	for i < len(all) {
		w := newMeasure(r.Correlation)
		j := i
		for j < len(all) && all[j].time-all[i].time <= span {
			w.add(&all[j])
			j++
		}
		if all[i].time+span >= until {
			return i
		}
		if ok, v := w.holds(); ok {
			c.found(r, g, all[i:j], v)
		}
		i = j
	}
	return i
}

// ordered: events of all rules, in the rules' order, within the timespan. Events
// of the same moment count as in order. For each length of the sequence the one
// that began last is kept, because if any completes in time, that one does.
func (c *Correlator) ordered(r *Rule, g *group, all []Observation, until int64) int {
	corr := r.Correlation
	span := corr.Timespan.Milliseconds()
	chains := make([][]int, len(corr.rules)) // chains[k]: indices of a sequence of rules 0…k
	for j := range all {
		k := all[j].rule
		switch {
		case k == 0:
			chains[0] = []int{j}
		case chains[k-1] != nil:
			chains[k] = append(slices.Clone(chains[k-1]), j)
		default:
			continue
		}
		last := len(chains) - 1
		if k != last {
			continue
		}
		chain := chains[last]
		if all[j].time-all[chain[0]].time <= span {
			events := make([]Observation, len(chain))
			for i, at := range chain {
				events[i] = all[at]
			}
			c.found(r, g, events, float64(len(events)))
			chains = make([][]int, len(corr.rules))
		}
	}
	open := len(all)
	for _, chain := range chains {
		if chain != nil && all[chain[0]].time+span >= until {
			open = min(open, chain[0])
		}
	}
	return open
}

// measure is what a condition is tested on, kept as the window moves.
type measure struct {
	c      *Correlation
	n      int // events
	values int // numbers
	rules  []int
	keys   map[string]int
	sum    float64
	sorted []float64
}

func newMeasure(c *Correlation) *measure {
	m := &measure{c: c}
	switch c.Type {
	case Temporal:
		m.rules = make([]int, len(c.rules))
	case ValueCount:
		m.keys = map[string]int{}
	}
	return m
}

func (m *measure) add(o *Observation) {
	m.n++
	switch m.c.Type {
	case Temporal:
		m.rules[o.rule]++
	case ValueCount:
		m.keys[o.key]++
		if o.more != nil {
			for _, k := range o.more.keys {
				m.keys[k]++
			}
		}
	case ValueSum, ValueAvg, ValuePercentile, ValueMedian:
		m.addNumber(o.number)
		if o.more != nil {
			for _, x := range o.more.numbers {
				m.addNumber(x)
			}
		}
	}
}

func (m *measure) addNumber(x float64) {
	m.values++
	m.sum += x
	if m.c.Type == ValuePercentile || m.c.Type == ValueMedian {
		i, _ := slices.BinarySearch(m.sorted, x)
		m.sorted = slices.Insert(m.sorted, i, x)
	}
}

func (m *measure) remove(o *Observation) {
	m.n--
	switch m.c.Type {
	case Temporal:
		m.rules[o.rule]--
	case ValueCount:
		m.removeKey(o.key)
		if o.more != nil {
			for _, k := range o.more.keys {
				m.removeKey(k)
			}
		}
	case ValueSum, ValueAvg, ValuePercentile, ValueMedian:
		m.removeNumber(o.number)
		if o.more != nil {
			for _, x := range o.more.numbers {
				m.removeNumber(x)
			}
		}
	}
}

func (m *measure) removeKey(k string) {
	if m.keys[k]--; m.keys[k] == 0 {
		delete(m.keys, k)
	}
}

func (m *measure) removeNumber(x float64) {
	m.values--
	m.sum -= x
	if i, ok := slices.BinarySearch(m.sorted, x); ok {
		m.sorted = slices.Delete(m.sorted, i, i+1)
	}
}

func (m *measure) holds() (bool, float64) {
	var v float64
	switch m.c.Type {
	case EventCount:
		v = float64(m.n)
	case ValueCount:
		v = float64(len(m.keys))
	case ValueSum:
		v = m.sum
	case ValueAvg:
		v = m.sum / float64(m.values)
	case ValuePercentile, ValueMedian:
		v = percentile(m.sorted, m.c.Percentile)
	case Temporal:
		distinct := 0
		for _, n := range m.rules {
			if n > 0 {
				distinct++
			}
		}
		v = float64(distinct)
		switch {
		case m.c.logic != nil:
			return m.c.logic.present(m.rules), v
		case len(m.c.tests) == 0:
			return distinct == len(m.rules), v
		}
	}
	return m.c.holds(v), v
}

// percentile interpolates between the closest ranks, as most databases do
// (PERCENTILE_CONT).
func percentile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := p / 100 * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}
