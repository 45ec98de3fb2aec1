package identity

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Operator is a parsed condition operator.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
type Operator struct {
	Set      SetOperator
	Base     string // StringEquals, in AWS's case
	IfExists bool
	Negated  bool // holds when no value matches
	kind     operatorKind
}

// SetOperator says how several values of a key are compared.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
type SetOperator string

// The set operators.
const (
	NoSet        SetOperator = ""
	ForAllValues SetOperator = "ForAllValues"
	ForAnyValue  SetOperator = "ForAnyValue"
)

type operatorKind uint8

const (
	opStringEquals operatorKind = iota
	opStringIgnoreCase
	opStringLike
	opNumeric
	opDate
	opBool
	opBinary
	opIP
	opARN
	opNull
)

// operators lists every operator by its name in lower case.
var operators = map[string]struct {
	name    string
	kind    operatorKind
	negated bool
	cmp     comparison
}{
	"stringequals":              {"StringEquals", opStringEquals, false, 0},
	"stringnotequals":           {"StringNotEquals", opStringEquals, true, 0},
	"stringequalsignorecase":    {"StringEqualsIgnoreCase", opStringIgnoreCase, false, 0},
	"stringnotequalsignorecase": {"StringNotEqualsIgnoreCase", opStringIgnoreCase, true, 0},
	"stringlike":                {"StringLike", opStringLike, false, 0},
	"stringnotlike":             {"StringNotLike", opStringLike, true, 0},
	"numericequals":             {"NumericEquals", opNumeric, false, equal},
	"numericnotequals":          {"NumericNotEquals", opNumeric, true, equal},
	"numericlessthan":           {"NumericLessThan", opNumeric, false, less},
	"numericlessthanequals":     {"NumericLessThanEquals", opNumeric, false, lessEqual},
	"numericgreaterthan":        {"NumericGreaterThan", opNumeric, false, greater},
	"numericgreaterthanequals":  {"NumericGreaterThanEquals", opNumeric, false, greaterEqual},
	"dateequals":                {"DateEquals", opDate, false, equal},
	"datenotequals":             {"DateNotEquals", opDate, true, equal},
	"datelessthan":              {"DateLessThan", opDate, false, less},
	"datelessthanequals":        {"DateLessThanEquals", opDate, false, lessEqual},
	"dategreaterthan":           {"DateGreaterThan", opDate, false, greater},
	"dategreaterthanequals":     {"DateGreaterThanEquals", opDate, false, greaterEqual},
	"bool":                      {"Bool", opBool, false, 0},
	"binaryequals":              {"BinaryEquals", opBinary, false, 0},
	"ipaddress":                 {"IpAddress", opIP, false, 0},
	"notipaddress":              {"NotIpAddress", opIP, true, 0},
	"arnequals":                 {"ArnEquals", opARN, false, 0},
	"arnlike":                   {"ArnLike", opARN, false, 0},
	"arnnotequals":              {"ArnNotEquals", opARN, true, 0},
	"arnnotlike":                {"ArnNotLike", opARN, true, 0},
	"null":                      {"Null", opNull, false, 0},
}

// ParseOperator reads the name of a condition operator, case aside.
func ParseOperator(s string) (Operator, bool) {
	var o Operator
	lower := strings.ToLower(s)
	if set, rest, ok := strings.Cut(lower, ":"); ok {
		switch set {
		case "forallvalues":
			o.Set = ForAllValues
		case "foranyvalue":
			o.Set = ForAnyValue
		default:
			return o, false
		}
		lower = rest
	}
	base, ifExists := strings.CutSuffix(lower, "ifexists")
	op, ok := operators[base]
	if !ok || op.kind == opNull && ifExists {
		return o, false
	}
	o.Base, o.IfExists, o.Negated, o.kind = op.name, ifExists, op.negated, op.kind
	return o, true
}

// String returns the operator in AWS's spelling.
func (o Operator) String() string {
	s := o.Base
	if o.Set != NoSet {
		s = string(o.Set) + ":" + s
	}
	if o.IfExists {
		s += "IfExists"
	}
	return s
}

type comparison uint8

const (
	equal comparison = iota
	less
	lessEqual
	greater
	greaterEqual
)

// holds reports whether a context value stands in the relation to the policy's,
// given the sign of their difference.
func (c comparison) holds(sign int) bool {
	switch c {
	case less:
		return sign < 0
	case lessEqual:
		return sign <= 0
	case greater:
		return sign > 0
	case greaterEqual:
		return sign >= 0
	}
	return sign == 0
}

// decimal is a number that compares exactly, whatever its length.
type decimal struct {
	neg         bool
	whole, frac string // without leading and trailing zeros
	float       float64
	exponent    bool // written with an exponent: compared as float
}

func parseDecimal(s string) (decimal, bool) {
	var d decimal
	s = strings.TrimSpace(s)
	body := s
	if body != "" && (body[0] == '-' || body[0] == '+') {
		d.neg = body[0] == '-'
		body = body[1:]
	}
	digits := 0
	dot := -1
	for i := range len(body) {
		switch c := body[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && dot < 0:
			dot = i
		case (c == 'e' || c == 'E') && digits > 0:
			f, err := strconv.ParseFloat(s, 64)
			return decimal{float: f, exponent: true}, err == nil
		default:
			return d, false
		}
	}
	if digits == 0 {
		return d, false
	}
	d.whole = body
	if dot >= 0 {
		d.whole, d.frac = body[:dot], strings.TrimRight(body[dot+1:], "0")
	}
	d.whole = strings.TrimLeft(d.whole, "0")
	if d.whole == "" && d.frac == "" {
		d.neg = false
	}
	return d, true
}

func (d decimal) asFloat() float64 {
	if d.exponent {
		return d.float
	}
	f, _ := strconv.ParseFloat("0"+d.whole+"."+d.frac+"0", 64)
	if d.neg {
		return -f
	}
	return f
}

// compareDecimal returns the sign of a-b.
func compareDecimal(a, b decimal) int {
	if a.exponent || b.exponent {
		x, y := a.asFloat(), b.asFloat()
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	if a.neg != b.neg {
		if a.neg {
			return -1
		}
		return 1
	}
	sign := len(a.whole) - len(b.whole)
	if sign == 0 {
		sign = strings.Compare(a.whole, b.whole)
	}
	if sign == 0 {
		sign = strings.Compare(a.frac, b.frac)
	}
	if a.neg {
		sign = -sign
	}
	return sign
}

// dateLayouts are the W3C profiles of ISO 8601, with AWS's compact form.
var dateLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04", "2006-01", "20060102T150405Z", "2006-01-02T15:04:05.999999999Z0700",
}

// parseDate reads a date, or seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if len(s) == 4 {
			return time.Date(int(n), 1, 1, 0, 0, 0, 0, time.UTC), true
		}
		return time.Unix(n, 0), true
	}
	if len(s) < 7 || len(s) > 40 || s[0] < '0' || s[0] > '9' {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > -1e15 && f < 1e15 {
		return time.UnixMilli(int64(f * 1000)), true
	}
	return time.Time{}, false
}

// parseNetwork reads an address or a network in CIDR notation.
func parseNetwork(s string) (netip.Prefix, bool) {
	s = strings.TrimSpace(s)
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), true
	}
	if a, ok := parseAddress(s); ok {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

func parseAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

// sameBinary compares a context value with the bytes of a policy's value.
func sameBinary(want []byte, source, got string) bool {
	if got == source {
		return true
	}
	b, err := base64.StdEncoding.DecodeString(got)
	return err == nil && bytes.Equal(b, want)
}
