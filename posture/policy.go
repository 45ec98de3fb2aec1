package posture

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/bartizan-security/bartizan/identity"
)

// policyCache keeps the policies parsed last: several controls read the same.
//
// A policy that is an object is known by the address of its map, which the entry
// keeps alive, so that no other map gets that address.
type policyCache struct {
	mu      sync.Mutex
	texts   map[string]*identity.Policy
	objects map[uintptr]parsedObject
}

type parsedObject struct {
	members map[string]any
	policy  *identity.Policy
}

func (c *policyCache) findObject(m map[string]any) *identity.Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[reflect.ValueOf(m).Pointer()].policy
}

func (c *policyCache) keepObject(m map[string]any, p *identity.Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.objects == nil || len(c.objects) >= maxPolicies {
		c.objects = make(map[uintptr]parsedObject, maxPolicies)
	}
	c.objects[reflect.ValueOf(m).Pointer()] = parsedObject{m, p}
}

func (c *policyCache) find(text string) *identity.Policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.texts[text]
}

func (c *policyCache) keep(text string, p *identity.Policy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.texts == nil || len(c.texts) >= maxPolicies {
		c.texts = make(map[string]*identity.Policy, maxPolicies)
	}
	c.texts[text] = p
}

const maxPolicies = 256

// parsePolicy reads a policy as AWS APIs give it: JSON text, the same
// URL-encoded (IAM), or an object. A null is no policy: nil.
func (c *policyCache) parse(v ref.Val) (*identity.Policy, error) {
	var text string
	switch v := v.(type) {
	case absent:
		return nil, nil
	case types.String:
		text = string(v)
	case *object:
		if p := c.findObject(v.members); p != nil {
			return p, nil
		}
		b, err := json.Marshal(v.members)
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		p, err := identity.ParsePolicy(b)
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		c.keepObject(v.members, p)
		return p, nil
	default:
		return nil, fmt.Errorf("read policy: want a text or an object, not %s", v.Type().TypeName())
	}
	if p := c.find(text); p != nil {
		return p, nil
	}
	key := text
	if strings.HasPrefix(text, "%") {
		plain, err := url.QueryUnescape(text)
		if err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		text = plain
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	p, err := identity.ParsePolicy([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	c.keep(key, p)
	return p, nil
}

// policyOptions declares the questions on policies.
func policyOptions() []cel.EnvOption {
	cache := &policyCache{}
	ask := func(name string, result *cel.Type, f func(*identity.Policy) any) cel.EnvOption {
		return cel.Function(name, cel.Overload(strings.ReplaceAll(name, ".", "_"), []*cel.Type{cel.DynType}, result, cel.UnaryBinding(func(v ref.Val) ref.Val {
			p, err := cache.parse(v)
			if err != nil {
				return types.WrapErr(err)
			}
			return theAdapter.NativeToValue(f(p))
		})))
	}
	askWith := func(name string, arg, result *cel.Type, f func(*identity.Policy, ref.Val) any) cel.EnvOption {
		return cel.Function(name, cel.Overload(strings.ReplaceAll(name, ".", "_"), []*cel.Type{cel.DynType, arg}, result, cel.BinaryBinding(func(v, a ref.Val) ref.Val {
			p, err := cache.parse(v)
			if err != nil {
				return types.WrapErr(err)
			}
			return theAdapter.NativeToValue(f(p, a))
		})))
	}
	texts := cel.ListType(cel.DynType)
	text := func(v ref.Val) string { s, _ := v.(types.String); return string(s) }
	return []cel.EnvOption{
		ask("policy.allowsPublic", cel.BoolType, func(p *identity.Policy) any { return len(publicStatements(p)) > 0 }),
		ask("policy.publicStatements", texts, func(p *identity.Policy) any { return names(publicStatements(p)) }),
		ask("policy.externalAccounts", texts, func(p *identity.Policy) any { return texts2any(foreignAccounts(p, false)) }),
		ask("policy.accountsWithoutExternalId", texts, func(p *identity.Policy) any { return texts2any(foreignAccounts(p, true)) }),
		ask("policy.services", texts, func(p *identity.Policy) any { return texts2any(trustedServices(p)) }),
		ask("policy.grantsAdmin", cel.BoolType, func(p *identity.Policy) any { return grants(p, "*") }),
		askWith("policy.grants", cel.StringType, cel.BoolType, func(p *identity.Policy, a ref.Val) any { return grants(p, text(a)) }),
		askWith("policy.allows", cel.StringType, cel.BoolType, func(p *identity.Policy, a ref.Val) any { return allowsSomewhere(p, text(a)) }),
		askWith("policy.denies", cel.StringType, cel.BoolType, func(p *identity.Policy, a ref.Val) any { return deniesAll(p, text(a)) }),
		ask("policy.requiresTLS", cel.BoolType, func(p *identity.Policy) any { return requiresTLS(p, "*") }),
		askWith("policy.requiresTLSFor", cel.StringType, cel.BoolType, func(p *identity.Policy, a ref.Val) any { return requiresTLS(p, text(a)) }),
		cel.Function("policy.webIdentityClaim", cel.Overload("policy_webIdentityClaim", []*cel.Type{cel.DynType, cel.StringType, cel.StringType}, texts, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
			p, err := cache.parse(a[0])
			if err != nil {
				return types.WrapErr(err)
			}
			return theAdapter.NativeToValue(texts2any(webIdentityClaim(p, text(a[1]), text(a[2]))))
		}))),
		cel.Function("policy.allowsWithoutKey", cel.Overload("policy_allowsWithoutKey", []*cel.Type{cel.DynType, cel.StringType, cel.StringType}, cel.BoolType, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
			p, err := cache.parse(a[0])
			if err != nil {
				return types.WrapErr(err)
			}
			return types.Bool(allowsWithoutKey(p, text(a[1]), text(a[2])))
		}))),
		askWith("policy.webIdentitySubjects", cel.StringType, texts, func(p *identity.Policy, a ref.Val) any { return texts2any(webIdentitySubjects(p, text(a))) }),
	}
}

func texts2any(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// names gives each statement its Sid, or its place.
func names(list []*identity.Statement) []any {
	out := make([]any, len(list))
	for i, s := range list {
		if out[i] = s.SidText(); out[i] == "" {
			out[i] = fmt.Sprintf("Statement[%d]", s.Index)
		}
	}
	return out
}

func statements(p *identity.Policy) []*identity.Statement {
	if p == nil {
		return nil
	}
	return p.Statements
}

// actionCovers reports whether a pattern of a policy covers an action, or every
// action that another pattern describes.
func actionCovers(pattern, action string) bool {
	if pattern == "*" || strings.EqualFold(pattern, action) {
		return true
	}
	if action == "*" {
		return strings.Trim(pattern, "*:") == ""
	}
	return identity.MatchAction(pattern, action)
}

func coversAction(s *identity.Statement, action string) bool {
	switch {
	case s.Action != nil:
		for _, a := range s.Action.Values {
			if actionCovers(a.Text, action) {
				return true
			}
		}
		return false
	case s.NotAction != nil:
		if action == "*" {
			return len(s.NotAction.Values) == 0
		}
		for _, a := range s.NotAction.Values {
			if actionCovers(a.Text, action) || strings.HasSuffix(action, "*") && actionCovers(action, a.Text) {
				return false
			}
		}
		return true
	}
	return false
}

func everyResource(s *identity.Statement) bool {
	if s.Resource == nil {
		return s.NotResource == nil // trust policies have none
	}
	for _, r := range s.Resource.Values {
		if strings.Trim(r.Text, "*:") == "" || r.Text == "arn:aws:*" || r.Text == "arn:*" {
			return true
		}
	}
	return false
}

func everyone(p *identity.Principal) bool {
	if p == nil {
		return false
	}
	if p.Everyone {
		return true
	}
	for _, e := range p.Entries {
		if e.Type != identity.PrincipalAWS {
			continue
		}
		for _, v := range e.Values {
			if v.Text == "*" {
				return true
			}
		}
	}
	return false
}

// grants reports whether an identity policy allows an action on every resource,
// without a condition, and does not deny it again on every resource.
func grants(p *identity.Policy, action string) bool {
	allowed := false
	for _, s := range statements(p) {
		if len(s.Conditions) > 0 || !coversAction(s, action) || !everyResource(s) {
			continue
		}
		if s.Effect == identity.Deny {
			return false
		}
		allowed = allowed || s.Effect == identity.Allow
	}
	return allowed
}

// allowsSomewhere reports whether a policy allows an action on any resource
// under any condition.
func allowsSomewhere(p *identity.Policy, action string) bool {
	for _, s := range statements(p) {
		if s.Effect == identity.Allow && coversAction(s, action) {
			return true
		}
	}
	return false
}

// exemptionKeys may stand in the condition of a guardrail: they exempt some
// principals and leave everyone else denied.
var exemptionKeys = map[string]bool{
	"aws:principalarn": true, "aws:principalaccount": true, "aws:principalorgid": true, "aws:principalorgpaths": true,
	"aws:principalisawsservice": true, "aws:viaawsservice": true, "aws:userid": true, "aws:username": true,
}

// deniesAll reports whether a policy denies an action on every resource, to
// everyone but principals that its conditions exempt by name.
func deniesAll(p *identity.Policy, action string) bool {
	for _, s := range statements(p) {
		if s.Effect == identity.Deny && coversAction(s, action) && everyResource(s) && exemptsOnly(s.Conditions) {
			return true
		}
	}
	return false
}

func exemptsOnly(list []*identity.Condition) bool {
	for _, c := range list {
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			switch {
			case strings.HasPrefix(key, "aws:principaltag/"), exemptionKeys[key]:
			default:
				return false
			}
			op := strings.ToLower(c.Operator)
			if !strings.Contains(op, "not") && !strings.HasPrefix(op, "bool") {
				return false // a Deny on some principals only
			}
		}
	}
	return true
}

// requiresTLS reports whether a resource policy denies an action, or every one
// of its service, to everyone when the request did not use TLS.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/example-bucket-policies.html#example-bucket-policies-HTTP-HTTPS
func requiresTLS(p *identity.Policy, action string) bool {
	for _, s := range statements(p) {
		if s.Effect != identity.Deny || !everyone(s.Principal) || len(s.Conditions) != 1 {
			continue
		}
		if action == "*" && !coversService(s) || action != "*" && !coversAction(s, action) {
			continue
		}
		c := s.Conditions[0]
		op := strings.ToLower(c.Operator)
		if len(c.Keys) != 1 || len(c.Keys[0].Values) == 0 {
			continue
		}
		key := strings.ToLower(c.Keys[0].Name)
		value := strings.ToLower(c.Keys[0].Values[0].Text)
		switch {
		case key == "aws:securetransport" && (op == "bool" || op == "boolifexists") && value == "false",
			key == "aws:securetransport" && (op == "stringnotequals" || op == "stringnotequalsifexists") && value == "true",
			key == "s3:tlsversion" && strings.HasPrefix(op, "numericlessthan"):
			return true
		}
	}
	return false
}

// coversService reports whether a statement is about every action of a service.
func coversService(s *identity.Statement) bool {
	if s.Action == nil {
		return s.NotAction != nil && len(s.NotAction.Values) == 0
	}
	for _, a := range s.Action.Values {
		_, name, found := strings.Cut(a.Text, ":")
		if a.Text == "*" || found && name == "*" {
			return true
		}
	}
	return false
}
