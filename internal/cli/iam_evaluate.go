package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bartizan-security/bartizan/identity"
)

// evaluateFlags are the flags of iam evaluate.
type evaluateFlags struct {
	batch, request                                            string
	principal, action, resource, account, managementAccount   string
	context, unknown                                          []string
	identityFiles, boundaries, sessions, scps, rcps, endpoint []string
	resourcePolicy                                            string
}

func newIAMEvaluateCommand(a *App) *cobra.Command {
	var f evaluateFlags
	c := &cobra.Command{
		Use:   "evaluate",
		Short: "Decide a request over a whole stack of policies",
		Long: `Decides one request, or one request a line with --batch, over every kind of
policy: identity policies, permissions boundaries, session policies, service and
resource control policies, the resource's policy and VPC endpoint policies.

The decision is allowed, explicitDeny, implicitDeny, or unknown when it depends
on a condition key whose value is not known. A policy that is not given does not
apply. docs/iam-evaluation.md has the rules and the fields of a request.

With --batch a line that cannot be read is answered with an error, the others are
decided, and the exit code is 3.`,
		Example: `  bartizan iam evaluate --principal arn:aws:iam::111122223333:user/ada \
    --action s3:GetObject --resource arn:aws:s3:::logs/a.txt --identity policy.json
  bartizan iam evaluate --request request.json -o json
  bartizan iam evaluate --batch requests.jsonl`,
		Args: cobra.NoArgs,
	}
	o := addOutputFlag(c, "table", "json", "jsonl")
	fl := c.Flags()
	fl.StringVar(&f.batch, "batch", "", "file with one request a line as JSON, or - for standard input")
	fl.StringVar(&f.request, "request", "", "file with one request as JSON, or - for standard input; the other flags add to it")
	fl.StringVar(&f.principal, "principal", "", "who asks: an ARN, a service such as lambda.amazonaws.com, or * for an anonymous caller")
	fl.StringVar(&f.action, "action", "", "the action, such as s3:GetObject")
	fl.StringVar(&f.resource, "resource", "", "the resource's ARN (default *)")
	fl.StringVar(&f.account, "resource-account", "", "the account that owns the resource (default: of its ARN, or of the principal)")
	fl.StringVar(&f.managementAccount, "management-account", "", "the organization's management account, where control policies do not apply")
	fl.StringArrayVar(&f.context, "context", nil, "KEY=VALUE of the request's context, repeatable; the same key again adds a value")
	fl.StringArrayVar(&f.unknown, "unknown", nil, "condition key whose value is not known, repeatable")
	fl.StringArrayVar(&f.identityFiles, "identity", nil, "file with an identity policy, repeatable")
	fl.StringArrayVar(&f.boundaries, "boundary", nil, "file with a permissions boundary, repeatable")
	fl.StringArrayVar(&f.sessions, "session", nil, "file with a session policy, repeatable")
	fl.StringArrayVar(&f.scps, "scp", nil, "files with the service control policies of one level, separated by commas; repeat from the root down")
	fl.StringArrayVar(&f.rcps, "rcp", nil, "files with the resource control policies of one level; repeat from the root down")
	fl.StringVar(&f.resourcePolicy, "resource-policy", "", "file with the resource's policy (bucket policy, role trust, key policy)")
	fl.StringArrayVar(&f.endpoint, "endpoint", nil, "file with the policy of the VPC endpoint, repeatable")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if f.batch == "" {
			return a.evaluateOne(&f, o)
		}
		if others := changedBeside(c, "batch", "output", "quiet", "color"); len(others) > 0 {
			return usageErrorf("--batch takes its requests from the file; leave out --%s", others[0])
		}
		if len(o.raw) > 0 && (o.format() != "jsonl" || len(o.specs) > 1) {
			return usageErrorf("--batch writes one object a line to standard output; leave out --output, or give -o jsonl")
		}
		cache := &policyCache{}
		return a.batch(c.Context(), f.batch, "requests", func(line []byte, n int, tooLong bool) (any, bool) {
			return evaluateLine(line, n, tooLong, cache)
		})
	}
	return c
}

func evaluateLine(line []byte, n int, tooLong bool, cache *policyCache) (any, bool) {
	if tooLong {
		return batchError{json.RawMessage("null"), n, fmt.Sprintf("the line is longer than %d bytes", maxBatchLine)}, false
	}
	in := evaluateInput{cache: cache}
	if err := json.Unmarshal(line, &in); err != nil {
		return batchError{lineID(line), n, "read the request: " + jsonErrorText(err)}, false
	}
	if len(in.ID) == 0 {
		in.ID = json.RawMessage("null")
	}
	out, err := in.evaluate()
	if err != nil {
		return batchError{in.ID, n, err.Error()}, false
	}
	out.Layers = nil
	return out, true
}

// jsonErrorText says what is wrong with a request in its own terms.
func jsonErrorText(err error) string {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Sprintf("column %d: the field %s cannot be a %s", typ.Offset, typ.Field, typ.Value)
	case errors.As(err, &typ):
		return fmt.Sprintf("column %d: want an object, not a %s", typ.Offset, typ.Value)
	case errors.As(err, &syntax):
		return fmt.Sprintf("column %d: %s", syntax.Offset, syntax)
	}
	return err.Error()
}

// evaluateOne decides the request of the flags.
func (a *App) evaluateOne(f *evaluateFlags, o *outputs) error {
	in, err := a.inputOf(f)
	if err != nil {
		return err
	}
	if in.Principal == "" || in.Action == "" {
		return &Error{Code: ExitUsage, Err: errors.New("the request needs a principal and an action"), Hint: "give --principal and --action, or --request FILE, or --batch FILE"}
	}
	out, err := in.evaluate()
	if err != nil {
		if errors.Is(err, identity.ErrPrincipal) || errors.Is(err, identity.ErrRequest) {
			return usageErrorf("%w", err)
		}
		return incompleteErrorf("%w", err)
	}
	return o.emit(a, func(format string, w io.Writer, _ bool) error {
		switch format {
		case "json":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(out)
		case "jsonl":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(out)
		}
		return writeDecision(w, out)
	})
}

func writeDecision(w io.Writer, out *evaluateOutput) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", out.Decision, out.Explanation)
	if len(out.Layers) > 0 {
		b.WriteString("\nLAYER                  SAYS\n")
		for _, l := range out.Layers {
			fmt.Fprintf(&b, "%-22s %s\n", l.Layer, l.Verdict)
		}
	}
	if len(out.NearMisses) > 0 {
		b.WriteString("\nNEARLY ALLOWED\n" + strings.Join(out.NearMisses, "\n") + "\n")
	}
	if len(out.Statements) > 0 {
		b.WriteString("\nSTATEMENT\n")
		for _, s := range out.Statements {
			fmt.Fprintf(&b, "%-6s %s:%s statement %d %s\n", s.Effect, s.Policy, s.place, s.Index, s.Sid)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// changedBeside lists the flags that were given beside those named.
func changedBeside(c *cobra.Command, names ...string) []string {
	var others []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && !slices.Contains(names, f.Name) {
			others = append(others, f.Name)
		}
	})
	return others
}
