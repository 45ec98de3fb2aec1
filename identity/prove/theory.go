package prove

import (
	"math/bits"
	"net/netip"
	"slices"
	"sort"
	"strings"
)

func trailing(w uint64) int { return bits.TrailingZeros64(w) }

// atomKind says what an atom claims about its variable.
type atomKind uint8

const (
	present    atomKind = iota // the key is in the request
	someInside                 // a value of the variable lies in the set
	someOutsid                 // a value of the variable lies outside the set
)

// atom is one fact about one variable: the action, the resource or a
// condition key.
type atom struct {
	variable string
	kind     atomKind
	set      *valueSet
}

// variable describes what values a variable may take.
type variable struct {
	multi    bool           // several values at once
	required bool           // in every request
	absent   bool           // in no request
	boolean  bool           // true or false, nothing else
	within   language       // nil: any text that is not empty
	without  language       // texts that it never has
	fixed    string         // "" or the only value
	outside  []netip.Prefix // networks that an address must not be of
	prefer   []string       // values to try first
}

// assignment gives every variable its values; none means that it is absent.
type assignment map[string][]string

// problem is a set of atoms over variables.
type problem struct {
	atoms []atom
	ids   map[string]int
	vars  map[string]*variable
	left  budget
}

func newProblem() *problem {
	return &problem{ids: map[string]int{}, vars: map[string]*variable{}, left: maxWork}
}

// variableOf returns the variable, making it if needed.
func (p *problem) variableOf(name string) *variable {
	v := p.vars[name]
	if v == nil {
		v = &variable{}
		p.vars[name] = v
	}
	return v
}

// fact returns the formula of an atom; id tells equal sets apart from others.
func (p *problem) fact(name string, kind atomKind, id string, set func() *valueSet) *formula {
	k := name + "\x00" + string(rune('0'+kind)) + id
	i, ok := p.ids[k]
	if !ok {
		i = len(p.atoms)
		a := atom{variable: name, kind: kind}
		if set != nil {
			a.set = set()
		}
		p.atoms = append(p.atoms, a)
		p.ids[k] = i
		p.variableOf(name)
	}
	return &formula{op: opAtom, atom: i}
}

// maxProposals bounds the rounds between the solver and the theory.
const maxProposals = 4000

// outcome of a search for an assignment.
type outcome struct {
	found  assignment
	reason error // why nothing can be said; nil with no assignment: there is none
}

// solve looks for an assignment that makes f true and that accept takes. A nil
// accept takes any.
func (p *problem) solve(f *formula, accept func(assignment) bool) outcome {
	s := newSolver(f, len(p.atoms))
	if s == nil {
		return outcome{}
	}
	var hard error
	for range maxProposals {
		if p.left <= 0 {
			return outcome{reason: errTooHard}
		}
		truth := s.propose()
		if truth == nil {
			return outcome{reason: hard}
		}
		facts := map[fact]bool{}
		at := func(i int) bool { return truth[i] }
		f.because(true, at, facts)
		list := make([]fact, 0, len(facts))
		for x := range facts {
			list = append(list, x)
		}
		sort.Slice(list, func(i, j int) bool { return list[i].atom < list[j].atom })
		a, conflict, err := p.realize(list)
		switch {
		case err != nil:
			hard = err
			conflict = list
		case conflict == nil:
			if accept == nil || accept(a) {
				return outcome{found: a}
			}
			hard = errUnconfirmed
			conflict = list
		}
		if len(conflict) == 0 {
			return outcome{reason: hard}
		}
		s.exclude(conflict)
	}
	return outcome{reason: errTooHard}
}

// realize finds values with just these facts, or facts that exclude each other.
func (p *problem) realize(facts []fact) (assignment, []fact, error) {
	byVar := map[string][]fact{}
	var names []string
	for _, x := range facts {
		n := p.atoms[x.atom].variable
		if byVar[n] == nil {
			names = append(names, n)
		}
		byVar[n] = append(byVar[n], x)
	}
	a := assignment{}
	for n, v := range p.vars {
		if byVar[n] == nil && (v.required || v.fixed != "") {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		values, ok, err := p.values(n, byVar[n])
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, p.core(n, byVar[n]), nil
		}
		if len(values) > 0 {
			a[n] = values
		}
	}
	return a, nil, nil
}

// core drops facts that are not needed for the contradiction.
func (p *problem) core(name string, facts []fact) []fact {
	v := p.vars[name]
	prefer := v.prefer
	v.prefer = nil // any value will do here
	defer func() { v.prefer = prefer }()
	needed := slices.Clone(facts)
	for i := 0; i < len(needed); {
		fewer := slices.Delete(slices.Clone(needed), i, i+1)
		if _, ok, err := p.values(name, fewer); err == nil && !ok {
			needed = fewer
		} else {
			i++
		}
	}
	return needed
}

// values finds values of one variable with the facts; no values means that the
// variable is absent.
func (p *problem) values(name string, facts []fact) ([]string, bool, error) {
	v := p.vars[name]
	var some, none []condition
	must, mustNot := v.required, v.absent
	for _, x := range facts {
		a := p.atoms[x.atom]
		switch {
		case a.kind == present && x.want:
			must = true
		case a.kind == present:
			mustNot = true
		case x.want:
			some = append(some, condition{a.set, a.kind == someOutsid})
		default:
			none = append(none, condition{a.set, a.kind == someOutsid})
		}
	}
	if len(some) > 0 {
		must = true
	}
	if must && mustNot {
		return nil, false, nil
	}
	if !must {
		return nil, true, nil
	}
	if len(some) == 0 {
		s, ok, err := v.pick(none, nil, &p.left)
		return []string{s}, ok, err
	}
	if !v.multi {
		s, ok, err := v.pick(none, some, &p.left)
		return []string{s}, ok, err
	}
	var out []string
	for _, c := range some {
		s, ok, err := v.pick(none, []condition{c}, &p.left)
		if err != nil || !ok {
			return nil, ok, err
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, true, nil
}

// condition is a set, or with not its complement.
type condition struct {
	set *valueSet
	not bool
}

// pick finds one value that meets all of yes and none of no.
func (v *variable) pick(no, yes []condition, b *budget) (string, bool, error) {
	all := slices.Clone(yes)
	for _, c := range no {
		all = append(all, condition{c.set, !c.not})
	}
	if len(v.without) > 0 {
		all = append(all, condition{&valueSet{texts: v.without}, true})
	}
	meets := func(s string) bool {
		for _, c := range all {
			if c.set.has(s) == c.not {
				return false
			}
		}
		for _, n := range v.outside {
			if a, err := netip.ParseAddr(s); err == nil && n.Contains(a) {
				return false
			}
		}
		return v.within == nil || v.within.match(s)
	}
	if v.fixed != "" {
		return v.fixed, meets(v.fixed), nil
	}
	kinds := map[setKind]bool{}
	for _, c := range all {
		kinds[c.set.kind] = true
	}
	if v.boolean || kinds[booleans] {
		for _, s := range []string{"true", "false"} {
			if meets(s) {
				return s, true, nil
			}
		}
		return "", false, nil
	}
	if len(kinds) == 0 || len(kinds) == 1 && kinds[texts] {
		var in, out []language
		for _, c := range all {
			if c.not {
				out = append(out, c.set.texts)
			} else {
				in = append(in, c.set.texts)
			}
		}
		within := v.within
		if within == nil {
			within = language{wildcard("?*")}
		}
		return find(append([]language{within}, in...), out, v.prefer, b)
	}
	candidates := slices.Clone(v.prefer)
	var sets []*valueSet
	for _, c := range all {
		sets = append(sets, c.set)
	}
	for k := range kinds {
		switch k {
		case numbers, dates:
			candidates = append(candidates, linePoints(k, sets)...)
		case addresses:
			var all valueSet
			for _, s := range sets {
				all.nets = append(all.nets, s.nets...)
			}
			candidates = append(candidates, addressPoints(all.nets)...)
		default:
			for _, s := range sets {
				candidates = append(candidates, s.candidates()...)
			}
		}
	}
	slices.SortStableFunc(candidates[len(v.prefer):], func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	for _, s := range candidates {
		if s != "" && meets(s) {
			return s, true, nil
		}
	}
	if len(kinds) > 1 {
		return "", false, errTooHard
	}
	return "", false, nil
}
