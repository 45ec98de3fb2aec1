package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// checkConditionActions looks at keys and actions together: does the request of
// that action carry the key?
func (l *linter) checkConditionActions(s *statement) {
	for _, c := range s.conds {
		switch {
		case strings.HasPrefix(c.low, "aws:resourcetag/"):
			l.resourceTag(s, c)
		case vpceKeys[c.low] != nil:
			l.vpceServices(s, c)
		case c.key != nil && !c.key.Global && !s.notAction && c.op.family != "Null" && !c.op.ifExists:
			l.unsupportedActions(s, c)
		}
		l.missingAction(s, c)
	}
}

// carries reports whether requests of the action carry the key.
func (l *linter) carries(a *catalog.Action, key string) bool {
	for _, k := range l.cat.ActionKeys(a) {
		if catalog.KeyMatches(k, key) {
			return true
		}
	}
	return false
}

// unsupportedActions reports actions, named in full, that never carry the key.
func (l *linter) unsupportedActions(s *statement, c *condition) {
	var names []string
	var first *identity.Node
	for _, n := range s.actions {
		if !l.spend(500) {
			break
		}
		if strings.ContainsAny(n.Text, "*?") {
			continue
		}
		a, ok := l.cat.Action(n.Text)
		if !ok || l.carries(a, c.node.Key) {
			continue
		}
		if first == nil {
			first = n
		}
		names = append(names, a.String())
	}
	if first != nil {
		if len(names) > 5 {
			names = append(names[:5], "…")
		}
		l.at("UNSUPPORTED_ACTION_FOR_CONDITION_KEY", first, first.Pos, "requests of %s never carry %s; move them to a statement without that condition", strings.Join(names, ", "), clip(c.node.Key))
	}
}

// resourceTag reports actions that never carry aws:ResourceTag. Negated and
// …IfExists operators and Null mean something when the key is missing.
func (l *linter) resourceTag(s *statement, c *condition) {
	if c.op.family == "" || c.op.family == "Null" || c.op.ifExists || c.op.negated || s.effect == "" || s.action == nil {
		return
	}
	if s.notAction {
		if s.denies() {
			l.addKey("DENY_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", c.node, "many actions never carry %s and are not denied; list the actions in Action", clip(c.node.Key))
		} else {
			l.addKey("ALLOW_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", c.node, "many actions never carry %s and are not allowed; list the actions in Action", clip(c.node.Key))
		}
		return
	}
	services := map[string]bool{}
	var names []string
	for _, n := range s.actions {
		cost := 2000
		if p, _, ok := strings.Cut(n.Text, ":"); !ok || strings.ContainsAny(p, "*?") {
			cost = 1_000_000
		}
		if !l.spend(cost) {
			return
		}
		for _, a := range l.cat.ExpandAction(n.Text) {
			if !services[a.Service] && !l.carries(a, "aws:ResourceTag/x") {
				services[a.Service] = true
				names = append(names, a.Service)
			}
		}
	}
	if len(names) == 0 {
		return
	}
	if len(names) > 5 {
		names = append(names[:5], "…")
	}
	if s.denies() {
		l.addKey("DENY_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", c.node, "some of the actions of %s never carry %s and are not denied; deny them in a statement without it", strings.Join(names, ", "), clip(c.node.Key))
	} else {
		l.addKey("ALLOW_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE", c.node, "some of the actions of %s never carry %s and are not allowed; allow them in a statement without it", strings.Join(names, ", "), clip(c.node.Key))
	}
}

// Which services send the keys of a VPC endpoint's owner.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-vpceaccount
var (
	vpceAccountServices = set(`acm-pca applicationinsights apprunner athena cloudformation comprehendmedical compute-optimizer datasync
		discovery dynamodb ebs ecr ecs firehose gamelift healthlake iam iotfleetwise iotwireless kinesisanalytics kms lambda
		medical-imaging omics payment-cryptography polly rbin rekognition route53 s3 scheduler servicediscovery servicequotas
		shield ssm-contacts storagegateway textract transcribe transfer`)
	vpceOrgServices = set(`acm-pca applicationinsights apprunner athena b2bi cassandra cloudformation cognito-identity comprehendmedical
		compute-optimizer datasync discovery dms ds-data dynamodb ebs ecr ecs firehose gamelift healthlake iam identitystore
		iotfleetwise iottwinmaker iotwireless kinesisanalytics kms lambda medical-imaging network-firewall omics
		payment-cryptography polly pricing rbin rekognition route53 s3 scheduler servicediscovery servicequotas ses shield
		sms-voice sqs ssm-contacts storagegateway textract transcribe transfer workmail`)
	vpceKeys = map[string]map[string]bool{"aws:vpceaccount": vpceAccountServices, "aws:vpceorgid": vpceOrgServices, "aws:vpceorgpaths": vpceOrgServices}
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

func (l *linter) vpceServices(s *statement, c *condition) {
	if !l.spend(len(s.actions) * 4) {
		return
	}
	bad := s.notAction
	for _, n := range s.actions {
		prefix, _, ok := strings.Cut(strings.ToLower(n.Text), ":")
		bad = bad || !ok || !vpceKeys[c.low][prefix] || strings.EqualFold(n.Text, "iam:PassRole")
	}
	if bad {
		l.addKey("USE_CONDITION_KEY_ONLY_WITH_SUPPORTED_SERVICES", c.node, "not every action here belongs to a service that sends %s; name only those that do", clip(c.node.Key))
	}
}

// setBy names the action that must be allowed for a request to set the key.
var setBy = map[string]string{
	"sts:sourceidentity":    "sts:SetSourceIdentity",
	"sts:transitivetagkeys": "sts:TagSession",
}

func (l *linter) missingAction(s *statement, c *condition) {
	if !s.allows() || s.notAction || c.op.family == "Null" || len(s.actions) == 0 {
		return
	}
	action := setBy[c.low]
	if strings.HasPrefix(c.low, "sts:requestcontext/") {
		action = "sts:SetContext"
	}
	if l.kind == Trust && (strings.HasPrefix(c.low, "aws:requesttag/") || c.low == "aws:tagkeys") {
		action = "sts:TagSession"
	}
	if action == "" || !l.spend(len(s.actions)*4) {
		return
	}
	if ok, _ := s.names(action); !ok {
		l.addKey("MISSING_ACTION_FOR_CONDITION_KEY", c.node, "only %s can set %s; add it to the actions", action, clip(c.node.Key)).Replace = action
	}
}

// checkPairs looks at several conditions of a statement together.
func (l *linter) checkPairs(s *statement) {
	for _, c := range s.conds {
		if !l.spend(len(s.conds)) {
			return
		}
		switch c.low {
		case "aws:vpcsourceip":
			if !s.cond("aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn") {
				l.addKey("MISSING_PAIRED_CONDITION_KEYS", c.node, "private addresses repeat from VPC to VPC; compare aws:SourceVpc too").Replace = "aws:SourceVpc"
			}
		case "aws:ec2instancesourceprivateipv4":
			if !s.cond("aws:ec2instancesourcevpc") {
				l.addKey("MISSING_PAIRED_CONDITION_KEYS", c.node, "private addresses repeat from VPC to VPC; compare aws:Ec2InstanceSourceVpc too").Replace = "aws:Ec2InstanceSourceVpc"
			}
		case "aws:useragent", "aws:referer":
			if some, _ := s.services(); !some {
				l.addKey("UNTRUSTWORTHY_CONDITION_KEY", c.node, "the caller chooses the value of %s", clip(c.node.Key))
			}
		case "s3:prefix":
			l.s3Prefix(s, c)
		case "dynamodb:attributes":
			l.dynamoDBSelect(s, c)
		}
	}
}

func (l *linter) s3Prefix(s *statement, c *condition) {
	if c.op.family != "String" || s.effect == "" || s.denies() == c.op.negated {
		return
	}
	l.addKey("S3_PREFIX_IN_NEGATIVE_CONTEXT", c.node, "a request with a shorter prefix does not match and still lists these objects; allow with StringLike, or deny with StringNotLike")
}

// dynamoDBSelect: without a projection a read returns every attribute.
//
// Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
func (l *linter) dynamoDBSelect(s *statement, c *condition) {
	if !s.allows() || !l.spend(len(s.actions)*20) {
		return
	}
	reads := false
	for _, a := range []string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:TransactGetItems"} {
		ok, _ := s.names(a)
		reads = reads || ok
	}
	if !reads {
		return
	}
	for _, o := range s.conds {
		if o.low != "dynamodb:select" || o.op.negated {
			continue
		}
		if len(o.values) > 0 && all(o.values, func(v *identity.Node) bool { return v.Text == "SPECIFIC_ATTRIBUTES" }) {
			return
		}
	}
	l.addKey("DYNAMODB_ATTRIBUTES_WITHOUT_SELECT", c.node, "a read that names no attributes returns all of them; also require dynamodb:Select to be SPECIFIC_ATTRIBUTES")
}
