package incident_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/incident"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const account = "111122223333"

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// record is one event of CloudTrail: minutes after start, id, name, source and
// caller; more members are merged in.
type record = map[string]any

func call(minute int, id, source, name string, who record, more ...record) record {
	r := record{"eventVersion": "1.11", "eventTime": start.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339), "eventID": id,
		"eventSource": source + ".amazonaws.com", "eventName": name, "awsRegion": "eu-west-1", "recipientAccountId": account,
		"sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.31", "eventType": "AwsApiCall", "userIdentity": who}
	for _, m := range more {
		for k, v := range m {
			r[k] = v
		}
	}
	return r
}

func user(name, key string) record {
	return record{"type": "IAMUser", "arn": "arn:aws:iam::" + account + ":user/" + name, "accountId": account, "principalId": "AIDA" + strings.ToUpper(name), "userName": name, "accessKeyId": key}
}

func session(role, name, key string, more ...record) record {
	context := record{"sessionIssuer": record{"type": "Role", "arn": "arn:aws:iam::" + account + ":role/" + role, "userName": role}}
	for _, m := range more {
		for k, v := range m {
			context[k] = v
		}
	}
	return record{"type": "AssumedRole", "arn": "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name, "accountId": account,
		"principalId": "AROA" + strings.ToUpper(role) + ":" + name, "accessKeyId": key, "sessionContext": context}
}

func assumed(role, name, key string) record {
	return record{"requestParameters": record{"roleArn": "arn:aws:iam::" + account + ":role/" + role, "roleSessionName": name},
		"responseElements": record{"credentials": record{"accessKeyId": key}, "assumedRoleUser": record{
			"assumedRoleId": "AROA" + strings.ToUpper(role) + ":" + name, "arn": "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + name}}}
}

func params(kv ...string) record {
	p := record{}
	for i := 0; i+1 < len(kv); i += 2 {
		p[kv[i]] = kv[i+1]
	}
	return record{"requestParameters": p}
}

func from(address string) record { return record{"sourceIPAddress": address} }

// rules are of the tests' own: one for each call of the stories.
func rules(t testing.TB) []*sigma.Rule {
	t.Helper()
	var src strings.Builder
	for i, r := range []struct{ name, call, level, tags string }{
		{"secret_read", "GetSecretValue", "medium", "attack.credential-access, attack.t1555.006"},
		{"trail_deleted", "DeleteTrail", "high", "attack.defense-evasion, attack.t1562.008"},
		{"user_created", "CreateUser", "medium", "attack.persistence, attack.t1136.003"},
		{"key_created", "CreateAccessKey", "medium", "attack.persistence, attack.t1098.001"},
		{"policy_attached", "AttachUserPolicy", "medium", "attack.privilege-escalation, attack.t1098.003"},
		{"snapshot_shared", "ModifySnapshotAttribute", "high", "attack.exfiltration, attack.t1537"},
		{"instances_run", "RunInstances", "low", "attack.impact, attack.t1496"},
		{"listed", "ListUsers", "low", "attack.discovery, attack.t1087.004"},
	} {
		if i > 0 {
			src.WriteString("---\n")
		}
		fmt.Fprintf(&src, "title: %s seen\nname: %s\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: %s}, condition: s}\nlevel: %s\ntags: [%s]\n", r.call, r.name, r.call, r.level, r.tags)
	}
	out, err := sigma.Parse("test", []byte(src.String()))
	if err != nil {
		t.Fatal(err)
	}
	link, err := incident.LinkRule()
	if err != nil {
		t.Fatal(err)
	}
	return append(out, link)
}

// run detects and joins.
func run(t testing.TB, opt incident.Options, records ...record) *incident.Report {
	t.Helper()
	engine, err := sigma.Compile(rules(t), sigma.Options{Fields: append(detect.Fields(), incident.Fields()...)})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	join := incident.New(opt)
	stats, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("log", bytes.NewReader(data))}, engine, detect.Options{Keep: join.Keep, Bare: incident.IsLinkRule}, func(m *detect.Match) error {
		join.Add(m)
		return nil
	})
	if err != nil || stats.Malformed > 0 {
		t.Fatalf("run: %v, %d malformed", err, stats.Malformed)
	}
	return join.Finish()
}

func automation(t testing.TB) []incident.Automation {
	t.Helper()
	list, err := incident.ParseAutomation("built in", catalog.Automation)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// two makes an incident of what one caller does: two rules.
func two(who record, more ...record) []record {
	return []record{call(10, "s1", "secretsmanager", "GetSecretValue", who, more...), call(11, "s2", "cloudtrail", "DeleteTrail", who, more...)}
}

// TestOrigin: who is named for what a session did.
func TestOrigin(t *testing.T) {
	alice := user("alice", "AKIAALICE")
	aliceARN := "arn:aws:iam::" + account + ":user/alice"
	for _, c := range []struct {
		name    string
		opening []record
		who     record
		actor   string
		events  []string // that prove the way back
	}{
		{"a user with a key", nil, alice, aliceARN, nil},
		{"root", nil, record{"type": "Root", "arn": "arn:aws:iam::" + account + ":root", "accountId": account}, "arn:aws:iam::" + account + ":root", nil},
		{"one role, by the key that was handed out",
			[]record{call(0, "a1", "sts", "AssumeRole", alice, assumed("ops", "x", "ASIAOPS"))}, session("ops", "x", "ASIAOPS"), aliceARN, []string{"a1"}},
		{"a chain of roles",
			[]record{call(0, "a1", "sts", "AssumeRole", alice, assumed("ops", "x", "ASIAOPS")), call(1, "a2", "sts", "AssumeRole", session("ops", "x", "ASIAOPS"), assumed("admin", "y", "ASIAADMIN"))},
			session("admin", "y", "ASIAADMIN"), aliceARN, []string{"a1", "a2"}},
		{"the session's name, where the key is not in the log",
			[]record{call(0, "a1", "sts", "AssumeRole", alice, assumed("ops", "x", "ASIAOTHER"))}, session("ops", "x", "ASIAOPS"), aliceARN, []string{"a1"}},
		{"a session name that two callers used proves nothing",
			[]record{call(0, "a1", "sts", "AssumeRole", alice, assumed("ops", "x", "ASIAOTHER")), call(0, "a2", "sts", "AssumeRole", user("bob", "AKIABOB"), assumed("ops", "x", "ASIATHIRD"))},
			session("ops", "x", "ASIAOPS"), "arn:aws:iam::" + account + ":role/ops", []string{""}},
		{"an opening that failed is none",
			[]record{call(0, "a1", "sts", "AssumeRole", alice, assumed("ops", "x", "ASIAOPS"), record{"errorCode": "AccessDenied"})}, session("ops", "x", "ASIAOPS"), "arn:aws:iam::" + account + ":role/ops", []string{""}},
		{"both accounts' records of one opening: the one with the name counts",
			[]record{call(0, "a1", "sts", "AssumeRole", record{"type": "AWSAccount", "accountId": "444455556666", "principalId": "AIDAX"}, assumed("ops", "x", "ASIAOPS"), record{"sharedEventID": "sh"}),
				call(0, "a2", "sts", "AssumeRole", record{"type": "IAMUser", "arn": "arn:aws:iam::444455556666:user/eve", "accountId": "444455556666", "principalId": "AIDAX"}, assumed("ops", "x", "ASIAOPS"), record{"sharedEventID": "sh"})},
			session("ops", "x", "ASIAOPS"), "arn:aws:iam::444455556666:user/eve", []string{"a2"}},
		{"an outsider whose own record is missing",
			[]record{call(0, "a1", "sts", "AssumeRole", record{"type": "AWSAccount", "accountId": "444455556666", "principalId": "AIDAX"}, assumed("ops", "x", "ASIAOPS"))},
			session("ops", "x", "ASIAOPS"), "AIDAX of account 444455556666", []string{"a1"}},
		{"GitHub Actions", []record{call(0, "a1", "sts", "AssumeRoleWithWebIdentity", record{"type": "WebIdentityUser", "principalId": "p:sub", "userName": "repo:acme/web:ref:refs/heads/main",
			"identityProvider": "arn:aws:iam::" + account + ":oidc-provider/token.actions.githubusercontent.com"}, assumed("ci", "run", "ASIACI"))},
			session("ci", "run", "ASIACI"), "arn:aws:iam::" + account + ":oidc-provider/token.actions.githubusercontent.com/repo:acme/web:ref:refs/heads/main", []string{"a1"}},
		{"Identity Center", nil, session("AWSReservedSSO_Admin_0123456789abcdef", "carol@acme.example", "ASIASSO"), "Identity Center user carol@acme.example", []string{""}},
		{"an instance profile", nil, session("web", "i-0123456789abcdef0", "ASIAI"), "EC2 instance i-0123456789abcdef0", []string{""}},
		{"a source identity", nil, session("ops", "x", "ASIAOPS", record{"sourceIdentity": "dave"}), "source identity dave", []string{""}},
		{"a federated user", nil, record{"type": "FederatedUser", "arn": "arn:aws:sts::" + account + ":federated-user/tmp", "accountId": account, "principalId": account + ":tmp", "accessKeyId": "ASIAF",
			"sessionContext": record{"sessionIssuer": record{"type": "IAMUser", "arn": aliceARN}}}, aliceARN, []string{""}},
		{"a session that opens itself leads nowhere", []record{call(0, "a1", "sts", "AssumeRole", session("ops", "x", "ASIAOPS"), assumed("ops", "x", "ASIAOPS"))},
			session("ops", "x", "ASIAOPS"), "arn:aws:sts::" + account + ":assumed-role/ops/x", []string{"a1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, incident.Options{}, append(c.opening, two(c.who)...)...)
			if len(r.Incidents) != 1 {
				t.Fatalf("%d incidents, want 1", len(r.Incidents))
			}
			in := r.Incidents[0]
			if in.Actor != c.actor {
				t.Errorf("actor %q, want %q", in.Actor, c.actor)
			}
			var events []string
			for _, l := range in.Sessions {
				events = append(events, l.EventID)
			}
			if diff := cmp.Diff(c.events, events); diff != "" {
				t.Errorf("links:\n%s", diff)
			}
		})
	}
}

// TestIncidents: what is one incident, what two, and what none. Each entry of
// want is the event ids of one incident.
func TestIncidents(t *testing.T) {
	alice, bob := user("alice", "AKIAALICE"), user("bob", "AKIABOB")
	elsewhere := from("203.0.113.9")
	var office []record
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		who := user(name, "AKIA"+name)
		office = append(office, call(0, name+"1", "secretsmanager", "GetSecretValue", who), call(1, name+"2", "cloudtrail", "DeleteTrail", who))
	}
	for _, c := range []struct {
		name    string
		records []record
		want    []string
	}{
		{"one rule alone is no incident", []record{call(0, "1", "secretsmanager", "GetSecretValue", alice), call(1, "2", "secretsmanager", "GetSecretValue", alice)}, nil},
		{"two rules of one actor are", two(alice), []string{"s1 s2"}},
		{"six hours and a minute later it is another", append(two(alice), call(372, "t1", "secretsmanager", "GetSecretValue", alice), call(373, "t2", "cloudtrail", "DeleteTrail", alice)), []string{"s1 s2", "t1 t2"}},
		{"within six hours it is the same", append(two(alice), call(370, "t1", "ec2", "ModifySnapshotAttribute", alice)), []string{"s1 s2 t1"}},
		{"strangers from different addresses are two", append(two(alice), call(12, "t1", "secretsmanager", "GetSecretValue", bob, elsewhere), call(13, "t2", "cloudtrail", "DeleteTrail", bob, elsewhere)), []string{"s1 s2", "t1 t2"}},
		{"two actors at one address are one", append(two(alice), call(12, "t1", "secretsmanager", "GetSecretValue", bob), call(13, "t2", "cloudtrail", "DeleteTrail", bob)), []string{"s1 s2 t1 t2"}},
		{"six actors at one address are an office", office, []string{"a1 a2", "b1 b2", "c1 c2", "d1 d2", "e1 e2", "f1 f2"}},
		{"who uses the key that another made", append(two(alice), call(12, "k", "iam", "CreateAccessKey", alice, params("userName", "bob"), record{"responseElements": record{"accessKey": record{"accessKeyId": "AKIABOB"}}}),
			call(13, "t1", "secretsmanager", "GetSecretValue", bob, elsewhere)), []string{"s1 s2 k t1"}},
		{"the instance that somebody launched", append(two(alice), call(12, "r", "ec2", "RunInstances", alice, record{"responseElements": record{"instancesSet": record{"items": []record{{"instanceId": "i-0123456789abcdef0"}}}}}),
			call(13, "t1", "secretsmanager", "GetSecretValue", session("web", "i-0123456789abcdef0", "ASIAI"), elsewhere)), []string{"s1 s2 r t1"}},
		{"an unknown time belongs to no incident", []record{call(0, "1", "secretsmanager", "GetSecretValue", alice, record{"eventTime": "never"}), call(1, "2", "cloudtrail", "DeleteTrail", alice)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, incident.Options{}, c.records...)
			var got []string
			for _, in := range r.Incidents {
				got = append(got, strings.Join(in.EventIDs, " "))
			}
			slices.Sort(got) // those of one severity that begin together are ordered by id
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("incidents (-want +got):\n%s", diff)
			}
			n := 0
			for _, a := range r.Alone {
				n += a.Count
			}
			for _, in := range r.Incidents {
				n += in.Alerts
			}
			alerts := 0
			for _, e := range c.records {
				if e["eventName"] != "AssumeRole" {
					alerts++
				}
			}
			if n != alerts {
				t.Errorf("%d alerts in and out of incidents, want %d", n, alerts)
			}
		})
	}
}

// TestSeverity: what raises and lowers it, and what is said of it.
func TestSeverity(t *testing.T) {
	alice := user("alice", "AKIAALICE")
	four := append(two(alice), call(12, "u", "iam", "CreateUser", alice, params("userName", "x")), call(13, "p", "ec2", "ModifySnapshotAttribute", alice))
	operation := append(slices.Clone(four), call(14, "l", "iam", "AttachUserPolicy", alice, params("userName", "x", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess")))
	routine := append(slices.Clone(four), call(14, "l", "iam", "ListUsers", alice), call(15, "r", "ec2", "RunInstances", alice))
	denied := []record{}
	for _, r := range two(alice) {
		r["errorCode"] = "AccessDenied"
		denied = append(denied, r)
	}
	invoked := user("alice", "AKIAALICE")
	invoked["invokedBy"] = "cloudformation.amazonaws.com"
	for _, c := range []struct {
		name     string
		records  []record
		severity finding.Severity
		because  string
	}{
		{"the worst alert", two(alice), finding.SeverityHigh, "the worst alert is high"},
		{"an operation", operation, finding.SeverityCritical, "raised to critical: 5 rules of 5 tactics"},
		{"low ones do not make an operation", routine, finding.SeverityHigh, "the worst alert is high"},
		{"all refused", denied, finding.SeverityMedium, "lowered to medium: every call was refused"},
		{"a service for itself", two(record{"type": "AWSService", "invokedBy": "backup.amazonaws.com", "accountId": account}, record{"requestParameters": record{}}), finding.SeverityMedium, "lowered to medium: known automation: an AWS service acts for itself"},
		{"CloudFormation", two(invoked), finding.SeverityMedium, "lowered to medium: known automation: CloudFormation deploys a stack"},
		{"a name is a hint, no fact", two(session("terraform-admin", "x", "ASIAT")), finding.SeverityHigh, "the worst alert is high"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, incident.Options{Automation: automation(t)}, c.records...)
			if len(r.Incidents) != 1 {
				t.Fatalf("%d incidents, want 1", len(r.Incidents))
			}
			in := r.Incidents[0]
			if in.Severity != c.severity || !strings.HasSuffix(strings.Join(in.Because, "; "), c.because) {
				t.Errorf("%s because %q, want %s because %q", in.Severity, in.Because, c.severity, c.because)
			}
			if c.name == "a name is a hint, no fact" && len(in.Hints) == 0 {
				t.Error("the hint is not shown")
			}
		})
	}
}

// story is an intrusion from beginning to end, and somebody else's work.
func story() []record {
	mallory := user("deploy-bot", "AKIADEPLOY")
	admin := session("admin", "tmp", "ASIAADMIN")
	evil := user("support", "AKIASUPPORT")
	return []record{
		call(0, "ev-01", "iam", "ListUsers", mallory),
		call(3, "ev-02", "sts", "AssumeRole", mallory, assumed("admin", "tmp", "ASIAADMIN")),
		call(5, "ev-03", "cloudtrail", "DeleteTrail", admin, params("name", "org-trail")),
		call(9, "ev-04", "iam", "CreateUser", admin, params("userName", "support")),
		call(10, "ev-05", "iam", "CreateAccessKey", admin, params("userName", "support"), record{"responseElements": record{"accessKey": record{"accessKeyId": "AKIASUPPORT"}}}),
		call(11, "ev-06", "iam", "AttachUserPolicy", admin, params("userName", "support", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess")),
		call(60, "ev-07", "secretsmanager", "GetSecretValue", evil, from("203.0.113.50"), params("secretId", "prod/db")),
		call(61, "ev-08", "secretsmanager", "GetSecretValue", evil, from("203.0.113.50"), params("secretId", "prod/api")),
		call(70, "ev-09", "ec2", "ModifySnapshotAttribute", evil, from("203.0.113.50"), params("snapshotId", "snap-0abc")),
		call(20, "ev-10", "iam", "ListUsers", user("carol", "AKIACAROL"), from("192.0.2.1")),
		call(21, "ev-11", "secretsmanager", "GetSecretValue", user("dan", "AKIADAN"), from("192.0.2.2"), params("secretId", "\x1b[2J=cmd|<script>alert(1)</script>\u202e")),
	}
}

func render(t testing.TB, format string, r *incident.Report) string {
	t.Helper()
	var b bytes.Buffer
	w, err := report.New(format, &b, report.Run{Tool: "bartizan", Version: "1", Command: "detect", Source: "log", Time: start}, report.Options{})
	if err != nil {
		t.Fatal(err)
	}
	res := &report.Result{Incidents: r.Incidents}
	var tally finding.Tally
	for _, a := range r.Alone {
		res.Alone = append(res.Alone, report.Alone{Finding: a.Finding, Count: a.Count, Note: a.Automation})
		tally.Add(a.Finding)
		if err := w.Write(a.Finding); err != nil {
			t.Fatal(err)
		}
	}
	res.Summary = tally.Summary()
	if err := w.Close(res); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	r := run(t, incident.Options{Automation: automation(t)}, story()...)
	for _, format := range []string{"table", "markdown", "json"} {
		got := render(t, format, r)
		file := "testdata/story." + format
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s differs; run with -update and read the difference (-want +got):\n%s", file, diff)
		}
	}
	for _, format := range []string{"table", "markdown", "html"} {
		out := render(t, format, r)
		if strings.ContainsAny(out, "\x1b\u202e") || format == "html" && strings.Contains(out, "<script>alert") {
			t.Errorf("%s lets a hostile value through", format)
		}
	}
	for n, line := range strings.Split(render(t, "table", r), "\n") {
		if w := report.Columns(line); w > 80 {
			t.Errorf("line %d has %d columns: %q", n+1, w, line)
		}
	}
}

// TestOrderDoesNotMatter: the same records in any order, some delivered twice,
// give the same incidents.
func TestOrderDoesNotMatter(t *testing.T) {
	want := render(t, "json", run(t, incident.Options{}, story()...))
	rapid.Check(t, func(rt *rapid.T) {
		records := story()
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		records = append(records, records[rng.IntN(len(records))])
		rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		if diff := cmp.Diff(want, render(t, "json", run(t, incident.Options{}, records...))); diff != "" {
			rt.Fatalf("order shows:\n%s", diff)
		}
	})
}

// TestBounds: what does not fit is counted, a rule that many match leaves room for
// the others, and what is grave has room left.
func TestBounds(t *testing.T) {
	var records []record
	add := func(i int, service, name string) {
		who := user(fmt.Sprintf("u%03d", i), fmt.Sprintf("AKIA%03d", i))
		records = append(records, call(i, fmt.Sprintf("%s%d", name, i), service, name, who))
	}
	for i := range 50 {
		who := user(fmt.Sprintf("u%03d", i), fmt.Sprintf("AKIA%03d", i))
		records = append(records, call(i, fmt.Sprintf("a%d", i), "sts", "AssumeRole", who, assumed("ops", fmt.Sprint(i), fmt.Sprintf("ASIA%02d", i))))
		add(i, "iam", "ListUsers")
		add(i, "ec2", "RunInstances")
		add(i, "secretsmanager", "GetSecretValue")
		add(i, "iam", "CreateUser")
	}
	add(51, "cloudtrail", "DeleteTrail") // high, and after all the others
	r := run(t, incident.Options{MaxSteps: 20, MaxLinks: 10}, records...)
	// Of 20 steps, low rules may fill ten and medium ones fifteen, each five.
	if want := int64(200 - 15); r.Dropped != want || r.Forgotten == 0 {
		t.Errorf("dropped %d, forgotten %d; want %d and some", r.Dropped, r.Forgotten, want)
	}
	if text := render(t, "json", r); !strings.Contains(text, "DeleteTrail51") {
		t.Errorf("the grave detection is in none:\n%s", text)
	}
}

// BenchmarkIncidents is the cost of incidents for a whole run, per event: with
// them off, and on.
func BenchmarkIncidents(b *testing.B) {
	var records []record
	for i := range 2000 {
		who := user(fmt.Sprintf("u%d", i%50), fmt.Sprintf("AKIA%d", i%50))
		id := fmt.Sprint("id", i)
		switch i % 40 {
		case 0:
			records = append(records, call(i, id, "secretsmanager", "GetSecretValue", who, params("secretId", id)))
		case 1:
			records = append(records, call(i, id, "sts", "AssumeRole", who, assumed("ops", id, "ASIA"+id)))
		default:
			records = append(records, call(i, id, "ec2", "DescribeInstances", who))
		}
	}
	data, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		b.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		b.Run(fmt.Sprintf("on=%v", on), func(b *testing.B) {
			list := rules(b)
			if !on {
				list = list[:len(list)-1]
			}
			engine, err := sigma.Compile(list, sigma.Options{Fields: append(detect.Fields(), incident.Fields()...)})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				join := incident.New(incident.Options{})
				opt := detect.Options{}
				if on {
					opt = detect.Options{Keep: join.Keep, Bare: incident.IsLinkRule}
				}
				_, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("log", bytes.NewReader(data))}, engine, opt, func(m *detect.Match) error {
					if on {
						join.Add(m)
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				join.Finish()
			}
			b.ReportMetric(float64(len(records)*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
