package posture

import (
	"math"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/bartizan-security/bartizan/estate"
)

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// functionOptions declares the functions on times, addresses, ports and texts.
func functionOptions() []cel.EnvOption {
	unary := func(name string, arg, result *cel.Type, f func(ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(strings.ReplaceAll(name, ".", "_"), []*cel.Type{arg}, result, cel.UnaryBinding(f)))
	}
	binary := func(name string, a, b, result *cel.Type, f func(a, b ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.Overload(strings.ReplaceAll(name, ".", "_"), []*cel.Type{a, b}, result, cel.BinaryBinding(f)))
	}
	return []cel.EnvOption{
		unary("time", cel.DynType, cel.TimestampType, toTime),
		unary("isTime", cel.DynType, cel.BoolType, func(v ref.Val) ref.Val {
			_, ok := toTime(v).(types.Timestamp)
			return types.Bool(ok)
		}),
		// days(from, to) counts whole days, downwards; negative when to is earlier.
		binary("days", cel.DynType, cel.DynType, cel.IntType, func(a, b ref.Val) ref.Val {
			from, to := toTime(a), toTime(b)
			if types.IsError(from) {
				return from
			}
			if types.IsError(to) {
				return to
			}
			d := to.(types.Timestamp).Sub(from.(types.Timestamp).Time)
			return types.Int(math.Floor(d.Hours() / 24))
		}),
		unary("cidr.isWorld", cel.DynType, cel.BoolType, func(v ref.Val) ref.Val {
			return onPrefix(v, func(p netip.Prefix) bool { return p.Bits() == 0 })
		}),
		unary("cidr.isPublic", cel.DynType, cel.BoolType, func(v ref.Val) ref.Val {
			return onPrefix(v, func(p netip.Prefix) bool { return !inPrivateSpace(p) })
		}),
		binary("cidr.contains", cel.DynType, cel.DynType, cel.BoolType, func(a, b ref.Val) ref.Val {
			return onPrefix(a, func(outer netip.Prefix) bool {
				inner, err := parsePrefix(b)
				return err == nil && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
			})
		}),
		// ports.covers(rule, "tcp", 22): the rule is a security group's
		// (IpProtocol, FromPort, ToPort) or a network ACL entry (Protocol, PortRange).
		cel.Function("ports.covers", cel.Overload("ports_covers", []*cel.Type{cel.DynType, cel.StringType, cel.IntType}, cel.BoolType, cel.FunctionBinding(func(a ...ref.Val) ref.Val {
			return portsCover(a[0], string(a[1].(types.String)), int64(a[2].(types.Int)))
		}))),
		unary("json", cel.DynType, cel.DynType, func(v ref.Val) ref.Val {
			switch v := v.(type) {
			case types.String:
				doc, err := estate.DecodeJSON([]byte(v))
				if err != nil {
					return types.NewErr("json(): %v", err)
				}
				return theAdapter.NativeToValue(doc)
			case *object, absent:
				return v
			}
			return types.NewErr("json(): want a text")
		}),
		unary("lower", cel.DynType, cel.StringType, func(v ref.Val) ref.Val {
			if s, ok := v.(types.String); ok {
				return types.String(strings.ToLower(string(s)))
			}
			return types.String("")
		}),
		// texts(x) lists x itself where it is a text, and a list as it is: AWS
		// writes one or many in the same place.
		unary("texts", cel.DynType, cel.ListType(cel.DynType), func(v ref.Val) ref.Val {
			if l, ok := v.(traits.Lister); ok {
				return l
			}
			if v == nothing {
				return types.NewDynamicList(theAdapter, []any{})
			}
			return types.NewRefValList(theAdapter, []ref.Val{v})
		}),
		unary("arn.account", cel.DynType, cel.StringType, func(v ref.Val) ref.Val { return arnPart(v, 4) }),
		unary("arn.region", cel.DynType, cel.StringType, func(v ref.Val) ref.Val { return arnPart(v, 3) }),
		unary("arn.service", cel.DynType, cel.StringType, func(v ref.Val) ref.Val { return arnPart(v, 2) }),
		unary("arn.resource", cel.DynType, cel.StringType, func(v ref.Val) ref.Val { return arnPart(v, 5) }),
	}
}

// arnPart returns a part of an ARN, or the empty text where there is none.
func arnPart(v ref.Val, n int) ref.Val {
	s, ok := v.(types.String)
	if !ok || !strings.HasPrefix(string(s), "arn:") {
		return types.String("")
	}
	parts := strings.SplitN(string(s), ":", 6)
	if n >= len(parts) {
		return types.String("")
	}
	return types.String(parts[n])
}

// toTime reads an RFC 3339 text, a number of seconds or milliseconds since 1970,
// or a timestamp.
func toTime(v ref.Val) ref.Val {
	switch v := v.(type) {
	case types.Timestamp:
		return v
	case types.String:
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02"} {
			if t, err := time.Parse(layout, string(v)); err == nil {
				return types.Timestamp{Time: t.UTC()}
			}
		}
		return types.NewErr("%.40q is not a time", string(v))
	case types.Int:
		return types.Timestamp{Time: unixTime(float64(v))}
	case types.Double:
		return types.Timestamp{Time: unixTime(float64(v))}
	case absent:
		return types.NewErr("the time is absent")
	}
	return types.NewErr("a %s is not a time", v.Type().TypeName())
}

func unixTime(n float64) time.Time {
	const year5138 = 1e11 // in seconds; no AWS time lies beyond, so it is milliseconds
	if math.Abs(n) > year5138 {
		return time.UnixMilli(int64(n)).UTC()
	}
	return time.Unix(int64(n), 0).UTC()
}

func parsePrefix(v ref.Val) (netip.Prefix, error) {
	s, _ := v.(types.String)
	text := strings.TrimSpace(string(s))
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p.Masked(), nil
}

// onPrefix answers false for null and an error for what is no address block.
func onPrefix(v ref.Val, test func(netip.Prefix) bool) ref.Val {
	if v == nothing {
		return types.False
	}
	p, err := parsePrefix(v)
	if err != nil {
		return types.NewErr("%v is not an address block", v.Value())
	}
	return types.Bool(test(p))
}

// privateSpace is what RFC 1918, 6598, 3927, 4193, 4291 and 5735 keep off the internet.
var privateSpace = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::1/128"),
}

func inPrivateSpace(p netip.Prefix) bool {
	for _, q := range privateSpace {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// portsCover follows
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpPermission.html and
// API_NetworkAclEntry.html: protocol -1 is all protocols and all ports; for tcp
// and udp, absent ports are all ports.
func portsCover(rule ref.Val, protocol string, port int64) ref.Val {
	o, ok := rule.(*object)
	if !ok {
		return types.NewErr("ports.covers(): want a rule")
	}
	p, ok := o.members["IpProtocol"]
	if !ok {
		p = o.members["Protocol"]
	}
	from, to := o.members["FromPort"], o.members["ToPort"]
	if r, ok := o.members["PortRange"].(map[string]any); ok {
		from, to = r["From"], r["To"]
	}
	switch protocolName(p) {
	case "-1":
		return types.True
	case protocol:
	default:
		return types.False
	}
	lo, hasLo := from.(int64)
	hi, hasHi := to.(int64)
	if !hasLo && !hasHi || lo == -1 || hi == -1 {
		return types.True
	}
	if !hasHi {
		hi = lo
	}
	return types.Bool(lo <= port && port <= hi)
}

func protocolName(v any) string {
	s, ok := v.(string)
	if n, isInt := v.(int64); isInt {
		s, ok = strconv.FormatInt(n, 10), true
	}
	switch s = strings.ToLower(s); {
	case !ok:
		return ""
	case s == "all":
		return "-1"
	case s == "6":
		return "tcp"
	case s == "17":
		return "udp"
	case s == "1":
		return "icmp"
	case s == "58":
		return "icmpv6"
	}
	return s
}
