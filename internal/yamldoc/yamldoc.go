// Package yamldoc reads YAML, and with it JSON, that may have been written by
// strangers: rules, controls, mutes, guardrails. The parser beneath recurses, takes
// quadratic time over nesting and nonsense, panics on some malformed text, and its
// aliases can expand without end; this package bounds all of it, and its errors name
// the file, the line and the column. Merge keys (<<) are refused, members that are
// given twice too.
package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Error is a fault in a file.
type Error struct {
	File      string
	Line, Col int // from 1
	Reason    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Reason)
}

// Errorf returns a fault at a place.
func Errorf(file string, line, col int, format string, args ...any) *Error {
	return &Error{file, line, col, fmt.Sprintf(format, args...)}
}

// Kind is what a node is.
type Kind uint8

// The kinds of nodes. Those before Null are scalars with a text.
const (
	String Kind = iota
	Int
	Float
	Bool
	Null
	Map
	List
)

func (k Kind) String() string {
	return [...]string{"a string", "a number", "a number", "a boolean", "null", "a map", "a list"}[k]
}

// Node is a piece of a document with its position. Aliases are resolved: a node
// may stand at several places.
type Node struct {
	Kind      Kind
	Text      string  // of a scalar; numbers as they are written: an account id is none in octal
	Keys      []*Node // of a map, in the file's order
	Vals      []*Node // of a map, beside Keys; or of a list
	Line, Col int
}

// Errorf returns a fault at the node's place.
func (n *Node) Errorf(file, format string, args ...any) *Error {
	return Errorf(file, n.Line, n.Col, format, args...)
}

// Get returns a member of a map; nil where there is none.
func (n *Node) Get(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i, k := range n.Keys {
		if k.Text == key {
			return n.Vals[i]
		}
	}
	return nil
}

// Str returns the text of a scalar member, or "".
func (n *Node) Str(key string) string {
	if v := n.Get(key); v != nil && v.Kind < Null {
		return v.Text
	}
	return ""
}

// Strs returns the texts of a member that is a scalar or a list of scalars.
func (n *Node) Strs(key string) []string {
	v := n.Get(key)
	switch {
	case v == nil || v.Kind == Null || v.Kind == Map:
		return nil
	case v.Kind != List:
		return []string{v.Text}
	}
	var out []string
	for _, e := range v.Vals {
		if e.Kind < Null {
			out = append(out, e.Text)
		}
	}
	return out
}

// The bounds of a document. Text within quotes counts for brackets and dashes,
// too, so they are generous.
const (
	maxNodes    = 200_000 // aliases expanded; more where the file is longer than that
	maxDepth    = 64
	maxBrackets = 1000
	maxIndent   = 1000    // characters before the first word of a line
	maxDashes   = 16      // "- - - …" on one line
	maxEmpty    = 10_000  // lines with nothing but a dash or two
	maxLines    = 1 << 33 // the sum of the squares of the lines' bytes, which nonsense takes as time
)

// Parse reads the documents of a file of at most most bytes; empty ones are left
// out. Its errors are of type *Error.
func Parse(file string, src []byte, most int) ([]*Node, error) {
	docs, _, err := parse(file, src, most)
	return docs, err
}

// Decode reads a file of one document into v, as package yaml does with its option
// Strict: members that v does not have are refused. It reports whether there was a
// document.
func Decode(file string, src []byte, most int, v any) (found bool, err error) {
	defer recovered(file, &err)
	docs, nodes, err := parse(file, src, most)
	switch {
	case err != nil || len(docs) == 0:
		return false, err
	case len(docs) > 1:
		return false, &Error{file, docs[1].Line, docs[1].Col, "a second document; the file holds one"}
	}
	if err := yaml.NodeToValue(nodes[0], v, yaml.Strict()); err != nil {
		return false, faultOf(file, "", err)
	}
	return true, nil
}

// recovered makes an error of a panic of the parser.
func recovered(file string, err *error) {
	if p := recover(); p != nil {
		*err = &Error{file, 1, 1, fmt.Sprintf("not YAML: %v", p)}
	}
}

func parse(file string, src []byte, most int) (docs []*Node, nodes []ast.Node, err error) {
	defer recovered(file, &err)
	if len(src) > most {
		return nil, nil, &Error{file, 1, 1, fmt.Sprintf("larger than %d bytes", most)}
	}
	if line, reason := hostile(src); line > 0 {
		return nil, nil, &Error{file, line, 1, reason}
	}
	f, err := parser.ParseBytes(withoutEmpty(src), 0)
	if err != nil {
		return nil, nil, faultOf(file, "not YAML: ", err)
	}
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		r := &reader{file: file, most: max(maxNodes, len(src)), anchors: map[string]*Node{}}
		n, err := r.convert(d.Body, 0)
		if err != nil {
			return nil, nil, err
		}
		if n.Kind != Null {
			docs, nodes = append(docs, n), append(nodes, d.Body)
		}
	}
	return docs, nodes, nil
}

// hostile returns the first line that no file of ours needs and that the parser
// would take long over, or 0.
func hostile(src []byte) (line int, reason string) {
	const deep = "nested too deep"
	brackets, empty, work, valid := 0, 0, int64(0), false
	for l := range bytes.Lines(src) {
		line++
		words := bytes.TrimLeft(l, " \t-?")
		head := l[:len(l)-len(words)]
		dashes := bytes.Count(head, []byte("-")) + bytes.Count(head, []byte("?"))
		spaces := len(head) - dashes
		// A row of dashes without spaces is a text, or parts documents.
		if spaces > maxIndent || dashes > maxDashes && spaces >= dashes-1 {
			return line, deep
		}
		if dashes > 0 && len(bytes.TrimSpace(words)) == 0 {
			if empty++; empty > maxEmpty {
				return line, "too many empty entries"
			}
		}
		for _, c := range words {
			switch c {
			case '[', '{':
				if brackets++; brackets > maxBrackets {
					return line, deep
				}
			case ']', '}':
				brackets = max(brackets-1, 0)
			}
		}
		if work += int64(len(l)) * int64(len(l)); work > maxLines && !valid {
			// A JSON file may be one line.
			if valid = json.Valid(src); !valid {
				return line, "the lines are too long to be read; break them, or write JSON"
			}
		}
	}
	return 0, ""
}

// withoutEmpty makes comments of the markers of documents in which nothing is but
// comments: the parser drops all that stands behind two markers in a row. Every
// other character keeps its place.
func withoutEmpty(src []byte) []byte {
	out, at, after := src, 0, false
	for l := range bytes.Lines(src) {
		rest, marker := bytes.CutPrefix(l, []byte("---"))
		marker = marker && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
		rest = bytes.TrimSpace(rest)
		blank := len(rest) == 0 || rest[0] == '#'
		switch {
		case marker && blank && after:
			if &out[0] == &src[0] {
				out = bytes.Clone(src)
			}
			out[at] = '#'
		case !blank:
			after = false
		case marker:
			after = true
		}
		at += len(l)
	}
	return out
}

// faultOf gives an error of the parser or the decoder its place. The parser's own
// message goes on with an excerpt, which may hold anything and is dropped.
func faultOf(file, what string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return &Error{file, p.Line, p.Column, what + at.GetMessage()}
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return &Error{file, 1, 1, what + first}
}

type reader struct {
	file    string
	nodes   int
	most    int
	anchors map[string]*Node
}

func (r *reader) convert(a ast.Node, depth int) (*Node, error) {
	n := &Node{Line: 1, Col: 1}
	if t := a.GetToken(); t != nil && t.Position != nil {
		n.Line, n.Col = t.Position.Line, t.Position.Column
	}
	fail := func(reason string) (*Node, error) { return nil, &Error{r.file, n.Line, n.Col, reason} }
	if depth > maxDepth {
		return fail("nested too deep")
	}
	if r.nodes++; r.nodes > r.most {
		return fail("too large: aliases expand to too much")
	}
	switch v := a.(type) {
	case *ast.StringNode:
		n.Text = v.Value
	case *ast.LiteralNode:
		n.Text = v.Value.Value
	case *ast.IntegerNode:
		n.Kind, n.Text = Int, v.GetToken().Value
	case *ast.FloatNode:
		n.Kind, n.Text = Float, v.GetToken().Value
	case *ast.InfinityNode, *ast.NanNode:
		n.Text = a.GetToken().Value
	case *ast.BoolNode:
		n.Kind, n.Text = Bool, fmt.Sprint(v.Value)
	case *ast.NullNode:
		n.Kind = Null
	case *ast.TagNode:
		return r.convert(v.Value, depth+1)
	case *ast.AnchorNode:
		inner, err := r.convert(v.Value, depth+1)
		if err == nil {
			r.anchors[v.Name.GetToken().Value] = inner
		}
		return inner, err
	case *ast.AliasNode:
		target, ok := r.anchors[v.Value.GetToken().Value]
		if !ok {
			return fail("alias of an anchor that is not defined before it")
		}
		if r.nodes += target.size(r.most); r.nodes > r.most {
			return fail("too large: aliases expand to too much")
		}
		return target, nil
	case *ast.MappingNode:
		return n, r.fill(n, v.Values, depth)
	case *ast.MappingValueNode:
		return n, r.fill(n, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		n.Kind = List
		for _, e := range v.Values {
			c, err := r.convert(e, depth+1)
			if err != nil {
				return nil, err
			}
			n.Vals = append(n.Vals, c)
		}
	default:
		return fail(fmt.Sprintf("unexpected %s", a.Type()))
	}
	return n, nil
}

// fill makes a map of n, whose place is that of its first key.
func (r *reader) fill(n *Node, pairs []*ast.MappingValueNode, depth int) error {
	n.Kind = Map
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		k, err := r.convert(p.Key, depth+1)
		if err != nil {
			return err
		}
		v, err := r.convert(p.Value, depth+1)
		if err != nil {
			return err
		}
		if seen[k.Text] {
			return &Error{r.file, k.Line, k.Col, fmt.Sprintf("%q is given twice", k.Text)}
		}
		seen[k.Text] = true
		n.Keys, n.Vals = append(n.Keys, k), append(n.Vals, v)
	}
	if len(n.Keys) > 0 {
		n.Line, n.Col = n.Keys[0].Line, n.Keys[0].Col
	}
	return nil
}

// size is how many nodes are in n; where that is more than most, some number that
// is, too.
func (n *Node) size(most int) int {
	total := 1
	for _, k := range n.Vals {
		if total += k.size(most); total > most {
			break
		}
	}
	return total
}
