package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/ruletest"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding/report"
)

func newRulesCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "List, show, check, test and explain detection rules",
		Long: `rules works on detection rules in the Sigma format: the built-in ones, and your
own with --rules DIR.`,
		Example: `  bartizan rules list --only high
  bartizan rules lint my-rules
  bartizan rules test my-rules
  bartizan rules explain --why root_account_used event.json`,
	}
	c.AddCommand(newRulesListCommand(a), newRulesShowCommand(a), newRulesLintCommand(a), newRulesTestCommand(a), newRulesExplainCommand(a), newRulesCompileCommand(a))
	return c
}

// ruleLine is a rule in a list.
type ruleLine struct {
	RuleID         string   `json:"ruleId"`
	ID             string   `json:"id,omitempty"`
	Title          string   `json:"title"`
	Severity       string   `json:"severity"`
	Kind           string   `json:"kind"` // detection, correlation or filter
	LogSource      string   `json:"logSource,omitempty"`
	Tactics        []string `json:"tactics,omitempty"`
	Techniques     []string `json:"techniques,omitempty"`
	Description    string   `json:"description,omitempty"`
	FalsePositives []string `json:"falsePositives,omitempty"`
	Response       string   `json:"response,omitempty"`
	References     []string `json:"references,omitempty"`
	File           string   `json:"file"`
}

func lineOf(r *sigma.Rule) ruleLine {
	kind := "detection"
	if r.Correlation != nil {
		kind = "correlation"
	} else if r.Filter != nil {
		kind = "filter"
	}
	return ruleLine{
		RuleID: r.Key(), ID: r.ID, Title: r.Title, Severity: string(detect.Severity(r.Level)), Kind: kind,
		LogSource: r.LogSource.String(), Tactics: r.Tactics(), Techniques: r.Techniques(),
		Description: strings.TrimSpace(r.Description), FalsePositives: r.FalsePositives,
		Response: strings.TrimSpace(r.Response), References: r.References, File: r.File,
	}
}

func newRulesListCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List rules with their severity and ATT&CK techniques",
		Example: `  bartizan rules list
  bartizan rules list --only T1562 -o json
  bartizan rules list --no-pack --rules my-rules`,
		Args: cobra.NoArgs,
	}
	flags := addRuleFlags(c)
	out := addOutputFlag(c, "table", "json", "jsonl", "csv")
	c.RunE = func(*cobra.Command, []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		rules, err := flags.all(a)
		if err != nil {
			return err
		}
		if rules, err = flags.choose(rules); err != nil {
			return err
		}
		slices.SortStableFunc(rules, func(x, y *sigma.Rule) int { return strings.Compare(x.Key(), y.Key()) })
		err = out.emit(a, func(format string, w io.Writer, _ bool) error { return writeRules(w, format, rules) })
		if err == nil {
			a.notef("%d rules; 'bartizan rules show RULE' prints one", len(rules))
		}
		return err
	}
	return c
}

func writeRules(w io.Writer, format string, rules []*sigma.Rule) error {
	lines := make([]ruleLine, len(rules))
	for i, r := range rules {
		lines[i] = lineOf(r)
	}
	enc := json.NewEncoder(w)
	switch format {
	case "json":
		enc.SetIndent("", "  ")
		return enc.Encode(lines)
	case "jsonl":
		for _, l := range lines {
			if err := enc.Encode(l); err != nil {
				return err
			}
		}
		return nil
	case "csv":
		fmt.Fprintln(w, "ruleId,severity,kind,logSource,techniques,title")
		for _, l := range lines {
			cells := []string{l.RuleID, l.Severity, l.Kind, l.LogSource, strings.Join(l.Techniques, " "), l.Title}
			for i, s := range cells {
				cells[i] = `"` + strings.ReplaceAll(report.Cell(s), `"`, `""`) + `"`
			}
			fmt.Fprintln(w, strings.Join(cells, ","))
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "RULE\tSEVERITY\tLOG\tTECHNIQUES\tTITLE")
	for _, l := range lines {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", report.Plain(l.RuleID), l.Severity, report.Plain(strings.TrimPrefix(l.LogSource, "aws/")), strings.Join(l.Techniques, " "), report.Plain(l.Title))
	}
	return t.Flush()
}

func newRulesShowCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "show RULE",
		Short: "Print one rule: what it looks for, false positives, what to do",
		Example: `  bartizan rules show cloudtrail_logging_stopped
  bartizan rules show cloudtrail_logging_stopped -o json`,
		Args: cobra.ExactArgs(1),
	}
	flags := addRuleFlags(c)
	out := addOutputFlag(c, "table", "json")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		r, err := flags.find(a, args[0])
		if err != nil {
			return err
		}
		return out.emit(a, func(format string, w io.Writer, _ bool) error {
			if format == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(lineOf(r))
			}
			return showRule(w, r, flags)
		})
	}
	return c
}

// find returns the rule of a name.
func (f *ruleFlags) find(a *App, name string) (*sigma.Rule, error) {
	rules, err := f.all(a)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		if r.Is(name) {
			return r, nil
		}
	}
	return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("no rule is %q", name), Hint: "'bartizan rules list' shows them; --rules DIR adds yours"}
}

func showRule(w io.Writer, r *sigma.Rule, flags *ruleFlags) error {
	l := lineOf(r)
	fmt.Fprintf(w, "%s\n%s\n\n", report.Plain(l.Title), strings.Repeat("─", min(report.Columns(report.Plain(l.Title)), 80)))
	for _, row := range [][2]string{
		{"rule", l.RuleID}, {"id", l.ID}, {"severity", l.Severity}, {"kind", l.Kind}, {"log", l.LogSource}, {"status", r.Status},
		{"tactics", strings.Join(l.Tactics, ", ")}, {"techniques", strings.Join(l.Techniques, ", ")}, {"file", r.File},
	} {
		if row[1] != "" {
			fmt.Fprintf(w, "%-11s %s\n", row[0], report.Plain(row[1]))
		}
	}
	section := func(title string, lines ...string) {
		if len(lines) > 0 && lines[0] != "" {
			fmt.Fprintf(w, "\n%s\n", title)
			for _, s := range lines {
				fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(report.Lines(s), "\n", "\n  "))
			}
		}
	}
	section("What it finds", l.Description)
	section("False positives", l.FalsePositives...)
	section("What to do", l.Response)
	section("References", l.References...)
	if src := ruleSource(r, flags); src != "" {
		section("Source", strings.TrimRight(src, "\n"))
	}
	return nil
}

// ruleSource returns the text of the file that holds the rule.
func ruleSource(r *sigma.Rule, flags *ruleFlags) string {
	if len(flags.dirs) > 0 {
		if src, err := os.ReadFile(r.File); err == nil {
			return string(src)
		}
	}
	src, err := fs.ReadFile(catalog.Detections, "detections/"+r.File)
	if err != nil {
		return ""
	}
	return string(src)
}

func newRulesLintCommand(a *App) *cobra.Command {
	var placeholders ruleFlags
	c := &cobra.Command{
		Use:   "lint [PATH…]",
		Short: "Check rule files and name every fault with file, line and column",
		Long: `lint parses and compiles the rules in files and folders, or the built-in rules
when no PATH is given. Faults give exit code 1; warnings alone give 0.`,
		Example: `  bartizan rules lint my-rules
  bartizan rules lint rule.yml --placeholder admins=alice`,
	}
	c.Flags().StringArrayVar(&placeholders.placeholders, "placeholder", nil, "`NAME=VALUE` of a placeholder %NAME%, repeatable")
	c.Flags().StringArrayVar(&placeholders.files, "placeholders", nil, "YAML `FILE` of placeholders")
	c.RunE = func(_ *cobra.Command, args []string) error {
		opt, err := placeholders.options()
		if err != nil {
			return err
		}
		var rules []*sigma.Rule
		var faults []error
		if len(args) == 0 {
			if rules, err = packRules(); err != nil {
				faults = append(faults, err)
			}
		}
		for _, path := range args {
			more, err := loadRules(path)
			var e *Error
			if errors.As(err, &e) && len(sigma.Faults(err)) == 0 {
				return err
			}
			if err != nil {
				faults = append(faults, err)
			}
			rules = append(rules, more...)
		}
		engine, err := sigma.Compile(rules, opt)
		if err != nil {
			faults = append(faults, err)
		}
		n := 0
		for _, f := range faults {
			for _, one := range splitFaults(f) {
				n++
				fmt.Fprintln(a.Stdout, report.Plain(one))
			}
		}
		for _, w := range engine.Warnings() {
			fmt.Fprintln(a.Stdout, "warning: "+report.Plain(w))
		}
		a.notef("%d rules, %d %s, %d %s", len(rules), n, plural(n, "fault", "faults"), len(engine.Warnings()), plural(len(engine.Warnings()), "warning", "warnings"))
		if n > 0 {
			return errFindings
		}
		return nil
	}
	return c
}

func splitFaults(err error) []string { return strings.Split(err.Error(), "\n") }

func newRulesTestCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "test [PATH…]",
		Short: "Run rules against the examples beside them",
		Long: `test runs every rule file NAME.yml against NAME.examples.yml beside it: events
that it must match (positive) and near misses that it must not (negative). It
tests the built-in rules when no PATH is given. docs/sigma.md shows the form.`,
		Example: `  bartizan rules test my-rules
  bartizan rules test my-rules/root_login.yml`,
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		opt, err := (&ruleFlags{}).options()
		if err != nil {
			return err
		}
		t := &ruleTester{a: a, ctx: c.Context(), opt: opt}
		if len(args) == 0 {
			if err := t.folder(catalog.Detections, "detections"); err != nil {
				return err
			}
		}
		for _, path := range args {
			info, err := os.Stat(path)
			if err != nil {
				return &Error{Code: ExitUsage, Err: err, Hint: "name a rule file or a folder of rules"}
			}
			if info.IsDir() {
				err = t.folder(os.DirFS(path), ".")
			} else {
				fsys := os.DirFS(filepath.Dir(path))
				if err = t.lists(fsys, "."); err == nil {
					err = t.file(fsys, filepath.Base(path))
				}
			}
			if err != nil {
				return err
			}
		}
		a.notef("%d rule files, %d examples, %d failed, %d files without examples", t.files, t.examples, t.failed, t.without)
		if t.failed > 0 {
			return errFindings
		}
		return nil
	}
	return c
}

type ruleTester struct {
	a                                *App
	ctx                              context.Context
	files, examples, failed, without int
	opt                              sigma.Options
	placeholders                     map[string][]string // of the folder
}

// lists reads the placeholders of a folder of rules.
func (t *ruleTester) lists(fsys fs.FS, root string) (err error) {
	if t.placeholders, err = detect.LoadPlaceholders(fsys, root); err != nil {
		return &Error{Code: ExitUsage, Err: err}
	}
	return nil
}

func (t *ruleTester) folder(fsys fs.FS, root string) error {
	if err := t.lists(fsys, root); err != nil {
		return err
	}
	return fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return incompleteErrorf("%w", err)
		}
		if d.IsDir() || strings.HasSuffix(name, detect.ExamplesSuffix) || filepath.Ext(name) != ".yml" || d.Name() == detect.PlaceholdersFile {
			return nil
		}
		return t.file(fsys, name)
	})
}

func (t *ruleTester) fail(format string, args ...any) {
	t.failed++
	fmt.Fprintln(t.a.Stdout, report.Lines(fmt.Sprintf(format, args...)))
}

func (t *ruleTester) file(fsys fs.FS, name string) error {
	t.files++
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return incompleteErrorf("%w", err)
	}
	rules, err := sigma.Parse(name, src)
	if err != nil {
		t.fail("%v", err)
		return nil
	}
	for _, r := range rules {
		r.Placeholders = t.placeholders
	}
	engine, err := sigma.Compile(rules, t.opt)
	if err != nil {
		t.fail("%v", err)
		return nil
	}
	beside := strings.TrimSuffix(name, ".yml") + detect.ExamplesSuffix
	text, err := fs.ReadFile(fsys, beside)
	if errors.Is(err, fs.ErrNotExist) {
		t.without++
		t.a.warnf("%s: no examples beside it (%s)", name, beside)
		return nil
	}
	if err != nil {
		return incompleteErrorf("%w", err)
	}
	examples, err := ruletest.Parse(beside, text)
	if err != nil {
		t.fail("%v", err)
		return nil
	}
	if err := examples.Complete(engine.Rules()); err != nil {
		t.fail("%s: %v", beside, err)
	}
	for _, r := range examples.Run(t.ctx, engine) {
		t.examples++
		if r.Err != nil {
			kind := "negative"
			if r.Positive {
				kind = "positive"
			}
			t.fail("%s: %s example %d of %s %v", beside, kind, r.Number, r.Rule, r.Err)
		}
	}
	return nil
}

func newRulesExplainCommand(a *App) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use:   "explain --why RULE EVENT",
		Short: "Say for an event which part of a rule's condition matched and which failed",
		Long: `explain evaluates every part of a rule's condition on the events of a file, or of
standard input with -, and prints for each part whether it held, what was wanted
and what the event has. + held, - did not. The exit code is 0 in either case.`,
		Example: `  bartizan rules explain --why cloudtrail_logging_stopped event.json
  jq '.Records[3]' trail.json | bartizan rules explain --why my_rule --rules my-rules -`,
		Args: cobra.ExactArgs(1),
	}
	flags := addRuleFlags(c)
	live := &logBucket{}
	live.addFlags(c)
	c.Flags().StringVar(&why, "why", "", "the `RULE` to explain: name or id")
	out := addOutputFlag(c, "table", "json")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		if why == "" {
			return &Error{Code: ExitUsage, Err: errors.New("which rule? name it with --why RULE"), Hint: "'bartizan rules list' shows them"}
		}
		engine, err := flags.engine(a)
		if err != nil {
			return err
		}
		r := engine.Find(why)
		switch {
		case r == nil:
			return &Error{Code: ExitUsage, Err: fmt.Errorf("no rule is %q", why), Hint: "'bartizan rules list' shows them; --rules DIR adds yours"}
		case !r.IsDetection():
			return usageErrorf("%s is no detection of single events; explain the rules that it refers to", r.Key())
		}
		sources, err := a.logSources(c.Context(), args, live)
		if err != nil {
			return err
		}
		return explainEvents(a, c, out, engine, r, sources)
	}
	return c
}

// explained is one event with the reasons.
type explained struct {
	Event       string            `json:"event"`
	RuleID      string            `json:"ruleId"`
	LogFits     bool              `json:"logFits"`
	Matched     bool              `json:"matched"`
	Explanation sigma.Explanation `json:"explanation"`
}

func explainEvents(a *App, c *cobra.Command, out *outputs, engine *sigma.Engine, r *sigma.Rule, sources []logs.Source) error {
	const most = 1000
	var list []explained
	problems := &problemList{a: a}
	m := engine.Matcher()
	errEnough := errors.New("enough")
	var stats logs.Stats
	reader := &logs.Reader{Schema: engine.Schema(), Problem: problems.add, Visit: func(e *event.Event) error {
		if len(list) == most {
			return errEnough
		}
		x := explained{Event: e.Ref(), RuleID: r.Key(), LogFits: slices.Contains(r.Kinds(), e.Kind), Explanation: m.Explain(r, e)}
		x.Matched = x.LogFits && x.Explanation.Held
		list = append(list, x)
		return nil
	}}
	for _, s := range sources {
		one, err := reader.Read(c.Context(), s)
		stats.Add(one)
		if errors.Is(err, errEnough) {
			a.warnf("only the first %d events are explained", most)
			break
		}
		if err != nil {
			return incompleteErrorf("explain: %w", err)
		}
	}
	err := out.emit(a, func(format string, w io.Writer, _ bool) error {
		if format == "json" {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(list)
		}
		for _, x := range list {
			verdict := "does not match"
			if x.Matched {
				verdict = "matches"
			}
			var b bytes.Buffer
			fmt.Fprintf(&b, "%s %s %s\n", x.RuleID, verdict, x.Event)
			if !x.LogFits {
				fmt.Fprintf(&b, "- the event is of another log than %s\n", r.LogSource)
			}
			b.WriteString(x.Explanation.String())
			fmt.Fprintln(w, report.Lines(b.String()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, line := range problems.summary(stats.Malformed) {
		a.warnf("%s", report.Plain(line))
	}
	switch {
	case stats.Malformed > 0:
		return errIncomplete
	case len(list) == 0:
		return incompleteErrorf("no event in it")
	}
	return nil
}
