package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bartizan-security/bartizan/awsapi"
)

// transport answers requests without a network and keeps what it saw.
type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func quiet(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func newClient(t *testing.T, rt transport, change ...func(*awsapi.Options)) *awsapi.Client {
	t.Helper()
	quiet(t)
	o := awsapi.Options{
		Region: "eu-central-1", HTTPClient: &http.Client{Transport: rt}, MaxAttempts: 3,
		Credentials: credentials.NewStaticCredentialsProvider("AKID", "secret", "token"),
		Clock:       func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
		Random:      strings.NewReader(strings.Repeat("\x01", 1000)),
		Sleep:       func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	for _, f := range change {
		f(&o)
	}
	c, err := awsapi.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestEndpoints states where calls go and for which service and region they are
// signed, as AWS's endpoint rules have it.
func TestEndpoints(t *testing.T) {
	for _, row := range []struct {
		service, operation, region, input string
		host, scope                       string
	}{
		{"ec2", "DescribeVpcs", "eu-central-1", `{}`, "ec2.eu-central-1.amazonaws.com", "eu-central-1/ec2"},
		// Global services are signed for one region.
		{"iam", "ListUsers", "eu-central-1", `{}`, "iam.amazonaws.com", "us-east-1/iam"},
		{"iam", "ListUsers", "cn-north-1", `{}`, "iam.cn-north-1.amazonaws.com.cn", "cn-north-1/iam"},
		{"iam", "ListUsers", "us-gov-east-1", `{}`, "iam.us-gov.amazonaws.com", "us-gov-west-1/iam"},
		{"organizations", "ListAccounts", "eu-west-1", `{}`, "organizations.us-east-1.amazonaws.com", "us-east-1/organizations"},
		{"cloudfront", "ListDistributions", "eu-west-1", `{}`, "cloudfront.amazonaws.com", "us-east-1/cloudfront"},
		{"route53", "ListHostedZones", "eu-west-1", `{}`, "route53.amazonaws.com", "us-east-1/route53"},
		{"sts", "GetCallerIdentity", "eu-west-1", `{}`, "sts.eu-west-1.amazonaws.com", "eu-west-1/sts"},
		// The endpoint's name is not always the service's.
		{"cloudwatch", "ListMetrics", "eu-west-1", `{}`, "monitoring.eu-west-1.amazonaws.com", "eu-west-1/monitoring"},
		{"stepfunctions", "ListActivities", "us-west-2", `{}`, "states.us-west-2.amazonaws.com", "us-west-2/states"},
		{"ecr", "DescribeRepositories", "us-west-2", `{}`, "api.ecr.us-west-2.amazonaws.com", "us-west-2/ecr"},
		// A region newer than the models belongs to the partition of its pattern.
		{"ec2", "DescribeVpcs", "eu-north-9", `{}`, "ec2.eu-north-9.amazonaws.com", "eu-north-9/ec2"},
		// S3 puts the bucket into the host name where it fits.
		{"s3", "ListBuckets", "eu-central-1", `{}`, "s3.eu-central-1.amazonaws.com", "eu-central-1/s3"},
		{"s3", "GetBucketAcl", "us-east-1", `{"Bucket":"logs-bucket"}`, "logs-bucket.s3.us-east-1.amazonaws.com", "us-east-1/s3"},
		{"s3", "GetBucketAcl", "eu-central-1", `{"Bucket":"dotted.bucket"}`, "s3.eu-central-1.amazonaws.com", "eu-central-1/s3"},
		// Host prefixes and account ids become part of the host name.
		{"s3control", "GetPublicAccessBlock", "eu-west-1", `{"AccountId":"111111111111"}`, "111111111111.s3-control.eu-west-1.amazonaws.com", "eu-west-1/s3"},
		{"stepfunctions", "StartSyncExecution", "eu-west-1", `{"stateMachineArn":"arn:aws:states:eu-west-1:111111111111:stateMachine:x"}`, "sync-states.eu-west-1.amazonaws.com", "eu-west-1/states"},
	} {
		t.Run(row.service+"/"+row.region, func(t *testing.T) {
			var host, auth string
			c := newClient(t, func(r *http.Request) *http.Response {
				host, auth = r.URL.Host, r.Header.Get("Authorization")
				return reply(403, `{"__type":"AccessDeniedException","message":"no"}`)
			})
			_, err := c.WithRegion(row.region).CallJSON(t.Context(), row.service, row.operation, []byte(row.input))
			if !awsapi.IsAccessDenied(err) {
				t.Fatalf("got %v", err)
			}
			if host != row.host {
				t.Errorf("host %s, want %s", host, row.host)
			}
			if want := "Credential=AKID/20260102/" + row.scope + "/aws4_request"; !strings.Contains(auth, want) {
				t.Errorf("signed %q, want %s", auth, want)
			}
		})
	}
}

func TestEndpointSettings(t *testing.T) {
	var seen string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.URL.Path + " " + r.Header.Get("X-Amz-Target")
		_, _ = io.WriteString(w, "{}")
	}))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = "other"
		_, _ = io.WriteString(w, "{}")
	}))
	defer other.Close()
	call := func(t *testing.T, endpoint string) {
		t.Helper()
		seen = ""
		c, err := awsapi.New(t.Context(), awsapi.Options{Region: "eu-west-1", Endpoint: endpoint, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Call(t.Context(), "logs", "DescribeLogGroups", nil); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("AWS_ENDPOINT_URL", func(t *testing.T) {
		quiet(t)
		t.Setenv("AWS_ENDPOINT_URL", server.URL)
		call(t, "")
		if seen != "/ Logs_20140328.DescribeLogGroups" {
			t.Errorf("saw %q", seen)
		}
	})
	t.Run("the service's own wins", func(t *testing.T) {
		quiet(t)
		t.Setenv("AWS_ENDPOINT_URL", server.URL)
		t.Setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", other.URL)
		call(t, "")
		if seen != "other" {
			t.Errorf("saw %q", seen)
		}
	})
	t.Run("the option wins over both", func(t *testing.T) {
		quiet(t)
		t.Setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", other.URL)
		call(t, server.URL+"/prefix")
		if seen != "/prefix/ Logs_20140328.DescribeLogGroups" {
			t.Errorf("saw %q", seen)
		}
	})
}

// TestBucketRedirect: S3 answers 301 and names the region; the call goes there
// at once, and so do all later ones.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/Redirects.html
func TestBucketRedirect(t *testing.T) {
	var hosts []string
	c := newClient(t, func(r *http.Request) *http.Response {
		hosts = append(hosts, r.URL.Host)
		if strings.Contains(r.URL.Host, "ap-south-1") {
			return reply(200, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`)
		}
		return reply(301, `<Error><Code>PermanentRedirect</Code><Message>elsewhere</Message></Error>`, "X-Amz-Bucket-Region", "ap-south-1")
	})
	for range 2 {
		out, err := c.Call(t.Context(), "s3", "GetBucketVersioning", map[string]any{"Bucket": "far-away"})
		if err != nil || out["Status"] != "Enabled" {
			t.Fatalf("%v, %v", out, err)
		}
	}
	want := "far-away.s3.eu-central-1.amazonaws.com far-away.s3.ap-south-1.amazonaws.com far-away.s3.ap-south-1.amazonaws.com"
	if got := strings.Join(hosts, " "); got != want {
		t.Errorf("called %s, want %s", got, want)
	}
}

// TestRedirectsEnd: a server that sends the caller back and forth is left.
func TestRedirectsEnd(t *testing.T) {
	calls := 0
	c := newClient(t, func(r *http.Request) *http.Response {
		calls++
		return reply(301, `<Error><Code>PermanentRedirect</Code></Error>`, "X-Amz-Bucket-Region", fmt.Sprintf("eu-west-%d", calls))
	})
	_, err := c.Call(t.Context(), "s3", "GetBucketVersioning", map[string]any{"Bucket": "far-away"})
	if awsapi.ErrorCode(err) != "PermanentRedirect" || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestChecksums(t *testing.T) {
	for _, row := range []struct{ service, operation, input, header, want string }{
		// AWS's clients send CRC-32 unless another algorithm is chosen.
		{"s3", "PutObject", `{"Bucket":"bbb","Key":"k","Body":"aGVsbG8="}`, "X-Amz-Checksum-Crc32", "NhCmhg=="},
		{"s3", "PutObject", `{"Bucket":"bbb","Key":"k","Body":"aGVsbG8=","ChecksumAlgorithm":"SHA256"}`, "X-Amz-Checksum-Sha256", "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="},
		{"s3", "PutObject", `{"Bucket":"bbb","Key":"k","Body":"aGVsbG8=","ChecksumSHA1":"abc="}`, "X-Amz-Checksum-Crc32", ""},
		{"s3control", "PutPublicAccessBlock", `{"AccountId":"111111111111","PublicAccessBlockConfiguration":{}}`, "Content-Md5", ""},
	} {
		var got http.Header
		c := newClient(t, func(r *http.Request) *http.Response {
			got = r.Header
			return reply(200, "")
		})
		if _, err := c.CallJSON(t.Context(), row.service, row.operation, []byte(row.input)); err != nil {
			t.Errorf("%s: %v", row.input, err)
			continue
		}
		if got.Get(row.header) != row.want {
			t.Errorf("%s %s: %s is %q, want %q", row.service, row.input, row.header, got.Get(row.header), row.want)
		}
	}
}

func TestRetries(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply *http.Response
		body  string
		code  int
		tries int
	}{
		{"throttling is tried again", nil, `{"__type":"ThrottlingException"}`, 400, 3},
		{"a server's error is tried again", nil, `{"__type":"InternalFailure"}`, 500, 3},
		{"a denial is final", nil, `{"__type":"AccessDeniedException"}`, 400, 1},
		{"a web page from a proxy that cannot reach AWS is tried again", nil, `<html>busy</html>`, 503, 3},
		{"a web page that says OK is final", nil, `<html>hello</html>`, 200, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			tries := 0
			c := newClient(t, func(*http.Request) *http.Response {
				tries++
				return reply(row.code, row.body)
			})
			if _, err := c.Call(t.Context(), "dynamodb", "ListTables", nil); err == nil {
				t.Error("no error")
			}
			if tries != row.tries {
				t.Errorf("%d tries, want %d", tries, row.tries)
			}
		})
	}
}

func TestRetrySucceeds(t *testing.T) {
	tries := 0
	c := newClient(t, func(*http.Request) *http.Response {
		if tries++; tries < 3 {
			return reply(500, `{"__type":"InternalServerError"}`)
		}
		return reply(200, `{"TableNames":["a"]}`)
	})
	out, err := c.Call(t.Context(), "dynamodb", "ListTables", nil)
	if err != nil || fmt.Sprint(out) != "map[TableNames:[a]]" {
		t.Errorf("%v, %v", out, err)
	}
}

// TestForeignAnswers: what is not AWS gets an error that says so.
func TestForeignAnswers(t *testing.T) {
	for _, row := range []struct{ service, operation, body, want string }{
		{"ec2", "DescribeVpcs", `<!DOCTYPE html><html><body>Sign in</body></html>`, "proxy"},
		{"ec2", "DescribeVpcs", `<html><body>Sign in</body></html>`, "a web page"},
		{"ec2", "DescribeVpcs", `<DescribeVpcsResponse><vpcSet><item>`, "ends early"},
		{"ec2", "DescribeVpcs", ``, "ends early"},
		{"dynamodb", "ListTables", `{"TableNames":["a"`, "ends early"},
		{"dynamodb", "ListTables", `Bad Gateway`, "read JSON"},
		{"dynamodb", "ListTables", `{"TableNames":{"a":1}}`, "TableNames"},
		{"iam", "ListUsers", `<Other/>`, "holds no <ListUsersResult>"},
		{"dynamodb", "ListTables", strings.Repeat(`[`, 20000), "read JSON"},
		{"ec2", "DescribeVpcs", strings.Repeat(`<a>`, 20000), "nested deeper"},
	} {
		c := newClient(t, func(*http.Request) *http.Response { return reply(200, row.body, "Content-Type", "text/x") }, func(o *awsapi.Options) { o.MaxAttempts = 1 })
		_, err := c.Call(t.Context(), row.service, row.operation, nil)
		var e *awsapi.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), row.want) || e.Status != 200 {
			t.Errorf("%.40s: got %v, want %q", row.body, err, row.want)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	c := newClient(t, func(*http.Request) *http.Response {
		r := reply(200, strings.Repeat(" ", 2000))
		r.ContentLength = -1
		return r
	}, func(o *awsapi.Options) { o.MaxBody = 1000 })
	if _, err := c.Call(t.Context(), "dynamodb", "ListTables", nil); err == nil || !strings.Contains(err.Error(), "larger than 1000 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestTruncatedAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"TableNames":[]`)
	}))
	defer server.Close()
	quiet(t)
	c, err := awsapi.New(t.Context(), awsapi.Options{Region: "eu-west-1", Endpoint: server.URL, MaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), "dynamodb", "ListTables", nil); err == nil || !strings.Contains(err.Error(), "the connection ended") {
		t.Errorf("got %v", err)
	}
}

func TestCancellation(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(stop)
	quiet(t)
	c, err := awsapi.New(t.Context(), awsapi.Options{Region: "eu-west-1", Endpoint: server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err = c.Call(ctx, "dynamodb", "ListTables", nil)
	if !awsapi.IsCanceled(err) {
		t.Errorf("got %v", err)
	}
}

func TestSilentServers(t *testing.T) {
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	defer server.Close()
	defer close(stop)
	quiet(t)
	c, err := awsapi.New(t.Context(), awsapi.Options{Region: "eu-west-1", Endpoint: server.URL, Timeout: 50 * time.Millisecond, MaxAttempts: 2,
		Sleep: func(context.Context, time.Duration) error { return nil }, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), "dynamodb", "ListTables", nil); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
}

func TestNoCredentials(t *testing.T) {
	c := newClient(t, func(*http.Request) *http.Response { t.Error("a request was sent"); return reply(200, "{}") }, func(o *awsapi.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("nothing found")
		})
	})
	_, err := c.Call(t.Context(), "dynamodb", "ListTables", nil)
	if !errors.Is(err, awsapi.ErrNoCredentials) || !strings.Contains(err.Error(), "aws sso login") {
		t.Errorf("got %v", err)
	}
}

// TestUnresolvedHosts: a host that does not exist means that the service is not
// offered there, but only where AWS does not list it; anywhere else the network
// is to blame, and nothing may be taken for absent.
func TestUnresolvedHosts(t *testing.T) {
	quiet(t)
	lost := &http.Client{Transport: failing{&net.DNSError{Err: "no such host", IsNotFound: true}}}
	c, err := awsapi.New(t.Context(), awsapi.Options{HTTPClient: lost, Region: "eu-west-1", MaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), "ec2", "DescribeVpcs", nil); err == nil || awsapi.IsNoEndpoint(err) || !strings.Contains(err.Error(), "reach ec2.eu-west-1.amazonaws.com") {
		t.Errorf("got %v", err)
	}
	if _, err := c.WithRegion("eu-north-9").Call(t.Context(), "ec2", "DescribeVpcs", nil); !awsapi.IsNoEndpoint(err) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestNoRegion(t *testing.T) {
	c := newClient(t, func(r *http.Request) *http.Response {
		return reply(200, `<ListUsersResponse><ListUsersResult/></ListUsersResponse>`)
	})
	c = c.WithRegion("")
	if _, err := c.Call(t.Context(), "ec2", "DescribeVpcs", nil); !awsapi.IsNoEndpoint(err) || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Call(t.Context(), "iam", "ListUsers", nil); err != nil {
		t.Errorf("a global service needs no region: %v", err)
	}
}

func TestInputsAreChecked(t *testing.T) {
	c := newClient(t, func(*http.Request) *http.Response { t.Error("a request was sent"); return reply(200, "{}") })
	for _, row := range []struct{ service, operation, input, want string }{
		{"ec3", "DescribeVpcs", `{}`, "did you mean ec2"},
		{"ec2", "DescribeVpc", `{}`, "did you mean DescribeVpcs"},
		{"iam", "GetUser", `{"Username":"x"}`, "Username: is not a member of GetUserRequest; it has UserName"},
		{"iam", "GetRole", `{}`, "RoleName: is required"},
		{"iam", "GetRole", `{"RoleName":7}`, "RoleName: must be a string, is a number"},
		{"ec2", "DescribeVpcs", `{"VpcIds":"vpc-1"}`, "VpcIds: must be a list, is a string"},
		{"accessanalyzer", "CreateAccessPreview", `{"analyzerArn":"a","configurations":{"x":{"kmsKey":{},"secretsManagerSecret":{}}}}`, "configurations.x: may have only one member set"},
		{"s3", "PutObject", `{"Bucket":"b","Key":"k","Body":"*"}`, "Body: must be a blob in base64"},
		{"s3", "GetObject", `{"Bucket":"b","Key":""}`, "must not be empty"},
		{"s3", "PutObject", `{"Bucket":"bbb","Key":"k","Metadata":{"a\r\nEvil":"x"}}`, "must not contain line breaks"},
		{"ec2", "DescribeVpcs", `[]`, "want a JSON object"},
		{"s3control", "GetPublicAccessBlock", `{"AccountId":"evil.example/"}`, "12 digits"},
	} {
		if _, err := c.CallJSON(t.Context(), row.service, row.operation, []byte(row.input)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s %s: got %v, want %q", row.service, row.operation, row.input, err, row.want)
		}
	}
}

func TestPages(t *testing.T) {
	c := newClient(t, func(r *http.Request) *http.Response {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), `"two"`):
			return reply(200, `{"TableNames":["c"]}`)
		case strings.Contains(string(body), `"one"`):
			return reply(200, `{"TableNames":["b"],"LastEvaluatedTableName":"two"}`)
		}
		return reply(200, `{"TableNames":["a"],"LastEvaluatedTableName":"one"}`)
	})
	all, err := c.All(t.Context(), "dynamodb", "ListTables", map[string]any{"Limit": 1})
	if err != nil || fmt.Sprint(all) != "map[TableNames:[a b c]]" {
		t.Errorf("%v, %v", all, err)
	}
	n := 0
	for page, err := range c.Pages(t.Context(), "dynamodb", "ListTables", nil) {
		if err != nil || page["TableNames"] == nil {
			t.Errorf("%v, %v", page, err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d pages", n)
	}
}

func TestPagesThatNeverEnd(t *testing.T) {
	c := newClient(t, func(*http.Request) *http.Response {
		return reply(200, `{"TableNames":["a"],"LastEvaluatedTableName":"same"}`)
	})
	if _, err := c.All(t.Context(), "dynamodb", "ListTables", nil); err == nil || !strings.Contains(err.Error(), "never end") {
		t.Errorf("got %v", err)
	}
}

func TestWait(t *testing.T) {
	states := func(list ...string) transport {
		var n atomic.Int32
		return func(*http.Request) *http.Response {
			i := min(int(n.Add(1))-1, len(list)-1)
			if list[i] == "404" {
				return reply(400, `{"__type":"ResourceNotFoundException","message":"gone"}`)
			}
			return reply(200, `{"Table":{"TableStatus":"`+list[i]+`"}}`)
		}
	}
	in := map[string]any{"TableName": "t"}
	if err := newClient(t, states("404", "CREATING", "ACTIVE")).Wait(t.Context(), "dynamodb", "table-exists", in); err != nil {
		t.Error(err)
	}
	if err := newClient(t, states("DELETING", "404")).Wait(t.Context(), "dynamodb", "TableNotExists", in); err != nil {
		t.Error(err)
	}
	var e *awsapi.WaitError
	if err := newClient(t, states("CREATING")).Wait(t.Context(), "dynamodb", "TableExists", in); !errors.As(err, &e) || !strings.Contains(err.Error(), "gave up after 25 attempts") {
		t.Errorf("got %v", err)
	}
	if err := newClient(t, states("ACTIVE")).Wait(t.Context(), "dynamodb", "TableExist", in); err == nil || !strings.Contains(err.Error(), "did you mean TableExists") {
		t.Errorf("got %v", err)
	}
}

func TestAssumeRole(t *testing.T) {
	var external string
	c := newClient(t, func(r *http.Request) *http.Response {
		if !strings.HasPrefix(r.URL.Host, "sts.") {
			return reply(200, `{"TableNames":["`+strings.Split(r.Header.Get("Authorization"), "/")[0]+`"]}`)
		}
		body, _ := io.ReadAll(r.Body)
		external = string(body)
		return reply(200, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`)
	})
	role, err := c.AssumeRole(t.Context(), "arn:aws:iam::222222222222:role/audit", "ext", "bartizan")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(external, "ExternalId=ext") || !strings.Contains(external, "RoleSessionName=bartizan") {
		t.Errorf("STS was asked %s", external)
	}
	out, err := role.Call(t.Context(), "dynamodb", "ListTables", nil)
	if err != nil || !strings.HasSuffix(fmt.Sprint(out["TableNames"]), "Credential=ASIAROLE]") {
		t.Errorf("%v, %v", out, err)
	}
	denied := newClient(t, func(*http.Request) *http.Response {
		return reply(403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>`)
	})
	if _, err := denied.AssumeRole(t.Context(), "arn:aws:iam::222222222222:role/audit", "", "bartizan"); !awsapi.IsAccessDenied(err) {
		t.Errorf("got %v", err)
	}
}

// TestConcurrentCalls is for the race detector: one client, many callers, each
// reading models that nobody has read before.
func TestConcurrentCalls(t *testing.T) {
	c := newClient(t, func(*http.Request) *http.Response { return reply(403, `{"__type":"AccessDeniedException"}`) })
	var wg sync.WaitGroup
	input := map[string]any{}
	for _, row := range [][2]string{{"kms", "ListKeys"}, {"ecs", "ListClusters"}, {"eks", "ListClusters"}, {"athena", "ListWorkGroups"}, {"glue", "GetDatabases"}, {"kms", "ListAliases"}, {"s3", "ListBuckets"}, {"ecs", "ListTaskDefinitions"}} {
		for _, region := range []string{"eu-west-1", "us-east-1"} {
			wg.Go(func() {
				if _, err := c.WithRegion(region).Call(t.Context(), row[0], row[1], input); !awsapi.IsAccessDenied(err) {
					t.Errorf("%v: %v", row, err)
				}
			})
		}
	}
	wg.Wait()
	if len(input) != 0 {
		t.Errorf("the input was changed: %v", input)
	}
}

func TestErrors(t *testing.T) {
	denied := &awsapi.Error{Service: "s3", Operation: "GetBucketPolicy", Region: "eu-west-1", Code: "AccessDenied", Message: "no", Status: 403, RequestID: "R1"}
	if got, want := denied.Error(), "s3 GetBucketPolicy in eu-west-1: AccessDenied: no (HTTP 403, request R1)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, row := range []struct {
		code                       string
		status                     int
		denied, throttled, badCred bool
	}{
		{"AccessDenied", 403, true, false, false},
		{"UnauthorizedOperation", 403, true, false, false},
		{"AuthorizationError", 403, true, false, false},
		{"SomethingAccessDeniedException", 403, true, false, false},
		{"ThrottlingException", 400, false, true, false},
		{"SlowDown", 503, false, true, false},
		{"TooManyRequestsException", 429, false, true, false},
		{"InvalidClientTokenId", 403, false, false, true},
		{"ExpiredToken", 403, false, false, true},
		{"NoSuchBucket", 404, false, false, false},
	} {
		err := fmt.Errorf("wrapped: %w", &awsapi.Error{Code: row.code, Status: row.status})
		if awsapi.IsAccessDenied(err) != row.denied || awsapi.IsThrottled(err) != row.throttled || awsapi.IsBadCredentials(err) != row.badCred {
			t.Errorf("%s is judged wrongly", row.code)
		}
	}
}
