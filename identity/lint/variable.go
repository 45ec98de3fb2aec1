package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// hasWildcard reports whether s has a * or ? that is a wildcard: not the escapes
// ${*} and ${?}, and nothing inside a variable.
func hasWildcard(s string) bool { return strings.ContainsAny(withoutVariables(s), "*?") }

// withoutVariables replaces each variable, escapes included, by a letter.
func withoutVariables(s string) string {
	if !strings.Contains(s, "${") {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteByte('x')
		s = s[i+j+1:]
	}
}

// variables returns the contents of the ${…} in s, escapes left out.
func variables(s string) []string {
	var out []string
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			return out
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return out
		}
		if name := s[i+2 : i+j]; name != "*" && name != "?" && name != "$" {
			out = append(out, name)
		}
		s = s[i+j+1:]
	}
}

// checkVariables looks at the policy variables of a resource or condition value.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func (l *linter) checkVariables(n *identity.Node) {
	s := n.Text
	if !strings.Contains(s, "${") {
		return
	}
	if !l.version2012 {
		l.add("VARIABLE_UNSUPPORTED_IN_VERSION", n, `policy variables need "Version": "2012-10-17"; here they are plain text`)
		return
	}
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			return
		}
		s = s[i+2:]
		j := strings.IndexByte(s, '}')
		if k := strings.Index(s, "${"); j < 0 || k >= 0 && k < j {
			l.add("MISSING_BRACE_IN_VARIABLE", n, "a policy variable has no closing brace")
			if j < 0 {
				return
			}
			continue
		}
		l.variable(n, s[:j])
		s = s[j+1:]
	}
}

func (l *linter) variable(n *identity.Node, content string) {
	name, def, hasDefault := strings.Cut(content, ",")
	switch {
	case strings.TrimSpace(content) == "":
		l.add("EMPTY_VARIABLE", n, "a policy variable has no name")
	case strings.ContainsAny(name, " \t"):
		l.add("UNSUPPORTED_SPACE_IN_VARIABLE", n, "the name of the policy variable %q has a space", clip(name))
	case hasDefault:
		def = strings.TrimSpace(def)
		if len(def) < 2 || def[0] != '\'' || def[len(def)-1] != '\'' {
			l.add("MISSING_QUOTE_IN_VARIABLE", n, "the default value %q of a policy variable must stand in single quotes", clip(def))
		}
	}
}

// noVariables reports a policy variable in an element that cannot have one.
func (l *linter) noVariables(n *identity.Node) bool {
	if !strings.Contains(n.Text, "${") {
		return true
	}
	l.add("VARIABLE_UNSUPPORTED_IN_ELEMENT", n, "only Resource and Condition can hold policy variables")
	return false
}
