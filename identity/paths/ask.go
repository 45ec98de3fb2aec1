package paths

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// question is whether a class may make a call.
type question struct {
	action   string
	resource string
	context  map[string][]string
	region   string               // of the call
	tags     map[string]string    // of the resource
	tagged   bool                 // the tags are known
	trusted  bool                 // the role's trust policy names the caller by now
	role     *inventory.Principal // whose trust policy takes part
}

// step is a call with the answer whether it is allowed.
type step struct {
	question
	by      string // ARN of the caller, or the service
	verdict verdict
	missing []string // keys, and what else is not known
	refs    []identity.StatementRef

	request  *identity.Request
	stack    identity.Stack
	supports [][]identity.StatementRef // see support; computed when asked for
}

type stepKey struct {
	action, resource, context string
	trusted                   bool
	tagged                    *existing
	self                      int
}

type trustKey struct {
	role     *inventory.Principal
	service  string
	resource string
}

// actionKeys are the condition keys that requests of an action can carry.
type actionKeys struct {
	exact    map[string]bool
	prefixes []string
}

func (w *world) keysFor(action string) *actionKeys {
	k := w.actionKey[action]
	if k == nil {
		k = &actionKeys{exact: map[string]bool{}}
		if a, ok := catalog.Default().Action(action); ok {
			for _, name := range catalog.Default().ActionKeys(a) {
				low := strings.ToLower(name)
				if prefix, _, template := strings.Cut(low, "${"); template {
					k.prefixes = append(k.prefixes, prefix)
				} else {
					k.exact[low] = true
				}
			}
		}
		w.actionKey[action] = k
	}
	return k
}

func (k *actionKeys) has(low string) bool {
	return k.exact[low] || slices.ContainsFunc(k.prefixes, func(p string) bool { return strings.HasPrefix(low, p) })
}

// notInDirectCalls are keys that only requests of services on somebody's behalf
// carry.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var notInDirectCalls = map[string]bool{
	"aws:calledvia": true, "aws:calledviafirst": true, "aws:calledvialast": true, "aws:sourcearn": true, "aws:sourceaccount": true,
	"aws:sourceorgid": true, "aws:sourceorgpaths": true, "aws:principalservicenameslist": true,
}

// unknown lists the keys among those asked for that a request may carry with
// values that nobody knows. Keys that AWS would not send with it are absent.
func (w *world) unknown(q *question, r *identity.Request, asked ...[]string) []string {
	var out []string
	var keys *actionKeys
	for _, names := range asked {
		for _, name := range names {
			low := strings.ToLower(name)
			if given(r.Context, low) || notInDirectCalls[low] {
				continue
			}
			if keys == nil {
				keys = w.keysFor(q.action)
			}
			prefix, rest, _ := strings.Cut(low, ":")
			tag, isTag := strings.CutPrefix(rest, "resourcetag/")
			switch {
			case isTag && q.tagged:
				if v, ok := tagValue(q.tags, tag); ok && (prefix == "aws" || keys.has(low)) {
					r.Context[name] = []string{v}
				}
			case prefix != "aws" || isTag || low == "aws:tagkeys" || strings.HasPrefix(low, "aws:requesttag/"):
				if keys.has(low) && !strings.Contains(prefix, ".") && prefix != "saml" && !slices.Contains(out, name) {
					out = append(out, name)
				}
			case !slices.Contains(out, name):
				out = append(out, name)
			}
		}
	}
	return out
}

func given(context map[string][]string, low string) bool {
	for k := range context {
		if strings.EqualFold(k, low) {
			return true
		}
	}
	return false
}

func tagValue(tags map[string]string, low string) (string, bool) {
	best, found := "", false
	for k := range tags {
		if strings.EqualFold(k, low) && (!found || k < best) {
			best, found = k, true
		}
	}
	return tags[best], found
}

// ask decides a question for a node.
func (w *world) ask(n *node, q question) *step {
	c := n.class
	r := w.inv.Request(n.p, q.action, q.resource, q.context)
	r.Context["aws:ViaAWSService"] = []string{"false"}
	r.Context["aws:SecureTransport"] = []string{"true"}
	if q.region != "" && !given(q.context, "aws:requestedregion") {
		r.Context["aws:RequestedRegion"] = []string{q.region}
	}
	s := &step{question: q, by: n.p.ARN, request: r, stack: c.base}
	s.stack.ResourceControl = w.account(r.ResourceAccount).control
	var policyKeys []string
	switch {
	case q.role != nil:
		doc := w.trust(q.role)
		if q.trusted {
			doc = w.naming(n.p)
		}
		if s.stack.Resource = doc; doc == nil {
			s.missing = append(s.missing, "the trust policy of "+q.role.ARN)
		} else {
			policyKeys = w.policyKeys(doc)
		}
	default:
		if res, ok := w.inv.Resource(q.resource); ok && res.Type != "AWS::IAM::Role" {
			s.missing = append(s.missing, res.Missing...)
			s.stack.S3, s.stack.Grants = res.S3, res.Grants
			if s.stack.Resource = res.Policy; res.Policy != nil {
				policyKeys = w.policyKeys(res.Policy)
			}
		}
	}
	r.UnknownContext = w.unknown(&q, r, c.keys, policyKeys, w.controlKeys(s.stack.ResourceControl))
	w.settle(s, c.missing)
	return s
}

// settle evaluates a step.
func (w *world) settle(s *step, missing []string) {
	w.evaluated++
	d, err := identity.Evaluate(s.request, &s.stack)
	if err != nil {
		return
	}
	s.refs = d.Statements
	s.missing = append(s.missing, missing...)
	switch {
	case d.Outcome == identity.Allowed && len(s.missing) == 0:
		s.verdict = certain
	case d.Outcome == identity.Allowed:
		s.verdict = possible
	case d.Outcome == identity.Unknown:
		s.verdict = possible
		for _, k := range d.MissingContext {
			s.missing = append(s.missing, "the condition key "+k)
		}
		for _, r := range w.sureAllows(s) {
			if !slices.Contains(s.refs, r) {
				s.refs = append(s.refs, r)
			}
		}
	}
	sort.Strings(s.missing)
	s.missing = slices.Compact(s.missing)
}

// sureAllows lists the allowing statements of an unknown decision that only a
// statement elsewhere leaves undecided: those that decide without control
// policies and denies.
func (w *world) sureAllows(s *step) []identity.StatementRef {
	stack := identity.Stack{Identity: s.stack.Identity, Resource: s.stack.Resource}
	d, err := identity.Evaluate(s.request, &stack)
	if err != nil || d.Outcome != identity.Allowed {
		return nil
	}
	return d.Statements
}

func (w *world) policyKeys(d *identity.Document) []string {
	k, ok := w.keysOf[d]
	if !ok {
		k = w.asked(&identity.Stack{Resource: d})
		w.keysOf[d] = k
	}
	return k
}

// asked lists the keys that a stack asks for and that the evaluator does not
// derive. Where the estate says nothing of an organization, the keys about it
// are such, too: whether the account is in one is not known.
func (w *world) asked(s *identity.Stack) []string {
	keys := inventory.Unknowns(s, &identity.Request{})
	if w.inv.HasOrganization() {
		return keys
	}
	docs := slices.Concat(s.Identity, s.Boundaries)
	if s.Resource != nil {
		docs = append(docs, s.Resource)
	}
	for _, d := range docs {
		for _, st := range d.Policy.Statements {
			for _, c := range st.Conditions {
				for _, k := range c.Keys {
					switch strings.ToLower(k.Name) {
					case "aws:principalorgid", "aws:principalorgpaths", "aws:resourceorgid", "aws:resourceorgpaths":
						if !slices.Contains(keys, k.Name) {
							keys = append(keys, k.Name)
						}
					}
				}
			}
		}
	}
	return keys
}

func (w *world) controlKeys(levels [][]*identity.Document) []string {
	var out []string
	for _, level := range levels {
		for _, d := range level {
			out = append(out, w.policyKeys(d)...)
		}
	}
	return out
}

// naming makes the trust policy that somebody writes who wants to assume a role.
func (w *world) naming(p *inventory.Principal) *identity.Document {
	policy := &identity.Policy{
		Version: &identity.Value{Text: identity.Version2012, Kind: identity.String},
		Statements: []*identity.Statement{{
			Effect: identity.Allow, Action: identity.NewList("sts:AssumeRole"),
			Principal: &identity.Principal{Entries: []*identity.PrincipalEntry{{Type: identity.PrincipalAWS, List: *identity.NewList(p.ARN)}}},
		}},
	}
	d, err := identity.Compile(policy, identity.ResourcePolicy, "new trust policy")
	if err != nil {
		return w.nobody
	}
	return d
}

// serviceMay decides whether a service may assume a role for a resource; "" is
// one that does not exist yet.
func (w *world) serviceMay(role *inventory.Principal, service, resource string) *step {
	key := trustKey{role, service, resource}
	if s, ok := w.trusting[key]; ok {
		return s
	}
	q := question{action: "sts:AssumeRole", resource: role.ARN, role: role, tagged: true, tags: role.Tags}
	r := &identity.Request{Principal: service, Action: q.action, Resource: role.ARN, ResourceAccount: role.Account, ManagementAccount: w.inv.ManagementAccount(),
		Context: map[string][]string{"aws:SourceAccount": {role.Account}, "aws:SecureTransport": {"true"}}}
	if id := w.inv.OrganizationID(); id != "" && w.inv.Member(role.Account) {
		r.Context["aws:SourceOrgID"] = []string{id}
		r.Context["aws:ResourceOrgID"] = []string{id}
	}
	if resource != "" {
		r.Context["aws:SourceArn"] = []string{resource}
	}
	s := &step{question: q, by: service, request: r}
	s.stack.Resource = w.trust(role)
	if s.stack.Resource == nil {
		s.missing = []string{"the trust policy of " + role.ARN}
		s.stack.Resource = w.nobody
	}
	s.stack.ResourceControl = w.account(role.Account).control
	keys := slices.Concat(w.policyKeys(s.stack.Resource), w.controlKeys(s.stack.ResourceControl))
	for _, k := range keys {
		low := strings.ToLower(k)
		switch {
		case given(r.Context, low) || slices.Contains(r.UnknownContext, k):
		case low == "aws:sourcearn", low == "aws:sourceorgpaths", low == "sts:externalid":
			r.UnknownContext = append(r.UnknownContext, k)
		case strings.HasPrefix(low, "aws:resourcetag/"), strings.HasPrefix(low, "iam:resourcetag/"):
			_, tag, _ := strings.Cut(low, "/")
			if v, ok := tagValue(role.Tags, tag); ok {
				r.Context[k] = []string{v}
			}
		}
	}
	w.settle(s, nil)
	w.trusting[key] = s
	return s
}

// support lists the least sets of statements each of which is enough for a step:
// take one statement out of every set, and the step is not allowed any more.
func (w *world) support(s *step) [][]identity.StatementRef {
	if s.supports != nil {
		return s.supports
	}
	var allows []identity.StatementRef
	for _, r := range s.refs {
		if r.Statement.Effect == identity.Allow && !slices.Contains(allows, r) {
			allows = append(allows, r)
		}
	}
	// With many allows, the sets of one and two statements are all there are but
	// for combinations that cross three layers, which do not exist.
	for i := range allows {
		if w.enough(s, allows[i:i+1]) {
			s.supports = append(s.supports, allows[i:i+1])
		}
	}
	for i := range allows {
		for j := i + 1; j < len(allows); j++ {
			pair := []identity.StatementRef{allows[i], allows[j]}
			alone := slices.ContainsFunc(s.supports, func(set []identity.StatementRef) bool { return len(set) == 1 && slices.Contains(pair, set[0]) })
			if !alone && allows[i].Layer != allows[j].Layer && w.enough(s, pair) {
				s.supports = append(s.supports, pair)
			}
		}
	}
	if len(s.supports) == 0 {
		s.supports = [][]identity.StatementRef{allows}
	}
	return s.supports
}

// enough reports whether a step stays as it is if only these of its allowing
// statements are left.
func (w *world) enough(s *step, keep []identity.StatementRef) bool {
	kept := func(d *identity.Document, layer identity.Layer) *identity.Document {
		var left []*identity.Statement
		for _, st := range d.Policy.Statements {
			if st.Effect == identity.Deny || slices.ContainsFunc(keep, func(r identity.StatementRef) bool { return r.Document == d && r.Statement == st }) {
				left = append(left, st)
			}
		}
		if len(left) == len(d.Policy.Statements) {
			return d
		}
		out, err := identity.Compile(&identity.Policy{Version: d.Policy.Version, Statements: left}, layer, d.Name)
		if err != nil {
			return w.nobody
		}
		return out
	}
	stack := s.stack
	stack.Identity = nil
	for _, d := range s.stack.Identity {
		stack.Identity = append(stack.Identity, kept(d, d.Layer))
	}
	if stack.Resource != nil {
		stack.Resource = kept(stack.Resource, identity.ResourcePolicy)
	}
	d, err := identity.Evaluate(s.request, &stack)
	return err == nil && (d.Outcome == identity.Allowed || d.Outcome == identity.Unknown)
}

// contextKey makes a map comparable.
func contextKey(m map[string][]string) string {
	if len(m) == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b.WriteString(k + "\x00" + strings.Join(m[k], "\x01") + "\x02")
	}
	return b.String()
}

// regionOf returns the region of a call on a resource, or "".
func regionOf(resource string) string {
	a, err := arn.Parse(resource)
	if err != nil {
		return ""
	}
	return a.Region
}
