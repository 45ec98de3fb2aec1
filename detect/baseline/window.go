package baseline

import (
	"cmp"
	"slices"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// window is one day of one principal.
type window struct {
	key, group, actor string
	account           string
	person            bool
	day               int
	events            int
	hours             [24]int
	calls             map[string]*first
	regions           map[string]*first
	networks          map[string]*first
	agents            map[string]*first
	secrets, buckets  map[string]*first
	denied            []mark           // the earliest, in order
	passed            map[string]mark  // call → its last success
	refused           map[string]bool  // calls that were denied
	places            map[string]*stay // by place
}

type mark struct {
	at   int64 // Unix milliseconds
	id   string
	call string
}

func (m mark) compare(o mark) int { return cmp.Or(cmp.Compare(m.at, o.at), cmp.Compare(m.id, o.id)) }

// first is a value with the event that had it first, and how many had it.
type first struct {
	mark
	n     int
	reads bool
}

// stay is when a principal was at a place.
type stay struct {
	place       Place
	first, last mark
}

const (
	maxValues  = 2000 // of a kind in a window
	maxDenials = 512
)

func (w *window) see(set *map[string]*first, value string, m mark, reads bool) {
	if value == "" {
		return
	}
	if *set == nil {
		*set = map[string]*first{}
	}
	f := (*set)[value]
	if f == nil {
		if len(*set) >= maxValues {
			return
		}
		f = &first{mark: m, reads: reads}
		(*set)[value] = f
	}
	f.n++
	f.reads = f.reads && reads
	if m.compare(f.mark) < 0 {
		f.mark = m
	}
}

// windows opens and settles windows.
type windows struct {
	open    map[windowKey]*window
	settled int  // days before this one are
	again   bool // a settled day may be opened again
	settle  func(*window)
	late    int64
	unknown int64 // events without a time or caller
	places  *Places
}

type windowKey struct {
	key string
	day int
}

const maxWindows = 20_000 // open at once; then the older half is settled

func newWindows(settle func(*window)) *windows {
	return &windows{open: map[windowKey]*window{}, settle: settle}
}

// add takes one event; false means that it does not count.
func (ws *windows) add(e *event.Event) bool {
	if e.Kind != event.CloudTrail {
		return false
	}
	t := e.Time()
	key, group, person := subject(e)
	if t.IsZero() || t.Unix() <= 0 || key == "" {
		ws.unknown++
		return false
	}
	day := dayOf(t)
	if day < ws.settled && !ws.again {
		ws.late++
		return false
	}
	w := ws.open[windowKey{key, day}]
	if w == nil {
		if len(ws.open) >= maxWindows {
			ws.makeRoom()
		}
		w = &window{key: key, group: group, person: person, day: day, account: clip(e.Account())}
		ws.open[windowKey{key, day}] = w
	}
	m := mark{at: t.UnixMilli(), id: clip(e.Ref()), call: call(e)}
	if actor := clip(e.Actor()); w.actor == "" || actor < w.actor {
		w.actor = actor
	}
	w.events++
	w.hours[t.UTC().Hour()]++
	code := e.ErrorCode()
	ip := e.SourceIP()
	if isDenied(code) {
		if w.refused == nil {
			w.refused = map[string]bool{}
		}
		w.refused[m.call] = true
		if at, _ := slices.BinarySearchFunc(w.denied, m, mark.compare); at < maxDenials {
			w.denied = slices.Insert(w.denied, at, m)
			w.denied = w.denied[:min(len(w.denied), maxDenials)]
		}
	}
	w.see(&w.calls, m.call, m, reads(e))
	w.see(&w.regions, clip(e.Region()), m, true)
	w.see(&w.networks, network(ip), m, true)
	w.see(&w.agents, agent(e.UserAgent()), m, true)
	if code == "" {
		if w.passed == nil {
			w.passed = map[string]mark{}
		}
		if old, ok := w.passed[m.call]; ok && m.compare(old) > 0 || !ok && len(w.passed) < maxValues {
			w.passed[m.call] = m
		}
		switch e.Name() {
		case "GetSecretValue", "GetParameter":
			w.see(&w.secrets, clip(e.Get("requestParameters.secretId")), m, true)
		}
		if e.Source() == "s3.amazonaws.com" {
			w.see(&w.buckets, clip(e.Get("requestParameters.bucketName")), m, true)
		}
	}
	if p, ok := ws.places.Find(ip); ok && person {
		if w.places == nil {
			w.places = map[string]*stay{}
		}
		s := w.places[p.Name]
		if s == nil {
			s = &stay{p, m, m}
			w.places[p.Name] = s
		}
		if m.compare(s.first) < 0 {
			s.first = m
		}
		if m.compare(s.last) > 0 {
			s.last = m
		}
	}
	return true
}

// makeRoom settles the older half of the open days; of one day, all.
func (ws *windows) makeRoom() {
	list := make([]int, 0, len(ws.open))
	for k := range ws.open {
		list = append(list, k.day)
	}
	slices.Sort(list)
	ws.flush(list[len(list)/2] + 1)
}

// flush settles the windows before a day, in order.
func (ws *windows) flush(before int) {
	ws.settled = max(ws.settled, before)
	var list []*window
	for k, w := range ws.open {
		if k.day < before {
			list = append(list, w)
			delete(ws.open, k)
		}
	}
	slices.SortFunc(list, func(a, b *window) int { return cmp.Or(a.day-b.day, cmp.Compare(a.key, b.key)) })
	for _, w := range list {
		ws.settle(w)
	}
}

func (w *window) at(hour int) time.Time {
	return time.Unix(int64(w.day)*86400+int64(hour)*3600, 0).UTC()
}

// Learner adds events to a State. It is not safe for concurrent use.
type Learner struct {
	state *State
	ws    *windows
}

// NewLearner returns a Learner that changes s.
func NewLearner(s *State) *Learner {
	l := &Learner{state: s}
	l.ws = newWindows(l.settle)
	l.ws.again = true
	return l
}

// Add learns one event.
func (l *Learner) Add(e *event.Event) {
	if !l.ws.add(e) {
		return
	}
	s := l.state
	s.Events++
	t := e.Time()
	if s.Since.IsZero() || t.Before(s.Since) {
		s.Since = t
	}
	if t.After(s.Until) {
		s.Until = t
	}
}

// Finish settles what is open. It must be called before the State is used.
func (l *Learner) Finish() { l.ws.flush(1 << 40) }

func (l *Learner) settle(w *window) {
	p := l.state.Principals[w.key]
	if p == nil {
		if len(l.state.Principals) >= maxPrincipals {
			l.state.LeftOut += int64(w.events)
			return
		}
		p = newPrincipal(w.group)
		l.state.Principals[w.key] = p
	}
	for _, set := range []struct {
		from map[string]*first
		to   map[string]bool
		name string
		most int
	}{{w.calls, p.Calls, "calls", maxCalls}, {w.regions, p.Regions, "regions", maxOthers}, {w.networks, p.Networks, "networks", maxOthers}, {w.agents, p.Agents, "agents", maxOthers}} {
		values := make([]string, 0, len(set.from))
		for v := range set.from {
			values = append(values, v)
		}
		slices.Sort(values)
		for _, v := range values {
			p.remember(set.to, set.name, v, set.most)
		}
	}
	for h, n := range w.hours {
		if n == 0 {
			continue
		}
		t := w.at(h)
		week, hour := weekHour(t)
		p.hour(week, hour, n)
		if p.First.IsZero() || t.Before(p.First) {
			p.First = t
		}
		if t.After(p.Last) {
			p.Last = t
		}
	}
	p.Events += int64(w.events)
	p.day(Day{Day: w.day, Events: w.events, Secrets: len(w.secrets), Buckets: len(w.buckets)})
}
