package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/asl/awstasks"
	"github.com/bartizan-security/bartizan/asl/value"
)

// aslInspectionLevels are TestState's.
var aslInspectionLevels = []string{"INFO", "DEBUG", "TRACE"}

func newASLTestCommand(a *App) *cobra.Command {
	var input, state, level, mock, contextFile, variables, mode string
	var retries int64
	c := &cobra.Command{
		Use:   "test FILE",
		Short: "Run one state and show each step of its data processing",
		Long: `Runs one state as TestState does: of a machine (--state) or given alone.

--mock FILE stands in for the state's work: {"output":…} or {"error":…,"cause":…}.
--inspection-level DEBUG or TRACE adds the data after each processing step.

Exit codes: 0 the state succeeded or its error was caught, 1 it failed or would
be retried.`,
		Example: "  bartizan asl test machine.json --state Choose --input input.json\n" +
			"  bartizan asl test task.json --input input.json --mock mock.json --inspection-level TRACE",
		Args: cobra.ExactArgs(1),
	}
	o := addOutputFlag(c, "table", "json")
	fl := c.Flags()
	fl.StringVarP(&input, "input", "i", "", "file with the state's input; - is standard input (default {})")
	fl.StringVar(&state, "state", "", "the state's name, for a machine")
	fl.StringVar(&level, "inspection-level", "INFO", "INFO, DEBUG or TRACE")
	fl.StringVar(&mock, "mock", "", "file with the mocked outcome of the state's work")
	fl.StringVar(&mode, "field-validation", awstasks.Strict, "how a mocked result is held against the service's model: STRICT, PRESENT or NONE")
	fl.StringVar(&contextFile, "context", "", "file with the context object")
	fl.StringVar(&variables, "variables", "", "file with the variables, an object")
	fl.Int64Var(&retries, "retry-count", 0, "how often the state has been retried")
	_ = c.RegisterFlagCompletionFunc("inspection-level", cobra.FixedCompletions(aslInspectionLevels, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if level != "INFO" && level != "DEBUG" && level != "TRACE" {
			return usageErrorf("--inspection-level %q: want INFO, DEBUG or TRACE", level)
		}
		t := asl.StateTest{StateName: state, RetrierRetryCount: retries, Clock: asl.NewVirtualClock(a.Now())}
		for _, f := range []struct {
			file string
			into *[]byte
		}{{args[0], &t.Definition}, {input, &t.Input}, {contextFile, &t.Context}, {variables, &t.Variables}} {
			if f.file == "" {
				continue
			}
			text, err := a.readASLFile(f.file)
			if err != nil {
				return err
			}
			*f.into = text
		}
		if mock != "" {
			text, err := a.readASLFile(mock)
			if err != nil {
				return err
			}
			if t.Mock, err = stateMock(text); err != nil {
				return usageErrorf("%s: %w", mock, err)
			}
		}
		if mode != awstasks.Strict && mode != awstasks.Present && mode != awstasks.None {
			return usageErrorf("--field-validation %q: want STRICT, PRESENT or NONE", mode)
		}
		t.CheckMock = func(resource string, result []byte) error { return awstasks.CheckMock(resource, result, mode) }
		r, err := asl.TestState(c.Context(), t)
		var refused *asl.TestError
		if errors.As(err, &refused) && state == "" {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("%s: %w", args[0], err), Hint: "for one state of a machine, name it with --state"}
		}
		if errors.As(err, &refused) {
			return usageErrorf("%s: %w", args[0], err)
		}
		if err != nil {
			return err
		}
		if err := o.emit(a, func(format string, w io.Writer, _ bool) error { return writeStateResult(format, w, r, level) }); err != nil {
			return err
		}
		if mock == "" && r.Error == "States.TaskFailed" {
			a.notef("hint: --mock FILE stands in for the task: {\"output\":…} or {\"error\":…,\"cause\":…}")
		}
		if r.Status == asl.StatusFailed || r.Status == asl.StatusRetriable {
			return errFindings
		}
		return nil
	}
	return c
}

// stateMock reads {"output"}, {"error","cause"}, or TestState's own
// {"result"} and {"errorOutput"}.
func stateMock(text []byte) (*asl.StateMock, error) {
	v, err := value.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read mock: %w", err)
	}
	m, ok := v.(*value.Object)
	if !ok {
		return nil, errors.New(`read mock: want one object, {"output":…} or {"error":…,"cause":…}`)
	}
	if e, ok := m.Get("errorOutput"); ok {
		if m, ok = e.(*value.Object); !ok {
			return nil, errors.New("read mock: errorOutput is no object")
		}
	}
	if out, ok := m.Get("output"); ok {
		return &asl.StateMock{Result: value.Append(nil, out)}, nil
	}
	if out, ok := m.Get("result"); ok {
		if s, isText := out.(string); isText {
			return &asl.StateMock{Result: []byte(s)}, nil
		}
		return &asl.StateMock{Result: value.Append(nil, out)}, nil
	}
	e, _ := m.Get("error")
	c, _ := m.Get("cause")
	mock := &asl.StateMock{Failed: true}
	mock.Error, _ = e.(string)
	mock.Cause, _ = c.(string)
	if mock.Error == "" {
		return nil, errors.New("read mock: want output, or error and cause")
	}
	return mock, nil
}

// aslStateResult has TestState's members.
type aslStateResult struct {
	Status     string          `json:"status"`
	Output     json.RawMessage `json:"output,omitempty"`
	Error      string          `json:"error,omitempty"`
	Cause      string          `json:"cause,omitempty"`
	NextState  string          `json:"nextState,omitempty"`
	Inspection *value.Object   `json:"inspectionData,omitempty"`
}

func writeStateResult(format string, w io.Writer, r *asl.StateResult, level string) error {
	out := aslStateResult{Status: r.Status, Output: r.Output, Error: r.Error, Cause: r.Cause, NextState: r.NextState}
	if level != "INFO" {
		out.Inspection = r.Inspection
	}
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(out)
	}
	line := func(name, text string) error {
		if text == "" {
			return nil
		}
		_, err := fmt.Fprintf(w, "%-26s %s\n", name, printableASL(text))
		return err
	}
	if out.Inspection != nil {
		for i := range out.Inspection.Len() {
			k, v := out.Inspection.At(i)
			if err := line(k, value.String(v)); err != nil {
				return err
			}
		}
	}
	for _, p := range [][2]string{{"status", out.Status}, {"output", string(out.Output)}, {"error", out.Error}, {"cause", out.Cause}, {"next state", out.NextState}} {
		if err := line(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}
