package prove

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Verdict is the answer to a question.
type Verdict uint8

// The verdicts.
const (
	No Verdict = iota
	Yes
	Unknown
)

// String returns no, yes or unknown.
func (v Verdict) String() string { return [...]string{"no", "yes", "unknown"}[v] }

// MarshalJSON writes false, true or "unknown".
func (v Verdict) MarshalJSON() ([]byte, error) {
	return []byte([...]string{"false", "true", `"unknown"`}[v]), nil
}

// Answer is a verdict with its proof.
type Answer struct {
	Verdict Verdict
	Witness *identity.Request // of a Yes: a request that shows it, confirmed by identity.Evaluate
	Reason  string            // of an Unknown
}

var errUnconfirmed = errors.New("a request found by the prover is not confirmed by the evaluator")

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

// check refuses what the formulas do not express.
func (s *Side) check() error {
	st := &s.Stack
	switch {
	case len(st.Grants) > 0 || st.S3 != nil:
		return errors.New("grants and access control lists are not part of the proof")
	case st.Resource != nil && len(st.Identity) > 0 && (len(st.Boundaries) > 0 || len(st.Session) > 0):
		return errors.New("a resource policy together with a boundary or session policy is not part of the proof")
	}
	return nil
}

// allowed is the formula of a side allowing a request.
func (b *builder) allowed(s *Side) *formula {
	st := &s.Stack
	var denies []*formula
	for _, d := range s.documents() {
		denies = append(denies, b.applies(d.Policy, identity.Deny))
	}
	any := func(docs []*identity.Document) *formula {
		var fs []*formula
		for _, d := range docs {
			fs = append(fs, b.applies(d.Policy, identity.Allow))
		}
		return or(fs...)
	}
	each := func(docs []*identity.Document) *formula {
		var fs []*formula
		for _, d := range docs {
			fs = append(fs, b.applies(d.Policy, identity.Allow))
		}
		return and(fs...)
	}
	gates := []*formula{each(st.Boundaries), each(st.Endpoint)}
	if len(st.Session) > 0 {
		gates = append(gates, any(st.Session))
	}
	for _, level := range st.ServiceControl {
		gates = append(gates, any(level))
	}
	grant := always
	switch {
	case st.Resource != nil && len(st.Identity) > 0 && b.caller.account == ownerAccount:
		grant = or(b.applies(st.Resource.Policy, identity.Allow), any(st.Identity))
	case st.Resource != nil && len(st.Identity) > 0:
		grant = and(b.applies(st.Resource.Policy, identity.Allow), any(st.Identity))
	case st.Resource != nil:
		grant = b.applies(st.Resource.Policy, identity.Allow)
	case len(st.Identity) > 0:
		grant = any(st.Identity)
	}
	return and(append(gates, grant, not(or(denies...)))...)
}

// Compare answers: does next allow anything that old does not?
func Compare(old, next Side) Answer {
	for _, s := range []*Side{&old, &next} {
		if err := s.check(); err != nil {
			return Answer{Verdict: Unknown, Reason: err.Error()}
		}
	}
	q := newQuestion(&old, &next)
	return q.ask(func(b *builder) *formula {
		return and(b.allowed(&next), not(b.allowed(&old)))
	}, func(c *callerClass, r *identity.Request) bool {
		return outcomeOf(c, &next, r) == identity.Allowed && denied(outcomeOf(c, &old, r))
	})
}

func denied(o identity.Outcome) bool {
	return o == identity.ExplicitDeny || o == identity.ImplicitDeny
}

// Allows answers: does the side allow any request at all? If not, it is empty.
func Allows(s Side) Answer {
	if err := s.check(); err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	q := newQuestion(&s)
	return q.ask(func(b *builder) *formula { return b.allowed(&s) }, q.confirm(&s))
}

// Access is a set of requests: any of the actions on any of the resources. Both
// take wildcards; an empty list stands for all.
type Access struct {
	Actions   []string
	Resources []string
}

// Grants answers: does the side allow any request of the access?
func Grants(s Side, a Access) Answer {
	if err := s.check(); err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	st := &identity.Statement{Effect: identity.Allow, Action: identity.NewList(orAll(a.Actions)...), Resource: identity.NewList(orAll(a.Resources)...)}
	wanted := &identity.Policy{Version: &identity.Value{Text: identity.Version2008}, Statements: []*identity.Statement{st}}
	q := newQuestion(&s)
	q.policies = append(q.policies, wanted)
	return q.ask(func(b *builder) *formula {
		return and(b.allowed(&s), b.statement(wanted, st))
	}, q.confirm(&s))
}

func orAll(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}

// question is what is common to all questions: the policies and what they name.
type question struct {
	policies []*identity.Policy
	only     func(*callerClass) bool
	restrict func(*problem, *callerClass)
}

func newQuestion(sides ...*Side) *question {
	q := &question{}
	for _, s := range sides {
		for _, d := range s.documents() {
			q.policies = append(q.policies, d.Policy)
		}
	}
	return q
}

func (q *question) confirm(s *Side) func(*callerClass, *identity.Request) bool {
	return func(c *callerClass, r *identity.Request) bool { return outcomeOf(c, s, r) == identity.Allowed }
}

// ask decides a question for every class of callers. The first yes ends it.
func (q *question) ask(build func(*builder) *formula, confirm func(*callerClass, *identity.Request) bool) Answer {
	info := q.describe()
	var unknown string
	for _, c := range classes(q.policies) {
		if q.only != nil && !q.only(c) {
			continue
		}
		a := q.askClass(c, info, build, confirm)
		if a.Verdict == Yes {
			return a
		}
		if a.Verdict == Unknown && unknown == "" {
			unknown = a.Reason
		}
	}
	if info.canonical && unknown == "" {
		unknown = "a canonical user id stands for an account that only S3 knows"
	}
	if unknown != "" {
		return Answer{Verdict: Unknown, Reason: unknown}
	}
	return Answer{Verdict: No}
}

func (q *question) askClass(c *callerClass, info *vocabulary, build func(*builder) *formula, confirm func(*callerClass, *identity.Request) bool) Answer {
	open := &builder{problem: q.problem(c, info), caller: c, used: map[string]bool{}}
	f := build(open)
	if len(open.errs) > 0 {
		return Answer{Verdict: Unknown, Reason: open.errs[0].Error()}
	}
	accept := func(a assignment) bool { return confirm(c, info.request(c, a)) }
	if len(open.used) == 0 {
		return answer(c, info, open.solve(f, accept))
	}
	// With variables left open the formula is the widest: if it has no solution
	// there is none. A solution only counts once the variables have values.
	wide := open.solve(f, nil)
	if wide.found == nil && wide.reason == nil {
		return Answer{Verdict: No}
	}
	for _, values := range instances(open, wide.found) {
		b := &builder{problem: q.problem(c, info), caller: c, used: map[string]bool{}, values: values}
		for _, name := range sorted(open.used) {
			v := b.variableOf(keyVariable(name))
			if s, ok := values[name]; ok {
				*v = variable{fixed: s, required: true}
			} else {
				*v = variable{absent: true}
			}
		}
		got := b.solve(build(b), func(a assignment) bool { return confirm(c, info.request(c, a)) })
		if got.found != nil {
			return answer(c, info, got)
		}
	}
	return Answer{Verdict: Unknown, Reason: "the answer depends on the values of the policy variables " + strings.Join(sorted(open.used), ", ")}
}

func answer(c *callerClass, info *vocabulary, o outcome) Answer {
	switch {
	case o.found != nil:
		return Answer{Verdict: Yes, Witness: info.request(c, o.found)}
	case o.reason != nil:
		return Answer{Verdict: Unknown, Reason: o.reason.Error()}
	}
	return Answer{Verdict: No}
}

// instances proposes values for the policy variables: those of the widest
// solution, a plain example, and none at all.
func instances(b *builder, found assignment) []map[string]string {
	plain, seen, none := map[string]string{}, map[string]string{}, map[string]string{}
	for name := range b.used {
		v := b.variableOf(keyVariable(name))
		switch {
		case v.fixed != "":
			plain[name], seen[name], none[name] = v.fixed, v.fixed, v.fixed
			continue
		case v.absent:
			continue
		}
		value := "example"
		if v.within != nil {
			if s, ok, err := v.pick(nil, nil, &b.left); err == nil && ok {
				value = s
			}
		}
		plain[name], seen[name] = value, value
		if got := found[keyVariable(name)]; len(got) == 1 {
			seen[name] = got[0]
		}
		if v.required {
			none[name] = value
		}
	}
	list := []map[string]string{seen, plain, none}
	if read := b.readOff(found); len(read) > 0 {
		for name, v := range plain {
			if read[name] == "" {
				read[name] = v
			}
		}
		list = append([]map[string]string{read}, list...)
	}
	return append(list, b.fromOthers(plain)...)
}

// fromOthers guesses the values with which a pattern meets the others that its
// variable is compared with, such as a resource that another statement names.
func (b *builder) fromOthers(plain map[string]string) (list []map[string]string) {
	const most, tries = 16, 10_000
	tried := 0
	for _, a := range b.atoms {
		for _, o := range b.atoms {
			if a.set == nil || o.set == nil || a.variable != o.variable {
				continue
			}
			for _, g := range o.set.texts {
				if slices.ContainsFunc(g, func(t token) bool { return t.kind == opaque }) {
					continue
				}
				read := map[string]string{}
				readInto(read, a.set.texts, g.instance("x"))
				if tried++; len(list) == most || tried > tries {
					return list
				}
				if len(read) == 0 {
					continue
				}
				for name, v := range plain {
					if read[name] == "" {
						read[name] = v
					}
				}
				list = append(list, read)
			}
		}
	}
	return list
}

// readOff guesses the values of policy variables from a text that their pattern
// matched: what stands where the variable does, up to the next separator.
func (b *builder) readOff(found assignment) map[string]string {
	read := map[string]string{}
	for _, a := range b.atoms {
		got := found[a.variable]
		if a.set == nil || len(got) != 1 {
			continue
		}
		readInto(read, a.set.texts, got[0])
	}
	return read
}

func readInto(read map[string]string, patterns []glob, text string) {
	for _, g := range patterns {
		at := slices.IndexFunc(g, func(t token) bool { return t.kind == opaque })
		if at < 0 || !g.match(text) {
			continue
		}
		rest, ok := strings.CutPrefix(text, g[:at].instance(""))
		if i := strings.IndexAny(rest, "/:"); i >= 0 {
			rest = rest[:i]
		}
		if ok && rest != "" {
			read[g[at].name] = rest
		}
	}
}

// problem is a fresh problem with what is known about the variables.
func (q *question) problem(c *callerClass, info *vocabulary) *problem {
	p := newProblem()
	*p.variableOf(varAction) = variable{required: true, within: language{wildcard("?*:?*")}, prefer: info.actions}
	*p.variableOf(varResource) = variable{required: true, within: language{text("*"), wildcard("arn:?*:?*:*:*:?*")}, prefer: info.resources}
	for key, multi := range info.multi {
		p.variableOf(keyVariable(key)).multi = multi
	}
	for key, k := range alwaysThere {
		if info.names[key] != "" {
			v := p.variableOf(keyVariable(key))
			v.required, v.boolean, v.prefer = true, k.boolean, k.prefer
		}
	}
	for key := range info.names {
		if info.booleans[key] {
			p.variableOf(keyVariable(key)).boolean = true
		}
	}
	if info.names["aws:resourceaccount"] != "" {
		v := p.variableOf(keyVariable("aws:resourceaccount"))
		v.required, v.prefer = true, []string{otherThan(c.account)}
	}
	c.settle(p)
	if q.restrict != nil {
		q.restrict(p, c)
	}
	return p
}

// alwaysThere lists the keys that AWS puts into every request.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var alwaysThere = map[string]struct {
	boolean bool
	prefer  []string
}{
	"aws:securetransport":       {boolean: true},
	"aws:viaawsservice":         {boolean: true},
	"aws:principalisawsservice": {boolean: true},
	"aws:currenttime":           {},
	"aws:epochtime":             {},
	"aws:requestedregion":       {prefer: []string{"us-east-1", "eu-west-1"}},
}

// vocabulary is what the policies of a question name.
type vocabulary struct {
	names     map[string]string // condition keys as written, by lower case
	multi     map[string]bool
	booleans  map[string]bool
	actions   []string // to try first in witnesses, in lower case
	spelling  map[string]string
	resources []string
	canonical bool
	resource  bool // some statement names a principal
}

func (q *question) describe() *vocabulary {
	info := &vocabulary{names: map[string]string{}, multi: map[string]bool{}, booleans: map[string]bool{}, spelling: map[string]string{}}
	cat := catalog.Default()
	note := func(name, operator string) {
		lower := strings.ToLower(name)
		if info.names[lower] == "" {
			info.names[lower] = name
		}
		if k, ok := cat.ConditionKey(name); ok {
			info.multi[lower] = info.multi[lower] || k.MultiValued
			info.booleans[lower] = k.Type == catalog.Bool && !k.MultiValued
		} else if op, ok := identity.ParseOperator(operator); ok && op.Set != identity.NoSet {
			info.multi[lower] = true
		}
	}
	for _, p := range q.policies {
		m := mentions{accounts: map[string]bool{}, principals: map[string]bool{}, keys: map[string]bool{}}
		m.read(p)
		info.canonical = info.canonical || m.canonical
		info.resource = info.resource || m.resource
		for k := range m.keys {
			note(k, "")
		}
		for _, s := range p.Statements {
			for _, c := range s.Conditions {
				for _, k := range c.Keys {
					note(k.Name, c.Operator)
				}
			}
			for _, l := range []*identity.List{s.Action, s.NotAction} {
				info.suggestActions(cat, l.Texts())
			}
			for _, l := range []*identity.List{s.Resource, s.NotResource} {
				for _, t := range l.Texts() {
					g := globOf(split(t, p.LanguageVersion(), true), true, resourceARN, false)
					info.resources = append(info.resources, g.instance("example"))
				}
			}
		}
	}
	info.resources = append(info.resources, "arn:aws:s3:::example/example", "arn:aws:s3:::example",
		"arn:aws:iam::111122223333:role/example", "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0")
	info.resources = slices.DeleteFunc(info.resources, func(s string) bool { return strings.Count(s, ":") < 5 })
	return info
}

// suggestActions adds defined actions that the patterns name, so that witnesses
// are requests that can be made.
func (v *vocabulary) suggestActions(cat *catalog.Catalog, patterns []string) {
	const most = 40
	for _, p := range patterns {
		if p == "*" || p == "*:*" {
			p = "s3:Get*"
		}
		service, name, _ := strings.Cut(p, ":")
		if !strings.ContainsAny(p, "*?") {
			lower := strings.ToLower(p)
			v.spelling[lower] = p
			v.actions = append(v.actions, lower)
			continue
		}
		if strings.ContainsAny(service, "*?") || name == "" {
			continue
		}
		for _, full := range expansions.of(cat, p, most) {
			lower := strings.ToLower(full)
			if _, ok := v.spelling[lower]; !ok {
				v.spelling[lower] = full
			}
			v.actions = append(v.actions, lower)
		}
	}
}

// request makes the witness of an assignment.
func (v *vocabulary) request(c *callerClass, a assignment) *identity.Request {
	r := &identity.Request{Principal: c.principalOf(a), Resource: "arn:aws:s3:::example", Action: "s3:GetObject"}
	for name, values := range a {
		switch name {
		case varAction:
			r.Action = values[0]
			if s := v.spelling[r.Action]; s != "" {
				r.Action = s
			}
		case varResource:
			r.Resource = values[0]
		default:
			key := strings.TrimPrefix(name, "key:")
			spelled := v.names[key]
			switch {
			case spelled != "":
			case key == "aws:principalarn" && c.role != "":
				spelled = "aws:PrincipalArn" // a session's ARN does not show the path of its role
			default:
				continue // derived from the principal, and no policy asks for it
			}
			if r.Context == nil {
				r.Context = map[string][]string{}
			}
			r.Context[spelled] = values
		}
	}
	switch own := a[keyVariable("aws:resourceaccount")]; {
	case len(own) == 1:
		r.ResourceAccount = own[0]
	case v.resource:
		r.ResourceAccount = otherThan(c.account)
	default:
		r.ResourceAccount = c.account
	}
	return r
}

// outcomeOf evaluates a request against a side, giving the other party of the
// request whatever it needs: a resource policy is judged with a caller who may
// do everything, an identity policy on a resource that leaves the decision to
// the account.
func outcomeOf(c *callerClass, s *Side, r *identity.Request) identity.Outcome {
	st := s.Stack
	req := *r
	if st.Resource != nil {
		if len(st.Identity) == 0 {
			st.Identity = everything
		}
		if req.ResourceAccount == "" || req.ResourceAccount == c.account {
			req.ResourceAccount = otherThan(c.account)
		}
	} else {
		if len(st.Identity) == 0 {
			st.Identity = everything
		}
		req.ResourceAccount = c.account
		st.Resource = delegating(c.account)
	}
	d, err := identity.Evaluate(&req, &st)
	if err != nil {
		return identity.Unknown
	}
	return d.Outcome
}

// delegating is a resource policy that leaves every decision to the account.
func delegating(account string) *identity.Document {
	return mustCompile(fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"%s"},"Action":"*","Resource":"*"}}`, account), identity.ResourcePolicy)
}

// expansions remembers what patterns of actions stand for: policies repeat them.
var expansions expansionCache

type expansionCache struct {
	mu   sync.Mutex
	list map[string][]string
}

// of returns at most most actions that a pattern names.
func (c *expansionCache) of(cat *catalog.Catalog, pattern string, most int) []string {
	const entries = 2000 // then forget everything; patterns may be anybody's
	c.mu.Lock()
	defer c.mu.Unlock()
	if names, ok := c.list[pattern]; ok {
		return names
	}
	var names []string
	for i, a := range cat.ExpandAction(pattern) {
		if i == most {
			break
		}
		names = append(names, a.String())
	}
	if c.list == nil || len(c.list) >= entries {
		c.list = map[string][]string{}
	}
	c.list[pattern] = names
	return names
}
