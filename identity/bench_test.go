package identity_test

import (
	"fmt"
	"testing"

	"github.com/bartizan-security/bartizan/identity"
)

// ordinaryPolicies are ten policies of the kind that a role in a company has.
var ordinaryPolicies = []string{
	pol(st("Allow", "s3:ListAllMyBuckets", "*"), `{"Sid":"Buckets","Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject","s3:ListBucket"],"Resource":["arn:aws:s3:::app-data","arn:aws:s3:::app-data/*","arn:aws:s3:::app-logs/*"]}`),
	pol(`{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query","dynamodb:UpdateItem"],"Resource":"arn:aws:dynamodb:eu-west-1:111122223333:table/app-*"}`),
	pol(`{"Effect":"Allow","Action":["sqs:SendMessage","sqs:ReceiveMessage","sqs:DeleteMessage"],"Resource":"arn:aws:sqs:eu-west-1:111122223333:app-*"}`),
	pol(`{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}`),
	pol(`{"Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:eu-west-1:111122223333:key/*","Condition":{"StringEquals":{"kms:ViaService":"s3.eu-west-1.amazonaws.com"}}}`),
	pol(`{"Effect":"Allow","Action":["ec2:Describe*","elasticloadbalancing:Describe*","autoscaling:Describe*"],"Resource":"*"}`),
	pol(`{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/*","Condition":{"StringEquals":{"aws:ResourceTag/team":"app"}}}`),
	pol(`{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}}`),
	pol(`{"Effect":"Deny","NotAction":["iam:*","sts:*","cloudfront:*"],"Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["eu-west-1","eu-central-1"]}}}`),
	pol(`{"Effect":"Allow","Action":["ssm:GetParameter*","ssm:DescribeParameters"],"Resource":"arn:aws:ssm:eu-west-1:111122223333:parameter/app/*"}`, `{"Effect":"Allow","Action":"iam:PassRole","Resource":"arn:aws:iam::111122223333:role/app-*","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}`),
}

func ordinaryStack(t testing.TB) *identity.Stack {
	return &identity.Stack{Identity: docs(t, identity.IdentityPolicy, ordinaryPolicies)}
}

var ordinaryRequests = []*identity.Request{
	{Principal: session, Action: "s3:GetObject", Resource: "arn:aws:s3:::app-data/2024/report.csv", Context: ordinaryContext},
	{Principal: session, Action: "dynamodb:Query", Resource: "arn:aws:dynamodb:eu-west-1:111122223333:table/app-users", Context: ordinaryContext},
	{Principal: session, Action: "ec2:DescribeInstances", Resource: "*", Context: ordinaryContext},
	{Principal: session, Action: "iam:CreateUser", Resource: "arn:aws:iam::111122223333:user/x", Context: ordinaryContext},
	{Principal: session, Action: "secretsmanager:GetSecretValue", Resource: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:app/db", Context: ordinaryContext},
}

var ordinaryContext = map[string][]string{
	"aws:SecureTransport": {"true"}, "aws:RequestedRegion": {"eu-west-1"}, "aws:SourceIp": {"203.0.113.9"},
	"aws:PrincipalOrgID": {"o-abcdef"}, "aws:ResourceTag/team": {"app"}, "aws:UserAgent": {"aws-cli/2"},
}

// BenchmarkEvaluate decides requests of a principal with ten ordinary policies.
func BenchmarkEvaluate(b *testing.B) {
	stack := ordinaryStack(b)
	for _, r := range ordinaryRequests {
		b.Run(r.Action, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := identity.Evaluate(r, stack); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("mixed", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := identity.Evaluate(ordinaryRequests[i%len(ordinaryRequests)], stack); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
}

// BenchmarkEvaluateManyStatements asks a policy at AWS's size limit.
func BenchmarkEvaluateManyStatements(b *testing.B) {
	var list []string
	for i := range 60 {
		list = append(list, st("Allow", fmt.Sprintf("s3:Get%d*", i), fmt.Sprintf("arn:aws:s3:::bucket-%d/*", i)))
	}
	stack := &identity.Stack{Identity: docs(b, identity.IdentityPolicy, []string{pol(list...)})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.Evaluate(ordinaryRequests[0], stack); err != nil {
			b.Fatal(err)
		}
	}
}

// A decision costs one allocation, the list of its statements, and none when
// there is no such list.
func TestEvaluateAllocatesOnlyTheDecision(t *testing.T) {
	stack := ordinaryStack(t)
	for _, r := range ordinaryRequests {
		most := 1.0
		if d, _ := identity.Evaluate(r, stack); len(d.Statements) == 0 {
			most = 0
		}
		if got := testing.AllocsPerRun(100, func() { _, _ = identity.Evaluate(r, stack) }); got > most {
			t.Errorf("%s: %v allocations, want at most %v", r.Action, got, most)
		}
	}
}

// BenchmarkParseDocument reads and compiles an ordinary policy.
func BenchmarkParseDocument(b *testing.B) {
	text := []byte(ordinaryPolicies[0])
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := identity.ParseDocument(text, identity.IdentityPolicy, "p"); err != nil {
			b.Fatal(err)
		}
	}
}
