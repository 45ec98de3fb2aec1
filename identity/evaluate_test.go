package identity_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
)

const (
	acct  = "111122223333"
	other = "444455556666"

	user    = "arn:aws:iam::111122223333:user/team/Ada"
	role    = "arn:aws:iam::111122223333:role/ops/Deployer"
	session = "arn:aws:sts::111122223333:assumed-role/Deployer/ci"
	fed     = "arn:aws:sts::111122223333:federated-user/bob"
	root    = "arn:aws:iam::111122223333:root"
	extUser = "arn:aws:iam::444455556666:user/Eve"
	extSess = "arn:aws:sts::444455556666:assumed-role/Reader/x"

	bucket = "arn:aws:s3:::logs"
	object = "arn:aws:s3:::logs/2024/a.txt"
	queue  = "arn:aws:sqs:eu-west-1:111122223333:jobs"
	key    = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
	target = "arn:aws:iam::111122223333:role/Target"
)

// st makes a statement: effect, action, resource, and further elements as JSON.
func st(effect, action, resource string, more ...string) string {
	s := fmt.Sprintf(`{"Effect":%q,"Action":%q`, effect, action)
	if resource != "" {
		s += fmt.Sprintf(`,"Resource":%q`, resource)
	}
	for _, m := range more {
		s += "," + m
	}
	return s + "}"
}

func aws(arns ...string) string {
	return `"Principal":{"AWS":["` + strings.Join(arns, `","`) + `"]}`
}

func notAWS(arns ...string) string {
	return `"NotPrincipal":{"AWS":["` + strings.Join(arns, `","`) + `"]}`
}

func when(op, key string, values ...string) string {
	return fmt.Sprintf(`"Condition":{%q:{%q:["%s"]}}`, op, key, strings.Join(values, `","`))
}

const everyone = `"Principal":"*"`

// pol makes a policy of 2012 from statements.
func pol(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

var (
	allowAll = pol(st("Allow", "*", "*"))
	allowS3  = pol(st("Allow", "s3:*", "*"))
	allowEC2 = pol(st("Allow", "ec2:*", "*"))
	denyAll  = pol(st("Deny", "*", "*"))
)

// stackCase is one row: a request over a stack, and the decision.
type stackCase struct {
	why       string
	principal string // default user
	action    string // default s3:GetObject
	resource  string // default object
	owner     string
	ctx       map[string][]string
	unknown   []string
	mgmt      string

	id, boundary, session, endpoint []string
	scp, rcp                        [][]string
	rp                              string
	grants                          []identity.Grant
	s3                              *identity.S3Access

	want identity.Outcome
	by   identity.Layer // not checked when empty
	miss string
}

func docs(t testing.TB, layer identity.Layer, texts []string) (list []*identity.Document) {
	t.Helper()
	for i, text := range texts {
		d, err := identity.ParseDocument([]byte(text), layer, fmt.Sprintf("%s[%d]", layer, i))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		list = append(list, d)
	}
	return list
}

func (c *stackCase) build(t testing.TB) (*identity.Request, *identity.Stack) {
	t.Helper()
	r := &identity.Request{Principal: c.principal, Action: c.action, Resource: c.resource, ResourceAccount: c.owner, Context: c.ctx, UnknownContext: c.unknown, ManagementAccount: c.mgmt}
	if r.Principal == "" {
		r.Principal = user
	}
	if r.Action == "" {
		r.Action = "s3:GetObject"
	}
	if r.Resource == "" {
		r.Resource = object
	}
	if r.ResourceAccount == "" && strings.HasPrefix(r.Resource, "arn:aws:s3:::") {
		r.ResourceAccount = acct
	}
	s := &identity.Stack{
		Identity: docs(t, identity.IdentityPolicy, c.id), Boundaries: docs(t, identity.PermissionsBoundary, c.boundary),
		Session: docs(t, identity.SessionPolicy, c.session), Endpoint: docs(t, identity.EndpointPolicy, c.endpoint),
		Grants: c.grants, S3: c.s3,
	}
	for _, l := range c.scp {
		s.ServiceControl = append(s.ServiceControl, docs(t, identity.ServiceControlPolicy, l))
	}
	for _, l := range c.rcp {
		s.ResourceControl = append(s.ResourceControl, docs(t, identity.ResourceControlPolicy, l))
	}
	if c.rp != "" {
		s.Resource = docs(t, identity.ResourcePolicy, []string{c.rp})[0]
	}
	return r, s
}

func runCases(t *testing.T, cases []stackCase) {
	t.Helper()
	for _, c := range cases {
		r, s := c.build(t)
		d, err := identity.Evaluate(r, s)
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		if d.Outcome != c.want || c.by != "" && d.DecidedBy != c.by {
			t.Errorf("%s:\n got %s by %s (%s)\nwant %s by %s", c.why, d.Outcome, d.DecidedBy, d.Explanation(), c.want, c.by)
		}
		if got := strings.Join(d.MissingContext, " "); got != c.miss {
			t.Errorf("%s: missing context %q, want %q", c.why, got, c.miss)
		}
		if plain := plainEvaluate(r, s); plain != d.Outcome && plain != unknown && c.grants == nil && c.s3 == nil {
			t.Errorf("%s: the plain evaluator says %s, the engine %s", c.why, plain, d.Outcome)
		}
	}
}

const (
	allowed  = identity.Allowed
	explicit = identity.ExplicitDeny
	implicit = identity.ImplicitDeny
	unknown  = identity.Unknown
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func TestSameAccount(t *testing.T) {
	runCases(t, []stackCase{
		{why: "everything is denied by default", want: implicit, by: identity.IdentityPolicy},
		{why: "an identity policy allows", id: []string{allowEC2, allowS3}, want: allowed, by: identity.IdentityPolicy},
		{why: "an explicit deny wins over every allow", id: []string{allowAll, pol(st("Deny", "s3:Get*", bucket+"/*"))}, rp: pol(st("Allow", "*", "*", everyone)), want: explicit, by: identity.IdentityPolicy},
		{why: "a deny in the bucket policy wins", id: []string{allowAll}, rp: pol(st("Deny", "s3:*", bucket+"/*", everyone)), want: explicit, by: identity.ResourcePolicy},
		{why: "a resource policy alone is enough for the user it names", rp: pol(st("Allow", "s3:GetObject", bucket+"/*", aws(user))), want: allowed, by: identity.ResourcePolicy},
		{why: "a resource policy alone is enough for everyone", rp: pol(st("Allow", "s3:GetObject", bucket+"/*", everyone)), want: allowed, by: identity.ResourcePolicy},
		{why: "a resource policy that names the account leaves it to identity policies", rp: pol(st("Allow", "s3:GetObject", bucket+"/*", aws(root))), want: implicit, by: identity.IdentityPolicy},
		{why: "and then an identity policy is enough", id: []string{allowS3}, rp: pol(st("Allow", "s3:GetObject", bucket+"/*", aws(acct))), want: allowed, by: identity.IdentityPolicy},
		{why: "the root user needs no policy", principal: root, want: allowed, by: identity.RootUser},
		{why: "the root user by account number", principal: acct, want: allowed, by: identity.RootUser},
		{why: "the bucket policy can deny the root user", principal: root, rp: pol(st("Deny", "*", "*", everyone)), want: explicit},
		{why: "a resource policy that does not match does no harm", id: []string{allowS3}, rp: pol(st("Allow", "s3:PutObject", bucket+"/*", aws(extUser))), want: allowed},
	})
}

// What a resource policy bypasses depends on how it names the caller.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic
func TestWhatAResourcePolicyBypasses(t *testing.T) {
	names := func(arn string) string { return pol(st("Allow", "s3:GetObject", bucket+"/*", aws(arn))) }
	runCases(t, []stackCase{
		{why: "a user ARN is not limited by an implicit deny of the boundary", boundary: []string{allowEC2}, rp: names(user), want: allowed, by: identity.ResourcePolicy},
		{why: "but by its explicit deny", boundary: []string{denyAll}, rp: names(user), want: explicit, by: identity.PermissionsBoundary},
		{why: "a role ARN is limited by an implicit deny of the boundary", principal: session, boundary: []string{allowEC2}, rp: names(role), want: implicit, by: identity.PermissionsBoundary},
		{why: "a role ARN is limited by an implicit deny of the session policy", principal: session, session: []string{allowEC2}, rp: names(role), want: implicit, by: identity.SessionPolicy},
		{why: "a role ARN is not limited by an implicit deny of the identity policies", principal: session, boundary: []string{allowS3}, session: []string{allowS3}, rp: names(role), want: allowed},
		{why: "a session ARN is limited by neither", principal: session, boundary: []string{allowEC2}, session: []string{allowEC2}, rp: names(session), want: allowed},
		{why: "another session of the role is not named", principal: session, rp: names("arn:aws:sts::111122223333:assumed-role/Deployer/other"), want: implicit},
		{why: "a federated user's ARN is limited by nothing implicit", principal: fed, session: []string{allowEC2}, rp: names(fed), want: allowed},
		{why: "a federated user without a session policy has only what resource policies give", principal: fed, id: []string{allowAll}, want: implicit, by: identity.SessionPolicy},
		{why: "a session policy intersects with the identity policies", principal: fed, id: []string{allowAll}, session: []string{allowS3}, want: allowed},
		{why: "everyone is as direct as the session", principal: session, boundary: []string{allowEC2}, rp: pol(st("Allow", "s3:*", "*", everyone, when("ArnEquals", "aws:PrincipalArn", role))), ctx: map[string][]string{"aws:PrincipalArn": {role}}, want: allowed},
		{why: "the account does not bypass the boundary", boundary: []string{allowEC2}, id: []string{allowS3}, rp: names(root), want: implicit, by: identity.PermissionsBoundary},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func TestPrincipalElement(t *testing.T) {
	names := func(p string) string { return pol(st("Allow", "s3:GetObject", "*", `"Principal":`+p)) }
	runCases(t, []stackCase{
		{why: "a role ARN matches its sessions, path or not", principal: session, rp: names(`{"AWS":"` + role + `"}`), want: allowed},
		{why: "a role of the same name in another account does not", principal: session, rp: names(`{"AWS":"arn:aws:iam::444455556666:role/Deployer"}`), want: implicit},
		{why: "a known role ARN counts with its path", principal: session, ctx: map[string][]string{"aws:PrincipalArn": {"arn:aws:iam::111122223333:role/Deployer"}}, rp: names(`{"AWS":"` + role + `"}`), want: implicit},
		{why: "a session ARN with the role's path is no principal", principal: session, rp: names(`{"AWS":"arn:aws:sts::111122223333:assumed-role/ops/Deployer/ci"}`), want: implicit},
		{why: "a wildcard cannot match part of an ARN", rp: names(`{"AWS":"arn:aws:iam::111122223333:user/*"}`), want: implicit},
		{why: "nor a session name", principal: session, rp: names(`{"AWS":"arn:aws:sts::111122223333:assumed-role/Deployer/*"}`), want: implicit},
		{why: "a user's ARN includes the path", rp: names(`{"AWS":"arn:aws:iam::111122223333:user/Ada"}`), want: implicit},
		{why: "a service is not an AWS principal", principal: "lambda.amazonaws.com", rp: names(`{"AWS":"lambda.amazonaws.com"}`), want: implicit},
		{why: "a service principal", principal: "cloudtrail.amazonaws.com", rp: names(`{"Service":["cloudtrail.amazonaws.com"]}`), want: allowed},
		{why: "another service", principal: "cloudtrail.amazonaws.com", rp: names(`{"Service":"config.amazonaws.com"}`), want: implicit, by: identity.ResourcePolicy},
		{why: "a service has no identity policies", principal: "cloudtrail.amazonaws.com", id: []string{allowAll}, want: implicit},
		{why: "an anonymous caller and everyone", principal: "*", rp: names(`"*"`), want: allowed},
		{why: "an anonymous caller and everyone, in the other form", principal: "*", rp: names(`{"AWS":"*"}`), want: allowed},
		{why: "an anonymous caller is in no account", principal: "*", rp: names(`{"AWS":"` + acct + `"}`), want: implicit},
		{why: "a canonical user id cannot be resolved", rp: names(`{"CanonicalUser":"79a59df900b949e5"}`), want: unknown, miss: "CanonicalUser", principal: extUser, id: []string{allowS3}},
		{why: "a deny that names the root denies the whole account", id: []string{allowAll}, rp: pol(st("Deny", "*", "*", aws(root))), want: explicit},
		{why: "the ARN of a deleted user is an id that matches nobody", rp: names(`{"AWS":"AIDACKCEVSQ6C2EXAMPLE"}`), want: implicit},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
func TestCrossAccount(t *testing.T) {
	names := func(arns ...string) string { return pol(st("Allow", "s3:GetObject", "*", aws(arns...))) }
	runCases(t, []stackCase{
		{why: "an identity policy alone is not enough", principal: extUser, id: []string{allowAll}, want: implicit, by: identity.ResourcePolicy},
		{why: "a resource policy alone is not enough", principal: extUser, rp: names(extUser), want: implicit, by: identity.IdentityPolicy},
		{why: "both are", principal: extUser, id: []string{allowS3}, rp: names(extUser), want: allowed},
		{why: "naming the account is as good as naming the user", principal: extUser, id: []string{allowS3}, rp: names(other), want: allowed},
		{why: "a public bucket still needs the caller's own account to allow", principal: extUser, rp: pol(st("Allow", "s3:GetObject", "*", everyone)), want: implicit},
		{why: "an anonymous caller has no account", principal: "*", rp: pol(st("Allow", "s3:GetObject", "*", everyone)), want: allowed},
		{why: "the caller's boundary limits it", principal: extSess, id: []string{allowS3}, boundary: []string{allowEC2}, rp: names(extSess), want: implicit, by: identity.PermissionsBoundary},
		{why: "the caller's session policy limits it", principal: extSess, id: []string{allowS3}, session: []string{allowEC2}, rp: names(extSess), want: implicit, by: identity.SessionPolicy},
		{why: "a foreign root needs the resource policy", principal: "arn:aws:iam::444455556666:root", want: implicit},
		{why: "and no policy of its own", principal: "arn:aws:iam::444455556666:root", rp: names(other), want: allowed},
		{why: "the owner is the account in the ARN", principal: extUser, action: "sqs:SendMessage", resource: queue, id: []string{allowAll}, want: implicit, by: identity.ResourcePolicy},
	})
}

// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_evaluation.html
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
func TestServiceControlPolicies(t *testing.T) {
	full := []string{allowAll}
	runCases(t, []stackCase{
		{why: "each level must allow", id: full, scp: [][]string{full, {allowEC2}, full}, want: implicit, by: identity.ServiceControlPolicy},
		{why: "any policy of a level may", id: full, scp: [][]string{full, {allowEC2, allowS3}}, want: allowed},
		{why: "a level without policies allows nothing", id: full, scp: [][]string{full, {}}, want: implicit, by: identity.ServiceControlPolicy},
		{why: "a deny at any level wins", id: full, scp: [][]string{{allowAll, pol(st("Deny", "s3:*", "*"))}, full}, want: explicit, by: identity.ServiceControlPolicy},
		{why: "they grant nothing", scp: [][]string{full}, want: implicit, by: identity.IdentityPolicy},
		{why: "they bind the root user of a member account", principal: root, scp: [][]string{{denyAll}}, want: explicit},
		{why: "they do not bind the management account", id: full, scp: [][]string{{denyAll}}, mgmt: acct, want: allowed},
		{why: "which the context can name", id: full, scp: [][]string{{denyAll}}, ctx: map[string][]string{"aws:PrincipalOrgMasterAccountId": {acct}}, want: allowed},
		{why: "they do not bind service-linked roles", principal: "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForAutoScaling/AutoScaling", id: full, scp: [][]string{{denyAll}}, want: allowed},
		{why: "they bind direct grants of resource policies too", rp: pol(st("Allow", "s3:*", "*", aws(user))), scp: [][]string{{allowEC2}}, want: implicit, by: identity.ServiceControlPolicy},
		{why: "they do not bind services", principal: "config.amazonaws.com", rp: pol(st("Allow", "s3:*", "*", `"Principal":{"Service":"config.amazonaws.com"}`)), scp: [][]string{{denyAll}}, want: allowed},
		{why: "they do not bind anonymous callers", principal: "*", rp: pol(st("Allow", "s3:*", "*", everyone)), scp: [][]string{{denyAll}}, want: allowed},
		{why: "a condition decides", id: full, scp: [][]string{{allowAll, pol(st("Deny", "*", "*", when("StringNotEquals", "aws:RequestedRegion", "eu-west-1")))}}, ctx: map[string][]string{"aws:RequestedRegion": {"eu-west-1"}}, want: allowed},
	})
}

// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
func TestResourceControlPolicies(t *testing.T) {
	perimeter := pol(st("Deny", "*", "*", everyone, when("StringNotEqualsIfExists", "aws:PrincipalOrgID", "o-1")))
	in := map[string][]string{"aws:PrincipalOrgID": {"o-1"}}
	out := map[string][]string{"aws:PrincipalOrgID": {"o-2"}}
	runCases(t, []stackCase{
		{why: "a deny for those outside", id: []string{allowAll}, ctx: out, rcp: [][]string{{perimeter}}, want: explicit, by: identity.ResourceControlPolicy},
		{why: "no deny for those inside; the full access policy is always attached", id: []string{allowAll}, ctx: in, rcp: [][]string{{perimeter}, {}}, want: allowed},
		{why: "a service without support is not protected", action: "ec2:StopInstances", resource: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", id: []string{allowAll}, ctx: out, rcp: [][]string{{perimeter}}, want: allowed},
		{why: "it also binds services", principal: "config.amazonaws.com", rp: pol(st("Allow", "s3:*", "*", everyone)), rcp: [][]string{{pol(st("Deny", "*", "*", everyone))}}, want: explicit},
		{why: "it also binds anonymous callers", principal: "*", rp: pol(st("Allow", "s3:*", "*", everyone)), rcp: [][]string{{pol(st("Deny", "*", "*", everyone))}}, want: explicit},
		{why: "not the resources of the management account", id: []string{allowAll}, ctx: out, mgmt: acct, rcp: [][]string{{perimeter}}, want: allowed},
		{why: "not the calls of service-linked roles", principal: "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX", id: []string{allowAll}, ctx: out, rcp: [][]string{{perimeter}}, want: allowed},
		{why: "it binds foreign callers whatever the bucket policy says", principal: extUser, id: []string{allowAll}, ctx: out, rp: pol(st("Allow", "s3:*", "*", aws(other))), rcp: [][]string{{perimeter}}, want: explicit},
	})
}

// https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
func TestEndpointPolicies(t *testing.T) {
	runCases(t, []stackCase{
		{why: "the endpoint must allow", id: []string{allowAll}, endpoint: []string{pol(st("Allow", "ec2:*", "*", everyone))}, want: implicit, by: identity.EndpointPolicy},
		{why: "and does", id: []string{allowAll}, endpoint: []string{pol(st("Allow", "*", "*", everyone))}, want: allowed},
		{why: "it grants nothing", endpoint: []string{pol(st("Allow", "*", "*", everyone))}, want: implicit, by: identity.IdentityPolicy},
		{why: "it denies", principal: root, endpoint: []string{pol(st("Allow", "*", "*", everyone), st("Deny", "s3:*", "*", everyone))}, want: explicit, by: identity.EndpointPolicy},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func TestNotPrincipal(t *testing.T) {
	except := func(arns ...string) string { return pol(st("Deny", "s3:*", "*", notAWS(arns...))) }
	runCases(t, []stackCase{
		{why: "the account of an exempt user must be listed too", id: []string{allowAll}, rp: except(user), want: explicit},
		{why: "the user and the account", id: []string{allowAll}, rp: except(user, root), want: allowed},
		{why: "the account alone exempts only its root user", id: []string{allowAll}, rp: except(root), want: explicit},
		{why: "which it does", principal: root, rp: except(root), want: allowed},
		{why: "a session is not exempt with its role", principal: session, id: []string{allowAll}, rp: except(role, root), want: explicit},
		{why: "a role whose session is not known is", principal: role, id: []string{allowAll}, rp: except(role, root), want: allowed},
		{why: "a session with its account but without its role", principal: session, id: []string{allowAll}, rp: except(session, root), want: explicit},
		{why: "all three, as AWS's example has them", principal: session, id: []string{allowAll}, rp: except(session, role, acct), want: allowed},
		{why: "a boundary defeats the exemption", id: []string{allowAll}, boundary: []string{allowAll}, rp: except(user, root), want: explicit},
		{why: "everybody else is denied", principal: extUser, id: []string{allowAll}, rp: except(user, root), want: explicit},
		{why: "a service that is not listed is denied", principal: "config.amazonaws.com", rp: pol(st("Allow", "s3:*", "*", everyone), st("Deny", "s3:*", "*", notAWS(user, root))), want: explicit},
		{why: "with Allow it allows all others", principal: "*", rp: pol(st("Allow", "s3:*", "*", notAWS(user))), want: allowed},
		{why: "but not those it lists", rp: pol(st("Allow", "s3:*", "*", notAWS(user))), want: implicit},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_terms-and-concepts.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
func TestRoleTrust(t *testing.T) {
	trust := func(p string, more ...string) string {
		return pol(st("Allow", "sts:AssumeRole", "", append([]string{`"Principal":` + p}, more...)...))
	}
	may := []string{pol(st("Allow", "sts:AssumeRole", target))}
	runCases(t, []stackCase{
		{why: "without trust nobody in the account can assume a role", action: "sts:AssumeRole", resource: target, id: may, want: implicit, by: identity.ResourcePolicy},
		{why: "trust in the account needs an identity policy", action: "sts:AssumeRole", resource: target, rp: trust(`{"AWS":"` + root + `"}`), want: implicit, by: identity.IdentityPolicy},
		{why: "and has it", action: "sts:AssumeRole", resource: target, id: may, rp: trust(`{"AWS":"` + root + `"}`), want: allowed},
		{why: "trust in the user is enough in the same account", action: "sts:AssumeRole", resource: target, rp: trust(`{"AWS":"` + user + `"}`), want: allowed},
		{why: "trust in another user does not help", action: "sts:AssumeRole", resource: target, id: may, rp: trust(`{"AWS":"` + extUser + `"}`), want: implicit, by: identity.ResourcePolicy},
		{why: "across accounts both sides", principal: extUser, action: "sts:AssumeRole", resource: target, rp: trust(`{"AWS":"` + extUser + `"}`), want: implicit, by: identity.IdentityPolicy},
		{why: "and have it", principal: extUser, action: "sts:AssumeRole", resource: target, id: may, rp: trust(`{"AWS":"` + other + `"}`), want: allowed},
		{why: "an external id", principal: extUser, action: "sts:AssumeRole", resource: target, id: may, rp: trust(`{"AWS":"`+other+`"}`, when("StringEquals", "sts:ExternalId", "7")), want: implicit, by: identity.ResourcePolicy},
		{why: "a service", principal: "ec2.amazonaws.com", action: "sts:AssumeRole", resource: target, rp: trust(`{"Service":"ec2.amazonaws.com"}`), want: allowed},
		{why: "a root user cannot assume a role", principal: root, action: "sts:AssumeRole", resource: target, rp: trust(`{"AWS":"` + root + `"}`), want: implicit},
		{why: "an identity provider", principal: "arn:aws:iam::111122223333:saml-provider/Corp", action: "sts:AssumeRoleWithSAML", resource: target,
			rp: pol(st("Allow", "sts:AssumeRoleWithSAML", "", `"Principal":{"Federated":"arn:aws:iam::111122223333:saml-provider/Corp"}`, when("StringEquals", "SAML:aud", "https://signin.aws.amazon.com/saml"))), ctx: map[string][]string{"SAML:aud": {"https://signin.aws.amazon.com/saml"}}, want: allowed},
		{why: "a provider known by its host name", principal: "cognito-identity.amazonaws.com", action: "sts:AssumeRoleWithWebIdentity", resource: target,
			rp: pol(st("Allow", "sts:AssumeRoleWithWebIdentity", "", `"Principal":{"Federated":"cognito-identity.amazonaws.com"}`)), want: allowed},
		{why: "GetCallerIdentity needs no permission", action: "sts:GetCallerIdentity", resource: "*", id: []string{denyAll}, scp: [][]string{{denyAll}}, want: allowed, by: identity.NoPermissionNeeded},
		{why: "GetSessionToken needs none either", action: "sts:GetSessionToken", resource: "*", want: allowed},
	})
}

// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
// https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
func TestKeyPolicies(t *testing.T) {
	may := []string{pol(st("Allow", "kms:*", "*"))}
	delegate := pol(st("Allow", "kms:*", "*", aws(root)))
	grant := []identity.Grant{{GranteePrincipal: role, Operations: []string{"Decrypt"}, EncryptionContextSubset: map[string]string{"dept": "hr"}}}
	runCases(t, []stackCase{
		{why: "an identity policy is nothing without the key policy", action: "kms:Decrypt", resource: key, id: may, rp: pol(st("Allow", "kms:*", "*", aws(extUser))), want: implicit, by: identity.ResourcePolicy},
		{why: "the key policy gives it to IAM", action: "kms:Decrypt", resource: key, id: may, rp: delegate, want: allowed},
		{why: "which then must allow", action: "kms:Decrypt", resource: key, rp: delegate, want: implicit, by: identity.IdentityPolicy},
		{why: "the key policy names the user", action: "kms:Decrypt", resource: key, rp: pol(st("Allow", "kms:Decrypt", "*", aws(user))), want: allowed},
		{why: "even root needs the key policy", principal: root, action: "kms:Decrypt", resource: key, rp: pol(st("Allow", "kms:Decrypt", "*", aws(user))), want: implicit, by: identity.ResourcePolicy},
		{why: "root with it", principal: root, action: "kms:Decrypt", resource: key, rp: delegate, want: allowed},
		{why: "an action without a key needs no key policy", action: "kms:ListKeys", resource: "*", id: may, want: allowed},
		{why: "even if the request names one", action: "kms:ListKeys", resource: key, id: may, want: allowed},
		{why: "another account", principal: extUser, action: "kms:Decrypt", resource: key, id: may, rp: pol(st("Allow", "kms:Decrypt", "*", aws(other))), want: allowed},
		{why: "the caller's account is a key that AWS sets", action: "kms:Decrypt", resource: key, rp: pol(st("Allow", "kms:*", "*", everyone, when("StringEquals", "kms:CallerAccount", acct))), want: allowed},
		{why: "a grant allows what it lists", principal: session, action: "kms:Decrypt", resource: key, grants: grant, ctx: map[string][]string{"kms:EncryptionContext:dept": {"hr"}}, want: allowed, by: identity.KeyGrant},
		{why: "under its constraints", principal: session, action: "kms:Decrypt", resource: key, grants: grant, want: implicit},
		{why: "and nothing else", principal: session, action: "kms:Encrypt", resource: key, grants: grant, ctx: map[string][]string{"kms:EncryptionContext:dept": {"hr"}}, want: implicit},
		{why: "to its grantee", action: "kms:Decrypt", resource: key, grants: grant, ctx: map[string][]string{"kms:EncryptionContext:dept": {"hr"}}, want: implicit},
		{why: "unless denied", principal: session, action: "kms:Decrypt", resource: key, grants: grant, id: []string{denyAll}, ctx: map[string][]string{"kms:EncryptionContext:dept": {"hr"}}, want: explicit},
	})
}

// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
func TestS3PublicAccess(t *testing.T) {
	public := pol(st("Allow", "s3:GetObject", "*", everyone))
	fixed := pol(st("Allow", "s3:GetObject", "*", everyone, when("StringEquals", "aws:SourceVpc", "vpc-1")))
	block := &identity.S3Access{RestrictPublicBuckets: true}
	all := []identity.ACLGrant{{Grantee: "http://acs.amazonaws.com/groups/global/AllUsers", Permission: "READ"}}
	runCases(t, []stackCase{
		{why: "a public policy", principal: "*", rp: public, s3: &identity.S3Access{}, want: allowed},
		{why: "restricted to the account", principal: "*", rp: public, s3: block, want: implicit},
		{why: "where it still counts", rp: public, s3: block, want: allowed},
		{why: "foreign accounts are cut off too", principal: extUser, id: []string{allowAll}, rp: pol(st("Allow", "s3:*", "*", everyone), st("Allow", "s3:*", "*", aws(extUser))), s3: block, want: implicit},
		{why: "a policy with fixed conditions is not public", principal: "*", rp: fixed, s3: block, ctx: map[string][]string{"aws:SourceVpc": {"vpc-1"}}, want: allowed},
		{why: "services keep their access", principal: "config.amazonaws.com", rp: public, s3: block, want: allowed},
		{why: "a public access list", principal: "*", s3: &identity.S3Access{ACL: all}, want: allowed, by: identity.AccessControlList},
		{why: "ignored", principal: "*", s3: &identity.S3Access{ACL: all, IgnorePublicAcls: true}, want: implicit},
		{why: "turned off by ownership", principal: "*", s3: &identity.S3Access{ACL: all, ObjectOwnership: "BucketOwnerEnforced"}, want: implicit},
		{why: "reading is not writing", principal: "*", action: "s3:PutObject", s3: &identity.S3Access{ACL: all}, want: implicit},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html
func TestNotActionAndNotResource(t *testing.T) {
	runCases(t, []stackCase{
		{why: "NotAction allows the rest", id: []string{`{"Statement":{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}}`}, want: allowed},
		{why: "but not what it lists, in any case", action: "IAM:GetUser", resource: user, id: []string{`{"Statement":{"Effect":"Allow","NotAction":"iam:get*","Resource":"*"}}`}, want: implicit},
		{why: "NotResource", id: []string{`{"Statement":{"Effect":"Allow","Action":"s3:*","NotResource":["arn:aws:s3:::logs/private/*"]}}`}, want: allowed},
		{why: "NotResource lists it", id: []string{`{"Statement":{"Effect":"Allow","Action":"s3:*","NotResource":["x","arn:aws:s3:::logs/*"]}}`}, want: implicit},
		{why: "an action without a resource needs *", action: "ec2:DescribeInstances", resource: "*", id: []string{pol(st("Allow", "ec2:*", "arn:aws:ec2:*:*:instance/*"))}, want: implicit},
		{why: "and has it", action: "ec2:DescribeInstances", resource: "*", id: []string{allowEC2}, want: allowed},
		{why: "naming a resource in the request does not change that", action: "ec2:DescribeInstances", resource: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", id: []string{pol(st("Allow", "ec2:*", "arn:aws:ec2:*:*:instance/*"))}, want: implicit},
		{why: "nor for a deny", action: "ec2:DescribeInstances", resource: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", id: []string{allowEC2, pol(st("Deny", "ec2:*", "arn:aws:ec2:*:*:instance/*"))}, want: allowed},
		{why: "listing all buckets may be allowed on all buckets", action: "s3:ListAllMyBuckets", resource: "*", id: []string{pol(st("Allow", "s3:ListAllMyBuckets", "arn:aws:s3:::*"))}, want: allowed},
		{why: "an action with resources is compared with its resource", action: "ec2:StopInstances", resource: "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", id: []string{pol(st("Allow", "ec2:*", "arn:aws:ec2:*:*:instance/*"))}, want: allowed},
		{why: "an empty list of actions matches nothing", id: []string{`{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`}, want: implicit},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func TestPolicyVariables(t *testing.T) {
	home := func(v string) []string { return []string{pol(st("Allow", "s3:*", "arn:aws:s3:::logs/"+v))} }
	ask := func(key string) string { return "arn:aws:s3:::logs/" + key }
	tag := func(v string) map[string][]string { return map[string][]string{"aws:PrincipalTag/team": {v}} }
	runCases(t, []stackCase{
		{why: "the user's name", resource: ask("Ada/x"), id: home("${aws:username}/*"), want: allowed},
		{why: "another user's folder", resource: ask("Bob/x"), id: home("${aws:username}/*"), want: implicit},
		{why: "keys in any case", resource: ask("Ada/x"), id: home("${AWS:UserName}/*"), want: allowed},
		{why: "a substituted value is literal text", resource: ask("red/x"), ctx: tag("*"), id: home("${aws:PrincipalTag/team}/*"), want: implicit},
		{why: "and matches itself", resource: ask("*/x"), ctx: tag("*"), id: home("${aws:PrincipalTag/team}/*"), want: allowed},
		{why: "a variable that is absent matches nothing", principal: session, resource: ask("/x"), id: home("${aws:username}/*"), want: implicit},
		{why: "a default", resource: ask("company-wide/x"), id: home("${aws:PrincipalTag/team, 'company-wide'}/*"), want: allowed},
		{why: "a default is not used when there is a value", resource: ask("company-wide/x"), ctx: tag("red"), id: home("${aws:PrincipalTag/team, 'company-wide'}/*"), want: implicit},
		{why: "an escaped star is a star", resource: ask("a*b"), id: home("a${*}b"), want: allowed},
		{why: "and nothing else", resource: ask("axb"), id: home("a${*}b"), want: implicit},
		{why: "an escaped question mark", resource: ask("axb"), id: home("a${?}b"), want: implicit},
		{why: "an escaped dollar sign", resource: ask("${aws:username}"), id: home("${$}{aws:username}"), want: allowed},
		{why: "the language of 2008 has no variables", resource: ask("Ada/x"), id: []string{`{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::logs/${aws:username}/*"}}`}, want: implicit},
		{why: "nor does a policy without a version", resource: ask("${aws:username}/x"), id: []string{`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::logs/${aws:username}/*"}}`}, want: allowed},
		{why: "not before the fifth colon", action: "sqs:SendMessage", resource: queue, id: []string{pol(st("Allow", "sqs:*", "arn:aws:sqs:eu-west-1:${aws:PrincipalAccount}:jobs"))}, want: implicit},
		{why: "in conditions", ctx: map[string][]string{"s3:prefix": {"Ada/2024"}}, id: []string{pol(st("Allow", "s3:*", "*", when("StringLike", "s3:prefix", "${aws:username}/*")))}, want: allowed},
		{why: "in StringEquals between two tags", ctx: map[string][]string{"aws:PrincipalTag/team": {"red"}, "aws:ResourceTag/team": {"red"}}, id: []string{pol(st("Allow", "s3:*", "*", when("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}")))}, want: allowed},
		{why: "in ARN operators", ctx: map[string][]string{"aws:SourceArn": {"arn:aws:iam::111122223333:user/Ada"}}, id: []string{pol(st("Allow", "s3:*", "*", when("ArnLike", "aws:SourceArn", "arn:aws:iam::*:user/${aws:username}")))}, want: allowed},
		// "Policy variables with no value": inverted operators match, and a resource matches nothing.
		{why: "an absent variable is equal to nothing", ctx: map[string][]string{"aws:ResourceTag/team": {"red"}}, id: []string{pol(st("Allow", "s3:*", "*", when("StringEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}")))}, want: implicit},
		{why: "so a negated operator holds", ctx: map[string][]string{"aws:ResourceTag/team": {"red"}}, id: []string{allowAll, pol(st("Deny", "s3:GetObject", "*", when("StringNotEquals", "aws:ResourceTag/team", "${aws:PrincipalTag/team}")))}, want: explicit},
		{why: "and so does StringNotLike", ctx: map[string][]string{"aws:ResourceTag/team": {"red"}}, id: []string{allowAll, pol(st("Deny", "s3:GetObject", "*", when("StringNotLike", "aws:ResourceTag/team", "${aws:PrincipalTag/team}*")))}, want: explicit},
		{why: "and ArnNotEquals", ctx: map[string][]string{"aws:SourceArn": {user}}, id: []string{allowAll, pol(st("Deny", "s3:GetObject", "*", when("ArnNotEquals", "aws:SourceArn", "arn:aws:iam::111122223333:user/${aws:PrincipalTag/team}")))}, want: explicit},
		{why: "another value of the operator may still match", ctx: map[string][]string{"aws:ResourceTag/team": {"red"}}, id: []string{allowAll, pol(st("Deny", "s3:GetObject", "*", `"Condition":{"StringNotEquals":{"aws:ResourceTag/team":["red","${aws:PrincipalTag/team}"]}}`))}, want: allowed},
		{why: "in NotResource an absent variable excludes nothing", id: []string{allowAll, pol(`{"Effect":"Deny","Action":"s3:*","NotResource":"arn:aws:s3:::logs/${aws:PrincipalTag/team}/*"}`)}, want: explicit},
		{why: "in booleans", ctx: map[string][]string{"aws:SecureTransport": {"true"}, "aws:PrincipalTag/team": {"True"}}, id: []string{pol(st("Allow", "s3:*", "*", when("Bool", "aws:SecureTransport", "${aws:PrincipalTag/team}")))}, want: allowed},
		{why: "an anonymous caller has no user id", principal: "*", resource: ask("anonymous"), rp: pol(st("Allow", "s3:*", "arn:aws:s3:::logs/${aws:userid, 'anonymous'}", everyone)), want: allowed},
		{why: "not in numbers", ctx: map[string][]string{"s3:max-keys": {"5"}, "aws:PrincipalTag/team": {"5"}}, id: []string{pol(st("Allow", "s3:*", "*", when("NumericEquals", "s3:max-keys", "${aws:PrincipalTag/team}")))}, want: implicit},
		{why: "a key with several values is no variable", resource: ask("a/x"), ctx: map[string][]string{"aws:PrincipalTag/team": {"a", "b"}}, id: home("${aws:PrincipalTag/team}/*"), want: implicit},
	})
}

// A key whose value is not known makes the decision unknown only where it counts.
func TestUnknownContext(t *testing.T) {
	vpc := []string{"aws:SourceVpc"}
	ifVpc := func(effect string) string {
		return pol(st(effect, "s3:*", "*", when("StringEquals", "aws:sourcevpc", "vpc-1")))
	}
	runCases(t, []stackCase{
		{why: "an allow depends on it", unknown: vpc, id: []string{ifVpc("Allow")}, want: unknown, miss: "aws:SourceVpc", by: identity.IdentityPolicy},
		{why: "another statement allows anyway", unknown: vpc, id: []string{ifVpc("Allow"), allowS3}, want: allowed},
		{why: "a deny depends on it", unknown: vpc, id: []string{allowAll, ifVpc("Deny")}, want: unknown, miss: "aws:SourceVpc"},
		{why: "nothing allows, so the deny does not matter", unknown: vpc, id: []string{ifVpc("Deny")}, want: implicit},
		{why: "another deny matches for certain", unknown: vpc, id: []string{ifVpc("Allow"), ifVpc("Deny"), denyAll}, want: explicit},
		{why: "the statement is about another action", unknown: vpc, action: "ec2:RunInstances", resource: "*", id: []string{ifVpc("Deny"), allowAll}, want: allowed},
		{why: "another condition fails for certain", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", `"Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1","aws:RequestedRegion":"x"}}`))}, want: implicit},
		{why: "the boundary does not allow whatever the key", unknown: vpc, id: []string{ifVpc("Allow")}, boundary: []string{allowEC2}, want: implicit, by: identity.PermissionsBoundary},
		{why: "a service control policy depends on it", unknown: vpc, id: []string{allowAll}, scp: [][]string{{ifVpc("Allow")}}, want: unknown, miss: "aws:SourceVpc", by: identity.ServiceControlPolicy},
		{why: "IfExists with a lone star holds for every value and for none", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("StringLikeIfExists", "aws:SourceVpc", "*")))}, want: allowed},
		{why: "Null depends on it", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("Null", "aws:SourceVpc", "true")))}, want: unknown, miss: "aws:SourceVpc"},
		{why: "a variable in the resource", unknown: []string{"aws:PrincipalTag/team"}, id: []string{pol(st("Allow", "s3:*", bucket+"/${aws:PrincipalTag/team}/*"))}, want: unknown, miss: "aws:PrincipalTag/team"},
		{why: "a variable that cannot help", unknown: []string{"aws:PrincipalTag/team"}, id: []string{pol(st("Allow", "s3:*", "arn:aws:s3:::other/${aws:PrincipalTag/team}/*"))}, want: implicit},
		{why: "with one value one statement allows, with every other another", unknown: vpc, id: []string{ifVpc("Allow"), pol(st("Allow", "s3:*", "*", when("StringNotEquals", "aws:SourceVpc", "vpc-1")))}, want: allowed},
		{why: "the values between the statements are not covered", unknown: vpc, id: []string{ifVpc("Allow"), pol(st("Allow", "s3:*", "*", when("StringNotEquals", "aws:SourceVpc", "vpc-2")))}, want: unknown, miss: "aws:SourceVpc", ctx: map[string][]string{}, boundary: []string{pol(st("Allow", "*", "*", when("StringEquals", "aws:SourceVpc", "vpc-1", "vpc-2")))}},
		{why: "whoever is allowed is denied", unknown: vpc, id: []string{ifVpc("Allow"), ifVpc("Deny")}, want: implicit},
		{why: "present or absent", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("Null", "aws:SourceVpc", "true")), st("Allow", "s3:*", "*", when("Null", "aws:SourceVpc", "false")))}, want: allowed},
		{why: "the same with a set operator", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("ForAnyValue:StringEquals", "aws:SourceVpc", "a")), st("Allow", "s3:*", "*", when("StringNotEquals", "aws:SourceVpc", "a")))}, want: allowed},
		{why: "and without regard to case", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("StringEqualsIgnoreCase", "aws:SourceVpc", "a")), st("Allow", "s3:*", "*", when("StringNotEqualsIgnoreCase", "aws:SourceVpc", "A")))}, want: allowed},
		{why: "another spelling is another value", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("StringEqualsIgnoreCase", "aws:SourceVpc", "a")))}, boundary: []string{pol(st("Allow", "s3:*", "*", when("StringNotEquals", "aws:SourceVpc", "a", "A")))}, want: implicit},
		{why: "a lower-case spelling is left", unknown: vpc, id: []string{pol(st("Allow", "s3:*", "*", when("StringEqualsIgnoreCase", "aws:SourceVpc", "AB")))}, boundary: []string{pol(st("Allow", "s3:*", "*", when("StringNotEquals", "aws:SourceVpc", "AB", "aB", "Ab")))}, want: unknown, miss: "aws:SourceVpc"},
		{why: "the account is let in, the statement for everyone is not decided", unknown: vpc, rp: pol(st("Allow", "s3:*", "*", everyone, when("StringEquals", "aws:SourceVpc", "a")), st("Allow", "s3:*", "*", `"Principal":{"AWS":"111122223333"}`)), want: unknown, miss: "aws:SourceVpc", by: identity.ResourcePolicy},
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html, NULL_WITH_QUALIFIER
		{why: "Null with ForAllValues is always true", id: []string{pol(st("Allow", "s3:*", "*", when("ForAllValues:Null", "aws:SourceVpc", "false")))}, want: allowed},
		{why: "and with ForAnyValue always false", id: []string{pol(st("Allow", "s3:*", "*", when("ForAnyValue:Null", "aws:SourceVpc", "true")))}, want: implicit},
		{why: "all tags at once", unknown: []string{"aws:ResourceTag/*"}, id: []string{pol(st("Allow", "s3:*", "*", when("StringEquals", "aws:ResourceTag/team", "red")))}, want: unknown, miss: "aws:ResourceTag/team"},
		{why: "what AWS derives can be unknown too", unknown: []string{"aws:PrincipalArn"}, id: []string{pol(st("Allow", "s3:*", "*", when("ArnEquals", "aws:PrincipalArn", user)))}, want: unknown, miss: "aws:PrincipalArn"},
	})
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func TestDerivedKeys(t *testing.T) {
	is := func(key, value string) []string {
		return []string{pol(st("Allow", "s3:*", "*", when("StringEquals", key, value)))}
	}
	runCases(t, []stackCase{
		{why: "the user's ARN", id: is("aws:PrincipalArn", user), want: allowed},
		{why: "of a session it is the role's", principal: session, id: is("aws:PrincipalArn", "arn:aws:iam::111122223333:role/Deployer"), want: allowed},
		{why: "what is supplied is not overridden", principal: session, ctx: map[string][]string{"AWS:principalarn": {role}}, id: is("aws:PrincipalArn", role), want: allowed},
		{why: "the account", id: is("aws:PrincipalAccount", acct), want: allowed},
		{why: "the type of a session", principal: session, id: is("aws:PrincipalType", "AssumedRole"), want: allowed},
		{why: "the owner of the resource", id: is("aws:ResourceAccount", "${aws:PrincipalAccount}"), want: allowed},
		{why: "a session has no user name", principal: session, id: []string{pol(st("Allow", "s3:*", "*", when("Null", "aws:username", "true")))}, want: allowed},
		{why: "a service is one", principal: "config.amazonaws.com", rp: pol(st("Allow", "s3:*", "*", everyone, when("Bool", "aws:PrincipalIsAWSService", "true"))), want: allowed},
		{why: "a user is none", id: []string{allowS3}, rp: pol(st("Deny", "s3:*", "*", everyone, when("Bool", "aws:PrincipalIsAWSService", "false"))), want: explicit},
	})
}

func TestEvaluateRefuses(t *testing.T) {
	for _, c := range []struct{ principal, action, resource, owner string }{
		{"", "s3:GetObject", "*", ""}, {"ada", "s3:GetObject", "*", ""},
		{"arn:aws:iam::111122223333:group/g", "s3:GetObject", "*", ""}, {"arn:aws:iam::1:user/u", "s3:GetObject", "*", ""},
		{"arn:aws:sts::111122223333:assumed-role/path/Role/session", "s3:GetObject", "*", ""},
		{user, "", "*", ""}, {user, "s3", "*", ""}, {user, "s3:*", "*", ""}, {user, "s3:GetObject", "", ""}, {user, "s3:GetObject", "*", "12"},
	} {
		d, err := identity.Evaluate(&identity.Request{Principal: c.principal, Action: c.action, Resource: c.resource, ResourceAccount: c.owner}, &identity.Stack{})
		if err == nil || d.Outcome != "" {
			t.Errorf("%v: decided %s", c, d.Outcome)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct {
		layer    identity.Layer
		in, want string
	}{
		{identity.IdentityPolicy, pol(st("Allow", "s3:*", "*", everyone)), "1:38: Statement[0]: a statement of an identity policy cannot have a Principal"},
		{identity.IdentityPolicy, pol(st("Allow", "s3:*", "")), "1:38: Statement[0]: a statement of an identity policy needs a Resource"},
		{identity.ResourcePolicy, pol(st("Allow", "s3:*", "*")), "1:38: Statement[0]: a statement of a resource policy needs a Principal"},
		{identity.IdentityPolicy, pol(st("Allow", "s3", "*")), `1:65: Statement[0].Action: the action "s3" has no service; want one such as s3:GetObject`},
		{identity.IdentityPolicy, pol(st("Allow", "s3*", "*")), `1:65: Statement[0].Action: the action "s3*" has no service; want one such as s3:GetObject`},
		{identity.IdentityPolicy, pol(st("Allow", "s3:*", "*", when("StringSame", "a:b", "c"))), `1:100: Statement[0].Condition.StringSame: unknown condition operator "StringSame"`},
		{identity.IdentityPolicy, pol(st("Allow", "s3:*", "*", when("NullIfExists", "a:b", "true"))), `1:100: Statement[0].Condition.NullIfExists: unknown condition operator "NullIfExists"`},
	} {
		_, err := identity.ParseDocument([]byte(c.in), c.layer, "")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", c.in, err, c.want)
		}
	}
}

// A document with mistakes has been read as far as it goes; what is missing in it
// is an error when it is compiled.
func TestCompileRefusesHalves(t *testing.T) {
	for _, c := range []struct{ statement, want string }{
		{`{"Effect":"Allow","Resource":"*"}`, "a statement needs an Action"},
		{`{"Effect":"Allow"}`, "a statement needs an Action"},
		{`{}`, "a statement needs an Action"},
		{`{"Effect":"Allow","NotAction":"s3:*"}`, "a statement of an identity policy needs a Resource"},
	} {
		p, _ := identity.ParseLenient([]byte(`{"Statement":[` + c.statement + `]}`))
		_, err := identity.Compile(p, identity.IdentityPolicy, "")
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.statement, err, c.want)
		}
	}
}

// The statements of a decision are those that decided it.
func TestDecidingStatements(t *testing.T) {
	delegate := pol(st("Allow", "*", "*", aws(root), `"Sid":"Delegate"`))
	may := pol(st("Allow", "s3:*", "*", `"Sid":"S3"`), st("Allow", "kms:*", "*", `"Sid":"KMS"`))
	for _, c := range []struct {
		stackCase
		statements string
	}{
		{stackCase{why: "the identity policy alone", id: []string{may}, rp: delegate}, "identityPolicy/S3"},
		{stackCase{why: "both, where a key policy must delegate", action: "kms:Decrypt", resource: key, id: []string{may}, rp: delegate}, "resourcePolicy/Delegate identityPolicy/KMS"},
		{stackCase{why: "both sides, across accounts", principal: extUser, id: []string{may}, rp: pol(st("Allow", "s3:*", "*", aws(other), `"Sid":"Guest"`))}, "resourcePolicy/Guest identityPolicy/S3"},
		{stackCase{why: "every deny that matches", id: []string{may, pol(st("Deny", "s3:*", "*", `"Sid":"A"`), st("Deny", "*", "*", `"Sid":"B"`))}, scp: [][]string{{pol(st("Deny", "*", "*", `"Sid":"C"`))}}}, "serviceControlPolicy/C identityPolicy/A identityPolicy/B"},
		{stackCase{why: "none for an implicit deny", id: []string{allowEC2}}, ""},
	} {
		r, s := c.build(t)
		d, err := identity.Evaluate(r, s)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range d.Statements {
			got = append(got, string(r.Layer)+"/"+r.Statement.SidText())
		}
		if strings.Join(got, " ") != c.statements {
			t.Errorf("%s: %v, want %s", c.why, got, c.statements)
		}
	}
}
