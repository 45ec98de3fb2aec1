package prove

import (
	"math"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"time"
)

// setKind is how the values of a condition are compared.
type setKind uint8

const (
	texts setKind = iota
	numbers
	dates
	addresses
	booleans
)

// valueSet is the set of values that one condition describes: all that its
// operator accepts.
type valueSet struct {
	kind  setKind
	texts language
	spans []span // numbers; dates as seconds since 1970
	nets  []netip.Prefix
	yes   bool // booleans: whether true and false are in the set
	no    bool
}

// span is an interval of numbers; its ends may be open or infinite.
type span struct {
	low, high         float64
	lowOpen, highOpen bool
}

func (s span) has(x float64) bool {
	return (x > s.low || x == s.low && !s.lowOpen) && (x < s.high || x == s.high && !s.highOpen)
}

func (v *valueSet) has(s string) bool {
	switch v.kind {
	case texts:
		return v.texts.match(s)
	case numbers, dates:
		x, ok := parseNumber(s)
		if v.kind == dates {
			x, ok = parseDate(s)
		}
		if !ok {
			return false
		}
		for _, sp := range v.spans {
			if sp.has(x) {
				return true
			}
		}
	case addresses:
		a, err := netip.ParseAddr(s)
		if err != nil {
			return false
		}
		for _, n := range v.nets {
			if n.Contains(a) {
				return true
			}
		}
	case booleans:
		return v.yes && strings.EqualFold(s, "true") || v.no && strings.EqualFold(s, "false")
	}
	return false
}

// candidates returns values of which at least one lies in every cell that the
// set's borders cut out. For texts they are guesses.
func (v *valueSet) candidates() []string {
	switch v.kind {
	case numbers, dates:
		return v.points()
	case addresses:
		return addressPoints(v.nets)
	case booleans:
		return []string{"true", "false"}
	}
	var c []string
	for _, g := range v.texts {
		for _, f := range fills {
			c = append(c, g.instance(f))
		}
	}
	return c
}

func (v *valueSet) points() []string {
	var c []string
	for _, x := range v.borders() {
		c = append(c, v.format(x))
	}
	return c
}

// borders returns the ends of all spans.
func (v *valueSet) borders() []float64 {
	var b []float64
	for _, s := range v.spans {
		for _, x := range [2]float64{s.low, s.high} {
			if !math.IsInf(x, 0) {
				b = append(b, x)
			}
		}
	}
	return b
}

func (v *valueSet) format(x float64) string {
	if v.kind == dates {
		return time.Unix(int64(math.Floor(x)), 0).UTC().Format(time.RFC3339)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}

// linePoints returns a point on every border of the sets, between any two and
// beyond the outermost: one in each cell.
func linePoints(kind setKind, sets []*valueSet) []string {
	var b []float64
	for _, s := range sets {
		if s.kind == kind {
			b = append(b, s.borders()...)
		}
	}
	sort.Float64s(b)
	v := valueSet{kind: kind}
	if len(b) == 0 {
		return []string{v.format(0)}
	}
	step := 1.0
	out := []string{v.format(b[0] - step), v.format(b[len(b)-1] + step)}
	for i, x := range b {
		out = append(out, v.format(x))
		if i > 0 {
			out = append(out, v.format((b[i-1]+x)/2))
		}
	}
	return out
}

// addressPoints returns an address in every cell that the networks cut out of
// both address families.
func addressPoints(nets []netip.Prefix) []string {
	seen := map[netip.Addr]bool{}
	var out []string
	add := func(a netip.Addr) {
		if a.IsValid() && !seen[a] {
			seen[a] = true
			out = append(out, a.String())
		}
	}
	for _, n := range nets {
		add(n.Masked().Addr())
		add(lastAddr(n))
	}
	add(netip.MustParseAddr("203.0.113.9"))
	add(netip.MustParseAddr("2001:db8::9"))
	for _, n := range nets {
		add(n.Masked().Addr().Prev())
		add(lastAddr(n).Next())
	}
	add(netip.MustParseAddr("0.0.0.0"))
	add(netip.MustParseAddr("::"))
	return out
}

func lastAddr(n netip.Prefix) netip.Addr {
	b := n.Masked().Addr().AsSlice()
	for i := n.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func parseNumber(s string) (float64, bool) {
	x, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	return x, err == nil && !math.IsNaN(x) && !math.IsInf(x, 0)
}

// dateForms are the W3C forms of ISO 8601 that policies use.
var dateForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02", "2006-01", "2006"}

func parseDate(s string) (float64, bool) {
	if x, ok := parseNumber(s); ok && len(s) > 4 {
		return x, true
	}
	for _, f := range dateForms {
		if t, err := time.Parse(f, s); err == nil {
			return float64(t.UnixNano()) / 1e9, true
		}
	}
	return 0, false
}

// parseNet reads an address or a network of a condition.
func parseNet(s string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, false
	}
	return p.Masked(), true
}

// compared is the span of numbers that stand in a relation to x.
func compared(relation string, x float64) span {
	inf := math.Inf(1)
	switch relation {
	case "LessThan":
		return span{low: -inf, high: x, highOpen: true}
	case "LessThanEquals":
		return span{low: -inf, high: x}
	case "GreaterThan":
		return span{low: x, high: inf, lowOpen: true}
	case "GreaterThanEquals":
		return span{low: x, high: inf}
	}
	return span{low: x, high: x}
}
