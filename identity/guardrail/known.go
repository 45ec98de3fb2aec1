package guardrail

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// known says what the estate tells of the condition keys in a principal's
// requests to a target. The prover knows the keys that describe the principal
// itself.
func known(inv *inventory.Inventory, p *inventory.Principal, t *target) func(string) (prove.Values, bool) {
	context := map[string][]string{}
	for k, v := range inv.Request(p, "", t.ARN, nil).Context {
		context[strings.ToLower(k)] = v
	}
	stranger := p.Resource == nil && p.Kind != inventory.Root
	absent := prove.Values{Absent: true}
	org := inv.OrganizationID()
	return func(key string) (prove.Values, bool) {
		v, has := context[key]
		switch {
		case strings.HasPrefix(key, "aws:resourcetag/") && len(t.patterns) != 1:
			return prove.Values{}, false // of which of them
		case key == "aws:userid":
			return userID(p)
		case strings.HasPrefix(key, "aws:principaltag/") && taggable(p):
			return prove.Values{}, false // a session's tags replace those of the role
		case has:
			return prove.Values{Is: v}, len(v) == 1
		case strings.HasPrefix(key, "aws:resourcetag/"):
			return absent, true
		case strings.HasPrefix(key, "aws:principaltag/"):
			return absent, !stranger
		case slices.Contains(ofServices, key):
			return absent, true
		case key == "aws:principalorgid" && stranger && org != "":
			return prove.Values{Unlike: org}, true
		case key == "aws:principalorgpaths" && stranger && org != "":
			return prove.Values{Unlike: org + "/*"}, true
		case slices.Contains(ofOrganizations, key):
			return absent, !stranger && inv.HasOrganization()
		}
		return prove.Values{}, false
	}
}

// userID is what is known of the aws:userid of a principal: that of a session has
// its name behind the role's id.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#principaltable
func userID(p *inventory.Principal) (prove.Values, bool) {
	switch {
	case p.Kind == inventory.Root:
		return prove.Values{Is: []string{p.Account}}, true
	case p.ID == "":
		return prove.Values{}, false
	case p.Kind == inventory.Role:
		return prove.Values{Like: p.ID + ":?*"}, true
	}
	return prove.Values{Is: []string{p.ID}}, true
}

// taggable reports whether sessions of a principal may have tags that it has not.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func taggable(p *inventory.Principal) bool {
	if p.Kind != inventory.Role || p.Trust == nil {
		return false
	}
	return slices.ContainsFunc(p.Trust.Policy.Statements, func(s *identity.Statement) bool {
		return s.Effect == identity.Allow && concerns(s, []string{"sts:TagSession"})
	})
}

// ofServices are keys that only requests have which a service makes by itself.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var ofServices = []string{"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner"}

// ofOrganizations are keys that only principals and resources of an organization have.
var ofOrganizations = []string{"aws:principalorgid", "aws:principalorgpaths", "aws:resourceorgid", "aws:resourceorgpaths"}

// carries reports whether requests of an action can have a condition key: those
// of services and tags only where the service authorization reference says so.
func carries(action, key string) bool {
	prefix, rest, _ := strings.Cut(key, ":")
	switch {
	case prefix == "aws" && rest != "tagkeys" && !strings.HasPrefix(rest, "requesttag/"),
		strings.Contains(prefix, "."), prefix == "saml", prefix == "sts":
		return true
	}
	c := catalog.Default()
	a, ok := c.Action(action)
	return !ok || slices.ContainsFunc(c.ActionKeys(a), func(name string) bool { return catalog.KeyMatches(name, key) })
}
