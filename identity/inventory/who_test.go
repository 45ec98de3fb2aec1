package inventory_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// The rows are who may use a resource that names callers within and without.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
func TestWhoCan(t *testing.T) {
	list := small(t)
	list = append(list, resource(t, "AWS::SQS::Queue", "q", "arn:aws:sqs:eu-west-1:"+acct+":q", `{"GetQueueAttributes":{"Attributes":{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":[\"444455556666\",\"arn:aws:iam::111122223333:user/ada\"],\"Service\":\"sns.amazonaws.com\"},\"Action\":\"sqs:SendMessage\",\"Resource\":\"*\"},{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"sqs:SendMessage\",\"Resource\":\"*\",\"Condition\":{\"ArnEquals\":{\"aws:SourceArn\":\"arn:aws:sns:eu-west-1:111122223333:t\"}}}]}"}}}`))
	inv := load(t, list)
	for _, c := range []struct {
		rule, action, resource string
		want                   []string
	}{
		{"the policy of the resource names a user, an account outside and a service; a source ARN is never in a direct request",
			"sqs:SendMessage", "arn:aws:sqs:eu-west-1:" + acct + ":q",
			[]string{"arn:aws:iam::111122223333:root allowed", "arn:aws:iam::111122223333:user/ada allowed", "arn:aws:iam::444455556666:root allowed", "sns.amazonaws.com allowed"}},
		{"nobody without a statement that allows", "sqs:PurgeQueue", "arn:aws:sqs:eu-west-1:" + acct + ":q", []string{"arn:aws:iam::111122223333:root allowed"}},
		{"a boundary keeps the role out, an address makes the user unknown", "ec2:StartInstances", "arn:aws:ec2:eu-west-1:" + acct + ":instance/i-1",
			[]string{"arn:aws:iam::111122223333:root allowed", "arn:aws:iam::111122223333:user/ada unknown"}},
	} {
		holders, err := inv.WhoCan(c.action, c.resource, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range holders {
			got = append(got, h.Caller+" "+string(h.Outcome))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.rule, diff)
		}
	}
}

// The filter only leaves out whom the evaluator denies.
func TestWhoCanEqualsDecide(t *testing.T) {
	inv := load(t, small(t))
	for _, action := range []string{"s3:PutObject", "s3:GetObject", "ec2:StartInstances", "sts:AssumeRole", "iam:ListUsers"} {
		for _, res := range []string{"arn:aws:s3:::logs/k", "arn:aws:s3:::data/k", "*", "arn:aws:iam::" + acct + ":role/team/app"} {
			holders, err := inv.WhoCan(action, res, nil)
			if err != nil {
				t.Fatal(err)
			}
			found := map[*inventory.Principal]bool{}
			for _, h := range holders {
				found[h.Principal] = true
			}
			for _, p := range inv.Principals {
				a, err := inv.Decide(p, action, res, nil)
				if err != nil {
					t.Fatal(err)
				}
				if yes := a.Outcome == "allowed" || a.Outcome == "unknown"; yes != found[p] && p.Kind != inventory.Root {
					t.Errorf("%s %s %s: WhoCan says %v, Decide %v", p.Name, action, res, found[p], a.Outcome)
				}
			}
		}
	}
}

// What is missing makes an answer unknown only where it can matter.
func TestMissing(t *testing.T) {
	inv := load(t, small(t))
	ada := inv.Find("ada")[0]
	for _, c := range []struct{ rule, action, resource, want string }{
		{"the policy of another account's queue is not known, but the user may not send anywhere", "sqs:SendMessage", "arn:aws:sqs:eu-west-1:444455556666:q", "implicitDeny"},
		{"another account's bucket through its access point", "s3:PutObject", "arn:aws:s3:eu-west-1:444455556666:accesspoint/ap/object/k", "unknown"},
		{"a role of an account outside: its trust policy is not known, but the user may not assume anything", "sts:AssumeRole", "arn:aws:iam::444455556666:role/r", "implicitDeny"},
		{"a bucket that nobody knows is taken to be the own one's", "s3:PutObject", "arn:aws:s3:::unheard/k", "allowed"},
	} {
		a, err := inv.Decide(ada, c.action, c.resource, nil)
		if err != nil || string(a.Outcome) != c.want {
			t.Errorf("%s: %v %v %v, want %s", c.rule, a.Outcome, a.Missing, err, c.want)
		}
	}
}

// TestBlockPublicAccess: the stricter of account and bucket holds.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func TestBlockPublicAccess(t *testing.T) {
	bucket := resource(t, "AWS::S3::Bucket", "open", "arn:aws:s3:::open", `{"Name":"open","GetPublicAccessBlock":null,"GetBucketPolicy":{"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::open/*\"}}"}}`)
	ask := func(extra ...*estate.Resource) string {
		a, err := load(t, append([]*estate.Resource{bucket}, extra...)).DecideAs(nil, "*", "s3:GetObject", "arn:aws:s3:::open/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(a.Outcome)
	}
	if got := ask(); got != "allowed" {
		t.Errorf("an open bucket: %s", got)
	}
	if got := ask(resource(t, "AWS::Account::Account", acct, "", `{"GetPublicAccessBlock":{"PublicAccessBlockConfiguration":{"RestrictPublicBuckets":true}}}`)); got != "implicitDeny" {
		t.Errorf("blocked by its account: %s", got)
	}
	bucket.Unknown = []estate.Gap{{Part: "GetPublicAccessBlock", Operation: "s3:GetPublicAccessBlock", Reason: "access denied"}}
	if got := ask(); got != "unknown" {
		t.Errorf("with a setting that could not be read: %s", got)
	}
}

// manyAccounts is an estate of accounts with a hundred principals each, a third
// of which may do what is asked.
func manyAccounts(b *testing.B, accounts int) *inventory.Inventory {
	policies := []map[string]any{}
	for _, text := range []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:Describe*","logs:*"],"Resource":"*"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::data","arn:aws:s3:::data/*"]},{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:*","Resource":"*"}]}`,
	} {
		v, err := estate.DecodeJSON([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		policies = append(policies, v.(map[string]any))
	}
	var list []*estate.Resource
	for i := range accounts {
		account := fmt.Sprintf("%012d", 100000000000+int64(i))
		for j := range 100 {
			name := fmt.Sprintf("u%d", j)
			list = append(list, &estate.Resource{Type: "AWS::IAM::User", ID: name, ARN: "arn:aws:iam::" + account + ":user/" + name, Account: account,
				Document: map[string]any{"Path": "/", "UserPolicyList": []any{map[string]any{"PolicyName": "p", "PolicyDocument": policies[j%3]}}}})
		}
	}
	inv, err := inventory.Load(estate.New(estate.Header{}, list, nil))
	if err != nil {
		b.Fatal(err)
	}
	return inv
}

func BenchmarkWhoCan100000(b *testing.B) {
	inv := manyAccounts(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		h, err := inv.WhoCan("s3:GetObject", "arn:aws:s3:::data/k", nil)
		if err != nil || len(h) != 33_000 {
			b.Fatal(len(h), err)
		}
	}
}

// A role's user id is its id and the name of the session, which bucket policies
// use to keep everybody else out.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func TestUserID(t *testing.T) {
	guard := func(id string) *estate.Resource {
		return resource(t, "AWS::S3::Bucket", "vault", "arn:aws:s3:::vault", fmt.Sprintf(`{"Name":"vault","GetBucketPolicy":{"Policy":%q}}`,
			`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotLike":{"aws:userId":["`+id+`","111122223333"]}}}}`))
	}
	for _, c := range []struct{ rule, id, caller, want string }{
		{"any session of the role", "AROAAPP:*", "arn:aws:iam::111122223333:role/team/app", "allowed"},
		{"another role", "AROAELSE:*", "arn:aws:iam::111122223333:role/team/app", "explicitDeny"},
		{"one session, and nobody says which it is", "AROAAPP:i-1", "arn:aws:iam::111122223333:role/team/app", "unknown"},
		{"that session", "AROAAPP:i-1", "arn:aws:sts::111122223333:assumed-role/app/i-1", "allowed"},
		{"another session", "AROAAPP:i-1", "arn:aws:sts::111122223333:assumed-role/app/i-2", "explicitDeny"},
		{"the root user's is the account", "AROAAPP:*", "arn:aws:iam::111122223333:root", "allowed"},
	} {
		inv := load(t, append(small(t), guard(c.id)))
		p, _ := inv.Principal(c.caller)
		a, err := inv.DecideAs(p, c.caller, "s3:GetObject", "arn:aws:s3:::vault/k", nil)
		if err != nil || string(a.Outcome) != c.want {
			t.Errorf("%s: %v %v, want %s", c.rule, a.Outcome, err, c.want)
		}
	}
}

// BenchmarkWhoCanOrganization has control policies in force and a policy that
// every principal shares.
func BenchmarkWhoCanOrganization(b *testing.B) {
	decode := func(text string) map[string]any {
		v, err := estate.DecodeJSON([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		return v.(map[string]any)
	}
	doc := decode(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:Get*","s3:List*"],"Resource":"*"}]}`)
	list := []*estate.Resource{{Type: "AWS::Organizations::Organization", ID: "o-1", Account: "100000000000", Document: decode(`{"Id":"o-1","MasterAccountId":"100000000000"}`)},
		{Type: "AWS::Organizations::Policy", ID: "p-1", Account: "100000000000", Document: decode(`{"Name":"full","Type":"SERVICE_CONTROL_POLICY","DescribePolicy":{"Policy":{"Content":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"},{\"Effect\":\"Deny\",\"Action\":\"s3:Put*\",\"Resource\":\"*\"}]}"}},"ListTargetsForPolicy":{"Targets":[{"TargetId":"r-1"}]}}`)}}
	for i := range 1000 {
		account := fmt.Sprintf("%012d", 100000000000+int64(i))
		list = append(list, &estate.Resource{Type: "AWS::Organizations::Account", ID: account, Account: "100000000000", Document: decode(`{"ListParents":{"Parents":[{"Id":"r-1"}]}}`)})
		for j := range 100 {
			name := fmt.Sprintf("u%d", j)
			list = append(list, &estate.Resource{Type: "AWS::IAM::User", ID: name, ARN: "arn:aws:iam::" + account + ":user/" + name, Account: account,
				Document: map[string]any{"Path": "/", "UserPolicyList": []any{map[string]any{"PolicyName": "p", "PolicyDocument": doc}}}})
		}
	}
	inv, err := inventory.Load(estate.New(estate.Header{}, list, nil))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		h, err := inv.WhoCan("s3:GetObject", "arn:aws:s3:::data/k", nil)
		if err != nil || len(h) != 100_000 {
			b.Fatal(len(h), err)
		}
	}
}
