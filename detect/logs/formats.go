package logs

import (
	"bytes"
	"io"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

func errEOF(s *stream) error {
	if s.err != nil {
		return s.err
	}
	return io.EOF
}

// flowDefault is the default format of VPC flow logs, version 2.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html
var flowDefault = strings.Fields("version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status")

// flowFields are the fields that versions 2 to 8 and later can have.
var flowFields = append(strings.Fields(`vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id
	sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path
	ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id
	ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id reject-reason
	resource-id encryption-status`), flowDefault...)

// transitFields is the default format of transit gateway flow logs.
//
// https://docs.aws.amazon.com/vpc/latest/tgw/tgw-flow-logs.html
var transitFields = strings.Fields(`version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id
	tgw-dst-vpc-account-id tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni
	tgw-src-az-id tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end
	log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded packets-lost-ttl-expired
	tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service`)

// albFields: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html
var albFields = strings.Fields(`type time elb client target request_processing_time target_processing_time
	response_processing_time elb_status_code target_status_code received_bytes sent_bytes request user_agent ssl_cipher
	ssl_protocol target_group_arn trace_id domain_name chosen_cert_arn matched_rule_priority request_creation_time
	actions_executed redirect_url error_reason target_list target_status_code_list classification classification_reason
	conn_trace_id transformed_host transformed_uri request_transform_status`)

// nlbFields: https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-access-logs.html
var nlbFields = strings.Fields(`type version time elb listener client destination connection_time tls_handshake_time
	received_bytes sent_bytes incoming_tls_alert chosen_cert_arn chosen_cert_serial tls_cipher tls_protocol_version
	tls_named_group domain_name alpn_fe_protocol alpn_be_protocol alpn_client_preference_list tls_connection_creation_time`)

// clbFields: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/access-log-collection.html
var clbFields = strings.Fields(`time elb client backend request_processing_time backend_processing_time
	response_processing_time elb_status_code backend_status_code received_bytes sent_bytes request user_agent ssl_cipher
	ssl_protocol`)

// s3Fields: https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
var s3Fields = strings.Fields(`bucket_owner bucket time remote_ip requester request_id operation key request_uri
	http_status error_code bytes_sent object_size total_time turn_around_time referrer user_agent version_id host_id
	signature_version cipher_suite authentication_type host_header tls_version access_point_arn acl_required source_region`)

// userAgentField is the column of user_agent in s3Fields.
const userAgentField = 16

// recognise tells which log of lines begins with b, or nil.
func recognise(b []byte, flowFormat string) *form {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if bytes.HasPrefix(line, []byte("#Version:")) || bytes.HasPrefix(line, []byte("#Fields:")) {
		return &form{kind: event.CloudFront, split: splitTabs, columns: directiveFields}
	}
	words := bytes.Fields(line)
	if len(words) == 0 {
		return nil
	}
	if names := flowHeader(line); names != nil {
		return &form{kind: flowKind(names), names: names, split: splitSpaces, columns: flowHeader}
	}
	if isLakeHeader(line) {
		return &form{kind: event.CloudTrail, csv: true}
	}
	// An export of CloudWatch Logs puts the time before each message.
	if len(words) > 1 && isISO(words[0]) && !isISO(words[1]) && bytes.HasSuffix(words[0], []byte("Z")) {
		rest := bytes.TrimLeft(line[len(words[0]):], " ")
		if rest[0] == '{' {
			return &form{kind: event.CloudTrail, exported: true}
		}
		if f := recognise(rest, flowFormat); f != nil && (f.kind == event.VPCFlow || f.kind == event.TransitFlow) {
			f.exported, f.columns = true, nil
			return f
		}
	}
	isNumber := len(words[0]) <= 2 && digits(words[0])
	switch {
	case flowFormat != "" && isFlowFormat(flowFormat) && len(words) == len(flowNames(flowFormat)):
		names := flowNames(flowFormat)
		return &form{kind: flowKind(names), names: names, split: splitSpaces, columns: flowHeader}
	case isNumber && len(words) == len(flowDefault) && (digits(words[7]) || dash(words[7])):
		return &form{kind: event.VPCFlow, names: flowDefault, split: splitSpaces, columns: flowHeader}
	case isNumber && len(words) > 20 && string(words[1]) == "TransitGateway":
		return &form{kind: event.TransitFlow, names: transitFields, split: splitSpaces, columns: flowHeader}
	case len(words) > 10 && slices.Contains([]string{"http", "https", "h2", "grpcs", "ws", "wss"}, string(words[0])) && isISO(words[1]):
		return balancer(event.ALB, albFields, 3, 4, 12)
	case len(words) > 12 && string(words[0]) == "tls" && isISO(words[2]):
		return balancer(event.NLB, nlbFields, 5, 6, -1)
	case len(words) > 10 && isISO(words[0]) && bytes.IndexByte(line, '"') > 0:
		return balancer(event.CLB, clbFields, 2, 3, 11)
	case len(words) > 12 && words[2][0] == '[' && bytes.HasSuffix(words[3], []byte("]")):
		return &form{kind: event.S3Access, names: s3Fields, split: splitS3}
	}
	return nil
}

// balancer is the form of a load balancer's log. Addresses and requests are
// taken apart into further fields, named as in the tables that AWS documents
// for Athena.
//
// https://docs.aws.amazon.com/athena/latest/ug/create-alb-access-logs-table.html
func balancer(k event.Kind, names []string, client, target, request int) *form {
	f := &form{kind: k, names: names, split: splitQuoted, derived: []string{"client_ip", "client_port", "target_ip", "target_port"}}
	if request >= 0 {
		f.derived = append(f.derived, "request_verb", "request_url", "request_proto")
	}
	var out [][]byte
	f.derive = func(fields [][]byte) [][]byte {
		out = out[:0]
		for _, i := range []int{client, target} {
			host, port := hostPort(fields[i])
			out = append(out, host, port)
		}
		if request >= 0 {
			verb, rest, _ := bytes.Cut(fields[request], []byte(" "))
			url, proto := rest, noValue
			if i := bytes.LastIndexByte(rest, ' '); i >= 0 {
				url, proto = rest[:i], rest[i+1:]
			}
			out = append(out, verb, url, proto)
		}
		return out
	}
	return f
}

func hostPort(s []byte) (host, port []byte) {
	i := bytes.LastIndexByte(s, ':')
	if i < 0 {
		return s, noValue
	}
	return bytes.Trim(s[:i], "[]"), s[i+1:]
}

func digits(w []byte) bool {
	for _, c := range w {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(w) > 0
}

func dash(w []byte) bool { return string(w) == "-" }

func isISO(w []byte) bool {
	return len(w) >= 19 && w[4] == '-' && w[7] == '-' && w[10] == 'T'
}

// flowHeader returns the columns that a header line names, or nil. Custom
// formats have any fields in any order; Parquet writes them with underscores.
func flowHeader(line []byte) []string {
	if len(line) > 4096 || len(line) == 0 || line[0] < 'a' || line[0] > 'z' {
		return nil
	}
	words := strings.Fields(string(line))
	known := 0
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "_", "-")
		if slices.Contains(flowFields, words[i]) || slices.Contains(transitFields, words[i]) {
			known++
		}
	}
	if known < 2 || known*4 < len(words)*3 {
		return nil
	}
	return words
}

func flowKind(names []string) event.Kind {
	if slices.Contains(names, "tgw-id") || slices.Contains(names, "tgw-attachment-id") {
		return event.TransitFlow
	}
	return event.VPCFlow
}

func isFlowFormat(format string) bool { return strings.Contains(format, "${") }

// flowNames reads ${version} ${srcaddr}.
func flowNames(format string) []string {
	var out []string
	for _, w := range strings.Fields(format) {
		out = append(out, strings.TrimSuffix(strings.TrimPrefix(w, "${"), "}"))
	}
	return out
}

func isLakeHeader(line []byte) bool {
	if !bytes.Contains(line, []byte(",")) && !bytes.EqualFold(bytes.Trim(line, `"`), []byte("eventdata")) {
		return false
	}
	known := 0
	for _, c := range bytes.Split(bytes.ToLower(line), []byte(",")) {
		switch string(bytes.Trim(c, `" `)) {
		case "eventid", "eventname", "eventtime", "eventsource", "eventdata", "eventjson", "useridentity":
			known++
		}
	}
	return known >= 2 || known == 1 && bytes.Contains(bytes.ToLower(line), []byte("eventdata"))
}

// directiveFields reads the #Fields: directive of CloudFront.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
func directiveFields(line []byte) []string {
	rest, ok := bytes.CutPrefix(line, []byte("#Fields:"))
	if !ok || len(rest) > 8192 {
		return nil
	}
	return strings.Fields(string(rest))
}

func splitSpaces(dst [][]byte, line []byte) ([][]byte, bool) {
	for len(line) > 0 {
		i := bytes.IndexByte(line, ' ')
		if i < 0 {
			return append(dst, line), true
		}
		if i > 0 {
			dst = append(dst, line[:i])
		}
		line = line[i+1:]
	}
	return dst, true
}

func splitTabs(dst [][]byte, line []byte) ([][]byte, bool) {
	for {
		i := bytes.IndexByte(line, '\t')
		if i < 0 {
			return append(dst, line), true
		}
		dst = append(dst, line[:i])
		line = line[i+1:]
	}
}

// splitQuoted splits at spaces outside of double quotes. A quote inside quotes
// is written \" or \x22.
func splitQuoted(dst [][]byte, line []byte) ([][]byte, bool) {
	for i := 0; i < len(line); {
		switch line[i] {
		case ' ':
			i++
		case '"':
			j := i + 1
			for j < len(line) && line[j] != '"' {
				if line[j] == '\\' {
					j++
				}
				j++
			}
			if j >= len(line) {
				return dst, false
			}
			dst = append(dst, line[i+1:j])
			i = j + 1
		default:
			j := i
			for j < len(line) && line[j] != ' ' {
				j++
			}
			dst = append(dst, line[i:j])
			i = j
		}
	}
	return dst, true
}

// splitS3 splits a line of S3's access log: spaces, double quotes and the time
// in square brackets, whose own form it also rewrites to RFC 3339. S3 does not
// escape quotes that a client puts into its user agent, so that field ends at
// the line's last quote, behind which there are no others.
func splitS3(dst [][]byte, line []byte) ([][]byte, bool) {
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ':
			i++
		case '"', '[':
			end := byte('"')
			if c == '[' {
				end = ']'
			}
			j := i + 1
			if len(dst) == userAgentField {
				j = bytes.LastIndexByte(line, '"')
			} else {
				for j < len(line) && (line[j] != end || j+1 < len(line) && line[j+1] != ' ') {
					j++
				}
			}
			if j >= len(line) || j <= i {
				return dst, false
			}
			f := line[i+1 : j]
			if c == '[' {
				f = apacheTime(f)
			}
			dst = append(dst, f)
			i = j + 1
		default:
			j := i
			for j < len(line) && line[j] != ' ' {
				j++
			}
			dst = append(dst, line[i:j])
			i = j
		}
	}
	return dst, true
}

const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// apacheTime rewrites 06/Feb/2019:00:00:38 +0000 to 2019-02-06T00:00:38+00:00.
func apacheTime(t []byte) []byte {
	if len(t) != 26 || t[2] != '/' || t[6] != '/' {
		return t
	}
	m := strings.Index(months, string(t[3:6]))
	if m < 0 || m%3 != 0 {
		return t
	}
	m = m/3 + 1
	out := make([]byte, 0, 25)
	out = append(out, t[7:11]...)
	out = append(out, '-', byte('0'+m/10), byte('0'+m%10), '-')
	out = append(out, t[0:2]...)
	out = append(out, 'T')
	out = append(out, t[12:20]...)
	out = append(out, t[21:24]...)
	out = append(out, ':')
	return append(out, t[24:26]...)
}
