package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// policy wraps statements of the current version.
func policy(statements ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",") + `]}`
}

func allow(rest string) string { return `{"Effect":"Allow",` + rest + `}` }
func deny(rest string) string  { return `{"Effect":"Deny",` + rest + `}` }

// when is an identity policy whose only statement has the condition.
func when(action, condition string) string {
	return policy(allow(`"Action":` + action + `,"Resource":"*","Condition":` + condition))
}

// on is an identity policy for one resource.
func on(action, resource string) string {
	return policy(allow(`"Action":"` + action + `","Resource":"` + resource + `"`))
}

// bucket is a bucket policy statement for one principal.
func bucket(principal, rest string) string {
	return policy(allow(`"Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::logs/*"` + rest))
}

// trusts is a role trust policy.
func trusts(principal, action, rest string) string {
	return policy(allow(`"Principal":` + principal + `,"Action":` + action + rest))
}

const (
	account   = `{"AWS":"123456789012"}`
	provider1 = `{"Federated":"arn:aws:iam::123456789012:oidc-provider/oidc.example.com"}`
	gitHub    = `{"Federated":"arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}`
)

func codes(fs []Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Each check has a policy that it fires on, alone unless the row says what else
// fires, and a near miss that is clean.
var rows = []struct {
	code     string
	kind     Kind
	resource string
	hit      string
	also     string // further codes on hit
	miss     string
	missAlso string
	extra    bool
}{
	// The document.
	{code: "JSON_SYNTAX_ERROR", hit: `{"Version":"2012-10-17",}`, miss: on("s3:GetObject", "*")},
	{code: "JSON_SYNTAX_ERROR", hit: policy(allow(`"Action":"s3:GetObject","Resource":"*","Resource":"*"`)), miss: on("s3:GetObject", "*")},
	{code: "DATA_TYPE_MISMATCH", hit: `[]`, miss: on("s3:GetObject", "*")},
	{code: "DATA_TYPE_MISMATCH", hit: policy(`{"Effect":"Allow","Action":["s3:GetObject",3],"Resource":"*"}`), miss: on("s3:GetObject", "*")},
	{code: "DATA_TYPE_MISMATCH", hit: when(`"s3:GetObject"`, `[]`), miss: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":true}}`)},
	{code: "INVALID_POLICY_ELEMENT", hit: policy(allow(`"Action":"s3:GetObject","Resource":"*","Conditions":{}`)), miss: policy(allow(`"Sid":"A1","Action":"s3:GetObject","Resource":"*"`))},
	{code: "INVALID_POLICY_ELEMENT", hit: `{"Version":"2012-10-17","Name":"x","Statement":[` + allow(`"Action":"s3:GetObject","Resource":"*"`) + `]}`, miss: `{"Version":"2012-10-17","Id":"x","Statement":[` + allow(`"Action":"s3:GetObject","Resource":"*"`) + `]}`},
	{code: "INVALID_VERSION", hit: `{"Version":"2012-10-18","Statement":[` + allow(`"Action":"s3:GetObject","Resource":"*"`) + `]}`, miss: `{"Version":"2008-10-17","Statement":[` + allow(`"Action":"s3:GetObject","Resource":"*"`) + `]}`},
	{code: "MISSING_VERSION", hit: `{"Statement":[` + allow(`"Action":"s3:GetObject","Resource":"*"`) + `]}`, miss: on("s3:GetObject", "*")},
	{code: "MISSING_STATEMENT", hit: `{"Version":"2012-10-17"}`, miss: on("s3:GetObject", "*")},
	{code: "MISSING_STATEMENT", hit: policy(), miss: on("s3:GetObject", "*")},
	{code: "MISSING_EFFECT", hit: policy(`{"Action":"s3:GetObject","Resource":"*"}`), miss: on("s3:GetObject", "*")},
	{code: "INVALID_EFFECT", hit: policy(`{"Effect":"allow","Action":"s3:GetObject","Resource":"*"}`), miss: on("s3:GetObject", "*")},
	{code: "MISSING_ACTION", hit: policy(allow(`"Resource":"*"`)), miss: policy(deny(`"NotAction":"s3:GetObject","Resource":"*"`))},
	{code: "MISSING_RESOURCE", hit: policy(allow(`"Action":"s3:GetObject"`)), miss: policy(allow(`"Action":"s3:GetObject","NotResource":"arn:aws:s3:::logs/*"`))},
	{code: "MISSING_RESOURCE", kind: Resource, hit: policy(allow(`"Principal":` + account + `,"Action":"s3:GetObject"`)), miss: bucket(account, "")},
	{code: "MISSING_PRINCIPAL", kind: Resource, hit: on("s3:GetObject", "arn:aws:s3:::logs/*"), miss: bucket(account, "")},
	{code: "MISSING_PRINCIPAL", kind: Trust, hit: policy(allow(`"Action":"sts:AssumeRole"`)), miss: trusts(account, `"sts:AssumeRole"`, "")},
	{code: "UNSUPPORTED_PRINCIPAL", hit: bucket(account, ""), miss: on("s3:GetObject", "arn:aws:s3:::logs/*")},
	{code: "UNSUPPORTED_PRINCIPAL", kind: Boundary, hit: bucket(account, ""), miss: on("s3:GetObject", "arn:aws:s3:::logs/*")},
	{code: "UNSUPPORTED_ELEMENT_COMBINATION", hit: policy(allow(`"Action":"s3:GetObject","NotAction":"s3:PutObject","Resource":"*"`)), miss: on("s3:GetObject", "*")},
	{code: "UNIQUE_SIDS_REQUIRED", hit: policy(allow(`"Sid":"A","Action":"s3:GetObject","Resource":"*"`), allow(`"Sid":"A","Action":"s3:PutObject","Resource":"*"`)), miss: policy(allow(`"Sid":"A","Action":"s3:GetObject","Resource":"*"`), allow(`"Sid":"a","Action":"s3:PutObject","Resource":"*"`))},
	{code: "UNIQUE_SIDS_RECOMMENDED", kind: Resource, hit: policy(allow(`"Sid":"A","Principal":`+account+`,"Action":"s3:GetObject","Resource":"arn:aws:s3:::l/*"`), allow(`"Sid":"A","Principal":`+account+`,"Action":"s3:PutObject","Resource":"arn:aws:s3:::l/*"`)), miss: bucket(account, `,"Sid":"A"`)},
	{code: "UNSUPPORTED_SID", hit: policy(allow(`"Sid":"A b","Action":"s3:GetObject","Resource":"*"`)), miss: policy(allow(`"Sid":"Ab1","Action":"s3:GetObject","Resource":"*"`))},
	{code: "UNSUPPORTED_SID", kind: Trust, hit: trusts(account, `"sts:AssumeRole"`, `,"Sid":"a-b"`), miss: trusts(account, `"sts:AssumeRole"`, `,"Sid":"ab"`)},
	{code: "EMPTY_SID_VALUE", hit: policy(allow(`"Sid":"","Action":"s3:GetObject","Resource":"*"`)), miss: policy(allow(`"Sid":"0","Action":"s3:GetObject","Resource":"*"`))},
	{code: "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA", hit: on("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("a", 6100)), miss: on("s3:GetObject", "arn:aws:s3:::"+strings.Repeat("a", 5900)) + strings.Repeat(" ", 500)},
	{code: "POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA", kind: Resource, hit: bucket(account, "") + strings.Repeat(" ", 20480), miss: bucket(account, "") + strings.Repeat(" ", 20000)},
	{code: "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA", kind: Trust, hit: trusts(account, `"sts:AssumeRole"`, `,"Sid":"`+strings.Repeat("a", 2048)+`"`), miss: trusts(account, `"sts:AssumeRole"`, "") + strings.Repeat(" ", 2048)},
	{code: "POLICY_SIZE_EXCEEDS_SCP_QUOTA", kind: SCP, hit: on("s3:GetObject", "*") + strings.Repeat(" ", 10240), miss: on("s3:GetObject", "*") + strings.Repeat(" ", 10000)},
	{code: "POLICY_SIZE_EXCEEDS_RCP_QUOTA", kind: RCP, hit: rcp("") + strings.Repeat(" ", 5120), miss: rcp("") + strings.Repeat(" ", 4800)},

	// Actions.
	{code: "INVALID_ACTION", hit: on("s3:GetObjct", "*"), miss: on("S3:getobject", "*")},
	{code: "INVALID_ACTION", hit: on("s3:Gett*", "*"), miss: on("s3:Get*", "*")},
	{code: "INVALID_ACTION", hit: on("GetObject", "*"), miss: on("s3:GetObject", "*")},
	{code: "INVALID_SERVICE_IN_ACTION", hit: on("s33:GetObject", "*"), miss: on("s3:GetObject", "*")},
	{code: "INVALID_SERVICE_IN_ACTION", hit: on("nothing:*", "*"), miss: on("s3:*", "*")},
	{code: "WILDCARD_IN_SERVICE_NAME", hit: on("s3*:GetObject", "*"), miss: on("s3:GetO*", "*")},
	{code: "WILDCARD_IN_SERVICE_NAME", hit: on("s3:GetObject", "arn:aws:*code*::111122223333:*"), miss: on("s3:GetObject", "arn:aws:s3:::*")},
	{code: "EMPTY_ARRAY_ACTION", hit: policy(allow(`"Action":[],"Resource":"*"`)), miss: policy(allow(`"Action":["s3:GetObject"],"Resource":"*"`))},
	{code: "REDUNDANT_ACTION", hit: policy(allow(`"Action":["iam:Get*","iam:List*","iam:GetCredentialReport"],"Resource":"*"`)), miss: policy(allow(`"Action":["iam:Get*","iam:List*","iam:*CredentialReport"],"Resource":"*"`))},
	{code: "REDUNDANT_ACTION", hit: policy(allow(`"Action":["s3:GetObject","s3:getobject"],"Resource":"*"`)), miss: policy(allow(`"Action":["s3:GetObject","s3:GetObjectAcl"],"Resource":"*"`))},
	{code: "VARIABLE_UNSUPPORTED_IN_ELEMENT", hit: on("s3:${aws:username}", "*"), miss: on("s3:GetObject", "arn:aws:s3:::${aws:username}/*")},
	{code: "SCP_SYNTAX_ERROR_ACTION_WILDCARD", kind: SCP, hit: policy(deny(`"Action":"s3:Get*Object","Resource":"*"`)), miss: policy(deny(`"Action":"s3:Get*","Resource":"*"`))},
	{code: "SCP_SYNTAX_ERROR_PRINCIPAL", kind: SCP, hit: policy(deny(`"Principal":"*","Action":"s3:Get*","Resource":"*"`)), miss: policy(deny(`"Action":"s3:Get*","Resource":"*"`))},

	// Resources.
	{code: "INVALID_ARN_PREFIX", hit: on("s3:GetObject", "logs/*"), miss: on("s3:GetObject", "arn:aws:s3:::logs/*")},
	{code: "MISSING_ARN_FIELD", hit: on("s3:GetObject", "arn:aws:s3:logs"), miss: on("s3:GetObject", "arn:aws:s3:::logs")},
	{code: "INVALID_PARTITION", hit: on("s3:GetObject", "arn:amazon:s3:::logs/*"), miss: on("s3:GetObject", "arn:aws-us-gov:s3:::logs/*")},
	{code: "INVALID_ARN_SERVICE_CASE", hit: on("s3:GetObject", "arn:aws:S3:::logs/*"), miss: on("s3:GetObject", "arn:aws:s3:::LOGS/*")},
	{code: "INVALID_SERVICE", hit: on("s3:GetObject", "arn:aws:s33:::logs/*"), miss: on("execute-api:Invoke", "arn:aws:execute-api:us-east-1:123456789012:api/stage/GET/x")},
	{code: "INVALID_SERVICE", hit: when(`"s3:GetObject"`, `{"StringEquals":{"nothing:key":"x"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/team":"x"}}`)},
	{code: "ARN_REGION_NOT_ALLOWED", hit: on("iam:GetRole", "arn:aws:iam:us-east-1:123456789012:role/x"), miss: on("iam:GetRole", "arn:aws:iam::123456789012:role/x")},
	{code: "ARN_ACCOUNT_NOT_ALLOWED", hit: on("s3:ListBucket", "arn:aws:s3::123456789012:logs"), miss: on("s3:ListBucket", "arn:aws:s3:::logs")},
	{code: "INVALID_ARN_REGION", hit: on("sqs:SendMessage", "arn:aws:sqs:us-east-9:123456789012:q"), miss: on("sqs:SendMessage", "arn:aws:sqs:us-*:123456789012:q")},
	{code: "INVALID_ARN_REGION", hit: on("sqs:SendMessage", "arn:aws-cn:sqs:us-east-1:123456789012:q"), miss: on("sqs:SendMessage", "arn:aws-cn:sqs:cn-north-1:123456789012:q")},
	{code: "INVALID_ARN_ACCOUNT", hit: on("sqs:SendMessage", "arn:aws:sqs:us-east-1:1234:q"), miss: on("sqs:SendMessage", "arn:aws:sqs:us-east-1:*:q")},
	{code: "INVALID_ARN_RESOURCE", hit: on("iam:GetRole", "arn:aws:iam::123456789012:roles/x"), miss: on("iam:GetRole", "arn:aws:iam::123456789012:role/a/b")},
	{code: "MISSING_ARN_REGION", hit: on("sqs:SendMessage", "arn:aws:sqs::123456789012:q"), miss: on("sqs:SendMessage", "arn:aws:sqs:*:123456789012:q")},
	{code: "MISSING_ARN_ACCOUNT", hit: on("sqs:SendMessage", "arn:aws:sqs:us-east-1::q"), miss: on("ec2:RunInstances", "arn:aws:ec2:us-east-1::image/ami-0123456789abcdef0")},
	{code: "EMPTY_ARRAY_RESOURCE", hit: policy(allow(`"Action":"s3:GetObject","Resource":[]`)), miss: policy(allow(`"Action":"s3:GetObject","Resource":["*"]`))},
	{code: "REDUNDANT_RESOURCE", hit: policy(allow(`"Action":"iam:GetRole","Resource":["arn:aws:iam::111122223333:role/jane-admin","arn:aws:iam::111122223333:role/jane*"]`)), miss: policy(allow(`"Action":"s3:*","Resource":["arn:aws:s3:::logs","arn:aws:s3:::logs/*"]`))},

	// Policy variables.
	{code: "MISSING_BRACE_IN_VARIABLE", hit: on("s3:GetObject", "arn:aws:s3:::${aws:username/*"), miss: on("s3:GetObject", "arn:aws:s3:::${aws:username}/*")},
	{code: "EMPTY_VARIABLE", hit: on("s3:GetObject", "arn:aws:s3:::${}/*"), miss: on("s3:GetObject", "arn:aws:s3:::${$}/*")},
	{code: "UNSUPPORTED_SPACE_IN_VARIABLE", hit: on("s3:GetObject", "arn:aws:s3:::${aws: username}/*"), miss: on("s3:GetObject", "arn:aws:s3:::${aws:PrincipalTag/t, 'a b'}/*")},
	{code: "MISSING_QUOTE_IN_VARIABLE", hit: on("s3:GetObject", "arn:aws:s3:::${aws:PrincipalTag/t, 'x}/*"), miss: on("s3:GetObject", "arn:aws:s3:::${aws:PrincipalTag/t, 'x'}/*")},
	{code: "VARIABLE_UNSUPPORTED_IN_VERSION", hit: `{"Version":"2008-10-17","Statement":[` + allow(`"Action":"s3:GetObject","Resource":"arn:aws:s3:::${aws:username}/*"`) + `]}`, miss: on("s3:GetObject", "arn:aws:s3:::${aws:username}/*")},
	{code: "INVALID_VARIABLE_FOR_OPERATOR", hit: when(`"s3:GetObject"`, `{"NumericEquals":{"aws:MultiFactorAuthAge":"${aws:PrincipalTag/a}"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/b":"${aws:PrincipalTag/a}"}}`)},

	// Principals.
	{code: "INVALID_PRINCIPAL_FORMAT", kind: Resource, hit: bucket(`"123456789012"`, ""), miss: bucket(`"*"`, "")},
	{code: "INVALID_PRINCIPAL_KEY", kind: Resource, hit: bucket(`{"Aws":"123456789012"}`, ""), miss: bucket(`{"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}`, "")},
	{code: "EMPTY_OBJECT_PRINCIPAL", kind: Resource, hit: bucket(`{}`, ""), miss: bucket(account, "")},
	{code: "EMPTY_ARRAY_PRINCIPAL", kind: Resource, hit: bucket(`{"AWS":[]}`, ""), miss: bucket(`{"AWS":["*"]}`, "")},
	{code: "UNSUPPORTED_WILDCARD_IN_PRINCIPAL", kind: Resource, hit: bucket(`{"AWS":"arn:aws:iam::123456789012:role/*"}`, ""), miss: bucket(`{"AWS":"*"}`, "")},
	{code: "UNSUPPORTED_WILDCARD_IN_PRINCIPAL", kind: Trust, hit: trusts(`{"Service":"*"}`, `"sts:AssumeRole"`, ""), miss: trusts(`{"AWS":"*"}`, `"sts:AssumeRole"`, "")},
	{code: "INVALID_USER_REFERENCE", kind: Resource, hit: bucket(`{"AWS":"AIDAIOSFODNN7EXAMPLE1"}`, ""), miss: bucket(`{"AWS":"arn:aws:iam::123456789012:user/AIDA"}`, "")},
	{code: "INVALID_ROLE_REFERENCE", kind: Resource, hit: bucket(`{"AWS":"AROAIOSFODNN7EXAMPLE1"}`, ""), miss: bucket(`{"AWS":"arn:aws:iam::123456789012:role/AROA"}`, "")},
	{code: "ALLOW_WITH_NOT_PRINCIPAL", kind: Resource, hit: policy(allow(`"NotPrincipal":` + account + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::l/*"`)), miss: policy(deny(`"NotPrincipal":` + account + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::l/*"`))},
	{code: "FEDERATED_PRINCIPAL_NOT_SUPPORTED", kind: Resource, hit: bucket(provider1, ""), miss: bucket(account, "")},
	{code: "INVALID_SERVICE_PRINCIPAL_FORMAT", kind: Trust, hit: trusts(`{"Service":"lambda"}`, `"sts:AssumeRole"`, ""), miss: trusts(`{"Service":"lambda.amazonaws.com"}`, `"sts:AssumeRole"`, "")},
	{code: "INVALID_SERVICE_PRINCIPAL_FORMAT", hit: when(`"iam:PassRole"`, `{"StringEquals":{"iam:PassedToService":"ec2"}}`), miss: when(`"iam:PassRole"`, `{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`)},
	{code: "INVALID_SERVICE_PRINCIPAL_FORMAT", hit: when(`"kms:Decrypt"`, `{"StringEquals":{"kms:ViaService":"s3.amazonaws.com"}}`), miss: when(`"kms:Decrypt"`, `{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}}`)},
	{code: "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", kind: Resource, hit: bucket(`{"Service":"cloudtrail.amazonaws.com"}`, ""), miss: bucket(`{"Service":"cloudtrail.amazonaws.com"}`, `,"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}`)},
	{code: "RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", kind: Resource, hit: bucket(`{"Service":"ses.amazonaws.com"}`, `,"Condition":{"StringEquals":{"aws:Referer":"123456789012"}}`), miss: bucket(`{"Service":"ses.amazonaws.com"}`, `,"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}`)},
	{code: "UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", kind: Resource, hit: bucket(`{"Service":"cloudfront.amazonaws.com"}`, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5","aws:SourceAccount":"123456789012"}}`), miss: bucket(account, `,"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`)},

	// The resource that the policy is attached to.
	{code: "UNSUPPORTED_ACTION_IN_POLICY", kind: Resource, resource: S3Bucket, hit: policy(allow(`"Principal":` + account + `,"Action":["s3:GetObject","kms:Decrypt"],"Resource":"arn:aws:s3:::l/*"`)), miss: bucket(account, "")},
	{code: "UNSUPPORTED_ACTION_IN_POLICY", kind: Resource, resource: DynamoDBTable, hit: policy(allow(`"Principal":` + account + `,"Action":"s3:GetObject","Resource":"*"`)), miss: policy(allow(`"Principal":` + account + `,"Action":"dynamodb:GetItem","Resource":"arn:aws:dynamodb:us-east-1:123456789012:table/t"`))},
	{code: "UNSUPPORTED_ACTION_IN_POLICY", kind: Trust, hit: trusts(account, `["sts:AssumeRole","s3:GetObject"]`, ""), miss: trusts(account, `["sts:AssumeRole","sts:TagSession"]`, "")},
	{code: "UNSUPPORTED_RESOURCE_ARN_IN_POLICY", kind: Resource, resource: S3Bucket, hit: policy(allow(`"Principal":` + account + `,"Action":"s3:GetObject","Resource":"arn:aws:kms:us-east-1:123456789012:key/k"`)), miss: bucket(account, "")},
	{code: "UNSUPPORTED_RESOURCE_ARN_IN_POLICY", kind: Resource, resource: S3Bucket, hit: policy(allow(`"Principal":` + account + `,"Action":"s3:ListBucket","Resource":"*"`)), miss: policy(allow(`"Principal":` + account + `,"Action":"s3:ListBucket","Resource":"arn:aws:s3:::*"`))},
	{code: "IRRELEVANT_CONDITION_KEY_IN_POLICY", kind: Resource, resource: S3Bucket, hit: bucket(account, `,"Condition":{"StringEquals":{"s3:ResourceAccount":"123456789012"}}`), miss: bucket(account, `,"Condition":{"StringEquals":{"aws:PrincipalAccount":"123456789012"}}`)},

	// Role trust policies.
	{code: "ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL", kind: Trust, hit: policy(deny(`"NotPrincipal":` + account + `,"Action":"sts:AssumeRole"`)), miss: policy(deny(`"Principal":` + account + `,"Action":"sts:AssumeRole"`))},
	{code: "ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", kind: Trust, hit: trusts(`"*"`, `"sts:AssumeRole"`, ""), miss: trusts(`{"AWS":"*"}`, `"sts:AssumeRole"`, "")},
	{code: "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE", kind: Trust, hit: trusts(account, `"sts:AssumeRole"`, `,"Resource":"*"`), miss: trusts(account, `"sts:AssumeRole"`, "")},
	{code: "INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY", kind: Trust, hit: trusts(`{"Federated":"*"}`, `"sts:AssumeRoleWithSAML"`, ""), miss: trusts(`{"Federated":"arn:aws:iam::123456789012:saml-provider/p"}`, `"sts:AssumeRoleWithSAML"`, "")},
	{code: "MISMATCHED_ACTION_FOR_PRINCIPAL", kind: Trust, hit: trusts(`{"Federated":"arn:aws:iam::123456789012:saml-provider/p"}`, `"sts:AssumeRoleWithWebIdentity"`, ""), miss: trusts(`{"Federated":"arn:aws:iam::123456789012:saml-provider/p"}`, `"sts:AssumeRoleWithSAML"`, "")},
	{code: "MISMATCHED_ACTION_FOR_PRINCIPAL", kind: Trust, hit: trusts(account, `"sts:AssumeRoleWithSAML"`, ""), miss: trusts(account, `"sts:AssumeRole"`, "")},
	{code: "MISMATCHED_ACTION_FOR_PRINCIPAL", kind: Trust, hit: trusts(`{"AWS":"arn:aws:iam::123456789012:root","Service":"ec2.amazonaws.com"}`, `"sts:AssumeRoleWithWebIdentity"`, ""), miss: policy(deny(`"Principal":{"AWS":"*"},"Action":["sts:AssumeRole","sts:AssumeRoleWithWebIdentity"]`))},
	{code: "MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY", kind: Trust, hit: trusts(`{"Service":"rolesanywhere.amazonaws.com"}`, `["sts:AssumeRole","sts:TagSession"]`, ""), miss: trusts(`{"Service":"rolesanywhere.amazonaws.com"}`, `["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]`, "")},
	{code: "MISSING_ACTION_FOR_CONDITION_KEY", kind: Trust, hit: trusts(account, `"sts:AssumeRole"`, `,"Condition":{"StringEquals":{"sts:SourceIdentity":"jane"}}`), miss: trusts(account, `["sts:AssumeRole","sts:SetSourceIdentity"]`, `,"Condition":{"StringEquals":{"sts:SourceIdentity":"jane"}}`)},
	{code: "REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY", kind: Trust, hit: trusts(`{"AWS":["arn:aws:iam::123456789012:role/r","arn:aws:sts::123456789012:assumed-role/r/s"]}`, `"sts:AssumeRole"`, ""), miss: trusts(`{"AWS":["arn:aws:iam::123456789012:role/r","arn:aws:sts::123456789012:assumed-role/q/s"]}`, `"sts:AssumeRole"`, "")},
	{code: "MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL", kind: Trust, hit: trusts(provider1, `"sts:AssumeRoleWithWebIdentity"`, ""), miss: trusts(provider1, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"oidc.example.com:sub":"jane"}}`)},
	{code: "MISSING_GITHUB_REPO_CONDITION_KEY", kind: Trust, also: "CONFIRM_AUDIENCE_CLAIM_TYPE", hit: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}`), miss: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:o/r:ref:refs/heads/main"}}`)},
	{code: "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", kind: Trust, hit: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:octo/app:*"}}`), miss: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:octo/app:environment:production","token.actions.githubusercontent.com:ref":"refs/heads/main"}}`)},
	{code: "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", kind: Trust, hit: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:sub":"repo:octo/app:environment:production"}}`), miss: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:octo@*/appl@*:ref:refs/heads/main"}}`)},
	{code: "CONFIRM_AUDIENCE_CLAIM_TYPE", kind: Trust, hit: trusts(provider1, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"oidc.example.com:aud":"app"}}`), miss: trusts(provider1, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"oidc.example.com:sub":"app"}}`)},
	{code: "FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE", kind: Trust, hit: trusts(provider1, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"ForAnyValue:StringEquals":{"oidc.example.com:aud":"app"}}`), miss: trusts(`{"Federated":"cognito-identity.amazonaws.com"}`, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"us-east-1:x"},"ForAnyValue:StringLike":{"cognito-identity.amazonaws.com:amr":"authenticated"}}`)},

	// Condition operators and keys.
	{code: "EMPTY_OBJECT_CONDITION", hit: when(`"s3:GetObject"`, `{}`), miss: on("s3:GetObject", "*")},
	{code: "EMPTY_OBJECT_CONDITION", hit: when(`"s3:GetObject"`, `{"StringEquals":{}}`), miss: on("s3:GetObject", "*")},
	{code: "INVALID_CONDITION_OPERATOR", hit: when(`"s3:GetObject"`, `{"StringEqual":{"aws:PrincipalTag/a":"x"}}`), miss: when(`"s3:GetObject"`, `{"StringEqualsIfExists":{"aws:PrincipalTag/a":"x"}}`)},
	{code: "NULL_WITH_IF_EXISTS", hit: when(`"s3:GetObject"`, `{"NullIfExists":{"aws:PrincipalTag/a":"true"}}`), miss: when(`"s3:GetObject"`, `{"Null":{"aws:PrincipalTag/a":"true"}}`)},
	{code: "NULL_WITH_QUALIFIER", hit: when(`"s3:GetObject"`, `{"ForAllValues:Null":{"aws:TagKeys":"true"}}`), miss: when(`"s3:GetObject"`, `{"Null":{"aws:TagKeys":"true"}}`)},
	{code: "INVALID_CONDITION_KEY_FORMAT", hit: when(`"s3:GetObject"`, `{"IpAddress":{"SourceIp":"203.0.113.0/24"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)},
	{code: "INVALID_GLOBAL_CONDITION_KEY", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIpp":"203.0.113.0/24"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"AWS:sourceip":"203.0.113.0/24"}}`)},
	{code: "INVALID_SERVICE_CONDITION_KEY", hit: when(`"s3:ListBucket"`, `{"StringLike":{"s3:prefixes":"home/*"}}`), miss: when(`"s3:ListBucket"`, `{"StringLike":{"s3:prefix":"home/*"}}`)},
	{code: "DEPRECATED_GLOBAL_CONDITION_KEY", kind: Resource, hit: bucket(`"*"`, `,"Condition":{"ArnLike":{"aws:ARN":"arn:aws:iam::123456789012:user/a"}}`), miss: bucket(`"*"`, `,"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/a"}}`)},
	{code: "UNSUPPORTED_GLOBAL_CONDITION_KEY", hit: when(`"s3:GetObject"`, `{"ArnLike":{"aws:ARN":"arn:aws:iam::123456789012:user/a"}}`), miss: when(`"s3:GetObject"`, `{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:user/a"}}`)},
	{code: "MISSING_TAG_KEY_IN_CONDITION", hit: when(`"ec2:StartInstances"`, `{"StringEquals":{"aws:ResourceTag":"x"}}`), miss: when(`"ec2:StartInstances"`, `{"StringEquals":{"aws:ResourceTag/team":"x"}}`)},
	{code: "MISSING_TAG_KEY_IN_CONDITION", hit: when(`"ec2:CreateTags"`, `{"StringEquals":{"aws:RequestTag/":"x"}}`), miss: when(`"ec2:CreateTags"`, `{"StringEquals":{"aws:RequestTag/team":"x"}}`)},
	{code: "DUPLICATE_KEYS_WITH_DIFFERENT_CASE", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24","aws:sourceip":"198.51.100.0/24"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"},"NotIpAddress":{"aws:sourceip":"203.0.113.1/32"}}`)},
	{code: "MISSING_QUALIFIER", hit: when(`"ec2:CreateTags"`, `{"StringEquals":{"aws:TagKeys":["a","b"]}}`), miss: when(`"ec2:CreateTags"`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}`)},
	{code: "FORALLVALUES_WITH_SINGLE_VALUED_KEY", hit: when(`"s3:GetObject"`, `{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`)},
	{code: "TYPE_MISMATCH", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SecureTransport":"true"}}`), miss: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":"true"}}`)},
	{code: "TYPE_MISMATCH", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SourceIp":"203.0.113.0/24"}}`), miss: when(`"s3:GetObject"`, `{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`)},
	{code: "STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", hit: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/a*"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/a"}}`)},
	{code: "MISSING_PAIRED_CONDITION_KEYS", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/8"},"StringEquals":{"aws:SourceVpc":"vpc-12345678"}}`)},
	{code: "UNTRUSTWORTHY_CONDITION_KEY", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:UserAgent":"secret"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:username":"jane"}}`)},
	{code: "USE_CONDITION_KEY_ONLY_WITH_SUPPORTED_SERVICES", hit: when(`["s3:GetObject","sns:Publish"]`, `{"StringEquals":{"aws:VpceOrgID":"o-a1b2c3d4e5"}}`), miss: when(`["s3:GetObject","kms:Decrypt"]`, `{"StringEquals":{"aws:VpceOrgID":"o-a1b2c3d4e5"}}`)},
	{code: "UNSUPPORTED_ACTION_FOR_CONDITION_KEY", hit: when(`["kms:Decrypt","kms:DescribeKey"]`, `{"StringEquals":{"kms:EncryptionContext:app":"x"}}`), miss: when(`["kms:Decrypt","kms:Describe*"]`, `{"StringEquals":{"kms:EncryptionContext:app":"x"}}`)},
	{code: "ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", hit: when(`["ec2:StartInstances","ec2:DescribeInstances"]`, `{"StringEquals":{"aws:ResourceTag/team":"x"}}`), miss: when(`"ec2:StartInstances"`, `{"StringEquals":{"aws:ResourceTag/team":"x"}}`)},
	{code: "DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", hit: policy(deny(`"Action":"iam:Delete*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}`)), miss: policy(deny(`"Action":"iam:Delete*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/team":"x"}}`))},
	{code: "ALLOW_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", hit: policy(allow(`"NotAction":"iam:*","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}`)), miss: policy(allow(`"NotAction":"iam:*","Resource":"arn:aws:s3:::b","Condition":{"StringEquals":{"aws:PrincipalTag/team":"x"}}`))},
	{code: "DENY_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", hit: policy(deny(`"NotAction":"iam:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"x"}}`)), miss: policy(deny(`"NotAction":"iam:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"x"}}`))},
	{code: "S3_PREFIX_IN_NEGATIVE_CONTEXT", hit: policy(deny(`"Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"private/*"}}`)), miss: policy(deny(`"Action":"s3:ListBucket","Resource":"*","Condition":{"StringNotLike":{"s3:prefix":"public/*"}}`))},
	{code: "DYNAMODB_ATTRIBUTES_WITHOUT_SELECT", hit: when(`["dynamodb:GetItem","dynamodb:Query"]`, `{"ForAllValues:StringEquals":{"dynamodb:Attributes":["a","b"]}}`), miss: when(`["dynamodb:Query"]`, `{"ForAllValues:StringEquals":{"dynamodb:Attributes":["a","b"]},"StringEquals":{"dynamodb:Select":"SPECIFIC_ATTRIBUTES"}}`)},

	// Condition values.
	{code: "EMPTY_ARRAY_CONDITION", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":[]}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":["x"]}}`)},
	{code: "EMPTY_ARRAY_CONDITION_FORALLVALUES", hit: when(`"ec2:CreateTags"`, `{"ForAllValues:StringEquals":{"aws:TagKeys":[]}}`), miss: when(`"ec2:CreateTags"`, `{"ForAllValues:StringEquals":{"aws:TagKeys":["x"]}}`)},
	{code: "EMPTY_ARRAY_CONDITION_FORANYVALUE", hit: when(`"ec2:CreateTags"`, `{"ForAnyValue:StringEquals":{"aws:TagKeys":[]}}`), miss: when(`"ec2:CreateTags"`, `{"ForAnyValue:StringEquals":{"aws:TagKeys":["x"]}}`)},
	{code: "EMPTY_ARRAY_CONDITION_IFEXISTS", hit: when(`"s3:GetObject"`, `{"StringEqualsIfExists":{"aws:PrincipalTag/a":[]}}`), miss: when(`"s3:GetObject"`, `{"StringEqualsIfExists":{"aws:PrincipalTag/a":["x"]}}`)},
	{code: "INVALID_CONDITION_DATA_TYPE", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":["x",1]}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":["x","1"]}}`)},
	{code: "INVALID_CONDITION_MULTIPLE_BOOLEAN", hit: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":["true","false"]}}`), miss: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":["true"]}}`)},
	{code: "TYPE_MISMATCH_BOOLEAN", hit: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":"yes"}}`), miss: when(`"s3:GetObject"`, `{"Bool":{"aws:SecureTransport":"True"}}`)},
	{code: "TYPE_MISMATCH_NUMBER", hit: when(`"s3:GetObject"`, `{"NumericLessThan":{"aws:MultiFactorAuthAge":"inf"}}`), miss: when(`"s3:GetObject"`, `{"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}`)},
	{code: "TYPE_MISMATCH_DATE", hit: when(`"s3:GetObject"`, `{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), miss: when(`"s3:GetObject"`, `{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}`)},
	{code: "INVALID_DATE_VALUE", hit: when(`"s3:GetObject"`, `{"DateLessThan":{"aws:CurrentTime":"1893456000"}}`), miss: when(`"s3:GetObject"`, `{"DateLessThan":{"aws:CurrentTime":"2030-01-01"}}`)},
	{code: "TYPE_MISMATCH_IP_RANGE", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.0/33"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`)},
	{code: "TYPE_MISMATCH_STRING", hit: when(`"s3:GetObject"`, `{"BinaryEquals":{"aws:PrincipalTag/a":"not base64!"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":"not base64!"}}`)},
	{code: "IMPROVE_IP_RANGE", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.7/24"}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"203.0.113.7/32"}}`)},
	{code: "PRIVATE_IP_ADDRESS", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.168.1.1"]}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":"11.0.0.0/8"}}`)},
	{code: "PRIVATE_NOT_IP_ADDRESS", hit: when(`"s3:GetObject"`, `{"NotIpAddress":{"aws:SourceIp":"172.16.0.0/12"}}`), miss: when(`"s3:GetObject"`, `{"NotIpAddress":{"aws:SourceIp":"172.32.0.0/12"}}`)},
	{code: "PRIVATE_IP_ADDRESS_SUBSET", hit: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}}`), miss: when(`"s3:GetObject"`, `{"IpAddress":{"aws:SourceIp":["198.51.100.0/24","203.0.113.0/24"]}}`)},
	{code: "PRIVATE_NOT_IP_ADDRESS_SUBSET", hit: when(`"s3:GetObject"`, `{"NotIpAddress":{"aws:SourceIp":["10.0.0.0/8","203.0.113.0/24"]}}`), miss: when(`"s3:GetObject"`, `{"NotIpAddress":{"aws:SourceIp":["203.0.113.0/24"]}}`)},
	{code: "REDUNDANT_CONDITION_VALUE_NUM", hit: when(`"s3:GetObject"`, `{"NumericLessThan":{"aws:MultiFactorAuthAge":["2700","3600"]}}`), miss: when(`"s3:GetObject"`, `{"NumericEquals":{"aws:MultiFactorAuthAge":["2700","3600"]}}`)},
	{code: "WILDCARD_WITHOUT_LIKE_OPERATOR", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalTag/a":"admin-*"}}`), miss: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalTag/a":"admin-*"}}`)},
	{code: "INVALID_REGION", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:RequestedRegion":"us-east-9"}}`), miss: when(`"s3:GetObject"`, `{"StringLike":{"aws:RequestedRegion":"us-*"}}`)},
	{code: "INVALID_VPC_FORMAT", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SourceVpc":"vpc-123"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SourceVpc":"vpc-11223344556677889"}}`)},
	{code: "INVALID_VPCE_FORMAT", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SourceVpce":"vpc-12345678"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:SourceVpce":"vpce-12345678"}}`)},
	{code: "INVALID_KMS_KEY_VALUE", hit: when(`"s3:PutObject"`, `{"StringEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"alias/app"}}`), miss: when(`"s3:PutObject"`, `{"StringEquals":{"s3:x-amz-server-side-encryption-aws-kms-key-id":"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"}}`)},
	{code: "WILDCARD_USAGE_TOO_PERMISSIVE", hit: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalOrgID":"o-a1b2*"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}}`)},
	{code: "WILDCARD_USAGE_TOO_PERMISSIVE", hit: when(`"s3:GetObject"`, `{"StringLike":{"aws:userid":"AROAEXAMPLE*"}}`), miss: when(`"s3:GetObject"`, `{"StringLike":{"aws:userid":["AROAEXAMPLEID:*","*:jane"]}}`)},
	{code: "WILDCARD_USAGE_TOO_PERMISSIVE", kind: Trust, hit: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:*@3/*@1342943014:ref:refs/heads/stack"}}`), also: "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", miss: trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringLike":{"token.actions.githubusercontent.com:sub":"repo:o@*/rrrr@*:ref:refs/heads/stack"}}`)},
	{code: "VARIABLE_USAGE_TOO_PERMISSIVE", hit: when(`"s3:GetObject"`, `{"StringEquals":{"aws:PrincipalOrgID":"${aws:PrincipalTag/org}"}}`), miss: when(`"s3:GetObject"`, `{"StringEquals":{"aws:ResourceOrgID":"${aws:PrincipalOrgID}"}}`)},
	{code: "EQUIVALENT_TO_NULL_FALSE", hit: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalTag/a":"*"}}`), miss: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalTag/a":"a*"}}`)},
	{code: "EQUIVALENT_TO_NULL_TRUE", hit: when(`"s3:GetObject"`, `{"StringNotLike":{"aws:PrincipalTag/a":"*"}}`), miss: when(`"s3:GetObject"`, `{"StringNotLike":{"aws:PrincipalTag/a":"a*"}}`)},
	{code: "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", hit: when(`"s3:GetObject"`, `{"StringLikeIfExists":{"aws:PrincipalTag/a":"*"}}`), miss: when(`"s3:GetObject"`, `{"StringLikeIfExists":{"aws:PrincipalTag/a":"a*"}}`)},
	{code: "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION", hit: when(`"ec2:CreateTags"`, `{"ForAnyValue:StringNotLike":{"aws:TagKeys":"*"}}`), miss: when(`"ec2:CreateTags"`, `{"ForAnyValue:StringNotLike":{"aws:TagKeys":"a*"}}`)},

	// Passing roles, and creating service-linked ones.
	{code: "PASS_ROLE_WITH_STAR_IN_RESOURCE", hit: on("iam:PassRole", "*"), miss: on("iam:PassRole", "arn:aws:iam::*:role/Service*")},
	{code: "PASS_ROLE_WITH_STAR_IN_RESOURCE", hit: on("iam:PassRole", "arn:aws:iam::123456789012:role/*"), miss: when(`"iam:PassRole"`, `{"StringEquals":{"iam:PassedToService":"ec2.amazonaws.com"}}`)},
	{code: "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE", also: "CREATE_SLR_WITH_STAR_IN_ACTION_AND_RESOURCE", hit: on("*", "*"), miss: on("s3:*", "*")},
	{code: "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE", hit: on("iam:Pass*", "*"), miss: on("iam:Get*", "*")},
	{code: "PASS_ROLE_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION", also: "CREATE_SLR_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION", hit: policy(allow(`"NotAction":"s3:*","Resource":"*"`)), miss: policy(allow(`"NotAction":"iam:*","Resource":"*"`))},
	{code: "PASS_ROLE_WITH_NOT_RESOURCE", hit: policy(allow(`"Action":"iam:PassRole","NotResource":"arn:aws:iam::123456789012:role/admin"`)), miss: policy(deny(`"Action":"iam:PassRole","NotResource":"arn:aws:iam::123456789012:role/app"`))},
	{code: "PASS_ROLE_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE", hit: policy(allow(`"Action":"iam:Pass*","NotResource":"arn:aws:iam::123456789012:role/admin"`)), miss: policy(allow(`"Action":"iam:Get*","NotResource":"arn:aws:iam::123456789012:role/admin"`))},
	{code: "PASS_ROLE_WITH_NOT_ACTION_AND_NOT_RESOURCE", also: "CREATE_SLR_WITH_NOT_ACTION_AND_NOT_RESOURCE", hit: policy(allow(`"NotAction":"s3:*","NotResource":"arn:aws:iam::123456789012:role/admin"`)), miss: policy(allow(`"NotAction":"iam:*","NotResource":"arn:aws:iam::123456789012:role/admin"`))},
	{code: "CREATE_SLR_WITH_STAR_IN_RESOURCE", hit: on("iam:CreateServiceLinkedRole", "*"), miss: on("iam:CreateServiceLinkedRole", "arn:aws:iam::*:role/aws-service-role/autoscaling.amazonaws.com/*")},
	{code: "CREATE_SLR_WITH_STAR_IN_ACTION_AND_RESOURCE", hit: on("iam:Create*", "*"), miss: policy(deny(`"Action":"iam:Create*","Resource":"*"`))},
	{code: "CREATE_SLR_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION", hit: policy(allow(`"NotAction":["s3:*","iam:PassRole"],"Resource":"*"`)), miss: policy(allow(`"NotAction":["iam:PassRole","iam:CreateServiceLinkedRole"],"Resource":"*"`))},
	{code: "CREATE_SLR_WITH_NOT_RESOURCE", hit: policy(allow(`"Action":"iam:CreateServiceLinkedRole","NotResource":"arn:aws:iam::123456789012:role/x"`)), miss: on("iam:CreateServiceLinkedRole", "arn:aws:iam::123456789012:role/aws-service-role/x.amazonaws.com/y")},
	{code: "CREATE_SLR_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE", hit: policy(allow(`"Action":"iam:CreateS*","NotResource":"arn:aws:iam::123456789012:role/x"`)), miss: policy(allow(`"Action":"iam:CreateU*","NotResource":"arn:aws:iam::123456789012:role/x"`))},
	{code: "CREATE_SLR_WITH_NOT_ACTION_AND_NOT_RESOURCE", hit: policy(allow(`"NotAction":["s3:*","iam:PassRole"],"NotResource":"arn:aws:iam::123456789012:role/x"`)), miss: policy(deny(`"NotAction":["s3:*"],"NotResource":"arn:aws:iam::123456789012:role/x"`))},

	// Statements.
	{code: "REDUNDANT_STATEMENT", hit: policy(allow(`"Sid":"A","Action":["s3:GetObject","s3:PutObject"],"Resource":"*"`), allow(`"Sid":"B","Action":["s3:putobject","s3:GetObject"],"Resource":"*"`)), miss: policy(allow(`"Action":"s3:GetObject","Resource":"*"`), deny(`"Action":"s3:GetObject","Resource":"*"`))},

	// Resource control policies.
	{code: "RCP_SYNTAX_ERROR_NOTACTION", kind: RCP, hit: policy(deny(`"Principal":"*","NotAction":"s3:*","Resource":"*"`)), miss: rcp("")},
	{code: "RCP_SYNTAX_ERROR_PRINCIPAL", kind: RCP, hit: policy(deny(`"Principal":` + account + `,"Action":"s3:*","Resource":"*"`)), miss: rcp("")},
	{code: "RCP_SYNTAX_ERROR_ALLOW", kind: RCP, hit: policy(allow(`"Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::b"`)), miss: policy(allow(`"Principal":"*","Action":"*","Resource":"*"`))},
	{code: "RCP_SYNTAX_ERROR_ACTION", kind: RCP, hit: policy(deny(`"Principal":"*","Action":"ec2:*","Resource":"*"`)), miss: rcp("")},
	{code: "RCP_SYNTAX_ERROR_ACTION", kind: RCP, hit: policy(deny(`"Principal":"*","Action":"*","Resource":"*"`)), miss: rcp("")},
	{code: "RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY", kind: RCP, hit: rcp(`"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"}`), miss: rcp(`"StringNotEqualsIfExists":{"aws:PrincipalOrgID":"o-a1b2c3d4e5"},"BoolIfExists":{"aws:PrincipalIsAWSService":"false"}`)},
	{code: "RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY", kind: RCP, hit: rcp(`"StringNotEqualsIfExists":{"aws:SourceOrgID":"o-a1b2c3d4e5"},"Null":{"aws:SourceAccount":"false"}`), miss: rcp(`"StringNotEqualsIfExists":{"aws:SourceOrgID":"o-a1b2c3d4e5"},"Null":{"aws:SourceAccount":"false"},"Bool":{"aws:PrincipalIsAWSService":"true"}`)},
	{code: "RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK", kind: RCP, hit: rcp(`"StringNotEqualsIfExists":{"aws:SourceOrgID":"o-a1b2c3d4e5"},"Bool":{"aws:PrincipalIsAWSService":"true"}`), miss: rcp(`"StringNotEqualsIfExists":{"aws:SourceOrgID":"o-a1b2c3d4e5"},"Null":{"aws:SourceArn":"false"},"Bool":{"aws:PrincipalIsAWSService":"true"}`)},

	// Our own.
	{code: "BARTIZAN_ACTION_NEVER_MATCHES", extra: true, hit: on("s3:GetObject", "arn:aws:s3:::logs"), miss: on("s3:GetObject", "arn:aws:s3:::logs/*")},
	{code: "BARTIZAN_ACTION_NEVER_MATCHES", extra: true, hit: on("s3:ListAllMyBuckets", "arn:aws:s3:::logs"), miss: on("s3:ListAllMyBuckets", "*")},
	{code: "BARTIZAN_CONDITION_NEVER_TRUE", extra: true, hit: when(`"s3:GetObject"`, `{"Null":{"aws:PrincipalTag/a":"true"},"StringEquals":{"aws:PrincipalTag/a":"x"}}`), miss: when(`"s3:GetObject"`, `{"Null":{"aws:PrincipalTag/a":"false"},"StringEquals":{"aws:PrincipalTag/a":"x"}}`)},
	{code: "BARTIZAN_CONDITION_NEVER_TRUE", extra: true, hit: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalTag/a":"y"},"StringEquals":{"aws:PrincipalTag/a":"x"}}`), miss: when(`"s3:GetObject"`, `{"StringLike":{"aws:PrincipalTag/a":"x*"},"StringEquals":{"aws:PrincipalTag/a":"x"}}`)},
	{code: "BARTIZAN_KEY_NEVER_SENT", extra: true, hit: when(`"kms:Describe*"`, `{"StringEquals":{"kms:EncryptionContext:app":"x"}}`), miss: when(`["kms:Decrypt","kms:Describe*"]`, `{"StringEquals":{"kms:EncryptionContext:app":"x"}}`)},
	{code: "BARTIZAN_SHADOWED_STATEMENT", extra: true, hit: policy(allow(`"Action":"s3:Get*","Resource":"*"`), allow(`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`)), miss: policy(allow(`"Action":"s3:Get*","Resource":"arn:aws:s3:::a/*"`), allow(`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`))},
	{code: "BARTIZAN_SHADOWED_STATEMENT", extra: true, hit: policy(deny(`"Action":"s3:*","Resource":"*"`), allow(`"Action":"s3:GetObject","Resource":"*"`)), miss: policy(deny(`"Action":"s3:Put*","Resource":"*"`), allow(`"Action":"s3:GetObject","Resource":"*"`))},
}

func rcp(condition string) string {
	if condition != "" {
		condition = `,"Condition":{` + condition + `}`
	}
	return policy(deny(`"Principal":"*","Action":"s3:*","Resource":"*"` + condition))
}

func TestChecks(t *testing.T) {
	done := map[string]bool{}
	for i, r := range rows {
		done[r.code] = true
		o := Options{Kind: r.kind, ResourceType: r.resource, NoExtra: !r.extra}
		name := fmt.Sprintf("%s/%d", r.code, i)
		t.Run(name, func(t *testing.T) {
			want := strings.Fields(r.code + " " + r.also)
			slices.Sort(want)
			got := Lint([]byte(r.hit), o)
			if c := codes(got); !slices.Equal(c, want) {
				t.Errorf("%s\ngives %v, want %v", r.hit, got, want)
			}
			for _, f := range got {
				if f.Code == r.code && (f.Type != checkTypes[r.code] || f.Type == "" || !f.Pos.IsValid() || f.Message == "") {
					t.Errorf("incomplete finding %+v", f)
				}
			}
			want = strings.Fields(r.missAlso)
			if got := Lint([]byte(r.miss), o); !slices.Equal(codes(got), want) {
				t.Errorf("near miss %s\ngives %v, want %v", r.miss, got, want)
			}
		})
	}
	for _, c := range Checks() {
		if !done[c.Code] {
			t.Errorf("%s has no test", c.Code)
		}
	}
}

// Answers that ValidatePolicy is known to have given to policies of these shapes:
// the AWS CLI's documentation of validate-policy, and the end-to-end tests of
// awslabs' policy validators for CloudFormation and Terraform.
func TestRecordedAnswers(t *testing.T) {
	const root = `{"AWS":["arn:aws:iam::123456789012:root"]}`
	for _, r := range []struct {
		name, policy string
		kind         Kind
		resource     string
		want         string
	}{
		{"a Cognito trust policy with the wrong action", trusts(`{"Federated":"cognito-identity.amazonaws.com"}`, `["sts:AssumeRole","sts:TagSession"]`, `,"Sid":"","Condition":{"StringEquals":{"cognito-identity.amazonaws.com:aud":"pool"}}`), Resource, "", "EMPTY_SID_VALUE MISMATCHED_ACTION_FOR_PRINCIPAL UNSUPPORTED_ACTION_FOR_CONDITION_KEY"},
		{"a bucket policy with an API's name and a star", policy(allow(`"Principal":{"AWS":"*"},"Action":"s3:ListBuckets","Resource":"*"`)), Resource, S3Bucket, "INVALID_ACTION UNSUPPORTED_RESOURCE_ARN_IN_POLICY"},
		{"a queue policy without principals", policy(allow(`"Principal":{},"Action":"sqs:SendMessage","Resource":"*"`)), Resource, "", "EMPTY_OBJECT_PRINCIPAL"},
		{"a queue policy", policy(allow(`"Principal":{"AWS":["123456789012"]},"Action":"sqs:SendMessage","Resource":"*"`)), Resource, "", ""},
		{"a key policy", policy(allow(`"Principal":` + root + `,"Action":"kms:*","Resource":"*"`)), Resource, "", ""},
		{"a bucket policy", policy(allow(`"Principal":` + root + `,"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":["arn:aws:s3:::r","arn:aws:s3:::r/*"]`)), Resource, S3Bucket, ""},
		{"an access point's policy", policy(allow(`"Principal":` + root + `,"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":["arn:aws:s3:us-east-1:123456789012:accesspoint/p","arn:aws:s3:us-east-1:123456789012:accesspoint/p/object/*"]`)), Resource, S3AccessPoint, ""},
		{"a multi-Region access point's policy", policy(allow(`"Principal":` + root + `,"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":["arn:aws:s3::123456789012:accesspoint/p.mrap","arn:aws:s3::123456789012:accesspoint/p.mrap/object/*"]`)), Resource, S3MultiRegion, ""},
		{"a trust policy for every action", trusts(`{"AWS":"123456789012"}`, `"*"`, ""), Trust, "", ""},
		{"a resource of the wrong type", policy(allow(`"Action":"iam:PassRole","Resource":{"a":"b"}`)), Identity, "", "DATA_TYPE_MISMATCH"},
		{"an effect of the wrong type", policy(`{"Effect":{"a":"b"},"Principal":` + root + `,"Action":"sqs:SendMessage","Resource":"*"}`), Resource, "", "DATA_TYPE_MISMATCH"},
		{"passing all roles", policy(allow(`"Action":["iam:GetRole","iam:PassRole"],"Resource":"*"`)), Identity, "", "PASS_ROLE_WITH_STAR_IN_RESOURCE"},
		{"an unknown service", on("DOES_NOT_EXIST:*", "*"), Identity, "", "INVALID_SERVICE_IN_ACTION"},
		{"a year as a date", when(`"s3:*"`, `{"DateGreaterThan":{"aws:CurrentTime":"2021"}}`), Identity, "", "INVALID_DATE_VALUE"},
		{"a question mark as a resource", on("bedrock-agentcore:GetWorkloadAccessToken", "arn:aws:bedrock-agentcore:us-east-1:123456789012:?"), Identity, "", "INVALID_ARN_RESOURCE"},
		{"a GitHub environment as subject", trusts(gitHub, `"sts:AssumeRoleWithWebIdentity"`, `,"Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com","token.actions.githubusercontent.com:sub":"repo:o/r:environment:production"}}`), Trust, "", "CONFIRM_AUDIENCE_CLAIM_TYPE SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED"},
		{"a condition key that S3 does not have", when(`"s3:PutObject"`, `{"StringEquals":{"s3:x-amz-object-lock-mode":"COMPLIANCE"}}`), Identity, "", "INVALID_SERVICE_CONDITION_KEY"},
		{"an encryption context with DescribeKey", when(`["kms:Decrypt","kms:DescribeKey"]`, `{"StringEquals":{"kms:EncryptionContext:app":"x"}}`), Identity, "", "UNSUPPORTED_ACTION_FOR_CONDITION_KEY"},
		{"a prefix with listing uploads", when(`["s3:ListBucket","s3:ListBucketMultipartUploads"]`, `{"StringLike":{"s3:prefix":"a/*"}}`), Identity, "", "UNSUPPORTED_ACTION_FOR_CONDITION_KEY"},
	} {
		got := codes(Lint([]byte(r.policy), Options{Kind: r.kind, ResourceType: r.resource, NoExtra: true}))
		if want := strings.Fields(r.want); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v\n%s", r.name, got, want, r.policy)
		}
	}
}

// AWS's managed policies pass its own checks but for few; errors in them would
// mostly be ours. What is left are actions and resources that AWS has retired.
func TestManagedPoliciesAreNearlyClean(t *testing.T) {
	retired := map[string]int{
		"INVALID_ACTION": 60, "INVALID_SERVICE_IN_ACTION": 90, "INVALID_ARN_RESOURCE": 50, "INVALID_SERVICE": 4,
		"INVALID_SERVICE_CONDITION_KEY": 1, "INVALID_GLOBAL_CONDITION_KEY": 2, "UNSUPPORTED_ACTION_FOR_CONDITION_KEY": 27,
		"MISSING_QUALIFIER": 3, "MISSING_ARN_ACCOUNT": 2,
	}
	m := catalog.DefaultManaged()
	count, step := map[string]int{}, 1
	if testing.Short() {
		step = 8
		t.Log("LEFT OUT by -short: seven policies in eight")
	}
	for i, arn := range m.ARNs() {
		if i%step != 0 {
			continue
		}
		p, _ := m.Policy(arn)
		for _, f := range Lint(p.Document, Options{Kind: Identity, NoExtra: true}) {
			if f.Type == Error {
				count[f.Code]++
			}
		}
	}
	for code, n := range count {
		if n > retired[code] {
			t.Errorf("%d findings %s in %d managed policies, want at most %d", n, code, len(m.ARNs()), retired[code])
		}
	}
}

// The managed policies that AWS's reference names under a check have its finding.
func TestManagedPoliciesOfTheReference(t *testing.T) {
	for name, want := range map[string][]string{
		"AdministratorAccess":             {"CREATE_SLR_WITH_STAR_IN_ACTION_AND_RESOURCE", "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE"},
		"IAMFullAccess":                   {"CREATE_SLR_WITH_STAR_IN_ACTION_AND_RESOURCE", "PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE"},
		"PowerUserAccess":                 {"CREATE_SLR_WITH_STAR_IN_RESOURCE"},
		"AdministratorAccess-Amplify":     {"PASS_ROLE_WITH_STAR_IN_RESOURCE"},
		"ReadOnlyAccess":                  {"POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA"},
		"AWSCodePipeline_FullAccess":      {"STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS"},
		"S3UnlockBucketPolicy":            {"STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS"},
		"SQSUnlockQueuePolicy":            {"STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS"},
		"AmazonSecurityLakeAdministrator": {"STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS"},
	} {
		p, ok := catalog.ManagedPolicy("arn:aws:iam::aws:policy/" + name)
		if !ok {
			p, ok = catalog.ManagedPolicy("arn:aws:iam::aws:policy/root-task/" + name)
		}
		if !ok {
			t.Errorf("no managed policy %s", name)
			continue
		}
		got := codes(Lint(p.Document, Options{}))
		for _, code := range want {
			if !slices.Contains(got, code) {
				t.Errorf("%s gives %v, want %s among them", name, got, code)
			}
		}
	}
}
