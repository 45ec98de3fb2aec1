package compile

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// count adds what a correlation counts, and keeps the events at which it holds.
func (q *correlationQuery) count(b *branch) {
	corr := b.rule.Correlation
	over := q.window(b)
	first := fmt.Sprintf("min(event_at) %s AS %s", over, q.column(b, "first_seen"))
	again := func() {
		q.c.res.widen("where one match follows another, the rule counts anew and this query goes on counting")
	}
	bounds := lower(corr.Bounds())
	if len(bounds) < len(corr.Bounds()) && corr.Type != sigma.ValueAvg {
		q.c.res.widen("that it is so much and not more is left to the check of the hits")
	}
	switch corr.Type {
	case sigma.EventCount:
		again()
		n := q.column(b, "matches")
		q.step(first, fmt.Sprintf("count(*) %s AS %s", over, n))
		q.keep = all(n, bounds)
	case sigma.ValueSum:
		again()
		n := q.column(b, "total")
		q.step(first, fmt.Sprintf("sum(%s) %s AS %s", q.number(b, "CASE WHEN %[1]s BETWEEN 0 AND 1e300 THEN %[1]s ELSE 0 END", "1e18"), over, n))
		q.keep = all(n, bounds)
	case sigma.Temporal:
		again()
		q.together(b, first, over)
	case sigma.TemporalOrdered:
		again()
		q.sequence(b)
	default:
		q.extremes(b, first, over)
	}
	if q.keep == "" {
		q.keep = "true"
	}
}

// lower returns the bounds that say how much there must be at least.
func lower(bounds []sigma.Comparison) (out []sigma.Comparison) {
	for _, b := range bounds {
		switch b.Op {
		case "gt", "gte":
			out = append(out, b)
		case "eq":
			out = append(out, sigma.Comparison{Op: "gte", Want: b.Want})
		}
	}
	return out
}

var sqlOperator = map[string]string{"": "=", "eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

// all is the conjunction of comparisons of a number; "" where there are none.
func all(x string, bounds []sigma.Comparison) string {
	var out []string
	for _, b := range bounds {
		out = append(out, fmt.Sprintf("%s %s %s", x, sqlOperator[b.Op], sqlNumber(b.Want)))
	}
	return strings.Join(out, " AND ")
}

func sqlNumber(f float64) string {
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if math.IsInf(f, 0) || math.IsNaN(f) {
		s = "CAST('" + map[string]string{"+Inf": "Infinity", "-Inf": "-Infinity", "NaN": "NaN"}[s] + "' AS double)"
	}
	return s
}

// number is the number that a correlation adds up of an event; where there is a
// list, that is, more than one, it is what is said.
func (q *correlationQuery) number(b *branch, form, listed string) string {
	v := b.values[0]
	x := fmt.Sprintf(form, "try_cast("+v.value+" AS double)")
	if v.listed == "" {
		return x
	}
	q.c.res.widen("%s: a list counts as more than enough", b.rule.Correlation.Field[0])
	return fmt.Sprintf("CASE WHEN %s > 0 THEN %s ELSE %s END", positive(v.listed), listed, x)
}

// positive is a count that byRule has put into cases, as a number.
func positive(listed string) string {
	if strings.HasPrefix(listed, "CASE matched_rule") {
		return "try_cast(" + listed + " AS double)"
	}
	return listed
}

// extremes is for averages and percentiles: where one is so large, at least one
// of the values is, and likewise where it is so small.
func (q *correlationQuery) extremes(b *branch, first, over string) {
	q.c.res.widen("%s: one value of that size is enough, whatever the others are", b.rule.Correlation.Field[0])
	least, most := q.column(b, "least"), q.column(b, "most")
	finite := "CASE WHEN %[1]s BETWEEN -1e300 AND 1e300 THEN %[1]s END"
	q.step(first,
		fmt.Sprintf("min(%s) %s AS %s", q.number(b, finite, "-1e300"), over, least),
		fmt.Sprintf("max(%s) %s AS %s", q.number(b, finite, "1e300"), over, most))
	var keep []string
	for _, bound := range b.rule.Correlation.Bounds() {
		if bound.Op != "lt" && bound.Op != "lte" && bound.Op != "neq" {
			keep = append(keep, all(most, lower([]sigma.Comparison{bound})))
		}
		if bound.Op == "eq" {
			bound.Op = "lte"
		}
		if bound.Op == "lt" || bound.Op == "lte" {
			keep = append(keep, all(least, []sigma.Comparison{bound}))
		}
	}
	q.keep = strings.Join(keep, " AND ")
}

// together is for temporal: which of the rules have matched.
func (q *correlationQuery) together(b *branch, first, over string) {
	columns := []string{first}
	var seen []string
	for i, k := range b.below {
		name := q.column(b, fmt.Sprintf("seen_%d", i+1))
		one := "1"
		if len(q.leaves) > 1 {
			one = "CASE WHEN " + of(k.leaves) + " THEN 1 ELSE 0 END"
		}
		columns = append(columns, fmt.Sprintf("max(%s) %s AS %s", one, over, name))
		seen = append(seen, name)
	}
	q.step(columns...)
	corr := b.rule.Correlation
	switch logic := corr.Logic(); {
	case logic != nil:
		q.keep = presence(q.c.res, logic, func(i int) string { return seen[i] + " = 1" }, trino)
	case len(corr.Bounds()) > 0:
		q.keep = all(strings.Join(seen, " + "), lower(corr.Bounds()))
	default:
		q.keep = strings.Join(seen, " = 1 AND ") + " = 1"
	}
}

// sequence is for temporal_ordered: for each event, when the sequence that leads
// up to it and began last has begun.
func (q *correlationQuery) sequence(b *branch) {
	began := "event_at"
	for i, k := range b.below[:len(b.below)-1] {
		name := q.column(b, fmt.Sprintf("began_%d", i+1))
		if i == len(b.below)-2 {
			name = q.column(b, "first_seen")
		}
		q.step(fmt.Sprintf("max(CASE WHEN %s THEN %s END) OVER (%sORDER BY event_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS %s",
			of(k.leaves), began, q.partition(b), name))
		began = name
	}
	if len(b.below) > 1 {
		q.keep = fmt.Sprintf("%s AND event_at <= %s + INTERVAL '%d' SECOND", of(b.below[len(b.below)-1].leaves), began, seconds(b.rule))
	}
}

// stretches are the times that values are counted in: a window function counts
// no different values. Each is twice the timespan long, and they overlap by
// half: whatever lies within one timespan lies within one of them.
func stretches(r *sigma.Rule) [2]string {
	s := seconds(r)
	return [2]string{fmt.Sprintf("floor(to_unixtime(event_at) / %d)", 2*s), fmt.Sprintf("floor((to_unixtime(event_at) + %d) / %d)", s, 2*s)}
}

const inStretches = "values are counted within stretches of twice the timespan"

// counts returns the value that is counted, and how many more an event has where
// there are lists; "" for none.
func (q *correlationQuery) counts(b *branch) (value, more string) {
	var values, lists []string
	for i, v := range b.values {
		values = append(values, v.value)
		if v.listed != "" {
			lists = append(lists, positive(v.listed))
			q.c.res.widen("%s: the elements of lists are counted, the same ones too", b.rule.Correlation.Field[i])
		}
	}
	value = values[0]
	if len(values) > 1 {
		value = "concat_ws(chr(31), CAST(" + strings.Join(values, " AS varchar), CAST(") + " AS varchar))"
	}
	if len(lists) == 1 {
		return value, lists[0]
	}
	if len(lists) > 1 { // every combination counts
		more = fmt.Sprintf("CASE WHEN %s = 0 THEN 0 ELSE greatest(%s, 1) END", strings.Join(lists, " + "), strings.Join(lists, ", 1) * greatest("))
	}
	return value, more
}

// ranks counts different values below another correlation, where each event goes
// on: the rank of the last value is how many there are.
func (q *correlationQuery) ranks(b *branch) {
	q.c.res.widen(inStretches)
	value, more := q.counts(b)
	n := q.column(b, "different")
	var ranks, counts []string
	for i, stretch := range stretches(b.rule) {
		rank := fmt.Sprintf("%s_rank_%d", n, i+1)
		over := q.partition(b, stretch)
		ranks = append(ranks, fmt.Sprintf("dense_rank() OVER (%sORDER BY %s) AS %s", over, value, rank))
		count := fmt.Sprintf("max(%s) OVER (%s)", rank, strings.TrimSpace(over))
		if more != "" {
			count += fmt.Sprintf(" + sum(%s) OVER (%s)", more, strings.TrimSpace(over))
		}
		counts = append(counts, count)
	}
	q.step(ranks...)
	q.step("greatest(" + strings.Join(counts, ", ") + ") AS " + n)
	q.keep = all(n, lower(b.rule.Correlation.Bounds()))
}

// distinct is the last step of a correlation that counts different values.
func (q *correlationQuery) distinct(b *branch) {
	corr := b.rule.Correlation
	q.c.res.widen(inStretches)
	bounds := lower(corr.Bounds())
	if len(bounds) < len(corr.Bounds()) {
		q.c.res.widen("that it is so much and not more is left to the check of the hits")
	}
	columns, by := "", ""
	for i, g := range b.groups {
		name := `"` + strings.ReplaceAll(corr.GroupBy[i], `"`, `""`) + `"`
		columns += g + " AS " + name + ",\n    "
		by += name + ", "
	}
	different, lists := "count(DISTINCT counted)", ""
	var value, more string
	if v := b.values[0]; len(b.values) == 1 && strings.HasPrefix(v.array, "transform(") {
		value, lists = "element", "\n  CROSS JOIN UNNEST("+v.array+") AS elements(element)"
	} else if value, more = q.counts(b); more != "" {
		columns += more + " AS listed,\n    "
		different += " + sum(listed)"
	}
	stretch := stretches(b.rule)
	from := fmt.Sprintf("SELECT %s%s AS counted, event_at, late,\n    CASE late WHEN 0 THEN %s ELSE %s END AS stretch\n  FROM %s\n  CROSS JOIN (VALUES (0), (1)) AS halves(late)%s",
		columns, value, stretch[0], stretch[1], q.last(), lists)
	if q.keep != "" {
		from += "\n  WHERE " + q.keep
	}
	q.steps = append(q.steps, from)
	having := all(different, bounds)
	if having == "" {
		having = "true"
	}
	q.c.res.SQL = q.with() + fmt.Sprintf("SELECT %smin(event_at) AS first_seen, max(event_at) AS last_seen, count(*) AS matches, %s AS different\nFROM %s\nGROUP BY %slate, stretch\nHAVING %s\nORDER BY first_seen",
		by, different, q.last(), by, having)
}

// measured is what a correlation counts or adds up of a field.
type measured struct {
	value   string // of a plain value, or an object
	listed  string // at least how many values there are where it is a list, or one is on the way; else 0
	present string // holds wherever there is a value
	array   string // of a column that is a list: its values
}

func measure(col column) measured {
	m := measured{value: col.sql, present: col.sql + " IS NOT NULL"}
	switch {
	case col.each != "":
		m.array = fmt.Sprintf("transform(%s, element -> %s)", col.each, col.sql)
		m.value = fmt.Sprintf("element_at(%s, 1)", m.array)
		m.listed = fmt.Sprintf("coalesce(cardinality(%s), 0)", col.each)
		m.present = fmt.Sprintf("coalesce(any_match(%s, element -> %s IS NOT NULL), false)", col.each, col.sql)
		return m
	case !col.json || col.plain:
		return m
	}
	at := fmt.Sprintf("json_extract(%s, %s)", col.raw, quote(jsonPath(col.path)))
	name := col.path[len(col.path)-1] + `"`
	m.value = fmt.Sprintf("coalesce(%s, json_format(%s))", col.sql, at)
	m.present = fmt.Sprintf("coalesce(strpos(%s, %s), 0) > 0", col.raw, quote(name))
	m.listed = fmt.Sprintf("coalesce(CASE WHEN %[1]s IS NULL THEN (length(%[2]s) - length(replace(%[2]s, %[3]s, ''))) / %[4]d WHEN json_array_length(%[1]s) > 0 THEN length(json_format(%[1]s)) - length(replace(json_format(%[1]s), ',', '')) + 1 ELSE 0 END, 0)",
		at, col.raw, quote(name), len([]rune(name)))
	return m
}

// first is the value that events are grouped by: of a list the first, of an
// object its text.
func (c *sqlCompiler) first(col column) string {
	if !col.json || col.plain {
		return col.sql
	}
	extract := func(path string) string { return fmt.Sprintf("json_extract_scalar(%s, %s)", col.raw, quote(path)) }
	out := []string{col.sql}
	for i := range col.path {
		path := jsonPath(col.path[:i+1]) + "[0]"
		if i+1 < len(col.path) {
			path += strings.TrimPrefix(jsonPath(col.path[i+1:]), "$")
		}
		out = append(out, extract(path))
	}
	return fmt.Sprintf("coalesce(%s, json_format(json_extract(%s, %s)))", strings.Join(out, ", "), col.raw, quote(jsonPath(col.path)))
}
