package incident

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The bounds of a file of entries; the parser recurses, and takes quadratic time
// over nonsense.
const (
	maxFile  = 1 << 20
	maxLine  = 4 << 10
	maxLines = 20_000
	maxDeep  = 64
)

// entry is one mapping of a list, as text.
type entry struct {
	line   int
	values map[string]string
}

// entriesOf reads a YAML or JSON list of mappings of the given members to text.
func entriesOf(data []byte, members ...string) ([]entry, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("the file has more than %d MiB", maxFile>>20)
	}
	depth, lines := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			if depth++; depth > maxDeep {
				return nil, errors.New("nested too deeply")
			}
		case ']', '}':
			depth--
		case '\n':
			lines++
		}
	}
	for line := range bytes.Lines(data) {
		if len(line) > maxLine || len(line)-len(bytes.TrimLeft(line, " -?\t")) > maxDeep || lines > maxLines {
			return nil, errors.New("a line is too long or nested too deeply, or there are too many")
		}
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return nil, errors.New(first)
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	if _, ok := file.Docs[0].Body.(*ast.NullNode); ok {
		return nil, nil
	}
	list, ok := file.Docs[0].Body.(*ast.SequenceNode)
	if !ok || len(file.Docs) > 1 {
		return nil, fmt.Errorf("want a list of entries with %s", strings.Join(members, ", "))
	}
	var out []entry
	for _, item := range list.Values {
		e, err := entryOf(item, members)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", lineOf(item), err)
		}
		out = append(out, e)
	}
	return out, nil
}

func entryOf(n ast.Node, members []string) (entry, error) {
	e := entry{line: lineOf(n), values: map[string]string{}}
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		return e, fmt.Errorf("want an entry with %s", strings.Join(members, ", "))
	}
	for _, p := range pairs {
		key, err := textOf(p.Key)
		if err != nil {
			return e, err
		}
		known := false
		for _, m := range members {
			known = known || m == key
		}
		if _, twice := e.values[key]; !known || twice {
			return e, fmt.Errorf("unknown or repeated member %q; want a list of entries with %s", key, strings.Join(members, ", "))
		}
		if e.values[key], err = textOf(p.Value); err != nil {
			return e, fmt.Errorf("%s: %w", key, err)
		}
	}
	return e, nil
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

// textOf is a scalar as it is written, so that an account id is no octal number.
func textOf(n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		if n.Value != nil {
			return strings.TrimSpace(n.Value.Value), nil
		}
	case *ast.NullNode:
		return "", nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	}
	return "", errors.New("want plain text")
}
