package report

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/bartizan-security/bartizan/finding"
)

// clip shortens s to width columns, with an ellipsis for what is missing.
func clip(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if len(s) <= width || lipgloss.Width(s) <= width {
		return s
	}
	cut, columns := 0, 0
	for i, r := range s {
		w := runeWidth(r)
		if columns+w > width-1 {
			break
		}
		columns += w
		cut = i + utf8.RuneLen(r)
	}
	return strings.TrimRight(s[:cut], " ") + "…"
}

// clipMiddle shortens s in the middle, because an ARN's beginning and end say
// most.
func clipMiddle(s string, width int) string {
	if width <= 0 {
		return ""
	}
	if len(s) <= width || lipgloss.Width(s) <= width {
		return s
	}
	runes := []rune(s)
	head, columns := 0, 0
	for columns < (width-1)/3 && head < len(runes) {
		columns += runeWidth(runes[head])
		head++
	}
	tail := len(runes)
	for tail > head {
		w := runeWidth(runes[tail-1])
		if columns+w > width-1 {
			break
		}
		columns += w
		tail--
	}
	return string(runes[:head]) + "…" + string(runes[tail:])
}

func runeWidth(r rune) int {
	if r < 0x80 {
		return 1
	}
	return lipgloss.Width(string(r))
}

// wrap breaks s at spaces, or within a word that is longer than a line, into at
// most lines lines of width columns; the last ends in an ellipsis if there was
// more.
func wrap(s string, width, lines int) []string {
	width = max(width, 10)
	var out []string
	for s = strings.TrimSpace(s); s != ""; {
		if len(out) == lines-1 {
			return append(out, clip(s, width))
		}
		cut, space, columns := len(s), 0, 0
		for i, r := range s {
			columns += runeWidth(r)
			if columns > width {
				cut = i
				break
			}
			if r == ' ' {
				space = i
			}
		}
		if cut < len(s) && s[cut] != ' ' && space > 0 {
			cut = space
		}
		out = append(out, strings.TrimRight(s[:cut], " "))
		s = strings.TrimLeft(s[cut:], " ")
	}
	return out
}

// evidenceText is one piece of evidence on one line: path = value (note), of at
// most limit bytes of value.
func evidenceText(e finding.Evidence, limit int) string {
	s := valueText(e.Value, limit)
	if e.Path != "" {
		s = e.Path + " = " + s
	}
	if e.Note != "" {
		s += " (" + e.Note + ")"
	}
	return s
}

// valueText is a value as compact JSON, cut to limit bytes.
func valueText(v any, limit int) string {
	data, err := marshal(v)
	s := string(data)
	if err != nil {
		s = fmt.Sprint(v)
	}
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

func marshal(v any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// Columns is how many columns of a terminal s takes.
func Columns(s string) int { return lipgloss.Width(s) }
