package event

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Arena copies texts of events, many to one allocation. The zero value is ready;
// it must not be used by two goroutines at once.
//
// A text holds on to its neighbours: whoever keeps few of many clones them.
type Arena struct{ b strings.Builder }

const arenaChunk = 4 << 10

func (a *Arena) room(n int) {
	if a.b.Cap()-a.b.Len() < n {
		a.b.Reset()
		a.b.Grow(max(arenaChunk, n))
	}
}

// Text returns a copy of text.
func (a *Arena) Text(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	a.room(len(text))
	from := a.b.Len()
	a.b.Write(text)
	return a.b.String()[from:]
}

// Clip returns a copy of text; of a longer one than most bytes the beginning, as
// valid UTF-8 and with … behind it.
func (a *Arena) Clip(text []byte, most int) string {
	if len(text) <= most {
		return a.Text(text)
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return a.Join(strings.ToValidUTF8(string(text[:most]), ""), "…")
}

// Join returns the parts as one text.
func (a *Arena) Join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	a.room(n)
	from := a.b.Len()
	for _, p := range parts {
		a.b.WriteString(p)
	}
	return a.b.String()[from:]
}

// maxShort is how long a text may be that many records are kept by.
const maxShort = 512

// Short returns text, and of one of more than 512 bytes the beginning with a
// hash of the whole: what tells records apart still does, but holds little.
func Short(text string) string {
	if len(text) <= maxShort {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return strings.ToValidUTF8(text[:maxShort-20], "") + "…" + hex.EncodeToString(sum[:8])
}
