// Package e2e holds no code: its tests run the whole program against a real
// moto server that a third-party client has filled.
package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/internal/cli"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// resource names a resource of an expectation; account and region count only
// where they are given.
type resource struct{ ID, Account, Region string }

func (r resource) is(f finding.Resource) bool {
	return (f.ID == r.ID || f.ARN == r.ID) && (r.Account == "" || f.Account == r.Account) && (r.Region == "" || f.Region == r.Region)
}

// filled is what violations.py says of the server it has filled.
type filled struct {
	Endpoint string
	Accounts []string
	Expect   []struct {
		Control    string
		Bad, Clean []resource
	}
}

// fill starts a moto server with one violation of each kind and clean twins.
func fill(t *testing.T) filled {
	t.Helper()
	cmd := exec.Command(mototest.Python(t), "testdata/violations.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the filled moto server: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReaderSize(stdout, 1<<20).ReadBytes('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("fill the moto server: %v\n%s", err, stderr.String())
	}
	var f filled
	if err := json.Unmarshal(line, &f); err != nil {
		t.Fatalf("read what the moto server holds: %v\n%s", err, line)
	}
	return f
}

// bartizan runs the program and returns its exit code and output.
func bartizan(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	app := &cli.App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now, Getenv: os.Getenv}
	code = app.Run(t.Context(), args)
	return code, out.String(), errs.String()
}

// awsEnvironment makes the program talk to the endpoint, whatever the user's
// own settings are.
func awsEnvironment(t *testing.T, endpoint string) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for k, v := range map[string]string{
		"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(k, v)
	}
}

// TestEveryViolationIsReported: what boto3 has broken is found, its clean twin
// is not, and the same estate gives the same report byte for byte.
func TestEveryViolationIsReported(t *testing.T) {
	f := fill(t)
	awsEnvironment(t, f.Endpoint)
	snapshot := filepath.Join(t.TempDir(), "estate.jsonl.zst")
	code, _, stderr := bartizan(t, "collect", "--quiet", "--accounts", strings.Join(f.Accounts, ","), "--role-name", "fill",
		"--regions", "us-east-1,eu-west-1", "--out", snapshot)
	if code != cli.ExitClean && code != cli.ExitIncomplete { // moto lacks some operations
		t.Fatalf("collect: exit code %d\n%s", code, stderr)
	}
	code, report, stderr := bartizan(t, "scan", snapshot, "-o", "json", "--show", "pass")
	if code != cli.ExitFindings {
		t.Fatalf("scan: exit code %d, want %d\n%s", code, cli.ExitFindings, stderr)
	}
	if _, again, _ := bartizan(t, "scan", snapshot, "-o", "json", "--show", "pass"); again != report {
		t.Error("the same estate gives another report")
	}
	var doc struct{ Findings []finding.Finding }
	if err := json.Unmarshal([]byte(report), &doc); err != nil {
		t.Fatalf("read the report: %v", err)
	}
	status := func(control string, r resource) string {
		var all []string
		for _, x := range doc.Findings {
			if x.RuleID == control && r.is(x.Resource) {
				all = append(all, string(x.Status)+" "+x.Reason)
			}
		}
		if len(all) == 0 {
			return "nothing"
		}
		return strings.Join(all, "; ")
	}
	kinds := map[string]bool{}
	for _, e := range f.Expect {
		kinds[e.Control] = true
		for _, r := range e.Bad {
			if got := status(e.Control, r); !strings.HasPrefix(got, "fail") {
				t.Errorf("%s: the violation %v is not reported: %s", e.Control, r, got)
			}
		}
		for _, r := range e.Clean {
			if got := status(e.Control, r); strings.Contains(got, "fail") {
				t.Errorf("%s: the clean twin %v is reported: %s", e.Control, r, got)
			}
		}
	}
	t.Logf("%s", fmt.Sprintf("%d kinds of violation, %d expectations, %d findings", len(kinds), len(f.Expect), len(doc.Findings)))
}
