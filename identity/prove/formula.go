package prove

import (
	"github.com/crillab/gophersat/solver"
)

type op uint8

const (
	opFalse op = iota
	opTrue
	opAtom
	opNot
	opAnd
	opOr
)

// formula is a boolean expression over the atoms of a problem.
type formula struct {
	op   op
	kids []*formula
	atom int
}

var (
	never  = &formula{op: opFalse}
	always = &formula{op: opTrue}
)

func constant(b bool) *formula {
	if b {
		return always
	}
	return never
}

func not(f *formula) *formula {
	switch f.op {
	case opFalse:
		return always
	case opTrue:
		return never
	case opNot:
		return f.kids[0]
	}
	return &formula{op: opNot, kids: []*formula{f}}
}

func and(fs ...*formula) *formula { return join(opAnd, opTrue, opFalse, fs) }
func or(fs ...*formula) *formula  { return join(opOr, opFalse, opTrue, fs) }

func join(o, unit, zero op, fs []*formula) *formula {
	var kids []*formula
	for _, f := range fs {
		switch f.op {
		case unit:
		case zero:
			return f
		case o:
			kids = append(kids, f.kids...)
		default:
			kids = append(kids, f)
		}
	}
	switch len(kids) {
	case 0:
		return &formula{op: unit}
	case 1:
		return kids[0]
	}
	return &formula{op: o, kids: kids}
}

// holds evaluates f under a truth of the atoms.
func (f *formula) holds(truth func(atom int) bool) bool {
	switch f.op {
	case opTrue:
		return true
	case opAtom:
		return truth(f.atom)
	case opNot:
		return !f.kids[0].holds(truth)
	case opAnd:
		for _, k := range f.kids {
			if !k.holds(truth) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range f.kids {
			if k.holds(truth) {
				return true
			}
		}
	}
	return false
}

// fact is an atom that must be true or false.
type fact struct {
	atom int
	want bool
}

// because collects facts that suffice for f being want under truth.
func (f *formula) because(want bool, truth func(int) bool, facts map[fact]bool) {
	switch f.op {
	case opAtom:
		facts[fact{f.atom, want}] = true
	case opNot:
		f.kids[0].because(!want, truth, facts)
	case opAnd, opOr:
		if want == (f.op == opAnd) {
			for _, k := range f.kids {
				k.because(want, truth, facts)
			}
			return
		}
		for _, k := range f.kids {
			if k.holds(truth) == want {
				k.because(want, truth, facts)
				return
			}
		}
	}
}

// clauses is a formula in conjunctive form for the solver. Variables 1 … n are
// the atoms, later ones stand for parts of the formula.
type clauses struct {
	list [][]int
	next int
}

// literal returns the solver's literal for f, adding its definition in one
// direction: enough, because every formula is asserted to be true.
func (c *clauses) literal(f *formula, positive bool) int {
	switch f.op {
	case opAtom:
		if positive {
			return f.atom + 1
		}
		return -(f.atom + 1)
	case opNot:
		return c.literal(f.kids[0], !positive)
	}
	c.next++
	self := c.next
	if positive == (f.op == opAnd) || f.op == opTrue || f.op == opFalse {
		switch {
		case f.op == opTrue || f.op == opFalse:
			if (f.op == opTrue) != positive {
				c.list = append(c.list, []int{-self})
			}
		default:
			for _, k := range f.kids {
				c.list = append(c.list, []int{-self, c.literal(k, positive)})
			}
		}
		return self
	}
	clause := []int{-self}
	for _, k := range f.kids {
		clause = append(clause, c.literal(k, positive))
	}
	c.list = append(c.list, clause)
	return self
}

// satSolver proposes truths of the atoms that make a formula true.
type satSolver struct {
	atoms int
	s     *solver.Solver
}

// newSolver asserts f. It returns nil if f is never true by its form alone.
func newSolver(f *formula, atoms int) *satSolver {
	if f.op == opFalse {
		return nil
	}
	c := clauses{next: max(atoms, 1)}
	c.list = append(c.list, []int{c.literal(f, true)})
	pb := solver.ParseSliceNb(c.list, c.next)
	if pb.Status == solver.Unsat {
		return nil
	}
	return &satSolver{atoms, solver.New(pb)}
}

// propose returns a truth, or nil when there is none left.
func (s *satSolver) propose() []bool {
	if s.s.Solve() != solver.Sat {
		return nil
	}
	m := s.s.Model()
	truth := make([]bool, s.atoms)
	copy(truth, m)
	return truth
}

// exclude says that the facts cannot hold together.
func (s *satSolver) exclude(facts []fact) {
	lits := make([]solver.Lit, len(facts))
	for i, f := range facts {
		n := int32(f.atom + 1)
		if f.want {
			n = -n
		}
		lits[i] = solver.IntToLit(n)
	}
	s.s.AppendClause(solver.NewClause(lits))
}
