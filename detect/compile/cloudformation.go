package compile

// ownResources is how many resources a template has beside its rules.
const ownResources = 6

type object = map[string]any

func ref(name string) object           { return object{"Ref": name} }
func ifElse(name string, a, b any) any { return object{"Fn::If": []any{name, a, b}} }

// cloudFormation writes a template. A pattern is written as text: as an object,
// CloudFormation takes no null, and turns false and numbers into texts.
//
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-events-rule.html
// https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1378
// https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/251
func (s stack) cloudFormation() any {
	topic := ifElse("MakeTopic", ref("Topic"), ref("TopicArn"))
	resources := deliveryResources(topic)
	for i, b := range s.rules {
		resources[s.ids[i]] = object{"Type": "AWS::Events::Rule", "Properties": object{
			"EventBusName": ref("EventBusName"), "Description": b.description(), "State": b.state(), "EventPattern": string(b.pattern.JSON),
			"Targets": []any{object{
				"Id": "topic", "Arn": topic, "DeadLetterConfig": object{"Arn": object{"Fn::GetAtt": []any{"DeadLetters", "Arn"}}},
				"InputTransformer": object{"InputPathsMap": inputPaths, "InputTemplate": message(b)},
			}},
		}}
	}
	parameter := func(value, about string) object {
		return object{"Type": "String", "Default": value, "Description": about}
	}
	given := func(name string) object { return object{"Fn::Not": []any{object{"Fn::Equals": []any{ref(name), ""}}}} }
	return object{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Detection rules on EventBridge. Deploy in every region with a trail, in us-east-1 above all: IAM and console events appear there.",
		"Metadata":                 object{"Rules": s.report()},
		"Parameters": object{
			"TopicArn":     parameter("", "SNS topic that hits go to; its policy must let events.amazonaws.com and cloudwatch.amazonaws.com publish. Empty: the stack makes one."),
			"TopicKey":     parameter("", "KMS key for the topic that the stack makes; its policy must let events.amazonaws.com and cloudwatch.amazonaws.com use it."),
			"Email":        parameter("", "Address that gets the messages of the topic that the stack makes, after it has confirmed. Empty: none."),
			"EventBusName": parameter("default", "The bus that the events come to: default, or the one that accounts send theirs to."),
		},
		"Conditions": object{
			"MakeTopic": object{"Fn::Equals": []any{ref("TopicArn"), ""}},
			"HasKey":    given("TopicKey"),
			"Subscribe": object{"Fn::And": []any{object{"Condition": "MakeTopic"}, given("Email")}},
		},
		"Resources": resources,
		"Outputs": object{
			"TopicArn":    object{"Description": "Where hits go", "Value": topic},
			"DeadLetters": object{"Description": "The queue of what could not be delivered", "Value": ref("DeadLetters")},
		},
	}
}

// deliveryResources are the topic with its policy and subscription, the queue for
// what cannot be delivered with its policy, and an alarm on that.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
func deliveryResources(topic any) object {
	service := func(name, action, resource, operator, key string, value any) object {
		target := any(ref(resource))
		if resource == "DeadLetters" {
			target = object{"Fn::GetAtt": []any{resource, "Arn"}}
		}
		return object{"Effect": "Allow", "Principal": object{"Service": name}, "Action": action, "Resource": target,
			"Condition": object{operator: object{key: value}}}
	}
	policy := func(statements ...any) object { return object{"Version": "2012-10-17", "Statement": statements} }
	rules := object{"Fn::Sub": "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:rule/*"}
	return object{
		"Topic": object{"Type": "AWS::SNS::Topic", "Condition": "MakeTopic",
			"Properties": object{"KmsMasterKeyId": ifElse("HasKey", ref("TopicKey"), ref("AWS::NoValue"))}},
		"TopicPolicy": object{"Type": "AWS::SNS::TopicPolicy", "Condition": "MakeTopic", "Properties": object{
			"Topics": []any{ref("Topic")},
			"PolicyDocument": policy(
				service("events.amazonaws.com", "sns:Publish", "Topic", "StringEquals", "aws:SourceAccount", ref("AWS::AccountId")),
				service("cloudwatch.amazonaws.com", "sns:Publish", "Topic", "StringEquals", "aws:SourceAccount", ref("AWS::AccountId"))),
		}},
		"Subscription": object{"Type": "AWS::SNS::Subscription", "Condition": "Subscribe",
			"Properties": object{"TopicArn": ref("Topic"), "Protocol": "email", "Endpoint": ref("Email")}},
		"DeadLetters": object{"Type": "AWS::SQS::Queue", "UpdateReplacePolicy": "Delete", "DeletionPolicy": "Delete",
			"Properties": object{"SqsManagedSseEnabled": true, "MessageRetentionPeriod": deadLetterDays * 86_400}},
		"DeadLettersPolicy": object{"Type": "AWS::SQS::QueuePolicy", "Properties": object{
			"Queues":         []any{ref("DeadLetters")},
			"PolicyDocument": policy(service("events.amazonaws.com", "sqs:SendMessage", "DeadLetters", "ArnLike", "aws:SourceArn", rules)),
		}},
		"DeadLettersAlarm": object{"Type": "AWS::CloudWatch::Alarm", "Properties": object{
			"AlarmDescription": "Hits of detection rules could not be delivered to the topic: see the queue.",
			"Namespace":        "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible", "Statistic": "Maximum",
			"Dimensions": []any{object{"Name": "QueueName", "Value": object{"Fn::GetAtt": []any{"DeadLetters", "QueueName"}}}},
			"Period":     300, "EvaluationPeriods": 1, "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching",
			"AlarmActions": []any{topic},
		}},
	}
}

// deadLetterDays is how long what could not be delivered is kept, the longest
// that SQS does.
const deadLetterDays = 14
