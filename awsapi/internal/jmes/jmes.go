// Package jmes evaluates the JMESPath expressions that AWS's paginators and
// waiters use.
//
// [Compile] reads an expression, [Expression.Search] applies it to a JSON value.
//
// # Caveats
//
// It is the subset those models need, not all of https://jmespath.org: field,
// index, flattening, list, object and filter projections, comparisons, and, or, not,
// literals, and the functions length, contains, keys and not_null.
package jmes

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
)

// Expression is a compiled expression; it is safe for concurrent use.
type Expression struct{ root evaluator }

// Search returns the value of the expression, nil where there is none. Numbers
// may be int64 or float64.
func (e *Expression) Search(v any) any { return e.root.eval(v) }

type evaluator interface{ eval(v any) any }

type (
	current struct{}
	field   string
	index   int
	flatten struct{ of evaluator }
	literal struct{ value any }
	pipe    struct{ left, right evaluator }
	// projection applies right to every element of the list that left gives.
	projection struct{ left, right evaluator }
	filter     struct{ condition evaluator }
	values     struct{ of evaluator } // of an object, by its keys
	not        struct{ of evaluator }
	binary     struct {
		op          string
		left, right evaluator
	}
	call struct {
		name string
		args []evaluator
	}
)

func (current) eval(v any) any { return v }

func (f field) eval(v any) any {
	m, _ := v.(map[string]any)
	return m[string(f)]
}

func (i index) eval(v any) any {
	list, _ := v.([]any)
	at := int(i)
	if at < 0 {
		at += len(list)
	}
	if at < 0 || at >= len(list) {
		return nil
	}
	return list[at]
}

func (f flatten) eval(v any) any {
	list, ok := f.of.eval(v).([]any)
	if !ok {
		return nil
	}
	out := []any{}
	for _, e := range list {
		if inner, ok := e.([]any); ok {
			out = append(out, inner...)
		} else {
			out = append(out, e)
		}
	}
	return out
}

func (o values) eval(v any) any {
	m, ok := o.of.eval(v).(map[string]any)
	if !ok {
		return nil
	}
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	sort.Strings(names)
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = m[n]
	}
	return out
}

func (l literal) eval(any) any { return l.value }

func (p pipe) eval(v any) any {
	left := p.left.eval(v)
	if left == nil {
		if _, isCall := p.right.(call); !isCall {
			return nil
		}
	}
	return p.right.eval(left)
}

func (p projection) eval(v any) any {
	list, ok := p.left.eval(v).([]any)
	if !ok {
		return nil
	}
	out := []any{}
	for _, e := range list {
		if r := p.right.eval(e); r != nil {
			out = append(out, r)
		}
	}
	return out
}

func (f filter) eval(v any) any {
	list, ok := v.([]any)
	if !ok {
		return nil
	}
	out := []any{}
	for _, e := range list {
		if Truthy(f.condition.eval(e)) {
			out = append(out, e)
		}
	}
	return out
}

func (n not) eval(v any) any { return !Truthy(n.of.eval(v)) }

func (b binary) eval(v any) any {
	left := b.left.eval(v)
	switch b.op {
	case "||":
		if Truthy(left) {
			return left
		}
		return b.right.eval(v)
	case "&&":
		if !Truthy(left) {
			return left
		}
		return b.right.eval(v)
	}
	right := b.right.eval(v)
	switch b.op {
	case "==":
		return Equal(left, right)
	case "!=":
		return !Equal(left, right)
	}
	l, ok1 := number(left)
	r, ok2 := number(right)
	if !ok1 || !ok2 {
		return nil
	}
	switch b.op {
	case "<":
		return l < r
	case "<=":
		return l <= r
	case ">":
		return l > r
	}
	return l >= r
}

func (c call) eval(v any) any {
	args := make([]any, len(c.args))
	for i, a := range c.args {
		args[i] = a.eval(v)
	}
	switch c.name {
	case "length":
		switch a := args[0].(type) {
		case string:
			return float64(len([]rune(a)))
		case []any:
			return float64(len(a))
		case map[string]any:
			return float64(len(a))
		}
	case "contains":
		switch a := args[0].(type) {
		case string:
			s, ok := args[1].(string)
			return ok && strings.Contains(a, s)
		case []any:
			for _, e := range a {
				if Equal(e, args[1]) {
					return true
				}
			}
			return false
		}
	case "keys":
		if m, ok := args[0].(map[string]any); ok {
			names := make([]string, 0, len(m))
			for k := range m {
				names = append(names, k)
			}
			sort.Strings(names)
			out := make([]any, len(names))
			for i, n := range names {
				out[i] = n
			}
			return out
		}
	case "not_null":
		for _, a := range args {
			if a != nil {
				return a
			}
		}
	}
	return nil
}

// Truthy is JMESPath's idea of truth: null, false and everything empty are not.
func Truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// Equal compares JSON values; 1 and 1.0 are equal.
func Equal(a, b any) bool {
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x == y
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

// arity is how many arguments the functions take; -1 means one or more.
var arity = map[string]int{"length": 1, "contains": 2, "keys": 1, "not_null": -1}

// maxNesting bounds brackets within brackets.
const maxNesting = 50

type parser struct {
	s     string
	at    int
	depth int
}

// Compile reads an expression.
func Compile(expression string) (*Expression, error) {
	p := &parser{s: expression}
	e, err := p.or()
	if err == nil {
		p.space()
		if p.at < len(p.s) {
			err = fmt.Errorf("%q is left over", p.s[p.at:])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read JMESPath %q at %d: %w", expression, p.at, err)
	}
	return &Expression{e}, nil
}

func (p *parser) space() {
	for p.at < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) take(token string) bool {
	p.space()
	if !strings.HasPrefix(p.s[p.at:], token) {
		return false
	}
	p.at += len(token)
	return true
}

func (p *parser) or() (evaluator, error)  { return p.chain("||", p.and) }
func (p *parser) and() (evaluator, error) { return p.chain("&&", p.comparison) }

func (p *parser) chain(op string, next func() (evaluator, error)) (evaluator, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("nested too deeply")
	}
	defer func() { p.depth-- }()
	left, err := next()
	for err == nil && p.take(op) {
		var right evaluator
		right, err = next()
		left = binary{op, left, right}
	}
	return left, err
}

func (p *parser) comparison() (evaluator, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.take(op) {
			right, err := p.unary()
			return binary{op, left, right}, err
		}
	}
	return left, nil
}

func (p *parser) unary() (evaluator, error) {
	p.space()
	if strings.HasPrefix(p.s[p.at:], "!") && !strings.HasPrefix(p.s[p.at:], "!=") {
		p.at++
		if p.depth++; p.depth > maxNesting {
			return nil, fmt.Errorf("nested too deeply")
		}
		defer func() { p.depth-- }()
		e, err := p.unary()
		return not{e}, err
	}
	return p.path()
}

func (p *parser) path() (evaluator, error) {
	p.space()
	var left evaluator
	var err error
	if p.at < len(p.s) && p.s[p.at] == '[' {
		left = current{}
	} else if left, err = p.primary(); err != nil {
		return nil, err
	}
	return p.steps(left)
}

// steps reads what follows a value: .field, [index], [] and so on. After a
// projection, all further steps apply to each element.
func (p *parser) steps(left evaluator) (evaluator, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("nested too deeply")
	}
	defer func() { p.depth-- }()
	for {
		switch {
		case p.take("[]"):
			return p.project(flatten{left})
		case p.take("[*]"):
			return p.project(left)
		case p.take("[?"):
			condition, err := p.or()
			if err != nil {
				return nil, err
			}
			if !p.take("]") {
				return nil, fmt.Errorf("a filter has no end")
			}
			return p.project(pipe{left, filter{condition}})
		case p.take("["):
			end := strings.IndexByte(p.s[p.at:], ']')
			if end < 0 {
				return nil, fmt.Errorf("an index has no end")
			}
			i, err := strconv.Atoi(strings.TrimSpace(p.s[p.at : p.at+end]))
			if err != nil {
				return nil, fmt.Errorf("%q is no index", p.s[p.at:p.at+end])
			}
			p.at += end + 1
			left = pipe{left, index(i)}
		case p.take(".*"):
			return p.project(values{left})
		case p.take("."):
			right, err := p.primary()
			if err != nil {
				return nil, err
			}
			left = pipe{left, right}
		default:
			return left, nil
		}
	}
}

// project reads the steps that apply to every element. A further [] flattens
// what they give and projects anew.
func (p *parser) project(left evaluator) (evaluator, error) {
	var right evaluator = current{}
	for {
		switch {
		case p.take("[]"):
			return p.project(flatten{projection{left, right}})
		case strings.HasPrefix(p.s[p.at:], "[") || strings.HasPrefix(p.s[p.at:], "."):
			next, err := p.oneStep(right)
			if err != nil {
				return nil, err
			}
			right = next
		default:
			return projection{left, right}, nil
		}
	}
}

func (p *parser) oneStep(left evaluator) (evaluator, error) {
	if p.take(".*") {
		return p.project(values{left})
	}
	if p.take(".") {
		right, err := p.primary()
		return pipe{left, right}, err
	}
	return p.steps(left)
}

func isNameByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || !first && c >= '0' && c <= '9'
}

func (p *parser) primary() (evaluator, error) {
	p.space()
	if p.at >= len(p.s) {
		return nil, fmt.Errorf("it ends early")
	}
	switch c := p.s[p.at]; {
	case c == '@':
		p.at++
		return current{}, nil
	case c == '(':
		p.at++
		e, err := p.or()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a parenthesis has no end")
		}
		return e, err
	case c == '`' || c == '\'' || c == '"':
		return p.quoted(c)
	case isNameByte(c, true):
		start := p.at
		for p.at < len(p.s) && isNameByte(p.s[p.at], false) {
			p.at++
		}
		name := p.s[start:p.at]
		if p.at < len(p.s) && p.s[p.at] == '(' {
			p.at++
			return p.call(name)
		}
		return field(name), nil
	}
	return nil, fmt.Errorf("%q is not understood", p.s[p.at:])
}

func (p *parser) quoted(quote byte) (evaluator, error) {
	end := strings.IndexByte(p.s[p.at+1:], quote)
	if end < 0 {
		return nil, fmt.Errorf("a quote has no end")
	}
	text := p.s[p.at+1 : p.at+1+end]
	p.at += end + 2
	switch quote {
	case '\'':
		return literal{text}, nil
	case '"':
		return field(text), nil
	}
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		v = text // an unquoted string, as older expressions have
	}
	return literal{v}, nil
}

func (p *parser) call(name string) (evaluator, error) {
	c := call{name: name}
	want, ok := arity[name]
	if !ok {
		return nil, fmt.Errorf("function %s is not known", name)
	}
	for !p.take(")") {
		if len(c.args) > 0 && !p.take(",") {
			return nil, fmt.Errorf("the arguments of %s have no end", name)
		}
		a, err := p.or()
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, a)
	}
	if want >= 0 && len(c.args) != want || want < 0 && len(c.args) == 0 {
		return nil, fmt.Errorf("%s takes another number of arguments than %d", name, len(c.args))
	}
	return c, nil
}
