package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/lint"
)

// lintFinding is one finding in a file, as -o jsonl writes it.
type lintFinding struct {
	File    string    `json:"file"`
	Code    string    `json:"code"`
	Type    lint.Type `json:"type"`
	Path    string    `json:"path"`
	Line    int       `json:"line"`
	Column  int       `json:"column"`
	Message string    `json:"message"`
	Suggest string    `json:"suggestion,omitempty"`
}

type lintFlags struct {
	kind, resourceType, failOn string
	noExtra                    bool
}

func newIAMLintCommand(a *App) *cobra.Command {
	var f lintFlags
	c := &cobra.Command{
		Use:   "lint POLICY…",
		Short: "Find mistakes, risks and dead parts in IAM policies",
		Long: `Checks policies against every check of IAM Access Analyzer's ValidatePolicy, under
its codes, and a few checks of our own, whose codes start with BARTIZAN_.
docs/iam-lint.md lists them all.

A POLICY is a file, a folder (every .json file in it), or - for standard input.
Without --type each policy is taken for what it looks like: one with principals
for a resource policy, or a role trust policy when its actions are all of sts.`,
		Example: `  bartizan iam lint policy.json
  bartizan iam lint --type scp policies/scp
  bartizan iam lint --type resource --resource-type AWS::S3::Bucket bucket.json -o jsonl
  aws iam get-role --role-name app --query Role.AssumeRolePolicyDocument | bartizan iam lint --type trust -`,
		Args: cobra.MinimumNArgs(1),
	}
	o := addOutputFlag(c, "table", "json", "jsonl", "sarif")
	fl := c.Flags()
	fl.StringVar(&f.kind, "type", "", "what the policies are: "+joinKinds()+" (default: guessed)")
	fl.StringVar(&f.resourceType, "resource-type", "", "type of the resource that a resource policy is attached to: "+strings.Join(lint.ResourceTypes, ", "))
	fl.StringVar(&f.failOn, "fail-on", "security_warning", "least type of finding that makes the exit code 1: error, security_warning, warning, suggestion, none")
	fl.BoolVar(&f.noExtra, "no-extra", false, "only AWS's own checks")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(strings.Split(joinKinds(), ", "), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("resource-type", cobra.FixedCompletions(lint.ResourceTypes, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(_ *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		return a.lint(args, f, o)
	}
	return c
}

func joinKinds() string {
	var out []string
	for _, k := range lint.Kinds {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}

func (f lintFlags) check() (failOn int, err error) {
	if f.kind != "" && !slices.Contains(lint.Kinds, lint.Kind(f.kind)) {
		return 0, usageErrorf("--type %q: want one of %s", f.kind, joinKinds())
	}
	if f.resourceType != "" {
		if !slices.Contains(lint.ResourceTypes, f.resourceType) {
			return 0, usageErrorf("--resource-type %q: want one of %s", f.resourceType, strings.Join(lint.ResourceTypes, ", "))
		}
		if k := lint.Kind(f.kind); k != "" && k != lint.Resource && k != lint.Trust {
			return 0, usageErrorf("--resource-type goes with --type resource, not %s", f.kind)
		}
	}
	if f.failOn == "none" {
		return -1, nil
	}
	i := slices.Index(lint.Types, lint.Type(strings.ToUpper(f.failOn)))
	if i < 0 {
		return 0, usageErrorf("--fail-on %q: want error, security_warning, warning, suggestion or none", f.failOn)
	}
	return i, nil
}

func (a *App) lint(args []string, f lintFlags, o *outputs) error {
	failOn, err := f.check()
	if err != nil {
		return err
	}
	files, unreadable := a.policyFiles(args)
	var found []lintFinding
	guessed := map[lint.Kind]int{}
	checked, failed := 0, false
	for _, name := range files {
		data, err := a.readPolicy(name)
		if err != nil {
			a.warnf("%s: %v", name, err)
			unreadable = true
			continue
		}
		checked++
		opt := lint.Options{Kind: lint.Kind(f.kind), ResourceType: f.resourceType, NoExtra: f.noExtra}
		if opt.Kind == "" {
			opt.Kind = lint.Resource
			if f.resourceType == "" {
				opt.Kind = lint.Guess(data)
				guessed[opt.Kind]++
			}
		}
		for _, g := range lint.Lint(data, opt) {
			found = append(found, lintFinding{name, g.Code, g.Type, g.Path, g.Pos.Line, g.Pos.Col, g.Message, g.Replace})
			failed = failed || failOn >= 0 && slices.Index(lint.Types, g.Type) <= failOn
		}
	}
	for _, k := range lint.Kinds {
		if n := guessed[k]; n > 0 {
			a.notef("taken for %s: %s; say --type to choose", kindNames[k], counted(n, "policy", "policies"))
		}
	}
	err = o.emit(a, func(format string, w io.Writer, _ bool) error {
		return writeLint(w, format, found, checked)
	})
	switch {
	case err != nil:
		return err
	case unreadable:
		return errIncomplete
	case failed:
		return errFindings
	}
	return nil
}

var kindNames = map[lint.Kind]string{
	lint.Identity: "an identity policy", lint.Resource: "a resource policy", lint.Trust: "a role trust policy",
	lint.SCP: "a service control policy", lint.RCP: "a resource control policy", lint.Boundary: "a permissions boundary",
}

// policyFiles lists the files that the arguments name, folders walked in order.
func (a *App) policyFiles(args []string) (files []string, unreadable bool) {
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == "-":
			files = append(files, arg)
		case err != nil:
			a.warnf("%v", err)
			unreadable = true
		case !info.IsDir():
			files = append(files, arg)
		default:
			before := len(files)
			err := filepath.WalkDir(arg, func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					a.warnf("%v", err)
					unreadable = true
					return nil
				}
				if d.Type().IsRegular() && strings.EqualFold(filepath.Ext(path), ".json") {
					files = append(files, path)
				}
				return nil
			})
			if err != nil || len(files) == before {
				a.warnf("%s: no .json file in it", arg)
				unreadable = true
			}
		}
	}
	return files, unreadable
}

// readPolicy reads a policy document of any size that the checks accept.
func (a *App) readPolicy(name string) ([]byte, error) {
	if name != "-" {
		data, err := readBounded(name, identity.MaxPolicySize)
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return data, err
	}
	data, err := io.ReadAll(io.LimitReader(a.Stdin, identity.MaxPolicySize+1))
	if err == nil && len(data) > identity.MaxPolicySize {
		err = fmt.Errorf("standard input is larger than %d bytes", identity.MaxPolicySize)
	}
	return data, err
}

func writeLint(w io.Writer, format string, found []lintFinding, files int) error {
	switch format {
	case "jsonl":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		for _, f := range found {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		return nil
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if found == nil {
			found = []lintFinding{}
		}
		return enc.Encode(struct {
			Policies int            `json:"policies"`
			Counts   map[string]int `json:"counts"`
			Findings []lintFinding  `json:"findings"`
		}{files, lintCounts(found), found})
	case "sarif":
		return writeLintSARIF(w, found)
	}
	for _, f := range found {
		where := f.Path
		if where == "" {
			where = "(the policy)"
		}
		if _, err := fmt.Fprintf(w, "%s:%d:%d: %s %s at %s\n    %s\n", plainName(f.File), f.Line, f.Column, f.Type, f.Code, where, f.Message); err != nil {
			return err
		}
	}
	counts := lintCounts(found)
	var parts []string
	for i, t := range lint.Types {
		if n := counts[string(t)]; n > 0 {
			parts = append(parts, counted(n, lintWords[i][0], lintWords[i][1]))
		}
	}
	if parts == nil {
		parts = []string{"nothing found"}
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", counted(files, "policy", "policies"), strings.Join(parts, ", "))
	return err
}

var lintWords = [][2]string{{"error", "errors"}, {"security warning", "security warnings"}, {"warning", "warnings"}, {"suggestion", "suggestions"}}

func lintCounts(found []lintFinding) map[string]int {
	n := map[string]int{}
	for _, f := range found {
		n[string(f.Type)]++
	}
	return n
}

// plainName shows a file's name without control characters.
func plainName(name string) string {
	if strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		return fmt.Sprintf("%q", name)
	}
	return name
}

// counted is a number with its noun.
func counted(n int, one, many string) string { return fmt.Sprintf("%d %s", n, plural(n, one, many)) }
