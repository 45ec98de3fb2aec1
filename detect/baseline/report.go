package baseline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/finding"
)

const (
	maxTerms    = 40 // printed
	maxEventIDs = 50
)

// finding prints the terms of a day, those of the heaviest rule first.
func (j *Judge) finding(w *window, terms []term, points map[string]float64, score float64, what int) *finding.Finding {
	lead := ""
	for _, id := range ids {
		if lead == "" || points[id] > points[lead] {
			lead = id
		}
	}
	slices.SortStableFunc(terms, func(a, b term) int {
		return cmp.Or(cmp.Compare(points[b.rule], points[a.rule]), cmp.Compare(a.rule, b.rule), cmp.Compare(b.points, a.points), cmp.Compare(a.what, b.what))
	})
	f := &finding.Finding{
		RuleID: lead, Title: kinds[lead].title, Pillar: finding.PillarDetection, Status: finding.StatusFail, Severity: finding.SeverityLow,
		Fingerprint: finding.Fingerprint("baseline", w.key, fmt.Sprint(w.day)), Actor: w.actor, Techniques: slices.Clone(kinds[lead].techniques),
		Resource: finding.Resource{Type: "AWS::Account", ID: cmp.Or(w.account, "-"), Account: w.account},
		Why:      "What a principal has never done before may be done by somebody else in its name. The score is the sum of the terms in the evidence.",
	}
	switch {
	case score >= 12:
		f.Severity = finding.SeverityHigh
	case score >= 8:
		f.Severity = finding.SeverityMedium
	}
	var parts []string
	for _, id := range ids {
		if points[id] > 0 {
			parts = append(parts, fmt.Sprintf("%g %s", points[id], strings.TrimPrefix(id, "baseline/")))
		}
	}
	f.Reason = fmt.Sprintf("score %g on %s: %s", score, w.at(0).Format(time.DateOnly), strings.Join(parts, " + "))
	if what == coldUnknown || what == coldYoung {
		f.Reason += "; the principal itself is too new to be judged by its past"
	}
	var earliest mark
	for i, t := range terms {
		for _, m := range t.marks {
			if earliest.at == 0 || m.compare(earliest) < 0 {
				earliest = m
			}
			if m.id != "" && len(f.EventIDs) < maxEventIDs && !slices.Contains(f.EventIDs, m.id) {
				f.EventIDs = append(f.EventIDs, m.id)
			}
		}
		if i < maxTerms {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: strings.TrimPrefix(t.rule, "baseline/"), Value: t.what, Note: fmt.Sprintf("+%g: %s; %s", t.points, t.why, eventsOf(t.marks))})
		}
	}
	if n := len(terms) - maxTerms; n > 0 {
		f.Evidence = append(f.Evidence, finding.Evidence{Path: "terms", Value: n, Note: "more terms of the same rules"})
	}
	for _, id := range ids {
		n := 0.0
		for _, t := range terms {
			if t.rule == id {
				n += t.points
			}
		}
		if n > points[id] {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: strings.TrimPrefix(id, "baseline/"), Value: fmt.Sprintf("at most %g", points[id]), Note: fmt.Sprintf("the terms of this rule are %g together", n)})
		}
	}
	f.Time = time.UnixMilli(earliest.at).UTC()
	return f
}

// eventsOf names up to six events.
func eventsOf(marks []mark) string {
	var list []string
	for _, m := range marks {
		if !slices.Contains(list, m.id) && len(list) < 6 {
			list = append(list, m.id)
		}
	}
	if len(list) == 1 {
		return "event " + list[0]
	}
	return "events " + strings.Join(list, ", ")
}
