package finding_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/finding"
)

// of makes findings of one control: "critical fail fail pass".
func of(rule, spec string) []finding.Finding {
	words := strings.Fields(spec)
	var out []finding.Finding
	for _, s := range words[1:] {
		out = append(out, finding.Finding{RuleID: rule, Pillar: finding.PillarData, Severity: finding.Severity(words[0]), Status: finding.Status(s)})
	}
	return out
}

func TestScore(t *testing.T) {
	const none = -1
	for _, c := range []struct {
		name  string
		rules []string
		want  int
	}{
		{"all pass", []string{"high pass pass"}, 100},
		{"all fail", []string{"high fail"}, 0},
		{"half of the resources", []string{"high pass fail"}, 50},
		{"unknown is no pass", []string{"high pass unknown"}, 50},
		{"nothing but unknown is 0, not 100", []string{"high unknown"}, 0},
		{"a status that nobody knows is unknown", []string{"high pass odd"}, 50},
		{"muted is left out", []string{"high pass muted"}, 100},
		{"a control all of whose findings are muted weighs nothing", []string{"critical muted", "low pass fail"}, 50},
		{"nothing weighed, no score", []string{"critical muted"}, none},
		{"informational weighs nothing", []string{"informational fail", "low pass"}, 100},
		{"a critical control weighs ten low ones", []string{"critical pass", "low fail"}, 90},
		{"a control with many resources weighs no more than one with few", []string{"low pass pass pass pass pass pass pass pass pass", "low fail"}, 50},
		{"rounded down", []string{"low pass pass fail"}, 66},
		{"100 only if all pass", []string{"critical" + strings.Repeat(" pass", 500) + " fail"}, 99},
	} {
		var tally finding.Tally
		for i, spec := range c.rules {
			for _, f := range of(string(rune('a'+i)), spec) {
				tally.Add(&f)
			}
		}
		s := tally.Summary()
		got := none
		if s.Pillars[0].Score != nil {
			got = *s.Pillars[0].Score
		}
		if got != c.want {
			t.Errorf("%s: score %d, want %d", c.name, got, c.want)
		}
	}
}

func TestSummaryLeavesDetectionsOutOfScores(t *testing.T) {
	var tally finding.Tally
	tally.Add(&finding.Finding{RuleID: "control", Pillar: finding.PillarDetection, Severity: finding.SeverityLow, Status: finding.StatusPass})
	tally.Add(&finding.Finding{RuleID: "sigma", Severity: finding.SeverityCritical, Status: finding.StatusFail, Time: now})
	s := tally.Summary()
	if *s.Score != 100 || s.Fail != 1 || len(s.Pillars) != 1 || s.BySeverity[finding.SeverityCritical] != 1 {
		t.Errorf("summary %+v", s)
	}
}

// TestSummaryOrder: a summary does not depend on the order of the findings, and
// turning one more pass into a failure or unknown never raises the score.
func TestSummaryLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) finding.Finding {
			rule := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "rule")
			severity := map[string]finding.Severity{"a": finding.SeverityCritical, "b": finding.SeverityMedium, "c": finding.SeverityInformational}[rule]
			return finding.Finding{RuleID: rule, Severity: severity, Pillar: finding.PillarData,
				Status: rapid.SampledFrom([]finding.Status{finding.StatusFail, finding.StatusPass, finding.StatusUnknown, finding.StatusMuted}).Draw(rt, "status")}
		}), 1, 30).Draw(rt, "findings")
		sum := func() finding.Summary {
			var tally finding.Tally
			for i := range fs {
				tally.Add(&fs[i])
			}
			return tally.Summary()
		}
		before := sum()
		r := rand.New(rand.NewPCG(1, 2))
		r.Shuffle(len(fs), func(i, j int) { fs[i], fs[j] = fs[j], fs[i] })
		if diff := cmp.Diff(before, sum()); diff != "" {
			rt.Errorf("the order shows:\n%s", diff)
		}
		i := slices.IndexFunc(fs, func(f finding.Finding) bool { return f.Status == finding.StatusPass })
		if i < 0 {
			return
		}
		fs[i].Status = rapid.SampledFrom([]finding.Status{finding.StatusFail, finding.StatusUnknown}).Draw(rt, "worse")
		if after := sum(); before.Score != nil && *after.Score > *before.Score {
			rt.Errorf("score rises from %d to %d", *before.Score, *after.Score)
		}
	})
}

func TestCompare(t *testing.T) {
	want := []finding.Finding{
		{RuleID: "z", Status: finding.StatusFail, Pillar: finding.PillarIdentity, Severity: finding.SeverityCritical},
		{RuleID: "a", Status: finding.StatusFail, Pillar: finding.PillarIdentity, Severity: finding.SeverityLow, Resource: finding.Resource{Account: "1"}},
		{RuleID: "a", Status: finding.StatusFail, Pillar: finding.PillarIdentity, Severity: finding.SeverityLow, Resource: finding.Resource{Account: "2"}},
		{RuleID: "a", Status: finding.StatusFail, Pillar: finding.PillarResponse, Severity: finding.SeverityCritical},
		{RuleID: "a", Status: finding.StatusUnknown, Pillar: finding.PillarIdentity, Severity: finding.SeverityCritical},
		{RuleID: "a", Status: finding.StatusMuted, Pillar: finding.PillarIdentity, Severity: finding.SeverityCritical},
		{RuleID: "a", Status: finding.StatusPass, Pillar: finding.PillarIdentity, Severity: finding.SeverityCritical},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b finding.Finding) int { return finding.Compare(&a, &b) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBaseline(t *testing.T) {
	old := `{"report":{},"findings":[
		{"fingerprint":"same","ruleId":"r","status":"fail","severity":"high"},
		{"fingerprint":"fixed","ruleId":"r","status":"fail","severity":"low","title":"t","resource":{"type":"T","id":"i","arn":"arn"}},
		{"fingerprint":"gone","ruleId":"r","status":"fail","severity":"high","resource":{"type":"T","id":"i"}},
		{"fingerprint":"hidden","ruleId":"r","status":"fail","severity":"high"},
		{"fingerprint":"unmuted","ruleId":"r","status":"muted","severity":"high"},
		{"fingerprint":"unread","ruleId":"r","status":"fail","severity":"high"}]}`
	b, err := finding.ReadBaseline(strings.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		fingerprint string
		status      finding.Status
		want        finding.Change
	}{
		{"same", finding.StatusFail, finding.ChangeUnchanged},
		{"fixed", finding.StatusPass, ""},
		{"fresh", finding.StatusFail, finding.ChangeNew},
		{"unmuted", finding.StatusFail, finding.ChangeNew}, // its mute has expired
		{"hidden", finding.StatusMuted, ""},
		{"unread", finding.StatusUnknown, ""},
		{"other", finding.StatusPass, ""},
	} {
		f := finding.Finding{Fingerprint: c.fingerprint, Status: c.status}
		b.Mark(&f)
		if f.Change != c.want {
			t.Errorf("%s is %q, want %q", c.fingerprint, f.Change, c.want)
		}
	}
	want := &finding.BaselineCount{New: 2, Unchanged: 1,
		Fixed: []finding.Old{{Fingerprint: "fixed", RuleID: "r", Title: "t", Severity: finding.SeverityLow, Resource: "arn"}},
		Gone:  []finding.Old{{Fingerprint: "gone", RuleID: "r", Severity: finding.SeverityHigh, Resource: "i"}},
	}
	if diff := cmp.Diff(want, b.Result()); diff != "" {
		t.Error(diff)
	}
	if _, err := finding.ReadBaseline(strings.NewReader(`{"report":{},"findings":[{"ruleId":"r","status":"fail"}]}`)); err == nil || !strings.Contains(err.Error(), "no fingerprint") {
		t.Errorf("error %v, want one about the fingerprint", err)
	}
}

func TestSeverity(t *testing.T) {
	for in, want := range map[string]finding.Severity{"critical": finding.SeverityCritical, " HIGH ": finding.SeverityHigh, "info": finding.SeverityInformational} {
		if got, err := finding.ParseSeverity(in); err != nil || got != want {
			t.Errorf("ParseSeverity(%q) = %q, %v", in, got, err)
		}
	}
	if _, err := finding.ParseSeverity("bad"); err == nil || !strings.Contains(err.Error(), "want critical") {
		t.Errorf("error %v", err)
	}
	if finding.SeverityCritical.Rank() != 5 || finding.SeverityInformational.Rank() != 1 || finding.Severity("x").Rank() != 0 {
		t.Error("ranks changed")
	}
}

// TestFingerprint: parts are not run together, and the value is pinned, as
// baselines and mutes of users depend on it.
func TestFingerprint(t *testing.T) {
	if a, b := finding.Fingerprint("r", "ab", "c"), finding.Fingerprint("r", "a", "bc"); a == b {
		t.Error("ab+c and a+bc have one fingerprint")
	}
	if got := finding.Fingerprint("iam-root-mfa", "111122223333", "", "root"); got != "9fa02639ebede29c4fc08d9048cadc8f" {
		t.Errorf("fingerprint changed to %s", got)
	}
}
