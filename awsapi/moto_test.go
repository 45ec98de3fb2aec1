package awsapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/internal/mototest"
)

// call is one line of testdata/calls.json, which boto3 makes too.
type call struct {
	Service   string            `json:"service"`
	Operation string            `json:"operation"`
	Region    string            `json:"region"`
	Input     json.RawMessage   `json:"input"`
	All       bool              `json:"all"`
	Remember  map[string]string `json:"remember"`
	Ignore    []string          `json:"ignore"`
}

type answer struct {
	Output map[string]any `json:"output"`
	Error  *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Status  int    `json:"status"`
	} `json:"error"`
}

// TestAgainstBoto3 makes the same calls with boto3 and with this package, each
// against a moto server of its own, and compares what comes back.
func TestAgainstBoto3(t *testing.T) {
	data, err := os.ReadFile("testdata/calls.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []call
	if err := json.Unmarshal(data, &calls); err != nil {
		t.Fatal(err)
	}
	endpoint := mototest.Start(t)
	cmd := exec.Command(mototest.Python(t), "testdata/boto.py", endpoint, "testdata/calls.json")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run boto3: %v\n%s", err, &complaints)
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(calls) {
		t.Fatalf("boto3 answered %d of %d calls\n%s", len(lines), len(calls), &complaints)
	}
	mototest.Reset(t, endpoint)

	base, err := awsapi.New(t.Context(), awsapi.Options{Endpoint: endpoint, Region: "us-east-1", MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	remembered := map[string]string{}
	services, refusals := map[string]bool{}, 0
	for i, c := range calls {
		t.Run(c.Service+"/"+c.Operation, func(t *testing.T) {
			var want answer
			if err := json.Unmarshal(lines[i], &want); err != nil {
				t.Fatal(err)
			}
			client := base
			if c.Region != "" {
				client = base.WithRegion(c.Region)
			}
			text := string(c.Input)
			for name, v := range remembered {
				text = strings.ReplaceAll(text, "$"+name, v)
			}
			in, err := awsapi.ParseInput([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			do := client.Call
			if c.All {
				do = client.All
			}
			got, err := do(t.Context(), c.Service, c.Operation, in)
			if want.Error != nil {
				var e *awsapi.Error
				if !errors.As(err, &e) {
					t.Fatalf("got %v, boto3 %+v", err, *want.Error)
				}
				if e.Code != want.Error.Code || mask(e.Message) != mask(want.Error.Message) || e.Status != want.Error.Status {
					t.Errorf("got %s %q %d, boto3 %+v", e.Code, e.Message, e.Status, *want.Error)
				}
				refusals++
				return
			}
			if err != nil {
				t.Fatalf("%v; boto3 got %s", err, lines[i])
			}
			for name, path := range c.Remember {
				v := any(got)
				for _, step := range strings.Split(path, ".") {
					v = v.(map[string]any)[step]
				}
				remembered[name] = v.(string)
			}
			for _, name := range c.Ignore {
				delete(got, name)
				delete(want.Output, name)
			}
			if diff := cmp.Diff(normal(want.Output), normal(throughJSON(t, got))); diff != "" {
				t.Errorf("(-boto3 +awsapi):\n%s", diff)
			}
			services[c.Service] = true
		})
	}
	t.Logf("%d calls of %d services, %d of them refused, agree with boto3", len(calls), len(services), refusals)
	if len(services) < 12 {
		t.Errorf("only %d services", len(services))
	}
}

func throughJSON(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	data, err := awsapi.EncodeJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// moto invents ids, and the two runs happen at different times.
var invented = []*regexp.Regexp{
	regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`),
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
	regexp.MustCompile(`\b[a-z]+-(cidr-assoc-|attach-)?[0-9a-f]{8,17}\b`),
	regexp.MustCompile(`\b(AKIA|ASIA|AIDA|AROA|ANPA|AIPA|AGPA)[A-Z0-9]{12,}\b`),
	regexp.MustCompile(`[0-9a-f]{32}`),
	regexp.MustCompile(`db1\.[a-z0-9]+\.`),
	regexp.MustCompile(`\b10\.1\.1\.\d+|\bip-10-1-1-\d+|\d+\.\d+\.\d+\.\d+(:\d+)?\b|ec2-\d+-\d+-\d+-\d+`),
	regexp.MustCompile(`(secret:db-|/hostedzone/|certificate/)[A-Za-z0-9-]+|\b[a-z0-9]{10}\b`),
}

func mask(s string) string {
	for _, re := range invented {
		s = re.ReplaceAllString(s, "…")
	}
	return s
}

// random are members whose values moto invents in forms too plain to mask.
var random = map[string]bool{
	"VersionId": true, "ETag": true, "RequestId": true, "HostId": true, "Date": true, "LastModified": true, "PrivateIpAddress": true, "MacAddress": true, "UserId": true, "Origin": true, "creationTime": true,
}

func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			if random[k] {
				out[k] = "…"
				continue
			}
			out[k] = normal(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = normal(e)
		}
		sort.SliceStable(out, func(i, j int) bool { return show(out[i]) < show(out[j]) })
		return out
	case string:
		return mask(v)
	}
	return v
}

func show(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
