package compile_test

import (
	"encoding/json"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
)

// indexed is a record as an index has it: a field has the values of its path,
// whatever lists lie on the way; null, {} and [] leave none.
type indexed struct {
	values, folded map[string][]string
	there, object  map[string]bool
}

func index(doc map[string]any) *indexed {
	x := &indexed{map[string][]string{}, map[string][]string{}, map[string]bool{}, map[string]bool{}}
	x.add("", doc)
	return x
}

func (x *indexed) add(path string, v any) bool {
	there := false
	switch v := v.(type) {
	case nil:
	case []any:
		for _, e := range v {
			there = x.add(path, e) || there
		}
	case map[string]any:
		for k, e := range v {
			below := k
			if path != "" {
				below = path + "." + k
			}
			there = x.add(below, e) || there
		}
		x.object[path] = x.object[path] || there
	default:
		text, isText := v.(string)
		if !isText {
			b, _ := json.Marshal(v)
			text = string(b)
		}
		x.values[path] = append(x.values[path], text)
		x.folded[path] = append(x.folded[path], asciiLower(text))
		there = true
	}
	x.there[path] = x.there[path] || there
	return there
}

// dsl is a plain evaluator of the part of the query DSL that is used.
func dsl(t *testing.T, q map[string]any, x *indexed) bool { // t.Helper takes longer than the rest
	for kind, body := range q {
		b := body.(map[string]any)
		switch kind {
		case "bool":
			for clause, list := range b {
				var hold int
				kids, _ := list.([]any)
				for _, k := range kids {
					if dsl(t, k.(map[string]any), x) {
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
			field, below := strings.CutSuffix(b["field"].(string), ".*")
			if !x.there[field] || below && !x.object[field] {
				return false
			}
		default:
			for field, spec := range b {
				sub := ""
				for _, name := range []string{"number", "ip"} {
					if rest, ok := strings.CutSuffix(field, "."+name); ok {
						field, sub = rest, name
					}
				}
				spec := spec.(map[string]any)
				values := x.values[field]
				if spec["case_insensitive"] == true {
					values = x.folded[field]
				}
				return slices.ContainsFunc(values, func(v string) bool { return term(t, kind+sub, spec, v) })
			}
		}
	}
	return true
}

func term(t *testing.T, kind string, spec map[string]any, v string) bool {
	switch kind {
	case "rangenumber", "termnumber":
		n, err := strconv.ParseFloat(v, 64)
		for op, want := range spec {
			w := want.(float64)
			if err != nil || !map[string]bool{"value": n == w, "gt": n > w, "gte": n >= w, "lt": n < w, "lte": n <= w}[op] {
				return false
			}
		}
		return true
	case "termip":
		ip, err := netip.ParseAddr(v)
		return err == nil && netip.MustParsePrefix(spec["value"].(string)).Contains(ip.Unmap())
	}
	want := spec["value"].(string)
	if spec["case_insensitive"] == true {
		want = asciiLower(want) // the values are already
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

// asciiLower is what Lucene does where case is ignored.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// indexOf is a record in the index. In a log of lines, - is left out of it.
func indexOf(s *sample) *indexed {
	if !isLine(s.kind) {
		return index(s.doc)
	}
	out := map[string]any{}
	for k, v := range s.doc {
		if v != "-" {
			out[k] = v
		}
	}
	return index(out)
}

// TestOpenSearchAgrees: exact queries find what the engine finds, wider ones at
// least that, over the samples of the rule's log and what is near its examples.
func TestOpenSearchAgrees(t *testing.T) {
	c := samples(t)
	byKind := map[event.Kind][]*sample{}
	docs := map[*sample]*indexed{}
	for _, kind := range event.Kinds() {
		byKind[kind] = c.of(kind)
		for _, s := range byKind[kind] {
			docs[s] = indexOf(s)
		}
	}
	count := map[compile.Fidelity]int{}
	total := map[event.Kind]*verdict{}
	for _, r := range compile.Rules(c.rules, compile.OpenSearch) {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		if r.Query == nil {
			continue
		}
		if text, _ := json.Marshal(r.Query); len(regexp.MustCompile(`"(term|wildcard|prefix|exists|range)":`).FindAll(text, 1200)) > 1100 { // with those of aggregations
			t.Errorf("%s: OpenSearch takes 1024 clauses", r.RuleID)
		}
		if r.Rule.Correlation != nil {
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
		kind := kindOf(r.Rule)
		if total[kind] == nil {
			total[kind] = &verdict{}
		}
		wrong := faults(t, r.RuleID, text)
		for _, s := range append(byKind[kind][:len(byKind[kind]):len(byKind[kind])], c.mutants(t, r.Rule, 150)...) {
			doc := docs[s]
			if doc == nil {
				doc = indexOf(s)
			}
			total[kind].compare(r.Fidelity == compile.Exact, s.hits[r.RuleID], dsl(t, q["query"], doc), wrong, s)
		}
	}
	for kind, least := range map[event.Kind]int{event.CloudTrail: 10_000, event.GuardDuty: 500, event.SecurityHub: 500, event.VPCFlow: 500, event.ALB: 200,
		event.S3Access: 200, event.WAF: 100, event.DNS: 100} {
		if v := total[kind]; v == nil || v.matches < least/(4*thin()-3) {
			t.Errorf("%s: %v: too few to mean much", kind, v)
		}
	}
	t.Logf("%v", count)
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%s: %v", kind, total[kind])
	}
}

func isLine(k event.Kind) bool {
	return !slices.Contains([]event.Kind{event.CloudTrail, event.GuardDuty, event.SecurityHub, event.WAF, event.DNS}, k)
}
