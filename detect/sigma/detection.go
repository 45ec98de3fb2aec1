package sigma

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
)

// compiler turns the detection of one rule into expressions.
type compiler struct {
	file        string
	placeholder func(name string) (values []string, ok bool)
	items       []*item
	paths       []string
}

func (c *compiler) errorf(n *node, format string, args ...any) error {
	return &Error{c.file, n.line, n.col, fmt.Sprintf(format, args...)}
}

// detection compiles the search identifiers and conditions of a rule. unused
// are the identifiers that no condition names.
func (c *compiler) detection(d *node) (conditions []*expr, unused []string, err error) {
	named := map[string]*expr{}
	var order []string
	var cond *node
	for i, k := range d.keys {
		switch k.text {
		case "condition":
			cond = d.vals[i]
			continue
		case "timeframe":
			return nil, nil, c.errorf(k, "timeframe belongs to Sigma 1; write a correlation with a timespan")
		}
		e, err := c.search(d.vals[i])
		if err != nil {
			return nil, nil, err
		}
		named[k.text] = &expr{op: opNamed, name: k.text, kids: []*expr{e}}
		order = append(order, k.text)
	}
	if cond == nil {
		return nil, nil, c.errorf(d, "detection has no condition")
	}
	list := []*node{cond}
	if cond.kind == isList {
		list = cond.vals
	}
	used := map[string]bool{}
	for _, n := range list {
		if n.kind != isString {
			return nil, nil, c.errorf(n, "condition is %s, want a string", n.kind)
		}
		p := &conditionParser{named: named, order: order, used: used}
		e, err := p.parse(n.text)
		if err != nil {
			return nil, nil, c.errorf(n, "%v", err)
		}
		conditions = append(conditions, e)
	}
	for _, name := range order {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	return conditions, unused, nil
}

// search compiles a search identifier: a map, a list of maps, keywords.
func (c *compiler) search(n *node) (*expr, error) {
	switch n.kind {
	case isMap:
		return c.fields(n)
	case isList:
		if len(n.vals) == 0 {
			return nil, c.errorf(n, "an empty list matches nothing")
		}
		var kids []*expr
		var words []*node
		for _, v := range n.vals {
			switch v.kind {
			case isMap, isList:
				e, err := c.search(v)
				if err != nil {
					return nil, err
				}
				kids = append(kids, e)
			default:
				words = append(words, v)
			}
		}
		if len(words) > 0 {
			e, err := c.field(n, "", nil, words)
			if err != nil {
				return nil, err
			}
			kids = append(kids, e)
		}
		return all(opOr, kids), nil
	case isNull:
		return nil, c.errorf(n, "an empty search identifier")
	}
	return c.field(n, "", nil, []*node{n})
}

func all(op operator, kids []*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: op, kids: kids}
}

func (c *compiler) fields(n *node) (*expr, error) {
	if len(n.keys) == 0 {
		return nil, c.errorf(n, "an empty map")
	}
	var kids []*expr
	for i, k := range n.keys {
		parts := strings.Split(k.text, "|")
		values := []*node{n.vals[i]}
		if n.vals[i].kind == isList {
			values = n.vals[i].vals
			if len(values) == 0 {
				return nil, c.errorf(k, "%s: an empty list matches nothing", k.text)
			}
		}
		e, err := c.field(k, parts[0], parts[1:], values)
		if err != nil {
			return nil, err
		}
		kids = append(kids, e)
	}
	return all(opAnd, kids), nil
}

// field compiles one field with its modifiers and values.
func (c *compiler) field(at *node, field string, names []string, values []*node) (*expr, error) {
	mods, err := parseModifiers(names)
	if err != nil {
		return nil, c.errorf(at, "%v", err)
	}
	if len(field) > 512 || strings.Count(field, ".") > 32 {
		return nil, c.errorf(at, "a field path this long")
	}
	if why := unknownField(field); why != "" {
		return nil, c.errorf(at, "%s", why)
	}
	it := &item{
		source: strings.Join(append([]string{field}, names...), "|"), field: field, line: at.line,
		all: mods.has["all"], negate: mods.has["neq"], cased: mods.has["cased"],
	}
	for _, v := range values {
		if v.kind == isMap || v.kind == isList {
			return nil, c.errorf(v, "%s: a value is text, a number, a boolean or null, not %s; write the path with dots: field.inner", at.text, v.kind)
		}
		it.values = append(it.values, v.text)
		if err := c.value(it, mods, v); err != nil {
			return nil, c.errorf(v, "%s: %v", it.source, err)
		}
	}
	c.simplify(it)
	if field != "" {
		c.paths = append(c.paths, field)
	}
	for _, r := range it.refs {
		c.paths = append(c.paths, r.path)
	}
	c.items = append(c.items, it)
	return &expr{op: opItem, item: it}, nil
}

func (c *compiler) value(it *item, mods modifierSet, v *node) error {
	texts := []string{v.text}
	if mods.has["expand"] {
		var err error
		if texts, err = expandPlaceholders(v.text, c.placeholder); err != nil {
			return err
		}
	}
	if it.field == "" && (mods.has["exists"] || mods.has["fieldref"] || mods.has["cidr"] || mods.comparison() != "" || mods.timePart() != "") {
		return fmt.Errorf("keywords take no such modifier")
	}
	switch {
	case mods.has["exists"]:
		it.kinds = matchExistence
		if v.kind != isBool {
			return fmt.Errorf("exists wants true or false")
		}
		it.exists = v.text == "true"
		return nil
	case v.kind == isNull:
		if len(mods.names) > 0 && !mods.has["neq"] && !mods.has["all"] && !mods.has["cased"] {
			return fmt.Errorf("null takes no modifier but neq")
		}
		if it.field == "" {
			return fmt.Errorf("null is no keyword")
		}
		it.null = true
		return nil
	}
	for _, text := range texts {
		if err := c.typed(it, mods, v, text); err != nil {
			return err
		}
	}
	if it.all {
		it.ends = append(it.ends, len(it.patterns))
	}
	return nil
}

func (c *compiler) typed(it *item, mods modifierSet, v *node, text string) error {
	comparison, part := mods.comparison(), mods.timePart()
	switch {
	case mods.has["re"]:
		it.kinds = matchRegexp
		re, err := compileRegexp(text, mods)
		if err != nil {
			return err
		}
		it.regexps = append(it.regexps, re)
	case mods.has["cidr"]:
		it.kinds = matchNetwork
		p, err := parseCIDR(text)
		if err != nil {
			return err
		}
		it.networks = append(it.networks, p)
	case mods.has["fieldref"]:
		it.kinds = matchField
		s := exact
		switch {
		case mods.has["contains"]:
			s = contains
		case mods.has["startswith"]:
			s = prefix
		case mods.has["endswith"]:
			s = suffix
		}
		if v.kind != isString || text == "" {
			return fmt.Errorf("fieldref wants a field name")
		}
		if why := unknownField(text); why != "" {
			return errors.New(why)
		}
		it.refs = append(it.refs, fieldRef{path: text, shape: s})
	case comparison != "" || part != "":
		n, ok := parseNumber(text)
		if !ok {
			return fmt.Errorf("want a number, not %q", text)
		}
		it.kinds = matchNumber
		if part != "" {
			it.kinds, it.part = matchTime, part
		}
		it.numbers = append(it.numbers, numberTest{comparison, n, text})
	default:
		bare := !slices.ContainsFunc(mods.names, func(n string) bool { return n != "all" && n != "neq" && n != "cased" && n != "expand" })
		if (v.kind == isInt || v.kind == isFloat) && bare && it.field != "" {
			if n, ok := parseNumber(text); ok {
				it.numbers = append(it.numbers, numberTest{"", n, text})
				return nil
			}
		}
		patterns, err := mods.transform(text)
		if err != nil {
			return err
		}
		for _, p := range patterns {
			if it.field == "" {
				p = withAny(p, true, true)
			}
			it.written = append(it.written, Pattern{viewTokens(p), len(it.values)})
			it.patterns = append(it.patterns, compilePattern(p, it.cased))
		}
	}
	return nil
}

// manyWords is from how many texts on a list is looked for in one pass.
const manyWords = 6

// simplify puts the exact texts of a long list into a set, and those that may
// stand anywhere into another.
func (c *compiler) simplify(it *item) {
	if it.all || it.field == "" {
		return
	}
	exacts, ascii := 0, true
	var words [][]byte
	for _, p := range it.patterns {
		switch p.shape {
		case exact:
			exacts++
		case contains:
			words = append(words, p.lit)
		}
		ascii = ascii && isASCII(p.lit)
	}
	it.whole = exacts > 0 && exacts < 3 && exacts == len(it.patterns) && !it.cased && ascii
	it.plain = it.whole && it.kinds == matchText && len(it.numbers) == 0
	if exacts >= 3 {
		it.exact = map[string]bool{}
		rest := it.patterns[:0]
		for _, p := range it.patterns {
			if p.shape == exact {
				it.exact[string(p.lit)] = true
				it.longest = max(it.longest, len(p.lit))
			} else {
				rest = append(rest, p)
			}
		}
		it.patterns = rest
	}
	if len(words) >= manyWords {
		it.words = newWordSet(words)
		it.others = slices.DeleteFunc(slices.Clone(it.patterns), func(p *pattern) bool { return p.shape == contains })
	}
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// bind resolves the fields to the slots of a schema.
func (c *compiler) bind(s *event.Schema) {
	for _, it := range c.items {
		if it.field != "" {
			it.slot, _ = s.Slot(it.field)
		}
		for i := range it.refs {
			it.refs[i].slot, _ = s.Slot(it.refs[i].path)
		}
	}
}
