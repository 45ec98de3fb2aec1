package catalog_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/collect"
)

func resources(t *testing.T) *collect.Catalogue {
	t.Helper()
	c, err := collect.ParseCatalogue(catalog.Resources, "resources")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEnoughTypesAndServices(t *testing.T) {
	types, services := map[string]bool{}, map[string]bool{}
	for _, e := range resources(t).Types() {
		types[e.Name] = true
		if e.List.Service != "" {
			services[e.List.Service] = true
		}
		for _, m := range e.More {
			services[m.Service] = true
		}
	}
	t.Logf("%d types over %d services", len(types), len(services))
	if len(types) < 70 || len(services) < 30 {
		t.Errorf("%d types over %d services; want 70 over 30", len(types), len(services))
	}
}

// Reading must never change anything: every operation is one that lists,
// describes or gets, and none returns the value of a secret.
func TestOperationsOnlyRead(t *testing.T) {
	check := func(typ, service, op string) {
		ok := false
		for _, verb := range []string{"List", "Describe", "Get", "BatchGet", "Search"} {
			ok = ok || strings.HasPrefix(op, verb)
		}
		if !ok {
			t.Errorf("%s calls %s:%s, which may change something", typ, service, op)
		}
		switch op {
		case "GetSecretValue", "BatchGetSecretValue", "GetSessionToken", "GetFederationToken", "GetPasswordData", "GetAuthorizationToken":
			t.Errorf("%s calls %s:%s, which returns a secret", typ, service, op)
		}
	}
	for _, e := range resources(t).Types() {
		if !e.Single {
			check(e.Name, e.List.Service, e.List.Operation)
		}
		for _, m := range e.More {
			check(e.Name, m.Service, m.Operation)
			if m.Operation == "GetParameter" && m.Option == "" {
				t.Errorf("%s reads parameter values without being asked to", e.Name)
			}
		}
	}
}
