package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/incident"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// incidentFlags say how detections become incidents and which are suppressed.
type incidentFlags struct {
	off      bool
	gap      time.Duration
	estate   string
	suppress []string
	known    []string

	join       *incident.Correlator // nil: nobody asks for incidents
	suppressor *incident.Suppressor
}

func addIncidentFlags(c *cobra.Command) *incidentFlags {
	f := &incidentFlags{}
	c.Flags().BoolVar(&f.off, "no-incidents", false, "leave the detections as they are, and save the work of joining them")
	c.Flags().DurationVar(&f.gap, "gap", 6*time.Hour, "longest time between two detections of one incident")
	c.Flags().StringVarP(&f.estate, "estate", "e", "", "snapshot `FILE`: the severity of incidents then follows what their actors can reach")
	c.Flags().StringArrayVar(&f.suppress, "suppress", nil, "suppression `FILE` (YAML or JSON): rule, actor, resource, account, source, reason, owner, expires; repeatable")
	c.Flags().StringArrayVar(&f.known, "automation", nil, "`FILE` of your own automation, joined to what is built in; repeatable")
	return f
}

// check reads the files that the flags name.
func (f *incidentFlags) check(ctx context.Context, a *App, formats []string) error {
	if f.gap < time.Hour {
		return usageErrorf("--gap %s: want an hour or more", f.gap)
	}
	var list []incident.Suppression
	for _, name := range f.suppress {
		data, err := readLimited(name, 2<<20)
		if err == nil {
			var more []incident.Suppression
			if more, err = incident.ParseSuppressions(name, data); err == nil {
				list = append(list, more...)
				continue
			}
		}
		return &Error{Code: ExitUsage, Err: fmt.Errorf("--suppress: %w", err), Hint: "see docs/incidents.md for the format"}
	}
	f.suppressor = incident.NewSuppressor(list, a.Now())
	if f.off || !slices.ContainsFunc(formats, func(s string) bool {
		return slices.Contains([]string{"table", "json", "markdown", "html", "ocsf"}, s)
	}) {
		if f.estate != "" {
			return usageErrorf("--estate needs incidents: leave out --no-incidents, and write table, json, markdown, html or ocsf")
		}
		return nil
	}
	opt := incident.Options{Gap: f.gap}
	var err error
	if opt.Automation, err = incident.ParseAutomation("built in", catalog.Automation); err != nil {
		return err
	}
	for _, name := range f.known {
		data, err := readLimited(name, 1<<20)
		if err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("--automation: %w", err)}
		}
		more, err := incident.ParseAutomation(name, data)
		if err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("--automation: %w", err), Hint: "see docs/incidents.md for the format"}
		}
		opt.Automation = append(more, opt.Automation...)
	}
	if f.estate != "" {
		est, err := (&estateFlags{}).load(ctx, a, f.estate)
		if err != nil {
			return err
		}
		if opt.Judge, err = incident.NewEstate(est); err != nil {
			return incompleteErrorf("--estate %s: %w", f.estate, err)
		}
	}
	f.join = incident.New(opt)
	return nil
}

// addRule gives the engine the rule that finds sessions, and the fields by which
// callers are told.
func (f *incidentFlags) addRule(rules *ruleFlags) error {
	if f.join == nil {
		return nil
	}
	link, err := incident.LinkRule()
	if err != nil {
		return err
	}
	rules.extra = append(rules.extra, link)
	rules.fields = append(rules.fields, incident.Fields()...)
	return nil
}

// options makes a run keep what incidents need.
func (f *incidentFlags) options(opt *detect.Options) {
	if f.join != nil {
		opt.Keep, opt.Bare = f.join.Keep, incident.IsLinkRule
	}
}

// anomaly takes a finding of the baseline.
func (f *incidentFlags) anomaly(out *findingReport, x *finding.Finding) error {
	f.suppressor.Apply(x, "")
	if err := out.addTo(x); err != nil {
		return err
	}
	if f.join != nil && x.Status == finding.StatusFail {
		f.join.AddFinding(x)
	}
	return nil
}

// add takes a match: it is suppressed, reported and joined.
func (f *incidentFlags) add(out *findingReport, m *detect.Match) error {
	if m.Finding == nil {
		f.join.Add(m)
		return nil
	}
	f.suppressor.Apply(m.Finding, m.Source)
	if err := out.addTo(m.Finding); err != nil {
		return err
	}
	if f.join != nil && m.Finding.Status == finding.StatusFail {
		f.join.Add(m)
	}
	return nil
}

// finish hands the incidents to the report.
func (f *incidentFlags) finish(a *App, out *findingReport) {
	out.warnings = append(out.warnings, f.suppressor.Warnings()...)
	if f.suppressor.Count > 0 {
		a.notef("%d %s suppressed by --suppress", f.suppressor.Count, plural(f.suppressor.Count, "finding is", "findings are"))
	}
	if f.join == nil {
		return
	}
	r := f.join.Finish()
	out.incidents = r.Incidents
	for _, x := range r.Alone {
		out.alone = append(out.alone, report.Alone{Finding: x.Finding, Count: x.Count, Note: x.Automation})
	}
	if n := len(r.Incidents); n > 0 {
		a.notef("%d %s", n, plural(n, "incident", "incidents"))
	}
	if r.Forgotten > 0 {
		a.warnf("%d sessions were more than incidents remember: some actors are shown by their session and not by who opened it", r.Forgotten)
	}
	if r.Dropped > 0 {
		a.warnf("%d detections, most of them of rule %s, were more than incidents remember and are in none; all are in the findings (--skip RULE leaves a noisy rule out)", r.Dropped, report.Plain(r.Noisiest))
	}
}
