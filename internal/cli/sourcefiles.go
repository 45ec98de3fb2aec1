package cli

import (
	"iter"

	"github.com/bartizan-security/bartizan/estate"
)

// named adds the file's name and the exit code to the errors of a walk.
type named struct {
	estate.Source
	path string
}

// Accounts walks the accounts of the underlying source.
func (n named) Accounts() iter.Seq2[*estate.Account, error] {
	return func(yield func(*estate.Account, error) bool) {
		for a, err := range n.Source.Accounts() {
			if err != nil {
				err = snapshotError(n.path, err)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}
