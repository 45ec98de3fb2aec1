package coverage

import (
	"fmt"
	"strings"
)

// nameOf names the eye that a need looks through.
func nameOf(n need) (id, title string) {
	if n.log != "cloudtrail" {
		return n.log, logs[n.log].title
	}
	c := n.call
	rw := map[bool]string{true: "read", false: "write"}[c.readOnly]
	switch c.category {
	case "Data":
		return "cloudtrail/data/" + c.typ, "CloudTrail data events: " + typeOf(c.typ).Words
	case "NetworkActivity":
		return "cloudtrail/network/" + c.source, strings.TrimSpace("CloudTrail network activity events " + c.source)
	case insightType:
		return "cloudtrail/insights", "CloudTrail Insights"
	}
	if c.source == "kms.amazonaws.com" || c.source == "rdsdata.amazonaws.com" {
		service := strings.TrimSuffix(c.source, ".amazonaws.com")
		return "cloudtrail/management/" + service, "CloudTrail management events of " + c.source
	}
	if n.global {
		return "cloudtrail/management/global-" + rw, "CloudTrail " + rw + " management events of global services"
	}
	return "cloudtrail/management/" + rw, "CloudTrail " + rw + " management events"
}

type logWords struct{ title, invisible, console, cli string }

// logs says of each log but CloudTrail what it is for and how it is switched on.
var logs = map[string]logWords{
	"vpcflow": {"VPC flow logs", "port scans, brute force and odd connections inside and out of the VPC",
		"VPC › Your VPCs › the VPC › Flow logs › Create flow log, filter All",
		"aws ec2 create-flow-logs --resource-type VPC --resource-ids VPC_ID --traffic-type ALL --log-destination-type s3 --log-destination arn:aws:s3:::LOG_BUCKET"},
	"tgwflow": {"transit gateway flow logs", "movement between VPCs and networks behind the gateway",
		"VPC › Transit gateways › the gateway › Flow logs › Create flow log",
		"aws ec2 create-flow-logs --resource-type TransitGateway --resource-ids TGW_ID --log-destination-type s3 --log-destination arn:aws:s3:::LOG_BUCKET"},
	"alb": {"ALB access logs", "web attacks and probing through the load balancer",
		"EC2 › Load Balancers › the balancer › Attributes › Monitoring: Access logs",
		"aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=access_logs.s3.enabled,Value=true Key=access_logs.s3.bucket,Value=LOG_BUCKET"},
	"nlb": {"NLB access logs", "TLS connections through the load balancer",
		"EC2 › Load Balancers › the balancer › Attributes › Monitoring: Access logs",
		"aws elbv2 modify-load-balancer-attributes --load-balancer-arn ARN --attributes Key=access_logs.s3.enabled,Value=true Key=access_logs.s3.bucket,Value=LOG_BUCKET"},
	"clb": {"Classic Load Balancer access logs", "web attacks and probing through the load balancer",
		"EC2 › Load Balancers › the balancer › Attributes › Access logs",
		`aws elb modify-load-balancer-attributes --load-balancer-name NAME --load-balancer-attributes '{"AccessLog":{"Enabled":true,"S3BucketName":"LOG_BUCKET","EmitInterval":5}}'`},
	"s3access": {"S3 server access logs", "anonymous reads and requests that fail before they reach CloudTrail",
		"S3 › the bucket › Properties › Server access logging › Edit › Enable",
		`aws s3api put-bucket-logging --bucket BUCKET --bucket-logging-status '{"LoggingEnabled":{"TargetBucket":"LOG_BUCKET","TargetPrefix":"BUCKET/"}}'`},
	"cloudfront": {"CloudFront standard logs", "web attacks and probing at the edge",
		"CloudFront › the distribution › Logging › Create log delivery",
		"aws logs put-delivery-source --name NAME --log-type ACCESS_LOGS --resource-arn DISTRIBUTION_ARN --region us-east-1, then put-delivery-destination and create-delivery"},
	"waf": {"AWS WAF logs", "what the web ACL blocked and let through",
		"WAF & Shield › Protection packs (web ACLs) › the ACL › Logging and metrics › Enable",
		"aws wafv2 put-logging-configuration --logging-configuration ResourceArn=WEB_ACL_ARN,LogDestinationConfigs=arn:aws:s3:::aws-waf-logs-NAME"},
	"route53resolver": {"Route 53 Resolver query logs", "tunnelling and command channels over DNS",
		"Route 53 › Resolver › Query logging › Configure query logging, and add the VPC",
		"aws route53resolver create-resolver-query-log-config --name NAME --destination-arn arn:aws:s3:::LOG_BUCKET --creator-request-id ID, then associate-resolver-query-log-config --resource-id VPC_ID"},
	"guardduty": {"GuardDuty findings", "what GuardDuty knows from threat intelligence and its agents",
		"GuardDuty › Get started › Enable GuardDuty, in every region",
		"aws guardduty create-detector --enable --region REGION"},
	"securityhub": {"Security Hub findings", "findings of the services that report to Security Hub",
		"Security Hub › Go to Security Hub › Enable",
		"aws securityhub enable-security-hub --region REGION"},
}

// opening says what a closed eye hides and how to open it.
func opening(n need) (invisible, console, cli string) {
	if n.log != "cloudtrail" {
		l := logs[n.log]
		return l.invisible, l.console, l.cli
	}
	const trails = "CloudTrail › Trails › the trail › "
	c := n.call
	switch c.category {
	case "Data":
		d := typeOf(c.typ)
		hides := d.Hides
		if hides == "" {
			hides = d.Words + ", " + d.Names[0] + " and the like"
		}
		if d.Names[0] == "*" {
			hides = "every call of " + d.Source
		}
		return hides,
			trails + "Data events › Edit › Add data event type: " + d.Type,
			fmt.Sprintf(`aws cloudtrail put-event-selectors --trail-name TRAIL --advanced-event-selectors '[{"Name":"management","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]},{"Name":"data","FieldSelectors":[{"Field":"eventCategory","Equals":["Data"]},{"Field":"resources.type","Equals":["%s"]}]}]' (it replaces the trail's selectors: keep those you have)`, c.typ)
	case "NetworkActivity":
		return "calls through VPC endpoints that the endpoint's policy denied",
			trails + "Network activity events › Edit",
			`aws cloudtrail put-event-selectors --trail-name TRAIL --advanced-event-selectors '[{"Name":"management","FieldSelectors":[{"Field":"eventCategory","Equals":["Management"]}]},{"Name":"network","FieldSelectors":[{"Field":"eventCategory","Equals":["NetworkActivity"]},{"Field":"eventSource","Equals":["SERVICE.amazonaws.com"]}]}]' (it replaces the trail's selectors: keep those you have)`
	case insightType:
		return "unusual rates of calls and errors", trails + "Insights events › Edit",
			`aws cloudtrail put-insight-selectors --trail-name TRAIL --insight-selectors '[{"InsightType":"ApiCallRateInsight"},{"InsightType":"ApiErrorRateInsight"}]'`
	}
	what := map[bool]string{true: "reading calls: discovery, secrets read, roles assumed", false: "changing calls: nearly every attack on the control plane"}[c.readOnly]
	id, _ := nameOf(n)
	switch {
	case strings.HasSuffix(id, "/kms"):
		what = "use and change of KMS keys"
	case strings.HasSuffix(id, "/rdsdata"):
		what = "queries through the RDS Data API"
	case n.global:
		what = map[bool]string{true: "reading calls of IAM, Organizations and other global services", false: "changes of users, roles, policies and the organization"}[c.readOnly]
	}
	return what, "CloudTrail › Trails › Create trail (multi-Region, all accounts of the organization), Management events: Read and Write, nothing excluded; where a trail is stopped: Start logging",
		"aws cloudtrail create-trail --name TRAIL --s3-bucket-name LOG_BUCKET --is-multi-region-trail --include-global-service-events && aws cloudtrail start-logging --name TRAIL"
}
