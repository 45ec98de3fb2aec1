package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// mergeRow makes one record of a row of get-query-results, which is an array of
// objects of one member each, and whose values are all strings.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_GetQueryResults.html
func mergeRow(row []byte) ([]byte, error) {
	var cells []map[string]string
	if err := json.Unmarshal(row, &cells); err != nil {
		return nil, fmt.Errorf("read row of a Lake query: %w", err)
	}
	doc := map[string]any{}
	for _, c := range cells {
		for k, v := range c {
			doc[lakeName(k)] = lakeValue(v, 0)
		}
	}
	return json.Marshal(doc)
}

// lakeRecord makes one record of a line of a Lake query's result file.
func lakeRecord(header, cells []string) ([]byte, error) {
	doc := map[string]any{}
	for i, c := range cells {
		if i < len(header) && c != "" {
			doc[lakeName(header[i])] = lakeValue(c, 0)
		}
	}
	return json.Marshal(doc)
}

// lakeNames are the fields whose case Lake loses.
var lakeNames = func() map[string]string {
	m := map[string]string{}
	for _, n := range strings.Fields(`eventVersion userIdentity eventTime eventSource eventName awsRegion sourceIPAddress userAgent
		errorCode errorMessage requestParameters responseElements additionalEventData requestID eventID readOnly resources
		eventType apiVersion managementEvent recipientAccountId sharedEventID serviceEventDetails vpcEndpointId eventCategory
		sessionCredentialFromConsole edgeDeviceDetails tlsDetails addendum insightDetails eventContext
		principalId accountId accessKeyId userName sessionContext sessionIssuer webIdFederationData invokedBy identityProvider
		onBehalfOf userId identityStoreArn credentialId mfaAuthenticated creationDate federatedProvider ec2RoleDelivery
		tlsVersion cipherSuite clientProvidedHostHeader resourceArn`) {
		m[strings.ToLower(n)] = n
	}
	return m
}()

func lakeName(k string) string {
	k = strings.Trim(k, `"`)
	if n, ok := lakeNames[strings.ToLower(k)]; ok {
		return n
	}
	return k
}

// lakeValue reads a cell: JSON where it is JSON, a row printed as {a=1, b={…}},
// else text. null and "null" are no value.
func lakeValue(v string, depth int) any {
	t := strings.TrimSpace(v)
	switch {
	case t == "null":
		return nil
	case depth < 16 && len(t) > 1 && (t[0] == '{' || t[0] == '['):
		if json.Valid([]byte(t)) {
			return json.RawMessage(t)
		}
		if t[0] == '{' && t[len(t)-1] == '}' {
			return printedRow(t[1:len(t)-1], depth)
		}
	case t == "true":
		return true
	case t == "false":
		return false
	}
	return v
}

// printedRow reads a=1, b={c=2}: a comma and a name with an equals sign begin a
// member, so that values may hold commas.
func printedRow(t string, depth int) map[string]any {
	out := map[string]any{}
	level, start := 0, 0
	take := func(part string) {
		if k, v, ok := strings.Cut(part, "="); ok {
			out[lakeName(strings.TrimSpace(k))] = lakeValue(v, depth+1)
		}
	}
	for i := 0; i < len(t); i++ {
		switch t[i] {
		case '{', '[':
			level++
		case '}', ']':
			level--
		case ',':
			if level == 0 && beginsMember(t[i+1:]) {
				take(t[start:i])
				start = i + 1
			}
		}
	}
	take(t[start:])
	return out
}

func beginsMember(t string) bool {
	t = strings.TrimLeft(t, " ")
	i := 0
	for i < len(t) && (t[i] >= 'a' && t[i] <= 'z' || t[i] >= 'A' && t[i] <= 'Z' || t[i] >= '0' && t[i] <= '9' || t[i] == '_' || t[i] == '-') {
		i++
	}
	return i > 0 && i < len(t) && t[i] == '='
}

// lowerKeys rewrites a GuardDuty finding as the AWS command line prints it
// (Service.Action) into the form in which the service delivers it
// (service.action), which is the form rules are written for.
func lowerKeys(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	var walk func(v []byte)
	walk = func(v []byte) {
		switch {
		case len(v) == 0:
		case v[0] == '{':
			out = append(out, '{')
			first := true
			event.Members(v, func(key, value []byte) bool {
				if !first {
					out = append(out, ',')
				}
				first = false
				name, _ := json.Marshal(lowerFirst(string(key)))
				out = append(append(out, name...), ':')
				walk(value)
				return true
			})
			out = append(out, '}')
		case v[0] == '[':
			out = append(out, '[')
			first := true
			_ = event.Elements(v, func(e []byte) bool {
				if !first {
					out = append(out, ',')
				}
				first = false
				walk(e)
				return true
			})
			out = append(out, ']')
		default:
			out = append(out, bytes.TrimSpace(v)...)
		}
	}
	walk(raw)
	return out
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
