package compile

import (
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// table is one that AWS's documentation creates for a log.
type table struct {
	log         event.Kind
	name, order string
	at          string // the time of a record
	columns     map[string]column
	json        []string // columns of JSON text, as the record has them
	lower       bool     // all names within JSON are in lower case
}

// column is where a field is found.
type column struct {
	sql      string   // the value as text or number; NULL where it is missing or null
	raw      string   // the column, whatever stands in it
	path     []string // within a column of JSON
	json     bool
	plain    bool   // of JSON: one value or none, on a way without lists
	each     string // the list whose elements sql is about, called element
	numeric  bool
	fraction bool // numeric, and not written as in the log
	late     bool // not in every version of the log
}

// trailColumns are the columns of the table that AWS gives for CloudTrail, all
// text. https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table.html
var trailColumns = strings.Fields(`eventversion eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage
	requestid eventid readonly eventtype apiversion recipientaccountid sharedeventid vpcendpointid vpcendpointaccountid eventcategory
	sessioncredentialfromconsole edgedevicedetails
	useridentity.type useridentity.principalid useridentity.arn useridentity.accountid useridentity.invokedby useridentity.accesskeyid
	useridentity.username useridentity.onbehalfof.userid useridentity.onbehalfof.identitystorearn
	useridentity.sessioncontext.attributes.mfaauthenticated useridentity.sessioncontext.attributes.creationdate
	useridentity.sessioncontext.sessionissuer.type useridentity.sessioncontext.sessionissuer.principalid
	useridentity.sessioncontext.sessionissuer.arn useridentity.sessioncontext.sessionissuer.accountid
	useridentity.sessioncontext.sessionissuer.username useridentity.sessioncontext.ec2roledelivery
	tlsdetails.tlsversion tlsdetails.ciphersuite tlsdetails.clientprovidedhostheader`)

// trailJSON are the columns of that table that hold JSON text.
var trailJSON = strings.Fields(`requestParameters responseElements additionalEventData serviceEventDetails`)

// flowColumns are those of the table of VPC flow logs: those of version 2, then
// those of versions 3 to 5; numbers have a + before them.
// https://docs.aws.amazon.com/athena/latest/ug/vpc-flow-logs-create-table-statement.html
var flowColumns = [2]string{`+version account_id interface_id srcaddr dstaddr +srcport +dstport +protocol +packets +bytes +start +end action log_status`,
	`vpc_id subnet_id instance_id +tcp_flags type pkt_srcaddr pkt_dstaddr region az_id sublocation_type sublocation_id
	pkt_src_aws_service pkt_dst_aws_service flow_direction +traffic_path`}

// wafColumns are the texts and numbers of the table for WAF, and wafLists what its
// lists have. https://docs.aws.amazon.com/athena/latest/ug/create-waf-table.html
const wafColumns = `+timestamp +formatVersion webaclId terminatingRuleId terminatingRuleType action httpSourceName httpSourceId
	responseCodeSent httpRequest.clientIp httpRequest.country httpRequest.uri httpRequest.args httpRequest.httpVersion
	httpRequest.httpMethod httpRequest.requestId`

var wafLists = map[string]string{ // by list: what is in its elements
	"labels":                      "name",
	"httpRequest.headers":         "name value",
	"ruleGroupList":               "ruleGroupId terminatingRule.ruleId terminatingRule.action",
	"nonTerminatingMatchingRules": "ruleId action",
	"rateBasedRuleList":           "rateBasedRuleId limitKey",
	"terminatingRuleMatchDetails": "conditionType location",
}

// guardDutyColumns and guardDutyJSON are the table for exported findings, whose
// names within JSON are in lower case.
// https://docs.aws.amazon.com/athena/latest/ug/querying-guardduty.html
var (
	guardDutyColumns = `schemaVersion accountId region partition id arn type severity createdAt updatedAt title description`
	guardDutyJSON    = strings.Fields(`resource service`)
)

// securityHubColumns and securityHubJSON are the table for findings of Security
// Hub, for which AWS documents none: docs/compile.md has its statement.
var (
	securityHubColumns = `SchemaVersion Id ProductArn ProductName CompanyName Region GeneratorId AwsAccountId FirstObservedAt LastObservedAt
		CreatedAt UpdatedAt Title Description SourceUrl VerificationState WorkflowState RecordState`
	securityHubJSON = strings.Fields(`Severity Remediation ProductFields UserDefinedFields Resources Compliance Workflow Note Vulnerabilities
		FindingProviderFields`)
)

// The columns of further logs, by the name of the field where it is another. A +
// marks numbers, a ~ fractions, a " columns in which the quotes of the log stand.
// https://docs.aws.amazon.com/athena/latest/ug/create-alb-access-logs-table.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-s3-access-logs-to-identify-requests.html
// https://docs.aws.amazon.com/athena/latest/ug/querying-r53-resolver-logs.html
const (
	albColumns = `type time elb client_ip +client_port target_ip +target_port ~request_processing_time ~target_processing_time
	~response_processing_time +elb_status_code target_status_code +received_bytes +sent_bytes request_verb request_url request_proto
	user_agent ssl_cipher ssl_protocol target_group_arn trace_id domain_name chosen_cert_arn matched_rule_priority
	request_creation_time actions_executed redirect_url error_reason=lambda_error_reason target_list=target_port_list
	target_status_code_list classification classification_reason conn_trace_id`
	s3Columns = `bucket_owner=bucketowner bucket=bucket_name remote_ip=remoteip requester request_id=requestid operation key
	"request_uri http_status=httpstatus error_code=errorcode +bytes_sent=bytessent +object_size=objectsize total_time=totaltime
	turn_around_time=turnaroundtime "referrer "user_agent=useragent version_id=versionid host_id=hostid signature_version=sigv
	cipher_suite=ciphersuite authentication_type=authtype host_header=endpoint tls_version=tlsversion
	access_point_arn=accesspointarn acl_required=aclrequired`
	dnsColumns = `version account_id region vpc_id query_timestamp query_name query_type query_class rcode srcaddr +srcport transport
	firewall_rule_action firewall_rule_group_id firewall_domain_list_id`
)

// tableOf returns the table of a log.
func tableOf(k event.Kind) table {
	t := table{log: k, columns: map[string]column{}}
	switch k {
	case event.VPCFlow:
		t.name, t.order, t.at = "vpc_flow_logs", `"start"`, `from_unixtime("start")`
		t.add(flowColumns[0], false)
		t.add(flowColumns[1], true)
	case event.ALB:
		t.name, t.order, t.at = "alb_access_logs", `"time"`, iso8601(`"time"`)
		t.add(albColumns, false)
	case event.S3Access:
		t.name, t.at = "s3_access_logs_db.mybucket_logs", `try(parse_datetime(requestdatetime, 'dd/MMM/yyyy:HH:mm:ss Z'))`
		t.order = t.at
		t.add(s3Columns, false)
	case event.DNS:
		t.name, t.order, t.at = "r53_rlogs", "query_timestamp", iso8601("query_timestamp")
		t.add(dnsColumns, false)
	case event.WAF:
		t.name, t.order, t.at = "waf_logs", `"timestamp"`, `from_unixtime("timestamp" / 1000e0)`
		t.add(wafColumns, false)
		for list, members := range wafLists {
			for _, m := range strings.Fields(members) {
				each := strings.ToLower(list)
				t.columns[list+"."+m] = column{sql: "element." + strings.ToLower(m), raw: each, each: each}
			}
		}
	case event.GuardDuty:
		t.name, t.json, t.lower = "gd_logs", guardDutyJSON, true
		t.order, t.at = "updatedat", iso8601(`coalesce(json_extract_scalar(service, '$["eventlastseen"]'), updatedat, createdat)`)
		t.add(guardDutyColumns, false)
	case event.SecurityHub:
		t.name, t.json, t.lower = "securityhub_findings", securityHubJSON, true
		t.order, t.at = "lastobservedat", iso8601("coalesce(lastobservedat, updatedat, createdat)")
		t.add(securityHubColumns, false)
		t.columns["Types"] = column{sql: "element", raw: "types", each: "types"}
	default:
		t.name, t.order, t.at, t.json = "cloudtrail_logs", "eventtime", iso8601("eventtime"), trailJSON
		for _, c := range trailColumns {
			t.columns[c] = column{sql: strings.ToLower(c), raw: strings.ToLower(c)}
		}
	}
	return t
}

// iso8601 is a text as a time; one that is none would end the query otherwise.
func iso8601(text string) string { return "try(from_iso8601_timestamp(" + text + "))" }

// add adds columns. In the logs that are not JSON - stands for no value.
func (t *table) add(list string, late bool) {
	for _, word := range strings.Fields(list) {
		mark := word[0]
		word = strings.TrimLeft(word, `+~"`)
		field, name, renamed := strings.Cut(word, "=")
		if !renamed {
			name = strings.ToLower(field)
		}
		c := column{raw: `"` + name + `"`, numeric: mark == '+' || mark == '~', fraction: mark == '~', late: late}
		if strings.Contains(name, ".") {
			c.raw = name
		}
		c.sql = c.raw
		if mark == '"' {
			c.sql = "trim(BOTH '\"' FROM " + c.raw + ")"
		}
		if !c.numeric && isLine(t.log) {
			c.sql = "nullif(" + c.sql + ", '-')"
		}
		if t.log == event.VPCFlow {
			field = strings.ReplaceAll(field, "_", "-")
		}
		t.columns[field] = c
	}
}
