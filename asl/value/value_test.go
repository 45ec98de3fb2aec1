package value

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseAndWrite(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"b":1,"a":[true,null,"x"]}`, `{"b":1,"a":[true,null,"x"]}`}, // order is kept
		{`{"a":1,"a":2}`, `{"a":2}`},                                   // the last of two wins
		{` 1.0 `, `1.0`},                                               // a double stays one
		{`1e7`, `1.0E7`},
		{`-0`, `0`},
		{`12345678901234567890`, `12345678901234567890`},
		{`"\u00e9\ud83c\udd97\n\"\\/"`, "\"é🆗\\n\\\"\\\\/\""},
		{`""`, `""`},
	} {
		v, err := Parse([]byte(c.in))
		if err != nil {
			t.Errorf("Parse(%s): %v", c.in, err)
			continue
		}
		if got := String(v); got != c.want {
			t.Errorf("Parse(%s) = %s, want %s", c.in, got, c.want)
		}
		if Size(v) != len(String(v)) {
			t.Errorf("Size(%s) = %d, want %d", c.in, Size(v), len(String(v)))
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		in        string
		line, col int
		msg       string
	}{
		{"not a definition", 1, 4, "Unrecognized token 'not'"},
		{"{\n \"a\": 01}", 2, 8, "Leading zeroes"},
		{"{\"a\" 1}", 1, 7, "colon"},
		{"[1 2]", 1, 5, "comma to separate Array"},
		{"[1", 1, 3, "close marker for Array"},
		{"{\"a\":1,}", 1, 9, "double-quote to start field name"},
		{"1 2", 1, 4, "expected end"},
		{"", 1, 1, "No content"},
		{"\"\x01\"", 1, 3, "CTRL-CHAR"},
		{strings.Repeat("[", MaxDepth+1), 1, MaxDepth + 1, "nesting depth"},
	} {
		_, err := Parse([]byte(c.in))
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("Parse(%.20q) = %v, want a syntax error", c.in, err)
			continue
		}
		if e.Line != c.line || e.Column != c.col || !strings.Contains(e.Msg, c.msg) {
			t.Errorf("Parse(%.20q) = %v, want line %d, column %d: …%s…", c.in, e, c.line, c.col, c.msg)
		}
	}
}

func TestPositions(t *testing.T) {
	_, pos, err := ParsePositions([]byte("{\n  \"a/b\": [1,\n   {\"c\": 2, \"c\": 3}]\n}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pointer string
		want    Position
	}{
		{"", Position{1, 1}},
		{"/a~1b", Position{2, 3}},
		{"/a~1b/1", Position{3, 4}},
		{"/a~1b/1/c", Position{3, 13}},
		{"/a~1b/1/none", Position{3, 4}},
	} {
		if got := pos.At(c.pointer); got != c.want {
			t.Errorf("At(%q) = %v, want %v", c.pointer, got, c.want)
		}
	}
	if d := pos.Duplicates(); len(d) != 1 || d[0] != "/a~1b/1/c" {
		t.Errorf("Duplicates() = %v", d)
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1.0`, true},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{`[1,2]`, `[2,1]`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`12345678901234567890`, `12345678901234567890`, true},
		{`"1"`, `1`, false},
		{`null`, `false`, false},
	} {
		a, _ := Parse([]byte(c.a))
		b, _ := Parse([]byte(c.b))
		if got := Equal(a, b); got != c.want {
			t.Errorf("Equal(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

func TestJava(t *testing.T) {
	v, _ := Parse([]byte(`{"Arg1":1,"Arg2":[],"a":{"b":[null,"x",1.5]}}`))
	if got, want := Java(v), "{Arg1=1, Arg2=[], a={b=[null, x, 1.5]}}"; got != want {
		t.Errorf("Java = %s, want %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `"\ud83c"`, `[`, `1e999`, "\"\xff\""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Parse(text)
		if err != nil {
			return
		}
		out := Append(nil, v)
		if !json.Valid(out) {
			t.Fatalf("%q was written as %q, which is not JSON", text, out)
		}
		if len(out) != Size(v) {
			t.Fatalf("Size says %d, wrote %d", Size(v), len(out))
		}
		again, err := Parse(out)
		if err != nil || !Equal(v, again) {
			t.Fatalf("%q does not survive: %q, %v", text, out, err)
		}
	})
}
