package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// Validate checks an input against its shape as AWS's own clients do before
// sending: no unknown members, all required ones, each of its kind.
func Validate(shape *model.Shape, input map[string]any) error {
	if shape == nil {
		if len(input) > 0 {
			return inputErrorf("", "the operation takes no input")
		}
		return nil
	}
	return validateStructure(shape, input, "", 0)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func validateStructure(shape *model.Shape, input map[string]any, path string, depth int) error {
	if depth > maxDepth {
		return inputErrorf(path, "%v", errDeep)
	}
	set := 0
	for _, name := range sortedKeys(input) {
		m := shape.Member(name)
		if m == nil {
			return inputErrorf(join(path, name), "is not a member of %s; it has %s", shape.Name, listNames(shape))
		}
		if input[name] == nil {
			continue
		}
		set++
		if err := validate(m, input[name], join(path, name), depth+1); err != nil {
			return err
		}
	}
	for _, m := range shape.Members {
		if m.Required && input[m.Name] == nil && !m.IdempotencyToken {
			return inputErrorf(join(path, m.Name), "is required")
		}
	}
	if shape.Union && set > 1 {
		return inputErrorf(path, "may have only one member set, as %s is a union", shape.Name)
	}
	return nil
}

func listNames(shape *model.Shape) string {
	names := make([]string, 0, len(shape.Members))
	for _, m := range shape.Members {
		names = append(names, m.Name)
	}
	sort.Strings(names)
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 12 {
		return strings.Join(names[:12], ", ") + " …"
	}
	return strings.Join(names, ", ")
}

func validate(m *model.Member, v any, path string, depth int) error {
	if m.JSONValue || m.Shape.Document {
		return nil
	}
	switch m.Shape.Kind {
	case model.Structure:
		sub, ok := v.(map[string]any)
		if !ok {
			return inputErrorf(path, "must be an object, is %s", kindOf(v))
		}
		return validateStructure(m.Shape, sub, path, depth)
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return inputErrorf(path, "must be a list, is %s", kindOf(v))
		}
		for i, e := range list {
			if e == nil {
				continue
			}
			if err := validate(m.Shape.Element, e, fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
				return err
			}
		}
		return nil
	case model.Map:
		sub, ok := v.(map[string]any)
		if !ok {
			return inputErrorf(path, "must be an object, is %s", kindOf(v))
		}
		if depth > maxDepth {
			return inputErrorf(path, "%v", errDeep)
		}
		for _, k := range sortedKeys(sub) {
			if sub[k] == nil {
				continue
			}
			if err := validate(m.Shape.Value, sub[k], join(path, k), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	_, err := scalar(m, v, "iso8601")
	if err != nil {
		return inputErrorf(path, "%v", err)
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string, []byte:
		return "a string"
	case bool:
		return "a boolean"
	case time.Time:
		return "a time"
	}
	return "a number"
}

func asInt(v any) (int64, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case int32:
		return int64(v), nil
	case int64:
		return v, nil
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return int64(v), nil
		}
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		if f, err := v.Float64(); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			return int64(f), nil
		}
	}
	return 0, fmt.Errorf("must be an integer, is %s", kindOf(v))
}

func asFloat(v any) (float64, error) {
	switch v := v.(type) {
	case float64:
		return v, nil
	case json.Number:
		if f, err := v.Float64(); err == nil {
			return f, nil
		}
	case string:
		switch v {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
	default:
		if i, err := asInt(v); err == nil {
			return float64(i), nil
		}
	}
	return 0, fmt.Errorf("must be a number, is %s", kindOf(v))
}

func asBytes(v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return v, nil
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); err == nil {
			return b, nil
		}
		return nil, errors.New("must be a blob in base64")
	}
	return nil, fmt.Errorf("must be a blob in base64, is %s", kindOf(v))
}

// isoLayouts are the spellings of ISO 8601 that AWS and its users write.
var isoLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02"}

func asTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case time.Time:
		if isEpoch(float64(v.Unix())) {
			return v, nil
		}
		return v, errors.New("must be a time in the years 1 to 9999")
	case string:
		return parseTime(v)
	}
	f, err := asFloat(v)
	if err != nil || !isEpoch(f) {
		return time.Time{}, fmt.Errorf("must be a time such as 2006-01-02T15:04:05Z, is %s", kindOf(v))
	}
	return epoch(f), nil
}

// isEpoch says whether seconds since 1970 lie in the years 1 to 9999, beyond
// which RFC 3339 cannot write them.
func isEpoch(f float64) bool { return f >= -62135596800 && f < 253402300799 }

func epoch(f float64) time.Time {
	whole, frac := math.Modf(f)
	return time.Unix(int64(whole), int64(math.Round(frac*1e6))*1000).UTC()
}

func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, s); err == nil && isEpoch(float64(t.Unix())) {
			return t.UTC(), nil
		}
	}
	if t, err := http.ParseTime(s); err == nil && isEpoch(float64(t.Unix())) {
		return t.UTC(), nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && isEpoch(f) {
		return epoch(f), nil
	}
	return time.Time{}, fmt.Errorf("must be a time such as 2006-01-02T15:04:05Z, is %.40q", s)
}

// FormatTime writes a time as the AWS CLI shows it.
func FormatTime(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond()/1000 != 0 {
		return t.Format("2006-01-02T15:04:05.000000+00:00")
	}
	return t.Format("2006-01-02T15:04:05+00:00")
}

func timestampFormat(m *model.Member, fallback string) string {
	switch {
	case m.TimestampFormat != "":
		return m.TimestampFormat
	case m.Shape.TimestampFormat != "":
		return m.Shape.TimestampFormat
	}
	return fallback
}

func formatTimestamp(t time.Time, format string) string {
	t = t.UTC()
	switch format {
	case "rfc822":
		return t.Format(http.TimeFormat)
	case "unixTimestamp":
		return unixTimestamp(t)
	}
	if t.Nanosecond()/1000 != 0 {
		return t.Format("2006-01-02T15:04:05.000000Z")
	}
	return t.Format("2006-01-02T15:04:05Z")
}

func unixTimestamp(t time.Time) string {
	if t.Nanosecond()/1000 == 0 {
		return strconv.FormatInt(t.Unix(), 10)
	}
	return strconv.FormatFloat(float64(t.UnixMicro())/1e6, 'f', -1, 64)
}

func formatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case f != 0 && (math.Abs(f) < 1e-6 || math.Abs(f) >= 1e21):
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// scalar is the text of a scalar value; timestamps in the given format unless
// the model names one.
func scalar(m *model.Member, v any, format string) (string, error) {
	switch m.Shape.Kind {
	case model.String:
		if s, ok := v.(string); ok {
			return s, nil
		}
		return "", fmt.Errorf("must be a string, is %s", kindOf(v))
	case model.Integer, model.Long:
		i, err := asInt(v)
		return strconv.FormatInt(i, 10), err
	case model.Float, model.Double:
		f, err := asFloat(v)
		return formatFloat(f), err
	case model.Boolean:
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
		return "", fmt.Errorf("must be true or false, is %s", kindOf(v))
	case model.Blob:
		b, err := asBytes(v)
		return base64.StdEncoding.EncodeToString(b), err
	case model.Timestamp:
		t, err := asTime(v)
		if err != nil {
			return "", err
		}
		return formatTimestamp(t, timestampFormat(m, format)), nil
	}
	return "", fmt.Errorf("%s is not a scalar", m.Shape.Name)
}

// parseScalar is the value of a scalar's text; ok is false for an empty text
// that can be no value of its kind.
func parseScalar(m *model.Member, text string) (v any, ok bool, err error) {
	kind := m.Shape.Kind
	if kind == model.String {
		return strings.Clone(text), true, nil
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", kind == model.Blob, nil
	}
	switch kind {
	case model.Integer, model.Long:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			f, ferr := strconv.ParseFloat(text, 64)
			if ferr != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
				return nil, false, fmt.Errorf("%s: %.40q is not an integer", m.Name, text)
			}
			i = int64(f)
		}
		return i, true, nil
	case model.Float, model.Double:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %.40q is not a number", m.Name, text)
		}
		return plainFloat(f), true, nil
	case model.Boolean:
		switch strings.ToLower(text) {
		case "true", "1":
			return true, true, nil
		case "false", "0":
			return false, true, nil
		}
		return nil, false, fmt.Errorf("%s: %.40q is not true or false", m.Name, text)
	case model.Blob:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, false, fmt.Errorf("%s: not base64", m.Name)
		}
		return base64.StdEncoding.EncodeToString(b), true, nil
	case model.Timestamp:
		t, err := parseTime(text)
		if err != nil {
			return nil, false, fmt.Errorf("%s: %w", m.Name, err)
		}
		return FormatTime(t), true, nil
	}
	return nil, false, fmt.Errorf("%s: %s is not a scalar", m.Name, kind)
}

// plainFloat keeps values representable in JSON.
func plainFloat(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return formatFloat(f)
	}
	return f
}

// canonical turns free-form JSON into this package's values.
func canonical(v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errDeep
	}
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a number", v.String())
		}
		return f, nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = canonical(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			c, err := canonical(v[k], depth+1)
			if err != nil {
				return nil, err
			}
			v[k] = c
		}
	}
	return v, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
