package baseline_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/finding"
)

var most = map[string]float64{"new-calls": 4, "rare-calls": 4, "new-region": 4, "new-network": 3, "new-agent": 2, "denials-then-access": 4,
	"many-secrets": 4, "many-buckets": 4, "unusual-hour": 3, "impossible-travel": 5}

// TestScoreIsTheSumOfItsTerms: whatever a day holds, the score of a finding is
// what the printed terms add up to, each rule's at most to its bound, and every
// term names its events, which the finding has as evidence.
func TestScoreIsTheSumOfItsTerms(t *testing.T) {
	s := learn(t, usual())
	places, err := baseline.ReadPlaces(strings.NewReader("198.51.100.0/24,52.37,4.90\n203.0.113.0/24,-33.87,151.21\n"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	rapid.Check(t, func(rt *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 7))
		pick := func(list ...string) string { return list[rng.IntN(len(list))] }
		var events []ev
		for i := range rapid.IntRange(1, 60).Draw(rt, "events") {
			v := ev{at: monday.AddDate(0, 0, 42).Add(time.Duration(rng.IntN(30*3600)) * time.Second), id: fmt.Sprint("x", i),
				who:  pick("bob", "ann", "app/run", "nobody", "AWSReservedSSO_Dev_1/eve@acme.example"),
				call: pick("iam:CreateUser", "iam:ListUsers", "ec2:RunInstances", "ecs:UpdateService", "secretsmanager:GetSecretValue", "s3:GetObject", "kms:DisableKey"),
				from: pick("", "203.0.113.9", "192.0.2.77", "2001:db8::1"), region: pick("", "ap-east-1", "sa-east-1"), agent: pick("", "Boto3/1", "curl/8")}
			switch v.call {
			case "secretsmanager:GetSecretValue":
				v.secret = fmt.Sprint("k", rng.IntN(30))
			case "s3:GetObject":
				v.bucket = fmt.Sprint("b", rng.IntN(30))
			}
			if rng.IntN(4) == 0 {
				v.err = "AccessDenied"
			}
			events = append(events, v)
		}
		got, _ := judge(t, s, baseline.Options{Threshold: 0.5, Places: places}, events)
		found += len(got)
		for _, f := range got {
			sums := map[string]float64{}
			has := map[string]bool{}
			for _, id := range f.EventIDs {
				has[id] = true
			}
			for _, e := range f.Evidence {
				text, isTerm := strings.CutPrefix(e.Note, "+")
				if e.Path == "terms" {
					return // not all of them are printed
				}
				if !isTerm {
					continue
				}
				points, _, _ := strings.Cut(text, ":")
				n, err := strconv.ParseFloat(points, 64)
				if err != nil {
					rt.Fatal(err)
				}
				sums[e.Path] += n
				_, list, ok := strings.Cut(e.Note, "; event")
				if !ok {
					rt.Fatalf("term %s %v names no event: %s", e.Path, e.Value, e.Note)
				}
				if i := strings.LastIndex(list, "; event"); i >= 0 {
					list = list[i+len("; event"):]
				}
				for id := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(list, "s"), " "), ", ") {
					if len(f.EventIDs) < 50 && !has[id] {
						rt.Fatalf("%q of term %s is not among the events %q", id, e.Path, f.EventIDs)
					}
				}
			}
			total := 0.0
			for rule, n := range sums {
				total += min(n, most[rule])
			}
			var score float64
			if _, err := fmt.Sscanf(f.Reason, "score %g on", &score); err != nil || score != total {
				rt.Fatalf("%q, but the terms add up to %g", f.Reason, total)
			}
			if score < 0.5 {
				rt.Fatalf("score %g is under the threshold", score)
			}
		}
	})
	if found == 0 {
		t.Fatal("no finding at all")
	}
}

// TestLearnedIsNotNew: a day that was learned holds nothing new, whatever its
// texts are, also after the state was written and read.
func TestLearnedIsNotNew(t *testing.T) {
	raw := func(rt *rapid.T, name string) string {
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte("ab/ \x1b[31m\xff\xc3\x28\xe2\x80\xa8=@<é\x7f")), 0, 260).Draw(rt, name))
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x1b", `\u001b`, "\n", `\n`)
	rapid.Check(t, func(rt *rapid.T) {
		var list []*event.Event
		for i := range 20 {
			text := fmt.Sprintf(`{"eventVersion":"1.11","eventTime":%q,"eventID":"%s%d","eventSource":"x%s.amazonaws.com","eventName":"N%s","awsRegion":"r%s","userAgent":"%s",`+
				`"sourceIPAddress":"198.51.100.7","recipientAccountId":"111122223333","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/%s"}}`,
				monday.AddDate(0, 0, i).Format(time.RFC3339), escape.Replace(raw(rt, "id")), i, escape.Replace(raw(rt, "source")), escape.Replace(raw(rt, "name")), escape.Replace(raw(rt, "region")), escape.Replace(raw(rt, "agent")), escape.Replace(raw(rt, "user")))
			e, err := event.Parse(schema, event.CloudTrail, []byte(text))
			if err != nil {
				rt.Fatal(err, text)
			}
			list = append(list, e)
		}
		s := baseline.New()
		l := baseline.NewLearner(s)
		for _, e := range list {
			l.Add(e)
		}
		l.Finish()
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			rt.Fatal(err)
		}
		again, err := baseline.Read(&b)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(s, again, sameState); diff != "" {
			rt.Fatalf("read back (-wrote +read):\n%s", diff)
		}
		j := baseline.NewJudge(again, baseline.Options{Threshold: 0.1, MinDays: 1, MinEvents: 1}, func(f *finding.Finding) error {
			rt.Fatalf("something is new: %q", terms([]*finding.Finding{f}))
			return nil
		})
		for _, e := range list {
			if err := j.Add(e); err != nil {
				rt.Fatal(err)
			}
		}
		if err := j.Finish(); err != nil {
			rt.Fatal(err)
		}
	})
}

// TestMidnight: what happens around midnight UTC is one story, told once.
func TestMidnight(t *testing.T) {
	places, err := baseline.ReadPlaces(strings.NewReader("198.51.100.0/24,52.37,4.90,Amsterdam\n203.0.113.0/24,-33.87,151.21,Sydney\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := learn(t, usual())
	midnight := monday.AddDate(0, 0, 43)
	at := func(minutes int) time.Time { return midnight.Add(time.Duration(minutes) * time.Minute) }
	denied := func(n, from int) []ev {
		var out []ev
		for i := range n {
			out = append(out, ev{at: at(from + i), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied", id: fmt.Sprint("d", from+i)})
		}
		return out
	}
	success := func(minute int) ev {
		return ev{at: at(minute), who: "bob", call: "lambda:UpdateFunctionCode", id: fmt.Sprint("ok", minute)}
	}
	home := func(minute int) ev { return ev{at: at(minute), who: "bob", call: "s3:ListBuckets"} }
	away := func(minute int) ev {
		return ev{at: at(minute), who: "bob", call: "s3:ListBuckets", from: "203.0.113.4", id: fmt.Sprint("away", minute)}
	}
	for _, c := range []struct {
		name   string
		events []ev
		want   string
		n      int
	}{
		{"refusals before, success after", append(denied(5, -6), success(3)), "denials-then-access", 1},
		{"a burst across midnight", append(denied(5, -3), success(4)), "denials-then-access", 1},
		{"told on the first day, not again on the second", append(denied(5, -10), success(-2), success(3)), "denials-then-access", 1},
		{"refusals hours before are yesterday's", append(denied(5, -120), success(3)), "denials-then-access", 0},
		{"a burst that ended a day and an hour ago", append(denied(5, -1500), success(3)), "denials-then-access", 0},
		{"a journey across midnight", []ev{home(-10), away(20)}, "impossible-travel", 1},
		{"told on the first day, the traveller then stays", []ev{home(-60), away(-30), away(30)}, "impossible-travel", 1},
		{"a night's flight", []ev{home(-10), away(20 * 60)}, "impossible-travel", 0},
		{"there and back in the gaps between other events", []ev{home(1), away(22 * 60), home(23 * 60)}, "impossible-travel", 1},
	} {
		for range 3 { // in any order
			rand.Shuffle(len(c.events), func(i, j int) { c.events[i], c.events[j] = c.events[j], c.events[i] })
			got, _ := judge(t, s, baseline.Options{Threshold: 0.1, Places: places}, c.events)
			if n := strings.Count(strings.Join(terms(got), "\n"), c.want); n != c.n {
				t.Errorf("%s: %d times %s, want %d: %q", c.name, n, c.want, c.n, terms(got))
			}
		}
	}
}

// crowded is one event of one of many roles.
func crowded(t testing.TB, role int, at time.Time, call, region string) *event.Event {
	e, err := event.Parse(schema, event.CloudTrail, fmt.Appendf(nil,
		`{"eventVersion":"1.11","eventTime":%q,"eventID":"%06d-%s-0000-4000-8000-000000000000","eventSource":"ec2.amazonaws.com","eventName":%q,"awsRegion":%q,"readOnly":false,"userAgent":"Boto3/1.44",`+
			`"sourceIPAddress":"198.51.100.7","recipientAccountId":"111122223333","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/team-role-%06d/run","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/team-role-%06d"}}}}`,
		at.Format(time.RFC3339), role, call, call, region, role, role))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestCrowd: 100,000 principals take no more memory than is allowed, those that
// are known are all judged, and what is left out is counted.
func TestCrowd(t *testing.T) {
	const known = 20_000
	roles := 100_000
	if testing.Short() {
		roles = 50_000
		t.Log("LEFT OUT by -short: 50,000 of 100,000 roles")
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	begin := heap()
	s := baseline.New()
	l := baseline.NewLearner(s)
	for _, day := range []int{0, 7} {
		for i := range roles {
			if i >= known && day > 0 {
				break
			}
			l.Add(crowded(t, i, monday.AddDate(0, 0, day), fmt.Sprintf("Call%d", (i+day)%700), "eu-west-1"))
		}
	}
	l.Finish()
	if n := len(s.Principals); n != known || s.LeftOut != int64(roles-known) {
		t.Errorf("%d principals, %d events left out", n, s.LeftOut)
	}
	findings := 0
	j := baseline.NewJudge(s, baseline.Options{Threshold: 2.5, MinEvents: 2}, func(f *finding.Finding) error {
		if !strings.Contains(f.Reason, "2 new-region") {
			t.Fatalf("%s", f.Reason)
		}
		findings++
		return nil
	})
	for day := range 2 {
		for i := range roles {
			if err := j.Add(crowded(t, i, monday.AddDate(0, 0, 8+day), "RunInstances", "ap-east-1")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if used := int64(heap()) - int64(begin); used > 160<<20 {
		t.Errorf("%d MB in use", used>>20)
	} else {
		t.Logf("%d MB in use", used>>20)
	}
	if err := j.Finish(); err != nil {
		t.Fatal(err)
	}
	if findings != 2*known || j.Late() != 0 || j.Crowd() != int64(2*(roles-known)-2*20_000) {
		t.Errorf("%d findings, %d late, %d in the crowd", findings, j.Late(), j.Crowd())
	}
	runtime.KeepAlive(s)
}

// TestForget: a principal that was not seen for long makes room for a new one.
func TestForget(t *testing.T) {
	s := baseline.New()
	for i := range 20_000 {
		at := monday
		if i%2 == 0 {
			at = monday.AddDate(0, 0, 80)
		}
		p := &baseline.Principal{First: at, Last: at, Calls: baseline.Set{"ec2:X": {}}, Regions: baseline.Set{}, Networks: baseline.Set{}, Agents: baseline.Set{}}
		s.Principals[fmt.Sprint("role", i)] = p
	}
	l := baseline.NewLearner(s)
	l.Add(crowded(t, 1, monday.AddDate(0, 0, 85), "RunInstances", "eu-west-1"))
	l.Finish()
	if len(s.Principals) != 20_000 || s.LeftOut != 1 {
		t.Errorf("%d principals, %d left out: somebody was forgotten too early", len(s.Principals), s.LeftOut)
	}
	l = baseline.NewLearner(s)
	l.Add(crowded(t, 1, monday.AddDate(0, 0, 92), "RunInstances", "eu-west-1"))
	l.Finish()
	if len(s.Principals) != 10_001 || s.LeftOut != 1 {
		t.Errorf("%d principals, %d left out, want the 10,000 of late and the new one", len(s.Principals), s.LeftOut)
	}
}

// TestTimeNonsense: a clock that is far off neither learns nor settles anything.
func TestTimeNonsense(t *testing.T) {
	s := baseline.New()
	l := baseline.NewLearner(s)
	for _, text := range []string{"0001-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "2005-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		l.Add(crowded(t, 1, at, "RunInstances", "eu-west-1"))
	}
	l.Finish()
	if s.Events != 0 || len(s.Principals) != 0 || !s.Until.IsZero() {
		t.Errorf("learned %+v", s)
	}
}

// TestRefusalsWithoutRoom: of a flood of refusals the earliest are kept, and the
// burst among them is found.
func TestRefusalsWithoutRoom(t *testing.T) {
	s := learn(t, usual())
	nine := monday.AddDate(0, 0, 42).Add(9 * time.Hour)
	var events []ev
	for i := range 3000 {
		events = append(events, ev{at: nine.Add(time.Duration(i) * time.Second), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied", id: fmt.Sprint("d", i)})
	}
	events = append(events, ev{at: nine.Add(3 * time.Hour), who: "bob", call: "lambda:UpdateFunctionCode", id: "ok"})
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	got, _ := judge(t, s, baseline.Options{Threshold: 4}, events)
	if len(got) != 1 || got[0].RuleID != "baseline/denials-then-access" || !strings.HasPrefix(strings.Join(got[0].EventIDs, " "), "d0 d1 d2 d3 d4 ok") {
		t.Errorf("%q", terms(got))
	}
}

// TestTwice: an event that two trails deliver is learned and judged once.
func TestTwice(t *testing.T) {
	past := usual()
	want := learn(t, past)
	if diff := cmp.Diff(want, learn(t, append(past, past...)), sameState); diff != "" {
		t.Errorf("learned twice (-once +twice):\n%s", diff)
	}
	nine := monday.AddDate(0, 0, 42).Add(9 * time.Hour)
	var day []ev
	for i := range 3 { // six of three are no burst
		v := ev{at: nine.Add(time.Duration(i) * time.Second), who: "bob", call: "lambda:UpdateFunctionCode", err: "AccessDenied", id: fmt.Sprint("d", i)}
		day = append(day, v, v)
	}
	day = append(day, ev{at: nine.Add(time.Minute), who: "bob", call: "lambda:UpdateFunctionCode", id: "ok"})
	for i := range 15 { // nor are thirty events of fifteen a busy hour
		v := ev{at: nine.Add(5*time.Hour + time.Duration(i)*time.Second), who: "bob", call: "s3:ListBuckets", id: fmt.Sprint("l", i)}
		day = append(day, v, v)
	}
	if got, _ := judge(t, want, baseline.Options{Threshold: 0.1}, day); len(got) != 0 {
		t.Errorf("%q", terms(got))
	}
}

// TestSubjects: whose habits a call belongs to.
func TestSubjects(t *testing.T) {
	for _, c := range []struct{ name, identity, want string }{
		{"a user", `{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/bob","accountId":"111122223333","userName":"bob"}`, "arn:aws:iam::111122223333:user/bob of users of 111122223333"},
		{"the root user", `{"type":"Root","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333"}`, "arn:aws:iam::111122223333:root of users of 111122223333"},
		{"a role", `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/app/x","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/app"}}}`, "arn:aws:iam::111122223333:role/app of "},
		{"a person of Identity Center", `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Dev_1/eve","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_1"}}}`,
			"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_1/eve of arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Dev_1"},
		{"a role that only has the name", `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Dev_1/eve","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_1"}}}`, "arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_1 of "},
		{"a session that a user asked for", `{"type":"FederatedUser","arn":"arn:aws:sts::111122223333:federated-user/x","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/bob"}}}`, "arn:aws:iam::111122223333:user/bob of users of 111122223333"},
		{"a user of another account", `{"type":"IAMUser","arn":"arn:aws:iam::444455556666:user/eve","accountId":"444455556666"}`, "arn:aws:iam::444455556666:user/eve of users of 444455556666"},
		{"a service", `{"type":"AWSService","invokedBy":"backup.amazonaws.com"}`, ""},
		{"a service without a type", `{"accountId":"111122223333","invokedBy":"ec2.amazonaws.com"}`, ""},
		{"a service-linked role", `{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForConfig/x","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::111122223333:role/aws-service-role/config.amazonaws.com/AWSServiceRoleForConfig"}}}`, ""},
		{"a foreign account", `{"type":"AWSAccount","accountId":"444455556666","principalId":"AIDAX"}`, ""},
		{"a sign-in with a mistyped name", `{"type":"IAMUser","accountId":"111122223333","userName":"HIDDEN_DUE_TO_SECURITY_REASONS"}`, ""},
		{"nobody", `{}`, ""},
	} {
		e, err := event.Parse(schema, event.CloudTrail, []byte(`{"eventVersion":"1.11","eventTime":"2026-01-05T09:00:00Z","eventID":"x","eventSource":"ec2.amazonaws.com","eventName":"RunInstances","recipientAccountId":"111122223333","sourceIPAddress":"198.51.100.7","userIdentity":`+c.identity+`}`))
		if err != nil {
			t.Fatal(err)
		}
		s := baseline.New()
		l := baseline.NewLearner(s)
		l.Add(e)
		l.Finish()
		got := ""
		for key, p := range s.Principals {
			got += key + " of " + p.Group
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
