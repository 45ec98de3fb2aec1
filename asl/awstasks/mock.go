package awstasks

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/asl"
	"github.com/bartizan-security/bartizan/awsapi"
	"github.com/bartizan-security/bartizan/awsapi/model"
)

// The modes of CheckMock.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_MockInput.html
const (
	Strict  = "STRICT"  // fields that are required must be there
	Present = "PRESENT" // only what is there is looked at
	None    = "NONE"
)

// CheckMock holds a mocked result of a task against the model of the operation
// that the resource names. A resource without a model passes. The error is an
// asl.TestError in the words of TestState.
func CheckMock(resource string, result []byte, mode string) error {
	if mode == None {
		return nil
	}
	var v any
	if err := json.Unmarshal(result, &v); err != nil {
		return &asl.TestError{Code: "ValidationException", Msg: "Mocked result must be valid JSON"}
	}
	service, action := resourceParts(resource)
	to, err := (&Tasks{}).resolve(&asl.Call{Service: service, Action: action, Resource: resource})
	if err != nil || service == "" || to.callback || to.job != nil || to.service == "lambda" && !to.sdk {
		return nil //nolint:nilerr // its result is not the operation's
	}
	op := to.model()
	if op == nil || op.Output == nil {
		return nil
	}
	if problem := check(op.Output, v, "", mode != Present, 0); problem != "" {
		return &asl.TestError{Code: "ValidationException", Msg: "Mock result schema validation error: " + problem}
	}
	return nil
}

// resourceParts takes an integration's ARN apart: arn:aws:states:::SERVICE:ACTION.
func resourceParts(resource string) (service, action string) {
	_, rest, ok := strings.Cut(resource, ":states:::")
	if !ok {
		return "", ""
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 || strings.Contains(rest[:i], ".") {
		return "", ""
	}
	return rest[:i], rest[i+1:]
}

const mockDepth = 50

// check returns what is wrong with a value, or "".
func check(sh *model.Shape, v any, field string, strict bool, depth int) string {
	if sh == nil || v == nil || sh.Document || depth > mockDepth {
		return ""
	}
	switch sh.Kind {
	case model.Structure:
		m, ok := v.(map[string]any)
		if !ok {
			return wrongType(field, "an object")
		}
		for _, member := range sh.Members {
			name := awsapi.TaskName(member.Name)
			x, there := m[name]
			if !there {
				if strict && member.Required {
					return fmt.Sprintf("Required field '%s' is missing", name)
				}
				continue
			}
			if p := check(member.Shape, x, name, strict, depth+1); p != "" {
				return p
			}
		}
	case model.List:
		list, ok := v.([]any)
		if !ok {
			return wrongType(field, "an array")
		}
		for _, e := range list {
			if p := check(sh.Element.Shape, e, field, strict, depth+1); p != "" {
				return p
			}
		}
	case model.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return wrongType(field, "an object")
		}
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if p := check(sh.Value.Shape, m[k], field, strict, depth+1); p != "" {
				return p
			}
		}
	case model.Boolean:
		if _, ok := v.(bool); !ok {
			return wrongType(field, "a boolean")
		}
	case model.Integer, model.Long, model.Float, model.Double:
		n, ok := v.(float64)
		switch {
		case !ok:
			return wrongType(field, "a number")
		case sh.HasMin && n < sh.Min:
			return fmt.Sprintf("Field '%s' is less than the minimum value", field)
		case sh.HasMax && n > sh.Max:
			return fmt.Sprintf("Field '%s' exceeds the maximum value", field)
		}
	default: // texts, and blobs and times that are written as texts
		s, ok := v.(string)
		if !ok {
			return wrongType(field, "a string")
		}
		n := float64(utf8.RuneCountInString(s))
		switch {
		case sh.HasMin && n < sh.Min:
			return fmt.Sprintf("Field '%s' is smaller than the minimum length", field)
		case sh.HasMax && n > sh.Max:
			return fmt.Sprintf("Field '%s' exceeds the maximum length", field)
		}
	}
	return ""
}

func wrongType(field, want string) string {
	return fmt.Sprintf("Field '%s' must be %s", field, want)
}
