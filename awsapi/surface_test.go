package awsapi

import (
	"context"
	"encoding/json"
	"iter"
	"testing"
)

// TestSurface holds the interfaces that other rooms declare for a client.
func TestSurface(t *testing.T) {
	var c any = (*Client)(nil)
	if _, ok := c.(interface {
		Call(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error)
		CallJSON(ctx context.Context, service, operation string, input json.RawMessage) (json.RawMessage, error)
		Pages(ctx context.Context, service, operation string, input map[string]any) iter.Seq2[map[string]any, error]
		All(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error)
		Wait(ctx context.Context, service, waiter string, input map[string]any) error
		WithRegion(region string) *Client
		AssumeRole(ctx context.Context, roleARN, externalID, sessionName string) (*Client, error)
		Region() string
	}); !ok {
		t.Error("the client lacks a method that others rely on")
	}
}
