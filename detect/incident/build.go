package incident

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
)

// The bounds of one incident.
const (
	maxTimeline = 200
	maxEvents   = 200
	maxEntities = 50
	maxLinks    = 50
)

// builder makes incidents of runs.
type builder struct {
	c     *Correlator
	reach map[string]Answer
}

// build makes an incident of runs that were united, the earliest first. It
// returns nil where they are no more than detections of one rule that is not
// critical.
func (b *builder) build(runs []*run) *finding.Incident {
	var steps []*step
	for _, r := range runs {
		steps = append(steps, r.steps...)
	}
	slices.SortFunc(steps, (*step).compare)
	rules := map[*rule]bool{}
	worst := steps[0]
	for _, s := range steps {
		rules[s.rule] = true
		if s.rule.severity.Rank() > worst.rule.severity.Rank() {
			worst = s
		}
	}
	if steps[0].first <= 0 || len(rules) < 2 && worst.rule.severity != finding.SeverityCritical {
		return nil
	}
	var joins []finding.SessionLink
	for _, r := range runs {
		joins = append(joins, r.joins...)
	}
	lead := leader(steps, joins)
	in := &finding.Incident{
		Severity: worst.rule.severity, Start: milli(steps[0].first), Actor: cmp.Or(lead.origin.name, "unknown"), Account: lead.origin.account,
		Tactics: []string{}, Techniques: []string{}, EventIDs: []string{},
	}
	in.ID = finding.Fingerprint("incident", in.Actor, steps[0].rule.key, firstRef(steps[0]))
	for _, s := range steps {
		in.End = later(in.End, milli(s.last))
		in.Alerts += s.count
		in.Tactics = appendNew(in.Tactics, s.rule.tactics...)
		in.Techniques = appendNew(in.Techniques, s.rule.techniques...)
		for _, r := range s.refs {
			if len(in.EventIDs) < maxEvents {
				in.EventIDs = appendNew(in.EventIDs, r.id)
			}
		}
	}
	slices.Sort(in.Techniques)
	entities(in, steps)
	links(in, joins, steps)
	timeline(in, steps, b.weigh(in, steps))
	in.Title = worst.rule.title
	if n := len(rules) - 1; n > 0 {
		in.Title += fmt.Sprintf(" and %d other %s of alert", n, plural(n, "kind", "kinds"))
	}
	in.Title += ", by " + short(in.Actor)
	return in
}

// leader is a step of the origin that stands for the incident: the one with the
// most alerts among those whose credentials nobody else in it made.
func leader(steps []*step, joins []finding.SessionLink) *step {
	made := map[string]bool{}
	for _, j := range joins {
		if n := nameOf(j.To); n != "" && j.How != sameAddress {
			made[n] = true
		}
	}
	count := map[string]int{}
	for _, s := range steps {
		if n := nameOf(s.origin.name); n == "" || !made[n] {
			count[s.origin.name] += s.count
		}
	}
	best := steps[0]
	for _, s := range steps {
		if count[s.origin.name] > count[best.origin.name] {
			best = s
		}
	}
	return best
}

// links lists the way back of every session in the incident, and what united
// its actors.
func links(in *finding.Incident, joins []finding.SessionLink, steps []*step) {
	seen := map[finding.SessionLink]bool{}
	add := func(l finding.SessionLink) {
		l.Time = l.Time.UTC()
		if !seen[l] && len(in.Sessions) < maxLinks {
			seen[l] = true
			in.Sessions = append(in.Sessions, l)
		}
	}
	for _, j := range joins {
		add(j)
	}
	shown := map[string]bool{}
	for _, s := range steps {
		for _, l := range s.origin.links {
			if k := l.From + "\x00" + l.To + "\x00" + l.How; !shown[k] {
				shown[k] = true
				add(l)
			}
		}
		if o := s.origin; o.note != "" && len(o.links) == 0 && !shown[o.name] {
			shown[o.name] = true
			add(finding.SessionLink{From: "unknown", To: s.who.label(), How: o.note})
		}
	}
	slices.SortStableFunc(in.Sessions, func(a, b finding.SessionLink) int {
		return cmp.Or(timeless(&a)-timeless(&b), a.Time.Compare(b.Time), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.EventID, b.EventID))
	})
}

func timeless(l *finding.SessionLink) int {
	if l.Time.IsZero() {
		return 1
	}
	return 0
}

// entities counts who and what takes part.
func entities(in *finding.Incident, steps []*step) {
	type list map[string]*finding.Entity
	principals, keys, addresses, resources := list{}, list{}, list{}, list{}
	add := func(l list, name, note string, n int) {
		if name == "" {
			return
		}
		if l[name] == nil {
			l[name] = &finding.Entity{Name: name, Note: note}
		}
		l[name].Count += n
	}
	for _, s := range steps {
		note := ""
		if s.origin.name != s.who.label() {
			note = "of " + s.origin.name
		}
		add(principals, s.who.label(), note, s.count)
		add(keys, s.who.key, s.who.label(), s.count)
		add(addresses, s.source, "", s.count)
		if s.typ != "AWS::Account" {
			add(resources, s.id, s.typ, s.count)
		}
	}
	sorted := func(l list) []finding.Entity {
		var out []finding.Entity
		for _, e := range l {
			out = append(out, *e)
		}
		slices.SortFunc(out, func(a, b finding.Entity) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
		})
		return out[:min(len(out), maxEntities)]
	}
	in.Principals, in.AccessKeys, in.Addresses, in.Resources = sorted(principals), sorted(keys), sorted(addresses), sorted(resources)
}

// timeline writes the steps in order of time; of more than maxTimeline the worst
// stay.
func timeline(in *finding.Incident, steps []*step, reach map[*step]string) {
	keep := slices.Clone(steps)
	if in.Cut = len(steps) - maxTimeline; in.Cut > 0 {
		slices.SortStableFunc(keep, func(a, b *step) int { return cmp.Compare(b.rule.severity.Rank(), a.rule.severity.Rank()) })
		keep = keep[:maxTimeline]
		slices.SortFunc(keep, (*step).compare)
	}
	in.Cut = max(in.Cut, 0)
	for _, s := range keep {
		t := finding.IncidentStep{Time: milli(s.first), Last: milli(s.last), Count: s.count, RuleID: s.rule.key, Title: s.rule.title, Severity: s.rule.severity,
			Tactics: s.rule.tactics, Techniques: s.rule.techniques, Actor: s.who.label(), Source: s.source, Resource: s.sample.Resource, Error: s.err,
			EventIDs: []string{}, Reach: reach[s]}
		for _, r := range s.refs {
			t.EventIDs = append(t.EventIDs, r.id)
		}
		in.Timeline = append(in.Timeline, t)
	}
}

func milli(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func firstRef(s *step) string {
	if len(s.refs) == 0 {
		return ""
	}
	return s.refs[0].id
}

func appendNew(list []string, more ...string) []string {
	for _, m := range more {
		if m != "" && !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// short is a name for a title: user/bob, the rest of an ARN or the name itself.
func short(name string) string {
	if a, err := arn.Parse(name); err == nil && a.Resource != "" {
		return a.Resource
	}
	return name
}
