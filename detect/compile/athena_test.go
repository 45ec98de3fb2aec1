package compile_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// python returns the interpreter of the test environment, in which a module is.
func python(t *testing.T, module string) string {
	t.Helper()
	dir := os.Getenv("BARTIZAN_MOTO_VENV")
	if dir == "" {
		dir = "../../.venv"
	}
	bin := filepath.Join(dir, "bin", "python3")
	if out, err := exec.Command(bin, "-c", "import "+module).CombinedOutput(); err != nil {
		t.Fatalf("%s has no module %s (%v %s): 'make test' prepares it from requirements-test.txt; BARTIZAN_MOTO_VENV names another one", bin, module, err, bytes.TrimSpace(out))
	}
	return bin
}

type rows struct {
	numbers []int
	err     string
}

func (r *rows) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, &r.numbers)
	}
	var e struct{ Error string }
	err := json.Unmarshal(b, &e)
	r.err = e.Error
	return err
}

func duckdb(t *testing.T, events []map[string]any, queries map[string]string) map[string]rows {
	t.Helper()
	in, err := json.Marshal(map[string]any{"events": events, "queries": queries})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python(t, "duckdb"), "testdata/athena.py")
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.Bytes())
	}
	var got map[string]rows
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestAthenaAgrees runs every query in DuckDB over the sample events: exact ones
// find what the engine finds, wider ones at least that. DuckDB is not Trino; the
// script beside this test says which functions it renames.
func TestAthenaAgrees(t *testing.T) {
	c := samples(t)
	var events []map[string]any
	for _, s := range c.of(event.CloudTrail) {
		events = append(events, s.doc)
	}
	queries := map[string]string{}
	fidelity := map[string]compile.Fidelity{}
	count := map[compile.Fidelity]int{}
	for _, r := range compile.Rules(c.rules, compile.Athena) {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		if r.SQL != "" && r.Rule.Correlation == nil && !strings.Contains(r.SQL, "vpc_flow_logs") {
			queries[r.RuleID], fidelity[r.RuleID] = r.SQL, r.Fidelity
		}
	}
	matches, more := 0, 0
	for rule, found := range duckdb(t, events, queries) {
		if found.err != "" {
			t.Errorf("%s: %s\n%s", rule, found.err, queries[rule])
			continue
		}
		got := map[int]bool{}
		for _, n := range found.numbers {
			got[n] = true
		}
		for i, s := range c.of(event.CloudTrail) {
			switch want := s.hits[rule]; {
			case want && !got[i]:
				t.Errorf("%s misses %s\n%s", rule, s.raw, queries[rule])
			case got[i] && !want && fidelity[rule] == compile.Exact:
				t.Errorf("%s is exact but finds %s\n%s", rule, s.raw, queries[rule])
			case got[i] && !want:
				more++
			case want:
				matches++
			}
		}
	}
	if matches < 300 {
		t.Errorf("%d matches compared: too few to mean much", matches)
	}
	t.Logf("%v; %d queries over %d events, %d matches agree, %d more are found by wider queries", count, len(queries), len(events), matches, more)
}

// TestAthenaCounts: the window function finds the burst that the correlation
// finds, and nothing where the calls are too far apart.
func TestAthenaCounts(t *testing.T) {
	rules, err := sigma.Parse("x.yml", []byte(`title: base
name: base
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventName: DeleteLogGroup}
  condition: s
---
title: many
name: many
correlation: {type: event_count, rules: [base], group-by: [userIdentity.arn], timespan: 10m, condition: {gte: 3}}
`))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	results := compile.Rules(engine.Rules(), compile.Athena)
	var many compile.Result
	for _, r := range results {
		if r.RuleID == "many" {
			many = r
		}
	}
	if many.SQL == "" {
		t.Fatalf("%+v", many)
	}
	var events []map[string]any
	add := func(user, at string) {
		events = append(events, map[string]any{"eventName": "DeleteLogGroup", "eventTime": at, "userIdentity": map[string]any{"arn": user}})
	}
	for _, at := range []string{"2026-01-01T10:00:00Z", "2026-01-01T10:05:00Z", "2026-01-01T10:10:00Z"} {
		add("burst", at)
	}
	for _, at := range []string{"2026-01-01T10:00:00Z", "2026-01-01T10:05:00Z", "2026-01-01T10:10:01Z"} {
		add("slow", at)
	}
	got := duckdb(t, events, map[string]string{"many": many.SQL})["many"]
	if got.err != "" || len(got.numbers) != 1 || got.numbers[0] != 2 {
		t.Errorf("%v %s, want the third event of the burst, number 2\n%s", got.numbers, got.err, many.SQL)
	}
}
