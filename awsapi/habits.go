package awsapi

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// Some services have habits that their models do not tell. The AWS CLI and
// boto3 know them; inputs and outputs here are as theirs.

// amend is the input as the service wants it.
func amend(op *model.Operation, input map[string]any) map[string]any {
	if input == nil {
		input = map[string]any{}
	}
	switch op.Service.Name {
	case "glacier":
		if op.Input.Member("accountId") != nil && input["accountId"] == nil {
			return with(input, "accountId", "-")
		}
	case "route53":
		return plainIDs(op, input)
	case "s3":
		// Keys may hold what XML cannot.
		if op.Input.Member("EncodingType") != nil && strings.HasPrefix(op.Name, "List") && input["EncodingType"] == nil {
			input = with(input, "EncodingType", "url")
		}
		if source, ok := input["CopySource"].(string); ok {
			input = with(input, "CopySource", quoteSource(source))
		}
	}
	return input
}

func with(input map[string]any, name string, value any) map[string]any {
	out := make(map[string]any, len(input)+1)
	for k, v := range input {
		out[k] = v
	}
	out[name] = value
	return out
}

// plainIDs strips the "/hostedzone/" that Route 53 puts before the ids it gives
// but does not take back.
func plainIDs(op *model.Operation, input map[string]any) map[string]any {
	if op.Input == nil {
		return input
	}
	for _, m := range op.Input.Members {
		switch m.Shape.Name {
		case "ResourceId", "DelegationSetId", "ChangeId":
			if id, ok := input[m.Name].(string); ok && strings.Contains(id, "/") {
				input = with(input, m.Name, id[strings.LastIndexByte(id, '/')+1:])
			}
		}
	}
	return input
}

// quoteSource escapes the key in "bucket/key?versionId=id".
func quoteSource(source string) string {
	path, version, found := strings.Cut(source, "?versionId=")
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(parts[i]), "+", "%20")
	}
	path = strings.Join(parts, "/")
	if found {
		path += "?versionId=" + version
	}
	return path
}

// polish is the output as the AWS CLI shows it.
func polish(op *model.Operation, out map[string]any) map[string]any {
	switch op.Service.Name {
	case "iam":
		policies(op.Output, out, 0)
	case "cloudformation":
		if op.Name == "GetTemplate" {
			var template map[string]any
			if text, ok := out["TemplateBody"].(string); ok && json.Unmarshal([]byte(text), &template) == nil {
				out["TemplateBody"] = template
			}
		}
	case "s3":
		if out["EncodingType"] == "url" && strings.HasPrefix(op.Name, "List") {
			unquote(out)
		}
	}
	return out
}

// policies turns the URL-encoded policies that IAM answers into documents.
func policies(shape *model.Shape, out map[string]any, depth int) {
	if shape == nil || depth > 8 {
		return
	}
	for _, m := range shape.Members {
		switch v := out[m.Name].(type) {
		case string:
			if m.Shape.Name == "policyDocumentType" {
				if doc, ok := document(v); ok {
					out[m.Name] = doc
				}
			}
		case map[string]any:
			policies(m.Shape, v, depth+1)
		case []any:
			for _, e := range v {
				if sub, ok := e.(map[string]any); ok && m.Shape.Element != nil {
					policies(m.Shape.Element.Shape, sub, depth+1)
				}
			}
		}
	}
}

func document(text string) (map[string]any, bool) {
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	doc, err := ParseInput([]byte(text))
	if err != nil || text == "" {
		return nil, false
	}
	return plainNumbers(doc).(map[string]any), true
}

// plainNumbers gives free-form JSON the number types of all outputs.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for k := range v {
			v[k] = plainNumbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = plainNumbers(v[i])
		}
	}
	return v
}

// unquote undoes the URL encoding that amend asked for.
func unquote(out map[string]any) {
	for _, name := range []string{"Delimiter", "Marker", "NextMarker", "KeyMarker", "NextKeyMarker", "Prefix", "StartAfter"} {
		unquoteMember(out, name)
	}
	for _, list := range []string{"Contents", "Versions", "DeleteMarkers", "Uploads", "CommonPrefixes"} {
		items, _ := out[list].([]any)
		for _, item := range items {
			if m, ok := item.(map[string]any); ok {
				unquoteMember(m, "Key")
				unquoteMember(m, "Prefix")
			}
		}
	}
}

func unquoteMember(m map[string]any, name string) {
	if s, ok := m[name].(string); ok {
		if plain, err := url.QueryUnescape(s); err == nil {
			m[name] = plain
		}
	}
}
