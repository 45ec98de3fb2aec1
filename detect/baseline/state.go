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

// The bounds of a state: of all principals, and of each.
const (
	maxPrincipals = 20_000
	maxBytes      = 96 << 20 // that the sets of all principals take, about
	maxCalls      = 600
	maxOthers     = 128 // regions, networks, user agents
	weeks         = 8   // of seasonality
	days          = 28  // of daily counts
	forgetAfter   = 90  // days; only where another principal needs the place
)

// State is what was learned.
type State struct {
	Version    int                   `json:"version"`
	Since      time.Time             `json:"since,omitzero"` // of the events
	Until      time.Time             `json:"until,omitzero"`
	Events     int64                 `json:"events"`
	LeftOut    int64                 `json:"leftOut,omitempty"` // events of principals beyond the bound
	Principals map[string]*Principal `json:"principals"`

	bytes int // of the sets
}

// Principal is the habits of one principal.
type Principal struct {
	Group    string    `json:"group,omitempty"` // of its peers
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Events   int64     `json:"events"`
	Calls    Set       `json:"calls"`
	Regions  Set       `json:"regions"`
	Networks Set       `json:"networks"`
	Agents   Set       `json:"agents"`
	// Full names the sets that reached their bound; nothing is new to them.
	Full []string `json:"full,omitempty"`
	// Weeks holds the events of each hour of the last weeks, Days the daily
	// numbers of the last days; both in order.
	Weeks []Week `json:"weeks,omitempty"`
	Days  []Day  `json:"days,omitempty"`
}

// Set is a set of texts; in JSON a sorted list.
type Set map[string]struct{}

// MarshalJSON writes the sorted list.
func (s Set) MarshalJSON() ([]byte, error) {
	list := slices.Sorted(maps.Keys(s))
	if list == nil {
		list = []string{}
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads a list.
func (s *Set) UnmarshalJSON(text []byte) error {
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	*s = make(Set, len(list))
	for _, v := range list {
		(*s)[v] = struct{}{}
	}
	return nil
}

// Has reports whether v is in the set.
func (s Set) Has(v string) bool {
	_, ok := s[v]
	return ok
}

// New returns an empty State.
func New() *State { return &State{Version: Version, Principals: map[string]*Principal{}} }

// Days is how many days of events the state has seen from first to last.
func (s *State) Days() int {
	if s.Since.IsZero() {
		return 0
	}
	return dayOf(s.Until) - dayOf(s.Since) + 1
}

func newPrincipal(group string) *Principal {
	return &Principal{Group: group, Calls: Set{}, Regions: Set{}, Networks: Set{}, Agents: Set{}}
}

// known is how many days lie between a principal's first and last event.
func (p *Principal) known() int { return dayOf(p.Last) - dayOf(p.First) + 1 }

const valueBytes = 40 // that a set needs for a value besides its text

func (s *State) remember(p *Principal, set Set, name, value string, most int) {
	switch {
	case value == "" || set.Has(value):
	case len(set) < most && s.bytes < maxBytes:
		set[value] = struct{}{}
		s.bytes += valueBytes + len(value)
	case !slices.Contains(p.Full, name):
		p.Full = append(p.Full, name)
		slices.Sort(p.Full)
	}
}

func (p *Principal) bytes() int {
	n := 0
	for _, set := range []Set{p.Calls, p.Regions, p.Networks, p.Agents} {
		for v := range set {
			n += valueBytes + len(v)
		}
	}
	return n
}

// isNew reports whether a value is not among those of a set that can tell.
func (p *Principal) isNew(set Set, name, value string) bool {
	return value != "" && !set.Has(value) && !slices.Contains(p.Full, name)
}

// ErrState says that a file is no state of this version.
var ErrState = errors.New("not a baseline state")

const format = "bartizan baseline"

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
	d := json.NewDecoder(io.LimitReader(z, 512<<20))
	var h header
	// The version comes before all else, also before what does not fit: another
	// version's header may look different.
	err = d.Decode(&h)
	switch wrong := (*json.UnmarshalTypeError)(nil); {
	case h.Version != Version && h.Version != 0 && (err == nil || errors.As(err, &wrong)):
		return nil, fmt.Errorf("%w of this program: the file has version %d, this program reads version %d", ErrState, h.Version, Version)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrState, plain(err))
	case h.Format != format || h.Version != Version:
		return nil, fmt.Errorf("%w: it does not begin with format and version", ErrState)
	case h.Count < 0 || h.Count > maxPrincipals:
		return nil, fmt.Errorf("%w: %d principals, at most %d", ErrState, h.Count, maxPrincipals)
	case h.Until.Before(h.Since) || !h.Since.IsZero() && (!isTime(h.Since) || !isTime(h.Until)):
		return nil, fmt.Errorf("%w: its times are %s to %s", ErrState, h.Since, h.Until)
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
		for _, set := range []*Set{&l.Calls, &l.Regions, &l.Networks, &l.Agents} {
			*set = words.set(*set)
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
	if l.Key == "" || p == nil || len(p.Calls) > maxCalls || len(p.Regions) > maxOthers || len(p.Networks) > maxOthers || len(p.Agents) > maxOthers ||
		len(p.Weeks) > weeks || len(p.Days) > days || len(p.Full) > 4 || p.Events < 0 || !isTime(p.First) || !isTime(p.Last) || p.Last.Before(p.First) {
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

// intern keeps one copy of texts that many principals have.
type intern map[string]string

const maxIntern = 200_000

func (n intern) text(s string) string {
	if old, ok := n[s]; ok {
		return old
	}
	if len(n) < maxIntern {
		n[s] = s
	}
	return s
}

func (n intern) set(s Set) Set {
	out := make(Set, len(s))
	for v := range s {
		out[n.text(v)] = struct{}{}
	}
	return out
}
