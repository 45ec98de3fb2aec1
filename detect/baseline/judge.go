package baseline

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/finding"
)

// Options says when a principal's day is a finding. The zero value has the
// defaults.
type Options struct {
	Threshold float64 // of the score
	MinDays   int     // of knowing a principal before it is judged
	MinEvents int64   // the same in events
	Places    *Places // where addresses are; nil: journeys are not judged
}

// The defaults of Options.
const (
	Threshold = 5
	MinDays   = 7
	MinEvents = 50
)

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

// Judge compares events with a State. One goroutine uses it; its Extractors are how
// several take part.
type Judge struct {
	opt   Options
	state *State
	ws    *windows
	emit  func(*finding.Finding) error
	err   error
	cold  map[string]standing // by principal
	org   map[string]int      // call → principals that make it
	peers map[string]*peers   // by group
	eves  map[string]*eve     // principal → the day before
	today int                 // that is being settled
	hash  maphash.Seed
	free  sync.Pool
	own   *Extractor
}

// peers is what those of one group do.
type peers struct {
	size  int
	calls map[string]int // call → peers that make it
}

// eve is what the next day needs of a principal's day: refusals of its last hour
// with which nothing went through yet, and where a person was last.
type eve struct {
	day    int
	denied []mark
	stays  []stay // of each place the last
}

// standing is what the past says of a principal.
type standing uint8

const (
	unknown    standing = iota // nothing was learned
	young                      // too few days or events
	unseasoned                 // enough to judge by, but not by the hours of the week
	seasoned
)

// known reports whether a principal is judged by its own past.
func (s standing) known() bool { return s >= unseasoned }

// NewJudge returns a Judge that calls emit with every finding. The State must not
// change until Finish.
func NewJudge(s *State, opt Options, emit func(*finding.Finding) error) *Judge {
	opt.Threshold = cmp.Or(opt.Threshold, Threshold)
	opt.MinDays = cmp.Or(opt.MinDays, MinDays)
	opt.MinEvents = cmp.Or(opt.MinEvents, MinEvents)
	j := &Judge{opt: opt, state: s, emit: emit, hash: maphash.MakeSeed(),
		cold: map[string]standing{}, org: map[string]int{}, peers: map[string]*peers{}, eves: map[string]*eve{}}
	for _, p := range s.Principals {
		for c := range p.Calls {
			j.org[c]++
		}
		if p.Group == "" {
			continue
		}
		group := j.peers[p.Group]
		if group == nil {
			group = &peers{calls: map[string]int{}}
			j.peers[p.Group] = group
		}
		group.size++
		for c := range p.Calls {
			group.calls[c]++
		}
	}
	j.ws = newWindows(j.settle)
	j.ws.stranger = func(key string) bool { return s.Principals[key] == nil }
	j.own = j.Extractor()
	return j
}

// Extractor returns a new Extractor of events to judge.
func (j *Judge) Extractor() *Extractor {
	x := newExtractor(j.hash, j.take, &j.free)
	x.refs, x.places = true, j.opt.Places
	return x
}

// Add judges one event.
func (j *Judge) Add(e *event.Event) error { return j.own.addNow(e) }

func (j *Judge) take(b *batch) error {
	for i := range b.features {
		j.ws.add(&b.features[i])
	}
	return j.err
}

// Finish settles what is open.
func (j *Judge) Finish() error {
	j.ws.flush(endOfDays)
	return j.err
}

// Late is how many events came after their day was settled.
func (j *Judge) Late() int64 { return j.ws.late }

// Crowd is how many events were left out because more principals of whom nothing
// was learned acted in one day than are remembered.
func (j *Judge) Crowd() int64 { return j.ws.crowd }

// Cold counts whom the past says nothing of.
func (j *Judge) Cold() Cold {
	var c Cold
	for _, s := range j.cold {
		switch s {
		case unknown:
			c.Unknown++
		case young:
			c.Young++
		case unseasoned:
			c.Seasonal++
			c.Judged++
		case seasoned:
			c.Judged++
		}
	}
	return c
}

func (j *Judge) standing(p *Principal) standing {
	switch {
	case p == nil:
		return unknown
	case p.Events < j.opt.MinEvents || p.Known() < j.opt.MinDays:
		return young
	case p.Known() < 7*MinWeeks:
		return unseasoned
	}
	return seasoned
}

func (j *Judge) settle(w *window) {
	if j.err != nil {
		return
	}
	if w.day != j.today {
		j.today = w.day
		maps.DeleteFunc(j.eves, func(_ string, e *eve) bool { return e.day < w.day-1 })
	}
	p := j.state.Principals[w.key]
	now := j.standing(p)
	if old, ok := j.cold[w.key]; !ok && len(j.cold) < 5*MaxPrincipals || ok && now > old {
		j.cold[w.key] = now
	}
	before := j.eves[w.key]
	if before != nil && before.day != w.day-1 {
		before = nil
	}
	terms := j.terms(w, p, now, before)
	if next := eveOf(w, terms); next != nil {
		j.eves[w.key] = next
	}
	score, points := sum(terms)
	if score < j.opt.Threshold-1e-9 {
		return
	}
	j.err = j.emit(j.finding(w, terms, points, score, now))
}

// eveOf returns what is left of a day for the next: nil where that is nothing.
func eveOf(w *window, terms []term) *eve {
	const hour = 3_600_000
	e := &eve{day: w.day}
	if !slices.ContainsFunc(terms, func(t term) bool { return t.rule == denialsThenAccess }) {
		end := (int64(w.day) + 1) * 24 * hour
		i := len(w.denied)
		for i > 0 && w.denied[i-1].at >= end-hour {
			i--
		}
		e.denied = slices.Clone(w.denied[i:])
	}
	last := map[string]*stay{}
	for k, s := range w.visits {
		if old := last[k.place]; old == nil || s.last.compare(old.last) > 0 {
			last[k.place] = s
		}
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		e.stays = append(e.stays, *last[name])
	}
	if len(e.denied) == 0 && len(e.stays) == 0 {
		return nil
	}
	return e
}
