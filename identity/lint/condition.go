package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// condition is one key under one operator.
type condition struct {
	op     operator
	opNode *identity.Node
	node   *identity.Node // the values; KeyPos is where the key stands
	low    string         // the key in lower case
	key    *catalog.ConditionKey
	values []*identity.Node
}

// operator is a condition operator taken apart.
type operator struct {
	name     string // as written
	base     string // without set operator and IfExists, in AWS's spelling
	set      string // ForAllValues, ForAnyValue or ""
	ifExists bool
	family   string // String, Arn, Numeric, Date, Bool, IpAddress, Binary, Null; "" when unknown
	negated  bool
	like     bool
}

var operators = map[string]struct {
	base, family  string
	negated, like bool
}{
	"stringequals":              {"StringEquals", "String", false, false},
	"stringnotequals":           {"StringNotEquals", "String", true, false},
	"stringequalsignorecase":    {"StringEqualsIgnoreCase", "String", false, false},
	"stringnotequalsignorecase": {"StringNotEqualsIgnoreCase", "String", true, false},
	"stringlike":                {"StringLike", "String", false, true},
	"stringnotlike":             {"StringNotLike", "String", true, true},
	"arnequals":                 {"ArnEquals", "Arn", false, true},
	"arnnotequals":              {"ArnNotEquals", "Arn", true, true},
	"arnlike":                   {"ArnLike", "Arn", false, true},
	"arnnotlike":                {"ArnNotLike", "Arn", true, true},
	"numericequals":             {"NumericEquals", "Numeric", false, false},
	"numericnotequals":          {"NumericNotEquals", "Numeric", true, false},
	"numericlessthan":           {"NumericLessThan", "Numeric", false, false},
	"numericlessthanequals":     {"NumericLessThanEquals", "Numeric", false, false},
	"numericgreaterthan":        {"NumericGreaterThan", "Numeric", false, false},
	"numericgreaterthanequals":  {"NumericGreaterThanEquals", "Numeric", false, false},
	"dateequals":                {"DateEquals", "Date", false, false},
	"datenotequals":             {"DateNotEquals", "Date", true, false},
	"datelessthan":              {"DateLessThan", "Date", false, false},
	"datelessthanequals":        {"DateLessThanEquals", "Date", false, false},
	"dategreaterthan":           {"DateGreaterThan", "Date", false, false},
	"dategreaterthanequals":     {"DateGreaterThanEquals", "Date", false, false},
	"bool":                      {"Bool", "Bool", false, false},
	"ipaddress":                 {"IpAddress", "IpAddress", false, false},
	"notipaddress":              {"NotIpAddress", "IpAddress", true, false},
	"binaryequals":              {"BinaryEquals", "Binary", false, false},
	"null":                      {"Null", "Null", false, false},
}

// parseOperator takes an operator apart; family is "" when it does not exist.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
func parseOperator(name string) operator {
	o := operator{name: name}
	low := strings.ToLower(name)
	if rest, ok := strings.CutPrefix(low, "forallvalues:"); ok {
		o.set, low = "ForAllValues", rest
	} else if rest, ok := strings.CutPrefix(low, "foranyvalue:"); ok {
		o.set, low = "ForAnyValue", rest
	}
	if rest, ok := strings.CutSuffix(low, "ifexists"); ok {
		o.ifExists, low = true, rest
	}
	if d, ok := operators[low]; ok {
		o.base, o.family, o.negated, o.like = d.base, d.family, d.negated, d.like
	}
	return o
}

func (l *linter) readConditions(s *statement) {
	c := s.node.Member("Condition")
	if c == nil {
		return
	}
	s.hasCond = true
	if c.Kind != identity.Object {
		l.add("DATA_TYPE_MISMATCH", c, "Condition is an object, not %s", c.Kind)
		return
	}
	if len(c.Children) == 0 {
		l.add("EMPTY_OBJECT_CONDITION", c, "the Condition is empty; remove it or say what must hold")
	}
	for _, op := range c.Children {
		if op.Kind != identity.Object {
			l.add("DATA_TYPE_MISMATCH", op, "a condition operator holds an object of keys, not %s", op.Kind)
			continue
		}
		l.readOperator(s, op)
	}
}

func (l *linter) readOperator(s *statement, n *identity.Node) {
	o := parseOperator(n.Key)
	switch {
	case o.family == "":
		l.addKey("INVALID_CONDITION_OPERATOR", n, "there is no condition operator %q", clip(n.Key)).suggest(nearestOperator(n.Key))
	case o.family == "Null" && o.ifExists:
		l.addKey("NULL_WITH_IF_EXISTS", n, "Null asks whether a key exists and cannot have IfExists").suggest("Null")
	case o.family == "Null" && o.set != "":
		l.addKey("NULL_WITH_QUALIFIER", n, "Null with %s is always %v", o.set, o.set == "ForAllValues").suggest("Null")
	}
	if len(n.Children) == 0 {
		l.add("EMPTY_OBJECT_CONDITION", n, "the operator %s has no keys; remove it or say what must hold", clip(n.Key))
	}
	spelled := map[string]string{}
	for _, k := range n.Children {
		c := &condition{op: o, opNode: n, node: k, low: strings.ToLower(k.Key)}
		if first, dup := spelled[c.low]; dup && first != k.Key {
			l.addKey("DUPLICATE_KEYS_WITH_DIFFERENT_CASE", k, "the key %q occurs twice under one operator, in different case", clip(k.Key))
		}
		spelled[c.low] = k.Key
		c.key, _ = l.cat.ConditionKey(k.Key)
		c.values = l.conditionValues(k)
		s.conds = append(s.conds, c)
	}
}

func (l *linter) conditionValues(n *identity.Node) []*identity.Node {
	if n.Kind != identity.Array {
		if n.Kind == identity.Object || n.Kind == identity.Null {
			l.add("DATA_TYPE_MISMATCH", n, "a condition value is a string, a number or a boolean, not %s", n.Kind)
			return nil
		}
		return []*identity.Node{n}
	}
	var out []*identity.Node
	for _, c := range n.Children {
		if c.Kind == identity.Object || c.Kind == identity.Null || c.Kind == identity.Array {
			l.add("DATA_TYPE_MISMATCH", c, "a condition value is a string, a number or a boolean, not %s", c.Kind)
			continue
		}
		out = append(out, c)
	}
	return out
}

func nearestOperator(name string) string {
	o := parseOperator(name)
	low := strings.ToLower(name)
	prefix := ""
	for _, p := range []string{"ForAllValues:", "ForAnyValue:"} {
		if strings.HasPrefix(low, strings.ToLower(p)) {
			prefix, low = p, low[len(p):]
		}
	}
	suffix := ""
	if o.ifExists {
		low, suffix = strings.TrimSuffix(low, "ifexists"), "IfExists"
	}
	names := make([]string, 0, len(operators))
	for _, d := range operators {
		names = append(names, d.base)
	}
	if best := catalog.Nearest(low, names); best != "" {
		return prefix + best + suffix
	}
	return ""
}

func (l *linter) checkConditions(s *statement) {
	for _, c := range s.conds {
		if !l.checkKey(c) {
			continue
		}
		l.checkSet(c)
		l.checkValues(c)
		if c.op.family != "" {
			l.checkOperatorType(c)
			l.checkStar(c)
			l.checkKeyValues(s, c)
		}
	}
	l.checkConditionActions(s)
	l.checkPairs(s)
}

// checkKey looks at the key's name and reports whether it is worth looking at
// the values.
func (l *linter) checkKey(c *condition) bool {
	name := c.node.Key
	prefix, rest, ok := strings.Cut(name, ":")
	if !ok || prefix == "" || rest == "" {
		f := l.addKey("INVALID_CONDITION_KEY_FORMAT", c.node, "the condition key %q is not of the form service:name", clip(name))
		if k, ok := l.cat.ConditionKey("aws:" + name); ok && !k.Template() {
			f.suggest(k.Key)
		}
		return false
	}
	low := strings.ToLower(prefix)
	if c.low == "aws:arn" {
		if l.isIdentity() || l.kind == SCP {
			l.addKey("UNSUPPORTED_GLOBAL_CONDITION_KEY", c.node, "aws:ARN is not supported; use aws:PrincipalArn or aws:SourceArn").Replace = "aws:PrincipalArn"
		} else {
			l.addKey("DEPRECATED_GLOBAL_CONDITION_KEY", c.node, "aws:ARN is outdated").suggest("aws:PrincipalArn")
		}
		return false
	}
	if base := strings.TrimSuffix(c.low, "/"); l.isTagTemplate(base) {
		l.addKey("MISSING_TAG_KEY_IN_CONDITION", c.node, "%q does not say which tag; write %s/ and the tag's key", clip(name), strings.TrimSuffix(name, "/"))
		return false
	}
	if c.key != nil {
		return true
	}
	switch {
	case low == "aws":
		l.addKey("INVALID_GLOBAL_CONDITION_KEY", c.node, "there is no global condition key %q", clip(name)).suggest(l.cat.NearestConditionKey(name))
	case strings.ContainsAny(prefix, "./"):
		return true // the token of a federation provider, whose claims we cannot know
	case !l.cat.KnownKeyPrefix(prefix):
		l.addKey("INVALID_SERVICE", c.node, "the condition key %q is of no service", clip(name)).suggest(l.cat.NearestService(prefix))
	default:
		l.addKey("INVALID_SERVICE_CONDITION_KEY", c.node, "%s has no condition key %q", low, clip(name)).suggest(l.cat.NearestConditionKey(name))
	}
	return false
}

// isTagTemplate reports whether a tag's key is missing at the end of the
// condition key.
func (l *linter) isTagTemplate(low string) bool {
	if _, exact := l.cat.ConditionKey(low); exact || !strings.Contains(low, "tag") {
		return false
	}
	k, ok := l.cat.ConditionKey(low + "/x")
	return ok && k.Template()
}

// checkSet looks at ForAllValues, ForAnyValue and their absence.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
func (l *linter) checkSet(c *condition) {
	if c.op.family == "" || c.op.family == "Null" || len(c.values) == 0 {
		return
	}
	if isAudience(c.low) {
		switch {
		case c.op.set == "ForAnyValue":
			l.addKey("FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE", c.node, "the audience %s has one value; remove ForAnyValue:", clip(c.node.Key))
		case c.op.set == "ForAllValues":
			l.addKey("FORALLVALUES_WITH_SINGLE_VALUED_KEY", c.node, "the audience %s has one value, and ForAllValues is also true without it; remove ForAllValues:", clip(c.node.Key))
		case l.kind == Trust || l.kind == Resource:
			l.addKey("CONFIRM_AUDIENCE_CLAIM_TYPE", c.node, "check that the provider's tokens have one audience; if they have several, use a set operator")
		}
		return
	}
	if c.key == nil {
		return
	}
	switch {
	case c.key.MultiValued && c.op.set == "":
		l.addKey("MISSING_QUALIFIER", c.node, "%s can have several values; write ForAnyValue:%s or ForAllValues:%s", clip(c.node.Key), c.op.name, c.op.name)
	case !c.key.MultiValued && c.op.set == "ForAllValues":
		l.addKey("FORALLVALUES_WITH_SINGLE_VALUED_KEY", c.node, "%s has one value, and ForAllValues is also true when it is missing; remove ForAllValues:", clip(c.node.Key))
	}
}

// isAudience reports whether the key is the audience claim of an OIDC provider
// that is made in IAM; the built-in providers are known to have one value.
func isAudience(low string) bool {
	prefix, ok := strings.CutSuffix(low, ":aud")
	if !ok || !strings.Contains(prefix, ".") {
		return false
	}
	switch prefix {
	case "accounts.google.com", "graph.facebook.com", "www.amazon.com", "cognito-identity.amazonaws.com":
		return false
	}
	return true
}

// checkOperatorType compares the operator's type with the key's.
func (l *linter) checkOperatorType(c *condition) {
	if c.key == nil || c.op.family == "Null" {
		return
	}
	want := map[catalog.KeyType]string{
		catalog.String: "String", catalog.ARN: "Arn", catalog.Bool: "Bool", catalog.Numeric: "Numeric",
		catalog.Date: "Date", catalog.IPAddress: "IpAddress", catalog.Binary: "Binary",
	}[c.key.Type]
	switch {
	case want == c.op.family:
	case want == "Arn" && c.op.family == "String":
		if c.op.like {
			l.addKey("STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", c.node, "%s holds an ARN; use an Arn operator instead of %s", clip(c.node.Key), c.op.name).Replace = strings.Replace(c.op.name, "String", "Arn", 1)
		}
	case c.op.family == "Binary": // no key of the catalogue is binary
	case want == "String" && c.op.family == "Arn": // a tag or an encryption context may hold an ARN
	case c.low == "aws:epochtime" && c.op.family == "Numeric":
	case want != "":
		l.addKey("TYPE_MISMATCH", c.node, "%s is of type %s; use an operator of that type instead of %s", clip(c.node.Key), want, c.op.name)
	}
}

// checkStar finds conditions whose only value is the wildcard *, which ask
// whether the key is there, or nothing at all.
func (l *linter) checkStar(c *condition) {
	if !c.op.like {
		return
	}
	star := false
	for _, v := range c.values {
		star = star || v.Kind == identity.String && v.Text != "" && strings.Trim(v.Text, "*") == ""
	}
	if !star {
		return
	}
	key := clip(c.node.Key)
	switch {
	case !c.op.negated && (c.op.ifExists || c.op.set == "ForAllValues"):
		l.addKey("REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", c.node, "%s with * is true whatever %s is; remove the key", c.op.name, key)
	case !c.op.negated:
		l.addKey("EQUIVALENT_TO_NULL_FALSE", c.node, "%s with * only asks that %s is present", c.op.name, key).Replace = `"Null": {"` + key + `": "false"}`
	case c.op.set == "ForAnyValue":
		l.addKey("REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION", c.node, "%s with * is never true; the statement has no effect", c.op.name)
	default:
		l.addKey("EQUIVALENT_TO_NULL_TRUE", c.node, "%s with * only asks that %s is absent", c.op.name, key).Replace = `"Null": {"` + key + `": "true"}`
	}
}
