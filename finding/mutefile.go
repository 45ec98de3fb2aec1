package finding

import (
	"fmt"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// maxMuteFile bounds a mute file, in bytes.
const maxMuteFile = 1 << 20

// ParseMutes reads a mute file in YAML or JSON: a list of rules, or a mapping
// with the one member "mutes" that is such a list. Every rule needs a reason, an
// owner, an expiry and at least one selector. An expiry is a date, the last day
// on which the rule mutes (UTC), or an RFC 3339 time. The error names the file
// and the line.
func ParseMutes(name string, data []byte) ([]Mute, error) {
	docs, err := yamldoc.Parse(name, data, maxMuteFile)
	if err == nil && len(docs) > 1 {
		err = docs[1].Errorf(name, "want one document, found a second")
	}
	if err != nil {
		return nil, fmt.Errorf("read mutes: %w", err)
	}
	if len(docs) == 0 {
		return nil, nil
	}
	mutes, err := mutesOf(name, docs[0])
	if err != nil {
		return nil, fmt.Errorf("read mutes: %w", err)
	}
	return mutes, nil
}

func mutesOf(name string, n *yamldoc.Node) ([]Mute, error) {
	if n.Kind == yamldoc.Map {
		for i, k := range n.Keys {
			if k.Text != "mutes" {
				return nil, k.Errorf(name, "unknown member %q; want a list of rules, or \"mutes:\" and such a list", k.Text)
			}
			n = n.Vals[i]
		}
		if n.Kind == yamldoc.Null {
			return nil, nil
		}
	}
	if n.Kind != yamldoc.List {
		return nil, n.Errorf(name, "want a list of rules")
	}
	var out []Mute
	for _, item := range n.Vals {
		m, err := muteOf(name, item)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func muteOf(name string, n *yamldoc.Node) (Mute, error) {
	m := Mute{Line: n.Line}
	if n.Kind != yamldoc.Map {
		return m, n.Errorf(name, "want a rule with reason, owner and expires")
	}
	var expires string
	fields := map[string]*string{
		"control": &m.Control, "fingerprint": &m.Fingerprint, "resource": &m.Resource, "account": &m.Account,
		"region": &m.Region, "reason": &m.Reason, "owner": &m.Owner, "expires": &expires,
	}
	for i, k := range n.Keys {
		v := n.Vals[i]
		if k.Text == "tags" {
			var err error
			if m.Tags, err = tagsOf(name, v); err != nil {
				return m, err
			}
			continue
		}
		field, ok := fields[k.Text]
		if !ok {
			return m, k.Errorf(name, "unknown member %q; a rule has control, fingerprint, resource, account, region, tags, reason, owner and expires", k.Text)
		}
		if v.Kind > yamldoc.Null {
			return m, v.Errorf(name, "want plain text, found %v", v.Kind)
		}
		if *field = strings.TrimSpace(v.Text); *field == "" {
			return m, k.Errorf(name, "%q is empty", k.Text)
		}
		if k.Text == "expires" {
			var err error
			if m.Expires, err = expiry(expires); err != nil {
				return m, v.Errorf(name, "%v", err)
			}
		}
	}
	for _, must := range []string{"reason", "owner", "expires"} {
		if n.Get(must) == nil {
			return m, n.Errorf(name, "the rule has no %q", must)
		}
	}
	if m.Control == "" && m.Fingerprint == "" && m.Resource == "" && m.Account == "" && m.Region == "" && len(m.Tags) == 0 {
		return m, n.Errorf(name, "the rule selects nothing; give control, fingerprint, resource, account, region or tags")
	}
	return m, nil
}

func expiry(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("expires %q: want a date such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z", s)
	}
	return t.UTC(), nil
}

func tagsOf(name string, n *yamldoc.Node) (map[string]string, error) {
	if n.Kind != yamldoc.Map || len(n.Keys) == 0 {
		return nil, n.Errorf(name, "tags: want a mapping of tag names to values")
	}
	tags := map[string]string{}
	for i, k := range n.Keys {
		v := n.Vals[i]
		if v.Kind > yamldoc.Null {
			return nil, v.Errorf(name, "tags: want plain text, found %v", v.Kind)
		}
		tags[k.Text] = strings.TrimSpace(v.Text)
	}
	return tags, nil
}
