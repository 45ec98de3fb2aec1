package asl

import (
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

func (b *branch) pass() {
	s := b.st
	e := b.evaluation(b.input)
	effective, result, hasResult, f := s.passResult(e, nil)
	if f != nil {
		b.fail(f)
		return
	}
	b.conclude(effective, result, hasResult)
}

// passResult is the effective input and the result of a Pass state.
func (s *state) passResult(e *evaluation, trace *processed) (effective, result any, hasResult bool, f *failure) {
	if s.jsonata() {
		return e.input, nil, false, nil
	}
	if effective, f = e.path(s.inputPath); f != nil {
		return nil, nil, false, f
	}
	if trace != nil {
		trace.afterInputPath, trace.afterParameters = effective, effective
	}
	result = effective
	switch {
	case s.hasResult:
		result = s.result
	case s.parameters != nil:
		e.input = effective
		if result, f = s.parameters.eval(e); f != nil {
			return nil, nil, false, f
		}
		if trace != nil {
			trace.afterParameters = result
		}
	}
	return effective, result, true, nil
}

func (b *branch) succeed() {
	e := b.evaluation(b.input)
	effective, f := e.path(b.st.inputPath)
	if f != nil {
		b.fail(f)
		return
	}
	b.conclude(effective, nil, false)
}

func (b *branch) failState() {
	name, cause, f := b.st.failTexts(b.evaluation(b.input))
	if f != nil {
		b.fail(f)
		return
	}
	out := &failure{}
	if name != nil {
		out.name = *name
	}
	if cause != nil {
		out.cause, out.hasCause = *cause, true
	}
	b.finish(nil, out)
}

// failTexts evaluates Error and Cause.
func (s *state) failTexts(e *evaluation) (name, cause *string, f *failure) {
	get := func(t *template, p optionalPath, field string) (*string, *failure) {
		var v any
		switch {
		case t != nil:
			if v, f = t.eval(e); f != nil {
				return nil, f
			}
			if x, isExpr := t.node.(exprNode); isExpr {
				if got := value.TypeName(v); got != "string" {
					return nil, queryFailure(field, "The JSONata expression '%s' specified for the field '%s' returned an unexpected result type. Expected 'string', but was '%s' for value: %s", x.expr.Source(), field, got, value.String(v))
				}
			}
		case p.call != nil:
			if v, f = p.call.eval(e); f != nil {
				return nil, f
			}
		case p.path != nil:
			if v, f = (pathNode{p.path, field + "Path"}).eval(e); f != nil {
				return nil, f
			}
		default:
			return nil, nil
		}
		text, ok := v.(string)
		if !ok {
			return nil, runtimeFailure("The %sPath field must refer to a string, but was: %s", field, value.String(v))
		}
		return &text, nil
	}
	if name, f = get(s.errorText, s.errorPath, "Error"); f != nil {
		return nil, nil, f
	}
	cause, f = get(s.causeText, s.causePath, "Cause")
	return name, cause, f
}

func (b *branch) choose() {
	e := b.evaluation(b.input)
	next, out, assigned, f := b.st.choose(e, b.input)
	if f != nil {
		b.fail(f)
		return
	}
	b.exit(out, assigned, next)
}

// choose evaluates a Choice state: the next state, its output and assignments.
func (s *state) choose(e *evaluation, raw any) (string, any, *value.Object, *failure) {
	effective, f := e.path(s.inputPath)
	if f != nil {
		return "", nil, nil, f
	}
	e.input = effective
	output, assign, next := s.output, s.assign, s.fallback
	for i := range s.choices {
		c := &s.choices[i]
		ok, f := c.cond.holds(e)
		if f != nil {
			return "", nil, nil, f
		}
		if ok {
			next, assign = c.next, c.assign
			if c.output != nil {
				output = c.output
			}
			break
		}
	}
	if next == "" {
		return "", nil, nil, &failure{name: "States.NoChoiceMatched", cause: "Failed to transition out of the state. The state does not point to a next state.", hasCause: true, placed: true}
	}
	assigned, f := e.assign(assign)
	if f != nil {
		return "", nil, nil, f
	}
	if s.jsonata() {
		out := raw
		if output != nil {
			out, f = output.eval(e)
		}
		return next, out, assigned, f
	}
	out, f := e.path(s.outputPath)
	return next, out, assigned, f
}

func (b *branch) waitState() {
	e := b.evaluation(b.input)
	effective, until, f := b.st.waitTime(e, b.r.last)
	if f != nil {
		b.fail(f)
		return
	}
	b.block()
	b.waitUntil(until, func() { b.conclude(effective, nil, false) })
}

// waitTime is the effective input of a Wait state and when it ends.
func (s *state) waitTime(e *evaluation, now time.Time) (any, time.Time, *failure) {
	effective, f := e.path(s.inputPath)
	if f != nil {
		return nil, now, f
	}
	e.input = effective
	if n, ok, f := e.integer(s.seconds); ok || f != nil {
		if f == nil && n > mostSeconds {
			f = runtimeFailure("The %s value %d is more than %d", s.seconds.name, n, mostSeconds)
		}
		return effective, now.Add(time.Duration(min(n, mostSeconds)) * time.Second), f
	}
	if s.hasAt {
		return effective, s.at, nil
	}
	if s.timestamp != nil {
		v, f := s.timestamp.eval(e)
		if f != nil {
			return nil, now, f
		}
		t, ok := timestamp(v)
		if !ok {
			x := s.timestamp.node.(exprNode)
			return nil, now, queryFailure("Timestamp", "The JSONata expression '%s' specified for the field 'Timestamp' returned a value that is not an RFC3339 timestamp: %s", x.expr.Source(), value.String(v))
		}
		return effective, t, nil
	}
	v, err := e.read(s.timestampPath)
	if err != nil {
		return nil, now, runtimeFailure("The TimestampPath parameter does not reference an input value: %s", s.timestampPath)
	}
	t, ok := timestamp(v)
	if !ok {
		return nil, now, runtimeFailure("The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: %s == %s", s.timestampPath, value.Java(v))
	}
	return effective, t, nil
}
