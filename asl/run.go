package asl

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

// The limits of Step Functions on a run.
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const (
	maxPayload       = 262_144
	maxEvents        = 25_000
	maxExpressEvents = 1_000_000 // not an AWS limit: Express workflows have a time limit
	maxConcurrency   = 40        // iterations of an inline Map at once
	maxChildren      = 10_000    // child executions of a distributed Map at once
	maxItems         = 100_000   // of one distributed Map; not an AWS limit
)

// The statuses of an execution.
const (
	StatusSucceeded = "SUCCEEDED"
	StatusFailed    = "FAILED"
	StatusTimedOut  = "TIMED_OUT"
	StatusAborted   = "ABORTED"
)

// Result is how an execution ended.
type Result struct {
	Status   string
	Output   []byte // JSON; nil unless succeeded
	Error    string
	Cause    string
	HasError bool // false where a Fail state names none
	HasCause bool
	Events   []Event // of the execution itself, without those of child executions
	Started  time.Time
	Stopped  time.Time
}

// Run executes the machine. If host.History already holds events of the
// execution, the run resumes after them: what they record is not done again.
//
// The error is nil when the execution ended, in whatever status. It is an
// [UnknownOutcomeError], [ErrConflict], the context's error or one of the
// history's when the execution could not be carried on.
func Run(ctx context.Context, m *Machine, input []byte, host Host) (*Result, error) {
	if len(input) == 0 {
		input = []byte("{}")
	}
	in, err := value.Parse(input)
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	if len(input) > maxPayload && value.Size(in) > maxPayload {
		return nil, fmt.Errorf("read input: %d bytes exceed the %d that an execution may be started with", len(input), maxPayload)
	}
	r := newRunner(ctx, m, in, host)
	defer r.close()
	if host.History != nil {
		if r.recorded, err = host.History.Load(ctx, r.id.ID); err != nil {
			return nil, fmt.Errorf("load history: %w", err)
		}
		if len(r.recorded) > 0 {
			first := r.recorded[0]
			if !value.Equal(first.Input, in) {
				return nil, fmt.Errorf("resume execution %s: it was started with another input", r.id.ID)
			}
			if v, ok := r.clock.(*VirtualClock); ok { // virtual time goes on where it stood
				_ = v.Sleep(ctx, r.recorded[len(r.recorded)-1].Time, nil)
			}
		}
	}
	if err := r.loop(in); err != nil {
		return nil, err
	}
	return r.result, nil
}

// runner is one run. All of it belongs to the goroutine that called Run; tasks
// report over the completions channel.
type runner struct {
	ctx  context.Context
	host Host
	m    *Machine
	id   Execution
	env  *runEnv
	in   any

	clock   Clock
	inline  bool // tasks are called one after the other
	started time.Time
	last    time.Time

	recorded  []Event // history to replay
	position  int     // how much of it has been
	persisted int     // events that are safe
	buffer    []Event // events that are not yet
	events    []Event
	count     int64
	err       error // what stops the run

	ready       []func()
	wakes       int64
	wake        int64 // the wait that just ended
	waits       map[int64]*waiting
	timers      timers
	calls       []*waiting // inline calls not yet made
	late        []*waiting // calls met while replaying
	silent      []silence
	completions chan completion
	cancel      context.CancelFunc
	inflight    int

	root   *branch
	main   *scope
	result *Result
}

// scope numbers the events of the execution itself or of one child execution.
type scope struct {
	child  string
	nextID int64
	input  any
	start  time.Time
}

// waiting is something that will happen: a task's end or a time.
type waiting struct {
	id     int64
	b      *branch
	call   *Call
	fire   func(outcome)
	at     time.Time
	timer  bool
	index  int // in the heap
	cancel context.CancelFunc
	gone   bool
	made   bool // the call may have been made by a process that ended
}

// outcome is how a wait ended.
type outcome struct {
	output    any
	fail      *failure
	submitted bool
	silent    bool // the task does not answer
}

// silence is a call that got no answer.
type silence struct {
	w *waiting
	o outcome
}

type completion struct {
	w         *waiting
	o         outcome
	heartbeat bool
	err       error
}

func newRunner(ctx context.Context, m *Machine, in any, host Host) *runner {
	r := &runner{host: host, m: m, in: in, id: host.Execution.withDefaults(), waits: map[int64]*waiting{}}
	r.ctx, r.cancel = context.WithCancel(ctx)
	r.clock = host.Clock
	if r.clock == nil {
		r.clock = NewVirtualClock(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	_, r.inline = r.clock.(*VirtualClock)
	r.completions = make(chan completion, 64)
	r.env = &runEnv{rng: rand.New(rand.NewPCG(host.Seed, 0xba571)), time: func() time.Time { return r.last }}
	if r.host.MaxEvents == 0 {
		r.host.MaxEvents = maxEvents
		if r.id.Express {
			r.host.MaxEvents = maxExpressEvents
		}
	}
	return r
}

// close ends what is still under way. A task that does not heed its context
// may outlive the run; nobody listens to it any more.
func (r *runner) close() { r.cancel() }

func (r *runner) replaying() bool { return r.position < len(r.recorded) }

// emit records an event: in a resumed run it is compared with the recorded one
// and takes its time.
func (r *runner) emit(s *scope, e Event) int64 {
	if r.err != nil {
		return 0
	}
	if !e.Internal {
		s.nextID++
		e.ID = s.nextID
	}
	e.Child = s.child
	e.wake, r.wake = r.wake, 0
	if r.replaying() {
		was := r.recorded[r.position]
		if was.Type != e.Type || was.Name != e.Name || was.ID != e.ID || was.Child != e.Child {
			r.err = fmt.Errorf("resume execution %s: event %d is %s %s in the history and %s %s now: the definition has changed", r.id.ID, was.ID, was.Type, was.Name, e.Type, e.Name)
			return 0
		}
		r.position++
		e.Time = was.Time
		r.last = e.Time
		r.persisted++
	} else {
		if e.Time = r.clock.Now(); e.Time.Before(r.last) {
			e.Time = r.last // a clock that was set back does not unmake the order
		}
		r.last = e.Time
		if r.host.History != nil {
			r.buffer = append(r.buffer, e)
		} else {
			r.observe(e)
		}
		if len(r.buffer) >= 256 {
			r.flush()
		}
	}
	r.count++
	if !e.Internal && s.child == "" && !r.host.DiscardEvents {
		r.events = append(r.events, e)
	}
	return e.ID
}

func (r *runner) observe(e Event) {
	if r.host.Observe != nil {
		r.host.Observe(e)
	}
}

// flush makes every event safe. It is called before anything outside is done
// because of them.
func (r *runner) flush() {
	if r.err != nil || len(r.buffer) == 0 {
		return
	}
	if err := r.host.History.Append(r.ctx, r.id.ID, r.persisted, r.buffer); err != nil {
		r.err = fmt.Errorf("record history: %w", err)
		return
	}
	r.persisted += len(r.buffer)
	for _, e := range r.buffer {
		r.observe(e)
	}
	r.buffer = r.buffer[:0]
}

func (r *runner) loop(in any) error {
	r.main = &scope{input: in}
	r.last = r.clock.Now()
	if r.replaying() {
		r.last = r.recorded[0].Time
	}
	r.emit(r.main, Event{Type: "ExecutionStarted", Input: in, hasInput: true, Details: value.Obj("roleArn", r.id.RoleARN)})
	r.started = r.last
	r.main.start = r.last
	r.root = &branch{r: r, scope: r.main, flow: r.m.root, vars: &variables{}, done: r.end}
	if r.m.timeoutSeconds > 0 {
		r.after(r.last.Add(time.Duration(r.m.timeoutSeconds)*time.Second), nil, func(outcome) { r.timeOut() })
	}
	r.root.start(in)
	for r.result == nil && r.err == nil {
		if len(r.ready) > 0 {
			next := r.ready[0]
			r.ready = r.ready[1:]
			next()
			continue
		}
		r.ready = nil
		r.next()
	}
	if r.err == nil {
		r.flush()
	}
	if r.err != nil {
		return r.err
	}
	r.result.Events = r.events
	r.result.Started, r.result.Stopped = r.started, r.last
	return nil
}

// next lets one thing happen that the execution waits for.
func (r *runner) next() {
	if r.replaying() {
		r.replay()
		return
	}
	r.flush()
	if r.err != nil {
		return
	}
	if err := r.ctx.Err(); err != nil {
		r.stop()
		return
	}
	if len(r.late) > 0 {
		late := r.late
		r.late = nil
		for _, w := range late {
			r.launch(w)
		}
		return
	}
	switch {
	case len(r.calls) > 0 && r.inline:
		w := r.calls[0]
		r.calls = r.calls[1:]
		if !w.gone {
			r.perform(w)
		}
	case r.inflight > 0:
		r.await()
	case len(r.timers) > 0:
		t := r.timers[0]
		if err := r.clock.Sleep(r.ctx, t.at, nil); err != nil {
			r.stop()
			return
		}
		r.fire(t, outcome{})
	case len(r.silent) > 0:
		s := r.silent[0]
		r.silent = r.silent[1:]
		if !s.w.gone {
			r.fire(s.w, s.o)
		}
	default:
		r.err = errors.New("the execution waits for nothing: this is a fault of the interpreter")
	}
}

// stop ends a cancelled run: aborted if that was asked for, else resumable.
func (r *runner) stop() {
	if errors.Is(context.Cause(r.ctx), ErrAbort) {
		r.emit(r.main, Event{Type: "ExecutionAborted"})
		r.finish(&Result{Status: StatusAborted})
		r.ctx = context.WithoutCancel(r.ctx) // the last event is still recorded
		return
	}
	r.err = context.Cause(r.ctx)
}

// await waits for a task to report, or for the next timer.
func (r *runner) await() {
	var wake chan struct{}
	got := make(chan completion, 1)
	if len(r.timers) == 0 {
		select {
		case c := <-r.completions:
			r.complete(c)
		case <-r.ctx.Done():
			r.stop()
		}
		return
	}
	wake = make(chan struct{})
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	go func() {
		defer close(done)
		select {
		case c := <-r.completions:
			got <- c
			close(wake)
		case <-ctx.Done():
		}
	}()
	t := r.timers[0]
	err := r.clock.Sleep(ctx, t.at, wake)
	cancel()
	<-done
	select {
	case c := <-got:
		r.complete(c)
		return
	default:
	}
	if err != nil && r.ctx.Err() != nil {
		r.stop()
		return
	}
	if !r.clock.Now().Before(t.at) {
		r.fire(t, outcome{})
	}
}

func (r *runner) complete(c completion) {
	if !c.heartbeat && !c.o.submitted {
		r.inflight--
	}
	if c.w.gone {
		return
	}
	switch {
	case c.heartbeat:
		c.w.b.beat()
	case c.err != nil:
		r.err = c.err
	case c.o.submitted:
		r.wake = c.w.id
		c.w.fire(c.o)
	default:
		r.fire(c.w, c.o)
	}
}

// wait registers something to happen and numbers it, the same in a resumed run.
func (r *runner) wait(w *waiting) *waiting {
	r.wakes++
	w.id = r.wakes
	r.waits[w.id] = w
	if w.timer {
		heap.Push(&r.timers, w)
	}
	return w
}

// after registers a time.
func (r *runner) after(at time.Time, b *branch, fire func(outcome)) *waiting {
	return r.wait(&waiting{b: b, at: at, timer: true, fire: fire})
}

// drop forgets a wait.
func (r *runner) drop(w *waiting) {
	if w == nil || w.gone {
		return
	}
	w.gone = true
	delete(r.waits, w.id)
	if w.timer {
		heap.Remove(&r.timers, w.index)
	}
	if w.cancel != nil {
		w.cancel()
	}
}

func (r *runner) fire(w *waiting, o outcome) {
	r.drop(w)
	r.wake = w.id
	w.fire(o)
}

// replay lets happen what the next recorded event says happened.
func (r *runner) replay() {
	e := r.recorded[r.position]
	if e.Type == "ExecutionAborted" {
		r.emit(r.main, Event{Type: "ExecutionAborted"})
		r.finish(&Result{Status: StatusAborted})
		return
	}
	w := r.waits[e.wake]
	if w == nil {
		r.err = fmt.Errorf("resume execution %s: event %d (%s) does not follow: the definition has changed", r.id.ID, e.ID, e.Type)
		return
	}
	r.last = e.Time
	if w.timer {
		r.fire(w, outcome{})
		return
	}
	o := outcome{output: e.Output}
	switch {
	case e.Type == "TaskSubmitted":
		o.submitted = true
		r.wake = w.id
		if w.call != nil {
			w.call.SubmittedOutput = value.Append(nil, e.Output)
		}
		w.fire(o)
		return
	case !e.hasOut:
		o.fail = &failure{name: e.Error, cause: e.Cause, hasCause: e.hasCause, hasName: e.hasErr}
	}
	r.fire(w, o)
}

func (r *runner) end(out any, f *failure) {
	switch {
	case f == nil:
		r.emit(r.main, Event{Previous: r.root.prev, Type: "ExecutionSucceeded", Output: out, hasOut: true})
		r.finish(&Result{Status: StatusSucceeded, Output: value.Append(nil, out)})
	default:
		e := Event{Previous: r.root.prev, Type: "ExecutionFailed"}
		e.Error, e.hasErr = f.name, f.name != ""
		e.Cause, e.hasCause = f.cause, f.hasCause
		r.emit(r.main, e)
		r.finish(&Result{Status: StatusFailed, Error: f.name, HasError: f.name != "", Cause: f.cause, HasCause: f.hasCause})
	}
}

func (r *runner) timeOut() {
	r.root.abort(false)
	r.emit(r.main, Event{Type: "ExecutionTimedOut", Error: "States.Timeout", hasErr: true})
	r.finish(&Result{Status: StatusTimedOut})
}

func (r *runner) finish(res *Result) {
	if r.result == nil {
		r.result = res
	}
}

// timers is a heap of waits by time, then by number.
type timers []*waiting

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if t[i].at.Equal(t[j].at) {
		return t[i].id < t[j].id
	}
	return t[i].at.Before(t[j].at)
}
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}
func (t *timers) Push(x any) {
	w := x.(*waiting)
	w.index = len(*t)
	*t = append(*t, w)
}
func (t *timers) Pop() any {
	old := *t
	w := old[len(old)-1]
	*t = old[:len(old)-1]
	return w
}
