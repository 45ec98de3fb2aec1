// Package derive works out of a CloudTrail record what it means: which ports a
// security group opens to the internet, which accounts a policy lets in.
//
// The one type is Field, a name that rules can use like the path of a member,
// with how its values are found. Fields lists them all, Find looks one up.
//
// # Caveats
//
// A record tells of one request, not of the account: whether a public access
// block, a boundary or a control policy takes away what a policy gives does not
// show in it. What a request asked for counts also where it failed; rules look at
// errorCode. Requests are read up to 1 MB.
package derive

import (
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/identity"
)

// Field is a derived field.
type Field struct {
	Path   string // begins with event.DerivedPrefix
	Doc    string // what its values are, in one line
	Number bool   // its values are numbers, else texts and true
	values event.Derive
}

// Fields lists the derived fields in the order of docs/sigma.md.
func Fields() []Field {
	return []Field{
		{"bartizan.internet.inbound.port", "each port that the call opens to the internet: by a rule of a security group or network ACL for a range of prefix length 0 to 4, over TCP, UDP or everything", true, inbound.ports},
		{"bartizan.internet.inbound.all", "`true`: the call lets the internet in on every protocol, or on every port of TCP or UDP", false, inbound.all},
		{"bartizan.internet.inbound.range", "the ranges of addresses of prefix length 0 to 4 that the call lets in, whatever the port", false, inbound.ranges},
		{"bartizan.internet.outbound.port", "each port on which the call lets traffic out to the internet", true, outbound.ports},
		{"bartizan.internet.outbound.all", "`true`: the call lets everything out to the internet", false, outbound.all},
		{"bartizan.internet.outbound.range", "the ranges of addresses of prefix length 0 to 4 that the call lets traffic out to", false, outbound.ranges},

		{"bartizan.request.account", "each account, other than the record's own, that the request parameters name: in an ARN, or as twelve digits in a member called after an account, a principal or a registry", false, requestAccounts},
		{"bartizan.policy.account", "each account, other than the record's own, that a policy in the request lets in: by a Principal, or by a condition on the caller's account where the Principal is `*`; not where the conditions or a Deny take it out again", false, accounts},
		{"bartizan.policy.account.action", "the actions that these accounts are given, as they are written, in lower case; those of NotAction with `not ` before them", false, accountActions},
		{"bartizan.policy.account.withoutExternalId", "those of these accounts that need no external id", false, withoutExternalID},
		{"bartizan.policy.everyone", "`true`: the policy lets in everyone, by `*` or NotPrincipal, and neither a condition whose value a stranger cannot choose nor a Deny narrows that", false, everyone},
		{"bartizan.policy.canonicalUser", "the canonical user ids that a bucket policy lets in", false, named(identity.PrincipalCanonicalUser)},
		{"bartizan.policy.federated", "the identity providers that a trust policy lets in", false, named(identity.PrincipalFederated)},
		{"bartizan.policy.federated.anyone", "those of these providers at which anybody can have an account, where no condition says whose", false, openProviders},
		{"bartizan.policy.federated.anySubject", "those of these providers of OpenID Connect of whose tokens no condition fixes the beginning of the subject, or another claim that tells who it is", false, anySubject},
		{"bartizan.policy.administrator", "`true`: the policy allows every action on every resource; conditions that only say how the caller must come change nothing, nor does a Deny that leaves rights over identities", false, administrator},
		{"bartizan.policy.action", "the actions that the policy of an identity allows on every resource, as they are written, in lower case; those of NotAction with `not ` before them", false, actions},
		{"bartizan.policy.iam", "the actions of IAM that change something and that the policy allows on every resource, or on all users, roles, groups or policies: wildcards resolved (`iam:PutUserPolicy`), what is denied left out", false, identityRights},
	}
}

var byPath = func() map[string]Field {
	out := map[string]Field{}
	for _, f := range Fields() {
		f.values = once(f.Path, f.values)
		out[f.Path] = f
	}
	return out
}()

// Find returns how the values of a field are found, or nil where there is no such
// field.
func Find(path string) event.Derive { return byPath[path].values }

// Inputs lists the paths that the fields are worked out from: a schema that has
// them is quicker.
func Inputs() []string { return []string{"requestParameters", "responseElements"} }

// yes is the value of fields that say whether something is so.
var yes = []event.Value{{Kind: event.Bool, Text: []byte("true")}}

func truth(is bool) []event.Value {
	if is {
		return yes
	}
	return nil
}

func texts(list []string) []event.Value {
	out := make([]event.Value, 0, len(list))
	for _, s := range list {
		out = append(out, event.Value{Kind: event.String, Text: []byte(s)})
	}
	return out
}
