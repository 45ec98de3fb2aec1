package sigma_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// An array of a hundred thousand objects does not cost minutes of regular
// expressions; that they looked at a part only is said. Records of CloudTrail's
// own size are searched as a whole.
func TestExpressionsAreBoundedForARecord(t *testing.T) {
	const rule = `
title: X
logsource: {product: aws, service: cloudtrail}
detection:
  a:
    requestParameters.items|re: '"from":\d+.*"to":\s*(?:\d|1\d|2[0-1])\b.*"cidr":"[^"]*/[0-4]"'
  condition: a
`
	rules, err := sigma.Parse("x.yml", []byte(rule))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		padding, items int
		cut, hit       bool
	}{{10, 100, false, true}, {200, 100_000, true, false}} {
		element := `{"from":22,"to":33,"cidr":"10.0.0.0/8","x":"` + strings.Repeat("/3", c.padding/2) + `"},`
		text := `{"eventName":"X","requestParameters":{"items":[` + strings.Repeat(element, c.items) + `{"from":1,"to":2,"cidr":"0.0.0.0/0"}]}}`
		e, err := event.Parse(engine.Schema(), event.CloudTrail, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		m, hit := engine.Matcher(), false
		m.Match(e, func(*sigma.Rule) { hit = true })
		if hit != c.hit || e.Cut() != c.cut {
			t.Errorf("%d items: matches is %v and cut %v, want %v and %v", c.items, hit, e.Cut(), c.hit, c.cut)
		}
		if n := sigma.Searched(m); n == 0 || n > 16<<20 {
			t.Errorf("%d items: expressions looked at %d bytes", c.items, n)
		}
	}
}

// Observations of long values hold little of them, and still tell them apart.
func TestObservationsOfLongValues(t *testing.T) {
	const rules = `
title: Base
name: base
logsource: {product: aws, service: cloudtrail}
detection: {a: {eventName: X}, condition: a}
---
title: Many
name: many
correlation:
  type: value_count
  rules: [base]
  group-by: [sourceIPAddress]
  timespan: 10m
  condition: {gte: 3, field: userAgent}
level: high
`
	set, err := sigma.Parse("x.yml", []byte(rules))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(set, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, base := engine.NewCorrelator(), engine.Find("base")
	long := strings.Repeat("x", 1<<20)
	for _, last := range []string{"a", "b", "c"} {
		text := `{"eventTime":"2026-01-02T03:04:05Z","eventID":"` + long + last + `","eventName":"X","sourceIPAddress":"` + long + `","userAgent":"` + long + last + `"}`
		e, err := event.Parse(engine.Schema(), event.CloudTrail, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range engine.AppendObservations(nil, base, e, nil) {
			c.Add(o)
		}
	}
	found := c.Finish()
	if len(found) != 1 || found[0].Value != 3 {
		t.Fatalf("%d matches, want one of three values", len(found))
	}
	held := len(found[0].Group[0])
	for _, ref := range found[0].Refs {
		held += len(ref)
	}
	if held > 4000 {
		t.Errorf("a match holds %d bytes", held)
	}
}
