package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// digest keeps, of every rule and of every severity of detections, the findings
// that come first and the number of the others, so that its memory does not grow
// with the number of findings.
type digest struct {
	perRule       int // findings kept of one control and status
	perDetections int // detections kept of one severity and status
	groups        map[groupKey]*group
}

type groupKey struct {
	detection bool
	pillar    finding.Pillar
	rule      string           // of a control
	severity  finding.Severity // of a detection
	status    finding.Status
}

type group struct {
	groupKey
	title string
	worst finding.Severity
	shown []*finding.Finding // sorted
	total int
}

func (g *group) more() int { return g.total - len(g.shown) }

func (d *digest) add(f *finding.Finding) {
	key := groupKey{status: f.Status, detection: f.IsDetection()}
	if statusIndex(f.Status) < 0 { // whatever is not known to be fine is unknown
		key.status = finding.StatusUnknown
	}
	most, order := d.perRule, finding.Compare
	if key.detection {
		key.severity, most, order = f.Severity, d.perDetections, byTime
	} else {
		key.pillar, key.rule = f.Pillar, f.RuleID
	}
	g := d.groups[key]
	if g == nil {
		if d.groups == nil {
			d.groups = map[groupKey]*group{}
		}
		g = &group{groupKey: key, title: f.Title, worst: f.Severity}
		d.groups[key] = g
	}
	g.total++
	g.title = min(g.title, f.Title)
	if f.Severity.Rank() > g.worst.Rank() {
		g.worst = f.Severity
	}
	if len(g.shown) == most && order(g.shown[most-1], f) <= 0 {
		return // the usual case of a long report
	}
	at, _ := slices.BinarySearchFunc(g.shown, f, order)
	if at < most {
		if len(g.shown) == most {
			g.shown = g.shown[:most-1]
		}
		kept := *f
		g.shown = slices.Insert(g.shown, at, &kept)
	}
}

func byTime(a, b *finding.Finding) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.RuleID, b.RuleID), cmp.Compare(a.Resource.Account, b.Resource.Account),
		cmp.Compare(a.Actor, b.Actor), cmp.Compare(a.Fingerprint, b.Fingerprint))
}

// section is a heading and its groups: a pillar, or the detections.
type section struct {
	pillar    finding.Pillar
	detection bool
	groups    []*group
}

func (s *section) title() string {
	switch {
	case s.detection:
		return "Detections"
	case s.pillar == "":
		return "Other"
	}
	return strings.ToUpper(string(s.pillar[:1])) + string(s.pillar[1:])
}

// sections returns detections first, then the pillars in report order; a pillar
// of which everything passed has no groups but stands in the summary.
func (d *digest) sections(s *finding.Summary) []*section {
	detections := &section{detection: true}
	pillars := map[finding.Pillar]*section{}
	for _, p := range s.Pillars {
		pillars[p.Pillar] = &section{pillar: p.Pillar}
	}
	for _, g := range d.groups {
		if g.detection {
			detections.groups = append(detections.groups, g)
			continue
		}
		if pillars[g.pillar] == nil {
			pillars[g.pillar] = &section{pillar: g.pillar}
		}
		pillars[g.pillar].groups = append(pillars[g.pillar].groups, g)
	}
	var out []*section
	if len(detections.groups) > 0 {
		out = append(out, detections)
	}
	names := make([]finding.Pillar, 0, len(pillars))
	for p := range pillars {
		names = append(names, p)
	}
	slices.SortFunc(names, func(a, b finding.Pillar) int {
		return cmp.Or(cmp.Compare(pillarIndex(a), pillarIndex(b)), cmp.Compare(a, b))
	})
	for _, p := range names {
		out = append(out, pillars[p])
	}
	for _, s := range out {
		slices.SortFunc(s.groups, func(a, b *group) int {
			return cmp.Or(cmp.Compare(statusIndex(a.status), statusIndex(b.status)),
				cmp.Compare(b.worst.Rank(), a.worst.Rank()), cmp.Compare(a.rule, b.rule))
		})
	}
	return out
}

func pillarIndex(p finding.Pillar) int {
	if i := slices.Index(finding.Pillars(), p); i >= 0 {
		return i
	}
	return len(finding.Pillars())
}

func statusIndex(s finding.Status) int {
	return slices.Index([]finding.Status{finding.StatusFail, finding.StatusUnknown, finding.StatusMuted, finding.StatusPass}, s)
}

// gapGroup is the gaps that one operation left for one reason.
type gapGroup struct {
	estate.Gap
	n      int
	places []string // the first accounts and regions
}

// groupGaps joins gaps of the same operation, code and permission; the reason
// is that of the first in order.
func groupGaps(gaps []estate.Gap) []*gapGroup {
	type key struct{ operation, code, permission string }
	sorted := slices.Clone(gaps)
	slices.SortFunc(sorted, func(a, b estate.Gap) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Permission, b.Permission),
			cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Reason, b.Reason))
	})
	groups := map[key]*gapGroup{}
	var out []*gapGroup
	for _, g := range sorted {
		k := key{g.Operation, g.Code, g.Permission}
		if groups[k] == nil {
			groups[k] = &gapGroup{Gap: g}
			out = append(out, groups[k])
		}
		gg := groups[k]
		gg.n++
		place := strings.TrimSpace(g.Account + " " + g.Region)
		if len(gg.places) < 4 && place != "" && !slices.Contains(gg.places, place) {
			gg.places = append(gg.places, place)
		}
	}
	return out
}

// resourceName is what a reader knows a resource by.
func resourceName(r *finding.Resource) string {
	return cmp.Or(r.ID, r.ARN, r.Type)
}

// place is the account and region of a resource.
func place(r *finding.Resource) string {
	region := r.Region
	if region == "" && r.Account != "" {
		region = "global"
	}
	return strings.TrimSpace(r.Account + " " + region)
}

// whole is a resource with its place; an account that is itself the resource is
// not named twice.
func whole(r *finding.Resource) string {
	if r.ID == r.Account && r.ID != "" {
		return strings.TrimSpace("account " + place(r))
	}
	return strings.TrimSpace(resourceName(r) + "  " + place(r))
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// lastDay is the last day on which a mute holds.
func lastDay(m *finding.Mute) string {
	return m.Expires.Add(-time.Nanosecond).UTC().Format(time.DateOnly)
}

// why is the reason of a finding, and for a muted one that of its mute.
func why(f *finding.Finding) string {
	if f.Status == finding.StatusMuted && f.Mute != nil {
		return "muted until " + lastDay(f.Mute) + " by " + f.Mute.Owner + ": " + f.Mute.Reason
	}
	return f.Reason
}
