package compile

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// openSearch writes a query of the query DSL, over an index whose text fields
// are keywords and whose paths are those of the record.
// https://docs.opensearch.org/latest/query-dsl/
func (r *Result) openSearch() {
	if r.Rule.Correlation != nil {
		r.refuse("a query looks at one record at a time, not at what happens within %s; %s", duration(r.Rule.Correlation.Timespan), instead(r.Rule))
		return
	}
	r.Fidelity = Exact
	c := &dslCompiler{r, r.Rule.Logs()[0]}
	clause := func(word string) func([]map[string]any) map[string]any {
		return func(kids []map[string]any) map[string]any {
			b := map[string]any{word: kids}
			if word == "should" {
				b["minimum_should_match"] = 1
			}
			return map[string]any{"bool": b}
		}
	}
	b := boolean[map[string]any]{all: clause("filter"), any: clause("should"), leaf: c.leaf, res: c.res,
		not: func(x map[string]any) map[string]any { return clause("must_not")([]map[string]any{x}) }}
	q, ok := b.build(r.Rule.Condition(), true)
	if !ok {
		r.refuse("a query can express nothing of the condition: %s", strings.Join(r.Reasons, "; "))
		return
	}
	r.Query = map[string]any{"query": q}
}

type dslCompiler struct {
	res  *Result
	kind event.Kind
}

func (c *dslCompiler) leaf(t *sigma.Test, over bool) (map[string]any, bool) {
	drop := func(why string) (map[string]any, bool) {
		c.res.widen("%s: %s", about(t), why)
		return nil, false
	}
	one := func(kind, field string, body any) map[string]any {
		return map[string]any{kind: map[string]any{field: body}}
	}
	exists := map[string]any{"exists": map[string]any{"field": t.Field}}
	absent := map[string]any{"bool": map[string]any{"must_not": []map[string]any{exists}}}
	switch {
	case t.Field == "":
		return drop("fields are searched, not whole records")
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return drop("it is left to the check of the hits")
	case t.Kind == sigma.TestExists && isText(c.kind, t.Field):
		return map[bool]map[string]any{true: exists, false: absent}[t.Exists], true
	case t.Kind == sigma.TestExists:
		// The index does not tell null and {} from nothing.
		if t.Exists == over {
			return drop("the index does not tell null from missing")
		}
		if t.Exists {
			return exists, true
		}
		c.res.widen("%s: the index does not tell null from missing", about(t))
		return absent, true
	}
	values := map[int][]map[string]any{}
	order := []int{}
	add := func(value int, q map[string]any) {
		if values[value] == nil {
			order = append(order, value)
		}
		values[value] = append(values[value], q)
	}
	for _, p := range t.Patterns {
		s := shapeOf(p)
		// An object has no text of its own in an index.
		if text := wildcardText(p); (strings.HasPrefix(text, "*") || strings.HasPrefix(text, "{")) && !isText(c.kind, t.Field) && !known(t.Field) && !s.exact && strings.HasPrefix(t.Field, "re") {
			if over {
				if s.before && s.after || !s.after && strings.HasSuffix(s.lit, "}") || !s.simple {
					c.res.widen("%s: where it is an object, any will do", about(t))
					add(p.Value, c.object(t.Field))
				}
			}
		}
		body := func(v string) map[string]any { return map[string]any{"value": v, "case_insensitive": !t.Cased} }
		switch {
		case s.exact:
			add(p.Value, one("term", t.Field, body(s.lit)))
		case s.simple && !s.before && s.after:
			add(p.Value, one("prefix", t.Field, body(s.lit)))
		default:
			var b strings.Builder
			for _, k := range p.Tokens {
				switch {
				case k.Any:
					b.WriteByte('*')
				case k.One:
					b.WriteByte('?')
				default:
					b.WriteString(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(k.Literal))
				}
			}
			add(p.Value, one("wildcard", t.Field, body(b.String())))
		}
	}
	for i, n := range t.Numbers {
		if n.Op == "" {
			add(1000+i, one("term", t.Field, map[string]any{"value": n.Want}))
			add(1000+i, one("term", t.Field, map[string]any{"value": n.Text}))
			continue
		}
		add(1000+i, one("range", t.Field, map[string]any{n.Op: n.Want}))
	}
	for i, p := range t.Networks {
		prefixes, exact := octets(p)
		if !exact {
			if !over {
				return drop("a network that is no whole number of bytes cannot be excluded")
			}
			c.res.widen("%s: the network is widened to whole bytes", about(t))
		}
		if len(prefixes) == 0 {
			return drop("IPv6 networks are not compared")
		}
		for _, x := range prefixes {
			if strings.HasSuffix(x, ".") {
				add(2000+i, one("prefix", t.Field, map[string]any{"value": x}))
			} else {
				add(2000+i, one("term", t.Field, map[string]any{"value": x}))
			}
		}
	}
	for i, re := range t.Regexps {
		if !over {
			return drop("a regular expression cannot be excluded: Lucene has others")
		}
		if c.res.widen("%s: of a regular expression the text that it needs is looked for", about(t)); re.Needs == "" || !isText(c.kind, t.Field) && strings.HasPrefix(t.Field, "re") {
			return nil, false
		}
		add(3000+i, one("wildcard", t.Field, map[string]any{"value": "*" + strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`).Replace(re.Needs) + "*"}))
	}
	var alternatives []map[string]any
	for _, v := range order {
		alternatives = append(alternatives, anyOf(values[v]))
	}
	if t.All && len(alternatives) > 1 {
		return map[string]any{"bool": map[string]any{"filter": alternatives}}, true
	}
	if t.Null {
		alternatives = append(alternatives, absent)
		if !over {
			c.res.widen("%s: the index does not tell an empty object or list from null", about(t))
			if alternatives = alternatives[:len(alternatives)-1]; len(alternatives) == 0 {
				return nil, false
			}
		}
	}
	return anyOf(alternatives), true
}

// known reports whether a field is one of CloudTrail's own that hold text.
func known(field string) bool { return strings.HasPrefix(field, "userIdentity.") }

// object holds where the field is an object with anything in it.
func (c *dslCompiler) object(field string) map[string]any {
	return map[string]any{"exists": map[string]any{"field": field}}
}

func anyOf(list []map[string]any) map[string]any {
	if len(list) == 1 {
		return list[0]
	}
	return map[string]any{"bool": map[string]any{"should": list, "minimum_should_match": 1}}
}

// octets returns prefixes of the text of a network's addresses.
func octets(p netip.Prefix) (prefixes []string, exact bool) {
	if !p.Addr().Is4() {
		return nil, false
	}
	a := p.Addr().As4()
	full := p.Bits() / 8
	text := ""
	for _, b := range a[:full] {
		text += fmt.Sprintf("%d.", b)
	}
	if full == 4 {
		return []string{strings.TrimSuffix(text, ".")}, true
	}
	rest := p.Bits() % 8
	if rest == 0 {
		if full == 0 {
			return nil, false
		}
		return []string{text}, true
	}
	// Each value of the byte that the network cuts through.
	for v := int(a[full]); v < int(a[full])+1<<(8-rest); v++ {
		x := fmt.Sprintf("%s%d", text, v)
		if full < 3 {
			x += "."
		}
		prefixes = append(prefixes, x)
	}
	return prefixes, true
}
