// Package glob matches texts against patterns with wildcards.
package glob

// Match reports whether s matches pattern, where * stands for any text and ? for
// any one byte. Both must be of the same case. It takes linear space and, since
// only the last star is ever revisited, at most len(s)·len(pattern) steps.
func Match(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
