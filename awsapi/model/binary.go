package model

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
)

// The compact form is a table of strings followed by varints that point into
// it. Optional fields stand behind a bit mask; shapes are numbered in the order
// of Service.Shapes, 0 meaning none.

type encoder struct {
	body    []byte
	strings map[string]uint64
	order   []string
	shapes  map[*Shape]uint64
}

func (e *encoder) uint(v uint64) { e.body = binary.AppendUvarint(e.body, v) }
func (e *encoder) int(v int)     { e.uint(uint64(max(v, 0))) }

func (e *encoder) text(s string) {
	i, ok := e.strings[s]
	if !ok {
		i = uint64(len(e.order))
		e.strings[s] = i
		e.order = append(e.order, s)
	}
	e.uint(i)
}

func (e *encoder) texts(list []string) {
	e.int(len(list))
	for _, s := range list {
		e.text(s)
	}
}

func (e *encoder) ref(s *Shape) { e.uint(e.shapes[s]) }

// optional writes which of the fields are set, then those that are.
type field struct {
	set   bool
	write func()
}

func (e *encoder) optional(fields ...field) {
	var mask uint64
	for i, f := range fields {
		if f.set {
			mask |= 1 << i
		}
	}
	e.uint(mask)
	for _, f := range fields {
		if f.set && f.write != nil {
			f.write()
		}
	}
}

func (e *encoder) opt(s string) field { return field{s != "", func() { e.text(s) }} }

func (e *encoder) ns(n Namespace) field {
	return field{n != Namespace{}, func() { e.text(n.Prefix); e.text(n.URI) }}
}

func flag(b bool) field { return field{set: b} }

// Encode returns the compact form of the service.
func Encode(s *Service) []byte {
	e := &encoder{strings: map[string]uint64{}, shapes: map[*Shape]uint64{}}
	for i, sh := range s.Shapes {
		e.shapes[sh] = uint64(i + 1)
	}
	members := 0
	for _, sh := range s.Shapes {
		members += len(sh.Members)
		for _, m := range []*Member{sh.Element, sh.Key, sh.Value} {
			if m != nil {
				members++
			}
		}
	}
	for _, t := range []string{s.Name, s.ID, s.FullName, s.APIVersion, s.EndpointPrefix, s.SigningName, s.SignatureVersion, string(s.Protocol), s.JSONVersion, s.TargetPrefix, s.XMLNamespace} {
		e.text(t)
	}
	e.optional(flag(s.QueryCompatible))
	e.texts(s.Auth)
	e.int(len(s.Protocols))
	for _, p := range s.Protocols {
		e.text(string(p))
	}
	e.int(members)
	e.int(len(s.Shapes))
	for _, sh := range s.Shapes {
		e.shape(sh)
	}
	e.int(len(s.Operations))
	for _, op := range s.Operations {
		e.operation(op)
	}
	e.waiters(s.Waiters)
	e.endpoints(s.Endpoints)
	e.texts(s.Regions)

	var out []byte
	out = binary.AppendUvarint(out, uint64(len(e.order)))
	for _, t := range e.order {
		out = binary.AppendUvarint(out, uint64(len(t)))
	}
	for _, t := range e.order {
		out = append(out, t...)
	}
	return append(out, e.body...)
}

func (e *encoder) shape(sh *Shape) {
	e.text(sh.Name)
	e.int(int(sh.Kind))
	e.optional(
		e.opt(sh.Payload), e.opt(sh.TimestampFormat), e.opt(sh.LocationName), e.ns(sh.Namespace),
		field{len(sh.Enum) > 0, func() { e.texts(sh.Enum) }},
		field{sh.HasMin, func() { e.uint(math.Float64bits(sh.Min)) }},
		field{sh.HasMax, func() { e.uint(math.Float64bits(sh.Max)) }},
		flag(sh.Flattened), flag(sh.Wrapper), flag(sh.Union), flag(sh.Document), flag(sh.Sensitive), flag(sh.Streaming),
		flag(sh.EventStream), flag(sh.Event), flag(sh.Sparse), flag(sh.Exception), flag(sh.Fault),
		e.opt(sh.ErrorCode), field{sh.ErrorStatus != 0, func() { e.int(sh.ErrorStatus) }},
	)
	switch sh.Kind {
	case Structure:
		e.int(len(sh.Members))
		for _, m := range sh.Members {
			e.member(m)
		}
	case List:
		e.member(sh.Element)
	case Map:
		e.member(sh.Key)
		e.member(sh.Value)
	}
}

func (e *encoder) member(m *Member) {
	e.text(m.Name)
	e.ref(m.Shape)
	e.optional(
		field{m.Location != Body, func() { e.int(int(m.Location)) }},
		e.opt(m.LocationName), e.opt(m.QueryName), e.ns(m.Namespace), e.opt(m.ContextParam), e.opt(m.TimestampFormat),
		flag(m.Required), flag(m.Flattened), flag(m.XMLAttribute), flag(m.IdempotencyToken), flag(m.HostLabel),
		flag(m.JSONValue), flag(m.Streaming), flag(m.EventPayload), flag(m.Deprecated),
	)
}

func (e *encoder) operation(op *Operation) {
	e.text(op.Name)
	e.text(op.Method)
	e.text(op.URI)
	e.int(op.HTTPStatus)
	e.ref(op.Input)
	e.ref(op.Output)
	e.int(len(op.Errors))
	for _, sh := range op.Errors {
		e.ref(sh)
	}
	e.optional(
		e.opt(op.InputName), e.ns(op.InputNamespace), e.opt(op.ResultWrapper), e.opt(op.HostPrefix),
		flag(op.ReadOnly), flag(op.Idempotent), flag(op.Deprecated), flag(op.NoAuth), flag(op.UnsignedBody),
		flag(op.Checksum.Required), e.opt(op.Checksum.Member),
		field{len(op.Checksum.Responses) > 0, func() { e.texts(op.Checksum.Responses) }},
		field{op.Paginator != nil, func() {
			p := op.Paginator
			e.texts(p.InputTokens)
			e.texts(p.OutputTokens)
			e.texts(p.ResultKeys)
			e.texts(p.NonAggregate)
			e.text(p.MoreResults)
			e.text(p.LimitKey)
		}},
		field{op.Endpoint != 0, func() { e.int(op.Endpoint) }},
	)
}

func (e *encoder) waiters(list []*Waiter) {
	e.int(len(list))
	for _, w := range list {
		e.text(w.Name)
		e.text(w.Operation)
		e.int(w.Delay)
		e.int(w.MaxAttempts)
		e.int(len(w.Acceptors))
		for _, a := range w.Acceptors {
			expected, err := json.Marshal(a.Expected)
			if err != nil { // the value came from JSON
				expected = []byte("null")
			}
			e.text(a.Matcher)
			e.text(a.Argument)
			e.text(a.State)
			e.text(string(expected))
		}
	}
}

func (e *encoder) endpoints(list []Endpoints) {
	e.int(len(list))
	for _, set := range list {
		for _, variant := range set.Variants {
			e.int(len(variant))
			for _, ep := range variant {
				e.text(ep.Partition)
				e.texts(ep.Regions)
				e.text(ep.URL)
				e.text(ep.SigningName)
				e.text(ep.SigningRegion)
				e.text(ep.Error)
			}
		}
	}
}

type decoder struct {
	data    []byte
	strings []string
	shapes  []Shape
	members []Member
	err     error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.data = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.data)
	if n <= 0 {
		d.fail("the data ends early")
		return 0
	}
	d.data = d.data[n:]
	return v
}

// count reads how many things follow; each takes at least one byte.
func (d *decoder) count() int {
	v := d.uint()
	if v > uint64(len(d.data)) {
		d.fail("%d things announced in %d bytes", v, len(d.data))
		return 0
	}
	return int(v)
}

func (d *decoder) int() int { return int(d.uint() & math.MaxInt32) }

func (d *decoder) text() string {
	i := d.uint()
	if i >= uint64(len(d.strings)) {
		d.fail("string %d of %d", i, len(d.strings))
		return ""
	}
	return d.strings[i]
}

func (d *decoder) texts() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.text()
	}
	return out
}

func (d *decoder) ref() *Shape {
	i := d.uint()
	switch {
	case i == 0:
		return nil
	case i > uint64(len(d.shapes)):
		d.fail("shape %d of %d", i, len(d.shapes))
		return nil
	}
	return &d.shapes[i-1]
}

// Decode reads the compact form.
func Decode(data []byte) (*Service, error) {
	d := &decoder{data: data}
	n := d.count()
	lengths, total := make([]int, n), 0
	for i := range lengths {
		lengths[i] = d.count()
		total += lengths[i]
	}
	if d.err == nil && total > len(d.data) {
		d.fail("the strings end early")
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode service model: %w", d.err)
	}
	all := string(d.data[:total])
	d.data = d.data[total:]
	d.strings = make([]string, n)
	for i, l := range lengths {
		d.strings[i], all = all[:l], all[l:]
	}
	s := d.service()
	if d.err == nil && len(d.data) != 0 {
		d.fail("%d bytes too many", len(d.data))
	}
	if d.err != nil {
		return nil, fmt.Errorf("decode service model: %w", d.err)
	}
	s.index()
	return s, nil
}

func (d *decoder) service() *Service {
	s := &Service{
		Name: d.text(), ID: d.text(), FullName: d.text(), APIVersion: d.text(), EndpointPrefix: d.text(),
		SigningName: d.text(), SignatureVersion: d.text(), Protocol: Protocol(d.text()), JSONVersion: d.text(),
		TargetPrefix: d.text(), XMLNamespace: d.text(),
	}
	s.QueryCompatible = d.uint()&1 != 0
	s.Auth = d.texts()
	for range d.count() {
		s.Protocols = append(s.Protocols, Protocol(d.text()))
	}
	d.members = make([]Member, d.count())
	d.shapes = make([]Shape, d.count())
	s.Shapes = make([]*Shape, len(d.shapes))
	for i := range d.shapes {
		s.Shapes[i] = &d.shapes[i]
		d.shape(&d.shapes[i])
	}
	operations := make([]Operation, d.count())
	s.Operations = make([]*Operation, len(operations))
	for i := range operations {
		s.Operations[i] = &operations[i]
		d.operation(&operations[i])
	}
	d.waiters(s)
	d.endpoints(s)
	s.Regions = d.texts()
	return s
}

// mask hands out the bits of an optional block in order.
type mask uint64

func (m *mask) next() bool {
	set := *m&1 != 0
	*m >>= 1
	return set
}

func (d *decoder) opt(m *mask) string {
	if m.next() {
		return d.text()
	}
	return ""
}

func (d *decoder) ns(m *mask) Namespace {
	if m.next() {
		return Namespace{Prefix: d.text(), URI: d.text()}
	}
	return Namespace{}
}

func (d *decoder) shape(sh *Shape) {
	sh.Name = d.text()
	sh.Kind = Kind(d.int())
	m := mask(d.uint())
	sh.Payload, sh.TimestampFormat, sh.LocationName, sh.Namespace = d.opt(&m), d.opt(&m), d.opt(&m), d.ns(&m)
	if m.next() {
		sh.Enum = d.texts()
	}
	if sh.HasMin = m.next(); sh.HasMin {
		sh.Min = math.Float64frombits(d.uint())
	}
	if sh.HasMax = m.next(); sh.HasMax {
		sh.Max = math.Float64frombits(d.uint())
	}
	for _, b := range []*bool{&sh.Flattened, &sh.Wrapper, &sh.Union, &sh.Document, &sh.Sensitive, &sh.Streaming, &sh.EventStream, &sh.Event, &sh.Sparse, &sh.Exception, &sh.Fault} {
		*b = m.next()
	}
	sh.ErrorCode = d.opt(&m)
	if m.next() {
		sh.ErrorStatus = d.int()
	}
	switch sh.Kind {
	case Structure:
		n := d.count()
		if n > 0 {
			sh.Members = make([]*Member, n)
		}
		for i := range sh.Members {
			sh.Members[i] = d.member()
		}
	case List:
		sh.Element = d.member()
	case Map:
		sh.Key, sh.Value = d.member(), d.member()
	}
}

func (d *decoder) member() *Member {
	if len(d.members) == 0 {
		d.fail("more members than announced")
		return &Member{}
	}
	m := &d.members[0]
	d.members = d.members[1:]
	m.Name = d.text()
	if m.Shape = d.ref(); m.Shape == nil {
		d.fail("member %q has no shape", m.Name)
	}
	bits := mask(d.uint())
	if bits.next() {
		m.Location = Location(d.int())
	}
	m.LocationName, m.QueryName, m.Namespace = d.opt(&bits), d.opt(&bits), d.ns(&bits)
	m.ContextParam, m.TimestampFormat = d.opt(&bits), d.opt(&bits)
	for _, b := range []*bool{&m.Required, &m.Flattened, &m.XMLAttribute, &m.IdempotencyToken, &m.HostLabel, &m.JSONValue, &m.Streaming, &m.EventPayload, &m.Deprecated} {
		*b = bits.next()
	}
	return m
}

func (d *decoder) operation(op *Operation) {
	op.Name, op.Method, op.URI, op.HTTPStatus = d.text(), d.text(), d.text(), d.int()
	op.Input, op.Output = d.ref(), d.ref()
	for range d.count() {
		if sh := d.ref(); sh != nil {
			op.Errors = append(op.Errors, sh)
		}
	}
	m := mask(d.uint())
	op.InputName, op.InputNamespace, op.ResultWrapper, op.HostPrefix = d.opt(&m), d.ns(&m), d.opt(&m), d.opt(&m)
	for _, b := range []*bool{&op.ReadOnly, &op.Idempotent, &op.Deprecated, &op.NoAuth, &op.UnsignedBody, &op.Checksum.Required} {
		*b = m.next()
	}
	op.Checksum.Member = d.opt(&m)
	if m.next() {
		op.Checksum.Responses = d.texts()
	}
	if m.next() {
		op.Paginator = &Paginator{InputTokens: d.texts(), OutputTokens: d.texts(), ResultKeys: d.texts(), NonAggregate: d.texts(), MoreResults: d.text(), LimitKey: d.text()}
	}
	if m.next() {
		op.Endpoint = d.int()
	}
}

func (d *decoder) waiters(s *Service) {
	for range d.count() {
		w := &Waiter{Name: d.text(), Operation: d.text(), Delay: d.int(), MaxAttempts: d.int()}
		for range d.count() {
			a := Acceptor{Matcher: d.text(), Argument: d.text(), State: d.text()}
			if err := json.Unmarshal([]byte(d.text()), &a.Expected); err != nil && d.err == nil {
				d.fail("waiter %s: %v", w.Name, err)
			}
			w.Acceptors = append(w.Acceptors, a)
		}
		s.Waiters = append(s.Waiters, w)
	}
}

func (d *decoder) endpoints(s *Service) {
	for range d.count() {
		var set Endpoints
		for i := range set.Variants {
			for range d.count() {
				set.Variants[i] = append(set.Variants[i], Endpoint{
					Partition: d.text(), Regions: d.texts(), URL: d.text(), SigningName: d.text(), SigningRegion: d.text(), Error: d.text(),
				})
			}
		}
		s.Endpoints = append(s.Endpoints, set)
	}
}
