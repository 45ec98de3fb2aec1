// Package compile translates detection rules into what other systems run:
// EventBridge patterns, Athena SQL, OpenSearch queries, and stacks of rules for
// CloudFormation and Terraform.
//
// The types are Target, and Result, what became of one rule: the text, how
// faithful it is, and why it is not exact or was refused. Rules makes results,
// Stack a template of them.
//
// # Caveats
//
// A translation never misses an event that the rule matches. What a target
// cannot express is left out, so that it matches more: Fidelity is then Wider,
// and the hits are to be checked again, by 'bartizan detect' for instance. Where
// nothing useful would be left, the rule is refused. Values of fields that AWS
// writes in one way only, such as event names, are compared with regard to case
// by EventBridge: rules spell them as AWS does. docs/compile.md says for each
// target what records are taken to be like.
package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// Target is what a rule is translated for.
type Target string

// The targets.
const (
	EventBridge    Target = "eventbridge"
	Athena         Target = "athena"
	OpenSearch     Target = "opensearch"
	CloudFormation Target = "cloudformation"
	Terraform      Target = "terraform"
)

// Targets lists the targets.
func Targets() []Target {
	return []Target{EventBridge, Athena, OpenSearch, CloudFormation, Terraform}
}

// Fidelity says how a translation relates to its rule.
type Fidelity string

// The fidelities.
const (
	Exact   Fidelity = "exact"   // matches what the rule matches
	Wider   Fidelity = "wider"   // matches that and more: check hits again
	Refused Fidelity = "refused" // no translation
)

// Result is what became of a rule.
type Result struct {
	RuleID   string   `json:"ruleId"`
	Title    string   `json:"title"`
	Severity string   `json:"severity"`
	Fidelity Fidelity `json:"fidelity"`
	Reasons  []string `json:"reasons,omitempty"` // why it is wider, or refused
	Notes    []string `json:"notes,omitempty"`   // what has to be there for it to work

	Patterns []Pattern      `json:"patterns,omitempty"` // EventBridge: any of them
	SQL      string         `json:"sql,omitempty"`      // Athena
	Query    map[string]any `json:"query,omitempty"`    // OpenSearch

	Rule *sigma.Rule `json:"-"`

	lacks wildcards // what would make an EventBridge pattern better
	terms []conj    // the patterns together, not written out
	kind  event.Kind
}

// Rules translates compiled rules for a target, in their order. Filters are laid
// over the rules already; rules that only correlations among them use are left
// out.
func Rules(rules []*sigma.Rule, target Target) []Result {
	below := map[string]bool{}
	for _, r := range rules {
		if r.Correlation != nil {
			for _, name := range r.Correlation.Rules {
				below[name] = true
			}
		}
	}
	out := []Result{}
	for _, r := range rules {
		if r.Filter == nil && !(r.Silent() && (below[r.ID] || below[r.Name])) {
			out = append(out, newResult(r))
		}
	}
	translate(out, target)
	for i := range out {
		r := &out[i]
		if len(r.Rule.Logs()) == 0 {
			r.refuse("its log source, %s, is no log of AWS that bartizan knows", r.Rule.LogSource)
		}
		slices.Sort(r.Reasons)
		r.Reasons = slices.Compact(r.Reasons)
	}
	return out
}

// translate fills in results, and returns them.
func translate(out []Result, target Target) []Result {
	switch target {
	case Athena:
		for i := range out {
			out[i].athena()
		}
	case OpenSearch:
		for i := range out {
			out[i].openSearch()
		}
	case EventBridge:
		onBus(out)
	default:
		onStack(out)
	}
	return out
}

func newResult(r *sigma.Rule) Result {
	return Result{RuleID: r.Key(), Title: r.Title, Severity: r.Level, Rule: r}
}

// onBus makes EventBridge patterns. The few wildcards of a bus go to what rules
// ask for first, then to what they exclude, each time to severe rules first.
func onBus(results []Result) {
	spent := make([]int, len(results))
	left := maxWildcards
	try := func(i int, use wildcards) {
		r := newResult(results[i].Rule)
		r.eventBridge(use)
		n := 0
		for _, p := range r.Patterns {
			if p.wildcard {
				n++
			}
		}
		if n-spent[i] <= left {
			left -= n - spent[i]
			results[i], spent[i] = r, n
		}
	}
	for i := range results {
		try(i, wildcards{})
	}
	for _, use := range []wildcards{{asked: true}, {asked: true, excluded: true}} {
		for _, level := range severities {
			for i := range results {
				lacks := results[i].lacks
				if results[i].Severity == level && left > 0 && (lacks.asked || lacks.excluded && use.excluded) {
					try(i, use)
				}
			}
		}
	}
}

// wildcards says where a pattern may have some.
type wildcards struct{ asked, excluded bool }

func (r *Result) refuse(format string, args ...any) {
	r.Fidelity, r.Reasons = Refused, []string{fmt.Sprintf(format, args...)}
	r.Patterns, r.SQL, r.Query = nil, "", nil
}

// widen notes that something was left out.
func (r *Result) widen(format string, args ...any) {
	r.Fidelity = Wider
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

// about names a test in a reason.
func about(t *sigma.Test) string {
	if t.Field == "" {
		return "keywords"
	}
	return t.Source
}

// derived is why a test is left to the check of the hits.
const derived = "only bartizan works it out of the record; it is left to the check of the hits"

// only returns the one kind of log that a rule reads among those given, or "".
func only(r *sigma.Rule, kinds ...event.Kind) event.Kind {
	logs := r.Logs()
	if len(logs) == 1 && slices.Contains(kinds, logs[0]) {
		return logs[0]
	}
	if len(logs) == len(event.Kinds()) { // a rule without service: CloudTrail is what it is written for
		return event.CloudTrail
	}
	return ""
}

func names(kinds []event.Kind) string {
	var out []string
	for _, k := range kinds {
		out = append(out, string(k))
	}
	return strings.Join(out, ", ")
}

// shape describes the tokens of a pattern.
type shape struct {
	lit             string // the longest literal
	exact           bool   // nothing but lit
	before, after   bool   // any text may stand before, after
	simple          bool   // no more than that
	one, notNothing bool   // has a ?; is ?*
}

func shapeOf(p sigma.Pattern) shape {
	s := shape{simple: true}
	literals := 0
	for i, t := range p.Tokens {
		switch {
		case t.Any:
			if i == 0 {
				s.before = true
			}
			if i == len(p.Tokens)-1 {
				s.after = true
			}
			if i > 0 && i < len(p.Tokens)-1 {
				s.simple = false
			}
		case t.One:
			s.one, s.simple = true, false
		default:
			literals++
			if len(t.Literal) > len(s.lit) {
				s.lit = t.Literal
			}
		}
	}
	s.simple = s.simple && literals <= 1
	s.exact = len(p.Tokens) == 0 || len(p.Tokens) == 1 && literals == 1
	s.notNothing = len(p.Tokens) == 2 && literals == 0 && s.one && (p.Tokens[0].Any || p.Tokens[1].Any)
	return s
}
