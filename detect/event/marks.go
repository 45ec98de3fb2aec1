package event

import "math/bits"

// marks says where strings and brackets stand in a text, 64 bytes at a time: one
// bit for each byte, the lowest for the first. Processors that compare many bytes
// at once find them several times faster than a walk from string to string.
type marks struct {
	b    []byte
	base int // of block 0 in b
	n    int // blocks

	// By block. Brackets and bad bytes are those outside of strings.
	quotes, brackets, bad [chunk]uint64

	within  uint64 // all ones where the next block begins within a string
	escaped uint64 // 1 where its first byte is behind a backslash
	raw     [chunk]rawMarks
	tail    [64]byte
}

// rawMarks is what is known of a block by looking at each byte alone.
type rawMarks struct {
	quotes, slashes uint64
	brackets        uint64 // { } [ ]
	bad             uint64 // what JSON has in strings only, and quotes and backslashes
	within          uint64 // from a quote to before the next, as far as no backslash is behind it
}

// chunk is how many blocks are looked at at once: records seldom end where a chunk
// does, and what is behind is looked at for nothing.
const chunk = 8

// start begins at b[i], which is outside of strings.
func (m *marks) start(b []byte, i int) {
	m.b, m.base, m.n, m.within, m.escaped = b, i, 0, 0, 0
}

// seek makes the block that holds b[i] one of those at hand and returns it: −1
// where b ends before. i never goes back behind the blocks at hand.
func (m *marks) seek(i int) int {
	for i >= m.base+m.n*64 {
		if !m.more() {
			return -1
		}
	}
	return (i - m.base) >> 6
}

// more takes the next blocks.
func (m *marks) more() bool {
	from := m.base + m.n*64
	n := min((len(m.b)-from)>>6, chunk)
	switch {
	case n > 0:
		markBlocks(&m.b[from], n, &m.raw[0])
	case from < len(m.b):
		n = 1
		for i := copy(m.tail[:], m.b[from:]); i < len(m.tail); i++ {
			m.tail[i] = ' '
		}
		markBlocks(&m.tail[0], 1, &m.raw[0])
	default:
		return false
	}
	m.base, m.n = from, n
	within := m.within
	for k := range m.raw[:n] {
		r := &m.raw[k]
		quotes, in := r.quotes, r.within
		if r.slashes|m.escaped != 0 {
			quotes &^= m.behindSlashes(r.slashes)
			in = quotes
			for n := 1; n < 64; n *= 2 {
				in ^= in << n
			}
		}
		in ^= within
		within = uint64(int64(in) >> 63)
		m.quotes[k], m.brackets[k], m.bad[k] = quotes, r.brackets&^in, r.bad&^(in|quotes)
	}
	m.within = within
	return true
}

// behindSlashes returns the bytes of a block that stand behind an odd number of
// backslashes.
func (m *marks) behindSlashes(slashes uint64) uint64 {
	const even = 0x5555555555555555
	slashes &^= m.escaped
	behind := slashes<<1 | m.escaped
	odd := slashes &^ even &^ behind // rows of them that begin at an odd place
	rows, carry := bits.Add64(odd, slashes, 0)
	m.escaped = carry
	return (even ^ rows<<1) & behind
}

// skip returns the index after the JSON value that begins at b[i].
func (m *marks) skip(i int) (int, error) {
	if i >= len(m.b) {
		return 0, ErrShort
	}
	switch m.b[i] {
	case '"':
		if end := m.near(i + 1); end > 0 {
			return end, nil
		}
		return m.skipString(i)
	case '{', '[':
		return m.skipNested(i)
	case 't', 'n':
		if end := i + 4; end < len(m.b) && (m.b[end] == ',' || m.b[end] == '}') && (string(m.b[i:end]) == "true" || string(m.b[i:end]) == "null") {
			return end, nil
		}
	}
	return SkipValue(m.b, i)
}

// near returns the index after the first quote at or behind b[i]; 0 where the block
// of b[i] has none, or is not at hand.
func (m *marks) near(i int) int {
	at := i - m.base
	if at>>6 < m.n {
		if q := m.quotes[at>>6&(chunk-1)] >> (at & 63); q != 0 {
			return i + bits.TrailingZeros64(q) + 1
		}
	}
	return 0
}

// skipString returns the index after the string whose opening quote is b[i].
func (m *marks) skipString(i int) (int, error) {
	i++
	k := m.seek(i)
	if k < 0 {
		return 0, ErrShort
	}
	for q := m.quotes[k] >> ((i - m.base) & 63) << ((i - m.base) & 63); ; q = m.quotes[k] {
		if q != 0 {
			return m.base + k<<6 + bits.TrailingZeros64(q) + 1, nil
		}
		if k++; k == m.n {
			if !m.more() {
				return 0, ErrShort
			}
			k = 0
		}
	}
}

// skipNested returns the index after the object or array whose bracket is b[i].
func (m *marks) skipNested(i int) (int, error) {
	k := m.seek(i)
	if k < 0 {
		return 0, ErrShort
	}
	var square, outer uint64 // which brackets are open, the last lowest: is it square
	depth := 0
	for from := uint64(1)<<((i-m.base)&63) - 1; ; from = 0 {
		bad := m.bad[k] &^ from
		for x := m.brackets[k] &^ from; x != 0; x &= x - 1 {
			at := bits.TrailingZeros64(x)
			i = m.base + k<<6 + at
			// A bit tells square brackets from curly ones, another opening ones from closing.
			c := m.b[i]
			if isSquare := uint64(^c>>5) & 1; c&2 != 0 {
				if depth == MaxDepth {
					return 0, ErrDeep
				}
				depth++
				outer, square = outer<<1|square>>63, square<<1|isSquare
			} else {
				if square&1 != isSquare {
					return 0, ErrSyntax
				}
				square, outer = square>>1|outer<<63, outer>>1
				if depth--; depth == 0 {
					if bad&(1<<at-1) != 0 {
						return 0, ErrSyntax
					}
					return i + 1, nil
				}
			}
		}
		if bad != 0 {
			return 0, ErrSyntax
		}
		if k++; k == m.n {
			if !m.more() {
				return 0, ErrShort
			}
			k = 0
		}
	}
}
