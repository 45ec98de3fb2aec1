package incident_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/incident"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

const allow = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`

func resource(t *testing.T, typ, arn, document string) *estate.Resource {
	t.Helper()
	v, err := estate.DecodeJSON([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return &estate.Resource{Type: typ, ID: arn[strings.LastIndexByte(arn, '/')+1:], ARN: arn, Account: account, Document: v.(map[string]any)}
}

func judge(t *testing.T) *incident.Estate {
	iam := "arn:aws:iam::" + account + ":"
	e, err := incident.NewEstate(estate.New(estate.Header{Schema: estate.Schema}, []*estate.Resource{
		resource(t, "AWS::IAM::User", iam+"user/alice", `{"UserName":"alice","Path":"/"}`),
		resource(t, "AWS::IAM::User", iam+"user/chief", `{"UserName":"chief","Path":"/","AttachedManagedPolicies":[{"PolicyName":"AdministratorAccess","PolicyArn":"arn:aws:iam::aws:policy/AdministratorAccess"}]}`),
		resource(t, "AWS::IAM::User", iam+"user/guarded", `{"UserName":"guarded","Path":"/","UserPolicyList":[{"PolicyName":"no","PolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iam:*","Resource":"*"}}}]}`),
		resource(t, "AWS::IAM::User", iam+"user/office", `{"UserName":"office","Path":"/","UserPolicyList":[{"PolicyName":"from-office","PolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}}}]}`),
		resource(t, "AWS::IAM::Role", iam+"role/app", `{"RoleName":"app","Path":"/","AssumeRolePolicyDocument":{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}}`),
		resource(t, "AWS::IAM::Group", iam+"group/admins", `{"GroupName":"admins","GroupPolicyList":[{"PolicyName":"all","PolicyDocument":`+allow+`}]}`),
		resource(t, "AWS::IAM::ManagedPolicy", iam+"policy/wide", `{"PolicyVersionList":[{"VersionId":"v1","IsDefaultVersion":true,"Document":`+allow+`}]}`),
	}, nil))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestChange: what a change gives is evaluated with all policies, never read off
// a policy's name.
func TestChange(t *testing.T) {
	admin := "arn:aws:iam::aws:policy/AdministratorAccess"
	j := judge(t)
	for _, c := range []struct {
		name   string
		change incident.Change
		want   incident.Outcome
		reason string
	}{
		{"an AWS-managed policy", incident.Change{Name: "AttachUserPolicy", Target: "alice", Policy: admin}, incident.Administrator, "this AttachUserPolicy makes user/alice an administrator"},
		{"a policy that reads", incident.Change{Name: "AttachUserPolicy", Target: "alice", Policy: "arn:aws:iam::aws:policy/ReadOnlyAccess"}, incident.Limited, "user/alice no administrator"},
		{"one's own policy, by its text in the estate", incident.Change{Name: "AttachUserPolicy", Target: "alice", Policy: "arn:aws:iam::" + account + ":policy/wide"}, incident.Administrator, "makes user/alice"},
		{"a policy that the estate lacks", incident.Change{Name: "AttachUserPolicy", Target: "alice", Policy: "arn:aws:iam::" + account + ":policy/other"}, incident.Unknown, "does not show the policy"},
		{"an explicit deny wins", incident.Change{Name: "AttachUserPolicy", Target: "guarded", Policy: admin}, incident.Limited, "user/guarded no administrator"},
		{"an administrator stays one", incident.Change{Name: "PutUserPolicy", Target: "chief", Inline: "more", Document: allow}, incident.Administrator, "was an administrator without this"},
		{"the estate was collected after the change", incident.Change{Name: "AttachUserPolicy", Target: "chief", Policy: admin}, incident.Administrator, "makes user/chief an administrator"},
		{"an inline policy on a role", incident.Change{Name: "PutRolePolicy", Target: "app", Inline: "p", Document: allow}, incident.Administrator, "makes role/app"},
		{"a text that is no policy", incident.Change{Name: "PutRolePolicy", Target: "app", Inline: "p", Document: `{"Version":`}, incident.Unknown, "unknown"},
		{"a group that administers", incident.Change{Name: "AddUserToGroup", Target: "alice", Second: "admins"}, incident.Administrator, "makes user/alice"},
		{"a group that the estate lacks", incident.Change{Name: "AddUserToGroup", Target: "alice", Second: "other"}, incident.Unknown, "no group other"},
		{"a user made since", incident.Change{Name: "AttachUserPolicy", Target: "new", Policy: admin}, incident.Administrator, "makes user/new"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.change.Account = account
			got, ok := j.Change(c.change)
			if !ok || got.Outcome != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("%v %s %q, want %s %q", ok, got.Outcome, got.Reason, c.want, c.reason)
			}
		})
	}
}

func TestPrincipal(t *testing.T) {
	j := judge(t)
	for name, want := range map[string]incident.Outcome{
		"arn:aws:iam::" + account + ":user/chief": incident.Administrator, "arn:aws:iam::" + account + ":user/alice": incident.Limited,
		"arn:aws:iam::" + account + ":user/office": incident.Unknown, "arn:aws:iam::" + account + ":user/nobody": incident.Unknown,
	} {
		if got := j.Principal(name); got.Outcome != want {
			t.Errorf("%s: %s (%s), want %s", name, got.Outcome, got.Reason, want)
		}
	}
}

// TestReachRaises: an incident in which a step makes an administrator is
// critical and says so beside the step.
func TestReachRaises(t *testing.T) {
	alice := user("alice", "AKIAALICE")
	records := []record{call(0, "1", "iam", "ListUsers", alice), call(1, "2", "iam", "AttachUserPolicy", alice, params("userName", "alice", "policyArn", "arn:aws:iam::aws:policy/AdministratorAccess"))}
	r := run(t, incident.Options{Judge: judge(t)}, records...)
	in := r.Incidents[0]
	if in.Severity != finding.SeverityCritical || in.Timeline[1].Reach != "this AttachUserPolicy makes user/alice an administrator" || len(in.Because) != 2 {
		t.Errorf("severity %s because %q, reach %q", in.Severity, in.Because, in.Timeline[1].Reach)
	}
	if r := run(t, incident.Options{}, records...); r.Incidents[0].Severity != finding.SeverityMedium || r.Incidents[0].Reach != nil {
		t.Errorf("without an estate: %s", r.Incidents[0].Severity)
	}
}
