package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/finding/report"
)

func newRulesCompileCommand(a *App) *cobra.Command {
	var to, dir string
	var words []string
	for _, t := range compile.Targets() {
		words = append(words, string(t))
	}
	c := &cobra.Command{
		Use:   "compile --to TARGET [RULE…]",
		Short: "Translate rules for EventBridge, Athena, OpenSearch, CloudFormation or Terraform",
		Long: `compile translates detection rules into what AWS runs: EventBridge patterns,
Athena SQL over the tables that AWS documents, OpenSearch queries, and stacks of
EventBridge rules for CloudFormation and Terraform with an SNS topic as target.

A translation never misses what the rule matches. Where the target cannot express
a part, the translation matches more, and its hits are to be checked again; where
nothing useful would be left the rule is refused. Which it is, and why, is said
for every rule on standard error and in the output.

Exit code 3 says that a rule named on the command line was refused, or all were.`,
		Example: `  bartizan rules compile --to cloudformation > detections.json
  bartizan rules compile --to eventbridge cloudtrail_logging_stopped
  bartizan rules compile --to athena --only critical,high --out queries
  bartizan rules compile --to terraform --rules my-rules --no-pack --out infra`,
	}
	c.Flags().StringVar(&to, "to", "", "`TARGET`: "+strings.Join(words, ", "))
	c.Flags().StringVar(&dir, "out", "", "`DIR` for one file per rule, or the stack, and report.json (default: everything to standard output)")
	_ = c.MarkFlagRequired("to")
	_ = c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	flags := addRuleFlags(c)
	c.RunE = func(_ *cobra.Command, args []string) error {
		if !slices.Contains(words, to) {
			return usageErrorf("--to %q: want one of %s", to, strings.Join(words, ", "))
		}
		engine, err := flags.engine(a)
		if err != nil {
			return err
		}
		rules := engine.Rules()
		if len(args) > 0 {
			chosen := rules[:0:0]
			for _, name := range args {
				r := engine.Find(name)
				if r == nil {
					return &Error{Code: ExitUsage, Err: fmt.Errorf("no rule is %q", name), Hint: "'bartizan rules list' shows them; --rules DIR adds yours"}
				}
				chosen = append(chosen, r)
			}
			rules = chosen
		}
		target := compile.Target(to)
		results := compile.Rules(rules, target)
		refused := a.compileReport(results)
		files, err := a.compiled(results, target)
		if err != nil {
			return &Error{Code: ExitIncomplete, Err: err, Hint: "the lines above say why each rule was refused"}
		}
		if dir == "" {
			err = a.printCompiled(files, target)
		} else {
			err = a.writeCompiled(dir, files, results)
		}
		if err != nil {
			return err
		}
		if refused > 0 && (len(args) > 0 || refused == len(results)) {
			return errIncomplete
		}
		return nil
	}
	return c
}

func (a *App) compileReport(results []compile.Result) (refused int) {
	n := map[compile.Fidelity]int{}
	for _, r := range results {
		n[r.Fidelity]++
		if r.Fidelity != compile.Exact {
			a.notef("%s %s: %s", r.Fidelity, report.Plain(r.RuleID), report.Plain(strings.Join(r.Reasons, "; ")))
		}
	}
	a.notef("%d rules: %d exact, %d match more and are to be checked again, %d refused", len(results), n[compile.Exact], n[compile.Wider], n[compile.Refused])
	return n[compile.Refused]
}

// compiledFile is a file of --out; without it, a part of standard output.
type compiledFile struct {
	name string
	text []byte
}

var notFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// compiled writes the results in their target's form.
func (a *App) compiled(results []compile.Result, target compile.Target) ([]compiledFile, error) {
	switch target {
	case compile.CloudFormation, compile.Terraform:
		text, warnings, err := compile.Stack(results, target)
		for _, w := range warnings {
			a.warnf("%s", w)
		}
		name := map[compile.Target]string{compile.CloudFormation: "bartizan-detections.json", compile.Terraform: "bartizan-detections.tf.json"}[target]
		return []compiledFile{{name, text}}, err
	}
	var files []compiledFile
	used := map[string]bool{}
	for _, r := range results {
		if r.Fidelity == compile.Refused {
			continue
		}
		name := strings.Trim(notFileName.ReplaceAllString(r.RuleID, "_"), ".")
		for used[name] || name == "" || name == "report" {
			name += "_"
		}
		used[name] = true
		if target == compile.Athena {
			files = append(files, compiledFile{name + ".sql", []byte(sqlText(r))})
			continue
		}
		text, err := indented(r)
		if err != nil {
			return nil, err
		}
		files = append(files, compiledFile{name + ".json", text})
	}
	return files, nil
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}

func sqlText(r compile.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s: %s\n-- severity %s; %s\n", report.Plain(r.RuleID), report.Plain(r.Title), r.Severity, r.Fidelity)
	for _, why := range append(slices.Clone(r.Reasons), r.Notes...) {
		fmt.Fprintf(&b, "--   %s\n", report.Plain(why))
	}
	fmt.Fprintf(&b, "%s;\n", r.SQL)
	return b.String()
}

func (a *App) printCompiled(files []compiledFile, target compile.Target) error {
	var text []byte
	list := target == compile.EventBridge || target == compile.OpenSearch
	for i, f := range files {
		switch {
		case list && i == 0:
			text = append(text, "[\n"...)
		case list:
			text = append(bytes.TrimSpace(text), ",\n"...)
		case i > 0:
			text = append(text, '\n')
		}
		text = append(text, f.text...)
	}
	if list && len(files) == 0 {
		text = append(text, "["...)
	}
	if list {
		text = append(text, "]\n"...)
	}
	if _, err := a.Stdout.Write(text); err != nil {
		return incompleteErrorf("write to standard output: %w", err)
	}
	return nil
}

func (a *App) writeCompiled(dir string, files []compiledFile, results []compile.Result) error {
	summary, err := indented(results)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return incompleteErrorf("--out: %w", err)
	}
	for _, f := range append(files, compiledFile{"report.json", summary}) {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o644); err != nil {
			return incompleteErrorf("--out: %w", err)
		}
	}
	a.notef("wrote %d %s and report.json to %s", len(files), plural(len(files), "file", "files"), dir)
	return nil
}
