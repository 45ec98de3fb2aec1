package asl

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Host is what an execution needs from outside. The zero value runs machines
// without Task states, in virtual time, with no history kept.
type Host struct {
	// Tasks performs Task states and reads the items of distributed Maps.
	Tasks Tasks
	// Clock is the time; nil is virtual time from 2020-01-01T00:00:00Z.
	Clock Clock
	// History keeps the events; nil keeps them in the Result only.
	History History
	// Observe, if set, is called with each event once it is recorded, from the
	// goroutine that called Run.
	Observe func(Event)

	// Execution identifies the run; empty members get fixed defaults.
	Execution Execution
	// Seed decides $random, States.UUID and jitter.
	Seed uint64
	// MaxEvents bounds the history; 0 is 25,000, what Step Functions allows a
	// Standard workflow.
	MaxEvents int64
	// DiscardEvents leaves the events out of the Result.
	DiscardEvents bool
}

// Execution is what the context object says about a run.
type Execution struct {
	ID               string
	Name             string
	RoleARN          string
	StateMachineID   string
	StateMachineName string
	Express          bool // an Express workflow: no redrives, no limit on events
}

func (x Execution) withDefaults() Execution {
	set := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	set(&x.StateMachineName, "StateMachine")
	set(&x.Name, "execution")
	set(&x.StateMachineID, "arn:aws:states:us-east-1:000000000000:stateMachine:"+x.StateMachineName)
	if x.Express {
		set(&x.ID, "arn:aws:states:us-east-1:000000000000:express:"+x.StateMachineName+":"+x.Name+":"+x.Name)
	}
	set(&x.ID, "arn:aws:states:us-east-1:000000000000:execution:"+x.StateMachineName+":"+x.Name)
	set(&x.RoleARN, "arn:aws:iam::000000000000:role/StepFunctionsRole")
	return x
}

// Tasks performs the work of Task states.
type Tasks interface {
	// Invoke performs one call and returns its result as JSON. A [TaskError]
	// is the error that the state machine sees; any other error becomes
	// States.TaskFailed. With a real clock it is called from a goroutine of
	// its own, and ctx ends when the task times out or its branch is aborted.
	Invoke(ctx context.Context, call *Call) ([]byte, error)
}

// Recoverer is a Tasks that can find out what became of a call that was under
// way when the process ended. done is false if it cannot say: the execution
// then stops with an [UnknownOutcomeError]; the call is never just repeated.
type Recoverer interface {
	Recover(ctx context.Context, call *Call) (output []byte, done bool, err error)
}

// ErrRepeat may be returned by Recover as its error to say that the call is
// known not to have happened, or is safe to repeat.
var ErrRepeat = errors.New("the call did not happen and may be made")

// Call is one request to perform a task.
type Call struct {
	Execution   string // the execution's id
	State       string // the state's name
	Resource    string // as written in the definition
	Service     string // of an integration: lambda, aws-sdk:ec2
	Action      string // of an integration: invoke, describeInstances.sync
	Parameters  []byte // JSON
	Token       string // task token, for .waitForTaskToken and activities
	Attempt     int64  // 0 for the first
	EventID     int64  // of the Scheduled event: with Execution an idempotency key
	Credentials []byte // JSON, or nil
	Reader      bool   // the call reads the items of a distributed Map
	Writer      bool   // the call writes the results of a distributed Map

	// Submitted tells the execution that the request was accepted and a job
	// or callback is awaited (.sync, .waitForTaskToken). It may be nil.
	Submitted func(output []byte)
	// Heartbeat resets the heartbeat timeout. It may be nil.
	Heartbeat func()
	// SubmittedOutput is, for a recovered call, what Submitted was told.
	SubmittedOutput []byte
}

// TaskError is an error that Retry and Catch of a state machine can name.
type TaskError struct {
	Name  string // "" if the task gave none
	Cause string
	// NoCause says that there is no cause at all, rather than an empty one.
	NoCause bool
}

func (e *TaskError) Error() string { return e.Name + ": " + e.Cause }

// ErrNoAnswer may be returned by Invoke in virtual time to say that the task
// does not answer: a timeout ends it, or, where none would, the lack of an
// answer is a failure of the task.
var ErrNoAnswer = errors.New("the task does not answer")

// TasksFunc makes a function a Tasks.
type TasksFunc func(ctx context.Context, call *Call) ([]byte, error)

// Invoke calls f.
func (f TasksFunc) Invoke(ctx context.Context, call *Call) ([]byte, error) { return f(ctx, call) }

// Clock is the time of an execution.
type Clock interface {
	Now() time.Time
	// Sleep returns when the time is reached, wake delivers, or ctx ends.
	Sleep(ctx context.Context, until time.Time, wake <-chan struct{}) error
}

// VirtualClock is a clock that stands still until it is slept on. It may be
// shared by executions that run one after the other.
type VirtualClock struct {
	mu  sync.Mutex
	now time.Time
}

// NewVirtualClock returns a clock that shows start.
func NewVirtualClock(start time.Time) *VirtualClock { return &VirtualClock{now: start} }

// Now returns the time it shows.
func (c *VirtualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep sets the clock to until, if that is later.
func (c *VirtualClock) Sleep(ctx context.Context, until time.Time, _ <-chan struct{}) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if until.After(c.now) {
		c.now = until
	}
	return ctx.Err()
}

// History keeps the events of executions, in the order they happened.
type History interface {
	// Load returns all events of an execution; none for an unknown one.
	Load(ctx context.Context, execution string) ([]Event, error)
	// Append records events after those already there; from is how many these
	// are. When it returns nil the events survive the end of the process; on
	// an error none of them is recorded. It fails with [ErrConflict] if the
	// history is not that long: another process is running the execution.
	Append(ctx context.Context, execution string, from int, events []Event) error
}

// ErrConflict says that two processes run one execution.
var ErrConflict = errors.New("the execution's history was changed by another process")

// UnknownOutcomeError says that the process ended while a task was under way
// and that nobody can tell what became of it. Record its outcome with a
// [Recoverer] and run again.
type UnknownOutcomeError struct{ Call *Call }

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("the outcome of state %q (%s, event %d) is unknown: the process ended while it was under way", e.Call.State, e.Call.Resource, e.Call.EventID)
}

// ErrAbort ends the execution with status ABORTED when it is the cause of a
// cancelled context. Any other cancellation leaves it to be resumed.
var ErrAbort = errors.New("execution aborted")

// runEnv is the time and randomness of one run.
type runEnv struct {
	rng  *rand.Rand
	time func() time.Time
}

func (e *runEnv) now() time.Time  { return e.time() }
func (e *runEnv) random() float64 { return e.rng.Float64() }

func (e *runEnv) uuid() string {
	a, b := e.rng.Uint64(), e.rng.Uint64()
	a = a&^0xf000 | 0x4000
	b = b&^(3<<62) | 2<<62
	return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
}
