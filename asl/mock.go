package asl

import (
	"context"
	"fmt"
	"sync"

	"github.com/bartizan-security/bartizan/asl/value"
)

// Mock is the outcome of one task: an output, or an error.
type Mock struct {
	State  string
	Output []byte // JSON; nil for an error
	Error  string
	Cause  string
	Failed bool
}

// MockTasks answers tasks from a list, in order for each state.
type MockTasks struct {
	mu    sync.Mutex
	queue map[string][]Mock
	last  map[string]Mock
	// RepeatLast answers with the last mock of a state when they are used up.
	RepeatLast bool
}

// NewMockTasks returns tasks that answer from mocks.
func NewMockTasks(mocks []Mock) *MockTasks {
	t := &MockTasks{queue: map[string][]Mock{}, last: map[string]Mock{}}
	for _, m := range mocks {
		t.queue[m.State] = append(t.queue[m.State], m)
	}
	return t
}

// Invoke takes the state's next mock.
func (t *MockTasks) Invoke(_ context.Context, call *Call) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queue[call.State]
	var m Mock
	switch {
	case len(q) > 0:
		m = q[0]
		t.queue[call.State], t.last[call.State] = q[1:], m
	default:
		last, ok := t.last[call.State]
		if call.Writer {
			return []byte("{}"), nil
		}
		if !ok || !t.RepeatLast {
			return nil, fmt.Errorf("no mock is left for state %s: %w", call.State, ErrNoAnswer)
		}
		m = last
	}
	if m.Failed {
		return nil, &TaskError{Name: m.Error, Cause: m.Cause, NoCause: m.Cause == ""}
	}
	return m.Output, nil
}

// MockFrom reads {"state","output"} or {"state","error","cause"}. A cause that
// is no string is taken as the JSON text of it.
func MockFrom(o *value.Object) (Mock, error) {
	var m Mock
	s, _ := o.Get("state")
	m.State, _ = s.(string)
	if m.State == "" {
		return m, fmt.Errorf("read mock: the member \"state\" is missing")
	}
	out, hasOut := o.Get("output")
	e, hasErr := o.Get("error")
	c, hasCause := o.Get("cause")
	if !hasOut {
		m.Failed = true
		if hasErr && e != nil {
			m.Error, _ = e.(string)
		}
		if hasCause && c != nil {
			text, isText := c.(string)
			if !isText {
				text = value.String(c)
			}
			m.Cause = text
		}
		return m, nil
	}
	if hasErr && e != nil {
		return m, fmt.Errorf("read mock of state %s: it has both an output and an error", m.State)
	}
	m.Output = value.Append(nil, out)
	return m, nil
}

var _ Tasks = (*MockTasks)(nil)
