package incident

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

// LinkRuleName is the name of the rule that LinkRule returns.
const LinkRuleName = "bartizan_session_link"

// linkRule matches the calls that hand out credentials or make somebody who can
// have them. Services that assume roles for themselves are left out: the role
// itself is then who acts, and they are most of what a trail holds.
const linkRule = `title: Credentials handed out
name: ` + LinkRuleName + `
logsource: {product: aws, service: cloudtrail}
detection:
  session:
    eventSource: [sts.amazonaws.com, cognito-identity.amazonaws.com, rolesanywhere.amazonaws.com]
    eventName: [AssumeRole, AssumeRoleWithSAML, AssumeRoleWithWebIdentity, AssumeRoot, GetSessionToken, GetFederationToken, GetCredentialsForIdentity, CreateSession]
  switch:
    eventSource: signin.amazonaws.com
    eventName: SwitchRole
  made:
    eventSource: iam.amazonaws.com
    eventName: [CreateAccessKey, CreateUser, CreateLoginProfile, UpdateLoginProfile, CreateRole, UpdateAssumeRolePolicy]
  launched:
    eventSource: ec2.amazonaws.com
    eventName: RunInstances
  service:
    userIdentity.type: AWSService
  failed:
    errorCode|contains: '*'
  condition: (session or switch or made or launched) and not service and not failed
level: informational
`

// IsLinkRule reports whether a rule is LinkRule, whose matches need no finding. It
// is for detect.Options.Bare.
func IsLinkRule(r *sigma.Rule) bool { return r.Name == LinkRuleName }

// LinkRule returns the rule whose matches tell Correlator.Add who opened a
// session. Compiled with the others it costs no second look at the log.
func LinkRule() (*sigma.Rule, error) {
	rules, err := sigma.Parse("session link", []byte(linkRule))
	if err != nil {
		return nil, err
	}
	return rules[0], nil
}

// opened is a call that handed out credentials.
type opened struct {
	by  *who
	how string
	id  string
	at  int64 // Unix milliseconds
	to  string
}

// less orders calls that handed out the same thing: the one that names its
// caller first, then the earliest.
func (o *opened) less(p *opened) bool {
	named := func(x *opened) int {
		if x.by.arn != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(named(o), named(p)), cmp.Compare(o.at, p.at), cmp.Compare(o.id, p.id), cmp.Compare(o.by.label(), p.by.label())) < 0
}

// sessions is what is known of who opened what.
type sessions struct {
	max       int
	byKey     map[string]*opened   // access key id handed out → call
	bySession map[string][]*opened // AROA…:name or session ARN → calls
	made      []made
	forgotten int64
}

// made is a principal that somebody made or got credentials of.
type made struct {
	opened
	target string // ARN of the user or role, or i-…
}

func newSessions(most int) *sessions {
	return &sessions{max: most, byKey: map[string]*opened{}, bySession: map[string][]*opened{}}
}

// handed is what an event that hands out credentials says of them.
type handed struct {
	how, id    string
	at         int64 // Unix milliseconds
	path, name string
	kind       string   // of what was made: user or role; "" if nothing was
	instances  []string // that were launched
	from       string   // of SwitchRole: who switched
	session    string   // ARN of the session
	sessionID  string   // AROA…:name
	federated  string   // ARN of the federated user
	accessKeys []string // ids
}

// handedOut reads an event that LinkRule matched; nil where the call failed.
//
// The members are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
func handedOut(e *event.Event) *handed {
	if e.ErrorCode() != "" {
		return nil
	}
	h := &handed{how: clip(e.Name()), id: clip(e.Ref()), at: e.Time().UnixMilli()}
	switch h.how {
	case "CreateAccessKey", "CreateUser", "CreateLoginProfile", "UpdateLoginProfile":
		h.kind, h.name, h.path = "user", clip(e.Get("requestParameters.userName")), pathOf(e)
	case "CreateRole", "UpdateAssumeRolePolicy":
		h.kind, h.name, h.path = "role", clip(e.Get("requestParameters.roleName")), pathOf(e)
	case "RunInstances":
		for _, v := range e.Lookup("responseElements.instancesSet.items.instanceId") {
			if id := clip(v.String()); instanceName.MatchString(id) {
				h.instances = append(h.instances, id)
			}
		}
		return h
	case "SwitchRole":
		h.from = clip(cmp.Or(e.Get("additionalEventData.SwitchFrom"), e.Get("additionalEventData.switchFrom")))
		return h
	}
	h.session = clip(e.Get("responseElements.assumedRoleUser.arn"))
	if h.session != "" {
		h.sessionID = clip(e.Get("responseElements.assumedRoleUser.assumedRoleId"))
	} else {
		h.federated = clip(e.Get("responseElements.federatedUser.arn"))
	}
	for _, path := range []string{"responseElements.credentials.accessKeyId", "responseElements.accessKey.accessKeyId", "responseElements.credentialSet.credentials.accessKeyId"} {
		if key := clip(e.Get(path)); key != "" {
			h.accessKeys = append(h.accessKeys, key)
		}
	}
	return h
}

// add takes credentials that a caller handed out.
func (s *sessions) add(h *handed, by *who) {
	o := opened{by: by, how: h.how, id: h.id, at: h.at}
	if h.kind != "" && h.name != "" && by.account != "" {
		target := "arn:aws:iam::" + by.account + ":" + h.kind + h.path + h.name
		if h.kind == "user" {
			o.to = target
		}
		if target != by.arn && s.room() {
			s.made = append(s.made, made{o, target})
		}
	}
	for _, id := range h.instances {
		if s.room() {
			s.made = append(s.made, made{o, id})
		}
	}
	if h.how == "SwitchRole" {
		// The session of the console is the caller; who switched stands beside it.
		if h.from != "" && h.from != by.arn && by.isSession() {
			prior := &who{kind: event.CloudTrail, arn: h.from, account: by.account, name: h.from}
			prior.typ = typeOf(prior.arn)
			o.by, o.to = prior, by.arn
			s.session(by.principal, &o)
			s.session(by.arn, &o)
		}
		return
	}
	if h.session != "" {
		o.to = h.session
		s.session(o.to, &o)
		s.session(h.sessionID, &o)
	} else if h.federated != "" {
		o.to = h.federated
	}
	for _, key := range h.accessKeys {
		if old := s.byKey[key]; old == nil && s.room() || old != nil && o.less(old) {
			c := o
			s.byKey[key] = &c
		}
	}
}

func pathOf(e *event.Event) string {
	if p := clip(e.Get("requestParameters.path")); strings.HasPrefix(p, "/") && strings.HasSuffix(p, "/") {
		return p
	}
	return "/"
}

func (s *sessions) room() bool {
	if len(s.byKey)+len(s.bySession)+len(s.made) < s.max {
		return true
	}
	s.forgotten++
	return false
}

// session remembers a call under a session's name. A few callers are enough to
// know that the name is not one caller's.
func (s *sessions) session(name string, o *opened) {
	if name == "" {
		return
	}
	list, ok := s.bySession[name]
	if !ok && !s.room() {
		return
	}
	same := slices.IndexFunc(list, func(p *opened) bool { return p.by.label() == o.by.label() && p.by.key == o.by.key })
	switch {
	case same >= 0:
		if o.less(list[same]) {
			c := *o
			list[same] = &c
		}
	case len(list) < 8:
		c := *o
		s.bySession[name] = append(list, &c)
	}
}

func typeOf(a string) string {
	switch {
	case strings.Contains(a, ":assumed-role/"):
		return "AssumedRole"
	case strings.Contains(a, ":federated-user/"):
		return "FederatedUser"
	case strings.HasSuffix(a, ":root"):
		return "Root"
	case strings.Contains(a, ":user/"):
		return "IAMUser"
	}
	return ""
}

// origin is who began a session: the name that incidents are joined by and shown
// under, and the way back.
type origin struct {
	name    string
	account string
	links   []finding.SessionLink
	note    string // why the way back ends here, where it does not end at a person or program
	who     *who   // the last caller on the way
}

const maxChain = 10

// resolve follows a caller back to whoever began.
func (s *sessions) resolve(w *who) origin {
	o := origin{account: w.account}
	seen := map[string]bool{}
	for range maxChain {
		o.who, o.account = w, cmp.Or(w.account, o.account)
		id := w.label() + "\x00" + w.key
		if seen[id] {
			break
		}
		seen[id] = true
		switch {
		case w.typ == "FederatedUser" && w.issuer != "":
			o.links = append(o.links, finding.SessionLink{From: w.issuer, To: w.label(), How: "GetFederationToken", Proof: "session issuer in the event itself"})
			o.name = w.issuer
			return o
		case w.isSession():
			next, link, note := s.opener(w)
			if next == nil {
				return s.endOfSession(o, w, note)
			}
			o.links = append(o.links, link)
			w = next
			continue
		case w.onBehalfOf != "":
			o.name = "Identity Center user " + w.onBehalfOf
		case w.typ == "SAMLUser" || w.typ == "WebIdentityUser":
			o.name = strings.TrimSuffix(cmp.Or(w.provider, w.typ)+"/"+cmp.Or(w.name, w.principal), "/")
		case w.arn == "" && w.typ == "AWSAccount":
			// The caller's own account knows who it is.
			if key := s.sharedName(w); key != "" {
				o.name = key
			} else {
				o.name = cmp.Or(w.principal, w.account)
			}
			if o.name != "" && w.account != "" && !strings.Contains(o.name, w.account) {
				o.name += " of account " + w.account
			}
		default:
			o.name = w.label()
		}
		return o
	}
	o.name, o.note = w.label(), "the sessions lead back to themselves, or further than ten steps"
	return o
}

func (s *sessions) sharedName(w *who) string {
	for _, o := range s.bySession[w.principal] {
		if o.to != "" {
			return o.to
		}
	}
	return ""
}

// opener finds the call that opened a role session: by the access key that it
// handed out, which proves it, else by the session's name where one caller alone
// used that.
func (s *sessions) opener(w *who) (*who, finding.SessionLink, string) {
	to := w.label()
	link := func(o *opened, proof string) finding.SessionLink {
		return finding.SessionLink{From: o.by.label(), To: to, How: o.how, Proof: proof, EventID: o.id, Time: time.UnixMilli(o.at).UTC()}
	}
	if w.key != "" {
		if o := s.byKey[w.key]; o != nil && o.by.label() != "" {
			return o.by, link(o, "access key "+w.key), ""
		}
	}
	for _, name := range []string{w.principal, w.arn} {
		list := s.bySession[name]
		if name == "" || len(list) == 0 {
			continue
		}
		first := slices.MinFunc(list, func(a, b *opened) int {
			if a.less(b) {
				return -1
			}
			return 1
		})
		for _, o := range list {
			if o.by.label() != first.by.label() {
				return nil, finding.SessionLink{}, "several callers opened sessions of this name"
			}
		}
		return first.by, link(first, "session name"), ""
	}
	return nil, finding.SessionLink{}, ""
}

// endOfSession names who is behind a role session whose opening is not in the
// logs, by what the session itself says.
func (s *sessions) endOfSession(o origin, w *who, note string) origin {
	session := w.session()
	role := w.roleName()
	by := func(name, how, proof string) {
		o.name = name
		o.links = append(o.links, finding.SessionLink{From: name, To: w.label(), How: how, Proof: proof})
	}
	switch {
	case w.onBehalfOf != "":
		by("Identity Center user "+w.onBehalfOf, "IAM Identity Center", "onBehalfOf in the event itself")
	case strings.HasPrefix(role, "AWSReservedSSO_") && session != "":
		by("Identity Center user "+session, "IAM Identity Center", "role and session name")
	case w.sourceIdentity != "":
		by("source identity "+w.sourceIdentity, "the first session", "sourceIdentity in the event itself")
	case instanceName.MatchString(session):
		by("EC2 instance "+session, "instance profile", "session name")
	case w.provider != "":
		by(w.provider+"/"+session, "AssumeRoleWithWebIdentity", "federated provider in the event itself")
	case w.issuer != "":
		o.name = w.issuer
		o.note = cmp.Or(note, "who opened the session is not in the logs")
	default:
		o.name = w.label()
		o.note = cmp.Or(note, "who opened the session is not in the logs")
	}
	return o
}
