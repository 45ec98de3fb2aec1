package awsapi

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// AssumeRole returns a client that acts as the role and renews its credentials
// by itself; the first ones are fetched at once, so that a refusal shows here.
// externalID may be "".
func (c *Client) AssumeRole(ctx context.Context, roleARN, externalID, sessionName string) (*Client, error) {
	caller := c
	if c.region == "" {
		caller = c.WithRegion("us-east-1")
	}
	provider := stscreds.NewAssumeRoleProvider(roleTaker{caller}, roleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		if externalID != "" {
			o.ExternalID = aws.String(externalID)
		}
	})
	cache := aws.NewCredentialsCache(provider)
	if _, err := cache.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("assume role %s: %w", roleARN, err)
	}
	return &Client{region: c.region, who: newIdentity(cache), base: c.base}, nil
}

// roleTaker lets the SDK's provider call STS through a [Client], and so through
// its endpoint and its retries.
type roleTaker struct{ client *Client }

var _ stscreds.AssumeRoleAPIClient = roleTaker{}

func (r roleTaker) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	input := map[string]any{"RoleArn": aws.ToString(in.RoleArn), "RoleSessionName": aws.ToString(in.RoleSessionName)}
	if in.ExternalId != nil {
		input["ExternalId"] = *in.ExternalId
	}
	if in.DurationSeconds != nil {
		input["DurationSeconds"] = int64(*in.DurationSeconds)
	}
	out, err := r.client.Call(ctx, "sts", "AssumeRole", input)
	if err != nil {
		return nil, err
	}
	creds, _ := out["Credentials"].(map[string]any)
	text := func(name string) *string {
		s, _ := creds[name].(string)
		return &s
	}
	expiration, err := ParseTime(*text("Expiration"))
	if err != nil || strings.TrimSpace(*text("AccessKeyId")) == "" {
		return nil, fmt.Errorf("STS answered without credentials")
	}
	return &sts.AssumeRoleOutput{Credentials: &types.Credentials{
		AccessKeyId: text("AccessKeyId"), SecretAccessKey: text("SecretAccessKey"), SessionToken: text("SessionToken"), Expiration: &expiration,
	}}, nil
}
