package posture

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/bartizan-security/bartizan/estate"
)

// The resource types with a meaning of their own.
const (
	typeOrganization = "AWS::Organizations::Organization"
	typeOrgAccount   = "AWS::Organizations::Account"
	typeAccount      = "AWS::Account::Account"
	typeRegion       = "AWS::Account::Region"
)

// accountView answers lookups within one account. It builds its indexes when
// they are first asked for.
type accountView struct {
	st     *state
	id     string
	byType map[string][]*estate.Resource
	gaps   []estate.Gap
	inner  map[string]*textIndex                  // by type
	byKey  map[string]map[string]*estate.Resource // type → id or ARN → resource
}

func newAccountView(st *state, a *estate.Account) *accountView {
	v := &accountView{st: st, id: a.ID, gaps: a.Gaps, byType: map[string][]*estate.Resource{}}
	for lo := 0; lo < len(a.Resources); { // sorted by type in every source
		hi := lo + 1
		for hi < len(a.Resources) && a.Resources[hi].Type == a.Resources[lo].Type {
			hi++
		}
		t := a.Resources[lo].Type
		if had := v.byType[t]; had == nil {
			v.byType[t] = a.Resources[lo:hi:hi]
		} else {
			v.byType[t] = append(had, a.Resources[lo:hi]...)
		}
		lo = hi
	}
	return v
}

// gap returns the unknown that stands for what of a type could not be read, or
// nil. An empty region asks about all regions.
func (v *accountView) gap(typ, region string) ref.Val {
	if why := v.st.outOfScope(typ); why != nil {
		return why
	}
	for i := range v.gaps {
		g := &v.gaps[i]
		if g.Part == "" && (g.Type == typ || g.Type == "") && (region == "" || g.Region == "" || g.Region == region) {
			return v.st.unknown(*g)
		}
	}
	return nil
}

func (v *accountView) list(typ, region string) ref.Val {
	out := &resourceList{st: v.st, gap: v.gap(typ, region)}
	for _, r := range v.byType[typ] {
		if region == "" || r.Region == region {
			out.items = append(out.items, v.st.object(r))
		}
	}
	return out
}

func (v *accountView) get(typ, key string) ref.Val {
	if v.byKey == nil {
		v.byKey = map[string]map[string]*estate.Resource{}
	}
	keys := v.byKey[typ]
	if keys == nil {
		keys = map[string]*estate.Resource{}
		for _, r := range v.byType[typ] {
			keys[r.ID] = r
			if r.ARN != "" {
				keys[r.ARN] = r
			}
		}
		v.byKey[typ] = keys
	}
	if r := keys[key]; r != nil {
		return v.st.object(r)
	}
	if g := v.gap(typ, ""); g != nil {
		return g
	}
	return nothing
}

// referencing lists the resources of a type whose documents mention a resource
// by its id or ARN.
func (v *accountView) referencing(res *estate.Resource, typ string) ref.Val {
	out := &resourceList{st: v.st, gap: v.gap(typ, res.Region)}
	byID, _ := v.holding(typ, res.ID)
	found := slices.Clone(byID)
	if res.ARN != "" && res.ARN != res.ID {
		byARN, _ := v.holding(typ, res.ARN)
		found = append(found, byARN...)
	}
	sort.SliceStable(found, func(i, j int) bool {
		return found[i].Region < found[j].Region || found[i].Region == found[j].Region && found[i].ID < found[j].ID
	})
	for _, r := range slices.Compact(found) {
		if r != res {
			out.items = append(out.items, v.st.object(r))
		}
	}
	return out
}

// holding lists, in their order, the resources of a type whose documents hold a
// text as a value. It is not exact where a part of one of them is unknown or too
// deep to be searched.
func (v *accountView) holding(typ, text string) (found []*estate.Resource, exact bool) {
	if v.inner == nil {
		v.inner = map[string]*textIndex{}
	}
	ix := v.inner[typ]
	if ix == nil {
		ix = &textIndex{of: map[string][]*estate.Resource{}, exact: true}
		for _, r := range v.byType[typ] {
			ix.exact = ix.exact && len(r.Unknown) == 0
			ix.add(r, r.Document, 0)
		}
		v.inner[typ] = ix
	}
	return ix.of[text], ix.exact
}

// textIndex finds resources by the texts in their documents.
type textIndex struct {
	of    map[string][]*estate.Resource
	exact bool
}

func (ix *textIndex) add(r *estate.Resource, v any, depth int) {
	if depth > maxWalk {
		ix.exact = false
		return
	}
	switch v := v.(type) {
	case string:
		if len(v) < minText || len(v) > maxText {
			return
		}
		if had := ix.of[v]; len(had) == 0 || had[len(had)-1] != r {
			ix.of[v] = append(had, r)
		}
	case []any:
		for _, e := range v {
			ix.add(r, e, depth+1)
		}
	case map[string]any:
		for _, e := range v {
			ix.add(r, e, depth+1)
		}
	}
}

// The types that an organization's policies hang on.
const (
	typeOrgPolicy = "AWS::Organizations::Policy"
	typeOrgUnit   = "AWS::Organizations::OrganizationalUnit"
)

// maxOrgDepth bounds the walk from an account to the root; AWS allows five
// levels of organizational units.
const maxOrgDepth = 10

// controlPolicies lists the content of the organization's policies of one kind
// that hang on an account or organizational unit or on any of its ancestors.
func (v *accountView) controlPolicies(res *estate.Resource, kind string) ref.Val {
	out := &resourceList{st: v.st, gap: v.gap(typeOrgPolicy, "")}
	above := map[string]bool{}
	for at := res; at != nil && len(above) < maxOrgDepth; {
		above[at.ID] = true
		parents := v.st.object(at).Get(types.String("ListParents"))
		if u, ok := parents.(*types.Unknown); ok {
			out.gap = u
			break
		}
		list, _ := lookupPath(at.Document, []string{"ListParents", "Parents"}).([]any)
		at = nil
		for _, p := range list {
			id, _ := lookupPath(p, []string{"Id"}).(string)
			if id == "" || above[id] {
				continue
			}
			above[id] = true // the root is no further resource
			if unit, ok := v.get(typeOrgUnit, id).(*object); ok {
				at = unit.res
			} else if g := v.gap(typeOrgUnit, ""); g != nil && strings.HasPrefix(id, "ou-") {
				out.gap = g
			}
		}
	}
	for _, p := range v.byType[typeOrgPolicy] {
		if p.Document["Type"] != kind {
			continue
		}
		o := v.st.object(p)
		if u, ok := o.Get(types.String("ListTargetsForPolicy")).(*types.Unknown); ok {
			out.gap = u
			continue
		}
		targets, _ := lookupPath(p.Document, []string{"ListTargetsForPolicy", "Targets"}).([]any)
		for _, t := range targets {
			id, _ := lookupPath(t, []string{"TargetId"}).(string)
			if !above[id] {
				continue
			}
			if u, ok := o.Get(types.String("DescribePolicy")).(*types.Unknown); ok {
				out.gap = u
			} else if content, ok := lookupPath(p.Document, []string{"DescribePolicy", "Policy", "Content"}).(string); ok {
				out.items = append(out.items, types.String(content))
			}
			break
		}
	}
	return out
}

const (
	maxWalk = 64  // how deep a document is searched for references
	minText = 3   // shorter texts refer to nothing
	maxText = 512 // and longer ones neither
)

// organizationView answers lookups across accounts. Until the walk over the
// accounts has ended, what it does not know yet is unknown.
type organizationView struct {
	st       *state
	ready    bool
	keep     map[string]members // the types that controls ask for
	byType   map[string][]*estate.Resource
	gaps     []estate.Gap
	accounts map[string]bool // accounts of the organization, and of the estate
	listed   bool            // whether the organization's accounts are known
	member   bool            // whether there is an organization
}

func newOrganizationView(st *state, keep map[string]members) *organizationView {
	return &organizationView{st: st, keep: keep, byType: map[string][]*estate.Resource{}, accounts: map[string]bool{}}
}

// add keeps what later lookups need of an account.
func (v *organizationView) add(a *estate.Account) {
	if a.ID != "" {
		v.accounts[a.ID] = true
	}
	for _, r := range a.Resources {
		if names, asked := v.keep[r.Type]; asked {
			v.byType[r.Type] = append(v.byType[r.Type], project(r, names))
		}
		switch r.Type {
		case typeOrgAccount:
			v.listed = true
			v.accounts[r.ID] = true
			if id, ok := r.Document["Id"].(string); ok {
				v.accounts[id] = true
			}
		case typeOrganization:
			v.member = true
			if id, ok := r.Document["MasterAccountId"].(string); ok {
				v.accounts[id] = true
			}
		}
	}
	for _, g := range a.Gaps {
		_, asked := v.keep[g.Type]
		if g.Part == "" && (asked || g.Type == "" || g.Type == typeOrgAccount) {
			v.gaps = append(v.gaps, g)
		}
	}
}

// project is a resource with some members of its document, so that what is kept
// of every account is small.
func project(r *estate.Resource, names members) *estate.Resource {
	if names == nil {
		return r
	}
	small := *r
	small.Document = make(map[string]any, 4)
	for name, v := range r.Document {
		if names[name] {
			small.Document[name] = v
		}
	}
	return &small
}

var laterGap = estate.Gap{Operation: "bartizan:scan", Reason: "not all accounts have been walked yet"}

func (v *organizationView) gap(typ string) ref.Val {
	if !v.ready {
		v.st.later = true
		return v.st.unknown(laterGap)
	}
	if why := v.st.outOfScope(typ); why != nil && len(v.byType[typ]) == 0 {
		return why
	}
	for _, g := range v.gaps {
		if g.Type == typ || g.Type == "" {
			return v.st.unknown(g)
		}
	}
	return nil
}

func (v *organizationView) list(typ string) ref.Val {
	out := &resourceList{st: v.st, gap: v.gap(typ)}
	if !v.ready {
		return out // what it holds is looked at once, at the end
	}
	for _, r := range v.byType[typ] {
		out.items = append(out.items, v.st.object(r))
	}
	return out
}

func (v *organizationView) contains(account string) ref.Val {
	if v.accounts[account] {
		return types.True
	}
	if !v.ready {
		return v.gap(typeOrgAccount)
	}
	for _, g := range v.gaps {
		if g.Type == typeOrgAccount || g.Type == "" {
			return v.st.unknown(g)
		}
	}
	if v.listed {
		return types.False
	}
	if v.member {
		return v.st.unknown(estate.Gap{Type: typeOrgAccount, Operation: "organizations:ListAccounts",
			Reason: "the estate holds a member of an organization and not its management account, which lists the members"})
	}
	if why := v.st.outOfScope(typeOrgAccount); why != nil {
		return why
	}
	return types.False
}

// handle is the value of the variables estate and organization.
type handle struct {
	typ    *types.Type
	acct   *accountView
	org    *organizationView
	region string
}

var (
	estateType       = types.NewObjectType("bartizan.Estate")
	organizationType = types.NewObjectType("bartizan.Organization")
)

func (h *handle) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s has no value of type %v", h.typ.TypeName(), t)
}
func (h *handle) ConvertToType(ref.Type) ref.Val {
	return types.NewErr("%s has no value", h.typ.TypeName())
}
func (h *handle) Equal(other ref.Val) ref.Val { return types.Bool(other == ref.Val(h)) }
func (h *handle) Type() ref.Type              { return h.typ }
func (h *handle) Value() any                  { return h }

// lookupOptions declares the lookups.
func lookupOptions() []cel.EnvOption {
	list := cel.ListType(cel.DynType)
	return []cel.EnvOption{
		cel.Variable("estate", estateType),
		cel.Variable("organization", organizationType),
		cel.Function("byType",
			cel.MemberOverload("estate_byType", []*cel.Type{estateType, cel.StringType}, list, cel.BinaryBinding(func(e, t ref.Val) ref.Val {
				return e.(*handle).acct.list(string(t.(types.String)), "")
			})),
			cel.MemberOverload("organization_byType", []*cel.Type{organizationType, cel.StringType}, list, cel.BinaryBinding(func(e, t ref.Val) ref.Val {
				return e.(*handle).org.list(string(t.(types.String)))
			}))),
		cel.Function("inRegion",
			cel.MemberOverload("estate_inRegion", []*cel.Type{estateType, cel.StringType}, list, cel.BinaryBinding(func(e, t ref.Val) ref.Val {
				h := e.(*handle)
				return h.acct.list(string(t.(types.String)), h.region)
			}))),
		// Nobody writes these two: see narrowingMacros.
		cel.Function("byTypeMentioning",
			cel.MemberOverload("estate_byTypeMentioning", []*cel.Type{estateType, cel.StringType, cel.DynType}, list, cel.OverloadIsNonStrict(), cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				return a[0].(*handle).acct.listMentioning(string(a[1].(types.String)), "", a[2])
			}))),
		cel.Function("inRegionMentioning",
			cel.MemberOverload("estate_inRegionMentioning", []*cel.Type{estateType, cel.StringType, cel.DynType}, list, cel.OverloadIsNonStrict(), cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				h := a[0].(*handle)
				return h.acct.listMentioning(string(a[1].(types.String)), h.region, a[2])
			}))),
		cel.Function("get",
			cel.MemberOverload("estate_get", []*cel.Type{estateType, cel.StringType, cel.DynType}, cel.DynType, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				id, ok := a[2].(types.String)
				if !ok {
					return nothing
				}
				return a[0].(*handle).acct.get(string(a[1].(types.String)), string(id))
			}))),
		cel.Function("referencing",
			cel.MemberOverload("estate_referencing", []*cel.Type{estateType, cel.DynType, cel.StringType}, list, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				o, ok := a[1].(*object)
				if !ok || o.res == nil {
					return types.NewErr("estate.referencing: want a resource")
				}
				return a[0].(*handle).acct.referencing(o.res, string(a[2].(types.String)))
			}))),
		cel.Function("controlPolicies",
			cel.MemberOverload("estate_controlPolicies", []*cel.Type{estateType, cel.DynType, cel.StringType}, list, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
				o, ok := a[1].(*object)
				if !ok || o.res == nil {
					return types.NewErr("estate.controlPolicies: want a resource")
				}
				return a[0].(*handle).acct.controlPolicies(o.res, string(a[2].(types.String)))
			}))),
		cel.Function("contains",
			cel.MemberOverload("organization_contains", []*cel.Type{organizationType, cel.StringType}, cel.BoolType, cel.BinaryBinding(func(e, a ref.Val) ref.Val {
				return e.(*handle).org.contains(string(a.(types.String)))
			}))),
		resourceFunction("id", cel.StringType, func(r *estate.Resource) any { return r.ID }),
		resourceFunction("arn", cel.StringType, func(r *estate.Resource) any { return r.ARN }),
		resourceFunction("account", cel.StringType, func(r *estate.Resource) any { return r.Account }),
		resourceFunction("region", cel.StringType, func(r *estate.Resource) any { return r.Region }),
		resourceFunction("resourceType", cel.StringType, func(r *estate.Resource) any { return r.Type }),
		resourceFunction("tags", cel.MapType(cel.StringType, cel.DynType), func(r *estate.Resource) any {
			m := make(map[string]any, len(r.Tags))
			for k, v := range r.Tags {
				m[k] = v
			}
			return m
		}),
	}
}

func resourceFunction(name string, t *cel.Type, get func(*estate.Resource) any) cel.EnvOption {
	return cel.Function(name, cel.MemberOverload("resource_"+name, []*cel.Type{cel.DynType}, t, cel.UnaryBinding(func(v ref.Val) ref.Val {
		o, ok := v.(*object)
		if !ok || o.res == nil {
			return types.NewErr("%s(): want a resource, not a part of one", name)
		}
		return theAdapter.NativeToValue(get(o.res))
	})))
}
