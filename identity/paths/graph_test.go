package paths_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/paths"
)

const other = "444455556666"

func roleARN(account, name string) string { return "arn:aws:iam::" + account + ":role/" + name }
func userARN(name string) string          { return "arn:aws:iam::" + acct + ":user/" + name }

// route is the path of a source as text: names joined by the primitives between
// them, "" if there is none.
func route(r *paths.Report, from string) string {
	for _, p := range r.Paths {
		if !strings.HasSuffix(p.From, "/"+from) {
			continue
		}
		b := from
		for _, h := range p.Hops {
			b += " -" + h.Ways[0].ID + "> " + h.To[strings.LastIndexByte(h.To, '/')+1:]
			if h.Gain != "" {
				b += "+"
			}
		}
		if !p.Certain {
			b += " if " + strings.Join(p.Assumes, "; ")
		}
		return b
	}
	return ""
}

func TestGraph(t *testing.T) {
	assume := func(on string) doc { return statement("Allow", []string{"sts:AssumeRole"}, on) }
	lambda := []string{"lambda:CreateFunction", "lambda:InvokeFunction", "iam:PassRole"}
	for _, c := range []struct {
		rule  string
		build func(h *house)
		want  string // eve's route
	}{
		{"nobody who can do nothing", func(h *house) { h.user("eve", nil); h.role("boss", trusts("AWS", userARN("bob")), everything) }, ""},
		{"a trust policy that names a user is enough within an account", func(h *house) {
			h.user("eve", nil)
			h.role("boss", trusts("AWS", userARN("eve")), everything)
		}, "eve -sts-001> boss"},
		{"trust in the account needs the user's own permission, too", func(h *house) {
			h.user("eve", nil)
			h.role("boss", trusts("AWS", acct), everything)
		}, ""},
		{"three hops: assume, pass, assume", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("ci", trusts("AWS", acct), policy(statement("Allow", lambda, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), policy(assume(roleARN(acct, "boss"))))
			h.role("boss", trusts("AWS", roleARN(acct, "fn")), everything)
		}, "eve -sts-001> ci -lambda-001> fn -sts-001> boss"},
		{"the shortest of several ways comes first", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("ci", trusts("AWS", acct), policy(assume("*")))
			h.role("boss", trusts("AWS", roleARN(acct, "ci"), userARN("eve")), everything)
		}, "eve -sts-001> boss"},
		{"a circle leads nowhere", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("a", trusts("AWS", acct), policy(assume("*")))
			h.role("b", trusts("AWS", acct), policy(assume("*")))
		}, ""},
		{"a circle with an exit is left", func(h *house) {
			h.user("eve", policy(assume(roleARN(acct, "a"))))
			h.role("a", trusts("AWS", acct), policy(assume(roleARN(acct, "b"))))
			h.role("b", trusts("AWS", acct), policy(assume("*")))
			h.role("boss", trusts("AWS", roleARN(acct, "b")), everything)
		}, "eve -sts-001> a -sts-001> b -sts-001> boss"},
		{"across accounts both sides must allow", func(h *house) {
			h.user("eve", policy(assume(roleARN(other, "boss"))))
			h.roleIn(other, "boss", trusts("AWS", acct), everything)
		}, "eve -sts-001> boss"},
		{"across accounts the own side must allow even what the trust policy names", func(h *house) {
			h.user("eve", nil)
			h.roleIn(other, "boss", trusts("AWS", userARN("eve")), everything)
		}, ""},
		{"across accounts the trust policy must allow", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.roleIn(other, "boss", trusts("AWS", other), everything)
		}, ""},
		{"a role of another account cannot be passed", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda, "*")))
			h.roleIn(other, "boss", trusts("Service", "lambda.amazonaws.com"), everything)
		}, ""},
		{"a path over two accounts", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.roleIn(other, "ci", trusts("AWS", acct), policy(statement("Allow", lambda, "*")))
			h.roleIn(other, "fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -sts-001> ci -lambda-001> fn"},
		{"a control policy stops it", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", trusts("AWS", acct), everything)
			h.organization(policy(statement("Deny", []string{"sts:AssumeRole"}, "*")))
		}, ""},
		{"but not in the management account", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", trusts("AWS", acct), everything)
			h.org(acct, policy(statement("Deny", []string{"sts:AssumeRole"}, "*")))
		}, "eve -sts-001> boss"},
		{"an administrator under a control policy that denies IAM is none", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", trusts("AWS", acct), everything)
			h.organization(policy(statement("Deny", []string{"iam:*"}, "*")))
		}, ""},
		{"a region that control policies leave is enough", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
			h.organization(policy(doc{"Effect": "Deny", "NotAction": []any{"iam:*", "s3:*"}, "Resource": "*",
				"Condition": doc{"StringNotEquals": doc{"aws:RequestedRegion": "eu-north-1"}}}))
		}, "eve -lambda-001> fn"},
		{"an unknown key makes it possible, and is named", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", policy(doc{"Effect": "Allow", "Principal": doc{"AWS": acct}, "Action": "sts:AssumeRole", "Condition": doc{"Bool": doc{"aws:MultiFactorAuthPresent": "true"}}}), everything)
		}, "eve -sts-001> boss if the condition key aws:MultiFactorAuthPresent (sts:AssumeRole on " + roleARN(acct, "boss") + ")"},
		{"whether an account is in an organization is not known without one", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.roleIn(other, "boss", policy(doc{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": doc{"StringEquals": doc{"aws:PrincipalOrgID": "o-1"}}}), everything)
		}, "eve -sts-001> boss if the condition key aws:PrincipalOrgID (sts:AssumeRole on " + roleARN(other, "boss") + ")"},
		{"in the organization that the trust policy asks for", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", policy(doc{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": doc{"StringEquals": doc{"aws:PrincipalOrgID": "o-1"}}}), everything)
			h.organization(policy(statement("Deny", []string{"organizations:LeaveOrganization"}, "*")))
		}, "eve -sts-001> boss"},
		{"in another organization", func(h *house) {
			h.user("eve", policy(assume("*")))
			h.role("boss", policy(doc{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole", "Condition": doc{"StringEquals": doc{"aws:PrincipalOrgID": "o-2"}}}), everything)
			h.organization(policy(statement("Deny", []string{"organizations:LeaveOrganization"}, "*")))
		}, ""},
		{"a document of AWS has no account in its ARN, and tags of the instance are known", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"ssm:SendCommand"}, "arn:aws:ssm:*::document/AWS-*"),
				statement("Allow", []string{"ssm:SendCommand"}, "arn:aws:ec2:*:*:instance/*", doc{"Condition": doc{"StringEquals": doc{"ssm:resourceTag/env": "prod"}}})))
			h.role("web", trusts("Service", "ec2.amazonaws.com"), everything)
			h.add("AWS::EC2::Instance", "i-1", "arn:aws:ec2:eu-west-1:"+acct+":instance/i-1", acct, "eu-west-1", doc{"IamInstanceProfile": doc{"Arn": "arn:aws:iam::" + acct + ":instance-profile/web"}})
		}, "eve -ssm-002> web"},
		{"an instance with another tag", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"ssm:SendCommand"}, "arn:aws:ssm:*::document/AWS-*"),
				statement("Allow", []string{"ssm:SendCommand"}, "arn:aws:ec2:*:*:instance/*", doc{"Condition": doc{"StringEquals": doc{"ssm:resourceTag/env": "dev"}}})))
			h.role("web", trusts("Service", "ec2.amazonaws.com"), everything)
			h.add("AWS::EC2::Instance", "i-1", "arn:aws:ec2:eu-west-1:"+acct+":instance/i-1", acct, "eu-west-1", doc{"IamInstanceProfile": doc{"Arn": "arn:aws:iam::" + acct + ":instance-profile/web"}})
		}, ""},
		{"a key that the action never carries is absent, not unknown", func(h *house) {
			h.user("eve", policy(statement("Allow", append(lambda, "sts:AssumeRole"), "*", doc{"Condition": doc{"StringEquals": doc{"ec2:Region": "eu-west-1"}}})))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, ""},
		{"the name of the new function is one that the policy allows", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda[:2], "arn:aws:lambda:ap-south-1:*:function:team-?-*"), statement("Allow", lambda[2:], "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -lambda-001> fn"},
		{"a function that may be created but not invoked under any name", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda[:1], "arn:aws:lambda:*:*:function:a-*"), statement("Allow", lambda[1:2], "arn:aws:lambda:*:*:function:b-*"), statement("Allow", lambda[2:], "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, ""},
		{"functions that were not read may run as the role", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"lambda:UpdateFunctionCode"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -lambda-003> fn if a resource of type AWS::Lambda::Function that runs as fn; such resources were not read"},
		{"functions that were read do not", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"lambda:UpdateFunctionCode"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
			h.read = []string{"AWS::Lambda::Function"}
		}, ""},
		{"a resource whose role was not read may have any that trusts its service", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"apprunner:UpdateService"}, "*")))
			h.role("web", trusts("Service", "tasks.apprunner.amazonaws.com"), everything)
			arn := "arn:aws:apprunner:eu-west-1:" + acct + ":service/web/1"
			h.add("AWS::AppRunner::Service", arn, arn, acct, "eu-west-1", doc{"ServiceName": "web"})
		}, "eve -apprunner-002> web if arn:aws:apprunner:eu-west-1:" + acct + ":service/web/1 runs as web; its role was not read"},
		{"a stack without a role gives nothing", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"cloudformation:UpdateStack"}, "*")))
			h.role("cfn", trusts("Service", "cloudformation.amazonaws.com"), everything)
			arn := "arn:aws:cloudformation:eu-west-1:" + acct + ":stack/s/1"
			h.add("AWS::CloudFormation::Stack", arn, arn, acct, "eu-west-1", doc{"StackName": "s"})
		}, ""},
		{"an instance that is gone gives nothing", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"ssm:StartSession"}, "*")))
			h.role("web", trusts("Service", "ec2.amazonaws.com"), everything)
			h.add("AWS::EC2::Instance", "i-1", "arn:aws:ec2:eu-west-1:"+acct+":instance/i-1", acct, "eu-west-1", doc{"State": doc{"Name": "terminated"}, "IamInstanceProfile": doc{"Arn": "arn:aws:iam::" + acct + ":instance-profile/web"}})
		}, ""},
		{"a role without an instance profile cannot be launched", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"ec2:RunInstances", "iam:PassRole"}, "*")))
			h.role("web", trusts("Service", "ec2.amazonaws.com"), everything).Document["InstanceProfileList"] = []any{}
		}, ""},
		{"launching needs every resource that the call needs", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"ec2:RunInstances"}, "arn:aws:ec2:*:*:instance/*"), statement("Allow", []string{"iam:PassRole"}, "*")))
			h.role("web", trusts("Service", "ec2.amazonaws.com"), everything)
		}, ""},
		{"a user with two keys gets no third", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:CreateAccessKey"}, userARN("boss"))))
			h.user("boss", everything).Document["ListAccessKeys"] = doc{"AccessKeyMetadata": []any{doc{}, doc{}}}
		}, ""},
		{"keys that were not read may be two", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:CreateAccessKey"}, userARN("boss"))))
			h.user("boss", everything)
		}, "eve -iam-002> boss if boss has fewer than two access keys; they were not read"},
		{"a policy with five versions gets no sixth", func(h *house) {
			h.managed("own", policy(statement("Allow", []string{"iam:CreatePolicyVersion"}, "*")), 5, h.user("eve", nil))
		}, ""},
		{"a rewritten policy loses its denies", func(h *house) {
			h.managed("own", policy(statement("Allow", []string{"iam:CreatePolicyVersion"}, "*"), statement("Deny", []string{"s3:*"}, "*")), 1, h.user("eve", nil))
		}, "eve -iam-001> eve+"},
		{"an AWS managed policy cannot be rewritten", func(h *house) {
			attach(h.user("eve", policy(statement("Allow", []string{"iam:CreatePolicyVersion"}, "*"))), "arn:aws:iam::aws:policy/IAMUserChangePassword")
		}, ""},
		{"an added policy means nothing beyond the boundary", func(h *house) {
			h.boundary(h.user("eve", policy(statement("Allow", []string{"iam:PutUserPolicy"}, "*"))), policy(statement("Allow", []string{"iam:PutUserPolicy", "s3:*"}, "*")))
		}, ""},
		{"within a boundary an added policy can open another way", func(h *house) {
			h.boundary(h.user("eve", policy(statement("Allow", []string{"iam:PutUserPolicy"}, userARN("eve")))), policy(statement("Allow", append(lambda, "iam:PutUserPolicy"), "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -iam-007> eve+ -lambda-001> fn"},
		{"a group can open the way to another", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "arn:aws:iam::"+acct+":group/ops")))
			h.group("ops", policy(statement("Allow", []string{"iam:PutGroupPolicy"}, "*")))
		}, "eve -iam-013> eve+ -iam-011> eve+"},
		{"two groups can open together what neither does", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.group("functions", policy(statement("Allow", lambda[:2], "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -iam-013> eve+ -iam-013> eve+ -lambda-001> fn"},
		{"and three", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.group("functions", policy(statement("Allow", []string{"lambda:CreateFunction"}, "*")))
			h.group("callers", policy(statement("Allow", []string{"lambda:InvokeFunction"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -iam-013> eve+ -iam-013> eve+ -iam-013> eve+ -lambda-001> fn"},
		{"a group can let its members join another", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "arn:aws:iam::"+acct+":group/door")))
			h.group("door", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("bosses", everything)
		}, "eve -iam-013> eve+ -iam-013> eve+"},
		{"unless the other denies what the first allows", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.group("functions", policy(statement("Allow", lambda[:2], "*"), statement("Deny", []string{"iam:PassRole"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, ""},
		{"or the one that has to be joined first denies to join", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*"), statement("Deny", []string{"iam:AddUserToGroup"}, "*")))
			h.group("functions", policy(statement("Allow", lambda[:2], "*"), statement("Deny", []string{"iam:AddUserToGroup"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, ""},
		{"of which one order may do", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			h.group("pass", policy(statement("Allow", []string{"iam:PassRole"}, "*")))
			h.group("functions", policy(statement("Allow", lambda[:2], "*"), statement("Deny", []string{"iam:AddUserToGroup"}, "*")))
			h.role("fn", trusts("Service", "lambda.amazonaws.com"), everything)
		}, "eve -iam-013> eve+ -iam-013> eve+ -lambda-001> fn"},
		{"groups that are worth nothing together", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			for i := range 12 {
				h.group(fmt.Sprint("g", i), policy(statement("Allow", []string{"s3:GetObject"}, fmt.Sprintf("arn:aws:s3:::b%d/*", i))))
			}
		}, ""},
		{"who is in ten groups joins no other", func(h *house) {
			eve := h.user("eve", policy(statement("Allow", []string{"iam:AddUserToGroup"}, "*")))
			for i := range 10 {
				h.group(fmt.Sprint("team", i), nil, eve)
			}
			h.group("bosses", everything)
		}, ""},
		{"a condition on the policy attached", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:AttachUserPolicy"}, "*", doc{"Condition": doc{"ArnEquals": doc{"iam:PolicyARN": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}})))
		}, ""},
		{"a boundary that others must have", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:PutRolePolicy", "sts:AssumeRole"}, "*", doc{"Condition": doc{"StringEqualsIfExists": doc{"iam:PermissionsBoundary": "arn:aws:iam::" + acct + ":policy/limit"}}}),
				statement("Deny", []string{"iam:PutRolePolicy"}, "*", doc{"Condition": doc{"Null": doc{"iam:PermissionsBoundary": "true"}}})))
			h.role("app", trusts("AWS", acct), nil)
		}, ""},
		{"roles of Identity Center cannot be changed", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:UpdateAssumeRolePolicy"}, "*")))
			h.role("boss", trusts("AWS", userARN("bob")), everything).Document["Path"] = "/aws-reserved/sso.amazonaws.com/"
		}, ""},
		{"not even by themselves", func(h *house) {
			h.role("eve", trusts("Service", "ec2.amazonaws.com"), policy(statement("Allow", []string{"iam:PutRolePolicy"}, "*"))).Document["Path"] = "/aws-reserved/sso.amazonaws.com/"
		}, ""},
		{"service-linked roles cannot be passed on", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda, "*")))
			h.role("boss", trusts("Service", "lambda.amazonaws.com"), everything).Document["Path"] = "/aws-service-role/lambda.amazonaws.com/"
		}, ""},
		{"a service may be trusted for one source account only", func(h *house) {
			h.user("eve", policy(statement("Allow", lambda, "*")))
			h.role("fn", policy(doc{"Effect": "Allow", "Principal": doc{"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole", "Condition": doc{"StringEquals": doc{"aws:SourceAccount": other}}}), everything)
		}, ""},
		{"one's own name in a policy is one's own", func(h *house) {
			h.user("eve", policy(statement("Allow", []string{"iam:PutUserPolicy"}, "arn:aws:iam::"+acct+":user/${aws:username}")))
			h.user("adam", policy(statement("Allow", []string{"iam:PutUserPolicy"}, "arn:aws:iam::"+acct+":user/${aws:username}")))
		}, "eve -iam-007> eve+"},
		{"the trust policy can tell principals with the same rights apart", func(h *house) {
			h.user("adam", policy(assume("*")))
			h.user("eve", policy(assume("*")))
			h.role("boss", policy(doc{"Effect": "Allow", "Principal": doc{"AWS": acct}, "Action": "sts:AssumeRole", "Condition": doc{"ArnEquals": doc{"aws:PrincipalArn": userARN("adam")}}}), everything)
		}, ""},
	} {
		h := &house{t: t}
		c.build(h)
		r := h.find(paths.Options{})
		if got := route(r, "eve"); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.rule, got, c.want)
		}
		if c.want != "" && (r.Cut == nil || !r.Cut.Verified || !r.Cut.Smallest) {
			t.Errorf("%s: cut %+v", c.rule, r.Cut)
		}
	}
}

// A resource that runs code counts with the role that was read, without one if it
// has none, and with any that its service may have where that was not read.
func TestRoleOfAResource(t *testing.T) {
	interpreter := "arn:aws:bedrock-agentcore:eu-west-1:" + acct + ":code-interpreter-custom/sums-a1B2c3D4e5"
	service := "arn:aws:apprunner:eu-west-1:" + acct + ":service/shop/8fe1e10304f84fd2b0df550fe98a71fa"
	endpoint := "arn:aws:glue:eu-west-1:" + acct + ":devEndpoint/bench"
	denied := func(operation string) []estate.Gap {
		return []estate.Gap{{Operation: operation, Reason: "AccessDenied"}}
	}
	for _, c := range []struct {
		rule, typ, arn string
		document       doc
		unknown        []estate.Gap
		want           string
	}{
		{"an App Runner service with a role", "AWS::AppRunner::Service", service, doc{"InstanceConfiguration": doc{"Cpu": "1024", "InstanceRoleArn": roleARN(acct, "boss")}}, nil, "eve -apprunner-002> boss"},
		{"with another role", "AWS::AppRunner::Service", service, doc{"InstanceConfiguration": doc{"InstanceRoleArn": roleARN(acct, "weak")}}, nil, ""},
		{"without one", "AWS::AppRunner::Service", service, doc{"InstanceConfiguration": doc{"Cpu": "1024"}}, nil, ""},
		{"that was only listed", "AWS::AppRunner::Service", service, doc{"ServiceName": "shop"}, denied("apprunner:DescribeService"), "eve -apprunner-002> boss if " + service + " runs as boss; its role was not read"},
		{"a code interpreter with a role", "AWS::BedrockAgentCore::CodeInterpreterCustom", interpreter, doc{"executionRoleArn": roleARN(acct, "boss")}, nil, "eve -bedrock-002> boss"},
		{"without one", "AWS::BedrockAgentCore::CodeInterpreterCustom", interpreter, doc{"codeInterpreterId": "sums-a1B2c3D4e5"}, nil, ""},
		{"whose tags were not read", "AWS::BedrockAgentCore::CodeInterpreterCustom", interpreter, doc{"codeInterpreterId": "sums-a1B2c3D4e5"}, denied("bedrock-agentcore-control:ListTagsForResource"), ""},
		{"that was only listed", "AWS::BedrockAgentCore::CodeInterpreterCustom", interpreter, doc{"codeInterpreterId": "sums-a1B2c3D4e5"}, denied("bedrock-agentcore-control:GetCodeInterpreter"), "eve -bedrock-002> boss if " + interpreter + " runs as boss; its role was not read"},
		{"a development endpoint", "AWS::Glue::DevEndpoint", endpoint, doc{"EndpointName": "bench", "RoleArn": roleARN(acct, "boss")}, nil, "eve -glue-002> boss"},
	} {
		h := &house{t: t}
		h.user("eve", policy(statement("Allow", []string{"apprunner:UpdateService", "bedrock-agentcore:*", "glue:UpdateDevEndpoint"}, c.arn)))
		trust := policy(doc{"Effect": "Allow", "Principal": doc{"Service": []any{"tasks.apprunner.amazonaws.com", "bedrock-agentcore.amazonaws.com", "glue.amazonaws.com"}}, "Action": "sts:AssumeRole"})
		h.role("boss", trust, everything)
		h.role("weak", trust, nil)
		h.add(c.typ, c.arn[strings.LastIndexByte(c.arn, '/')+1:], c.arn, acct, "eu-west-1", c.document).Unknown = c.unknown
		if got := route(h.find(paths.Options{}), "eve"); got != c.want {
			t.Errorf("%s %s:\n got %q\nwant %q", c.typ, c.rule, got, c.want)
		}
	}
}

// What cannot be read makes a path possible, and is said; it never hides that
// something is missing.
func TestUnread(t *testing.T) {
	h := &house{t: t}
	h.user("eve", nil)
	h.role("boss", trusts("AWS", userARN("eve")), everything)
	h.add("AWS::Organizations::Organization", "o-1", "", acct, "", doc{"Id": "o-1", "MasterAccountId": "999999999999"})
	got := route(h.find(paths.Options{}), "eve")
	if !strings.HasPrefix(got, "eve -sts-001> boss if ") || !strings.Contains(got, "service control policies") {
		t.Errorf("without the organization's policies: %q", got)
	}
	h = &house{t: t}
	h.user("eve", nil)
	inv, index := h.load()
	r, err := paths.Find(inv, paths.Options{Primitives: primitives(t), Index: index, Gaps: []estate.Gap{
		{Type: "AWS::Lambda::Function", Account: acct, Operation: "lambda:ListFunctions", Reason: "access denied"},
		{Type: "AWS::SQS::Queue", Account: acct, Operation: "sqs:ListQueues", Reason: "access denied"}}})
	if err != nil || len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0], "AWS::Lambda::Function") {
		t.Errorf("gaps %q, %v; want that of functions, which can run as roles", r.Gaps, err)
	}
	h = &house{t: t}
	attach(h.user("eve", nil), "arn:aws:iam::"+acct+":policy/gone")
	if r := h.find(paths.Options{}); len(r.Gaps) != 1 || !strings.Contains(r.Gaps[0], "policy/gone") {
		t.Errorf("gaps %q, want the policy that was not read", r.Gaps)
	}
}

func TestGoals(t *testing.T) {
	h := &house{t: t}
	h.user("eve", policy(statement("Allow", []string{"sts:AssumeRole"}, "*")))
	h.user("ann", policy(statement("Allow", []string{"s3:GetObject"}, "arn:aws:s3:::payroll/*")))
	h.role("clerk", trusts("AWS", acct), policy(statement("Allow", []string{"s3:PutObject"}, "arn:aws:s3:::payroll/*")))
	for _, c := range []struct {
		rule   string
		goal   paths.Goal
		want   string
		atGoal int
	}{
		{"whoever reads or writes the objects of a bucket is there", paths.Goal{Resource: "arn:aws:s3:::payroll"}, "eve -sts-001> clerk", 2},
		{"only the actions asked for count", paths.Goal{Resource: "arn:aws:s3:::payroll", Actions: []string{"s3:PutObject"}}, "eve -sts-001> clerk", 1},
		{"nobody can delete", paths.Goal{Resource: "arn:aws:s3:::payroll", Actions: []string{"s3:DeleteObject"}}, "", 0},
		{"a role as the goal is to become it", paths.Goal{Resource: roleARN(acct, "clerk")}, "eve -sts-001> clerk", 1},
		{"other resources have their own actions", paths.Goal{Resource: "arn:aws:sqs:eu-west-1:" + acct + ":q"}, "", 0},
	} {
		r := h.find(paths.Options{Goal: c.goal})
		if got := route(r, "eve"); got != c.want || len(r.AtGoal) != c.atGoal {
			t.Errorf("%s: %q and %d there, want %q and %d", c.rule, got, len(r.AtGoal), c.want, c.atGoal)
		}
	}
	inv, _ := h.load()
	for _, g := range []paths.Goal{{Resource: "arn:aws:nosuch:::x"}, {Resource: "payroll"}, {Actions: []string{"s3:GetObject"}}, {Resource: "arn:aws:s3:::b", Actions: []string{"s3:*"}}} {
		if _, err := paths.Find(inv, paths.Options{Primitives: primitives(t), Goal: g}); !errors.Is(err, paths.ErrGoal) {
			t.Errorf("goal %+v: %v, want ErrGoal", g, err)
		}
	}
}

// The list has the shortest paths, and longer ones only if they begin with
// another primitive.
func TestWhatIsListed(t *testing.T) {
	h := &house{t: t}
	h.user("eve", policy(statement("Allow", []string{"sts:AssumeRole", "lambda:CreateFunction", "lambda:InvokeFunction", "iam:PassRole"}, "*")))
	h.role("boss", trusts("AWS", acct), everything)
	h.role("boss2", trusts("AWS", acct), everything)
	h.role("hop", trusts("AWS", acct), policy(statement("Allow", []string{"sts:AssumeRole"}, "*")))
	h.role("fn", trusts("Service", "lambda.amazonaws.com"), policy(statement("Allow", []string{"sts:AssumeRole"}, "*")))
	var got []string
	for _, p := range h.find(paths.Options{}).Paths {
		if strings.HasSuffix(p.From, "/eve") {
			got = append(got, fmt.Sprint(p.Hops[0].Ways[0].ID, " ", shortName(p.Hops[0].To), " ", len(p.Hops)))
		}
	}
	if want := []string{"sts-001 boss 1", "sts-001 boss2 1", "lambda-001 fn 2"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func shortName(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// From restricts the sources and with them the cut.
func TestFrom(t *testing.T) {
	h := &house{t: t}
	for _, name := range []string{"eve", "adam"} {
		h.user(name, policy(statement("Allow", []string{"iam:PutUserPolicy"}, userARN(name))))
	}
	if r := h.find(paths.Options{}); r.Reached != 2 || len(r.Cut.Changes) != 2 {
		t.Errorf("all: %d reach with %d changes, want 2 and 2", r.Reached, len(r.Cut.Changes))
	}
	inv, index := h.load()
	r, err := paths.Find(inv, paths.Options{Primitives: primitives(t), Index: index, From: inv.Find("eve")})
	if err != nil || r.Asked != 1 || r.Reached != 1 || len(r.Cut.Changes) != 1 {
		t.Errorf("eve alone: %+v, %v", r, err)
	}
}

// Roles on a path that somebody outside can enter are named.
func TestEntries(t *testing.T) {
	h := &house{t: t}
	h.role("boss", policy(
		doc{"Effect": "Allow", "Principal": doc{"Federated": "arn:aws:iam::" + acct + ":saml-provider/idp"}, "Action": "sts:AssumeRoleWithSAML"},
		doc{"Effect": "Allow", "Principal": doc{"AWS": other}, "Action": "sts:AssumeRole"}), everything)
	h.role("weak", trusts("Federated", "accounts.google.com"), nil)
	want := []paths.Entry{{Role: roleARN(acct, "boss"), Who: other, Kind: "account"}, {Role: roleARN(acct, "boss"), Who: "arn:aws:iam::" + acct + ":saml-provider/idp", Kind: "federated"}}
	if got := h.find(paths.Options{}).Entries; !slices.Equal(got, want) {
		t.Errorf("entries %+v, want %+v", got, want)
	}
}

// The same estate gives the same report, pictures included, and the pictures are
// well formed whatever the names are.
func TestOutputIsFixedAndEscaped(t *testing.T) {
	var first []byte
	for range 3 {
		h := &house{t: t}
		town(h, 3, 180)
		h.user(`<script>"&\`, policy(statement("Allow", []string{"sts:AssumeRole"}, "*"), statement("Allow", []string{"iam:PutUserPolicy"}, "*")))
		r := h.find(paths.Options{})
		var b bytes.Buffer
		if err := r.WriteSVG(&b); err != nil {
			t.Fatal(err)
		}
		dec := xml.NewDecoder(bytes.NewReader(b.Bytes()))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("the SVG is not XML: %v", err)
			}
		}
		if bytes.Contains(b.Bytes(), []byte("<script")) {
			t.Error("a name became markup")
		}
		if err := r.WriteDOT(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b.Bytes(), []byte(`<script>\"&\\`)) {
			t.Error("the DOT has the name not escaped")
		}
		for i := range r.Cut.Changes {
			b.WriteString(r.Cut.Changes[i].Text + "\n")
		}
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("two reports of one estate differ")
		}
	}
	var empty bytes.Buffer
	if err := new(paths.Report).WriteSVG(&empty); err != nil || !strings.Contains(empty.String(), "no path was found") {
		t.Errorf("an empty picture: %v\n%s", err, empty.String())
	}
}

// An inventory without an index of resources is one of which only IAM was read.
func TestWithoutIndex(t *testing.T) {
	h := &house{t: t}
	h.user("eve", policy(statement("Allow", []string{"ssm:SendCommand"}, "*")))
	h.role("web", trusts("Service", "ec2.amazonaws.com"), everything)
	inv, err := inventory.Load(estate.New(estate.Header{}, h.list, nil))
	if err != nil {
		t.Fatal(err)
	}
	r, err := paths.Find(inv, paths.Options{Primitives: primitives(t)})
	if err != nil || r.Maybe != 1 || r.Reached != 0 {
		t.Errorf("%+v, %v; want one possible path", r, err)
	}
}
