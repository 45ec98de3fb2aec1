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

// LinkRule returns the rule whose matched events are to be given to
// Correlator.Link. Compiled with the others it costs no second look at the log.
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

// add reads one event that hands out credentials.
//
// The members are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/cloudtrail-integration.html
func (s *sessions) add(e *event.Event, by *who) {
	o := opened{by: by, how: clip(e.Name()), id: clip(e.Ref()), at: e.Time().UnixMilli()}
	if e.ErrorCode() != "" {
		return
	}
	account := by.account
	target := ""
	switch e.Name() {
	case "CreateAccessKey", "CreateUser", "CreateLoginProfile", "UpdateLoginProfile":
		if name := e.Get("requestParameters.userName"); name != "" && account != "" {
			target = "arn:aws:iam::" + account + ":user" + pathOf(e) + clip(name)
		}
		o.to = target
	case "CreateRole", "UpdateAssumeRolePolicy":
		if name := e.Get("requestParameters.roleName"); name != "" && account != "" {
			target = "arn:aws:iam::" + account + ":role" + pathOf(e) + clip(name)
		}
	case "RunInstances":
		for _, v := range e.Lookup("responseElements.instancesSet.items.instanceId") {
			if id := clip(v.String()); instanceName.MatchString(id) && s.room() {
				s.made = append(s.made, made{o, id})
			}
		}
		return
	}
	if target != "" && target != by.arn && s.room() {
		s.made = append(s.made, made{o, target})
	}
	if e.Name() == "SwitchRole" {
		// The session of the console is the caller; who switched stands beside it.
		from := e.Get("additionalEventData.SwitchFrom")
		if from == "" {
			from = e.Get("additionalEventData.switchFrom")
		}
		if from != "" && from != by.arn && by.isSession() {
			prior := &who{kind: event.CloudTrail, arn: clip(from), account: by.account, name: clip(from)}
			prior.typ = typeOf(prior.arn)
			o.by, o.to = prior, by.arn
			s.session(by.principal, &o)
			s.session(by.arn, &o)
		}
		return
	}
	if v := e.Get("responseElements.assumedRoleUser.arn"); v != "" {
		o.to = clip(v)
		s.session(o.to, &o)
		s.session(clip(e.Get("responseElements.assumedRoleUser.assumedRoleId")), &o)
	} else if v := e.Get("responseElements.federatedUser.arn"); v != "" {
		o.to = clip(v)
	}
	for _, path := range []string{"responseElements.credentials.accessKeyId", "responseElements.accessKey.accessKeyId", "responseElements.credentialSet.credentials.accessKeyId"} {
		key := clip(e.Get(path))
		if key == "" {
			continue
		}
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
