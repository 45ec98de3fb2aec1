package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/bartizan-security/bartizan/finding"
)

// markdownWriter is for a pull request or a wiki: GitHub's dialect, with a
// limited number of findings per rule.
type markdownWriter struct {
	digest
	w   *bufio.Writer
	run Run
}

func newMarkdown(w io.Writer, run Run, _ Options) Writer {
	return &markdownWriter{digest{perRule: 20, perDetections: 100}, bufio.NewWriter(w), run}
}

func (m *markdownWriter) Write(f *finding.Finding) error {
	m.add(f)
	return nil
}

func (m *markdownWriter) f(format string, args ...any) { fmt.Fprintf(m.w, format, args...) }

func (m *markdownWriter) Close(r *Result) error {
	s := &r.Summary
	m.f("# bartizan %s\n\n", mdText(m.run.Command))
	m.f("%s · %s · version %s\n\n", mdCode(m.run.Source), m.run.Time.Format("2006-01-02 15:04 UTC"), mdText(m.run.Version))
	m.f("**%s**", totalWords(s))
	if words := severityWords(s.BySeverity); words != "" {
		m.f(" (%s)", words)
	}
	m.f("\n\n")
	if b := s.Baseline; b != nil {
		m.f("Since the baseline: %d new, %d unchanged, %d fixed, %d gone\n\n", b.New, b.Unchanged, len(b.Fixed), len(b.Gone))
	}
	if s.Unknown > 0 || len(r.Gaps) > 0 || len(r.Incomplete) > 0 {
		m.f("> **This report is incomplete:** what is unknown is not known to be fine.\n\n")
	}
	if len(s.Pillars) > 0 {
		m.f("| Pillar | Score | Failed | Unknown | Passed | Muted |\n|---|---:|---:|---:|---:|---:|\n")
		for _, p := range s.Pillars {
			m.f("| %s | %s | %d | %d | %d | %d |\n", mdText((&section{pillar: p.Pillar}).title()), scoreText(p.Score), p.Fail, p.Unknown, p.Pass, p.Muted)
		}
		m.f("| **All** | **%s** | %d | %d | %d | %d |\n\n", scoreText(s.Score), s.Fail, s.Unknown, s.Pass, s.Muted)
	}
	m.incidents(r.Incidents)
	for _, sec := range m.sections(s) {
		if len(sec.groups) == 0 {
			continue
		}
		m.f("## %s\n\n", mdText(sec.title()))
		for _, g := range sec.groups {
			if sec.detection {
				m.detections(g)
			} else {
				m.control(g)
			}
		}
	}
	m.gaps(r)
	return m.w.Flush()
}

func (m *markdownWriter) control(g *group) {
	label, _ := badge(g.status, g.worst)
	m.f("### %s: %s\n\n%s · %d %s\n\n", label, mdText(g.title), mdCode(g.rule), g.total, plural(g.total, "resource", "resources"))
	m.f("| Resource | Account | Region | Why | Evidence |\n|---|---|---|---|---|\n")
	for _, f := range g.shown {
		var evidence []string
		for _, e := range telling(f, 200) {
			evidence = append(evidence, mdCode(e))
		}
		name := mdCode(resourceName(&f.Resource))
		if f.Change == finding.ChangeNew {
			name = "**new** " + name
		}
		m.f("| %s | %s | %s | %s | %s |\n", name, mdCode(f.Resource.Account), mdCode(f.Resource.Region), mdText(why(f)), strings.Join(evidence, "<br>"))
	}
	m.more(g)
	if f := g.shown[0]; f.Fix != nil && f.Fix.Text != "" && g.status == finding.StatusFail {
		m.f("**Fix:** %s\n\n", mdText(f.Fix.Text))
	}
}

func (m *markdownWriter) detections(g *group) {
	label, _ := badge(g.status, g.severity)
	m.f("### %s (%d)\n\n", strings.TrimPrefix(label, "✗ "), g.total)
	m.f("| Time | Detection | Actor | Resource | Techniques | Why |\n|---|---|---|---|---|---|\n")
	for _, f := range g.shown {
		m.f("| %s | %s<br>%s | %s | %s | %s | %s |\n", stamp(f.Time), mdText(f.Title), mdCode(f.RuleID), mdCode(f.Actor),
			mdCode(whole(&f.Resource)), mdText(strings.Join(f.Techniques, " ")), mdText(why(f)))
	}
	m.more(g)
}

func (m *markdownWriter) more(g *group) {
	if n := g.more(); n > 0 {
		m.f("\n… and %d more", n)
	}
	m.f("\n\n")
}

func (m *markdownWriter) gaps(r *Result) {
	if len(r.Gaps) == 0 && len(r.Incomplete) == 0 {
		return
	}
	m.f("## Not read\n\n")
	for _, s := range r.Incomplete {
		m.f("- %s\n", mdText(s))
	}
	if len(r.Incomplete) > 0 {
		m.f("\n")
	}
	if len(r.Gaps) == 0 {
		return
	}
	m.f("| Operation | Times | Error | Permission that is missing | Where |\n|---|---:|---|---|---|\n")
	groups := groupGaps(r.Gaps)
	const most = 100
	for _, g := range groups[:min(len(groups), most)] {
		m.f("| %s | %d | %s | %s | %s |\n", mdCode(g.Operation), g.n, mdText(strings.TrimPrefix(g.Code+": "+g.Reason, ": ")), mdCode(g.Permission), mdText(strings.Join(g.places, ", ")))
	}
	if n := len(groups) - most; n > 0 {
		m.f("\n… and %d more operations\n", n)
	}
	m.f("\n")
}

func scoreText(score *int) string {
	if score == nil {
		return "–"
	}
	return fmt.Sprint(*score)
}

// mdText makes prose safe in a table of GitHub's Markdown: no markup, no HTML.
// A word that would become a link or mention someone stands in a code span.
func mdText(s string) string {
	words := strings.Split(clipBytes(Plain(s), 2000), " ")
	for i, w := range words {
		low := strings.ToLower(w)
		if strings.Contains(w, "@") || strings.Contains(low, "://") || strings.Contains(low, "www.") || strings.Contains(low, "mailto:") || strings.Contains(low, "xmpp:") {
			words[i] = mdCode(w)
			continue
		}
		words[i] = mdEscaper.Replace(w)
	}
	return strings.Join(words, " ")
}

var mdEscaper = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", `\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`,
	"|", `\|`, "#", `\#`, "!", `\!`, "~", `\~`, "$", `\$`, "(", `\(`, ")", `\)`,
)

// mdCode shows s as it is, in a code span that s cannot end and that does not
// end a table's cell.
func mdCode(s string) string {
	s = clipBytes(Plain(s), 2000)
	if strings.TrimSpace(s) == "" {
		return ""
	}
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	// Within a table GitHub unescapes \| before it looks for code spans, and a
	// backslash before the bar would escape the escape.
	s = strings.ReplaceAll(s, `\|`, `\ |`)
	s = strings.ReplaceAll(s, "|", `\|`)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	if strings.HasSuffix(s, `\`) {
		s += " "
	}
	return fence + s + fence
}

func clipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
