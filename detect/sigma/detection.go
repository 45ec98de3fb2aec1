package sigma

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// compiler turns the detection of one rule into expressions.
type compiler struct {
	file        string
	placeholder func(name string) (values []string, ok bool)
	items       []*item
	paths       []string
}

func (c *compiler) errorf(n *yamldoc.Node, format string, args ...any) error {
	return n.Errorf(c.file, format, args...)
}

// detection compiles the search identifiers and conditions of a rule. unused
// are the identifiers that no condition names.
func (c *compiler) detection(d *yamldoc.Node) (conditions []*expr, unused []string, err error) {
	named := map[string]*expr{}
	var order []string
	var cond *yamldoc.Node
	for i, k := range d.Keys {
		switch k.Text {
		case "condition":
			cond = d.Vals[i]
			continue
		case "timeframe":
			return nil, nil, c.errorf(k, "timeframe belongs to Sigma 1; write a correlation with a timespan")
		}
		e, err := c.search(d.Vals[i])
		if err != nil {
			return nil, nil, err
		}
		named[k.Text] = &expr{op: opNamed, name: k.Text, kids: []*expr{e}}
		order = append(order, k.Text)
	}
	if cond == nil {
		return nil, nil, c.errorf(d, "detection has no condition")
	}
	list := []*yamldoc.Node{cond}
	if cond.Kind == yamldoc.List {
		list = cond.Vals
	}
	used := map[string]bool{}
	for _, n := range list {
		if n.Kind != yamldoc.String {
			return nil, nil, c.errorf(n, "condition is %s, want a string", n.Kind)
		}
		p := &conditionParser{named: named, order: order, used: used}
		e, err := p.parse(n.Text)
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
func (c *compiler) search(n *yamldoc.Node) (*expr, error) {
	switch n.Kind {
	case yamldoc.Map:
		return c.fields(n)
	case yamldoc.List:
		if len(n.Vals) == 0 {
			return nil, c.errorf(n, "an empty list matches nothing")
		}
		var kids []*expr
		var words []*yamldoc.Node
		for _, v := range n.Vals {
			switch v.Kind {
			case yamldoc.Map, yamldoc.List:
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
	case yamldoc.Null:
		return nil, c.errorf(n, "an empty search identifier")
	}
	return c.field(n, "", nil, []*yamldoc.Node{n})
}

func all(op operator, kids []*expr) *expr {
	if len(kids) == 1 {
		return kids[0]
	}
	return &expr{op: op, kids: kids}
}

func (c *compiler) fields(n *yamldoc.Node) (*expr, error) {
	if len(n.Keys) == 0 {
		return nil, c.errorf(n, "an empty map")
	}
	var kids []*expr
	for i, k := range n.Keys {
		parts := strings.Split(k.Text, "|")
		values := []*yamldoc.Node{n.Vals[i]}
		if n.Vals[i].Kind == yamldoc.List {
			values = n.Vals[i].Vals
			if len(values) == 0 {
				return nil, c.errorf(k, "%s: an empty list matches nothing", k.Text)
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
func (c *compiler) field(at *yamldoc.Node, field string, names []string, values []*yamldoc.Node) (*expr, error) {
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
		source: strings.Join(append([]string{field}, names...), "|"), field: field, line: at.Line,
		all: mods.has["all"], negate: mods.has["neq"], cased: mods.has["cased"],
	}
	for _, v := range values {
		if v.Kind == yamldoc.Map || v.Kind == yamldoc.List {
			return nil, c.errorf(v, "%s: a value is text, a number, a boolean or null, not %s; write the path with dots: field.inner", at.Text, v.Kind)
		}
		it.values = append(it.values, v.Text)
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

func (c *compiler) value(it *item, mods modifierSet, v *yamldoc.Node) error {
	texts := []string{v.Text}
	if mods.has["expand"] {
		var err error
		if texts, err = expandPlaceholders(v.Text, c.placeholder); err != nil {
			return err
		}
	}
	if it.field == "" && (mods.has["exists"] || mods.has["fieldref"] || mods.has["cidr"] || mods.comparison() != "" || mods.timePart() != "") {
		return fmt.Errorf("keywords take no such modifier")
	}
	switch {
	case mods.has["exists"]:
		it.kinds = matchExistence
		if v.Kind != yamldoc.Bool {
			return fmt.Errorf("exists wants true or false")
		}
		it.exists = v.Text == "true"
		return nil
	case v.Kind == yamldoc.Null:
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

func (c *compiler) typed(it *item, mods modifierSet, v *yamldoc.Node, text string) error {
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
		if v.Kind != yamldoc.String || text == "" {
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
		if (v.Kind == yamldoc.Int || v.Kind == yamldoc.Float) && bare && it.field != "" {
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
