package event

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// text returns the first value of a standard field.
func (e *Event) text(s Slot) string { return first(e.Values(s)) }

// ID returns the record's own id: eventID of CloudTrail, Id of a finding. Logs
// of lines have none.
func (e *Event) ID() string {
	switch e.Kind {
	case CloudTrail:
		return e.text(SlotID)
	case GuardDuty:
		return cmp.Or(e.Get("id"), e.Get("Id"))
	case SecurityHub:
		return e.Get("Id")
	case WAF:
		return e.Get("httpRequest.requestId")
	case S3Access:
		return e.Get("request_id")
	case CloudFront:
		return e.Get("x-edge-request-id")
	case ALB:
		return e.Get("trace_id")
	}
	return ""
}

// Ref returns what names the record in a report: its id, or the file and offset
// where it stands.
func (e *Event) Ref() string {
	if id := e.ID(); id != "" {
		return Short(id)
	}
	return e.File + "@" + strconv.FormatInt(max(e.Offset, 0), 10)
}

// AppendIdentity appends what two deliveries of one event have in common: its id,
// and its name and time, because anonymised logs give one id to many events and
// a finding keeps its id when it is updated. It appends nothing where the record
// has no id.
func (e *Event) AppendIdentity(dst []byte) []byte {
	if e.Kind == CloudTrail {
		id := e.Text(SlotID)
		if len(id) == 0 {
			return dst
		}
		dst = append(append(dst, id...), 0)
		dst = append(append(dst, e.Text(SlotName)...), 0)
	} else {
		id := e.ID()
		if id == "" {
			return dst
		}
		dst = append(append(dst, id...), 0)
		dst = append(append(dst, e.Name()...), 0)
	}
	return strconv.AppendInt(dst, e.Time().UnixMilli(), 10)
}

// Time returns when it happened, in UTC; zero where the record does not say.
func (e *Event) Time() time.Time {
	switch e.Kind {
	case CloudTrail:
		vs := e.Values(SlotTime)
		if len(vs) == 0 {
			return time.Time{}
		}
		text := vs[0].Text
		if string(text) != string(e.timeText) { // a second has many records
			if len(text) > maxTime {
				return parseTime(text)
			}
			e.time, e.timeText = parseTime(text), append(e.timeText[:0], text...)
		}
		return e.time
	case VPCFlow, TransitFlow:
		return ParseTime(e.Get("start"))
	case ALB, NLB, CLB, S3Access:
		return ParseTime(e.Get("time"))
	case CloudFront:
		return ParseTime(e.Get("date") + "T" + e.Get("time") + "Z")
	case WAF:
		return ParseTime(e.Get("timestamp"))
	case DNS:
		return ParseTime(e.Get("query_timestamp"))
	case GuardDuty:
		return ParseTime(cmp.Or(e.Get("service.eventLastSeen"), e.Get("Service.EventLastSeen"), e.Get("updatedAt"), e.Get("UpdatedAt"), e.Get("createdAt"), e.Get("CreatedAt")))
	case SecurityHub:
		return ParseTime(cmp.Or(e.Get("LastObservedAt"), e.Get("UpdatedAt"), e.Get("CreatedAt")))
	}
	return time.Time{}
}

// Source returns eventSource of CloudTrail (iam.amazonaws.com), else the kind.
func (e *Event) Source() string {
	if e.Kind == CloudTrail {
		return e.text(SlotSource)
	}
	return string(e.Kind)
}

// Name returns eventName of CloudTrail (CreateUser), the type of a finding, the
// action of a flow.
func (e *Event) Name() string {
	switch e.Kind {
	case CloudTrail:
		return e.text(SlotName)
	case VPCFlow:
		return e.Get("action")
	case GuardDuty:
		return cmp.Or(e.Get("type"), e.Get("Type"))
	case SecurityHub:
		return cmp.Or(e.Get("GeneratorId"), e.Get("Title"))
	case ALB, CLB:
		return e.Get("request")
	case S3Access:
		return e.Get("operation")
	case CloudFront:
		return e.Get("cs-method")
	case WAF:
		return e.Get("action")
	case DNS:
		return e.Get("query_name")
	}
	return ""
}

// Region returns the AWS region, where the record says.
func (e *Event) Region() string {
	switch e.Kind {
	case CloudTrail:
		return e.text(SlotRegion)
	case VPCFlow, TransitFlow, DNS, GuardDuty:
		return e.Get("region")
	case SecurityHub:
		return e.Get("Region")
	}
	return ""
}

// Account returns the account whose log holds the record.
func (e *Event) Account() string {
	switch e.Kind {
	case CloudTrail:
		return cmp.Or(e.text(SlotAccount), e.text(SlotIdentityAccount))
	case VPCFlow, TransitFlow:
		return e.Get("account-id")
	case DNS:
		return e.Get("account_id")
	case GuardDuty:
		return cmp.Or(e.Get("accountId"), e.Get("AccountId"))
	case SecurityHub:
		return e.Get("AwsAccountId")
	}
	return ""
}

// SourceIP returns the address the call or connection came from, without a port.
// Calls by AWS services have the service's name here.
func (e *Event) SourceIP() string {
	switch e.Kind {
	case CloudTrail:
		return e.text(SlotIP)
	case VPCFlow, TransitFlow, DNS:
		return e.Get("srcaddr")
	case ALB, NLB, CLB:
		ip := e.Get("client")
		if e.Kind != NLB && ip == "" || e.Kind == NLB && ip == "" {
			ip = e.Get("client_port")
		}
		if i := strings.LastIndexByte(ip, ':'); i > 0 {
			ip = ip[:i]
		}
		return strings.Trim(ip, "[]")
	case S3Access:
		return e.Get("remote_ip")
	case CloudFront:
		return e.Get("c-ip")
	case WAF:
		return e.Get("httpRequest.clientIp")
	}
	return ""
}

// UserAgent returns what the client called itself.
func (e *Event) UserAgent() string {
	switch e.Kind {
	case CloudTrail:
		return e.text(SlotAgent)
	case ALB, CLB, S3Access:
		return e.Get("user_agent")
	case CloudFront:
		return e.Get("cs(User-Agent)")
	}
	return ""
}

// ErrorCode returns errorCode of CloudTrail: "" where the call went through.
func (e *Event) ErrorCode() string {
	if e.Kind == CloudTrail {
		return e.text(SlotError)
	}
	return ""
}

// AccessKey returns the access key id of the caller.
func (e *Event) AccessKey() string {
	if e.Kind == CloudTrail {
		return e.text(SlotIdentityKey)
	}
	return ""
}

// Issuer returns the role behind an assumed-role session, or "".
func (e *Event) Issuer() string {
	if e.Kind == CloudTrail {
		return e.text(SlotIssuerARN)
	}
	return ""
}

// Actor names who did it. For CloudTrail: the ARN of userIdentity, the AWS
// service that called, or the principal of a federated or foreign caller.
//
// See https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
func (e *Event) Actor() string {
	switch e.Kind {
	case CloudTrail:
		if arn := e.text(SlotIdentityARN); arn != "" {
			return arn
		}
		typ := e.text(SlotIdentityType)
		switch typ {
		case "AWSService":
			return cmp.Or(e.text(SlotIdentityInvokedBy), e.text(SlotIP))
		case "IdentityCenterUser":
			return cmp.Or(e.Get("userIdentity.onBehalfOf.userId"), e.text(SlotIdentityPrincipal))
		case "AWSAccount":
			return cmp.Or(e.text(SlotIdentityPrincipal), e.text(SlotIdentityAccount))
		}
		return cmp.Or(e.text(SlotIdentityUser), e.text(SlotIdentityPrincipal), e.text(SlotIdentityInvokedBy), e.text(SlotIdentityAccount), typ, e.text(SlotIP))
	case S3Access:
		return cmp.Or(e.Get("requester"), e.SourceIP())
	case DNS:
		return cmp.Or(e.Get("srcids.instance"), e.SourceIP())
	case GuardDuty:
		return cmp.Or(e.Get("resource.accessKeyDetails.userName"), e.Get("Resource.AccessKeyDetails.UserName"),
			e.Get("resource.instanceDetails.instanceId"), e.Get("Resource.InstanceDetails.InstanceId"))
	case SecurityHub:
		return e.Get("Resources.Id")
	}
	return e.SourceIP()
}
