package coverage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
)

// Place is where something is, or is not, seen.
type Place struct {
	Account  string `json:"account"`
	Region   string `json:"region,omitempty"`
	Resource string `json:"resource,omitempty"` // a bucket, a VPC, a load balancer
	State    State  `json:"state"`
	Why      string `json:"why,omitempty"` // what hides it, in words
}

func (p Place) String() string {
	s := p.Account
	if p.Region != "" {
		s += "/" + p.Region
	}
	if p.Resource != "" {
		s += " " + p.Resource
	}
	return s
}

// sight knows what an estate records.
type sight struct {
	estate    *estate.Estate
	types     map[string]map[string][]*estate.Resource // by type, by account
	recorders []*recorder
	members   map[string]bool // accounts of the organization
	accounts  []string
	regions   map[string][]string // by account: those in use
	unread    map[string][]string // by account: enabled regions that were not read
}

func newSight(e *estate.Estate) *sight {
	s := &sight{estate: e, types: map[string]map[string][]*estate.Resource{}, members: map[string]bool{}, regions: map[string][]string{}, unread: map[string][]string{}}
	for _, a := range e.List {
		s.accounts = append(s.accounts, a.ID)
		seen := map[string]bool{}
		for _, r := range a.Resources {
			if s.types[r.Type] == nil {
				s.types[r.Type] = map[string][]*estate.Resource{}
			}
			s.types[r.Type][a.ID] = append(s.types[r.Type][a.ID], r)
			if r.Type == "AWS::Organizations::Account" {
				s.members[r.ID] = true
			}
			if r.Region != "" {
				seen[r.Region] = true
			}
		}
		s.regions[a.ID] = e.Head.Scope.Regions
		if len(s.regions[a.ID]) == 0 {
			for r := range seen {
				s.regions[a.ID] = append(s.regions[a.ID], r)
			}
			slices.Sort(s.regions[a.ID])
		}
		for _, r := range s.types["AWS::Account::Account"][a.ID] {
			for _, v := range doc(r.Document).sub("DescribeRegions").list("Regions") {
				name := mapOf(v).str("RegionName")
				if name != "" && mapOf(v).str("OptInStatus") != "not-opted-in" && !slices.Contains(s.regions[a.ID], name) {
					s.unread[a.ID] = append(s.unread[a.ID], name)
				}
			}
		}
	}
	s.recorders = recorders(e)
	return s
}

// read reports whether resources of a type were read in an account's region; if
// not, why. "" as region is any.
func (s *sight) read(typ, account, region string) (bool, string) {
	types := s.estate.Head.Scope.Types
	if len(types) > 0 && !slices.Contains(types, typ) {
		return false, typ + " was not collected"
	}
	for _, a := range s.estate.List {
		if a.ID != account {
			continue
		}
		for _, g := range a.Gaps {
			if (g.Type == typ || g.Type == "") && g.Part == "" && (region == "" || g.Region == "" || g.Region == region) {
				return false, fmt.Sprintf("%s answered %s: %s", g.Operation, g.Code, g.Reason)
			}
		}
	}
	return true, ""
}

// places judges a need everywhere that the estate has.
func (s *sight) places(n need) []Place {
	if n.log != "cloudtrail" {
		return s.logPlaces(n.log)
	}
	var out []Place
	for _, account := range s.accounts {
		switch {
		case n.call.category == "Data":
			out = append(out, s.dataPlaces(account, n.call)...)
		case n.global:
			out = append(out, s.recorded(Place{Account: account, Region: "us-east-1"}, n.call, true))
		default:
			for _, region := range s.regions[account] {
				out = append(out, s.recorded(Place{Account: account, Region: region}, n.call, false))
			}
			for _, region := range s.unread[account] {
				p := s.recorded(Place{Account: account, Region: region}, n.call, false)
				if p.State == Blind && len(s.recorders) == 0 {
					p.State, p.Why = Unknown, "the region is enabled but was not read"
				}
				out = append(out, p)
			}
		}
	}
	return out
}

// recorded judges a call at a place by all trails and event data stores.
func (s *sight) recorded(p Place, c call, global bool) Place {
	state, why := Blind, ""
	reached := false
	for _, rec := range s.recorders {
		if !rec.reaches(p.Account, p.Region, s.members) {
			if rec.org && len(s.members) == 0 && rec.state != Blind && (rec.multi || p.Region == rec.home) {
				state, why = better(state, why)(Unknown, "whether the account belongs to the organization of trail "+rec.name+" was not read")
			}
			continue
		}
		reached = true
		if rec.state != Covered {
			state, why = better(state, why)(rec.state, rec.why)
			continue
		}
		state, why = better(state, why)(rec.sees(c, global))
	}
	if !reached && state == Blind {
		why = "no trail records this region"
	}
	if state == Blind {
		// A trail that was not read may record it after all.
		if ok, reason := s.read("AWS::CloudTrail::Trail", p.Account, p.Region); !ok {
			state, why = Unknown, reason
		}
	}
	p.State, p.Why = state, why
	if state == Covered {
		p.Why = ""
	}
	return p
}

func typeOf(name string) *dataType {
	for i := range dataTypes() {
		if dataTypes()[i].Type == name {
			return &dataTypes()[i]
		}
	}
	return &dataType{Type: name, Words: name}
}

func (s *sight) dataPlaces(account string, c call) []Place {
	d := typeOf(c.typ)
	var out []Place
	if d.Estate != "" {
		if ok, reason := s.read(d.Estate, account, ""); !ok {
			out = append(out, Place{Account: account, State: Unknown, Why: reason})
		}
		for _, r := range s.types[d.Estate][account] {
			c.arn, c.inside = r.ARN, d.Inside
			out = append(out, s.recorded(Place{Account: account, Region: r.Region, Resource: r.ID}, c, false))
		}
		return out
	}
	// The estate does not hold such resources: judge the selectors alone.
	for _, region := range s.regions[account] {
		out = append(out, s.recorded(Place{Account: account, Region: region}, c, false))
	}
	return out
}

// logPlaces judges the logs other than CloudTrail.
func (s *sight) logPlaces(log string) []Place {
	var out []Place
	for _, account := range s.accounts {
		each := func(typ string, judge func(r *estate.Resource) (State, string)) {
			if ok, reason := s.read(typ, account, ""); !ok {
				out = append(out, Place{Account: account, State: Unknown, Why: reason})
			}
			for _, r := range s.types[typ][account] {
				state, why := judge(r)
				if state != None {
					out = append(out, Place{account, r.Region, short(r), state, why})
				}
			}
		}
		switch log {
		case "vpcflow":
			each("AWS::EC2::VPC", s.flowsOf)
		case "tgwflow":
			each("AWS::EC2::TransitGateway", s.flowsOf)
		case "alb", "nlb":
			want := map[string]string{"alb": "application", "nlb": "network"}[log]
			each("AWS::ElasticLoadBalancingV2::LoadBalancer", func(r *estate.Resource) (State, string) {
				if doc(r.Document).str("Type") != want {
					return None, ""
				}
				return attributeLogs(r)
			})
		case "clb":
			each("AWS::ElasticLoadBalancing::LoadBalancer", func(r *estate.Resource) (State, string) {
				d := doc(r.Document)
				return onOff(d.at("DescribeLoadBalancerAttributes", "LoadBalancerAttributes", "AccessLog")["Enabled"], "access logs")
			})
		case "s3access":
			each("AWS::S3::Bucket", func(r *estate.Resource) (State, string) {
				d := doc(r.Document)
				switch {
				case !d.has("GetBucketLogging"):
					return Unknown, "server access logging was not read"
				case len(d.at("GetBucketLogging", "LoggingEnabled")) > 0:
					return Covered, ""
				}
				return Blind, "server access logging is off"
			})
		case "cloudfront":
			each("AWS::CloudFront::Distribution", s.distribution)
		case "waf":
			each("AWS::WAFv2::WebACL", webACL)
		case "route53resolver":
			each("AWS::EC2::VPC", s.resolver)
		case "guardduty", "securityhub":
			out = append(out, s.service(log, account)...)
		}
	}
	return out
}

func short(r *estate.Resource) string {
	if i := strings.Index(r.ID, ":loadbalancer/"); i >= 0 {
		return r.ID[i+len(":loadbalancer/"):]
	}
	return r.ID
}

func onOff(v any, what string) (State, string) {
	switch v {
	case true, "true":
		return Covered, ""
	case false, "false":
		return Blind, what + " are off"
	}
	return Unknown, "whether " + what + " are on was not read"
}

func attributeLogs(r *estate.Resource) (State, string) {
	for _, v := range doc(r.Document).sub("DescribeLoadBalancerAttributes").list("Attributes") {
		if a := mapOf(v); a.str("Key") == "access_logs.s3.enabled" {
			return onOff(a["Value"], "access logs")
		}
	}
	return Unknown, "whether access logs are on was not read"
}

// flowsOf judges the flow logs of a VPC or transit gateway. A VPC without any
// network interface has nothing to record.
func (s *sight) flowsOf(r *estate.Resource) (State, string) {
	if ok, reason := s.read("AWS::EC2::FlowLog", r.Account, r.Region); !ok {
		return Unknown, reason
	}
	parts := map[string]bool{} // subnets and interfaces of the VPC
	interfaces := 0
	for _, typ := range []string{"AWS::EC2::Subnet", "AWS::EC2::NetworkInterface"} {
		for _, p := range s.types[typ][r.Account] {
			if doc(p.Document).str("VpcId") == r.ID {
				parts[p.ID] = true
				if typ == "AWS::EC2::NetworkInterface" {
					interfaces++
				}
			}
		}
	}
	if r.Type == "AWS::EC2::VPC" && interfaces == 0 {
		if ok, _ := s.read("AWS::EC2::NetworkInterface", r.Account, r.Region); ok {
			return None, ""
		}
	}
	state, why := Blind, "it has no flow log"
	for _, l := range s.types["AWS::EC2::FlowLog"][r.Account] {
		d := doc(l.Document)
		id := d.str("ResourceId")
		if l.Region != r.Region || id != r.ID && !parts[id] {
			continue
		}
		switch traffic := d.str("TrafficType"); {
		case d.str("FlowLogStatus") != "" && d.str("FlowLogStatus") != "ACTIVE":
			state, why = better(state, why)(Blind, "flow log "+l.ID+" is "+d.str("FlowLogStatus"))
		case d.str("DeliverLogsStatus") == "FAILED":
			state, why = better(state, why)(Blind, "flow log "+l.ID+" cannot deliver: "+d.str("DeliverLogsErrorMessage"))
		case id != r.ID:
			state, why = better(state, why)(Partly, "only "+id+" and other parts of it have a flow log")
		case traffic == "ALL" || traffic == "" && r.Type == "AWS::EC2::TransitGateway":
			state, why = Covered, ""
		default:
			state, why = better(state, why)(Partly, "flow log "+l.ID+" records "+traffic+" traffic only")
		}
	}
	return state, why
}

func (s *sight) resolver(r *estate.Resource) (State, string) {
	if state, _ := s.flowsOf(r); state == None {
		return None, "" // nothing in it asks for names
	}
	const typ = "AWS::Route53Resolver::ResolverQueryLoggingConfigAssociation"
	for _, a := range s.types[typ][r.Account] {
		d := doc(a.Document)
		if d.str("ResourceId") == r.ID && a.Region == r.Region {
			if status := d.str("Status"); status != "ACTIVE" && status != "" {
				return Blind, "the query logging of this VPC is " + status
			}
			return Covered, ""
		}
	}
	if ok, reason := s.read(typ, r.Account, r.Region); !ok {
		return Unknown, reason
	}
	return Blind, "no query logging configuration is associated"
}

func (s *sight) distribution(r *estate.Resource) (State, string) {
	d := doc(r.Document)
	if d.at("GetDistributionConfig", "DistributionConfig", "Logging").flag("Enabled") {
		return Covered, ""
	}
	delivered := map[string]bool{}
	for _, l := range s.types["AWS::Logs::Delivery"][r.Account] {
		delivered[doc(l.Document).str("deliverySourceName")] = true
	}
	for _, l := range s.types["AWS::Logs::DeliverySource"][r.Account] {
		src := doc(l.Document)
		if slices.Contains(src.strs("resourceArns"), r.ARN) && delivered[src.str("name")] {
			return Covered, ""
		}
	}
	if !d.has("GetDistributionConfig") {
		return Unknown, "its configuration was not read"
	}
	if ok, reason := s.read("AWS::Logs::DeliverySource", r.Account, "us-east-1"); !ok {
		return Unknown, reason
	}
	return Blind, "standard logging is off"
}

func webACL(r *estate.Resource) (State, string) {
	d := doc(r.Document)
	switch conf := d.at("GetLoggingConfiguration", "LoggingConfiguration"); {
	case !d.has("GetLoggingConfiguration"):
		return Unknown, "its logging configuration was not read"
	case len(conf.strs("LogDestinationConfigs")) == 0:
		return Blind, "logging is off"
	case conf.sub("LoggingFilter").str("DefaultBehavior") == "DROP" || slices.ContainsFunc(conf.sub("LoggingFilter").list("Filters"), func(v any) bool { return mapOf(v).str("Behavior") == "DROP" }):
		return Partly, "a logging filter drops requests"
	}
	return Covered, ""
}

func (s *sight) service(log, account string) []Place {
	typ := map[string]string{"guardduty": "AWS::GuardDuty::Detector", "securityhub": "AWS::SecurityHub::Hub"}[log]
	words := map[string]string{"guardduty": "GuardDuty", "securityhub": "Security Hub"}[log]
	var out []Place
	for _, region := range s.regions[account] {
		p := Place{Account: account, Region: region, State: Blind, Why: words + " is off"}
		if ok, reason := s.read(typ, account, region); !ok {
			p.State, p.Why = Unknown, reason
		}
		for _, r := range s.types[typ][account] {
			if r.Region != region {
				continue
			}
			d := doc(r.Document)
			switch status := d.str("Status"); {
			case log == "securityhub" || status == "ENABLED":
				p.State, p.Why = Covered, ""
			case status == "":
				p.State, p.Why = Unknown, "the detector's status was not read"
			default:
				p.State, p.Why = Blind, "the detector is "+strings.ToLower(status)
			}
		}
		out = append(out, p)
	}
	return out
}
