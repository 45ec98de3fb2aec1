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

// narrowing keys bind a request to a known caller or network, so that a
// statement with Principal "*" is not public.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
var narrowingKeys = map[string]bool{
	"aws:sourcearn": true, "aws:sourceaccount": true, "aws:sourceowner": true, "aws:sourceorgid": true, "aws:sourceorgpaths": true,
	"aws:sourcevpc": true, "aws:sourcevpce": true, "aws:sourceip": true, "aws:vpcsourceip": true, "aws:sourcevpcarn": true,
	"aws:vpceaccount": true, "aws:vpceorgid": true, "aws:vpceorgpaths": true,
	"aws:principalorgid": true, "aws:principalorgpaths": true, "aws:principalaccount": true, "aws:principalarn": true,
	"aws:userid": true, "aws:principalservicename": true,
	"s3:dataaccesspointaccount": true, "s3:dataaccesspointarn": true, "s3:accesspointnetworkorigin": true,
	"kms:calleraccount": true, "lambda:eventsourcetoken": true, "elasticfilesystem:accessedviamounttarget": true,
}

// fixed reports whether a value binds: it is no policy variable, and what a
// wildcard leaves open is not the caller's account.
func fixed(key, value string) bool {
	if value == "" || strings.Contains(value, "${") {
		return false
	}
	switch key {
	case "aws:sourceip", "aws:vpcsourceip":
		p, err := parsePrefix(types.String(value))
		if err != nil {
			return false
		}
		if key == "aws:vpcsourceip" || inPrivateSpace(p) {
			return true
		}
		return p.Addr().Is4() && p.Bits() >= 8 || p.Addr().Is6() && p.Bits() >= 32
	case "aws:sourcearn", "aws:principalarn", "s3:dataaccesspointarn", "aws:sourcevpcarn":
		parts := strings.SplitN(value, ":", 6)
		if len(parts) < 6 {
			return false
		}
		if parts[2] == "s3" && parts[4] == "" {
			return !strings.HasPrefix(parts[5], "*") && parts[5] != ""
		}
		return parts[4] != "" && !strings.ContainsAny(parts[4], "*?")
	case "aws:principalorgpaths", "aws:sourceorgpaths", "aws:vpceorgpaths":
		return strings.HasPrefix(value, "o-") && !strings.HasPrefix(value, "o-*")
	}
	return strings.Trim(value, "*?:") != "" && !strings.HasPrefix(value, "*")
}

// baseOperator strips the set prefix and IfExists off an operator and says which
// there were.
func baseOperator(op string) (base string, forAll, ifExists bool) {
	base = strings.ToLower(op)
	if rest, ok := strings.CutPrefix(base, "forallvalues:"); ok {
		base, forAll = rest, true
	}
	base = strings.TrimPrefix(base, "foranyvalue:")
	if rest, ok := strings.CutSuffix(base, "ifexists"); ok {
		base, ifExists = rest, true
	}
	return base, forAll, ifExists
}

func fixedValues(k *identity.ConditionKey) bool {
	key := strings.ToLower(k.Name)
	for _, v := range k.Values {
		if !fixed(key, v.Text) {
			return false
		}
	}
	return len(k.Values) > 0
}

// narrowed reports whether a statement's conditions bind the caller.
func narrowed(s *identity.Statement) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists {
			continue // true where the key is missing
		}
		switch op {
		case "stringequals", "stringequalsignorecase", "stringlike", "arnequals", "arnlike", "ipaddress":
		case "bool":
			for _, k := range c.Keys {
				if strings.EqualFold(k.Name, "elasticfilesystem:AccessedViaMountTarget") && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "true") {
					return true
				}
			}
			continue
		default:
			continue
		}
		for _, k := range c.Keys {
			if narrowingKeys[strings.ToLower(k.Name)] && fixedValues(k) {
				return true
			}
		}
	}
	return false
}

// publicStatements lists the statements through which anyone may do something.
// A statement that another one denies to everyone outside is not public.
func publicStatements(p *identity.Policy) []*identity.Statement {
	var out []*identity.Statement
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || !everyone(s.Principal) && s.NotPrincipal == nil || narrowed(s) {
			continue
		}
		if !fencedOff(p, s) {
			out = append(out, s)
		}
	}
	return out
}

// fencedOff reports whether a Deny closes an Allow to everyone but the callers
// that it names: Deny, Principal "*", all that the Allow grants, and a negated
// condition on a narrowing key.
func fencedOff(p *identity.Policy, allow *identity.Statement) bool {
	for _, d := range statements(p) {
		if d.Effect != identity.Deny || !everyone(d.Principal) || len(d.Conditions) == 0 || !covers(d, allow) {
			continue
		}
		fences := true
		closes := false
		for _, c := range d.Conditions {
			op, forAll, _ := baseOperator(c.Operator)
			for _, k := range c.Keys {
				key := strings.ToLower(k.Name)
				switch {
				case op == "bool" && (key == "aws:principalisawsservice" || key == "aws:viaawsservice") && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "false"):
				case !forAll && narrowingKeys[key] && fixedValues(k) && (op == "stringnotequals" || op == "stringnotlike" || op == "arnnotequals" || op == "arnnotlike" || op == "notipaddress" || op == "stringnotequalsignorecase"):
					if closes {
						fences = false // two negated keys: either one opens
					}
					closes = true
				default:
					fences = false
				}
			}
		}
		if fences && closes {
			return true
		}
	}
	return false
}

// covers reports whether a Deny is about everything that an Allow grants, as far
// as patterns show it.
func covers(d, allow *identity.Statement) bool {
	if allow.Action == nil || d.Action == nil {
		if !coversAction(d, "*") {
			return false
		}
	} else {
		for _, a := range allow.Action.Values {
			if !coversAction(d, a.Text) {
				return false
			}
		}
	}
	if everyResource(d) {
		return true
	}
	if d.Resource == nil || allow.Resource == nil {
		return false
	}
	for _, r := range allow.Resource.Values {
		in := false
		for _, q := range d.Resource.Values {
			in = in || q.Text == r.Text || identity.Match(q.Text, r.Text)
		}
		if !in {
			return false
		}
	}
	return true
}

// foreignAccounts lists what a policy allows AWS principals named by account or
// ARN: "*" for everyone, otherwise the account ids, in the order of the policy.
// With needExternalID, statements that ask for sts:ExternalId or for the
// organization are left out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func foreignAccounts(p *identity.Policy, needExternalID bool) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil {
			continue
		}
		if needExternalID && (narrowed(s) || bindsKey(s, "sts:externalid") || requiresMFA(s)) {
			continue
		}
		for _, e := range s.Principal.Entries {
			if e.Type != identity.PrincipalAWS {
				continue
			}
			for _, v := range e.Values {
				id := principalAccount(v.Text)
				if id != "" && !seen[id] {
					seen[id] = true
					out = append(out, id)
				}
			}
		}
	}
	return out
}

// requiresMFA: a person, not a service, comes through; nobody's deputy.
func requiresMFA(s *identity.Statement) bool {
	for _, c := range s.Conditions {
		op, _, ifExists := baseOperator(c.Operator)
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			if !ifExists && op == "bool" && key == "aws:multifactorauthpresent" && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "true") ||
				!ifExists && strings.HasPrefix(op, "numericlessthan") && key == "aws:multifactorauthage" {
				return true
			}
		}
	}
	return false
}

// bindsKey reports whether a statement holds only for a literal value of a key.
func bindsKey(s *identity.Statement, key string) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || op != "stringequals" && op != "stringlike" && op != "stringequalsignorecase" {
			continue
		}
		for _, k := range c.Keys {
			if !strings.EqualFold(k.Name, key) {
				continue
			}
			all := len(k.Values) > 0
			for _, v := range k.Values {
				all = all && strings.Trim(v.Text, "*?") != ""
			}
			if all {
				return true
			}
		}
	}
	return false
}

func principalAccount(text string) string {
	if len(text) == 12 && strings.Trim(text, "0123456789") == "" {
		return text
	}
	if parts := strings.SplitN(text, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return parts[4]
	}
	return ""
}

// trustedServices lists the service principals that a policy allows something.
func trustedServices(p *identity.Policy) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil {
			continue
		}
		for _, e := range s.Principal.Entries {
			if e.Type == identity.PrincipalService {
				out = append(out, e.Texts()...)
			}
		}
	}
	return out
}

// webIdentitySubjects lists which tokens of an OIDC provider a role's trust
// policy accepts: the patterns for the claim sub of each statement, or "*" where
// a statement does not bind it. Empty: the policy does not trust the provider.
// A statement that binds another claim which names its owner is left out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
func webIdentitySubjects(p *identity.Policy, provider string) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil || !coversAction(s, "sts:AssumeRoleWithWebIdentity") || !federates(s.Principal, provider) {
			continue
		}
		subjects, bound := claim(s, provider, "sub")
		switch {
		case bound:
			out = append(out, subjects...)
		case bindsAny(s, provider):
		default:
			out = append(out, "*")
		}
	}
	return out
}

// webIdentityClaim is webIdentitySubjects for another claim, of which nothing
// else takes the place.
func webIdentityClaim(p *identity.Policy, provider, name string) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil || !coversAction(s, "sts:AssumeRoleWithWebIdentity") || !federates(s.Principal, provider) {
			continue
		}
		values, bound := claim(s, provider, name)
		if !bound {
			values = []string{"*"}
		}
		out = append(out, values...)
	}
	return out
}

// allowsWithoutKey reports whether a statement allows an action without
// demanding a value of a condition key.
func allowsWithoutKey(p *identity.Policy, action, key string) bool {
	for _, s := range statements(p) {
		if s.Effect == identity.Allow && coversAction(s, action) && !demands(s, key) {
			return true
		}
	}
	return false
}

func demands(s *identity.Statement, key string) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || strings.Contains(op, "not") || op == "null" {
			continue
		}
		for _, k := range c.Keys {
			if strings.EqualFold(k.Name, key) {
				return true
			}
		}
	}
	return false
}

// federates reports whether a principal names an OIDC provider: exactly, with a
// path after it, or, where provider ends in a dot, with a longer name.
func federates(p *identity.Principal, provider string) bool {
	for _, e := range p.Entries {
		if e.Type != identity.PrincipalFederated {
			continue
		}
		for _, v := range e.Values {
			name := v.Text
			if _, rest, ok := strings.Cut(name, ":oidc-provider/"); ok {
				name = rest
			}
			name, provider := strings.ToLower(name), strings.ToLower(provider)
			if name == provider || strings.HasPrefix(name, provider+"/") || strings.HasSuffix(provider, ".") && strings.HasPrefix(name, provider) {
				return true
			}
		}
	}
	return false
}

// claim returns the values that a statement demands of a claim.
func claim(s *identity.Statement, provider, name string) (values []string, bound bool) {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || op != "stringequals" && op != "stringlike" && op != "stringequalsignorecase" {
			continue
		}
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			if !strings.HasPrefix(key, strings.ToLower(provider)) || !strings.HasSuffix(key, ":"+name) {
				continue
			}
			bound = true
			for _, v := range k.Values {
				text := v.Text
				if op != "stringlike" { // an asterisk is a letter there
					text = strings.NewReplacer("*", "\\*", "?", "\\?").Replace(text)
				}
				values = append(values, text)
			}
		}
	}
	return values, bound
}

// owningClaims are the claims besides sub that name the owner of a token.
var owningClaims = []string{"repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref", "project_path", "namespace_path", "project_id", "namespace_id"}

func bindsAny(s *identity.Statement, provider string) bool {
	for _, name := range owningClaims {
		if values, ok := claim(s, provider, name); ok {
			all := len(values) > 0
			for _, v := range values {
				all = all && !strings.HasPrefix(v, "*") && !strings.HasPrefix(v, "?")
			}
			if all {
				return true
			}
		}
	}
	return false
}
