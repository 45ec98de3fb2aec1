package derive

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/exposure"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// openProviders are the identity providers of a trust policy through which
// anybody can come. The judgement is that of package exposure: the policy is put
// on a role of an account that has nothing else.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_oidc_secure-by-default.html
func openProviders(e *event.Event) []event.Value {
	var out []string
	allows(e, func(r *record, p *policy, s *identity.Statement) {
		if len(principals(s, identity.PrincipalFederated)) == 0 || !p.small || r.proofs == 0 {
			return
		}
		r.proofs--
		one := *s
		one.Index, one.Node = 0, nil
		text := (&identity.Policy{Version: p.Version, Statements: []*identity.Statement{&one}}).String()
		var trust any
		if json.Unmarshal([]byte(text), &trust) != nil {
			return
		}
		role := &estate.Resource{
			Type: "AWS::IAM::Role", ID: "role", ARN: "arn:aws:iam::" + r.account + ":role/role", Account: r.account,
			Document: map[string]any{"RoleName": "role", "Path": "/", "AssumeRolePolicyDocument": trust},
		}
		inv, err := inventory.Load(estate.New(estate.Header{}, []*estate.Resource{role}, nil))
		if err != nil {
			return
		}
		for _, x := range exposure.Find(inv, exposure.Anyone) {
			if x.Kind == "identity provider" && x.Public {
				out = append(out, x.Principal)
			}
		}
	})
	return distinct(out)
}

// anySubject are the providers of OpenID Connect whose tokens are not told apart.
// A subject that is fixed up to a colon only, repo:*, says what kind it is of.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc.html
func anySubject(e *event.Event) []event.Value {
	var out []string
	allows(e, func(_ *record, _ *policy, s *identity.Statement) {
		told := false
		eachCondition(s, func(o identity.Operator, key string, values []string) {
			i := strings.LastIndexByte(key, ':')
			if i < 0 || o.Negated || o.IfExists || o.Set == identity.ForAllValues || !strings.HasPrefix(o.Base, "String") ||
				strings.HasPrefix(key, "aws:") || slices.Contains([]string{"aud", "amr", "azp"}, key[i+1:]) {
				return
			}
			told = told || !slices.ContainsFunc(values, func(v string) bool {
				fixed, _, wild := strings.Cut(strings.ReplaceAll(v, "?", "*"), "*")
				return wild && (fixed == "" || strings.IndexByte(fixed, ':') == len(fixed)-1)
			})
		})
		if !told {
			out = append(out, slices.DeleteFunc(principals(s, identity.PrincipalFederated), func(p string) bool { return strings.Contains(p, ":saml-provider/") })...)
		}
	})
	return distinct(out)
}
