package identity

// The versions of the policy language.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
const (
	Version2008 = "2008-10-17"
	Version2012 = "2012-10-17"
)

// Effect is Allow or Deny. ParseLenient may leave another text in it.
type Effect string

// The effects.
const (
	Allow Effect = "Allow"
	Deny  Effect = "Deny"
)

// Policy is a policy document. One made by hand has no nodes and no places and
// prints like one that was read.
type Policy struct {
	Version         *Value // nil: absent, which means Version2008
	ID              *Value
	Statements      []*Statement
	SingleStatement bool // Statement is an object, not a list
	Root            *Node
}

// LanguageVersion returns the version of the policy language that applies.
// Without a Version element that is Version2008.
func (p *Policy) LanguageVersion() string {
	if p.Version == nil {
		return Version2008
	}
	return p.Version.Text
}

// Statement is one statement of a policy. An element that is absent is nil.
type Statement struct {
	Index        int // in the policy, from 0
	Sid          *Value
	Effect       Effect
	Principal    *Principal
	NotPrincipal *Principal
	Action       *List
	NotAction    *List
	Resource     *List
	NotResource  *List
	Conditions   []*Condition
	HasCondition bool // the Condition element is there, even if empty
	Node         *Node
}

// SidText returns the statement's id, or "".
func (s *Statement) SidText() string {
	if s.Sid == nil {
		return ""
	}
	return s.Sid.Text
}

// Pos returns where the statement starts.
func (s *Statement) Pos() Pos { return s.Node.pos() }

// Path returns the statement's path, such as Statement[0].
func (s *Statement) Path() string { return s.Node.Path() }

// Value is a string, a number or a boolean of a policy. Text is the decoded
// string or the literal.
type Value struct {
	Text string
	Kind Kind
	Node *Node
}

// Pos returns where the value starts.
func (v Value) Pos() Pos { return v.Node.pos() }

// Path returns the value's path in the document.
func (v Value) Path() string { return v.Node.Path() }

// List is an element that takes one value or several.
type List struct {
	Values []Value
	Array  bool  // written in brackets
	Node   *Node // the value; Node.KeyPos is where its key stands
}

// NewList makes a list of strings, in brackets unless it is one.
func NewList(texts ...string) *List {
	l := &List{Array: len(texts) != 1}
	for _, t := range texts {
		l.Values = append(l.Values, Value{Text: t})
	}
	return l
}

// Texts returns the values' texts.
func (l *List) Texts() []string {
	if l == nil {
		return nil
	}
	texts := make([]string, len(l.Values))
	for i, v := range l.Values {
		texts[i] = v.Text
	}
	return texts
}

// Pos returns where the element's value starts.
func (l *List) Pos() Pos { return l.Node.pos() }

// Path returns the element's path.
func (l *List) Path() string { return l.Node.Path() }

// The types of principal that a Principal element may name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
const (
	PrincipalAWS           = "AWS"
	PrincipalService       = "Service"
	PrincipalFederated     = "Federated"
	PrincipalCanonicalUser = "CanonicalUser"
)

// Principal is a Principal or NotPrincipal element.
type Principal struct {
	Everyone bool // "*" instead of an object
	Entries  []*PrincipalEntry
	Node     *Node
}

// NewPrincipal makes an element that names principals of one type.
func NewPrincipal(typ string, names ...string) *Principal {
	return &Principal{Entries: []*PrincipalEntry{{Type: typ, List: *NewList(names...)}}}
}

// Pos returns where the element's value starts.
func (p *Principal) Pos() Pos { return p.Node.pos() }

// Path returns the element's path.
func (p *Principal) Path() string { return p.Node.Path() }

// PrincipalEntry is the list of principals of one type.
type PrincipalEntry struct {
	Type string
	List
}

// Condition is one operator of a Condition element with its keys.
type Condition struct {
	Operator string // as written: ForAllValues:StringEqualsIfExists
	Keys     []*ConditionKey
	Node     *Node
}

// Pos returns where the operator's object starts; Node.KeyPos is the operator.
func (c *Condition) Pos() Pos { return c.Node.pos() }

// ConditionKey is a condition key with the values it is compared with.
type ConditionKey struct {
	Name string // as written
	List
}

func (n *Node) pos() Pos {
	if n == nil {
		return Pos{}
	}
	return n.Pos
}
