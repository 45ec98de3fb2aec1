package inventory

import (
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/identity"
)

// Stack returns the policies that decide a request of the principal on a
// resource, which is found by its ARN.
func (inv *Inventory) Stack(p *Principal, resource string) *identity.Stack {
	s := &identity.Stack{}
	for _, a := range p.Policies {
		s.Identity = append(s.Identity, a.Document)
	}
	if p.Boundary != nil {
		s.Boundaries = []*identity.Document{p.Boundary.Document}
	}
	if lv := inv.org.levels[p.Account]; lv != nil && p.Account != inv.org.management && !p.ServiceLinked() {
		s.ServiceControl = lv.service
	}
	if r, ok := inv.Resource(resource); ok {
		s.Resource, s.S3, s.Grants = r.Policy, r.S3, r.Grants
	}
	if lv := inv.org.levels[inv.OwnerOf(resource, p)]; lv != nil {
		s.ResourceControl = lv.resource
	}
	return s
}

// OwnerOf returns the account that owns a resource: as its ARN or the estate
// says, or else the principal's.
func (inv *Inventory) OwnerOf(resource string, p *Principal) string {
	if r, ok := inv.Resource(resource); ok {
		return r.Account
	}
	if a, err := arn.Parse(resource); err == nil && len(a.AccountID) == 12 {
		return a.AccountID
	}
	return p.Account
}

// Request returns the request of a principal with the keys that AWS sets from
// what the estate knows. Keys that the policies ask for and that neither context
// nor the estate gives are listed as unknown.
func (inv *Inventory) Request(p *Principal, action, resource string, context map[string][]string) *identity.Request {
	r := &identity.Request{
		Principal: p.ARN, Action: action, Resource: resource,
		ResourceAccount: inv.OwnerOf(resource, p), ManagementAccount: inv.org.management,
		Context: map[string][]string{},
	}
	if p.Kind != Root {
		for k, v := range p.Tags {
			r.Context["aws:PrincipalTag/"+k] = []string{v}
		}
		if p.ID != "" && p.Kind == User {
			r.Context["aws:userid"] = []string{p.ID}
		}
		if p.ID != "" && p.Kind == Role { // of any session; see complete
			r.Context["aws:userid"] = []string{p.ID + ":" + anySession}
		}
	} else {
		r.Context["aws:userid"] = []string{p.Account}
	}
	if inv.org.id != "" && inv.Member(p.Account) {
		r.Context["aws:PrincipalOrgID"] = []string{inv.org.id}
		if lv := inv.org.levels[p.Account]; lv != nil && lv.paths != "" {
			r.Context["aws:PrincipalOrgPaths"] = []string{lv.paths}
		}
	}
	if inv.org.id != "" && inv.Member(r.ResourceAccount) {
		r.Context["aws:ResourceOrgID"] = []string{inv.org.id}
		if lv := inv.org.levels[r.ResourceAccount]; lv != nil && lv.paths != "" {
			r.Context["aws:ResourceOrgPaths"] = []string{lv.paths}
		}
	}
	if a, err := arn.Parse(resource); err == nil && a.Region != "" {
		r.Context["aws:RequestedRegion"] = []string{a.Region}
	}
	for k, v := range inv.resourceTags(resource) {
		r.Context["aws:ResourceTag/"+k] = []string{v}
	}
	for k, v := range context {
		set(r.Context, k, v)
	}
	return r
}

// anySession stands for the name of a role's session that nobody has named.
const anySession = "session"

// set sets a key whatever its spelling.
func set(context map[string][]string, key string, values []string) {
	if _, same := context[key]; !same {
		for k := range context {
			if strings.EqualFold(k, key) {
				delete(context, k)
				break
			}
		}
	}
	context[key] = values
}

func (inv *Inventory) resourceTags(resource string) map[string]string {
	if r, ok := inv.resources[resource]; ok && r.Source != nil {
		return r.Source.Tags
	}
	return nil
}

// settled are keys that are known to be absent unless the context or the estate
// gives them: the evaluator derives them from the request.
var settled = []string{
	"aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principalisawsservice", "aws:username",
	"aws:userid", "aws:resourceaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:resourceorgid",
	"aws:resourceorgpaths", "aws:principalservicename", "kms:calleraccount", "aws:principalorgmasteraccountid",
}

// Unknowns returns the condition keys that a stack asks for and that a request
// neither carries nor settles, sorted.
func Unknowns(s *identity.Stack, r *identity.Request) []string {
	have := map[string]bool{}
	for k := range r.Context {
		have[strings.ToLower(k)] = true
	}
	for _, k := range settled {
		have[k] = true
	}
	var names []string
	ask := func(d *identity.Document) {
		for _, k := range keysOf(d) {
			lower := strings.ToLower(k)
			if have[lower] || strings.HasPrefix(lower, "aws:principaltag/") {
				continue
			}
			have[lower] = true
			names = append(names, k)
		}
	}
	for _, d := range slices.Concat(s.Identity, s.Boundaries, s.Session, s.Endpoint) {
		ask(d)
	}
	for _, levels := range [][][]*identity.Document{s.ServiceControl, s.ResourceControl} {
		for _, level := range levels {
			for _, d := range level {
				ask(d)
			}
		}
	}
	if s.Resource != nil {
		ask(s.Resource)
	}
	sort.Strings(names)
	return names
}

// keysOf lists the condition keys and policy variables of a policy.
func keysOf(d *identity.Document) []string {
	var keys []string
	variables := func(l *identity.List) {
		for _, t := range l.Texts() {
			for {
				_, after, ok := strings.Cut(t, "${")
				body, rest, closed := strings.Cut(after, "}")
				if !ok || !closed {
					break
				}
				if name, _, _ := strings.Cut(body, ","); strings.Contains(name, ":") {
					keys = append(keys, strings.TrimSpace(name))
				}
				t = rest
			}
		}
	}
	for _, st := range d.Policy.Statements {
		variables(st.Resource)
		variables(st.NotResource)
		for _, c := range st.Conditions {
			for _, k := range c.Keys {
				keys = append(keys, k.Name)
				variables(&k.List)
			}
		}
	}
	return keys
}
