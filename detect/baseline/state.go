package baseline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Version is that of the state file. A file of another version is refused.
const Version = 1

// The bounds of a state: of all principals, and of each.
const (
	maxPrincipals = 20_000
	maxCalls      = 600
	maxOthers     = 128 // regions, networks, user agents
	weeks         = 8   // of seasonality
	days          = 28  // of daily counts
	maxState      = 512 << 20
)

// State is what was learned.
type State struct {
	Version    int                   `json:"version"`
	Since      time.Time             `json:"since,omitzero"` // of the events
	Until      time.Time             `json:"until,omitzero"`
	Events     int64                 `json:"events"`
	LeftOut    int64                 `json:"leftOut,omitempty"` // events of principals beyond the bound
	Principals map[string]*Principal `json:"principals"`
}

// Principal is the habits of one principal.
type Principal struct {
	Group    string          `json:"group,omitempty"` // of its peers
	First    time.Time       `json:"first"`
	Last     time.Time       `json:"last"`
	Events   int64           `json:"events"`
	Calls    map[string]bool `json:"calls"`
	Regions  map[string]bool `json:"regions"`
	Networks map[string]bool `json:"networks"`
	Agents   map[string]bool `json:"agents"`
	// Full names the sets that reached their bound; nothing is new to them.
	Full []string `json:"full,omitempty"`
	// Hours holds, by hour of the week (0 is Monday 00 UTC), the events of the
	// last weeks.
	Hours map[int][]Count `json:"hours,omitempty"`
	// Days holds the daily numbers of the last days.
	Days []Day `json:"days,omitempty"`
}

// Count is the events of one week.
type Count struct {
	Week int `json:"w"`
	N    int `json:"n"`
}

// Day is the numbers of one day.
type Day struct {
	Day     int `json:"d"` // since 1970
	Events  int `json:"e"`
	Secrets int `json:"s,omitempty"` // distinct ones read
	Buckets int `json:"b,omitempty"`
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

func dayOf(t time.Time) int { return int(t.Unix() / 86400) }

// weekHour is the week since 1970 and the hour in it, Monday 00 UTC first.
func weekHour(t time.Time) (week, hour int) {
	h := t.Unix()/3600 + 72 // 1970 began on a Thursday
	return int(h / 168), int(h % 168)
}

func newPrincipal(group string) *Principal {
	return &Principal{Group: group, Calls: map[string]bool{}, Regions: map[string]bool{}, Networks: map[string]bool{}, Agents: map[string]bool{}, Hours: map[int][]Count{}}
}

func (p *Principal) remember(set map[string]bool, name, value string, most int) {
	switch {
	case value == "" || set[value]:
	case len(set) < most:
		set[value] = true
	case !slices.Contains(p.Full, name):
		p.Full = append(p.Full, name)
		slices.Sort(p.Full)
	}
}

// isNew reports whether a value is not among those of a set that can tell.
func (p *Principal) isNew(set map[string]bool, name, value string) bool {
	return value != "" && !set[value] && !slices.Contains(p.Full, name)
}

// hour counts n events; of a week slot the newest week stays.
func (p *Principal) hour(week, hour, n int) {
	list := p.Hours[hour]
	i := slices.IndexFunc(list, func(c Count) bool { return c.Week%weeks == week%weeks })
	switch {
	case i < 0:
		p.Hours[hour] = append(list, Count{week, n})
		slices.SortFunc(p.Hours[hour], func(a, b Count) int { return a.Week - b.Week })
	case list[i].Week == week:
		list[i].N += n
	case list[i].Week < week:
		list[i] = Count{week, n}
		slices.SortFunc(list, func(a, b Count) int { return a.Week - b.Week })
	}
}

func (p *Principal) day(d Day) {
	i := slices.IndexFunc(p.Days, func(o Day) bool { return o.Day%days == d.Day%days })
	switch {
	case i < 0:
		p.Days = append(p.Days, d)
	case p.Days[i].Day == d.Day: // learned in two parts
		p.Days[i].Events += d.Events
		p.Days[i].Secrets = max(p.Days[i].Secrets, d.Secrets)
		p.Days[i].Buckets = max(p.Days[i].Buckets, d.Buckets)
	case p.Days[i].Day < d.Day:
		p.Days[i] = d
	}
	slices.SortFunc(p.Days, func(a, b Day) int { return a.Day - b.Day })
}

// ErrState says that a file is no state of this version.
var ErrState = errors.New("not a baseline state")

// Read reads a state file: JSON compressed with zstd.
func Read(r io.Reader) (*State, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	defer z.Close()
	limited := &io.LimitedReader{R: z, N: maxState}
	s := &State{}
	if err := json.NewDecoder(limited).Decode(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	if s.Version != Version {
		return nil, fmt.Errorf("%w: version %d, want %d", ErrState, s.Version, Version)
	}
	if len(s.Principals) > maxPrincipals {
		return nil, fmt.Errorf("%w: %d principals, at most %d", ErrState, len(s.Principals), maxPrincipals)
	}
	if s.Principals == nil {
		s.Principals = map[string]*Principal{}
	}
	for key, p := range s.Principals {
		if p == nil || len(p.Calls) > maxCalls || len(p.Days) > days || len(p.Hours) > 168 {
			return nil, fmt.Errorf("%w: principal %q is damaged", ErrState, key)
		}
		empty := newPrincipal("")
		if p.Calls == nil {
			p.Calls = empty.Calls
		}
		if p.Regions == nil {
			p.Regions = empty.Regions
		}
		if p.Networks == nil {
			p.Networks = empty.Networks
		}
		if p.Agents == nil {
			p.Agents = empty.Agents
		}
		if p.Hours == nil {
			p.Hours = empty.Hours
		}
	}
	return s, nil
}

// Write writes a state file. Equal states give equal bytes.
func (s *State) Write(w io.Writer) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("write baseline state: %w", err)
	}
	if err := json.NewEncoder(z).Encode(s); err != nil {
		return fmt.Errorf("write baseline state: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("write baseline state: %w", err)
	}
	return nil
}
