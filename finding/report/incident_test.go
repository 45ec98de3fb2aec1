package report_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// withIncidents is a result with an incident that has everything, hostile values
// and too many steps, and one that has next to nothing.
func withIncidents() *report.Result {
	all := &finding.Incident{ID: "0123456789abcdef0123456789abcdef", Title: "Trail deleted, by " + hostile, Severity: finding.SeverityCritical, Start: at, End: at.Add(26 * time.Hour),
		Actor: "arn:aws:iam::111122223333:user/bob", Account: "111122223333", Because: []string{"the worst alert is high", "raised to critical: " + hostile}, Hints: []string{hostile},
		Reach: []finding.Reach{{Principal: "p", Answer: "administrator", Reason: hostile}}, Tactics: []string{"initial-access", hostile}, Techniques: []string{"T1562.008", "T1078"}, Alerts: 300, Cut: 7,
		Sessions:   []finding.SessionLink{{From: "arn:aws:iam::111122223333:user/bob", To: "arn:aws:sts::111122223333:assumed-role/ops/" + hostile, How: "AssumeRole", Proof: "access key " + hostile, EventID: hostile, Time: at}, {From: "unknown", To: hostile, How: "who opened the session is not in the logs"}},
		Principals: []finding.Entity{{Name: hostile, Count: 3}, {Name: "x", Count: 1}}, AccessKeys: []finding.Entity{{Name: hostile, Count: 3}}, Addresses: []finding.Entity{{Name: hostile, Count: 3}}, EventIDs: []string{"e-1"}}
	for i := range 60 {
		all.Timeline = append(all.Timeline, finding.IncidentStep{Time: at.Add(time.Duration(i) * 20 * time.Minute), Last: at.Add(time.Duration(i) * 20 * time.Minute), Count: i + 1, RuleID: fmt.Sprint("rule-", i%3), Title: "A trail was stopped " + hostile,
			Severity: finding.Severities()[i%5], Tactics: []string{"defense-evasion"}, Techniques: []string{"T1562.008"}, Actor: hostile, Source: hostile, Resource: finding.Resource{Type: "AWS::S3::Bucket", ID: hostile}, Error: hostile, EventIDs: []string{fmt.Sprint("e-", i)}, Reach: hostile})
	}
	r := result(sample())
	r.Incidents = []*finding.Incident{all, {ID: "f", Title: "t", Severity: finding.SeverityLow, Start: at, End: at, Because: []string{}, Tactics: []string{}, Techniques: []string{}, EventIDs: []string{}}}
	r.Alone = []report.Alone{{Finding: &sample()[7], Count: 3, Note: hostile}}
	return r
}

func writeIncidents(t testing.TB, format string, width int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := report.New(format, &b, run, report.Options{Width: width})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sample() {
		if err := w.Write(&f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(withIncidents()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestIncidents: incidents are in the formats that have a place for them, and
// hostile values do no harm there.
func TestIncidents(t *testing.T) {
	for _, format := range []string{"table", "markdown", "html", "json", "ocsf"} {
		out := string(writeIncidents(t, format, 80))
		if !strings.Contains(out, "raised to critical") || !strings.Contains(out, "0123456789abcdef0123456789abcdef") && format != "markdown" {
			t.Errorf("%s does not show the incident", format)
		}
		if format == "html" && strings.Contains(out, "<script>alert") {
			t.Error("html lets markup through")
		}
		for i, r := range out {
			if (format == "table" || format == "markdown") && r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') {
				t.Errorf("%s: byte %d is %U", format, i, r)
				break
			}
		}
		if !bytes.Equal([]byte(out), writeIncidents(t, format, 80)) {
			t.Errorf("%s differs from run to run", format)
		}
	}
	for _, width := range []int{40, 60, 80, 132} {
		for n, line := range strings.Split(string(writeIncidents(t, "table", width)), "\n") {
			if got := report.Columns(line); got > width {
				t.Errorf("width %d: line %d has %d columns: %q", width, n+1, got, line)
			}
		}
	}
	if out := string(writeIncidents(t, "table", 80)); strings.Contains(out, "DETECTIONS  ") && !strings.Contains(out, "OTHER DETECTIONS") {
		t.Error("the table lists detections twice")
	}
}

// TestIncidentSchemas: an incident is a valid Incident Finding of OCSF, and the
// html report holds nothing foreign.
func TestIncidentSchemas(t *testing.T) {
	python := venv(t)
	for format, n := range map[string]int{"ocsf": len(sample()) + 2, "html": len(sample())} {
		cmd := exec.Command(python, filepath.Join("testdata", "validate.py"), format)
		cmd.Stdin = bytes.NewReader(writeIncidents(t, format, 80))
		out, err := cmd.CombinedOutput()
		if want := fmt.Sprintf("checked %d\n", n); err != nil || string(out) != want {
			t.Errorf("%s: %v: got %q, want %q", format, err, out, want)
		}
	}
}
