// Package prove decides questions about all requests at once: does one policy,
// or one stack of policies, allow anything that another does not; does it allow
// a given access; does it let in the public; does it allow anything at all.
//
// A question becomes a [formula] over facts such as "the action matches one of
// these patterns" or "aws:SourceIp lies in this network". A SAT solver proposes
// which facts hold; for each variable (action, resource, principal, every
// condition key) a decision procedure then finds a value with just those facts,
// or says which of them exclude each other, and the solver tries again.
//
// An [Answer] of yes comes with a witness: a concrete request, confirmed by
// [identity.Evaluate]. An answer of no is exhaustive. What is neither is
// [Unknown], with the reason.
//
// A [Side] of a question is judged by what it names: what it does not name does
// not limit it. [Reach] asks about callers and resources of which everything is
// known, and answers as the evaluator would.
//
// # Caveats
//
// Actions and resources are texts: an action that AWS does not define today
// counts, because it may tomorrow. A witness uses defined actions where it can.
// Keys that AWS puts into every request (aws:SecureTransport, aws:CurrentTime …)
// are taken to be there; every other key may be absent. Conditions on different
// keys are independent of each other, except the keys that describe the
// principal.
package prove
