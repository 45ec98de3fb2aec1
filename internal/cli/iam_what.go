package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/effective"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

func newIAMWhatCanCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "what-can PRINCIPAL",
		Short: "What may a principal do in the end, as one policy?",
		Long: `Prints the effective permissions of a user or role as one policy: its identity
policies and those of its groups, within its permissions boundary and the service
control policies of its organization. The policy is proven to allow just what the
whole stack allows; where that cannot be proven, the difference or the reason is
shown.

Policies of resources that name the principal are listed beside it: what they give
depends on each resource ('iam can' decides).

Exit code: 0 the policy is proven exact, 3 it is not, or something could not be read.`,
		Example: `  bartizan iam what-can role/deploy -e estate.json.zst
  bartizan iam what-can ada -e authorization-details.json -o json`,
		Args: cobra.ExactArgs(1),
	}
	f := addQuestionFlags(c, false)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.out.parse(); err != nil {
			return err
		}
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		s, err := w.find(args[0])
		if err != nil {
			return err
		}
		if s.Principal == nil || s.Kind == inventory.Root {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("%s has no identity policies of its own", args[0]), Hint: "ask about a user or a role"}
		}
		out, exact := w.whatCan(s.Principal)
		if err := emitOne(a, f.out, out, out.write); err != nil {
			return err
		}
		if !exact || len(out.Missing) > 0 {
			return errIncomplete
		}
		return nil
	}
	return c
}

type whatOutput struct {
	Principal string          `json:"principal"`
	Policy    json.RawMessage `json:"policy"`
	Exact     bool            `json:"exact"` // proven to allow just what the stack does
	Wider     *answerOutput   `json:"wider,omitempty"`
	Narrower  *answerOutput   `json:"narrower,omitempty"`
	Inexact   []string        `json:"inexact,omitempty"`
	Missing   []string        `json:"missing,omitempty"`
	From      []string        `json:"from"`    // the policies that it is made of
	NamedBy   []string        `json:"namedBy"` // resources whose policies name the principal
}

func (w *world) whatCan(p *inventory.Principal) (*whatOutput, bool) {
	stack := w.Stack(p, p.ARN)
	r := effective.Of(stack)
	out := &whatOutput{Principal: p.ARN, Policy: json.RawMessage(r.Policy.String()), Exact: r.Exact(), Inexact: r.Inexact,
		Missing: slices.Clone(p.Missing), From: []string{}, NamedBy: []string{}}
	if r.Wider.Verdict != prove.No {
		out.Wider = newAnswer("wider", r.Wider)
	}
	if r.Narrower.Verdict != prove.No {
		out.Narrower = newAnswer("narrower", r.Narrower)
	}
	for _, at := range p.Policies {
		out.From = append(out.From, at.Name+" ("+at.Via+")")
	}
	if p.Boundary != nil {
		out.From = append(out.From, p.Boundary.Name+" (boundary)")
	}
	for _, level := range stack.ServiceControl {
		for _, d := range level {
			if text := d.Name + " (service control policy)"; !slices.Contains(out.From, text) {
				out.From = append(out.From, text)
			}
		}
	}
	if why := w.ControlMissing(p); why != "" {
		out.Missing = append(out.Missing, why)
	}
	for _, res := range w.Inventory.Resources {
		if res.Policy != nil && slices.ContainsFunc(res.Policy.Policy.Statements, func(s *identity.Statement) bool { return names(s, p) }) {
			out.NamedBy = append(out.NamedBy, res.ARN)
		}
	}
	return out, r.Exact()
}

// names reports whether an allow statement names a principal by its ARN.
func names(s *identity.Statement, p *inventory.Principal) bool {
	if s.Effect != identity.Allow || s.Principal == nil {
		return false
	}
	for _, e := range s.Principal.Entries {
		if slices.Contains(e.Texts(), p.ARN) {
			return true
		}
	}
	return false
}

func (o *whatOutput) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", strings.TrimRight(report.Lines(string(o.Policy)), "\n"))
	b.WriteString("\nMade of: " + report.Plain(strings.Join(o.From, ", ")) + "\n")
	if o.Exact {
		b.WriteString("Proven: it allows just what these policies allow together.\n")
	}
	for _, x := range []struct {
		a          *answerOutput
		yes, maybe string
	}{
		{o.Wider, "It allows more than the policies, for example", "It may allow more than the policies"},
		{o.Narrower, "The policies allow more, for example", "The policies may allow more"},
	} {
		switch {
		case x.a == nil:
		case x.a.Verdict == prove.Yes:
			fmt.Fprintf(b, "%s: %s %s\n", x.yes, report.Plain(x.a.Witness.Action), report.Plain(x.a.Witness.Resource))
		default:
			fmt.Fprintf(b, "%s: %s\n", x.maybe, report.Plain(x.a.Reason))
		}
	}
	for _, s := range o.Inexact {
		fmt.Fprintf(b, "Not expressed: %s\n", report.Plain(s))
	}
	for _, m := range o.Missing {
		fmt.Fprintf(b, "Could not be read: %s\n", report.Plain(m))
	}
	if len(o.NamedBy) > 0 {
		b.WriteString("Also named by the policies of: " + report.Plain(strings.Join(o.NamedBy, ", ")) + "\n")
	}
}
