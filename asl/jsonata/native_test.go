package jsonata

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/bartizan-security/bartizan/asl/value"
)

const nativeData = `{"input":{"a":{"b":1,"s":"x","l":[1,2],"one":[7],"none":[],"n":null,"t":true,"f":1.5,"g":2.0,"m":[{"x":1,"y":[1]},{"x":2,"y":[2,3]},{"z":3}],"o":{"k":[[1],[2]],"e":{}},"u":"é🆗","big":12345678901234567890}}}`

func bindingsFor(t testing.TB) []Binding {
	return []Binding{{"states", mustParse(t, nativeData)}, {"v", int64(3)}, {"one", []any{int64(1)}}, {"none", []any{}}, {"gone", Undefined{}}}
}

// compareNative holds what Go evaluates itself against the reference. It
// returns whether Go did it.
func compareNative(t *testing.T, expr string, bindings []Binding) bool {
	t.Helper()
	e, err := Compile(expr, States, Limits{})
	if err != nil {
		t.Errorf("%s: %v", expr, err)
		return false
	}
	if e.native == nil {
		return false
	}
	got, ok1, done := e.native.eval(Undefined{}, bindings, nativeDepth)
	if !done {
		return false
	}
	want, ok2, err := e.evalReference(Undefined{}, bindings, Env{})
	if err != nil || ok1 != ok2 || ok1 && value.String(sorted(got)) != value.String(sorted(want)) {
		t.Errorf("%s: native %s %v, reference %s %v %v", expr, value.String(got), ok1, value.String(want), ok2, err)
	}
	return true
}

// sorted puts members in order, because JavaScript puts names that are numbers first.
func sorted(v any) any {
	switch x := v.(type) {
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = sorted(x[i])
		}
		return out
	case *value.Object:
		plainMap := map[string]any{}
		for i := range x.Len() {
			k, e := x.At(i)
			plainMap[k] = sorted(e)
		}
		o, _ := value.From(plainMap)
		return o
	}
	return v
}

// What Go evaluates itself gives what the reference gives, to the letter.
func TestNativeEqualsReference(t *testing.T) {
	bindings := bindingsFor(t)
	byGo := 0
	exprs := []string{
		"$states.input.a.b", "$states.input.a.s", "$states.input.a.l", "$states.input.a.one", "$states.input.a.none",
		"$states.input.a.n", "$states.input.a.n.x", "$states.input.a.t", "$states.input.a.f", "$states.input.a.g", "$states.input.a.m",
		"$states.input.a.m.x", "$states.input.a.m.y", "$states.input.a.m.z", "$states.input.a.m.q", "$states.input.a.o", "$states.input.a.o.k",
		"$states.input.a.o.e", "$states.input.a.missing", "$states.input.a.b.c", "$states.input", "$v", "$one", "$none", "$gone", "$gone.x", "$undefined.x",
		"$one.x", "$states.input.a.big", "$states.input.a.m.(x)", "$states.input.a.m.(x * 2)", "$states.input.a.m.(x & 'a')", "$states.input.a.m.y.x",
		"$sum($states.input.a.m.x)", "$sum($states.input.a.one)", "$count($states.input.a.none)", "$count($states.input.a.m)", "$count($gone)",
		"$v > 2 and $states.input.a.s = 'x'", "$v in $states.input.a.l", "1 in $states.input.a.l", "'x' in $states.input.a.s", "$gone in $none",
		"'a' & $v & $gone & $states.input.a.t & $states.input.a.n", "'a' & 1.5", "-$v", "-$gone", "$v / 2", "7 % -3", "$v / 3 * 3", "0.1 + 0.2",
		"$gone + 1", "$gone > 1", "$gone = $gone", "$v != $gone", "$states.input.a.g = 2", "$states.input.a.l = [1, 2]", "$states.input.a.o.e = {}",
		"$v > 2 ? 'yes' : 'no'", "$gone ? 1", "$states.input.a.none ? 1 : 2", "$states.input.a.one ? 1 : 2", "{'a': $v, 'b': $gone, 'c': [1, $none, $one, [2]]}",
		"[$states.input.a.l, 3]", "[[$states.input.a.l], 3]", "[]", "{}", "[1..3]", "$exists($gone)", "$exists($v)", "$not($v)", "$not($none)",
		"$uppercase('aé')", "$uppercase($states.input.a.s)", "$lowercase('ABC')", "$length($states.input.a.u)", "$string(5)", "$string('x')",
		"$contains('abc', 'b')", "'b' < 'a'", "'a' <= 'a'", "'é' < 'z'", "($v)", "($v; 2)", "$states.input.a.m[x=1].y", "true", "null", "\"q\\n\"",
		"{'1': 1, 'a': 2}", "$states.input.a.m.{'k': x}", "$states.input.a.l.($ + 1)", "$states.input.a.m[x = 2].y", "$states.input.a.m[x > 0].x", "$states.input.a.m[0].x", "$states.input.a.m[-1]", "$states.input.a.m[9]",
		"$states.input.a.l[0]", "$states.input.a.l[$v > 2]", "$states.input.a.m[x = 9]", "$states.input.a.m[x]", "$states.input.a.q[0]", "$states.input.a.q[x=1]", "$states.input.a.b[0]", "$states.input.a.m[x > 0][1].x", "$states.input.a.m[x > 0 and $count(y) > 1].y", "$states.input.a.m.y[0]", "$states.input.a.one[0]", "$states.input.a.o.k[0]", "$states.input.a.s[true]", "$states.input.a.o.k.x",
		"$gone and true", "true or $undefinedThing", "1 = 1.0", "$states.input.a.u & '!'", "9007199254740993 + 0", "1e300 * 1e300", "1 / 0", "[1,2][0]", "-0",
		// Functions, and functions written in place.
		"$floor(2.7)", "$floor(-2.5)", "$ceil(-2.5)", "$abs(-3)", "$round(2.5)", "$round(3.5)", "$round(-1.5)", "$round(1.005, 2)", "$round(125, -1)", "$round(4.525, 2)", "$floor($gone)", "$floor('x')",
		"$number('12.50')", "$number('007')", "$number('-0')", "$number('1e3')", "$number('0x1f')", "$number(true)", "$number($gone)", "$number('12345678901234567890')", "$number('.5')",
		"$max([1, 3, 2])", "$min($states.input.a.l)", "$max([])", "$average($states.input.a.l)", "$average([])", "$max(4)", "$sum(4)", "$sum([])", "$sum($gone)", "$max(['a'])",
		"$string($states.input.a.m)", "$string(1.5)", "$string(0.1 + 0.2)", "$string(1e20)", "$string(123456789012345680000)", "$string(1e-7)", "$string(null)", "$string([1, [2.0, 'q\"\\\\\\n\\u0001']])", "$string({'k': {}, 'l': []})", "'x' & $states.input.a.m", "'x' & [1]", "$string({'1': 2})", "$string($states.input.a)",
		"$substring('hello', 1)", "$substring('hello', -3)", "$substring('hello', -9, 2)", "$substring('hello', 1, 2)", "$substring('hello', 1, 0)", "$substring('hello', 9)", "$substring($states.input.a.u, 1, 1)", "$substring('hello', -2, 9)", "$substring('hello', 1.5)", "$substring($gone, 1)",
		"$substringBefore('a-b-c', '-')", "$substringAfter('a-b-c', '-')", "$substringBefore('abc', '')", "$substringAfter('abc', '')", "$substringAfter('abc', 'x')", "$substringBefore($gone, 'x')",
		"$split('a,b,,c', ',')", "$split('abc', '')", "$split('', ',')", "$split('', '')", "$split('a', ',')", "$split('é', '')", "$split('a,b', ',')[0]", "$split('a:b:c', ':')[-1]", "$join(['a', 'b'], '-')", "$join(['a', 'b'])", "$join('a')", "$join([])", "$join([1])", "$join($gone, ',')",
		"$trim('  a \t b  ')", "$trim('   ')", "$trim('')", "$replace('a.b.c', '.', '$1')", "$replace('aaa', 'aa', 'b')", "$replace('a', '', 'b')", "$contains('abc', $gone)", "$contains($gone, 'b')",
		"$boolean([0, 0])", "$boolean([[0], 1])", "$boolean($gone)", "$boolean({})", "$not($gone)", "$type($gone)", "$type(null)", "$type([])", "$type({})", "$type(1.5)", "$type('')", "$type(true)",
		"$append([1], 2)", "$append($gone, [1])", "$append(1, $gone)", "$append($gone, $gone)", "$append(1, 2)", "$append($none, $none)", "$append(1, [])", "$reverse([1, 2])", "$reverse([])", "$reverse($one)", "$distinct([1, 1.0, 2, 'a', 'a', [1], [1]])", "$distinct([1, 1])", "$distinct($states.input.a.m.x)", "$distinct(5)", "$distinct([])",
		"$keys($states.input.a.o)", "$keys({})", "$keys({'a': 1})", "$keys({'2': 1, '1': 2})", "$keys($states.input.a.m)", "$lookup($states.input.a, 's')", "$lookup($states.input.a, 'nothing')", "$lookup($states.input.a.m, 'x')", "$lookup($states.input.a, 'l')", "$lookup($states.input.a, 'one')", "$merge([{'a': 1}, {'b': 2, 'a': 3}])", "$merge([])", "$merge({'a': 1})", "$merge([1])", "$merge($gone)",
		"$base64encode('hi')", "$base64encode('é')", `$parse('{"a": [1.0, 2]}')`, "$parse('[1]')", "$parse('[]')", "$parse('{')", `$parse('{"a":1,"a":2}')`, "$parse('1.0') & ''", "$partition([1, 2, 3], 2)", "$partition([], 2)", "$partition([1], 5)", "$partition([1], 0)", "$partition(1, 2)",
		"$map($states.input.a.m, function($i) { $i.x * 2 })", "$map([1, 2], function($v, $i, $a) { $v + $i + $count($a) })", "$map($states.input.a.m, function($i) { $i.y })", "$map([1], function($x) { $x })", "$map([], function($x) { $x })", "$map($gone, function($x) { $x })", "$map(7, function($x) { [$x] })", "$map([1, 2], function($x) { $map([1, 2], function($y) { $x * $y }) })", "$map([1, 2], function($x) { $string($x) })", "$map([1, 2], function($x) { $x > 1 ? $string($x) : $gone })", "$map([1, 2], $string)", "$map([1, 2], function() { 1 })", "$map([1, 2], function($x) { ($y := $x + 1; $string($y)) })",
		"$filter([1, 2, 3], function($x) { $x > 1 })", "$filter([1, 2, 3], function($x) { $x > 2 })", "$filter([1], function($x) { $x > 2 })", "$filter([1, 2], function($x, $i) { $i = 0 })", "$filter($states.input.a.m, function($i) { $exists($i.y) }).x", "$single([1, 2], function($x) { $x = 2 })", "$single([1, 2], function($x) { true })",
		"$reduce([1, 2, 3], function($a, $b) { $a + $b })", "$reduce([1, 2, 3], function($a, $b) { $a + $b }, 10)", "$reduce([], function($a, $b) { $a })", "$reduce([], function($a, $b) { $a }, 4)", "$reduce([5], function($a, $b) { $a + $b })", "$reduce([1, 2], function($a, $b, $i, $l) { $a + $b * $i + $count($l) })", "$reduce([1, 2], function($a) { $a })", "$reduce(['a', 'b'], function($a, $b) { $merge([$a, {'k': $b}]) }, {})", "$reduce($gone, function($a, $b) { $a })",
		"($x := 2; $y := $x + 1; $x * $y)", "($x := 1; ($x := 2; $x) + $x)", "($x := $gone; $x)", "($v := 9; $v)", "($x := $y; 1)", "($sum := 1; $sum([1]))", "($f := function($x) { $x + 1 }; $f(1))", "($x := 1)", "[1..4].($ * 2)", "[1..1]", "[2..1]", "[1..$gone]", "[1.5..2]", "[1..20000][0]", "[0..2, 5]",
		"$states.input.a.s ~> $uppercase", "$states.input.a.s ~> $uppercase()", "$states.input.a.m.x ~> $sum()", "'a-b' ~> $split('-') ~> $count()", "[1, 2] ~> $map(function($x) { $x + 1 })", "$gone ~> $count()",
		"$one[0]", "$none[0]", "$states.input.a.m.$string(x)", "$states.input.a.m.{'k': $uppercase('a')}", "$states.input.a.m.[x]", "$states.input.a.m.(x > 1 ? 'big' : 'small')", "$states.input.a.l.$string()", "$states.input.a.l[$ > 1]", "$lookup($states.input.a, 'o').k", "$merge([{'a': {'b': 1}}]).a.b", "{'a': {'b': 1}}.a.b", "($states.input.a.m)[0].x", "$states.input.a.m[-1].z", "$filter($states.input.a.m, function($i) { $i.x = 1 })[0].y", "$states.input.a.q ? 'a' : 'b'", "$states.input.a.q ?: 'b'", "$states.input.a.q ?? 'b'", "$states.input.a.n ?? 'b'", "$map($states.input.a.m, function($i) { $i.{'a': x} })", "$states.input.a.l.[$, $]", "$append($states.input.a.l, $states.input.a.l)[3]",
	}
	for _, expr := range exprs {
		if compareNative(t, expr, bindings) {
			byGo++
		}
	}
	if byGo < len(exprs)/2 {
		t.Errorf("only %d of %d expressions were evaluated by Go", byGo, len(exprs))
	}
	t.Logf("%d of %d expressions evaluated by Go, all as the reference does", byGo, len(exprs))
}

// The same for expressions put together at random.
func TestNativeEqualsReferenceAtRandom(t *testing.T) {
	const seed = 31
	r := rand.New(rand.NewPCG(seed, 2))
	leaves := []string{"$v", "$gone", "$one", "$none", "1", "2.5", "-3", "0", "'x'", "''", "true", "null",
		"$states.input.a.b", "$states.input.a.l", "$states.input.a.m", "$states.input.a.m.x", "$states.input.a.o", "$states.input.a.f", "$states.input.a.u", "$states.input.a.n", "$", "'a,b'", "','", "'12'"}
	ops := []string{"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&", "in", "and", "or"}
	calls := []string{"$exists", "$not", "$count", "$sum", "$string", "$length", "$uppercase", "$floor", "$ceil", "$abs", "$round", "$number", "$boolean", "$type",
		"$max", "$min", "$average", "$reverse", "$distinct", "$keys", "$merge", "$trim", "$join", "$lowercase", "$base64encode"}
	pairs := []string{"$append", "$lookup", "$contains", "$split", "$join", "$substring", "$substringBefore", "$substringAfter", "$round", "$partition"}
	lambdas := []string{"$map(%s, function($v) { %s })", "$filter(%s, function($v, $i) { %s })", "$reduce(%s, function($v, $w) { %s })", "(%s ~> $map(function($one) { %s }))", "($v := %s; %s)", "(%s ? %s)", "[%s..%s]", "(%s)[%s]", "$v[%s].(%s)"}
	var make func(depth int) string
	make = func(depth int) string {
		if depth == 0 || r.IntN(4) == 0 {
			return leaves[r.IntN(len(leaves))]
		}
		switch r.IntN(13) {
		case 9, 10:
			return fmt.Sprintf(lambdas[r.IntN(len(lambdas))], make(depth-1), make(depth-1))
		case 11:
			return fmt.Sprintf("%s(%s, %s)", pairs[r.IntN(len(pairs))], make(depth-1), make(depth-1))
		case 5:
			return fmt.Sprintf("$states.input.a.%s[%s]", []string{"m", "l", "o", "q", "one"}[r.IntN(5)], make(depth-1))
		case 0:
			return fmt.Sprintf("(%s ? %s : %s)", make(depth-1), make(depth-1), make(depth-1))
		case 1:
			return fmt.Sprintf("[%s, %s]", make(depth-1), make(depth-1))
		case 2:
			return fmt.Sprintf("{'p': %s, 'q': %s}", make(depth-1), make(depth-1))
		case 3:
			return fmt.Sprintf("%s(%s)", calls[r.IntN(len(calls))], make(depth-1))
		case 4:
			return fmt.Sprintf("$states.input.a.m.(%s)", make(depth-1))
		}
		return fmt.Sprintf("(%s %s %s)", make(depth-1), ops[r.IntN(len(ops))], make(depth-1))
	}
	bindings := bindingsFor(t)
	byGo := 0
	n := 6000
	if testing.Short() {
		n = 600
	}
	for range n {
		if compareNative(t, make(3), bindings) {
			byGo++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d random expressions evaluated by Go, all as the reference does", byGo, n)
}
