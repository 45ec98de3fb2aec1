package compile_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/timbray/quamina"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// ruler is a plain evaluator of EventBridge patterns, written from the page
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
// and independent of the compiler. It holds for an array of objects if one
// element meets the whole sub-pattern.
func ruler(pattern map[string]any, doc any) bool {
	switch d := doc.(type) {
	case []any:
		return slices.ContainsFunc(d, func(e any) bool { return ruler(pattern, e) })
	case map[string]any:
		for k, want := range pattern {
			if k == "$or" {
				if !slices.ContainsFunc(want.([]any), func(p any) bool { return ruler(p.(map[string]any), d) }) {
					return false
				}
				continue
			}
			v, there := d[k]
			switch w := want.(type) {
			case map[string]any:
				if !there || !container(v) {
					v = map[string]any{} // only exists: false can hold below
				}
				if !ruler(w, v) {
					return false
				}
			case []any:
				if !listed(w, v, there) {
					return false
				}
			}
		}
		return true
	}
	return false
}

func container(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func listed(alternatives []any, v any, there bool) bool {
	var leaves []any
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if !container(e) {
				leaves = append(leaves, e)
			}
		}
	case map[string]any:
	default:
		if there {
			leaves = []any{v}
		}
	}
	for _, a := range alternatives {
		if m, ok := a.(map[string]any); ok {
			if want, ok := m["exists"].(bool); ok {
				if want == (len(leaves) > 0) {
					return true
				}
				continue
			}
		}
		for _, l := range leaves {
			if takes(a, l) {
				return true
			}
		}
	}
	return false
}

func takes(a, leaf any) bool {
	m, ok := a.(map[string]any)
	if !ok {
		return a == leaf
	}
	s, isString := leaf.(string)
	for op, arg := range m {
		switch op {
		case "prefix", "suffix":
			has := map[string]func(string, string) bool{"prefix": strings.HasPrefix, "suffix": strings.HasSuffix}[op]
			if fold, ok := arg.(map[string]any); ok {
				return isString && has(strings.ToLower(s), strings.ToLower(fold["equals-ignore-case"].(string)))
			}
			return isString && has(s, arg.(string))
		case "equals-ignore-case":
			return isString && strings.EqualFold(s, arg.(string))
		case "wildcard":
			return isString && wildcard(arg.(string)).MatchString(s)
		case "cidr":
			ip, err := netip.ParseAddr(s)
			return isString && err == nil && netip.MustParsePrefix(arg.(string)).Contains(ip)
		case "numeric":
			n, ok := leaf.(float64)
			l := arg.([]any)
			w := l[1].(float64)
			return ok && map[string]bool{"=": n == w, "<": n < w, "<=": n <= w, ">": n > w, ">=": n >= w}[l[0].(string)]
		case "anything-but":
			kind, values := "", arg
			if inner, ok := arg.(map[string]any); ok {
				for k, v := range inner {
					kind, values = k, v
				}
			}
			list, ok := values.([]any)
			if !ok {
				list = []any{values}
			}
			for _, v := range list {
				if kind != "" {
					v = map[string]any{kind: v}
				}
				if takes(v, leaf) {
					return false
				}
			}
			return true
		default:
			panic("EventBridge has no operator " + op)
		}
	}
	return false
}

var wildcards = map[string]*regexp.Regexp{}

func wildcard(p string) *regexp.Regexp {
	if re := wildcards[p]; re != nil {
		return re
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch {
		case p[i] == '\\':
			i++
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		case p[i] == '*':
			b.WriteString(`(?s:.*)`)
		default:
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
	}
	wildcards[p] = regexp.MustCompile("^" + b.String() + "$")
	return wildcards[p]
}

// envelope is what EventBridge makes of a CloudTrail record.
func envelope(doc map[string]any) map[string]any {
	kind := "AWS API Call via CloudTrail"
	switch doc["eventType"] {
	case "AwsConsoleSignIn":
		kind = "AWS Console Sign In via CloudTrail"
	case "AwsServiceEvent":
		kind = "AWS Service Event via CloudTrail"
	}
	source, _ := doc["eventSource"].(string)
	return map[string]any{"source": "aws." + strings.TrimSuffix(source, ".amazonaws.com"), "detail-type": kind, "detail": doc}
}

// TestEventBridgeAgrees: a pattern that is called exact matches the sample events
// that the engine matches and no others; a wider one at least these.
func TestEventBridgeAgrees(t *testing.T) {
	c := samples(t)
	results := compile.Rules(c.rules, compile.EventBridge)
	var envelopes []any
	for _, s := range c.samples {
		envelopes = append(envelopes, envelope(s.doc))
	}
	count := map[compile.Fidelity]int{}
	matches, more, starred := 0, 0, 0
	for _, r := range results {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		var patterns []map[string]any
		for _, p := range r.Patterns {
			if len(p.JSON) > 2048 {
				t.Errorf("%s: a pattern of %d characters", r.RuleID, len(p.JSON))
			}
			if strings.Contains(string(p.JSON), `"wildcard"`) {
				starred++
			}
			var doc map[string]any
			if err := json.Unmarshal(p.JSON, &doc); err != nil {
				t.Fatal(err)
			}
			patterns = append(patterns, doc)
		}
		if r.Fidelity == compile.Refused || string(r.Rule.Kinds()[0]) != "cloudtrail" {
			continue
		}
		for i, s := range c.samples {
			got := slices.ContainsFunc(patterns, func(p map[string]any) bool { return ruler(p, envelopes[i]) })
			switch want := s.hits[r.RuleID]; {
			case want && !got:
				t.Errorf("%s misses %s\n%s", r.RuleID, s.raw, r.Patterns[0].JSON)
			case got && !want && r.Fidelity == compile.Exact:
				t.Errorf("%s is exact but takes %s", r.RuleID, s.raw)
			case got && !want:
				more++
			case want:
				matches++
			}
		}
	}
	if starred > 30 {
		t.Errorf("%d patterns have wildcards; a bus takes 30", starred)
	}
	if matches < 300 || count[compile.Exact] < 50 {
		t.Errorf("%d matches compared, fidelities %v: too few to mean much", matches, count)
	}
	t.Logf("%d rules, %v; %d events, %d matches agree, %d more are taken by wider patterns", len(results), count, len(c.samples), matches, more)
}

// TestQuaminaAgrees runs the patterns that quamina 0.2.0 can express. It has
// exists, anything-but and shellstyle with one *, no $or and nothing
// that ignores case: alternatives become patterns of their own, the rest is left
// to TestEventBridgeAgrees.
func TestQuaminaAgrees(t *testing.T) {
	c := samples(t)
	q, err := quamina.New()
	if err != nil {
		t.Fatal(err)
	}
	run := map[string]compile.Fidelity{}
	for _, r := range compile.Rules(c.rules, compile.EventBridge) {
		var plain []map[string]any
		ok := len(r.Patterns) > 0 && string(r.Rule.Kinds()[0]) == "cloudtrail"
		for _, p := range r.Patterns {
			var doc map[string]any
			if err := json.Unmarshal(p.JSON, &doc); err != nil {
				t.Fatal(err)
			}
			all, can := expand(doc)
			ok = ok && can
			plain = append(plain, all...)
		}
		if !ok || len(plain) > 64 {
			continue
		}
		for i, p := range plain {
			absent := fmt.Sprint(r.RuleID, " ", i) // an X of its own, and what must be missing
			for _, path := range takeAbsent(p, nil) {
				absent += " " + path
			}
			text, _ := json.Marshal(p)
			if err := q.AddPattern(absent, string(text)); err != nil {
				t.Fatalf("%s: %v\n%s", r.RuleID, err, text)
			}
		}
		run[r.RuleID] = r.Fidelity
	}
	matches := 0
	for _, s := range c.samples {
		text, _ := json.Marshal(withoutEmpty(envelope(s.doc)))
		found, err := q.MatchesForEvent(text)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, x := range found {
			words := strings.Fields(x.(string))
			if !slices.ContainsFunc(words[2:], func(path string) bool { return present(envelope(s.doc), strings.Split(path, ".")) }) {
				got[words[0]] = true
			}
		}
		for rule, fidelity := range run {
			if s.hits[rule] && !got[rule] || got[rule] && !s.hits[rule] && fidelity == compile.Exact {
				t.Errorf("%s (%s): the engine says %v, quamina %v\n%s", rule, fidelity, s.hits[rule], got[rule], s.raw)
			}
			if s.hits[rule] && got[rule] {
				matches++
			}
		}
	}
	if len(run) < 20 || matches < 50 {
		t.Errorf("%d rules and %d matches: too few to mean much", len(run), matches)
	}
	t.Logf("quamina runs %d rules; %d matches agree", len(run), matches)
}

// takeAbsent takes the fields with exists: false out of a pattern and returns
// their paths: quamina 0.2.0 loses some of them where patterns are many, so the
// test looks itself.
func takeAbsent(p map[string]any, path []string) (absent []string) {
	for k, v := range p {
		at := append(slices.Clone(path), k)
		switch v := v.(type) {
		case map[string]any:
			absent = append(absent, takeAbsent(v, at)...)
			if len(v) == 0 {
				delete(p, k)
			}
		case []any:
			if m, ok := v[0].(map[string]any); ok && m["exists"] == false {
				absent = append(absent, strings.Join(at, "."))
				delete(p, k)
			}
		}
	}
	return absent
}

// present reports whether there is a plain value at a path.
func present(v any, path []string) bool {
	switch d := v.(type) {
	case []any:
		return slices.ContainsFunc(d, func(e any) bool { return present(e, path) })
	case map[string]any:
		if len(path) == 0 {
			return false
		}
		next, ok := d[path[0]]
		return ok && present(next, path[1:])
	}
	return len(path) == 0
}

// withoutEmpty leaves out empty lists and objects, which quamina 0.2.0 cannot
// read and which have no values to match.
func withoutEmpty(v any) any {
	switch d := v.(type) {
	case []any:
		var out []any
		for _, e := range d {
			if e = withoutEmpty(e); !empty(e) {
				out = append(out, e)
			}
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range d {
			if e = withoutEmpty(e); !empty(e) {
				out[k] = e
			}
		}
		return out
	}
	return v
}

func empty(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// expand writes a pattern as patterns without $or, each field with one kind of
// alternative; ok is false where quamina lacks an operator.
func expand(p map[string]any) (out []map[string]any, ok bool) {
	out = []map[string]any{{}}
	times := func(key string, options []any) {
		var next []map[string]any
		for _, o := range out {
			for _, v := range options {
				m := map[string]any{}
				for k, x := range o {
					m[k] = x
				}
				m[key] = v
				next = append(next, m)
			}
		}
		out = next
	}
	var alternatives []map[string]any
	for k, v := range p {
		switch v := v.(type) {
		case map[string]any:
			subs, ok := expand(v)
			if !ok {
				return nil, false
			}
			var options []any
			for _, s := range subs {
				options = append(options, s)
			}
			times(k, options)
		case []any:
			if k == "$or" {
				for _, a := range v {
					subs, ok := expand(a.(map[string]any))
					if !ok {
						return nil, false
					}
					alternatives = append(alternatives, subs...)
				}
				continue
			}
			var options, literals []any
			for _, a := range v {
				m, special := a.(map[string]any)
				if !special {
					literals = append(literals, a)
					continue
				}
				switch {
				case m["suffix"] != nil && !isMap(m["suffix"]):
					a = map[string]any{"shellstyle": "*" + m["suffix"].(string)}
				case m["wildcard"] != nil && !strings.Contains(m["wildcard"].(string), `\`):
					a = map[string]any{"shellstyle": m["wildcard"]}
				case m["prefix"] != nil && !isMap(m["prefix"]) && m["prefix"] != "" && !strings.Contains(m["prefix"].(string), "*"):
					a = map[string]any{"shellstyle": m["prefix"].(string) + "*"}
				case m["exists"] != nil:
				case m["anything-but"] != nil && !isMap(m["anything-but"]) && !slices.Contains(m["anything-but"].([]any), any("")):
				default:
					return nil, false
				}
				options = append(options, []any{a})
			}
			if literals != nil {
				options = append(options, literals)
			}
			times(k, options)
		}
		if len(out) > 1000 {
			return nil, false
		}
	}
	if alternatives == nil {
		return out, true
	}
	var both []map[string]any
	for _, a := range alternatives {
		for _, o := range out {
			both = append(both, overlay(o, a))
		}
	}
	return both, true
}

func isMap(v any) bool { _, ok := v.(map[string]any); return ok }

func overlay(a, b map[string]any) map[string]any {
	m := map[string]any{}
	for k, v := range a {
		m[k] = v
	}
	for k, v := range b {
		if isMap(v) && isMap(m[k]) {
			v = overlay(m[k].(map[string]any), v.(map[string]any))
		}
		m[k] = v
	}
	return m
}

func compiledRule(t *testing.T, detection string, target compile.Target) compile.Result {
	t.Helper()
	src := "title: x\nname: x\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n" + detection
	rules, err := sigma.Parse("x.yml", []byte(src))
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return compile.Rules(engine.Rules(), target)[0]
}

func TestEventBridgePatterns(t *testing.T) {
	for _, tt := range []struct {
		about, detection string
		fidelity         compile.Fidelity
		detail           string
	}{
		{"names are compared as AWS writes them", "  s: {eventName: StopLogging}\n  condition: s", compile.Exact, `{"eventName":["StopLogging"]}`},
		{"other text without regard to case", "  s: {userAgent: Kali}\n  condition: s", compile.Exact, `{"userAgent":[{"equals-ignore-case":"Kali"}]}`},
		{"a beginning", "  s: {userAgent|startswith: curl/}\n  condition: s", compile.Exact, `{"userAgent":[{"prefix":{"equals-ignore-case":"curl/"}}]}`},
		{"no error: missing, null or empty", "  s: {eventName: A}\n  f: {errorCode: '?*'}\n  condition: s and not f", compile.Exact, `{"errorCode":[{"exists":false},null,""],"eventName":["A"]}`},
		{"missing", "  s: {eventName: A, errorCode: null}\n  condition: s", compile.Exact, `{"errorCode":[{"exists":false},null],"eventName":["A"]}`},
		{"an exclusion lets through what has no such field", "  s: {eventName: A}\n  f: {awsRegion: us-east-1}\n  condition: s and not f", compile.Exact, `{"awsRegion":[{"anything-but":["us-east-1"]},{"exists":false},null],"eventName":["A"]}`},
		{"alternatives over several fields", "  s: {eventName: A}\n  a: {awsRegion: us-east-1}\n  b: {errorCode: AccessDenied}\n  condition: s and (a or b)", compile.Exact, `{"$or":[{"awsRegion":["us-east-1"]},{"errorCode":["AccessDenied"]}],"eventName":["A"]}`},
		{"alternatives over one field become a list", "  a: {eventName: A}\n  b: {eventName: B}\n  condition: a or b", compile.Exact, `{"eventName":["A","B"]}`},
		{"two conditions on one field that can be worked out", "  s: {eventName|startswith: Create}\n  b: {eventName: [CreateUser, DeleteUser]}\n  condition: s and b", compile.Exact, `{"eventName":["CreateUser"]}`},
		{"networks", "  s: {sourceIPAddress|cidr: 192.0.2.0/24}\n  condition: s", compile.Exact, `{"sourceIPAddress":[{"cidr":"192.0.2.0/24"}]}`},
		{"text within, where case does not vary", "  s: {errorCode|contains: Denied}\n  condition: s", compile.Exact, `{"errorCode":[{"wildcard":"*Denied*"}]}`},
		{"text within, where it does: left out", "  s: {eventName: A, userAgent|contains: kali}\n  condition: s", compile.Wider, `{"eventName":["A"]}`},
		{"a regular expression: what it needs", "  s: {eventName|re: '^(Create|Delete)User[0-9]$'}\n  condition: s", compile.Wider, `{"eventName":[{"wildcard":"*User*"}]}`},
		{"keywords: left out", "  s: {eventName: A}\n  k: [kali]\n  condition: s and k", compile.Wider, `{"eventName":["A"]}`},
		{"nothing left", "  k: [kali]\n  condition: k", compile.Refused, ``},
		{"conditions in a list: one", "  s: {requestParameters.a.b: x, requestParameters.a.c: y}\n  condition: s", compile.Wider, `{"requestParameters":{"a":{"b":[{"equals-ignore-case":"x"}]}}}`},
		{"at least two of three", "  a: {eventName: A}\n  b: {awsRegion: b}\n  c: {errorCode: c}\n  condition: 2 of them", compile.Exact, `{"$or":[{"awsRegion":["b"],"eventName":["A"]},{"errorCode":["c"],"eventName":["A"]},{"awsRegion":["b"],"errorCode":["c"]}]}`},
		{"never", "  s: {eventName: A}\n  b: {eventName: B}\n  condition: s and b", compile.Refused, ``},
	} {
		r := compiledRule(t, tt.detection, compile.EventBridge)
		if r.Fidelity != tt.fidelity {
			t.Errorf("%s: %s %v, want %s", tt.about, r.Fidelity, r.Reasons, tt.fidelity)
		}
		if tt.detail == "" {
			continue
		}
		if len(r.Patterns) != 1 {
			t.Errorf("%s: %d patterns", tt.about, len(r.Patterns))
			continue
		}
		want := `{"detail":` + tt.detail + `,"detail-type":[{"suffix":" via CloudTrail"}],"source":[{"prefix":"aws."}]}`
		if got := string(r.Patterns[0].JSON); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.about, got, want)
		}
	}
}

// TestLongPatterns: what does not fit into one pattern becomes several, which
// together match the same.
func TestLongPatterns(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("SomeRatherLongNameOfACall%03d", i))
	}
	r := compiledRule(t, "  s: {eventName: ["+strings.Join(names, ", ")+"]}\n  condition: s", compile.EventBridge)
	if r.Fidelity != compile.Exact || len(r.Patterns) < 4 {
		t.Fatalf("%s %v, %d patterns", r.Fidelity, r.Reasons, len(r.Patterns))
	}
	all := ""
	for _, p := range r.Patterns {
		if len(p.JSON) > 2048 {
			t.Errorf("%d characters", len(p.JSON))
		}
		all += string(p.JSON)
	}
	for _, n := range names {
		if strings.Count(all, `"`+n+`"`) != 1 {
			t.Errorf("%s is in %d patterns", n, strings.Count(all, n))
		}
	}
}

// TestHostileRules: rules that would take for ever to write out are widened or
// refused, and soon.
func TestHostileRules(t *testing.T) {
	var many, fields []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("  s%d: {requestParameters.f%d: x, errorCode: e%d}", i, i, i))
		fields = append(fields, fmt.Sprintf("  a%d:\n    - eventName: A%d\n    - requestParameters.g%d: x", i, i, i))
	}
	for _, detection := range []string{
		strings.Join(many, "\n") + "\n  condition: 30 of s*",
		strings.Join(many, "\n") + "\n  condition: not 30 of s*",
		strings.Join(fields, "\n") + "\n  condition: all of a*",
		strings.Join(fields, "\n") + "\n  condition: not all of a*",
		"  s: {eventName: A, userAgent: '" + strings.Repeat("*a", 2000) + "'}\n  condition: s",
	} {
		for _, target := range []compile.Target{compile.EventBridge, compile.Athena, compile.OpenSearch} {
			r := compiledRule(t, detection, target)
			if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
				t.Errorf("%s: %s without a reason: %.80s", target, r.Fidelity, detection)
			}
			size := len(r.SQL)
			for _, p := range r.Patterns {
				size += len(p.JSON)
			}
			if size > 1<<20 {
				t.Errorf("%s: %d bytes for %.80s", target, size, detection)
			}
		}
	}
}
