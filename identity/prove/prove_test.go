package prove_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

func side(t testing.TB, doc string) prove.Side {
	t.Helper()
	p, err := identity.ParsePolicy([]byte(doc))
	if err != nil {
		t.Fatalf("%s\n%v", doc, err)
	}
	s, err := prove.PolicySide(p)
	if err != nil {
		t.Fatalf("%s\n%v", doc, err)
	}
	return s
}

// doc wraps statements into a policy of the current version.
func doc(statements string) string {
	return `{"Version":"2012-10-17","Statement":[` + statements + `]}`
}

const (
	getB   = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`
	getAll = `{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}`
	anyB   = `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`
)

func when(condition string) string {
	return `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{` + condition + `}}`
}

func unless(condition string) string {
	return `{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*","Condition":{` + condition + `}}`
}

func public(principal, more string) string {
	return `{"Effect":"Allow","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"` + more + `}`
}

// Each row: does the second policy allow anything that the first does not?
func TestCompare(t *testing.T) {
	const no, yes = prove.No, prove.Yes
	for _, c := range []struct {
		rule     string
		old, new string
		want     prove.Verdict
	}{
		{"the same policy allows nothing new", getB, getB, no},
		{"an exact action lies within a wildcard", anyB, getB, no},
		{"a wildcard reaches actions that one name does not", getB, anyB, yes},
		{"all resources are more than those of one bucket", getB, getAll, yes},
		{"a prefix is narrower than its bucket", getB, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/p/*"}`, no},
		{"a question mark is one character, a star any number", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/?"}`, getB, yes},
		{"and the other way round", getB, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/?"}`, no},
		{"case does not matter in actions", getB, `{"Effect":"Allow","Action":"S3:getobject","Resource":"arn:aws:s3:::b/*"}`, no},
		{"case matters in resources", getB, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::B/*"}`, yes},
		{"two statements together cover a list", getB + `,{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::b/*"}`,
			`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::b/*"}`, no},
		{"a cross product is more than its diagonal",
			getB + `,{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::c/*"}`,
			`{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":["arn:aws:s3:::b/*","arn:aws:s3:::c/*"]}`, yes},
		{"a deny takes away", getB, anyB + `,{"Effect":"Deny","NotAction":"s3:GetObject","Resource":"*"}`, no},
		{"dropping a deny adds", getB + `,{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/secret/*"}`, getB, yes},
		{"a deny elsewhere changes nothing", getB + `,{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::c/*"}`, getB, no},
		{"NotAction is the complement", `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, `{"Effect":"Allow","Action":"ec2:*","Resource":"*"}`, no},
		{"NotAction leaves out only what it names", `{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, `{"Effect":"Allow","Action":["ec2:*","iam:GetUser"],"Resource":"*"}`, yes},
		{"NotResource is the complement", `{"Effect":"Allow","Action":"s3:GetObject","NotResource":"arn:aws:s3:::c/*"}`, getB, no},
		{"overlapping wildcards: a*b and *ab* differ", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::*ab*"}`,
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::a*b"}`, yes},
		{"an empty policy allows nothing", getB, `{"Effect":"Deny","Action":"*","Resource":"*"}`, no},
		{"a condition narrows", getB, when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), no},
		{"dropping a condition widens", when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), getB, yes},
		{"another value is another access", when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), when(`"StringEquals":{"aws:SourceVpc":["vpc-1","vpc-2"]}`), yes},
		{"like covers equals", when(`"StringLike":{"aws:SourceVpc":"vpc-*"}`), when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), no},
		{"IfExists also holds without the key", when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), when(`"StringEqualsIfExists":{"aws:SourceVpc":"vpc-1"}`), yes},
		{"a negated operator holds without the key", when(`"Null":{"aws:SourceVpc":"true"}`), when(`"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`), yes},
		{"Null true is within a negated operator", when(`"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`), when(`"Null":{"aws:SourceVpc":"true"}`), no},
		{"a network lies within a larger one", when(`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`), when(`"IpAddress":{"aws:SourceIp":["10.1.0.0/16","10.2.0.0/16"]}`), no},
		{"a larger network does not", when(`"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}`), when(`"IpAddress":{"aws:SourceIp":"10.0.0.0/15"}`), yes},
		{"two halves are the whole", when(`"IpAddress":{"aws:SourceIp":["10.0.0.0/9","10.128.0.0/9"]}`), when(`"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}`), no},
		{"a smaller bound is within", when(`"NumericLessThan":{"s3:max-keys":"100"}`), when(`"NumericLessThanEquals":{"s3:max-keys":"99"}`), no},
		{"at the border it is not", when(`"NumericLessThan":{"s3:max-keys":"100"}`), when(`"NumericLessThanEquals":{"s3:max-keys":"100"}`), yes},
		{"dates have an order", when(`"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}`), when(`"DateLessThan":{"aws:CurrentTime":"2026-06-30T00:00:00Z"}`), no},
		{"a later date is later", when(`"DateLessThan":{"aws:CurrentTime":"2026-06-30T00:00:00Z"}`), when(`"DateLessThan":{"aws:CurrentTime":"2027-01-01T00:00:00Z"}`), yes},
		{"true and false are all there is", when(`"Bool":{"aws:SecureTransport":["true","false"]}`), getB, no},
		{"without MFA is not with MFA", when(`"Bool":{"aws:MultiFactorAuthPresent":"true"}`), when(`"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}`), yes},
		{"a deny with IfExists leaves only MFA", when(`"Bool":{"aws:MultiFactorAuthPresent":"true"}`), getB + "," + unless(`"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}`), no},
		{"two keys are independent", when(`"StringEquals":{"aws:SourceVpc":"vpc-1","aws:PrincipalOrgID":"o-1"}`), when(`"StringEquals":{"aws:SourceVpc":"vpc-1"}`), yes},
		{"ForAllValues holds for no values", when(`"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`), when(`"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`), yes},
		{"all of a, and present, has some a", when(`"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`), when(`"ForAllValues:StringEquals":{"aws:TagKeys":"a"},"Null":{"aws:TagKeys":"false"}`), no},
		{"some a may come with b", when(`"ForAllValues:StringEquals":{"aws:TagKeys":"a"}`), when(`"ForAnyValue:StringEquals":{"aws:TagKeys":"a"}`), yes},
		{"ARNs match by segment", when(`"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}`), when(`"ArnEquals":{"aws:SourceArn":"arn:aws:sns:eu-west-1:111122223333:t"}`), no},
		{"a variable stays the same variable", `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"}`,
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/x/*"}`, no},
		{"a variable is one home, not all", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, getB, yes},
		{"every home lies in the bucket", getB, `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`, no},
		{"another variable is another home", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}/*"}`,
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/home}/*"}`, yes},
		{"a variable meets the resource of a deny that was dropped",
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/home}"},{"Effect":"Deny","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/red"}`,
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/home}"}`, yes},
		// "Policy variables with no value" of the page on variables: a negated operator holds.
		{"without the tag a negated operator holds", when(`"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"},"Null":{"aws:PrincipalTag/team":"false"}`),
			when(`"StringNotEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}`), yes},
		{"Null with ForAllValues is no condition", getB, when(`"ForAllValues:Null":{"aws:TagKeys":"true"}`), no},
		{"and drops none", when(`"ForAllValues:Null":{"aws:TagKeys":"true"}`), getB, no},
		{"the policy of 2008 has no variables", `{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}"}`,
			`{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/${aws:username}"}`, no},
		// Resource policies.
		{"everyone is more than one account", public(`{"AWS":"444455556666"}`, ``), public(`"*"`, ``), yes},
		{"an account includes its roles", public(`{"AWS":"444455556666"}`, ``), public(`{"AWS":"arn:aws:iam::444455556666:role/r"}`, ``), no},
		{"a role is not its account", public(`{"AWS":"arn:aws:iam::444455556666:role/r"}`, ``), public(`{"AWS":"arn:aws:iam::444455556666:root"}`, ``), yes},
		{"another role is another access", public(`{"AWS":"arn:aws:iam::444455556666:role/r"}`, ``), public(`{"AWS":["arn:aws:iam::444455556666:role/r","arn:aws:iam::444455556666:role/s"]}`, ``), yes},
		{"the organization's id narrows everyone", public(`"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), public(`{"AWS":"444455556666"}`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), no},
		{"everyone of the organization is more than an account", public(`{"AWS":"444455556666"}`, ``), public(`"*"`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`), yes},
		{"a principal by key is that account", public(`{"AWS":"444455556666"}`, ``), public(`{"AWS":"*"}`, `,"Condition":{"StringEquals":{"aws:PrincipalAccount":"444455556666"}}`), no},
		{"a service is not an account", public(`{"AWS":"444455556666"}`, ``), public(`{"Service":"sns.amazonaws.com"}`, ``), yes},
		{"two forms of one account are the same", public(`{"AWS":"444455556666"}`, ``), public(`{"AWS":"arn:aws:iam::444455556666:root"}`, ``), no},
		{"everyone in either form is the same", public(`"*"`, ``), public(`{"AWS":"*"}`, ``), no},
	} {
		old, next := doc(c.old), doc(c.new)
		if c.rule == "the policy of 2008 has no variables" {
			old = `{"Version":"2008-10-17","Statement":[` + c.old + `]}`
			next = old
		}
		got := prove.Compare(side(t, old), side(t, next))
		if got.Verdict != c.want {
			t.Errorf("%s: %v, want %v\n old %s\n new %s\n witness %+v reason %s", c.rule, got.Verdict, c.want, c.old, c.new, got.Witness, got.Reason)
		}
	}
}
