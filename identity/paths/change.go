package paths

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/inventory"
)

// Change is one change of a policy that takes rights away: a statement that is
// removed or narrowed, or an AWS managed policy that is detached.
type Change struct {
	Holder string `json:"holder"` // ARN of the user, role, group or managed policy that is changed
	Policy string `json:"policy"` // name of the inline policy, ARN of the managed one, or "trust policy"
	Index  int    `json:"index"`  // of the statement, from 0; -1: the policy is detached from the holder
	Sid    string `json:"sid,omitempty"`
}

// trustPolicy names the trust policy of a role in a Change.
const trustPolicy = "trust policy"

// Detach reports whether the change detaches a policy.
func (c Change) Detach() bool { return c.Index < 0 }

// String says the change in words.
func (c Change) String() string {
	if c.Detach() {
		return fmt.Sprintf("detach %s from %s", c.Policy, c.Holder)
	}
	s := fmt.Sprintf("statement %d", c.Index)
	if c.Sid != "" {
		s += " (" + c.Sid + ")"
	}
	if c.Policy == c.Holder {
		return fmt.Sprintf("remove or narrow %s of the policy %s", s, c.Policy)
	}
	return fmt.Sprintf("remove or narrow %s of the %s of %s", s, policyWords(c.Policy), c.Holder)
}

func policyWords(name string) string {
	if name == trustPolicy {
		return name
	}
	return "inline policy " + name
}

func compareChanges(a, b Change) int {
	if n := strings.Compare(a.Holder, b.Holder); n != 0 {
		return n
	}
	if n := strings.Compare(a.Policy, b.Policy); n != 0 {
		return n
	}
	return a.Index - b.Index
}

// awsManaged reports whether a managed policy is AWS's, whose statements nobody
// can change.
func awsManaged(policyARN string) bool { return strings.Contains(policyARN, "::aws:policy/") }

// changeOf returns the change that takes a statement of an attached policy away.
func (w *world) changeOf(p *inventory.Principal, a *inventory.Attachment, s *identity.Statement) Change {
	holder := p.ARN
	if a.Group != "" {
		holder = w.groupARN(p.Account, a.Group)
	}
	switch {
	case a.ARN == "":
		return Change{Holder: holder, Policy: a.Name, Index: s.Index, Sid: s.SidText()}
	case awsManaged(a.ARN):
		return Change{Holder: holder, Policy: a.ARN, Index: -1}
	}
	return Change{Holder: a.ARN, Policy: a.ARN, Index: s.Index, Sid: s.SidText()}
}

func trustChange(role *inventory.Principal, s *identity.Statement) Change {
	return Change{Holder: role.ARN, Policy: trustPolicy, Index: s.Index, Sid: s.SidText()}
}

// without returns a document less the statements that are removed; nil if
// nothing is left or the document is detached.
func (w *world) without(d *identity.Document, change func(*identity.Statement) Change) *identity.Document {
	if len(w.removed) == 0 || d == nil {
		return d
	}
	var keep []*identity.Statement
	for _, s := range d.Policy.Statements {
		if !w.removed[change(s)] {
			keep = append(keep, s)
		}
	}
	switch len(keep) {
	case len(d.Policy.Statements):
		return d
	case 0:
		return nil
	}
	reduced, err := identity.Compile(&identity.Policy{Version: d.Policy.Version, Statements: keep}, d.Layer, d.Name)
	if err != nil {
		return nil // the statements compiled before
	}
	return reduced
}

// attachments lists a principal's policies, less what is removed.
func (w *world) attachments(p *inventory.Principal) []inventory.Attachment {
	if len(w.removed) == 0 {
		return p.Policies
	}
	if list, ok := w.attached[p]; ok {
		return list
	}
	list := slices.Clone(p.Policies)
	n := 0
	for i := range list {
		a := &list[i]
		d := w.without(a.Document, func(s *identity.Statement) Change { return w.changeOf(p, a, s) })
		if d == nil {
			continue
		}
		a.Document = d
		list[n] = *a
		n++
	}
	w.attached[p] = list[:n]
	return list[:n]
}

// trust returns the trust policy of a role, less what is removed. A policy
// without statements trusts nobody.
func (w *world) trust(role *inventory.Principal) *identity.Document {
	if d, ok := w.trusts[role]; ok {
		return d
	}
	d := w.without(role.Trust, func(s *identity.Statement) Change { return trustChange(role, s) })
	if d == nil && role.Trust != nil {
		d = w.nobody
	}
	w.trusts[role] = d
	return d
}
