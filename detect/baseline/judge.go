package baseline

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/finding"
)

// Options says when a principal's day is a finding. The zero value has the
// defaults.
type Options struct {
	Threshold float64 // of the score; 5 if it is zero
	MinDays   int     // of knowing a principal before it is judged; 7 if it is zero
	MinEvents int64   // the same in events; 50 if it is zero
	Places    *Places // where addresses are; nil: journeys are not judged
}

// MinWeeks is how many weeks a principal must be known before the hours of its
// week tell anything.
const MinWeeks = 4

// Cold is how many principals were not judged by their own past, and why.
type Cold struct {
	Unknown  int // of whom nothing was learned
	Young    int // known for too few days or events
	Seasonal int // known too short for seasonality, among those judged
	Judged   int
}

// Judge compares events with a State. It is not safe for concurrent use.
type Judge struct {
	opt   Options
	state *State
	ws    *windows
	emit  func(*finding.Finding) error
	err   error
	cold  map[string]int // principal → what it was
	org   map[string]int // call → principals that make it
	peers map[string]map[string]int
	sizes map[string]int // of groups
}

// The states of a principal in cold.
const (
	coldUnknown = iota
	coldYoung
	coldSeasonal
	judged
)

// NewJudge returns a Judge that calls emit with every finding. The State must not
// change until Finish.
func NewJudge(s *State, opt Options, emit func(*finding.Finding) error) *Judge {
	opt.Threshold = cmp.Or(opt.Threshold, 5)
	opt.MinDays = cmp.Or(opt.MinDays, 7)
	opt.MinEvents = cmp.Or(opt.MinEvents, 50)
	j := &Judge{opt: opt, state: s, emit: emit, cold: map[string]int{}, org: map[string]int{}, peers: map[string]map[string]int{}, sizes: map[string]int{}}
	for _, p := range s.Principals {
		if p.Group != "" {
			j.sizes[p.Group]++
			if j.peers[p.Group] == nil {
				j.peers[p.Group] = map[string]int{}
			}
		}
		for c := range p.Calls {
			j.org[c]++
			if p.Group != "" {
				j.peers[p.Group][c]++
			}
		}
	}
	j.ws = newWindows(j.settle)
	j.ws.places = opt.Places
	return j
}

// Add judges one event.
func (j *Judge) Add(e *event.Event) error {
	j.ws.add(e)
	return j.err
}

// Finish settles what is open.
func (j *Judge) Finish() error {
	j.ws.flush(1 << 40)
	return j.err
}

// Late is how many events came after their day was settled.
func (j *Judge) Late() int64 { return j.ws.late }

// Cold counts whom the past says nothing of.
func (j *Judge) Cold() Cold {
	var c Cold
	for _, what := range j.cold {
		switch what {
		case coldUnknown:
			c.Unknown++
		case coldYoung:
			c.Young++
		default:
			c.Judged++
			if what == coldSeasonal {
				c.Seasonal++
			}
		}
	}
	return c
}

// term is one addend of a score.
type term struct {
	rule   string
	what   string // what it is about
	points float64
	why    string
	marks  []mark
}

// kind is a sort of term: the rule it gives its name to, and the most that terms
// of it add.
type kind struct {
	title      string
	most       float64
	techniques []string
}

// Rules names the rules of this package, with what they say.
//
// The points of each term: a call that is new to the principal 1, half of it for
// one that reads, a quarter where a peer makes it; one that at most two others of
// the organization make 2; a region 2; a network 1.5; a user agent 1; denials
// before a success 4; many secrets or buckets 4; an hour 3; a journey 5.
var kinds = map[string]kind{
	"baseline/new-calls":           {"Calls that the principal never made before", 4, []string{"T1078.004"}},
	"baseline/rare-calls":          {"Calls that hardly anybody in the organization makes", 4, []string{"T1078.004"}},
	"baseline/new-region":          {"Work in a region that is new to the principal", 4, []string{"T1535"}},
	"baseline/new-network":         {"Calls from a network that is new to the principal", 3, []string{"T1078.004"}},
	"baseline/new-agent":           {"A user agent that is new to the principal", 2, []string{"T1078.004"}},
	"baseline/denials-then-access": {"Many refused calls, then a success", 4, []string{"T1078.004", "T1580"}},
	"baseline/many-secrets":        {"Far more different secrets read than usual", 4, []string{"T1555.006"}},
	"baseline/many-buckets":        {"Far more different buckets used than usual", 4, []string{"T1530"}},
	"baseline/unusual-hour":        {"Far more calls than usual at this hour of the week", 3, []string{"T1078.004"}},
	"baseline/impossible-travel":   {"Two places in less time than a journey takes", 5, []string{"T1078.004"}},
}

// Rules returns the ids of the rules that findings may have, sorted.
func Rules() []string {
	var out []string
	for id := range kinds {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (j *Judge) settle(w *window) {
	if j.err != nil {
		return
	}
	p := j.state.Principals[w.key]
	what := judged
	switch {
	case p == nil:
		what = coldUnknown
	case p.Events < j.opt.MinEvents || dayOf(p.Last)-dayOf(p.First)+1 < j.opt.MinDays:
		what = coldYoung
	case dayOf(p.Last)-dayOf(p.First)+1 < 7*MinWeeks:
		what = coldSeasonal
	}
	if old, ok := j.cold[w.key]; !ok && len(j.cold) < 5*maxPrincipals || ok && what > old {
		j.cold[w.key] = what
	}
	terms := j.terms(w, p, what)
	score, points := sum(terms)
	if score < j.opt.Threshold-1e-9 {
		return
	}
	j.err = j.emit(j.finding(w, terms, points, score, what))
}

func (j *Judge) terms(w *window, p *Principal, what int) []term {
	var out []term
	known := p != nil && what != coldYoung && what != coldUnknown
	mature := j.state.Days() >= j.opt.MinDays && len(j.state.Principals) >= 5
	for _, c := range sorted(w.calls) {
		f := w.calls[c]
		isNew := p == nil || p.isNew(p.Calls, "calls", c)
		if known && isNew {
			points, why := 1.0, "new to this principal"
			if f.reads {
				points, why = 0.5, why+", reads only"
			}
			if n := j.peers[w.group][c]; n > 0 {
				points, why = points/4, why+fmt.Sprintf(", made by %d of %d peers", n, j.sizes[w.group])
			}
			out = append(out, term{"baseline/new-calls", c, points, why, []mark{f.mark}})
		}
		if n := j.org[c]; mature && isNew && n <= 2 && !f.reads {
			out = append(out, term{"baseline/rare-calls", c, 2, fmt.Sprintf("%d of %d principals make it", n, len(j.state.Principals)), []mark{f.mark}})
		}
	}
	if known {
		for _, s := range []struct {
			rule   string
			seen   map[string]*first
			past   map[string]bool
			name   string
			points float64
		}{
			{"baseline/new-region", w.regions, p.Regions, "regions", 2},
			{"baseline/new-network", w.networks, p.Networks, "networks", 1.5},
			{"baseline/new-agent", w.agents, p.Agents, "agents", 1},
		} {
			for _, v := range sorted(s.seen) {
				if p.isNew(s.past, s.name, v) {
					f := s.seen[v]
					out = append(out, term{s.rule, v, s.points, fmt.Sprintf("new to this principal, which is known with %d; %d events", len(s.past), f.n), []mark{f.mark}})
				}
			}
		}
		out = append(out, j.amounts(w, p)...)
		if what == judged {
			out = append(out, hours(w, p)...)
		}
	}
	out = append(out, denials(w)...)
	return append(out, journeys(w)...)
}

func sorted(set map[string]*first) []string {
	out := make([]string, 0, len(set))
	for v := range set {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

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

// amounts judges the distinct secrets and buckets of a day.
func (j *Judge) amounts(w *window, p *Principal) []term {
	var out []term
	for _, s := range []struct {
		rule, name string
		seen       map[string]*first
		of         func(Day) int
	}{
		{"baseline/many-secrets", "secrets", w.secrets, func(d Day) int { return d.Secrets }},
		{"baseline/many-buckets", "buckets", w.buckets, func(d Day) int { return d.Buckets }},
	} {
		if len(s.seen) < 5 {
			continue
		}
		var past []float64
		for _, d := range p.Days {
			past = append(past, float64(s.of(d)))
		}
		median, mad, far := isFar(float64(len(s.seen)), past)
		if !far {
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
// weeks, in which no event counts as none.
func hours(w *window, p *Principal) []term {
	const least = 20
	best := term{}
	excess := 0.0
	for h, n := range w.hours {
		if n < least {
			continue
		}
		week, hour := weekHour(w.at(h))
		from, _ := weekHour(p.First)
		to, _ := weekHour(p.Last)
		var past []float64
		for k := max(from+1, to-weeks+1); k <= to; k++ { // the first week is not whole
			if k == week {
				continue
			}
			v := 0.0
			for _, c := range p.Hours[hour] {
				if c.Week == k {
					v = float64(c.N)
				}
			}
			past = append(past, v)
		}
		if len(past) < MinWeeks-1 {
			continue
		}
		median, mad, far := isFar(float64(n), past)
		if far && float64(n)-median > excess {
			excess = float64(n) - median
			best = term{"baseline/unusual-hour", w.at(h).Format("Monday 15:04Z"), 3, fmt.Sprintf("%d events; the median of %d weeks is %g, its deviation %g", n, len(past), median, mad), nil}
		}
	}
	if best.rule == "" {
		return nil
	}
	return []term{best}
}

// denials judges five refusals within ten minutes and a later success of a call
// that was refused.
func denials(w *window) []term {
	const burst, within = 5, 10 * 60_000
	for i := burst - 1; i < len(w.denied); i++ {
		last, begin := w.denied[i], w.denied[i-burst+1]
		if last.at-begin.at > within {
			continue
		}
		var success *mark
		for c := range w.refused {
			if m, ok := w.passed[c]; ok && m.at > last.at && (success == nil || m.compare(*success) < 0) {
				success = &m
			}
		}
		if success == nil {
			continue
		}
		return []term{{"baseline/denials-then-access", success.call, 4, fmt.Sprintf("%d refused calls, %d of them within ten minutes from %s, and then this one went through", len(w.denied), burst, stamp(begin.at)),
			append(slices.Clone(w.denied[i-burst+1:i+1]), *success)}}
	}
	return nil
}

// journeys judges the places of a day: 1,000 km/h over 500 km or more is no
// journey. The time of a journey is the longest that the events leave for it.
func journeys(w *window) []term {
	const far, speed = 500.0, 1000.0
	var list []*stay
	for _, s := range w.places {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *stay) int {
		return cmp.Or(a.first.compare(b.first), strings.Compare(a.place.Name, b.place.Name))
	})
	for i, a := range list {
		for _, b := range list[i+1:] {
			from := a.last
			if from.compare(b.first) > 0 {
				from = a.first // they overlap: somewhere between the two the journey was made
			}
			d := kilometres(a.place, b.place)
			t := float64(b.first.at-from.at) / 3_600_000
			if d < far || d <= speed*t {
				continue
			}
			return []term{{"baseline/impossible-travel", a.place.Name + " to " + b.place.Name, 5, fmt.Sprintf("%.0f km in %s", d, (time.Duration(b.first.at-from.at) * time.Millisecond).Round(time.Second)), []mark{from, b.first}}}
		}
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
	for _, id := range Rules() { // in order, so that the sum has the same last digit
		score += points[id]
	}
	return score, points
}

const maxTerms = 40

func (j *Judge) finding(w *window, terms []term, points map[string]float64, score float64, what int) *finding.Finding {
	lead := ""
	for _, id := range Rules() {
		if lead == "" || points[id] > points[lead] {
			lead = id
		}
	}
	slices.SortStableFunc(terms, func(a, b term) int {
		return cmp.Or(cmp.Compare(points[b.rule], points[a.rule]), cmp.Compare(a.rule, b.rule), cmp.Compare(b.points, a.points), cmp.Compare(a.what, b.what))
	})
	f := &finding.Finding{
		RuleID: lead, Title: kinds[lead].title, Pillar: finding.PillarDetection, Status: finding.StatusFail, Severity: finding.SeverityLow,
		Fingerprint: finding.Fingerprint("baseline", w.key, fmt.Sprint(w.day)), Actor: w.actor, Techniques: kinds[lead].techniques,
		Resource: finding.Resource{Type: "AWS::Account", ID: cmp.Or(w.account, "-"), Account: w.account},
		Why:      "What a principal has never done before may be done by somebody else in its name. The score is the sum of the terms in the evidence.",
	}
	switch {
	case score >= 12:
		f.Severity = finding.SeverityHigh
	case score >= 8:
		f.Severity = finding.SeverityMedium
	}
	var parts []string
	for _, id := range Rules() {
		if points[id] > 0 {
			parts = append(parts, fmt.Sprintf("%g %s", points[id], strings.TrimPrefix(id, "baseline/")))
		}
	}
	f.Reason = fmt.Sprintf("score %g on %s: %s", score, w.at(0).Format(time.DateOnly), strings.Join(parts, " + "))
	if what == coldUnknown || what == coldYoung {
		f.Reason += "; the principal itself is too new to be judged by its past"
	}
	var earliest mark
	for i, t := range terms {
		for _, m := range t.marks {
			if earliest.at == 0 || m.compare(earliest) < 0 {
				earliest = m
			}
			if m.id != "" && len(f.EventIDs) < 50 && !slices.Contains(f.EventIDs, m.id) {
				f.EventIDs = append(f.EventIDs, m.id)
			}
		}
		if i >= maxTerms {
			continue
		}
		note := t.why
		if ids := idsOf(t.marks); ids != "" {
			note += "; " + ids
		}
		f.Evidence = append(f.Evidence, finding.Evidence{Path: strings.TrimPrefix(t.rule, "baseline/"), Value: t.what, Note: fmt.Sprintf("+%g: %s", t.points, note)})
	}
	if n := len(terms) - maxTerms; n > 0 {
		f.Evidence = append(f.Evidence, finding.Evidence{Path: "terms", Value: n, Note: "more terms of the same rules"})
	}
	for _, id := range Rules() {
		n := 0.0
		for _, t := range terms {
			if t.rule == id {
				n += t.points
			}
		}
		if n > points[id] {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: strings.TrimPrefix(id, "baseline/"), Value: fmt.Sprintf("at most %g", points[id]), Note: fmt.Sprintf("the terms of this rule are %g together", n)})
		}
	}
	f.Time = time.UnixMilli(earliest.at).UTC()
	if earliest.at == 0 {
		f.Time = w.at(0)
	}
	return f
}

func idsOf(marks []mark) string {
	if len(marks) == 0 {
		return ""
	}
	var ids []string
	for _, m := range marks[:min(len(marks), 6)] {
		ids = append(ids, m.id)
	}
	word := "event "
	if len(ids) > 1 {
		word = "events "
	}
	return word + strings.Join(ids, ", ")
}
