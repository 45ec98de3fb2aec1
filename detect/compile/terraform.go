package compile

import (
	"encoding/json"
	"strings"
)

// tf escapes what Terraform would take for a template.
func tf(s string) string { return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(s) }

// terraform writes a configuration in the JSON syntax.
// https://developer.hashicorp.com/terraform/language/syntax/json
// https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/cloudwatch_event_rule
func (s stack) terraform() any {
	rules, targets := object{}, object{}
	for i, b := range s.rules {
		id := s.ids[i]
		rules[id] = object{
			"name": "${var.name_prefix}" + id, "event_bus_name": "${var.event_bus_name}", "description": tf(b.description()),
			"event_pattern": tf(string(b.pattern.JSON)), "state": b.state(),
		}
		targets[id] = object{
			"rule": "${aws_cloudwatch_event_rule." + id + ".name}", "event_bus_name": "${var.event_bus_name}", "target_id": "topic",
			"arn":                "${local.topic_arn}",
			"dead_letter_config": []any{object{"arn": "${aws_sqs_queue.dead_letters.arn}"}},
			"input_transformer":  []any{object{"input_paths": inputPaths, "input_template": tf(message(b))}},
		}
	}
	resources := terraformDelivery()
	resources["aws_cloudwatch_event_rule"], resources["aws_cloudwatch_event_target"] = rules, targets
	variable := func(value, about string) object {
		return object{"type": "string", "default": value, "description": about}
	}
	about, _ := json.Marshal(s.report())
	return object{
		"//":        "Detection rules on EventBridge. Apply in every region with a trail, in us-east-1 above all. How faithful each rule is: " + tf(string(about)),
		"terraform": object{"required_version": ">= 1.3", "required_providers": object{"aws": object{"source": "hashicorp/aws", "version": ">= 5.32"}}},
		"variable": object{
			"topic_arn":      variable("", "SNS topic that hits go to; its policy must let events.amazonaws.com and cloudwatch.amazonaws.com publish. Empty: one is made."),
			"event_bus_name": variable("default", "The bus that the events come to: default, or the one that accounts send theirs to"),
			"name_prefix":    variable("bartizan-", "What the names of the rules, the topic and the queue begin with"),
		},
		"locals": object{"topic_arn": `${var.topic_arn == "" ? one(aws_sns_topic.detections[*].arn) : var.topic_arn}`},
		"data": object{
			"aws_caller_identity": object{"current": object{}},
			"aws_iam_policy_document": object{
				"topic": object{"count": makeTopic, "statement": []any{allow([]string{"events.amazonaws.com", "cloudwatch.amazonaws.com"}, "sns:Publish", "${local.topic_arn}",
					"StringEquals", "aws:SourceAccount", "${data.aws_caller_identity.current.account_id}")}},
				"dead_letters": object{"statement": []any{allow([]string{"events.amazonaws.com"}, "sqs:SendMessage", "${aws_sqs_queue.dead_letters.arn}",
					"ArnLike", "aws:SourceArn", "arn:*:events:*:${data.aws_caller_identity.current.account_id}:rule/*")}},
			},
		},
		"resource": resources,
		"output": object{
			"topic_arn":    object{"value": "${local.topic_arn}", "description": "Where hits go"},
			"dead_letters": object{"value": "${aws_sqs_queue.dead_letters.url}", "description": "The queue of what could not be delivered"},
		},
	}
}

const makeTopic = `${var.topic_arn == "" ? 1 : 0}`

// allow is a statement of a policy for services.
func allow(services []string, action, resource, operator, key, value string) object {
	return object{
		"effect": "Allow", "actions": []string{action}, "resources": []string{resource},
		"principals": []any{object{"type": "Service", "identifiers": services}},
		"condition":  []any{object{"test": operator, "variable": key, "values": []string{value}}},
	}
}

// terraformDelivery is what deliveryResources is for CloudFormation.
func terraformDelivery() object {
	return object{
		"aws_sns_topic": object{"detections": object{"count": makeTopic, "name": "${var.name_prefix}detections"}},
		"aws_sns_topic_policy": object{"detections": object{"count": makeTopic, "arn": "${local.topic_arn}",
			"policy": "${one(data.aws_iam_policy_document.topic[*].json)}"}},
		"aws_sqs_queue": object{"dead_letters": object{"name": "${var.name_prefix}dead-letters", "sqs_managed_sse_enabled": true,
			"message_retention_seconds": deadLetterDays * 86_400}},
		"aws_sqs_queue_policy": object{"dead_letters": object{"queue_url": "${aws_sqs_queue.dead_letters.url}",
			"policy": "${data.aws_iam_policy_document.dead_letters.json}"}},
		"aws_cloudwatch_metric_alarm": object{"dead_letters": object{
			"alarm_name":        "${var.name_prefix}dead-letters",
			"alarm_description": "Hits of detection rules could not be delivered to the topic: see the queue.",
			"namespace":         "AWS/SQS", "metric_name": "ApproximateNumberOfMessagesVisible", "statistic": "Maximum",
			"dimensions": object{"QueueName": "${aws_sqs_queue.dead_letters.name}"},
			"period":     300, "evaluation_periods": 1, "threshold": 0, "comparison_operator": "GreaterThanThreshold",
			"treat_missing_data": "notBreaching", "alarm_actions": []string{"${local.topic_arn}"},
		}},
	}
}
