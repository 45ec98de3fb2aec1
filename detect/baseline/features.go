package baseline

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Fields returns the fields that this package reads, for sigma.Options.Fields.
func Fields() []string {
	return []string{"readOnly", "userIdentity.sessionContext.sourceIdentity",
		"requestParameters.secretId", "requestParameters.secretIdList", "requestParameters.bucketName",
		"requestParameters.name", "requestParameters.names", "requestParameters.path", "requestParameters.withDecryption"}
}

const maxText = 200

// clip is s in at most about maxText bytes of valid UTF-8, which a state file gives
// back as they were. What is cut off still tells two texts apart.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxText {
		return s
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("…%08x", h.Sum32())
}

// subject is whose habits an event belongs to, and its peers: the sessions of
// Identity Center users of one permission set, the users of one account. Sessions
// of other roles are the role's, as their names change from run to run, and those
// of GetFederationToken are the user's who asked for them. Calls that services
// make for themselves are nobody's.
func subject(e *event.Event) (key, group string, person bool) {
	typ := e.Get("userIdentity.type")
	if typ == "AWSService" || typ == "AWSAccount" {
		return "", "", false
	}
	actor := e.Actor()
	if issuer := e.Issuer(); strings.Contains(issuer, ":role/") {
		if strings.Contains(issuer, ":role/aws-reserved/sso.amazonaws.com/") {
			if i := strings.LastIndexByte(actor, '/'); i >= 0 {
				return clip(issuer + actor[i:]), clip(issuer), true
			}
		}
		if strings.Contains(issuer, ":role/aws-service-role/") {
			return "", "", false
		}
		return clip(issuer), "", false
	} else if issuer != "" {
		actor = issuer
	}
	switch {
	case actor == "", actor == "HIDDEN_DUE_TO_SECURITY_REASONS": // a sign-in with a name that is none
		return "", "", false
	case !strings.HasPrefix(actor, "arn:") && (typ == "" || e.Get("userIdentity.invokedBy") != ""):
		return "", "", false
	}
	if account := cmp.Or(e.Get("userIdentity.accountId"), e.Account()); account != "" {
		group = "users of " + clip(account)
	}
	return clip(actor), group, typ != "WebIdentityUser"
}

// call is an API with its service: iam:CreateUser.
func call(e *event.Event) string {
	return clip(strings.TrimSuffix(e.Source(), ".amazonaws.com") + ":" + e.Name())
}

const awsServices = "AWS services"

// network is the /24 or /48 that a call came from; services count as one.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		if ip == "" {
			return ""
		}
		return awsServices
	}
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

// agent is the family of a user agent, without versions: aws-cli, Boto3. The name
// of a service counts as one only where the call came from a service, because a
// client may call itself anything.
func agent(s, from string) string {
	s = strings.TrimLeft(s, "[( ")
	if i := strings.IndexFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || r == ']' }); i >= 0 {
		s = s[:i]
	}
	if from == awsServices && strings.HasSuffix(s, ".amazonaws.com") {
		return awsServices
	}
	return clip(s)
}

// region is where a call worked. Services without regions write us-east-1 or the
// caller's place into their records, which says nothing.
//
// See https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events
func region(e *event.Event) string {
	switch strings.TrimSuffix(e.Source(), ".amazonaws.com") {
	case "iam", "sts", "signin", "organizations", "cloudfront", "route53", "route53domains", "globalaccelerator", "networkmanager",
		"account", "billing", "budgets", "ce", "cur", "shield", "support", "trustedadvisor", "health", "artifact", "importexport", "sso-directory":
		return ""
	}
	if e.Name() == "ListBuckets" || e.Name() == "ListAllMyBuckets" {
		return ""
	}
	return clip(e.Region())
}

// reads reports whether a call only reads.
func reads(e *event.Event) bool {
	if v := e.Get("readOnly"); v != "" {
		return v == "true"
	}
	for _, p := range []string{"Get", "List", "Describe", "Head", "Lookup", "Search"} {
		if strings.HasPrefix(e.Name(), p) {
			return true
		}
	}
	return false
}

// secrets are the secrets that a call asked for: of Secrets Manager, and of the
// parameters of Systems Manager those that were asked for decrypted.
func secrets(e *event.Event, each func(string)) {
	list := func(path string, name func(string) string) {
		for _, v := range e.Lookup(path) {
			if v.Kind == event.String {
				each(clip(name(v.String())))
			}
		}
	}
	switch e.Name() {
	case "GetSecretValue":
		list("requestParameters.secretId", secretName)
	case "BatchGetSecretValue":
		list("requestParameters.secretIdList", secretName)
	case "GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory":
		if e.Get("requestParameters.withDecryption") != "true" {
			return
		}
		for _, path := range []string{"requestParameters.name", "requestParameters.names", "requestParameters.path"} {
			list(path, func(s string) string { return "parameter " + s })
		}
	}
}

// secretName is a secret's name, however it was asked for: an ARN ends in a dash
// and six characters that Secrets Manager chose.
func secretName(id string) string {
	_, name, ok := strings.Cut(id, ":secret:")
	if !ok {
		return id
	}
	if n := len(name) - 7; n > 0 && name[n] == '-' {
		return name[:n]
	}
	return name
}

// isDenied reports whether a call was refused for want of permission.
func isDenied(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation", "UnauthorizedException",
		"NotAuthorized", "NotAuthorizedException", "AuthorizationError", "AuthorizationErrorException", "Forbidden", "ForbiddenException":
		return true
	}
	return false
}
