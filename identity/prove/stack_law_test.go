package prove_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// The account whose principals ask, and another one.
const (
	ours   = "444455556666"
	theirs = "111122223333"
)

var (
	stackActions   = []string{"s3:GetObject", "s3:*", "*", "kms:Decrypt", "kms:*", "sts:AssumeRole", "sts:*", "ec2:RunInstances"}
	stackResources = []string{"*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/p/*", "arn:aws:kms:eu-west-1:" + ours + ":key/k", "arn:aws:iam::*:role/*"}
	stackKeys      = []string{
		`"StringEquals":{"aws:SourceVpc":"vpc-1"}`, `"StringNotEquals":{"aws:SourceVpc":"vpc-1"}`, `"Null":{"aws:SourceVpc":"false"}`,
		`"StringEquals":{"aws:PrincipalType":"User"}`, `"StringEquals":{"aws:username":"u"}`,
		`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::444455556666:role/r"}`, `"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}`,
		`"StringEquals":{"aws:ResourceAccount":"111122223333"}`, `"StringNotEquals":{"aws:ResourceAccount":"${aws:PrincipalAccount}"}`,
	}
	stackPrincipals = []string{
		`"*"`, `{"AWS":"444455556666"}`, `{"AWS":"arn:aws:iam::444455556666:role/r"}`, `{"AWS":"arn:aws:iam::444455556666:user/u"}`,
		`{"AWS":"arn:aws:sts::444455556666:assumed-role/r/ci"}`, `{"AWS":"arn:aws:sts::444455556666:federated-user/f"}`, `{"Service":"sns.amazonaws.com"}`,
		`{"AWS":["444455556666","arn:aws:iam::444455556666:user/u"]}`, `{"AWS":["444455556666","arn:aws:iam::444455556666:role/r","arn:aws:sts::444455556666:assumed-role/r/ci"]}`,
	}
	stackCallers = []string{
		"arn:aws:iam::444455556666:user/u", "arn:aws:iam::444455556666:user/v", "arn:aws:sts::444455556666:assumed-role/r/ci", "arn:aws:sts::444455556666:assumed-role/r/x",
		"arn:aws:sts::444455556666:assumed-role/s/ci", "arn:aws:sts::444455556666:federated-user/f", "arn:aws:sts::444455556666:federated-user/g",
		"arn:aws:iam::444455556666:root", "arn:aws:iam::111122223333:user/u", "arn:aws:iam::111122223333:root", "*", "sns.amazonaws.com", "sqs.amazonaws.com",
	}
)

// stackText is a whole stack as JSON, so that a failure can be read.
type stackText struct {
	Identity, Boundary, Session, Resource, SCP, RCP string `json:",omitempty"`
	S3                                              *identity.S3Access
	Grants                                          []identity.Grant
}

func (s stackText) String() string {
	b, _ := json.MarshalIndent(s, "", " ")
	return strings.ReplaceAll(string(b), `\"`, `'`)
}

func (s stackText) compile(t *rapid.T) identity.Stack {
	one := func(text string, layer identity.Layer) []*identity.Document {
		if text == "" {
			return nil
		}
		d, err := identity.ParseDocument([]byte(text), layer, string(layer))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return []*identity.Document{d}
	}
	st := identity.Stack{Identity: one(s.Identity, identity.IdentityPolicy), Boundaries: one(s.Boundary, identity.PermissionsBoundary),
		Session: one(s.Session, identity.SessionPolicy), S3: s.S3, Grants: s.Grants}
	if s.Resource != "" {
		st.Resource = one(s.Resource, identity.ResourcePolicy)[0]
	}
	if s.SCP != "" {
		st.ServiceControl = [][]*identity.Document{one(s.SCP, identity.ServiceControlPolicy)}
	}
	if s.RCP != "" {
		st.ResourceControl = [][]*identity.Document{one(s.RCP, identity.ResourceControlPolicy)}
	}
	return st
}

// stackPolicy draws a policy of one layer.
func stackPolicy(t *rapid.T, layer string, withPrincipal bool) string {
	var statements []string
	for range rapid.IntRange(1, 3).Draw(t, layer+" statements") {
		effect := rapid.SampledFrom([]string{"Allow", "Allow", "Allow", "Deny"}).Draw(t, "effect")
		if layer == "rcp" {
			effect = "Deny"
		}
		s := fmt.Sprintf(`{"Effect":%q,"Action":%q,"Resource":%q`, effect, rapid.SampledFrom(stackActions).Draw(t, "action"), rapid.SampledFrom(stackResources).Draw(t, "resource"))
		switch {
		case layer == "rcp":
			s += `,"Principal":"*"`
		case withPrincipal && effect == "Deny" && rapid.IntRange(0, 3).Draw(t, "exempt") == 0:
			s += `,"NotPrincipal":` + rapid.SampledFrom(stackPrincipals).Draw(t, "principal")
		case withPrincipal:
			s += `,"Principal":` + rapid.SampledFrom(stackPrincipals).Draw(t, "principal")
		}
		if rapid.IntRange(0, 2).Draw(t, "conditional") == 0 {
			s += `,"Condition":{` + rapid.SampledFrom(stackKeys).Draw(t, "condition") + `}`
		}
		statements = append(statements, s+"}")
	}
	return doc(strings.Join(statements, ","))
}

func anyStack(t *rapid.T, name string) stackText {
	maybe := func(layer string, withPrincipal bool) string {
		if !rapid.Bool().Draw(t, name+" has "+layer) {
			return ""
		}
		return stackPolicy(t, layer, withPrincipal)
	}
	s := stackText{Identity: stackPolicy(t, "identity", false), Resource: stackPolicy(t, "resource", true), Boundary: maybe("boundary", false), Session: maybe("session", false)}
	switch rapid.IntRange(0, 4).Draw(t, name+" more") {
	case 0:
		s.SCP = doc(`{"Effect":"Allow","Action":"*","Resource":"*"},` + strings.TrimSuffix(strings.TrimPrefix(stackPolicy(t, "scp", false), `{"Version":"2012-10-17","Statement":[`), `]}`))
	case 1:
		s.RCP = stackPolicy(t, "rcp", true)
	case 2:
		s.S3 = &identity.S3Access{RestrictPublicBuckets: rapid.Bool().Draw(t, "restrict"), IgnorePublicAcls: rapid.Bool().Draw(t, "ignore"), ACL: []identity.ACLGrant{{
			Grantee:    rapid.SampledFrom([]string{"AllUsers", "AuthenticatedUsers", ours}).Draw(t, "grantee"),
			Permission: rapid.SampledFrom([]string{"READ", "FULL_CONTROL", "WRITE_ACP"}).Draw(t, "permission"),
		}}}
	case 3:
		g := identity.Grant{Operations: []string{"Decrypt"}, GranteePrincipal: rapid.SampledFrom([]string{"arn:aws:iam::444455556666:role/r", "arn:aws:iam::444455556666:user/u", "sns.amazonaws.com"}).Draw(t, "grantee")}
		if rapid.Bool().Draw(t, "constrained") {
			g.EncryptionContextEquals = map[string]string{"app": "x"}
		}
		s.Grants = []identity.Grant{g}
	}
	return s
}

// stackRequest draws a request of anybody to a resource of either account.
func stackRequest(t *rapid.T) *identity.Request {
	r := &identity.Request{
		Principal:       rapid.SampledFrom(stackCallers).Draw(t, "caller"),
		Action:          rapid.SampledFrom([]string{"s3:GetObject", "s3:PutObject", "s3:ListBucket", "kms:Decrypt", "sts:AssumeRole", "ec2:RunInstances"}).Draw(t, "action"),
		Resource:        rapid.SampledFrom([]string{"arn:aws:s3:::b/p/k", "arn:aws:s3:::b/k", "arn:aws:kms:eu-west-1:444455556666:key/k", "arn:aws:iam::444455556666:role/t", "*"}).Draw(t, "resource"),
		ResourceAccount: rapid.SampledFrom([]string{ours, theirs}).Draw(t, "owner"),
		Context:         map[string][]string{},
	}
	if v := rapid.SampledFrom([]string{"", "vpc-1", "vpc-2"}).Draw(t, "vpc"); v != "" {
		r.Context["aws:SourceVpc"] = []string{v}
	}
	if rapid.Bool().Draw(t, "encryption context") {
		r.Context["kms:EncryptionContext:app"], r.Context["kms:EncryptionContextKeys"] = []string{"x"}, []string{"app"}
	}
	return r
}

func decided(t *rapid.T, st *identity.Stack, r *identity.Request) bool {
	d, err := identity.Evaluate(r, st)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return d.Outcome == identity.Allowed
}

// TestWholeStacksAgree: over identity policies, boundary, session policy, control
// policies, the resource's policy, its lists and grants, for callers of every
// kind and resources of the caller's and of another account, a "no" is never
// contradicted by a request, and a "yes" shows one.
func TestWholeStacksAgree(t *testing.T) {
	verdicts := map[prove.Verdict]int{}
	rapid.Check(t, func(t *rapid.T) {
		old, next := anyStack(t, "old"), anyStack(t, "new")
		if rapid.Bool().Draw(t, "one layer differs") {
			was := next
			next = old
			switch rapid.IntRange(0, 3).Draw(t, "which") {
			case 0:
				next.Resource = was.Resource
			case 1:
				next.Boundary = was.Boundary
			case 2:
				next.Session = was.Session
			case 3:
				next.Identity = was.Identity
			}
		}
		o, n := old.compile(t), next.compile(t)
		got := prove.Compare(prove.Side{Stack: o}, prove.Side{Stack: n})
		verdicts[got.Verdict]++
		if got.Verdict == prove.Yes {
			if w := got.Witness; !decided(t, &n, w) || decided(t, &o, w) {
				t.Fatalf("the witness shows no new access: %+v\n old %v\n new %v", w, old, next)
			}
			return
		}
		if got.Verdict == prove.Unknown {
			t.Logf("unknown: %s\n old %v\n new %v", got.Reason, old, next)
			return
		}
		for range 80 {
			if r := stackRequest(t); decided(t, &n, r) && !decided(t, &o, r) {
				t.Fatalf("a proof of no new access, but %+v\n old %v\n new %v", r, old, next)
			}
		}
	})
	t.Logf("verdicts: %d yes, %d no, %d unknown", verdicts[prove.Yes], verdicts[prove.No], verdicts[prove.Unknown])
	if verdicts[prove.No] == 0 || verdicts[prove.Unknown] > verdicts[prove.No] {
		t.Errorf("%v: hardly anything is decided", verdicts)
	}
}
