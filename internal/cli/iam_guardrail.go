package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity/guardrail"
	"github.com/bartizan-security/bartizan/identity/prove"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

func newIAMGuardrailCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "guardrail FILE",
		Short: "Prove statements that must hold, such as nobody can stop a trail",
		Long: `Reads a list of statements that must hold over the estate and proves each over the
whole stack of policies of every principal. What does not hold is shown with the
principal, a request that it may make, and the statements that allow it.

FILE is YAML:

  guardrails:
    - name: nobody outside the break-glass role can stop a trail
      actions: [cloudtrail:StopLogging, cloudtrail:DeleteTrail]
      except: [role/break-glass, "arn:aws:iam::*:role/org-admin"]
    - name: payroll is for the payroll role
      actions: [s3:GetObject]
      resources: ["arn:aws:s3:::payroll/*"]
      except: [role/payroll]
    - name: no key is deleted without MFA
      actions: [kms:ScheduleKeyDeletion]
      when: {Bool: {aws:MultiFactorAuthPresent: "false"}}
      root: true          # root users are meant too
      accounts: ["111122223333"]

Exit code: 0 all hold, 1 one does not, 2 the file is wrong, 3 one is unknown, or
part of the estate could not be read.`,
		Example: `  bartizan iam guardrail guardrails.yaml -e estate.json.zst
  bartizan iam guardrail guardrails.yaml -o json`,
		Args: cobra.ExactArgs(1),
	}
	f := addQuestionFlags(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		rules, err := a.readGuardrails(args[0])
		if err != nil {
			return err
		}
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		var rows []guardrailRow
		found, unknown := 0, 0
		for _, r := range rules {
			if err := c.Context().Err(); err != nil {
				return incompleteErrorf("stopped: %w", err)
			}
			list, asked := guardrail.Check(w.Inventory, r)
			row := guardrailRow{Name: r.Name, Holds: "yes", Principals: asked, Violations: []violationRow{}}
			for _, v := range list {
				out := violationRow{Principal: v.Principal, Certain: v.Verdict, Reason: v.Reason, By: v.By}
				if x := v.Witness; x != nil {
					out.Witness = &witnessOutput{v.Principal, x.Action, x.Resource, x.ResourceAccount, x.Context}
				}
				row.Violations = append(row.Violations, out)
				if v.Verdict == prove.Yes {
					found++
					row.Holds = "no"
				} else {
					unknown++
					if row.Holds == "yes" {
						row.Holds = "unknown"
					}
				}
			}
			if row.Holds == "yes" && w.incomplete() {
				row.Holds = "unknown"
			}
			rows = append(rows, row)
		}
		if err := emitRows(a, f.out, "guardrails", rows, nil, func(out io.Writer) error { return writeGuardrails(out, rows) }); err != nil {
			return err
		}
		return exitOf(found, unknown, w)
	}
	return c
}

// guardrailFile is the layout of the file.
type guardrailFile struct {
	Guardrails []struct {
		Name      string                    `yaml:"name"`
		Actions   []string                  `yaml:"actions"`
		Resources []string                  `yaml:"resources"`
		Except    []string                  `yaml:"except"`
		Accounts  []string                  `yaml:"accounts"`
		Root      bool                      `yaml:"root"`
		When      map[string]map[string]any `yaml:"when"`
	} `yaml:"guardrails"`
}

const maxGuardrailFile = 1 << 20

func (a *App) readGuardrails(file string) ([]*guardrail.Rule, error) {
	r, done, err := a.openInput(file)
	if err != nil {
		return nil, &Error{Code: ExitUsage, Err: err, Hint: "see 'bartizan iam guardrail --help' for what the file holds"}
	}
	defer done()
	data, err := io.ReadAll(io.LimitReader(r, maxGuardrailFile+1))
	if err != nil {
		return nil, incompleteErrorf("read %s: %w", file, err)
	}
	var in guardrailFile
	if _, err := yamldoc.Decode(file, data, maxGuardrailFile, &in); err != nil {
		return nil, &Error{Code: ExitUsage, Err: err, Hint: "see 'bartizan iam guardrail --help' for what the file holds"}
	}
	if len(in.Guardrails) == 0 {
		return nil, usageErrorf("%s: no guardrails in it", file)
	}
	var rules []*guardrail.Rule
	names := map[string]bool{}
	for i, g := range in.Guardrails {
		rule := &guardrail.Rule{Name: g.Name, Actions: g.Actions, Resources: g.Resources, Except: g.Except, Accounts: g.Accounts, Root: g.Root, When: g.When}
		if err := rule.Compile(); err != nil {
			return nil, usageErrorf("%s: guardrail %d: %w", file, i+1, err)
		}
		if names[g.Name] {
			return nil, usageErrorf("%s: two guardrails are named %q", file, g.Name)
		}
		names[g.Name] = true
		rules = append(rules, rule)
	}
	return rules, nil
}

type guardrailRow struct {
	Name       string         `json:"name"`
	Holds      string         `json:"holds"` // yes, no or unknown
	Principals int            `json:"principals"`
	Violations []violationRow `json:"violations"`
}

type violationRow struct {
	Principal string         `json:"principal"`
	Certain   prove.Verdict  `json:"certain"` // true, or "unknown"
	Reason    string         `json:"reason,omitempty"`
	By        []string       `json:"by,omitempty"`
	Witness   *witnessOutput `json:"witness,omitempty"`
}

func writeGuardrails(out io.Writer, rows []guardrailRow) error {
	var b strings.Builder
	words := map[string]string{"yes": "holds", "no": "VIOLATED", "unknown": "unknown"}
	for _, r := range rows {
		fmt.Fprintf(&b, "%-8s  %s (%d %s asked)\n", words[r.Holds], report.Plain(r.Name), r.Principals, plural(r.Principals, "principal", "principals"))
		for _, v := range r.Violations {
			if v.Certain != prove.Yes {
				fmt.Fprintf(&b, "  unknown  %s: %s\n", report.Plain(v.Principal), report.Plain(v.Reason))
				continue
			}
			fmt.Fprintf(&b, "  %s\n    may  %s on %s\n", report.Plain(v.Principal), report.Plain(v.Witness.Action), report.Plain(v.Witness.Resource))
			for _, k := range contextText(v.Witness.Context) {
				if !strings.HasPrefix(strings.ToLower(k), "aws:principal") {
					fmt.Fprintf(&b, "    with %s\n", k)
				}
			}
			if len(v.By) > 0 {
				fmt.Fprintf(&b, "    by   %s\n", report.Plain(strings.Join(v.By, ", ")))
			}
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
