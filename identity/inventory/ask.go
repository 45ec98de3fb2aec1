package inventory

import (
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Answer is a decision about a principal.
type Answer struct {
	identity.Decision
	Request *identity.Request
	Stack   *identity.Stack
	Missing []string // what could not be read and may change the answer; then the outcome is unknown
	Assumed []string // what was taken for granted because the estate does not show it
}

// Decide evaluates a request of a principal that it makes itself, over TLS. A
// policy that could not be read makes the outcome unknown, unless what is there
// settles it.
func (inv *Inventory) Decide(p *Principal, action, resource string, context map[string][]string) (Answer, error) {
	return inv.DecideAs(p, p.ARN, action, resource, context)
}

// DecideAs is Decide for a caller who acts with the permissions of a principal:
// the ARN of one of a role's sessions. Without a principal the caller is one
// that the estate does not hold: a service, an anonymous caller, or somebody in
// another account, whose own policies are taken to allow everything.
func (inv *Inventory) DecideAs(p *Principal, caller, action, resource string, context map[string][]string) (Answer, error) {
	if p == nil {
		return inv.decideOutsider(caller, action, resource, context)
	}
	a := Answer{Stack: inv.Stack(p, resource), Request: inv.Request(p, action, resource, context)}
	if caller != p.ARN {
		a.Request.Principal = caller
		set(a.Request.Context, "aws:PrincipalArn", []string{p.ARN})
		if p.Kind == Role && p.ID != "" && !has(context, "aws:userid") {
			a.Request.Context["aws:userid"] = []string{p.ID + ":" + caller[strings.LastIndexByte(caller, '/')+1:]}
		}
	} else if p.Kind == Role && p.ID != "" && !has(context, "aws:userid") && inv.namesSession(a.Stack, p.ID) {
		delete(a.Request.Context, "aws:userid")
		a.Request.UnknownContext = append(a.Request.UnknownContext, "aws:userid")
	}
	inv.complete(&a)
	d, err := identity.Evaluate(a.Request, a.Stack)
	if err != nil {
		return Answer{}, err
	}
	a.Decision = d
	if d.Outcome != identity.ExplicitDeny {
		inv.doubt(&a, p, resource)
	}
	return a, nil
}

// everything is the identity policy of callers whose own policies nobody knows.
var everything = identity.AllowAll(identity.IdentityPolicy, "the caller's own policies")

// strangersOrg stands for the organization of an account outside ours.
const strangersOrg = "o-00outside00"

func (inv *Inventory) decideOutsider(caller, action, resource string, context map[string][]string) (Answer, error) {
	c, err := identity.ParseCaller(caller)
	if err != nil {
		return Answer{}, err
	}
	nobody := &Principal{ARN: caller, Account: c.AccountID}
	a := Answer{Stack: inv.Stack(nobody, resource), Request: inv.Request(nobody, action, resource, context)}
	a.Stack.ServiceControl = nil
	own := c.AccountID != "" && c.Kind != identity.ProviderCaller
	if own {
		a.Stack.Identity = []*identity.Document{everything}
		a.Assumed = append(a.Assumed, "the policies of account "+c.AccountID+" allow it")
		if inv.org.id != "" && !inv.Member(c.AccountID) && !has(context, "aws:PrincipalOrgID") {
			set(a.Request.Context, "aws:PrincipalOrgID", []string{strangersOrg})
		}
	}
	inv.complete(&a)
	if own { // nobody knows the tags of a stranger
		for _, d := range documents(a.Stack) {
			for _, k := range inv.keysOf(d) {
				if strings.HasPrefix(strings.ToLower(k), "aws:principaltag/") && !has(a.Request.Context, k) {
					a.Request.UnknownContext = append(a.Request.UnknownContext, k)
				}
			}
		}
	}
	if c.Kind == identity.ServiceCaller { // it acts for somebody's resource
		for _, d := range documents(a.Stack) {
			for _, k := range inv.keysOf(d) {
				if onBehalf[strings.ToLower(k)] && !has(a.Request.Context, k) {
					a.Request.UnknownContext = append(a.Request.UnknownContext, k)
				}
			}
		}
	}
	if a.Decision, err = identity.Evaluate(a.Request, a.Stack); err != nil {
		return Answer{}, err
	}
	if a.Outcome == identity.ExplicitDeny {
		return a, nil
	}
	if r, ok := inv.Resource(resource); ok {
		a.Missing = slices.Concat(r.Missing, r.Unsure)
	} else {
		a.Missing = []string{"the policy of " + resource + ", which the estate does not hold"}
	}
	if why := inv.resourceControlMissing(&a); why != "" && a.Outcome == identity.Allowed {
		a.Missing = append(a.Missing, why)
	}
	if len(a.Missing) > 0 {
		a.Outcome = identity.Unknown
	}
	return a, nil
}

// doubt makes the outcome unknown where something that is missing may change it.
func (inv *Inventory) doubt(a *Answer, p *Principal, resource string) {
	a.Missing = slices.Clone(p.Missing)
	if why := inv.controlMissing(p.Account); why != "" && !p.ServiceLinked() && a.Outcome != identity.ImplicitDeny {
		a.Missing = append(a.Missing, why)
	}
	if why := inv.resourceControlMissing(a); why != "" && a.Outcome != identity.ImplicitDeny && a.Request.ResourceAccount != p.Account {
		a.Missing = append(a.Missing, why)
	}
	r, known := inv.Resource(resource)
	switch {
	case known:
		a.Missing = append(a.Missing, r.Missing...)
		if a.Outcome != identity.ImplicitDeny {
			a.Missing = append(a.Missing, r.Unsure...)
		}
	case !TakesPolicy(resource):
	default:
		// With a policy that lets the principal in, would it be allowed?
		open := *a.Stack
		open.Resource = letsIn
		d, err := identity.Evaluate(a.Request, &open)
		switch {
		case err != nil || d.Outcome == identity.ImplicitDeny || d.Outcome == identity.ExplicitDeny:
		case a.Request.ResourceAccount != p.Account || a.Outcome != identity.Allowed && a.Outcome != identity.Unknown && delegates(resource):
			a.Missing = append(a.Missing, "the policy of "+resource+", which the estate does not hold")
		default:
			a.Assumed = append(a.Assumed, resource+" has no policy of its own: the estate does not hold it")
		}
	}
	if len(a.Missing) > 0 {
		a.Outcome = identity.Unknown
	}
}

// letsIn is the resource policy that allows most.
var letsIn = identity.AllowAll(identity.ResourcePolicy, "the resource's policy")

// TakesPolicy reports whether a resource may have a policy of its own.
func TakesPolicy(resource string) bool {
	a, err := arn.Parse(resource)
	if err != nil {
		return false
	}
	switch a.Service {
	case "s3", "sqs", "sns", "kms", "lambda", "secretsmanager", "ecr", "dynamodb", "events", "elasticfilesystem", "backup", "es", "acm-pca", "execute-api":
		return true
	}
	return delegates(resource)
}

// delegates reports whether only the resource's own policy gives access, even
// within its account: keys and roles.
func delegates(resource string) bool {
	a, err := arn.Parse(resource)
	return err == nil && (a.Service == "kms" && a.ResourceType() == "key" || a.Service == "iam" && a.ResourceType() == "role")
}

// ResourceControlMissing says why the resource control policies for an action on
// an account's resource are not known; "" means that they are, or that none apply.
func (inv *Inventory) ResourceControlMissing(action, owner string) string {
	service, _, _ := strings.Cut(action, ":")
	if !catalog.Default().SupportsRCP(strings.ToLower(service)) {
		return ""
	}
	return inv.controlMissing(owner)
}

func (inv *Inventory) resourceControlMissing(a *Answer) string {
	return inv.ResourceControlMissing(a.Request.Action, a.Request.ResourceAccount)
}

// onBehalf are the keys that only requests have which a service makes for
// somebody, and that a request of a principal itself never carries.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var onBehalf = map[string]bool{
	"aws:calledvia": true, "aws:calledviafirst": true, "aws:calledvialast": true, "kms:viaservice": true,
	"aws:sourcearn": true, "aws:sourceaccount": true, "aws:sourceorgid": true, "aws:sourceorgpaths": true, "aws:sourceowner": true,
}

// complete adds the keys of a direct request over TLS and lists those that
// nobody knows.
func (inv *Inventory) complete(a *Answer) {
	r := a.Request
	if !has(r.Context, "aws:SecureTransport") {
		r.Context["aws:SecureTransport"] = []string{"true"}
	}
	direct := true
	if !has(r.Context, "aws:ViaAWSService") {
		r.Context["aws:ViaAWSService"] = []string{"false"}
	} else {
		for k, v := range r.Context {
			if strings.EqualFold(k, "aws:ViaAWSService") && len(v) == 1 && strings.EqualFold(v[0], "true") {
				direct = false
			}
		}
	}
	var seen []string
	for _, d := range documents(a.Stack) {
		for _, k := range inv.keysOf(d) {
			lower := strings.ToLower(k)
			if slices.Contains(seen, lower) || has(r.Context, k) || slices.Contains(settled, lower) ||
				strings.HasPrefix(lower, "aws:principaltag/") || direct && onBehalf[lower] {
				continue
			}
			seen = append(seen, lower)
			if inv.carries(r, lower, k) {
				r.UnknownContext = append(r.UnknownContext, k)
			}
		}
	}
	sort.Strings(r.UnknownContext)
}

// carries reports whether a request may carry a key: the keys of services and
// tags only where the action has them, tags of a resource only where it is not
// known which it has.
func (inv *Inventory) carries(r *identity.Request, lower, key string) bool {
	prefix, rest, _ := strings.Cut(lower, ":")
	tag := strings.HasPrefix(rest, "resourcetag/")
	if tag {
		if res, ok := inv.resources[r.Resource]; ok && res.Source != nil {
			return false
		}
	}
	if prefix == "aws" && !tag && rest != "tagkeys" && !strings.HasPrefix(rest, "requesttag/") {
		return true
	}
	if strings.Contains(prefix, ".") || prefix == "saml" || prefix == "sts" || prefix == "aws" && tag {
		return true
	}
	c := catalog.Default()
	action, known := c.Action(r.Action)
	if !known {
		return true
	}
	return slices.ContainsFunc(c.ActionKeys(action), func(name string) bool { return catalog.KeyMatches(name, key) })
}

// namesSession reports whether a policy asks for the user id of one session of a
// role: whether it is that one nobody has said.
func (inv *Inventory) namesSession(s *identity.Stack, id string) bool {
	for _, d := range documents(s) {
		if !slices.ContainsFunc(inv.keysOf(d), func(k string) bool { return strings.EqualFold(k, "aws:userid") }) {
			continue
		}
		for _, st := range d.Policy.Statements {
			for _, c := range st.Conditions {
				for _, k := range c.Keys {
					for _, t := range k.Texts() {
						if rest, ok := strings.CutPrefix(t, id+":"); ok && rest != "*" && strings.EqualFold(k.Name, "aws:userid") {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// keysOf returns the condition keys that a policy asks for.
func (inv *Inventory) keysOf(d *identity.Document) []string {
	if keys, ok := inv.keys[d]; ok {
		return keys
	}
	return keysOf(d)
}

func has(context map[string][]string, key string) bool {
	if _, ok := context[key]; ok {
		return true
	}
	for k := range context {
		if strings.EqualFold(k, key) {
			return true
		}
	}
	return false
}

// documents lists all policies of a stack.
func documents(s *identity.Stack) []*identity.Document {
	all := slices.Concat(s.Identity, s.Boundaries, s.Session, s.Endpoint)
	for _, levels := range [][][]*identity.Document{s.ServiceControl, s.ResourceControl} {
		for _, level := range levels {
			all = append(all, level...)
		}
	}
	if s.Resource != nil {
		all = append(all, s.Resource)
	}
	return all
}
