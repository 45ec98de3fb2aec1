package posture

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func ask(t *testing.T, question, policy string) string {
	t.Helper()
	doc, err := json.Marshal(map[string]string{"P": policy})
	if err != nil {
		t.Fatal(err)
	}
	return evaluate(t, question, testState(string(doc), nil))
}

func allow(rest string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` + rest + `}]}`
}

// What counts as public follows
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
func TestAllowsPublic(t *testing.T) {
	const get = `"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`
	for _, c := range []struct{ name, policy, want string }{
		{"everyone", allow(`"Principal":"*",` + get), "true"},
		{"everyone, written as AWS", allow(`"Principal":{"AWS":"*"},` + get), "true"},
		{"everyone among others", allow(`"Principal":{"AWS":["111122223333","*"]},` + get), "true"},
		{"everyone but one", allow(`"NotPrincipal":{"AWS":"111122223333"},` + get), "true"},
		{"one account", allow(`"Principal":{"AWS":"arn:aws:iam::444455556666:root"},` + get), "false"},
		{"a service", allow(`"Principal":{"Service":"cloudtrail.amazonaws.com"},` + get), "false"},
		{"the organization", allow(`"Principal":"*",` + get + `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), "false"},
		{"a key's case does not matter", allow(`"Principal":"*",` + get + `,"Condition":{"StringEquals":{"AWS:principalorgid":"o-a1b2c3d4e5"}}`), "false"},
		{"the organization, if the caller has one", allow(`"Principal":"*",` + get + `,"Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), "true"},
		{"all values of a key that may be missing", allow(`"Principal":"*",` + get + `,"Condition":{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), "true"},
		{"any organization", allow(`"Principal":"*",` + get + `,"Condition":{"StringLike":{"aws:PrincipalOrgID":"*"}}`), "true"},
		{"one of two, one of which is any", allow(`"Principal":"*",` + get + `,"Condition":{"StringLike":{"aws:PrincipalOrgID":["o-a1b2c3d4e5","o-*"]}}`), "false"},
		{"everyone but one organization", allow(`"Principal":"*",` + get + `,"Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), "true"},
		{"over TLS", allow(`"Principal":"*",` + get + `,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`), "true"},
		{"a referrer anyone can send", allow(`"Principal":"*",` + get + `,"Condition":{"StringLike":{"aws:Referer":"https://example.com/*"}}`), "true"},
		{"an office's addresses", allow(`"Principal":"*",` + get + `,"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`), "false"},
		{"half of all addresses", allow(`"Principal":"*",` + get + `,"Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","0.0.0.0/1"]}}`), "true"},
		{"a VPC endpoint", allow(`"Principal":"*",` + get + `,"Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1a2b3c4d"}}`), "false"},
		{"a distribution of one account", allow(`"Principal":"*",` + get + `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:cloudfront::111122223333:distribution/*"}}`), "false"},
		{"a topic of any account", allow(`"Principal":"*",` + get + `,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:alarms"}}`), "true"},
		{"a policy variable binds nobody", allow(`"Principal":"*",` + get + `,"Condition":{"StringEquals":{"aws:userid":"${aws:userid}"}}`), "true"},
		{"a Deny alone", `{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}}`, "false"},
		{"fenced off by a Deny to everyone outside", `{"Statement":[{"Effect":"Allow","Principal":"*",` + get + `},
			{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}}]}`, "false"},
		{"a fence around something else", `{"Statement":[{"Effect":"Allow","Principal":"*",` + get + `},
			{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}}]}`, "true"},
		{"a fence with a second gate", `{"Statement":[{"Effect":"Allow","Principal":"*",` + get + `},
			{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"},"NumericLessThan":{"s3:TlsVersion":"1.2"}}}]}`, "true"},
		{"no policy", "", "false"},
		{"no JSON", "{", `error`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ask(t, `policy.allowsPublic(resource.P)`, c.policy)
			if got != c.want && (c.want != "error" || !strings.HasPrefix(got, "error")) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if got := ask(t, `policy.allowsPublic(resource.P)`, url.QueryEscape(allow(`"Principal":"*",`+get))); got != "true" {
		t.Errorf("URL-encoded: got %s", got)
	}
	if got := evaluate(t, `policy.allowsPublic(resource.P)`, testState(`{"P":`+allow(`"Principal":"*",`+get)+`}`, nil)); got != "true" {
		t.Errorf("object: got %s", got)
	}
	if got := evaluate(t, `policy.allowsPublic(resource.P)`, testState(`{}`, nil)); got != "false" {
		t.Errorf("absent: got %s", got)
	}
}

func TestGrants(t *testing.T) {
	for _, c := range []struct{ name, question, policy, want string }{
		{"all of all", `policy.grantsAdmin(resource.P)`, allow(`"Action":"*","Resource":"*"`), "true"},
		{"written with a colon", `policy.grantsAdmin(resource.P)`, allow(`"Action":["s3:Get*","*:*"],"Resource":["*"]`), "true"},
		{"nothing excepted", `policy.grantsAdmin(resource.P)`, allow(`"NotAction":[],"Resource":"*"`), "true"},
		{"all of a service", `policy.grantsAdmin(resource.P)`, allow(`"Action":"s3:*","Resource":"*"`), "false"},
		{"all of some resources", `policy.grantsAdmin(resource.P)`, allow(`"Action":"*","Resource":"arn:aws:s3:::b/*"`), "false"},
		{"all but IAM", `policy.grantsAdmin(resource.P)`, allow(`"NotAction":"iam:*","Resource":"*"`), "false"},
		{"on a condition", `policy.grantsAdmin(resource.P)`, allow(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:RequestedRegion":"eu-west-1"}}`), "false"},
		{"denied again", `policy.grantsAdmin(resource.P)`, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*"}]}`, "false"},
		{"an action by wildcard", `policy.grants(resource.P, "iam:PassRole")`, allow(`"Action":"IAM:Pass*","Resource":"*"`), "true"},
		{"an action by exclusion", `policy.grants(resource.P, "iam:PassRole")`, allow(`"NotAction":["s3:*"],"Resource":"*"`), "true"},
		{"an excluded action", `policy.grants(resource.P, "iam:PassRole")`, allow(`"NotAction":["iam:*"],"Resource":"*"`), "false"},
		{"an action somewhere", `policy.allows(resource.P, "iam:CreateRole")`, allow(`"Action":"iam:CreateRole","Resource":"arn:aws:iam::111122223333:role/app/*"`), "true"},
		{"a guardrail", `policy.denies(resource.P, "organizations:LeaveOrganization")`, `{"Statement":[{"Effect":"Deny","Action":"organizations:Leave*","Resource":"*"}]}`, "true"},
		{"a guardrail with an exemption", `policy.denies(resource.P, "cloudtrail:StopLogging")`, `{"Statement":[{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/break-glass"}}}]}`, "true"},
		{"a guardrail on one role only", `policy.denies(resource.P, "cloudtrail:StopLogging")`, `{"Statement":[{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/dev"}}}]}`, "false"},
		{"a guardrail in one region only", `policy.denies(resource.P, "cloudtrail:StopLogging")`, `{"Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":"eu-west-1"}}}]}`, "false"},
		{"a guardrail on some resources", `policy.denies(resource.P, "cloudtrail:StopLogging")`, `{"Statement":[{"Effect":"Deny","Action":"cloudtrail:*","Resource":"arn:aws:cloudtrail:*:*:trail/org"}]}`, "false"},
		{"all but a list denied", `policy.denies(resource.P, "cloudtrail:StopLogging")`, `{"Statement":[{"Effect":"Deny","NotAction":["s3:*","ec2:*"],"Resource":"*"}]}`, "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, c.question, c.policy); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestRequiresTLS(t *testing.T) {
	const tail = `"Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}`
	for _, c := range []struct{ name, policy, want string }{
		{"as AWS shows it", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*",` + tail, "true"},
		{"reading only", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:GetObject",` + tail, "false"},
		{"for some only", `{"Statement":[{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"s3:*",` + tail, "false"},
		{"the wrong way round", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}`, "false"},
		{"and only from some addresses", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}]}`, "false"},
		{"an Allow does not keep others out", allow(`"Principal":"*","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}`), "false"},
		{"an old version of TLS refused", `{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"NumericLessThan":{"s3:TlsVersion":"1.2"}}}]}`, "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, `policy.requiresTLS(resource.P)`, c.policy); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	const github = `"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},"Action":"sts:AssumeRoleWithWebIdentity"`
	const subjects = `policy.webIdentitySubjects(resource.P, "token.actions.githubusercontent.com")`
	for _, c := range []struct{ name, question, policy, want string }{
		{"another account", `policy.accountsWithoutExternalId(resource.P)`, allow(`"Principal":{"AWS":["arn:aws:iam::444455556666:root","777788889999"]},"Action":"sts:AssumeRole"`), "value: 444455556666, 777788889999"},
		{"with an external id", `policy.accountsWithoutExternalId(resource.P)`, allow(`"Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"abc"}}`), "value: "},
		{"with any external id", `policy.accountsWithoutExternalId(resource.P)`, allow(`"Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"StringLike":{"sts:ExternalId":"*"}}`), "value: 444455556666"},
		{"people with MFA", `policy.accountsWithoutExternalId(resource.P)`, allow(`"Principal":{"AWS":"444455556666"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`), "value: "},
		{"services are no accounts", `policy.externalAccounts(resource.P)`, allow(`"Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"`), "value: "},
		{"one repository", subjects, allow(github + `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/app:*"}}`), "value: repo:acme/app:*"},
		{"no subject at all", subjects, allow(github + `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`), "value: *"},
		{"a subject that need not be there", subjects, allow(github + `,"Condition":{"StringLikeIfExists":{"token.actions.githubusercontent.com:sub":"repo:acme/app:*"}}`), "value: *"},
		{"an asterisk that StringEquals takes literally", subjects, allow(github + `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:*"}}`), `value: repo:\*`},
		{"bound by the repository's number", subjects, allow(github + `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:repository_id":"12345"}}`), "value: "},
		{"another provider", subjects, allow(`"Principal":{"Federated":"arn:aws:iam::111122223333:oidc-provider/gitlab.com"},"Action":"sts:AssumeRoleWithWebIdentity"`), "value: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, c.question, c.policy); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
