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

// Each row is an estate of one user (and perhaps a bucket) and whether the rule
// holds for it.
func TestCheck(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
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
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::open/*"}`, "")}, ""},
		{"the bucket's policy denies", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{user(t, "u", all, ""), bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Condition":{"StringNotLike":{"aws:PrincipalArn":"*:role/reader"}}}}`)}, ""},
		{"the bucket's policy allows by name", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{user(t, "u", `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, ""), bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/u"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`)}, "user/u yes"},
		{"the bucket's policy lets in an account outside", guardrail.Rule{Name: "x", Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::b/*"}},
			[]*estate.Resource{bucket(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"555566667777"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`)}, "root yes"},
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

func TestCompile(t *testing.T) {
	for _, r := range []guardrail.Rule{
		{}, {Name: "x"}, {Name: "x", Actions: []string{"cloudtrail:Stop"}}, {Name: "x", Actions: []string{"s3:*"}, Resources: []string{"bucket"}},
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
