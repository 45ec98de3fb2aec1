package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// attached says what may stand in the policy of a type of resource.
type attached struct {
	service string
	types   []string // of the service
}

var attachedTo = map[string]attached{
	S3Bucket:       {"s3", []string{"bucket", "object"}},
	S3AccessPoint:  {"s3", []string{"accesspoint", "accesspointobject", "object", "bucket"}},
	S3MultiRegion:  {"s3", []string{"multiregionaccesspoint", "accesspoint", "accesspointobject", "object", "bucket"}},
	S3ObjectLambda: {"s3-object-lambda", []string{"objectlambdaaccesspoint"}},
	DynamoDBTable:  {"dynamodb", []string{"table", "index", "stream"}},
}

// checkResourcePolicy looks at a statement of a resource policy.
func (l *linter) checkResourcePolicy(s *statement) {
	if a, ok := attachedTo[l.resourceType]; ok {
		l.attachedActions(s, a)
		l.attachedResources(s, a)
	}
	if l.resourceType == S3Bucket || l.resourceType == S3AccessPoint {
		for _, c := range s.conds {
			if c.low == "s3:resourceaccount" {
				l.addKey("IRRELEVANT_CONDITION_KEY_IN_POLICY", c.node, "in the policy of a bucket the account of the resource is always its own; use the key in identity policies")
			}
		}
	}
	if l.resourceType == "" && s.onlySTS() {
		l.mismatchedActions(s)
		if s.allows() {
			l.oidc(s)
		}
		return
	}
	l.servicePrincipals(s)
}

func (l *linter) attachedActions(s *statement, at attached) {
	for _, n := range s.actions {
		prefix, _, ok := strings.Cut(strings.ToLower(n.Text), ":")
		if !ok || strings.ContainsAny(prefix, "*?") {
			continue // "*" is every action that the resource has
		}
		if _, known := l.cat.Service(prefix); !known {
			continue // INVALID_SERVICE_IN_ACTION says it
		}
		fits := prefix == at.service
		if a, known := l.cat.Action(n.Text); known && fits && at.service == "s3" {
			fits = worksOn(a, at.types)
		}
		if !fits {
			l.add("UNSUPPORTED_ACTION_IN_POLICY", n, "the policy of a resource of type %s cannot have the action %s", l.resourceType, clip(n.Text))
		}
	}
}

func worksOn(a *catalog.Action, types []string) bool {
	for _, r := range a.ResourceTypes {
		for _, t := range types {
			if strings.EqualFold(r.Type, t) {
				return true
			}
		}
	}
	return false
}

func (l *linter) attachedResources(s *statement, at attached) {
	for _, n := range s.resources {
		if strings.Trim(n.Text, "*") == "" && n.Text != "" && at.service != "dynamodb" {
			l.add("UNSUPPORTED_RESOURCE_ARN_IN_POLICY", n, "the policy of a resource of type %s must name its resource, not *", l.resourceType)
			continue
		}
		p := catalog.SplitARN(n.Text)
		if len(p) < 6 || hasWildcard(p[2]) || strings.Contains(p[2], "${") {
			continue
		}
		types, known := l.cat.ARNTypes(p[2])
		if !known {
			continue // INVALID_SERVICE says it
		}
		fits := false
		for _, t := range types {
			ours := t.Service == at.service || t.Service == "s3" && at.service == "s3-object-lambda"
			for _, name := range at.types {
				fits = fits || ours && strings.EqualFold(t.Name, name) && catalog.MatchARN(n.Text, t)
			}
		}
		fits = fits || at.service == "s3-object-lambda" && p[2] == at.service
		if !fits {
			l.add("UNSUPPORTED_RESOURCE_ARN_IN_POLICY", n, "the policy of a resource of type %s cannot name %s", l.resourceType, clip(n.Text))
		}
	}
}

// sourceKeys limit for whom a service acts.
var sourceKeys = []string{"aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths"}

// weakSourceKeys are used for that and do it badly.
var weakSourceKeys = map[string]bool{"aws:referer": true, "aws:sourceowner": true, "aws:useragent": true}

// servicePrincipals guards against the confused deputy.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func (l *linter) servicePrincipals(s *statement) {
	some, only := s.services()
	if !some {
		return
	}
	if only {
		for _, c := range s.conds {
			if userKey(c.low) {
				l.addKey("UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", c.node, "requests of a service principal do not carry %s; remove it or use aws:SourceArn and the like", clip(c.node.Key))
			}
		}
	}
	if !s.allows() || s.cond(sourceKeys...) {
		return
	}
	for _, c := range s.conds {
		if weakSourceKeys[c.low] {
			l.addKey("RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL", c.node, "limit a service by aws:SourceArn, aws:SourceAccount, aws:SourceOrgID or aws:SourceOrgPaths instead of %s", clip(c.node.Key)).Replace = "aws:SourceArn"
			return
		}
	}
	for _, p := range s.princ {
		if p.kind == "Service" {
			l.add("RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL", p.node, "whoever can make %s act can use this; add a condition on aws:SourceArn, aws:SourceAccount, aws:SourceOrgID or aws:SourceOrgPaths", clip(p.node.Text))
		}
	}
}

// userKey reports whether the key is a property of users and roles.
func userKey(low string) bool {
	switch low {
	case "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:userid", "aws:username":
		return true
	}
	return strings.HasPrefix(low, "aws:principaltag/")
}

// checkRCP looks at a statement of a resource control policy.
//
// Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps_syntax.html
func (l *linter) checkRCP(s *statement) {
	if s.notAction {
		l.addKey("RCP_SYNTAX_ERROR_NOTACTION", s.action, "a resource control policy cannot have NotAction; list the actions in Action")
	}
	everyone := s.everyone
	if s.principal != nil {
		if len(s.princ) == 1 && s.princ[0].kind == "AWS" && s.princ[0].node.Text == "*" {
			everyone = true
		}
		if s.notPrinc || !everyone {
			l.addKey("RCP_SYNTAX_ERROR_PRINCIPAL", s.principal, `a resource control policy can only have "Principal": "*"; compare the principal in a condition`)
		}
	}
	if s.allows() {
		star := len(s.resources) == 1 && s.resources[0].Text == "*" && !s.notRes
		if !everyone || !star || s.hasCond || s.notPrinc {
			l.add("RCP_SYNTAX_ERROR_ALLOW", s.node, "a resource control policy can allow only everything to everyone without a condition; restrict with Deny")
		}
	}
	for _, n := range s.actions {
		prefix, _, ok := strings.Cut(strings.ToLower(n.Text), ":")
		switch {
		case !ok:
			if n.Text == "*" && s.denies() {
				l.add("RCP_SYNTAX_ERROR_ACTION", n, "a resource control policy cannot deny *; name the services, as in s3:*")
			}
		case strings.ContainsAny(prefix, "*?"):
		default:
			if _, known := l.cat.Service(prefix); known && !l.cat.SupportsRCP(prefix) {
				l.add("RCP_SYNTAX_ERROR_ACTION", n, "resource control policies do not reach the service %s", prefix)
			}
		}
	}
	if s.denies() {
		l.rcpConditions(s)
	}
}

func (l *linter) rcpConditions(s *statement) {
	isService := s.cond("aws:principalisawsservice")
	nullCheck := false
	for _, c := range s.conds {
		if c.op.family == "Null" && (c.low == "aws:sourceaccount" || c.low == "aws:sourcearn") {
			nullCheck = true
		}
	}
	for _, c := range s.conds {
		if c.op.family == "Null" {
			continue
		}
		if strings.HasPrefix(c.low, "aws:principal") && userKey(c.low) && !isService {
			l.addKey("RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY", c.node, `services have no %s and would be denied; add "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}`, clip(c.node.Key)).Replace = `"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}`
		}
		for _, k := range sourceKeys {
			if c.low != k {
				continue
			}
			if !isService {
				l.addKey("RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY", c.node, `users and roles have no %s and would be denied; add "BoolIfExists": {"aws:PrincipalIsAWSService": "true"}`, clip(c.node.Key)).Replace = `"BoolIfExists": {"aws:PrincipalIsAWSService": "true"}`
			}
			if !nullCheck {
				l.addKey("RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK", c.node, `some requests of services carry no %s and would be denied; add "Null": {"aws:SourceAccount": "false"}`, clip(c.node.Key)).Replace = `"Null": {"aws:SourceAccount": "false"}`
			}
		}
	}
}
