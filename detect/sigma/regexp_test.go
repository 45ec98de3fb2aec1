package sigma

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWordsOfExpressions: looking for an expression's words first changes nothing
// but the time.
func TestWordsOfExpressions(t *testing.T) {
	for _, c := range []struct {
		re    string
		words string // of which every match contains one of each list
	}{
		{`(?i)(?:^|/)[^/]*(?:ransom|readme|recover)[^/]*$`, "ransom readme recover"},
		{`(?i):role/(?:x|[^:]*-)(?:cspm|wiz-?scan|a@b)$`, ":role/, a@b cspm wiz-scan wizscan"},
		{`(?i)session/(?:[^/]*@[^/]*|cli)$`, "session/, cli @"}, {`(?i)(?:x[yz]|@)q(?:ab)*`, "@q xyq xzq"}, {`ab(?:cd|ef)`, "abcd abef"},
		{`(?i)((foo)bar)`, "foobar"}, {`"[cC]idr(?:Ip)?":\s*"[^"]*/[0-4]".*"-1"`, `"cidr": "cidrip":, /0" /1" /2" /3" /4", "-1"`},
		{`"cidr":.*/[01]"|/[01]".*"port":`, `/0" /1"`}, {`"(\*|\*:\*|iam:\*)"`, `"*" "*:*" "iam:*"`}, {`(?i)xmrig`, "xmrig"}, {`(?i:AB)c+|(?i)de`, "ab de"}, {`(?i)(?:foo){2,}x*`, "foo"}, {`(?i)(?:foo)?bar|baz`, "bar baz foobar"},
		{`(?i)foo|b`, ""}, {`(?i)(?:foo)?`, ""}, {`[0-9]+`, ""}, {`(?i)kiss`, "kiss"}, {`é(?:foo|bar)`, "bar foo"}, {`[a-z]foo`, "foo"}, {`fooé`, ""},
	} {
		e, err := compileRegexp(c.re, modifierSet{has: map[string]bool{}})
		if err != nil {
			t.Fatal(err)
		}
		var lists []string
		for _, w := range e.words {
			all := slices.Clone(w.words)
			for _, c := range w.single {
				all = append(all, []byte{c})
			}
			lists = append(lists, string(bytes.Join(all, []byte(" "))))
		}
		if got := strings.Join(lists, ", "); got != c.words {
			t.Errorf("%s: words %q, want %q", c.re, got, c.words)
		}
		plain := regexp.MustCompile(c.re)
		long := strings.Repeat("-", 1017)
		for _, text := range []string{"", "a/HOW-TO-Recover.txt", "x:role/a-CSPM", ":Role/xwizscan", ":role/a-Wiz-Scan", ":role/xA@B", "cspm:role/", "SESSION/Me@b", "session/cli", "session/x", "abEF", "abef", "FooBar", "xyq", "@Q", `{"cidrIp":"10.0.0.0/0","x":"-1"}`, `{"CidrIp":"10.0.0.0/8","x":"-1"}`, `"cidr": "::/0" "-1"`, `"Action":"*"`, `"iam:*"`, "éfoo", "éBar", "fooé", "xFoo", "xfoo", "foobar", "a/readme/x", "RanSom", "XMRig", "abc", "ABcc", "dE", "Foofoo", "foo", "barbaz", "B", "17",
			"\u212aiss", "ki\u017fs", "KI\u017f\u017f", long + "xmrig", long + "--" + "xmRIG" + long, long + "-recover", long + long + "b"} {
			if got, want := e.Match([]byte(text)), plain.MatchString(text); got != want {
				t.Errorf("%s on %q: %v, want %v", c.re, text, got, want)
			}
		}
	}
}

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
