package prove

import (
	"slices"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// vocabulary is what the policies of a question name.
type vocabulary struct {
	names     map[string]string // condition keys as written, by lower case
	multi     map[string]bool
	booleans  map[string]bool
	actions   []string // to try first in witnesses, in lower case
	spelling  map[string]string
	resources []string
	canonical bool
	owner     string // of the resources, where the question says it
}

func (q *question) describe() *vocabulary {
	info := &vocabulary{names: map[string]string{}, multi: map[string]bool{}, booleans: map[string]bool{}, spelling: map[string]string{}, owner: q.owner}
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
		m := newMentions([]*identity.Policy{p}, nil)
		info.canonical = info.canonical || m.canonical
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
	for _, st := range q.stacks {
		for _, g := range st.Grants {
			for _, want := range []map[string]string{g.EncryptionContextEquals, g.EncryptionContextSubset} {
				for k := range want {
					note(encryptionContext+k, "")
				}
			}
			note(encryptionContextKeys, "")
			info.multi[strings.ToLower(encryptionContextKeys)] = true
			info.suggestActions(cat, prefixed("kms:", g.Operations))
			info.resources = append(info.resources, g.Key)
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
func (v *vocabulary) request(c party, a assignment) *identity.Request {
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
	case v.owner != "":
		r.ResourceAccount = v.owner
	case c.owner == otherAccount:
		r.ResourceAccount = otherThan(c.account)
	default:
		r.ResourceAccount = c.account
	}
	return r
}

// outcome evaluates a request against a side, giving the other party of the
// request whatever it needs: a resource policy is judged with a caller who may
// do everything, an identity policy on a resource that leaves the decision to
// the account.
func (p party) outcome(s *Side, r *identity.Request) identity.Outcome {
	st, req := s.Stack, *r
	if len(st.Identity) == 0 {
		st.Identity = everything
	}
	if st.Resource == nil {
		st.Resource = Delegating(p.account)
	}
	if p.owner != otherAccount {
		req.ResourceAccount = p.account
	}
	d, err := identity.Evaluate(&req, &st)
	if err != nil {
		return identity.Unknown
	}
	return d.Outcome
}

// Delegating is a resource policy that leaves every decision to an account.
func Delegating(account string) *identity.Document {
	d, err := identity.Compile(&identity.Policy{Version: &identity.Value{Text: identity.Version2012}, Statements: []*identity.Statement{{
		Effect: identity.Allow, Principal: identity.NewPrincipal(identity.PrincipalAWS, account), Action: identity.NewList("*"), Resource: identity.NewList("*"),
	}}}, identity.ResourcePolicy, "account")
	if err != nil {
		panic(err) // whatever the account, it compiles
	}
	return d
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
