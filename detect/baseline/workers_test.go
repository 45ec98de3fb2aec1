package baseline_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

// extractors is what a Learner and a Judge have in common.
type extractors interface{ Extractor() *baseline.Extractor }

// read gives files to the Extractors of several workers.
func read(t *testing.T, files []string, workers int, to extractors) {
	t.Helper()
	engine, err := sigma.Compile(nil, sigma.Options{Fields: append(detect.Fields(), baseline.Fields()...)})
	if err != nil {
		t.Fatal(err)
	}
	var sources []logs.Source
	for i, text := range files {
		sources = append(sources, logs.FromReader(fmt.Sprint(i, ".json"), strings.NewReader(text)))
	}
	opt := detect.Options{Workers: workers, Gather: func() detect.Gatherer { return to.Extractor() }, Problem: func(p logs.Problem) { t.Error(p) }}
	if _, err := detect.Run(context.Background(), sources, engine, opt, func(*detect.Match) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

// cut makes files of events, of one event to some hundred, with a delivery that
// came before here and there.
func cut(t *testing.T, rng *rand.Rand, events []ev) (files []string, all []ev) {
	t.Helper()
	for len(events) > 0 {
		n := 1 + rng.IntN(min(700, len(events)))
		part := append([]ev{}, events[:n]...)
		for range rng.IntN(4) {
			if len(all) > 0 {
				part = append(part, all[rng.IntN(len(all))])
			}
		}
		var b strings.Builder
		for _, v := range part {
			b.Write(v.text(t))
			b.WriteByte('\n')
		}
		files, all, events = append(files, b.String()), append(all, part...), events[n:]
	}
	return files, all
}

// TestWorkers: however many processors read, the state and the findings are those
// of reading one event after the other.
func TestWorkers(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	past := usual()
	var now []ev
	for i := range 3000 {
		v := ev{at: monday.AddDate(0, 0, 42).Add(time.Duration(i*80+rng.IntN(9000)) * time.Second), id: fmt.Sprint("n", i),
			who:  pick("bob", "ann", "app/run", "app/"+fmt.Sprint(i), "night/x", "AWSReservedSSO_Dev_1/eve@acme.example", fmt.Sprint("new", i%50)),
			call: pick("iam:CreateUser", "iam:ListUsers", "ec2:RunInstances", "secretsmanager:GetSecretValue", "s3:GetObject", fmt.Sprint("ec2:Describe", i%90)),
			from: pick("", "203.0.113.9", "192.0.2.77", "2001:db8::1"), region: pick("", "ap-east-1"), agent: pick("", "Boto3/1", "curl/8"), err: pick("", "", "AccessDenied")}
		switch v.call {
		case "secretsmanager:GetSecretValue":
			v.secret = fmt.Sprint("k", rng.IntN(30))
		case "s3:GetObject":
			v.bucket = fmt.Sprint("b", rng.IntN(30))
		}
		now = append(now, v)
	}
	places, err := baseline.ReadPlaces(strings.NewReader("198.51.100.0/24,52.37,4.90\n203.0.113.0/24,-33.87,151.21\n"))
	if err != nil {
		t.Fatal(err)
	}
	opt := baseline.Options{Threshold: 0.1, Places: places}
	pastFiles, past := cut(t, rng, past)
	nowFiles, now := cut(t, rng, now)
	state := learn(t, past)
	want, _ := judge(t, state, opt, now)
	if len(want) < 100 {
		t.Fatalf("only %d findings", len(want))
	}
	for _, workers := range rng.Perm(8) {
		s := baseline.New()
		l := baseline.NewLearner(s)
		read(t, pastFiles, workers+1, l)
		l.Finish()
		var a, b bytes.Buffer
		if err := state.Write(&a); err != nil {
			t.Fatal(err)
		}
		if err := s.Write(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Errorf("%d workers learned (-want +got):\n%s", workers+1, cmp.Diff(state, s, sameState))
		}
		var got []*finding.Finding
		j := baseline.NewJudge(s, opt, func(f *finding.Finding) error { got = append(got, f); return nil })
		read(t, nowFiles, workers+1, j)
		if err := j.Finish(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d workers judged (-want +got):\n%s", workers+1, diff)
		}
	}
}
