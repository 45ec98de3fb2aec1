package compile

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// openSearch writes a query of the query DSL, over an index made by
// IndexTemplate. https://docs.opensearch.org/latest/query-dsl/
func (r *Result) openSearch() {
	for _, most := range []int{maxInQuery, maxSpelled, 8} { // the fewer, the wider
		*r = newResult(r.Rule)
		r.search(most)
		if clauses(r.Query) <= maxClauses {
			return
		}
	}
	r.refuse("the query has more than the %d clauses that OpenSearch takes; %s", maxClauses, instead(r.Rule, Athena))
}

// maxClauses is how many clauses a query may have by default.
// https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/search-settings/
const maxClauses = 1024

// clauses counts the clauses of a query that look at a field.
func clauses(query any) (n int) {
	switch q := query.(type) {
	case []object:
		for _, k := range q {
			n += clauses(k)
		}
	case object:
		for name, body := range q {
			if slices.Contains([]string{"term", "wildcard", "prefix", "exists", "range"}, name) {
				n++
			} else {
				n += clauses(body)
			}
		}
	}
	return n
}

// search writes the query, with regular expressions as so many texts at most.
func (r *Result) search(most int) {
	r.Fidelity = Exact
	c := &dslCompiler{r, r.Rule.Logs(), most}
	switch {
	case len(c.kinds) == 0: // said by Rules
	case r.Rule.Correlation != nil:
		c.correlation()
	default:
		if q, ok := c.condition(r.Rule); ok {
			r.Query = object{"query": q}
		} else {
			r.refuse("a query can express nothing of the condition: %s; %s", strings.Join(r.Reasons, "; "), instead(r.Rule, Athena))
		}
	}
}

// condition writes the condition of a detection.
func (c *dslCompiler) condition(r *sigma.Rule) (object, bool) {
	clause := func(word string) func([]object) object {
		return func(kids []object) object {
			b := object{word: kids}
			if word == "should" {
				b["minimum_should_match"] = 1
			}
			return object{"bool": b}
		}
	}
	b := boolean[object]{all: clause("filter"), any: clause("should"), leaf: c.leaf, res: c.res,
		not: func(x object) object { return clause("must_not")([]object{x}) }}
	return b.build(r.Condition(), true)
}

// IndexTemplate is the index template that the OpenSearch queries are written
// for: every text, number and flag is a keyword at its path in the record, with
// a number and an address below it where it is one, and a date below the time of
// the record. The pattern is the name of the indices. https://docs.opensearch.org/latest/im-plugin/index-templates/
func IndexTemplate(pattern string) json.RawMessage {
	keyword := func() object {
		return object{"type": "keyword", "ignore_above": 8191, "fields": object{
			"number": object{"type": "double", "ignore_malformed": true},
			"ip":     object{"type": "ip", "ignore_malformed": true},
		}}
	}
	properties := object{}
	for _, t := range timeFields {
		at := properties
		path := strings.Split(t[0], ".")
		for _, k := range path[:len(path)-1] {
			below := object{}
			at[k] = object{"properties": below}
			at = below
		}
		field := keyword()
		field["fields"].(object)["time"] = object{"type": "date", "ignore_malformed": true, "format": t[1]}
		at[path[len(path)-1]] = field
	}
	var dynamic []any
	for _, kind := range []string{"string", "long", "double", "boolean"} {
		dynamic = append(dynamic, object{kind: object{"match_mapping_type": kind, "mapping": keyword()}})
	}
	text, _ := json.MarshalIndent(object{ // texts, numbers and flags
		"index_patterns": []string{pattern},
		"template": object{
			"settings": object{"index.mapping.total_fields.limit": 20_000},
			"mappings": object{"date_detection": false, "numeric_detection": false, "dynamic_templates": dynamic, "properties": properties},
		},
	}, "", "  ")
	return text
}

type dslCompiler struct {
	res     *Result
	kinds   []event.Kind
	spelled int // as how many texts a regular expression is written out
}

// all reports whether something holds for a field in every log of the rule.
func (c *dslCompiler) all(is func(event.Kind, string) bool, field string) bool {
	return !slices.ContainsFunc(c.kinds, func(k event.Kind) bool { return !is(k, field) })
}

func one(kind, field string, body any) object {
	return object{kind: object{field: body}}
}

func exists(field string) object {
	return object{"exists": object{"field": field}}
}

func (c *dslCompiler) leaf(t *sigma.Test, over bool) (object, bool) {
	drop := func(why string) (object, bool) {
		c.res.widen("%s: %s", about(t), why)
		return nil, false
	}
	absent := object{"bool": object{"must_not": []object{exists(t.Field)}}}
	switch {
	case t.Field == "":
		return drop("fields are searched, not whole records")
	case sigma.IsDerived(t.Field):
		return drop(derived)
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return drop("it is left to the check of the hits")
	case t.Kind == sigma.TestExists:
		// The index does not tell null and {} from nothing.
		if t.Exists == over {
			return drop("the index does not tell null from missing")
		}
		c.res.widen("%s: the index does not tell null from missing", about(t))
		if t.Exists {
			return exists(t.Field), true
		}
		return absent, true
	}
	values := map[int][]object{}
	order := []int{}
	add := func(value int, q ...object) {
		if !slices.Contains(order, value) {
			order = append(order, value)
		}
		values[value] = append(values[value], q...)
	}
	for _, p := range t.Patterns {
		q, ok := c.text(t, p, t.Cased, over)
		if !ok && (t.All || over) {
			return nil, false
		}
		if add(p.Value); ok {
			add(p.Value, q...)
		}
	}
	for i, n := range t.Numbers {
		op := n.Op
		switch {
		case math.IsInf(n.Want, 0) || math.IsNaN(n.Want):
			return drop("OpenSearch has no such number")
		case op == "":
			add(1000+i, one("term", t.Field+".number", object{"value": n.Want}), one("term", t.Field, object{"value": n.Text}))
		default:
			add(1000+i, one("range", t.Field+".number", object{op: n.Want}))
		}
	}
	for i, p := range t.Networks {
		add(2000+i, one("term", t.Field+".ip", object{"value": p.String()}))
	}
	for i, re := range t.Regexps {
		forms := spelled(re, c.spelled)
		if forms == nil && (over || t.All) {
			return drop("Lucene has other regular expressions, and nothing of this one can be told without")
		}
		for _, f := range forms {
			if !f.exact {
				c.res.widen("%s: Lucene has other regular expressions; only the text in it is looked for", about(t))
				if !over && t.All {
					return nil, false
				} else if !over {
					continue
				}
			}
			q, ok := c.text(t, f.Pattern, !f.fold, over)
			if !ok && (t.All || over) {
				return nil, false
			}
			if add(3000 + i); ok {
				add(3000+i, q...)
			}
		}
	}
	var alternatives []object
	for _, v := range order {
		if len(values[v]) > 0 {
			alternatives = append(alternatives, anyOf(values[v]))
		}
	}
	if t.All && len(alternatives) > 1 {
		alternatives = []object{{"bool": object{"filter": alternatives}}}
	}
	if t.Null {
		if !c.all(isScalar, t.Field) {
			c.res.widen("%s: the index does not tell an empty object or list from null", about(t))
		}
		if over || c.all(isScalar, t.Field) {
			alternatives = append(alternatives, absent)
		}
	}
	if len(alternatives) == 0 {
		return drop("nothing of it can be excluded")
	}
	return anyOf(alternatives), true
}

// text is a pattern over the texts of a field. Where the field is an object the
// rule compares its JSON, of which the index has nothing.
func (c *dslCompiler) text(t *sigma.Test, p sigma.Pattern, cased, over bool) (out []object, ok bool) {
	if !c.all(isScalar, t.Field) && couldBeObject(p) {
		switch {
		case over && p.Match("{}", cased):
			c.res.widen("%s: the index does not tell an empty object from nothing", about(t))
			return nil, false
		case over:
			c.res.widen("%s: where it is an object, any will do", about(t))
			out = append(out, exists(t.Field+".*"))
		default:
			c.res.widen("%s: where it is an object, it is not excluded", about(t))
		}
	}
	if !cased {
		plain := asciiCase(p)
		if len(plain.Tokens) != len(p.Tokens) {
			c.res.widen("%s: Lucene ignores the case of English letters only", about(t))
			if !over {
				return nil, false
			}
			p = plain
		}
	}
	body := func(v string) object { return object{"value": v, "case_insensitive": !cased} }
	switch s := shapeOf(p); {
	case s.lit == "" && !s.exact && !s.one:
		return append(out, exists(t.Field)), true
	case s.exact:
		return append(out, one("term", t.Field, body(s.lit))), true
	case s.simple && !s.before && s.after:
		return append(out, one("prefix", t.Field, body(s.lit))), true
	}
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
	return append(out, one("wildcard", t.Field, body(b.String()))), true
}

// couldBeObject reports whether a pattern may hold for the JSON of an object.
func couldBeObject(p sigma.Pattern) bool {
	if len(p.Tokens) == 0 {
		return false
	}
	first, last := p.Tokens[0].Literal, p.Tokens[len(p.Tokens)-1].Literal
	return (first == "" || first[0] == '{') && (last == "" || last[len(last)-1] == '}')
}

// asciiCase puts one character in place of letters beyond ASCII that have case.
func asciiCase(p sigma.Pattern) sigma.Pattern {
	out := sigma.Pattern{Value: p.Value}
	for _, t := range p.Tokens {
		from := 0
		for i, r := range t.Literal {
			if r < utf8.RuneSelf || unicode.ToLower(r) == unicode.ToUpper(r) {
				continue
			}
			if i > from {
				out.Tokens = append(out.Tokens, sigma.Token{Literal: t.Literal[from:i]})
			}
			out.Tokens = append(out.Tokens, sigma.Token{One: true})
			from = i + utf8.RuneLen(r)
		}
		if from == 0 || from < len(t.Literal) {
			t.Literal = t.Literal[from:]
			out.Tokens = append(out.Tokens, t)
		}
	}
	return out
}

func anyOf(list []object) object {
	if len(list) == 1 {
		return list[0]
	}
	return object{"bool": object{"should": list, "minimum_should_match": 1}}
}
