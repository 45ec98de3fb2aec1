package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

func newIAMCompareCommand(a *App) *cobra.Command {
	var batch string
	c := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Does NEW allow anything that OLD does not?",
		Long: `Compares what two policies allow, over all requests. "No" is a proof. "Yes" comes
with a request that NEW allows and OLD does not, and which 'iam evaluate'
confirms. "Unknown" says why.

OLD and NEW are files with a policy, or with a whole stack of policies in the
fields of 'iam evaluate' (identityPolicies, permissionsBoundaries,
sessionPolicies, serviceControlPolicies, resourcePolicy …). - is standard input.

Exit code: 0 no new access, 1 new access, 3 unknown or unreadable. --batch reads
{"id","old","new"} a line and answers a line; it exits with 0 if every line could
be answered.`,
		Example: `  bartizan iam compare deployed.json proposed.json
  bartizan iam compare deployed.json proposed.json -o json
  bartizan iam compare --batch pairs.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if batch != "" && len(args) != 0 {
				return errors.New("--batch takes its policies from the file")
			}
			if batch == "" && len(args) != 2 {
				return fmt.Errorf("want two policies, OLD and NEW, not %d", len(args))
			}
			return nil
		},
	}
	o := addOutputFlag(c, "table", "json", "jsonl")
	c.Flags().StringVar(&batch, "batch", "", `file with {"id","old","new"} a line, or - for standard input`)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if batch != "" {
			return a.batch(c.Context(), batch, "comparisons", compareLine)
		}
		var docs [2]json.RawMessage
		for i, file := range args {
			data, err := a.readPolicyFile(file)
			if err != nil {
				return err
			}
			docs[i] = data
		}
		old, next, err := sidesOf(docs[0], docs[1], args[0], args[1])
		if err != nil {
			return incompleteErrorf("%w", err)
		}
		ans := newAnswer("newAccess", prove.Compare(old, next))
		if err := o.emit(a, ans.write("NEW allows nothing that OLD does not.", "NEW allows something that OLD does not, for example:")); err != nil {
			return err
		}
		return ans.exit()
	}
	return c
}

// compareLine answers one line of a batch.
func compareLine(line []byte, n int, tooLong bool) (any, bool) {
	if tooLong {
		return batchError{json.RawMessage("null"), n, fmt.Sprintf("the line is longer than %d bytes", maxBatchLine)}, false
	}
	var in struct {
		ID  json.RawMessage `json:"id"`
		Old json.RawMessage `json:"old"`
		New json.RawMessage `json:"new"`
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return batchError{lineID(line), n, "read the line: " + err.Error()}, false
	}
	old, next, err := sidesOf(in.Old, in.New, "old", "new")
	if err != nil {
		return batchError{lineID(line), n, err.Error()}, false
	}
	ans := newAnswer("newAccess", prove.Compare(old, next))
	ans.ID = lineID(line)
	return ans, true
}

// answerOutput is how the answer to a question over all requests is written;
// the verdict's name depends on the question.
type answerOutput struct {
	ID      json.RawMessage
	name    string
	Verdict prove.Verdict
	Witness *witnessOutput
	Reason  string
}

// witnessOutput is a request in the fields of iam evaluate.
type witnessOutput struct {
	Principal       string              `json:"principal"`
	Action          string              `json:"action"`
	Resource        string              `json:"resource"`
	ResourceAccount string              `json:"resourceAccount,omitempty"`
	Context         map[string][]string `json:"context,omitempty"`
}

func newAnswer(name string, a prove.Answer) *answerOutput {
	out := &answerOutput{name: name, Verdict: a.Verdict, Reason: a.Reason}
	if w := a.Witness; w != nil {
		out.Witness = &witnessOutput{w.Principal, w.Action, w.Resource, w.ResourceAccount, w.Context}
	}
	return out
}

// MarshalJSON writes id, the verdict under its name, witness and reason.
func (o *answerOutput) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	field := func(name string, v any) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		data, err := json.Marshal(v)
		fmt.Fprintf(&b, "%q:%s", name, data)
		return err
	}
	if len(o.ID) > 0 {
		if err := field("id", o.ID); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(field(o.name, o.Verdict), field("witness", o.Witness)); err != nil {
		return nil, err
	}
	if o.Reason != "" {
		if err := field("reason", o.Reason); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// write returns a writer for all formats; no and yes are the sentences of the
// table format.
func (o *answerOutput) write(no, yes string) func(string, io.Writer, bool) error {
	return func(format string, w io.Writer, _ bool) error {
		switch format {
		case "json", "jsonl":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			if format == "json" {
				enc.SetIndent("", "  ")
			}
			return enc.Encode(o)
		}
		var b strings.Builder
		switch o.Verdict {
		case prove.No:
			fmt.Fprintf(&b, "no\n%s\n", no)
		case prove.Unknown:
			fmt.Fprintf(&b, "unknown\n%s.\n", o.Reason)
		default:
			fmt.Fprintf(&b, "yes\n%s\n\n", yes)
			fmt.Fprintf(&b, "  principal  %s\n  action     %s\n  resource   %s\n", o.Witness.Principal, o.Witness.Action, o.Witness.Resource)
			keys := make([]string, 0, len(o.Witness.Context))
			for k := range o.Witness.Context {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			for _, k := range keys {
				fmt.Fprintf(&b, "  %s = %s\n", k, strings.Join(o.Witness.Context[k], ", "))
			}
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
}

// exit turns the verdict into the command's exit code.
func (o *answerOutput) exit() error {
	switch o.Verdict {
	case prove.Yes:
		return errFindings
	case prove.Unknown:
		return errIncomplete
	}
	return nil
}

// readPolicyFile reads a file with a policy or a stack, within bounds.
func (a *App) readPolicyFile(file string) (json.RawMessage, error) {
	r, done, err := a.openInput(file)
	if err != nil {
		return nil, err
	}
	defer done()
	data, err := io.ReadAll(io.LimitReader(r, maxBatchLine+1))
	if err != nil {
		return nil, incompleteErrorf("read %s: %w", file, err)
	}
	if len(data) > maxBatchLine {
		return nil, incompleteErrorf("read %s: larger than %d bytes", file, maxBatchLine)
	}
	return data, nil
}

// sidesOf reads two policies or stacks. An identity policy without statements
// beside a resource policy is a resource policy without statements.
func sidesOf(old, next json.RawMessage, oldName, nextName string) (o, n prove.Side, err error) {
	if o, err = sideOf(old, oldName); err != nil {
		return o, n, err
	}
	if n, err = sideOf(next, nextName); err != nil {
		return o, n, err
	}
	for _, s := range [][2]*prove.Side{{&o, &n}, {&n, &o}} {
		mine, other := &s[0].Stack, &s[1].Stack
		if other.Resource != nil && mine.Resource == nil && len(mine.Identity) == 1 && len(mine.Identity[0].Policy.Statements) == 0 {
			d, err := identity.Compile(mine.Identity[0].Policy, identity.ResourcePolicy, "policy")
			if err != nil {
				return o, n, err
			}
			mine.Resource, mine.Identity = d, nil
		}
	}
	if (o.Stack.Resource == nil) != (n.Stack.Resource == nil) {
		return o, n, errors.New("one policy names principals and the other does not: an identity policy and a resource policy cannot be compared")
	}
	return o, n, nil
}

func sideOf(raw json.RawMessage, name string) (prove.Side, error) {
	raw = bytes.TrimSpace(raw)
	if isNull(raw) {
		return prove.Side{}, fmt.Errorf("%s: the policy is missing", name)
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return prove.Side{}, fmt.Errorf("%s: %w", name, err)
		}
		raw = json.RawMessage(text)
	}
	var in evaluateInput
	if json.Unmarshal(raw, &in) == nil && in.hasPolicies() {
		st, err := in.stack()
		if err != nil {
			return prove.Side{}, fmt.Errorf("%s: %w", name, err)
		}
		return prove.Side{Stack: *st}, nil
	}
	p, err := identity.ParsePolicy(raw)
	if err != nil {
		return prove.Side{}, fmt.Errorf("%s: %w", name, err)
	}
	s, err := prove.PolicySide(p)
	if err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (in *evaluateInput) hasPolicies() bool {
	return len(in.Identity)+len(in.Boundaries)+len(in.Session)+len(in.ServiceControl)+len(in.ResourceControl)+len(in.Endpoint) > 0 || !isNull(in.ResourcePolicy)
}
