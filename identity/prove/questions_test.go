package prove_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/identity/prove"
)

// Each row: is the policy public, as the S3 user guide defines it?
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func TestPublic(t *testing.T) {
	for _, c := range []struct {
		rule, statements string
		want             prove.Verdict
	}{
		{"everyone, without a condition", public(`"*"`, ``), prove.Yes},
		{"every AWS account", public(`{"AWS":"*"}`, ``), prove.Yes},
		{"one account", public(`{"AWS":"444455556666"}`, ``), prove.No},
		{"a service", public(`{"Service":"cloudfront.amazonaws.com"}`, ``), prove.No},
		{"the organization", public(`"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), prove.No},
		{"the organization, if the key is there", public(`"*"`, `,"Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}`), prove.Yes},
		{"any organization", public(`"*"`, `,"Condition":{"StringLike":{"aws:PrincipalOrgID":"o-*"}}`), prove.Yes},
		{"a VPC endpoint", public(`"*"`, `,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`), prove.No},
		{"any VPC", public(`"*"`, `,"Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}`), prove.Yes},
		{"an office network", public(`"*"`, `,"Condition":{"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`), prove.No},
		{"the whole internet as a network", public(`"*"`, `,"Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`), prove.Yes},
		{"outside of a network", public(`"*"`, `,"Condition":{"NotIpAddress":{"aws:SourceIp":"198.51.100.0/24"}}`), prove.Yes},
		{"a referer, which anyone can send", public(`"*"`, `,"Condition":{"StringLike":{"aws:Referer":"https://example.com/*"}}`), prove.Yes},
		{"a principal by its ARN", public(`"*"`, `,"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::444455556666:role/*"}}`), prove.No},
		{"a deny for all but the organization", public(`"*"`, ``) + `,{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}}`, prove.No},
		{"TLS alone does not help", public(`"*"`, `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`), prove.Yes},
		{"a source account", public(`{"Service":"*"}`, `,"Condition":{"StringEquals":{"aws:SourceAccount":"111122223333"}}`), prove.No},
		{"a topic of the own account as source", public(`{"AWS":"*"}`, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}}`), prove.No},
		{"a topic of any account as source", public(`{"AWS":"*"}`, `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}`), prove.Yes},
		{"NotPrincipal of an allow is everyone else", `{"Effect":"Allow","NotPrincipal":{"AWS":"444455556666"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`, prove.Yes},
	} {
		if got := prove.Public(side(t, doc(c.statements))); got.Verdict != c.want {
			t.Errorf("%s: %v, want %v; witness %+v, reason %q\n%s", c.rule, got.Verdict, c.want, got.Witness, got.Reason, c.statements)
		}
	}
}

func TestGrants(t *testing.T) {
	for _, c := range []struct {
		rule, statements   string
		actions, resources []string
		want               prove.Verdict
	}{
		{"an action that is allowed", anyB, []string{"s3:DeleteObject"}, nil, prove.Yes},
		{"on another resource", anyB, []string{"s3:DeleteObject"}, []string{"arn:aws:s3:::c/*"}, prove.No},
		{"one of several is enough", getB, []string{"s3:DeleteObject", "s3:GetObject"}, nil, prove.Yes},
		{"an action pattern that overlaps", getB, []string{"*:Get*"}, nil, prove.Yes},
		{"a deny takes it away", anyB + `,{"Effect":"Deny","Action":"s3:Delete*","Resource":"*"}`, []string{"s3:DeleteObject"}, nil, prove.No},
		{"a deny under a condition leaves some", anyB + "," + unless(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), []string{"s3:GetObject"}, nil, prove.Yes},
		{"the policy's language is not the question's", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, []string{"s3:GetObject"}, []string{"arn:aws:s3:::b/p/k"}, prove.Yes},
	} {
		if got := prove.Grants(side(t, doc(c.statements)), prove.Access{Actions: c.actions, Resources: c.resources}); got.Verdict != c.want {
			t.Errorf("%s: %v, want %v; witness %+v, reason %q", c.rule, got.Verdict, c.want, got.Witness, got.Reason)
		}
	}
}

func TestAllows(t *testing.T) {
	for _, c := range []struct {
		rule, statements string
		want             prove.Verdict
	}{
		{"an ordinary policy allows something", getB, prove.Yes},
		{"a deny of everything leaves nothing", getB + `,{"Effect":"Deny","Action":"*","Resource":"*"}`, prove.No},
		{"conditions that exclude each other", when(`"StringEquals":{"aws:SourceVpc":"vpc-1"},"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`), prove.No},
		{"a number below and above", when(`"NumericLessThan":{"s3:max-keys":"5"},"NumericGreaterThan":{"s3:max-keys":"5"}`), prove.No},
	} {
		if got := prove.Allows(side(t, doc(c.statements))); got.Verdict != c.want {
			t.Errorf("%s: %v, want %v; witness %+v, reason %q", c.rule, got.Verdict, c.want, got.Witness, got.Reason)
		}
	}
}

// What the formulas do not express is unknown, with the reason.
func TestUnknown(t *testing.T) {
	for _, c := range []struct{ rule, statements, reason string }{
		{"a variable where true or false stands", when(`"Bool":{"aws:SecureTransport":"${aws:PrincipalTag/tls}"}`), "a policy variable in Bool of aws:SecureTransport is not part of the proof"},
		{"a canonical user", `{"Effect":"Deny","Principal":{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`, "a canonical user id stands for an account that only S3 knows"},
	} {
		if got := prove.Allows(side(t, doc(c.statements))); got.Verdict != prove.Unknown || got.Reason != c.reason {
			t.Errorf("%s: %v, reason %q; want unknown, %q", c.rule, got.Verdict, got.Reason, c.reason)
		}
	}
}
