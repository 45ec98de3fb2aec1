package sigma

import (
	"regexp"
	"strings"
	"testing"
)

// TestTiedExpressions: an expression that is tied to its first text matches what
// the plain one matches.
func TestTiedExpressions(t *testing.T) {
	for _, re := range []string{`:assumed-role/[^/]+/i-[0-9a-f]{8,17}$`, `ab+c`, `a\b`, `a$`, `^ab$`, `^a`, `(^|x)a`, `aa`, `a.*a`, `(?m)a$`, `a(^b|c)`, `abc|abd`, `a(?i)b`} {
		e, err := compileRegexp(re, modifierSet{has: map[string]bool{}})
		if err != nil {
			t.Fatal(err)
		}
		plain := regexp.MustCompile(re)
		for _, text := range []string{"", "a", "aa", "ba", "aab", "a b", "a\nb", "abbc", "xabc", "xabd", "aB", "ab", "aaaaaaaaaaac", "aaaaaaaaaaa!abbbc", "ac",
			"arn:aws:sts::1:assumed-role/r/i-0123456789abcdef0", "arn:aws:sts::1:assumed-role/r/i-0123456789abcdef0x/", ":assumed-role/x/:assumed-role/r/i-01234567",
			strings.Repeat(":assumed-role/", 20) + "r/i-01234567", "x:a ab abb abbb abbbb abbc"} {
			if got, want := e.Match([]byte(text)), plain.MatchString(text); got != want {
				t.Errorf("%s on %q: %v, want %v", re, text, got, want)
			}
		}
	}
}
