package incident

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// sighting is what a Correlator keeps of an event that rules match.
type sighting struct {
	who         who
	source, err string
	change      *change // where somebody judges changes
	handed      *handed // of LinkRule
	known       *who    // the Correlator's own copy of who, once it has one
}

// The fields that callers are told by, beside those of every schema.
const (
	fieldSourceIdentity = "userIdentity.sessionContext.sourceIdentity"
	fieldFederated      = "userIdentity.sessionContext.webIdFederationData.federatedProvider"
	fieldProvider       = "userIdentity.identityProvider"
	fieldOnBehalfOf     = "userIdentity.onBehalfOf.userId"
)

// Fields returns the fields that Keep reads of every event: give them to
// sigma.Compile as Options.Fields, and they are read quickly.
func Fields() []string {
	return append(callerFields(), "responseElements.assumedRoleUser.arn", "responseElements.assumedRoleUser.assumedRoleId",
		"responseElements.federatedUser.arn", "responseElements.credentials.accessKeyId", "responseElements.accessKey.accessKeyId",
		"responseElements.credentialSet.credentials.accessKeyId")
}

func callerFields() []string {
	return []string{fieldSourceIdentity, fieldFederated, fieldProvider, fieldOnBehalfOf}
}

// Keep keeps of events what the Correlator needs. It is for detect.Options.Keep.
func (c *Correlator) Keep() func(*event.Event, []*sigma.Rule, *sigma.Context) any {
	k := &keeper{changes: c.opt.Judge != nil}
	return func(e *event.Event, matched []*sigma.Rule, in *sigma.Context) any { return k.keep(e, matched, in) }
}

type keeper struct {
	arena   event.Arena
	changes bool
	schema  *event.Schema
	slots   [4]event.Slot // of callerFields; −1 where the schema lacks one
}

func (k *keeper) keep(e *event.Event, matched []*sigma.Rule, in *sigma.Context) *sighting {
	linked := slices.ContainsFunc(matched, func(r *sigma.Rule) bool { return r.Name == LinkRuleName })
	whole := in != nil && !linked && !k.changes // the context knows all of it
	if whole {
		if s, ok := in.Held(k).(*sighting); ok {
			return s
		}
	}
	s := k.sighting(e)
	if k.changes {
		s.change = changeOf(e)
	}
	if linked {
		s.handed = handedOut(e)
	}
	// But for the account that the record names where the identity does not.
	if whole && len(e.Text(event.SlotIdentityAccount)) > 0 && len(e.Text(event.SlotIdentityARN)) > 0 && !e.Cut() {
		s.who = *s.who.clone()
		s.source, s.err = strings.Clone(s.source), strings.Clone(s.err)
		in.Hold(k, s)
	}
	return s
}

// sighting is who called, from where, and how it was answered.
func (k *keeper) sighting(e *event.Event) *sighting {
	s := &sighting{who: k.caller(e)}
	if e.Kind == event.CloudTrail {
		s.source, s.err = k.text(e, event.SlotIP), k.text(e, event.SlotError)
	} else {
		s.source, s.err = clip(e.SourceIP()), clip(e.ErrorCode())
	}
	return s
}

func (k *keeper) text(e *event.Event, s event.Slot) string {
	return k.arena.Clip(e.Text(s), maxText)
}

// more reads one of callerFields.
func (k *keeper) more(e *event.Event, i int) string {
	if k.schema != e.Schema() {
		k.schema = e.Schema()
		for i, path := range callerFields() {
			k.slots[i] = -1
			if s, ok := k.schema.Slot(path); ok {
				k.slots[i] = s
			}
		}
	}
	if k.slots[i] < 0 {
		return clip(e.Get(callerFields()[i]))
	}
	return k.text(e, k.slots[i])
}

// caller reads the caller of an event.
//
// See https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
func (k *keeper) caller(e *event.Event) who {
	if e.Kind != event.CloudTrail {
		w := who{kind: e.Kind, account: clip(e.Account()), name: clip(e.Actor())}
		if e.Kind == event.GuardDuty {
			w.key = clip(cmp.Or(e.Get("resource.accessKeyDetails.accessKeyId"), e.Get("Resource.AccessKeyDetails.AccessKeyId")))
			w.principal = clip(cmp.Or(e.Get("resource.accessKeyDetails.principalId"), e.Get("Resource.AccessKeyDetails.PrincipalId")))
			w.typ = clip(cmp.Or(e.Get("resource.accessKeyDetails.userType"), e.Get("Resource.AccessKeyDetails.UserType")))
			if w.typ == "IAMUser" && w.account != "" && w.name != "" {
				w.arn = "arn:aws:iam::" + w.account + ":user/" + w.name
			}
		}
		return w
	}
	w := who{
		kind: e.Kind,
		typ:  k.text(e, event.SlotIdentityType), arn: k.text(e, event.SlotIdentityARN),
		principal: k.text(e, event.SlotIdentityPrincipal), key: k.text(e, event.SlotIdentityKey),
		issuer: k.text(e, event.SlotIssuerARN), invokedBy: k.text(e, event.SlotIdentityInvokedBy),
	}
	if w.account = k.text(e, event.SlotIdentityAccount); w.account == "" {
		w.account = clip(e.Account())
	}
	if w.name = w.arn; w.arn == "" {
		w.name = clip(e.Actor())
	}
	if w.typ == "AssumedRole" || w.typ == "FederatedUser" || w.typ == "" {
		w.sourceIdentity, w.provider = k.more(e, 0), k.more(e, 1)
	}
	if w.provider == "" {
		w.provider = k.more(e, 2)
	}
	w.onBehalfOf = k.more(e, 3)
	if w.arn == "" {
		w.shared = clip(e.Get("sharedEventID"))
		if user := k.text(e, event.SlotIdentityUser); w.typ == "IAMUser" && user != "" && w.account != "" {
			w.arn = "arn:aws:iam::" + w.account + ":user/" + user // sign-in events may lack the ARN
		}
	}
	return w
}
