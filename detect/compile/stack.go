package compile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// maxRules is the default quota of rules on a bus; maxResources and maxTemplate,
// in bytes, are those of a CloudFormation stack.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
const maxRules, maxResources, maxTemplate = 300, 500, 1 << 20

// Stack writes the EventBridge rules of results, as Rules gives for
// CloudFormation or Terraform, as a deployable stack. Hits go to an SNS topic, a
// parameter of the stack; CloudFormation makes one where none is given. The
// warnings say what quotas stand in the way.
func Stack(results []Result, target Target) (text []byte, warnings []string, err error) {
	n := 0
	for _, r := range results {
		n += len(r.Patterns)
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("write %s stack: none of the rules can run on EventBridge", target)
	}
	if n > maxRules {
		warnings = append(warnings, fmt.Sprintf("%d EventBridge rules are more than the %d of a bus by default: choose rules, such as --only critical,high,medium, or have the quota raised", n, maxRules))
	}
	var doc map[string]any
	switch target {
	case CloudFormation:
		if n+2 > maxResources {
			warnings = append(warnings, fmt.Sprintf("%d resources are more than the %d of a stack: choose rules", n+2, maxResources))
		}
		doc = cloudFormation(results)
	case Terraform:
		doc = terraform(results)
	default:
		return nil, nil, fmt.Errorf("write stack: %s is no stack", target)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ") // a stack of the whole pack is long
	if err := enc.Encode(doc); err != nil {
		return nil, nil, fmt.Errorf("write %s stack: %w", target, err)
	}
	switch {
	case target != CloudFormation:
	case b.Len() > maxTemplate:
		warnings = append(warnings, fmt.Sprintf("the template has %d bytes, and CloudFormation takes %d: choose rules", b.Len(), maxTemplate))
	case b.Len() > 51_200:
		warnings = append(warnings, fmt.Sprintf("the template has %d bytes: with more than 51200, deploy it through a bucket (aws cloudformation deploy --s3-bucket NAME)", b.Len()))
	}
	return b.Bytes(), warnings, nil
}

const allReads = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"

func state(p Pattern) string {
	if p.AllReads {
		return allReads
	}
	return "ENABLED"
}

// report is what the stack says of each rule, also of the refused.
func stackReport(results []Result) map[string]any {
	out := map[string]any{}
	for _, r := range results {
		entry := map[string]any{"fidelity": r.Fidelity}
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

func description(r Result) string {
	s := fmt.Sprintf("%s: %s", r.Severity, r.Title)
	if r.Fidelity == Wider {
		s += " (matches more than the rule: check again)"
	}
	return cut(s, 500)
}

// cut shortens a text to so many bytes.
func cut(s string, most int) string {
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// message is the template of what goes to the topic.
func message(r Result) string {
	techniques := r.Rule.Techniques()
	head, _ := json.Marshal(map[string]any{"rule": cut(r.RuleID, 200), "title": cut(r.Title, 400), "severity": r.Severity, // a template has 8192 characters
		"techniques": techniques[:min(len(techniques), 50)], "checkAgain": r.Fidelity == Wider})
	return strings.TrimSuffix(strings.NewReplacer("<", `\u003c`, ">", `\u003e`).Replace(string(head)), "}") + `,"time":<time>,"account":<account>,"region":<region>,"event":<detail>}`
}

var inputPaths = map[string]string{"time": "$.time", "account": "$.account", "region": "$.region", "detail": "$.detail"}

var notAlphanumeric = regexp.MustCompile(`[^A-Za-z0-9]+`)

// ids gives every pattern a name that is unique and fit for the target.
func ids(results []Result, clean func(string) string) map[*Pattern]string {
	out, used := map[*Pattern]string{}, map[string]bool{}
	for i := range results {
		for k := range results[i].Patterns {
			base := clean(results[i].RuleID)
			id := base
			for n := 2; used[id]; n++ {
				id = fmt.Sprintf("%s%d", base, n)
			}
			used[id] = true
			out[&results[i].Patterns[k]] = id
		}
	}
	return out
}

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

// The pattern is written as text: as an object, CloudFormation takes no null, and
// turns false and numbers into texts.
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-rule.html
// https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1378
// https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/251
func cloudFormation(results []Result) map[string]any {
	topic := map[string]any{"Fn::If": []any{"MakeTopic", map[string]any{"Ref": "Topic"}, map[string]any{"Ref": "TopicArn"}}}
	resources := map[string]any{
		"Topic": map[string]any{"Type": "AWS::SNS::Topic", "Condition": "MakeTopic", "Properties": map[string]any{"KmsMasterKeyId": map[string]any{"Fn::If": []any{"HasKey", map[string]any{"Ref": "TopicKey"}, map[string]any{"Ref": "AWS::NoValue"}}}}},
		"TopicPolicy": map[string]any{"Type": "AWS::SNS::TopicPolicy", "Condition": "MakeTopic", "Properties": map[string]any{
			"Topics": []any{map[string]any{"Ref": "Topic"}},
			"PolicyDocument": map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
				"Effect": "Allow", "Principal": map[string]any{"Service": "events.amazonaws.com"}, "Action": "sns:Publish", "Resource": map[string]any{"Ref": "Topic"},
				"Condition": map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}}},
			}}},
		}},
	}
	names := ids(results, camel)
	for i := range results {
		for k := range results[i].Patterns {
			p := &results[i].Patterns[k]
			resources[names[p]] = map[string]any{"Type": "AWS::Events::Rule", "Properties": map[string]any{
				"Description": description(results[i]), "State": state(*p), "EventPattern": string(p.JSON),
				"Targets": []any{map[string]any{"Id": "topic", "Arn": topic, "InputTransformer": map[string]any{
					"InputPathsMap": inputPaths, "InputTemplate": message(results[i])}}},
			}}
		}
	}
	return map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Detection rules on EventBridge. Deploy in every region with a trail, in us-east-1 above all: IAM and console events appear there.",
		"Metadata":                 map[string]any{"Rules": stackReport(results)},
		"Parameters": map[string]any{
			"TopicArn": map[string]any{"Type": "String", "Default": "", "Description": "SNS topic that hits go to; its policy must let events.amazonaws.com publish. Empty: the stack makes one."},
			"TopicKey": map[string]any{"Type": "String", "Default": "", "Description": "KMS key for the topic that the stack makes; its policy must let events.amazonaws.com use it."},
		},
		"Conditions": map[string]any{
			"MakeTopic": map[string]any{"Fn::Equals": []any{map[string]any{"Ref": "TopicArn"}, ""}},
			"HasKey":    map[string]any{"Fn::Not": []any{map[string]any{"Fn::Equals": []any{map[string]any{"Ref": "TopicKey"}, ""}}}},
		},
		"Resources": resources,
		"Outputs":   map[string]any{"TopicArn": map[string]any{"Value": topic}},
	}
}

// tf escapes what Terraform would take for a template.
func tf(s string) string { return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s) }

func snake(s string) string {
	s = strings.Trim(strings.ToLower(notAlphanumeric.ReplaceAllString(s, "_")), "_")
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		s = "rule_" + s
	}
	return s[:min(len(s), 48)]
}

// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/cloudwatch_event_rule
func terraform(results []Result) map[string]any {
	rules, targets := map[string]any{}, map[string]any{}
	names := ids(results, snake)
	for i := range results {
		for k := range results[i].Patterns {
			p := &results[i].Patterns[k]
			id := names[p]
			rules[id] = map[string]any{
				"name": "bartizan-" + id, "description": tf(description(results[i])), "event_pattern": tf(string(p.JSON)), "state": state(*p),
			}
			targets[id] = map[string]any{
				"rule": "${aws_cloudwatch_event_rule." + id + ".name}", "target_id": "topic", "arn": "${var.topic_arn}",
				"input_transformer": []any{map[string]any{"input_paths": inputPaths, "input_template": tf(message(results[i]))}},
			}
		}
	}
	about, _ := json.Marshal(stackReport(results))
	return map[string]any{
		"//":        "Detection rules on EventBridge. Apply in every region with a trail, in us-east-1 above all. How faithful each rule is: " + tf(string(about)),
		"terraform": map[string]any{"required_version": ">= 1.3", "required_providers": map[string]any{"aws": map[string]any{"source": "hashicorp/aws", "version": ">= 5.32"}}},
		"variable": map[string]any{"topic_arn": map[string]any{
			"type": "string", "description": "SNS topic that hits go to; its policy must let events.amazonaws.com publish",
		}},
		"resource": map[string]any{"aws_cloudwatch_event_rule": rules, "aws_cloudwatch_event_target": targets},
	}
}
