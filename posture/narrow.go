package posture

import (
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// A lookup followed by exists or filter walks all resources of a type, for each
// resource that asks: with thousands of security groups and interfaces that is
// millions of steps. Where the predicate demands that a member equals a value
// from outside,
//
//	estate.inRegion("AWS::EC2::FlowLog").exists(f, f.ResourceId == resource.VpcId && …)
//
// only resources whose documents hold that very text can satisfy it, so the
// macros ask for those alone, which an index answers. The result is the same:
// for every other resource the equation, and with it the conjunction, is false.

// mentioning names the functions that lookups are replaced by.
var mentioning = map[string]string{"byType": "byTypeMentioning", "inRegion": "inRegionMentioning"}

func narrowingMacros() []parser.Macro {
	narrow := func(expand parser.MacroExpander) parser.MacroExpander {
		return func(eh parser.ExprHelper, target ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return expand(eh, narrowTarget(eh, target, args), args)
		}
	}
	return []parser.Macro{
		parser.NewReceiverMacro(operators.Exists, 2, narrow(parser.MakeExists)),
		parser.NewReceiverMacro(operators.Filter, 2, narrow(parser.MakeFilter)),
	}
}

func narrowTarget(eh parser.ExprHelper, target ast.Expr, args []ast.Expr) ast.Expr {
	if target.Kind() != ast.CallKind || args[0].Kind() != ast.IdentKind {
		return target
	}
	c := target.AsCall()
	if !c.IsMemberFunction() || c.Target().Kind() != ast.IdentKind || c.Target().AsIdent() != "estate" || len(c.Args()) != 1 {
		return target
	}
	name, ok := mentioning[c.FunctionName()]
	if !ok {
		return target
	}
	key := demanded(args[1], map[string]bool{args[0].AsIdent(): true})
	if key == nil {
		return target
	}
	return eh.NewMemberCall(name, c.Target(), c.Args()[0], eh.Copy(key))
}

// demanded finds a conjunct that equates a member of an iteration variable with
// a member of something else, and returns the latter.
func demanded(e ast.Expr, vars map[string]bool) ast.Expr {
	switch e.Kind() {
	case ast.CallKind:
		c := e.AsCall()
		switch {
		case c.FunctionName() == operators.LogicalAnd && len(c.Args()) == 2:
			for _, a := range c.Args() {
				if key := demanded(a, vars); key != nil {
					return key
				}
			}
		case c.FunctionName() == operators.Equals && len(c.Args()) == 2:
			l, r := c.Args()[0], c.Args()[1]
			lv, rv := chainRoot(l), chainRoot(r)
			switch {
			case vars[lv] && rv != "" && !vars[rv]:
				return r
			case vars[rv] && lv != "" && !vars[lv]:
				return l
			}
		}
	case ast.ComprehensionKind:
		// An exists over a list of the resource: accumulator || predicate.
		c := e.AsComprehension()
		if c.HasIterVar2() || !vars[chainRoot(c.IterRange())] || c.LoopStep().Kind() != ast.CallKind {
			return nil
		}
		step := c.LoopStep().AsCall()
		if step.FunctionName() != operators.LogicalOr || len(step.Args()) != 2 ||
			c.AccuInit().Kind() != ast.LiteralKind || c.AccuInit().AsLiteral() != types.False {
			return nil
		}
		inner := map[string]bool{c.IterVar(): true}
		for v := range vars {
			inner[v] = true
		}
		return demanded(step.Args()[1], inner)
	}
	return nil
}

// chainRoot returns the variable at which a chain of selections with at least
// one member starts, or "".
func chainRoot(e ast.Expr) string {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return ""
	}
	for e.Kind() == ast.SelectKind {
		e = e.AsSelect().Operand()
	}
	if e.Kind() != ast.IdentKind {
		return ""
	}
	return e.AsIdent()
}

// listMentioning is list without the resources that do not hold a text. What
// could not be read of a resource may hold it, so those with gaps stay.
func (v *accountView) listMentioning(typ, region string, key ref.Val) ref.Val {
	text, ok := key.(types.String)
	if !ok || len(text) < minText || len(text) > maxText {
		return v.list(typ, region)
	}
	found, exact := v.holding(typ, string(text))
	if !exact {
		return v.list(typ, region)
	}
	out := &resourceList{st: v.st, gap: v.gap(typ, region)}
	for _, r := range found {
		if region == "" || r.Region == region {
			out.items = append(out.items, v.st.object(r))
		}
	}
	return out
}
