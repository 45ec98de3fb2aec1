package awsapi

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Options say whom and what a [Client] calls. The zero value follows the
// environment and the shared configuration files as the AWS CLI does.
type Options struct {
	Profile      string                  // "" for AWS_PROFILE or default
	Region       string                  // "" for AWS_REGION, the profile's or the instance's
	Endpoint     string                  // every service is called here; "" for AWS_ENDPOINT_URL*, the profile's or AWS's own
	Credentials  aws.CredentialsProvider // nil for the usual chain
	Anonymous    bool                    // send requests unsigned
	FIPS         bool
	DualStack    bool
	MaxAttempts  int           // 0: 5
	MaxRetryWait time.Duration // longest wait between attempts; 0: 20 s
	Timeout      time.Duration // longest wait for an answer to begin; 0: one minute, as boto3 waits
	MaxBody      int64         // bytes of an answer that are read; 0: 256 MB
	HTTPClient   *http.Client  // for calls of services; nil for the SDK's, which knows AWS_CA_BUNDLE and proxies
	UserAgent    string        // appended to the User-Agent header

	// Clock and Random are asked for the time of signatures and for idempotency
	// tokens; nil means the system's.
	Clock  func() time.Time
	Random io.Reader
	// Sleep waits between attempts of a waiter; nil means a timer.
	Sleep Sleep
}

// Sleep waits for a duration or until the context ends, whichever comes first.
type Sleep func(ctx context.Context, d time.Duration) error
