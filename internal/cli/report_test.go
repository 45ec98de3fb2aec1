package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// reported runs a command that reports fs and gaps with the given flags, and
// returns its exit code and what it wrote.
func reported(t *testing.T, fs []finding.Finding, gaps []estate.Gap, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	a := &App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: func() time.Time { return now }, Getenv: func(string) string { return "" }, color: "auto"}
	c := &cobra.Command{Use: "scan", SilenceErrors: true, SilenceUsage: true}
	flags := addReportFlags(c, "low")
	c.RunE = func(*cobra.Command, []string) error {
		if err := flags.check(a); err != nil {
			return err
		}
		r, err := flags.open(a, a.reportRun("scan", "estate", nil))
		if err != nil {
			return err
		}
		defer r.abort()
		for _, f := range fs {
			if err := r.add(f); err != nil {
				return err
			}
		}
		return r.close(gaps)
	}
	c.SetArgs(args)
	err := c.Execute()
	a.report(err)
	return ExitCode(err), out.String(), errs.String()
}

func one(status finding.Status, severity finding.Severity, rule string) finding.Finding {
	return finding.Finding{RuleID: rule, Title: "title of " + rule, Fingerprint: finding.Fingerprint(rule), Pillar: finding.PillarData, Status: status, Severity: severity,
		Resource: finding.Resource{Type: "AWS::S3::Bucket", ID: "bucket", Account: "111122223333"}}
}

func TestReportExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	high, low := one(finding.StatusFail, finding.SeverityHigh, "h"), one(finding.StatusFail, finding.SeverityLow, "l")
	pass, unknown := one(finding.StatusPass, finding.SeverityHigh, "p"), one(finding.StatusUnknown, finding.SeverityLow, "u")
	info := one(finding.StatusFail, finding.SeverityInformational, "i")
	old := file("old.json", `{"report":{},"findings":[{"fingerprint":"`+high.Fingerprint+`","ruleId":"h","status":"fail","severity":"high"}]}`)
	mute := func(control string) string {
		return file(control+".yaml", "- control: "+control+"\n  reason: r\n  owner: o\n  expires: 2027-01-01\n")
	}
	expired := file("expired.yaml", "- control: h\n  reason: r\n  owner: o\n  expires: 2026-11-19\n")
	gap := []estate.Gap{{Operation: "s3:GetBucketPolicy", Reason: "denied"}}
	type list = []finding.Finding
	for _, c := range []struct {
		name  string
		fs    list
		gaps  []estate.Gap
		args  string
		want  int
		error string // on standard error
	}{
		{"nothing", nil, nil, "", 0, ""},
		{"a pass", list{pass}, nil, "", 0, ""},
		{"a failure, and the worst is explained next", list{low, high}, nil, "", 1, "next: bartizan explain h\n"},
		{"informational is below the default", list{info}, nil, "", 0, ""},
		{"and can be asked for", list{info}, nil, "--fail-on informational", 1, ""},
		{"below --fail-on", list{low}, nil, "--fail-on high", 0, ""},
		{"at --fail-on", list{high}, nil, "--fail-on high", 1, ""},
		{"never", list{high}, nil, "--fail-on never", 0, ""},
		{"unknown is incomplete, whatever --fail-on", list{unknown}, nil, "--fail-on never", 3, ""},
		{"a gap is incomplete", list{pass}, gap, "", 3, "1 part could not be read"},
		{"findings come before incompleteness", list{high, unknown}, gap, "", 1, "1 part could not be read"},
		{"muted", list{high}, nil, "--mutes " + mute("h"), 0, ""},
		{"a muted unknown is accepted", list{unknown}, nil, "--mutes " + mute("u"), 0, ""},
		{"an expired mute", list{high}, nil, "--mutes " + expired, 1, "warning: mute on line 1 (control h) expired on 2026-11-19"},
		{"a mute that matches nothing", list{pass}, nil, "--mutes " + mute("x"), 0, "warning: mute on line 1 (control x) matches nothing"},
		{"two mute files", list{high, low}, nil, "--mutes " + mute("h") + " --mutes " + mute("l"), 0, ""},
		{"known and --fail-on new", list{high}, nil, "--baseline " + old + " --fail-on new:high", 0, ""},
		{"known and --fail-on", list{high}, nil, "--baseline " + old + " --fail-on high", 1, ""},
		{"new and --fail-on new", list{high, one(finding.StatusFail, finding.SeverityCritical, "n")}, nil, "--baseline " + old + " --fail-on new:high", 1, ""},
		{"new but below", list{high, low}, nil, "--baseline " + old + " --fail-on new:high", 0, ""},
		{"two thresholds", list{high, low}, nil, "--baseline " + old + " --fail-on new:low,critical", 1, ""},
		{"new without a baseline", nil, nil, "--fail-on new:high", 2, "needs --baseline"},
		{"an unknown severity", nil, nil, "--fail-on bad", 2, "want critical, high"},
		{"never and something", nil, nil, "--fail-on never,high", 2, "never alone"},
		{"an unknown --show", nil, nil, "--show fail", 2, "want pass"},
		{"a missing baseline", nil, nil, "--baseline " + filepath.Join(dir, "none"), 2, "--baseline"},
		{"a foreign baseline", nil, nil, "--baseline " + expired, 3, "not a bartizan report"},
		{"a missing mute file", nil, nil, "--mutes " + filepath.Join(dir, "none"), 2, "docs/mutes.md"},
		{"a malformed mute file", nil, nil, "--mutes " + file("bad.yaml", "- control: h\n"), 2, "bad.yaml:1:3: the rule has no \"reason\""},
		{"a folder that is not there", nil, nil, "-o json=" + filepath.Join(dir, "no", "r.json"), 2, "folder that exists"},
		{"an unknown format", nil, nil, "-o yaml", 2, "unknown format"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := reported(t, c.fs, c.gaps, strings.Fields(c.args)...)
			if code != c.want || !strings.Contains(stderr, c.error) {
				t.Errorf("exit code %d, want %d; standard error %q, want %q", code, c.want, stderr, c.error)
			}
		})
	}
}

// TestReportOutputs: one run writes several formats; passes are counted but
// shown only when asked for; and the report reads back as a baseline.
func TestReportOutputs(t *testing.T) {
	dir := t.TempDir()
	html, doc := filepath.Join(dir, "r.html"), filepath.Join(dir, "r.json")
	fs := []finding.Finding{one(finding.StatusFail, finding.SeverityHigh, "h"), one(finding.StatusPass, finding.SeverityHigh, "p")}
	code, stdout, stderr := reported(t, fs, nil, "-o", "csv", "-o", "html="+html, "-o", "json="+doc)
	if code != 1 || strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "wrote "+html+" (html)") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	data, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "title of p\",\"pillar\":\"data\",\"severity\":\"high\",\"status\":\"pass\"") || !strings.Contains(string(data), `"pass":1`) {
		t.Errorf("passes are to be counted, not shown: %s", data)
	}
	code, stdout, _ = reported(t, fs, nil, "-o", "csv", "--show", "pass", "--baseline", doc, "--fail-on", "new:low")
	if code != 0 || strings.Count(stdout, "\n") != 3 || !strings.Contains(stdout, "unchanged") {
		t.Errorf("exit code %d, stdout %q", code, stdout)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".bartizan-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
}

// TestReportAborted: a run that stops half-way leaves the former report whole.
func TestReportAborted(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(name, []byte("former"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &App{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Now: func() time.Time { return time.Time{} }, Getenv: func(string) string { return "" }}
	c := &cobra.Command{}
	flags := addReportFlags(c, "low")
	flags.out.raw = []string{"json=" + name}
	if err := flags.check(a); err != nil {
		t.Fatal(err)
	}
	r, err := flags.open(a, a.reportRun("scan", "", nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.add(one(finding.StatusFail, finding.SeverityHigh, "h")); err != nil {
		t.Fatal(err)
	}
	r.abort()
	data, err := os.ReadFile(name)
	if err != nil || string(data) != "former" {
		t.Errorf("the former report is now %q, %v", data, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// What a file of a stranger brings into an error cannot steer the terminal.
func TestErrorsAreNeutral(t *testing.T) {
	var stderr bytes.Buffer
	a := &App{Stderr: &stderr}
	a.report(&Error{Code: ExitUsage, Err: errors.New("unknown field \"\x1b]0;x\a\"\nand more"), Hint: "see \u202ex"})
	a.warnf("%s: \x1b[31mred", "file\r")
	want := "error: unknown field \"\\x1b]0;x\\x07\"\nand more\nhint: see \\u202ex\nwarning: file\\r: \\x1b[31mred\n"
	if stderr.String() != want {
		t.Errorf("%q, want %q", stderr.String(), want)
	}
}
