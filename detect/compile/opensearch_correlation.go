package compile

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// maxGroups is how many groups an aggregation gives: those with most records.
const maxGroups = 10_000

// timeFields are the times of the records, which IndexTemplate has as a date at
// .time below them, with their formats.
var timeFields = map[event.Kind][2]string{
	event.CloudTrail:  {"eventTime", isoTime},
	event.VPCFlow:     {"start", "epoch_second"},
	event.TransitFlow: {"start", "epoch_second"},
	event.ALB:         {"time", isoTime},
	event.NLB:         {"time", isoTime},
	event.CLB:         {"time", isoTime},
	event.S3Access:    {"time", isoTime},
	event.DNS:         {"query_timestamp", isoTime},
	event.WAF:         {"timestamp", "epoch_millis"},
	event.GuardDuty:   {"service.eventLastSeen", isoTime},
	event.SecurityHub: {"LastObservedAt", isoTime},
}

const isoTime = "strict_date_optional_time||dd/MMM/yyyy:HH:mm:ss Z"

// correlation writes an aggregation: for each group, stretches of twice the
// timespan that overlap by half. Whatever lies within one timespan lies within
// one of them. https://docs.opensearch.org/latest/aggregations/
func (c *dslCompiler) correlation() {
	corr := c.res.Rule.Correlation
	at := timeFields[c.kinds[0]][0]
	if at == "" || slices.ContainsFunc(c.kinds, func(k event.Kind) bool { return timeFields[k][0] != at }) {
		c.res.refuse("records of %s have no field with their time in common; %s", names(c.kinds), instead(c.res.Rule, Athena))
		return
	}
	groups, ok := c.groups(corr)
	if !ok {
		return
	}
	below, ok := c.below(c.res.Rule)
	if !ok {
		return
	}
	c.res.widen("what it counts is counted within stretches of twice the timespan")
	query := []object{anyOf(below)}
	for _, f := range slices.Concat(groups, corr.Field) {
		query = append(query, exists(f))
	}
	enough, least := c.enough(corr, below)
	stretches := object{}
	for i, name := range []string{"stretches", "stretches_between"} {
		h := object{"field": at + ".time", "fixed_interval": fmt.Sprintf("%ds", 2*seconds(c.res.Rule)), "min_doc_count": least}
		if i == 1 {
			h["offset"] = fmt.Sprintf("%ds", seconds(c.res.Rule))
		}
		s := object{"date_histogram": h}
		if enough != nil {
			s["aggs"] = enough
		}
		stretches[name] = s
	}
	aggs := stretches
	if len(groups) > 0 {
		// Groups in which no stretch is left are left out.
		stretches["found"] = object{"bucket_selector": object{"script": "params.a + params.b > 0",
			"buckets_path": object{"a": "stretches._bucket_count", "b": "stretches_between._bucket_count"}}}
		g := object{"size": maxGroups, "min_doc_count": least}
		kind := "terms"
		if len(groups) == 1 {
			g["field"] = groups[0]
		} else {
			var terms []object
			for _, f := range groups {
				terms = append(terms, object{"field": f})
			}
			g["terms"], kind = terms, "multi_terms"
		}
		aggs = object{"groups": object{kind: g, "aggs": stretches}}
		c.res.Notes = append(c.res.Notes, fmt.Sprintf("the answer has %d groups at most; where its sum_other_doc_count is not 0, search shorter periods", maxGroups))
	}
	c.res.Notes = append(c.res.Notes, "an event whose field to group by or to count is an object takes no part")
	c.res.Query = object{"size": 0, "query": object{"bool": object{"filter": query}}, "aggs": aggs}
}

// groups returns the fields to group by, where they are the same in all rules.
func (c *dslCompiler) groups(corr *sigma.Correlation) (fields []string, ok bool) {
	for _, name := range corr.GroupBy {
		field := ""
		for _, r := range c.res.Rule.Below() {
			f := corr.FieldOf(name, r)
			if field != "" && f != field {
				c.res.refuse("an aggregation groups all records by the same field, not by %s and %s; %s", field, f, instead(c.res.Rule, Athena))
				return nil, false
			}
			field = f
		}
		fields = append(fields, field)
	}
	return fields, true
}

// below returns a query for each rule that a correlation refers to: for another
// correlation, that one of its events is there.
func (c *dslCompiler) below(r *sigma.Rule) (out []object, ok bool) {
	for _, k := range r.Below() {
		base := []*sigma.Rule{k}
		if k.Correlation != nil {
			c.res.widen("%s: one of its events is enough", k.Key())
			base = k.Base()
		}
		var list []object
		for _, b := range base {
			q, ok := c.condition(b)
			if !ok {
				c.res.refuse("a query can express nothing of the rule %s: %s", b.Key(), strings.Join(c.res.Reasons, "; "))
				return nil, false
			}
			list = append(list, q)
		}
		out = append(out, anyOf(list))
	}
	return out, true
}

// enough returns what a stretch must have for the correlation to hold, and the
// least number of its records.
func (c *dslCompiler) enough(corr *sigma.Correlation, below []object) (aggs object, least int) {
	bounds := slices.DeleteFunc(lower(corr.Bounds()), func(b sigma.Comparison) bool { return math.IsInf(b.Want, 0) || math.IsNaN(b.Want) })
	if len(bounds) < len(corr.Bounds()) {
		c.res.widen("that it is so much and not more is left to the check of the hits")
	}
	aggs = object{}
	paths := object{}
	value := ""
	switch corr.Type {
	case sigma.EventCount:
		return nil, c.records(bounds, len(below))
	case sigma.Temporal, sigma.TemporalOrdered:
		return c.together(corr, below), 1
	case sigma.ValueCount:
		var values []string
		for i, f := range corr.Field { // there are no more combinations than their product
			name := fmt.Sprintf("different_%d", i+1)
			aggs[name], paths[name] = object{"cardinality": object{"field": f, "precision_threshold": 40_000}}, name
			values = append(values, "params."+name)
		}
		if value = strings.Join(values, " * "); len(values) > 1 {
			c.res.widen("of several fields that are counted together, every combination is taken to be there")
		}
	case sigma.ValueSum:
		positive := one("range", corr.Field[0]+".number", object{"gte": 0})
		aggs["positive"] = object{"filter": positive, "aggs": object{"total": object{"sum": object{"field": corr.Field[0] + ".number"}}}}
		paths["total"], value = "positive>total", "params.total"
		if len(below) > 1 {
			value = fmt.Sprintf("%d * params.total", len(below))
			c.res.widen(matchesEach)
		}
	default:
		c.res.widen("%s: one value of that size is enough, whatever the others are", corr.Field[0])
		aggs["most"] = object{"max": object{"field": corr.Field[0] + ".number"}}
		paths["most"], value = "most", "params.most"
	}
	if script := comparisons(value, bounds); script != "" {
		aggs["enough"] = object{"bucket_selector": object{"buckets_path": paths, "script": script}}
	}
	return aggs, 1
}

// comparisons is all in painless.
func comparisons(x string, bounds []sigma.Comparison) string {
	return strings.ReplaceAll(all(x, bounds), trino.and, painless.and)
}

const matchesEach = "an event is taken to match every rule that is counted"

// records is how many records there are at least where there are so many matches
// of some rules: one record may be a match of each.
func (c *dslCompiler) records(bounds []sigma.Comparison, rules int) int {
	if rules > 1 {
		c.res.widen(matchesEach)
	}
	least := 1
	for _, b := range bounds {
		n := int(math.Ceil(min(b.Want, 1e9)))
		if b.Op == "gt" && float64(n) == b.Want {
			n++
		}
		least = max(least, (n+rules-1)/rules)
	}
	return least
}

// together asks for the rules of a temporal correlation in one stretch.
func (c *dslCompiler) together(corr *sigma.Correlation, below []object) object {
	if corr.Type == sigma.TemporalOrdered {
		c.res.widen("the order of the events is left to the check of the hits")
	}
	aggs, paths := object{}, object{}
	var seen []string
	for i, q := range below {
		name := fmt.Sprintf("seen_%d", i+1)
		aggs[name], paths[name] = object{"filter": q}, name+"._count"
		seen = append(seen, "(params."+name+" > 0 ? 1 : 0)")
	}
	number := strings.Join(seen, " + ")
	script := fmt.Sprintf("%s == %d", number, len(seen))
	switch logic := corr.Logic(); {
	case corr.Type == sigma.TemporalOrdered:
	case logic != nil:
		script = presence(c.res, logic, func(i int) string { return fmt.Sprintf("params.seen_%d > 0", i+1) }, painless)
	case len(corr.Bounds()) > 0:
		script = comparisons(number, lower(corr.Bounds()))
	}
	if script == "" {
		return nil
	}
	aggs["enough"] = object{"bucket_selector": object{"buckets_path": paths, "script": script}}
	return aggs
}
