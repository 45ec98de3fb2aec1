package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain makes s safe to print on one line of a terminal or a text file: control
// characters, line ends, invalid UTF-8, and invisible or direction-changing
// characters become visible escapes such as \x1b and \u202e.
func Plain(s string) string { return neutral(s, false) }

// Lines is Plain for text of several lines: line feeds and tabs stay.
func Lines(s string) string { return neutral(strings.ReplaceAll(s, "\r\n", "\n"), true) }

// Cell makes s safe as a cell of a CSV file that a spreadsheet opens: it is
// Plain, and what a spreadsheet would take for a formula gets a leading
// apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
func Cell(s string) string {
	s = Plain(s)
	for _, r := range s {
		switch r {
		case ' ':
			continue
		case '=', '+', '-', '@', '＝', '＋', '－', '＠':
			return "'" + s
		}
		break
	}
	return s
}

func neutral(s string, lines bool) string {
	clean := true
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && (!lines || c != '\n' && c != '\t') || c >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i, r := range s {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(s[i:]); size == 1 {
				fmt.Fprintf(&b, `\x%02x`, s[i])
				continue
			}
			b.WriteRune(r)
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !visible(r):
			if r > 0xffff {
				fmt.Fprintf(&b, `\U%08x`, r)
			} else {
				fmt.Fprintf(&b, `\u%04x`, r)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// visible reports whether r can be shown as it is. Format characters (category
// Cf: direction overrides, zero-width joiners, tags), other controls, private
// use, surrogates, unusual spaces and line separators cannot.
func visible(r rune) bool {
	if r < 0x80 {
		return r >= ' ' && r != 0x7f
	}
	return unicode.IsPrint(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.Is(unicode.Variation_Selector, r)
}
