// Package value holds JSON values that keep the order of their members and the
// difference between 1 and 1.0, as the States Language engine needs them.
//
// A value is one of nil, bool, int64, float64, [Big], string, []any or *[Object].
// [Parse] reads one, [Append] writes one, [Equal] compares two.
//
// # Caveats
//
// Values are treated as immutable once built: whoever changes one copies it
// first ([Object.Clone]). Parse refuses input nested deeper than [MaxDepth].
package value

import (
	"math"
	"math/big"
	"strconv"
)

// MaxDepth is the deepest nesting that Parse accepts.
const MaxDepth = 1000

// Big is an integer literal that does not fit an int64, kept as written.
type Big string

// Object is a JSON object whose members keep their order.
type Object struct {
	keys []string
	vals []any
	idx  map[string]int // built when the object outgrows a linear search
}

const linear = 12

// NewObject returns an empty object with room for n members.
func NewObject(n int) *Object {
	return &Object{keys: make([]string, 0, n), vals: make([]any, 0, n)}
}

// Obj builds an object from alternating keys and values.
func Obj(pairs ...any) *Object {
	o := NewObject(len(pairs) / 2)
	for i := 0; i+1 < len(pairs); i += 2 {
		o.Set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// Len returns the number of members.
func (o *Object) Len() int { return len(o.keys) }

// At returns the member at position i.
func (o *Object) At(i int) (string, any) { return o.keys[i], o.vals[i] }

// Keys returns the names of the members in order. The slice must not be changed.
func (o *Object) Keys() []string { return o.keys }

func (o *Object) find(key string) int {
	if o.idx != nil {
		if i, ok := o.idx[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range o.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// Get returns the member with the given name.
func (o *Object) Get(key string) (any, bool) {
	if i := o.find(key); i >= 0 {
		return o.vals[i], true
	}
	return nil, false
}

// Has reports whether the object has a member with the given name.
func (o *Object) Has(key string) bool { return o.find(key) >= 0 }

// Set adds a member, or replaces its value in place.
func (o *Object) Set(key string, v any) {
	if i := o.find(key); i >= 0 {
		o.vals[i] = v
		return
	}
	o.keys = append(o.keys, key)
	o.vals = append(o.vals, v)
	switch {
	case o.idx != nil:
		o.idx[key] = len(o.keys) - 1
	case len(o.keys) > linear:
		o.idx = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.idx[k] = i
		}
	}
}

// Clone returns a shallow copy.
func (o *Object) Clone() *Object {
	c := NewObject(len(o.keys) + 1)
	for i, k := range o.keys {
		c.Set(k, o.vals[i])
	}
	return c
}

// Float returns the number as a float64, and false for what is no number.
func Float(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	case Big:
		f, _ := strconv.ParseFloat(string(n), 64)
		return f, true
	}
	return 0, false
}

// Int returns the number as an integer if it is one (3 and 3.0 are), and false
// for anything else.
func Int(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<63 {
			return int64(n), true
		}
	}
	return 0, false
}

// Equal reports whether two values are the same JSON value: numbers by value,
// objects without regard to order.
func Equal(a, b any) bool {
	switch x := a.(type) {
	case nil:
		return b == nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y
	case string:
		y, ok := b.(string)
		return ok && x == y
	case int64:
		if y, ok := b.(int64); ok {
			return x == y
		}
		return equalNumbers(a, b)
	case float64, Big:
		return equalNumbers(a, b)
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case *Object:
		y, ok := b.(*Object)
		if !ok || x.Len() != y.Len() {
			return false
		}
		for i, k := range x.keys {
			v, ok := y.Get(k)
			if !ok || !Equal(x.vals[i], v) {
				return false
			}
		}
		return true
	}
	return false
}

func equalNumbers(a, b any) bool {
	x, ok1 := rat(a)
	y, ok2 := rat(b)
	return ok1 && ok2 && x.Cmp(y) == 0
}

func rat(v any) (*big.Rat, bool) {
	switch n := v.(type) {
	case int64:
		return new(big.Rat).SetInt64(n), true
	case float64:
		r := new(big.Rat).SetFloat64(n)
		return r, r != nil
	case Big:
		if len(n) > 400 {
			return nil, false
		}
		return new(big.Rat).SetString(string(n))
	}
	return nil, false
}

// Compare orders two numbers: -1, 0, 1; false if either is no number.
func Compare(a, b any) (int, bool) {
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			switch {
			case x < y:
				return -1, true
			case x > y:
				return 1, true
			}
			return 0, true
		}
	}
	x, ok1 := rat(a)
	y, ok2 := rat(b)
	if !ok1 || !ok2 {
		return 0, false
	}
	return x.Cmp(y), true
}

// TypeName returns the JSON name of a value's type: null, boolean, number, string,
// array or object.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case *Object:
		return "object"
	}
	return "number"
}
