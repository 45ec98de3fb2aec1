package event

import (
	"bytes"
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// plainText returns what the inside of a JSON string says: s itself where it
// holds no escape and is valid UTF-8, else a decoded copy.
func plainText(s []byte) []byte {
	if isPlain(s) || bytes.IndexByte(s, '\\') < 0 && utf8.Valid(s) {
		return s
	}
	return AppendUnescaped(make([]byte, 0, len(s)), s)
}

// isPlain reports whether s is ASCII without a backslash, as nearly every text of
// a log is.
func isPlain(s []byte) bool {
	for len(s) >= 8 {
		w := binary.LittleEndian.Uint64(s)
		x := w ^ slashes
		if (w|(x-ones)&^x)&tops != 0 {
			return false
		}
		s = s[8:]
	}
	for _, c := range s {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

// AppendUnescaped appends the meaning of the inside of a JSON string to dst.
// Invalid UTF-8 and lone surrogates become U+FFFD, as in encoding/json; an
// unknown escape stays as it is.
func AppendUnescaped(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			n := 2
			switch e := s[i+1]; e {
			case 'n':
				dst = append(dst, '\n')
			case 't':
				dst = append(dst, '\t')
			case 'r':
				dst = append(dst, '\r')
			case 'b':
				dst = append(dst, '\b')
			case 'f':
				dst = append(dst, '\f')
			case '"', '\\', '/':
				dst = append(dst, e)
			case 'u':
				r := hex4(s[i+2:])
				if r < 0 {
					dst = append(dst, '\\', 'u')
					break
				}
				n = 6
				if utf16.IsSurrogate(r) {
					second := rune(-1)
					if i+7 < len(s) && s[i+6] == '\\' && s[i+7] == 'u' {
						second = hex4(s[i+8:])
					}
					if r = utf16.DecodeRune(r, second); r != utf8.RuneError {
						n = 12
					}
				}
				dst = utf8.AppendRune(dst, r)
			default:
				dst = append(dst, '\\', e)
			}
			i += n
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst
}

func hex4(s []byte) rune {
	if len(s) < 4 {
		return -1
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// compact appends the JSON text s to dst without white space between tokens.
func compact(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		switch s[i] {
		case ' ', '\n', '\t', '\r':
			i++
		case '"':
			j, err := skipString(s, i+1)
			if err != nil {
				return append(dst, s[i:]...)
			}
			dst = append(dst, s[i:j+1]...)
			i = j + 1
		default:
			dst = append(dst, s[i])
			i++
		}
	}
	return dst
}
