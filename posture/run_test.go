package posture

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// rules makes a set of controls that differ in what they look at.
func rules(t *testing.T, specs ...[3]string) *Set {
	t.Helper()
	var list []*Control
	for _, s := range specs {
		head := "resource: " + s[1]
		if scope, ok := strings.CutPrefix(s[1], "scope:"); ok {
			head = "scope: " + scope
		}
		text := strings.NewReplacer("id: s3-bucket-named", "id: "+s[0], "resource: AWS::S3::Bucket", head,
			`assert: resource.Name == "right"`, "assert: >-\n  "+s[2], "{{resource.Name}}", "{{account}}").Replace(minimal)
		c, err := ParseControl(s[0], []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	set, err := Compile(list)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func results(t *testing.T, set *Set, src estate.Source) ([]string, Summary) {
	t.Helper()
	var got []string
	sum, err := set.Run(t.Context(), src, Options{Now: ExampleTime}, func(f finding.Finding) error {
		got = append(got, fmt.Sprintf("%s %s %s %s/%s: %s", f.Status, f.RuleID, f.Resource.ID, f.Resource.Account, f.Resource.Region, f.Reason))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, sum
}

func bucket(account, name string) *estate.Resource {
	return &estate.Resource{Type: "AWS::S3::Bucket", ID: name, Account: account, Region: "eu-west-1", Document: map[string]any{"Name": name}}
}

func TestRun(t *testing.T) {
	set := rules(t,
		[3]string{"b-known", "AWS::S3::Bucket", `organization.contains(resource.Name)`},
		[3]string{"a-right", "AWS::S3::Bucket", `resource.Name == "right"`},
		[3]string{"c-org", "scope:organization", `estate.byType("AWS::Organizations::Policy").size() > 0`},
		[3]string{"d-region", "scope:region", `resource.DescribeHub != null`},
	)
	org := func(account string) *estate.Resource {
		return &estate.Resource{Type: typeOrganization, ID: "o-1", Account: account, Document: map[string]any{"MasterAccountId": "222222222222"}}
	}
	est := estate.New(estate.Header{}, []*estate.Resource{
		bucket("111111111111", "right"), bucket("111111111111", "333333333333"), org("111111111111"),
		bucket("222222222222", "wrong"), org("222222222222"),
		{Type: typeOrgAccount, ID: "333333333333", Account: "222222222222", Document: map[string]any{"Id": "333333333333"}},
		{Type: typeRegion, ID: "eu-west-1", Account: "222222222222", Region: "eu-west-1", Document: map[string]any{"DescribeHub": nil}},
		{Type: typeRegion, ID: "us-east-1", Account: "222222222222", Region: "us-east-1", Document: map[string]any{},
			Unknown: []estate.Gap{{Part: "DescribeHub", Operation: "securityhub:DescribeHub", Reason: "access denied", Permission: "securityhub:DescribeHub"}}},
	}, []estate.Gap{{Type: "AWS::S3::Bucket", Account: "333333333333", Operation: "s3:ListBuckets", Reason: "access denied", Code: "AccessDenied", Permission: "s3:ListAllMyBuckets"}})
	got, sum := results(t, set, est)
	want := []string{
		// Account by account, resource by resource, control by id …
		"fail a-right 333333333333 111111111111/eu-west-1: The bucket is called 111111111111.",
		"pass a-right right 111111111111/eu-west-1: ",
		// … the organization once, in its management account …
		"fail d-region eu-west-1 222222222222/eu-west-1: The bucket is called 222222222222.",
		"unknown d-region us-east-1 222222222222/us-east-1: securityhub:DescribeHub: access denied; grant securityhub:DescribeHub",
		"fail c-org o-1 222222222222/: The bucket is called 222222222222.",
		"fail a-right wrong 222222222222/eu-west-1: The bucket is called 222222222222.",
		// … what could not be listed as unknown …
		"unknown a-right * 333333333333/: resources of this type could not be read: s3:ListBuckets: access denied (AccessDenied); grant s3:ListAllMyBuckets",
		"unknown b-known * 333333333333/: resources of this type could not be read: s3:ListBuckets: access denied (AccessDenied); grant s3:ListAllMyBuckets",
		// … and what needs all accounts at the end.
		"pass b-known 333333333333 111111111111/eu-west-1: ",
		"fail b-known right 111111111111/eu-west-1: The bucket is called 111111111111.",
		"fail b-known wrong 222222222222/eu-west-1: The bucket is called 222222222222.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	if sum.Accounts != 3 || sum.Resources != 8 || len(sum.Gaps) != 1 || sum.Results[finding.StatusFail] != 6 || sum.Results[finding.StatusUnknown] != 3 || sum.Results[finding.StatusPass] != 2 {
		t.Errorf("summary: %+v", sum)
	}
	again, _ := results(t, set, est)
	if diff := cmp.Diff(got, again); diff != "" {
		t.Errorf("the second run differs:\n%s", diff)
	}
}

// What a control says of the whole organization is decided once, and said of
// every resource; what depends on the resource is not.
func TestSameForAll(t *testing.T) {
	set := rules(t,
		[3]string{"a-same", "AWS::S3::Bucket", `organization.byType("AWS::S3::Bucket").exists(b, b.Name == "right")`},
		[3]string{"b-other", "AWS::S3::Bucket", `organization.byType("AWS::S3::Bucket").exists(b, b.Name == "right" && b.account() == account)`})
	got, _ := results(t, set, estate.New(estate.Header{}, []*estate.Resource{bucket("111111111111", "x"), bucket("222222222222", "right")}, nil))
	want := []string{
		"pass a-same x 111111111111/eu-west-1: ", "fail b-other x 111111111111/eu-west-1: The bucket is called 111111111111.",
		"pass a-same right 222222222222/eu-west-1: ", "pass b-other right 222222222222/eu-west-1: "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A member account alone does not know who else is of the organization.
func TestOrganizationOfAMember(t *testing.T) {
	set := rules(t, [3]string{"b-known", "AWS::S3::Bucket", `organization.contains(resource.Name)`})
	member := &estate.Resource{Type: typeOrganization, ID: "o-1", Account: "111111111111", Document: map[string]any{"MasterAccountId": "222222222222"}}
	got, _ := results(t, set, estate.New(estate.Header{}, []*estate.Resource{bucket("111111111111", "222222222222"), bucket("111111111111", "999999999999"), member}, nil))
	if len(got) != 2 || !strings.HasPrefix(got[0], "pass") || !strings.HasPrefix(got[1], "unknown") || !strings.Contains(got[1], "management account") {
		t.Errorf("got %q", got)
	}
	got, _ = results(t, set, estate.New(estate.Header{}, []*estate.Resource{bucket("111111111111", "999999999999")}, nil))
	if len(got) != 1 || !strings.HasPrefix(got[0], "fail") {
		t.Errorf("without an organization: got %q", got)
	}
}

// What was not asked for is neither present nor absent.
func TestScope(t *testing.T) {
	set := rules(t,
		[3]string{"a-lookup", "AWS::S3::Bucket", `estate.byType("AWS::EC2::VPC").size() == 0`},
		[3]string{"b-other", "AWS::EC2::VPC", `true`})
	got, sum := results(t, set, estate.New(estate.Header{Scope: estate.Scope{Types: []string{"AWS::S3::Bucket"}}}, []*estate.Resource{bucket("111111111111", "b")}, nil))
	if len(got) != 1 || !strings.HasPrefix(got[0], "unknown a-lookup") || !strings.Contains(got[0], "not collected") {
		t.Errorf("got %q", got)
	}
	if diff := cmp.Diff([]string{"b-other"}, sum.Skipped); diff != "" {
		t.Errorf("skipped: %s", diff)
	}
}

func TestRunEnds(t *testing.T) {
	set := rules(t, [3]string{"a-right", "AWS::S3::Bucket", `resource.Name == "right"`})
	src := estate.New(estate.Header{}, []*estate.Resource{bucket("111111111111", "a"), bucket("111111111111", "b")}, nil)
	full := errors.New("disk full")
	n := 0
	if _, err := set.Run(t.Context(), src, Options{}, func(finding.Finding) error { n++; return full }); !errors.Is(err, full) || n != 1 {
		t.Errorf("error of emit: %v after %d", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := set.Run(ctx, src, Options{}, func(finding.Finding) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFindingCarriesItsProof(t *testing.T) {
	set := rules(t, [3]string{"a-right", "AWS::S3::Bucket", `resource.Name == "right" && resource.GetBucketPolicy.Policy == null`})
	var got finding.Finding
	src := estate.New(estate.Header{}, []*estate.Resource{bucket("111111111111", "b")}, nil)
	if _, err := set.Run(t.Context(), src, Options{}, func(f finding.Finding) error { got = f; return nil }); err != nil {
		t.Fatal(err)
	}
	want := []finding.Evidence{{Path: "GetBucketPolicy.Policy"}, {Path: "Name", Value: "b"}}
	if diff := cmp.Diff(want, got.Evidence); diff != "" {
		t.Errorf("evidence: %s", diff)
	}
	if got.Fingerprint != finding.Fingerprint("a-right", "AWS::S3::Bucket", "111111111111", "eu-west-1", "b") || got.Fix == nil || got.Why == "" || got.Frameworks["waf"] == nil {
		t.Errorf("got %+v", got)
	}
}

// The law of narrowing: a lookup that is answered from the index gives what a
// walk over all resources gives. The parentheses hide the equation from it.
func TestNarrowingChangesNothing(t *testing.T) {
	pairs := [][2]string{
		{`estate.byType("AWS::EC2::Subnet").exists(s, s.VpcId == resource.Want && s.Open == true)`,
			`estate.byType("AWS::EC2::Subnet").exists(s, [s.VpcId][0] == resource.Want && s.Open == true)`},
		{`estate.inRegion("AWS::EC2::Subnet").filter(s, s.Tags.exists(x, x.Value == resource.Want)).size() == 1`,
			`estate.inRegion("AWS::EC2::Subnet").filter(s, s.Tags.exists(x, [x.Value][0] == resource.Want)).size() == 1`},
		{`!estate.byType("AWS::EC2::Subnet").exists(s, resource.Want == s.VpcId || s.Open == true)`,
			`!estate.byType("AWS::EC2::Subnet").exists(s, [resource.Want][0] == s.VpcId || s.Open == true)`},
	}
	rnd := rand.New(rand.NewSource(1))
	words := []any{"vpc-1", "vpc-2", "vpc-3", "x", nil, int64(7)}
	for i := range 300 {
		var others []*estate.Resource
		var gaps []estate.Gap
		for j := range rnd.Intn(4) {
			doc := map[string]any{"VpcId": words[rnd.Intn(len(words))], "Open": rnd.Intn(2) == 0,
				"Tags": []any{map[string]any{"Value": words[rnd.Intn(len(words))]}}}
			r := &estate.Resource{Type: "AWS::EC2::Subnet", ID: fmt.Sprint("subnet-", j), Account: "111122223333", Region: []string{"eu-west-1", "us-east-1"}[rnd.Intn(2)], Document: doc}
			if rnd.Intn(4) == 0 {
				delete(doc, "VpcId")
				r.Unknown = []estate.Gap{{Part: "VpcId", Operation: "ec2:X", Reason: "denied"}}
			}
			others = append(others, r)
		}
		if rnd.Intn(4) == 0 {
			gaps = append(gaps, estate.Gap{Type: "AWS::EC2::Subnet", Region: "eu-west-1", Operation: "ec2:DescribeSubnets", Reason: "denied"})
		}
		for _, p := range pairs {
			st := testState(`{}`, gaps, others...)
			st.subject.members["Want"] = words[rnd.Intn(len(words))]
			if a, b := evaluate(t, p[0], st), evaluate(t, p[1], st); a != b {
				t.Fatalf("case %d: %s\nnarrowed %s, walked %s", i, p[0], a, b)
			}
		}
	}
}
