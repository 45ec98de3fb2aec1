package lint

import (
	"regexp"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

func (l *linter) readPrincipals(s *statement) {
	p := s.node.Member("Principal")
	if p == nil {
		p = s.node.Member("NotPrincipal")
		s.notPrinc = p != nil
	}
	if p == nil {
		if l.kind == Resource || l.kind == Trust || l.kind == RCP {
			l.add("MISSING_PRINCIPAL", s.node, "the statement has no Principal")
		}
		return
	}
	s.principal = p
	switch l.kind {
	case Identity, Boundary:
		l.addKey("UNSUPPORTED_PRINCIPAL", p, "an identity policy applies to whoever it is attached to and cannot have %s", p.Key)
		return
	case SCP:
		l.addKey("SCP_SYNTAX_ERROR_PRINCIPAL", p, "a service control policy cannot have %s; compare aws:PrincipalArn in a condition", p.Key)
		return
	}
	switch {
	case p.Kind == identity.String && p.Text == "*":
		s.everyone = true
	case p.Kind == identity.String && strings.Contains(p.Text, "${"):
		l.noVariables(p)
	case p.Kind != identity.Object:
		f := l.add("INVALID_PRINCIPAL_FORMAT", p, "%s is * or an object of principal types", p.Key)
		if p.Kind == identity.String && (isAccountID(p.Text) || strings.HasPrefix(p.Text, "arn:")) {
			f.suggest(`{"AWS": "` + p.Text + `"}`)
		}
	case len(p.Children) == 0:
		l.add("EMPTY_OBJECT_PRINCIPAL", p, "%s names nobody", p.Key)
	default:
		for _, c := range p.Children {
			switch c.Key {
			case "AWS", "Service", "Federated", "CanonicalUser":
			default:
				l.addKey("INVALID_PRINCIPAL_KEY", c, "there is no principal type %q; they are AWS, CanonicalUser, Federated and Service", clip(c.Key)).suggest(principalKey(c.Key))
				continue
			}
			if isEmptyArray(c) {
				l.add("EMPTY_ARRAY_PRINCIPAL", c, "%s names nobody", c.Key)
			}
			for _, n := range l.texts(c) {
				s.princ = append(s.princ, principal{c.Key, n})
			}
		}
	}
}

func principalKey(key string) string {
	for _, k := range []string{"AWS", "Service", "Federated", "CanonicalUser"} {
		if strings.EqualFold(k, key) {
			return k
		}
	}
	return ""
}

var (
	servicePrincipal = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|aws\.internal|aws\.com)$`)
	domainName       = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(/[A-Za-z0-9._/~-]*)?$`)
	providerARN      = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:(saml-provider|oidc-provider)/.+$`)
	userID           = regexp.MustCompile(`^AIDA[A-Z0-9]{12,}$`)
	roleID           = regexp.MustCompile(`^AROA[A-Z0-9]{12,}$`)
)

// checkPrincipals looks at the names in Principal and NotPrincipal.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func (l *linter) checkPrincipals(s *statement) {
	if s.principal == nil || l.isIdentity() || l.kind == SCP {
		return
	}
	for _, p := range s.princ {
		if l.noVariables(p.node) {
			l.checkPrincipal(s, p)
		}
	}
	if s.notPrinc && s.allows() && l.kind == Resource {
		l.addKey("ALLOW_WITH_NOT_PRINCIPAL", s.principal, "Allow with NotPrincipal allows everybody else, anonymous callers too; name those who need access in Principal")
	}
}

func (l *linter) checkPrincipal(s *statement, p principal) {
	text := p.node.Text
	wild := strings.ContainsAny(text, "*?")
	switch p.kind {
	case "AWS":
		switch {
		case wild && text != "*":
			l.add("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", p.node, "a principal cannot have a wildcard within its name; name it in full, or use * with a condition on aws:PrincipalArn")
		case userID.MatchString(text):
			l.add("INVALID_USER_REFERENCE", p.node, "%s is a user's unique id: its ARN stood here before the user was deleted; name an existing user by ARN", text)
		case roleID.MatchString(text):
			l.add("INVALID_ROLE_REFERENCE", p.node, "%s is a role's unique id: its ARN stood here before the role was deleted; name an existing role by ARN", text)
		}
	case "Service":
		switch {
		case wild:
			l.add("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", p.node, "a service principal cannot have a wildcard")
		case !servicePrincipal.MatchString(text):
			l.add("INVALID_SERVICE_PRINCIPAL_FORMAT", p.node, "%q is not of the form service.amazonaws.com", clip(text)).suggest(serviceName(text))
		}
	case "Federated":
		switch {
		case l.kind == Resource && !s.onlySTS():
			l.add("FEDERATED_PRINCIPAL_NOT_SUPPORTED", p.node, "only a role trust policy can name a Federated principal")
		case l.kind == Trust && !providerARN.MatchString(text) && !domainName.MatchString(text):
			l.add("INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY", p.node, "%q is neither a domain name nor the ARN of a SAML or OIDC provider", clip(text))
		case wild:
			l.add("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", p.node, "a Federated principal cannot have a wildcard")
		}
	case "CanonicalUser":
		if wild {
			l.add("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", p.node, "a canonical user id cannot have a wildcard")
		}
	}
}

func serviceName(s string) string {
	if low := strings.ToLower(s); low != s && servicePrincipal.MatchString(low) {
		return low
	}
	if s != "" && !strings.Contains(s, ".") && servicePrincipal.MatchString(strings.ToLower(s)+".amazonaws.com") {
		return strings.ToLower(s) + ".amazonaws.com"
	}
	return ""
}

// onlySTS reports whether every action is of sts, as in a trust policy that is
// checked as a resource policy of no particular type.
func (s *statement) onlySTS() bool {
	return len(s.actions) > 0 && all(s.actions, func(n *identity.Node) bool { return strings.HasPrefix(strings.ToLower(n.Text), "sts:") })
}

// services reports whether the statement is for service principals, and for
// nobody else.
func (s *statement) services() (some, only bool) {
	only = len(s.princ) > 0 && !s.everyone && !s.notPrinc
	for _, p := range s.princ {
		if p.kind == "Service" {
			some = true
		} else {
			only = false
		}
	}
	return some && !s.notPrinc, only
}
