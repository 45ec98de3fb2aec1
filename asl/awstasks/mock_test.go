package awstasks

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// Mocked results that TestState refused or took on AWS are refused, in the
// same words, or taken here.
func TestRecordedMocks(t *testing.T) {
	f, err := os.Open(thirdparty.Path(t, "asl/stepfunctions-cases.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 8<<20)
	total, agree := 0, 0
	for lines.Scan() {
		var c struct {
			ID         string          `json:"id"`
			Kind       string          `json:"kind"`
			Definition json.RawMessage `json:"definition"`
			StateName  string          `json:"state_name"`
			Input      json.RawMessage `json:"input"`
			Mock       *struct {
				Result string `json:"result"`
				Mode   string `json:"fieldValidationMode"`
			} `json:"mock"`
			APIError *struct{ Code, Message string } `json:"api_error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		var def struct{ Type string }
		if c.Kind != "test_state" || c.Mock == nil || c.Mock.Result == "" || json.Unmarshal(c.Definition, &def) != nil || def.Type != "Task" {
			continue
		}
		if c.APIError != nil && c.APIError.Code == "ValidationException" && !json.Valid([]byte(c.Mock.Result)) {
			continue
		}
		if c.APIError != nil && !strings.HasPrefix(c.APIError.Message, "Mock result") {
			continue // refused for another reason than the mock
		}
		total++
		test := asl.StateTest{Definition: c.Definition, StateName: c.StateName, Input: c.Input, Mock: &asl.StateMock{Result: []byte(c.Mock.Result)},
			CheckMock: func(resource string, result []byte) error { return CheckMock(resource, result, c.Mock.Mode) }}
		_, err := asl.TestState(context.Background(), test)
		var refused *asl.TestError
		switch {
		case c.APIError == nil && err != nil:
			t.Errorf("%s: %v, recorded as taken", c.ID, err)
		case c.APIError != nil && (!errors.As(err, &refused) || refused.Msg != c.APIError.Message):
			if strings.Contains(c.ID, "integer_more_than_maximum_allowed") {
				t.Logf("exception %s: functions may have more memory in the model of today", c.ID)
				continue
			}
			t.Errorf("%s: %v, recorded %s", c.ID, err, c.APIError.Message)
		default:
			agree++
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("recorded mocks of tasks: %d of %d agree", agree, total)
}

func TestNamesOfErrors(t *testing.T) {
	for _, c := range []struct {
		to         target
		code, want string
	}{
		{target{service: "ec2", operation: "describeInstances", sdk: true}, "InvalidInstanceID.NotFound", "Ec2.Ec2Exception"},
		{target{service: "iam", operation: "getUser", sdk: true}, "NoSuchEntity", "Iam.NoSuchEntityException"},
		{target{service: "s3", operation: "getObject", sdk: true}, "NoSuchKey", "S3.NoSuchKeyException"},
		{target{service: "dynamodb", operation: "getItem", sdk: true}, "ResourceNotFoundException", "DynamoDb.ResourceNotFoundException"},
		{target{service: "dynamodb", operation: "putItem"}, "ValidationException", "DynamoDB.AmazonDynamoDBException"},
		{target{service: "sns", operation: "publish"}, "InvalidParameter", "SNS.InvalidParameterException"},
	} {
		err := refusal(c.to, &ServiceError{Code: c.code})
		var te *asl.TaskError
		if !errors.As(err, &te) || te.Name != c.want {
			t.Errorf("%s %s: %v, want %s", c.to.service, c.code, err, c.want)
		}
	}
}
