package lint

import (
	"regexp"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/internal/glob"
)

// checkTrust looks at a statement of a role trust policy.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html
func (l *linter) checkTrust(s *statement) {
	if s.principal != nil && s.notPrinc {
		l.addKey("ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL", s.principal, "a role trust policy cannot have NotPrincipal; name those who may in Principal")
	}
	if s.everyone {
		l.add("ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", s.principal, `a role trust policy cannot have "Principal": "*"; name the principals`)
	}
	for _, n := range s.actions {
		if low := strings.ToLower(n.Text); low != "*" && !trustAction(low) {
			l.add("UNSUPPORTED_ACTION_IN_POLICY", n, "a role trust policy can only have the actions of sts that assume a role, not %s", clip(n.Text))
		}
	}
	l.mismatchedActions(s)
	l.redundantSessions(s)
	if s.allows() {
		l.oidc(s)
	}
}

var trustActions = []string{
	"sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession",
	"sts:setsourceidentity", "sts:setcontext",
}

func trustAction(low string) bool {
	if !strings.HasPrefix(low, "sts:") {
		return false
	}
	for _, a := range trustActions {
		if glob.Match(low, a) {
			return true
		}
	}
	return false
}

// federation tells what provider a Federated principal is.
func federation(text string) string {
	switch {
	case strings.Contains(text, ":saml-provider/"):
		return "saml"
	case strings.Contains(text, ":oidc-provider/"):
		return "oidc"
	case domainName.MatchString(text):
		return "oidc"
	}
	return ""
}

// provider returns the name that an OIDC provider's condition keys start with.
func provider(text string) string {
	if _, rest, ok := strings.Cut(text, ":oidc-provider/"); ok {
		return rest
	}
	return text
}

func (l *linter) mismatchedActions(s *statement) {
	if s.notPrinc {
		return
	}
	for _, n := range s.actions {
		want := ""
		switch strings.ToLower(n.Text) {
		case "sts:assumerole":
		case "sts:assumerolewithsaml":
			want = "saml"
		case "sts:assumerolewithwebidentity":
			want = "oidc"
		default:
			continue
		}
		if !l.spend(len(s.princ) * 20) {
			return
		}
		var wrong []string
		for _, p := range s.princ {
			kind := ""
			if p.node.Text == "*" {
				continue // everyone, by whatever way
			}
			if p.kind == "Federated" {
				if kind = federation(p.node.Text); kind == "" {
					continue // INVALID_FEDERATED_PRINCIPAL_… says it
				}
			}
			if kind != want {
				wrong = append(wrong, clip(p.node.Text))
			}
		}
		if len(wrong) > 0 {
			l.add("MISMATCHED_ACTION_FOR_PRINCIPAL", n, "%s cannot be used by %s; a SAML provider needs sts:AssumeRoleWithSAML, an OIDC provider sts:AssumeRoleWithWebIdentity, all others sts:AssumeRole", n.Text, strings.Join(wrong, ", "))
		}
	}
}

var (
	sessionARN = regexp.MustCompile(`^arn:(aws[a-z-]*):(?:sts|iam)::([0-9]{12}):assumed-role/([^/]+)/`)
	roleARN    = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:.*/)?([^/]+)$`)
)

func (l *linter) redundantSessions(s *statement) {
	roles := map[string]bool{}
	for _, p := range s.princ {
		if m := roleARN.FindStringSubmatch(p.node.Text); m != nil && p.kind == "AWS" {
			roles[strings.Join(m[1:], "/")] = true
		}
	}
	for _, p := range s.princ {
		if m := sessionARN.FindStringSubmatch(p.node.Text); m != nil && p.kind == "AWS" && roles[strings.Join(m[1:], "/")] {
			l.add("REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY", p.node, "the session belongs to a role that is named too; remove it")
		}
	}
}

const github = "token.actions.githubusercontent.com"

// oidc looks at statements that let the users of an OIDC provider assume the
// role.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
func (l *linter) oidc(s *statement) {
	for _, p := range s.princ {
		if p.kind != "Federated" || federation(p.node.Text) != "oidc" {
			continue
		}
		if !l.spend(len(s.conds) * 10) {
			return
		}
		name := strings.ToLower(provider(p.node.Text))
		found := false
		for _, c := range s.conds {
			rest, ok := strings.CutPrefix(c.low, name)
			found = found || ok && strings.HasPrefix(rest, ":")
		}
		if !found {
			l.add("MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL", p.node, "every user of the provider may assume the role; add conditions on %s:aud and %s:sub", name, name)
		}
		if name == github {
			l.githubSubject(s, p)
		}
	}
}

// branch is a subject that names one repository and one branch or tag.
var branch = regexp.MustCompile(`^repo:[^/*?]*[^/*?:@][^/]*/[^:*?]*[^:*?@][^:]*:ref:refs/(heads|tags)/[^*?]+$`)

// repository is a subject that names one repository.
var repository = regexp.MustCompile(`^repo:[^/*?]+/[^:*?]+(:[^*?]*)?$`)

func (l *linter) githubSubject(s *statement, p principal) {
	ref, subject := false, false
	for _, c := range s.conds {
		if c.low == github+":ref" && !c.op.negated && c.op.family == "String" {
			ref = ref || len(c.values) > 0 && all(c.values, func(v *identity.Node) bool { return !hasWildcard(v.Text) })
		}
	}
	for _, c := range s.conds {
		if c.low != github+":sub" {
			continue
		}
		subject = true
		for _, v := range c.values {
			if !branch.MatchString(v.Text) && !(ref && repository.MatchString(v.Text)) {
				l.add("SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", v, "name one repository and branch, as in repo:OWNER/REPO:ref:refs/heads/main, or the branch in a condition on %s:ref", github)
			}
		}
	}
	if !subject {
		l.add("MISSING_GITHUB_REPO_CONDITION_KEY", p.node, "any repository on GitHub may assume the role; add a condition on %s:sub with your repository and branch", github)
	}
}

// rolesAnywhere looks at the whole trust policy: together its statements must
// allow the service three actions.
//
// Source: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/trust-model.html
func (l *linter) rolesAnywhere() {
	if l.kind != Trust {
		return
	}
	var first *identity.Node
	has := map[string]bool{}
	needed := []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}
	for _, s := range l.statements {
		for _, p := range s.princ {
			if p.kind != "Service" || p.node.Text != "rolesanywhere.amazonaws.com" || !s.allows() || s.notPrinc {
				continue
			}
			if first == nil {
				first = p.node
			}
			for _, a := range needed {
				ok, _ := s.names(a)
				has[a] = has[a] || ok
			}
		}
	}
	if first == nil {
		return
	}
	var missing []string
	for _, a := range needed {
		if !has[a] {
			missing = append(missing, a)
		}
	}
	if len(missing) > 0 {
		l.add("MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY", first, "IAM Roles Anywhere also needs %s", strings.Join(missing, " and "))
	}
}
