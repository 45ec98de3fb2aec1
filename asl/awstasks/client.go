package awstasks

import (
	"context"
	"errors"
	"strings"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/awsapi/model"
)

// NewClient returns tasks that call AWS through an awsapi.Client.
func NewClient(c *awsapi.Client) *Tasks { return New(client{c}) }

type client struct{ c *awsapi.Client }

var _ Caller = client{}

func (c client) Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	out, err := c.c.CallTask(ctx, service, operation, input)
	var refused *awsapi.Error
	if errors.As(err, &refused) && refused.Code != "" {
		return nil, &ServiceError{Code: refused.Code, Message: refused.Message, Status: refused.Status, RequestID: refused.RequestID}
	}
	return out, err
}

func (c client) Assume(ctx context.Context, roleARN string) (Caller, error) {
	as, err := c.c.AssumeRole(ctx, roleARN, "", "bartizan")
	if err != nil {
		return nil, err
	}
	return client{as}, nil
}

// operation finds the model behind a target, or nil.
func (t target) model() *model.Operation {
	op, err := awsapi.LookupOperation(t.service, t.operation)
	if err != nil {
		return nil
	}
	return op
}

// sdkName is what AWS's SDK for Java makes of a service's id, which prefixes
// the names of errors: DynamoDB becomes DynamoDb, EC2 Ec2.
func sdkName(serviceID string) string {
	var b strings.Builder
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	lower := func(c byte) bool { return c >= 'a' && c <= 'z' }
	for _, word := range strings.FieldsFunc(serviceID, func(r rune) bool { return r == ' ' || r == '-' || r == '_' }) {
		for i := range len(word) {
			c := word[i]
			switch {
			case i == 0 && lower(c):
				c -= 'a' - 'A'
			case i > 0 && upper(c) && upper(word[i-1]) && (i+1 == len(word) || !lower(word[i+1])):
				c += 'a' - 'A'
			}
			b.WriteByte(c)
		}
	}
	return b.String()
}

// exception is the name of a service's error in the SDK: that of the modelled
// exception, or the service's own for a code that no model has.
func (t target) exception(code string) string {
	op := t.model()
	withSuffix := func(s string) string {
		if strings.HasSuffix(s, "Exception") {
			return s
		}
		return s + "Exception"
	}
	if op == nil {
		return withSuffix(code)
	}
	for _, sh := range op.Errors {
		if sh.Name == code || sh.ErrorCode == code || withSuffix(sh.Name) == withSuffix(code) {
			return withSuffix(sh.Name)
		}
	}
	if t.sdk {
		return sdkName(op.Service.ID) + "Exception"
	}
	if own := javaServices[t.service]; own != "" && strings.HasPrefix(own, "Amazon") {
		return strings.TrimSuffix(own, "v2") + "Exception"
	}
	return withSuffix(code)
}

// javaServices are the service names in the causes of the optimised
// integrations, which use the first SDK for Java.
var javaServices = map[string]string{
	"dynamodb": "AmazonDynamoDBv2", "sns": "AmazonSNS", "sqs": "AmazonSQS", "ecs": "AmazonECS",
	"lambda": "AWSLambda", "batch": "AWSBatch", "glue": "AWSGlue", "sfn": "AWSStepFunctions", "codebuild": "AWSCodeBuild",
}

var _ asl.Tasks = (*Tasks)(nil)
