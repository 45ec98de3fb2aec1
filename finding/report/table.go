package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/bartizan-security/bartizan/finding"
)

// tableWriter is for a terminal: detections by severity and time, controls by
// pillar with a score.
type tableWriter struct {
	digest
	w   *bufio.Writer
	run Run
	o   Options
}

func newTable(w io.Writer, run Run, o Options) Writer {
	return &tableWriter{digest{perRule: 10, perDetections: 50}, bufio.NewWriter(w), run, o}
}

func (t *tableWriter) Write(f *finding.Finding) error {
	t.add(f)
	return nil
}

// The colours are the terminal's own sixteen, so that they suit its background.
var (
	bold   = lipgloss.NewStyle().Bold(true)
	faint  = lipgloss.NewStyle().Faint(true)
	green  = lipgloss.NewStyle().Foreground(lipgloss.Color("2"))
	yellow = lipgloss.NewStyle().Foreground(lipgloss.Color("3"))
	red    = lipgloss.NewStyle().Foreground(lipgloss.Color("1"))
	cyan   = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
	worst  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("15")).Background(lipgloss.Color("1"))
)

func (t *tableWriter) paint(style lipgloss.Style, s string) string {
	if !t.o.Color || s == "" {
		return s
	}
	return style.Render(s)
}

func (t *tableWriter) line(indent int, s string) {
	s = strings.TrimRight(s, " ")
	if s != "" {
		s = strings.Repeat(" ", indent) + s
	}
	fmt.Fprintln(t.w, s) // the Writer keeps its error for Flush
}

// block writes s wrapped to the width, at most lines lines, in a style.
func (t *tableWriter) block(indent, lines int, style lipgloss.Style, s string) {
	if s == "" {
		return
	}
	for _, l := range wrap(Plain(s), t.o.Width-indent, lines) {
		t.line(indent, t.paint(style, l))
	}
}

// ends writes left at the left and right at the right edge; left is clipped.
func (t *tableWriter) ends(indent int, left, right string, ls, rs lipgloss.Style) {
	room := t.o.Width - indent - lipgloss.Width(right)
	if right != "" {
		room -= 2
	}
	left = clip(left, room)
	pad := strings.Repeat(" ", max(0, t.o.Width-indent-lipgloss.Width(left)-lipgloss.Width(right)))
	t.line(indent, t.paint(ls, left)+pad+t.paint(rs, right))
}

func (t *tableWriter) Close(r *Result) error {
	t.ends(0, Plain(strings.TrimSpace("bartizan "+t.run.Command+"  "+t.run.Source)), t.run.Time.Format("2006-01-02 15:04Z"), bold, faint)
	sections := t.sections(&r.Summary)
	for _, s := range sections {
		if s.detection && len(r.Incidents) > 0 {
			t.incidents(r)
			s = s.without(finding.StatusFail)
		}
		switch {
		case s.detection && len(s.groups) == 0:
		case s.detection:
			t.line(0, "")
			t.detections(s)
		default:
			t.line(0, "")
			t.pillar(s, r)
		}
	}
	if len(sections) == 0 {
		t.line(0, "")
		t.line(0, "No findings.")
	}
	t.gaps(r)
	t.footer(sections, r)
	return t.w.Flush()
}

func (t *tableWriter) detections(s *section) {
	n := map[finding.Severity]int{}
	for _, g := range s.groups {
		if g.status == finding.StatusFail {
			n[g.severity] += g.total
		}
	}
	t.ends(0, "DETECTIONS", severityWords(n), bold, faint)
	t.line(0, t.paint(faint, strings.Repeat("─", t.o.Width)))
	for _, g := range s.groups {
		label, style := badge(g.status, g.severity)
		label = strings.TrimPrefix(label, "✗ ")
		t.line(0, t.paint(style, label)+fmt.Sprintf("  %d", g.total))
		for _, f := range g.shown {
			t.ends(2, strings.TrimSpace(stamp(f.Time)+"  "+Plain(f.Title)), Plain(strings.Join(f.Techniques, " ")), bold, faint)
			who := ""
			if f.Actor != "" {
				who = "by " + clipMiddle(Plain(f.Actor), t.o.Width-4-3)
			}
			t.line(4, who)
			on := Plain(whole(&f.Resource))
			if on != "" {
				t.line(4, "on "+clipMiddle(on, t.o.Width-4-3))
			}
			t.block(4, 2, faint, why(f))
			events := ""
			if len(f.EventIDs) > 0 {
				events = fmt.Sprintf("%d %s", len(f.EventIDs), plural(len(f.EventIDs), "event", "events"))
			}
			t.ends(4, Plain(f.RuleID), events, cyan, faint)
		}
		if n := g.more(); n > 0 {
			t.line(2, t.paint(faint, fmt.Sprintf("… and %d more; -o html=report.html or -o jsonl lists them all", n)))
		}
	}
}

func (t *tableWriter) gaps(r *Result) {
	if len(r.Gaps) == 0 && len(r.Incomplete) == 0 {
		return
	}
	t.line(0, "")
	t.line(0, t.paint(bold, "NOT READ"))
	t.line(0, t.paint(faint, strings.Repeat("─", t.o.Width)))
	groups := groupGaps(r.Gaps)
	const most = 20
	for _, g := range groups[:min(len(groups), most)] {
		t.ends(0, Plain(g.Operation), fmt.Sprintf("×%d", g.n), yellow, faint)
		t.block(4, 2, faint, strings.TrimPrefix(g.Code+": "+g.Reason, ": "))
		if g.Permission != "" {
			t.block(4, 1, lipgloss.NewStyle(), "needs "+g.Permission)
		}
		t.block(4, 1, faint, strings.Join(g.places, ", "))
	}
	if n := len(groups) - most; n > 0 {
		t.line(4, t.paint(faint, fmt.Sprintf("… and %d more operations; -o json lists them all", n)))
	}
	for _, s := range r.Incomplete {
		t.block(0, 3, yellow, s)
	}
}

// badge is the word that begins a rule's lines. The mark says at once how to read
// a title such as "The root user signs in with MFA".
func badge(status finding.Status, severity finding.Severity) (string, lipgloss.Style) {
	switch status {
	case finding.StatusUnknown:
		return "? UNKNOWN", yellow
	case finding.StatusMuted:
		return "– MUTED", faint
	case finding.StatusPass:
		return "✓ PASS", green
	}
	switch severity {
	case finding.SeverityCritical:
		return "✗ CRITICAL", worst
	case finding.SeverityHigh:
		return "✗ HIGH", red
	case finding.SeverityMedium:
		return "✗ MEDIUM", yellow
	case finding.SeverityLow:
		return "✗ LOW", cyan
	}
	return "✗ INFO", faint
}

func scoreBar(score *int) string {
	if score == nil {
		return "no score"
	}
	full := *score / 5
	return fmt.Sprintf("%s%s %3d/100", strings.Repeat("█", full), strings.Repeat("░", 20-full), *score)
}

func scoreStyle(score *int) lipgloss.Style {
	switch {
	case score == nil:
		return faint
	case *score >= 90:
		return green
	case *score >= 60:
		return yellow
	}
	return red
}

func countWords(c finding.Counts) string {
	return fmt.Sprintf("%d failed · %d unknown · %d passed · %d muted", c.Fail, c.Unknown, c.Pass, c.Muted)
}

// totalWords is countWords for a whole report, which may have detections alone.
func totalWords(s *finding.Summary) string {
	for _, r := range s.Rules {
		if !r.Detection {
			return countWords(s.Counts)
		}
	}
	if len(s.Rules) == 0 {
		return "0 findings"
	}
	return fmt.Sprintf("%d %s · %d unknown · %d muted", s.Fail, plural(s.Fail, "detection", "detections"), s.Unknown, s.Muted)
}

func severityWords(n map[finding.Severity]int) string {
	var out []string
	for _, s := range finding.Severities() {
		if n[s] > 0 {
			out = append(out, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	return strings.Join(out, " · ")
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
