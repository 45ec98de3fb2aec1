// Package awstasks performs the Task states of a state machine by calling AWS:
// the SDK integrations (aws-sdk:service:operation) and the optimised ones.
//
// [NewClient] makes an asl.Tasks of an awsapi.Client, [New] of anything that
// calls one operation of one service ([Caller]). [CheckMock] holds a mocked
// result against the service's model.
//
// https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html
//
// # Caveats
//
// A callback (.waitForTaskToken) ends when [Tasks.Succeed] or [Tasks.Fail] is
// called with its token: AWS does not know the tokens of executions that run
// here. Jobs (.sync) are polled. HTTP tasks and Step Functions activities are
// not performed.
package awstasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bartizan-security/bartizan/asl"
)

// Caller calls one operation. Names are those of the resource's ARN; members
// are in PascalCase. What the service refused comes as a [ServiceError].
type Caller interface {
	Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error)
	// Assume returns a caller with the credentials of a role.
	Assume(ctx context.Context, roleARN string) (Caller, error)
}

// ServiceError is a refusal by a service.
type ServiceError struct {
	Code, Message string
	Status        int
	RequestID     string
}

func (e *ServiceError) Error() string { return e.Code + ": " + e.Message }

// Tasks performs tasks through a Caller.
type Tasks struct {
	caller Caller
	// Poll is how long to wait between looks at a job; New sets 5 seconds.
	Poll time.Duration

	mu      sync.Mutex
	waiting map[string]chan answer
}

type answer struct {
	output []byte
	err    error
}

var _ asl.Recoverer = (*Tasks)(nil)

// New returns tasks that call AWS through c.
func New(c Caller) *Tasks {
	return &Tasks{caller: c, Poll: 5 * time.Second, waiting: map[string]chan answer{}}
}

// Succeed ends the callback with the token; output is JSON. It reports whether
// someone waits for it.
func (t *Tasks) Succeed(token string, output []byte) bool {
	return t.answer(token, answer{output: output})
}

// Fail ends the callback with the token with an error.
func (t *Tasks) Fail(token, name, cause string) bool {
	return t.answer(token, answer{err: &asl.TaskError{Name: name, Cause: cause}})
}

func (t *Tasks) answer(token string, a answer) bool {
	t.mu.Lock()
	ch := t.waiting[token]
	delete(t.waiting, token)
	t.mu.Unlock()
	if ch == nil {
		return false
	}
	ch <- a
	return true
}

// target is the operation behind a resource.
type target struct {
	service, operation string
	sdk                bool
	job                *job
	callback           bool
	version            string // of .sync:2
}

func (t *Tasks) resolve(call *asl.Call) (target, error) {
	if call.Service == "" {
		if strings.Contains(call.Resource, ":lambda:") {
			return target{service: "lambda", operation: "invoke"}, nil
		}
		return target{}, &asl.TaskError{Name: "States.Runtime", Cause: fmt.Sprintf("the resource %s is not one that can be called", call.Resource)}
	}
	var out target
	out.service = call.Service
	op, pattern, _ := strings.Cut(call.Action, ".")
	out.operation = op
	if s, ok := strings.CutPrefix(call.Service, "aws-sdk:"); ok {
		out.service, out.sdk = s, true
	}
	if out.service == "states" {
		out.service = "sfn"
	}
	switch {
	case pattern == "waitForTaskToken":
		out.callback = true
	case strings.HasPrefix(pattern, "sync"):
		_, out.version, _ = strings.Cut(pattern, ":")
		j, ok := jobs[strings.ToLower(out.service+":"+op)]
		if !ok {
			return out, &asl.TaskError{Name: "States.Runtime", Cause: fmt.Sprintf("waiting for %s:%s to end is not supported here", call.Service, call.Action)}
		}
		out.job = &j
	}
	return out, nil
}

// Invoke performs the call.
func (t *Tasks) Invoke(ctx context.Context, call *asl.Call) ([]byte, error) {
	to, err := t.resolve(call)
	if err != nil {
		return nil, err
	}
	c, err := t.as(ctx, call)
	if err != nil {
		return nil, err
	}
	var input any
	if err := json.Unmarshal(call.Parameters, &input); err != nil {
		return nil, &asl.TaskError{Name: "States.Runtime", Cause: "the parameters are not JSON: " + err.Error()}
	}
	if to.service == "lambda" && strings.EqualFold(to.operation, "invoke") && !to.sdk {
		out, err := invokeFunction(ctx, c, call, input)
		if err != nil || !to.callback {
			return out, err
		}
		return t.await(ctx, call, out)
	}
	params, ok := input.(map[string]any)
	if !ok {
		return nil, &asl.TaskError{Name: "States.Runtime", Cause: "the parameters of " + call.Resource + " must be an object"}
	}
	var wait chan answer
	if to.callback {
		wait = t.expect(call.Token)
	}
	out, err := c.Call(ctx, to.service, to.operation, asText(to, params))
	if err != nil {
		t.forget(call.Token, wait)
		return nil, refusal(to, err)
	}
	if err := failedEntries(to, out); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("encode result: %w", err)
	}
	switch {
	case to.callback:
		return t.await(ctx, call, raw)
	case to.job != nil:
		if call.Submitted != nil {
			call.Submitted(raw)
		}
		return t.follow(ctx, c, to, out)
	}
	return raw, nil
}

// as returns the caller with the role of the state's Credentials.
func (t *Tasks) as(ctx context.Context, call *asl.Call) (Caller, error) {
	if len(call.Credentials) == 0 {
		return t.caller, nil
	}
	var cred struct{ RoleArn string }
	if err := json.Unmarshal(call.Credentials, &cred); err != nil || cred.RoleArn == "" {
		return nil, &asl.TaskError{Name: "States.Runtime", Cause: "Credentials must give a RoleArn"}
	}
	c, err := t.caller.Assume(ctx, cred.RoleArn)
	if err != nil {
		return nil, &asl.TaskError{Name: "States.TaskFailed", Cause: fmt.Sprintf("The role %s could not be assumed: %v", cred.RoleArn, err)}
	}
	return c, nil
}

// invokeFunction calls a Lambda function, by its own ARN or by lambda:invoke.
func invokeFunction(ctx context.Context, c Caller, call *asl.Call, input any) ([]byte, error) {
	to := target{service: "lambda", operation: "invoke"}
	params := map[string]any{}
	bare := call.Service == ""
	payload := input
	if bare {
		params["FunctionName"] = call.Resource
	} else {
		m, ok := input.(map[string]any)
		if !ok {
			return nil, &asl.TaskError{Name: "States.Runtime", Cause: "the parameters of lambda:invoke must be an object"}
		}
		for k, v := range m {
			if k != "Payload" {
				params[k] = v
			}
		}
		payload = m["Payload"]
	}
	text, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("encode payload: %w", err)
	}
	params["Payload"] = text
	out, err := c.Call(ctx, "lambda", "invoke", params)
	if err != nil {
		return nil, refusal(to, err)
	}
	result := asJSON(out["Payload"])
	if _, failed := out["FunctionError"].(string); failed {
		var e struct {
			ErrorType string `json:"errorType"`
		}
		if json.Unmarshal(result, &e) != nil || e.ErrorType == "" {
			e.ErrorType = "Lambda.Unknown"
		}
		return nil, &asl.TaskError{Name: e.ErrorType, Cause: string(result)}
	}
	if bare {
		return result, nil
	}
	out["Payload"] = json.RawMessage(result)
	return json.Marshal(out)
}

// asJSON is a payload as JSON, however the caller returned it.
func asJSON(v any) []byte {
	switch p := v.(type) {
	case nil:
		return []byte("null")
	case []byte:
		if json.Valid(p) {
			return p
		}
	case string:
		if json.Valid([]byte(p)) {
			return []byte(p)
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return raw
}

// textMembers are the members of optimised integrations that may be given as
// JSON and are sent as text.
var textMembers = map[string][]string{
	"sqs:sendmessage":    {"MessageBody"},
	"sns:publish":        {"Message"},
	"sfn:startexecution": {"Input"},
}

func asText(to target, params map[string]any) map[string]any {
	key := strings.ToLower(to.service + ":" + to.operation)
	out := make(map[string]any, len(params))
	for k, v := range params {
		out[k] = v
	}
	text := func(m map[string]any, k string) {
		v, ok := m[k]
		if _, isText := v.(string); ok && !isText {
			if raw, err := json.Marshal(v); err == nil {
				m[k] = string(raw)
			}
		}
	}
	for _, k := range textMembers[key] {
		text(out, k)
	}
	if key == "events:putevents" {
		entries, _ := out["Entries"].([]any)
		for _, e := range entries {
			if m, ok := e.(map[string]any); ok {
				text(m, "Detail")
			}
		}
	}
	return out
}

// failedEntries turns entries that EventBridge refused into an error.
func failedEntries(to target, out map[string]any) error {
	if to.sdk || !strings.EqualFold(to.service+":"+to.operation, "events:putEvents") {
		return nil
	}
	n, _ := json.Marshal(out["FailedEntryCount"])
	if string(n) == "0" || string(n) == "null" {
		return nil
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return &asl.TaskError{Name: "EventBridge.FailedEntry", Cause: string(raw)}
}

// refusal names a service's error as the state machine sees it.
// https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
func refusal(to target, err error) error {
	var e *ServiceError
	if !errors.As(err, &e) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return &asl.TaskError{Name: prefix(to) + ".SdkClientException", Cause: err.Error()}
	}
	name := prefix(to) + "." + to.exception(e.Code)
	if to.sdk {
		return &asl.TaskError{Name: name, Cause: fmt.Sprintf("%s (Service: %s, Status Code: %d, Request ID: %s) (SDK Attempt Count: 1)", e.Message, prefix(to), e.Status, e.RequestID)}
	}
	service := javaServices[to.service]
	if service == "" {
		service = prefix(to)
	}
	return &asl.TaskError{Name: name, Cause: fmt.Sprintf("%s (Service: %s; Status Code: %d; Error Code: %s; Request ID: %s; Proxy: null)", e.Message, service, e.Status, e.Code, e.RequestID)}
}

var prefixes = map[string]string{
	"sqs": "SQS", "sns": "SNS", "dynamodb": "DynamoDB", "lambda": "Lambda", "events": "EventBridge", "ecs": "ECS",
	"batch": "Batch", "glue": "Glue", "sfn": "StepFunctions", "codebuild": "CodeBuild", "athena": "Athena", "s3": "S3",
}

func prefix(to target) string {
	if p, ok := prefixes[to.service]; ok && !to.sdk {
		return p
	}
	if op := to.model(); op != nil {
		return sdkName(op.Service.ID)
	}
	return sdkName(to.service)
}

func (t *Tasks) expect(token string) chan answer {
	ch := make(chan answer, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[token] = ch
	return ch
}

func (t *Tasks) forget(token string, ch chan answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ch != nil && t.waiting[token] == ch {
		delete(t.waiting, token)
	}
}

func (t *Tasks) await(ctx context.Context, call *asl.Call, submitted []byte) ([]byte, error) {
	t.mu.Lock()
	ch := t.waiting[call.Token]
	if ch == nil {
		ch = make(chan answer, 1)
		t.waiting[call.Token] = ch
	}
	t.mu.Unlock()
	if call.Submitted != nil {
		call.Submitted(submitted)
	}
	select {
	case a := <-ch:
		return a.output, a.err
	case <-ctx.Done():
		t.forget(call.Token, ch)
		return nil, ctx.Err()
	}
}

// Recover says what became of a call that was under way when the process
// ended: a job that was submitted is followed further, and what only reads, or
// carries a name that AWS accepts once, may be made again.
func (t *Tasks) Recover(ctx context.Context, call *asl.Call) ([]byte, bool, error) {
	to, err := t.resolve(call)
	if err != nil {
		return nil, false, err
	}
	if to.job != nil && len(call.SubmittedOutput) > 0 {
		var out map[string]any
		if err := json.Unmarshal(call.SubmittedOutput, &out); err != nil {
			return nil, false, fmt.Errorf("read what was submitted: %w", err)
		}
		c, err := t.as(ctx, call)
		if err != nil {
			return nil, true, err
		}
		raw, err := t.follow(ctx, c, to, out)
		return raw, true, err
	}
	if to.callback && len(call.SubmittedOutput) > 0 {
		raw, err := t.await(ctx, call, call.SubmittedOutput)
		return raw, true, err
	}
	if op := to.model(); op != nil && op.ReadOnly {
		return nil, false, asl.ErrRepeat
	}
	for _, verb := range []string{"describe", "list", "get", "head", "batchGet", "lookup", "query", "scan"} {
		if strings.HasPrefix(to.operation, verb) {
			return nil, false, asl.ErrRepeat
		}
	}
	var params map[string]any
	if json.Unmarshal(call.Parameters, &params) == nil && to.service == "sfn" && to.operation == "startExecution" && params["Name"] != nil {
		return nil, false, asl.ErrRepeat
	}
	return nil, false, nil
}
