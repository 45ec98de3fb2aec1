package event

import "encoding/binary"

// habits remembers the members of former records, because the records of a log
// look alike: which member came behind which, and, where marks do not find the ends
// of values, their texts. What is met again is then compared, not scanned. It changes
// the time that a scan takes, and nothing else: a JSON string, object or array is never the
// beginning of another, so text that is equal to a value ends where that ends.
type habits struct {
	members []habit  // 0 is the beginning of a record
	former  []values // by member
	byName  map[string]int
	held    int // bytes of values
}

// habit is one member: one line of the processor's cache.
type habit struct {
	begin, middle, end uint64   // the head's first eight bytes, those behind, the last
	head               string   // as it stands in records: "awsRegion":
	child              int32    // of the schema's root, or −1
	after              [2]int32 // the members that came behind it last; 0 is none
}

// values are those that a member had.
type values struct {
	last  []byte // of texts
	long  bool   // most are
	texts [][]byte
	asked int
	met   int
	rest  int // how often its values are not looked for
	pause int // the last rest
}

// The bounds of what is remembered.
const (
	maxHabits   = 128
	maxHead     = 64
	maxHeld     = 1 << 20 // bytes of values
	longestHeld = 2 << 10
)

// The sizes of the tables of values, as powers of two, and from where on a value
// is long.
const shortBits, longBits, longFrom = 4, 10, 48

// After how many values it is seen whether they come again, and the longest rest.
const habitTest, longestPause = 128, 1 << 16

// How many bytes place may look at, and what it mixes them with.
const looked, mixA, mixB, mixC = 80, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB

// next returns the member that begins at b[0], if it is one that came behind
// member at, and 0 else.
func (h *habits) next(at int, b []byte) int {
	if len(h.members) == 0 {
		return 0
	}
	after := &h.members[at].after
	if n := after[0]; n > 0 && h.members[n].begins(b) {
		return int(n)
	}
	if n := after[1]; n > 0 && h.members[n].begins(b) {
		after[0], after[1] = n, after[0]
		return int(n)
	}
	return 0
}

// Heads of so many bytes are compared eight bytes at a time. Nearly all have.
const leastWords, mostWords = 8, 24

// begins reports whether the member begins at b[0].
func (m *habit) begins(b []byte) bool {
	n := len(m.head)
	if len(b) < mostWords || n < leastWords || n > mostWords {
		return len(b) > n && string(b[:n]) == m.head
	}
	return binary.LittleEndian.Uint64(b) == m.begin && binary.LittleEndian.Uint64(b[n-8:]) == m.end &&
		binary.LittleEndian.Uint64(b[min(8, n-8):]) == m.middle
}

// learn remembers that the member whose name, quotes and colon are head came
// behind member at, and returns it; 0 where it is not remembered.
func (h *habits) learn(at int, head []byte, child int) int {
	n, ok := h.byName[string(head)]
	if !ok {
		if len(h.members) >= maxHabits || len(head) > maxHead || head[len(head)-1] != ':' || head[len(head)-2] != '"' {
			return 0
		}
		if h.byName == nil {
			h.byName, h.members, h.former = map[string]int{}, make([]habit, 1, maxHabits), make([]values, 1, maxHabits)
		}
		m := habit{head: string(head), child: int32(child)}
		if last := len(head) - 8; last >= 0 {
			m.begin, m.middle, m.end = binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint64(head[min(8, last):]), binary.LittleEndian.Uint64(head[last:])
		}
		n = len(h.members)
		h.members, h.former = append(h.members, m), append(h.former, values{})
		h.byName[m.head] = n
	}
	if after := &h.members[at].after; after[0] != int32(n) {
		after[0], after[1] = int32(n), after[0]
	}
	return n
}

// recall returns the index after the value at b[i] of a member, where it is equal
// to a former one, and 0 else.
func (m *values) recall(b []byte, i int) int {
	if m.rest > 0 || i+looked > len(b) {
		return 0
	}
	if m.asked++; m.asked == habitTest {
		m.test()
	}
	v := m.last
	if len(v) == 0 {
		return 0
	}
	end := i + len(v)
	if end >= len(b) || string(b[i:end]) != string(v) {
		if v = m.texts[m.place(b, i)]; len(v) == 0 {
			return 0
		}
		if end = i + len(v); end >= len(b) || string(b[i:end]) != string(v) {
			return 0
		}
		m.last = v
	}
	if c := b[end]; c != ',' && c != '}' { // a number may go on
		return 0
	}
	m.met++
	return end
}

// test lets a member rest whose values do not come again, longer each time.
func (m *values) test() {
	if m.met < habitTest/8 {
		m.pause = min(max(habitTest, 2*m.pause), longestPause)
		m.rest = m.pause
	} else {
		m.pause = 0
	}
	m.asked, m.met = 0, 0
}

// remember remembers the value at b[i:end] of a member.
func (h *habits) remember(n int, b []byte, i, end int) {
	m := &h.former[n]
	if m.rest > 0 {
		m.rest--
		return
	}
	if i+looked > len(b) || end-i > longestHeld {
		return
	}
	if m.texts == nil {
		m.long = end-i > longFrom
		m.texts = make([][]byte, 1<<m.bits())
	}
	v := &m.texts[m.place(b, i)]
	if end-i > cap(*v) {
		h.held += end - i
		*v = make([]byte, 0, end-i)
	}
	*v = append((*v)[:0], b[i:end]...)
	m.last = *v
	if h.held > maxHeld {
		h.held = 0
		for i := range h.former {
			h.former[i].texts, h.former[i].last = nil, nil
		}
	}
}

func (m *values) bits() int {
	if m.long {
		return longBits
	}
	return shortBits
}

// place returns where in the table a value that begins at b[i] would be. It looks
// at bytes in which values of one member differ, and may look at some behind them.
func (m *values) place(b []byte, i int) uint64 {
	b = b[i : i+looked]
	x := binary.LittleEndian.Uint64(b[3:]) * mixA
	if !m.long {
		x ^= binary.LittleEndian.Uint64(b[11:]) * mixB
		return x * mixC >> (64 - shortBits)
	}
	x ^= binary.LittleEndian.Uint64(b[24:]) * mixB
	x = (x ^ x>>32 ^ binary.LittleEndian.Uint64(b[48:])) * mixC
	x = (x ^ x>>32 ^ binary.LittleEndian.Uint64(b[64:])) * mixA
	return x >> (64 - longBits)
}
