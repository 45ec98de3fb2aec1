package prove

import (
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// callerClass is a set of principals that the policies in question cannot tell
// apart by their Principal elements: one user by name, or all users of an
// account that are not named, and so on.
type callerClass struct {
	principal string // one of them, as identity.ParseCaller reads it
	kind      identity.CallerKind
	account   string
	role      string // the ARN of the role behind a session, if it is named
	free      string // what the ARN of an unnamed user or role starts with
	cache     map[*identity.Statement]*formula
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
	k := &callerClass{principal: principal, kind: c.Kind, account: c.AccountID, cache: map[*identity.Statement]*formula{}}
	if c.Kind == identity.RoleCaller {
		k.role = principal
		k.principal = "arn:" + c.Partition + ":sts::" + c.AccountID + ":assumed-role/" + c.Role + "/example"
		k.kind = identity.SessionCaller
	}
	return k
}

// inAccount reports whether the principals belong to an account.
func (c *callerClass) inAccount() bool { return c.account != "" && c.kind != identity.ProviderCaller }

// named is the constant truth of a statement's Principal element for this class.
// It asks the evaluator, so that both always agree.
func (c *callerClass) named(s *identity.Statement) *formula {
	if s.Principal == nil && s.NotPrincipal == nil {
		return always
	}
	if f, ok := c.cache[s]; ok {
		return f
	}
	probe := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{{
		Effect: s.Effect, Principal: s.Principal, NotPrincipal: s.NotPrincipal,
		Action: identity.NewList("*"), Resource: identity.NewList("*"),
	}}}
	if s.Effect == identity.Deny {
		probe.Statements = append(probe.Statements, &identity.Statement{
			Index: 1, Effect: identity.Allow, Principal: &identity.Principal{Everyone: true},
			Action: identity.NewList("*"), Resource: identity.NewList("*"),
		})
	}
	f := never
	doc, err := identity.Compile(probe, identity.ResourcePolicy, "probe")
	if err == nil {
		req := identity.Request{Principal: c.principal, Action: "s3:GetObject", Resource: "arn:aws:s3:::example/example", ResourceAccount: otherThan(c.account)}
		if c.role != "" {
			req.Context = map[string][]string{"aws:PrincipalArn": {c.role}}
		}
		d, err := identity.Evaluate(&req, &identity.Stack{Identity: everything, Resource: doc})
		f = constant(err == nil && (s.Effect == identity.Allow && d.Outcome == identity.Allowed ||
			s.Effect == identity.Deny && d.Outcome == identity.ExplicitDeny))
	}
	c.cache[s] = f
	return f
}

func otherThan(account string) string {
	if account == ownerAccount {
		return "444455556666"
	}
	return ownerAccount
}

// everything is an identity policy that allows all.
var everything = []*identity.Document{mustCompile(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, identity.IdentityPolicy)}

func mustCompile(text string, layer identity.Layer) *identity.Document {
	d, err := identity.ParseDocument([]byte(text), layer, "everything")
	if err != nil {
		panic(err) // a constant of this package
	}
	return d
}

// settle tells the problem which keys the class determines.
func (c *callerClass) settle(p *problem) {
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
		set("aws:PrincipalArn", variable{required: true, within: within, prefer: prefer})
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
	if c.kind == identity.UserCaller {
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
func classes(policies []*identity.Policy) []*callerClass {
	m := mentions{accounts: map[string]bool{}, principals: map[string]bool{}, keys: map[string]bool{}}
	for _, p := range policies {
		m.read(p)
	}
	var list []*callerClass
	add := func(principal, free string) {
		if c := newClass(principal); c != nil {
			c.free = free
			if free != "" {
				c.role = ""
			}
			list = append(list, c)
		}
	}
	perAccount := func(account string, root bool) {
		base := "arn:" + m.partition() + ":iam::" + account + ":"
		add(base+"user/example", base+"user/")
		add(base+"role/example", base+"role/")
		if root {
			add(base+"root", "")
		}
	}
	if !m.resource {
		byKey := false
		for _, k := range principalKeys {
			byKey = byKey || m.keys[k]
		}
		if !byKey {
			base := "arn:" + m.partition() + ":iam::" + ownerAccount + ":"
			add(base+"user/example", base+"user/")
			return list
		}
		for _, a := range append(sorted(m.accounts), freshAccount) {
			perAccount(a, false)
		}
		return list
	}
	// The widest first: its witness is the most telling.
	add("*", "")
	perAccount(freshAccount, true)
	for _, a := range sorted(m.accounts) {
		perAccount(a, true)
	}
	for _, p := range sorted(m.principals) {
		add(p, "")
	}
	add("example.amazonaws.com", "")
	add("arn:"+m.partition()+":iam::"+freshAccount+":saml-provider/example", "")
	return list
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
					m.text(t)
					if _, err := identity.ParseCaller(t); err == nil && t != "*" {
						m.principals[t] = true
					}
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

func sorted(set map[string]bool) []string {
	var list []string
	for s := range set {
		list = append(list, s)
	}
	sort.Strings(list)
	return list
}
