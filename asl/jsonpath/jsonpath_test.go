package jsonpath

import (
	"errors"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/asl/value"
)

func parse(t testing.TB, s string) any {
	t.Helper()
	v, err := value.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const store = `{"store":{"book":[
 {"category":"reference","author":"A","title":"T1","price":8.95,"tags":["x","y"]},
 {"category":"fiction","author":"B","title":"T2","price":12.99},
 {"category":"fiction","author":"C","title":"T3","isbn":"0-553","price":8.99},
 {"category":"fiction","author":"D","title":"T4","isbn":"0-395","price":22.99}],
 "bicycle":{"color":"red","price":19.95}},"expensive":10,"a b":1,"n":null}`

func TestGet(t *testing.T) {
	root := parse(t, store)
	for _, c := range []struct{ path, want string }{
		{"$.expensive", `10`},
		{"$['a b']", `1`},
		{`$["a b"]`, `1`},
		{"$.n", `null`},
		{"$.store.book[0].title", `"T1"`},
		{"$.store.book[-1].title", `"T4"`},
		{"$.store.bicycle['color','price']", `{"color":"red","price":19.95}`},
		// What is not definite gives an array of what it finds, and finding
		// nothing is no error.
		{"$.store.book[*].author", `["A","B","C","D"]`},
		{"$..author", `["A","B","C","D"]`},
		{"$.store..price", `[8.95,12.99,8.99,22.99,19.95]`},
		{"$.store.book[0,2].title", `["T1","T3"]`},
		{"$.store.book[1:3].title", `["T2","T3"]`},
		{"$.store.book[:2].title", `["T1","T2"]`},
		{"$.store.book[-2:].title", `["T3","T4"]`},
		{"$..nothing", `[]`},
		{"$.store.book[7:].title", `[]`},
		{"$.store.bicycle.*", `["red",19.95]`},
		{"$.store.book[?(@.isbn)].title", `["T3","T4"]`},
		{"$.store.book[?(!@.isbn)].title", `["T1","T2"]`},
		{"$.store.book[?(@.price < 10)].title", `["T1","T3"]`},
		{"$.store.book[?(@.price > $.expensive)].title", `["T2","T4"]`},
		{"$.store.book[?(@.price > 10 && @.category == 'fiction')].title", `["T2","T4"]`},
		{"$.store.book[?(@.author == 'A' || @['author'] == \"B\")].title", `["T1","T2"]`},
		{"$.store.book[?(@.author =~ /[ab]/i)].title", `["T1","T2"]`},
		{"$.store.book[?(@.author in ['A', 'D'])].title", `["T1","T4"]`},
		{"$.store.book[?(@.author nin ['A', 'D'])].title", `["T2","T3"]`},
		{"$.store.book[?(@.tags contains 'x')].title", `["T1"]`},
		{"$.store.book[?(@.tags anyof ['q','y'])].title", `["T1"]`},
		{"$.store.book[?(@.tags size 2)].title", `["T1"]`},
		{"$.store.book[?(@.title == 'T1')]['author','price']", `[{"author":"A","price":8.95}]`},
		{"$..[?(@.color)].color", `[]`}, // a deep filter looks at elements of arrays
	} {
		p, err := Compile(c.path)
		if err != nil {
			t.Errorf("Compile(%s): %v", c.path, err)
			continue
		}
		got, err := p.Get(root)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if !value.Equal(got, parse(t, c.want)) {
			t.Errorf("%s = %s, want %s", c.path, value.String(got), c.want)
		}
	}
}

func TestNotFound(t *testing.T) {
	root := parse(t, store)
	for _, c := range []struct{ path, want string }{
		{"$.no", "No results for path: $['no']"},
		{"$.no.such.path", "Missing property in path $['no']"},
		{"$.store.book[9]", "No results for path: $['store']['book'][9]"},
		{"$.expensive.x", "Expected to find an object with property ['x'] in path $['expensive'] but found 'java.lang.Integer'. This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."},
		{"$.expensive[0]", "Filter: [0] can only be applied to arrays. Current context is: 10"},
		{"$.n[0]", "The path $['n'] is null"},
	} {
		p, err := Compile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = p.Get(root); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"", "starts with $"},
		{"a.b", "starts with $"},
		{"$.a.length()", "functions such as length()"},
		{"$.a b", "blanks"},
		{"$.", "name is missing"},
		{"$[", "expected a name"},
		{"$['a", "closing '"},
		{"$[?(@.a ==)]", "expected a path or a literal"},
		{"$[?(@.a =~ /(/)]", "missing closing )"},
		{"$[?" + strings.Repeat("(", 100), "nested"},
		{"$" + strings.Repeat(".a", 300), "more than"},
		{"$" + strings.Repeat(".abcdefgh", 1000), "longer than"},
	} {
		if _, err := Compile(c.path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Compile(%.40s): %v, want …%s…", c.path, err, c.want)
		}
	}
}

func TestSet(t *testing.T) {
	for _, c := range []struct{ root, path, v, want string }{
		{`{"a":1}`, "$", `2`, `2`},
		{`{"a":1}`, "$.b", `2`, `{"a":1,"b":2}`},
		{`{"a":1}`, "$.b.c.d", `2`, `{"a":1,"b":{"c":{"d":2}}}`},
		{`{"a":{"x":1}}`, "$.a.y", `2`, `{"a":{"x":1,"y":2}}`},
		{`{"a":1}`, "$.a.y", `2`, `{"a":{"y":2}}`},
		{`{"a":[1,2]}`, "$.a[1]", `9`, `{"a":[1,9]}`},
		{`{"a":[1,2]}`, "$.a[2]", `9`, `error`},
		{`"text"`, "$.a", `9`, `error`},
	} {
		p, err := Compile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		root := parse(t, c.root)
		before := value.String(root)
		got, err := p.Set(root, parse(t, c.v))
		if (err != nil) != (c.want == "error") || err == nil && !value.Equal(got, parse(t, c.want)) {
			t.Errorf("Set(%s, %s) = %s, %v; want %s", c.root, c.path, value.String(got), err, c.want)
		}
		if value.String(root) != before {
			t.Errorf("Set changed its input to %s", value.String(root))
		}
	}
}

func TestRootAndReference(t *testing.T) {
	for _, c := range []struct {
		path, root string
		reference  bool
	}{
		{"$", "$", true}, {"$$.Execution.Id", "$$", true}, {"$var.a[0]", "$var", true},
		{"$.a[*]", "$", false}, {"$..a", "$", false}, {"$.a[-1]", "$", false},
	} {
		p, err := Compile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		if p.Root() != c.root || p.Reference() != c.reference {
			t.Errorf("%s: root %s, reference %v", c.path, p.Root(), p.Reference())
		}
	}
}

// A chain of deep scans over nested data would take exponential time.
func TestBombEnds(t *testing.T) {
	doc := parse(t, strings.Repeat(`{"a":[`, 200)+strings.Repeat(`]}`, 200))
	p, err := Compile("$..*..*..*..*..*..*")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(doc); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"$.a['b'][0]", "$..[?(@.a =~ /x/i && $.b in [1,'2'])]", "$v[1:2].*", "$$"} {
		f.Add(s)
	}
	root := parse(f, store)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Compile(s)
		if err != nil {
			return
		}
		_, _ = p.Get(root)
		_, _ = p.Set(root, true)
	})
}

func BenchmarkGet(b *testing.B) {
	root := parse(b, store)
	p, _ := Compile("$.store.book[0].title")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Get(root); err != nil {
			b.Fatal(err)
		}
	}
}
