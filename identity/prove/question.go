package prove

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// question is what is common to all questions: the policies and what they name.
type question struct {
	policies   []*identity.Policy
	stacks     []*identity.Stack
	callers    []*callerClass // nil: all that the policies tell apart
	only       func(*callerClass) bool
	restrict   func(*problem, *callerClass)
	resource   bool // a side has a resource policy
	both       bool // and policies of the caller, too
	controlled bool // control policies take part, which do not bind service-linked roles
	exact      bool // the stack is all there is, and owner has the resources
	owner      string
	fresh      string            // an account that nobody names
	more       []string          // accounts to ask about although no policy names them
	names      map[string]string // the condition keys of the policies, as written, by lower case
	know       func(*callerClass, string) (Values, bool)
}

func newQuestion(sides ...*Side) *question {
	q := &question{fresh: freshAccount}
	for _, s := range sides {
		q.stacks = append(q.stacks, &s.Stack)
		q.resource = q.resource || s.Stack.Resource != nil
		q.controlled = q.controlled || len(s.Stack.ServiceControl)+len(s.Stack.ResourceControl) > 0
		for _, d := range s.documents() {
			q.policies = append(q.policies, d.Policy)
		}
	}
	for _, s := range sides {
		q.both = q.both || q.resource && s.aboutCaller()
	}
	return q
}

// owners lists whose resources to ask about for a class of callers.
func (q *question) owners(c *callerClass) []ownership {
	switch {
	case q.exact && c.inAccount() && c.account == q.owner:
		return []ownership{ownAccount}
	case !q.exact && !q.resource:
		if c.kind == identity.UserCaller || c.kind == identity.SessionCaller || c.kind == identity.FederatedUserCaller {
			return []ownership{delegated}
		}
		return nil // the policies are somebody's who is neither a root user nor outside of accounts
	case !q.exact && q.both && c.inAccount():
		return []ownership{otherAccount, ownAccount}
	}
	return []ownership{otherAccount}
}

func (q *question) builder(c *callerClass, o ownership, info *vocabulary) *builder {
	return &builder{problem: q.problem(c, o, info), caller: c, owner: o, exact: q.exact, used: map[string]bool{}}
}

// party is who asks whom: a class of callers, and whose the resources are.
type party struct {
	*callerClass
	owner ownership
}

func (q *question) confirm(s *Side) func(party, *identity.Request) bool {
	return func(p party, r *identity.Request) bool { return p.outcome(s, r) == identity.Allowed }
}

// ask decides a question for every class of callers. The first yes ends it.
func (q *question) ask(build func(*builder) *formula, confirm func(party, *identity.Request) bool) Answer {
	info := q.describe()
	q.names = info.names
	var unknown string
	callers := q.callers
	if callers == nil {
		callers = q.classes()
	}
	for _, c := range callers {
		if q.only != nil && !q.only(c) {
			continue
		}
		for _, owner := range q.owners(c) {
			a := q.askParty(party{c, owner}, info, build, confirm)
			if a.Verdict == Yes {
				return a
			}
			if a.Verdict == Unknown && unknown == "" {
				unknown = a.Reason
			}
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

func (q *question) askParty(c party, info *vocabulary, build func(*builder) *formula, confirm func(party, *identity.Request) bool) Answer {
	open := q.builder(c.callerClass, c.owner, info)
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
		b := q.builder(c.callerClass, c.owner, info)
		b.values = values
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

func answer(c party, info *vocabulary, o outcome) Answer {
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
func (q *question) problem(c *callerClass, o ownership, info *vocabulary) *problem {
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
		switch {
		case q.exact:
			v.fixed = q.owner
		case o == ownAccount:
			v.fixed = c.account
		case o == otherAccount && c.account != "":
			v.without = language{text(c.account)}
		}
	}
	if info.names["aws:principalorgmasteraccountid"] != "" && q.controlled && c.account != "" {
		p.variableOf(keyVariable("aws:PrincipalOrgMasterAccountId")).without = language{text(c.account)}
	}
	c.settle(p, q.controlled)
	if q.know != nil {
		for key := range info.names {
			if known, ok := q.know(c, key); ok {
				p.settle(key, known)
			}
		}
	}
	if q.restrict != nil {
		q.restrict(p, c)
	}
	return p
}

// settle tells the problem what is known of a key.
func (p *problem) settle(key string, known Values) {
	v := p.variableOf(keyVariable(key))
	switch {
	case known.Absent:
		*v = variable{multi: v.multi, absent: true}
	case len(known.Is) == 1:
		*v = variable{multi: v.multi, required: true, fixed: known.Is[0], within: language{text(known.Is[0])}}
	case known.Like != "":
		v.required, v.within = true, language{wildcard(known.Like)}
	}
	if known.Unlike != "" {
		v.without = append(slices.Clone(v.without), wildcard(known.Unlike))
	}
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
