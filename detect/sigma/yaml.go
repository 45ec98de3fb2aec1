package sigma

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Error is a fault in a rule file.
type Error struct {
	File      string
	Line, Col int
	Reason    string
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Reason)
}

type kind uint8

const (
	isString kind = iota
	isInt
	isFloat
	isBool
	isNull
	isMap
	isList
)

func (k kind) String() string {
	return [...]string{"a string", "a number", "a number", "a boolean", "null", "a map", "a list"}[k]
}

// node is a piece of YAML with its position.
type node struct {
	kind      kind
	text      string
	keys      []*node
	vals      []*node // of a map, beside keys; or of a list
	line, col int
}

func (n *node) get(key string) *node {
	if n == nil || n.kind != isMap {
		return nil
	}
	for i, k := range n.keys {
		if k.text == key {
			return n.vals[i]
		}
	}
	return nil
}

// str returns the text of a scalar member, or "".
func (n *node) str(key string) string {
	if v := n.get(key); v != nil && v.kind < isNull {
		return v.text
	}
	return ""
}

// strs returns the texts of a member that is a scalar or a list of scalars.
func (n *node) strs(key string) []string {
	v := n.get(key)
	switch {
	case v == nil || v.kind == isNull || v.kind == isMap:
		return nil
	case v.kind != isList:
		return []string{v.text}
	}
	var out []string
	for _, e := range v.vals {
		if e.kind < isNull {
			out = append(out, e.text)
		}
	}
	return out
}

const (
	maxNodes     = 200_000
	maxYAMLDepth = 64
	maxRuleFile  = 4 << 20
)

type yamlReader struct {
	file    string
	nodes   int
	anchors map[string]*node
}

// readYAML parses the documents of a file into nodes. Aliases are resolved, but
// what they expand to is bounded.
func readYAML(file string, src []byte) (docs []*node, err error) {
	// goccy/go-yaml panics on some malformed documents.
	defer func() {
		if p := recover(); p != nil {
			docs, err = nil, &Error{file, 1, 1, fmt.Sprintf("not YAML: %v", p)}
		}
	}()
	if len(src) > maxRuleFile {
		return nil, &Error{file, 1, 1, fmt.Sprintf("a rule file of more than %d MB", maxRuleFile>>20)}
	}
	if deepYAML(src) {
		return nil, &Error{file, 1, 1, "nested too deep"}
	}
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, yamlError(file, err)
	}
	for _, d := range f.Docs {
		if d.Body == nil {
			continue
		}
		if _, comment := d.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		r := &yamlReader{file: file, anchors: map[string]*node{}}
		n, err := r.convert(d.Body, 0)
		if err != nil {
			return nil, err
		}
		if n.kind != isNull {
			docs = append(docs, n)
		}
	}
	return docs, nil
}

// deepYAML guards the recursive parser against brackets or dashes nested for
// thousands of levels.
func deepYAML(src []byte) bool {
	depth := 0
	for line := range strings.Lines(string(src)) {
		indent := len(line) - len(strings.TrimLeft(line, " -?"))
		if indent > 1000 {
			return true
		}
	}
	for _, c := range src {
		switch c {
		case '[', '{':
			if depth++; depth > 2000 {
				return true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}

func yamlError(file string, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil && at.GetToken().Position != nil {
		p := at.GetToken().Position
		return &Error{file, p.Line, p.Column, "not YAML: " + at.GetMessage()}
	}
	return &Error{file, 1, 1, "not YAML: " + err.Error()}
}

func (r *yamlReader) convert(a ast.Node, depth int) (*node, error) {
	n := &node{line: 1, col: 1}
	if t := a.GetToken(); t != nil && t.Position != nil {
		n.line, n.col = t.Position.Line, t.Position.Column
	}
	fail := func(reason string) (*node, error) { return nil, &Error{r.file, n.line, n.col, reason} }
	if depth > maxYAMLDepth {
		return fail("nested too deep")
	}
	if r.nodes++; r.nodes > maxNodes {
		return fail("too large: aliases expand to too much")
	}
	switch v := a.(type) {
	case *ast.StringNode:
		n.text = v.Value
	case *ast.LiteralNode:
		n.text = v.Value.Value
	case *ast.IntegerNode:
		n.kind, n.text = isInt, v.GetToken().Value
	case *ast.FloatNode:
		n.kind, n.text = isFloat, v.GetToken().Value
	case *ast.InfinityNode, *ast.NanNode:
		n.text = a.GetToken().Value
	case *ast.BoolNode:
		n.kind, n.text = isBool, fmt.Sprint(v.Value)
	case *ast.NullNode:
		n.kind = isNull
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
		if r.nodes += target.size(); r.nodes > maxNodes {
			return fail("too large: aliases expand to too much")
		}
		return target, nil
	case *ast.MappingNode:
		n.kind = isMap
		for _, kv := range v.Values {
			if err := r.add(n, kv, depth); err != nil {
				return nil, err
			}
		}
		if len(n.keys) > 0 {
			n.line, n.col = n.keys[0].line, n.keys[0].col
		}
	case *ast.MappingValueNode:
		n.kind = isMap
		if err := r.add(n, v, depth); err != nil {
			return nil, err
		}
		n.line, n.col = n.keys[0].line, n.keys[0].col
	case *ast.SequenceNode:
		n.kind = isList
		for _, e := range v.Values {
			c, err := r.convert(e, depth+1)
			if err != nil {
				return nil, err
			}
			n.vals = append(n.vals, c)
		}
	default:
		return fail(fmt.Sprintf("unexpected %s", a.Type()))
	}
	return n, nil
}

func (r *yamlReader) add(n *node, kv *ast.MappingValueNode, depth int) error {
	k, err := r.convert(kv.Key, depth+1)
	if err != nil {
		return err
	}
	v, err := r.convert(kv.Value, depth+1)
	if err != nil {
		return err
	}
	if n.get(k.text) != nil {
		return &Error{r.file, k.line, k.col, fmt.Sprintf("%q is given twice", k.text)}
	}
	n.keys, n.vals = append(n.keys, k), append(n.vals, v)
	return nil
}

func (n *node) size() int {
	total := 1
	for _, k := range n.vals {
		if total += k.size(); total > maxNodes {
			break
		}
	}
	return total
}
