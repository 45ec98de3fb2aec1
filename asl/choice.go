package asl

import (
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/asl/jsonata"
	"github.com/bartizan-security/bartizan/asl/jsonpath"
	"github.com/bartizan-security/bartizan/asl/value"
)

// condition is a Choice rule's test.
// https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html
type condition interface {
	holds(e *evaluation) (bool, *failure)
}

type allOf []condition
type anyOf []condition
type notOf struct{ c condition }
type fixedCondition bool
type exprCondition struct {
	expr  *jsonata.Expression
	where string
}

// comparison is Variable, an operator, and what is compared with.
type comparison struct {
	variable *jsonpath.Path
	op       comparer
	want     any            // fixed
	path     *jsonpath.Path // or …Path
	opName   string
}

func (c allOf) holds(e *evaluation) (bool, *failure) {
	for _, x := range c {
		if ok, f := x.holds(e); !ok || f != nil {
			return false, f
		}
	}
	return true, nil
}

func (c anyOf) holds(e *evaluation) (bool, *failure) {
	for _, x := range c {
		if ok, f := x.holds(e); ok || f != nil {
			return ok, f
		}
	}
	return false, nil
}

func (c notOf) holds(e *evaluation) (bool, *failure) {
	ok, f := c.c.holds(e)
	return !ok && f == nil, f
}

func (c fixedCondition) holds(*evaluation) (bool, *failure) { return bool(c), nil }

func (c exprCondition) holds(e *evaluation) (bool, *failure) {
	v, f := e.typed(c.expr, c.where, "boolean")
	if f != nil {
		return false, f
	}
	return v.(bool), nil
}

func (c comparison) holds(e *evaluation) (bool, *failure) {
	v, err := e.read(c.variable)
	if c.opName == "IsPresent" {
		return (err == nil) == c.want.(bool), nil
	}
	if err != nil {
		return false, runtimeFailure("Invalid path '%s': The choice state's condition path references an invalid value.", c.variable)
	}
	want := c.want
	if c.path != nil {
		if want, err = e.read(c.path); err != nil {
			return false, runtimeFailure("Invalid path '%s': The choice state's condition path references an invalid value.", c.path)
		}
	}
	return c.op(v, want), nil
}

// comparer compares a variable with a wanted value; of another type it is false.
type comparer func(v, want any) bool

// testers are the operators that take a boolean; comparers take a value of
// their own type and exist a second time with Path.
var testers = map[string]func(v any) bool{
	"IsNull":      func(v any) bool { return v == nil },
	"IsBoolean":   func(v any) bool { _, ok := v.(bool); return ok },
	"IsNumeric":   func(v any) bool { _, ok := value.Float(v); return ok },
	"IsString":    func(v any) bool { _, ok := v.(string); return ok },
	"IsTimestamp": func(v any) bool { _, ok := timestamp(v); return ok },
	"IsPresent":   func(any) bool { return true },
}

var comparers = map[string]comparer{
	"BooleanEquals": func(v, w any) bool {
		a, ok1 := v.(bool)
		b, ok2 := w.(bool)
		return ok1 && ok2 && a == b
	},
	"NumericEquals":              numeric(func(c int) bool { return c == 0 }),
	"NumericLessThan":            numeric(func(c int) bool { return c < 0 }),
	"NumericLessThanEquals":      numeric(func(c int) bool { return c <= 0 }),
	"NumericGreaterThan":         numeric(func(c int) bool { return c > 0 }),
	"NumericGreaterThanEquals":   numeric(func(c int) bool { return c >= 0 }),
	"StringEquals":               text(func(c int) bool { return c == 0 }),
	"StringLessThan":             text(func(c int) bool { return c < 0 }),
	"StringLessThanEquals":       text(func(c int) bool { return c <= 0 }),
	"StringGreaterThan":          text(func(c int) bool { return c > 0 }),
	"StringGreaterThanEquals":    text(func(c int) bool { return c >= 0 }),
	"TimestampEquals":            moment(func(c int) bool { return c == 0 }),
	"TimestampLessThan":          moment(func(c int) bool { return c < 0 }),
	"TimestampLessThanEquals":    moment(func(c int) bool { return c <= 0 }),
	"TimestampGreaterThan":       moment(func(c int) bool { return c > 0 }),
	"TimestampGreaterThanEquals": moment(func(c int) bool { return c >= 0 }),
	"StringMatches": func(v, w any) bool {
		s, ok1 := v.(string)
		p, ok2 := w.(string)
		return ok1 && ok2 && wildcardMatch(p, s)
	},
}

func numeric(want func(int) bool) comparer {
	return func(v, w any) bool {
		c, ok := value.Compare(v, w)
		return ok && want(c)
	}
}

func text(want func(int) bool) comparer {
	return func(v, w any) bool {
		a, ok1 := v.(string)
		b, ok2 := w.(string)
		return ok1 && ok2 && want(strings.Compare(a, b))
	}
}

func moment(want func(int) bool) comparer {
	return func(v, w any) bool {
		a, ok1 := timestamp(v)
		b, ok2 := timestamp(w)
		return ok1 && ok2 && want(a.Compare(b))
	}
}

// timestamp reads the profile of RFC 3339 that the States Language asks for:
// with T and with Z or an offset.
func timestamp(v any) (time.Time, bool) {
	s, ok := v.(string)
	if !ok || len(s) < 20 || s[10] != 'T' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil && (s[len(s)-1] == 'Z' || s[len(s)-6] == '+' || s[len(s)-6] == '-')
}

// wildcardMatch reports whether text matches a pattern in which * stands for
// any characters; \* is a star and \\ a backslash.
func wildcardMatch(pattern, text string) bool {
	type piece struct {
		star bool
		c    byte
	}
	var ps []piece
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\' && i+1 < len(pattern):
			i++
			ps = append(ps, piece{c: pattern[i]})
		case c == '*':
			if len(ps) == 0 || !ps[len(ps)-1].star {
				ps = append(ps, piece{star: true})
			}
		default:
			ps = append(ps, piece{c: c})
		}
	}
	i, j, star, mark := 0, 0, -1, 0
	for j < len(text) {
		switch {
		case i < len(ps) && ps[i].star:
			star, mark = i, j
			i++
		case i < len(ps) && ps[i].c == text[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(ps) && ps[i].star {
		i++
	}
	return i == len(ps)
}
