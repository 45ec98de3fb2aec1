package compile_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
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

// match is one that the engine has found in a stream.
type match struct {
	rule       string
	group      []string
	start, end time.Time
}

// hit is a row of a query, or a group, within which its events lie.
type hit struct {
	group      []string
	start, end time.Time
}

func (h hit) within(m match) bool {
	return (h.group == nil || slices.Equal(h.group, m.group)) && !h.end.Before(m.start) && !h.start.After(m.end)
}

func compiled(t *testing.T, src string) *sigma.Engine {
	t.Helper()
	rules, err := sigma.Parse("x.yml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{Fields: detect.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// streamed gives streams of logs, by table, to the engine and, as tables, to the
// queries of its correlations. It returns what each finds, in order of time.
func streamed(t *testing.T, engine *sigma.Engine, streams map[string]string) (matches []match, hits map[string][]hit, results map[string]compile.Result) {
	t.Helper()
	d := database{map[string][]any{}, map[string]int{}, map[string]query{}}
	times := map[string][]time.Time{} // by table: of the records
	for table, src := range streams {
		r := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
			s, err := newSample(e)
			if s.raw[0] == '{' {
				d.Tables[table] = append(d.Tables[table], json.RawMessage(s.raw))
			} else {
				d.Tables[table] = append(d.Tables[table], s.doc)
			}
			times[table] = append(times[table], e.Time())
			return err
		}}
		if _, err := r.Read(t.Context(), logs.FromReader(table, strings.NewReader(src))); err != nil {
			t.Fatal(err)
		}
		d.Shared[table] = len(d.Tables[table])
		_, err := detect.Run(t.Context(), []logs.Source{logs.FromReader("x", strings.NewReader(src))}, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
			if m.Correlation == nil {
				return nil
			}
			matches = append(matches, match{m.Rule.Key(), m.Correlation.Group, m.Correlation.Start, m.Correlation.End})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	results = map[string]compile.Result{}
	for _, r := range compile.Rules(engine.Rules(), compile.Athena) {
		if r.Rule.Correlation == nil {
			continue
		}
		if r.SQL == "" {
			t.Errorf("%s: %s %v", r.RuleID, r.Fidelity, r.Reasons)
			continue
		}
		results[r.RuleID] = r
		d.Queries[r.RuleID] = query{SQL: r.SQL, Table: tableOf[kindOf(r.Rule)]}
	}
	hits = map[string][]hit{}
	for rule, found := range d.run(t) {
		q := d.Queries[rule]
		if found.err != "" {
			t.Errorf("%s: %s\n%s", rule, found.err, q.SQL)
		}
		for _, n := range found.numbers {
			at := times[q.Table][n]
			hits[rule] = append(hits[rule], hit{start: at, end: at})
		}
		for _, row := range found.groups {
			groups := len(results[rule].Rule.Correlation.GroupBy)
			h := hit{group: []string{}, start: time.Unix(int64(row[groups].(float64)), 0), end: time.Unix(int64(row[groups+1].(float64)), 0)}
			for _, g := range row[:groups] {
				h.group = append(h.group, fmt.Sprint(g))
			}
			hits[rule] = append(hits[rule], h)
		}
		slices.SortFunc(hits[rule], func(a, b hit) int { return a.start.Compare(b.start) })
	}
	slices.SortStableFunc(matches, func(a, b match) int { return a.end.Compare(b.end) })
	return matches, hits, results
}

// missed reports the matches of the engine that the queries do not have.
func missed(t *testing.T, matches []match, hits map[string][]hit, results map[string]compile.Result) {
	t.Helper()
	wrong := map[string]fault{}
	for _, m := range matches {
		if wrong[m.rule] == nil {
			wrong[m.rule] = faults(t, m.rule, results[m.rule].SQL)
		}
		if !slices.ContainsFunc(hits[m.rule], func(h hit) bool { return h.within(m) }) {
			wrong[m.rule]("misses %v from %s to %s; it has %d", m.group, m.start, m.end, len(hits[m.rule]))
		}
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
	engine := compiled(t, strings.Join(docs, "---\n"))
	rng := rand.New(rand.NewPCG(3, 4))
	var trail, flow strings.Builder
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
	matches, hits, results := streamed(t, engine, map[string]string{"cloudtrail_logs": trail.String(), "vpc_flow_logs": flow.String()})
	missed(t, matches, hits, results)
	if len(matches) < 200 {
		t.Errorf("%d bursts compared: too few to mean much", len(matches))
	}
	t.Logf("%d correlations, %d bursts", len(results), len(matches))
}

// windows returns correlations of all types and a stream of records that are just
// as far apart as windows are long, a bit more, or a bit less. Of the correlations
// that are alike, only what comes after a match can be more in SQL.
func windows(t *testing.T) (engine *sigma.Engine, alike map[string]bool, stream string) {
	t.Helper()
	var docs []string
	for _, name := range []string{"a", "b", "c"} {
		docs = append(docs, fmt.Sprintf("title: t\nname: %s\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName|contains: %s}\n  condition: s\n", name, name))
	}
	alike = map[string]bool{}
	add := func(name, correlation string, same bool) {
		alike[name] = same
		if !strings.Contains(correlation, "timespan") {
			correlation += ", timespan: 60s"
		}
		docs = append(docs, fmt.Sprintf("title: t\nname: %s\ncorrelation: {%s}\n", name, correlation))
	}
	by := "group-by: [userIdentity.arn], generate: true"
	for name, c := range map[string]string{
		"all_of_two":     "type: temporal, rules: [a, b], " + by,
		"all_of_three":   "type: temporal, rules: [a, b, c], " + by,
		"two_of_three":   "type: temporal, rules: [a, b, c], condition: {gte: 2}, " + by,
		"one_and_either": "type: temporal, rules: [a, b, c], condition: a and (b or c), " + by,
		"some":           "type: temporal, rules: [a, b, c], condition: 2 of them, " + by,
		"of_nobody":      "type: temporal, rules: [a, c], generate: true",
		"two_in_order":   "type: temporal_ordered, rules: [a, b], " + by,
		"three_in_order": "type: temporal_ordered, rules: [a, b, c], " + by,
		"backwards":      "type: temporal_ordered, rules: [c, a], " + by,
		"the_same_twice": "type: temporal_ordered, rules: [a, a], " + by,
		"order_of_one":   "type: temporal_ordered, rules: [b], " + by,
		"count_of_two":   "type: event_count, rules: [a, b], condition: {gte: 3}, " + by,
		"count_by_list":  "type: event_count, rules: [a, b], condition: {gt: 2}, group-by: [requestParameters.items.id], generate: true",
		"burst":          "type: event_count, rules: [a], condition: {gte: 2}, " + by,
		"burst_then_b":   "type: temporal_ordered, rules: [burst, b], " + by,
		"by_alias":       "type: temporal, rules: [a, b], group-by: [who], aliases: {who: {a: userIdentity.arn, b: requestParameters.owner}}, generate: true",
	} {
		add(name, c, name != "burst_then_b")
	}
	for name, c := range map[string]string{
		"one_without":      "type: temporal, rules: [a, b, c], condition: a and not b, " + by,
		"exactly_two":      "type: temporal, rules: [a, b, c], condition: {eq: 2}, " + by,
		"at_most":          "type: event_count, rules: [a], condition: {lte: 2}, " + by,
		"exactly":          "type: event_count, rules: [a, b], condition: {eq: 3}, " + by,
		"between":          "type: value_count, rules: [a, b], condition: {gte: 2, lt: 4, field: requestParameters.size}, " + by,
		"sum_between":      "type: value_sum, rules: [a, b], condition: {gte: 100, lte: 200, field: requestParameters.size}, " + by,
		"average":          "type: value_avg, rules: [a, b], condition: {gte: 60, field: requestParameters.size}, " + by,
		"low_average":      "type: value_avg, rules: [a, b], condition: {lt: 30, field: requestParameters.size}, " + by,
		"percentile":       "type: value_percentile, rules: [c], condition: {gt: 70, percentile: 90, field: requestParameters.size}, " + by,
		"median":           "type: value_median, rules: [a], condition: {eq: 42, field: requestParameters.size}, " + by,
		"values":           "type: value_count, rules: [a], condition: {gte: 2, field: requestParameters.size}, " + by,
		"values_then_b":    "type: temporal_ordered, rules: [values, b], " + by,
		"values_and_b":     "type: temporal, rules: [b, values], " + by,
		"bursts":           "type: event_count, rules: [burst], condition: {gte: 2}, timespan: 3h, " + by,
		"sums":             "type: value_sum, rules: [a], condition: {gte: 150, field: requestParameters.size}, " + by,
		"sum_and_sequence": "type: temporal, rules: [sums, two_in_order], " + by,
		"average_then_c":   "type: temporal_ordered, rules: [average, c], " + by,
		"without_then_a":   "type: temporal_ordered, rules: [one_without, a], " + by,
	} {
		add(name, c, false)
	}
	engine = compiled(t, strings.Join(docs, "---\n"))
	rng := rand.New(rand.NewPCG(5, 6))
	var trail strings.Builder
	at := 1_767_261_600
	gaps := []int{0, 0, 1, 10, 29, 30, 31, 59, 60, 61, 61, 120, 200}
	for i := range 1500 {
		at += gaps[rng.IntN(len(gaps))]
		name := []string{"a", "b", "c", "c", "ab", "x"}[rng.IntN(6)]
		items := fmt.Sprintf(`[{"id":"i%d"},{"id":"i9"}]`, rng.IntN(3))
		if rng.IntN(2) == 0 {
			items = fmt.Sprintf(`{"id":"i%d"}`, rng.IntN(3))
		}
		fmt.Fprintf(&trail, `{"eventVersion":"1.11","eventID":"e%d","eventSource":"s3.amazonaws.com","eventName":"%s","eventTime":"%s","userIdentity":{"arn":"u%d"},"requestParameters":{"size":%d,"owner":"u%d","items":%s}}`+"\n",
			i, name, time.Unix(int64(at), 0).UTC().Format(time.RFC3339), rng.IntN(4), []int{7, 42, 42, 55, 99}[rng.IntN(5)], rng.IntN(4), items)
	}
	for i, at := range []string{"soon", "", "2026-13-01T00:00:00Z"} { // no time that counts
		fmt.Fprintf(&trail, `{"eventVersion":"1.11","eventID":"x%d","eventSource":"s3.amazonaws.com","eventName":"abc","eventTime":"%s","userIdentity":{"arn":"u1"},"requestParameters":{"size":9000,"owner":"u1","items":{"id":"i1"}}}`+"\n", i, at)
	}
	return engine, alike, trail.String()
}

// TestAthenaWindows: at the edges of windows, a query finds what its correlation
// finds. Where only what comes after a match can differ, the first hit is in a
// match of the engine.
func TestAthenaWindows(t *testing.T) {
	engine, exact, stream := windows(t)
	matches, hits, results := streamed(t, engine, map[string]string{"cloudtrail_logs": stream})
	missed(t, matches, hits, results)
	found := map[string]int{}
	for _, m := range matches {
		found[m.rule]++
	}
	for name, alike := range exact {
		if found[name] < 5 {
			t.Errorf("%s: %d matches: too few to mean much", name, found[name])
		}
		if !alike || len(hits[name]) == 0 {
			continue
		}
		first := hits[name][0]
		if !slices.ContainsFunc(matches, func(m match) bool { return m.rule == name && first.within(m) }) {
			t.Errorf("%s: the first hit, at %s, is no match\n%s", name, first.start, results[name].SQL)
		}
		if n := len(hits[name]); n > 8*found[name] {
			t.Errorf("%s: %d hits for %d matches", name, n, found[name])
		}
	}
	t.Logf("%d correlations, %d matches: %v", len(results), len(matches), found)
}

// TestHostileCorrelations: correlations of correlations of correlations, which
// together would be millions of detections, are refused or widened, and soon.
func TestHostileCorrelations(t *testing.T) {
	var docs []string
	for i := range 20 {
		docs = append(docs, fmt.Sprintf("title: t\nname: l0_%d\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: E%d}\n  condition: s\n", i, i))
	}
	for level := range 5 {
		var below []string
		for i := range 20 {
			below = append(below, fmt.Sprintf("l%d_%d", level, i))
		}
		for i := range 20 {
			docs = append(docs, fmt.Sprintf("title: t\nname: l%d_%d\ncorrelation: {type: temporal, rules: [%s], timespan: 1h}\n", level+1, i, strings.Join(below, ", ")))
		}
	}
	engine := compiled(t, strings.Join(docs, "---\n"))
	for _, target := range []compile.Target{compile.EventBridge, compile.Athena, compile.OpenSearch, compile.CloudFormation} {
		for _, r := range compile.Rules([]*sigma.Rule{engine.Find("l5_7")}, target) {
			text, _ := json.Marshal(r)
			if r.Fidelity == compile.Exact || len(r.Reasons) == 0 || len(text) > 1<<20 {
				t.Errorf("%s: %s, %d bytes, %.500v", target, r.Fidelity, len(text), r.Reasons)
			}
		}
	}
}
