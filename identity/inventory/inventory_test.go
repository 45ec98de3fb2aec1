package inventory_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

const acct = "111122223333"

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := estate.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v.(map[string]any)
}

func resource(t *testing.T, typ, id, arn, document string) *estate.Resource {
	return &estate.Resource{Type: typ, ID: id, ARN: arn, Account: acct, Document: object(t, document)}
}

// small is an account of an organization with a user in a group, a role with a
// boundary, a bucket, and a control policy on the account's unit.
func small(t *testing.T) []*estate.Resource {
	return []*estate.Resource{
		resource(t, "AWS::IAM::Group", "ops", "arn:aws:iam::"+acct+":group/ops", `{"GroupName":"ops","AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::aws:policy/ReadOnlyAccess"}]}`),
		resource(t, "AWS::IAM::User", "ada", "arn:aws:iam::"+acct+":user/ada", `{"UserName":"ada","UserId":"AIDAADA","Path":"/","GroupList":["ops"],
			"UserPolicyList":[{"PolicyName":"own","PolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["s3:PutObject","cloudtrail:StopLogging"],"Resource":"*"}}},
			{"PolicyName":"vpn","PolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ec2:StartInstances","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}}}]}`),
		resource(t, "AWS::IAM::ManagedPolicy", "arn:aws:iam::"+acct+":policy/limit", "arn:aws:iam::"+acct+":policy/limit", `{"PolicyVersionList":[
			{"VersionId":"v1","IsDefaultVersion":false,"Document":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}},
			{"VersionId":"v2","IsDefaultVersion":true,"Document":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}}]}`),
		resource(t, "AWS::IAM::Role", "app", "arn:aws:iam::"+acct+":role/team/app", `{"RoleName":"app","Path":"/team/","RoleId":"AROAAPP",
			"AssumeRolePolicyDocument":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::111122223333:user/ada\"},\"Action\":\"sts:AssumeRole\"}}",
			"RolePolicyList":[{"PolicyName":"all","PolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}}],
			"PermissionsBoundary":{"PermissionsBoundaryArn":"arn:aws:iam::111122223333:policy/limit"}}`),
		resource(t, "AWS::S3::Bucket", "logs", "arn:aws:s3:::logs", `{"Name":"logs","GetBucketPolicy":{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\",\"Resource\":\"arn:aws:s3:::logs/*\"}}"}}`),
		resource(t, "AWS::Organizations::Organization", "o-1", "", `{"Id":"o-1","MasterAccountId":"999999999999"}`),
		resource(t, "AWS::Organizations::OrganizationalUnit", "ou-1", "", `{"Id":"ou-1","ListParents":{"Parents":[{"Id":"r-1"}]}}`),
		resource(t, "AWS::Organizations::Account", acct, "", `{"Id":"111122223333","ListParents":{"Parents":[{"Id":"ou-1"}]}}`),
		resource(t, "AWS::Organizations::Policy", "p-1", "", `{"Id":"p-1","Name":"FullAWSAccess","Type":"SERVICE_CONTROL_POLICY","DescribePolicy":{"Policy":{"Content":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}"}},"ListTargetsForPolicy":{"Targets":[{"TargetId":"r-1"},{"TargetId":"ou-1"},{"TargetId":"111122223333"}]}}`),
		resource(t, "AWS::Organizations::Policy", "p-2", "", `{"Id":"p-2","Name":"guard","Type":"SERVICE_CONTROL_POLICY","DescribePolicy":{"Policy":{"Content":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"cloudtrail:StopLogging\",\"Resource\":\"*\"}}"}},"ListTargetsForPolicy":{"Targets":[{"TargetId":"ou-1"}]}}`),
	}
}

func load(t *testing.T, resources []*estate.Resource, gaps ...estate.Gap) *inventory.Inventory {
	t.Helper()
	inv, err := inventory.Load(estate.New(estate.Header{Schema: estate.Schema}, resources, gaps))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

func TestDecide(t *testing.T) {
	inv := load(t, small(t))
	for _, c := range []struct {
		rule, principal, action, resource string
		context                           map[string][]string
		want                              identity.Outcome
		by                                identity.Layer
	}{
		{"a group's managed policy counts", "ada", "ec2:DescribeInstances", "*", nil, identity.Allowed, identity.IdentityPolicy},
		{"an inline policy counts", "ada", "s3:PutObject", "arn:aws:s3:::data/k", nil, identity.Allowed, identity.IdentityPolicy},
		{"the bucket's own policy denies", "ada", "s3:PutObject", "arn:aws:s3:::logs/k", nil, identity.ExplicitDeny, identity.ResourcePolicy},
		{"a control policy on the unit denies", "ada", "cloudtrail:StopLogging", "*", nil, identity.ExplicitDeny, identity.ServiceControlPolicy},
		{"only the default version of the boundary counts", "role/app", "ec2:DescribeInstances", "*", nil, identity.ImplicitDeny, identity.PermissionsBoundary},
		{"within the boundary the role may", "arn:aws:iam::111122223333:role/team/app", "s3:GetObject", "arn:aws:s3:::data/k", nil, identity.Allowed, identity.IdentityPolicy},
		{"a session's ARN finds its role", "arn:aws:sts::111122223333:assumed-role/app/x", "s3:GetObject", "arn:aws:s3:::data/k", nil, identity.Allowed, identity.IdentityPolicy},
		{"the trust policy names the user", "ada", "sts:AssumeRole", "arn:aws:iam::111122223333:role/team/app", nil, identity.Allowed, identity.ResourcePolicy},
		{"an address that nobody gave is unknown", "ada", "ec2:StartInstances", "*", nil, identity.Unknown, identity.IdentityPolicy},
		{"with the address it is known", "ada", "ec2:StartInstances", "*", map[string][]string{"aws:SourceIp": {"10.1.1.1"}}, identity.Allowed, identity.IdentityPolicy},
		{"the account's root user may do all but what the organization denies", acct, "s3:DeleteBucket", "arn:aws:s3:::data", nil, identity.Allowed, identity.RootUser},
	} {
		p := inv.Find(c.principal)
		if len(p) != 1 {
			t.Errorf("%s: Find(%q) found %d", c.rule, c.principal, len(p))
			continue
		}
		a, err := inv.Decide(p[0], c.action, c.resource, c.context)
		if err != nil || a.Outcome != c.want || a.DecidedBy != c.by {
			t.Errorf("%s: %v by %v, %v; want %v by %v; missing %v", c.rule, a.Outcome, a.DecidedBy, err, c.want, c.by, a.Missing)
		}
	}
}

// The policy of a resource decides about its parts.
func TestParts(t *testing.T) {
	const region = "arn:aws:%s:eu-west-1:" + acct + ":%s"
	table, domain := fmt.Sprintf(region, "dynamodb", "table/orders"), fmt.Sprintf(region, "es", "domain/search")
	inv := load(t, append(small(t),
		resource(t, "AWS::DynamoDB::Table", "orders", table, `{"TableName":"orders"}`),
		resource(t, "AWS::OpenSearchService::Domain", "search", domain, `{"DomainName":"search"}`)))
	for name, want := range map[string]string{
		"arn:aws:s3:::logs/a/b": "arn:aws:s3:::logs", "arn:aws:s3:::logs": "arn:aws:s3:::logs", "arn:aws:s3:::logs2/a": "",
		table: table, table + "/index/by-day": table, table + "/stream/2026-11-22T00:00:00.000": "", table + "2/index/by-day": "",
		domain + "/orders/_search": domain, domain: domain, "*": "",
	} {
		got := ""
		if r, ok := inv.Resource(name); ok {
			got = r.ARN
			if !slices.ContainsFunc(r.Parts(), func(p string) bool { return identity.MatchResource(p, name) }) {
				t.Errorf("%s is found by %s, of whose parts %v it is none", r.ARN, name, r.Parts())
			}
		}
		if got != want {
			t.Errorf("%s is of %q, want %q", name, got, want)
		}
	}
}

// A policy that could not be read is never taken for one that allows nothing.
func TestUnreadIsUnknown(t *testing.T) {
	list := small(t)
	list[1].Document["AttachedManagedPolicies"] = []any{map[string]any{"PolicyArn": "arn:aws:iam::111122223333:policy/gone"}}
	inv := load(t, list)
	ada := inv.Find("ada")[0]
	a, err := inv.Decide(ada, "rds:DeleteDBInstance", "*", nil)
	if err != nil || a.Outcome != identity.Unknown || len(a.Missing) != 1 {
		t.Errorf("Decide = %v, missing %v, %v; want unknown for one reason", a.Outcome, a.Missing, err)
	}
	if a, err = inv.Decide(ada, "cloudtrail:StopLogging", "*", nil); err != nil || a.Outcome != identity.ExplicitDeny {
		t.Errorf("an explicit deny settles it whatever is missing: %v, %v", a.Outcome, err)
	}
}

// A member account cannot read the organization's policies: whatever is allowed
// may be denied there.
func TestMemberAlone(t *testing.T) {
	var list []*estate.Resource
	for _, r := range small(t) {
		if r.Type == "AWS::Organizations::Organization" || r.Type == "AWS::IAM::User" || r.Type == "AWS::IAM::Group" {
			list = append(list, r)
		}
	}
	inv := load(t, list)
	a, err := inv.Decide(inv.Find("ada")[0], "s3:PutObject", "arn:aws:s3:::data/k", nil)
	if err != nil || a.Outcome != identity.Unknown {
		t.Fatalf("Decide = %v, %v; want unknown", a.Outcome, err)
	}
	if diff := cmp.Diff([]string{"the service control policies, which only the organization's management account can read"}, a.Missing); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkDecideManyPrincipals(b *testing.B) {
	users := make([]*estate.Resource, 0, 10_000)
	doc := map[string]any{}
	if err := json.Unmarshal([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`), &doc); err != nil {
		b.Fatal(err)
	}
	for i := range cap(users) {
		name := "u" + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		users = append(users, &estate.Resource{Type: "AWS::IAM::User", ID: name, ARN: "arn:aws:iam::" + acct + ":user/" + name, Account: acct,
			Document: map[string]any{"Path": "/", "UserPolicyList": []any{map[string]any{"PolicyName": "p", "PolicyDocument": doc}}}})
	}
	inv, err := inventory.Load(estate.New(estate.Header{}, users, nil))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range inv.Principals {
			if _, err := inv.Decide(p, "s3:GetObject", "arn:aws:s3:::data/k", nil); err != nil {
				b.Fatal(err)
			}
		}
	}
}
