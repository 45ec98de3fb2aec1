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
func (j *Judge) finding(w *window, terms []term, points map[string]float64, score float64, now standing) *finding.Finding {
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
		RuleID: lead, Title: kinds[lead].title, Pillar: finding.PillarDetection, Status: finding.StatusFail, Severity: severity(score),
		Fingerprint: finding.Fingerprint("baseline", w.key, fmt.Sprint(w.day)), Actor: w.actor, Techniques: slices.Clone(kinds[lead].techniques),
		Resource: finding.Resource{Type: "AWS::Account", ID: cmp.Or(w.account, "-"), Account: w.account},
		Reason:   fmt.Sprintf("score %g on %s: %s", score, w.at(0).Format(time.DateOnly), addends(points)),
		Why:      "What a principal has never done before may be done by somebody else in its name. The score is the sum of the terms in the evidence.",
		Evidence: evidence(terms, points),
	}
	if !now.known() {
		f.Reason += "; the principal itself is too new to be judged by its past"
	}
	var earliest mark
	for _, t := range terms {
		for _, m := range t.marks {
			if earliest.at == 0 || m.compare(earliest) < 0 {
				earliest = m
			}
			if m.id != "" && len(f.EventIDs) < maxEventIDs && !slices.Contains(f.EventIDs, m.id) {
				f.EventIDs = append(f.EventIDs, m.id)
			}
		}
	}
	f.Time = time.UnixMilli(earliest.at).UTC()
	return f
}

func severity(score float64) finding.Severity {
	switch {
	case score >= 12:
		return finding.SeverityHigh
	case score >= 8:
		return finding.SeverityMedium
	}
	return finding.SeverityLow
}

// addends is what each rule adds to the score: 3 new-calls + 2 new-region.
func addends(points map[string]float64) string {
	var parts []string
	for _, id := range ids {
		if points[id] > 0 {
			parts = append(parts, fmt.Sprintf("%g %s", points[id], short(id)))
		}
	}
	return strings.Join(parts, " + ")
}

// evidence is the terms in their order, and what is left of those rules whose
// terms are more than the most that they add.
func evidence(terms []term, points map[string]float64) []finding.Evidence {
	var out []finding.Evidence
	sums := map[string]float64{}
	for i, t := range terms {
		sums[t.rule] += t.points
		if i < maxTerms {
			out = append(out, finding.Evidence{Path: short(t.rule), Value: t.what, Note: fmt.Sprintf("+%g: %s; %s", t.points, t.why, eventsOf(t.marks))})
		}
	}
	if n := len(terms) - maxTerms; n > 0 {
		out = append(out, finding.Evidence{Path: "terms", Value: n, Note: "more terms of the same rules"})
	}
	for _, id := range ids {
		if sums[id] > points[id] {
			out = append(out, finding.Evidence{Path: short(id), Value: fmt.Sprintf("at most %g", points[id]), Note: fmt.Sprintf("the terms of this rule are %g together", sums[id])})
		}
	}
	return out
}

func short(rule string) string { return strings.TrimPrefix(rule, "baseline/") }

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
