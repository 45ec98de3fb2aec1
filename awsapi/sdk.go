package awsapi

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// CallTask calls an operation as the AWS SDK integrations of Step Functions do:
// members are named in PascalCase whatever the service calls them
// (StateMachineArn, DbInstanceIdentifier), times end in Z, documents that a
// service answers as text stay text, and the bodies of objects and functions are
// text or JSON rather than base64.
// https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
func (c *Client) CallTask(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	op, err := LookupOperation(service, operation)
	if err != nil {
		return nil, err
	}
	in, err := fromTask(op.Input, input, "", 0)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", op.Service.Name, op.Name, err)
	}
	out, err := c.call(ctx, op, in)
	if err != nil {
		return nil, err
	}
	return toTask(op.Output, out), nil
}

// TaskName is the name that Step Functions gives a member. It is the one of
// AWS's SDK for Java: an acronym at the start counts as a word.
func TaskName(name string) string {
	b := []byte(name)
	upper := func(i int) bool { return i < len(b) && b[i] >= 'A' && b[i] <= 'Z' }
	lower := func(i int) bool { return i < len(b) && b[i] >= 'a' && b[i] <= 'z' }
	for i := 1; upper(i) && !lower(i+1); i++ {
		b[i] += 'a' - 'A'
	}
	if lower(0) {
		b[0] -= 'a' - 'A'
	}
	return string(b)
}

const taskDepth = 100

// fromTask gives the members of an input the names of the model. A name may be
// Step Functions', the model's, or either in another letter case.
func fromTask(shape *model.Shape, input map[string]any, path string, depth int) (map[string]any, error) {
	if shape == nil {
		return input, nil
	}
	if depth > taskDepth {
		return nil, fmt.Errorf("%s: nested too deeply", strings.TrimPrefix(path, "."))
	}
	out := make(map[string]any, len(input))
	for name, v := range input {
		m := shape.Member(name)
		for _, candidate := range shape.Members {
			if m == nil && TaskName(candidate.Name) == name {
				m = candidate
			}
		}
		for _, candidate := range shape.Members {
			if m == nil && strings.EqualFold(candidate.Name, name) {
				m = candidate
			}
		}
		if m == nil {
			out[name] = v // which the check of the input will refuse by its name
			continue
		}
		if _, twice := out[m.Name]; twice {
			return nil, fmt.Errorf("%s is given twice", m.Name)
		}
		c, err := memberFromTask(m, v, path+"."+name, depth+1)
		if err != nil {
			return nil, err
		}
		out[m.Name] = c
	}
	return out, nil
}

func memberFromTask(m *model.Member, v any, path string, depth int) (any, error) {
	if depth > taskDepth {
		return nil, fmt.Errorf("%s: nested too deeply", strings.TrimPrefix(path, "."))
	}
	switch m.Shape.Kind {
	case model.Structure:
		if sub, ok := v.(map[string]any); ok && !m.Shape.Document {
			return fromTask(m.Shape, sub, path, depth)
		}
	case model.List:
		if list, ok := v.([]any); ok {
			out := make([]any, len(list))
			for i, e := range list {
				c, err := memberFromTask(m.Shape.Element, e, path, depth+1)
				if err != nil {
					return nil, err
				}
				out[i] = c
			}
			return out, nil
		}
	case model.Map:
		if entries, ok := v.(map[string]any); ok {
			out := make(map[string]any, len(entries))
			for k, e := range entries {
				c, err := memberFromTask(m.Shape.Value, e, path, depth+1)
				if err != nil {
					return nil, err
				}
				out[k] = c
			}
			return out, nil
		}
	case model.Blob:
		return blobFromTask(m, v)
	}
	return v, nil
}

// blobFromTask: a whole body is text or JSON, any other blob is base64.
func blobFromTask(m *model.Member, v any) (any, error) {
	if !isBody(m) || v == nil {
		return v, nil
	}
	switch v := v.(type) {
	case string:
		return []byte(v), nil
	case map[string]any:
		return EncodeJSON(v)
	case []any:
		wrapped, err := EncodeJSON(map[string]any{"v": v})
		if err != nil {
			return nil, err
		}
		return wrapped[len(`{"v":`) : len(wrapped)-1], nil
	}
	return v, nil
}

// isBody says whether a blob is the body of a message: an object, a function's payload.
func isBody(m *model.Member) bool {
	return m.Streaming || m.Shape.Streaming || m.Name == "Payload" || m.Name == "Body"
}

func toTask(shape *model.Shape, output map[string]any) map[string]any {
	if shape == nil {
		return output
	}
	out := make(map[string]any, len(output))
	for name, v := range output {
		m := shape.Member(name)
		if m == nil {
			out[name] = v
			continue
		}
		out[TaskName(name)] = memberToTask(m, v)
	}
	return out
}

// memberToTask is bounded by the depth of the answer.
func memberToTask(m *model.Member, v any) any {
	switch v := v.(type) {
	case map[string]any:
		if m.Shape.Document || m.JSONValue {
			return v
		}
		if m.Shape.Kind == model.Structure {
			return toTask(m.Shape, v)
		}
		if m.Shape.Kind == model.Map {
			out := make(map[string]any, len(v))
			for k, e := range v {
				out[k] = memberToTask(m.Shape.Value, e)
			}
			return out
		}
	case []any:
		if m.Shape.Kind == model.List {
			out := make([]any, len(v))
			for i, e := range v {
				out[i] = memberToTask(m.Shape.Element, e)
			}
			return out
		}
	case string:
		switch {
		case m.Shape.Kind == model.Timestamp:
			return taskTime(v)
		case m.Shape.Kind == model.Blob && isBody(m):
			if b, err := base64.StdEncoding.DecodeString(v); err == nil && utf8.Valid(b) {
				return string(b)
			}
		}
	}
	return v
}

// taskTime writes a time as Java does: in UTC, fractions in groups of three digits.
func taskTime(v string) string {
	t, err := ParseTime(v)
	if err != nil {
		return v
	}
	t = t.UTC()
	switch {
	case t.Nanosecond() == 0:
		return t.Format("2006-01-02T15:04:05Z")
	case t.Nanosecond()%int(time.Millisecond) == 0:
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return t.Format("2006-01-02T15:04:05.000000Z")
}
