package exposure_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/exposure"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

const own, sister, stranger = "111122223333", "444455556666", "555566667777"

func res(t *testing.T, typ, id, arn, account, document string) *estate.Resource {
	t.Helper()
	v, err := estate.DecodeJSON([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return &estate.Resource{Type: typ, ID: id, ARN: arn, Account: account, Document: v.(map[string]any)}
}

// inv is an organization of two accounts with a bucket that has the policy, or
// a role that has the trust policy.
func inv(t *testing.T, policy string, extra ...*estate.Resource) *inventory.Inventory {
	t.Helper()
	list := append([]*estate.Resource{
		res(t, "AWS::Organizations::Organization", "o-acme123456", "", own, `{"Id":"o-acme123456","MasterAccountId":"`+own+`"}`),
		res(t, "AWS::Organizations::Account", own, "", own, `{"ListParents":{"Parents":[{"Id":"r-1"}]}}`),
		res(t, "AWS::Organizations::Account", sister, "", own, `{"ListParents":{"Parents":[{"Id":"r-1"}]}}`),
		res(t, "AWS::EC2::VPCEndpoint", "vpce-0own", "", own, `{}`),
	}, extra...)
	if strings.Contains(policy, "sts:AssumeRole") {
		list = append(list, res(t, "AWS::IAM::Role", "r", "arn:aws:iam::"+own+":role/r", own, fmt.Sprintf(`{"RoleName":"r","Path":"/","AssumeRolePolicyDocument":%s}`, policy)))
	} else {
		list = append(list, res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", own, fmt.Sprintf(`{"Name":"b","GetBucketPolicy":{"Policy":%q}}`, policy)))
	}
	i, err := inventory.Load(estate.New(estate.Header{}, list, nil))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func summary(list []exposure.Exposure) string {
	var out []string
	for _, x := range list {
		kind := "external"
		if x.Public {
			kind = "public"
		}
		if x.Verdict == prove.Unknown {
			kind = "unknown"
		}
		out = append(out, kind+" "+x.Principal)
	}
	return strings.Join(out, "; ")
}

func statement(principal, condition string) string {
	s := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + `}]}`
}

func trust(provider, condition string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":` + condition + `}]}`
}

// What AWS calls public, and which access leaves the zone of trust.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-resources.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_oidc_secure.html
func TestExposure(t *testing.T) {
	const github = "arn:aws:iam::" + own + ":oidc-provider/token.actions.githubusercontent.com"
	for _, c := range []struct{ rule, policy, public, external string }{
		{"anyone", statement(`"*"`, ""), "public *", "public *"},
		{"anyone, written as a list of AWS principals", statement(`{"AWS":["*"]}`, ""), "public *", "public *"},
		{"an account of the organization is inside", statement(`{"AWS":"`+sister+`"}`, ""), "", ""},
		{"an account outside", statement(`{"AWS":"`+stranger+`"}`, ""), "", "external " + stranger},
		{"of several principals only those outside", statement(`{"AWS":["arn:aws:iam::`+own+`:role/x","arn:aws:iam::`+stranger+`:role/y"]}`, ""), "", "external arn:aws:iam::" + stranger + ":role/y"},
		{"anyone of the organization", statement(`"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-acme123456"}}`), "", ""},
		{"anyone of another organization", statement(`"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-other12345"}}`), "", "external *"},
		{"anyone in a unit of the organization", statement(`"*"`, `{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":"o-acme123456/r-1/*"}}`), "", ""},
		{"ForAllValues lets in whoever has no organization", statement(`"*"`, `{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-acme123456/*"}}`), "public *", "public *"},
		{"IfExists lets in anonymous callers", statement(`"*"`, `{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-acme123456"}}`), "public *", "public *"},
		{"a source in the own account", statement(`"*"`, `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:`+own+`:t"}}`), "", ""},
		{"a source in an account outside", statement(`"*"`, `{"StringEquals":{"aws:SourceAccount":"`+stranger+`"}}`), "", "external *"},
		{"an endpoint of the estate", statement(`"*"`, `{"StringEquals":{"aws:SourceVpce":"vpce-0own"}}`), "", ""},
		{"an endpoint that nobody knows", statement(`"*"`, `{"StringEquals":{"aws:SourceVpce":"vpce-0other"}}`), "", "external *"},
		{"a network is somebody's, but not known to be ours", statement(`"*"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`), "", "external *"},
		{"services are inside", statement(`{"Service":"cloudtrail.amazonaws.com"}`, ""), "", ""},
		{"a deny for everyone outside the organization closes what is open",
			strings.Replace(statement(`"*"`, ""), `"Statement":[`, `"Statement":[{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-acme123456"}}},`, 1), "", ""},
		{"everyone but one account", strings.Replace(statement(`{"AWS":"`+stranger+`"}`, ""), `"Principal"`, `"NotPrincipal"`, 1), "public *", "public *"},
		{"a role for any repository of GitHub", trust(github, `{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`), "public " + github, "public " + github},
		{"a role for any subject of GitHub", trust(github, `{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*"}}`), "public " + github, "public " + github},
		{"a role for one organization of GitHub", trust(github, `{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}`), "", "external " + github},
	} {
		i := inv(t, c.policy)
		if diff := cmp.Diff(c.public, summary(exposure.Find(i, exposure.Anyone))); diff != "" {
			t.Errorf("%s: public: (-want +got)\n%s", c.rule, diff)
		}
		list := exposure.Find(i, exposure.Outside)
		if diff := cmp.Diff(c.external, summary(list)); diff != "" {
			t.Errorf("%s: external: (-want +got)\n%s", c.rule, diff)
		}
		for _, x := range list {
			if x.Verdict == prove.Yes && x.Witness == nil {
				t.Errorf("%s: no witness", c.rule)
			}
		}
	}
}

// Block public access closes a public policy and leaves one that is not public
// alone; what could not be read makes the answer unknown.
func TestBlocked(t *testing.T) {
	block := res(t, "AWS::Account::Account", own, "", own, `{"GetPublicAccessBlock":{"PublicAccessBlockConfiguration":{"RestrictPublicBuckets":true,"IgnorePublicAcls":true}}}`)
	acl := `{"Name":"b","GetBucketPolicy":null,"GetBucketAcl":{"Grants":[{"Grantee":{"URI":"http://acs.amazonaws.com/groups/global/AllUsers"},"Permission":"READ"}]}}`
	if got := summary(exposure.Find(inv(t, statement(`"*"`, ""), block), exposure.Outside)); got != "" {
		t.Errorf("a public policy, blocked: %s", got)
	}
	if got := summary(exposure.Find(inv(t, statement(`{"AWS":"`+stranger+`"}`, ""), block), exposure.Outside)); got != "external "+stranger {
		t.Errorf("a policy for an account outside is not public: %s", got)
	}
	for want, extra := range map[string][]*estate.Resource{"public AllUsers": nil, "": {block}} {
		list := append([]*estate.Resource{res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", own, acl)}, extra...)
		i, err := inventory.Load(estate.New(estate.Header{}, list, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(exposure.Find(i, exposure.Anyone)); got != want {
			t.Errorf("an access list for everyone: %q, want %q", got, want)
		}
	}
	unread := res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", own, `{"Name":"b"}`)
	unread.Unknown = []estate.Gap{{Part: "GetBucketPolicy", Operation: "s3:GetBucketPolicy", Reason: "access denied"}}
	i, err := inventory.Load(estate.New(estate.Header{}, []*estate.Resource{unread}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got := summary(exposure.Find(i, exposure.Anyone)); got != "unknown *" {
		t.Errorf("a policy that could not be read: %s", got)
	}
}

func BenchmarkExternal(b *testing.B) {
	t := &testing.T{}
	i := inv(t, statement(`{"AWS":["`+stranger+`","`+sister+`"]}`, `{"StringEquals":{"aws:PrincipalOrgID":"o-other12345"}}`))
	for b.Loop() {
		exposure.Find(i, exposure.Outside)
	}
}
