package derive

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// The proofs that one record may cost. Larger policies are judged by the plain
// look of their conditions.
const (
	maxProofs = 8
	maxLooks  = 64       // plain ones, at the conditions for one account; then it is taken to be let in
	maxProven = 24       // statements
	maxValues = 400      // texts in them
	maxLength = 24 << 10 // of those texts
	maxHard   = 24       // texts with stars within, which may meet each other in many ways
)

// A policy as the fields see it.
type policy struct {
	*identity.Policy
	denies []*identity.Statement
	small  bool // enough to be proven
}

// letIn is an account that a statement lets in.
type letIn struct {
	account   string
	statement *identity.Statement
}

// policies returns the policies of a record, read once.
func policies(e *event.Event) (*record, []*policy) {
	r := of(e)
	if r == nil {
		return nil, nil
	}
	if !r.havePolicies {
		r.havePolicies, r.proofs, r.looks = true, maxProofs, maxLooks
		for _, p := range policiesOf(r) {
			x := &policy{Policy: p, small: len(p.Statements) <= maxProven && isSmall(p)}
			for _, s := range p.Statements {
				if s.Effect == identity.Deny {
					x.denies = append(x.denies, s)
				}
			}
			r.policies = append(r.policies, x)
		}
	}
	return r, r.policies
}

func isSmall(p *identity.Policy) bool {
	values, length, hard := 0, 0, 0
	add := func(l *identity.List) {
		if l == nil {
			return
		}
		values += len(l.Values)
		for _, v := range l.Values {
			length += len(v.Text)
			if strings.ContainsAny(strings.Trim(v.Text, "*"), "*?") && strings.Count(v.Text, "*")+strings.Count(v.Text, "?") > 1 {
				hard++
			}
		}
	}
	for _, s := range p.Statements {
		for _, l := range []*identity.List{s.Action, s.NotAction, s.Resource, s.NotResource} {
			add(l)
		}
		for _, c := range s.Conditions {
			for _, k := range c.Keys {
				add(&k.List)
			}
		}
	}
	return values <= maxValues && length <= maxLength && hard <= maxHard
}

// allows calls visit for every statement that allows something.
func allows(e *event.Event, visit func(*record, *policy, *identity.Statement)) {
	r, list := policies(e)
	for _, p := range list {
		for _, s := range p.Statements {
			if s.Effect == identity.Allow {
				visit(r, p, s)
			}
		}
	}
}

// principals returns the principals of one type that a statement names.
func principals(s *identity.Statement, typ string) []string {
	if s.Principal == nil {
		return nil
	}
	var out []string
	if s.Principal.Everyone && typ == identity.PrincipalAWS {
		out = append(out, "*")
	}
	for _, e := range s.Principal.Entries {
		if e.Type == typ {
			texts := e.Texts()
			out = append(out, texts[:min(len(texts), maxNames)]...)
		}
	}
	return out
}

// accountOf returns the account of a principal: twelve digits, or an ARN.
func accountOf(principal string) string {
	if strings.HasPrefix(principal, "arn:") {
		parts := strings.SplitN(principal, ":", 6)
		if len(parts) < 6 {
			return ""
		}
		principal = parts[4]
	}
	if len(principal) != 12 || strings.Trim(principal, "0123456789") != "" {
		return ""
	}
	return principal
}

// strangers returns the accounts other than the record's own that the policies
// let in, each with every statement that does.
func strangers(e *event.Event) []letIn {
	r := of(e)
	if r == nil {
		return nil
	}
	if r.haveStrangers {
		return r.strangers
	}
	r.haveStrangers = true
	allows(e, func(r *record, p *policy, s *identity.Statement) {
		add := func(account, principal string) {
			if account == "" || account == r.account || slices.Contains(r.strangers, letIn{account, s}) || len(r.strangers) == maxNames {
				return
			}
			if r.lets(p, s, account, principal) {
				r.strangers = append(r.strangers, letIn{account, s})
			}
		}
		for _, name := range principals(s, identity.PrincipalAWS) {
			if name != "*" {
				add(accountOf(name), name)
				continue
			}
			for _, account := range bound(s) {
				add(account, account)
			}
		}
	})
	return r.strangers
}

// aboutCaller are the condition keys whose value is the caller's account, or has
// it.
var aboutCaller = []string{"aws:principalaccount", "aws:principalarn", "kms:calleraccount", "aws:sourceaccount", "aws:sourceowner"}

// bound returns the accounts that the conditions of a statement for everyone let
// in by name.
func bound(s *identity.Statement) []string {
	var out []string
	eachCondition(s, func(o identity.Operator, key string, values []string) {
		if o.Negated || !slices.Contains(aboutCaller, key) {
			return
		}
		for _, v := range values {
			if a := accountOf(v); a != "" {
				out = append(out, a)
			}
		}
	})
	return out
}

// eachCondition calls visit for the keys of a statement's conditions, in lower
// case.
func eachCondition(s *identity.Statement, visit func(o identity.Operator, key string, values []string)) {
	for _, c := range s.Conditions {
		o, ok := identity.ParseOperator(c.Operator)
		for _, k := range c.Keys {
			if ok {
				visit(o, strings.ToLower(k.Name), k.Texts())
			}
		}
	}
}

// lets reports whether a statement lets in an account that it names as principal:
// unless it is proven that the conditions, or statements that deny, take it out
// again.
func (r *record) lets(p *policy, s *identity.Statement, account, principal string) bool {
	if len(p.denies) == 0 && !concernsCaller(s) {
		return true
	}
	if side, ok := r.side(p, s, principal); ok {
		return prove.Allows(side).Verdict != prove.No
	}
	if r.looks--; r.looks < 0 {
		return true
	}
	out := false
	eachCondition(s, func(o identity.Operator, key string, values []string) {
		if !o.Negated && !o.IfExists && o.Set != identity.ForAllValues && slices.Contains(aboutCaller, key) {
			out = out || !slices.ContainsFunc(values, func(v string) bool {
				return strings.Contains(v, account) || strings.HasPrefix(v, "*") || strings.Contains(v, "::*")
			})
		}
	})
	return !out
}

// concernsCaller reports whether a condition may tell callers apart by who they
// are. Those that do not, an external id, an address, anybody can meet.
func concernsCaller(s *identity.Statement) bool {
	found := false
	for _, c := range s.Conditions {
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			found = found || strings.HasPrefix(key, "aws:principal") || strings.HasPrefix(key, "aws:user") || slices.Contains(aboutCaller, key)
		}
	}
	return found
}

// side is a statement for one principal with the statements that deny; not ok
// where that is too much to prove.
func (r *record) side(p *policy, s *identity.Statement, principal string) (prove.Side, bool) {
	if !p.small || r.proofs == 0 {
		return prove.Side{}, false
	}
	r.proofs--
	one := *s
	if principal != "" {
		one.Principal = &identity.Principal{Entries: []*identity.PrincipalEntry{{Type: identity.PrincipalAWS, List: *identity.NewList(principal)}}}
	}
	q := &identity.Policy{Version: p.Version}
	for i, s := range append([]*identity.Statement{&one}, p.denies...) {
		c := *s
		c.Index, c.Node = i, nil
		if c.Principal == nil && c.NotPrincipal == nil {
			return prove.Side{}, false
		}
		if c.Resource == nil && c.NotResource == nil {
			c.Resource = identity.NewList("*") // a trust policy is about its role
		}
		q.Statements = append(q.Statements, &c)
	}
	side, err := prove.PolicySide(q)
	return side, err == nil
}

// isPublic reports whether a statement lets everyone in: a stranger can meet its
// conditions, and no statement denies him.
func (r *record) isPublic(p *policy, s *identity.Statement) bool {
	if s.NotPrincipal == nil && !slices.Contains(principals(s, identity.PrincipalAWS), "*") {
		return false
	}
	if len(s.Conditions) == 0 && len(p.denies) == 0 {
		return true
	}
	if plainlyNarrow(s) {
		return false
	}
	principal := "*"
	if s.NotPrincipal != nil {
		principal = ""
	}
	if side, ok := r.side(p, s, principal); ok {
		return prove.Public(side).Verdict != prove.No
	}
	narrow := false
	eachCondition(s, func(o identity.Operator, key string, values []string) {
		if !o.Negated && !o.IfExists && o.Set != identity.ForAllValues && slices.Contains(narrowing, key) {
			narrow = narrow || !slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, "*") })
		}
	})
	return !narrow
}

// plainlyNarrow reports whether a condition of a statement is of the kind that
// nearly all are by which everyone becomes somebody: it spares the proof.
func plainlyNarrow(s *identity.Statement) bool {
	found := false
	eachCondition(s, func(o identity.Operator, key string, values []string) {
		found = found || o.String() == "StringEquals" && key != "aws:sourceip" && slices.Contains(narrowing, key) &&
			!slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "${") })
	})
	return found
}

// narrowing are the condition keys whose values a stranger cannot choose.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
var narrowing = append([]string{
	"aws:principalorgid", "aws:principalorgpaths", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceip",
	"aws:sourcevpc", "aws:sourcevpce", "aws:vpceaccount", "aws:vpceorgid", "aws:userid", "s3:dataaccesspointarn",
	"s3:dataaccesspointaccount", "elasticfilesystem:accesspointarn",
}, aboutCaller...)

func everyone(e *event.Event) []event.Value {
	found := false
	allows(e, func(r *record, p *policy, s *identity.Statement) { found = found || r.isPublic(p, s) })
	return truth(found)
}

func accounts(e *event.Event) []event.Value {
	var out []string
	for _, l := range strangers(e) {
		out = append(out, l.account)
	}
	return distinct(out)
}

func accountActions(e *event.Event) []event.Value {
	var out []string
	seen := map[*identity.Statement]bool{}
	for _, l := range strangers(e) {
		if !seen[l.statement] {
			seen[l.statement] = true
			out = append(out, actionsOf(l.statement)...)
		}
	}
	return distinct(out)
}

// withoutExternalID are the accounts that need no external id.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html
func withoutExternalID(e *event.Event) []event.Value {
	var out []string
	for _, l := range strangers(e) {
		needed := false
		eachCondition(l.statement, func(o identity.Operator, key string, values []string) {
			needed = needed || key == "sts:externalid" && !o.Negated && !o.IfExists && o.Set != identity.ForAllValues &&
				!slices.ContainsFunc(values, func(v string) bool { return strings.Trim(v, "*") == "" })
		})
		if !needed {
			out = append(out, l.account)
		}
	}
	return distinct(out)
}

func named(typ string) event.Derive {
	return func(e *event.Event) []event.Value {
		var out []string
		allows(e, func(_ *record, _ *policy, s *identity.Statement) { out = append(out, principals(s, typ)...) })
		return distinct(out)
	}
}

// distinct sorts texts and leaves each once.
func distinct(list []string) []event.Value {
	slices.Sort(list)
	list = slices.Compact(list)
	return texts(list[:min(len(list), maxNames)])
}
