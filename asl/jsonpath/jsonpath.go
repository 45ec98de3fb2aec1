// Package jsonpath compiles and evaluates the paths of the Amazon States
// Language: reference paths, and the wider JSONPath with wildcards, slices,
// deep scan and filters that Step Functions takes where a value is read.
//
// [Compile] makes a [Path]; [Path.Get] reads with it; [Path.Set] writes where a
// ResultPath points.
//
// https://docs.aws.amazon.com/step-functions/latest/dg/amazon-states-language-paths.html
//
// # Caveats
//
// Functions such as length() are not supported, as on AWS. Evaluation stops
// with [ErrTooLarge] after a million visited values, so that a deep scan over
// hostile data ends. A compiled path is immutable and safe for concurrent use.
package jsonpath

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// ErrTooLarge is returned when an evaluation visits too many values.
var ErrTooLarge = errors.New("the path visits too many values")

// NotFoundError says that a path leads nowhere, in the words Step Functions uses.
type NotFoundError struct{ Msg string }

func (e *NotFoundError) Error() string { return e.Msg }

const (
	maxLength = 4096
	maxTokens = 256
	maxNested = 32
	maxVisits = 1_000_000
)

type kind uint8

const (
	property kind = iota
	properties
	index
	indexes
	slice
	wildcard
	filter
)

type token struct {
	kind  kind
	deep  bool // preceded by ..
	name  string
	names []string
	nums  []int
	from  int
	to    int
	hasTo bool
	hasFr bool
	pred  predicate
}

// Path is a compiled path.
type Path struct {
	source   string
	variable string // "" for $, "$" for $$, else a variable's name
	tokens   []token
	definite bool
}

// String returns the path as it was written.
func (p *Path) String() string { return p.source }

// Root returns what the path starts from: "$" the input, "$$" the context
// object, "$name" a variable.
func (p *Path) Root() string { return "$" + p.variable }

// Variable returns the name of the variable that the path starts from, or "".
func (p *Path) Variable() string {
	if p.variable == "$" {
		return ""
	}
	return p.variable
}

// Context reports whether the path starts from the context object ($$).
func (p *Path) Context() bool { return p.variable == "$" }

// Definite reports whether the path names at most one place.
func (p *Path) Definite() bool { return p.definite }

// Reference reports whether the path is a reference path: members and
// non-negative indexes only.
func (p *Path) Reference() bool {
	for _, t := range p.tokens {
		if t.deep || t.kind != property && (t.kind != index || t.nums[0] < 0) {
			return false
		}
	}
	return true
}

// Whole reports whether the path is its root alone.
func (p *Path) Whole() bool { return len(p.tokens) == 0 }

// normal writes the first n tokens in bracket notation, as error messages show them.
func (p *Path) normal(n int) string {
	var b strings.Builder
	b.WriteByte('$')
	for i := range n {
		t := &p.tokens[i]
		if t.deep {
			b.WriteString("..")
		}
		b.WriteString(t.fragment())
	}
	return b.String()
}

func (t *token) fragment() string {
	switch t.kind {
	case property:
		return "['" + t.name + "']"
	case properties:
		return "['" + strings.Join(t.names, "', '") + "']"
	case index, indexes:
		parts := make([]string, len(t.nums))
		for i, n := range t.nums {
			parts[i] = strconv.Itoa(n)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case slice:
		s := ":"
		if t.hasFr {
			s = strconv.Itoa(t.from) + s
		}
		if t.hasTo {
			s += strconv.Itoa(t.to)
		}
		return "[" + s + "]"
	case wildcard:
		return "[*]"
	}
	return "[?]"
}

type run struct {
	root   any
	visits int
}

func (r *run) visit() error {
	if r.visits++; r.visits > maxVisits {
		return ErrTooLarge
	}
	return nil
}

// Get evaluates the path over root. A definite path gives the value it names,
// or a [NotFoundError]; any other gives the array of all values it finds.
func (p *Path) Get(root any) (any, error) {
	return p.get(&run{root: root}, root)
}

func (p *Path) get(r *run, root any) (any, error) {
	if p.definite {
		return p.walk(root)
	}
	out := []any{}
	err := p.find(r, root, 0, true, func(v any) { out = append(out, v) })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// walk follows a definite path without allocating.
func (p *Path) walk(v any) (any, error) {
	for i := range p.tokens {
		next, err := p.step(&p.tokens[i], i, v)
		if err != nil {
			return nil, err
		}
		v = next
	}
	return v, nil
}

func (p *Path) step(t *token, i int, v any) (any, error) {
	last := i == len(p.tokens)-1
	switch t.kind {
	case property:
		o, ok := v.(*value.Object)
		if !ok {
			return nil, &NotFoundError{fmt.Sprintf("Expected to find an object with property %s in path %s but found '%s'. This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'.", t.fragment(), p.normal(i), javaType(v))}
		}
		m, ok := o.Get(t.name)
		if !ok {
			if last {
				return nil, &NotFoundError{"No results for path: " + p.normal(i+1)}
			}
			return nil, &NotFoundError{"Missing property in path " + p.normal(i+1)}
		}
		return m, nil
	case properties:
		if !last {
			return nil, &NotFoundError{"Multi properties can only be used as path leafs: " + p.normal(i+1)}
		}
		o, ok := v.(*value.Object)
		if !ok {
			return nil, &NotFoundError{"No results for path: " + p.normal(i+1)}
		}
		return pick(o, t.names), nil
	default: // index
		a, err := p.array(t, i, v)
		if err != nil {
			return nil, err
		}
		n := t.nums[0]
		if n < 0 {
			n += len(a)
		}
		if n < 0 || n >= len(a) {
			return nil, &NotFoundError{"No results for path: " + p.normal(len(p.tokens))}
		}
		return a[n], nil
	}
}

func (p *Path) array(t *token, i int, v any) ([]any, error) {
	if v == nil {
		return nil, &NotFoundError{"The path " + p.normal(i) + " is null"}
	}
	a, ok := v.([]any)
	if !ok {
		return nil, &NotFoundError{fmt.Sprintf("Filter: %s can only be applied to arrays. Current context is: %s", t.fragment(), value.Java(v))}
	}
	return a, nil
}

func pick(o *value.Object, names []string) *value.Object {
	out := value.NewObject(len(names))
	for _, n := range names {
		if v, ok := o.Get(n); ok {
			out.Set(n, v)
		}
	}
	return out
}

func javaType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "java.lang.Boolean"
	case int64:
		return "java.lang.Integer"
	case float64:
		return "java.lang.Double"
	case string:
		return "java.lang.String"
	case []any:
		return "java.util.ArrayList"
	}
	return "java.util.LinkedHashMap"
}

// find calls emit for every value that the tokens from i on select below v.
// sure says that everything before was definite, so that a wrong type is an error.
func (p *Path) find(r *run, v any, i int, sure bool, emit func(any)) error {
	if err := r.visit(); err != nil {
		return err
	}
	if i == len(p.tokens) {
		emit(v)
		return nil
	}
	t := &p.tokens[i]
	if t.deep {
		return p.deep(r, v, i, emit)
	}
	return p.apply(r, t, v, i, sure, emit)
}

func (p *Path) deep(r *run, v any, i int, emit func(any)) error {
	if err := r.visit(); err != nil {
		return err
	}
	t := &p.tokens[i]
	switch t.kind {
	case filter:
		// Below, each element of an array is offered to the filter once.
		if _, ok := v.([]any); ok {
			if err := p.apply(r, t, v, i, false, emit); err != nil {
				return err
			}
		}
	case property, properties, wildcard, index, indexes, slice:
		if err := p.apply(r, t, v, i, false, emit); err != nil {
			return err
		}
	}
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := p.deep(r, e, i, emit); err != nil {
				return err
			}
		}
	case *value.Object:
		for n := range x.Len() {
			_, e := x.At(n)
			if err := p.deep(r, e, i, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Path) apply(r *run, t *token, v any, i int, sure bool, emit func(any)) error {
	switch t.kind {
	case property:
		o, ok := v.(*value.Object)
		if ok {
			if m, ok := o.Get(t.name); ok {
				return p.find(r, m, i+1, sure, emit)
			}
			if sure && i < len(p.tokens)-1 {
				return &NotFoundError{"Missing property in path " + p.normal(i+1)}
			}
			return nil
		}
		if sure {
			_, err := p.step(t, i, v)
			return err
		}
		return nil
	case properties:
		if o, ok := v.(*value.Object); ok {
			return p.find(r, pick(o, t.names), i+1, sure, emit)
		}
		return nil
	case wildcard:
		return p.each(r, v, func(e any) error { return p.find(r, e, i+1, false, emit) })
	case filter:
		return p.filterBy(r, t, v, i, emit)
	}
	if sure {
		if _, err := p.array(t, i, v); err != nil {
			return err
		}
	}
	a, ok := v.([]any)
	if !ok {
		return nil
	}
	if t.kind == slice {
		from, to := t.bounds(len(a))
		for n := from; n < to; n++ {
			if err := p.find(r, a[n], i+1, false, emit); err != nil {
				return err
			}
		}
		return nil
	}
	for _, n := range t.nums {
		if n < 0 {
			n += len(a)
		}
		if n >= 0 && n < len(a) {
			if err := p.find(r, a[n], i+1, sure && t.kind == index, emit); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Path) filterBy(r *run, t *token, v any, i int, emit func(any)) error {
	test := func(e any) error {
		ok, err := t.pred.test(r, e)
		if err != nil || !ok {
			return err
		}
		return p.find(r, e, i+1, false, emit)
	}
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := test(e); err != nil {
				return err
			}
		}
	case *value.Object:
		return test(x)
	}
	return nil
}

func (p *Path) each(r *run, v any, visit func(any) error) error {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			if err := visit(e); err != nil {
				return err
			}
		}
	case *value.Object:
		for n := range x.Len() {
			_, e := x.At(n)
			if err := visit(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *token) bounds(n int) (int, int) {
	from, to := 0, n
	if t.hasFr {
		from = t.from
		if from < 0 {
			from += n
		}
	}
	if t.hasTo {
		to = t.to
		if to < 0 {
			to += n
		}
	}
	return max(from, 0), min(to, n)
}

// Set returns a copy of root with v at the place that a reference path names;
// objects that are missing on the way are made. It fails where the path leads
// through something that is neither object nor array, or to an index beyond the
// end of an array.
func (p *Path) Set(root, v any) (any, error) {
	if !p.Reference() {
		return nil, fmt.Errorf("%s is not a reference path", p.source)
	}
	return p.set(root, 0, v)
}

func (p *Path) set(at any, i int, v any) (any, error) {
	if i == len(p.tokens) {
		return v, nil
	}
	t := &p.tokens[i]
	if t.kind == index {
		a, ok := at.([]any)
		if !ok || t.nums[0] >= len(a) {
			return nil, &NotFoundError{"No results for path: " + p.normal(i+1)}
		}
		sub, err := p.set(a[t.nums[0]], i+1, v)
		if err != nil {
			return nil, err
		}
		out := append([]any(nil), a...)
		out[t.nums[0]] = sub
		return out, nil
	}
	o, ok := at.(*value.Object)
	if !ok {
		return nil, &NotFoundError{"No results for path: " + p.normal(i+1)}
	}
	old, has := o.Get(t.name)
	if _, isObject := old.(*value.Object); i < len(p.tokens)-1 && !isObject {
		if _, isArray := old.([]any); !has || !isArray {
			old = value.NewObject(1)
		}
	}
	sub, err := p.set(old, i+1, v)
	if err != nil {
		return nil, err
	}
	out := o.Clone()
	out.Set(t.name, sub)
	return out, nil
}
