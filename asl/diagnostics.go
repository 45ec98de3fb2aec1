package asl

import (
	"fmt"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// The diagnostic codes of ValidateStateMachineDefinition that are public.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinitionDiagnostic.html
const (
	CodeInvalidJSON      = "INVALID_JSON_DESCRIPTION"
	CodeSchema           = "SCHEMA_VALIDATION_FAILED"
	CodeTransitionTarget = "MISSING_TRANSITION_TARGET"
	CodeDuplicateState   = "DUPLICATE_STATE_NAME"
	CodeNoTerminalState  = "MISSING_END_STATE"
	CodeMissing          = "MISSING_DESCRIPTION"
	CodeResource         = "INVALID_RESOURCE"
	CodeStateName        = "INVALID_STATE_NAME"
	CodeLabelName        = "INVALID_LABEL_NAME"
	CodeDuplicateLabel   = "DUPLICATE_LABEL_NAME"
	CodeNested           = "TOO_DEEPLY_NESTED"
	CodeNoDollar         = "NO_DOLLAR"
	CodeNoPath           = "NO_PATH"
	CodeStaticResult     = "PASS_RESULT_IS_STATIC"

	// These two are not in AWS's list, and in its answers.
	CodeInvalidJSONata     = "INVALID_JSONATA_EXPRESSION"
	CodeUnsupportedJSONata = "UNSUPPORTED_JSONATA_EXPRESSION"

	// CodeDuplicateField is not AWS's: a field occurs twice in an object.
	CodeDuplicateField = "DUPLICATE_FIELD"
)

// The severities of a diagnostic. A definition with an error is refused.
const (
	SeverityError   = "ERROR"
	SeverityWarning = "WARNING"
)

// Diagnostic is one remark about a definition.
type Diagnostic struct {
	Code     string `json:"code"`
	Severity string `json:"severity"`
	Location string `json:"location,omitempty"` // such as /States/X/Choices[0]/Next
	Message  string `json:"message"`

	// Line and Column count from 1. Suggestion is the nearest correct name,
	// where a wrong one was given. Step Functions has neither.
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`

	lint bool // Step Functions refuses it, yet it can run here
}

// String returns the diagnostic in one line.
func (d Diagnostic) String() string {
	msg := d.Message
	if d.Code == CodeInvalidJSON {
		msg, _, _ = strings.Cut(msg, "\n") // the rest quotes the definition
	}
	s := fmt.Sprintf("%d:%d: %s: %s", d.Line, d.Column, d.Code, msg)
	if d.Location != "" && d.Code != CodeInvalidJSON {
		s += " at " + d.Location
	}
	if d.Suggestion != "" {
		s += fmt.Sprintf(" (did you mean %q?)", d.Suggestion)
	}
	return s
}

// Refusal is what CreateStateMachine answers to diagnostics: one sentence.
func Refusal(ds []Diagnostic) string {
	var parts []string
	for _, d := range ds {
		if d.Severity != SeverityError {
			continue
		}
		at := d.Location
		if at == "" {
			at = "null"
		}
		parts = append(parts, fmt.Sprintf("%s: %s at %s", d.Code, d.Message, at))
	}
	return "Invalid State Machine Definition: '" + strings.Join(parts, ", ") + "'"
}

// DefinitionError is the error of Parse: what is wrong with a definition.
type DefinitionError struct{ Diagnostics []Diagnostic }

// Error returns what CreateStateMachine would answer, with the places.
func (e *DefinitionError) Error() string {
	var b strings.Builder
	b.WriteString("invalid state machine definition")
	for i, d := range e.Diagnostics {
		if i == 5 {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Diagnostics)-i)
			break
		}
		b.WriteString("\n  " + d.String())
	}
	return b.String()
}

// Validation is the answer of Validate.
type Validation struct {
	Result      string       `json:"result"` // OK or FAIL
	Diagnostics []Diagnostic `json:"diagnostics"`
	Truncated   bool         `json:"truncated,omitempty"`
}

const maxDiagnostics = 100

// Validate checks a definition as ValidateStateMachineDefinition does. The
// result is FAIL if any diagnostic is an error.
func Validate(definition []byte) Validation {
	_, ds := build(definition)
	v := Validation{Result: "OK", Diagnostics: ds}
	for _, d := range ds {
		if d.Severity == SeverityError {
			v.Result = "FAIL"
		}
	}
	if len(ds) > maxDiagnostics {
		v.Diagnostics, v.Truncated = ds[:maxDiagnostics], true
	}
	if v.Diagnostics == nil {
		v.Diagnostics = []Diagnostic{}
	}
	return v
}

// Parse reads a definition. The error is a [DefinitionError] that names every
// fault with its place.
func Parse(definition []byte) (*Machine, error) {
	m, ds := build(definition)
	var errs []Diagnostic
	for _, d := range ds {
		if d.Severity == SeverityError && !d.lint {
			errs = append(errs, d)
		}
	}
	if len(errs) > 0 {
		return nil, &DefinitionError{errs}
	}
	return m, nil
}

// syntaxDiagnostic describes text that is not JSON as Step Functions does.
func syntaxDiagnostic(text []byte, e *value.SyntaxError) Diagnostic {
	source := string(text)
	if len(source) > 500 {
		source = fmt.Sprintf("%s\"[truncated %d chars]", source[:500], len(source)-500)
	} else {
		source += `"`
	}
	where := fmt.Sprintf("[Source: (String)\"%s; line: %d, column: %d]", source, e.Line, e.Column)
	return Diagnostic{
		Code: CodeInvalidJSON, Severity: SeverityError, Location: where,
		Message: e.Msg + "\n at " + where, Line: e.Line, Column: e.Column,
	}
}

// nearest returns the candidate closest to a wrong name, or "" if none is near.
func nearest(name string, candidates []string) string {
	best, least := "", max(2, len(name)/3)+1
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c), least); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of edits between two names, or limit if it is more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 200 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
