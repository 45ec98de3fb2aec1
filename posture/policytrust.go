package posture

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// foreignAccounts lists what a policy allows AWS principals named by account or
// ARN: "*" for everyone, otherwise the account ids, in the order of the policy.
// With needExternalID, statements that ask for sts:ExternalId or for the
// organization are left out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func foreignAccounts(p *identity.Policy, needExternalID bool) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil {
			continue
		}
		if needExternalID && (narrowed(s) || bindsKey(s, "sts:externalid") || requiresMFA(s)) {
			continue
		}
		for _, e := range s.Principal.Entries {
			if e.Type != identity.PrincipalAWS {
				continue
			}
			for _, v := range e.Values {
				id := principalAccount(v.Text)
				if id != "" && !seen[id] {
					seen[id] = true
					out = append(out, id)
				}
			}
		}
	}
	return out
}

// requiresMFA: a person, not a service, comes through; nobody's deputy.
func requiresMFA(s *identity.Statement) bool {
	for _, c := range s.Conditions {
		op, _, ifExists := baseOperator(c.Operator)
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			if !ifExists && op == "bool" && key == "aws:multifactorauthpresent" && len(k.Values) == 1 && strings.EqualFold(k.Values[0].Text, "true") ||
				!ifExists && strings.HasPrefix(op, "numericlessthan") && key == "aws:multifactorauthage" {
				return true
			}
		}
	}
	return false
}

// bindsKey reports whether a statement holds only for a literal value of a key.
func bindsKey(s *identity.Statement, key string) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || op != "stringequals" && op != "stringlike" && op != "stringequalsignorecase" {
			continue
		}
		for _, k := range c.Keys {
			if !strings.EqualFold(k.Name, key) {
				continue
			}
			all := len(k.Values) > 0
			for _, v := range k.Values {
				all = all && strings.Trim(v.Text, "*?") != ""
			}
			if all {
				return true
			}
		}
	}
	return false
}

func principalAccount(text string) string {
	if len(text) == 12 && strings.Trim(text, "0123456789") == "" {
		return text
	}
	if parts := strings.SplitN(text, ":", 6); len(parts) == 6 && parts[0] == "arn" {
		return parts[4]
	}
	return ""
}

// trustedServices lists the service principals that a policy allows something.
func trustedServices(p *identity.Policy) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil {
			continue
		}
		for _, e := range s.Principal.Entries {
			if e.Type == identity.PrincipalService {
				out = append(out, e.Texts()...)
			}
		}
	}
	return out
}

// webIdentitySubjects lists which tokens of an OIDC provider a role's trust
// policy accepts: the patterns for the claim sub of each statement, or "*" where
// a statement does not bind it. Empty: the policy does not trust the provider.
// A statement that binds another claim which names its owner is left out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html
func webIdentitySubjects(p *identity.Policy, provider string) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil || !coversAction(s, "sts:AssumeRoleWithWebIdentity") || !federates(s.Principal, provider) {
			continue
		}
		subjects, bound := claim(s, provider, "sub")
		switch {
		case bound:
			out = append(out, subjects...)
		case bindsAny(s, provider):
		default:
			out = append(out, "*")
		}
	}
	return out
}

// webIdentityClaim is webIdentitySubjects for another claim, of which nothing
// else takes the place.
func webIdentityClaim(p *identity.Policy, provider, name string) []string {
	var out []string
	for _, s := range statements(p) {
		if s.Effect != identity.Allow || s.Principal == nil || !coversAction(s, "sts:AssumeRoleWithWebIdentity") || !federates(s.Principal, provider) {
			continue
		}
		values, bound := claim(s, provider, name)
		if !bound {
			values = []string{"*"}
		}
		out = append(out, values...)
	}
	return out
}

// allowsWithoutKey reports whether a statement allows an action without
// demanding a value of a condition key.
func allowsWithoutKey(p *identity.Policy, action, key string) bool {
	for _, s := range statements(p) {
		if s.Effect == identity.Allow && coversAction(s, action) && !demands(s, key) {
			return true
		}
	}
	return false
}

func demands(s *identity.Statement, key string) bool {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || strings.Contains(op, "not") || op == "null" {
			continue
		}
		for _, k := range c.Keys {
			if strings.EqualFold(k.Name, key) {
				return true
			}
		}
	}
	return false
}

// federates reports whether a principal names an OIDC provider: exactly, with a
// path after it, or, where provider ends in a dot, with a longer name.
func federates(p *identity.Principal, provider string) bool {
	for _, e := range p.Entries {
		if e.Type != identity.PrincipalFederated {
			continue
		}
		for _, v := range e.Values {
			name := v.Text
			if _, rest, ok := strings.Cut(name, ":oidc-provider/"); ok {
				name = rest
			}
			name, provider := strings.ToLower(name), strings.ToLower(provider)
			if name == provider || strings.HasPrefix(name, provider+"/") || strings.HasSuffix(provider, ".") && strings.HasPrefix(name, provider) {
				return true
			}
		}
	}
	return false
}

// claim returns the values that a statement demands of a claim.
func claim(s *identity.Statement, provider, name string) (values []string, bound bool) {
	for _, c := range s.Conditions {
		op, forAll, ifExists := baseOperator(c.Operator)
		if forAll || ifExists || op != "stringequals" && op != "stringlike" && op != "stringequalsignorecase" {
			continue
		}
		for _, k := range c.Keys {
			key := strings.ToLower(k.Name)
			if !strings.HasPrefix(key, strings.ToLower(provider)) || !strings.HasSuffix(key, ":"+name) {
				continue
			}
			bound = true
			for _, v := range k.Values {
				text := v.Text
				if op != "stringlike" { // an asterisk is a letter there
					text = strings.NewReplacer("*", "\\*", "?", "\\?").Replace(text)
				}
				values = append(values, text)
			}
		}
	}
	return values, bound
}

// owningClaims are the claims besides sub that name the owner of a token.
var owningClaims = []string{"repository", "repository_id", "repository_owner", "repository_owner_id", "job_workflow_ref", "project_path", "namespace_path", "project_id", "namespace_id"}

func bindsAny(s *identity.Statement, provider string) bool {
	for _, name := range owningClaims {
		if values, ok := claim(s, provider, name); ok {
			all := len(values) > 0
			for _, v := range values {
				all = all && !strings.HasPrefix(v, "*") && !strings.HasPrefix(v, "?")
			}
			if all {
				return true
			}
		}
	}
	return false
}
