package baseline

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Learner adds events to a State. One goroutine uses it; its Extractors are how
// several take part.
type Learner struct {
	state        *State
	ws           *windows
	swept        int   // the day of the last look for principals to forget
	events       int64 // that count
	since, until int64 // of these, Unix nanoseconds
	words        intern
	hash         maphash.Seed
	free         sync.Pool
	own          *Extractor
}

// NewLearner returns a Learner that changes s.
func NewLearner(s *State) *Learner {
	l := &Learner{state: s, words: intern{}, hash: maphash.MakeSeed()}
	l.ws = newWindows(l.settle)
	l.ws.again = true
	l.own = l.Extractor()
	return l
}

// Extractor returns a new Extractor of events to learn.
func (l *Learner) Extractor() *Extractor { return newExtractor(l.hash, l.take, &l.free) }

// Add learns one event.
func (l *Learner) Add(e *event.Event) { _ = l.own.addNow(e) }

func (l *Learner) take(b *batch) error {
	for i := range b.features {
		f := &b.features[i]
		if !l.ws.add(f) {
			continue
		}
		if l.events++; l.events == 1 || f.at < l.since {
			l.since = f.at
		}
		l.until = max(l.until, f.at)
	}
	return nil
}

// Finish settles what is open. It must be called before the State is used.
func (l *Learner) Finish() {
	l.ws.flush(endOfDays)
	s := l.state
	if l.events == 0 {
		return
	}
	s.Events += l.events
	if t := time.Unix(0, l.since).UTC(); s.Since.IsZero() || t.Before(s.Since) {
		s.Since = t
	}
	if t := time.Unix(0, l.until).UTC(); t.After(s.Until) {
		s.Until = t
	}
	l.events = 0
}

// principal returns whose window it is: nil where there is no room.
func (l *Learner) principal(w *window) *Principal {
	all := l.state.Principals
	p := all[w.key]
	if p != nil {
		return p
	}
	if len(all) >= MaxPrincipals && l.swept < w.day {
		l.swept = w.day
		for key, old := range all {
			if dayOf(old.Last) < w.day-forgetAfter {
				l.state.bytes -= old.bytes()
				delete(all, key)
			}
		}
	}
	if len(all) >= MaxPrincipals {
		return nil
	}
	p = newPrincipal(w.group)
	all[w.key] = p
	return p
}

// remember adds a value to a set of a principal, if there is room.
func (l *Learner) remember(p *Principal, h habit, value string) {
	set, s := *h.set, l.state
	switch {
	case set.Has(value):
	case len(set) < h.most && s.bytes < maxBytes:
		set[l.words.text(value)] = struct{}{}
		s.bytes += valueBytes + len(value)
	case !slices.Contains(p.Full, h.name):
		p.Full = append(p.Full, h.name)
		slices.Sort(p.Full)
	}
}

func (l *Learner) settle(w *window) {
	p := l.principal(w)
	if p == nil {
		l.state.LeftOut += int64(w.events)
		return
	}
	seen := [...]map[string]*first{w.calls, w.regions, w.networks, w.agents}
	for i, h := range p.habits() {
		for _, v := range sorted(seen[i]) {
			l.remember(p, h, v)
		}
	}
	for h, of := range w.hours {
		if of == nil {
			continue
		}
		t := w.at(h)
		if p.First.IsZero() || t.Before(p.First) {
			p.First = t
		}
		if t.After(p.Last) {
			p.Last = t
		}
	}
	p.Events += int64(w.events)
	p.learnHours(w)
	p.learnDay(w)
}
