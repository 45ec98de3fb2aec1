package awsapi_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi"
)

func TestTaskName(t *testing.T) {
	for name, want := range map[string]string{
		"stateMachineArn": "StateMachineArn", "VpcId": "VpcId", "DBInstanceIdentifier": "DbInstanceIdentifier", "ACL": "Acl",
		"MFADevices": "MfaDevices", "WebACLId": "WebACLId", "logGroupName": "LogGroupName", "SSEKMSKeyId": "SsekmsKeyId", "a": "A", "": "",
	} {
		if got := awsapi.TaskName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestCallTask(t *testing.T) {
	var sent string
	answer := ""
	c := newClient(t, func(r *http.Request) *http.Response {
		b, _ := io.ReadAll(r.Body)
		sent = string(b)
		return reply(200, answer)
	})
	call := func(service, operation, input string) map[string]any {
		t.Helper()
		in, err := awsapi.ParseInput([]byte(input))
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.CallTask(t.Context(), service, operation, in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	answer = `{"stateMachineArn":"arn","creationDate":1767323045.25,"loggingConfiguration":{"level":"ALL","destinations":[{"cloudWatchLogsLogGroup":{"logGroupArn":"x"}}]}}`
	out := call("sfn", "describeStateMachine", `{"StateMachineArn":"arn"}`)
	want := map[string]any{"StateMachineArn": "arn", "CreationDate": "2026-01-02T03:04:05.250Z", "LoggingConfiguration": map[string]any{
		"Level": "ALL", "Destinations": []any{map[string]any{"CloudWatchLogsLogGroup": map[string]any{"LogGroupArn": "x"}}},
	}}
	if diff := cmp.Diff(want, out); diff != "" || sent != `{"stateMachineArn":"arn"}` {
		t.Errorf("sent %s; %s", sent, diff)
	}
	// A policy stays the text that IAM answers.
	answer = `<GetRolePolicyResponse><GetRolePolicyResult><RoleName>r</RoleName><PolicyName>p</PolicyName><PolicyDocument>%7B%7D</PolicyDocument></GetRolePolicyResult></GetRolePolicyResponse>`
	out = call("iam", "getRolePolicy", `{"RoleName":"r","PolicyName":"p"}`)
	if out["PolicyDocument"] != "%7B%7D" {
		t.Errorf("got %v", out)
	}
	// Bodies are text, or JSON that becomes text.
	answer = ""
	call("s3", "putObject", `{"Bucket":"bbb","Key":"k","Body":{"a":[1]}}`)
	if sent != `{"a":[1]}` {
		t.Errorf("sent %s", sent)
	}
	answer = "plain"
	if out = call("s3", "getObject", `{"Bucket":"bbb","Key":"k"}`); out["Body"] != "plain" {
		t.Errorf("got %v", out)
	}
	answer = `<CreateDBSnapshotResponse><CreateDBSnapshotResult><DBSnapshot><DBSnapshotIdentifier>s</DBSnapshotIdentifier></DBSnapshot></CreateDBSnapshotResult></CreateDBSnapshotResponse>`
	out = call("rds", "createDBSnapshot", `{"DbInstanceIdentifier":"i","DbSnapshotIdentifier":"s"}`)
	if diff := cmp.Diff(map[string]any{"DbSnapshot": map[string]any{"DbSnapshotIdentifier": "s"}}, out); diff != "" || !strings.Contains(sent, "DBInstanceIdentifier=i") {
		t.Errorf("sent %s; %s", sent, diff)
	}
	if _, err := c.CallTask(t.Context(), "rds", "createDBSnapshot", map[string]any{"DbInstanceIdentifer": "i"}); err == nil || !strings.Contains(err.Error(), "DbInstanceIdentifer: is not a member") {
		t.Errorf("got %v", err)
	}
}
