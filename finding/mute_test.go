package finding_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/finding"
)

var now = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

func TestParseMutes(t *testing.T) {
	want := finding.Mute{Control: "s3-*", Resource: "arn:aws:s3:::acme-?ite", Account: "012345678901", Region: "eu-*", Tags: map[string]string{"env": "dev"},
		Reason: "rebuilt: from git", Owner: "web@acme.example", Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	for name, in := range map[string]string{
		"a list": `
- control: s3-*
  resource: arn:aws:s3:::acme-?ite
  account: 012345678901 # digits stay text, the leading zero too
  region: eu-*
  tags: {env: dev}
  reason: "rebuilt: from git"
  owner: web@acme.example
  expires: 2026-12-31
`,
		"under mutes": `
mutes:
  - control: "s3-*"
    resource: arn:aws:s3:::acme-?ite
    account: "012345678901"
    region: eu-*
    tags:
      env: dev
    reason: >-
      rebuilt: from git
    owner: web@acme.example
    expires: 2027-01-01T01:00:00+01:00
`,
		"JSON": `{"mutes": [{"control": "s3-*", "resource": "arn:aws:s3:::acme-?ite", "account": "012345678901", "region": "eu-*",
			"tags": {"env": "dev"}, "reason": "rebuilt: from git", "owner": "web@acme.example", "expires": "2026-12-31"}]}`,
	} {
		got, err := finding.ParseMutes("m.yaml", []byte(in))
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		g := got[0]
		if g.Control != want.Control || g.Resource != want.Resource || g.Account != want.Account || g.Region != want.Region ||
			g.Tags["env"] != "dev" || len(g.Tags) != 1 || g.Reason != want.Reason || g.Owner != want.Owner || !g.Expires.Equal(want.Expires) {
			t.Errorf("%s: got %+v", name, g)
		}
	}
	for _, empty := range []string{"", "# nothing\n", "[]", "mutes:\n", "mutes: []", "null"} {
		if got, err := finding.ParseMutes("m", []byte(empty)); err != nil || len(got) != 0 {
			t.Errorf("%q: %v, %v; want no mutes", empty, got, err)
		}
	}
}

func TestParseMutesRefuses(t *testing.T) {
	const good = "- control: a\n  reason: r\n  owner: o\n  expires: 2027-01-01\n"
	for _, c := range []struct{ name, in, want string }{
		{"no reason", good + "- control: b\n  owner: o\n  expires: 2027-01-01\n", `m.yaml:5:3: the rule has no "reason"`},
		{"no owner", "- control: b\n  reason: o\n  expires: 2027-01-01\n", `m.yaml:1:3: the rule has no "owner"`},
		{"no expiry: a mute must not be for ever", "- control: b\n  reason: o\n  owner: o\n", `m.yaml:1:3: the rule has no "expires"`},
		{"an empty reason", "- control: b\n  reason: ''\n  owner: o\n", `m.yaml:2:3: "reason" is empty`},
		{"no selector would mute everything", "- reason: r\n  owner: o\n  expires: 2027-01-01\n", "m.yaml:1:3: the rule selects nothing"},
		{"a date that is none", "- control: b\n  reason: r\n  owner: o\n  expires: next week\n", `m.yaml:4:12: expires "next week": want a date`},
		{"a day that is none", "- control: b\n  reason: r\n  owner: o\n  expires: 2027-02-30\n", "m.yaml:4:12: expires"},
		{"a misspelt member", "- kontrol: b\n  reason: r\n", `m.yaml:1:3: unknown member "kontrol"`},
		{"a member twice", "- control: b\n  control: c\n", "m.yaml:2:3: "},
		{"tags as a list", "- control: b\n  tags: [a]\n", "m.yaml:2:9: tags: want a mapping"},
		{"a value of another shape", "- control: [b]\n", "m.yaml:1:12: want plain text"},
		{"a word", "hello", "m.yaml:1:1: want a list"},
		{"a mapping of something else", "rules:\n  - a\n", `m.yaml:1:1: unknown member "rules"`},
		{"a rule that is a word", good + "- hello\n", "m.yaml:5:3: want a rule"},
		{"broken YAML", "- control: 'b\n  reason: r\n", "m.yaml:1:12: not YAML"},
		{"two documents", good + "---\n" + good, "want one document"},
		{"brackets without end", strings.Repeat("[", 5000), "m.yaml:1:1: nested too deep"},
		{"dashes without end", strings.Repeat("- ", 500), "m.yaml:1:1: nested too deep"},
		{"an indent without end", "a:\n" + strings.Repeat(" ", 5000) + "b: c\n", "m.yaml:2:1: nested too deep"},
		{"too large", strings.Repeat("# filler\n", 1<<20), "larger than 1048576 bytes"},
		{"a line without end", strings.Repeat(`"a" `, 30000), "m.yaml:1:1: the lines are too long"},
		{"dashes on lines of their own", strings.Repeat("-\n", 20000), "m.yaml:10001:1: too many empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := finding.ParseMutes("m.yaml", []byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "m.yaml") {
				t.Errorf("error %v, want m.yaml and %q", err, c.want)
			}
		})
	}
}

func TestMuteMatches(t *testing.T) {
	f := finding.Finding{RuleID: "s3-versioning", Fingerprint: "abc", Resource: finding.Resource{
		ID: "acme-site", ARN: "arn:aws:s3:::acme-site", Account: "111122223333", Region: "eu-west-1", Tags: map[string]string{"env": "dev"}}}
	for _, c := range []struct {
		name string
		m    finding.Mute
		want bool
	}{
		{"a control", finding.Mute{Control: "s3-versioning"}, true},
		{"another control", finding.Mute{Control: "s3-version"}, false},
		{"a star takes anything", finding.Mute{Control: "s3-*"}, true},
		{"a star takes nothing as well", finding.Mute{Control: "s3-versioning*"}, true},
		{"a question mark takes one character", finding.Mute{Control: "s?-versioning"}, true},
		{"and not none", finding.Mute{Control: "s3-versioning?"}, false},
		{"case counts", finding.Mute{Control: "S3-versioning"}, false},
		{"a resource by id", finding.Mute{Resource: "acme-site"}, true},
		{"a resource by ARN", finding.Mute{Resource: "arn:aws:s3:::acme-*"}, true},
		{"two stars", finding.Mute{Resource: "*:acme-*"}, true},
		{"not part of a resource", finding.Mute{Resource: "site"}, false},
		{"an account", finding.Mute{Account: "1111*"}, true},
		{"another account", finding.Mute{Account: "2222*"}, false},
		{"a region", finding.Mute{Region: "eu-*"}, true},
		{"a fingerprint", finding.Mute{Fingerprint: "abc"}, true},
		{"a fingerprint has no wildcards", finding.Mute{Fingerprint: "ab*"}, false},
		{"a tag", finding.Mute{Tags: map[string]string{"env": "d*"}}, true},
		{"a tag it has not", finding.Mute{Tags: map[string]string{"team": "*"}}, false},
		{"all selectors must match", finding.Mute{Control: "s3-*", Region: "us-*"}, false},
	} {
		if got := c.m.Matches(&f); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestMuter(t *testing.T) {
	m := finding.NewMuter([]finding.Mute{
		{Control: "a", Owner: "o", Expires: now.Add(time.Nanosecond), Line: 1},
		{Control: "a", Owner: "second", Expires: now.AddDate(1, 0, 0), Line: 5},
		{Control: "b", Owner: "o", Expires: now, Line: 9},
		{Control: "gone", Owner: "o", Expires: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Line: 13},
		{Control: "c", Owner: "o", Expires: now.AddDate(1, 0, 0), Line: 17},
		{Control: "nothing", Tags: map[string]string{"b": "2", "a": "1"}, Owner: "o", Expires: now.AddDate(1, 0, 0)},
	}, now)
	for _, c := range []struct {
		rule         string
		status, want finding.Status
	}{
		{"a", finding.StatusFail, finding.StatusMuted},
		{"a", finding.StatusUnknown, finding.StatusMuted},
		{"a", finding.StatusPass, finding.StatusPass}, // what passes needs no mute
		{"b", finding.StatusFail, finding.StatusFail}, // the mute has expired
		{"c", finding.StatusPass, finding.StatusPass},
	} {
		f := finding.Finding{RuleID: c.rule, Status: c.status}
		m.Apply(&f)
		if f.Status != c.want || (f.Mute != nil) != (c.want == finding.StatusMuted) {
			t.Errorf("%s %s becomes %s with %v, want %s", c.rule, c.status, f.Status, f.Mute, c.want)
		}
		if f.Mute != nil && f.Mute.Line != 1 {
			t.Errorf("muted by line %d, want the first rule that matches", f.Mute.Line)
		}
	}
	want := []string{
		"mute on line 9 (control b) expired on 2026-11-20; 1 finding that it no longer mutes; renew it or fix them (owner o)",
		"mute on line 13 (control gone) expired on 2026-10-31 and matches nothing that fails; remove it (owner o)",
		"mute on line 17 (control c) matches only what passes; remove it (owner o)",
		"mute 6 (control nothing, tag a=1, tag b=2) matches nothing; check it for a mistake or remove it (owner o)",
	}
	if got := m.Warnings(); !slices.Equal(got, want) {
		t.Errorf("warnings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func FuzzParseMutes(f *testing.F) {
	f.Add("- control: a\n  reason: r\n  owner: o\n  expires: 2027-01-01\n")
	f.Add(`{"mutes":[{"tags":{"a":"b"}}]}`)
	f.Add("- - - ? [ { &a *a !t |\n  x\n")
	f.Fuzz(func(t *testing.T, in string) {
		mutes, err := finding.ParseMutes("m", []byte(in))
		if err != nil {
			return
		}
		for _, m := range mutes {
			if m.Reason == "" || m.Owner == "" || m.Expires.IsZero() {
				t.Errorf("a rule is not whole: %+v", m)
			}
		}
	})
}
