package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/asl/sqlitestore"
	"github.com/bartizan-security/bartizan/asl/value"
)

type aslRunFlags struct {
	input, mock, local, batch, history, name string
	apply, realTime                          bool
	profile, region, endpoint                string
	seed                                     uint64
	resolve                                  []string
}

func newASLRunCommand(a *App) *cobra.Command {
	var f aslRunFlags
	c := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a state machine, with mocked, local or real tasks",
		Long: `Runs a state machine and shows its states as they go.

Tasks get their results from a mock file (--mock), from commands on this
machine (--local: an object that gives a state or resource its command, which
reads the task's input on standard input and writes its result), or from AWS
with --apply. With mocks time is virtual: a Wait of a day takes no time.

--history keeps every event in a file before its effect is relied upon; run the
same command again after a crash and it resumes. A task that was under way then
is looked up or asked for (--resolve), never just repeated.

--batch FILE reads one {"id","definition","input","mocks"} a line and answers
{"id","status","output","error","cause","events"} a line.

Exit codes: 0 succeeded, 1 the execution failed, 3 it could not be carried on.`,
		Example: "  bartizan asl run machine.json --input input.json --mock mocks.json\n" +
			"  bartizan asl run machine.json --input input.json --history runs.db --apply\n" +
			"  bartizan asl run --batch cases.jsonl",
		Args: func(_ *cobra.Command, args []string) error {
			if (f.batch == "") == (len(args) == 0) || len(args) > 1 {
				return errors.New("give one file, or --batch FILE")
			}
			return nil
		},
	}
	o := addOutputFlag(c, "table", "json")
	fl := c.Flags()
	fl.StringVarP(&f.input, "input", "i", "", "file with the execution's input; - is standard input (default {})")
	fl.StringVar(&f.mock, "mock", "", "file with the results of tasks")
	fl.StringVar(&f.local, "local", "", "file that gives states or resources a command to run")
	fl.BoolVar(&f.apply, "apply", false, "call AWS for tasks; this may change things there")
	fl.BoolVar(&f.realTime, "real-time", false, "wait for real (always so with --apply and --local)")
	fl.StringVar(&f.batch, "batch", "", "run the cases of a JSON Lines file")
	fl.StringVar(&f.history, "history", "", "keep the history in this file and resume from it")
	fl.StringVar(&f.name, "name", "", "name of the execution (default: the file's name)")
	fl.Uint64Var(&f.seed, "seed", 0, "seed of random numbers and identifiers")
	fl.StringArrayVar(&f.resolve, "resolve", nil, "EVENT=FILE or EVENT=repeat: what became of a task whose outcome is unknown")
	fl.StringVar(&f.profile, "profile", "", "AWS profile for --apply")
	fl.StringVar(&f.region, "region", "", "AWS region for --apply")
	fl.StringVar(&f.endpoint, "endpoint-url", "", "AWS endpoint for --apply")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if f.batch != "" {
			return a.batch(c.Context(), f.batch, "executions", func(line []byte, n int, tooLong bool) (any, bool) {
				return runLine(c.Context(), line, n, tooLong)
			})
		}
		return a.runASL(c.Context(), args[0], &f, o)
	}
	return c
}

func (a *App) runASL(ctx context.Context, file string, f *aslRunFlags, o *outputs) error {
	chosen := 0
	for _, on := range []bool{f.mock != "", f.local != "", f.apply} {
		if on {
			chosen++
		}
	}
	if chosen > 1 {
		return usageErrorf("give only one of --mock, --local and --apply")
	}
	m, err := a.parseASL(file)
	if err != nil {
		return err
	}
	input := []byte("{}")
	if f.input != "" {
		if input, err = a.readASLFile(f.input); err != nil {
			return err
		}
		if _, err := value.Parse(input); err != nil {
			return usageErrorf("read input %s: %w", f.input, err)
		}
	}
	name := f.name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
	}
	host := asl.Host{Seed: f.seed, Execution: asl.Execution{Name: name, StateMachineName: strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))}}
	if f.apply || f.local != "" || f.realTime {
		host.Clock = realClock{a.Now}
	} else {
		host.Clock = asl.NewVirtualClock(a.Now())
	}
	if host.Tasks, err = a.aslTasks(ctx, m, f); err != nil {
		return err
	}
	if host.Tasks, err = a.resolving(host.Tasks, f.resolve); err != nil {
		return err
	}
	if f.history != "" {
		store, err := sqlitestore.Open(ctx, f.history)
		if err != nil {
			return incompleteErrorf("%w", err)
		}
		defer store.Close()
		host.History = store
	}
	view := newASLView(a, m)
	host.Observe = view.event
	r, err := asl.Run(ctx, m, input, host)
	view.close()
	var unknown *asl.UnknownOutcomeError
	switch {
	case errors.As(err, &unknown):
		return &Error{Code: ExitIncomplete, Err: err, Hint: fmt.Sprintf("find out what became of it, then run again with --resolve %d=FILE (its result) or --resolve %d=repeat", unknown.Call.EventID, unknown.Call.EventID)}
	case errors.Is(err, context.Canceled):
		return incompleteErrorf("the execution was interrupted; run the same command with --history to be able to resume")
	case err != nil:
		return incompleteErrorf("run %s: %w", file, err)
	}
	if err := o.emit(a, func(format string, w io.Writer, _ bool) error { return writeASLResult(format, w, r, host, input) }); err != nil {
		return err
	}
	if r.Status != asl.StatusSucceeded {
		return errFindings
	}
	return nil
}

// aslResult is an execution as DescribeExecution and GetExecutionHistory show it.
type aslResult struct {
	ExecutionARN string          `json:"executionArn"`
	Name         string          `json:"name"`
	Status       string          `json:"status"`
	StartDate    string          `json:"startDate"`
	StopDate     string          `json:"stopDate"`
	Input        json.RawMessage `json:"input"`
	Output       json.RawMessage `json:"output,omitempty"`
	Error        *string         `json:"error,omitempty"`
	Cause        *string         `json:"cause,omitempty"`
	Events       []asl.Event     `json:"events"`
}

func writeASLResult(format string, w io.Writer, r *asl.Result, host asl.Host, input []byte) error {
	if format == "json" {
		out := aslResult{
			ExecutionARN: host.Execution.ID, Name: host.Execution.Name, Status: r.Status,
			StartDate: r.Started.UTC().Format(time.RFC3339Nano), StopDate: r.Stopped.UTC().Format(time.RFC3339Nano),
			Input: input, Output: r.Output, Events: r.Events,
		}
		if r.HasError {
			out.Error = &r.Error
		}
		if r.HasCause {
			out.Cause = &r.Cause
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	if r.Status == asl.StatusSucceeded {
		_, err := fmt.Fprintf(w, "%s\n", r.Output)
		return err
	}
	line := r.Status
	if r.HasError {
		line += " " + r.Error
	}
	if r.HasCause && r.Cause != "" {
		line += ": " + r.Cause
	}
	_, err := fmt.Fprintln(w, printableASL(line))
	return err
}

// printableASL takes out what would drive a terminal.
func printableASL(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, s)
}

// realClock is the machine's own time.
type realClock struct{ now func() time.Time }

func (c realClock) Now() time.Time { return c.now() }

func (c realClock) Sleep(ctx context.Context, until time.Time, wake <-chan struct{}) error {
	t := time.NewTimer(until.Sub(c.now()))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type aslEventAnswer struct {
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

type aslRunAnswer struct {
	ID     json.RawMessage  `json:"id"`
	Status string           `json:"status"`
	Output json.RawMessage  `json:"output"`
	Error  *string          `json:"error"`
	Cause  *string          `json:"cause"`
	Events []aslEventAnswer `json:"events"`
}

// runLine runs one case of a batch in virtual time.
func runLine(ctx context.Context, line []byte, n int, tooLong bool) (any, bool) {
	if tooLong {
		return batchError{json.RawMessage("null"), n, fmt.Sprintf("the line is longer than %d bytes", maxBatchLine)}, false
	}
	var in struct {
		ID         json.RawMessage   `json:"id"`
		Definition json.RawMessage   `json:"definition"`
		Input      json.RawMessage   `json:"input"`
		Mocks      []json.RawMessage `json:"mocks"`
		Type       string            `json:"type"`
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return batchError{lineID(line), n, err.Error()}, false
	}
	if len(in.ID) == 0 {
		in.ID = json.RawMessage("null")
	}
	out := aslRunAnswer{ID: in.ID, Output: json.RawMessage("null"), Events: []aslEventAnswer{}}
	m, err := asl.Parse(definitionText(in.Definition))
	if err != nil {
		// What CreateStateMachine answers: there is no execution.
		code, cause := "InvalidDefinition", err.Error()
		var bad *asl.DefinitionError
		if errors.As(err, &bad) {
			cause = asl.Refusal(bad.Diagnostics)
		}
		out.Status, out.Error, out.Cause = asl.StatusFailed, &code, &cause
		return out, true
	}
	var mocks []asl.Mock
	for _, raw := range in.Mocks {
		v, err := value.Parse(raw)
		if err == nil {
			o, ok := v.(*value.Object)
			if !ok {
				return batchError{in.ID, n, "a mock is no object"}, false
			}
			var mock asl.Mock
			if mock, err = asl.MockFrom(o); err == nil {
				mocks = append(mocks, mock)
			}
		}
		if err != nil {
			return batchError{in.ID, n, err.Error()}, false
		}
	}
	r, err := asl.Run(ctx, m, in.Input, asl.Host{Tasks: asl.NewMockTasks(mocks), Execution: asl.Execution{Express: in.Type == "EXPRESS"}})
	if err != nil {
		return batchError{in.ID, n, err.Error()}, false
	}
	out.Status = r.Status
	if r.Output != nil {
		out.Output = r.Output
	}
	if r.HasError {
		out.Error = &r.Error
	}
	if r.HasCause {
		out.Cause = &r.Cause
	}
	for _, e := range r.Events {
		out.Events = append(out.Events, aslEventAnswer{e.Type, e.Name})
	}
	return out, true
}

// resolving answers for tasks whose outcome is unknown with what --resolve says.
func (a *App) resolving(t asl.Tasks, specs []string) (asl.Tasks, error) {
	if len(specs) == 0 {
		return t, nil
	}
	known := map[string][]byte{}
	for _, s := range specs {
		event, file, ok := strings.Cut(s, "=")
		if !ok || file == "" {
			return nil, usageErrorf("--resolve %q: want EVENT=FILE or EVENT=repeat", s)
		}
		if file == "repeat" {
			known[event] = nil
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, incompleteErrorf("--resolve: %w", err)
		}
		known[event] = text
	}
	return resolvedTasks{t, known}, nil
}

type resolvedTasks struct {
	asl.Tasks
	known map[string][]byte
}

func (t resolvedTasks) Recover(ctx context.Context, call *asl.Call) ([]byte, bool, error) {
	text, ok := t.known[fmt.Sprint(call.EventID)]
	if ok && text == nil {
		return nil, false, asl.ErrRepeat
	}
	if ok {
		return text, true, nil
	}
	if r, can := t.Tasks.(asl.Recoverer); can {
		return r.Recover(ctx, call)
	}
	return nil, false, nil
}

var _ asl.Recoverer = resolvedTasks{}
