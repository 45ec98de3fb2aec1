package sigma

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// TestReducedConditions: whatever part of an event is known, the condition and
// what it leaves to ask of the rest decide the same, for every event of four
// fields and every choice of those that are known.
func TestReducedConditions(t *testing.T) {
	for _, condition := range []string{
		"a and b", "a or b", "not a", "not (a or b) and c", "a and (b or not c) and d", "not not a",
		"1 of them", "all of them", "2 of them", "3 of them", "not 2 of them", "a or 2 of them and not d",
	} {
		rules, err := Parse("t.yml", []byte("title: t\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  a: {a: 1}\n  b: {b: 1}\n  c: {c: 1}\n  d: {d: 1}\n  condition: "+condition+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		g, err := Compile(rules, Options{})
		if err != nil {
			t.Fatal(err)
		}
		whole, m := g.rules[0].conditions[0], g.Matcher()
		var events []*event.Event
		for n := range 16 {
			var members []string
			for i, name := range []string{"a", "b", "c", "d"} {
				members = append(members, fmt.Sprintf("%q:%d", name, n>>i&1))
			}
			e, err := event.Parse(g.schema, event.CloudTrail, []byte("{"+strings.Join(members, ",")+"}"))
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		for mask := range 16 {
			known := make([]bool, g.schema.Len())
			for i, name := range []string{"a", "b", "c", "d"} {
				slot, _ := g.schema.Slot(name)
				known[slot] = mask>>i&1 == 1
			}
			for x, e := range events {
				m.begin(e)
				truth, rest := whole.reduce(m, known)
				if want := whole.partial(m, known); truth != want {
					t.Errorf("%s: knowing %04b of %04b it is %d, want %d", condition, mask, x, truth, want)
				}
				for y, other := range events {
					if x&mask != y&mask {
						continue
					}
					m.begin(other)
					want := whole.eval(m)
					if got := truth == yes || truth == unknown && rest.eval(m); got != want {
						t.Errorf("%s: what %04b leaves of %04b says %v of %04b, want %v", condition, mask, x, got, y, want)
					}
				}
			}
		}
	}
}
