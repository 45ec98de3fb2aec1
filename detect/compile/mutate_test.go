package compile_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// mutants returns the examples of a rule and events near them: each field that the rule
// looks at missing, null, of another type, in a list with others, in another
// case, with more before or behind it, or what the rule asks for. They are what
// AWS could write: see natural. Where there are more than limit, limit of them
// are drawn, always the same ones.
func (c *corpus) mutants(t *testing.T, r *sigma.Rule, limit int) []*sample {
	t.Helper()
	var tests []*sigma.Test
	for _, base := range append(r.Base(), r) {
		tests = append(tests, allTests(base.Condition())...)
	}
	kind := kindOf(r)
	type mutant struct {
		note string
		make func() map[string]any
	}
	var all []mutant
	add := func(note string, make func() map[string]any) { all = append(all, mutant{note, make}) }
	for _, s := range c.own[r.Key()] {
		if s.kind != kind {
			continue
		}
		for i, x := range tests {
			if x.Field == "" || sigma.IsDerived(x.Field) {
				continue
			}
			path := strings.Split(x.Field, ".")
			if isLine(kind) {
				path = []string{x.Field}
			}
			add(x.Field+" missing", func() map[string]any { return without(s.doc, path) })
			for _, v := range wanted(x, at(s.doc, path)) {
				ok := true
				for _, o := range tests { // case that AWS does not vary
					ok = ok && (o.Field != x.Field || natural(kind, o, v))
				}
				if ok {
					add(fmt.Sprintf("%s = %#v", x.Field, v), func() map[string]any { return with(s.doc, path, v) })
				}
			}
			if !isLine(kind) {
				for _, doc := range split(s.doc, path, tests[i+1:]) {
					add(x.Field+" in lists", func() map[string]any { return doc })
				}
			}
		}
	}
	limit /= thin()
	if len(all) > limit {
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:limit]
	}
	var out []*sample
	for _, s := range c.own[r.Key()] {
		if s.kind == kind {
			out = append(out, s)
		}
	}
	matcher := c.engine.Matcher()
	for _, m := range all {
		doc := m.make()
		e := c.event(t, kind, doc)
		s := &sample{kind: kind, raw: slices.Clone(e.Raw()), note: m.note, doc: doc}
		s.hits = c.judge(matcher, e, []*sigma.Rule{r})
		out = append(out, s)
	}
	return out
}

// event makes an event of a document: a line for the logs that have lines.
func (c *corpus) event(t *testing.T, kind event.Kind, doc map[string]any) *event.Event {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if isLine(kind) {
		var names []string
		for n := range doc {
			names = append(names, n)
		}
		slices.Sort(names)
		var fields [][]byte
		for _, n := range names {
			fields = append(fields, []byte(doc[n].(string)))
		}
		e := event.New(c.engine.Schema())
		e.SetFields(event.NewColumns(c.engine.Schema(), names), text, fields)
		e.Kind = kind
		return e
	}
	e, err := event.Parse(c.engine.Schema(), kind, text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func allTests(n *sigma.Node) []*sigma.Test {
	if n == nil {
		return nil
	}
	if n.Test != nil {
		return []*sigma.Test{n.Test}
	}
	var out []*sigma.Test
	for _, k := range n.Kids {
		out = append(out, allTests(k)...)
	}
	return out
}

// fixed are the fields whose values AWS writes in one way, and plain those that
// hold one text, whatever the call. docs/compile.md names them.
var fixed = strings.Fields(`eventName eventSource eventType eventCategory awsRegion eventVersion recipientAccountId
	userIdentity.type userIdentity.accountId userIdentity.invokedBy userIdentity.sessionContext.sessionIssuer.type
	userIdentity.sessionContext.attributes.mfaAuthenticated errorCode type`)

func plain(kind event.Kind, field string) bool {
	if kind == event.CloudTrail {
		field, _, _ = strings.Cut(field, ".")
	}
	return plainFields[kind][field]
}

var plainFields = map[event.Kind]map[string]bool{
	event.CloudTrail: set(`eventName eventSource eventType eventCategory awsRegion eventVersion recipientAccountId
		sourceIPAddress userAgent errorCode errorMessage eventID requestID eventTime sharedEventID vpcEndpointId apiVersion userIdentity
		sessionCredentialFromConsole`),
	event.GuardDuty: set(`type title description id accountId region service.serviceName service.action.actionType`),
	event.DNS: set(`version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr
		srcport transport firewall_rule_action firewall_rule_group_id firewall_domain_list_id`),
	event.WAF: set(`action webaclId terminatingRuleId terminatingRuleType httpSourceName httpSourceId responseCodeSent
		httpRequest.clientIp httpRequest.country httpRequest.uri httpRequest.args httpRequest.httpVersion httpRequest.httpMethod
		httpRequest.requestId httpRequest.headers.name httpRequest.headers.value labels.name ruleGroupList.ruleGroupId
		ruleGroupList.terminatingRule.ruleId ruleGroupList.terminatingRule.action nonTerminatingMatchingRules.ruleId
		nonTerminatingMatchingRules.action`),
	event.SecurityHub: set(`Title ProductArn RecordState Severity.Label Workflow.Status Compliance.Status GeneratorId Description`),
}

// What a log of lines writes as numbers.
var (
	flowNumbers = set("version srcport dstport protocol packets bytes start end tcp-flags traffic-path")
	lineNumbers = set("client_port target_port elb_status_code received_bytes sent_bytes bytes_sent object_size")
)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}

// natural reports whether AWS could write a value into a field.
func natural(kind event.Kind, x *sigma.Test, v any) bool {
	switch kind {
	case event.CloudTrail, event.GuardDuty, event.SecurityHub, event.WAF, event.DNS:
	case event.VPCFlow:
		text, ok := v.(string)
		if !ok {
			return false
		}
		if flowNumbers[x.Field] {
			_, err := strconv.Atoi(text)
			return text == "-" || err == nil
		}
		return text != "" && !strings.Contains(text, " ")
	default:
		text, ok := v.(string)
		if lineNumbers[x.Field] {
			_, err := strconv.Atoi(text)
			return ok && (text == "-" || err == nil)
		}
		return ok && !strings.ContainsAny(text, "\"\n") && text != ""
	}
	text, isText := v.(string)
	switch {
	case slices.Contains([]string{"readOnly", "managementEvent", "service.archived", "service.additionalInfo.sample"}, x.Field):
		_, isBool := v.(bool)
		return isBool || v == nil
	case kind == event.SecurityHub && x.Field == "Types":
		list, isList := v.([]any)
		return isList && !slices.ContainsFunc(list, func(e any) bool { _, isText := e.(string); return !isText })
	case kind == event.GuardDuty && x.Field == "severity":
		_, isNumber := v.(float64)
		return isNumber
	case !plain(kind, x.Field):
		return true
	case !isText:
		return v == nil && x.Kind != sigma.TestExists
	case slices.Contains(fixed, x.Field):
		return !slices.ContainsFunc(x.Patterns, func(p sigma.Pattern) bool { return p.Match(text, false) && !p.Match(text, true) })
	}
	return true
}

// wanted returns values for a field: what a test asks for, what is there, and
// what is near.
func wanted(x *sigma.Test, there any) []any {
	var texts []string
	for i, p := range x.Patterns {
		if i == 6 {
			break
		}
		for _, fill := range []string{"", "zz"} {
			s := ""
			for _, k := range p.Tokens {
				switch {
				case k.Any:
					s += fill
				case k.One:
					s += "y"
				default:
					s += k.Literal
				}
			}
			texts = append(texts, s)
		}
	}
	for _, n := range x.Numbers {
		for _, d := range []float64{0, 1, -1, 0.5} {
			texts = append(texts, strconv.FormatFloat(n.Want+d, 'f', -1, 64))
		}
	}
	for _, p := range x.Networks {
		a := p.Addr()
		last := a.As16()
		for i := p.Bits() + 128 - a.BitLen(); i < 128; i++ {
			last[i/8] |= 1 << (7 - i%8)
		}
		end := netip.AddrFrom16(last).Unmap()
		texts = append(texts, a.String(), end.String(), end.Next().String(), a.Prev().String())
	}
	for _, re := range x.Regexps {
		texts = append(texts, re.Needs)
	}
	switch v := there.(type) {
	case string:
		texts = append(texts, v)
	case float64:
		texts = append(texts, strconv.FormatFloat(v, 'f', -1, 64))
	case bool:
		texts = append(texts, strconv.FormatBool(v))
	}
	out := []any{nil, "", "zz", "-", "zz\n", 0.0, 7.0, true, false, []any{}, map[string]any{}, []any{nil}, map[string]any{"zz": "zz"}}
	for _, s := range texts {
		for _, v := range []string{s, strings.ToUpper(s), strings.ToLower(s), "zz" + s, s + "zz", s + "\n", "\\" + s, `"` + s, s + "'"} {
			out = append(out, v)
		}
		out = append(out, []any{s}, []any{"zz", s}, []any{s, "zz"}, []any{[]any{s}}, []any{nil, s}, map[string]any{"zz": s}, []any{map[string]any{"zz": s}})
		if n, err := strconv.ParseFloat(s, 64); err == nil {
			out = append(out, n, []any{n, "zz"})
		}
		if b, err := strconv.ParseBool(s); err == nil && len(s) > 1 {
			out = append(out, b, []any{b, "zz"})
		}
	}
	return out
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// at returns the value at a path, in the first element of lists on the way.
func at(v any, path []string) any {
	switch d := v.(type) {
	case []any:
		if len(d) > 0 && len(path) > 0 {
			return at(d[0], path)
		}
	case map[string]any:
		if len(path) > 0 {
			return at(d[path[0]], path[1:])
		}
	}
	if len(path) > 0 {
		return nil
	}
	return v
}

func parent(doc map[string]any, path []string) map[string]any {
	for _, k := range path[:len(path)-1] {
		next := doc[k]
		if l, ok := next.([]any); ok && len(l) > 0 {
			next = l[0]
		}
		m, ok := next.(map[string]any)
		if !ok {
			m = map[string]any{}
			doc[k] = m
		}
		doc = m
	}
	return doc
}

func with(doc map[string]any, path []string, v any) map[string]any {
	out := clone(doc).(map[string]any)
	parent(out, path)[path[len(path)-1]] = v
	return out
}

func without(doc map[string]any, path []string) map[string]any {
	out := clone(doc).(map[string]any)
	delete(parent(out, path), path[len(path)-1])
	return out
}

// split puts what two tests look at below one parent into two elements of a
// list, and each into a list with an empty element.
func split(doc map[string]any, path []string, others []*sigma.Test) []map[string]any {
	var out []map[string]any
	for depth := 2; depth < len(path); depth++ {
		up := path[:depth]
		whole, ok := at(doc, up).(map[string]any)
		if !ok || path[0] == "userIdentity" || path[0] == "service" && depth < 3 {
			continue
		}
		out = append(out, with(doc, up, []any{clone(whole)}), with(doc, up, []any{clone(whole), map[string]any{}}), with(doc, up, []any{map[string]any{"zz": "zz"}, clone(whole)}))
		rest := clone(whole).(map[string]any)
		mine := map[string]any{path[depth]: rest[path[depth]]}
		delete(rest, path[depth])
		for _, o := range others {
			if strings.HasPrefix(o.Field, strings.Join(up, ".")+".") && !strings.HasPrefix(o.Field, strings.Join(path[:depth+1], ".")) {
				out = append(out, with(doc, up, []any{mine, rest}), with(doc, up, []any{rest, mine}))
				break
			}
		}
	}
	return out
}

// verdict compares what a translation takes with what the engine matches.
type verdict struct{ events, matches, more int }

func (v verdict) String() string {
	return fmt.Sprintf("%d events, %d matches agree, %d more are taken by wider translations", v.events, v.matches, v.more)
}

// fault is what is wrong, at most a few times for each rule.
type fault func(format string, args ...any)

func (v *verdict) compare(exact, want, got bool, wrong fault, s *sample) {
	v.events++
	switch {
	case want && !got:
		wrong("misses %s: %s", s.note, s.raw)
	case got && !want && exact:
		wrong("is exact but takes %s: %s", s.note, s.raw)
	case got && !want:
		v.more++
	case want:
		v.matches++
	}
}

func faults(t *testing.T, rule string, text any) fault {
	n := 0
	return func(format string, args ...any) {
		t.Helper()
		if n++; n <= 3 {
			t.Errorf("%s %s\n%s", rule, fmt.Sprintf(format, args...), text)
		}
	}
}
