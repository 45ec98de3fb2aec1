package jsonata

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// shared reads a third-party file.
func shared(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(thirdparty.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

// exceptions are the cases of the reference suite that do not hold, each with
// the reason. A case that is listed and holds fails the test too.
var exceptions = map[string]string{
	"function-encodeUrl/case002.json#0":          "a lone surrogate has no place in Go's UTF-8 text",
	"function-encodeUrlComponent/case002.json#0": "a lone surrogate has no place in Go's UTF-8 text",
	"range-operator/case021.json#0":              "a range is bounded to a million elements, here ten million are asked for",
	"range-operator/case024.json#0":              "a range is bounded to a million elements, here ten million are asked for",
}

func TestReferenceSuite(t *testing.T) {
	v, err := value.Parse(shared(t, "asl/jsonata-suite.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	member := func(v any, name string) any {
		m, _ := v.(*value.Object).Get(name)
		return m
	}
	datasets := member(v, "datasets").(*value.Object)
	groups := member(v, "groups").(*value.Object)
	files := map[string]string{}
	for _, g := range groups.Keys() {
		group := member(groups, g).(*value.Object)
		for _, f := range group.Keys() {
			if s, ok := member(group, f).(string); ok {
				files[g+"/"+f] = s
			}
		}
	}
	var cases []suiteCase
	for _, g := range groups.Keys() {
		group := member(groups, g).(*value.Object)
		for _, f := range group.Keys() {
			list, ok := member(group, f).([]any)
			if !ok {
				if _, isText := member(group, f).(string); isText {
					continue
				}
				list = []any{member(group, f)}
			}
			for i, c := range list {
				cases = append(cases, suiteCase{id: fmt.Sprintf("%s/%s#%d", g, f, i), group: g, c: c.(*value.Object)})
			}
		}
	}
	total := len(cases)
	if testing.Short() {
		cases = slices.DeleteFunc(cases, func(c suiteCase) bool {
			if !slow[c.id] {
				return false
			}
			t.Logf("LEFT OUT by -short: %s, which takes seconds", c.id)
			return true
		})
		all := cases
		cases = nil
		for i := 0; i < len(all); i += shortStep {
			cases = append(cases, all[i])
		}
		t.Logf("LEFT OUT by -short: every case but one in %d; %d of %d cases run", shortStep, len(cases), total)
	}
	// As many at a time as there are engines, the slow ones first; each engine
	// keeps what it compiled.
	slices.SortStableFunc(cases, func(a, b suiteCase) int {
		switch {
		case slow[a.id] == slow[b.id]:
			return 0
		case slow[a.id]:
			return -1
		}
		return 1
	})
	var wg sync.WaitGroup
	next := make(chan *suiteCase)
	for range mostEngines {
		wg.Go(func() {
			for c := range next {
				began := time.Now()
				c.why = runSuiteCase(c.c, c.group, files, datasets)
				c.took = time.Since(began)
			}
		})
	}
	for i := range cases {
		next <- &cases[i]
	}
	close(next)
	wg.Wait()
	passed := 0
	for _, c := range cases {
		reason, listed := exceptions[c.id]
		switch {
		case c.why == "" && listed:
			t.Errorf("%s is listed as an exception (%s) and holds", c.id, reason)
		case c.why == "":
			passed++
		case listed:
			t.Logf("exception %s: %s", c.id, reason)
		default:
			t.Errorf("%s: %s", c.id, c.why)
		}
		if c.took > time.Second {
			t.Logf("%s took %v", c.id, c.took.Round(time.Millisecond))
		}
	}
	t.Logf("JSONata reference suite: %d of %d cases run hold (the suite has %d), %d listed exceptions", passed, len(cases), total, len(exceptions))
}

// suiteCase is one case of the reference suite and what became of it.
type suiteCase struct {
	id, group string
	c         *value.Object
	why       string
	took      time.Duration
}

// shortStep thins the suite for -short, which is how it runs under the race
// detector, ten times slower.
const shortStep = 5

// slow are the cases that -short leaves out whatever the step.
var slow = map[string]bool{
	"flattening/large.json#0": true, "flattening/large.json#1": true,
	"performance/case000.json#0": true, "performance/case001.json#0": true,
	"tail-recursion/case006.json#0": true,
}

func runSuiteCase(c *value.Object, group string, files map[string]string, datasets *value.Object) string {
	source, _ := c.Get("expr")
	if f, ok := c.Get("expr-file"); ok {
		source = files[group+"/"+f.(string)]
	}
	var input any = Undefined{}
	if d, ok := c.Get("data"); ok {
		input = d
	} else if name, _ := c.Get("dataset"); name != nil {
		if d, ok := datasets.Get(name.(string)); ok {
			input = d
		}
	}
	// Bounds that no loaded machine reaches: the suite is about answers.
	limits := Limits{Time: 10 * time.Minute, Memory: 4 << 30}
	if d, ok := c.Get("depth"); ok {
		n, _ := value.Int(d)
		limits.Depth = int(n)
	}
	if g, ok := c.Get("timelimit"); ok {
		n, _ := value.Int(g)
		if code, _ := c.Get("code"); code == "U1001" {
			limits.Time = time.Duration(n) * time.Millisecond
		}
	}
	var bindings []Binding
	if b, ok := c.Get("bindings"); ok {
		for i := range b.(*value.Object).Len() {
			k, v := b.(*value.Object).At(i)
			bindings = append(bindings, Binding{k, v})
		}
	}
	var got any
	var ok bool
	e, err := Compile(source.(string), Plain, limits)
	if err == nil {
		got, ok, err = e.Eval(input, bindings, Env{Now: time.Unix(1700000000, 0)})
	}
	wantCode, hasCode := c.Get("code")
	if e, isObj := c.Get("error"); isObj {
		if o, isObject := e.(*value.Object); isObject {
			wantCode, hasCode = o.Get("code")
		}
	}
	if err != nil {
		var je *Error
		if !errors.As(err, &je) {
			return "failed with " + err.Error()
		}
		if !hasCode {
			return "failed with " + je.Error()
		}
		// The suite's harness names both bounds U1001.
		if wantCode == "U1001" && (je.Code == CodeDepth || je.Code == CodeTime) {
			return ""
		}
		if je.Code != wantCode {
			return fmt.Sprintf("failed with %s, want %v", je, wantCode)
		}
		return ""
	}
	if hasCode {
		return fmt.Sprintf("gives %s, want error %v", value.String(got), wantCode)
	}
	want, hasWant := c.Get("result")
	switch {
	case !hasWant && ok:
		return "gives " + value.String(got) + ", want nothing"
	case hasWant && !ok && want != nil:
		return "gives nothing, want " + value.String(want)
	case hasWant && !value.Equal(got, want):
		if unordered, _ := c.Get("unordered"); unordered == true && sameElements(got, want) {
			return ""
		}
		return fmt.Sprintf("gives %.200s, want %.200s", value.String(got), value.String(want))
	}
	return ""
}

func sameElements(a, b any) bool {
	x, ok1 := a.([]any)
	y, ok2 := b.([]any)
	if !ok1 || !ok2 || len(x) != len(y) {
		return false
	}
	texts := func(l []any) string {
		var s []string
		for _, e := range l {
			s = append(s, value.String(e))
		}
		sort.Strings(s)
		return strings.Join(s, "\n")
	}
	return texts(x) == texts(y)
}

func mustParse(t testing.TB, s string) any {
	t.Helper()
	v, err := value.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What Step Functions adds to the language.
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
func TestStatesFunctions(t *testing.T) {
	env := Env{Random: func() float64 { return 0.25 }, UUID: func() string { return "u-u" }}
	for _, c := range []struct{ expr, want string }{
		{"$partition([1,2,3,4,5], 2)", `[[1,2],[3,4],[5]]`},
		{"$range(0, 10, 5)", `[0,5,10]`},
		{"$range(5, 1, -2)", `[5,3,1]`},
		{"$hash('input data', 'MD5')", `"812f45842bc6d66ee14572ce20db8e86"`},
		{"$random()", `0.25`},
		{"$random(7) = $random(7)", `true`},
		{"$uuid()", `"u-u"`},
		{"$parse('{\"a\":[1,2]}').a[1]", `2`},
		{"$range(1, 5000, 1)", `D3137`},
		{"$partition([1], 0)", `D3137`},
		{"$hash('x', 'SHA-3')", `D3137`},
		{"$parse('{')", `D3137`},
		{"$eval('1')", `T1006`},
		{"$randomSeeded(1)", `T1006`},
	} {
		e, err := Compile(c.expr, States, Limits{})
		if err != nil {
			t.Errorf("%s: %v", c.expr, err)
			continue
		}
		got, _, err := e.Eval(Undefined{}, nil, env)
		var je *Error
		if errors.As(err, &je) {
			if je.Code != c.want {
				t.Errorf("%s: %v, want %s", c.expr, err, c.want)
			}
			continue
		}
		if !json.Valid([]byte(c.want)) || !value.Equal(got, mustParse(t, c.want)) {
			t.Errorf("%s = %s, %v; want %s", c.expr, value.String(got), err, c.want)
		}
	}
}

// Expressions that would run for ever, or fill memory, end within the bounds.
// One that does not is ended by the test binary's own time limit.
func TestBombsEnd(t *testing.T) {
	limits := Limits{Time: 300 * time.Millisecond, Memory: 128 << 20}
	for _, expr := range []string{
		"($f := function(){$f()}; $f())",
		"($f := function($n){1 + $f($n+1)}; $f(1))",
		"($f := function($s){$f($s & $s)}; $f('xxxxxxxx'))",
		"($f := function($a){$f($append($a,$a))}; $f([1,2]))",
		"$map([1..100000], function($x){$map([1..100000], function($y){$x*$y})})",
		"$map([1..9000], function($x){$map([1..9000], function($y){$map([1..9000], function($z){$x*$y*$z})})})",
		"$string($reduce([1..40], function($a, $b){{'x': $a, 'y': $a}}, {}))",
		"$length($reduce([1..60], function($a, $b){$a & $a}, 'xxxxxxxx'))",
		"$count($reduce([1..60], function($a, $b){$append($a, $a)}, [1]))",
		"$reduce([1..60], function($a, $b){$replace($a, 'x', 'xxxx')}, 'x')",
		"$pad('x', 1000000000)",
		"[1..9999999]",
		"$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(?=a)(a+)+$/)",
		strings.Repeat("(", 20000) + "1" + strings.Repeat(")", 20000),
		strings.Repeat("[", 10000),
	} {
		e, err := Compile(expr, States, limits)
		if err == nil {
			_, _, err = e.Eval(Undefined{}, nil, Env{})
		}
		var je *Error
		if !errors.As(err, &je) || je.Code == "" {
			t.Errorf("%.50s: %v, want an error with a code", expr, err)
		}
	}
}

func TestReads(t *testing.T) {
	e, err := Compile("$states.input.a & $states.context.Execution.Id & $v", States, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		member string
		want   bool
	}{{"input", true}, {"context", true}, {"result", false}} {
		if got := e.Reads("states", c.member); got != c.want {
			t.Errorf("Reads(states, %s) = %v", c.member, got)
		}
	}
	if e, _ := Compile("$merge([$states, {}])", States, Limits{}); !e.Reads("states", "result") {
		t.Error("a variable used whole reads every member")
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"$states.input.a[b=1].c", "$map([1..3], function($x){$x*2})", "{'a': $sum(x)}", "a.b^(>c)[0]", "/x/i"} {
		f.Add(s)
	}
	limits := Limits{Time: 200 * time.Millisecond, Range: 10_000, Memory: 64 << 20}
	input := map[string]any{"a": 1}
	v, err := value.From(input)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Compile(s, States, limits)
		if err != nil {
			return
		}
		_, _, _ = e.Eval(Undefined{}, []Binding{{"states", v}}, Env{})
	})
}

func BenchmarkEval(b *testing.B) {
	states := mustParse(b, `{"input":{"user":{"name":"ada","roles":["admin","dev"]},"items":[{"id":"a","price":3,"n":2},{"id":"b","price":5,"n":1}],"count":3}}`)
	for _, expr := range []string{
		"$states.input.user.name",
		"$states.input.count > 2 and $states.input.user.name = 'ada'",
		"'arn:aws:iam::' & $states.input.count & ':user/' & $states.input.user.name",
		"$sum($states.input.items.(price * n))",
		"$states.input.items[price > 4].id",
		"$floor($states.input.count)",
		"$map($states.input.items, function($i) { $i.price * 2 })",
		"($total := $sum($states.input.items.price); $total > 7 ? 'dear' : 'cheap')",
		"$string($states.input)",
		"$merge([$states.input.user, {'groups': $append($states.input.user.roles, 'new')}])",
		"$reduce($states.input.items, function($a, $i) { $a + $i.price * $i.n }, 0)",
		"$split('arn:aws:iam::1:user/ada', ':')[4]",
		"$contains($states.input.user.name, /^a/)",
		"{'name': $uppercase($states.input.user.name), 'admin': 'admin' in $states.input.user.roles}",
	} {
		b.Run(expr, func(b *testing.B) {
			e, err := Compile(expr, States, Limits{})
			if err != nil {
				b.Fatal(err)
			}
			bindings := []Binding{{"states", states}}
			b.ReportAllocs()
			for b.Loop() {
				if _, ok, err := e.Eval(Undefined{}, bindings, Env{}); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
