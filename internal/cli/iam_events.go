package cli

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity/usage"
)

// trailCall is an event of CloudTrail with what a request of IAM consists of.
type trailCall struct {
	usage.Call
	ID, Time  string
	Principal string // as identity.ParseCaller reads it
	Role      string // ARN of the role behind a session
	Error     string
	Message   string
	Context   map[string][]string
	ByService string // that made the call for the principal
}

// newTrailCall reads an event. It reports false for what is no API call.
func newTrailCall(doc map[string]any) (*trailCall, bool) {
	source, name := stringAt(doc, "eventSource"), stringAt(doc, "eventName")
	if source == "" || name == "" {
		return nil, false
	}
	c := &trailCall{ID: stringAt(doc, "eventID"), Time: stringAt(doc, "eventTime"), Error: stringAt(doc, "errorCode"), Message: stringAt(doc, "errorMessage"), Context: map[string][]string{}}
	c.Call = usage.Call{Source: source, Name: name, Region: stringAt(doc, "awsRegion"), Account: stringAt(doc, "recipientAccountId"), Denied: isDenied(c.Error)}
	c.Parameters, _ = doc["requestParameters"].(map[string]any)
	list, _ := doc["resources"].([]any)
	for _, r := range list {
		m, _ := r.(map[string]any)
		for _, key := range []string{"ARN", "arn", "resourceARN"} {
			if s := stringAt(m, key); s != "" {
				c.Resources = append(c.Resources, s)
			}
		}
	}
	c.caller(doc)
	c.circumstances(doc)
	return c, true
}

func isDenied(code string) bool {
	for _, s := range []string{"AccessDenied", "UnauthorizedOperation", "UnauthorizedAccess", "AuthorizationError", "NotAuthorized", "Client.UnauthorizedOperation", "AuthFailure"} {
		if strings.Contains(code, s) {
			return true
		}
	}
	return false
}

// caller reads who made the call.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
func (c *trailCall) caller(doc map[string]any) {
	who, _ := doc["userIdentity"].(map[string]any)
	c.Principal = stringAt(who, "arn")
	c.ByService = stringAt(who, "invokedBy")
	issuer := stringAt(who, "sessionContext", "sessionIssuer", "arn")
	if strings.Contains(issuer, ":role/") {
		c.Role = issuer
	}
	if c.Account == "" {
		c.Account = stringAt(who, "accountId")
	}
	switch stringAt(who, "type") {
	case "AWSService":
		c.Principal, c.ByService = c.ByService, ""
	case "AWSAccount":
		if account := stringAt(who, "accountId"); account == "anonymous" || account == "ANONYMOUS_PRINCIPAL" {
			c.Principal = "*"
		} else if c.Principal == "" {
			c.Principal = account
		}
	case "WebIdentityUser", "SAMLUser":
		if p := stringAt(who, "identityProvider"); p != "" {
			c.Principal = p
		}
	}
}

// circumstances reads the condition keys that an event shows. What comes through
// a VPC endpoint has aws:VpcSourceIp instead of aws:SourceIp.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (c *trailCall) circumstances(doc map[string]any) {
	set := func(key, value string) {
		if value != "" {
			c.Context[key] = []string{value}
		}
	}
	set("aws:UserAgent", stringAt(doc, "userAgent"))
	set("aws:RequestedRegion", c.Region)
	set("aws:CurrentTime", c.Time)
	set("aws:SourceVpce", stringAt(doc, "vpcEndpointId"))
	address := stringAt(doc, "sourceIPAddress")
	if _, err := netip.ParseAddr(address); err == nil {
		if stringAt(doc, "vpcEndpointId") != "" {
			set("aws:VpcSourceIp", address)
		} else {
			set("aws:SourceIp", address)
		}
	} else if strings.HasSuffix(address, ".amazonaws.com") && c.ByService == "" {
		c.ByService = address
	}
	if c.ByService != "" {
		set("aws:ViaAWSService", "true")
		set("aws:CalledVia", c.ByService)
		set("aws:CalledViaFirst", c.ByService)
		set("aws:CalledViaLast", c.ByService)
	}
	if tls, ok := doc["tlsDetails"].(map[string]any); ok {
		set("aws:SecureTransport", "true")
		set("s3:TlsVersion", strings.TrimPrefix(stringAt(tls, "tlsVersion"), "TLSv"))
	}
	who, _ := doc["userIdentity"].(map[string]any)
	set("aws:MultiFactorAuthPresent", stringAt(who, "sessionContext", "attributes", "mfaAuthenticated"))
	set("aws:TokenIssueTime", stringAt(who, "sessionContext", "attributes", "creationDate"))
	set("aws:SourceIdentity", stringAt(who, "sessionContext", "sourceIdentity"))
	if strings.HasPrefix(c.Source, "sts.") {
		set("sts:ExternalId", stringAt(c.Parameters, "externalId"))
		set("sts:RoleSessionName", stringAt(c.Parameters, "roleSessionName"))
	}
	if strings.HasPrefix(c.Source, "s3.") && strings.HasPrefix(c.Name, "ListObject") {
		set("s3:prefix", stringAt(c.Parameters, "prefix"))
		set("s3:delimiter", stringAt(c.Parameters, "delimiter"))
	}
	for k, v := range c.Context {
		if len(v[0]) > maxContextValue {
			delete(c.Context, k)
		}
	}
}

// stringAt follows members to a text.
func stringAt(m map[string]any, path ...string) string {
	var v any = m
	for _, name := range path {
		o, _ := v.(map[string]any)
		v = o[name]
	}
	s, _ := v.(string)
	return s
}

// belongsTo reports whether a call was made by a principal: itself or a session
// of it.
func (c *trailCall) belongsTo(s subject) bool {
	return c.Principal == s.Caller || s.Principal != nil && slices.Contains([]string{c.Principal, c.Role}, s.ARN)
}
