package catalog_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/incident"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

// incidentCase is a day after five ordinary weeks (see ordinary) that has to become
// one incident, and one that must become none.
type incidentCase struct {
	name    string
	day     []deed
	actor   string   // who began it
	tactics []string // among those of the incident
	rules   []string // among the steps of the timeline
	why     string   // the near miss is none
	near    []deed
}

var incidentCases = []incidentCase{
	{name: "stolen-key", actor: "arn:aws:iam::111122223333:user/mark",
		day: []deed{
			{at: "22:08", who: "mark", call: "sts:GetCallerIdentity", from: foreign, agent: stolen},
			{at: "22:10", who: "mark", call: "iam:ListUsers", from: foreign, agent: stolen}, {at: "22:10", who: "mark", call: "iam:ListRoles", from: foreign, agent: stolen},
			{at: "22:12", who: "mark", call: "iam:AttachUserPolicy", request: `{"userName":"mark","policyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}`, from: foreign, agent: stolen},
			{at: "22:15", who: "mark", call: "iam:CreateAccessKey", request: `{"userName":"lena"}`, from: foreign, agent: stolen},
			{at: "22:19", who: "mark", call: "cloudtrail:StopLogging", request: `{"name":"arn:aws:cloudtrail:eu-west-1:111122223333:trail/main"}`, from: foreign, agent: stolen},
		},
		tactics: []string{"privilege-escalation", "persistence"},
		rules:   []string{"iam_admin_policy_attached", "iam_access_key_created_for_another_user", "cloudtrail_logging_stopped", "baseline/new-calls"},
		why:     "The platform team makes a key and lists roles, as every week, and the deployment does its daily work.",
		near: []deed{
			{at: "11:10", who: "Platform/tom", call: "iam:CreateAccessKey", request: `{"userName":"ci"}`}, {at: "13:11", who: "Platform/tom", call: "iam:ListRoles"},
			{at: "12:00", who: "role/deploy/gha", call: "cloudformation:UpdateStack", request: `{"stackName":"shop"}`, times: 30, from: runner, agent: app},
		}},
	{name: "data-taken-and-destroyed", actor: "EC2 instance i-0a1b2c3d4e5f67890",
		day: []deed{
			{at: "23:30", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:ListBuckets", from: foreign, agent: stolen},
			{at: "23:32", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetObject", request: `{"bucketName":"acme-tenant-{i}","key":"all.parquet"}`, times: 40, from: foreign, agent: stolen},
			{at: "23:40", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:DeleteBucketPolicy", request: `{"bucketName":"acme-orders"}`, from: foreign, agent: stolen},
			{at: "23:41", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:DeleteObject", request: `{"bucketName":"acme-orders","key":"{i}.json"}`, times: 59, from: foreign, agent: stolen},
			{at: "23:43", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:DeleteObject", request: `{"bucketName":"acme-orders","key":"b{i}.json"}`, times: 59, from: foreign, agent: stolen},
			{at: "23:45", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:DeleteObject", request: `{"bucketName":"acme-orders","key":"c{i}.json"}`, times: 59, from: foreign, agent: stolen},
			{at: "23:50", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:PutObject", request: `{"bucketName":"acme-orders","key":"HOW_TO_RECOVER_YOUR_FILES.txt"}`, from: foreign, agent: stolen},
		},
		tactics: []string{"impact"},
		rules:   []string{"s3_ransom_note_uploaded", "instance_credentials_used_elsewhere"},
		why:     "The shop reads and writes, as every day, and the export deletes what it wrote before.",
		near: []deed{
			{at: "06:00", who: "role/shop/i-0a1b2c3d4e5f67890", call: "s3:GetObject", request: `{"bucketName":"acme-site","key":"{i}.html"}`, times: 20, from: inside, agent: app},
			{at: "02:20", who: "role/nightly-export/run", call: "s3:DeleteObject", request: `{"bucketName":"acme-exports","key":"old-{i}"}`, times: 9, from: inside, agent: app},
		}},
}

// incidentsOf runs the whole pack and the baseline over a day.
func incidentsOf(t testing.TB, deeds []deed) []*finding.Incident {
	t.Helper()
	rules, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	link, err := incident.LinkRule()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(append(rules, link), sigma.Options{Fields: slices.Concat(detect.Fields(), baseline.Fields(), incident.Fields())})
	if err != nil {
		t.Fatal(err)
	}
	known, err := incident.ParseAutomation("built in", catalog.Automation)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, d := range deeds {
		b.WriteString(d.records(t, firstMonday.AddDate(0, 0, 37)))
	}
	join := incident.New(incident.Options{Automation: known})
	judge := baseline.NewJudge(ordinaryState(t), baseline.Options{}, func(f *finding.Finding) error { join.AddFinding(f); return nil })
	_, err = detect.Run(context.Background(), []logs.Source{logs.FromReader("log", strings.NewReader(b.String()))}, engine,
		detect.Options{Workers: 1, Gather: func() detect.Gatherer { return judge.Extractor() }, Keep: join.Keep, Bare: incident.IsLinkRule},
		func(m *detect.Match) error { join.Add(m); return nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := judge.Finish(); err != nil {
		t.Fatal(err)
	}
	return join.Finish().Incidents
}

// checkIncident proves a claim: the day of a case is one incident of whoever began
// it, with the tactics and steps that make the attack, and evidence for each step.
func checkIncident(t *testing.T, typ string, name string) {
	t.Helper()
	i := slices.IndexFunc(incidentCases, func(c incidentCase) bool { return c.name == name })
	if i < 0 {
		t.Errorf("%s: there is no incident case %s", typ, name)
		return
	}
	c := incidentCases[i]
	got := incidentsOf(t, c.day)
	if len(got) != 1 {
		t.Errorf("%s: case %s gives %d incidents, want 1", typ, name, len(got))
		return
	}
	in := got[0]
	if in.Actor != c.actor {
		t.Errorf("%s: the incident of case %s is of %s, not %s", typ, name, in.Actor, c.actor)
	}
	for _, tactic := range c.tactics {
		if !slices.Contains(in.Tactics, tactic) {
			t.Errorf("%s: case %s lacks tactic %s: %q", typ, name, tactic, in.Tactics)
		}
	}
	for _, rule := range c.rules {
		if !slices.ContainsFunc(in.Timeline, func(s finding.IncidentStep) bool { return s.RuleID == rule && len(s.EventIDs) > 0 }) {
			var all []string
			for _, s := range in.Timeline {
				all = append(all, s.RuleID)
			}
			t.Errorf("%s: case %s lacks a step of %s with its events: %q", typ, name, rule, all)
		}
	}
	if in.Severity.Rank() < finding.SeverityHigh.Rank() {
		t.Errorf("%s: case %s is %s", typ, name, in.Severity)
	}
}

// TestIncidentNearMisses: every case is claimed, and ordinary work becomes no
// incident.
func TestIncidentNearMisses(t *testing.T) {
	rows, _, _ := readCoverage(t)
	for _, c := range incidentCases {
		if !slices.ContainsFunc(rows, func(r coverageRow) bool {
			return slices.ContainsFunc(r.Claims, func(cl claim) bool { return cl.Incident == c.name })
		}) {
			t.Errorf("no finding type claims case %s", c.name)
		}
		if c.why == "" || len(c.near) == 0 {
			t.Errorf("%s has no near miss with a reason", c.name)
		}
		for _, in := range incidentsOf(t, c.near) {
			t.Errorf("%s: the near miss is an incident: %s, %s", c.name, in.Title, in.Severity)
		}
	}
}
