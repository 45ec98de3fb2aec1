package incident

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Outcome is what somebody can reach.
type Outcome string

// The outcomes.
const (
	Administrator Outcome = "administrator"
	Limited       Outcome = "limited"
	Unknown       Outcome = "unknown"
)

// Answer is what a Judge says of a principal.
type Answer struct {
	Principal string
	Outcome   Outcome
	Before    bool // of a change: it was so without the change already
	Reason    string
}

// Change is a successful call that changes what a principal may do.
type Change struct {
	Name     string // AttachUserPolicy
	Account  string
	Target   string // name of the user, role or group
	Second   string // of AddUserToGroup: the group
	Policy   string // ARN of the policy that was attached
	Document string // text of the policy that was put
	Inline   string // name of the policy that was put
}

// Judge says what principals can reach.
type Judge interface {
	// Principal judges a user or role as the estate has it.
	Principal(arn string) Answer
	// Change judges whom a change concerns, with the change made; false where
	// the change gives nobody a permission.
	Change(Change) (Answer, bool)
}

type change struct{ Change }

// maxPolicy is the longest policy text that IAM takes, with white space to spare.
const maxPolicy = 32 << 10

// changeOf reads a change from an event; nil where it is none.
func changeOf(e *event.Event) *change {
	if e.Kind != event.CloudTrail || e.Source() != "iam.amazonaws.com" || e.ErrorCode() != "" {
		return nil
	}
	c := Change{Name: e.Name(), Account: clip(cmp.Or(e.Get("userIdentity.accountId"), e.Account()))}
	if r := e.Get("recipientAccountId"); r != "" {
		c.Account = clip(r)
	}
	switch c.Name {
	case "AttachUserPolicy", "PutUserPolicy":
		c.Target = e.Get("requestParameters.userName")
	case "AttachRolePolicy", "PutRolePolicy":
		c.Target = e.Get("requestParameters.roleName")
	case "AttachGroupPolicy", "PutGroupPolicy":
		c.Target = e.Get("requestParameters.groupName")
	case "AddUserToGroup":
		c.Target, c.Second = e.Get("requestParameters.userName"), clip(e.Get("requestParameters.groupName"))
	case "CreatePolicyVersion":
		if e.Get("requestParameters.setAsDefault") != "true" {
			return nil
		}
		c.Target = e.Get("requestParameters.policyArn")
	default:
		return nil
	}
	c.Target = clip(c.Target)
	c.Policy = clip(e.Get("requestParameters.policyArn"))
	c.Inline = clip(e.Get("requestParameters.policyName"))
	if c.Document = e.Get("requestParameters.policyDocument"); len(c.Document) > maxPolicy {
		c.Document = c.Document[:maxPolicy] // then it is no policy, and the answer is unknown
	}
	return &change{c}
}

// Estate judges by the policies of an estate. Use NewEstate.
type Estate struct {
	inv     *inventory.Inventory
	managed map[string]*identity.Document // by ARN, as principals have them
}

var _ Judge = (*Estate)(nil)

// NewEstate returns a Judge over the identities of an estate.
func NewEstate(est *estate.Estate) (*Estate, error) {
	inv, err := inventory.Load(est)
	if err != nil {
		return nil, fmt.Errorf("read identities: %w", err)
	}
	e := &Estate{inv, map[string]*identity.Document{}}
	for r := range est.Resources() {
		if r.Type != "AWS::IAM::ManagedPolicy" {
			continue
		}
		if doc := defaultVersion(r); doc != nil {
			e.managed[r.ARN] = doc
		}
	}
	for _, p := range inv.Principals {
		for _, a := range p.Policies {
			if a.ARN != "" {
				e.managed[a.ARN] = a.Document
			}
		}
	}
	for _, g := range inv.Groups {
		for _, a := range g.Policies {
			if a.ARN != "" {
				e.managed[a.ARN] = a.Document
			}
		}
	}
	return e, nil
}

// defaultVersion is the policy of a customer that is in force; nil where the
// estate does not show it.
func defaultVersion(r *estate.Resource) *identity.Document {
	versions, _ := r.Document["PolicyVersionList"].([]any)
	for _, v := range versions {
		m, _ := v.(map[string]any)
		if m["IsDefaultVersion"] != true {
			continue
		}
		text, ok := m["Document"].(string)
		if !ok {
			data, err := json.Marshal(m["Document"])
			if err != nil {
				return nil
			}
			text = string(data)
		}
		if plain, err := url.QueryUnescape(text); err == nil && strings.HasPrefix(text, "%7B") {
			text = plain
		}
		doc, err := identity.ParseDocument([]byte(text), identity.IdentityPolicy, short(r.ARN))
		if err != nil {
			return nil
		}
		return doc
	}
	return nil
}

// The calls that make an administrator: who may do all of these on identities
// that are not named anywhere may give anybody, and so itself, any permission.
var administration = []struct{ action, resource string }{
	{"iam:AttachUserPolicy", "user/bartizan-probe"},
	{"iam:PutRolePolicy", "role/bartizan-probe"},
	{"iam:CreateAccessKey", "user/bartizan-probe"},
	{"iam:UpdateAssumeRolePolicy", "role/bartizan-probe"},
}

// Principal implements Judge.
func (e *Estate) Principal(name string) Answer {
	p, ok := e.inv.Principal(name)
	if !ok {
		return Answer{Principal: name, Outcome: Unknown, Reason: "whether " + short(name) + " is an administrator is unknown: the estate does not hold it"}
	}
	outcome, why := e.judge(p)
	switch outcome {
	case Administrator:
		return Answer{Principal: p.ARN, Outcome: outcome, Reason: "the actor " + short(p.ARN) + " is an administrator"}
	case Unknown:
		return Answer{Principal: p.ARN, Outcome: outcome, Reason: "whether " + short(p.ARN) + " is an administrator is unknown: " + why}
	}
	return Answer{Principal: p.ARN, Outcome: outcome, Reason: "as the estate stands, " + short(p.ARN) + " is no administrator: " + why}
}

// judge evaluates whether a principal may administer its account.
func (e *Estate) judge(p *inventory.Principal) (Outcome, string) {
	unknown := ""
	for _, c := range administration {
		answer, err := e.inv.Decide(p, c.action, "arn:aws:iam::"+p.Account+":"+c.resource, nil)
		switch {
		case err != nil:
			unknown = cmp.Or(unknown, err.Error())
		case answer.Outcome == identity.Allowed:
		case answer.Outcome == identity.Unknown:
			unknown = cmp.Or(unknown, c.action+": "+cmp.Or(strings.Join(answer.Missing, ", "), strings.Join(answer.MissingContext, ", ")))
		default:
			return Limited, c.action + " is denied"
		}
	}
	if unknown != "" {
		return Unknown, unknown
	}
	return Administrator, ""
}

// Change implements Judge.
func (e *Estate) Change(c Change) (Answer, bool) {
	if c.Target == "" {
		return Answer{}, false
	}
	doc, name, err := e.document(c)
	if err != nil {
		return Answer{Principal: c.Target, Outcome: Unknown, Reason: "what this " + c.Name + " gives " + short(c.Target) + " is unknown: " + err.Error()}, true
	}
	added := inventory.Attachment{Name: name, ARN: c.Policy, Via: "attached", Document: doc}
	var best Answer
	for _, p := range e.concerned(c) {
		before, after := *p, *p
		before.Policies = slices.DeleteFunc(slices.Clone(p.Policies), func(a inventory.Attachment) bool { return c.brings(&a) })
		after.Policies = slices.Clone(before.Policies)
		if doc != nil {
			after.Policies = append(after.Policies, added)
		} else if g := e.group(c); g != nil {
			after.Policies = append(after.Policies, g.Policies...)
		}
		was, _ := e.judge(&before)
		is, why := e.judge(&after)
		a := Answer{Principal: p.ARN, Outcome: is, Before: is == was}
		switch {
		case is == Administrator && a.Before:
			a.Reason = short(p.ARN) + " was an administrator without this " + c.Name + " already"
		case is == Administrator:
			a.Reason = "this " + c.Name + " makes " + short(p.ARN) + " an administrator"
		case is == Unknown:
			a.Reason = "whether this " + c.Name + " makes " + short(p.ARN) + " an administrator is unknown: " + why
		default:
			a.Reason = "this " + c.Name + " makes " + short(p.ARN) + " no administrator: " + why
		}
		if best.Principal == "" || rank(a.Outcome) > rank(best.Outcome) {
			best = a
		}
	}
	return best, best.Principal != ""
}

// brings reports whether the estate, collected later, has the change already.
func (c *Change) brings(a *inventory.Attachment) bool {
	switch c.Name {
	case "AddUserToGroup":
		return strings.EqualFold(a.Group, c.Second)
	case "PutUserPolicy", "PutRolePolicy":
		return a.Via == "inline" && a.Name == c.Inline
	case "PutGroupPolicy":
		return a.ARN == "" && a.Name == c.Inline && strings.EqualFold(a.Group, c.Target)
	case "AttachGroupPolicy":
		return a.ARN == c.Policy && strings.EqualFold(a.Group, c.Target)
	case "AttachUserPolicy", "AttachRolePolicy":
		return a.ARN == c.Policy && a.Group == ""
	}
	return a.ARN == c.Policy
}

func rank(o Outcome) int {
	return slices.Index([]Outcome{Limited, Unknown, Administrator}, o)
}

// document is the policy that a change brings; nil for a group's.
func (e *Estate) document(c Change) (*identity.Document, string, error) {
	switch {
	case c.Name == "AddUserToGroup":
		if e.group(c) == nil {
			return nil, "", fmt.Errorf("the estate has no group %s", c.Second)
		}
		return nil, "", nil
	case c.Document != "":
		if !json.Valid([]byte(c.Document)) {
			return nil, "", fmt.Errorf("the event does not hold the policy")
		}
		doc, err := identity.ParseDocument([]byte(c.Document), identity.IdentityPolicy, c.Name)
		return doc, c.Name, err
	case c.Policy == "":
		return nil, "", fmt.Errorf("the event does not name the policy")
	}
	if doc := e.managed[c.Policy]; doc != nil {
		return doc, short(c.Policy), nil
	}
	if p, ok := catalog.ManagedPolicy(c.Policy); ok {
		doc, err := identity.ParseDocument(p.Document, identity.IdentityPolicy, p.Name)
		return doc, p.Name, err
	}
	return nil, "", fmt.Errorf("the estate does not show the policy %s", short(c.Policy))
}

func (e *Estate) group(c Change) *inventory.Group {
	name := c.Second
	if name == "" && strings.HasSuffix(c.Name, "GroupPolicy") {
		name = c.Target
	}
	for _, g := range e.inv.Groups {
		if g.Account == c.Account && strings.EqualFold(g.Name, name) {
			return g
		}
	}
	return nil
}

// concerned are the principals whose permissions change. One that the estate
// does not hold was made after it was collected, and starts with nothing.
func (e *Estate) concerned(c Change) []*inventory.Principal {
	kind := inventory.User
	switch c.Name {
	case "AttachRolePolicy", "PutRolePolicy":
		kind = inventory.Role
	}
	var out []*inventory.Principal
	for _, p := range e.inv.Principals {
		if p.Account != c.Account {
			continue
		}
		switch c.Name {
		case "CreatePolicyVersion":
			if !slices.ContainsFunc(p.Policies, func(a inventory.Attachment) bool { return a.ARN == c.Target }) {
				continue
			}
		case "AttachGroupPolicy", "PutGroupPolicy":
			g := e.group(c)
			if g == nil || !slices.ContainsFunc(p.Groups, func(n string) bool { return strings.EqualFold(n, g.Name) || n == g.ARN }) {
				continue
			}
		default:
			if p.Kind != kind || !strings.EqualFold(p.Name, c.Target) {
				continue
			}
		}
		if out = append(out, p); len(out) == 20 {
			return out
		}
	}
	if len(out) == 0 && (kind == inventory.Role || strings.HasSuffix(c.Name, "UserPolicy") || c.Name == "AddUserToGroup") {
		if _, err := arn.Parse("arn:aws:iam::" + c.Account + ":root"); err == nil && c.Account != "" {
			out = append(out, &inventory.Principal{Kind: kind, Name: c.Target, Account: c.Account, ARN: "arn:aws:iam::" + c.Account + ":" + string(kind) + "/" + c.Target})
		}
	}
	return out
}
