package incident

import (
	"cmp"
	"hash/maphash"
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

// clone is a copy that holds on to no other text.
func (w *who) clone() *who {
	c := *w
	for _, s := range c.texts() {
		*s = strings.Clone(*s)
	}
	return &c
}

func (w *who) texts() [12]*string {
	return [12]*string{&w.typ, &w.arn, &w.account, &w.principal, &w.key, &w.issuer, &w.sourceIdentity,
		&w.invokedBy, &w.provider, &w.onBehalfOf, &w.name, &w.shared}
}

func (w *who) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(string(w.kind))
	for _, s := range w.texts() {
		_ = h.WriteByte(0)
		_, _ = h.WriteString(*s)
	}
	return h.Sum64()
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
