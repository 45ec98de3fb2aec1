package awstasks

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// outcomeOf is what both executors are compared by: the execution and what it
// left behind.
type outcomeOf struct {
	Status   string `json:"status"`
	Output   any    `json:"output"`
	Policies []any  `json:"policies"`
	Item     any    `json:"item"`
}

// A playbook of JSONPath tasks does the same here and in moto's executor.
func TestPlaybookAsInMotosExecutor(t *testing.T) {
	python := mototest.Python(t)
	raw, err := exec.Command(python, "testdata/moto_executor.py", "testdata/playbook.json", "testdata/playbook-input.json").Output()
	if err != nil {
		t.Fatalf("run moto's executor: %v", err)
	}
	var want outcomeOf
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatalf("read what moto's executor said: %v: %s", err, raw)
	}

	ctx := context.Background()
	c, err := awsapi.New(ctx, awsapi.Options{Endpoint: mototest.Start(t), Region: "us-east-1", MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	call := func(service, operation string, input map[string]any) map[string]any {
		t.Helper()
		out, err := c.CallTask(ctx, service, operation, input)
		if err != nil {
			t.Fatalf("%s %s: %v", service, operation, err)
		}
		return out
	}
	call("iam", "createUser", map[string]any{"UserName": "mallory"})
	for range 2 {
		call("iam", "createAccessKey", map[string]any{"UserName": "mallory"})
	}
	call("dynamodb", "createTable", map[string]any{"TableName": "evidence", "BillingMode": "PAY_PER_REQUEST",
		"KeySchema":            []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": "S"}}})
	definition, err := os.ReadFile("testdata/playbook.json")
	if err != nil {
		t.Fatal(err)
	}
	input, err := os.ReadFile("testdata/playbook-input.json")
	if err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse(definition)
	if err != nil {
		t.Fatal(err)
	}
	r, err := asl.Run(ctx, m, input, asl.Host{Tasks: NewClient(c)})
	if err != nil {
		t.Fatal(err)
	}
	got := outcomeOf{Status: r.Status}
	if r.Status == asl.StatusSucceeded {
		if err := json.Unmarshal(r.Output, &got.Output); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Errorf("%s %s", r.Error, r.Cause)
	}
	got.Policies, _ = call("iam", "listUserPolicies", map[string]any{"UserName": "mallory"})["PolicyNames"].([]any)
	got.Item = call("dynamodb", "getItem", map[string]any{"TableName": "evidence", "Key": map[string]any{"id": map[string]any{"S": "mallory"}}})["Item"]
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("moto's executor and bartizan differ (-moto +bartizan):\n%s", d)
	}
}
