package detect

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/finding"
)

// Match is one match of a rule.
type Match struct {
	Rule        *sigma.Rule
	Finding     *finding.Finding
	Event       *event.Event            // a copy, if Options.KeepEvents; nil for a correlation
	Correlation *sigma.CorrelationMatch // of a correlation
}

// maxText bounds a value in a finding: logs hold what attackers like to put there.
const maxText = 500

// Severity is the severity of a rule's level.
func Severity(level string) finding.Severity {
	s, err := finding.ParseSeverity(level)
	if err != nil {
		return finding.SeverityMedium
	}
	return s
}

// describe makes the finding of a match of one event.
func describe(m *sigma.Matcher, r *sigma.Rule, e *event.Event) *finding.Finding {
	f := ofRule(r)
	ref := e.Ref()
	f.Fingerprint = finding.Fingerprint(f.RuleID, ref)
	f.EventIDs = []string{ref}
	f.Actor = clip(e.Actor())
	f.Time = e.Time()
	f.Resource = resourceOf(e)
	f.Reason = reason(e, f.Actor)
	seen := map[string]bool{}
	for _, d := range m.Deciding(r, e) {
		seen[d.Field] = true
		f.Evidence = append(f.Evidence, finding.Evidence{Path: d.Field, Value: clip(d.Value), Note: note(d)})
	}
	more := append([]string{"userIdentity.sessionContext.sessionIssuer.arn", "sourceIPAddress", "errorCode"}, r.Fields...)
	if e.Kind != event.CloudTrail {
		more = r.Fields
	}
	for _, path := range more {
		if v := e.Get(path); v != "" && !seen[path] {
			seen[path] = true
			f.Evidence = append(f.Evidence, finding.Evidence{Path: path, Value: clip(v)})
		}
	}
	return f
}

func note(d sigma.Deciding) string {
	if d.Why == d.Field {
		return ""
	}
	return "met " + d.Why
}

func ofRule(r *sigma.Rule) *finding.Finding {
	f := &finding.Finding{
		RuleID: r.Key(), Title: r.Title, Pillar: finding.PillarDetection, Severity: Severity(r.Level),
		Status: finding.StatusFail, Techniques: r.Techniques(), Why: strings.TrimSpace(r.Description),
	}
	if r.Response != "" {
		f.Fix = &finding.Fix{Text: strings.TrimSpace(r.Response)}
	}
	return f
}

func reason(e *event.Event, actor string) string {
	name := clip(e.Name())
	if e.Kind == event.CloudTrail {
		s := fmt.Sprintf("%s called %s of %s", cmp.Or(actor, "somebody"), name, clip(e.Source()))
		if ip := e.SourceIP(); ip != "" {
			s += " from " + clip(ip)
		}
		if code := e.ErrorCode(); code != "" {
			s += ", answered " + clip(code)
		}
		return s
	}
	s := string(e.Kind) + " record"
	if name != "" {
		s += " " + name
	}
	if actor != "" {
		s += " of " + actor
	}
	return s
}

// correlated makes the finding of a correlation.
func correlated(c *sigma.CorrelationMatch) *finding.Finding {
	f := ofRule(c.Rule)
	f.Fingerprint = finding.Fingerprint(f.RuleID, c.Refs...)
	f.EventIDs = c.Refs
	f.Actor = clip(c.Actor)
	f.Time = c.End
	f.Resource = finding.Resource{Type: "AWS::Account", ID: "-"}
	if a, err := arn.Parse(c.Actor); err == nil && a.AccountID != "" {
		f.Resource.ID, f.Resource.Account = a.AccountID, a.AccountID
	}
	corr := c.Rule.Correlation
	f.Reason = fmt.Sprintf("%d events between %s and %s", c.Count, c.Start.Format("2006-01-02T15:04:05Z"), c.End.Format("2006-01-02T15:04:05Z"))
	for i, name := range corr.GroupBy {
		if i < len(c.Group) {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: name, Value: clip(c.Group[i]), Note: "the events have this in common"})
		}
	}
	f.Evidence = append(f.Evidence, finding.Evidence{Path: string(corr.Type), Value: c.Value, Note: "within " + corr.Timespan.String()})
	return f
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}

// Fields returns the fields that findings are made of, beside the rules' own:
// give them to sigma.Compile as Options.Fields, and they are read quickly.
func Fields() []string {
	out := []string{"resources.ARN", "resources.type"}
	for _, t := range targets {
		out = append(out, t.path)
	}
	return out
}

// targets are the request parameters that name what a call is about, with the
// type of the resource, the most telling first.
var targets = []struct{ path, typ string }{
	{"requestParameters.bucketName", "AWS::S3::Bucket"},
	{"requestParameters.roleName", "AWS::IAM::Role"},
	{"requestParameters.userName", "AWS::IAM::User"},
	{"requestParameters.groupName", "AWS::IAM::Group"},
	{"requestParameters.groupId", "AWS::EC2::SecurityGroup"},
	{"requestParameters.instanceId", "AWS::EC2::Instance"},
	{"requestParameters.instancesSet.items.instanceId", "AWS::EC2::Instance"},
	{"requestParameters.snapshotId", "AWS::EC2::Snapshot"},
	{"requestParameters.imageId", "AWS::EC2::Image"},
	{"requestParameters.functionName", "AWS::Lambda::Function"},
	{"requestParameters.secretId", "AWS::SecretsManager::Secret"},
	{"requestParameters.keyId", "AWS::KMS::Key"},
	{"requestParameters.dBInstanceIdentifier", "AWS::RDS::DBInstance"},
	{"requestParameters.dBSnapshotIdentifier", "AWS::RDS::DBSnapshot"},
	{"requestParameters.detectorId", "AWS::GuardDuty::Detector"},
	{"requestParameters.vpcId", "AWS::EC2::VPC"},
	{"requestParameters.trailName", "AWS::CloudTrail::Trail"},
	{"requestParameters.policyArn", "AWS::IAM::ManagedPolicy"},
	{"requestParameters.roleArn", "AWS::IAM::Role"},
}

// resourceOf names what the event is about, as far as the record says; else the
// account.
func resourceOf(e *event.Event) finding.Resource {
	res := finding.Resource{Account: clip(e.Account()), Region: clip(e.Region())}
	if e.Kind == event.CloudTrail {
		if v := e.Get("resources.ARN"); v != "" {
			res.ARN, res.ID = clip(v), clip(v)
			res.Type = cmp.Or(clip(e.Get("resources.type")), "AWS::Resource")
			if a, err := arn.Parse(v); err == nil {
				res.ID = clip(a.ResourceID())
			}
			return res
		}
		for _, t := range targets {
			if v := e.Get(t.path); v != "" {
				res.Type, res.ID = t.typ, clip(v)
				if a, err := arn.Parse(v); err == nil {
					res.ARN, res.ID = clip(v), clip(a.ResourceID())
				}
				return res
			}
		}
	} else if typ, id := otherResource(e); id != "" {
		res.Type, res.ID = typ, clip(id)
		if a, err := arn.Parse(id); err == nil {
			res.ARN, res.ID = clip(id), clip(a.ResourceID())
		}
		return res
	}
	res.Type, res.ID = "AWS::Account", cmp.Or(res.Account, "-")
	return res
}

func otherResource(e *event.Event) (typ, id string) {
	switch e.Kind {
	case event.VPCFlow:
		return "AWS::EC2::NetworkInterface", e.Get("interface-id")
	case event.TransitFlow:
		return "AWS::EC2::TransitGateway", e.Get("tgw-id")
	case event.ALB, event.NLB:
		return "AWS::ElasticLoadBalancingV2::LoadBalancer", e.Get("elb")
	case event.CLB:
		return "AWS::ElasticLoadBalancing::LoadBalancer", e.Get("elb")
	case event.S3Access:
		return "AWS::S3::Bucket", e.Get("bucket")
	case event.CloudFront:
		return "AWS::CloudFront::Distribution", e.Get("cs(Host)")
	case event.WAF:
		return "AWS::WAFv2::WebACL", e.Get("webaclId")
	case event.DNS:
		return "AWS::EC2::VPC", e.Get("vpc_id")
	case event.GuardDuty:
		if v := e.Get("resource.instanceDetails.instanceId"); v != "" {
			return "AWS::EC2::Instance", v
		}
		if v := e.Get("resource.s3BucketDetails.name"); v != "" {
			return "AWS::S3::Bucket", v
		}
		return "AWS::IAM::User", e.Get("resource.accessKeyDetails.userName")
	case event.SecurityHub:
		return cmp.Or(e.Get("Resources.Type"), "AWS::Resource"), e.Get("Resources.Id")
	}
	return "", ""
}
