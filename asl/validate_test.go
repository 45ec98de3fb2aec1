package asl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/asl/value"
)

// statelintInvalid are the documents with a fault, and where it stands; all
// others are valid.
var statelintInvalid = map[string]string{
	"backoff-with-backoffrate-between-0-and-1.json": "/States/p/Retry/0/BackoffRate",
	"backoff-with-backoffrate-negative.json":        "/States/p/Retry/0/BackoffRate",
	"backoff-with-invalid-jitter-on-retry.json":     "/States/p/Retry/0/JitterStrategy",
	"choice-with-parameters.json":                   "/States/p/Parameters",
	"choice-with-resultpath.json":                   "/States/p/ResultPath",
	"choice-with-resultselector.json":               "/States/p/ResultSelector",
	"empty-error-equals-on-catch.json":              "/States/p/Catch/0/ErrorEquals",
	"empty-error-equals-on-retry.json":              "/States/p/Retry/0/ErrorEquals",
	"fail-with-parameters.json":                     "/States/p/Parameters",
	"fail-with-resultpath.json":                     "/States/p/ResultPath",
	"fail-with-resultselector.json":                 "/States/p/ResultSelector",
	"fail-with-static-and-dynamic-cause.json":       "/States/FailState",
	"fail-with-static-and-dynamic-error.json":       "/States/FailState",
	"has-dupes.json":                                "/States/Sub2_1",
	"invalid-backoff-with-jitter-on-retry.json":     "/States/p/Retry/0/MaxDelaySeconds",
	"invalid-function-invocation.json":              "/States/p/ResultSelector",
	"linked-parallel.json":                          "/States/A/Branches/0/States/Sub1_1",
	"map-with-itemprocessor-and-iterator.json":      "/States/m",
	"map-with-null-itemspath.json":                  "/States/m/ItemsPath",
	"map-with-parameters-and-itemselector.json":     "/States/m",
	"no-terminal.json":                              "/States/FirstState",
	"parameter-path-problems.json":                  "/States/FNORD/Parameters",
	"pass-with-intrinsic-function-inputpath.json":   "/States/p/InputPath",
	"pass-with-resultselector.json":                 "/States/p/ResultSelector",
	"states-array-invocation-leftpad.json":          "/States/p/ResultSelector",
	"succeed-with-parameters.json":                  "/States/p/Parameters",
	"succeed-with-resultpath.json":                  "/States/p/ResultPath",
	"succeed-with-resultselector.json":              "/States/p/ResultSelector",
	"task-with-invalid-credentials.json":            "/States/p/Credentials",
	"task-with-static-and-dynamic-heartbeat.json":   "/States/p",
	"task-with-static-and-dynamic-timeout.json":     "/States/p",
	"wait-with-parameters.json":                     "/States/p/Parameters",
	"wait-with-resultpath.json":                     "/States/p/ResultPath",
	"wait-with-resultselector.json":                 "/States/p/ResultSelector",
}

func TestStatelintDocuments(t *testing.T) {
	v, err := value.Parse(shared(t, "asl/statelint-documents.json"))
	if err != nil {
		t.Fatal(err)
	}
	docs := v.(*value.Object)
	agree := 0
	for _, name := range docs.Keys() {
		d, _ := docs.Get(name)
		r := Validate([]byte(d.(string)))
		where, invalid := statelintInvalid[name]
		found := ""
		for _, x := range r.Diagnostics {
			if x.Severity == SeverityError && found == "" {
				found = x.Location
			}
		}
		if (r.Result == "FAIL") != invalid || found != where {
			t.Errorf("%s: %s at %q, want a fault at %q", name, r.Result, found, where)
			continue
		}
		agree++
	}
	t.Logf("statelint documents: %d of %d judged as expected", agree, docs.Len())
}

// Definitions that ValidateStateMachineDefinition or CreateStateMachine judged
// on AWS are judged the same, in the same words.
func TestRecordedValidations(t *testing.T) {
	agree := 0
	cases := recordedCases(t, "validation")
	for _, c := range cases {
		def := c.get("definition")
		text, isText := def.(string)
		if !isText {
			text = value.String(def)
		}
		v := Validate([]byte(text))
		var diffs []string
		if v.Result != c.text("result") {
			diffs = append(diffs, "result "+v.Result)
		}
		if want, ok := c.get("diagnostics").([]any); ok {
			if len(want) != len(v.Diagnostics) {
				diffs = append(diffs, fmt.Sprintf("%d diagnostics", len(v.Diagnostics)))
			} else {
				for i, w := range want {
					d, g := rcase{w.(*value.Object)}, v.Diagnostics[i]
					if d.text("code") != g.Code || d.text("message") != g.Message || d.text("severity") != g.Severity || d.text("location") != g.Location {
						diffs = append(diffs, fmt.Sprintf("%#v, recorded %s", g, value.String(w)))
					}
				}
			}
		}
		if e, ok := c.get("error").(*value.Object); ok {
			got := ""
			if len(v.Diagnostics) > 0 {
				d := v.Diagnostics[0]
				got = fmt.Sprintf("Invalid State Machine Definition: '%s: %s at %s'", d.Code, d.Message, d.Location)
			}
			if want := (rcase{e}).text("message"); got != want {
				diffs = append(diffs, fmt.Sprintf("%s, recorded %s", got, want))
			}
		}
		if refs, ok := c.get("variable_references").(*value.Object); ok {
			m, err := Parse([]byte(text))
			if err != nil {
				diffs = append(diffs, err.Error())
			} else {
				got := value.NewObject(2)
				for _, n := range m.StateNames() {
					if vs := m.Variables()[n]; len(vs) > 0 {
						list := make([]any, len(vs))
						for i := range vs {
							list[i] = vs[i]
						}
						got.Set(n, list)
					}
				}
				if !value.Equal(got, refs) {
					diffs = append(diffs, fmt.Sprintf("variables %s, recorded %s", value.String(got), value.String(refs)))
				}
			}
		}
		if len(diffs) > 0 {
			t.Errorf("%s: %s", shortID(c.text("id")), strings.Join(diffs, "; "))
			continue
		}
		agree++
	}
	t.Logf("recorded validations: %d of %d agree", agree, len(cases))
}
