package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/posture"
)

// maxExplained bounds the findings that explain lists of one rule.
const maxExplained = 20

func newExplainCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "explain CONTROL|FINGERPRINT|INCIDENT [REPORT]",
		Short: "Explain a control, or one finding or incident of a report",
		Long: `Explains a control: what it checks, why it matters, how to fix it, and examples.

With a REPORT (written with -o json or -o jsonl; - is standard input) it also
lists the control's findings in it, or explains the one finding whose
FINGERPRINT, or the first eight digits or more of it, is given. The id of an
incident works in the same way with a report of detect in the json format: its
timeline, the path back to whoever began it, entities, evidence and next steps.`,
		Example: `  bartizan explain iam-root-mfa
  bartizan explain iam-root-mfa report.json
  bartizan explain 9fa02639 report.json
  bartizan scan estate.jsonl.zst -o json | bartizan explain 9fa02639 -
  bartizan detect logs -o table -o json=report.json
  bartizan explain 29c71ec1 report.json`,
		Args: cobra.RangeArgs(1, 2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			list, err := builtinControls()
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			var ids []string
			for _, c := range list {
				ids = append(ids, c.ID)
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
	flags := &controlFlags{}
	c.Flags().StringArrayVar(&flags.dirs, "controls", nil, "`DIR` with controls of your own, repeatable")
	out := addOutputFlag(c, "text", "json")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		list, err := flags.load()
		if err != nil {
			return err
		}
		e := explanation{}
		if i := slices.IndexFunc(list, func(c *posture.Control) bool { return c.ID == args[0] }); i >= 0 {
			e.Control = list[i]
		}
		if len(args) == 2 {
			if err := e.look(a, args[0], args[1]); err != nil {
				return err
			}
		}
		if e.Control == nil && len(e.Findings)+len(e.Incidents) == 0 {
			return e.notFound(args, list)
		}
		return out.emit(a, func(format string, w io.Writer, _ bool) error {
			if format == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				enc.SetEscapeHTML(false)
				return enc.Encode(e)
			}
			return e.write(w)
		})
	}
	return c
}

// explanation is what explain found.
type explanation struct {
	Control  *posture.Control  `json:"control,omitempty"`
	Findings []finding.Finding `json:"findings,omitempty"`
	More     int               `json:"more,omitempty"` // findings of the rule beyond maxExplained

	Incidents []finding.Incident `json:"incidents,omitempty"` // one at most
	NextSteps []string           `json:"nextSteps,omitempty"` // of the incident

	byFingerprint bool
}

// look reads a report for findings of the rule or with the fingerprint.
func (e *explanation) look(a *App, word, name string) error {
	in := a.Stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("open report: %w", err), Hint: "name a report written with -o json=FILE or -o jsonl=FILE"}
		}
		defer file.Close()
		in = file
	}
	prefix := strings.ToLower(word)
	matched := 0 // incidents
	incidents := newIncidentReader(func(i *finding.Incident) bool {
		if !isFingerprint(word) || !strings.HasPrefix(i.ID, prefix) {
			return false
		}
		matched++
		return matched == 1
	})
	err := finding.Read(io.TeeReader(in, incidents.w), func(f *finding.Finding) error {
		matches := isFingerprint(word) && strings.HasPrefix(f.Fingerprint, prefix)
		e.byFingerprint = e.byFingerprint || matches
		switch {
		case !matches && f.RuleID != word:
		case len(e.Findings) == maxExplained:
			e.More++
		default:
			e.Findings = append(e.Findings, *f)
		}
		return nil
	})
	found, wrong := incidents.close()
	if err = cmp.Or(err, wrong); err != nil {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("read report %s: %w", name, err), Hint: "name a whole report written with -o json=FILE or -o jsonl=FILE"}
	}
	if e.Incidents = found; len(found) > 0 {
		e.byFingerprint = true
		e.NextSteps = nextSteps(&found[0])
	}
	if n := len(e.Findings) + e.More + matched; e.byFingerprint && n > 1 {
		return usageErrorf("%q begins %d fingerprints; give more digits", word, n)
	}
	return nil
}

// isFingerprint reports whether s may begin a fingerprint.
func isFingerprint(s string) bool {
	return len(s) >= 8 && len(s) <= 32 && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

func (e *explanation) notFound(args []string, list []*posture.Control) error {
	word := args[0]
	switch {
	case isFingerprint(word) && len(args) == 1:
		return &Error{Code: ExitUsage, Err: fmt.Errorf("explain fingerprint %s: which report is it from?", word), Hint: fmt.Sprintf("name it: bartizan explain %s report.json", word)}
	case isFingerprint(word):
		return &Error{Code: ExitUsage, Err: fmt.Errorf("no finding and no incident of %s has a fingerprint or id that begins with %s", args[1], word),
			Hint: "passed findings are in a report only with --show pass, and incidents only where detect wrote it with -o json"}
	}
	err := &Error{Code: ExitUsage, Err: fmt.Errorf("explain %q: no control has this id", word), Hint: "'bartizan controls list' shows all ids; for a detection name a report that has it"}
	var near []string
	for _, c := range list {
		if strings.Contains(c.ID, strings.ToLower(word)) && len(near) < 5 {
			near = append(near, c.ID)
		}
	}
	if len(near) > 0 {
		err.Hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return err
}

func (e *explanation) write(w io.Writer) error {
	if e.Control != nil && !e.byFingerprint {
		if err := writeControl(w, e.Control); err != nil {
			return err
		}
	}
	var b strings.Builder
	switch {
	case len(e.Incidents) > 0:
		writeIncident(&b, &e.Incidents[0], e.NextSteps)
	case e.byFingerprint:
		writeFinding(&b, &e.Findings[0])
	case len(e.Findings) > 0:
		fmt.Fprintf(&b, "\nFindings\n")
		for i := range e.Findings {
			f := &e.Findings[i]
			fmt.Fprintf(&b, "  %-8s %s  %s  %s\n", f.Status, shortFingerprint(f), report.Plain(cmp.Or(f.Resource.ARN, f.Resource.ID)), report.Plain(f.Reason))
		}
		if e.More > 0 {
			fmt.Fprintf(&b, "  … and %d more\n", e.More)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func shortFingerprint(f *finding.Finding) string {
	return report.Plain(f.Fingerprint[:min(len(f.Fingerprint), 12)])
}

// writeFinding explains one finding from what the report says of it.
func writeFinding(b *strings.Builder, f *finding.Finding) {
	fmt.Fprintf(b, "%s\n%s\n\n", report.Plain(f.RuleID), report.Plain(f.Title))
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(b, "%-11s %s\n", name, report.Plain(value))
		}
	}
	row("status", string(f.Status))
	row("severity", string(f.Severity))
	row("pillar", string(f.Pillar))
	row("resource", f.Resource.ID)
	row("type", f.Resource.Type)
	row("ARN", f.Resource.ARN)
	row("account", f.Resource.Account)
	row("region", f.Resource.Region)
	if !f.Time.IsZero() {
		row("time", f.Time.UTC().Format(time.RFC3339))
	}
	row("actor", f.Actor)
	row("techniques", strings.Join(f.Techniques, " "))
	row("events", strings.Join(f.EventIDs, " "))
	row("baseline", string(f.Change))
	row("fingerprint", f.Fingerprint)
	if f.Mute != nil {
		row("muted", fmt.Sprintf("until %s by %s: %s", f.Mute.Expires.Add(-time.Nanosecond).UTC().Format(time.DateOnly), f.Mute.Owner, f.Mute.Reason))
	}
	section := func(name, text string) {
		if text = strings.TrimSpace(report.Lines(text)); text != "" {
			fmt.Fprintf(b, "\n%s\n  %s\n", name, strings.ReplaceAll(text, "\n", "\n  "))
		}
	}
	section("Decided by", strings.Join(evidenceLines(f), "\n"))
	section("Why it matters", f.Why)
	if f.Fix != nil {
		section("Fix", f.Fix.Text)
		section("AWS CLI", f.Fix.CLI)
		section("Terraform", f.Fix.Terraform)
	}
	var frameworks []string
	for name, ids := range f.Frameworks {
		frameworks = append(frameworks, name+" "+strings.Join(ids, ", "))
	}
	slices.Sort(frameworks)
	section("Frameworks", strings.Join(frameworks, "\n"))
}

// evidenceLines is the reason and the values behind it, each on its own line.
func evidenceLines(f *finding.Finding) []string {
	var out []string
	if f.Reason != "" {
		out = append(out, report.Plain(f.Reason))
	}
	for _, e := range f.Evidence {
		value, err := json.Marshal(e.Value)
		if err != nil { // cannot be: the value was read from JSON
			value = []byte(fmt.Sprint(e.Value))
		}
		line := report.Plain(e.Path) + " = " + report.Plain(string(value))
		if e.Note != "" {
			line += " (" + report.Plain(e.Note) + ")"
		}
		out = append(out, line)
	}
	return out
}
