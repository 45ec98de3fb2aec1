package awsapi

import (
	"context"
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
)

// Client calls AWS. It is safe for concurrent use; [Client.WithRegion] and
// [Client.AssumeRole] derive further clients that share its connections.
type Client struct {
	region string
	who    *identity
	base   *base
}

// base is what all clients derived from one another share.
type base struct {
	options Options
	config  aws.Config
	http    aws.HTTPClient
	signer  *v4.Signer
}

// identity is what the clients of one principal share.
type identity struct {
	credentials aws.CredentialsProvider // nil: anonymous
	mu          sync.Mutex
	retryers    map[string]aws.RetryerV2 // by service and region, so that one's throttling slows no other
	buckets     map[string]string        // S3 bucket: its region, where a redirect told
}

func newIdentity(credentials aws.CredentialsProvider) *identity {
	return &identity{credentials: credentials, retryers: map[string]aws.RetryerV2{}, buckets: map[string]string{}}
}

const (
	defaultAttempts = 5
	defaultRetry    = 20 * time.Second
	defaultTimeout  = time.Minute
	defaultMaxBody  = 256 << 20
)

// New makes a client from the options and the environment. No AWS service is
// called, but the instance's metadata may be asked for the region.
func New(ctx context.Context, options Options) (*Client, error) {
	load := []func(*config.LoadOptions) error{}
	if options.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(options.Profile))
	}
	if options.Region != "" {
		load = append(load, config.WithRegion(options.Region))
	}
	if options.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(options.Credentials))
	}
	if options.FIPS {
		load = append(load, config.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if options.DualStack {
		load = append(load, config.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("load AWS configuration: %w", err)
	}
	options.defaults()
	b := &base{options: options, config: cfg, signer: v4.NewSigner()}
	b.http = httpClient(options, cfg.HTTPClient)
	creds := cfg.Credentials
	if options.Anonymous {
		creds = nil
	}
	return &Client{region: cfg.Region, who: newIdentity(creds), base: b}, nil
}

func (o *Options) defaults() {
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = defaultAttempts
	}
	if o.MaxRetryWait <= 0 {
		o.MaxRetryWait = defaultRetry
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Random == nil {
		o.Random = crand.Reader
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
}

// httpClient is the given client or the configuration's, which knows
// AWS_CA_BUNDLE. It never follows redirects: a signature is good for one host.
func httpClient(options Options, configured aws.HTTPClient) aws.HTTPClient {
	if options.HTTPClient != nil {
		c := *options.HTTPClient
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		return &c
	}
	buildable, ok := configured.(*awshttp.BuildableClient)
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	return buildable.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 64
		t.ResponseHeaderTimeout = options.Timeout
	})
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Region returns the region the client calls, "" when none is configured.
func (c *Client) Region() string { return c.region }

// Credentials returns the credentials the client signs with, nil when it signs
// nothing.
func (c *Client) Credentials() aws.CredentialsProvider { return c.who.credentials }

// WithRegion returns a client for another region.
func (c *Client) WithRegion(region string) *Client {
	d := *c
	d.region = region
	return &d
}

// retryer returns the adaptive retryer of a service in a region.
func (c *Client) retryer(service, region string) aws.RetryerV2 {
	key := service + " " + region
	c.who.mu.Lock()
	defer c.who.mu.Unlock()
	r := c.who.retryers[key]
	if r == nil {
		o := c.base.options
		r = retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
			a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) {
				s.MaxAttempts = o.MaxAttempts
				s.MaxBackoff = o.MaxRetryWait
			})
		})
		c.who.retryers[key] = r
	}
	return r
}

// Call calls one operation and returns its output. The service and the
// operation may be spelled in any way [LookupOperation] understands. What AWS
// refuses is an [*Error]; an input that the model does not allow is refused
// before anything is sent.
func (c *Client) Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	op, err := LookupOperation(service, operation)
	if err != nil {
		return nil, err
	}
	out, err := c.call(ctx, op, input)
	if err != nil {
		return nil, err
	}
	return polish(op, out), nil
}

// CallJSON is [Client.Call] with JSON in and out. Empty input is {}.
func (c *Client) CallJSON(ctx context.Context, service, operation string, input json.RawMessage) (json.RawMessage, error) {
	in, err := ParseInput(input)
	if err != nil {
		return nil, fmt.Errorf("read input of %s %s: %w", service, operation, err)
	}
	out, err := c.Call(ctx, service, operation, in)
	if err != nil {
		return nil, err
	}
	return EncodeJSON(out)
}

// call sends the request until it succeeds, fails for good, or the attempts run
// out. The output is as the model has it, not yet polished.
func (c *Client) call(ctx context.Context, op *model.Operation, input map[string]any) (map[string]any, error) {
	input, err := wire.FillTokens(op.Input, input, c.token)
	if err != nil {
		return nil, err
	}
	input = amend(op, input)
	request, err := wire.EncodeRequest(op, "", input)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", op.Service.Name, op.Name, err)
	}
	if err := addChecksum(op, input, request); err != nil {
		return nil, fmt.Errorf("%s %s: %w", op.Service.Name, op.Name, err)
	}
	region := c.region
	bucket := bucketOf(op, input)
	if known := c.bucketRegion(bucket); known != "" {
		region = known
	}
	redirected := false
	r := c.retryer(op.Service.Name, region)
	for attempt := 1; ; attempt++ {
		release, err := r.GetAttemptToken(ctx)
		if err != nil {
			return nil, c.failed(op, region, fmt.Errorf("wait for the rate limit: %w", err))
		}
		out, err := c.send(ctx, op, input, request, region)
		_ = release(err)
		if err == nil {
			return out, nil
		}
		if to := redirect(err, region); to != "" && bucket != "" && !redirected {
			redirected = true
			region = to
			c.rememberBucket(bucket, to)
			continue
		}
		if ctx.Err() != nil || attempt >= r.MaxAttempts() || !retryable(r, err) {
			return nil, err
		}
		// No retry token is taken: the attempts are bounded, and a budget over all
		// calls would make what one part of a collection reads depend on others.
		delay, derr := r.RetryDelay(attempt, err)
		if derr != nil {
			return nil, err
		}
		if serr := c.base.options.Sleep(ctx, delay); serr != nil {
			return nil, err
		}
	}
}

// token is a random UUID (version 4).
func (c *Client) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(c.base.options.Random, b[:]); err != nil {
		return "", err
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

func (c *Client) failed(op *model.Operation, region string, cause error) *Error {
	return &Error{Service: op.Service.Name, Operation: op.Name, Region: region, cause: cause}
}
