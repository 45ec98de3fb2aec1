package sigma

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/bartizan-security/bartizan/detect/event"
)

// item is one field, or keywords, with what it is compared to.
type item struct {
	source   string // as written: field|modifiers
	field    string // "" for keywords
	slot     event.Slot
	kinds    itemKind
	all      bool // every value must be there, not any
	negate   bool // neq
	cased    bool
	null     bool // null is among the values
	exists   bool // of kind existence: must or must not
	exact    map[string]bool
	longest  int // of exact, in bytes
	patterns []*pattern
	words    *wordSet   // the patterns that may stand anywhere, if they are many
	others   []*pattern // with words: the rest
	written  []Pattern  // the same before folding, for Test
	whole    bool       // only exact ASCII patterns: nothing need be folded
	plain    bool       // whole, and nothing but that
	ends     []int      // with all: where the alternatives of each value end in patterns
	numbers  []numberTest
	regexps  []*expression
	networks []netip.Prefix
	part     string // of a time
	refs     []fieldRef
	values   []string // as written, for explanations
	line     int
	memo     int // the number that items of the same test share, from 1; 0 is none
}

// dear reports whether the result of a test is worth remembering: other rules
// ask the same of the same event.
func (it *item) dear() bool {
	return it.field != "" && (it.kinds == matchRegexp || len(it.networks) > 8 || it.cost() > 8)
}

// sameTest is equal for items that test the same.
func (it *item) sameTest() string {
	return fmt.Sprintf("%q %v %v %d %d %d %d %q", it.source, it.null, it.exists, len(it.numbers), len(it.patterns), len(it.exact), len(it.regexps), it.values)
}

type itemKind uint8

const (
	matchText itemKind = iota
	matchExistence
	matchRegexp
	matchNetwork
	matchNumber
	matchTime
	matchField
)

type numberTest struct {
	op   string // "" is equality
	want float64
	text string
}

func (t numberTest) holds(n float64) bool {
	switch t.op {
	case "lt":
		return n < t.want
	case "lte":
		return n <= t.want
	case "gt":
		return n > t.want
	case "gte":
		return n >= t.want
	}
	return n == t.want
}

type fieldRef struct {
	path  string
	slot  event.Slot
	shape shape
}

func (it *item) cost() int {
	c := 2
	switch it.kinds {
	case matchExistence:
		c = 1
	case matchRegexp:
		c = 40
	case matchText:
		c = 2 + len(it.patterns)/4
		for _, p := range it.patterns {
			if p.shape == glob {
				c += 4
			}
		}
	}
	if it.field == "" {
		c += 100
	}
	if IsDerived(it.field) {
		c += 1000 // asked last: a policy may have to be read
	}
	switch it.field {
	case "eventName":
		return 1
	case "eventSource":
		return 1
	}
	return c
}

// match evaluates the item for the matcher's event.
func (it *item) match(m *Matcher) bool {
	if it.plain {
		if vs := m.event.Values(it.slot); len(vs) == 1 && vs[0].Kind == event.String {
			for _, p := range it.patterns {
				if len(p.lit) == len(vs[0].Text) && equalFold(vs[0].Text, p.lit) {
					return !it.negate
				}
			}
			return it.negate
		}
	}
	if it.memo == 0 {
		return it.positive(m) != it.negate
	}
	known := &m.memo[it.memo]
	if *known>>1 != m.now {
		*known = m.now << 1
		if it.positive(m) != it.negate {
			*known |= 1
		}
	}
	return *known&1 == 1
}

func (it *item) positive(m *Matcher) bool {
	if it.field == "" {
		return it.keywords(m)
	}
	values := m.event.Values(it.slot)
	switch it.kinds {
	case matchExistence:
		return (len(values) > 0) == it.exists
	case matchField:
		return it.refersTo(m, values)
	}
	if it.null && missing(values) {
		return true
	}
	if it.all {
		return it.everything(m, values)
	}
	for i := range values {
		if it.one(m, &values[i]) {
			return true
		}
	}
	return false
}

func missing(values []event.Value) bool {
	for _, v := range values {
		if v.Kind != event.Null {
			return false
		}
	}
	return true
}

// one reports whether a value is equal to any of the item's.
func (it *item) one(m *Matcher, v *event.Value) bool {
	if v.Kind == event.Null || v.Kind == event.Array {
		return false
	}
	switch it.kinds {
	case matchRegexp:
		for _, re := range it.regexps {
			if m.search(re, v.Text) {
				return true
			}
			if u := unescaped(v); u != nil && m.search(re, u) {
				return true
			}
		}
		return false
	case matchNetwork:
		return it.inNetwork(v.Text)
	case matchTime:
		n, ok := timePart(it.part, v.Text)
		if !ok {
			return false
		}
		for _, t := range it.numbers {
			if t.holds(n) {
				return true
			}
		}
		return false
	}
	if len(it.numbers) > 0 && it.anyNumber(v.Text) {
		return true
	}
	if it.kinds == matchNumber || len(it.exact) == 0 && len(it.patterns) == 0 {
		return false
	}
	if it.text(m, v.Text) {
		return true
	}
	if u := unescaped(v); u != nil {
		return it.text(m, u)
	}
	return false
}

func (it *item) text(m *Matcher, text []byte) bool {
	if it.whole {
		for _, p := range it.patterns {
			if len(p.lit) == len(text) && equalFold(text, p.lit) {
				return true
			}
		}
		return false
	}
	if len(it.patterns) == 0 && len(text) > 4*it.longest {
		return false // lower case shortens no letter to a fourth
	}
	if !it.cased {
		m.folded = fold(m.folded[:0], text)
		text = m.folded
	}
	if it.exact != nil && it.exact[string(text)] {
		return true
	}
	patterns := it.patterns
	if it.words != nil {
		if it.words.in(text) {
			return true
		}
		patterns = it.others
	}
	for _, p := range patterns {
		if p.match(text) {
			return true
		}
	}
	return false
}

// equalFold reports whether text, in lower case, is lit, which is ASCII.
func equalFold(text, lit []byte) bool {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != lit[i] {
			return false
		}
	}
	return true
}

func (it *item) anyNumber(text []byte) bool {
	n, ok := number(text)
	for _, t := range it.numbers {
		if ok && t.holds(n) || t.op == "" && string(text) == t.text {
			return true
		}
	}
	return false
}

// everything is the modifier all: each wanted value is met by some value there.
func (it *item) everything(m *Matcher, values []event.Value) bool {
	each := func(test func(v *event.Value) bool) bool {
		for i := range values {
			if v := &values[i]; v.Kind != event.Null && v.Kind != event.Array && test(v) {
				return true
			}
		}
		return false
	}
	for _, re := range it.regexps {
		if !each(func(v *event.Value) bool {
			u := unescaped(v)
			return m.search(re, v.Text) || u != nil && m.search(re, u)
		}) {
			return false
		}
	}
	for _, n := range it.networks {
		if !each(func(v *event.Value) bool { a, ok := addr(v.Text); return ok && n.Contains(a) }) {
			return false
		}
	}
	for _, t := range it.numbers {
		if !each(func(v *event.Value) bool {
			if it.kinds == matchTime {
				n, ok := timePart(it.part, v.Text)
				return ok && t.holds(n)
			}
			n, ok := number(v.Text)
			return ok && t.holds(n) || t.op == "" && string(v.Text) == t.text
		}) {
			return false
		}
	}
	return it.eachGroup(func(group []*pattern) bool {
		return each(func(v *event.Value) bool {
			u := unescaped(v)
			for _, p := range group {
				if p.match(m.fold(v.Text, it.cased)) || u != nil && p.match(m.fold(u, it.cased)) {
					return true
				}
			}
			return false
		})
	})
}

// eachGroup reports whether test holds for the alternatives of every value.
func (it *item) eachGroup(test func([]*pattern) bool) bool {
	start := 0
	for _, end := range it.ends {
		if !test(it.patterns[start:end]) {
			return false
		}
		start = end
	}
	return true
}

// keywords looks for texts anywhere in the record.
func (it *item) keywords(m *Matcher) bool {
	raw, plain := m.record()
	folded, foldedPlain := raw, plain
	if !it.cased && len(it.patterns) > 0 {
		folded, foldedPlain = m.foldedRecord()
	}
	test := func(found func(text []byte) bool, a, b []byte) bool { return found(a) || b != nil && found(b) }
	any := func(group []*pattern) bool {
		for _, p := range group {
			if test(p.match, folded, foldedPlain) {
				return true
			}
		}
		return false
	}
	if !it.all {
		for _, re := range it.regexps {
			if test(func(text []byte) bool { return m.search(re, text) }, raw, plain) {
				return true
			}
		}
		return any(it.patterns)
	}
	for _, re := range it.regexps {
		if !test(func(text []byte) bool { return m.search(re, text) }, raw, plain) {
			return false
		}
	}
	return it.eachGroup(any)
}

func (it *item) refersTo(m *Matcher, values []event.Value) bool {
	met := 0
	for _, ref := range it.refs {
		if anyPair(m, values, m.event.Values(ref.slot), ref.shape, it.cased) {
			met++
		}
	}
	if it.all {
		return met == len(it.refs)
	}
	return met > 0
}

func anyPair(m *Matcher, left, right []event.Value, s shape, cased bool) bool {
	for i := range left {
		if left[i].Kind == event.Null {
			continue
		}
		for j := range right {
			if right[j].Kind == event.Null {
				continue
			}
			a, b := left[i].Text, right[j].Text
			if !cased {
				m.folded = fold(m.folded[:0], a)
				m.other = fold(m.other[:0], b)
				a, b = m.folded, m.other
			}
			ok := false
			switch s {
			case prefix:
				ok = bytes.HasPrefix(a, b)
			case suffix:
				ok = bytes.HasSuffix(a, b)
			case contains:
				ok = bytes.Contains(a, b)
			default:
				ok = bytes.Equal(a, b)
			}
			if ok {
				return true
			}
		}
	}
	return false
}

func (it *item) inNetwork(text []byte) bool {
	a, ok := addr(text)
	if !ok {
		return false
	}
	for _, n := range it.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

func addr(text []byte) (netip.Addr, bool) {
	if len(text) == 0 || len(text) > 45 || (text[0] < '0' || text[0] > '9') && text[0] != ':' && (text[0]|0x20 < 'a' || text[0]|0x20 > 'f') {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(string(text))
	return a.Unmap(), err == nil
}

func number(text []byte) (float64, bool) {
	if len(text) == 0 || len(text) > 40 {
		return 0, false
	}
	if c := text[0]; c != '-' && c != '+' && c != '.' && (c < '0' || c > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
	return f, err == nil
}

// timePart extracts a number of a date, in the zone in which it is written.
func timePart(part string, text []byte) (float64, bool) {
	t := event.ParseTime(string(text))
	if t.IsZero() {
		return 0, false
	}
	if len(text) > 19 && text[4] == '-' { // as written, whatever the zone
		if local := event.ParseTime(string(text[:19])); !local.IsZero() {
			t = local
		}
	}
	switch part {
	case "minute":
		return float64(t.Minute()), true
	case "hour":
		return float64(t.Hour()), true
	case "day":
		return float64(t.Day()), true
	case "week":
		_, w := t.ISOWeek()
		return float64(w), true
	case "month":
		return float64(t.Month()), true
	}
	return float64(t.Year()), true
}

// unescaped returns an object's JSON text with the escapes of its strings
// undone, so that a policy document inside can be searched as it was written;
// nil where there is nothing to undo.
func unescaped(v *event.Value) []byte {
	if v.Kind != event.Object || bytes.IndexByte(v.Text, '\\') < 0 {
		return nil
	}
	return event.AppendUnescaped(nil, v.Text)
}
