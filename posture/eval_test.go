package posture

import (
	"strings"
	"testing"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/bartizan-security/bartizan/estate"
)

// evaluate gives true, false, "unknown: reason" or "error: text".
func evaluate(t *testing.T, text string, st *state) string {
	t.Helper()
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	k := &compiler{env: env, lookups: map[string]bool{}, reads: map[string]bool{}, fields: members{}}
	p, _ := k.compile("test", text, false)
	if len(k.errs) > 0 {
		t.Fatalf("%s: %v", text, k.errs)
	}
	st.reset()
	switch v := eval(p, st).(type) {
	case types.Bool:
		if v {
			return "true"
		}
		return "false"
	case *types.Unknown:
		return "unknown: " + st.doubt(v)
	case *types.Err:
		return "error: " + v.Error()
	default:
		return "value: " + words(native(v))
	}
}

func testState(doc string, gaps []estate.Gap, others ...*estate.Resource) *state {
	v, err := estate.DecodeJSON([]byte(doc))
	if err != nil {
		panic(err)
	}
	self := &estate.Resource{Type: "AWS::EC2::VPC", ID: "vpc-1", ARN: "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1", Account: "111122223333", Region: "eu-west-1", Document: v.(map[string]any),
		Unknown: []estate.Gap{{Part: "GetDenied", Operation: "ec2:GetDenied", Reason: "access denied", Code: "UnauthorizedOperation", Permission: "ec2:GetDenied"},
			{Part: "Keys[1].GetUse", Operation: "iam:GetAccessKeyLastUsed", Reason: "throttled"}}}
	st := newState(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	st.account, st.region, st.subject = self.Account, self.Region, st.object(self)
	account := &estate.Account{ID: self.Account, Resources: append([]*estate.Resource{self}, others...), Gaps: gaps}
	account.Sort()
	st.estate.acct, st.estate.region = newAccountView(st, account), self.Region
	st.org.org = newOrganizationView(st, map[string]members{})
	st.org.org.add(account)
	st.org.org.ready = true
	return st
}

func TestNull(t *testing.T) {
	st := testState(`{"A":{"B":"text","N":null,"L":[1,2],"Nums":[1,null]},"Empty":[],"I":3}`, nil)
	for _, c := range []struct{ text, want string }{
		// An absent member is null, and so is a member of it.
		{`resource.X == null`, "true"},
		{`resource.X.Y.Z == null`, "true"},
		{`resource.A.N == null`, "true"},
		{`resource.A.N.M == null`, "true"},
		{`null == resource.X`, "true"},
		{`resource.X != null`, "false"},
		{`resource.A.B != null`, "true"},
		{`resource["X"]["Y"] == null`, "true"},
		{`resource.X == resource.Y`, "true"},
		{`resource.X == "text"`, "false"},
		{`resource.X == false`, "false"},
		{`resource.X != "text"`, "true"},
		{`resource.A == null`, "false"},
		// has() asks for a member that is there and not null.
		{`has(resource.X)`, "false"},
		{`has(resource.A.N)`, "false"},
		{`has(resource.A.B)`, "true"},
		{`has(resource.X.Y.Z)`, "false"},
		// Null has no elements.
		{`size(resource.X) == 0`, "true"},
		{`resource.X.size() == 0`, "true"},
		{`resource.X.exists(e, true)`, "false"},
		{`resource.X.all(e, false)`, "true"},
		{`resource.X.filter(e, true).size() == 0`, "true"},
		{`resource.X.map(e, e) == []`, "true"},
		{`"a" in resource.X`, "false"},
		{`resource.X[0] == null`, "true"},
		{`null in resource.A.Nums`, "true"},
		// A test of text on null is false.
		{`resource.X.startsWith("a")`, "false"},
		{`resource.X.endsWith("a")`, "false"},
		{`resource.X.contains("a")`, "false"},
		{`resource.X.matches("a")`, "false"},
		{`resource.A.B.startsWith("te")`, "true"},
		{`resource.A.B.matches("^t.*t$")`, "true"},
		{`resource.A.B in ["text", "other"]`, "true"},
		{`resource.X in ["text", "other"]`, "false"},
		{`type(resource.X) == type(null)`, "true"},
		// Null is not a number.
		{`resource.X < 3`, "error: no such overload"},
		{`resource.I < 4 && resource.I >= 3.0`, "true"},
		{`resource.A.L.exists(n, n == 2)`, "true"},
		{`resource.A.L[7] == 1`, "error: index out of bounds"},
		// An error that does not matter does not matter.
		{`resource.X < 3 || true`, "true"},
		{`false && resource.X < 3`, "false"},
	} {
		if got := evaluate(t, c.text, st); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestUnknown(t *testing.T) {
	const denied = "unknown: ec2:GetDenied: access denied (UnauthorizedOperation); grant ec2:GetDenied"
	st := testState(`{"Known":1,"Keys":[{"Id":"a","GetUse":{"N":1}},{"Id":"b"},{"Id":"c","Vpc":"vpc-2"}],"Peer":"vpc-1","Other":"vpc-9","Second":"vpc-2","Short":"x","Route":"subnet-1"}`, []estate.Gap{{Type: "AWS::EC2::FlowLog", Account: "111122223333", Region: "eu-west-1", Operation: "ec2:DescribeFlowLogs", Reason: "throttled"},
		{Type: "AWS::EC2::NatGateway", Account: "111122223333", Region: "us-east-1", Operation: "ec2:DescribeNatGateways", Reason: "throttled"}},
		&estate.Resource{Type: "AWS::EC2::FlowLog", ID: "fl-1", Account: "111122223333", Region: "eu-west-1", Document: map[string]any{"ResourceId": "vpc-1"}},
		&estate.Resource{Type: "AWS::EC2::RouteTable", ID: "rtb-1", Account: "111122223333", Region: "eu-west-1",
			Document: map[string]any{"Associations": []any{map[string]any{"SubnetId": "subnet-1"}}}, Unknown: []estate.Gap{{Part: "Routes", Operation: "ec2:X", Reason: "denied"}}},
		&estate.Resource{Type: "AWS::EC2::Subnet", ID: "subnet-1", Account: "111122223333", Region: "eu-west-1", Document: map[string]any{"VpcId": "vpc-1"}},
		&estate.Resource{Type: "AWS::EC2::Subnet", ID: "subnet-2", Account: "111122223333", Region: "us-east-1", Document: map[string]any{"VpcId": "vpc-2"}})
	const throttled = "unknown: ec2:DescribeFlowLogs: throttled"
	for _, c := range []struct{ text, want string }{
		// What depends on a part that could not be read is unknown …
		{`resource.GetDenied.A == 1`, denied},
		{`resource.GetDenied == null`, denied},
		{`has(resource.GetDenied.A)`, denied},
		{`size(resource.GetDenied.A) > 0`, denied},
		{`resource.GetDenied.A.exists(x, x == 1)`, denied},
		{`resource.GetDenied.A.startsWith("a")`, denied},
		{`policy.allowsPublic(resource.GetDenied.Policy)`, denied},
		{`resource.Known == 1 && resource.GetDenied.A == 1`, denied},
		{`resource.Keys.exists(k, k.GetUse.N == 2)`, "unknown: iam:GetAccessKeyLastUsed: throttled"},
		{`resource.Keys.exists(k, k.GetUse.N == 1)`, "true"},
		{`resource.Keys.all(k, k.Id != "")`, "true"},
		{`resource.Keys[2].GetUse == null`, "true"},
		// … and what does not is decided.
		{`resource.Known == 2 && resource.GetDenied.A == 1`, "false"},
		{`resource.GetDenied.A == 1 || resource.Known == 1`, "true"},
		// One that is there is there, though there may be more.
		{`estate.byType("AWS::EC2::FlowLog").exists(f, f.ResourceId == "vpc-1")`, "true"},
		{`estate.byType("AWS::EC2::FlowLog").exists(f, f.ResourceId == "vpc-9")`, throttled},
		{`estate.byType("AWS::EC2::FlowLog").all(f, f.ResourceId == "vpc-9")`, "false"},
		{`estate.byType("AWS::EC2::FlowLog").all(f, f.ResourceId == "vpc-1")`, throttled},
		{`size(estate.byType("AWS::EC2::FlowLog")) > 0`, throttled},
		{`estate.byType("AWS::EC2::FlowLog").filter(f, f.ResourceId == "x").size() == 0`, throttled},
		{`estate.get("AWS::EC2::FlowLog", "fl-1").ResourceId == "vpc-1"`, "true"},
		{`estate.get("AWS::EC2::FlowLog", "fl-2") == null`, throttled},
		{`estate.get("AWS::EC2::Subnet", "subnet-9") == null`, "true"},
		// A predicate that demands a text is answered from an index, with the same result.
		{`estate.byType("AWS::EC2::FlowLog").exists(f, f.ResourceId == resource.Peer)`, "true"},
		{`estate.byType("AWS::EC2::FlowLog").exists(f, f.ResourceId == resource.Other)`, throttled},
		{`estate.byType("AWS::EC2::FlowLog").exists(f, resource.Other == f.ResourceId && f.Status == "x")`, throttled},
		{`estate.byType("AWS::EC2::Subnet").filter(s, s.VpcId == resource.Peer && s.State == null).size() == 1`, "true"},
		{`estate.byType("AWS::EC2::Subnet").exists(s, s.VpcId == resource.Absent)`, "false"},
		{`estate.byType("AWS::EC2::Subnet").exists(s, s.State == resource.Absent)`, "true"},
		{`estate.byType("AWS::EC2::Subnet").exists(s, s.VpcId == resource.Short)`, "false"},
		{`estate.byType("AWS::EC2::Subnet").exists(s, s.State == "x" && s.VpcId == resource.GetDenied.A)`, "false"},
		{`estate.inRegion("AWS::EC2::Subnet").exists(s, s.VpcId == resource.Second)`, "false"},
		{`resource.Keys.exists(k, estate.byType("AWS::EC2::Subnet").exists(s, s.VpcId == k.Vpc))`, "true"},
		{`estate.byType("AWS::EC2::RouteTable").exists(t, t.Associations.exists(a, a.SubnetId == resource.Route))`, "true"},
		{`estate.byType("AWS::EC2::RouteTable").exists(t, t.Routes.exists(a, a.Target == resource.Route))`, "unknown: ec2:X: denied"},
		// A gap in another region matters only where the question goes there.
		{`estate.inRegion("AWS::EC2::NatGateway").size() == 0`, "true"},
		{`estate.byType("AWS::EC2::NatGateway").size() == 0`, "unknown: ec2:DescribeNatGateways: throttled"},
		{`estate.byType("AWS::EC2::Subnet").size() == 2`, "true"},
		{`estate.inRegion("AWS::EC2::Subnet").size() == 1`, "true"},
		{`estate.referencing(resource, "AWS::EC2::Subnet").size() == 1`, "true"},
		{`estate.referencing(resource, "AWS::EC2::Subnet")[0].id() == "subnet-1"`, "true"},
		{`resource.id() + " " + resource.region() == "vpc-1 eu-west-1"`, "true"},
		{`organization.contains("111122223333")`, "true"},
		{`organization.contains("999999999999")`, "false"},
	} {
		if got := evaluate(t, c.text, st); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestFunctions(t *testing.T) {
	st := testState(`{"Made":"2025-10-03T12:00:00Z","Epoch":1759492800,"Never":"N/A","J":"{\"a\":[1]}",
		"Ssh":{"IpProtocol":"tcp","FromPort":20,"ToPort":25},"All":{"IpProtocol":"-1"},"Icmp":{"IpProtocol":"icmp","FromPort":-1,"ToPort":-1},
		"Nacl":{"Protocol":"6","PortRange":{"From":22,"To":22}},"Arn":"arn:aws:iam::444455556666:role/a:b"}`, nil)
	for _, c := range []struct{ text, want string }{
		{`days(resource.Made, now) == 89`, "true"}, // 89 and a half
		{`days(resource.Epoch, now) == 89`, "true"},
		{`days(now, resource.Made) < 0`, "true"},
		{`days(resource.Never, now) > 90`, `error: "N/A" is not a time`},
		{`days(resource.Absent, now) > 90`, "error: the time is absent"},
		{`isTime(resource.Never)`, "false"},
		{`isTime(resource.Made)`, "true"},
		{`cidr.isWorld("0.0.0.0/0")`, "true"},
		{`cidr.isWorld("::/0")`, "true"},
		{`cidr.isWorld("0.0.0.0/1")`, "false"},
		{`cidr.isWorld(resource.Absent)`, "false"},
		{`cidr.isWorld("everyone")`, "error: everyone is not an address block"},
		{`cidr.isPublic("10.1.0.0/16")`, "false"},
		{`cidr.isPublic("10.0.0.0/7")`, "true"},
		{`cidr.isPublic("203.0.113.7")`, "true"},
		{`cidr.isPublic("fd00::/8")`, "false"},
		{`cidr.contains("10.0.0.0/8", "10.2.3.4")`, "true"},
		{`cidr.contains("10.2.0.0/16", "10.0.0.0/8")`, "false"},
		{`ports.covers(resource.Ssh, "tcp", 22)`, "true"},
		{`ports.covers(resource.Ssh, "udp", 22)`, "false"},
		{`ports.covers(resource.Ssh, "tcp", 26)`, "false"},
		{`ports.covers(resource.All, "tcp", 3389)`, "true"},
		{`ports.covers(resource.Icmp, "tcp", 22)`, "false"},
		{`ports.covers(resource.Nacl, "tcp", 22)`, "true"},
		{`json(resource.J).a[0] == 1`, "true"},
		{`json(resource.Never).a == 1`, "error: json()"},
		{`json(resource.Absent).a == null`, "true"},
		{`arn.account(resource.Arn) == "444455556666"`, "true"},
		{`arn.resource(resource.Arn) == "role/a:b"`, "true"},
		{`arn.account(resource.Never) == ""`, "true"},
		{`lower("ABC") == "abc"`, "true"},
		{`estate == estate`, "true"},
		{`string(resource.Made) == resource.Made`, "true"},
		{`json(resource) == resource`, "true"},
		{`[1, resource.Absent].size() == 2 && [resource.Absent] == [null]`, "true"},
		{`{"a": resource.Absent}.a == null`, "true"},
		{`resource.exists(k, k == "Made")`, "true"},
		{`resource.Ssh.map(k, k) == ["FromPort", "IpProtocol", "ToPort"]`, "true"},
		{`(["a"] + texts("b")).size() == 2`, "true"},
		{`texts("a") == ["a"] && texts(["a","b"]).size() == 2 && texts(resource.Absent).size() == 0`, "true"},
	} {
		if got := evaluate(t, c.text, st); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

// A control that would loop for ever over a hostile document is stopped.
func TestCostLimit(t *testing.T) {
	big := "[" + strings.TrimSuffix(strings.Repeat("1,", 5000), ",") + "]"
	st := testState(`{"L":`+big+`}`, nil)
	texts := []string{
		`resource.L.map(a, resource.L.map(b, resource.L)).size() == 0`,
		`resource.L.all(a, resource.L.all(b, resource.L.all(c, a == b || b == c || true)))`,
		`resource.L.all(a, resource.L.filter(x, true).all(b, resource.L.map(x, x).all(c, a == b || b == c || true)))`,
	}
	if testing.Short() {
		t.Logf("-short: only the first of %d expressions", len(texts))
		texts = texts[:1]
	}
	for _, text := range texts {
		if got := evaluate(t, text, st); !strings.Contains(got, "cost limit exceeded") {
			t.Errorf("%s: got %s", text, got)
		}
	}
}
