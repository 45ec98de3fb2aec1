package baseline

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHours: what is packed or written as text comes back, and mistakes are told.
func TestHours(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var of byHour
		for h := range of {
			of[h] = rapid.OneOf(rapid.Just(uint16(0)), rapid.Uint16Range(0, 300), rapid.Uint16()).Draw(rt, "events")
		}
		packed := of.pack()
		if got := packed.unpack(); got != of {
			rt.Fatalf("unpacked %v, want %v", got, of)
		}
		text, err := packed.MarshalText()
		if err != nil {
			rt.Fatal(err)
		}
		var again Hours
		if err := again.UnmarshalText(text); err != nil || again != packed {
			rt.Fatalf("%s is read as %v, %v; want %v", text, again.unpack(), err, of)
		}
	})
	for text, ok := range map[string]bool{"": true, "-168": true, "-167 1": true, "65535": true, "-168 1": false, "65536": false, "0": false, "-169": false, "1 x": false, "1.5": false, "-100 -100": true, "-100 -100 1": false} {
		var h Hours
		if err := h.UnmarshalText([]byte(text)); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWeekHour: weeks begin on Monday at 00 UTC, as 1970 did not.
func TestWeekHour(t *testing.T) {
	for text, want := range map[string][2]int{
		"1970-01-01T00:00:00Z": {0, 72},
		"1970-01-04T23:59:59Z": {0, 167},
		"1970-01-05T00:00:00Z": {1, 0},
		"2026-01-05T09:30:00Z": {2923, 9},
	} {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if week, hour := weekHour(at); week != want[0] || hour != want[1] {
			t.Errorf("%s is hour %d of week %d, want %v", text, hour, week, want)
		}
	}
}
