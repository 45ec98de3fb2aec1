package lint

import (
	"encoding/base64"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// checkValues looks at the values as the operator reads them.
func (l *linter) checkValues(c *condition) {
	n := c.node
	if isEmptyArray(n) {
		l.emptyArray(c)
		return
	}
	kinds := map[identity.Kind]bool{}
	for _, v := range c.values {
		kinds[v.Kind] = true
	}
	if len(kinds) > 1 {
		l.add("INVALID_CONDITION_DATA_TYPE", n, "the values of %s are of different JSON types", clip(n.Key))
	}
	family := c.op.family
	if (family == "Bool" || family == "Null") && len(c.values) > 1 && (c.key == nil || !c.key.MultiValued) {
		l.add("INVALID_CONDITION_MULTIPLE_BOOLEAN", n, "%s takes one value, true or false", c.op.name)
	}
	for _, v := range c.values {
		if len(variables(v.Text)) > 0 && family != "String" && family != "Arn" && family != "" {
			if l.version2012 {
				l.add("INVALID_VARIABLE_FOR_OPERATOR", v, "%s cannot compare with a policy variable; only String and Arn operators can", c.op.name)
			} else {
				l.checkVariables(v)
			}
			continue
		}
		l.checkVariables(v)
		l.checkValue(c, v)
	}
	if family == "Numeric" {
		l.redundantNumbers(c)
	}
	if family == "IpAddress" && c.low == "aws:sourceip" {
		l.privateAddresses(c)
	}
}

func (l *linter) emptyArray(c *condition) {
	key := clip(c.node.Key)
	switch {
	case c.op.set == "ForAllValues":
		l.add("EMPTY_ARRAY_CONDITION_FORALLVALUES", c.node, "ForAllValues with no values only asks that %s is absent; write Null with true", key)
	case c.op.set == "ForAnyValue":
		l.add("EMPTY_ARRAY_CONDITION_FORANYVALUE", c.node, "ForAnyValue with no values is never true")
	case c.op.ifExists:
		l.add("EMPTY_ARRAY_CONDITION_IFEXISTS", c.node, "IfExists with no values only asks that %s is absent; write Null with true", key)
	default:
		l.add("EMPTY_ARRAY_CONDITION", c.node, "%s is compared with no values", key)
	}
}

// checkValue looks at one value by the operator's type.
func (l *linter) checkValue(c *condition, v *identity.Node) {
	text := v.Text
	switch c.op.family {
	case "Bool", "Null":
		if !strings.EqualFold(text, "true") && !strings.EqualFold(text, "false") {
			l.add("TYPE_MISMATCH_BOOLEAN", v, "%s compares with true or false, not %q", c.op.name, clip(text))
		}
	case "Numeric":
		if !number.MatchString(text) {
			l.add("TYPE_MISMATCH_NUMBER", v, "%s compares with a number, not %q", c.op.name, clip(text))
		}
	case "Date":
		switch _, numeric := strconv.ParseInt(text, 10, 64); {
		case numeric == nil:
			l.add("INVALID_DATE_VALUE", v, "the date %s may be read as seconds since 1970; write YYYY-MM-DD", text)
		case !isDate(text):
			l.add("TYPE_MISMATCH_DATE", v, "%q is no date; write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ", clip(text))
		}
	case "IpAddress":
		l.checkAddress(c, v)
	case "Binary":
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			l.add("TYPE_MISMATCH_STRING", v, "%q is not base64", clip(text))
		}
	case "String":
		if !c.op.like && hasWildcard(text) {
			l.add("WILDCARD_WITHOUT_LIKE_OPERATOR", v, "%s compares * and ? as they are; for a wildcard use %s", c.op.name, likeOf(c.op)).Replace = likeOf(c.op)
		}
	}
}

func likeOf(o operator) string {
	out := "StringLike"
	if o.negated {
		out = "StringNotLike"
	}
	if o.set != "" {
		out = o.set + ":" + out
	}
	if o.ifExists {
		out += "IfExists"
	}
	return out
}

var number = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

var dateLayouts = []string{
	"2006-01-02", "2006-01", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.999999999Z07:00",
	"2006-01-02T15:04:05", "20060102T150405Z", "2006-01-02T15:04:05-0700",
}

func isDate(s string) bool {
	for _, layout := range dateLayouts {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

func (l *linter) checkAddress(c *condition, v *identity.Node) {
	p, ok := parseRange(v.Text)
	if !ok {
		l.add("TYPE_MISMATCH_IP_RANGE", v, "%q is neither an address nor a range such as 203.0.113.0/24", clip(v.Text))
		return
	}
	if m := p.Masked(); m.Addr() != p.Addr() {
		f := l.add("IMPROVE_IP_RANGE", v, "the range %s has bits set behind its mask, which are ignored", clip(v.Text))
		f.suggest(m.String())
	}
}

func parseRange(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

// private lists the ranges that never are the public source of a request.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("fc00::/7"),
}

func isPrivate(p netip.Prefix) bool {
	for _, r := range private {
		if r.Addr().BitLen() == p.Addr().BitLen() && r.Bits() <= p.Bits() && r.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

func (l *linter) privateAddresses(c *condition) {
	inside, outside := 0, 0
	for _, v := range c.values {
		p, ok := parseRange(v.Text)
		switch {
		case !ok:
		case isPrivate(p):
			inside++
		default:
			outside++
		}
	}
	switch {
	case inside == 0:
	case outside == 0 && !c.op.negated:
		l.add("PRIVATE_IP_ADDRESS", c.node, "aws:SourceIp never is a private address, so the condition is never true; use aws:VpcSourceIp with aws:SourceVpc")
	case outside == 0:
		l.add("PRIVATE_NOT_IP_ADDRESS", c.node, "aws:SourceIp never is a private address, so the condition is always true; use aws:VpcSourceIp with aws:SourceVpc")
	case !c.op.negated:
		l.add("PRIVATE_IP_ADDRESS_SUBSET", c.node, "aws:SourceIp never is one of the private addresses among these; for those use aws:VpcSourceIp with aws:SourceVpc")
	default:
		l.add("PRIVATE_NOT_IP_ADDRESS_SUBSET", c.node, "aws:SourceIp never is one of the private addresses among these; for those use aws:VpcSourceIp with aws:SourceVpc")
	}
}

func (l *linter) redundantNumbers(c *condition) {
	if len(c.values) < 2 {
		return
	}
	which := ""
	switch {
	case strings.HasPrefix(c.op.base, "NumericLess"):
		which = "greatest"
	case strings.HasPrefix(c.op.base, "NumericGreater"):
		which = "least"
	default:
		return
	}
	l.add("REDUNDANT_CONDITION_VALUE_NUM", c.node, "of several values only the %s counts for %s; remove the others", which, c.op.name)
}

// Sensitive keys must be compared with exact values.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-sensitive
var sensitiveKeys = map[string]bool{
	"aws:principalaccount": true, "aws:principalorgid": true, "aws:resourceaccount": true, "aws:resourceorgid": true,
	"aws:sourceaccount": true, "aws:sourceorgid": true, "aws:sourcevpc": true, "aws:sourcevpce": true,
	"aws:vpceaccount": true, "aws:vpceorgid": true,
}

// serviceKeys hold a service principal.
var serviceKeys = map[string]bool{
	"aws:calledvia": true, "aws:calledviafirst": true, "aws:calledvialast": true, "aws:principalservicename": true,
	"aws:principalservicenameslist": true, "iam:passedtoservice": true, "iam:awsservicename": true,
}

// kmsKeyKeys hold the ARN of a KMS key.
var kmsKeyKeys = map[string]bool{
	"s3:x-amz-server-side-encryption-aws-kms-key-id":        true,
	"s3express:x-amz-server-side-encryption-aws-kms-key-id": true,
}

var (
	vpcID       = regexp.MustCompile(`^vpc-([0-9a-zA-Z]{8}|[0-9a-zA-Z]{17})$`)
	vpceID      = regexp.MustCompile(`^vpce-([0-9a-zA-Z]{8}|[0-9a-zA-Z]{17})$`)
	viaService  = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,4}(-[a-z]+)+-[0-9]\.amazonaws\.com(\.cn)?$`)
	kmsKeyARN   = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	kmsKeyShape = "arn:${Partition}:kms:${Region}:${Account}:key/${KeyId}"
)

// checkKeyValues looks at the values as the key means them.
func (l *linter) checkKeyValues(s *statement, c *condition) {
	if c.op.family == "Null" {
		return
	}
	for _, v := range c.values {
		if v.Kind != identity.String {
			continue
		}
		wild := c.op.like && hasWildcard(v.Text)
		variable := len(variables(v.Text)) > 0
		l.checkExactKey(c, v, wild, variable)
		if variable || c.op.family != "String" && c.op.family != "Arn" {
			continue
		}
		text := v.Text
		switch {
		case kmsKeyKeys[c.low]:
			if wild && catalog.Overlap(text, kmsKeyShape) || kmsKeyARN.MatchString(text) {
				continue
			}
			l.add("INVALID_KMS_KEY_VALUE", v, "%s is compared with the ARN of a KMS key, not %q", clip(c.node.Key), clip(text))
		case c.low == "aws:requestedregion" || c.low == "ec2:region":
			if hasWildcard(text) && !c.op.like {
				continue // WILDCARD_WITHOUT_LIKE_OPERATOR says it
			}
			if !knownRegion("*", text) && text != "aws-global" {
				l.add("INVALID_REGION", v, "there is no Region %q", clip(text))
			}
		case wild:
		case c.low == "aws:sourcevpc" && !vpcID.MatchString(text):
			l.add("INVALID_VPC_FORMAT", v, "%q is not vpc- and 8 or 17 letters and digits", clip(text))
		case c.low == "aws:sourcevpce" && !vpceID.MatchString(text):
			l.add("INVALID_VPCE_FORMAT", v, "%q is not vpce- and 8 or 17 letters and digits", clip(text))
		case serviceKeys[c.low] && !hasWildcard(text) && !servicePrincipal.MatchString(text):
			l.add("INVALID_SERVICE_PRINCIPAL_FORMAT", v, "%q is not of the form service.amazonaws.com", clip(text)).suggest(serviceName(text))
		case c.low == "kms:viaservice" && !hasWildcard(text) && !viaService.MatchString(text):
			l.add("INVALID_SERVICE_PRINCIPAL_FORMAT", v, "%q is not of the form service.region.amazonaws.com", clip(text))
		}
	}
}

// checkExactKey reports wildcards, and variables that can act as such, on keys
// where they let too much in.
func (l *linter) checkExactKey(c *condition, v *identity.Node, wild, variable bool) {
	key := clip(c.node.Key)
	switch {
	case sensitiveKeys[c.low]:
		if wild {
			l.add("WILDCARD_USAGE_TOO_PERMISSIVE", v, "%s must be compared with exact values, not with a wildcard", key)
		}
		if variable && !onlySensitiveVariables(v.Text) {
			l.add("VARIABLE_USAGE_TOO_PERMISSIVE", v, "%s must be compared with exact values; a policy variable can act as a wildcard", key)
		}
	case c.low == "aws:userid":
		if wild && !userIDLeftIsExact(withoutVariables(v.Text), "*?") {
			l.add("WILDCARD_USAGE_TOO_PERMISSIVE", v, "in aws:userid a wildcard may stand behind the colon, or alone before it")
		}
		if variable && c.op.like && !userIDLeftIsExact(markVariables(v.Text), "\x01") {
			l.add("VARIABLE_USAGE_TOO_PERMISSIVE", v, "in aws:userid a policy variable may stand behind the colon, or alone before it")
		}
	case strings.HasSuffix(c.low, ":sub") && strings.Contains(c.low, "."):
		if wild && !precededBySix(withoutVariables(v.Text), "*?") {
			l.add("WILDCARD_USAGE_TOO_PERMISSIVE", v, "the subject of a token needs six fixed characters before each wildcard")
		}
		if variable && c.op.like && !precededBySix(markVariables(v.Text), "\x01") {
			l.add("VARIABLE_USAGE_TOO_PERMISSIVE", v, "the subject of a token needs six fixed characters before each policy variable")
		}
	}
}

// onlySensitiveVariables reports whether every variable is itself a sensitive
// key, which nobody but AWS sets: aws:ResourceOrgID equals ${aws:PrincipalOrgID}.
func onlySensitiveVariables(s string) bool {
	return all(variables(s), func(name string) bool {
		name, _, _ = strings.Cut(name, ",")
		return sensitiveKeys[strings.ToLower(strings.TrimSpace(name))]
	})
}

// markVariables replaces each variable by one byte that no pattern has.
func markVariables(s string) string {
	for _, name := range variables(s) {
		s = strings.Replace(s, "${"+name+"}", "\x01", 1)
	}
	return s
}

// userIDLeftIsExact reports whether what stands before the colon has none of the
// marks, or is a single one.
func userIDLeftIsExact(s, marks string) bool {
	left, _, ok := strings.Cut(s, ":")
	if !strings.ContainsAny(left, marks) {
		return true
	}
	return ok && len(left) == 1
}

// precededBySix reports whether at least six other characters stand directly
// before each mark.
func precededBySix(s, marks string) bool {
	run := 0
	for i := range len(s) {
		if strings.IndexByte(marks, s[i]) >= 0 {
			if run < 6 {
				return false
			}
			run = 0
			continue
		}
		run++
	}
	return true
}
