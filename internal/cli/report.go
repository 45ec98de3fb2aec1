package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// reportFlags are the flags of a command that reports findings. Use:
//
//	flags := addReportFlags(c, "low")       // when the command is made
//	if err := flags.check(a); err != nil …  // first thing in RunE
//	r, err := flags.open(a, a.reportRun("scan", source, scope))
//	defer r.abort()
//	err = r.add(f)                          // for every finding, passes too
//	return r.close(gaps)                    // the error carries the exit code
type reportFlags struct {
	out      *outputs
	failOn   []string
	mutes    []string
	baseline string
	show     []string

	gates []gate
	all   bool
	muter *finding.Muter
	base  *finding.Baseline
}

// gate is one --fail-on.
type gate struct {
	onlyNew bool
	atLeast finding.Severity
}

// addReportFlags gives a command -o, --fail-on, --mutes, --baseline and --show.
// failOn is the default severity of --fail-on.
func addReportFlags(c *cobra.Command, failOn string) *reportFlags {
	f := &reportFlags{out: addOutputFlag(c, report.Formats()...)}
	c.Flags().StringSliceVar(&f.failOn, "fail-on", []string{failOn},
		"exit with 1 on findings of this severity or worse: critical, high, medium, low, informational, or never; new:SEVERITY counts only what --baseline does not have")
	c.Flags().StringArrayVar(&f.mutes, "mutes", nil, "mute file (YAML or JSON), repeatable")
	c.Flags().StringVar(&f.baseline, "baseline", "", "earlier report (json or jsonl) to compare with")
	c.Flags().StringSliceVar(&f.show, "show", nil, "show these as well: pass")
	words := []string{"never"}
	for _, s := range finding.Severities() {
		words = append(words, string(s), "new:"+string(s))
	}
	_ = c.RegisterFlagCompletionFunc("fail-on", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("show", cobra.FixedCompletions([]string{"pass"}, cobra.ShellCompDirectiveNoFileComp))
	return f
}

// check parses the flags and reads the mute and baseline files, so that a
// mistake shows before any work is done.
func (f *reportFlags) check(a *App) error {
	if err := f.out.parse(); err != nil {
		return err
	}
	f.gates, f.all = nil, false
	for _, s := range f.failOn {
		rest, onlyNew := strings.CutPrefix(s, "new:")
		if rest == "never" && !onlyNew && len(f.failOn) == 1 {
			continue
		}
		severity, err := finding.ParseSeverity(rest)
		if err != nil {
			return usageErrorf("--fail-on %q: want critical, high, medium, low, informational, new:SEVERITY, or never alone", s)
		}
		if onlyNew && f.baseline == "" {
			return usageErrorf("--fail-on %q needs --baseline OLD.json to know what is new", s)
		}
		f.gates = append(f.gates, gate{onlyNew, severity})
	}
	for _, s := range f.show {
		if s != "pass" {
			return usageErrorf("--show %q: want pass (failures, unknown and muted findings are always shown)", s)
		}
		f.all = true
	}
	muter, err := readMutes(a, f.mutes)
	if err != nil {
		return err
	}
	f.muter = muter
	if f.baseline != "" {
		if f.base, err = readBaseline(f.baseline); err != nil {
			return err
		}
	}
	return nil
}

// formats are those that are asked for.
func (f *reportFlags) formats() []string {
	var out []string
	for _, s := range f.out.specs {
		out = append(out, s.format)
	}
	return out
}

func readBaseline(name string) (*finding.Baseline, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--baseline: %w", err), Hint: "name a report written with -o json=FILE or -o jsonl=FILE"}
	}
	defer file.Close()
	b, err := finding.ReadBaseline(file)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("--baseline %s: %w", name, err), Hint: "name a whole report written with -o json=FILE or -o jsonl=FILE"}
	}
	return b, nil
}

// reportRun is the metadata of a report made now.
func (a *App) reportRun(command, source string, scope []string) report.Run {
	return report.Run{Tool: "bartizan", Version: version(), Command: command, Time: a.Now(), Source: source, Scope: scope}
}

// findingReport takes findings one at a time and writes them in every requested
// format. It is not safe for concurrent use.
type findingReport struct {
	a          *App
	flags      *reportFlags
	outs       []*reportOut
	tally      finding.Tally
	incomplete []string
	incidents  []*finding.Incident // see report.Result
	alone      []report.Alone
	warnings   []string // beside those of the mute file
	failed     bool
	done       bool
}

type reportOut struct {
	spec outputSpec
	file *os.File // nil for standard output; a temporary file until it is whole
	buf  *bufio.Writer
	w    report.Writer
}

// open begins the report. Files are written beside their place and renamed by
// close, so that a failure leaves a former report whole.
func (f *reportFlags) open(a *App, run report.Run) (*findingReport, error) {
	r := &findingReport{a: a, flags: f}
	for _, spec := range f.out.specs {
		o := &reportOut{spec: spec}
		w := a.Stdout
		opt := report.Options{All: f.all}
		if spec.file != "" {
			file, err := os.CreateTemp(filepath.Dir(spec.file), ".bartizan-*")
			if err != nil {
				r.abort()
				return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("write %s: %w", spec.file, err), Hint: "give -o a file in a folder that exists and is writable"}
			}
			o.file, w = file, file
		} else {
			opt.Color, opt.Width = a.colorFor(a.Stdout), a.width()
		}
		r.outs = append(r.outs, o)
		o.buf = bufio.NewWriterSize(w, 64<<10)
		var err error
		if o.w, err = report.New(spec.format, o.buf, run, opt); err != nil {
			r.abort()
			return nil, err
		}
	}
	return r, nil
}

// width is the columns of the terminal: COLUMNS, then what it says, then 80.
func (a *App) width() int {
	if n, err := strconv.Atoi(a.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	if f, ok := a.Stdout.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			return n
		}
	}
	return 80
}

// add mutes, compares, counts and writes one finding. Passed findings are to be
// added too: the scores need them, and they are written with --show pass.
func (r *findingReport) add(f finding.Finding) error { return r.addTo(&f) }

// addTo is add for a caller who wants to see whether it was muted.
func (r *findingReport) addTo(f *finding.Finding) error {
	r.flags.muter.Apply(f)
	if r.flags.base != nil {
		r.flags.base.Mark(f)
	}
	r.tally.Add(f)
	if f.Status == finding.StatusFail {
		for _, g := range r.flags.gates {
			if f.Severity.Rank() >= g.atLeast.Rank() && (!g.onlyNew || f.Change == finding.ChangeNew) {
				r.failed = true
			}
		}
	}
	if f.Status == finding.StatusPass && !r.flags.all {
		return nil
	}
	for _, o := range r.outs {
		if err := o.w.Write(f); err != nil {
			return o.failed(err)
		}
	}
	return nil
}

// notComplete adds a reason why the report does not say everything; close then
// gives ExitIncomplete unless there are findings.
func (r *findingReport) notComplete(format string, args ...any) {
	r.incomplete = append(r.incomplete, fmt.Sprintf(format, args...))
}

// summary is the numbers so far.
func (r *findingReport) summary() finding.Summary {
	s := r.tally.Summary()
	if r.flags.base != nil {
		s.Baseline = r.flags.base.Result()
	}
	return s
}

// close ends every output and returns errFindings, errIncomplete or nil.
// Findings at or above --fail-on come before incompleteness, which is reported
// in either case.
func (r *findingReport) close(gaps []estate.Gap) error {
	defer r.abort()
	result := &report.Result{Summary: r.summary(), Gaps: gaps, Incomplete: r.incomplete,
		Warnings: append(r.flags.muter.Warnings(), r.warnings...), Incidents: r.incidents, Alone: r.alone}
	for _, o := range r.outs {
		if err := o.w.Close(result); err != nil {
			return o.failed(err)
		}
		if err := o.finish(); err != nil {
			return o.failed(err)
		}
		if o.spec.file != "" {
			r.a.notef("wrote %s (%s)", o.spec.file, o.spec.format)
		}
	}
	r.done = true
	for _, w := range result.Warnings {
		r.a.warnf("%s", report.Plain(w))
	}
	for _, w := range r.incomplete {
		r.a.warnf("%s", report.Plain(w))
	}
	if n := len(gaps); n > 0 {
		r.a.warnf("%d %s could not be read; what depends on them is unknown", n, plural(n, "part", "parts"))
	}
	r.next(&result.Summary)
	switch {
	case r.failed:
		return errFindings
	case len(gaps) > 0 || len(r.incomplete) > 0 || result.Summary.Unknown > 0:
		return errIncomplete
	}
	return nil
}

// next names the next useful step after a report on the terminal.
func (r *findingReport) next(s *finding.Summary) {
	if r.flags.out.format() != "table" {
		return
	}
	var control *finding.RuleCount
	detections := false
	for i := range s.Rules {
		rule := &s.Rules[i]
		detections = detections || rule.Detection && rule.Fail > 0
		if !rule.Detection && rule.Fail > 0 && (control == nil || rule.Severity.Rank() > control.Severity.Rank()) {
			control = rule
		}
	}
	switch {
	case control != nil:
		r.a.notef("next: bartizan explain %s", report.Plain(control.ID))
	case detections:
		r.a.notef("next: the same with -o html=report.html for a timeline, or -o json=report.json for 'bartizan explain FINGERPRINT report.json'")
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// abort removes files that were not finished. After close it does nothing.
func (r *findingReport) abort() {
	for _, o := range r.outs {
		if o.file != nil {
			o.file.Close()
			os.Remove(o.file.Name())
			o.file = nil
		} else if o.buf != nil && !r.done {
			_ = o.buf.Flush() // the beginning of a report is better than nothing
		}
	}
	r.outs = nil
}

func (o *reportOut) finish() error {
	if err := o.buf.Flush(); err != nil || o.file == nil {
		return err
	}
	if err := o.file.Chmod(0o644); err != nil {
		return err
	}
	if err := o.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.file.Name(), o.spec.file); err != nil {
		return err
	}
	o.file = nil
	return nil
}

func (o *reportOut) failed(err error) error {
	place := o.spec.file
	if place == "" {
		place = "standard output"
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return incompleteErrorf("write %s to %s: %w", o.spec.format, place, err)
}
