package compile_test

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dop251/goja"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
)

// search is a search with aggregations, of those that are used.
type search struct {
	Query map[string]any
	Aggs  map[string]aggregation
}

type aggregation struct {
	Aggs      map[string]aggregation
	Terms     *terms
	Several   *terms         `json:"multi_terms"`
	Filter    map[string]any // a query
	Histogram *struct {
		Field, Offset string
		Interval      string `json:"fixed_interval"`
		Least         int    `json:"min_doc_count"`
	} `json:"date_histogram"`
	Cardinality, Max, Sum *struct{ Field string }
	Selector              *struct {
		Paths  map[string]string `json:"buckets_path"`
		Script string
	} `json:"bucket_selector"`
}

type terms struct {
	Field string
	Terms []struct{ Field string }
	Least int `json:"min_doc_count"`
}

// dated is a record of an index, with the time that the field .time has.
type dated struct {
	*indexed
	at time.Time
}

// evaluator runs searches; it fails the test on what OpenSearch would refuse.
type evaluator struct {
	t  *testing.T
	js *goja.Runtime // painless is not JavaScript, but in what is used of it
}

// dates are the fields that the index template has as a date.
func (v evaluator) dates() map[string]bool {
	var template struct {
		Template struct {
			Mappings struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(compile.IndexTemplate("x"), &template); err != nil {
		v.t.Fatal(err)
	}
	out := map[string]bool{}
	var walk func(path string, properties map[string]any)
	walk = func(path string, properties map[string]any) {
		for name, p := range properties {
			field := p.(map[string]any)
			if below, ok := field["properties"].(map[string]any); ok {
				walk(path+name+".", below)
				continue
			}
			for sub, f := range field["fields"].(map[string]any) {
				out[path+name+"."+sub] = f.(map[string]any)["type"] == "date"
			}
		}
	}
	walk("", template.Template.Mappings.Properties)
	return out
}

func (v evaluator) search(s search, docs []dated) (hits []hit) {
	docs = slices.DeleteFunc(slices.Clone(docs), func(d dated) bool { return !dsl(v.t, s.Query, d.indexed) })
	groups, ok := s.Aggs["groups"]
	if !ok {
		return v.stretches(s.Aggs, docs, nil)
	}
	spec, fields := groups.Several, []string{}
	if groups.Terms != nil {
		spec = groups.Terms
		spec.Terms = []struct{ Field string }{{spec.Field}}
	} else if len(spec.Terms) < 2 {
		v.t.Fatal("multi_terms needs two fields")
	}
	for _, f := range spec.Terms {
		fields = append(fields, f.Field)
	}
	buckets := map[string][]dated{}
	for _, d := range docs {
		keys := []string{""}
		for _, f := range fields {
			var longer []string
			for _, k := range keys {
				for _, value := range d.values[f] {
					if next := k + value + "\x00"; !slices.Contains(longer, next) {
						longer = append(longer, next)
					}
				}
			}
			keys = longer
		}
		for _, k := range keys {
			buckets[k] = append(buckets[k], d)
		}
	}
	for key, in := range buckets {
		if len(in) >= spec.Least {
			hits = append(hits, v.stretches(groups.Aggs, in, strings.Split(strings.TrimSuffix(key, "\x00"), "\x00"))...)
		}
	}
	return hits
}

// stretches returns the buckets of the histograms that are left.
func (v evaluator) stretches(aggs map[string]aggregation, docs []dated, group []string) (hits []hit) {
	counts := map[string]float64{}
	for _, name := range []string{"stretches", "stretches_between"} {
		a := aggs[name]
		h := a.Histogram
		seconds := func(s string) int64 {
			d, err := time.ParseDuration(s)
			if s != "" && err != nil {
				v.t.Fatal(err)
			}
			return int64(d.Seconds())
		}
		if !v.dates()[h.Field] {
			v.t.Fatalf("%s is no date", h.Field)
		}
		buckets := map[int64][]dated{}
		for _, d := range docs {
			k := int64(math.Floor(float64(d.at.Unix()-seconds(h.Offset)) / float64(seconds(h.Interval))))
			buckets[k] = append(buckets[k], d)
		}
		for k, in := range buckets {
			if len(in) < h.Least || !v.selected(a.Aggs, in) {
				continue
			}
			counts[name+"._bucket_count"]++
			start := time.Unix(k*seconds(h.Interval)+seconds(h.Offset), 0)
			hits = append(hits, hit{group, start, start.Add(time.Duration(seconds(h.Interval)-1) * time.Second)})
		}
	}
	if found := aggs["found"].Selector; found != nil && v.holds(found.Script, found.Paths, counts) != (len(hits) > 0) {
		v.t.Fatalf("%s with %v", found.Script, counts)
	}
	return hits
}

func (v evaluator) selected(aggs map[string]aggregation, docs []dated) bool {
	results := map[string]float64{}
	for name, a := range aggs {
		in := docs
		path := name
		if a.Filter != nil {
			in = slices.DeleteFunc(slices.Clone(docs), func(d dated) bool { return !dsl(v.t, a.Filter, d.indexed) })
			results[name+"._count"] = float64(len(in))
			for below, b := range a.Aggs {
				path, a = name+">"+below, b
			}
		}
		switch {
		case a.Cardinality != nil:
			seen := map[string]bool{}
			for _, d := range in {
				for _, s := range d.values[a.Cardinality.Field] {
					seen[s] = true
				}
			}
			results[path] = float64(len(seen))
		case a.Sum != nil:
			for _, n := range numbers(in, a.Sum.Field) {
				results[path] += n
			}
		case a.Max != nil:
			if list := numbers(in, a.Max.Field); len(list) > 0 {
				results[path] = slices.Max(list)
			}
		}
	}
	enough := aggs["enough"].Selector
	return enough == nil || v.holds(enough.Script, enough.Paths, results)
}

func numbers(docs []dated, field string) (out []float64) {
	field, _ = strings.CutSuffix(field, ".number")
	for _, d := range docs {
		for _, s := range d.values[field] {
			if n, err := strconv.ParseFloat(s, 64); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

func (v evaluator) holds(script string, paths map[string]string, results map[string]float64) bool {
	params := map[string]any{}
	for name, path := range paths {
		params[name] = results[path]
	}
	if err := v.js.Set("params", params); err != nil {
		v.t.Fatal(err)
	}
	out, err := v.js.RunString(script)
	if err != nil {
		v.t.Fatalf("%s: %v", script, err)
	}
	return out.ToBoolean()
}

// TestOpenSearchWindows: the aggregation of a correlation leaves, of the group of
// each match, a stretch in which it lies.
func TestOpenSearchWindows(t *testing.T) {
	engine, _, stream := windows(t)
	var docs []dated
	read := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
		s, err := newSample(e)
		docs = append(docs, dated{index(s.doc), e.Time()})
		return err
	}}
	if _, err := read.Read(t.Context(), logs.FromReader("x", strings.NewReader(stream))); err != nil {
		t.Fatal(err)
	}
	hits := map[string][]hit{}
	results := map[string]compile.Result{}
	v := evaluator{t, goja.New()}
	for _, r := range compile.Rules(engine.Rules(), compile.OpenSearch) {
		if r.Rule.Correlation == nil {
			continue
		}
		if (r.Query == nil) != (r.RuleID == "by_alias") { // whose group has two fields
			t.Errorf("%s: %s %v", r.RuleID, r.Fidelity, r.Reasons)
		}
		if r.Query == nil {
			continue
		}
		text, err := json.Marshal(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		var s search
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		results[r.RuleID], hits[r.RuleID] = r, v.search(s, docs)
	}
	compared := 0
	wrong := map[string]fault{}
	_, err := detect.Run(t.Context(), []logs.Source{logs.FromReader("x", strings.NewReader(stream))}, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
		id := m.Rule.Key()
		if m.Correlation == nil || results[id].Query == nil {
			return nil
		}
		compared++
		c := match{id, m.Correlation.Group, m.Correlation.Start, m.Correlation.End}
		if !slices.ContainsFunc(hits[id], func(h hit) bool { return h.within(c) }) {
			if wrong[id] == nil {
				text, _ := json.Marshal(results[id].Query["aggs"])
				wrong[id] = faults(t, id, string(text))
			}
			wrong[id]("misses %v from %s to %s; of %d stretches", c.group, c.start, c.end, len(hits[id]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, list := range hits { // the sum says something
		if len(list) == 0 {
			t.Errorf("%s finds nothing", id)
		}
	}
	if compared < 2000 {
		t.Errorf("%d matches compared: too few to mean much", compared)
	}
	t.Logf("%d aggregations, %d matches", len(results), compared)
}
