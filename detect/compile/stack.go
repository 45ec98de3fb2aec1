package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxRules is the default quota of rules on a bus; maxResources and maxTemplate,
// in bytes, are those of a CloudFormation stack; maxMessage is how many
// characters the template of a message has.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
const maxRules, maxResources, maxTemplate, maxMessage = 300, 500, 1 << 20, 8192

// Stack writes the EventBridge rules of results, as Rules gives for
// CloudFormation or Terraform, as a deployable stack. Hits go to an SNS topic, a
// parameter of the stack, which makes one where none is given; what cannot be
// delivered goes to a queue of the stack. The warnings say what quotas stand in
// the way.
func Stack(results []Result, target Target) (text []byte, warnings []string, err error) {
	var s stack
	switch target {
	case CloudFormation:
		s = newStack(results, camel)
	case Terraform:
		s = newStack(results, snake)
	default:
		return nil, nil, fmt.Errorf("write stack: %s is no stack", target)
	}
	n := len(s.rules)
	if n == 0 {
		return nil, nil, fmt.Errorf("write %s stack: none of the rules can run on EventBridge", target)
	}
	if n > maxRules {
		warnings = append(warnings, fmt.Sprintf("%d EventBridge rules are more than the %d of a bus by default: choose rules, such as --only critical,high,medium, or have the quota raised", n, maxRules))
	}
	doc := s.terraform
	if target == CloudFormation {
		doc = s.cloudFormation
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ") // a stack of the whole pack is long
	if err := enc.Encode(doc()); err != nil {
		return nil, nil, fmt.Errorf("write %s stack: %w", target, err)
	}
	if target == CloudFormation {
		warnings = append(warnings, tooLarge(n+ownResources, b.Len())...)
	}
	return b.Bytes(), warnings, nil
}

// tooLarge says what CloudFormation will not take.
func tooLarge(resources, size int) (warnings []string) {
	if resources > maxResources {
		warnings = append(warnings, fmt.Sprintf("%d resources are more than the %d of a stack: choose rules", resources, maxResources))
	}
	switch {
	case size > maxTemplate:
		warnings = append(warnings, fmt.Sprintf("the template has %d bytes, and CloudFormation takes %d: choose rules", size, maxTemplate))
	case size > 51_200:
		warnings = append(warnings, fmt.Sprintf("the template has %d bytes: with more than 51200, deploy it through a bucket (aws cloudformation deploy --s3-bucket NAME)", size))
	}
	return warnings
}

// stack is what the templates are written of.
type stack struct {
	results []Result
	rules   []busRule
	ids     []string // by rule
}

// newStack gives every EventBridge rule a name that is unique and fit for the
// target.
func newStack(results []Result, clean func(string) string) stack {
	s := stack{results: results, rules: busRules(results)}
	used := map[string]bool{}
	for _, r := range s.rules {
		base := clean(r.title())
		id := base
		for n := 2; used[id]; n++ {
			id = fmt.Sprintf("%s%d", base, n)
		}
		used[id] = true
		s.ids = append(s.ids, id)
	}
	return s
}

// title is what an EventBridge rule is called: by its detection, or by severity
// and the services that most of its detections are about.
func (b busRule) title() string {
	if len(b.results) == 1 {
		return b.results[0].RuleID
	}
	count := map[string]int{}
	var services []string
	for _, r := range b.results {
		for _, t := range r.terms {
			for _, m := range t["eventSource"] {
				name, _, _ := strings.Cut(m.text, ".")
				if count[name]++; count[name] == 1 {
					services = append(services, name)
				}
			}
		}
	}
	slices.SortStableFunc(services, func(a, b string) int { return count[b] - count[a] })
	words := append([]string{b.results[0].Severity}, services[:min(len(services), 2)]...)
	if len(services) > 2 {
		words = append(words, "others")
	}
	return strings.Join(words, "_")
}

func (b busRule) state() string {
	if b.pattern.AllReads {
		return "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
	}
	return "ENABLED"
}

func (b busRule) description() string {
	r := b.results[0]
	s := fmt.Sprintf("%s: %s", r.Severity, r.Title)
	if len(b.results) > 1 {
		var ids []string
		for _, r := range b.results {
			ids = append(ids, r.RuleID)
		}
		s = fmt.Sprintf("%s: %d detections: %s", r.Severity, len(ids), strings.Join(ids, ", "))
	} else if r.Fidelity == Wider {
		s += " (matches more than the rule: check again)"
	}
	return cut(s, 500)
}

// message is the template of what goes to the topic. Of several detections the
// one is meant that has the name of the event among its events.
func message(b busRule) string {
	type detection struct {
		Rule       string   `json:"rule"`
		Title      string   `json:"title"`
		Techniques []string `json:"techniques"`
		CheckAgain bool     `json:"checkAgain"`
		Events     []string `json:"events,omitempty"`
	}
	var list []detection
	for i, r := range b.results {
		techniques := r.Rule.Techniques()
		d := detection{cut(r.RuleID, 200), cut(r.Title, 400), techniques[:min(len(techniques), 50)], r.Fidelity == Wider, nil}
		if len(b.results) > 1 {
			for _, m := range b.names[i] {
				if isPrefix(m) {
					m.text += "*"
				}
				d.Events = append(d.Events, m.text)
			}
		}
		list = append(list, d)
	}
	head, _ := json.Marshal(struct {
		Severity string      `json:"severity"`
		Rules    []detection `json:"rules"`
	}{b.results[0].Severity, list})
	return strings.TrimSuffix(strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(string(head)), "}") + `,"time":<time>,"account":<account>,"region":<region>,"event":<detail>}`
}

var inputPaths = map[string]string{"time": "$.time", "account": "$.account", "region": "$.region", "detail": "$.detail"}

// report is what the stack says of each detection, also of the refused.
func (s stack) report() map[string]any {
	in := map[string][]string{}
	for i, b := range s.rules {
		for _, r := range b.results {
			in[r.RuleID] = append(in[r.RuleID], s.ids[i])
		}
	}
	out := map[string]any{}
	for _, r := range s.results {
		entry := map[string]any{"fidelity": r.Fidelity}
		if len(in[r.RuleID]) > 0 {
			entry["in"] = in[r.RuleID]
		}
		if len(r.Reasons) > 0 {
			entry["reasons"] = r.Reasons
		}
		if len(r.Notes) > 0 {
			entry["notes"] = r.Notes
		}
		out[r.RuleID] = entry
	}
	return out
}

// cut shortens a text to so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]+`)

func camel(s string) string {
	var b strings.Builder
	for _, w := range notAlphanumeric.Split(s, -1) {
		if w != "" {
			b.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	if b.Len() == 0 {
		return "Rule"
	}
	return "Rule" + b.String()[:min(b.Len(), 200)]
}

func snake(s string) string {
	s = strings.Trim(strings.ToLower(notAlphanumeric.ReplaceAllString(s, "_")), "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "rule_" + s
	}
	return s[:min(len(s), 48)]
}
