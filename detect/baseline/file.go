package baseline

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Version is that of the state file. A file of another version is refused.
const Version = 3

// ErrState says that a file is no state of this version.
var ErrState = errors.New("not a baseline state")

const (
	format  = "bartizan baseline"
	maxFile = 512 << 20 // bytes, decompressed
)

// header is the first line of a state file; a line for each principal follows.
type header struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Events  int64     `json:"events"`
	LeftOut int64     `json:"leftOut,omitempty"`
	Count   int       `json:"count"` // of principals
}

// line is a principal in a state file.
type line struct {
	Key string `json:"key"`
	*Principal
}

// Read reads a state file: JSON Lines compressed with zstd.
func Read(r io.Reader) (*State, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, plain(err))
	}
	defer z.Close()
	d := json.NewDecoder(io.LimitReader(z, maxFile))
	h, err := readHeader(d)
	if err != nil {
		return nil, err
	}
	s := &State{Version: Version, Since: h.Since, Until: h.Until, Events: h.Events, LeftOut: h.LeftOut, Principals: make(map[string]*Principal, h.Count)}
	words := intern{}
	for n := range h.Count {
		l := line{Principal: newPrincipal("")}
		err := d.Decode(&l)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("%w: principal %d of %d: %w", ErrState, n+1, h.Count, plain(err))
		}
		if s.Principals[l.Key] != nil || !l.ok() {
			return nil, fmt.Errorf("%w: principal %d, %.200q, is damaged", ErrState, n+1, l.Key)
		}
		for _, h := range l.habits() {
			*h.set = words.set(*h.set)
		}
		s.Principals[l.Key] = l.Principal
		if s.bytes += l.bytes(); s.bytes > 2*maxBytes {
			return nil, fmt.Errorf("%w: more than %d MB", ErrState, 2*maxBytes>>20)
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more follows the %d principals", ErrState, h.Count)
	}
	return s, nil
}

// readHeader reads the first line. The version comes before all else, also before
// what does not fit: another version's header may look different.
func readHeader(d *json.Decoder) (header, error) {
	var h header
	err := d.Decode(&h)
	switch wrong := (*json.UnmarshalTypeError)(nil); {
	case h.Version != Version && h.Version != 0 && (err == nil || errors.As(err, &wrong)):
		return h, fmt.Errorf("%w of this program: the file has version %d, this program reads version %d", ErrState, h.Version, Version)
	case err != nil:
		return h, fmt.Errorf("%w: %w", ErrState, plain(err))
	case h.Format != format || h.Version != Version:
		return h, fmt.Errorf("%w: it does not begin with format and version", ErrState)
	case h.Count < 0 || h.Count > MaxPrincipals:
		return h, fmt.Errorf("%w: %d principals, at most %d", ErrState, h.Count, MaxPrincipals)
	case h.Until.Before(h.Since) || !h.Since.IsZero() && (!isTime(h.Since) || !isTime(h.Until)):
		return h, fmt.Errorf("%w: its times are %s to %s", ErrState, h.Since, h.Until)
	}
	return h, nil
}

// plain says in the words of whoever has the file what is wrong with it.
func plain(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the file is cut short")
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty")
	case errors.Is(err, zstd.ErrMagicMismatch):
		return errors.New("the file is not compressed with zstd")
	}
	return err
}

// ok reports whether a line can be one that Write wrote.
func (l *line) ok() bool {
	p := l.Principal
	if l.Key == "" || p == nil || len(p.Weeks) > weeks || len(p.Days) > days || p.Events < 0 || !isTime(p.First) || !isTime(p.Last) || p.Last.Before(p.First) {
		return false
	}
	habits := p.habits()
	if len(p.Full) > len(habits) || slices.ContainsFunc(habits[:], func(h habit) bool { return len(*h.set) > h.most }) {
		return false
	}
	return slices.IsSortedFunc(p.Weeks, byWeek) && slices.IsSortedFunc(p.Days, byDay) &&
		!slices.ContainsFunc(p.Weeks, func(w Week) bool { return w.Week < 0 }) &&
		!slices.ContainsFunc(p.Days, func(d Day) bool { return d.Day < 0 || d.Secrets < 0 || d.Buckets < 0 || d.Refused < 0 })
}

// Write writes a state file. Equal states give equal bytes.
func (s *State) Write(w io.Writer) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return fmt.Errorf("write baseline state: %w", err)
	}
	b := bufio.NewWriterSize(z, 64<<10)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	err = e.Encode(header{format, s.Version, s.Since, s.Until, s.Events, s.LeftOut, len(s.Principals)})
	for _, key := range slices.Sorted(maps.Keys(s.Principals)) {
		if err != nil {
			break
		}
		err = e.Encode(line{key, s.Principals[key]})
	}
	if err := errors.Join(err, b.Flush(), z.Close()); err != nil {
		return fmt.Errorf("write baseline state: %w", err)
	}
	return nil
}
