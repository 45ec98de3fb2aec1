package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/usage"
)

func newIAMAuditCommand(a *App) *cobra.Command {
	var unusedAfter, keyAge int
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show credentials, keys, MFA and unused identities, with what to change",
		Long: `Shows every user, role and root user as the credential report does (password, MFA,
access keys with age and last use, last use of roles) and lists what should
change about each, with the commands: keys to rotate or deactivate, passwords to
remove, unused users and roles, people to move to IAM Identity Center and programs
to move to roles. Ages are relative to the time of the estate.

An authorization-details file holds no credentials: there they are unknown.

Exit code: 0 nothing to change, 1 something is, 3 something could not be read.`,
		Example: `  bartizan iam audit -e estate.json.zst
  bartizan iam audit --unused-after 60 --key-age 30 -o jsonl`,
		Args: cobra.NoArgs,
	}
	f := addQuestionFlags(c, false)
	c.Flags().IntVar(&unusedAfter, "unused-after", 90, "`DAYS` without use after which something is unused")
	c.Flags().IntVar(&keyAge, "key-age", 90, "`DAYS` after which an access key is old")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		if unusedAfter < 1 || keyAge < 1 {
			return usageErrorf("--unused-after and --key-age want at least one day")
		}
		w, err := f.openWorld(c.Context(), a, true)
		if err != nil {
			return err
		}
		list := usage.Read(w.Inventory, w.Estate)
		issues := usage.Audit(list, w.Time, usage.Limits{UnusedAfter: days(unusedAfter), KeyAge: days(keyAge)})
		rows := make([]issueRow, 0, len(issues))
		certain := 0
		for i := range issues {
			if !issues[i].Unknown {
				certain++
			}
			rows = append(rows, newIssueRow(&issues[i]))
		}
		extra := map[string]any{"identities": identityRows(list), "time": w.Time.UTC().Format(time.RFC3339)}
		if err := emitRows(a, f.out, "issues", rows, extra, func(out io.Writer) error { return writeAudit(out, w.Time, list, rows) }); err != nil {
			return err
		}
		a.notef("%d identities, %d changes, %d unknown, as of %s", len(list), certain, len(rows)-certain, w.Time.UTC().Format(time.DateOnly))
		return exitOf(certain, len(rows)-certain, w)
	}
	return c
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

// exitOf is 1 for something found, 3 for something unknown.
func exitOf(found, unknown int, w *world) error {
	switch {
	case found > 0:
		return errFindings
	case unknown > 0 || w.incomplete():
		return errIncomplete
	}
	return nil
}

type issueRow struct {
	Code     string   `json:"code"`
	Identity string   `json:"identity"`
	Kind     string   `json:"kind"`
	Account  string   `json:"account"`
	Key      string   `json:"key,omitempty"`
	What     string   `json:"what"`
	Change   string   `json:"change"`
	Commands []string `json:"commands"`
	Unknown  bool     `json:"unknown,omitempty"`
}

func newIssueRow(i *usage.Issue) issueRow {
	return issueRow{i.Code, i.Identity.ARN, string(i.Identity.Kind), i.Identity.Account, i.Key, i.What, i.Change, append([]string{}, i.Commands...), i.Unknown}
}

type identityRow struct {
	ARN          string      `json:"arn"`
	Kind         string      `json:"kind"`
	Account      string      `json:"account"`
	Created      string      `json:"created,omitempty"`
	Password     usage.Known `json:"password"`
	PasswordUsed string      `json:"passwordLastUsed,omitempty"`
	MFA          usage.Known `json:"mfa"`
	Keys         []keyRow    `json:"keys"`
	KeysKnown    bool        `json:"keysKnown"`
	LastUsed     string      `json:"lastUsed,omitempty"`
	UseKnown     bool        `json:"lastUsedKnown"`
	Unknown      []string    `json:"unknown,omitempty"`
}

type keyRow struct {
	ID       string `json:"id"`
	Active   bool   `json:"active"`
	Created  string `json:"created,omitempty"`
	LastUsed string `json:"lastUsed,omitempty"`
	Service  string `json:"service,omitempty"`
}

func dateOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func identityRows(list []*usage.Identity) []identityRow {
	rows := make([]identityRow, 0, len(list))
	for _, id := range list {
		row := identityRow{ARN: id.ARN, Kind: string(id.Kind), Account: id.Account, Created: dateOf(id.Created), Password: id.Password,
			PasswordUsed: dateOf(id.PasswordUsed), MFA: id.MFA, Keys: []keyRow{}, KeysKnown: id.KeysKnown, LastUsed: dateOf(id.LastUsed), UseKnown: id.UseKnown, Unknown: id.Unknown}
		for _, k := range id.Keys {
			row.Keys = append(row.Keys, keyRow{k.ID, k.Active, dateOf(k.Created), dateOf(k.LastUsed), k.Service})
		}
		rows = append(rows, row)
	}
	return rows
}

func writeAudit(out io.Writer, now time.Time, list []*usage.Identity, rows []issueRow) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tIDENTITY\tAGE\tPASSWORD\tMFA\tKEYS\tLAST USED")
	for _, id := range list {
		password, mfa, keys := id.Password.String(), id.MFA.String(), "unknown"
		if id.KeysKnown {
			keys = keysText(id.Keys, now)
		}
		if id.Kind == inventory.Role {
			password, mfa, keys = "-", "-", "-"
		}
		last := "never"
		switch {
		case !id.LastUsed.IsZero():
			last = age(now, id.LastUsed) + " ago"
		case !id.UseKnown:
			last = "unknown"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", id.Kind, report.Plain(id.ARN), age(now, id.Created), password, mfa, report.Plain(keys), last)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var b strings.Builder
	for i, r := range rows {
		if i == 0 {
			b.WriteString("\nTO CHANGE\n")
		}
		fmt.Fprintf(&b, "%s  %s\n  %s %s\n", r.Code, report.Plain(r.Identity), report.Plain(r.What), report.Plain(r.Change))
		for _, cmd := range r.Commands {
			fmt.Fprintf(&b, "    %s\n", report.Plain(cmd))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func age(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%dd", int(now.Sub(t).Hours()/24))
}

func keysText(keys []usage.Key, now time.Time) string {
	if len(keys) == 0 {
		return "none"
	}
	var list []string
	for _, k := range keys {
		s := k.ID
		if !k.Active {
			s += " inactive"
		}
		if !k.Created.IsZero() {
			s += " " + age(now, k.Created)
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}
