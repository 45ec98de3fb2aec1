package identity

import (
	"errors"
	"fmt"
	"strings"
)

// CallerKind is the kind of principal that makes a request.
type CallerKind uint8

// The kinds of caller.
const (
	AnonymousCaller CallerKind = iota
	RootCaller                 // the account's root user
	UserCaller
	RoleCaller          // a session of a role whose session name is not known
	SessionCaller       // arn:aws:sts::account:assumed-role/role/session
	FederatedUserCaller // arn:aws:sts::account:federated-user/name
	ServiceCaller       // lambda.amazonaws.com
	ProviderCaller      // who comes with the token of a SAML or OpenID Connect provider
)

func (k CallerKind) String() string {
	return [...]string{"anonymous caller", "account root user", "user", "role", "role session", "federated user", "service", "identity provider"}[k]
}

// ErrPrincipal is wrapped by every error of ParseCaller.
var ErrPrincipal = errors.New("not a principal")

// Caller is a parsed principal of a request.
type Caller struct {
	Kind      CallerKind
	Name      string // as given
	Partition string
	AccountID string
	Role      string // the role's name without its path
	Session   string
	User      string // the user's or federated user's name without its path
	Path      string // of a user or role: "/" or "/team/"; "" if not known
}

// ParseCaller reads the principal of a request: the ARN of a user, a role, a
// role session, a federated user, an account's root or an identity provider;
// twelve digits for an account's root; a service principal; or * for an
// anonymous caller.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func ParseCaller(s string) (Caller, error) {
	c := Caller{Name: s}
	switch {
	case s == "*":
		return c, nil
	case isAccountID(s):
		c.Kind, c.Partition, c.AccountID = RootCaller, "aws", s
		return c, nil
	case !strings.HasPrefix(s, "arn:"):
		if isHostName(s) {
			c.Kind = ProviderCaller
			if isService(s) {
				c.Kind = ServiceCaller
			}
			return c, nil
		}
		return c, fmt.Errorf("parse %q: %w: want an ARN, a service such as lambda.amazonaws.com, or * for an anonymous caller", clip(s), ErrPrincipal)
	}
	seg, ok := splitARN(s)
	if !ok || !isAccountID(seg[4]) || seg[3] != "" {
		return c, fmt.Errorf("parse %q: %w: want arn:aws:iam::ACCOUNT:user/NAME or another principal of an account of twelve digits", clip(s), ErrPrincipal)
	}
	c.Partition, c.AccountID = seg[1], seg[4]
	typ, id, _ := strings.Cut(seg[5], "/")
	slash := strings.LastIndexByte(id, '/')
	switch {
	case seg[2] == "iam" && seg[5] == "root":
		c.Kind = RootCaller
		return c, nil
	case seg[2] == "iam" && typ == "user" && id[slash+1:] != "":
		c.Kind, c.User, c.Path = UserCaller, id[slash+1:], "/"+id[:slash+1]
		return c, nil
	case seg[2] == "iam" && typ == "role" && id[slash+1:] != "":
		c.Kind, c.Role, c.Path = RoleCaller, id[slash+1:], "/"+id[:slash+1]
		return c, nil
	case seg[2] == "iam" && (typ == "saml-provider" || typ == "oidc-provider") && id != "":
		c.Kind = ProviderCaller
		return c, nil
	case seg[2] == "sts" && typ == "federated-user" && id != "":
		c.Kind, c.User = FederatedUserCaller, id
		return c, nil
	case seg[2] == "sts" && typ == "assumed-role":
		role, session, ok := strings.Cut(id, "/")
		if ok && role != "" && session != "" && !strings.Contains(session, "/") {
			c.Kind, c.Role, c.Session = SessionCaller, role, session
			return c, nil
		}
	}
	return c, fmt.Errorf("parse %q: %w: want a user, role, assumed-role, federated-user, saml-provider, oidc-provider or root", clip(s), ErrPrincipal)
}

// splitARN cuts an ARN into its six segments.
func splitARN(s string) (seg [6]string, ok bool) {
	if !strings.HasPrefix(s, "arn:") {
		return seg, false
	}
	n, start := 0, 0
	for i := 0; i < len(s) && n < 5; i++ {
		if s[i] == ':' {
			seg[n] = s[start:i]
			n++
			start = i + 1
		}
	}
	seg[5] = s[start:]
	return seg, n == 5
}

func isAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func isHostName(s string) bool {
	if !strings.Contains(s, ".") || len(s) > 253 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// isService tells the host name of an AWS service from that of an identity
// provider, such as accounts.google.com.
func isService(s string) bool {
	if s == "cognito-identity.amazonaws.com" || s == "www.amazon.com" {
		return false
	}
	return strings.Contains(s, "amazonaws.com") || strings.HasSuffix(s, ".amazon.com") || strings.Contains(s, ".aws.")
}

// inAccount reports whether the caller belongs to an account and so has
// identity policies and service control policies.
func (c *Caller) inAccount() bool {
	switch c.Kind {
	case AnonymousCaller, ServiceCaller, ProviderCaller:
		return false
	}
	return true
}

// principalRef is one compiled entry of a Principal element.
type principalRef struct {
	kind    refKind
	text    string // the ARN, service, provider or id as written
	account string
	part    string
	role    string
}

type refKind uint8

const (
	refNever refKind = iota // names nobody: a partial wildcard, the id of a deleted user
	refEveryone
	refAccount
	refUser
	refRole
	refSession
	refService
	refAnyService
	refProvider
	refAnyProvider
	refCanonical
)

func compilePrincipal(p *Principal) []principalRef {
	if p.Everyone {
		return []principalRef{{kind: refEveryone, text: "*"}}
	}
	var refs []principalRef
	for _, e := range p.Entries {
		for _, v := range e.Values {
			refs = append(refs, compileRef(e.Type, v.Text))
		}
	}
	return refs
}

func compileRef(typ, s string) principalRef {
	r := principalRef{text: s}
	switch typ {
	case PrincipalService:
		r.kind = refService
		if s == "*" {
			r.kind = refAnyService
		}
		return r
	case PrincipalFederated:
		r.kind = refProvider
		if s == "*" {
			r.kind = refAnyProvider
		}
		return r
	case PrincipalCanonicalUser:
		r.kind = refCanonical
		return r
	}
	if s == "*" {
		r.kind = refEveryone
		return r
	}
	// A wildcard cannot match part of a name or ARN.
	if strings.ContainsAny(s, "*?") {
		return r
	}
	if isAccountID(s) {
		r.kind, r.account = refAccount, s
		return r
	}
	c, err := ParseCaller(s)
	if err != nil {
		// An origin access identity of CloudFront has no account number.
		if seg, ok := splitARN(s); ok && seg[2] == "iam" && strings.HasPrefix(seg[5], "user/") {
			r.kind = refUser
		}
		return r
	}
	r.account, r.part, r.role = c.AccountID, c.Partition, c.Role
	switch c.Kind {
	case RootCaller:
		r.kind = refAccount
	case UserCaller, FederatedUserCaller:
		r.kind = refUser
	case RoleCaller:
		r.kind = refRole
	case SessionCaller:
		r.kind = refSession
	}
	return r
}

// names reports how the entry names the caller.
func (r *principalRef) names(e *evaluation) Naming {
	c := &e.caller
	switch r.kind {
	case refEveryone:
		return NamedDirect
	case refAccount:
		if c.AccountID == r.account && c.inAccount() && (r.part == "" || r.part == c.Partition) {
			return NamedAccount
		}
	case refUser, refSession:
		if c.Name == r.text && c.Kind == UserCaller && len(e.stack.Session) > 0 {
			// A federated session of the user: the session policy limits it.
			return NamedRole
		}
		if c.Name == r.text {
			return NamedDirect
		}
	case refRole:
		if r.isRoleOf(e) {
			return NamedRole
		}
	case refService:
		if c.Kind == ServiceCaller && c.Name == r.text {
			return NamedDirect
		}
	case refAnyService:
		if c.Kind == ServiceCaller {
			return NamedDirect
		}
	case refProvider:
		if c.Kind == ProviderCaller && c.Name == r.text {
			return NamedDirect
		}
	case refAnyProvider:
		if c.Kind == ProviderCaller {
			return NamedDirect
		}
	case refCanonical:
		if c.inAccount() {
			return NamedUnknown
		}
	}
	return NotNamed
}

// isRoleOf reports whether the entry's role ARN is the caller's role. The ARN of
// a session has no path, and a role's name is unique in its account, so a path
// counts only when the caller's role ARN is known.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
func (r *principalRef) isRoleOf(e *evaluation) bool {
	c := &e.caller
	switch c.Kind {
	case RoleCaller:
		return c.Name == r.text
	case SessionCaller:
		if c.AccountID != r.account || c.Partition != r.part || c.Role != r.role {
			return false
		}
		known, state := e.req.value("aws:PrincipalArn")
		return state != keyPresent || len(known) != 1 || known[0] == r.text || !strings.Contains(known[0], ":role/")
	}
	return false
}

// namedBy reports how a Principal element names the caller: the strongest of
// its entries. Because the kinds are ordered, that is the maximum; an entry that
// cannot be decided counts only if no other names the caller.
func namedBy(refs []principalRef, e *evaluation) Naming {
	best := NotNamed
	unknown := false
	for i := range refs {
		m := refs[i].names(e)
		if m == NamedUnknown {
			unknown = true
		} else if m > best {
			best = m
		}
	}
	if best == NotNamed && unknown {
		return NamedUnknown
	}
	return best
}

// exceptedBy reports whether a NotPrincipal element of a Deny statement exempts
// the caller. AWS checks the account, then the role, then the session, so each
// must be listed.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func exceptedBy(refs []principalRef, e *evaluation) tri {
	c := &e.caller
	var everyone, account, self, role, unknown bool
	for i := range refs {
		switch refs[i].names(e) {
		case NamedAccount:
			account = true
		case NamedRole:
			role = true
		case NamedDirect:
			if refs[i].kind == refEveryone {
				everyone = true
			}
			self = true
		case NamedUnknown:
			unknown = true
		}
	}
	var ok bool
	switch {
	case everyone:
		return yes
	case c.Kind == RootCaller:
		ok = account
	case c.Kind == RoleCaller:
		ok = account && role
	case c.Kind == SessionCaller:
		ok = account && role && self
	case c.inAccount():
		ok = account && (self || role)
	default:
		ok = self
	}
	if !ok && unknown {
		return maybe
	}
	return triOf(ok)
}
