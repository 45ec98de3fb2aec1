package usage

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/effective"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// Use is what one principal was seen to do: actions with the resources they were
// used on.
type Use struct {
	Calls   int
	Denied  int                        // calls that were denied: they are no use
	Unknown map[string]int             // events without a known action, source and name, with their number
	Actions map[string]map[string]bool // resources by action
	Blind   map[string]bool            // actions used by an event that does not say on which resource
}

// NewUse returns an empty Use.
func NewUse() *Use {
	return &Use{Unknown: map[string]int{}, Actions: map[string]map[string]bool{}, Blind: map[string]bool{}}
}

// maxResources bounds how many resources of an action are remembered; beyond it
// the action counts as used on whatever the principal may use it on.
const maxResources = 2000

// Add notes a call.
func (u *Use) Add(c *Call) {
	u.Calls++
	if c.Denied {
		u.Denied++
		return
	}
	actions := ActionsOf(c.Source, c.Name)
	if len(actions) == 0 {
		u.Unknown[c.Source+" "+c.Name]++
	}
	for _, a := range actions {
		if u.Actions[a] == nil {
			u.Actions[a] = map[string]bool{}
		}
		arns, ok := c.ScopeOf(a)
		if !ok || len(u.Actions[a])+len(arns) > maxResources {
			u.Blind[a] = true
			continue
		}
		for _, r := range arns {
			u.Actions[a][r] = true
		}
	}
}

// Least is the policy for a use, with its proof.
type Least struct {
	Policy *identity.Policy
	// Wider answers: does the policy allow anything that the principal may not do
	// today? The policy is only given out when the answer is No or Unknown.
	Wider   prove.Answer
	Lost    []string // used, but not by the principal's own policies: "action resource"
	Inexact []string // what the policy leaves out because it cannot be expressed
}

// keepExact is how many resources of one kind a policy names one by one; beyond
// it their common beginning stands for them.
const keepExact = 5

// Generate makes the policy that allows a use and nothing that the stack of the
// principal does not allow. The stack holds the principal's own policies and the
// limits around them, which stay in force.
func Generate(u *Use, stack *identity.Stack) *Least {
	wanted := u.policy()
	own := identity.Stack{Identity: stack.Identity, Boundaries: stack.Boundaries, ServiceControl: stack.ServiceControl}
	l := &Least{Policy: &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}}
	if len(wanted.Statements) > 0 {
		doc, err := identity.Compile(wanted, identity.IdentityPolicy, "wanted")
		if err != nil {
			l.Wider = prove.Answer{Verdict: prove.Unknown, Reason: err.Error()}
			return l
		}
		both := effective.Of(&identity.Stack{Identity: []*identity.Document{doc}, ServiceControl: [][]*identity.Document{stack.Identity}})
		l.Inexact = both.Inexact
		l.Policy = relevant(both.Policy)
	}
	if len(l.Policy.Statements) == 0 {
		l.Lost = u.lost(nil)
		return l
	}
	doc, err := identity.Compile(l.Policy, identity.IdentityPolicy, "least")
	if err != nil {
		l.Wider = prove.Answer{Verdict: prove.Unknown, Reason: err.Error()}
		return l
	}
	next := own
	next.Identity = []*identity.Document{doc}
	l.Wider = prove.Compare(prove.Side{Stack: own}, prove.Side{Stack: next})
	l.Lost = u.lost(doc)
	return l
}

// policy allows just what was used.
func (u *Use) policy() *identity.Policy {
	groups := map[string][]string{} // actions by service and resources
	for _, a := range slices.Sorted(maps.Keys(u.Actions)) {
		resources := []string{"*"}
		if !u.Blind[a] {
			resources = shorten(slices.Sorted(maps.Keys(u.Actions[a])))
		}
		service, _, _ := strings.Cut(a, ":")
		key := service + "\x00" + strings.Join(resources, "\x00")
		groups[key] = append(groups[key], a)
	}
	p := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		resources := strings.Split(key, "\x00")[1:]
		p.Statements = append(p.Statements, &identity.Statement{Index: len(p.Statements), Effect: identity.Allow,
			Action: identity.NewList(groups[key]...), Resource: identity.NewList(resources...)})
	}
	return p
}

// shorten puts the common beginning of resources of one kind in the place of
// many: up to the last separator that all share, and never above the bucket,
// table or log group.
func shorten(arns []string) []string {
	kinds := map[string][]string{}
	for _, a := range arns {
		parts := strings.SplitN(a, ":", 6)
		if len(parts) < 6 {
			kinds[a] = append(kinds[a], a)
			continue
		}
		typ := parts[5]
		if i := strings.IndexAny(typ, "/:"); i >= 0 {
			typ = typ[:i+1]
		} else if parts[2] != "s3" {
			typ = "" // queues and topics have only a name
		}
		kind := strings.Join(parts[:5], ":") + ":" + typ
		kinds[kind] = append(kinds[kind], a)
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		list := kinds[kind]
		if len(list) <= keepExact {
			out = append(out, list...)
			continue
		}
		common := list[0]
		for _, a := range list[1:] {
			n := 0
			for n < len(common) && n < len(a) && common[n] == a[n] {
				n++
			}
			common = common[:n]
		}
		if i := strings.LastIndexAny(common, "/:"); i >= len(kind)-1 {
			common = common[:i+1]
		} else {
			common = kind
		}
		out = append(out, common+"*")
	}
	slices.Sort(out)
	return out
}

// relevant drops the denies that concern none of the allowed actions, and their
// numbers close up.
func relevant(p *identity.Policy) *identity.Policy {
	out := &identity.Policy{Version: p.Version}
	var allowed []string
	for _, s := range p.Statements {
		if s.Effect == identity.Allow && s.Action != nil {
			allowed = append(allowed, s.Action.Texts()...)
		}
	}
	for _, s := range p.Statements {
		if s.Effect == identity.Deny && s.Action != nil && !slices.ContainsFunc(s.Action.Texts(), func(d string) bool {
			return slices.ContainsFunc(allowed, func(a string) bool { return identity.MatchAction(d, a) || identity.MatchAction(a, d) })
		}) {
			continue
		}
		c := *s
		c.Index = len(out.Statements)
		out.Statements = append(out.Statements, &c)
	}
	return out
}

// lost lists what was used and the new policy does not give: it came from the
// policies of resources, or needs none.
func (u *Use) lost(doc *identity.Document) []string {
	var list []string
	for _, a := range slices.Sorted(maps.Keys(u.Actions)) {
		for _, r := range slices.Sorted(maps.Keys(u.Actions[a])) {
			if doc == nil || !mayAllow(doc, a, r) {
				list = append(list, a+" "+r)
			}
		}
	}
	return list
}

// mayAllow reports whether a statement allows an action on a resource, its
// conditions aside.
func mayAllow(d *identity.Document, action, resource string) bool {
	for _, s := range d.Policy.Statements {
		if s.Effect != identity.Allow {
			continue
		}
		in := s.Action != nil && slices.ContainsFunc(s.Action.Texts(), func(p string) bool { return identity.MatchAction(p, action) }) ||
			s.NotAction != nil && !slices.ContainsFunc(s.NotAction.Texts(), func(p string) bool { return identity.MatchAction(p, action) })
		on := s.Resource != nil && slices.ContainsFunc(s.Resource.Texts(), func(p string) bool { return strings.Contains(p, "${") || identity.MatchResource(p, resource) }) ||
			s.NotResource != nil && !slices.ContainsFunc(s.NotResource.Texts(), func(p string) bool { return identity.MatchResource(p, resource) })
		if in && on {
			return true
		}
	}
	return false
}

// UnusedGrant is an action pattern of a policy under which nothing was used.
type UnusedGrant struct {
	Policy  string
	Index   int
	Pattern string
	Actions int // defined actions that it names
}

// Unused lists the action patterns of policies under which nothing was used, and
// of those that were used the number of actions that were not.
func (u *Use) Unused(docs []*identity.Document) []UnusedGrant {
	var list []UnusedGrant
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			if s.Effect != identity.Allow || s.Action == nil {
				continue
			}
			for _, p := range s.Action.Texts() {
				used := false
				for a := range u.Actions {
					used = used || identity.MatchAction(p, a)
				}
				if !used {
					list = append(list, UnusedGrant{d.Name, s.Index, p, len(catalog.Default().ExpandAction(p))})
				}
			}
		}
	}
	return list
}

// Services returns the services that policies allow something of, and of these
// the ones that were used, both sorted.
func (u *Use) Services(docs []*identity.Document) (granted, used []string) {
	all := map[string]bool{}
	cat := catalog.Default()
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			if s.Effect != identity.Allow {
				continue
			}
			if s.Action == nil {
				for _, service := range cat.Services() {
					all[service] = all[service] || !slices.Contains(s.NotAction.Texts(), service+":*")
				}
				continue
			}
			for _, p := range s.Action.Texts() {
				prefix, _, _ := strings.Cut(p, ":")
				for _, service := range cat.ServicesMatching(prefix) {
					all[service.Prefix] = true
				}
			}
		}
	}
	seen := map[string]bool{}
	for a := range u.Actions {
		service, _, _ := strings.Cut(a, ":")
		if all[service] {
			seen[service] = true
		}
	}
	for s, ok := range all {
		if !ok {
			delete(all, s)
		}
	}
	return slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(seen))
}

// Accessed is a service with the time it was last accessed.
type Accessed struct {
	Service string
	Last    time.Time // zero: never, in the time that AWS tracks
}

// ServicesAccessed reads the last-accessed data of a user or role, where its
// document holds what GetServiceLastAccessedDetails answered.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServiceLastAccessedDetails.html
func ServicesAccessed(document map[string]any) []Accessed {
	var list []Accessed
	details := member(document, "GetServiceLastAccessedDetails")
	if text(details, "JobStatus") != "COMPLETED" {
		return nil
	}
	for _, m := range objects(details["ServicesLastAccessed"]) {
		if s := text(m, "ServiceNamespace"); s != "" {
			list = append(list, Accessed{s, when(m, "LastAuthenticated")})
		}
	}
	slices.SortFunc(list, func(a, b Accessed) int { return strings.Compare(a.Service, b.Service) })
	return list
}
