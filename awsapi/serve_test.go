package awsapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// sampleOf is a value that fills every member of a shape, two levels deep.
func sampleOf(shape *model.Shape, depth int) any {
	switch shape.Kind {
	case model.Structure:
		out := map[string]any{}
		for _, m := range shape.Members {
			nested := m.Shape.Kind == model.Structure || m.Shape.Kind == model.List || m.Shape.Kind == model.Map
			if depth >= 3 && nested || m.Location == model.StatusCode || m.Location == model.Headers || m.Shape.EventStream || m.Shape.Document {
				continue
			}
			out[m.Name] = sampleOf(m.Shape, depth+1)
			if shape.Union {
				break
			}
		}
		return out
	case model.List:
		return []any{sampleOf(shape.Element.Shape, depth+1), sampleOf(shape.Element.Shape, depth+1)}
	case model.Map:
		return map[string]any{"key": sampleOf(shape.Value.Shape, depth+1)}
	case model.Integer, model.Long:
		return int64(7)
	case model.Float, model.Double:
		return 1.5
	case model.Boolean:
		return true
	case model.Timestamp:
		return "2026-01-02T03:04:05+00:00"
	case model.Blob:
		return "AAH+/w=="
	}
	if len(shape.Enum) > 0 {
		return shape.Enum[0]
	}
	return "ä <&> \"quoted\""
}

// plainSample is ASCII, for what travels in headers and paths.
func plainSample(shape *model.Shape) map[string]any {
	v, _ := sampleOf(shape, 0).(map[string]any)
	for _, m := range shape.Members {
		if (m.Location == model.Header || m.Location == model.URI || m.HostLabel) && m.Shape.Kind == model.String && len(m.Shape.Enum) == 0 {
			v[m.Name] = "plain-1"
		}
		if m.LocationName == "Content-Length" {
			v[m.Name] = int64(4) // of the sample blob
		}
	}
	return v
}

// boto3Adds are members that boto3 makes of the message's status and headers.
var boto3Adds = map[string][]string{
	"lambda Invoke": {"StatusCode"},
	"s3 GetObject":  {"ExpiresString", "Metadata"},
}

// TestServesBoto3 plays the services with the server's side of the codecs, and
// has boto3 call them with every member filled in: what boto3 sends arrives as
// it was meant, and what is answered arrives at boto3 as it was meant.
func TestServesBoto3(t *testing.T) {
	operations := [][2]string{
		{"ec2", "DescribeInstances"}, {"ec2", "RunInstances"}, {"ec2", "DescribeSecurityGroups"}, {"ec2", "CreateVpc"},
		{"iam", "GetUser"}, {"iam", "ListAccessKeys"}, {"sts", "AssumeRole"}, {"sns", "Publish"}, {"rds", "DescribeDBInstances"}, {"elbv2", "CreateLoadBalancer"}, {"elb", "DescribeLoadBalancers"}, {"autoscaling", "DescribeAutoScalingGroups"},
		{"dynamodb", "DescribeTable"}, {"dynamodb", "PutItem"}, {"kms", "Encrypt"}, {"sqs", "ReceiveMessage"}, {"cloudwatch", "PutMetricAlarm"}, {"cloudtrail", "LookupEvents"}, {"logs", "FilterLogEvents"}, {"organizations", "DescribeAccount"}, {"stepfunctions", "DescribeExecution"},
		{"lambda", "GetFunction"}, {"lambda", "Invoke"}, {"eks", "DescribeCluster"}, {"guardduty", "GetFindings"}, {"apigateway", "GetRestApi"}, {"backup", "DescribeBackupVault"}, {"securityhub", "GetFindings"},
		{"route53", "ListResourceRecordSets"}, {"cloudfront", "GetDistribution"}, {"s3", "GetBucketLifecycleConfiguration"}, {"s3", "PutBucketLifecycleConfiguration"}, {"s3", "GetObject"}, {"s3", "ListObjectVersions"}, {"s3", "GetBucketLocation"}, {"s3", "GetBucketAcl"},
	}
	type talk struct {
		Service   string `json:"service"`
		Operation string `json:"operation"`
		Endpoint  string `json:"endpoint"`
		Input     any    `json:"input"`
	}
	var talks []talk
	var sent []map[string]any // what each call is answered
	received := make([]map[string]any, len(operations)+1)
	turn := 0
	handle := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		in := &wire.Request{Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Host: r.Host, Header: r.Header, Body: body}
		answer := func() (*wire.Response, error) {
			name, err := awsapi.SigningName(r.Header.Get("Authorization"), r.URL.RawQuery)
			if err != nil {
				return nil, err
			}
			op, p, err := awsapi.Route(name, in)
			if err != nil {
				return nil, err
			}
			if want := talks[turn]; op.Service.Name != want.Service || op.Name != want.Operation {
				t.Errorf("%s %s is routed to %s %s", want.Service, want.Operation, op.Service.Name, op.Name)
			}
			if received[turn], err = wire.DecodeRequest(op, p, in); err != nil {
				return nil, err
			}
			if sent[turn] == nil {
				return wire.EncodeFault(op, p, &wire.Fault{Code: "AccessDenied", Message: "no <way>", Status: 403, RequestID: "r"})
			}
			return wire.EncodeResponse(op, p, sent[turn], "request-1")
		}
		resp, err := answer()
		if err != nil {
			t.Errorf("%+v: %v", talks[turn], err)
			w.WriteHeader(http.StatusTeapot)
			turn++
			return
		}
		turn++
		for k, v := range resp.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(resp.Status)
		_, _ = w.Write(resp.Body)
	}
	server := httptest.NewServer(http.HandlerFunc(handle))
	defer server.Close()
	var shapes []*model.Operation
	for _, o := range operations {
		op, err := awsapi.LookupOperation(o[0], o[1])
		if err != nil {
			t.Fatal(err)
		}
		in := map[string]any{}
		if op.Input != nil {
			in = plainSample(op.Input)
		}
		if o[0] == "s3" {
			in = map[string]any{"Bucket": "plain-1"}
			if op.Input.Member("Key") != nil {
				in["Key"] = "k"
			}
			if op.Input.Payload != "" {
				in[op.Input.Payload] = sampleOf(op.Input.Member(op.Input.Payload).Shape, 0)
			}
		}
		out := map[string]any{}
		if op.Output != nil {
			out = plainSample(op.Output)
		}
		talks, sent, shapes = append(talks, talk{o[0], o[1], server.URL, in}), append(sent, out), append(shapes, op)
	}
	talks, sent = append(talks, talk{"iam", "ListUsers", server.URL, map[string]any{}}), append(sent, nil)

	question, err := json.Marshal(talks)
	if err != nil {
		t.Fatal(err)
	}
	mototest.Python(t)
	cmd := exec.Command(mototest.Python(t), "testdata/talk.py")
	cmd.Stdin = bytes.NewReader(question)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	reply, err := cmd.Output()
	if err != nil {
		t.Fatalf("run boto3: %v\n%s", err, &complaints)
	}
	lines := bytes.Split(bytes.TrimSpace(reply), []byte("\n"))
	if len(lines) != len(talks) {
		t.Fatalf("boto3 answered %d of %d calls", len(lines), len(talks))
	}
	for i, op := range shapes {
		var got answer
		if err := json.Unmarshal(lines[i], &got); err != nil {
			t.Fatal(err)
		}
		if got.Error != nil {
			t.Errorf("%s %s: boto3 says %+v", op.Service.Name, op.Name, *got.Error)
			continue
		}
		for _, name := range boto3Adds[op.Service.Name+" "+op.Name] {
			delete(got.Output, name)
		}
		if diff := cmp.Diff(throughJSON(t, sent[i]), got.Output); diff != "" {
			t.Errorf("%s %s answers (-sent +boto3):\n%s", op.Service.Name, op.Name, diff)
		}
		want := throughJSON(t, talks[i].Input.(map[string]any))
		have := throughJSON(t, received[i])
		for k, v := range want {
			if op.Name == "RunInstances" && k == "UserData" {
				v = base64.StdEncoding.EncodeToString([]byte(v.(string))) // as boto3 does unasked
			}
			if diff := cmp.Diff(v, have[k]); diff != "" {
				t.Errorf("%s %s receives %s (-boto3 +server):\n%s", op.Service.Name, op.Name, k, diff)
			}
		}
	}
	if last := string(lines[len(lines)-1]); last != `{"error": {"code": "AccessDenied", "message": "no <way>", "status": 403}}` {
		t.Errorf("a refusal arrives as %s", last)
	}
	t.Logf("%d calls served to boto3", len(talks))
}
