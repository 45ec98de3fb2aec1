package detect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

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

// describer makes findings. What only depends on the rule is made once, and what
// only depends on the event once for all rules that match it.
type describer struct {
	rules   map[*sigma.Rule]*ruleParts
	targets []target
	arn     []event.Slot // resources.ARN and resources.type, where they are in the schema
	notes   map[string]string

	// Of the event at hand.
	ref, actor, reason string
	time               time.Time
	resource           finding.Resource
}

// ruleParts is a finding of a rule as far as the rule decides, and the fields
// that are shown beside those that decided.
type ruleParts struct {
	finding finding.Finding
	more    []string
}

// target is a field that names what a call is about, in the schema's terms.
type target struct {
	slot event.Slot
	typ  string
}

func newDescriber(schema *event.Schema) *describer {
	d := &describer{rules: map[*sigma.Rule]*ruleParts{}, notes: map[string]string{}}
	for _, t := range targets {
		if s, ok := schema.Slot(t.path); ok {
			d.targets = append(d.targets, target{s, t.typ})
		}
	}
	for _, path := range []string{"resources.ARN", "resources.type"} {
		if s, ok := schema.Slot(path); ok {
			d.arn = append(d.arn, s)
		}
	}
	if len(d.targets) < len(targets) || len(d.arn) < 2 {
		d.targets, d.arn = nil, nil // an engine that was compiled without Fields
	}
	return d
}

// begin prepares the findings of an event.
func (d *describer) begin(e *event.Event) {
	d.ref, d.actor, d.time = e.Ref(), clip(e.Actor()), e.Time()
	d.resource = d.resourceOf(e)
	d.reason = reason(e, d.actor)
}

// describe makes the finding of a rule that matches the event that was begun.
func (d *describer) describe(m *sigma.Matcher, r *sigma.Rule, e *event.Event) *finding.Finding {
	parts := d.rules[r]
	if parts == nil {
		parts = &ruleParts{finding: *ofRule(r), more: r.Fields}
		parts.finding.Techniques = slices.Clip(parts.finding.Techniques)
		if e.Kind == event.CloudTrail {
			parts.more = append([]string{"userIdentity.sessionContext.sessionIssuer.arn", "sourceIPAddress", "errorCode"}, r.Fields...)
		}
		d.rules[r] = parts
	}
	f := new(finding.Finding)
	*f = parts.finding
	f.Fingerprint = finding.Fingerprint(f.RuleID, d.ref)
	f.EventIDs = []string{d.ref}
	f.Actor, f.Time, f.Resource, f.Reason = d.actor, d.time, d.resource, d.reason
	decided := m.Deciding(r, e)
	f.Evidence = make([]finding.Evidence, 0, len(decided)+len(parts.more))
	for _, x := range decided {
		f.Evidence = append(f.Evidence, finding.Evidence{Path: x.Field, Value: clip(x.Value), Note: d.note(x)})
	}
	for i, path := range parts.more {
		if slices.ContainsFunc(decided, func(x sigma.Deciding) bool { return x.Field == path }) || slices.Contains(parts.more[:i], path) {
			continue
		}
		if v := e.Get(path); v != "" {
			f.Evidence = append(f.Evidence, finding.Evidence{Path: path, Value: clip(v)})
		}
	}
	return f
}

func (d *describer) note(x sigma.Deciding) string {
	if x.Why == x.Field {
		return ""
	}
	n, ok := d.notes[x.Why]
	if !ok {
		n = "met " + x.Why
		d.notes[x.Why] = n
	}
	return n
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
		s := cmp.Or(actor, "somebody") + " called " + name + " of " + clip(e.Source())
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
func (d *describer) resourceOf(e *event.Event) finding.Resource {
	res := finding.Resource{Account: clip(e.Account()), Region: clip(e.Region())}
	if e.Kind == event.CloudTrail {
		if v := d.get(e, 0, "resources.ARN"); v != "" {
			res.ARN = clip(v)
			res.ID = res.ARN
			res.Type = cmp.Or(clip(d.get(e, 1, "resources.type")), "AWS::Resource")
			if a, err := arn.Parse(v); err == nil {
				res.ID = clip(a.ResourceID())
			}
			return res
		}
		for i, t := range targets {
			v := ""
			if d.targets != nil {
				v = event.First(e.Values(d.targets[i].slot))
			} else {
				v = e.Get(t.path)
			}
			if v != "" {
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

func (d *describer) get(e *event.Event, i int, path string) string {
	if d.arn != nil {
		return event.First(e.Values(d.arn[i]))
	}
	return e.Get(path)
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
