package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
)

// TestArena: texts stay what they were however much is copied after them.
func TestArena(t *testing.T) {
	var a event.Arena
	var got, want []string
	for i := range 3000 {
		text := strings.Repeat(string(rune('a'+i%26)), i%97)
		want = append(want, text, "<"+text+">")
		got = append(got, a.Text([]byte(text)), a.Join("<", text, ">"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("text %d is %q, want %q", i, got[i], want[i])
		}
	}
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"abcd", "abcd"}, {"abcde", "abcd…"}, {"abcéf", "abc…"}, {"ab\xffcd", "abc…"}, {strings.Repeat("x", 10_000), "xxxx…"},
	} {
		if got := a.Clip([]byte(c.in), 4); got != c.want {
			t.Errorf("Clip(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

// TestTimes: the quick reading of CloudTrail's form is that of package time.
func TestTimes(t *testing.T) {
	for _, s := range []string{
		"2024-01-02T03:04:05Z", "2024-02-29T23:59:59Z", "2023-02-29T00:00:00Z", "2024-12-31T23:59:60Z", "2024-13-01T00:00:00Z", "2024-00-10T00:00:00Z",
		"2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z", "2024-01-02T24:00:00Z", "0000-01-01T00:00:00Z", "9999-12-28T00:00:00Z", "2024-01-02T03:04:0xZ", "2024-01-02 03:04:05Z",
		"+024-01-02T03:04:05Z", "2024-01-02T03:04:05+", "2024-04-31T00:00:00Z",
	} {
		want, err := time.Parse(time.RFC3339, s)
		if err != nil {
			if s == "2024-01-02 03:04:05Z" {
				continue // another form that logs have
			}
			want = time.Time{}
		}
		if got := event.ParseTime(s); !got.Equal(want) {
			t.Errorf("ParseTime(%q) = %v, want %v", s, got, want)
		}
	}
}
