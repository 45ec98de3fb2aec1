package report_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// hostile is what an attacker may name a resource: markup of every format,
// terminal control, a changed direction of writing, and bytes that are no UTF-8.
const hostile = "=cmd|'/C calc'!A0<script>alert(1)</script>\"'`|]]>&\x1b[2J\r\n\u202e](javascript:x)@everyone\xff{0}"

var (
	at  = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	run = report.Run{Tool: "bartizan", Version: "1.2.3", Command: "scan", Time: at, Source: "examples/acme/estate.jsonl.zst", Scope: []string{"111122223333", "eu-west-1"}}
)

// sample is the one set of findings behind every golden file.
func sample() []finding.Finding {
	mute := &finding.Mute{Control: "s3-versioning", Reason: "static site, rebuilt from git", Owner: "web@acme.example", Expires: at.AddDate(0, 3, 0), Line: 4}
	root := finding.Resource{Type: "AWS::IAM::User", ID: "root", ARN: "arn:aws:iam::111122223333:root", Account: "111122223333"}
	bucket := func(name string) finding.Resource {
		return finding.Resource{Type: "AWS::S3::Bucket", ID: name, ARN: "arn:aws:s3:::" + name, Account: "111122223333", Region: "eu-west-1", Tags: map[string]string{"team": "web", "env": "prod"}}
	}
	fs := []finding.Finding{
		{RuleID: "iam-root-mfa", Title: "The root user has no MFA", Pillar: finding.PillarIdentity, Severity: finding.SeverityCritical, Status: finding.StatusFail,
			Reason: "AccountMFAEnabled is 0", Resource: root, Why: "Whoever learns the root password owns the account.",
			Evidence:   []finding.Evidence{{Path: "GetAccountSummary.AccountMFAEnabled", Value: int64(0)}},
			Fix:        &finding.Fix{Text: "Sign in as root, open Security credentials and assign an MFA device.", CLI: "aws iam create-virtual-mfa-device --virtual-mfa-device-name root \\\n  --outfile qr.png --bootstrap-method QRCodePNG", Terraform: "# root MFA cannot be set with Terraform"},
			Frameworks: map[string][]string{"CIS-AWS-5.0": {"1.4"}, "NIST-800-53r5": {"IA-2(1)", "AC-6"}}, Change: finding.ChangeNew},
		{RuleID: "iam-user-policy", Title: "A policy is attached to a user", Pillar: finding.PillarIdentity, Severity: finding.SeverityLow, Status: finding.StatusUnknown,
			Reason: "iam:ListUserPolicies was denied", Resource: finding.Resource{Type: "AWS::IAM::User", ID: "deploy", ARN: "arn:aws:iam::111122223333:user/deploy", Account: "111122223333"}},
		{RuleID: "ec2-sg-open-admin", Title: "A security group opens administration ports to the internet", Pillar: finding.PillarInfrastructure, Severity: finding.SeverityHigh, Status: finding.StatusFail,
			Reason: "port 22 is open to 0.0.0.0/0 and ::/0, and two interfaces use the group", Change: finding.ChangeUnchanged,
			Resource: finding.Resource{Type: "AWS::EC2::SecurityGroup", ID: "sg-0a1b2c3d4e5f67890", ARN: "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0a1b2c3d4e5f67890", Account: "111122223333", Region: "eu-west-1"},
			Evidence: []finding.Evidence{{Path: "IpPermissions[0].IpRanges[0].CidrIp", Value: "0.0.0.0/0"}, {Path: "IpPermissions[0]", Value: map[string]any{"FromPort": int64(22), "ToPort": int64(22)}, Note: "SSH"}}},
		{RuleID: "s3-versioning", Title: "A bucket keeps no versions", Pillar: finding.PillarData, Severity: finding.SeverityMedium, Status: finding.StatusMuted, Reason: "versioning is off", Mute: mute, Resource: bucket("acme-site")},
		{RuleID: "s3-versioning", Title: "A bucket keeps no versions", Pillar: finding.PillarData, Severity: finding.SeverityMedium, Status: finding.StatusFail, Reason: "versioning is off for " + hostile, Resource: bucket(hostile),
			Evidence: []finding.Evidence{{Path: "GetBucketVersioning." + hostile, Value: hostile, Note: hostile}, {Path: "odd", Value: math.Inf(1)}}},
		{RuleID: "s3-versioning", Title: "A bucket keeps no versions", Pillar: finding.PillarData, Severity: finding.SeverityMedium, Status: finding.StatusPass, Resource: bucket("acme-logs")},
		{RuleID: "backup-vault-lock", Title: "A backup vault has no lock", Pillar: finding.PillarResponse, Severity: finding.SeverityMedium, Status: finding.StatusPass,
			Resource: finding.Resource{Type: "AWS::Backup::BackupVault", ID: "vault", Account: "111122223333", Region: "eu-west-1"}},
		{RuleID: "aws-console-login-no-mfa", Title: "Console sign-in without MFA", Severity: finding.SeverityHigh, Status: finding.StatusFail, Reason: "ConsoleLogin succeeded and MFAUsed is No",
			Resource: finding.Resource{Type: "AWS::IAM::User", ID: "bob", ARN: "arn:aws:iam::111122223333:user/bob", Account: "111122223333", Region: "us-east-1"}, Techniques: []string{"T1078.004"},
			EventIDs: []string{"0e1f2a3b-0000-4000-8000-000000000001"}, Actor: "arn:aws:iam::111122223333:user/bob", Time: at.Add(-3 * time.Hour),
			Evidence: []finding.Evidence{{Path: "additionalEventData.MFAUsed", Value: "No"}}},
		{RuleID: "aws-trail-stopped", Title: "CloudTrail was stopped", Severity: finding.SeverityCritical, Status: finding.StatusFail, Reason: "StopLogging by " + hostile,
			Resource:   finding.Resource{Type: "AWS::CloudTrail::Trail", ID: "org-trail", ARN: "arn:aws:cloudtrail:us-east-1:111122223333:trail/org-trail", Account: "111122223333", Region: "us-east-1"},
			Techniques: []string{"T1562.008", "T1562"}, EventIDs: []string{"e-2", "e-3"}, Actor: hostile, Time: at.Add(-2 * time.Hour)},
	}
	for i := range fs {
		f := &fs[i]
		f.Fingerprint = finding.Fingerprint(f.RuleID, f.Resource.Account, f.Resource.Region, f.Resource.ID)
	}
	return fs
}

func result(fs []finding.Finding) *report.Result {
	var t finding.Tally
	for i := range fs {
		t.Add(&fs[i])
	}
	s := t.Summary()
	s.Baseline = &finding.BaselineCount{New: 1, Unchanged: 1, Gone: []finding.Old{},
		Fixed: []finding.Old{{Fingerprint: "f", RuleID: "kms-rotation", Title: "A key does not rotate", Severity: finding.SeverityMedium, Resource: "arn:aws:kms:eu-west-1:111122223333:key/1"}}}
	return &report.Result{
		Summary: s,
		Gaps: []estate.Gap{
			{Type: "AWS::IAM::User", Account: "111122223333", Part: "ListUserPolicies", Operation: "iam:ListUserPolicies", Code: "AccessDenied", Reason: "not authorized to perform iam:ListUserPolicies on " + hostile, Permission: "iam:ListUserPolicies"},
			{Type: "AWS::S3::Bucket", Account: "111122223333", Region: "eu-west-1", Operation: "s3:GetBucketPolicy", Code: "SlowDown", Reason: "throttled after 10 tries"},
		},
		Incomplete: []string{"logs/2026-11-20.json.gz is truncated after 4096 bytes"},
		Warnings:   []string{"mute on line 9 (control old-*) matches nothing; check it for a mistake or remove it (owner web)"},
	}
}

func write(t testing.TB, format string, fs []finding.Finding, o report.Options) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := report.New(format, &b, run, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fs {
		if fs[i].Status == finding.StatusPass && !o.All {
			continue
		}
		if err := w.Write(&fs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(result(fs)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGolden compares every format with a file; -update rewrites them.
func TestGolden(t *testing.T) {
	golden := func(name string, got []byte) {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join("testdata", "golden", name)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs; run with -update and read the difference (-want +got):\n%s", file, diff)
			}
		})
	}
	for _, format := range report.Formats() {
		golden("report."+format, write(t, format, sample(), report.Options{}))
	}
	golden("all.table", write(t, "table", sample(), report.Options{All: true, Width: 120}))
	golden("color.table", write(t, "table", sample(), report.Options{Color: true}))
	golden("empty.table", write(t, "table", nil, report.Options{}))
}

// TestSameBytes: the same findings give the same bytes, although maps are
// iterated over; and the formats that sort do not depend on the order either.
func TestSameBytes(t *testing.T) {
	for _, format := range report.Formats() {
		first := write(t, format, sample(), report.Options{All: true})
		for range 5 {
			if !bytes.Equal(first, write(t, format, sample(), report.Options{All: true})) {
				t.Fatalf("%s differs from run to run", format)
			}
		}
	}
	backwards := sample()
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	for _, format := range []string{"table", "markdown"} {
		if diff := cmp.Diff(string(write(t, format, sample(), report.Options{})), string(write(t, format, backwards, report.Options{}))); diff != "" {
			t.Errorf("%s depends on the order:\n%s", format, diff)
		}
	}
}

// TestNothingControlsATerminal: no format but a coloured table lets a control
// character through, and none a change of direction.
func TestNothingControlsATerminal(t *testing.T) {
	for _, format := range []string{"table", "markdown", "csv", "junit"} {
		for i, r := range string(write(t, format, sample(), report.Options{All: true})) {
			if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\ufffd') {
				t.Errorf("%s: byte %d is %U", format, i, r)
				break
			}
		}
	}
}

// TestTableFits: no line is wider than the terminal.
func TestTableFits(t *testing.T) {
	for _, width := range []int{40, 60, 80, 132} {
		for n, line := range strings.Split(string(write(t, "table", sample(), report.Options{All: true, Width: width})), "\n") {
			if got := report.Columns(line); got > width {
				t.Errorf("width %d: line %d has %d columns: %q", width, n+1, got, line)
			}
		}
	}
}

// TestManyFindings: the formats for people name how many they leave out.
func TestManyFindings(t *testing.T) {
	var fs []finding.Finding
	for i := range 500 {
		f := sample()[2]
		f.Resource.ID = fmt.Sprintf("sg-%03d", 499-i)
		f.Fingerprint = finding.Fingerprint(f.RuleID, f.Resource.ID)
		fs = append(fs, f)
	}
	for format, want := range map[string]string{"table": "… and 495 more", "markdown": "… and 480 more"} {
		out := string(write(t, format, fs, report.Options{}))
		if !strings.Contains(out, want) || !strings.Contains(out, "sg-000") || strings.Contains(out, "sg-400") {
			t.Errorf("%s does not show the first and count the rest:\n%s", format, out)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := report.New("yaml", &bytes.Buffer{}, run, report.Options{}); err == nil || !strings.Contains(err.Error(), `"yaml"`) {
		t.Errorf("error %v, want one that names the format", err)
	}
}

// failing fails after n bytes, like a full disk or a closed pipe.
type failing struct{ n int }

func (f *failing) Write(p []byte) (int, error) {
	if f.n -= len(p); f.n < 0 {
		return 0, os.ErrClosed
	}
	return len(p), nil
}

// TestWriteErrorIsReported: no format swallows the error of its output.
func TestWriteErrorIsReported(t *testing.T) {
	for _, format := range report.Formats() {
		for _, room := range []int{0, 300} {
			w, err := report.New(format, &failing{room}, run, report.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fs := sample()
			for i := range fs {
				if err == nil {
					err = w.Write(&fs[i])
				}
			}
			if err == nil {
				err = w.Close(result(fs))
			}
			if err == nil {
				t.Errorf("%s with room for %d bytes: no error", format, room)
			}
		}
	}
}
