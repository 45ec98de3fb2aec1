package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
)

type collectFlags struct {
	estateFlags
	out      string
	resume   string
	accounts []string
	types    []string
	services []string
	include  []string
	roleName string
	roleARN  string
	external string
	parallel int
	list     bool
}

func newCollectCommand(a *App) *cobra.Command {
	f := &collectFlags{}
	c := &cobra.Command{
		Use:   "collect",
		Short: "Read an AWS account or organization into a snapshot file",
		Long: `collect reads the configuration of an AWS account, or with a role name of a
whole organization, in all enabled regions, into a snapshot file. It only lists,
describes and gets; it never reads the value of a secret.

What is denied or fails is marked in the snapshot and makes the exit code 3.
Ctrl-C keeps what was read; --resume reads the rest, and what had failed.`,
		Example: `  bartizan collect
  bartizan collect --profile audit -o acme.jsonl.zst
  bartizan collect --role-name BartizanRead          # all accounts of the organization
  bartizan collect --regions eu-west-1 --types 'AWS::EC2::*,AWS::S3::Bucket'
  bartizan collect --resume estate-123456789012.jsonl.zst`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), a) },
	}
	f.addAWS(c)
	fl := c.Flags()
	fl.StringVarP(&f.out, "out", "o", "", "snapshot `FILE` to write (default estate-ACCOUNT.jsonl.zst)")
	fl.StringVar(&f.resume, "resume", "", "snapshot `FILE`, whole or partial, whose good parts are kept")
	fl.StringSliceVar(&f.accounts, "accounts", nil, "account ids to read (default the caller's; with a role all of the organization)")
	fl.StringVar(&f.roleName, "role-name", "", "role to assume in each account but the caller's own")
	fl.StringVar(&f.roleARN, "role-arn", "", "role to assume; {account} stands for each account's id")
	fl.StringVar(&f.external, "external-id", "", "external id for assuming the role")
	fl.StringSliceVar(&f.types, "types", nil, "resource types to read, such as AWS::EC2::* (default all)")
	fl.StringSliceVar(&f.services, "services", nil, "services to read, such as ec2,s3 (default all)")
	fl.StringSliceVar(&f.include, "include", nil, "also read: parameter-values (values of SSM parameters of type String)")
	fl.IntVar(&f.parallel, "parallel", 6, "calls at once to one service in one region")
	fl.BoolVar(&f.list, "list-types", false, "print the resource types that can be collected, and end")
	return c
}

func (f *collectFlags) run(ctx context.Context, a *App) error {
	cat, err := resourceCatalogue()
	if err != nil {
		return err
	}
	if f.list {
		return listTypes(a, cat)
	}
	if _, err := cat.Select(f.types, f.services); err != nil {
		return &Error{Code: ExitUsage, Err: err, Hint: "'bartizan collect --list-types' names them all"}
	}
	for _, name := range f.include {
		if name != "parameter-values" {
			return usageErrorf("--include %q: want parameter-values", name)
		}
	}
	if f.roleName != "" && f.roleARN != "" {
		return usageErrorf("--role-name and --role-arn exclude each other")
	}
	if f.parallel < 1 || f.parallel > 100 {
		return usageErrorf("--parallel %d: want 1 to 100", f.parallel)
	}
	o := collect.Options{Catalogue: cat, Types: f.types, Services: f.services, Accounts: f.accounts, Regions: f.regions,
		Role: f.roleName + f.roleARN, External: f.external, Include: f.include, Parallel: f.parallel,
		Time: a.Now().UTC().Truncate(time.Second), Tool: "bartizan " + version()}
	if f.resume != "" {
		former, close, err := openFormer(f.resume)
		if err != nil {
			return err
		}
		defer close()
		o.Resume = former
		if f.out == "" {
			f.out = strings.TrimSuffix(f.resume, partialEnding)
		}
	}
	s, err := f.session(ctx, a)
	if err != nil {
		return err
	}
	return f.write(ctx, a, s, o)
}

// partialEnding marks a snapshot that is still being written.
const partialEnding = ".partial"

// write collects into a file beside the final one. If bartizan is killed, that
// file stays and can be resumed.
func (f *collectFlags) write(ctx context.Context, a *App, s collect.Session, o collect.Options) (err error) {
	name := f.out
	if name == "" {
		name = "estate.jsonl.zst"
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return usageErrorf("write snapshot: %s is a directory; name a file in it with -o", name)
	}
	partial := name + partialEnding
	if partial == f.resume {
		partial = name + ".resumed" + partialEnding
	}
	file, err := os.OpenFile(partial, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return &Error{Code: ExitUsage, Err: fmt.Errorf("write snapshot: %w", err), Hint: "choose a file in a directory that exists with -o"}
	}
	m := newMeter(a)
	o.Progress = m.show
	sum, err := collect.Run(ctx, s, o, file)
	m.done()
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		err = collectError(err)
		var e *Error
		if info, failed := os.Stat(partial); failed == nil && info.Size() > 0 && errors.As(err, &e) {
			e.Hint += "; what was read is kept, 'bartizan collect --resume " + partial + "' reads the rest"
			return err
		}
		os.Remove(partial)
		return err
	}
	if f.out == "" {
		name = "estate-" + sum.Header.Scope.Accounts[0] + ".jsonl.zst"
		if len(sum.Header.Scope.Accounts) > 1 {
			name = fmt.Sprintf("estate-%d-accounts.jsonl.zst", len(sum.Header.Scope.Accounts))
		}
	}
	if err := os.Rename(partial, name); err != nil {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("write snapshot: %w", err), Hint: "the snapshot is " + partial}
	}
	if f.resume == name+partialEnding {
		os.Remove(f.resume)
	}
	return f.conclude(a, sum, name)
}

func (f *collectFlags) conclude(a *App, sum *collect.Summary, name string) error {
	what := fmt.Sprintf("%d resources of account %s", sum.Resources, sum.Header.Scope.Accounts[0])
	if sum.Accounts > 1 {
		what = fmt.Sprintf("%d resources of %d accounts", sum.Resources, sum.Accounts)
	}
	if sum.Kept > 0 {
		what += fmt.Sprintf(", %d of them kept from %s", sum.Kept, f.resume)
	}
	if _, err := fmt.Fprintf(a.Stdout, "%s: %s\n", name, what); err != nil {
		return err
	}
	if sum.Former != nil {
		a.warnf("%s could not be read to its end, the rest was collected anew: %s", f.resume, sum.Former)
	}
	a.gapSummary(sum)
	a.notef("next: bartizan scan %s", filepath.ToSlash(name))
	if sum.Canceled {
		a.warnf("stopped before the end; 'bartizan collect --resume %s' reads the rest", name)
	}
	if sum.Incomplete() {
		return errIncomplete
	}
	return nil
}

// openFormer opens a snapshot to resume, whole or broken off.
func openFormer(name string) (estate.Source, func(), error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, nil, &Error{Code: ExitUsage, Err: fmt.Errorf("resume: %w", err), Hint: "give the snapshot that an earlier 'bartizan collect' wrote"}
	}
	r, err := estate.NewPartialReader(file)
	if err != nil {
		file.Close()
		var e *Error
		if err = snapshotError(name, err); errors.As(err, &e) {
			e.Hint = "collect anew, without --resume"
		}
		return nil, nil, err
	}
	return r, func() { r.Close(); file.Close() }, nil
}

func listTypes(a *App, cat *collect.Catalogue) error {
	var b strings.Builder
	for _, t := range cat.Types() {
		if t.Variant == "" {
			fmt.Fprintf(&b, "%s\n", t.Name)
		}
	}
	_, err := fmt.Fprint(a.Stdout, b.String())
	return err
}
