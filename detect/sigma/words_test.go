package sigma

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestWordSet compares a set with looking for one word after the other.
func TestWordSet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	word := func(most int) string {
		var b strings.Builder
		for range 1 + rnd.IntN(most) {
			b.WriteByte("abAB/-\x00\xff"[rnd.IntN(8)])
		}
		return b.String()
	}
	found := 0
	for range 20_000 {
		var words []string
		var list [][]byte
		for range rnd.IntN(8) {
			words = append(words, word(4))
			list = append(list, []byte(words[len(words)-1]))
		}
		text, want := word(12), false
		for _, w := range words {
			want = want || strings.Contains(text, w)
		}
		if want {
			found++
		}
		if got := newWordSet(list).in([]byte(text)); got != want {
			t.Fatalf("one of %q in %q: %v, want %v", words, text, got, want)
		}
	}
	if found < 1000 {
		t.Fatalf("only %d texts hold a word", found)
	}
}

// Lower case is that of bytes.ToLower, whatever letter stands where.
func TestFold(t *testing.T) {
	check := func(text []byte) {
		t.Helper()
		if got, want := fold([]byte("X"), text), append([]byte("X"), bytes.ToLower(text)...); !bytes.Equal(got, want) {
			t.Fatalf("%q becomes %q, want %q", text, got, want)
		}
	}
	for c := range 256 {
		for at := range 20 {
			text := []byte("aA@[`{zZ aA@[`{zZ aA")
			text[at] = byte(c)
			check(text)
		}
	}
	for _, s := range []string{"", "A", "ÀBCDEFGHIÉ", "ABCDEFGHÀÉİ", "K\xff\xc3(", strings.Repeat("AbC1", 9) + "É" + strings.Repeat("X", 9)} {
		check([]byte(s))
	}
}
