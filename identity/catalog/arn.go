package catalog

import "strings"

// MatchARN reports whether the resource pattern of a policy can name a resource
// of type t. Wildcards in the first five parts of the ARN do not cross the
// colons between them; policy variables may hold any text; the pattern "*" names
// everything. A pattern that ends in a star before its sixth part, such as
// arn:aws:s3*, is read as covering the missing parts.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func MatchARN(pattern string, t *ResourceType) bool {
	return matchFormat(pattern, t.ARN)
}

func matchFormat(pattern, format string) bool {
	if pattern == "*" {
		return true
	}
	p := SplitARN(pattern)
	f := SplitARN(format)
	if len(f) < 6 {
		return Overlap(pattern, format)
	}
	if len(p) < 6 {
		if !strings.HasSuffix(pattern, "*") {
			return false
		}
		for i := range p {
			if !Overlap(p[i], f[i]) {
				return false
			}
		}
		return true
	}
	for i := range 6 {
		if !Overlap(p[i], f[i]) {
			return false
		}
	}
	return true
}

// SplitARN splits a pattern or format into its parts, six at most, without being
// misled by colons inside ${…}.
func SplitARN(s string) []string {
	var out []string
	start, depth := 0, 0
	for i := 0; i < len(s) && len(out) < 5; i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
		case s[i] == '}' && depth > 0:
			depth--
		case s[i] == ':' && depth == 0:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// Overlap reports whether some text matches both a policy's pattern, in which *
// and ? are wildcards and ${…} variables, and a format of the reference, in which
// each ${…} stands for at least one character.
func Overlap(pattern, format string) bool {
	return overlap(policyTokens(pattern), formatTokens(format))
}
