package guardrail_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/guardrail"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

const acct = "111122223333"

func res(t *testing.T, typ, id, arn, document string) *estate.Resource {
	t.Helper()
	v, err := estate.DecodeJSON([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return &estate.Resource{Type: typ, ID: id, ARN: arn, Account: acct, Document: v.(map[string]any)}
}

func user(t *testing.T, name, statements, more string) *estate.Resource {
	return res(t, "AWS::IAM::User", name, "arn:aws:iam::"+acct+":user/"+name,
		fmt.Sprintf(`{"UserName":%q,"Path":"/","UserPolicyList":[{"PolicyName":"own","PolicyDocument":{"Version":"2012-10-17","Statement":[%s]}}]%s}`, name, statements, more))
}

func role(t *testing.T, name, statements string) *estate.Resource {
	return res(t, "AWS::IAM::Role", name, "arn:aws:iam::"+acct+":role/"+name,
		fmt.Sprintf(`{"RoleName":%q,"Path":"/","RoleId":"AROA%s","AssumeRolePolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}},"RolePolicyList":[{"PolicyName":"own","PolicyDocument":{"Version":"2012-10-17","Statement":[%s]}}]}`, name, name, statements))
}

// Each row is an estate of one user (and perhaps a bucket) and whether the rule
// holds for it.
func TestCheck(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	const idle = `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`
	byName := func(more string) string {
		return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u"},"Action":"s3:GetObject",` + more + `}}`
	}
	get := guardrail.Rule{Name: "payroll", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}}
	stop := guardrail.Rule{Name: "keep trails", Actions: []string{"cloudtrail:StopLogging", "cloudtrail:DeleteTrail"}}
	bucket := func(policy string) *estate.Resource {
		return res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", fmt.Sprintf(`{"Name":"b","GetBucketPolicy":{"Policy":%q}}`, policy))
	}
	for _, c := range []struct {
		says string
		rule guardrail.Rule
		list []*estate.Resource
		want string
	}{
		{"who may do everything violates", stop, []*estate.Resource{user(t, "u", all, "")}, "user/u yes"},
		{"who may not, does not", stop, []*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"cloudtrail:Describe*","Resource":"*"}`, "")}, ""},
		{"a deny keeps it", stop, []*estate.Resource{user(t, "u", all+`,{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*"}`, "")}, ""},
		{"a deny of half of it does not", stop, []*estate.Resource{user(t, "u", all+`,{"Effect":"Deny","Action":"cloudtrail:StopLogging","Resource":"*"}`, "")}, "user/u yes"},
		{"a deny for all but others keeps it", stop, []*estate.Resource{user(t, "u", all+`,{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/break-glass"}}}`, "")}, ""},
		{"a deny for all but it does not", stop, []*estate.Resource{user(t, "u", all+`,{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/u"}}}`, "")}, "user/u yes"},
		{"an exception by name", guardrail.Rule{Name: "x", Actions: stop.Actions, Except: []string{"user/u"}}, []*estate.Resource{user(t, "u", all, "")}, ""},
		{"an exception by ARN with a wildcard", guardrail.Rule{Name: "x", Actions: stop.Actions, Except: []string{"arn:aws:iam::*:user/u*"}}, []*estate.Resource{user(t, "u", all, "")}, ""},
		{"other accounts are not meant", guardrail.Rule{Name: "x", Actions: stop.Actions, Accounts: []string{"444455556666"}}, []*estate.Resource{user(t, "u", all, "")}, ""},
		{"root users where the rule says so", guardrail.Rule{Name: "x", Actions: stop.Actions, Root: true}, []*estate.Resource{user(t, "u", `{"Effect":"Deny","Action":"*","Resource":"*"}`, "")}, "root yes"},
		{"its own name in a deny", stop, []*estate.Resource{user(t, "u", all+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:username":"u"}}}`, "")}, ""},
		{"its tag in a deny", stop, []*estate.Resource{func() *estate.Resource {
			r := user(t, "u", all+`,{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"web"}}}`, "")
			r.Tags = map[string]string{"team": "web"}
			return r
		}()}, ""},
		{"a key whose policy leaves it to the account", guardrail.Rule{Name: "x", Actions: []string{"kms:ScheduleKeyDeletion"}}, []*estate.Resource{user(t, "u", all, "")}, "user/u yes"},
		{"a condition of the rule that the policy excludes", guardrail.Rule{Name: "x", Actions: stop.Actions, When: map[string]map[string]any{"Bool": {"aws:MultiFactorAuthPresent": "false"}}},
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`, "")}, ""},
		{"a condition of the rule that the policy allows", guardrail.Rule{Name: "x", Actions: stop.Actions, When: map[string]map[string]any{"Bool": {"aws:MultiFactorAuthPresent": "false"}}},
			[]*estate.Resource{user(t, "u", all, "")}, "user/u yes"},
		{"only some resources are meant", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::secret/*"}},
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::open/*"}`, ""), res(t, "AWS::S3::Bucket", "secret", "arn:aws:s3:::secret", `{"Name":"secret"}`)}, ""},
		{"of a bucket that the estate does not hold nobody knows the policy", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::secret/*"}},
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::open/*"}`, "")}, "* unknown"},
		{"the bucket's policy denies", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{user(t, "u", all, ""), bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{"StringNotLike":{"aws:PrincipalArn":"*:role/reader"}}}}`)}, ""},
		{"the bucket's policy allows by name", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, ""), bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`)}, "user/u yes"},
		{"the bucket's policy lets in an account outside", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"555566667777"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`)}, "root yes"},
		// All of these hold for some request, of which the first example that comes to mind is not one.
		{"a pattern of objects that only some names match", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/??/*.csv"`))}, "user/u yes"},
		{"another pattern of objects than the rule's", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: []string{"arn:aws:s3:::b/secret/*"}},
			[]*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/public/*"`))}, ""},
		{"a pattern that meets the rule's half way", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: []string{"arn:aws:s3:::b/secret/*"}},
			[]*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*/key"`))}, "user/u yes"},
		{"all but what the policy leaves out", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"NotResource":["arn:aws:s3:::b","arn:aws:s3:::b/e*"]`))}, "user/u yes"},
		{"a condition that some requests meet", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`))}, "user/u yes"},
		{"a condition that none meets", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:username":"v"}}`))}, ""},
		{"a key that only services send", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::c"}}`))}, ""},
		{"a key that the action does not have", get, []*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"s3:prefix":"x"}}`))}, ""},
		{"the rule's condition and the policy's exclude each other", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: get.Resources, When: map[string]map[string]any{"Bool": {"aws:SecureTransport": "false"}}},
			[]*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`))}, ""},
		{"the rule's condition and the policy's go together", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: get.Resources, When: map[string]map[string]any{"Bool": {"aws:MultiFactorAuthPresent": "false"}}},
			[]*estate.Resource{user(t, "u", idle, ""), bucket(byName(`"Resource":"arn:aws:s3:::b/*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`))}, "user/u yes"},
		{"everyone, less what the user's own policy denies", get, []*estate.Resource{user(t, "u", `{"Effect":"Deny","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, ""),
			bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}}`)}, ""},
		{"everyone of the account", get, []*estate.Resource{user(t, "u", idle, ""),
			bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:PrincipalAccount":"111122223333"}}}}`)}, "user/u yes"},
		{"a session of a role that the policy names", get, []*estate.Resource{role(t, "r", idle), bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:sts::111122223333:assumed-role/r/ci"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`)}, "role/r yes"},
		{"everybody, with a key that anybody can send", get, []*estate.Resource{bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringLike":{"aws:Referer":"https://example.com/*"}}}}`)}, "* yes"},
		{"an account outside, less its role that is excepted", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: get.Resources, Except: []string{"arn:aws:iam::555566667777:role/partner"}},
			[]*estate.Resource{bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"555566667777"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::555566667777:role/part*"}}}}`)}, "root yes"},
		{"and only that role", guardrail.Rule{Name: "x", Actions: get.Actions, Resources: get.Resources, Except: []string{"arn:aws:iam::555566667777:role/partner"}},
			[]*estate.Resource{bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"555566667777"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::555566667777:role/partner"}}}}`)}, ""},
		{"an access control list", get, []*estate.Resource{res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", `{"Name":"b","GetBucketAcl":{"Grants":[{"Grantee":{"Type":"Group","URI":"http://acs.amazonaws.com/groups/global/AllUsers"},"Permission":"READ"}]}}`)}, "* yes"},
		{"a grant of a key", guardrail.Rule{Name: "x", Actions: []string{"kms:Decrypt"}}, []*estate.Resource{user(t, "u", idle, ""), res(t, "AWS::KMS::Key", "k", "arn:aws:kms:eu-west-1:111122223333:key/k",
			`{"KeyId":"k","ListGrants":{"Grants":[{"GranteePrincipal":"arn:aws:iam::111122223333:user/u","Operations":["Decrypt"],"Constraints":{"EncryptionContextEquals":{"app":"x"}}}]}}`)}, "user/u yes"},
		{"an index of a table", guardrail.Rule{Name: "x", Actions: []string{"dynamodb:Query"}, Resources: []string{"arn:aws:dynamodb:*:*:table/t/index/*"}},
			[]*estate.Resource{user(t, "u", idle, ""), res(t, "AWS::DynamoDB::Table", "t", "arn:aws:dynamodb:eu-west-1:111122223333:table/t",
				fmt.Sprintf(`{"TableName":"t","GetResourcePolicy":{"Policy":%q}}`, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u"},"Action":"dynamodb:Query","Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/t/index/*"}}`))}, "user/u yes"},
		{"a policy that could not be read", get, []*estate.Resource{user(t, "u", idle, ""), func() *estate.Resource {
			r := bucket(``)
			r.Document = map[string]any{"Name": "b"}
			r.Unknown = []estate.Gap{{Part: "GetBucketPolicy", Operation: "s3:GetBucketPolicy", Reason: "AccessDenied"}}
			return r
		}()}, "* unknown"},
		{"what could not be read is unknown", stop, []*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, `,"AttachedManagedPolicies":[{"PolicyArn":"arn:aws:iam::111122223333:policy/gone"}]`)}, "user/u unknown"},
	} {
		inv, err := inventory.Load(estate.New(estate.Header{}, c.list, nil))
		if err != nil {
			t.Fatal(err)
		}
		rule := c.rule
		if err := rule.Compile(); err != nil {
			t.Fatalf("%s: %v", c.says, err)
		}
		var got []string
		list, _ := guardrail.Check(inv, &rule)
		for _, v := range list {
			name := v.Principal[strings.LastIndexByte(v.Principal, ':')+1:]
			got = append(got, name+" "+v.Verdict.String())
			if v.Verdict == prove.Yes && (v.Witness == nil || len(v.By) == 0 && !strings.HasSuffix(v.Principal, ":root")) {
				t.Errorf("%s: no proof: %+v", c.says, v)
			}
			if v.Verdict == prove.Unknown && v.Reason == "" {
				t.Errorf("%s: no reason", c.says)
			}
		}
		if diff := cmp.Diff(c.want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.says, diff)
		}
	}
}

// Control policies of the account's root, beside a user who may do everything.
func TestControlPolicies(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for _, c := range []struct {
		says, typ, policy string
		when              map[string]map[string]any
		want              string
	}{
		{"a deny for all but root users leaves these", "SERVICE_CONTROL_POLICY", `{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"StringNotLike":{"aws:PrincipalArn":"*:root"}}}`, nil, "root"},
		{"a deny for root users leaves the others", "SERVICE_CONTROL_POLICY", `{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:PrincipalArn":"*:root"}}}`, nil, "user/a user/b"},
		{"a deny for everybody leaves none", "SERVICE_CONTROL_POLICY", `{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*"}`, nil, ""},
		{"a resource control policy does not protect trails", "RESOURCE_CONTROL_POLICY", `{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}`, nil, "root user/a user/b"},
		{"a condition of the rule on the caller's tag is asked of each", "SERVICE_CONTROL_POLICY", all, map[string]map[string]any{"StringEquals": {"aws:PrincipalTag/team": "web"}}, "user/b"},
	} {
		b := user(t, "b", all, "")
		b.Tags = map[string]string{"team": "web"}
		attached := func(name, typ, statement string) *estate.Resource {
			return res(t, "AWS::Organizations::Policy", name, "", fmt.Sprintf(`{"Id":%q,"Name":%q,"Type":%q,"DescribePolicy":{"Policy":{"Content":%q}},"ListTargetsForPolicy":{"Targets":[{"TargetId":"r-1"}]}}`,
				name, name, typ, `{"Version":"2012-10-17","Statement":[`+statement+`]}`))
		}
		inv, err := inventory.Load(estate.New(estate.Header{}, []*estate.Resource{user(t, "a", all, ""), b,
			res(t, "AWS::Organizations::Organization", "o-1", "", `{"Id":"o-1","MasterAccountId":"999999999999"}`),
			res(t, "AWS::Organizations::Account", acct, "", `{"Id":"111122223333","ListParents":{"Parents":[{"Id":"r-1"}]}}`),
			attached("p-1", "SERVICE_CONTROL_POLICY", all), attached("p-2", c.typ, c.policy)}, nil))
		if err != nil {
			t.Fatal(err)
		}
		rule := guardrail.Rule{Name: "x", Actions: []string{"cloudtrail:StopLogging"}, Root: true, When: c.when}
		if err := rule.Compile(); err != nil {
			t.Fatal(err)
		}
		var got []string
		list, _ := guardrail.Check(inv, &rule)
		for _, v := range list {
			name := v.Principal[strings.LastIndexByte(v.Principal, ':')+1:]
			if v.Verdict != prove.Yes {
				name += " " + v.Reason
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.says, diff)
		}
	}
}

func TestCompile(t *testing.T) {
	for _, r := range []guardrail.Rule{
		{}, {Name: "x"}, {Name: "x", Actions: []string{"cloudtrail:Stop"}}, {Name: "x", Actions: []string{"s3:*"}, Resources: []string{"bucket"}},
		{Name: "x", Actions: []string{"sts:GetCallerIdentity"}},
		{Name: "x", Actions: []string{"s3:*"}, Except: []string{"deploy"}}, {Name: "x", Actions: []string{"s3:*"}, When: map[string]map[string]any{"Sometimes": {"aws:x": "y"}}},
	} {
		if err := r.Compile(); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
}

// An answer is shared only by principals whose policies do not look at them.
func TestShared(t *testing.T) {
	const own = `{"Effect":"Allow","Action":"cloudtrail:*","Resource":"*"}`
	const mine = own + `,{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"b"}}}`
	for statements, want := range map[string]int{own: 3, mine: 2} {
		inv, err := inventory.Load(estate.New(estate.Header{}, []*estate.Resource{user(t, "a", statements, ""), user(t, "b", statements, ""), user(t, "c", statements, "")}, nil))
		if err != nil {
			t.Fatal(err)
		}
		rule := guardrail.Rule{Name: "x", Actions: []string{"cloudtrail:StopLogging"}}
		if err := rule.Compile(); err != nil {
			t.Fatal(err)
		}
		list, _ := guardrail.Check(inv, &rule)
		certain := 0
		for _, v := range list {
			if v.Verdict == prove.Yes && v.Witness.Principal == v.Principal && len(v.By) == 1 {
				certain++
			}
		}
		if certain != want {
			t.Errorf("%s: %d of %d, want %d: %+v", statements, certain, len(list), want, list)
		}
	}
}

// Two thousand principals, each limited by a policy that looks at them.
func BenchmarkCheck(b *testing.B) {
	t := &testing.T{}
	var list []*estate.Resource
	for i := range 2000 {
		list = append(list, user(t, fmt.Sprintf("u%d", i), `{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/break-glass"}}}`, ""))
	}
	inv, err := inventory.Load(estate.New(estate.Header{}, list, nil))
	if err != nil {
		b.Fatal(err)
	}
	rule := guardrail.Rule{Name: "x", Actions: []string{"cloudtrail:StopLogging"}, Except: []string{"role/break-glass"}}
	if err := rule.Compile(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if list, _ := guardrail.Check(inv, &rule); len(list) != 0 {
			b.Fatal(list)
		}
	}
}

// Two thousand principals and a bucket that lets in everybody of the account under
// a condition that none of them meets.
func BenchmarkCheckOfABucket(b *testing.B) {
	t := &testing.T{}
	list := []*estate.Resource{res(t, "AWS::S3::Bucket", "b", "arn:aws:s3:::b", fmt.Sprintf(`{"Name":"b","GetBucketPolicy":{"Policy":%q}}`,
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"payroll"}}}}`))}
	for i := range 2000 {
		list = append(list, user(t, fmt.Sprintf("u%d", i), `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, ""))
	}
	inv, err := inventory.Load(estate.New(estate.Header{}, list, nil))
	if err != nil {
		b.Fatal(err)
	}
	rule := guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}}
	if err := rule.Compile(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if list, _ := guardrail.Check(inv, &rule); len(list) != 1 || list[0].Principal != "*" {
			b.Fatal(list)
		}
	}
}
