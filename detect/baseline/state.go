package baseline

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// MaxPrincipals is how many principals a State holds. Others make room when they
// were not seen for 90 days.
const MaxPrincipals = 20_000

// The bounds of a state, and of each principal.
const (
	maxBytes    = 96 << 20 // that the sets of all principals take, about
	maxCalls    = 600
	maxOthers   = 128 // regions, networks, user agents
	weeks       = 8   // of seasonality
	days        = 28  // of daily counts
	forgetAfter = 90  // days; only where another principal needs the place
)

// State is what was learned.
type State struct {
	Version    int                   `json:"version"`
	Since      time.Time             `json:"since,omitzero"` // of the events
	Until      time.Time             `json:"until,omitzero"`
	Events     int64                 `json:"events"`
	LeftOut    int64                 `json:"leftOut,omitempty"` // events of principals beyond MaxPrincipals
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

// Known is how many days lie between a principal's first and last event.
func (p *Principal) Known() int { return dayOf(p.Last) - dayOf(p.First) + 1 }

// habit is one of the sets of a principal.
type habit struct {
	name string // in Principal.Full
	set  *Set
	most int // that it holds
}

func (p *Principal) habits() [4]habit {
	return [...]habit{
		{setCalls, &p.Calls, maxCalls},
		{setRegions, &p.Regions, maxOthers},
		{setNetworks, &p.Networks, maxOthers},
		{setAgents, &p.Agents, maxOthers},
	}
}

const (
	setCalls    = "calls"
	setRegions  = "regions"
	setNetworks = "networks"
	setAgents   = "agents"
)

const valueBytes = 40 // that a set needs for a value besides its text

func (p *Principal) bytes() int {
	n := 0
	for _, h := range p.habits() {
		for v := range *h.set {
			n += valueBytes + len(v)
		}
	}
	return n
}

// isNew reports whether a value is not among those of a set that can tell.
func (p *Principal) isNew(set Set, name, value string) bool {
	return !set.Has(value) && !slices.Contains(p.Full, name)
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
