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
		if slot, ok := s.Slot(n); ok && s.heads[slot] >= 0 {
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
	tops   []top   // by child of the schema's root
	vals   []Value // by slot
	stamp  []uint32
	inside []*node   // by slot, where withinArray: the node of the array's elements
	many   [][]Value // by slot, where several
	now    uint32
	dotted bool // a top-level member's name holds a dot
	inner  bool // so does one further down
	lazy   bool // see Lazy
	habits habits
	marks  marks

	time     time.Time // of the last CloudTrail record that was asked
	timeText []byte
	room     int  // for values of fields that have several
	slow     int  // bytes that may still be looked through the plain way
	cut      bool // see Cut
	note     any  // see Note
	noted    bool
	memory   any // see Memory

	// Records of lines.
	columns *Columns
	fields  [][]byte
}

// top is where a member of the record stands. It is of the record whose number is
// in set; tried is the number of the last record of which its slots were filled.
type top struct{ start, end, set, tried uint32 }

// top returns where a member stands: zeroes where it is missing.
func (e *Event) top(k int) (start, end int) {
	if t := &e.tops[k]; t.set == e.now {
		return int(t.start), int(t.end)
	}
	return 0, 0
}

// New returns an Event to be filled by Scan or SetFields, over and over.
func New(s *Schema) *Event {
	return &Event{
		schema: s,
		tops:   make([]top, len(s.root.keys)),
		vals:   make([]Value, s.Len()),
		stamp:  make([]uint32, s.Len()),
		inside: make([]*node, s.Len()),
		many:   make([][]Value, s.Len()),
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
	e.columns, e.fields, e.dotted, e.inner = nil, nil, false, false
	if maxValues-e.room > maxKept { // no record is to keep the memory that one hostile record took
		for s := range e.many {
			if cap(e.many[s]) > maxKept {
				e.many[s] = nil
			}
		}
	}
	e.room, e.slow, e.cut = maxValues, maxSlow, false
	if e.noted {
		e.note, e.noted = nil, false
	}
	e.now++
	if e.now == 0 { // the stamps of four thousand million records ago
		clear(e.stamp)
		clear(e.tops)
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
	member := 0 // of the habits
	marked := canMark
	if marked {
		e.marks.start(b, i)
	}
	for {
		if i >= len(b) {
			return 0, ErrShort
		}
		var k int
		if next := e.habits.next(member, b[i:]); next > 0 {
			member = next
			m := &e.habits.members[member]
			i += len(m.head)
			k = int(m.child)
			if i < len(b) && b[i] <= ' ' {
				i = SkipSpace(b, i)
			}
		} else {
			key, value, err := nextKey(b, i)
			if err != nil {
				return 0, err
			}
			k = root.find(key)
			if k < 0 && bytes.IndexByte(key, '.') >= 0 {
				e.dotted, member = true, 0
			} else if e.now > 1 {
				member = e.habits.learn(member, b[i:value], k)
			}
			i = value
		}
		end := 0
		if k >= 0 && k == root.hot && !e.lazy && !marked && i < len(b) && b[i] == '{' {
			// Somebody asks for this one of nearly every record: read it while
			// passing.
			if e.tops[k].tried == e.now {
				e.forget(root, k) // the last of members of one name counts
			}
			e.tops[k].tried = e.now
			end = e.fill(root, k, i-start, len(b)-start) + start
		}
		if end <= start {
			var err error
			if marked {
				end, err = e.marks.skip(i)
			} else {
				end, err = e.skipMember(member, b, i)
			}
			if err != nil {
				return 0, err
			}
			if k >= 0 && e.tops[k].tried == e.now {
				e.forget(root, k)
				e.tops[k].tried = 0
			}
		}
		if k >= 0 {
			t := &e.tops[k]
			t.start, t.end, t.set = uint32(i-start), uint32(end-start), e.now
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

// skipMember returns the index after the value at b[i] of a member of the habits.
func (e *Event) skipMember(member int, b []byte, i int) (int, error) {
	if member == 0 {
		return SkipValue(b, i)
	}
	if end := e.habits.former[member].recall(b, i); end > 0 {
		return end, nil
	}
	end, err := SkipValue(b, i)
	if err == nil {
		e.habits.remember(member, b, i, end)
	}
	return end, err
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
	root := e.schema.root
	k := e.schema.heads[s]
	if k < 0 {
		return e.derived(s)
	}
	if e.columns != nil {
		return nil
	}
	if e.tops[k].tried != e.now {
		e.tops[k].tried = e.now
		if start, end := e.top(k); end > 0 {
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
		if vs := e.lookup(e.raw, e.schema.paths[s]); vs != nil {
			e.setMany(s, vs)
			return vs
		}
	} else if path := e.schema.paths[s]; e.inner && len(path) > len(root.keys[k]) {
		start, end := e.top(k)
		if vs := e.lookup(e.raw[start:end], path[len(root.keys[k])+1:]); vs != nil {
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
		e.many[s] = e.flatten(e.space(s), v.Text)
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
				e.many[below] = append(e.space(below), e.lookup(text, e.schema.paths[below][n.skip:])...)
			}
		}
		return e.many[s]
	}
	return e.vals[s : s+1 : s+1]
}

// space is what the values of former records in a slot leave for new ones, unless
// that is a lot.
func (e *Event) space(s Slot) []Value {
	if cap(e.many[s]) > maxKept {
		return nil
	}
	return e.many[s][:0]
}

func (e *Event) setMany(s Slot, vs []Value) {
	e.many[s] = vs
	e.set(s, Value{Kind: several})
}

// Lookup returns the values at a path that need not be in the schema.
func (e *Event) Lookup(path string) []Value {
	if s, ok := e.schema.Slot(path); ok {
		return e.Values(s)
	}
	if strings.HasPrefix(path, DerivedPrefix) {
		return e.lookupDerived(path)
	}
	if e.columns == nil {
		return e.lookup(e.raw, path)
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

// Lazy says whether userIdentity is left alone by Scan until somebody asks for it,
// as it always is where marks find its end.
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
		start, end := e.top(e.schema.heads[s])
		h = (h ^ maphash.Bytes(seed, e.raw[start:end])) * 0x9E3779B97F4A7C15
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
