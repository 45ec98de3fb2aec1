package identity

import "strings"

// needsNoPermission reports the calls that AWS answers whatever the policies say.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (e *evaluation) needsNoPermission() (string, bool) {
	if e.service != "sts" {
		return "", false
	}
	switch {
	case strings.EqualFold(e.name, "GetCallerIdentity") && e.caller.inAccount():
		return "sts:GetCallerIdentity needs no permission, and no policy can deny it", true
	case strings.EqualFold(e.name, "GetSessionToken") && (e.caller.Kind == UserCaller || e.caller.Kind == RootCaller):
		return "sts:GetSessionToken needs no permission: policies cannot control authentication", true
	}
	return "", false
}

// needsResourcePolicy reports whether the resource's own policy must let the
// caller's account in even within one account: role trust and KMS key policies.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html
func (e *evaluation) needsResourcePolicy() bool {
	if e.service != "sts" && e.service != "kms" {
		return false
	}
	seg, ok := splitARN(e.target)
	if !ok {
		return false
	}
	switch e.service {
	case "sts":
		return seg[2] == "iam" && strings.HasPrefix(seg[5], "role/") && isTrustAction(e.name)
	case "kms":
		return seg[2] == "kms" && strings.HasPrefix(seg[5], "key/")
	}
	return false
}

func isTrustAction(name string) bool {
	for _, a := range [...]string{"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "TagSession", "SetSourceIdentity", "SetContext"} {
		if strings.EqualFold(name, a) {
			return true
		}
	}
	return false
}

// managementAccount returns the organization's management account, or "".
func (e *evaluation) managementAccount() string {
	if e.req.ManagementAccount != "" {
		return e.req.ManagementAccount
	}
	if v, state := e.req.value("aws:PrincipalOrgMasterAccountId"); state == keyPresent && len(v) == 1 {
		return v[0]
	}
	return ""
}

// underServiceControl reports whether service control policies apply: to users
// and roles of member accounts, root users included, but neither to the
// management account nor to service-linked roles.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps.html
func (e *evaluation) underServiceControl() bool {
	c := &e.caller
	return c.inAccount() && !e.isServiceLinked() && c.AccountID != e.managementAccount()
}

// underResourceControl reports whether resource control policies apply: to the
// resources of some services in member accounts, whoever calls, but not to
// calls of service-linked roles, and not to kms:RetireGrant.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
func (e *evaluation) underResourceControl() bool {
	if !e.facts.resourceControl || e.isServiceLinked() {
		return false
	}
	if e.service == "kms" && strings.EqualFold(e.name, "RetireGrant") {
		return false
	}
	return e.owner == "" || e.owner != e.managementAccount()
}

// isServiceLinked reports whether the caller is a service-linked role: its path
// is /aws-service-role/, and the name of such a role starts with
// AWSServiceRoleFor, which is all that a session's ARN shows.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
func (e *evaluation) isServiceLinked() bool {
	const path = "/aws-service-role/"
	switch e.caller.Kind {
	case RoleCaller:
		return strings.HasPrefix(e.caller.Path, path)
	case SessionCaller:
		if v, state := e.req.value("aws:PrincipalArn"); state == keyPresent && len(v) == 1 {
			return strings.Contains(v[0], ":role"+path)
		}
		return strings.HasPrefix(e.caller.Role, "AWSServiceRoleFor")
	}
	return false
}
