package asl

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

// taskAttempt is one try of a Task state.
type taskAttempt struct {
	effective  any
	call       *Call
	wait       *waiting
	timeout    *waiting
	heartbeat  *waiting
	heartbeats time.Duration
	submitted  bool
}

// taskInput evaluates what a Task state needs before it is scheduled.
func (s *state) taskInput(e *evaluation, trace *processed) (effective, params any, creds any, f *failure) {
	if effective, f = e.path(s.inputPath); f != nil {
		return
	}
	e.input = effective
	params = effective
	if trace != nil {
		trace.afterInputPath, trace.afterParameters = effective, effective
	}
	if s.parameters != nil {
		if params, f = s.parameters.eval(e); f != nil {
			return
		}
	}
	if trace != nil {
		trace.afterParameters = params
	}
	if s.credentials != nil {
		creds, f = s.credentials.eval(e)
	}
	return
}

func (b *branch) task() {
	s := b.st
	if s.res.pattern == callback || s.res.kind == activityTask {
		b.token = b.r.env.uuid()
	}
	e := b.evaluation(b.input)
	effective, params, creds, f := s.taskInput(e, nil)
	if f != nil {
		b.fail(f)
		return
	}
	timeout, hasTimeout, f := e.integer(s.timeout)
	if f == nil {
		var beat int64
		var hasBeat bool
		if beat, hasBeat, f = e.integer(s.heartbeat); f == nil {
			b.schedule(effective, params, creds, timeout, hasTimeout, beat, hasBeat)
			return
		}
	}
	b.fail(f)
}

// Event names differ by what kind of resource does the work.
func (s *state) taskEvent(what string) string {
	switch s.res.kind {
	case lambdaTask:
		return "LambdaFunction" + what
	case activityTask:
		return "Activity" + what
	}
	return "Task" + what
}

func (s *state) taskDetails() *value.Object {
	if s.res.kind == integrationTask {
		return value.Obj("resourceType", s.res.service, "resource", s.res.action)
	}
	if s.res.kind == otherTask {
		return value.Obj("resourceType", "", "resource", s.resource)
	}
	return nil
}

func (b *branch) schedule(effective, params, creds any, timeout int64, hasTimeout bool, beat int64, hasBeat bool) {
	s := b.st
	ev := Event{Type: s.taskEvent("Scheduled")}
	switch s.res.kind {
	case lambdaTask, activityTask:
		ev.Details = value.Obj("resource", s.resource)
		ev.Input, ev.hasInput = params, true
	default:
		ev.Details = s.taskDetails()
		ev.Details.Set("region", "")
		ev.Details.Set("parameters", params)
	}
	if hasTimeout {
		ev.Details.Set("timeoutInSeconds", timeout)
	}
	if hasBeat {
		ev.Details.Set("heartbeatInSeconds", beat)
	}
	if creds != nil {
		ev.Details.Set("taskCredentials", creds)
	}
	id := b.emit(ev)
	made := b.r.replaying() // the call may have been made before the process ended
	b.emit(Event{Type: s.taskEvent("Started"), Details: s.taskDetails()})
	a := &taskAttempt{effective: effective}
	b.attempt = a
	a.call = &Call{
		Execution: b.r.id.ID, State: s.name, Resource: s.resource, Service: s.res.service, Action: s.res.action,
		Parameters: value.Append(nil, params), Token: b.token, Attempt: b.retryCount, EventID: id,
	}
	if creds != nil {
		a.call.Credentials = value.Append(nil, creds)
	}
	b.block()
	a.wait = b.r.invoke(b, a.call, made, b.taskDone)
	b.waits = append(b.waits, a.wait)
	if hasTimeout {
		a.timeout = b.r.after(b.r.last.Add(time.Duration(timeout)*time.Second), b, func(outcome) {
			b.taskDone(outcome{fail: &failure{name: "States.Timeout", hasName: true}})
		})
		b.waits = append(b.waits, a.timeout)
	}
	if hasBeat {
		a.heartbeats = time.Duration(beat) * time.Second
		b.beat()
	}
}

// beat starts the heartbeat's time anew.
func (b *branch) beat() {
	a := b.attempt
	if a == nil || a.heartbeats == 0 {
		return
	}
	if a.heartbeat != nil {
		b.forget(a.heartbeat)
		a.heartbeat.at = b.r.clock.Now().Add(a.heartbeats)
		w := a.heartbeat
		b.r.drop(w)
		w.gone = false
		b.r.rearm(w)
		b.waits = append(b.waits, w)
		return
	}
	a.heartbeat = b.r.after(b.r.last.Add(a.heartbeats), b, func(outcome) {
		b.taskDone(outcome{fail: &failure{name: "States.HeartbeatTimeout", hasName: true}})
	})
	b.waits = append(b.waits, a.heartbeat)
}

// taskDone takes the outcome of the attempt under way.
func (b *branch) taskDone(o outcome) {
	if b.dead || b.r.err != nil {
		return
	}
	a, s := b.attempt, b.st
	awaited := s.res.pattern != requestResponse && s.res.kind == integrationTask
	if o.submitted {
		if awaited && !a.submitted {
			a.submitted = true
			b.emit(Event{Type: "TaskSubmitted", Details: s.taskDetails(), Output: o.output, hasOut: true})
		}
		return
	}
	for _, w := range []*waiting{a.wait, a.timeout, a.heartbeat} {
		if w != nil {
			b.forget(w)
			b.r.drop(w)
		}
	}
	b.attempt = nil
	b.resume(func() {
		if o.fail != nil {
			b.taskFailed(o.fail)
			return
		}
		b.emit(Event{Type: s.taskEvent("Succeeded"), Details: s.taskDetails(), Output: o.output, hasOut: true})
		b.conclude(a.effective, o.output, true)
	})
}

func (b *branch) taskFailed(f *failure) {
	what := "Failed"
	if f.name == "States.Timeout" || f.name == "States.HeartbeatTimeout" {
		what = "TimedOut"
	}
	e := Event{Type: b.st.taskEvent(what), Details: b.st.taskDetails()}
	e.Error, e.hasErr = f.name, f.name != ""
	e.Cause, e.hasCause = f.cause, f.hasCause
	b.emit(e)
	b.fail(f)
}

// rearm puts a timer back with a new time and its old number.
func (r *runner) rearm(w *waiting) {
	r.waits[w.id] = w
	heap.Push(&r.timers, w)
}

// invoke has a call made once everything recorded is safe. made says that it
// may have been made already, by a process that ended.
func (r *runner) invoke(b *branch, call *Call, made bool, done func(outcome)) *waiting {
	w := r.wait(&waiting{b: b, call: call, fire: done})
	w.made = made
	if r.inline {
		r.calls = append(r.calls, w)
	} else {
		r.ready = append(r.ready, func() { r.launch(w) })
	}
	return w
}

// launch makes a call in a goroutine of its own.
func (r *runner) launch(w *waiting) {
	if r.replaying() {
		// Its outcome may be recorded; look again when the history ends.
		r.late = append(r.late, w)
		return
	}
	if w.gone {
		return
	}
	r.flush()
	if r.err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.ctx)
	done := r.ctx.Done()
	w.cancel = cancel
	r.inflight++
	w.call.Submitted = func(out []byte) {
		v, err := value.Parse(out)
		if err != nil {
			v = string(out)
		}
		select {
		case r.completions <- completion{w: w, o: outcome{submitted: true, output: v}}:
		case <-done:
		}
	}
	w.call.Heartbeat = func() {
		select {
		case r.completions <- completion{w: w, heartbeat: true}:
		case <-done:
		}
	}
	go func() {
		defer cancel()
		o, err := r.make(ctx, w)
		select {
		case r.completions <- completion{w: w, o: o, err: err}:
		case <-done:
		}
	}()
}

// perform makes a call now.
func (r *runner) perform(w *waiting) {
	w.call.Submitted = func(out []byte) {
		if v, err := value.Parse(out); err == nil && !w.gone {
			r.wake = w.id
			w.fire(outcome{submitted: true, output: v})
		}
	}
	w.call.Heartbeat = func() {
		if !w.gone {
			w.b.beat()
		}
	}
	o, err := r.make(r.ctx, w)
	if err != nil {
		r.err = err
		return
	}
	if w.gone || r.err != nil {
		return
	}
	if o.silent {
		r.silent = append(r.silent, silence{w, o})
		return
	}
	if r.ctx.Err() != nil {
		r.stop()
		return
	}
	if w.b != nil && w.b.attempt != nil && !w.b.attempt.submitted && w.b.awaitsJob() && !w.call.Reader && !w.call.Writer && !submitFailed(o.fail) {
		r.wake = w.id
		w.fire(outcome{submitted: true, output: value.NewObject(0)})
	}
	r.fire(w, o)
}

func (b *branch) awaitsJob() bool {
	return b.st.res.kind == integrationTask && b.st.res.pattern != requestResponse
}

// submitFailed reports whether a failure is that of the request itself, which
// the service's own exceptions are, rather than of the job or callback.
func submitFailed(f *failure) bool {
	if f == nil {
		return false
	}
	service, name, ok := cutLast(f.name, ".")
	return ok && service != "States" && len(name) > 9 && name[len(name)-9:] == "Exception"
}

func cutLast(s, sep string) (string, string, bool) {
	for i := len(s) - len(sep); i >= 0; i-- {
		if s[i:i+len(sep)] == sep {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

// make performs a call, or finds out what became of it.
func (r *runner) make(ctx context.Context, w *waiting) (outcome, error) {
	call := w.call
	if r.host.Tasks == nil {
		return outcome{fail: &failure{name: "States.TaskFailed", hasCause: true, cause: fmt.Sprintf("Nothing performs the resource %s here", call.Resource)}}, nil
	}
	if w.made {
		rec, ok := r.host.Tasks.(Recoverer)
		if !ok {
			return outcome{}, &UnknownOutcomeError{call}
		}
		out, done, err := rec.Recover(ctx, call)
		if !errors.Is(err, ErrRepeat) {
			if !done {
				return outcome{}, &UnknownOutcomeError{call}
			}
			return call.outcome(out, err)
		}
	}
	out, err := r.host.Tasks.Invoke(ctx, call)
	return call.outcome(out, err)
}

// outcome turns what a task returned into what the state machine sees.
func (c *Call) outcome(out []byte, err error) (outcome, error) {
	var task *TaskError
	var unknown *UnknownOutcomeError
	switch {
	case errors.As(err, &unknown):
		return outcome{}, err
	case errors.As(err, &task):
		return outcome{fail: &failure{name: task.Name, cause: task.Cause, hasCause: !task.NoCause && (task.Cause != "" || task.Name != ""), hasName: task.Name != ""}}, nil
	case errors.Is(err, ErrNoAnswer):
		return outcome{silent: true, fail: &failure{name: "States.TaskFailed", cause: err.Error(), hasCause: true}}, nil
	case errors.Is(err, context.Canceled):
		return outcome{fail: &failure{name: "States.TaskFailed", cause: "The call was cancelled", hasCause: true}}, nil
	case err != nil:
		return outcome{fail: &failure{name: "States.TaskFailed", cause: err.Error(), hasCause: true}}, nil //nolint:nilerr // the state machine's to handle
	}
	if len(out) == 0 {
		out = []byte("null")
	}
	v, perr := value.Parse(out)
	if perr != nil {
		return outcome{fail: &failure{name: "States.TaskFailed", cause: "The task returned a result that is not JSON: " + perr.Error(), hasCause: true}}, nil //nolint:nilerr // as above
	}
	if !c.Reader && value.Size(v) > maxPayload {
		what := c.Resource
		if c.Service != "" {
			what = c.Service
		}
		return outcome{fail: tooLarge(what)}, nil
	}
	return outcome{output: v}, nil
}
