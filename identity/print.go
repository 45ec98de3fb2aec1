package identity

import (
	"strings"
	"unicode/utf8"
)

// String prints the policy as indented JSON, elements in AWS's usual order.
// Reading it again gives the same policy, places apart.
func (p *Policy) String() string {
	w := &printer{}
	w.open('{')
	if p.Version != nil {
		w.key("Version")
		w.value(*p.Version)
	}
	if p.ID != nil {
		w.key("Id")
		w.value(*p.ID)
	}
	w.key("Statement")
	if p.SingleStatement && len(p.Statements) == 1 {
		w.statement(p.Statements[0])
	} else {
		w.open('[')
		for _, s := range p.Statements {
			w.item()
			w.statement(s)
		}
		w.close(']')
	}
	w.close('}')
	w.b.WriteByte('\n')
	return w.b.String()
}

// String prints the statement as indented JSON.
func (s *Statement) String() string {
	w := &printer{}
	w.statement(s)
	return w.b.String()
}

type printer struct {
	b     strings.Builder
	depth int
	empty bool // nothing was written since the last open
}

func (w *printer) open(c byte) {
	w.b.WriteByte(c)
	w.depth++
	w.empty = true
}

func (w *printer) close(c byte) {
	w.depth--
	if !w.empty {
		w.line()
	}
	w.b.WriteByte(c)
	w.empty = false
}

func (w *printer) line() {
	w.b.WriteByte('\n')
	for range w.depth {
		w.b.WriteString("  ")
	}
}

func (w *printer) item() {
	if !w.empty {
		w.b.WriteByte(',')
	}
	w.empty = false
	w.line()
}

func (w *printer) key(k string) {
	w.item()
	w.b.WriteString(quote(k))
	w.b.WriteString(": ")
}

func (w *printer) value(v Value) {
	if v.Kind == String {
		w.b.WriteString(quote(v.Text))
	} else {
		w.b.WriteString(v.Text)
	}
}

func (w *printer) list(l *List) {
	if !l.Array && len(l.Values) == 1 {
		w.value(l.Values[0])
		return
	}
	w.open('[')
	for _, v := range l.Values {
		w.item()
		w.value(v)
	}
	w.close(']')
}

func (w *printer) principal(name string, p *Principal) {
	if p == nil {
		return
	}
	w.key(name)
	if p.Everyone {
		w.b.WriteString(`"*"`)
		return
	}
	w.open('{')
	for _, e := range p.Entries {
		w.key(e.Type)
		w.list(&e.List)
	}
	w.close('}')
}

func (w *printer) statement(s *Statement) {
	w.open('{')
	if s.Sid != nil {
		w.key("Sid")
		w.value(*s.Sid)
	}
	w.key("Effect")
	w.b.WriteString(quote(string(s.Effect)))
	w.principal("Principal", s.Principal)
	w.principal("NotPrincipal", s.NotPrincipal)
	for _, e := range []struct {
		name string
		list *List
	}{{"Action", s.Action}, {"NotAction", s.NotAction}, {"Resource", s.Resource}, {"NotResource", s.NotResource}} {
		if e.list != nil {
			w.key(e.name)
			w.list(e.list)
		}
	}
	if s.HasCondition || len(s.Conditions) > 0 {
		w.key("Condition")
		w.open('{')
		for _, c := range s.Conditions {
			w.key(c.Operator)
			w.open('{')
			for _, k := range c.Keys {
				w.key(k.Name)
				w.list(&k.List)
			}
			w.close('}')
		}
		w.close('}')
	}
	w.close('}')
}

// quote returns s as a JSON string. Unlike encoding/json it leaves <, > and &
// as they are: policies are read by people.
func quote(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || r == '\u2028' || r == '\u2029':
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&0xf])
			}
		case r == utf8.RuneError:
			b.WriteString("\ufffd")
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
