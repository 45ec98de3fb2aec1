package usage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
	"github.com/bartizan-security/bartizan/identity/usage"
)

func document(t *testing.T, layer identity.Layer, statements string) *identity.Document {
	t.Helper()
	d, err := identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`), layer, "p")
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return d
}

func get(bucket, key string) usage.Call {
	return usage.Call{Source: "s3.amazonaws.com", Name: "GetObject", Parameters: map[string]any{"bucketName": bucket, "key": key}}
}

// The rows are what was used, what the principal has, and what the new policy
// holds. It is never wider than what the principal has, and proven so.
func TestGenerate(t *testing.T) {
	many := []usage.Call{}
	for i := range 20 {
		many = append(many, get("b", fmt.Sprintf("logs/%d", i)))
	}
	for _, c := range []struct {
		rule  string
		calls []usage.Call
		own   string
		want  []string
		not   []string
		lost  int
	}{
		{"one object", []usage.Call{get("b", "k")}, `{"Effect":"Allow","Action":"*","Resource":"*"}`, []string{`"s3:GetObject"`, `"arn:aws:s3:::b/k"`}, []string{`"*"`}, 0},
		{"many objects have their common beginning", many, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, []string{`"arn:aws:s3:::b/logs/*"`}, []string{"logs/1"}, 0},
		{"a common beginning goes no further than what the principal has", many, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/logs/1*"}`, []string{`"arn:aws:s3:::b/logs/1*"`}, []string{"logs/*"}, 9},
		{"an event that does not say on what is limited by what the principal has", []usage.Call{{Source: "s3.amazonaws.com", Name: "GetObject"}}, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, []string{`"arn:aws:s3:::b/*"`}, []string{`"*"`}, 0},
		{"conditions stay", []usage.Call{get("b", "k")}, `{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}`, []string{"aws:SecureTransport"}, nil, 0},
		{"denies about it stay, others go", []usage.Call{get("b", "k")}, `{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Effect":"Deny","Action":"ec2:*","Resource":"*"}`, []string{`"Deny"`, "s3:*"}, []string{"ec2"}, 0},
		{"what came from a resource's policy is lost, and said", []usage.Call{get("b", "k")}, `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, []string{`"Statement": []`}, nil, 1},
		{"a denied call is no use", []usage.Call{{Source: "s3.amazonaws.com", Name: "GetObject", Denied: true}}, `{"Effect":"Allow","Action":"*","Resource":"*"}`, []string{`"Statement": []`}, nil, 0},
	} {
		u := usage.NewUse()
		for i := range c.calls {
			u.Add(&c.calls[i])
		}
		stack := &identity.Stack{Identity: []*identity.Document{document(t, identity.IdentityPolicy, c.own)}}
		l := usage.Generate(u, stack)
		text := l.Policy.String()
		if l.Wider.Verdict != prove.No {
			t.Errorf("%s: wider: %v %v %v\n%s", c.rule, l.Wider.Verdict, l.Wider.Reason, l.Wider.Witness, text)
		}
		if len(l.Lost) != c.lost {
			t.Errorf("%s: lost %v, want %d", c.rule, l.Lost, c.lost)
		}
		for _, w := range c.want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %s in %s", c.rule, w, text)
			}
		}
		for _, w := range c.not {
			if strings.Contains(text, w) {
				t.Errorf("%s: %s in %s", c.rule, w, text)
			}
		}
	}
}

func TestUnused(t *testing.T) {
	u := usage.NewUse()
	c := get("b", "k")
	u.Add(&c)
	u.Add(&usage.Call{Source: "signin.amazonaws.com", Name: "ConsoleLogin"})
	docs := []*identity.Document{document(t, identity.IdentityPolicy, `{"Effect":"Allow","Action":["s3:Get*","s3:PutObject","ec2:*"],"Resource":"*"}`)}
	var got []string
	for _, g := range u.Unused(docs) {
		got = append(got, g.Pattern)
	}
	if s := strings.Join(got, " "); s != "s3:PutObject ec2:*" {
		t.Errorf("unused: %s", s)
	}
	granted, used := u.Services(docs)
	if strings.Join(granted, " ") != "ec2 s3" || strings.Join(used, " ") != "s3" {
		t.Errorf("services %v, used %v", granted, used)
	}
	if u.Unknown["signin.amazonaws.com ConsoleLogin"] != 1 {
		t.Errorf("unknown %v", u.Unknown)
	}
}
