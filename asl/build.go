package asl

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/asl/jsonata"
	"github.com/bartizan-security/bartizan/asl/jsonpath"
	"github.com/bartizan-security/bartizan/asl/value"
)

// Limits of Step Functions on a definition.
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const (
	maxDefinition = 1 << 20
	maxStateName  = 80
	maxNesting    = 40 // of flows; not an AWS limit
)

// builder reads a definition and remarks on it in one pass.
type builder struct {
	pos     *value.Positions
	ds      []Diagnostic
	machine *Machine
	vars    map[string]bool // variables the current state refers to
	ql      string          // query language of the current state
	at, typ string          // pointer and type of the current state
	depth   int
	doc     any
	labels  map[string]bool
}

func build(definition []byte) (*Machine, []Diagnostic) {
	b := &builder{labels: map[string]bool{}}
	if len(definition) > maxDefinition {
		b.errorf("", "Definition must not exceed %d bytes", maxDefinition)
		return nil, b.ds
	}
	if len(definition) == 0 {
		return nil, []Diagnostic{{Code: CodeMissing, Severity: SeverityError, Message: "Definition must not be empty", Line: 1, Column: 1}}
	}
	if strings.TrimSpace(string(definition)) == "" {
		return nil, []Diagnostic{{Code: CodeSchema, Severity: SeverityError, Message: "Definition must be a valid JSON object", Line: 1, Column: 1}}
	}
	doc, pos, err := value.ParsePositions(definition)
	var syntax *value.SyntaxError
	if errors.As(err, &syntax) {
		return nil, []Diagnostic{syntaxDiagnostic(definition, syntax)}
	}
	b.pos, b.doc = pos, doc
	o, ok := doc.(*value.Object)
	if !ok {
		return nil, []Diagnostic{{Code: CodeSchema, Severity: SeverityError, Message: "Definition must be a valid JSON object", Line: 1, Column: 1}}
	}
	for _, p := range pos.Duplicates() {
		b.remark(SeverityWarning, CodeDuplicateField, p, "The field occurs twice; the last one counts")
	}
	m := &Machine{source: definition, definition: doc, states: map[string]*state{}, queryLanguage: JSONPath}
	b.machine = m
	b.fields(o, "", machineFields)
	m.comment, _ = b.str(o, "", "Comment")
	b.str(o, "", "Version")
	if o.Has("QueryLanguage") {
		m.queryLanguage = b.language(o, "")
	}
	if n, ok := b.integer(o, "", "TimeoutSeconds", 1, 99999999); ok {
		m.timeoutSeconds = n
	}
	m.root = b.flow(o, "", m.queryLanguage)
	b.reach(m.root, o, "", true)
	sort.SliceStable(b.ds, func(i, j int) bool {
		if b.ds[i].Line != b.ds[j].Line {
			return b.ds[i].Line < b.ds[j].Line
		}
		return b.ds[i].Column < b.ds[j].Column
	})
	return m, b.ds
}

func (b *builder) remark(severity, code, pointer, format string, args ...any) *Diagnostic {
	at := b.pos.At(pointer)
	b.ds = append(b.ds, Diagnostic{Code: code, Severity: severity, Location: b.location(pointer), Message: fmt.Sprintf(format, args...), Line: at.Line, Column: at.Column})
	return &b.ds[len(b.ds)-1]
}

func (b *builder) errorf(pointer, format string, args ...any) *Diagnostic {
	return b.remark(SeverityError, CodeSchema, pointer, format, args...)
}

// location writes a JSON pointer as Step Functions does: an element of an
// array in brackets, names as they are.
func (b *builder) location(pointer string) string {
	if pointer == "" {
		return "/"
	}
	var out strings.Builder
	at := b.doc
	for _, part := range strings.Split(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if list, ok := at.([]any); ok {
			out.WriteString("[" + part + "]")
			if i, err := strconv.Atoi(part); err == nil && i < len(list) {
				at = list[i]
			}
			continue
		}
		out.WriteString("/" + part)
		if o, ok := at.(*value.Object); ok {
			at, _ = o.Get(part)
		}
	}
	return out.String()
}

// unsupported remarks on a field that its object must not have; Step Functions
// names the object as the place.
func (b *builder) unsupported(pointer, field string, known []string) {
	d := b.errorf(value.Pointer(pointer, field), "Field '%s' is not supported", field)
	d.Location = b.location(pointer)
	d.Suggestion = nearest(field, known)
}

// onlyOne remarks on fields that exclude each other.
func (b *builder) onlyOne(o *value.Object, pointer string, names ...string) {
	var there []string
	for _, n := range names {
		if o.Has(n) {
			there = append(there, n)
		}
	}
	if len(there) > 1 {
		b.errorf(pointer, "There should only be one of the following fields: [%s]", strings.Join(names, ", "))
	}
}

var machineFields = []string{"Comment", "QueryLanguage", "StartAt", "States", "TimeoutSeconds", "Version"}

// fields remarks on the members of o that are not known.
func (b *builder) fields(o *value.Object, pointer string, known []string) {
	for _, k := range o.Keys() {
		if !slices.Contains(known, k) {
			b.unsupported(pointer, k, known)
		}
	}
}

// required remarks on what is missing, in the order given.
func (b *builder) required(o *value.Object, pointer string, names ...string) bool {
	var missing []string
	for _, n := range names {
		if !o.Has(n) {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		b.errorf(pointer, "These fields are required: [%s]", strings.Join(missing, ", "))
	}
	return len(missing) == 0
}

func (b *builder) str(o *value.Object, pointer, name string) (string, bool) {
	v, ok := o.Get(name)
	if !ok {
		return "", false
	}
	s, isText := v.(string)
	if !isText {
		b.errorf(value.Pointer(pointer, name), "Expected value of type [STRING]")
	}
	return s, isText
}

func (b *builder) oneOf(o *value.Object, pointer, name string, values ...string) (string, bool) {
	s, ok := b.str(o, pointer, name)
	if ok && !slices.Contains(values, s) {
		d := b.errorf(value.Pointer(pointer, name), "Value should be one of the following: [%s]", strings.Join(values, ", "))
		if name == "Type" {
			d.Message = fmt.Sprintf("The field '%s' should have one of these values: [%s]", name, strings.Join(values, ", "))
		}
		d.Suggestion = nearest(s, values)
		return "", false
	}
	return s, ok
}

func (b *builder) boolean(o *value.Object, pointer, name string) (bool, bool) {
	v, ok := o.Get(name)
	if !ok {
		return false, false
	}
	x, isBool := v.(bool)
	if !isBool {
		b.errorf(value.Pointer(pointer, name), "Expected value of type [BOOLEAN]")
	}
	return x, isBool
}

func (b *builder) integer(o *value.Object, pointer, name string, least, most int64) (int64, bool) {
	v, ok := o.Get(name)
	if !ok {
		return 0, false
	}
	n, isInt := v.(int64)
	if !isInt {
		b.errorf(value.Pointer(pointer, name), "Expected value of type [INTEGER]")
		return 0, false
	}
	if n < least {
		b.errorf(value.Pointer(pointer, name), "Minimum value is %d", least)
		return 0, false
	}
	if n > most {
		b.errorf(value.Pointer(pointer, name), "Maximum value is %d", most)
		return 0, false
	}
	return n, true
}

func (b *builder) object(v any, pointer string) (*value.Object, bool) {
	o, ok := v.(*value.Object)
	if !ok {
		b.errorf(pointer, "Expected value of type [OBJECT]")
	}
	return o, ok
}

func (b *builder) array(v any, pointer string) ([]any, bool) {
	a, ok := v.([]any)
	if !ok {
		b.errorf(pointer, "Expected value of type [ARRAY]")
		return nil, false
	}
	return a, true
}

func item(where string, i int) string { return fmt.Sprintf("%s[%d]", where, i) }

// elementPointer is the JSON pointer of an element.
func elementPointer(pointer string, i int) string { return fmt.Sprintf("%s/%d", pointer, i) }

// flow reads StartAt and States.
func (b *builder) flow(o *value.Object, pointer, ql string) *flow {
	f := &flow{states: map[string]*state{}, ql: ql}
	if b.depth++; b.depth > maxNesting {
		b.remark(SeverityError, CodeNested, pointer, "States are nested deeper than %d", maxNesting)
		b.depth--
		return f
	}
	defer func() { b.depth-- }()
	if !b.required(o, pointer, "States", "StartAt") && !o.Has("States") {
		return f
	}
	start, hasStart := b.str(o, pointer, "StartAt")
	f.startAt = start
	sv, _ := o.Get("States")
	sp := pointer + "/States"
	states, ok := b.object(sv, sp)
	if !ok {
		return f
	}
	if states.Len() == 0 {
		b.errorf(sp, "Value cannot be empty")
		return f
	}
	for i := range states.Len() {
		name, v := states.At(i)
		p := value.Pointer(sp, name)
		if n := utf8.RuneCountInString(name); n > maxStateName || n == 0 {
			b.remark(SeverityError, CodeStateName, p, "State name must be between 1 and %d characters", maxStateName)
		}
		so, ok := b.object(v, p)
		if !ok {
			continue
		}
		s := b.state(so, name, p, ql)
		if s == nil {
			s = &state{name: name, pointer: p}
		}
		if b.machine.states[name] != nil {
			b.remark(SeverityError, CodeDuplicateState, p, "Duplicate State name: %s", name)
		} else {
			b.machine.states[name] = s
			b.machine.order = append(b.machine.order, name)
		}
		f.states[name] = s
		f.names = append(f.names, name)
	}
	if hasStart && f.states[start] == nil {
		d := b.remark(SeverityError, CodeTransitionTarget, pointer+"/StartAt", "Missing 'Next' target: %s", start)
		d.Suggestion = nearest(start, f.names)
	}
	if pointer != "" {
		b.reach(f, o, pointer, false)
	}
	return f
}

// language reads QueryLanguage. Anything but JSONPath itself counts as JSONata,
// a wrong value too.
func (b *builder) language(o *value.Object, pointer string) string {
	if ql, ok := b.oneOf(o, pointer, "QueryLanguage", JSONPath, JSONata); ok && ql == JSONPath {
		return JSONPath
	}
	return JSONata
}

// edge is one transition out of a state.
type edge struct{ pointer, target, label string }

func (s *state) edges() []edge {
	var out []edge
	if s.next != "" {
		out = append(out, edge{s.pointer + "/Next", s.next, ""})
	}
	for i, c := range s.choices {
		if c.next != "" {
			out = append(out, edge{fmt.Sprintf("%s/Choices/%d/Next", s.pointer, i), c.next, fmt.Sprintf("rule %d", i+1)})
		}
	}
	if s.fallback != "" {
		out = append(out, edge{s.pointer + "/Default", s.fallback, "default"})
	}
	for i, c := range s.catch {
		if c.next != "" {
			out = append(out, edge{fmt.Sprintf("%s/Catch/%d/Next", s.pointer, i), c.next, strings.Join(c.errors, ", ")})
		}
	}
	return out
}

// reach checks that every target exists, that every state is reached and, of
// the machine itself, that some state is terminal.
func (b *builder) reach(f *flow, o *value.Object, pointer string, top bool) {
	if !o.Has("StartAt") || len(f.names) == 0 {
		return
	}
	ends := false
	for _, n := range f.names {
		s := f.states[n]
		ends = ends || s.terminal() || s.typ == ""
		for _, e := range s.edges() {
			if f.states[e.target] == nil {
				d := b.remark(SeverityError, CodeTransitionTarget, e.pointer, "Missing 'Next' target: %s", e.target)
				d.Suggestion = nearest(e.target, f.names)
			}
		}
	}
	if top && !ends {
		d := b.remark(SeverityError, CodeNoTerminalState, pointer+"/States", "Workflow has no terminal state")
		d.Location, d.lint = "", true
		return
	}
	reached := map[string]bool{}
	queue := []string{}
	visit := func(name string) {
		if f.states[name] != nil && !reached[name] {
			reached[name] = true
			queue = append(queue, name)
		}
	}
	visit(f.startAt)
	for len(queue) > 0 {
		s := f.states[queue[0]]
		queue = queue[1:]
		for _, e := range s.edges() {
			visit(e.target)
		}
	}
	for _, n := range f.names {
		if !reached[n] {
			b.remark(SeverityError, CodeTransitionTarget, f.states[n].pointer, "State \"%s\" is not reachable.", n)
		}
	}
}

// refer notes the variable that a path of the current state starts from.
func (b *builder) refer(p *jsonpath.Path) {
	if n := p.Variable(); n != "" && b.vars != nil {
		b.vars[n] = true
	}
}

// compile reads a JSONata expression. It has no input: a name that stands for
// itself refers to nothing.
func (b *builder) compile(source, pointer string) *jsonata.Expression {
	x, err := jsonata.Compile(source, jsonata.States, jsonata.Limits{})
	if err != nil {
		msg := err.Error()
		var coded *jsonata.Error
		if errors.As(err, &coded) {
			msg = coded.Msg
		}
		b.remark(SeverityError, CodeInvalidJSONata, pointer, "%s", msg)
		return nil
	}
	for _, n := range x.InputNames() {
		b.remark(SeverityError, CodeUnsupportedJSONata, pointer, "Reference to '%s' at the top level is not supported.", n)
	}
	for _, n := range x.Members("states") {
		if !b.offers(n, pointer) {
			b.remark(SeverityError, CodeUnsupportedJSONata, pointer, "Reference to '$states.%s' is not supported in this field.", n)
		}
	}
	for _, n := range x.Variables() {
		if n != "states" && b.vars != nil {
			b.vars[n] = true
		}
	}
	return x
}

// offers reports whether $states has a member where a field stands: the result
// of a task, Parallel or Map is there for Output and Assign, the error for
// those of a Catch.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func (b *builder) offers(name, pointer string) bool {
	field := strings.Split(strings.TrimPrefix(pointer, b.at+"/"), "/")
	switch name {
	case "input", "context":
		return true
	case "result":
		return (b.typ == "Task" || b.typ == "Parallel" || b.typ == "Map") && (field[0] == "Output" || field[0] == "Assign")
	case "errorOutput":
		return len(field) > 2 && field[0] == "Catch" && (field[2] == "Output" || field[2] == "Assign")
	}
	return true // undefined, and only seen when it runs
}

// expression returns the source between {% and %}.
func expression(s string) (string, bool) {
	if len(s) >= 4 && strings.HasPrefix(s, "{%") && strings.HasSuffix(s, "%}") {
		return strings.TrimSpace(s[2 : len(s)-2]), true
	}
	return "", false
}

// template compiles a payload template in the query language of the state.
// field is the name it has in messages.
func (b *builder) template(v any, pointer, field string, jsonataState bool) *template {
	if jsonataState {
		return &template{b.jsonataNode(v, pointer, field, 0), field}
	}
	return &template{b.pathNode(v, pointer, 0), field}
}

func (b *builder) jsonataNode(v any, pointer, where string, depth int) tnode {
	switch x := v.(type) {
	case string:
		src, ok := expression(x)
		if !ok {
			return literalNode{x}
		}
		e := b.compile(src, pointer)
		if e == nil {
			return literalNode{x}
		}
		return exprNode{e, where}
	case []any:
		n := arrayNode{make([]tnode, len(x))}
		for i, e := range x {
			n.nodes[i] = b.jsonataNode(e, elementPointer(pointer, i), item(where, i), depth+1)
		}
		return fold(n)
	case *value.Object:
		n := objectNode{}
		for i := range x.Len() {
			k, e := x.At(i)
			n.keys = append(n.keys, k)
			n.nodes = append(n.nodes, b.jsonataNode(e, value.Pointer(pointer, k), where+"/"+k, depth+1))
		}
		return fold(n)
	}
	return literalNode{v}
}

func (b *builder) pathNode(v any, pointer string, depth int) tnode {
	switch x := v.(type) {
	case []any:
		n := arrayNode{make([]tnode, len(x))}
		for i, e := range x {
			n.nodes[i] = b.pathNode(e, elementPointer(pointer, i), depth+1)
		}
		return fold(n)
	case *value.Object:
		n := objectNode{}
		for i := range x.Len() {
			k, e := x.At(i)
			if !strings.HasSuffix(k, ".$") {
				if looksDynamic(e) {
					b.remark(SeverityWarning, CodeNoDollar, value.Pointer(pointer, k), "The field '%s' appears to be a JSONPath or intrinsic function, but its name does not end with '.$'", k)
				}
				n.keys = append(n.keys, k)
				n.nodes = append(n.nodes, b.pathNode(e, value.Pointer(pointer, k), depth+1))
				continue
			}
			name := strings.TrimSuffix(k, ".$")
			if x.Has(name) {
				b.errorf(pointer, "The field '%s' cannot be specified twice, as '%s' and as '%s'", name, name, k)
			}
			n.keys = append(n.keys, name)
			n.nodes = append(n.nodes, b.dynamic(e, pointer, k))
		}
		return fold(n)
	}
	return literalNode{v}
}

// looksDynamic reports whether a value is written like a path or a call.
func looksDynamic(v any) bool {
	s, ok := v.(string)
	return ok && (s == "$" || strings.HasPrefix(s, "$.") || strings.HasPrefix(s, "$$.") || strings.HasPrefix(s, "$[") || isCall(s) && strings.HasSuffix(s, ")"))
}

// dynamic compiles the value of a member whose name ends in .$.
func (b *builder) dynamic(v any, pointer, field string) tnode {
	s, ok := v.(string)
	bad := func(err error) tnode {
		d := b.errorf(pointer, "The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call", field)
		at := b.pos.At(value.Pointer(pointer, field))
		d.Line, d.Column = at.Line, at.Column
		if isCall(s) {
			name, _, _ := strings.Cut(s, "(")
			if _, known := intrinsics[name]; !known {
				d.Suggestion = nearest(name, intrinsicNames())
			}
		}
		_ = err
		return literalNode{v}
	}
	switch {
	case ok && strings.HasPrefix(s, "$"):
		p, err := jsonpath.Compile(s)
		if err != nil {
			return bad(err)
		}
		b.refer(p)
		return pathNode{p, field}
	case ok && isCall(s):
		c, err := parseCall(s)
		if err != nil {
			return bad(err)
		}
		c.paths(b.refer)
		return callNode{c, field}
	}
	return bad(nil)
}

// jsonPath compiles a path field.
func (b *builder) jsonPath(s, pointer string, reference bool) *jsonpath.Path {
	p, err := jsonpath.Compile(s)
	if err != nil || reference && !p.Reference() {
		what := "JSONPath"
		if reference {
			what = "Reference Path"
		}
		b.errorf(pointer, "Value is not a %s", what)
		return nil
	}
	b.refer(p)
	return p
}

// pathField reads InputPath and its kin; null is allowed, and a call where calls says so.
func (b *builder) pathField(o *value.Object, pointer, name string, reference, calls bool) optionalPath {
	v, ok := o.Get(name)
	if !ok {
		return optionalPath{}
	}
	if v == nil {
		return optionalPath{set: true}
	}
	at := value.Pointer(pointer, name)
	s, isText := v.(string)
	if !isText {
		b.errorf(at, "Expected value of type [STRING]")
		return optionalPath{}
	}
	if isCall(s) && calls {
		c, err := parseCall(s)
		if err != nil {
			b.errorf(at, "The value for the field '%s' must be a valid JSONPath or a valid intrinsic function call", name)
			return optionalPath{}
		}
		c.paths(b.refer)
		return optionalPath{set: true, call: c}
	}
	p := b.jsonPath(s, at, reference)
	return optionalPath{set: p != nil, path: p}
}
