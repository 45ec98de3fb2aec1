package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// ruleSet is a Smithy endpoint rule set. The language is described in
// https://smithy.io/2.0/additional-specs/rules-engine/specification.html.
type ruleSet struct {
	Parameters map[string]struct {
		BuiltIn string `json:"builtIn"`
		Default any    `json:"default"`
	} `json:"parameters"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Type       string      `json:"type"`
	Conditions []condition `json:"conditions"`
	Rules      []rule      `json:"rules"`
	Error      any         `json:"error"`
	Endpoint   struct {
		URL        any            `json:"url"`
		Properties map[string]any `json:"properties"`
	} `json:"endpoint"`
}

type condition struct {
	Fn     string `json:"fn"`
	Argv   []any  `json:"argv"`
	Assign string `json:"assign"`
}

// answer is what a rule set says to one set of parameters.
type answer struct {
	url, signingName, signingRegion, err string
}

var errNoRule = errors.New("no rule matches")

type scope map[string]any

// evaluator knows the partitions, which rules ask for.
type evaluator struct{ partitions []rawPartition }

type rawPartition struct {
	ID          string         `json:"id"`
	RegionRegex string         `json:"regionRegex"`
	Regions     map[string]any `json:"regions"`
	Outputs     map[string]any `json:"outputs"`

	regex *regexp.Regexp
}

func (e *evaluator) partition(region string) map[string]any {
	for _, p := range e.partitions {
		if _, ok := p.Regions[region]; ok {
			return p.Outputs
		}
	}
	for _, p := range e.partitions {
		if p.regex.MatchString(region) {
			return p.Outputs
		}
	}
	return e.partitions[0].Outputs
}

func (e *evaluator) evaluate(set *ruleSet, params scope) (answer, error) {
	vars := scope{}
	for name, p := range set.Parameters {
		if v, ok := params[name]; ok {
			vars[name] = v
		} else if p.Default != nil {
			vars[name] = p.Default
		}
	}
	return e.rules(set.Rules, vars)
}

func (e *evaluator) rules(rules []rule, vars scope) (answer, error) {
	for _, r := range rules {
		inner := scope{}
		for k, v := range vars {
			inner[k] = v
		}
		ok, err := e.holds(r.Conditions, inner)
		if err != nil {
			return answer{}, err
		}
		if !ok {
			continue
		}
		switch r.Type {
		case "tree":
			return e.rules(r.Rules, inner)
		case "error":
			text, err := e.value(r.Error, inner)
			return answer{err: fmt.Sprint(text)}, err
		default:
			return e.endpoint(r, inner)
		}
	}
	return answer{}, errNoRule
}

func (e *evaluator) holds(conditions []condition, vars scope) (bool, error) {
	for _, c := range conditions {
		v, err := e.call(c.Fn, c.Argv, vars)
		if err != nil {
			return false, err
		}
		if v == nil || v == false {
			return false, nil
		}
		if c.Assign != "" {
			vars[c.Assign] = v
		}
	}
	return true, nil
}

func (e *evaluator) endpoint(r rule, vars scope) (answer, error) {
	u, err := e.value(r.Endpoint.URL, vars)
	if err != nil {
		return answer{}, err
	}
	a := answer{url: fmt.Sprint(u)}
	schemes, _ := r.Endpoint.Properties["authSchemes"].([]any)
	for _, s := range schemes {
		scheme, _ := s.(map[string]any)
		if scheme["name"] != "sigv4" {
			continue
		}
		for key, to := range map[string]*string{"signingName": &a.signingName, "signingRegion": &a.signingRegion} {
			if raw, ok := scheme[key]; ok {
				v, err := e.value(raw, vars)
				if err != nil {
					return answer{}, err
				}
				*to = fmt.Sprint(v)
			}
		}
		break
	}
	return a, nil
}

// value evaluates an argument: a literal with {references}, a reference or a call.
func (e *evaluator) value(v any, vars scope) (any, error) {
	switch v := v.(type) {
	case string:
		return template(v, vars), nil
	case map[string]any:
		if ref, ok := v["ref"].(string); ok {
			return vars[ref], nil
		}
		if fn, ok := v["fn"].(string); ok {
			argv, _ := v["argv"].([]any)
			return e.call(fn, argv, vars)
		}
		return nil, fmt.Errorf("neither reference nor call: %v", v)
	}
	return v, nil
}

var reference = regexp.MustCompile(`\{([A-Za-z0-9_]+)(?:#([A-Za-z0-9_.\[\]]+))?\}`)

func template(s string, vars scope) string {
	return reference.ReplaceAllStringFunc(s, func(m string) string {
		parts := reference.FindStringSubmatch(m)
		v := vars[parts[1]]
		if parts[2] != "" {
			v = attribute(v, parts[2])
		}
		return fmt.Sprint(v)
	})
}

func attribute(v any, path string) any {
	for _, part := range strings.Split(path, ".") {
		name, index, hasIndex := strings.Cut(part, "[")
		if name != "" {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		if hasIndex {
			var i int
			if _, err := fmt.Sscanf(index, "%d]", &i); err != nil {
				return nil
			}
			list, _ := v.([]any)
			if i < 0 || i >= len(list) {
				return nil
			}
			v = list[i]
		}
	}
	return v
}

var hostLabel = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

func (e *evaluator) call(fn string, argv []any, vars scope) (any, error) {
	args := make([]any, len(argv))
	for i, a := range argv {
		v, err := e.value(a, vars)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	text := func(i int) (string, bool) {
		if i >= len(args) {
			return "", false
		}
		s, ok := args[i].(string)
		return s, ok
	}
	first, isText := text(0)
	switch fn {
	case "isSet":
		return args[0] != nil, nil
	case "not":
		return args[0] == nil || args[0] == false, nil
	case "booleanEquals", "stringEquals":
		return args[0] == args[1], nil
	case "coalesce":
		for _, a := range args {
			if a != nil {
				return a, nil
			}
		}
		return nil, nil
	case "getAttr":
		path, _ := text(1)
		return attribute(args[0], path), nil
	case "aws.partition":
		if !isText {
			return nil, nil
		}
		return e.partition(first), nil
	case "isValidHostLabel":
		if dots, _ := args[1].(bool); dots {
			for _, part := range strings.Split(first, ".") {
				if !hostLabel.MatchString(part) {
					return false, nil
				}
			}
			return true, nil
		}
		return hostLabel.MatchString(first), nil
	case "uriEncode":
		return strings.ReplaceAll(url.QueryEscape(first), "+", "%20"), nil
	case "substring":
		return substring(first, args), nil
	case "parseURL", "aws.parseArn", "aws.isVirtualHostableS3Bucket", "split", "ite":
		// Asked only of parameters that are never set here.
		if args[0] == nil {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("function %s of %v is not known", fn, args)
}

func substring(s string, args []any) any {
	from, _ := args[1].(float64)
	to, _ := args[2].(float64)
	reverse, _ := args[3].(bool)
	if from >= to || len(s) < int(to) {
		return nil
	}
	if reverse {
		return s[len(s)-int(to) : len(s)-int(from)]
	}
	return s[int(from):int(to)]
}

func parseRules(data []byte) (*ruleSet, error) {
	var set ruleSet
	return &set, json.Unmarshal(data, &set)
}
