package asl

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/asl/value"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// shared reads a third-party file.
func shared(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(thirdparty.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

type rcase struct{ *value.Object }

func (c rcase) get(k string) any {
	v, _ := c.Get(k)
	return v
}

func (c rcase) text(k string) string {
	s, _ := c.get(k).(string)
	return s
}

func recordedCases(t testing.TB, kind string) []rcase {
	t.Helper()
	var out []rcase
	for _, line := range bytes.Split(shared(t, "asl/stepfunctions-cases.jsonl.gz"), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		v, err := value.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		if c := (rcase{v.(*value.Object)}); c.text("kind") == kind {
			out = append(out, c)
		}
	}
	return out
}

// shortID is a case's id without the path of its file.
func shortID(id string) string {
	_, after, ok := strings.Cut(id, "::")
	if !ok {
		return id
	}
	return after
}

// executionExceptions are the recorded executions that do not agree, each with
// the reason. A case that is listed and agrees fails the test too.
var executionExceptions = map[string]string{
	"TestActivities::test_activity_task_start_timeout":                                                     "the recording holds the name of a variable in place of the activity's ARN, so that it is no activity here",
	"TestExpressAsync::test_catch":                                                                         noTasks,
	"TestExpressSync::test_catch":                                                                          noTasks,
	"TestBaseScenarios::test_map_state_lambda":                                                             "the tasks run in child executions, whose histories were not recorded",
	"TestBaseScenarios::test_map_item_reader_base_csv_headers_decl":                                        noFile,
	"TestBaseScenarios::test_map_item_reader_base_json":                                                    noFile,
	"TestBaseScenarios::test_map_item_reader_base_json_max_items_jsonata":                                  noFile,
	"TestBaseScenarios::test_map_item_reader_base_json_with_items_path[INVALID_ITEMS_PATH]":                noFile,
	"TestBaseScenarios::test_map_item_reader_base_json_with_items_path[VALID_ITEMS_PATH_FROM_ITEM_READER]": noFile,
	"TestBaseScenarios::test_map_item_reader_base_json_with_items_path[VALID_ITEMS_PATH_FROM_PREVIOUS]":    noFile,
	"TestBaseScenarios::test_map_item_reader_base_list_objects_v2":                                         noFile,
	"TestBaseScenarios::test_map_item_reader_csv_first_row_extra_fields":                                   noFile,
	"TestBaseScenarios::test_map_item_reader_csv_headers_decl_extra_fields":                                noFile,
	"TestBaseScenarios::test_map_item_reader_csv_headers_first_row_typed_headers":                          noFile,
	"TestBaseScenarios::test_map_item_reader_json_no_json_list_object":                                     noFile,
	"TestBaseScenarios::test_max_concurrency_path_negative":                                                "the execution was recorded before it had ended; here it fails on the negative number",
}

const (
	noTasks = "the history of an Express workflow is not recorded, so that nothing says what its tasks returned"
	noFile  = "the file that the ItemReader read is not recorded"
)

// stand are words that the recording puts in place of what differs.
var stand = map[string]bool{"date": true, "start-time": true, "start-date": true, "entered-time": true, "snf_role_arn": true, "sfn_role_arn": true}

var placeholder = regexp.MustCompile(`<[^<>]*(<[^<>]*>)?[^<>]*>`)

// matches compares a value with a recorded one in which texts may hold
// placeholders, and texts may themselves be JSON.
func matches(got, want any) bool {
	switch w := want.(type) {
	case string:
		if _, isNumber := value.Float(got); isNumber && w == "RandomNumberGenerated" {
			return true
		}
		g, ok := got.(string)
		if !ok {
			// The recording parses text that is JSON.
			return false
		}
		if g == w || stand[w] {
			return true
		}
		if strings.Contains(w, "<") {
			parts := placeholder.Split(w, -1)
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			if regexp.MustCompile("^(?s:" + strings.Join(parts, ".*") + ")$").MatchString(g) {
				return true
			}
		}
		return sameJSONText(g, w)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return textOf(got, want)
		}
		for i := range w {
			if !matches(g[i], w[i]) {
				return false
			}
		}
		return true
	case *value.Object:
		g, ok := got.(*value.Object)
		if !ok || g.Len() != w.Len() {
			return textOf(got, want)
		}
		for _, k := range w.Keys() {
			a, ok := g.Get(k)
			b, _ := w.Get(k)
			if !ok || !matches(a, b) {
				return false
			}
		}
		return true
	}
	return value.Equal(got, want)
}

// textOf reports whether got is the JSON text of want.
func textOf(got, want any) bool {
	s, ok := got.(string)
	if !ok {
		return false
	}
	v, err := value.Parse([]byte(s))
	return err == nil && matches(v, want)
}

func sameJSONText(a, b string) bool {
	x, err1 := value.Parse([]byte(a))
	y, err2 := value.Parse([]byte(b))
	if err1 != nil || err2 != nil {
		return false
	}
	if _, isText := y.(string); isText {
		return value.Equal(x, y)
	}
	return matches(x, y)
}

func caseMocks(c rcase) []Mock {
	var mocks []Mock
	tasks, _ := c.get("tasks").([]any)
	for _, t := range tasks {
		m, err := MockFrom(t.(*value.Object))
		if err != nil {
			panic(err)
		}
		mocks = append(mocks, m)
	}
	return mocks
}

func runCase(c rcase) (*Result, error) {
	m, err := Parse(value.Append(nil, c.get("definition")))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	x := Execution{StateMachineName: "part-0", Express: c.text("type") == "EXPRESS", StateMachineID: "arn:aws:states:us-east-1:111111111111:stateMachine:part-0", ID: "arn:aws:states:us-east-1:111111111111:execution:part-0:execution"}
	if x.Express {
		x.ID = "arn:aws:states:us-east-1:111111111111:express:part-0:execution:execution"
	}
	host := Host{Tasks: NewMockTasks(caseMocks(c)), Execution: x}
	if c.get("stopped") == true {
		host.Observe = func(e Event) {
			if e.Type == "WaitStateEntered" {
				cancel(ErrAbort)
			}
		}
	}
	return Run(ctx, m, value.Append(nil, c.get("input")), host)
}

func eventLines(events []Event) []string {
	var out []string
	for _, e := range events {
		out = append(out, e.Type+" "+e.Name)
	}
	return out
}

// disagreement returns how a run differs from the recording, or "".
func disagreement(c rcase, r *Result) string {
	var diffs []string
	if want := c.text("status"); r.Status != want {
		diffs = append(diffs, fmt.Sprintf("status %s, recorded %s", r.Status, want))
	}
	if c.get("output_recorded") == true && r.Output != nil {
		got, _ := value.Parse(r.Output)
		if want := c.get("output"); !matches(got, want) {
			diffs = append(diffs, fmt.Sprintf("output %.2500s, recorded %.2500s", r.Output, value.String(want)))
		}
	}
	if want := c.text("error"); r.Error != want {
		diffs = append(diffs, fmt.Sprintf("error %s, recorded %s", r.Error, want))
	}
	if want := c.get("cause"); want != nil && !matches(r.Cause, want) {
		diffs = append(diffs, fmt.Sprintf("cause %s, recorded %s", r.Cause, value.String(want)))
	}
	if list, ok := c.get("events").([]any); ok {
		var want []string
		for _, e := range list {
			ev := rcase{e.(*value.Object)}
			want = append(want, ev.text("type")+" "+ev.text("name"))
		}
		got := eventLines(r.Events)
		if c.get("events_normalised") == true {
			// The recording sorted the events inside Parallel states and lost
			// some; what is left must be among ours.
			got = amongst(got, want)
			sort.Strings(got)
			sort.Strings(want)
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			diffs = append(diffs, fmt.Sprintf("events\n   %s\n  recorded\n   %s", strings.Join(got, ", "), strings.Join(want, ", ")))
		}
	}
	return strings.Join(diffs, "; ")
}

func amongst(got, want []string) []string {
	count := map[string]int{}
	for _, w := range want {
		count[w]++
	}
	var out []string
	for _, g := range got {
		if count[g] > 0 {
			count[g]--
			out = append(out, g)
		}
	}
	return out
}

// Executions that ran on AWS give the same status, output, error, cause and
// events here, with their tasks' recorded outcomes.
func TestRecordedExecutions(t *testing.T) {
	agree, listed := 0, 0
	cases := recordedCases(t, "execution")
	for _, c := range cases {
		id := shortID(c.text("id"))
		why := ""
		r, err := runCase(c)
		if err != nil {
			why = "error: " + err.Error()
		} else {
			why = disagreement(c, r)
		}
		reason, isListed := executionExceptions[id]
		switch {
		case why == "" && isListed:
			t.Errorf("%s is listed as an exception (%s) and agrees", id, reason)
		case why == "":
			agree++
		case isListed:
			listed++
			t.Logf("exception %s: %s", id, reason)
		default:
			t.Errorf("%s: %s", id, why)
		}
	}
	t.Logf("recorded executions: %d of %d agree, %d listed exceptions", agree, len(cases), listed)
}
