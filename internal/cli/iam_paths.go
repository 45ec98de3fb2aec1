package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/paths"
)

// pathsFlags are the flags of iam paths.
type pathsFlags struct {
	*estateFlags
	estate  string
	from    []string
	to      string
	actions []string
	noCut   bool
	out     *outputs
}

func newIAMPathsCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "paths [ESTATE]",
		Short: "Who can become an administrator, and what would stop it",
		Long: `Finds every way from a user or role to an administrator, or to a resource, in
one hop or many and across accounts. Each hop is judged by the evaluator on the
real target, with its trust policy, permissions boundary and control policies,
and shown as the API calls with the statements that allow them. The smallest
cut is the fewest changes of policies that break all paths; it is checked by
evaluating the estate anew with the changes made.

ESTATE (or --estate) is a snapshot made by 'bartizan collect', a directory of AWS
CLI outputs, or the output of 'aws iam get-account-authorization-details';
without it, the live account is read. A path that depends on something not known
(a condition key, resources that were not read) is possible, and says on what.

Exit code: 0 no path, 1 a certain path, 3 only possible paths, or something that
could not be read may hide paths.`,
		Example: `  bartizan iam paths
  bartizan iam paths estate.json.zst --from role/ci -o table -o svg=paths.svg
  bartizan iam paths authorization-details.json --to arn:aws:s3:::payroll --action s3:GetObject`,
		Args: cobra.MaximumNArgs(1),
	}
	f := &pathsFlags{estateFlags: addEstateFlags(c), out: addOutputFlag(c, "table", "json", "jsonl", "dot", "svg")}
	c.Flags().StringVarP(&f.estate, "estate", "e", "", "snapshot, directory of AWS CLI outputs, or get-account-authorization-details `FILE` (default: live AWS)")
	c.Flags().StringArrayVar(&f.from, "from", nil, "`PRINCIPAL` to start from, by ARN or name such as role/ci, repeatable (default: all who are not there yet)")
	c.Flags().StringVar(&f.to, "to", "admin", "admin, or the ARN of a resource, user or role")
	c.Flags().StringArrayVar(&f.actions, "action", nil, "action on the resource of --to that counts, repeatable (default: all that read or write it)")
	c.Flags().BoolVar(&f.noCut, "no-cut", false, "do not look for the smallest cut")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		if len(args) == 1 {
			if f.estate != "" {
				return usageErrorf("give the estate once, as an argument or with --estate")
			}
			f.estate = args[0]
		}
		return a.iamPaths(cmd.Context(), f)
	}
	return c
}

// escalations loads the embedded catalogue of primitives.
func escalations() ([]*paths.Primitive, error) {
	dir, err := fs.Sub(catalog.Escalations, "escalations")
	if err != nil {
		return nil, err
	}
	return paths.Load(dir)
}

func (a *App) iamPaths(ctx context.Context, f *pathsFlags) error {
	prims, err := escalations()
	if err != nil {
		return err
	}
	o := paths.Options{Primitives: prims, NoCut: f.noCut, Goal: paths.Goal{Actions: f.actions}, Read: map[string]bool{}}
	switch {
	case f.to == "" || f.to == "admin":
		if len(f.actions) > 0 {
			return usageErrorf("--action needs the ARN of a resource in --to")
		}
	case !strings.HasPrefix(f.to, "arn:"):
		return usageErrorf("--to %q: want admin or an ARN", f.to)
	default:
		o.Goal.Resource = f.to
	}
	types, err := pathTypes(prims)
	if err != nil {
		return err
	}
	src, err := f.open(ctx, a, f.estate, types...)
	if err != nil {
		return err
	}
	defer src.Close()
	e, err := estate.Load(src.Source)
	if err != nil {
		return err
	}
	inv, err := inventory.Load(e)
	if err != nil {
		return err
	}
	if len(inv.Accounts) == 0 {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s holds no account", src.Name), Hint: "for a file that does not say its account, give --account ID"}
	}
	for _, t := range e.Header().Scope.Types {
		o.Read[t] = true
	}
	for g := range e.Gaps() {
		o.Gaps = append(o.Gaps, g)
		if g.Part == "" {
			delete(o.Read, g.Type)
		}
	}
	if !inv.HasOrganization() {
		a.notef("%s says nothing of an organization: control policies are taken not to exist", report.Plain(src.Name))
	}
	o.Index = e.Index()
	if o.From, err = sourcesNamed(inv, f.from); err != nil {
		return err
	}
	rep, err := paths.Find(inv, o)
	switch {
	case errors.Is(err, paths.ErrGoal):
		return &Error{Code: ExitUsage, Err: err}
	case err != nil:
		return err
	}
	if n := len(o.From) - rep.Asked; n > 0 {
		a.notef("%d of the principals of --from %s there already", n, plural(n, "is", "are"))
	}
	for i, g := range rep.Gaps {
		if i == 5 {
			a.warnf("… and %d more", len(rep.Gaps)-i)
			break
		}
		a.warnf("not read: %s", report.Plain(g))
	}
	err = f.out.emit(a, func(format string, w io.Writer, color bool) error { return writePaths(rep, format, w, color) })
	switch {
	case err != nil:
		return err
	case rep.Reached > 0:
		if f.out.format() == "table" {
			a.notef("next: make the changes of the cut, or bartizan iam paths -o svg=paths.svg for a picture")
		}
		return errFindings
	case rep.Maybe > 0 || len(rep.Gaps) > 0:
		return errIncomplete
	}
	return nil
}

// pathTypes lists the types to collect live.
func pathTypes(prims []*paths.Primitive) ([]string, error) {
	c, err := resourceCatalogue()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range c.Types() {
		wanted := strings.HasPrefix(t.Name, "AWS::IAM::") || strings.HasPrefix(t.Name, "AWS::Organizations::") ||
			slices.ContainsFunc(prims, func(p *paths.Primitive) bool { return p.Target.Type == t.Name })
		if wanted {
			out = append(out, t.Name)
		}
	}
	return out, nil
}

func sourcesNamed(inv *inventory.Inventory, names []string) ([]*inventory.Principal, error) {
	var out []*inventory.Principal
	for _, name := range names {
		switch found := inv.Find(name); {
		case len(found) == 0:
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--from %q: no such user or role in the estate", name), Hint: "give an ARN, user/NAME or role/NAME"}
		case len(found) > 1:
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--from %q names %d principals", name, len(found)), Hint: "give the ARN, such as " + found[0].ARN}
		default:
			out = append(out, found[0])
		}
	}
	return out, nil
}

func writePaths(r *paths.Report, format string, w io.Writer, color bool) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	switch format {
	case "json":
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "jsonl":
		for i := range r.Paths {
			if err := enc.Encode(&r.Paths[i]); err != nil {
				return err
			}
		}
		return nil
	case "dot":
		return r.WriteDOT(w)
	case "svg":
		return r.WriteSVG(w)
	}
	t := &pathsTable{w: w, color: color}
	t.report(r)
	return t.err
}

// pathsTable writes a report for people.
type pathsTable struct {
	w     io.Writer
	color bool
	err   error
}

func (t *pathsTable) line(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format+"\n", args...)
	}
}

func (t *pathsTable) paint(code, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bounds of the table; -o json has everything.
const (
	tablePaths     = 200
	tableSameStart = 8
)

func (t *pathsTable) report(r *paths.Report) {
	goal := "an administrator"
	if r.Goal.Resource != "" {
		goal = r.Goal.Resource
	}
	t.line("%d of %d principals can reach %s, %d more possibly; %d %s there already.\n", r.Reached, r.Asked, report.Plain(goal), r.Maybe,
		len(r.AtGoal), plural(len(r.AtGoal), "is", "are"))
	same := map[string]int{}
	shown, hidden := 0, r.More
	for i := range r.Paths {
		p := &r.Paths[i]
		same[p.From]++
		if shown == tablePaths || same[p.From] > tableSameStart {
			hidden++
			continue
		}
		shown++
		t.path(p)
	}
	if hidden > 0 {
		t.line("… and %d more paths; -o json has them.\n", hidden)
	}
	for _, e := range r.Entries {
		t.line("%s is on a path and trusts %s from outside (%s).", report.Plain(e.Role), report.Plain(e.Who), e.Kind)
	}
	if len(r.Entries) > 0 {
		t.line("")
	}
	if r.Cut != nil {
		t.cut(r.Cut)
	}
}

func (t *pathsTable) path(p *paths.Path) {
	head := t.paint("1;31", "certain ")
	if !p.Certain {
		head = t.paint("1;33", "possible")
	}
	t.line("%s  %s", head, report.Plain(p.From))
	for i := range p.Hops {
		h := &p.Hops[i]
		to := h.To
		if h.Gain != "" {
			to += " with " + h.Gain
		}
		t.line("    → %s", report.Plain(to))
		w := &h.Ways[0]
		t.line("      %s  %s", t.paint("36", w.ID), w.Title)
		for j := range w.Steps {
			t.step(&w.Steps[j])
		}
		if w.Note != "" {
			t.line("        needs: %s", w.Note)
		}
		if len(h.Ways) > 1 {
			var ids []string
			for _, other := range h.Ways[1:] {
				id := other.ID
				if p.Certain && !other.Certain {
					id += " (possible)"
				}
				ids = append(ids, id)
			}
			t.line("        or by: %s", strings.Join(ids, ", "))
		}
	}
	for _, s := range p.Assumes {
		t.line("    if: %s", report.Plain(s))
	}
	t.line("")
}

func (t *pathsTable) step(s *paths.Step) {
	who := ""
	if !strings.HasPrefix(s.By, "arn:") {
		who = " by " + s.By
	}
	t.line("        %s on %s%s", s.Action, report.Plain(s.Resource), report.Plain(who))
	if s.Command != "" {
		prompt := "$ "
		if strings.HasPrefix(s.Command, "#") {
			prompt = ""
		}
		t.line("          %s%s", prompt, report.Plain(s.Command))
	}
	for _, st := range s.Statements {
		if st.Effect != "Allow" {
			continue
		}
		name := fmt.Sprintf("statement %d", st.Index)
		if st.Sid != "" {
			name += " (" + st.Sid + ")"
		}
		holder := st.Holder
		if holder != "" && holder != st.Policy {
			holder = " of " + holder
		} else {
			holder = ""
		}
		t.line("          allowed by %s of %s%s", report.Plain(name), report.Plain(st.Policy), report.Plain(holder))
	}
}

func (t *pathsTable) cut(c *paths.Cut) {
	what := "The smallest cut"
	if !c.Smallest {
		what = "A cut, perhaps not the smallest"
	}
	if len(c.Changes) > 0 {
		t.line("%s: %d %s", t.paint("1", what), len(c.Changes), plural(len(c.Changes), "change breaks every path.", "changes break every path."))
	}
	for i := range c.Changes {
		ch := &c.Changes[i]
		t.line("  %d. %s", i+1, report.Plain(ch.Text))
		if len(ch.Actions) > 0 {
			t.line("     used for %s", strings.Join(ch.Actions, ", "))
		}
	}
	switch {
	case len(c.Unbroken) > 0:
		t.line("  No change of a policy stops %s.", report.Plain(strings.Join(c.Unbroken, ", ")))
	case c.Verified:
		t.line("  Checked: with these changes the estate has no such path.")
	default:
		t.line("  Not confirmed: with these changes a path remains.")
	}
}
