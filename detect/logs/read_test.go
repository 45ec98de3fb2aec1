package logs_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

type result struct {
	ids      []string
	kinds    []event.Kind
	problems []logs.Problem
	stats    logs.Stats
}

func read(t testing.TB, name string, text []byte, paths ...string) result {
	t.Helper()
	var got result
	r := &logs.Reader{
		Schema: event.NewSchema(paths...),
		Visit: func(e *event.Event) error {
			got.ids = append(got.ids, e.Ref())
			got.kinds = append(got.kinds, e.Kind)
			return nil
		},
		Problem: func(p logs.Problem) { got.problems = append(got.problems, p) },
	}
	var err error
	got.stats, err = r.Read(context.Background(), logs.FromReader(name, bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func gz(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

const (
	one = `{"eventVersion":"1.08","eventID":"one","eventName":"CreateUser","eventSource":"iam.amazonaws.com","eventTime":"2024-01-01T00:00:00Z"}`
	two = `{"eventVersion":"1.08","eventID":"two","eventName":"DeleteUser","eventSource":"iam.amazonaws.com","requestParameters":{"x":"a}b\"{"}}`
)

// TestForms states every form in which people have CloudTrail.
func TestForms(t *testing.T) {
	quote := func(s string) string {
		return `"` + strings.ReplaceAll(strings.ReplaceAll(s, `\`, `\\`), `"`, `\"`) + `"`
	}
	for _, c := range []struct{ name, text string }{
		{"a delivered object", `{"Records":[` + one + `,` + two + `]}`},
		{"a delivered object, compressed", gz(`{"Records":[` + one + `,` + two + `]}`)},
		{"compressed in two members", gz(`{"Records":[`+one+`,`) + gz(two+`]}`)},
		{"with a byte order mark", "\xef\xbb\xbf" + `{"Records":[` + one + `,` + two + `]}`},
		{"pretty-printed", "{\n  \"Records\" : [\n " + strings.ReplaceAll(one, ",", ",\n  ") + " ,\n" + two + "\n]\n}\n"},
		{"one record a line", one + "\n" + two + "\n"},
		{"one record a line, Windows line ends", one + "\r\n" + two + "\r\n"},
		{"records in a row", one + two},
		{"an array", "[" + one + ",\n" + two + "]"},
		{"an array of arrays", "[[" + one + "],[" + two + "]]"},
		{"one delivered object a line", `{"Records":[` + one + "]}\n" + `{"Records":[` + two + `]}`},
		{"EventBridge", `{"version":"0","id":"x","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":` + one + "}\n" +
			`{"version":"0","id":"y","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","detail":` + two + "}"},
		{"lookup-events", `{"Events":[{"EventId":"one","EventName":"CreateUser","CloudTrailEvent":` + quote(one) + `},{"EventId":"two","EventName":"DeleteUser","CloudTrailEvent":` + quote(two) + `}],"NextToken":"n"}`},
		{"lookup-events, token first", `{"NextToken":"n","Events":[{"CloudTrailEvent":` + quote(one) + `},{"CloudTrailEvent":` + quote(two) + `}]}`},
		{"a CloudWatch Logs subscription", `{"messageType":"DATA_MESSAGE","owner":"1","logEvents":[{"id":"1","timestamp":1,"message":` + quote(one) + `},{"id":"2","timestamp":1,"message":` + quote(two) + `}]}`},
		{"filter-log-events", `{"events":[{"logStreamName":"s","message":` + quote(one) + `},{"logStreamName":"s","message":` + quote(two) + `}],"searchedLogStreams":[]}`},
		{"an export of CloudWatch Logs", "2024-01-01T00:00:00.000Z " + one + "\n2024-01-01T00:00:01.000Z " + two + "\n"},
		{"SNS in SQS", `{"Type":"Notification","Message":` + quote(`{"Records":[`+one+`,`+two+`]}`) + `}`},
		{"rows of a Lake query", `{"QueryStatus":"FINISHED","QueryResultRows":[[{"eventID":"one"},{"eventName":"CreateUser"},{"eventSource":"iam.amazonaws.com"},{"eventTime":"2024-01-01 00:00:00.000"}],[{"eventID":"two"},{"eventName":"DeleteUser"},{"eventSource":"iam.amazonaws.com"}]]}`},
		{"the result file of a Lake query", "eventID,eventName,eventSource,userIdentity\none,CreateUser,iam.amazonaws.com,\"{type=IAMUser, arn=arn:aws:iam::1:user/a}\"\ntwo,DeleteUser,iam.amazonaws.com,\n"},
	} {
		got := read(t, c.name, []byte(c.text))
		if strings.Join(got.ids, " ") != "one two" || len(got.problems) > 0 || got.stats.Events != 2 {
			t.Errorf("%s: read %q, problems %v, stats %+v", c.name, got.ids, got.problems, got.stats)
		}
	}
}

// TestBroken states that what is broken is reported with its offset and that
// the rest is read.
func TestBroken(t *testing.T) {
	cut := one[:60]
	for _, c := range []struct {
		name, text, want string
		offset           int64
	}{
		{"a line cut short", cut + "\n" + one + "\n" + two + "\n", "one two", 0},
		{"a line cut within a string", one + "\n" + one[:30] + "\n" + two, "one two", int64(len(one) + 1)},
		{"a broken record in an array", `{"Records":[` + one + `,{"eventVersion":"1.08","eventID":oops},` + two + `]}`, "one two", int64(len(one) + 13)},
		{"an array cut short", `{"Records":[` + one + `,` + two, "one two", int64(len(one) + len(two) + 13)},
		{"a record cut short at the end", `{"Records":[` + one + `,` + two + `,` + cut, "one two", int64(len(one) + len(two) + 14)},
		{"nested too deep", strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500) + "\n" + one + "\n" + two, "one two", 0},
		{"brackets that never close", strings.Repeat(`{"a":[`, 20) + "\n" + one + "\n" + two, "one two", 0},
		{"binary between lines", one + "\n\x00\x01\x02\xff\n" + two, "one two", int64(len(one) + 1)},
		{"an object that is no event", `{"hello":"world"}` + "\n" + one + "\n" + two, "one two", 0},
		{"a first line that is no JSON", "garbage\n" + one + "\n" + two, "one two", 0},
		{"a compressed file cut short", gz(`{"Records":[` + one + `,` + two + `]}`)[:160], "", -1},
	} {
		got := read(t, c.name, []byte(c.text))
		if c.offset >= 0 && strings.Join(got.ids, " ") != c.want {
			t.Errorf("%s: read %q, want %q; problems %v", c.name, got.ids, c.want, got.problems)
		}
		if len(got.problems) == 0 || c.offset >= 0 && got.problems[0].Offset != c.offset {
			t.Errorf("%s: problems %v, want one at %d", c.name, got.problems, c.offset)
		}
		if got.stats.Malformed == 0 {
			t.Errorf("%s: nothing counted as malformed", c.name)
		}
	}
}

func TestSharedFilesRead(t *testing.T) {
	for _, c := range []struct {
		path string
		want int64
	}{{"cloudtrail/invictus", 2900}, {"cloudtrail/traildiscover.jsonl.gz", 563}, {"cloudtrail/stratus", 1}} {
		sources, err := logs.Files(thirdparty.Path(t, c.path))
		if err != nil {
			t.Fatal(err)
		}
		var total logs.Stats
		r := &logs.Reader{Schema: event.NewSchema(), Visit: func(e *event.Event) error {
			if e.Kind != event.CloudTrail || e.ID() == "" || e.Name() == "" || e.Time().IsZero() {
				t.Errorf("%s offset %d: kind %q id %q name %q time %v", e.File, e.Offset, e.Kind, e.ID(), e.Name(), e.Time())
			}
			return nil
		}, Problem: func(p logs.Problem) { t.Error(p) }}
		for _, s := range sources {
			stats, err := r.Read(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			if stats.Events == 0 {
				t.Errorf("%s: no event read", s.Name())
			}
			total.Add(stats)
		}
		t.Logf("%s: %+v", c.path, total)
		if total.Events < c.want {
			t.Errorf("%s: %d events, want at least %d", c.path, total.Events, c.want)
		}
	}
}
