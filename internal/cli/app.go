// Package cli is the command line of bartizan, one file per verb.
//
// Main is the only entry. App carries what a command may touch of the outside:
// standard streams, the clock, the environment and the context. A command
// returns an error; the exit code follows from it (see ExitCode).
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bartizan-security/bartizan/finding/report"
)

// The exit codes, the same for every command.
const (
	ExitClean      = 0 // nothing found
	ExitFindings   = 1 // findings at or above --fail-on
	ExitUsage      = 2 // usage or configuration
	ExitIncomplete = 3 // something could not be read
	ExitInternal   = 4 // a fault of bartizan itself
)

// Error is an error that knows its exit code.
type Error struct {
	Code int
	Err  error
	Hint string // the next step, in one sentence
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// usageErrorf makes an error with exit code 2.
func usageErrorf(format string, args ...any) error {
	return &Error{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// incompleteErrorf makes an error with exit code 3.
func incompleteErrorf(format string, args ...any) error {
	return &Error{Code: ExitIncomplete, Err: fmt.Errorf(format, args...)}
}

// errFindings says that a command found what --fail-on asks for. It prints nothing.
var errFindings = &Error{Code: ExitFindings, Err: errors.New("findings")}

// errIncomplete says that the command itself has reported what is missing.
var errIncomplete = &Error{Code: ExitIncomplete, Err: errors.New("incomplete")}

// ExitCode returns the exit code for what a command returned. An error that
// carries no code is a fault of bartizan: 4.
func ExitCode(err error) int {
	var e *Error
	switch {
	case err == nil:
		return ExitClean
	case errors.As(err, &e):
		return e.Code
	default:
		return ExitInternal
	}
}

// App is what a command may touch of the outside world.
type App struct {
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Now    func() time.Time
	Getenv func(string) string

	quiet bool
	color string // auto, always, never
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colorFor reports whether output to w should be coloured: --color first, then
// NO_COLOR (https://no-color.org), then whether w is a terminal.
func (a *App) colorFor(w io.Writer) bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	return a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb" && isTerminal(w)
}

// notef writes one line of progress or advice to standard error, unless --quiet.
func (a *App) notef(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.Stderr, format+"\n", args...)
	}
}

// warnf writes a warning to standard error, even with --quiet.
func (a *App) warnf(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "warning: %s\n", report.Lines(fmt.Sprintf(format, args...)))
}

// Main runs the command line with the process's own streams and returns the
// exit code. It is what cmd/bartizan calls.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app := &App{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now, Getenv: os.Getenv}
	return app.Run(ctx, os.Args[1:])
}

// Run executes one command line and returns its exit code. A panic is caught,
// reported as a fault of bartizan, and gives ExitInternal.
func (a *App) Run(ctx context.Context, args []string) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(a.Stderr, "error: bartizan failed: %v\nThis is a fault of bartizan. Please report it with the lines below.\n%s", p, debug.Stack())
			code = ExitInternal
		}
	}()
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	err := root.ExecuteContext(ctx)
	a.report(err)
	return ExitCode(err)
}

func (a *App) report(err error) {
	if err == nil || errors.Is(err, errFindings) || errors.Is(err, errIncomplete) {
		return
	}
	// What went wrong may quote a file that somebody else wrote.
	fmt.Fprintf(a.Stderr, "error: %s\n", report.Lines(err.Error()))
	var e *Error
	if errors.As(err, &e) && e.Hint != "" {
		fmt.Fprintf(a.Stderr, "hint: %s\n", report.Lines(e.Hint))
	}
}

// newRoot assembles every command in one visible place.
func newRoot(a *App) *cobra.Command {
	root := &cobra.Command{
		Use:   "bartizan",
		Short: "Guards AWS estates: identity, detection, infrastructure, data, response",
		Long: `bartizan looks at an AWS estate from both sides: what it is (configuration)
and what happens in it (logs). Every answer carries its proof, and what could
not be read is shown as unknown, never as fine.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 usage or configuration,
3 incomplete (access denied, throttled, unreadable input), 4 internal error.`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: false},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			switch a.color {
			case "auto", "always", "never":
				return a.useCatalog(c)
			}
			return usageErrorf("--color %q: want auto, always or never", a.color)
		},
	}
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no progress and no advice on standard error")
	root.PersistentFlags().StringVar(&a.color, "color", "auto", "colour: auto, always or never; NO_COLOR is honoured")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &Error{Code: ExitUsage, Err: err, Hint: "see '" + c.CommandPath() + " --help'"}
	})
	root.AddCommand(commands(a)...)
	asUsageErrors(root)
	return root
}

// asUsageErrors makes wrong arguments exit with 2, and a group of commands that
// is called without one show its help.
func asUsageErrors(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return &Error{Code: ExitUsage, Err: err, Hint: "see '" + c.CommandPath() + " --help'"}
			}
			return nil
		}
	} else if c.HasSubCommands() && c.Run == nil && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			e := &Error{Code: ExitUsage, Err: fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())}
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				e.Hint = "did you mean '" + near[0] + "'?"
			} else {
				e.Hint = "see '" + c.CommandPath() + " --help'"
			}
			return e
		}
		c.SuggestionsMinimumDistance = 2
	}
	// cobra checks required and exclusive flags after PreRun, with plain errors.
	before := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if before != nil {
			if err := before(c, args); err != nil {
				return err
			}
		}
		if err := cmp.Or(c.ValidateRequiredFlags(), c.ValidateFlagGroups()); err != nil {
			return &Error{Code: ExitUsage, Err: err, Hint: "see '" + c.CommandPath() + " --help'"}
		}
		return nil
	}
	for _, sub := range c.Commands() {
		asUsageErrors(sub)
	}
}
