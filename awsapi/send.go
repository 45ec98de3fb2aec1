package awsapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"github.com/bartizan-security/bartizan/awsapi/model"
	"github.com/bartizan-security/bartizan/awsapi/wire"
)

// send makes one attempt.
func (c *Client) send(ctx context.Context, op *model.Operation, input map[string]any, w *wire.Request, region string) (map[string]any, error) {
	at, err := c.endpoint(ctx, op, region, input)
	if err != nil {
		return nil, c.failed(op, region, err)
	}
	req, err := c.request(ctx, op, w, at)
	if err != nil {
		return nil, c.failed(op, region, err)
	}
	if err := c.sign(ctx, op, req, w.Body, at); err != nil {
		return nil, c.failed(op, region, err)
	}
	resp, err := c.base.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, c.failed(op, region, fmt.Errorf("reach %s: %w", req.URL.Host, ctx.Err()))
		}
		if notOffered(op, region, at, err) {
			return nil, c.failed(op, region, &NoEndpointError{Service: op.Service.Name, Region: region, Reason: "AWS does not list the region for the service, and " + req.URL.Host + " does not exist"})
		}
		return nil, c.failed(op, region, fmt.Errorf("reach %s (check the network, the proxy and the endpoint): %w", req.URL.Host, plainCause(err)))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := c.read(op, resp)
	if err != nil {
		e := c.failed(op, region, err)
		e.Status, e.RequestID = resp.StatusCode, wire.RequestID(resp.Header)
		return nil, e
	}
	out, err := wire.DecodeResponse(op, "", &wire.Response{Status: resp.StatusCode, Header: resp.Header, Body: body})
	if err == nil {
		return out, nil
	}
	return nil, c.refused(op, region, at, resp, err)
}

// notOffered tells a service that a region does not have from a network that
// does not resolve names. The rules give every region a host name.
func notOffered(op *model.Operation, region string, at *place, err error) bool {
	var dns *net.DNSError
	return !at.custom && len(op.Service.Regions) > 0 && !slices.Contains(op.Service.Regions, region) && errors.As(err, &dns) && dns.IsNotFound
}

// read reads the answer, no more than the limit.
func (c *Client) read(op *model.Operation, resp *http.Response) ([]byte, error) {
	limit := c.base.options.MaxBody
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case int64(len(body)) > limit:
		return nil, fmt.Errorf("the answer is larger than %d bytes, the limit of Options.MaxBody", limit)
	case err != nil:
		return nil, fmt.Errorf("read answer: the connection ended after %d bytes: %w", len(body), err)
	}
	// HEAD announces a body that does not come.
	if resp.ContentLength > int64(len(body)) && op.Method != http.MethodHead {
		return nil, fmt.Errorf("read answer: %w: %d of %d bytes", io.ErrUnexpectedEOF, len(body), resp.ContentLength)
	}
	return body, nil
}

// refused turns a decoded refusal into an [*Error].
func (c *Client) refused(op *model.Operation, region string, at *place, resp *http.Response, err error) *Error {
	e := &Error{Service: op.Service.Name, Operation: op.Name, Region: region, Status: resp.StatusCode, RequestID: wire.RequestID(resp.Header)}
	var fault *wire.Fault
	if errors.As(err, &fault) {
		e.Code, e.Message, e.Fields = fault.Code, fault.Message, fault.Fields
		if fault.RequestID != "" {
			e.RequestID = fault.RequestID
		}
		if r := resp.Header.Get("X-Amz-Bucket-Region"); r != "" {
			if e.Fields == nil {
				e.Fields = map[string]any{}
			}
			e.Fields["Region"] = r
		}
		return e
	}
	e.cause = fmt.Errorf("%s answered %q: %w; check the endpoint, and whether a proxy stands between", at.url.Host, resp.Header.Get("Content-Type"), err)
	return e
}

// plainCause drops the URL that net/http repeats; it may hold a signature.
func plainCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// request builds the HTTP request for a place.
func (c *Client) request(ctx context.Context, op *model.Operation, w *wire.Request, at *place) (*http.Request, error) {
	u := *at.url
	path := strings.TrimSuffix(u.EscapedPath(), "/") + w.Path
	if op.Service.Name == "s3" {
		var err error
		if path, err = at.addressBucket(&u, path); err != nil {
			return nil, err
		}
	}
	if w.HostPrefix != "" && !at.custom {
		u.Host = w.HostPrefix + u.Host
	}
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	u.Path, u.RawPath, u.RawQuery = plain, path, w.Query
	req, err := http.NewRequestWithContext(ctx, w.Method, u.String(), bytes.NewReader(w.Body))
	if err != nil {
		return nil, fmt.Errorf("build request: %w", err)
	}
	req.URL = &u
	if len(w.Body) == 0 {
		req.Body = http.NoBody
	}
	for k, v := range w.Header {
		req.Header[k] = v
	}
	req.ContentLength = int64(len(w.Body))
	if op.Output != nil && op.Output.Payload != "" {
		// What is stored compressed must arrive as it is stored.
		req.Header.Set("Accept-Encoding", "identity")
	}
	if op.Service.Name == "apigateway" {
		req.Header.Set("Accept", "application/json") // else it answers in HAL
	}
	req.Header.Set("User-Agent", strings.TrimSpace("bartizan aws-sdk-go-v2/"+aws.SDKVersion+" lang/go#"+strings.TrimPrefix(runtime.Version(), "go")+" api/"+op.Service.Name+" "+c.base.options.UserAgent))
	return req, nil
}

const unsigned = "UNSIGNED-PAYLOAD"

// sign signs the request with Signature Version 4.
func (c *Client) sign(ctx context.Context, op *model.Operation, req *http.Request, body []byte, at *place) error {
	if op.NoAuth || c.who.credentials == nil {
		return nil
	}
	switch op.Service.SignatureVersion {
	case "v4", "s3v4", "s3", "v2", "":
	default:
		return fmt.Errorf("the service wants its requests signed by %q, which is not supported", op.Service.SignatureVersion)
	}
	creds, err := c.who.credentials.Retrieve(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrNoCredentials, err)
	}
	hash := unsigned
	if !op.UnsignedBody {
		sum := sha256.Sum256(body)
		hash = hex.EncodeToString(sum[:])
	}
	s3 := op.Service.SigningName == "s3"
	if s3 || op.UnsignedBody {
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	err = c.base.signer.SignHTTP(ctx, creds, req, hash, at.signingName, at.signingRegion, c.base.options.Clock().UTC(), func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = s3
	})
	if err != nil {
		return fmt.Errorf("sign request: %w", err)
	}
	return nil
}

// ErrNoCredentials says that the credential chain found nothing to sign with.
var ErrNoCredentials = errors.New("find AWS credentials (set AWS_PROFILE, log in with aws sso login, or export AWS_ACCESS_KEY_ID)")

// retryable asks the SDK, and adds answers that never came.
func retryable(r aws.Retryer, err error) bool {
	if errors.Is(err, ErrNoCredentials) || IsNoEndpoint(err) {
		return false
	}
	var e *Error
	if errors.As(err, &e) && e.Status >= 200 && e.Status < 300 && e.cause != nil {
		return errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
	}
	return r.IsErrorRetryable(err) || errors.Is(err, io.EOF) || isReset(err)
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "read"
}

// HTTPStatusCode is the status of the answer. With it and the following methods,
// the SDK's rules for retrying can judge an [Error].
func (e *Error) HTTPStatusCode() int { return e.Status }

// ErrorCode is AWS's code of the error.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorMessage is AWS's message.
func (e *Error) ErrorMessage() string { return e.Message }

// ErrorFault says whose fault the error is, as far as its status tells.
func (e *Error) ErrorFault() smithy.ErrorFault {
	switch {
	case e.Status >= 500:
		return smithy.FaultServer
	case e.Status >= 400:
		return smithy.FaultClient
	}
	return smithy.FaultUnknown
}

var _ smithy.APIError = (*Error)(nil)
