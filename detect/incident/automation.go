package incident

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"github.com/goccy/go-yaml"
)

// Automation says how callers that are programs are known. Every member that is
// given must match, whatever the case; patterns take * and ?.
type Automation struct {
	ID     string `yaml:"id" json:"id"`
	Reason string `yaml:"reason" json:"reason"` // what a reader is told
	// Hint marks what an attacker can choose: a name or user agent. A hint is
	// shown and does not lower a severity.
	Hint bool `yaml:"hint" json:"hint,omitempty"`

	Identity  string `yaml:"identity" json:"identity,omitempty"`   // userIdentity.type
	InvokedBy string `yaml:"invokedBy" json:"invokedBy,omitempty"` // the service that called on somebody's behalf
	Principal string `yaml:"principal" json:"principal,omitempty"` // ARN of the user, or of the role behind a session
	Role      string `yaml:"role" json:"role,omitempty"`           // name of the role behind a session
	Session   string `yaml:"session" json:"session,omitempty"`     // name of the session
	Provider  string `yaml:"provider" json:"provider,omitempty"`   // of the web identity that opened the first session
	Source    string `yaml:"source" json:"source,omitempty"`       // sourceIdentity
}

// ParseAutomation reads a list of Automation in YAML.
func ParseAutomation(name string, data []byte) ([]Automation, error) {
	if len(data) > 1<<20 {
		return nil, fmt.Errorf("read automation %s: more than 1 MiB", name)
	}
	var out []Automation
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&out); err != nil {
		return nil, fmt.Errorf("read automation %s: %w", name, err)
	}
	seen := map[string]bool{}
	for i, a := range out {
		switch {
		case a.ID == "" || a.Reason == "":
			return nil, fmt.Errorf("read automation %s: entry %d has no id or no reason", name, i+1)
		case seen[a.ID]:
			return nil, fmt.Errorf("read automation %s: %s is given twice", name, a.ID)
		case a.Identity+a.InvokedBy+a.Principal+a.Role+a.Session+a.Provider+a.Source == "":
			return nil, fmt.Errorf("read automation %s: %s matches everything", name, a.ID)
		}
		seen[a.ID] = true
		for _, p := range []string{a.Identity, a.InvokedBy, a.Principal, a.Role, a.Session, a.Provider, a.Source} {
			if strings.ContainsAny(p, `[\`) {
				return nil, fmt.Errorf("read automation %s: %s: %q: only * and ? are wildcards", name, a.ID, p)
			}
		}
	}
	return out, nil
}

// matches reports whether a step's caller is known by a.
func (a *Automation) matches(s *step) bool {
	w := s.who
	principal := w.issuer
	if principal == "" {
		principal = w.arn
	}
	provider := w.provider
	if s.origin != nil && s.origin.who != nil && s.origin.who.provider != "" {
		provider = s.origin.who.provider
	}
	return glob(a.Identity, w.typ) && glob(a.InvokedBy, w.invokedBy) && glob(a.Principal, principal) && glob(a.Role, w.roleName()) &&
		glob(a.Session, w.session()) && glob(a.Provider, provider) && glob(a.Source, w.sourceIdentity)
}

// glob matches without regard to case and path separators; an empty pattern
// matches all.
func glob(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(flat(pattern), flat(s))
	return err == nil && ok
}

func flat(s string) string { return strings.ToLower(strings.ReplaceAll(s, "/", "\x01")) }

// recognise returns the first entry that matches, facts before hints.
func recognise(list []Automation, s *step) *Automation {
	var hint *Automation
	for i := range list {
		switch a := &list[i]; {
		case !a.matches(s):
		case !a.Hint:
			return a
		case hint == nil:
			hint = a
		}
	}
	return hint
}
