package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Kind is what a policy is used as.
type Kind string

// The kinds of policy.
const (
	Identity Kind = "identity"
	Resource Kind = "resource"
	SCP      Kind = "scp"
	RCP      Kind = "rcp"
	Trust    Kind = "trust"
	Boundary Kind = "boundary"
)

// Kinds lists the kinds of policy.
var Kinds = []Kind{Identity, Resource, SCP, RCP, Trust, Boundary}

// The resource types that a resource policy can be checked for, as
// validatePolicyResourceType names them.
const (
	S3Bucket           = "AWS::S3::Bucket"
	S3AccessPoint      = "AWS::S3::AccessPoint"
	S3MultiRegion      = "AWS::S3::MultiRegionAccessPoint"
	S3ObjectLambda     = "AWS::S3ObjectLambda::AccessPoint"
	AssumeRoleDocument = "AWS::IAM::AssumeRolePolicyDocument"
	DynamoDBTable      = "AWS::DynamoDB::Table"
)

// ResourceTypes lists the resource types of Options.
var ResourceTypes = []string{S3Bucket, S3AccessPoint, S3MultiRegion, S3ObjectLambda, AssumeRoleDocument, DynamoDBTable}

// Options say how to look at a policy.
type Options struct {
	Kind         Kind             // Identity when empty
	ResourceType string           // of a resource policy, one of ResourceTypes or ""
	Catalog      *catalog.Catalog // the embedded one when nil
	NoExtra      bool             // only AWS's own checks
}

// Finding is one thing that is wrong with a policy.
type Finding struct {
	Code    string
	Type    Type
	Path    string // Statement[0].Action[1]; "" for the whole document
	Pos     identity.Pos
	Message string
	Replace string // what could stand there instead, "" when there is no suggestion
}

// maxFindings bounds the answer to a hostile policy.
const maxFindings = 2000

// Lint checks one policy. It never fails: a document that is not JSON is a
// finding too.
func Lint(data []byte, o Options) []Finding {
	l := newLinter(o)
	root, err := identity.ParseJSON(data)
	if err != nil {
		l.syntax(err)
		return l.out
	}
	l.document(root)
	l.size(root, data)
	return l.finish()
}

// linter collects the findings of one policy.
type linter struct {
	kind         Kind
	resourceType string
	cat          *catalog.Catalog
	extra        bool
	version2012  bool
	statements   []*statement
	out          []Finding
	seen         map[string]bool
	budget       int // steps left for checks that compare much with much
}

func newLinter(o Options) *linter {
	l := &linter{kind: o.Kind, resourceType: o.ResourceType, cat: o.Catalog, extra: !o.NoExtra, seen: map[string]bool{}, budget: 40_000_000}
	if l.cat == nil {
		l.cat = catalog.Default()
	}
	if l.kind == "" {
		l.kind = Identity
	}
	if l.resourceType == AssumeRoleDocument {
		l.kind = Trust
	}
	if l.kind == Trust {
		l.resourceType = AssumeRoleDocument
	}
	return l
}

// spend takes n steps of the budget and reports whether there were so many.
func (l *linter) spend(n int) bool {
	if l.budget < n {
		l.budget = 0
		return false
	}
	l.budget -= n
	return true
}

func (l *linter) isIdentity() bool { return l.kind == Identity || l.kind == Boundary }

// add reports a finding at a node's value.
func (l *linter) add(code string, n *identity.Node, format string, args ...any) *Finding {
	return l.at(code, n, n.Pos, format, args...)
}

// addKey reports a finding at a node's key.
func (l *linter) addKey(code string, n *identity.Node, format string, args ...any) *Finding {
	pos := n.KeyPos
	if !pos.IsValid() {
		pos = n.Pos
	}
	return l.at(code, n, pos, format, args...)
}

func (l *linter) at(code string, n *identity.Node, pos identity.Pos, format string, args ...any) *Finding {
	f := Finding{Code: code, Type: checkTypes[code], Pos: pos, Message: visible(fmt.Sprintf(format, args...))}
	if len(l.out) >= maxFindings {
		return &f
	}
	f.Path = n.Path()
	id := code + "\x00" + f.Path
	if l.seen[id] {
		return &f
	}
	l.seen[id] = true
	l.out = append(l.out, f)
	return &l.out[len(l.out)-1]
}

func (f *Finding) suggest(text string) {
	if text != "" {
		f.Replace = visible(text)
		f.Message += "; did you mean " + f.Replace + "?"
	}
}

// visible writes control characters as escapes: policies come from anywhere,
// and messages go to terminals.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

func (l *linter) syntax(err error) {
	f := Finding{Code: "JSON_SYNTAX_ERROR", Type: Error, Message: err.Error(), Pos: identity.Pos{Line: 1, Col: 1}}
	var s *identity.SyntaxError
	if errors.As(err, &s) {
		f.Pos, f.Message = s.Pos, s.Msg
	}
	l.out = append(l.out, f)
}

func (l *linter) finish() []Finding {
	slices.SortStableFunc(l.out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.Offset, b.Pos.Offset), compareStrings(a.Code, b.Code))
	})
	return l.out
}

// size compares the document with AWS's quotas.
//
// Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
// and https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
func (l *linter) size(root *identity.Node, data []byte) {
	all := len([]rune(string(data)))
	dense := 0
	for _, r := range string(data) {
		if !strings.ContainsRune(" \t\r\n", r) {
			dense++
		}
	}
	q, n := struct {
		code string
		most int
	}{}, all
	switch l.kind {
	case SCP:
		q.code, q.most = "POLICY_SIZE_EXCEEDS_SCP_QUOTA", 10240
	case RCP:
		q.code, q.most = "POLICY_SIZE_EXCEEDS_RCP_QUOTA", 5120
	case Resource:
		q.code, q.most = "POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA", 20480
	case Trust:
		q.code, q.most, n = "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA", 2048, dense
	default:
		q.code, q.most, n = "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA", 6144, dense
	}
	if n > q.most {
		l.add(q.code, root, "the policy has %d characters, the quota is %d; split it", n, q.most)
	}
}

// Guess tells what kind of policy a document most likely is, from its content:
// principals make a resource policy, and one whose actions are all of sts a
// trust policy.
func Guess(data []byte) Kind {
	p, _ := identity.ParseLenient(data)
	kind := Identity
	sts := len(p.Statements) > 0
	for _, s := range p.Statements {
		if s.Principal != nil || s.NotPrincipal != nil {
			kind = Resource
		}
		if s.Action == nil || len(s.Action.Values) == 0 || s.Resource != nil {
			sts = false
			continue
		}
		for _, a := range s.Action.Values {
			sts = sts && strings.HasPrefix(strings.ToLower(a.Text), "sts:")
		}
	}
	if kind == Resource && sts {
		return Trust
	}
	return kind
}
