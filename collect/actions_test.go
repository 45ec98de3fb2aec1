package collect

import (
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	actions "github.com/bartizan-security/bartizan/identity/catalog"
)

// TestPermissionsAreIAMActions checks that every action of the collector's
// policy is one of AWS's authorization reference, and that it only reads.
// https://docs.aws.amazon.com/service-authorization/latest/reference/
func TestPermissionsAreIAMActions(t *testing.T) {
	cat, err := ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	reference := actions.Default()
	// GetCredentialReport needs a report, which an account makes when it is asked to.
	reads := map[string]bool{"iam:GenerateCredentialReport": true}
	needs := cat.Needs(nil)
	for _, n := range needs {
		a, ok := reference.Action(n.Action)
		switch {
		case !ok:
			t.Errorf("%s is no IAM action; nearest is %s (for %v)", n.Action, reference.NearestAction(n.Action), n.Types)
		case a.Level != actions.List && a.Level != actions.Read && !reads[n.Action]:
			t.Errorf("%s is of level %q", n.Action, a.Level)
		case a.String() != n.Action:
			t.Errorf("%s is written %s", n.Action, a)
		}
	}
	t.Logf("%d actions", len(needs))
}
