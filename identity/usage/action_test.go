package usage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/usage"
)

// CloudTrail's names of events and IAM's names of permissions.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
func TestActionsOf(t *testing.T) {
	for _, c := range []struct{ rule, source, name, want string }{
		{"mostly they are the same", "iam.amazonaws.com", "CreateUser", "iam:CreateUser"},
		{"listing objects is a permission on the bucket", "s3.amazonaws.com", "ListObjects", "s3:ListBucket"},
		{"a head is a read", "s3.amazonaws.com", "HeadObject", "s3:GetObject"},
		{"listing buckets", "s3.amazonaws.com", "ListBuckets", "s3:ListAllMyBuckets"},
		{"Lambda puts a version behind the name", "lambda.amazonaws.com", "UpdateFunctionCode20150331v2", "lambda:UpdateFunctionCode"},
		{"Lambda's invocation", "lambda.amazonaws.com", "Invoke", "lambda:InvokeFunction"},
		{"CloudFront's version has underscores", "cloudfront.amazonaws.com", "GetDistribution2020_05_31", "cloudfront:GetDistribution"},
		{"CloudWatch's source has its former name", "monitoring.amazonaws.com", "PutMetricAlarm", "cloudwatch:PutMetricAlarm"},
		{"API Gateway names permissions after methods", "apigateway.amazonaws.com", "CreateRestApi", "apigateway:POST"},
		{"one operation, two permissions", "kms.amazonaws.com", "ReEncrypt", "kms:ReEncryptFrom kms:ReEncryptTo"},
		{"signing in needs no permission", "signin.amazonaws.com", "ConsoleLogin", ""},
		{"what does not exist is not guessed", "s3.amazonaws.com", "FlyToTheMoon", ""},
	} {
		if got := strings.Join(usage.ActionsOf(c.source, c.name), " "); got != c.want {
			t.Errorf("%s: %s %s is %q, want %q", c.rule, c.source, c.name, got, c.want)
		}
	}
}

// Every action that an operation is mapped to exists.
func TestRenamedActionsExist(t *testing.T) {
	for _, name := range []string{"ListObjectsV2", "HeadBucket", "DeleteBucketCors", "GetBucketAccelerateConfiguration", "ListBucketInventoryConfigurations", "PutBucketAnalyticsConfiguration", "GetObjectLockConfiguration", "ListParts"} {
		got := usage.ActionsOf("s3.amazonaws.com", name)
		if len(got) == 0 {
			t.Errorf("s3 %s has no action", name)
		}
		for _, a := range got {
			if _, ok := catalog.Default().Action(a); !ok {
				t.Errorf("%s is not an action", a)
			}
		}
	}
}

func TestResourcesOf(t *testing.T) {
	for _, c := range []struct {
		rule, action string
		call         usage.Call
		want         string
		ok           bool
	}{
		{"an object by bucket and key", "s3:GetObject", usage.Call{Parameters: map[string]any{"bucketName": "b", "key": "a/k"}}, "arn:aws:s3:::b/a/k", true},
		{"an ARN that the event names", "s3:ListBucket", usage.Call{Resources: []string{"arn:aws:s3:::b", "arn:aws:s3:::b/k"}}, "arn:aws:s3:::b", true},
		{"a role by its name", "iam:GetRole", usage.Call{Account: acct, Parameters: map[string]any{"roleName": "r"}}, "arn:aws:iam::" + acct + ":role/r", true},
		{"an ARN in a parameter", "sns:Publish", usage.Call{Parameters: map[string]any{"topicArn": "arn:aws:sns:eu-west-1:" + acct + ":t"}}, "arn:aws:sns:eu-west-1:" + acct + ":t", true},
		{"a queue by its URL", "sqs:SendMessage", usage.Call{Region: "eu-west-1", Account: acct, Parameters: map[string]any{"queueUrl": "https://sqs.eu-west-1.amazonaws.com/" + acct + "/q"}}, "arn:aws:sqs:eu-west-1:" + acct + ":q", true},
		{"instances in a set", "ec2:StopInstances", usage.Call{Region: "eu-west-1", Account: acct, Parameters: map[string]any{"instancesSet": map[string]any{"items": []any{map[string]any{"instanceId": "i-1"}, map[string]any{"instanceId": "i-2"}}}}}, "arn:aws:ec2:eu-west-1:" + acct + ":instance/i-1 arn:aws:ec2:eu-west-1:" + acct + ":instance/i-2", true},
		{"an action without resources", "ec2:DescribeInstances", usage.Call{}, "*", true},
		{"an event that does not say", "s3:GetObject", usage.Call{}, "", false},
		{"a wildcard in a parameter is no name", "iam:GetRole", usage.Call{Account: acct, Parameters: map[string]any{"roleName": "*"}}, "", false},
	} {
		got, ok := c.call.ResourcesOf(c.action)
		slices.Sort(got)
		if strings.Join(got, " ") != c.want || ok != c.ok {
			t.Errorf("%s: %v %v, want %s %v", c.rule, got, ok, c.want, c.ok)
		}
	}
}

// What a call makes has no name yet: a policy names all of that kind.
func TestScopeOf(t *testing.T) {
	c := usage.Call{Region: "eu-west-1", Account: acct, Parameters: map[string]any{"size": "1"}}
	if got, ok := c.ScopeOf("ec2:CreateVolume"); !ok || strings.Join(got, " ") != "arn:aws:ec2:eu-west-1:"+acct+":volume/*" {
		t.Errorf("a volume: %v %v", got, ok)
	}
	if got, ok := c.ResourcesOf("ec2:CreateVolume"); ok {
		t.Errorf("the event names no volume, but got %v", got)
	}
	if got, ok := (&usage.Call{}).ScopeOf("ec2:CreateVolume"); ok {
		t.Errorf("without account and region: %v", got)
	}
}
