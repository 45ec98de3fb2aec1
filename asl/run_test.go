package asl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

func task(name string) string {
	return `{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke",` + name + `}`
}

// Each row is a rule of the States Language; the definition is one state S.
func TestStates(t *testing.T) {
	for _, c := range []struct {
		name, state, input string
		mocks              []Mock
		want               string // output, or ERROR name: cause
	}{
		// Data flow: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-input-output-filtering.html
		{"ResultPath null keeps the input", task(`"ResultPath":null,"End":true`), `{"a":1}`, ok("S", `2`), `{"a":1}`},
		{"ResultPath puts the result into the input", task(`"ResultPath":"$.r.s","End":true`), `{"a":1}`, ok("S", `2`), `{"a":1,"r":{"s":2}}`},
		{"ResultSelector shapes the result first", task(`"ResultSelector":{"x.$":"$.v"},"ResultPath":"$.r","End":true`), `{}`, ok("S", `{"v":3}`), `{"r":{"x":3}}`},
		{"OutputPath null gives {}", `{"Type":"Pass","OutputPath":null,"End":true}`, `{"a":1}`, nil, `{}`},
		{"InputPath null gives {}", `{"Type":"Pass","InputPath":null,"End":true}`, `{"a":1}`, nil, `{}`},
		{"InputPath may read the context object", `{"Type":"Pass","InputPath":"$$.State.Name","End":true}`, `{}`, nil, `"S"`},
		{"a ResultPath into a text fails", task(`"ResultPath":"$.r","End":true`), `"text"`, ok("S", `1`), `ERROR States.ResultPathMatchFailure: An error occurred while executing the state 'S' (entered at the event id #2). Unable to apply ReferencePath $.r to input "text"`},
		// Intrinsic functions: https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
		{"ArrayPartition", pass(`States.ArrayPartition($.a, 2)`), `{"a":[1,2,3]}`, nil, `{"x":[[1,2],[3]]}`},
		{"ArrayContains", pass(`States.ArrayContains($.a, 2)`), `{"a":[1,2,3]}`, nil, `{"x":true}`},
		{"ArrayRange", pass(`States.ArrayRange(1, 9, 2)`), `{}`, nil, `{"x":[1,3,5,7,9]}`},
		{"ArrayGetItem", pass(`States.ArrayGetItem($.a, 1)`), `{"a":[1,2,3]}`, nil, `{"x":2}`},
		{"ArrayUnique", pass(`States.ArrayUnique($.a)`), `{"a":[1,2,1.0,{"b":1,"c":2},{"c":2,"b":1}]}`, nil, `{"x":[1,2,{"b":1,"c":2}]}`},
		{"nested calls", pass(`States.ArrayLength(States.StringSplit('a.b+c', '.+'))`), `{}`, nil, `{"x":3}`},
		{"escaped braces and quotes", pass(`States.Format('\\{\\} {} it\\'s', $.a)`), `{"a":null}`, nil, `{"x":"{} null it's"}`},
		{"Format writes objects as Java does", pass(`States.Format('{}', $)`), `{"a":{"b":[1,"c"]}}`, nil, `{"x":"{a={b=[1, c]}}"}`},
		{"UUID is version 4", `{"Type":"Pass","Parameters":{"x.$":"States.ArrayLength(States.StringSplit(States.UUID(), '-'))"},"End":true}`, `{}`, nil, `{"x":5}`},
		{"a failing function", pass(`States.ArrayGetItem($.a, 9)`), `{"a":[1]}`, nil, `ERROR States.IntrinsicFailure: An error occurred while executing the state 'S' (entered at the event id #2). The function 'States.ArrayGetItem($.a, 9)' had the following error: Index 9 out of bounds for length 1`},
		{"a path that a function misses", pass(`States.Format('{}', $.b)`), `{"a":1}`, nil, `ERROR States.Runtime: An error occurred while executing the state 'S' (entered at the event id #2). The function 'States.Format('{}', $.b)' had the following error: The JsonPath argument for the field '$.b' could not be found in the input '{"a":1}'`},
		// Errors: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
		{"Retry, then success", task(`"Retry":[{"ErrorEquals":["E"],"MaxAttempts":2}],"End":true`), `{}`, append(bad("S", "E", "c"), ok("S", `1`)...), `1`},
		{"Retry gives up", task(`"Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}],"End":true`), `{}`, append(bad("S", "E", "a"), bad("S", "E", "b")...), `ERROR E: b`},
		{"TaskFailed matches every error but a timeout", task(`"Retry":[{"ErrorEquals":["States.TaskFailed"],"MaxAttempts":1}],"End":true`), `{}`, append(bad("S", "States.Timeout", ""), ok("S", `1`)...), `ERROR States.Timeout: `},
		{"ALL does not catch States.Runtime", `{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Parameters":{"a.$":"$.b"},"Catch":[{"ErrorEquals":["States.ALL"],"Next":"T"}],"End":true}`, `{}`, nil, `ERROR States.Runtime: An error occurred while executing the state 'S' (entered at the event id #2). The JSONPath '$.b' specified for the field 'a.$' could not be found in the input '{}'`},
		{"Catch keeps the input with ResultPath", task(`"Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"T"}],"End":true`), `{"a":1}`, bad("S", "E", "c"), `{"a":1,"e":{"Error":"E","Cause":"c"}}`},
		// Choice: https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
		{"no rule matches", `{"Type":"Choice","Choices":[{"Variable":"$.a","IsNull":true,"Next":"T"}]}`, `{"a":1}`, nil, `ERROR States.NoChoiceMatched: An error occurred while executing the state 'S' (entered at the event id #2). Failed to transition out of the state. The state does not point to a next state.`},
		{"a missing variable", `{"Type":"Choice","Choices":[{"Variable":"$.b","NumericEquals":1,"Next":"T"}],"Default":"T"}`, `{"a":1}`, nil, `ERROR States.Runtime: An error occurred while executing the state 'S' (entered at the event id #2). Invalid path '$.b': The choice state's condition path references an invalid value.`},
		// Map
		{"an item selector sees the item and the input", `{"Type":"Map","ItemsPath":"$.l","ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value","c.$":"$.c"},"ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, `{"l":["x"],"c":7}`, nil, `[{"i":0,"v":"x","c":7}]`},
		{"a Map over no array", `{"Type":"Map","ItemsPath":"$.l","ItemProcessor":{"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`, `{"l":1}`, nil, `ERROR States.Runtime: An error occurred while executing the state 'S' (entered at the event id #2). Reference path "$.l" must point to array.`},
		// Distributed Map: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
		{"items in CSV with headers in the first row", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"FIRST_ROW"}},`), `{}`, ok("S", `{"Body":"a,b\n1,2\n3\n"}`), `[{"a":"1","b":"2"},{"a":"3","b":""}]`},
		{"given headers, surplus fields left out", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"GIVEN","CSVHeaders":["h"],"CSVDelimiter":"PIPE"}},`), `{}`, ok("S", `{"Body":"1|2\n3|4"}`), `[{"h":"1"},{"h":"3"}]`},
		{"duplicate headers", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"CSV","CSVHeaderLocation":"GIVEN","CSVHeaders":["h","h"]}},`), `{}`, ok("S", `{"Body":"1,2"}`), `ERROR States.ItemReaderFailed: CSV headers cannot contain duplicates.`},
		{"items in JSON", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"JSON","MaxItems":2}},`), `{}`, ok("S", `{"Body":"[1,2,3]"}`), `[1,2]`},
		{"JSON that is no array", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"JSON"}},`), `{}`, ok("S", `{"Body":"{\"a\":1}"}`), `ERROR States.ItemReaderFailed: Attempting to map over non-iterable node.`},
		{"items in JSON Lines", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","ReaderConfig":{"InputType":"JSONL"}},`), `{}`, ok("S", `{"Body":"{\"a\":1}\n\n2\n"}`), `[{"a":1},2]`},
		{"the objects of a bucket", distributed(`"ItemReader":{"Resource":"arn:aws:states:::s3:listObjectsV2"},`), `{}`, ok("S", `{"Contents":[{"Key":"k","ETag":"\"e\"","LastModified":"2022-11-17T15:44:41Z","Size":3}]}`), `[{"Key":"k","Etag":"\"e\"","LastModified":1668699881,"Size":3}]`},
		{"batches", distributed(`"ItemBatcher":{"MaxItemsPerBatch":2,"BatchInput":{"b":1}},`), `[1,2,3]`, nil, `[{"BatchInput":{"b":1},"Items":[1,2]},{"BatchInput":{"b":1},"Items":[3]}]`},
		{"results written to a bucket", distributed(`"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"b","Prefix":"p"}},"ResultSelector":{"bucket.$":"$.ResultWriterDetails.Bucket"},`), `[1]`, nil, `{"bucket":"b"}`},
		{"one failure too many", strings.Replace(distributed(`"ToleratedFailureCount":1,`), `"Type":"Pass","End":true`, `"Type":"Fail","Error":"E"`, 1), `[1,2,3]`, nil, `ERROR States.ExceedToleratedFailureThreshold: The specified tolerated failure threshold was exceeded`},
		{"tolerated failures", strings.Replace(distributed(`"ToleratedFailurePercentage":100,`), `"Type":"Pass","End":true`, `"Type":"Fail","Error":"E"`, 1), `[1,2,3]`, nil, `[]`},
		// Limits: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
		{"a result beyond 256 KiB", task(`"End":true`), `{}`, ok("S", `"`+strings.Repeat("x", maxPayload)+`"`), `ERROR States.DataLimitExceeded: The state/task 'lambda' returned a result with a size exceeding the maximum number of bytes service limit.`},
	} {
		def := `{"StartAt":"S","States":{"S":` + c.state + `,"T":{"Type":"Succeed"}}}`
		if !strings.Contains(c.state, `"T"`) {
			def = `{"StartAt":"S","States":{"S":` + c.state + `}}`
		}
		m, err := Parse([]byte(def))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r, err := Run(context.Background(), m, []byte(c.input), Host{Tasks: NewMockTasks(c.mocks)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := string(r.Output)
		if r.Status != StatusSucceeded {
			got = "ERROR " + r.Error + ": " + r.Cause
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func ok(state, output string) []Mock { return []Mock{{State: state, Output: []byte(output)}} }
func bad(state, name, cause string) []Mock {
	return []Mock{{State: state, Failed: true, Error: name, Cause: cause}}
}
func pass(call string) string {
	return `{"Type":"Pass","Parameters":{"x.$":"` + call + `"},"End":true}`
}
func distributed(fields string) string {
	return `{"Type":"Map",` + fields + `"ItemProcessor":{"ProcessorConfig":{"Mode":"DISTRIBUTED","ExecutionType":"STANDARD"},"StartAt":"P","States":{"P":{"Type":"Pass","End":true}}},"End":true}`
}

// The delays before retries: interval times backoff, up to MaxDelaySeconds.
func TestRetryDelays(t *testing.T) {
	for _, c := range []struct {
		r    retrier
		want []float64
	}{
		{retrier{interval: 1, backoff: 2}, []float64{1, 2, 4, 8}},
		{retrier{interval: 3, backoff: 1.5}, []float64{3, 4.5, 6.75}},
		{retrier{interval: 3, backoff: 2, maxDelay: 5, hasMaxDelay: true}, []float64{3, 5, 5}},
	} {
		for n, want := range c.want {
			if got := c.r.delay(int64(n)); got != want {
				t.Errorf("%+v: delay %d is %v, want %v", c.r, n, got, want)
			}
		}
	}
}

// A Wait of a day takes no time, and the clock shows that it passed.
func TestVirtualTime(t *testing.T) {
	m, err := Parse([]byte(`{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":86400,"End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), m, nil, Host{})
	if err != nil || r.Stopped.Sub(r.Started) != 24*time.Hour {
		t.Errorf("%v after %v", err, r.Stopped.Sub(r.Started))
	}
}

// A task that never answers is ended by its timeout, its heartbeat or the
// execution's own; where there is none its silence is a failure.
func TestTaskThatDoesNotAnswer(t *testing.T) {
	for _, c := range []struct{ def, want string }{
		{`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":5,"End":true}}}`, "FAILED States.Timeout TaskTimedOut"},
		{`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:lambda:us-east-1:1:function:f","HeartbeatSeconds":5,"End":true}}}`, "FAILED States.HeartbeatTimeout LambdaFunctionTimedOut"},
		{`{"TimeoutSeconds":9,"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}`, "TIMED_OUT  TaskStarted"},
		{`{"TimeoutSeconds":9,"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`, "TIMED_OUT  WaitStateEntered"},
		{`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}`, "FAILED States.TaskFailed TaskFailed"},
	} {
		m, err := Parse([]byte(c.def))
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(context.Background(), m, nil, Host{Tasks: NewMockTasks(nil)})
		if err != nil {
			t.Errorf("%s: %v", c.def, err)
			continue
		}
		if got := r.Status + " " + r.Error + " " + r.Events[len(r.Events)-2].Type; got != c.want {
			t.Errorf("%s: %s, want %s", c.def, got, c.want)
		}
	}
}

// testClock is the time of package time, in a test that of its bubble.
type testClock struct{}

func (testClock) Now() time.Time { return time.Now() }
func (testClock) Sleep(ctx context.Context, until time.Time, wake <-chan struct{}) error {
	select {
	case <-time.After(time.Until(until)):
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestTimeouts(t *testing.T) {
	block := TasksFunc(func(ctx context.Context, c *Call) ([]byte, error) {
		if c.State == "Beat" {
			for range 4 {
				time.Sleep(400 * time.Millisecond)
				c.Heartbeat()
			}
			return []byte(`"beat"`), nil
		}
		if c.State == "Fast" {
			return []byte(`"fast"`), nil
		}
		if c.State == "Deaf" {
			time.Sleep(time.Hour) // does not heed its context
		}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	for _, c := range []struct{ name, def, want string }{
		{"a task that takes too long", `{"StartAt":"Slow","States":{"Slow":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":1,"End":true}}}`, "FAILED States.Timeout"},
		{"a task whose heart does not beat", `{"StartAt":"Slow","States":{"Slow":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","HeartbeatSeconds":1,"End":true}}}`, "FAILED States.HeartbeatTimeout"},
		{"a task whose heart beats", `{"StartAt":"Beat","States":{"Beat":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","HeartbeatSeconds":1,"End":true}}}`, `SUCCEEDED "beat"`},
		{"a task that does not listen", `{"StartAt":"Deaf","States":{"Deaf":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","TimeoutSeconds":1,"End":true}}}`, "FAILED States.Timeout"},
		{"an execution that takes too long", `{"TimeoutSeconds":1,"StartAt":"Slow","States":{"Slow":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}`, "TIMED_OUT "},
		{"a branch that fails ends the others", `{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[{"StartAt":"Slow","States":{"Slow":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}},{"StartAt":"Fast","States":{"Fast":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","Next":"No"},"No":{"Type":"Fail","Error":"E"}}}]}}}`, "FAILED E"},
	} {
		m, err := Parse([]byte(c.def))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			r, err := Run(t.Context(), m, nil, Host{Tasks: block, Clock: testClock{}})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if got := r.Status + " " + r.Error + string(r.Output); got != c.want {
				t.Errorf("%s: %s, want %s", c.name, got, c.want)
			}
			time.Sleep(2 * time.Hour) // for the task that does not listen
		})
	}
}

// An endless loop ends at the limit on history, as on AWS.
func TestEndlessLoop(t *testing.T) {
	m, err := Parse([]byte(`{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Pass","Next":"A"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Run(context.Background(), m, nil, Host{})
	if err != nil || r.Status != StatusFailed || len(r.Events) != maxEvents || !strings.Contains(r.Cause, "maximum number of history events (25000)") {
		t.Errorf("%v %s %d events: %s", err, r.Status, len(r.Events), r.Cause)
	}
}

// A cancelled run can be resumed, unless it was told to abort.
func TestCancel(t *testing.T) {
	m, err := Parse([]byte(`{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":60,"End":true}}}`))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &memory{}
	if _, err := Run(ctx, m, nil, Host{History: h, Observe: func(e Event) {
		if e.Type == "WaitStateEntered" {
			cancel()
		}
	}}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	r, err := Run(context.Background(), m, nil, Host{History: h})
	if err != nil || r.Status != StatusSucceeded || len(r.Events) != 4 {
		t.Errorf("%v %+v", err, r)
	}
}

// Hostile task outputs are failures of the task.
func TestHostileOutput(t *testing.T) {
	m, err := Parse([]byte(`{"StartAt":"S","States":{"S":` + task(`"End":true`) + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"{", "\xff", strings.Repeat("[", 5000), "nope"} {
		r, err := Run(context.Background(), m, nil, Host{Tasks: TasksFunc(func(context.Context, *Call) ([]byte, error) { return []byte(out), nil })})
		if err != nil || r.Error != "States.TaskFailed" {
			t.Errorf("%.10q: %v %+v", out, err, r)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{everything, `{"StartAt":"A","States":{"A":{"Type":"Choice","Choices":[{"Not":{"Variable":"$.a","StringMatches":"*"},"Next":"B"}]},"B":{"Type":"Fail"}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, def []byte) {
		v := Validate(def)
		m, err := Parse(def)
		if err != nil {
			if v.Result != "FAIL" {
				t.Fatalf("%s: refused by Parse, found well by Validate: %v", def, err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, _ = Run(ctx, m, []byte(`{"a":[1,{"b":2}]}`), Host{MaxEvents: 300, Tasks: TasksFunc(func(context.Context, *Call) ([]byte, error) { return []byte(`[1]`), nil })})
	})
}

func FuzzIntrinsic(f *testing.F) {
	f.Add(`States.Format('{} \\{', $.a)`)
	f.Add(`States.JsonMerge($, States.StringToJson('{}'), false)`)
	in, _ := value.Parse([]byte(`{"a":[1,{"b":2}]}`))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCall(s)
		if err != nil {
			return
		}
		r := newRunner(context.Background(), &Machine{root: &flow{}}, in, Host{})
		defer r.close()
		e := &evaluation{input: in, vars: &variables{}, env: r.env, context: func() *value.Object { return value.NewObject(0) }}
		_, _ = c.eval(e)
	})
}

const loop = `{"StartAt":"Count","States":{
 "Count":{"Type":"Pass","Parameters":{"n.$":"States.MathAdd($.n, -1)","name.$":"$.name"},"Next":"More"},
 "More":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericGreaterThan":0,"Next":"Count"}],"Default":"Done"},
 "Done":{"Type":"Succeed"}}}`

// BenchmarkTransitions counts state transitions in memory on one core.
func BenchmarkTransitions(b *testing.B) {
	m, err := Parse([]byte(loop))
	if err != nil {
		b.Fatal(err)
	}
	const n = 5000
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(context.Background(), m, fmt.Appendf(nil, `{"n":%d,"name":"ada"}`, n), Host{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*(2*n+1)/b.Elapsed().Seconds(), "transitions/s")
}
