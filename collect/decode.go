package collect

import (
	"encoding/base64"
	"encoding/csv"
	"net/url"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
)

// Redacted stands where a value was that a snapshot must not hold.
const Redacted = "(redacted)"

func redactAll(doc map[string]any, at []path) {
	for _, p := range at {
		p.each(doc, func(v any, set func(any)) {
			if v != nil && v != "" {
				set(Redacted)
			}
		})
	}
}

func decodeAll(doc map[string]any, list []decoding) {
	for _, d := range list {
		d.at.each(doc, func(v any, set func(any)) {
			text, ok := v.(string)
			if !ok {
				return
			}
			switch d.how {
			case "policy":
				if p, ok := decodePolicy(text); ok {
					set(p)
				}
			case "csv":
				if rows, ok := decodeCSV(text); ok {
					set(rows)
				}
			}
		})
	}
}

// decodePolicy turns a policy that IAM returns percent-encoded into JSON, as
// the AWS CLI shows it. https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func decodePolicy(text string) (any, bool) {
	if strings.HasPrefix(text, "%") {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return nil, false
		}
		text = plain
	}
	v, err := estate.DecodeJSON([]byte(text))
	if _, isMap := v.(map[string]any); err != nil || !isMap {
		return nil, false
	}
	return v, true
}

// decodeCSV turns a report into one object per row.
func decodeCSV(text string) (any, bool) {
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(raw)
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, false
	}
	out := []any{}
	for _, row := range rows[1:] {
		m := map[string]any{}
		for i, name := range rows[0] {
			if i < len(row) {
				m[name] = row[i]
			}
		}
		out = append(out, m)
	}
	return out, true
}
