package cli

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/internal/mototest"
)

// TestIAMOnMoto fills a moto account with boto3 and asks the same questions of
// the live account, of a snapshot of it, and of its authorization details.
func TestIAMOnMoto(t *testing.T) {
	endpoint := mototest.Start(t)
	dir := t.TempDir()
	details, snapshot := filepath.Join(dir, "details.json"), filepath.Join(dir, "estate.jsonl.zst")
	if out, err := exec.Command(mototest.Python(t), "testdata/iam/fill.py", endpoint, details).CombinedOutput(); err != nil {
		t.Fatalf("fill moto: %v\n%s", err, out)
	}
	ctx := context.Background()
	if code, _, stderr := execute(ctx, "collect", "--endpoint-url", endpoint, "--regions", "eu-west-1", "-o", snapshot, "--types", "AWS::IAM::*,AWS::S3::Bucket,AWS::Account::Account,AWS::Organizations::*"); code != ExitClean && code != ExitIncomplete {
		t.Fatalf("collect: %d\n%s", code, stderr)
	}
	sources := []struct {
		name string
		args []string
	}{
		{"live", []string{"--endpoint-url", endpoint, "--regions", "eu-west-1"}},
		{"snapshot", []string{"-e", snapshot}},
		{"authorization details", []string{"-e", details}},
	}
	for i, c := range []struct {
		rule string
		ask  []string
		want string // the first line; for authorization details after a slash where it differs
	}{
		{"a group's policy allows", []string{"can", "ada", "s3:GetObject", "arn:aws:s3:::moto-data/x"}, "allowed"},
		{"a deny of the user's own policy wins", []string{"can", "ada", "s3:GetObject", "arn:aws:s3:::moto-data/secret/x"}, "explicitDeny"},
		{"the user's tag is the folder", []string{"can", "ada", "s3:PutObject", "arn:aws:s3:::moto-data/data/x"}, "allowed"},
		{"not another team's", []string{"can", "ada", "s3:PutObject", "arn:aws:s3:::moto-data/sales/x"}, "implicitDeny"},
		{"the trust policy and the user's policy agree", []string{"can", "ada", "sts:AssumeRole", "arn:aws:iam::123456789012:role/team/deploy"}, "allowed"},
		{"the role trusts somebody else", []string{"can", "ada", "sts:AssumeRole", "arn:aws:iam::123456789012:role/partner"}, "implicitDeny"},
		{"the new default version of the boundary counts", []string{"can", "role/deploy", "sqs:PurgeQueue", "arn:aws:sqs:eu-west-1:123456789012:q"}, "allowed"},
		{"the boundary limits an administrator", []string{"can", "role/deploy", "iam:CreateUser", "arn:aws:iam::123456789012:user/x"}, "implicitDeny"},
		{"anyone may read the open bucket", []string{"can", "*", "s3:GetObject", "arn:aws:s3:::moto-open/x"}, "allowed/unknown"},
	} {
		whole, fromDetails, differs := strings.Cut(c.want, "/")
		for _, s := range sources {
			if s.name == "live" && i%4 != 0 {
				continue // each question reads the whole account again
			}
			want := whole
			if differs && s.name == "authorization details" {
				want = fromDetails
			}
			_, stdout, stderr := execute(ctx, append(append([]string{"iam"}, c.ask...), s.args...)...)
			if got, _, _ := strings.Cut(stdout, "\n"); got != want {
				t.Errorf("%s, %s: %s, want %s\n%s%s", c.rule, s.name, got, want, stdout, stderr)
			}
		}
	}
	for _, s := range sources {
		code, stdout, stderr := execute(ctx, append([]string{"iam", "external", "-o", "jsonl"}, s.args...)...)
		if code != ExitFindings || !strings.Contains(stdout, "role/partner") || strings.Contains(stdout, "moto-open") == (s.name == "authorization details") {
			t.Errorf("external, %s: %d %s\n%s", s.name, code, stdout, stderr)
		}
		code, stdout, stderr = execute(ctx, append([]string{"iam", "audit"}, s.args...)...)
		if code == ExitInternal || strings.Contains(stdout, "console-without-mfa  arn:aws:iam::123456789012:user/ada") == (s.name == "authorization details") {
			t.Errorf("audit, %s: %d %s\n%s", s.name, code, stdout, stderr)
		}
		if s.name == "live" {
			continue
		}
		code, stdout, stderr = execute(ctx, append([]string{"iam", "what-can", "role/deploy"}, s.args...)...)
		if (code != ExitClean && code != ExitIncomplete) || !strings.Contains(stdout, "Proven: it allows just what") || !strings.Contains(stdout, `"sqs:*"`) {
			t.Errorf("what-can, %s: %d %s\n%s", s.name, code, stdout, stderr)
		}
	}
}
