package paths

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/internal/glob"
)

func TestWitness(t *testing.T) {
	const fn = "arn:aws:lambda:{region}:1:function:{name}"
	for _, c := range []struct {
		rule, template, pattern string
		want                    map[string]string // nil: there is none
	}{
		{"a star takes one character", "{a}", "*", map[string]string{"a": "x"}},
		{"literal characters of the pattern go into the name", fn, "arn:aws:lambda:eu-west-1:*:function:dev-*", map[string]string{"region": "eu-west-1", "name": "dev-"}},
		{"a question mark is one character", fn, "arn:aws:lambda:eu-?:1:function:??", map[string]string{"region": "eu-x", "name": "xx"}},
		{"a star may span segments", fn, "arn:aws:lambda:*:tool", map[string]string{"region": "x", "name": "tool"}},
		{"another account has none", fn, "arn:aws:lambda:*:2:function:*", nil},
		{"a name has no colon", fn, "arn:aws:lambda:r:1:function:a:b", nil},
		{"two names in one segment", "service/{cluster}/{name}", "service/prod*/web-*-1", map[string]string{"cluster": "prod", "name": "web--1"}},
		{"an empty name is none", "a{x}b", "ab", nil},
		{"without names it is a match", "abc", "a*c", map[string]string{}},
	} {
		got, ok := witness(c.template, c.pattern)
		if ok != (c.want != nil) {
			t.Errorf("%s: witness(%q, %q) = %v, %t", c.rule, c.template, c.pattern, got, ok)
			continue
		}
		for k, v := range c.want {
			if got[k] != v {
				t.Errorf("%s: %s = %q, want %q", c.rule, k, got[k], v)
			}
		}
	}
}

// Whatever witness finds, the pattern matches.
func FuzzWitness(f *testing.F) {
	f.Add("arn:aws:lambda:{region}:1:function:{name}", "arn:aws:lambda:*:*:function:dev-?")
	f.Add("{a}{b}", "**?*")
	f.Add("a{", "a*")
	f.Fuzz(func(t *testing.T, template, pattern string) {
		if strings.ContainsAny(pattern, "{}") || !isASCII(pattern+template) {
			return
		}
		values, ok := witness(template, pattern)
		if !ok {
			return
		}
		open := free(template)
		seen := map[string]bool{}
		for _, name := range open {
			seen[name] = true
		}
		if strings.Count(template, "{") != len(open) || len(seen) != len(open) || slices.Contains(open, "") {
			return // the same name twice need not get the same value
		}
		if text := expand(template, values); !glob.Match(pattern, text) {
			t.Errorf("witness(%q, %q) = %q, which the pattern does not match", template, pattern, text)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// hit agrees with trying every set, over random clauses.
func TestHit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	solved := 0
	for range 400 {
		vars := 2 + r.IntN(11)
		var clauses [][]int
		for range 1 + r.IntN(16) {
			var c []int
			for v := range vars {
				if r.IntN(4) == 0 {
					c = append(c, v)
				}
			}
			if len(c) > 0 {
				clauses = append(clauses, c)
			}
		}
		if len(clauses) == 0 {
			continue
		}
		if _, rest := reduce(clauses, vars); len(rest) > 0 {
			solved++
		}
		got, optimal := hit(clauses, vars, true)
		if !optimal || !hits(clauses, got) {
			t.Fatalf("hit(%v) = %v, %t", clauses, got, optimal)
		}
		for set := range 1 << vars {
			var list []int
			for v := range vars {
				if set&(1<<v) != 0 {
					list = append(list, v)
				}
			}
			if len(list) < len(got) && hits(clauses, list) {
				t.Fatalf("hit(%v) = %v, but %v is smaller", clauses, got, list)
			}
		}
		if g := greedy(clauses); !hits(clauses, g) {
			t.Fatalf("greedy(%v) = %v", clauses, g)
		}
		if _, optimal := hit(clauses, vars, false); optimal {
			if _, rest := reduce(clauses, vars); len(rest) > 0 {
				t.Fatal("a set found without the solver is not proven")
			}
		}
	}
	if solved < 20 {
		t.Errorf("only %d of the random problems reached the solver", solved)
	}
}

func hits(clauses [][]int, set []int) bool {
	return !slices.ContainsFunc(clauses, func(c []int) bool {
		return !slices.ContainsFunc(c, func(v int) bool { return slices.Contains(set, v) })
	})
}

const good = `escalations:
  - id: x-001
    title: T
    category: c
    become: role
    target: {kind: pass-role, services: [lambda.amazonaws.com]}
    steps:
      - {action: iam:PassRole, on: ["{role.arn}"], context: {"iam:PassedToService": ["{service}"]}, cli: c}
      - {action: lambda:CreateFunction, on: ["arn:{partition}:lambda:{region}:{account}:function:{name}"], cli: c}
    detection: d
    fix: f
`

func TestParseRefuses(t *testing.T) {
	if _, err := Parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ rule, old, new string }{
		{"an unknown member", "    fix: f", "    fix: f\n    fixes: g"},
		{"no fix", "    fix: f", "    fix: ''"},
		{"an action that does not exist", "lambda:CreateFunction", "lambda:MakeFunction"},
		{"an action in other case", "lambda:CreateFunction", "lambda:createFunction"},
		{"a resource that the action does not take", "function:{name}", "layer:{name}"},
		{"a star where the action takes resources", `"arn:{partition}:lambda:{region}:{account}:function:{name}"`, `"*"`},
		{"a key that the action does not have", "iam:PassedToService", "iam:PolicyARN"},
		{"an unknown kind of target", "pass-role", "pass-rule"},
		{"services that do not belong", "kind: pass-role", "kind: role"},
		{"a target without services", ", services: [lambda.amazonaws.com]", ""},
		{"become something else", "become: role", "become: king"},
		{"self needs a target that is oneself", "become: role", "become: self"},
		{"an unknown need", "    fix: f", "    fix: f\n    needs: [luck]"},
		{"an unknown addition", "    fix: f", "    fix: f\n    plus: luck"},
		{"no steps", good[strings.Index(good, "    steps:"):strings.Index(good, "    detection")], "    steps: []\n"},
		{"not YAML", "escalations:", "escalations: ["},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if text == good {
			t.Fatalf("%s: the case changes nothing", c.rule)
		}
		if _, err := Parse([]byte(text)); !errors.Is(err, ErrPrimitive) {
			t.Errorf("%s: %v, want ErrPrimitive", c.rule, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("escalations:\n  - null\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := Parse(data)
		if err == nil {
			for _, p := range list {
				if p.ID == "" || len(p.Steps) == 0 {
					t.Errorf("accepted %+v", p)
				}
			}
		}
	})
}

func TestExpand(t *testing.T) {
	values := map[string]string{"a": "1", "b.c": "2"}
	for in, want := range map[string]string{"{a}-{b.c}": "1-2", "{d}{a}": "{d}1", "{a": "{a", "}{a}": "}1", "": ""} {
		if got := expand(in, values); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
}
