package incident

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/detect/event"
)

// who is the caller of an event, as far as it tells one caller from another.
type who struct {
	kind           event.Kind
	typ            string // userIdentity.type
	arn, account   string
	principal      string // AIDA…, AROA…:session
	key            string
	issuer         string // the role or user behind a session
	sourceIdentity string
	invokedBy      string
	provider       string // of a web identity
	onBehalfOf     string // of Identity Center
	name           string // what the event calls its actor
	shared         string // sharedEventID, where the caller is only known by account
}

// maxText bounds what is kept of one value.
const maxText = 256

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// whoOf reads the caller of an event.
//
// See https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
func whoOf(e *event.Event) who {
	w := who{kind: e.Kind, account: clip(e.Account()), name: clip(e.Actor())}
	if e.Kind != event.CloudTrail {
		if e.Kind == event.GuardDuty {
			w.key = clip(cmp.Or(e.Get("resource.accessKeyDetails.accessKeyId"), e.Get("Resource.AccessKeyDetails.AccessKeyId")))
			w.principal = clip(cmp.Or(e.Get("resource.accessKeyDetails.principalId"), e.Get("Resource.AccessKeyDetails.PrincipalId")))
			w.typ = cmp.Or(e.Get("resource.accessKeyDetails.userType"), e.Get("Resource.AccessKeyDetails.UserType"))
			if w.typ == "IAMUser" && w.account != "" && w.name != "" {
				w.arn = "arn:aws:iam::" + w.account + ":user/" + w.name
			}
		}
		return w
	}
	w.typ = clip(e.Get("userIdentity.type"))
	w.arn = clip(e.Get("userIdentity.arn"))
	w.account = clip(cmp.Or(e.Get("userIdentity.accountId"), w.account))
	w.principal = clip(e.Get("userIdentity.principalId"))
	w.key = clip(e.AccessKey())
	w.issuer = clip(e.Issuer())
	w.invokedBy = clip(e.Get("userIdentity.invokedBy"))
	if w.typ == "AssumedRole" || w.typ == "FederatedUser" || w.typ == "" {
		w.sourceIdentity = clip(e.Get("userIdentity.sessionContext.sourceIdentity"))
		w.provider = clip(e.Get("userIdentity.sessionContext.webIdFederationData.federatedProvider"))
	}
	if w.provider == "" {
		w.provider = clip(e.Get("userIdentity.identityProvider"))
	}
	w.onBehalfOf = clip(e.Get("userIdentity.onBehalfOf.userId"))
	if w.arn == "" {
		w.shared = clip(e.Get("sharedEventID"))
		if user := e.Get("userIdentity.userName"); w.typ == "IAMUser" && user != "" && w.account != "" {
			w.arn = "arn:aws:iam::" + w.account + ":user/" + clip(user) // sign-in events may lack the ARN
		}
	}
	return w
}

var instanceName = regexp.MustCompile(`^i-[0-9a-f]{8,17}$`)

// session is the name of a role session.
func (w *who) session() string {
	if _, name, ok := strings.Cut(w.principal, ":"); ok {
		return name
	}
	if a, err := arn.Parse(w.arn); err == nil && a.Service == "sts" {
		if i := strings.LastIndexByte(a.Resource, '/'); i >= 0 {
			return a.Resource[i+1:]
		}
	}
	return ""
}

// roleName is the name of the role behind a session.
func (w *who) roleName() string {
	if i := strings.LastIndexByte(w.issuer, '/'); i >= 0 {
		return w.issuer[i+1:]
	}
	a, err := arn.Parse(w.arn)
	if err != nil {
		return ""
	}
	parts := strings.Split(a.Resource, "/")
	if len(parts) >= 3 && parts[0] == "assumed-role" {
		return parts[1]
	}
	return ""
}

// label is what a reader knows the caller by.
func (w *who) label() string {
	return cmp.Or(w.arn, w.name, w.principal, w.invokedBy, w.account, string(w.kind))
}

// isService reports whether an AWS service acts for itself.
func (w *who) isService() bool { return w.typ == "AWSService" }

func (w *who) isSession() bool {
	return w.typ == "AssumedRole" || strings.Contains(w.arn, ":assumed-role/")
}
