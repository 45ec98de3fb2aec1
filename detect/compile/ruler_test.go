package compile_test

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// ruler is a plain evaluator of EventBridge patterns, written from the page
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
// and independent of the compiler. It holds for an array of objects if one
// element meets the whole sub-pattern. EventBridge looks at the fields in the
// order of their names, and whether one is missing from the element or from the
// whole event depends on those before it. So there are two answers: strict takes
// exists: false to mean the whole event.
type ruler struct {
	event  any
	strict bool
}

func (r ruler) match(pattern map[string]any, doc any, path []string) bool {
	switch d := doc.(type) {
	case []any:
		return slices.ContainsFunc(d, func(e any) bool { return r.match(pattern, e, path) })
	case map[string]any:
		for k, want := range pattern {
			if k == "$or" {
				if !slices.ContainsFunc(want.([]any), func(p any) bool { return r.match(p.(map[string]any), d, path) }) {
					return false
				}
				continue
			}
			v, there := d[k]
			below := append(slices.Clone(path), k)
			switch w := want.(type) {
			case map[string]any:
				if !there || !container(v) {
					v = map[string]any{} // only exists: false can hold below
				}
				if l, ok := v.([]any); ok && !slices.ContainsFunc(values(l), container) {
					v = map[string]any{}
				}
				if !r.match(w, v, below) {
					return false
				}
			case []any:
				if !r.listed(w, v, there, below) {
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

// values returns the plain values in an array and in those within.
func values(v any) []any {
	l, ok := v.([]any)
	if !ok {
		return []any{v}
	}
	var out []any
	for _, e := range l {
		out = append(out, values(e)...)
	}
	return out
}

func (r ruler) listed(alternatives []any, v any, there bool, path []string) bool {
	var leaves []any
	for _, e := range values(v) {
		if there && !container(e) {
			leaves = append(leaves, e)
		}
	}
	for _, a := range alternatives {
		if m, ok := a.(map[string]any); ok {
			if want, ok := m["exists"].(bool); ok {
				has := len(leaves) > 0
				if !want && r.strict {
					has = has || present(r.event, path)
				}
				if want == has {
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
			if !ok || n < -5e9 || n > 5e9 {
				return false
			}
			for l := arg.([]any); len(l) > 0; l = l[2:] {
				w := l[1].(float64)
				if !map[string]bool{"=": n == w, "<": n < w, "<=": n <= w, ">": n > w, ">=": n >= w}[l[0].(string)] {
					return false
				}
			}
			return true
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

// envelope is what EventBridge makes of a record.
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
func envelope(s *sample) map[string]any {
	out := map[string]any{"version": "0", "id": "7bf73129-1428-4cd3-a780-95db273d1602", "account": "111122223333", "time": "2026-03-04T09:21:00Z",
		"region": "eu-west-1", "resources": []any{}, "detail": s.doc}
	switch s.kind {
	case event.GuardDuty:
		out["source"], out["detail-type"] = "aws.guardduty", "GuardDuty Finding"
		return out
	case event.SecurityHub:
		out["source"], out["detail-type"] = "aws.securityhub", "Security Hub Findings - Imported"
		out["resources"], out["detail"] = []any{"arn:aws:securityhub:us-west-2::product/aws/macie/arn:aws:macie:us-west-2:111122223333:x"}, map[string]any{"findings": []any{s.doc}}
		return out
	}
	kind := "AWS API Call via CloudTrail"
	switch s.doc["eventType"] {
	case "AwsConsoleSignIn":
		kind = "AWS Console Sign In via CloudTrail"
	case "AwsServiceEvent":
		kind = "AWS Service Event via CloudTrail"
	}
	source, _ := s.doc["eventSource"].(string)
	out["source"], out["detail-type"] = "aws."+strings.TrimSuffix(source, ".amazonaws.com"), kind
	return out
}

// reserved are names of fields that EventBridge does not take below $or.
var reserved = strings.Fields(`exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr html = < <= > >= regex
	not-wildcard not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range
	ip-address-not-in-range`)

// valid holds a pattern against what EventBridge's parser takes.
// https://github.com/aws/event-ruler
func valid(t *testing.T, rule string, p map[string]any, text []byte) {
	t.Helper()
	if len(text) > 2048 {
		t.Errorf("%s: a pattern of %d characters", rule, len(text))
	}
	var walk func(v any, or bool)
	walk = func(v any, or bool) {
		m := v.(map[string]any)
		if len(m) == 0 {
			t.Errorf("%s: an empty object\n%s", rule, text)
		}
		for k, v := range m {
			if or && slices.Contains(reserved, k) {
				t.Errorf("%s: the name %s below $or\n%s", rule, k, text)
			}
			list, isList := v.([]any)
			switch {
			case k == "$or":
				if len(list) < 2 || len(list) > 1000 {
					t.Errorf("%s: $or of %d\n%s", rule, len(list), text)
				}
				for _, e := range list {
					walk(e, true)
				}
			case !isList:
				walk(v, or)
			case len(list) == 0:
				t.Errorf("%s: an empty list for %s\n%s", rule, k, text)
			default:
				for _, a := range list {
					validMatcher(t, rule, a, text)
				}
			}
		}
	}
	walk(p, false)
}

func validMatcher(t *testing.T, rule string, a any, text []byte) {
	t.Helper()
	m, special := a.(map[string]any)
	if !special {
		if container(a) {
			t.Errorf("%s: %v is no value\n%s", rule, a, text)
		}
		return
	}
	bad := len(m) != 1
	for op, arg := range m {
		if fold, ok := arg.(map[string]any); ok && (op == "prefix" || op == "suffix") {
			arg = fold["equals-ignore-case"]
		}
		s, isText := arg.(string)
		switch op {
		case "prefix", "suffix", "equals-ignore-case":
			bad = bad || !isText
		case "wildcard":
			bad = bad || !isText || strings.Contains(strings.NewReplacer(`\\`, "", `\*`, "").Replace(s), "**") || strings.Contains(strings.NewReplacer(`\\`, "", `\*`, "").Replace(s), `\`)
		case "exists":
			_, isBool := arg.(bool)
			bad = bad || !isBool
		case "cidr":
			_, err := netip.ParsePrefix(s)
			bad = bad || err != nil
		case "numeric":
			l, _ := arg.([]any)
			bad = bad || len(l) != 2 && len(l) != 4
			for i := 1; i < len(l); i += 2 {
				n, isNumber := l[i].(float64)
				bad = bad || !isNumber || n < -5e9 || n > 5e9
			}
			bad = bad || len(l) == 4 && (!strings.HasPrefix(l[0].(string), ">") || !strings.HasPrefix(l[2].(string), "<") || l[1].(float64) >= l[3].(float64))
		case "anything-but":
			if inner, ok := arg.(map[string]any); ok {
				for kind, v := range inner {
					arg = v
					for _, e := range values(v) {
						bad = bad || e == "" && (kind == "prefix" || kind == "suffix")
					}
					bad = bad || !slices.Contains([]string{"prefix", "suffix", "wildcard", "equals-ignore-case"}, kind)
				}
			}
			for _, e := range values(arg) {
				_, isText := e.(string)
				bad = bad || !isText
			}
			bad = bad || len(values(arg)) == 0
		default:
			bad = true
		}
	}
	if bad {
		t.Errorf("%s: EventBridge does not take %v\n%s", rule, a, text)
	}
}
