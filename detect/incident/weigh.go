package incident

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/finding"
)

// An incident of so many tactics and rules of medium severity and worse is an
// operation, not a mishap: what is low is what programs do all day, too.
const operationTactics, operationRules = 4, 5

// weigh sets the severity and says how it came about. It returns what single
// steps made possible.
//
// The terms, in this order: the worst detection; one level up for detections
// that cover at least four tactics with five rules, low ones aside; up to critical where the
// estate shows that a step made somebody an administrator, and one level up
// where the actor is one; one level down where every call was refused; one level
// down for known automation.
func (b *builder) weigh(in *finding.Incident, steps []*step) map[*step]string {
	worst := 0
	for _, s := range steps {
		worst = max(worst, s.rule.severity.Rank())
	}
	rank := worst
	say := func(format string, args ...any) { in.Because = append(in.Because, fmt.Sprintf(format, args...)) }
	say("the worst alert is %s", severityOf(worst))
	move := func(to int, format string, args ...any) {
		to = min(max(to, 1), finding.SeverityCritical.Rank())
		word := "raised to "
		if to < rank {
			word = "lowered to "
		}
		if to == rank {
			return
		}
		rank = to
		say("%s%s: %s", word, severityOf(to), fmt.Sprintf(format, args...))
	}
	rules, tactics := map[*rule]bool{}, []string{}
	for _, s := range steps {
		if s.rule.severity.Rank() >= finding.SeverityMedium.Rank() {
			rules[s.rule] = true
			tactics = appendNew(tactics, s.rule.tactics...)
		}
	}
	if len(tactics) >= operationTactics && len(rules) >= operationRules {
		move(rank+1, "%d rules of %d tactics", len(rules), len(tactics))
	}
	reach := map[*step]string{}
	if judge := b.c.opt.Judge; judge != nil {
		for _, s := range steps {
			if s.change == nil || s.err != "" {
				continue
			}
			a, ok := judge.Change(s.change.Change)
			if !ok {
				continue
			}
			reach[s] = a.Reason
			in.Reach = append(in.Reach, finding.Reach{Principal: a.Principal, Answer: string(a.Outcome), Reason: a.Reason})
			if a.Outcome == Administrator && !a.Before {
				move(finding.SeverityCritical.Rank(), "%s", a.Reason)
			}
		}
		admin := ""
		for _, p := range b.actors(steps) {
			if slices.ContainsFunc(in.Reach, func(r finding.Reach) bool {
				return r.Answer == string(Administrator) && nameOf(r.Principal) == nameOf(p)
			}) {
				continue // said already, and by what
			}
			a, ok := b.reach[p]
			if !ok {
				a = judge.Principal(p)
				b.reach[p] = a
			}
			in.Reach = append(in.Reach, finding.Reach{Principal: a.Principal, Answer: string(a.Outcome), Reason: a.Reason})
			if a.Outcome == Administrator && admin == "" {
				admin = a.Reason
			}
		}
		if admin != "" && worst >= finding.SeverityMedium.Rank() {
			move(rank+1, "%s", admin)
		}
	}
	if !slices.ContainsFunc(steps, func(s *step) bool { return s.err == "" }) {
		move(rank-1, "every call was refused")
	}
	if reason, hints := automationOf(steps); reason != "" {
		in.Automation = reason
		move(rank-1, "known automation: %s", reason)
	} else {
		in.Hints = hints
	}
	in.Severity = severityOf(rank)
	return reach
}

// actors are the users and roles that the steps were done with, at most ten.
func (b *builder) actors(steps []*step) []string {
	var out []string
	for _, s := range steps {
		name := s.who.arn
		if s.who.issuer != "" {
			name = s.who.issuer
		}
		if strings.HasPrefix(name, "arn:") && !s.who.isService() && !slices.Contains(out, name) && len(out) < 10 {
			out = append(out, name)
		}
	}
	return out
}

// automationOf is the reason why all steps are automation, or else what looks
// like it.
func automationOf(steps []*step) (reason string, hints []string) {
	all := true
	for _, s := range steps {
		switch {
		case s.auto == nil:
			all = false
		case s.auto.Hint:
			all = false
			hints = appendNew(hints, s.auto.Reason)
		default:
			if reason == "" {
				reason = s.auto.Reason
			}
		}
	}
	if !all {
		reason = ""
	}
	return reason, hints
}

func severityOf(rank int) finding.Severity {
	all := finding.Severities()
	return all[len(all)-min(max(rank, 1), len(all))]
}
