package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// The most that the text of one incident lists; -o json has all.
const (
	maxExplainedSteps    = 100
	maxExplainedEntities = 20
	maxExplainedEvents   = 20
	maxNextSteps         = 8
)

// incidentReader finds incidents in a json report that somebody else reads at the
// same time, so that a report on standard input is read once.
type incidentReader struct {
	w     *io.PipeWriter
	done  chan struct{}
	found []finding.Incident // by visit's choice
	err   error              // of an incident that is none; what else is wrong with the report its reader says
}

func newIncidentReader(choose func(*finding.Incident) bool) *incidentReader {
	r, w := io.Pipe()
	x := &incidentReader{w: w, done: make(chan struct{})}
	go func() {
		defer close(x.done)
		x.read(json.NewDecoder(r), choose)
		_, _ = io.Copy(io.Discard, r) // the other reader must not wait
	}()
	return x
}

// close waits for the incidents.
func (x *incidentReader) close() ([]finding.Incident, error) {
	x.w.Close()
	<-x.done
	return x.found, x.err
}

func (x *incidentReader) read(d *json.Decoder, choose func(*finding.Incident) bool) {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return
	}
	var skip json.RawMessage
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return
		}
		if key != "findings" && key != "incidents" {
			if d.Decode(&skip) != nil {
				return
			}
			continue
		}
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return
		}
		for d.More() {
			if key == "findings" {
				if d.Decode(&skip) != nil {
					return
				}
				continue
			}
			var in finding.Incident
			if err := d.Decode(&in); err != nil {
				x.err = fmt.Errorf("%w: an incident: %w", finding.ErrNotReport, err)
				return
			}
			if choose(&in) {
				x.found = append(x.found, in)
			}
		}
		if _, err := d.Token(); err != nil {
			return
		}
	}
}

// nextSteps are the responses of the rules of an incident, those of the gravest
// steps first, and where to look on.
func nextSteps(in *finding.Incident) []string {
	var out []string
	responses := map[string]string{}
	if rules, err := packRules(); err == nil { // the pack has tests of its own; without it there are fewer hints
		for _, r := range rules {
			responses[r.Key()] = r.Response
		}
	}
	steps := slices.Clone(in.Timeline)
	slices.SortStableFunc(steps, func(a, b finding.IncidentStep) int {
		return cmp.Or(b.Severity.Rank()-a.Severity.Rank(), a.Time.Compare(b.Time))
	})
	for _, s := range steps {
		text := strings.Join(strings.Fields(responses[s.RuleID]), " ")
		if text == "" || slices.Contains(out, text) {
			continue
		}
		if out = append(out, text); len(out) == maxNextSteps {
			break
		}
	}
	if len(in.Sessions) > 0 {
		out = append(out, "Check the path: each step back names the event that proves it.")
	}
	if len(in.Reach) == 0 {
		out = append(out, "See what the actors can reach: bartizan detect LOGS --estate SNAPSHOT")
	}
	return out
}

func writeIncident(b *strings.Builder, in *finding.Incident, next []string) {
	fmt.Fprintf(b, "%s\n\n", report.Plain(in.Title))
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%-11s %s\n", name, report.Plain(value))
		}
	}
	row("id", in.ID)
	row("severity", string(in.Severity))
	row("who", in.Actor)
	row("account", in.Account)
	row("when", in.Start.UTC().Format(time.RFC3339)+" to "+in.End.UTC().Format(time.RFC3339))
	row("alerts", fmt.Sprint(in.Alerts))
	row("tactics", strings.Join(in.Tactics, " › "))
	row("techniques", strings.Join(in.Techniques, " "))
	row("automation", in.Automation)
	for _, h := range in.Hints {
		row("hint", h+" (a name alone: the severity stands)")
	}
	section := func(name string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(b, "\n%s\n", name)
		for _, l := range lines {
			fmt.Fprintf(b, "  %s\n", report.Plain(l))
		}
	}
	section("Why this severity", in.Because)
	var path []string
	for _, l := range in.Sessions {
		step := report.SessionStep(&l)
		if !l.Time.IsZero() {
			step += ", " + l.Time.UTC().Format(time.RFC3339)
		}
		path = append(path, step)
	}
	section("Path to whoever began it", path)
	var reach []string
	for _, r := range in.Reach {
		reach = append(reach, r.Principal+": "+r.Answer+"; "+r.Reason)
	}
	section("What the actors can reach", reach)
	writeTimeline(b, in)
	entities := func(name string, list []finding.Entity) {
		var lines []string
		for _, e := range list[:min(len(list), maxExplainedEntities)] {
			l := fmt.Sprintf("%s ×%d", e.Name, e.Count)
			if e.Note != "" {
				l += " (" + e.Note + ")"
			}
			lines = append(lines, l)
		}
		section(name, andMore(lines, len(list)-len(lines)))
	}
	entities("Principals", in.Principals)
	entities("Access keys", in.AccessKeys)
	entities("Addresses", in.Addresses)
	entities("Resources", in.Resources)
	events := in.EventIDs[:min(len(in.EventIDs), maxExplainedEvents)]
	section(fmt.Sprintf("Evidence: %d events", len(in.EventIDs)), andMore(slices.Clone(events), len(in.EventIDs)-len(events)))
	if len(next) > 0 {
		fmt.Fprintf(b, "\nNext steps\n")
		for i, l := range next {
			fmt.Fprintf(b, "  %d. %s\n", i+1, report.Plain(l))
		}
	}
}

func andMore(lines []string, n int) []string {
	if n > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more; -o json lists them", n))
	}
	return lines
}

// stage is steps of one rule, caller and result within a quarter of an hour.
type stage struct {
	finding.IncidentStep
	on []string
}

func stages(steps []finding.IncidentStep) []stage {
	var out []stage
	open := map[[4]string]int{}
	for _, s := range steps {
		key := [4]string{s.RuleID, s.Actor, s.Error, s.Reach}
		i, ok := open[key]
		if !ok || s.Time.Sub(out[i].Time) > 15*time.Minute {
			i = len(out)
			open[key] = i
			s.EventIDs = slices.Clone(s.EventIDs)
			out = append(out, stage{IncidentStep: s})
		} else {
			out[i].Count += s.Count
			out[i].EventIDs = append(out[i].EventIDs, s.EventIDs...)
			if s.Last.After(out[i].Last) {
				out[i].Last = s.Last
			}
		}
		if on := shortARN(cmp.Or(s.Resource.ARN, s.Resource.ID)); on != "" && s.Resource.Type != "AWS::Account" && !slices.Contains(out[i].on, on) {
			out[i].on = append(out[i].on, on)
		}
	}
	return out
}

func writeTimeline(b *strings.Builder, in *finding.Incident) {
	fmt.Fprintf(b, "\nTimeline\n")
	day := ""
	all := stages(in.Timeline)
	some := func(list []string, sep string) string {
		text := strings.Join(list[:min(len(list), 3)], sep)
		if n := len(list) - 3; n > 0 {
			text += fmt.Sprintf(" and %d more", n)
		}
		return text
	}
	for _, s := range all[:min(len(all), maxExplainedSteps)] {
		if d := s.Time.UTC().Format(time.DateOnly); d != day {
			day = d
			fmt.Fprintf(b, "  %s\n", d)
		}
		title := s.Title
		if s.Count > 1 {
			title += fmt.Sprintf(" ×%d until %s", s.Count, s.Last.UTC().Format("15:04:05Z"))
		}
		fmt.Fprintf(b, "  %s  %-13s %s\n", s.Time.UTC().Format("15:04:05Z"), s.Severity, report.Plain(title))
		about := []string{s.RuleID}
		for _, part := range [][2]string{{"on ", some(s.on, ", ")}, {"as ", shortARN(s.Actor)}, {"from ", s.Source}, {"answered ", s.Error}, {"", strings.Join(s.Techniques, " ")}} {
			if part[1] != "" {
				about = append(about, part[0]+part[1])
			}
		}
		fmt.Fprintf(b, "      %s\n", report.Plain(strings.Join(about, " · ")))
		if s.Reach != "" {
			fmt.Fprintf(b, "      %s\n", report.Plain(s.Reach))
		}
		if len(s.EventIDs) > 0 {
			fmt.Fprintf(b, "      events %s\n", report.Plain(some(s.EventIDs, " ")))
		}
	}
	if n := len(all) - maxExplainedSteps; n > 0 {
		fmt.Fprintf(b, "  … and %d more; -o json lists them\n", n)
	}
	if in.Cut > 0 {
		fmt.Fprintf(b, "  %d steps of less weight are not in the report\n", in.Cut)
	}
}

// shortARN is an ARN without what every ARN of an account has.
func shortARN(s string) string {
	if a, err := arn.Parse(s); err == nil && a.Resource != "" {
		return a.Resource
	}
	return s
}
