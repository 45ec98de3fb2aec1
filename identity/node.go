package identity

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on a policy document. They are far above every AWS quota
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html)
// and keep hostile input cheap.
const (
	MaxPolicySize  = 1 << 20 // bytes
	MaxPolicyDepth = 64      // nested arrays and objects
)

// Pos is a place in a document. The zero value means that the element was not
// read from a document.
type Pos struct {
	Offset int // bytes from the start
	Line   int // from 1
	Col    int // characters, from 1
}

// IsValid reports whether p points into a document.
func (p Pos) IsValid() bool { return p.Line > 0 }

// String returns line:column.
func (p Pos) String() string { return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col) }

// Kind is the JSON type of a value.
type Kind uint8

// The JSON types.
const (
	String Kind = iota
	Number
	Bool
	Null
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"string", "number", "boolean", "null", "array", "object"}[k]
}

// Node is one JSON value of a document with its place. Members of an object
// keep their order, and a key that occurs twice occurs twice.
type Node struct {
	Kind     Kind
	Text     string // the decoded string; the literal of a number, a boolean or null
	Pos, End Pos    // first character, and just after the last
	Children []*Node

	Key    string // of a member of an object
	KeyPos Pos
	Index  int // of an element of an array
	Parent *Node
}

// Member returns the first member called key, or nil.
func (n *Node) Member(key string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	for _, c := range n.Children {
		if c.Key == key {
			return c
		}
	}
	return nil
}

// Path returns where n stands, such as
// Statement[0].Condition.StringEquals["aws:SourceVpc"][1]. The path of the
// whole document is "".
func (n *Node) Path() string {
	if n == nil || n.Parent == nil {
		return ""
	}
	var up []*Node
	for c := n; c.Parent != nil; c = c.Parent {
		up = append(up, c)
	}
	var b strings.Builder
	for i := len(up) - 1; i >= 0; i-- {
		c := up[i]
		switch {
		case c.Parent.Kind == Array:
			b.WriteString("[" + strconv.Itoa(c.Index) + "]")
		case isWord(c.Key):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(c.Key)
		default:
			b.WriteString("[" + quote(c.Key) + "]")
		}
	}
	return b.String()
}

func isWord(s string) bool {
	for _, r := range s {
		if r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return s != ""
}

// ErrPolicy is wrapped by every error about the text of a policy.
var ErrPolicy = errors.New("malformed policy")

// SyntaxError says where a document stops being JSON, or being a policy.
type SyntaxError struct {
	Pos  Pos
	Path string // where in the document, when the JSON itself is sound
	Msg  string
}

func (e *SyntaxError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s: %s", e.Pos, e.Msg)
	}
	return fmt.Sprintf("%s: %s: %s", e.Pos, e.Path, e.Msg)
}

// Unwrap returns ErrPolicy.
func (e *SyntaxError) Unwrap() error { return ErrPolicy }

// ParseJSON reads one JSON document (RFC 8259) into nodes. The error is a
// *SyntaxError.
func ParseJSON(data []byte) (*Node, error) {
	if len(data) > MaxPolicySize {
		return nil, &SyntaxError{Pos{0, 1, 1}, "", fmt.Sprintf("the document has %d bytes; at most %d are read", len(data), MaxPolicySize)}
	}
	r := &reader{src: string(data), at: Pos{0, 1, 1}}
	if strings.HasPrefix(r.src, "\ufeff") {
		return nil, r.fail(0, "the document starts with a byte order mark; save it without one")
	}
	r.space()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	r.space()
	if r.off < len(r.src) {
		return nil, r.fail(r.off, "unexpected %s after the document", r.here())
	}
	return n, nil
}

type reader struct {
	src string
	off int
	at  Pos // the last place asked for; places are asked for in order
}

func (r *reader) pos(off int) Pos {
	for r.at.Offset < off {
		if r.src[r.at.Offset] == '\n' {
			r.at.Line++
			r.at.Col = 1
			r.at.Offset++
			continue
		}
		_, size := utf8.DecodeRuneInString(r.src[r.at.Offset:])
		r.at.Offset += size
		r.at.Col++
	}
	return r.at
}

func (r *reader) fail(off int, format string, args ...any) error {
	return &SyntaxError{Pos: r.pos(off), Msg: fmt.Sprintf(format, args...)}
}

// here describes the next character for an error.
func (r *reader) here() string {
	if r.off >= len(r.src) {
		return "end of the document"
	}
	c, _ := utf8.DecodeRuneInString(r.src[r.off:])
	return strconv.QuoteRune(c)
}

func (r *reader) space() {
	for r.off < len(r.src) {
		switch r.src[r.off] {
		case ' ', '\t', '\r', '\n':
			r.off++
		default:
			return
		}
	}
}

func (r *reader) value(depth int) (*Node, error) {
	if depth > MaxPolicyDepth {
		return nil, r.fail(r.off, "more than %d nested arrays and objects", MaxPolicyDepth)
	}
	if r.off >= len(r.src) {
		return nil, r.fail(r.off, "unexpected end of the document")
	}
	n := &Node{Pos: r.pos(r.off)}
	var err error
	switch c := r.src[r.off]; {
	case c == '{':
		n.Kind = Object
		err = r.object(n, depth)
	case c == '[':
		n.Kind = Array
		err = r.array(n, depth)
	case c == '"':
		n.Text, err = r.str()
	case c == '-' || c >= '0' && c <= '9':
		n.Kind = Number
		n.Text, err = r.number()
	default:
		for _, w := range []struct {
			text string
			kind Kind
		}{{"true", Bool}, {"false", Bool}, {"null", Null}} {
			if strings.HasPrefix(r.src[r.off:], w.text) {
				r.off += len(w.text)
				n.Kind, n.Text, n.End = w.kind, w.text, r.pos(r.off)
				return n, nil
			}
		}
		return nil, r.fail(r.off, "unexpected %s; want a value", r.here())
	}
	if err != nil {
		return nil, err
	}
	n.End = r.pos(r.off)
	return n, nil
}

func (r *reader) object(n *Node, depth int) error {
	r.off++
	r.space()
	if r.off < len(r.src) && r.src[r.off] == '}' {
		r.off++
		return nil
	}
	for {
		r.space()
		if r.off >= len(r.src) || r.src[r.off] != '"' {
			return r.fail(r.off, "unexpected %s; want a key in double quotes", r.here())
		}
		keyPos := r.pos(r.off)
		key, err := r.str()
		if err != nil {
			return err
		}
		r.space()
		if r.off >= len(r.src) || r.src[r.off] != ':' {
			return r.fail(r.off, "unexpected %s; want ':' after the key %s", r.here(), quote(clip(key)))
		}
		r.off++
		r.space()
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.Key, v.KeyPos, v.Parent, v.Index = key, keyPos, n, len(n.Children)
		n.Children = append(n.Children, v)
		if done, err := r.next('}'); done || err != nil {
			return err
		}
	}
}

func (r *reader) array(n *Node, depth int) error {
	r.off++
	r.space()
	if r.off < len(r.src) && r.src[r.off] == ']' {
		r.off++
		return nil
	}
	for {
		r.space()
		v, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.Parent, v.Index = n, len(n.Children)
		n.Children = append(n.Children, v)
		if done, err := r.next(']'); done || err != nil {
			return err
		}
	}
}

// next reads a comma, or the end of an array or object.
func (r *reader) next(end byte) (done bool, err error) {
	r.space()
	switch {
	case r.off < len(r.src) && r.src[r.off] == ',':
		r.off++
		return false, nil
	case r.off < len(r.src) && r.src[r.off] == end:
		r.off++
		return true, nil
	}
	return false, r.fail(r.off, "unexpected %s; want ',' or %s", r.here(), strconv.QuoteRune(rune(end)))
}

func (r *reader) number() (string, error) {
	start := r.off
	digits := func() bool {
		from := r.off
		for r.off < len(r.src) && r.src[r.off] >= '0' && r.src[r.off] <= '9' {
			r.off++
		}
		return r.off > from
	}
	if r.src[r.off] == '-' {
		r.off++
	}
	if r.off < len(r.src) && r.src[r.off] == '0' {
		r.off++
	} else if !digits() {
		return "", r.fail(start, "malformed number")
	}
	if r.off < len(r.src) && r.src[r.off] == '.' {
		r.off++
		if !digits() {
			return "", r.fail(start, "malformed number")
		}
	}
	if r.off < len(r.src) && (r.src[r.off] == 'e' || r.src[r.off] == 'E') {
		r.off++
		if r.off < len(r.src) && (r.src[r.off] == '+' || r.src[r.off] == '-') {
			r.off++
		}
		if !digits() {
			return "", r.fail(start, "malformed number")
		}
	}
	return r.src[start:r.off], nil
}

func (r *reader) str() (string, error) {
	start := r.off
	r.off++
	for i := r.off; i < len(r.src); i++ {
		switch c := r.src[i]; {
		case c == '"':
			s := r.src[r.off:i]
			if !utf8.ValidString(s) {
				return "", r.fail(start, "the string is not valid UTF-8")
			}
			r.off = i + 1
			return s, nil
		case c == '\\' || c < 0x20:
			return r.escaped(start)
		}
	}
	return "", r.fail(start, "the string has no closing quote")
}

func (r *reader) escaped(start int) (string, error) {
	var b strings.Builder
	i := r.off
	for i < len(r.src) {
		c := r.src[i]
		switch {
		case c == '"':
			s := b.String()
			if !utf8.ValidString(s) {
				return "", r.fail(start, "the string is not valid UTF-8")
			}
			r.off = i + 1
			return s, nil
		case c < 0x20:
			return "", r.fail(i, "control character %U in a string; write it as an escape", c)
		case c != '\\':
			b.WriteByte(c)
			i++
		case i+1 >= len(r.src):
			return "", r.fail(start, "the string has no closing quote")
		case r.src[i+1] == 'u':
			u, size := r.unicode(i)
			if size == 0 {
				return "", r.fail(i, `malformed \u escape`)
			}
			b.WriteRune(u)
			i += size
		default:
			at := strings.IndexByte(`"\/bfnrt`, r.src[i+1])
			if at < 0 {
				return "", r.fail(i, `unknown escape \%c`, r.src[i+1])
			}
			b.WriteByte("\"\\/\b\f\n\r\t"[at])
			i += 2
		}
	}
	return "", r.fail(start, "the string has no closing quote")
}

// unicode decodes \uXXXX, and a surrogate pair as one character.
func (r *reader) unicode(i int) (rune, int) {
	hex := func(i int) (rune, bool) {
		if i+6 > len(r.src) || r.src[i] != '\\' || r.src[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(r.src[i+2:i+6], 16, 16)
		return rune(n), err == nil
	}
	u, ok := hex(i)
	if !ok {
		return 0, 0
	}
	if u < 0xD800 || u > 0xDFFF {
		return u, 6
	}
	if low, ok := hex(i + 6); ok && u < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF {
		return (u-0xD800)<<10 | (low - 0xDC00) + 0x10000, 12
	}
	return 0, 0 // half a pair is no character
}

func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
