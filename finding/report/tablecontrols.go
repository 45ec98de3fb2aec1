package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"charm.land/lipgloss/v2"

	"github.com/bartizan-security/bartizan/finding"
)

// How many resources of one control a terminal shows: of what is serious each
// with its reason, of the rest the names, by place.
const (
	mostSerious = 5
	mostLines   = 4
	mostWorst   = 10 // controls in the summary
)

func (t *tableWriter) rule() { t.line(0, t.paint(faint, strings.Repeat("─", t.o.Width))) }

func (t *tableWriter) pillar(s *section, r *Result) {
	right := ""
	style := faint
	var counts finding.Counts
	for _, p := range r.Summary.Pillars {
		if p.Pillar == s.pillar && s.pillar != "" {
			right, style = scoreBar(p.Score), scoreStyle(p.Score)
			counts = p.Counts
		}
	}
	t.ends(0, strings.ToUpper(s.title()), right, bold, style)
	t.rule()
	if counts.Total() > 0 {
		t.block(0, 2, faint, countWords(counts))
	}
	for _, g := range s.groups {
		t.group(g)
	}
}

// heading is the severity, title and number of a control's findings.
func (t *tableWriter) heading(g *group) {
	label, style := badge(g.status, g.worst)
	count := ""
	if g.total > 1 {
		count = fmt.Sprintf("×%d", g.total)
	}
	room := t.o.Width - 13 - lipgloss.Width(count) - 2
	for i, l := range wrap(Plain(g.title), room, 2) {
		if i > 0 {
			t.line(13, t.paint(bold, l))
			continue
		}
		pad := strings.Repeat(" ", max(0, room-lipgloss.Width(l)+2))
		t.line(0, t.paint(style, label)+strings.Repeat(" ", 13-lipgloss.Width(label))+t.paint(bold, l)+pad+t.paint(faint, count))
	}
}

func (t *tableWriter) group(g *group) {
	t.heading(g)
	t.line(13, t.paint(cyan, clip(Plain(g.rule), t.o.Width-13)))
	serious := g.status == finding.StatusFail && g.worst.Rank() >= finding.SeverityHigh.Rank()
	shown := 0
	switch {
	case g.status == finding.StatusUnknown:
		// Why it is open matters; which resources, the places of NOT READ say.
		if g.total == 1 {
			t.one(g.shown[0], false)
		}
		t.block(6, 2, faint, g.shown[0].Reason)
		return
	case g.total == 1 || serious || g.status == finding.StatusMuted:
		shown = min(len(g.shown), mostSerious)
		for _, f := range g.shown[:shown] {
			t.one(f, true)
		}
	default:
		shown = t.packed(g)
	}
	if n := g.total - shown; n > 0 {
		t.more(4, n)
	}
}

func (t *tableWriter) more(indent, n int) {
	t.block(indent, 2, faint, fmt.Sprintf("… and %d more; -o html=report.html or -o jsonl lists them all", n))
}

// one is a resource with the reason, and the evidence that adds to it.
func (t *tableWriter) one(f *finding.Finding, full bool) {
	name, right := called(f)
	t.ends(4, "• "+clipMiddle(name, t.o.Width-4-2-2-lipgloss.Width(right)), right, lipgloss.NewStyle(), faint)
	if !full {
		return
	}
	t.block(6, 3, faint, why(f))
	if f.Status == finding.StatusFail {
		for _, e := range telling(f, t.o.Width-6) {
			t.line(6, t.paint(faint, e))
		}
	}
}

// called is the name of a finding's resource and where it is.
func called(f *finding.Finding) (name, where string) {
	name, where = Plain(resourceName(&f.Resource)), Plain(place(&f.Resource))
	switch {
	case f.Resource.ID != "" && f.Resource.ID == f.Resource.Account:
		name, where = "account "+name, ""
	case f.Resource.ID != "" && f.Resource.ID == f.Resource.Region:
		where = Plain(f.Resource.Account)
	}
	if f.Change == finding.ChangeNew {
		name = "(new) " + name
	}
	return name, where
}

// packed lists names of resources, a line for each place, and returns how many
// it has named.
func (t *tableWriter) packed(g *group) int {
	var places []string
	names := map[string][]string{}
	for i := range g.shown {
		name, where := called(g.shown[i])
		if names[where] == nil {
			places = append(places, where)
		}
		names[where] = append(names[where], name)
	}
	named, lines := 0, 0
	for _, where := range places {
		rest := names[where]
		for len(rest) > 0 && lines < mostLines {
			n := t.names(rest, where)
			rest = rest[n:]
			named += n
			lines++
			where = ""
		}
	}
	return named
}

// names writes as many names as a line takes, at least one, and the place.
func (t *tableWriter) names(names []string, where string) int {
	room := t.o.Width - 6
	if where != "" {
		room -= lipgloss.Width(where) + 2
	}
	line, n := clipMiddle(names[0], room), 1
	for ; n < len(names); n++ {
		next := line + ", " + strings.TrimPrefix(names[n], "account ")
		if n == 1 {
			next = strings.Replace(next, "account ", "accounts ", 1)
		}
		if lipgloss.Width(next) > room {
			break
		}
		line = next
	}
	t.ends(4, "• "+line, where, lipgloss.NewStyle(), faint)
	return n
}

// telling returns evidence that a reader of the reason does not have yet and
// that a line can show: not what is absent or only yes or no, not what the
// reason says already, not the first half of a document.
func telling(f *finding.Finding, width int) []string {
	said := Plain(why(f))
	var out []string
	for _, e := range f.Evidence {
		if len(out) == 2 {
			break
		}
		if silent(e.Value, said+" "+f.Resource.ID+" "+f.Resource.Account) {
			continue
		}
		line := Plain(evidenceText(e, 400))
		if lipgloss.Width(line) <= width {
			out = append(out, line)
		}
	}
	return out
}

// silent reports whether a value says nothing beyond what is said.
func silent(v any, said string) bool {
	switch v := v.(type) {
	case nil, bool:
		return true
	case string:
		return v == "" || strings.Contains(said, Plain(v))
	case []any:
		for _, e := range v {
			if !silent(e, said) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if !silent(e, said) {
				return false
			}
		}
		return true
	case float64, int64, int:
		s := fmt.Sprint(v)
		return s == "0" || slices.Contains(strings.FieldsFunc(said, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }), s)
	}
	return false
}

// footer is what a reader of a terminal sees last: the scores, the worst, and
// the sums.
func (t *tableWriter) footer(sections []*section, r *Result) {
	s := &r.Summary
	t.line(0, "")
	if s.Score != nil {
		t.ends(0, "SUMMARY", "", bold, faint)
		t.rule()
		var all finding.Counts // without detections, which have no score
		for _, p := range s.Pillars {
			all.Fail, all.Pass, all.Unknown, all.Muted = all.Fail+p.Fail, all.Pass+p.Pass, all.Unknown+p.Unknown, all.Muted+p.Muted
			t.scoreLine((&section{pillar: p.Pillar}).title(), p.Score, p.Counts, lipgloss.NewStyle())
		}
		t.scoreLine("All", s.Score, all, bold)
		t.worst(sections)
		t.line(0, "")
	} else {
		t.rule()
	}
	style := green
	switch {
	case s.Fail > 0:
		style = red
	case s.Unknown > 0 || len(r.Gaps) > 0 || len(r.Incomplete) > 0:
		style = yellow
	}
	t.block(0, 2, style, totalWords(s))
	if words := severityWords(s.BySeverity); words != "" {
		t.block(0, 2, lipgloss.NewStyle(), words)
	}
	if b := s.Baseline; b != nil {
		t.block(0, 2, lipgloss.NewStyle(), fmt.Sprintf("since the baseline: %d new, %d unchanged, %d fixed, %d gone", b.New, b.Unchanged, len(b.Fixed), len(b.Gone)))
	}
	if s.Unknown > 0 || len(r.Gaps) > 0 || len(r.Incomplete) > 0 {
		t.block(0, 2, yellow, "This report is incomplete: what is unknown is not known to be fine.")
	}
}

func (t *tableWriter) scoreLine(name string, score *int, c finding.Counts, style lipgloss.Style) {
	bar := scoreBar(score)
	if t.o.Width < 60 {
		_, number, _ := strings.Cut(bar, " ")
		bar = strings.TrimSpace(number)
	}
	pad := strings.Repeat(" ", max(1, 16-lipgloss.Width(name)))
	line := t.paint(style, name) + pad + t.paint(scoreStyle(score), bar)
	words := fmt.Sprintf("%d failed of %d", c.Fail, c.Total())
	if 16+lipgloss.Width(bar)+2+lipgloss.Width(words) <= t.o.Width {
		line += strings.Repeat(" ", t.o.Width-16-lipgloss.Width(bar)-lipgloss.Width(words)) + t.paint(faint, words)
	}
	t.line(0, line)
}

// worst lists the serious controls that fail, over all pillars.
func (t *tableWriter) worst(sections []*section) {
	var serious []*group
	for _, s := range sections {
		for _, g := range s.groups {
			if !g.detection && g.status == finding.StatusFail && g.worst.Rank() >= finding.SeverityHigh.Rank() {
				serious = append(serious, g)
			}
		}
	}
	if len(serious) == 0 {
		return
	}
	slices.SortStableFunc(serious, func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.worst.Rank(), a.worst.Rank()), cmp.Compare(pillarIndex(a.pillar), pillarIndex(b.pillar)), cmp.Compare(a.rule, b.rule))
	})
	t.line(0, "")
	t.line(0, t.paint(bold, "WORST FIRST"))
	t.rule()
	for _, g := range serious[:min(len(serious), mostWorst)] {
		t.heading(g)
	}
	if n := len(serious) - mostWorst; n > 0 {
		t.line(13, t.paint(faint, fmt.Sprintf("… and %d more, high or worse", n)))
	}
}
