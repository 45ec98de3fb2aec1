package estate

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deeply a document may nest. The deepest AWS answer known
// (a WAF rule statement) nests below 40.
const maxDepth = 200

// Decoder turns JSON into documents: map[string]any, []any, string, bool, nil,
// int64 for whole numbers and float64 for others. It keeps short strings that
// repeat, so that a hundred thousand documents share their member names. A
// Decoder is not safe for concurrent use; the zero value is ready.
type Decoder struct {
	kept map[string]string
	src  []byte
	pos  int
}

// Decode parses exactly one JSON value. An error names the offset.
func (d *Decoder) Decode(src []byte) (any, error) {
	d.src, d.pos = src, 0
	defer func() { d.src = nil }()
	v, err := d.value(0)
	if err != nil {
		return nil, err
	}
	d.space()
	if d.pos != len(d.src) {
		return nil, d.fail("unexpected text after the value")
	}
	return v, nil
}

// DecodeJSON parses one JSON value with a Decoder of its own.
func DecodeJSON(src []byte) (any, error) { return new(Decoder).Decode(src) }

func (d *Decoder) fail(what string) error {
	if d.pos >= len(d.src) {
		return fmt.Errorf("parse JSON at byte %d: unexpected end", d.pos)
	}
	return fmt.Errorf("parse JSON at byte %d: %s", d.pos, what)
}

func (d *Decoder) space() {
	for d.pos < len(d.src) {
		switch d.src[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

func (d *Decoder) value(depth int) (any, error) {
	d.space()
	if d.pos >= len(d.src) {
		return nil, d.fail("")
	}
	if depth > maxDepth {
		return nil, d.fail("nested deeper than " + strconv.Itoa(maxDepth) + " levels")
	}
	switch c := d.src[d.pos]; {
	case c == '{':
		return d.object(depth)
	case c == '[':
		return d.array(depth)
	case c == '"':
		return d.text()
	case c == '-' || c >= '0' && c <= '9':
		return d.number()
	case d.word("true"):
		return true, nil
	case d.word("false"):
		return false, nil
	case d.word("null"):
		return nil, nil
	}
	return nil, d.fail("want a value")
}

func (d *Decoder) word(w string) bool {
	if len(d.src)-d.pos >= len(w) && string(d.src[d.pos:d.pos+len(w)]) == w {
		d.pos += len(w)
		return true
	}
	return false
}

func (d *Decoder) object(depth int) (any, error) {
	d.pos++
	m := map[string]any{}
	d.space()
	if d.pos < len(d.src) && d.src[d.pos] == '}' {
		d.pos++
		return m, nil
	}
	for {
		d.space()
		if d.pos >= len(d.src) || d.src[d.pos] != '"' {
			return nil, d.fail("want a member name")
		}
		k, err := d.text()
		if err != nil {
			return nil, err
		}
		d.space()
		if d.pos >= len(d.src) || d.src[d.pos] != ':' {
			return nil, d.fail("want a colon")
		}
		d.pos++
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		m[k] = v
		done, err := d.next('}')
		if done || err != nil {
			return m, err
		}
	}
}

func (d *Decoder) array(depth int) (any, error) {
	d.pos++
	list := []any{}
	d.space()
	if d.pos < len(d.src) && d.src[d.pos] == ']' {
		d.pos++
		return list, nil
	}
	for {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		done, err := d.next(']')
		if done || err != nil {
			return list, err
		}
	}
}

// next reads a comma, or the closing bracket.
func (d *Decoder) next(end byte) (bool, error) {
	d.space()
	if d.pos >= len(d.src) {
		return false, d.fail("")
	}
	switch d.src[d.pos] {
	case ',':
		d.pos++
		return false, nil
	case end:
		d.pos++
		return true, nil
	}
	return false, d.fail("want a comma or " + string(rune(end)))
}

func (d *Decoder) number() (any, error) {
	start, whole := d.pos, true
	for d.pos < len(d.src) {
		c := d.src[d.pos]
		if c == '.' || c == 'e' || c == 'E' || c == '+' {
			whole = false
		} else if c != '-' && (c < '0' || c > '9') {
			break
		}
		d.pos++
	}
	s := string(d.src[start:d.pos])
	if whole {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) {
		d.pos = start
		return nil, d.fail("want a number")
	}
	return Number(f), nil
}

// Number returns f as documents hold it: int64 if it is whole and can be held
// exactly, else float64.
func Number(f float64) any {
	const exact = 1 << 53
	if f == math.Trunc(f) && f >= -exact && f <= exact {
		return int64(f)
	}
	return f
}

const (
	keptLength = 40      // only strings up to this many bytes are shared
	keptCount  = 1 << 14 // and at most so many
)

func (d *Decoder) keep(b []byte) string {
	if len(b) > keptLength {
		return string(b)
	}
	if s, ok := d.kept[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(d.kept) < keptCount {
		if d.kept == nil {
			d.kept = map[string]string{}
		}
		d.kept[s] = s
	}
	return s
}

func (d *Decoder) text() (string, error) {
	d.pos++
	start := d.pos
	for d.pos < len(d.src) {
		c := d.src[d.pos]
		if c == '"' {
			s := d.keep(d.src[start:d.pos])
			d.pos++
			return s, nil
		}
		if c == '\\' || c < ' ' || c >= utf8.RuneSelf {
			return d.escaped(start)
		}
		d.pos++
	}
	return "", d.fail("")
}

// escaped reads the rest of a string that holds more than plain ASCII. Bytes
// that are no UTF-8 and lone surrogates become U+FFFD.
func (d *Decoder) escaped(start int) (string, error) {
	out := append(make([]byte, 0, d.pos-start+32), d.src[start:d.pos]...)
	for d.pos < len(d.src) {
		switch c := d.src[d.pos]; {
		case c == '"':
			d.pos++
			return string(out), nil
		case c < ' ':
			return "", d.fail("control character in a string")
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		case c < utf8.RuneSelf:
			out = append(out, c)
			d.pos++
		default:
			r, n := utf8.DecodeRune(d.src[d.pos:])
			out = utf8.AppendRune(out, r)
			d.pos += n
		}
	}
	return "", d.fail("")
}

func (d *Decoder) escape() (rune, error) {
	d.pos++
	if d.pos >= len(d.src) {
		return 0, d.fail("")
	}
	c := d.src[d.pos]
	d.pos++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, ok := d.hex()
		if !ok {
			return 0, d.fail("want four hexadecimal digits")
		}
		if utf16.IsSurrogate(r) {
			before := d.pos
			if d.word(`\u`) {
				if low, ok := d.hex(); ok {
					if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
						return full, nil
					}
				}
			}
			d.pos = before
			return utf8.RuneError, nil
		}
		return r, nil
	}
	d.pos--
	return 0, d.fail("unknown escape")
}

func (d *Decoder) hex() (rune, bool) {
	if len(d.src)-d.pos < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(d.src[d.pos:d.pos+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	d.pos += 4
	return rune(n), true
}

var errNotJSON = errors.New("a document holds only maps, lists, strings, numbers, booleans and nil")

// AppendJSON appends v, a value as documents hold it, as compact JSON with
// sorted member names: equal values give equal bytes.
func AppendJSON(dst []byte, v any) ([]byte, error) { return appendJSON(dst, v, 0) }

func appendJSON(dst []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth+2 {
		return nil, fmt.Errorf("encode document: nested deeper than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("encode document: %v: %w", v, errNotJSON)
		}
		return strconv.AppendFloat(dst, v, 'g', -1, 64), nil
	case []any:
		dst = append(dst, '[')
		var err error
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendJSON(dst, e, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		dst = append(dst, '{')
		var err error
		for i, k := range sortedKeys(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, k), ':')
			if dst, err = appendJSON(dst, v[k], depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	case map[string]string:
		dst = append(dst, '{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(append(appendString(dst, k), ':'), v[k])
		}
		return append(dst, '}'), nil
	}
	return nil, fmt.Errorf("encode document: %T: %w", v, errNotJSON)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < ' ' || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}
