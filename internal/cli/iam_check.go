package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/identity/prove"
)

func newIAMCheckAccessCommand(a *App) *cobra.Command {
	var actions, resources []string
	c := &cobra.Command{
		Use:   "check-access POLICY …",
		Short: "Does a policy allow any of these accesses?",
		Long: `Answers for each access whether the policy, or the whole stack of policies,
allows any request of it. An access is an action on a resource; both take
wildcards, and without --resource all resources are meant. Every action is asked
for every resource. "Yes" comes with a request that 'iam evaluate' confirms, "no"
is a proof.

POLICY is a file with a policy or a stack (see 'iam compare --help').
Exit code: 0 none is allowed, 1 at least one is, 3 unknown or unreadable.`,
		Example: `  bartizan iam check-access policy.json --action iam:PassRole --action 'sts:*'
  bartizan iam check-access policy.json --action s3:GetObject --resource 'arn:aws:s3:::payroll/*'`,
		Args: cobra.MinimumNArgs(1),
	}
	o := addOutputFlag(c, "table", "json", "jsonl")
	c.Flags().StringArrayVar(&actions, "action", nil, "action, with wildcards, repeatable")
	c.Flags().StringArrayVar(&resources, "resource", nil, "ARN of a resource, with wildcards, repeatable (default all)")
	c.RunE = func(_ *cobra.Command, files []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		if len(actions) == 0 && len(resources) == 0 {
			return usageErrorf("give at least one --action or --resource")
		}
		return a.checkFiles(o, files, func(s prove.Side) []checkAnswer {
			var list []checkAnswer
			for _, act := range orStar(actions) {
				for _, res := range orStar(resources) {
					got := prove.Grants(s, prove.Access{Actions: []string{act}, Resources: []string{res}})
					list = append(list, checkAnswer{Action: act, Resource: res, answerOutput: newAnswer("allowed", got)})
				}
			}
			return list
		})
	}
	return c
}

func newIAMCheckPublicCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "check-public POLICY …",
		Short: "Does a policy let strangers in?",
		Long: `Answers whether a resource policy allows any request of a stranger: somebody
without credentials, or of an account that the policy does not name, who cannot
choose the organization, network or source that the policy's conditions ask for.
"Yes" comes with such a request, "no" is a proof.

Exit code: 0 not public, 1 public, 3 unknown or unreadable.`,
		Example: "  bartizan iam check-public bucket-policy.json trust-policy.json",
		Args:    cobra.MinimumNArgs(1),
	}
	o := addOutputFlag(c, "table", "json", "jsonl")
	c.RunE = func(_ *cobra.Command, files []string) error {
		if err := o.parse(); err != nil {
			return err
		}
		return a.checkFiles(o, files, func(s prove.Side) []checkAnswer {
			if s.Stack.Resource == nil {
				return []checkAnswer{{answerOutput: newAnswer("public", prove.Answer{Verdict: prove.No})}}
			}
			return []checkAnswer{{answerOutput: newAnswer("public", prove.Public(s))}}
		})
	}
	return c
}

// checkAnswer is the answer about one access of one file.
type checkAnswer struct {
	File     string
	Action   string
	Resource string
	*answerOutput
}

// MarshalJSON puts what was asked before the answer.
func (c checkAnswer) MarshalJSON() ([]byte, error) {
	head, err := json.Marshal(struct {
		File     string `json:"file"`
		Action   string `json:"action,omitempty"`
		Resource string `json:"resource,omitempty"`
	}{c.File, c.Action, c.Resource})
	if err != nil {
		return nil, err
	}
	tail, err := c.answerOutput.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return append(append(head[:len(head)-1], ','), tail[1:]...), nil
}

// checkFiles asks the same of every file. The worst answer makes the exit code;
// a file that cannot be read does not stop the others.
func (a *App) checkFiles(o *outputs, files []string, ask func(prove.Side) []checkAnswer) error {
	var all []checkAnswer
	var yes, incomplete bool
	for _, f := range files {
		data, err := a.readPolicyFile(f)
		var s prove.Side
		if err == nil {
			s, err = sideOf(data, f)
		}
		if err != nil {
			a.warnf("%v", err)
			incomplete = true
			continue
		}
		for _, c := range ask(s) {
			c.File = f
			yes = yes || c.Verdict == prove.Yes
			incomplete = incomplete || c.Verdict == prove.Unknown
			all = append(all, c)
		}
	}
	err := o.emit(a, func(format string, w io.Writer, color bool) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		switch format {
		case "json":
			enc.SetIndent("", "  ")
			if all == nil {
				all = []checkAnswer{}
			}
			return enc.Encode(all)
		case "jsonl":
			for _, c := range all {
				if err := enc.Encode(c); err != nil {
					return err
				}
			}
			return nil
		}
		for i, c := range all {
			if i > 0 {
				fmt.Fprintln(w)
			}
			fmt.Fprintln(w, strings.TrimSpace(c.File+"  "+c.Action+"  "+c.Resource))
			if err := c.write("Proven over all requests.", "For example:")(format, w, color); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case yes:
		return errFindings
	case incomplete:
		return errIncomplete
	}
	return nil
}

func orStar(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}
