package inventory

import (
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// Holder is somebody who may do what was asked, or of whom it is not known.
type Holder struct {
	Principal *Principal // nil: not of this estate
	Caller    string     // as identity.ParseCaller reads it
	Answer
}

// WhoCan lists the principals of the estate that may do an action on a resource,
// or of whom it is unknown, and then the callers from outside whom the policy of
// the resource names, in the order of their ARNs. An account's root user is
// listed only for what its own account owns.
func (inv *Inventory) WhoCan(action, resource string, context map[string][]string) ([]Holder, error) {
	var holders []Holder
	f := inv.newFilter(action, resource)
	for _, p := range inv.Principals {
		if p.Kind == Root {
			if _, known := inv.Resource(resource); p.Account != inv.OwnerOf(resource, p) || !known && strings.HasPrefix(resource, "arn:aws:s3:::") {
				continue
			}
		} else if f.impossible(p) {
			continue
		}
		a, err := inv.Decide(p, action, resource, context)
		if err != nil {
			return nil, err
		}
		if a.Outcome == identity.Allowed || a.Outcome == identity.Unknown {
			holders = append(holders, Holder{p, p.ARN, a})
		}
	}
	for _, caller := range inv.Outsiders(resource) {
		a, err := inv.DecideAs(nil, caller, action, resource, context)
		if err != nil {
			return nil, err
		}
		if a.Outcome == identity.Allowed || a.Outcome == identity.Unknown {
			holders = append(holders, Holder{nil, caller, a})
		}
	}
	return holders, nil
}

// Outsiders lists whom the policy of a resource names and the estate does not
// hold, sorted: "*", users, roles and accounts outside, services and identity
// providers.
func (inv *Inventory) Outsiders(resource string) []string {
	r, ok := inv.Resource(resource)
	if !ok {
		return nil
	}
	found := map[string]bool{}
	add := func(name string) {
		c, err := identity.ParseCaller(name)
		if err != nil {
			return
		}
		if c.AccountID != "" && c.Kind != identity.ProviderCaller {
			if c.Kind == identity.RootCaller {
				name = "arn:" + partition(c) + ":iam::" + c.AccountID + ":root"
			}
			if _, known := inv.Principal(name); known {
				return
			}
		}
		found[name] = true
	}
	if r.Policy != nil {
		for _, s := range r.Policy.Policy.Statements {
			if s.Effect != identity.Allow {
				continue
			}
			if s.NotPrincipal != nil || s.Principal != nil && s.Principal.Everyone {
				found["*"] = true
			}
			if s.Principal == nil {
				continue
			}
			for _, e := range s.Principal.Entries {
				for _, t := range e.Texts() {
					if t == "*" && e.Type == identity.PrincipalAWS {
						found["*"] = true
					} else if t != "*" {
						add(t)
					}
				}
			}
		}
	}
	if r.S3 != nil {
		for _, g := range r.S3.ACL {
			if strings.HasSuffix(g.Grantee, "/AllUsers") || g.Grantee == "AllUsers" {
				found["*"] = true
			}
		}
	}
	for _, g := range r.Grants {
		add(g.GranteePrincipal)
	}
	list := make([]string, 0, len(found))
	for name := range found {
		list = append(list, name)
	}
	sort.Strings(list)
	return list
}

func partition(c identity.Caller) string {
	if c.Partition == "" {
		return "aws"
	}
	return c.Partition
}

// filter tells quickly who certainly may not: those without any statement that
// allows the action, where the resource's own policy has none either. It
// remembers each policy, which principals share.
type filter struct {
	action   string
	everyone bool // the resource or the action may give access to anybody
	allows   map[*identity.Document]bool
}

func (inv *Inventory) newFilter(action, resource string) *filter {
	f := &filter{action: action, allows: map[*identity.Document]bool{}}
	service, _, _ := strings.Cut(action, ":")
	f.everyone = strings.EqualFold(service, "sts") || delegates(resource)
	if r, ok := inv.Resource(resource); ok {
		f.everyone = f.everyone || len(r.Missing) > 0 || len(r.Grants) > 0 || r.S3 != nil && len(r.S3.ACL) > 0 ||
			r.Policy != nil && f.mayAllow(r.Policy)
	}
	return f
}

func (f *filter) impossible(p *Principal) bool {
	if f.everyone || len(p.Missing) > 0 {
		return false
	}
	for i := range p.Policies {
		if f.mayAllow(p.Policies[i].Document) {
			return false
		}
	}
	return true
}

func (f *filter) mayAllow(d *identity.Document) bool {
	if v, ok := f.allows[d]; ok {
		return v
	}
	v := false
	for _, s := range d.Policy.Statements {
		if s.Effect != identity.Allow {
			continue
		}
		if s.Action == nil {
			v = true
			continue
		}
		for _, t := range s.Action.Texts() {
			v = v || identity.MatchAction(t, f.action)
		}
	}
	f.allows[d] = v
	return v
}
