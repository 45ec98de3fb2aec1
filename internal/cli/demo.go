package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/examples/acme"
)

func newDemoCommand(a *App) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "demo",
		Short: "See bartizan at work on an example company, without AWS",
		Long: `demo scans the estate of a small made-up company, then looks for attacks in its
logs. The company comes with the program; its files are written to a folder, so
that you can go on with them.

The exit code is 0: the company is meant to have findings.`,
		Example: `  bartizan demo
  bartizan demo --dir acme`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&dir, "dir", "", "folder to write the company's files to (default bartizan-demo in the temporary folder)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			dir = filepath.Join(os.TempDir(), "bartizan-demo")
		}
		if err := unpack(acme.Files, dir); err != nil {
			return &Error{Code: ExitUsage, Err: fmt.Errorf("write the example to %s: %w", dir, err), Hint: "name another folder with --dir"}
		}
		estate, logs := filepath.Join(dir, "estate.jsonl.zst"), filepath.Join(dir, "logs")
		for _, args := range [][]string{{"scan", estate}, {"detect", logs}} {
			if err := a.show(cmd.Context(), args); err != nil {
				return err
			}
		}
		a.notef("next: bartizan scan %s -o html=report.html, bartizan iam paths %s, or bartizan doctor on an account of your own", estate, estate)
		return nil
	}
	return c
}

// show prints a command line and runs it. Findings and gaps are what the
// example is for.
func (a *App) show(ctx context.Context, args []string) error {
	fmt.Fprintf(a.Stdout, "\n$ bartizan %s %s\n\n", args[0], args[1])
	root := newRoot(a)
	root.SetArgs(args)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, errFindings) || errors.Is(err, errIncomplete) {
		return nil
	}
	return err
}

// unpack writes a file system below dir.
func unpack(files fs.FS, dir string) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, data, 0o644)
	})
}
