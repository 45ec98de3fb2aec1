package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// rpc-v2-cbor: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html

func cborModes() (cbor.EncMode, cbor.DecMode, error) {
	enc, err := cbor.EncOptions{Sort: cbor.SortBytewiseLexical, Time: cbor.TimeUnixDynamic, TimeTag: cbor.EncTagRequired, ShortestFloat: cbor.ShortestFloatNone}.EncMode()
	if err != nil {
		return nil, nil, err
	}
	dec, err := cbor.DecOptions{
		MaxNestedLevels: maxDepth, MaxArrayElements: 1 << 24, MaxMapPairs: 1 << 24, DupMapKey: cbor.DupMapKeyEnforcedAPF,
		TimeTag: cbor.DecTagOptional, DefaultMapType: nil, IntDec: cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	return enc, dec, err
}

func encodeCBORRequest(op *model.Operation, input map[string]any, r *Request) error {
	r.Path = "/service/" + op.Service.TargetPrefix + "/operation/" + op.Name
	r.Header.Set("Smithy-Protocol", "rpc-v2-cbor")
	r.Header.Set("Accept", "application/cbor")
	if op.Service.QueryCompatible {
		r.Header.Set("X-Amzn-Query-Mode", "true")
	}
	if op.Input == nil {
		return nil
	}
	r.Header.Set("Content-Type", "application/cbor")
	var err error
	r.Body, err = encodeCBORBody(op.Input, input)
	return err
}

func encodeCBORBody(shape *model.Shape, v map[string]any) ([]byte, error) {
	enc, _, err := cborModes()
	if err != nil {
		return nil, err
	}
	if shape == nil {
		return enc.Marshal(map[string]any{})
	}
	c, err := toCBORStructure(shape, v, 0)
	if err != nil {
		return nil, err
	}
	return enc.Marshal(c)
}

func toCBORStructure(shape *model.Shape, v map[string]any, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	out := make(map[string]any, len(v))
	for _, m := range shape.Members {
		if v[m.Name] == nil {
			continue
		}
		c, err := toCBOR(m, v[m.Name], depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
		out[memberName(m)] = c
	}
	return out, nil
}

func toCBOR(m *model.Member, v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	if v == nil || m.Shape.Document {
		return v, nil
	}
	switch m.Shape.Kind {
	case model.Structure:
		sub, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("must be an object, is %s", kindOf(v))
		}
		return toCBORStructure(m.Shape, sub, depth)
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("must be a list, is %s", kindOf(v))
		}
		out := make([]any, len(list))
		for i, e := range list {
			c, err := toCBOR(m.Shape.Element, e, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case model.Map:
		entries, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("must be an object, is %s", kindOf(v))
		}
		out := make(map[string]any, len(entries))
		for k, e := range entries {
			c, err := toCBOR(m.Shape.Value, e, depth+1)
			if err != nil {
				return nil, err
			}
			out[k] = c
		}
		return out, nil
	case model.String:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return nil, fmt.Errorf("must be a string, is %s", kindOf(v))
	case model.Boolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		return nil, fmt.Errorf("must be true or false, is %s", kindOf(v))
	case model.Integer, model.Long:
		return asInt(v)
	case model.Float:
		f, err := asFloat(v)
		if short := float32(f); err == nil && (float64(short) == f || math.IsNaN(f)) {
			return short, nil
		}
		return f, err // half the bytes would change the value
	case model.Double:
		return asFloat(v)
	case model.Blob:
		return asBytes(v)
	case model.Timestamp:
		t, err := asTime(v)
		if err != nil {
			return nil, err
		}
		if t.Nanosecond() == 0 {
			return cbor.Tag{Number: 1, Content: t.Unix()}, nil
		}
		return cbor.Tag{Number: 1, Content: float64(t.UnixMicro()) / 1e6}, nil
	}
	return nil, fmt.Errorf("%s has no CBOR form", m.Shape.Kind)
}

func decodeCBORBody(shape *model.Shape, body []byte) (map[string]any, error) {
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	_, dec, err := cborModes()
	if err != nil {
		return nil, err
	}
	var v any
	if err := dec.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("read CBOR: %w", err)
	}
	v, err = fromCBOR(v, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the CBOR is %s, not a map", kindOf(v))
	}
	return readJSONStructure(shape, m, 0, cborScalar)
}

// fromCBOR gives maps string keys and unpacks tags.
func fromCBOR(v any, depth int) (any, error) {
	if depth > 2*maxDepth {
		return nil, errDeep
	}
	switch v := v.(type) {
	case map[any]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			name, ok := k.(string)
			if !ok {
				return nil, fmt.Errorf("a CBOR map has a key that is no string")
			}
			c, err := fromCBOR(e, depth+1)
			if err != nil {
				return nil, err
			}
			out[name] = c
		}
		return out, nil
	case []any:
		for i := range v {
			c, err := fromCBOR(v[i], depth+1)
			if err != nil {
				return nil, err
			}
			v[i] = c
		}
		return v, nil
	case cbor.Tag:
		return fromCBOR(v.Content, depth+1)
	case uint64:
		if v > math.MaxInt64 {
			return float64(v), nil
		}
		return int64(v), nil
	}
	return v, nil
}

func cborScalar(m *model.Member, v any) (any, error) {
	switch b := v.(type) {
	case []byte:
		if m.Shape.Kind == model.Blob {
			return base64.StdEncoding.EncodeToString(b), nil
		}
	case time.Time:
		if m.Shape.Kind == model.Timestamp {
			return readTime(float64(b.Round(time.Microsecond).UnixMicro()) / 1e6)
		}
	case string:
		if m.Shape.Kind != model.String && m.Shape.Kind != model.Timestamp {
			return nil, fmt.Errorf("a string instead of a %s", m.Shape.Kind)
		}
	}
	return jsonScalar(m, v)
}
