package cli

import "github.com/spf13/cobra"

// commands lists every verb.
func commands(a *App) []*cobra.Command {
	return []*cobra.Command{
		newVersionCommand(a),
		newIAMCommand(a),
		newControlsCommand(a),
	}
}
