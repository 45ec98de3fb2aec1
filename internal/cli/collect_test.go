package cli

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/estate"
)

// deniedAWS answers who the caller is and which regions there are, and denies
// the rest in each protocol's own words.
func deniedAWS(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		form := string(body)
		switch {
		case strings.Contains(form, "Action=GetCallerIdentity"):
			_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
				`<Arn>arn:aws:iam::111111111111:user/reader</Arn><UserId>AIDA</UserId><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		case strings.Contains(form, "Action=DescribeRegions"):
			_, _ = io.WriteString(w, `<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><regionInfo><item>`+
				`<regionName>eu-west-1</regionName></item></regionInfo></DescribeRegionsResponse>`)
		case strings.Contains(form, "Version=2016-11-15"):
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no</Message></Error></Errors></Response>`)
		case r.Header.Get("X-Amz-Target") != "" || strings.Contains(r.Header.Get("Content-Type"), "json"):
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"__type":"AccessDeniedException","message":"no"}`)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<Error><Code>AccessDenied</Code><Message>no</Message></Error>`)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "testing")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testing")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return s.URL
}

func execute(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	a := &App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &err, Getenv: os.Getenv,
		Now: func() time.Time { return time.Now() }}
	code = a.Run(ctx, args)
	return code, out.String(), err.String()
}

// Denials name the operation and the permission, leave a snapshot that says so,
// and exit with 3.
func TestCollectWithoutPermissions(t *testing.T) {
	url := deniedAWS(t)
	file := filepath.Join(t.TempDir(), "e.jsonl.zst")
	code, stdout, stderr := execute(context.Background(), "collect", "--endpoint-url", url, "-o", file, "--types", "AWS::S3::Bucket,AWS::EC2::VPC,AWS::KMS::Key,AWS::IAM::User,AWS::IAM::Role")
	if code != ExitIncomplete || !strings.Contains(stdout, "resources of account 111111111111") {
		t.Fatalf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
	}
	for _, want := range []string{
		"s3:ListBuckets was denied once: allow s3:ListAllMyBuckets",
		"ec2:DescribeVpcs was denied once: allow ec2:DescribeVpcs",
		"kms:ListKeys was denied once: allow kms:ListKeys",
		"iam:GetAccountAuthorizationDetails was denied 2 times: allow iam:GetAccountAuthorizationDetails",
		"'bartizan doctor --policy' prints the least policy",
		"next: bartizan scan",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr)
		}
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := estate.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	e, err := estate.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	denied := map[string]string{}
	for g := range e.Gaps() {
		denied[g.Type] = g.Permission
	}
	for typ, permission := range map[string]string{"AWS::S3::Bucket": "s3:ListAllMyBuckets", "AWS::EC2::VPC": "ec2:DescribeVpcs",
		"AWS::KMS::Key": "kms:ListKeys", "AWS::IAM::Role": "iam:GetAccountAuthorizationDetails"} {
		if denied[typ] != permission {
			t.Errorf("%s: the gap names %q, want %q", typ, denied[typ], permission)
		}
	}
	if matches, _ := filepath.Glob(file + "*"); len(matches) != 1 {
		t.Errorf("files left: %v", matches)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the snapshot can be read by others: %v %v", info.Mode(), err)
	}
}

func TestDoctorWithoutPermissions(t *testing.T) {
	url := deniedAWS(t)
	code, stdout, stderr := execute(context.Background(), "doctor", "--endpoint-url", url, "--services", "ec2,s3")
	if code != ExitIncomplete || !strings.Contains(stdout, "caller        arn:aws:iam::111111111111:user/reader") ||
		!strings.Contains(stdout, "missing       ec2:DescribeVpcs for AWS::EC2::VPC") || !strings.Contains(stdout, "missing       s3:ListAllMyBuckets") {
		t.Errorf("exit code %d, stderr %s, stdout:\n%s", code, stderr, stdout)
	}
}

// Stopped from the start, there is still no half-written file under the name.
func TestCollectStoppedAtOnce(t *testing.T) {
	url := deniedAWS(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	file := filepath.Join(t.TempDir(), "e.jsonl.zst")
	code, _, stderr := execute(ctx, "collect", "--endpoint-url", url, "-o", file)
	if left, _ := filepath.Glob(file + "*"); code != ExitIncomplete || len(left) != 0 {
		t.Errorf("exit code %d, files %v, stderr %s", code, left, stderr)
	}
}
