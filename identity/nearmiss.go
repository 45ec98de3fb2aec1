package identity

import "strings"

// NearMiss is a statement that would have allowed a request but for one of its
// elements. It tells why a request is denied, and what the smallest change is.
type NearMiss struct {
	StatementRef
	Element   string        // Principal, Action, Resource or Condition, Not in front if the statement has it so
	Condition *ConditionKey // the key that fails, for Condition
	Operator  string        // and its operator
	Values    []string      // what the request has for the key; nil if it is absent
}

// maxNearMisses bounds the answer of NearMisses.
const maxNearMisses = 50

// NearMisses lists the allow statements of a stack that fail on exactly one
// element, in the order of the layers. Statements that fail on their action only
// count if they are about the same service. It is slower than Evaluate, and
// meant for requests that were denied.
func NearMisses(req *Request, stack *Stack) ([]NearMiss, error) {
	e := &evaluation{req: req, stack: stack}
	if err := e.start(); err != nil {
		return nil, err
	}
	var list []NearMiss
	visit := func(docs ...*Document) {
		for _, d := range docs {
			for i := range d.statements {
				if m, ok := e.nearMiss(&d.statements[i]); ok && len(list) < maxNearMisses {
					list = append(list, m)
				}
			}
		}
	}
	if e.underServiceControl() {
		for _, level := range stack.ServiceControl {
			visit(level...)
		}
	}
	visit(stack.Endpoint...)
	if stack.Resource != nil {
		visit(stack.Resource)
	}
	if e.caller.inAccount() {
		visit(stack.Identity...)
		visit(stack.Boundaries...)
		visit(stack.Session...)
	}
	return list, nil
}

func (e *evaluation) nearMiss(s *statement) (NearMiss, bool) {
	m := NearMiss{StatementRef: StatementRef{s.doc.Layer, s.doc, s.source}}
	if s.deny {
		return m, false
	}
	failing := 0
	fail := func(element string, not bool) {
		failing++
		if m.Element = element; not {
			m.Element = "Not" + element
		}
	}
	if _, t := s.principal(e); t == no {
		fail("Principal", s.notPrincipal)
	}
	matched, sameService := false, s.notAction
	for i := range s.actions {
		matched = matched || s.actions[i].match(e)
		sameService = sameService || s.actions[i].split && strings.EqualFold(s.actions[i].service, e.service)
	}
	if matched == s.notAction {
		if !sameService {
			return m, false
		}
		fail("Action", s.notAction)
	}
	if s.hasResource && s.resource(e) == no {
		fail("Resource", s.notResource)
	}
	for i := range s.conditions {
		c := &s.conditions[i]
		if c.holds(e) != no {
			continue
		}
		fail("Condition", false)
		m.Condition, m.Operator = c.source, c.op.String()
		m.Values, _ = e.lookup(&c.key)
	}
	if failing != 1 {
		return m, false
	}
	if m.Element != "Condition" {
		m.Condition, m.Operator, m.Values = nil, "", nil
	}
	m.Values = append([]string(nil), m.Values...)
	return m, true
}

// String says in a few words what fails.
func (m NearMiss) String() string {
	s := describe([]StatementRef{m.StatementRef})
	if m.Condition == nil {
		return s + " fails on its " + m.Element
	}
	s += " fails on its condition " + m.Operator + " " + m.Condition.Name + ": want " + strings.Join(m.Condition.Texts(), " or ")
	if len(m.Values) == 0 {
		return s + ", but the request does not carry the key"
	}
	return s + ", but the request has " + strings.Join(m.Values, ", ")
}
