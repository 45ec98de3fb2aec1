package posture

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/internal/glob"
)

// Set is a number of compiled controls. It does not change once made and is safe
// for concurrent use.
type Set struct {
	rules  []*rule // by id
	byType map[string][]*rule
	keep   map[string]members // types that organization lookups ask for, and what they read of them
}

// members names top-level members of documents; nil stands for all.
type members map[string]bool

// rule is one compiled control.
type rule struct {
	*Control
	applies  cel.Program // nil: always
	assert   cel.Program
	evidence []evidence
	message  []span
	lookups  []string // types that its lookups name, sorted
	usesOrg  bool
	same     bool            // whether it applies and passes does not depend on the resource
	paths    []string        // members of resource that decide, sorted
	reads    map[string]bool // members that any of its expressions reads; nil: all
	fields   members         // every member that it names, of whatever; nil: it computes names
}

// evidence is one value to show: a path to read, or an expression.
type evidence struct {
	name    string
	note    string
	path    []string
	program cel.Program // nil: the path
}

// span is a piece of a message: text or an expression.
type span struct {
	text    string
	program cel.Program
}

// Compile checks the controls' expressions and refuses two with the same id. It
// goes on after an error and names them all.
func Compile(controls []*Control) (*Set, error) {
	env, err := newEnv()
	if err != nil {
		return nil, err
	}
	set := &Set{byType: map[string][]*rule{}, keep: map[string]members{}}
	seen := map[string]string{}
	var errs []error
	sorted := slices.SortedFunc(slices.Values(controls), func(a, b *Control) int { return strings.Compare(a.ID, b.ID) })
	for _, c := range sorted {
		if first, twice := seen[c.ID]; twice {
			errs = append(errs, fmt.Errorf("control %s: stands in %s and in %s", c.ID, first, c.File))
			continue
		}
		seen[c.ID] = c.File
		r, err := compileRule(env, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("control %s (%s): %w", c.ID, c.File, err))
			continue
		}
		set.add(r)
	}
	return set, errors.Join(errs...)
}

func (s *Set) add(r *rule) {
	s.rules = append(s.rules, r)
	for _, t := range r.Resource {
		s.byType[t] = append(s.byType[t], r)
	}
	if r.usesOrg {
		for _, t := range r.lookups {
			had, twice := s.keep[t]
			switch {
			case twice && had == nil:
			case r.fields == nil:
				s.keep[t] = nil
			default:
				if had == nil {
					had = members{}
				}
				maps.Copy(had, r.fields)
				s.keep[t] = had
			}
		}
	}
}

// Controls returns the controls, by id.
func (s *Set) Controls() []*Control {
	out := make([]*Control, len(s.rules))
	for i, r := range s.rules {
		out[i] = r.Control
	}
	return out
}

// Types returns every resource type that the controls look at or look up, sorted.
func (s *Set) Types() []string {
	types := map[string]bool{}
	for _, r := range s.rules {
		for _, t := range append(slices.Clone(r.lookups), r.Resource...) {
			types[t] = true
		}
	}
	return sortedKeys(types)
}

// compiler gathers, over all expressions of one control, what they read.
type compiler struct {
	env     *cel.Env
	lookups map[string]bool
	usesOrg bool
	usesOwn bool
	subject bool            // an expression depends on the resource or on where it is
	whole   bool            // an expression takes the document as a whole
	reads   map[string]bool // first members of what is read
	fields  members         // every member that is named
	dynamic bool            // a member's name is computed
	errs    []error
}

func compileRule(env *cel.Env, c *Control) (*rule, error) {
	k := &compiler{env: env, lookups: map[string]bool{}, reads: map[string]bool{}, fields: members{}}
	r := &rule{Control: c}
	var reads [][]string
	if strings.TrimSpace(c.Applies) != "" {
		r.applies, reads = k.compile("applies", c.Applies, true)
	}
	var more [][]string
	r.assert, more = k.compile("assert", c.Assert, true)
	reads = append(reads, more...)
	r.same = k.usesOrg && !k.usesOwn && !k.subject
	for _, text := range c.Evidence {
		e, ok := k.evidence(text)
		if ok {
			r.evidence = append(r.evidence, e)
		}
	}
	if len(c.Evidence) == 0 {
		// What the assertion read is what decided.
		for _, p := range distinctPaths(more) {
			r.evidence = append(r.evidence, evidence{name: strings.Join(p, "."), path: p})
		}
	}
	r.message = k.message(c.Message)
	if k.usesOrg && k.usesOwn {
		k.errs = append(k.errs, errors.New("a control asks organization or estate, not both: they are known at different times"))
	}
	for _, p := range distinctPaths(reads) {
		r.paths = append(r.paths, strings.Join(p, "."))
	}
	r.lookups = sortedKeys(k.lookups)
	r.usesOrg = k.usesOrg
	if !k.dynamic {
		r.fields = k.fields
	}
	if !k.whole {
		r.reads = k.reads
	}
	return r, errors.Join(k.errs...)
}

// compile checks one expression and plans it. It returns which members of
// resource the expression reads.
func (k *compiler) compile(name, text string, wantBool bool) (cel.Program, [][]string) {
	fail := func(format string, args ...any) (cel.Program, [][]string) {
		k.errs = append(k.errs, fmt.Errorf(name+": "+format, args...))
		return nil, nil
	}
	checked, issues := k.env.Compile(strings.TrimSpace(text))
	if issues.Err() != nil {
		return fail("%w", issues.Err())
	}
	if wantBool && checked.OutputType() != cel.BoolType {
		return fail("must be true or false, is %s: compare it, as in %s == true", checked.OutputType(), strings.TrimSpace(text))
	}
	w := walker{k: k}
	w.walk(checked.NativeRep().Expr())
	if w.err != nil {
		return fail("%w", w.err)
	}
	opts := []cel.ProgramOption{cel.CustomDecoratorV2(friendlyNull)}
	if w.costly {
		opts = append(opts, cel.CostLimit(costLimit))
	}
	program, err := k.env.Program(checked, opts...)
	if err != nil {
		return fail("%w", err)
	}
	return program, w.paths
}

// evidence names a value by the member it reads first, or by the type it looks
// up; the note says which question on a policy was asked.
func (k *compiler) evidence(text string) (evidence, bool) {
	text = strings.TrimSpace(text)
	program, paths := k.compile("evidence", text, false)
	e := evidence{name: strings.Join(strings.Fields(text), " "), program: program}
	looksUp := strings.HasPrefix(text, "estate.") || strings.HasPrefix(text, "organization.")
	if _, rest, ok := strings.Cut(text, `("`); ok && looksUp {
		e.name, _, _ = strings.Cut(rest, `"`)
	} else if len(paths) > 0 {
		e.name = strings.Join(paths[0], ".")
	}
	if rest, ok := strings.CutPrefix(text, "policy."); ok {
		e.note, _, _ = strings.Cut(rest, "(")
	}
	return e, program != nil
}

// message splits a text at its {{expressions}}.
func (k *compiler) message(text string) []span {
	var out []span
	for rest := strings.TrimSpace(text); rest != ""; {
		before, after, found := strings.Cut(rest, "{{")
		if before != "" {
			out = append(out, span{text: before})
		}
		if !found {
			break
		}
		expr, tail, closed := strings.Cut(after, "}}")
		if !closed {
			k.errs = append(k.errs, errors.New("message: {{ without }}"))
			break
		}
		if p, _ := k.compile("message", expr, false); p != nil {
			out = append(out, span{program: p})
		}
		rest = tail
	}
	return out
}

// walker reads an expression's tree.
type walker struct {
	k     *compiler
	paths [][]string
	err   error

	// costly: a loop within a loop walks something whose steps are not counted,
	// neither part of a document nor a lookup. Counting CEL's cost makes an
	// evaluation several times slower, so it is done only there; without a loop,
	// or with one, the cost is linear in the document.
	costly bool
	depth  int
}

// memberPath returns the member path of a chain of selections that starts at
// resource.
func memberPath(e ast.Expr) ([]string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		return nil, e.AsIdent() == "resource"
	case ast.SelectKind:
		s := e.AsSelect()
		p, ok := memberPath(s.Operand())
		return append(p, s.FieldName()), ok
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() == operators.Index && len(c.Args()) == 2 && c.Args()[1].Kind() == ast.LiteralKind {
			if key, ok := c.Args()[1].AsLiteral().(types.String); ok {
				p, ok := memberPath(c.Args()[0])
				return append(p, string(key)), ok
			}
		}
	}
	return nil, false
}

func (w *walker) walk(e ast.Expr) {
	if p, ok := memberPath(e); ok {
		w.k.subject = true
		if len(p) > 0 {
			w.paths = append(w.paths, p)
			w.k.reads[p[0]] = true
			for _, name := range p {
				w.k.fields[name] = true
			}
		} else {
			w.k.whole = true
		}
		return
	}
	switch e.Kind() {
	case ast.IdentKind:
		if name := e.AsIdent(); name == "account" || name == "region" {
			w.k.subject = true
		}
	case ast.CallKind:
		c := e.AsCall()
		if c.FunctionName() == operators.Index && len(c.Args()) == 2 {
			w.index(c.Args()[1])
		}
		if c.IsMemberFunction() {
			w.lookup(c)
			if t := c.Target(); t.Kind() != ast.IdentKind || t.AsIdent() != "resource" {
				w.walk(t)
			} else {
				w.k.subject = true // resource.id() and its like read no member
			}
		}
		for _, a := range c.Args() {
			w.walk(a)
		}
	case ast.SelectKind:
		w.k.fields[e.AsSelect().FieldName()] = true
		w.walk(e.AsSelect().Operand())
	case ast.ListKind:
		for _, x := range e.AsList().Elements() {
			w.walk(x)
		}
	case ast.MapKind:
		for _, x := range e.AsMap().Entries() {
			w.walk(x.AsMapEntry().Key())
			w.walk(x.AsMapEntry().Value())
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		if w.depth > 0 && !counted(c.IterRange()) {
			w.costly = true
		}
		w.walk(c.IterRange())
		w.depth++
		for _, x := range []ast.Expr{c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()} {
			w.walk(x)
		}
		w.depth--
	}
}

// index notes the member that x[key] reads.
func (w *walker) index(key ast.Expr) {
	if key.Kind() == ast.LiteralKind {
		if name, ok := key.AsLiteral().(types.String); ok {
			w.k.fields[string(name)] = true
		}
		return
	}
	w.k.dynamic = true
}

// counted reports whether walking a value counts the steps: part of a document,
// a lookup, or a list that is written out.
func counted(e ast.Expr) bool {
	switch e.Kind() {
	case ast.SelectKind, ast.IdentKind, ast.ListKind:
		return true
	case ast.CallKind:
		c := e.AsCall()
		return c.IsMemberFunction() && c.Target().Kind() == ast.IdentKind && (c.Target().AsIdent() == "estate" || c.Target().AsIdent() == "organization")
	}
	return false
}

// lookup notes which types a control looks up; their names must be literal, so
// that it is known beforehand what has to be kept and collected.
func (w *walker) lookup(c ast.CallExpr) {
	if c.Target().Kind() != ast.IdentKind {
		return
	}
	var arg ast.Expr
	switch c.Target().AsIdent() {
	case "organization":
		w.k.usesOrg = true
		if c.FunctionName() == "contains" {
			w.k.lookups[typeOrgAccount], w.k.lookups[typeOrganization] = true, true
			return
		}
		arg = c.Args()[0]
	case "estate":
		w.k.usesOwn = true
		if c.FunctionName() == "controlPolicies" {
			w.k.lookups[typeOrgPolicy], w.k.lookups[typeOrgUnit] = true, true
			return
		}
		arg = c.Args()[0]
		if c.FunctionName() == "referencing" {
			arg = c.Args()[1]
		}
	default:
		return
	}
	name, ok := "", arg.Kind() == ast.LiteralKind
	if ok {
		var s types.String
		s, ok = arg.AsLiteral().(types.String)
		name = string(s)
	}
	if !ok || !typePattern.MatchString(name) {
		w.err = fmt.Errorf("%s(): the resource type must be written out, as in \"AWS::EC2::Instance\"", c.FunctionName())
		return
	}
	w.k.lookups[name] = true
}

// distinctPaths drops repetitions, and paths of which a longer one is there.
func distinctPaths(paths [][]string) [][]string {
	slices.SortFunc(paths, slices.Compare[[]string])
	paths = slices.CompactFunc(paths, slices.Equal[[]string])
	var out [][]string
	for i, p := range paths {
		if i+1 < len(paths) && len(paths[i+1]) > len(p) && slices.Equal(paths[i+1][:len(p)], p) {
			continue
		}
		out = append(out, p)
	}
	return out
}

// Selection chooses controls. Each word is an id with * wildcards, a pillar, a
// severity, a framework, or framework:id.
type Selection struct{ Only, Skip []string }

// Select returns the controls that a selection leaves, and the words of it that
// chose nothing.
func (sel Selection) Select(controls []*Control) (chosen []*Control, idle []string) {
	used := map[string]bool{}
	matches := func(words []string, c *Control) bool {
		any := false
		for _, w := range words {
			if c.matches(w) {
				used[w], any = true, true
			}
		}
		return any
	}
	for _, c := range controls {
		in := len(sel.Only) == 0 || matches(sel.Only, c)
		out := matches(sel.Skip, c)
		if in && !out {
			chosen = append(chosen, c)
		}
	}
	for _, w := range append(slices.Clone(sel.Only), sel.Skip...) {
		if !used[w] && !slices.Contains(idle, w) {
			idle = append(idle, w)
		}
	}
	return chosen, idle
}

func (c *Control) matches(word string) bool {
	framework, id, _ := strings.Cut(word, ":")
	switch {
	case glob.Match(word, c.ID), word == string(c.Pillar), word == string(c.Severity):
		return true
	case word == "info" && c.Severity == finding.SeverityInformational:
		return true
	}
	ids, ok := c.Frameworks[framework]
	if !ok {
		return false
	}
	return id == "" || slices.ContainsFunc(ids, func(have string) bool { return glob.Match(id, have) })
}

// TypesOf returns the resource types that one control looks at or looks up,
// sorted.
func (s *Set) TypesOf(id string) []string {
	for _, r := range s.rules {
		if r.ID == id {
			types := append(slices.Clone(r.lookups), r.Resource...)
			slices.Sort(types)
			return slices.Compact(types)
		}
	}
	return nil
}
