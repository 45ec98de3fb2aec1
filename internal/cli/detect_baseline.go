package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// baselineFlags judge events by what was learned of their principals.
type baselineFlags struct {
	state     string
	addresses string
	threshold float64

	judge *baseline.Judge
	found []*finding.Finding // in the order in which days are settled
	more  int                // found beyond what is kept
}

const maxAnomalies = 20_000

func addBaselineFlags(c *cobra.Command) *baselineFlags {
	f := &baselineFlags{}
	c.Flags().StringVar(&f.state, "baseline-state", "", "state `FILE` of 'bartizan detect baseline learn': what principals never did before becomes a finding")
	c.Flags().Float64Var(&f.threshold, "baseline-threshold", baseline.Threshold, "score from which a principal's day is a finding")
	c.Flags().StringVar(&f.addresses, "addresses", "", "CSV `FILE` of CIDR,latitude,longitude[,name]: journeys that are too fast add to the score")
	return f
}

// open reads the files that the flags name.
func (f *baselineFlags) open(a *App) error {
	if f.state == "" {
		if f.addresses != "" {
			return usageErrorf("--addresses needs --baseline-state FILE")
		}
		return nil
	}
	if f.threshold <= 0 {
		return usageErrorf("--baseline-threshold %g: want more than 0", f.threshold)
	}
	state, err := a.readState(f.state, relearn)
	if err != nil {
		return err
	}
	opt := baseline.Options{Threshold: f.threshold}
	if f.addresses != "" {
		file, err := os.Open(f.addresses)
		if err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("--addresses: %w", err)}
		}
		defer file.Close()
		if opt.Places, err = baseline.ReadPlaces(file); err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("--addresses %s: %w", f.addresses, err), Hint: "lines are such as 192.0.2.0/24,52.37,4.90,Amsterdam"}
		}
	}
	a.notef("baseline: %d events of %d principals over %d days, until %s", state.Events, len(state.Principals), state.Days(), state.Until.UTC().Format("2006-01-02 15:04Z"))
	f.judge = baseline.NewJudge(state, opt, func(x *finding.Finding) error {
		if len(f.found) < maxAnomalies {
			f.found = append(f.found, x)
		} else {
			f.more++
		}
		return nil
	})
	return nil
}

// finish settles what is open, hands the findings on and states the cold start.
func (f *baselineFlags) finish(a *App, emit func(*finding.Finding) error) error {
	if f.judge == nil {
		return nil
	}
	if err := f.judge.Finish(); err != nil {
		return err
	}
	for _, x := range f.found {
		if err := emit(x); err != nil {
			return err
		}
	}
	a.notef("baseline: %d %s", len(f.found)+f.more, plural(len(f.found)+f.more, "anomaly", "anomalies"))
	if f.more > 0 {
		a.warnf("%d anomalies are not shown: raise --baseline-threshold", f.more)
	}
	c := f.judge.Cold()
	a.notef("baseline: %d %s judged by their past; not judged: %d of whom nothing was learned, %d known for less than %d days or %d events",
		c.Judged, plural(c.Judged, "principal", "principals"), c.Unknown, c.Young, baseline.MinDays, baseline.MinEvents)
	if c.Seasonal > 0 {
		a.notef("baseline: %d of those judged are known for less than %d weeks: their hours of the week tell nothing yet", c.Seasonal, baseline.MinWeeks)
	}
	if late := f.judge.Late(); late > 0 {
		a.warnf("%d events came after their day was settled and were not judged; give the logs in order of time", late)
	}
	if crowd := f.judge.Crowd(); crowd > 0 {
		a.warnf("%d events were not judged: more principals of whom nothing was learned acted in one day than are remembered", crowd)
	}
	return nil
}

// relearn is what to do where a state cannot be read.
const relearn = "learn it anew with 'bartizan detect baseline learn LOGS --state NEWFILE'"

// readState reads a state file; hint says what to do where that is none.
func (a *App) readState(name, hint string) (*baseline.State, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("open baseline state: %w", err), Hint: "make one with 'bartizan detect baseline learn LOGS --state " + name + "'"}
	}
	defer file.Close()
	a.boundMemory()
	s, err := baseline.Read(file)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("read %s: %w", name, err), Hint: hint}
	}
	runtime.GC() // what reading took does not count as what a command needs
	return s, nil
}

var deliveredAt = regexp.MustCompile(`_(\d{8}T\d{4}Z)_`)

// inTime orders sources by the time that CloudTrail writes into the names of its
// objects; a bucket lists them by region first.
func inTime(list []logs.Source) {
	when := func(s logs.Source) string {
		if m := deliveredAt.FindStringSubmatch(s.Name()); m != nil {
			return m[1]
		}
		return ""
	}
	slices.SortStableFunc(list, func(a, b logs.Source) int { return cmp.Compare(when(a), when(b)) })
}

func newDetectBaselineCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "baseline",
		Short:   "Learn what principals usually do, to find what they never did",
		Example: "  bartizan detect baseline learn logs/2026/05 --state baseline.zst\n  bartizan detect logs/2026/06 --baseline-state baseline.zst",
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBaselineLearnCommand(a), newBaselineShowCommand(a))
	return c
}

func newBaselineLearnCommand(a *App) *cobra.Command {
	var name string
	live := &logBucket{}
	c := &cobra.Command{
		Use:   "learn PATH… --state FILE",
		Short: "Learn from CloudTrail logs",
		Long: `learn reads CloudTrail logs and keeps, for every principal, which calls it makes,
from which regions, networks and programs, and how much at which hour of the
week. A state file that exists is added to: give every log once.`,
		Example: `  bartizan detect baseline learn logs/2026/05 --state baseline.zst
  bartizan detect baseline learn s3://my-trail/AWSLogs/123456789012/CloudTrail/eu-west-1/2026/05/ --state baseline.zst`,
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&name, "state", "", "state `FILE` to write or add to (required)")
	live.addFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if name == "" {
			return usageErrorf("learn needs --state FILE, the file to write")
		}
		return a.learn(c.Context(), args, live, name)
	}
	return c
}

// learn adds logs to the state file of a name, or makes it.
func (a *App) learn(ctx context.Context, args []string, live *logBucket, name string) error {
	state := baseline.New()
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		if state, err = a.readState(name, "move it away or name another file with --state, and learn anew from all logs"); err != nil {
			return err
		}
		a.notef("adding to %s: %d events of %d days", name, state.Events, state.Days())
	}
	engine, err := sigma.Compile(nil, sigma.Options{Fields: append(detect.Fields(), baseline.Fields()...)})
	if err != nil {
		return err
	}
	sources, err := a.logSources(ctx, args, live)
	if err != nil {
		return err
	}
	inTime(sources)
	a.boundMemory()
	problems := &problemList{a: a}
	learner := baseline.NewLearner(state)
	m := newMeter(a)
	stats, err := detect.Run(ctx, sources, engine, detect.Options{
		Problem: problems.add, Skipped: problems.skip,
		Gather:   func() detect.Gatherer { return learner.Extractor() },
		Progress: func(done int, s detect.Stats) { m.learned(done, len(sources), s) },
	}, func(*detect.Match) error { return nil })
	m.done()
	switch {
	case errors.Is(err, context.Canceled):
		return incompleteErrorf("learn: interrupted before the logs were read to their end; %s is as it was", name)
	case err != nil:
		return stopped("learn", err)
	}
	learner.Finish()
	if err := writeState(name, state); err != nil {
		return err
	}
	a.notef("learned from %d events; %s now holds %d events of %d principals over %d days", stats.Events, name, state.Events, len(state.Principals), state.Days())
	if state.LeftOut > 0 {
		a.warnf("%d events of principals beyond the first %d were left out", state.LeftOut, baseline.MaxPrincipals)
	}
	if d := state.Days(); d < baseline.MinDays {
		a.warnf("%d days are few: principals are judged from %d days on, their hours of the week from %d weeks on", d, baseline.MinDays, baseline.MinWeeks)
	}
	for _, line := range problems.summary(stats.Malformed) {
		a.warnf("%s", report.Plain(line))
	}
	if stats.Malformed > 0 {
		return errIncomplete
	}
	a.notef("next: bartizan detect LOGS --baseline-state %s", name)
	return nil
}

// writeState writes a state beside its place and renames it.
func writeState(name string, s *baseline.State) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".bartizan-*")
	if err != nil {
		return &Error{Code: ExitUsage, Err: fmt.Errorf("write %s: %w", name, err), Hint: "name a file in a folder that exists and is writable"}
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if err := s.Write(tmp); err != nil {
		return incompleteErrorf("%w", err)
	}
	// The old file goes only when the new one is whole.
	err = errors.Join(tmp.Chmod(0o600), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return incompleteErrorf("write %s: %w", name, err)
	}
	return nil
}

func newBaselineShowCommand(a *App) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "show --state FILE",
		Short:   "Show what a state file holds, principal by principal",
		Example: "  bartizan detect baseline show --state baseline.zst\n  bartizan detect baseline show --state baseline.zst -o json",
		Args:    cobra.NoArgs,
	}
	c.Flags().StringVar(&name, "state", "", "state `FILE` (required)")
	out := addOutputFlag(c, "table", "json")
	c.RunE = func(*cobra.Command, []string) error {
		if name == "" {
			return usageErrorf("show needs --state FILE")
		}
		if err := out.parse(); err != nil {
			return err
		}
		s, err := a.readState(name, relearn)
		if err != nil {
			return err
		}
		return emitBaseline(a, out, s)
	}
	return c
}
