package collect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/collect"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// liveSession is a real client on a moto server.
type liveSession struct{ c *awsapi.Client }

func (s liveSession) Home() string                 { return s.c.Region() }
func (s liveSession) In(region string) collect.API { return s.c.WithRegion(region) }
func (s liveSession) Assume(ctx context.Context, role, external string) (collect.Session, error) {
	c, err := s.c.AssumeRole(ctx, role, external, "bartizan")
	return liveSession{c}, err
}

// TestMoto fills a moto server with boto3 and checks that every resource made
// is collected, with its parts, and that no value of a secret is.
func TestMoto(t *testing.T) {
	endpoint := mototest.Start(t)
	cmd := exec.Command(mototest.Python(t), "testdata/fill.py", endpoint)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("fill moto: %v\n%s", err, complaint.String())
	}
	var made map[string][]string
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	client, err := awsapi.New(context.Background(), awsapi.Options{Endpoint: endpoint, MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	sum, err := collect.Run(context.Background(), liveSession{client}, collect.Options{Catalogue: catalogue(t),
		Regions: []string{"eu-west-1", "us-east-1"}, Time: fixed}, &file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := estate.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := estate.Load(r)
	if err != nil {
		t.Fatal(err)
	}
	x := e.Index()
	resources, checked := 0, 0
	for typ, ids := range made {
		for _, id := range ids {
			resources++
			found := false
			for _, r := range x.Type(typ) {
				found = found || r.ID == id || strings.HasSuffix(r.ID, "/"+id)
			}
			if !found {
				t.Errorf("%s %s was made but not collected", typ, id)
			}
		}
	}
	t.Logf("%d resources of %d types made, %d collected, %d operations without answer from moto", resources, len(made), sum.Resources, len(sum.Gaps))
	for _, g := range sum.Gaps {
		// moto does not have every operation, and says so with HTTP 404 or 500. Anything else is a fault of ours.
		if !strings.HasPrefix(g.Code, "HTTP ") && g.Operation != "route53:ListQueryLoggingConfigs" {
			t.Errorf("%s failed %d times: %s: %s", g.Operation, g.Count, g.Code, g.Reason)
		}
	}

	for _, c := range []struct {
		typ, id, path, want string // want is JSON
	}{
		{"AWS::S3::Bucket", "acme-logs", "GetBucketVersioning.Status", `"Enabled"`},
		{"AWS::S3::Bucket", "acme-data", "GetBucketPolicy", `null`},
		{"AWS::IAM::User", "anna", "GetLoginProfile.LoginProfile.UserName", `"anna"`},
		{"AWS::IAM::User", "anna", "UserPolicyList", `[{"PolicyDocument":{"Statement":[{"Action":"s3:GetObject","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"},"PolicyName":"inline"}]`},
		{"AWS::Lambda::Function", "resize", "Environment.Variables", `{"TOKEN":"(redacted)"}`},
		{"AWS::KMS::Alias", "alias/data", "AliasName", `"alias/data"`},
		{"AWS::Account::Account", "123456789012", "GetAccountPasswordPolicy.PasswordPolicy.MinimumPasswordLength", `14`},
		{"AWS::Account::Region", "eu-west-1", "GetEbsEncryptionByDefault.EbsEncryptionByDefault", `false`},
		{"AWS::EKS::Cluster", "apps", "status", `"ACTIVE"`},
		{"AWS::OpenSearchService::Domain", "search", "DomainName", `"search"`},
		{"AWS::Glue::DevEndpoint", "workbench", "RoleArn", `"arn:aws:iam::123456789012:role/worker"`},
	} {
		for _, r := range x.Type(c.typ) {
			if r.ID != c.id {
				continue
			}
			checked++
			if got := valueAt(t, r.Document, c.path); got != c.want {
				t.Errorf("%s %s: %s is %s, want %s", c.typ, c.id, c.path, got, c.want)
			}
		}
	}
	if checked != 11 {
		t.Errorf("only %d of 11 values were there to check", checked)
	}
	if r := x.ID("acme-logs"); len(r) != 1 || r[0].Region != "eu-west-1" || r[0].Tags["kind"] != "logs" {
		t.Errorf("acme-logs: %+v", r)
	}

	// References lead from what uses to what is used.
	role := x.ARN("arn:aws:iam::123456789012:role/worker")
	users := map[string]bool{}
	for _, ref := range x.Referrers(role) {
		users[ref.From.Type] = true
	}
	for _, typ := range []string{"AWS::Lambda::Function", "AWS::EKS::Cluster", "AWS::StepFunctions::StateMachine", "AWS::IAM::InstanceProfile", "AWS::Glue::DevEndpoint"} {
		if !users[typ] {
			t.Errorf("%s does not refer to its role", typ)
		}
	}

	plain, err := estate.AppendJSON(nil, allDocuments(e))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"never-to-be-read", "never-to-be-kept", "never-to-be-returned", "Not-A-Real-1", "c2VjcmV0"} {
		if bytes.Contains(plain, []byte(secret)) {
			t.Errorf("the snapshot holds the secret %q", secret)
		}
	}

	d, err := collect.Diagnose(context.Background(), liveSession{client}, catalogue(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Account != "123456789012" || d.Management != "123456789012" || len(d.Missing) != 0 || len(d.Regions) < 10 {
		t.Errorf("diagnosis: %+v", d)
	}
}

func valueAt(t *testing.T, doc any, path string) string {
	t.Helper()
	for step := range strings.SplitSeq(path, ".") {
		m, ok := doc.(map[string]any)
		if !ok {
			return "nothing"
		}
		if doc, ok = m[step]; !ok {
			return "nothing"
		}
	}
	b, err := estate.AppendJSON(nil, doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func allDocuments(e *estate.Estate) []any {
	var out []any
	for r := range e.Resources() {
		out = append(out, r.Document)
	}
	return out
}
