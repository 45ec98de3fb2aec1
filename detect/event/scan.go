package event

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
)

// MaxDepth is how deep a record may nest.
const MaxDepth = 128

// Errors of the scanner. ErrShort says that the text ends within the value.
var (
	ErrShort  = errors.New("the record ends too early")
	ErrSyntax = errors.New("not JSON")
	ErrDeep   = errors.New("nested too deep")
)

const (
	clsBad   = iota
	clsPlain // may stand between strings: white space, separators, numbers, literals
	clsQuote
	clsOpen
	clsClose
)

var class = func() (t [256]uint8) {
	for _, c := range []byte(" \t\r\n,:0123456789+-.eEtrufalsn") {
		t[c] = clsPlain
	}
	t['"'] = clsQuote
	t['{'], t['['] = clsOpen, clsOpen
	t['}'], t[']'] = clsClose, clsClose
	return t
}()

// SkipSpace returns the index of the first byte at or after i that is no white space.
func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// Eight bytes at a time.
const ones, tops, quotes, slashes = 0x0101010101010101, 0x8080808080808080, 0x2222222222222222, 0x5c5c5c5c5c5c5c5c

// skipString returns the index of the closing quote of the string whose first
// byte after the opening quote is b[i]. Most strings are short, so the first
// bytes are looked at eight at a time before the search proper is called.
func skipString(b []byte, i int) (int, error) {
	for n := 0; n < 5 && i+8 <= len(b); n++ {
		w := binary.LittleEndian.Uint64(b[i:])
		q, s := w^quotes, w^slashes
		found := ((q-ones)&^q | (s-ones)&^s) & tops
		if found != 0 {
			i += bits.TrailingZeros64(found) >> 3
			if b[i] == '"' {
				return i, nil
			}
			break // a backslash
		}
		i += 8
	}
	return skipLong(b, i)
}

// skipLong is skipString for the rest: i is not behind an odd backslash.
func skipLong(b []byte, i int) (int, error) {
	for from := i; ; {
		j := bytes.IndexByte(b[i:], '"')
		if j < 0 {
			return 0, ErrShort
		}
		i += j
		k := i
		for k > from && b[k-1] == '\\' {
			k--
		}
		if (i-k)&1 == 0 {
			return i, nil
		}
		i++
	}
}

// SkipValue returns the index after the JSON value that begins at b[i], which
// is no white space. A number or literal that reaches the end of b counts as
// whole.
func SkipValue(b []byte, i int) (int, error) {
	if i >= len(b) {
		return 0, ErrShort
	}
	switch b[i] {
	case '"':
		j, err := skipString(b, i+1)
		return j + 1, err
	case '{', '[':
		return skipNested(b, i)
	}
	start := i
	for i < len(b) && class[b[i]] == clsPlain && b[i] > ' ' && b[i] != ',' && b[i] != ':' {
		i++
	}
	if i == start {
		return 0, ErrSyntax
	}
	if !plausible(b[start:i]) {
		if i == len(b) && i-start < 5 {
			return 0, ErrShort
		}
		return 0, ErrSyntax
	}
	return i, nil
}

// plausible tells literals and what begins like a number from other text.
func plausible(v []byte) bool {
	switch c := v[0]; {
	case c == 't':
		return string(v) == "true"
	case c == 'f':
		return string(v) == "false"
	case c == 'n':
		return string(v) == "null"
	default:
		return c == '-' || c >= '0' && c <= '9'
	}
}

func skipNested(b []byte, i int) (int, error) {
	var square [MaxDepth]bool // at each depth: is it an array
	depth := 0
	for i < len(b) {
		c := b[i]
		switch class[c] {
		case clsPlain:
			i++
		case clsQuote:
			// Most strings are short and have no escapes.
			j, err := skipString(b, i+1)
			if err != nil {
				return 0, err
			}
			i = j + 1
		case clsOpen:
			if depth == MaxDepth {
				return 0, ErrDeep
			}
			square[depth] = c == '['
			depth++
			i++
		case clsClose:
			depth--
			if square[depth] != (c == ']') {
				return 0, ErrSyntax
			}
			i++
			if depth == 0 {
				return i, nil
			}
		default:
			return 0, ErrSyntax
		}
	}
	return 0, ErrShort
}

// member is one key and value of an object, as it stands in the text.
type member struct {
	key        []byte
	start, end int // of the value
}

// eachMember calls visit for every member of the object at b[i], in order, and
// returns the index after the object. visit returns false to stop early.
func eachMember(b []byte, i int, visit func(member) bool) (int, error) {
	if i >= len(b) {
		return 0, ErrShort
	}
	if b[i] != '{' {
		return 0, ErrSyntax
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		key, start, err := nextKey(b, i)
		if err != nil {
			return 0, err
		}
		end, err := SkipValue(b, start)
		if err != nil {
			return 0, err
		}
		if !visit(member{key, start, end}) {
			return end, nil
		}
		i = SkipSpace(b, end)
		if i >= len(b) {
			return 0, ErrShort
		}
		if b[i] == '}' {
			return i + 1, nil
		}
		if b[i] != ',' {
			return 0, ErrSyntax
		}
		i = SkipSpace(b, i+1)
	}
}

// nextKey reads "key": at b[i] and returns the key, unescaped, and where the
// value begins.
func nextKey(b []byte, i int) ([]byte, int, error) {
	if i >= len(b) {
		return nil, 0, ErrShort
	}
	if b[i] != '"' {
		return nil, 0, ErrSyntax
	}
	j, err := skipString(b, i+1)
	if err != nil {
		return nil, 0, err
	}
	key := b[i+1 : j]
	i = j + 1
	if i < len(b) && b[i] != ':' {
		i = SkipSpace(b, i)
	}
	if i >= len(b) {
		return nil, 0, ErrShort
	}
	if b[i] != ':' {
		return nil, 0, ErrSyntax
	}
	i++
	if i < len(b) && b[i] <= ' ' {
		i = SkipSpace(b, i)
	}
	return plainText(key), i, nil
}

// eachElement calls visit with the bounds of every element of the array at b[i].
func eachElement(b []byte, i int, visit func(start, end int) bool) error {
	if i >= len(b) || b[i] != '[' {
		return ErrSyntax
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == ']' {
		return nil
	}
	for {
		end, err := SkipValue(b, i)
		if err != nil {
			return err
		}
		if !visit(i, end) {
			return nil
		}
		i = SkipSpace(b, end)
		if i >= len(b) {
			return ErrShort
		}
		if b[i] == ']' {
			return nil
		}
		if b[i] != ',' {
			return ErrSyntax
		}
		i = SkipSpace(b, i+1)
	}
}

// eachLeaf calls visit with the bounds of every element of the array at b[0] and of
// the arrays in it that is no array, or an empty one. It passes b once, however
// deep the arrays are.
func eachLeaf(b []byte, visit func(start, end int) bool) error {
	if len(b) == 0 || b[0] != '[' {
		return ErrSyntax
	}
	for i, depth := 0, 0; ; {
		if i >= len(b) {
			return ErrShort
		}
		end := 0
		if b[i] == '[' {
			if depth == MaxDepth {
				return ErrDeep
			}
			j := SkipSpace(b, i+1)
			if j >= len(b) || b[j] != ']' {
				depth++
				i = j
				continue
			}
			end = j + 1
		} else {
			var err error
			if end, err = SkipValue(b, i); err != nil {
				return err
			}
		}
		if !visit(i, end) {
			return nil
		}
		for i = end; ; i++ {
			if depth == 0 {
				return nil
			}
			if i = SkipSpace(b, i); i >= len(b) {
				return ErrShort
			}
			if b[i] == ',' {
				i = SkipSpace(b, i+1)
				break
			}
			if b[i] != ']' {
				return ErrSyntax
			}
			depth--
		}
	}
}

// NextKey reads the member that begins at b[i]: its name, unescaped, and where
// its value begins.
func NextKey(b []byte, i int) (key []byte, value int, err error) { return nextKey(b, i) }

// Members calls visit with the members of the JSON object b, in order. The last
// value may be cut short where b is.
func Members(b []byte, visit func(key, value []byte) bool) {
	i := SkipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return
	}
	i = SkipSpace(b, i+1)
	for {
		key, start, err := nextKey(b, i)
		if err != nil {
			return
		}
		end, err := SkipValue(b, start)
		if err != nil {
			visit(key, b[start:])
			return
		}
		if !visit(key, b[start:end]) {
			return
		}
		i = SkipSpace(b, end)
		if i >= len(b) || b[i] != ',' {
			return
		}
		i = SkipSpace(b, i+1)
	}
}

// Elements calls visit with the elements of the JSON array b, in order.
func Elements(b []byte, visit func(element []byte) bool) error {
	return eachElement(b, SkipSpace(b, 0), func(start, end int) bool { return visit(b[start:end]) })
}
