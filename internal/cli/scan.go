package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/posture"
)

func newScanCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "scan [ESTATE]",
		Short: "Check an estate with controls",
		Long: `scan checks an estate over the five domains of the Well-Architected Security
Pillar. ESTATE is a snapshot made by 'bartizan collect', a directory of AWS CLI
outputs, or one such output; without it, the live account is collected first.

Findings at or above --fail-on give exit code 1, whether or not everything could
be read. Without such findings, anything that could not be read gives 3: what
depends on it is reported as unknown, never as passed.`,
		Example: `  bartizan scan
  bartizan scan estate.json.zst -o table -o html=report.html
  bartizan scan cli-outputs/ --only identity --fail-on high
  bartizan scan estate.json.zst --baseline last-week.json --fail-on new:high`,
		Args: cobra.MaximumNArgs(1),
	}
	source := addEstateFlags(c)
	controls := addControlFlags(c)
	reports := addReportFlags(c, "low")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := reports.check(a); err != nil {
			return err
		}
		set, err := controls.compile()
		if err != nil {
			return err
		}
		path := ""
		if len(args) == 1 {
			path = args[0]
		}
		src, err := source.open(cmd.Context(), a, path, set.Types()...)
		if err != nil {
			return err
		}
		defer src.Close()
		return a.scan(cmd.Context(), set, src, reports)
	}
	return c
}

func (a *App) scan(ctx context.Context, set *posture.Set, src *opened, reports *reportFlags) error {
	run := a.reportRun("scan", src.Name, src.Header().Scope.Accounts)
	if t := src.Header().Time; !t.IsZero() {
		run.Time = t // as it was when the estate was read: the same estate gives the same report
	}
	out, err := reports.open(a, run)
	if err != nil {
		return err
	}
	defer out.abort()
	now := run.Time
	var writing error
	sum, err := set.Run(ctx, src, posture.Options{Now: now}, func(f finding.Finding) error {
		writing = out.add(f)
		return writing
	})
	hint := ""
	switch {
	case err == nil:
	case writing != nil:
		return writing
	case errors.Is(err, context.Canceled):
		out.notComplete("interrupted after %d %s", sum.Resources, plural(sum.Resources, "resource", "resources"))
	default:
		// What was read is reported; nothing found so far is lost.
		out.notComplete("%v", err)
		var e *Error
		if errors.As(err, &e) {
			hint = e.Hint
		}
	}
	if n := src.unread; n > 0 {
		out.notComplete("%d %s of %s could not be read", n, plural(n, "file", "files"), src.Name)
	}
	if sum.Resources == 0 && err == nil {
		out.notComplete("%s holds no resources", src.Name)
	}
	result := out.close(sum.Gaps)
	if hint != "" {
		a.notef("hint: %s", hint)
	}
	if n := len(sum.Skipped); n > 0 {
		a.notef("%d %s not used: what they look at is not in %s", n, plural(n, "control was", "controls were"), src.Name)
	}
	if sum.Results[finding.StatusFail] == 0 && reports.out.format() == "table" {
		// The report itself names the next step after a failure.
		if errors.Is(result, errIncomplete) && hint == "" && src.unread == 0 {
			a.notef("next: bartizan doctor, to see which permissions are missing")
		} else if result == nil {
			a.notef("next: the same with -o html=report.html, or bartizan iam paths")
		}
	}
	return result
}
