package sigma

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// settling are correlations of every kind of window, and one above another.
const settling = `
title: a
name: a
logsource: {product: aws, service: cloudtrail}
detection: {s: {eventName: A}, condition: s}
---
title: b
name: b
logsource: {product: aws, service: cloudtrail}
detection: {s: {eventName: B}, condition: s}
---
title: many
name: many
correlation: {type: event_count, rules: [a], group-by: [user], timespan: 10s, condition: {gte: 3}, generate: true}
---
title: few
name: few
correlation: {type: event_count, rules: [b], group-by: [user], timespan: 7s, condition: {lte: 2}}
---
title: different
name: different
correlation: {type: value_count, rules: [a, b], group-by: [user], timespan: 8s, condition: {field: ip, gte: 3}}
---
title: both
name: both
correlation: {type: temporal, rules: [a, b], group-by: [user], timespan: 5s}
---
title: first a then b
name: ordered
correlation: {type: temporal_ordered, rules: [a, b], group-by: [user], timespan: 6s}
---
title: above
name: above
correlation: {type: temporal_ordered, rules: [many, b], group-by: [user], timespan: 20s}
`

// TestSettle states that what a correlator holds is bounded, and that with logs in
// order of time that changes nothing.
func TestSettle(t *testing.T) {
	rules, err := Parse("t.yml", []byte(settling))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(rules, Options{})
	if err != nil {
		t.Fatal(err)
	}
	correlate := func(most int, seed uint64, users, events int) (matches []string, early int64) {
		before := maxObservations
		maxObservations = most
		defer func() { maxObservations = before }()
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := g.NewCorrelator()
		take := func(found []CorrelationMatch) {
			for _, m := range found {
				matches = append(matches, fmt.Sprintf("%s %s %s", m.Rule.Name, m.Group, strings.Join(m.Refs, " ")))
			}
		}
		at := int64(0)
		for i := range events {
			at += rnd.Int64N(3)
			text := fmt.Sprintf(`{"eventName":%q,"eventID":"%d","user":"u%d","ip":"i%d","eventTime":%q}`,
				[]string{"A", "B"}[rnd.IntN(2)], i, rnd.IntN(users), rnd.IntN(6), time.Unix(at, 0).UTC().Format(time.RFC3339))
			e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range g.Rules()[:2] {
				if g.Matcher().Matches(r, e) {
					for _, o := range g.AppendObservations(nil, r, e, nil) {
						take(c.Add(o))
					}
				}
			}
			if c.held > most+1 {
				t.Fatalf("%d held", c.held)
			}
		}
		take(c.Finish())
		slices.Sort(matches)
		return matches, c.Early()
	}
	for seed := range uint64(10) {
		want, early := correlate(100_000, seed, 20, 2000)
		if len(want) < 500 || early != 0 {
			t.Fatalf("%d matches, %d early; want many and 0", len(want), early)
		}
		if got, early := correlate(400, seed, 20, 2000); !slices.Equal(got, want) || early != 0 {
			t.Errorf("seed %d: %d matches and %d early where little is held, else %d and 0", seed, len(got), early, len(want))
		}
	}
	// A window of more than is held has to be cut, and that is said.
	if _, early := correlate(10, 1, 1, 200); early == 0 {
		t.Error("windows were cut, and Early is 0")
	}
}
