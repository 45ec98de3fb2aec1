package identity

import (
	"slices"
	"strconv"
	"strings"
)

// Outcome is what a decision says.
type Outcome string

// The outcomes. Unknown means that a value which is not known decides.
const (
	Allowed      Outcome = "allowed"
	ExplicitDeny Outcome = "explicitDeny"
	ImplicitDeny Outcome = "implicitDeny"
	Unknown      Outcome = "unknown"
)

// What can decide a request beside the layers of policies.
const (
	RootUser           Layer = "rootUser"           // full access to the own account
	KeyGrant           Layer = "grant"              // a KMS grant
	AccessControlList  Layer = "accessControlList"  // of S3
	PublicAccessBlock  Layer = "publicAccessBlock"  // of S3
	NoPermissionNeeded Layer = "noPermissionNeeded" // sts:GetCallerIdentity
)

// Verdict is what one layer says: an Outcome, or "" if it does not take part.
type Verdict = Outcome

var layerOrder = [...]Layer{ResourceControlPolicy, ServiceControlPolicy, EndpointPolicy, ResourcePolicy, IdentityPolicy, PermissionsBoundary, SessionPolicy}

func layerIndex(l Layer) int { return slices.Index(layerOrder[:], l) }

func verdictOf(s said) Verdict {
	switch {
	case s.deny == yes:
		return ExplicitDeny
	case s.deny == maybe || s.allow == maybe:
		return Unknown
	case s.allow == yes:
		return Allowed
	}
	return ImplicitDeny
}

// StatementRef is a statement that took part in a decision.
type StatementRef struct {
	Layer     Layer
	Document  *Document
	Statement *Statement
}

// Policy returns the name of the statement's policy.
func (r StatementRef) Policy() string { return r.Document.Name }

// Decision is the answer to a request, with its proof.
type Decision struct {
	Outcome   Outcome
	DecidedBy Layer
	// Statements are those that decided: the denies that match; for an allowed
	// request the allows; for an unknown one those that may match.
	Statements []StatementRef
	// MissingContext names the keys whose values decide an unknown request, sorted.
	MissingContext []string

	layers [len(layerOrder)]Verdict
	reason string
}

// LayerVerdict is what one layer says.
type LayerVerdict struct {
	Layer   Layer
	Verdict Verdict
}

// Layers returns what each layer that took part says, in AWS's order.
func (d *Decision) Layers() []LayerVerdict {
	var list []LayerVerdict
	for i, v := range d.layers {
		if v != "" {
			list = append(list, LayerVerdict{layerOrder[i], v})
		}
	}
	return list
}

// outcomeParts is what decide found, for the explanation.
type outcomeParts struct {
	gate, allow                      tri
	refused                          Layer
	granted                          granted
	identity, boundary, session, own tri
	same                             bool
}

func (e *evaluation) explain(d *Decision, p outcomeParts) {
	switch d.Outcome {
	case ExplicitDeny:
		e.collect(d, func(h *hit) bool { return h.stmt.deny && h.sure == yes })
		d.DecidedBy = d.first()
	case Allowed:
		// A resource policy that only names the account decides where both sides must allow.
		resource := !p.same || p.granted.direct == yes || p.granted.role == yes || e.needsResourcePolicy()
		e.collect(d, func(h *hit) bool {
			return !h.stmt.deny && h.sure == yes && (h.layer == ResourcePolicy && resource || h.layer == IdentityPolicy)
		})
		d.DecidedBy = e.allowedBy(d, p)
	case ImplicitDeny:
		d.DecidedBy = e.notAllowedBy(p)
	default:
		// A resource policy may let the account in for certain, which only delegates,
		// and name the caller in a statement that is not decided.
		open := p.same && (p.granted.direct == maybe || p.granted.role == maybe)
		e.collect(d, func(h *hit) bool {
			if h.sure != maybe {
				return false
			}
			undecided := d.layers[layerIndex(h.layer)] == Unknown || h.layer == ResourcePolicy && open
			return h.stmt.deny || undecided && p.gate.and(p.allow) == maybe
		})
		d.DecidedBy = d.first()
		d.MissingContext = e.missing(d.Statements)
	}
}

// collect copies the statements that decided, in AWS's order of layers.
func (e *evaluation) collect(d *Decision, wanted func(*hit) bool) {
	n := 0
	e.each(func(h *hit) {
		if wanted(h) {
			n++
		}
	})
	if n == 0 {
		return
	}
	d.Statements = make([]StatementRef, 0, n)
	e.each(func(h *hit) {
		if wanted(h) {
			d.Statements = append(d.Statements, StatementRef{h.layer, h.stmt.doc, h.stmt.source})
		}
	})
}

// first returns the first layer among the deciding statements.
func (d *Decision) first() Layer {
	if len(d.Statements) == 0 {
		return ""
	}
	return d.Statements[0].Layer
}

func (e *evaluation) allowedBy(d *Decision, p outcomeParts) Layer {
	has := func(l Layer) bool {
		return slices.ContainsFunc(d.Statements, func(r StatementRef) bool { return r.Layer == l })
	}
	switch {
	case has(ResourcePolicy) && (p.granted.direct == yes || p.granted.role == yes || !p.same):
		return ResourcePolicy
	case has(IdentityPolicy) && p.same:
		return IdentityPolicy
	case e.caller.Kind == RootCaller && p.same:
		return RootUser
	case e.service == "kms" && len(e.stack.Grants) > 0:
		return KeyGrant
	case e.stack.S3 != nil && e.service == "s3":
		return AccessControlList
	case has(ResourcePolicy):
		return ResourcePolicy
	}
	return IdentityPolicy
}

func (e *evaluation) notAllowedBy(p outcomeParts) Layer {
	own := IdentityPolicy
	switch {
	case p.identity == no:
	case p.boundary == no:
		own = PermissionsBoundary
	case p.session == no:
		own = SessionPolicy
	}
	limit := PermissionsBoundary
	if p.boundary != no {
		limit = SessionPolicy
	}
	switch {
	case p.gate == no:
		return p.refused
	case !e.caller.inAccount():
		return ResourcePolicy
	case p.same && p.granted.role == yes && p.own == no:
		return limit
	case p.same && !e.needsResourcePolicy():
		return own
	case p.granted.any() == no:
		return ResourcePolicy
	}
	return own
}

// missing lists the keys that leave the statements undecided.
func (e *evaluation) missing(refs []StatementRef) []string {
	var keys []string
	add := func(k *contextKey) {
		if _, state := e.lookup(k); state == keyUnknown {
			keys = append(keys, e.spelling(k.name))
		}
	}
	fromTemplate := func(t *template) {
		for i := range t.parts {
			if t.parts[i].key != nil {
				add(t.parts[i].key)
			}
		}
	}
	decided := make(map[StatementRef]bool, len(refs))
	for _, r := range refs {
		decided[r] = true
	}
	e.each(func(h *hit) {
		if !decided[StatementRef{h.layer, h.stmt.doc, h.stmt.source}] {
			return
		}
		s := h.stmt
		if s.hasResource && s.resource(e) == maybe {
			for i := range s.resources {
				fromTemplate(&s.resources[i].template)
			}
		}
		for i := range s.conditions {
			c := &s.conditions[i]
			if c.holds(e) != maybe {
				continue
			}
			add(&c.key)
			for j := range c.values {
				fromTemplate(c.values[j].template())
			}
		}
		if _, t := s.principal(e); t == maybe {
			keys = append(keys, PrincipalCanonicalUser)
		}
	})
	slices.Sort(keys)
	return slices.Compact(keys)
}

// spelling returns a key as the request spells it.
func (e *evaluation) spelling(key string) string {
	for _, u := range e.req.UnknownContext {
		if strings.EqualFold(u, key) {
			return u
		}
	}
	return key
}

// Explanation says the decision in one or two sentences.
func (d *Decision) Explanation() string {
	if d.reason != "" {
		return d.reason + "."
	}
	var b strings.Builder
	switch d.Outcome {
	case ExplicitDeny:
		b.WriteString("Denied by " + describe(d.Statements) + ".")
	case Allowed:
		switch d.DecidedBy {
		case RootUser:
			b.WriteString("Allowed: the root user has full access to its own account, and nothing denies it.")
		case KeyGrant:
			b.WriteString("Allowed by a grant on the key, and nothing denies it.")
		case AccessControlList:
			b.WriteString("Allowed by an access control list, and nothing denies it.")
		default:
			b.WriteString("Allowed by " + describe(d.Statements) + ", and nothing denies it.")
		}
	case ImplicitDeny:
		b.WriteString("Not allowed: " + notAllowedText(d.DecidedBy) + ".")
	case Unknown:
		b.WriteString("Unknown: " + describe(d.Statements) + " may apply")
		if len(d.MissingContext) > 0 {
			b.WriteString("; it depends on " + strings.Join(d.MissingContext, ", "))
		}
		b.WriteString(".")
	}
	return b.String()
}

func notAllowedText(l Layer) string {
	switch l {
	case ServiceControlPolicy:
		return "at some level of the organization no service control policy allows it"
	case EndpointPolicy:
		return "the policy of the VPC endpoint does not allow it"
	case ResourcePolicy:
		return "the resource's policy does not allow it to this principal"
	case PermissionsBoundary:
		return "the permissions boundary does not allow it"
	case SessionPolicy:
		return "the session policy does not allow it"
	case PublicAccessBlock:
		return "block public access restricts the bucket to its own account"
	}
	return "no identity policy of the principal allows it"
}

// layerText is a layer in words.
func layerText(l Layer) string {
	switch l {
	case ServiceControlPolicy:
		return "service control policy"
	case ResourceControlPolicy:
		return "resource control policy"
	case EndpointPolicy:
		return "endpoint policy"
	case ResourcePolicy:
		return "resource policy"
	case PermissionsBoundary:
		return "permissions boundary"
	case SessionPolicy:
		return "session policy"
	}
	return "identity policy"
}

// article is a layer in words with its article.
func (l Layer) article() string {
	if s := layerText(l); s[0] == 'i' || s[0] == 'e' {
		return "an " + s
	}
	return "a " + layerText(l)
}

// describe names the first statement, and how many more there are.
func describe(refs []StatementRef) string {
	if len(refs) == 0 {
		return "a policy"
	}
	r := refs[0]
	s := "statement " + strconv.Itoa(r.Statement.Index)
	if sid := r.Statement.SidText(); sid != "" {
		s += " (" + sid + ")"
	}
	s += " of the " + layerText(r.Layer)
	if r.Document.Name != "" {
		s += " " + r.Document.Name
	}
	if p := r.Statement.Pos(); p.IsValid() {
		s += " at " + p.String()
	}
	if n := len(refs) - 1; n > 0 {
		s += " and " + strconv.Itoa(n) + " more"
	}
	return s
}
