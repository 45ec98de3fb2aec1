package derive

import (
	"bytes"
	"hash/maphash"
)

// memory is the records of calls that were made before with the same request and
// answer: programs put the same policy again and again, and a policy takes longer
// to read than all the rest of a record.
type memory struct {
	seed    maphash.Seed
	seen    [256]uint64 // hashes of calls that were met once
	records map[uint64]*record
	bytes   int // of their requests and answers
}

// The bounds of what is remembered: of one call, and of all before they are
// forgotten.
const maxRemembered, maxRecords, maxBytes = 16 << 10, 64, 256 << 10

// record returns the record of a call: the former one where it was remembered.
func (m *memory) record(r record) *record {
	n := len(r.request.text) + len(r.response.text)
	if n == 0 || n > maxRemembered {
		return &r
	}
	h := m.hash(&r)
	if old := m.records[h]; old != nil && old.same(&r) {
		return old
	}
	if at := &m.seen[h%uint64(len(m.seen))]; *at != h {
		*at = h
		return &r
	}
	if len(m.records) == maxRecords || m.bytes+n > maxBytes || m.records == nil {
		m.records, m.bytes = map[uint64]*record{}, 0
	}
	r.request.text, r.response.text = bytes.Clone(r.request.text), bytes.Clone(r.response.text)
	m.records[h] = &r
	m.bytes += n
	return &r
}

func (m *memory) hash(r *record) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, s := range []string{r.source, r.name, r.account} {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	_, _ = h.Write(r.request.text)
	_ = h.WriteByte(0)
	_, _ = h.Write(r.response.text)
	return h.Sum64()
}

func (r *record) same(o *record) bool {
	return r.source == o.source && r.name == o.name && r.account == o.account &&
		bytes.Equal(r.request.text, o.request.text) && bytes.Equal(r.response.text, o.response.text)
}
