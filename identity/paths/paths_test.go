package paths_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/paths"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

const acct = "111122223333"

var loaded = sync.OnceValues(func() ([]*paths.Primitive, error) {
	dir, err := fs.Sub(catalog.Escalations, "escalations")
	if err != nil {
		return nil, err
	}
	return paths.Load(dir)
})

func primitives(t testing.TB) []*paths.Primitive {
	t.Helper()
	list, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type doc = map[string]any

// statement makes an Allow; more members come from extra.
func statement(effect string, actions []string, resource any, extra ...doc) doc {
	s := doc{"Sid": "S", "Effect": effect, "Action": anys(actions), "Resource": resource}
	for _, e := range extra {
		for k, v := range e {
			s[k] = v
		}
	}
	return s
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func policy(statements ...doc) doc {
	list := make([]any, len(statements))
	for i, s := range statements {
		list[i] = s
	}
	return doc{"Version": "2012-10-17", "Statement": list}
}

func trusts(kind string, who ...string) doc {
	return policy(doc{"Effect": "Allow", "Principal": doc{kind: anys(who)}, "Action": "sts:AssumeRole"})
}

var everything = policy(statement("Allow", []string{"*"}, "*"))

// house builds an estate.
type house struct {
	t    testing.TB
	list []*estate.Resource
	read []string
	gaps []estate.Gap
}

func (h *house) add(typ, id, arn, account, region string, d doc) *estate.Resource {
	r := &estate.Resource{Type: typ, ID: id, ARN: arn, Account: account, Region: region, Document: d, Tags: map[string]string{"env": "prod"}}
	h.list = append(h.list, r)
	return r
}

func inline(p doc) []any {
	if p == nil {
		return []any{}
	}
	return []any{doc{"PolicyName": "inline", "PolicyDocument": p}}
}

func (h *house) user(name string, p doc) *estate.Resource {
	return h.userIn(acct, name, p)
}

func (h *house) userIn(account, name string, p doc) *estate.Resource {
	return h.add("AWS::IAM::User", name, "arn:aws:iam::"+account+":user/"+name, account, "", doc{
		"UserName": name, "Path": "/", "UserId": "AIDA" + strings.ToUpper(name), "UserPolicyList": inline(p), "AttachedManagedPolicies": []any{}, "GroupList": []any{},
	})
}

func (h *house) role(name string, trust, p doc) *estate.Resource {
	return h.roleIn(acct, name, trust, p)
}

func (h *house) roleIn(account, name string, trust, p doc) *estate.Resource {
	arn := "arn:aws:iam::" + account + ":role/" + name
	return h.add("AWS::IAM::Role", name, arn, account, "", doc{
		"RoleName": name, "Path": "/", "RoleId": "AROA" + strings.ToUpper(name), "AssumeRolePolicyDocument": trust, "RolePolicyList": inline(p),
		"AttachedManagedPolicies": []any{}, "InstanceProfileList": []any{doc{"InstanceProfileName": name, "Arn": "arn:aws:iam::" + account + ":instance-profile/" + name}},
	})
}

func (h *house) group(name string, p doc, members ...*estate.Resource) {
	h.add("AWS::IAM::Group", name, "arn:aws:iam::"+acct+":group/"+name, acct, "", doc{"GroupName": name, "Path": "/", "GroupPolicyList": inline(p), "AttachedManagedPolicies": []any{}})
	for _, m := range members {
		m.Document["GroupList"] = append(m.Document["GroupList"].([]any), name)
	}
}

// managed makes a customer managed policy and attaches it.
func (h *house) managed(name string, p doc, versions int, holders ...*estate.Resource) string {
	arn := "arn:aws:iam::" + acct + ":policy/" + name
	list := []any{doc{"VersionId": "v9", "IsDefaultVersion": true, "Document": p}}
	for i := 1; i < versions; i++ {
		list = append(list, doc{"VersionId": fmt.Sprint("v", i), "IsDefaultVersion": false, "Document": p})
	}
	h.add("AWS::IAM::ManagedPolicy", arn, arn, acct, "", doc{"PolicyName": name, "Arn": arn, "PolicyVersionList": list})
	for _, m := range holders {
		attach(m, arn)
	}
	return arn
}

func attach(r *estate.Resource, arn string) {
	list, _ := r.Document["AttachedManagedPolicies"].([]any)
	r.Document["AttachedManagedPolicies"] = append(list, doc{"PolicyName": arn[strings.LastIndexByte(arn, '/')+1:], "PolicyArn": arn})
}

func (h *house) boundary(r *estate.Resource, p doc) {
	r.Document["PermissionsBoundary"] = doc{"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": h.managed("boundary-"+r.ID, p, 1)}
}

func (h *house) find(o paths.Options) *paths.Report {
	h.t.Helper()
	inv, index := h.load()
	if o.Primitives == nil {
		o.Primitives = primitives(h.t)
	}
	o.Index, o.Read = index, map[string]bool{}
	for _, typ := range h.read {
		o.Read[typ] = true
	}
	r, err := paths.Find(inv, o)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) load() (*inventory.Inventory, *estate.Index) {
	h.t.Helper()
	e := estate.New(estate.Header{Schema: estate.Schema}, h.list, h.gaps)
	inv, err := inventory.Load(e)
	if err != nil {
		h.t.Fatal(err)
	}
	return inv, e.Index()
}

// found reports how surely a report has a path of a source by a primitive.
func found(r *paths.Report, from, id string) string {
	best := "no"
	for _, p := range r.Paths {
		if !strings.HasSuffix(p.From, "/"+from) {
			continue
		}
		for _, w := range p.Hops[0].Ways {
			if w.ID == id && w.Certain && p.Certain {
				return "certain"
			} else if w.ID == id {
				best = "possible"
			}
		}
	}
	return best
}

// scene is the estate in which one primitive should be found, with what a case
// may spoil.
type scene struct {
	*house
	prim    *paths.Primitive
	actor   *estate.Resource // named eve
	target  *estate.Resource // role, user or nil
	holding *estate.Resource // the resource that runs as the role
	actions []string
	policy  string // of iam-001, -016 and -020
	wrong   func() // makes the target a wrong one
}

// stage builds the scene: eve has exactly the permissions, as statements says.
func stage(t testing.TB, p *paths.Primitive, actions []string, statements ...doc) *scene {
	return stageAs(t, p, p.Target.Kind == paths.SelfRole, actions, statements...)
}

// stageAs is stage with eve as a role.
func stageAs(t testing.TB, p *paths.Primitive, role bool, actions []string, statements ...doc) *scene {
	s := &scene{house: &house{t: t}, prim: p, actions: actions}
	kind := p.Target.Kind
	s.wrong = func() {}
	if role {
		s.actor = s.role("eve", trusts("Service", "ec2.amazonaws.com"), policy(statements...))
	} else {
		s.actor = s.user("eve", policy(statements...))
	}
	grants := everything
	if p.Plus == paths.PlusAdmin {
		grants = nil // what is gained is the added policy
	}
	switch kind {
	case paths.PassedRole:
		s.target = s.role("target", trusts("Service", p.Target.Services[0]), grants)
		s.wrong = func() { s.target.Document["AssumeRolePolicyDocument"] = trusts("Service", "other.amazonaws.com") }
	case paths.Existing:
		s.target = s.role("target", trusts("Service", p.Target.Services[0]), grants)
		s.role("weak", trusts("Service", p.Target.Services[0]), nil)
		s.holding = s.running("target")
		s.wrong = func() { s.holding.Document = s.runs("weak") }
	case paths.AnyUser:
		s.target = s.user("target", grants)
		s.target.Document["GetLoginProfile"] = nil
		s.target.Document["ListAccessKeys"] = doc{"AccessKeyMetadata": []any{}}
		if slices.Contains(p.Needs, paths.NeedsLoginProfile) {
			s.target.Document["GetLoginProfile"] = doc{"LoginProfile": doc{}}
		}
		s.wrong = func() { s.target.ARN = "arn:aws:iam::" + acct + ":user/elsewhere" }
	case paths.AnyRole:
		s.target = s.role("target", trusts("AWS", s.actor.ARN), grants)
		s.wrong = func() {
			s.target.Document["AssumeRolePolicyDocument"] = trusts("AWS", "arn:aws:iam::"+acct+":user/other")
		}
		if p.Target.Policy {
			s.policy = s.managed("own", policy(statement("Allow", []string{"s3:ListAllMyBuckets"}, "*")), 2, s.target)
		}
	case paths.Self:
		s.policy = s.managed("own", policy(statement("Allow", []string{"s3:ListAllMyBuckets"}, "*")), 2, s.actor)
		s.wrong = func() { s.actor.Document["AttachedManagedPolicies"] = []any{} }
	case paths.OwnGroup:
		s.group("crew", nil, s.actor)
		s.wrong = func() { s.actor.Document["GroupList"] = []any{} }
	case paths.OtherGroup:
		s.group("crew", everything)
		s.wrong = func() {
			s.list = slices.DeleteFunc(s.list, func(r *estate.Resource) bool { return r.Type == "AWS::IAM::Group" })
		}
	}
	return s
}

// runs makes the document of a resource that runs as a role.
func (s *scene) runs(role string) doc {
	arn := "arn:aws:iam::" + acct + ":role/" + role
	profile := "arn:aws:iam::" + acct + ":instance-profile/" + role
	switch s.prim.Target.Type {
	case "AWS::Lambda::Function":
		return doc{"FunctionName": "f", "Role": arn}
	case "AWS::EC2::Instance":
		return doc{"InstanceId": "i-1", "IamInstanceProfile": doc{"Arn": profile}, "State": doc{"Name": "running"}}
	case "AWS::EC2::LaunchTemplate":
		return doc{"LaunchTemplateId": "lt-1", "DescribeLaunchTemplateVersions": doc{"LaunchTemplateVersions": []any{
			doc{"DefaultVersion": false, "LaunchTemplateData": doc{}},
			doc{"DefaultVersion": true, "LaunchTemplateData": doc{"IamInstanceProfile": doc{"Name": role}}},
		}}}
	case "AWS::CloudFormation::Stack":
		return doc{"StackName": "s", "RoleARN": arn}
	case "AWS::CodeBuild::Project":
		return doc{"name": "p", "serviceRole": arn}
	case "AWS::AppRunner::Service":
		return doc{"ServiceName": "s", "InstanceConfiguration": doc{"InstanceRoleArn": arn}}
	case "AWS::BedrockAgentCore::CodeInterpreterCustom":
		return doc{"codeInterpreterId": "c", "executionRoleArn": arn}
	case "AWS::Glue::DevEndpoint", "AWS::SageMaker::NotebookInstance":
		return doc{"RoleArn": arn}
	}
	s.t.Fatalf("no example of %s", s.prim.Target.Type)
	return nil
}

func (s *scene) running(role string) *estate.Resource {
	arn := strings.NewReplacer("{partition}", "aws", "{region}", "eu-west-1", "{account}", acct, "{name}", "x1", "{id}", "x2", "{instance}", "i-1", "{template}", "lt-1").Replace(s.prim.Target.ARN)
	return s.add(s.prim.Target.Type, "x1", arn, acct, "eu-west-1", s.runs(role))
}

func (s *scene) eve() string { return found(s.find(paths.Options{}), "eve", s.prim.ID) }

func required(t testing.TB) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(thirdparty.Path(t, "iam/escalation-paths.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		ID       string
		Required []struct{ Permission string }
	}
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, e := range list {
		for _, r := range e.Required {
			out[e.ID] = append(out[e.ID], r.Permission)
		}
	}
	return out
}

// Each path of the published list is found with exactly its permissions, and not
// found when any of them is missing, denied, beyond the boundary or under a
// condition that does not hold, or when the target is a wrong one.
func TestEveryPublishedPath(t *testing.T) {
	want := required(t)
	if len(want) != 65 {
		t.Fatalf("the published list has %d paths, want 65", len(want))
	}
	byID := map[string]*paths.Primitive{}
	for _, p := range primitives(t) {
		byID[p.ID] = p
	}
	count := 0
	for id, actions := range want {
		p := byID[id]
		if p == nil {
			t.Errorf("%s: not in the catalogue", id)
			continue
		}
		t.Run(id, func(t *testing.T) {
			allow := statement("Allow", actions, "*")
			if got := stage(t, p, actions, allow).eve(); got != "certain" {
				t.Errorf("with exactly %v: %s, want certain", actions, got)
			}
			count++
			if k := p.Target.Kind; k != paths.SelfUser && k != paths.OwnGroup && k != paths.OtherGroup {
				if got := stageAs(t, p, true, actions, allow).eve(); got != "certain" {
					t.Errorf("by a role: %s, want certain", got)
				}
			}
			if p.Target.Kind == paths.Existing {
				s := stage(t, p, actions, allow)
				s.list = slices.DeleteFunc(s.list, func(r *estate.Resource) bool { return r == s.holding })
				if got := s.eve(); got != "possible" {
					t.Errorf("with nothing but IAM read: %s, want possible", got)
				}
				if s.read = []string{p.Target.Type}; s.eve() != "no" {
					t.Errorf("where there is no %s: a path", p.Target.Type)
				}
			}
			expectNone := func(rule string, s *scene) {
				t.Helper()
				if got := s.eve(); got != "no" {
					t.Errorf("%s: %s, want no path by %s", rule, got, id)
				}
			}
			for i, a := range actions {
				less := slices.Delete(slices.Clone(actions), i, i+1)
				s := stage(t, p, actions, statement("Allow", append(less, "s3:ListAllMyBuckets"), "*"))
				if a == "sts:AssumeRole" { // else the trust policy that names eve is enough
					s.target.Document["AssumeRolePolicyDocument"] = trusts("AWS", "arn:aws:iam::"+acct+":root")
				}
				expectNone("without "+a, s)
				expectNone(a+" denied", stage(t, p, actions, allow, statement("Deny", []string{a}, "*")))
				if a != "sts:AssumeRole" {
					s = stage(t, p, actions, allow)
					s.boundary(s.actor, policy(doc{"Effect": "Allow", "NotAction": a, "Resource": "*"}))
					expectNone("boundary without "+a, s)
				}
				s = stage(t, p, actions, allow)
				s.organization(policy(statement("Deny", []string{a}, "*")))
				expectNone(a+" denied by a control policy", s)
			}
			s := stage(t, p, actions, allow)
			s.boundary(s.actor, policy(statement("Allow", []string{"*"}, "*"), statement("Deny", actions[:1], "*")))
			expectNone("boundary that denies "+actions[0], s)
			s = stage(t, p, actions, allow)
			s.wrong()
			if strings.Contains(id, "iam-012") || slices.Contains(actions, "iam:UpdateAssumeRolePolicy") {
				// Whoever it trusts now does not matter: the target is wrong if it is protected.
				s.target.Document["Path"] = "/aws-reserved/"
			}
			if p.Target.Kind == paths.AnyUser {
				s = stage(t, p, actions, statement("Allow", actions, "arn:aws:iam::"+acct+":user/other"))
			}
			if strings.HasPrefix(string(p.Target.Kind), "self-") {
				s = stage(t, p, actions, statement("Allow", actions, "arn:aws:iam::"+acct+":"+strings.TrimPrefix(string(p.Target.Kind), "self-")+"/other"))
			}
			expectNone("wrong target", s)
			expectNone("a condition that does not hold", stage(t, p, actions, s.unmet(allow)...))
		})
	}
	t.Logf("%d of %d published paths found", count, len(want))
}

// unmet gives the permissions under a condition that does not hold for what the
// primitive is aimed at.
func (s *scene) unmet(allow doc) []doc {
	switch s.prim.Target.Kind {
	case paths.PassedRole:
		return []doc{
			statement("Allow", s.actions, "*", doc{"Condition": doc{"StringEqualsIfExists": doc{"iam:PassedToService": "other.amazonaws.com"}}}),
		}
	case paths.Existing:
		tag := doc{"Condition": doc{"StringEqualsIfExists": doc{"aws:ResourceTag/env": "dev"}}}
		return []doc{statement("Allow", s.actions, "*", tag)}
	case paths.AnyUser, paths.AnyRole, paths.SelfRole, paths.SelfUser:
		return []doc{allow, statement("Deny", s.actions, "*", doc{"Condition": doc{"StringEquals": doc{"iam:ResourceTag/env": "prod"}}})}
	}
	return []doc{statement("Allow", s.actions, "*", doc{"Condition": doc{"StringEquals": doc{"aws:PrincipalTag/env": "dev"}}})}
}

// organization puts the account under a control policy.
func (h *house) organization(scp doc) {
	h.org("999999999999", scp)
}

func (h *house) org(management string, scp doc) {
	text, err := json.Marshal(scp)
	if err != nil {
		h.t.Fatal(err)
	}
	full, err := json.Marshal(everything)
	if err != nil {
		h.t.Fatal(err)
	}
	m := "999999999999"
	h.add("AWS::Organizations::Organization", "o-1", "", m, "", doc{"Id": "o-1", "MasterAccountId": management})
	h.add("AWS::Organizations::Account", acct, "", m, "", doc{"Id": acct, "ListParents": doc{"Parents": []any{doc{"Id": "r-1"}}}})
	h.add("AWS::Organizations::Policy", "p-0", "", m, "", doc{"Id": "p-0", "Name": "FullAWSAccess", "Type": "SERVICE_CONTROL_POLICY",
		"DescribePolicy": doc{"Policy": doc{"Content": string(full)}}, "ListTargetsForPolicy": doc{"Targets": []any{doc{"TargetId": "r-1"}, doc{"TargetId": acct}}}})
	h.add("AWS::Organizations::Policy", "p-1", "", m, "", doc{"Id": "p-1", "Name": "guard", "Type": "SERVICE_CONTROL_POLICY",
		"DescribePolicy": doc{"Policy": doc{"Content": string(text)}}, "ListTargetsForPolicy": doc{"Targets": []any{doc{"TargetId": acct}}}})
}
