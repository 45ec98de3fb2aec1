package lint

import (
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// statement is a statement with the parts that the checks look at. Elements of
// a wrong type are left out; that they are wrong is reported once.
type statement struct {
	node      *identity.Node
	effect    string
	action    *identity.Node // Action or NotAction
	notAction bool
	actions   []*identity.Node
	resource  *identity.Node // Resource or NotResource
	notRes    bool
	resources []*identity.Node
	principal *identity.Node // Principal or NotPrincipal
	notPrinc  bool
	everyone  bool // Principal: *
	princ     []principal
	conds     []*condition
	hasCond   bool
}

type principal struct {
	kind string // AWS, Service, Federated, CanonicalUser
	node *identity.Node
}

func (s *statement) allows() bool { return s.effect == "Allow" }
func (s *statement) denies() bool { return s.effect == "Deny" }

// cond reports whether the statement has a condition on the key, given in lower
// case.
func (s *statement) cond(keys ...string) bool {
	for _, c := range s.conds {
		for _, k := range keys {
			if c.low == k {
				return true
			}
		}
	}
	return false
}

var policyElements = map[string]bool{"Version": true, "Id": true, "Statement": true}

var statementElements = map[string]bool{
	"Sid": true, "Effect": true, "Principal": true, "NotPrincipal": true, "Action": true, "NotAction": true,
	"Resource": true, "NotResource": true, "Condition": true,
}

func (l *linter) document(root *identity.Node) {
	if root.Kind != identity.Object {
		l.add("DATA_TYPE_MISMATCH", root, "a policy is an object, not %s", root.Kind)
		return
	}
	l.duplicates(root)
	for _, c := range root.Children {
		if !policyElements[c.Key] {
			f := l.addKey("INVALID_POLICY_ELEMENT", c, "a policy has no element %q", clip(c.Key))
			f.suggest(sameInAnotherCase(c.Key, policyElements))
		}
	}
	l.version(root)
	if id := root.Member("Id"); id != nil {
		l.wantString(id)
	}
	st := root.Member("Statement")
	switch {
	case st == nil:
		l.add("MISSING_STATEMENT", root, "the policy has no Statement")
	case st.Kind == identity.Object:
		l.statement(st)
	case st.Kind == identity.Array:
		if len(st.Children) == 0 {
			l.add("MISSING_STATEMENT", st, "the list of statements is empty")
		}
		for _, c := range st.Children {
			if c.Kind != identity.Object {
				l.add("DATA_TYPE_MISMATCH", c, "a statement is an object, not %s", c.Kind)
				continue
			}
			l.statement(c)
		}
	default:
		l.add("DATA_TYPE_MISMATCH", st, "Statement is an object or a list, not %s", st.Kind)
	}
	l.sids()
	l.redundantStatements()
	l.rolesAnywhere()
	if l.extra {
		l.shadowed()
	}
}

func sameInAnotherCase(key string, names map[string]bool) string {
	for n := range names {
		if strings.EqualFold(n, key) {
			return n
		}
	}
	return ""
}

// duplicates reports keys that occur twice: JSON leaves open which counts, AWS
// refuses.
func (l *linter) duplicates(n *identity.Node) {
	if n.Kind == identity.Object {
		seen := make(map[string]bool, len(n.Children))
		for _, c := range n.Children {
			if seen[c.Key] {
				l.addKey("JSON_SYNTAX_ERROR", c, "the key %q occurs twice in one object", clip(c.Key))
			}
			seen[c.Key] = true
		}
	}
	for _, c := range n.Children {
		l.duplicates(c)
	}
}

func (l *linter) version(root *identity.Node) {
	v := root.Member("Version")
	switch {
	case v == nil:
		f := l.add("MISSING_VERSION", root, `the policy has no Version, so that policy variables do not work; add "Version": "2012-10-17"`)
		f.Replace = `"Version": "2012-10-17"`
	case !l.wantString(v):
	case v.Text != identity.Version2012 && v.Text != identity.Version2008:
		l.add("INVALID_VERSION", v, "the version %q does not exist", clip(v.Text)).suggest(identity.Version2012)
	default:
		l.version2012 = v.Text == identity.Version2012
	}
}

func (l *linter) wantString(n *identity.Node) bool {
	if n.Kind == identity.String {
		return true
	}
	l.add("DATA_TYPE_MISMATCH", n, "%s is a string, not %s", n.Key, n.Kind)
	return false
}

func (l *linter) statement(n *identity.Node) {
	s := &statement{node: n}
	l.statements = append(l.statements, s)
	for _, c := range n.Children {
		if !statementElements[c.Key] {
			f := l.addKey("INVALID_POLICY_ELEMENT", c, "a statement has no element %q", clip(c.Key))
			f.suggest(sameInAnotherCase(c.Key, statementElements))
		}
	}
	for _, p := range [][2]string{{"Action", "NotAction"}, {"Resource", "NotResource"}, {"Principal", "NotPrincipal"}} {
		if n.Member(p[0]) != nil && n.Member(p[1]) != nil {
			l.addKey("UNSUPPORTED_ELEMENT_COMBINATION", n.Member(p[1]), "a statement cannot have both %s and %s; remove one", p[0], p[1])
		}
	}
	l.effect(s)
	l.sid(s)
	l.readActions(s)
	l.readResources(s)
	l.readPrincipals(s)
	l.readConditions(s)

	l.checkActions(s)
	l.checkResources(s)
	l.checkPrincipals(s)
	l.checkConditions(s)
	l.checkPermissions(s)
	switch l.kind {
	case Trust:
		l.checkTrust(s)
	case Resource:
		l.checkResourcePolicy(s)
	case RCP:
		l.checkRCP(s)
	}
	if l.extra {
		l.neverMatches(s)
	}
}

func (l *linter) effect(s *statement) {
	e := s.node.Member("Effect")
	switch {
	case e == nil:
		l.add("MISSING_EFFECT", s.node, "the statement has no Effect; add Allow or Deny")
	case !l.wantString(e):
	case e.Text == "Allow" || e.Text == "Deny":
		s.effect = e.Text
	default:
		f := l.add("INVALID_EFFECT", e, "the effect %q is neither Allow nor Deny", clip(e.Text))
		if low := strings.ToLower(e.Text); strings.HasPrefix(low, "allow") {
			f.suggest("Allow")
		} else if strings.HasPrefix(low, "den") {
			f.suggest("Deny")
		}
	}
}

func (l *linter) sid(s *statement) {
	n := s.node.Member("Sid")
	if n == nil || !l.wantString(n) {
		return
	}
	if n.Text == "" {
		l.add("EMPTY_SID_VALUE", n, "the Sid is empty; give it a value or remove it")
		return
	}
	if l.kind == Resource {
		return // services differ in the characters they take
	}
	for _, r := range n.Text {
		if (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			f := l.add("UNSUPPORTED_SID", n, "the Sid %q has characters other than letters and digits", clip(n.Text))
			f.suggest(onlyAlphanumeric(n.Text))
			return
		}
	}
}

func onlyAlphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}

// sids reports Sids that occur twice. IAM refuses them in identity policies.
func (l *linter) sids() {
	seen := map[string]bool{}
	for _, s := range l.statements {
		n := s.node.Member("Sid")
		if n == nil || n.Kind != identity.String || n.Text == "" {
			continue
		}
		if seen[n.Text] {
			if l.isIdentity() {
				l.add("UNIQUE_SIDS_REQUIRED", n, "another statement has the Sid %q too; IAM refuses that", clip(n.Text))
			} else {
				l.add("UNIQUE_SIDS_RECOMMENDED", n, "another statement has the Sid %q too", clip(n.Text))
			}
		}
		seen[n.Text] = true
	}
}

// texts reads one string or a list of strings and reports other types.
func (l *linter) texts(n *identity.Node) []*identity.Node {
	switch n.Kind {
	case identity.String:
		return []*identity.Node{n}
	case identity.Array:
		var out []*identity.Node
		for _, c := range n.Children {
			if c.Kind != identity.String {
				l.add("DATA_TYPE_MISMATCH", c, "%s holds strings, not %s", n.Key, c.Kind)
				continue
			}
			out = append(out, c)
		}
		return out
	}
	l.add("DATA_TYPE_MISMATCH", n, "%s is a string or a list of strings, not %s", n.Key, n.Kind)
	return nil
}

func isEmptyArray(n *identity.Node) bool {
	return n != nil && n.Kind == identity.Array && len(n.Children) == 0
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:77] + "..."
	}
	return s
}
