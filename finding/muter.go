package finding

import (
	"fmt"
	"time"
)

// Muter applies mute rules and remembers which of them matched. It is not safe
// for concurrent use.
type Muter struct {
	mutes   []Mute
	now     time.Time
	matched []int // findings muted, or that would have been had it not expired
	passed  []int // findings matched that pass
}

// NewMuter returns a Muter as of now.
func NewMuter(mutes []Mute, now time.Time) *Muter {
	return &Muter{mutes, now, make([]int, len(mutes)), make([]int, len(mutes))}
}

// Apply sets f's status to muted and f.Mute to the rule, if f fails or is
// unknown and a rule matches that has not expired. The first such rule is named.
func (m *Muter) Apply(f *Finding) {
	done := false
	for i := range m.mutes {
		rule := &m.mutes[i]
		if !rule.Matches(f) {
			continue
		}
		if f.Status == StatusPass {
			m.passed[i]++
			continue
		}
		m.matched[i]++
		if !done && m.now.Before(rule.Expires) {
			f.Mute, done = rule, true
		}
	}
	if done {
		f.Status = StatusMuted
	}
}

// Warnings names the rules that have expired, that matched only what passes,
// and that matched nothing, in the order of the file.
func (m *Muter) Warnings() []string {
	var out []string
	for i, rule := range m.mutes {
		name := fmt.Sprintf("mute %d (%s)", i+1, rule.selectors())
		if rule.Line > 0 {
			name = fmt.Sprintf("mute on line %d (%s)", rule.Line, rule.selectors())
		}
		switch {
		case !m.now.Before(rule.Expires) && m.matched[i] > 0:
			out = append(out, fmt.Sprintf("%s expired on %s; %s it no longer mutes; renew it or fix them (owner %s)",
				name, rule.lastDay(), count(m.matched[i], "finding that", "findings that"), rule.Owner))
		case !m.now.Before(rule.Expires):
			out = append(out, fmt.Sprintf("%s expired on %s and matches nothing that fails; remove it (owner %s)",
				name, rule.lastDay(), rule.Owner))
		case m.matched[i] == 0 && m.passed[i] > 0:
			out = append(out, fmt.Sprintf("%s matches only what passes; remove it (owner %s)", name, rule.Owner))
		case m.matched[i] == 0:
			out = append(out, fmt.Sprintf("%s matches nothing; check it for a mistake or remove it (owner %s)", name, rule.Owner))
		}
	}
	return out
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// lastDay is the last day on which the rule mutes.
func (m *Mute) lastDay() string {
	return m.Expires.Add(-time.Nanosecond).UTC().Format(time.DateOnly)
}
