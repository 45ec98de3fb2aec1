package baseline

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// window is one day of one principal.
type window struct {
	key, group, actor string
	account           string
	person            bool
	light             bool // only calls that change something, refusals and journeys
	day               int
	events, refusals  int
	hours             [24]*hour
	calls             map[string]*first
	regions           map[string]*first
	networks          map[string]*first
	agents            map[string]*first
	secrets, buckets  map[string]*first
	denied            []mark          // the earliest, in order
	passed            map[string]mark // call → its last success
	refused           map[string]bool // calls that were denied
	visits            map[visit]*stay
	seen              int // values in all of these
}

type mark struct {
	at   int64 // Unix milliseconds
	id   string
	call string
}

func (m mark) compare(o mark) int {
	if m.at != o.at {
		return cmp.Compare(m.at, o.at)
	}
	return cmp.Compare(m.id, o.id)
}

// span is the first and the last of some events.
type span struct{ first, last mark }

func (s *span) add(m mark) {
	if m.compare(s.first) < 0 {
		s.first = m
	}
	if m.compare(s.last) > 0 {
		s.last = m
	}
}

// hour is the events of one hour.
type hour struct {
	span
	n int
}

// first is a value with the event that had it first, and how many had it.
type first struct {
	mark
	n     int
	reads bool
}

// visit is a place in a minute of the day, stay when within it.
type visit struct {
	place  string
	minute int32
}

type stay struct {
	span
	place Place
}

const (
	maxValues  = 2000 // of a kind in a window
	maxCrowded = 50   // the same where all windows together have too many
	maxDenials = 512
	maxVisits  = 2000
)

// The bounds of what is open at once: days of principals, those of principals of
// whom nothing was learned, and the values of all. All principals that a State
// can hold fit into one day, so that a single day is never settled early.
const (
	maxWindows   = MaxPrincipals + 5_000
	maxStrangers = 20_000
	maxSeen      = 600_000
)

// windows opens and settles windows.
type windows struct {
	open      map[windowKey]*window
	settled   int  // days before this one are
	newest    int  // day that was seen
	tight     int  // newest day when there was nothing old to settle
	again     bool // a settled day may be opened again
	settle    func(*window)
	stranger  func(key string) bool // nobody learned anything of: a light window will do; nil: all are known
	strangers int                   // windows of such
	seen      int                   // values in all windows
	late      int64
	crowd     int64 // events of strangers beyond the bound
	recent    recent
}

type windowKey struct {
	key string
	day int
}

func newWindows(settle func(*window)) *windows {
	return &windows{open: map[windowKey]*window{}, settle: settle, recent: recent{young: map[uint64]struct{}{}}}
}

// recent remembers events in two generations, the older of which is forgotten when
// the younger is full.
type recent struct{ young, old map[uint64]struct{} }

const generation = 200_000

// before reports whether an event came before, and remembers it: a trail of the
// account and one of the organization deliver the same.
func (r *recent) before(identity uint64) bool {
	if identity == 0 {
		return false
	}
	if _, ok := r.young[identity]; ok {
		return true
	}
	_, ok := r.old[identity]
	if len(r.young) >= generation {
		r.old, r.young = r.young, map[uint64]struct{}{}
	}
	r.young[identity] = struct{}{}
	return ok
}

// isTime tells times that a log of AWS can have from nonsense.
func isTime(t time.Time) bool { return !t.Before(minTime) && t.Before(maxTime) }

var (
	minTime = time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC)
	maxTime = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// add takes what one event says; false means that it does not count.
func (ws *windows) add(f *feature) bool {
	if ws.recent.before(f.identity) {
		return false
	}
	day := int(f.at / int64(24*time.Hour))
	if day < ws.settled && !ws.again {
		ws.late++
		return false
	}
	w := ws.open[windowKey{f.who.key, day}]
	if w == nil {
		if w = ws.window(f.who, day); w == nil {
			ws.crowd++
			return false
		}
	}
	if w.actor == "" || f.actor < w.actor {
		w.actor = strings.Clone(f.actor)
	}
	w.events++
	m := mark{at: f.at / int64(time.Millisecond), id: f.id, call: f.call.name}
	ws.outcome(w, m, f.outcome)
	ws.visit(w, m, f.from.place)
	if w.light {
		if !f.reads {
			ws.see(w, &w.calls, m.call, m, false)
		}
		return true
	}
	at := f.at / int64(time.Hour) % 24
	if w.hours[at] == nil {
		w.hours[at] = &hour{span: span{m, m}}
	}
	w.hours[at].n++
	w.hours[at].add(m)
	ws.see(w, &w.calls, m.call, m, f.reads)
	ws.see(w, &w.regions, f.region, m, true)
	ws.see(w, &w.networks, f.from.network, m, true)
	ws.see(w, &w.agents, f.agent, m, true)
	for _, name := range f.secrets {
		ws.see(w, &w.secrets, name, m, true)
	}
	ws.see(w, &w.buckets, f.bucket, m, true)
	return true
}

// window opens a window, or returns nil where there is no room for a stranger.
func (ws *windows) window(who *caller, day int) *window {
	light := ws.stranger != nil && ws.stranger(who.key)
	ws.newest = max(ws.newest, day)
	if len(ws.open)-ws.strangers >= maxWindows || light && ws.strangers >= maxStrangers || ws.seen >= maxSeen {
		ws.makeRoom()
	}
	if light {
		if ws.strangers >= maxStrangers {
			return nil
		}
		ws.strangers++
	}
	w := &window{key: who.key, group: who.group, account: who.account, person: who.person, day: day, light: light}
	ws.open[windowKey{w.key, day}] = w
	return w
}

// room reports whether a window may hold one more of what it has n, and counts it.
func (ws *windows) room(w *window, n, most int) bool {
	if ws.seen >= maxSeen {
		most = min(most, maxCrowded)
	}
	if n >= most {
		return false
	}
	w.seen++
	ws.seen++
	return true
}

func (ws *windows) see(w *window, set *map[string]*first, value string, m mark, reads bool) {
	if value == "" {
		return
	}
	if *set == nil {
		*set = map[string]*first{}
	}
	f := (*set)[value]
	if f == nil {
		if !ws.room(w, len(*set), maxValues) {
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

// outcome notes refusals and successes.
func (ws *windows) outcome(w *window, m mark, o outcome) {
	switch o {
	case denied:
		w.refusals++
		if w.refused == nil {
			w.refused = map[string]bool{}
		}
		if !w.refused[m.call] && ws.room(w, len(w.refused), maxValues) {
			w.refused[m.call] = true
		}
		at, _ := slices.BinarySearchFunc(w.denied, m, mark.compare)
		switch n := len(w.denied); {
		case ws.room(w, n, maxDenials):
			w.denied = slices.Insert(w.denied, at, m)
		case at < n:
			w.denied = slices.Insert(w.denied[:n-1], at, m)
		}
	case passed:
		if w.passed == nil {
			w.passed = map[string]mark{}
		}
		if old, ok := w.passed[m.call]; ok && m.compare(old) > 0 || !ok && ws.room(w, len(w.passed), maxValues) {
			w.passed[m.call] = m
		}
	}
}

// visit notes where a person was.
func (ws *windows) visit(w *window, m mark, p *Place) {
	if p == nil || !w.person {
		return
	}
	k := visit{p.Name, int32(m.at / 60_000 % 1440)}
	s := w.visits[k]
	if s == nil {
		if !ws.room(w, len(w.visits), maxVisits) {
			return
		}
		if w.visits == nil {
			w.visits = map[visit]*stay{}
		}
		s = &stay{span{m, m}, *p}
		w.visits[k] = s
	}
	s.add(m)
}

// makeRoom settles the older half of the open days. Where others may not come
// again it spares the newest day, which is still being read.
func (ws *windows) makeRoom() {
	if len(ws.open) == 0 || ws.tight == ws.newest {
		return
	}
	list := make([]int, 0, len(ws.open))
	for k := range ws.open {
		list = append(list, k.day)
	}
	slices.Sort(list)
	before := list[len(list)/2] + 1
	if !ws.again {
		before = min(before, list[len(list)-1])
	}
	if before > list[0] {
		ws.flush(before)
	} else {
		ws.tight = ws.newest
	}
}

// endOfDays is behind every day that a window can have.
const endOfDays = math.MaxInt32

// flush settles the windows before a day, in order.
func (ws *windows) flush(before int) {
	ws.settled = max(ws.settled, before)
	var list []*window
	for k, w := range ws.open {
		if k.day < before {
			list = append(list, w)
			delete(ws.open, k)
			if w.light {
				ws.strangers--
			}
			ws.seen -= w.seen
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
