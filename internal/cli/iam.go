package cli

import "github.com/spf13/cobra"

// newIAMCommand is the group of questions about identities and policies.
func newIAMCommand(a *App) *cobra.Command {
	c := &cobra.Command{
		Use:   "iam",
		Short: "Decide, compare, check and explain IAM policies",
		Long: `Questions about identities and policies, answered offline and with proof: the
statement that decides, its place in the policy, and, where something is not
known, the condition key that is missing.`,
		Example: "  bartizan iam evaluate --batch requests.jsonl",
	}
	c.AddCommand(
		newIAMEvaluateCommand(a),
		newIAMCompareCommand(a),
		newIAMCheckAccessCommand(a),
		newIAMCheckPublicCommand(a),
		newIAMLintCommand(a),
		newIAMPathsCommand(a),
		newIAMCanCommand(a),
		newIAMWhoCanCommand(a),
		newIAMWhatCanCommand(a),
		newIAMPublicCommand(a),
		newIAMExternalCommand(a),
		newIAMAuditCommand(a),
		newIAMGenerateCommand(a),
		newIAMUnusedCommand(a),
		newIAMGuardrailCommand(a),
		newIAMExplainDeniedCommand(a),
		newIAMUpdateCatalogCommand(a),
	)
	return c
}
