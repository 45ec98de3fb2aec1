package compile

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

type sqlCompiler struct {
	res   *Result
	table table
	used  []string // columns beyond version 2 of the flow logs
}

// athena writes a query. https://docs.aws.amazon.com/athena/latest/ug/querying-aws-service-logs.html
func (r *Result) athena() Fidelity {
	kind := only(r.Rule, event.CloudTrail, event.VPCFlow, event.ALB, event.S3Access, event.DNS, event.WAF, event.GuardDuty, event.SecurityHub)
	if logs := r.Rule.Logs(); kind == "" && slices.Contains(logs, event.ALB) {
		kind = event.ALB
		r.Notes = append(r.Notes, "the query reads the table of application load balancers; the rule is for "+names(logs))
	}
	if kind == "" {
		r.refuse("queries are written for the tables of CloudTrail, VPC flow, ALB, S3 access, resolver query and WAF logs and of GuardDuty and Security Hub findings, not for %s", names(r.Rule.Logs()))
		return Refused
	}
	r.Fidelity = Exact
	c := &sqlCompiler{res: r, table: tableOf(kind)}
	if r.Rule.Correlation != nil {
		c.correlation()
	} else if where, ok := c.where(r.Rule); ok {
		r.SQL = fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s\nORDER BY %s", c.table.name, where, c.table.order)
	} else {
		r.refuse("SQL over this table can express nothing of the condition: %s", strings.Join(r.Reasons, "; "))
	}
	if len(c.used) > 0 && r.SQL != "" {
		slices.Sort(c.used)
		r.Notes = append(r.Notes, "the table must have these columns, which are not in version 2 of the flow logs: "+strings.Join(slices.Compact(c.used), ", "))
	}
	return r.Fidelity
}

func (c *sqlCompiler) where(r *sigma.Rule) (string, bool) {
	join := func(word string) func([]string) string {
		return func(kids []string) string { return "(" + strings.Join(kids, "\n  "+word+" ") + ")" }
	}
	b := boolean[string]{all: join("AND"), any: join("OR"), not: func(x string) string { return "NOT " + x }, leaf: c.leaf, res: c.res}
	return b.build(r.Condition(), true)
}

// column returns the column of a field, and the path within it where it is JSON.
func (c *sqlCompiler) column(field string) (col column, ok bool) {
	t := c.table
	if col, ok = t.columns[field]; !ok {
		col, ok = t.columns[strings.ToLower(field)]
	}
	if ok {
		if col.late {
			c.used = append(c.used, strings.Trim(col.raw, `"`))
		}
		return col, true
	}
	head, rest, _ := strings.Cut(field, ".")
	if !slices.ContainsFunc(t.json, func(name string) bool { return strings.EqualFold(name, head) }) {
		return column{}, false
	}
	raw := strings.ToLower(head)
	col = column{sql: raw, raw: raw, json: true}
	if rest != "" {
		if t.lower {
			rest = strings.ToLower(rest)
		}
		col.path = strings.Split(rest, ".")
		col.sql = fmt.Sprintf("json_extract_scalar(%s, %s)", raw, quote(jsonPath(col.path)))
		col.plain = isScalar(t.log, field) && listOf(t.log, field) == ""
	}
	return col, true
}

// quote is a text in SQL; control characters, which have no place in a query
// that people look at, are written as chr.
func quote(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return "'" + strings.ReplaceAll(s, "'", "''") + "'"
	}
	var parts []string
	from := 0
	for i, r := range s {
		if unicode.IsControl(r) {
			parts = append(parts, quote(s[from:i]), fmt.Sprintf("chr(%d)", r))
			from = i + utf8.RuneLen(r)
		}
	}
	return "(" + strings.Join(append(parts, quote(s[from:])), " || ") + ")"
}

func jsonPath(path []string) string {
	p := "$"
	for _, k := range path {
		p += `["` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(k) + `"]`
	}
	return p
}

func (c *sqlCompiler) leaf(t *sigma.Test, over bool) (string, bool) {
	drop := func(why string) (string, bool) {
		c.res.widen("%s: %s", about(t), why)
		return "", false
	}
	if t.Field == "" {
		return drop("the table does not hold whole records")
	}
	if sigma.IsDerived(t.Field) {
		return drop(derived)
	}
	col, ok := c.column(t.Field)
	switch {
	case !ok:
		return drop("the table has no column for it that can be compared")
	case col.fraction && len(t.Patterns)+len(t.Regexps) > 0:
		return drop("a fraction has no text in the table")
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return drop("it is left to the check of the hits")
	case col.each != "":
		return c.inList(t, col, over)
	case len(col.path) > 0 && !col.plain:
		return c.inJSON(t, col, over)
	case col.json && !col.plain:
		return c.wholeJSON(t, col.raw, over)
	case t.Kind == sigma.TestExists:
		// A null is in the record, and so is a - in a line.
		if t.Exists == over {
			return drop("null and missing look the same in the table")
		}
		c.res.widen("%s: null and missing look the same in the table", about(t))
		if t.Exists {
			return "(" + col.sql + " IS NOT NULL)", true
		}
		return "(" + col.sql + " IS NULL)", true
	}
	x, exact := c.compare(t, col)
	if !exact {
		if !over {
			return drop("it cannot be excluded exactly")
		}
		c.res.widen("%s: only a part of it can be compared", about(t))
		if x == "" {
			return "", false
		}
	}
	x = certain(x)
	if t.Null && x == "false" {
		return "(" + col.sql + " IS NULL)", true
	}
	if t.Null {
		x = "(" + col.sql + " IS NULL OR " + x + ")"
	}
	return x, true
}

// inList compares the elements of a list: one of them is enough.
func (c *sqlCompiler) inList(t *sigma.Test, in column, over bool) (string, bool) {
	drop := func(why string) (string, bool) {
		c.res.widen("%s: %s", about(t), why)
		return "", false
	}
	switch {
	case t.Kind == sigma.TestExists && t.Exists == over:
		return drop("null and missing look the same in the table")
	case t.Kind == sigma.TestExists:
		c.res.widen("%s: null and missing look the same in the table", about(t))
		return fmt.Sprintf("(coalesce(cardinality(%s), 0) %s 0)", in.each, map[bool]string{true: ">", false: "="}[t.Exists]), true
	case t.All && len(t.Patterns)+len(t.Regexps)+len(t.Numbers)+len(t.Networks) > 1:
		return drop("that several elements of a list must be there is left to the check of the hits")
	}
	x, exact := c.compare(t, in)
	if !exact {
		if !over {
			return drop("it cannot be excluded exactly")
		}
		c.res.widen("%s: only a part of it can be compared", about(t))
		if x == "" {
			return "", false
		}
	}
	var out []string
	if x != "" {
		out = append(out, fmt.Sprintf("coalesce(any_match(%s, element -> %s), false)", in.each, certain(x)))
	}
	if t.Null {
		c.res.widen("%s: null, missing and a list without elements look the same", about(t))
		out = append(out, map[bool]string{true: fmt.Sprintf("coalesce(cardinality(%s), 0) = 0", in.each), false: in.each + " IS NULL"}[over])
		if over {
			out = append(out, fmt.Sprintf("any_match(%s, element -> %s IS NULL)", in.each, in.sql))
		}
	}
	return "(" + strings.Join(out, " OR ") + ")", true
}

// certain makes a comparison that is NULL where the value is one of two values.
func certain(x string) string {
	if x == "" {
		return "false"
	}
	return "coalesce(" + x + ", false)"
}

// inJSON compares a field within a JSON column. Where a list is on its way, or
// it is an object, json_extract_scalar gives NULL: then, over, it will do that
// the text of the column holds the name and the literal.
func (c *sqlCompiler) inJSON(t *sigma.Test, in column, over bool) (string, bool) {
	v, col := in.sql, in.raw
	key := fmt.Sprintf(`coalesce(strpos(%s, %s), 0) > 0`, col, quote(in.path[len(in.path)-1]+`"`))
	if t.Kind == sigma.TestExists {
		c.res.widen("%s: the name is looked for in the text of %s", about(t), col)
		if t.Exists == over {
			return map[bool]string{true: "(" + key + ")", false: "(NOT " + key + ")"}[t.Exists], true
		}
		// Certain only where it is a plain value, or the name is nowhere.
		if t.Exists {
			return "(" + v + " IS NOT NULL)", true
		}
		return "(" + v + " IS NULL)", true
	}
	x, exact := c.compare(t, in)
	if !over {
		if !exact && len(t.Patterns)+len(t.Regexps)+len(t.Networks)+len(t.Numbers) > 0 {
			c.res.widen("%s: it cannot be excluded exactly", about(t))
			return "", false
		}
		c.res.widen("%s: what is in lists of %s is not excluded", about(t), col)
		x = certain(x)
		if t.Null {
			x = "(" + x + " OR NOT (" + key + "))"
		}
		return x, true
	}
	inText := key
	if lit := commonLiteral(t); lit != "" {
		inText += " AND (" + lit + ")"
		inText = strings.ReplaceAll(inText, "%COLUMN%", col)
	}
	c.res.widen("%s: in lists and objects of %s the text is searched", about(t), col)
	alternatives := []string{}
	if exact {
		alternatives = append(alternatives, certain(x), "("+v+" IS NULL AND "+inText+")")
	} else {
		alternatives = append(alternatives, "("+inText+")")
	}
	if t.Null {
		alternatives = append(alternatives, v+" IS NULL")
	}
	return "(" + strings.Join(alternatives, " OR ") + ")", true
}

// commonLiteral is a condition on the text of a column that holds wherever the
// column has one of the test's texts in it, or "".
func commonLiteral(t *sigma.Test) string {
	if t.Kind != sigma.TestText || len(t.Numbers) > 0 || t.Null || len(t.Patterns) == 0 || len(t.Patterns) > 50 {
		return ""
	}
	var out []string
	for _, p := range t.Patterns {
		run := ""
		for _, k := range p.Tokens {
			for _, part := range strings.FieldsFunc(k.Literal, func(r rune) bool {
				return r >= 0x7f || r < ' ' || strings.ContainsRune(`"\/<>&'`, r)
			}) {
				if len(part) > len(run) {
					run = part
				}
			}
		}
		if run == "" {
			return ""
		}
		out = append(out, fmt.Sprintf("strpos(lower(%%COLUMN%%), %s) > 0", quote(strings.ToLower(run))))
	}
	return strings.Join(out, " OR ")
}

// wholeJSON compares the text of a JSON column as a whole.
func (c *sqlCompiler) wholeJSON(t *sigma.Test, col string, over bool) (string, bool) {
	if t.Kind == sigma.TestExists || t.Null || t.Kind == sigma.TestNumber || t.Kind == sigma.TestNetwork || !over {
		c.res.widen("%s: whether %s is null or missing does not show", about(t), col)
		return "", false
	}
	x, exact := c.compare(t, column{sql: col, raw: col, json: true})
	c.res.widen("%s: text with escapes in it is let through", about(t))
	if !exact {
		return "", false
	}
	return fmt.Sprintf("(coalesce(%s, false) OR coalesce(strpos(%s, chr(92)), 0) > 0)", x, col), true
}

// compare is the SQL of a comparison with a text value, which may be NULL. Where
// it is not exact, it holds at least where the test does, or is "".
func (c *sqlCompiler) compare(t *sigma.Test, col column) (string, bool) {
	v := col.sql
	if col.numeric {
		v = "CAST(" + v + " AS varchar)"
	}
	folded := "lower(" + v + ")"
	lower := strings.ToLower
	if t.Cased {
		folded, lower = v, func(s string) string { return s }
	}
	exact := true
	var in, numbers, tests []string
	byValue := map[int][]string{}
	for _, p := range t.Patterns {
		var x string
		s := shapeOf(p)
		switch {
		case s.lit == "" && !s.exact && !s.one:
			x = v + " IS NOT NULL"
		case s.exact:
			if !t.All {
				in = append(in, quote(lower(s.lit)))
				continue
			}
			x = folded + " = " + quote(lower(s.lit))
		default:
			var b strings.Builder
			for _, k := range p.Tokens {
				switch {
				case k.Any:
					b.WriteByte('%')
				case k.One:
					b.WriteByte('_')
				default:
					b.WriteString(strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(lower(k.Literal)))
				}
			}
			x = fmt.Sprintf(`%s LIKE %s ESCAPE '\'`, folded, quote(b.String()))
		}
		byValue[p.Value] = append(byValue[p.Value], x)
		if !t.All {
			tests = append(tests, x)
		}
	}
	if len(in) > 0 {
		tests = append([]string{folded + " IN (" + strings.Join(in, ", ") + ")"}, tests...)
	}
	if t.All {
		for i := range len(byValue) {
			tests = append(tests, "("+strings.Join(byValue[valueAt(byValue, i)], " OR ")+")")
		}
	}
	for _, n := range t.Numbers {
		op, want := sqlOperator[n.Op], sqlNumber(n.Want)
		switch {
		case col.numeric && n.Op == "" && !t.All:
			numbers = append(numbers, want)
		case col.numeric:
			tests = append(tests, fmt.Sprintf("%s %s %s", col.sql, op, want))
		case n.Op == "":
			tests = append(tests, fmt.Sprintf("(try_cast(%s AS double) = %s OR %s = %s)", v, want, v, quote(n.Text)))
		default:
			tests = append(tests, fmt.Sprintf("try_cast(%s AS double) %s %s", v, op, want))
		}
	}
	if len(numbers) > 0 {
		tests = append(tests, col.sql+" IN ("+strings.Join(numbers, ", ")+")")
	}
	var networks []string
	for _, p := range t.Networks {
		networks = append(networks, quote(p.String()))
	}
	if len(networks) == 1 || t.All {
		for _, n := range networks {
			tests = append(tests, fmt.Sprintf("contains(%s, try_cast(%s AS ipaddress))", n, v))
		}
	} else if networks != nil {
		tests = append(tests, fmt.Sprintf("any_match(ARRAY[%s], network -> contains(network, try_cast(%s AS ipaddress)))", strings.Join(networks, ", "), v))
	}
	for _, re := range t.Regexps {
		if !portable(re.Source) {
			if exact = false; re.Needs == "" {
				return "", false
			}
			tests = append(tests, fmt.Sprintf("strpos(%s, %s) > 0", v, quote(re.Needs)))
			continue
		}
		tests = append(tests, fmt.Sprintf("regexp_like(%s, %s)", v, quote(toTheEnd(re.Source))))
	}
	if len(tests) == 0 {
		return "", t.Null // nothing but null
	}
	word := " OR "
	if t.All {
		word = " AND "
	}
	return "(" + strings.Join(tests, word) + ")", exact
}

// valueAt returns the i-th smallest key.
func valueAt(m map[int][]string, i int) int {
	var keys []int
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys[i]
}

// toTheEnd writes $ as \z: to Athena's matcher $ also stands before a line break
// at the end.
func toTheEnd(re string) string {
	var b strings.Builder
	class := false
	for i := 0; i < len(re); i++ {
		switch c := re[i]; {
		case c == '\\' && i+1 < len(re):
			b.WriteByte(c)
			i++
			b.WriteByte(re[i])
			continue
		case c == '[' && !class:
			class = true
			for j := i + 1; j < len(re) && (re[j] == '^' || re[j] == ']'); j++ { // a ] that stands first
				b.WriteByte(re[i])
				i++
			}
		case c == ']':
			class = false
		case c == '$' && !class:
			b.WriteString(`\z`)
			continue
		}
		b.WriteByte(re[i])
	}
	return b.String()
}

// portable reports whether an expression means the same to Athena's matcher.
func portable(re string) bool {
	for _, s := range []string{"(?P<", `\z`, `\Q`, `\C`, "[[:", `\pN`, "(?U", "(?s", "(?m"} {
		if strings.Contains(re, s) {
			return false
		}
	}
	return true
}
