package asl_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/asl"
)

// Parse a machine, run it with a function that performs its tasks, and look at
// its output and history.
func Example() {
	m, err := asl.Parse([]byte(`{
	  "StartAt": "Find",
	  "States": {
	    "Find": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:iam:getUser",
	             "Parameters": {"UserName.$": "$.user"}, "ResultPath": "$.found", "Next": "Wait"},
	    "Wait": {"Type": "Wait", "Seconds": 86400, "End": true}
	  }
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	tasks := asl.TasksFunc(func(_ context.Context, call *asl.Call) ([]byte, error) {
		var p struct{ UserName string }
		if err := json.Unmarshal(call.Parameters, &p); err != nil {
			return nil, err
		}
		return json.Marshal(map[string]string{"Path": "/" + p.UserName})
	})
	r, err := asl.Run(context.Background(), m, []byte(`{"user":"ada"}`), asl.Host{Tasks: tasks})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Status, string(r.Output))
	for _, e := range r.Events {
		fmt.Println(strings.TrimSpace(e.Type + " " + e.Name))
	}
	fmt.Println(r.Stopped.Sub(r.Started))
	// Output:
	// SUCCEEDED {"user":"ada","found":{"Path":"/ada"}}
	// ExecutionStarted
	// TaskStateEntered Find
	// TaskScheduled
	// TaskStarted
	// TaskSucceeded
	// TaskStateExited Find
	// WaitStateEntered Wait
	// WaitStateExited Wait
	// ExecutionSucceeded
	// 24h0m0s
}

// Validate gives AWS's diagnostics with line, column and the nearest name.
func ExampleValidate() {
	v := asl.Validate([]byte(`{
  "StartAt": "Begn",
  "States": {"Begin": {"Type": "Succed"}}
}`))
	fmt.Println(v.Result)
	for _, d := range v.Diagnostics {
		fmt.Println(d)
	}
	// Output:
	// FAIL
	// 2:3: MISSING_TRANSITION_TARGET: Missing 'Next' target: Begn at /StartAt (did you mean "Begin"?)
	// 3:14: MISSING_TRANSITION_TARGET: State "Begin" is not reachable. at /States/Begin
	// 3:24: SCHEMA_VALIDATION_FAILED: The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map] at /States/Begin/Type (did you mean "Succeed"?)
}

// A task fails with a name that Retry and Catch can match.
func ExampleTaskError() {
	m, err := asl.Parse([]byte(`{"StartAt": "Call", "States": {
	  "Call": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
	    "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 60, "MaxAttempts": 2}], "End": true}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	tasks := asl.TasksFunc(func(_ context.Context, call *asl.Call) ([]byte, error) {
		if call.Attempt < 2 {
			return nil, &asl.TaskError{Name: "Busy", Cause: "try later"}
		}
		return []byte(`"done"`), nil
	})
	clock := asl.NewVirtualClock(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	r, err := asl.Run(context.Background(), m, nil, asl.Host{Tasks: tasks, Clock: clock})
	fmt.Println(r.Status, string(r.Output), err, clock.Now().Format(time.TimeOnly))
	// Output: SUCCEEDED "done" <nil> 00:03:00
}

// TestState runs one state and shows the data after each step.
func ExampleTestState() {
	r, err := asl.TestState(context.Background(), asl.StateTest{
		Definition: []byte(`{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
		  "Parameters": {"FunctionName": "f", "Payload.$": "$.n"}, "ResultSelector": {"double.$": "$.Payload"}, "Next": "More"}`),
		Input: []byte(`{"n": 21}`),
		Mock:  &asl.StateMock{Result: []byte(`{"Payload": 42}`)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	after, _ := r.Inspection.Get("afterParameters")
	text, _ := json.Marshal(after)
	fmt.Println(r.Status, string(r.Output), r.NextState)
	fmt.Println(string(text))
	// Output:
	// SUCCEEDED {"double":42} More
	// {"FunctionName":"f","Payload":21}
}

// A Recoverer says what became of a task that was under way when the process
// ended; without one the run stops and names the task.
func ExampleUnknownOutcomeError() {
	var err error = &asl.UnknownOutcomeError{Call: &asl.Call{State: "Disable key", Resource: "arn:aws:states:::aws-sdk:iam:updateAccessKey", EventID: 3}}
	var unknown *asl.UnknownOutcomeError
	if errors.As(err, &unknown) {
		fmt.Println("look up:", unknown.Call.State)
	}
	// Output: look up: Disable key
}
