package jsonata

import (
	"encoding/base64"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// function is a function of the language: how many arguments it may be given
// here, and what it makes of them.
type function struct {
	least, most int
	run         func(s *scope, args []any) any
}

// functions are those that Go evaluates itself, of either dialect.
var functions = func() map[string]function {
	all := maps.Clone(textFunctions)
	maps.Copy(all, valueFunctions)
	return all
}()

// numberFunction runs a function of one number; undefined gives undefined.
func numberFunction(f func(float64) float64) function {
	return function{1, 1, func(s *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		return number(f(float(plain(s, a[0], 1))))
	}}
}

// ofNumbers runs a function of a list of numbers.
func ofNumbers(empty any, f func([]float64) float64) function {
	return function{1, 1, func(s *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		list := listOf(a[0])
		numbers := make([]float64, len(list))
		for i, e := range list {
			numbers[i] = float(plain(s, e, 1))
		}
		if len(list) == 0 {
			return empty
		}
		return number(f(numbers))
	}}
}

// listOf is what a parameter that takes an array makes of another value.
func listOf(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	return []any{v}
}

func sum(numbers []float64) float64 {
	total := 0.0
	for _, n := range numbers {
		total += n
	}
	return total
}

var valueFunctions = map[string]function{
	"exists": {1, 1, func(_ *scope, a []any) any { return !isUndef(a[0]) }},
	"boolean": {1, 1, func(_ *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		return truth(a[0])
	}},
	"not": {1, 1, func(_ *scope, a []any) any {
		if isUndef(a[0]) {
			return undef{}
		}
		return !truth(a[0])
	}},
	"type": {1, 1, func(_ *scope, a []any) any {
		if _, none := a[0].(undef); none {
			return undef{}
		}
		return value.TypeName(a[0])
	}},
	"count": {1, 1, func(_ *scope, a []any) any {
		if isUndef(a[0]) {
			return int64(0)
		}
		return int64(len(listOf(a[0])))
	}},
	"sum":     ofNumbers(int64(0), sum),
	"average": ofNumbers(undef{}, func(n []float64) float64 { return sum(n) / float64(len(n)) }),
	"max": ofNumbers(undef{}, func(n []float64) float64 {
		most := n[0]
		for _, f := range n {
			most = math.Max(most, f)
		}
		return most
	}),
	"min": ofNumbers(undef{}, func(n []float64) float64 {
		least := n[0]
		for _, f := range n {
			least = math.Min(least, f)
		}
		return least
	}),
	"floor":    numberFunction(math.Floor),
	"ceil":     numberFunction(math.Ceil),
	"abs":      numberFunction(math.Abs),
	"round":    {1, 2, round},
	"append":   {2, 2, appendLists},
	"reverse":  {1, 1, reverse},
	"distinct": {1, 1, distinct},
	"keys":     {1, 1, keys},
	"lookup":   {2, 2, lookup},
	"merge":    {1, 1, merge},
	"base64encode": textFunction(func(t string) any {
		if !ascii(t) {
			return leave()
		}
		return base64.StdEncoding.EncodeToString([]byte(t))
	}),
}

// statesFunctions are those of Step Functions' own that need nothing from
// outside.
var statesFunctions = map[string]function{
	"parse": textFunction(func(t string) any {
		if strings.Contains(t, `\u`) {
			return leave() // half a character
		}
		v, err := value.Parse([]byte(t))
		if err != nil {
			return leave()
		}
		return v
	}),
	"partition": {2, 2, func(s *scope, a []any) any {
		size, isInt := plain(s, a[1], 1).(int64)
		if !isInt || size <= 0 || isUndef(a[0]) {
			return leave()
		}
		list := listOf(a[0])
		s.charge(len(list))
		out := []any{}
		for i := 0; i < len(list); i += int(min(size, int64(len(list)))) {
			out = append(out, list[i:min(len(list), i+int(min(size, int64(len(list)))))])
		}
		return out
	}},
}

// round rounds half to even, at a number of decimals.
func round(s *scope, a []any) any {
	places := int64(0)
	if len(a) == 2 {
		var isInt bool
		if places, isInt = plain(s, a[1], 1).(int64); !isInt || places < -20 || places > 20 {
			return leave()
		}
	}
	if isUndef(a[0]) {
		return undef{}
	}
	f := float(plain(s, a[0], 1))
	if places == 0 {
		return number(math.RoundToEven(f))
	}
	shifted, err := strconv.ParseFloat(decimal(f)+"e"+strconv.FormatInt(places, 10), 64)
	if err != nil {
		return leave()
	}
	back, err := strconv.ParseFloat(decimal(math.RoundToEven(shifted))+"e"+strconv.FormatInt(-places, 10), 64)
	if err != nil {
		return leave()
	}
	return number(back)
}

func appendLists(s *scope, a []any) any {
	switch {
	case isUndef(a[0]):
		return a[1]
	case isUndef(a[1]):
		return a[0]
	}
	x, y := listOf(a[0]), listOf(a[1])
	s.charge(len(x) + len(y))
	return append(append(make([]any, 0, len(x)+len(y)), x...), y...)
}

func reverse(s *scope, a []any) any {
	if isUndef(a[0]) {
		return undef{}
	}
	list := listOf(a[0])
	s.charge(len(list))
	out := make([]any, len(list))
	for i, e := range list {
		out[len(list)-1-i] = e
	}
	return out
}

func distinct(s *scope, a []any) any {
	list, ok := a[0].([]any)
	if !ok || len(list) <= 1 {
		return a[0]
	}
	out := []any{}
next:
	for _, e := range list {
		for _, have := range out {
			if equal(s, e, have) {
				continue next
			}
		}
		out = append(out, e)
	}
	if len(out) == 1 {
		return leave() // a list of one or the one, by where the list came from
	}
	return out
}

func keys(s *scope, a []any) any {
	o, ok := a[0].(*value.Object)
	if !ok {
		return leave()
	}
	s.charge(o.Len())
	out := []any{}
	for _, k := range o.Keys() {
		if outOfOrder(k) {
			return leave()
		}
		out = append(out, k)
	}
	return collapse(out)
}

func lookup(_ *scope, a []any) any {
	o, isObject := a[0].(*value.Object)
	name, isText := a[1].(string)
	if !isObject || !isText {
		return leave()
	}
	if v, ok := o.Get(name); ok {
		return v
	}
	return undef{}
}

func merge(s *scope, a []any) any {
	if isUndef(a[0]) {
		return undef{}
	}
	out := value.NewObject(4)
	for _, e := range listOf(a[0]) {
		o, ok := e.(*value.Object)
		if !ok {
			return leave()
		}
		s.charge(1 + o.Len())
		for i := range o.Len() {
			k, v := o.At(i)
			out.Set(k, v)
		}
	}
	return out
}

// compileCall compiles the call of a function by its name, applied (with ~>)
// to a first argument if that is not nil.
func compileCall(o *value.Object, applied any, depth int) node {
	po, ok := member(o, "procedure").(*value.Object)
	if !ok || text(po, "type") != "variable" || !hasOnly(po, "variable", "") || po.Has("predicate") {
		return nil
	}
	name := text(po, "value")
	list, _ := member(o, "arguments").([]any)
	if applied != nil {
		list = append([]any{applied}, list...)
	}
	tail := o.Has("tail")
	var n node
	if f, known := functions[name]; known {
		n = compileSimple(f, list, depth)
	} else if f, known := statesFunctions[name]; known {
		n = compileSimple(f, list, depth)
	} else {
		n = compileOverList(name, list, tail, depth)
	}
	if n == nil {
		return nil
	}
	return func(s *scope, ctx any) any {
		if _, shadowed := s.get(name); shadowed {
			return leave()
		}
		v := n(s, ctx)
		if _, several := v.([]any); tail && name == "keys" && !several {
			return leave()
		}
		return v
	}
}

func compileSimple(f function, list []any, depth int) node {
	if len(list) < f.least || len(list) > f.most {
		return nil
	}
	nodes := make([]node, len(list))
	for i, a := range list {
		if nodes[i] = compileNode(a, depth+1); nodes[i] == nil {
			return nil
		}
	}
	return func(s *scope, ctx any) any {
		args := make([]any, len(nodes))
		for i, n := range nodes {
			args[i] = n(s, ctx)
		}
		return f.run(s, args)
	}
}

// lambda is a function written where it is used, and so never kept.
type lambda struct {
	params []string
	body   node
}

func compileLambda(ast any, depth int) *lambda {
	o, ok := ast.(*value.Object)
	if !ok || text(o, "type") != "lambda" || member(o, "thunk") == true || !hasOnly(o, "lambda", "") {
		return nil
	}
	l := &lambda{}
	list, _ := member(o, "arguments").([]any)
	for _, a := range list {
		p, ok := a.(*value.Object)
		if !ok || text(p, "type") != "variable" || text(p, "value") == "" {
			return nil
		}
		l.params = append(l.params, text(p, "value"))
	}
	body := unthunk(member(o, "body"))
	if l.body = compileNode(body, depth+1); l.body == nil || len(l.params) == 0 {
		return nil
	}
	return l
}

// unthunk takes the mark of a tail call off and puts one on the call itself:
// the result of a tail call stays a sequence, where that of another collapses.
func unthunk(ast any) any {
	o, ok := ast.(*value.Object)
	if !ok {
		return ast
	}
	switch text(o, "type") {
	case "lambda":
		if call, ok := member(o, "body").(*value.Object); ok && member(o, "thunk") == true {
			call = call.Clone()
			call.Set("tail", true)
			return call
		}
	case "condition":
		out := o.Clone()
		for _, branch := range []string{"then", "else"} {
			if b, ok := o.Get(branch); ok {
				out.Set(branch, unthunk(b))
			}
		}
		return out
	case "block":
		list, _ := member(o, "expressions").([]any)
		if len(list) == 0 {
			return ast
		}
		list = append([]any(nil), list...)
		list[len(list)-1] = unthunk(list[len(list)-1])
		out := o.Clone()
		out.Set("expressions", list)
		return out
	}
	return ast
}

// call runs the function. The scope is made once for all calls, because no
// function outlives one.
func (l *lambda) call(in *scope, ctx any, args ...any) any {
	in.bindings = in.bindings[:0]
	for i, p := range l.params {
		var v any = undef{}
		if i < len(args) {
			v = args[i]
		}
		in.bindings = append(in.bindings, Binding{p, v})
	}
	in.charge(1)
	return l.body(in, ctx)
}

// compileOverList compiles $map, $filter, $single and $reduce of a list and a
// function written in place. One in the place of a tail call says so.
func compileOverList(name string, list []any, tail bool, depth int) node {
	most := 2
	if name == "reduce" {
		most = 3
	}
	if name != "map" && name != "filter" && name != "single" && name != "reduce" || len(list) < 2 || len(list) > most {
		return nil
	}
	over, f := compileNode(list[0], depth+1), compileLambda(list[1], depth)
	if over == nil || f == nil {
		return nil
	}
	if name == "reduce" {
		var init node
		if len(list) == 3 {
			if init = compileNode(list[2], depth+1); init == nil {
				return nil
			}
		}
		return compileReduce(over, f, init)
	}
	return func(s *scope, ctx any) any {
		v := over(s, ctx)
		if isUndef(v) {
			return undef{}
		}
		items, in := listOf(v), s.inner(len(f.params))
		out := []any{}
		for i, e := range items {
			r := f.call(in, ctx, e, int64(i), items)
			switch {
			case name == "map" && !isUndef(r):
				out = append(out, r)
			case name != "map" && !isUndef(r) && truth(r):
				out = append(out, e)
			}
		}
		if name == "single" && len(out) != 1 || name != "single" && tail && len(out) < 2 {
			return leave()
		}
		return collapse(out)
	}
}

func compileReduce(over node, f *lambda, init node) node {
	if len(f.params) < 2 {
		return nil
	}
	return func(s *scope, ctx any) any {
		v := over(s, ctx)
		var acc any = undef{}
		if init != nil {
			acc = init(s, ctx)
		}
		if isUndef(v) {
			return undef{}
		}
		items, in, from := listOf(v), s.inner(len(f.params)), 0
		if isUndef(acc) && len(items) > 0 {
			acc, from = items[0], 1
		}
		for i := from; i < len(items); i++ {
			acc = f.call(in, ctx, acc, items[i], int64(i), items)
		}
		return acc
	}
}
