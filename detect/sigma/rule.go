package sigma

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// LogSource says which logs a rule is for.
type LogSource struct {
	Category, Product, Service, Definition string
}

// Rule is one document of a rule file: a detection, a correlation or a filter.
type Rule struct {
	ID, Name, Title, Status, Description, Author, License, Date, Modified string
	Level                                                                 string // informational, low, medium, high, critical
	Tags, References, FalsePositives, Fields                              []string
	Response                                                              string // what to do about a match: our own field
	LogSource                                                             LogSource
	File                                                                  string
	Line                                                                  int

	// Placeholders are values of %name% that come with the rule; those of Options
	// join them.
	Placeholders map[string][]string

	Correlation *Correlation // of a correlation
	Filter      *Filter      // of a filter

	detection  *yamldoc.Node
	conditions []*expr
	base       *yamldoc.Node // of the whole document
	silent     bool          // only correlations use it
	number     int           // within the engine
	counted    []counted
	key        string
	techniques []string
}

// Key returns what findings call the rule: its name, else its id, else its
// title in lower case with dashes.
func (r *Rule) Key() string {
	if r.key != "" {
		return r.key
	}
	return cmp.Or(r.Name, r.ID, strings.Trim(notWord.ReplaceAllString(strings.ToLower(r.Title), "-"), "-"))
}

var notWord = regexp.MustCompile(`[^a-z0-9]+`)

// Is reports whether the rule goes by this name, id or key.
func (r *Rule) Is(name string) bool {
	return name != "" && (name == r.Name || strings.EqualFold(name, r.ID) || name == r.Key())
}

// Techniques returns the ATT&CK techniques that the tags name, as T1078.004.
func (r *Rule) Techniques() []string {
	if r.techniques != nil {
		return slices.Clone(r.techniques)
	}
	out := []string{}
	for _, t := range r.Tags {
		if m := techniqueTag.FindStringSubmatch(strings.ToLower(t)); m != nil {
			out = append(out, strings.ToUpper(m[1]))
		}
	}
	return out
}

var techniqueTag = regexp.MustCompile(`^attack\.(t\d{4}(?:\.\d{3})?)$`)

// Tactics returns the ATT&CK tactics that the tags name, as initial-access.
func (r *Rule) Tactics() []string {
	var out []string
	for _, t := range r.Tags {
		if v, ok := strings.CutPrefix(strings.ToLower(t), "attack."); ok {
			v = strings.ReplaceAll(v, "_", "-")
			if slices.Contains(tactics, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// The tactics of ATT&CK for enterprise; version 18 split defense-evasion into
// stealth and defense-impairment.
var tactics = strings.Fields(`reconnaissance resource-development initial-access execution persistence
	privilege-escalation defense-evasion stealth defense-impairment credential-access discovery lateral-movement
	collection command-and-control exfiltration impact`)

// IsDetection reports whether the rule matches single events.
func (r *Rule) IsDetection() bool { return r.Correlation == nil && r.Filter == nil }

// Silent reports whether the rule yields no matches of its own because only
// correlations refer to it.
func (r *Rule) Silent() bool { return r.silent }

// services maps the service of a log source, and our aliases, to kinds of log.
var services = map[string][]event.Kind{
	"cloudtrail": {event.CloudTrail},
	"vpcflow":    {event.VPCFlow}, "vpc_flow": {event.VPCFlow}, "vpc-flow": {event.VPCFlow}, "flow_logs": {event.VPCFlow}, "flowlogs": {event.VPCFlow}, "vpcflowlogs": {event.VPCFlow}, "vpc_flow_logs": {event.VPCFlow},
	"tgwflow": {event.TransitFlow}, "transit_gateway_flow": {event.TransitFlow},
	"alb": {event.ALB}, "nlb": {event.NLB}, "clb": {event.CLB}, "elb": {event.ALB, event.NLB, event.CLB}, "elbaccesslogs": {event.ALB, event.CLB},
	"s3access": {event.S3Access}, "s3_access": {event.S3Access}, "s3accesslogs": {event.S3Access}, "s3_server_access": {event.S3Access},
	"cloudfront": {event.CloudFront}, "waf": {event.WAF}, "wafv2": {event.WAF},
	"route53resolver": {event.DNS}, "route53": {event.DNS}, "route53_resolver": {event.DNS}, "dns": {event.DNS}, "resolver": {event.DNS},
	"guardduty": {event.GuardDuty}, "securityhub": {event.SecurityHub}, "security_hub": {event.SecurityHub},
}

// Kinds returns the kinds of log that the source means; none where it is no log
// of AWS. See docs/sigma.md for the table.
func (l LogSource) Kinds() []event.Kind {
	if l.Product != "" && l.Product != "aws" && l.Product != "amazon" {
		return nil
	}
	if l.Service != "" {
		return services[strings.ToLower(l.Service)]
	}
	switch l.Category {
	case "":
		if l.Product != "" {
			return event.Kinds()
		}
	case "network_connection", "firewall", "netflow":
		if l.Product != "" {
			return []event.Kind{event.VPCFlow, event.TransitFlow}
		}
	case "dns", "dns_query":
		return []event.Kind{event.DNS}
	case "webserver", "proxy", "web":
		return []event.Kind{event.ALB, event.CLB, event.CloudFront}
	}
	return nil
}

// Kinds returns the kinds of log that a detection reads.
func (r *Rule) Kinds() []event.Kind { return r.LogSource.Kinds() }

func (l LogSource) String() string {
	var parts []string
	for _, p := range []string{l.Product, l.Category, l.Service} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "/")
}

var levels = []string{"informational", "low", "medium", "high", "critical"}

// maxRuleFile bounds one file of rules, in bytes.
const maxRuleFile = 4 << 20

// Parse reads every document of a rule file. The error lists every fault, each
// an *Error; the rules without fault are returned with it.
func Parse(file string, src []byte) ([]*Rule, error) {
	docs, err := yamldoc.Parse(file, src, maxRuleFile)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, yamldoc.Errorf(file, 1, 1, "no rule in this file")
	}
	var rules []*Rule
	var faults errorList
	var global, last *yamldoc.Node
	for _, d := range docs {
		if d.Kind != yamldoc.Map {
			faults = append(faults, d.Errorf(file, "a rule is a map, this is %v", d.Kind))
			continue
		}
		// The multi-document actions of Sigma 1, which rule files still use.
		switch d.Str("action") {
		case "global":
			global = merged(global, d)
			continue
		case "reset":
			global = nil
			continue
		case "repeat":
			d = merged(last, d)
		}
		d = merged(global, d)
		last = d
		r, err := parseRule(file, d)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		rules = append(rules, r)
	}
	if len(faults) > 0 {
		return rules, faults
	}
	return rules, nil
}

// errorList is several faults.
type errorList []error

func (l errorList) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap lets errors.As find each.
func (l errorList) Unwrap() []error { return l }

// merged lays the map over onto under; maps in both are merged in turn.
func merged(under, over *yamldoc.Node) *yamldoc.Node {
	if under == nil || under.Kind != yamldoc.Map || over.Kind != yamldoc.Map {
		return over
	}
	n := &yamldoc.Node{Kind: yamldoc.Map, Line: over.Line, Col: over.Col, Keys: slices.Clone(over.Keys), Vals: slices.Clone(over.Vals)}
	for i, k := range under.Keys {
		if k.Text == "action" {
			continue
		}
		if j := slices.IndexFunc(n.Keys, func(o *yamldoc.Node) bool { return o.Text == k.Text }); j >= 0 {
			n.Vals[j] = merged(under.Vals[i], n.Vals[j])
		} else {
			n.Keys, n.Vals = append(n.Keys, k), append(n.Vals, under.Vals[i])
		}
	}
	return n
}

func parseRule(file string, d *yamldoc.Node) (*Rule, error) {
	at := func(n *yamldoc.Node, format string, args ...any) error {
		return n.Errorf(file, format, args...)
	}
	r := &Rule{
		ID: d.Str("id"), Name: d.Str("name"), Title: d.Str("title"), Status: d.Str("status"),
		Description: d.Str("description"), Author: d.Str("author"), License: d.Str("license"),
		Date: d.Str("date"), Modified: d.Str("modified"), Level: strings.ToLower(d.Str("level")),
		Tags: d.Strs("tags"), References: d.Strs("references"), FalsePositives: d.Strs("falsepositives"),
		Fields: d.Strs("fields"), Response: d.Str("response"), File: file, Line: d.Line, base: d,
	}
	if r.Title == "" {
		return nil, at(d, "a rule needs a title")
	}
	if r.Level == "" {
		r.Level = "medium"
	}
	if !slices.Contains(levels, r.Level) {
		return nil, at(d.Get("level"), "level %q: want one of %s", r.Level, strings.Join(levels, ", "))
	}
	if l := d.Get("logsource"); l != nil {
		r.LogSource = LogSource{
			Category: strings.ToLower(l.Str("category")), Product: strings.ToLower(l.Str("product")),
			Service: strings.ToLower(l.Str("service")), Definition: l.Str("definition"),
		}
	}
	r.key, r.techniques = r.Key(), r.Techniques()
	switch c, f, det := d.Get("correlation"), d.Get("filter"), d.Get("detection"); {
	case c != nil:
		corr, err := parseCorrelation(file, c)
		if err != nil {
			return nil, err
		}
		r.Correlation = corr
	case f != nil:
		filter, err := parseFilter(file, f)
		if err != nil {
			return nil, err
		}
		r.Filter = filter
	case det != nil:
		if r.LogSource == (LogSource{}) {
			return nil, at(d, "rule %q needs a logsource", r.Title)
		}
		if det.Kind != yamldoc.Map {
			return nil, at(det, "detection is %s, want a map", det.Kind)
		}
		r.detection = det
	default:
		return nil, at(d, "rule %q has no detection, correlation or filter", r.Title)
	}
	return r, nil
}

// parseTimespan reads 30s, 15m, 1h, 1d; also w, M and y, as older rules have.
func parseTimespan(s string) (time.Duration, bool) {
	if len(s) < 2 || len(s) > 10 {
		return 0, false
	}
	unit := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'M': 30 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}[s[len(s)-1]]
	n := 0
	for _, c := range s[:len(s)-1] {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int(c-'0'); n > 1e6 {
			return 0, false
		}
	}
	d := time.Duration(n) * unit
	return d, unit > 0 && n > 0 && d > 0 && d <= 3650*24*time.Hour
}
