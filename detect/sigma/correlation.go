package sigma

import (
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// CorrelationType says what a correlation measures.
type CorrelationType string

// The correlation types of Sigma 2.1, and value_median, which its reference
// implementation has too.
const (
	EventCount      CorrelationType = "event_count"
	ValueCount      CorrelationType = "value_count"
	Temporal        CorrelationType = "temporal"
	TemporalOrdered CorrelationType = "temporal_ordered"
	ValueSum        CorrelationType = "value_sum"
	ValueAvg        CorrelationType = "value_avg"
	ValuePercentile CorrelationType = "value_percentile"
	ValueMedian     CorrelationType = "value_median"
)

var correlationTypes = []CorrelationType{EventCount, ValueCount, Temporal, TemporalOrdered, ValueSum, ValueAvg, ValuePercentile, ValueMedian}

// Correlation is a rule over the matches of other rules.
type Correlation struct {
	Type       CorrelationType
	Rules      []string
	GroupBy    []string
	Timespan   time.Duration
	Field      []string // value types: what is counted or added up
	Percentile float64
	Generate   bool // the rules yield matches of their own, too

	aliases   map[string]map[string]string
	tests     []numberTest
	condition string // a boolean condition over rule names
	logic     *expr
	file      string
	line, col int

	rules []*Rule
	carry []string // paths that correlations above need of the events
	feeds []feed   // by rule
}

// feed is what a correlation reads from the events of one of its rules.
type feed struct {
	group, values, carry []string
	groupAt, valuesAt    []event.Slot
	carryAt              []event.Slot
}

func parseCorrelation(file string, n *yamldoc.Node) (*Correlation, error) {
	bad := func(at *yamldoc.Node, format string, args ...any) (*Correlation, error) {
		if at == nil {
			at = n
		}
		return nil, at.Errorf(file, format, args...)
	}
	if n.Kind != yamldoc.Map {
		return bad(n, "correlation is %s, want a map", n.Kind)
	}
	c := &Correlation{
		Type: CorrelationType(n.Str("type")), Rules: n.Strs("rules"), GroupBy: n.Strs("group-by"),
		Generate: n.Str("generate") == "true", file: file, line: n.Line, col: n.Col,
	}
	for _, k := range n.Keys {
		if !slices.Contains([]string{"type", "rules", "group-by", "timespan", "condition", "aliases", "generate", "field"}, k.Text) {
			return bad(k, "correlation: unknown member %q", k.Text)
		}
	}
	if !slices.Contains(correlationTypes, c.Type) {
		return bad(n.Get("type"), "correlation type %q: want one of %v", c.Type, correlationTypes)
	}
	if len(c.Rules) == 0 {
		return bad(n.Get("rules"), "a correlation needs rules")
	}
	if len(c.Rules) > 64 {
		return bad(n.Get("rules"), "a correlation of more than 64 rules")
	}
	span, ok := parseTimespan(n.Str("timespan"))
	if !ok {
		return bad(n.Get("timespan"), "timespan %q: want a number and s, m, h or d, such as 15m", n.Str("timespan"))
	}
	c.Timespan = span
	if a := n.Get("aliases"); a != nil {
		c.aliases = map[string]map[string]string{}
		if a.Kind != yamldoc.Map {
			return bad(a, "aliases is %s, want a map", a.Kind)
		}
		for i, k := range a.Keys {
			c.aliases[k.Text] = map[string]string{}
			if a.Vals[i].Kind != yamldoc.Map {
				return bad(k, "alias %q: want a map of rule name to field", k.Text)
			}
			for j, rule := range a.Vals[i].Keys {
				c.aliases[k.Text][rule.Text] = a.Vals[i].Vals[j].Text
			}
		}
	}
	c.Field = n.Strs("field")
	return c, c.parseCondition(n, func(at *yamldoc.Node, format string, args ...any) error {
		_, err := bad(at, format, args...)
		return err
	})
}

func (c *Correlation) parseCondition(n *yamldoc.Node, bad func(*yamldoc.Node, string, ...any) error) error {
	temporal := c.Type == Temporal || c.Type == TemporalOrdered
	cond := n.Get("condition")
	switch {
	case cond == nil && temporal:
	case cond == nil:
		return bad(nil, "a correlation of type %s needs a condition", c.Type)
	case cond.Kind == yamldoc.String && temporal:
		c.condition = cond.Text
	case cond.Kind != yamldoc.Map:
		return bad(cond, "condition is %s, want a map such as gte: 10", cond.Kind)
	default:
		for i, k := range cond.Keys {
			v := cond.Vals[i]
			switch k.Text {
			case "field":
				c.Field = cond.Strs("field")
				continue
			case "percentile":
				p, ok := parseNumber(v.Text)
				if !ok || p < 0 || p > 100 {
					return bad(v, "percentile %q: want a number from 0 to 100", v.Text)
				}
				c.Percentile = p
				continue
			case "gt", "gte", "lt", "lte", "eq", "neq":
			default:
				return bad(k, "condition: unknown member %q; want gt, gte, lt, lte, eq, neq, field or percentile", k.Text)
			}
			want, ok := parseNumber(v.Text)
			if !ok {
				return bad(v, "condition %s: want a number, not %q", k.Text, v.Text)
			}
			c.tests = append(c.tests, numberTest{op: k.Text, want: want})
		}
		if len(c.tests) == 0 {
			return bad(cond, "condition needs gt, gte, lt, lte, eq or neq")
		}
	}
	valued := !temporal && c.Type != EventCount
	if valued && len(c.Field) == 0 {
		return bad(cond, "a correlation of type %s needs a field in its condition", c.Type)
	}
	if c.Type != ValueCount && len(c.Field) > 1 {
		return bad(cond, "a correlation of type %s takes one field", c.Type)
	}
	if c.Type == ValueMedian || c.Type == ValuePercentile && n.Get("condition").Get("percentile") == nil {
		c.Percentile = 50
	}
	return nil
}

// rising reports whether the condition can only become true by more events, so
// that a sliding window decides; else the window has to be complete.
func (c *Correlation) rising() bool {
	for _, t := range c.tests {
		if t.op != "gt" && t.op != "gte" {
			return false
		}
	}
	return true
}

func (c *Correlation) holds(v float64) bool {
	for _, t := range c.tests {
		switch {
		case t.op == "neq" && v == t.want, t.op == "eq" && v != t.want:
			return false
		case t.op != "neq" && t.op != "eq" && !t.holds(v):
			return false
		}
	}
	return true
}

// path resolves an alias for a rule.
func (c *Correlation) path(name string, r *Rule) (string, error) {
	alias, ok := c.aliases[name]
	if !ok {
		return name, nil
	}
	for rule, field := range alias {
		if r.Is(rule) {
			return field, nil
		}
	}
	return "", yamldoc.Errorf(c.file, c.line, c.col, "alias %q says nothing of the rule %q", name, r.Key())
}

// link finds the rules of correlations and returns the fields that they need.
func (g *Engine) link() (fields []string, faults []error) {
	generated := map[*Rule]bool{}
	for _, r := range slices.Clone(g.correlations) {
		c := r.Correlation
		for _, name := range c.Rules {
			target := g.Find(name)
			if target == nil || target == r {
				faults = append(faults, yamldoc.Errorf(c.file, c.line, c.col, "correlation %q refers to a rule %q that is not there; load its file, too", r.Title, name))
				g.dropCorrelation(r)
				break
			}
			c.rules = append(c.rules, target)
			if c.Generate {
				generated[target] = true
			}
		}
	}
	if cyclic := g.sortCorrelations(); cyclic != nil {
		faults = append(faults, yamldoc.Errorf(cyclic.File, cyclic.Line, 1, "correlation %q depends on itself", cyclic.Title))
		g.correlations = nil
		return nil, faults
	}
	for _, r := range g.correlations {
		for _, used := range r.Correlation.rules {
			used.silent = !generated[used]
		}
	}
	// Correlations above first: what they need, those below must carry.
	for _, r := range slices.Backward(g.correlations) {
		more, err := r.Correlation.plan()
		if err != nil {
			faults = append(faults, err)
			g.dropCorrelation(r)
			continue
		}
		for _, path := range slices.Compact(slices.Sorted(slices.Values(more))) {
			if why := unknownField(path); why != "" {
				faults = append(faults, yamldoc.Errorf(r.Correlation.file, r.Correlation.line, r.Correlation.col, "%s", why))
			}
		}
		fields = append(fields, more...)
	}
	return fields, faults
}

func (g *Engine) dropCorrelation(r *Rule) {
	g.correlations = slices.DeleteFunc(g.correlations, func(o *Rule) bool { return o == r })
}

// sortCorrelations puts correlations behind those that they refer to. It
// returns one that depends on itself, or nil.
func (g *Engine) sortCorrelations() *Rule {
	var out []*Rule
	state := map[*Rule]int{} // 1: being visited, 2: done
	var visit func(r *Rule) *Rule
	visit = func(r *Rule) *Rule {
		switch {
		case r.Correlation == nil || state[r] == 2:
			return nil
		case state[r] == 1:
			return r
		}
		state[r] = 1
		for _, k := range r.Correlation.rules {
			if bad := visit(k); bad != nil {
				return bad
			}
		}
		state[r] = 2
		if slices.Contains(g.correlations, r) {
			out = append(out, r)
		}
		return nil
	}
	for _, r := range g.correlations {
		if bad := visit(r); bad != nil {
			return bad
		}
	}
	g.correlations = out
	return nil
}

// plan decides what is read from the events of each rule.
func (c *Correlation) plan() (fields []string, err error) {
	if c.condition != "" {
		if err := c.parseLogic(); err != nil {
			return nil, err
		}
	}
	for _, r := range c.rules {
		var f feed
		for _, name := range c.GroupBy {
			p, err := c.path(name, r)
			if err != nil {
				return nil, err
			}
			f.group = append(f.group, p)
		}
		for _, name := range c.Field {
			p, err := c.path(name, r)
			if err != nil {
				return nil, err
			}
			f.values = append(f.values, p)
		}
		f.carry = c.carry
		c.feeds = append(c.feeds, f)
		needs := slices.Concat(f.group, f.values, f.carry)
		if r.Correlation != nil {
			for _, p := range needs {
				if !slices.Contains(r.Correlation.carry, p) {
					r.Correlation.carry = append(r.Correlation.carry, p)
				}
			}
		}
		fields = append(fields, needs...)
	}
	return fields, nil
}

func (c *Correlation) parseLogic() error {
	named := map[string]*expr{}
	var order []string
	for i, name := range c.Rules {
		named[name] = &expr{op: opItem, n: i}
		order = append(order, name)
	}
	p := &conditionParser{named: named, order: order, used: map[string]bool{}}
	e, err := p.parse(c.condition)
	if err != nil {
		return yamldoc.Errorf(c.file, c.line, c.col, "%s", err.Error())
	}
	if c.Type == TemporalOrdered && (len(p.used) != len(c.Rules) || strings.Contains(strings.ToLower(c.condition), " or ") || strings.Contains(strings.ToLower(c.condition), "not ")) {
		return yamldoc.Errorf(c.file, c.line, c.col, "the condition of temporal_ordered joins all of its rules with and")
	}
	c.logic = e
	return nil
}

// present evaluates a boolean condition over which rules have matched.
func (e *expr) present(counts []int) bool {
	switch e.op {
	case opItem:
		return counts[e.n] > 0
	case opNot:
		return !e.kids[0].present(counts)
	case opAnd:
		for _, k := range e.kids {
			if !k.present(counts) {
				return false
			}
		}
		return true
	}
	n := 0
	for _, k := range e.kids {
		if k.present(counts) {
			n++
		}
	}
	return n >= max(e.n, 1)
}

func (c *Correlation) bind(s *event.Schema) {
	slots := func(paths []string) []event.Slot {
		out := make([]event.Slot, len(paths))
		for i, p := range paths {
			out[i], _ = s.Slot(p)
		}
		return out
	}
	for i := range c.feeds {
		f := &c.feeds[i]
		f.groupAt, f.valuesAt, f.carryAt = slots(f.group), slots(f.values), slots(f.carry)
	}
}
