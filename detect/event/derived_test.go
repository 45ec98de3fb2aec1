package event_test

import (
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// A derived field is worked out once a record, when it is asked for, and never
// read from a member or a column that is called so.
func TestDerived(t *testing.T) {
	calls := 0
	find := func(path string) event.Derive {
		if path != "bartizan.length" {
			return nil
		}
		return func(e *event.Event) []event.Value {
			calls++
			if e.Get("a") == "" {
				return nil
			}
			return []event.Value{{Kind: event.String, Text: []byte("of " + e.Get("a"))}}
		}
	}
	s := event.NewDerivedSchema(find, "a", "bartizan.length", "bartizan.unknown")
	slot, _ := s.Slot("bartizan.length")
	unknown, _ := s.Slot("bartizan.unknown")
	e := event.New(s)
	for _, c := range []struct{ rule, record, want string }{
		{"worked out from the record", `{"a":"x"}`, "of x"},
		{"a member of its name is not read", `{"bartizan":{"length":"y","unknown":"y"},"a":"x"}`, "of x"},
		{"nor one with dots in its name", `{"bartizan.length":"y","bartizan.unknown":"y","a":"x"}`, "of x"},
		{"what is missing stays missing", `{"bartizan":{"length":"y"}}`, ""},
	} {
		if _, err := e.Scan([]byte(c.record), 0); err != nil {
			t.Fatal(err)
		}
		calls = 0
		for range 3 {
			if got := string(e.Text(slot)); got != c.want {
				t.Errorf("%s: %q, want %q", c.rule, got, c.want)
			}
		}
		if got := e.Get("bartizan.length"); got != c.want || calls != 1 {
			t.Errorf("%s: %q after %d calls", c.rule, got, calls)
		}
		if len(e.Values(unknown)) > 0 || len(e.Lookup("bartizan.other")) > 0 {
			t.Errorf("%s: an unknown field has values", c.rule)
		}
	}
	if got := e.Clone().Get("bartizan.length"); got != "" {
		t.Errorf("a copy: %q", got)
	}

	columns := event.NewColumns(s, []string{"a", "bartizan.length", "bartizan.other"})
	e.SetFields(columns, []byte("x y z"), [][]byte{[]byte("x"), []byte("y"), []byte("z")})
	if len(e.Values(slot)) > 0 || len(e.Lookup("bartizan.other")) > 0 {
		t.Error("a column of the name of a derived field is read")
	}

	plain, err := event.Parse(event.NewSchema("bartizan.length"), event.Unknown, []byte(`{"bartizan":{"length":"y"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if plain.Get("bartizan.length") != "" || plain.Get("bartizan.other") != "" {
		t.Error("a schema without derived fields reads a member")
	}
}

// What several fields have in common is read once a record.
func TestNote(t *testing.T) {
	e := event.New(event.NewSchema())
	for i, record := range []string{`{"eventName":"A"}`, `{"eventName":"B"}`} {
		if _, err := e.Scan([]byte(record), 0); err != nil {
			t.Fatal(err)
		}
		reads := 0
		for range 2 {
			got := e.Note(func(e *event.Event) any { reads++; return string(e.Text(event.SlotName)) })
			if want := []string{"A", "B"}[i]; got != want || reads != 1 {
				t.Errorf("record %d: %v after %d reads", i, got, reads)
			}
		}
	}
}
