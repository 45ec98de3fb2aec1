package lint

import "slices"

// Type is how serious a finding is, as ValidatePolicy names it.
type Type string

// The types of finding, most serious first.
const (
	Error           Type = "ERROR"
	SecurityWarning Type = "SECURITY_WARNING"
	Warning         Type = "WARNING"
	Suggestion      Type = "SUGGESTION"
)

// Types lists the types, most serious first.
var Types = []Type{Error, SecurityWarning, Warning, Suggestion}

// Check is one check that Lint makes.
type Check struct {
	Code string
	Type Type
	When string // when it fires
}

// Own reports whether the check is not one of AWS's.
func (c Check) Own() bool { return len(c.Code) > 9 && c.Code[:9] == "BARTIZAN_" }

// Checks returns every check: errors, security warnings, warnings, suggestions,
// and in each type by code.
func Checks() []Check {
	out := slices.Clone(checks)
	slices.SortStableFunc(out, func(a, b Check) int {
		if d := slices.Index(Types, a.Type) - slices.Index(Types, b.Type); d != 0 {
			return d
		}
		return compareStrings(a.Code, b.Code)
	})
	return out
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// checkTypes finds a check's type by its code.
var checkTypes = func() map[string]Type {
	m := make(map[string]Type, len(checks))
	for _, c := range checks {
		m[c.Code] = c.Type
	}
	return m
}()

var checks = []Check{
	// Errors.
	{"ARN_ACCOUNT_NOT_ALLOWED", Error, "a resource ARN names an account where that resource type's ARN has none, as an S3 bucket's"},
	{"ARN_REGION_NOT_ALLOWED", Error, "a resource ARN names a Region where that resource type's ARN has none, as an IAM role's"},
	{"DATA_TYPE_MISMATCH", Error, "an element is of another JSON type than it must be, such as a number as Effect"},
	{"DUPLICATE_KEYS_WITH_DIFFERENT_CASE", Error, "a condition key occurs twice under one operator, in different case"},
	{"EMPTY_VARIABLE", Error, "a policy variable has no name: ${}"},
	{"FEDERATED_PRINCIPAL_NOT_SUPPORTED", Error, "a resource policy that is no role trust policy names a Federated principal"},
	{"INVALID_ACTION", Error, "the action, or a pattern of actions, names nothing that its service has"},
	{"INVALID_ARN_ACCOUNT", Error, "the account of a resource ARN is not twelve digits"},
	{"INVALID_ARN_PREFIX", Error, "a resource is neither * nor starts with arn:"},
	{"INVALID_ARN_REGION", Error, "the Region of a resource ARN does not exist in its partition"},
	{"INVALID_ARN_RESOURCE", Error, "the last part of a resource ARN fits no resource type of its service"},
	{"INVALID_ARN_SERVICE_CASE", Error, "the service of a resource ARN has capital letters"},
	{"INVALID_CONDITION_DATA_TYPE", Error, "the values of one condition key are of different JSON types"},
	{"INVALID_CONDITION_KEY_FORMAT", Error, "a condition key is not of the form service:name"},
	{"INVALID_CONDITION_MULTIPLE_BOOLEAN", Error, "a Bool or Null operator has several values"},
	{"INVALID_CONDITION_OPERATOR", Error, "a condition operator does not exist"},
	{"INVALID_EFFECT", Error, "the Effect is neither Allow nor Deny"},
	{"INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY", Error, "a Federated principal of a role trust policy is neither a domain name nor the ARN of a SAML or OIDC provider"},
	{"INVALID_GLOBAL_CONDITION_KEY", Error, "a condition key starts with aws: and does not exist"},
	{"INVALID_KMS_KEY_VALUE", Error, "a condition key that takes a KMS key is compared with something that is not a key ARN"},
	{"INVALID_PARTITION", Error, "the partition of a resource ARN does not exist"},
	{"INVALID_POLICY_ELEMENT", Error, "the policy or a statement has an element that the policy language does not know"},
	{"INVALID_PRINCIPAL_FORMAT", Error, "a Principal is neither * nor an object of principal types"},
	{"INVALID_PRINCIPAL_KEY", Error, "a principal type is none of AWS, CanonicalUser, Federated, Service"},
	{"INVALID_REGION", Error, "a condition compares a Region with one that does not exist"},
	{"INVALID_SERVICE", Error, "the service of a resource ARN or of a condition key does not exist"},
	{"INVALID_SERVICE_CONDITION_KEY", Error, "a condition key's service exists and has no such key"},
	{"INVALID_SERVICE_IN_ACTION", Error, "an action's service does not exist"},
	{"INVALID_SERVICE_PRINCIPAL_FORMAT", Error, "a service principal, or a condition value that must be one, is not of the form service.amazonaws.com; kms:ViaService also wants the Region"},
	{"INVALID_VARIABLE_FOR_OPERATOR", Error, "a policy variable is compared by an operator that is no String or Arn operator"},
	{"INVALID_VERSION", Error, "the Version is neither 2012-10-17 nor 2008-10-17"},
	{"INVALID_VPCE_FORMAT", Error, "aws:SourceVpce is compared with something that is not vpce- and 8 or 17 characters"},
	{"INVALID_VPC_FORMAT", Error, "aws:SourceVpc is compared with something that is not vpc- and 8 or 17 characters"},
	{"JSON_SYNTAX_ERROR", Error, "the document is not JSON, or an object has the same key twice"},
	{"MISMATCHED_ACTION_FOR_PRINCIPAL", Error, "a role trust policy pairs an AssumeRole action with a principal that cannot use it: SAML needs AssumeRoleWithSAML, OIDC AssumeRoleWithWebIdentity, all others AssumeRole"},
	{"MISSING_ACTION", Error, "a statement has neither Action nor NotAction"},
	{"MISSING_ACTION_FOR_CONDITION_KEY", Error, "a condition looks at a value that only another action can set: sts:SourceIdentity without sts:SetSourceIdentity, session tags without sts:TagSession"},
	{"MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY", Error, "a role trusts rolesanywhere.amazonaws.com without all of sts:AssumeRole, sts:SetSourceIdentity and sts:TagSession"},
	{"MISSING_ARN_ACCOUNT", Error, "a resource ARN lacks the account that its resource type's ARN has"},
	{"MISSING_ARN_FIELD", Error, "a resource ARN has fewer than six parts"},
	{"MISSING_ARN_REGION", Error, "a resource ARN lacks the Region that its resource type's ARN has"},
	{"MISSING_BRACE_IN_VARIABLE", Error, "a policy variable has no closing brace"},
	{"MISSING_EFFECT", Error, "a statement has no Effect"},
	{"MISSING_PRINCIPAL", Error, "a statement of a resource, trust or resource control policy has neither Principal nor NotPrincipal"},
	{"MISSING_QUALIFIER", Error, "a condition key with several values is used without ForAllValues or ForAnyValue"},
	{"MISSING_QUOTE_IN_VARIABLE", Error, "the default value of a policy variable is not in single quotes"},
	{"MISSING_RESOURCE", Error, "a statement has neither Resource nor NotResource and the policy is no role trust policy"},
	{"MISSING_STATEMENT", Error, "the policy has no statement"},
	{"MISSING_TAG_KEY_IN_CONDITION", Error, "a condition key for tags does not name the tag: aws:ResourceTag instead of aws:ResourceTag/team"},
	{"NULL_WITH_IF_EXISTS", Error, "the operator is NullIfExists"},
	{"POLICY_SIZE_EXCEEDS_RCP_QUOTA", Error, "a resource control policy has more than 5,120 characters"},
	{"POLICY_SIZE_EXCEEDS_SCP_QUOTA", Error, "a service control policy has more than 10,240 characters"},
	{"PRIVATE_IP_ADDRESS", Error, "aws:SourceIp is compared with private addresses only, which it never holds"},
	{"PRIVATE_NOT_IP_ADDRESS", Error, "aws:SourceIp must not be in private ranges only, which is always so"},
	{"RCP_SYNTAX_ERROR_ACTION", Error, "a resource control policy names an action of a service that such policies do not reach, or denies *"},
	{"RCP_SYNTAX_ERROR_ALLOW", Error, "a resource control policy allows something other than everything to everyone"},
	{"RCP_SYNTAX_ERROR_NOTACTION", Error, "a resource control policy has NotAction"},
	{"RCP_SYNTAX_ERROR_PRINCIPAL", Error, "a resource control policy has a Principal other than *, or NotPrincipal"},
	{"ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL", Error, "a role trust policy has NotPrincipal"},
	{"ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE", Error, "a role trust policy has Resource or NotResource"},
	{"ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", Error, "a role trust policy has Principal: * instead of an object"},
	{"SCP_SYNTAX_ERROR_ACTION_WILDCARD", Error, "a service control policy's action has a wildcard that is not its last character"},
	{"SCP_SYNTAX_ERROR_PRINCIPAL", Error, "a service control policy has Principal or NotPrincipal"},
	{"TYPE_MISMATCH_IP_RANGE", Error, "an IP address operator compares with something that is no address and no range"},
	{"UNIQUE_SIDS_REQUIRED", Error, "two statements of an identity policy have the same Sid"},
	{"UNSUPPORTED_ACTION_FOR_CONDITION_KEY", Error, "an action, named in full, never carries the service's condition key that the statement looks at"},
	{"UNSUPPORTED_ACTION_IN_POLICY", Error, "an action does not work on the type of resource that the policy is attached to"},
	{"UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", Error, "a statement for service principals looks at a property that only users and roles have, such as aws:PrincipalOrgID"},
	{"UNSUPPORTED_ELEMENT_COMBINATION", Error, "a statement has Action with NotAction, Resource with NotResource, or Principal with NotPrincipal"},
	{"UNSUPPORTED_GLOBAL_CONDITION_KEY", Error, "an identity or service control policy uses aws:ARN"},
	{"UNSUPPORTED_PRINCIPAL", Error, "an identity policy has Principal or NotPrincipal"},
	{"UNSUPPORTED_RESOURCE_ARN_IN_POLICY", Error, "a resource is not of the type that the policy is attached to; for S3 that includes *"},
	{"UNSUPPORTED_SID", Error, "a Sid of an IAM or Organizations policy has other characters than letters and digits"},
	{"UNSUPPORTED_SPACE_IN_VARIABLE", Error, "the name of a policy variable has a space"},
	{"UNSUPPORTED_WILDCARD_IN_PRINCIPAL", Error, "a principal has a wildcard and is not AWS: *"},
	{"VARIABLE_UNSUPPORTED_IN_ELEMENT", Error, "a policy variable stands in another element than Resource and Condition"},
	{"VARIABLE_UNSUPPORTED_IN_VERSION", Error, "a policy variable stands in a policy without Version 2012-10-17"},
	{"VARIABLE_USAGE_TOO_PERMISSIVE", Error, "a policy variable can act as a wildcard on a key that must be exact: a sensitive key, the first half of aws:userid, or the subject of an OIDC token before six fixed characters"},
	{"WILDCARD_USAGE_TOO_PERMISSIVE", Error, "a wildcard on a key that must be exact: a sensitive key, the first half of aws:userid, or the subject of an OIDC token before six fixed characters"},

	// Security warnings.
	{"ALLOW_WITH_NOT_PRINCIPAL", SecurityWarning, "Allow with NotPrincipal"},
	{"DENY_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", SecurityWarning, "Deny with NotAction depends on aws:ResourceTag"},
	{"DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", SecurityWarning, "Deny depends on aws:ResourceTag for actions that never carry it"},
	{"DYNAMODB_ATTRIBUTES_WITHOUT_SELECT", SecurityWarning, "Allow restricts dynamodb:Attributes for reads without dynamodb:Select SPECIFIC_ATTRIBUTES"},
	{"FORALLVALUES_WITH_SINGLE_VALUED_KEY", SecurityWarning, "ForAllValues on a key that has one value; it is also true when the key is missing"},
	{"FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE", SecurityWarning, "ForAnyValue on the audience of an OIDC token"},
	{"MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL", SecurityWarning, "an OIDC provider may assume the role and no condition looks at that provider's token"},
	{"MISSING_GITHUB_REPO_CONDITION_KEY", SecurityWarning, "GitHub may assume the role and no condition looks at token.actions.githubusercontent.com:sub"},
	{"MISSING_PAIRED_CONDITION_KEYS", SecurityWarning, "a private address is compared without the VPC that makes it unique: aws:VpcSourceIp without aws:SourceVpc"},
	{"PASS_ROLE_WITH_NOT_ACTION_AND_NOT_RESOURCE", SecurityWarning, "Allow with NotAction and NotResource includes iam:PassRole"},
	{"PASS_ROLE_WITH_NOT_RESOURCE", SecurityWarning, "Allow iam:PassRole with NotResource"},
	{"PASS_ROLE_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE", SecurityWarning, "Allow of an action pattern that includes iam:PassRole, with NotResource"},
	{"PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE", SecurityWarning, "Allow of an action pattern that includes iam:PassRole, on all roles"},
	{"PASS_ROLE_WITH_STAR_IN_RESOURCE", SecurityWarning, "Allow iam:PassRole on all roles, without iam:PassedToService"},
	{"PASS_ROLE_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION", SecurityWarning, "Allow with NotAction includes iam:PassRole, on all roles"},
	{"RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", SecurityWarning, "a resource policy allows a service principal without naming the source (aws:SourceArn, aws:SourceAccount, aws:SourceOrgID or aws:SourceOrgPaths)"},
	{"S3_PREFIX_IN_NEGATIVE_CONTEXT", SecurityWarning, "Deny of some s3:prefix, or Allow of all but some: a shorter prefix gets around it"},
	{"STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", SecurityWarning, "StringLike compares a key that holds an ARN"},
	{"UNTRUSTWORTHY_CONDITION_KEY", SecurityWarning, "a condition relies on a value that the caller chooses, aws:UserAgent or aws:Referer"},

	// Warnings.
	{"CREATE_SLR_WITH_NOT_ACTION_AND_NOT_RESOURCE", Warning, "Allow with NotAction and NotResource includes iam:CreateServiceLinkedRole"},
	{"CREATE_SLR_WITH_NOT_RESOURCE", Warning, "Allow iam:CreateServiceLinkedRole with NotResource"},
	{"CREATE_SLR_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE", Warning, "Allow of an action pattern that includes iam:CreateServiceLinkedRole, with NotResource"},
	{"CREATE_SLR_WITH_STAR_IN_ACTION_AND_RESOURCE", Warning, "Allow of an action pattern that includes iam:CreateServiceLinkedRole, on all roles"},
	{"CREATE_SLR_WITH_STAR_IN_RESOURCE", Warning, "Allow iam:CreateServiceLinkedRole on all roles"},
	{"CREATE_SLR_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION", Warning, "Allow with NotAction includes iam:CreateServiceLinkedRole, on all roles"},
	{"DEPRECATED_GLOBAL_CONDITION_KEY", Warning, "a resource, trust or resource control policy uses aws:ARN"},
	{"INVALID_DATE_VALUE", Warning, "a date is written as a number"},
	{"INVALID_ROLE_REFERENCE", Warning, "a Principal is a role's unique id (AROA…)"},
	{"INVALID_USER_REFERENCE", Warning, "a Principal is a user's unique id (AIDA…)"},
	{"MISSING_VERSION", Warning, "the policy has no Version"},
	{"POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA", Warning, "an identity policy has more than 6,144 characters that are not white space"},
	{"POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA", Warning, "a resource policy has more than 20,480 characters"},
	{"POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA", Warning, "a role trust policy has more than 2,048 characters that are not white space"},
	{"RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY", Warning, "a resource control policy looks at a property of the principal and does not exempt services with aws:PrincipalIsAWSService"},
	{"RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY", Warning, "a resource control policy looks at the source of a service's request and is not limited to services with aws:PrincipalIsAWSService"},
	{"RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK", Warning, "a resource control policy looks at the source of a service's request without a Null check of aws:SourceAccount or aws:SourceArn"},
	{"SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED", Warning, "the condition on GitHub's subject does not name one repository and branch"},
	{"TYPE_MISMATCH", Warning, "an operator compares a key of another type"},
	{"TYPE_MISMATCH_BOOLEAN", Warning, "a Bool or Null operator compares with something other than true and false"},
	{"TYPE_MISMATCH_DATE", Warning, "a date operator compares with something that is no date"},
	{"TYPE_MISMATCH_NUMBER", Warning, "a numeric operator compares with something that is no number"},
	{"TYPE_MISMATCH_STRING", Warning, "BinaryEquals compares with something that is not base64"},
	{"UNIQUE_SIDS_RECOMMENDED", Warning, "two statements of a policy that is no identity policy have the same Sid"},
	{"USE_CONDITION_KEY_ONLY_WITH_SUPPORTED_SERVICES", Warning, "aws:VpceAccount, aws:VpceOrgID or aws:VpceOrgPaths is used with actions of services that do not send it"},
	{"WILDCARD_WITHOUT_LIKE_OPERATOR", Warning, "a String operator without Like compares with a value that has * or ?"},

	// Suggestions.
	{"ALLOW_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", Suggestion, "Allow with NotAction depends on aws:ResourceTag"},
	{"ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", Suggestion, "Allow depends on aws:ResourceTag for actions that never carry it"},
	{"CONFIRM_AUDIENCE_CLAIM_TYPE", Suggestion, "a trust policy compares the audience of an OIDC provider's token, without a set operator"},
	{"EMPTY_ARRAY_ACTION", Suggestion, "Action or NotAction is an empty list"},
	{"EMPTY_ARRAY_CONDITION", Suggestion, "a condition key is compared with an empty list"},
	{"EMPTY_ARRAY_CONDITION_FORALLVALUES", Suggestion, "a condition key is compared with an empty list under ForAllValues"},
	{"EMPTY_ARRAY_CONDITION_FORANYVALUE", Suggestion, "a condition key is compared with an empty list under ForAnyValue"},
	{"EMPTY_ARRAY_CONDITION_IFEXISTS", Suggestion, "a condition key is compared with an empty list under …IfExists"},
	{"EMPTY_ARRAY_PRINCIPAL", Suggestion, "a principal type has an empty list"},
	{"EMPTY_ARRAY_RESOURCE", Suggestion, "Resource or NotResource is an empty list"},
	{"EMPTY_OBJECT_CONDITION", Suggestion, "Condition, or an operator in it, is an empty object"},
	{"EMPTY_OBJECT_PRINCIPAL", Suggestion, "Principal or NotPrincipal is an empty object"},
	{"EMPTY_SID_VALUE", Suggestion, "a Sid is empty"},
	{"EQUIVALENT_TO_NULL_FALSE", Suggestion, "a condition with the value * only asks whether the key is present"},
	{"EQUIVALENT_TO_NULL_TRUE", Suggestion, "a condition with the value * only asks whether the key is absent"},
	{"IMPROVE_IP_RANGE", Suggestion, "an IP range has bits set behind its mask"},
	{"IRRELEVANT_CONDITION_KEY_IN_POLICY", Suggestion, "a bucket or access point policy looks at s3:ResourceAccount"},
	{"NULL_WITH_QUALIFIER", Suggestion, "the operator Null has ForAllValues or ForAnyValue"},
	{"PRIVATE_IP_ADDRESS_SUBSET", Suggestion, "aws:SourceIp is compared with private and public addresses"},
	{"PRIVATE_NOT_IP_ADDRESS_SUBSET", Suggestion, "aws:SourceIp must not be in private and public ranges"},
	{"RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", Suggestion, "a resource policy limits a service principal by aws:Referer, aws:SourceOwner or the like instead of its source"},
	{"REDUNDANT_ACTION", Suggestion, "other actions of the list already include an action"},
	{"REDUNDANT_CONDITION_VALUE_NUM", Suggestion, "a numeric less-than or greater-than has several values, of which one decides"},
	{"REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", Suggestion, "a condition with the value * is always true"},
	{"REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY", Suggestion, "a role trust policy names a role and also a session of that role"},
	{"REDUNDANT_RESOURCE", Suggestion, "another resource of the list already includes a resource"},
	{"REDUNDANT_STATEMENT", Suggestion, "two statements say the same"},
	{"REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION", Suggestion, "a condition with the value * is never true"},
	{"WILDCARD_IN_SERVICE_NAME", Suggestion, "the service of an action or a resource ARN has a wildcard"},

	// Our own.
	{"BARTIZAN_ACTION_NEVER_MATCHES", Suggestion, "none of the statement's resources is of a type that the action works on"},
	{"BARTIZAN_CONDITION_NEVER_TRUE", Suggestion, "two conditions of the statement contradict each other"},
	{"BARTIZAN_KEY_NEVER_SENT", Suggestion, "no action of the statement, wildcards included, carries the service's condition key"},
	{"BARTIZAN_SHADOWED_STATEMENT", Suggestion, "an earlier or later statement without conditions already decides everything that this one says"},
}
