package asl

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// memory is a History that can be cut and can refuse.
type memory struct {
	mu     sync.Mutex
	events []Event
	most   int // fail beyond this many events, 0 for never
}

var errKilled = errors.New("the process was killed")

func (h *memory) Load(context.Context, string) ([]Event, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Event, len(h.events))
	for i, e := range h.events { // as from a disk
		var err error
		if out[i], err = DecodeEvent(e.Encode()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (h *memory) Append(_ context.Context, _ string, from int, events []Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if from != len(h.events) {
		return ErrConflict
	}
	if h.most > 0 && len(h.events)+len(events) > h.most {
		return errKilled
	}
	h.events = append(h.events, events...)
	return nil
}

// world counts what tasks really did, as a service would that lives on when
// the process dies.
type world struct {
	mu   sync.Mutex
	done map[string]int
	out  map[string][]byte
	err  map[string]error
	die  string // the process ends after this call was made
}

func newWorld() *world {
	return &world{done: map[string]int{}, out: map[string][]byte{}, err: map[string]error{}}
}

func key(c *Call) string { return fmt.Sprint(c.State, " ", c.EventID, " ", string(c.Parameters)) }

func (w *world) Invoke(_ context.Context, c *Call) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key(c)
	if !c.Reader { // reading has no effect and may be repeated
		w.done[k]++
	}
	switch {
	case c.State == "Flaky" && c.Attempt < 2:
		w.err[k] = &TaskError{Name: "Busy", Cause: "try again"}
	case c.Reader:
		w.out[k] = []byte(`{"Body":"[1,2,3]"}`)
	default:
		w.out[k] = fmt.Appendf(nil, `{"by":%q}`, c.State)
	}
	if k == w.die {
		w.die = ""
		return nil, &UnknownOutcomeError{c} // nobody hears the answer
	}
	return w.out[k], w.err[k]
}

func (w *world) Recover(_ context.Context, c *Call) ([]byte, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := key(c)
	if w.done[k] == 0 {
		return nil, false, ErrRepeat
	}
	return w.out[k], true, w.err[k]
}

// everything has a Parallel, a Map, a distributed Map, a Retry, a Catch and a Wait.
const everything = `{"StartAt":"Prepare","States":{
 "Prepare":{"Type":"Pass","Parameters":{"id.$":"States.UUID()","n.$":"States.MathRandom(1, 100)","items":[1,2,3]},"Assign":{"who.$":"$.id"},"Next":"Both"},
 "Both":{"Type":"Parallel","ResultPath":"$.both","Next":"Each","Branches":[
  {"StartAt":"Flaky","States":{"Flaky":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":30,"Retry":[{"ErrorEquals":["Busy"],"IntervalSeconds":2,"MaxAttempts":3,"JitterStrategy":"FULL"}],"End":true}}},
  {"StartAt":"Sleep","States":{"Sleep":{"Type":"Wait","Seconds":1,"Next":"After"},"After":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.waitForTaskToken","Parameters":{"t.$":"$$.Task.Token"},"End":true}}}]},
 "Each":{"Type":"Map","ItemsPath":"$.items","MaxConcurrency":2,"ResultPath":"$.each","Next":"Spread","ItemProcessor":{"StartAt":"One","States":{
   "One":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:111111111111:function:one","Next":"Pause"},
   "Pause":{"Type":"Wait","Seconds":5,"End":true}}}},
 "Spread":{"Type":"Map","ResultPath":"$.spread","Next":"Bad",
   "ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key":"k"}},
   "ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"Child","States":{"Child":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}},
 "Bad":{"Type":"Pass","OutputPath":"$.each","Next":"Sum"},
 "Sum":{"QueryLanguage":"JSONata","Type":"Pass","Output":{"n":"{% $count($states.input) %}","who":"{% $who %}","id":"{% $uuid() %}"},"End":true}}}`

func durableHost(h History, w *world) Host {
	return Host{History: h, Tasks: w, Seed: 7}
}

// A process killed at every event resumes to the same history, and no task is
// done twice.
func TestKilledAtEveryEvent(t *testing.T) {
	m, err := Parse([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	whole := &memory{}
	w := newWorld()
	want, err := Run(context.Background(), m, nil, durableHost(whole, w))
	if err != nil || want.Status != StatusSucceeded {
		t.Fatalf("%v %+v", err, want)
	}
	calls := len(w.done)
	for n := 1; n < len(whole.events); n++ {
		h := &memory{most: n}
		w := newWorld()
		// The first process records at most n events; what was to be recorded
		// together is cut in two as a crash between two writes would.
		if _, err := Run(context.Background(), m, nil, durableHost(&cutting{memory: h}, w)); !errors.Is(err, errKilled) {
			t.Fatalf("event %d: the process was not killed: %v", n, err)
		}
		if len(h.events) != n {
			t.Fatalf("event %d: %d events recorded", n, len(h.events))
		}
		h.most = 0
		got, err := Run(context.Background(), m, nil, durableHost(h, w))
		if err != nil {
			t.Errorf("killed at event %d (%s): %v", n, whole.events[n-1].Type, err)
			continue
		}
		sameHistory(t, fmt.Sprintf("killed at event %d", n), whole.events, h.events)
		if string(got.Output) != string(want.Output) {
			t.Errorf("killed at event %d: output %s, want %s", n, got.Output, want.Output)
		}
		for k, times := range w.done {
			if times > 1 {
				t.Errorf("killed at event %d: %s was done %d times", n, k, times)
			}
		}
		if len(w.done) != calls {
			t.Errorf("killed at event %d: %d tasks done, want %d", n, len(w.done), calls)
		}
	}
	t.Logf("%d events, %d tasks: killed after each and resumed to the same history", len(whole.events), calls)
}

// cutting records one event at a time, so that any prefix can be what survives.
type cutting struct{ *memory }

func (c *cutting) Append(ctx context.Context, id string, from int, events []Event) error {
	for i := range events {
		if err := c.memory.Append(ctx, id, from+i, events[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

func sameHistory(t *testing.T, what string, want, got []Event) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d events, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		a, b := want[i], got[i]
		if string(a.Encode()) != string(b.Encode()) {
			t.Errorf("%s: event %d is\n%s, want\n%s", what, i+1, b.Encode(), a.Encode())
			return
		}
	}
}

// A process killed while a task is under way looks up what became of it.
func TestKilledDuringEveryTask(t *testing.T) {
	m, err := Parse([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	whole := &memory{}
	w := newWorld()
	if _, err := Run(context.Background(), m, nil, durableHost(whole, w)); err != nil {
		t.Fatal(err)
	}
	for k := range w.done {
		h, w := &memory{}, newWorld()
		w.die = k
		_, err := Run(context.Background(), m, nil, durableHost(h, w))
		var unknown *UnknownOutcomeError
		if !errors.As(err, &unknown) {
			t.Fatalf("%s: %v", k, err)
		}
		if _, err := Run(context.Background(), m, nil, durableHost(h, w)); err != nil {
			t.Errorf("%s: %v", k, err)
			continue
		}
		sameHistory(t, k, whole.events, h.events)
		for k, times := range w.done {
			if times > 1 && !unknown.Call.Reader {
				t.Errorf("%s was done %d times", k, times)
			}
		}
	}
}

// Where nobody can say what became of a task, the run stops and names it.
func TestUnknownOutcomeIsAskedFor(t *testing.T) {
	m, err := Parse([]byte(`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	h := &memory{most: 4}
	tasks := TasksFunc(func(context.Context, *Call) ([]byte, error) { return []byte(`1`), nil })
	if _, err := Run(context.Background(), m, nil, Host{History: h, Tasks: tasks}); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	h.most = 0
	var unknown *UnknownOutcomeError
	if _, err := Run(context.Background(), m, nil, Host{History: h, Tasks: tasks}); !errors.As(err, &unknown) || unknown.Call.State != "T" {
		t.Fatalf("got %v, want an unknown outcome of T", err)
	}
}

// A definition that changed meanwhile is noticed.
func TestChangedDefinitionIsRefused(t *testing.T) {
	one, _ := Parse([]byte(`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","End":true}}}`))
	two, _ := Parse([]byte(`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"C"},"C":{"Type":"Pass","End":true}}}`))
	h := &memory{}
	if _, err := Run(context.Background(), one, nil, Host{History: h}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), two, nil, Host{History: h}); err == nil {
		t.Error("a history was resumed with another definition")
	}
}
