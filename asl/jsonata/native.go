package jsonata

import (
	"regexp"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// nativeExpr is an expression so simple that Go evaluates it: a variable and
// the names of members below it. done is false where the data needs the
// reference implementation after all (an array on the way is mapped over).
type nativeExpr interface {
	eval(bindings []Binding) (v any, ok, done bool)
}

var plainPath = regexp.MustCompile(`^\s*\$([A-Za-z_][A-Za-z0-9_]*)((?:\.[A-Za-z_][A-Za-z0-9_]*)*)\s*$`)

// reserved are words that are operators in a path's place.
var reserved = map[string]bool{"and": true, "or": true, "in": true, "true": true, "false": true, "null": true, "function": true}

type pathExpr struct {
	variable string
	names    []string
}

func compileNative(source string) nativeExpr {
	m := plainPath.FindStringSubmatch(source)
	if m == nil {
		return nil
	}
	p := pathExpr{variable: m[1]}
	if m[2] != "" {
		p.names = strings.Split(m[2][1:], ".")
	}
	for _, n := range p.names {
		if reserved[n] {
			return nil
		}
	}
	return p
}

func (p pathExpr) eval(bindings []Binding) (any, bool, bool) {
	for i := len(bindings) - 1; i >= 0; i-- {
		if bindings[i].Name != p.variable {
			continue
		}
		v := bindings[i].Value
		if _, missing := v.(Undefined); missing {
			return nil, false, true
		}
		for _, n := range p.names {
			o, ok := v.(*value.Object)
			if !ok {
				if _, isArray := v.([]any); isArray {
					return nil, false, false
				}
				return nil, false, true
			}
			if v, ok = o.Get(n); !ok {
				return nil, false, true
			}
		}
		if len(p.names) > 0 {
			// A path's array result of one or no element is unwrapped or
			// nothing unless it was written so in the data: leave it to the
			// reference.
			if a, isArray := v.([]any); isArray && len(a) < 2 {
				return nil, false, false
			}
		}
		if hasBig(v, 0) {
			return nil, false, false
		}
		return v, true, true
	}
	// A name that is not bound may be a built-in function.
	return nil, false, false
}

// hasBig reports whether a value holds a number that JavaScript would write
// otherwise, or is too large to look through cheaply.
func hasBig(v any, depth int) bool {
	if depth > 64 {
		return true
	}
	switch x := v.(type) {
	case value.Big:
		return true
	case int64:
		return x > 1<<53 || x < -(1<<53)
	case float64:
		return true
	case []any:
		for _, e := range x {
			if hasBig(e, depth+1) {
				return true
			}
		}
	case *value.Object:
		for i := range x.Len() {
			if _, e := x.At(i); hasBig(e, depth+1) {
				return true
			}
		}
	}
	return false
}
