package posture

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// Options says how to run a Set.
type Options struct {
	Now time.Time // ages are counted to it
}

// Summary says what a run did.
type Summary struct {
	Accounts  int
	Resources int
	Results   map[finding.Status]int
	Skipped   []string     // controls whose resources were not collected, by id
	Gaps      []estate.Gap // what hides whole resources that a control looks at
}

// Run walks an estate account by account and gives every result to emit: for
// each resource in the source's order, each control by id. Results that need
// what only the whole organization shows come at the end. The same estate gives
// the same results in the same order. Run needs memory for one account at a
// time; an error of the source, of emit or of ctx ends it.
func (s *Set) Run(ctx context.Context, src estate.Source, opts Options, emit func(finding.Finding) error) (Summary, error) {
	r := &run{set: s, st: newState(opts.Now), emit: emit, head: src.Header(),
		sum: Summary{Results: map[finding.Status]int{}}}
	if len(r.head.Scope.Types) > 0 {
		r.st.scope = map[string]bool{}
		for _, t := range r.head.Scope.Types {
			r.st.scope[t] = true
		}
	}
	r.st.org.org = newOrganizationView(r.st, s.keep)
	for a, err := range src.Accounts() {
		if err != nil {
			return r.sum, fmt.Errorf("read estate: %w", err)
		}
		if err := r.account(ctx, a); err != nil {
			return r.sum, err
		}
	}
	if err := r.finish(ctx); err != nil {
		return r.sum, err
	}
	for _, rule := range s.rules {
		if r.st.scope != nil && !slices.ContainsFunc(rule.Resource, func(t string) bool { return r.st.scope[t] }) {
			r.sum.Skipped = append(r.sum.Skipped, rule.ID)
		}
	}
	return r.sum, nil
}

type run struct {
	set     *Set
	st      *state
	head    estate.Header
	emit    func(finding.Finding) error
	sum     Summary
	later   []pending
	decided map[*rule]decision // at the end: of rules that say the same of every resource
}

type decision struct {
	status finding.Status
	reason string
}

// pending is a result that the whole organization must be known for.
type pending struct {
	rule *rule
	res  *estate.Resource
}

func (r *run) account(ctx context.Context, a *estate.Account) error {
	r.sum.Accounts++
	r.sum.Resources += len(a.Resources)
	view := newAccountView(r.st, a)
	r.st.estate.acct = view
	r.st.org.org.add(a)
	if err := r.gaps(a); err != nil {
		return err
	}
	for _, res := range a.Resources {
		rules := r.set.byType[res.Type]
		if len(rules) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, rule := range rules {
			if err := r.result(rule, res); err != nil {
				return err
			}
		}
	}
	return nil
}

// gaps turns what hides whole resources into one unknown result per control
// that would have looked at them.
func (r *run) gaps(a *estate.Account) error {
	for _, g := range a.Gaps {
		if g.Part != "" {
			continue
		}
		asked := false
		for _, t := range sortedKeys(r.set.byType) {
			if g.Type != "" && g.Type != t {
				continue
			}
			for _, rule := range r.set.byType[t] {
				asked = true
				res := &estate.Resource{Type: t, ID: "*", Account: a.ID, Region: g.Region}
				f := r.finding(rule, res)
				f.Status, f.Reason = finding.StatusUnknown, "resources of this type could not be read: "+gapText(g)
				if err := r.give(f); err != nil {
					return err
				}
			}
		}
		for _, rule := range r.set.rules {
			asked = asked || slices.Contains(rule.lookups, g.Type)
		}
		if asked {
			r.sum.Gaps = append(r.sum.Gaps, g)
		}
	}
	return nil
}

// finish gives the results that had to wait for the whole organization.
func (r *run) finish(ctx context.Context) error {
	r.st.org.org.ready = true
	r.decided = map[*rule]decision{}
	r.st.estate.acct = newAccountView(r.st, &estate.Account{})
	for _, p := range r.later {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.result(p.rule, p.res); err != nil {
			return err
		}
	}
	return nil
}

// result decides one control for one resource.
func (r *run) result(rule *rule, res *estate.Resource) error {
	if rule.Scope == ScopeOrganization && res.Type == typeOrganization && res.Document["MasterAccountId"] != res.Account {
		return nil // member accounts see the organization too; it counts once
	}
	st := r.st
	st.reset()
	st.account, st.region, st.subject = res.Account, res.Region, st.object(res)
	st.estate.region = res.Region
	d, known := r.decided[rule]
	if !known {
		d.status, d.reason = rule.decide(st)
		if rule.same && st.org.org.ready {
			r.decided[rule] = d
		}
	}
	status, reason := d.status, d.reason
	if status == "" {
		return nil
	}
	if status == finding.StatusUnknown && st.later && !st.org.org.ready {
		r.later = append(r.later, pending{rule, rule.part(res)})
		return nil
	}
	f := r.finding(rule, res)
	f.Status, f.Reason = status, reason
	if status == finding.StatusFail {
		f.Reason = rule.text(st)
		f.Evidence = rule.show(st)
	}
	return r.give(f)
}

// part is a resource with what the rule reads of it alone, so that what has to
// wait for the end of the walk is small.
func (r *rule) part(res *estate.Resource) *estate.Resource {
	if r.reads == nil {
		return res
	}
	small := *res
	small.Document = make(map[string]any, len(r.reads)+1)
	for name, v := range res.Document {
		if r.reads[name] || name == "MasterAccountId" {
			small.Document[name] = v
		}
	}
	return &small
}

func (r *run) give(f finding.Finding) error {
	r.sum.Results[f.Status]++
	return r.emit(f)
}

// finding makes the part of a finding that does not depend on the result.
func (r *run) finding(rule *rule, res *estate.Resource) finding.Finding {
	return finding.Finding{
		Fingerprint: finding.Fingerprint(rule.ID, res.Type, res.Account, res.Region, res.ID),
		RuleID:      rule.ID, Title: rule.Title, Pillar: rule.Pillar, Severity: rule.Severity,
		Resource: finding.Resource{Type: res.Type, ID: res.ID, ARN: res.ARN, Account: res.Account, Region: res.Region, Tags: res.Tags},
		Why:      rule.Why, Fix: &rule.Fix, Frameworks: rule.Frameworks,
	}
}

// decide evaluates a rule. An empty status means that it does not apply.
func (r *rule) decide(st *state) (finding.Status, string) {
	doubt := ""
	if r.applies != nil {
		switch v := eval(r.applies, st).(type) {
		case types.Bool:
			if !v {
				return "", ""
			}
		default:
			// Whether it applies is open. If it would pass there is nothing to say.
			doubt = "whether the control applies cannot be decided: " + st.doubt(v)
		}
	}
	switch v := eval(r.assert, st).(type) {
	case types.Bool:
		switch {
		case bool(v):
			return finding.StatusPass, ""
		case doubt != "":
			return finding.StatusUnknown, doubt
		}
		return finding.StatusFail, ""
	default:
		return finding.StatusUnknown, st.doubt(v)
	}
}

func eval(p cel.Program, st *state) ref.Val {
	v, _, err := p.Eval(st)
	if st.steps > maxSteps {
		return errTooLong() // whatever it says: a loop was cut short
	}
	if err != nil {
		return types.WrapErr(err)
	}
	return v
}

// doubt says in words why a value is neither true nor false.
func (st *state) doubt(v ref.Val) string {
	u, ok := v.(*types.Unknown)
	if !ok {
		if err, isErr := v.(*types.Err); isErr {
			return "the control could not be evaluated: " + strings.ReplaceAll(err.String(), "\n", " ")
		}
		return fmt.Sprintf("the control gave a %s instead of true or false", v.Type().TypeName())
	}
	var reasons []string
	for _, id := range u.IDs() {
		if id < 0 || int(id) >= len(st.gaps) {
			continue
		}
		if text := gapText(st.gaps[id]); !slices.Contains(reasons, text) {
			reasons = append(reasons, text)
		}
	}
	slices.Sort(reasons)
	return strings.Join(reasons, "; ")
}

func gapText(g estate.Gap) string {
	text := g.Operation + ": " + g.Reason
	if g.Code != "" && !strings.Contains(g.Reason, g.Code) {
		text += " (" + g.Code + ")"
	}
	if g.Permission != "" {
		text += "; grant " + g.Permission
	}
	return text
}

// text fills in a rule's message.
func (r *rule) text(st *state) string {
	var b strings.Builder
	for _, s := range r.message {
		if s.program == nil {
			b.WriteString(s.text)
			continue
		}
		b.WriteString(words(native(eval(s.program, st))))
	}
	return b.String()
}

// maxWords bounds what one expression puts into a message, in bytes.
const maxWords = 300

func words(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		s = "nothing"
	case string:
		s = v
	case int64:
		s = strconv.FormatInt(v, 10)
	case []any:
		parts := make([]string, 0, len(v))
		for _, e := range v {
			parts = append(parts, words(e))
		}
		s = strings.Join(parts, ", ")
	default:
		s = fmt.Sprint(v)
	}
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}

// show reads the evidence for a failure.
func (r *rule) show(st *state) []finding.Evidence {
	out := make([]finding.Evidence, 0, len(r.evidence))
	for _, e := range r.evidence {
		if e.program == nil {
			out = append(out, finding.Evidence{Path: e.name, Value: trim(lookupPath(st.subject.members, e.path))})
			continue
		}
		v := eval(e.program, st)
		switch v.(type) {
		case *types.Err, *types.Unknown:
			out = append(out, finding.Evidence{Path: e.name, Note: st.doubt(v)})
		default:
			out = append(out, finding.Evidence{Path: e.name, Value: trim(native(v)), Note: e.note})
		}
	}
	return out
}

func lookupPath(v any, path []string) any {
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[p]
	}
	if _, ok := v.(*missing); ok {
		return nil
	}
	return v
}

// maxEvidence bounds how many elements of a list are shown.
const maxEvidence = 20

func trim(v any) any {
	list, ok := v.([]any)
	if !ok || len(list) <= maxEvidence {
		return v
	}
	return append(slices.Clone(list[:maxEvidence]), fmt.Sprintf("… and %d more", len(list)-maxEvidence))
}
