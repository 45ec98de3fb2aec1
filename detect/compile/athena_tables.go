package compile

import (
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// table is one that AWS's documentation creates for a log.
type table struct {
	name, order string
	at          string // the time of a record
	columns     map[string]column
}

// column is where a field is found.
type column struct {
	sql      string   // the value as text or number; NULL where it is missing or null
	raw      string   // the column, whatever stands in it
	path     []string // within a column of JSON
	json     bool
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

// jsonColumns hold JSON text.
var jsonColumns = strings.Fields(`requestparameters responseelements additionaleventdata serviceeventdetails`)

// flowColumns are those of the table of VPC flow logs: those of version 2, then
// those of versions 3 to 5; numbers have a + before them.
// https://docs.aws.amazon.com/athena/latest/ug/vpc-flow-logs-create-table-statement.html
var flowColumns = [2]string{`+version account_id interface_id srcaddr dstaddr +srcport +dstport +protocol +packets +bytes +start +end action log_status`,
	`vpc_id subnet_id instance_id +tcp_flags type pkt_srcaddr pkt_dstaddr region az_id sublocation_type sublocation_id
	pkt_src_aws_service pkt_dst_aws_service flow_direction +traffic_path`}

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
	t := table{columns: map[string]column{}}
	switch k {
	case event.VPCFlow:
		t.name, t.order, t.at = "vpc_flow_logs", `"start"`, `from_unixtime("start")`
		t.add(flowColumns[0], false)
		t.add(flowColumns[1], true)
	case event.ALB:
		t.name, t.order, t.at = "alb_access_logs", `"time"`, `from_iso8601_timestamp("time")`
		t.add(albColumns, false)
	case event.S3Access:
		t.name, t.at = "s3_access_logs_db.mybucket_logs", `parse_datetime(requestdatetime, 'dd/MMM/yyyy:HH:mm:ss Z')`
		t.order = t.at
		t.add(s3Columns, false)
	case event.DNS:
		t.name, t.order, t.at = "r53_rlogs", "query_timestamp", "from_iso8601_timestamp(query_timestamp)"
		t.add(dnsColumns, false)
	default:
		t.name, t.order, t.at = "cloudtrail_logs", "eventtime", "from_iso8601_timestamp(eventtime)"
	}
	return t
}

// add adds columns. In the logs that are not JSON - stands for no value.
func (t *table) add(list string, late bool) {
	for _, word := range strings.Fields(list) {
		mark := word[0]
		word = strings.TrimLeft(word, `+~"`)
		field, name, renamed := strings.Cut(word, "=")
		if !renamed {
			name = field
		}
		c := column{raw: `"` + name + `"`, numeric: mark == '+' || mark == '~', fraction: mark == '~', late: late}
		c.sql = c.raw
		if mark == '"' {
			c.sql = "trim(BOTH '\"' FROM " + c.raw + ")"
		}
		if !c.numeric && t.name != "r53_rlogs" {
			c.sql = "nullif(" + c.sql + ", '-')"
		}
		if t.name == "vpc_flow_logs" {
			field = strings.ReplaceAll(field, "_", "-")
		}
		t.columns[field] = c
	}
}
