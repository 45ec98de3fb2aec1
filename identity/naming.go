package identity

// Naming says how a Principal element names a caller. What a resource policy
// grants depends on it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
type Naming uint8

// The ways of naming, the strongest last but one.
const (
	NotNamed     Naming = iota
	NamedAccount        // the caller's account: the account's own policies decide
	NamedRole           // the role behind the session: boundary and session policy limit it
	NamedDirect         // the user, the session, the service, everyone
	NamedUnknown        // a canonical user id, which only S3 can resolve
)

// NamingOf says how a statement names the caller of a request, as Evaluate sees
// it for this stack: a session policy makes of a user a federated session, and a
// boundary defeats the exemption of NotPrincipal. A statement without principals
// names everyone.
func (s *Stack) NamingOf(st *Statement, r *Request) (Naming, error) {
	caller, err := ParseCaller(r.Principal)
	if err != nil {
		return NotNamed, err
	}
	c := statement{source: st, deny: st.Effect == Deny}
	c.compilePrincipals()
	how, sure := c.principal(&evaluation{req: r, stack: s, caller: caller})
	switch sure {
	case no:
		return NotNamed, nil
	case maybe:
		return NamedUnknown, nil
	}
	return how, nil
}

// compilePrincipals reads the Principal or NotPrincipal element.
func (c *statement) compilePrincipals() {
	switch s := c.source; {
	case s.Principal != nil:
		c.hasPrincipal = true
		c.principals = compilePrincipal(s.Principal)
	case s.NotPrincipal != nil:
		c.hasPrincipal, c.notPrincipal = true, true
		c.principals = compilePrincipal(s.NotPrincipal)
	}
}
