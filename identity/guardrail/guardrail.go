// Package guardrail proves statements that must hold over an estate, such as
// "nobody but the break-glass role can stop a trail".
//
// A Rule says what nobody may do; Check asks of every principal's whole stack of
// policies whether it allows that, and returns a Violation for each that does, or
// of which it is unknown.
//
// # Caveats
//
// Account root users count only where the rule says so; service-linked roles
// never do, because only their service can use them, nor do services themselves;
// federated users of the estate's accounts do where a policy names them.
// Access to a resource that the rule names and the estate holds, and access that
// any resource gives by itself (by its policy, a grant or an access control list),
// is proven with the whole stack of policies, for every principal and for all
// callers from outside; a resource whose policy was not read makes the rule
// unknown. Elsewhere a resource is taken to leave the decision to the account.
package guardrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/identity/inventory"
	"github.com/bartizan-security/bartizan/identity/prove"
)

// Rule says that nobody but the excepted may do something.
type Rule struct {
	Name      string
	Actions   []string                  // with wildcards
	Resources []string                  // ARNs with wildcards; none: all
	Except    []string                  // principals: ARNs with wildcards, role/NAME, user/NAME
	Accounts  []string                  // whose principals are meant; none: all
	Root      bool                      // root users are meant too
	When      map[string]map[string]any // a Condition element: only such requests are meant

	conditions []*identity.Condition
	actions    []string // the defined actions that Actions name
}

// alwaysAllowed are the actions that need no permission.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
var alwaysAllowed = []string{"sts:GetCallerIdentity", "sts:GetSessionToken"}

// Compile checks a rule and prepares it.
func (r *Rule) Compile() error {
	if r.Name == "" {
		return errors.New("the name is missing")
	}
	if len(r.Actions) == 0 {
		return fmt.Errorf("%s: the actions are missing", r.Name)
	}
	r.actions = nil
	for _, p := range r.Actions {
		list := catalog.Default().ExpandAction(p)
		if len(list) == 0 {
			hint := ""
			if near := catalog.Default().NearestAction(p); near != "" {
				hint = "; did you mean " + near + "?"
			}
			return fmt.Errorf("%s: %q names no action%s", r.Name, p, hint)
		}
		for _, a := range list {
			switch name := a.String(); {
			case !slices.Contains(alwaysAllowed, name):
				r.actions = append(r.actions, name)
			case !strings.ContainsAny(p, "*?"):
				return fmt.Errorf("%s: no policy can keep anybody from %s", r.Name, name)
			}
		}
	}
	for _, res := range r.Resources {
		if res != "*" && !strings.HasPrefix(res, "arn:") {
			return fmt.Errorf("%s: the resource %q is no ARN", r.Name, res)
		}
	}
	for _, e := range r.Except {
		if !strings.HasPrefix(e, "arn:") && !strings.HasPrefix(e, "role/") && !strings.HasPrefix(e, "user/") {
			return fmt.Errorf("%s: the exception %q is neither an ARN nor role/NAME nor user/NAME", r.Name, e)
		}
	}
	r.conditions = nil
	if len(r.When) > 0 {
		text, err := json.Marshal(map[string]any{"Version": identity.Version2012, "Statement": map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": r.When}})
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name, err)
		}
		d, err := identity.ParseDocument(text, identity.ServiceControlPolicy, "when")
		if err != nil {
			return fmt.Errorf("%s: when: %w", r.Name, err)
		}
		r.conditions = d.Policy.Statements[0].Conditions
	}
	return nil
}

// Violation is a principal that may do what a rule forbids, or of which it is
// unknown.
type Violation struct {
	Principal string
	Verdict   prove.Verdict // Yes or Unknown
	Witness   *identity.Request
	Reason    string   // of an Unknown
	By        []string // the statements that allow the witness: "layer policy[index]"
}

// Check proves a compiled rule over all principals of an estate. It returns the
// violations sorted by principal, and how many principals were asked.
func Check(inv *inventory.Inventory, r *Rule) (found []Violation, asked int) {
	targets, unread := r.targets(inv)
	m := newMemory(inv, r)
	for _, p := range inv.Principals {
		if !r.means(p) {
			continue
		}
		asked++
		v, bad := m.elsewhere(p)
		if !bad {
			v, bad = byResource(inv, r, p, targets)
		}
		switch {
		case bad:
			found = append(found, v)
		case len(p.Missing) > 0:
			found = append(found, Violation{Principal: p.ARN, Verdict: prove.Unknown, Reason: unreadReason(p.Missing)})
		}
	}
	found = append(found, outside(inv, r, targets)...)
	if len(unread) > 0 {
		found = append(found, Violation{Principal: everybody, Verdict: prove.Unknown, Reason: unreadReason(unread)})
	}
	slices.SortStableFunc(found, func(a, b Violation) int { return strings.Compare(a.Principal, b.Principal) })
	return found, asked
}

// unreadReason says what could not be read, of much the first.
func unreadReason(missing []string) string {
	const most = 3
	more := ""
	if len(missing) > most {
		more = fmt.Sprintf(" and %d more", len(missing)-most)
		missing = missing[:most]
	}
	return "could not be read: " + strings.Join(missing, "; ") + more
}

// means reports whether a rule is about a principal.
func (r *Rule) means(p *inventory.Principal) bool {
	if p.ServiceLinked() || p.Kind == inventory.Root && !r.Root || len(r.Accounts) > 0 && !slices.Contains(r.Accounts, p.Account) {
		return false
	}
	for _, e := range r.Except {
		if e == string(p.Kind)+"/"+p.Name || identity.Match(e, p.ARN) {
			return false
		}
	}
	return true
}

func orAll(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}

// mayAllow tells quickly whether a policy allows any of the actions at all.
func (r *Rule) mayAllow(policies []inventory.Attachment) bool {
	for i := range policies {
		for _, s := range policies[i].Policy.Statements {
			if s.Effect == identity.Allow && concerns(s, r.actions) {
				return true
			}
		}
	}
	return false
}

// concerns tells quickly whether a statement is about any of the actions.
func concerns(s *identity.Statement, actions []string) bool {
	if s.Action == nil {
		return true
	}
	for _, pattern := range s.Action.Texts() {
		if slices.ContainsFunc(actions, func(a string) bool { return identity.MatchAction(pattern, a) }) {
			return true
		}
	}
	return false
}

func refs(list []identity.StatementRef) []string {
	var out []string
	for _, ref := range list {
		out = append(out, fmt.Sprintf("%s %s[%d]", ref.Layer, ref.Policy(), ref.Statement.Index))
	}
	return out
}
