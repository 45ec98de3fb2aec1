package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/internal/glob"
)

func TestDefaultIsWhole(t *testing.T) {
	c := Default()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if n := len(c.Services()); n < 450 {
		t.Errorf("%d services, want at least 450", n)
	}
	if n := len(c.ExpandAction("*")); n < 22000 {
		t.Errorf("%d actions, want at least 22000", n)
	}
	if name, sum := c.Source(); name != SourcePackage || len(sum) != 64 {
		t.Errorf("Source() = %q, %q", name, sum)
	}
}

// The embedded files are the ones that "make catalog" wrote; change the sums
// together with the pins in internal/gen/iamdata.
func TestChecksums(t *testing.T) {
	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"iam.bin":     {embedded, "ea3bd2f4da605612851dfae3a401e30cbe6390cf6c9ad4c6e9e04f34a4241443"},
		"managed.bin": {embeddedManaged, "d0a3d77a2bde601485e00b7c9b2a479dd471216b1cfcf4190890d2e73d2ba460"},
	} {
		sum := sha256.Sum256(tc.data)
		if got := hex.EncodeToString(sum[:]); got != tc.want {
			t.Errorf("%s has SHA-256 %s, want %s", name, got, tc.want)
		}
	}
}

func TestAction(t *testing.T) {
	c := Default()
	for _, tc := range []struct {
		name, want string
		level      AccessLevel
		star       bool
	}{
		{"s3:GetObject", "s3:GetObject", Read, false},
		{"S3:getobject", "s3:GetObject", Read, false}, // names compare without regard to case
		{"s3:ListAllMyBuckets", "s3:ListAllMyBuckets", List, true},
		{"iam:PassRole", "iam:PassRole", Write, false},
		{"iam:AttachRolePolicy", "iam:AttachRolePolicy", Permissions, false},
		{"ec2:CreateTags", "ec2:CreateTags", Tagging, false},
	} {
		a, ok := c.Action(tc.name)
		if !ok {
			t.Errorf("Action(%s) is unknown", tc.name)
			continue
		}
		if a.String() != tc.want || a.Level != tc.level || a.WildcardOnly() != tc.star {
			t.Errorf("Action(%s) = %s, %s, wildcard only %v; want %s, %s, %v", tc.name, a, a.Level, a.WildcardOnly(), tc.want, tc.level, tc.star)
		}
	}
	for _, name := range []string{"s3:ListBuckets", "s4:GetObject", "GetObject", "s3:", ":", ""} {
		if _, ok := c.Action(name); ok {
			t.Errorf("Action(%q) is known, want unknown", name)
		}
	}
}

func TestResourceTypesOf(t *testing.T) {
	c := Default()
	a, _ := c.Action("iam:PassRole")
	types := c.ResourceTypesOf(a)
	if len(types) != 1 || types[0].Name != "role" || types[0].ARN != "arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}" {
		t.Errorf("ResourceTypesOf(iam:PassRole) = %+v", types)
	}
	if !a.ResourceTypes[0].Required {
		t.Error("the role of iam:PassRole should be required")
	}
}

func TestExpandAction(t *testing.T) {
	c := Default()
	names := func(pattern string) string {
		var out []string
		for _, a := range c.ExpandAction(pattern) {
			out = append(out, a.String())
		}
		return strings.Join(out, " ")
	}
	for pattern, want := range map[string]string{
		"sts:Assume*":        "sts:AssumeRole sts:AssumeRoleWithSAML sts:AssumeRoleWithWebIdentity sts:AssumeRoot",
		"STS:assumerole":     "sts:AssumeRole",
		"s?s:AssumeRole":     "sts:AssumeRole",
		"iam:*ServiceLinked": "",
		"nothing:*":          "",
		"AssumeRole":         "",
		"":                   "",
	} {
		if got := names(pattern); got != want {
			t.Errorf("ExpandAction(%q) = %s, want %s", pattern, got, want)
		}
		if got := c.Matches(pattern); got != (want != "") {
			t.Errorf("Matches(%q) = %v", pattern, got)
		}
	}
	if all, pairs := len(c.ExpandAction("*")), len(c.ExpandAction("*:*")); all != pairs {
		t.Errorf("* names %d actions and *:* %d, want the same", all, pairs)
	}
}

func TestConditionKey(t *testing.T) {
	c := Default()
	for _, tc := range []struct {
		key, want string
		typ       KeyType
		multi     bool
	}{
		{"aws:SourceIp", "aws:SourceIp", IPAddress, false},
		{"AWS:sourceip", "aws:SourceIp", IPAddress, false},
		{"aws:MultiFactorAuthPresent", "aws:MultiFactorAuthPresent", Bool, false},
		{"aws:TagKeys", "aws:TagKeys", String, true},
		{"aws:PrincipalOrgPaths", "aws:PrincipalOrgPaths", String, true},
		{"aws:RequestTag/team", "aws:RequestTag/${TagKey}", String, false},
		{"s3:prefix", "s3:prefix", String, false},
		{"s3:ExistingObjectTag/owner", "s3:ExistingObjectTag/${key}", String, false},
		{"kms:EncryptionContext:app", "kms:EncryptionContext:${EncryptionContextKey}", String, false},
		{"iam:PolicyARN", "iam:PolicyARN", ARN, false},
		{"token.actions.githubusercontent.com:ref", "token.actions.githubusercontent.com:ref", String, false},
		{"token.actions.acme.ghe.com:ref", "token.actions.${Domain}.ghe.com:ref", String, false},
		{"saml:aud", "saml:aud", String, false},
	} {
		k, ok := c.ConditionKey(tc.key)
		if !ok {
			t.Errorf("ConditionKey(%s) is unknown", tc.key)
			continue
		}
		if k.Key != tc.want || k.Type != tc.typ || k.MultiValued != tc.multi {
			t.Errorf("ConditionKey(%s) = %+v; want %s %s multi-valued %v", tc.key, *k, tc.want, tc.typ, tc.multi)
		}
	}
	for _, key := range []string{"aws:NoSuchKey", "s3:NoSuchKey", "aws:RequestTag/", "nothing:x", "sourceip", ""} {
		if k, ok := c.ConditionKey(key); ok {
			t.Errorf("ConditionKey(%q) = %s, want unknown", key, k.Key)
		}
	}
}

func TestMatchARN(t *testing.T) {
	c := Default()
	typeOf := func(full string) *ResourceType {
		service, name, _ := strings.Cut(full, ":")
		s, _ := c.Service(service)
		rt, ok := s.ResourceType(name)
		if !ok {
			t.Fatalf("no resource type %s", full)
		}
		return rt
	}
	for _, tc := range []struct {
		pattern, typ string
		want         bool
	}{
		{"*", "s3:bucket", true},
		{"arn:aws:s3:::logs", "s3:bucket", true},
		{"arn:aws:s3:::logs/*", "s3:object", true},
		{"arn:aws:s3:::*", "s3:object", true},
		{"arn:aws:s3:::logs", "s3:object", false},
		{"arn:aws:s3:::${aws:username}/*", "s3:object", true},
		{"arn:aws:iam::123456789012:role/app/*", "iam:role", true},
		{"arn:aws:iam::123456789012:user/app", "iam:role", false},
		{"arn:aws:iam::*:*", "iam:role", true},
		{"arn:*:iam::*:role/*", "iam:role", true},
		{"arn:aws:iam:*", "iam:role", true},                   // the missing parts are covered by the star
		{"arn:aws:iam", "iam:role", false},                    // and here they are not
		{"arn:aws:i*:123456789012:role/x", "iam:role", false}, // a star does not cross a colon of the first parts
		{"arn:aws:sqs:us-east-1:123456789012:q", "sqs:queue", true},
		{"arn:aws:sqs:us-east-1:123456789012:", "sqs:queue", false}, // a name has at least one character
		{"arn:aws:lambda:*:*:function:f:*", "lambda:function", true},
	} {
		if got := MatchARN(tc.pattern, typeOf(tc.typ)); got != tc.want {
			t.Errorf("MatchARN(%s, %s) = %v, want %v", tc.pattern, tc.typ, got, tc.want)
		}
	}
}

func TestNearest(t *testing.T) {
	c := Default()
	for _, tc := range []struct{ got, want string }{
		{c.NearestAction("s3:GetObjct"), "s3:GetObject"},
		{c.NearestAction("s33:GetObject"), "s3:GetObject"},
		{c.NearestAction("iam:PasRole"), "iam:PassRole"},
		{c.NearestAction("s3:Qwertyuiop"), ""},
		{c.NearestAction(strings.Repeat("x", 5000) + ":y"), ""},
		{c.NearestService("lamda"), "lambda"},
		{c.NearestConditionKey("aws:SourceIP4"), "aws:SourceIp"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestManagedPolicy(t *testing.T) {
	for _, tc := range []struct{ arn, name, path, text string }{
		{"arn:aws:iam::aws:policy/AdministratorAccess", "AdministratorAccess", "/", `"Action":"*"`},
		{"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole", "AWSLambdaBasicExecutionRole", "/service-role/", "logs:PutLogEvents"},
		{"arn:aws-us-gov:iam::aws:policy/ReadOnlyAccess", "ReadOnlyAccess", "/", "s3:Get*"},
	} {
		p, ok := ManagedPolicy(tc.arn)
		if !ok {
			t.Errorf("ManagedPolicy(%s) is unknown", tc.arn)
			continue
		}
		if p.Name != tc.name || p.Path != tc.path || !strings.HasPrefix(p.VersionID, "v") || !strings.Contains(string(p.Document), tc.text) {
			t.Errorf("ManagedPolicy(%s) = %s %s %s %.80s", tc.arn, p.Name, p.Path, p.VersionID, p.Document)
		}
	}
	for _, arn := range []string{"", "arn:aws:iam::aws:policy/NoSuch", "AdministratorAccess"} {
		if _, ok := ManagedPolicy(arn); ok {
			t.Errorf("ManagedPolicy(%q) is known", arn)
		}
	}
	arns := DefaultManaged().ARNs()
	if len(arns) < 1500 || !slices.IsSorted(arns) {
		t.Errorf("%d managed policies, sorted %v", len(arns), slices.IsSorted(arns))
	}
	for _, arn := range arns {
		if p, ok := ManagedPolicy(arn); !ok || p.ARN != arn || !strings.HasPrefix(string(p.Document), "{") {
			t.Errorf("ManagedPolicy(%s) = %v, %.40s", arn, ok, p.Document)
		}
	}
}

// What was answered by one catalogue is not mixed with another's answers.
func TestUseComesBeforeTheFirstQuestion(t *testing.T) {
	first := Default()
	other, err := Open(embedded)
	if err != nil {
		t.Fatal(err)
	}
	if Use(other) || Default() != first {
		t.Error("the catalogue was changed after it had answered")
	}
	if !Use(first) {
		t.Error("the catalogue in effect was refused")
	}
}

func TestOpenRefusesOtherData(t *testing.T) {
	for name, data := range map[string][]byte{
		"empty":           nil,
		"text":            []byte("this is not a catalogue at all"),
		"cut off":         embedded[:len(embedded)/2],
		"another kind":    embeddedManaged,
		"a huge header":   append([]byte("BZC1"), 0xff, 0xff, 0xff, 0xff),
		"damaged content": flip(embedded),
	} {
		c, err := Open(data)
		if err == nil {
			err = c.Check()
		}
		if !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error %v, want one that wraps ErrFormat", name, err)
		}
	}
	if _, err := FromPackage([]byte("no gzip")); !errors.Is(err, ErrFormat) {
		t.Errorf("FromPackage: %v", err)
	}
}

func flip(b []byte) []byte {
	b = slices.Clone(b)
	for i := len(b) - 5000; i < len(b); i += 97 {
		b[i] ^= 0x5a
	}
	return b
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("BZC1\x00\x00\x00\x02{}"))
	f.Add(embedded[:4096])
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Open(data); err == nil {
			_ = c.Check()
			c.Matches("*")
			c.ConditionKey("aws:x")
		}
		if m, err := OpenManaged(data); err == nil {
			for _, arn := range m.ARNs() {
				m.Policy(arn)
			}
		}
		if _, err := decodeService(data); err != nil && !errors.Is(err, ErrFormat) {
			t.Error(err)
		}
	})
}

// The overlap of two patterns agrees with trying every short text.
func TestOverlapAgainstEnumeration(t *testing.T) {
	patterns := []string{"", "a", "b", "*", "?", "a*", "*a", "a?", "?b", "a*b", "*b*", "??", "ab", "b*a"}
	var texts []string
	for n := range 5 {
		for m := range 1 << n {
			b := make([]byte, n)
			for i := range b {
				b[i] = 'a' + byte(m>>i&1)
			}
			texts = append(texts, string(b))
		}
	}
	for _, p := range patterns {
		for _, q := range patterns {
			want := slices.ContainsFunc(texts, func(s string) bool { return glob.Match(p, s) && glob.Match(q, s) })
			if got := overlap(policyTokens(p), policyTokens(q)); got != want {
				t.Errorf("overlap(%q, %q) = %v, want %v", p, q, got, want)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if _, err := Open(embedded); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEC2(b *testing.B) {
	for b.Loop() {
		c, _ := Open(embedded)
		if _, ok := c.Service("ec2"); !ok {
			b.Fatal("no ec2")
		}
	}
}

func BenchmarkDecodeAll(b *testing.B) {
	for b.Loop() {
		c, _ := Open(embedded)
		if err := c.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestARNTypes(t *testing.T) {
	c := Default()
	for service, want := range map[string]bool{"s3": true, "IAM": true, "execute-api": true, "elasticfilesystem": true, "nothing": false} {
		types, ok := c.ARNTypes(service)
		if ok != want || (len(types) > 0) != want {
			t.Errorf("ARNTypes(%s) = %d types, %v; want known %v", service, len(types), ok, want)
		}
	}
}
