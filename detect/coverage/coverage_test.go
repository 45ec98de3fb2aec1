package coverage_test

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/coverage"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/estate"
)

var update = flag.Bool("update", false, "write golden files")

// rules is one rule for each kind of record.
const rules = `
title: objects read
name: get_object
tags: [attack.t1530]
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: s3.amazonaws.com, eventName: GetObject}
  condition: s
---
title: object written
name: put_object
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: s3.amazonaws.com, eventName: PutObject}
  condition: s
---
title: user created
name: create_user
tags: [attack.t1136.003]
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: iam.amazonaws.com, eventName: CreateUser}
  condition: s
---
title: trail stopped
name: stop_logging
tags: [attack.t1562.008]
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: cloudtrail.amazonaws.com, eventName: StopLogging}
  condition: s
---
title: secrets read
name: get_secret
tags: [attack.t1555.006]
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: secretsmanager.amazonaws.com, eventName: GetSecretValue}
  condition: s
---
title: key used
name: decrypt
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventSource: kms.amazonaws.com, eventName: Decrypt}
  condition: s
---
title: scan
name: port_scan
tags: [attack.t1046]
logsource: {product: aws, service: vpcflow}
detection:
  s: {action: REJECT}
  condition: s
---
title: denied requests
name: anonymous_reads
tags: [attack.t1530]
logsource: {product: aws, service: s3access}
detection:
  s: {http_status: 403}
  condition: s
---
title: web attack
name: web_attack
logsource: {product: aws, service: alb}
detection:
  s: {elb_status_code: 403}
  condition: s
---
title: names asked
name: dns_tunnel
logsource: {product: aws, service: route53resolver}
detection:
  s: {query_type: TXT}
  condition: s
---
title: finding
name: guardduty_finding
logsource: {product: aws, service: guardduty}
detection:
  s: {severity|gte: 7}
  condition: s
---
title: firewall
name: waf_rule
logsource: {product: aws, service: waf}
detection:
  s: {action: BLOCK}
  condition: s
---
title: denied through an endpoint
name: endpoint_denied
logsource: {product: aws, service: cloudtrail}
detection:
  s: {eventCategory: NetworkActivity, eventSource: kms.amazonaws.com, errorCode: VpceAccessDenied}
  condition: s
---
title: many objects
name: bulk
correlation: {type: event_count, rules: [get_object], group-by: [userIdentity.arn], timespan: 5m, condition: {gte: 100}, generate: true}
`

func compiled(t *testing.T) []*sigma.Rule {
	t.Helper()
	parsed, err := sigma.Parse("rules.yml", []byte(strings.TrimSpace(rules)))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(parsed, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Rules()
}

const account, region = "111122223333", "eu-west-1"

func resource(t *testing.T, typ, id, document string) *estate.Resource {
	t.Helper()
	r := &estate.Resource{Type: typ, ID: id, ARN: "arn:aws:x:" + region + ":" + account + ":" + id, Account: account, Region: region}
	switch typ {
	case "AWS::S3::Bucket":
		r.ARN = "arn:aws:s3:::" + id
	case "AWS::CloudTrail::Trail":
		r.ARN = "arn:aws:cloudtrail:" + region + ":" + account + ":trail/" + id
	}
	if err := json.Unmarshal([]byte(document), &r.Document); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return r
}

// trail is a trail that logs, of all regions, with selectors and more.
func trail(t *testing.T, selectors string, more ...string) *estate.Resource {
	doc := `{"Name":"main","HomeRegion":"` + region + `","IsMultiRegionTrail":true,"IncludeGlobalServiceEvents":true,"GetInsightSelectors":null,"GetTrailStatus":{"IsLogging":true},"GetEventSelectors":{` + selectors + `}}`
	r := resource(t, "AWS::CloudTrail::Trail", "main", doc)
	for _, m := range more {
		if err := json.Unmarshal([]byte(m), &r.Document); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func stateOf(t *testing.T, rule string, gaps []estate.Gap, resources ...*estate.Resource) coverage.State {
	t.Helper()
	if len(resources) == 0 && len(gaps) == 0 {
		resources = append(resources, resource(t, "AWS::Account::Account", account, "{}"))
	}
	head := estate.Header{Scope: estate.Scope{Accounts: []string{account}, Regions: []string{region}}}
	r := coverage.Assess(estate.New(head, resources, gaps), compiled(t))
	for _, x := range r.Rules {
		if x.RuleID == rule {
			return x.State
		}
	}
	t.Fatalf("no rule %s in the report", rule)
	return ""
}

// TestTrails: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/logging-management-events-with-cloudtrail.html
// and logging-data-events-with-cloudtrail.html.
func TestTrails(t *testing.T) {
	const advanced = `"AdvancedEventSelectors":[{"FieldSelectors":[%]}]`
	adv := func(fields ...string) string { return strings.Replace(advanced, "%", strings.Join(fields, ","), 1) }
	const data, object, mgmt = `{"Field":"eventCategory","Equals":["Data"]}`, `{"Field":"resources.type","Equals":["AWS::S3::Object"]}`, `{"Field":"eventCategory","Equals":["Management"]}`
	const stopped, single = `{"GetTrailStatus":{"IsLogging":false}}`, `{"IsMultiRegionTrail":false}`
	for _, tt := range []struct {
		about, rule, selectors, more string
		want                         coverage.State
	}{
		{"without selectors a trail records management events", "stop_logging", ``, ``, coverage.Covered},
		{"reads too", "get_secret", ``, ``, coverage.Covered},
		{"and no data events", "get_object", ``, ``, coverage.Blind},
		{"a correlation is as blind as what it counts", "bulk", ``, ``, coverage.Blind},
		{"a stopped trail records nothing", "stop_logging", ``, stopped, coverage.Blind},
		{"nor does one that cannot deliver", "stop_logging", ``, `{"GetTrailStatus":{"IsLogging":true,"LatestDeliveryError":"AccessDenied"}}`, coverage.Blind},
		{"a trail whose status is not there is unknown", "stop_logging", ``, `{"GetTrailStatus":{}}`, coverage.Unknown},
		{"a trail whose selectors are not there is unknown", "stop_logging", ``, `{"GetEventSelectors":null}`, coverage.Unknown},
		{"a trail of one region sees its region", "stop_logging", ``, single, coverage.Covered},
		{"but not global services, recorded in us-east-1", "create_user", ``, single, coverage.Blind},
		{"a trail of all regions sees them", "create_user", ``, ``, coverage.Covered},
		{"unless it leaves global events out", "create_user", ``, `{"IncludeGlobalServiceEvents":false}`, coverage.Blind},
		{"write-only: no reads", "get_secret", `"EventSelectors":[{"ReadWriteType":"WriteOnly","IncludeManagementEvents":true}]`, ``, coverage.Blind},
		{"write-only: writes", "stop_logging", `"EventSelectors":[{"ReadWriteType":"WriteOnly","IncludeManagementEvents":true}]`, ``, coverage.Covered},
		{"read-only: no writes", "stop_logging", `"EventSelectors":[{"ReadWriteType":"ReadOnly","IncludeManagementEvents":true}]`, ``, coverage.Blind},
		{"management events switched off", "stop_logging", `"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":false}]`, ``, coverage.Blind},
		{"KMS excluded", "decrypt", `"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true,"ExcludeManagementEventSources":["kms.amazonaws.com"]}]`, ``, coverage.Blind},
		{"KMS excluded, others stay", "stop_logging", `"EventSelectors":[{"ReadWriteType":"All","IncludeManagementEvents":true,"ExcludeManagementEventSources":["kms.amazonaws.com"]}]`, ``, coverage.Covered},
		{"data resources: all buckets", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]`, ``, coverage.Covered},
		{"data resources: all buckets, the longer form", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::"]}]}]`, ``, coverage.Covered},
		{"data resources: this bucket", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::data/"]}]}]`, ``, coverage.Covered},
		{"data resources: another bucket whose name begins alike", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::data-2/"]}]}]`, ``, coverage.Blind},
		{"data resources: a folder of the bucket", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3:::data/in/"]}]}]`, ``, coverage.Partly},
		{"data resources of another type", "get_object", `"EventSelectors":[{"ReadWriteType":"All","DataResources":[{"Type":"AWS::Lambda::Function","Values":["arn:aws:lambda"]}]}]`, ``, coverage.Blind},
		{"data writes only: no GetObject", "get_object", `"EventSelectors":[{"ReadWriteType":"WriteOnly","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]`, ``, coverage.Blind},
		{"data writes only: PutObject", "put_object", `"EventSelectors":[{"ReadWriteType":"WriteOnly","DataResources":[{"Type":"AWS::S3::Object","Values":["arn:aws:s3"]}]}]`, ``, coverage.Covered},
		{"advanced: management", "stop_logging", adv(mgmt), ``, coverage.Covered},
		{"advanced: data only, no management", "stop_logging", adv(data, object), ``, coverage.Blind},
		{"advanced: all objects", "get_object", adv(data, object), ``, coverage.Covered},
		{"advanced: readOnly false", "get_object", adv(data, object, `{"Field":"readOnly","Equals":["false"]}`), ``, coverage.Blind},
		{"advanced: eventName", "get_object", adv(data, object, `{"Field":"eventName","Equals":["PutObject","GetObject"]}`), ``, coverage.Covered},
		{"advanced: eventName not", "get_object", adv(data, object, `{"Field":"eventName","NotStartsWith":["Get"]}`), ``, coverage.Blind},
		{"advanced: ARN begins", "get_object", adv(data, object, `{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::data/"]}`), ``, coverage.Covered},
		{"advanced: ARN begins otherwise", "get_object", adv(data, object, `{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::logs/"]}`), ``, coverage.Blind},
		{"advanced: ARN begins with a folder", "get_object", adv(data, object, `{"Field":"resources.ARN","StartsWith":["arn:aws:s3:::data/in/"]}`), ``, coverage.Partly},
		{"advanced: all but this bucket", "get_object", adv(data, object, `{"Field":"resources.ARN","NotStartsWith":["arn:aws:s3:::data/"]}`), ``, coverage.Blind},
		{"advanced: all but a folder", "get_object", adv(data, object, `{"Field":"resources.ARN","NotStartsWith":["arn:aws:s3:::data/tmp/"]}`), ``, coverage.Partly},
		{"advanced: only some callers", "get_object", adv(data, object, `{"Field":"userIdentity.arn","NotStartsWith":["arn:aws:sts::111122223333:assumed-role/batch/"]}`), ``, coverage.Partly},
		{"advanced: KMS left out", "decrypt", adv(mgmt, `{"Field":"eventSource","NotEquals":["kms.amazonaws.com"]}`), ``, coverage.Blind},
		{"advanced: network activity", "endpoint_denied", adv(`{"Field":"eventCategory","Equals":["NetworkActivity"]}`, `{"Field":"eventSource","Equals":["kms.amazonaws.com"]}`), ``, coverage.Covered},
		{"advanced: network activity of another service", "endpoint_denied", adv(`{"Field":"eventCategory","Equals":["NetworkActivity"]}`, `{"Field":"eventSource","Equals":["ec2.amazonaws.com"]}`), ``, coverage.Blind},
		{"management events are no network activity", "endpoint_denied", ``, ``, coverage.Blind},
	} {
		t.Run(tt.about, func(t *testing.T) {
			var more []string
			if tt.more != "" {
				more = append(more, tt.more)
			}
			tr := trail(t, tt.selectors, more...)
			if strings.Contains(tt.more, `"GetEventSelectors":null`) {
				delete(tr.Document, "GetEventSelectors")
			}
			bucket := resource(t, "AWS::S3::Bucket", "data", `{"GetBucketLogging":{}}`)
			if got := stateOf(t, tt.rule, nil, tr, bucket); got != tt.want {
				t.Errorf("%s is %s, want %s", tt.rule, got, tt.want)
			}
		})
	}
}

func TestUnread(t *testing.T) {
	gap := func(typ string) []estate.Gap {
		return []estate.Gap{{Type: typ, Account: account, Operation: "x:List", Code: "AccessDenied", Reason: "no"}}
	}
	for _, tt := range []struct{ rule, typ string }{
		{"stop_logging", "AWS::CloudTrail::Trail"}, {"create_user", "AWS::CloudTrail::Trail"}, {"get_object", "AWS::S3::Bucket"},
		{"port_scan", "AWS::EC2::VPC"}, {"anonymous_reads", "AWS::S3::Bucket"}, {"web_attack", "AWS::ElasticLoadBalancingV2::LoadBalancer"},
		{"guardduty_finding", "AWS::GuardDuty::Detector"}, {"waf_rule", "AWS::WAFv2::WebACL"}, {"dns_tunnel", "AWS::EC2::VPC"},
	} {
		if got := stateOf(t, tt.rule, gap(tt.typ)); got != coverage.Unknown {
			t.Errorf("%s is %s although %s could not be read, want unknown", tt.rule, got, tt.typ)
		}
	}
	vpc, eni := resource(t, "AWS::EC2::VPC", "vpc-1", "{}"), resource(t, "AWS::EC2::NetworkInterface", "eni-1", `{"VpcId":"vpc-1"}`)
	if got := stateOf(t, "port_scan", gap("AWS::EC2::FlowLog"), vpc, eni); got != coverage.Unknown {
		t.Errorf("port_scan is %s although flow logs could not be read", got)
	}
	if got := stateOf(t, "stop_logging", nil); got != coverage.Blind {
		t.Errorf("stop_logging is %s without any trail, want blind", got)
	}
}

func TestLogs(t *testing.T) {
	type res = *estate.Resource
	vpc := func(t *testing.T) []res {
		return []res{resource(t, "AWS::EC2::VPC", "vpc-1", "{}"), resource(t, "AWS::EC2::NetworkInterface", "eni-1", `{"VpcId":"vpc-1"}`)}
	}
	balancer := func(typ, enabled string) func(t *testing.T) []res {
		return func(t *testing.T) []res {
			return []res{resource(t, "AWS::ElasticLoadBalancingV2::LoadBalancer", "b", `{"Type":"`+typ+`","DescribeLoadBalancerAttributes":{"Attributes":[`+enabled+`]}}`)}
		}
	}
	one := func(typ, document string) func(t *testing.T) []res {
		return func(t *testing.T) []res { return []res{resource(t, typ, "x", document)} }
	}
	with := func(f func(t *testing.T) []res, typ, document string) func(t *testing.T) []res {
		return func(t *testing.T) []res { return append(f(t), resource(t, typ, "more", document)) }
	}
	for _, tt := range []struct {
		about, rule string
		estate      func(t *testing.T) []res
		want        coverage.State
	}{
		{"a VPC without flow log", "port_scan", vpc, coverage.Blind},
		{"a VPC in which nothing is", "port_scan", one("AWS::EC2::VPC", "{}"), coverage.None},
		{"a flow log of all traffic", "port_scan", with(vpc, "AWS::EC2::FlowLog", `{"ResourceId":"vpc-1","TrafficType":"ALL","FlowLogStatus":"ACTIVE"}`), coverage.Covered},
		{"a flow log of rejected traffic", "port_scan", with(vpc, "AWS::EC2::FlowLog", `{"ResourceId":"vpc-1","TrafficType":"REJECT","FlowLogStatus":"ACTIVE"}`), coverage.Partly},
		{"a flow log that cannot deliver", "port_scan", with(vpc, "AWS::EC2::FlowLog", `{"ResourceId":"vpc-1","TrafficType":"ALL","FlowLogStatus":"ACTIVE","DeliverLogsStatus":"FAILED"}`), coverage.Blind},
		{"a flow log of one interface", "port_scan", with(vpc, "AWS::EC2::FlowLog", `{"ResourceId":"eni-1","TrafficType":"ALL","FlowLogStatus":"ACTIVE"}`), coverage.Partly},
		{"a flow log of another VPC", "port_scan", with(vpc, "AWS::EC2::FlowLog", `{"ResourceId":"vpc-2","TrafficType":"ALL","FlowLogStatus":"ACTIVE"}`), coverage.Blind},
		{"no load balancer", "web_attack", one("AWS::EC2::VPC", "{}"), coverage.None},
		{"a network load balancer is no ALB", "web_attack", balancer("network", ""), coverage.None},
		{"access logs on", "web_attack", balancer("application", `{"Key":"access_logs.s3.enabled","Value":"true"}`), coverage.Covered},
		{"access logs off", "web_attack", balancer("application", `{"Key":"access_logs.s3.enabled","Value":"false"}`), coverage.Blind},
		{"access logs not read", "web_attack", balancer("application", ``), coverage.Unknown},
		{"bucket without server access logs", "anonymous_reads", one("AWS::S3::Bucket", `{"GetBucketLogging":{}}`), coverage.Blind},
		{"bucket with them", "anonymous_reads", one("AWS::S3::Bucket", `{"GetBucketLogging":{"LoggingEnabled":{"TargetBucket":"l","TargetPrefix":""}}}`), coverage.Covered},
		{"bucket whose logging was not read", "anonymous_reads", one("AWS::S3::Bucket", `{}`), coverage.Unknown},
		{"resolver logs", "dns_tunnel", with(vpc, "AWS::Route53Resolver::ResolverQueryLoggingConfigAssociation", `{"ResourceId":"vpc-1","Status":"ACTIVE"}`), coverage.Covered},
		{"no resolver logs", "dns_tunnel", vpc, coverage.Blind},
		{"GuardDuty off", "guardduty_finding", vpc, coverage.Blind},
		{"GuardDuty on", "guardduty_finding", one("AWS::GuardDuty::Detector", `{"Status":"ENABLED"}`), coverage.Covered},
		{"GuardDuty suspended", "guardduty_finding", one("AWS::GuardDuty::Detector", `{"Status":"DISABLED"}`), coverage.Blind},
		{"web ACL that logs", "waf_rule", one("AWS::WAFv2::WebACL", `{"GetLoggingConfiguration":{"LoggingConfiguration":{"LogDestinationConfigs":["arn:aws:s3:::aws-waf-logs-x"]}}}`), coverage.Covered},
		{"web ACL that does not", "waf_rule", one("AWS::WAFv2::WebACL", `{"GetLoggingConfiguration":null}`), coverage.Blind},
		{"web ACL whose filter drops", "waf_rule", one("AWS::WAFv2::WebACL", `{"GetLoggingConfiguration":{"LoggingConfiguration":{"LogDestinationConfigs":["arn:aws:s3:::aws-waf-logs-x"],"LoggingFilter":{"DefaultBehavior":"DROP"}}}}`), coverage.Partly},
	} {
		if got := stateOf(t, tt.rule, nil, tt.estate(t)...); got != tt.want {
			t.Errorf("%s: %s is %s, want %s", tt.about, tt.rule, got, tt.want)
		}
	}
}

// TestOrganization: an organization's trail records the members' calls, and
// only theirs.
func TestOrganization(t *testing.T) {
	tr := trail(t, "", `{"IsOrganizationTrail":true}`)
	member, stranger := resource(t, "AWS::EC2::VPC", "a", "{}"), resource(t, "AWS::EC2::VPC", "b", "{}")
	member.Account, stranger.Account = "222233334444", "333344445555"
	listed := resource(t, "AWS::Organizations::Account", "222233334444", "{}")
	head := estate.Header{Scope: estate.Scope{Regions: []string{region}}}
	r := coverage.Assess(estate.New(head, []*estate.Resource{tr, member, stranger, listed}, nil), compiled(t))
	for _, eye := range r.Eyes {
		if eye.ID != "cloudtrail/management/write" {
			continue
		}
		if len(eye.Places) != 1 || eye.Places[0].Account != "333344445555" || eye.Seen != 2 || eye.State != coverage.Partly {
			t.Errorf("%+v: want two accounts seen and 333344445555 not", eye)
		}
		return
	}
	t.Fatal("no eye cloudtrail/management/write")
}

func TestGolden(t *testing.T) {
	resources := []*estate.Resource{
		trail(t, ""), resource(t, "AWS::S3::Bucket", "data", `{"GetBucketLogging":{}}`), resource(t, "AWS::S3::Bucket", "logs", `{"GetBucketLogging":{"LoggingEnabled":{"TargetBucket":"l"}}}`),
		resource(t, "AWS::EC2::VPC", "vpc-1", "{}"), resource(t, "AWS::EC2::NetworkInterface", "eni-1", `{"VpcId":"vpc-1"}`),
		resource(t, "AWS::GuardDuty::Detector", "d", `{"Status":"ENABLED"}`),
	}
	head := estate.Header{Scope: estate.Scope{Accounts: []string{account}, Regions: []string{region}}}
	e := estate.New(head, resources, []estate.Gap{{Type: "AWS::WAFv2::WebACL", Account: account, Region: region, Operation: "wafv2:ListWebACLs", Code: "AccessDenied", Reason: "not allowed"}})
	got, err := json.MarshalIndent(coverage.Assess(e, compiled(t)), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	const file = "testdata/small.json"
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the report differs from %s; look at it and run with -update\n%s", file, got)
	}
}

// TestDeterministic: the order of resources does not show.
func TestDeterministic(t *testing.T) {
	resources := []*estate.Resource{trail(t, ""), resource(t, "AWS::S3::Bucket", "b", `{}`), resource(t, "AWS::S3::Bucket", "a", `{}`)}
	head := estate.Header{Scope: estate.Scope{Regions: []string{region}}}
	first, _ := json.Marshal(coverage.Assess(estate.New(head, resources, nil), compiled(t)))
	slices.Reverse(resources)
	second, _ := json.Marshal(coverage.Assess(estate.New(head, resources, nil), compiled(t)))
	if string(first) != string(second) {
		t.Errorf("%s\n%s", first, second)
	}
}
