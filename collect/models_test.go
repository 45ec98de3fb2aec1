package collect

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/catalog"
)

// at follows a path through an AWS shape.
func at(s *model.Shape, p path) (*model.Shape, error) {
	for i, step := range p {
		switch {
		case s == nil:
			return nil, fmt.Errorf("%s: nothing below", dotted(p[:i]))
		case step[0] == '[' && s.Kind == model.List:
			s = s.Element.Shape
		case step == "*" && s.Kind == model.Map:
			s = s.Value.Shape
		case s.Kind == model.Map:
			s = s.Value.Shape
		case step[0] == '[' || s.Kind != model.Structure:
			return nil, fmt.Errorf("%s is a %s in AWS's model", dotted(p[:i]), s.Kind)
		default:
			m := s.Member(step)
			if m == nil {
				return nil, fmt.Errorf("AWS's model has no member %s", dotted(p[:i+1]))
			}
			s = m.Shape
		}
	}
	return s, nil
}

// claims checks one catalogue entry against AWS's models.
type claims struct {
	t       *testing.T
	typ     *Type
	members map[string]*model.Shape // of the document as far as it is built
	open    bool                    // the document's members cannot be told
}

func (c *claims) errorf(format string, args ...any) {
	c.t.Errorf("%s: %s", c.typ.Name, fmt.Sprintf(format, args...))
}

func (c *claims) operation(service, operation string) *model.Operation {
	op, err := awsapi.LookupOperation(service, operation)
	if err != nil {
		c.errorf("%v", err)
		return nil
	}
	return op
}

func (c *claims) input(op *model.Operation, in map[string]any) {
	if op.Input == nil {
		if len(in) > 0 {
			c.errorf("%s takes no input", op.Name)
		}
		return
	}
	for _, name := range op.Input.RequiredMembers() {
		if _, given := in[name]; !given {
			c.errorf("%s needs %s", op.Name, name)
		}
	}
	c.value(op.Name, op.Input, in)
}

// value checks an input against its shape, names of members and values of enumerations.
func (c *claims) value(where string, s *model.Shape, v any) {
	switch v := v.(type) {
	case map[string]any:
		if s.Kind != model.Structure {
			return
		}
		for name, e := range v {
			m := s.Member(name)
			if m == nil {
				c.errorf("%s has no parameter %s", where, name)
				continue
			}
			c.value(where+" "+name, m.Shape, e)
		}
	case []any:
		if s.Kind != model.List {
			c.errorf("%s is no list", where)
			return
		}
		for _, e := range v {
			c.value(where, s.Element.Shape, e)
		}
	case string:
		if len(s.Enum) > 0 && !strings.Contains(v, "{") && !slices.Contains(s.Enum, v) {
			c.errorf("%s: %q is none of %v", where, v, s.Enum)
		}
		for _, ref := range references(v) {
			c.reference(where, ref)
		}
	}
}

func references(text string) []string {
	var out []string
	for {
		_, rest, ok := strings.Cut(text, "{")
		if !ok {
			return out
		}
		ref, after, _ := strings.Cut(rest, "}")
		out, text = append(out, ref), after
	}
}

// reference checks that what a template draws from can be there.
func (c *claims) reference(where, ref string) {
	if c.open {
		return
	}
	for alt := range strings.SplitSeq(ref, "|") {
		name, _, _ := strings.Cut(alt, "#")
		first, _, _ := strings.Cut(name, ".")
		switch first {
		case "account", "region", "partition", "parent":
			continue
		}
		first, _, _ = strings.Cut(first, "[")
		if _, ok := c.members[first]; !ok {
			c.errorf("%s refers to %s, which the document does not have", where, name)
		}
	}
}

// codes checks error codes. Some services answer AccessDeniedException and
// BadRequestException though their models do not list them for the operation.
func (c *claims) codes(op *model.Operation, codes []string) {
	if len(op.Errors) == 0 {
		return // the model does not list them: EC2, S3
	}
	for _, code := range codes {
		code, _, _ = strings.Cut(code, ": ")
		known := slices.ContainsFunc(op.Errors, func(s *model.Shape) bool { return s.Code() == code || s.Name == code })
		if !known && code != "AccessDeniedException" && code != "BadRequestException" {
			c.errorf("%s does not answer %s by AWS's model", op.Name, code)
		}
	}
}

func (c *claims) paths(shape *model.Shape, list []path, what string) {
	for _, p := range list {
		if _, err := at(shape, p); err != nil {
			c.errorf("%s: %v", what, err)
		}
	}
}

// TestCatalogueIsWhatAWSModelsSay checks every operation, parameter, member
// path and error code that the catalogue names.
func TestCatalogueIsWhatAWSModelsSay(t *testing.T) {
	cat, err := ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	documents := map[*Type]map[string]*model.Shape{}
	operations := map[string]bool{}
	for _, typ := range cat.Types() {
		c := &claims{t: t, typ: typ, members: map[string]*model.Shape{}}
		documents[typ] = c.members
		if !typ.Single {
			operations[typ.List.Service+":"+typ.List.Operation] = true
			c.list(documents)
		}
		for i := range typ.More {
			m := &typ.More[i]
			operations[m.Service+":"+m.Operation] = true
			c.more(m)
		}
		c.identity()
	}
	t.Logf("%d types, %d operations", len(cat.Types()), len(operations))
}

func (c *claims) list(documents map[*Type]map[string]*model.Shape) {
	l := &c.typ.List
	op := c.operation(l.Service, l.Operation)
	if op == nil {
		return
	}
	own := c.members
	if c.typ.parent != nil {
		c.members = documents[c.typ.parent] // the input is drawn from the parent
		if c.members == nil {
			c.open, c.members = true, map[string]*model.Shape{}
		}
	}
	in := map[string]any{}
	for k, v := range l.input {
		in[k] = v
	}
	for k, v := range l.each {
		in[k] = v[0]
		for _, e := range v {
			c.value(op.Name, op.Input, map[string]any{k: e})
		}
	}
	c.input(op, in)
	c.members, c.open = own, false
	c.codes(op, l.absent)
	item, err := at(op.Output, l.items)
	if err != nil {
		c.errorf("items: %v", err)
		return
	}
	switch {
	case item.Kind == model.Structure:
		for _, m := range item.Members {
			c.members[m.Name] = m.Shape
		}
	case l.bare != "":
		c.members[l.bare] = item
	default:
		c.errorf("items are %ss: bare must name them", item.Kind)
	}
	for name := range l.drop {
		c.reference("drop", name)
	}
	if item.Kind == model.Structure {
		c.paths(item, c.typ.redact, "redact")
		for _, d := range c.typ.decode {
			c.paths(item, []path{d.at}, "decode")
		}
	}
}

func (c *claims) more(m *More) {
	op := c.operation(m.Service, m.Operation)
	if op == nil {
		return
	}
	before := c.members
	if m.forAll != nil {
		// The input is drawn from the element that the path leads to.
		root := &model.Shape{Kind: model.Structure}
		element, err := at(before[m.forAll[0]], m.forAll[1:])
		if err != nil {
			c.errorf("%s: for: %v", m.Operation, err)
			return
		}
		root = element
		c.members = map[string]*model.Shape{}
		for _, x := range root.Members {
			c.members[x.Name] = x.Shape
		}
	}
	c.input(op, orEmpty(m.input))
	c.members = before
	c.codes(op, m.absent)
	c.paths(op.Output, m.redact, m.Operation+": redact")
	for _, d := range m.decode {
		c.paths(op.Output, []path{d.at}, m.Operation+": decode")
	}
	for _, k := range m.keep {
		c.paths(op.Output, []path{append(slices.Clone(k.at), "[]", k.member)}, m.Operation+": keep")
	}
	if m.before != nil {
		if b := c.operation(m.before.service, m.before.operation); b != nil {
			c.paths(b.Output, []path{m.before.at}, "before")
		}
	}
	if name, _, ok := strings.Cut(strings.Replace(m.when, "!=", "=", 1), "="); ok {
		c.reference(m.Operation+" when", name)
	}
	switch {
	case m.forAll != nil:
	case !m.merged:
		c.members[m.Part] = op.Output
	default:
		s, err := at(op.Output, m.merge)
		if err != nil || s.Kind != model.Structure {
			c.errorf("%s: merge: %v", m.Operation, err)
			return
		}
		for _, x := range s.Members {
			c.members[x.Name] = x.Shape
		}
	}
}

func (c *claims) identity() {
	for _, text := range []string{c.typ.id, c.typ.arn} {
		switch {
		case text == "":
		case strings.Contains(text, "{"):
			for _, ref := range references(text) {
				c.reference("id or arn", ref)
			}
		default:
			c.reference("id or arn", text)
		}
	}
	if len(c.typ.tags) > 0 {
		s, err := at(c.members[c.typ.tags[0]], c.typ.tags[1:])
		switch {
		case err != nil:
			c.errorf("tags: %v", err)
		case s == nil:
			c.errorf("tags: the document has no %s", c.typ.tags[0])
		case s.Kind == model.String, s.Kind == model.Boolean:
			c.errorf("tags are a %s", s.Kind)
		}
	}
	if r := c.typ.region; r != nil {
		if _, err := at(c.members[r.from[0]], r.from[1:]); err != nil {
			c.errorf("region: %v", err)
		}
	}
}
