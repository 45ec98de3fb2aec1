package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/usage"
)

func newIAMUnusedCommand(a *App) *cobra.Command {
	var trail []string
	var unusedAfter int
	c := &cobra.Command{
		Use:   "unused",
		Short: "Which identities, credentials and permissions does nobody use?",
		Long: `Lists users, roles, passwords and access keys that have not been used, by what the
estate knows of their last use, and services that were never accessed where the
estate holds last-accessed data. With --from-trail it also lists, for each user
and role that the logs show at work, the action patterns of its policies under
which nothing was used.

Exit code: 0 everything is used, 1 something is not, 3 something is unknown or
could not be read.`,
		Example: `  bartizan iam unused -e estate.json.zst
  bartizan iam unused -e estate.json.zst --from-trail logs/AWSLogs -o jsonl`,
		Args: cobra.NoArgs,
	}
	f := addQuestionFlags(c, false)
	c.Flags().StringArrayVar(&trail, "from-trail", nil, "`PATH` of CloudTrail logs, repeatable")
	c.Flags().IntVar(&unusedAfter, "unused-after", 90, "`DAYS` without use after which something is unused")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		if unusedAfter < 1 {
			return usageErrorf("--unused-after wants at least one day")
		}
		w, err := f.openWorld(c.Context(), a, true)
		if err != nil {
			return err
		}
		rows := w.unusedIdentities(unusedAfter)
		if len(trail) > 0 {
			seen, err := f.readTrail(c.Context(), a, trail, w.actor)
			if err != nil {
				return err
			}
			rows = append(rows, w.unusedGrants(seen)...)
			a.notef("%d events from %s to %s show %d identities at work", seen.events, dateOf(seen.first), dateOf(seen.last), len(seen.uses))
			if len(seen.problems) > 0 {
				rows = append(rows, unusedRow{What: "unknown", Unknown: true, Detail: "The logs could not be read whole: what seems unused may be used there.", Change: "Read them again."})
			}
		}
		slices.SortStableFunc(rows, func(x, y unusedRow) int { return strings.Compare(x.Identity, y.Identity) })
		if err := emitRows(a, f.out, "unused", rows, nil, func(out io.Writer) error { return writeUnused(out, rows) }); err != nil {
			return err
		}
		unknown := 0
		for _, r := range rows {
			if r.Unknown {
				unknown++
			}
		}
		return exitOf(len(rows)-unknown, unknown, w)
	}
	return c
}

// unusedRow is something that nobody uses.
type unusedRow struct {
	Identity  string `json:"identity"`
	What      string `json:"what"` // user, role, password, key, service, actions, or unknown
	Name      string `json:"name,omitempty"`
	Policy    string `json:"policy,omitempty"`
	Statement *int   `json:"statement,omitempty"`
	Detail    string `json:"detail"`
	Change    string `json:"change"`
	Unknown   bool   `json:"unknown,omitempty"`
}

// unusedIdentities lists what the audit finds unused, and services by
// last-accessed data.
func (w *world) unusedIdentities(after int) []unusedRow {
	list := usage.Read(w.Inventory, w.Estate)
	kinds := map[string]string{"user-unused": "user", "role-unused": "role", "password-unused": "password", "key-unused": "key", "unknown": "unknown"}
	var rows []unusedRow
	for _, i := range usage.Audit(list, w.Time, usage.Limits{UnusedAfter: days(after), KeyAge: 100 * 365 * days(1)}) {
		if kind := kinds[i.Code]; kind != "" && i.Identity.Kind != inventory.Root {
			rows = append(rows, unusedRow{Identity: i.Identity.ARN, What: kind, Name: i.Key, Detail: i.What, Change: i.Change, Unknown: i.Unknown})
		}
	}
	for _, id := range list {
		if id.Resource == nil {
			continue
		}
		for _, s := range usage.ServicesAccessed(id.Resource.Document) {
			switch {
			case s.Last.IsZero():
				rows = append(rows, unusedRow{Identity: id.ARN, What: "service", Name: s.Service, Detail: "The service " + s.Service + " was never accessed in the time that AWS tracks.", Change: "Take it out of the policies."})
			case w.Time.Sub(s.Last) > days(after):
				rows = append(rows, unusedRow{Identity: id.ARN, What: "service", Name: s.Service, Detail: fmt.Sprintf("The service %s was last accessed %s ago.", s.Service, age(w.Time, s.Last)), Change: "Take it out of the policies."})
			}
		}
	}
	return rows
}

// actor finds the user or role behind a call.
func (w *world) actor(t *trailCall) *inventory.Principal {
	for _, name := range []string{t.Role, t.Principal} {
		if p, ok := w.Principal(name); ok && p.Kind != inventory.Root {
			return p
		}
	}
	return nil
}

// unusedGrants lists action patterns without use, of identities that the logs
// show at work.
func (w *world) unusedGrants(seen *seenTrail) []unusedRow {
	var rows []unusedRow
	for _, p := range w.Principals {
		u := seen.uses[p]
		if u == nil || len(u.Actions) == 0 {
			continue
		}
		var docs []*identity.Document
		for _, at := range p.Policies {
			docs = append(docs, at.Document)
		}
		for _, g := range u.Unused(docs) {
			rows = append(rows, unusedRow{Identity: p.ARN, What: "actions", Name: g.Pattern, Policy: g.Policy, Statement: &g.Index,
				Detail: fmt.Sprintf("Nothing that %s names was used in the logs.", g.Pattern), Change: "Take it out of the statement, if the logs cover all uses; 'iam generate' makes the whole policy."})
		}
		granted, used := u.Services(docs)
		if n := len(granted) - len(used); n > 0 {
			rows = append(rows, unusedRow{Identity: p.ARN, What: "services", Name: fmt.Sprint(n), Detail: fmt.Sprintf("Of %d services that its policies allow something of, the logs show %d: %s.", len(granted), len(used), strings.Join(used, ", ")), Change: "Name the services that it needs."})
		}
	}
	return rows
}

func writeUnused(out io.Writer, rows []unusedRow) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(out, "none")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IDENTITY\tUNUSED\tDETAIL")
	for _, r := range rows {
		what := r.What
		if r.Name != "" {
			what += " " + r.Name
		}
		if r.Statement != nil {
			what += fmt.Sprintf(" (%s[%d])", r.Policy, *r.Statement)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", report.Plain(r.Identity), report.Plain(what), report.Plain(r.Detail))
	}
	return t.Flush()
}
