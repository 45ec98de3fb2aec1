package wire

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// form collects the parameters of the query and ec2 protocols.
type form struct {
	b   strings.Builder
	ec2 bool
}

func (f *form) add(key, value string) {
	if f.b.Len() > 0 {
		f.b.WriteByte('&')
	}
	f.b.WriteString(escapeQuery(key))
	f.b.WriteByte('=')
	f.b.WriteString(escapeQuery(value))
}

// escapeQuery escapes as RFC 3986 and AWS's signatures want it.
func escapeQuery(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func encodeForm(op *model.Operation, p model.Protocol, input map[string]any, r *Request) error {
	f := &form{ec2: p == model.EC2}
	f.add("Action", op.Name)
	f.add("Version", op.Service.APIVersion)
	if op.Input != nil {
		if err := f.structure(op.Input, input, "", 0); err != nil {
			return err
		}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = []byte(f.b.String())
	return nil
}

// name is the member's name in a form; ec2 has its own rules.
func (f *form) name(m *model.Member) string {
	if !f.ec2 {
		return memberName(m)
	}
	if m.QueryName != "" {
		return m.QueryName
	}
	n := memberName(m)
	return strings.ToUpper(n[:1]) + n[1:]
}

func (f *form) structure(shape *model.Shape, v map[string]any, prefix string, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	for _, m := range shape.Members {
		if v[m.Name] == nil {
			continue
		}
		if err := f.value(m, v[m.Name], join(prefix, f.name(m)), depth+1); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

func (f *form) value(m *model.Member, v any, key string, depth int) error {
	switch m.Shape.Kind {
	case model.Structure:
		sub, _ := v.(map[string]any)
		return f.structure(m.Shape, sub, key, depth)
	case model.List:
		list, _ := v.([]any)
		return f.list(m, list, key, depth)
	case model.Map:
		entries, _ := v.(map[string]any)
		if !flattened(m) {
			key += ".entry"
		}
		keyName, valueName := elementName(m.Shape.Key, "key"), elementName(m.Shape.Value, "value")
		for i, k := range sortedKeys(entries) {
			at := key + "." + strconv.Itoa(i+1) + "."
			f.add(at+keyName, k)
			if entries[k] == nil {
				continue
			}
			if err := f.value(m.Shape.Value, entries[k], at+valueName, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := scalar(m, v, "iso8601")
	if err != nil {
		return err
	}
	f.add(key, text)
	return nil
}

func (f *form) list(m *model.Member, list []any, key string, depth int) error {
	switch {
	case f.ec2:
	case len(list) == 0:
		f.add(key, "")
	case flattened(m):
		if n := elementName(m.Shape.Element, ""); n != "" && m.LocationName == "" {
			key = key[:strings.LastIndexByte(key, '.')+1] + n
		}
	default:
		key += "." + elementName(m.Shape.Element, "member")
	}
	for i, e := range list {
		if e == nil {
			continue
		}
		if err := f.value(m.Shape.Element, e, key+"."+strconv.Itoa(i+1), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// formNode is a parameter with its dotted descendants.
type formNode struct {
	value string
	set   bool
	kids  map[string]*formNode
}

func (n *formNode) kid(name string) *formNode {
	if n == nil {
		return nil
	}
	return n.kids[name]
}

// numbered returns the descendants .1, .2 … in order; gaps close up.
func (n *formNode) numbered() []*formNode {
	if n == nil {
		return nil
	}
	type entry struct {
		i int
		n *formNode
	}
	var out []entry
	for k, kid := range n.kids {
		if i, err := strconv.Atoi(k); err == nil && i > 0 {
			at := len(out)
			for at > 0 && out[at-1].i > i {
				at--
			}
			out = append(out, entry{})
			copy(out[at+1:], out[at:])
			out[at] = entry{i, kid}
		}
	}
	nodes := make([]*formNode, len(out))
	for i := range out {
		nodes[i] = out[i].n
	}
	return nodes
}

// maxParameters bounds a form; AWS's own limit is far below.
const maxParameters = 10000

func parseForm(r *Request) (*formNode, error) {
	root := &formNode{}
	count := 0
	for _, part := range []string{r.Query, string(r.Body)} {
		for part != "" {
			var pair string
			pair, part, _ = strings.Cut(part, "&")
			if pair == "" {
				continue
			}
			if count++; count > maxParameters {
				return nil, fmt.Errorf("more than %d parameters", maxParameters)
			}
			k, v, _ := strings.Cut(pair, "=")
			key, err := url.QueryUnescape(k)
			if err != nil {
				return nil, fmt.Errorf("read parameter: %w", err)
			}
			value, err := url.QueryUnescape(v)
			if err != nil {
				return nil, fmt.Errorf("read parameter %.40q: %w", key, err)
			}
			n, depth := root, 0
			for _, step := range strings.Split(key, ".") {
				if depth++; depth > maxDepth {
					return nil, errDeep
				}
				next := n.kids[step]
				if next == nil {
					if n.kids == nil {
						n.kids = map[string]*formNode{}
					}
					next = &formNode{}
					n.kids[step] = next
				}
				n = next
			}
			n.value, n.set = value, true
		}
	}
	return root, nil
}

func decodeForm(op *model.Operation, p model.Protocol, r *Request) (map[string]any, error) {
	root, err := parseForm(r)
	if err != nil {
		return nil, err
	}
	f := &form{ec2: p == model.EC2}
	return f.readStructure(op.Input, root)
}

func (f *form) readStructure(shape *model.Shape, n *formNode) (map[string]any, error) {
	out := map[string]any{}
	for _, m := range shape.Members {
		name := f.name(m)
		if !f.ec2 && m.Shape.Kind == model.List && flattened(m) {
			if e := elementName(m.Shape.Element, ""); e != "" && m.LocationName == "" && n.kid(e) != nil {
				name = e
			}
		}
		kid := n.kid(name)
		if kid == nil {
			continue
		}
		v, ok, err := f.read(m, kid)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if ok {
			out[m.Name] = v
		}
	}
	return out, nil
}

// read is bounded by the depth of the form, which is bounded by its parser.
func (f *form) read(m *model.Member, n *formNode) (any, bool, error) {
	switch m.Shape.Kind {
	case model.Structure:
		v, err := f.readStructure(m.Shape, n)
		return v, err == nil, err
	case model.List:
		items := n
		if !f.ec2 && !flattened(m) {
			items = n.kid(elementName(m.Shape.Element, "member"))
			if items == nil { // members under another name are common in old clients
				items = n.kid("member")
			}
		}
		out := []any{}
		for _, item := range items.numbered() {
			v, ok, err := f.read(m.Shape.Element, item)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out = append(out, v)
			}
		}
		return out, true, nil
	case model.Map:
		entries := n
		if !flattened(m) {
			entries = n.kid("entry")
		}
		out := map[string]any{}
		for _, e := range entries.numbered() {
			k, v := e.kid(elementName(m.Shape.Key, "key")), e.kid(elementName(m.Shape.Value, "value"))
			if k == nil {
				continue
			}
			if v == nil {
				v = &formNode{}
			}
			value, ok, err := f.read(m.Shape.Value, v)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out[k.value] = value
			}
		}
		return out, true, nil
	}
	if !n.set {
		return nil, false, nil
	}
	return parseScalar(m, n.value)
}
