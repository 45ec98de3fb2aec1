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
	"backoff-with-backoffrate-between-0-and-1.json": "/States/p/Retry[0]/BackoffRate",
	"backoff-with-backoffrate-negative.json":        "/States/p/Retry[0]/BackoffRate",
	"backoff-with-invalid-jitter-on-retry.json":     "/States/p/Retry[0]/JitterStrategy",
	"choice-with-parameters.json":                   "/States/p",
	"choice-with-resultpath.json":                   "/States/p",
	"choice-with-resultselector.json":               "/States/p",
	"empty-error-equals-on-catch.json":              "/States/p/Catch[0]/ErrorEquals",
	"empty-error-equals-on-retry.json":              "/States/p/Retry[0]/ErrorEquals",
	"fail-with-parameters.json":                     "/States/p",
	"fail-with-resultpath.json":                     "/States/p",
	"fail-with-resultselector.json":                 "/States/p",
	"fail-with-static-and-dynamic-cause.json":       "/States/FailState",
	"fail-with-static-and-dynamic-error.json":       "/States/FailState",
	"has-dupes.json":                                "/States/Sub2_1",
	"invalid-backoff-with-jitter-on-retry.json":     "/States/p/Retry[0]/MaxDelaySeconds",
	"invalid-function-invocation.json":              "/States/p/ResultSelector",
	"linked-parallel.json":                          "/States/A/Branches[0]/States/Sub1_1/Next",
	"map-with-itemprocessor-and-iterator.json":      "/States/m",
	"map-with-null-itemspath.json":                  "/States/m/ItemsPath",
	"map-with-parameters-and-itemselector.json":     "/States/m",
	"no-terminal.json":                              "",
	"parameter-path-problems.json":                  "/States/FNORD/Parameters",
	"pass-with-intrinsic-function-inputpath.json":   "/States/p/InputPath",
	"pass-with-resultselector.json":                 "/States/p",
	"states-array-invocation-leftpad.json":          "/States/p/ResultSelector",
	"succeed-with-parameters.json":                  "/States/p",
	"succeed-with-resultpath.json":                  "/States/p",
	"succeed-with-resultselector.json":              "/States/p",
	"task-with-invalid-credentials.json":            "/States/p/Credentials",
	"task-with-static-and-dynamic-heartbeat.json":   "/States/p",
	"task-with-static-and-dynamic-timeout.json":     "/States/p",
	"wait-with-parameters.json":                     "/States/p",
	"wait-with-resultpath.json":                     "/States/p",
	"wait-with-resultselector.json":                 "/States/p",
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

// What ValidateStateMachineDefinition answers, by its published codes and as
// users have quoted it.
func TestDiagnostics(t *testing.T) {
	p := func(states string) string { return `{"StartAt":"A","States":{` + states + `}}` }
	for _, c := range []struct{ name, def, want string }{
		{"no terminal state anywhere", p(`"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"}`), `MISSING_END_STATE: Workflow has no terminal state at null`},
		{"an unreachable one is one", p(`"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"},"C":{"Type":"Succeed"}`), `MISSING_TRANSITION_TARGET: State "C" is not reachable. at /States/C`},
		{"nested flows may loop", p(`"A":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"X","States":{"X":{"Type":"Pass","Next":"X"}}}}`), ``},
		{"a target that is missing", p(`"A":{"Type":"Pass","Next":"Z"}`), `MISSING_END_STATE: Workflow has no terminal state at null, MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/A/Next`},
		{"in a choice", p(`"A":{"Type":"Choice","Choices":[{"Variable":"$.x","IsNull":true,"Next":"Z"}],"Default":"B"},"B":{"Type":"Succeed"}`), `MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/A/Choices[0]/Next`},
		{"in a default", p(`"A":{"Type":"Choice","Choices":[{"Variable":"$.x","IsNull":true,"Next":"B"}],"Default":"Z"},"B":{"Type":"Succeed"}`), `MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/A/Default`},
		{"a field of another type of state", p(`"A":{"Type":"Pass","TimeoutSeconds":5,"End":true}`), `SCHEMA_VALIDATION_FAILED: Field 'TimeoutSeconds' is not supported at /States/A`},
		{"a field of the other query language", p(`"A":{"Type":"Pass","Output":{},"End":true}`), `SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata' QueryLanguage at /States/A`},
		{"no way back from JSONata", `{"QueryLanguage":"JSONata","StartAt":"A","States":{"A":{"Type":"Pass","QueryLanguage":"JSONPath","Output":1,"End":true}}}`, `SCHEMA_VALIDATION_FAILED: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine at /States/A`},
		{"a query language that does not exist", p(`"A":{"Type":"Pass","QueryLanguage":"jsonata","Output":1,"End":true}`), `SCHEMA_VALIDATION_FAILED: Value should be one of the following: [JSONPath, JSONata] at /States/A/QueryLanguage`},
		{"JSONata that does not parse", p(`"A":{"Type":"Pass","QueryLanguage":"JSONata","Output":{"v":"{% $a[1,2) %}"},"End":true}`), `INVALID_JSONATA_EXPRESSION: Expected "]", got "," at /States/A/Output/v`},
		{"JSONata that reads an input", p(`"A":{"Type":"Pass","QueryLanguage":"JSONata","Output":{"v":"{% phone & $states.input.a[b=1].c %}"},"End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to 'phone' at the top level is not supported. at /States/A/Output/v`},
		{"an error outside a Catch", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","QueryLanguage":"JSONata","Output":"{% $states.errorOutput.Cause %}","Catch":[{"ErrorEquals":["States.ALL"],"Next":"B","Output":"{% $states.errorOutput %}","Assign":{"e":"{% $states.errorOutput.Error %}"}}],"End":true},"B":{"Type":"Succeed"}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$states.errorOutput' is not supported in this field. at /States/A/Output`},
		{"a result before there is one", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","QueryLanguage":"JSONata","Arguments":{"a":"{% $states.result %}"},"Output":{"r":["{% $states.result.Payload %}"]},"Assign":{"r":"{% $states.result %}"},"End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$states.result' is not supported in this field. at /States/A/Arguments/a`},
		{"a result of a Pass", p(`"A":{"Type":"Pass","QueryLanguage":"JSONata","Output":"{% $states.result %}","End":true}`), `UNSUPPORTED_JSONATA_EXPRESSION: Reference to '$states.result' is not supported in this field. at /States/A/Output`},
		{"the result of a Map around its states", p(`"A":{"Type":"Map","QueryLanguage":"JSONata","ItemProcessor":{"StartAt":"X","States":{"X":{"Type":"Pass","QueryLanguage":"JSONata","End":true}}},"Output":"{% $states.result %}","End":true}`), ``},
		{"a service that runs no job", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::sqs:sendMessage.sync","End":true}`), `SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::sqs:sendMessage.sync is not recognized. The value is not a valid resource ARN, or the resource is not available in this region. at /States/A/Resource`},
		{"nor does the SDK", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:glue:startJobRun.sync","End":true}`), `SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::aws-sdk:glue:startJobRun.sync is not recognized. The value is not a valid resource ARN, or the resource is not available in this region. at /States/A/Resource`},
		{"a service without callbacks", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::dynamodb:getItem.waitForTaskToken","End":true}`), `SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::dynamodb:getItem.waitForTaskToken is not recognized. The value is not a valid resource ARN, or the resource is not available in this region. at /States/A/Resource`},
		{"services that have them", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::glue:startJobRun.sync","Next":"B"},"B":{"Type":"Task","Resource":"arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken","Next":"C"},"C":{"Type":"Task","Resource":"arn:aws:states:::states:startExecution.sync:2","End":true}`), ``},
		{"a wrong type", p(`"A":{"Type":"Pass","Comment":1,"End":true}`), `SCHEMA_VALIDATION_FAILED: Expected value of type [STRING] at /States/A/Comment`},
		{"two that exclude each other", p(`"A":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":1,"TimeoutSecondsPath":"$.a","End":true}`), `SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [TimeoutSeconds, TimeoutSecondsPath] at /States/A`},
		{"below the minimum", p(`"A":{"Type":"Map","MaxConcurrency":-1,"ItemProcessor":{"StartAt":"X","States":{"X":{"Type":"Pass","End":true}}},"End":true}`), `SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /States/A/MaxConcurrency`},
		{"a percentage", p(`"A":{"Type":"Map","ToleratedFailurePercentage":101,"ItemProcessor":{"StartAt":"X","States":{"X":{"Type":"Pass","End":true}}},"End":true}`), `SCHEMA_VALIDATION_FAILED: Maximum value is 100.0 at /States/A/ToleratedFailurePercentage`},
		{"no reference path", p(`"A":{"Type":"Pass","ResultPath":"$.a[*]","End":true}`), `SCHEMA_VALIDATION_FAILED: Value is not a Reference Path at /States/A/ResultPath`},
		{"no ARN", p(`"A":{"Type":"Task","Resource":"function","End":true}`), `SCHEMA_VALIDATION_FAILED: Value is not a valid resource ARN at /States/A/Resource`},
		{"the same name twice", p(`"A":{"Type":"Parallel","Branches":[{"StartAt":"X","States":{"X":{"Type":"Pass","End":true}}},{"StartAt":"X","States":{"X":{"Type":"Pass","End":true}}}],"End":true}`), `DUPLICATE_STATE_NAME: Duplicate State name: X at /States/A/Branches[1]/States/X`},
		{"a start that is missing", `{"StartAt":"Z","States":{"A":{"Type":"Pass","End":true}}}`, `MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /StartAt, MISSING_TRANSITION_TARGET: State "A" is not reachable. at /States/A`},
	} {
		v := Validate([]byte(c.def))
		got := strings.TrimSuffix(strings.TrimPrefix(Refusal(v.Diagnostics), "Invalid State Machine Definition: '"), "'")
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The warnings of ValidateStateMachineDefinition do not fail a definition.
func TestWarnings(t *testing.T) {
	for _, c := range []struct{ state, code string }{
		{`{"Type":"Pass","Parameters":{"a":"$.b"},"End":true}`, CodeNoDollar},
		{`{"Type":"Pass","Parameters":{"a":"States.UUID()"},"End":true}`, CodeNoDollar},
		{`{"Type":"Pass","Result":{"a.$":"$.b"},"End":true}`, CodeStaticResult},
		{`{"Type":"Choice","Choices":[{"Variable":"$.a","StringEquals":"$.b","Next":"S"}]}`, CodeNoPath},
		{`{"Type":"Task","Resource":"foo:bar","End":true}`, CodeResource},
	} {
		v := Validate([]byte(`{"StartAt":"S","States":{"S":` + c.state + `}}`))
		found := false
		for _, d := range v.Diagnostics {
			found = found || d.Code == c.code && d.Severity == SeverityWarning
		}
		if !found {
			t.Errorf("%s: %v, want a warning %s", c.state, v.Diagnostics, c.code)
		}
	}
}
