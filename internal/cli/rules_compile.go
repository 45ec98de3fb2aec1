package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
Athena SQL over the tables that AWS documents, OpenSearch queries and aggregations,
and stacks of EventBridge rules for CloudFormation and Terraform with an SNS topic
as target. A stack of many rules puts several into one rule of EventBridge, so that
all of them fit on a bus; the messages say which one is meant.

A translation never misses what the rule matches. Each rule is exact, wider or
refused. Where the target cannot express a part, the translation is wider: it
matches more, and its hits are to be checked again, with 'bartizan detect'. Where
nothing useful would be left the rule is refused. Which it is, and why, is said
for every rule on standard error, and by -o json for machines.

--out writes files that the target takes as they are: NAME.json is a pattern for
'aws events put-rule --event-pattern' or the body of a search, NAME.sql a query.

Exit code 0: every rule was translated, or of all rules those that can be.
Exit code 3: a rule named on the command line was refused, or all were.`,
		Example: `  bartizan rules compile --to cloudformation > detections.json
  bartizan rules compile --to eventbridge cloudtrail_logging_stopped
  bartizan rules compile --to athena --only critical,high --out queries
  bartizan rules compile --to opensearch -o json | jq '.[] | select(.fidelity != "exact")'
  bartizan rules compile --to terraform --rules my-rules --no-pack --out infra`,
	}
	c.Flags().StringVar(&to, "to", "", "`TARGET`: "+strings.Join(words, ", "))
	c.Flags().StringVar(&dir, "out", "", "`DIR` for one file per rule, or the stack, and report.json (default: everything to standard output)")
	_ = c.MarkFlagRequired("to")
	_ = c.RegisterFlagCompletionFunc("to", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	flags := addRuleFlags(c)
	out := addOutputFlag(c, "text", "json")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if !slices.Contains(words, to) {
			return usageErrorf("--to %q: want one of %s", to, strings.Join(words, ", "))
		}
		if err := out.parse(); err != nil {
			return err
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
				if r.Filter != nil {
					return usageErrorf("%q is a filter: it is laid over the rules that it names, and has no translation of its own", name)
				}
				if !slices.Contains(chosen, r) {
					chosen = append(chosen, r)
				}
			}
			rules = chosen
		}
		target := compile.Target(to)
		results := compile.Rules(rules, target)
		refused := a.compileReport(results)
		var text []byte
		if dir == "" && slices.ContainsFunc(out.specs, func(s outputSpec) bool { return s.format == "text" }) {
			if text, err = a.compiledText(results, target); err != nil {
				return err
			}
		}
		err = out.emit(a, func(format string, w io.Writer, _ bool) error {
			content := text
			if format == "json" {
				var err error
				if content, err = indented(results); err != nil {
					return err
				}
			}
			_, err := w.Write(content)
			return err
		})
		if err == nil && dir != "" {
			err = a.writeCompiled(dir, results, target)
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
		for _, note := range r.Notes {
			if len(results) == 1 {
				a.notef("note: %s", report.Plain(note))
			}
		}
	}
	a.notef("%d %s: %d exact, %d match more and are to be checked again, %d refused", len(results), plural(len(results), "rule", "rules"), n[compile.Exact], n[compile.Wider], n[compile.Refused])
	return n[compile.Refused]
}

// compiledFile is a file of --out.
type compiledFile struct {
	name string
	text []byte
}

var notFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// stackOf writes the results as a stack.
func (a *App) stackOf(results []compile.Result, target compile.Target) ([]byte, error) {
	text, warnings, err := compile.Stack(results, target)
	for _, w := range warnings {
		a.warnf("%s", w)
	}
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: err, Hint: "the lines above say why each rule was refused"}
	}
	return text, nil
}

func isStack(t compile.Target) bool { return t == compile.CloudFormation || t == compile.Terraform }

// compiledText is what goes to standard output.
func (a *App) compiledText(results []compile.Result, target compile.Target) ([]byte, error) {
	if isStack(target) {
		return a.stackOf(results, target)
	}
	taken := []compile.Result{}
	var sql []string
	for _, r := range results {
		if r.Fidelity != compile.Refused {
			taken, sql = append(taken, r), append(sql, sqlText(r))
		}
	}
	if target == compile.Athena {
		return []byte(strings.Join(sql, "\n")), nil
	}
	return indented(taken)
}

// compiledFiles are the files of --out, which the target takes as they are.
func (a *App) compiledFiles(results []compile.Result, target compile.Target) ([]compiledFile, error) {
	if isStack(target) {
		text, err := a.stackOf(results, target)
		name := map[compile.Target]string{compile.CloudFormation: "bartizan-detections.json", compile.Terraform: "bartizan-detections.tf.json"}[target]
		return []compiledFile{{name, text}}, err
	}
	var files []compiledFile
	used := map[string]bool{"": true, "report": true, "index-template": true}
	for _, r := range results {
		base := strings.Trim(notFileName.ReplaceAllString(r.RuleID, "_"), ".-")
		base = base[:min(len(base), 120)]
		for used[strings.ToLower(base)] { // some file systems ignore case
			base += "_"
		}
		used[strings.ToLower(base)] = true
		if r.SQL != "" {
			files = append(files, compiledFile{base + ".sql", []byte(sqlText(r))})
		}
		if r.Query != nil {
			text, err := indented(r.Query)
			if err != nil {
				return nil, err
			}
			files = append(files, compiledFile{base + ".json", text})
		}
		for i, p := range r.Patterns {
			name := base
			if len(r.Patterns) > 1 {
				name = fmt.Sprintf("%s.%d", base, i+1)
			}
			files = append(files, compiledFile{name + ".json", append(slices.Clone(p.JSON), '\n')})
		}
	}
	if target == compile.OpenSearch {
		files = append(files, compiledFile{"index-template.json", append(compile.IndexTemplate("aws-*"), '\n')})
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
	fmt.Fprintf(&b, "-- Reads the whole table: add a condition on its partitions to WHERE.\n%s;\n", r.SQL)
	return b.String()
}

func (a *App) writeCompiled(dir string, results []compile.Result, target compile.Target) error {
	files, err := a.compiledFiles(results, target)
	if err != nil {
		return err
	}
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
	switch target {
	case compile.CloudFormation:
		bucket := ""
		if len(files[0].text) > 51_200 {
			bucket = " --s3-bucket NAME"
		}
		a.notef("next: aws cloudformation deploy --stack-name detections --template-file %s%s", filepath.Join(dir, files[0].name), bucket)
	case compile.Terraform:
		a.notef("next: terraform -chdir=%s init, then plan", dir)
	}
	return nil
}
