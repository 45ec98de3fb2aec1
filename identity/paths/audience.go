package paths

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/internal/glob"
)

// audience is whom a trust policy may let in.
type audience struct {
	everyone   bool
	tells      bool // it looks at who it is
	accounts   map[string]bool
	principals map[string]bool
}

func (s *search) audienceOf(role *inventory.Principal) *audience {
	if a := s.audience[role]; a != nil {
		return a
	}
	a := &audience{accounts: map[string]bool{}, principals: map[string]bool{}}
	s.audience[role] = a
	d := s.trust(role)
	if d == nil {
		return a
	}
	a.tells = s.tells(d)
	for _, st := range d.Policy.Statements {
		if st.Effect == identity.Deny {
			a.tells = a.tells || st.NotPrincipal != nil || st.Principal != nil && !st.Principal.Everyone
			continue
		}
		if st.Principal == nil || st.Principal.Everyone {
			a.everyone = true
			a.tells = a.tells || st.Principal == nil
			continue
		}
		for _, e := range st.Principal.Entries {
			if e.Type != identity.PrincipalAWS {
				continue
			}
			for _, text := range e.Texts() {
				c, err := identity.ParseCaller(text)
				switch {
				case text == "*":
					a.everyone = true
				case err != nil:
				case c.Kind == identity.RootCaller:
					a.accounts[c.AccountID] = true
				default:
					a.principals[text] = true
				}
			}
		}
	}
	return a
}

// reachable is the resources that the Allow statements of a class name for an
// action.
type reachable struct {
	any      bool
	patterns []string
}

// touch reports whether a class may have all the IAM actions of a primitive on
// their target. It spares an evaluation; it does not replace one.
func (s *search) touch(c *class, p *Primitive, target *inventory.Principal) bool {
	if target == nil {
		return true
	}
	for i := range p.Steps {
		call := &p.Steps[i]
		if !strings.HasPrefix(call.Action, "iam:") || call.On[0] != "{role.arn}" && call.On[0] != "{user.arn}" {
			continue
		}
		if !c.named(call.Action, target.ARN) {
			return false
		}
	}
	return true
}

// named reports whether some Allow statement of a class names a resource for an
// action.
func (c *class) named(action, resource string) bool {
	r := c.touches[action]
	if r == nil {
		r = resourcesOf(c, action)
		c.touches[action] = r
	}
	return r.any || slices.ContainsFunc(r.patterns, func(pattern string) bool { return glob.Match(pattern, resource) })
}

// mayAssume is touch for assuming a role. Within an account a trust policy that
// names the caller itself, or everyone, is enough.
func (s *search) mayAssume(c *class, role *inventory.Principal, directly bool) bool {
	return directly && c.rep.p.Account == role.Account || c.named("sts:AssumeRole", role.ARN)
}

func resourcesOf(c *class, action string) *reachable {
	r := &reachable{}
	for _, d := range c.base.Identity {
		for _, st := range d.Policy.Statements {
			if st.Effect != identity.Allow || !names(st, action) {
				continue
			}
			if st.Resource == nil {
				r.any = true
				continue
			}
			for _, t := range st.Resource.Texts() {
				if t == "*" || strings.Contains(t, "${") {
					r.any = true
				}
				r.patterns = append(r.patterns, t)
			}
		}
	}
	return r
}
