package sigma

import (
	"net/netip"
	"slices"

	"github.com/bartizan-security/bartizan/detect/event"
)

// NodeOp says what a Node is.
type NodeOp uint8

// The kinds of Node.
const (
	NodeTest    NodeOp = iota // a field, or keywords, and what it is compared to
	NodeAnd                   // all of the kids
	NodeOr                    // any of the kids
	NodeNot                   // not its one kid
	NodeAtLeast               // at least N of the kids
)

// Node is a read-only view of a rule's compiled condition, for what translates
// rules: filters are laid over it, quantifiers and names are resolved.
type Node struct {
	Op   NodeOp
	N    int // of NodeAtLeast; in Correlation.Logic the number of the rule
	Kids []*Node
	Test *Test // of NodeTest
}

// TestKind says how a Test compares.
type TestKind uint8

// The kinds of Test.
const (
	TestText TestKind = iota
	TestExists
	TestRegexp
	TestNetwork
	TestNumber // also TestText can hold numbers, for equality
	TestTime
	TestField // with the value of another field
)

// Test is one field, or keywords, with what it is compared to.
type Test struct {
	Field    string // "" for keywords: anywhere in the record
	Source   string // as written: field|modifiers
	Kind     TestKind
	All      bool // every value must be there, not any
	Negate   bool // the modifier neq: the test as a whole is negated
	Cased    bool
	Null     bool // null, or a missing field, is among the values
	Exists   bool // of TestExists
	Patterns []Pattern
	Numbers  []Comparison
	Regexps  []Expression
	Networks []netip.Prefix
	Fields   []string // of TestField
}

// Pattern is one text as the rule writes it, not folded. Value is the number of
// the value that it comes from: with Test.All, one pattern of each must match.
type Pattern struct {
	Tokens []Token
	Value  int
}

// Token is literal text, any text (*), or one character (?).
type Token struct {
	Literal  string
	Any, One bool
}

// Comparison is a number to compare with: Op is lt, lte, gt, gte, or "" for
// equality.
type Comparison struct {
	Op   string
	Want float64
	Text string
}

// Expression is a regular expression of Go's syntax, flags included. Needs is a
// text that every match contains, or "".
type Expression struct{ Source, Needs string }

// Match reports whether a text matches, regard to case as the test says.
func (p Pattern) Match(text string, cased bool) bool {
	var tokens []token
	for _, t := range p.Tokens {
		tokens = append(tokens, token{t.Literal, t.Any, t.One})
	}
	b := []byte(text)
	if !cased {
		b = fold(nil, b)
	}
	return compilePattern(tokens, cased).match(b)
}

// Condition returns the condition of a compiled detection as a tree; nil for
// other rules. Several conditions are alternatives.
func (r *Rule) Condition() *Node {
	if len(r.conditions) == 0 {
		return nil
	}
	var kids []*Node
	for _, c := range r.conditions {
		kids = append(kids, c.view())
	}
	if len(kids) == 1 {
		return kids[0]
	}
	return &Node{Op: NodeOr, Kids: kids}
}

func (e *expr) view() *Node {
	n := &Node{N: e.n}
	switch e.op {
	case opItem:
		if e.item != nil { // in the condition of a correlation it is a rule
			n.Test = e.item.view()
		}
		return n
	case opNamed:
		return e.kids[0].view()
	case opAnd:
		n.Op = NodeAnd
	case opOr:
		n.Op = NodeOr
	case opNot:
		n.Op = NodeNot
	case opCount:
		n.Op = NodeAtLeast
	}
	for _, k := range e.kids {
		n.Kids = append(n.Kids, k.view())
	}
	return n
}

func (it *item) view() *Test {
	t := &Test{
		Field: it.field, Source: it.source, All: it.all, Negate: it.negate, Cased: it.cased, Null: it.null,
		Exists: it.exists, Networks: slices.Clone(it.networks), Patterns: slices.Clone(it.written),
		Kind: map[itemKind]TestKind{matchText: TestText, matchExistence: TestExists, matchRegexp: TestRegexp,
			matchNetwork: TestNetwork, matchNumber: TestNumber, matchTime: TestTime, matchField: TestField}[it.kinds],
	}
	for _, n := range it.numbers {
		t.Numbers = append(t.Numbers, Comparison{n.op, n.want, n.text})
	}
	for _, re := range it.regexps {
		t.Regexps = append(t.Regexps, Expression{re.String(), string(re.needs)})
	}
	for _, r := range it.refs {
		t.Fields = append(t.Fields, r.path)
	}
	return t
}

func viewTokens(tokens []token) []Token {
	out := make([]Token, len(tokens))
	for i, t := range tokens {
		out[i] = Token{t.lit, t.any, t.one}
	}
	return out
}

// Below returns the rules that a correlation refers to, in its order; nil for
// other rules.
func (r *Rule) Below() []*Rule {
	if r.Correlation == nil {
		return nil
	}
	return slices.Clone(r.Correlation.rules)
}

// FieldOf returns the field that a name in group-by or field stands for in the
// events of one of the correlation's rules: where it is an alias, what that says.
func (c *Correlation) FieldOf(name string, r *Rule) string {
	field, err := c.path(name, r)
	if err != nil { // such a correlation is not compiled
		return name
	}
	return field
}

// Logic returns the boolean condition of a temporal correlation as a tree: a
// NodeTest holds where the rule with its number N has matched. It is nil where
// the correlation has none.
func (c *Correlation) Logic() *Node {
	if c.logic == nil {
		return nil
	}
	return c.logic.view()
}

// Base returns the detections that a correlation counts, also those below
// correlations that it refers to, each once.
func (r *Rule) Base() []*Rule {
	var out []*Rule
	seen := map[*Rule]bool{}
	var visit func(r *Rule)
	visit = func(r *Rule) {
		for _, b := range r.Correlation.rules {
			switch {
			case seen[b]:
			case b.Correlation == nil:
				out = append(out, b)
			default:
				seen[b] = true // also where it refers to itself
				visit(b)
			}
			seen[b] = true
		}
	}
	if r.Correlation != nil {
		visit(r)
	}
	return out
}

// Values returns the texts that an event must have in a field for the rule to
// match, as written; known is false where it may be any. It is how a rule is
// told to be about certain calls: Values("eventName").
func (r *Rule) Values(field string) (values []string, known bool) {
	n := r.Condition()
	if n == nil {
		return nil, false
	}
	values, known = n.values(field)
	slices.Sort(values)
	return slices.Compact(values), known
}

func (n *Node) values(field string) ([]string, bool) {
	switch n.Op {
	case NodeTest:
		t := n.Test
		if t.Field != field || t.Negate || t.All || t.Null || t.Kind != TestText || len(t.Numbers) > 0 || len(t.Patterns) == 0 {
			return nil, false
		}
		var out []string
		for _, p := range t.Patterns {
			s := ""
			for _, k := range p.Tokens {
				switch {
				case k.Any:
					s += "*"
				case k.One:
					s += "?"
				default:
					s += k.Literal
				}
			}
			out = append(out, s)
		}
		return out, true
	case NodeAnd:
		var best []string
		found := false
		for _, k := range n.Kids {
			if v, ok := k.values(field); ok && (!found || len(v) < len(best)) {
				best, found = v, true
			}
		}
		return best, found
	case NodeOr:
		var out []string
		for _, k := range n.Kids {
			v, ok := k.values(field)
			if !ok {
				return nil, false
			}
			out = append(out, v...)
		}
		return out, len(n.Kids) > 0
	}
	return nil, false
}

// Logs returns the kinds of log that a rule reads; for a correlation, those of
// the detections below it.
func (r *Rule) Logs() []event.Kind {
	if r.Correlation == nil {
		return r.Kinds()
	}
	var out []event.Kind
	for _, b := range r.Base() {
		for _, k := range b.Kinds() {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// Bounds returns the comparisons of a correlation's condition.
func (c *Correlation) Bounds() []Comparison {
	var out []Comparison
	for _, t := range c.tests {
		out = append(out, Comparison{t.op, t.want, t.text})
	}
	return out
}
