package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

func encodeREST(op *model.Operation, p model.Protocol, input map[string]any, r *Request) error {
	r.Method = op.Method
	template, constant, _ := strings.Cut(op.URI, "?")
	labels := map[string]string{}
	query := []string{}
	if constant != "" {
		query = append(query, constant)
	}
	if op.Input != nil {
		taken := namedQuery(op, constant, input)
		for _, m := range op.Input.Members {
			v := input[m.Name]
			if v == nil {
				continue
			}
			var err error
			switch m.Location {
			case model.URI:
				labels[memberName(m)], err = scalar(m, v, "iso8601")
			case model.Querystring:
				query, err = appendQuery(query, m, v, taken)
			case model.Header, model.Headers:
				err = writeHeader(r.Header, m, v)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
	}
	path, err := expandPath(op, template, labels)
	if err != nil {
		return err
	}
	r.Path, r.Query = path, strings.Join(query, "&")
	root := op.InputName
	if root == "" {
		root = rootName(op)
	}
	body, contentType, err := encodeRESTBody(op.Input, p, root, op.InputNamespace, op.Service, input, false)
	if err != nil {
		return err
	}
	r.Body = body
	if contentType != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", contentType)
	}
	return nil
}

// rootName is the request's element where the model names none.
func rootName(op *model.Operation) string {
	if op.Input == nil {
		return op.Name + "Request"
	}
	return elementNameOf(op.Input)
}

func elementNameOf(shape *model.Shape) string {
	if shape.LocationName != "" {
		return shape.LocationName
	}
	return shape.Name
}

// namedQuery are the parameters that the path or a member of their own set; they
// come before those of a map.
// https://smithy.io/2.0/spec/http-bindings.html#httpqueryparams-trait
func namedQuery(op *model.Operation, constant string, input map[string]any) map[string]bool {
	taken := map[string]bool{}
	for _, pair := range strings.Split(constant, "&") {
		name, _, _ := strings.Cut(pair, "=")
		taken[name] = true
	}
	for _, m := range op.Input.Members {
		if m.Location == model.Querystring && m.Shape.Kind != model.Map && input[m.Name] != nil {
			taken[memberName(m)] = true
		}
	}
	return taken
}

func appendQuery(query []string, m *model.Member, v any, taken map[string]bool) ([]string, error) {
	add := func(key string, e *model.Member, v any) error {
		text, err := scalar(e, v, "iso8601")
		query = append(query, escapeQuery(key)+"="+escapeQuery(text))
		return err
	}
	if m.JSONValue {
		raw, err := jsonText(v)
		return append(query, escapeQuery(memberName(m))+"="+escapeQuery(string(raw))), err
	}
	switch m.Shape.Kind {
	case model.List:
		list, _ := v.([]any)
		for _, e := range list {
			if e == nil {
				continue
			}
			if err := add(memberName(m), m.Shape.Element, e); err != nil {
				return nil, err
			}
		}
		return query, nil
	case model.Map:
		entries, _ := v.(map[string]any)
		for _, k := range sortedKeys(entries) {
			if taken[k] || entries[k] == nil {
				continue
			}
			if list, ok := entries[k].([]any); ok && m.Shape.Value.Shape.Kind == model.List {
				for _, e := range list {
					if err := add(k, m.Shape.Value.Shape.Element, e); err != nil {
						return nil, err
					}
				}
				continue
			}
			if err := add(k, m.Shape.Value, entries[k]); err != nil {
				return nil, err
			}
		}
		return query, nil
	}
	err := add(memberName(m), m, v)
	return query, err
}

// expandPath fills the labels of a path; {Name+} keeps its slashes.
func expandPath(op *model.Operation, template string, labels map[string]string) (string, error) {
	var b strings.Builder
	for {
		before, label, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, rest, ok := strings.Cut(label, "}")
		if !ok {
			return "", fmt.Errorf("path %q of %s has no end", op.URI, op.Name)
		}
		template = rest
		name, greedy := strings.CutSuffix(name, "+")
		v := labels[name]
		if v == "" {
			return "", inputErrorf(name, "must not be empty, as it is part of the request's path")
		}
		if greedy {
			parts := strings.Split(v, "/")
			for i := range parts {
				parts[i] = escapeQuery(parts[i])
			}
			b.WriteString(strings.Join(parts, "/"))
		} else {
			b.WriteString(escapeQuery(v))
		}
	}
}

func writeHeader(h http.Header, m *model.Member, v any) error {
	if m.Location == model.Headers {
		entries, _ := v.(map[string]any)
		for _, k := range sortedKeys(entries) {
			text, ok := entries[k].(string)
			if !ok {
				return fmt.Errorf("%s must be a string", k)
			}
			if err := setHeader(h, elementName(m, "")+strings.TrimSpace(k), strings.TrimSpace(text)); err != nil {
				return err
			}
		}
		return nil
	}
	text, ok, err := headerText(m, v)
	if err != nil || !ok {
		return err
	}
	return setHeader(h, memberName(m), strings.TrimSpace(text))
}

// setHeader refuses what would end the header line.
func setHeader(h http.Header, name, text string) error {
	if strings.ContainsAny(name, "\r\n :\x00") || strings.ContainsAny(text, "\r\n\x00") {
		return fmt.Errorf("header %.40q must not contain line breaks", name)
	}
	h.Set(name, text)
	return nil
}

func headerText(m *model.Member, v any) (string, bool, error) {
	if m.JSONValue {
		raw, err := jsonText(v)
		return base64.StdEncoding.EncodeToString(raw), true, err
	}
	if m.Shape.Kind == model.List {
		list, _ := v.([]any)
		var parts []string
		for _, e := range list {
			if e == nil {
				continue
			}
			text, err := scalar(m.Shape.Element, e, "rfc822")
			if err != nil {
				return "", false, err
			}
			if m.Shape.Element.Shape.Kind == model.String && strings.ContainsAny(text, `",`) {
				text = `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`
			}
			parts = append(parts, text)
		}
		return strings.Join(parts, ","), len(parts) > 0, nil
	}
	text, err := scalar(m, v, "rfc822")
	return text, true, err
}

func encodeRESTBody(shape *model.Shape, p model.Protocol, root string, ns model.Namespace, s *model.Service, v map[string]any, response bool) ([]byte, string, error) {
	if shape == nil {
		return nil, "", nil
	}
	if shape.Payload != "" {
		return encodePayload(shape.Member(shape.Payload), p, v[shape.Payload])
	}
	if !hasBodyMembers(shape) {
		return nil, "", nil
	}
	if p == model.RestJSON {
		body, err := encodeJSONBody(shape, v)
		return body, "application/json", err
	}
	filled := response
	for _, m := range shape.Members {
		filled = filled || m.Location == model.Body && v[m.Name] != nil
	}
	if !filled {
		return nil, "", nil
	}
	if ns.URI == "" {
		ns = shape.Namespace
	}
	if ns.URI == "" {
		ns = model.Namespace{URI: s.XMLNamespace}
	}
	x := &xmlWriter{rest: true}
	err := x.structure(shape, v, root, ns, 0)
	return x.b.Bytes(), "application/xml", err
}

func encodePayload(m *model.Member, p model.Protocol, v any) ([]byte, string, error) {
	if m == nil {
		return nil, "", fmt.Errorf("the payload is no member")
	}
	switch m.Shape.Kind {
	case model.Blob:
		if v == nil {
			return nil, "", nil
		}
		b, err := asBytes(v)
		return b, "application/octet-stream", err
	case model.String:
		if v == nil {
			return nil, "", nil
		}
		text, ok := v.(string)
		if !ok {
			return nil, "", fmt.Errorf("%s must be a string", m.Name)
		}
		return []byte(text), "text/plain", nil
	}
	if p == model.RestJSON {
		if v == nil {
			return []byte("{}"), "application/json", nil
		}
		var b bytes.Buffer
		err := writeJSON(&b, m, v, 0)
		return b.Bytes(), "application/json", err
	}
	if v == nil {
		return nil, "", nil
	}
	x := &xmlWriter{rest: true}
	err := x.value(m, v, payloadName(m), 0)
	return x.b.Bytes(), "application/xml", err
}

// payloadName is the root element of a payload.
func payloadName(m *model.Member) string {
	if m.LocationName != "" {
		return m.LocationName
	}
	return elementNameOf(m.Shape)
}

func encodeRESTResponse(shape *model.Shape, p model.Protocol, root string, output map[string]any, r *Response) error {
	if shape == nil {
		return nil
	}
	for _, m := range shape.Members {
		v := output[m.Name]
		if v == nil {
			continue
		}
		switch m.Location {
		case model.StatusCode:
			i, err := asInt(v)
			if err != nil || i < 100 || i > 599 {
				return fmt.Errorf("%s: %v is no HTTP status", m.Name, v)
			}
			r.Status = int(i)
		case model.Header, model.Headers:
			if err := writeHeader(r.Header, m, v); err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
	}
	if name := shape.LocationName; name != "" {
		root = name
	}
	body, contentType, err := encodeRESTBody(shape, p, root, model.Namespace{}, &model.Service{}, output, true)
	r.Body = body
	if contentType != "" && r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", contentType)
	}
	return err
}

func decodeRESTResponse(shape *model.Shape, p model.Protocol, r *Response) (map[string]any, error) {
	out, err := decodeRESTBody(shape, p, r.Body)
	if err != nil {
		return nil, err
	}
	for _, m := range shape.Members {
		switch m.Location {
		case model.StatusCode:
			out[m.Name] = int64(r.Status)
		case model.Header, model.Headers:
			v, ok, err := readHeader(m, r.Header, false)
			if err != nil {
				return nil, fmt.Errorf("header %s: %w", memberName(m), err)
			}
			if ok {
				out[m.Name] = v
			}
		}
	}
	return out, nil
}

func decodeRESTBody(shape *model.Shape, p model.Protocol, body []byte) (map[string]any, error) {
	out := map[string]any{}
	if shape.Payload != "" {
		m := shape.Member(shape.Payload)
		if m == nil {
			return nil, fmt.Errorf("the payload is no member")
		}
		v, ok, err := decodePayload(m, p, body)
		if ok {
			out[m.Name] = v
		}
		return out, err
	}
	if !hasBodyMembers(shape) || len(bytes.TrimSpace(body)) == 0 {
		return out, nil
	}
	if p == model.RestJSON {
		return decodeJSONBody(shape, body)
	}
	root, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	if strings.EqualFold(root.name, "html") {
		return nil, fmt.Errorf("a web page, not the answer of an API")
	}
	return readXMLStructure(shape, root)
}

func decodePayload(m *model.Member, p model.Protocol, body []byte) (any, bool, error) {
	switch m.Shape.Kind {
	case model.Blob:
		return base64.StdEncoding.EncodeToString(body), m.Streaming || m.Shape.Streaming || len(body) > 0, nil
	case model.String:
		if !utf8.Valid(body) {
			return nil, false, fmt.Errorf("%s is not UTF-8", m.Name)
		}
		return string(body), len(body) > 0, nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, false, nil
	}
	if m.Shape.EventStream {
		return nil, false, fmt.Errorf("%s is an event stream, which is not supported", m.Name)
	}
	if p == model.RestJSON {
		v, err := unmarshal(body)
		if err != nil {
			return nil, false, err
		}
		v, err = readJSON(m, v, 0, jsonScalar)
		return v, v != nil, err
	}
	root, err := parseXML(body)
	if err != nil {
		return nil, false, err
	}
	return readXML(m, root)
}

func readHeader(m *model.Member, h http.Header, request bool) (any, bool, error) {
	if m.Location == model.Headers {
		out := map[string]any{}
		prefix := elementName(m, "")
		for _, name := range sortedKeys(h) {
			key, ok := cutPrefixFold(name, prefix)
			if !ok || len(h[name]) == 0 || key == "" {
				continue
			}
			// Go has changed the letter case of what came. S3 keeps the keys of user
			// metadata in lower case, and so do we for all requests.
			if request || strings.EqualFold(prefix, "x-amz-meta-") {
				key = strings.ToLower(key)
			}
			out[key] = strings.Join(h[name], ",")
		}
		return out, !request || len(out) > 0, nil
	}
	values := h.Values(memberName(m))
	if len(values) == 0 {
		return nil, false, nil
	}
	text := strings.Join(values, ",")
	if m.JSONValue {
		v, err := decodeBase64JSON(text)
		return v, err == nil, err
	}
	if m.Shape.Kind == model.List {
		out := []any{}
		for _, part := range splitHeader(text, m.Shape.Element.Shape.Kind == model.Timestamp) {
			v, ok, err := parseScalar(m.Shape.Element, part)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out = append(out, v)
			}
		}
		return out, true, nil
	}
	v, ok, err := parseScalar(m, text)
	if err != nil && m.Shape.Kind == model.Timestamp {
		return nil, false, nil // Expires may hold anything its owner stored
	}
	return v, ok, err
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// splitHeader splits a list at its commas; quoted parts may hold commas, and
// dates hold one each.
func splitHeader(s string, dates bool) []string {
	var parts []string
	var b strings.Builder
	quoted, commas := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			if commas++; dates && commas%2 == 1 {
				b.WriteByte(c)
				continue
			}
			parts = append(parts, strings.TrimSpace(b.String()))
			b.Reset()
		default:
			b.WriteByte(c)
		}
	}
	return append(parts, strings.TrimSpace(b.String()))
}

func decodeRESTRequest(op *model.Operation, p model.Protocol, r *Request) (map[string]any, error) {
	out, err := decodeRESTBody(op.Input, p, r.Body)
	if err != nil {
		return nil, err
	}
	template, constant, _ := strings.Cut(op.URI, "?")
	labels, ok := matchPath(splitPath(template), r.Path)
	if !ok {
		return nil, fmt.Errorf("path %.80q is not one of %s", r.Path, op.Name)
	}
	query, err := url.ParseQuery(strings.ReplaceAll(r.Query, ";", "%3B"))
	if err != nil {
		return nil, fmt.Errorf("read query string: %w", err)
	}
	fixed, _ := url.ParseQuery(constant)
	named := map[string]bool{}
	for _, m := range op.Input.Members {
		if m.Location == model.Querystring && m.Shape.Kind != model.Map {
			named[memberName(m)] = true
		}
	}
	for _, m := range op.Input.Members {
		var v any
		ok, err = false, nil
		switch m.Location {
		case model.URI:
			var text string
			if text, ok = labels[memberName(m)]; ok {
				v, ok, err = parseScalar(m, text)
			}
		case model.Querystring:
			v, ok, err = readQuery(m, query, func(k string) bool { return fixed.Has(k) || named[k] })
		case model.Header, model.Headers:
			v, ok, err = readHeader(m, r.Header, true)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if ok {
			out[m.Name] = v
		}
	}
	return out, nil
}

func readQuery(m *model.Member, query url.Values, taken func(string) bool) (any, bool, error) {
	if m.Shape.Kind == model.Map {
		out := map[string]any{}
		for _, k := range sortedKeys(query) {
			if taken(k) {
				continue
			}
			value := m.Shape.Value
			if value.Shape.Kind == model.List {
				list := []any{}
				for _, text := range query[k] {
					v, _, err := parseScalar(value.Shape.Element, text)
					if err != nil {
						return nil, false, err
					}
					list = append(list, v)
				}
				out[k] = list
				continue
			}
			v, ok, err := parseScalar(value, query.Get(k))
			if err != nil {
				return nil, false, err
			}
			if ok {
				out[k] = v
			}
		}
		return out, len(out) > 0, nil
	}
	values, ok := query[memberName(m)]
	if !ok {
		return nil, false, nil
	}
	if m.JSONValue {
		v, err := unmarshal([]byte(values[0]))
		if err != nil {
			return nil, false, err
		}
		v, err = canonical(v, 0)
		return v, err == nil, err
	}
	if m.Shape.Kind == model.List {
		out := []any{}
		for _, text := range values {
			v, ok, err := parseScalar(m.Shape.Element, text)
			if err != nil {
				return nil, false, err
			}
			if ok {
				out = append(out, v)
			}
		}
		return out, true, nil
	}
	return parseScalar(m, values[0])
}
