package report

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
)

// Alone is detections of one kind that belong to no incident.
type Alone struct {
	Finding *finding.Finding // the first of them
	Count   int
	Note    string // why they may be of no interest
}

// The most that formats for people show.
const (
	mostIncidents = 20
	mostRows      = 40
	mostPaths     = 8
	mostAlone     = 50
)

// row is a line of a timeline: steps of one rule, caller and result that lie
// within a quarter of an hour, and other rules that match the same events.
type row struct {
	finding.IncidentStep
	resources []string
	also      []string
}

const rowSpan = 15 * time.Minute

func rows(in *finding.Incident) []row {
	var out []row
	open := map[[3]string]int{}   // rule, caller, result → row
	events := map[[2]string]int{} // first event, caller → row
	for i := range in.Timeline {
		s := &in.Timeline[i]
		name := resourceName(&s.Resource)
		if s.Resource.Type == "AWS::Account" {
			name = ""
		}
		key := [3]string{s.RuleID, s.Actor, s.Error}
		if n, ok := open[key]; ok && s.Time.Sub(out[n].Time) <= rowSpan && (s.Reach == "" || s.Reach == out[n].Reach) {
			r := &out[n]
			if r.RuleID == s.RuleID {
				r.Count += s.Count
			}
			if s.Last.After(r.Last) {
				r.Last = s.Last
			}
			if name != "" && !contains(r.resources, name) {
				r.resources = append(r.resources, name)
			}
			continue
		}
		event := [2]string{"", s.Actor}
		if len(s.EventIDs) > 0 {
			event[0] = s.EventIDs[0]
		}
		if n, ok := events[event]; ok && event[0] != "" && out[n].Error == s.Error && out[n].Count == s.Count {
			r := &out[n] // another rule saw the same
			if s.Severity.Rank() > r.Severity.Rank() {
				r.also = append([]string{r.Title}, r.also...)
				r.Title, r.Severity, r.RuleID, r.Tactics, r.Techniques = s.Title, s.Severity, s.RuleID, s.Tactics, s.Techniques
			} else {
				r.also = append(r.also, s.Title)
			}
			r.Reach = cmp.Or(r.Reach, s.Reach)
			open[key] = n
			continue
		}
		r := row{IncidentStep: *s}
		if name != "" {
			r.resources = []string{name}
		}
		open[key], events[event] = len(out), len(out)
		out = append(out, r)
	}
	return out
}

// weightiest leaves the rows that tell the story of a grave incident, and counts
// the others.
func weightiest(in *finding.Incident, all []row, most int) ([]row, int) {
	least := 0
	if in.Severity.Rank() >= finding.SeverityHigh.Rank() && len(all) > 12 {
		least = finding.SeverityMedium.Rank()
	}
	keep := make([]bool, len(all))
	n := 0
	for _, severity := range finding.Severities() {
		for i := range all {
			if all[i].Severity == severity && n < most && (severity.Rank() >= least || all[i].Reach != "") {
				keep[i] = true
				n++
			}
		}
	}
	var out []row
	for i := range all {
		if keep[i] {
			out = append(out, all[i])
		}
	}
	return out, len(all) - n
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// about is the second line of a row: what, as whom, with what result, by which
// rule.
func (r *row) about(in *finding.Incident) string {
	var parts []string
	if n := len(r.resources); n > 0 {
		on := "on "
		for i, name := range r.resources[:min(n, 2)] {
			if i > 0 {
				on += ", "
			}
			on += clipMiddle(Plain(shortName(name)), 34)
		}
		if n > 2 {
			on += fmt.Sprintf(" and %d more", n-2)
		}
		parts = append(parts, on)
	}
	if r.Actor != "" && r.Actor != in.Actor {
		who, _, _ := strings.Cut(shortName(r.Actor), " session ")
		parts = append(parts, "as "+clipMiddle(Plain(who), 44))
	}
	if r.Error != "" {
		parts = append(parts, "answered "+r.Error)
	}
	if len(r.Tactics) > 0 {
		parts = append(parts, tacticWords(r.Tactics[:min(len(r.Tactics), 2)]))
	}
	parts = append(parts, r.RuleID)
	return strings.Join(parts, " · ")
}

// shortName is an ARN without what every ARN of the account has.
func shortName(name string) string {
	a, err := arn.Parse(name)
	if err != nil || a.Resource == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(a.Resource, "assumed-role/"); ok {
		if role, session, ok := strings.Cut(rest, "/"); ok {
			return "role/" + role + " session " + clipMiddle(session, 24)
		}
	}
	return a.Resource
}

func tacticWords(list []string) string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = strings.ReplaceAll(t, "-", " ")
	}
	return strings.Join(out, ", ")
}

func span(from, to time.Time) string {
	d := to.Sub(from).Round(time.Second)
	words := d.String()
	switch {
	case d >= 48*time.Hour:
		words = fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= time.Hour:
		words = fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	case d >= time.Minute:
		words = fmt.Sprintf("%dm", int(d.Minutes()))
	}
	end := to.UTC().Format("15:04:05Z")
	if from.UTC().Format(time.DateOnly) != to.UTC().Format(time.DateOnly) {
		end = stamp(to)
	}
	return stamp(from) + " to " + end + " (" + words + ")"
}

func entityWords(list []finding.Entity, most int) string {
	var out []string
	for _, e := range list[:min(len(list), most)] {
		name, _, _ := strings.Cut(shortName(e.Name), " session ")
		out = append(out, fmt.Sprintf("%s ×%d", clipMiddle(Plain(name), 50), e.Count))
	}
	if n := len(list) - most; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

// SessionStep is one step back from a session as a sentence, as every report of an
// incident has it: who ← whom, by which call, with the proof and its event.
func SessionStep(l *finding.SessionLink) string {
	s := shortName(l.To)
	if l.From == "unknown" {
		return s + ": " + l.How
	}
	s += " ← " + shortName(l.From) + ", by " + l.How
	if l.Proof != "" {
		s += " (" + l.Proof + ")"
	}
	if l.EventID != "" {
		s += ", event " + l.EventID
	}
	return s
}

func reachWords(list []finding.Reach, most int) []string {
	var out []string
	for _, r := range list {
		if !contains(out, r.Reason) && len(out) < most {
			out = append(out, r.Reason)
		}
	}
	return out
}

// incidentFacts are the lines above a timeline: a word and what it says.
func incidentFacts(in *finding.Incident) [][2]string {
	facts := [][2]string{{"who", in.Actor}}
	if len(in.Principals) > 1 || len(in.Principals) == 1 && in.Principals[0].Name != in.Actor {
		facts = append(facts, [2]string{"acting as", entityWords(in.Principals, 4)})
	}
	add := func(word, text string) {
		if text != "" {
			facts = append(facts, [2]string{word, text})
		}
	}
	add("when", span(in.Start, in.End)+fmt.Sprintf(", %d %s", in.Alerts, plural(in.Alerts, "alert", "alerts")))
	add("from", entityWords(in.Addresses, 4))
	add("keys", entityWords(in.AccessKeys, 4))
	var tactics []string
	for _, t := range in.Tactics {
		tactics = append(tactics, strings.ReplaceAll(t, "-", " "))
	}
	add("tactics", strings.Join(tactics, " › "))
	add("severity", strings.Join(in.Because, "; "))
	if in.Automation != "" {
		add("known as", in.Automation)
	}
	for _, h := range in.Hints {
		add("hint", h+" (a name alone: the severity stands)")
	}
	for _, r := range reachWords(in.Reach, 4) {
		add("estate", r)
	}
	return facts
}

func (t *tableWriter) incidents(r *Result) {
	n := map[finding.Severity]int{}
	for _, in := range r.Incidents {
		n[in.Severity]++
	}
	t.line(0, "")
	t.ends(0, "INCIDENTS", severityWords(n), bold, faint)
	t.line(0, t.paint(faint, strings.Repeat("─", t.o.Width)))
	for i, in := range r.Incidents[:min(len(r.Incidents), mostIncidents)] {
		if i > 0 {
			t.line(0, "")
		}
		t.incident(in)
	}
	if n := len(r.Incidents) - mostIncidents; n > 0 {
		t.block(0, 2, faint, fmt.Sprintf("… and %d more incidents; -o html=report.html or -o json lists them all", n))
	}
	t.alone(r.Alone)
}

func (t *tableWriter) incident(in *finding.Incident) {
	label, style := severityBadge(in.Severity)
	for i, l := range wrap(Plain(in.Title), t.o.Width-10, 2) {
		if i == 0 {
			t.line(0, t.paint(style, label)+strings.Repeat(" ", max(1, 10-lipgloss.Width(label)))+t.paint(bold, l))
		} else {
			t.line(10, t.paint(bold, l))
		}
	}
	last := ""
	fact := func(word, text string, lines int) {
		for i, l := range wrap(Plain(text), t.o.Width-12, lines) {
			head := ""
			if i == 0 && word != last {
				head = word
			}
			t.line(2, t.paint(faint, head)+strings.Repeat(" ", 10-len(head))+l)
		}
		last = word
	}
	for _, f := range incidentFacts(in) {
		fact(f[0], f[1], 3)
	}
	for i := range in.Sessions[:min(len(in.Sessions), mostPaths)] {
		fact("path", SessionStep(&in.Sessions[i]), 3)
	}
	if n := len(in.Sessions) - mostPaths; n > 0 {
		fact("path", fmt.Sprintf("… and %d more", n), 1)
	}
	fact("id", in.ID, 1)
	day := ""
	list, left := weightiest(in, rows(in), mostRows)
	for i := range list {
		r := &list[i]
		if d := r.Time.UTC().Format(time.DateOnly); d != day {
			day = d
			t.line(2, t.paint(faint, d))
		}
		count := ""
		if r.Count > 1 {
			count = fmt.Sprintf("×%d", r.Count)
		}
		word, style := severityBadge(r.Severity)
		room := t.o.Width - 22 - lipgloss.Width(count)
		if count != "" {
			room--
		}
		title := clip(Plain(r.Title), room)
		pad := strings.Repeat(" ", max(0, t.o.Width-22-lipgloss.Width(title)-lipgloss.Width(count)))
		t.line(2, r.Time.UTC().Format("15:04:05Z")+"  "+t.paint(style, word)+strings.Repeat(" ", max(1, 9-lipgloss.Width(word)))+title+pad+t.paint(faint, count))
		t.block(22, 2, faint, r.about(in))
		if len(r.also) > 0 {
			t.block(22, 1, faint, "also: "+strings.Join(r.also, "; "))
		}
		if r.Reach != "" {
			t.block(22, 2, lipgloss.NewStyle(), r.Reach)
		}
	}
	if n := left + in.Cut; n > 0 {
		t.block(2, 2, faint, fmt.Sprintf("… and %d more of less weight; -o html=report.html or -o json lists them", n))
	}
}

// alone lists what belongs to no incident, worst first.
func (t *tableWriter) alone(list []Alone) {
	if len(list) == 0 {
		return
	}
	t.line(0, "")
	t.ends(0, "OTHER DETECTIONS", fmt.Sprintf("%d", len(list)), bold, faint)
	t.line(0, t.paint(faint, strings.Repeat("─", t.o.Width)))
	shown := 0
	for _, severity := range finding.Severities() {
		for i := range list {
			a := &list[i]
			f := a.Finding
			if f.Severity != severity {
				continue
			}
			if shown++; shown > mostAlone {
				continue
			}
			label, style := severityBadge(f.Severity)
			right := Plain(strings.Join(f.Techniques, " "))
			if a.Count > 1 {
				right = fmt.Sprintf("×%d  %s", a.Count, right)
			}
			t.line(0, t.paint(style, label)+strings.Repeat(" ", max(1, 10-lipgloss.Width(label)))+t.paint(bold, clip(Plain(f.Title), t.o.Width-10)))
			t.ends(10, stamp(f.Time)+"  "+Plain(f.RuleID), right, cyan, faint)
			by := ""
			if f.Actor != "" {
				by = "by " + shortName(f.Actor)
			}
			if f.Resource.Type != "AWS::Account" {
				by = strings.TrimSpace(by + " on " + shortName(resourceName(&f.Resource)))
			}
			if a.Note != "" {
				by += " (" + a.Note + ")"
			}
			if by != "" {
				t.line(10, clipMiddle(Plain(by), t.o.Width-10))
			}
		}
	}
	if n := shown - mostAlone; n > 0 {
		t.block(0, 2, faint, fmt.Sprintf("… and %d more; -o html=report.html or -o jsonl lists them all", n))
	}
}

func severityBadge(s finding.Severity) (string, lipgloss.Style) {
	label, style := badge(finding.StatusFail, s)
	return strings.TrimPrefix(label, "✗ "), style
}

func (m *markdownWriter) incidents(list []*finding.Incident) {
	if len(list) == 0 {
		return
	}
	m.f("## Incidents\n\n")
	for _, in := range list[:min(len(list), mostIncidents)] {
		m.f("### %s: %s\n\n", strings.ToUpper(string(in.Severity)), mdText(Plain(in.Title)))
		for _, f := range incidentFacts(in) {
			m.f("- **%s** %s\n", f[0], mdText(Plain(f[1])))
		}
		for i := range in.Sessions[:min(len(in.Sessions), mostPaths)] {
			m.f("- **path** %s\n", mdText(Plain(SessionStep(&in.Sessions[i]))))
		}
		m.f("\n| Time | Severity | What | Where |\n|---|---|---|---|\n")
		all, left := weightiest(in, rows(in), mostRows)
		for i := range all {
			r := &all[i]
			title := r.Title
			if r.Count > 1 {
				title += fmt.Sprintf(" ×%d", r.Count)
			}
			m.f("| %s | %s | %s | %s |\n", stamp(r.Time), r.Severity, mdText(Plain(title)), mdText(Plain(cmp.Or(r.about(in), "–"))))
		}
		if n := left + in.Cut; n > 0 {
			m.f("\n… and %d more of less weight.\n", n)
		}
		m.f("\n")
	}
	if n := len(list) - mostIncidents; n > 0 {
		m.f("… and %d more incidents.\n\n", n)
	}
}

type htmlIncident struct {
	ID, Class, Badge, Title string
	Facts                   [][2]string
	Paths                   []string
	Rows                    []htmlRow
	Open                    bool
	More                    int
}

type htmlRow struct{ Day, Time, Class, Badge, Title, Count, About, Reach, Techniques, Events string }

func htmlIncidents(list []*finding.Incident) []htmlIncident {
	var out []htmlIncident
	for i, in := range list {
		label, _ := severityBadge(in.Severity)
		h := htmlIncident{ID: in.ID, Class: string(in.Severity), Badge: label, Title: Plain(in.Title), Open: i < 3, More: in.Cut}
		for _, f := range incidentFacts(in) {
			h.Facts = append(h.Facts, [2]string{f[0], Plain(f[1])})
		}
		for k := range in.Sessions {
			h.Paths = append(h.Paths, Plain(SessionStep(&in.Sessions[k])))
		}
		day := ""
		all := rows(in)
		for k := range all {
			r := &all[k]
			word, _ := severityBadge(r.Severity)
			row := htmlRow{Time: r.Time.UTC().Format("15:04:05") + " UTC", Class: string(r.Severity), Badge: strings.ToLower(word), Title: Plain(r.Title), About: Plain(r.about(in)),
				Reach: Plain(r.Reach), Techniques: Plain(strings.Join(r.Techniques, " ")), Events: Plain(strings.Join(r.EventIDs, " "))}
			if len(r.also) > 0 {
				row.About = strings.TrimPrefix(row.About+" · also: "+Plain(strings.Join(r.also, "; ")), " · ")
			}
			if d := r.Time.UTC().Format(time.DateOnly); d != day {
				day, row.Day = d, d
			}
			if r.Count > 1 {
				row.Count = fmt.Sprintf("×%d", r.Count)
			}
			h.Rows = append(h.Rows, row)
		}
		out = append(out, h)
	}
	return out
}

// ocsfIncident is an Incident Finding (class 2005).
// https://schema.ocsf.io/1.5.0/classes/incident_finding
func (o *ocsfWriter) incident(in *finding.Incident) object {
	severity, name := ocsfSeverity(in.Severity)
	var attacks, infos []object
	for _, t := range in.Techniques {
		if parent, _, sub := strings.Cut(t, "."); sub {
			attacks = append(attacks, object{"technique": object{"uid": parent}, "sub_technique": object{"uid": t}})
		} else {
			attacks = append(attacks, object{"technique": object{"uid": t}})
		}
	}
	for _, s := range in.Timeline {
		var related []object
		for _, id := range s.EventIDs {
			related = append(related, object{"uid": id})
		}
		info := object{"uid": finding.Fingerprint(s.RuleID, s.EventIDs...), "title": s.Title, "first_seen_time": s.Time.UnixMilli(), "last_seen_time": s.Last.UnixMilli(),
			"analytic": object{"uid": s.RuleID, "name": s.Title, "type": "Rule", "type_id": 1}}
		if len(related) > 0 {
			info["related_events"], info["related_events_count"] = related, len(related)
		}
		infos = append(infos, info)
	}
	if len(infos) == 0 {
		infos = []object{{"uid": in.ID, "title": in.Title}}
	}
	e := object{
		"category_uid": 2, "category_name": "Findings", "class_uid": 2005, "class_name": "Incident Finding",
		"activity_id": 1, "activity_name": "Create", "type_uid": 200501, "type_name": "Incident Finding: Create",
		"time": in.End.UnixMilli(), "start_time": in.Start.UnixMilli(), "end_time": in.End.UnixMilli(),
		"severity_id": severity, "severity": name, "status_id": 1, "status": "New",
		"metadata": object{"version": ocsfVersion, "profiles": []string{"cloud"}, "uid": in.ID,
			"product": object{"name": "bartizan", "vendor_name": "bartizan", "version": o.run.Version}},
		"cloud":             ocsfCloud(&finding.Resource{Account: in.Account}),
		"finding_info_list": infos,
		"assignee_group":    object{"name": "unassigned"}, // the schema wants an assignee
		"message":           in.Title,
		"desc":              strings.Join(in.Because, "; "),
		"unmapped":          object{"actor": in.Actor, "tactics": in.Tactics, "sessions": in.Sessions},
	}
	if len(attacks) > 0 {
		e["attacks"] = attacks
	}
	return e
}

// without returns the section without the groups of a status.
func (s *section) without(status finding.Status) *section {
	out := *s
	out.groups = nil
	for _, g := range s.groups {
		if g.status != status {
			out.groups = append(out.groups, g)
		}
	}
	return &out
}
