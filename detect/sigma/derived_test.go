package sigma_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

const derivedRule = `
title: Port opened
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    eventName: AuthorizeSecurityGroupIngress
  open:
    FIELD: VALUE
  condition: selection and open
`

func compileDerived(t *testing.T, field, value string) (*sigma.Engine, error) {
	t.Helper()
	rules, err := sigma.Parse("r.yml", []byte(strings.NewReplacer("FIELD", field, "VALUE", value).Replace(derivedRule)))
	if err != nil {
		t.Fatal(err)
	}
	return sigma.Compile(rules, sigma.Options{})
}

// A rule can ask for what is worked out of a record; the finding and the
// explanation show the value that decided.
func TestDerivedField(t *testing.T) {
	const record = `{"eventSource":"ec2.amazonaws.com","eventName":"AuthorizeSecurityGroupIngress","requestParameters":{"ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":1000,"toPort":4000,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}},"bartizan":{"internet":{"inbound":{"port":23}}},"bartizan.internet.inbound.port":23}`
	for _, c := range []struct {
		field, value string
		want         bool
	}{
		{"bartizan.internet.inbound.port", "3389", true},
		{"bartizan.internet.inbound.port", "[23, 3389]", true},
		{"bartizan.internet.inbound.port", "'3389'", true},
		{"bartizan.internet.inbound.port|gte", "4000", true},
		{"bartizan.internet.inbound.port|gt", "4000", false},
		{"bartizan.internet.inbound.port", "23", false}, // what a member of this name says
		{"bartizan.internet.inbound.port|exists", "true", true},
		{"bartizan.internet.inbound.all", "'true'", false},
		{"bartizan.internet.inbound.all", "null", true},
		{"bartizan.internet.inbound.range", "0.0.0.0/0", true},
	} {
		g, err := compileDerived(t, c.field, c.value)
		if err != nil {
			t.Fatalf("%s: %v", c.field, err)
		}
		e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(record))
		if err != nil {
			t.Fatal(err)
		}
		m := g.Matcher()
		r := g.Rules()[0]
		for range 2 { // the second time the context of the event is known
			matched := false
			m.Match(e, func(*sigma.Rule) { matched = true })
			if matched != c.want {
				t.Errorf("%s: %s: matches %v, want %v", c.field, c.value, matched, c.want)
			}
		}
		if c.value == "3389" {
			if x := m.Explain(r, e).String(); !strings.Contains(x, `the event has ["3389" "1000" "1001"`) {
				t.Errorf("the explanation does not show what decided:\n%s", x)
			}
			m.Match(e, func(r *sigma.Rule) {
				found := false
				for _, d := range m.Deciding(r, e) {
					found = found || d.Field == c.field && string(d.Value) == c.value
				}
				if !found {
					t.Error("the finding does not show what decided")
				}
			})
		}
	}
}

// A finding shows several of the values that a derived field has.
func TestDerivedValues(t *testing.T) {
	g, err := compileDerived(t, "bartizan.internet.inbound.port", "[1, 22, 23, 3389, 5985, 5986, 8080]")
	if err != nil {
		t.Fatal(err)
	}
	e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(`{"eventName":"AuthorizeSecurityGroupIngress","eventSource":"ec2.amazonaws.com","requestParameters":{"ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":20,"toPort":6000,"ipRanges":{"items":[{"cidrIp":"0.0.0.0/0"}]}}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := g.Matcher()
	var got []string
	for _, d := range m.Deciding(g.Rules()[0], e) {
		got = append(got, string(d.Value))
	}
	if want := "AuthorizeSecurityGroupIngress 22 23 3389 5985 5986"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A name that no derived field has is a fault, wherever a rule has it.
func TestUnknownDerivedField(t *testing.T) {
	for field, value := range map[string]string{
		"bartizan.internet.inbound.ports": "22",
		"bartizan.":                       "22",
		"eventName|fieldref":              "bartizan.policy",
	} {
		_, err := compileDerived(t, field, value)
		if err == nil || !strings.Contains(err.Error(), "r.yml:8:") || !strings.Contains(err.Error(), "bartizan.internet.inbound.port,") {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, src := range []string{
		derivedRule + "fields: [bartizan.other]\n",
		derivedRule + "name: r\n---\ntitle: Often\ncorrelation: {type: event_count, rules: [r], group-by: [bartizan.other], timespan: 1m, condition: {gte: 2}}\n",
	} {
		src = strings.NewReplacer("FIELD", "eventSource", "VALUE", "x").Replace(src)
		rules, err := sigma.Parse("r.yml", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sigma.Compile(rules, sigma.Options{}); err == nil || !strings.Contains(err.Error(), "bartizan.other is no derived field") {
			t.Errorf("%v", err)
		}
	}
}
