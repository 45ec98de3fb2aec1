package compile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
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
	event.S3Access: "mybucket_logs", event.DNS: "r53_rlogs"}

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

// TestAthenaCounts: whatever burst a correlation finds in a random stream, its
// query finds within the same time and group.
func TestAthenaCounts(t *testing.T) {
	var docs []string
	n := 0
	for _, kind := range []string{"cloudtrail", "vpcflow"} {
		group, field, number := "userIdentity.arn", "requestParameters.key", "requestParameters.size"
		base := "  s: {eventName: GetObject}"
		if kind == "vpcflow" {
			group, field, number, base = "srcaddr", "dstport", "bytes", "  s: {action: ACCEPT}"
		}
		for _, condition := range []string{"event_count, condition: {gte: 4}", "event_count, condition: {gt: 4}", "value_count, condition: {gte: 4, field: " + field + "}",
			"value_count, condition: {gt: 2, field: [" + field + ", " + number + "]}", "value_sum, condition: {gte: 900, field: " + number + "}"} {
			for _, by := range []string{"group-by: [" + group + "], ", ""} {
				n++
				docs = append(docs, fmt.Sprintf("title: base\nname: base%d\nlogsource: {product: aws, service: %s}\ndetection:\n%s\n  condition: s\n---\ntitle: c\nname: %s_%d\ncorrelation: {type: %s, rules: [base%d], %stimespan: 10m}\n",
					n, kind, base, kind, n, condition, n, by))
			}
		}
	}
	rules, err := sigma.Parse("x.yml", []byte(strings.Join(docs, "---\n")))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{Fields: detect.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	var trail, flow strings.Builder
	d := database{map[string][]any{}, map[string]int{}, map[string]query{}}
	at := 1_767_261_600
	for i := range 600 {
		at += rng.IntN(90)
		if rng.IntN(40) == 0 {
			at += 1200
		}
		user, key, size := rng.IntN(5), rng.IntN(12), rng.IntN(400)
		parameters := fmt.Sprintf(`{"key":"k%d","size":%d}`, key, size)
		switch rng.IntN(12) {
		case 0:
			parameters = fmt.Sprintf(`{"key":["k%d","x"],"size":["%d",17]}`, key, size)
		case 1:
			parameters = fmt.Sprintf(`{"key":{"k":%d},"size":null}`, key)
		case 2:
			parameters = "null"
		}
		fmt.Fprintf(&trail, `{"eventVersion":"1.11","eventID":"e%d","eventSource":"s3.amazonaws.com","eventName":"GetObject","eventTime":"%s","userIdentity":{"arn":"u%d"},"requestParameters":%s}`+"\n",
			i, time.Unix(int64(at), 0).UTC().Format(time.RFC3339), user, parameters)
		port := strconv.Itoa(key)
		if rng.IntN(12) == 0 {
			port = "-"
		}
		fmt.Fprintf(&flow, "2 111122223333 eni-1 10.0.0.%d 10.0.9.9 %d %s 6 5 %d %d %d ACCEPT OK\n", user, 1024+i, port, size, at, at)
	}
	var times [2][]time.Time // by table: of the records
	for i, src := range []string{trail.String(), flow.String()} {
		table := []string{"cloudtrail_logs", "vpc_flow_logs"}[i]
		r := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
			s, err := newSample(e)
			if s.raw[0] == '{' {
				d.Tables[table] = append(d.Tables[table], json.RawMessage(s.raw))
			} else {
				d.Tables[table] = append(d.Tables[table], s.doc)
			}
			times[i] = append(times[i], e.Time())
			return err
		}}
		if _, err := r.Read(t.Context(), logs.FromReader(table, strings.NewReader(src))); err != nil {
			t.Fatal(err)
		}
		d.Shared[table] = len(d.Tables[table])
	}
	for _, r := range compile.Rules(engine.Rules(), compile.Athena) {
		if r.SQL == "" {
			t.Errorf("%s: %s %v", r.RuleID, r.Fidelity, r.Reasons)
			continue
		}
		d.Queries[r.RuleID] = query{SQL: r.SQL, Table: tableOf[kindOf(r.Rule)]}
	}
	found := d.run(t)
	bursts := 0
	for i, src := range []string{trail.String(), flow.String()} {
		_, err := detect.Run(t.Context(), []logs.Source{logs.FromReader("x", strings.NewReader(src))}, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
			bursts++
			key := m.Rule.Key()
			got := found[key]
			if got.err != "" {
				t.Errorf("%s: %s\n%s", key, got.err, d.Queries[key].SQL)
			}
			c := m.Correlation
			ok := slices.ContainsFunc(got.numbers, func(n int) bool { return !times[i][n].Before(c.Start) && !times[i][n].After(c.End) }) ||
				slices.ContainsFunc(got.groups, func(row []any) bool {
					first, last := row[len(c.Group)].(float64), row[len(c.Group)+1].(float64)
					return (len(c.Group) == 0 || row[0] == c.Group[0]) && first <= float64(c.End.Unix()) && last >= float64(c.Start.Unix())
				})
			if !ok {
				t.Errorf("%s misses %v from %s to %s, which has %v\n%s\n%v", key, c.Group, c.Start, c.End, c.Value, d.Queries[key].SQL, got)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if bursts < 200 {
		t.Errorf("%d bursts compared: too few to mean much", bursts)
	}
	t.Logf("%d correlations, %d bursts", len(d.Queries), bursts)
}
