package asl

import (
	"time"

	"github.com/bartizan-security/bartizan/asl/jsonata"
	"github.com/bartizan-security/bartizan/asl/jsonpath"
	"github.com/bartizan-security/bartizan/asl/value"
)

// The query languages.
const (
	JSONPath = "JSONPath"
	JSONata  = "JSONata"
)

// Machine is a parsed state machine, immutable and safe for concurrent use.
type Machine struct {
	comment        string
	queryLanguage  string
	timeoutSeconds int64
	root           *flow
	source         []byte
	definition     any
	states         map[string]*state // all, at every level
	order          []string          // their names in the order of the document
}

// Comment returns the machine's Comment field.
func (m *Machine) Comment() string { return m.comment }

// Source returns the definition as it was given to Parse.
func (m *Machine) Source() []byte { return m.source }

// StateNames returns the names of all states at every level, in the order of
// the definition.
func (m *Machine) StateNames() []string { return append([]string(nil), m.order...) }

// StateType returns the Type of a state, or "" if there is none of that name.
func (m *Machine) StateType(name string) string {
	if s := m.states[name]; s != nil {
		return s.typ
	}
	return ""
}

// TaskStates returns the names of the Task states and their Resource.
func (m *Machine) TaskStates() map[string]string {
	out := map[string]string{}
	for n, s := range m.states {
		if s.typ == "Task" {
			out[n] = s.resource
		}
	}
	return out
}

// Variables returns, for each state that refers to variables, their names, as
// Step Functions lists them in variableReferences.
func (m *Machine) Variables() map[string][]string {
	out := map[string][]string{}
	for n, s := range m.states {
		if len(s.variables) > 0 {
			out[n] = append([]string(nil), s.variables...)
		}
	}
	return out
}

// flow is a set of states with a start: the machine, a branch, an item processor.
type flow struct {
	startAt string
	states  map[string]*state
	names   []string
	ql      string
	mode    string // of an item processor: INLINE or DISTRIBUTED
	exec    string // of a distributed one: STANDARD or EXPRESS
}

// optionalPath is InputPath and its kin: absent, null, or a path.
type optionalPath struct {
	set  bool
	path *jsonpath.Path // nil for null
	call *call          // OutputPath and InputPath take no call; Fail's paths do
}

// numberField is a field such as TimeoutSeconds: fixed, by path, or JSONata.
type numberField struct {
	set   bool
	fixed float64
	path  *jsonpath.Path
	expr  *jsonata.Expression
	name  string // the field it came from
}

type state struct {
	name    string
	typ     string
	ql      string
	comment string
	next    string
	end     bool
	pointer string

	inputPath      optionalPath
	outputPath     optionalPath
	resultPath     optionalPath
	parameters     *template // Parameters or Arguments
	resultSelector *template
	output         *template
	assign         *template

	variables []string

	// Pass
	result    any
	hasResult bool

	// Task
	resource    string
	res         resource
	timeout     numberField
	heartbeat   numberField
	credentials *template
	retry       []retrier
	catch       []catcher

	// Choice
	choices  []choiceRule
	fallback string

	// Wait
	seconds       numberField
	timestamp     *template
	timestampPath *jsonpath.Path
	at            time.Time
	hasAt         bool

	// Fail
	errorText *template
	causeText *template
	errorPath optionalPath
	causePath optionalPath

	// Parallel
	branches []*flow

	// Map
	processor        *flow
	itemsPath        *jsonpath.Path
	items            *template
	itemSelector     *template
	selectorField    string
	concurrency      numberField
	tolerated        numberField
	toleratedPercent numberField
	reader           *itemReader
	batcher          *itemBatcher
	writer           *resultWriter
	label            string
}

// terminal reports whether the state ends its flow by its type.
func (s *state) terminal() bool { return s.end || s.typ == "Succeed" || s.typ == "Fail" }

func (s *state) jsonata() bool { return s.ql == JSONata }

type retrier struct {
	errors      []string
	interval    float64
	attempts    int64
	backoff     float64
	maxDelay    float64
	hasMaxDelay bool
	jitter      bool
}

type catcher struct {
	errors     []string
	next       string
	resultPath optionalPath
	output     *template
	assign     *template
}

type choiceRule struct {
	cond   condition
	next   string
	output *template
	assign *template
}

type itemReader struct {
	resource    string
	parameters  *template
	inputType   string
	csvLocation string
	csvHeaders  []string
	delimiter   string
	maxItems    numberField
	itemsPtr    string
	transform   string
	manifest    string
}

type itemBatcher struct {
	maxItems numberField
	maxBytes numberField
	input    *template
}

type resultWriter struct {
	resource   string
	parameters *template
	transform  string
	outputType string
	writes     bool // Resource or Parameters are there: results go to a bucket
}

// template is a payload template, compiled.
type template struct {
	node  tnode
	field string
}

// tnode is one node of a template.
type tnode interface {
	eval(e *evaluation) (any, *failure)
}

type literalNode struct{ v any }

type objectNode struct {
	keys  []string
	nodes []tnode
}

type arrayNode struct{ nodes []tnode }

type pathNode struct {
	path  *jsonpath.Path
	field string // with .$
}

type callNode struct {
	call  *call
	field string
}

type exprNode struct {
	expr  *jsonata.Expression
	where string // Output/a/b, as messages name it
}

// fold turns a node whose parts are all literal into one literal.
func fold(n tnode) tnode {
	switch x := n.(type) {
	case objectNode:
		o := value.NewObject(len(x.keys))
		for i, k := range x.keys {
			l, ok := x.nodes[i].(literalNode)
			if !ok {
				return n
			}
			o.Set(k, l.v)
		}
		return literalNode{o}
	case arrayNode:
		a := make([]any, len(x.nodes))
		for i := range x.nodes {
			l, ok := x.nodes[i].(literalNode)
			if !ok {
				return n
			}
			a[i] = l.v
		}
		return literalNode{a}
	}
	return n
}
