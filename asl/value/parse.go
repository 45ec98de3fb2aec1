package value

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError says where and why a text is not JSON.
type SyntaxError struct {
	Offset       int // bytes from the start
	Line, Column int // from 1
	Msg          string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Msg)
}

// Position is a place in a parsed text: line and column count from 1.
type Position struct{ Line, Column int }

// Positions tells where each member and element of a parsed document stands,
// by JSON pointer (https://www.rfc-editor.org/rfc/rfc6901).
type Positions struct {
	text    []byte
	offsets map[string]int
	dupes   []string
}

// At returns where the value at a JSON pointer stands; for a member, where its
// name stands. For an unknown pointer it returns the nearest parent that is known.
func (p *Positions) At(pointer string) Position {
	if p == nil {
		return Position{1, 1}
	}
	for {
		if off, ok := p.offsets[pointer]; ok {
			line, col := lineColumn(p.text, off)
			return Position{line, col}
		}
		i := strings.LastIndexByte(pointer, '/')
		if i < 0 {
			return Position{1, 1}
		}
		pointer = pointer[:i]
	}
}

// Duplicates returns the pointers of members whose name occurs twice in its object.
func (p *Positions) Duplicates() []string { return p.dupes }

// Pointer joins a JSON pointer and one more name.
func Pointer(parent, name string) string {
	return parent + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func lineColumn(text []byte, off int) (int, int) {
	off = min(off, len(text))
	line := 1
	start := 0
	for i := range off {
		if text[i] == '\n' {
			line++
			start = i + 1
		}
	}
	return line, utf8.RuneCount(text[start:off]) + 1
}

// Parse reads one JSON value. A name that occurs twice in an object keeps its
// last value.
func Parse(text []byte) (any, error) {
	p := parser{text: text}
	return p.document()
}

// ParsePositions is Parse, with the place of every value.
func ParsePositions(text []byte) (any, *Positions, error) {
	p := parser{text: text, pos: &Positions{text: text, offsets: map[string]int{"": 0}}}
	v, err := p.document()
	return v, p.pos, err
}

type parser struct {
	text  []byte
	i     int
	depth int
	pos   *Positions
	path  []byte
}

func (p *parser) fail(off int, format string, args ...any) error {
	line, col := lineColumn(p.text, off)
	return &SyntaxError{Offset: off, Line: line, Column: col, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) document() (any, error) {
	p.space()
	if p.i == len(p.text) {
		return nil, p.fail(p.i, "No content to map due to end-of-input")
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	p.space()
	if p.i < len(p.text) {
		return nil, p.fail(p.i+1, "Unexpected character (%s): expected end of the document", p.describe())
	}
	return v, nil
}

func (p *parser) describe() string {
	r, _ := utf8.DecodeRune(p.text[p.i:])
	return fmt.Sprintf("'%c' (code %d)", r, r)
}

func (p *parser) space() {
	for p.i < len(p.text) {
		switch p.text[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value() (any, error) {
	if p.i >= len(p.text) {
		return nil, p.fail(p.i, "Unexpected end-of-input")
	}
	switch c := p.text[p.i]; {
	case c == '{':
		return p.object()
	case c == '[':
		return p.array()
	case c == '"':
		return p.str()
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$':
		return p.word()
	}
	return nil, p.fail(p.i+1, "Unexpected character (%s): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", p.describe())
}

func (p *parser) word() (any, error) {
	start := p.i
	for p.i < len(p.text) {
		c := p.text[p.i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80 {
			p.i++
			continue
		}
		break
	}
	switch w := string(p.text[start:p.i]); w {
	case "true":
		return true, nil
	case "false":
		return false, nil
	case "null":
		return nil, nil
	default:
		if len(w) > 256 {
			w = w[:256] + "..."
		}
		return nil, p.fail(p.i, "Unrecognized token '%s': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')", w)
	}
}

func (p *parser) number() (any, error) {
	start := p.i
	digits := func() int {
		n := 0
		for p.i < len(p.text) && p.text[p.i] >= '0' && p.text[p.i] <= '9' {
			p.i++
			n++
		}
		return n
	}
	if p.text[p.i] == '-' {
		p.i++
	}
	first := p.i
	if digits() == 0 {
		return nil, p.fail(p.i, "Unexpected end of a number: expected a digit to follow the minus sign")
	}
	if p.text[first] == '0' && p.i-first > 1 {
		return nil, p.fail(first+1, "Invalid numeric value: Leading zeroes not allowed")
	}
	whole := true
	if p.i < len(p.text) && p.text[p.i] == '.' {
		whole = false
		p.i++
		if digits() == 0 {
			return nil, p.fail(p.i+1, "Unexpected end of a number: Decimal point not followed by a digit")
		}
	}
	if p.i < len(p.text) && (p.text[p.i] == 'e' || p.text[p.i] == 'E') {
		whole = false
		p.i++
		if p.i < len(p.text) && (p.text[p.i] == '+' || p.text[p.i] == '-') {
			p.i++
		}
		if digits() == 0 {
			return nil, p.fail(p.i+1, "Unexpected end of a number: Exponent indicator not followed by a digit")
		}
	}
	lit := string(p.text[start:p.i])
	if whole {
		n, err := strconv.ParseInt(lit, 10, 64)
		if err == nil {
			return n, nil
		}
		if len(lit) > 1000 {
			return nil, p.fail(start, "Number length (%d) exceeds the maximum length (1000)", len(lit))
		}
		return Big(lit), nil
	}
	f, err := strconv.ParseFloat(lit, 64)
	if err != nil {
		return nil, p.fail(start, "Number %s is out of the range of a double", lit)
	}
	return f, nil
}

func (p *parser) array() (any, error) {
	start := p.i
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(p.i, "Document nesting depth (%d) exceeds the maximum allowed (%d)", p.depth, MaxDepth)
	}
	defer func() { p.depth-- }()
	p.i++
	out := []any{}
	p.space()
	if p.i < len(p.text) && p.text[p.i] == ']' {
		p.i++
		return out, nil
	}
	mark := len(p.path)
	for {
		p.space()
		if p.pos != nil {
			p.path = strconv.AppendInt(append(p.path[:mark], '/'), int64(len(out)), 10)
			p.pos.offsets[string(p.path)] = p.i
		}
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		p.path = p.path[:mark]
		out = append(out, v)
		p.space()
		if p.i >= len(p.text) {
			line, col := lineColumn(p.text, start)
			return nil, p.fail(p.i, "Unexpected end-of-input: expected close marker for Array (start marker at line: %d, column: %d)", line, col)
		}
		switch p.text[p.i] {
		case ',':
			p.i++
		case ']':
			p.i++
			return out, nil
		default:
			return nil, p.fail(p.i+1, "Unexpected character (%s): was expecting comma to separate Array entries", p.describe())
		}
	}
}

func (p *parser) object() (any, error) {
	start := p.i
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(p.i, "Document nesting depth (%d) exceeds the maximum allowed (%d)", p.depth, MaxDepth)
	}
	defer func() { p.depth-- }()
	p.i++
	out := NewObject(4)
	p.space()
	if p.i < len(p.text) && p.text[p.i] == '}' {
		p.i++
		return out, nil
	}
	mark := len(p.path)
	unclosed := func() error {
		line, col := lineColumn(p.text, start)
		return p.fail(p.i, "Unexpected end-of-input: expected close marker for Object (start marker at line: %d, column: %d)", line, col)
	}
	for {
		p.space()
		if p.i >= len(p.text) {
			return nil, unclosed()
		}
		if p.text[p.i] != '"' {
			return nil, p.fail(p.i+1, "Unexpected character (%s): was expecting double-quote to start field name", p.describe())
		}
		at := p.i
		k, err := p.str()
		if err != nil {
			return nil, err
		}
		key := k.(string)
		if p.pos != nil {
			p.path = append(p.path[:mark], Pointer("", key)...)
			if out.Has(key) {
				p.pos.dupes = append(p.pos.dupes, string(p.path))
			}
			p.pos.offsets[string(p.path)] = at
		}
		p.space()
		if p.i >= len(p.text) {
			return nil, unclosed()
		}
		if p.text[p.i] != ':' {
			return nil, p.fail(p.i+1, "Unexpected character (%s): was expecting a colon to separate field name and value", p.describe())
		}
		p.i++
		p.space()
		v, err := p.value()
		if err != nil {
			return nil, err
		}
		p.path = p.path[:mark]
		out.Set(key, v)
		p.space()
		if p.i >= len(p.text) {
			return nil, unclosed()
		}
		switch p.text[p.i] {
		case ',':
			p.i++
		case '}':
			p.i++
			return out, nil
		default:
			return nil, p.fail(p.i+1, "Unexpected character (%s): was expecting comma to separate Object entries", p.describe())
		}
	}
}

func (p *parser) str() (any, error) {
	start := p.i
	p.i++
	run := p.i
	for p.i < len(p.text) && p.text[p.i] != '"' && p.text[p.i] != '\\' && p.text[p.i] >= 0x20 {
		p.i++
	}
	if p.i < len(p.text) && p.text[p.i] == '"' {
		s := string(p.text[run:p.i])
		p.i++
		return strings.ToValidUTF8(s, "\uFFFD"), nil
	}
	buf := append([]byte(nil), p.text[run:p.i]...)
	for p.i < len(p.text) {
		c := p.text[p.i]
		switch {
		case c == '"':
			p.i++
			return strings.ToValidUTF8(string(buf), "\uFFFD"), nil
		case c < 0x20:
			return nil, p.fail(p.i+1, "Illegal unquoted character ((CTRL-CHAR, code %d)): has to be escaped using backslash to be included in string value", c)
		case c != '\\':
			buf = append(buf, c)
			p.i++
		default:
			var err error
			if buf, err = p.escape(buf); err != nil {
				return nil, err
			}
		}
	}
	return nil, p.fail(start, "Unexpected end-of-input: was expecting closing quote for a string value")
}

func (p *parser) escape(buf []byte) ([]byte, error) {
	p.i++
	if p.i >= len(p.text) {
		return nil, p.fail(p.i, "Unexpected end-of-input in character escape sequence")
	}
	c := p.text[p.i]
	p.i++
	switch c {
	case '"', '\\', '/':
		return append(buf, c), nil
	case 'b':
		return append(buf, '\b'), nil
	case 'f':
		return append(buf, '\f'), nil
	case 'n':
		return append(buf, '\n'), nil
	case 'r':
		return append(buf, '\r'), nil
	case 't':
		return append(buf, '\t'), nil
	case 'u':
		r, ok := p.hex4()
		if !ok {
			return nil, p.fail(p.i, "Unexpected character in a \\u escape: expected a hex-digit")
		}
		if utf16.IsSurrogate(r) && p.i+1 < len(p.text) && p.text[p.i] == '\\' && p.text[p.i+1] == 'u' {
			save := p.i
			p.i += 2
			if low, ok := p.hex4(); ok {
				if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
					return utf8.AppendRune(buf, full), nil
				}
			}
			p.i = save
		}
		return utf8.AppendRune(buf, r), nil
	}
	return nil, p.fail(p.i, "Unrecognized character escape '%c' (code %d)", c, c)
}

func (p *parser) hex4() (rune, bool) {
	if p.i+4 > len(p.text) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.text[p.i:p.i+4]), 16, 32)
	if err != nil {
		return 0, false
	}
	p.i += 4
	return rune(n), true
}
