package yamldoc_test

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

const most = 1 << 20

// show writes a node with the places of its keys and values.
func show(n *yamldoc.Node) string {
	at := fmt.Sprintf("@%d:%d", n.Line, n.Col)
	switch n.Kind {
	case yamldoc.Map:
		var b strings.Builder
		for i, k := range n.Keys {
			fmt.Fprintf(&b, "%s=%s ", k.Text, show(n.Vals[i]))
		}
		return "{" + strings.TrimSpace(b.String()) + "}" + at
	case yamldoc.List:
		var parts []string
		for _, v := range n.Vals {
			parts = append(parts, show(v))
		}
		return "[" + strings.Join(parts, " ") + "]" + at
	}
	return fmt.Sprintf("%v %q%s", n.Kind, n.Text, at)
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"a comment", "# nothing\n", ""},
		{"null", "~\n", ""},
		{"a map", "a: b\nc: 2\n", `{a=a string "b"@1:4 c=a number "2"@2:4}@1:1`},
		{"an account id stays as it is written", "- 012345678901\n", `[a string "012345678901"@1:3]@1:1`},
		{"scalars", "[1.50, true, null, '1', .inf]", `[a number "1.50"@1:2 a boolean "true"@1:8 null ""@1:14 a string "1"@1:20 a string ".inf"@1:25]@1:1`},
		{"a block", "a: |\n  x\n  y\n", `{a=a string "x\ny\n"@1:4}@1:1`},
		{"an alias stands where its anchor is", "a: &x [1]\nb: *x\n", `{a=[a number "1"@1:8]@1:7 b=[a number "1"@1:8]@1:7}@1:1`},
		{"a tag is passed over", "a: !!str 1\n", `{a=a number "1"@1:9}@1:1`},
		{"JSON", `{"a":[{"b":null}]}`, `{a=[{b=null ""@1:12}@1:8]@1:6}@1:2`},
		{"two documents", "a: 1\n---\nb: 2\n", `{a=a number "1"@1:4}@1:1 {b=a number "2"@3:4}@3:1`},
		{"an empty one between them", "a: 1\n---\n---\nb: 2\n", `{a=a number "1"@1:4}@1:1 {b=a number "2"@4:4}@4:1`},
		{"one with a comment", "---\n# c\n--- # d\n\n---\nb: 2\n---\n---\n", `{b=a number "2"@6:4}@6:1`},
		{"dashes that are no marker", "---\na: '\n  ---\n  ---'\nb: ----\n", `{a=a string " --- ---"@2:4 b=a string "----"@5:4}@2:1`},
	} {
		docs, err := yamldoc.Parse("f.yml", []byte(c.text), most)
		var got []string
		for _, d := range docs {
			got = append(got, show(d))
		}
		if strings.Join(got, " ") != c.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", c.name, strings.Join(got, " "), err, c.want)
		}
	}
}

// A list of names may stand on one line.
func TestLongLine(t *testing.T) {
	docs, err := yamldoc.Parse("f.yml", []byte("a: ["+strings.Repeat("SomeName, ", 5000)+"SomeName]\n"), most)
	if err != nil || len(docs[0].Strs("a")) != 5001 {
		t.Error(err)
	}
}

func TestMembers(t *testing.T) {
	docs, err := yamldoc.Parse("f.yml", []byte("a: x\nb: [y, null, 3]\nc: {d: e}\n"), most)
	if err != nil {
		t.Fatal(err)
	}
	n := docs[0]
	if got := fmt.Sprint(n.Str("a"), n.Str("b"), n.Str("none"), n.Strs("a"), n.Strs("b"), n.Strs("c"), n.Get("c").Str("d"), n.Get("a").Get("x") == nil); got != "x[x] [y 3] []etrue" {
		t.Error(got)
	}
}

// bomb is a document whose aliases stand for 9^depth nodes.
func bomb(depth int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := range depth {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 9), ","))
	}
	return b.String()
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"broken", "a: 'b", "f.yml:1:4: not YAML: could not find end character"},
		{"an open list", "a: [\n", "f.yml:1:4: not YAML: "},
		{"a member twice", "a: 1\nb: 2\na: 3\n", "f.yml:3:1: "},
		{"an alias of nothing", "a: *b\n", "f.yml:1:4: "},
		{"an alias of itself", "a: &a [*a]\n", "f.yml:1:8: alias of an anchor that is not defined before it"},
		{"a merge key", "a: &a {x: y}\nb:\n  <<: *a\n", "f.yml:3:3: unexpected MergeKey"},
		{"too large", strings.Repeat("# filler\n", most), "f.yml:1:1: larger than 1048576 bytes"},
		{"brackets", "a: b\nc: " + strings.Repeat("[", 100_000), "f.yml:2:1: nested too deep"},
		{"braces and keys", strings.Repeat("{a: ", 100_000), "f.yml:1:1: nested too deep"},
		{"brackets on lines", strings.Repeat("[\n", 100_000), "nested too deep"},
		{"brackets that end, a hundred deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested too deep"},
		{"dashes", strings.Repeat("- ", 100_000), "f.yml:1:1: nested too deep"},
		{"question marks", strings.Repeat("? ", 100_000), "f.yml:1:1: nested too deep"},
		{"indents", strings.Repeat(" ", 5000) + "a: b\n", "f.yml:1:1: nested too deep"},
		{"a staircase", staircase(300), "nested too deep"},
		{"empty entries", strings.Repeat("-\n", 400_000), "f.yml:10001:1: too many empty entries"},
		{"empty entries in entries", strings.Repeat("- -\n", 250_000), "f.yml:10001:1: too many empty entries"},
		{"a long line", "a: " + strings.Repeat(`"b" `, 30_000), "f.yml:1:1: the lines are too long to be read"},
		{"long lines", strings.Repeat("# "+strings.Repeat("x", 30_000)+"\n", 30), "f.yml:10:1: the lines are too long to be read"},
		{"aliases", bomb(30), "too large: aliases expand to too much"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := yamldoc.Parse("f.yml", []byte(c.text), most)
		var v any
		_, again := yamldoc.Decode("f.yml", []byte(c.text), most, &v)
		runtime.ReadMemStats(&after)
		var fault *yamldoc.Error
		if !errors.As(err, &fault) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
		if again == nil || again.Error() != err.Error() {
			t.Errorf("%s: Decode says %v, Parse %v", c.name, again, err)
		}
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 200 {
			t.Errorf("%s: allocated %d MB", c.name, took)
		}
	}
}

func staircase(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// A valid JSON file may be one long line.
func TestLongJSON(t *testing.T) {
	text := `{"a":[` + strings.Repeat(`{"b":"c"},`, 5000) + `{"b":"c"}]}`
	docs, err := yamldoc.Parse("f.json", []byte(text), most)
	if err != nil || len(docs[0].Get("a").Vals) != 5001 {
		t.Error(err)
	}
}

func TestDecode(t *testing.T) {
	type inner struct {
		B []string `yaml:"b"`
	}
	var v struct {
		A map[string]any `yaml:"a"`
		X *inner         `yaml:"x"`
		Y *inner         `yaml:"y"`
	}
	found, err := yamldoc.Decode("f.yml", []byte("# c\na: {n: 1, t: '1', l: [true, ~]}\nx: &x\n  b: [p, q]\ny: *x\n"), most, &v)
	want := map[string]any{"n": uint64(1), "t": "1", "l": []any{true, nil}}
	if !found || err != nil || !reflect.DeepEqual(v.A, want) || v.Y == nil || fmt.Sprint(v.X.B, v.Y.B) != "[p q] [p q]" {
		t.Errorf("%v, %v: %#v", found, err, v)
	}
	for _, c := range []struct{ name, text, want string }{
		{"an unknown member", "a: {}\nz: 1\n", `f.yml:2:1: unknown field "z"`},
		{"a value of another type", "x: [1]\n", "f.yml:1:4: "},
		{"two documents", "x: {b: []}\n---\nx: {b: []}\n", "f.yml:3:1: a second document"},
	} {
		if found, err := yamldoc.Decode("f.yml", []byte(c.text), most, &v); found || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %s", c.name, found, err, c.want)
		}
	}
	if found, err := yamldoc.Decode("f.yml", []byte("# nothing\n"), most, &v); found || err != nil {
		t.Errorf("an empty file: %v, %v", found, err)
	}
}

// FuzzParse: whatever a file holds, what is wrong with it is an *Error, and its
// nodes have places in it.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: &x [1, ~]\nb: *x\n", "- |\n  x\n", `{"a":[{"b":"c"}]}`, "? a\n: b\n", "a: !!binary |\n  x\n", "<<: *a", "---\n...\n", "\"\\x", bomb(3)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		docs, err := yamldoc.Parse("f", src, 64<<10)
		var fault *yamldoc.Error
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("%T %v", err, err)
		}
		var visit func(n *yamldoc.Node, depth int)
		visit = func(n *yamldoc.Node, depth int) {
			if n.Line < 1 || n.Col < 0 || depth > 100 || n.Kind == yamldoc.Map && len(n.Keys) != len(n.Vals) {
				t.Fatalf("%+v", n)
			}
			if depth < 3 {
				for _, v := range n.Vals {
					visit(v, depth+1)
				}
			}
		}
		for _, d := range docs {
			visit(d, 0)
		}
		var v any
		if _, err := yamldoc.Decode("f", src, 64<<10, &v); err != nil && !errors.As(err, &fault) {
			t.Fatalf("%T %v", err, err)
		}
	})
}
