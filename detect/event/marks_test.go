package event

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

const unmarkable = "SKIPPED: markBlocks needs AVX2 and PCLMULQDQ, which this processor lacks; the program does without, too"

// Every byte is what JSON says it is, wherever in a block it stands.
func TestMarkBlocks(t *testing.T) {
	if !canMark {
		t.Skip(unmarkable)
	}
	for c := range 256 {
		for at := range 128 {
			text := bytes.Repeat([]byte(" "), 128)
			text[at] = byte(c)
			var out [2]rawMarks
			markBlocks(&text[0], 2, &out[0])
			var want [2]rawMarks
			bit := uint64(1) << (at & 63)
			w := &want[at>>6]
			switch {
			case c == '"':
				w.quotes, w.bad, w.within = bit, bit, -bit
			case c == '\\':
				w.slashes, w.bad = bit, bit
			case strings.IndexByte("{}[]", byte(c)) >= 0:
				w.brackets = bit
			case class[c] != clsPlain:
				w.bad = bit
			}
			if out != want {
				t.Fatalf("%q at %d: %x, want %x", byte(c), at, out, want)
			}
		}
	}
}

// checkMarks compares, for every value that begins in a text, marks with the walk
// from string to string.
func checkMarks(t *testing.T, text []byte) {
	t.Helper()
	for i, n := 0, 0; i < len(text) && n < 40; i++ {
		if strings.IndexByte(`"{[1tn`, text[i]) < 0 {
			continue
		}
		n++
		wantEnd, wantErr := SkipValue(text, i)
		for _, from := range []int{i, max(0, i-70)} {
			var m marks
			m.start(text, from)
			if from < i && !isPlainText(text[from:i]) {
				continue // what is before must be outside of strings
			}
			end, err := m.skip(i)
			if (err == nil) != (wantErr == nil) || errors.Is(err, ErrShort) != errors.Is(wantErr, ErrShort) || err == nil && end != wantEnd {
				t.Fatalf("value at %d of %q, from %d: ends at %d, %v; want %d, %v", i, text, from, end, err, wantEnd, wantErr)
			}
		}
	}
}

func isPlainText(b []byte) bool { return !bytes.ContainsAny(b, `"\`) }

var marked = []string{
	`{"a":"` + strings.Repeat("x", 200) + `","b":[1,{"c":null}]}`,
	`{"a":"` + strings.Repeat(`\`, 64) + `","b":"` + strings.Repeat(`\`, 63) + `""}`,
	`"` + strings.Repeat(`\"`, 100) + `"`, `["` + strings.Repeat(`\\\"`, 50) + `{[","]}"]`,
	strings.Repeat(`[`, 128) + strings.Repeat(`]`, 128), strings.Repeat(`[`, 129) + strings.Repeat(`]`, 129),
	strings.Repeat(`{"a":[`, 64) + strings.Repeat(`]}`, 64), strings.Repeat(`{"a":[`, 64) + strings.Repeat(`}]`, 64),
	`{"a":[1}]`, `{"a":x}`, `{"a":"x"} x`, `[` + strings.Repeat(" ", 300) + `]`, `[` + strings.Repeat(" ", 300) + `;]`,
	`{"a":"é\u00e9` + "\xff" + `"}`, "[\x80]", `[\]`, `["` + strings.Repeat("a", 61) + `\"]`, strings.Repeat("1,", 40) + `"x"`,
}

func TestMarks(t *testing.T) {
	if !canMark {
		t.Skip(unmarkable)
	}
	for _, s := range marked {
		for pad := range 70 {
			checkMarks(t, []byte(strings.Repeat(" ", pad)+s))
		}
		for end := range s {
			checkMarks(t, []byte(s[:end]))
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		text := make([]byte, rnd.IntN(300))
		for i := range text {
			text[i] = `"\{}[]:,1ax `[rnd.IntN(12)]
		}
		checkMarks(t, text)
	}
}

// FuzzMarks holds that marks and the walk from string to string say the same.
func FuzzMarks(f *testing.F) {
	for _, s := range marked {
		f.Add([]byte(s))
	}
	if !canMark {
		f.Skip(unmarkable)
	}
	f.Fuzz(func(t *testing.T, text []byte) { checkMarks(t, text) })
}
