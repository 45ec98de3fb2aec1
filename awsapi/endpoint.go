package awsapi

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// place is where a request goes and for whom it is signed.
type place struct {
	url           *url.URL
	signingName   string
	signingRegion string
	custom        bool // the user named the endpoint
}

// endpoint finds the place of an operation in a region: the user's endpoint if
// there is one, else AWS's own as its endpoint rules say.
func (c *Client) endpoint(ctx context.Context, op *model.Operation, region string, input map[string]any) (*place, error) {
	custom, err := c.customEndpoint(ctx, op.Service.ID)
	if err != nil {
		return nil, err
	}
	rule, err := c.rule(op, region)
	if err != nil && custom == "" {
		return nil, err
	}
	at := &place{signingName: op.Service.SigningName, signingRegion: region, custom: custom != ""}
	if rule.SigningName != "" {
		at.signingName = rule.SigningName
	}
	if rule.SigningRegion != "" {
		at.signingRegion = rule.SigningRegion
	}
	raw := custom
	if raw == "" {
		raw = rule.URL
		if strings.Contains(raw, "{AccountId}") {
			account := contextParam(op, input, "AccountId")
			if !isAccount(account) {
				return nil, fmt.Errorf("AccountId must be an account's 12 digits, as it is part of the endpoint")
			}
			raw = strings.ReplaceAll(raw, "{AccountId}", account)
		}
	}
	if at.signingRegion == "" {
		at.signingRegion = "us-east-1"
	}
	at.url, err = url.Parse(raw)
	if err != nil || at.url.Host == "" || at.url.Scheme != "http" && at.url.Scheme != "https" {
		return nil, fmt.Errorf("endpoint %q is no URL such as https://host:port", raw)
	}
	return at, nil
}

// rule is AWS's own endpoint.
func (c *Client) rule(op *model.Operation, region string) (model.Endpoint, error) {
	if op.Endpoint >= len(op.Service.Endpoints) {
		return model.Endpoint{}, &NoEndpointError{Service: op.Service.Name, Region: region}
	}
	named := region
	if named == "" {
		named = "us-east-1"
	}
	partition, err := PartitionOf(named)
	if err != nil {
		return model.Endpoint{}, err
	}
	fips := c.base.options.FIPS || c.flag("AWS_USE_FIPS_ENDPOINT")
	dual := c.base.options.DualStack || c.flag("AWS_USE_DUALSTACK_ENDPOINT")
	rule, ok := op.Service.Endpoints[op.Endpoint].Lookup(partition.ID, named, fips, dual)
	switch {
	case !ok:
		return rule, &NoEndpointError{Service: op.Service.Name, Region: region}
	case rule.Error != "":
		return rule, &NoEndpointError{Service: op.Service.Name, Region: region, Reason: rule.Error}
	case region == "" && rule.SigningRegion == "":
		return rule, &NoEndpointError{Service: op.Service.Name, Reason: "no region is configured; set AWS_REGION, --region, or region in the profile"}
	}
	return rule, nil
}

// flag reads a boolean setting as the SDK does.
func (c *Client) flag(name string) bool { return strings.EqualFold(os.Getenv(name), "true") }

// customEndpoint is the endpoint the user set, in the order of the SDKs: the
// option, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's for the
// service, the profile's.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func (c *Client) customEndpoint(ctx context.Context, serviceID string) (string, error) {
	if c.base.options.Endpoint != "" {
		return c.base.options.Endpoint, nil
	}
	for _, source := range c.base.config.ConfigSources {
		if s, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
		}); ok {
			if ignore, set, err := s.GetIgnoreConfiguredEndpoints(ctx); err == nil && set && ignore {
				return "", nil
			}
		}
	}
	service := strings.ToUpper(strings.NewReplacer(" ", "_", "-", "_").Replace(serviceID))
	if os.Getenv("AWS_ENDPOINT_URL_"+service) == "" && os.Getenv("AWS_ENDPOINT_URL") != "" {
		return os.Getenv("AWS_ENDPOINT_URL"), nil
	}
	for _, source := range c.base.config.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		}); ok {
			if v, set, err := s.GetServiceBaseEndpoint(ctx, serviceID); err != nil {
				return "", fmt.Errorf("read endpoint of %s: %w", serviceID, err)
			} else if set {
				return v, nil
			}
		}
	}
	return aws.ToString(c.base.config.BaseEndpoint), nil
}

// contextParam is the value of the input member that feeds an endpoint parameter.
func contextParam(op *model.Operation, input map[string]any, name string) string {
	if op.Input != nil {
		for _, m := range op.Input.Members {
			if m.ContextParam == name {
				v, _ := input[m.Name].(string)
				return v
			}
		}
	}
	return ""
}

func isAccount(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(s) == 12
}
