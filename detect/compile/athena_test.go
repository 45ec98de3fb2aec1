package compile_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
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
	groups  [][]any
	err     string
}

func (r *rows) UnmarshalJSON(b []byte) error {
	if b[0] == '[' {
		return json.Unmarshal(b, &r.numbers)
	}
	var e struct {
		Error  string
		Groups [][]any
	}
	err := json.Unmarshal(b, &e)
	r.err, r.groups = e.Error, e.Groups
	return err
}

type query struct {
	SQL   string `json:"sql"`
	Table string `json:"table"`
	Own   [2]int `json:"own"`
}

// tableOf is the table that AWS documents for a log.
var tableOf = map[event.Kind]string{event.CloudTrail: "cloudtrail_logs", event.VPCFlow: "vpc_flow_logs", event.ALB: "alb_access_logs",
	event.S3Access: "mybucket_logs", event.DNS: "r53_rlogs", event.WAF: "waf_logs", event.GuardDuty: "gd_logs", event.SecurityHub: "securityhub_findings"}

// database is what testdata/athena.py reads.
type database struct {
	Tables  map[string][]any `json:"tables"`
	Shared  map[string]int   `json:"shared"`
	Queries map[string]query `json:"queries"`
}

func (d database) run(t *testing.T) map[string]rows {
	t.Helper()
	in, err := json.Marshal(d)
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

// TestAthenaAgrees runs every query in DuckDB over the sample events of its log
// and what is near the rule's own examples: exact ones find what the engine
// finds, wider ones at least that. DuckDB is not Trino; the script beside this
// test says which functions it renames.
func TestAthenaAgrees(t *testing.T) {
	c := samples(t)
	d := database{map[string][]any{}, map[string]int{}, map[string]query{}}
	seen := map[string][]*sample{} // by table
	for kind, table := range tableOf {
		seen[table] = append(seen[table], c.of(kind)...)
		d.Shared[table] = len(seen[table])
	}
	results := map[string]compile.Result{}
	count := map[compile.Fidelity]int{}
	for i, r := range compile.Rules(c.rules, compile.Athena) {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		if r.SQL == "" || r.Rule.Correlation != nil || kindOf(r.Rule) == event.CloudTrail && i%min(thin(), 6) != 0 {
			continue
		}
		table := tableOf[kindOf(r.Rule)]
		own := c.mutants(t, r.Rule, 80)
		d.Queries[r.RuleID] = query{r.SQL, table, [2]int{len(seen[table]), len(seen[table]) + len(own)}}
		seen[table] = append(seen[table], own...)
		results[r.RuleID] = r
	}
	for table, list := range seen {
		for _, s := range list {
			if s.raw[0] == '{' { // in the order of the record
				d.Tables[table] = append(d.Tables[table], json.RawMessage(s.raw))
			} else {
				d.Tables[table] = append(d.Tables[table], s.doc)
			}
		}
	}
	total := map[string]*verdict{}
	for rule, found := range d.run(t) {
		q := d.Queries[rule]
		if found.err != "" {
			t.Errorf("%s: %s\n%s", rule, found.err, q.SQL)
			continue
		}
		got := map[int]bool{}
		for _, n := range found.numbers {
			got[n] = true
		}
		if total[q.Table] == nil {
			total[q.Table] = &verdict{}
		}
		wrong := faults(t, rule, q.SQL)
		for i, s := range seen[q.Table] {
			if i < d.Shared[q.Table] || i >= q.Own[0] && i < q.Own[1] {
				total[q.Table].compare(results[rule].Fidelity == compile.Exact, s.hits[rule], got[i], wrong, s)
			}
		}
	}
	for table, least := range map[string]int{"cloudtrail_logs": 10_000, "vpc_flow_logs": 1000, "alb_access_logs": 200, "mybucket_logs": 200, "r53_rlogs": 200} {
		if v := total[table]; v == nil || v.matches < least/(10*thin()-9) {
			t.Errorf("%s: %v: too few to mean much", table, v)
		}
	}
	t.Logf("%v; %d queries", count, len(d.Queries))
	for table, v := range total {
		t.Logf("%s: %v", table, v)
	}
}
