package report

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/bartizan-security/bartizan/finding"
)

// sarifWriter writes SARIF 2.1.0: results as they come, then the rules.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type sarifWriter struct {
	e     *encoder
	run   Run
	n     int
	rules []sarifRule
	index map[string]int
}

// The types hold what is written, no more: the empty members that a general
// SARIF library writes double the size of a report.
type (
	sarifText struct {
		Text     string `json:"text"`
		Markdown string `json:"markdown,omitempty"`
	}
	sarifRule struct {
		ID                   string         `json:"id"`
		Name                 string         `json:"name"`
		ShortDescription     sarifText      `json:"shortDescription"`
		FullDescription      *sarifText     `json:"fullDescription,omitempty"`
		Help                 *sarifText     `json:"help,omitempty"`
		DefaultConfiguration map[string]any `json:"defaultConfiguration"`
		Properties           map[string]any `json:"properties"`
	}
	sarifLogical struct {
		Name               string `json:"name"`
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
		Logical []sarifLogical `json:"logicalLocations"`
	}
	sarifResult struct {
		RuleID              string              `json:"ruleId"`
		RuleIndex           int                 `json:"ruleIndex"`
		Kind                string              `json:"kind"`
		Level               string              `json:"level"`
		Message             sarifText           `json:"message"`
		Locations           []sarifLocation     `json:"locations"`
		Fingerprints        map[string]string   `json:"fingerprints"`
		PartialFingerprints map[string]string   `json:"partialFingerprints"`
		BaselineState       string              `json:"baselineState,omitempty"`
		Suppressions        []map[string]string `json:"suppressions,omitempty"`
		Properties          map[string]any      `json:"properties,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
)

func newSARIF(w io.Writer, run Run, _ Options) Writer {
	s := &sarifWriter{e: newEncoder(w, false), run: run, index: map[string]int{}}
	s.e.text("{\n\"$schema\":\"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json\",\n" +
		"\"version\":\"2.1.0\",\n\"runs\":[{\n\"results\":[")
	return s
}

func (s *sarifWriter) Write(f *finding.Finding) error {
	if s.n > 0 {
		s.e.text(",")
	}
	s.n++
	s.e.text("\n")
	r := sarifResult{RuleID: f.RuleID, RuleIndex: s.rule(f), Kind: "fail", Level: sarifLevel(f.Severity),
		Locations:           []sarifLocation{sarifPlace(&f.Resource)},
		Fingerprints:        map[string]string{"bartizan/v1": f.Fingerprint},
		PartialFingerprints: map[string]string{"primaryLocationLineHash": f.Fingerprint},
	}
	switch f.Status {
	case finding.StatusPass:
		r.Kind, r.Level = "pass", "none"
	case finding.StatusUnknown: // not enough information to decide
		r.Kind, r.Level = "open", "none"
	case finding.StatusMuted:
		r.Suppressions = []map[string]string{{"kind": "external", "status": "accepted", "justification": Plain(why(f))}}
	}
	// The title is the rule's; it may say what should be rather than what is.
	r.Message.Text = sarifMessage(cmp.Or(f.Reason, f.Title) + " (" + resourceName(&f.Resource) + ")")
	switch f.Change {
	case finding.ChangeNew, finding.ChangeUnchanged:
		r.BaselineState = string(f.Change)
	}
	props := map[string]any{"severity": f.Severity, "status": f.Status}
	for name, v := range map[string]string{"account": f.Resource.Account, "region": f.Resource.Region, "resourceType": f.Resource.Type,
		"arn": f.Resource.ARN, "actor": f.Actor, "time": stamp(f.Time)} {
		if v != "" {
			props[name] = v
		}
	}
	if len(f.Evidence) > 0 {
		evidence := make([]string, len(f.Evidence))
		for i, e := range f.Evidence {
			evidence[i] = evidenceText(e, 4<<10)
		}
		props["evidence"] = evidence
	}
	if len(f.EventIDs) > 0 {
		props["eventIds"] = f.EventIDs
	}
	if len(f.Techniques) > 0 {
		props["techniques"] = f.Techniques
	}
	r.Properties = props
	s.e.value(r)
	return s.e.err
}

func (s *sarifWriter) rule(f *finding.Finding) int {
	if i, ok := s.index[f.RuleID]; ok {
		return i
	}
	tags := []string{"security", "aws"}
	if f.Pillar != "" {
		tags = append(tags, string(f.Pillar))
	}
	for _, t := range f.Techniques {
		tags = append(tags, "attack."+strings.ToLower(t))
	}
	r := sarifRule{ID: f.RuleID, Name: f.RuleID, ShortDescription: sarifText{Text: cmp.Or(f.Title, f.RuleID)},
		DefaultConfiguration: map[string]any{"level": sarifLevel(f.Severity)},
		Properties:           map[string]any{"tags": unique(append(tags, frameworkIDs(f.Frameworks)...)), "security-severity": securitySeverity(f.Severity)},
	}
	if f.Why != "" {
		r.FullDescription = &sarifText{Text: f.Why}
	}
	if f.Fix != nil {
		r.Help = &sarifText{Text: fixText(f.Fix), Markdown: fixMarkdown(f.Fix)}
	}
	s.index[f.RuleID] = len(s.rules)
	s.rules = append(s.rules, r)
	return len(s.rules) - 1
}

func (s *sarifWriter) Close(r *Result) error {
	rules := s.rules
	if rules == nil {
		rules = []sarifRule{}
	}
	notes := []sarifNotification{}
	for _, g := range groupGaps(r.Gaps) {
		notes = append(notes, sarifNotification{"warning", sarifText{Text: sarifMessage(gapText(g))}})
	}
	for _, text := range r.Incomplete {
		notes = append(notes, sarifNotification{"warning", sarifText{Text: sarifMessage(text)}})
	}
	s.e.text("\n],\n\"tool\":{\"driver\":")
	s.e.value(map[string]any{"name": "bartizan", "version": s.run.Version, "informationUri": "https://github.com/bartizan-security/bartizan", "rules": rules})
	s.e.text("},\n\"automationDetails\":")
	s.e.value(map[string]string{"id": "bartizan/" + s.run.Command + "/"})
	s.e.text(",\n\"invocations\":[")
	s.e.value(map[string]any{
		"executionSuccessful":        len(notes) == 0,
		"endTimeUtc":                 s.run.Time.Format("2006-01-02T15:04:05Z"),
		"toolExecutionNotifications": notes,
	})
	s.e.text("],\n\"properties\":")
	s.e.value(map[string]any{"source": s.run.Source, "summary": r.Summary})
	s.e.text("\n}]\n}\n")
	return s.e.err
}

// sarifPlace gives a resource a place in an imagined tree of files, as services
// that show SARIF insist on a file and a line.
func sarifPlace(r *finding.Resource) sarifLocation {
	var l sarifLocation
	parts := []string{"aws", cmp.Or(r.Account, "-"), cmp.Or(r.Region, "global"), strings.ReplaceAll(cmp.Or(r.Type, "resource"), "::", "."), cmp.Or(r.ID, r.ARN, "-")}
	for i, p := range parts {
		p = strings.ToValidUTF8(p, "\uFFFD")
		if strings.Trim(p, ".") == "" {
			p = strings.ReplaceAll(p, ".", "%2E")
		} else {
			p = url.PathEscape(p)
		}
		parts[i] = p
	}
	l.Physical.Artifact.URI = strings.Join(parts, "/")
	l.Physical.Region.StartLine = 1
	l.Logical = []sarifLogical{{resourceName(r), cmp.Or(r.ARN, strings.Join([]string{r.Account, r.Region, r.Type, r.ID}, "/")), "resource"}}
	return l
}

// sarifMessage escapes what a message's text treats as markup: links in
// brackets (section 3.11.6) and placeholders in braces (section 3.11.5).
func sarifMessage(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "{", "{{", "}", "}}").Replace(Plain(s))
}

func sarifLevel(s finding.Severity) string {
	switch s {
	case finding.SeverityCritical, finding.SeverityHigh:
		return "error"
	case finding.SeverityMedium:
		return "warning"
	}
	return "note"
}

// securitySeverity is the number by which GitHub code scanning sorts.
func securitySeverity(s finding.Severity) string {
	switch s {
	case finding.SeverityCritical:
		return "9.5"
	case finding.SeverityHigh:
		return "8.0"
	case finding.SeverityMedium:
		return "5.5"
	case finding.SeverityLow:
		return "3.0"
	}
	return "0.0"
}

func unique(list []string) []string {
	seen := map[string]bool{}
	out := list[:0]
	for _, s := range list {
		if s != "" && !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

func fixText(fix *finding.Fix) string {
	var out []string
	for _, s := range []struct{ head, body string }{{"", fix.Text}, {"AWS CLI:\n", fix.CLI}, {"Terraform:\n", fix.Terraform}} {
		if s.body != "" {
			out = append(out, s.head+s.body)
		}
	}
	return strings.Join(out, "\n\n")
}

func fixMarkdown(fix *finding.Fix) string {
	var out []string
	if fix.Text != "" {
		out = append(out, mdText(fix.Text))
	}
	for _, s := range []struct{ language, body string }{{"sh", fix.CLI}, {"hcl", fix.Terraform}} {
		if s.body != "" {
			body := strings.ReplaceAll(Lines(s.body), "```", "` ` `")
			out = append(out, fmt.Sprintf("```%s\n%s\n```", s.language, strings.TrimRight(body, "\n")))
		}
	}
	return strings.Join(out, "\n\n")
}

func gapText(g *gapGroup) string {
	s := fmt.Sprintf("%s was not read (%d %s): %s", g.Operation, g.n, plural(g.n, "time", "times"), strings.TrimPrefix(g.Code+": "+g.Reason, ": "))
	if g.Permission != "" {
		s += "; needs " + g.Permission
	}
	return s
}
