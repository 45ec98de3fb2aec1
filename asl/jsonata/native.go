package jsonata

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

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

// truth is JSONata's cast to boolean, undefined being false.
func truth(v any) bool {
	switch x := v.(type) {
	case bool:
		return x
	case string:
		return x != ""
	case int64:
		return x != 0
	case float64:
		return x != 0
	case []any:
		for _, e := range x {
			if truth(e) {
				return true
			}
		}
	case *value.Object:
		return x.Len() > 0
	case value.Big:
		leave()
	}
	return false
}

func float(v any) float64 {
	switch x := v.(type) {
	case int64:
		return float64(x)
	case float64:
		return x
	}
	leave()
	return 0
}

func binary(op string, l, r node) node {
	if l == nil || r == nil {
		return nil
	}
	switch op {
	case "and":
		return func(s *scope, ctx any) any { return truth(l(s, ctx)) && truth(r(s, ctx)) }
	case "or":
		return func(s *scope, ctx any) any { return truth(l(s, ctx)) || truth(r(s, ctx)) }
	}
	apply := operators[op]
	if apply == nil {
		return nil
	}
	return func(s *scope, ctx any) any { return apply(l(s, ctx), r(s, ctx)) }
}

var operators = map[string]func(a, b any) any{
	"=":  func(a, b any) any { return !isUndef(a) && !isUndef(b) && equal(a, b) },
	"!=": func(a, b any) any { return !isUndef(a) && !isUndef(b) && !equal(a, b) },
	"<":  func(a, b any) any { return order(a, b, func(c int) bool { return c < 0 }) },
	"<=": func(a, b any) any { return order(a, b, func(c int) bool { return c <= 0 }) },
	">":  func(a, b any) any { return order(a, b, func(c int) bool { return c > 0 }) },
	">=": func(a, b any) any { return order(a, b, func(c int) bool { return c >= 0 }) },
	"+":  func(a, b any) any { return arithmetic(a, b, func(x, y float64) float64 { return x + y }) },
	"-":  func(a, b any) any { return arithmetic(a, b, func(x, y float64) float64 { return x - y }) },
	"*":  func(a, b any) any { return arithmetic(a, b, func(x, y float64) float64 { return x * y }) },
	"/":  func(a, b any) any { return arithmetic(a, b, func(x, y float64) float64 { return x / y }) },
	"%":  func(a, b any) any { return arithmetic(a, b, math.Mod) },
	"&":  func(a, b any) any { return str(a) + str(b) },
	"in": func(a, b any) any {
		if isUndef(a) || isUndef(b) {
			return false
		}
		switch a.(type) {
		case []any, *value.Object:
			return leave() // found by identity, not by value
		}
		list, ok := b.([]any)
		if !ok {
			list = []any{b}
		}
		for _, e := range list {
			if equal(a, e) {
				return true
			}
		}
		return false
	},
}

// equal leaves numbers that JavaScript would round to the reference.
func equal(a, b any) bool { return value.Equal(plain(a, nativeDepth), plain(b, nativeDepth)) }

func order(a, b any, want func(int) bool) any {
	for _, v := range []any{a, b} {
		switch v.(type) {
		case undef, string, int64, float64:
		default:
			return leave()
		}
	}
	if isUndef(a) || isUndef(b) {
		return undef{}
	}
	x, text := a.(string)
	if y, both := b.(string); text && both {
		if !ascii(x) || !ascii(y) {
			return leave() // JavaScript compares UTF-16
		}
		return want(strings.Compare(x, y))
	}
	if f, g := float(a), float(b); f < g {
		return want(-1)
	} else if f > g {
		return want(1)
	}
	return want(0)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func arithmetic(a, b any, f func(x, y float64) float64) any {
	for _, v := range []any{a, b} {
		switch v.(type) {
		case undef, int64, float64:
		default:
			return leave()
		}
	}
	if isUndef(a) || isUndef(b) {
		return undef{}
	}
	return number(f(float(plain(a, 1)), float(plain(b, 1))))
}

// str is what & makes of a value.
func str(v any) string {
	switch x := v.(type) {
	case undef:
		return ""
	case string:
		return x
	case bool:
		return strconv.FormatBool(x)
	case nil:
		return "null"
	case int64:
		if x < 1e15 && x > -1e15 {
			return strconv.FormatInt(x, 10)
		}
	}
	leave()
	return ""
}

func compileUnary(o *value.Object, depth int) node {
	op, _ := o.Get("value")
	switch op {
	case "-":
		e, _ := o.Get("expression")
		n := compileNode(e, depth+1)
		if n == nil {
			return nil
		}
		return func(s *scope, ctx any) any {
			v := n(s, ctx)
			if isUndef(v) {
				return v
			}
			return number(-float(plain(v, 1)))
		}
	case "[":
		return compileArray(o, depth)
	case "{":
		return compileObject(o, depth)
	}
	return nil
}

func compileArray(o *value.Object, depth int) node {
	raw, _ := o.Get("expressions")
	list, _ := raw.([]any)
	nodes := make([]node, len(list))
	nested := make([]bool, len(list))
	for i, e := range list {
		if nodes[i] = compileNode(e, depth+1); nodes[i] == nil {
			return nil
		}
		v, _ := e.(*value.Object).Get("value")
		nested[i] = v == "["
	}
	return func(s *scope, ctx any) any {
		out := []any{}
		for i, n := range nodes {
			v := n(s, ctx)
			a, isArray := v.([]any)
			switch {
			case isUndef(v):
			case isArray && !nested[i]:
				out = append(out, a...)
			default:
				out = append(out, v)
			}
		}
		return out
	}
}

func compileObject(o *value.Object, depth int) node {
	raw, _ := o.Get("lhs")
	pairs, _ := raw.([]any)
	keys := make([]string, len(pairs))
	nodes := make([]node, len(pairs))
	seen := map[string]bool{}
	for i, p := range pairs {
		kv, _ := p.([]any)
		if len(kv) != 2 {
			return nil
		}
		ko, ok := kv[0].(*value.Object)
		if !ok {
			return nil
		}
		t, _ := ko.Get("type")
		k, _ := ko.Get("value")
		text, isText := k.(string)
		if t != "string" || !isText || seen[text] || strings.HasPrefix(text, "_") {
			return nil
		}
		seen[text] = true
		keys[i] = text
		if nodes[i] = compileNode(kv[1], depth+1); nodes[i] == nil {
			return nil
		}
	}
	return func(s *scope, ctx any) any {
		if _, isArray := ctx.([]any); isArray {
			return leave()
		}
		out := value.NewObject(len(keys))
		for i, n := range nodes {
			if v := n(s, ctx); !isUndef(v) {
				out.Set(keys[i], v)
			}
		}
		return out
	}
}

func compileCall(o *value.Object, depth int) node {
	p, _ := o.Get("procedure")
	po, ok := p.(*value.Object)
	if !ok {
		return nil
	}
	t, _ := po.Get("type")
	v, _ := po.Get("value")
	name, _ := v.(string)
	raw, _ := o.Get("arguments")
	list, _ := raw.([]any)
	f, known := functions[name]
	if t != "variable" || !known || len(list) != f.args {
		return nil
	}
	nodes := make([]node, len(list))
	for i, a := range list {
		if nodes[i] = compileNode(a, depth+1); nodes[i] == nil {
			return nil
		}
	}
	return func(s *scope, ctx any) any {
		if _, shadowed := s.get(name); shadowed {
			return leave()
		}
		args := make([]any, len(nodes))
		for i, n := range nodes {
			args[i] = n(s, ctx)
		}
		return f.run(args)
	}
}

type function struct {
	args int
	run  func(args []any) any
}

// text runs a function of one text; undefined gives undefined.
func textFunction(f func(string) any) function {
	return function{1, func(a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		s, ok := a[0].(string)
		if !ok {
			return leave()
		}
		return f(s)
	}}
}

var functions = map[string]function{
	"exists": {1, func(a []any) any { return !isUndef(a[0]) }},
	"not": {1, func(a []any) any {
		if isUndef(a[0]) {
			return leave()
		}
		return !truth(a[0])
	}},
	"count": {1, func(a []any) any {
		switch x := a[0].(type) {
		case undef:
			return int64(0)
		case []any:
			return int64(len(x))
		}
		return int64(1)
	}},
	"sum": {1, func(a []any) any {
		list, ok := a[0].([]any)
		if !ok {
			return leave()
		}
		total := 0.0
		for _, e := range list {
			total += float(plain(e, 1))
		}
		return number(total)
	}},
	"uppercase": textFunction(func(s string) any {
		if !ascii(s) {
			return leave()
		}
		return strings.ToUpper(s)
	}),
	"lowercase": textFunction(func(s string) any {
		if !ascii(s) {
			return leave()
		}
		return strings.ToLower(s)
	}),
	"length": textFunction(func(s string) any { return int64(utf8.RuneCountInString(s)) }),
	"string": {1, func(a []any) any {
		switch a[0].(type) {
		case string, int64, bool:
			return str(a[0])
		}
		return leave()
	}},
	"contains": {2, func(a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		s, ok1 := a[0].(string)
		t, ok2 := a[1].(string)
		if !ok1 || !ok2 {
			return leave()
		}
		return strings.Contains(s, t)
	}},
}
