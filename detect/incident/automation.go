package incident

import (
	"fmt"
	"path"
	"strings"
)

// Automation says how callers that are programs are known. Every member that is
// given must match, whatever the case; patterns take * and ?.
type Automation struct {
	ID     string `json:"id"`
	Reason string `json:"reason"` // what a reader is told
	// Hint marks what an attacker can choose: a name or user agent. A hint is
	// shown and does not lower a severity.
	Hint bool `json:"hint,omitempty"`

	Identity  string `json:"identity,omitempty"`  // userIdentity.type
	InvokedBy string `json:"invokedBy,omitempty"` // the service that called on somebody's behalf
	Principal string `json:"principal,omitempty"` // ARN of the user, or of the role behind a session
	Role      string `json:"role,omitempty"`      // name of the role behind a session
	Session   string `json:"session,omitempty"`   // name of the session
	Provider  string `json:"provider,omitempty"`  // of the web identity that opened the first session
	Source    string `json:"source,omitempty"`    // sourceIdentity
}

// ParseAutomation reads a list of Automation in YAML.
func ParseAutomation(name string, data []byte) ([]Automation, error) {
	entries, err := entriesOf(data, "id", "reason", "hint", "identity", "invokedBy", "principal", "role", "session", "provider", "source")
	if err != nil {
		return nil, fmt.Errorf("read automation %s: %w", name, err)
	}
	var out []Automation
	for _, e := range entries {
		v := e.values
		if h := v["hint"]; h != "" && h != "true" && h != "false" {
			return nil, fmt.Errorf("read automation %s: line %d: hint: want true or false", name, e.line)
		}
		out = append(out, Automation{ID: v["id"], Reason: v["reason"], Hint: v["hint"] == "true", Identity: v["identity"], InvokedBy: v["invokedBy"], Principal: v["principal"],
			Role: v["role"], Session: v["session"], Provider: v["provider"], Source: v["source"]})
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
