package prove

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// Reach is the question whether certain callers get through to resources whose
// whole stack of policies is known: what the stack does not hold, there is not.
type Reach struct {
	Stack   identity.Stack
	Owner   string                        // the account of the resources
	Targets []string                      // the resources that the stack is about: ARNs with wildcards
	Access  Access                        // actions that take resources, each by its name
	When    []*identity.Condition         // only such requests are meant
	Carries func(action, key string) bool // whether requests of an action can have a key, in lower case; nil: all
}

// Caller is a principal, or all principals of a kind and account that a stack
// does not name.
type Caller struct {
	class *callerClass
	// Known says what is known of a condition key, in lower case, in the requests
	// of the caller; nil: nothing.
	Known func(key string) (Values, bool)
}

// Values is what is known of the values of a condition key.
type Values struct {
	Absent bool     // the key is not in the request
	Is     []string // its only value; none: not known
	Like   string   // or a pattern with wildcards of it
	Unlike string   // a pattern that it does not match
}

// Principal returns the caller, or one of the callers, as identity.ParseCaller
// reads it.
func (c Caller) Principal() string { return c.class.name }

// Account returns the account of the caller, or "".
func (c Caller) Account() string { return c.class.account }

// Kind returns the kind of the caller.
func (c Caller) Kind() identity.CallerKind { return c.class.kind }

// Others reports whether the caller stands for all whom the stack does not name.
func (c Caller) Others() bool { return c.class.free != "" }

// CallersOf returns the callers behind a principal: a user or root user itself; of
// a role one of its sessions, and those that the stack names.
func CallersOf(s *identity.Stack, principal string) []Caller {
	c := newClass(principal)
	if c == nil {
		return nil
	}
	list := []Caller{{class: c}}
	role, err := identity.ParseCaller(principal)
	if err != nil || role.Kind != identity.RoleCaller {
		return list
	}
	side := &Side{*s}
	for _, name := range sorted(newQuestion(side).mentions().principals) {
		if k := newClass(name); k != nil && k.kind == identity.SessionCaller && k.role == "" && k.account == c.account && strings.Contains(name, ":assumed-role/"+role.Role+"/") {
			k.role = principal
			list = append(list, Caller{class: k})
		}
	}
	return list
}

// UsersAndRoles returns the callers that are any user or role of an account of a
// partition.
func UsersAndRoles(partition, account string) []Caller {
	l := &classList{m: &mentions{partitions: []string{partition}}}
	l.account(account, false)
	var list []Caller
	for _, c := range l.list {
		list = append(list, Caller{class: c})
	}
	return list
}

// Strangers returns the callers that a stack tells apart and that are not of the
// accounts that are known, apart from whom the stack names there although nobody
// knows them. The first is the anonymous caller. More are accounts to ask about
// although no policy names them.
func Strangers(s *identity.Stack, known func(account string) bool, exists func(principal string) bool, more ...string) []Caller {
	q := newQuestion(&Side{*s})
	q.exact, q.more = true, more
	for n := int64(777788889999); known(q.fresh) || q.mentions().accounts[q.fresh] || slices.Contains(more, q.fresh); n++ {
		q.fresh = strconv.FormatInt(n, 10)
	}
	var list []Caller
	for _, c := range q.classes() {
		if known(c.account) && c.inAccount() && (c.free != "" || exists(c.principal)) {
			continue
		}
		list = append(list, Caller{class: c})
	}
	return list
}

// Ask decides whether any of the callers may make any request of the access.
func (r *Reach) Ask(callers ...Caller) Answer {
	side := &Side{r.Stack}
	q := newQuestion(side)
	q.exact, q.owner = true, r.Owner
	know := map[*callerClass]func(string) (Values, bool){}
	for _, c := range callers {
		q.callers = append(q.callers, c.class)
		know[c.class] = c.Known
	}
	wanted := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{
		{Effect: identity.Allow, Action: identity.NewList(orAll(r.Access.Actions)...), Resource: identity.NewList(orAll(r.Access.Resources)...), HasCondition: len(r.When) > 0, Conditions: r.When},
		{Effect: identity.Allow, Index: 1, Action: identity.NewList("*"), Resource: identity.NewList(orAll(r.Targets)...)},
	}}
	meant, err := meaning(r.When)
	if err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	q.policies = append(q.policies, wanted)
	q.know = func(c *callerClass, key string) (Values, bool) {
		if f := know[c]; f != nil {
			return f(key)
		}
		return Values{}, false
	}
	return q.ask(func(b *builder) *formula {
		return and(b.allowed(side), b.statement(wanted, wanted.Statements[0]), b.statement(wanted, wanted.Statements[1]), b.carried(r, q.names))
	}, func(_ party, w *identity.Request) bool {
		for _, st := range []*identity.Stack{&r.Stack, meant} {
			if d, err := identity.Evaluate(w, st); err != nil || d.Outcome != identity.Allowed {
				return false
			}
		}
		return true
	})
}

// meaning is a stack that allows everybody just the requests that meet conditions.
func meaning(when []*identity.Condition) (*identity.Stack, error) {
	d, err := identity.Compile(&identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{{
		Effect: identity.Allow, Principal: &identity.Principal{Everyone: true}, Action: identity.NewList("*"), Resource: identity.NewList("*"),
		HasCondition: len(when) > 0, Conditions: when,
	}}}, identity.ResourcePolicy, "when")
	return &identity.Stack{Identity: everything, Resource: d, Session: everything}, err
}

// carried is the formula of a request having only keys that its action can have.
func (b *builder) carried(r *Reach, names map[string]string) *formula {
	if r.Carries == nil {
		return always
	}
	var all []*formula
	for _, key := range slices.Sorted(maps.Keys(names)) {
		var with []string
		for _, a := range r.Access.Actions {
			if r.Carries(a, key) {
				with = append(with, a)
			}
		}
		if len(with) < len(r.Access.Actions) {
			all = append(all, or(not(b.fact(keyVariable(key), present, "", nil)), b.actionIn(with...)))
		}
	}
	return and(all...)
}
