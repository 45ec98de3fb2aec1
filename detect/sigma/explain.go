package sigma

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Explanation says of one part of a condition whether it held and why.
type Explanation struct {
	Text   string        `json:"text"` // as written
	Held   bool          `json:"held"`
	Wanted []string      `json:"wanted,omitempty"` // of a field: the values it is compared to
	Found  []string      `json:"found,omitempty"`  // of a field: the values that the event has; nil where it is missing
	Parts  []Explanation `json:"parts,omitempty"`
}

// Explain evaluates every part of a rule on one event, also those that the
// matcher need not look at.
func (m *Matcher) Explain(r *Rule, e *event.Event) Explanation {
	m.begin(e)
	out := Explanation{Text: "any condition"}
	for _, c := range r.conditions {
		x := m.explain(c)
		out.Held = out.Held || x.Held
		out.Parts = append(out.Parts, x)
	}
	if len(out.Parts) == 1 {
		return out.Parts[0]
	}
	return out
}

func (m *Matcher) explain(x *expr) Explanation {
	out := Explanation{Held: x.eval(m)}
	switch x.op {
	case opItem:
		it := x.item
		out.Text = it.source
		out.Wanted = it.values
		if it.field == "" {
			out.Text = strings.TrimSpace("keywords " + it.source)
			return out
		}
		values := m.event.Values(it.slot)
		if out.Held && len(values) > maxShown {
			if best := it.met(m, values); best >= maxShown { // show what mattered
				values = append([]event.Value{values[best]}, values[:maxShown]...)
			}
		}
		out.Found = shown(values)
		for _, ref := range it.refs {
			out.Wanted = append([]string{}, out.Wanted...)
			out.Wanted = append(out.Wanted, "that is "+strings.Join(shown(m.event.Values(ref.slot)), ", "))
		}
		return out
	case opNamed:
		out.Text = x.name
	case opAnd:
		out.Text = "all of"
	case opOr:
		out.Text = "any of"
	case opNot:
		out.Text = "not"
	case opCount:
		out.Text = fmt.Sprintf("at least %d of", x.n)
	}
	for _, k := range x.kids {
		out.Parts = append(out.Parts, m.explain(k))
	}
	return out
}

// maxShown is how many values of a field an explanation shows.
const maxShown = 7

func shown(values []event.Value) []string {
	var out []string
	for i, v := range values {
		if i == maxShown {
			out = append(out, "…")
			break
		}
		out = append(out, clip(v.String(), 300))
	}
	return out
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// Deciding is a field of an event that made a rule match.
type Deciding struct {
	Field string
	Value []byte
	Why   string // the test that it met: field|modifiers
}

// Deciding returns the fields that made the rule match the event, in the order
// in which the rule names them. It is for a rule that has just matched. The
// values are the event's, and both they and the slice are valid until the next
// call and the next Scan.
func (m *Matcher) Deciding(r *Rule, e *event.Event) []Deciding {
	if m.event != e || m.serial != e.Serial() {
		m.begin(e)
	}
	m.decided = m.decided[:0]
	for _, c := range r.conditions {
		if len(r.conditions) == 1 || c.eval(m) {
			m.deciding(c)
			break
		}
	}
	return m.decided
}

func (m *Matcher) deciding(x *expr) {
	switch x.op {
	case opNot:
		return
	case opItem:
		it := x.item
		if it.field == "" || slices.ContainsFunc(m.decided, func(d Deciding) bool { return d.Field == it.field }) || !it.match(m) {
			return
		}
		values := m.event.Values(it.slot)
		best := it.met(m, values)
		if best < 0 || len(values) == 1 && it.null && values[0].Kind == event.Null {
			return // it matched because the field is missing
		}
		m.decided = append(m.decided, Deciding{it.field, values[best].Text, it.source})
		if IsDerived(it.field) && (it.kinds == matchText || it.kinds == matchNumber) && !it.all && !it.negate {
			more := values[best+1:]
			more = more[:min(len(more), maxLooked)]
			for i, n := 0, 1; i < len(more) && n < maxDecided; i++ {
				if it.one(m, &more[i]) {
					m.decided = append(m.decided, Deciding{it.field, more[i].Text, it.source})
					n++
				}
			}
		}
		return
	case opOr, opCount:
		for _, k := range x.kids {
			if k.eval(m) {
				m.deciding(k)
			}
		}
		return
	}
	for _, k := range x.kids {
		m.deciding(k)
	}
}

// Of a derived field a finding shows several values: each is an account, or a
// port, to look after.
const maxDecided, maxLooked = 5, 1 << 14

// met returns which of the values made the test of an item that held hold; −1
// where it was none.
func (it *item) met(m *Matcher, values []event.Value) int {
	for i := range values {
		if len(values) == 1 || it.kinds == matchExistence || it.all || it.negate || it.kinds == matchField || it.one(m, &values[i]) {
			return i
		}
	}
	return -1
}

// String prints the explanation as an indented tree: + held, - did not.
func (x Explanation) String() string {
	var b strings.Builder
	x.print(&b, "")
	return b.String()
}

func (x Explanation) print(b *strings.Builder, indent string) {
	mark := "-"
	if x.Held {
		mark = "+"
	}
	fmt.Fprintf(b, "%s%s %s", indent, mark, x.Text)
	if len(x.Wanted) > 0 || len(x.Parts) == 0 {
		fmt.Fprintf(b, ": %s", list(x.Wanted))
		if !strings.HasPrefix(x.Text, "keywords") {
			switch {
			case x.Found == nil && IsDerived(x.Text):
				b.WriteString("; nothing of the kind is in the event")
			case x.Found == nil:
				b.WriteString("; the event has no such field")
			default:
				fmt.Fprintf(b, "; the event has %s", list(x.Found))
			}
		}
	}
	b.WriteByte('\n')
	for _, p := range x.Parts {
		p.print(b, indent+"  ")
	}
}

func list(values []string) string {
	if len(values) > 8 {
		return fmt.Sprintf("%q and %d more", values[:8], len(values)-8)
	}
	return fmt.Sprintf("%q", values)
}
