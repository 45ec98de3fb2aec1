package wire

import (
	"bytes"
	"fmt"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// xmlNames remembers which element holds which member of a structure.
var xmlNames sync.Map // *model.Shape: map[string]*model.Member

func xmlMembers(shape *model.Shape) map[string]*model.Member {
	if known, ok := xmlNames.Load(shape); ok {
		return known.(map[string]*model.Member)
	}
	names := make(map[string]*model.Member, len(shape.Members))
	for _, m := range shape.Members {
		if m.Location == model.Body && !m.XMLAttribute {
			names[xmlName(m)] = m
		}
	}
	// The items of flattened lists go by either name; a reader takes both.
	for _, m := range shape.Members {
		if m.Shape.Kind != model.List || !flattened(m) || m.Location != model.Body {
			continue
		}
		for _, alternative := range []string{memberName(m), elementName(m.Shape.Element, "")} {
			if _, taken := names[alternative]; !taken && alternative != "" {
				names[alternative] = m
			}
		}
	}
	known, _ := xmlNames.LoadOrStore(shape, names)
	return known.(map[string]*model.Member)
}

// xmlName is the element of a member inside its structure. The items of a
// flattened list stand there themselves, under the list's name or else their own.
func xmlName(m *model.Member) string {
	if m.LocationName == "" && m.Shape.Kind == model.List && flattened(m) {
		if n := elementName(m.Shape.Element, ""); n != "" {
			return n
		}
	}
	return memberName(m)
}

func decodeXMLOutput(op *model.Operation, p model.Protocol, r *Response) (map[string]any, error) {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		if len(op.Output.Members) == 0 {
			return nil, nil
		}
		return nil, errXMLEnd
	}
	root, err := parseXML(r.Body)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(root.name, "html") {
		return nil, fmt.Errorf("a web page, not the answer of an API")
	}
	if op.ResultWrapper != "" {
		if inner := root.kid(op.ResultWrapper); inner != nil {
			root = inner
		} else if root.name != op.ResultWrapper {
			return nil, fmt.Errorf("<%.60s> holds no <%s>", root.name, op.ResultWrapper)
		}
	} else if inner := root.kid(op.Name + "Result"); inner != nil && p == model.Query {
		root = inner
	}
	return readXMLStructure(op.Output, root)
}

// readXMLStructure is bounded by the depth of the document, which is bounded by
// its parser.
func readXMLStructure(shape *model.Shape, n *node) (map[string]any, error) {
	names := xmlMembers(shape)
	out := make(map[string]any, 8)
	for k := n.first; k != nil; k = k.next {
		m := names[k.name]
		if m == nil {
			continue
		}
		var v any
		ok := true
		var err error
		switch {
		case m.Shape.Kind == model.List && flattened(m):
			list, _ := out[m.Name].([]any)
			if v, ok, err = readXML(m.Shape.Element, k); ok && err == nil {
				list = append(list, v)
				v = list
			}
		case m.Shape.Kind == model.Map && flattened(m):
			entries, _ := out[m.Name].(map[string]any)
			if entries == nil {
				entries = map[string]any{}
			}
			v, err = entries, readXMLEntry(m.Shape, k, entries)
		default:
			v, ok, err = readXML(m, k)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if ok {
			out[m.Name] = v
		}
	}
	for _, a := range n.attrs {
		for _, m := range shape.Members {
			if m.XMLAttribute && (memberName(m) == a.name || local(memberName(m)) == local(a.name) && !strings.HasPrefix(a.name, "xmlns")) {
				out[m.Name] = strings.Clone(a.value)
			}
		}
	}
	return out, nil
}

func readXML(m *model.Member, n *node) (any, bool, error) {
	switch m.Shape.Kind {
	case model.Structure:
		v, err := readXMLStructure(m.Shape, n)
		return v, err == nil, err
	case model.List:
		out := []any{}
		name := elementName(m.Shape.Element, "member")
		for k := n.first; k != nil; k = k.next {
			if k.name != name && k.name != "member" && k.name != "item" {
				continue
			}
			v, ok, err := readXML(m.Shape.Element, k)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out = append(out, v)
			}
		}
		return out, true, nil
	case model.Map:
		out := map[string]any{}
		for k := n.first; k != nil; k = k.next {
			if err := readXMLEntry(m.Shape, k, out); err != nil {
				return nil, false, err
			}
		}
		return out, true, nil
	}
	return parseScalar(m, n.text)
}

func readXMLEntry(shape *model.Shape, n *node, out map[string]any) error {
	key, value := n.kid(elementName(shape.Key, "key")), n.kid(elementName(shape.Value, "value"))
	if key == nil {
		return nil
	}
	if value == nil {
		value = &node{}
	}
	v, ok, err := readXML(shape.Value, value)
	if ok {
		out[strings.Clone(key.text)] = v
	}
	return err
}

// xmlWriter writes values by their shapes.
type xmlWriter struct {
	b    bytes.Buffer
	rest bool // rest-xml, where flattened lists go by the member's name alone
}

func (x *xmlWriter) name(m *model.Member) string {
	if x.rest {
		return memberName(m)
	}
	return xmlName(m)
}

func (x *xmlWriter) open(name string, ns model.Namespace, attrs ...attr) {
	x.b.WriteByte('<')
	x.b.WriteString(name)
	if ns.URI != "" {
		if ns.Prefix == "" {
			x.attr("xmlns", ns.URI)
		} else {
			x.attr("xmlns:"+ns.Prefix, ns.URI)
		}
	}
	for _, a := range attrs {
		x.attr(a.name, a.value)
	}
	x.b.WriteByte('>')
}

func (x *xmlWriter) attr(name, value string) {
	x.b.WriteByte(' ')
	x.b.WriteString(name)
	x.b.WriteString(`="`)
	x.text(value)
	x.b.WriteByte('"')
}

func (x *xmlWriter) close(name string) {
	x.b.WriteString("</")
	x.b.WriteString(name)
	x.b.WriteByte('>')
}

func (x *xmlWriter) element(name, text string) {
	x.open(name, model.Namespace{})
	x.text(text)
	x.close(name)
}

// text escapes; characters that XML 1.0 cannot hold become U+FFFD.
func (x *xmlWriter) text(s string) {
	for _, r := range s {
		switch r {
		case '&':
			x.b.WriteString("&amp;")
		case '<':
			x.b.WriteString("&lt;")
		case '>':
			x.b.WriteString("&gt;")
		case '"':
			x.b.WriteString("&quot;")
		case '\r':
			x.b.WriteString("&#xD;")
		case '\t', '\n':
			x.b.WriteRune(r)
		default:
			if r < ' ' || r == 0xFFFE || r == 0xFFFF {
				r = '\uFFFD'
			}
			x.b.WriteRune(r)
		}
	}
}

func (x *xmlWriter) structure(shape *model.Shape, v map[string]any, name string, ns model.Namespace, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	var attrs []attr
	for _, m := range shape.Members {
		if m.XMLAttribute && v[m.Name] != nil {
			text, err := scalar(m, v[m.Name], "iso8601")
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			attrs = append(attrs, attr{memberName(m), text})
		}
	}
	x.open(name, ns, attrs...)
	for _, m := range shape.Members {
		if v[m.Name] == nil || m.XMLAttribute || m.Location != model.Body {
			continue
		}
		if err := x.value(m, v[m.Name], x.name(m), depth+1); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	x.close(name)
	return nil
}

func namespace(m *model.Member) model.Namespace {
	if m.Namespace != (model.Namespace{}) {
		return m.Namespace
	}
	return m.Shape.Namespace
}

func (x *xmlWriter) value(m *model.Member, v any, name string, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	switch m.Shape.Kind {
	case model.Structure:
		sub, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("must be an object, is %s", kindOf(v))
		}
		return x.structure(m.Shape, sub, name, namespace(m), depth)
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("must be a list, is %s", kindOf(v))
		}
		item := name
		if !flattened(m) {
			item = elementName(m.Shape.Element, "member")
			x.open(name, namespace(m))
			defer x.close(name)
		}
		for _, e := range list {
			if e == nil {
				continue
			}
			if err := x.value(m.Shape.Element, e, item, depth+1); err != nil {
				return err
			}
		}
		return nil
	case model.Map:
		return x.entries(m, v, name, depth)
	}
	text, err := scalar(m, v, "iso8601")
	if err != nil {
		return err
	}
	x.open(name, namespace(m))
	x.text(text)
	x.close(name)
	return nil
}

func (x *xmlWriter) entries(m *model.Member, v any, name string, depth int) error {
	entries, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("must be an object, is %s", kindOf(v))
	}
	item := name
	if !flattened(m) {
		item = "entry"
		x.open(name, namespace(m))
		defer x.close(name)
	}
	for _, k := range sortedKeys(entries) {
		if entries[k] == nil {
			continue
		}
		x.open(item, model.Namespace{})
		key := elementName(m.Shape.Key, "key")
		x.open(key, namespace(m.Shape.Key))
		x.text(k)
		x.close(key)
		if err := x.value(m.Shape.Value, entries[k], elementName(m.Shape.Value, "value"), depth+1); err != nil {
			return err
		}
		x.close(item)
	}
	return nil
}

func encodeXMLOutput(op *model.Operation, p model.Protocol, output map[string]any, requestID string, r *Response) error {
	x := &xmlWriter{}
	r.Header.Set("Content-Type", "text/xml;charset=UTF-8")
	root := op.Name + "Response"
	ns := model.Namespace{URI: op.Service.XMLNamespace}
	if p == model.EC2 {
		if ns.URI == "" {
			ns.URI = "http://ec2.amazonaws.com/doc/" + op.Service.APIVersion + "/"
		}
		x.open(root, ns)
		x.element("requestId", requestID)
		if err := x.members(op.Output, output); err != nil {
			return err
		}
		x.close(root)
		r.Body = x.b.Bytes()
		return nil
	}
	x.open(root, ns)
	if op.Output != nil {
		wrapper := op.ResultWrapper
		if wrapper == "" {
			wrapper = op.Name + "Result"
		}
		x.open(wrapper, model.Namespace{})
		if err := x.members(op.Output, output); err != nil {
			return err
		}
		x.close(wrapper)
	}
	x.open("ResponseMetadata", model.Namespace{})
	x.element("RequestId", requestID)
	x.close("ResponseMetadata")
	x.close(root)
	r.Body = x.b.Bytes()
	return nil
}

func (x *xmlWriter) members(shape *model.Shape, v map[string]any) error {
	if shape == nil {
		return nil
	}
	for _, m := range shape.Members {
		if v[m.Name] == nil || m.XMLAttribute || m.Location != model.Body {
			continue
		}
		if err := x.value(m, v[m.Name], x.name(m), 1); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}
