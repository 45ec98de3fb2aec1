package lint

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// redundantStatements reports statements that say the same as an earlier one:
// their elements are equal, order, Sid and the case of actions left aside.
func (l *linter) redundantStatements() {
	first := map[string]int{}
	for i, s := range l.statements {
		id := canonical(s.node)
		if j, dup := first[id]; dup {
			l.add("REDUNDANT_STATEMENT", s.node, "statement %d says the same; remove one", j+1)
			continue
		}
		first[id] = i
	}
}

// canonical writes a statement in one form.
func canonical(n *identity.Node) string {
	var parts []string
	for _, c := range n.Children {
		if c.Key != "Sid" {
			parts = append(parts, c.Key+"="+canonicalValue(c, strings.HasSuffix(c.Key, "Action")))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "\x00")
}

func canonicalValue(n *identity.Node, foldCase bool) string {
	switch n.Kind {
	case identity.Array:
		var parts []string
		for _, c := range n.Children {
			parts = append(parts, canonicalValue(c, foldCase))
		}
		slices.Sort(parts)
		return strings.Join(slices.Compact(parts), "\x01")
	case identity.Object:
		var parts []string
		for _, c := range n.Children {
			parts = append(parts, strings.ToLower(c.Key)+"\x03"+canonicalValue(c, foldCase))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, "\x02") + "}"
	}
	if foldCase {
		return strings.ToLower(n.Text)
	}
	return n.Text
}

// shadowed reports statements that another one without conditions makes
// pointless: one of the same effect that says at least as much, or a Deny that
// denies all that an Allow allows.
func (l *linter) shadowed() {
	for i, s := range l.statements {
		if !shadowable(s) {
			continue
		}
		for j, by := range l.statements {
			if i == j || !shadowable(by) || by.hasCond || by.allows() && s.denies() {
				continue
			}
			if !l.spend((len(s.actions)*len(by.actions) + len(s.resources)*len(by.resources)) * 60) {
				return
			}
			if !includes(by, s) || i < j && includes(s, by) && by.effect == s.effect && !s.hasCond {
				continue
			}
			if canonical(s.node) == canonical(by.node) {
				continue // REDUNDANT_STATEMENT says it
			}
			if by.effect == s.effect {
				l.add("BARTIZAN_SHADOWED_STATEMENT", s.node, "statement %d without a condition already says all of this; remove one of the two", j+1)
			} else {
				l.add("BARTIZAN_SHADOWED_STATEMENT", s.node, "statement %d denies all that this one allows", j+1)
			}
			break
		}
	}
}

func shadowable(s *statement) bool {
	return s.effect != "" && !s.notAction && !s.notRes && !s.notPrinc && len(s.actions) > 0
}

// includes reports whether by names every principal, action and resource of s.
func includes(by, s *statement) bool {
	for _, n := range s.actions {
		if !slices.ContainsFunc(by.actions, func(m *identity.Node) bool { return covers(strings.ToLower(m.Text), strings.ToLower(n.Text)) }) {
			return false
		}
	}
	if len(by.resources) == 0 != (len(s.resources) == 0) {
		return false
	}
	for _, n := range s.resources {
		if !slices.ContainsFunc(by.resources, func(m *identity.Node) bool { return covers(m.Text, n.Text) }) {
			return false
		}
	}
	if by.everyone {
		return true
	}
	if s.everyone {
		return false
	}
	for _, p := range s.princ {
		if !slices.ContainsFunc(by.princ, func(q principal) bool {
			return p.kind == q.kind && (p.node.Text == q.node.Text || q.node.Text == "*")
		}) {
			return false
		}
	}
	return true
}

// neverMatches finds statements, or actions of them, that no request can match.
func (l *linter) neverMatches(s *statement) {
	l.contradictions(s)
	l.keysNeverSent(s)
	if s.notAction || s.notRes || len(s.resources) == 0 || l.kind == SCP || l.kind == RCP {
		return
	}
	for _, n := range s.resources {
		if !strings.HasPrefix(n.Text, "arn:") || len(catalog.SplitARN(n.Text)) < 6 {
			return
		}
	}
	for _, n := range s.actions {
		if strings.ContainsAny(n.Text, "*?") {
			continue
		}
		a, ok := l.cat.Action(n.Text)
		if !ok || !l.spend(len(s.resources)*20_000) {
			continue
		}
		if !l.worksOnSome(a, s.resources) {
			if a.WildcardOnly() {
				l.add("BARTIZAN_ACTION_NEVER_MATCHES", n, `%s takes only the resource "*", which the statement does not name`, a)
			} else {
				l.add("BARTIZAN_ACTION_NEVER_MATCHES", n, "%s works on none of the resources named here; it takes %s", a, l.wants(a))
			}
		}
	}
}

// wants shows the ARN format of the action's first resource type.
func (l *linter) wants(a *catalog.Action) string {
	types := l.cat.ResourceTypesOf(a)
	if len(types) == 0 {
		return "*"
	}
	return types[0].ARN
}

func (l *linter) worksOnSome(a *catalog.Action, resources []*identity.Node) bool {
	for _, t := range l.cat.ResourceTypesOf(a) {
		for _, n := range resources {
			if catalog.MatchARN(n.Text, t) {
				return true
			}
		}
	}
	return false
}

// keysNeverSent reports a service's condition key that no action of the
// statement carries; an action named in full is AWS's check.
func (l *linter) keysNeverSent(s *statement) {
	if s.notAction || len(s.actions) == 0 {
		return
	}
	for _, c := range s.conds {
		if c.key == nil || c.key.Global || c.op.family == "Null" || c.op.ifExists || strings.HasPrefix(c.low, "aws:") {
			continue
		}
		sent, wild := false, false
		for _, n := range s.actions {
			cost := 3000
			if p, _, ok := strings.Cut(n.Text, ":"); !ok || strings.ContainsAny(p, "*?") {
				sent = true // every service may be meant
				break
			}
			wild = wild || strings.ContainsAny(n.Text, "*?")
			if !l.spend(cost) {
				return
			}
			if slices.ContainsFunc(l.cat.ExpandAction(n.Text), func(a *catalog.Action) bool { return l.carries(a, c.node.Key) }) {
				sent = true
				break
			}
		}
		if !sent && wild {
			l.addKey("BARTIZAN_KEY_NEVER_SENT", c.node, "no action of the statement carries %s", clip(c.node.Key))
		}
	}
}

// contradictions finds a key that must be absent and also have a value.
func (l *linter) contradictions(s *statement) {
	absent := map[string]bool{}
	for _, c := range s.conds {
		if c.op.family == "Null" && c.op.set == "" && len(c.values) == 1 && strings.EqualFold(c.values[0].Text, "true") {
			absent[c.low] = true
		}
	}
	equal := map[string]map[string]bool{}
	for _, c := range s.conds {
		if c.op.family == "" || c.op.family == "Null" || c.op.ifExists || c.op.negated || c.op.set == "ForAllValues" || len(c.values) == 0 {
			continue
		}
		if absent[c.low] {
			l.addKey("BARTIZAN_CONDITION_NEVER_TRUE", c.node, "%s must be absent by Null and have a value here", clip(c.node.Key))
			continue
		}
		exact := c.op.base == "StringEquals" || c.op.base == "StringLike"
		if !exact || c.op.set != "" || slices.ContainsFunc(c.values, func(v *identity.Node) bool { return strings.ContainsAny(v.Text, "*?$") }) {
			continue
		}
		values := map[string]bool{}
		for _, v := range c.values {
			values[v.Text] = true
		}
		if before, ok := equal[c.low]; ok {
			common := false
			for v := range values {
				common = common || before[v]
			}
			if !common {
				l.addKey("BARTIZAN_CONDITION_NEVER_TRUE", c.node, "%s must equal different values at once", clip(c.node.Key))
			}
		}
		equal[c.low] = values
	}
}
