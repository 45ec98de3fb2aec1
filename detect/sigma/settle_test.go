package sigma

import (
	"fmt"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// TestSettle states that what a correlator holds is bounded, that it says so,
// and that with logs in order of time nothing but a burst across the cut differs.
func TestSettle(t *testing.T) {
	rules, err := Parse("t.yml", []byte("title: f\nname: f\nlogsource: {product: aws, service: cloudtrail}\ndetection: {s: {eventName: F}, condition: s}\n---\ntitle: c\ncorrelation:\n  type: event_count\n  rules: [f]\n  group-by: [user]\n  timespan: 10s\n  condition: {gte: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Compile(rules, Options{})
	if err != nil {
		t.Fatal(err)
	}
	count := func(most int) (matches int, early int64) {
		before := maxObservations
		maxObservations = most
		defer func() { maxObservations = before }()
		c := g.NewCorrelator()
		for i := range 3000 {
			// Each user fails three times within a few seconds.
			text := fmt.Sprintf(`{"eventName":"F","eventID":"%d","user":"u%d","eventTime":%q}`, i, i/3, time.Unix(int64(i), 0).UTC().Format(time.RFC3339))
			e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range g.Observe(g.rules[0], e) {
				matches += len(c.Add(o))
			}
			if c.held > most+1 {
				t.Fatalf("%d held", c.held)
			}
		}
		matches += len(c.Finish())
		return matches, c.Early()
	}
	if all, early := count(10_000); all != 1000 || early != 0 {
		t.Errorf("%d matches, %d early; want 1000 and 0", all, early)
	}
	if some, early := count(300); some < 970 || early == 0 {
		t.Errorf("%d matches, %d early; want nearly 1000", some, early)
	}
}
