package compile_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
)

// dsl is a plain evaluator of the part of the query DSL that is used, over a
// record whose texts are keywords: a field has the values of its path, whatever
// lists lie on the way; null, {} and [] leave none.
func dsl(t *testing.T, q map[string]any, doc any) bool {
	t.Helper()
	for kind, body := range q {
		b := body.(map[string]any)
		switch kind {
		case "bool":
			for clause, list := range b {
				var hold int
				kids, _ := list.([]any)
				for _, k := range kids {
					if dsl(t, k.(map[string]any), doc) {
						hold++
					}
				}
				switch {
				case clause == "filter" && hold < len(kids), clause == "must_not" && hold > 0, clause == "should" && hold == 0:
					return false
				case !slices.Contains([]string{"filter", "must_not", "should", "minimum_should_match"}, clause):
					t.Fatalf("clause %s", clause)
				}
			}
		case "exists":
			if !anything(doc, strings.Split(b["field"].(string), ".")) {
				return false
			}
		default:
			for field, spec := range b {
				return slices.ContainsFunc(valuesAt(doc, strings.Split(field, ".")), func(v string) bool {
					return term(t, kind, spec.(map[string]any), v)
				})
			}
		}
	}
	return true
}

func anything(v any, path []string) bool {
	if l, ok := v.([]any); ok {
		return slices.ContainsFunc(l, func(e any) bool { return anything(e, path) })
	}
	if m, ok := v.(map[string]any); ok {
		if len(path) > 0 {
			return anything(m[path[0]], path[1:])
		}
		for _, e := range m {
			if anything(e, nil) {
				return true
			}
		}
		return false
	}
	return len(path) == 0 && v != nil
}

func valuesAt(v any, path []string) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, valuesAt(e, path)...)
		}
		return out
	case map[string]any:
		if len(path) > 0 {
			return valuesAt(v[path[0]], path[1:])
		}
	case string:
		if len(path) == 0 {
			return []string{v}
		}
	case nil:
	default:
		if len(path) == 0 {
			b, _ := json.Marshal(v)
			return []string{string(b)}
		}
	}
	return nil
}

func term(t *testing.T, kind string, spec map[string]any, v string) bool {
	t.Helper()
	if kind == "range" {
		n, err := strconv.ParseFloat(v, 64)
		for op, want := range spec {
			w := want.(float64)
			if err != nil || !map[string]bool{"gt": n > w, "gte": n >= w, "lt": n < w, "lte": n <= w}[op] {
				return false
			}
		}
		return true
	}
	want, isText := spec["value"].(string)
	if !isText {
		n, err := strconv.ParseFloat(v, 64)
		return err == nil && n == spec["value"]
	}
	if spec["case_insensitive"] == true {
		v, want = strings.ToLower(v), strings.ToLower(want)
	}
	switch kind {
	case "term":
		return v == want
	case "prefix":
		return strings.HasPrefix(v, want)
	case "wildcard":
		key := "dsl " + want
		if wildcards[key] == nil {
			var b strings.Builder
			for i := 0; i < len(want); i++ {
				switch want[i] {
				case '\\':
					i++
					b.WriteString(regexp.QuoteMeta(want[i : i+1]))
				case '*':
					b.WriteString("(?s:.*)")
				case '?':
					b.WriteString("(?s:.)")
				default:
					b.WriteString(regexp.QuoteMeta(want[i : i+1]))
				}
			}
			wildcards[key] = regexp.MustCompile("^" + b.String() + "$")
		}
		return wildcards[key].MatchString(v)
	}
	t.Fatalf("query %s", kind)
	return false
}

// TestOpenSearchAgrees: exact queries find what the engine finds, wider ones at
// least that.
func TestOpenSearchAgrees(t *testing.T) {
	c := samples(t)
	count := map[compile.Fidelity]int{}
	matches, more := 0, 0
	for _, r := range compile.Rules(c.rules, compile.OpenSearch) {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		if r.Query == nil || string(r.Rule.Kinds()[0]) != "cloudtrail" {
			continue
		}
		text, err := json.Marshal(r.Query)
		if err != nil {
			t.Fatal(err)
		}
		var q map[string]map[string]any
		if err := json.Unmarshal(text, &q); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.of(event.CloudTrail) {
			got := dsl(t, q["query"], s.doc)
			switch want := s.hits[r.RuleID]; {
			case want && !got:
				t.Errorf("%s misses %s\n%s", r.RuleID, s.raw, text)
			case got && !want && r.Fidelity == compile.Exact:
				t.Errorf("%s is exact but finds %s\n%s", r.RuleID, s.raw, text)
			case got && !want:
				more++
			case want:
				matches++
			}
		}
	}
	if matches < 300 {
		t.Errorf("%d matches compared: too few to mean much", matches)
	}
	t.Logf("%v; %d events, %d matches agree, %d more are found by wider queries", count, len(c.samples), matches, more)
}
