package asl

import (
	"fmt"
	"math"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

// branch walks through the states of one flow.
type branch struct {
	r      *runner
	scope  *scope
	flow   *flow
	vars   *variables
	parent *branch
	done   func(out any, f *failure)
	prev   int64

	st          *state
	input       any
	entered     int64
	enteredPrev int64
	enteredAt   time.Time
	tries       []int64 // of each retrier
	retryCount  int64
	started     bool          // the Map or Parallel state said so
	item        *value.Object // $$.Map
	token       string

	blocked  bool
	dead     bool
	children []*branch
	waits    []*waiting
	group    *group
	attempt  *taskAttempt
}

// start lets the branch begin at its flow's first state.
func (b *branch) start(input any) {
	b.st, b.input = b.flow.states[b.flow.startAt], input
	b.r.ready = append(b.r.ready, b.run)
}

// run goes from state to state until something must be waited for.
func (b *branch) run() {
	for !b.blocked && !b.dead && b.r.err == nil && b.r.result == nil {
		b.enter()
	}
}

// resume goes on after a wait.
func (b *branch) resume(f func()) {
	if b.dead || b.r.err != nil {
		return
	}
	b.blocked = false
	f()
	b.run()
}

// block says that the branch waits; what continues it calls resume.
func (b *branch) block() { b.blocked = true }

func (b *branch) emit(e Event) int64 {
	e.Previous = b.prev
	id := b.r.emit(b.scope, e)
	b.prev = id
	return id
}

func (b *branch) enter() {
	if b.r.count >= b.r.host.MaxEvents-1 {
		b.r.emit(b.r.main, Event{Previous: b.prev, Type: "ExecutionFailed", Error: "States.Runtime", hasErr: true, Cause: tooManyEvents(b.r.host.MaxEvents), hasCause: true})
		b.r.finish(&Result{Status: StatusFailed, Error: "States.Runtime", HasError: true, Cause: tooManyEvents(b.r.host.MaxEvents), HasCause: true})
		return
	}
	b.enteredPrev = b.prev
	b.tries, b.retryCount, b.token, b.started = nil, 0, "", false
	b.entered = b.emit(Event{Type: b.st.typ + "StateEntered", Name: b.st.name, Input: b.input, hasInput: true})
	b.enteredAt = b.r.last
	b.execute()
}

func tooManyEvents(n int64) string {
	return fmt.Sprintf("The execution reached the maximum number of history events (%d).", n)
}

// evaluation returns what the current state's paths and expressions may look at.
func (b *branch) evaluation(input any) *evaluation {
	return &evaluation{input: input, vars: b.vars, context: b.context, env: b.r.env}
}

// context builds the context object.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
func (b *branch) context() *value.Object {
	id := b.r.id
	name := id.Name
	if b.scope.child != "" {
		name = b.scope.child
	}
	st := value.Obj("Name", b.st.name, "EnteredTime", stamp(b.enteredAt))
	if b.st.typ == "Task" || b.st.typ == "Map" || b.st.typ == "Parallel" {
		st.Set("RetryCount", b.retryCount)
	}
	c := value.Obj(
		"Execution", value.Obj("Id", id.ID, "Input", b.scope.input, "StartTime", stamp(b.scope.start), "Name", name, "RoleArn", id.RoleARN),
		"StateMachine", value.Obj("Id", id.StateMachineID, "Name", id.StateMachineName),
		"State", st,
	)
	if x, _ := c.Get("Execution"); !id.Express {
		x.(*value.Object).Set("RedriveCount", int64(0))
	}
	if b.token != "" {
		c.Set("Task", value.Obj("Token", b.token))
	}
	for p := b; p != nil; p = p.parent {
		if p.item != nil {
			c.Set("Map", p.item)
			break
		}
	}
	return c
}

// execute does the work of the state that was just entered, or tries again.
func (b *branch) execute() {
	switch b.st.typ {
	case "Pass":
		b.pass()
	case "Succeed":
		b.succeed()
	case "Fail":
		b.failState()
	case "Choice":
		b.choose()
	case "Wait":
		b.waitState()
	case "Task":
		b.task()
	case "Parallel":
		b.parallel()
	case "Map":
		b.mapState()
	}
}

// processed is how a state's data went, step by step, as TestState shows it.
type processed struct {
	afterInputPath, afterParameters, afterSelector, afterResultPath any
}

// conclude turns a state's result into its output and leaves the state.
func (b *branch) conclude(effective, result any, hasResult bool) {
	e := b.evaluation(effective)
	e.result, e.hasResult = result, hasResult
	out, assigned, f := b.st.finish(e, b.input, effective, result, hasResult, nil)
	if f != nil {
		b.fail(f)
		return
	}
	b.exit(out, assigned, b.st.next)
}

// finish applies ResultSelector, ResultPath, OutputPath and Assign, or Output
// and Assign, to a result.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-input-output-filtering.html
func (s *state) finish(e *evaluation, raw, effective, result any, hasResult bool, trace *processed) (out any, assigned *value.Object, f *failure) {
	if s.jsonata() {
		e.input = raw
		out = raw
		if hasResult {
			out = result
		}
		if s.output != nil {
			if out, f = s.output.eval(e); f != nil {
				return nil, nil, f
			}
		}
		assigned, f = e.assign(s.assign)
		return out, assigned, f
	}
	out = effective
	if hasResult {
		if s.resultSelector != nil {
			e.input = result
			if result, f = s.resultSelector.eval(e); f != nil {
				return nil, nil, f
			}
		}
		if trace != nil {
			trace.afterSelector = result
		}
		if out, f = s.resultPath.apply(raw, result); f != nil {
			return nil, nil, f
		}
		if trace != nil {
			trace.afterResultPath = out
		}
	}
	e.input = effective
	if hasResult {
		e.input = result
	}
	if assigned, f = e.assign(s.assign); f != nil {
		return nil, nil, f
	}
	e.input = out
	out, f = e.path(s.outputPath)
	return out, assigned, f
}

// apply puts a result where ResultPath says.
func (p optionalPath) apply(raw, result any) (any, *failure) {
	switch {
	case !p.set:
		return result, nil
	case p.path == nil:
		return raw, nil
	}
	out, err := p.path.Set(raw, result)
	if err != nil {
		return nil, &failure{name: "States.ResultPathMatchFailure", hasCause: true, placed: true,
			cause: fmt.Sprintf("Unable to apply ReferencePath %s to input %s", p.path, value.String(raw))}
	}
	return out, nil
}

func (e *evaluation) assign(t *template) (*value.Object, *failure) {
	if t == nil {
		return nil, nil
	}
	v, f := t.eval(e)
	if f != nil {
		return nil, f
	}
	o, _ := v.(*value.Object)
	return o, nil
}

// setVariables writes an Assign's values into the branch's own scope.
func (b *branch) setVariables(assigned *value.Object) {
	if assigned == nil {
		return
	}
	old := b.vars.values
	n := value.NewObject(assigned.Len())
	if old != nil {
		n = old.Clone()
	}
	for i := range assigned.Len() {
		k, v := assigned.At(i)
		n.Set(k, v)
	}
	b.vars = &variables{outer: b.vars.outer, values: n}
}

// exit leaves the state for the next one, or ends the branch.
func (b *branch) exit(out any, assigned *value.Object, next string) {
	if value.Size(out) > maxPayload {
		b.fail(tooLarge(b.st.name))
		return
	}
	b.leave(out, assigned, next)
}

func (b *branch) leave(out any, assigned *value.Object, next string) {
	b.setVariables(assigned)
	e := Event{Type: b.st.typ + "StateExited", Name: b.st.name, Output: out, hasOut: true}
	if assigned != nil && assigned.Len() > 0 {
		e.Details = value.Obj("assignedVariables", assigned)
	}
	b.emit(e)
	if next == "" {
		b.finish(out, nil)
		return
	}
	b.st, b.input = b.flow.states[next], out
}

func (b *branch) finish(out any, f *failure) {
	b.dead = true
	b.done(out, f)
}

func tooLarge(what string) *failure {
	return &failure{name: "States.DataLimitExceeded", hasCause: true, cause: fmt.Sprintf("The state/task '%s' returned a result with a size exceeding the maximum number of bytes service limit.", what)}
}

// place puts the sentence about the state before a cause that needs it.
func (b *branch) place(f *failure) *failure {
	if !f.placed {
		return f
	}
	g := *f
	g.placed = false
	g.cause = fmt.Sprintf("An error occurred while executing the state '%s' (entered at the event id #%d). %s", b.st.name, b.entered, f.cause)
	return &g
}

// fail handles a failure of the current state: retry, catch, or up to whoever
// started the branch.
func (b *branch) fail(f *failure) {
	f = b.place(f)
	if f.evaluation {
		d := value.Obj("state", b.st.name)
		if f.location != "" {
			d.Set("location", f.location)
		}
		e := Event{Type: "EvaluationFailed", Details: d}
		e.Error, e.hasErr, e.Cause, e.hasCause = f.name, true, f.cause, f.hasCause
		b.prev, e.Previous = b.enteredPrev, b.enteredPrev
		b.emit(e)
	}
	wasEvaluation := f.evaluation
	f.evaluation = false // its event belongs to this state alone
	if f.catchable() {
		if d, ok := b.nextTry(f); ok {
			b.block()
			b.waitUntil(b.r.last.Add(d), func() { b.execute() })
			return
		}
	}
	if b.st.typ == "Map" || b.st.typ == "Parallel" {
		if b.started || wasEvaluation {
			b.emit(Event{Type: b.st.typ + "StateFailed"})
		}
	}
	if f.catchable() {
		for i := range b.st.catch {
			if f.matches(b.st.catch[i].errors) {
				b.caught(&b.st.catch[i], f)
				return
			}
		}
	}
	b.finish(nil, f)
}

// nextTry returns how long to wait before the state is tried again.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
func (b *branch) nextTry(f *failure) (time.Duration, bool) {
	for i := range b.st.retry {
		r := &b.st.retry[i]
		if !f.matches(r.errors) {
			continue
		}
		if b.tries == nil {
			b.tries = make([]int64, len(b.st.retry))
		}
		if b.tries[i] >= r.attempts {
			return 0, false
		}
		s := r.delay(b.tries[i])
		if r.jitter {
			s *= b.r.env.random()
		}
		b.tries[i]++
		b.retryCount++
		return time.Duration(s * float64(time.Second)), true
	}
	return 0, false
}

// delay is the number of seconds before retry n, counted from 0, without jitter.
func (r *retrier) delay(n int64) float64 {
	s := r.interval * math.Pow(r.backoff, float64(n))
	if r.hasMaxDelay {
		s = min(s, r.maxDelay)
	}
	return min(s, mostSeconds)
}

// errorOutput is what a Catch gets: null for what the task did not say, and
// an empty cause where Step Functions itself ended the task.
func (f *failure) errorOutput() *value.Object {
	o := value.Obj("Error", nil, "Cause", nil)
	if f.name != "" {
		o.Set("Error", f.name)
	}
	if f.hasCause || f.name == "States.Timeout" || f.name == "States.HeartbeatTimeout" {
		o.Set("Cause", f.cause)
	}
	return o
}

func (b *branch) caught(c *catcher, f *failure) {
	out, assigned, fail := b.st.catchOutput(b.evaluation(b.input), c, f, b.input)
	if fail != nil {
		b.finish(nil, b.place(fail))
		return
	}
	b.leave(out, assigned, c.next)
}

func (s *state) catchOutput(e *evaluation, c *catcher, f *failure, raw any) (any, *value.Object, *failure) {
	var out any = f.errorOutput()
	e.failed, e.hasFailed = out, true
	var fail *failure
	if s.jsonata() {
		if c.output != nil {
			if out, fail = c.output.eval(e); fail != nil {
				return nil, nil, fail
			}
		}
	} else {
		e.input = out
	}
	assigned, fail := e.assign(c.assign)
	if fail != nil {
		return nil, nil, fail
	}
	if !s.jsonata() {
		out, fail = c.resultPath.apply(raw, out)
	}
	return out, assigned, fail
}

// waitUntil continues the branch at a time.
func (b *branch) waitUntil(at time.Time, then func()) *waiting {
	var w *waiting
	w = b.r.after(at, b, func(outcome) {
		b.forget(w)
		b.resume(then)
	})
	b.waits = append(b.waits, w)
	return w
}

func (b *branch) forget(w *waiting) {
	for i, x := range b.waits {
		if x == w {
			b.waits = append(b.waits[:i], b.waits[i+1:]...)
			return
		}
	}
}

// abort ends the branch and all below it from outside. With events it records
// that its state was aborted.
func (b *branch) abort(events bool) {
	if b.dead {
		return
	}
	for _, c := range b.children {
		c.abort(events)
	}
	b.dead = true
	for _, w := range b.waits {
		b.r.drop(w)
	}
	b.waits = nil
	if events && b.st != nil && b.blocked {
		b.abortedEvent()
	}
}

func (b *branch) abortedEvent() {
	switch b.st.typ {
	case "Task", "Wait", "Map", "Parallel":
		b.emit(Event{Type: b.st.typ + "StateAborted"})
	}
}
