package derive

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
)

// broad is the longest prefix that is taken for the internet: a sixteenth of all
// addresses. Whoever opens 0.0.0.0/1 and 128.0.0.0/1 has opened everything, and
// 2000::/3 is every public address of IPv6.
const broad = 4

// opening is one rule that lets a broad range of addresses in or out.
type opening struct {
	in, out  bool
	cidr     string
	protocol string // tcp, udp, or all
	ports    span   // of tcp and udp
}

// span is a range of ports, both ends in it.
type span struct{ from, to int }

const lastPort = 65535

// direction is a side from which the rules of a call are looked at.
type direction struct{ out bool }

var inbound, outbound = direction{false}, direction{true}

func (d direction) rules(e *event.Event) []opening {
	r := of(e)
	if r == nil {
		return nil
	}
	if !r.haveOpen {
		r.haveOpen = true
		if mayBeBroad(r.request.text) || mayBeBroad(r.response.text) {
			r.rules = openings(r)
		}
	}
	return slices.DeleteFunc(slices.Clone(r.rules), func(o opening) bool { return !o.in && !d.out || !o.out && d.out })
}

func (d direction) ports(e *event.Event) []event.Value {
	var list []span
	for _, o := range d.rules(e) {
		if o.ports.to >= o.ports.from {
			list = append(list, o.ports)
		}
	}
	list = joined(list)
	if len(list) == 1 {
		return portValues()[list[0].from : list[0].to+1]
	}
	var out []event.Value
	for _, s := range list {
		out = append(out, portValues()[s.from:s.to+1]...)
	}
	return out
}

// all reports every protocol, or all ports of one; port 0, which nothing listens
// on, may be missing.
func (d direction) all(e *event.Event) []event.Value {
	rules := d.rules(e)
	for _, protocol := range []string{"tcp", "udp"} {
		var list []span
		for _, o := range rules {
			if o.protocol == protocol || o.protocol == "all" {
				list = append(list, o.ports)
			}
		}
		for _, s := range joined(list) {
			if s.from <= 1 && s.to == lastPort {
				return yes
			}
		}
	}
	return nil
}

func (d direction) ranges(e *event.Event) []event.Value {
	var list []string
	for _, o := range d.rules(e) {
		list = append(list, o.cidr)
	}
	slices.Sort(list)
	return texts(slices.Compact(list))
}

// joined returns the same ports as spans that do not touch.
func joined(list []span) []span {
	slices.SortFunc(list, func(a, b span) int { return a.from - b.from })
	var out []span
	for _, s := range list {
		if n := len(out) - 1; n >= 0 && s.from <= out[n].to+1 {
			out[n].to = max(out[n].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// portValues is every port as a value.
var portValues = sync.OnceValue(func() []event.Value {
	out := make([]event.Value, lastPort+1)
	digits := make([]byte, 0, 6*len(out))
	for p := range out {
		from := len(digits)
		digits = strconv.AppendInt(digits, int64(p), 10)
		out[p] = event.Value{Kind: event.Number, Text: digits[from:len(digits):len(digits)]}
	}
	return out
})

// openings reads the rules that a call adds.
func openings(r *record) []opening {
	var out []opening
	add := func(rule map[string]any, in, outward bool) { out = append(out, opened(rule, in, outward)...) }
	switch r.source + " " + r.name {
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AuthorizeSecurityGroupIngress.html
	case "ec2.amazonaws.com AuthorizeSecurityGroupIngress", "ec2.amazonaws.com AuthorizeSecurityGroupEgress":
		outward := strings.HasSuffix(r.name, "Egress")
		for _, rule := range items(get(r.request.object(), "ipPermissions")) {
			add(rule, !outward, outward)
		}
		add(r.request.object(), !outward, outward) // one rule, written flat
		for _, rule := range items(get(r.response.object(), "securityGroupRuleSet")) {
			add(rule, !outward, outward)
		}
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySecurityGroupRules.html
	case "ec2.amazonaws.com ModifySecurityGroupRules":
		request := r.request.object()
		if inner, ok := get(request, "ModifySecurityGroupRulesRequest").(map[string]any); ok {
			request = inner
		}
		for _, update := range items(get(request, "SecurityGroupRule", "securityGroupRules")) {
			rule, ok := get(update, "SecurityGroupRule").(map[string]any)
			if !ok {
				rule = update
			}
			add(rule, true, true) // the request names the rule by its id and does not say the direction
		}
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
	case "ec2.amazonaws.com CreateNetworkAclEntry", "ec2.amazonaws.com ReplaceNetworkAclEntry":
		if strings.EqualFold(text(get(r.request.object(), "ruleAction")), "allow") {
			outward := text(get(r.request.object(), "egress")) == "true"
			add(r.request.object(), !outward, outward)
		}
	// The classic groups of databases say no port: it is that of the database.
	case "rds.amazonaws.com AuthorizeDBSecurityGroupIngress", "redshift.amazonaws.com AuthorizeClusterSecurityGroupIngress":
		if cidr := text(get(r.request.object(), "cIDRIP")); isBroad(cidr) {
			out = append(out, opening{in: true, cidr: cidr, ports: span{0, -1}})
		}
	}
	return out
}

// opened returns what one rule opens, once for each broad range in it.
func opened(rule map[string]any, in, outward bool) []opening {
	o := opening{in: in, out: outward}
	o.protocol, o.ports = reach(rule)
	var out []opening
	add := func(v any) {
		if o.cidr = text(v); isBroad(o.cidr) {
			out = append(out, o)
		}
	}
	for _, name := range []string{"cidrIp", "cidrIpv4", "cidrIpv6", "cidrBlock", "ipv6CidrBlock"} {
		add(get(rule, name))
	}
	for _, list := range []string{"ipRanges", "ipv6Ranges"} {
		for _, r := range items(get(rule, list)) {
			add(get(r, "cidrIp", "cidrIpv6"))
		}
	}
	return out
}

// reach returns the protocol and the ports of a rule: none for a protocol that
// has no ports.
func reach(rule map[string]any) (string, span) {
	everything, nothing := span{0, lastPort}, span{0, -1}
	protocol := strings.ToLower(text(get(rule, "ipProtocol", "aclProtocol")))
	switch protocol {
	case "-1", "all":
		return "all", everything
	case "6", "tcp":
		protocol = "tcp"
	case "17", "udp":
		protocol = "udp"
	default:
		return protocol, nothing
	}
	ports := rule
	if inner, ok := get(rule, "portRange").(map[string]any); ok {
		ports = inner
	}
	from, to := text(get(ports, "fromPort", "from")), text(get(ports, "toPort", "to"))
	if from == "" && to == "" || from == "-1" && to == "-1" {
		return protocol, everything
	}
	s := span{port(from), port(to)}
	if s.from < 0 || s.to < s.from {
		return protocol, nothing
	}
	return protocol, s
}

// port reads a number of a port, −1 where it is none.
func port(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n > lastPort || n < 0 {
		return -1
	}
	return n
}

// mayBeBroad reports whether a range that is broad can stand in a text: most rules
// of a day let in few addresses, and are not read.
func mayBeBroad(text []byte) bool {
	if bytes.IndexByte(text, '\\') >= 0 {
		return true // an escape may hide it
	}
	for {
		i := bytes.IndexByte(text, '/')
		if i < 0 || i+1 == len(text) {
			return false
		}
		text = text[i+1:]
		if c := text[0]; c >= '0' && c <= '0'+broad && (len(text) == 1 || text[1] < '0' || text[1] > '9') {
			return true
		}
	}
}

func isBroad(cidr string) bool {
	if len(cidr) > 50 {
		return false
	}
	p, err := netip.ParsePrefix(cidr)
	return err == nil && p.Bits() <= broad
}
