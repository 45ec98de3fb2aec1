package collect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
)

// A region that is not enabled is refused before anything is read, unless AWS
// does not say which are.
func TestRegionThatIsNotEnabled(t *testing.T) {
	f := newFake()
	_, err := collect.Run(t.Context(), fakeSession{f, "111111111111"}, collect.Options{Catalogue: catalogue(t), Regions: []string{"eu-west-1", "mars-1"}}, io.Discard)
	if !errors.Is(err, collect.ErrRegion) || !strings.Contains(err.Error(), `"mars-1"`) {
		t.Errorf("got %v, want that mars-1 is not enabled", err)
	}
	f.on("ec2:DescribeRegions", func(call) (m, error) { return nil, failure("UnauthorizedOperation", "") })
	f.on("account:ListRegions", func(call) (m, error) { return nil, failure("AccessDeniedException", "") })
	if _, err := collect.Run(t.Context(), fakeSession{f, "111111111111"}, collect.Options{Catalogue: catalogue(t), Regions: []string{"eu-west-1"}}, io.Discard); err != nil {
		t.Errorf("got %v where AWS does not say which regions there are", err)
	}
}

// A bucket is listed once, read in its own region, and keeps AWS's shapes; what
// does not exist is nil, what is secret is redacted.
func TestDocumentsKeepAWSShapes(t *testing.T) {
	f := newFake()
	f.on("s3:ListBuckets", func(call) (m, error) { return m{"Buckets": l{m{"Name": "logs"}, m{"Name": "old"}}}, nil })
	f.on("s3:GetBucketLocation", func(c call) (m, error) {
		if c.input["Bucket"] == "old" {
			return m{}, nil // us-east-1 has no name
		}
		return m{"LocationConstraint": "EU"}, nil
	})
	f.on("s3:GetBucketPolicy", func(c call) (m, error) {
		if c.input["Bucket"] == "logs" && c.region != "eu-west-1" {
			return nil, failure("PermanentRedirect", "wrong region "+c.region)
		}
		return nil, failure("NoSuchBucketPolicy", "")
	})
	f.on("s3:GetBucketTagging", func(call) (m, error) { return m{"TagSet": l{m{"Key": "team", "Value": "ops"}}}, nil })
	f.on("lambda:ListFunctions", func(c call) (m, error) {
		if c.region != "eu-west-1" {
			return m{"Functions": l{}}, nil
		}
		return m{"Functions": l{m{"FunctionName": "f", "FunctionArn": "arn:aws:lambda:eu-west-1:111111111111:function:f",
			"Environment": m{"Variables": m{"TOKEN": "hunter2"}}}}}, nil
	})
	f.on("lambda:GetPolicy", func(call) (m, error) { return nil, failure("ResourceNotFoundException", "") })
	f.on("iam:GetAccountAuthorizationDetails", func(call) (m, error) {
		return m{"UserDetailList": l{m{"UserName": "anna", "Arn": "arn:aws:iam::111111111111:user/anna"}},
			"RoleDetailList": l{m{"RoleName": "r", "Arn": "arn:aws:iam::111111111111:role/r", "AssumeRolePolicyDocument": "%7B%22Version%22%3A%222012-10-17%22%7D"}}}, nil
	})
	f.on("iam:ListAccessKeys", func(call) (m, error) {
		return m{"AccessKeyMetadata": l{m{"AccessKeyId": "AKIA1"}, m{"AccessKeyId": "AKIA2"}}}, nil
	})
	f.on("iam:GetAccessKeyLastUsed", func(c call) (m, error) { return m{"UserName": c.input["AccessKeyId"]}, nil })
	f.on("iam:GetLoginProfile", func(call) (m, error) { return nil, failure("NoSuchEntity", "") })
	sum, e, _ := run(t, context.Background(), f, collect.Options{})
	if sum.Incomplete() {
		t.Errorf("gaps: %+v", sum.Gaps)
	}

	b := find(t, e, "AWS::S3::Bucket", "logs")
	policy, has := b.Document["GetBucketPolicy"]
	if b.Region != "eu-west-1" || b.ARN != "arn:aws:s3:::logs" || b.Tags["team"] != "ops" || !has || policy != nil || len(b.Unknown) > 0 {
		t.Errorf("bucket: %+v", b)
	}
	if old := find(t, e, "AWS::S3::Bucket", "old"); old.Region != "us-east-1" {
		t.Errorf("a bucket without location constraint is in %q", old.Region)
	}
	fn := find(t, e, "AWS::Lambda::Function", "f")
	if got := fn.Document["Environment"]; !cmp.Equal(got, m{"Variables": m{"TOKEN": collect.Redacted}}) || fn.Region != "eu-west-1" {
		t.Errorf("function: %v in %s", got, fn.Region)
	}
	role := find(t, e, "AWS::IAM::Role", "r")
	if got := role.Document["AssumeRolePolicyDocument"]; !cmp.Equal(got, m{"Version": "2012-10-17"}) || role.Region != "" {
		t.Errorf("trust policy: %v", got)
	}
	user := find(t, e, "AWS::IAM::User", "anna")
	keys := user.Document["ListAccessKeys"].(m)["AccessKeyMetadata"]
	want := l{m{"AccessKeyId": "AKIA1", "GetAccessKeyLastUsed": m{"UserName": "AKIA1"}}, m{"AccessKeyId": "AKIA2", "GetAccessKeyLastUsed": m{"UserName": "AKIA2"}}}
	if diff := cmp.Diff(any(want), keys); diff != "" {
		t.Error(diff)
	}
	account := find(t, e, "AWS::Account::Account", "111111111111")
	if got := account.Document["GetCredentialReport"].(m)["Content"]; !cmp.Equal(got, l{m{"user": "anna", "arn": "arn:x"}}) {
		t.Errorf("credential report: %v", got)
	}
	if n := f.count("iam:GetAccountAuthorizationDetails"); n != 1 {
		t.Errorf("four types share one answer, but it was asked for %d times", n)
	}
	if n := f.count("iam:GenerateCredentialReport"); n != 3 {
		t.Errorf("the report was asked for %d times until it was ready, want 3", n)
	}
	for _, region := range []string{"eu-west-1", "us-east-1"} {
		find(t, e, "AWS::Account::Region", region)
	}
	if f.most > 6 {
		t.Errorf("%d calls at once to one service in one region, want at most 6", f.most)
	}
	if f.count("ssm:GetParameter") != 0 {
		t.Error("parameter values were read without being asked to")
	}
}

// What runs code with a role is read with that role and its tags: escalation
// paths go through it.
func TestWorkersAreReadWithTheirRoles(t *testing.T) {
	const role = "arn:aws:iam::111111111111:role/worker"
	const service = "arn:aws:apprunner:eu-west-1:111111111111:service/shop/8fe1e10304f84fd2b0df550fe98a71fa"
	const interpreter = "arn:aws:bedrock-agentcore:eu-west-1:111111111111:code-interpreter-custom/sums-a1B2c3D4e5"
	inIreland := func(answer m) func(call) (m, error) {
		return func(c call) (m, error) {
			if c.region != "eu-west-1" {
				return m{}, nil
			}
			return answer, nil
		}
	}
	f := newFake()
	f.on("apprunner:ListServices", inIreland(m{"ServiceSummaryList": l{m{"ServiceArn": service, "ServiceName": "shop"}}}))
	f.on("apprunner:DescribeService", func(c call) (m, error) {
		if c.input["ServiceArn"] != service {
			return nil, failure("ResourceNotFoundException", "")
		}
		return m{"Service": m{"ServiceArn": service, "ServiceName": "shop", "InstanceConfiguration": m{"InstanceRoleArn": role},
			"SourceConfiguration": m{"ImageRepository": m{"ImageConfiguration": m{"RuntimeEnvironmentVariables": m{"TOKEN": "hunter2"}}},
				"CodeRepository": m{"CodeConfiguration": m{"CodeConfigurationValues": m{"RuntimeEnvironmentVariables": m{"TOKEN": "hunter2"}}}}}}}, nil
	})
	f.on("apprunner:ListTagsForResource", func(call) (m, error) { return m{"Tags": l{m{"Key": "team", "Value": "shop"}}}, nil })
	f.on("bedrock-agentcore-control:ListCodeInterpreters", inIreland(m{"codeInterpreterSummaries": l{m{"codeInterpreterId": "sums-a1B2c3D4e5", "codeInterpreterArn": interpreter}}}))
	f.on("bedrock-agentcore-control:GetCodeInterpreter", func(c call) (m, error) {
		if c.input["codeInterpreterId"] != "sums-a1B2c3D4e5" {
			return nil, failure("ResourceNotFoundException", "")
		}
		return m{"codeInterpreterId": "sums-a1B2c3D4e5", "codeInterpreterArn": interpreter, "executionRoleArn": role}, nil
	})
	f.on("bedrock-agentcore-control:ListTagsForResource", func(call) (m, error) { return m{"tags": m{"team": "maths"}}, nil })
	f.on("glue:GetDevEndpoints", inIreland(m{"DevEndpoints": l{m{"EndpointName": "bench", "RoleArn": role}}}))
	f.on("glue:GetTags", func(c call) (m, error) {
		if c.input["ResourceArn"] != "arn:aws:glue:eu-west-1:111111111111:devEndpoint/bench" {
			return nil, failure("EntityNotFoundException", "")
		}
		return m{"Tags": m{"team": "data"}}, nil
	})
	sum, e, _ := run(t, context.Background(), f, collect.Options{})
	if sum.Incomplete() {
		t.Errorf("gaps: %+v", sum.Gaps)
	}
	shop := find(t, e, "AWS::AppRunner::Service", service)
	if got := shop.Document["InstanceConfiguration"]; !cmp.Equal(got, m{"InstanceRoleArn": role}) || shop.Tags["team"] != "shop" {
		t.Errorf("App Runner service: %+v", shop)
	}
	if text := fmt.Sprint(shop.Document["SourceConfiguration"]); strings.Contains(text, "hunter2") || strings.Count(text, collect.Redacted) != 2 {
		t.Errorf("environment: %s", text)
	}
	sums := find(t, e, "AWS::BedrockAgentCore::CodeInterpreterCustom", "sums-a1B2c3D4e5")
	if sums.ARN != interpreter || sums.Document["executionRoleArn"] != role || sums.Tags["team"] != "maths" {
		t.Errorf("code interpreter: %+v", sums)
	}
	bench := find(t, e, "AWS::Glue::DevEndpoint", "bench")
	if bench.ARN != "arn:aws:glue:eu-west-1:111111111111:devEndpoint/bench" || bench.Document["RoleArn"] != role || bench.Tags["team"] != "data" {
		t.Errorf("development endpoint: %+v", bench)
	}
}

// Of AWS's own policies only those in use are kept.
func TestManagedPoliciesInUse(t *testing.T) {
	f := newFake()
	f.on("iam:GetAccountAuthorizationDetails", func(call) (m, error) {
		policy := func(arn string, attached, boundary int) m {
			return m{"Arn": arn, "AttachmentCount": int64(attached), "PermissionsBoundaryUsageCount": int64(boundary)}
		}
		return m{"Policies": l{policy("arn:aws:iam::aws:policy/ReadOnlyAccess", 0, 0), policy("arn:aws:iam::aws:policy/AdministratorAccess", 1, 0),
			policy("arn:aws:iam::aws:policy/PowerUserAccess", 0, 2), policy("arn:aws:iam::111111111111:policy/own", 0, 0),
			m{"Arn": "arn:aws:iam::aws:policy/Unused", "AttachmentCount": int64(0)}}}, nil
	})
	_, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::IAM::ManagedPolicy"}})
	var got []string
	for r := range e.Resources() {
		got = append(got, r.ID[strings.LastIndexByte(r.ID, '/')+1:])
	}
	if !slices.Equal(got, []string{"own", "AdministratorAccess", "PowerUserAccess"}) {
		t.Errorf("kept %v", got)
	}
}

// A trail is seen in every region it covers; it is one resource, in its home
// region, wherever the collection saw it.
func TestTrailIsOneResource(t *testing.T) {
	f := newFake()
	f.on("cloudtrail:DescribeTrails", func(call) (m, error) {
		return m{"trailList": l{m{"Name": "org", "TrailARN": "arn:aws:cloudtrail:ap-south-1:999999999999:trail/org", "HomeRegion": "ap-south-1"}}}, nil
	})
	f.on("cloudtrail:GetTrailStatus", func(c call) (m, error) { return m{"From": c.region}, nil })
	for range 2 {
		_, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::CloudTrail::Trail"}})
		var got []string
		for r := range e.Resources() {
			got = append(got, fmt.Sprint(r.ID, r.Region, r.Document["GetTrailStatus"]))
		}
		if !slices.Equal(got, []string{"orgap-south-1map[From:ap-south-1]"}) {
			t.Errorf("got %v", got)
		}
		// Resumed, it is kept though its home is not among the regions read.
		sum, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::CloudTrail::Trail"}, Resume: e})
		if sum.Kept != 1 || len(e.List[0].Resources) != 1 {
			t.Errorf("kept %d of %d", sum.Kept, len(e.List[0].Resources))
		}
	}
}

func TestChildrenAreReadBelowTheirParents(t *testing.T) {
	f := newFake()
	f.on("organizations:DescribeOrganization", func(call) (m, error) {
		return m{"Organization": m{"Id": "o-1", "Arn": "arn:aws:organizations::111111111111:organization/o-1", "MasterAccountId": "111111111111"}}, nil
	})
	f.on("organizations:ListRoots", func(call) (m, error) { return m{"Roots": l{m{"Id": "r-1"}}}, nil })
	f.on("organizations:ListOrganizationalUnitsForParent", func(c call) (m, error) {
		switch c.input["ParentId"] {
		case "r-1":
			return m{"OrganizationalUnits": l{m{"Id": "ou-1"}, m{"Id": "ou-2"}}}, nil
		case "ou-2":
			return m{"OrganizationalUnits": l{m{"Id": "ou-2-1"}}}, nil
		}
		return m{}, nil
	})
	f.on("organizations:ListPolicies", func(c call) (m, error) {
		return m{"Policies": l{m{"Id": "p-" + fmt.Sprint(c.input["Filter"])}}}, nil
	})
	f.on("apigateway:GetRestApis", func(call) (m, error) { return m{"items": l{m{"id": "a1"}}}, nil })
	f.on("apigateway:GetStages", func(c call) (m, error) {
		return m{"item": l{m{"stageName": "prod", "of": c.input["restApiId"]}}}, nil
	})
	_, e, _ := run(t, context.Background(), f, collect.Options{})
	var got []string
	for r := range e.Resources() {
		if strings.Contains(r.Type, "Organizational") || strings.HasSuffix(r.Type, "Organizations::Policy") {
			got = append(got, r.ID)
		}
	}
	if want := []string{"ou-1", "ou-2", "ou-2-1", "p-DECLARATIVE_POLICY_EC2", "p-RESOURCE_CONTROL_POLICY", "p-SERVICE_CONTROL_POLICY"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	stage := find(t, e, "AWS::ApiGateway::Stage", "a1|prod")
	if stage.ARN != "arn:aws:apigateway:eu-west-1::/restapis/a1/stages/prod" {
		t.Errorf("stage: %s", stage.ARN)
	}
}

// Every way in which AWS does not answer leaves a gap that names operation,
// code and, where denied, the permission.
func TestFailuresBecomeGaps(t *testing.T) {
	types := []string{"AWS::EC2::SecurityGroup"}
	for _, c := range []struct {
		rule   string
		answer func(call) (m, error)
		want   string // of eu-west-1
	}{
		{"denied", func(call) (m, error) { return nil, failure("UnauthorizedOperation", "no") }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups UnauthorizedOperation ec2:DescribeSecurityGroups"},
		{"throttled for ever", func(call) (m, error) { return nil, failure("RequestLimitExceeded", "slow") }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups RequestLimitExceeded "},
		{"failing", func(call) (m, error) { return nil, failure("InternalError", "x") }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups InternalError "},
		{"a list where an object should be", func(call) (m, error) { return m{"SecurityGroups": m{"GroupId": "x"}}, nil }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups InvalidAnswer "},
		{"strings where objects should be", func(call) (m, error) { return m{"SecurityGroups": l{"sg-1"}}, nil }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups InvalidAnswer "},
		{"items without id", func(call) (m, error) { return m{"SecurityGroups": l{m{"VpcId": "x"}}}, nil }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups InvalidAnswer "},
		{"broken connection", func(call) (m, error) { return nil, errors.New("connection reset") }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups  "},
		{"a service without endpoint in the region is no gap", func(call) (m, error) { return nil, &awsapi.NoEndpointError{Service: "ec2", Region: "eu-west-1"} }, ""},
		{"nor is one that AWS says it does not offer", func(call) (m, error) { return nil, failure("OptInRequired", "") }, ""},
		{"a name that does not resolve is a gap if nothing else answers", func(call) (m, error) { return nil, &net.DNSError{IsNotFound: true} }, "AWS::EC2::SecurityGroup eu-west-1 ec2:DescribeSecurityGroups  "},
	} {
		f := newFake()
		f.on("ec2:DescribeSecurityGroups", func(k call) (m, error) {
			if k.region == "us-east-1" {
				return m{}, nil
			}
			return c.answer(k)
		})
		sum, e, _ := run(t, context.Background(), f, collect.Options{Types: types})
		if got := gapsOf(e); got != c.want {
			t.Errorf("%s:\ngot  %q\nwant %q", c.rule, got, c.want)
		}
		if sum.Incomplete() != (c.want != "") {
			t.Errorf("%s: incomplete is %v", c.rule, sum.Incomplete())
		}
		for g := range e.Gaps() {
			if g.Reason == "" || strings.ContainsAny(g.Reason, "\x1b\n") {
				t.Errorf("%s: reason %q", c.rule, g.Reason)
			}
		}
	}
}

func TestDeniedPartIsUnknown(t *testing.T) {
	f := newFake()
	f.on("s3:ListBuckets", func(call) (m, error) { return m{"Buckets": l{m{"Name": "b"}}}, nil })
	f.on("s3:GetBucketEncryption", denied)
	sum, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::S3::Bucket"}})
	b := find(t, e, "AWS::S3::Bucket", "b")
	want := []estate.Gap{{Part: "GetBucketEncryption", Operation: "s3:GetBucketEncryption", Code: "AccessDenied",
		Reason: "access denied: User is not authorized [31m", Permission: "s3:GetEncryptionConfiguration"}}
	if diff := cmp.Diff(want, b.Unknown); diff != "" {
		t.Error(diff)
	}
	if _, there := b.Document["GetBucketEncryption"]; there {
		t.Error("an unknown part must be missing from the document")
	}
	if !sum.Incomplete() || len(sum.Gaps) != 1 || sum.Gaps[0].Count != 1 {
		t.Errorf("summary: %+v", sum.Gaps)
	}
}

// What hangs below an unread type is unread, too, and must not look absent.
func TestChildrenOfUnreadParentsAreGaps(t *testing.T) {
	f := newFake()
	f.on("eks:ListClusters", denied)
	_, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::EKS::*"}, Regions: []string{"us-east-1"}})
	want := "AWS::EKS::AccessEntry us-east-1 eks:ListClusters AccessDenied eks:ListClusters\n" +
		"AWS::EKS::Cluster us-east-1 eks:ListClusters AccessDenied eks:ListClusters\n" +
		"AWS::EKS::Nodegroup us-east-1 eks:ListClusters AccessDenied eks:ListClusters"
	if got := gapsOf(e); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestThrottlingIsWaitedOut(t *testing.T) {
	f := newFake()
	f.on("ec2:DescribeVpcs", func(c call) (m, error) {
		if c.n < 4 {
			return nil, failure("RequestLimitExceeded", "")
		}
		return m{"Vpcs": l{m{"VpcId": "vpc-1"}}}, nil
	})
	slowed := false
	sum, e, _ := run(t, context.Background(), f, collect.Options{Types: []string{"AWS::EC2::VPC"}, Regions: []string{"us-east-1"},
		Progress: func(p collect.Progress) { slowed = slowed || p.Slowed }})
	find(t, e, "AWS::EC2::VPC", "vpc-1")
	if sum.Incomplete() || !slowed {
		t.Errorf("incomplete %v, slowed %v", sum.Incomplete(), slowed)
	}
}

// many fills the fake with enough to be interrupted in the middle.
func many(f *fakeAWS) {
	list := func(n int, item func(i int) m) l {
		var out l
		for i := range n {
			out = append(out, item(i))
		}
		return out
	}
	f.on("ec2:DescribeSecurityGroups", func(c call) (m, error) {
		return m{"SecurityGroups": list(9, func(i int) m { return m{"GroupId": fmt.Sprintf("sg-%d", 9-i)} })}, nil
	})
	f.on("s3:ListBuckets", func(c call) (m, error) {
		return m{"Buckets": list(20, func(i int) m { return m{"Name": fmt.Sprintf("%s-b%d", c.account, i)} })}, nil
	})
	f.on("kms:ListKeys", func(c call) (m, error) {
		return m{"Keys": list(7, func(i int) m { return m{"KeyId": fmt.Sprintf("k%d", i)} })}, nil
	})
	f.on("kms:DescribeKey", func(c call) (m, error) {
		return m{"KeyMetadata": m{"KeyId": c.input["KeyId"], "KeyManager": "CUSTOMER"}}, nil
	})
	f.on("iam:GetAccountAuthorizationDetails", func(c call) (m, error) {
		return m{"UserDetailList": list(5, func(i int) m { return m{"UserName": fmt.Sprintf("u%d", i), "Arn": "arn:aws:iam::1:user/u"} })}, nil
	})
}

func TestSameAnswersGiveSameBytes(t *testing.T) {
	var first []byte
	for range 5 {
		f := newFake()
		many(f)
		_, _, b := run(t, context.Background(), f, collect.Options{})
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Fatal("two collections of the same answers differ")
		}
	}
}

// Stopped at any point, what was read stays, the rest is a gap; resuming reads
// only the rest and ends at the same bytes as an undisturbed collection.
func TestStopAndResume(t *testing.T) {
	f := newFake()
	many(f)
	_, _, whole := run(t, context.Background(), f, collect.Options{})
	total := 0
	for _, n := range f.calls {
		total += n
	}
	for _, stop := range []int32{20, 150, 300, int32(total) - 5} {
		ctx, cancel := context.WithCancel(context.Background())
		f := newFake()
		many(f)
		var calls atomic.Int32
		f.hook = func() {
			if calls.Add(1) == stop {
				cancel()
			}
		}
		sum, e, _ := run(t, ctx, f, collect.Options{})
		if !sum.Canceled || !sum.Incomplete() {
			t.Fatalf("stopped after %d: summary says whole", stop)
		}
		again := newFake()
		many(again)
		sum, _, b := run(t, context.Background(), again, collect.Options{Resume: e})
		if sum.Incomplete() {
			t.Errorf("resumed after %d: still incomplete: %+v", stop, sum.Gaps)
		}
		if !bytes.Equal(b, whole) {
			t.Errorf("resumed after %d: the result differs from an undisturbed collection", stop)
		}
		if stop > 250 && sum.Kept == 0 {
			t.Errorf("resumed after %d: nothing was kept", stop)
		}
		cancel()
	}
}

func TestResumeReadsOnlyWhatIsMissing(t *testing.T) {
	f := newFake()
	many(f)
	ok := f.answers["kms:DescribeKey"]
	f.on("kms:DescribeKey", denied)
	_, e, _ := run(t, context.Background(), f, collect.Options{})
	f.on("kms:DescribeKey", ok)
	lists, keys := f.count("s3:ListBuckets"), f.count("kms:DescribeKey")
	sum, e, _ := run(t, context.Background(), f, collect.Options{Resume: e})
	if f.count("s3:ListBuckets") != lists || f.count("kms:DescribeKey") != 2*keys {
		t.Errorf("buckets were listed %d times more, keys described %d times more", f.count("s3:ListBuckets")-lists, f.count("kms:DescribeKey")-keys)
	}
	if sum.Incomplete() || find(t, e, "AWS::KMS::Key", "k3").Document["KeyManager"] != "CUSTOMER" {
		t.Error("the denied part was not read again")
	}
}

func TestOrganization(t *testing.T) {
	f := newFake()
	many(f)
	f.on("organizations:DescribeOrganization", func(call) (m, error) {
		return m{"Organization": m{"Id": "o-1", "Arn": "a", "MasterAccountId": "111111111111"}}, nil
	})
	f.on("organizations:ListAccounts", func(call) (m, error) {
		return m{"Accounts": l{m{"Id": "333333333333", "Status": "ACTIVE"}, m{"Id": "222222222222", "Status": "ACTIVE"},
			m{"Id": "111111111111", "Status": "ACTIVE"}, m{"Id": "999999999999", "Status": "SUSPENDED"}}}, nil
	})
	f.roles["arn:aws:iam::333333333333:role/Reader"] = failure("AccessDenied", "not authorized to perform sts:AssumeRole")
	sum, e, _ := run(t, context.Background(), f, collect.Options{Role: "Reader"})
	var got []string
	for _, a := range e.List {
		got = append(got, fmt.Sprintf("%s %d", a.ID, len(a.Gaps)))
	}
	if want := []string{"111111111111 0", "222222222222 0", "333333333333 1"}; !slices.Equal(got, want) {
		t.Errorf("accounts and gaps: %v, want %v", got, want)
	}
	if g := e.List[2].Gaps[0]; g.Operation != "sts:AssumeRole" || g.Permission != "sts:AssumeRole" || g.Type != "" {
		t.Errorf("gap: %+v", g)
	}
	if sum.Accounts != 3 || !slices.Equal(sum.Header.Scope.Accounts, []string{"111111111111", "222222222222", "333333333333"}) {
		t.Errorf("summary: %+v", sum)
	}
	// Policies of the organization are read where AWS lets them be read, and nowhere else.
	if n := f.count("organizations:ListRoots"); n != 1 {
		t.Errorf("roots were listed %d times", n)
	}
}

// A member account cannot read the organization's policies: that is said, and
// is not the fault of the collection.
func TestMemberAccount(t *testing.T) {
	f := newFake()
	f.on("organizations:DescribeOrganization", func(call) (m, error) {
		return m{"Organization": m{"Id": "o-1", "Arn": "a", "MasterAccountId": "222222222222"}}, nil
	})
	sum, e, _ := run(t, context.Background(), f, collect.Options{})
	if sum.Incomplete() || !strings.Contains(gapsOf(e), "AWS::Organizations::Policy  organizations:ListPolicies ManagementOnly") {
		t.Errorf("incomplete %v, gaps:\n%s", sum.Incomplete(), gapsOf(e))
	}
}

func TestRunRefuses(t *testing.T) {
	for _, c := range []struct {
		rule string
		o    collect.Options
		set  func(*fakeAWS)
		want string
	}{
		{"a type that does not exist", collect.Options{Types: []string{"AWS::No::Such"}}, nil, `"AWS::No::Such" is not in the catalogue`},
		{"an account of another without a role", collect.Options{Accounts: []string{"222222222222"}}, nil, "name the role to assume"},
		{"an account that is none", collect.Options{Accounts: []string{"12"}, Role: "R"}, nil, "twelve digits"},
		{"credentials that AWS refuses", collect.Options{}, func(f *fakeAWS) {
			f.on("sts:GetCallerIdentity", func(call) (m, error) { return nil, failure("InvalidClientTokenId", "bad token") })
		}, "bad token"},
		{"an endpoint that is not AWS", collect.Options{}, func(f *fakeAWS) {
			f.on("sts:GetCallerIdentity", func(call) (m, error) { return m{}, nil })
		}, "is the endpoint AWS?"},
	} {
		f := newFake()
		if c.set != nil {
			c.set(f)
		}
		c.o.Catalogue = catalogue(t)
		_, err := collect.Run(context.Background(), fakeSession{f, "111111111111"}, c.o, new(bytes.Buffer))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.rule, err, c.want)
		}
	}
}
