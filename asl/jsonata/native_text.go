package jsonata

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/asl/value"
)

// concat is the operator &.
func concat(s *scope, a, b any) any {
	x, y := str(s, a), str(s, b)
	s.charge((len(x) + len(y)) / 16)
	return x + y
}

// str is what $string and & make of a value: JSON, but for a text.
func str(s *scope, v any) string {
	switch x := v.(type) {
	case undef:
		return ""
	case string:
		return x
	}
	out := string(appendJSON(s, nil, plain(s, v, nativeDepth), nativeDepth))
	s.charge(len(out) / 16)
	return out
}

// appendJSON writes a value as JSON.stringify does.
func appendJSON(s *scope, dst []byte, v any, depth int) []byte {
	if depth == 0 {
		leave()
	}
	s.charge(1)
	switch x := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, x)
	case int64:
		return strconv.AppendInt(dst, x, 10)
	case float64:
		if x == math.Trunc(x) {
			return append(dst, decimal(x)...)
		}
		// The reference keeps 15 digits.
		f, err := strconv.ParseFloat(strconv.FormatFloat(x, 'e', 14, 64), 64)
		if err != nil {
			leave()
		}
		return append(dst, decimal(f)...)
	case string:
		return appendQuoted(dst, x)
	case []any:
		dst = append(dst, '[')
		for i, e := range x {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(s, dst, e, depth-1)
		}
		return append(dst, ']')
	case *value.Object:
		dst = append(dst, '{')
		for i := range x.Len() {
			k, e := x.At(i)
			if outOfOrder(k) {
				leave()
			}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendQuoted(dst, k), ':')
			dst = appendJSON(s, dst, e, depth-1)
		}
		return append(dst, '}')
	}
	leave()
	return nil
}

// outOfOrder reports whether JavaScript might not keep the order of a member
// with this name, or treat it in a way of its own.
func outOfOrder(name string) bool {
	return name != "" && (name[0] >= '0' && name[0] <= '9' || name[0] == '_' || name == "toJSON" || name == "constructor")
}

// decimal writes a number as JavaScript does where it uses no exponent.
func decimal(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		leave()
	}
	if f == 0 {
		return "0"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c < 0x20:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// isSpace are the characters that $trim takes.
func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// textFunction runs a function of one text; undefined gives undefined.
func textFunction(f func(string) any) function {
	return function{1, 1, func(s *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		t, ok := a[0].(string)
		if !ok {
			return leave()
		}
		s.charge(len(t) / 16)
		return f(t)
	}}
}

// ofTwoTexts runs a function of two texts; an undefined first gives undefined.
func ofTwoTexts(f func(s *scope, a, b string) any) function {
	return function{2, 2, func(s *scope, a []any) any {
		second, ok2 := a[1].(string)
		if !ok2 {
			return leave()
		}
		if isUndef(a[0]) {
			return undef{}
		}
		first, ok1 := a[0].(string)
		if !ok1 {
			return leave()
		}
		s.charge(len(first) / 16)
		return f(s, first, second)
	}}
}

var textFunctions = map[string]function{
	"uppercase": textFunction(func(t string) any {
		if !ascii(t) {
			return leave()
		}
		return strings.ToUpper(t)
	}),
	"lowercase": textFunction(func(t string) any {
		if !ascii(t) {
			return leave()
		}
		return strings.ToLower(t)
	}),
	"length": textFunction(func(t string) any { return int64(utf8.RuneCountInString(t)) }),
	"trim":   textFunction(func(t string) any { return strings.Join(strings.FieldsFunc(t, isSpace), " ") }),
	"string": {1, 1, func(s *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		return str(s, a[0])
	}},
	"contains": ofTwoTexts(func(_ *scope, a, b string) any { return strings.Contains(a, b) }),
	"substringBefore": ofTwoTexts(func(_ *scope, a, b string) any {
		before, _, _ := strings.Cut(a, b)
		return before
	}),
	"substringAfter": ofTwoTexts(func(_ *scope, a, b string) any {
		if _, after, found := strings.Cut(a, b); found {
			return after
		}
		return a
	}),
	"split": ofTwoTexts(func(s *scope, a, b string) any {
		if b == "" && !ascii(a) {
			return leave() // JavaScript would split a character in two
		}
		parts := strings.Split(a, b)
		s.charge(len(parts))
		out := make([]any, len(parts))
		for i, p := range parts {
			out[i] = p
		}
		return out
	}),
	"join":      {1, 2, join},
	"substring": {2, 3, substring},
	"replace":   {3, 3, replace},
	"number":    {1, 1, toNumber},
}

func join(s *scope, a []any) any {
	separator := ""
	if len(a) == 2 {
		var ok bool
		if separator, ok = a[1].(string); !ok {
			return leave()
		}
	}
	switch x := a[0].(type) {
	case undef:
		return x
	case string:
		return x
	case []any:
		parts := make([]string, len(x))
		for i, e := range x {
			t, ok := e.(string)
			if !ok {
				return leave()
			}
			s.charge(1 + (len(t)+len(separator))/16)
			parts[i] = t
		}
		return strings.Join(parts, separator)
	}
	return leave()
}

func substring(s *scope, a []any) any {
	at := make([]int, 0, 2)
	for _, v := range a[1:] {
		n, isInt := plain(s, v, 1).(int64)
		if !isInt || n > 1<<31 || n < -1<<31 {
			return leave()
		}
		at = append(at, int(n))
	}
	if isUndef(a[0]) {
		return undef{}
	}
	t, ok := a[0].(string)
	if !ok {
		return leave()
	}
	s.charge(len(t) / 16)
	chars := []rune(t)
	from := at[0]
	if from < 0 {
		from = max(0, len(chars)+from)
	}
	from = min(from, len(chars))
	to := len(chars)
	if len(at) == 2 {
		if at[1] <= 0 {
			return ""
		}
		to = min(to, from+at[1])
	}
	return string(chars[from:to])
}

// replace takes a plain text for a pattern, and then $ has no meaning.
func replace(s *scope, a []any) any {
	pattern, ok1 := a[1].(string)
	by, ok2 := a[2].(string)
	if !ok1 || !ok2 || pattern == "" {
		return leave()
	}
	if isUndef(a[0]) {
		return undef{}
	}
	t, ok := a[0].(string)
	if !ok {
		return leave()
	}
	s.charge((len(t) + strings.Count(t, pattern)*len(by)) / 16)
	return strings.ReplaceAll(t, pattern, by)
}

func toNumber(s *scope, a []any) any {
	switch x := a[0].(type) {
	case undef:
		return x
	case int64, float64:
		return plain(s, x, 1)
	case bool:
		if x {
			return int64(1)
		}
		return int64(0)
	case string:
		if !isDecimal(x) {
			return leave()
		}
		f, err := strconv.ParseFloat(x, 64)
		if err != nil {
			return leave()
		}
		return number(f)
	}
	return leave()
}

// isDecimal reports whether a text is digits with one point among them and a
// sign before; exponents are left to the reference.
func isDecimal(t string) bool {
	t = strings.TrimPrefix(t, "-")
	whole, fraction, point := strings.Cut(t, ".")
	digits := func(d string) bool {
		return d != "" && strings.Trim(d, "0123456789") == ""
	}
	return len(t) < 300 && digits(whole) && (!point || digits(fraction))
}
