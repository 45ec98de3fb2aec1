package exposure

import (
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// compare asks whether a side lets in anybody whom the policy for insiders does
// not.
func (f *finder) compare(next prove.Side) prove.Answer {
	d, err := f.insiders()
	if err != nil {
		return prove.Answer{Verdict: prove.Unknown, Reason: err.Error()}
	}
	return prove.Compare(prove.Side{Stack: identity.Stack{Resource: d}}, next)
}

// insiders is the policy that allows everything to whoever is inside: principals
// of the accounts and of the organization, services, and requests that come by a
// resource or a network of theirs. Of the accounts only those count that the
// resource's policy names, so that a large organization costs no more.
func (f *finder) insiders() (*identity.Document, error) {
	accounts := map[string]bool{f.r.Account: true}
	collect := func(text string) {
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
			if len(word) == 12 && f.inv.Member(word) {
				accounts[word] = true
			}
		}
	}
	collect(f.r.Policy.Policy.String())
	var names, arns []string
	for _, a := range sorted(accounts) {
		names = append(names, a)
		arns = append(arns, "arn:*:*:*:"+a+":*")
	}
	for _, r := range f.inv.Resources {
		if r.Type == "AWS::S3::Bucket" && strings.Contains(f.r.Policy.Policy.String(), r.ARN) {
			arns = append(arns, r.ARN)
		}
	}
	asked := strings.ToLower(f.r.Policy.Policy.String())
	p := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}
	allow := func(operator string, values []string, keys ...string) {
		for _, key := range keys {
			// A key that the policy does not ask for cannot limit it: leaving it out
			// changes no answer and saves the prover work.
			if key != "aws:PrincipalAccount" && key != "aws:PrincipalIsAWSService" && !strings.Contains(asked, strings.ToLower(key)) {
				continue
			}
			p.Statements = append(p.Statements, &identity.Statement{
				Index: len(p.Statements), Effect: identity.Allow, Principal: &identity.Principal{Everyone: true},
				Action: identity.NewList("*"), Resource: identity.NewList("*"), HasCondition: true,
				Conditions: []*identity.Condition{{Operator: operator, Keys: []*identity.ConditionKey{{Name: key, List: *identity.NewList(values...)}}}},
			})
		}
	}
	allow("StringEquals", names, "aws:PrincipalAccount", "aws:SourceAccount", "aws:SourceOwner", "kms:CallerAccount", "aws:VpceAccount", "s3:DataAccessPointAccount")
	allow("Bool", []string{"true"}, "aws:PrincipalIsAWSService")
	allow("StringLike", arns, "aws:SourceArn", "s3:DataAccessPointArn", "elasticfilesystem:AccessPointArn")
	if org := f.inv.OrganizationID(); org != "" {
		allow("StringEquals", []string{org}, "aws:PrincipalOrgID", "aws:SourceOrgID", "aws:VpceOrgID")
		allow("ForAnyValue:StringLike", []string{org + "/*"}, "aws:PrincipalOrgPaths", "aws:SourceOrgPaths", "aws:VpceOrgPaths")
	}
	if nets := f.inv.Networks(); len(nets) > 0 {
		text := f.r.Policy.Policy.String()
		var named []string
		for _, n := range nets {
			if strings.Contains(text, `"`+n+`"`) {
				named = append(named, n)
			}
		}
		if len(named) > 0 {
			allow("StringEquals", named, "aws:SourceVpc", "aws:SourceVpce")
		}
	}
	return identity.Compile(p, identity.ResourcePolicy, "insiders")
}

// forInsiders reports whether a condition of a statement plainly holds only for
// the organization's principals, which spares the proof.
func (f *finder) forInsiders(s *identity.Statement) bool {
	org := f.inv.OrganizationID()
	for _, c := range s.Conditions {
		for _, k := range c.Keys {
			if org != "" && strings.EqualFold(c.Operator, "StringEquals") && strings.EqualFold(k.Name, "aws:PrincipalOrgID") &&
				!slices.ContainsFunc(k.Texts(), func(v string) bool { return v != org }) {
				return true
			}
		}
	}
	return false
}

// sharedProviders are identity providers that anybody can have an account at,
// with the claims by which a trust policy tells accounts apart.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
var sharedProviders = map[string][]string{
	"token.actions.githubusercontent.com": {"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise", "enterprise_id", "job_workflow_ref"},
	"gitlab.com":                          {"sub", "namespace_id", "namespace_path", "project_id", "project_path"},
	"app.terraform.io":                    {"sub", "terraform_organization_id"},
	"agent.buildkite.com":                 {"sub"},
	"cognito-identity.amazonaws.com":      {"aud", "sub"},
	"accounts.google.com":                 {"aud", "oaud", "sub"},
	"www.amazon.com":                      {"app_id", "user_id"},
	"graph.facebook.com":                  {"app_id", "id"},
	"api.bitbucket.org":                   {"sub", "aud"},
}

// openProvider reports whether a statement lets in whoever has an account at a
// shared provider: no condition fixes the beginning of a telling claim.
func openProvider(name string, s *identity.Statement) bool {
	host := name
	if _, after, ok := strings.Cut(name, ":oidc-provider/"); ok {
		host = after
	}
	claims, shared := sharedProviders[host]
	if !shared {
		return false
	}
	for _, c := range s.Conditions {
		op, ok := identity.ParseOperator(c.Operator)
		if !ok || op.Negated || op.IfExists || op.Set == identity.ForAllValues || !strings.HasPrefix(op.Base, "String") {
			continue
		}
		for _, k := range c.Keys {
			prefix, claim, _ := strings.Cut(strings.ToLower(k.Name), ":")
			if prefix == host && slices.Contains(claims, claim) && allTelling(k.Texts(), host, claim) {
				return false
			}
		}
	}
	return true
}

// allTelling reports whether each value names somebody: of GitHub's subjects at
// least the organization, repo:acme/.
func allTelling(values []string, host, claim string) bool {
	for _, v := range values {
		fixed := v
		if i := strings.IndexAny(v, "*?"); i >= 0 {
			fixed = v[:i]
		}
		switch {
		case fixed == "":
			return false
		case claim == "sub" && (host == "token.actions.githubusercontent.com" || host == "gitlab.com") && fixed != v:
			if _, rest, ok := strings.Cut(fixed, ":"); !ok || !strings.Contains(rest, "/") {
				return false
			}
		}
	}
	return true
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
