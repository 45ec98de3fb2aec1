package paths

import (
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// joined lists the ARNs of the groups that a node joined.
func (n *node) joined() []string {
	if n.plus != PlusGroup {
		return nil
	}
	return strings.Split(n.extra, "\n")
}

// joinedWith is the extra of a node that joins one more group.
func joinedWith(groups []string, one string) string {
	all := append(slices.Clone(groups), one)
	sort.Strings(all)
	return strings.Join(all, "\n")
}

// mostGroups is how many groups a user can be in.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const mostGroups = 10

// mostCombined bounds the combinations of groups that are tried for one user.
const mostCombined = 40

// mayJoin reports whether it is worth trying to join a group, beside those that a
// node joined on its way. Where one group alone makes an administrator nobody
// needs it together with others.
func (s *search) mayJoin(n *node, group string) bool {
	joined := n.joined()
	switch {
	case n.plus == PlusAdmin || len(n.p.Groups)+len(joined) >= mostGroups:
		return false
	case len(joined) == 0:
		return true
	}
	if !s.brings(n.p, group) {
		return false
	}
	if alone := s.byNode[nodeKey{n.p, PlusGroup, group}]; alone != nil && settled(alone.class) {
		return false
	}
	key := nodeKey{n.p, PlusGroup, joinedWith(joined, group)}
	if s.byNode[key] != nil {
		return true
	}
	if s.combined[n.p] >= mostCombined || s.hasty() {
		s.crowded[n.p] = true
		return false
	}
	s.combined[n.p]++
	return true
}

// brings reports whether a group may allow anything that a primitive or the goal
// asks for: one that does not is not worth joining beside others.
func (s *search) brings(p *inventory.Principal, group string) bool {
	for _, a := range s.broughtBy(p, group) {
		if s.docBits(a.Document) != (bits{}) {
			return true
		}
		for _, st := range a.Policy.Statements {
			if st.Effect == identity.Allow && slices.ContainsFunc(s.goal.asked, func(q question) bool { return names(st, q.action) }) {
				return true
			}
		}
	}
	return false
}

// broughtBy lists the policies that groups, as in the extra of a node, bring to a
// principal that joins them, less what is removed.
func (w *world) broughtBy(p *inventory.Principal, groups string) []inventory.Attachment {
	if list, ok := w.ofGroup[groups]; ok {
		return list
	}
	var list []inventory.Attachment
	arns := strings.Split(groups, "\n")
	for _, g := range w.account(p.Account).groups {
		if !slices.Contains(arns, g.ARN) {
			continue
		}
		for _, a := range g.Policies {
			if d := w.without(a.Document, func(s *identity.Statement) Change { return w.changeOf(p, &a, s) }); d != nil {
				a.Document = d
				list = append(list, a)
			}
		}
	}
	w.ofGroup[groups] = list
	return list
}
