// Package effective computes what a principal may do in the end as one policy:
// its identity policies within its boundary and the organization's control
// policies.
//
// Of computes the Result, whose policy is proven equal to the whole stack in
// both directions where the prover can.
//
// # Caveats
//
// Resource policies, key grants and session policies take no part: they belong
// to the request, not to the principal. A statement that cannot be expressed
// (conditions on the same key with different values) is left out, and the proof
// then says what is lacking.
package effective

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// Result is an effective policy with its proof.
type Result struct {
	Policy *identity.Policy
	// Wider answers: does the policy allow anything that the stack does not?
	// Narrower answers the opposite. Both No: it is exactly what the stack allows.
	Wider, Narrower prove.Answer
	Inexact         []string // what could not be expressed, in words
}

// Exact reports whether the policy is proven to allow just what the stack does.
func (r *Result) Exact() bool { return r.Wider.Verdict == prove.No && r.Narrower.Verdict == prove.No }

// maxStatements bounds the policy while it is computed.
const maxStatements = 2000

// Of computes what the identity policies, boundaries and service control
// policies of a stack allow together.
func Of(s *identity.Stack) *Result {
	c := &calculation{}
	allows, denies := split(s.Identity)
	layers := [][]*identity.Document{}
	for _, b := range s.Boundaries {
		layers = append(layers, []*identity.Document{b})
	}
	layers = append(layers, s.ServiceControl...)
	for _, layer := range layers {
		a, d := split(layer)
		denies = append(denies, d...)
		allows = c.intersect(allows, a)
	}
	p := &identity.Policy{Version: &identity.Value{Text: identity.Version2012}}
	for _, st := range append(tidy(allows), tidy(denies)...) {
		clean := *st
		clean.Index, clean.Node = len(p.Statements), nil
		p.Statements = append(p.Statements, &clean)
	}
	r := &Result{Policy: p, Inexact: c.inexact}
	stack := identity.Stack{Identity: s.Identity, Boundaries: s.Boundaries, ServiceControl: s.ServiceControl}
	if len(p.Statements) == 0 {
		// Nothing is allowed: that has no policy to compare with.
		r.Narrower = prove.Allows(prove.Side{Stack: stack})
		return r
	}
	d, err := identity.Compile(p, identity.IdentityPolicy, "effective policy")
	if err != nil {
		unknown := prove.Answer{Verdict: prove.Unknown, Reason: err.Error()}
		r.Wider, r.Narrower = unknown, unknown
		return r
	}
	mine, whole := prove.Side{Stack: identity.Stack{Identity: []*identity.Document{d}}}, prove.Side{Stack: stack}
	r.Wider, r.Narrower = prove.Compare(whole, mine), prove.Compare(mine, whole)
	return r
}

// split separates the statements of policies; each Sid is dropped, because the
// joined policy would have some twice.
func split(docs []*identity.Document) (allows, denies []*identity.Statement) {
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			c := *s
			c.Sid = nil
			if c.Effect == identity.Allow {
				allows = append(allows, &c)
			} else {
				denies = append(denies, &c)
			}
		}
	}
	return allows, denies
}

type calculation struct{ inexact []string }

func (c *calculation) lack(format string) {
	if !slices.Contains(c.inexact, format) {
		c.inexact = append(c.inexact, format)
	}
}

// intersect returns statements that allow what both lists allow.
func (c *calculation) intersect(a, b []*identity.Statement) []*identity.Statement {
	var out []*identity.Statement
	for _, s := range a {
		if slices.ContainsFunc(b, everything) {
			out = append(out, s)
			continue
		}
		for _, t := range b {
			if len(out) >= maxStatements {
				c.lack("the policy would have too many statements")
				return out
			}
			if both := c.both(s, t); both != nil {
				out = append(out, both)
			}
		}
	}
	return out
}

// everything reports whether a statement allows all requests.
func everything(s *identity.Statement) bool {
	return s.Action != nil && slices.Contains(s.Action.Texts(), "*") && s.Resource != nil && slices.Contains(s.Resource.Texts(), "*") && len(s.Conditions) == 0
}

// both is the statement that allows what two statements allow, or nil.
func (c *calculation) both(s, t *identity.Statement) *identity.Statement {
	out := &identity.Statement{Effect: identity.Allow}
	if out.Action, out.NotAction = c.actions(s, t); out.Action == nil && out.NotAction == nil {
		return nil
	}
	var ok bool
	if out.Resource, out.NotResource, ok = c.resources(s, t); !ok {
		return nil
	}
	if out.Conditions, ok = c.conditions(s, t); !ok {
		return nil
	}
	out.HasCondition = len(out.Conditions) > 0
	return out
}

// actions intersects the actions of two statements. Patterns of which neither
// holds the other are written out by the service authorization reference.
func (c *calculation) actions(s, t *identity.Statement) (yes, no *identity.List) {
	switch {
	case s.Action != nil && t.Action != nil:
		return list(c.patterns(s.Action.Texts(), t.Action.Texts(), action)), nil
	case s.Action != nil:
		return list(without(s.Action.Texts(), t.NotAction.Texts())), nil
	case t.Action != nil:
		return list(without(t.Action.Texts(), s.NotAction.Texts())), nil
	}
	return nil, list(union(s.NotAction.Texts(), t.NotAction.Texts()))
}

func (c *calculation) resources(s, t *identity.Statement) (yes, no *identity.List, ok bool) {
	switch {
	case s.Resource != nil && t.Resource != nil:
		yes = list(c.patterns(s.Resource.Texts(), t.Resource.Texts(), resource))
		return yes, nil, yes != nil
	case s.Resource == nil && t.Resource == nil:
		return nil, list(union(s.NotResource.Texts(), t.NotResource.Texts())), true
	}
	with, lacks := s, t
	if s.Resource == nil {
		with, lacks = t, s
	}
	if slices.Contains(with.Resource.Texts(), "*") {
		return nil, lacks.NotResource, true
	}
	var keep []string
	for _, r := range with.Resource.Texts() {
		switch {
		case slices.ContainsFunc(lacks.NotResource.Texts(), func(n string) bool { return holds(n, r, resource) }):
		case slices.ContainsFunc(lacks.NotResource.Texts(), func(n string) bool {
			return holds(r, n, resource) || strings.Contains(n, "*") && strings.Contains(r, "*")
		}):
			c.lack("resources " + r + " without " + strings.Join(lacks.NotResource.Texts(), ", "))
		default:
			keep = append(keep, r)
		}
	}
	return list(keep), nil, len(keep) > 0
}

// kind is what a pattern is about.
type kind uint8

const (
	action kind = iota
	resource
)

// holds reports whether each text that pattern b matches is matched by a. It may
// say no where it is so.
func holds(a, b string, k kind) bool {
	if k == action {
		a, b = strings.ToLower(a), strings.ToLower(b)
	}
	if a == "*" || a == b {
		return true
	}
	if strings.Contains(a, "?") || strings.Contains(a, "${") || strings.Contains(b, "${") && !strings.HasSuffix(a, "*") {
		return false
	}
	if k == resource {
		return identity.MatchResource(a, b)
	}
	return identity.MatchAction(a, b)
}

// patterns intersects two lists of patterns.
func (c *calculation) patterns(a, b []string, k kind) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			switch {
			case holds(y, x, k):
				out = append(out, x)
			case holds(x, y, k):
				out = append(out, y)
			case !strings.ContainsAny(x, "*?") && !strings.ContainsAny(y, "*?") && !strings.Contains(x+y, "${"):
			case k == action:
				for _, act := range catalog.Default().ExpandAction(x) {
					if identity.MatchAction(y, act.String()) {
						out = append(out, act.String())
					}
				}
			case mayMeet(x, y):
				c.lack("resources that match both " + x + " and " + y)
			}
		}
	}
	return reduce(out, k)
}

// mayMeet reports whether two resource patterns may match the same text: their
// fixed beginnings agree as far as both go, and their fixed ends too.
func mayMeet(x, y string) bool {
	fixed := func(s string) string {
		if i := strings.IndexAny(s, "*?$"); i >= 0 {
			return s[:i]
		}
		return s
	}
	ending := func(s string) string {
		if i := strings.LastIndexAny(s, "*?}"); i >= 0 {
			return s[i+1:]
		}
		return s
	}
	a, b := fixed(x), fixed(y)
	n := min(len(a), len(b))
	e, f := ending(x), ending(y)
	m := min(len(e), len(f))
	return a[:n] == b[:n] && e[len(e)-m:] == f[len(f)-m:]
}

// without removes patterns from patterns of actions.
func without(keep, drop []string) []string {
	var out []string
	for _, k := range keep {
		if slices.ContainsFunc(drop, func(d string) bool { return holds(d, k, action) }) {
			continue
		}
		acts := catalog.Default().ExpandAction(k)
		rest := acts[:0:0]
		for _, a := range acts {
			if !slices.ContainsFunc(drop, func(d string) bool { return identity.MatchAction(d, a.String()) }) {
				rest = append(rest, a)
			}
		}
		if len(rest) == len(acts) {
			out = append(out, k)
			continue
		}
		for _, a := range rest {
			out = append(out, a.String())
		}
	}
	return reduce(out, action)
}

// conditions joins the conditions of two statements: all must hold.
func (c *calculation) conditions(s, t *identity.Statement) ([]*identity.Condition, bool) {
	out := make([]*identity.Condition, 0, len(s.Conditions)+len(t.Conditions))
	for _, cond := range s.Conditions {
		out = append(out, &identity.Condition{Operator: cond.Operator, Keys: slices.Clone(cond.Keys)})
	}
	for _, cond := range t.Conditions {
		at := slices.IndexFunc(out, func(o *identity.Condition) bool { return strings.EqualFold(o.Operator, cond.Operator) })
		if at < 0 {
			out = append(out, &identity.Condition{Operator: cond.Operator, Keys: slices.Clone(cond.Keys)})
			continue
		}
		for _, k := range cond.Keys {
			same := slices.IndexFunc(out[at].Keys, func(o *identity.ConditionKey) bool { return strings.EqualFold(o.Name, k.Name) })
			switch {
			case same < 0:
				out[at].Keys = append(out[at].Keys, k)
			case slices.Equal(slices.Sorted(slices.Values(out[at].Keys[same].Texts())), slices.Sorted(slices.Values(k.Texts()))):
			case strings.EqualFold(cond.Operator, "StringEquals"):
				common := slices.DeleteFunc(slices.Clone(k.Texts()), func(v string) bool { return !slices.Contains(out[at].Keys[same].Texts(), v) })
				if len(common) == 0 {
					return nil, false
				}
				out[at].Keys[same] = &identity.ConditionKey{Name: k.Name, List: *identity.NewList(common...)}
			default:
				c.lack("two conditions " + cond.Operator + " on " + k.Name)
				return nil, false
			}
		}
	}
	return out, true
}

func list(texts []string) *identity.List {
	if len(texts) == 0 {
		return nil
	}
	return identity.NewList(texts...)
}

func union(a, b []string) []string { return reduce(slices.Concat(a, b), action) }

// reduce sorts patterns and drops those that another one holds.
func reduce(all []string, k kind) []string {
	slices.SortFunc(all, func(a, b string) int {
		if n := strings.Compare(strings.ToLower(a), strings.ToLower(b)); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	all = slices.CompactFunc(all, func(a, b string) bool { return a == b || k == action && strings.EqualFold(a, b) })
	var wide []string
	for _, p := range all {
		if strings.ContainsAny(p, "*") {
			wide = append(wide, p)
		}
	}
	var out []string
	for i, p := range all {
		held := slices.ContainsFunc(wide, func(w string) bool { return w != p && holds(w, p, k) && !(holds(p, w, k) && p < w) })
		if !held {
			out = append(out, all[i])
		}
	}
	return out
}

// tidy sorts the elements of statements, drops statements that occur twice, and
// joins those that differ only in their actions.
func tidy(statements []*identity.Statement) []*identity.Statement {
	var out []*identity.Statement
	at := map[string]int{}
	for _, s := range statements {
		c := *s
		for _, l := range []struct {
			p **identity.List
			k kind
		}{{&c.Action, action}, {&c.NotAction, action}, {&c.Resource, resource}, {&c.NotResource, resource}} {
			if *l.p != nil {
				*l.p = identity.NewList(reduce(slices.Clone((*l.p).Texts()), l.k)...)
			}
		}
		rest := c
		rest.Action = nil
		key := rest.String()
		if c.NotAction != nil || c.Action == nil {
			key = "not\x00" + key
		}
		if i, ok := at[key]; ok {
			if c.Action != nil {
				out[i].Action = identity.NewList(reduce(slices.Concat(out[i].Action.Texts(), c.Action.Texts()), action)...)
			}
			continue
		}
		at[key] = len(out)
		out = append(out, &c)
	}
	return out
}
