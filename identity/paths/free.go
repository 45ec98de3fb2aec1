package paths

import (
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
)

// binding is the steps of a primitive with names that the caller may choose.
type binding struct {
	verdict verdict
	values  map[string]string
	steps   []*step // one per call and resource, in order
	at      []int   // the call of each step
}

// Bounds on the names that are tried for one primitive and class, and on the
// patterns that they come from.
const (
	maxTries     = 48
	mostPatterns = 200
)

// binder looks for names under which a node may make some calls.
type binder struct {
	w     *world
	n     *node
	calls []Call
	ids   []int // of the calls in their primitive
	t     *target
	tries int
	best  binding
}

// bind finds names for what the calls leave open. The region comes first: one in
// use, then one that the policies name.
func (w *world) bind(n *node, calls []Call, ids []int, values map[string]string, t *target) *binding {
	b := &binder{w: w, n: n, calls: calls, ids: ids, t: t}
	for _, region := range w.regionsFor(n, values) {
		v := maps.Clone(values)
		v["region"] = region
		b.next(0, 0, v, certain, nil, nil)
		if b.best.verdict == certain || b.tries >= maxTries {
			break
		}
	}
	return &b.best
}

// regionsFor lists the regions to try, the given one alone if there is one.
func (w *world) regionsFor(n *node, values map[string]string) []string {
	if r := values["region"]; r != "" {
		return []string{r}
	}
	regions := slices.Clone(w.account(n.p.Account).regions)
	add := func(r string) {
		if isRegion(r) && !slices.Contains(regions, r) && len(regions) < 8 {
			regions = append(regions, r)
		}
	}
	docs := slices.Concat(n.class.base.Identity, n.class.base.Boundaries)
	for _, level := range n.class.base.ServiceControl {
		docs = append(docs, level...)
	}
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			for _, c := range s.Conditions {
				for _, k := range c.Keys {
					if strings.EqualFold(k.Name, "aws:RequestedRegion") {
						for _, v := range k.Texts() {
							add(v)
						}
					}
				}
			}
			for _, r := range s.Resource.Texts() {
				if f := strings.SplitN(r, ":", 6); len(f) == 6 {
					add(f[3])
				}
			}
		}
	}
	return regions
}

func isRegion(s string) bool {
	return strings.Count(s, "-") >= 2 && len(s) < 24 && !strings.ContainsAny(s, "*?${}")
}

// next asks for the resource on of the call i, and goes on with the rest.
func (b *binder) next(i, on int, values map[string]string, sofar verdict, steps []*step, at []int) {
	if i == len(b.calls) {
		if sofar > b.best.verdict {
			b.best = binding{sofar, values, slices.Clone(steps), slices.Clone(at)}
		}
		return
	}
	call := &b.calls[i]
	if on == len(call.On) {
		b.next(i+1, 0, values, sofar, steps, at)
		return
	}
	for _, one := range strings.Split(call.On[on], alternative) {
		template := expand(expand(one, values), values)
		for _, v := range b.candidates(call, template, values) {
			if b.best.verdict == certain || b.tries >= maxTries {
				return
			}
			b.tries++
			s := b.w.call(b.n, call, expand(template, v), v, b.t)
			if s.verdict == not {
				continue
			}
			b.next(i, on+1, v, min(sofar, s.verdict), append(steps, s), append(at, b.ids[i]))
		}
	}
}

// defaultName is what a caller calls something new if it may be any name.
const defaultName = "bartizan"

// candidates lists ways to fill a template: the default name, then what the
// caller's policies allow.
func (b *binder) candidates(call *Call, template string, values map[string]string) []map[string]string {
	open := free(template)
	if len(open) == 0 {
		return []map[string]string{values}
	}
	plain := maps.Clone(values)
	for _, name := range open {
		plain[name] = defaultName
	}
	out := []map[string]string{plain}
	for _, pattern := range b.w.patterns(b.n, call.Action) {
		found, ok := witness(template, pattern)
		if !ok {
			continue
		}
		v := maps.Clone(values)
		maps.Copy(v, found)
		if !slices.ContainsFunc(out, func(o map[string]string) bool { return maps.Equal(o, v) }) {
			out = append(out, v)
		}
		if len(out) > 12 {
			break
		}
	}
	return out
}

// patterns lists the resources that a node's policies name for an action: those
// that an Allow covers, and those that a Deny exempts.
func (w *world) patterns(n *node, action string) []string {
	var out []string
	docs := slices.Concat(n.class.base.Identity, n.class.base.Boundaries)
	for _, level := range n.class.base.ServiceControl {
		docs = append(docs, level...)
	}
	for _, d := range docs {
		for _, s := range d.Policy.Statements {
			if !names(s, action) {
				continue
			}
			texts := s.Resource.Texts()
			if s.Effect == identity.Deny {
				texts = s.NotResource.Texts()
			}
			for _, t := range texts {
				t = strings.ReplaceAll(t, "${aws:username}", n.p.Name)
				if t != "*" && !strings.Contains(t, "${") && len(out) < mostPatterns {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// witness finds values for the open names of a template under which it matches
// a pattern with * and ?.
func witness(template, pattern string) (map[string]string, bool) {
	if len(template) > 1024 || len(pattern) > 1024 {
		return nil, false
	}
	m := &matcher{pattern: pattern, failed: map[[3]int]bool{}, values: map[string]string{}}
	for {
		before, rest, ok := strings.Cut(template, "{")
		name, after, closed := strings.Cut(rest, "}")
		for i := range len(before) {
			m.tokens = append(m.tokens, token{char: before[i]})
		}
		if !ok || !closed {
			break
		}
		m.tokens = append(m.tokens, token{name: name})
		template = after
	}
	if !m.match(0, 0, 0) {
		return nil, false
	}
	return m.values, true
}

type token struct {
	char byte
	name string // of what is open; then char does not count
}

type matcher struct {
	tokens  []token
	pattern string
	failed  map[[3]int]bool
	values  map[string]string
}

// match walks template and pattern together; n is how many characters the open
// name at i has so far.
func (m *matcher) match(i, j, n int) bool {
	if i == len(m.tokens) {
		return strings.Trim(m.pattern[j:], "*") == ""
	}
	state := [3]int{i, j, min(n, 1)}
	if m.failed[state] {
		return false
	}
	t := m.tokens[i]
	star := j < len(m.pattern) && m.pattern[j] == '*'
	if star && m.match(i, j+1, n) {
		return true
	}
	if t.name == "" {
		if star && m.match(i+1, j, 0) || j < len(m.pattern) && (m.pattern[j] == t.char || m.pattern[j] == '?') && m.match(i+1, j+1, 0) {
			return true
		}
		m.failed[state] = true
		return false
	}
	// The name may take the pattern's next character, or one of its own for a
	// wildcard, or end.
	if j < len(m.pattern) && !star {
		c := m.pattern[j]
		if c == '?' {
			c = 'x'
		}
		if isNameChar(c) && m.match(i, j+1, n+1) {
			m.values[t.name] = string(c) + m.values[t.name]
			return true
		}
	}
	if star && n == 0 && m.match(i, j, n+1) {
		m.values[t.name] = "x" + m.values[t.name]
		return true
	}
	if n > 0 && m.match(i+1, j, 0) {
		return true
	}
	m.failed[state] = true
	return false
}

func isNameChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}
