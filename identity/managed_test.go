package identity_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/identity"
	"github.com/bartizan-security/bartizan/identity/catalog"
)

// Every policy that AWS manages is accepted as AWS accepts it, prints to itself,
// and can be asked.
func TestManagedPolicies(t *testing.T) {
	all := catalog.DefaultManaged()
	n := 0
	for _, name := range all.ARNs() {
		p, ok := all.Policy(name)
		if !ok {
			t.Fatalf("%s is listed and missing", name)
		}
		d, err := identity.ParseDocument(p.Document, identity.IdentityPolicy, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := identity.ParsePolicy([]byte(d.Policy.String()))
		if err != nil || again.String() != d.Policy.String() {
			t.Errorf("%s does not print to itself: %v", name, err)
		}
		stack := &identity.Stack{Identity: []*identity.Document{d}}
		for _, r := range ordinaryRequests {
			got, err := identity.Evaluate(r, stack)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if plain := plainEvaluate(r, stack); got.Outcome != plain {
				t.Errorf("%s: %s is %s, plainly %s", name, r.Action, got.Outcome, plain)
			}
		}
		n++
	}
	if n < 1000 {
		t.Errorf("only %d policies", n)
	}
}
