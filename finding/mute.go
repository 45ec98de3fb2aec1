package finding

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/internal/glob"
)

// Mute is one rule of a mute file. A finding it matches keeps its place in the
// report with StatusMuted and is counted apart. Selectors that are given must
// all match; Control, Resource, Account and Region and the values of Tags take
// the wildcards * (any characters, / and : included) and ? (one character).
type Mute struct {
	Control     string            `json:"control,omitempty"`
	Fingerprint string            `json:"fingerprint,omitempty"`
	Resource    string            `json:"resource,omitempty"` // id or ARN
	Account     string            `json:"account,omitempty"`
	Region      string            `json:"region,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Reason      string            `json:"reason"`
	Owner       string            `json:"owner"`
	Expires     time.Time         `json:"expires"` // first moment at which it no longer mutes
	Line        int               `json:"line,omitempty"`
}

// Matches reports whether every selector of m matches f, whatever f's status
// and the time.
func (m *Mute) Matches(f *Finding) bool {
	r := &f.Resource
	if !selects(m.Control, f.RuleID) || !selects(m.Account, r.Account) || !selects(m.Region, r.Region) {
		return false
	}
	if m.Fingerprint != "" && m.Fingerprint != f.Fingerprint {
		return false
	}
	if !selects(m.Resource, r.ID) && (r.ARN == "" || !selects(m.Resource, r.ARN)) {
		return false
	}
	for k, pattern := range m.Tags {
		if v, ok := r.Tags[k]; !ok || !glob.Match(pattern, v) {
			return false
		}
	}
	return true
}

func (m *Mute) selectors() string {
	var out []string
	for _, s := range []struct{ name, value string }{
		{"control", m.Control}, {"fingerprint", m.Fingerprint}, {"resource", m.Resource},
		{"account", m.Account}, {"region", m.Region},
	} {
		if s.value != "" {
			out = append(out, s.name+" "+s.value)
		}
	}
	tags := make([]string, 0, len(m.Tags))
	for k, v := range m.Tags {
		tags = append(tags, fmt.Sprintf("tag %s=%s", k, v))
	}
	slices.Sort(tags)
	return strings.Join(append(out, tags...), ", ")
}

func selects(pattern, s string) bool { return pattern == "" || glob.Match(pattern, s) }
