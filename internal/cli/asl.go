package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/asl/value"
)

// maxASLFile bounds the definitions, inputs and mock files that are read.
const maxASLFile = 64 << 20

func newASLCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "asl",
		Short: "Validate, run, test and draw Amazon States Language machines",
		Long: `Works on state machines of AWS Step Functions without AWS: the same definition
runs here and, unchanged, there.`,
		Example: "  bartizan asl validate machine.json\n  bartizan asl run machine.json --input input.json --mock mocks.json",
	}
	c.AddCommand(newASLValidateCommand(a), newASLRunCommand(a), newASLTestCommand(a), newASLGraphCommand(a))
	return c
}

// readASLFile reads a file, or standard input for "-".
func (a *App) readASLFile(file string) ([]byte, error) {
	in, done, err := a.aslInput(file)
	if err != nil {
		return nil, err
	}
	defer done()
	data, err := io.ReadAll(io.LimitReader(in, maxASLFile+1))
	if err != nil {
		return nil, incompleteErrorf("read %s: %w", file, err)
	}
	if len(data) > maxASLFile {
		return nil, incompleteErrorf("read %s: it is larger than %d bytes", file, maxASLFile)
	}
	return data, nil
}

func (a *App) aslInput(file string) (io.Reader, func(), error) {
	if file == "-" {
		return a.Stdin, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, incompleteErrorf("read file: %w", err)
	}
	return f, func() { f.Close() }, nil
}

// parseASL reads a definition for a command that runs or draws it.
func (a *App) parseASL(file string) (*asl.Machine, error) {
	text, err := a.readASLFile(file)
	if err != nil {
		return nil, err
	}
	m, err := asl.Parse(text)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("%s: %s", file, printableASL(err.Error())), Hint: "see 'bartizan asl validate " + file + "'"}
	}
	return m, nil
}

func newASLValidateCommand(a *App) *cobra.Command {
	var batch, severity string
	c := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check definitions as ValidateStateMachineDefinition does",
		Long: `Checks definitions and prints AWS's diagnostics with line and column and, for a
wrong name, the nearest correct one. The exit code is 1 if any has an error.

--batch FILE reads one {"id","definition"} a line and answers
{"id","result","diagnostics"} a line, without warnings unless --severity WARNING
asks for them, as AWS does.`,
		Example: "  bartizan asl validate machine.json\n  bartizan asl validate --batch definitions.jsonl",
		Args: func(_ *cobra.Command, args []string) error {
			if (batch == "") == (len(args) == 0) {
				return errors.New("give files, or --batch FILE")
			}
			return nil
		},
	}
	o := addOutputFlag(c, "table", "json")
	c.Flags().StringVar(&batch, "batch", "", "read definitions from a JSON Lines file")
	c.Flags().StringVar(&severity, "severity", "", "least severity shown: ERROR or WARNING (default WARNING; ERROR with --batch)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		switch severity {
		case "", asl.SeverityError, asl.SeverityWarning:
		default:
			return usageErrorf("--severity %q: want ERROR or WARNING", severity)
		}
		if batch != "" {
			return a.batch(c.Context(), batch, "definitions", func(line []byte, n int, tooLong bool) (any, bool) {
				return validateLine(line, n, tooLong, severity == asl.SeverityWarning)
			})
		}
		return a.validateFiles(args, o, severity != asl.SeverityError)
	}
	return c
}

type fileValidation struct {
	File string `json:"file"`
	asl.Validation
}

func (a *App) validateFiles(files []string, o *outputs, warnings bool) error {
	var all []fileValidation
	failed := 0
	for _, f := range files {
		text, err := a.readASLFile(f)
		if err != nil {
			return err
		}
		v := fileValidation{f, asl.Validate(text)}
		v.Diagnostics = shownDiagnostics(v.Diagnostics, warnings)
		if v.Result != "OK" {
			failed++
		}
		all = append(all, v)
	}
	err := o.emit(a, func(format string, w io.Writer, _ bool) error {
		if format == "json" {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(all)
		}
		for _, v := range all {
			for _, d := range v.Diagnostics {
				msg := d.Message
				if d.Code == asl.CodeInvalidJSON {
					msg, _, _ = strings.Cut(msg, "\n") // the rest quotes the definition
				}
				line := fmt.Sprintf("%s:%d:%d: %s %s: %s", v.File, d.Line, d.Column, d.Severity, d.Code, msg)
				if d.Location != "" && d.Code != asl.CodeInvalidJSON {
					line += " at " + d.Location
				}
				if d.Suggestion != "" {
					line += fmt.Sprintf("; did you mean %q?", d.Suggestion)
				}
				if _, err := fmt.Fprintln(w, printableASL(line)); err != nil {
					return err
				}
			}
			if _, err := fmt.Fprintf(w, "%s: %s\n", v.File, v.Result); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if failed > 0 {
		return errFindings
	}
	a.notef("next: bartizan asl run %s --input FILE", files[0])
	return nil
}

type validateAnswer struct {
	ID          json.RawMessage      `json:"id"`
	Result      string               `json:"result"`
	Diagnostics []validateDiagnostic `json:"diagnostics"`
}

// validateDiagnostic has AWS's members alone.
type validateDiagnostic struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Location string `json:"location,omitempty"`
	Message  string `json:"message"`
}

// shownDiagnostics leaves warnings out if they are not asked for.
func shownDiagnostics(ds []asl.Diagnostic, warnings bool) []asl.Diagnostic {
	out := []asl.Diagnostic{}
	for _, d := range ds {
		if warnings || d.Severity == asl.SeverityError {
			out = append(out, d)
		}
	}
	return out
}

func validateLine(line []byte, n int, tooLong, warnings bool) (any, bool) {
	var in struct {
		ID         json.RawMessage `json:"id"`
		Definition json.RawMessage `json:"definition"`
	}
	if tooLong {
		return batchError{json.RawMessage("null"), n, fmt.Sprintf("the line is longer than %d bytes", maxBatchLine)}, false
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return batchError{lineID(line), n, err.Error()}, false
	}
	if len(in.ID) == 0 {
		in.ID = json.RawMessage("null")
	}
	v := asl.Validate(definitionText(in.Definition))
	out := validateAnswer{ID: in.ID, Result: v.Result, Diagnostics: []validateDiagnostic{}}
	for _, d := range shownDiagnostics(v.Diagnostics, warnings) {
		out.Diagnostics = append(out.Diagnostics, validateDiagnostic{d.Code, d.Severity, d.Location, d.Message})
	}
	return out, true
}

// definitionText is the definition's text: a string is the text itself.
func definitionText(raw json.RawMessage) []byte {
	raw = bytes.TrimSpace(raw)
	if len(raw) > 0 && raw[0] == '"' {
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return []byte(s)
		}
	}
	return raw
}

func newASLGraphCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "graph FILE",
		Short:   "Draw a state machine",
		Long:    "Draws the states and their transitions, with the branches of Parallel and the items of Map states.",
		Example: "  bartizan asl graph machine.json -o svg=machine.svg\n  bartizan asl graph machine.json -o mermaid",
		Args:    cobra.ExactArgs(1),
	}
	o := addOutputFlag(c, "mermaid", "dot", "svg")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		m, err := a.parseASL(args[0])
		if err != nil {
			return err
		}
		return o.emit(a, func(format string, w io.Writer, _ bool) error {
			g, err := asl.Graph(m, format)
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, g)
			return err
		})
	}
	return c
}

// readMocks reads a mock file: a list of {"state","output"} and
// {"state","error","cause"}, or an object that gives each state its outcome or
// list of outcomes.
func readMocks(text []byte) ([]asl.Mock, error) {
	v, err := value.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read mocks: %w", err)
	}
	var list []any
	switch x := v.(type) {
	case []any:
		list = x
	case *value.Object:
		if l, ok := x.Get("mocks"); ok {
			list, _ = l.([]any)
			break
		}
		for i := range x.Len() {
			state, outcomes := x.At(i)
			many, isList := outcomes.([]any)
			if !isList {
				many = []any{outcomes}
			}
			for _, one := range many {
				o, ok := one.(*value.Object)
				if !ok || !o.Has("output") && !o.Has("error") && !o.Has("cause") {
					o = value.Obj("output", one)
				} else {
					o = o.Clone()
				}
				o.Set("state", state)
				list = append(list, o)
			}
		}
	default:
		return nil, errors.New("read mocks: want a list or an object")
	}
	var out []asl.Mock
	for i, e := range list {
		o, ok := e.(*value.Object)
		if !ok {
			return nil, fmt.Errorf("read mocks: entry %d is no object", i)
		}
		m, err := asl.MockFrom(o)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
