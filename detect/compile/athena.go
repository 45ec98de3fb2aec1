package compile

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// trailColumns are the columns of the table that AWS gives for CloudTrail, all
// text. https://docs.aws.amazon.com/athena/latest/ug/create-cloudtrail-table.html
var trailColumns = strings.Fields(`eventversion eventtime eventsource eventname awsregion sourceipaddress useragent errorcode errormessage
	requestid eventid readonly eventtype apiversion recipientaccountid sharedeventid vpcendpointid vpcendpointaccountid eventcategory
	sessioncredentialfromconsole edgedevicedetails
	useridentity.type useridentity.principalid useridentity.arn useridentity.accountid useridentity.invokedby useridentity.accesskeyid
	useridentity.username useridentity.onbehalfof.userid useridentity.onbehalfof.identitystorearn
	useridentity.sessioncontext.attributes.mfaauthenticated useridentity.sessioncontext.attributes.creationdate
	useridentity.sessioncontext.sessionissuer.type useridentity.sessioncontext.sessionissuer.principalid
	useridentity.sessioncontext.sessionissuer.arn useridentity.sessioncontext.sessionissuer.accountid
	useridentity.sessioncontext.sessionissuer.username useridentity.sessioncontext.ec2roledelivery
	tlsdetails.tlsversion tlsdetails.ciphersuite tlsdetails.clientprovidedhostheader`)

// jsonColumns hold JSON text.
var jsonColumns = strings.Fields(`requestparameters responseelements additionaleventdata serviceeventdetails`)

// flowColumns are those of a table of VPC flow logs, fields of all versions.
// https://docs.aws.amazon.com/athena/latest/ug/vpc-flow-logs-create-table-statement.html
var flowColumns = strings.Fields(`version account_id interface_id srcaddr dstaddr srcport dstport protocol packets bytes start end action log_status
	vpc_id subnet_id instance_id tcp_flags type pkt_srcaddr pkt_dstaddr region az_id sublocation_type sublocation_id pkt_src_aws_service
	pkt_dst_aws_service flow_direction traffic_path ecs_cluster_arn ecs_cluster_name ecs_container_instance_arn ecs_container_instance_id
	ecs_container_id ecs_second_container_id ecs_service_name ecs_task_definition_arn ecs_task_arn ecs_task_id reject_reason`)

type sqlCompiler struct {
	res  *Result
	flow bool
}

func (r *Result) athena() Fidelity {
	r.inSQL()
	return r.Fidelity
}

func (r *Result) inSQL() {
	kind := only(r.Rule, event.CloudTrail, event.VPCFlow)
	if kind == "" {
		r.refuse("the tables for CloudTrail and VPC flow logs are known, not one for %s", names(r.Rule.Logs()))
		return
	}
	r.Fidelity = Exact
	c := &sqlCompiler{r, kind == event.VPCFlow}
	table, order := "cloudtrail_logs", "eventtime"
	if c.flow {
		table, order = "vpc_flow_logs", `"start"`
	}
	if r.Rule.Correlation != nil {
		c.correlation(table)
		return
	}
	where, ok := c.where(r.Rule)
	if !ok {
		r.refuse("SQL over this table can express nothing of the condition: %s", strings.Join(r.Reasons, "; "))
		return
	}
	r.SQL = fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s\nORDER BY %s", table, where, order)
}

func (c *sqlCompiler) where(r *sigma.Rule) (string, bool) {
	join := func(word string) func([]string) string {
		return func(kids []string) string { return "(" + strings.Join(kids, "\n  "+word+" ") + ")" }
	}
	b := boolean[string]{all: join("AND"), any: join("OR"), not: func(x string) string { return "NOT " + x }, leaf: c.leaf, res: c.res}
	return b.build(r.Condition(), true)
}

// correlation counts in a window that slides, as the rule does.
func (c *sqlCompiler) correlation(table string) {
	corr := c.res.Rule.Correlation
	base := c.res.Rule.Base()
	bounds := corr.Bounds()
	if corr.Type != sigma.EventCount || slices.ContainsFunc(bounds, func(b sigma.Comparison) bool { return b.Op != "gte" && b.Op != "gt" }) || len(bounds) == 0 {
		c.res.refuse("a correlation of type %s with these conditions has no form in SQL that finds the same; event_count with gte or gt has", corr.Type)
		return
	}
	var wheres, groups []string
	for _, b := range base {
		where, ok := c.where(b)
		if !ok {
			c.res.refuse("SQL over this table can express nothing of the rule %s", b.Key())
			return
		}
		wheres = append(wheres, where)
	}
	for _, g := range corr.GroupBy {
		col, path, ok := c.column(g)
		if !ok {
			c.res.refuse("the table has no column for %s, by which the rule groups", g)
			return
		}
		groups = append(groups, scalar(col, path))
	}
	at := "from_iso8601_timestamp(eventtime)"
	if c.flow {
		at = `from_unixtime("start")`
	}
	partition, present := "", ""
	if len(groups) > 0 {
		partition = "PARTITION BY " + strings.Join(groups, ", ") + " "
		for _, g := range groups {
			present += "\n    AND " + g + " IS NOT NULL"
		}
	}
	c.res.widen("where one match follows another, the rule counts anew and this query goes on counting")
	var having []string
	for _, b := range bounds {
		having = append(having, fmt.Sprintf("matches %s %v", map[string]string{"gte": ">=", "gt": ">"}[b.Op], b.Want))
	}
	c.res.SQL = fmt.Sprintf("SELECT *\nFROM (\n  SELECT *, count(*) OVER (%sORDER BY %s RANGE BETWEEN INTERVAL '%d' SECOND PRECEDING AND CURRENT ROW) AS matches\n  FROM %s\n  WHERE (%s)%s\n)\nWHERE %s",
		partition, at, int(corr.Timespan.Seconds()), table, strings.Join(wheres, "\n  OR "), present, strings.Join(having, " AND "))
}

// column returns the column of a field, and the path within it where it is JSON.
func (c *sqlCompiler) column(field string) (col string, path []string, ok bool) {
	if c.flow {
		name := strings.ReplaceAll(field, "-", "_")
		if !slices.Contains(flowColumns, name) {
			return "", nil, false
		}
		return `CAST("` + name + `" AS varchar)`, nil, true
	}
	lower := strings.ToLower(field)
	if slices.Contains(trailColumns, lower) {
		return lower, nil, true
	}
	head, rest, _ := strings.Cut(field, ".")
	if head = strings.ToLower(head); slices.Contains(jsonColumns, head) {
		if rest != "" {
			path = strings.Split(rest, ".")
		}
		return head, path, true
	}
	return "", nil, false
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// scalar is the SQL of a field's value as text; NULL for objects and lists.
func scalar(col string, path []string) string {
	if len(path) == 0 {
		return col
	}
	return fmt.Sprintf("json_extract_scalar(%s, %s)", col, quote(jsonPath(path)))
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
	col, path, ok := c.column(t.Field)
	switch {
	case !ok:
		return drop("the table has no column for it")
	case t.Kind == sigma.TestTime || t.Kind == sigma.TestField:
		return drop("it is left to the check of the hits")
	case len(path) > 0:
		return c.inJSON(t, col, path, over)
	case slices.Contains(jsonColumns, col):
		return c.wholeJSON(t, col, over)
	}
	if t.Kind == sigma.TestExists {
		return map[bool]string{true: "(" + col + " IS NOT NULL)", false: "(" + col + " IS NULL)"}[t.Exists], true
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
	x = "coalesce(" + cmp.Or(x, "false") + ", false)"
	if t.Null {
		x = "(" + col + " IS NULL OR " + x + ")"
	}
	return x, true
}

// inJSON compares a field within a JSON column. Where a list is on its way, or
// it is an object, json_extract_scalar gives NULL: then, over, it will do that
// the text of the column holds the name and the literal.
func (c *sqlCompiler) inJSON(t *sigma.Test, col string, path []string, over bool) (string, bool) {
	v := scalar(col, path)
	key := fmt.Sprintf(`coalesce(strpos(%s, %s), 0) > 0`, col, quote(path[len(path)-1]+`"`))
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
	x, exact := c.compare(t, v)
	if !over {
		if !exact && len(t.Patterns)+len(t.Regexps)+len(t.Networks)+len(t.Numbers) > 0 {
			c.res.widen("%s: it cannot be excluded exactly", about(t))
			return "", false
		}
		c.res.widen("%s: what is in lists of %s is not excluded", about(t), col)
		x = "coalesce(" + cmp.Or(x, "false") + ", false)"
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
		alternatives = append(alternatives, "coalesce("+cmp.Or(x, "false")+", false)", "("+v+" IS NULL AND "+inText+")")
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
	x, exact := c.compare(t, col)
	c.res.widen("%s: text with escapes in it is let through", about(t))
	if !exact {
		return "", false
	}
	return fmt.Sprintf("(coalesce(%s, false) OR coalesce(strpos(%s, chr(92)), 0) > 0)", x, col), true
}

// compare is the SQL of a comparison with a text value, which may be NULL. Where
// it is not exact, it holds at least where the test does, or is "".
func (c *sqlCompiler) compare(t *sigma.Test, v string) (string, bool) {
	folded := "lower(" + v + ")"
	lower := strings.ToLower
	if t.Cased {
		folded, lower = v, func(s string) string { return s }
	}
	exact := true
	var in, tests []string
	byValue := map[int][]string{}
	for _, p := range t.Patterns {
		var x string
		if s := shapeOf(p); s.exact {
			if !t.All {
				in = append(in, quote(lower(s.lit)))
				continue
			}
			x = folded + " = " + quote(lower(s.lit))
		} else {
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
		op := map[string]string{"": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}[n.Op]
		x := fmt.Sprintf("try_cast(%s AS double) %s %s", v, op, strconv.FormatFloat(n.Want, 'f', -1, 64))
		if n.Op == "" {
			x = "(" + x + " OR " + v + " = " + quote(n.Text) + ")"
		}
		tests = append(tests, x)
	}
	for _, p := range t.Networks {
		tests = append(tests, fmt.Sprintf("contains(%s, try_cast(%s AS ipaddress))", quote(p.String()), v))
	}
	for _, re := range t.Regexps {
		if !portable(re.Source) {
			if exact = false; re.Needs == "" {
				return "", false
			}
			tests = append(tests, fmt.Sprintf("strpos(%s, %s) > 0", v, quote(re.Needs)))
			continue
		}
		tests = append(tests, fmt.Sprintf("regexp_like(%s, %s)", v, quote(re.Source)))
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

// portable reports whether an expression means the same to Athena's matcher.
func portable(re string) bool {
	for _, s := range []string{"(?P<", `\z`, `\Q`, `\C`, "[[:", `\pN`, "(?U", "(?s", "(?m"} {
		if strings.Contains(re, s) {
			return false
		}
	}
	return true
}
