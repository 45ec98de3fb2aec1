package paths

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/identity/inventory"
)

// edge is one way from the nodes of a class, or from one of them, to another node.
type edge struct {
	id      int
	prim    *Primitive
	class   *class
	only    *node // nil: every node of the class but the target
	to      *node
	target  target
	verdict verdict
	steps   []*step
	calls   []int // the primitive's call of each step; -1: the service's
	values  map[string]string
	assumes []string // what makes it only possible
}

// actors calls visit for every node that the edge starts from.
func (e *edge) actors(visit func(*node)) {
	if e.only != nil {
		visit(e.only)
		return
	}
	for _, n := range e.class.nodes {
		if n.p != e.to.p {
			visit(n)
		}
	}
}

// Bounds of a search. One that hits them says so.
const (
	mostNodes = 400_000
	mostEdges = 300_000
	mostTries = 1_500_000
)

// search finds every edge that leads towards the goal.
type search struct {
	*world
	edges    []*edge
	audience map[*inventory.Principal]*audience
	queue    []*node
	managed  map[*inventory.Principal][]string
	tries    int
	combined map[*inventory.Principal]int  // combinations of groups that were tried
	crowded  map[*inventory.Principal]bool // more of them were not
	full     bool                          // a bound was hit
}

// manyTries is when a search stops looking for further ways of those that have
// one. The smallest cut searches again for what was left out.
const manyTries = 60_000

func (s *search) hasty() bool { return s.tries > manyTries }

// reaches reports whether every node of a class is known to reach the goal.
func (s *search) reaches(c *class) bool {
	if !c.done {
		c.done = !slices.ContainsFunc(c.nodes, func(n *node) bool { return !n.queued })
	}
	return c.done
}

// capable is the classes of an account that may have a primitive's actions.
type capable struct {
	looked  int // how many classes of the account were looked at
	classes []*class
}

func (w *world) search() *search {
	s := &search{world: w, audience: map[*inventory.Principal]*audience{}, managed: map[*inventory.Principal][]string{},
		combined: map[*inventory.Principal]int{}, crowded: map[*inventory.Principal]bool{}}
	// What is gained with an added policy: new nodes, that may gain in turn.
	for i := 0; i < len(w.classes) && !s.full; i++ {
		s.elevate(w.classes[i])
	}
	for _, n := range w.nodes {
		if w.atGoal(n) != not {
			s.enqueue(n)
		}
	}
	for len(s.queue) > 0 && !s.full {
		n := s.queue[0]
		s.queue = s.queue[1:]
		if n.plus == PlusNothing {
			s.into(n)
		}
		for _, e := range n.in {
			e.actors(s.enqueue)
		}
	}
	s.measure()
	return s
}

func (s *search) enqueue(n *node) {
	if !n.queued {
		n.queued = true
		s.queue = append(s.queue, n)
	}
}

// can reports whether a class may have all the actions of a primitive. Assuming
// a role may need none: the trust policy can be enough.
func (s *search) can(c *class, p *Primitive) bool {
	for i := range p.Steps {
		if a := p.Steps[i].Action; a != "sts:AssumeRole" && !c.bits.has(s.actions[a]) {
			return false
		}
	}
	return true
}

// settled reports whether a class needs no way to the goal.
func settled(c *class) bool { return c.goal == certain }

// elevate tries the primitives that add a policy, for a class.
func (s *search) elevate(c *class) {
	if settled(c) {
		return
	}
	a := s.account(c.rep.p.Account)
	for _, p := range s.prims {
		if p.Plus == PlusNothing || !s.can(c, p) {
			continue
		}
		switch p.Target.Kind {
		case Self, SelfUser, SelfRole, OwnGroup, OtherGroup:
			for i := 0; i < len(c.nodes); i++ {
				s.onSelf(c.nodes[i], p)
			}
		case AnyUser:
			seen := map[string]bool{}
			for _, u := range a.users {
				if s.hasty() && len(seen) > 0 {
					break
				}
				s.elevated(c, p, u, seen)
			}
		case AnyRole:
			if p.Target.Policy && !s.anyManaged(a) {
				continue
			}
			for _, r := range a.roles {
				before := len(s.edges)
				s.elevated(c, p, r, nil)
				if s.hasty() && len(s.edges) > before {
					break
				}
			}
		}
	}
}

// anyManaged reports whether any role of an account has a customer managed policy.
func (s *search) anyManaged(a *account) bool {
	return slices.ContainsFunc(a.roles, func(r *inventory.Principal) bool { return len(s.attachedPolicies(r)) > 0 })
}

// elevated tries to gain another principal with an added policy.
func (s *search) elevated(c *class, p *Primitive, to *inventory.Principal, seen map[string]bool) {
	if unchangeable(to) {
		return
	}
	targets := []target{{principal: to}}
	if p.Target.Policy {
		targets = nil
		for _, arn := range s.attachedPolicies(to) {
			targets = append(targets, target{principal: to, policy: arn})
		}
	}
	for _, t := range targets {
		var goalNode *node
		s.reach(c, p, t, func(e *edge) {
			if seen != nil {
				key := s.base(to).class.key() + "\x00" + e.signature()
				if seen[key] {
					return
				}
				seen[key] = true
			}
			if goalNode == nil {
				goalNode = s.base(to)
				if s.atGoal(goalNode) != certain {
					goalNode = s.node(to, PlusAdmin, t.policy)
				}
			}
			e.to = goalNode
			s.add(e)
		})
	}
}

func (c *class) key() string { return strconv.Itoa(c.id) }

func (s *search) base(p *inventory.Principal) *node { return s.node(p, PlusNothing, "") }

// signature tells edges apart that rest on different statements.
func (e *edge) signature() string {
	var b strings.Builder
	for _, st := range e.steps {
		for _, r := range st.refs {
			b.WriteString(r.Document.Name + "\x00" + strconv.Itoa(r.Statement.Index) + "\x01")
		}
		b.WriteByte(2)
	}
	return b.String()
}

// onSelf tries the primitives by which a node adds to its own rights.
func (s *search) onSelf(n *node, p *Primitive) {
	kind := p.Target.Kind
	user := n.p.Kind == inventory.User
	if kind != Self && user == (kind == SelfRole) || unchangeable(n.p) {
		return
	}
	var targets []target
	switch {
	case kind == OwnGroup || kind == OtherGroup:
		for _, g := range s.account(n.p.Account).groups {
			in := slices.Contains(n.p.Groups, g.Name) || slices.Contains(n.joined(), g.ARN)
			if in == (kind == OwnGroup) && (in || s.mayJoin(n, g.ARN)) {
				targets = append(targets, target{principal: n.p, group: g})
			}
		}
	case p.Target.Policy:
		for _, arn := range s.attachedPolicies(n.p) {
			targets = append(targets, target{principal: n.p, policy: arn})
		}
	default:
		targets = []target{{principal: n.p}}
	}
	for _, t := range targets {
		e := s.try(n, p, t)
		if e == nil {
			continue
		}
		if e.only = n; p.Plus == PlusGroup {
			e.to = s.node(n.p, PlusGroup, joinedWith(n.joined(), t.group.ARN))
		} else {
			e.to = s.node(n.p, PlusAdmin, t.policy)
		}
		if e.to != n {
			s.add(e)
		}
	}
}

// attachedPolicies lists the customer managed policies that a principal has, its
// own and its groups'.
func (s *search) attachedPolicies(p *inventory.Principal) []string {
	if out, ok := s.managed[p]; ok {
		return out
	}
	var out []string
	for _, a := range s.attachments(p) {
		if a.ARN != "" && !awsManaged(a.ARN) && !slices.Contains(out, a.ARN) {
			out = append(out, a.ARN)
		}
	}
	sort.Strings(out)
	s.managed[p] = out
	return out
}

func (s *search) add(e *edge) {
	if len(s.edges) >= mostEdges || len(s.nodes) >= mostNodes {
		s.full = true
		return
	}
	e.id = len(s.edges)
	s.edges = append(s.edges, e)
	e.to.in = append(e.to.in, e)
	if e.only != nil {
		e.only.own = append(e.only.own, e)
	} else {
		e.class.edges = append(e.class.edges, e)
	}
}

// into finds who can become a principal by the primitives that add nothing.
func (s *search) into(n *node) {
	a := s.account(n.p.Account)
	add := func(e *edge) {
		e.to = n
		s.add(e)
	}
	for _, p := range s.prims {
		if p.Plus != PlusNothing {
			continue
		}
		kind := p.Target.Kind
		if kind == AnyUser && n.p.Kind != inventory.User || kind != AnyUser && n.p.Kind != inventory.Role || n.p.ServiceLinked() {
			continue
		}
		switch kind {
		case AnyUser:
			s.each(a, p, func(c *class) { s.reach(c, p, target{principal: n.p}, add) })
		case AnyRole:
			switch {
			case p.assumes && len(p.Steps) == 1:
				s.assumers(p, n.p, add)
			case !unchangeable(n.p):
				s.each(a, p, func(c *class) { s.reach(c, p, target{principal: n.p}, add) })
			}
		case PassedRole:
			for _, service := range p.Target.Services {
				if s.serviceMay(n.p, service, "").verdict == not {
					continue
				}
				s.each(a, p, func(c *class) { s.reach(c, p, target{principal: n.p, service: service}, add) })
			}
		case Existing:
			for _, x := range s.existing(a, p) {
				if x.role != n.p {
					continue
				}
				for _, service := range p.Target.Services {
					if s.serviceMay(n.p, service, known(x)).verdict == not {
						continue
					}
					s.each(a, p, func(c *class) { s.reach(c, p, target{principal: n.p, service: service, resource: x}, add) })
				}
			}
		}
	}
}

// known returns the ARN of a resource that was read.
func known(x *existing) string {
	if x.source == nil {
		return ""
	}
	return x.arn
}

// each visits the classes of an account that may have a primitive's actions.
func (s *search) each(a *account, p *Primitive, visit func(*class)) {
	list := a.capable[p]
	if list == nil {
		list = &capable{}
		a.capable[p] = list
	}
	for ; list.looked < len(a.classes); list.looked++ {
		if c := a.classes[list.looked]; !settled(c) && s.can(c, p) {
			list.classes = append(list.classes, c)
		}
	}
	if s.hasty() {
		list.classes = slices.DeleteFunc(list.classes, s.reaches)
	}
	for _, c := range list.classes {
		visit(c)
	}
}

// reach tries a primitive for the nodes of a class: once for all, or for each
// where a trust policy tells them apart.
func (s *search) reach(c *class, p *Primitive, t target, found func(*edge)) {
	if s.hasty() && p.Plus == PlusNothing && s.reaches(c) || !s.touch(c, p, t.principal) {
		return
	}
	if !p.assumes {
		n := c.rep
		if n.p == t.principal && !c.own {
			if len(c.nodes) == 1 {
				return
			}
			n = c.nodes[1] // the target itself is not asked
		}
		if n.p == t.principal {
			return
		}
		if e := s.try(n, p, t); e != nil {
			found(e)
		}
		return
	}
	au := s.audienceOf(t.principal)
	var rest *node
	for _, n := range c.nodes {
		switch {
		case n.p == t.principal:
		case au.tells || au.principals[n.p.ARN]:
			named := au.principals[n.p.ARN]
			if (named || au.everyone || au.accounts[n.p.Account]) && s.mayAssume(c, t.principal, named || au.everyone) {
				if e := s.try(n, p, t); e != nil {
					e.only = n
					found(e)
				}
			}
		case rest == nil:
			rest = n
		}
	}
	if rest != nil && (au.everyone || au.accounts[c.rep.p.Account]) && s.mayAssume(c, t.principal, au.everyone) {
		if e := s.try(rest, p, t); e != nil {
			found(e)
		}
	}
}

// assumers finds who can assume a role, in any account.
func (s *search) assumers(p *Primitive, role *inventory.Principal, found func(*edge)) {
	au := s.audienceOf(role)
	done := map[string]bool{}
	visit := func(id string) {
		if a := s.accounts[id]; a != nil && !done[id] {
			done[id] = true
			s.each(a, p, func(c *class) { s.reach(c, p, target{principal: role}, found) })
		}
	}
	if au.everyone {
		for _, id := range slices.Sorted(maps.Keys(s.accounts)) {
			visit(id)
		}
		return
	}
	for _, id := range slices.Sorted(maps.Keys(au.accounts)) {
		visit(id)
	}
	for _, name := range slices.Sorted(maps.Keys(au.principals)) {
		q, ok := s.inv.Principal(name)
		if !ok || q.Kind == inventory.Root || q == role {
			continue
		}
		for _, n := range s.of[q] {
			if !done[n.p.Account] && !settled(n.class) && !(s.hasty() && n.queued) {
				if e := s.try(n, p, target{principal: role}); e != nil {
					e.only = n
					found(e)
				}
			}
		}
	}
}
