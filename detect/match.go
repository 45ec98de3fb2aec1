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
	Finding     *finding.Finding        // nil for a rule of Options.Bare
	Source      string                  // the address that the event came from, if the record says
	Kept        any                     // what Options.Keep kept of the event; nil for a correlation
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
	schema  *event.Schema
	rules   map[*sigma.Rule]*ruleParts
	targets []target
	arn     []target // resources.ARN and resources.type
	arena   event.Arena
	notes   map[string]string

	// What is allocated for several findings at once.
	findings []finding.Finding
	evidence []finding.Evidence

	// Of the event at hand.
	ref, actor, source, reason string
	refs                       []string // ref alone
	time                       time.Time
	resource, last             finding.Resource // last: for again
	context                    *sigma.Context   // nil where it has none
	common                     *common          // of the context
}

// common is what the findings of a context have in common.
type common struct {
	actor, source, reason string
	evidence              []evidenceOf
}

// evidenceOf is the evidence of a rule, where every event of the context has the same.
type evidenceOf struct {
	rule     *sigma.Rule
	evidence []finding.Evidence
}

// ruleParts is a finding of a rule as far as the rule decides, and the fields
// that are shown beside those that decided.
type ruleParts struct {
	finding finding.Finding
	more    []target

	asked, settled bool // whether contexts know all that the evidence shows
}

// target is a field that a finding may show, in the schema's terms.
type target struct {
	path string
	slot event.Slot // −1 where the schema lacks it
	typ  string     // of the resource that the field names
}

func (d *describer) field(path, typ string) target {
	t := target{path, -1, typ}
	if s, ok := d.schema.Slot(path); ok {
		t.slot = s
	}
	return t
}

// text returns the first value of a field.
func (t *target) text(e *event.Event) []byte {
	if t.slot >= 0 {
		return e.Text(t.slot)
	}
	return []byte(e.Get(t.path))
}

func newDescriber(schema *event.Schema) *describer {
	d := &describer{schema: schema, rules: map[*sigma.Rule]*ruleParts{}, notes: map[string]string{}}
	for _, t := range targets {
		d.targets = append(d.targets, d.field(t.path, t.typ))
	}
	d.arn = []target{d.field("resources.ARN", ""), d.field("resources.type", "")}
	return d
}

// begin prepares the findings of an event, whose context is nil where it has none.
func (d *describer) begin(e *event.Event, c *sigma.Context) {
	d.context, d.common, d.ref = c, nil, ""
	if e.Kind == event.CloudTrail {
		if id := e.Text(event.SlotID); len(id) <= maxText {
			d.ref = d.arena.Text(id)
		}
	}
	if d.ref == "" {
		d.ref = e.Ref()
	}
	d.refs = []string{d.ref}
	d.time = e.Time()
	d.resource = d.resourceOf(e)
	if c != nil {
		d.common, _ = c.Held(d).(*common)
	}
	if d.common != nil {
		d.actor, d.source, d.reason = d.common.actor, d.common.source, d.common.reason
		return
	}
	d.callOf(e)
	if c != nil && !e.Cut() {
		d.common = &common{actor: strings.Clone(d.actor), source: strings.Clone(d.source), reason: strings.Clone(d.reason)}
		c.Hold(d, d.common)
	}
}

// callOf says who made the call, from where, and that in a sentence: of what a
// context knows.
func (d *describer) callOf(e *event.Event) {
	if e.Kind != event.CloudTrail {
		d.actor, d.source = clip(e.Actor()), clip(e.SourceIP())
	} else {
		d.source = d.arena.Clip(e.Text(event.SlotIP), maxText)
		if arn := e.Text(event.SlotIdentityARN); len(arn) > 0 {
			d.actor = d.arena.Clip(arn, maxText)
		} else {
			d.actor = clip(e.Actor())
		}
	}
	d.reason = d.reasonOf(e)
}

// describe makes the finding of a rule that matches the event that was begun.
func (d *describer) describe(m *sigma.Matcher, r *sigma.Rule, e *event.Event) *finding.Finding {
	parts := d.rules[r]
	if parts == nil {
		parts = d.partsOf(r, e.Kind)
		d.rules[r] = parts
	}
	if len(d.findings) == 0 {
		d.findings = make([]finding.Finding, 8)
	}
	f := &d.findings[0]
	d.findings = d.findings[1:]
	*f = parts.finding
	f.Fingerprint = finding.Fingerprint(f.RuleID, d.ref)
	f.EventIDs = d.refs
	f.Actor, f.Time, f.Resource, f.Reason = d.actor, d.time, d.resource, d.reason
	f.Evidence = d.evidenceOf(m, r, e, parts)
	return f
}

// evidenceOf returns the fields that made a rule match, and those that are shown
// beside them.
func (d *describer) evidenceOf(m *sigma.Matcher, r *sigma.Rule, e *event.Event, parts *ruleParts) []finding.Evidence {
	if d.common != nil {
		for i := range d.common.evidence {
			if d.common.evidence[i].rule == r {
				return d.common.evidence[i].evidence
			}
		}
	}
	decided := m.Deciding(r, e)
	if n := len(decided) + len(parts.more); cap(d.evidence)-len(d.evidence) < n {
		d.evidence = make([]finding.Evidence, 0, max(64, n))
	}
	from := len(d.evidence)
	for _, x := range decided {
		d.evidence = append(d.evidence, finding.Evidence{Path: x.Field, Value: d.arena.Clip(x.Value, maxText), Note: d.note(x)})
	}
	for i := range parts.more {
		t := &parts.more[i]
		if slices.ContainsFunc(decided, func(x sigma.Deciding) bool { return x.Field == t.path }) {
			continue
		}
		if v := t.text(e); len(v) > 0 {
			d.evidence = append(d.evidence, finding.Evidence{Path: t.path, Value: d.arena.Clip(v, maxText)})
		}
	}
	evidence := d.evidence[from:len(d.evidence):len(d.evidence)]
	if d.common != nil && d.settled(r, parts) && !e.Cut() {
		own := slices.Clip(slices.Clone(evidence))
		for i := range own {
			own[i].Value = strings.Clone(own[i].Value.(string))
		}
		d.common.evidence = append(d.common.evidence, evidenceOf{r, own})
	}
	return evidence
}

// settled reports whether the context at hand knows all that a rule's evidence shows.
func (d *describer) settled(r *sigma.Rule, parts *ruleParts) bool {
	if !parts.asked {
		parts.asked = true
		parts.settled = d.context.Settles(r) && !slices.ContainsFunc(parts.more, func(t target) bool { return !d.context.Knows(t.slot) })
	}
	return parts.settled
}

func (d *describer) partsOf(r *sigma.Rule, kind event.Kind) *ruleParts {
	parts := &ruleParts{finding: *ofRule(r)}
	parts.finding.Techniques = slices.Clip(parts.finding.Techniques)
	paths := r.Fields
	if kind == event.CloudTrail {
		paths = append([]string{"userIdentity.sessionContext.sessionIssuer.arn", "sourceIPAddress", "errorCode"}, r.Fields...)
	}
	for i, path := range paths {
		if !slices.Contains(paths[:i], path) {
			parts.more = append(parts.more, d.field(path, ""))
		}
	}
	return parts
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

func (d *describer) reasonOf(e *event.Event) string {
	a := &d.arena
	if e.Kind == event.CloudTrail {
		parts := [8]string{cmp.Or(d.actor, "somebody"), " called ", a.Clip(e.Text(event.SlotName), maxText), " of ", a.Clip(e.Text(event.SlotSource), maxText)}
		n := 5
		if d.source != "" {
			n += copy(parts[n:], []string{" from ", d.source})
		}
		out := a.Join(parts[:n]...)
		if code := e.Text(event.SlotError); len(code) > 0 {
			out = a.Join(out, ", answered ", a.Clip(code, maxText))
		}
		return out
	}
	s := string(e.Kind) + " record"
	if name := clip(e.Name()); name != "" {
		s += " " + name
	}
	if d.actor != "" {
		s += " of " + d.actor
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
	a := &d.arena
	var res finding.Resource
	if e.Kind == event.CloudTrail {
		account := e.Text(event.SlotAccount)
		if len(account) == 0 {
			account = e.Text(event.SlotIdentityAccount)
		}
		res.Account = d.again(&d.last.Account, account)
		res.Region = d.again(&d.last.Region, e.Text(event.SlotRegion))
		if v := d.arn[0].text(e); len(v) > 0 {
			res.ARN = a.Clip(v, maxText)
			res.ID = res.ARN
			res.Type = cmp.Or(d.again(&d.last.Type, d.arn[1].text(e)), "AWS::Resource")
			if parsed, err := arn.Parse(res.ARN); err == nil {
				res.ID = parsed.ResourceID()
			}
			return res
		}
		for i := range d.targets {
			t := &d.targets[i]
			if v := t.text(e); len(v) > 0 {
				res.Type, res.ID = t.typ, a.Clip(v, maxText)
				if strings.HasPrefix(res.ID, "arn:") {
					if parsed, err := arn.Parse(res.ID); err == nil {
						res.ARN, res.ID = res.ID, parsed.ResourceID()
					}
				}
				return res
			}
		}
	} else {
		res.Account, res.Region = clip(e.Account()), clip(e.Region())
		if typ, id := otherResource(e); id != "" {
			res.Type, res.ID = typ, clip(id)
			if a, err := arn.Parse(id); err == nil {
				res.ARN, res.ID = clip(id), clip(a.ResourceID())
			}
			return res
		}
	}
	res.Type, res.ID = "AWS::Account", cmp.Or(res.Account, "-")
	return res
}

// again returns a copy of text, which is mostly what it was for the event before.
func (d *describer) again(last *string, text []byte) string {
	if string(text) != *last {
		*last = d.arena.Clip(text, maxText)
	}
	return *last
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
