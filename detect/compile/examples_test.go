package compile_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/ruletest"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// stream writes an example out, with its repetitions. docs/sigma.md says what
// its members mean.
func stream(t *testing.T, e ruletest.Example) string {
	t.Helper()
	var every time.Duration
	if e.Every != "" {
		var err error
		if every, err = time.ParseDuration(e.Every); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for i := range max(e.Repeat, 1) {
		later := time.Duration(i) * every
		if e.Log != "" {
			at := strconv.FormatInt(1_700_000_000+int64(later/time.Second), 10)
			b.WriteString(strings.NewReplacer("{i}", strconv.Itoa(i), "{time}", at).Replace(strings.TrimRight(e.Log, "\n")) + "\n")
		}
		for k, doc := range append(e.Events, e.Event) {
			if doc == nil {
				continue
			}
			doc = clone(doc).(map[string]any)
			if doc["eventName"] != nil {
				doc["eventVersion"], doc["eventID"] = "1.11", fmt.Sprintf("e-%d-%d", k, i)
				at := time.Unix(1_700_000_000, 0)
				if s, ok := doc["eventTime"].(string); ok {
					at = event.ParseTime(s)
				}
				doc["eventTime"] = at.Add(later).UTC().Format(time.RFC3339)
			}
			for _, field := range e.Vary {
				path := strings.Split(field, ".")
				if v := at(doc, path); v != nil {
					doc = with(doc, path, fmt.Sprintf("%v-%d", v, i))
				}
			}
			text, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			b.Write(append(text, '\n'))
		}
	}
	return b.String()
}

// positives calls visit for each positive example of a correlation of the pack, with
// its events of the log that the correlation is translated for.
func (c *corpus) positives(t *testing.T, r *sigma.Rule, visit func(name string, events []*sample, times []time.Time)) {
	t.Helper()
	if r.Correlation == nil || !strings.HasPrefix(r.File, "detections/") {
		return
	}
	name := strings.TrimSuffix(r.File, ".yml") + detect.ExamplesSuffix
	src, err := fs.ReadFile(catalog.Detections, name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ruletest.Parse(name, src)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range f.Positive {
		if e.Rule != "" && !r.Is(e.Rule) {
			continue
		}
		var events []*sample
		var times []time.Time
		read := &logs.Reader{Schema: c.engine.Schema(), Visit: func(e *event.Event) error {
			if e.Kind != kindOf(r) {
				return nil
			}
			s, err := newSample(e)
			events, times = append(events, s), append(times, e.Time())
			return err
		}}
		if _, err := read.Read(t.Context(), logs.FromReader(name, strings.NewReader(stream(t, e)))); err != nil {
			t.Fatal(err)
		}
		if len(events) > 0 { // else it is of another log of the rule
			visit(fmt.Sprintf("%s %d", r.Key(), i+1), events, times)
		}
	}
}

// TestAthenaCorrelations: the query of each correlation of the pack finds each of
// its positive examples.
func TestAthenaCorrelations(t *testing.T) {
	c := samples(t)
	d := database{map[string][]any{}, map[string]int{}, map[string]query{}}
	for _, table := range tableOf {
		d.Shared[table] = 0
	}
	done := map[string]int{}
	for _, r := range compile.Rules(c.rules, compile.Athena) {
		if r.SQL == "" {
			continue
		}
		table := tableOf[kindOf(r.Rule)]
		c.positives(t, r.Rule, func(name string, events []*sample, _ []time.Time) {
			first := len(d.Tables[table])
			for _, s := range events {
				if isLine(s.kind) {
					d.Tables[table] = append(d.Tables[table], s.doc)
				} else {
					d.Tables[table] = append(d.Tables[table], json.RawMessage(s.raw))
				}
			}
			d.Queries[name] = query{r.SQL, table, [2]int{first, len(d.Tables[table])}}
			done[table]++
		})
	}
	for key, found := range d.run(t) {
		if found.err != "" || len(found.numbers)+len(found.groups) == 0 {
			t.Errorf("%s: %s finds nothing in the example\n%s", key, found.err, d.Queries[key].SQL)
		}
	}
	for kind, table := range tableOf {
		if done[table] == 0 && kind != event.SecurityHub { // of which the pack has no correlation
			t.Errorf("no example of %s", table)
		}
	}
	t.Logf("examples by table: %v", done)
}

// TestOpenSearchCorrelations: so does its aggregation.
func TestOpenSearchCorrelations(t *testing.T) {
	c := samples(t)
	v := evaluator{t, goja.New()}
	done := map[event.Kind]int{}
	for _, r := range compile.Rules(c.rules, compile.OpenSearch) {
		if r.Query == nil {
			continue
		}
		c.positives(t, r.Rule, func(name string, events []*sample, times []time.Time) {
			var docs []dated
			for i, s := range events {
				docs = append(docs, dated{indexOf(s), times[i]})
			}
			text, err := json.Marshal(r.Query)
			if err != nil {
				t.Fatal(err)
			}
			var s search
			if err := json.Unmarshal(text, &s); err != nil {
				t.Fatal(err)
			}
			if len(v.search(s, docs)) == 0 {
				t.Errorf("%s: nothing is found in the example\n%s", name, text)
			}
			done[kindOf(r.Rule)]++
		})
	}
	for _, kind := range []event.Kind{event.CloudTrail, event.VPCFlow, event.ALB, event.S3Access, event.DNS, event.WAF, event.GuardDuty} {
		if done[kind] == 0 {
			t.Errorf("no example of %s", kind)
		}
	}
	t.Logf("examples by log: %v", done)
}
