package incident_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect/incident"
	"github.com/bartizan-security/bartizan/finding"
)

const suppressions = `
- rule: secret_*
  actor: "arn:aws:iam::*:role/app"
  reason: the app reads its secrets
  owner: app@acme.example
  expires: 2026-12-31
- source: 192.0.2.0/24
  account: 111122223333
  reason: scanner
  owner: sec@acme.example
  expires: 2026-03-02T09:00:00Z
- resource: nothing
  reason: r
  owner: o
  expires: 2026-12-31
`

func TestSuppress(t *testing.T) {
	list, err := incident.ParseSuppressions("known.yml", []byte(suppressions))
	if err != nil {
		t.Fatal(err)
	}
	alert := func() *finding.Finding {
		return &finding.Finding{RuleID: "secret_read", Status: finding.StatusFail, Actor: "arn:aws:sts::111122223333:assumed-role/app/s", Resource: finding.Resource{Account: "111122223333", ID: "x"},
			Evidence: []finding.Evidence{{Path: "userIdentity.sessionContext.sessionIssuer.arn", Value: "arn:aws:iam::111122223333:role/app"}}}
	}
	for _, c := range []struct {
		name   string
		change func(*finding.Finding)
		source string
		now    time.Time
		muted  string
	}{
		{"rule and role match", func(*finding.Finding) {}, "", start, "the app reads its secrets"},
		{"another rule", func(f *finding.Finding) { f.RuleID = "trail_deleted" }, "", start, ""},
		{"another role", func(f *finding.Finding) { f.Evidence = nil }, "", start, ""},
		{"the address, before the end", func(f *finding.Finding) { f.RuleID = "x" }, "192.0.2.77", start.Add(-time.Second), "scanner"},
		{"the address, at the end", func(f *finding.Finding) { f.RuleID = "x" }, "192.0.2.77", start, ""},
		{"another address", func(f *finding.Finding) { f.RuleID = "x" }, "192.0.3.1", start.Add(-time.Second), ""},
		{"an actor that is an address, in IPv6 form", func(f *finding.Finding) { f.RuleID, f.Actor = "x", "::ffff:192.0.2.9" }, "", start.Add(-time.Second), "scanner"},
		{"another account", func(f *finding.Finding) { f.RuleID, f.Resource.Account = "x", "4" }, "192.0.2.77", start.Add(-time.Second), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := alert()
			c.change(f)
			incident.NewSuppressor(list, c.now).Apply(f, c.source)
			if got := f.Mute; (got != nil) != (c.muted != "") || got != nil && got.Reason != c.muted || (f.Status == finding.StatusMuted) != (c.muted != "") {
				t.Errorf("status %s, mute %+v, want %q", f.Status, f.Mute, c.muted)
			}
		})
	}
	s := incident.NewSuppressor(list, start)
	f := alert()
	s.Apply(f, "192.0.2.77")
	warnings := strings.Join(s.Warnings(), "\n")
	if s.Count != 1 || !strings.Contains(warnings, "suppression 2 of known.yml (account 111122223333, source 192.0.2.0/24) expired on 2026-03-02; 1 finding is shown again") || !strings.Contains(warnings, "suppression 3 of known.yml (resource nothing) matches nothing") {
		t.Errorf("count %d, warnings:\n%s", s.Count, warnings)
	}
}

func TestSuppressionMistakes(t *testing.T) {
	whole := "- {rule: r, reason: x, owner: o, expires: 2026-12-31}"
	for src, want := range map[string]string{
		whole: "",
		"":    "",
		strings.Replace(whole, "rule: r, ", "", 1):                       "selects nothing",
		strings.Replace(whole, "reason: x, ", "", 1):                     "needs reason, owner and expires",
		strings.Replace(whole, "2026-12-31", "soon", 1):                  "want a date",
		strings.Replace(whole, "rule: r", "source: 300.1.1.1", 1):        "want an address or a range",
		strings.Replace(whole, "rule: r", "rules: r", 1):                 "want a list of entries",
		strings.Repeat("[", 2000):                                        "nested too deep",
		"- rule: " + strings.Repeat("x", 100000):                         "the lines are too long",
		strings.Repeat(" ", 2000) + "- rule: x":                          "nested too deep",
		"- {rule: r, reason: \"\", owner: o, expires: 2026-12-31}":       "needs reason",
		"- {rule: r, reason: x, owner: o, expires: 2026-12-31, rule: s}": "already defined",
	} {
		_, err := incident.ParseSuppressions("f", []byte(src))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", src, err, want)
		}
	}
}

func TestAutomationMistakes(t *testing.T) {
	for src, want := range map[string]string{
		"- {id: a, reason: r, role: x}": "",
		"- {id: a, reason: r}":          "matches everything",
		"- {id: a, role: x}":            "no reason",
		"- {id: a, reason: r, role: x}\n- {id: a, reason: r, role: y}": "twice",
		"- {id: a, reason: r, role: '[a'}":                             "only * and ?",
		"- {id: a, reason: r, agent: x}":                               "agent",
	} {
		_, err := incident.ParseAutomation("f", []byte(src))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

func FuzzParseSuppressions(f *testing.F) {
	f.Add([]byte(suppressions))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := incident.ParseSuppressions("f", data)
		if err != nil {
			return
		}
		s := incident.NewSuppressor(list, start)
		s.Apply(&finding.Finding{Status: finding.StatusFail}, "192.0.2.1")
		s.Warnings()
	})
}
