package detect

import (
	"context"
	"fmt"
	"hash/maphash"
	"runtime"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// Options says how sources are run.
type Options struct {
	// Workers is how many sources are read at once; 0 means one per processor.
	Workers int
	// FlowFormat is the format of flow logs that have no header line.
	FlowFormat string
	// Bare, if set, names rules whose matches need no finding.
	Bare func(*sigma.Rule) bool
	// Keep, if set, is called once for every worker; the function it returns is
	// called with each event that rules match and its context, nil where that has
	// none, and what it returns is the Match.Kept of them all. The event is valid
	// until it returns.
	Keep func() func(e *event.Event, matched []*sigma.Rule, in *sigma.Context) any
	// Gather, if set, is called once for every worker, whose events the Gatherer
	// then takes.
	Gather func() Gatherer
	// Problem, if set, is called with what could not be read.
	Problem func(logs.Problem)
	// Skipped, if set, is called with files in folders that are no logs.
	Skipped func(file string)
	// Progress, if set, is called after each source, and now and then within one,
	// with the sources done and the counts so far.
	Progress func(done int, s Stats)
}

// Gatherer takes the events of one worker, to hand them on in order.
type Gatherer interface {
	// Add takes an event, which is valid until it returns, and reports whether it
	// is time to Cut. Events that were delivered twice come twice.
	Add(*event.Event) (full bool)
	// Cut returns a function that is called after those of all events before, in
	// the order of the sources and by one goroutine at a time; nil where there is
	// nothing to do. Run stops at its error.
	Cut() func() error
}

// Stats counts what a run did.
type Stats struct {
	logs.Stats
	Matches      int64 `json:"matches"`                // without those of Options.Bare
	Duplicates   int64 `json:"duplicates"`             // matched events that were delivered again
	SettledEarly int64 `json:"settledEarly,omitempty"` // see sigma.Correlator.Early
}

// Incomplete reports whether something could not be read.
func (s Stats) Incomplete() bool { return s.Malformed > 0 }

// hit is what a worker hands on: the matches of one event, or a problem.
type hit struct {
	matches      []Match
	observations []sigma.Observation
	id           uint64 // hash of the event's identity; 0 where it has none
	offset       int64
	problem      *logs.Problem
	skipped      string // a file that is no log
	gathered     func() error
	events       int64 // read since the last such hit
}

// tick is after how many events of a source a worker says so.
const tick = 1 << 16

const batchSize, batchesAhead = 128, 16

// Run reads the sources, matches their events and calls visit for every match.
// The error is the context's or that of a callback; what cannot be read is
// counted and goes to Options.Problem.
func Run(ctx context.Context, sources []logs.Source, engine *sigma.Engine, opt Options, visit func(*Match) error) (Stats, error) {
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	results := make([]chan []hit, len(sources))
	stats := make([]logs.Stats, len(sources))
	errs := make([]error, len(sources))
	slots := make(chan struct{}, 4*workers) // sources begun but not consumed
	next := make(chan int)
	seed := maphash.MakeSeed()
	var wg sync.WaitGroup
	for i := range results {
		results[i] = make(chan []hit, batchesAhead)
	}
	wg.Go(func() {
		defer close(next)
		for i := range sources {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for range min(workers, max(len(sources), 1)) {
		wg.Go(func() {
			w := newWorker(engine, opt, seed)
			for i := range next {
				stats[i], errs[i] = w.run(ctx, sources[i], results[i])
				close(results[i])
			}
		})
	}
	defer wg.Wait()
	defer cancel()

	c := &consumer{engine: engine, opt: opt, visit: visit, correlator: engine.NewCorrelator(), seen: newSeen()}
	for i := range sources {
		for open := true; open; {
			var batch []hit
			select {
			case batch, open = <-results[i]:
			case <-ctx.Done():
				return c.stats, ctx.Err()
			}
			for k := range batch {
				if err := c.take(&batch[k], i); err != nil {
					return c.stats, err
				}
			}
		}
		if errs[i] != nil {
			return c.stats, errs[i]
		}
		c.stats.Add(stats[i])
		c.done, c.reading = i+1, 0
		<-slots
		if opt.Progress != nil {
			opt.Progress(i+1, c.stats)
		}
	}
	return c.stats, c.finish()
}

// worker reads sources and matches their events.
type worker struct {
	engine    *sigma.Engine
	opt       Options
	reader    *logs.Reader
	matcher   *sigma.Matcher
	describer *describer
	keep      func(*event.Event, []*sigma.Rule, *sigma.Context) any
	events    int64
	gatherer  Gatherer
	seed      maphash.Seed
	key       []byte

	ctx     context.Context
	out     chan<- []hit
	batch   []hit
	hits    []*sigma.Rule
	matches []Match // of several events, handed on in parts
	onHit   func(*sigma.Rule)
}

func newWorker(engine *sigma.Engine, opt Options, seed maphash.Seed) *worker {
	w := &worker{engine: engine, opt: opt, matcher: engine.Matcher(), describer: newDescriber(engine.Schema()), seed: seed}
	if opt.Keep != nil {
		w.keep = opt.Keep()
	}
	if opt.Gather != nil {
		w.gatherer = opt.Gather()
	}
	w.onHit = func(r *sigma.Rule) { w.hits = append(w.hits, r) }
	w.reader = &logs.Reader{
		Schema: engine.Schema(), FlowFormat: opt.FlowFormat, Visit: w.event,
		Problem: func(p logs.Problem) { _ = w.add(hit{problem: &p}) },
		Skipped: func(file string) { _ = w.add(hit{skipped: file}) },
	}
	return w
}

func (w *worker) run(ctx context.Context, src logs.Source, out chan<- []hit) (logs.Stats, error) {
	w.ctx, w.out = ctx, out
	stats, err := w.reader.Read(ctx, src)
	if err == nil {
		err = w.cut()
	}
	if err == nil {
		err = w.flush()
	}
	w.batch = nil
	return stats, err
}

func (w *worker) event(e *event.Event) error {
	if w.gatherer != nil && w.gatherer.Add(e) {
		if err := w.cut(); err != nil {
			return err
		}
	}
	if w.events++; w.events%tick == 0 && w.opt.Progress != nil {
		if err := w.add(hit{events: tick}); err != nil {
			return err
		}
	}
	w.hits = w.hits[:0]
	w.matcher.Match(e, w.onHit)
	if len(w.hits) == 0 {
		return nil
	}
	h := hit{id: w.identity(e), offset: e.Offset}
	in := w.matcher.Context()
	var kept any
	begun, n := false, 0
	if cap(w.matches)-len(w.matches) < len(w.hits) {
		w.matches = make([]Match, 0, max(64, len(w.hits))) // the former is the consumer's
	}
	for _, r := range w.hits {
		h.observations = w.engine.AppendObservations(h.observations, r, e, in)
		if r.Silent() {
			continue
		}
		if !begun {
			begun = true
			w.describer.begin(e, in)
			if w.keep != nil {
				kept = w.keep(e, w.hits, in)
			}
		}
		m := Match{Rule: r, Source: w.describer.source, Kept: kept}
		if w.opt.Bare == nil || !w.opt.Bare(r) {
			m.Finding = w.describer.describe(w.matcher, r, e)
		}
		w.matches = append(w.matches, m)
		n++
	}
	h.matches = w.matches[len(w.matches)-n : len(w.matches) : len(w.matches)]
	return w.add(h)
}

// identity is a hash of what two deliveries of one event have in common; 0 where
// the record has no id.
func (w *worker) identity(e *event.Event) uint64 {
	w.key = e.AppendIdentity(w.key[:0])
	if len(w.key) == 0 {
		return 0
	}
	return max(1, maphash.Bytes(w.seed, w.key))
}

func (w *worker) add(h hit) error {
	w.batch = append(w.batch, h)
	if len(w.batch) >= batchSize {
		return w.flush()
	}
	return nil
}

// cut hands on what was gathered.
func (w *worker) cut() error {
	if w.gatherer == nil {
		return nil
	}
	gathered := w.gatherer.Cut()
	if gathered == nil {
		return nil
	}
	w.batch = append(w.batch, hit{gathered: gathered})
	return w.flush() // so that no more waits than batchesAhead
}

func (w *worker) flush() error {
	if len(w.batch) == 0 {
		return nil
	}
	select {
	case w.out <- w.batch:
		w.batch = make([]hit, 0, batchSize)
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

// consumer takes what the workers found, in the order of the sources.
type consumer struct {
	engine     *sigma.Engine
	opt        Options
	visit      func(*Match) error
	correlator *sigma.Correlator
	seen       *seen
	stats      Stats
	done       int   // sources
	reading    int64 // events of the source at hand, as far as is known
}

func (c *consumer) take(h *hit, source int) error {
	if h.events > 0 {
		c.reading += h.events
		so := c.stats
		so.Events += c.reading
		c.opt.Progress(c.done, so)
		return nil
	}
	if h.gathered != nil {
		return h.gathered()
	}
	if h.problem != nil {
		if c.opt.Problem != nil {
			c.opt.Problem(*h.problem)
		}
		return nil
	}
	if h.skipped != "" {
		if c.opt.Skipped != nil {
			c.opt.Skipped(h.skipped)
		}
		return nil
	}
	if h.id != 0 && c.seen.before(h.id, uint64(source)<<40^uint64(h.offset)) {
		c.stats.Duplicates++
		return nil
	}
	for _, o := range h.observations {
		if settled := c.correlator.Add(o); settled != nil {
			if err := c.correlated(settled); err != nil {
				return err
			}
		}
	}
	for i := range h.matches {
		m := &h.matches[i]
		if m.Finding != nil {
			c.stats.Matches++
		}
		if err := c.visit(m); err != nil {
			return fmt.Errorf("take match of %s: %w", m.Rule.Key(), err)
		}
	}
	return nil
}

func (c *consumer) finish() error {
	err := c.correlated(c.correlator.Finish())
	c.stats.SettledEarly = c.correlator.Early()
	return err
}

func (c *consumer) correlated(found []sigma.CorrelationMatch) error {
	for i := range found {
		c.stats.Matches++
		m := &Match{Rule: found[i].Rule, Finding: correlated(&found[i]), Correlation: &found[i]}
		if err := c.visit(m); err != nil {
			return fmt.Errorf("take match of %s: %w", m.Rule.Key(), err)
		}
	}
	return nil
}

// seen remembers events in bounded memory: two generations, the older of which is
// forgotten when the younger is full.
type seen struct {
	young, old map[uint64]uint64
}

const generation = 200_000

func newSeen() *seen { return &seen{young: map[uint64]uint64{}} }

// before reports whether the event was seen at another place, and remembers it.
func (s *seen) before(id, place uint64) bool {
	if p, ok := s.young[id]; ok {
		return p != place
	}
	if p, ok := s.old[id]; ok {
		return p != place
	}
	if len(s.young) >= generation {
		s.old, s.young = s.young, make(map[uint64]uint64, generation)
	}
	s.young[id] = place
	return false
}
