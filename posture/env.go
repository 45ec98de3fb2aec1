package posture

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
	"cel.dev/cel-go/parser"

	"github.com/bartizan-security/bartizan/estate"
)

// costLimit bounds one evaluation, in CEL's cost units (about one per step): a
// second or so. The dearest control of the catalogue needs a hundredth of it on a
// believable resource.
const costLimit = 1_000_000

// maxSteps bounds how many elements one evaluation walks, in all its loops.
// Counting them costs next to nothing, unlike CEL's cost limit, which is used
// for the expressions that this does not bound (see walker.costly).
const maxSteps = 1_000_000

// maxExpression bounds the text of one expression, in bytes.
const maxExpression = 16 << 10

func newEnv() (*cel.Env, error) {
	// has(a.b) means the same as a.b != null: in a document null is "absent".
	has := parser.NewGlobalMacro("has", 1, func(eh parser.ExprHelper, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
		if args[0].Kind() != ast.SelectKind {
			return nil, eh.NewError(args[0].ID(), "has() wants a member, as in has(resource.Name)")
		}
		return eh.NewCall(operators.NotEquals, args[0], eh.NewLiteral(types.NullValue)), nil
	})
	opts := []cel.EnvOption{
		cel.ClearMacros(),
		cel.Macros(has, parser.AllMacro, parser.ExistsOneMacro, parser.MapMacro, parser.MapFilterMacro),
		cel.Macros(narrowingMacros()...),
		cel.CustomTypeAdapter(theAdapter),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(100),
		cel.Variable("resource", cel.DynType),
		cel.Variable("account", cel.StringType),
		cel.Variable("region", cel.StringType),
		cel.Variable("now", cel.TimestampType),
	}
	opts = append(opts, lookupOptions()...)
	opts = append(opts, functionOptions()...)
	opts = append(opts, policyOptions()...)
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	return env, nil
}

// friendlyNull replaces the nodes of a plan that would make an error of a member
// that is absent.
func friendlyNull(n interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch n := n.(type) {
	case interpreter.InterpretableConst:
		if n.Value() == types.NullValue {
			return interpreter.NewConstValue(n.ID(), nothing), nil
		}
	case interpreter.InterpretableCall:
		test := textTests[n.Function()]
		if test == nil || len(n.Args()) != 2 {
			return n, nil
		}
		if n.Function() == "matches" {
			c, ok := n.Args()[1].(interpreter.InterpretableConst)
			if !ok {
				return nil, fmt.Errorf("matches() wants a literal pattern")
			}
			pattern, _ := c.Value().(types.String)
			re, err := regexp.Compile(string(pattern))
			if err != nil {
				return nil, fmt.Errorf("matches(): %w", err)
			}
			test = func(text, _ ref.Val) ref.Val {
				s, ok := text.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(text)
				}
				return types.Bool(re.MatchString(string(s)))
			}
		}
		return interpreter.NewCall(n.ID(), n.Function(), n.OverloadID(), n.Args(), func(args ...ref.Val) ref.Val {
			if args[0] == nothing {
				return types.False
			}
			return test(args[0], args[1])
		}), nil
	}
	return n, nil
}

var textTests = map[string]func(text, arg ref.Val) ref.Val{
	"startsWith": types.StringStartsWith,
	"endsWith":   types.StringEndsWith,
	"contains": func(text, arg ref.Val) ref.Val {
		if h, ok := text.(*handle); ok {
			return h.org.contains(fmt.Sprint(arg.Value()))
		}
		return types.StringContains(text, arg)
	},
	"matches": func(text, _ ref.Val) ref.Val { return types.MaybeNoSuchOverloadErr(text) },
}

// state is one evaluation after another by one goroutine.
type state struct {
	now     types.Timestamp
	account string
	region  string
	subject *object
	estate  *handle
	org     *handle
	scope   map[string]bool // nil: every type was asked for
	gaps    []estate.Gap    // what this evaluation met; an unknown's id is an index into it
	steps   int             // elements that this evaluation walked
	later   bool            // whether it met what is only known at the end
}

func newState(now time.Time) *state {
	st := &state{now: types.Timestamp{Time: now.UTC()}}
	st.estate = &handle{typ: estateType}
	st.org = &handle{typ: organizationType}
	return st
}

func (st *state) reset() {
	st.gaps = st.gaps[:0]
	st.later = false
	st.steps = 0
}

// step counts an element and returns an error when there were too many.
func (st *state) step() ref.Val {
	if st == nil {
		return nil
	}
	if st.steps++; st.steps > maxSteps {
		return errTooLong()
	}
	return nil
}

func errTooLong() ref.Val {
	return types.NewErr("cost limit exceeded: more than %d elements walked", maxSteps)
}

func (st *state) unknown(g estate.Gap) ref.Val {
	if i := slices.Index(st.gaps, g); i >= 0 {
		return types.NewUnknown(int64(i), nil)
	}
	st.gaps = append(st.gaps, g)
	return types.NewUnknown(int64(len(st.gaps)-1), nil)
}

// object wraps a resource's document.
func (st *state) object(r *estate.Resource) *object {
	members := r.Document
	if slices.ContainsFunc(r.Unknown, func(g estate.Gap) bool { return strings.ContainsAny(g.Part, ".[") }) {
		members = withMissing(st, members, r.Unknown)
	}
	return &object{members: members, res: r, st: st}
}

func (st *state) outOfScope(typ string) ref.Val {
	if st.scope == nil || st.scope[typ] {
		return nil
	}
	return st.unknown(estate.Gap{Type: typ, Operation: "bartizan:collect", Reason: "resources of this type were not collected"})
}

// ResolveName implements interpreter.Activation.
func (st *state) ResolveName(name string) (any, bool) {
	switch name {
	case "resource":
		return st.subject, true
	case "account":
		return types.String(st.account), true
	case "region":
		return types.String(st.region), true
	case "now":
		return st.now, true
	case "estate":
		return st.estate, true
	case "organization":
		return st.org, true
	}
	return nil, false
}

// Parent implements interpreter.Activation.
func (st *state) Parent() interpreter.Activation { return nil }

var _ interpreter.Activation = (*state)(nil)
