package catalog

import "strings"

// maxPattern bounds the patterns that are compared; AWS's longest ARN is 2,048
// characters. Longer ones are taken to overlap, the cautious answer.
const maxPattern = 4096

// token is one step of a pattern: a byte, any one byte, or any text.
type token struct {
	kind byte // 'c', '?', '*'
	c    byte
}

// policyTokens reads a policy pattern: *, ?, and ${variables}, which stand for
// any text, except the escapes ${*}, ${?} and ${$}.
func policyTokens(s string) []token {
	out := make([]token, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '*':
			out = append(out, token{kind: '*'})
		case s[i] == '?':
			out = append(out, token{kind: '?'})
		case strings.HasPrefix(s[i:], "${"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				out = append(out, token{'c', s[i]})
				continue
			}
			if name := s[i+2 : i+end]; name == "*" || name == "?" || name == "$" {
				out = append(out, token{'c', name[0]})
			} else {
				out = append(out, token{kind: '*'})
			}
			i += end
		default:
			out = append(out, token{'c', s[i]})
		}
	}
	return out
}

// formatTokens reads an ARN format of the reference: each ${Variable} stands for
// text of at least one byte.
func formatTokens(s string) []token {
	out := make([]token, 0, len(s))
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], "${") {
			if end := strings.IndexByte(s[i:], '}'); end > 0 {
				out = append(out, token{kind: '?'}, token{kind: '*'})
				i += end
				continue
			}
		}
		if s[i] == '*' { // a format may end in a star of its own
			out = append(out, token{kind: '*'})
			continue
		}
		out = append(out, token{'c', s[i]})
	}
	return out
}

// overlap reports whether some text matches both token lists.
func overlap(a, b []token) bool {
	if len(a) > maxPattern || len(b) > maxPattern {
		return true
	}
	// next[j] says whether a[i:] and b[j:] overlap; rows run from the end.
	row := make([]bool, len(b)+1)
	next := make([]bool, len(b)+1)
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			aStar := i < len(a) && a[i].kind == '*'
			bStar := j < len(b) && b[j].kind == '*'
			switch {
			case i == len(a) && j == len(b):
				row[j] = true
			case aStar && bStar:
				row[j] = next[j] || row[j+1]
			case aStar:
				row[j] = next[j] || j < len(b) && row[j+1]
			case bStar:
				row[j] = row[j+1] || i < len(a) && next[j]
			case i == len(a) || j == len(b):
				row[j] = false
			default:
				row[j] = (a[i].kind == '?' || b[j].kind == '?' || a[i].c == b[j].c) && next[j+1]
			}
		}
		row, next = next, row
	}
	return next[0]
}
