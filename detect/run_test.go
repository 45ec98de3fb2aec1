package detect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

func compile(t testing.TB, rules string) *sigma.Engine {
	t.Helper()
	parsed, err := sigma.Parse("t.yml", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	g, err := sigma.Compile(parsed, sigma.Options{Fields: detect.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func run(t testing.TB, g *sigma.Engine, opt detect.Options, texts ...string) ([]*finding.Finding, detect.Stats) {
	t.Helper()
	var sources []logs.Source
	for i, text := range texts {
		sources = append(sources, logs.FromReader(fmt.Sprintf("f%d", i), strings.NewReader(text)))
	}
	var out []*finding.Finding
	stats, err := detect.Run(context.Background(), sources, g, opt, func(m *detect.Match) error {
		out = append(out, m.Finding)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, stats
}

const createUser = `
title: User created
name: user_created
tags: [attack.persistence, attack.t1136.003]
logsource: {product: aws, service: cloudtrail}
detection: {sel: {eventSource: iam.amazonaws.com, eventName: CreateUser}, condition: sel}
level: high
response: Ask.
`

func record(id, name string) string {
	return `{"eventVersion":"1.08","eventID":"` + id + `","eventName":"` + name + `","eventSource":"iam.amazonaws.com","eventTime":"2024-01-02T03:04:05Z","awsRegion":"us-east-1","recipientAccountId":"123456789012","sourceIPAddress":"192.0.2.1","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::123456789012:assumed-role/r/s","sessionContext":{"sessionIssuer":{"arn":"arn:aws:iam::123456789012:role/r"}}},"requestParameters":{"userName":"eve"}}`
}

func TestFinding(t *testing.T) {
	found, _ := run(t, compile(t, createUser), detect.Options{}, record("e1", "CreateUser"))
	if len(found) != 1 {
		t.Fatalf("%d findings", len(found))
	}
	f := found[0]
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"ruleId":"user_created"`, `"severity":"high"`, `"techniques":["T1136.003"]`, `"eventIds":["e1"]`, `"time":"2024-01-02T03:04:05Z"`,
		`"actor":"arn:aws:sts::123456789012:assumed-role/r/s"`, `"type":"AWS::IAM::User","id":"eve","account":"123456789012","region":"us-east-1"`,
		`{"path":"eventName","value":"CreateUser"}`, `{"path":"userIdentity.sessionContext.sessionIssuer.arn","value":"arn:aws:iam::123456789012:role/r"}`,
		`"fix":{"text":"Ask."}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the finding lacks %s:\n%s", want, text)
		}
	}
	if f.Fingerprint != finding.Fingerprint("user_created", "e1") {
		t.Error("the fingerprint is not that of rule and event")
	}
}

func TestDeliveredTwice(t *testing.T) {
	g := compile(t, createUser)
	one := record("e1", "CreateUser")
	for _, texts := range [][]string{{one + "\n" + one}, {one, one}, {one, record("e2", "Other") + one}} {
		found, stats := run(t, g, detect.Options{Workers: 2}, texts...)
		if len(found) != 1 || stats.Duplicates != 1 {
			t.Errorf("%d findings, %+v", len(found), stats)
		}
	}
}

// TestSameIDOtherEvent states that events which share an id, as anonymised ones
// do, but differ in name or time are not taken for one.
func TestSameIDOtherEvent(t *testing.T) {
	g := compile(t, createUser)
	later := strings.Replace(record("e1", "CreateUser"), "03:04:05", "03:04:06", 1)
	if found, stats := run(t, g, detect.Options{}, record("e1", "CreateUser")+later); len(found) != 2 || stats.Duplicates != 0 {
		t.Errorf("%d findings, %+v", len(found), stats)
	}
}

// TestOrder states that matches come in the order of sources and records,
// whatever the number of workers.
func TestOrder(t *testing.T) {
	g := compile(t, createUser)
	var texts, want []string
	for i := range 60 {
		var b strings.Builder
		for k := range 1 + i*7%40 {
			id := fmt.Sprintf("e%d-%d", i, k)
			b.WriteString(record(id, []string{"CreateUser", "GetUser"}[k%2]) + "\n")
			if k%2 == 0 {
				want = append(want, id)
			}
		}
		texts = append(texts, b.String())
	}
	for _, workers := range []int{1, 2, 7} {
		found, stats := run(t, g, detect.Options{Workers: workers}, texts...)
		var got []string
		for _, f := range found {
			got = append(got, f.EventIDs[0])
		}
		if strings.Join(got, " ") != strings.Join(want, " ") || stats.Files != 60 {
			t.Errorf("%d workers: %d matches in another order, want %d; %+v", workers, len(got), len(want), stats)
		}
	}
}

func TestCorrelationFinding(t *testing.T) {
	g := compile(t, createUser+"---\ntitle: Many users created\nname: many\nlevel: critical\ncorrelation:\n  type: event_count\n  rules: [user_created]\n  group-by: [userIdentity.arn]\n  timespan: 1h\n  condition: {gte: 3}\n")
	found, _ := run(t, g, detect.Options{}, record("e1", "CreateUser"), record("e2", "CreateUser"), record("e3", "CreateUser"))
	if len(found) != 1 || found[0].RuleID != "many" || strings.Join(found[0].EventIDs, " ") != "e1 e2 e3" || found[0].Severity != finding.SeverityCritical {
		t.Fatalf("%+v", found)
	}
	if found[0].Actor != "arn:aws:sts::123456789012:assumed-role/r/s" || found[0].Resource.Account != "123456789012" {
		t.Errorf("%+v", found[0])
	}
}

// gatherer hands on the ids of events, two at a time.
type gatherer struct {
	ids  []string
	take func([]string) error
}

func (g *gatherer) Add(e *detect.Event) bool {
	g.ids = append(g.ids, e.ID())
	return len(g.ids) == 2
}

func (g *gatherer) Cut() func() error {
	ids := g.ids
	if g.ids = nil; ids == nil {
		return nil
	}
	return func() error { return g.take(ids) }
}

// TestGather: what workers gather is handed on whole and in the order of the
// sources, however many they are; an error ends the run.
func TestGather(t *testing.T) {
	var texts []string
	var want strings.Builder
	for i := range 40 {
		text := ""
		for k := range i % 7 {
			text += record(fmt.Sprintf("%d.%d", i, k), "CreateUser")
			fmt.Fprintf(&want, "%d.%d ", i, k)
		}
		texts = append(texts, text)
	}
	g := compile(t, createUser)
	for _, workers := range []int{1, 2, 3, 8} {
		var got strings.Builder
		opt := detect.Options{Workers: workers, Gather: func() detect.Gatherer {
			return &gatherer{take: func(ids []string) error {
				for _, id := range ids {
					got.WriteString(id + " ")
				}
				return nil
			}}
		}}
		found, _ := run(t, g, opt, texts...)
		if got.String() != want.String() || len(found) != strings.Count(want.String(), " ") {
			t.Errorf("%d workers: %d findings, gathered %s, want %s", workers, len(found), got.String(), want.String())
		}
	}
	enough := errors.New("enough")
	opt := detect.Options{Gather: func() detect.Gatherer { return &gatherer{take: func([]string) error { return enough }} }}
	if _, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("x", strings.NewReader(texts[6]))}, g, opt, func(*detect.Match) error { return nil }); !errors.Is(err, enough) {
		t.Errorf("the error of what was gathered: %v", err)
	}
}

func TestStops(t *testing.T) {
	g := compile(t, createUser)
	var texts []string
	for i := range 50 {
		texts = append(texts, strings.Repeat(record(fmt.Sprint("e", i), "CreateUser")+"\n", 500))
	}
	var sources []logs.Source
	for i, text := range texts {
		sources = append(sources, logs.FromReader(fmt.Sprint(i), strings.NewReader(text)))
	}
	enough := fmt.Errorf("enough")
	if _, err := detect.Run(context.Background(), sources, g, detect.Options{Workers: 3}, func(*detect.Match) error { return enough }); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Errorf("a callback's error: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := detect.Run(ctx, sources, g, detect.Options{}, func(*detect.Match) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

func TestLoadRules(t *testing.T) {
	fsys := fstest.MapFS{
		"b.yml":          {Data: []byte(createUser)},
		"a/bad.yml":      {Data: []byte("title: x")},
		"b.examples.yml": {Data: []byte("positive: []")},
		".git/x.yml":     {Data: []byte("title: x")},
		"readme.md":      {Data: []byte("x")},
	}
	rules, err := detect.LoadRules(fsys, ".", "mine")
	if len(rules) != 1 || rules[0].File != "mine/b.yml" || err == nil || !strings.Contains(err.Error(), "mine/a/bad.yml:1:1") {
		t.Errorf("%v, %v", rules, err)
	}
}

// TestSharedLogs runs the public rules over the recorded intrusion.
func TestSharedLogs(t *testing.T) {
	g := allRules(t)
	sources, err := logs.Files(thirdparty.Path(t, "cloudtrail/invictus"))
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]int{}
	stats, err := detect.Run(context.Background(), sources, g, detect.Options{Problem: func(p logs.Problem) { t.Error(p) }}, func(m *detect.Match) error {
		rules[m.Rule.Title]++
		if len(m.Finding.EventIDs) == 0 || m.Finding.Actor == "" || m.Finding.Time.IsZero() || len(m.Finding.Evidence) == 0 {
			t.Errorf("an incomplete finding: %+v", m.Finding)
		}
		return nil
	})
	if err != nil || stats.Events < 2900 {
		t.Fatal(stats, err)
	}
	for _, want := range []string{"AWS CloudTrail Important Change", "AWS VPC Flow Logs Deleted", "AWS Successful Console Login Without MFA", "AWS STS AssumeRole Misuse"} {
		if rules[want] == 0 {
			t.Errorf("%q found nothing in the recorded intrusion; found %v", want, rules)
		}
	}
}

// TestLargeCompressedFile reads a file that is larger than what is read ahead,
// whole and cut short.
func TestLargeCompressedFile(t *testing.T) {
	g := compile(t, createUser)
	files := corpus(30_000, 30_000, 0)
	for _, c := range []struct {
		text     string
		problems int64
	}{{string(files[0]), 0}, {string(files[0][:len(files[0])-1000]), 1}} {
		var problems []string
		_, stats := run(t, g, detect.Options{Problem: func(p logs.Problem) { problems = append(problems, p.Error()) }}, c.text)
		if stats.Malformed < c.problems || c.problems == 0 && (stats.Malformed > 0 || stats.Events != 30_000) || stats.Events < 29_000 {
			t.Errorf("%+v %v", stats, problems)
		}
	}
}
