package prove

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// part is a piece of a policy's string: text, in which * and ? may be wildcards
// unless it is literal, or a policy variable.
type part struct {
	text     string
	literal  bool
	variable string // the condition key, in lower case
	fallback *string
}

// split cuts a string at its policy variables. A policy of 2008 has none, and in
// a resource they count only in the sixth segment of the ARN.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func split(s, version string, resource bool) []part {
	if version != identity.Version2012 || !strings.Contains(s, "${") {
		return []part{{text: s}}
	}
	head, rest := "", s
	if resource && strings.HasPrefix(s, "arn:") {
		for range 5 {
			before, after, ok := strings.Cut(rest, ":")
			if !ok {
				return []part{{text: s}}
			}
			head, rest = head+before+":", after
		}
	}
	parts := []part{}
	for {
		before, after, open := strings.Cut(rest, "${")
		body, tail, closed := strings.Cut(after, "}")
		if !open || !closed {
			if head+rest != "" || len(parts) == 0 {
				parts = append(parts, part{text: head + rest})
			}
			return parts
		}
		if head+before != "" {
			parts = append(parts, part{text: head + before})
		}
		head = ""
		switch body {
		case "*", "?", "$":
			parts = append(parts, part{text: body, literal: true})
		default:
			name, def, hasDefault := strings.Cut(body, ",")
			p := part{variable: strings.ToLower(strings.TrimSpace(name))}
			def = strings.TrimSpace(def)
			if hasDefault && len(def) >= 2 && def[0] == '\'' && def[len(def)-1] == '\'' {
				d := def[1 : len(def)-1]
				p.fallback = &d
			}
			parts = append(parts, p)
		}
		rest = tail
		if rest == "" {
			return parts
		}
	}
}

// fill replaces variables by the values given; a variable without a value gets
// its default. ok is false if one has neither.
func fill(parts []part, values map[string]string) (filled []part, ok bool) {
	for _, p := range parts {
		if p.variable == "" {
			filled = append(filled, p)
			continue
		}
		v, known := values[p.variable]
		switch {
		case known:
		case p.fallback != nil:
			v = *p.fallback
		default:
			return nil, false
		}
		filled = append(filled, part{text: v, literal: true})
	}
	return filled, true
}

// variables lists the condition keys that the parts use.
func variables(parts []part) []string {
	var names []string
	for _, p := range parts {
		if p.variable != "" {
			names = append(names, p.variable)
		}
	}
	return names
}
