package asl

import (
	"fmt"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

func (b *builder) choice(o *value.Object, p string, s *state) {
	s.fallback, _ = b.str(o, p, "Default")
	if !b.required(o, p, "Choices") {
		return
	}
	v, _ := o.Get("Choices")
	list, ok := b.array(v, p+"/Choices")
	if ok && len(list) == 0 {
		b.errorf(p+"/Choices", "Value cannot be empty")
	}
	for i, e := range list {
		at := elementPointer(p+"/Choices", i)
		ro, ok := b.object(e, at)
		if !ok {
			s.choices = append(s.choices, choiceRule{})
			continue
		}
		r := choiceRule{}
		b.required(ro, at, "Next")
		r.next, _ = b.str(ro, at, "Next")
		r.assign = b.assign(ro, at, fmt.Sprintf("Choices[%d]/Assign", i), s.jsonata())
		if s.jsonata() {
			b.fields(ro, at, []string{"Condition", "Next", "Assign", "Output", "Comment"})
			r.cond = b.condition(ro, at, i)
			if v, ok := ro.Get("Output"); ok {
				r.output = b.template(v, at+"/Output", fmt.Sprintf("Choices[%d]/Output", i), true)
			}
		} else {
			r.cond = b.rule(ro, at, true, 0)
		}
		s.choices = append(s.choices, r)
	}
}

func (b *builder) condition(o *value.Object, at string, i int) condition {
	v, ok := o.Get("Condition")
	if !ok {
		b.required(o, at, "Condition")
		return fixedCondition(false)
	}
	if c, ok := v.(bool); ok {
		return fixedCondition(c)
	}
	text, _ := v.(string)
	if src, ok := expression(text); ok {
		if x := b.compile(src, at+"/Condition"); x != nil {
			return exprCondition{x, fmt.Sprintf("Choices[%d]/Condition", i)}
		}
		return fixedCondition(false)
	}
	b.errorf(at+"/Condition", "Expected a boolean or a JSONata expression")
	return fixedCondition(false)
}

// operatorNames are all comparison operators of the JSONPath language.
func operatorNames() []string {
	var names []string
	for n := range testers {
		names = append(names, n)
	}
	for n := range comparers {
		names = append(names, n)
		if n != "StringMatches" {
			names = append(names, n+"Path")
		}
	}
	sort.Strings(names)
	return names
}

const maxChoiceNesting = 100

// rule compiles a choice rule; only the outermost has Next.
func (b *builder) rule(o *value.Object, at string, top bool, depth int) condition {
	if depth > maxChoiceNesting {
		b.errorf(at, "Choice rules are nested deeper than %d", maxChoiceNesting)
		return fixedCondition(false)
	}
	var out condition
	var ops []string
	for _, k := range o.Keys() {
		kp := value.Pointer(at, k)
		v, _ := o.Get(k)
		switch {
		case k == "Variable" || k == "Comment":
			b.str(o, at, k)
			continue
		case (k == "Next" || k == "Assign") && top:
			continue
		case k == "Next":
			b.errorf(kp, "Field 'Next' is not supported in a nested Choice rule")
			continue
		}
		ops = append(ops, k)
		switch k {
		case "And", "Or":
			list, ok := b.array(v, kp)
			if ok && len(list) == 0 {
				b.errorf(kp, "Value cannot be empty")
			}
			var cs []condition
			for i, e := range list {
				if eo, ok := b.object(e, elementPointer(kp, i)); ok {
					cs = append(cs, b.rule(eo, elementPointer(kp, i), false, depth+1))
				}
			}
			if k == "And" {
				out = allOf(cs)
			} else {
				out = anyOf(cs)
			}
		case "Not":
			if eo, ok := b.object(v, kp); ok {
				out = notOf{b.rule(eo, kp, false, depth+1)}
			}
		default:
			out = b.comparison(o, at, k, v)
		}
	}
	if len(ops) != 1 {
		b.errorf(at, "A Choice rule must have exactly one comparison operator, has [%s]", strings.Join(ops, ", "))
	}
	if out == nil {
		return fixedCondition(false)
	}
	return out
}

func (b *builder) comparison(o *value.Object, at, op string, v any) condition {
	kp := value.Pointer(at, op)
	c := comparison{opName: op}
	if test, ok := testers[op]; ok {
		if _, isBool := v.(bool); !isBool {
			b.errorf(kp, "Expected value of type [BOOLEAN]")
			return nil
		}
		c.want = v
		c.op = func(v, want any) bool { return test(v) == want.(bool) }
	} else if cmp, ok := comparers[op]; ok {
		c.op, c.want = cmp, v
		if looksDynamic(v) {
			b.remark(SeverityWarning, CodeNoPath, kp, "The value of '%s' looks like a path, but the field's name does not end with 'Path'", op)
		}
		b.comparedType(op, kp, v)
	} else if cmp, ok := comparers[strings.TrimSuffix(op, "Path")]; ok && strings.HasSuffix(op, "Path") && op != "StringMatchesPath" {
		c.op = cmp
		s, isText := v.(string)
		if !isText {
			b.errorf(kp, "Expected value of type [STRING]")
			return nil
		}
		if c.path = b.jsonPath(s, kp, false); c.path == nil {
			return nil
		}
	} else {
		b.unsupported(at, op, append(operatorNames(), "And", "Or", "Not", "Next", "Variable"))
		return nil
	}
	if !b.required(o, at, "Variable") {
		return nil
	}
	s, ok := b.str(o, at, "Variable")
	if !ok {
		return nil
	}
	if c.variable = b.jsonPath(s, at+"/Variable", false); c.variable == nil {
		return nil
	}
	return c
}

func (b *builder) comparedType(op, kp string, v any) {
	ok, want := true, ""
	switch {
	case strings.HasPrefix(op, "Boolean"):
		_, ok = v.(bool)
		want = "Boolean"
	case strings.HasPrefix(op, "Numeric"):
		_, ok = value.Float(v)
		want = "Number"
	case strings.HasPrefix(op, "String"):
		_, ok = v.(string)
		want = "String"
	case strings.HasPrefix(op, "Timestamp"):
		if _, ok = timestamp(v); !ok {
			b.errorf(kp, "String does not match RFC3339 timestamp")
			return
		}
	}
	if !ok {
		b.errorf(kp, "Expected value of type [%s]", strings.ToUpper(want))
	}
}
