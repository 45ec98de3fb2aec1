package value

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Append writes v as compact JSON at the end of dst.
func Append(dst []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case float64:
		return appendFloat(dst, x)
	case Big:
		return append(dst, x...)
	case string:
		return appendString(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, e)
		}
		return append(dst, ']')
	case *Object:
		dst = append(dst, '{')
		for i, k := range x.keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, k)
			dst = append(dst, ':')
			dst = Append(dst, x.vals[i])
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// String returns v as compact JSON.
func String(v any) string { return string(Append(nil, v)) }

// appendFloat writes a double as Java's Double.toString does, which is what
// Step Functions returns: 3.0, 1.0E7.
func appendFloat(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	a := math.Abs(f)
	if a == 0 || a >= 1e-3 && a < 1e7 {
		at := len(dst)
		dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
		if !strings.Contains(string(dst[at:]), ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	s := strconv.FormatFloat(f, 'E', -1, 64)
	mant, exp, _ := strings.Cut(s, "E")
	if !strings.Contains(mant, ".") {
		mant += ".0"
	}
	n, _ := strconv.Atoi(exp)
	return append(append(append(dst, mant...), 'E'), strconv.Itoa(n)...)
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	return append(append(dst, s[start:]...), '"')
}

// Size returns the number of bytes that v takes as compact JSON.
func Size(v any) int {
	switch x := v.(type) {
	case nil:
		return 4
	case bool:
		if x {
			return 4
		}
		return 5
	case string:
		return sizeString(x)
	case []any:
		n := 2 + max(0, len(x)-1)
		for _, e := range x {
			n += Size(e)
		}
		return n
	case *Object:
		n := 2 + max(0, len(x.keys)-1) + len(x.keys)
		for i, k := range x.keys {
			n += sizeString(k) + Size(x.vals[i])
		}
		return n
	}
	var buf [32]byte
	return len(Append(buf[:0], v))
}

func sizeString(s string) int {
	n := 2 + len(s)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' || c == '\b' || c == '\f':
			n++
		case c < 0x20:
			n += 5
		}
	}
	return n
}

// Java returns v as Java's toString writes maps, lists and scalars, which is
// how States.Format shows an object: {Arg1=1, Arg2=[]}.
func Java(v any) string {
	var b strings.Builder
	java(&b, v)
	return b.String()
}

func java(b *strings.Builder, v any) {
	switch x := v.(type) {
	case string:
		b.WriteString(x)
	case []any:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteString(", ")
			}
			java(b, e)
		}
		b.WriteByte(']')
	case *Object:
		b.WriteByte('{')
		for i, k := range x.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k)
			b.WriteByte('=')
			java(b, x.vals[i])
		}
		b.WriteByte('}')
	default:
		b.WriteString(String(v))
	}
}

// From turns what encoding/json produces (map[string]any, []any, float64,
// json.Number, string, bool, nil) and plain Go integers into a value. Members
// of a map are put in the order of their names.
func From(v any) (any, error) {
	switch x := v.(type) {
	case nil, bool, string, int64, Big, *Object:
		return x, nil
	case int:
		return int64(x), nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode value: %w", err)
	}
	return Parse(text)
}

// MarshalJSON writes the object as compact JSON.
func (o *Object) MarshalJSON() ([]byte, error) { return Append(nil, o), nil }
