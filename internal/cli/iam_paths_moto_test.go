package cli

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity/paths"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// The paths that boto3 has planted in a moto account are found live, in a
// snapshot, and, as far as IAM alone shows them, in the authorization details;
// near misses are not.
func TestPathsOfMotoAccount(t *testing.T) {
	endpoint := mototest.Start(t)
	dir := t.TempDir()
	details, snapshot := filepath.Join(dir, "details.json"), filepath.Join(dir, "estate.jsonl.zst")
	if out, err := exec.Command(mototest.Python(t), "testdata/paths_estate.py", endpoint, details).CombinedOutput(); err != nil {
		t.Fatalf("fill moto: %v\n%s", err, out)
	}
	const types = "AWS::IAM::User,AWS::IAM::Role,AWS::IAM::Group,AWS::IAM::ManagedPolicy,AWS::IAM::InstanceProfile,AWS::Lambda::Function,AWS::EC2::Instance,AWS::CodeBuild::Project"
	if code, _, stderr := execute(t.Context(), "collect", "--endpoint-url", endpoint, "--regions", "us-east-1", "-o", snapshot, "-q", "--types", types); code != ExitClean && code != ExitIncomplete {
		t.Fatalf("collect: exit code %d\n%s", code, stderr)
	}
	for _, c := range []struct {
		source string
		args   []string
		maybe  []string // paths that only IAM's side is known of
	}{
		{"live", []string{"--endpoint-url", endpoint, "--regions", "us-east-1"}, nil},
		{"snapshot", []string{snapshot}, nil},
		{"authorization details", []string{details}, []string{"lambda-003", "ssm-001", "codebuild-002", "iam-002"}},
	} {
		code, stdout, stderr := execute(t.Context(), append([]string{"iam", "paths", "-q", "-o", "json"}, c.args...)...)
		if code != ExitFindings {
			t.Fatalf("%s: exit code %d\n%s", c.source, code, stderr)
		}
		var r paths.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%s: %v", c.source, err)
		}
		if r.Cut == nil || !r.Cut.Verified {
			t.Errorf("%s: cut %+v", c.source, r.Cut)
		}
		got := map[string]string{}
		for _, p := range r.Paths {
			name := p.From[strings.LastIndexByte(p.From, '/')+1:]
			for _, w := range p.Hops[0].Ways {
				if w.ID == name || strings.HasPrefix(name, "safe") {
					got[name] = map[bool]string{true: "certain", false: "possible"}[w.Certain && p.Certain]
				}
			}
		}
		for _, name := range []string{"lambda-001", "lambda-003", "ssm-001", "codebuild-002", "sts-001", "iam-001", "iam-002", "iam-007", "iam-012", "iam-013"} {
			want := "certain"
			for _, m := range c.maybe {
				if m == name {
					want = "possible"
				}
			}
			if got[name] != want {
				t.Errorf("%s: the path of %s is %q, want %s", c.source, name, got[name], want)
			}
		}
		for name, sure := range got {
			if strings.HasPrefix(name, "safe") && (sure == "certain" || len(c.maybe) == 0) {
				t.Errorf("%s: %s has a %s path", c.source, name, sure)
			}
		}
	}
}
