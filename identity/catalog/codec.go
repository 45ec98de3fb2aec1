package catalog

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// levels and keyTypes are the codes of the block encoding; only append.
var (
	levels   = []AccessLevel{List, Read, Write, Tagging, Permissions}
	keyTypes = []KeyType{String, ARN, Bool, Numeric, Date, IPAddress, Binary}
)

// blockWriter writes numbers and, through a table, strings.
type blockWriter struct {
	body  []byte
	index map[string]int
	table []string
}

func (w *blockWriter) num(n int) { w.body = binary.AppendUvarint(w.body, uint64(n)) }

func (w *blockWriter) str(s string) {
	i, ok := w.index[s]
	if !ok {
		i = len(w.table)
		w.index[s] = i
		w.table = append(w.table, s)
	}
	w.num(i)
}

func (w *blockWriter) strs(list []string) {
	w.num(len(list))
	for _, s := range list {
		w.str(s)
	}
}

func (w *blockWriter) bytes() []byte {
	out := binary.AppendUvarint(nil, uint64(len(w.table)))
	for _, s := range w.table {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	return append(out, w.body...)
}

func encodeService(s *Service) []byte {
	w := &blockWriter{index: map[string]int{}}
	w.str(s.Prefix)
	w.str(s.Name)
	w.num(len(s.ConditionKeys))
	for _, k := range s.ConditionKeys {
		w.str(k.Key)
		code := slices.Index(keyTypes, k.Type) << 1
		if k.MultiValued {
			code |= 1
		}
		w.num(code)
	}
	w.num(len(s.ResourceTypes))
	for _, t := range s.ResourceTypes {
		w.str(t.Name)
		w.str(t.ARN)
		w.strs(t.ConditionKeys)
	}
	w.num(len(s.Actions))
	for _, a := range s.Actions {
		w.str(a.Name)
		w.num(slices.Index(levels, a.Level))
		w.strs(a.ConditionKeys)
		w.strs(a.DependentActions)
		w.num(len(a.ResourceTypes))
		for _, r := range a.ResourceTypes {
			w.str(r.Type)
			if r.Required {
				w.num(1)
			} else {
				w.num(0)
			}
			w.strs(r.ConditionKeys)
			w.strs(r.DependentActions)
		}
	}
	return w.bytes()
}

// blockReader reads what blockWriter wrote. Its first error sticks; counts are
// bounded by the bytes left, so a hostile file cannot ask for more memory than
// it has bytes.
type blockReader struct {
	data  []byte
	table []string
	err   error
}

func (r *blockReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: bad %s", ErrFormat, what)
	}
	r.data = nil
}

func (r *blockReader) num() int {
	n, size := binary.Uvarint(r.data)
	if size <= 0 || n > maxBlock {
		r.fail("number")
		return 0
	}
	r.data = r.data[size:]
	return int(n)
}

func (r *blockReader) count() int {
	n := r.num()
	if n > len(r.data) {
		r.fail("count")
		return 0
	}
	return n
}

func (r *blockReader) str() string {
	i := r.num()
	if i >= len(r.table) {
		r.fail("string")
		return ""
	}
	return r.table[i]
}

func (r *blockReader) strs() []string {
	n := r.count()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = r.str()
	}
	return out
}

func decodeService(data []byte) (*Service, error) {
	r := &blockReader{data: data}
	text := string(data) // one allocation that all strings share
	n := r.count()
	r.table = make([]string, 0, n)
	for range n {
		size := r.count()
		if r.err != nil {
			return nil, r.err
		}
		off := len(text) - len(r.data)
		r.table = append(r.table, text[off:off+size])
		r.data = r.data[size:]
	}
	s := &Service{Prefix: r.str(), Name: r.str()}
	s.keys = newKeyIndex()
	for range r.count() {
		key, code := r.str(), r.num()
		if code>>1 >= len(keyTypes) {
			r.fail("key type")
			break
		}
		k := &ConditionKey{Key: key, Type: keyTypes[code>>1], MultiValued: code&1 == 1, Global: strings.HasPrefix(key, "aws:")}
		s.ConditionKeys = append(s.ConditionKeys, k)
		s.keys.add(k)
	}
	s.types = map[string]*ResourceType{}
	for range r.count() {
		t := &ResourceType{Service: s.Prefix, Name: r.str(), ARN: r.str(), ConditionKeys: r.strs()}
		s.ResourceTypes = append(s.ResourceTypes, t)
		s.types[strings.ToLower(t.Name)] = t
	}
	count := r.count()
	s.actions = make(map[string]*Action, count)
	for range count {
		a := &Action{Service: s.Prefix, Name: r.str()}
		level := r.num()
		if level >= len(levels) {
			r.fail("access level")
			break
		}
		a.Level = levels[level]
		a.ConditionKeys = r.strs()
		a.DependentActions = r.strs()
		for range r.count() {
			t := ActionResource{Type: r.str()}
			t.Required = r.num() == 1
			t.ConditionKeys = r.strs()
			t.DependentActions = r.strs()
			a.ResourceTypes = append(a.ResourceTypes, t)
		}
		s.Actions = append(s.Actions, a)
		s.actions[strings.ToLower(a.Name)] = a
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}
