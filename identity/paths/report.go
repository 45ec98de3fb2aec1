package paths

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Options says what to look for.
type Options struct {
	Primitives []*Primitive
	Index      *estate.Index          // the resources that run as roles; nil: none was read
	Read       map[string]bool        // types that the estate was read for
	From       []*inventory.Principal // nil: every principal that is not at the goal
	Goal       Goal
	NoCut      bool         // do not look for the smallest cut
	Gaps       []estate.Gap // of the estate; those of resources that run as roles may hide paths
}

// Report is what Find found.
type Report struct {
	Goal    Goal     `json:"goal"`
	Asked   int      `json:"asked"`          // principals that were asked for
	AtGoal  []string `json:"atGoal"`         // principals that are there already, or may be
	Reached int      `json:"reached"`        // of the principals asked, those with a certain path
	Maybe   int      `json:"maybe"`          // those with possible paths only
	Paths   []Path   `json:"paths"`          // shortest first
	More    int      `json:"more,omitempty"` // paths of the same sources that are not listed
	Cut     *Cut     `json:"cut,omitempty"`
	Entries []Entry  `json:"entries,omitempty"`
	Gaps    []string `json:"gaps,omitempty"` // what was not read and may hide paths
}

// Path is a way from a principal to the goal.
type Path struct {
	From    string   `json:"from"`
	To      string   `json:"to"` // the principal that is at the goal
	Certain bool     `json:"certain"`
	Assumes []string `json:"assumes,omitempty"` // what a possible path depends on
	Hops    []Hop    `json:"hops"`
}

// Hop is one step from a principal to another, with every primitive that does it.
type Hop struct {
	From string `json:"from"`
	To   string `json:"to"`
	Gain string `json:"gain,omitempty"` // what the target has in addition
	Ways []Way  `json:"ways"`           // any of them will do
}

// Way is a primitive with its steps.
type Way struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Certain bool     `json:"certain"`
	Assumes []string `json:"assumes,omitempty"`
	Note    string   `json:"note,omitempty"`
	Steps   []Step   `json:"steps"`

	Detection string `json:"detection"`
	Fix       string `json:"fix"`
}

// Step is a call that is allowed, and by what.
type Step struct {
	By         string              `json:"by"` // ARN of the caller, or the service
	Action     string              `json:"action"`
	Resource   string              `json:"resource"`
	Context    map[string][]string `json:"context,omitempty"`
	Command    string              `json:"command,omitempty"`
	Statements []Statement         `json:"statements"`
	Unknown    []string            `json:"unknown,omitempty"` // what it depends on
}

// Statement is a statement that allows a step, or that may change the answer.
type Statement struct {
	Layer  identity.Layer  `json:"layer"`
	Effect identity.Effect `json:"effect"`
	Holder string          `json:"holder,omitempty"` // ARN of who has the policy
	Policy string          `json:"policy"`           // name, or ARN of a managed policy
	Index  int             `json:"index"`
	Sid    string          `json:"sid,omitempty"`
}

// Entry is somebody outside of the estate whom a role on a path trusts.
type Entry struct {
	Role string `json:"role"`
	Who  string `json:"who"`  // identity provider, account or *
	Kind string `json:"kind"` // federated, account or everyone
}

// Bounds on what is listed. Paths that begin with another primitive always are.
const (
	mostPaths          = 20_000 // of all sources together, roughly
	mostPathsPerSource = 64
	fewestPaths        = 4
	mostHops           = 32
)

// Find looks for escalation paths. It returns an error only for options that
// make no sense.
func Find(inv *inventory.Inventory, o Options) (*Report, error) {
	w, err := newWorld(inv, &o, nil)
	if err != nil {
		return nil, err
	}
	s := w.search()
	r := &Report{Goal: o.Goal, Paths: []Path{}, AtGoal: []string{}}
	sources := s.sources(o.From)
	r.Asked = len(sources)
	reaching := []*node{}
	limit := min(mostPathsPerSource, max(fewestPaths, mostPaths/max(1, len(sources))))
	for _, n := range sources {
		paths, more := s.paths(n, limit)
		r.Paths = append(r.Paths, paths...)
		r.More += more
		switch {
		case n.dist[certain] < far:
			r.Reached++
		case n.dist[possible] < far:
			r.Maybe++
		default:
			continue
		}
		reaching = append(reaching, n)
	}
	slices.SortStableFunc(r.Paths, func(a, b Path) int { return len(a.Hops) - len(b.Hops) })
	for _, p := range inv.Principals {
		if p.Kind != inventory.Root && w.atGoal(s.base(p)) != not {
			r.AtGoal = append(r.AtGoal, p.ARN)
		}
	}
	r.Entries = s.entries()
	r.Gaps = s.gaps(sources, o.Gaps)
	if len(reaching) > 0 && !o.NoCut {
		if r.Cut, err = s.smallestCut(&o, reaching); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// sources lists the nodes to start from.
func (s *search) sources(from []*inventory.Principal) []*node {
	var out []*node
	add := func(p *inventory.Principal) {
		if n := s.base(p); p.Kind != inventory.Root && s.atGoal(n) != certain {
			out = append(out, n)
		}
	}
	if from != nil {
		for _, p := range from {
			add(p)
		}
		return out
	}
	for _, p := range s.inv.Principals {
		if p.Kind != inventory.Root && !p.ServiceLinked() && s.atGoal(s.base(p)) == not {
			add(p)
		}
	}
	return out
}

// measure finds the length of the shortest path of every node, over certain
// edges alone and over all.
func (s *search) measure() {
	for _, v := range []verdict{possible, certain} {
		var queue []*node
		for _, n := range s.nodes {
			n.dist[v] = far
			if s.atGoal(n) >= v {
				n.dist[v] = 0
				queue = append(queue, n)
			}
		}
		for i := 0; i < len(queue); i++ {
			t := queue[i]
			for _, e := range t.in {
				if e.verdict < v {
					continue
				}
				e.actors(func(n *node) {
					if n.dist[v] == far {
						n.dist[v] = t.dist[v] + 1
						queue = append(queue, n)
					}
				})
			}
		}
	}
}

// out visits the edges of a node.
func (n *node) out(visit func(*edge)) {
	for _, e := range n.class.edges {
		if e.to.p != n.p {
			visit(e)
		}
	}
	for _, e := range n.own {
		visit(e)
	}
}

// first groups a node's edges by where they lead.
type first struct {
	to    *node
	sure  verdict
	dist  int
	edges []*edge
}

// paths lists the paths of a source: the shortest, and longer ones that begin
// with a primitive which no shorter one begins with.
func (s *search) paths(n *node, limit int) (list []Path, more int) {
	at := map[*node]*first{}
	var hops []*first
	n.out(func(e *edge) {
		sure := possible
		if e.verdict == certain && e.to.dist[certain] < far {
			sure = certain
		}
		if e.to.dist[sure] >= far {
			return
		}
		f := at[e.to]
		if f == nil {
			f = &first{to: e.to}
			at[e.to] = f
			hops = append(hops, f)
		}
		f.edges = append(f.edges, e)
		if sure > f.sure {
			f.sure, f.dist = sure, e.to.dist[sure]
		}
	})
	sort.SliceStable(hops, func(i, j int) bool {
		a, b := hops[i], hops[j]
		switch {
		case a.sure != b.sure:
			return a.sure > b.sure
		case a.dist != b.dist:
			return a.dist < b.dist
		case a.to.p.ARN != b.to.p.ARN:
			return a.to.p.ARN < b.to.p.ARN
		case a.to.plus != b.to.plus:
			return a.to.plus < b.to.plus
		}
		return a.to.extra < b.to.extra
	})
	seen := map[string]bool{}
	for _, f := range hops {
		fresh := false
		for _, e := range f.edges {
			fresh = fresh || !seen[e.prim.ID]
		}
		switch {
		case fresh:
		case f.dist+1 != n.dist[f.sure]:
			continue
		case len(list) >= limit:
			more++
			continue
		}
		p, ok := s.path(n, f)
		if !ok {
			continue
		}
		for _, e := range f.edges {
			seen[e.prim.ID] = true
		}
		list = append(list, p)
	}
	return list, more
}

// path follows the shortest way on from a first hop. It reports false for one
// that comes back to where it began.
func (s *search) path(n *node, f *first) (Path, bool) {
	p := Path{From: n.p.ARN, Certain: f.sure == certain}
	visited := map[*inventory.Principal]bool{}
	at, edges := n, f.edges
	for len(p.Hops) < mostHops {
		hop := Hop{From: at.p.ARN, To: edges[0].to.p.ARN, Gain: edges[0].to.gain()}
		hop.Ways = s.ways(at, edges, f.sure)
		p.Hops = append(p.Hops, hop)
		if to := edges[0].to; to.p != at.p {
			visited[at.p] = true
			if visited[to.p] {
				return p, false
			}
		}
		at = edges[0].to
		if s.atGoal(at) >= f.sure || at.dist[f.sure] == 0 {
			break
		}
		if edges = s.onward(at, f.sure); edges == nil {
			return p, false
		}
	}
	p.To = at.p.ARN
	if !p.Certain {
		for _, h := range p.Hops {
			if !slices.ContainsFunc(h.Ways, func(w Way) bool { return w.Certain }) {
				p.Assumes = append(p.Assumes, h.Ways[0].Assumes...)
			}
		}
		if s.atGoal(at) == possible {
			p.Assumes = append(p.Assumes, at.class.why...)
		}
		sort.Strings(p.Assumes)
		p.Assumes = slices.Compact(p.Assumes)
	}
	return p, true
}

// onward returns the edges of the best next hop.
func (s *search) onward(n *node, sure verdict) []*edge {
	var best *node
	var edges []*edge
	better := func(a, b *node) bool {
		return a.p.ARN+string(a.plus)+a.extra < b.p.ARN+string(b.plus)+b.extra
	}
	n.out(func(e *edge) {
		if e.verdict < sure || e.to.dist[sure]+1 != n.dist[sure] {
			return
		}
		switch {
		case best == nil || best != e.to && better(e.to, best):
			best, edges = e.to, []*edge{e}
		case best == e.to:
			edges = append(edges, e)
		}
	})
	return edges
}

func (n *node) gain() string {
	switch n.plus {
	case PlusAdmin:
		return "a policy that allows everything"
	case PlusGroup:
		return "the policies of " + strings.Join(n.joined(), " and ")
	}
	return ""
}

// ways describes edges, certain ones first, one for each primitive.
func (s *search) ways(n *node, edges []*edge, sure verdict) []Way {
	edges = slices.Clone(edges)
	slices.SortStableFunc(edges, func(a, b *edge) int {
		if a.verdict != b.verdict {
			return int(b.verdict) - int(a.verdict)
		}
		return strings.Compare(a.prim.ID, b.prim.ID)
	})
	var out []Way
	seen := map[string]bool{}
	for _, e := range edges {
		if seen[e.prim.ID] || sure == certain && e.verdict == possible && !s.aloneIn(e, edges) {
			continue
		}
		seen[e.prim.ID] = true
		p := e.prim
		way := Way{ID: p.ID, Title: p.Title, Certain: e.verdict == certain, Note: p.Note, Detection: p.Detection, Fix: p.Fix}
		if !way.Certain {
			way.Assumes = slices.Clone(e.assumes)
			sort.Strings(way.Assumes)
			way.Assumes = slices.Compact(way.Assumes)
		}
		for i, st := range e.steps {
			one := s.step(n, st)
			if call := e.calls[i]; call >= 0 && (i == 0 || e.calls[i-1] != call) {
				one.Command = command(p.Steps[call].CLI, e.values)
			}
			way.Steps = append(way.Steps, one)
		}
		out = append(out, way)
	}
	return out
}

// command fills the values into the form of a call; a name that is still open
// gets the default one.
func command(cli string, values map[string]string) string {
	text := expand(expand(cli, values), values)
	rest := map[string]string{}
	for _, name := range free(text) {
		rest[name] = defaultName
	}
	return expand(text, rest)
}

// aloneIn reports whether an edge is the only one of its primitive.
func (s *search) aloneIn(e *edge, edges []*edge) bool {
	return !slices.ContainsFunc(edges, func(o *edge) bool { return o != e && o.prim == e.prim })
}

func (s *search) step(n *node, st *step) Step {
	out := Step{By: st.by, Action: st.action, Resource: st.resource, Context: st.context, Unknown: st.missing, Statements: []Statement{}}
	if strings.HasPrefix(st.by, "arn:") {
		out.By = n.p.ARN
	}
	for _, r := range st.refs {
		one := Statement{Layer: r.Layer, Effect: r.Statement.Effect, Policy: r.Policy(), Index: r.Statement.Index, Sid: r.Statement.SidText()}
		switch {
		case r.Layer == identity.ResourcePolicy && st.role != nil:
			one.Holder, one.Policy = st.role.ARN, trustPolicy
			if st.trusted {
				one.Policy = r.Policy()
			}
		case r.Layer == identity.IdentityPolicy && r.Document == s.admin:
			one.Holder = n.p.ARN
		case r.Layer == identity.IdentityPolicy:
			for _, c := range s.changesFor(n, r) {
				one.Holder, one.Policy = c.Holder, c.Policy
				break
			}
		}
		out.Statements = append(out.Statements, one)
	}
	return out
}

// entries lists who outside of the estate may enter a path through a role.
func (s *search) entries() []Entry {
	var out []Entry
	for _, n := range s.nodes {
		if n.plus != PlusNothing || n.dist[possible] >= far || n.p.Kind != inventory.Role || n.p.ServiceLinked() || n.p.Trust == nil {
			continue
		}
		for _, st := range n.p.Trust.Policy.Statements {
			if st.Effect != identity.Allow || st.Principal == nil {
				continue
			}
			if st.Principal.Everyone {
				out = append(out, Entry{n.p.ARN, "*", "everyone"})
				continue
			}
			for _, e := range st.Principal.Entries {
				for _, text := range e.Texts() {
					switch c, err := identity.ParseCaller(text); {
					case e.Type == identity.PrincipalFederated:
						out = append(out, Entry{n.p.ARN, text, "federated"})
					case e.Type == identity.PrincipalAWS && text == "*":
						out = append(out, Entry{n.p.ARN, "*", "everyone"})
					case e.Type == identity.PrincipalAWS && err == nil && s.accounts[c.AccountID] == nil:
						out = append(out, Entry{n.p.ARN, text, "account"})
					}
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Entry) int {
		return strings.Compare(a.Role+"\x00"+a.Who, b.Role+"\x00"+b.Who)
	})
	return slices.Compact(out)
}

// gaps says what was not read and may hide paths.
func (s *search) gaps(sources []*node, unread []estate.Gap) []string {
	var out []string
	gaps := slices.Clone(s.inv.Missing)
	for _, g := range unread {
		if g.Part == "" && slices.ContainsFunc(s.prims, func(p *Primitive) bool { return p.Target.Type != "" && p.Target.Type == g.Type }) {
			gaps = append(gaps, g)
		}
	}
	for _, g := range gaps {
		text := g.Type
		if g.Account != "" {
			text += " in account " + g.Account
		}
		out = append(out, strings.TrimSpace(text+": "+g.Reason))
	}
	for _, n := range sources {
		for _, m := range n.p.Missing {
			out = append(out, n.p.ARN+": "+m)
		}
	}
	if len(s.crowded) > 0 {
		out = append(out, fmt.Sprintf("users who may join more combinations of groups than were tried: %d", len(s.crowded)))
	}
	if s.full {
		out = append(out, "the search stopped at its bound; there may be more paths")
	}
	sort.Strings(out)
	return slices.Compact(out)
}
