package identity_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/identity"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a:b/c", true}, {"**", "", true},
		{"?", "", false}, {"?", "a", true}, {"?", "é", true}, {"??", "é", false},
		{"a*", "a", true}, {"*a", "ba", true}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "a-b-b-c", true}, {"a*b*c", "a-c-b", false}, {"*aab*", "aaaab", true},
		{"a?c*e", "abcde", true}, {"*a?b", "aab", true}, {"*a?b", "aaab", true}, {"*?", "", false},
		{"A", "a", false},
	} {
		if got := identity.Match(c.pattern, c.s); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func TestMatchResource(t *testing.T) {
	for _, c := range []struct {
		why, pattern, s string
		want            bool
	}{
		{"everything", "*", "arn:aws:s3:::bucket/key", true},
		{"the resource of an action that has none", "*", "*", true},
		{"an ARN is not the resource of an action that has none", "arn:aws:s3:::bucket", "*", false},
		{"a star crosses slashes in the resource", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/2/test/3/object.jpg", true},
		{"and needs what stands around it", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1-test/object.jpg", false},
		{"a star crosses colons in the resource", "arn:aws:lambda:us-east-1:111122223333:function:*prod", "arn:aws:lambda:us-east-1:111122223333:function:resize:prod", true},
		{"the name is case sensitive", "arn:aws:iam::111122223333:user/Bob", "arn:aws:iam::111122223333:user/bob", false},
		{"a star at the end of a segment", "arn:aws:ec2:*:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", true},
		{"a star at the end of a segment expands beyond the colon", "arn:aws:ec2:*:instance/*", "arn:aws:ec2:eu-west-1:111122223333:instance/i-1", true},
		{"a partial ARN", "arn:aws:s3:*", "arn:aws:s3:::bucket/key", true},
		{"a star inside a segment stays there", "arn:aws:ec2:us-*-1:111122223333:instance/*", "arn:aws:ec2:us-east-1:111122223333:instance/i-1", true},
		{"a star inside a segment does not cross", "arn:aws:sns:us*3333:topic", "arn:aws:sns:us-east-1:111122223333:topic", false},
		{"a question mark in the first segments is not a colon", "arn:aws:s3:?:111122223333:x", "arn:aws:s3:::111122223333:x", false},
		{"a question mark in the resource is any character", "arn:aws:s3:::b/?", "arn:aws:s3:::b/:", true},
	} {
		if got := identity.MatchResource(c.pattern, c.s); got != c.want {
			t.Errorf("%s: MatchResource(%q, %q) = %v", c.why, c.pattern, c.s, got)
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
func TestMatchARN(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"arn:aws:sns:*:111122223333:*", "arn:aws:sns:us-east-1:111122223333:topic", true},
		{"arn:aws:sns:*:topic", "arn:aws:sns:us-east-1:111122223333:topic", false}, // segments one by one
		{"arn:*:sns:us-*:111122223333:a?c*", "arn:aws-cn:sns:us-east-1:111122223333:abc:d", true},
		{"*", "arn:aws:sns:us-east-1:111122223333:topic", true},
		{"*", "no ARN", false},
		{"arn:aws:s3:::b", "b", false},
		{"arn:*:*:*:*:*", "arn:aws:s3:::b", true},
	} {
		if got := identity.MatchARN(c.pattern, c.s); got != c.want {
			t.Errorf("MatchARN(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
func TestMatchAction(t *testing.T) {
	if !identity.MatchAction("S3:get*", "s3:GetObject") || identity.MatchAction("s3:Put?", "s3:Put") {
		t.Error("case and wildcards of actions")
	}
}

// plainMatch is the definition of the wildcards, slow.
func plainMatch(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return plainMatch(p[1:], s) || len(s) > 0 && plainMatch(p, s[1:])
	case len(s) == 0:
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && plainMatch(p[1:], s[1:])
}

func TestMatchLikeItsDefinition(t *testing.T) {
	chars := rapid.SampledFrom([]rune("ab:é*?"))
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringOfN(chars, 0, 10, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab:é")), 0, 14, -1).Draw(t, "s")
		want := plainMatch([]rune(p), []rune(s))
		if got := identity.Match(p, s); got != want {
			t.Fatalf("Match(%q, %q) = %v", p, s, got)
		}
		// Far longer patterns need more than one word.
		long := strings.Repeat("x", 600)
		if got := identity.Match(long+p+"?", long+s+"a"); got != want {
			t.Fatalf("long Match(%q, %q) = %v", p, s, got)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("arn:aws:s3:*-?:b*", "arn:aws:s3:us-1:bc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if identity.MatchResource(pattern, s) && !identity.Match(pattern, s) {
			t.Fatalf("resource pattern %q matches more than its wildcards on %q", pattern, s)
		}
		identity.MatchARN(pattern, s)
	})
}

// BenchmarkMatchAdversarial shows that no pattern makes matching slow.
func BenchmarkMatchAdversarial(b *testing.B) {
	for name, pattern := range map[string]string{"stars": strings.Repeat("a*", 200) + "b", "marks": strings.Repeat("*a?", 150) + "b"} {
		p := identity.NewPattern(pattern)
		s := strings.Repeat("a", 4096)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p.Match(s) {
					b.Fatal("matched")
				}
			}
		})
	}
}
