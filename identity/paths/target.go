package paths

import (
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// target is what a primitive is tried on.
type target struct {
	principal *inventory.Principal // role or user; nil for a group
	group     *inventory.Group
	policy    string // ARN of the managed policy to rewrite
	service   string
	resource  *existing
}

// existing is a resource that runs as a role.
type existing struct {
	arn, id string
	source  *estate.Resource // nil: none was read, and one is assumed
	role    *inventory.Principal
	unread  bool // what role it has was not read
}

func (t *target) values(n *node) map[string]string {
	v := map[string]string{"self.arn": n.p.ARN, "self.name": n.p.Name}
	if p := t.principal; p != nil {
		kind := string(p.Kind)
		v[kind+".arn"], v[kind+".name"] = p.ARN, p.Name
	}
	if t.group != nil {
		v["group.arn"], v["group.name"] = t.group.ARN, t.group.Name
	}
	if t.policy != "" {
		v["policy.arn"] = t.policy
	}
	if t.service != "" {
		v["service"] = t.service
	}
	if r := t.resource; r != nil {
		v["resource.arn"] = r.arn
		if r.source != nil {
			v["resource.id"] = r.id
			v["region"] = r.source.Region
		} else if open := free(r.arn); len(open) > 0 {
			v["resource.id"] = "{" + open[len(open)-1] + "}"
		}
	}
	return v
}

// existing lists the resources of a type in an account that may run as a role.
// Where the type was not read, there is one for each role that a service of the
// primitive may assume.
func (w *world) existing(a *account, p *Primitive) []*existing {
	key := p.Target.Type + "\x00" + p.Target.Role
	if found, ok := a.resources[key]; ok {
		return found
	}
	var out []*existing
	any := false
	for _, r := range w.index.Type(p.Target.Type) {
		any = true
		if r.Account == a.id {
			out = append(out, w.runsAs(a, r, p)...)
		}
	}
	if !any && !w.read[p.Target.Type] {
		for _, role := range a.rolesFor(p.Target.Services) {
			out = append(out, &existing{arn: p.Target.ARN, role: role, unread: true})
		}
	}
	a.resources[key] = out
	return out
}

// rolesFor lists the roles that trust one of the services, or everyone.
func (a *account) rolesFor(services []string) []*inventory.Principal {
	var out []*inventory.Principal
	for _, s := range append(slices.Clone(services), anyService) {
		for _, r := range a.trusted[s] {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ARN < out[j].ARN })
	return out
}

// runsAs finds the role of a resource. A role that was not read may be any that
// trusts the service.
func (w *world) runsAs(a *account, r *estate.Resource, p *Primitive) []*existing {
	if state, ok := r.Document["State"].(map[string]any); ok && (state["Name"] == "terminated" || state["Name"] == "shutting-down") {
		return nil
	}
	e := existing{arn: r.ARN, id: r.ID, source: r}
	if e.arn == "" {
		e.arn = expand(p.Target.ARN, map[string]string{"partition": a.partition, "region": r.Region, "account": a.id, free(p.Target.ARN)[len(free(p.Target.ARN))-1]: r.ID})
	}
	name, read := roleAt(r, p.Target.Role, p.Target.Optional)
	if read && name == "" {
		return nil
	}
	if role := w.roleNamed(a, name); role != nil {
		e.role = role
		return []*existing{&e}
	}
	if read && strings.HasPrefix(name, "arn:") && strings.Contains(name, ":role/") {
		return nil // a role that is gone, or of an account that was not read
	}
	var out []*existing
	for _, role := range a.rolesFor(p.Target.Services) {
		one := e
		one.role, one.unread = role, true
		out = append(out, &one)
	}
	return out
}

func (w *world) roleNamed(a *account, name string) *inventory.Principal {
	if name == "" {
		return nil
	}
	if p := a.profiles[name]; p != nil {
		return p
	}
	if p, ok := w.inv.Principal(name); ok && p.Kind == inventory.Role {
		return p
	}
	for _, p := range a.roles {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// roleAt follows a path into a resource's document: members separated by dots;
// name[flag] is the first item of a list whose member flag is true. It reports
// whether the place was read: a resource without it has no role. What is there
// was read whole; of what is not, optional says whether AWS leaves it out.
func roleAt(r *estate.Resource, path string, optional bool) (string, bool) {
	var v any = r.Document
	for i, name := range strings.Split(path, ".") {
		name, flag, isList := strings.Cut(name, "[")
		m, _ := v.(map[string]any)
		next, ok := m[name]
		if !ok {
			operation := strings.HasPrefix(name, "Describe") || strings.HasPrefix(name, "Get")
			return "", i > 0 || optional && !operation && !partlyRead(r)
		}
		v = next
		if isList {
			var item any
			for _, x := range list(v) {
				if on, _ := x[strings.TrimSuffix(flag, "]")].(bool); on {
					item = x
					break
				}
			}
			v = item
		}
	}
	switch v := v.(type) {
	case string:
		return v, true
	case map[string]any: // an instance profile, by either name
		for _, name := range []string{"Arn", "Name"} {
			if s, _ := v[name].(string); s != "" {
				return s, true
			}
		}
	}
	return "", true
}

// partlyRead reports whether members of a resource's document may be missing
// because they could not be read.
func partlyRead(r *estate.Resource) bool {
	return slices.ContainsFunc(r.Unknown, func(g estate.Gap) bool { return !strings.Contains(g.Operation, "Tags") })
}

// need answers a precondition for a target, with the assumption where the
// estate does not say.
func (w *world) need(what Need, t *target) (verdict, string) {
	if t.principal == nil && what != NeedsVersion {
		return certain, ""
	}
	switch what {
	case NeedsLoginProfile, NeedsNoLoginProfile:
		has, read := member(t.principal, "GetLoginProfile")
		if !read {
			return possible, t.principal.Name + " has " + map[Need]string{NeedsLoginProfile: "a", NeedsNoLoginProfile: "no"}[what] + " console password; whether it has one was not read"
		}
		return sure((has != nil) == (what == NeedsLoginProfile)), ""
	case NeedsFreeAccessKey:
		keys, read := member(t.principal, "ListAccessKeys")
		if !read {
			return possible, t.principal.Name + " has fewer than two access keys; they were not read"
		}
		m, _ := keys.(map[string]any)
		return sure(len(list(m["AccessKeyMetadata"])) < 2), ""
	case NeedsInstanceProfile:
		a := w.account(t.principal.Account)
		if a.profileOf(t.principal) != "" {
			return certain, ""
		}
		_, read := member(t.principal, "InstanceProfileList")
		if read || w.read["AWS::IAM::InstanceProfile"] || len(w.index.Type("AWS::IAM::InstanceProfile")) > 0 {
			return not, ""
		}
		return possible, "the role has an instance profile; instance profiles were not read"
	case NeedsVersion:
		r := w.index.ARN(t.policy)
		if r == nil {
			return possible, "the policy " + t.policy + " has fewer than five versions; it was not read"
		}
		return sure(len(list(r.Document["PolicyVersionList"])) < 5), ""
	}
	return not, ""
}

func member(p *inventory.Principal, name string) (any, bool) {
	if p.Resource == nil {
		return nil, false
	}
	v, ok := p.Resource.Document[name]
	return v, ok
}

func sure(b bool) verdict {
	if b {
		return certain
	}
	return not
}

// unchangeable reports whether IAM refuses to change a role or to pass it on:
// service-linked roles, and the roles that Identity Center keeps.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
// https://docs.aws.amazon.com/singlesignon/latest/userguide/using-service-linked-roles.html
func unchangeable(p *inventory.Principal) bool {
	return p.ServiceLinked() || p.Kind == inventory.Role && strings.HasPrefix(p.Path, "/aws-reserved/")
}
