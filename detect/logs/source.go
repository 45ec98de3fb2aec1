package logs

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Source is something to read.
type Source interface {
	Name() string
	// Named reports whether the user named this very source. What stands in a
	// folder beside the logs need not be one.
	Named() bool
	Open(context.Context) (io.ReadCloser, error)
}

type fileSource struct {
	path  string
	named bool
}

func (f fileSource) Name() string { return f.path }
func (f fileSource) Named() bool  { return f.named }
func (f fileSource) Open(context.Context) (io.ReadCloser, error) {
	return os.Open(f.path)
}

type readerSource struct {
	name string
	r    io.Reader
}

func (s readerSource) Name() string                                { return s.name }
func (s readerSource) Named() bool                                 { return true }
func (s readerSource) Open(context.Context) (io.ReadCloser, error) { return io.NopCloser(s.r), nil }

// FromReader makes a source of an open stream, such as standard input.
func FromReader(name string, r io.Reader) Source { return readerSource{name, r} }

// Files lists the sources at a path: the file itself, or every file in the
// folder and the folders in it, in lexical order. Hidden files and links to
// folders are left out.
func Files(path string) ([]Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []Source{fileSource{path, true}}, nil
	}
	var out []Source
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case p != path && d.Name()[0] == '.':
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular():
			out = append(out, fileSource{p, false})
		case d.Type()&fs.ModeSymlink != 0:
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
				out = append(out, fileSource{p, false})
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	slices.SortStableFunc(out, func(a, b Source) int { return comparePaths(a.Name(), b.Name()) })
	return out, nil
}

func comparePaths(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
