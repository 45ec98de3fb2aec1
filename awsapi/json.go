package awsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ParseInput reads an operation's input: one JSON object, or nothing. Numbers
// stay exact.
func ParseInput(data []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return map[string]any{}, nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one JSON object, more follows")
	}
	if v == nil {
		v = map[string]any{}
	}
	return v, nil
}

// EncodeJSON writes an output with sorted keys and without HTML escapes.
func EncodeJSON(v map[string]any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode output: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
