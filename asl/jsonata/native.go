package jsonata

import (
	"math"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// native is an expression that Go evaluates itself, made from the reference
// implementation's own syntax tree: paths of names, literals, comparison,
// arithmetic, and, or, &, ? :, constructors and a few functions. Whatever it
// does not know for certain it leaves to the reference: eval then says that it
// is not done. A test holds the two against each other.
type native struct{ root node }

// undef is JSONata's undefined; notDone asks for the reference.
type (
	undef   struct{}
	notDone struct{}
)

type scope struct{ bindings []Binding }

func (s *scope) get(name string) (any, bool) {
	for i := len(s.bindings) - 1; i >= 0; i-- {
		if s.bindings[i].Name == name {
			if _, gone := s.bindings[i].Value.(Undefined); gone {
				return undef{}, true
			}
			return s.bindings[i].Value, true
		}
	}
	return nil, false
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
	out := n.root(&scope{bindings}, input)
	if _, missing := out.(undef); missing {
		return nil, false, true
	}
	return plain(out, limit), true, true
}

func leave() any { panic(notDone{}) }

// plain writes numbers as JavaScript has them: 2.0 is 2.
func plain(v any, depth int) any {
	if depth == 0 {
		leave()
	}
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
			p := plain(e, depth-1)
			if same(p, e) {
				continue
			}
			out := append([]any(nil), x...)
			for j := i; j < len(x); j++ {
				out[j] = plain(x[j], depth-1)
			}
			return out
		}
	case *value.Object:
		for i := range x.Len() {
			_, e := x.At(i)
			if same(plain(e, depth-1), e) {
				continue
			}
			out := value.NewObject(x.Len())
			for j := range x.Len() {
				k, e := x.At(j)
				out.Set(k, plain(e, depth-1))
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
	"path": " type steps ", "variable": " type value position ", "name": " type value position ",
	"string": " type value position ", "number": " type value position ", "value": " type value position ",
	"binary": " type value position lhs rhs ", "condition": " type position condition then else ",
	"block": " type position expressions ", "unary": " type value position expression expressions lhs ",
	"function": " type value position name procedure arguments ",
}

func compileNode(ast any, depth int) node {
	o, ok := ast.(*value.Object)
	if !ok || depth > nativeDepth {
		return nil
	}
	get := func(k string) any { v, _ := o.Get(k); return v }
	typ, _ := get("type").(string)
	for _, k := range o.Keys() {
		if !strings.Contains(known[typ], " "+k+" ") {
			return nil
		}
	}
	switch typ {
	case "string", "value", "number":
		lit := get("value")
		return func(*scope, any) any { return lit }
	case "variable":
		name, _ := get("value").(string)
		if name == "" || name == "$" {
			return nil
		}
		return func(s *scope, _ any) any {
			v, ok := s.get(name)
			if !ok {
				return leave() // it may be a built-in function
			}
			return v
		}
	case "path":
		return compilePath(get("steps"), depth)
	case "binary":
		op, _ := get("value").(string)
		return binary(op, compileNode(get("lhs"), depth+1), compileNode(get("rhs"), depth+1))
	case "condition":
		return condition(compileNode(get("condition"), depth+1), compileNode(get("then"), depth+1), get("else"), depth)
	case "block":
		list, _ := get("expressions").([]any)
		if len(list) != 1 {
			return nil
		}
		return compileNode(list[0], depth+1)
	case "unary":
		return compileUnary(o, depth)
	case "function":
		return compileCall(o, depth)
	}
	return nil
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

// compilePath compiles steps: a variable or name, then names and blocks.
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
	var rest []step
	for i, raw := range steps {
		o, ok := raw.(*value.Object)
		if !ok {
			return nil
		}
		t, _ := o.Get("type")
		name, _ := o.Get("value")
		switch {
		case i == 0 && t == "variable":
			if first = compileNode(o, depth+1); first == nil {
				return nil
			}
		case t == "name":
			for _, k := range o.Keys() {
				if !strings.Contains(known["name"]+"stages ", " "+k+" ") {
					return nil
				}
			}
			text, _ := name.(string)
			fs, ok := compileFilters(o, depth)
			if !ok {
				return nil
			}
			rest = append(rest, step{name: text, filters: fs})
		case t == "block" && i > 0:
			b := compileNode(o, depth+1)
			if b == nil {
				return nil
			}
			rest = append(rest, step{block: b})
		default:
			return nil
		}
	}
	return func(s *scope, ctx any) any {
		start := ctx
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
					seq = append(seq, a...)
				} else {
					seq = append(seq, r)
				}
			}
			if len(seq) == 0 {
				return undef{}
			}
		}
		if len(seq) == 1 {
			return seq[0]
		}
		return seq
	}
}

// filter is a predicate of a step: a fixed index, or a test of each value.
type filter struct {
	test  node
	index float64
	fixed bool
}

func compileFilters(o *value.Object, depth int) ([]filter, bool) {
	raw, ok := o.Get("stages")
	if !ok {
		return nil, true
	}
	list, _ := raw.([]any)
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
