package jsonata

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/asl/value"
)

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
