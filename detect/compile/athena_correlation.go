package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// A correlation becomes a query in steps. The first reads the table once and
// has each event as often as detections below the correlation match it; then
// come a step or two for each correlation, those referred to first, which count
// up to each event what the correlation counts and let the events go on where it
// would hold. docs/sigma.md states the windows that the engine has. A sliding
// window of SQL holds all that the engine's has, and more where a match of the
// engine has begun anew: so the query finds at least what the rule finds.
type correlationQuery struct {
	c      *sqlCompiler
	leaves []*leaf
	steps  []string // of WITH
	keep   string   // the condition on the events of the last step
}

// leaf is a detection below a correlation, once for each place where it stands.
type leaf struct {
	rule  *sigma.Rule
	name  string   // in the column matched_rule
	where []string // what an event must meet
}

// branch is a correlation of the tree, or a detection.
type branch struct {
	rule   *sigma.Rule
	leaves []*leaf
	below  []*branch

	groups []string // the values of group-by
	values []measured
}

// maxLeaves bounds the detections below a correlation.
const maxLeaves = 100

func (c *sqlCompiler) correlation() {
	q := &correlationQuery{c: c}
	top := q.tree(c.res.Rule)
	switch {
	case top == nil:
		c.res.refuse("more than %d detections stand below it", maxLeaves)
		return
	case !q.conditions() || !q.fields(top):
		return
	}
	q.read()
	q.countBelow(top)
	if top.rule.Correlation.Type == sigma.ValueCount {
		q.distinct(top)
		return
	}
	q.count(top)
	c.res.SQL = q.with() + fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s\nORDER BY event_at", q.last(), q.keep)
}

// tree returns nil where there are too many detections.
func (q *correlationQuery) tree(r *sigma.Rule) *branch {
	b := &branch{rule: r}
	if r.Correlation == nil {
		l := &leaf{rule: r, name: r.Key()}
		for n := 2; slices.ContainsFunc(q.leaves, func(o *leaf) bool { return o.name == l.name }); n++ {
			l.name = fmt.Sprintf("%s (%d)", r.Key(), n)
		}
		q.leaves = append(q.leaves, l)
		b.leaves = []*leaf{l}
		return b
	}
	for _, k := range r.Below() {
		below := q.tree(k)
		if below == nil || len(q.leaves) > maxLeaves {
			return nil
		}
		b.below = append(b.below, below)
		b.leaves = append(b.leaves, below.leaves...)
	}
	return b
}

// conditions writes what the detections ask for.
func (q *correlationQuery) conditions() bool {
	for _, l := range q.leaves {
		where, ok := q.c.where(l.rule)
		if !ok {
			q.c.res.refuse("SQL over this table can express nothing of the rule %s: %s", l.rule.Key(), strings.Join(q.c.res.Reasons, "; "))
			return false
		}
		l.where = append(l.where, where)
	}
	return true
}

// fields finds what the correlations group by and count. An event without one
// of these takes no part.
func (q *correlationQuery) fields(b *branch) bool {
	corr := b.rule.Correlation
	if corr == nil {
		return true
	}
	var lost []string
	for _, name := range corr.GroupBy {
		x, missing := q.byRule(b, name, func(c column) string { return q.c.first(c) }, true)
		if missing != "" {
			lost = append(lost, missing)
			continue
		}
		b.groups = append(b.groups, x)
	}
	switch {
	case len(lost) > 0 && len(b.groups) == 0:
		q.c.res.refuse("the table that AWS documents has no column for %s, by which the rule groups", strings.Join(lost, ", "))
		return false
	case len(lost) > 0:
		q.c.res.widen("the table has no column for %s: groups that differ only in that are counted together", strings.Join(lost, ", "))
	}
	for _, name := range corr.Field {
		var m measured
		parts := []struct {
			to *string
			of func(measured) string
		}{
			{&m.value, func(m measured) string { return m.value }},
			{&m.listed, func(m measured) string { return m.listed }},
			{&m.array, func(m measured) string { return m.array }},
		}
		for _, p := range parts {
			x, missing := q.byRule(b, name, func(c column) string { return p.of(measure(c)) }, false)
			if missing != "" {
				q.c.res.refuse("the table that AWS documents has no column for %s, which the rule counts", missing)
				return false
			}
			*p.to = x
		}
		b.values = append(b.values, m)
	}
	for _, k := range b.below {
		if !q.fields(k) {
			return false
		}
	}
	return true
}

// byRule returns the SQL of a field by the names that it has in the events of
// the rules, and adds to the detections that it must be there; or a field that
// has no column.
func (q *correlationQuery) byRule(b *branch, name string, expr func(column) string, group bool) (sql, missing string) {
	corr := b.rule.Correlation
	texts := map[*leaf]string{}
	needs := map[*leaf]string{}
	same := true
	for _, k := range b.below {
		field := corr.FieldOf(name, k.rule)
		col, ok := q.c.column(field)
		if !ok || col.json && col.path == nil || col.each != "" && group {
			return "", field
		}
		for _, l := range k.leaves {
			texts[l] = expr(col)
			needs[l] = measure(col).present
			if group {
				needs[l] = texts[l] + " IS NOT NULL"
			}
			same = same && texts[l] == texts[b.leaves[0]]
		}
	}
	for l, need := range needs {
		if !slices.Contains(l.where, need) {
			l.where = append(l.where, need)
		}
	}
	if same {
		return texts[b.leaves[0]], ""
	}
	var s strings.Builder
	s.WriteString("CASE matched_rule")
	for _, l := range b.leaves {
		x := texts[l]
		if x == "" {
			x = "0"
		}
		fmt.Fprintf(&s, " WHEN %s THEN CAST(%s AS varchar)", quote(l.name), x)
	}
	return s.String() + " END", ""
}

// read is the first step. An event without a time takes no part.
func (q *correlationQuery) read() {
	t := q.c.table
	rule := "SELECT *, %[1]s AS event_at\n  FROM %[2]s\n  WHERE %[3]s\n    AND %[1]s IS NOT NULL"
	if len(q.leaves) == 1 {
		q.steps = append(q.steps, fmt.Sprintf(rule, t.at, t.name, strings.Join(q.leaves[0].where, "\n    AND ")))
		return
	}
	var names, cases []string
	for _, l := range q.leaves {
		names = append(names, "("+quote(l.name)+")")
		cases = append(cases, fmt.Sprintf("    WHEN %s THEN %s", quote(l.name), strings.Join(l.where, "\n    AND ")))
	}
	from := fmt.Sprintf("%s\n  CROSS JOIN (VALUES %s) AS rules(matched_rule)", t.name, strings.Join(names, ", "))
	q.steps = append(q.steps, fmt.Sprintf(rule, t.at, from, "CASE matched_rule\n"+strings.Join(cases, "\n")+"\n  END"))
}

func (q *correlationQuery) last() string { return fmt.Sprintf("step_%d", len(q.steps)) }

// step adds columns to the events that the last step leaves.
func (q *correlationQuery) step(columns ...string) {
	s := fmt.Sprintf("SELECT *,\n    %s\n  FROM %s", strings.Join(columns, ",\n    "), q.last())
	if q.keep != "" {
		s += "\n  WHERE " + q.keep
	}
	q.steps, q.keep = append(q.steps, s), ""
}

func (q *correlationQuery) with() string {
	var parts []string
	for i, s := range q.steps {
		parts = append(parts, fmt.Sprintf("step_%d AS (\n  %s\n)", i+1, s))
	}
	return "WITH " + strings.Join(parts, ", ") + "\n"
}

// countBelow counts the correlations that a correlation refers to, and lets go
// on, of their events, those that may be the last of a match.
func (q *correlationQuery) countBelow(b *branch) {
	for _, k := range b.below {
		if k.rule.Correlation == nil {
			continue
		}
		q.countBelow(k)
		if k.rule.Correlation.Type == sigma.ValueCount {
			q.ranks(k)
		} else {
			q.count(k)
		}
		if q.keep != "" && len(k.leaves) < len(q.leaves) {
			q.keep = fmt.Sprintf("(NOT %s OR %s)", of(k.leaves), q.keep)
		}
	}
}

// of is a condition that holds for the events of some of the detections.
func of(leaves []*leaf) string {
	var names []string
	for _, l := range leaves {
		names = append(names, quote(l.name))
	}
	if len(names) == 1 {
		return "matched_rule = " + names[0]
	}
	return "matched_rule IN (" + strings.Join(names, ", ") + ")"
}

// partition is the group of an event, apart from events of other correlations;
// further says what else divides it.
func (q *correlationQuery) partition(b *branch, further ...string) string {
	keys := slices.Concat(b.groups, further)
	if len(b.leaves) < len(q.leaves) {
		keys = append([]string{of(b.leaves)}, keys...)
	}
	if len(keys) == 0 {
		return ""
	}
	return "PARTITION BY " + strings.Join(keys, ", ") + " "
}

// window is the timespan up to an event.
func (q *correlationQuery) window(b *branch) string {
	return fmt.Sprintf("OVER (%sORDER BY event_at RANGE BETWEEN INTERVAL '%d' SECOND PRECEDING AND CURRENT ROW)", q.partition(b), seconds(b.rule))
}

func seconds(r *sigma.Rule) int { return int(r.Correlation.Timespan.Seconds()) }

// column names a new column: the plain name for the correlation itself.
func (q *correlationQuery) column(b *branch, name string) string {
	if b.rule == q.c.res.Rule {
		return name
	}
	return fmt.Sprintf("%s_%d", name, len(q.steps))
}
