package catalog

import "strings"

// keyIndex finds condition keys by name: exact ones in a map, templates such as
// aws:RequestTag/${TagKey} by matching their fixed parts.
type keyIndex struct {
	exact     map[string]*ConditionKey
	templates []keyTemplate
}

type keyTemplate struct {
	parts []string // lower case, what stands between the variables
	key   *ConditionKey
}

func newKeyIndex() keyIndex { return keyIndex{exact: map[string]*ConditionKey{}} }

func (x *keyIndex) add(k *ConditionKey) {
	low := strings.ToLower(k.Key)
	if _, dup := x.exact[low]; dup {
		return
	}
	x.exact[low] = k
	if k.Template() {
		x.templates = append(x.templates, keyTemplate{templateParts(low), k})
	}
}

// templateParts splits "kms:encryptioncontext:${x}" into its fixed parts.
func templateParts(s string) []string {
	var parts []string
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			return append(parts, s)
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return append(parts, s)
		}
		parts = append(parts, s[:i])
		s = s[i+j+1:]
	}
}

func (t keyTemplate) match(s string) bool {
	if !strings.HasPrefix(s, t.parts[0]) {
		return false
	}
	s = s[len(t.parts[0]):]
	for i, part := range t.parts[1:] {
		if s == "" {
			return false // each variable holds at least one character
		}
		if i == len(t.parts)-2 {
			return len(s) > len(part) && strings.HasSuffix(s, part)
		}
		at := strings.Index(s[1:], part)
		if at < 0 {
			return false
		}
		s = s[1+at+len(part):]
	}
	return s == ""
}

// find looks a lower-case key up.
func (x *keyIndex) find(low string) (*ConditionKey, bool) {
	if k, ok := x.exact[low]; ok {
		return k, true
	}
	for _, t := range x.templates {
		if t.match(low) {
			return t.key, true
		}
	}
	return nil, false
}

// KeyMatches reports whether key, as written in a policy, is the condition key
// or template named by name (aws:RequestTag/${TagKey}), in any case.
func KeyMatches(name, key string) bool {
	name, key = strings.ToLower(name), strings.ToLower(key)
	if name == key {
		return true
	}
	if !strings.Contains(name, "${") {
		return false
	}
	return keyTemplate{parts: templateParts(name)}.match(key)
}
