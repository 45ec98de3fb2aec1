package paths_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity/paths"
)

// An estate may come from an attacker: documents of wrong shapes, references in
// circles, names that are markup, patterns made to be slow. The search ends, and
// finds what is there besides.
func TestHostileEstate(t *testing.T) {
	h := &house{t: t}
	var patterns []any
	for i := range 3000 {
		patterns = append(patterns, fmt.Sprintf("arn:aws:lambda:*:*:function:%s%d", strings.Repeat("*a", 100), i))
	}
	h.user("slow", policy(doc{"Effect": "Allow", "Action": []any{"lambda:*"}, "Resource": patterns}, statement("Allow", []string{"iam:PassRole"}, "*")))
	h.user("eve", policy(statement("Allow", []string{"*"}, "*", doc{"Condition": doc{"StringEquals": doc{"aws:PrincipalTag/x": "${aws:PrincipalTag/x}"}}})))
	h.user("broken", nil).Document = map[string]any{"UserPolicyList": "none", "GroupList": 7, "AttachedManagedPolicies": []any{nil, 1, doc{"PolicyArn": 3}}}
	h.role("odd", doc{"Statement": []any{}}, nil)
	h.role("loop", trusts("AWS", roleARN(acct, "loop")), policy(statement("Allow", []string{"sts:AssumeRole"}, "*")))
	h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
	h.role("web", trusts("Service", "ec2.amazonaws.com"), everything).Document["InstanceProfileList"] = []any{3, doc{"Arn": 4}}
	h.user("mallory", policy(statement("Allow", []string{"ec2:*", "ssm:*", "lambda:UpdateFunctionCode", "cloudformation:*"}, "*")))
	for i, d := range []doc{nil, {"Role": 3}, {"Role": doc{}}, {"Role": ""}, {"IamInstanceProfile": []any{}}, {"IamInstanceProfile": doc{"Arn": "x"}, "State": "running"},
		{"DescribeLaunchTemplateVersions": 1}, {"DescribeLaunchTemplateVersions": doc{"LaunchTemplateVersions": []any{1, doc{"DefaultVersion": "yes"}}}}} {
		for _, typ := range []string{"AWS::Lambda::Function", "AWS::EC2::Instance", "AWS::EC2::LaunchTemplate", "AWS::CloudFormation::Stack"} {
			h.add(typ, fmt.Sprint("x", i), "", acct, "eu-west-1", d)
		}
	}
	h.add("AWS::IAM::InstanceProfile", "p", "", acct, "", doc{"Roles": []any{doc{"Arn": 1}, doc{"Arn": "arn:aws:iam::" + acct + ":role/gone"}}})
	h.add("AWS::IAM::Group", "", "", acct, "", doc{"GroupPolicyList": 3})
	r := h.find(paths.Options{})
	if got := found(r, "mallory", "ssm-001"); got != "possible" {
		t.Errorf("an instance profile that nobody knows may be of any role: %s", got)
	}
	if got := found(r, "slow", "lambda-001"); got != "certain" {
		t.Errorf("a name among three thousand slow patterns: %s", got)
	}
	if r.Cut == nil || !r.Cut.Verified {
		t.Errorf("cut %+v", r.Cut)
	}
}
