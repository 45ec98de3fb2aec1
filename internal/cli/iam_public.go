package cli

import (
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity/exposure"
	"github.com/bartizan-security/bartizan/identity/prove"
)

func newIAMPublicCommand(a *App) *cobra.Command {
	return newExposureCommand(a, exposure.Anyone, &cobra.Command{
		Use:   "public",
		Short: "Which resources and roles can anyone use?",
		Long: `Asks of every resource with a policy, and of every role's trust policy, whether
anyone at all can use it: an anonymous caller, somebody of an account that no
policy names, or anybody with an account at a shared identity provider such as
GitHub. Each answer comes with the statement, its conditions, and a request that
the evaluator confirms. S3 block public access of bucket and account, access
control lists and resource control policies are taken into account.

Exit code: 0 nothing is public, 1 something is, 3 something is unknown or could
not be read.`,
		Example: `  bartizan iam public -e estate.json.zst
  bartizan iam public -o jsonl`,
		Args: cobra.NoArgs,
	})
}

func newIAMExternalCommand(a *App) *cobra.Command {
	return newExposureCommand(a, exposure.Outside, &cobra.Command{
		Use:   "external",
		Short: "Which resources and roles can anyone outside the organization use?",
		Long: `Asks of every resource with a policy, and of every role's trust policy, whether
anyone outside the organization can use it; where the estate shows no
organization, anyone outside its accounts. Access that a condition limits to the
organization, to resources and networks of its accounts, or to AWS services is
not external. Identity providers are listed with their conditions. Each answer
comes with the statement and a request that the evaluator confirms; access that
is open to anyone is marked public.

Exit code: 0 nothing is external, 1 something is, 3 something is unknown or could
not be read.`,
		Example: `  bartizan iam external -e estate.json.zst
  bartizan iam external -o json`,
		Args: cobra.NoArgs,
	})
}

// exposureRow is one exposure.
type exposureRow struct {
	Resource   string         `json:"resource"`
	Type       string         `json:"type"`
	Account    string         `json:"account"`
	Principal  string         `json:"principal"`
	Kind       string         `json:"kind"`
	Public     bool           `json:"public"`
	Certain    prove.Verdict  `json:"certain"` // true, or "unknown"
	Reason     string         `json:"reason,omitempty"`
	Actions    []string       `json:"actions"`
	Conditions []string       `json:"conditions"`
	Statement  *int           `json:"statement,omitempty"`
	Sid        string         `json:"sid,omitempty"`
	Witness    *witnessOutput `json:"witness,omitempty"`
}

func newExposureCommand(a *App, scope exposure.Scope, c *cobra.Command) *cobra.Command {
	f := addQuestionFlags(c, false)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		var rows []exposureRow
		certain, unknown := 0, 0
		for _, r := range w.Inventory.Resources {
			if err := c.Context().Err(); err != nil {
				return incompleteErrorf("stopped: %w", err)
			}
			for _, x := range exposure.Of(w.Inventory, r, scope) {
				if x.Verdict == prove.Yes {
					certain++
				} else {
					unknown++
				}
				rows = append(rows, newExposureRow(&x))
			}
		}
		if err := emitRows(a, f.out, "exposures", rows, map[string]any{"looked": w.looked()}, func(out io.Writer) error { return writeExposures(out, rows) }); err != nil {
			return err
		}
		a.notef("%d exposures, %d unknown; looked at %s", certain, unknown, w.lookedText())
		if scope == exposure.Outside {
			if org := w.OrganizationID(); org != "" {
				a.notef("inside is the organization %s", report.Plain(org))
			} else {
				a.notef("inside are the %d accounts of the estate: it shows no organization", len(w.Accounts))
			}
		}
		switch {
		case certain > 0:
			return errFindings
		case unknown > 0 || w.incomplete():
			return errIncomplete
		}
		return nil
	}
	return c
}

// looked counts the resources with their type.
func (w *world) looked() map[string]int {
	m := map[string]int{}
	for _, r := range w.Inventory.Resources {
		m[r.Type]++
	}
	return m
}

func (w *world) lookedText() string {
	var list []string
	for typ, n := range w.looked() {
		list = append(list, fmt.Sprintf("%d %s", n, strings.TrimPrefix(typ, "AWS::")))
	}
	sort.Strings(list)
	if len(list) == 0 {
		return "nothing: the estate holds no resource with a policy"
	}
	return strings.Join(list, ", ")
}

func newExposureRow(x *exposure.Exposure) exposureRow {
	row := exposureRow{Resource: x.Resource.ARN, Type: x.Resource.Type, Account: x.Resource.Account, Principal: x.Principal, Kind: x.Kind,
		Public: x.Public, Certain: x.Verdict, Reason: x.Reason, Actions: append([]string{}, x.Actions...), Conditions: append([]string{}, x.Conditions...)}
	if x.Statement != nil {
		row.Statement, row.Sid = &x.Statement.Index, x.Statement.SidText()
	}
	if w := x.Witness; w != nil {
		row.Witness = &witnessOutput{w.Principal, w.Action, w.Resource, x.Resource.Account, w.Context}
	}
	return row
}

func writeExposures(out io.Writer, rows []exposureRow) error {
	var b strings.Builder
	if len(rows) == 0 {
		b.WriteString("none\n")
	}
	for i, r := range rows {
		if i == 0 || rows[i-1].Resource != r.Resource {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "%s  %s\n", report.Plain(r.Resource), r.Type)
		}
		who := r.Principal
		if who == "*" {
			who = "anyone"
		}
		if r.Kind != "anyone" {
			who += " (" + r.Kind + ")"
		}
		switch {
		case r.Certain != prove.Yes:
			fmt.Fprintf(&b, "  unknown   %s: %s\n", report.Plain(who), report.Plain(r.Reason))
		case r.Public:
			fmt.Fprintf(&b, "  public    %s\n", report.Plain(who))
		default:
			fmt.Fprintf(&b, "  external  %s\n", report.Plain(who))
		}
		if len(r.Actions) > 0 {
			fmt.Fprintf(&b, "    actions   %s\n", report.Plain(strings.Join(r.Actions, ", ")))
		}
		for _, c := range r.Conditions {
			fmt.Fprintf(&b, "    if        %s\n", report.Plain(c))
		}
		if r.Statement != nil {
			fmt.Fprintf(&b, "    by        statement %d %s\n", *r.Statement, report.Plain(r.Sid))
		}
		if w := r.Witness; w != nil {
			fmt.Fprintf(&b, "    for example %s %s by %s\n", report.Plain(w.Action), report.Plain(w.Resource), report.Plain(w.Principal))
			for _, k := range contextText(w.Context) {
				fmt.Fprintf(&b, "      with %s\n", k)
			}
		}
	}
	_, err := io.WriteString(out, strings.ReplaceAll(b.String(), " \n", "\n"))
	return err
}
