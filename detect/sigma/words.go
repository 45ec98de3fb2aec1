package sigma

import "bytes"

// wordSet finds out in one pass whether one of some words is in a text.
type wordSet struct {
	single []byte              // words of one byte
	words  [][]byte            // the others
	pairs  [64]uint64          // their first two bytes, as far as 12 bits tell them apart
	by     map[uint16][][]byte // the words by their first two bytes
}

func newWordSet(words [][]byte) *wordSet {
	s := &wordSet{by: map[uint16][][]byte{}}
	for _, w := range words {
		if len(w) == 1 {
			s.single = append(s.single, w[0])
			continue
		}
		s.words = append(s.words, w)
		h := pair(w[0], w[1])
		s.pairs[h>>6] |= 1 << (h & 63)
		first := uint16(w[0])<<8 | uint16(w[1])
		s.by[first] = append(s.by[first], w)
	}
	return s
}

func pair(a, b byte) uint32 { return (uint32(a)<<5 ^ uint32(b)) & 4095 }

func (s *wordSet) in(text []byte) bool {
	for _, c := range s.single {
		if bytes.IndexByte(text, c) >= 0 {
			return true
		}
	}
	switch len(s.words) {
	case 0:
		return false
	case 1:
		return bytes.Contains(text, s.words[0])
	}
	for i := 0; i+1 < len(text); i++ {
		h := pair(text[i], text[i+1])
		if s.pairs[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, w := range s.by[uint16(text[i])<<8|uint16(text[i+1])] {
			if bytes.HasPrefix(text[i:], w) {
				return true
			}
		}
	}
	return false
}
