package derive

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/identity"
)

// Policies of AWS have at most 20 KB, but for VPC endpoints and SCPs few come near.
// What is beyond these bounds is a hostile record's; it is not looked at.
const (
	maxPolicies   = 8    // of one record
	maxStatements = 512  // of them together
	maxNames      = 4096 // of actions and principals in one statement
	maxDepth      = 32   // of objects around a policy
)

// policiesOf returns the policies that a call writes: those in the request, else
// those in the answer. A policy is whatever has a Statement: an object, or a text,
// as it is or in the encoding of URLs, whatever its member is called. A call that
// adds a permission to a policy counts as a policy of one statement.
func policiesOf(r *record) []*identity.Policy {
	f := &policyFinder{}
	if p := permission(r); p != nil {
		f.add(p)
	}
	f.walkPart(&r.request)
	if len(f.found) == 0 {
		f.walkPart(&r.response)
	}
	return f.found
}

type policyFinder struct {
	found      []*identity.Policy
	statements int
}

func (f *policyFinder) add(p *identity.Policy) {
	// What IAM takes for no statement gives nothing.
	p.Statements = slices.DeleteFunc(p.Statements, func(s *identity.Statement) bool { return s.Action == nil && s.NotAction == nil })
	if left := maxStatements - f.statements; len(p.Statements) > left {
		p.Statements = p.Statements[:left]
	}
	if f.statements += len(p.Statements); len(p.Statements) > 0 && len(f.found) < maxPolicies {
		f.found = append(f.found, p)
	}
}

// walkPart spares itself an object whose text has no policy. Escapes and the
// encoding of URLs may hide one, though AWS writes none for letters.
func (f *policyFinder) walkPart(p *part) {
	for _, sign := range []string{"Statement", `\u`, "%"} {
		if bytes.Contains(p.text, []byte(sign)) {
			f.walk(p.object(), 0)
			return
		}
	}
}

func (f *policyFinder) walk(v any, depth int) {
	if depth > maxDepth || len(f.found) == maxPolicies {
		return
	}
	switch v := v.(type) {
	case string:
		if p := readPolicy(v); p != nil {
			f.add(p)
		}
	case []any:
		for _, e := range v {
			f.walk(e, depth+1)
		}
	case map[string]any:
		switch v["Statement"].(type) {
		case map[string]any, []any:
			if text, err := json.Marshal(v); err == nil {
				p, _ := identity.ParseLenient(text)
				f.add(p)
				return
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			f.walk(v[k], depth+1)
		}
	}
}

// readPolicy reads a text that is a policy, nil where it is none.
func readPolicy(s string) *identity.Policy {
	s = strings.TrimSpace(s)
	if len(s) > 2 && s[0] == '%' && strings.EqualFold(s[:3], "%7b") {
		if plain, err := url.PathUnescape(s); err == nil && strings.Contains(plain, `"`) {
			s = plain
		}
	}
	if !strings.HasPrefix(s, "{") || !strings.Contains(s, `"Statement"`) {
		return nil
	}
	p, problems := identity.ParseLenient([]byte(s))
	if len(p.Statements) == 0 && slices.ContainsFunc(problems, func(x identity.Problem) bool { return x.Kind == identity.NotJSON }) {
		p, _ = identity.ParseLenient([]byte(closed(s)))
	}
	return p
}

// closed ends a document that was cut off behind its last whole object or list,
// so that what stands before can be read.
func closed(s string) string {
	var open []byte // the brackets that are open
	var end int     // behind the last that was closed
	var left []byte // those that are open there
	within := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case within && c == '\\':
			i++
		case c == '"':
			within = !within
		case within:
		case c == '{' || c == '[':
			if open = append(open, c+2); len(open) > identity.MaxPolicyDepth {
				return s // {|} and [\] are two apart
			}
		case (c == '}' || c == ']') && len(open) > 0 && open[len(open)-1] == c:
			open = open[:len(open)-1]
			end, left = i+1, append(left[:0], open...)
		}
	}
	slices.Reverse(left)
	return s[:end] + string(left)
}

// permission is the statement that a call adds to the policy of a resource; nil
// where it adds none.
func permission(r *record) *identity.Policy {
	var principals, actions []string
	conditions := map[string]string{} // by operator and key
	set := func(operator, key string, v any) {
		if s := text(v); s != "" {
			conditions[operator+" "+key] = s
		}
	}
	switch name := r.name; {
	// https://docs.aws.amazon.com/lambda/latest/api/API_AddPermission.html
	// https://docs.aws.amazon.com/lambda/latest/api/API_AddLayerVersionPermission.html
	case r.source == "lambda.amazonaws.com" && (strings.HasPrefix(name, "AddPermission") || strings.HasPrefix(name, "AddLayerVersionPermission")):
		principals, actions = textList(get(r.request.object(), "principal")), textList(get(r.request.object(), "action"))
		set("StringEquals", "aws:PrincipalOrgID", get(r.request.object(), "principalOrgID"))
		set("StringEquals", "aws:PrincipalOrgID", get(r.request.object(), "organizationId"))
		set("StringEquals", "aws:SourceAccount", get(r.request.object(), "sourceAccount"))
		set("ArnLike", "aws:SourceArn", get(r.request.object(), "sourceArn"))
		set("StringEquals", "lambda:FunctionUrlAuthType", get(r.request.object(), "functionUrlAuthType"))
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
	// https://docs.aws.amazon.com/sns/latest/api/API_AddPermission.html
	case name == "AddPermission" && (r.source == "sqs.amazonaws.com" || r.source == "sns.amazonaws.com"):
		principals = textList(get(r.request.object(), "aWSAccountIds", "aWSAccountId"))
		actions = textList(get(r.request.object(), "actions", "actionName", "actionNames"))
	// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutPermission.html
	case name == "PutPermission" && r.source == "events.amazonaws.com":
		principals, actions = textList(get(r.request.object(), "principal")), textList(get(r.request.object(), "action"))
		if c, ok := get(r.request.object(), "condition").(map[string]any); ok && text(get(c, "type")) != "" {
			set(text(get(c, "type")), text(get(c, "key")), get(c, "value"))
		}
	// https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateGrant.html
	case name == "CreateGrant" && r.source == "kms.amazonaws.com":
		principals, actions = textList(get(r.request.object(), "granteePrincipal")), textList(get(r.request.object(), "operations"))
	}
	principals = slices.DeleteFunc(principals, func(p string) bool { return strings.Contains(p, ".amazonaws.com") })
	if len(principals) == 0 {
		return nil
	}
	service, _, _ := strings.Cut(r.source, ".")
	for i, a := range actions {
		if !strings.Contains(a, ":") && a != "*" {
			actions[i] = service + ":" + a
		}
	}
	if len(actions) == 0 {
		actions = []string{service + ":*"}
	}
	s := &identity.Statement{
		Effect: identity.Allow, Action: identity.NewList(actions...), Resource: identity.NewList("*"),
		Principal: &identity.Principal{Entries: []*identity.PrincipalEntry{{Type: identity.PrincipalAWS, List: *identity.NewList(principals...)}}},
	}
	for _, k := range slices.Sorted(maps.Keys(conditions)) {
		operator, key, _ := strings.Cut(k, " ")
		s.HasCondition = true
		s.Conditions = append(s.Conditions, &identity.Condition{Operator: operator, Keys: []*identity.ConditionKey{{Name: key, List: *identity.NewList(conditions[k])}}})
	}
	return &identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{s}}
}

// textList returns one text or a list of them.
func textList(v any) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, e := range v {
			if s := text(e); s != "" && len(out) < maxNames {
				out = append(out, s)
			}
		}
		return out
	case map[string]any:
		for _, n := range []string{"items", "member", "item"} {
			if inner := get(v, n); inner != nil {
				return textList(inner)
			}
		}
		return nil
	}
	if s := text(v); s != "" {
		return []string{s}
	}
	return nil
}

// requestAccounts are the foreign accounts that the request names: in ARNs, and as
// twelve digits where the member says that it is an account.
func requestAccounts(e *event.Event) []event.Value {
	r := of(e)
	if r == nil {
		return nil
	}
	seen := map[string]bool{}
	eachText("", r.request.object(), 0, func(name, s string) {
		if len(seen) < maxNames && (strings.HasPrefix(s, "arn:") || namesAccount(name)) {
			if a := accountOf(s); a != "" && a != r.account {
				seen[a] = true
			}
		}
	})
	return distinct(slices.Collect(maps.Keys(seen)))
}

// namesAccount reports whether the values of a member are accounts, or can be.
func namesAccount(name string) bool {
	name = strings.ToLower(name)
	return strings.Contains(name, "account") || strings.Contains(name, "principal") || name == "registryid"
}

// eachText calls visit for every text below a value, with the name of the member
// that it is the value of, or is in the list of.
func eachText(name string, v any, depth int, visit func(name, text string)) {
	switch v := v.(type) {
	case string:
		visit(name, v)
	case []any:
		for _, e := range v {
			if depth < maxDepth {
				eachText(name, e, depth+1, visit)
			}
		}
	case map[string]any:
		for name, e := range v {
			if depth < maxDepth {
				eachText(name, e, depth+1, visit)
			}
		}
	}
}
