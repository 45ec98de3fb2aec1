package event

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Slot is the number of a field in a Schema.
type Slot int

// Schema is the set of field paths that somebody will ask for. It is immutable
// and safe for concurrent use.
type Schema struct {
	paths []string
	slots map[string]Slot
	root  *node
	heads []int // by slot: the child of the root where its path begins; −1 of a derived one

	find   func(path string) Derive
	derive []Derive // by slot
}

// The fields that every Schema holds, so that an Event can name itself: those of
// CloudTrail by their slots.
const (
	SlotSource Slot = iota
	SlotName
	SlotTime
	SlotID
	SlotType
	SlotRegion
	SlotAccount
	SlotIP
	SlotAgent
	SlotError
	SlotErrorMessage
	SlotCategory
	SlotShared
	SlotIdentityType
	SlotIdentityARN
	SlotIdentityAccount
	SlotIdentityPrincipal
	SlotIdentityUser
	SlotIdentityKey
	SlotIdentityInvokedBy
	SlotIssuerARN

	// What tells the kinds of record apart.
	slotVersion
	slotDetail
	slotDetailType
	slotLookup
	slotMessage
	slotMessageUpper
	slotBody
	slotWebACL
	slotQueryName
	slotProductARN
	slotGuardDuty
	slotGuardDutyUpper
	slotFindingType
	slotFindingTypeUpper
	slotDigest
	slotRecords
	slotEvents
	slotEventsLower
	slotLogEvents
	slotFindings
	slotFindingsLower
	slotRows
	slotInsights
	slotMetadata
)

var standard = []string{
	"eventSource", "eventName", "eventTime", "eventID", "eventType", "awsRegion", "recipientAccountId",
	"sourceIPAddress", "userAgent", "errorCode", "errorMessage", "eventCategory", "sharedEventID",
	"userIdentity.type", "userIdentity.arn", "userIdentity.accountId", "userIdentity.principalId",
	"userIdentity.userName", "userIdentity.accessKeyId", "userIdentity.invokedBy",
	"userIdentity.sessionContext.sessionIssuer.arn",
	"eventVersion", "detail", "detail-type", "CloudTrailEvent", "message", "Message", "body", "webaclId",
	"query_name", "ProductArn", "service.detectorId", "Service.DetectorId", "type", "Type", "digestS3Bucket",
	"Records", "Events", "events", "logEvents", "Findings", "findings", "QueryResultRows", "insightDetails",
	"eventData",
}

// NewSchema compiles field paths. Duplicates are fine.
func NewSchema(paths ...string) *Schema {
	s := &Schema{slots: map[string]Slot{}, root: &node{}}
	for _, p := range append(slices.Clone(standard), paths...) {
		if _, ok := s.slots[p]; ok {
			continue
		}
		slot := Slot(len(s.paths))
		s.slots[p] = slot
		s.paths = append(s.paths, p)
		if !strings.HasPrefix(p, DerivedPrefix) {
			s.root.add(strings.Split(p, "."), slot)
		}
	}
	s.root.finish()
	s.root.hot = s.root.find([]byte("userIdentity"))
	for _, p := range s.paths {
		k := -1
		if !strings.HasPrefix(p, DerivedPrefix) {
			head, _, _ := strings.Cut(p, ".")
			k = s.root.find([]byte(head))
		}
		s.heads = append(s.heads, k)
	}
	return s
}

// Slot returns the slot of a path that was given to NewSchema.
func (s *Schema) Slot(path string) (Slot, bool) {
	n, ok := s.slots[path]
	return n, ok
}

// Path returns the path of a slot.
func (s *Schema) Path(n Slot) string { return s.paths[n] }

// Below returns the slots whose paths begin with the same top-level member as that
// of n, n among them.
func (s *Schema) Below(n Slot) []Slot {
	var out []Slot
	for m := range s.heads {
		if s.heads[m] == s.heads[n] {
			out = append(out, Slot(m))
		}
	}
	return out
}

// Len returns the number of slots.
func (s *Schema) Len() int { return len(s.paths) }

// node is one level of the tree of paths.
type node struct {
	keys  []string
	slots []Slot  // of the path that ends at the key, or −1
	subs  []*node // what is asked for below the key, or nil
	table []int16 // open addressing over keyHash; −1 is empty
	below []Slot  // every slot under this node
	skip  int     // length of the path up to this node, with its last dot
	hot   int     // of the root: the key that nearly every record is asked for, or −1
}

func (n *node) add(segments []string, slot Slot) {
	n.below = append(n.below, slot)
	i := slices.Index(n.keys, segments[0])
	if i < 0 {
		i = len(n.keys)
		n.keys = append(n.keys, segments[0])
		n.slots = append(n.slots, -1)
		n.subs = append(n.subs, nil)
	}
	if len(segments) == 1 {
		n.slots[i] = slot
		return
	}
	if n.subs[i] == nil {
		n.subs[i] = &node{skip: n.skip + len(segments[0]) + 1}
	}
	n.subs[i].add(segments[1:], slot)
}

func (n *node) finish() {
	size := 8
	for size < 4*len(n.keys) {
		size *= 2
	}
	n.table = make([]int16, size)
	for i := range n.table {
		n.table[i] = -1
	}
	for i, k := range n.keys {
		h := keyHash([]byte(k)) & (size - 1)
		for n.table[h] >= 0 {
			h = (h + 1) & (size - 1)
		}
		n.table[h] = int16(i)
		if n.subs[i] != nil {
			n.subs[i].finish()
		}
	}
}

// find returns the index of a key, or −1.
func (n *node) find(key []byte) int {
	mask := len(n.table) - 1
	for h := keyHash(key) & mask; ; h = (h + 1) & mask {
		i := n.table[h]
		if i < 0 {
			return -1
		}
		if n.keys[i] == string(key) {
			return int(i)
		}
	}
}

// keyHash mixes the length, the first and the last eight bytes: enough to tell
// the member names of AWS's records apart, and quick.
func keyHash(k []byte) int {
	var a, b uint64
	switch n := len(k); {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(k), binary.LittleEndian.Uint64(k[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(k)), uint64(binary.LittleEndian.Uint32(k[n-4:]))
	case n > 0:
		a, b = uint64(k[0]), uint64(k[n-1])
	}
	h := (a ^ uint64(len(k))*0x9E3779B97F4A7C15) * 0xBF58476D1CE4E5B9
	h = (h ^ h>>32 ^ b) * 0x94D049BB133111EB
	return int(h >> 33)
}
