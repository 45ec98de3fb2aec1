package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/internal/glob"
)

// checkPermissions finds identity policies that allow passing any role, or
// creating any service-linked role.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func (l *linter) checkPermissions(s *statement) {
	if !l.isIdentity() || !s.allows() || s.action == nil || s.resource == nil {
		return
	}
	if !s.cond("iam:passedtoservice") {
		l.broadRole(s, "iam:PassRole", "PASS_ROLE", allRoles, "name the roles, or the service with a condition on iam:PassedToService")
	}
	if !s.cond("iam:awsservicename") {
		l.broadRole(s, "iam:CreateServiceLinkedRole", "CREATE_SLR", allServiceRoles, "name the roles, or the service with a condition on iam:AWSServiceName")
	}
}

// allRoles tells whether a resource names every role. One that fixes the
// beginning of the name does not.
func allRoles(resource string) bool {
	if strings.Trim(resource, "*") == "" && resource != "" {
		return true
	}
	p := catalog.SplitARN(resource)
	if len(p) < 6 {
		return strings.HasPrefix(resource, "arn:") && strings.HasSuffix(resource, "*") && (len(p) < 3 || glob.Match(p[2], "iam"))
	}
	if !glob.Match(p[2], "iam") {
		return false
	}
	rest := strings.TrimPrefix(p[5], "role/")
	return rest != "" && strings.Trim(rest, "*?/") == "" && strings.Contains(rest, "*")
}

func allServiceRoles(resource string) bool {
	return allRoles(strings.Replace(resource, ":role/aws-service-role/", ":role/", 1))
}

func (l *linter) broadRole(s *statement, action, prefix string, broad func(string) bool, advice string) {
	included, wild := s.names(action)
	if !included {
		return
	}
	where := s.resource
	if !s.notRes {
		where = nil
		for _, r := range s.resources {
			if broad(r.Text) {
				where = r
				break
			}
		}
		if where == nil {
			return
		}
	} else if len(s.resources) == 0 {
		return // an empty list excludes nothing, which EMPTY_ARRAY_RESOURCE says
	}
	code := prefix
	switch {
	case s.notRes && s.notAction:
		code += "_WITH_NOT_ACTION_AND_NOT_RESOURCE"
	case s.notRes && wild:
		code += "_WITH_STAR_IN_ACTION_AND_NOT_RESOURCE"
	case s.notRes:
		code += "_WITH_NOT_RESOURCE"
	case s.notAction:
		code += "_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION"
	case wild:
		code += "_WITH_STAR_IN_ACTION_AND_RESOURCE"
	default:
		code += "_WITH_STAR_IN_RESOURCE"
	}
	l.add(code, where, "this allows %s on all roles; %s", action, advice)
}
