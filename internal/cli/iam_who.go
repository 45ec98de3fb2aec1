package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
)

func newIAMWhoCanCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "who-can ACTION [RESOURCE]",
		Short: "Who may do an action on a resource, over all accounts?",
		Long: `Lists every user and role of every account of the estate that may do the action
on the resource, and whoever the policy of the resource lets in from outside:
anyone, other accounts, services and identity providers. Each is decided as by
'iam can'. Those of whom it is unknown are listed with the condition keys, or the
unreadable policies, that decide.

Exit code: 0 if the list is certain, 3 if it holds unknowns or parts of the
estate could not be read.`,
		Example: `  bartizan iam who-can s3:GetObject arn:aws:s3:::payroll/2024.csv -e estate.json.zst
  bartizan iam who-can cloudtrail:StopLogging -e estate.json.zst -o jsonl
  bartizan iam who-can kms:Decrypt arn:aws:kms:eu-west-1:111122223333:key/… --context aws:SourceIp=192.0.2.1`,
		Args: cobra.RangeArgs(1, 2),
	}
	f := addQuestionFlags(c, true)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		context, err := f.contextMap()
		if err != nil {
			return err
		}
		resource := "*"
		if len(args) == 2 {
			resource = args[1]
		}
		a.checkAction(args[0])
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		rows, err := w.whoCan(args[0], resource, context)
		if err != nil {
			return err
		}
		if err := emitRows(a, f.out, "principals", rows, map[string]any{"action": args[0], "resource": resource}, func(out io.Writer) error {
			return writeWho(out, rows)
		}); err != nil {
			return err
		}
		unknown := 0
		for _, r := range rows {
			if r.Decision == identity.Unknown {
				unknown++
			}
		}
		a.notef("%d may, %d unknown, of %d principals in %d %s", len(rows)-unknown, unknown, len(w.Principals), len(w.Accounts), plural(len(w.Accounts), "account", "accounts"))
		if _, known := w.Resource(resource); !known && resource != "*" {
			a.notef("%s and its policy are not in the estate; 'iam can' says where that matters", report.Plain(resource))
		}
		if unknown > 0 || w.incomplete() {
			return errIncomplete
		}
		return nil
	}
	return c
}

// whoRow is one principal that may do it, or of whom it is unknown.
type whoRow struct {
	Principal  string           `json:"principal"`
	Kind       string           `json:"kind"`
	Outside    bool             `json:"outside"` // not of this estate
	Decision   identity.Outcome `json:"decision"`
	DecidedBy  identity.Layer   `json:"decidedBy"`
	Statements []whoStatement   `json:"statements"`
	DependsOn  []string         `json:"dependsOn,omitempty"` // condition keys
	Missing    []string         `json:"missing,omitempty"`
	Assumed    []string         `json:"assumed,omitempty"`
}

type whoStatement struct {
	Layer  identity.Layer `json:"layer"`
	Policy string         `json:"policy"`
	Sid    string         `json:"sid,omitempty"`
	Index  int            `json:"index"`
}

func (w *world) whoCan(action, resource string, context map[string][]string) ([]whoRow, error) {
	holders, err := w.WhoCan(action, resource, context)
	if err != nil {
		return nil, usageErrorf("%w", err)
	}
	rows := make([]whoRow, 0, len(holders))
	for _, h := range holders {
		row := whoRow{Principal: h.Caller, Outside: h.Principal == nil, Decision: h.Outcome, DecidedBy: h.DecidedBy,
			Statements: []whoStatement{}, DependsOn: h.MissingContext, Missing: h.Missing, Assumed: h.Assumed}
		if h.Principal != nil {
			row.Kind = string(h.Principal.Kind)
		} else {
			row.Kind = outsiderKind(h.Caller)
		}
		for _, s := range h.Statements {
			row.Statements = append(row.Statements, whoStatement{s.Layer, s.Policy(), s.Statement.SidText(), s.Statement.Index})
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// outsiderKind says in a word who a caller from outside is.
func outsiderKind(name string) string {
	c, err := identity.ParseCaller(name)
	if err != nil {
		return "unknown"
	}
	switch c.Kind {
	case identity.AnonymousCaller:
		return "anyone"
	case identity.RootCaller:
		return "account"
	case identity.ServiceCaller:
		return "service"
	case identity.ProviderCaller:
		return "identity provider"
	case identity.UserCaller:
		return "user"
	}
	return "role"
}

func writeWho(out io.Writer, rows []whoRow) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "nobody")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DECISION\tKIND\tPRINCIPAL\tBECAUSE OF")
	for _, r := range rows {
		name := r.Principal
		if r.Outside && name == "*" {
			name = "anyone"
		}
		if r.Outside {
			name += " (outside)"
		}
		var why []string
		for _, s := range r.Statements {
			why = append(why, fmt.Sprintf("%s[%d]", s.Policy, s.Index))
		}
		for _, k := range r.DependsOn {
			why = append(why, "depends on "+k)
		}
		why = append(why, r.Missing...)
		if len(why) == 0 {
			why = []string{string(r.DecidedBy)}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Decision, r.Kind, report.Plain(name), report.Plain(strings.Join(why, ", ")))
	}
	return t.Flush()
}
