// Package exposure finds the resources of an estate that anyone, or anyone
// outside the organization, can use.
//
// The types are Exposure, one statement that lets one principal in, with the
// request that proves it; and Scope, which of the two questions is asked. Find
// asks one of every resource with a policy.
//
// # Caveats
//
// A principal of the estate's accounts or of their organization is inside.
// AWS's services are inside too: whom they act for is not the question here.
// People who come through an identity provider are outside, because their
// identity is not the organization's to manage by IAM alone. The own policies of
// whoever is outside are taken to allow everything.
package exposure

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// Scope is whom a question is about.
type Scope uint8

// The scopes.
const (
	Anyone  Scope = iota // anybody at all
	Outside              // anybody outside the organization, or the estate where there is none
)

// Exposure is one way for somebody outside to use a resource, or one that could
// not be excluded.
type Exposure struct {
	Resource   *inventory.Resource
	Principal  string              // as the policy names it; "*" for anyone
	Kind       string              // anyone, account, user, role, identity provider, canonical user
	Public     bool                // anyone, or anyone with an account at a shared provider
	Statement  *identity.Statement // nil for an access control list
	Actions    []string            // as the statement names them; with "not " in front for NotAction
	Conditions []string            // operator key value, value
	Verdict    prove.Verdict       // Yes, or Unknown
	Reason     string              // of an Unknown
	Witness    *identity.Request   // of a Yes: evaluating it against all policies of the resource allows it
}

// Find lists the exposures of all resources, in the order of their ARNs and of
// the statements in their policies.
func Find(inv *inventory.Inventory, scope Scope) []Exposure {
	var all []Exposure
	for _, r := range inv.Resources {
		all = append(all, Of(inv, r, scope)...)
	}
	return all
}

// Of lists the exposures of one resource.
func Of(inv *inventory.Inventory, r *inventory.Resource, scope Scope) []Exposure {
	f := &finder{inv: inv, r: r, scope: scope, stack: inv.Stack(&inventory.Principal{}, r.ARN)}
	for _, why := range r.Missing {
		f.found = append(f.found, Exposure{Resource: r, Principal: "*", Kind: "anyone", Verdict: prove.Unknown, Reason: "could not be read: " + why})
	}
	if r.Policy != nil {
		f.denies = denies(r.Policy.Policy)
		for _, s := range r.Policy.Policy.Statements {
			if s.Effect == identity.Allow {
				f.statement(s)
			}
		}
	}
	f.lists()
	f.grants()
	return f.found
}

// strangersAccount stands for any account outside.
const strangersAccount = "777788889999"

type finder struct {
	inv    *inventory.Inventory
	r      *inventory.Resource
	scope  Scope
	stack  *identity.Stack
	denies []*identity.Statement
	found  []Exposure
}

func denies(p *identity.Policy) []*identity.Statement {
	var list []*identity.Statement
	for _, s := range p.Statements {
		if s.Effect == identity.Deny {
			list = append(list, s)
		}
	}
	return list
}

// statement asks about each principal of an allow statement.
func (f *finder) statement(s *identity.Statement) {
	if s.NotPrincipal != nil || s.Principal == nil || s.Principal.Everyone {
		f.principal(s, s.Principal, "*", identity.PrincipalAWS)
		return
	}
	for _, e := range s.Principal.Entries {
		for _, name := range e.Texts() {
			only := &identity.Principal{Entries: []*identity.PrincipalEntry{{Type: e.Type, List: *identity.NewList(name)}}}
			f.principal(s, only, name, e.Type)
		}
	}
}

// principal asks whether a statement lets in somebody outside as one principal.
func (f *finder) principal(s *identity.Statement, only *identity.Principal, name, typ string) {
	x := Exposure{Resource: f.r, Principal: name, Kind: kindOf(name, typ), Statement: s, Actions: actionsOf(s), Conditions: conditionsOf(s)}
	switch {
	case typ == identity.PrincipalService || f.inside(name, typ) || f.forInsiders(s):
		return
	case typ == identity.PrincipalFederated:
		x.Public = openProvider(name, s)
	case typ == identity.PrincipalCanonicalUser:
		if f.scope == Outside {
			x.Verdict, x.Reason = prove.Unknown, "a canonical user id stands for an account that only S3 knows"
			f.found = append(f.found, x)
		}
		return
	}
	if f.scope == Anyone && x.Kind != "anyone" && !x.Public {
		return
	}
	one := *s
	if one.Index, one.Node = 0, nil; s.NotPrincipal == nil {
		one.Principal = only
	}
	if s.NotResource == nil && (s.Resource == nil || slices.Contains(s.Resource.Texts(), "*")) {
		one.Resource = f.itself()
	}
	side, err := f.side(append([]*identity.Statement{&one}, f.denies...))
	if err != nil {
		x.Verdict, x.Reason = prove.Unknown, err.Error()
		f.found = append(f.found, x)
		return
	}
	var public prove.Answer
	if x.Kind == "anyone" {
		public = prove.Public(side)
		x.Public = public.Verdict == prove.Yes
	}
	answer := public
	if f.scope == Outside && !x.Public || x.Kind == "identity provider" {
		answer = f.compare(side)
	}
	f.report(&x, answer)
}

// report adds an exposure, once the whole resource confirms it.
func (f *finder) report(x *Exposure, a prove.Answer) {
	x.Verdict, x.Reason, x.Witness = a.Verdict, a.Reason, a.Witness
	if a.Verdict == prove.No {
		return
	}
	if a.Verdict == prove.Yes && a.Witness.Principal == "*" && x.Resource.Type == "AWS::IAM::Role" {
		// Requests for a role are signed: whoever makes one has an account.
		w := *a.Witness
		w.Principal = "arn:aws:iam::" + strangersAccount + ":user/example"
		a.Witness, x.Witness = &w, &w
	}
	if a.Verdict == prove.Yes && x.Kind != "identity provider" {
		switch outcome := f.confirm(a.Witness); {
		case outcome == identity.ExplicitDeny || outcome == identity.ImplicitDeny:
			return // block public access keeps it closed
		case outcome == identity.Unknown:
			x.Verdict, x.Reason = prove.Unknown, "it depends on keys that nobody knows"
		case len(f.r.Unsure) > 0:
			x.Verdict, x.Reason = prove.Unknown, strings.Join(f.r.Unsure, "; ")
		}
	}
	f.found = append(f.found, *x)
}

// itself is the Resource element for just this resource, so that an example is
// about it.
func (f *finder) itself() *identity.List { return identity.NewList(f.r.Parts()...) }

func (f *finder) side(statements []*identity.Statement) (prove.Side, error) {
	p := &identity.Policy{Version: f.r.Policy.Policy.Version}
	for i, s := range statements {
		c := *s
		c.Index = i
		p.Statements = append(p.Statements, &c)
	}
	d, err := identity.Compile(p, identity.ResourcePolicy, f.r.Policy.Name)
	return prove.Side{Stack: identity.Stack{Resource: d, ResourceControl: f.stack.ResourceControl}}, err
}

// everything is what the own policies of somebody outside are taken to allow.
var everything = identity.AllowAll(identity.IdentityPolicy, "everything")

// confirm evaluates a witness against everything that decides about the resource.
func (f *finder) confirm(w *identity.Request) identity.Outcome {
	s := &identity.Stack{Resource: f.stack.Resource, S3: f.stack.S3, ResourceControl: f.stack.ResourceControl}
	if c, err := identity.ParseCaller(w.Principal); err == nil && c.AccountID != "" {
		s.Identity = []*identity.Document{everything}
	}
	r := *w
	r.ManagementAccount = f.inv.ManagementAccount()
	if r.ResourceAccount = f.r.Account; strings.HasPrefix(w.Principal, "arn:aws:iam::"+f.r.Account+":") {
		r.ResourceAccount = w.ResourceAccount
	}
	d, err := identity.Evaluate(&r, s)
	if err != nil {
		return identity.Unknown
	}
	return d.Outcome
}

// lists asks about the access control list of a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
func (f *finder) lists() {
	if f.r.S3 == nil {
		return
	}
	for _, g := range f.r.S3.ACL {
		group := g.Grantee[strings.LastIndexByte(g.Grantee, '/')+1:]
		caller := map[string]string{"AllUsers": "*", "AuthenticatedUsers": "arn:aws:iam::" + strangersAccount + ":user/example"}[group]
		if caller == "" {
			continue
		}
		x := Exposure{Resource: f.r, Principal: group, Kind: "anyone", Public: true, Actions: listActions[g.Permission], Conditions: []string{"access control list: " + g.Permission}}
		for _, action := range x.Actions {
			resource := f.r.ARN
			if strings.HasSuffix(action, "Object") {
				resource += "/example"
			}
			w := &identity.Request{Principal: caller, Action: action, Resource: resource, ResourceAccount: f.r.Account}
			if f.confirm(w) == identity.Allowed {
				f.report(&x, prove.Answer{Verdict: prove.Yes, Witness: w})
				break
			}
		}
	}
}

// listActions are the actions that a permission of a bucket's list gives.
var listActions = map[string][]string{
	"READ":         {"s3:ListBucket"},
	"WRITE":        {"s3:PutObject", "s3:DeleteObject"},
	"READ_ACP":     {"s3:GetBucketAcl"},
	"WRITE_ACP":    {"s3:PutBucketAcl"},
	"FULL_CONTROL": {"s3:ListBucket", "s3:PutObject", "s3:DeleteObject", "s3:GetBucketAcl", "s3:PutBucketAcl"},
}

// grants asks about the grants of a key.
func (f *finder) grants() {
	if f.scope != Outside {
		return
	}
	for _, g := range f.r.Grants {
		c, err := identity.ParseCaller(g.GranteePrincipal)
		if err != nil || c.Kind == identity.ServiceCaller || f.inside(g.GranteePrincipal, identity.PrincipalAWS) {
			continue
		}
		x := Exposure{Resource: f.r, Principal: g.GranteePrincipal, Kind: kindOf(g.GranteePrincipal, identity.PrincipalAWS), Verdict: prove.Yes, Conditions: []string{"grant of the key"}}
		for _, op := range g.Operations {
			x.Actions = append(x.Actions, "kms:"+op)
		}
		if len(x.Actions) > 0 {
			x.Witness = &identity.Request{Principal: g.GranteePrincipal, Action: x.Actions[0], Resource: f.r.ARN, ResourceAccount: f.r.Account}
		}
		f.found = append(f.found, x)
	}
}

// inside reports whether a named principal belongs to the estate or its
// organization.
func (f *finder) inside(name, typ string) bool {
	if name == "*" || typ == identity.PrincipalFederated || typ == identity.PrincipalCanonicalUser {
		return false
	}
	c, err := identity.ParseCaller(name)
	if err != nil {
		// The unique id of a deleted user or role of any account: nobody has it now.
		return strings.HasPrefix(name, "AIDA") || strings.HasPrefix(name, "AROA")
	}
	return c.AccountID != "" && f.inv.Member(c.AccountID)
}

func kindOf(name, typ string) string {
	switch {
	case typ == identity.PrincipalFederated:
		return "identity provider"
	case typ == identity.PrincipalCanonicalUser:
		return "canonical user"
	case name == "*":
		return "anyone"
	}
	c, err := identity.ParseCaller(name)
	if err != nil {
		return "account"
	}
	switch c.Kind {
	case identity.UserCaller, identity.FederatedUserCaller:
		return "user"
	case identity.RoleCaller, identity.SessionCaller:
		return "role"
	}
	return "account"
}

func actionsOf(s *identity.Statement) []string {
	if s.Action != nil {
		return s.Action.Texts()
	}
	var list []string
	for _, t := range s.NotAction.Texts() {
		list = append(list, "not "+t)
	}
	return list
}

func conditionsOf(s *identity.Statement) []string {
	var list []string
	for _, c := range s.Conditions {
		for _, k := range c.Keys {
			list = append(list, c.Operator+" "+k.Name+" "+strings.Join(k.Texts(), ", "))
		}
	}
	slices.Sort(list)
	return list
}
