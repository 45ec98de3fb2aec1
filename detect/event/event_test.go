package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
)

// paths are what the fuzzed scanner is asked for; single letters, so that the
// fuzzer finds documents that have them.
var paths = []string{"a", "b", "a.a", "a.b", "a.b.a", "b.a", "é", "a.é"}

// plainly finds the values at a path in what encoding/json makes of a record.
func plainly(v any, path []string) []any {
	if list, ok := v.([]any); ok {
		out := []any{}
		for _, e := range list {
			out = append(out, plainly(e, path)...)
		}
		if len(path) == 0 && len(out) == 0 {
			return []any{"[]"}
		}
		return out
	}
	if len(path) == 0 {
		return []any{v}
	}
	if doc, ok := v.(map[string]any); ok {
		if inner, ok := doc[path[0]]; ok {
			return plainly(inner, path[1:])
		}
	}
	return nil
}

func hasDot(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if strings.Contains(k, ".") || hasDot(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasDot(e) {
				return true
			}
		}
	}
	return false
}

// same compares a value of ours with one of encoding/json.
func same(ours event.Value, theirs any) error {
	var got any
	switch ours.Kind {
	case event.String:
		if !utf8.Valid(ours.Text) {
			return fmt.Errorf("%q is not UTF-8", ours.Text)
		}
		got = ours.String()
	case event.Array:
		got = "[]"
	default:
		d := json.NewDecoder(bytes.NewReader(ours.Text))
		d.UseNumber()
		if err := d.Decode(&got); err != nil {
			return fmt.Errorf("%q: %w", ours.Text, err)
		}
	}
	if !reflect.DeepEqual(got, theirs) {
		return fmt.Errorf("%#v, encoding/json %#v", got, theirs)
	}
	return nil
}

// FuzzScan compares the scanner with encoding/json: whatever that accepts, ours
// accepts and finds the same values in.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":"x"}`, `{"a":{"b":{"a":"y"},"a":[1,[2,{}],[]]}}`, `{"a":1,"a":{"b":2},"a":{"a":null}}`,
		`{"a":{"b":1},"a":{"c":1}}`, `{"a":{"b":1,"b":{"a":2}}}`, `{"\u0061":{"\u0062":"\ud83d\ude00\ud800\n"}}`,
		"{\"a\":\"\xff\xc3\x28\"}", `{"é":"\u00e9","a":{"é":true}}`, ` { "a" : [ { "b" : [ { "a" : -1.5e+3 } ] } , 7 ] } `,
		`{"a":"x\\","b":"\"\\\""}`, `{"a":[[[[]]]]}`, `{}`, `{"":{"":""}}`, `{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\\\\\\""}`,
		strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100),
		`{"a":[{"a":1,"b":[{"a":2},{"a":[3,4]}]},[{"b":{"a":5}}],{"a":6,"a":7}]}`, `{"a":[{"\u0062":1},{"b":2}],"a":{"a":8}}`,
		`{"a":{"a":1]"b":2}}`, `{"a":{"b":{"a":"y"},"b":3,"é":[]},"b":1}`, `{"a":{"a":1`, `{"a":{"a":tru},"a":1}`,
		`{"a":[[[]][]]}`, `{"a":[{"a":1,"a":2},[],[[{"b":[]}]],3]}`,
	} {
		f.Add([]byte(s))
	}
	// userIdentity is read while the record is scanned, other members when
	// somebody asks; both are to find the same.
	lazy := event.NewSchema(paths...)
	var hotPaths []string
	for _, p := range paths {
		head, rest, _ := strings.Cut(p, ".")
		if head == "a" {
			head = "userIdentity"
		}
		hotPaths = append(hotPaths, strings.TrimSuffix(head+"."+rest, "."))
	}
	hot := event.NewSchema(hotPaths...)
	f.Fuzz(func(t *testing.T, text []byte) {
		check := func() {
			checkScan(t, lazy, paths, text)
			if bytes.HasPrefix(text, []byte(`{"a":`)) {
				checkScan(t, hot, hotPaths, append([]byte(`{"userIdentity":`), text[5:]...))
			}
		}
		check()
		event.Unmarked(check)
	})
}

func checkScan(t *testing.T, schema *event.Schema, paths []string, text []byte) {
	t.Helper()
	var doc map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	jsonErr := d.Decode(&doc)
	valid := jsonErr == nil && json.Valid(text) && bytes.HasPrefix(bytes.TrimLeft(text, " \n\r\t"), []byte("{"))
	e, err := event.Parse(schema, event.CloudTrail, text)
	if err == nil {
		e.Classify()
		_, _, _ = e.Time(), e.Actor(), e.Inner()
		for _, p := range paths {
			slot, _ := schema.Slot(p)
			_ = e.Values(slot)
		}
	}
	switch {
	case !valid:
		return // only that nothing panics
	case err != nil && depth(text) > event.MaxDepth:
		return
	case err != nil:
		t.Fatalf("%q: %v", text, err)
	case hasDot(doc):
		return
	}
	for _, p := range paths {
		slot, _ := schema.Slot(p)
		got, want := e.Values(slot), plainly(doc, strings.Split(p, "."))
		if len(got) != len(want) {
			t.Fatalf("%q at %s: %d values, encoding/json %v", text, p, len(got), want)
		}
		for i := range got {
			if err := same(got[i], want[i]); err != nil {
				t.Fatalf("%q at %s: %v", text, p, err)
			}
		}
	}
}

func depth(text []byte) int {
	most, now := 0, 0
	for _, c := range text {
		switch c {
		case '{', '[':
			now++
			most = max(most, now)
		case '}', ']':
			now--
		}
	}
	return most
}

func TestActor(t *testing.T) {
	for _, c := range []struct{ name, identity, want string }{
		{"an IAM user", `{"type":"IAMUser","arn":"arn:aws:iam::1:user/a","userName":"a"}`, "arn:aws:iam::1:user/a"},
		{"a role session", `{"type":"AssumedRole","arn":"arn:aws:sts::1:assumed-role/r/s"}`, "arn:aws:sts::1:assumed-role/r/s"},
		{"an AWS service", `{"type":"AWSService","invokedBy":"ec2.amazonaws.com"}`, "ec2.amazonaws.com"},
		{"another account", `{"type":"AWSAccount","principalId":"AIDA:x","accountId":"2"}`, "AIDA:x"},
		{"Identity Center", `{"type":"IdentityCenterUser","onBehalfOf":{"userId":"u-1"}}`, "u-1"},
		{"a federated user", `{"type":"SAMLUser","principalId":"p:x","userName":"x@example.com"}`, "x@example.com"},
	} {
		e, err := event.Parse(event.NewSchema(), event.CloudTrail, []byte(`{"eventName":"X","userIdentity":`+c.identity+`}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Actor(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2024-01-02T03:04:05Z": "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.123Z": "2024-01-02T03:04:05.123Z",
		"2024-01-02 03:04:05.000": "2024-01-02T03:04:05Z", "1704164645": "2024-01-02T03:04:05Z",
		"1704164645000": "2024-01-02T03:04:05Z", "2024-01-02T03:04:05+02:00": "2024-01-02T01:04:05Z",
		"": "", "yesterday": "", "9999999999999999999999": "", "999999999999999": "", "2024-13-99T00:00:00Z": "",
	} {
		got := event.ParseTime(in)
		if want == "" && !got.IsZero() || want != "" && got.Format("2006-01-02T15:04:05.999Z07:00") != want {
			t.Errorf("%q: %v, want %q", in, got, want)
		}
	}
}

// A text search over an object does not depend on how its JSON was written.
func TestObjectTextIsCompact(t *testing.T) {
	for _, raw := range []string{
		`{"requestParameters":{"policy":{"Effect":"Allow","Action":["s3:*","a, \"b"]}}}`,
		`{"requestParameters": {"policy": {"Effect": "Allow", "Action": ["s3:*", "a, \"b"]}}}`,
		"{\"requestParameters\":{\"policy\":{\n  \"Effect\": \"Allow\",\n  \"Action\": [ \"s3:*\", \"a, \\\"b\" ]\n}}}",
	} {
		schema := event.NewSchema("requestParameters.policy")
		e, err := event.Parse(schema, event.CloudTrail, []byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		got := e.Lookup("requestParameters.policy")
		if want := `{"Effect":"Allow","Action":["s3:*","a, \"b"]}`; len(got) != 1 || string(got[0].Text) != want {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}

// A member whose name has dots is found at every level, whatever else the record
// holds and however its names are escaped.
func TestNamesWithDots(t *testing.T) {
	const inner, deep, list = "userIdentity.sessionContext.sessionIssuer.type", "requestParameters.a.b.c", "requestParameters.list.x.y"
	schema := event.NewSchema(inner, deep, list, "responseElements.q.r")
	for _, other := range []string{`"eventName":"X"`, `"requ\u0065stID":"1"`, `"some.thing":1`} {
		raw := `{"userIdentity":{"type":"AssumedRole","sessionContext":{"sessionIssuer.type":"Role"}},` + other +
			`,"requestParameters":{"a":{"b\u002ec":"deep"},"list":[{"x.y":"in a list"}]},"responseElements.q.r":"top"}`
		for _, raw := range []string{raw, strings.Replace(raw, `,"responseElements.q.r":"top"`, ``, 1)} {
			e, err := event.Parse(schema, event.CloudTrail, []byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]string{inner: "Role", deep: "deep", list: "in a list", "userIdentity.type": "AssumedRole"} {
				if got := e.Get(path); got != want {
					t.Errorf("%s: %s is %q, want %q", raw, path, got, want)
				}
			}
		}
	}
}
