package inventory

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Edit is a change of one policy.
type Edit struct {
	Layer     identity.Layer
	Policy    string              // the policy to change; "": a new one
	Statement *identity.Statement // to add, or what the statement at Index becomes
	Replaces  bool                // the statement at Index
	Index     int
}

// maxEdits bounds the candidates of Fix; it tries their combinations.
const maxEdits = 12

// Fix returns the fewest edits that make a denied answer allowed, verified by
// evaluating the request with them. An edit allows just this action on just this
// resource, or excepts just this principal from a deny. It returns nil if no
// combination does it: a service-linked role's trust policy and the like.
func (inv *Inventory) Fix(p *Principal, a Answer) []Edit {
	if a.Outcome != identity.ExplicitDeny && a.Outcome != identity.ImplicitDeny {
		return nil
	}
	all := inv.candidates(p, &a)
	if len(all) > maxEdits {
		all = all[:maxEdits]
	}
	for size := 1; size <= len(all); size++ {
		if found := choose(all, size, func(edits []candidate) bool { return allowedWith(&a, edits) }); found != nil {
			var list []Edit
			for _, c := range found {
				list = append(list, c.Edit)
			}
			return list
		}
	}
	return nil
}

// candidate is an edit with how it changes a stack.
type candidate struct {
	Edit
	apply func(*identity.Stack)
}

// choose returns the first combination of that size that is good.
func choose(all []candidate, size int, good func([]candidate) bool) []candidate {
	var chosen []candidate
	var walk func(from int) bool
	walk = func(from int) bool {
		if len(chosen) == size {
			return good(chosen)
		}
		for i := from; i <= len(all)-(size-len(chosen)); i++ {
			chosen = append(chosen, all[i])
			if walk(i + 1) {
				return true
			}
			chosen = chosen[:len(chosen)-1]
		}
		return false
	}
	if walk(0) {
		return chosen
	}
	return nil
}

func allowedWith(a *Answer, edits []candidate) bool {
	s := clone(a.Stack)
	for _, e := range edits {
		e.apply(s)
	}
	d, err := identity.Evaluate(a.Request, s)
	return err == nil && d.Outcome == identity.Allowed
}

func clone(s *identity.Stack) *identity.Stack {
	c := *s
	c.Identity, c.Boundaries, c.Session = slices.Clone(s.Identity), slices.Clone(s.Boundaries), slices.Clone(s.Session)
	c.ServiceControl, c.ResourceControl = levelsOf(s.ServiceControl), levelsOf(s.ResourceControl)
	return &c
}

func levelsOf(levels [][]*identity.Document) [][]*identity.Document {
	out := make([][]*identity.Document, len(levels))
	for i, l := range levels {
		out[i] = slices.Clone(l)
	}
	return out
}

// candidates lists the edits that may help, the least intrusive first: the
// principal's own policy, the resource's, then the limits around them.
func (inv *Inventory) candidates(p *Principal, a *Answer) []candidate {
	var list []candidate
	adds := func(layer identity.Layer, doc *identity.Document, apply func(*identity.Stack, *identity.Document)) {
		st := allowing(layer, p, a.Request)
		policy, name := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}, ""
		if doc != nil {
			copied := *doc.Policy
			policy, name = &copied, doc.Name
			policy.SingleStatement, policy.Root = false, nil
		}
		st.Index = len(policy.Statements)
		policy.Statements = append(slices.Clone(policy.Statements), st)
		changed, err := identity.Compile(policy, layer, name)
		if err != nil {
			return
		}
		list = append(list, candidate{Edit{Layer: layer, Policy: name, Statement: st, Index: st.Index}, func(s *identity.Stack) { apply(s, changed) }})
	}
	if p != nil && p.Kind != Root {
		adds(identity.IdentityPolicy, nil, func(s *identity.Stack, d *identity.Document) { s.Identity = append(s.Identity, d) })
	}
	if TakesPolicy(a.Request.Resource) {
		adds(identity.ResourcePolicy, a.Stack.Resource, func(s *identity.Stack, d *identity.Document) { s.Resource = d })
	}
	for i, doc := range a.Stack.Boundaries {
		adds(identity.PermissionsBoundary, doc, func(s *identity.Stack, d *identity.Document) { s.Boundaries[i] = d })
	}
	for i, level := range a.Stack.ServiceControl {
		if !levelAllows(a, level, true) {
			adds(identity.ServiceControlPolicy, last(level), func(s *identity.Stack, d *identity.Document) { s.ServiceControl[i] = append(s.ServiceControl[i], d) })
		}
	}
	return append(list, inv.exceptions(p, a)...)
}

// levelAllows reports whether a level of control policies allows by itself.
func levelAllows(a *Answer, level []*identity.Document, service bool) bool {
	s := &identity.Stack{Identity: []*identity.Document{everything}, Resource: letsIn}
	if service {
		s.ServiceControl = [][]*identity.Document{level}
	}
	d, err := identity.Evaluate(a.Request, s)
	return err == nil && d.Outcome == identity.Allowed
}

func last(level []*identity.Document) *identity.Document {
	if len(level) == 0 {
		return nil
	}
	return level[len(level)-1]
}

// exceptions lists the denies that match, each excepting the principal. One edit
// does for a policy that stands at several levels.
func (inv *Inventory) exceptions(p *Principal, a *Answer) []candidate {
	var list []candidate
	if a.Outcome != identity.ExplicitDeny {
		return nil
	}
	for _, ref := range a.Statements {
		if ref.Statement.Effect != identity.Deny {
			continue
		}
		st := except(ref.Statement, a.Request, p)
		policy := *ref.Document.Policy
		policy.Statements = slices.Clone(policy.Statements)
		policy.Statements[ref.Statement.Index] = st
		policy.Root = nil
		changed, err := identity.Compile(&policy, ref.Layer, ref.Document.Name)
		if err != nil {
			continue
		}
		was, index := ref.Document, ref.Statement.Index
		list = append(list, candidate{Edit{Layer: ref.Layer, Policy: ref.Document.Name, Statement: st, Replaces: true, Index: index}, func(s *identity.Stack) {
			swapStatement(s, was, changed, index)
		}})
	}
	return list
}

// swapStatement puts a changed policy in the place of the former one, whose other
// statements may have been changed before.
func swapStatement(s *identity.Stack, was, changed *identity.Document, index int) {
	swap := func(d *identity.Document) *identity.Document {
		switch {
		case d == was:
			return changed
		case d.Name == was.Name && d.Layer == was.Layer && len(d.Policy.Statements) == len(was.Policy.Statements) && sameBut(d, was):
			policy := *d.Policy
			policy.Statements = slices.Clone(policy.Statements)
			policy.Statements[index] = changed.Policy.Statements[index]
			if again, err := identity.Compile(&policy, d.Layer, d.Name); err == nil {
				return again
			}
		}
		return d
	}
	each := func(docs []*identity.Document) {
		for i := range docs {
			docs[i] = swap(docs[i])
		}
	}
	each(s.Identity)
	each(s.Boundaries)
	each(s.Session)
	for _, level := range slices.Concat(s.ServiceControl, s.ResourceControl) {
		each(level)
	}
	if s.Resource != nil {
		s.Resource = swap(s.Resource)
	}
}

// sameBut reports whether a policy came from another one by changing statements.
func sameBut(d, was *identity.Document) bool {
	same := 0
	for i, st := range d.Policy.Statements {
		if st == was.Policy.Statements[i] {
			same++
		}
	}
	return same < len(d.Policy.Statements) && (same > 0 || len(d.Policy.Statements) == 1)
}

// allowing is the statement that allows just the request.
func allowing(layer identity.Layer, p *Principal, r *identity.Request) *identity.Statement {
	st := &identity.Statement{Effect: identity.Allow, Action: identity.NewList(r.Action)}
	resource := r.Resource
	if act, ok := catalog.Default().Action(r.Action); ok {
		st.Action = identity.NewList(act.String())
		if act.WildcardOnly() {
			resource = "*"
		}
	}
	trust := layer == identity.ResourcePolicy && strings.HasPrefix(strings.ToLower(r.Action), "sts:assumerole")
	if !trust {
		st.Resource = identity.NewList(resource)
	}
	if layer == identity.ResourcePolicy {
		st.Principal = principalElement(p, r.Principal)
	}
	return st
}

func principalElement(p *Principal, caller string) *identity.Principal {
	name, typ := caller, identity.PrincipalAWS
	if p != nil {
		name = p.ARN
	}
	if c, err := identity.ParseCaller(name); err == nil {
		switch c.Kind {
		case identity.AnonymousCaller:
			return &identity.Principal{Everyone: true}
		case identity.ServiceCaller:
			typ = identity.PrincipalService
		case identity.ProviderCaller:
			typ = identity.PrincipalFederated
		}
	}
	return &identity.Principal{Entries: []*identity.PrincipalEntry{{Type: typ, List: *identity.NewList(name)}}}
}

// except returns a deny that no longer applies to the principal of a request.
func except(s *identity.Statement, r *identity.Request, p *Principal) *identity.Statement {
	st := *s
	st.Node = nil
	operator, key, value := "ArnNotEquals", "aws:PrincipalArn", r.Principal
	if p != nil {
		value = p.ARN
	} else if c, err := identity.ParseCaller(r.Principal); err == nil && c.Kind == identity.ServiceCaller {
		operator, key = "StringNotEquals", "aws:PrincipalServiceName"
	}
	st.HasCondition = true
	st.Conditions = nil
	done := false
	for _, c := range s.Conditions {
		copied := &identity.Condition{Operator: c.Operator}
		for _, k := range c.Keys {
			again := &identity.ConditionKey{Name: k.Name, List: k.List}
			if !done && strings.EqualFold(k.Name, key) && negatesARN(c.Operator) {
				again.List = *identity.NewList(append(k.Texts(), value)...)
				done = true
			}
			copied.Keys = append(copied.Keys, again)
		}
		if !done && strings.EqualFold(c.Operator, operator) && !hasKey(c, key) {
			copied.Keys = append(copied.Keys, &identity.ConditionKey{Name: key, List: *identity.NewList(value)})
			done = true
		}
		st.Conditions = append(st.Conditions, copied)
	}
	if !done {
		st.Conditions = append(st.Conditions, &identity.Condition{Operator: operator, Keys: []*identity.ConditionKey{{Name: key, List: *identity.NewList(value)}}})
	}
	return &st
}

func negatesARN(operator string) bool {
	for _, o := range [...]string{"ArnNotEquals", "ArnNotLike", "StringNotEquals", "StringNotLike", "ArnNotEqualsIfExists", "ArnNotLikeIfExists", "StringNotEqualsIfExists", "StringNotLikeIfExists"} {
		if strings.EqualFold(operator, o) {
			return true
		}
	}
	return false
}

func hasKey(c *identity.Condition, key string) bool {
	return slices.ContainsFunc(c.Keys, func(k *identity.ConditionKey) bool { return strings.EqualFold(k.Name, key) })
}
