package derive_test

import (
	"fmt"
	"strings"
	"testing"
)

// permission is one rule of an AuthorizeSecurityGroup call.
func permission(protocol string, from, to any, cidrs ...string) string {
	var v4, v6 []string
	for _, c := range cidrs {
		if strings.Contains(c, ":") {
			v6 = append(v6, fmt.Sprintf(`{"cidrIpv6":%q}`, c))
		} else {
			v4 = append(v4, fmt.Sprintf(`{"cidrIp":%q,"description":"x"}`, c))
		}
	}
	ports := ""
	if from != nil {
		ports = fmt.Sprintf(`"fromPort":%v,"toPort":%v,`, from, to)
	}
	return fmt.Sprintf(`{"ipProtocol":%q,%s"groups":{},"ipRanges":{"items":[%s]},"ipv6Ranges":{"items":[%s]},"prefixListIds":{}}`,
		protocol, ports, strings.Join(v4, ","), strings.Join(v6, ","))
}

func authorize(permissions ...string) string {
	return `{"groupId":"sg-1","ipPermissions":{"items":[` + strings.Join(permissions, ",") + `]}}`
}

// What a call opens to the internet.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAclEntry.html
func TestInternet(t *testing.T) {
	const ingress, egress = "AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress"
	entry := func(protocol, action, egress, cidr, ports string) string {
		return `{"networkAclId":"acl-1","ruleNumber":1,"aclProtocol":"` + protocol + `","ruleAction":"` + action + `","egress":` + egress +
			`,"cidrBlock":"` + cidr + `","icmpTypeCode":{},"portRange":` + ports + `}`
	}
	modify := func(rule string) string {
		return `{"ModifySecurityGroupRulesRequest":{"GroupId":"sg-1","SecurityGroupRule":{"SecurityGroupRuleId":"sgr-1","tag":1,"SecurityGroupRule":` + rule + `}}}`
	}
	for _, c := range []struct {
		rule, source, name, request, response string
		ports, all, ranges                    string // of inbound; of outbound where the rule begins with "out: "
	}{
		{"one port for everyone", "ec2", ingress, authorize(permission("tcp", 22, 22, "0.0.0.0/0")), "", "22", "", "0.0.0.0/0"},
		{"a range over the port", "ec2", ingress, authorize(permission("tcp", 1000, 4000, "0.0.0.0/0")), "", "1000-4000", "", "0.0.0.0/0"},
		{"everyone of IPv6", "ec2", ingress, authorize(permission("tcp", 22, 22, "::/0")), "", "22", "", "::/0"},
		{"half of the addresses is the internet, too", "ec2", ingress, authorize(permission("tcp", 22, 22, "0.0.0.0/1", "128.0.0.0/1")), "", "22", "", "0.0.0.0/1 128.0.0.0/1"},
		{"all public addresses of IPv6", "ec2", ingress, authorize(permission("tcp", 22, 22, "2000::/3")), "", "22", "", "2000::/3"},
		{"a large network is a network", "ec2", ingress, authorize(permission("tcp", 22, 22, "10.0.0.0/8")), "", "", "", ""},
		{"a sixteenth is the internet, a thirty-second is not", "ec2", ingress, authorize(permission("tcp", 22, 22, "16.0.0.0/4"), permission("tcp", 23, 23, "16.0.0.0/5")), "", "22", "", "16.0.0.0/4"},
		{"the open port is not that of the closed rule beside it", "ec2", ingress, authorize(permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 3306, 3306, "10.0.1.0/24")), "", "443", "", "0.0.0.0/0"},
		{"an escaped slash", "ec2", ingress, authorize(`{"ipProtocol":"tcp","fromPort":22,"toPort":22,"ipRanges":{"items":[{"cidrIp":"0.0.0.0\/0"}]}}`), "", "22", "", "0.0.0.0/0"},
		{"several rules", "ec2", ingress, authorize(permission("tcp", 443, 443, "0.0.0.0/0"), permission("tcp", 80, 81, "::/0"), permission("udp", 81, 82, "0.0.0.0/0")), "", "80-82 443", "", "0.0.0.0/0 ::/0"},
		{"every protocol is every port", "ec2", ingress, authorize(permission("-1", nil, nil, "0.0.0.0/0")), "", "0-65535", "true", "0.0.0.0/0"},
		{"every protocol, whatever the ports say", "ec2", ingress, authorize(permission("-1", -1, -1, "0.0.0.0/0")), "", "0-65535", "true", "0.0.0.0/0"},
		{"every port", "ec2", ingress, authorize(permission("tcp", 0, 65535, "0.0.0.0/0")), "", "0-65535", "true", "0.0.0.0/0"},
		{"every port that can be listened on", "ec2", ingress, authorize(permission("udp", 1, 65535, "0.0.0.0/0")), "", "1-65535", "true", "0.0.0.0/0"},
		{"every port in two rules", "ec2", ingress, authorize(permission("tcp", 30000, 65535, "0.0.0.0/0"), permission("tcp", 0, 29999, "0.0.0.0/0")), "", "0-65535", "true", "0.0.0.0/0"},
		{"half of TCP and half of UDP are not all of either", "ec2", ingress, authorize(permission("tcp", 30000, 65535, "0.0.0.0/0"), permission("udp", 0, 29999, "0.0.0.0/0")), "", "0-65535", "", "0.0.0.0/0"},
		{"protocols by number", "ec2", ingress, authorize(permission("6", 22, 22, "0.0.0.0/0"), permission("17", 53, 53, "0.0.0.0/0")), "", "22 53", "", "0.0.0.0/0"},
		{"what has no ports", "ec2", ingress, authorize(permission("icmp", 8, -1, "0.0.0.0/0"), permission("icmpv6", -1, -1, "::/0"), permission("47", nil, nil, "0.0.0.0/0")), "", "", "", "0.0.0.0/0 ::/0"},
		{"ports as texts", "ec2", ingress, authorize(permission("tcp", `"22"`, `"22"`, "0.0.0.0/0")), "", "22", "", "0.0.0.0/0"},
		{"one rule written flat", "ec2", ingress, `{"groupId":"sg-1","cidrIp":"0.0.0.0/0","ipProtocol":"tcp","fromPort":22,"toPort":22,"ipPermissions":{}}`, "", "22", "", "0.0.0.0/0"},
		{"one rule without a list", "ec2", ingress, `{"groupId":"sg-1","ipPermissions":{"items":` + permission("tcp", 22, 22, "0.0.0.0/0") + `}}`, "", "22", "", "0.0.0.0/0"},
		{"a rule that only the answer shows", "ec2", ingress, `{"groupId":"sg-1"}`, `{"securityGroupRuleSet":{"items":[{"groupId":"sg-1","isEgress":false,"ipProtocol":"tcp","fromPort":22,"toPort":22,"cidrIpv4":"0.0.0.0/0"}]}}`, "22", "", "0.0.0.0/0"},
		{"the same rule in request and answer", "ec2", ingress, authorize(permission("tcp", 22, 22, "0.0.0.0/0")), `{"securityGroupRuleSet":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"cidrIpv4":"0.0.0.0/0"}]}}`, "22", "", "0.0.0.0/0"},
		{"a group instead of addresses", "ec2", ingress, `{"groupId":"sg-1","ipPermissions":{"items":[{"ipProtocol":"tcp","fromPort":22,"toPort":22,"groups":{"items":[{"groupId":"sg-2"}]},"ipRanges":{}}]}}`, "", "", "", ""},
		{"a rule that was changed", "ec2", "ModifySecurityGroupRules", modify(`{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIpv4":"0.0.0.0/0"}`), "", "22", "", "0.0.0.0/0"},
		{"a rule that was changed, for IPv6", "ec2", "ModifySecurityGroupRules", modify(`{"IpProtocol":"-1","FromPort":-1,"ToPort":-1,"CidrIpv6":"::/0"}`), "", "0-65535", "true", "::/0"},
		{"several rules that were changed", "ec2", "ModifySecurityGroupRules", `{"ModifySecurityGroupRulesRequest":{"SecurityGroupRule":[{"SecurityGroupRule":{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIpv4":"10.0.0.0/8"}},{"SecurityGroupRule":{"IpProtocol":"tcp","FromPort":23,"ToPort":23,"CidrIpv4":"0.0.0.0/0"}}]}}`, "", "23", "", "0.0.0.0/0"},
		{"rules that were taken away", "ec2", "RevokeSecurityGroupIngress", authorize(permission("tcp", 22, 22, "0.0.0.0/0")), "", "", "", ""},
		{"descriptions that were changed", "ec2", "UpdateSecurityGroupRuleDescriptionsIngress", authorize(permission("tcp", 22, 22, "0.0.0.0/0")), "", "", "", ""},
		{"a way out is no way in", "ec2", egress, authorize(permission("-1", nil, nil, "0.0.0.0/0")), "", "", "", ""},
		{"out: every protocol", "ec2", egress, authorize(permission("-1", nil, nil, "0.0.0.0/0")), "", "0-65535", "true", "0.0.0.0/0"},
		{"out: one port", "ec2", egress, authorize(permission("tcp", 443, 443, "0.0.0.0/0")), "", "443", "", "0.0.0.0/0"},
		{"out: a way in is no way out", "ec2", ingress, authorize(permission("-1", nil, nil, "0.0.0.0/0")), "", "", "", ""},
		{"out: a rule that was changed may be for either direction", "ec2", "ModifySecurityGroupRules", modify(`{"IpProtocol":"tcp","FromPort":22,"ToPort":22,"CidrIpv4":"0.0.0.0/0"}`), "", "22", "", "0.0.0.0/0"},
		{"an entry of a network ACL", "ec2", "CreateNetworkAclEntry", entry("6", "allow", "false", "0.0.0.0/0", `{"from":22,"to":22}`), "", "22", "", "0.0.0.0/0"},
		{"an entry for everything", "ec2", "ReplaceNetworkAclEntry", entry("-1", "allow", "false", "0.0.0.0/0", `{}`), "", "0-65535", "true", "0.0.0.0/0"},
		{"an entry for IPv6", "ec2", "CreateNetworkAclEntry", `{"aclProtocol":"6","ruleAction":"allow","egress":false,"ipv6CidrBlock":"::/0","portRange":{"from":22,"to":22}}`, "", "22", "", "::/0"},
		{"an entry that denies", "ec2", "CreateNetworkAclEntry", entry("-1", "deny", "false", "0.0.0.0/0", `{}`), "", "", "", ""},
		{"an entry for the way out", "ec2", "CreateNetworkAclEntry", entry("-1", "allow", "true", "0.0.0.0/0", `{}`), "", "", "", ""},
		{"out: an entry for the way out", "ec2", "CreateNetworkAclEntry", entry("6", "allow", "true", "0.0.0.0/0", `{"from":80,"to":80}`), "", "80", "", "0.0.0.0/0"},
		{"a classic group of a database says no port", "rds", "AuthorizeDBSecurityGroupIngress", `{"dBSecurityGroupName":"default","cIDRIP":"0.0.0.0/0"}`, "", "", "", "0.0.0.0/0"},
		{"a classic group of a warehouse", "redshift", "AuthorizeClusterSecurityGroupIngress", `{"clusterSecurityGroupName":"default","cIDRIP":"128.0.0.0/1"}`, "", "", "", "128.0.0.0/1"},
		{"the call of another service", "example", ingress, authorize(permission("tcp", 22, 22, "0.0.0.0/0")), "", "", "", ""},
		{"what is no range", "ec2", ingress, authorize(permission("tcp", 22, 22, "0.0.0.0", "0.0.0.0/", "0/0", "0.0.0.0/99", "")), "", "", "", ""},
		{"what is no port", "ec2", ingress, authorize(permission("tcp", 70000, 70001, "0.0.0.0/0"), permission("tcp", 9, 8, "0.0.0.0/0"), permission("tcp", -5, 22, "0.0.0.0/0"), permission("tcp", `"x"`, 22, "0.0.0.0/0")), "", "", "", "0.0.0.0/0"},
		{"no parameters", "ec2", ingress, `null`, "", "", "", ""},
		{"parameters of other types", "ec2", ingress, `{"ipPermissions":[1,"x",{"ipRanges":"0.0.0.0/0","ipProtocol":{}}],"cidrIp":["0.0.0.0/0"]}`, "", "", "", ""},
	} {
		e := parse(t, call(c.source, c.name, c.request, c.response))
		side := "inbound"
		if strings.HasPrefix(c.rule, "out: ") {
			side = "outbound"
		}
		for field, want := range map[string]string{"port": c.ports, "all": c.all, "range": c.ranges} {
			if got := get(e, "bartizan.internet."+side+"."+field); got != want {
				t.Errorf("%s: %s.%s: %q, want %q", c.rule, side, field, got, want)
			}
		}
	}
}
