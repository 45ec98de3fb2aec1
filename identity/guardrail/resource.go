package guardrail

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// target is a resource that a rule means and that may let callers in by itself:
// by its policy, its access control list or a grant.
type target struct {
	*inventory.Resource
	patterns []string // ARNs of what belongs to it
	actions  []string // of the rule, those that take such a resource
	allows   []*identity.Statement
	open     bool // a list or a grant lets in whom no statement names
	whole    bool // the rule names it, so that all access to it is asked for here
}

// targets lists the resources that the rule names or that may let callers in by
// themselves, and why it is unknown of those whose policy was not read.
func (r *Rule) targets(inv *inventory.Inventory) (list []*target, unread []string) {
	for _, res := range inv.Resources {
		t := &target{Resource: res, patterns: res.Parts()}
		if !slices.ContainsFunc(orAll(r.Resources), t.meets) {
			continue
		}
		if t.actions = r.actionsOn(t); len(t.actions) == 0 {
			continue
		}
		if res.Policy != nil {
			for _, s := range res.Policy.Policy.Statements {
				if s.Effect == identity.Allow && concerns(s, t.actions) {
					t.allows = append(t.allows, s)
				}
			}
		}
		t.whole = slices.ContainsFunc(r.Resources, func(p string) bool { return wholeName(p) == res.ARN })
		t.open = len(res.Grants) > 0 || res.S3 != nil && len(res.S3.ACL) > 0 && res.S3.ObjectOwnership != "BucketOwnerEnforced"
		if len(t.allows) > 0 || t.open || t.whole {
			list = append(list, t)
		}
		if len(res.Missing) > 0 {
			unread = append(unread, fmt.Sprintf("the policy of %s: %s", res.ARN, strings.Join(res.Missing, "; ")))
		}
	}
	for _, pattern := range r.Resources {
		if name := wholeName(pattern); name != "" && inventory.TakesPolicy(name) {
			if _, held := inv.Resource(name); !held && len(r.actionsOn(&target{patterns: []string{name, name + "/*"}})) > 0 {
				unread = append(unread, "the policy of "+name+", which the estate does not hold")
			}
		}
	}
	return list, unread
}

// wholeName is the resource that a pattern is about, if it names just one: a
// bucket for the pattern of its objects.
func wholeName(pattern string) string {
	if rest, ok := strings.CutPrefix(pattern, "arn:aws:s3:::"); ok {
		bucket, _, _ := strings.Cut(rest, "/")
		pattern = "arn:aws:s3:::" + bucket
	}
	if strings.ContainsAny(pattern, "*?") {
		return ""
	}
	return pattern
}

// meets reports whether a pattern of the rule may be about the resource.
func (t *target) meets(pattern string) bool {
	return slices.ContainsFunc(t.patterns, func(p string) bool { return catalog.Overlap(pattern, p) })
}

// actionsOn lists the rule's actions that take a resource of the kind.
func (r *Rule) actionsOn(t *target) []string {
	var list []string
	for _, name := range r.actions {
		a, ok := catalog.Default().Action(name)
		if !ok || a.WildcardOnly() {
			continue
		}
		if slices.ContainsFunc(catalog.Default().ResourceTypesOf(a), func(rt *catalog.ResourceType) bool {
			return slices.ContainsFunc(t.patterns, func(p string) bool { return catalog.MatchARN(p, rt) })
		}) {
			list = append(list, name)
		}
	}
	return list
}

// byResource asks about the access of a principal to the resources that the rule
// names, and to those that give access by themselves: by naming it, its role's
// sessions or everyone, and across accounts its account, by a grant or an access
// control list. Within one account a policy that names the account adds nothing
// to the principal's own, which are asked about anyway.
func byResource(inv *inventory.Inventory, r *Rule, p *inventory.Principal, targets []*target) (Violation, bool) {
	v := Violation{Principal: p.ARN}
	for _, t := range targets {
		if !t.mayLetIn(p) && !(t.whole && (p.Kind == inventory.Root || r.mayAllow(p.Policies))) {
			continue
		}
		stack := inv.Stack(p, t.ARN)
		callers := prove.CallersOf(stack, p.ARN)
		for i := range callers {
			callers[i].Known = known(inv, p, t)
		}
		found, bad := r.reach(inv, t, stack, nil, callers)
		if !bad {
			continue
		}
		found.Principal = p.ARN
		if missing := slices.Concat(p.Missing, noneOf(inv.ControlMissing(p))); found.Verdict == prove.Yes && len(missing) > 0 {
			found.Verdict, found.Reason = prove.Unknown, unreadReason(missing)
		}
		if found.Verdict == prove.Yes {
			return found, true
		}
		v = found
	}
	return v, v.Verdict == prove.Unknown
}

// mayLetIn tells quickly whether the resource may let a principal in where its
// own policies do not.
func (t *target) mayLetIn(p *inventory.Principal) bool {
	if t.open {
		return true
	}
	session := ":" + p.Account + ":assumed-role/" + p.Name + "/"
	return slices.ContainsFunc(t.allows, func(s *identity.Statement) bool {
		if s.Principal == nil || s.Principal.Everyone {
			return true
		}
		for _, e := range s.Principal.Entries {
			for _, text := range e.Texts() {
				switch {
				case e.Type == identity.PrincipalCanonicalUser:
					return true
				case e.Type != identity.PrincipalAWS:
				case text == "*", text == p.ARN, p.Kind == inventory.Role && strings.Contains(text, session):
					return true
				case t.Account != p.Account && (text == p.Account || strings.HasSuffix(text, ":iam::"+p.Account+":root")):
					return true
				}
			}
		}
		return false
	})
}

// reach proves whether callers get through to a target with a stack of policies.
func (r *Rule) reach(inv *inventory.Inventory, t *target, stack *identity.Stack, except []string, callers []prove.Caller) (Violation, bool) {
	s := *stack
	if t.Account == inv.ManagementAccount() {
		s.ResourceControl = nil // it is not bound by them
	}
	q := prove.Reach{Stack: s, Owner: t.Account, Targets: t.patterns, Carries: carries,
		Access: prove.Access{Actions: t.actions, Resources: r.Resources}, When: r.when(except)}
	a := q.Ask(callers...)
	if a.Verdict == prove.No {
		return Violation{}, false
	}
	v := Violation{Verdict: a.Verdict, Witness: a.Witness, Reason: a.Reason}
	if a.Verdict == prove.Unknown {
		v.Reason += " (of " + t.ARN + ")"
		return v, true
	}
	if d, err := identity.Evaluate(a.Witness, &s); err == nil {
		if v.By = refs(d.Statements); len(v.By) == 0 {
			v.By = []string{fmt.Sprintf("%s of %s", d.DecidedBy, t.ARN)}
		}
	}
	missing := slices.Concat(t.Missing, t.Unsure)
	missing = append(missing, noneOf(inv.ResourceControlMissing(a.Witness.Action, t.Account))...)
	if len(missing) > 0 {
		v.Verdict, v.Reason = prove.Unknown, unreadReason(missing)
	}
	return v, true
}

// when is what holds of all requests that the rule means of callers who may be
// excepted: their ARNs match none of these.
func (r *Rule) when(except []string) []*identity.Condition {
	if len(except) == 0 {
		return r.conditions
	}
	return joined(&identity.Condition{Operator: "StringNotLike", Keys: []*identity.ConditionKey{{Name: "aws:PrincipalArn", List: *identity.NewList(except...)}}}, r.conditions)
}

func noneOf(reason string) []string {
	if reason == "" {
		return nil
	}
	return []string{reason}
}

// everybody stands for who is in no account or in one that nothing names.
const everybody = "*"

// outside asks about callers that the estate does not hold: anonymous ones,
// identity providers, and all principals of other accounts, whose own policies
// are taken to allow everything. Services are not asked about.
func outside(inv *inventory.Inventory, r *Rule, targets []*target) []Violation {
	if len(r.Accounts) > 0 {
		return nil
	}
	here := map[string]bool{}
	for _, a := range inv.Accounts {
		here[a] = true
	}
	var except []string
	for _, e := range r.Except {
		if strings.HasPrefix(e, "arn:") {
			except = append(except, e)
		}
	}
	excepted := func(name string) bool {
		return slices.ContainsFunc(except, func(e string) bool { return identity.Match(e, name) })
	}
	var found []Violation
	for _, t := range targets {
		by := map[string]*Violation{}
		var order []string
		for _, c := range strangers(inv, t, here) {
			name := labelOf(c, t, inv)
			if c.Kind() == identity.ServiceCaller || excepted(name) || !c.Others() && excepted(c.Principal()) {
				continue
			}
			if v := by[name]; v != nil && v.Verdict == prove.Yes {
				continue
			}
			stack := stackOfStranger(inv, t, c)
			c.Known = known(inv, &inventory.Principal{ARN: c.Principal(), Account: c.Account()}, t)
			if v, bad := r.reach(inv, t, stack, except, []prove.Caller{c}); bad {
				if by[name] == nil {
					order = append(order, name)
				}
				if v.Principal = name; by[name] == nil || v.Verdict == prove.Yes {
					by[name] = &v
				}
			}
		}
		for _, name := range order {
			found = append(found, *by[name])
		}
	}
	return found
}

// strangers lists who may get through to a target from outside. Of the member
// accounts of the organization that the estate does not hold, one that no policy
// names stands for all.
func strangers(inv *inventory.Inventory, t *target, here map[string]bool) []prove.Caller {
	var more []string
	for _, a := range inv.Members() {
		if !here[a] {
			more = []string{a}
			break
		}
	}
	exists := func(name string) bool { _, ok := inv.Principal(name); return ok }
	return prove.Strangers(inv.Stack(&inventory.Principal{}, t.ARN), func(a string) bool { return here[a] }, exists, more...)
}

// labelOf names a caller from outside as the policy does: an account by its root,
// and whoever is in an account that nothing names as everybody.
func labelOf(c prove.Caller, t *target, inv *inventory.Inventory) string {
	switch {
	case c.Kind() == identity.AnonymousCaller:
		return everybody
	case c.Account() != "" && !t.names(c.Account()) && !inv.Member(c.Account()):
		return everybody
	case c.Others() || c.Kind() == identity.RootCaller:
		partition := "aws"
		if a, err := arn.Parse(c.Principal()); err == nil {
			partition = a.Partition
		}
		return "arn:" + partition + ":iam::" + c.Account() + ":root"
	}
	return c.Principal()
}

// names reports whether the policy, a list or a grant has the text in it.
func (t *target) names(text string) bool {
	if t.Policy != nil && strings.Contains(t.Policy.Policy.String(), text) {
		return true
	}
	if t.S3 != nil && slices.ContainsFunc(t.S3.ACL, func(g identity.ACLGrant) bool { return strings.Contains(g.Grantee, text) }) {
		return true
	}
	return slices.ContainsFunc(t.Grants, func(g identity.Grant) bool {
		return strings.Contains(g.GranteePrincipal, text) || strings.Contains(g.RetiringPrincipal, text)
	})
}

func stackOfStranger(inv *inventory.Inventory, t *target, c prove.Caller) *identity.Stack {
	s := inv.Stack(&inventory.Principal{ARN: c.Principal(), Account: c.Account()}, t.ARN)
	s.Identity = []*identity.Document{everything}
	return s
}

// everything is what the own policies of somebody outside are taken to allow.
var everything = identity.AllowAll(identity.IdentityPolicy, "the caller's own policies")
