package awstasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/asl"
)

// fake answers calls from a table and remembers them.
type fake struct {
	answers map[string][]any // map[string]any or error, in order; the last repeats
	calls   []string
}

func (f *fake) Call(_ context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	raw, _ := json.Marshal(input)
	key := service + ":" + operation
	f.calls = append(f.calls, key+" "+string(raw))
	list := f.answers[key]
	if len(list) == 0 {
		return nil, fmt.Errorf("unexpected call %s", key)
	}
	if len(list) > 1 {
		f.answers[key] = list[1:]
	}
	if err, ok := list[0].(error); ok {
		return nil, err
	}
	return list[0].(map[string]any), nil
}

func (f *fake) Assume(_ context.Context, role string) (Caller, error) {
	f.calls = append(f.calls, "assume "+role)
	return f, nil
}

type object_ = map[string]any // shorter rows

func TestInvoke(t *testing.T) {
	for _, c := range []struct {
		name     string
		call     asl.Call
		answers  map[string][]any
		want     string // result, or error name and cause
		wantCall string
	}{
		{
			"an SDK integration passes its parameters on", asl.Call{Service: "aws-sdk:ec2", Action: "describeInstances", Parameters: []byte(`{"MaxResults":5}`)},
			map[string][]any{"ec2:describeInstances": {object_{"Reservations": []any{}}}},
			`{"Reservations":[]}`, `ec2:describeInstances {"MaxResults":5}`,
		},
		{
			"a function's own ARN gives the bare result", asl.Call{Resource: "arn:aws:lambda:eu-west-1:1:function:f", Parameters: []byte(`{"a":1}`)},
			map[string][]any{"lambda:invoke": {object_{"Payload": []byte(`{"b":2}`)}}},
			`{"b":2}`, "",
		},
		{
			"a function's error is the task's", asl.Call{Service: "lambda", Action: "invoke", Parameters: []byte(`{"FunctionName":"f"}`)},
			map[string][]any{"lambda:invoke": {object_{"FunctionError": "Unhandled", "Payload": `{"errorType":"KeyError","errorMessage":"x"}`}}},
			`KeyError {"errorType":"KeyError","errorMessage":"x"}`, "",
		},
		{
			"an SDK error is named Service.CodeException", asl.Call{Service: "aws-sdk:sfn", Action: "sendTaskSuccess", Parameters: []byte(`{}`)},
			map[string][]any{"sfn:sendTaskSuccess": {&ServiceError{Code: "InvalidToken", Message: "Invalid Token: 'Invalid token'", Status: 400, RequestID: "r"}}},
			`Sfn.InvalidTokenException Invalid Token: 'Invalid token' (Service: Sfn, Status Code: 400, Request ID: r) (SDK Attempt Count: 1)`, "",
		},
		{
			"a message body given as JSON is sent as text", asl.Call{Service: "sqs", Action: "sendMessage", Parameters: []byte(`{"MessageBody":{"a":1},"QueueUrl":"q"}`)},
			map[string][]any{"sqs:sendMessage": {object_{"MessageId": "m"}}},
			`{"MessageId":"m"}`, `sqs:sendMessage {"MessageBody":"{\"a\":1}","QueueUrl":"q"}`,
		},
		{
			"entries that EventBridge refuses fail the task", asl.Call{Service: "events", Action: "putEvents", Parameters: []byte(`{"Entries":[{"Detail":{"a":1}}]}`)},
			map[string][]any{"events:putEvents": {object_{"FailedEntryCount": 1}}},
			`EventBridge.FailedEntry {"FailedEntryCount":1}`, `events:putEvents {"Entries":[{"Detail":"{\"a\":1}"}]}`,
		},
		{
			"a nested execution is followed to its end", asl.Call{Service: "states", Action: "startExecution.sync:2", Parameters: []byte(`{"Input":{"a":1}}`)},
			map[string][]any{"sfn:startExecution": {object_{"ExecutionArn": "e"}}, "sfn:describeExecution": {object_{"Status": "RUNNING"}, object_{"Status": "SUCCEEDED", "Output": `{"b":2}`}}},
			`{"Output":{"b":2},"Status":"SUCCEEDED"}`, `sfn:startExecution {"Input":"{\"a\":1}"}`,
		},
		{
			"a job that fails fails the task", asl.Call{Service: "batch", Action: "submitJob.sync", Parameters: []byte(`{}`)},
			map[string][]any{"batch:submitJob": {object_{"JobId": "j"}}, "batch:describeJobs": {object_{"Jobs": []any{object_{"Status": "FAILED"}}}}},
			`States.TaskFailed {"Status":"FAILED"}`, "",
		},
		{
			"credentials are assumed", asl.Call{Service: "aws-sdk:s3", Action: "listBuckets", Parameters: []byte(`{}`), Credentials: []byte(`{"RoleArn":"arn:r"}`)},
			map[string][]any{"s3:listBuckets": {object_{}}},
			`{}`, `assume arn:r`,
		},
	} {
		f := &fake{answers: c.answers}
		tasks := New(f)
		tasks.Poll = time.Millisecond
		out, err := tasks.Invoke(context.Background(), &c.call)
		got := string(out)
		var te *asl.TaskError
		if errors.As(err, &te) {
			got = te.Name + " " + te.Cause
		} else if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if c.wantCall != "" && (len(f.calls) == 0 || f.calls[0] != c.wantCall) {
			t.Errorf("%s: calls %q, want first %s", c.name, f.calls, c.wantCall)
		}
	}
}

func TestCallback(t *testing.T) {
	f := &fake{answers: map[string][]any{"sqs:sendMessage": {object_{"MessageId": "m"}}}}
	tasks := New(f)
	call := &asl.Call{Service: "sqs", Action: "sendMessage.waitForTaskToken", Token: "tok", Parameters: []byte(`{"MessageBody":"x"}`)}
	call.Submitted = func([]byte) { go tasks.Succeed("tok", []byte(`{"ok":true}`)) }
	out, err := tasks.Invoke(context.Background(), call)
	if err != nil || string(out) != `{"ok":true}` {
		t.Errorf("got %s, %v", out, err)
	}
	if tasks.Succeed("tok", nil) {
		t.Error("a token was accepted twice")
	}
}

// What only reads is repeated after a crash, a submitted job is followed, and
// anything else is left to be asked about.
func TestRecover(t *testing.T) {
	f := &fake{answers: map[string][]any{"batch:describeJobs": {object_{"Jobs": []any{object_{"Status": "SUCCEEDED"}}}}}}
	tasks := New(f)
	if _, _, err := tasks.Recover(context.Background(), &asl.Call{Service: "aws-sdk:ec2", Action: "describeInstances", Parameters: []byte(`{}`)}); !errors.Is(err, asl.ErrRepeat) {
		t.Errorf("a read: %v, want ErrRepeat", err)
	}
	if _, done, err := tasks.Recover(context.Background(), &asl.Call{Service: "aws-sdk:iam", Action: "updateAccessKey", Parameters: []byte(`{}`)}); done || err != nil {
		t.Errorf("a change: %v %v, want unknown", done, err)
	}
	out, done, err := tasks.Recover(context.Background(), &asl.Call{Service: "batch", Action: "submitJob.sync", Parameters: []byte(`{}`), SubmittedOutput: []byte(`{"JobId":"j"}`)})
	if !done || err != nil || string(out) != `{"Status":"SUCCEEDED"}` {
		t.Errorf("a job: %s %v %v", out, done, err)
	}
}
