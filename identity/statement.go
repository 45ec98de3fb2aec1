package identity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Layer is one of the kinds of policy that decide a request together.
type Layer string

// The layers, in the order in which AWS describes their evaluation.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
const (
	ResourceControlPolicy Layer = "resourceControlPolicy"
	ServiceControlPolicy  Layer = "serviceControlPolicy"
	EndpointPolicy        Layer = "endpointPolicy"
	ResourcePolicy        Layer = "resourcePolicy"
	IdentityPolicy        Layer = "identityPolicy"
	PermissionsBoundary   Layer = "permissionsBoundary"
	SessionPolicy         Layer = "sessionPolicy"
)

// Document is a policy compiled for a layer. It is immutable and safe for
// concurrent use; one document can stand in many stacks.
type Document struct {
	Name       string // how decisions name it
	Layer      Layer
	Policy     *Policy
	statements []statement
	services   map[string][]*statement // by lower-case service: all that may match it
	few        []serviceStatements     // the same when there are few services: faster
	always     []*statement            // for a service that no statement names
}

// serviceStatements are the statements that may match one service.
type serviceStatements struct {
	service    string
	statements []*statement
}

// statement is a compiled statement.
type statement struct {
	source       *Statement
	doc          *Document
	deny         bool
	notAction    bool
	actions      []actionPattern
	hasResource  bool
	notResource  bool
	resources    []textPattern
	hasPrincipal bool
	notPrincipal bool
	principals   []principalRef
	conditions   []condition
}

// actionPattern is one entry of Action or NotAction, in lower case.
type actionPattern struct {
	all     bool // *
	service string
	name    Pattern
	anyName bool // service:*
	whole   Pattern
	split   bool // service and name are set; otherwise whole is
}

func compileAction(s string) (actionPattern, error) {
	lower := strings.ToLower(s)
	if strings.Trim(lower, "*") == "" && lower != "" {
		return actionPattern{all: true}, nil
	}
	service, name, ok := strings.Cut(lower, ":")
	switch {
	case !ok || service == "" || name == "":
		return actionPattern{}, fmt.Errorf("the action %s has no service; want one such as s3:GetObject", quote(clip(s)))
	case strings.ContainsAny(service, "*?"):
		return actionPattern{whole: NewPattern(lower)}, nil
	}
	p := actionPattern{split: true, service: service, name: NewPattern(name)}
	p.anyName = p.name.MatchesAll()
	return p, nil
}

func (p *actionPattern) match(e *evaluation) bool {
	switch {
	case p.all:
		return true
	case !p.split:
		return p.whole.matchFold(e.req.Action)
	}
	return e.service == p.service && (p.anyName || p.name.matchFold(e.name))
}

// Compile prepares a policy for a layer. It refuses what AWS refuses there: an
// operator that does not exist, a Principal in an identity policy. The error is
// a *SyntaxError.
func Compile(p *Policy, layer Layer, name string) (*Document, error) {
	d := &Document{Name: name, Layer: layer, Policy: p, statements: make([]statement, len(p.Statements))}
	for i, s := range p.Statements {
		if err := d.compile(&d.statements[i], s); err != nil {
			return nil, err
		}
	}
	d.index()
	return d, nil
}

// ParseDocument is ParsePolicy and Compile.
func ParseDocument(data []byte, layer Layer, name string) (*Document, error) {
	p, err := ParsePolicy(data)
	if err != nil {
		return nil, err
	}
	return Compile(p, layer, name)
}

// AllowAll returns a policy that allows everything, in a layer that takes
// principals to everyone.
func AllowAll(layer Layer, name string) *Document {
	s := &Statement{Effect: Allow, Action: NewList("*"), Resource: NewList("*")}
	if layer == ResourcePolicy || layer == ResourceControlPolicy {
		s.Principal = &Principal{Everyone: true}
	}
	d, err := Compile(&Policy{Version: &Value{Text: Version2012}, Statements: []*Statement{s}}, layer, name)
	if err != nil {
		panic(err) // it does not depend on input
	}
	return d
}

func misplaced(n *Node, format string, args ...any) *SyntaxError {
	return &SyntaxError{Pos: n.pos(), Path: n.Path(), Msg: fmt.Sprintf(format, args...)}
}

func (d *Document) compile(c *statement, s *Statement) error {
	c.source, c.doc, c.deny = s, d, s.Effect == Deny
	version := d.Policy.LanguageVersion()
	needsPrincipal := d.Layer == ResourcePolicy || d.Layer == ResourceControlPolicy
	switch {
	case s.Action == nil && s.NotAction == nil:
		return misplaced(s.Node, "a statement needs an Action")
	case needsPrincipal && s.Principal == nil && s.NotPrincipal == nil:
		return misplaced(s.Node, "a statement of %s needs a Principal", d.Layer.article())
	case !needsPrincipal && d.Layer != EndpointPolicy && (s.Principal != nil || s.NotPrincipal != nil):
		return misplaced(s.Node, "a statement of %s cannot have a Principal", d.Layer.article())
	case needsPrincipal || d.Layer == EndpointPolicy || s.Resource != nil || s.NotResource != nil:
	default:
		return misplaced(s.Node, "a statement of %s needs a Resource", d.Layer.article())
	}
	actions := s.Action
	if s.NotAction != nil {
		actions, c.notAction = s.NotAction, true
	}
	for _, v := range actions.Values {
		a, err := compileAction(v.Text)
		if err != nil {
			return misplaced(v.Node, "%s", err)
		}
		c.actions = append(c.actions, a)
	}
	resources := s.Resource
	if s.NotResource != nil {
		resources, c.notResource = s.NotResource, true
	}
	if resources != nil {
		c.hasResource = true
		for _, v := range resources.Values {
			c.resources = append(c.resources, newTextPattern(v.Text, version, true))
		}
	}
	c.compilePrincipals()
	for _, op := range s.Conditions {
		for _, k := range op.Keys {
			cond, err := compileCondition(op.Operator, k, version)
			if err != nil {
				at := misplaced(op.Node, "%s", err)
				if op.Node != nil {
					at.Pos = op.Node.KeyPos
				}
				return at
			}
			c.conditions = append(c.conditions, cond)
		}
	}
	return nil
}

// index sorts the statements by the services that they name. A document far
// beyond every quota is not indexed, which bounds the memory that it takes.
func (d *Document) index() {
	const most = 2000
	if len(d.statements) > most {
		for i := range d.statements {
			d.always = append(d.always, &d.statements[i])
		}
		return
	}
	d.services = map[string][]*statement{}
	for i := range d.statements {
		for j := range d.statements[i].actions {
			if a := &d.statements[i].actions[j]; a.split && !d.statements[i].notAction {
				if d.services[a.service] = nil; len(d.services) > most {
					d.services = nil
					for i := range d.statements {
						d.always = append(d.always, &d.statements[i])
					}
					return
				}
			}
		}
	}
	for i := range d.statements {
		s := &d.statements[i]
		everywhere := s.notAction
		named := map[string]bool{}
		for j := range s.actions {
			if s.actions[j].split {
				named[s.actions[j].service] = true
			} else {
				everywhere = true
			}
		}
		for service := range d.services {
			if everywhere || named[service] {
				d.services[service] = append(d.services[service], s)
			}
		}
		if everywhere {
			d.always = append(d.always, s)
		}
	}
	const few = 12
	if len(d.services) <= few {
		for _, service := range slices.Sorted(maps.Keys(d.services)) {
			d.few = append(d.few, serviceStatements{service, d.services[service]})
		}
		d.services = nil
	}
}

// candidates returns the statements that may match the request's service.
func (d *Document) candidates(service string) []*statement {
	if d.services == nil {
		for i := range d.few {
			if d.few[i].service == service {
				return d.few[i].statements
			}
		}
		return d.always
	}
	if list, ok := d.services[service]; ok {
		return list
	}
	return d.always
}

// applies decides everything of a statement but its principal.
func (s *statement) applies(e *evaluation) tri {
	matched := false
	for i := range s.actions {
		if s.actions[i].match(e) {
			matched = true
			break
		}
	}
	if matched == s.notAction {
		return no
	}
	t := yes
	if s.hasResource {
		if t = s.resource(e); t == no {
			return no
		}
	}
	for i := range s.conditions {
		if t = t.and(s.conditions[i].holds(e)); t == no {
			return no
		}
	}
	return t
}

func (s *statement) resource(e *evaluation) tri {
	best := no
	for i := range s.resources {
		if best = best.or(s.resources[i].match(e, e.target)); best == yes {
			break
		}
	}
	if s.notResource {
		return best.not()
	}
	return best
}

// principal decides how the statement names the caller, and how surely.
func (s *statement) principal(e *evaluation) (Naming, tri) {
	if !s.hasPrincipal {
		return NamedDirect, yes
	}
	if !s.notPrincipal {
		m := namedBy(s.principals, e)
		switch m {
		case NotNamed:
			return NotNamed, no
		case NamedUnknown:
			return NamedAccount, maybe
		}
		return m, yes
	}
	if s.deny {
		if e.stack.hasBoundary(e) {
			return NamedDirect, yes // a boundary defeats the exemption
		}
		return NamedDirect, exceptedBy(s.principals, e).not()
	}
	switch namedBy(s.principals, e) {
	case NotNamed:
		return NamedDirect, yes
	case NamedUnknown:
		return NamedDirect, maybe
	}
	return NotNamed, no
}
