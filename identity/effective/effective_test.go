package effective_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/effective"
)

func doc(t *testing.T, layer identity.Layer, statements string) *identity.Document {
	t.Helper()
	d, err := identity.ParseDocument([]byte(`{"Version":"2012-10-17","Statement":[`+statements+`]}`), layer, "p")
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return d
}

// The rows are identity policy ∩ boundary ∩ service control policy = effective
// policy, each proven equal in both directions.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
func TestEffective(t *testing.T) {
	const all = `{"Effect":"Allow","Action":"*","Resource":"*"}`
	for _, c := range []struct {
		rule, identity, boundary, control string
		want                              []string // texts in the policy
		not                               []string
	}{
		{"only identity policies", `{"Effect":"Allow","Action":["s3:GetObject","s3:Get*"],"Resource":"*"}`, "", "", []string{`"s3:Get*"`}, []string{"GetObject"}},
		{"the boundary is narrower", all, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`, all, []string{`"s3:*"`, `arn:aws:s3:::b/*`}, nil},
		{"the identity policy is narrower", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, "", []string{`"s3:GetObject"`}, []string{"s3:*"}},
		{"nothing in common", `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`, "", []string{`"Statement": []`}, []string{"ec2"}},
		{"a deny of a control policy stays", all, "", all + `,{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*"}`, []string{`"Deny"`, "cloudtrail:*"}, nil},
		{"NotAction without the boundary's", `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, `{"Effect":"Allow","Action":["iam:*","s3:*"],"Resource":"*"}`, "", []string{`"s3:*"`}, []string{"iam:"}},
		{"conditions join", `{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["eu-west-1","us-east-1"]}}}`,
			`{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":["eu-west-1"]},"Bool":{"aws:SecureTransport":"true"}}}`, "", []string{"eu-west-1", "aws:SecureTransport"}, []string{"us-east-1"}},
		{"NotResource", `{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::secret/*"}`, all, "", []string{"NotResource"}, nil},
		{"a level of two control policies allows what either does", all, "", `{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Allow","Action":"sqs:*","Resource":"*"}`, []string{"s3:*", "sqs:*"}, nil},
	} {
		s := &identity.Stack{Identity: []*identity.Document{doc(t, identity.IdentityPolicy, c.identity)}}
		if c.boundary != "" {
			s.Boundaries = []*identity.Document{doc(t, identity.PermissionsBoundary, c.boundary)}
		}
		if c.control != "" {
			s.ServiceControl = [][]*identity.Document{{doc(t, identity.ServiceControlPolicy, c.control)}}
		}
		r := effective.Of(s)
		if !r.Exact() {
			t.Errorf("%s: not exact: wider %v %v %v, narrower %v %v %v, %v\n%s", c.rule, r.Wider.Verdict, r.Wider.Reason, r.Wider.Witness, r.Narrower.Verdict, r.Narrower.Reason, r.Narrower.Witness, r.Inexact, r.Policy)
		}
		text := r.Policy.String()
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

// What a policy cannot express is said, never left out in silence.
func TestInexact(t *testing.T) {
	s := &identity.Stack{
		Identity:   []*identity.Document{doc(t, identity.IdentityPolicy, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::a*"}`)},
		Boundaries: []*identity.Document{doc(t, identity.PermissionsBoundary, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::*b"}`)},
	}
	r := effective.Of(s)
	if r.Exact() || len(r.Inexact) != 1 {
		t.Errorf("exact %v, %v\n%s", r.Exact(), r.Inexact, r.Policy)
	}
}
