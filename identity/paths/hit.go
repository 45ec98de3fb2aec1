package paths

import (
	"slices"
	"sort"

	"github.com/crillab/gophersat/solver"
)

// Bounds of what the solver gets in one piece.
const (
	mostVars    = 150
	mostToSolve = 500
)

// hit finds a smallest set of variables that has one of every clause, and
// reports whether it is proven to be one. Clauses are sorted and not empty.
func hit(clauses [][]int, vars int, exact bool) ([]int, bool) {
	chosen, rest := reduce(clauses, vars)
	optimal := true
	for _, part := range components(rest, vars) {
		var ok bool
		var set []int
		if names := varsOf(part); exact && len(names) <= mostVars && len(part) <= mostToSolve {
			set, ok = solve(part, names)
		}
		if !ok {
			set, optimal = greedy(part), false
		}
		chosen = append(chosen, set...)
	}
	sort.Ints(chosen)
	return slices.Compact(chosen), optimal
}

// reduce applies what never costs optimality: a clause that contains another
// goes, a clause of one variable decides it, and a variable whose clauses all
// have a common other variable is left to that one.
func reduce(clauses [][]int, vars int) (chosen []int, rest [][]int) {
	rest = slices.Clone(clauses)
	for {
		rest = unsubsumed(rest, vars)
		occ := occurrences(rest, vars)
		taken := map[int]bool{}
		for _, c := range rest {
			if len(c) == 1 && !taken[c[0]] {
				taken[c[0]] = true
				chosen = append(chosen, c[0])
			}
		}
		dropped := map[int]bool{}
		for v := range vars {
			if len(occ[v]) == 0 || taken[v] {
				continue
			}
			for _, u := range rest[occ[v][0]] {
				if u != v && !dropped[u] && contains(occ[u], occ[v]) && (len(occ[u]) > len(occ[v]) || u < v) {
					dropped[v] = true
					break
				}
			}
		}
		if len(taken) == 0 && len(dropped) == 0 {
			return chosen, rest
		}
		var next [][]int
		for _, c := range rest {
			if slices.ContainsFunc(c, func(v int) bool { return taken[v] }) {
				continue
			}
			next = append(next, slices.DeleteFunc(slices.Clone(c), func(v int) bool { return dropped[v] }))
		}
		rest = next
	}
}

func occurrences(clauses [][]int, vars int) [][]int {
	occ := make([][]int, vars)
	for i, c := range clauses {
		for _, v := range c {
			occ[v] = append(occ[v], i)
		}
	}
	return occ
}

// contains reports whether a sorted list has everything of another.
func contains(all, some []int) bool {
	if len(some) > len(all) {
		return false
	}
	i := 0
	for _, v := range some {
		for i < len(all) && all[i] < v {
			i++
		}
		if i == len(all) || all[i] != v {
			return false
		}
	}
	return true
}

// unsubsumed drops clauses that contain another one.
func unsubsumed(clauses [][]int, vars int) [][]int {
	sorted := slices.Clone(clauses)
	slices.SortStableFunc(sorted, func(a, b []int) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return slices.Compare(a, b)
	})
	occ := make([][]int, vars) // by first variable of the kept clauses
	var kept [][]int
next:
	for _, c := range sorted {
		for _, v := range c {
			for _, i := range occ[v] {
				if contains(c, kept[i]) {
					continue next
				}
			}
		}
		occ[c[0]] = append(occ[c[0]], len(kept))
		kept = append(kept, c)
	}
	return kept
}

// components parts clauses that have no variable in common.
func components(clauses [][]int, vars int) [][][]int {
	parent := make([]int, vars)
	for i := range parent {
		parent[i] = i
	}
	find := func(v int) int {
		for parent[v] != v {
			parent[v] = parent[parent[v]]
			v = parent[v]
		}
		return v
	}
	for _, c := range clauses {
		for _, v := range c[1:] {
			parent[find(v)] = find(c[0])
		}
	}
	at := map[int]int{}
	var out [][][]int
	for _, c := range clauses {
		root := find(c[0])
		i, ok := at[root]
		if !ok {
			i = len(out)
			at[root] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], c)
	}
	return out
}

func varsOf(clauses [][]int) []int {
	var out []int
	for _, c := range clauses {
		out = append(out, c...)
	}
	sort.Ints(out)
	return slices.Compact(out)
}

// solve asks the pseudo-boolean solver for the least model.
func solve(clauses [][]int, names []int) ([]int, bool) {
	number := map[int]int{}
	lits, weights := make([]solver.Lit, len(names)), make([]int, len(names))
	for i, v := range names {
		number[v], weights[i] = i+1, 1
		lits[i] = solver.IntToLit(int32(i + 1))
	}
	var constrs []solver.PBConstr
	for _, c := range clauses {
		ints := make([]int, len(c))
		for i, v := range c {
			ints[i] = number[v]
		}
		constrs = append(constrs, solver.PropClause(ints...))
	}
	problem := solver.ParsePBConstrs(constrs)
	problem.SetCostFunc(lits, weights)
	s := solver.New(problem)
	if s.Minimize() < 0 {
		return nil, false
	}
	var out []int
	for i, on := range s.Model() {
		if on && i < len(names) {
			out = append(out, names[i])
		}
	}
	return out, true
}

// greedy takes the variable that hits most clauses until none is left.
func greedy(clauses [][]int) []int {
	left := slices.Clone(clauses)
	var out []int
	for len(left) > 0 {
		count := map[int]int{}
		best := -1
		for _, c := range left {
			for _, v := range c {
				count[v]++
			}
		}
		for v, n := range count {
			if best < 0 || n > count[best] || n == count[best] && v < best {
				best = v
			}
		}
		out = append(out, best)
		left = slices.DeleteFunc(left, func(c []int) bool { return slices.Contains(c, best) })
	}
	return out
}
