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
	r := rand.New(rand.NewPCG(1, 2))
	leaves := []string{"$v", "$gone", "$one", "$none", "1", "2.5", "-3", "0", "'x'", "''", "true", "null",
		"$states.input.a.b", "$states.input.a.l", "$states.input.a.m", "$states.input.a.m.x", "$states.input.a.o", "$states.input.a.f", "$states.input.a.u", "$states.input.a.n"}
	ops := []string{"=", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "&", "in", "and", "or"}
	calls := []string{"$exists", "$not", "$count", "$sum", "$string", "$length", "$uppercase"}
	var make func(depth int) string
	make = func(depth int) string {
		if depth == 0 || r.IntN(4) == 0 {
			return leaves[r.IntN(len(leaves))]
		}
		switch r.IntN(9) {
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
	const n = 1500
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
