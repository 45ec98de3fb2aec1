package baseline

import (
	"net/netip"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Fields returns the fields that this package reads, for sigma.Options.Fields.
func Fields() []string {
	return []string{"readOnly", "requestParameters.secretId", "requestParameters.bucketName", "userIdentity.sessionContext.sourceIdentity"}
}

const maxText = 200

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// subject is whose habits an event belongs to, and its peers: the sessions of
// Identity Center users of one permission set, the users of one account. Sessions
// of other roles are the role's, as their names change from run to run.
func subject(e *event.Event) (key, group string, person bool) {
	switch e.Get("userIdentity.type") {
	case "AWSService", "AWSAccount":
		return "", "", false
	}
	actor := e.Actor()
	if role := e.Issuer(); role != "" && !strings.Contains(actor, ":federated-user/") {
		if strings.Contains(role, "/AWSReservedSSO_") {
			if i := strings.LastIndexByte(actor, '/'); i >= 0 {
				return clip(role + actor[i:]), clip(role), true
			}
		}
		if strings.Contains(role, ":role/aws-service-role/") {
			return "", "", false
		}
		return clip(role), "", false
	}
	if actor == "" {
		return "", "", false
	}
	return clip(actor), "users of " + clip(e.Account()), true
}

// call is an API with its service: iam:CreateUser.
func call(e *event.Event) string {
	return clip(strings.TrimSuffix(e.Source(), ".amazonaws.com") + ":" + e.Name())
}

// network is the /24 or /48 that a call came from; services count as one.
func network(ip string) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		if ip == "" {
			return ""
		}
		return "AWS services"
	}
	a = a.Unmap().WithZone("")
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

// agent is the family of a user agent, without versions: aws-cli, Boto3.
func agent(s string) string {
	s = strings.TrimLeft(s, "[( ")
	if i := strings.IndexFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || r == ']' }); i >= 0 {
		s = s[:i]
	}
	if strings.HasSuffix(s, ".amazonaws.com") {
		return "AWS services"
	}
	return clip(s)
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

// isDenied reports whether a call was refused for want of permission.
func isDenied(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation", "UnauthorizedException", "NotAuthorized", "AuthorizationError":
		return true
	}
	return false
}
