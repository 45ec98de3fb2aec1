package cli

import "github.com/spf13/cobra"

// commands lists every verb.
func commands(a *App) []*cobra.Command {
	return []*cobra.Command{
		newDemoCommand(a),
		newVersionCommand(a),
		newASLCommand(a),
		newExplainCommand(a),
		newCollectCommand(a),
		newDetectCommand(a),
		newRulesCommand(a),
		newDiffCommand(a),
		newDoctorCommand(a),
		newIAMCommand(a),
		newControlsCommand(a),
		newScanCommand(a),
	}
}
