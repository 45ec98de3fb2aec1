package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"
)

// Sleep waits for a duration or until the context ends, whichever comes first.
type Sleep func(ctx context.Context, d time.Duration) error

// Client calls AWS. It is safe for concurrent use; [Client.WithRegion] and
// [Client.AssumeRole] derive further clients that share its connections.
type Client struct {
	region string
}

var errNotYet = errors.New("call AWS: the client is being written")

// New makes a client from the options and the environment. No request is sent.
func New(ctx context.Context, options Options) (*Client, error) { return nil, errNotYet }

// Region returns the region the client calls.
func (c *Client) Region() string { return c.region }

// WithRegion returns a client for another region.
func (c *Client) WithRegion(region string) *Client { return &Client{region: region} }

// AssumeRole returns a client that acts as the role; the first credentials are
// fetched at once, so that a refusal shows here. externalID may be "".
func (c *Client) AssumeRole(ctx context.Context, roleARN, externalID, sessionName string) (*Client, error) {
	return nil, errNotYet
}

// Call calls one operation and returns its output.
func (c *Client) Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	return nil, errNotYet
}

// CallJSON is [Client.Call] with JSON in and out.
func (c *Client) CallJSON(ctx context.Context, service, operation string, input json.RawMessage) (json.RawMessage, error) {
	return nil, errNotYet
}

// Pages calls an operation until its paginator says that there is no more, and
// yields each page. An operation without paginator yields its one answer.
func (c *Client) Pages(ctx context.Context, service, operation string, input map[string]any) iter.Seq2[map[string]any, error] {
	return func(yield func(map[string]any, error) bool) { yield(nil, errNotYet) }
}

// All is the pages of an operation joined into one output, as the AWS CLI joins them.
func (c *Client) All(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	return nil, errNotYet
}

// Wait calls a waiter's operation until the waiter succeeds, fails or gives up.
func (c *Client) Wait(ctx context.Context, service, waiter string, input map[string]any) error {
	return errNotYet
}
