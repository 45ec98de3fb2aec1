package guardrail

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// memory asks about resources that leave the decision to the caller's account. It
// keeps the answers for principals that share all their policies, where these do
// not look at who asks.
type memory struct {
	inv      *inventory.Inventory
	rule     *Rule
	patterns []string // of such resources
	exact    bool     // the rule names each action
	personal map[*identity.Document]bool
	answers  map[string]prove.Answer
	leaves   map[string]*identity.Document // by account: the policy of such a resource
}

func newMemory(inv *inventory.Inventory, r *Rule) *memory {
	m := &memory{inv: inv, rule: r, personal: map[*identity.Document]bool{}, answers: map[string]prove.Answer{}, leaves: map[string]*identity.Document{}}
	// A pattern about one resource that the estate holds is asked of that resource.
	m.patterns = slices.DeleteFunc(orAll(slices.Clone(r.Resources)), func(pattern string) bool {
		name := wholeName(pattern)
		res, held := inv.Resource(name)
		return held && res.ARN == name
	})
	m.exact = !slices.ContainsFunc(r.Actions, func(a string) bool { return strings.ContainsAny(a, "*?") })
	return m
}

// elsewhere asks about one principal.
func (m *memory) elsewhere(p *inventory.Principal) (Violation, bool) {
	v := Violation{Principal: p.ARN}
	if len(m.patterns) == 0 || p.Kind != inventory.Root && !m.rule.mayAllow(p.Policies) {
		return v, false
	}
	stack := m.stack(p)
	a := m.answer(p, stack)
	switch a.Verdict {
	case prove.No:
		return v, false
	case prove.Unknown:
		v.Verdict, v.Reason = prove.Unknown, a.Reason
		return v, true
	}
	v.Verdict, v.Witness = prove.Yes, a.Witness
	d, err := identity.Evaluate(a.Witness, stack)
	if err != nil || d.Outcome != identity.Allowed {
		v.Verdict, v.Reason = prove.Unknown, "a request was found, but it is not confirmed with what is known of the principal"
		return v, true
	}
	v.By = refs(slices.DeleteFunc(slices.Clone(d.Statements), func(ref identity.StatementRef) bool { return ref.Layer == identity.ResourcePolicy }))
	missing := slices.Concat(p.Missing, noneOf(m.inv.ControlMissing(p)), noneOf(m.inv.ResourceControlMissing(a.Witness.Action, p.Account)))
	if len(missing) > 0 {
		v.Verdict, v.Reason = prove.Unknown, unreadReason(slices.Compact(missing))
	}
	return v, true
}

// stack is what decides about a principal's requests to resources of its account
// that leave the decision to it.
func (m *memory) stack(p *inventory.Principal) *identity.Stack {
	s := m.inv.Stack(p, "*")
	if p.Account == m.inv.ManagementAccount() {
		s.ResourceControl = nil // it is not bound by them
	}
	if m.leaves[p.Account] == nil {
		m.leaves[p.Account] = prove.Delegating(p.Account)
	}
	s.Resource = m.leaves[p.Account]
	return s
}

func (m *memory) answer(p *inventory.Principal, stack *identity.Stack) prove.Answer {
	personal := p.Kind == inventory.Root || slices.ContainsFunc(m.rule.conditions, func(c *identity.Condition) bool {
		return slices.ContainsFunc(c.Keys, func(k *identity.ConditionKey) bool { return looksAtCaller(k.Name + strings.Join(k.Texts(), " ")) })
	})
	key := strings.Builder{}
	key.WriteString(p.Account)
	note := func(docs []*identity.Document) {
		key.WriteByte('|')
		for _, d := range docs {
			personal = personal || m.isPersonal(d)
			fmt.Fprintf(&key, " %p", d)
		}
	}
	note(stack.Identity)
	note(stack.Boundaries)
	for _, level := range slices.Concat(stack.ServiceControl, stack.ResourceControl) {
		note(level)
	}
	kept, asked := m.answers[key.String()]
	switch {
	case asked && (kept.Verdict == prove.No || !personal):
		return asOf(p, kept)
	case personal && p.Kind != inventory.Root && !asked:
		// If nobody in its place can, this one cannot either.
		all := m.ask(stack, p.Account, m.rule.exceptions(), prove.UsersAndRoles(partitionOf(p), p.Account))
		m.answers[key.String()] = all
		if all.Verdict == prove.No {
			return all
		}
	}
	callers := prove.CallersOf(stack, p.ARN)
	for i := range callers {
		callers[i].Known = known(m.inv, p, &target{Resource: &inventory.Resource{ARN: "*", Account: p.Account}})
	}
	a := m.ask(stack, p.Account, nil, callers)
	if !personal {
		m.answers[key.String()] = a
	}
	return a
}

func (m *memory) ask(stack *identity.Stack, owner string, except []string, callers []prove.Caller) prove.Answer {
	q := prove.Reach{Stack: *stack, Owner: owner, Access: prove.Access{Actions: m.rule.Actions, Resources: m.patterns}, When: m.rule.when(except)}
	if m.exact {
		q.Carries = carries
	}
	return q.Ask(callers...)
}

func partitionOf(p *inventory.Principal) string {
	a, err := arn.Parse(p.ARN)
	if err != nil {
		return "aws"
	}
	return a.Partition
}

// exceptions are the excepted principals as patterns of ARNs.
func (r *Rule) exceptions() []string {
	var list []string
	for _, e := range r.Except {
		if strings.HasPrefix(e, "arn:") {
			list = append(list, e)
			continue
		}
		kind, name, _ := strings.Cut(e, "/")
		list = append(list, "arn:*:iam::*:"+kind+"/"+name, "arn:*:iam::*:"+kind+"/*/"+name)
	}
	return list
}

// asOf is an answer about a principal with the same policies, as one about this.
func asOf(p *inventory.Principal, a prove.Answer) prove.Answer {
	if a.Witness == nil {
		return a
	}
	w := *a.Witness
	w.Principal = p.ARN
	w.Context = map[string][]string{}
	for k, v := range a.Witness.Context {
		if !looksAtCaller(k) {
			w.Context[k] = v
		}
	}
	a.Witness = &w
	return a
}

// isPersonal reports whether a policy asks who the caller is.
func (m *memory) isPersonal(d *identity.Document) bool {
	v, ok := m.personal[d]
	if !ok {
		v = looksAtCaller(d.Policy.String())
		m.personal[d] = v
	}
	return v
}

// looksAtCaller reports whether a text names a condition key that depends on who
// asks.
func looksAtCaller(text string) bool {
	text = strings.ToLower(text)
	return slices.ContainsFunc([]string{"aws:principal", "aws:username", "aws:userid", "kms:calleraccount"}, func(key string) bool { return strings.Contains(text, key) })
}

// joined puts conditions beside one more, where the operator is the same with its
// keys.
func joined(one *identity.Condition, more []*identity.Condition) []*identity.Condition {
	out := []*identity.Condition{one}
	for _, c := range more {
		if strings.EqualFold(c.Operator, one.Operator) {
			one.Keys = append(one.Keys, c.Keys...)
			continue
		}
		out = append(out, c)
	}
	return out
}
