package asl

import (
	"context"
	"errors"
	"fmt"

	"github.com/bartizan-security/bartizan/asl/value"
)

// StateTest asks for one state to be run, as TestState does.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html
type StateTest struct {
	Definition []byte // of the machine, or of the state alone
	StateName  string // needed for a machine
	Input      []byte // JSON; empty is {}
	Context    []byte // JSON: the context object; nil makes one
	Variables  []byte // JSON object

	// Mock stands in for the state's work. A Task state without one needs Tasks.
	Mock  *StateMock
	Tasks Tasks

	// CheckMock, if set, may refuse a Task's mocked result; package awstasks has
	// one that knows the services' models.
	CheckMock func(resource string, result []byte) error

	RetrierRetryCount        int64  // how often the retrier that matches has been used
	ErrorCausedByState       string // inside a Map or Parallel: which state failed
	MapIterationFailureCount *int64 // iterations of a distributed Map that failed
	RevealSecrets            bool

	Execution Execution // for the context object; no RoleARN gives null there

	Clock Clock
	Seed  uint64
}

// StateMock is a mocked result (JSON) or, if Failed, error.
type StateMock struct {
	Result []byte
	Failed bool
	Error  string
	Cause  string
}

// The further statuses of a tested state.
const (
	StatusRetriable   = "RETRIABLE"
	StatusCaughtError = "CAUGHT_ERROR"
)

// StateResult is how the state went. Inspection holds the data after each step
// of its processing, by the names AWS gives the steps: input, afterInputPath,
// afterParameters, afterArguments, result, afterResultSelector, afterResultPath,
// errorDetails and so on.
type StateResult struct {
	Status     string
	Output     []byte
	Error      string
	Cause      string
	NextState  string
	Inspection *value.Object
}

// TestError is a refusal to test a state.
type TestError struct{ Code, Msg string }

func (e *TestError) Error() string { return e.Code + ": " + e.Msg }

func refuse(format string, args ...any) error {
	return &TestError{"ValidationException", fmt.Sprintf(format, args...)}
}

const loneState = "StateName"

// TestState runs one state. The error is a [TestError] where TestState itself
// would refuse.
func TestState(ctx context.Context, t StateTest) (*StateResult, error) {
	s, m, err := t.state()
	if err != nil {
		return nil, err
	}
	if err := t.check(s); err != nil {
		return nil, err
	}
	input := t.Input
	if len(input) == 0 {
		input = []byte("{}")
	}
	in, err := value.Parse(input)
	if err != nil {
		return nil, refuse("Invalid input: %v", err)
	}
	t.Execution.Express = true
	r := newRunner(ctx, m, in, Host{Clock: t.Clock, Seed: t.Seed, Tasks: t.Tasks, Execution: t.Execution})
	defer r.close()
	r.last = r.clock.Now()
	sc := &scope{input: in, start: r.last}
	b := &branch{r: r, scope: sc, flow: m.root, vars: &variables{}, st: s, input: in, entered: 2, enteredAt: r.last, retryCount: t.RetrierRetryCount}
	st := &stateTester{b: b, t: t, s: s, raw: in, inspect: value.Obj("input", in)}
	if len(t.Variables) > 0 {
		v, err := value.Parse(t.Variables)
		vars, ok := v.(*value.Object)
		if err != nil || !ok {
			return nil, refuse("Invalid variables: want a JSON object")
		}
		b.vars.values = vars
		if vars.Len() > 0 {
			st.inspect.Set("variables", vars)
		}
	}
	if t.Context != nil {
		v, err := value.Parse(t.Context)
		c, ok := v.(*value.Object)
		if err != nil || !ok {
			return nil, refuse("Invalid Context object provided: it is no JSON object")
		}
		st.context = c
	}
	return st.run()
}

// state finds the state to test; one given alone becomes a machine of its own.
func (t *StateTest) state() (*state, *Machine, error) {
	def := t.Definition
	v, err := value.Parse(def)
	if err != nil {
		var syntax *value.SyntaxError
		if errors.As(err, &syntax) {
			return nil, nil, &TestError{"InvalidDefinition", "Invalid State Machine Definition: '" + CodeInvalidJSON + ": " + syntax.Error() + "'"}
		}
		return nil, nil, err
	}
	name := t.StateName
	o, ok := v.(*value.Object)
	if !ok {
		return nil, nil, &TestError{"InvalidDefinition", "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object'"}
	}
	if !o.Has("States") {
		name = loneState
		def = value.Append(nil, value.Obj("StartAt", name, "States", value.Obj(name, o)))
	} else if states, ok := mustGet(o, "States").(*value.Object); !ok || !states.Has(name) && !hasState(o, name) {
		return nil, nil, refuse("State not found in definition")
	}
	m, ds := build(def)
	for _, d := range ds {
		if d.Severity == SeverityError && !d.lint && d.Code != CodeTransitionTarget && d.Code != CodeDuplicateState {
			return nil, nil, &TestError{"InvalidDefinition", fmt.Sprintf("Invalid State Machine Definition: '%s: %s at %s'", d.Code, d.Message, d.Location)}
		}
	}
	s := m.states[name]
	if s == nil || s.typ == "" {
		return nil, nil, refuse("State not found in definition")
	}
	return s, m, nil
}

func mustGet(o *value.Object, k string) any {
	v, _ := o.Get(k)
	return v
}

// hasState reports whether a state of that name stands anywhere inside.
func hasState(v any, name string) bool {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if hasState(e, name) {
				return true
			}
		}
	case *value.Object:
		if states, ok := mustGet(x, "States").(*value.Object); ok && states.Has(name) {
			return true
		}
		for i := range x.Len() {
			if _, e := x.At(i); hasState(e, name) {
				return true
			}
		}
	}
	return false
}

// check refuses what TestState refuses before it runs anything.
func (t *StateTest) check(s *state) error {
	if t.Mock == nil {
		if t.MapIterationFailureCount != nil {
			return refuse("TestState does not support MapIterationFailureCount when a mock is not specified.")
		}
		if s.typ == "Map" || s.typ == "Parallel" {
			return refuse("State type '%s' is not supported without a mock", s.typ)
		}
	} else {
		switch s.typ {
		case "Task", "Map", "Parallel":
		default:
			return refuse("State type '%s' is not supported when a mock is specified", s.typ)
		}
		if t.RevealSecrets {
			return refuse("TestState does not support RevealSecrets when a mock is specified.")
		}
		if t.Mock.Result != nil && t.Mock.Failed {
			return refuse("A test mock should have only one of the following fields: [result, errorOutput].")
		}
	}
	if t.Context != nil {
		v, err := value.Parse(t.Context)
		if c, ok := v.(*value.Object); err == nil && ok && c.Has("Task") && (s.typ != "Task" || s.res.pattern == requestResponse) {
			return refuse("Invalid Context object provided: Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service integration pattern")
		}
	}
	if t.Mock == nil || t.Mock.Failed {
		return nil
	}
	v, err := value.Parse(t.Mock.Result)
	if err != nil {
		return refuse("Mocked result must be valid JSON")
	}
	if s.typ == "Task" && t.CheckMock != nil {
		if err := t.CheckMock(s.resource, t.Mock.Result); err != nil {
			return err
		}
	}
	list, isList := v.([]any)
	_, isObject := v.(*value.Object)
	writes := s.writer != nil && s.writer.writes
	switch {
	case s.typ == "Map" && writes && !isObject:
		return refuse("Mocked result must be a JSON object.")
	case s.typ == "Map" && !writes && !isList, s.typ == "Parallel" && !isList:
		return refuse("Mocked result must be an array.")
	case s.typ == "Parallel" && len(list) != len(s.branches):
		return refuse("Mocked result must contain the same number of items as number of Parallel branches.")
	}
	return nil
}

type stateTester struct {
	b       *branch
	t       StateTest
	s       *state
	raw     any
	context *value.Object
	inspect *value.Object
}

func (x *stateTester) evaluation(input any) *evaluation {
	e := x.b.evaluation(input)
	e.context = func() *value.Object {
		if x.context != nil {
			return x.context
		}
		c := x.b.context()
		exec := mustGet(c, "Execution").(*value.Object)
		ordered := value.NewObject(5)
		for _, k := range []string{"Id", "Input", "Name", "RoleArn", "StartTime"} {
			ordered.Set(k, mustGet(exec, k))
		}
		if x.t.Execution.RoleARN == "" {
			ordered.Set("RoleArn", nil)
		}
		c.Set("Execution", ordered)
		mustGet(c, "State").(*value.Object).Set("Name", loneState) // as on AWS, whatever the state's name
		return c
	}
	return e
}

func (x *stateTester) set(name string, v any) { x.inspect.Set(name, v) }

func (x *stateTester) run() (*StateResult, error) {
	s := x.s
	e := x.evaluation(x.raw)
	switch s.typ {
	case "Pass":
		tr := &processed{}
		effective, result, has, f := s.passResult(e, tr)
		if f != nil {
			return x.failed(f), nil
		}
		if !s.jsonata() {
			if s.hasResult {
				x.set("result", result)
			} else {
				x.set("afterInputPath", tr.afterInputPath)
				x.set("afterParameters", tr.afterParameters)
			}
		}
		return x.conclude(effective, result, has), nil
	case "Succeed", "Wait", "Choice", "Fail":
		return x.plain(e), nil
	case "Task":
		return x.task(e)
	}
	return x.container(e), nil
}

func (x *stateTester) plain(e *evaluation) *StateResult {
	s := x.s
	effective, f := e.path(s.inputPath)
	if f != nil {
		return x.failed(f)
	}
	if !s.jsonata() {
		x.set("afterInputPath", effective)
	}
	switch s.typ {
	case "Choice":
		next, out, _, f := s.choose(x.evaluation(x.raw), x.raw)
		if f != nil {
			return x.failed(f)
		}
		return x.result(StatusSucceeded, out, next)
	case "Fail":
		name, cause, f := s.failTexts(x.evaluation(x.raw))
		if f != nil {
			return x.failed(f)
		}
		r := x.result(StatusFailed, nil, "")
		if name != nil {
			r.Error = *name
		}
		if cause != nil {
			r.Cause = *cause
		}
		return r
	case "Wait":
		if _, _, f := s.waitTime(x.evaluation(x.raw), x.b.r.last); f != nil {
			return x.failed(f)
		}
	}
	return x.conclude(effective, nil, false)
}

func (x *stateTester) task(e *evaluation) (*StateResult, error) {
	s := x.s
	if s.res.pattern == callback {
		x.b.token = x.b.r.env.uuid()
	}
	tr := &processed{}
	effective, params, creds, f := s.taskInput(e, tr)
	if f != nil {
		return x.failed(f), nil
	}
	if s.jsonata() {
		if s.parameters != nil {
			x.set("afterArguments", params)
		}
	} else {
		x.set("afterInputPath", tr.afterInputPath)
		x.set("afterParameters", tr.afterParameters)
	}
	if _, _, f := e.integer(s.timeout); f != nil {
		return x.failed(f), nil
	}
	if _, _, f := e.integer(s.heartbeat); f != nil {
		return x.failed(f), nil
	}
	var o outcome
	switch {
	case x.t.Mock != nil && x.t.Mock.Failed:
		o.fail = &failure{name: x.t.Mock.Error, cause: x.t.Mock.Cause, hasCause: true, hasName: true}
	case x.t.Mock != nil:
		v, err := value.Parse(x.t.Mock.Result)
		if err != nil {
			return nil, refuse("Mocked result must be valid JSON")
		}
		o.output = v
	default:
		call := &Call{Execution: x.b.r.id.ID, State: s.name, Resource: s.resource, Service: s.res.service, Action: s.res.action, Parameters: value.Append(nil, params), Token: x.b.token}
		if creds != nil {
			call.Credentials = value.Append(nil, creds)
		}
		var err error
		if o, err = x.b.r.make(x.b.r.ctx, &waiting{call: call}); err != nil {
			return nil, err
		}
	}
	if o.fail != nil {
		return x.failed(o.fail), nil
	}
	x.set("result", o.output)
	return x.conclude(effective, o.output, true), nil
}

// container tests a Map or Parallel state with its mocked result.
func (x *stateTester) container(e *evaluation) *StateResult {
	s := x.s
	tr := &processed{}
	effective, _, f := s.containerInput(e, tr)
	if f != nil {
		return x.failed(f)
	}
	if s.typ == "Map" {
		if f := x.mapFields(e, effective); f != nil {
			return x.failed(f)
		}
	}
	if x.t.Mock.Failed {
		return x.failed(&failure{name: x.t.Mock.Error, cause: x.t.Mock.Cause, hasCause: true, hasName: true})
	}
	if s.typ == "Map" {
		n, _, f := e.integer(s.tolerated)
		if f != nil {
			return x.failed(f)
		}
		p, _, f := e.number(s.toleratedPercent)
		if f != nil {
			return x.failed(f)
		}
		items, _ := value.Parse(x.t.Mock.Result)
		list, _ := items.([]any)
		g := &group{tolerated: int(n), percent: p, items: list}
		if c := x.t.MapIterationFailureCount; c != nil {
			g.failed = int(*c)
		}
		if (s.tolerated.set || s.toleratedPercent.set) && g.exceeded() {
			return x.failed(&failure{name: "States.ExceedToleratedFailureThreshold", cause: "The specified tolerated failure threshold was exceeded", hasCause: true})
		}
	}
	v, err := value.Parse(x.t.Mock.Result)
	if err != nil {
		return x.failed(runtimeFailure("Mocked result must be valid JSON"))
	}
	return x.conclude(effective, v, true)
}

func (x *stateTester) mapFields(e *evaluation, effective any) *failure {
	s := x.s
	if !s.jsonata() {
		x.set("afterInputPath", effective)
	}
	if s.reader == nil {
		items, _, f := s.distributedItems(e, effective)
		if f != nil {
			return f
		}
		if s.itemsPath != nil {
			x.set("afterItemsPath", items)
		}
		if s.itemSelector != nil {
			selected := make([]any, len(items))
			g := &group{effective: effective, items: items}
			for i := range items {
				v, f := x.b.itemInput(g, i, &branch{})
				if f != nil {
					return f
				}
				selected[i] = v
			}
			x.set("afterItemSelector", selected)
		}
	}
	n, _, f := e.integer(s.concurrency)
	if f != nil {
		return f
	}
	x.set("maxConcurrency", n)
	if c, ok, f := e.integer(s.tolerated); f != nil {
		return f
	} else if ok {
		x.set("toleratedFailureCount", c)
	}
	if p, ok, f := e.number(s.toleratedPercent); f != nil {
		return f
	} else if ok {
		x.set("toleratedFailurePercentage", p)
	}
	return nil
}

// conclude finishes a state that did its work.
func (x *stateTester) conclude(effective, result any, hasResult bool) *StateResult {
	e := x.evaluation(effective)
	e.result, e.hasResult = result, hasResult
	tr := &processed{}
	out, assigned, f := x.s.finish(e, x.raw, effective, result, hasResult, tr)
	if f != nil {
		return x.failed(f)
	}
	if !x.s.jsonata() && hasResult {
		x.set("afterResultSelector", tr.afterSelector)
		x.set("afterResultPath", tr.afterResultPath)
	}
	x.assigned(assigned)
	return x.result(StatusSucceeded, out, x.s.next)
}

func (x *stateTester) assigned(a *value.Object) {
	if a == nil {
		return
	}
	all := value.NewObject(a.Len())
	if x.b.vars.values != nil {
		all = x.b.vars.values.Clone()
	}
	for i := range a.Len() {
		k, v := a.At(i)
		all.Set(k, v)
	}
	x.set("variables", all)
}

func (x *stateTester) result(status string, out any, next string) *StateResult {
	r := &StateResult{Status: status, NextState: next, Inspection: x.inspect}
	if status == StatusSucceeded || status == StatusCaughtError {
		r.Output = value.Append(nil, out)
	}
	return r
}

// failed says what would become of a failure: a retry, a catch, or the end.
func (x *stateTester) failed(f *failure) *StateResult {
	f = x.b.place(f)
	details := value.NewObject(3)
	if f.location != "" {
		details.Set("location", f.location)
	}
	status, next := StatusFailed, ""
	var out any
	if f.catchable() {
		for i := range x.s.retry {
			r := &x.s.retry[i]
			if !f.matches(r.errors) {
				continue
			}
			if x.t.RetrierRetryCount < r.attempts {
				status = StatusRetriable
				details.Set("retryBackoffIntervalSeconds", int64(r.delay(x.t.RetrierRetryCount)))
			}
			details.Set("retryIndex", int64(i))
			break
		}
	}
	if status == StatusFailed && f.catchable() {
		for i := range x.s.catch {
			c := &x.s.catch[i]
			if !f.matches(c.errors) {
				continue
			}
			o, assigned, fail := x.s.catchOutput(x.evaluation(x.raw), c, f, x.raw)
			if fail != nil {
				f = x.b.place(fail)
				break
			}
			status, next, out = StatusCaughtError, c.next, o
			details.Set("catchIndex", int64(i))
			x.assigned(assigned)
			break
		}
	}
	if details.Len() > 0 {
		x.set("errorDetails", details)
	}
	r := x.result(status, out, next)
	r.Error, r.Cause = f.name, f.cause
	return r
}
