package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

func FuzzLint(f *testing.F) {
	for _, r := range rows {
		if len(r.hit) < 2000 {
			f.Add(r.hit, uint8(slices.Index(Kinds, r.kind)))
		}
	}
	f.Fuzz(func(t *testing.T, text string, kind uint8) {
		o := Options{Kind: Kinds[int(kind)%len(Kinds)]}
		if kind >= 128 {
			o.Kind, o.ResourceType = Resource, ResourceTypes[int(kind)%len(ResourceTypes)]
		}
		first := Lint([]byte(text), o)
		second := Lint([]byte(text), o)
		if !slices.Equal(first, second) {
			t.Errorf("two runs differ: %v and %v", first, second)
		}
		lines := strings.Count(text, "\n") + 1
		for _, g := range first {
			if g.Type == "" || g.Message == "" || g.Pos.Line < 1 || g.Pos.Line > lines || strings.ContainsFunc(g.Message, hidden) {
				t.Errorf("malformed finding %+v", g)
			}
		}
		Guess([]byte(text))
	})
}

// Policies that are built to make the checks compare much with much end in a
// bounded time.
func TestHostilePolicies(t *testing.T) {
	list := func(n int, item func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`"` + item(i) + `"`)
		}
		return b.String()
	}
	pad := func(i int) string { return strings.Repeat("*a", i%20) }
	for name, doc := range map[string]string{
		"many action patterns":      policy(allow(`"Action":[` + list(8_000, func(i int) string { return "*" + pad(i) + ":*" + pad(i/20) }) + `],"Resource":"*"`)),
		"many resource patterns":    policy(allow(`"Action":"s3:*","Resource":[` + list(6_000, func(i int) string { return "arn:aws:s3:::" + pad(i) + "*" + pad(i/20) }) + `]`)),
		"a long pattern":            policy(allow(`"Action":"ec2:` + strings.Repeat("*a", 200_000) + `","Resource":"arn:aws:ec2:::` + strings.Repeat("*a", 200_000) + `"`)),
		"many statements":           policy(slices.Repeat([]string{allow(`"Action":["s3:Get*","s3:Put*"],"Resource":["arn:aws:s3:::a*","arn:aws:s3:::b*"]`)}, 2_500)...),
		"many different statements": policy(distinct(1_500)...),
		"many conditions":           when(`"*"`, `{`+strings.Join(slices.Repeat([]string{`"StringEquals":{"aws:ResourceTag/a":"b","s3:prefix":"*"}`}, 4_000), ",")+`}`),
		"many providers":            trusts(`{"Federated":[`+list(8_000, func(i int) string { return fmt.Sprintf("p%d.example.com", i) })+`]}`, `["sts:AssumeRole","sts:AssumeRoleWithSAML"]`, `,"Condition":{"StringEquals":{`+strings.Join(slices.Repeat([]string{`"sts:SourceIdentity":"a"`}, 20_000), ",")+`}}`),
		"many actions and keys":     when(`[`+list(15_000, func(i int) string { return "sts:AssumeRole" })+`]`, `{"StringEquals":{`+strings.Join(slices.Repeat([]string{`"sts:SourceIdentity":"a"`}, 8_000), ",")+`}}`),
		"deep":                      strings.Repeat("[", 100_000),
	} {
		start := time.Now()
		kind := Identity
		if strings.Contains(doc, `"Principal"`) {
			kind = Trust
		}
		if got := Lint([]byte(doc), Options{Kind: kind}); len(got) > maxFindings {
			t.Errorf("%s: %d findings", name, len(got))
		}
		t.Logf("%s: %d bytes in %v", name, len(doc), time.Since(start).Round(time.Millisecond))
	}
}

func distinct(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = allow(fmt.Sprintf(`"Action":["s3:Get*","s3:Put%d*"],"Resource":["arn:aws:s3:::a%d*"]`, i, i))
	}
	return out
}

func BenchmarkLint(b *testing.B) {
	p, ok := catalog.ManagedPolicy("arn:aws:iam::aws:policy/PowerUserAccess")
	if !ok {
		b.Fatal("no such policy")
	}
	for b.Loop() {
		Lint(p.Document, Options{})
	}
}

func BenchmarkLintReadOnlyAccess(b *testing.B) {
	p, ok := catalog.ManagedPolicy("arn:aws:iam::aws:policy/ReadOnlyAccess")
	if !ok {
		b.Fatal("no such policy")
	}
	b.SetBytes(int64(len(p.Document)))
	for b.Loop() {
		Lint(p.Document, Options{})
	}
}
