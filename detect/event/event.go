package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"time"
)

// Kind is the log that a record comes from. Its text is the name that rules use
// as the service of their log source.
type Kind string

// The kinds of log.
const (
	Unknown     Kind = ""
	CloudTrail  Kind = "cloudtrail"
	VPCFlow     Kind = "vpcflow"
	TransitFlow Kind = "tgwflow"
	ALB         Kind = "alb"
	NLB         Kind = "nlb"
	CLB         Kind = "clb"
	S3Access    Kind = "s3access"
	CloudFront  Kind = "cloudfront"
	WAF         Kind = "waf"
	DNS         Kind = "route53resolver"
	GuardDuty   Kind = "guardduty"
	SecurityHub Kind = "securityhub"
)

// Kinds lists the kinds of log.
func Kinds() []Kind {
	return []Kind{CloudTrail, VPCFlow, TransitFlow, ALB, NLB, CLB, S3Access, CloudFront, WAF, DNS, GuardDuty, SecurityHub}
}

// ValueKind is the JSON type of a value.
type ValueKind uint8

// The JSON types. A value of kind Array is an empty array: the elements of
// other arrays are values of their own.
const (
	Null ValueKind = iota + 1
	Bool
	Number
	String
	Object
	Array
)

// What stands in a slot until somebody asks for it: undecoded is a value's JSON
// text, undecodedArray that of an array, withinArray the text of an array in
// which the path goes on. several says that the values are in Event.many.
const (
	several        ValueKind = 0
	undecoded      ValueKind = 255
	undecodedArray ValueKind = 254
	withinArray    ValueKind = 253
)

// Value is one value of a field.
type Value struct {
	Kind ValueKind
	Text []byte // a string's meaning, an object's JSON text, else the literal
}

// String returns the value's text.
func (v Value) String() string { return string(v.Text) }

// Columns names the fields of a log of lines.
type Columns struct {
	schema *Schema
	names  []string
	slots  []Slot // −1 where nobody asks for the column
}

// NewColumns prepares the columns of a log of lines for a schema.
func NewColumns(s *Schema, names []string) *Columns {
	c := &Columns{schema: s, names: names, slots: make([]Slot, len(names))}
	for i, n := range names {
		if slot, ok := s.Slot(n); ok {
			c.slots[i] = slot
		} else {
			c.slots[i] = -1
		}
	}
	return c
}

// Event is one record. See the package's caveats for how long it is valid.
type Event struct {
	Kind   Kind
	File   string // the source it was read from
	Offset int64  // of the record within the decompressed source

	schema *Schema
	raw    []byte

	// JSON records.
	top    []span  // by child of the schema's root
	tried  []bool  // by child of the root: its slots are filled
	vals   []Value // by slot
	stamp  []uint32
	inside []*node   // by slot, where withinArray: the node of the array's elements
	many   [][]Value // by slot, where several
	now    uint32
	dotted bool    // a member's name holds a dot
	lazy   bool    // see Lazy
	after  []int16 // by child of the root, from 1: the one that came behind it last

	// Records of lines.
	columns *Columns
	fields  [][]byte
}

type span struct{ start, end uint32 }

// New returns an Event to be filled by Scan or SetFields, over and over.
func New(s *Schema) *Event {
	return &Event{
		schema: s,
		top:    make([]span, len(s.root.keys)),
		tried:  make([]bool, len(s.root.keys)),
		vals:   make([]Value, s.Len()),
		stamp:  make([]uint32, s.Len()),
		inside: make([]*node, s.Len()),
		many:   make([][]Value, s.Len()),
		after:  make([]int16, len(s.root.keys)+1),
	}
}

// Parse reads one JSON record that stands alone, as in a rule's example.
func Parse(s *Schema, kind Kind, text []byte) (*Event, error) {
	e := New(s)
	i := SkipSpace(text, 0)
	end, err := e.Scan(text, i)
	if err != nil {
		return nil, fmt.Errorf("parse event: %w", err)
	}
	if SkipSpace(text, end) != len(text) {
		return nil, fmt.Errorf("parse event: %w: text follows the record", ErrSyntax)
	}
	e.Kind = kind
	return e, nil
}

// Schema returns the schema whose slots the event knows.
func (e *Event) Schema() *Schema { return e.schema }

func (e *Event) reset() {
	clear(e.top)
	clear(e.tried)
	e.columns, e.fields, e.dotted = nil, nil, false
	e.now++
	if e.now == 0 { // the stamps of four thousand million records ago
		clear(e.stamp)
		e.now = 1
	}
}

// Scan reads the JSON object at b[i] and returns the index after it. ErrShort
// says that b ends within it. The event refers to b until the next Scan.
func (e *Event) Scan(b []byte, i int) (int, error) {
	e.reset()
	root := e.schema.root
	start := i
	e.raw = b[start:]
	if i >= len(b) {
		return 0, ErrShort
	}
	if b[i] != '{' {
		return 0, ErrSyntax
	}
	i = SkipSpace(b, i+1)
	if i < len(b) && b[i] == '}' {
		e.raw = b[start : i+1]
		return i + 1, nil
	}
	k := -1
	for {
		if i >= len(b) {
			return 0, ErrShort
		}
		if b[i] != '"' {
			return 0, ErrSyntax
		}
		j, err := skipString(b, i+1)
		if err != nil {
			return 0, err
		}
		key := b[i+1 : j]
		i = j + 1
		if i+1 < len(b) && b[i] == ':' && b[i+1] > ' ' {
			i++
		} else {
			i = SkipSpace(b, i)
			if i >= len(b) {
				return 0, ErrShort
			}
			if b[i] != ':' {
				return 0, ErrSyntax
			}
			i = SkipSpace(b, i+1)
		}
		k = e.child(key, k)
		end := 0
		if k >= 0 && k == root.hot && !e.lazy && i < len(b) && b[i] == '{' {
			// Somebody asks for this one of nearly every record: read it while
			// passing.
			if e.tried[k] {
				e.forget(root, k) // the last of members of one name counts
			}
			e.tried[k] = true
			end = e.fill(root, k, i-start, len(b)-start) + start
		}
		if end <= start {
			if i < len(b) && b[i] == '"' {
				end, err = skipString(b, i+1)
				end++
			} else {
				end, err = SkipValue(b, i)
			}
			if err != nil {
				return 0, err
			}
			if k >= 0 && e.tried[k] {
				e.forget(root, k)
				e.tried[k] = false
			}
		}
		if k >= 0 {
			e.top[k] = span{uint32(i - start), uint32(end - start)}
		} else if bytes.ContainsAny(key, `.\`) { // an escape may hide a dot
			e.dotted = true
		}
		i = end
		if i < len(b) && b[i] <= ' ' {
			i = SkipSpace(b, i)
		}
		if i >= len(b) {
			return 0, ErrShort
		}
		if b[i] == '}' {
			e.raw = b[start : i+1]
			return i + 1, nil
		}
		if b[i] != ',' {
			return 0, ErrSyntax
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = SkipSpace(b, i)
		}
	}
}

// child returns the number of a member among the schema's top-level keys, or −1.
// before is that of the member before it: records have their members in the same
// order, mostly.
func (e *Event) child(key []byte, before int) int {
	root := e.schema.root
	if guess := e.after[before+1]; len(root.keys) > 0 && root.keys[guess] == string(key) {
		return int(guess)
	}
	k := root.find(key)
	if k < 0 && bytes.IndexByte(key, '\\') >= 0 {
		k = root.find(plainText(key))
	}
	if k >= 0 {
		e.after[before+1] = int16(k)
	}
	return k
}

// SetFields makes the event a record of lines. line is the whole record.
func (e *Event) SetFields(c *Columns, line []byte, fields [][]byte) {
	e.reset()
	e.raw, e.columns, e.fields = line, c, fields
	for i, f := range fields {
		if i >= len(c.slots) {
			break
		}
		if s := c.slots[i]; s >= 0 {
			e.set(s, textValue(f))
		}
	}
}

// textValue is a field of a line: "-" stands for no value in AWS's text logs.
func textValue(f []byte) Value {
	if len(f) == 1 && f[0] == '-' {
		return Value{Null, f}
	}
	return Value{String, f}
}

func (e *Event) set(s Slot, v Value) {
	e.vals[s] = v
	e.stamp[s] = e.now
}

// Values returns the values of a field: none where it is missing, several where
// the path crosses or ends in an array. The result is valid until the next Scan.
func (e *Event) Values(s Slot) []Value {
	if e.stamp[s] == e.now {
		return e.found(s)
	}
	if e.columns != nil {
		return nil
	}
	root := e.schema.root
	k := e.schema.heads[s]
	if !e.tried[k] {
		e.tried[k] = true
		if sp := e.top[k]; sp.end > 0 {
			start, end := int(sp.start), int(sp.end)
			if root.subs[k] == nil && e.raw[start] == '"' { // the usual case
				e.set(s, Value{String, plainText(e.raw[start+1 : end-1])})
				return e.vals[s : s+1 : s+1]
			}
			if at := root.slots[k]; e.fill(root, k, start, end) == 0 && at >= 0 {
				e.set(at, Value{undecoded, e.raw[start:end]})
			}
		}
		return e.Values(s)
	}
	if e.dotted {
		if vs := lookup(e.raw, e.schema.paths[s]); vs != nil {
			e.setMany(s, vs)
			return vs
		}
	}
	return nil
}

func (e *Event) found(s Slot) []Value {
	switch v := &e.vals[s]; v.Kind {
	case several:
		return e.many[s]
	case undecoded:
		*v = scalar(v.Text)
	case undecodedArray:
		e.many[s] = flatten(e.space(s), v.Text)
		v.Kind = several
		return e.many[s]
	case withinArray:
		n, text := e.inside[s], v.Text
		for _, below := range n.below {
			e.many[below] = e.space(below)
			e.vals[below] = Value{several, text}
		}
		if !e.fillArray(n, text) {
			for _, below := range n.below {
				e.many[below] = append(e.space(below), lookup(text, e.schema.paths[below][n.skip:])...)
			}
		}
		return e.many[s]
	}
	return e.vals[s : s+1 : s+1]
}

// space is what the values of former records in a slot leave for new ones, unless
// that is a lot.
func (e *Event) space(s Slot) []Value {
	if cap(e.many[s]) > 1024 {
		return nil
	}
	return e.many[s][:0]
}

func (e *Event) setMany(s Slot, vs []Value) {
	e.many[s] = vs
	e.set(s, Value{Kind: several})
}

// forget makes the slots at and below child k of a node missing.
func (e *Event) forget(n *node, k int) {
	if s := n.slots[k]; s >= 0 {
		e.stamp[s] = e.now - 1
	}
	if n.subs[k] != nil {
		for _, s := range n.subs[k].below {
			e.stamp[s] = e.now - 1
		}
	}
}

// fill decodes the value at raw[start:end], which stands at child k of node n,
// into the slots at and below that child. Of an object end is only a bound: the
// index after it is returned, or 0 where it is not well formed.
func (e *Event) fill(n *node, k, start, end int) int {
	slot, sub := n.slots[k], n.subs[k]
	b := e.raw[:end]
	if b[start] == '[' {
		if slot >= 0 {
			e.set(slot, Value{undecodedArray, b[start:]})
		}
		if sub != nil {
			for _, s := range sub.below {
				e.inside[s] = sub
				e.set(s, Value{withinArray, b[start:]})
			}
		}
		return end
	}
	if sub != nil && b[start] == '{' {
		if end = e.fillObject(sub, b, start); end == 0 {
			return 0
		}
	}
	if slot >= 0 {
		e.set(slot, Value{undecoded, b[start:end]})
	}
	return end
}

// fillObject decodes the object at b[start] into the slots below a node, in one
// pass, and returns the index after it; 0 where it is not well formed. The last
// of members of one name counts.
func (e *Event) fillObject(n *node, b []byte, start int) int {
	i := SkipSpace(b, start+1)
	if i < len(b) && b[i] == '}' {
		return i + 1
	}
	var seen uint64 // members that were there, as far as 64 bits tell them apart
	for {
		c, at := n.member(b, i)
		if at == 0 || at >= len(b) {
			return 0
		}
		var end int
		var err error
		switch {
		case c < 0:
			end, err = SkipValue(b, at)
		default:
			if bit := uint64(1) << (c & 63); seen&bit == 0 {
				seen |= bit
			} else {
				e.forget(n, c)
			}
			if b[at] == '{' && n.subs[c] != nil {
				end = e.fill(n, c, at, len(b))
			} else if end, err = SkipValue(b, at); err == nil {
				e.fill(n, c, at, end)
			}
		}
		if err != nil || end == 0 {
			return 0
		}
		if i = next(b, end); i == 0 || b[i-1] == '}' {
			return i
		}
	}
}

// member reads the name of a member at b[i] and returns its number among the
// node's keys, −1 if it is none of them, and where the value begins; 0 for what
// is no member.
func (n *node) member(b []byte, i int) (key, value int) {
	if i >= len(b) || b[i] != '"' {
		return 0, 0
	}
	j, err := skipString(b, i+1)
	if err != nil {
		return 0, 0
	}
	name := b[i+1 : j]
	if i = j + 1; i >= len(b) || b[i] != ':' {
		if i = SkipSpace(b, i); i >= len(b) || b[i] != ':' {
			return 0, 0
		}
	}
	if i++; i < len(b) && b[i] <= ' ' {
		i = SkipSpace(b, i)
	}
	key = n.find(name)
	if key < 0 && bytes.IndexByte(name, '\\') >= 0 {
		key = n.find(plainText(name))
	}
	return key, i
}

// next returns the index of what follows the comma at b[i], or the index after
// the brace there; 0 where there is neither.
func next(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' {
		i = SkipSpace(b, i)
	}
	if i >= len(b) {
		return 0
	}
	switch b[i] {
	case '}':
		return i + 1
	case ',':
		if i++; i < len(b) && b[i] <= ' ' {
			i = SkipSpace(b, i)
		}
		return i
	}
	return 0
}

// fillArray appends the values in an array's elements to the slots below a node.
// It reports false for what only lookup reads: members of one name, or whose
// names have dots or escapes.
func (e *Event) fillArray(n *node, b []byte) bool {
	ok := true
	err := eachElement(b, 0, func(start, end int) bool {
		switch b[start] {
		case '{':
			ok = e.appendObject(n, b[start:end])
		case '[':
			ok = e.fillArray(n, b[start:end])
		}
		return ok
	})
	return ok && err == nil
}

func (e *Event) appendObject(n *node, b []byte) bool {
	i := SkipSpace(b, 1)
	if i < len(b) && b[i] == '}' {
		return true
	}
	var seen uint64
	for {
		if i >= len(b) || b[i] != '"' {
			return false
		}
		from := i + 1
		c, at := n.member(b, i)
		if at == 0 || at >= len(b) {
			return false
		}
		if c < 0 {
			if j := bytes.IndexByte(b[from:], '"'); bytes.ContainsAny(b[from:from+j], `.\`) {
				return false
			}
		}
		end, err := SkipValue(b, at)
		if err != nil {
			return false
		}
		if c >= 0 {
			if bit := uint64(1) << (c & 63); seen&bit != 0 {
				return false
			} else {
				seen |= bit
			}
			if s := n.slots[c]; s >= 0 {
				if b[at] == '[' {
					e.many[s] = flatten(e.many[s], b[at:end])
				} else {
					e.many[s] = append(e.many[s], scalar(b[at:end]))
				}
			}
			if sub := n.subs[c]; sub != nil {
				switch {
				case b[at] == '{' && !e.appendObject(sub, b[at:end]):
					return false
				case b[at] == '[' && !e.fillArray(sub, b[at:end]):
					return false
				}
			}
		}
		if i = next(b, end); i == 0 || b[i-1] == '}' {
			return i == len(b)
		}
	}
}

// scalar makes a Value of JSON text that is no array.
func scalar(t []byte) Value {
	switch t[0] {
	case '"':
		return Value{String, plainText(t[1 : len(t)-1])}
	case '{':
		return Value{Object, objectText(t)}
	case 't', 'f':
		return Value{Bool, t}
	case 'n':
		return Value{Null, t}
	case '[':
		return Value{Array, t}
	default:
		return Value{Number, t}
	}
}

// objectText is the object without white space, as AWS delivers it, so that a
// rule's text search does not depend on pretty-printing.
func objectText(t []byte) []byte {
	for _, c := range t[1:min(len(t), 3)] {
		if c == ' ' || c == '\n' || c == '\r' || c == '\t' {
			return compact(make([]byte, 0, len(t)), t)
		}
	}
	if bytes.Contains(t, spacedColon) || bytes.Contains(t, spacedComma) {
		return compact(make([]byte, 0, len(t)), t)
	}
	return t
}

// What many JSON writers put between members on one line. In a string it does
// no harm: compact leaves strings alone.
var spacedColon, spacedComma = []byte(`": `), []byte(`, "`)

// flatten appends the elements of an array, and those of arrays in it.
func flatten(dst []Value, t []byte) []Value {
	n := len(dst)
	_ = eachElement(t, 0, func(start, end int) bool {
		if t[start] == '[' {
			dst = flatten(dst, t[start:end])
		} else {
			dst = append(dst, scalar(t[start:end]))
		}
		return true
	})
	if len(dst) == n {
		dst = append(dst, Value{Array, t})
	}
	return dst
}

// lookup finds the values at a path the plain way: member by member, every
// element of an array, and a member whose name is the rest of the path.
func lookup(t []byte, path string) []Value {
	if len(t) == 0 {
		return nil
	}
	switch t[0] {
	case '[':
		var out []Value
		_ = eachElement(t, 0, func(start, end int) bool {
			out = append(out, lookup(t[start:end], path)...)
			return true
		})
		return out
	case '{':
	default:
		return nil
	}
	head, rest, nested := strings.Cut(path, ".")
	var whole, part []byte
	_, _ = eachMember(t, 0, func(m member) bool {
		if nested && string(m.key) == path {
			whole = t[m.start:m.end]
		}
		if string(m.key) == head {
			part = t[m.start:m.end]
		}
		return true
	})
	if part != nil && nested {
		if vs := lookup(part, rest); vs != nil {
			return vs
		}
		part = nil
	}
	if part == nil {
		part = whole
	}
	switch {
	case part == nil:
		return nil
	case part[0] == '[':
		return flatten(nil, part)
	default:
		return []Value{scalar(part)}
	}
}

// Lookup returns the values at a path that need not be in the schema.
func (e *Event) Lookup(path string) []Value {
	if s, ok := e.schema.Slot(path); ok {
		return e.Values(s)
	}
	if e.columns == nil {
		return lookup(e.raw, path)
	}
	for i, n := range e.columns.names {
		if n == path && i < len(e.fields) {
			return []Value{textValue(e.fields[i])}
		}
	}
	return nil
}

// Get returns the first value at a path as text: "" where it is missing or null.
func (e *Event) Get(path string) string { return first(e.Lookup(path)) }

// First returns the first of a field's values as text: "" where it is missing or
// null.
func First(values []Value) string { return first(values) }

func first(vs []Value) string { return string(firstText(vs)) }

func firstText(vs []Value) []byte {
	if len(vs) == 0 || vs[0].Kind == Null {
		return nil
	}
	return vs[0].Text
}

// Text returns the first value of a slot: nil where it is missing or null. It is
// valid until the next Scan.
func (e *Event) Text(s Slot) []byte { return firstText(e.Values(s)) }

// Lazy says whether userIdentity is left alone by Scan until somebody asks for it.
// It changes the time that takes, and nothing else.
func (e *Event) Lazy(on bool) { e.lazy = on }

// Sum hashes the JSON texts of the top-level members at which the paths of slots
// begin. Records of one sum have the same values at and below these members. It
// reports false for a record in which that does not hold.
func (e *Event) Sum(seed maphash.Seed, slots []Slot) (uint64, bool) {
	if e.columns != nil || e.dotted {
		return 0, false
	}
	h := uint64(len(slots))
	for _, s := range slots {
		sp := e.top[e.schema.heads[s]]
		h = (h ^ maphash.Bytes(seed, e.raw[sp.start:sp.end])) * 0x9E3779B97F4A7C15
		h ^= h >> 29
	}
	return h, true
}

// Serial tells the records apart that e has been filled with.
func (e *Event) Serial() uint32 { return e.now }

// Raw returns the record's text: JSON or a line. It is valid as long as the event.
func (e *Event) Raw() []byte { return e.raw }

// IsText reports whether the record is a line, not JSON.
func (e *Event) IsText() bool { return e.columns != nil }

// Fields calls visit with every column of a record of lines.
func (e *Event) Fields(visit func(name string, value []byte)) {
	for i, f := range e.fields {
		visit(e.columns.names[i], f)
	}
}

// Document returns the record as JSON-shaped values.
func (e *Event) Document() (map[string]any, error) {
	if e.columns != nil {
		doc := map[string]any{}
		e.Fields(func(name string, v []byte) { doc[name] = string(v) })
		return doc, nil
	}
	d := json.NewDecoder(bytes.NewReader(e.raw))
	d.UseNumber()
	var doc map[string]any
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("decode event at offset %d of %s: %w", e.Offset, e.File, err)
	}
	return doc, nil
}

// Clone returns a copy that stays valid.
func (e *Event) Clone() *Event {
	c := New(e.schema)
	if e.columns == nil {
		_, _ = c.Scan(bytes.Clone(e.raw), 0)
	} else {
		fields := make([][]byte, len(e.fields))
		for i, f := range e.fields {
			fields[i] = bytes.Clone(f)
		}
		c.SetFields(e.columns, bytes.Clone(e.raw), fields)
	}
	c.Kind, c.File, c.Offset = e.Kind, e.File, e.Offset
	return c
}

// parseTime reads the times that AWS's logs hold: RFC 3339 with or without a
// zone, seconds or milliseconds since 1970.
func parseTime(s []byte) time.Time {
	if t, ok := parseZulu(s); ok {
		return t
	}
	if len(s) >= 19 && s[4] == '-' && (s[10] == 'T' || s[10] == ' ') {
		text := string(s)
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700"} {
			if t, err := time.Parse(layout, text); err == nil {
				return t.UTC()
			}
		}
		return time.Time{}
	}
	var n int64
	for i, c := range s {
		if c == '.' && i > 0 {
			break // fractions of a second
		}
		if c < '0' || c > '9' || i > 15 {
			return time.Time{}
		}
		n = n*10 + int64(c-'0')
	}
	switch {
	case len(s) == 0 || n > maxMillis:
		return time.Time{}
	case n > 1e11:
		return time.UnixMilli(n).UTC()
	default:
		return time.Unix(n, 0).UTC()
	}
}

// parseZulu reads the form that CloudTrail writes: 2006-01-02T15:04:05Z.
func parseZulu(s []byte) (time.Time, bool) {
	if len(s) != 20 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != 'Z' {
		return time.Time{}, false
	}
	var n [6]int
	for i, at := range [6]int{0, 5, 8, 11, 14, 17} {
		end := at + 2
		if i == 0 {
			end = at + 4
		}
		for _, c := range s[at:end] {
			if c < '0' || c > '9' {
				return time.Time{}, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	if n[1] < 1 || n[1] > 12 || n[2] < 1 || n[2] > 28 || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return time.Time{}, false // the days that not every month has are the library's business
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, time.UTC), true
}

// maxMillis is the end of the year 9999; later times are nonsense, and JSON has
// no form for them.
const maxMillis = 253402300799999

// ParseTime reads a time as AWS's logs write it; zero where it is none.
func ParseTime(s string) time.Time { return parseTime([]byte(s)) }
