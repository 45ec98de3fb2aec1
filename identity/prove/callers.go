package prove

import (
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// callerClass is a set of principals that the policies in question cannot tell
// apart by their Principal elements: one user by name, or all users of an
// account that are not named, and so on.
type callerClass struct {
	name      string // as it was given or named; of an unnamed class an example
	principal string // one of them, as identity.ParseCaller reads it
	kind      identity.CallerKind
	account   string
	role      string   // the ARN of the role behind a session, if it is named
	free      string   // what the ARN of an unnamed user or role starts with
	named     language // the principals that a free class leaves out
	cache     map[namingKey]identity.Naming
}

// freshAccount is the account of principals that nobody names.
const freshAccount = "777788889999"

// ownerAccount owns the resources; no principal is in it unless it is named.
const ownerAccount = "111122223333"

func newClass(principal string) *callerClass {
	c, err := identity.ParseCaller(principal)
	if err != nil {
		return nil
	}
	k := &callerClass{name: principal, principal: principal, kind: c.Kind, account: c.AccountID, cache: map[namingKey]identity.Naming{}}
	if c.Kind == identity.RoleCaller {
		k.role = principal
		k.principal = "arn:" + c.Partition + ":sts::" + c.AccountID + ":assumed-role/" + c.Role + "/example"
		k.kind = identity.SessionCaller
	}
	return k
}

// inAccount reports whether the principals belong to an account.
func (c *callerClass) inAccount() bool { return c.account != "" && c.kind != identity.ProviderCaller }

// serviceLinked reports whether the caller is a service-linked role, which
// control policies do not bind.
func (c *callerClass) serviceLinked() bool {
	return strings.Contains(c.role, ":role/aws-service-role/")
}

// namingKey is what the naming of a class depends on.
type namingKey struct {
	statement        *identity.Statement
	bounded, session bool
}

// naming says how a statement names the class, as the evaluator sees it.
func (c *callerClass) naming(st *identity.Stack, s *identity.Statement) identity.Naming {
	if s.Principal == nil && s.NotPrincipal == nil {
		return identity.NamedDirect
	}
	k := namingKey{s, len(st.Boundaries) > 0, len(st.Session) > 0}
	if how, ok := c.cache[k]; ok {
		return how
	}
	r := identity.Request{Principal: c.principal}
	if c.role != "" {
		r.Context = map[string][]string{"aws:PrincipalArn": {c.role}}
	}
	how, err := st.NamingOf(s, &r)
	if err != nil {
		how = identity.NotNamed
	}
	c.cache[k] = how
	return how
}

func otherThan(account string) string {
	if account == ownerAccount {
		return "444455556666"
	}
	return ownerAccount
}

// everything is an identity policy that allows all.
var everything = []*identity.Document{identity.AllowAll(identity.IdentityPolicy, "everything")}

// settle tells the problem which keys the class determines.
func (c *callerClass) settle(p *problem, controlled bool) {
	set := func(key string, v variable) {
		name := keyVariable(key)
		multi := p.variableOf(name).multi
		v.multi = multi
		*p.variableOf(name) = v
	}
	absent := variable{absent: true}
	partition := "aws"
	if parts := strings.SplitN(c.principal, ":", 3); len(parts) == 3 && parts[0] == "arn" {
		partition = parts[1]
	}
	base := "arn:" + partition + ":iam::" + c.account + ":"
	switch {
	case !c.inAccount():
		for _, k := range []string{"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalOrgID", "aws:PrincipalOrgPaths", "aws:username", "kms:CallerAccount"} {
			set(k, absent)
		}
	default:
		set("aws:PrincipalAccount", variable{fixed: c.account, required: true})
		set("kms:CallerAccount", variable{fixed: c.account})
		set("aws:PrincipalIsAWSService", variable{fixed: "false", required: true})
		within := language{text(c.principal)}
		var prefer []string
		switch {
		case c.role != "":
			within = language{text(c.role)}
		case c.free != "":
			within = language{append(text(c.free), wildcard("?*")...)}
			prefer = []string{c.free + "example"}
		case c.kind == identity.SessionCaller:
			role, _, _ := strings.Cut(c.principal[strings.Index(c.principal, "assumed-role/")+len("assumed-role/"):], "/")
			within = language{text(base + "role/" + role), append(append(text(base+"role/"), wildcard("*")...), text("/"+role)...)}
		case c.kind == identity.RootCaller:
			within = language{text(base + "root")}
		}
		without := c.named
		if c.free != "" && controlled { // these are bound by no control policy, and only their service can use them
			without = append(slices.Clone(without), wildcard("*:role/aws-service-role/*"))
		}
		set("aws:PrincipalArn", variable{required: true, within: within, without: without, prefer: prefer})
		switch {
		case c.kind != identity.UserCaller:
			set("aws:username", absent)
		case c.free == "":
			set("aws:username", variable{required: true, fixed: c.principal[strings.LastIndexByte(c.principal, '/')+1:]})
		default:
			set("aws:username", variable{required: true, prefer: []string{"example"}})
		}
		p.variableOf(keyVariable("aws:userid")).required = true
	}
	types := map[identity.CallerKind]string{
		identity.AnonymousCaller: "Anonymous", identity.RootCaller: "Account", identity.UserCaller: "User",
		identity.SessionCaller: "AssumedRole", identity.FederatedUserCaller: "FederatedUser",
	}
	if t := types[c.kind]; t != "" {
		set("aws:PrincipalType", variable{required: true, fixed: t})
	}
	if c.kind == identity.ServiceCaller {
		set("aws:PrincipalIsAWSService", variable{fixed: "true", required: true})
		set("aws:PrincipalServiceName", variable{fixed: c.principal, required: true})
	}
}

// principalOf returns the principal of a witness: an unnamed user or role takes
// the name that the assignment found.
func (c *callerClass) principalOf(a assignment) string {
	found := a[keyVariable("aws:PrincipalArn")]
	if c.free == "" || len(found) != 1 {
		return c.principal
	}
	if c.kind != identity.SessionCaller {
		return found[0]
	}
	name := found[0][strings.LastIndexByte(found[0], '/')+1:]
	parts := strings.SplitN(found[0], ":", 6)
	return "arn:" + parts[1] + ":sts::" + parts[4] + ":assumed-role/" + name + "/example"
}

// principalKeys are the condition keys that depend on the kind of caller.
var principalKeys = []string{"aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:username", "aws:userid", "aws:principalisawsservice"}

// classes lists the callers that the policies can tell apart. Identity policies
// have no Principal element: there the classes differ only in the keys that
// describe the principal.
func (q *question) classes() []*callerClass {
	m := q.mentions()
	l := &classList{m: m, sessions: slices.ContainsFunc(q.stacks, func(s *identity.Stack) bool { return len(s.Session) > 0 })}
	if !m.resource && !q.exact {
		byKey := l.sessions
		for _, k := range principalKeys {
			byKey = byKey || m.keys[k]
		}
		if !byKey {
			l.unnamed(ownerAccount, "user/")
			return l.list
		}
		for _, a := range append(sorted(m.accounts), q.fresh) {
			l.account(a, false)
		}
		return l.list
	}
	// The widest first: its witness is the most telling.
	l.add("*")
	l.account(q.fresh, true)
	for _, a := range q.more {
		if !m.accounts[a] {
			l.account(a, true)
		}
	}
	for _, a := range sorted(m.accounts) {
		l.account(a, true)
	}
	for _, p := range sorted(m.principals) {
		l.add(p)
	}
	l.add("example.amazonaws.com")
	l.add("arn:" + m.partition() + ":iam::" + q.fresh + ":saml-provider/example")
	return l.list
}

// classList collects classes of callers.
type classList struct {
	m        *mentions
	sessions bool // there is a session policy, which gives federated users their permissions
	list     []*callerClass
}

func (l *classList) add(principal string) *callerClass {
	c := newClass(principal)
	if c != nil {
		l.list = append(l.list, c)
	}
	return c
}

// unnamed adds the users, roles or federated users of an account that no policy
// names; kind is what their ARNs have before the name.
func (l *classList) unnamed(account, kind string) {
	service := "iam"
	if kind == "federated-user/" {
		service = "sts"
	}
	base := "arn:" + l.m.partition() + ":" + service + "::" + account + ":" + kind
	name := "example"
	for l.m.principals[base+name] {
		name += "-"
	}
	c := l.add(base + name)
	if c == nil {
		return
	}
	c.free, c.role = base, ""
	for _, p := range sorted(l.m.principals) {
		if strings.HasPrefix(p, base) {
			c.named = append(c.named, text(p))
		}
	}
}

// account adds whoever is in an account and not named.
func (l *classList) account(account string, root bool) {
	l.unnamed(account, "user/")
	l.unnamed(account, "role/")
	if l.sessions {
		l.unnamed(account, "federated-user/")
	}
	if root {
		l.add("arn:" + l.m.partition() + ":iam::" + account + ":root")
	}
}

// mentions collects what policies name.
type mentions struct {
	accounts   map[string]bool
	principals map[string]bool
	keys       map[string]bool // condition keys and policy variables, in lower case
	partitions []string
	resource   bool // some statement has a Principal element
	canonical  bool
}

func (q *question) mentions() *mentions { return newMentions(q.policies, q.stacks) }

func newMentions(policies []*identity.Policy, stacks []*identity.Stack) *mentions {
	m := &mentions{accounts: map[string]bool{}, principals: map[string]bool{}, keys: map[string]bool{}}
	for _, p := range policies {
		m.read(p)
	}
	for _, s := range stacks {
		for _, g := range s.Grants {
			m.principal(g.GranteePrincipal)
			m.principal(g.RetiringPrincipal)
		}
		if s.S3 != nil {
			for _, g := range s.S3.ACL {
				m.text(g.Grantee)
			}
		}
	}
	return m
}

// principal notes one that a policy or a grant names.
func (m *mentions) principal(name string) {
	m.text(name)
	if _, err := identity.ParseCaller(name); err == nil && name != "*" {
		m.principals[name] = true
	}
}

func (m *mentions) partition() string {
	for _, p := range m.partitions {
		if p != "" && p != "*" {
			return p
		}
	}
	return "aws"
}

func (m *mentions) read(p *identity.Policy) {
	for _, s := range p.Statements {
		for _, el := range []*identity.Principal{s.Principal, s.NotPrincipal} {
			if el == nil {
				continue
			}
			m.resource = true
			for _, e := range el.Entries {
				m.canonical = m.canonical || e.Type == identity.PrincipalCanonicalUser
				for _, t := range e.Texts() {
					m.principal(t)
				}
			}
		}
		for _, l := range []*identity.List{s.Resource, s.NotResource} {
			for _, t := range l.Texts() {
				for _, v := range variables(split(t, p.LanguageVersion(), true)) {
					m.keys[v] = true
				}
				if parts := strings.SplitN(t, ":", 3); len(parts) == 3 && parts[0] == "arn" {
					m.partitions = append(m.partitions, parts[1])
				}
			}
		}
		for _, c := range s.Conditions {
			for _, k := range c.Keys {
				m.keys[strings.ToLower(k.Name)] = true
				for _, t := range k.Texts() {
					m.text(t)
					for _, v := range variables(split(t, p.LanguageVersion(), false)) {
						m.keys[v] = true
					}
				}
			}
		}
	}
}

// text notes the accounts in a string.
func (m *mentions) text(s string) {
	for _, f := range strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '/' }) {
		if len(f) == 12 && strings.Trim(f, "0123456789") == "" {
			m.accounts[f] = true
		}
	}
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
