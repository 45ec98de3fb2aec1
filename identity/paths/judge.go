package paths

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/identity/inventory"
)

// try judges a primitive for one node and target.
func (s *search) try(n *node, p *Primitive, t target) *edge {
	if s.tries++; s.tries > mostTries {
		s.full = true
		return nil
	}
	e := &edge{prim: p, class: n.class, target: t, verdict: certain}
	assume := func(v verdict, text string) bool {
		if e.verdict = min(e.verdict, v); v == possible {
			e.assumes = append(e.assumes, text)
		}
		return v != not
	}
	for _, what := range p.Needs {
		if v, text := s.need(what, &t); !assume(v, text) {
			return nil
		}
	}
	values := t.values(n)
	a := s.account(n.p.Account)
	values["account"], values["partition"] = a.id, a.partition
	if t.principal != nil && slices.Contains(p.Needs, NeedsInstanceProfile) {
		if values["profile.name"] = s.account(t.principal.Account).profileOf(t.principal); values["profile.name"] == "" {
			values["profile.name"] = t.principal.Name
		}
	}
	calls, ids, rest, restIDs := s.split(n.class, p)
	if t.resource != nil && t.resource.source == nil {
		rest, restIDs, calls, ids = p.Steps, all(len(p.Steps)), nil, nil
	}
	first := n.class.bound[p]
	if first == nil || len(calls) == 0 {
		first = s.bind(n, calls, ids, map[string]string{"account": a.id, "partition": a.partition}, &target{})
		if len(calls) > 0 {
			n.class.bound[p] = first
		}
	}
	if first.verdict == not {
		return nil
	}
	if len(calls) > 0 {
		for k, v := range first.values {
			if _, set := values[k]; !set {
				values[k] = v
			}
		}
	}
	second := s.bind(n, rest, restIDs, values, &t)
	if second.verdict == not {
		return nil
	}
	e.steps, e.calls = slices.Concat(first.steps, second.steps), slices.Concat(first.at, second.at)
	order(e)
	e.values = values
	for k, v := range second.values {
		e.values[k] = v
	}
	if t.service != "" {
		resource := ""
		if t.resource != nil {
			resource = known(t.resource)
		}
		e.steps, e.calls = append(e.steps, s.serviceMay(t.principal, t.service, resource)), append(e.calls, -1)
	}
	for _, st := range e.steps {
		if e.verdict = min(e.verdict, st.verdict); st.verdict == not {
			return nil
		}
		for _, m := range st.missing {
			e.assumes = append(e.assumes, m+" ("+st.action+" on "+st.resource+")")
		}
	}
	if x := t.resource; x != nil && x.unread {
		if x.source == nil {
			assume(possible, "a resource of type "+p.Target.Type+" that runs as "+t.principal.Name+"; such resources were not read")
		} else {
			assume(possible, x.arn+" runs as "+t.principal.Name+"; its role was not read")
		}
	}
	return e
}

func all(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// order brings the steps back into the order of the primitive.
func order(e *edge) {
	perm := all(len(e.steps))
	sort.SliceStable(perm, func(i, j int) bool { return e.calls[perm[i]] < e.calls[perm[j]] })
	steps, calls := make([]*step, len(perm)), make([]int, len(perm))
	for i, j := range perm {
		steps[i], calls[i] = e.steps[j], e.calls[j]
	}
	e.steps, e.calls = steps, calls
}

// ofTarget are the words that only a target gives.
var ofTarget = []string{"{role.", "{user.", "{group.", "{policy.", "{resource.", "{service", "{self.", "{profile."}

// split parts a primitive's calls into those that are the same for every
// target, which are asked once for a class, and the others.
func (s *search) split(c *class, p *Primitive) (same []Call, sameIDs []int, other []Call, otherIDs []int) {
	for i, call := range p.Steps {
		depends := call.Trusted
		for _, on := range call.On {
			depends = depends || mentions(on)
		}
		for k, values := range call.Context {
			if slices.ContainsFunc(c.keys, func(asked string) bool { return strings.EqualFold(asked, k) }) {
				for _, v := range values {
					depends = depends || mentions(v)
				}
			}
		}
		if depends {
			other, otherIDs = append(other, call), append(otherIDs, i)
		} else {
			same, sameIDs = append(same, call), append(sameIDs, i)
		}
	}
	return same, sameIDs, other, otherIDs
}

func mentions(text string) bool {
	return slices.ContainsFunc(ofTarget, func(word string) bool { return strings.Contains(text, word) })
}

// call asks for one call on one resource, once for a class where it can.
func (w *world) call(n *node, call *Call, resource string, values map[string]string, t *target) *step {
	q := question{action: call.Action, resource: resource, trusted: call.Trusted, region: values["region"]}
	if q.region == "" || strings.HasPrefix(call.Action, "iam:") {
		q.region = homeRegion(values["partition"])
	}
	var alternatives []map[string][]string
	if len(call.Context) > 0 {
		alternatives = w.contexts(n.class, call, values)
	} else {
		alternatives = []map[string][]string{nil}
	}
	var on *existing
	switch {
	case t.principal != nil && resource == t.principal.ARN:
		q.tags, q.tagged = t.principal.Tags, true
	case t.resource != nil && t.resource.source != nil && resource == t.resource.arn:
		q.tags, q.tagged, on = t.resource.source.Tags, true, t.resource
	}
	self := 0
	if call.Action == "sts:AssumeRole" {
		q.role = t.principal
		if !call.Trusted {
			self = n.id + 1
		}
	}
	best := &step{}
	for _, context := range alternatives {
		q.context = context
		if b := boundaryOf(call.Action, t.principal); b != "" {
			q.context = with(context, "iam:PermissionsBoundary", b)
		}
		key := stepKey{q.action, resource, contextKey(q.context), q.trusted, on, self}
		s := n.class.steps[key]
		if s == nil {
			s = w.ask(n, q)
			n.class.steps[key] = s
		}
		if s.verdict > best.verdict {
			best = s
		}
	}
	return best
}

// contexts gives the context of a call; where a key has several values, one
// context for each, because a request carries one of them.
func (w *world) contexts(c *class, call *Call, values map[string]string) []map[string][]string {
	out := []map[string][]string{{}}
	for _, k := range slices.Sorted(maps.Keys(call.Context)) {
		list := call.Context[k]
		if !slices.ContainsFunc(c.keys, func(asked string) bool { return strings.EqualFold(asked, k) }) {
			continue // nobody asks
		}
		var next []map[string][]string
		for _, v := range list {
			for _, m := range out {
				next = append(next, with(m, k, expand(expand(v, values), values)))
			}
		}
		out = next
	}
	return out
}

func with(m map[string][]string, k, v string) map[string][]string {
	out := map[string][]string{k: {v}}
	if v == absent {
		out[k] = nil
	}
	for name, values := range m {
		out[name] = values
	}
	return out
}

// absent stands for a key that the request does not carry.
const absent = "\x00"

// boundaryOf returns what iam:PermissionsBoundary is when the policies of a
// principal are changed: its boundary.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
func boundaryOf(action string, p *inventory.Principal) string {
	if p == nil || !strings.HasPrefix(action, "iam:") || action == "iam:PassRole" {
		return ""
	}
	if p.Boundary == nil {
		return absent
	}
	return p.Boundary.ARN
}
