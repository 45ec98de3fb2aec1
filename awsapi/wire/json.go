package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

func encodeJSONRequest(op *model.Operation, input map[string]any, r *Request) error {
	if op.Service.TargetPrefix != "" {
		r.Header.Set("X-Amz-Target", op.Service.TargetPrefix+"."+op.Name)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-"+jsonVersion(op.Service))
	if op.Service.QueryCompatible {
		r.Header.Set("X-Amzn-Query-Mode", "true")
	}
	var err error
	r.Body, err = encodeJSONBody(op.Input, input)
	return err
}

// encodeJSONBody writes the members that belong in the body; no shape is {}.
func encodeJSONBody(shape *model.Shape, v map[string]any) ([]byte, error) {
	if shape == nil {
		return []byte("{}"), nil
	}
	var b bytes.Buffer
	if err := writeJSONStructure(&b, shape, v, 0); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeJSONStructure(b *bytes.Buffer, shape *model.Shape, v map[string]any, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	b.WriteByte('{')
	first := true
	for _, m := range shape.Members {
		if v[m.Name] == nil || m.Location != model.Body {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		writeJSONString(b, memberName(m))
		b.WriteByte(':')
		if err := writeJSON(b, m, v[m.Name], depth+1); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	b.WriteByte('}')
	return nil
}

func writeJSONString(b *bytes.Buffer, s string) {
	enc := json.NewEncoder(b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	b.Truncate(b.Len() - 1)
}

func writeJSON(b *bytes.Buffer, m *model.Member, v any, depth int) error {
	if depth > maxDepth {
		return errDeep
	}
	if v == nil {
		b.WriteString("null")
		return nil
	}
	if m.JSONValue {
		text, err := jsonText(v)
		if err != nil {
			return err
		}
		writeJSONString(b, string(text))
		return nil
	}
	if m.Shape.Document {
		text, err := plainJSON(v)
		b.Write(text)
		return err
	}
	switch m.Shape.Kind {
	case model.Structure:
		sub, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("must be an object, is %s", kindOf(v))
		}
		return writeJSONStructure(b, m.Shape, sub, depth)
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("must be a list, is %s", kindOf(v))
		}
		b.WriteByte('[')
		for i, e := range list {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, m.Shape.Element, e, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case model.Map:
		entries, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("must be an object, is %s", kindOf(v))
		}
		b.WriteByte('{')
		for i, k := range sortedKeys(entries) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSONString(b, k)
			b.WriteByte(':')
			if err := writeJSON(b, m.Shape.Value, entries[k], depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	}
	return writeJSONScalar(b, m, v)
}

func writeJSONScalar(b *bytes.Buffer, m *model.Member, v any) error {
	text, err := scalar(m, v, "unixTimestamp")
	if err != nil {
		return err
	}
	bare := false
	switch m.Shape.Kind {
	case model.Integer, model.Long, model.Boolean:
		bare = true
	case model.Float, model.Double:
		bare = text != "NaN" && !strings.HasSuffix(text, "Infinity")
	case model.Timestamp:
		bare = timestampFormat(m, "unixTimestamp") == "unixTimestamp"
	}
	if bare {
		b.WriteString(text)
	} else {
		writeJSONString(b, text)
	}
	return nil
}

// jsonText is the text of a member that holds JSON as text: the text itself, or
// the JSON of a value.
func jsonText(v any) ([]byte, error) {
	if s, ok := v.(string); ok && json.Valid([]byte(s)) {
		return []byte(s), nil
	}
	return plainJSON(v)
}

// plainJSON is free-form JSON without HTML escapes.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// unmarshal reads one JSON value with exact numbers.
func unmarshal(body []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return nil, errors.New("the JSON ends early")
		}
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read JSON: more follows after the value")
	}
	return v, nil
}

func decodeJSONBody(shape *model.Shape, body []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return map[string]any{}, nil
	}
	v, err := unmarshal(body)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return map[string]any{}, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the JSON is %s, not an object", kindOf(v))
	}
	return readJSONStructure(shape, m, 0, jsonScalar)
}

// readScalar is how a format that has types of its own reads scalars.
type readScalar func(m *model.Member, v any) (any, error)

func readJSONStructure(shape *model.Shape, v map[string]any, depth int, read readScalar) (map[string]any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	out := make(map[string]any, len(v))
	for _, m := range shape.Members {
		if m.Location != model.Body {
			continue
		}
		raw := v[memberName(m)]
		if raw == nil {
			continue
		}
		c, err := readJSON(m, raw, depth+1, read)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		if c != nil {
			out[m.Name] = c
		}
	}
	return out, nil
}

func readJSON(m *model.Member, v any, depth int, read readScalar) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	if v == nil {
		return nil, nil
	}
	if m.Shape.Document {
		return canonical(v, depth)
	}
	if text, ok := v.(string); ok && m.JSONValue {
		free, err := unmarshal([]byte(text))
		if err != nil {
			return nil, err
		}
		return canonical(free, depth)
	}
	switch m.Shape.Kind {
	case model.Structure:
		sub, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s instead of an object", kindOf(v))
		}
		return readJSONStructure(m.Shape, sub, depth, read)
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("%s instead of a list", kindOf(v))
		}
		out := make([]any, len(list))
		for i, e := range list {
			c, err := readJSON(m.Shape.Element, e, depth+1, read)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case model.Map:
		entries, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s instead of an object", kindOf(v))
		}
		out := make(map[string]any, len(entries))
		for _, k := range sortedKeys(entries) {
			c, err := readJSON(m.Shape.Value, entries[k], depth+1, read)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			if c != nil || m.Shape.Sparse {
				out[k] = c
			}
		}
		return out, nil
	}
	return read(m, v)
}

func jsonScalar(m *model.Member, v any) (any, error) {
	switch m.Shape.Kind {
	case model.String:
		switch v := v.(type) {
		case string:
			return v, nil
		case json.Number:
			return v.String(), nil
		case bool:
			return strconv.FormatBool(v), nil
		}
		return nil, fmt.Errorf("%s instead of a string", kindOf(v))
	case model.Boolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case model.Integer, model.Long:
		if i, err := asInt(v); err == nil {
			return i, nil
		}
		// A value beyond int64 or with a fraction: keep what can be kept.
		if f, err := asFloat(v); err == nil {
			return plainFloat(f), nil
		}
	case model.Float, model.Double:
		if f, err := asFloat(v); err == nil {
			return plainFloat(f), nil
		}
	case model.Timestamp:
		return readTime(v)
	}
	if s, ok := v.(string); ok {
		c, ok, err := parseScalar(m, s)
		if !ok {
			return nil, err
		}
		return c, err
	}
	return nil, fmt.Errorf("%s instead of a %s", kindOf(v), m.Shape.Kind)
}

func readTime(v any) (any, error) {
	var t time.Time
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		if err != nil || !isEpoch(f) {
			return nil, fmt.Errorf("%.40q is no time", n.String())
		}
		t = epoch(f)
	default:
		var err error
		if t, err = asTime(v); err != nil {
			return nil, err
		}
	}
	return FormatTime(t), nil
}

func decodeBase64JSON(text string) (any, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, errors.New("not base64")
	}
	v, err := unmarshal(raw)
	if err != nil {
		return nil, err
	}
	return canonical(v, 0)
}
