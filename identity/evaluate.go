package identity

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Stack is every policy that takes part in a request. A nil or empty field
// means that no such policy applies.
type Stack struct {
	Identity   []*Document // inline, managed and group policies: any may allow
	Boundaries []*Document // each must allow
	Session    []*Document // together the session's policies: any may allow
	// The control policies are one list per level, from the organization's root
	// down to the account. A level must allow, so a level without policies
	// denies everything (service control) or nothing (resource control).
	ServiceControl  [][]*Document
	ResourceControl [][]*Document
	Resource        *Document   // the resource's policy, a role's trust policy, a key policy
	Endpoint        []*Document // of the VPC endpoint: each must allow
	Grants          []Grant     // of a KMS key
	S3              *S3Access   // access lists and block public access of a bucket
}

// ErrRequest is wrapped by every error about a request that cannot be evaluated.
var ErrRequest = errors.New("malformed request")

// evaluation is the state of one call of Evaluate.
type evaluation struct {
	req     *Request
	stack   *Stack
	caller  Caller // of its Name, also from one call to the next
	owner   string // the account of the resource
	target  string // the resource that statements are compared with
	facts   actionFacts
	service string                 // of the action, in lower case
	name    string                 // of the action, as given
	derived [derivedKeys][1]string // values of the keys that the request implies

	hits  [24]hit
	count int
	more  []hit
}

// hit is a statement that matches, or may.
type hit struct {
	stmt  *statement
	layer Layer
	sure  tri
}

func (e *evaluation) record(s *statement, t tri) {
	h := hit{s, s.doc.Layer, t}
	if e.count < len(e.hits) {
		e.hits[e.count] = h
		e.count++
		return
	}
	e.more = append(e.more, h)
}

func (e *evaluation) each(visit func(h *hit)) {
	for i := range e.count {
		visit(&e.hits[i])
	}
	for i := range e.more {
		visit(&e.more[i])
	}
}

// said is what one layer says.
type said struct{ deny, allow tri }

// granted is what a resource policy allows, by the way it names the caller.
type granted struct{ deny, direct, role, account tri }

func (g granted) any() tri { return g.direct.or(g.role).or(g.account) }

// ask decides a set of documents of which any may allow.
func (e *evaluation) ask(docs []*Document) (s said) {
	for _, d := range docs {
		one := e.askOne(d)
		s.deny, s.allow = s.deny.or(one.deny), s.allow.or(one.allow)
	}
	return s
}

func (e *evaluation) askOne(d *Document) (s said) {
	for _, st := range d.candidates(e.service) {
		_, t := st.principal(e)
		if t == no {
			continue
		}
		if t = t.and(st.applies(e)); t == no {
			continue
		}
		e.record(st, t)
		if st.deny {
			s.deny = s.deny.or(t)
		} else {
			s.allow = s.allow.or(t)
		}
	}
	return s
}

// askEach decides a set of documents each of which must allow.
func (e *evaluation) askEach(docs []*Document) said {
	s := said{allow: yes}
	for _, d := range docs {
		one := e.askOne(d)
		s.deny, s.allow = s.deny.or(one.deny), s.allow.and(one.allow)
	}
	return s
}

func (e *evaluation) askLevels(levels [][]*Document) said {
	s := said{allow: yes}
	for _, level := range levels {
		one := e.ask(level)
		s.deny, s.allow = s.deny.or(one.deny), s.allow.and(one.allow)
	}
	return s
}

func (e *evaluation) askResource(d *Document) (g granted) {
	for _, st := range d.candidates(e.service) {
		how, t := st.principal(e)
		if t == no {
			continue
		}
		if t = t.and(st.applies(e)); t == no {
			continue
		}
		e.record(st, t)
		switch {
		case st.deny:
			g.deny = g.deny.or(t)
		case how == NamedDirect:
			g.direct = g.direct.or(t)
		case how == NamedRole:
			g.role = g.role.or(t)
		default:
			g.account = g.account.or(t)
		}
	}
	return g
}

// hasBoundary reports whether a permissions boundary limits the caller.
func (s *Stack) hasBoundary(e *evaluation) bool {
	switch e.caller.Kind {
	case UserCaller, RoleCaller, SessionCaller, FederatedUserCaller:
		return len(s.Boundaries) > 0
	}
	return false
}

// Evaluate decides a request. It is a pure function of its arguments. An error
// means that the request makes no sense (no such kind of principal, no action)
// and wraps ErrRequest or ErrPrincipal; there is no decision then.
func Evaluate(req *Request, stack *Stack) (Decision, error) {
	e := evaluations.Get().(*evaluation)
	e.req, e.stack = req, stack
	defer e.free()
	if err := e.start(); err != nil {
		return Decision{}, err
	}
	d := e.decide()
	if d.Outcome == Unknown {
		d = e.byCases(d)
	}
	return d, nil
}

// evaluations are reused, so that a decision costs no memory but its own.
var evaluations = sync.Pool{New: func() any { return new(evaluation) }}

func (e *evaluation) free() {
	e.req, e.stack, e.more = nil, nil, nil
	clear(e.hits[:e.count])
	e.count = 0
	evaluations.Put(e)
}

func (e *evaluation) start() error {
	var err error
	if e.caller.Name == "" || e.caller.Name != e.req.Principal {
		if e.caller, err = ParseCaller(e.req.Principal); err != nil {
			e.caller = Caller{}
			return err
		}
	}
	service, name, ok := strings.Cut(e.req.Action, ":")
	if !ok || service == "" || name == "" || strings.ContainsAny(e.req.Action, "*? ") {
		return fmt.Errorf("action %q: %w: want one action such as s3:GetObject", clip(e.req.Action), ErrRequest)
	}
	e.service, e.name = strings.ToLower(service), name
	e.facts = lookUpAction(e.req.Action, e.service)
	// An action without resource-level permissions is asked for on *, whatever
	// the request names.
	if e.target = e.req.Resource; e.facts.anyResource != "" {
		e.target = e.facts.anyResource
	}
	if e.req.Resource == "" {
		return fmt.Errorf("%w: the resource is missing; give an ARN, or * for an action that has none", ErrRequest)
	}
	if a := e.req.ResourceAccount; a != "" && !isAccountID(a) {
		return fmt.Errorf("resource account %q: %w: want twelve digits", clip(a), ErrRequest)
	}
	e.owner = e.req.ResourceAccount
	if e.owner == "" {
		if seg, ok := splitARN(e.req.Resource); ok && isAccountID(seg[4]) {
			e.owner = seg[4]
		} else {
			e.owner = e.caller.AccountID
		}
	}
	return nil
}

// decide combines the layers.
func (e *evaluation) decide() Decision {
	var d Decision
	if reason, ok := e.needsNoPermission(); ok {
		d.Outcome, d.DecidedBy, d.reason = Allowed, NoPermissionNeeded, reason
		return d
	}
	s, c := e.stack, &e.caller
	deny, gate := no, yes // gate: what every request must pass
	refused := Layer("")  // the first layer that does not let the request pass
	pass := func(l Layer, v said) {
		d.layers[layerIndex(l)] = verdictOf(v)
		deny = deny.or(v.deny)
		if v.allow < gate {
			gate, refused = v.allow, l
		}
	}
	if len(s.ResourceControl) > 0 && e.underResourceControl() {
		v := e.askLevels(s.ResourceControl)
		v.allow = yes // RCPFullAWSAccess is attached everywhere and cannot be detached
		pass(ResourceControlPolicy, v)
	}
	if len(s.ServiceControl) > 0 && e.underServiceControl() {
		pass(ServiceControlPolicy, e.askLevels(s.ServiceControl))
	}
	if len(s.Endpoint) > 0 {
		pass(EndpointPolicy, e.askEach(s.Endpoint))
	}

	var g granted
	if s.Resource != nil {
		g = e.askResource(s.Resource)
		d.layers[layerIndex(ResourcePolicy)] = verdictOf(said{g.deny, g.any()})
		deny = deny.or(g.deny)
	}
	if s.S3 != nil {
		g = e.throughS3(g)
	}
	g.direct = g.direct.or(e.askGrants())

	identity, boundary, session := said{}, said{allow: yes}, said{allow: yes}
	if c.inAccount() {
		identity, boundary, session = e.askCaller(&d)
		deny = deny.or(identity.deny).or(boundary.deny).or(session.deny)
	}
	own := identity.allow.and(boundary.allow).and(session.allow)
	limited := g.role.and(boundary.allow).and(session.allow)
	same := c.inAccount() && c.AccountID == e.owner
	var allow tri
	switch {
	case !c.inAccount():
		allow = g.any()
	case same && e.needsResourcePolicy():
		allow = g.direct.or(limited).or(g.account.and(own))
	case same:
		allow = g.direct.or(limited).or(own)
	default:
		allow = g.any().and(own)
	}
	total := gate.and(allow)
	switch {
	case deny == yes:
		d.Outcome = ExplicitDeny
	case total == no:
		d.Outcome = ImplicitDeny
	case deny == no && total == yes:
		d.Outcome = Allowed
	default:
		d.Outcome = Unknown
	}
	e.explain(&d, outcomeParts{
		gate: gate, refused: refused, allow: allow, granted: g,
		identity: identity.allow, boundary: boundary.allow, session: session.allow, own: own, same: same,
	})
	return d
}

// askCaller asks the policies of the caller's side.
func (e *evaluation) askCaller(d *Decision) (identity, boundary, session said) {
	s := e.stack
	boundary.allow, session.allow = yes, yes
	if e.caller.Kind == RootCaller {
		// The root user has full access to the account and no policies of its own.
		identity.allow = yes
		if e.service == "sts" && strings.EqualFold(e.name, "AssumeRole") {
			identity.allow = no // a root user cannot assume a role
		}
		return identity, boundary, session
	}
	identity = e.ask(s.Identity)
	if len(s.Identity) > 0 {
		d.layers[layerIndex(IdentityPolicy)] = verdictOf(identity)
	}
	if len(s.Boundaries) > 0 {
		boundary = e.askEach(s.Boundaries)
		d.layers[layerIndex(PermissionsBoundary)] = verdictOf(boundary)
	}
	switch {
	case len(s.Session) > 0:
		session = e.ask(s.Session)
		d.layers[layerIndex(SessionPolicy)] = verdictOf(session)
	case e.caller.Kind == FederatedUserCaller:
		session.allow = no // a federated session without a policy has no permissions
	}
	return identity, boundary, session
}
