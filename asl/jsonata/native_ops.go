package jsonata

import (
	"math"
	"strings"

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
	return func(s *scope, ctx any) any { return apply(s, l(s, ctx), r(s, ctx)) }
}

var operators = map[string]func(s *scope, a, b any) any{
	"=":  func(s *scope, a, b any) any { return !isUndef(a) && !isUndef(b) && equal(s, a, b) },
	"!=": func(s *scope, a, b any) any { return !isUndef(a) && !isUndef(b) && !equal(s, a, b) },
	"<":  func(s *scope, a, b any) any { return order(a, b, func(c int) bool { return c < 0 }) },
	"<=": func(s *scope, a, b any) any { return order(a, b, func(c int) bool { return c <= 0 }) },
	">":  func(s *scope, a, b any) any { return order(a, b, func(c int) bool { return c > 0 }) },
	">=": func(s *scope, a, b any) any { return order(a, b, func(c int) bool { return c >= 0 }) },
	"+":  func(s *scope, a, b any) any { return arithmetic(s, a, b, func(x, y float64) float64 { return x + y }) },
	"-":  func(s *scope, a, b any) any { return arithmetic(s, a, b, func(x, y float64) float64 { return x - y }) },
	"*":  func(s *scope, a, b any) any { return arithmetic(s, a, b, func(x, y float64) float64 { return x * y }) },
	"/":  func(s *scope, a, b any) any { return arithmetic(s, a, b, func(x, y float64) float64 { return x / y }) },
	"%":  func(s *scope, a, b any) any { return arithmetic(s, a, b, math.Mod) },
	"&":  concat,
	"..": span,
	"in": func(s *scope, a, b any) any {
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
		s.charge(len(list))
		for _, e := range list {
			if equal(s, a, e) {
				return true
			}
		}
		return false
	},
}

// equal leaves numbers that JavaScript would round to the reference.
func equal(s *scope, a, b any) bool {
	_, listA := a.([]any)
	_, listB := b.([]any)
	_, objectA := a.(*value.Object)
	_, objectB := b.(*value.Object)
	if listA && objectB || objectA && listB {
		leave()
	}
	return value.Equal(plain(s, a, nativeDepth), plain(s, b, nativeDepth))
}

// span is the range operator.
func span(s *scope, a, b any) any {
	for _, v := range []any{a, b} {
		if _, isInt := plain(s, v, 1).(int64); !isInt && !isUndef(v) {
			return leave()
		}
	}
	if isUndef(a) || isUndef(b) {
		return undef{}
	}
	from, to := int64(float(a)), int64(float(b))
	if from > to {
		return undef{}
	}
	if to-from >= 10_000 {
		return leave() // there may be a bound on it
	}
	s.charge(int(to - from))
	out := make([]any, 0, to-from+1)
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return collapse(out)
}

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

func arithmetic(s *scope, a, b any, f func(x, y float64) float64) any {
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
	return number(f(float(plain(s, a, 1)), float(plain(s, b, 1))))
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
			return number(-float(plain(s, v, 1)))
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
				s.charge(len(a))
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
