package collect

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
)

// A path leads through a document: members separated by dots, [] for all items
// of a list, [0] for one, * for all members of a map, @ for the value itself.
type path []string

func parsePath(s string) (path, error) {
	if s == "@" || s == "" {
		return nil, nil
	}
	var p path
	for _, part := range strings.Split(s, ".") {
		name, index, has := strings.Cut(part, "[")
		if name != "" {
			p = append(p, name)
		}
		if !has {
			if name == "" {
				return nil, fmt.Errorf("path %q: an empty member", s)
			}
			continue
		}
		index, ok := strings.CutSuffix(index, "]")
		if n, err := strconv.Atoi(index); !ok || index != "" && (err != nil || n < 0) {
			return nil, fmt.Errorf("path %q: want [] or [N]", s)
		}
		p = append(p, "["+index+"]")
	}
	return p, nil
}

// each calls visit for every value at the path, with a way to replace it.
func (p path) each(v any, visit func(v any, set func(any))) { p.walk(v, func(any) {}, visit) }

func (p path) walk(v any, set func(any), visit func(any, func(any))) {
	if len(p) == 0 {
		visit(v, set)
		return
	}
	step, rest := p[0], p[1:]
	switch v := v.(type) {
	case map[string]any:
		if step == "*" {
			for k, e := range v {
				rest.walk(e, func(n any) { v[k] = n }, visit)
			}
			return
		}
		if e, ok := v[step]; ok {
			rest.walk(e, func(n any) { v[step] = n }, visit)
		}
	case []any:
		switch {
		case step == "[]":
			for i, e := range v {
				rest.walk(e, func(n any) { v[i] = n }, visit)
			}
		case step[0] == '[':
			if i, _ := strconv.Atoi(step[1 : len(step)-1]); i < len(v) {
				rest.walk(v[i], func(n any) { v[i] = n }, visit)
			}
		}
	}
}

// all returns the values at the path, lists at its end not taken apart.
func (p path) all(v any) []any {
	var out []any
	p.each(v, func(v any, _ func(any)) { out = append(out, v) })
	return out
}

// first returns the first value at the path, or nil.
func (p path) first(v any) any {
	if out := p.all(v); len(out) > 0 {
		return out[0]
	}
	return nil
}

// wrong says where the answer does not have the shape the path needs: a member
// that is there but of another kind. A member that is missing is an empty list.
func (p path) wrong(v any) error {
	for i, step := range p {
		if v == nil {
			return nil
		}
		switch t := v.(type) {
		case map[string]any:
			if step[0] == '[' {
				return fmt.Errorf("%s is an object, not a list", strings.Join(p[:i], "."))
			}
			v = t[step]
		case []any:
			if step != "[]" {
				return fmt.Errorf("%s is a list, not an object", strings.Join(p[:i], "."))
			}
			for _, e := range t {
				if err := p[i+1:].wrong(e); err != nil {
					return err
				}
			}
			return nil
		default:
			return fmt.Errorf("%s is a %s", strings.Join(append(path{"the answer"}, p[:i]...), "."), kindName(v))
		}
	}
	return nil
}

func kindName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case []any:
		return "list"
	}
	return "number"
}

// scope is what templates draw from: the document, its parent's, and the
// account, region and partition.
type scope struct {
	doc, parent                any
	account, region, partition string
}

var errNoValue = errors.New("no value")

// value resolves one template reference: a path, or alternatives separated by |.
// Id#/ is Id without a leading slash, and without the /hostedzone/ with which
// Route 53 begins its ids.
func (s scope) value(ref string) (any, error) {
	for alt := range strings.SplitSeq(ref, "|") {
		name, _, trim := strings.Cut(alt, "#")
		var v any
		switch name {
		case "account":
			v = s.account
		case "region":
			v = s.region
		case "partition":
			v = s.partition
		default:
			from := s.doc
			if rest, ok := strings.CutPrefix(name, "parent."); ok {
				name, from = rest, s.parent
			}
			p, err := parsePath(name)
			if err != nil {
				return nil, err
			}
			v = p.first(from)
		}
		if v == nil || v == "" {
			continue
		}
		if text, ok := v.(string); ok && trim {
			text = strings.TrimPrefix(strings.TrimPrefix(text, "/hostedzone/"), "/")
			return text, nil
		}
		return v, nil
	}
	return nil, fmt.Errorf("%w for {%s}", errNoValue, ref)
}

// expand fills a template: {Path} in strings, at any depth. A string that is
// one reference alone keeps the value's kind.
func (s scope) expand(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "{") && strings.IndexByte(v, '}') == len(v)-1 {
			return s.value(v[1 : len(v)-1])
		}
		return s.text(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			var err error
			if out[i], err = s.expand(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			var err error
			if out[k], err = s.expand(e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case uint64:
		return int64(v), nil
	case int:
		return int64(v), nil
	}
	return v, nil
}

func (s scope) text(t string) (string, error) {
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(t, "{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		ref, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", fmt.Errorf("template %q: a brace is not closed", t)
		}
		v, err := s.value(ref)
		if err != nil {
			return "", err
		}
		switch v := v.(type) {
		case string:
			b.WriteString(v)
		case int64:
			b.WriteString(strconv.FormatInt(v, 10))
		default:
			return "", fmt.Errorf("{%s} is a %s", ref, kindName(v))
		}
		t = after
	}
}

// name fills an id or ARN: a template if it holds a brace, else a path.
func (s scope) name(t string) (string, error) {
	if strings.Contains(t, "{") {
		return s.text(t)
	}
	return s.text("{" + t + "}")
}

// tagsOf reads tags in any of the shapes AWS uses: a map, or a list of Key and
// Value, key and value, TagKey and TagValue.
func tagsOf(values []any) map[string]string {
	tags := map[string]string{}
	add := func(m map[string]any) {
		for _, names := range [][2]string{{"Key", "Value"}, {"key", "value"}, {"TagKey", "TagValue"}} {
			if k, ok := m[names[0]].(string); ok {
				v, _ := m[names[1]].(string)
				tags[k] = v
				return
			}
		}
		for k, v := range m {
			if s, ok := v.(string); ok {
				tags[k] = s
			}
		}
	}
	for _, v := range values {
		switch v := v.(type) {
		case map[string]any:
			add(v)
		case []any:
			for _, e := range v {
				if m, ok := e.(map[string]any); ok {
					add(m)
				}
			}
		}
	}
	if len(tags) == 0 {
		return nil
	}
	return tags
}

// clone copies a document, so that types which share an answer do not share its parts.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	case float64:
		return estate.Number(v)
	case int:
		return int64(v)
	}
	return v
}
