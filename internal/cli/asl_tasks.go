package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/asl/awstasks"
	"github.com/bartizan-security/bartizan/awsapi"
)

// aslTasks chooses who performs the tasks.
func (a *App) aslTasks(ctx context.Context, m *asl.Machine, f *aslRunFlags) (asl.Tasks, error) {
	switch {
	case f.mock != "":
		text, err := a.readASLFile(f.mock)
		if err != nil {
			return nil, err
		}
		mocks, err := readMocks(text)
		if err != nil {
			return nil, usageErrorf("%s: %w", f.mock, err)
		}
		warned := map[string]bool{}
		for _, mock := range mocks {
			if !warned[mock.State] && !slices.Contains(m.StateNames(), mock.State) {
				warned[mock.State] = true
				a.warnf("%s: the machine has no state %q; its mocks are not used", f.mock, mock.State)
			}
		}
		t := asl.NewMockTasks(mocks)
		t.RepeatLast = true
		return t, nil
	case f.local != "":
		text, err := a.readASLFile(f.local)
		if err != nil {
			return nil, err
		}
		var commands map[string][]string
		if err := json.Unmarshal(text, &commands); err != nil {
			return nil, usageErrorf("%s: want an object of states or resources, each with its command as a list: %w", f.local, err)
		}
		return localTasks(commands), nil
	case f.apply:
		c, err := awsapi.New(ctx, awsapi.Options{Profile: f.profile, Region: f.region, Endpoint: f.endpoint, MaxAttempts: 1, UserAgent: "bartizan/" + version(), Clock: a.Now})
		if err != nil {
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("prepare AWS client: %w", err), Hint: "check --profile, --region and the files in ~/.aws"}
		}
		tasks := m.TaskStates()
		for _, state := range m.StateNames() {
			if resource, ok := tasks[state]; ok {
				a.notef("--apply: state %s may call %s", state, resource)
			}
		}
		return awstasks.NewClient(c), nil
	}
	if len(m.TaskStates()) > 0 {
		return nil, &Error{Code: ExitUsage, Err: errors.New("the machine has Task states, and nothing says where their results come from"), Hint: "give --mock FILE, --local FILE, or --apply to call AWS"}
	}
	return nil, nil
}

// localTasks performs tasks by commands on this machine, as Lambda would: the
// input on standard input, the result on standard output. A command that fails
// with {"errorType","errorMessage"} on standard output names its error.
type localTasks map[string][]string

const maxLocalOutput = 1 << 20

func (t localTasks) Invoke(ctx context.Context, call *asl.Call) ([]byte, error) {
	argv := t[call.State]
	if len(argv) == 0 {
		argv = t[call.Resource]
	}
	input := call.Parameters
	if call.Service == "lambda" && call.Action == "invoke" {
		var p struct {
			FunctionName string
			Payload      json.RawMessage
		}
		if json.Unmarshal(call.Parameters, &p) == nil {
			input = p.Payload
			if len(argv) == 0 {
				argv = t[p.FunctionName]
			}
		}
	}
	if len(argv) == 0 {
		return nil, &asl.TaskError{Name: "States.TaskFailed", Cause: fmt.Sprintf("no command is given for state %s or resource %s", call.State, call.Resource)}
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...) //nolint:gosec // the user's own command
	cmd.Stdin = bytes.NewReader(input)
	var out, errs limitedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		var e struct {
			ErrorType    string `json:"errorType"`
			ErrorMessage string `json:"errorMessage"`
		}
		if json.Unmarshal(out.Bytes(), &e) == nil && e.ErrorType != "" {
			return nil, &asl.TaskError{Name: e.ErrorType, Cause: strings.TrimSpace(out.String())}
		}
		return nil, &asl.TaskError{Name: "States.TaskFailed", Cause: strings.TrimSpace(fmt.Sprintf("%s: %v %s", argv[0], err, errs.String()))}
	}
	result := bytes.TrimSpace(out.Bytes())
	if call.Service == "lambda" && call.Action == "invoke" {
		if len(result) == 0 {
			result = []byte("null")
		}
		return json.Marshal(map[string]any{"ExecutedVersion": "$LATEST", "Payload": json.RawMessage(result), "StatusCode": 200})
	}
	return result, nil
}

// limitedBuffer keeps the first megabyte of what a command writes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxLocalOutput - b.Len(); len(p) > room {
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

var _ asl.Tasks = localTasks(nil)
