package identity_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/identity"
)

// Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func TestParsePolicyTolerates(t *testing.T) {
	for name, in := range map[string]string{
		"a statement without its list":         `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}`,
		"no version":                           `{"Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":"*"}]}`,
		"elements in any order":                `{"Statement":[{"Resource":"*","Action":"*","Effect":"Deny","Sid":"x"}],"Id":"i","Version":"2008-10-17"}`,
		"everyone in two forms":                `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"},{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*"}]}`,
		"numbers and booleans in conditions":   `{"Statement":[{"Effect":"Allow","Action":"*","Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"s3:max-keys":[10,"20"]}}}]}`,
		"empty lists, which match nothing":     `{"Statement":[{"Effect":"Allow","Action":[],"Resource":[],"Condition":{}}]}`,
		"escapes in strings":                   `{"Statement":[{"Effect":"Allow","Action":"s3\u003aGet\u002a","Resource":"arn:aws:s3:::\ud83d\ude00\/x"}]}`,
		"no statements":                        `{"Version":"2012-10-17","Statement":[]}`,
		"NotAction, NotResource, NotPrincipal": `{"Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":["123456789012"]},"NotAction":"iam:*","NotResource":["a","b"]}]}`,
	} {
		p, err := identity.ParsePolicy([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// parse∘print is the identity.
		printed := p.String()
		again, err := identity.ParsePolicy([]byte(printed))
		if err != nil {
			t.Errorf("%s: printed as %s: %v", name, printed, err)
			continue
		}
		if d := cmp.Diff(p, again, ignoreNodes); d != "" {
			t.Errorf("%s: print and parse: %s", name, d)
		}
		if again.String() != printed {
			t.Errorf("%s: printing is not stable", name)
		}
	}
}

var ignoreNodes = cmp.FilterValues(func(x, y *identity.Node) bool { return true }, cmp.Ignore())

func TestParsePolicyRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{``, `1:1: unexpected end of the document`},
		{"{\n  \"Version\": \"2012-10-17\"\n  \"Statement\": []}", `3:3: unexpected '"'; want ',' or '}'`},
		{`{"Statement":[],}`, `1:17: unexpected '}'; want a key in double quotes`},
		{`{"Statement":[]} x`, `1:18: unexpected 'x' after the document`},
		{`{'Statement':[]}`, `1:2: unexpected '\''; want a key in double quotes`},
		{`[]`, `1:1: want an object with a Statement, not an array`},
		{`{}`, `1:1: the policy has no Statement`},
		{`{"statement":[]}`, `1:1: the policy has no Statement`},
		{`{"Version":"2012-10-18","Statement":[]}`, `1:12: Version: unknown version "2012-10-18"; want "2012-10-17" or "2008-10-17"`},
		{`{"Version":2012,"Statement":[]}`, `1:12: Version: want a string, not a number`},
		{"{\"Statement\":[\n{\"Effect\":\"allow\",\"Action\":\"*\"}]}", `2:11: Statement[0].Effect: unknown effect "allow"; want "Allow" or "Deny", in this case`},
		{`{"Statement":[{"Action":"*"}]}`, `1:15: Statement[0]: the statement has no Effect`},
		{`{"Statement":[{"Effect":"Deny"}]}`, `1:15: Statement[0]: the statement has neither Action nor NotAction`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","NotAction":"*"}]}`, `1:45: Statement[0].NotAction: a statement cannot have both Action and NotAction`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","Action":"a:b"}]}`, `1:45: Statement[0].Action: "Action" occurs twice`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","Condition":{"Bool":{"a:b":"true"},"Bool":{}}}]}`, `1:80: Statement[0].Condition.Bool: "Bool" occurs twice`},
		{`{"Statement":[{"Effect":"Deny","Actions":"*"}]}`, `1:15: Statement[0]: the statement has neither Action nor NotAction`},
		{`{"Statement":[{"Effect":"Deny","Action":["a:b",1]}]}`, `1:48: Statement[0].Action[1]: want a string, not a number`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","Principal":"arn:aws:iam::1:root"}]}`, `1:57: Statement[0].Principal: want "*" or an object such as {"AWS": "arn:aws:iam::1:root"}`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","Principal":{"Aws":"*"}}]}`, `1:58: Statement[0].Principal.Aws: unknown type of principal "Aws"; want AWS, Service, Federated or CanonicalUser`},
		{`{"Statement":[{"Effect":"Deny","Action":"*","Condition":{"StringEquals":{"aws:SourceVpc":["a",null]}}}]}`, `1:95: Statement[0].Condition.StringEquals["aws:SourceVpc"][1]: want a string, a number or a boolean, not null`},
		{"{\"Statement\":\"é\x01\"}", "1:16: control character U+0001 in a string; write it as an escape"},
		{"{\"Statement\":\"\xff\"}", "1:14: the string is not valid UTF-8"},
		{`{"Statement":"\ud83d"}`, `1:15: malformed \u escape`},
		{"\ufeff{}", "1:1: the document starts with a byte order mark; save it without one"},
		{strings.Repeat("[", 100000), "1:66: more than 64 nested arrays and objects"},
		{strings.Repeat(" ", identity.MaxPolicySize+1), "1:1: the document has 1048577 bytes; at most 1048576 are read"},
	} {
		p, err := identity.ParsePolicy([]byte(c.in))
		if err == nil || p != nil || !errors.Is(err, identity.ErrPolicy) {
			t.Errorf("%.60s: parsed as %v, error %v", c.in, p, err)
		} else if err.Error() != c.want {
			t.Errorf("%.60s:\n got %s\nwant %s", c.in, err, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	p, err := identity.ParsePolicy([]byte(`{
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "Ünïcode", "Effect": "Allow",
    "Principal": {"AWS": ["111122223333", "444455556666"]},
    "Action": "s3:GetObject",
    "Condition": {"StringEquals": {"aws:SourceVpc": ["vpc-1", "vpc-2"], "aws:PrincipalTag/a\"b": "x"}}
  }]
}`))
	if err != nil {
		t.Fatal(err)
	}
	s := p.Statements[0]
	keys := s.Conditions[0].Keys
	for _, c := range []struct{ got, want string }{
		{s.Pos().String() + " " + s.Path(), "3:17 Statement[0]"},
		{s.Sid.Pos().String() + " " + s.Sid.Path(), "4:12 Statement[0].Sid"},
		{s.Node.Member("Effect").KeyPos.String(), "4:23"}, // columns count characters
		{s.Principal.Entries[0].Values[1].Pos().String() + " " + s.Principal.Entries[0].Values[1].Path(), "5:43 Statement[0].Principal.AWS[1]"},
		{s.Conditions[0].Node.KeyPos.String(), "7:19"},
		{keys[0].Values[1].Path(), `Statement[0].Condition.StringEquals["aws:SourceVpc"][1]`},
		{keys[1].Path(), `Statement[0].Condition.StringEquals["aws:PrincipalTag/a\"b"]`},
		{s.Action.Values[0].Node.End.String(), "6:29"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestParseLenientGoesOn(t *testing.T) {
	p, problems := identity.ParseLenient([]byte(`{"Version":"1","Statement":[{"Effect":"Permit","Action":"s3:*","Resurce":"*"},7,{"Sid":1,"Effect":"Deny","Action":{}}]}`))
	var got []string
	for _, x := range problems {
		got = append(got, string(x.Kind)+" "+x.Path)
	}
	want := []string{"InvalidVersion Version", "InvalidEffect Statement[0].Effect", "UnknownElement Statement[0].Resurce", "WrongType Statement[1]", "WrongType Statement[2].Sid", "WrongType Statement[2].Action"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(p.Statements) != 2 || p.Statements[0].Effect != "Permit" || p.Statements[1].Index != 2 {
		t.Errorf("statements: %v", p.Statements)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:*","Resource":["*"],"Condition":{"Bool":{"a":[true,1e5]}}}]}`))
	f.Add([]byte(`{"Statement":{"Sid":"\u00e9\n","Effect":"Deny","NotAction":[],"NotResource":"a"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := identity.ParsePolicy(data)
		if err != nil {
			var s *identity.SyntaxError
			if !errors.As(err, &s) || !s.Pos.IsValid() {
				t.Fatalf("error without a place: %v", err)
			}
			return
		}
		again, err := identity.ParsePolicy([]byte(p.String()))
		if err != nil {
			t.Fatalf("print of %q cannot be read: %v", data, err)
		}
		if d := cmp.Diff(p, again, ignoreNodes); d != "" {
			t.Fatal(d)
		}
	})
}
