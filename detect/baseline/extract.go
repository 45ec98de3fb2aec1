package baseline

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Extractor takes out of events what habits are made of, for the Learner or the
// Judge that made it. That needs no order: each of several goroutines may have an
// Extractor, and only what Cut returns is called in the order of the events.
type Extractor struct {
	hash   maphash.Seed
	places *Places
	refs   bool // whoever takes the features names the events
	take   func(*batch) error
	free   *sync.Pool // of batches
	batch  *batch

	schema *event.Schema
	fields fields
	key    []byte // scratch
	arena  event.Arena

	// What was made of texts that many events have, and that those which are kept
	// then share.
	sessions  sessions
	callers   map[string]*caller
	calls     map[string]*call
	addresses map[string]address
	networks  map[netip.Prefix]string
	programs  map[string]program
	words     map[string]string
}

// batch is what some events say, in order.
type batch struct {
	features []feature
	names    int // bytes in feature.secrets
}

// A batch is full with so many events or bytes of names.
const (
	maxBatch = 512
	maxNames = 64 << 10
)

func newBatch() *batch { return &batch{features: make([]feature, 0, maxBatch)} }

func (b *batch) reset() {
	clear(b.features)
	b.features, b.names = b.features[:0], 0
}

// feature is what one event says of its caller's habits.
type feature struct {
	at       int64  // Unix nanoseconds
	identity uint64 // hash of event.AppendIdentity; 0 where the record has no id
	id       string // where Extractor.refs
	session
	call    *call
	from    address
	region  string
	agent   string
	bucket  string
	secrets []string
	outcome outcome
	reads   bool
}

type outcome uint8

const (
	failed outcome = iota // for another reason than want of permission
	denied
	passed
)

func newExtractor(hash maphash.Seed, take func(*batch) error, free *sync.Pool) *Extractor {
	return &Extractor{hash: hash, take: take, free: free, batch: newBatch(),
		sessions: sessions{known: map[uint64]session{}}, callers: map[string]*caller{}, calls: map[string]*call{},
		addresses: map[string]address{}, networks: map[netip.Prefix]string{}, programs: map[string]program{}, words: map[string]string{}}
}

// Add takes one event, and reports whether it is time to Cut.
func (x *Extractor) Add(e *event.Event) (full bool) {
	if e.Kind != event.CloudTrail {
		return false
	}
	if s := e.Schema(); s != x.schema {
		x.schema, x.fields = s, fieldsOf(s)
	}
	t := e.Time()
	if !isTime(t) {
		return false
	}
	by := x.session(e)
	if by.who == nil {
		return false
	}
	b := x.batch
	b.features = append(b.features, feature{at: t.UnixNano(), session: by, call: x.call(e), from: made(x.addresses, e.Text(event.SlotIP), x.address)})
	f := &b.features[len(b.features)-1]
	if x.refs {
		f.id = clip(e.Ref())
	}
	if x.key = e.AppendIdentity(x.key[:0]); len(x.key) > 0 {
		f.identity = max(1, maphash.Bytes(x.hash, x.key))
	}
	if f.call.regional {
		f.region = made(x.words, e.Text(event.SlotRegion), clip)
	}
	f.agent = made(x.programs, e.Text(event.SlotAgent), programOf).from(f.from)
	f.reads = f.call.reads
	if v := x.fields.readOnly.text(e); len(v) > 0 {
		f.reads = string(v) == "true"
	}
	switch code := e.Text(event.SlotError); {
	case len(code) == 0:
		f.outcome = passed
		f.secrets = x.fields.secrets(e, f.call.secrets)
		for _, name := range f.secrets {
			b.names += len(name)
		}
		if f.call.buckets {
			f.bucket = made(x.words, x.fields.bucket.text(e), clip)
		}
	case isDenied(string(code)):
		f.outcome = denied
	}
	return len(b.features) >= maxBatch || b.names >= maxNames
}

// Cut ends a part of the events. The function that it returns adds the part to the
// Learner or the Judge: it must be called once, after those of all parts before,
// and by one goroutine at a time. Cut returns nil where nothing was added.
func (x *Extractor) Cut() func() error {
	b := x.batch
	if len(b.features) == 0 {
		return nil
	}
	var ok bool
	if x.batch, ok = x.free.Get().(*batch); !ok {
		x.batch = newBatch()
	}
	return func() error {
		err := x.take(b)
		b.reset()
		x.free.Put(b)
		return err
	}
}

// addNow adds one event without a Cut.
func (x *Extractor) addNow(e *event.Event) error {
	x.Add(e)
	err := x.take(x.batch)
	x.batch.reset()
	return err
}

// session returns who called. The members that say so are long, and in most logs
// the same in all calls of a session.
func (x *Extractor) session(e *event.Event) session {
	sum, ok := x.sessions.sum(e, x.hash)
	if ok {
		if s, known := x.sessions.find(sum); known {
			return s
		}
	}
	var s session
	typ, arn := e.Text(event.SlotIdentityType), e.Text(event.SlotIdentityARN)
	switch {
	case string(typ) == awsService: // nobody, and many
	case len(arn) == 0: // then other members say who it is
		if s.who = callerOf(e); s.who != nil {
			s.actor = clip(e.Actor())
		}
		return s
	default:
		if s.who = x.caller(e, typ, arn); s.who == nil {
			break
		}
		if s.actor = x.arena.Text(arn); ok {
			s.actor = string(arn) // to be kept alone
		}
		s.actor = clip(s.actor)
	}
	if ok && !e.Cut() { // a record that is looked at in part says nothing of the next
		keep(x.sessions.known, sum, s)
	}
	return s
}

// caller is callerOf for events with an ARN. All sessions of a role have one.
func (x *Extractor) caller(e *event.Event, typ, arn []byte) *caller {
	issuer := e.Text(event.SlotIssuerARN)
	if bytes.Contains(issuer, []byte(aRole)) && !bytes.Contains(issuer, []byte(aPermissionSet)) {
		arn = nil
	}
	x.key = x.key[:0]
	for _, text := range [...][]byte{typ, arn, issuer, e.Text(event.SlotIdentityInvokedBy), e.Text(event.SlotIdentityAccount), e.Text(event.SlotAccount)} {
		x.key = append(binary.AppendUvarint(x.key, uint64(len(text))), text...)
	}
	return made(x.callers, x.key, func(string) *caller { return callerOf(e) })
}

func (x *Extractor) call(e *event.Event) *call {
	source, name := e.Text(event.SlotSource), e.Text(event.SlotName)
	x.key = append(binary.AppendUvarint(x.key[:0], uint64(len(source))), source...)
	x.key = append(x.key, name...)
	return made(x.calls, x.key, func(string) *call { return callOf(string(source), string(name)) })
}

// address reads an address. Calls of services have the service's name in its place.
func (x *Extractor) address(ip string) address {
	if ip == "" {
		return address{}
	}
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return address{network: awsServices}
	}
	a = a.Unmap().WithZone("")
	prefix := networkOf(a)
	name, ok := x.networks[prefix]
	if !ok {
		name = prefix.String()
		keep(x.networks, prefix, name)
	}
	from := address{network: name}
	if place, ok := x.places.Find(a); ok {
		from.place = &place
	}
	return from
}

// sessions remembers who called, by a sum of the members that say so. Where that
// seldom helps, because every call has a session of its own, it rests for a while.
type sessions struct {
	known      map[uint64]session
	asked, met int
	rest       int // events
}

// sessionTest is after how many events that is decided.
const sessionTest = 1 << 13

var origin = []event.Slot{event.SlotIdentityType, event.SlotAccount} // one below each of these members

func (s *sessions) sum(e *event.Event, hash maphash.Seed) (uint64, bool) {
	if s.rest > 0 {
		s.rest--
		return 0, false
	}
	return e.Sum(hash, origin)
}

func (s *sessions) find(sum uint64) (session, bool) {
	found, ok := s.known[sum]
	if ok {
		s.met++
	}
	if s.asked++; s.asked == sessionTest {
		if s.met < sessionTest/4 {
			s.rest = 16 * sessionTest
			clear(s.known)
		}
		s.asked, s.met = 0, 0
	}
	return found, ok
}

// The bounds of what an Extractor keeps: values of a sort, and bytes of the text
// that one was made of.
const (
	maxKept     = 8192
	maxKeptText = 400
)

// made returns what was made of a text, or makes it.
func made[V any](kept map[string]V, text []byte, of func(string) V) V {
	if v, ok := kept[string(text)]; ok {
		return v
	}
	key := string(text)
	v := of(key)
	if len(key) <= maxKeptText {
		keep(kept, key, v)
	}
	return v
}

func keep[K comparable, V any](kept map[K]V, key K, v V) {
	if len(kept) >= maxKept {
		clear(kept)
	}
	kept[key] = v
}
