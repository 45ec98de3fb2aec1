package jsonata

import (
	"math"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// native is an expression that Go evaluates itself, made from the reference
// implementation's own syntax tree: paths, filters, operators, constructors,
// blocks with variables, and the functions that need no clock and no pattern,
// with functions written in place. Whatever it does not know for certain it
// leaves to the reference, errors among it: eval then says that it is not done.
// Tests hold the two against each other.
type native struct{ root node }

// undef is JSONata's undefined; notDone asks for the reference.
type (
	undef   struct{}
	notDone struct{}
)

// scope holds the variables of a block or function, and those around it.
type scope struct {
	bindings []Binding
	outer    *scope
	input    any // $$
	budget   *int
}

// nativeBudget is the work, in values looked at, after which an expression is
// left to the reference, which has bounds of time and memory.
const nativeBudget = 500_000

// charge is called for all work that grows with the data.
func (s *scope) charge(n int) {
	if *s.budget -= n; *s.budget < 0 {
		leave()
	}
}

func (s *scope) get(name string) (any, bool) {
	for ; s != nil; s = s.outer {
		for i := len(s.bindings) - 1; i >= 0; i-- {
			if s.bindings[i].Name == name {
				if _, gone := s.bindings[i].Value.(Undefined); gone {
					return undef{}, true
				}
				return s.bindings[i].Value, true
			}
		}
	}
	return nil, false
}

// inner is the scope of a block or function inside this one.
func (s *scope) inner(room int) *scope {
	return &scope{bindings: make([]Binding, 0, room), outer: s, input: s.input, budget: s.budget}
}

// node evaluates itself with a context value; it panics with notDone.
type node func(s *scope, ctx any) any

func (n *native) eval(input any, bindings []Binding, limit int) (v any, ok, done bool) {
	switch input.(type) {
	case Undefined:
		input = undef{}
	case []any:
		return nil, false, false // an input array is wrapped in ways of its own
	}
	defer func() {
		if p := recover(); p != nil {
			if _, expected := p.(notDone); !expected {
				panic(p)
			}
			v, ok, done = nil, false, false
		}
	}()
	budget := nativeBudget
	s := &scope{bindings: bindings, input: input, budget: &budget}
	out := n.root(s, input)
	if _, missing := out.(undef); missing {
		return nil, false, true
	}
	return plain(s, out, limit), true, true
}

func leave() any { panic(notDone{}) }

// plain writes numbers as JavaScript has them: 2.0 is 2.
func plain(s *scope, v any, depth int) any {
	if depth == 0 {
		leave()
	}
	s.charge(1)
	switch x := v.(type) {
	case value.Big:
		leave()
	case int64:
		if x > 1<<53 || x < -(1<<53) {
			leave()
		}
	case float64:
		return number(x)
	case []any:
		for i, e := range x {
			p := plain(s, e, depth-1)
			if same(p, e) {
				continue
			}
			out := append([]any(nil), x...)
			for j := i; j < len(x); j++ {
				out[j] = plain(s, x[j], depth-1)
			}
			return out
		}
	case *value.Object:
		for i := range x.Len() {
			_, e := x.At(i)
			if same(plain(s, e, depth-1), e) {
				continue
			}
			out := value.NewObject(x.Len())
			for j := range x.Len() {
				k, e := x.At(j)
				out.Set(k, plain(s, e, depth-1))
			}
			return out
		}
	}
	return v
}

// same reports whether plain gave back what it got.
func same(a, b any) bool {
	switch x := b.(type) {
	case float64:
		_, stays := a.(float64)
		return stays
	case []any:
		y, ok := a.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
	case *value.Object:
		return a == b
	}
	return true
}

func number(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return leave()
	}
	if f == math.Trunc(f) && math.Abs(f) <= 1<<53 {
		return int64(f)
	}
	return f
}

func isUndef(v any) bool { _, ok := v.(undef); return ok }

// compileNative compiles the syntax tree, or gives nil.
func compileNative(ast any) *native {
	n := compileNode(ast, 0)
	if n == nil {
		return nil
	}
	return &native{n}
}

const nativeDepth = 60

// known are the members that a node of each type may have.
var known = map[string]string{
	"path": " type steps ", "variable": " type value position predicate ", "name": " type value position ",
	"string": " type value position ", "number": " type value position ", "value": " type value position ",
	"binary": " type value position lhs rhs ", "condition": " type value position condition then else ",
	"block": " type position expressions predicate ", "unary": " type value position expression expressions lhs ",
	"function": " type value position name procedure arguments predicate tail ", "apply": " type value position lhs rhs ",
	"bind": " type value position lhs rhs ", "lambda": " type position arguments body thunk ",
}

// hasOnly reports whether a node has none but the members known of its type,
// and those named besides.
func hasOnly(o *value.Object, typ, besides string) bool {
	for _, k := range o.Keys() {
		if !strings.Contains(known[typ]+besides, " "+k+" ") {
			return false
		}
	}
	return true
}

func member(o *value.Object, name string) any { v, _ := o.Get(name); return v }

func text(o *value.Object, name string) string { s, _ := member(o, name).(string); return s }

func compileNode(ast any, depth int) node { return compileStep(ast, depth, "") }

// compileStep compiles a node that may have the members besides too, which the
// caller sees to.
func compileStep(ast any, depth int, besides string) node {
	o, ok := ast.(*value.Object)
	if !ok || depth > nativeDepth {
		return nil
	}
	typ := text(o, "type")
	if !hasOnly(o, typ, besides) {
		return nil
	}
	n := compileType(o, typ, depth)
	if n == nil || !o.Has("predicate") {
		return n
	}
	fs, ok := compileFilters(o, "predicate", depth)
	if !ok {
		return nil
	}
	return func(s *scope, ctx any) any {
		v := n(s, ctx)
		for _, f := range fs {
			v = f.apply(s, v)
		}
		return collapse(v.([]any))
	}
}

// collapse makes of a sequence what the language makes of it.
func collapse(seq []any) any {
	switch len(seq) {
	case 0:
		return undef{}
	case 1:
		return seq[0]
	}
	return seq
}

func compileType(o *value.Object, typ string, depth int) node {
	switch typ {
	case "string", "value", "number":
		lit := member(o, "value")
		return func(*scope, any) any { return lit }
	case "variable":
		return compileVariable(text(o, "value"))
	case "path":
		return compilePath(member(o, "steps"), depth)
	case "binary":
		return binary(text(o, "value"), compileNode(member(o, "lhs"), depth+1), compileNode(member(o, "rhs"), depth+1))
	case "condition":
		return condition(compileNode(member(o, "condition"), depth+1), compileNode(member(o, "then"), depth+1), member(o, "else"), depth)
	case "block":
		return compileBlock(o, depth)
	case "unary":
		return compileUnary(o, depth)
	case "function":
		return compileCall(o, nil, depth)
	case "apply":
		if rhs, ok := member(o, "rhs").(*value.Object); ok && text(rhs, "type") == "function" && hasOnly(rhs, "function", "") && !rhs.Has("predicate") {
			return compileCall(rhs, member(o, "lhs"), depth+1)
		}
	}
	return nil
}

func compileVariable(name string) node {
	switch name {
	case "$":
		return func(s *scope, _ any) any { return s.input }
	case "":
		return func(_ *scope, ctx any) any { return ctx }
	}
	return func(s *scope, _ any) any {
		v, ok := s.get(name)
		if !ok {
			return leave() // it may be a built-in function
		}
		return v
	}
}

// compileBlock compiles expressions one after another; a variable may be bound
// by each, for those that follow.
func compileBlock(o *value.Object, depth int) node {
	list, _ := member(o, "expressions").([]any)
	nodes, names := make([]node, len(list)), make([]string, len(list))
	binds := false
	for i, e := range list {
		eo, ok := e.(*value.Object)
		if !ok {
			return nil
		}
		if text(eo, "type") == "bind" {
			lhs, ok := member(eo, "lhs").(*value.Object)
			if !ok || !hasOnly(eo, "bind", "") || text(lhs, "type") != "variable" || !hasOnly(lhs, "variable", "") || text(lhs, "value") == "" {
				return nil
			}
			names[i], binds = text(lhs, "value"), true
			e = member(eo, "rhs")
		}
		if nodes[i] = compileNode(e, depth+1); nodes[i] == nil {
			return nil
		}
	}
	switch {
	case len(nodes) == 0:
		return nil
	case len(nodes) == 1 && !binds:
		return nodes[0]
	}
	return func(s *scope, ctx any) any {
		in := s.inner(len(nodes))
		var v any
		for i, n := range nodes {
			v = n(in, ctx)
			if names[i] != "" {
				in.bindings = append(in.bindings, Binding{names[i], v})
			}
		}
		return v
	}
}

func condition(test, then node, elseAST any, depth int) node {
	var otherwise node
	if elseAST != nil {
		if otherwise = compileNode(elseAST, depth+1); otherwise == nil {
			return nil
		}
	}
	if test == nil || then == nil {
		return nil
	}
	return func(s *scope, ctx any) any {
		if truth(test(s, ctx)) {
			return then(s, ctx)
		}
		if otherwise == nil {
			return undef{}
		}
		return otherwise(s, ctx)
	}
}

// compilePath compiles steps: names, and expressions for each value so far.
func compilePath(v any, depth int) node {
	steps, _ := v.([]any)
	if len(steps) == 0 {
		return nil
	}
	type step struct {
		name    string
		block   node
		filters []filter
	}
	var first node
	variable := false
	var rest []step
	for i, raw := range steps {
		o, ok := raw.(*value.Object)
		if !ok {
			return nil
		}
		var fs []filter
		if o.Has("stages") {
			if fs, ok = compileFilters(o, "stages", depth); !ok {
				return nil
			}
		}
		if text(o, "type") == "name" {
			if !hasOnly(o, "name", "stages ") {
				return nil
			}
			rest = append(rest, step{name: text(o, "value"), filters: fs})
			continue
		}
		n := compileStep(o, depth+1, "stages ")
		if n == nil {
			return nil
		}
		if i == 0 && fs != nil {
			return nil
		}
		if i == 0 {
			first, variable = n, text(o, "type") == "variable"
			continue
		}
		rest = append(rest, step{block: n, filters: fs})
	}
	return func(s *scope, ctx any) any {
		start := ctx
		if _, isList := ctx.([]any); isList && !variable && first != nil {
			return leave() // each element is a context
		}
		if first != nil {
			start = first(s, ctx)
		}
		if isUndef(start) {
			return undef{}
		}
		// The common case: names through objects alone.
		v, i := start, 0
		for i < len(rest) && rest[i].block == nil && rest[i].filters == nil {
			o, ok := v.(*value.Object)
			if !ok {
				break
			}
			next, has := o.Get(rest[i].name)
			if !has {
				return undef{}
			}
			v = next
			i++
		}
		if i == len(rest) {
			return v
		}
		seq := []any{v}
		if a, ok := v.([]any); ok {
			seq = a
		}
		for ; i < len(rest); i++ {
			st := rest[i]
			var found []any
			s.charge(len(seq))
			for _, e := range seq {
				var r any = undef{}
				if st.block != nil {
					r = st.block(s, e)
				} else {
					switch x := e.(type) {
					case *value.Object:
						if m, ok := x.Get(st.name); ok {
							r = m
						}
					case []any:
						leave()
					}
				}
				for _, f := range st.filters {
					r = f.apply(s, r)
				}
				if !isUndef(r) {
					found = append(found, r)
				}
			}
			if i == len(rest)-1 && len(found) == 1 && st.filters == nil {
				return found[0]
			}
			seq = seq[:0:0]
			for _, r := range found {
				if a, ok := r.([]any); ok {
					s.charge(len(a))
					seq = append(seq, a...)
				} else {
					seq = append(seq, r)
				}
			}
			if len(seq) == 0 {
				return undef{}
			}
		}
		return collapse(seq)
	}
}

// filter is a predicate of a step: a fixed index, or a test of each value.
type filter struct {
	test  node
	index float64
	fixed bool
}

func compileFilters(o *value.Object, field string, depth int) ([]filter, bool) {
	list, _ := member(o, field).([]any)
	var out []filter
	for _, e := range list {
		so, ok := e.(*value.Object)
		if !ok {
			return nil, false
		}
		t, _ := so.Get("type")
		x, _ := so.Get("expr")
		xo, isObject := x.(*value.Object)
		n := compileNode(x, depth+1)
		if t != "filter" || !isObject || n == nil {
			return nil, false
		}
		f := filter{test: n}
		if xt, _ := xo.Get("type"); xt == "number" {
			v, _ := xo.Get("value")
			f.index, f.fixed = value.Float(v)
			f.index = math.Floor(f.index)
		}
		out = append(out, f)
	}
	return out, len(out) > 0
}

// apply gives the list of what passes, to be flattened into the path's values.
func (f filter) apply(s *scope, v any) any {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
		if isUndef(v) {
			if !f.fixed {
				return leave()
			}
			list = nil
		}
	}
	out := []any{}
	if f.fixed {
		i := f.index
		if i < 0 {
			i += float64(len(list))
		}
		if i >= 0 && i < float64(len(list)) {
			if _, nested := list[int(i)].([]any); nested {
				return leave()
			}
			out = append(out, list[int(i)])
		}
		return out
	}
	s.charge(len(list))
	for _, e := range list {
		if _, nested := e.([]any); nested {
			return leave()
		}
		switch r := f.test(s, e).(type) {
		case int64, float64, []any:
			return leave() // computed indexes
		default:
			if truth(r) {
				out = append(out, e)
			}
		}
	}
	return out
}
