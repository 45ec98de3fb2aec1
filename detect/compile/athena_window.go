package compile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// correlation writes a correlation that holds the more, the more there is: what
// SQL counts is at least what the rule counts.
func (c *sqlCompiler) correlation() {
	corr := c.res.Rule.Correlation
	bounds := corr.Bounds()
	rising := len(bounds) > 0 && !slices.ContainsFunc(bounds, func(b sigma.Comparison) bool { return b.Op != "gte" && b.Op != "gt" })
	if !rising || corr.Type != sigma.EventCount && corr.Type != sigma.ValueCount && corr.Type != sigma.ValueSum {
		c.res.refuse("a correlation of type %s with these conditions has no form in SQL that misses nothing; event_count, value_count and value_sum with gte or gt have; %s", corr.Type, "compile the rules below it: "+strings.Join(corr.Rules, ", "))
		return
	}
	var wheres, groups, present []string
	var fields []measured
	for _, b := range c.res.Rule.Base() {
		where, ok := c.where(b)
		if !ok {
			c.res.refuse("SQL over this table can express nothing of the rule %s", b.Key())
			return
		}
		wheres = append(wheres, where)
	}
	for i, g := range append(slices.Clone(corr.GroupBy), corr.Field...) {
		col, ok := c.column(g)
		if !ok || col.json && col.path == nil {
			c.res.refuse("the table has no column for %s, by which the rule groups or counts", g)
			return
		}
		if i >= len(corr.GroupBy) {
			m := measure(col)
			fields, present = append(fields, m), append(present, m.present)
			continue
		}
		x := col.sql
		if col.json { // of a list the rule takes the first, of an object its text
			x = fmt.Sprintf("coalesce(%s, json_extract_scalar(%s, %s), json_format(json_extract(%s, %s)))", col.sql, col.raw, quote(jsonPath(col.path)+"[0]"), col.raw, quote(jsonPath(col.path)))
		}
		groups, present = append(groups, x), append(present, x+" IS NOT NULL")
	}
	from := fmt.Sprintf("%s\n  WHERE (%s)", c.table.name, strings.Join(wheres, "\n  OR "))
	for _, p := range present {
		from += "\n    AND " + p
	}
	having := func(x string) string {
		var out []string
		for _, b := range bounds {
			out = append(out, fmt.Sprintf("%s %s %s", x, map[string]string{"gte": ">=", "gt": ">"}[b.Op], strconv.FormatFloat(b.Want, 'f', -1, 64)))
		}
		return strings.Join(out, " AND ")
	}
	at := c.table.at
	seconds := int(corr.Timespan.Seconds())
	if corr.Type == sigma.ValueCount {
		c.distinct(from, at, seconds, groups, fields, having)
		return
	}
	partition, what := "", "count(*)"
	if len(groups) > 0 {
		partition = "PARTITION BY " + strings.Join(groups, ", ") + " "
	}
	if corr.Type == sigma.ValueSum {
		f := fields[0]
		what = "sum(coalesce(greatest(try_cast(" + f.value + " AS double), 0), 0))"
		if f.listed != "" { // more than enough
			what = fmt.Sprintf("sum(CASE WHEN %s > 0 THEN 1e18 ELSE coalesce(greatest(try_cast(%s AS double), 0), 0) END)", f.listed, f.value)
			c.res.widen("%s: a list counts as more than enough", corr.Field[0])
		}
	}
	c.res.widen("where one match follows another, the rule counts anew and this query goes on counting")
	c.res.SQL = fmt.Sprintf("SELECT *\nFROM (\n  SELECT *, %s OVER (%sORDER BY %s RANGE BETWEEN INTERVAL '%d' SECOND PRECEDING AND CURRENT ROW) AS matches\n  FROM %s\n)\nWHERE %s",
		what, partition, at, seconds, from, having("matches"))
}

// distinct counts different values. A window function cannot, so it is done for
// stretches of twice the timespan, which overlap by half: whatever lies within
// one timespan lies within one of them.
func (c *sqlCompiler) distinct(from, at string, seconds int, groups []string, fields []measured, having func(string) string) {
	c.res.widen("values are counted within stretches of twice the timespan")
	columns, by := "", ""
	for i, g := range groups {
		name := `"` + strings.ReplaceAll(c.res.Rule.Correlation.GroupBy[i], `"`, `""`) + `"`
		columns += g + " AS " + name + ", "
		by += name + ", "
	}
	var values, lists []string
	for i, f := range fields {
		values = append(values, f.value)
		if f.listed != "" {
			lists = append(lists, f.listed)
			c.res.widen("%s: the elements of lists are counted, the same ones too", c.res.Rule.Correlation.Field[i])
		}
	}
	value, different := values[0], "count(DISTINCT counted)"
	if len(values) > 1 {
		value = "concat_ws(chr(31), CAST(" + strings.Join(values, " AS varchar), CAST(") + " AS varchar))"
	}
	if len(lists) > 0 {
		listed := lists[0]
		if len(lists) > 1 { // every combination counts
			listed = fmt.Sprintf("CASE WHEN %s = 0 THEN 0 ELSE greatest(%s, 1) END", strings.Join(lists, " + "), strings.Join(lists, ", 1) * greatest("))
		}
		columns += listed + " AS listed, "
		different += " + sum(listed)"
	}
	c.res.SQL = fmt.Sprintf(`SELECT %smin(event_at) AS first_seen, max(event_at) AS last_seen, count(*) AS matches, %s AS different
FROM (
  SELECT %s%s AS counted, %s AS event_at
  FROM %s
)
CROSS JOIN UNNEST(ARRAY[0, 1]) AS w(late)
GROUP BY %sfloor(to_unixtime(event_at) / %d) + late
HAVING %s
ORDER BY first_seen`, by, different, columns, value, at, from, by, seconds, having(different))
}

// measured is what a correlation counts or adds up of a field.
type measured struct {
	value   string // of a plain value, or an object
	listed  string // at least how many values there are where it is a list, or one is on the way; else 0
	present string // holds wherever there is a value
}

func measure(col column) measured {
	m := measured{value: col.sql, present: col.sql + " IS NOT NULL"}
	if !col.json {
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
