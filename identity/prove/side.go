package prove

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Side is one of the two policies, or stacks of policies, of a question. What a
// side does not name does not limit it.
type Side struct {
	Stack identity.Stack
}

// PolicySide is the side of a single policy: a resource policy if a statement
// names a principal, otherwise an identity policy.
func PolicySide(p *identity.Policy) (Side, error) {
	layer := identity.IdentityPolicy
	for _, s := range p.Statements {
		if s.Principal != nil || s.NotPrincipal != nil {
			layer = identity.ResourcePolicy
		}
	}
	d, err := identity.Compile(p, layer, "policy")
	if err != nil {
		return Side{}, err
	}
	if layer == identity.ResourcePolicy {
		return Side{identity.Stack{Resource: d}}, nil
	}
	return Side{identity.Stack{Identity: []*identity.Document{d}}}, nil
}

// documents lists all policies of a side.
func (s *Side) documents() []*identity.Document {
	st := &s.Stack
	all := slices.Concat(st.Identity, st.Boundaries, st.Session, st.Endpoint)
	for _, levels := range [][][]*identity.Document{st.ServiceControl, st.ResourceControl} {
		for _, l := range levels {
			all = append(all, l...)
		}
	}
	if st.Resource != nil {
		all = append(all, st.Resource)
	}
	return all
}

// check refuses what has no meaning as a side.
func (s *Side) check() error {
	if st := &s.Stack; st.Resource == nil && (len(st.Grants) > 0 || st.S3 != nil) {
		return errors.New("grants and access control lists without the policy of their resource are not part of the proof")
	}
	return nil
}

// aboutCaller reports whether a side has policies of the caller's own.
func (s *Side) aboutCaller() bool {
	return len(s.Stack.Identity)+len(s.Stack.Boundaries)+len(s.Stack.Session) > 0
}

// ownership says whose the resources of a question are.
type ownership uint8

const (
	delegated    ownership = iota // nobody's in particular: they leave the decision to the caller's account
	ownAccount                    // of the caller's account
	otherAccount                  // of another account
)

// granted is what the resource's side allows, by the way it names the caller.
type granted struct{ direct, role, account *formula }

func (g granted) any() *formula { return or(g.direct, g.role, g.account) }

// allowed is the formula of a side allowing a request: what Evaluate computes for
// one request, over all.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func (b *builder) allowed(s *Side) *formula {
	st, c := &s.Stack, b.caller
	b.stack = st
	defer func() { b.stack = nil }()
	var gates, denies []*formula
	// ask returns what any of the policies allows, and notes what they deny.
	ask := func(docs ...*identity.Document) *formula {
		var allows []*formula
		for _, d := range docs {
			denies = append(denies, b.applies(d.Policy, identity.Deny))
			allows = append(allows, b.applies(d.Policy, identity.Allow))
		}
		return or(allows...)
	}
	each := func(docs []*identity.Document) *formula {
		all := []*formula{}
		for _, d := range docs {
			all = append(all, ask(d))
		}
		return and(all...)
	}
	if under := b.underResourceControl(); under.op != opFalse {
		for _, d := range slices.Concat(st.ResourceControl...) {
			denies = append(denies, and(under, b.applies(d.Policy, identity.Deny)))
		}
	}
	if c.inAccount() && !c.serviceLinked() {
		for _, level := range st.ServiceControl {
			gates = append(gates, ask(level...))
		}
	}
	gates = append(gates, each(st.Endpoint))
	g := b.granted(st)
	if st.Resource != nil {
		denies = append(denies, b.applies(st.Resource.Policy, identity.Deny))
	}
	var allow *formula
	switch {
	case !c.inAccount():
		allow = g.any()
	default:
		own, boundary, session := always, always, always
		switch {
		case c.kind == identity.RootCaller:
			own = not(b.actionIn("sts:AssumeRole"))
		default:
			if len(st.Identity) > 0 || b.exact {
				own = ask(st.Identity...)
			}
			boundary = each(st.Boundaries)
			switch {
			case len(st.Session) > 0:
				session = ask(st.Session...)
			case c.kind == identity.FederatedUserCaller:
				session = never
			}
		}
		own = and(own, boundary, session)
		if b.owner == otherAccount {
			allow = and(g.any(), own)
			break
		}
		allow = or(g.direct, and(g.role, boundary, session), and(g.account, own), and(own, not(b.needsResourcePolicy())))
	}
	return and(append(gates, allow, not(or(denies...)))...)
}

// granted is the formula of what the resource's policy, its access control list
// and its grants allow.
func (b *builder) granted(st *identity.Stack) granted {
	c := b.caller
	g := granted{never, never, never}
	if st.Resource == nil && !b.exact {
		g.account = constant(c.inAccount()) // see Delegating
		return g
	}
	restricted := st.S3 != nil && st.S3.Restricts(st.Resource) && c.kind != identity.ServiceCaller && (!c.inAccount() || b.owner != ownAccount)
	if st.Resource != nil && !restricted {
		for _, s := range st.Resource.Policy.Statements {
			if s.Effect != identity.Allow {
				continue
			}
			f := b.statement(st.Resource.Policy, s)
			switch c.naming(b.stack, s) {
			case identity.NamedDirect:
				g.direct = or(g.direct, f)
			case identity.NamedRole:
				g.role = or(g.role, f)
			case identity.NamedAccount:
				g.account = or(g.account, f)
			}
		}
	}
	if st.S3 != nil && st.S3.ObjectOwnership != "BucketOwnerEnforced" {
		b.lists(st.S3, &g)
	}
	for i := range st.Grants {
		g.direct = or(g.direct, b.grant(&st.Grants[i]))
	}
	return g
}

// lists adds what access control lists allow.
func (b *builder) lists(s *identity.S3Access, g *granted) {
	object := b.resourceIn("*/*")
	for _, a := range s.ACL {
		f := or(and(object, b.actionIn(prefixed("s3:", a.Actions(true))...)), and(not(object), b.actionIn(prefixed("s3:", a.Actions(false))...)))
		switch group := a.Grantee[strings.LastIndexByte(a.Grantee, '/')+1:]; {
		case group == "AllUsers" && !s.IgnorePublicAcls, group == "AuthenticatedUsers" && !s.IgnorePublicAcls && b.caller.inAccount():
			g.direct = or(g.direct, f)
		case b.caller.inAccount() && group == b.caller.account:
			g.account = or(g.account, f)
		}
	}
}

// The condition keys of an encryption context.
// https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
const (
	encryptionContext     = "kms:EncryptionContext:"
	encryptionContextKeys = "kms:EncryptionContextKeys"
)

// grant is the formula of a KMS grant allowing a request. That a request has more
// of an encryption context than EncryptionContextEquals is not expressed: the
// formula is then wider, and the evaluator confirms every yes.
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
func (b *builder) grant(g *identity.Grant) *formula {
	all := []*formula{b.actionIn(prefixed("kms:", g.Operations)...)}
	if g.Key != "" {
		all = append(all, b.resourceIn(g.Key))
	}
	is := func(key, value string) *formula {
		return b.fact(keyVariable(key), someInside, "grant\x01"+value, func() *valueSet { return &valueSet{texts: language{text(value)}} })
	}
	for _, want := range []map[string]string{g.EncryptionContextEquals, g.EncryptionContextSubset} {
		for _, k := range slices.Sorted(maps.Keys(want)) {
			all = append(all, is(encryptionContext+k, want[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(g.EncryptionContextEquals)) {
		all = append(all, is(encryptionContextKeys, k))
	}
	if g.EncryptionContextEquals != nil && len(g.EncryptionContextEquals) == 0 {
		all = append(all, not(b.fact(keyVariable(encryptionContextKeys), present, "", nil)))
	}
	named := func(principal string) bool {
		typ := identity.PrincipalAWS
		if !strings.HasPrefix(principal, "arn:") {
			typ = identity.PrincipalService
		}
		how := b.caller.naming(b.stack, &identity.Statement{Effect: identity.Allow, Principal: identity.NewPrincipal(typ, principal)})
		return how == identity.NamedDirect || how == identity.NamedRole
	}
	used := and(append(all, not(b.actionIn("kms:RetireGrant")), constant(named(g.GranteePrincipal)))...)
	if g.RetiringPrincipal == "" || !named(g.RetiringPrincipal) {
		return used
	}
	retired := []*formula{b.actionIn("kms:RetireGrant")}
	if g.Key != "" {
		retired = append(retired, b.resourceIn(g.Key))
	}
	return or(used, and(retired...))
}

// underResourceControl is the formula of resource control policies applying.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
func (b *builder) underResourceControl() *formula {
	if b.caller.serviceLinked() || len(b.stack.ResourceControl) == 0 {
		return never
	}
	var services []string
	for _, s := range catalog.Default().RCPServices() {
		services = append(services, s+":*")
	}
	return and(b.actionIn(services...), not(b.actionIn("kms:RetireGrant")))
}

// needsResourcePolicy is the formula of the resource's own policy having to let
// the caller in even within one account: role trust and key policies.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
func (b *builder) needsResourcePolicy() *formula {
	if b.owner == delegated {
		return never
	}
	return or(
		and(b.actionIn("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity", "sts:SetContext"), b.resourceIn("arn:*:iam:*:*:role/*")),
		and(b.actionIn("kms:*"), b.resourceIn("arn:*:kms:*:*:key/*")),
	)
}

// needsNoPermission is the formula of the calls that AWS answers whatever the
// policies say.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (b *builder) needsNoPermission() *formula {
	switch {
	case !b.caller.inAccount():
		return never
	case b.caller.kind == identity.UserCaller || b.caller.kind == identity.RootCaller:
		return b.actionIn("sts:GetCallerIdentity", "sts:GetSessionToken")
	}
	return b.actionIn("sts:GetCallerIdentity")
}

// actionIn is the formula of the action being one of these, with wildcards.
func (b *builder) actionIn(patterns ...string) *formula {
	texts := lowered(patterns)
	return b.fact(varAction, someInside, joined(texts), func() *valueSet {
		v := &valueSet{}
		for _, t := range texts {
			v.texts = append(v.texts, wildcard(t))
		}
		return v
	})
}

// resourceIn is the formula of the resource being one of these, with wildcards
// that match anything.
func (b *builder) resourceIn(patterns ...string) *formula {
	return b.fact(varResource, someInside, "plain\x01"+joined(patterns), func() *valueSet {
		v := &valueSet{}
		for _, t := range patterns {
			v.texts = append(v.texts, wildcard(t))
		}
		return v
	})
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + n
	}
	return out
}
