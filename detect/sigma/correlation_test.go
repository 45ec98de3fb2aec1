package sigma_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

const base = `
title: login failed
name: failed
logsource: {product: aws, service: cloudtrail}
detection: {sel: {eventName: Fail}, condition: sel}
---
title: login
name: login
logsource: {product: aws, service: cloudtrail}
detection: {sel: {eventName: Login}, condition: sel}
---
title: left
name: left
logsource: {product: aws, service: cloudtrail}
detection: {sel: {eventName: Left}, condition: sel}
`

// correlate runs events through rules. An event is "seconds name user value".
func correlate(t testing.TB, rules string, events ...string) []string {
	t.Helper()
	parsed, err := sigma.Parse("t.yml", []byte(strings.TrimSpace(rules+"\n---"+base)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := sigma.Compile(parsed, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, c := g.Matcher(), g.NewCorrelator()
	var out []string
	for i, text := range events {
		var sec int
		var name, user, value string
		if _, err := fmt.Sscan(text, &sec, &name, &user, &value); err != nil {
			t.Fatal(text, err)
		}
		at := time.Unix(1_700_000_000+int64(sec), 0).UTC().Format(time.RFC3339)
		e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(fmt.Sprintf(
			`{"eventName":%q,"eventID":"%d@%d","eventTime":%q,"user":%q,"other":%q,"value":%q}`, name, sec, i, at, user, user, value)))
		if err != nil {
			t.Fatal(err)
		}
		m.Match(e, func(r *sigma.Rule) {
			if !r.Silent() {
				out = append(out, r.Key())
			}
			for _, o := range g.AppendObservations(nil, r, e, nil) {
				c.Add(o)
			}
		})
	}
	for _, f := range c.Finish() {
		out = append(out, fmt.Sprintf("%s %s %d-%d n=%d v=%g", f.Rule.Key(), strings.Join(f.Group, ","), f.Start.Unix()-1_700_000_000, f.End.Unix()-1_700_000_000, f.Count, f.Value))
	}
	return out
}

func repeat(from, to, step int, rest string) []string {
	var out []string
	for s := from; s <= to; s += step {
		out = append(out, fmt.Sprintf("%d %s", s, rest))
	}
	return out
}

// TestCorrelations is the semantics of correlations, row by row.
func TestCorrelations(t *testing.T) {
	head := func(kind, rest string) string {
		return "title: c\nname: c\ncorrelation:\n  type: " + kind + "\n  rules: [failed]\n  group-by: [user]\n  timespan: 10s\n  condition: " + rest + "\n"
	}
	seq := "title: c\nname: c\ncorrelation:\n  type: temporal_ordered\n  rules: [failed, login, left]\n  group-by: [user]\n  timespan: 10s\n"
	near := strings.Replace(seq, "temporal_ordered", "temporal", 1)
	for _, c := range []struct {
		name, rules string
		events      []string
		want        []string
	}{
		{"event_count", head("event_count", "{gte: 3}"), repeat(0, 4, 2, "Fail a -"), []string{"c a 0-4 n=3 v=3"}},
		{"the window includes its edge", head("event_count", "{gte: 3}"), []string{"0 Fail a -", "5 Fail a -", "10 Fail a -"}, []string{"c a 0-10 n=3 v=3"}},
		{"and no more", head("event_count", "{gte: 3}"), []string{"0 Fail a -", "5 Fail a -", "11 Fail a -"}, nil},
		{"the window slides", head("event_count", "{gte: 3}"), []string{"0 Fail a -", "9 Fail a -", "15 Fail a -", "18 Fail a -"}, []string{"c a 9-18 n=3 v=3"}},
		{"a burst is one match", head("event_count", "{gte: 3}"), repeat(0, 100, 1, "Fail a -"), []string{"c a 0-100 n=101 v=11"}},
		{"two bursts are two", head("event_count", "{gte: 3}"), append(repeat(0, 4, 1, "Fail a -"), repeat(100, 104, 1, "Fail a -")...), []string{"c a 0-4 n=5 v=5", "c a 100-104 n=5 v=5"}},
		{"groups are apart", head("event_count", "{gte: 2}"), []string{"0 Fail a -", "1 Fail b -", "2 Fail b -"}, []string{"c b 1-2 n=2 v=2"}},
		{"gt", head("event_count", "{gt: 2}"), repeat(0, 1, 1, "Fail a -"), nil},
		{"late and unordered events", head("event_count", "{gte: 3}"), []string{"4 Fail a -", "0 Fail a -", "2 Fail a -"}, []string{"c a 0-4 n=3 v=3"}},
		{"a range needs the whole window", head("event_count", "{gte: 2, lt: 4}"), repeat(0, 4, 1, "Fail a -"), nil},
		{"a range", head("event_count", "{gte: 2, lt: 4}"), append(repeat(0, 2, 1, "Fail a -"), repeat(50, 55, 1, "Fail a -")...), []string{"c a 0-2 n=3 v=3"}},
		{"eq", head("event_count", "{eq: 2}"), []string{"0 Fail a -", "1 Fail a -"}, []string{"c a 0-1 n=2 v=2"}},
		{"lte", head("event_count", "{lte: 1}"), []string{"0 Fail a -", "20 Fail a -", "21 Fail a -"}, []string{"c a 0-0 n=1 v=1"}},
		{"value_count counts what differs", head("value_count", "{field: value, gte: 3}"), []string{"0 Fail a x", "1 Fail a x", "2 Fail a y", "3 Fail a z"}, []string{"c a 0-3 n=4 v=3"}},
		{"value_count forgets what left the window", head("value_count", "{field: value, gte: 2}"), []string{"0 Fail a x", "20 Fail a y"}, nil},
		{"value_sum", head("value_sum", "{field: value, gt: 100}"), []string{"0 Fail a 60", "1 Fail a 50"}, []string{"c a 0-1 n=2 v=110"}},
		{"value_sum forgets", head("value_sum", "{field: value, gt: 100}"), []string{"0 Fail a 60", "11 Fail a 50"}, nil},
		{"value_sum leaves out what is no number", head("value_sum", "{field: value, gt: 100}"), []string{"0 Fail a 60", "1 Fail a x", "2 Fail a 50"}, []string{"c a 0-2 n=2 v=110"}},
		{"value_avg", head("value_avg", "{field: value, gte: 5, lte: 6}"), []string{"0 Fail a 4", "1 Fail a 7"}, []string{"c a 0-1 n=2 v=5.5"}},
		{"value_percentile", head("value_percentile", "{field: value, percentile: 90, gte: 9, lt: 100}"), []string{"0 Fail a 1", "1 Fail a 2", "2 Fail a 10", "3 Fail a 10"}, []string{"c a 0-3 n=4 v=10"}},
		{"value_median", head("value_median", "{field: value, eq: 2.5}"), []string{"0 Fail a 1", "1 Fail a 2", "2 Fail a 3", "3 Fail a 10"}, []string{"c a 0-3 n=4 v=2.5"}},
		{"temporal, in any order", near, []string{"0 Left a -", "3 Login a -", "6 Fail a -"}, []string{"c a 0-6 n=3 v=3"}},
		{"temporal needs all", near, []string{"0 Left a -", "3 Login a -"}, nil},
		{"temporal within the timespan", near, []string{"0 Left a -", "3 Login a -", "11 Fail a -"}, nil},
		{"temporal, two of three", near + "  condition: {gte: 2}\n", []string{"0 Left a -", "3 Login a -"}, []string{"c a 0-3 n=2 v=2"}},
		{"temporal with a condition", near + "  condition: failed and (login or left)\n", []string{"0 Left a -", "3 Fail a -"}, []string{"c a 0-3 n=2 v=2"}},
		{"temporal_ordered", seq, []string{"0 Fail a -", "3 Login a -", "6 Left a -"}, []string{"c a 0-6 n=3 v=3"}},
		{"temporal_ordered in the wrong order", seq, []string{"0 Login a -", "3 Fail a -", "6 Left a -"}, nil},
		{"temporal_ordered with others between", seq, []string{"0 Fail a -", "1 Fail a -", "3 Login a -", "4 Fail a -", "6 Left a -"}, []string{"c a 1-6 n=3 v=3"}},
		{"temporal_ordered takes the last that fits", seq, []string{"0 Fail a -", "8 Fail a -", "9 Login a -", "12 Left a -"}, []string{"c a 8-12 n=3 v=3"}},
		{"temporal_ordered of one moment", seq, []string{"0 Left a -", "0 Login a -", "0 Fail a -"}, []string{"c a 0-0 n=3 v=3"}},
		{"temporal_ordered twice", seq, []string{"0 Fail a -", "1 Login a -", "2 Left a -", "3 Fail a -", "4 Login a -", "5 Left a -"}, []string{"c a 0-2 n=3 v=3", "c a 3-5 n=3 v=3"}},
		{"temporal_ordered with a condition", seq + "  condition: failed AND login AND left\n", []string{"0 Fail a -", "3 Login a -", "6 Left a -"}, []string{"c a 0-6 n=3 v=3"}},
		{"aliases", "title: c\nname: c\ncorrelation:\n  type: temporal\n  rules: [failed, login]\n  group-by: [who]\n  timespan: 10s\n  aliases:\n    who: {failed: user, login: other}\n",
			[]string{"0 Fail a -", "1 Login a -"}, []string{"c a 0-1 n=2 v=2"}},
		{"without group-by all is one group", "title: c\nname: c\ncorrelation:\n  type: event_count\n  rules: [failed]\n  timespan: 10s\n  condition: {gte: 2}\n",
			[]string{"0 Fail a -", "1 Fail b -"}, []string{"c  0-1 n=2 v=2"}},
		{"generate keeps the single matches", head("event_count", "{gte: 2}") + "  generate: true\n", []string{"0 Fail a -"}, []string{"failed"}},
		{"rules that nobody refers to match alone", head("event_count", "{gte: 2}"), []string{"0 Fail a -", "1 Login a -"}, []string{"login"}},
		{"a chain: failures, then success", "title: c\nname: c\ncorrelation:\n  type: temporal_ordered\n  rules: [many, login]\n  group-by: [user]\n  timespan: 1m\n---\ntitle: many\nname: many\ncorrelation:\n  type: event_count\n  rules: [failed]\n  group-by: [value]\n  timespan: 10s\n  condition: {gte: 3}\n",
			append(repeat(0, 4, 1, "Fail a host"), "30 Login a -", "31 Login b -"), []string{"c a 4-30 n=2 v=2"}},
	} {
		got := correlate(t, c.rules, c.events...)
		if strings.Join(got, "; ") != strings.Join(c.want, "; ") {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestArrays states that every element of an array counts as a value, and each
// combination where several fields count.
func TestArrays(t *testing.T) {
	many := strings.Repeat(`"x",`, 10)
	for _, c := range []struct {
		name, kind, condition string
		events                []string // members of the records
		want                  string
	}{
		{"the elements of one event", "value_count", "{field: names, gte: 3}", []string{`"names":["a","b","c"]`}, "n=1 v=3"},
		{"two of them are too few", "value_count", "{field: names, gte: 3}", []string{`"names":["a","b"]`}, ""},
		{"the same element twice is one value", "value_count", "{field: names, gte: 2}", []string{`"names":[` + many + `"x"]`}, ""},
		{"the elements of several events", "value_count", "{field: names, gte: 4}", []string{`"names":["a","b"]`, `"names":["b","c"]`, `"names":"d"`}, "n=3 v=4"},
		{"they leave the window with their event", "value_count", "{field: names, gte: 4}", []string{`"names":["a","b","c"]`, ``, ``, ``, ``, ``, `"names":["c","d"]`}, ""},
		{"an array of objects", "value_count", "{field: items.id, gte: 2}", []string{`"items":[{"id":"a"},{"x":1},{"id":"b"}]`}, "n=1 v=2"},
		{"nulls and empty arrays are no values", "value_count", "{field: names, gte: 1}", []string{`"names":[]`, `"names":[null]`, `"names":null`}, ""},
		{"several fields: each combination", "value_count", "{field: [names, kinds], gte: 4}", []string{`"names":["a","b"],"kinds":["x","y"]`}, "n=1 v=4"},
		{"several fields, of which one is missing", "value_count", "{field: [names, kinds], gte: 1}", []string{`"names":["a","b"]`}, ""},
		{"texts that join to the same", "value_count", "{field: [names, kinds], gte: 2}", []string{`"names":"a\u0000b","kinds":"c"`, `"names":"a","kinds":"b\u0000c"`}, "n=2 v=2"},
		{"a sum", "value_sum", "{field: names, gte: 60}", []string{`"names":[10,20,"30","x"]`}, "n=1 v=60"},
		{"an average is that of the values", "value_avg", "{field: names, gte: 20, lte: 20}", []string{`"names":[10,20]`, `"names":30`}, "n=2 v=20"},
		{"a median", "value_median", "{field: names, eq: 20}", []string{`"names":[10,20]`, `"names":30`}, "n=2 v=20"},
		{"infinity is no number", "value_sum", "{field: names, gte: 5}", []string{`"names":"+Inf"`, `"names":[2,"-Infinity"]`, `"names":3`}, "n=2 v=5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rules, err := sigma.Parse("t.yml", []byte("title: c\nname: c\ncorrelation:\n  type: "+c.kind+"\n  rules: [any]\n  group-by: [user, other]\n  timespan: 5s\n  condition: "+c.condition+"\n---\ntitle: any\nname: any\nlogsource: {product: aws, service: cloudtrail}\ndetection: {sel: {eventName: A}, condition: sel}\n"))
			if err != nil {
				t.Fatal(err)
			}
			g, err := sigma.Compile(rules, sigma.Options{})
			if err != nil {
				t.Fatal(err)
			}
			k, m := g.NewCorrelator(), g.Matcher()
			for i, members := range c.events {
				if members != "" {
					members = "," + members
				}
				e, err := event.Parse(g.Schema(), event.CloudTrail, fmt.Appendf(nil, `{"eventName":"A","eventID":"e%d","eventTime":%q,"user":"u\u0000","other":["o","p"]%s}`, i, time.Unix(1_700_000_000+int64(i), 0).UTC().Format(time.RFC3339), members))
				if err != nil {
					t.Fatal(err)
				}
				m.Match(e, func(r *sigma.Rule) {
					for _, o := range g.AppendObservations(nil, r, e, nil) {
						k.Add(o)
					}
				})
			}
			got := ""
			for _, f := range k.Finish() {
				got += fmt.Sprintf("n=%d v=%g", f.Count, f.Value)
				if len(f.Group) != 2 || f.Group[0] != "u\x00" || f.Group[1] != "o" {
					t.Errorf("group %q", f.Group)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestManyElements states that an array of any length takes bounded memory.
func TestManyElements(t *testing.T) {
	rules, err := sigma.Parse("t.yml", []byte("title: c\nname: c\ncorrelation:\n  type: value_count\n  rules: [any]\n  timespan: 5s\n  condition: {field: [names, names], gte: 2}\n---\ntitle: any\nname: any\nlogsource: {product: aws, service: cloudtrail}\ndetection: {sel: {eventName: A}, condition: sel}\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var names strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&names, `,"n%d"`, i)
	}
	e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(`{"eventName":"A","eventID":"e","eventTime":"2026-01-05T00:00:00Z","names":["x"`+names.String()+`]}`))
	if err != nil {
		t.Fatal(err)
	}
	k := g.NewCorrelator()
	for _, o := range g.AppendObservations(nil, g.Find("any"), e, nil) {
		k.Add(o)
	}
	if got := k.Finish(); len(got) != 1 || got[0].Value != 1000 {
		t.Errorf("%+v, want 1,000 values", got)
	}
}

// TestObserveAllocations states what observing a match costs.
func TestObserveAllocations(t *testing.T) {
	rules, err := sigma.Parse("t.yml", []byte(strings.TrimSpace("title: c\nname: c\ncorrelation:\n  type: event_count\n  rules: [failed]\n  group-by: [user]\n  timespan: 5s\n  condition: {gte: 2}\n---"+base)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(`{"eventName":"Fail","eventID":"12345678-0000-4000-8000-000000000000","eventTime":"2026-01-05T00:00:00Z","user":"some user","userIdentity":{"arn":"arn:aws:iam::111122223333:user/bob"}}`))
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]sigma.Observation, 0, 8)
	for name, most := range map[string]float64{"login": 0, "failed": 3} { // group, id and actor
		r := g.Find(name)
		if n := testing.AllocsPerRun(100, func() { dst = g.AppendObservations(dst[:0], r, e, nil) }); n > most {
			t.Errorf("%s: %g allocations, want %g", name, n, most)
		}
	}
	if len(dst) > 1 {
		t.Error("more than one observation")
	}
}

// TestCorrelationOrder states that the order of delivery changes nothing.
func TestCorrelationOrder(t *testing.T) {
	rules := "title: c\nname: c\ncorrelation:\n  type: temporal\n  rules: [failed, login]\n  group-by: [user]\n  timespan: 10s\n---\ntitle: d\nname: d\ncorrelation:\n  type: value_count\n  rules: [left]\n  group-by: [user]\n  timespan: 20s\n  condition: {field: value, gte: 3}\n"
	rnd := rand.New(rand.NewPCG(3, 4))
	var events []string
	for range 300 {
		events = append(events, fmt.Sprintf("%d %s %c %c", rnd.IntN(600), []string{"Fail", "Login", "Left"}[rnd.IntN(3)], 'a'+rune(rnd.IntN(3)), 'p'+rune(rnd.IntN(5))))
	}
	want := strings.Join(correlate(t, rules, events...), "\n")
	if want == "" {
		t.Fatal("nothing found")
	}
	for range 5 {
		rnd.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		if got := strings.Join(correlate(t, rules, events...), "\n"); got != want {
			t.Fatalf("in another order:\n%s\n--\n%s", got, want)
		}
	}
}

func TestFilters(t *testing.T) {
	rule := "title: r\nname: r\nid: 11111111-1111-4111-8111-111111111111\nlogsource: {product: aws, service: cloudtrail}\ndetection: {sel: {a: 1}, condition: sel}\n"
	for _, c := range []struct {
		name, filter string
		want         bool // does {"a":1,"u":"adm_x"} still match
	}{
		{"by name", "logsource: {product: aws, service: cloudtrail}\nfilter: {rules: [r], sel: {u|startswith: adm_}, condition: sel}", false},
		{"by id", "logsource: {product: aws}\nfilter: {rules: [11111111-1111-4111-8111-111111111111], sel: {u|startswith: adm_}, condition: sel}", false},
		{"any rule", "logsource: {product: aws, service: cloudtrail}\nfilter: {rules: any, sel: {u|startswith: adm_}, condition: sel}", false},
		{"of another rule", "logsource: {product: aws, service: cloudtrail}\nfilter: {rules: [q], sel: {u|startswith: adm_}, condition: sel}", true},
		{"of another log source", "logsource: {product: aws, service: guardduty}\nfilter: {rules: any, sel: {u|startswith: adm_}, condition: sel}", true},
		{"that does not hold", "logsource: {product: aws, service: cloudtrail}\nfilter: {rules: [r], sel: {u|startswith: eve}, condition: sel}", true},
		{"with a negated condition", "logsource: {product: aws, service: cloudtrail}\nfilter: {rules: [r], sel: {u|startswith: eve}, condition: not sel}", false},
	} {
		rules, err := sigma.Parse("t.yml", []byte(rule+"---\ntitle: f\n"+c.filter))
		if err != nil {
			t.Fatal(err)
		}
		g, err := sigma.Compile(rules, sigma.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := matches(t, g, `{"a":1,"u":"ADM_x"}`); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if matches(t, g, `{"a":2,"u":"eve"}`) {
			t.Errorf("%s: matches what the rule does not", c.name)
		}
	}
}

func TestGlobalDocuments(t *testing.T) {
	rules, err := sigma.Parse("t.yml", []byte("action: global\ntitle: g\nlevel: high\nlogsource: {product: aws, service: cloudtrail}\n---\ndetection: {sel: {a: 1}, condition: sel}\n---\ntitle: own\ndetection: {sel: {a: 2}, condition: sel}\n---\naction: reset\n---\ntitle: alone\nlogsource: {product: aws}\ndetection: {sel: {a: 3}, condition: sel}\n"))
	if err != nil || len(rules) != 3 {
		t.Fatal(len(rules), err)
	}
	for i, want := range []string{"g high", "own high", "alone medium"} {
		if got := rules[i].Title + " " + rules[i].Level; got != want {
			t.Errorf("rule %d: %q, want %q", i, got, want)
		}
	}
}

// TestIndexChangesNothing compares the index with trying every rule.
func TestIndexChangesNothing(t *testing.T) {
	var rules []*sigma.Rule
	fields := []string{"eventSource", "eventName", "userIdentity.type", "errorCode", "userAgent", "x"}
	mods := []string{"", "|contains", "|startswith", "|neq", "|re", "|exists"}
	rnd := rand.New(rand.NewPCG(5, 6))
	word := func() string { return string(rune('a'+rnd.IntN(3))) + string(rune('a'+rnd.IntN(3))) }
	conditions := []string{"a", "a and b", "a or b", "not a", "a and not b", "1 of them", "not (a and b)", "a and not 1 of b*"}
	for i := range 300 {
		sel := func() string {
			var b strings.Builder
			for _, k := range rnd.Perm(len(fields))[:1+rnd.IntN(2)] {
				mod := mods[rnd.IntN(len(mods))]
				value := "'" + word() + "'"
				if mod == "|exists" {
					value = "true"
				} else if mod == "" && rnd.IntN(4) == 0 {
					value = "null"
				}
				fmt.Fprintf(&b, "    %s%s: %s\n", fields[k], mod, value)
			}
			return b.String()
		}
		src := fmt.Sprintf("title: r%d\nname: r%d\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  a:\n%s  b:\n%s  condition: %s\n", i, i, sel(), sel(), conditions[rnd.IntN(len(conditions))])
		r, err := sigma.Parse("t.yml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r...)
	}
	g, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fast, slow := g.Matcher(), g.Matcher()
	events := 8000
	if testing.Short() {
		events = 1000
		t.Log("LEFT OUT by -short: 7,000 of 8,000 events")
	}
	for range events {
		var b strings.Builder
		fmt.Fprintf(&b, `{"eventName":%q,"eventSource":%q`, word(), word())
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, `,"userIdentity":{"type":%q}`, word())
		}
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, `,"errorCode":%q`, word())
		}
		if rnd.IntN(2) == 0 {
			fmt.Fprintf(&b, `,"userAgent":"%s%d"`, word(), rnd.IntN(100_000))
		}
		if rnd.IntN(3) == 0 {
			fmt.Fprintf(&b, `,"x":[%q,%q]`, word(), word())
		}
		b.WriteString("}")
		e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		fast.Match(e, func(r *sigma.Rule) { got = append(got, r.Name) })
		for _, r := range g.Rules() {
			if slow.Matches(r, e) {
				want = append(want, r.Name)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Fatalf("%s\nindex   %v\nwithout %v", b.String(), got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + "  sel: {a|re: 'x+'}\n  condition: sel\n")
	f.Add("title: t\nname: c\ncorrelation: {type: temporal, rules: [x], timespan: 1m}")
	f.Add("a: &a [x]\nb: *a\n---\n- c")
	f.Fuzz(func(t *testing.T, src string) {
		rules, err := sigma.Parse("f.yml", []byte(src))
		if err != nil {
			return
		}
		g, err := sigma.Compile(rules, sigma.Options{})
		if err != nil {
			return
		}
		e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(`{"eventName":"x","a":{"b":[1,"x",null]}}`))
		if err != nil {
			t.Fatal(err)
		}
		g.Matcher().Match(e, func(*sigma.Rule) {})
	})
}
