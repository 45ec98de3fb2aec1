package paths

import (
	"fmt"
	"slices"
	"sort"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Cut is a set of changes that breaks every path.
type Cut struct {
	Changes  []CutChange `json:"changes"`
	Smallest bool        `json:"smallest"` // proven: no smaller set of such changes does
	// Verified says that the paths are gone when the estate is evaluated anew
	// with the changes.
	Verified bool `json:"verified"`
	// Unbroken lists principals with a path that no such change breaks.
	Unbroken []string `json:"unbroken,omitempty"`
}

// CutChange is a change with what it changes.
type CutChange struct {
	Change
	Text      string   `json:"text"`                // the change in words
	Statement string   `json:"statement,omitempty"` // as it is now
	Actions   []string `json:"actions,omitempty"`   // of the statement that paths use
}

// Bounds of the search for a smallest cut.
const (
	mostRounds  = 300
	mostClauses = 20_000
)

// cutter looks for the smallest cut: it collects, path by path, the sets of
// changes of which one is needed (clauses), and hits them all with as few as
// possible, until no path is left.
type cutter struct {
	*search
	ids      map[Change]int
	changes  []Change
	texts    map[Change]*identity.Statement
	used     map[Change]map[string]bool
	memo     map[refKey][]int
	clauses  [][]int
	seen     map[string]bool
	unbroken map[*inventory.Principal]bool
}

type refKey struct {
	p     *inventory.Principal
	plus  Plus
	extra string
	ref   identity.StatementRef
}

// changesFor lists the changes that take a statement from a node: one for each
// policy that brings it. None: nothing can be changed.
func (w *world) changesFor(n *node, r identity.StatementRef) []Change {
	var out []Change
	for _, a := range w.attachments(n.p) {
		if a.Document == r.Document && (n.plus != PlusAdmin || a.ARN == "" || a.ARN != n.extra) {
			out = append(out, w.changeOf(n.p, &a, r.Statement))
		}
	}
	if n.plus == PlusGroup {
		for _, g := range w.account(n.p.Account).groups {
			if g.ARN != n.extra {
				continue
			}
			for i := range g.Policies {
				if g.Policies[i].Document == r.Document {
					out = append(out, w.changeOf(n.p, &g.Policies[i], r.Statement))
				}
			}
		}
	}
	slices.SortFunc(out, compareChanges)
	return slices.Compact(out)
}

func (c *cutter) id(ch Change, st *identity.Statement, action string) int {
	key := ch
	if c.used[key] == nil {
		c.used[key] = map[string]bool{}
		c.texts[key] = st
		c.ids[key] = len(c.changes)
		c.changes = append(c.changes, key)
	}
	c.used[key][action] = true
	return c.ids[key]
}

// needs returns the changes each of which would take a statement that a step
// rests on; nil if none would.
func (c *cutter) needs(n *node, st *step, r identity.StatementRef) []int {
	if r.Layer == identity.ResourcePolicy {
		if st.role == nil || st.trusted {
			return nil
		}
		return []int{c.id(trustChange(st.role, r.Statement), r.Statement, st.action)}
	}
	key := refKey{n.p, n.plus, n.extra, r}
	if ids, ok := c.memo[key]; ok {
		for _, id := range ids {
			c.used[c.changes[id]][st.action] = true
		}
		return ids
	}
	var ids []int
	for _, ch := range c.changesFor(n, r) {
		ids = append(ids, c.id(ch, r.Statement, st.action))
	}
	c.memo[key] = ids
	return ids
}

// proof returns changes that each break an edge as it stands after some changes,
// or reports that the edge is broken.
func (c *cutter) proof(n *node, e *edge, done map[int]bool) ([]int, bool) {
	var all []int
	for _, st := range e.steps {
		var best []int
		ok := false
	next:
		for _, set := range c.support(st) {
			var ids []int
			for _, r := range set {
				options := c.needs(n, st, r)
				if len(options) == 0 {
					continue // nothing takes this statement away
				}
				i := slices.IndexFunc(options, func(id int) bool { return !done[id] })
				if i < 0 {
					continue next
				}
				ids = append(ids, options[i])
			}
			if !ok || len(ids) < len(best) {
				best, ok = ids, true
			}
		}
		if !ok {
			return nil, false
		}
		all = append(all, best...)
	}
	return all, true
}

// walk measures the nodes with some changes done, and remembers how each goes on.
func (c *cutter) walk(done map[int]bool) (dist map[*node]int, next map[*node]*edge) {
	dist, next = map[*node]int{}, map[*node]*edge{}
	var queue []*node
	for _, n := range c.nodes {
		if c.atGoal(n) != not {
			dist[n] = 0
			queue = append(queue, n)
		}
	}
	for i := 0; i < len(queue); i++ {
		t := queue[i]
		for _, e := range t.in {
			e.actors(func(n *node) {
				if _, known := dist[n]; known {
					return
				}
				if _, ok := c.proof(n, e, done); ok {
					dist[n], next[n] = dist[t]+1, e
					queue = append(queue, n)
				}
			})
		}
	}
	return dist, next
}

// collect adds a clause for every source that still has a path. It reports
// whether any does.
func (c *cutter) collect(sources []*node, done map[int]bool) bool {
	dist, next := c.walk(done)
	left := false
	for _, n := range sources {
		if _, reaches := dist[n]; !reaches || c.unbroken[n.p] {
			continue
		}
		var clause []int
		for at := n; dist[at] > 0; at = next[at].to {
			ids, _ := c.proof(at, next[at], done)
			clause = append(clause, ids...)
		}
		if len(clause) == 0 {
			c.unbroken[n.p] = true
			continue
		}
		left = true
		sort.Ints(clause)
		clause = slices.Compact(clause)
		key := fmt.Sprint(clause)
		if !c.seen[key] {
			c.seen[key] = true
			c.clauses = append(c.clauses, clause)
		}
	}
	return left
}

// smallestCut finds the fewest changes that break every path of the sources, and
// checks them by a new search over the changed estate.
func (s *search) smallestCut(o *Options, sources []*node) (*Cut, error) {
	c := &cutter{
		search: s, ids: map[Change]int{}, texts: map[Change]*identity.Statement{}, used: map[Change]map[string]bool{},
		memo: map[refKey][]int{}, seen: map[string]bool{}, unbroken: map[*inventory.Principal]bool{},
	}
	cut := &Cut{Changes: []CutChange{}, Smallest: !s.full}
	var chosen []int
	for round := 0; ; round++ {
		done := map[int]bool{}
		for _, id := range chosen {
			done[id] = true
		}
		before := len(c.clauses)
		if !c.collect(sources, done) {
			break
		}
		if len(c.clauses) == before {
			cut.Smallest = false // what is left the check below reports
			break
		}
		exact := round < mostRounds && len(c.clauses) < mostClauses
		var optimal bool
		chosen, optimal = hit(c.clauses, len(c.changes), exact)
		cut.Smallest = cut.Smallest && optimal
	}
	removed := map[Change]bool{}
	sort.Slice(chosen, func(i, j int) bool { return compareChanges(c.changes[chosen[i]], c.changes[chosen[j]]) < 0 })
	for _, id := range chosen {
		ch := c.changes[id]
		removed[ch] = true
		one := CutChange{Change: ch, Text: ch.String()}
		if st := c.texts[ch]; st != nil && !ch.Detach() {
			one.Statement = st.String()
		}
		for a := range c.used[ch] {
			one.Actions = append(one.Actions, a)
		}
		sort.Strings(one.Actions)
		cut.Changes = append(cut.Changes, one)
	}
	for p := range c.unbroken {
		cut.Unbroken = append(cut.Unbroken, p.ARN)
	}
	sort.Strings(cut.Unbroken)
	verified, err := s.verify(o, sources, removed, c.unbroken)
	if err != nil {
		return nil, err
	}
	cut.Verified = verified
	return cut, nil
}

// verify searches the changed estate.
func (s *search) verify(o *Options, sources []*node, removed map[Change]bool, except map[*inventory.Principal]bool) (bool, error) {
	w, err := newWorld(s.inv, o, removed)
	if err != nil {
		return false, err
	}
	after := w.search()
	for _, n := range sources {
		if !except[n.p] && after.base(n.p).dist[possible] < far {
			return false, nil
		}
	}
	return !after.full, nil
}
