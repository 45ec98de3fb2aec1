package prove

import (
	"fmt"
	"sort"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/identity"
)

// The variables of a problem that are not condition keys.
const (
	varAction   = "action"
	varResource = "resource"
)

// builder turns policies into formulas over one problem.
type builder struct {
	*problem
	caller *callerClass
	owner  ownership
	exact  bool              // see question
	stack  *identity.Stack   // the one whose formula is being built
	values map[string]string // what policy variables stand for in this attempt; nil: opaque
	used   map[string]bool   // policy variables that occur
	errs   []error           // what cannot be expressed
}

// applies is the formula of "some statement with this effect applies".
func (b *builder) applies(p *identity.Policy, effect identity.Effect) *formula {
	var any []*formula
	for _, s := range p.Statements {
		if s.Effect == effect {
			any = append(any, b.statement(p, s))
		}
	}
	return or(any...)
}

func (b *builder) statement(p *identity.Policy, s *identity.Statement) *formula {
	version := p.LanguageVersion()
	how := b.caller.naming(b.stack, s)
	all := []*formula{constant(how != identity.NotNamed && how != identity.NamedUnknown), b.action(s)}
	if r := b.resource(s, version); r != nil {
		all = append(all, r)
	}
	for _, c := range s.Conditions {
		for _, k := range c.Keys {
			all = append(all, b.condition(c.Operator, k, version))
		}
	}
	return and(all...)
}

func (b *builder) action(s *identity.Statement) *formula {
	list, negated := s.Action, false
	if s.NotAction != nil {
		list, negated = s.NotAction, true
	}
	if list == nil {
		return never
	}
	f := b.actionIn(list.Texts()...)
	if negated {
		return not(f)
	}
	return f
}

// resource returns nil for a statement without a resource, as in a trust policy.
func (b *builder) resource(s *identity.Statement, version string) *formula {
	list, negated := s.Resource, false
	if s.NotResource != nil {
		list, negated = s.NotResource, true
	}
	if list == nil {
		return nil
	}
	all := make([]template, len(list.Values))
	for i, v := range list.Values {
		all[i] = b.template(v.Text, version, true, true, resourceARN, false)
	}
	return b.matching(varResource, all, negated, someInside)
}

// template is one string of a policy, ready to match: a glob, and the variables
// that must be in the request for it to count.
type template struct {
	glob  glob
	needs []string
	dead  bool // a variable is absent and has no default
	id    string
}

func (b *builder) template(s, version string, vars, wild bool, how splitting, fold bool) template {
	parts := []part{{text: s}}
	if vars {
		parts = split(s, version, how == resourceARN)
	}
	t := template{}
	for _, p := range parts {
		if p.variable == "" {
			continue
		}
		b.used[p.variable] = true
		if p.fallback == nil {
			t.needs = append(t.needs, p.variable)
		}
	}
	if b.values != nil {
		if parts, t.dead = filled(parts, b.values); t.dead {
			return t
		}
	}
	t.glob = globOf(parts, wild, how, fold)
	t.id = fmt.Sprint(how, wild, fold, version == identity.Version2012, "\x01", s)
	return t
}

func filled(parts []part, values map[string]string) ([]part, bool) {
	f, ok := fill(parts, values)
	return f, !ok
}

// matching is the formula of a variable matching one of the templates or, if
// negated, none. A template matches only if the keys of its variables are in the
// request.
func (b *builder) matching(name string, all []template, negated bool, kind atomKind) *formula {
	var ground []template
	var some []*formula
	for _, t := range all {
		if t.dead {
			continue
		}
		if len(t.needs) == 0 {
			ground = append(ground, t)
			continue
		}
		here := []*formula{}
		for _, v := range t.needs {
			here = append(here, b.fact(keyVariable(v), present, "", nil))
		}
		some = append(some, and(append(here, b.inside(name, []template{t}, kind))...))
	}
	if len(ground) > 0 {
		some = append(some, b.inside(name, ground, kind))
	}
	if !negated {
		return or(some...)
	}
	return not(or(some...))
}

func (b *builder) inside(name string, all []template, kind atomKind) *formula {
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = t.id
	}
	sort.Strings(ids)
	return b.fact(name, kind, joined(ids), func() *valueSet {
		v := &valueSet{}
		for _, t := range all {
			v.texts = append(v.texts, t.glob)
		}
		return v
	})
}

// keyVariable names the variable of a condition key.
func keyVariable(key string) string { return "key:" + strings.ToLower(key) }

// condition is the formula of one key of one operator.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func (b *builder) condition(operator string, k *identity.ConditionKey, version string) *formula {
	op, ok := identity.ParseOperator(operator)
	if !ok {
		b.errs = append(b.errs, fmt.Errorf("the condition operator %q does not exist", operator))
		return never
	}
	name := keyVariable(k.Name)
	here := b.fact(name, present, "", nil)
	if op.Base == "Null" && op.Set != identity.NoSet {
		return constant(op.Set == identity.ForAllValues)
	}
	if op.Base == "Null" {
		var any []*formula
		for _, v := range k.Texts() {
			switch strings.ToLower(v) {
			case "true":
				any = append(any, not(here))
			case "false":
				any = append(any, here)
			}
		}
		return or(any...)
	}
	in := func(kind atomKind, negated bool) *formula { return b.membership(name, op, k, version, kind, negated) }
	var f *formula
	switch {
	case op.Set == identity.ForAllValues && op.Negated:
		f = in(someInside, true)
	case op.Set == identity.ForAllValues:
		f = not(in(someOutsid, false))
		if len(k.Values) == 0 {
			f = not(here)
		}
	case op.Set == identity.ForAnyValue && op.Negated:
		f = in(someOutsid, false)
	case op.Negated:
		f = in(someInside, true)
	default:
		f = in(someInside, false)
	}
	switch {
	case op.IfExists || op.Set == identity.ForAllValues:
		return or(not(here), f)
	case op.Set == identity.ForAnyValue || !op.Negated:
		return and(here, f)
	}
	return or(not(here), f)
}

// membership is the formula of some value of the key lying inside (or outside) what
// the operator accepts.
func (b *builder) membership(name string, op identity.Operator, k *identity.ConditionKey, version string, kind atomKind, negated bool) *formula {
	wild, fold, how := false, false, plain
	switch op.Base {
	case "StringEquals", "StringNotEquals":
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		fold = true
	case "StringLike", "StringNotLike":
		wild = true
	case "ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike":
		wild, how = true, segmentARN
	case "BinaryEquals":
		var all []template
		for _, v := range k.Texts() {
			all = append(all, template{glob: text(v), id: "binary\x01" + v})
		}
		return b.matching(name, all, negated, kind)
	default:
		if op.Base == "Bool" && version == identity.Version2012 && strings.Contains(strings.Join(k.Texts(), ""), "${") {
			b.errs = append(b.errs, fmt.Errorf("a policy variable in Bool of %s is not part of the proof", k.Name))
		}
		f := b.fact(name, kind, op.Base+"\x01"+joined(k.Texts()), func() *valueSet { return ordered(op.Base, k.Texts()) })
		if negated {
			return not(f)
		}
		return f
	}
	var all []template
	for _, v := range k.Texts() {
		if how == segmentARN && v == "*" {
			v = "arn:*"
		}
		t := b.template(v, version, true, wild, how, fold)
		all = append(all, t)
	}
	if kind == someOutsid {
		// Outside of all of them: one atom over the union, with every variable needed.
		var needs []*formula
		var live []template
		for _, t := range all {
			for _, n := range t.needs {
				needs = append(needs, b.fact(keyVariable(n), present, "", nil))
			}
			if !t.dead {
				live = append(live, t)
			}
		}
		f := b.inside(name, live, kind)
		if len(needs) > 0 {
			// With a variable missing its pattern matches nothing: treat as outside.
			f = or(f, not(and(needs...)))
		}
		return f
	}
	return b.matching(name, all, negated, kind)
}

// ordered is the set that an operator on numbers, dates, addresses or booleans
// accepts. A value that is not of the type adds nothing.
func ordered(base string, values []string) *valueSet {
	v := &valueSet{}
	negatable := strings.Replace(base, "Not", "", 1)
	for _, s := range values {
		switch {
		case strings.HasPrefix(negatable, "Numeric"):
			v.kind = numbers
			if x, ok := parseNumber(s); ok {
				v.spans = append(v.spans, compared(strings.TrimPrefix(negatable, "Numeric"), x))
			}
		case strings.HasPrefix(negatable, "Date"):
			v.kind = dates
			if x, ok := parseDate(s); ok {
				v.spans = append(v.spans, compared(strings.TrimPrefix(negatable, "Date"), x))
			}
		case negatable == "Bool":
			v.kind = booleans
			v.yes = v.yes || strings.EqualFold(s, "true")
			v.no = v.no || strings.EqualFold(s, "false")
		default:
			v.kind = addresses
			if n, ok := parseNet(s); ok {
				v.nets = append(v.nets, n)
			}
		}
	}
	return v
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Map(unicode.ToLower, s)
	}
	return out
}

// joined makes one id of several texts.
func joined(list []string) string { return strings.Join(list, "\x02") }
