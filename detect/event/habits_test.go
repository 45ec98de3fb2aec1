package event_test

import (
	"errors"
	"fmt"
	"hash/maphash"
	"reflect"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// readings are what an event says of a record at every path of its schema.
func readings(e *event.Event, paths []string) []string {
	var out []string
	for _, p := range paths {
		slot, _ := e.Schema().Slot(p)
		for _, v := range e.Values(slot) {
			out = append(out, fmt.Sprintf("%s %d %s", p, v.Kind, v.Text))
		}
	}
	return out
}

// checkHabits scans records in a row with one event, and each with a new one, and
// wants the same of both, whatever the processor can.
func checkHabits(t *testing.T, records ...string) {
	t.Helper()
	checkHabitsOnce(t, records...)
	event.Unmarked(func() { checkHabitsOnce(t, records...) })
}

func checkHabitsOnce(t *testing.T, records ...string) {
	t.Helper()
	paths := []string{"a", "a.b", "b", "b.a", "c", "userIdentity.a"}
	schema := event.NewSchema(paths...)
	used := event.New(schema)
	slots := []event.Slot{0, 0, 0}
	slots[0], _ = schema.Slot("a.b")
	slots[1], _ = schema.Slot("c")
	slots[2], _ = schema.Slot("userIdentity.a")
	seed := maphash.MakeSeed()
	for round := range 3 {
		used.Lazy(round == 2)
		for _, r := range records {
			text := []byte(r + strings.Repeat(" ", 100)) // values at the very end are not looked up
			fresh := event.New(schema)
			wantEnd, wantErr := fresh.Scan(text, 0)
			gotEnd, gotErr := used.Scan(text, 0)
			if gotEnd != wantEnd || !errors.Is(gotErr, wantErr) {
				t.Fatalf("%q after others ends at %d, %v; alone at %d, %v", r, gotEnd, gotErr, wantEnd, wantErr)
			}
			if wantErr != nil {
				continue
			}
			if got, want := readings(used, paths), readings(fresh, paths); !reflect.DeepEqual(got, want) {
				t.Fatalf("%q after others says %q, alone %q", r, got, want)
			}
			got, gotOK := used.Sum(seed, slots)
			if want, wantOK := fresh.Sum(seed, slots); got != want || gotOK != wantOK {
				t.Fatalf("%q after others has the sum %x, %v, alone %x, %v", r, got, gotOK, want, wantOK)
			}
		}
	}
}

var alike = [][]string{
	{`{"a":"x","b":1}`, `{"a":"x","b":12}`, `{"a":"xy","b":1.5}`, `{"a":"x"}`},
	{`{"a":{"b":1},"c":null}`, `{"a":{"b":1}}`, `{"a":{"b":10},"c":nul}`, `{"a":{"b":1},"c":nullx}`},
	{`{"a":1,"a":2}`, `{"a":2,"a":1}`, `{"a":2}`, `{"a":1,"b":{"a":1},"a":2}`},
	{`{"userIdentity":{"a":"x"},"c":[1,2]}`, `{"userIdentity":{"a":"y"},"c":[1,2]}`, `{"userIdentity":"z","c":[1]}`},
	{`{"a.b":1,"c":2}`, `{"a":{"b":2},"c":2}`, `{"a.b":3,"c":2}`},
	{`{"\u0061":1,"c":2}`, `{"a":1,"c":2}`, `{"\u0061":3 , "c" : 2}`},
	{`{"a":"x\"","b":1}`, `{"a":"x\\","b":1}`, `{"a":"x","b":1}`, `{"a":"x\"","b":1,"c":"x\",\"b\":2"}`},
	{`{"a":-1}`, `{"a":-1e5}`, `{"a":-}`, `{"a":-1]`, `{"a":-1,}`},
}

func TestHabits(t *testing.T) {
	for _, records := range alike {
		checkHabits(t, records...)
	}
	var many []string
	for i := range 3000 { // more members and values than are remembered
		many = append(many, fmt.Sprintf(`{"m%d":"%s","a":%d,"b":"%x","c":{"d":"%d"}}`, i%300, strings.Repeat("v", i%2500), i, i%7, i%70))
	}
	checkHabits(t, many...)
}

// FuzzHabits holds that what was scanned before decides nothing.
func FuzzHabits(f *testing.F) {
	for _, records := range alike {
		f.Add(records[0], records[1])
		f.Add(records[len(records)-1], records[0])
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkHabits(t, a, b, b, a) })
}
