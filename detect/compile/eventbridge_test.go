package compile_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// TestEventBridgeAgrees: a pattern that is called exact matches the events that
// the engine matches and no others; a wider one at least these. The events are
// the samples of the rule's kind and what is near the rule's own examples.
func TestEventBridgeAgrees(t *testing.T) {
	c := samples(t)
	results := compile.Rules(c.rules, compile.EventBridge)
	envelopes := map[*sample]any{}
	byKind := map[event.Kind][]*sample{}
	for _, kind := range []event.Kind{event.CloudTrail, event.GuardDuty, event.SecurityHub} {
		byKind[kind] = c.of(kind)
		for _, s := range byKind[kind] {
			envelopes[s] = envelope(s)
		}
	}
	count := map[compile.Fidelity]int{}
	total := map[event.Kind]*verdict{}
	starred := 0
	for _, r := range results {
		count[r.Fidelity]++
		if r.Fidelity != compile.Exact && len(r.Reasons) == 0 {
			t.Errorf("%s is %s without a reason", r.RuleID, r.Fidelity)
		}
		var patterns []map[string]any
		for _, p := range r.Patterns {
			if strings.Contains(string(p.JSON), `"wildcard"`) {
				starred++
			}
			var doc map[string]any
			if err := json.Unmarshal(p.JSON, &doc); err != nil {
				t.Fatal(err)
			}
			valid(t, r.RuleID, doc, p.JSON)
			patterns = append(patterns, doc)
		}
		if r.Fidelity == compile.Refused {
			continue
		}
		kind := kindOf(r.Rule)
		if total[kind] == nil {
			total[kind] = &verdict{}
		}
		wrong := faults(t, r.RuleID, r.Patterns[0].JSON)
		for _, s := range append(byKind[kind], c.mutants(t, r.Rule, 500)...) {
			e := envelopes[s]
			if e == nil {
				e = any(envelope(s))
			}
			matches := func(strict bool) bool {
				return slices.ContainsFunc(patterns, func(p map[string]any) bool { return ruler{e, strict}.match(p, e, nil) })
			}
			want, exact := s.hits[r.RuleID], r.Fidelity == compile.Exact
			got := matches(want) // strict where it must match, lenient where it must not
			total[kind].compare(exact, want, got, wrong, s)
		}
	}
	if starred > 30 {
		t.Errorf("%d patterns have wildcards; a bus takes 30", starred)
	}
	for kind, least := range map[event.Kind]int{event.CloudTrail: 20_000, event.GuardDuty: 500, event.SecurityHub: 200} {
		if v := total[kind]; v == nil || v.matches < least/(4*thin()-3) {
			t.Errorf("%s: %v: too few to mean much", kind, v)
		}
	}
	t.Logf("%d rules, %v", len(results), count)
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		t.Logf("%s: %v", kind, total[kind])
	}
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
		{"a regular expression: what it needs", "  s: {eventName|re: '^(Create|Delete)User[0-9]$'}\n  condition: s", compile.Wider, `{"eventName":[{"prefix":"CreateUser"},{"prefix":"DeleteUser"}]}`},
		{"keywords: left out", "  s: {eventName: A}\n  k: [kali]\n  condition: s and k", compile.Wider, `{"eventName":["A"]}`},
		{"only an exclusion left: nearly every event", "  k: [kali]\n  f: {userIdentity.type: AWSService}\n  condition: k and not f", compile.Refused, ``},
		{"nothing left", "  k: [kali]\n  condition: k", compile.Refused, ``},
		{"conditions in a list: one", "  s: {requestParameters.a.b: x, requestParameters.a.c: y}\n  condition: s", compile.Wider, `{"requestParameters":{"a":{"b":[{"equals-ignore-case":"x"}]}}}`},
		{"at least two of three", "  a: {eventName: A}\n  b: {awsRegion: b}\n  c: {errorCode: c}\n  condition: 2 of them", compile.Exact, `{"$or":[{"awsRegion":["b"],"eventName":["A"]},{"errorCode":["c"],"eventName":["A"]},{"awsRegion":["b"],"errorCode":["c"]}]}`},
		{"alternatives of a regular expression", "  s: {userAgent|re: '^(curl|Wget)/'}\n  condition: s", compile.Exact, `{"userAgent":[{"prefix":"curl/"},{"prefix":"Wget/"}]}`},
		{"a regular expression that ignores case, on a name that does not vary", "  s: {eventName|re: '(?i)^create'}\n  condition: s", compile.Exact, `{"eventName":[{"prefix":{"equals-ignore-case":"CREATE"}}]}`},
		{"a number as text, in a field that may hold numbers", "  s: {requestParameters.aclProtocol: '-1'}\n  condition: s", compile.Exact, `{"requestParameters":{"aclProtocol":["-1",-1]}}`},
		{"numbers beyond EventBridge's: left out", "  s: {eventName: A, requestParameters.size|gte: 1000000000000}\n  condition: s", compile.Wider, `{"eventName":["A"]}`},
		{"no number at all: left out", "  s: {eventName: A, requestParameters.size|gte: Infinity}\n  condition: s", compile.Wider, `{"eventName":["A"]}`},
		{"a name that EventBridge keeps for itself, alone", "  s: {eventName: A, requestParameters.prefix: x}\n  condition: s", compile.Exact, `{"eventName":["A"],"requestParameters":{"prefix":[{"equals-ignore-case":"x"}]}}`},
		{"an object, and into it, in alternatives", "  s: {eventName: A, requestParameters.p: x}\n  o: {requestParameters.p.q: y}\n  r: {awsRegion: z}\n  condition: s and (o or r)", compile.Wider, `{"$or":[{"requestParameters":{"p":{"q":[{"equals-ignore-case":"y"}]}}},{"awsRegion":["z"]}],"eventName":["A"]}`},
		{"two conditions on what may be a list: two elements may meet them", "  s: {eventName: A, requestParameters.x: a}\n  t: {requestParameters.x: b}\n  condition: s and t", compile.Wider, `{"eventName":["A"],"requestParameters":{"x":[{"equals-ignore-case":"a"}]}}`},
		{"an exclusion of what may be a list", "  s: {eventName: A}\n  f: {requestParameters.x: a}\n  condition: s and not f", compile.Wider, `{"eventName":["A"],"requestParameters":{"x":[{"anything-but":{"equals-ignore-case":"a"}},{"exists":false},null]}}`},
		{"stars and backslashes", "  s: {userAgent|cased: '*a\\*b\\\\*c*'}\n  condition: s", compile.Exact, `{"userAgent":[{"wildcard":"*a\\*b\\\\*c*"}]}`},
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

// TestReservedNames: below $or EventBridge does not take some names of fields;
// the alternatives become patterns of their own.
func TestReservedNames(t *testing.T) {
	r := compiledRule(t, "  s: {eventName: A}\n  a: {requestParameters.prefix: x}\n  b: {awsRegion: y}\n  condition: s and (a or b)", compile.EventBridge)
	if r.Fidelity != compile.Exact || len(r.Patterns) != 2 {
		t.Fatalf("%s %v, %d patterns", r.Fidelity, r.Reasons, len(r.Patterns))
	}
	for _, p := range r.Patterns {
		var doc map[string]any
		if err := json.Unmarshal(p.JSON, &doc); err != nil {
			t.Fatal(err)
		}
		valid(t, "x", doc, p.JSON)
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
