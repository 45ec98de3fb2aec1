package collect_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/collect"
)

func diagnose(t *testing.T, f *fakeAWS, types ...string) *collect.Diagnosis {
	t.Helper()
	c := catalogue(t)
	selected, err := c.Select(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, err := collect.Diagnose(context.Background(), fakeSession{f, "111111111111"}, c, selected)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func missing(d *collect.Diagnosis) string {
	var s []string
	for _, n := range d.Missing {
		s = append(s, n.Action)
	}
	return strings.Join(s, " ")
}

// Where IAM's simulator may be asked, it decides for every action.
func TestDiagnoseBySimulation(t *testing.T) {
	f := newFake()
	asked := 0
	f.on("iam:SimulatePrincipalPolicy", func(c call) (m, error) {
		if c.input["PolicySourceArn"] != "arn:aws:iam::111111111111:user/reader" {
			t.Errorf("asked about %v", c.input["PolicySourceArn"])
		}
		var results l
		for _, a := range c.input["ActionNames"].(l) {
			asked++
			decision := "allowed"
			if a == "s3:GetBucketLogging" || a == "s3:GetEncryptionConfiguration" {
				decision = "implicitDeny"
			}
			results = append(results, m{"EvalActionName": a, "EvalDecision": decision})
		}
		return m{"EvaluationResults": results}, nil
	})
	d := diagnose(t, f)
	if d.Method != collect.MethodSimulated || missing(d) != "s3:GetBucketLogging s3:GetEncryptionConfiguration" || len(d.Untested) != 0 || len(d.Allowed) != asked-2 {
		t.Errorf("%s: missing %q, %d allowed, untested %v", d.Method, missing(d), len(d.Allowed), d.Untested)
	}
	if !slices.Equal(d.Missing[0].Types, []string{"AWS::S3::Bucket"}) {
		t.Errorf("types that need it: %v", d.Missing[0].Types)
	}
}

// A session of a role is simulated as the role, whose path only IAM knows.
func TestDiagnoseOfASession(t *testing.T) {
	f := newFake()
	f.on("sts:GetCallerIdentity", func(c call) (m, error) {
		return m{"Account": "111111111111", "Arn": "arn:aws:sts::111111111111:assumed-role/Reader/me"}, nil
	})
	f.on("iam:GetRole", func(call) (m, error) {
		return m{"Role": m{"Arn": "arn:aws:iam::111111111111:role/audit/Reader"}}, nil
	})
	source := ""
	f.on("iam:SimulatePrincipalPolicy", func(c call) (m, error) {
		source, _ = c.input["PolicySourceArn"].(string)
		return m{"EvaluationResults": l{m{"EvalActionName": "s3:ListAllMyBuckets", "EvalDecision": "allowed"}}}, nil
	})
	d := diagnose(t, f, "AWS::S3::Bucket")
	if source != "arn:aws:iam::111111111111:role/audit/Reader" || d.Method != collect.MethodSimulated || len(d.Untested) == 0 {
		t.Errorf("asked about %q, %s, untested %v", source, d.Method, d.Untested)
	}
}

// Where the simulator may not be asked, list calls are tried, and what needs a
// resource to be tried on is said to be untested.
func TestDiagnoseByTrying(t *testing.T) {
	f := newFake()
	f.on("iam:SimulatePrincipalPolicy", denied)
	f.on("ec2:DescribeVolumes", denied)
	f.on("kms:ListKeys", func(call) (m, error) { return nil, failure("InternalError", "x") })
	d := diagnose(t, f, "AWS::EC2::Volume", "AWS::EC2::VPC", "AWS::S3::Bucket", "AWS::KMS::Key")
	if d.Method != collect.MethodTried || missing(d) != "ec2:DescribeVolumes" || !slices.Equal(d.Allowed, []string{"ec2:DescribeVpcs", "s3:ListAllMyBuckets"}) ||
		!slices.Contains(d.Untested, "s3:GetBucketAcl") || len(d.Failed) != 1 || d.Failed[0].Operation != "kms:ListKeys" {
		t.Errorf("%s: missing %q, allowed %v, failed %v", d.Method, missing(d), d.Allowed, d.Failed)
	}
}

func TestDiagnoseOfRootAndOfNobody(t *testing.T) {
	f := newFake()
	f.on("sts:GetCallerIdentity", func(call) (m, error) {
		return m{"Account": "111111111111", "Arn": "arn:aws:iam::111111111111:root"}, nil
	})
	if d := diagnose(t, f); d.Method != collect.MethodRoot || len(d.Missing) != 0 {
		t.Errorf("root: %+v", d)
	}
	f.on("sts:GetCallerIdentity", func(call) (m, error) { return nil, failure("ExpiredToken", "expired") })
	if _, err := collect.Diagnose(context.Background(), fakeSession{f, "1"}, catalogue(t), nil); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired credentials: %v", err)
	}
}
