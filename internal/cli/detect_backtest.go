package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// backtest is what two rule sets find in the same logs.
type backtest struct {
	Old    backtestSide   `json:"old"`
	New    backtestSide   `json:"new"`
	Events backtestDelta  `json:"events"` // alerted by any rule of one set and none of the other
	Days   []backtestDay  `json:"days"`
	Rules  []backtestRule `json:"rules"`
	// Exact is false where there were more alerts than are remembered: then gone
	// and added are those among the first.
	Exact bool `json:"exact"`
}

type backtestSide struct {
	Name         string  `json:"name"`
	Rules        int     `json:"rules"`
	Alerts       int     `json:"alerts"`
	AlertsPerDay float64 `json:"alertsPerDay"`
}

type backtestDelta struct {
	Gone  int `json:"gone"`
	Added int `json:"added"`
}

type backtestDay struct {
	Day string `json:"day"`
	Old int    `json:"old"`
	New int    `json:"new"`
}

type backtestRule struct {
	ID       string           `json:"ruleId"`
	Title    string           `json:"title"`
	Severity finding.Severity `json:"severity"` // of the new set, where it has the rule
	Change   string           `json:"change"`   // added, gone, same, or changed
	Old      int              `json:"old"`
	New      int              `json:"new"`
	backtestDelta
	Examples []string `json:"examples,omitempty"` // events that only one set alerts on
}

// alertSet is what one rule set found.
type alertSet struct {
	rules  map[string]*alertRule
	alerts map[string]string // fingerprint → rule
	events map[string]bool
	days   map[string]int
	n      int
	over   bool
}

type alertRule struct {
	title    string
	severity finding.Severity
	n        int
}

const maxBacktest = 200_000 // alerts remembered of each rule set

func newAlertSet(rules []*sigma.Rule) *alertSet {
	s := &alertSet{rules: map[string]*alertRule{}, alerts: map[string]string{}, events: map[string]bool{}, days: map[string]int{}}
	for _, r := range rules {
		if !r.Silent() && r.Filter == nil {
			s.rules[r.Key()] = &alertRule{title: r.Title, severity: detect.Severity(r.Level)}
		}
	}
	return s
}

func (s *alertSet) add(m *detect.Match) error {
	f := m.Finding
	s.n++
	if r := s.rules[f.RuleID]; r != nil {
		r.n++
	}
	day := "unknown"
	if !f.Time.IsZero() {
		day = f.Time.UTC().Format(time.DateOnly)
	}
	s.days[day]++
	if len(s.alerts) >= maxBacktest {
		s.over = true
		return nil
	}
	example := strings.TrimSpace(f.RuleID + "\x00" + strings.Join(f.EventIDs[:min(len(f.EventIDs), 1)], ""))
	s.alerts[f.Fingerprint] = example
	for _, id := range f.EventIDs {
		s.events[id] = true
	}
	return nil
}

// backtest runs OLD and the rules that the other flags choose over the logs.
func (a *App) backtest(ctx context.Context, old string, rules *ruleFlags, sources func() ([]logs.Source, error), opt detect.Options, out *outputs) error {
	if f := out.format(); f != "table" && f != "json" {
		return usageErrorf("-o %s: --backtest writes table or json", f)
	}
	before := &ruleFlags{placeholders: rules.placeholders, files: rules.files}
	if old != "pack" {
		before.dirs, before.noPack = []string{old}, true
	}
	result := &backtest{Days: []backtestDay{}, Rules: []backtestRule{}, Exact: true}
	var sets [2]*alertSet
	var problems *problemList
	var malformed int64
	for i, flags := range []*ruleFlags{before, rules} {
		engine, err := flags.engine(a)
		if err != nil {
			return err
		}
		list, err := sources()
		if err != nil {
			return err
		}
		sets[i] = newAlertSet(engine.Rules())
		problems = &problemList{a: a}
		opt.Problem, opt.Skipped = problems.add, problems.skip
		stats, err := detect.Run(ctx, list, engine, opt, sets[i].add)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return err
			}
			return stopped("detect", err)
		}
		malformed = stats.Malformed
		a.notef("%s rules: %d matches in %d events", []string{"old", "new"}[i], stats.Matches, stats.Events)
	}
	result.Old.Name, result.New.Name = old, cmp.Or(strings.Join(rules.dirs, " "), "pack")
	if len(rules.dirs) > 0 && !rules.noPack {
		result.New.Name = "pack and " + result.New.Name
	}
	result.compare(sets[0], sets[1])
	err := out.emit(a, func(format string, w io.Writer, _ bool) error {
		if format == "json" {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(result)
		}
		var b strings.Builder
		result.table(&b)
		_, err := io.WriteString(w, b.String())
		return err
	})
	if err != nil {
		return err
	}
	for _, line := range problems.summary(malformed) {
		a.warnf("%s", report.Plain(line))
	}
	if malformed > 0 {
		return errIncomplete
	}
	return nil
}

func (b *backtest) compare(old, now *alertSet) {
	b.Old.Rules, b.New.Rules = len(old.rules), len(now.rules)
	b.Old.Alerts, b.New.Alerts = old.n, now.n
	b.Exact = !old.over && !now.over
	days := map[string]bool{}
	for d := range old.days {
		days[d] = true
	}
	for d := range now.days {
		days[d] = true
	}
	for d := range days {
		b.Days = append(b.Days, backtestDay{d, old.days[d], now.days[d]})
	}
	slices.SortFunc(b.Days, func(x, y backtestDay) int { return cmp.Compare(x.Day, y.Day) })
	if n := float64(len(b.Days)); n > 0 {
		b.Old.AlertsPerDay, b.New.AlertsPerDay = float64(old.n)/n, float64(now.n)/n
	}
	for e := range old.events {
		if !now.events[e] {
			b.Events.Gone++
		}
	}
	for e := range now.events {
		if !old.events[e] {
			b.Events.Added++
		}
	}
	rules := map[string]*backtestRule{}
	of := func(id string, r *alertRule) *backtestRule {
		if rules[id] == nil {
			rules[id] = &backtestRule{ID: id, Title: r.title, Severity: r.severity}
		}
		return rules[id]
	}
	for id, r := range now.rules {
		of(id, r).New = r.n
	}
	for id, r := range old.rules {
		of(id, r).Old = r.n
	}
	only := func(a, b *alertSet, mark func(*backtestRule, string)) {
		for f, example := range a.alerts {
			if _, ok := b.alerts[f]; !ok {
				id, event, _ := strings.Cut(example, "\x00")
				if r := rules[id]; r != nil {
					mark(r, event)
				}
			}
		}
	}
	only(old, now, func(r *backtestRule, e string) { r.Gone++; r.Examples = append(r.Examples, "− "+e) })
	only(now, old, func(r *backtestRule, e string) { r.Added++; r.Examples = append(r.Examples, "+ "+e) })
	for id, r := range rules {
		switch {
		case old.rules[id] == nil:
			r.Change = "added"
		case now.rules[id] == nil:
			r.Change = "gone"
		case r.Gone+r.Added > 0:
			r.Change = "changed"
		default:
			r.Change = "same"
		}
		slices.Sort(r.Examples)
		r.Examples = r.Examples[:min(len(r.Examples), 3)]
		b.Rules = append(b.Rules, *r)
	}
	order := []string{"changed", "added", "gone", "same"}
	slices.SortFunc(b.Rules, func(x, y backtestRule) int {
		return cmp.Or(cmp.Compare(slices.Index(order, x.Change), slices.Index(order, y.Change)), cmp.Compare(y.Gone+y.Added, x.Gone+x.Added), cmp.Compare(x.ID, y.ID))
	})
}

func (b *backtest) table(w *strings.Builder) {
	fmt.Fprintf(w, "%-8s %6s %8s %10s  %s\n", "", "rules", "alerts", "per day", "from")
	fmt.Fprintf(w, "%-8s %6d %8d %10.1f  %s\n", "old", b.Old.Rules, b.Old.Alerts, b.Old.AlertsPerDay, report.Plain(b.Old.Name))
	fmt.Fprintf(w, "%-8s %6d %8d %10.1f  %s\n\n", "new", b.New.Rules, b.New.Alerts, b.New.AlertsPerDay, report.Plain(b.New.Name))
	fmt.Fprintf(w, "events that only the old rules alert on: %d; only the new ones: %d\n", b.Events.Gone, b.Events.Added)
	if !b.Exact {
		fmt.Fprintf(w, "more than %d alerts: gone and added count the first of them alone\n", maxBacktest)
	}
	fmt.Fprintf(w, "\n%-12s %8s %8s %8s\n", "day", "old", "new", "change")
	for i, d := range b.Days {
		if i == 31 {
			fmt.Fprintf(w, "… and %d more days; -o json lists them all\n", len(b.Days)-i)
			break
		}
		fmt.Fprintf(w, "%-12s %8d %8d %+8d\n", d.Day, d.Old, d.New, d.New-d.Old)
	}
	fmt.Fprintf(w, "\n%-8s %7s %7s %7s %7s  %s\n", "rule is", "old", "new", "gone", "added", "rule")
	same, silent := 0, 0
	for i := range b.Rules {
		r := &b.Rules[i]
		switch {
		case r.Change == "same":
			same++
		case r.Old+r.New == 0:
			silent++
		default:
			fmt.Fprintf(w, "%-8s %7d %7d %7d %7d  %s\n", r.Change, r.Old, r.New, r.Gone, r.Added, report.Plain(r.ID))
			fmt.Fprintf(w, "%42s%s\n", "", report.Plain(r.Title))
			for _, e := range r.Examples[:min(len(r.Examples), 1)] {
				fmt.Fprintf(w, "%42s%s\n", "", report.Plain(e))
			}
		}
	}
	if same > 0 {
		fmt.Fprintf(w, "%d %s the same alerts under both\n", same, plural(same, "rule gives", "rules give"))
	}
	if silent > 0 {
		fmt.Fprintf(w, "%d added or gone %s no alert under either\n", silent, plural(silent, "rule gives", "rules give"))
	}
}
