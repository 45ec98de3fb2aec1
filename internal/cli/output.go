package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// outputs is the value of -o/--output FORMAT[=FILE], which may be repeated.
// Without a file the format goes to standard output; only one may.
type outputs struct {
	formats []string // what the command can write; the first is the default
	specs   []outputSpec
	raw     []string
}

type outputSpec struct{ format, file string }

// addOutputFlag gives a command -o with the formats it can write; the first one
// is the default.
func addOutputFlag(c *cobra.Command, formats ...string) *outputs {
	o := &outputs{formats: formats}
	c.Flags().StringArrayVarP(&o.raw, "output", "o", nil,
		"FORMAT[=FILE], repeatable: "+strings.Join(formats, ", ")+" (default "+formats[0]+")")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// parse checks the flag's values; call it before any work is done.
func (o *outputs) parse() error {
	o.specs = o.specs[:0]
	toStdout := 0
	for _, s := range o.raw {
		format, file, _ := strings.Cut(s, "=")
		if !slices.Contains(o.formats, format) {
			return usageErrorf("--output %q: unknown format; want one of %s", s, strings.Join(o.formats, ", "))
		}
		if strings.HasSuffix(s, "=") {
			return usageErrorf("--output %q: the file name is missing", s)
		}
		if file == "" || file == "-" {
			file = ""
			toStdout++
		}
		o.specs = append(o.specs, outputSpec{format, file})
	}
	if toStdout > 1 {
		return usageErrorf("--output: only one format can go to standard output; give the others a file, as in -o json=report.json")
	}
	if len(o.specs) == 0 {
		o.specs = []outputSpec{{format: o.formats[0]}}
	}
	return nil
}

// format returns the format that goes to standard output, or "".
func (o *outputs) format() string {
	for _, s := range o.specs {
		if s.file == "" {
			return s.format
		}
	}
	return ""
}

// emit calls write once per requested output. A file is written beside its
// place and renamed, so that a failure leaves the former report whole.
func (o *outputs) emit(a *App, write func(format string, w io.Writer, color bool) error) error {
	for _, s := range o.specs {
		if s.file == "" {
			w := bufio.NewWriterSize(a.Stdout, 64<<10)
			if err := write(s.format, w, a.colorFor(a.Stdout)); err != nil {
				return fmt.Errorf("write %s: %w", s.format, err)
			}
			if err := w.Flush(); err != nil {
				return incompleteErrorf("write %s to standard output: %w", s.format, err)
			}
			continue
		}
		if err := emitFile(s, write); err != nil {
			return incompleteErrorf("write %s: %w", s.file, err)
		}
		a.notef("wrote %s (%s)", s.file, s.format)
	}
	return nil
}

func emitFile(s outputSpec, write func(string, io.Writer, bool) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(s.file), ".bartizan-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	if err := write(s.format, w, false); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), s.file)
}
