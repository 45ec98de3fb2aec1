package baseline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/finding"
)

const account = "111122223333"

// monday is the first hour of a week.
var monday = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// sameState compares states with all that they hold.
var sameState = cmp.AllowUnexported(baseline.State{}, baseline.Hours{})

var schema = event.NewSchema(baseline.Fields()...)

// ev is one event: when, who, what; from is the address.
type ev struct {
	at             time.Time
	who, call      string // bob; iam:CreateUser
	from, region   string
	agent, err     string
	secret, bucket string
	param          string
	id             string
	typ            string
}

func (v ev) event(t testing.TB) *event.Event {
	t.Helper()
	e, err := event.Parse(schema, event.CloudTrail, v.text(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (v ev) text(t testing.TB) []byte {
	t.Helper()
	service, name, _ := strings.Cut(v.call, ":")
	id := map[string]any{"type": "IAMUser", "arn": "arn:aws:iam::" + account + ":user/" + v.who, "accountId": account, "userName": v.who}
	if v.typ != "" {
		id = map[string]any{"type": v.typ, "invokedBy": v.who}
	}
	if role, session, ok := strings.Cut(v.who, "/"); ok {
		id = map[string]any{"type": "AssumedRole", "arn": "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + session, "accountId": account,
			"sessionContext": map[string]any{"sessionIssuer": map[string]any{"arn": "arn:aws:iam::" + account + ":role/" + role}}}
		if strings.HasPrefix(role, "AWSReservedSSO_") {
			id["sessionContext"].(map[string]any)["sessionIssuer"].(map[string]any)["arn"] = "arn:aws:iam::" + account + ":role/aws-reserved/sso.amazonaws.com/" + role
		}
	}
	if v.from == "" {
		v.from = "198.51.100.10"
	}
	if v.region == "" {
		v.region = "eu-west-1"
	}
	if v.agent == "" {
		v.agent = "aws-cli/2.31.0 md/awscrt"
	}
	if v.id == "" {
		v.id = fmt.Sprintf("%d-%s-%s", v.at.Unix(), v.who, v.call)
	}
	doc := map[string]any{"eventVersion": "1.11", "eventTime": v.at.UTC().Format(time.RFC3339), "eventID": v.id, "eventSource": service + ".amazonaws.com", "eventName": name,
		"awsRegion": v.region, "recipientAccountId": account, "sourceIPAddress": v.from, "userAgent": v.agent, "userIdentity": id, "requestParameters": map[string]any{}}
	if v.err != "" {
		doc["errorCode"] = v.err
	}
	if v.secret != "" {
		doc["requestParameters"] = map[string]any{"secretId": v.secret}
	}
	if v.param != "" {
		doc["requestParameters"] = map[string]any{"name": v.param, "withDecryption": true}
	}
	if v.bucket != "" {
		doc["requestParameters"] = map[string]any{"bucketName": v.bucket}
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// usual is six weeks of work: bob and others on weekdays at nine, reading two
// secrets a day; app every hour.
func usual() []ev {
	var out []ev
	for day := range 42 {
		t := monday.AddDate(0, 0, day)
		if day%7 < 5 {
			for _, who := range []string{"bob", "ann", "AWSReservedSSO_Dev_1/eve@acme.example", "AWSReservedSSO_Dev_1/joe@acme.example"} {
				for i, call := range []string{"ec2:DescribeInstances", "s3:ListBuckets", "lambda:UpdateFunctionCode"} {
					out = append(out, ev{at: t.Add(9*time.Hour + time.Duration(i)*time.Minute), who: who, call: call})
				}
				for i := range 2 {
					out = append(out, ev{at: t.Add(9*time.Hour + time.Duration(10+i)*time.Minute), who: who, call: "secretsmanager:GetSecretValue", secret: fmt.Sprint("s", i)})
				}
			}
			out = append(out, ev{at: t.Add(9 * time.Hour), who: "AWSReservedSSO_Dev_1/joe@acme.example", call: "ecs:UpdateService"})
		}
		if day%7 == 0 {
			for i := range 40 {
				out = append(out, ev{at: t.Add(19*time.Hour + time.Duration(i)*time.Second), who: "night/run", call: "s3:ListBuckets", id: fmt.Sprint("n", day, i)})
			}
		}
		for i := range 9 {
			out = append(out, ev{at: t.Add(9*time.Hour + time.Duration(i)*time.Second), who: "scan/run", call: "kms:GetKeyPolicy", err: "AccessDenied", id: fmt.Sprint("r", day, i)})
		}
		for h := range 24 {
			out = append(out, ev{at: t.Add(time.Duration(h) * time.Hour), who: "app/run", call: "s3:PutObject", bucket: "data", from: "10.0.0.9"})
		}
	}
	return out
}

func learn(t testing.TB, events []ev) *baseline.State {
	t.Helper()
	s := baseline.New()
	l := baseline.NewLearner(s)
	for _, v := range events {
		l.Add(v.event(t))
	}
	l.Finish()
	return s
}

func judge(t testing.TB, s *baseline.State, opt baseline.Options, events []ev) ([]*finding.Finding, *baseline.Judge) {
	t.Helper()
	var out []*finding.Finding
	j := baseline.NewJudge(s, opt, func(f *finding.Finding) error { out = append(out, f); return nil })
	for _, v := range events {
		if err := j.Add(v.event(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Finish(); err != nil {
		t.Fatal(err)
	}
	return out, j
}

// terms are the evidence of the findings, as rule value +points.
func terms(fs []*finding.Finding) []string {
	var out []string
	for _, f := range fs {
		for _, e := range f.Evidence {
			points, _, _ := strings.Cut(e.Note, ":")
			out = append(out, fmt.Sprintf("%s %v %s", e.Path, e.Value, points))
		}
	}
	return out
}

// TestTerms: what adds to a score, and what does not. The day is a Monday after
// six usual weeks.
func TestTerms(t *testing.T) {
	places, err := baseline.ReadPlaces(strings.NewReader("cidr,lat,lon,name\n198.51.100.0/24,52.37,4.90,Amsterdam\n203.0.113.0/24,-33.87,151.21,Sydney\n192.0.2.0/24,51.92,4.48,Rotterdam\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := learn(t, usual())
	nine := monday.AddDate(0, 0, 42).Add(9 * time.Hour)
	at := func(minutes int) time.Time { return nine.Add(time.Duration(minutes) * time.Minute) }
	many := func(n int, v ev) []ev {
		var out []ev
		for i := range n {
			w := v
			w.at, w.id = v.at.Add(time.Duration(i)*time.Second), fmt.Sprint("m", i)
			if v.secret != "" {
				w.secret = fmt.Sprint(v.secret, i)
			}
			if v.param != "" {
				w.param = fmt.Sprint(v.param, i)
			}
			if v.bucket != "" {
				w.bucket = fmt.Sprint(v.bucket, i)
			}
			out = append(out, w)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		events []ev
		want   []string
	}{
		{"the usual", []ev{{at: at(0), who: "bob", call: "ec2:DescribeInstances"}}, nil},
		{"a new call that changes something and nobody else makes", []ev{{at: at(0), who: "bob", call: "iam:CreateUser"}}, []string{"rare-calls iam:CreateUser +2", "new-calls iam:CreateUser +1"}},
		{"one that only reads", []ev{{at: at(0), who: "bob", call: "iam:ListUsers"}}, []string{"new-calls iam:ListUsers +0.5"}},
		{"one that a peer makes", []ev{{at: at(0), who: "AWSReservedSSO_Dev_1/eve@acme.example", call: "ecs:UpdateService"}}, []string{"rare-calls ecs:UpdateService +2", "new-calls ecs:UpdateService +0.25"}},
		{"a new region", []ev{{at: at(0), who: "bob", call: "ec2:DescribeInstances", region: "ap-east-1"}}, []string{"new-region ap-east-1 +2"}},
		{"a service without regions says nothing of regions", []ev{{at: at(0), who: "bob", call: "iam:ListUsers", region: "us-east-1"}}, []string{"new-calls iam:ListUsers +0.5"}},
		{"a new network", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", from: "192.0.2.200"}}, []string{"new-network 192.0.2.0/24 +1.5"}},
		{"another address of the same network", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", from: "198.51.100.250"}}, nil},
		{"an IPv6 network is a /48", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", from: "2001:db8:1:2::3"}}, []string{"new-network 2001:db8:1::/48 +1.5"}},
		{"a new program", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", agent: "[Boto3/1.44 md/Botocore]"}}, []string{"new-agent Boto3 +1"}},
		{"a new version of the same program", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", agent: "aws-cli/3.0"}}, nil},
		{"many secrets", many(15, ev{at: at(20), who: "bob", call: "secretsmanager:GetSecretValue", secret: "x"}), []string{"many-secrets 15 different secrets +4"}},
		{"a few more secrets", many(7, ev{at: at(20), who: "bob", call: "secretsmanager:GetSecretValue", secret: "x"}), nil},
		{"many buckets", many(12, ev{at: at(0), who: "app/other", call: "s3:PutObject", bucket: "b", from: "10.0.0.9"}), []string{"many-buckets 12 different buckets +4"}},
		{"an hour that is never busy", many(40, ev{at: at(600), who: "bob", call: "s3:ListBuckets"}), []string{"unusual-hour Monday 19:00Z +3"}},
		{"an hour beside one that is busy every week, as after a change of clocks", many(40, ev{at: at(540), who: "night/run", call: "s3:ListBuckets"}), nil},
		{"two hours beside it", many(40, ev{at: at(480), who: "night/run", call: "s3:ListBuckets"}), []string{"unusual-hour Monday 17:00Z +3"}},
		{"a scanner that is refused every day", append(many(9, ev{at: at(30), who: "scan/run", call: "kms:GetKeyPolicy", err: "AccessDenied"}), ev{at: at(32), who: "scan/run", call: "kms:GetKeyPolicy"}), nil},
		{"an hour that is busy every week", many(40, ev{at: at(600), who: "night/run", call: "s3:ListBuckets"}), nil},
		{"parameters that are asked for decrypted are secrets", many(15, ev{at: at(20), who: "bob", call: "ssm:GetParameter", param: "/db/"}), []string{"many-secrets 15 different secrets +4", "new-calls ssm:GetParameter +0.5"}},
		{"one secret by its name and by its ARN is one", []ev{{at: at(20), who: "bob", call: "secretsmanager:GetSecretValue", secret: "s0"}, {at: at(21), who: "bob", call: "secretsmanager:GetSecretValue", secret: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:s0-AbCdEf"}}, nil},
		{"a client that calls itself a service", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", agent: "cloudformation.amazonaws.com"}}, []string{"new-agent cloudformation.amazonaws.com +1"}},
		{"denials, then a success of what was denied", append(many(5, ev{at: at(0), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied"}), ev{at: at(2), who: "bob", call: "lambda:UpdateFunctionCode", id: "ok"}), []string{"denials-then-access lambda:UpdateFunctionCode +4"}},
		{"denials without success", many(9, ev{at: at(0), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied"}), nil},
		{"four denials are no burst", append(many(4, ev{at: at(0), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied"}), ev{at: at(2), who: "bob", call: "lambda:UpdateFunctionCode"}), nil},
		{"two continents in an hour", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", id: "a"}, {at: at(60), who: "bob", call: "s3:ListBuckets", from: "203.0.113.4", id: "b"}},
			[]string{"impossible-travel Amsterdam (198.51.100.0/24) to Sydney (203.0.113.0/24) +5", "new-network 203.0.113.0/24 +1.5"}},
		{"the next town in an hour", []ev{{at: at(0), who: "bob", call: "s3:ListBuckets", id: "a"}, {at: at(60), who: "bob", call: "s3:ListBuckets", from: "192.0.2.4", id: "b"}}, []string{"new-network 192.0.2.0/24 +1.5"}},
		{"a role has no body", []ev{{at: at(0), who: "app/run", call: "s3:PutObject", from: "198.51.100.1", id: "a"}, {at: at(1), who: "app/run", call: "s3:PutObject", from: "203.0.113.4", id: "b"}}, []string{"new-network 198.51.100.0/24 +1.5", "new-network 203.0.113.0/24 +1.5"}},
		{"a principal nobody knows: only what is rare in the organization", []ev{{at: at(0), who: "new", call: "iam:CreateUser"}, {at: at(0), who: "new", call: "s3:ListBuckets"}}, []string{"rare-calls iam:CreateUser +2"}},
		{"a service for itself", []ev{{at: at(0), who: "backup.amazonaws.com", typ: "AWSService", call: "iam:CreateUser"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := judge(t, s, baseline.Options{Threshold: 0.1, Places: places}, c.events)
			if diff := cmp.Diff(c.want, terms(got)); diff != "" {
				t.Errorf("terms (-want +got):\n%s", diff)
			}
		})
	}
}

// TestScore: the score is the sum of the terms, each rule's up to its most, and
// the finding says so.
func TestScore(t *testing.T) {
	s := learn(t, usual())
	nine := monday.AddDate(0, 0, 42).Add(9 * time.Hour)
	events := []ev{
		{at: nine, who: "bob", call: "ec2:RunInstances", from: "203.0.113.4", region: "ap-east-1", id: "e1"},
		{at: nine.Add(time.Minute), who: "bob", call: "iam:AttachUserPolicy", from: "203.0.113.4", id: "e2"},
		{at: nine.Add(2 * time.Minute), who: "bob", call: "kms:ScheduleKeyDeletion", from: "203.0.113.4", id: "e3"},
	}
	got, _ := judge(t, s, baseline.Options{}, events)
	if len(got) != 1 {
		t.Fatalf("%d findings, want 1", len(got))
	}
	f := got[0]
	want := "score 10.5 on 2026-02-16: 3 new-calls + 1.5 new-network + 2 new-region + 4 rare-calls"
	if f.Reason != want || f.Severity != finding.SeverityMedium || f.RuleID != "baseline/rare-calls" || !f.Time.Equal(nine) {
		t.Errorf("%s %s %s %q, want %q", f.RuleID, f.Severity, f.Time, f.Reason, want)
	}
	if diff := cmp.Diff([]string{"e1", "e2", "e3"}, f.EventIDs); diff != "" {
		t.Error(diff)
	}
	if note := f.Evidence[len(f.Evidence)-1].Note; note != "the terms of this rule are 6 together" {
		t.Errorf("the bound is not shown: %q", note)
	}
	if got, _ := judge(t, s, baseline.Options{Threshold: 11}, events); len(got) != 0 {
		t.Error("a score under the threshold is a finding")
	}
}

// TestColdStart: whom the past says nothing of is not judged by it, and counted.
func TestColdStart(t *testing.T) {
	day := monday.AddDate(0, 0, 42)
	young := append(usual(), ev{at: day.AddDate(0, 0, -2), who: "young", call: "s3:ListBuckets"})
	got, j := judge(t, learn(t, young), baseline.Options{Threshold: 0.1}, []ev{
		{at: day, who: "young", call: "iam:ListUsers", region: "ap-east-1"}, {at: day, who: "nobody", call: "iam:ListUsers"}, {at: day.Add(9 * time.Hour), who: "bob", call: "s3:ListBuckets"}})
	if len(got) != 0 || j.Cold() != (baseline.Cold{Unknown: 1, Young: 1, Judged: 1}) {
		t.Errorf("%q, cold %+v", terms(got), j.Cold())
	}
	short := usual()[:600]
	if _, j := judge(t, learn(t, short), baseline.Options{}, []ev{{at: day, who: "app/run", call: "s3:PutObject"}}); j.Cold().Seasonal != 1 {
		t.Errorf("cold %+v, want one without seasons", j.Cold())
	}
}

// TestStateFile: a state reads back as it was, in the same bytes; damage and
// other versions are refused.
func TestStateFile(t *testing.T) {
	s := learn(t, usual())
	var a, b bytes.Buffer
	if err := s.Write(&a); err != nil {
		t.Fatal(err)
	}
	again, err := baseline.Read(bytes.NewReader(a.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s, again, sameState); diff != "" {
		t.Errorf("read back (-wrote +read):\n%s", diff)
	}
	if err := again.Write(&b); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("the same state gives other bytes: %v", err)
	}
	for text, want := range map[string]string{string(a.Bytes()[:a.Len()/2]): "cut short", "": "is empty", "Records": "not compressed"} {
		if _, err := baseline.Read(strings.NewReader(text)); !errors.Is(err, baseline.ErrState) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: error %v, want %q", text, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"version":1,"since":"2026-01-05T00:00:00Z","events":9,"principals":{"arn:aws:iam::111122223333:user/bob":{"calls":{"iam:ListUsers":true}}}}`: "the file has version 1, this program reads version 3",
		`{"format":"bartizan baseline","version":4,"count":{"x":1}}`:                                                                                   "the file has version 4, this program reads version 3",
		`{"version":"1"}`: "not a baseline state",
		`{"Records":[]}`:  "does not begin with format and version",
		`{"format":"bartizan baseline","version":3,"count":2}` + "\n" + `{"key":"a","first":"2026-01-05T00:00:00Z","last":"2026-01-05T00:00:00Z"}`: "principal 2 of 2: the file is cut short",
		`{"format":"bartizan baseline","version":3,"count":1}` + "\n" + `{"key":"a"}`:                                                              "is damaged",
		`{"format":"bartizan baseline","version":3,"count":0}` + "\n" + `{"key":"a"}`:                                                              "more follows",
		`{"format":"bartizan baseline","version":3,"count":9000000}`:                                                                               "at most 20000",
		`{"format":"bartizan baseline","version":3,"since":"9999-01-05T00:00:00Z","until":"9999-01-05T00:00:00Z"}`:                                 "its times",
	} {
		if _, err := baseline.Read(bytes.NewReader(packed(t, text))); !errors.Is(err, baseline.ErrState) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll([]byte(text), nil)
}

// TestLearnInParts: learning day by day, with the state saved in between, gives
// the same as learning at once.
func TestLearnInParts(t *testing.T) {
	events := usual()[:700]
	s := baseline.New()
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].at.YearDay() == events[0].at.YearDay() {
			n++
		}
		l := baseline.NewLearner(s)
		for _, v := range events[:n] {
			l.Add(v.event(t))
		}
		l.Finish()
		events = events[n:]
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		var err error
		if s, err = baseline.Read(&b); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(learn(t, usual()[:700]), s, sameState); diff != "" {
		t.Errorf("at once and in parts:\n%s", diff)
	}
}

// TestOrderDoesNotMatter: learning and judging give the same in any order.
func TestOrderDoesNotMatter(t *testing.T) {
	events := usual()[:700]
	want := learn(t, events)
	nine := monday.AddDate(0, 0, 42).Add(9 * time.Hour)
	odd := []ev{{at: nine, who: "bob", call: "iam:CreateUser", from: "203.0.113.4", region: "ap-east-1"}, {at: nine.Add(30 * time.Hour), who: "bob", call: "iam:CreateUser", from: "203.0.113.4"}, {at: nine, who: "ann", call: "kms:DisableKey", from: "192.0.2.1"}}
	for i := range 7 {
		odd = append(odd, ev{at: nine.Add(time.Duration(i) * time.Minute), who: "ann", call: "ssm:SendCommand", err: "AccessDenied", id: fmt.Sprint("d", i)}, ev{at: nine.Add(time.Duration(8+i) * time.Minute), who: "ann", call: "ssm:SendCommand", id: fmt.Sprint("s", i)})
	}
	found, _ := judge(t, want, baseline.Options{Threshold: 1}, odd)
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		mixed := append([]ev{}, events...)
		rng.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		got := learn(t, mixed)
		if diff := cmp.Diff(want, got, sameState); diff != "" {
			rt.Fatalf("learned (-want +got):\n%s", diff)
		}
		shuffled := append([]ev{}, odd...)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		again, _ := judge(t, got, baseline.Options{Threshold: 1}, shuffled)
		if diff := cmp.Diff(found, again); diff != "" {
			rt.Fatalf("judged (-want +got):\n%s", diff)
		}
	})
}

func TestPlacesMistakes(t *testing.T) {
	for src, want := range map[string]string{
		"192.0.2.0/24,1,2\n":             "",
		"cidr,lat,lon\n192.0.2.0/24,1,2": "",
		"192.0.2.0/24,1,2\nx,1,2":        "row 2",
		"192.0.2.0/24,91,2":              "latitude",
		"192.0.2.0/24,NaN,2":             "latitude",
		"192.0.2.0/24,1":                 "want CIDR",
	} {
		_, err := baseline.ReadPlaces(strings.NewReader(src))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

// FuzzRead: whatever a state file holds is refused or can be judged by, added to
// and written.
func FuzzRead(f *testing.F) {
	var b bytes.Buffer
	if err := learn(f, usual()[:60]).Write(&b); err != nil {
		f.Fatal(err)
	}
	z, err := zstd.NewReader(&b)
	if err != nil {
		f.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":"bartizan baseline","version":3,"count":1}` + "\n" + `{"key":"arn:aws:iam::111122223333:user/bob","first":"2026-01-05T00:00:00Z","last":"2026-02-05T00:00:00Z","events":99,"calls":null,"full":["calls"],"weeks":[{"w":2922,"h":"-9 1"},{"w":2922}],"days":[{"d":1},{"d":1,"s":3}]}`))
	monday := monday.AddDate(0, 0, 42)
	var odd []ev
	for i := range 25 {
		odd = append(odd, ev{at: monday.Add(time.Duration(i) * time.Second), who: "bob", call: "secretsmanager:GetSecretValue", secret: fmt.Sprint(i), id: fmt.Sprint(i)})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := baseline.Read(bytes.NewReader(packed(t, string(data))))
		if err != nil {
			if !errors.Is(err, baseline.ErrState) {
				t.Fatalf("error %v is no ErrState", err)
			}
			return
		}
		judge(t, s, baseline.Options{MinDays: 1, MinEvents: 1}, odd)
		l := baseline.NewLearner(s)
		for _, v := range odd {
			l.Add(v.event(t))
		}
		l.Finish()
		if err := s.Write(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkLearn and BenchmarkJudge are the cost of one event, its reading
// included, which BenchmarkScan is alone.
func BenchmarkLearn(b *testing.B) {
	var l *baseline.Learner
	bench(b, func() { l = baseline.NewLearner(baseline.New()) }, func(e *event.Event) { l.Add(e) })
}

func BenchmarkJudge(b *testing.B) {
	s := learn(b, usual())
	var j *baseline.Judge
	bench(b, func() { j = baseline.NewJudge(s, baseline.Options{}, func(*finding.Finding) error { return nil }) }, func(e *event.Event) {
		if err := j.Add(e); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkScan(b *testing.B) { bench(b, func() {}, func(*event.Event) {}) }

// bench reads events over and over; begin is called before they come again.
func bench(b *testing.B, begin func(), add func(*event.Event)) {
	var texts [][]byte
	for part := range 5 {
		for _, v := range usual() {
			v.id = fmt.Sprintf("%d-%s-%s-%s%d", v.at.Unix(), v.who, v.call, v.id, part)
			texts = append(texts, v.text(b))
		}
	}
	e := event.New(schema)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(texts) == 0 {
			begin()
		}
		if _, err := e.Scan(texts[i%len(texts)], 0); err != nil {
			b.Fatal(err)
		}
		e.Kind = event.CloudTrail
		add(e)
	}
}
