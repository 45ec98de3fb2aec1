package identity

import (
	"errors"
	"fmt"
	"slices"
)

// ProblemKind says what is wrong with an element.
type ProblemKind string

// The kinds of problem that ParseLenient reports.
const (
	NotJSON          ProblemKind = "NotJSON"
	WrongType        ProblemKind = "WrongType"
	UnknownElement   ProblemKind = "UnknownElement"
	DuplicateElement ProblemKind = "DuplicateElement"
	MissingElement   ProblemKind = "MissingElement"
	BothElements     ProblemKind = "BothElements" // Action and NotAction, …
	InvalidVersion   ProblemKind = "InvalidVersion"
	InvalidEffect    ProblemKind = "InvalidEffect"
	InvalidPrincipal ProblemKind = "InvalidPrincipal"
)

// Problem is one mistake in a policy document.
type Problem struct {
	Kind    ProblemKind
	Pos     Pos
	Path    string
	Message string
	Node    *Node  // the element, nil for NotJSON
	Element string // the name of the element that is wrong, unknown, double or missing
}

// ParsePolicy reads a policy as AWS would accept it: a Statement or its list, a
// value or its list, elements in any order, element names and effects in exact
// case, no element twice. The error is a *SyntaxError about the first mistake.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
//
// What depends on where a policy is attached (that a trust policy has no
// Resource, an identity policy no Principal) is not checked here; Compile does.
func ParsePolicy(data []byte) (*Policy, error) {
	p, problems := ParseLenient(data)
	if len(problems) > 0 {
		first := problems[0]
		return nil, &SyntaxError{Pos: first.Pos, Path: first.Path, Msg: first.Message}
	}
	return p, nil
}

// ParseLenient reads as much of a policy as it can and lists every mistake, in
// the order of the document. The policy is never nil; one with problems must
// not be evaluated. Of an element that occurs twice the first counts.
func ParseLenient(data []byte) (*Policy, []Problem) {
	root, err := ParseJSON(data)
	if err != nil {
		p := Problem{Kind: NotJSON, Message: err.Error()}
		var s *SyntaxError
		if errors.As(err, &s) {
			p.Pos, p.Message = s.Pos, s.Msg
		}
		return &Policy{}, []Problem{p}
	}
	return FromNode(root)
}

// FromNode is ParseLenient for a document that is a part of a larger one.
func FromNode(root *Node) (*Policy, []Problem) {
	b := &builder{}
	p := b.policy(root)
	slices.SortStableFunc(b.problems, func(x, y Problem) int { return x.Pos.Offset - y.Pos.Offset })
	return p, b.problems
}

type builder struct{ problems []Problem }

func (b *builder) add(kind ProblemKind, n *Node, at Pos, element, format string, args ...any) {
	b.problems = append(b.problems, Problem{Kind: kind, Pos: at, Path: n.Path(), Message: fmt.Sprintf(format, args...), Node: n, Element: element})
}

func (b *builder) wrong(n *Node, want string) {
	b.add(WrongType, n, n.Pos, n.Key, "want %s, not %s", want, article(n.Kind))
}

func article(k Kind) string {
	switch k {
	case Null:
		return "null"
	case Array, Object:
		return "an " + k.String()
	}
	return "a " + k.String()
}

// members calls visit for the first member of each name and reports the others.
func (b *builder) members(n *Node, visit func(c *Node)) {
	seen := make(map[string]bool, len(n.Children))
	for _, c := range n.Children {
		if seen[c.Key] {
			b.add(DuplicateElement, c, c.KeyPos, c.Key, "%s occurs twice", quote(clip(c.Key)))
			continue
		}
		seen[c.Key] = true
		visit(c)
	}
}

func (b *builder) policy(root *Node) *Policy {
	p := &Policy{Root: root}
	if root.Kind != Object {
		b.wrong(root, "an object with a Statement")
		return p
	}
	hasStatement := false
	b.members(root, func(c *Node) {
		switch c.Key {
		case "Version":
			p.Version = b.text(c)
			if p.Version != nil && c.Text != Version2008 && c.Text != Version2012 {
				b.add(InvalidVersion, c, c.Pos, c.Key, "unknown version %s; want %q or %q", quote(clip(c.Text)), Version2012, Version2008)
			}
		case "Id":
			p.ID = b.text(c)
		case "Statement":
			hasStatement = true
			switch c.Kind {
			case Object:
				p.SingleStatement = true
				p.Statements = []*Statement{b.statement(c, 0)}
			case Array:
				for i, s := range c.Children {
					if s.Kind != Object {
						b.wrong(s, "a statement object")
						continue
					}
					p.Statements = append(p.Statements, b.statement(s, i))
				}
			default:
				b.wrong(c, "a statement or a list of statements")
			}
		default:
			b.add(UnknownElement, c, c.KeyPos, c.Key, "unknown element %s; a policy has Version, Id and Statement", quote(clip(c.Key)))
		}
	})
	if !hasStatement {
		b.add(MissingElement, root, root.Pos, "Statement", "the policy has no Statement")
	}
	return p
}

func (b *builder) text(n *Node) *Value {
	if n.Kind != String {
		b.wrong(n, "a string")
		return nil
	}
	return &Value{Text: n.Text, Node: n}
}

func (b *builder) statement(n *Node, index int) *Statement {
	s := &Statement{Index: index, Node: n}
	hasEffect := false
	b.members(n, func(c *Node) {
		switch c.Key {
		case "Sid":
			s.Sid = b.text(c)
		case "Effect":
			hasEffect = true
			if v := b.text(c); v != nil {
				s.Effect = Effect(v.Text)
				if s.Effect != Allow && s.Effect != Deny {
					b.add(InvalidEffect, c, c.Pos, c.Key, "unknown effect %s; want \"Allow\" or \"Deny\", in this case", quote(clip(v.Text)))
				}
			}
		case "Principal":
			s.Principal = b.principal(c)
		case "NotPrincipal":
			s.NotPrincipal = b.principal(c)
		case "Action":
			s.Action = b.strings(c)
		case "NotAction":
			s.NotAction = b.strings(c)
		case "Resource":
			s.Resource = b.strings(c)
		case "NotResource":
			s.NotResource = b.strings(c)
		case "Condition":
			s.HasCondition = true
			s.Conditions = b.conditions(c)
		default:
			b.add(UnknownElement, c, c.KeyPos, c.Key, "unknown element %s in a statement", quote(clip(c.Key)))
		}
	})
	if !hasEffect {
		b.add(MissingElement, n, n.Pos, "Effect", "the statement has no Effect")
	}
	if n.Member("Action") == nil && n.Member("NotAction") == nil {
		b.add(MissingElement, n, n.Pos, "Action", "the statement has neither Action nor NotAction")
	}
	for _, pair := range [][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"}, {"Principal", "NotPrincipal"}} {
		x, y := n.Member(pair[0]), n.Member(pair[1])
		if x == nil || y == nil {
			continue
		}
		if y.KeyPos.Offset < x.KeyPos.Offset {
			x, y = y, x
		}
		b.add(BothElements, y, y.KeyPos, y.Key, "a statement cannot have both %s and %s", pair[0], pair[1])
	}
	return s
}

// strings reads one string or a list of them.
func (b *builder) strings(n *Node) *List {
	l := &List{Node: n}
	switch n.Kind {
	case String:
		l.Values = []Value{{Text: n.Text, Node: n}}
	case Array:
		l.Array = true
		for _, c := range n.Children {
			if c.Kind != String {
				b.wrong(c, "a string")
				continue
			}
			l.Values = append(l.Values, Value{Text: c.Text, Node: c})
		}
	default:
		b.wrong(n, "a string or a list of strings")
	}
	return l
}

func (b *builder) principal(n *Node) *Principal {
	p := &Principal{Node: n}
	switch {
	case n.Kind == String && n.Text == "*":
		p.Everyone = true
	case n.Kind == Object:
		b.members(n, func(c *Node) {
			switch c.Key {
			case PrincipalAWS, PrincipalService, PrincipalFederated, PrincipalCanonicalUser:
			default:
				b.add(InvalidPrincipal, c, c.KeyPos, c.Key, "unknown type of principal %s; want AWS, Service, Federated or CanonicalUser", quote(clip(c.Key)))
			}
			p.Entries = append(p.Entries, &PrincipalEntry{Type: c.Key, List: *b.strings(c)})
		})
	case n.Kind == String:
		b.add(InvalidPrincipal, n, n.Pos, n.Key, "want \"*\" or an object such as {\"AWS\": %s}", quote(clip(n.Text)))
	default:
		b.wrong(n, `"*" or an object such as {"AWS": "arn:…"}`)
	}
	return p
}

func (b *builder) conditions(n *Node) []*Condition {
	if n.Kind != Object {
		b.wrong(n, "an object of condition operators")
		return nil
	}
	var list []*Condition
	b.members(n, func(op *Node) {
		if op.Kind != Object {
			b.wrong(op, "an object of condition keys")
			return
		}
		c := &Condition{Operator: op.Key, Node: op}
		b.members(op, func(k *Node) {
			c.Keys = append(c.Keys, &ConditionKey{Name: k.Key, List: *b.scalars(k)})
		})
		list = append(list, c)
	})
	return list
}

// scalars reads one string, number or boolean or a list of them.
func (b *builder) scalars(n *Node) *List {
	l := &List{Node: n}
	one := func(c *Node) {
		switch c.Kind {
		case String, Number, Bool:
			l.Values = append(l.Values, Value{Text: c.Text, Kind: c.Kind, Node: c})
		default:
			b.wrong(c, "a string, a number or a boolean")
		}
	}
	if n.Kind != Array {
		one(n)
		return l
	}
	l.Array = true
	for _, c := range n.Children {
		one(c)
	}
	return l
}
