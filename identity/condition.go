package identity

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// condition is one compiled key of one operator.
type condition struct {
	op     Operator
	cmp    comparison
	key    contextKey
	values []conditionValue
	source *ConditionKey
}

// conditionValue is a policy's value, ready for its operator.
type conditionValue struct {
	ok   bool // of the operator's type; otherwise it matches nothing
	text template
	like *textPattern // of StringLike
	arn  *arnPattern  // of the ARN operators
	num  *decimal
	date time.Time
	net  netip.Prefix
	bool bool
	raw  []byte
}

// template returns the value with its variables.
func (v *conditionValue) template() *template {
	switch {
	case v.like != nil:
		return &v.like.template
	case v.arn != nil:
		return &v.arn.template
	}
	return &v.text
}

func compileCondition(operator string, k *ConditionKey, version string) (condition, error) {
	op, ok := ParseOperator(operator)
	if !ok {
		return condition{}, fmt.Errorf("unknown condition operator %s", quote(clip(operator)))
	}
	if strings.TrimSpace(k.Name) == "" {
		return condition{}, fmt.Errorf("the condition key of %s is empty", op)
	}
	c := condition{op: op, cmp: operators[strings.ToLower(op.Base)].cmp, key: newContextKey(k.Name), source: k}
	for _, v := range k.Values {
		c.values = append(c.values, compileValue(op.kind, v.Text, version))
	}
	return c, nil
}

func compileValue(kind operatorKind, s, version string) conditionValue {
	v := conditionValue{ok: true}
	switch kind {
	case opStringEquals, opStringIgnoreCase:
		v.text = parseTemplate(s, version, false)
		if !v.text.vars {
			s, _ = v.text.fill(nil)
			v.text = template{source: s}
		}
	case opStringLike:
		like := newTextPattern(s, version, false)
		v.like = &like
	case opARN:
		pattern := newARNPattern(s, version)
		v.arn = &pattern
	case opNumeric:
		num, ok := parseDecimal(s)
		v.num, v.ok = &num, ok
	case opDate:
		v.date, v.ok = parseDate(s)
	case opIP:
		v.net, v.ok = parseNetwork(s)
	case opBool:
		// The page on operators allows a variable here, the page on variables does not.
		if v.text = parseTemplate(s, version, false); !v.text.vars {
			v.bool, v.ok = parseBool(s)
		}
	case opNull:
		v.bool, v.ok = parseBool(s)
	case opBinary:
		var err error
		v.raw, err = base64.StdEncoding.DecodeString(s)
		v.text.source = s
		v.ok = err == nil
	}
	return v
}

// matches compares one value of the request with one of the policy.
func (c *condition) matches(e *evaluation, v *conditionValue, s string) tri {
	if !v.ok {
		return no
	}
	switch c.op.kind {
	case opStringEquals, opStringIgnoreCase:
		if !v.text.vars {
			if c.op.kind == opStringEquals {
				return triOf(s == v.text.source)
			}
			return triOf(strings.EqualFold(s, v.text.source))
		}
		want, how := v.text.fill(e)
		switch how {
		case unresolved:
			return no
		case uncertain:
			return maybe
		}
		if c.op.kind == opStringEquals {
			return triOf(s == want)
		}
		return triOf(strings.EqualFold(s, want))
	case opStringLike:
		return v.like.match(e, s)
	case opARN:
		return v.arn.match(e, s)
	case opNumeric:
		n, ok := parseDecimal(s)
		return triOf(ok && c.cmp.holds(compareDecimal(n, *v.num)))
	case opDate:
		d, ok := parseDate(s)
		return triOf(ok && c.cmp.holds(d.Compare(v.date)))
	case opIP:
		a, ok := parseAddress(s)
		return triOf(ok && v.net.Contains(a))
	case opBool:
		want := v.bool
		if v.text.vars {
			text, how := v.text.fill(e)
			switch how {
			case unresolved:
				return no
			case uncertain:
				return maybe
			}
			b, ok := parseBool(text)
			if !ok {
				return no
			}
			want = b
		}
		b, ok := parseBool(s)
		return triOf(ok && b == want)
	case opBinary:
		return triOf(sameBinary(v.raw, v.text.source, s))
	}
	return no
}

// anyValue reports whether one of the policy's values matches s. A variable that
// is not in the request matches nothing.
func (c *condition) anyValue(e *evaluation, s string) tri {
	best := no
	for i := range c.values {
		if best = best.or(c.matches(e, &c.values[i], s)); best == yes {
			return yes
		}
	}
	return best
}

// holds decides the condition.
func (c *condition) holds(e *evaluation) tri {
	values, state := e.lookup(&c.key)
	if c.op.kind == opNull {
		if c.op.Set != NoSet {
			// NULL_WITH_QUALIFIER of the policy check reference: with ForAllValues Null
			// is always true, with ForAnyValue always false.
			return triOf(c.op.Set == ForAllValues)
		}
		return c.null(state)
	}
	if state == keyUnknown {
		return c.withoutValue()
	}
	if state == keyAbsent {
		return c.absent()
	}
	switch c.op.Set {
	case ForAllValues, ForAnyValue:
		if len(values) == 1 && values[0] == "" {
			// An empty string is a null data set.
			return triOf(c.op.Set == ForAllValues)
		}
		all, any := yes, no
		for _, s := range values {
			t := c.one(e, s)
			all, any = all.and(t), any.or(t)
		}
		if c.op.Set == ForAllValues {
			return all
		}
		return any
	}
	if len(values) == 1 {
		return c.one(e, values[0])
	}
	// A key with several values and no set operator: a positive operator holds
	// if any value matches, a negated one if none does.
	all, any := yes, no
	for _, s := range values {
		t := c.one(e, s)
		all, any = all.and(t), any.or(t)
	}
	if c.op.Negated {
		return all
	}
	return any
}

// one decides the operator for one value of the request: it matches any of the
// policy's values or, negated, none of them.
func (c *condition) one(e *evaluation, s string) tri {
	t := c.anyValue(e, s)
	if c.op.Negated {
		return t.not()
	}
	return t
}

// absent decides the condition for a key that is not in the request.
func (c *condition) absent() tri {
	switch {
	case c.op.IfExists || c.op.Set == ForAllValues:
		return yes
	case c.op.Set == ForAnyValue:
		return no
	}
	return triOf(c.op.Negated)
}

func (c *condition) null(state keyState) tri {
	t := no
	for i := range c.values {
		v := &c.values[i]
		switch {
		case !v.ok:
		case state == keyUnknown:
			t = t.or(maybe)
		default:
			t = t.or(triOf(v.bool == (state == keyAbsent)))
		}
	}
	if state == keyUnknown && len(c.values) > 1 {
		var wantAbsent, wantPresent bool
		for i := range c.values {
			wantAbsent = wantAbsent || c.values[i].ok && c.values[i].bool
			wantPresent = wantPresent || c.values[i].ok && !c.values[i].bool
		}
		if wantAbsent && wantPresent {
			return yes
		}
	}
	return t
}

// withoutValue decides the condition for a key that may be absent or have any
// value: it is certain only if no value can change it.
func (c *condition) withoutValue() tri {
	everything, nothing := false, true
	for i := range c.values {
		v := &c.values[i]
		if v.ok {
			nothing = false
		}
		if c.op.kind == opStringLike && !v.like.vars && v.like.fixed.MatchesAll() {
			everything = true
		}
	}
	if !everything && !nothing {
		return maybe
	}
	matched := triOf(everything)
	if c.op.Negated {
		matched = matched.not()
	}
	switch {
	case c.absent() == matched && c.op.Set == NoSet:
		return matched
	case c.absent() == yes && matched == yes && c.op.Set == ForAllValues:
		return yes
	case c.absent() == no && matched == no && c.op.Set == ForAnyValue:
		return no
	}
	return maybe
}
