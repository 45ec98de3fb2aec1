package awsapi

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/awsapi/internal/jmes"
	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
)

// TestEveryModel reads every service and holds it to what the rest relies on.
func TestEveryModel(t *testing.T) {
	c, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	operations, waiters, paginators := 0, 0, 0
	check := func(s *model.Service, expression string) {
		if _, err := jmes.Compile(expression); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	for _, e := range c.Entries() {
		s, err := c.Service(e.Name)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		if s.Name != e.Name || s.ID != e.ID || len(s.Operations) != e.Operations || s.SigningName == "" || s.APIVersion == "" {
			t.Errorf("%s: the index and the model disagree", e.Name)
		}
		switch s.Protocol {
		case model.Query, model.EC2, model.JSON, model.RestJSON, model.RestXML, model.CBOR:
		default:
			t.Errorf("%s speaks %q", s.Name, s.Protocol)
		}
		if len(s.Endpoints) == 0 {
			t.Errorf("%s has no endpoints", s.Name)
		}
		for _, op := range s.Operations {
			operations++
			if op.Endpoint >= len(s.Endpoints) {
				t.Errorf("%s %s has no endpoint", s.Name, op.Name)
			}
			if p := op.Paginator; p != nil {
				paginators++
				for _, e := range append(append([]string{}, p.OutputTokens...), p.ResultKeys...) {
					check(s, e)
				}
				for _, in := range p.InputTokens {
					if op.Input.Member(in) == nil {
						t.Errorf("%s %s: paginator puts its token into %s, which does not exist", s.Name, op.Name, in)
					}
				}
			}
		}
		for _, w := range s.Waiters {
			waiters++
			if s.Operation(w.Operation) == nil {
				t.Errorf("%s: waiter %s asks %s, which does not exist", s.Name, w.Name, w.Operation)
			}
			for _, a := range w.Acceptors {
				if strings.HasPrefix(a.Matcher, "path") {
					check(s, a.Argument)
				}
			}
		}
	}
	t.Logf("%d services, %d operations, %d paginators, %d waiters", len(c.Entries()), operations, paginators, waiters)
	if len(c.Entries()) < 424 || operations < 18378 {
		t.Error("services or operations are missing")
	}
}

// TestRoutesOfEveryRESTOperation: what the client sends for an operation, the
// server routes to the same one, for all operations that can be told apart.
func TestRoutesOfEveryRESTOperation(t *testing.T) {
	c, err := catalogue()
	if err != nil {
		t.Fatal(err)
	}
	right, streams, deprecated, other := 0, 0, 0, map[string]string{}
	for _, e := range c.Entries() {
		s, err := c.Service(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			in := required(op.Input, 0)
			r, err := wire.EncodeRequest(op, "", in)
			if err != nil {
				t.Errorf("%s %s: %v", s.Name, op.Name, err)
				continue
			}
			got, p, err := wire.Route(s, r)
			if err != nil {
				t.Errorf("%s %s: %v", s.Name, op.Name, err)
				continue
			}
			if got != op && op.Deprecated {
				deprecated++ // what replaced it has the same route
				continue
			}
			if got != op {
				other[s.Name+" "+op.Name] = got.Name
				continue
			}
			_, err = wire.DecodeRequest(op, p, r)
			if err != nil && strings.Contains(err.Error(), "is an event stream") {
				streams++
				continue
			}
			if err != nil {
				t.Errorf("%s %s: %v", s.Name, op.Name, err)
			}
			right++
		}
	}
	t.Logf("%d operations are routed to themselves, %d share their route with another, %d deprecated ones with what replaced them, %d send event streams, which are not supported", right, len(other), deprecated, streams)
	for op, got := range other {
		t.Logf("%s is routed to %s", op, got)
	}
	if len(other) > 1 || streams > 5 || deprecated > 4 {
		t.Error("too many operations are mistaken for others")
	}
}

// required is the least input of a shape.
func required(shape *model.Shape, depth int) map[string]any {
	out := map[string]any{}
	if shape == nil || depth > 6 {
		return out
	}
	for _, m := range shape.Members {
		if m.Required || m.Location == model.URI || m.HostLabel {
			out[m.Name] = example(m.Shape, depth)
		}
		if shape.Union && len(out) == 1 {
			break
		}
	}
	return out
}

func example(shape *model.Shape, depth int) any {
	switch shape.Kind {
	case model.Structure:
		return required(shape, depth+1)
	case model.List:
		if depth > 6 {
			return []any{}
		}
		return []any{example(shape.Element.Shape, depth+1)}
	case model.Map:
		return map[string]any{}
	case model.Integer, model.Long:
		return int64(1)
	case model.Float, model.Double:
		return 1.5
	case model.Boolean:
		return true
	case model.Timestamp:
		return "2026-01-02T03:04:05Z"
	case model.Blob:
		return "AAE="
	}
	if len(shape.Enum) > 0 {
		return shape.Enum[0]
	}
	return "x-1"
}

func TestLookup(t *testing.T) {
	for spelling, want := range map[string]string{
		// The AWS CLI's and boto3's.
		"ec2": "ec2", "s3": "s3", "s3api": "s3", "logs": "logs", "config": "config", "elbv2": "elbv2", "elb": "elb", "wafv2": "wafv2", "stepfunctions": "stepfunctions",
		"sso-admin": "sso-admin", "cognito-idp": "cognito-idp", "es": "es", "opensearch": "opensearch", "deploy": "codedeploy", "events": "events", "cloudwatch": "cloudwatch",
		// Step Functions': arn:aws:states:::aws-sdk:NAME:action
		"sfn": "stepfunctions", "cloudwatchlogs": "logs", "elasticloadbalancingv2": "elbv2", "elasticloadbalancing": "elb", "eventbridge": "events", "configservice": "config",
		"ssoadmin": "sso-admin", "cognitoidentityprovider": "cognito-idp", "secretsmanager": "secretsmanager", "guardduty": "guardduty", "networkfirewall": "network-firewall",
		"accessanalyzer": "accessanalyzer", "costexplorer": "ce", "acmpca": "acm-pca", "route53": "route53", "databasemigration": "dms", "applicationautoscaling": "application-autoscaling",
		// The service's own.
		"CloudWatch Logs": "logs", "Elastic Load Balancing v2": "elbv2", "EC2": "ec2", "SecurityHub": "securityhub", "identitystore": "identitystore",
		// By its endpoint or signing name, where only one service has it.
		"states": "stepfunctions", "monitoring": "cloudwatch",
	} {
		s, err := Lookup(spelling)
		if err != nil || s.Name != want {
			t.Errorf("%s is %v, %v; want %s", spelling, s, err, want)
		}
	}
	for _, spelling := range []string{"DescribeInstances", "describeInstances", "describe-instances", "describe_instances", "DESCRIBEINSTANCES"} {
		op, err := LookupOperation("ec2", spelling)
		if err != nil || op.Name != "DescribeInstances" {
			t.Errorf("%s: %v, %v", spelling, op, err)
		}
	}
	var unknown *UnknownError
	if _, err := Lookup("cloudtrial"); !errors.As(err, &unknown) || unknown.Near[0] != "cloudtrail" {
		t.Errorf("got %v", err)
	}
	if _, err := LookupOperation("iam", "ListUser"); !errors.As(err, &unknown) || unknown.Near[0] != "ListUsers" {
		t.Errorf("got %v", err)
	}
	if _, err := Lookup(""); err == nil {
		t.Error("the empty name is found")
	}
}

func TestIntrospection(t *testing.T) {
	op, err := LookupOperation("iam", "CreateRole")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(op.Input.RequiredMembers(), " "); got != "RoleName AssumeRolePolicyDocument" {
		t.Errorf("required: %s", got)
	}
	var codes []string
	for _, e := range op.Errors {
		codes = append(codes, e.Code())
	}
	if !strings.Contains(strings.Join(codes, " "), "EntityAlreadyExists") {
		t.Errorf("errors: %s", codes)
	}
	for want, row := range map[string][2]string{
		"iam:CreateRole":                         {"iam", "CreateRole"},
		"cloudwatch:DescribeAlarms":              {"cloudwatch", "DescribeAlarms"},
		"elasticloadbalancing:DescribeListeners": {"elbv2", "DescribeListeners"},
		"states:ListStateMachines":               {"stepfunctions", "ListStateMachines"},
		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
		"s3:ListBucket":                  {"s3", "ListObjectsV2"},
		"s3:ListAllMyBuckets":            {"s3", "ListBuckets"},
		"s3:GetEncryptionConfiguration":  {"s3", "GetBucketEncryption"},
		"s3:GetBucketPublicAccessBlock":  {"s3", "GetPublicAccessBlock"},
		"s3:GetAccountPublicAccessBlock": {"s3control", "GetPublicAccessBlock"},
		"lambda:InvokeFunction":          {"lambda", "Invoke"},
	} {
		op, err := LookupOperation(row[0], row[1])
		if err != nil || op.IAMAction() != want {
			t.Errorf("%v: %s, %v; want %s", row, op.IAMAction(), err, want)
		}
	}
}

// TestSource: NOTICE names the release that the models were taken from.
func TestSource(t *testing.T) {
	source, err := ModelSource()
	if err != nil {
		t.Fatal(err)
	}
	notice, err := os.ReadFile("../NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{source.Package + " " + source.Version, source.SHA256, source.License} {
		if want == "" || !strings.Contains(string(notice), want) {
			t.Errorf("NOTICE does not say %q", want)
		}
	}
	if len(models) > 6<<20 {
		t.Errorf("the models take %d bytes, more than a few MB", len(models))
	}
}

func FuzzLookup(f *testing.F) {
	f.Add("ec2", "DescribeInstances")
	f.Add("Elastic Load Balancing v2", "é")
	f.Fuzz(func(t *testing.T, service, operation string) {
		op, err := LookupOperation(service, operation)
		if (op == nil) == (err == nil) {
			t.Errorf("%v, %v", op, err)
		}
	})
}

func FuzzRoute(f *testing.F) {
	f.Add("s3", "PUT", "/bucket/a%20b//c", "uploadId=1&partNumber=2", "", "x", "bucket.s3.amazonaws.com")
	f.Add("lambda", "POST", "/2015-03-31/functions/f/invocations", "", "", "{}", "")
	f.Add("ec2", "POST", "/", "", "", "Action=DescribeVpcs&VpcId.1=x&Filter.1.Name=a", "")
	f.Add("dynamodb", "POST", "/", "", "DynamoDB_20120810.PutItem", `{"TableName":"t","Item":{"a":{"S":"x"}}}`, "")
	f.Fuzz(func(t *testing.T, service, method, path, query, target, body, host string) {
		r := &wire.Request{Method: method, Path: path, Query: query, Host: host, Body: []byte(body), Header: http.Header{}}
		if target != "" {
			r.Header.Set("X-Amz-Target", target)
		}
		op, p, err := Route(service, r)
		if err == nil {
			_, _ = wire.DecodeRequest(op, p, r)
		}
	})
}

// BenchmarkDecodeInstances reads DescribeInstances answers as EC2 sends them.
func BenchmarkDecodeInstances(b *testing.B) {
	op, err := LookupOperation("ec2", "DescribeInstances")
	if err != nil {
		b.Fatal(err)
	}
	instance := map[string]any{}
	for _, m := range op.Output.Member("Reservations").Shape.Element.Shape.Member("Instances").Shape.Element.Shape.Members {
		instance[m.Name] = example(m.Shape, 4)
	}
	instance["SecurityGroups"] = []any{map[string]any{"GroupId": "sg-0123456789abcdef0", "GroupName": "web"}}
	instance["Tags"] = []any{map[string]any{"Key": "Name", "Value": "web-1"}, map[string]any{"Key": "team", "Value": "core"}}
	var reservations []any
	for range 1000 {
		reservations = append(reservations, map[string]any{"OwnerId": "111111111111", "Instances": []any{instance}})
	}
	r, err := wire.EncodeResponse(op, "", map[string]any{"Reservations": reservations}, "id")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(r.Body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.DecodeResponse(op, "", r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenCatalogue(b *testing.B) {
	for b.Loop() {
		if _, err := model.Open(models); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadModel(b *testing.B) {
	for _, name := range []string{"ec2", "iam", "s3", "sts"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c, err := model.Open(models)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := c.Service(name); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
