package baseline

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// term is one addend of a score.
type term struct {
	rule   string
	what   string // what it is about
	points float64
	why    string
	marks  []mark
}

// The rules of this package.
const (
	newCalls          = "baseline/new-calls"
	rareCalls         = "baseline/rare-calls"
	newRegion         = "baseline/new-region"
	newNetwork        = "baseline/new-network"
	newAgent          = "baseline/new-agent"
	denialsThenAccess = "baseline/denials-then-access"
	manySecrets       = "baseline/many-secrets"
	manyBuckets       = "baseline/many-buckets"
	unusualHour       = "baseline/unusual-hour"
	impossibleTravel  = "baseline/impossible-travel"
)

// kind is a sort of term: the rule it gives its name to, and the most that terms
// of it add.
type kind struct {
	title      string
	most       float64
	techniques []string
}

// The points of each term: a call that is new to the principal 1, half of it for
// one that reads, a quarter where a peer makes it; one that at most two others of
// the organization make 2; a region 2; a network 1.5; a user agent 1; denials
// before a success 4; many secrets or buckets 4; an hour 3; a journey 5.
var kinds = map[string]kind{
	newCalls:          {"Calls that the principal never made before", 4, []string{"T1078.004"}},
	rareCalls:         {"Calls that hardly anybody in the organization makes", 4, []string{"T1078.004"}},
	newRegion:         {"Work in a region that is new to the principal", 4, []string{"T1535"}},
	newNetwork:        {"Calls from a network that is new to the principal", 3, []string{"T1078.004"}},
	newAgent:          {"A user agent that is new to the principal", 2, []string{"T1078.004"}},
	denialsThenAccess: {"Many refused calls, then a success", 4, []string{"T1078.004", "T1580"}},
	manySecrets:       {"Far more different secrets read than usual", 4, []string{"T1555.006"}},
	manyBuckets:       {"Far more different buckets used than usual", 4, []string{"T1530"}},
	unusualHour:       {"Far more calls than usual at this hour of the week", 3, []string{"T1078.004"}},
	impossibleTravel:  {"Two places in less time than a journey takes", 5, []string{"T1078.004"}},
}

var ids = slices.Sorted(maps.Keys(kinds))

// Rules returns the ids of the rules that findings may have, sorted.
func Rules() []string { return slices.Clone(ids) }

// terms judges a day of a principal, of which p is what was learned, if anything.
func (j *Judge) terms(w *window, p *Principal, now standing, before *eve) []term {
	out := j.calls(w, p, now.known())
	if now.known() {
		out = append(out, values(w, p)...)
		out = append(out, amounts(w, p)...)
		if now == seasoned {
			out = append(out, hours(w, p)...)
		}
	}
	out = append(out, denials(w, p, before)...)
	return append(out, journeys(w, before)...)
}

// calls judges the calls that are new to a principal: by its own past if that is
// known, and by the organization's if that is known for long enough.
func (j *Judge) calls(w *window, p *Principal, known bool) []term {
	var out []term
	mature := j.state.Days() >= j.opt.MinDays && len(j.state.Principals) >= 5
	for _, c := range sorted(w.calls) {
		if p != nil && !p.isNew(p.Calls, setCalls, c) {
			continue
		}
		f := w.calls[c]
		if known {
			points, why := 1.0, "new to this principal"
			if f.reads {
				points, why = 0.5, why+", reads only"
			}
			if group := j.peers[w.group]; group != nil && group.calls[c] > 0 {
				points, why = points/4, why+fmt.Sprintf(", made by %d of %d peers", group.calls[c], group.size)
			}
			out = append(out, term{newCalls, c, points, why, []mark{f.mark}})
		}
		if n := j.org[c]; mature && n <= 2 && !f.reads {
			out = append(out, term{rareCalls, c, 2, fmt.Sprintf("%d of %d principals make it", n, len(j.state.Principals)), []mark{f.mark}})
		}
	}
	return out
}

// values judges the regions, networks and programs of a day.
func values(w *window, p *Principal) []term {
	var out []term
	for _, s := range []struct {
		rule   string
		seen   map[string]*first
		past   Set
		name   string
		points float64
	}{
		{newRegion, w.regions, p.Regions, setRegions, 2},
		{newNetwork, w.networks, p.Networks, setNetworks, 1.5},
		{newAgent, w.agents, p.Agents, setAgents, 1},
	} {
		for _, v := range sorted(s.seen) {
			if p.isNew(s.past, s.name, v) {
				f := s.seen[v]
				out = append(out, term{s.rule, v, s.points, fmt.Sprintf("new to this principal, which is known with %d; %d events", len(s.past), f.n), []mark{f.mark}})
			}
		}
	}
	return out
}

func sorted(set map[string]*first) []string { return slices.Sorted(maps.Keys(set)) }

// robust is the median of values and their median absolute deviation from it.
func robust(values []float64) (median, mad float64) {
	if len(values) == 0 {
		return 0, 0
	}
	mid := func(v []float64) float64 {
		slices.Sort(v)
		if n := len(v); n%2 == 0 {
			return (v[n/2-1] + v[n/2]) / 2
		}
		return v[len(v)/2]
	}
	v := slices.Clone(values)
	median = mid(v)
	for i := range v {
		v[i] = math.Abs(v[i] - median)
	}
	return median, mid(v)
}

// isFar reports whether x is far above what values are: by six deviations, one of
// which is 1.4826 times the median absolute deviation (which for a normal
// distribution is its standard deviation), and at least a tenth of the median and
// one.
func isFar(x float64, values []float64) (median, mad float64, far bool) {
	median, mad = robust(values)
	deviation := max(1.4826*mad, 0.1*median, 1)
	return median, mad, x > median+6*deviation
}

// minDaysOfAmounts is on how many days somebody must have worked before the usual
// amount of a day is known.
const minDaysOfAmounts = 3

// amounts judges the distinct secrets and buckets of a day.
func amounts(w *window, p *Principal) []term {
	var out []term
	for _, s := range []struct {
		rule, name string
		seen       map[string]*first
		of         func(Day) int32
	}{
		{manySecrets, "secrets", w.secrets, func(d Day) int32 { return d.Secrets }},
		{manyBuckets, "buckets", w.buckets, func(d Day) int32 { return d.Buckets }},
	} {
		if len(s.seen) < 5 {
			continue
		}
		var past []float64
		for _, d := range p.Days {
			if int(d.Day) != w.day { // learned already: a day is not its own past
				past = append(past, float64(s.of(d)))
			}
		}
		median, mad, far := isFar(float64(len(s.seen)), past)
		if !far || len(past) < minDaysOfAmounts {
			continue
		}
		t := term{s.rule, fmt.Sprintf("%d different %s", len(s.seen), s.name), 4, fmt.Sprintf("the median of %d days is %g, its deviation %g", len(past), median, mad), nil}
		for _, v := range sorted(s.seen) {
			t.marks = append(t.marks, s.seen[v].mark)
		}
		slices.SortFunc(t.marks, mark.compare)
		t.marks = t.marks[:min(len(t.marks), 10)]
		out = append(out, t)
	}
	return out
}

// hours judges the number of events of each hour by the same hour of former
// weeks, in which no event counts as none. It must be far above the hours beside
// that one, too: clocks change twice a year, and people come early.
func hours(w *window, p *Principal) []term {
	const least = 20
	busy := func(h *hour) bool { return h != nil && h.n >= least }
	if !slices.ContainsFunc(w.hours[:], busy) {
		return nil
	}
	usual := p.weekly()
	best := term{}
	excess := 0.0
	for h, of := range w.hours {
		if !busy(of) {
			continue
		}
		n := float64(min(of.n, maxHour)) // as much as a Week holds
		median, mad, weeks := 0.0, 0.0, 0
		unusual := true
		for beside := -1; beside <= 1 && unusual; beside++ {
			past := usual.past(w.at(h), beside)
			m, d, far := isFar(n, past)
			unusual = far && len(past) >= MinWeeks-1
			if beside == -1 || m > median {
				median, mad, weeks = m, d, len(past)
			}
		}
		if unusual && n-median > excess {
			excess = n - median
			best = term{unusualHour, w.at(h).Format("Monday 15:04Z"), 3, fmt.Sprintf("%d events; the median of %d weeks is %g, its deviation %g", of.n, weeks, median, mad), []mark{of.first, of.last}}
		}
	}
	if best.rule == "" {
		return nil
	}
	return []term{best}
}

// denials judges five refusals within ten minutes and a later success of a call
// that was refused. Refusals of the last hour of the day before count, too. Whoever
// is refused as often on most days, as many scanners are, is left out.
func denials(w *window, p *Principal, before *eve) []term {
	const burst, within = 5, 10 * 60_000
	if p != nil && len(p.Days) >= minDaysOfAmounts {
		var usual []float64
		for _, d := range p.Days {
			usual = append(usual, float64(d.Refused))
		}
		if median, _ := robust(usual); median >= burst {
			return nil
		}
	}
	denied, refused := w.denied, w.refused
	if before != nil && len(before.denied) > 0 {
		denied = slices.Concat(before.denied, w.denied)
		refused = maps.Clone(w.refused)
		if refused == nil {
			refused = map[string]bool{}
		}
		for _, m := range before.denied {
			refused[m.call] = true
		}
	}
	for i := burst - 1; i < len(denied); i++ {
		last, begin := denied[i], denied[i-burst+1]
		if last.at-begin.at > within {
			continue
		}
		var success *mark
		for c := range refused {
			if m, ok := w.passed[c]; ok && m.at > last.at && (success == nil || m.compare(*success) < 0) {
				success = &m
			}
		}
		if success == nil {
			continue
		}
		return []term{{denialsThenAccess, success.call, 4, fmt.Sprintf("%d refused calls, %d of them within ten minutes from %s, and then this one went through", len(denied), burst, stamp(begin.at)),
			append(slices.Clone(denied[i-burst+1:i+1]), *success)}}
	}
	return nil
}

// journeys judges the places of a day and the last ones of the day before: 1,000
// km/h over 500 km or more is no journey. Each place is compared with the last
// event at every other place before it, so that the time is the longest that the
// two events leave.
func journeys(w *window, before *eve) []term {
	const far, speed = 500.0, 1000.0
	var list, been []stay // been: of each place the last
	here := ""            // the place of the last of these
	if before != nil {
		been = slices.Clone(before.stays)
		here = slices.MaxFunc(append([]stay{{}}, been...), func(a, b stay) int { return a.last.compare(b.last) }).place.Name
	}
	for _, s := range w.visits {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b stay) int {
		return cmp.Or(a.first.compare(b.first), a.last.compare(b.last), cmp.Compare(a.place.Name, b.place.Name))
	})
	for _, b := range list {
		for _, a := range been {
			if b.place.Name == here { // no journey, or told already
				break
			}
			from := a.last
			if from.compare(b.first) > 0 {
				from = a.first // within one minute
			}
			d := kilometres(a.place, b.place)
			t := float64(b.first.at-from.at) / 3_600_000
			if d < far || d <= speed*t {
				continue
			}
			return []term{{impossibleTravel, a.place.Name + " to " + b.place.Name, 5, fmt.Sprintf("%.0f km in %s", d, (time.Duration(b.first.at-from.at) * time.Millisecond).Round(time.Second)), []mark{from, b.first}}}
		}
		been = slices.DeleteFunc(been, func(a stay) bool { return a.place.Name == b.place.Name })
		if been = append(been, b); len(been) > 64 {
			been = been[1:]
		}
		here = b.place.Name
	}
	return nil
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05Z") }

// sum adds the terms, at most so much of each rule; points is what each rule
// gives.
func sum(terms []term) (score float64, points map[string]float64) {
	points = map[string]float64{}
	for _, t := range terms {
		points[t.rule] = min(points[t.rule]+t.points, kinds[t.rule].most)
	}
	for _, id := range ids { // in order, so that the sum has the same last digit
		score += points[id]
	}
	return score, points
}
