package catalog_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

const techniquesFile = "testdata/techniques.yml"

// techniqueFile is testdata/techniques.yml, whose head explains each member.
type techniqueFile struct {
	Principals map[string]caller `yaml:"principals"`
	Everyone   []string          `yaml:"everyone"`
	Denied     []string          `yaml:"denied"`
	Shared     any               `yaml:"shared,omitempty"` // pieces that the plays refer to
	Techniques []technique       `yaml:"techniques"`
}

type caller struct {
	Says      string         `yaml:"says"`
	Partition string         `yaml:"partition,omitempty"`
	Region    string         `yaml:"region,omitempty"`
	Address   string         `yaml:"address"`
	Agent     string         `yaml:"agent"`
	Identity  map[string]any `yaml:"identity"`
	Event     map[string]any `yaml:"event,omitempty"`
}

type technique struct {
	Name    string   `yaml:"technique"`
	Named   []string `yaml:"named"`
	Refused []string `yaml:"refused,omitempty"`
	As      []string `yaml:"as,omitempty"`
	Lower   []lower  `yaml:"lower,omitempty"`
	Plays   []play   `yaml:"plays"`
}

type play struct {
	Says  string   `yaml:"says"`
	As    []string `yaml:"as,omitempty"`
	Lower []lower  `yaml:"lower,omitempty"` // before the technique's
	// Undenied is the reason for which the play is not played as refused.
	Undenied string `yaml:"undenied,omitempty"`
	Steps    []step `yaml:"steps"`
}

type lower struct {
	As       []string         `yaml:"as"`
	Severity finding.Severity `yaml:"severity"`
	Why      string           `yaml:"why"`
}

// untold is the severity of what no rule tells of, knowingly.
const untold finding.Severity = "none"

type step struct {
	Call     string         `yaml:"call,omitempty"`
	Request  any            `yaml:"request,omitempty"`
	Response any            `yaml:"response,omitempty"`
	Error    string         `yaml:"error,omitempty"`
	Data     bool           `yaml:"data,omitempty"`
	Region   string         `yaml:"region,omitempty"`
	Event    map[string]any `yaml:"event,omitempty"`
	After    *int           `yaml:"after,omitempty"` // seconds since the call before; 2 if not given
	Times    int            `yaml:"times,omitempty"`
	Steps    []step         `yaml:"steps,omitempty"` // instead of a call
}

// TestTechniques plays every technique of testdata/techniques.yml as every
// principal of whom that makes sense, each time long after the time before: a
// rule that names the technique must tell of it.
func TestTechniques(t *testing.T) {
	src, err := os.ReadFile(techniquesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file techniqueFile
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&file); err != nil {
		t.Fatalf("%s: %v", techniquesFile, err)
	}
	engine := pack(t)
	seen, played := map[string]bool{}, map[string]bool{}
	for _, te := range file.Techniques {
		if seen[te.Name] {
			t.Errorf("%s stands in %s twice", te.Name, techniquesFile)
		}
		seen[te.Name] = true
		t.Run(te.Name, func(t *testing.T) {
			for _, word := range slices.Concat(te.Named, te.Refused) {
				if !slices.ContainsFunc(engine.Rules(), func(r *sigma.Rule) bool { return names(r, word) }) {
					t.Errorf("no rule is named by %q", word)
				}
			}
			if len(te.Named) == 0 || len(te.Plays) == 0 {
				t.Error("the technique needs named and plays")
			}
			var showings []showing
			for _, p := range te.Plays {
				showings = append(showings, file.showings(t, te, p)...)
			}
			for _, s := range showings {
				played[s.who] = true
			}
			file.run(t, engine, showings)
		})
	}
	for _, r := range recorded {
		if !seen[r.technique] {
			t.Errorf("%s does not play %s", techniquesFile, r.technique)
		}
	}
	for who := range file.Principals {
		if !played[who] {
			t.Errorf("nothing is played as %s", who)
		}
	}
}

// showing is a play as one principal, and what must come of it: a match of a
// rule that one of the words names, of at least that severity, or of just that.
type showing struct {
	title   string
	who     string
	steps   []step
	denied  bool // all calls are refused
	named   []string
	least   finding.Severity
	exactly bool
}

// showings are a play as all its principals, and as refused.
func (f *techniqueFile) showings(t *testing.T, te technique, p play) []showing {
	as := f.Everyone
	if te.As != nil {
		as = te.As
	}
	if p.As != nil {
		as = p.As
	}
	lowered := slices.Concat(p.Lower, te.Lower)
	for _, l := range lowered {
		_, err := finding.ParseSeverity(string(l.Severity))
		if l.Why == "" || len(l.As) == 0 || err != nil && l.Severity != untold || l.Severity.Rank() >= finding.SeverityMedium.Rank() {
			t.Errorf("%s: what is lower needs principals, a reason and a severity under medium: %+v", p.Says, l)
		}
	}
	var out []showing
	for _, who := range as {
		s := showing{title: p.Says + ", as " + who, who: who, steps: p.Steps, named: te.Named, least: finding.SeverityMedium}
		if i := slices.IndexFunc(lowered, func(l lower) bool { return slices.Contains(l.As, who) }); i >= 0 {
			s.least, s.exactly = lowered[i].Severity, true
		}
		out = append(out, s)
	}
	for _, who := range f.Denied {
		if p.Undenied == "" && slices.Contains(as, who) {
			out = append(out, showing{title: p.Says + ", as " + who + ", denied", who: who, steps: p.Steps, denied: true,
				named: slices.Concat(te.Named, te.Refused), least: finding.SeverityLow})
		}
	}
	return out
}

// run plays all showings one after the other, a month apart, so that none is
// seen together with another.
func (f *techniqueFile) run(t *testing.T, engine *sigma.Engine, showings []showing) {
	t.Helper()
	s := script{now: time.Date(2020, 3, 4, 9, 0, 0, 0, time.UTC)}
	for i, show := range showings {
		c, ok := f.Principals[show.who]
		if !ok {
			t.Fatalf("%s: there is no such principal", show.title)
		}
		s.now = s.now.AddDate(0, 1, 0)
		s.number, s.caller, s.denied = i, c, show.denied
		if err := s.play(show.steps, 0); err != nil {
			t.Fatalf("%s: %v", show.title, err)
		}
	}
	best, matched := make([]finding.Severity, len(showings)), make([]map[string]bool, len(showings))
	for i := range showings {
		best[i], matched[i] = untold, map[string]bool{}
	}
	sources := []logs.Source{logs.FromReader(t.Name(), &s.out)}
	stats, err := detect.Run(context.Background(), sources, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
		i, severity := -1, m.Finding.Severity
		for _, id := range m.Finding.EventIDs {
			var k int
			if _, err := fmt.Sscanf(id, "%x-", &k); err != nil || i >= 0 && i != k {
				return fmt.Errorf("%s matches events of several plays: %v", m.Rule.Key(), m.Finding.EventIDs)
			}
			i = k
		}
		if i < 0 {
			return fmt.Errorf("%s matches no event", m.Rule.Key())
		}
		if slices.ContainsFunc(showings[i].named, func(word string) bool { return names(m.Rule, word) }) && (best[i] == untold || severity.Rank() > best[i].Rank()) {
			best[i] = severity
		}
		matched[i][fmt.Sprintf("%s (%s)", m.Rule.Key(), severity)] = true
		return nil
	})
	if err != nil || stats.Malformed > 0 || stats.Events != int64(s.n) {
		t.Fatalf("%d events read of %d, %d malformed: %v", stats.Events, s.n, stats.Malformed, err)
	}
	for i, show := range showings {
		switch all := slices.Sorted(maps.Keys(matched[i])); {
		case show.exactly && best[i] != show.least:
			t.Errorf("%s: it is said to be of severity %s, and is of severity %s; matched: %v", show.title, show.least, best[i], all)
		case best[i] == untold && show.least != untold, best[i].Rank() < show.least.Rank():
			t.Errorf("%s: no rule that names it tells of it with severity %s or worse; matched: %v", show.title, show.least, all)
		}
	}
}

// names says whether a rule names what the word does: by its name, its title or
// a technique of ATT&CK.
func names(r *sigma.Rule, word string) bool {
	word = strings.ToLower(word)
	return strings.Contains(strings.ToLower(r.Name), word) || strings.Contains(strings.ToLower(r.Title), word) ||
		slices.ContainsFunc(r.Techniques(), func(t string) bool { return strings.EqualFold(t, word) })
}

// script writes the records of plays.
type script struct {
	number int // of the play
	caller caller
	denied bool
	now    time.Time
	n      int
	out    bytes.Buffer
}

func (s *script) play(steps []step, n int) error {
	for _, st := range steps {
		for i := range max(st.Times, 1) {
			// Within a group that is repeated, $n is the number of the group.
			k := n
			if st.Times > 0 {
				k = i
			}
			if len(st.Steps) > 0 {
				if err := s.play(st.Steps, k); err != nil {
					return err
				}
			} else if err := s.call(st, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// call writes one record as CloudTrail would.
func (s *script) call(st step, n int) error {
	service, name, ok := strings.Cut(st.Call, ":")
	if !ok {
		return fmt.Errorf("call %q is not service:Operation", st.Call)
	}
	after := 2
	if st.After != nil {
		after = *st.After
	}
	s.now = s.now.Add(time.Duration(after) * time.Second)
	s.n++
	region := cmp.Or(st.Region, s.caller.Region, "us-east-1")
	if st.Region == "" && s.caller.Partition == "" && (service == "iam" || service == "organizations") {
		region = "us-east-1"
	}
	category := "Management"
	if st.Data {
		category = "Data"
	}
	record := map[string]any{
		"eventVersion": "1.11", "userIdentity": s.caller.Identity, "eventTime": s.now.Format(time.RFC3339),
		"eventSource": service + ".amazonaws.com", "eventName": name, "awsRegion": region,
		"sourceIPAddress": s.caller.Address, "userAgent": s.caller.Agent,
		"requestParameters": st.Request, "responseElements": st.Response,
		"requestID": fmt.Sprintf("0b5c1f60-0000-4000-8000-%012d", s.n), "eventID": fmt.Sprintf("%08x-0000-4000-8000-%012d", s.number, s.n),
		"readOnly": readOnly(name), "eventType": "AwsApiCall", "managementEvent": !st.Data, "eventCategory": category,
		"recipientAccountId": "111122223333",
	}
	maps.Copy(record, s.caller.Event)
	maps.Copy(record, st.Event)
	code := st.Error
	if s.denied {
		code = deniedCode(service)
	}
	if code != "" {
		record["errorCode"], record["errorMessage"], record["responseElements"] = code, "The caller is not authorized to perform: "+st.Call, nil
	}
	filled, err := s.fill(record, n, region)
	if err != nil {
		return err
	}
	line, err := json.Marshal(filled)
	s.out.Write(append(line, '\n'))
	return err
}

// fill replaces the placeholders in all texts of a value.
func (s *script) fill(v any, n int, region string) (any, error) {
	switch v := v.(type) {
	case string:
		var err error
		text := os.Expand(v, func(name string) string {
			switch name {
			case "n":
				return fmt.Sprintf("%04x", n)
			case "account":
				return "111122223333"
			case "other":
				return "444455556666"
			case "partition":
				return cmp.Or(s.caller.Partition, "aws")
			case "region":
				return region
			case "$":
				return "$"
			}
			err = fmt.Errorf("there is no placeholder $%s: %s", name, v)
			return ""
		})
		return text, err
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			filled, err := s.fill(member, n, region)
			if err != nil {
				return nil, err
			}
			out[key] = filled
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, member := range v {
			filled, err := s.fill(member, n, region)
			if err != nil {
				return nil, err
			}
			out[i] = filled
		}
		return out, nil
	}
	return v, nil
}

func readOnly(name string) bool {
	return slices.ContainsFunc([]string{"Get", "List", "Describe", "BatchGet", "Lookup", "InvokeModel"}, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// deniedCode is the error code with which a service refuses.
func deniedCode(service string) string {
	switch service {
	case "ec2":
		return "Client.UnauthorizedOperation"
	case "iam", "sts", "s3", "rds", "cloudtrail", "ses":
		return "AccessDenied"
	}
	return "AccessDeniedException"
}
