package sigma

import (
	"bytes"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Matcher matches events with an engine's rules. One goroutine uses it.
type Matcher struct {
	engine *Engine
	event  *event.Event

	folded, other       []byte // scratch of text comparisons
	rawPlain, rawFolded []byte
	plainFolded         []byte
	haveRecord          bool
	haveFolded          bool

	trail    *index
	contexts *contexts
	searched int      // bytes of the event that expressions have looked at
	now      uint64   // the number of the event at hand
	memo     []uint64 // by item.memo: that number and the result

	serial  uint32 // of the event
	decided []Deciding
}

// begin takes the next event.
func (m *Matcher) begin(e *event.Event) {
	m.event, m.haveRecord, m.haveFolded = e, false, false
	m.serial, m.searched = e.Serial(), 0
	m.now++
}

// Matcher returns a new matcher.
func (g *Engine) Matcher() *Matcher {
	return &Matcher{engine: g, trail: newIndex(g), contexts: newContexts(g.schema), memo: make([]uint64, g.memos+1)}
}

// Match calls hit for every rule that matches the event, in the engine's order.
// The event must have been read with the engine's schema.
func (m *Matcher) Match(e *event.Event, hit func(*Rule)) {
	m.begin(e)
	rules := m.engine.byKind[e.Kind]
	m.contexts.at = nil
	if e.Kind == event.CloudTrail {
		if left, ok := m.contexts.candidates(m); ok {
			for i := range left {
				if c := &left[i]; c.sure || m.anyOf(c.ask) {
					hit(c.rule)
				}
			}
			return
		}
		rules = m.trail.candidates(m)
	}
	for _, r := range rules {
		if m.anyOf(r.conditions) {
			hit(r)
		}
	}
}

// Context returns the context of the event that was given to Match last; nil where
// it has none that was met before.
func (m *Matcher) Context() *Context { return m.contexts.at }

// Matches reports whether one rule matches the event.
func (m *Matcher) Matches(r *Rule, e *event.Event) bool {
	m.begin(e)
	return m.anyOf(r.conditions)
}

// maxSearching is how much all expressions together look at in one event: sixty
// of them at a whole record of CloudTrail's longest. It bounds the time that a
// record can cost whose array has values by the hundred thousand.
const maxSearching = 16 << 20

// search reports whether an expression matches a text of the event, unless too
// much has been searched already, which the event then says.
func (m *Matcher) search(re *expression, text []byte) bool {
	text = text[:min(len(text), maxSearched)]
	if !re.mayMatch(text) {
		return false
	}
	if m.searched+len(text) > maxSearching {
		m.event.Shorten()
		return false
	}
	m.searched += len(text)
	return re.run(text)
}

// anyOf reports whether one of the conditions holds.
func (m *Matcher) anyOf(conditions []*expr) bool {
	for _, c := range conditions {
		if c.eval(m) {
			return true
		}
	}
	return false
}

func (e *expr) eval(m *Matcher) bool {
	switch e.op {
	case opItem:
		return e.item.match(m)
	case opNamed, opNot:
		return e.fast[0].eval(m) != (e.op == opNot)
	case opAnd:
		for _, k := range e.fast {
			if !k.eval(m) {
				return false
			}
		}
		return true
	case opOr:
		for _, k := range e.fast {
			if k.eval(m) {
				return true
			}
		}
		return false
	}
	n := 0
	for _, k := range e.fast {
		if k.eval(m) {
			if n++; n >= e.n {
				return true
			}
		}
	}
	return false
}

func (m *Matcher) fold(text []byte, cased bool) []byte {
	if cased {
		return text
	}
	m.folded = fold(m.folded[:0], text)
	return m.folded
}

// record returns the record's text, and the same with the escapes of its
// strings undone where it has any.
func (m *Matcher) record() (raw, plain []byte) {
	raw = m.event.Raw()
	if !m.haveRecord {
		m.haveRecord = true
		m.rawPlain = m.rawPlain[:0]
		if !m.event.IsText() && bytes.IndexByte(raw, '\\') >= 0 {
			m.rawPlain = event.AppendUnescaped(m.rawPlain, raw)
		}
	}
	if len(m.rawPlain) == 0 {
		return raw, nil
	}
	return raw, m.rawPlain
}

func (m *Matcher) foldedRecord() (raw, plain []byte) {
	raw, plain = m.record()
	if !m.haveFolded {
		m.haveFolded = true
		m.rawFolded = fold(m.rawFolded[:0], raw)
		m.plainFolded = fold(m.plainFolded[:0], plain)
	}
	if plain == nil {
		return m.rawFolded, nil
	}
	return m.rawFolded, m.plainFolded
}
