package derive_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// quoted is a text in JSON.
func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func document(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

// allow is a statement of a resource policy.
func allow(principal, condition string) string {
	return statement("Allow", `"Principal":`+principal, "s3:GetObject", condition)
}

func statement(effect, who, action, condition string) string {
	s := `{"Effect":"` + effect + `",` + who + `,"Action":"` + action + `","Resource":"*"`
	if condition != "" {
		s += `,"Condition":` + condition
	}
	return s + "}"
}

func aws(ids ...string) string {
	for i, id := range ids {
		if len(id) == 12 {
			id = "arn:aws:iam::" + id + ":root"
		}
		ids[i] = quoted(id)
	}
	return `{"AWS":[` + strings.Join(ids, ",") + `]}`
}

// Whom a policy lets in.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func TestLetIn(t *testing.T) {
	const anyone, ownOrg = `"*"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-acme123456"}}`
	for _, c := range []struct{ rule, policy, accounts, everyone string }{
		{"another account", document(allow(aws(stranger), "")), stranger, ""},
		{"the own account", document(allow(aws(own), "")), "", ""},
		{"another account as twelve digits", document(allow(`{"AWS":"`+stranger+`"}`, "")), stranger, ""},
		{"a role of another account", document(allow(aws("arn:aws:iam::"+stranger+":role/x"), "")), stranger, ""},
		{"a session of another account", document(allow(aws("arn:aws:sts::"+stranger+":assumed-role/r/s"), "")), stranger, ""},
		{"of another partition", document(allow(aws("arn:aws-cn:iam::"+stranger+":root"), "")), stranger, ""},
		{"both, in a list", document(allow(aws(own, stranger), "")), stranger, ""},
		{"both, in statements", document(allow(aws(own), ""), allow(aws(stranger), "")), stranger, ""},
		{"two others whose ids begin alike", document(allow(aws(own, "111199998888", other), "")), "111199998888 " + other, ""},
		{"one statement that is no list", `{"Statement":` + allow(aws(stranger), "") + `}`, stranger, ""},
		{"what is denied is not let in", document(statement("Deny", `"Principal":`+aws(stranger), "*", "")), "", ""},
		{"allowed and denied", document(allow(aws(stranger), ""), statement("Deny", `"Principal":`+aws(stranger), "*", "")), "", ""},
		{"a Deny of something else beside", document(allow(aws(stranger), ""), statement("Deny", `"Principal":"*"`, "s3:DeleteObject", "")), stranger, ""},
		{"a Deny of what is not encrypted beside", document(allow(aws(stranger), ""), statement("Deny", `"Principal":"*"`, "*", `{"Bool":{"aws:SecureTransport":"false"}}`)), stranger, ""},
		{"a Deny of all other accounts", document(allow(aws(stranger), ""), statement("Deny", `"Principal":"*"`, "*", `{"StringNotEquals":{"aws:PrincipalAccount":"`+own+`"}}`)), "", ""},
		{"a condition that takes it out again", document(allow(aws(stranger), `{"StringEquals":{"aws:PrincipalAccount":"`+own+`"}}`)), "", ""},
		{"a condition that it meets", document(allow(aws(stranger), `{"StringEquals":{"sts:ExternalId":"x"}}`)), stranger, ""},
		{"services are no accounts", document(allow(`{"Service":"lambda.amazonaws.com"}`, "")), "", ""},
		{"nor are unique ids", document(allow(`{"AWS":"AIDAEXAMPLE"}`, "")), "", ""},

		{"everyone", document(allow(anyone, "")), "", "true"},
		{"everyone of AWS", document(allow(`{"AWS":"*"}`, "")), "", "true"},
		{"everyone in a list", document(allow(aws(own, "*"), "")), "", "true"},
		{"everyone but one", document(statement("Allow", `"NotPrincipal":`+aws(own), "s3:GetObject", "")), "", "true"},
		{"nobody", document(statement("Deny", `"Principal":"*"`, "*", "")), "", ""},
		{"everyone of an organization", document(allow(anyone, ownOrg)), "", ""},
		{"everyone but those out of an organization", document(allow(anyone, ""), statement("Deny", `"Principal":"*"`, "*", `{"StringNotEquals":{"aws:PrincipalOrgID":"o-acme123456"}}`)), "", ""},
		{"everyone who has no organization, too", document(allow(anyone, `{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-acme123456"}}`)), "", "true"},
		{"everyone with a user agent", document(allow(anyone, `{"StringEquals":{"aws:UserAgent":"x"}}`)), "", "true"},
		{"everyone who comes encrypted", document(allow(anyone, `{"Bool":{"aws:SecureTransport":"true"}}`)), "", "true"},
		{"everyone from a network", document(allow(anyone, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)), "", ""},
		{"everyone from the internet", document(allow(anyone, `{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}`)), "", "true"},
		{"everyone not from a network", document(allow(anyone, `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)), "", "true"},
		{"everyone by an endpoint", document(allow(anyone, `{"StringEquals":{"aws:SourceVpce":"vpce-1"}}`)), "", ""},
		{"everyone of the own account", document(allow(anyone, `{"StringEquals":{"aws:PrincipalAccount":"`+own+`"}}`)), "", ""},
		{"a topic of the own account", document(allow(anyone, `{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:`+own+`:t"}}`)), "", ""},
		{"a condition that names another account", document(allow(anyone, `{"StringEquals":{"aws:PrincipalAccount":["`+own+`","`+stranger+`"]}}`)), stranger, ""},
		{"a condition that names a role of another account", document(allow(anyone, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::`+stranger+`:role/*"}}`)), stranger, ""},
		{"the key's caller", document(allow(anyone, `{"StringEquals":{"kms:CallerAccount":"`+own+`","kms:ViaService":"s3.eu-west-1.amazonaws.com"}}`)), "", ""},
		{"everyone by way of a service", document(allow(anyone, `{"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com"}}`)), "", "true"},
		{"one statement is narrow, the other is not", document(allow(anyone, ownOrg), allow(anyone, "")), "", "true"},
		{"a permission of an identity", document(`{"Effect":"Allow","Action":"*","Resource":"*"}`), "", ""},
	} {
		for kind, request := range map[string]string{
			"a text":         `{"policy":` + quoted(c.policy) + `}`,
			"an object":      `{"bucketPolicy":` + c.policy + `}`,
			"encoded":        `{"policyDocument":` + quoted(url.PathEscape(c.policy)) + `}`,
			"within others":  `{"input":{"list":[{"attributes":{"Policy":` + quoted("\n  "+c.policy) + `}}]}}`,
			"with the other": `{"policyName":"x","note":"{\"Statement\":\"no\"}","policyText":` + quoted(c.policy) + `}`,
		} {
			e := parse(t, call("s3", "PutBucketPolicy", request, ""))
			if got := get(e, "bartizan.policy.account"); got != c.accounts {
				t.Errorf("%s, %s: accounts %q, want %q", c.rule, kind, got, c.accounts)
			}
			if got := get(e, "bartizan.policy.everyone"); got != c.everyone {
				t.Errorf("%s, %s: everyone %q, want %q", c.rule, kind, got, c.everyone)
			}
		}
	}
}

// Where a policy is looked for, and calls that say in another way whom they let in.
func TestWhere(t *testing.T) {
	policy := document(allow(aws(stranger), ""))
	for _, c := range []struct {
		rule, source, name, request, response string
		accounts, everyone, actions           string
	}{
		{"in the answer, where the request has none", "x", "Y", `{"a":1}`, `{"policy":` + quoted(policy) + `}`, stranger, "", "s3:getobject"},
		{"the request before the answer", "x", "Y", `{"policy":` + quoted(document(allow(aws(own), ""))) + `}`, `{"policy":` + quoted(policy) + `}`, "", "", ""},
		{"cut off behind a statement", "x", "Y", `{"policy":` + quoted(policy[:len(policy)-2]) + `}`, "", stranger, "", "s3:getobject"},
		{"cut off within the next statement", "x", "Y", `{"policy":` + quoted(document(allow(aws(stranger), ""), allow(aws(other), ""))[:200]) + `}`, "", stranger, "", "s3:getobject"},
		{"no policy", "x", "Y", `{"policy":"Statement","other":"{\"Statement\":1}","third":"{\"Statement\""}`, "", "", "", ""},
		{"a queue", "sqs", "AddPermission", `{"aWSAccountIds":["` + stranger + `"],"actions":["SendMessage"],"label":"x"}`, "", stranger, "", "sqs:sendmessage"},
		{"a queue of the own account", "sqs", "AddPermission", `{"aWSAccountIds":["` + own + `"],"actions":["SendMessage"]}`, "", "", "", ""},
		{"a topic", "sns", "AddPermission", `{"aWSAccountId":["` + own + `","` + stranger + `"],"actionName":["Publish"]}`, "", stranger, "", "sns:publish"},
		{"a function", "lambda", "AddPermission20150331v2", `{"principal":"arn:aws:iam::` + stranger + `:root","action":"lambda:InvokeFunction"}`, "", stranger, "", "lambda:invokefunction"},
		{"a function for everyone", "lambda", "AddPermission20150331v2", `{"principal":"*","action":"lambda:InvokeFunction"}`, "", "", "true", ""},
		{"a function for the organization", "lambda", "AddPermission20150331v2", `{"principal":"*","principalOrgID":"o-acme123456","action":"lambda:InvokeFunction"}`, "", "", "", ""},
		{"a function for a service", "lambda", "AddPermission20150331v2", `{"principal":"s3.amazonaws.com","action":"lambda:InvokeFunction"}`, "", "", "", ""},
		{"a layer", "lambda", "AddLayerVersionPermission20181031", `{"principal":"` + stranger + `","action":"lambda:GetLayerVersion"}`, "", stranger, "", "lambda:getlayerversion"},
		{"a layer for the organization", "lambda", "AddLayerVersionPermission20181031", `{"principal":"*","organizationId":"o-acme123456","action":"lambda:GetLayerVersion"}`, "", "", "", ""},
		{"a bus", "events", "PutPermission", `{"principal":"` + stranger + `","action":"events:PutEvents"}`, "", stranger, "", "events:putevents"},
		{"a bus for the organization", "events", "PutPermission", `{"principal":"*","action":"events:PutEvents","condition":{"type":"StringEquals","key":"aws:PrincipalOrgID","value":"o-acme123456"}}`, "", "", "", ""},
		{"a grant of a key", "kms", "CreateGrant", `{"granteePrincipal":"arn:aws:iam::` + stranger + `:root","operations":["Decrypt"]}`, "", stranger, "", "kms:decrypt"},
		{"a grant to a role of the own account", "kms", "CreateGrant", `{"granteePrincipal":"arn:aws:iam::` + own + `:role/r","operations":["Decrypt"]}`, "", "", "", ""},
		{"another AddPermission", "x", "AddPermission", `{"principal":"` + stranger + `"}`, "", "", "", ""},
		{"no parameters", "lambda", "AddPermission", `null`, "", "", "", ""},
	} {
		e := parse(t, call(c.source, c.name, c.request, c.response))
		for field, want := range map[string]string{"account": c.accounts, "everyone": c.everyone, "account.action": c.actions} {
			if got := get(e, "bartizan.policy."+field); got != want {
				t.Errorf("%s: %s: %q, want %q", c.rule, field, got, want)
			}
		}
	}
}

func TestPrincipals(t *testing.T) {
	const provider = "arn:aws:iam::" + own + ":oidc-provider/token.actions.githubusercontent.com"
	web := func(condition string) string {
		return `{"Effect":"Allow","Principal":{"Federated":"` + provider + `"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":` + condition + `}`
	}
	trust := func(id, condition string) string {
		return `{"Effect":"Allow","Principal":` + aws(id) + `,"Action":"sts:AssumeRole"` + condition + `}`
	}
	for _, c := range []struct{ rule, field, policy, want string }{
		{"a canonical user", "canonicalUser", document(allow(`{"CanonicalUser":"79a5"}`, "")), "79a5"},
		{"one that is denied", "canonicalUser", document(statement("Deny", `"Principal":{"CanonicalUser":"79a5"}`, "*", "")), ""},
		{"a provider", "federated", document(web(`{}`)), provider},
		{"a provider without a condition on the subject", "federated.anyone", document(web(`{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`)), provider},
		{"any subject", "federated.anyone", document(web(`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*"}}`)), provider},
		{"subjects of one organization", "federated.anyone", document(web(`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}`)), ""},
		{"one of two statements is open", "federated.anyone", document(web(`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/*"}}`), web(`{"StringLike":{"token.actions.githubusercontent.com:sub":"*"}}`)), provider},
		{"a provider of one's own", "federated.anyone", strings.ReplaceAll(document(web(`{"StringEquals":{"x:aud":"y"}}`)), "token.actions.githubusercontent.com", "login.acme.example"), ""},
		{"no claim", "federated.anySubject", document(web(`{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`)), provider},
		{"a kind of subject", "federated.anySubject", document(web(`{"StringLike":{"token.actions.githubusercontent.com:sub":["repo:acme/app:*","repo:*"]}}`)), provider},
		{"one repository", "federated.anySubject", document(web(`{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:acme/app:*"}}`)), ""},
		{"another claim", "federated.anySubject", document(web(`{"StringEquals":{"token.actions.githubusercontent.com:repository_id":"123"}}`)), ""},
		{"any but one", "federated.anySubject", document(web(`{"StringNotLike":{"token.actions.githubusercontent.com:sub":"repo:acme/app:*"}}`)), provider},
		{"SAML", "federated.anySubject", document(`{"Effect":"Allow","Principal":{"Federated":"arn:aws:iam::` + own + `:saml-provider/x"},"Action":"sts:AssumeRoleWithSAML"}`), ""},
		{"no external id", "account.withoutExternalId", document(trust(stranger, "")), stranger},
		{"an external id", "account.withoutExternalId", document(trust(stranger, `,"Condition":{"StringEquals":{"sts:ExternalId":"x"}}`)), ""},
		{"an external id if there is one", "account.withoutExternalId", document(trust(stranger, `,"Condition":{"StringEqualsIfExists":{"sts:ExternalId":"x"}}`)), stranger},
		{"any external id", "account.withoutExternalId", document(trust(stranger, `,"Condition":{"StringLike":{"sts:ExternalId":"*"}}`)), stranger},
		{"any but one", "account.withoutExternalId", document(trust(stranger, `,"Condition":{"StringNotEquals":{"sts:ExternalId":"x"}}`)), stranger},
		{"one account with, one without", "account.withoutExternalId", document(trust(stranger, `,"Condition":{"StringEquals":{"sts:ExternalId":"x"}}`), trust(other, "")), other},
		{"only what foreign accounts are given", "account.action", document(allow(aws(own), ""), statement("Allow", `"Principal":`+aws(stranger), "s3:PutObject", "")), "s3:putobject"},
		{"everything but", "account.action", document(`{"Effect":"Allow","Principal":` + aws(stranger) + `,"NotAction":["s3:Put*"],"Resource":"*"}`), "not s3:put*"},
	} {
		e := parse(t, call("iam", "UpdateAssumeRolePolicy", `{"policyDocument":`+quoted(c.policy)+`}`, ""))
		if got := get(e, "bartizan.policy."+c.field); got != c.want {
			t.Errorf("%s: %s: %q, want %q", c.rule, c.field, got, c.want)
		}
	}
}

// What a policy of an identity allows.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html
func TestRights(t *testing.T) {
	give := func(effect, actions, resource, condition string) string {
		s := `{"Effect":"` + effect + `",` + actions + `,"Resource":` + resource
		if condition != "" {
			s += `,"Condition":` + condition
		}
		return s + "}"
	}
	all := func(actions string) string { return give("Allow", `"Action":`+actions, `"*"`, "") }
	// All of IAM is long: of it, this is shown.
	count := func(s string) string {
		if n := strings.Count(s, " "); n > 20 {
			return "most"
		}
		return s
	}
	for _, c := range []struct{ rule, policy, administrator, actions, iam string }{
		{"everything", document(all(`"*"`)), "true", "*", "most"},
		{"everything of every service", document(all(`["*:*"]`)), "true", "*:*", "most"},
		{"everything but nothing", document(give("Allow", `"NotAction":[]`, `"*"`, "")), "true", "", "most"},
		{"everything but what another statement gives", document(give("Allow", `"NotAction":["iam:*"]`, `"*"`, ""), all(`"IAM:*"`)), "true", "iam:* not iam:*", "most"},
		{"everything but something", document(give("Allow", `"NotAction":["iam:*"]`, `"*"`, ""), all(`"iam:Get*"`)), "", "iam:get* not iam:*", ""},
		{"on an ARN of wildcards", document(give("Allow", `"Action":"*"`, `["arn:aws:*:*:*:*"]`, "")), "true", "*", "most"},
		{"on one resource", document(give("Allow", `"Action":"*"`, `"arn:aws:s3:::b/*"`, "")), "", "", ""},
		{"on all but one resource", document(give("Allow", `"Action":"*"`, `"*"`, "")[:0] + `{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::b"}`), "true", "*", "most"},
		{"with MFA", document(give("Allow", `"Action":"*"`, `"*"`, `{"Bool":{"aws:MultiFactorAuthPresent":"true"}}`)), "true", "*", "most"},
		{"on resources with a tag", document(give("Allow", `"Action":"*"`, `"*"`, `{"StringEquals":{"aws:ResourceTag/team":"x"}}`)), "", "", ""},
		{"on resources without a tag", document(give("Allow", `"Action":"*"`, `"*"`, `{"StringNotEquals":{"aws:ResourceTag/team":"x"}}`)), "true", "*", "most"},
		{"within a boundary", document(give("Allow", `"Action":"*"`, `"*"`, `{"StringEquals":{"iam:PermissionsBoundary":"arn:aws:iam::1:policy/b"}}`)), "", "", ""},
		{"denied", document(give("Deny", `"Action":"*"`, `"*"`, "")), "", "", ""},
		{"all, and all denied", document(all(`"*"`), give("Deny", `"Action":"*"`, `"*"`, "")), "", "*", ""},
		{"all, and IAM denied", document(all(`"*"`), give("Deny", `"Action":"iam:*"`, `"*"`, "")), "", "*", ""},
		{"all, and something denied", document(all(`"*"`), give("Deny", `"Action":"iam:CreateUser"`, `"*"`, "")), "true", "*", "most"},
		{"all, and denied without MFA", document(all(`"*"`), give("Deny", `"Action":"*"`, `"*"`, `{"Bool":{"aws:MultiFactorAuthPresent":"false"}}`)), "true", "*", "most"},
		{"all of IAM", document(all(`["s3:Get*","iam:*"]`)), "", "iam:* s3:get*", "most"},
		{"some of IAM", document(all(`["iam:AttachUser*","iam:List*"]`)), "", "iam:attachuser* iam:list*", "iam:AttachUserPolicy"},
		{"wildcards in the middle", document(all(`"iam:*LoginProfile"`)), "", "iam:*loginprofile", "iam:CreateLoginProfile iam:DeleteLoginProfile iam:UpdateLoginProfile"},
		{"of all users", document(give("Allow", `"Action":"iam:PutUserPolicy"`, `"arn:aws:iam::*:user/*"`, "")), "", "", "iam:PutUserPolicy"},
		{"of some users", document(give("Allow", `"Action":"iam:PutUserPolicy"`, `"arn:aws:iam::*:user/app-*"`, "")), "", "", ""},
		{"given and denied", document(all(`["iam:PutUserPolicy","iam:PutRolePolicy"]`), give("Deny", `"Action":"iam:PutUser*"`, `"*"`, "")), "", "iam:putrolepolicy iam:putuserpolicy", "iam:PutRolePolicy"},
		{"read only", document(all(`["s3:Get*","iam:Get*"]`)), "", "iam:get* s3:get*", ""},
		{"a policy of a resource", document(allow(`"*"`, "")), "", "", ""},
	} {
		e := parse(t, call("iam", "PutUserPolicy", `{"policyDocument":`+quoted(c.policy)+`}`, ""))
		for field, want := range map[string]string{"administrator": c.administrator, "action": c.actions, "iam": c.iam} {
			if got := count(get(e, "bartizan.policy."+field)); got != want {
				t.Errorf("%s: %s: %q, want %q", c.rule, field, got, want)
			}
		}
	}
}

// Foreign accounts that a request names.
func TestRequest(t *testing.T) {
	for _, c := range []struct{ rule, request, want string }{
		{"another account", `{"targets":[{"id":"1","arn":"arn:aws:sqs:eu-west-1:` + stranger + `:q"},{"id":"2","arn":"arn:aws:sqs:eu-west-1:` + own + `:q"}]}`, stranger},
		{"the own account", `{"targets":[{"arn":"arn:aws:sqs:eu-west-1:` + own + `:q"}]}`, ""},
		{"an ARN without an account", `{"a":"arn:aws:s3:::b","b":"arn:aws:iam::aws:policy/x"}`, ""},
		{"a member for accounts", `{"rules":[{"destinations":[{"registryId":"` + stranger + `"},{"registryId":"` + own + `"}]}]}`, stranger},
		{"a list of principals", `{"principals":["` + own + `","` + other + `","arn:aws:iam::` + stranger + `:role/r","me"]}`, strings.Join([]string{min(stranger, other), max(stranger, other)}, " ")},
		{"an account that is no text", `{"accountId":["` + stranger[:11] + `",{"x":"` + stranger + `"}]}`, ""},
		{"an id that is no ARN", `{"a":"` + stranger + `","b":"see arn:aws:sqs:eu-west-1:` + stranger + `:q"}`, ""},
	} {
		e := parse(t, call("events", "PutTargets", c.request, ""))
		if got := get(e, "bartizan.request.account"); got != c.want {
			t.Errorf("%s: %q, want %q", c.rule, got, c.want)
		}
	}
}
