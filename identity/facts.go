package identity

import (
	"sync"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// actionFacts is what the service authorization reference says of an action.
type actionFacts struct {
	// anyResource is what the action takes for a resource when it accepts none:
	// "*"; "" when it accepts resources or is not in the reference.
	anyResource string
	// resourceControl is true when resource control policies protect the
	// service's resources.
	resourceControl bool
}

// factsOf remembers the facts of the actions that were asked for, so that asking
// costs no allocation. What the reference says does not change.
var factsOf = struct {
	sync.RWMutex
	of map[string]actionFacts
}{of: map[string]actionFacts{}}

// lookUpAction returns the facts of an action, service in lower case.
func lookUpAction(action, service string) actionFacts {
	factsOf.RLock()
	f, ok := factsOf.of[action]
	factsOf.RUnlock()
	if ok {
		return f
	}
	c := catalog.Default()
	f.resourceControl = c.SupportsRCP(service)
	a, known := c.Action(action)
	if known && a.WildcardOnly() {
		f.anyResource = "*"
		if a.String() == "s3:ListAllMyBuckets" {
			// AWS's own examples allow it on all buckets.
			f.anyResource = "arn:aws:s3:::*"
		}
	}
	if known { // an attacker cannot fill the memory with actions that do not exist
		factsOf.Lock()
		factsOf.of[action] = f
		factsOf.Unlock()
	}
	return f
}
