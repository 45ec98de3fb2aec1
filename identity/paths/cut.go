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
	mostRounds    = 300
	mostClauses   = 20_000
	exactSearches = 6 // of the changed estate
	mostSearches  = 10
)

// cutter looks for the smallest cut: it collects, path by path, the sets of
// changes of which one is needed (clauses), and hits them all with as few as
// possible, until no path is left.
type cutter struct {
	*search
	views    []view
	ids      map[Change]int
	changes  []Change
	texts    map[Change]*identity.Statement
	used     map[Change]map[string]bool
	memo     map[refKey][]int
	clauses  [][]int
	seen     map[string]bool
	unbroken map[*inventory.Principal]bool
}

// view is a search with the nodes that start in it: of the estate, or of the
// estate with some changes, which found paths that the first left out.
type view struct {
	*search
	sources []*node
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
		for _, a := range w.broughtBy(n.p, n.extra) {
			if a.Document == r.Document {
				out = append(out, w.changeOf(n.p, &a, r.Statement))
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

// collect adds a clause for every source that still has a path in some view. It
// reports whether any does.
func (c *cutter) collect(done map[int]bool) bool {
	left := false
	for _, v := range c.views {
		c.search = v.search
		left = c.collectIn(v.sources, done) || left
	}
	c.search = c.views[0].search
	return left
}

func (c *cutter) collectIn(sources []*node, done map[int]bool) bool {
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
		search: s, views: []view{{s, sources}}, ids: map[Change]int{}, texts: map[Change]*identity.Statement{}, used: map[Change]map[string]bool{},
		memo: map[refKey][]int{}, seen: map[string]bool{}, unbroken: map[*inventory.Principal]bool{},
	}
	cut := &Cut{Changes: []CutChange{}, Smallest: true}
	chosen, err := c.choose(o, sources, cut)
	if err != nil {
		return nil, err
	}
	sort.Slice(chosen, func(i, j int) bool { return compareChanges(c.changes[chosen[i]], c.changes[chosen[j]]) < 0 })
	for _, id := range chosen {
		ch := c.changes[id]
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
	return cut, nil
}

// choose finds the changes: the fewest that break all known edges, and then, as
// long as a search of the changed estate finds another path, the fewest that
// break that, too. Every clause is necessary, so what passes is smallest.
func (c *cutter) choose(o *Options, sources []*node, cut *Cut) ([]int, error) {
	var chosen []int
	for round := range mostSearches {
		exact := cut.Smallest && round < exactSearches
		more, optimal := c.settleOn(exact)
		if cut.Smallest = exact && optimal; cut.Smallest {
			chosen = more
		} else { // from here on, changes only add up
			chosen = append(chosen, more...)
			sort.Ints(chosen)
			chosen = slices.Compact(chosen)
		}
		removed := map[Change]bool{}
		for _, id := range chosen {
			removed[c.changes[id]] = true
		}
		w, err := newWorld(c.inv, o, removed)
		if err != nil {
			return nil, err
		}
		after := w.search()
		var left []*node
		for _, n := range sources {
			if again := after.base(n.p); !c.unbroken[n.p] && again.dist[possible] < far {
				left = append(left, again)
			}
		}
		if len(left) == 0 {
			cut.Verified = !after.full
			cut.Smallest = cut.Smallest && cut.Verified
			return chosen, nil
		}
		c.views = append(c.views, view{after, left})
	}
	cut.Smallest = false
	return chosen, nil
}

// settleOn chooses changes until the known edges lead nowhere.
func (c *cutter) settleOn(exact bool) ([]int, bool) {
	chosen, optimal := []int{}, exact
	for round := 0; ; round++ {
		done := map[int]bool{}
		for _, id := range chosen {
			done[id] = true
		}
		before := len(c.clauses)
		left := c.collect(done)
		if round < 2*mostRounds && (len(c.clauses) > before || round == 0) {
			chosen, optimal = hit(c.clauses, len(c.changes), exact && round < mostRounds && len(c.clauses) < mostClauses)
			continue
		}
		return chosen, optimal && !left
	}
}
