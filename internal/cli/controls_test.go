package cli

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite the list of controls in docs/controls.md")

// The list in docs/controls.md is what the program prints.
func TestDocumentedControls(t *testing.T) {
	const file, heading = "../../docs/controls.md", "\n## The built-in controls\n"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	intro, _, found := strings.Cut(string(data), heading)
	if !found {
		t.Fatalf("%s has no heading %q", file, strings.TrimSpace(heading))
	}
	var out, errs bytes.Buffer
	a := &App{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Now: time.Now, Getenv: func(string) string { return "" }}
	if code := a.Run(t.Context(), []string{"controls", "list", "-o", "markdown"}); code != ExitClean {
		t.Fatalf("controls list: exit code %d\n%s", code, errs.String())
	}
	want := intro + heading + "\nThis list is the output of `bartizan controls list -o markdown`.\n\n" + out.String()
	if string(data) == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s does not list the controls as they are: go test ./internal/cli -run DocumentedControls -update", file)
}

// Flags that exclude each other, and flags that are missing, are wrong usage.
func TestFlagGroupsAreUsage(t *testing.T) {
	for _, args := range [][]string{{"--one", "--two"}, {}} {
		c := &cobra.Command{Use: "c", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error { return nil }}
		c.Flags().Bool("one", false, "")
		c.Flags().Bool("two", false, "")
		c.MarkFlagsMutuallyExclusive("one", "two")
		c.MarkFlagsOneRequired("one", "two")
		asUsageErrors(c)
		c.SetArgs(args)
		if err := c.Execute(); ExitCode(err) != ExitUsage {
			t.Errorf("%v: exit code %d (%v), want %d", args, ExitCode(err), err, ExitUsage)
		}
	}
}
