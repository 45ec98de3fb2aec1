package report

import (
	"crypto/sha256"
	_ "embed" // the style, script and template of the report
	"encoding/base64"
	"fmt"
	"html"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/finding"
)

//go:embed assets/report.css
var htmlStyle string

//go:embed assets/report.js
var htmlScript string

//go:embed assets/body.tmpl
var htmlBody string

var htmlTemplate = template.Must(template.New("report").Funcs(template.FuncMap{"plain": Plain}).Parse(htmlBody))

// htmlWriter writes one file that needs nothing else: findings go out as JSON in
// data blocks as they come, the summary follows, and a script shows them. The
// policy in its head allows that one script and style and nothing from outside.
type htmlWriter struct {
	digest // what is shown without scripts
	e      *encoder
	run    Run
	n      int // findings in the open data block
	rules  []htmlRule
	index  map[string]int
}

// htmlPerBlock bounds what a browser parses at once.
const htmlPerBlock = 1000

// The members of a finding have one letter, as there are many findings.
type htmlFinding struct {
	Rule        int              `json:"r"`
	Status      finding.Status   `json:"s"`
	Severity    finding.Severity `json:"v"`
	Fingerprint string           `json:"f"`
	Type        string           `json:"t,omitempty"`
	ID          string           `json:"i,omitempty"`
	ARN         string           `json:"a,omitempty"`
	Account     string           `json:"c,omitempty"`
	Region      string           `json:"g,omitempty"`
	Tags        string           `json:"n,omitempty"`
	Reason      string           `json:"w,omitempty"`
	Change      finding.Change   `json:"o,omitempty"`
	Evidence    []htmlEvidence   `json:"e,omitempty"`
	Mute        *htmlMute        `json:"m,omitempty"`
	Time        string           `json:"d,omitempty"`
	Actor       string           `json:"u,omitempty"`
	Techniques  []string         `json:"k,omitempty"`
	EventIDs    []string         `json:"q,omitempty"`
}

type htmlEvidence struct {
	Path  string `json:"p,omitempty"`
	Value string `json:"v"`
	Note  string `json:"n,omitempty"`
}

type htmlMute struct {
	Until  string `json:"until"`
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
}

type htmlRule struct {
	ID         string         `json:"id"`
	Title      string         `json:"title"`
	Pillar     finding.Pillar `json:"pillar,omitempty"`
	Detection  bool           `json:"detection,omitempty"`
	Why        string         `json:"why,omitempty"`
	Fix        *finding.Fix   `json:"fix,omitempty"`
	Frameworks []string       `json:"frameworks,omitempty"`
}

func newHTML(w io.Writer, run Run, _ Options) Writer {
	h := &htmlWriter{digest: digest{perRule: 5, perDetections: 50}, e: newEncoder(w, true), run: run, index: map[string]int{}}
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	title := html.EscapeString(Plain("bartizan " + run.Command + " · " + run.Source))
	h.e.text("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src " + hash(htmlStyle) + "; script-src " + hash(htmlScript) + "; base-uri 'none'; form-action 'none'\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n" +
		"<title>" + title + "</title>\n<style>" + htmlStyle + "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the report</a>\n" +
		"<header><h1>" + html.EscapeString(Plain("bartizan "+run.Command)) + "</h1>\n<p class=\"soft\">" + html.EscapeString(Plain(run.Source)) +
		" · <time datetime=\"" + run.Time.Format(time.RFC3339) + "\">" + run.Time.Format("2006-01-02 15:04 UTC") + "</time></p></header>\n")
	return h
}

func (h *htmlWriter) Write(f *finding.Finding) error {
	h.add(f)
	switch h.n {
	case 0:
		h.e.text("<script type=\"application/json\" class=\"d\">[\n")
	case htmlPerBlock:
		h.e.text("\n]</script>\n<script type=\"application/json\" class=\"d\">[\n")
		h.n = 0
	default:
		h.e.text(",\n")
	}
	h.n++
	h.e.value(h.compact(f))
	return h.e.err
}

func (h *htmlWriter) compact(f *finding.Finding) *htmlFinding {
	r := &f.Resource
	out := &htmlFinding{
		Rule: h.rule(f), Status: f.Status, Severity: f.Severity, Fingerprint: Plain(f.Fingerprint),
		Type: Plain(r.Type), ID: Plain(r.ID), ARN: Plain(r.ARN), Account: Plain(r.Account), Region: Plain(r.Region),
		Tags: Plain(joinTags(r.Tags)), Reason: Plain(f.Reason), Change: f.Change, Actor: Plain(f.Actor),
		Techniques: plainAll(f.Techniques), EventIDs: plainAll(f.EventIDs),
	}
	if !f.Time.IsZero() {
		out.Time = f.Time.UTC().Format("2006-01-02T15:04:05Z")
	}
	if f.Mute != nil {
		out.Mute = &htmlMute{lastDay(f.Mute), Plain(f.Mute.Owner), Plain(f.Mute.Reason)}
	}
	for _, e := range f.Evidence {
		out.Evidence = append(out.Evidence, htmlEvidence{Plain(e.Path), Plain(valueText(e.Value, 4<<10)), Plain(e.Note)})
	}
	return out
}

func plainAll(list []string) []string {
	var out []string
	for _, s := range list {
		out = append(out, Plain(s))
	}
	return out
}

func (h *htmlWriter) rule(f *finding.Finding) int {
	if i, ok := h.index[f.RuleID]; ok {
		return i
	}
	r := htmlRule{ID: Plain(f.RuleID), Title: Plain(f.Title), Pillar: f.Pillar, Detection: f.IsDetection(), Why: Plain(f.Why), Frameworks: plainAll(frameworkIDs(f.Frameworks))}
	if f.Fix != nil {
		r.Fix = &finding.Fix{Text: Lines(f.Fix.Text), CLI: Lines(f.Fix.CLI), Terraform: Lines(f.Fix.Terraform)}
	}
	h.index[f.RuleID] = len(h.rules)
	h.rules = append(h.rules, r)
	return len(h.rules) - 1
}

type htmlPillar struct {
	Title, Score, Counts string
	Known                bool
}

type htmlGap struct{ Operation, Times, Error, Permission, Where string }

type htmlSection struct {
	Title string
	Items []htmlItem
}

type htmlItem struct{ Class, Badge, Title, Resource, Where, Why string }

func (h *htmlWriter) Close(r *Result) error {
	if h.n > 0 {
		h.e.text("\n]</script>\n")
	}
	page := struct {
		Run                  Run
		Summary              *finding.Summary
		Severities           string
		Warn, Detections     bool
		Pillars              []htmlPillar
		Gaps                 []htmlGap
		Incomplete, Warnings []string
		Static               []htmlSection
		Incidents            []htmlIncident
	}{Run: h.run, Summary: &r.Summary, Severities: severityWords(r.Summary.BySeverity), Incomplete: plainAll(r.Incomplete), Warnings: plainAll(r.Warnings)}
	page.Run.Version = Plain(page.Run.Version)
	page.Warn = r.Summary.Unknown > 0 || len(r.Gaps) > 0 || len(r.Incomplete) > 0
	for _, p := range r.Summary.Pillars {
		page.Pillars = append(page.Pillars, htmlPillar{(&section{pillar: p.Pillar}).title(), scoreText(p.Score), countWords(p.Counts), p.Score != nil})
	}
	for _, g := range groupGaps(r.Gaps) {
		page.Gaps = append(page.Gaps, htmlGap{Plain(g.Operation), fmt.Sprint(g.n), Plain(strings.TrimPrefix(g.Code+": "+g.Reason, ": ")), Plain(g.Permission), Plain(strings.Join(g.places, ", "))})
	}
	page.Detections = len(r.Summary.Pillars) == 0 && len(r.Summary.Rules) > 0
	page.Static = h.static(&r.Summary)
	page.Incidents = htmlIncidents(r.Incidents)
	if h.e.err == nil {
		h.e.err = htmlTemplate.Execute(h.e.w, page)
	}
	rules := h.rules
	if rules == nil {
		rules = []htmlRule{}
	}
	h.e.text("<script type=\"application/json\" id=\"rules\">")
	h.e.value(rules)
	h.e.text("</script>\n<script>" + htmlScript + "</script>\n</body>\n</html>\n")
	return h.e.err
}

// static is what a reader without scripts sees.
func (h *htmlWriter) static(s *finding.Summary) []htmlSection {
	var out []htmlSection
	for _, sec := range h.sections(s) {
		part := htmlSection{Title: Plain(sec.title())}
		for _, g := range sec.groups {
			for _, f := range g.shown {
				label, _ := badge(f.Status, f.Severity)
				class := string(f.Status)
				if f.Status == finding.StatusFail {
					class = string(f.Severity)
				}
				part.Items = append(part.Items, htmlItem{class, label, Plain(strings.TrimSpace(stamp(f.Time) + " " + f.Title)), Plain(resourceName(&f.Resource)), Plain(place(&f.Resource)), Plain(why(f))})
			}
		}
		if len(part.Items) > 0 {
			out = append(out, part)
		}
	}
	return out
}
