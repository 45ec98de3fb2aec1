package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/posture"
)

// controlFlags choose controls.
type controlFlags struct {
	dirs       []string
	only, skip []string
}

func addControlFlags(c *cobra.Command) *controlFlags {
	f := &controlFlags{}
	c.Flags().StringArrayVar(&f.dirs, "controls", nil, "`DIR` with controls of your own, repeatable; they join the built-in ones")
	c.Flags().StringSliceVar(&f.only, "only", nil, "controls to use: id (with *), pillar, severity, framework or framework:id")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "controls to leave out, in the same words")
	return f
}

// builtinControls returns the embedded controls, by id.
func builtinControls() ([]*posture.Control, error) {
	sub, err := fs.Sub(catalog.Controls, "controls")
	if err != nil {
		return nil, err
	}
	return posture.Load(sub)
}

// loadControlDir reads a user's controls.
func loadControlDir(dir string) ([]*posture.Control, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("is a file, not a directory")
	}
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--controls %s: %w", dir, err), Hint: "name a directory of YAML files; docs/writing-controls.md shows one"}
	}
	list, err := posture.Load(os.DirFS(dir))
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--controls %s: %w", dir, err), Hint: "see 'bartizan controls lint --help' and docs/writing-controls.md"}
	}
	if len(list) == 0 {
		return nil, usageErrorf("--controls %s: no *.yaml file in it", dir)
	}
	return list, nil
}

// load returns the chosen controls: the built-in ones and the user's.
func (f *controlFlags) load() ([]*posture.Control, error) {
	all, err := builtinControls()
	if err != nil {
		return nil, err
	}
	places := map[string]string{}
	for _, c := range all {
		places[c.ID] = "the built-in controls"
	}
	for _, dir := range f.dirs {
		own, err := loadControlDir(dir)
		if err != nil {
			return nil, err
		}
		for _, c := range own {
			if where, twice := places[c.ID]; twice {
				return nil, usageErrorf("--controls %s: %s: id %s is taken by %s; choose another, and --skip the other one if it should not run", dir, c.File, c.ID, where)
			}
			places[c.ID] = dir
		}
		all = append(all, own...)
	}
	slices.SortFunc(all, func(a, b *posture.Control) int { return strings.Compare(a.ID, b.ID) })
	chosen, idle := posture.Selection{Only: f.only, Skip: f.skip}.Select(all)
	if len(idle) > 0 {
		return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--only and --skip: no control matches %s", strings.Join(idle, ", ")), Hint: "'bartizan controls list' shows ids, pillars, severities and frameworks"}
	}
	if len(chosen) == 0 {
		return nil, usageErrorf("--only and --skip leave no control")
	}
	return chosen, nil
}

// compile loads the chosen controls and checks their expressions.
func (f *controlFlags) compile() (*posture.Set, error) {
	list, err := f.load()
	if err != nil {
		return nil, err
	}
	set, err := posture.Compile(list)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: err, Hint: "see docs/writing-controls.md"}
	}
	return set, nil
}

func newControlsCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "controls",
		Short: "List, show, check and test the controls that scan uses",
		Long: `A control is one YAML file: a rule in CEL over an estate's documents, why it
matters, how to fix a failure, and examples that pass and fail. docs/controls.md
lists the built-in ones, docs/writing-controls.md says how to write one.`,
		Example: "  bartizan controls list --only identity\n  bartizan controls show iam-root-mfa\n  bartizan controls test --controls my-controls",
	}
	c.AddCommand(newControlsListCommand(a), newControlsShowCommand(a), newControlsLintCommand(a), newControlsTestCommand(a))
	return c
}

func newControlsListCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "list",
		Short:   "List controls",
		Example: "  bartizan controls list\n  bartizan controls list --only cis-5 -o json\n  bartizan controls list --only detection,high",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c)
	out := addOutputFlag(c, "table", "json", "markdown")
	c.RunE = func(*cobra.Command, []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		list, err := flags.load()
		if err != nil {
			return err
		}
		return out.emit(a, func(format string, w io.Writer, _ bool) error { return writeControls(w, format, list) })
	}
	return c
}

func writeControls(w io.Writer, format string, list []*posture.Control) error {
	switch format {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		bare := make([]posture.Control, len(list))
		for i, c := range list {
			bare[i] = *c
			bare[i].Examples = nil
		}
		return e.Encode(bare)
	case "markdown":
		for _, p := range finding.Pillars() {
			of := slices.DeleteFunc(slices.Clone(list), func(c *posture.Control) bool { return c.Pillar != p })
			if len(of) == 0 {
				continue
			}
			fmt.Fprintf(w, "## %s (%d)\n\n| id | severity | what it asks for | ids |\n|---|---|---|---|\n", p, len(of))
			for _, c := range of {
				fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", c.ID, c.Severity, report.Plain(c.Title), frameworkWords(c, ", "))
			}
			fmt.Fprintln(w)
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tPILLAR\tSEVERITY\tTITLE")
	for _, c := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.ID, c.Pillar, c.Severity, report.Plain(c.Title))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d controls\n", len(list))
	return err
}

func frameworkWords(c *posture.Control, sep string) string {
	var words []string
	for _, f := range posture.Frameworks() {
		for _, id := range c.Frameworks[f.ID] {
			words = append(words, f.ID+":"+id)
		}
	}
	return strings.Join(words, sep)
}

func newControlsShowCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one control: its rule, why, and how to fix",
		Example: "  bartizan controls show iam-root-mfa",
		Args:    cobra.ExactArgs(1),
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
		i := slices.IndexFunc(list, func(c *posture.Control) bool { return c.ID == args[0] })
		if i < 0 {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("no control has the id %q", args[0]), Hint: "'bartizan controls list' shows all ids"}
		}
		return out.emit(a, func(format string, w io.Writer, _ bool) error {
			if format == "json" {
				e := json.NewEncoder(w)
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				return e.Encode(list[i])
			}
			return writeControl(w, list[i])
		})
	}
	return c
}

func writeControl(w io.Writer, c *posture.Control) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", c.ID, c.Title)
	fmt.Fprintf(&b, "pillar     %s\nseverity   %s\nlooks at   %s\nframeworks %s\n\n", c.Pillar, c.Severity, strings.Join(c.Resource, ", "), frameworkWords(c, " "))
	section := func(name, text string) {
		if text = strings.TrimSpace(text); text != "" {
			fmt.Fprintf(&b, "%s\n  %s\n\n", name, strings.ReplaceAll(text, "\n", "\n  "))
		}
	}
	section("Why", c.Why)
	section("Applies where", c.Applies)
	section("Passes if", c.Assert)
	section("Fix", c.Fix.Text)
	section("AWS CLI", c.Fix.CLI)
	section("Terraform", c.Fix.Terraform)
	fmt.Fprintln(&b, "Examples")
	for _, e := range c.Examples {
		fmt.Fprintf(&b, "  %-8s %s\n", e.Expect, e.Name)
	}
	_, err := io.WriteString(w, report.Lines(b.String()))
	return err
}

func newControlsLintCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "lint",
		Short:   "Check that controls are well made",
		Long:    "lint reads controls, checks their parts and their expressions, and that something\ncollects the resource types they look at. Without --controls it checks the built-in ones.",
		Example: "  bartizan controls lint --controls my-controls",
		Args:    cobra.NoArgs,
	}
	flags := addControlFlags(c)
	c.RunE = func(*cobra.Command, []string) error {
		set, own, err := flags.mine()
		if err != nil {
			return err
		}
		problems := lintControls(set, own)
		return a.reportProblems(problems, fmt.Sprintf("%d controls are well made", len(own)), "next: bartizan controls test"+flags.again())
	}
	return c
}

// mine compiles all chosen controls and names those to check: the user's where
// there are any, otherwise all.
func (f *controlFlags) mine() (*posture.Set, []*posture.Control, error) {
	set, err := f.compile()
	if err != nil {
		return nil, nil, err
	}
	if len(f.dirs) == 0 {
		return set, set.Controls(), nil
	}
	builtin, err := builtinControls()
	if err != nil {
		return nil, nil, err
	}
	own := slices.DeleteFunc(set.Controls(), func(c *posture.Control) bool {
		return slices.ContainsFunc(builtin, func(b *posture.Control) bool { return b.ID == c.ID })
	})
	return set, own, nil
}

func (f *controlFlags) again() string {
	var b strings.Builder
	for _, d := range f.dirs {
		b.WriteString(" --controls " + d)
	}
	return b.String()
}

// lintControls finds what a control's text cannot show: types that nothing
// collects, and missing framework ids.
func lintControls(set *posture.Set, own []*posture.Control) []error {
	var problems []error
	collected := map[string]bool{}
	if c, err := collect.ParseCatalogue(catalog.Resources, "resources"); err == nil {
		for _, t := range c.Types() {
			collected[t.Name] = true
		}
	} else {
		problems = append(problems, err)
	}
	for _, c := range own {
		for _, t := range set.TypesOf(c.ID) {
			if !collected[t] {
				problems = append(problems, fmt.Errorf("control %s: nothing collects %s", c.ID, t))
			}
		}
		if len(c.Frameworks["waf"]) == 0 {
			problems = append(problems, fmt.Errorf("control %s: frameworks names no Well-Architected best practice (waf)", c.ID))
		}
	}
	return problems
}

func (a *App) reportProblems(problems []error, good, next string) error {
	for _, p := range problems {
		fmt.Fprintln(a.Stdout, report.Lines(p.Error()))
	}
	if len(problems) > 0 {
		a.notef("%d %s", len(problems), plural(len(problems), "problem", "problems"))
		return errFindings
	}
	fmt.Fprintln(a.Stdout, good)
	a.notef("%s", next)
	return nil
}

func newControlsTestCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:     "test [ID …]",
		Short:   "Run the examples of controls",
		Long:    "test runs every example of the controls and compares the result with what the\nexample expects. Without --controls it tests the built-in ones.",
		Example: "  bartizan controls test --controls my-controls\n  bartizan controls test iam-root-mfa",
		Args:    cobra.ArbitraryArgs,
	}
	flags := addControlFlags(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		set, own, err := flags.mine()
		if err != nil {
			return err
		}
		if len(args) > 0 {
			all := set.Controls()
			own = own[:0]
			for _, id := range args {
				i := slices.IndexFunc(all, func(c *posture.Control) bool { return c.ID == id })
				if i < 0 {
					return &Error{Code: ExitUsage, Err: fmt.Errorf("no control has the id %q", id), Hint: "'bartizan controls list' shows all ids"}
				}
				own = append(own, all[i])
			}
		}
		problems := lintControls(set, own)
		examples := 0
		for _, c := range own {
			examples += len(c.Examples)
			problems = append(problems, set.Test(cmd.Context(), c.ID)...)
		}
		return a.reportProblems(problems, fmt.Sprintf("%d controls, %d examples: all as expected", len(own), examples), "next: bartizan scan"+flags.again())
	}
	return c
}
