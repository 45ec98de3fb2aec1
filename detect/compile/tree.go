package compile

import (
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// boolean builds the expressions of a target whose conditions nest freely.
// Each test is given with the side on which it may err: over, so that the
// expression holds at least where the test does, or under, at most there.
type boolean[T any] struct {
	all, any func([]T) T
	not      func(T) T
	leaf     func(t *sigma.Test, over bool) (x T, ok bool) // not ok: true if over, false if under
	res      *Result
}

// build returns an expression for a node; ok is false for one that is always
// true (over) or always false (under).
func (b boolean[T]) build(n *sigma.Node, over bool) (x T, ok bool) {
	switch n.Op {
	case sigma.NodeTest:
		if !n.Test.Negate {
			return b.leaf(n.Test, over)
		}
		plain := *n.Test
		plain.Negate = false
		if x, ok = b.leaf(&plain, !over); ok {
			x = b.not(x)
		}
		return x, ok
	case sigma.NodeNot:
		if x, ok = b.build(n.Kids[0], !over); ok {
			x = b.not(x)
		}
		return x, ok
	}
	var kids []T
	for _, k := range n.Kids {
		if n.Op == sigma.NodeAtLeast {
			break
		}
		e, ok := b.build(k, over)
		switch {
		case ok:
			kids = append(kids, e)
		case (n.Op == sigma.NodeAnd) != over: // false in an and, true in an or
			return x, false
		}
	}
	if n.Op == sigma.NodeAtLeast {
		if picks(len(n.Kids), n.N) > maxPicks {
			b.res.widen("at least %d of %d is left out", n.N, len(n.Kids))
			return x, false
		}
		var alternatives []*sigma.Node
		choose(len(n.Kids), n.N, func(pick []int) {
			and := &sigma.Node{Op: sigma.NodeAnd}
			for _, i := range pick {
				and.Kids = append(and.Kids, n.Kids[i])
			}
			alternatives = append(alternatives, and)
		})
		return b.build(&sigma.Node{Op: sigma.NodeOr, Kids: alternatives}, over)
	}
	switch {
	case len(kids) == 0:
		return x, false
	case len(kids) == 1:
		return kids[0], true
	case n.Op == sigma.NodeAnd:
		return b.all(kids), true
	}
	return b.any(kids), true
}

// wording is how a language writes conditions.
type wording struct{ and, or, one string } // one: a condition as 1 or 0

var (
	trino    = wording{" AND ", " OR ", "CASE WHEN %s THEN 1 ELSE 0 END"}
	painless = wording{" && ", " || ", "(%s ? 1 : 0)"}
)

// presence writes a condition over which rules have matched; "" where it is
// always true. What must not have happened is left out: the engine counts anew
// after a match, and so may not look as far back.
func presence(res *Result, n *sigma.Node, seen func(i int) string, in wording) string {
	switch n.Op {
	case sigma.NodeTest:
		return seen(n.N)
	case sigma.NodeNot:
		res.widen("what must not have happened is left to the check of the hits")
		return ""
	}
	var kids []string
	for _, k := range n.Kids {
		x := presence(res, k, seen, in)
		switch {
		case x != "":
			kids = append(kids, x)
		case n.Op != sigma.NodeAnd:
			return ""
		}
	}
	switch {
	case len(kids) == 0:
		return ""
	case n.Op == sigma.NodeAnd:
		return "(" + strings.Join(kids, in.and) + ")"
	case n.Op == sigma.NodeAtLeast:
		for i, k := range kids {
			kids[i] = fmt.Sprintf(in.one, k)
		}
		return fmt.Sprintf("(%s >= %d)", strings.Join(kids, " + "), n.N)
	}
	return "(" + strings.Join(kids, in.or) + ")"
}
