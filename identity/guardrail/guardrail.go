// Package guardrail proves statements that must hold over an estate, such as
// "nobody but the break-glass role can stop a trail".
//
// A Rule says what nobody may do; Check asks of every principal's whole stack of
// policies whether it allows that, and returns a Violation for each that does, or
// of which it is unknown.
//
// # Caveats
//
// Account root users count only where the rule says so; service-linked roles
// never do, because only their service can use them, nor do services themselves.
// Access to a resource that the rule names and the estate holds, and access that
// any resource gives by itself (by its policy, a grant or an access control list),
// is proven with the whole stack of policies, for every principal and for all
// callers from outside; a resource whose policy was not read makes the rule
// unknown. Elsewhere a resource is taken to leave the decision to the account.
package guardrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// Rule says that nobody but the excepted may do something.
type Rule struct {
	Name      string
	Actions   []string                  // with wildcards
	Resources []string                  // ARNs with wildcards; none: all
	Except    []string                  // principals: ARNs with wildcards, role/NAME, user/NAME
	Accounts  []string                  // whose principals are meant; none: all
	Root      bool                      // root users are meant too
	When      map[string]map[string]any // a Condition element: only such requests are meant

	conditions []*identity.Condition
	actions    []string // the defined actions that Actions name
}

// alwaysAllowed are the actions that need no permission.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
var alwaysAllowed = []string{"sts:GetCallerIdentity", "sts:GetSessionToken"}

// Compile checks a rule and prepares it.
func (r *Rule) Compile() error {
	if r.Name == "" {
		return errors.New("the name is missing")
	}
	if len(r.Actions) == 0 {
		return fmt.Errorf("%s: the actions are missing", r.Name)
	}
	r.actions = nil
	for _, p := range r.Actions {
		list := catalog.Default().ExpandAction(p)
		if len(list) == 0 {
			hint := ""
			if near := catalog.Default().NearestAction(p); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return fmt.Errorf("%s: %q names no action%s", r.Name, p, hint)
		}
		for _, a := range list {
			switch name := a.String(); {
			case !slices.Contains(alwaysAllowed, name):
				r.actions = append(r.actions, name)
			case !strings.ContainsAny(p, "*?"):
				return fmt.Errorf("%s: no policy can keep anybody from %s", r.Name, name)
			}
		}
	}
	for _, res := range r.Resources {
		if res != "*" && !strings.HasPrefix(res, "arn:") {
			return fmt.Errorf("%s: the resource %q is no ARN", r.Name, res)
		}
	}
	for _, e := range r.Except {
		if !strings.HasPrefix(e, "arn:") && !strings.HasPrefix(e, "role/") && !strings.HasPrefix(e, "user/") {
			return fmt.Errorf("%s: the exception %q is neither an ARN nor role/NAME nor user/NAME", r.Name, e)
		}
	}
	r.conditions = nil
	if len(r.When) > 0 {
		text, err := json.Marshal(map[string]any{"Version": identity.Version2012, "Statement": map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": r.When}})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		d, err := identity.ParseDocument(text, identity.ServiceControlPolicy, "when")
		if err != nil {
			return fmt.Errorf("%s: when: %w", r.Name, err)
		}
		r.conditions = d.Policy.Statements[0].Conditions
	}
	return nil
}

// Violation is a principal that may do what a rule forbids, or of which it is
// unknown.
type Violation struct {
	Principal string
	Verdict   prove.Verdict // Yes or Unknown
	Witness   *identity.Request
	Reason    string   // of an Unknown
	By        []string // the statements that allow the witness: "layer policy[index]"
}

// Check proves a compiled rule over all principals of an estate. It returns the
// violations sorted by principal, and how many principals were asked.
func Check(inv *inventory.Inventory, r *Rule) (found []Violation, asked int) {
	targets, unread := r.targets(inv)
	m := &memory{personal: map[*identity.Document]bool{}, answers: map[string]prove.Answer{}}
	for _, p := range inv.Principals {
		if !r.means(p) {
			continue
		}
		asked++
		if v, bad := check(inv, r, p, m, targets); bad {
			found = append(found, v)
		}
	}
	found = append(found, outside(inv, r, targets)...)
	if len(unread) > 0 {
		found = append(found, Violation{Principal: everybody, Verdict: prove.Unknown, Reason: "could not be read: " + listed(unread)})
	}
	slices.SortStableFunc(found, func(a, b Violation) int { return strings.Compare(a.Principal, b.Principal) })
	return found, asked
}

// listed joins reasons, of many the first.
func listed(reasons []string) string {
	const most = 3
	if len(reasons) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(reasons[:most], "; "), len(reasons)-most)
	}
	return strings.Join(reasons, "; ")
}

// means reports whether a rule is about a principal.
func (r *Rule) means(p *inventory.Principal) bool {
	if p.ServiceLinked() || p.Kind == inventory.Root && !r.Root || len(r.Accounts) > 0 && !slices.Contains(r.Accounts, p.Account) {
		return false
	}
	for _, e := range r.Except {
		if e == string(p.Kind)+"/"+p.Name || identity.Match(e, p.ARN) {
			return false
		}
	}
	return true
}

func check(inv *inventory.Inventory, r *Rule, p *inventory.Principal, m *memory, targets []*target) (Violation, bool) {
	v := Violation{Principal: p.ARN}
	stack := inv.Stack(p, p.ARN)
	if p.Kind == inventory.Root {
		stack.Identity = everything
	}
	own := identity.Stack{Identity: stack.Identity, Boundaries: stack.Boundaries, ServiceControl: stack.ServiceControl}
	missing := slices.Clone(p.Missing)
	if p.Kind == inventory.Root || r.mayAllow(p.Policies) {
		if why := inv.ControlMissing(p); why != "" {
			missing = append(missing, why)
		}
		for _, resource := range r.elsewhere(inv) {
			a := m.grants(inv, r, p, &own, resource)
			if p.Kind == inventory.Root && a.Verdict == prove.Yes {
				a = confirmRoot(p, a, &own)
			}
			switch a.Verdict {
			case prove.Yes:
				v.Witness, v.Verdict = requestOf(inv, p, a.Witness), prove.Yes
				if v.By = allowedBy(v.Witness, &own); len(v.By) == 0 && p.Kind != inventory.Root {
					v.Verdict, v.Reason = prove.Unknown, "a request was found, but it is not confirmed with what is known of the principal"
				}
				if len(missing) > 0 {
					v.Verdict, v.Reason = prove.Unknown, "could not be read: "+strings.Join(missing, "; ")
				}
				return v, true
			case prove.Unknown:
				v.Verdict, v.Reason = prove.Unknown, a.Reason
			}
		}
		if v.Verdict == prove.Unknown {
			return v, true
		}
	}
	if found, bad := byResource(inv, r, p, targets); bad {
		return found, true
	}
	if len(p.Missing) > 0 {
		v.Verdict, v.Reason = prove.Unknown, "could not be read: "+strings.Join(p.Missing, "; ")
		return v, true
	}
	return v, false
}

// memory keeps the answers for principals that share all their policies, where
// these do not look at who asks.
type memory struct {
	personal map[*identity.Document]bool
	answers  map[string]prove.Answer
}

// grants asks the prover about one principal and one resource.
func (m *memory) grants(inv *inventory.Inventory, r *Rule, p *inventory.Principal, own *identity.Stack, resource string) prove.Answer {
	personal := p.Kind == inventory.Root
	var key strings.Builder
	key.WriteString(resource)
	note := func(docs []*identity.Document) {
		key.WriteByte('|')
		for _, d := range docs {
			personal = personal || m.looksAtCaller(d)
			fmt.Fprintf(&key, " %p", d)
		}
	}
	note(own.Identity)
	note(own.Boundaries)
	for _, level := range own.ServiceControl {
		note(level)
	}
	if a, ok := m.answers[key.String()]; ok && (!personal || a.Verdict == prove.No) {
		return a
	} else if !ok && personal && p.Kind != inventory.Root {
		// Whoever is not excepted: if none of them can, this one cannot either.
		a := r.ask(own, resource, r.bindAny())
		m.answers[key.String()] = a
		if a.Verdict == prove.No {
			return a
		}
	}
	a := r.ask(own, resource, r.bind(inv, p))
	if !personal {
		if a.Witness != nil { // what describes the caller is not the next one's
			w := *a.Witness
			w.Context = map[string][]string{}
			for k, v := range a.Witness.Context {
				if !describesCaller(k) {
					w.Context[k] = v
				}
			}
			w.ResourceAccount = ""
			a.Witness = &w
		}
		m.answers[key.String()] = a
	}
	return a
}

func (r *Rule) ask(own *identity.Stack, resource string, bound *identity.Document) prove.Answer {
	side := prove.Side{Stack: *own}
	side.Stack.ServiceControl = append(slices.Clone(own.ServiceControl), []*identity.Document{bound})
	return prove.Grants(side, prove.Access{Actions: r.Actions, Resources: []string{resource}})
}

// bindAny is bind for all principals at once that the rule does not except.
func (r *Rule) bindAny() *identity.Document {
	var except []string
	for _, e := range r.Except {
		if strings.HasPrefix(e, "arn:") {
			except = append(except, e)
			continue
		}
		kind, name, _ := strings.Cut(e, "/")
		except = append(except, "arn:*:iam::*:"+kind+"/"+name, "arn:*:iam::*:"+kind+"/*/"+name)
	}
	st := &identity.Statement{Effect: identity.Allow, Action: identity.NewList("*"), Resource: identity.NewList("*"), Conditions: r.conditions, HasCondition: len(r.conditions) > 0}
	if len(except) > 0 {
		st.HasCondition = true
		st.Conditions = joined(&identity.Condition{Operator: "StringNotLike", Keys: []*identity.ConditionKey{{Name: "aws:PrincipalArn", List: *identity.NewList(except...)}}}, r.conditions)
	}
	d, err := identity.Compile(&identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{st}}, identity.ServiceControlPolicy, "guardrail")
	if err != nil {
		return everything[0] // asks about everybody: the answer is then only more careful
	}
	return d
}

// looksAtCaller reports whether a policy asks who the caller is.
func (m *memory) looksAtCaller(d *identity.Document) bool {
	v, ok := m.personal[d]
	if !ok {
		text := strings.ToLower(d.Policy.String())
		for _, key := range [...]string{"aws:principal", "aws:username", "aws:userid", "kms:calleraccount"} {
			v = v || strings.Contains(text, key)
		}
		m.personal[d] = v
	}
	return v
}

// confirmRoot evaluates a witness as a request of a root user.
func confirmRoot(p *inventory.Principal, a prove.Answer, own *identity.Stack) prove.Answer {
	w := *a.Witness
	w.Principal, w.ResourceAccount = p.ARN, p.Account
	w.Context = map[string][]string{}
	for k, v := range a.Witness.Context {
		if !describesCaller(k) {
			w.Context[k] = v
		}
	}
	d, err := identity.Evaluate(&w, &identity.Stack{ServiceControl: own.ServiceControl})
	if err != nil || d.Outcome != identity.Allowed {
		return prove.Answer{Verdict: prove.Unknown, Reason: "the control policies treat root users apart"}
	}
	a.Witness = &w
	return a
}

// everything is what a root user's identity allows.
var everything = []*identity.Document{mustCompile()}

func mustCompile() *identity.Document {
	d, err := identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`), identity.IdentityPolicy, "root user")
	if err != nil {
		panic(err) // a constant of this package
	}
	return d
}

func orAll(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}

// mayAllow tells quickly whether a policy allows any of the actions at all.
func (r *Rule) mayAllow(policies []inventory.Attachment) bool {
	for i := range policies {
		for _, s := range policies[i].Policy.Statements {
			if s.Effect == identity.Allow && concerns(s, r.actions) {
				return true
			}
		}
	}
	return false
}

// concerns tells quickly whether a statement is about any of the actions.
func concerns(s *identity.Statement, actions []string) bool {
	if s.Action == nil {
		return true
	}
	for _, pattern := range s.Action.Texts() {
		if slices.ContainsFunc(actions, func(a string) bool { return identity.MatchAction(pattern, a) }) {
			return true
		}
	}
	return false
}

// bind is a policy that holds a proof to the requests of one principal under the
// rule's conditions. It stands as one more level of control policies, each of
// which must allow.
func (r *Rule) bind(inv *inventory.Inventory, p *inventory.Principal) *identity.Document {
	// The prover knows no root users: theirs are found as any principal's of the
	// account, and confirmed.
	is := &identity.Condition{Operator: "StringEquals", Keys: []*identity.ConditionKey{{Name: "aws:PrincipalAccount", List: *identity.NewList(p.Account)}}}
	if p.Kind != inventory.Root {
		is.Keys = append(is.Keys, &identity.ConditionKey{Name: "aws:PrincipalArn", List: *identity.NewList(literal(p.ARN))})
	}
	if p.Kind == inventory.User {
		is.Keys = append(is.Keys, &identity.ConditionKey{Name: "aws:username", List: *identity.NewList(literal(p.Name))})
		if p.ID != "" {
			is.Keys = append(is.Keys, &identity.ConditionKey{Name: "aws:userid", List: *identity.NewList(p.ID)})
		}
	}
	if org := inv.OrganizationID(); org != "" && inv.Member(p.Account) {
		is.Keys = append(is.Keys, &identity.ConditionKey{Name: "aws:PrincipalOrgID", List: *identity.NewList(org)})
	}
	tags := make([]string, 0, len(p.Tags))
	for k := range p.Tags {
		tags = append(tags, k)
	}
	slices.Sort(tags)
	for _, k := range tags {
		is.Keys = append(is.Keys, &identity.ConditionKey{Name: "aws:PrincipalTag/" + k, List: *identity.NewList(literal(p.Tags[k]))})
	}
	policy := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}
	policy.Statements = append(policy.Statements, &identity.Statement{Effect: identity.Allow, Action: identity.NewList("*"), Resource: identity.NewList("*"), HasCondition: true, Conditions: joined(is, r.conditions)})
	d, err := identity.Compile(policy, identity.ServiceControlPolicy, "guardrail")
	if err != nil {
		return everything[0] // asks about everybody: the answer is then only more careful
	}
	return d
}

// literal keeps the policy variables of a text from being read as such.
func literal(s string) string { return strings.ReplaceAll(s, "${", "${$}{") }

// joined puts conditions beside the one that binds, where the operator is the
// same with its keys.
func joined(is *identity.Condition, more []*identity.Condition) []*identity.Condition {
	out := []*identity.Condition{is}
	for _, c := range more {
		if strings.EqualFold(c.Operator, is.Operator) {
			is.Keys = append(is.Keys, c.Keys...)
			continue
		}
		out = append(out, c)
	}
	return out
}

// requestOf is a witness as a request of the principal itself, with what the
// estate knows of it.
func requestOf(inv *inventory.Inventory, p *inventory.Principal, w *identity.Request) *identity.Request {
	r := inv.Request(p, w.Action, w.Resource, nil)
	for k, v := range w.Context {
		if !describesCaller(k) {
			r.Context[k] = v
		}
	}
	return r
}

// describesCaller reports whether a condition key depends on who asks.
func describesCaller(key string) bool {
	low := strings.ToLower(key)
	return strings.HasPrefix(low, "aws:principal") || low == "aws:username" || low == "aws:userid" || low == "kms:calleraccount"
}

func allowedBy(w *identity.Request, s *identity.Stack) []string {
	c, err := identity.ParseCaller(w.Principal)
	if err != nil {
		return nil
	}
	// The question is what the principal's own policies allow: on resources that
	// leave the decision to its account.
	r, own := *w, *s
	r.ResourceAccount = c.AccountID
	own.Resource, err = identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+c.AccountID+`"},"Action":"*","Resource":"*"}}`), identity.ResourcePolicy, "account")
	if err != nil {
		return nil
	}
	d, err := identity.Evaluate(&r, &own)
	if err != nil || d.Outcome != identity.Allowed {
		return nil
	}
	return refs(slices.DeleteFunc(slices.Clone(d.Statements), func(ref identity.StatementRef) bool { return ref.Layer == identity.ResourcePolicy }))
}

func refs(list []identity.StatementRef) []string {
	var out []string
	for _, ref := range list {
		out = append(out, fmt.Sprintf("%s %s[%d]", ref.Layer, ref.Policy(), ref.Statement.Index))
	}
	return out
}
