package compile

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// What AWS documents of the fields of its records. A translation holds for
// records that keep to it; docs/compile.md says so.

// fixedCase are fields whose values AWS writes in one way only.
var fixedCase = map[event.Kind][]string{
	event.CloudTrail: strings.Fields(`eventName eventSource eventType eventCategory awsRegion eventVersion recipientAccountId
		userIdentity.type userIdentity.accountId userIdentity.invokedBy userIdentity.sessionContext.sessionIssuer.type
		userIdentity.sessionContext.attributes.mfaAuthenticated errorCode`),
	event.GuardDuty: strings.Fields(`type accountId region service.serviceName service.action.actionType`),
}

// texts are fields that hold one text, or are null or missing: no list, object
// or number. Below those with a star at the end everything is so.
var texts = map[event.Kind][]string{
	event.CloudTrail: strings.Fields(`eventName eventSource eventType eventCategory awsRegion eventVersion recipientAccountId
		sourceIPAddress userAgent errorCode errorMessage eventID requestID eventTime sharedEventID vpcEndpointId apiVersion
		sessionCredentialFromConsole userIdentity.*`),
	event.GuardDuty: strings.Fields(`type title description id accountId region service.serviceName service.action.actionType`),
	event.DNS: strings.Fields(`version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr srcport
		transport firewall_rule_action firewall_rule_group_id firewall_domain_list_id`),
	event.SecurityHub: strings.Fields(`Title ProductArn RecordState Severity.Label Workflow.Status Compliance.Status GeneratorId
		Description`),
	event.WAF: strings.Fields(`webaclId terminatingRuleId terminatingRuleType action httpSourceName httpSourceId httpRequest.clientIp
		httpRequest.country httpRequest.uri httpRequest.args httpRequest.httpVersion httpRequest.httpMethod httpRequest.requestId`),
}

// objects are fields that are one object, never a list of them.
var objects = map[event.Kind][]string{
	event.CloudTrail:  strings.Fields(`requestParameters responseElements additionalEventData tlsDetails serviceEventDetails eventData insightDetails`),
	event.GuardDuty:   strings.Fields(`service service.action service.additionalInfo service.evidence resource resource.instanceDetails resource.accessKeyDetails`),
	event.SecurityHub: strings.Fields(`Severity Workflow Compliance Remediation ProductFields FindingProviderFields`),
	event.WAF:         strings.Fields(`httpRequest`),
}

// booleans and numbers are fields of that JSON type.
var booleans = map[event.Kind][]string{
	event.CloudTrail: {"readOnly", "managementEvent"},
	event.GuardDuty:  {"service.archived", "service.additionalInfo.sample"},
}

var numbers = map[event.Kind][]string{event.GuardDuty: {"severity"}}

func isFixed(k event.Kind, field string) bool { return slices.Contains(fixedCase[k], field) }

func isText(k event.Kind, field string) bool {
	head, _, _ := strings.Cut(field, ".")
	return isLine(k) || slices.Contains(texts[k], field) || slices.Contains(texts[k], head+".*")
}

// isLine reports whether a log has lines of text, whose columns are texts.
func isLine(k event.Kind) bool {
	return slices.Contains([]event.Kind{event.VPCFlow, event.TransitFlow, event.ALB, event.NLB, event.CLB, event.S3Access, event.CloudFront}, k)
}

func isBoolean(k event.Kind, field string) bool { return slices.Contains(booleans[k], field) }
func isNumber(k event.Kind, field string) bool  { return slices.Contains(numbers[k], field) }

// isScalar reports whether a field never holds a list or an object.
func isScalar(k event.Kind, field string) bool {
	return isText(k, field) || isBoolean(k, field) || isNumber(k, field)
}

// listOf returns the part of a path that may be the first list on it: "" where
// none is.
func listOf(k event.Kind, field string) string {
	for i, c := range field {
		if c != '.' {
			continue
		}
		if head := field[:i]; !slices.Contains(objects[k], head) && !isText(k, field) && !isBoolean(k, field) {
			return head
		}
	}
	return ""
}
