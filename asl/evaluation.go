package asl

import (
	"errors"
	"fmt"

	"github.com/bartizan-security/bartizan/asl/jsonata"
	"github.com/bartizan-security/bartizan/asl/jsonpath"
	"github.com/bartizan-security/bartizan/asl/value"
)

// variables is one scope of variables; a branch reads the scopes around it and
// writes its own.
// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
type variables struct {
	outer  *variables
	values *value.Object // replaced, never changed
}

func (v *variables) get(name string) (any, bool) {
	for s := v; s != nil; s = s.outer {
		if s.values != nil {
			if x, ok := s.values.Get(name); ok {
				return x, true
			}
		}
	}
	return nil, false
}

// evaluation is what paths, templates and expressions of one state may look at.
type evaluation struct {
	input     any
	vars      *variables
	context   func() *value.Object
	result    any
	hasResult bool
	failed    any // $states.errorOutput
	hasFailed bool
	env       *runEnv
}

func (e *evaluation) uuid() string    { return e.env.uuid() }
func (e *evaluation) random() float64 { return e.env.random() }

// read follows a path from the input, the context object or a variable.
func (e *evaluation) read(p *jsonpath.Path) (any, error) {
	switch {
	case p.Context():
		return p.Get(e.context())
	case p.Variable() != "":
		v, ok := e.vars.get(p.Variable())
		if !ok {
			return nil, &jsonpath.NotFoundError{Msg: fmt.Sprintf("The variable '%s' is not defined", p.Root())}
		}
		return p.Get(v)
	}
	return p.Get(e.input)
}

// shown is what a message quotes as the input of a path.
func (e *evaluation) shown(p *jsonpath.Path) string {
	if p.Context() {
		return value.String(e.context())
	}
	return value.String(e.input)
}

func (t *template) eval(e *evaluation) (any, *failure) { return t.node.eval(e) }

func (n literalNode) eval(*evaluation) (any, *failure) { return n.v, nil }

func (n objectNode) eval(e *evaluation) (any, *failure) {
	o := value.NewObject(len(n.keys))
	for i, k := range n.keys {
		v, f := n.nodes[i].eval(e)
		if f != nil {
			return nil, f
		}
		o.Set(k, v)
	}
	return o, nil
}

func (n arrayNode) eval(e *evaluation) (any, *failure) {
	a := make([]any, len(n.nodes))
	for i, sub := range n.nodes {
		v, f := sub.eval(e)
		if f != nil {
			return nil, f
		}
		a[i] = v
	}
	return a, nil
}

func (n pathNode) eval(e *evaluation) (any, *failure) {
	v, err := e.read(n.path)
	if err != nil {
		var missing *jsonpath.NotFoundError
		if !errors.As(err, &missing) {
			return nil, runtimeFailure("The JSONPath '%s' specified for the field '%s' could not be evaluated: %v", n.path, n.field, err)
		}
		if n.path.Variable() != "" {
			if _, ok := e.vars.get(n.path.Variable()); !ok {
				return nil, runtimeFailure("The variable path '%s' specified for the field '%s' references an undefined variable: %s", n.path, n.field, n.path.Variable())
			}
		}
		return nil, runtimeFailure("The JSONPath '%s' specified for the field '%s' could not be found in the input '%s'", n.path, n.field, e.shown(n.path))
	}
	return v, nil
}

func (n callNode) eval(e *evaluation) (any, *failure) { return n.call.eval(e) }

func (n exprNode) eval(e *evaluation) (any, *failure) { return e.query(n.expr, n.where) }

// query evaluates a JSONata expression with $states and the variables bound.
func (e *evaluation) query(x *jsonata.Expression, where string) (any, *failure) {
	bindings := make([]jsonata.Binding, 0, 4)
	for _, name := range x.Variables() {
		if name == "states" {
			bindings = append(bindings, jsonata.Binding{Name: "states", Value: e.states(x)})
		} else if v, ok := e.vars.get(name); ok {
			bindings = append(bindings, jsonata.Binding{Name: name, Value: v})
		}
	}
	env := jsonata.Env{}
	if e.env != nil {
		env = jsonata.Env{Now: e.env.now(), Random: e.env.random, UUID: e.env.uuid}
	}
	v, ok, err := x.Eval(jsonata.Undefined{}, bindings, env)
	var isFunction *jsonata.FunctionError
	switch {
	case errors.As(err, &isFunction):
		return nil, queryFailure(where, "The JSONata expression '%s' specified for the field '%s' returned an unsupported result type.", x.Source(), where)
	case err != nil:
		// A bound of the evaluation has no code of the language.
		separator, msg := ".", err.Error()
		var coded *jsonata.Error
		if errors.As(err, &coded) && (coded.Code == jsonata.CodeDepth || coded.Code == jsonata.CodeTime || coded.Code == jsonata.CodeMemory) {
			separator, msg = ":", coded.Msg
		}
		return nil, queryFailure(where, "The JSONata expression '%s' specified for the field '%s' threw an error during evaluation%s %s", x.Source(), where, separator, msg)
	case !ok:
		return nil, queryFailure(where, "The JSONata expression '%s' specified for the field '%s' returned nothing (undefined).", x.Source(), where)
	}
	return v, nil
}

// states builds the members of $states that an expression reads.
func (e *evaluation) states(x *jsonata.Expression) *value.Object {
	o := value.NewObject(4)
	if x.Reads("states", "input") {
		o.Set("input", e.input)
	}
	if e.hasResult && x.Reads("states", "result") {
		o.Set("result", e.result)
	}
	if e.hasFailed && x.Reads("states", "errorOutput") {
		o.Set("errorOutput", e.failed)
	}
	if x.Reads("states", "context") {
		o.Set("context", e.context())
	}
	return o
}

// typed evaluates an expression whose result must be of a type.
func (e *evaluation) typed(x *jsonata.Expression, where, want string) (any, *failure) {
	v, f := e.query(x, where)
	if f != nil {
		return nil, f
	}
	if got := value.TypeName(v); got != want {
		return nil, queryFailure(where, "The JSONata expression '%s' specified for the field '%s' returned an unexpected result type. Expected '%s', but was '%s' for value: %s", x.Source(), where, want, got, value.String(v))
	}
	return v, nil
}

// path reads InputPath and OutputPath.
func (e *evaluation) path(p optionalPath) (any, *failure) {
	switch {
	case !p.set:
		return e.input, nil
	case p.path == nil && p.call == nil:
		return value.NewObject(0), nil
	case p.call != nil:
		return p.call.eval(e)
	}
	v, err := e.read(p.path)
	if err != nil {
		return nil, runtimeFailure("Invalid path '%s' : %v", p.path, err)
	}
	return v, nil
}

// integer evaluates a field such as TimeoutSeconds. ok is false where the
// field is absent.
func (e *evaluation) integer(n numberField) (int64, bool, *failure) {
	f, ok, fail := e.number(n)
	return int64(f), ok, fail
}

func (e *evaluation) number(n numberField) (float64, bool, *failure) {
	switch {
	case !n.set:
		return 0, false, nil
	case n.expr != nil:
		v, f := e.typed(n.expr, n.name, "number")
		if f != nil {
			return 0, false, f
		}
		x, _ := value.Float(v)
		if x < 0 {
			return 0, false, queryFailure(n.name, "The JSONata expression '%s' specified for the field '%s' returned a value that is not valid: %s", n.expr.Source(), n.name, value.String(v))
		}
		return x, true, nil
	case n.path != nil:
		v, err := e.read(n.path)
		if err != nil {
			if n.name == "SecondsPath" {
				return 0, false, runtimeFailure("The SecondsPath parameter does not reference an input value: %s", n.path)
			}
			return 0, false, runtimeFailure("Invalid path '%s' : %v", n.path, err)
		}
		if s, isText := v.(string); isText { // "1" does for 1
			if parsed, err := value.Parse([]byte(s)); err == nil {
				v = parsed
			}
		}
		i, ok := value.Int(v)
		if !ok {
			shown := value.String(v)
			if s, isText := v.(string); isText {
				shown = s
			}
			if n.name == "SecondsPath" {
				return 0, false, runtimeFailure("The SecondsPath parameter does not reference an integer value: %s == %s", n.path, value.Java(v))
			}
			return 0, false, runtimeFailure("The %s field refers to value \"%s\" which is not a valid integer: %s", n.name, shown, n.path)
		}
		if i < 0 {
			return 0, false, runtimeFailure("The %s field refers to value \"%d\" which must not be negative: %s", n.name, i, n.path)
		}
		return float64(i), true, nil
	}
	return n.fixed, true, nil
}
