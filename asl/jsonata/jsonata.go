// Package jsonata evaluates JSONata expressions with the language's reference
// implementation, run by an embedded JavaScript engine within bounds of time,
// depth and memory.
//
// [Compile] checks an expression and makes an [Expression], which any number of
// goroutines may evaluate ([Expression.Eval]). Values are those of package
// asl/value.
//
// https://docs.jsonata.org
//
// # Caveats
//
// The clock and the source of randomness are given with each evaluation
// ([Env]); without them $now() is the epoch and $random() repeats itself. The
// reference implementation is asynchronous; here, where no function waits for
// anything, it runs with the words async and await taken out.
package jsonata

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/dlclark/regexp2/v2"
	"github.com/dop251/goja"
)

// Version is the version of the embedded reference implementation.
const Version = "2.2.2"

//go:embed reference/jsonata.js
var reference string

//go:embed prelude.js
var prelude string

// Error is what an expression or its evaluation fails with. Code is JSONata's
// own, such as T1006.
type Error struct {
	Code string
	Msg  string
}

func (e *Error) Error() string {
	if e.Code == "" {
		return e.Msg
	}
	return e.Code + ": " + e.Msg
}

// The codes of the errors that come from the bounds of an evaluation.
const (
	CodeDepth  = "D1011" // nested too deeply
	CodeTime   = "D1012" // took too long
	CodeMemory = "U1002" // took too much memory; not JSONata's
)

// Limits bounds one evaluation. The zero value of a field means its default.
type Limits struct {
	Time   time.Duration // 1 second
	Depth  int           // 500 nested evaluations
	Range  int           // a million elements from one range or $pad
	Memory uint64        // 512 MiB of growth of the whole process's heap
	Source int           // 32 KiB of expression
}

func (l Limits) withDefaults() Limits {
	if l.Time == 0 {
		l.Time = time.Second
	}
	if l.Depth == 0 {
		l.Depth = 500
	}
	if l.Range == 0 {
		l.Range = 1_000_000
	}
	if l.Memory == 0 {
		l.Memory = 512 << 20
	}
	if l.Source == 0 {
		l.Source = 32 << 10
	}
	return l
}

// Env is what an evaluation may take from outside.
type Env struct {
	Now    time.Time
	Random func() float64 // in [0,1)
	UUID   func() string
}

// Dialect chooses between the language and what Step Functions makes of it.
type Dialect int

// The dialects.
const (
	// Plain is JSONata itself.
	Plain Dialect = iota
	// States adds $partition, $range, $hash, $random with a seed, $uuid and
	// $parse, and takes $eval away.
	// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
	States
)

var (
	asyncFunction = regexp.MustCompile(`\basync (function\b|\()`)
	hookLookup    = regexp.MustCompile(`= environment\.lookup\(Symbol\.for\('jsonata\.__\w+'\)\);`)
	awaitWord     = regexp.MustCompile(`\bawait (\w|\()`)
)

// program is the reference implementation, compiled once per process.
var program = sync.OnceValues(func() (*goja.Program, error) {
	src := asyncFunction.ReplaceAllString(reference, "$1")
	src = awaitWord.ReplaceAllString(src, "$1")
	src = strings.ReplaceAll(src, "Promise.all(", "(")
	// No one sets the debugging hooks; looking them up is most of the time of a
	// small expression.
	src = hookLookup.ReplaceAllString(src, "= undefined;")
	src = strings.Replace(src, "size > 1e7", "size > limits.range", 1)
	src = strings.Replace(src, "must not exceed 1e7.", "must not exceed its limit.", 1)
	return goja.Compile("jsonata.js", "var limits = {range: 1e6};\n"+src+"\nvar window = {btoa: nativeBtoa, atob: nativeAtob};\n"+prelude, false)
})

// boundRegex makes a backtracking match end: the engine hands patterns that
// Go's own linear-time regexp cannot run to regexp2, whose bound is this
// process-wide value.
var boundRegex = sync.OnceFunc(func() { regexp2.DefaultMatchTimeout = time.Second })

// machine is one JavaScript engine with the implementation loaded.
type machine struct {
	vm       *goja.Runtime
	compile  goja.Callable
	evaluate goja.Callable
	limits   *goja.Object
	env      *Env
	cache    map[*Expression]goja.Value
}

const cached = 4096 // compiled expressions that one engine keeps

// engines holds the idle engines, and slots as many tokens as there may be
// engines at all: one takes some megabytes, and a thousand executions that
// evaluate at once must not make a thousand.
var (
	mostEngines = max(2, runtime.GOMAXPROCS(0))
	engines     = make(chan *machine, mostEngines)
	slots       = make(chan struct{}, mostEngines)
)

func acquire() (*machine, error) {
	select {
	case m := <-engines:
		return m, nil
	default:
	}
	select {
	case m := <-engines:
		return m, nil
	case slots <- struct{}{}:
		m, err := newMachine()
		if err != nil {
			<-slots
		}
		return m, err
	}
}

func newMachine() (*machine, error) {
	p, err := program()
	if err != nil {
		return nil, fmt.Errorf("load jsonata: %w", err)
	}
	boundRegex()
	m := &machine{vm: goja.New(), env: &Env{}, cache: map[*Expression]goja.Value{}}
	m.vm.SetMaxCallStackSize(20_000)
	m.vm.SetTimeSource(func() time.Time { return m.env.Now })
	m.vm.SetRandSource(func() float64 {
		if m.env.Random == nil {
			return 0.5
		}
		return m.env.Random()
	})
	for name, f := range m.natives() {
		if err := m.vm.Set(name, f); err != nil {
			return nil, fmt.Errorf("load jsonata: %w", err)
		}
	}
	if _, err := m.vm.RunProgram(p); err != nil {
		return nil, fmt.Errorf("load jsonata: %w", err)
	}
	m.compile, _ = goja.AssertFunction(m.vm.Get("compileExpression"))
	m.evaluate, _ = goja.AssertFunction(m.vm.Get("evaluateExpression"))
	m.limits = m.vm.Get("limits").ToObject(m.vm)
	return m, nil
}

func (m *machine) release() {
	m.env = &Env{}
	if len(m.cache) > cached {
		clear(m.cache)
	}
	engines <- m
}

// Expression is a compiled expression, immutable and safe for concurrent use.
type Expression struct {
	source    string
	dialect   Dialect
	limits    Limits
	variables map[string]*usage
	names     []string
	native    *native // set where the expression may need no JavaScript
}

// usage says what an expression reads of one variable.
type usage struct {
	whole   bool
	members []string
}

// Source returns the expression as written.
func (e *Expression) Source() string { return e.source }

// Variables returns the names of the variables the expression refers to,
// without the $, in no particular order; functions are not among them unless
// they are referred to by name.
func (e *Expression) Variables() []string {
	out := make([]string, 0, len(e.variables))
	for name := range e.variables {
		out = append(out, name)
	}
	return out
}

// InputNames returns what the expression reads of its input by name, and "$$"
// where it reads the input whole, in the order written.
func (e *Expression) InputNames() []string { return append([]string(nil), e.names...) }

// Reads reports whether evaluating the expression looks at a member of an
// object bound to a variable, so that a caller can leave out what is not used.
func (e *Expression) Reads(variable, member string) bool {
	u := e.variables[variable]
	if u == nil {
		return false
	}
	if u.whole {
		return true
	}
	for _, m := range u.members {
		if m == member {
			return true
		}
	}
	return false
}

// Members returns the members that the expression names of the object bound to
// a variable, in order; what it reads of the variable used whole is not among
// them.
func (e *Expression) Members(variable string) []string {
	u := e.variables[variable]
	if u == nil {
		return nil
	}
	out := append([]string(nil), u.members...)
	sort.Strings(out)
	return out
}

// Compile checks an expression. The error is an [Error] with JSONata's code.
func Compile(source string, dialect Dialect, limits Limits) (*Expression, error) {
	e := &Expression{source: source, dialect: dialect, limits: limits.withDefaults(), variables: map[string]*usage{}}
	if len(source) > e.limits.Source {
		return nil, &Error{CodeMemory, fmt.Sprintf("the expression is longer than %d bytes", e.limits.Source)}
	}
	m, err := acquire()
	if err != nil {
		return nil, err
	}
	defer m.release()
	stop := m.watch(e.limits)
	compiled, err := m.compiled(e)
	stop()
	if err != nil {
		return nil, m.failure(err, e.limits)
	}
	refs := compiled.ToObject(m.vm).Get("refs").ToObject(m.vm)
	for _, name := range refs.Keys() {
		o := refs.Get(name).ToObject(m.vm)
		u := &usage{whole: o.Get("whole").ToBoolean()}
		u.members = append(u.members, o.Get("members").ToObject(m.vm).Keys()...)
		e.variables[name] = u
	}
	e.names = compiled.ToObject(m.vm).Get("names").ToObject(m.vm).Keys()
	for name := range statesFunctions {
		if dialect != States && e.variables[name] != nil {
			return e, nil // it means nothing there
		}
	}
	c := fromJS{vm: m.vm}
	if ast, ok, err := c.convert(compiled.ToObject(m.vm).Get("ast")); ok && err == nil {
		e.native = compileNative(ast)
	}
	return e, nil
}

func (m *machine) compiled(e *Expression) (goja.Value, error) {
	if v, ok := m.cache[e]; ok {
		return v, nil
	}
	v, err := m.compile(goja.Undefined(), m.vm.ToValue(e.source), m.vm.ToValue(e.dialect == States), m.vm.ToValue(e.limits.Depth))
	if err == nil {
		m.cache[e] = v
	}
	return v, err
}

// failure turns what the engine reports into an Error.
func (m *machine) failure(err error, l Limits) error {
	var interrupted *goja.InterruptedError
	if errors.As(err, &interrupted) {
		if interrupted.Value() == CodeMemory {
			return &Error{CodeMemory, "Expression evaluation took too much memory"}
		}
		return &Error{CodeTime, fmt.Sprintf("Expression evaluation timeout after %v: Check for infinite loop", l.Time)}
	}
	var overflow *goja.StackOverflowError
	if errors.As(err, &overflow) {
		return &Error{CodeDepth, "Stack overflow. Check for non-terminating recursive function. Consider rewriting as tail-recursive"}
	}
	var thrown *goja.Exception
	if !errors.As(err, &thrown) {
		return &Error{"", err.Error()}
	}
	o, ok := thrown.Value().(*goja.Object)
	if !ok {
		return &Error{"", thrown.Value().String()}
	}
	out := &Error{}
	if c := o.Get("code"); c != nil && !goja.IsUndefined(c) {
		out.Code = c.String()
	}
	if s := o.Get("message"); s != nil && !goja.IsUndefined(s) {
		out.Msg = s.String()
	} else {
		out.Msg = thrown.Value().String()
	}
	return out
}
