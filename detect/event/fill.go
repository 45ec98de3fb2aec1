package event

import (
	"bytes"
	"errors"
	"strings"
)

// forget makes the slots at and below child k of a node missing.
func (e *Event) forget(n *node, k int) {
	if s := n.slots[k]; s >= 0 {
		e.stamp[s] = e.now - 1
	}
	if n.subs[k] != nil {
		for _, s := range n.subs[k].below {
			e.stamp[s] = e.now - 1
		}
	}
}

// fill decodes the value at raw[start:end], which stands at child k of node n,
// into the slots at and below that child. Of an object end is only a bound: the
// index after it is returned, or 0 where it is not well formed.
func (e *Event) fill(n *node, k, start, end int) int {
	slot, sub := n.slots[k], n.subs[k]
	b := e.raw[:end]
	if b[start] == '[' {
		if slot >= 0 {
			e.set(slot, Value{undecodedArray, b[start:]})
		}
		if sub != nil {
			for _, s := range sub.below {
				e.inside[s] = sub
				e.set(s, Value{withinArray, b[start:]})
			}
		}
		return end
	}
	if sub != nil && b[start] == '{' {
		if end = e.fillObject(sub, b, start); end == 0 {
			return 0
		}
	}
	if slot >= 0 {
		e.set(slot, Value{undecoded, b[start:end]})
	}
	return end
}

// fillObject decodes the object at b[start] into the slots below a node, in one
// pass, and returns the index after it; 0 where it is not well formed. The last
// of members of one name counts.
func (e *Event) fillObject(n *node, b []byte, start int) int {
	i := SkipSpace(b, start+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	var seen uint64 // members that were there, as far as 64 bits tell them apart
	for {
		from := i
		c, at := n.member(b, i)
		if at == 0 || at >= len(b) {
			return 0
		}
		var end int
		var err error
		switch {
		case c < 0:
			if name := b[from:at]; bytes.IndexByte(name, '.') >= 0 || bytes.IndexByte(name, '\\') >= 0 {
				e.inner = true // an escape may hide a dot
			}
			end, err = SkipValue(b, at)
		default:
			if bit := uint64(1) << (c & 63); seen&bit == 0 {
				seen |= bit
			} else {
				e.forget(n, c)
			}
			if b[at] == '{' && n.subs[c] != nil {
				end = e.fill(n, c, at, len(b))
			} else if end, err = SkipValue(b, at); err == nil {
				e.fill(n, c, at, end)
			}
		}
		if err != nil || end == 0 {
			return 0
		}
		if i = next(b, end); i == 0 || b[i-1] == '}' {
			return i
		}
	}
}

// member reads the name of a member at b[i] and returns its number among the
// node's keys, −1 if it is none of them, and where the value begins; 0 for what
// is no member.
func (n *node) member(b []byte, i int) (key, value int) {
	if i >= len(b) || b[i] != '"' {
		return 0, 0
	}
	j, err := skipString(b, i+1)
	if err != nil {
		return 0, 0
	}
	name := b[i+1 : j]
	if i = j + 1; i >= len(b) || b[i] != ':' {
		if i = SkipSpace(b, i); i >= len(b) || b[i] != ':' {
			return 0, 0
		}
	}
	if i++; i < len(b) && b[i] <= ' ' {
		i = SkipSpace(b, i)
	}
	key = n.find(name)
	if key < 0 && bytes.IndexByte(name, '\\') >= 0 {
		key = n.find(plainText(name))
	}
	return key, i
}

// next returns the index of what follows the comma at b[i], or the index after
// the brace there; 0 where there is neither.
func next(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' {
		i = SkipSpace(b, i)
	}
	if i >= len(b) {
		return 0
	}
	switch b[i] {
	case '}':
		return i + 1
	case ',':
		if i++; i < len(b) && b[i] <= ' ' {
			i = SkipSpace(b, i)
		}
		return i
	}
	return 0
}

// What one record may cost beside its scan. CloudTrail's longest records, of 256 KB,
// stay below; a hostile one of megabytes does not take hundreds.
const (
	maxValues = 1 << 17   // in fields that have several
	maxSlow   = 128 << 20 // bytes passed by lookup
	maxKept   = 1024      // values of a field whose memory the next record gets
)

// ErrCut says that a record was matched without all its values.
var ErrCut = errors.New("the record holds more values, more names with dots or more text for regular expressions than are looked at: it was matched without the rest")

// Cut reports whether values were left out because the record has too many.
func (e *Event) Cut() bool { return e.cut }

// Shorten says that whoever matches the event has left out some of it.
func (e *Event) Shorten() { e.cut = true }

// take reports whether one value more may be held.
func (e *Event) take() bool {
	e.room--
	if e.room < 0 {
		e.cut = true
	}
	return e.room >= 0
}

// fillArray appends the values in an array's elements to the slots below a node.
// It reports false for what only lookup reads: members of one name, or whose
// names have dots or escapes.
func (e *Event) fillArray(n *node, b []byte) bool {
	ok := true
	err := eachLeaf(b, func(start, end int) bool {
		if b[start] == '{' {
			ok = e.appendObject(n, b[start:end])
		}
		return ok && e.room >= 0
	})
	return ok && err == nil
}

func (e *Event) appendObject(n *node, b []byte) bool {
	i := SkipSpace(b, 1)
	if i < len(b) && b[i] == '}' {
		return true
	}
	var seen uint64
	for {
		if i >= len(b) || b[i] != '"' {
			return false
		}
		from := i + 1
		c, at := n.member(b, i)
		if at == 0 || at >= len(b) {
			return false
		}
		if c < 0 {
			if j := bytes.IndexByte(b[from:], '"'); bytes.ContainsAny(b[from:from+j], `.\`) {
				return false
			}
		}
		end, err := SkipValue(b, at)
		if err != nil {
			return false
		}
		if c >= 0 {
			if bit := uint64(1) << (c & 63); seen&bit != 0 {
				return false
			} else {
				seen |= bit
			}
			if s := n.slots[c]; s >= 0 {
				if b[at] == '[' {
					e.many[s] = e.flatten(e.many[s], b[at:end])
				} else if e.take() {
					e.many[s] = append(e.many[s], scalar(b[at:end]))
				}
			}
			if sub := n.subs[c]; sub != nil {
				switch {
				case b[at] == '{' && !e.appendObject(sub, b[at:end]):
					return false
				case b[at] == '[' && !e.fillArray(sub, b[at:end]):
					return false
				}
			}
		}
		if i = next(b, end); i == 0 || b[i-1] == '}' {
			return i == len(b)
		}
	}
}

// scalar makes a Value of JSON text that is no array.
func scalar(t []byte) Value {
	switch t[0] {
	case '"':
		return Value{String, plainText(t[1 : len(t)-1])}
	case '{':
		return Value{Object, objectText(t)}
	case 't', 'f':
		return Value{Bool, t}
	case 'n':
		return Value{Null, t}
	case '[':
		return Value{Array, t}
	default:
		return Value{Number, t}
	}
}

// objectText is the object without white space, as AWS delivers it, so that a
// rule's text search does not depend on pretty-printing.
func objectText(t []byte) []byte {
	for _, c := range t[1:min(len(t), 3)] {
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			return compact(make([]byte, 0, len(t)), t)
		}
	}
	if bytes.Contains(t, spacedColon) || bytes.Contains(t, spacedComma) {
		return compact(make([]byte, 0, len(t)), t)
	}
	return t
}

// What many JSON writers put between members on one line. In a string it does
// no harm: compact leaves strings alone.
var spacedColon, spacedComma = []byte(`": `), []byte(`, "`)

// flatten appends the elements of an array, and those of arrays in it.
func (e *Event) flatten(dst []Value, t []byte) []Value {
	n := len(dst)
	_ = eachLeaf(t, func(start, end int) bool {
		if !e.take() {
			return false
		}
		dst = append(dst, scalar(t[start:end]))
		return true
	})
	if len(dst) == n && e.take() {
		dst = append(dst, Value{Array, t})
	}
	return dst
}

// lookup finds the values at a path the plain way: member by member, every
// element of an array, and a member whose name is the rest of the path.
func (e *Event) lookup(t []byte, path string) []Value {
	if len(t) == 0 {
		return nil
	}
	if e.slow -= len(t); e.slow < 0 {
		e.cut = true
		return nil
	}
	switch t[0] {
	case '[':
		var out []Value
		_ = eachLeaf(t, func(start, end int) bool {
			if t[start] == '{' {
				out = append(out, e.lookup(t[start:end], path)...)
			}
			return e.slow >= 0 && e.room >= 0
		})
		return out
	case '{':
	default:
		return nil
	}
	head, rest, nested := strings.Cut(path, ".")
	var whole, part []byte
	_, _ = eachMember(t, 0, func(m member) bool {
		if nested && string(m.key) == path {
			whole = t[m.start:m.end]
		}
		if string(m.key) == head {
			part = t[m.start:m.end]
		}
		return true
	})
	if part != nil && nested {
		if vs := e.lookup(part, rest); vs != nil {
			return vs
		}
		part = nil
	}
	if part == nil {
		part = whole
	}
	switch {
	case part == nil:
		return nil
	case part[0] == '[':
		return e.flatten(nil, part)
	case !e.take():
		return nil
	default:
		return []Value{scalar(part)}
	}
}
