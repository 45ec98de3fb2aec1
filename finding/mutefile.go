package finding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The bounds of a mute file.
const (
	maxMuteFile = 1 << 20
	maxLine     = 8 << 10 // bytes; the parser takes quadratic time over nonsense on one line
	maxEmpty    = 10_000  // lines with nothing but a dash, for the same reason
	maxDashes   = 16      // "- - - …" on one line
	maxIndent   = 1024    // characters before the first word of a line
	maxBrackets = 1000    // open at once; brackets within text count too, so this is generous
)

// ParseMutes reads a mute file in YAML or JSON: a list of rules, or a mapping
// with the one member "mutes" that is such a list. Every rule needs a reason, an
// owner, an expiry and at least one selector. An expiry is a date, the last day
// on which the rule mutes (UTC), or an RFC 3339 time. The error names the file
// and the line.
func ParseMutes(name string, data []byte) ([]Mute, error) {
	if len(data) > maxMuteFile {
		return nil, fmt.Errorf("read mutes %s: the file has more than %d MiB", name, maxMuteFile>>20)
	}
	if line := tooDeep(data); line > 0 {
		return nil, fmt.Errorf("read mutes %s: line %d: nested too deeply", name, line)
	}
	if line := tooLong(data); line > 0 {
		return nil, fmt.Errorf("read mutes %s: line %d: more than %d characters on one line, or too many empty rules", name, line, maxLine)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, fmt.Errorf("read mutes %s: %w", name, syntaxError(err))
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return nil, nil
	}
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("read mutes %s: line %d: want one document, found a second", name, lineOf(file.Docs[1].Body))
	}
	mutes, err := mutesOf(file.Docs[0].Body)
	if err != nil {
		return nil, fmt.Errorf("read mutes %s: %w", name, err)
	}
	return mutes, nil
}

// tooLong returns the first line that is longer than a YAML file needs, or 0.
// A JSON file may be one line; if it is valid, the parser's time is linear.
func tooLong(data []byte) int {
	if json.Valid(data) {
		return 0
	}
	n, empty := 0, 0
	for line := range bytes.Lines(data) {
		n++
		if string(bytes.TrimSpace(line)) == "-" {
			empty++
		}
		if len(line) > maxLine || empty > maxEmpty {
			return n
		}
	}
	return 0
}

// tooDeep returns the first line whose nesting no mute file needs, or 0. The
// YAML parser recurses, so this must be known before it runs.
func tooDeep(data []byte) int {
	depth, line := 0, 1
	dashes, indent, leading := 0, 0, true
	for _, c := range data {
		switch c {
		case '\n':
			line++
			dashes, indent, leading = 0, 0, true
			continue
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(depth-1, 0)
		case '-', '?':
			if leading {
				dashes++
			}
		case ' ', '\t':
			if leading {
				indent++
			}
			continue
		default:
			leading = false
		}
		if depth > maxBrackets || indent > maxIndent || dashes > maxDashes && indent >= dashes-1 {
			return line
		}
	}
	return 0
}

func syntaxError(err error) error {
	// The parser's own message begins with [line:column] and continues with an
	// excerpt, which is dropped: it may hold anything.
	first, _, _ := strings.Cut(err.Error(), "\n")
	if pos, rest, ok := strings.Cut(strings.TrimPrefix(first, "["), "]"); ok && strings.HasPrefix(first, "[") {
		line, column, _ := strings.Cut(pos, ":")
		return fmt.Errorf("line %s, column %s: %s", line, column, strings.TrimSpace(rest))
	}
	return errors.New(first)
}

func lineOf(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 1
	}
	return n.GetToken().Position.Line
}

func mutesOf(n ast.Node) ([]Mute, error) {
	if _, ok := n.(*ast.NullNode); ok {
		return nil, nil
	}
	if pairs, ok := pairsOf(n); ok {
		for _, p := range pairs {
			key, err := scalar(p.Key)
			if err != nil || key != "mutes" {
				return nil, fmt.Errorf("line %d: unknown member %q; want a list of rules, or \"mutes:\" and such a list", lineOf(p.Key), key)
			}
			n = p.Value
		}
		if len(pairs) != 1 {
			return nil, fmt.Errorf("line %d: want \"mutes\" once", lineOf(n))
		}
		if _, ok := n.(*ast.NullNode); ok {
			return nil, nil
		}
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, fmt.Errorf("line %d: want a list of rules", lineOf(n))
	}
	var out []Mute
	for _, item := range seq.Values {
		m, err := muteOf(item)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func muteOf(n ast.Node) (Mute, error) {
	m := Mute{Line: lineOf(n)}
	pairs, ok := pairsOf(n)
	if !ok {
		return m, fmt.Errorf("line %d: want a rule with reason, owner and expires", m.Line)
	}
	if len(pairs) > 0 {
		m.Line = lineOf(pairs[0].Key)
	}
	seen := map[string]bool{}
	var expires string
	fields := map[string]*string{
		"control": &m.Control, "fingerprint": &m.Fingerprint, "resource": &m.Resource, "account": &m.Account,
		"region": &m.Region, "reason": &m.Reason, "owner": &m.Owner, "expires": &expires,
	}
	for _, p := range pairs {
		line := lineOf(p.Key)
		key, err := scalar(p.Key)
		if err != nil {
			return m, err
		}
		if seen[key] {
			return m, fmt.Errorf("line %d: %q is given twice", line, key)
		}
		seen[key] = true
		if key == "tags" {
			if m.Tags, err = tagsOf(p.Value); err != nil {
				return m, err
			}
			continue
		}
		field, ok := fields[key]
		if !ok {
			return m, fmt.Errorf("line %d: unknown member %q; a rule has control, fingerprint, resource, account, region, tags, reason, owner and expires", line, key)
		}
		if *field, err = scalar(p.Value); err != nil {
			return m, err
		}
		if strings.TrimSpace(*field) == "" {
			return m, fmt.Errorf("line %d: %q is empty", line, key)
		}
		if key == "expires" {
			if m.Expires, err = expiry(expires); err != nil {
				return m, fmt.Errorf("line %d: %w", line, err)
			}
		}
	}
	for _, must := range []string{"reason", "owner", "expires"} {
		if !seen[must] {
			return m, fmt.Errorf("line %d: the rule has no %q", m.Line, must)
		}
	}
	if m.Control == "" && m.Fingerprint == "" && m.Resource == "" && m.Account == "" && m.Region == "" && len(m.Tags) == 0 {
		return m, fmt.Errorf("line %d: the rule selects nothing; give control, fingerprint, resource, account, region or tags", m.Line)
	}
	return m, nil
}

func expiry(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("expires %q: want a date such as 2027-06-30, or a time such as 2027-06-30T12:00:00Z", s)
	}
	return t.UTC(), nil
}

func tagsOf(n ast.Node) (map[string]string, error) {
	pairs, ok := pairsOf(n)
	if !ok || len(pairs) == 0 {
		return nil, fmt.Errorf("line %d: tags: want a mapping of tag names to values", lineOf(n))
	}
	tags := map[string]string{}
	for _, p := range pairs {
		k, err := scalar(p.Key)
		if err != nil {
			return nil, err
		}
		if tags[k], err = scalar(p.Value); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

func pairsOf(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// scalar returns a scalar as it is written: an account id that YAML would read
// as an octal number stays what it is. Anchors and tags are refused.
func scalar(n ast.Node) (string, error) {
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
	if n == nil {
		return "", errors.New("a value is missing")
	}
	return "", fmt.Errorf("line %d: want plain text, found %s", lineOf(n), strings.ToLower(n.Type().String()))
}
