// Package event is one record of an AWS log and fast access to its fields.
//
// The types are Event, one record; Schema, the set of fields somebody will ask
// for, compiled once; and Value, what stands in a field. A Schema turns field
// paths (userIdentity.type) into slot numbers; Event.Values(slot) finds the
// value, decoding only the part of the record in which it stands.
//
// # Caveats
//
// An Event borrows the reader's buffer: it is valid until the callback that got
// it returns. Clone makes one that lasts. An Event must not be used by two
// goroutines at once, not even for reading, because it decodes lazily.
//
// Members that nobody asks for are skipped: their strings and brackets are
// checked, their numbers and literals are not. Where a member is given twice,
// the last one counts, as in encoding/json.
package event
