package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/estate"
)

// estateFlags are the flags of a command that reads an estate, which may be
// live AWS, a snapshot, a directory of AWS CLI outputs or one such output.
type estateFlags struct {
	profile  string
	region   string
	endpoint string
	account  string
	regions  []string
}

// addEstateFlags gives a command the flags that live AWS and files without
// account or region need.
func addEstateFlags(c *cobra.Command) *estateFlags {
	f := &estateFlags{}
	f.addAWS(c)
	c.Flags().StringVar(&f.account, "account", "", "account `ID` of files that do not say it")
	return f
}

func (f *estateFlags) addAWS(c *cobra.Command) {
	c.Flags().StringVar(&f.profile, "profile", "", "AWS profile (default AWS_PROFILE)")
	c.Flags().StringVar(&f.region, "region", "", "AWS region to start from (default AWS_REGION or the profile's)")
	c.Flags().StringVar(&f.endpoint, "endpoint-url", "", "`URL` to call instead of AWS (default AWS_ENDPOINT_URL)")
	c.Flags().StringSliceVar(&f.regions, "regions", nil, "regions to read live (default all enabled ones)")
}

// opened is an estate that a command reads; Close it when done.
type opened struct {
	estate.Source
	Name   string // for messages: the file, or the account
	unread int    // files that could not be read and may hold resources
	close  func()
}

// Close frees the file behind the estate.
func (o *opened) Close() {
	if o.close != nil {
		o.close()
	}
}

// open opens an estate: a snapshot is streamed (- is standard input), files of
// the AWS CLI are read whole, and without a path live AWS is collected first. types restricts what
// is collected live; none means everything. Errors carry their exit code.
func (f *estateFlags) open(ctx context.Context, a *App, path string, types ...string) (*opened, error) {
	if path == "" {
		return f.openLive(ctx, a, types)
	}
	if path == "-" {
		r, err := estate.NewReader(a.Stdin)
		if err != nil {
			return nil, snapshotError("standard input", err)
		}
		return &opened{Source: named{r, "standard input"}, Name: "standard input", close: r.Close}, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("open estate: %w", err), Hint: "give a snapshot made by 'bartizan collect', or a directory of AWS CLI outputs"}
	}
	if info.IsDir() {
		return f.openFiles(a, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, incompleteErrorf("open estate: %w", err)
	}
	in := bufio.NewReader(file)
	start, err := in.Peek(16)
	if err != nil && !errors.Is(err, io.EOF) {
		file.Close()
		return nil, incompleteErrorf("open estate %s: %w", path, err)
	}
	if !estate.IsSnapshot(start) && looksLikeJSON(start) {
		file.Close()
		return f.openFiles(a, path)
	}
	r, err := estate.NewReader(in)
	if err != nil {
		file.Close()
		return nil, snapshotError(path, err)
	}
	return &opened{Source: named{r, path}, Name: path, close: func() { r.Close(); file.Close() }}, nil
}

// load is open for commands that need the whole estate at once.
func (f *estateFlags) load(ctx context.Context, a *App, path string, types ...string) (*estate.Estate, error) {
	o, err := f.open(ctx, a, path, types...)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	return estate.Load(o.Source)
}

func looksLikeJSON(start []byte) bool {
	for _, c := range start {
		switch c {
		case ' ', '\t', '\r', '\n', 0xef, 0xbb, 0xbf:
			continue
		}
		return c == '{' || c == '['
	}
	return false
}

// snapshotError gives a reading error its exit code and the next step.
func snapshotError(path string, err error) error {
	e := &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s: %w", path, err)}
	switch {
	case errors.Is(err, estate.ErrTruncated):
		e.Hint = "copy the file again, or finish it with 'bartizan collect --resume " + path + "'"
	case errors.Is(err, estate.ErrForeign):
		e.Hint = "make a snapshot with 'bartizan collect', or give a directory of AWS CLI outputs"
	case errors.Is(err, estate.ErrDamaged):
		e.Hint = "copy the file again, or collect anew"
	}
	return e
}
