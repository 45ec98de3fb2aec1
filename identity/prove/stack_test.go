package prove_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

func layers(t *testing.T, resource, own, boundary, session string) prove.Side {
	t.Helper()
	compile := func(statements string, layer identity.Layer) []*identity.Document {
		if statements == "" {
			return nil
		}
		d, err := identity.ParseDocument([]byte(doc(statements)), layer, string(layer))
		if err != nil {
			t.Fatalf("%s: %v", statements, err)
		}
		return []*identity.Document{d}
	}
	return prove.Side{Stack: identity.Stack{
		Identity: compile(own, identity.IdentityPolicy), Boundaries: compile(boundary, identity.PermissionsBoundary), Session: compile(session, identity.SessionPolicy),
		Resource: compile(resource, identity.ResourcePolicy)[0],
	}}
}

// Each row: does the stack allow any request of the access, whoever but a root
// user asks, on a resource of the caller's or of another account?
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-eval-logic
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func TestResourcePolicyWithBoundaryAndSession(t *testing.T) {
	const (
		get      = `"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
		ec2Only  = `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`
		key      = "arn:aws:kms:eu-west-1:444455556666:key/k"
		decrypt  = `{"Effect":"Allow","Action":"kms:Decrypt","Resource":"` + key + `"}`
		keyFor   = `{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*","Principal":`
		bucketOf = "arn:aws:s3:::b/*"
	)
	noRoot, err := identity.ParseDocument([]byte(doc(`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalType":"Account"}}}`)), identity.ServiceControlPolicy, "no root user")
	if err != nil {
		t.Fatal(err)
	}
	to := func(principal string) string { return `{"Principal":{"AWS":"` + principal + `"},` + get + `}` }
	for _, c := range []struct {
		rule                             string
		resource, own, boundary, session string
		action, on                       string
		want                             prove.Verdict
	}{
		{"a user that is named needs no identity policy in its account", to("arn:aws:iam::444455556666:user/u"), ec2Only, "", "", "s3:GetObject", bucketOf, prove.Yes},
		{"nor does its boundary limit that", to("arn:aws:iam::444455556666:user/u"), ec2Only, ec2Only, "", "s3:GetObject", bucketOf, prove.Yes},
		{"a session that is named is not limited either", to("arn:aws:sts::444455556666:assumed-role/r/ci"), ec2Only, ec2Only, ec2Only, "s3:GetObject", bucketOf, prove.Yes},
		{"a role that is named needs no identity policy", to("arn:aws:iam::444455556666:role/r"), ec2Only, "", "", "s3:GetObject", bucketOf, prove.Yes},
		{"but its boundary limits its sessions", to("arn:aws:iam::444455556666:role/r"), ec2Only, ec2Only, "", "s3:GetObject", bucketOf, prove.No},
		{"and so does their session policy", to("arn:aws:iam::444455556666:role/r"), ec2Only, "", ec2Only, "s3:GetObject", bucketOf, prove.No},
		{"with both allowing, the role has it", to("arn:aws:iam::444455556666:role/r"), ec2Only, getAll, getAll, "s3:GetObject", bucketOf, prove.Yes},
		{"a federated user is limited by the session policy where the user is named", to("arn:aws:iam::444455556666:user/u"), ec2Only, "", ec2Only, "s3:GetObject", bucketOf, prove.No},
		{"an account that is named leaves it to its policies", to("444455556666"), ec2Only, "", "", "s3:GetObject", bucketOf, prove.No},
		{"which may allow it", to("444455556666"), getAll, getAll, "", "s3:GetObject", bucketOf, prove.Yes},
		{"a deny in the boundary holds for a user that is named", to("arn:aws:iam::444455556666:user/u"), ec2Only, `{"Effect":"Deny","Action":"s3:*","Resource":"*"}`, "", "s3:GetObject", bucketOf, prove.No},
		{"a key whose policy names nobody of the account gives its principals nothing", keyFor + `{"Service":"sns.amazonaws.com"},"Condition":{"StringEquals":{"aws:SourceAccount":"1"},"Null":{"aws:SourceAccount":"true"}}}`, decrypt, "", "", "kms:Decrypt", key, prove.No},
		{"one that names the account does", keyFor + `{"AWS":"444455556666"}}`, decrypt, "", "", "kms:Decrypt", key, prove.Yes},
	} {
		s := layers(t, c.resource, c.own, c.boundary, c.session)
		s.Stack.ServiceControl = [][]*identity.Document{{noRoot}}
		got := prove.Grants(s, prove.Access{Actions: []string{c.action}, Resources: []string{c.on}})
		if got.Verdict != c.want {
			t.Errorf("%s: %v, want %v; %+v %s", c.rule, got.Verdict, c.want, got.Witness, got.Reason)
		}
	}
}
