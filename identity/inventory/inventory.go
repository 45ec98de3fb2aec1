// Package inventory holds the identities of an estate ready to be asked: users,
// groups and roles with their compiled policies, the organization's control
// policies by account, and every resource that has a policy of its own.
//
// [Load] reads an estate. A [Principal] is a user or role (or an account's root
// user); [Inventory.Stack] gives the policies that decide a request of it on a
// resource, [Inventory.Request] the request with the condition keys that AWS
// would set and those that nobody can know.
//
// # Caveats
//
// What could not be read is listed in Principal.Missing, Resource.Missing and
// Inventory.Missing; [Inventory.Decide] answers unknown rather than guess where
// that matters. Policies that are equal are compiled once and shared.
package inventory

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Kind is the kind of a principal.
type Kind string

// The kinds of principal.
const (
	User Kind = "user"
	Role Kind = "role"
	Root Kind = "root"
)

// Attachment is a policy as a principal has it.
type Attachment struct {
	Name  string // of the policy
	ARN   string // of a managed policy
	Via   string // "inline", "attached", or the group that brings it: "group ops"
	Group string // name of that group
	*identity.Document
}

// Principal is a user, a role, or an account's root user.
type Principal struct {
	Kind     Kind
	ARN      string
	Name     string
	Path     string
	Account  string
	ID       string // AIDA…, AROA…
	Tags     map[string]string
	Policies []Attachment
	Boundary *Attachment
	Trust    *identity.Document // of a role: who may assume it
	Groups   []string
	Resource *estate.Resource // nil for a root user
	Missing  []string         // what could not be read
}

// ServiceLinked reports whether the principal is a service-linked role, which
// control policies do not limit.
func (p *Principal) ServiceLinked() bool {
	return p.Kind == Role && strings.HasPrefix(p.Path, "/aws-service-role/")
}

// Resource is a resource with a policy of its own.
type Resource struct {
	ARN     string
	Account string
	Region  string
	Type    string
	Policy  *identity.Document // nil: it has none
	S3      *identity.S3Access // of a bucket: what decides beside its policy
	Grants  []identity.Grant   // of a KMS key
	Missing []string           // what could not be read of its policy
	Unsure  []string           // what could not be read and may only narrow what it allows
	Source  *estate.Resource
}

// Inventory is the identities of an estate. It does not change once loaded and
// is safe for concurrent use.
type Inventory struct {
	Principals []*Principal // sorted by ARN
	Resources  []*Resource  // sorted by ARN
	Groups     []*Group     // sorted by ARN
	Accounts   []string     // sorted
	Missing    []estate.Gap // what hides whole kinds of identities or policies

	principals map[string]*Principal
	resources  map[string]*Resource
	roles      map[string]*Principal           // by account and name
	keys       map[*identity.Document][]string // condition keys that a policy asks for
	blocks     map[string]accountBlock         // S3 block public access, by account
	networks   []string                        // VPCs and VPC endpoints of the estate
	org        organization
}

// Group is an IAM group.
type Group struct {
	ARN      string
	Name     string
	Account  string
	Policies []Attachment
	Source   *estate.Resource
}

// Principal returns the principal with that ARN. The ARN of a role session
// finds its role, twelve digits the account's root user.
func (inv *Inventory) Principal(name string) (*Principal, bool) {
	if p, ok := inv.principals[name]; ok {
		return p, true
	}
	if len(name) == 12 && strings.Trim(name, "0123456789") == "" {
		return inv.Principal("arn:aws:iam::" + name + ":root")
	}
	a, err := arn.Parse(name)
	if err == nil && a.Service == "sts" && a.ResourceType() == "assumed-role" {
		role, _, _ := strings.Cut(a.ResourceID(), "/")
		p, ok := inv.roles[a.AccountID+"/"+role]
		return p, ok
	}
	return nil, false
}

// Find returns the principals that a person may mean: by ARN, or by name where
// it is unique over the accounts, such as role/deploy or deploy.
func (inv *Inventory) Find(name string) []*Principal {
	if p, ok := inv.Principal(name); ok {
		return []*Principal{p}
	}
	kind, short, typed := strings.Cut(name, "/")
	var found []*Principal
	for _, p := range inv.Principals {
		if p.Name == name || typed && string(p.Kind) == kind && p.Name == short {
			found = append(found, p)
		}
	}
	return found
}

// Resource returns the resource with a policy that an ARN belongs to: itself, or
// what it is part of (see Parts).
func (inv *Inventory) Resource(name string) (*Resource, bool) {
	if r, ok := inv.resources[name]; ok {
		return r, true
	}
	if whole := wholeOf(name); whole != "" {
		r, ok := inv.resources[whole]
		return r, ok
	}
	return nil, false
}

// Parts are the ARNs, with wildcards, that the policy of the resource decides
// about: its own, and those of a bucket's objects, a table's indexes and the paths
// of a search domain.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-arn-format.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-intro.html
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/ac.html
func (r *Resource) Parts() []string {
	switch r.Type {
	case "AWS::S3::Bucket", "AWS::OpenSearchService::Domain":
		return []string{r.ARN, r.ARN + "/*"}
	case "AWS::DynamoDB::Table":
		return []string{r.ARN, r.ARN + "/index/*"}
	}
	return []string{r.ARN}
}

// wholeOf returns the ARN of what an ARN is part of, or "".
func wholeOf(name string) string {
	for _, in := range [...]struct{ before, after string }{{":s3:::", "/"}, {":domain/", "/"}, {":table/", "/index/"}} {
		at := strings.Index(name, in.before)
		if at < 0 {
			continue
		}
		if n := strings.Index(name[at+len(in.before):], in.after); n > 0 {
			return name[:at+len(in.before)+n]
		}
	}
	return ""
}

// loader compiles policies, each text once per layer.
type loader struct {
	inv     *Inventory
	cache   map[string]*identity.Document
	managed map[string]*identity.Document // by ARN, of the account at hand
}

// identityTypes are the types that a gap makes identities incomplete for.
var identityTypes = []string{"AWS::IAM::User", "AWS::IAM::Role", "AWS::IAM::Group", "AWS::IAM::ManagedPolicy"}

// Load reads the identities of an estate. An error is one of reading the
// source; a policy that makes no sense is listed as missing where it stands.
func Load(s estate.Source) (*Inventory, error) {
	inv := &Inventory{principals: map[string]*Principal{}, resources: map[string]*Resource{}, roles: map[string]*Principal{},
		keys: map[*identity.Document][]string{}, blocks: map[string]accountBlock{}}
	l := &loader{inv: inv, cache: map[string]*identity.Document{}}
	inv.org.start()
	for a, err := range s.Accounts() {
		if err != nil {
			return nil, fmt.Errorf("load identities: %w", err)
		}
		l.account(a)
	}
	inv.org.finish()
	inv.blockPublicAccess()
	sort.Strings(inv.networks)
	sort.Slice(inv.Principals, func(i, j int) bool { return inv.Principals[i].ARN < inv.Principals[j].ARN })
	sort.Slice(inv.Resources, func(i, j int) bool { return inv.Resources[i].ARN < inv.Resources[j].ARN })
	sort.Slice(inv.Groups, func(i, j int) bool { return inv.Groups[i].ARN < inv.Groups[j].ARN })
	sort.Strings(inv.Accounts)
	return inv, nil
}

func (l *loader) account(a *estate.Account) {
	inv := l.inv
	inv.Accounts = append(inv.Accounts, a.ID)
	for _, g := range a.Gaps {
		if slices.Contains(identityTypes, g.Type) || policyParts[g.Type].path != "" || strings.HasPrefix(g.Type, "AWS::Organizations::") {
			inv.Missing = append(inv.Missing, g)
		}
	}
	l.managed = map[string]*identity.Document{}
	groups := map[string]*Group{}
	byType := map[string][]*estate.Resource{}
	for _, r := range a.Resources {
		byType[r.Type] = append(byType[r.Type], r)
	}
	for _, r := range byType["AWS::IAM::ManagedPolicy"] {
		l.managedPolicy(r)
	}
	for _, r := range byType["AWS::IAM::Group"] {
		g := &Group{ARN: r.ARN, Name: r.ID, Account: a.ID, Source: r}
		var missing []string
		g.Policies, missing = l.policies(r, "GroupPolicyList", "")
		for i := range g.Policies {
			g.Policies[i].Via = "group " + g.Name
			g.Policies[i].Group = g.Name
		}
		groups[g.Name] = g
		for _, m := range missing {
			inv.Missing = append(inv.Missing, estate.Gap{Type: r.Type, Account: a.ID, Part: r.ID, Reason: m})
		}
		inv.Groups = append(inv.Groups, g)
	}
	for _, r := range byType["AWS::IAM::User"] {
		p := l.principal(User, r, "UserPolicyList", "UserId")
		for _, name := range texts(r.Document["GroupList"]) {
			p.Groups = append(p.Groups, name)
			if g := groups[name]; g != nil {
				p.Policies = append(p.Policies, g.Policies...)
			} else {
				p.Missing = append(p.Missing, "the policies of group "+name)
			}
		}
	}
	for _, r := range byType["AWS::IAM::Role"] {
		p := l.principal(Role, r, "RolePolicyList", "RoleId")
		doc, err := l.compile(r.Document["AssumeRolePolicyDocument"], identity.ResourcePolicy, "trust policy of "+p.Name)
		if err != nil {
			p.Missing = append(p.Missing, err.Error())
		}
		p.Trust = doc
		inv.resources[p.ARN] = &Resource{ARN: p.ARN, Account: a.ID, Type: r.Type, Policy: doc, Source: r}
		inv.Resources = append(inv.Resources, inv.resources[p.ARN])
	}
	root := &Principal{Kind: Root, ARN: "arn:" + partitionOf(a) + ":iam::" + a.ID + ":root", Name: "root", Account: a.ID}
	inv.add(root)
	for typ, part := range policyParts {
		for _, r := range byType[typ] {
			l.resource(r, part)
		}
	}
	for _, typ := range []string{"AWS::EC2::VPC", "AWS::EC2::VPCEndpoint"} {
		for _, r := range byType[typ] {
			inv.networks = append(inv.networks, r.ID)
		}
	}
	for _, r := range byType["AWS::Account::Account"] {
		inv.blocks[a.ID] = blockOf(r, "GetPublicAccessBlock", "s3control:GetPublicAccessBlock")
	}
	inv.org.read(l, byType)
}

func (inv *Inventory) add(p *Principal) {
	if _, twice := inv.principals[p.ARN]; twice {
		return
	}
	inv.principals[p.ARN] = p
	if p.Kind == Role {
		inv.roles[p.Account+"/"+p.Name] = p
	}
	inv.Principals = append(inv.Principals, p)
}

func (l *loader) principal(k Kind, r *estate.Resource, inline, id string) *Principal {
	p := &Principal{Kind: k, ARN: r.ARN, Name: r.ID, Account: r.Account, Tags: r.Tags, Resource: r}
	p.Path, _ = r.Document["Path"].(string)
	p.ID, _ = r.Document[id].(string)
	p.Policies, p.Missing = l.policies(r, inline, "inline")
	if b, ok := r.Document["PermissionsBoundary"].(map[string]any); ok {
		name, _ := b["PermissionsBoundaryArn"].(string)
		doc, err := l.byARN(name, identity.PermissionsBoundary)
		if err != nil {
			p.Missing = append(p.Missing, err.Error())
		} else {
			p.Boundary = &Attachment{Name: nameOf(name), ARN: name, Via: "boundary", Document: doc}
		}
	}
	for _, g := range r.Unknown {
		if slices.Contains(gaadOperations, g.Operation) {
			p.Missing = append(p.Missing, g.Operation+": "+g.Reason)
		}
	}
	l.inv.add(p)
	return p
}

// gaadOperations read what permissions consist of.
var gaadOperations = []string{"iam:GetAccountAuthorizationDetails"}

// policies reads the inline and attached policies of a user, group or role.
func (l *loader) policies(r *estate.Resource, inline, via string) (list []Attachment, missing []string) {
	for _, m := range objects(r.Document[inline]) {
		name, _ := m["PolicyName"].(string)
		doc, err := l.compile(m["PolicyDocument"], identity.IdentityPolicy, name)
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		list = append(list, Attachment{Name: name, Via: via, Document: doc})
	}
	for _, m := range objects(r.Document["AttachedManagedPolicies"]) {
		name, _ := m["PolicyArn"].(string)
		doc, err := l.byARN(name, identity.IdentityPolicy)
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		list = append(list, Attachment{Name: nameOf(name), ARN: name, Via: "attached", Document: doc})
	}
	return list, missing
}

// managedPolicy compiles the default version of a managed policy.
func (l *loader) managedPolicy(r *estate.Resource) {
	for _, v := range objects(r.Document["PolicyVersionList"]) {
		if isDefault, _ := v["IsDefaultVersion"].(bool); !isDefault {
			continue
		}
		for _, layer := range []identity.Layer{identity.IdentityPolicy, identity.PermissionsBoundary} {
			if doc, err := l.compile(v["Document"], layer, nameOf(r.ARN)); err == nil {
				l.managed[string(layer)+r.ARN] = doc
			}
		}
	}
}

// byARN returns a managed policy: the account's, or AWS's as embedded.
func (l *loader) byARN(name string, layer identity.Layer) (*identity.Document, error) {
	if doc := l.managed[string(layer)+name]; doc != nil {
		return doc, nil
	}
	if p, ok := catalog.ManagedPolicy(name); ok {
		return l.compileText(p.Document, layer, p.Name)
	}
	return nil, fmt.Errorf("the managed policy %s", name)
}

// compile compiles a policy as an estate holds it: an object, or JSON in a text.
func (l *loader) compile(v any, layer identity.Layer, name string) (*identity.Document, error) {
	var text []byte
	switch v := v.(type) {
	case string:
		text = []byte(v)
	case map[string]any:
		var err error
		if text, err = estate.AppendJSON(nil, v); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	default:
		return nil, fmt.Errorf("%s: the document", name)
	}
	return l.compileText(text, layer, name)
}

func (l *loader) compileText(text []byte, layer identity.Layer, name string) (*identity.Document, error) {
	key := string(layer) + "\x00" + name + "\x00" + string(text)
	if d, ok := l.cache[key]; ok {
		return d, nil
	}
	d, err := identity.ParseDocument(text, layer, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l.cache[key] = d
	l.inv.keys[d] = keysOf(d)
	return d, nil
}

func nameOf(policyARN string) string { return policyARN[strings.LastIndexByte(policyARN, '/')+1:] }

func partitionOf(a *estate.Account) string {
	for _, r := range a.Resources {
		if p, err := arn.Parse(r.ARN); err == nil {
			return p.Partition
		}
	}
	return "aws"
}

func objects(v any) []map[string]any {
	list, _ := v.([]any)
	var out []map[string]any
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
