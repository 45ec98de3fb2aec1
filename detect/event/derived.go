package event

import "strings"

// DerivedPrefix begins the names of fields that stand in no record but are worked
// out from it. A member of a record that is called so is never read.
const DerivedPrefix = "bartizan."

// Derive works out the values of a field from a record. The values, and what they
// refer to, must not be changed by anybody; they are asked for once a record.
type Derive func(*Event) []Value

// NewDerivedSchema is NewSchema for paths of which some are derived: of those that
// begin with DerivedPrefix, find returns how, or nil where there is no such field.
func NewDerivedSchema(find func(path string) Derive, paths ...string) *Schema {
	s := NewSchema(paths...)
	s.find = find
	s.derive = make([]Derive, len(s.paths))
	for n, p := range s.paths {
		if strings.HasPrefix(p, DerivedPrefix) {
			s.derive[n] = find(p)
		}
	}
	return s
}

// derived returns the values of a derived slot that was not asked for before.
func (e *Event) derived(s Slot) []Value {
	var vs []Value
	if e.schema.derive != nil && e.schema.derive[s] != nil && e.columns == nil {
		vs = e.schema.derive[s](e)
	}
	e.setMany(s, vs[:len(vs):len(vs)])
	return vs
}

// lookupDerived is for a derived field that is not in the schema.
func (e *Event) lookupDerived(path string) []Value {
	if e.schema.find == nil || e.columns != nil {
		return nil
	}
	if derive := e.schema.find(path); derive != nil {
		return derive(e)
	}
	return nil
}

// Note returns what read makes of the record, and the same again until the event
// is filled with the next one: for what several derived fields have in common.
func (e *Event) Note(read func(*Event) any) any {
	if !e.noted {
		e.note, e.noted = read(e), true
	}
	return e.note
}

// Memory returns what begin returned when it was called first. Unlike what Note
// keeps, that outlives the records that e is filled with: it is for what is worth
// remembering from one record to the next.
func (e *Event) Memory(begin func() any) any {
	if e.memory == nil {
		e.memory = begin()
	}
	return e.memory
}
