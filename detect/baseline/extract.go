package baseline

import (
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Extractor takes out of events what habits are made of, for the Learner or the
// Judge that made it. That needs no order: each of several goroutines may have an
// Extractor, and only what Cut returns is called in the order of the events.
type Extractor struct {
	hash   maphash.Seed
	places *Places
	take   func(*batch) error
	free   *sync.Pool // of batches
	batch  *batch

	schema *event.Schema
	origin []event.Slot // one below each member that says who called
	fields fields
	key    []byte // scratch

	// What was made of texts that many events have. Events that are kept share
	// these texts.
	callers   map[uint64]*caller // by the sum of the members that say who called
	calls     map[string]*call
	addresses map[string]address
	programs  map[string]program
	words     map[string]string // clipped
	names     map[string]string // of callers, as they are
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
	id       string
	who      *caller
	call     *call
	from     address
	region   string
	agent    string
	bucket   string
	secrets  []string
	outcome  outcome
	reads    bool
}

type outcome uint8

const (
	failed outcome = iota // for another reason than want of permission
	denied
	passed
)

func newExtractor(hash maphash.Seed, places *Places, take func(*batch) error, free *sync.Pool) *Extractor {
	return &Extractor{hash: hash, places: places, take: take, free: free, batch: newBatch(), callers: map[uint64]*caller{}, calls: map[string]*call{},
		addresses: map[string]address{}, programs: map[string]program{}, words: map[string]string{}, names: map[string]string{}}
}

// Add takes one event, and reports whether it is time to Cut.
func (x *Extractor) Add(e *event.Event) (full bool) {
	if e.Kind != event.CloudTrail {
		return false
	}
	if s := e.Schema(); s != x.schema {
		x.schema, x.fields = s, fieldsOf(s)
		x.origin = []event.Slot{event.SlotIdentityType, event.SlotAccount}
	}
	t := e.Time()
	if !isTime(t) {
		return false
	}
	who := x.caller(e)
	if who == nil {
		return false
	}
	b := x.batch
	b.features = append(b.features, feature{at: t.UnixNano(), id: clip(e.Ref()), who: who, call: x.call(e),
		from: made(x.addresses, e.Text(event.SlotIP), x.address)})
	f := &b.features[len(b.features)-1]
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

// caller returns whose habits an event belongs to, or nil. The members that say so
// are long, and the same in all calls of a session.
func (x *Extractor) caller(e *event.Event) *caller {
	sum, ok := e.Sum(x.hash, x.origin)
	if ok {
		if c, known := x.callers[sum]; known {
			return c
		}
	}
	c := callerOf(e)
	if c != nil {
		for _, s := range []*string{&c.key, &c.group, &c.actor, &c.account} {
			*s = made(x.names, []byte(*s), strings.Clone)
		}
	}
	// Without an ARN, other members may say who it is; a record that is looked at
	// in part says nothing of the next.
	if ok && len(e.Text(event.SlotIdentityARN)) > 0 && !e.Cut() {
		keep(x.callers, sum, c)
	}
	return c
}

func (x *Extractor) call(e *event.Event) *call {
	source, name := e.Text(event.SlotSource), e.Text(event.SlotName)
	x.key = binary.AppendUvarint(x.key[:0], uint64(len(source)))
	x.key = append(append(x.key, source...), name...)
	return made(x.calls, x.key, func(string) *call { return callOf(string(source), string(name)) })
}

func (x *Extractor) address(ip string) address {
	a := address{network: network(ip)}
	if place, ok := x.places.Find(ip); ok {
		a.place = &place
	}
	return a
}

// The bounds of what an Extractor keeps: values of a sort, and bytes of the texts
// that they were made of.
const (
	maxKept     = 16_384
	maxKeptText = 512
)

// made returns what was made of a text, or makes it.
func made[V any](kept map[string]V, text []byte, of func(string) V) V {
	if v, ok := kept[string(text)]; ok {
		return v
	}
	v := of(string(text))
	if len(text) <= maxKeptText {
		keep(kept, string(text), v)
	}
	return v
}

func keep[K comparable, V any](kept map[K]V, key K, v V) {
	if len(kept) >= maxKept {
		clear(kept)
	}
	kept[key] = v
}
