package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/bartizan-security/bartizan/finding"
)

// readMutes reads the mute files of --mutes into one list.
func readMutes(a *App, names []string) (*finding.Muter, error) {
	var all []finding.Mute
	for _, name := range names {
		data, err := readLimited(name, 2<<20)
		if err != nil {
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--mutes: %w", err), Hint: "see docs/mutes.md for the format"}
		}
		mutes, err := finding.ParseMutes(name, data)
		if err != nil {
			return nil, &Error{Code: ExitUsage, Err: fmt.Errorf("--mutes: %w", err), Hint: "see docs/mutes.md for the format"}
		}
		all = append(all, mutes...)
	}
	return finding.NewMuter(all, a.Now()), nil
}

// readLimited reads a file of at most limit bytes.
func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: the file has more than %d MiB", name, limit>>20)
	}
	return data, nil
}
