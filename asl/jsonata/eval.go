package jsonata

import (
	"crypto/md5"  //nolint:gosec // $hash offers it
	"crypto/sha1" //nolint:gosec // $hash offers it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/dop251/goja"

	"github.com/bartizan-security/bartizan/asl/value"
)

// Binding is a variable and its value.
type Binding struct {
	Name  string
	Value any
}

// Undefined is the input, or a binding's value, that is not there at all.
type Undefined struct{}

// Eval evaluates the expression over input with the given variables. ok is
// false where the expression gives nothing (undefined).
func (e *Expression) Eval(input any, bindings []Binding, env Env) (result any, ok bool, err error) {
	if e.native != nil {
		if v, ok, done := e.native.eval(input, bindings, nativeDepth); done {
			return v, ok, nil
		}
	}
	return e.evalReference(input, bindings, env)
}

func (e *Expression) evalReference(input any, bindings []Binding, env Env) (result any, ok bool, err error) {
	m, err := acquire()
	if err != nil {
		return nil, false, err
	}
	defer m.release()
	m.env = &env
	stop := m.watch(e.limits)
	defer stop()
	compiled, err := m.compiled(e)
	if err != nil {
		return nil, false, m.failure(err, e.limits)
	}
	if err := m.limits.Set("range", e.limits.Range); err != nil {
		return nil, false, err
	}
	vars := m.vm.NewObject()
	for _, b := range bindings {
		if e.variables[b.Name] == nil {
			continue
		}
		if err := vars.Set(b.Name, m.toJS(b.Value)); err != nil {
			return nil, false, err
		}
	}
	v, err := m.evaluate(goja.Undefined(), compiled, m.toJS(input), vars)
	if err != nil {
		return nil, false, m.failure(err, e.limits)
	}
	c := fromJS{vm: m.vm}
	return c.convert(v)
}

// watch interrupts the engine when an evaluation runs too long or takes too
// much memory. The heap is looked at only once it has run for a while.
func (m *machine) watch(l Limits) (stop func()) {
	const tick = 20 * time.Millisecond
	var (
		mu      sync.Mutex
		stopped bool
		ticks   time.Duration
		base    uint64
		timer   *time.Timer
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(min(tick, l.Time), func() {
		mu.Lock()
		defer mu.Unlock()
		if stopped {
			return
		}
		ticks += tick
		heap := heapBytes()
		if base == 0 {
			base = heap
		}
		switch {
		case ticks >= l.Time:
			m.vm.Interrupt(CodeTime)
		case heap > base && heap-base > l.Memory:
			m.vm.Interrupt(CodeMemory)
		default:
			timer.Reset(tick)
		}
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
		m.vm.ClearInterrupt()
	}
}

func heapBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func (m *machine) toJS(v any) goja.Value {
	switch x := v.(type) {
	case nil:
		return goja.Null()
	case Undefined:
		return goja.Undefined()
	case value.Big:
		f, _ := value.Float(x)
		return m.vm.ToValue(f)
	case []any:
		items := make([]any, len(x))
		for i, e := range x {
			items[i] = m.toJS(e)
		}
		return m.vm.NewArray(items...)
	case *value.Object:
		o := m.vm.NewObject()
		for i := range x.Len() {
			k, e := x.At(i)
			if k == "__proto__" {
				_ = o.DefineDataProperty(k, m.toJS(e), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
				continue
			}
			_ = o.Set(k, m.toJS(e))
		}
		return o
	}
	return m.vm.ToValue(v)
}

// fromJS copies a result out of the engine.
type fromJS struct {
	vm    *goja.Runtime
	depth int
	count int
}

const (
	mostDepth  = 900
	mostValues = 2_000_000
)

func (c *fromJS) convert(v goja.Value) (out any, ok bool, err error) {
	if v == nil || goja.IsUndefined(v) {
		return nil, false, nil
	}
	if goja.IsNull(v) {
		return nil, true, nil
	}
	if c.count++; c.count > mostValues {
		return nil, false, &Error{CodeMemory, "The result holds too many values"}
	}
	o, isObject := v.(*goja.Object)
	if !isObject {
		switch x := v.Export().(type) {
		case float64:
			if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
				return int64(x), true, nil
			}
			return x, true, nil
		case bool, string, int64:
			return x, true, nil
		}
		return v.String(), true, nil
	}
	if c.depth++; c.depth > mostDepth {
		return nil, false, &Error{CodeDepth, "The result is nested too deeply"}
	}
	defer func() { c.depth-- }()
	switch o.ClassName() {
	case "Function":
		return nil, false, &FunctionError{}
	case "Array":
		n := int(o.Get("length").ToInteger())
		list := make([]any, 0, min(n, mostValues))
		for i := range n {
			e, ok, err := c.convert(o.Get(itoa(i)))
			if err != nil {
				return nil, false, err
			}
			if !ok {
				e = nil
			}
			list = append(list, e)
		}
		return list, true, nil
	}
	if f := o.Get("_jsonata_lambda"); f != nil && f.ToBoolean() {
		return nil, false, &FunctionError{}
	}
	if f := o.Get("_jsonata_function"); f != nil && f.ToBoolean() {
		return nil, false, &FunctionError{}
	}
	keys := o.Keys()
	obj := value.NewObject(len(keys))
	for _, k := range keys {
		e, ok, err := c.convert(o.Get(k))
		if err != nil {
			return nil, false, err
		}
		if ok {
			obj.Set(k, e)
		}
	}
	return obj, true, nil
}

// FunctionError says that the result is a function, which has no JSON form.
type FunctionError struct{}

func (*FunctionError) Error() string { return "the result is a function" }

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	var b [20]byte
	i := len(b)
	for n > 0 {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return string(b[i:])
}

func (m *machine) natives() map[string]any {
	return map[string]any{
		"nativeHash": func(text, algorithm string) any {
			if h, ok := Hash(text, algorithm); ok {
				return h
			}
			return nil
		},
		"nativeUUID": func() string {
			if m.env.UUID == nil {
				return "00000000-0000-4000-8000-000000000000"
			}
			return m.env.UUID()
		},
		// Base64 over characters of one byte each, as in a browser.
		"nativeBtoa": func(text string) string {
			raw := make([]byte, 0, len(text))
			for _, r := range text {
				raw = append(raw, byte(r))
			}
			return base64.StdEncoding.EncodeToString(raw)
		},
		"nativeAtob": func(text string) (string, error) {
			raw, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return "", err
			}
			out := make([]rune, len(raw))
			for i, b := range raw {
				out[i] = rune(b)
			}
			return string(out), nil
		},
		"nativeSeeded": Seeded,
	}
}

// Hash returns the hexadecimal digest of a text by MD5, SHA-1, SHA-256, SHA-384
// or SHA-512, and false for any other algorithm.
func Hash(text, algorithm string) (string, bool) {
	b := []byte(text)
	switch algorithm {
	case "MD5":
		s := md5.Sum(b) //nolint:gosec // asked for by name
		return hex.EncodeToString(s[:]), true
	case "SHA-1":
		s := sha1.Sum(b) //nolint:gosec // asked for by name
		return hex.EncodeToString(s[:]), true
	case "SHA-256":
		s := sha256.Sum256(b)
		return hex.EncodeToString(s[:]), true
	case "SHA-384":
		s := sha512.Sum384(b)
		return hex.EncodeToString(s[:]), true
	case "SHA-512":
		s := sha512.Sum512(b)
		return hex.EncodeToString(s[:]), true
	}
	return "", false
}

// Seeded returns the number in [0,1) that a seed stands for: the same seed
// always gives the same number.
func Seeded(seed float64) float64 {
	return rand.New(rand.NewPCG(math.Float64bits(seed), 0x5eed)).Float64()
}
