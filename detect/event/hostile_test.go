package event_test

import (
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
)

// TestHostileRecords states that of a record of megabytes only so many values are
// held, that its event says so, and that the next record is read as if nothing had
// been. An event that is not cut where it should be was looked at without bound.
func TestHostileRecords(t *testing.T) {
	paths := []string{"a", "a.b", "a.b.c", "list", "list.x", "list.x.y"}
	for _, letter := range "abcdefghijklmnopqrstuvwxyz" {
		paths = append(paths, "list."+string(letter)+".z", "list.x."+string(letter))
	}
	schema := event.NewSchema(paths...)
	e := event.New(schema)
	const many = 1 << 20
	for _, c := range []struct {
		name, text string
		cut        bool
	}{
		{"an array of a million numbers", `{"a":[` + strings.Repeat("1,", many) + `1]}`, true},
		{"in an object", `{"a":{"b":[` + strings.Repeat("1,", many) + `1]}}`, true},
		{"of objects", `{"list":[` + strings.Repeat(`{"x":1},`, many) + `1]}`, true},
		{"in a hundred arrays", `{"list":` + strings.Repeat("[", 100) + strings.Repeat(`{"x":1},`, many) + `1` + strings.Repeat("]", 100) + `}`, true},
		{"whose names come twice", `{"list":` + strings.Repeat("[", 100) + strings.Repeat(`{"x":1,"x":2},`, many/2) + `1` + strings.Repeat("]", 100) + `}`, true},
		{"names with dots", `{"other.name":1,"filler":"` + strings.Repeat("x", 7<<20) + `"}`, true},
		{"as much as CloudTrail may hold", `{"a":[` + strings.Repeat("1,", 100_000) + `1],"list":[{"x":1,"x":2},{"x.y":1}]}`, false},
	} {
		if _, err := e.Scan([]byte(c.text), 0); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		held := 0
		for _, p := range paths {
			s, _ := schema.Slot(p)
			held += len(e.Values(s))
		}
		if e.Cut() != c.cut || held > 1<<17+100 {
			t.Errorf("%s: cut is %v with %d values, want %v", c.name, e.Cut(), held, c.cut)
		}
		if _, err := e.Scan([]byte(`{"a":{"b":["x","y"]},"list":[[{"x":{"y":1}}],[],{"x":{"y":2}}]}`), 0); err != nil {
			t.Fatal(err)
		}
		b, _ := schema.Slot("a.b")
		y, _ := schema.Slot("list.x.y")
		if got := e.Values(b); e.Cut() || len(got) != 2 || cap(got) > 2048 || len(e.Values(y)) != 2 {
			t.Errorf("after %s: %v, %v", c.name, e.Values(b), e.Values(y))
		}
	}
}

// A long id tells records apart and takes little.
func TestLongIDs(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	refs := map[string]bool{}
	for _, id := range []string{long, long + "y", strings.Repeat("é", 1<<18)} {
		e, err := event.Parse(event.NewSchema(), event.CloudTrail, []byte(`{"eventName":"X","eventID":"`+id+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		refs[e.Ref()] = true
		if len(e.Ref()) > 600 {
			t.Errorf("the reference has %d bytes", len(e.Ref()))
		}
	}
	if len(refs) != 3 {
		t.Errorf("%d references for three ids", len(refs))
	}
}
