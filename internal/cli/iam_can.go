package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/finding/report"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

func newIAMCanCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "can PRINCIPAL ACTION [RESOURCE]",
		Short: "May a principal do an action on a resource?",
		Long: `Decides one request over every policy of the estate: identity policies and those
of groups, the permissions boundary, service and resource control policies, the
policy of the resource, key grants and S3 block public access. It shows the
statement that decides, with its text, and what each layer says. When the answer
is no it shows the smallest change that would make it yes, verified by deciding
again with the change.

PRINCIPAL is an ARN (of a user, role, role session, account's root), role/NAME,
user/NAME, a service such as lambda.amazonaws.com, or * for anybody. RESOURCE is
an ARN, or * (the default) for actions that have none. The request is taken to be
made over TLS by the principal itself; say otherwise with --context.

Unknown names the condition keys that decide; give them with --context.
Exit code: 0 allowed, 1 denied, 3 unknown or unreadable.`,
		Example: `  bartizan iam can role/deploy s3:PutObject arn:aws:s3:::site/index.html -e estate.json.zst
  bartizan iam can ada iam:CreateUser -e authorization-details.json
  bartizan iam can user/ada ec2:StartInstances --context aws:SourceIp=192.0.2.1 -o json`,
		Args: cobra.RangeArgs(2, 3),
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
		a.checkAction(args[1])
		w, err := f.openWorld(c.Context(), a, false)
		if err != nil {
			return err
		}
		s, err := w.find(args[0])
		if err != nil {
			return err
		}
		resource := "*"
		if len(args) == 3 {
			resource = args[2]
		}
		ans, err := w.decide(s, args[1], resource, context)
		if err != nil {
			return err
		}
		out := w.answer(s, ans)
		if err := emitOne(a, f.out, out, out.write); err != nil {
			return err
		}
		return exitFor(ans.Outcome)
	}
	return c
}

// exitFor is 1 for denied and 3 for unknown.
func exitFor(o identity.Outcome) error {
	switch o {
	case identity.Allowed:
		return nil
	case identity.Unknown:
		return errIncomplete
	}
	return errFindings
}

// canOutput is the answer of iam can and iam explain-denied.
type canOutput struct {
	Decision       identity.Outcome    `json:"decision"`
	DecidedBy      identity.Layer      `json:"decidedBy"`
	Explanation    string              `json:"explanation"`
	Principal      string              `json:"principal"`
	Action         string              `json:"action"`
	Resource       string              `json:"resource"`
	Account        string              `json:"resourceAccount,omitempty"`
	Context        map[string][]string `json:"context"`
	Statements     []statementOutput   `json:"statements"`
	Layers         []evaluateLayer     `json:"layers"`
	MissingContext []string            `json:"missingContext"`
	Missing        []string            `json:"missing,omitempty"`
	Assumed        []string            `json:"assumed,omitempty"`
	NearMisses     []string            `json:"nearMisses,omitempty"`
	Changes        []editOutput        `json:"changes,omitempty"` // that would allow it, verified
	NoChange       bool                `json:"noChange,omitempty"`
}

// editOutput is a change of one policy.
type editOutput struct {
	Layer     identity.Layer  `json:"layer"`
	Policy    string          `json:"policy,omitempty"`
	Change    string          `json:"change"` // add or replace
	Index     int             `json:"index"`
	Statement json.RawMessage `json:"statement"`
}

func (w *world) answer(s subject, ans inventory.Answer) *canOutput {
	r := ans.Request
	out := &canOutput{
		Decision: ans.Outcome, DecidedBy: ans.DecidedBy, Explanation: ans.Explanation(),
		Principal: s.Caller, Action: r.Action, Resource: r.Resource, Account: r.ResourceAccount, Context: r.Context,
		Statements: []statementOutput{}, Layers: []evaluateLayer{}, MissingContext: append([]string{}, ans.MissingContext...),
		Missing: ans.Missing, Assumed: ans.Assumed,
	}
	for _, ref := range ans.Statements {
		st := newStatementOutput(s.Principal, ref)
		out.Explanation = printedPlace(out.Explanation, ref)
		out.Statements = append(out.Statements, st)
	}
	for _, l := range ans.Layers() {
		out.Layers = append(out.Layers, evaluateLayer{l.Layer, l.Verdict})
	}
	if ans.Outcome == identity.ExplicitDeny || ans.Outcome == identity.ImplicitDeny {
		if ans.Outcome == identity.ImplicitDeny {
			if misses, err := identity.NearMisses(r, ans.Stack); err == nil {
				for _, m := range misses {
					out.NearMisses = append(out.NearMisses, printedPlace(m.String(), m.StatementRef))
				}
			}
		}
		edits := w.Fix(s.Principal, ans)
		out.NoChange = len(edits) == 0
		for _, e := range edits {
			change := "add"
			if e.Replaces {
				change = "replace"
			}
			out.Changes = append(out.Changes, editOutput{e.Layer, e.Policy, change, e.Index, json.RawMessage(e.Statement.String())})
		}
	}
	return out
}

func (o *canOutput) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s\n", o.Decision)
	if o.Decision == identity.Unknown && len(o.Missing) > 0 {
		b.WriteString("It cannot be decided, because this could not be read:\n")
		for _, m := range o.Missing {
			fmt.Fprintf(b, "  %s\n", report.Plain(m))
		}
		fmt.Fprintf(b, "What could be read says: %s\n", report.Plain(o.Explanation))
	} else {
		fmt.Fprintf(b, "%s\n", report.Plain(o.Explanation))
	}
	if len(o.MissingContext) > 0 {
		b.WriteString("\nIT DEPENDS ON\n")
		for _, k := range o.MissingContext {
			fmt.Fprintf(b, "  %s   give it with --context %s=VALUE\n", report.Plain(k), report.Plain(k))
		}
	}
	if len(o.Assumed) > 0 {
		b.WriteString("\nASSUMED\n")
		for _, m := range o.Assumed {
			fmt.Fprintf(b, "  %s\n", report.Plain(m))
		}
	}
	if len(o.Layers) > 0 {
		b.WriteString("\nLAYER                  SAYS\n")
		for _, l := range o.Layers {
			fmt.Fprintf(b, "%-22s %s\n", l.Layer, l.Verdict)
		}
	}
	if len(o.Statements) > 0 {
		b.WriteString("\nDECIDED BY\n")
		for i := range o.Statements {
			o.Statements[i].write(b)
		}
	}
	if len(o.NearMisses) > 0 {
		b.WriteString("\nNEARLY ALLOWED\n")
		for _, m := range o.NearMisses {
			fmt.Fprintf(b, "%s\n", report.Plain(m))
		}
	}
	o.writeChanges(b)
}

func (o *canOutput) writeChanges(b *strings.Builder) {
	if o.NoChange {
		b.WriteString("\nNo change of a policy in this estate would allow it.\n")
	}
	if len(o.Changes) == 0 {
		return
	}
	b.WriteString("\nTHE SMALLEST CHANGE THAT WOULD ALLOW IT (decided again with it: allowed)\n")
	for _, e := range o.Changes {
		switch {
		case e.Change == "replace":
			fmt.Fprintf(b, "in the %s %s, statement %d becomes\n", e.Layer, report.Plain(e.Policy), e.Index)
		case e.Policy == "":
			fmt.Fprintf(b, "a new %s with the statement\n", e.Layer)
		default:
			fmt.Fprintf(b, "the %s %s also gets the statement\n", e.Layer, report.Plain(e.Policy))
		}
		fmt.Fprintf(b, "%s\n", indent(string(e.Statement)))
	}
}
