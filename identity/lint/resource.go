package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

func (l *linter) readResources(s *statement) {
	r := s.node.Member("Resource")
	if r == nil {
		r = s.node.Member("NotResource")
		s.notRes = r != nil
	}
	if r == nil {
		if l.kind != Trust && !(l.kind == Resource && l.resourceType == "" && s.onlySTS()) {
			l.add("MISSING_RESOURCE", s.node, "the statement has neither Resource nor NotResource")
		}
		return
	}
	s.resource = r
	if l.kind == Trust {
		l.addKey("ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE", r, "a role trust policy applies to its own role and cannot have %s", r.Key)
		return
	}
	s.resources = l.texts(r)
	if isEmptyArray(r) {
		l.add("EMPTY_ARRAY_RESOURCE", r, "the list of resources is empty")
	}
}

func (l *linter) checkResources(s *statement) {
	for _, n := range s.resources {
		l.checkVariables(n)
		l.checkARN(n)
	}
	l.redundantResources(s)
}

// checkARN looks at one resource.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func (l *linter) checkARN(n *identity.Node) {
	text := n.Text
	if text != "" && strings.Trim(text, "*") == "" {
		return
	}
	if !strings.HasPrefix(text, "arn:") {
		if strings.HasPrefix(text, "${") {
			return // the variable may hold an ARN
		}
		f := l.add("INVALID_ARN_PREFIX", n, "the resource %q is neither * nor an ARN, which starts with arn:", clip(text))
		if strings.HasPrefix(strings.ToLower(text), "arn:") {
			f.suggest("arn:" + text[4:])
		} else if strings.Count(text, ":") == 5 && strings.HasPrefix(text, ":") {
			f.suggest("arn" + text)
		}
		return
	}
	p := catalog.SplitARN(text)
	if len(p) < 6 {
		l.add("MISSING_ARN_FIELD", n, "the ARN %q has %d parts; all six of arn:partition:service:region:account:resource are needed", clip(text), len(p))
		return
	}
	partition, service, region, account := p[1], p[2], p[3], p[4]
	if !knownPartition(partition) {
		l.add("INVALID_PARTITION", n, "there is no partition %q; they are aws, aws-cn, aws-us-gov and others", clip(partition)).suggest(nearestPartition(partition))
	}
	if strings.Contains(service, "${") {
		return
	}
	if strings.ContainsAny(service, "*?") {
		l.add("WILDCARD_IN_SERVICE_NAME", n, "the service %q of the ARN has a wildcard and may come to include other services", clip(service))
		return
	}
	if low := strings.ToLower(service); low != service {
		l.add("INVALID_ARN_SERVICE_CASE", n, "the service %q of the ARN must be in lower case", clip(service)).suggest(strings.Replace(text, ":"+service+":", ":"+low+":", 1))
		return
	}
	types, known := l.cat.ARNTypes(service)
	if !known {
		l.add("INVALID_SERVICE", n, "there is no service %q", clip(service)).suggest(l.cat.NearestService(service))
		return
	}
	if len(types) == 0 || !l.spend(len(types)*(len(p[5])+1)*40) {
		return
	}
	l.checkARNParts(n, service, partition, region, account, p[5], types)
}

// arnFormat is an ARN format split into its parts.
type arnFormat struct{ region, account, resource string }

func (l *linter) checkARNParts(n *identity.Node, service, partition, region, account, resource string, types []*catalog.ResourceType) {
	var fits []arnFormat
	for _, t := range types {
		f := catalog.SplitARN(t.ARN)
		if resource != "" && catalog.Overlap(resource, f[5]) {
			fits = append(fits, arnFormat{f[3], f[4], f[5]})
		}
	}
	if len(fits) == 0 {
		if !otherResource[service].fits(resource) {
			l.add("INVALID_ARN_RESOURCE", n, "the resource %q fits no resource type of %s", clip(resource), service)
		}
		l.checkARNAccount(n, account, nil)
		return
	}
	some := func(ok func(arnFormat) bool) bool {
		for _, f := range fits {
			if ok(f) {
				return true
			}
		}
		return false
	}
	switch {
	case region == "":
		if !some(func(f arnFormat) bool { return f.region == "" }) {
			l.add("MISSING_ARN_REGION", n, "the ARN of this %s resource needs a Region; write * for all of them", service)
		}
	case isStar(region):
	case !some(func(f arnFormat) bool { return f.region != "" }):
		l.add("ARN_REGION_NOT_ALLOWED", n, "the ARN of this %s resource has no Region; leave that part empty", service)
	case !knownRegion(partition, region):
		l.add("INVALID_ARN_REGION", n, "the Region %q does not exist in the partition %s", clip(region), partition)
	}
	switch {
	case account == "":
		if !some(func(f arnFormat) bool { return f.account == "" }) && !publicResource[service].fits(resource) {
			l.add("MISSING_ARN_ACCOUNT", n, "the ARN of this %s resource needs an account; write * for all of them", service)
		}
	case isStar(account):
	case !some(func(f arnFormat) bool { return f.account != "" }):
		l.add("ARN_ACCOUNT_NOT_ALLOWED", n, "the ARN of this %s resource has no account; leave that part empty", service)
	default:
		l.checkARNAccount(n, account, fits)
	}
}

func (l *linter) checkARNAccount(n *identity.Node, account string, fits []arnFormat) {
	if account == "" || account == "aws" || hasWildcard(account) || strings.Contains(account, "${") || isAccountID(account) {
		return
	}
	for _, f := range fits {
		if f.account == account {
			return
		}
	}
	l.add("INVALID_ARN_ACCOUNT", n, "the account %q of the ARN is not twelve digits", clip(account))
}

func isStar(s string) bool { return s != "" && strings.Trim(s, "*") == "" || strings.Contains(s, "${") }

func isAccountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func nearestPartition(s string) string {
	low := strings.ToLower(s)
	if _, ok := partitions[low]; ok {
		return low
	}
	return ""
}

// patternList is a list of resource patterns.
type patternList []string

func (p patternList) fits(resource string) bool {
	for _, f := range p {
		if catalog.Overlap(resource, f) {
			return true
		}
	}
	return false
}

// otherResource holds resources that policies name although the authorization
// reference lists no resource type for them.
var otherResource = map[string]patternList{
	"iam": {"root"}, // principals stand in the resource of some policies
	"sts": {"assumed-role/${Role}/${Session}", "federated-user/${User}", "self"},

	"apigateway":     {"/v2${Path}", "/tags${Path}", "/tags"},
	"aps":            {"/workspaces"},
	"autoscaling":    {"scalingPolicy:${Id}"},
	"cloudformation": {"transform/${Name}"},
	"grafana":        {"/workspaces"},
	"waf":            {"changetoken/${Token}"},
	"waf-regional":   {"changetoken/${Token}"},
}

// publicResource holds resources that AWS owns and whose ARNs therefore have no
// account, although their type's format has one.
var publicResource = map[string]patternList{
	"ssm":                 {"${Any}"},
	"ec2":                 {"image/${Id}", "snapshot/${Id}"},
	"elasticbeanstalk":    {"${Any}"},
	"resource-explorer-2": {"${Any}"},
}

// redundantResources reports the list once when a resource is named by another.
func (l *linter) redundantResources(s *statement) {
	var wild []int
	seen := map[string]bool{}
	var redundant []*identity.Node
	for i, n := range s.resources {
		if seen[n.Text] {
			redundant = append(redundant, n)
		} else if hasWildcard(n.Text) {
			wild = append(wild, i)
		}
		seen[n.Text] = true
	}
	for _, w := range wild {
		pattern := s.resources[w].Text
		if !l.spend(len(s.resources) * (len(pattern) + 50)) {
			break
		}
		for i, n := range s.resources {
			if i != w && n.Text != pattern && covers(pattern, n.Text) {
				redundant = append(redundant, n)
			}
		}
	}
	if len(redundant) > 0 {
		l.add("REDUNDANT_RESOURCE", redundant[0], "%d of the resources are already named by others, such as %s; remove it", len(redundant), clip(redundant[0].Text))
	}
}
