package glob_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/internal/glob"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "ac", true},
		{"a?c", "ac", false},
		{"a?c", "a*c", true},
		{"*a*b", "xaxbxb", true},
		{"*a*b", "xbxa", false},
		{"iam-*", "IAM-x", false},
		{"**", "x", true},
		{strings.Repeat("*a", 2000) + "b", strings.Repeat("a", 4000), false},
	} {
		if got := glob.Match(c.pattern, c.text); got != c.want {
			t.Errorf("%.20q, %.20q: %v", c.pattern, c.text, got)
		}
	}
}

// FuzzMatch holds Match against a regular expression.
func FuzzMatch(f *testing.F) {
	f.Add("a*b?", "axxbc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.ContainsFunc(pattern+s, func(r rune) bool { return r >= 0x80 }) || len(pattern) > 100 {
			return
		}
		text := strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(pattern))
		if got, want := glob.Match(pattern, s), regexp.MustCompile(`(?s)^(?:`+text+`)$`).MatchString(s); got != want {
			t.Errorf("%q, %q: %v, want %v", pattern, s, got, want)
		}
	})
}
