package prove

import (
	"errors"

	"github.com/bartizan-security/bartizan/identity"
)

// Verdict is the answer to a question.
type Verdict uint8

// The verdicts.
const (
	No Verdict = iota
	Yes
	Unknown
)

// String returns no, yes or unknown.
func (v Verdict) String() string { return [...]string{"no", "yes", "unknown"}[v] }

// MarshalJSON writes false, true or "unknown".
func (v Verdict) MarshalJSON() ([]byte, error) {
	return []byte([...]string{"false", "true", `"unknown"`}[v]), nil
}

// Answer is a verdict with its proof.
type Answer struct {
	Verdict Verdict
	Witness *identity.Request // of a Yes: a request that shows it, confirmed by identity.Evaluate
	Reason  string            // of an Unknown
}

var errUnconfirmed = errors.New("a request found by the prover is not confirmed by the evaluator")

// Compare answers: does next allow anything that old does not?
func Compare(old, next Side) Answer {
	for _, s := range []*Side{&old, &next} {
		if err := s.check(); err != nil {
			return Answer{Verdict: Unknown, Reason: err.Error()}
		}
	}
	q := newQuestion(&old, &next)
	return q.ask(func(b *builder) *formula {
		return and(b.allowed(&next), not(b.allowed(&old)), not(b.needsNoPermission()))
	}, func(p party, r *identity.Request) bool {
		return p.outcome(&next, r) == identity.Allowed && denied(p.outcome(&old, r))
	})
}

func denied(o identity.Outcome) bool {
	return o == identity.ExplicitDeny || o == identity.ImplicitDeny
}

// Allows answers: does the side allow any request at all? If not, it is empty.
func Allows(s Side) Answer {
	if err := s.check(); err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	q := newQuestion(&s)
	return q.ask(func(b *builder) *formula { return b.allowed(&s) }, q.confirm(&s))
}

// Access is a set of requests: any of the actions on any of the resources. Both
// take wildcards; an empty list stands for all.
type Access struct {
	Actions   []string
	Resources []string
}

// Grants answers: does the side allow any request of the access?
func Grants(s Side, a Access) Answer {
	if err := s.check(); err != nil {
		return Answer{Verdict: Unknown, Reason: err.Error()}
	}
	st := &identity.Statement{Effect: identity.Allow, Action: identity.NewList(orAll(a.Actions)...), Resource: identity.NewList(orAll(a.Resources)...)}
	wanted := &identity.Policy{Version: &identity.Value{Text: identity.Version2008}, Statements: []*identity.Statement{st}}
	q := newQuestion(&s)
	q.policies = append(q.policies, wanted)
	return q.ask(func(b *builder) *formula {
		return and(b.allowed(&s), b.statement(wanted, st))
	}, q.confirm(&s))
}

func orAll(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}
