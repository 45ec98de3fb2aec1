package sigma_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

func TestPublicRulesLoadUnmodified(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(thirdparty.Path(t, "sigma-aws"), "*.yml"))
	if err != nil || len(files) != 57 {
		t.Fatalf("%d rule files, %v; want 57", len(files), err)
	}
	var rules []*sigma.Rule
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := sigma.Parse(f, src)
		if err != nil {
			t.Error(err)
		}
		rules = append(rules, r...)
	}
	g, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Rules()) != 57 || len(g.Warnings()) > 0 {
		t.Errorf("%d rules, warnings %v", len(g.Rules()), g.Warnings())
	}
	for _, r := range g.Rules() {
		if len(r.Kinds()) != 1 || r.Kinds()[0] != event.CloudTrail || r.Key() == "" {
			t.Errorf("%s: kinds %v key %q", r.File, r.Kinds(), r.Key())
		}
	}
}

const head = "title: t\nlogsource:\n  product: aws\n  service: cloudtrail\ndetection:\n"

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by) + "\n"
}

func compileOne(t testing.TB, detection string, opt sigma.Options) (*sigma.Engine, error) {
	t.Helper()
	rules, err := sigma.Parse("t.yml", []byte(head+indent(detection, "  ")))
	if err != nil {
		return nil, err
	}
	return sigma.Compile(rules, opt)
}

func matches(t testing.TB, g *sigma.Engine, text string) bool {
	t.Helper()
	e, err := event.Parse(g.Schema(), event.CloudTrail, []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	hit := false
	g.Matcher().Match(e, func(*sigma.Rule) { hit = true })
	return hit
}

// TestDetections is the semantics of Sigma detections, row by row. A selection
// alone stands for "sel: …, condition: sel".
func TestDetections(t *testing.T) {
	opt := sigma.Options{Placeholders: map[string][]string{"admins": {"root", "adm_*"}, "one": {"x"}}}
	for _, c := range []struct{ name, selection, yes, no string }{
		{"text is compared without regard to case", `a: Foo`, `{"a":"fOO"}`, `{"a":"foo1"}`},
		{"cased", `a|cased: Foo`, `{"a":"Foo"}`, `{"a":"foo"}`},
		{"without regard to case beyond ASCII", `a: ÄRGER`, `{"a":"ärger"}`, `{"a":"arger"}`},
		{"escapes in the record", `a: "é/x"`, `{"a":"\u00e9\/x"}`, `{"a":"e/x"}`},
		{"a list is any", "a:\n  - x\n  - y", `{"a":"y"}`, `{"a":"z"}`},
		{"a long list is any", "a: [p, q, r, s*, T]", `{"a":"t"}`, `{"a":"pq"}`},
		{"one of many texts anywhere", "a|contains: [/prowler, -prowler, _wiz, .wiz, /ÄRGER, q, zz]", `{"a":"role/Ärger"}`, `{"a":"prowler wiz"}`},
		{"one of many texts anywhere, of one letter", "a|contains: [/prowler, -prowler, _wiz, .wiz, /ÄRGER, q, zz]", `{"a":"Q"}`, `{"a":"z"}`},
		{"or at the end, whole or with wildcards inside", "a: ['*aa*', '*bb*', '*cc*', '*dd*', '*ee*', '*ff*', 'g*h', '*i', whole]", `{"a":"gxh"}`, `{"a":"wholes"}`},
		{"cased", "a|contains|cased: [aa, bb, cc, dd, ee, Ff]", `{"a":"xFf"}`, `{"a":"xff AA"}`},
		{"a map is all", "a: x\nb: y", `{"a":"x","b":"y"}`, `{"a":"x"}`},
		{"a list of maps is any", "- a: x\n- b: y", `{"b":"y"}`, `{"b":"x"}`},
		{"star", `a: 'x*z'`, `{"a":"xyyz"}`, `{"a":"xyy"}`},
		{"star is also nothing", `a: 'x*'`, `{"a":"x"}`, `{"a":"yx"}`},
		{"question mark is one", `a: 'x?z'`, `{"a":"xéz"}`, `{"a":"xz"}`},
		{"stars and going back", `a: '*ab*abc?'`, `{"a":"ababxababcd"}`, `{"a":"ababxababc"}`},
		{"escaped star", `a: 'x\*'`, `{"a":"x*"}`, `{"a":"xy"}`},
		{"escaped backslash before a star", `a: 'x\\*'`, `{"a":"x\\y"}`, `{"a":"x*"}`},
		{"three backslashes and a star", `a: 'x\\\*'`, `{"a":"x\\*"}`, `{"a":"x\\y"}`},
		{"a plain backslash", `a: 'x\y'`, `{"a":"x\\y"}`, `{"a":"xy"}`},
		{"a double backslash is one", `a: 'x\\y'`, `{"a":"x\\y"}`, `{"a":"x\\\\y"}`},
		{"four backslashes are two", `a: 'x\\\\y'`, `{"a":"x\\\\y"}`, `{"a":"x\\y"}`},
		{"contains", `a|contains: Mid`, `{"a":"amidst"}`, `{"a":"mi"}`},
		{"contains with wildcards", `a|contains: 'm?d'`, `{"a":"amudst"}`, `{"a":"amdst"}`},
		{"contains star is any text", `a|contains: '*'`, `{"a":"x"}`, `{"b":"x"}`},
		{"contains star needs a value", `a|contains: '*'`, `{"a":""}`, `{"a":null}`},
		{"startswith", `a|startswith: ab`, `{"a":"ABc"}`, `{"a":"xab"}`},
		{"endswith", `a|endswith: bc`, `{"a":"aBC"}`, `{"a":"bcx"}`},
		{"contains all", "a|contains|all:\n  - x\n  - y", `{"a":"yx"}`, `{"a":"xx"}`},
		{"all of several values of an array", "a|all:\n  - x\n  - y", `{"a":["y","x"]}`, `{"a":["x"]}`},
		{"null is missing", `a: null`, `{"b":1}`, `{"a":"x"}`},
		{"null is null", `a: null`, `{"a":null}`, `{"a":""}`},
		{"null beside a value", "a:\n  - null\n  - Success", `{"a":"success"}`, `{"a":"x"}`},
		{"empty text", `a: ''`, `{"a":""}`, `{"b":""}`},
		{"exists", `a|exists: true`, `{"a":null}`, `{"b":1}`},
		{"does not exist", `a|exists: false`, `{"b":1}`, `{"a":null}`},
		{"number", `a: 22`, `{"a":22}`, `{"a":222}`},
		{"number as text", `a: 22`, `{"a":"22"}`, `{"a":"x22"}`},
		{"number in another form", `a: 1`, `{"a":1.0}`, `{"a":1.5}`},
		{"text that is a number", `a: '22'`, `{"a":22}`, `{"a":23}`},
		{"boolean as text", `a: 'true'`, `{"a":true}`, `{"a":false}`},
		{"boolean", `a: false`, `{"a":"False"}`, `{"a":true}`},
		{"lt", `a|lt: 5`, `{"a":"4.5"}`, `{"a":5}`},
		{"lte", `a|lte: 5`, `{"a":5}`, `{"a":5.1}`},
		{"gt", `a|gt: 1024`, `{"a":1025}`, `{"a":"x"}`},
		{"gte", `a|gte: 1024`, `{"a":1024}`, `{"a":1023}`},
		{"neq", `a|neq: x`, `{"a":"y"}`, `{"a":"X"}`},
		{"neq of a list is none of them", "a|neq:\n  - x\n  - y", `{"a":"z"}`, `{"a":"y"}`},
		{"neq number", `a|neq: 5`, `{"a":6}`, `{"a":"5"}`},
		{"neq of what is missing", `a|neq: 5`, `{"b":6}`, `{"a":5}`},
		{"re finds anywhere and minds case", `a|re: 'b+c'`, `{"a":"abbbcd"}`, `{"a":"ABC"}`},
		{"re with anchors", `a|re: '^ab$'`, `{"a":"ab"}`, `{"a":"xab"}`},
		{"re i", `a|re|i: 'b+c'`, `{"a":"ABBC"}`, `{"a":"ac"}`},
		{"re m", `a|re|m: '^b$'`, `{"a":"a\nb\nc"}`, `{"a":"abc"}`},
		{"re s", `a|re|s: 'a.b'`, `{"a":"a\nb"}`, `{"a":"ab"}`},
		{"re keeps its escapes", `a|re: 'a\*b'`, `{"a":"a*b"}`, `{"a":"aab"}`},
		{"cidr", `a|cidr: 10.0.0.0/8`, `{"a":"10.2.3.4"}`, `{"a":"11.0.0.1"}`},
		{"cidr list", "a|cidr:\n  - 10.0.0.0/8\n  - 192.168.0.0/16", `{"a":"192.168.1.1"}`, `{"a":"s3.amazonaws.com"}`},
		{"cidr of IPv6", `a|cidr: 'fd00::/8'`, `{"a":"fd12::1"}`, `{"a":"fe80::1"}`},
		{"cidr of a mapped address", `a|cidr: 10.0.0.0/8`, `{"a":"::ffff:10.1.1.1"}`, `{"a":"::ffff:9.1.1.1"}`},
		{"base64", `a|base64|contains: 'foo'`, `{"a":"xxZm9vxx"}`, `{"a":"foo"}`},
		{"base64offset", `a|base64offset|contains: 'http://'`, `{"a":"eHh4aHR0cDovL2V4YW1wbGU="}`, `{"a":"http://"}`},
		{"base64offset, shifted by one", `a|base64offset|contains: 'http://'`, `{"a":"eGh0dHA6Ly9leGFtcGxl"}`, `{"a":"eGh0dHA6"}`},
		{"base64offset, shifted by two", `a|base64offset|contains: 'http://'`, `{"a":"eHhodHRwOi8vZXhhbXBsZQ=="}`, `{"a":"eHhodHRw"}`},
		{"wide and base64offset", `a|wide|base64offset|contains: 'IEX'`, `{"a":"SQBFAFgA"}`, `{"a":"SUVY"}`},
		{"utf16le", `a|utf16le|contains: 'ab'`, `{"a":"xa\u0000b\u0000"}`, `{"a":"ab"}`},
		{"utf16be", `a|utf16be|contains: 'ab'`, `{"a":"\u0000a\u0000b"}`, `{"a":"a\u0000b\u0000"}`},
		{"utf16", `a|utf16|base64|startswith: 'a'`, `{"a":"//5hAA=="}`, `{"a":"YQA="}`},
		{"windash", `a|windash|contains: ' -enc '`, `{"a":"x /enc y"}`, `{"a":"x enc y"}`},
		{"windash with an en dash", `a|windash|contains: ' -enc '`, `{"a":"x –enc y"}`, `{"a":"x _enc y"}`},
		{"windash and all", "a|windash|contains|all:\n  - ' -a '\n  - ' -b '", `{"a":" /a  -b "}`, `{"a":" /a  b "}`},
		{"fieldref", `a|fieldref: b`, `{"a":"X","b":"x"}`, `{"a":"x","b":"y"}`},
		{"fieldref neq", `a|fieldref|neq: b`, `{"a":"x","b":"y"}`, `{"a":"x","b":"x"}`},
		{"fieldref of what is missing", `a|fieldref: b`, `{"a":"x","b":"x"}`, `{}`},
		{"fieldref endswith", `a|fieldref|endswith: b.c`, `{"a":"user/eve","b":{"c":"eve"}}`, `{"a":"user/eve","b":{"c":"bob"}}`},
		{"expand to several values", `a|expand: '%admins%'`, `{"a":"adm_eve"}`, `{"a":"eve"}`},
		{"expand within a text", `a|expand: 'a-%one%-b'`, `{"a":"a-x-b"}`, `{"a":"a-%one%-b"}`},
		{"expand with an escaped percent", `a|expand: '\%one%'`, `{"a":"%one%"}`, `{"a":"x"}`},
		{"a percent without expand is plain", `a: '%one%'`, `{"a":"%one%"}`, `{"a":"x"}`},
		{"hour", `a|hour: 3`, `{"a":"2024-05-06T03:10:11Z"}`, `{"a":"2024-05-06T04:10:11Z"}`},
		{"hour as written, whatever the zone", `a|hour: 3`, `{"a":"2024-05-06T03:10:11+05:00"}`, `{"a":"2024-05-06T03x"}`},
		{"hour range", "a|hour|gte: 22", `{"a":"2024-05-06T23:10:11Z"}`, `{"a":"2024-05-06T21:10:11Z"}`},
		{"minute", `a|minute: 10`, `{"a":"2024-05-06T03:10:11Z"}`, `{"a":"2024-05-06T03:11:11Z"}`},
		{"day", `a|day: [1, 6]`, `{"a":"2024-05-06T03:10:11Z"}`, `{"a":"2024-05-07T03:10:11Z"}`},
		{"week", `a|week: 19`, `{"a":"2024-05-06T03:10:11Z"}`, `{"a":"2024-05-05T03:10:11Z"}`},
		{"month", `a|month: 5`, `{"a":"2024-05-06T03:10:11Z"}`, `{"a":"2024-06-06T03:10:11Z"}`},
		{"year", `a|year|lt: 2024`, `{"a":"2023-05-06T03:10:11Z"}`, `{"a":"2024-05-06T03:10:11Z"}`},
		{"nested fields", `a.b.c: x`, `{"a":{"b":{"c":"x"}}}`, `{"a":{"b":"x"}}`},
		{"through arrays", `a.b: x`, `{"a":[{"b":"y"},{"b":"x"}]}`, `{"a":[{"c":"x"}]}`},
		{"arrays at the end", `a.b: x`, `{"a":{"b":["y","x"]}}`, `{"a":{"b":["y"]}}`},
		{"arrays in arrays", `a.b.c: x`, `{"a":[{"b":[{"c":["y","x"]}]}]}`, `{"a":[{"b":[{"d":"x"}]}]}`},
		{"an empty array has no value", `a|contains: '*'`, `{"a":["x"]}`, `{"a":[]}`},
		{"a member whose name has a dot", `a.b: x`, `{"a.b":"x"}`, `{"a.c":"x"}`},
		{"a member given twice: the last counts", `a.b: x`, `{"a":{"b":"y"},"a":{"b":"x"}}`, `{"a":{"b":"x"},"a":{"c":1}}`},
		{"an object as text", `a|contains: Suspended`, `{"a":{"b":{"Status":"Suspended"}}}`, `{"a":{"b":"Enabled"}}`},
		{"an object as text, compact", `a|contains: '"b":"x"'`, "{\"a\":{ \"b\" :\n \"x\"}}", `{"a":{"b":"y"}}`},
		{"a policy document inside an object", `a|contains: '"Effect":"Allow"'`, `{"a":{"policyDocument":"{\"Effect\":\"Allow\"}"}}`, `{"a":{"policyDocument":"{\"Effect\":\"Deny\"}"}}`},
		{"keywords", "- evil\n- worse", `{"x":{"y":["some Evil thing"]}}`, `{"x":"good"}`},
		{"keywords with wildcards", "- 'e?il*thing'", `{"x":{"y":["some Evil thing"]}}`, `{"x":"eviil"}`},
		{"keywords, all", "'|all':\n  - evil\n  - thing", `{"x":"evil","y":"thing"}`, `{"x":"evil"}`},
		{"keywords as expressions", "'|re':\n  - 'e[v]il'", `{"x":"evil"}`, `{"x":"eil"}`},
		{"keywords and escapes", "- '\"Effect\":\"Allow\"'", `{"x":"{\"Effect\":\"Allow\"}"}`, `{"x":"{\"Effect\":1}"}`},
		{"one keyword", "evil", `{"x":"evil"}`, `{"x":"eil"}`},
		{"maps and keywords in one list", "- a: x\n- evil", `{"b":"evil"}`, `{"b":"x"}`},
	} {
		text := strings.TrimSpace(c.selection)
		g, err := compileOne(t, "sel:\n"+indent(text, "  ")+"condition: sel", opt)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !matches(t, g, c.yes) {
			t.Errorf("%s: %q does not match %s", c.name, c.selection, c.yes)
		}
		if matches(t, g, c.no) {
			t.Errorf("%s: %q matches %s", c.name, c.selection, c.no)
		}
	}
}

func TestConditions(t *testing.T) {
	const searches = "a1: {a: 1}\na2: {b: 1}\nf1: {c: 1}\n_h: {d: 1}\n"
	for _, c := range []struct{ condition, yes, no string }{
		{"a1 and a2", `{"a":1,"b":1}`, `{"a":1}`},
		{"a1 or a2", `{"b":1}`, `{"c":1}`},
		{"a1 and not f1", `{"a":1}`, `{"a":1,"c":1}`},
		{"not a1 and not a2", `{"c":1}`, `{"b":1}`},
		{"not not a1", `{"a":1}`, `{}`},
		{"a1 or a2 and f1", `{"a":1}`, `{"b":1}`}, // and binds closer than or
		{"(a1 or a2) and f1", `{"b":1,"c":1}`, `{"a":1}`},
		{"not (a1 or a2)", `{"c":1}`, `{"b":1}`},
		{"1 of them", `{"c":1}`, `{"d":1}`}, // _h is not one of them
		{"all of them", `{"a":1,"b":1,"c":1}`, `{"a":1,"b":1}`},
		{"any of a*", `{"b":1}`, `{"c":1}`},
		{"1 of a*", `{"b":1}`, `{"c":1}`},
		{"all of a*", `{"a":1,"b":1}`, `{"b":1}`},
		{"2 of them", `{"a":1,"c":1}`, `{"a":1}`},
		{"1 of _*", `{"d":1}`, `{"a":1}`},
		{"1 of a* and not 1 of f*", `{"a":1}`, `{"a":1,"c":1}`},
		{"A1 AND a2", "", ""}, // identifiers mind case, operators do not
		{"a1 AND a2", `{"a":1,"b":1}`, `{"a":1}`},
		{"[a1, a2]", `{"b":1}`, `{"c":1}`}, // a list of conditions is any
	} {
		text := "'" + c.condition + "'"
		if strings.HasPrefix(c.condition, "[") {
			text = c.condition
		}
		g, err := compileOne(t, searches+"condition: "+text, sigma.Options{})
		if c.yes == "" {
			if err == nil {
				t.Errorf("%s: compiles", c.condition)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.condition, err)
			continue
		}
		if !matches(t, g, c.yes) || matches(t, g, c.no) {
			t.Errorf("%s: matches %s: %v, %s: %v", c.condition, c.yes, matches(t, g, c.yes), c.no, matches(t, g, c.no))
		}
	}
}

// TestFaults states that what is wrong in a rule is named with its place.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"title: [", "not YAML"},
		{"- a\n- b", "t.yml:1:1: a rule is a map"},
		{"id: x", "needs a title"},
		{"title: t\nlevel: awful", "t.yml:2:8: level \"awful\""},
		{"title: t\nlogsource: {product: aws}", "no detection"},
		{"title: t\ndetection: {a: {b: c}, condition: a}", "needs a logsource"},
		{head + "  sel: {a: b}\n", "no condition"},
		{head + "  sel: {a: b}\n  condition: sol\n", `t.yml:7:14: condition: no search identifier "sol"; there are sel`},
		{head + "  sel: {a: b}\n  condition: sel and\n", "condition ends"},
		{head + "  sel: {a: b}\n  condition: (sel\n", "closing parenthesis"},
		{head + "  sel: {a: b}\n  condition: sel sel\n", `unexpected "sel"`},
		{head + "  sel: {a: b}\n  condition: 3 of them\n", "of which there are 1"},
		{head + "  sel: {a: b}\n  condition: sel | count() > 5\n", "write a correlation"},
		{head + "  sel:\n    a|contained: b\n  condition: sel\n", `t.yml:7:5: modifier "contained"`},
		{head + "  sel:\n    a|re: '(?=x)'\n  condition: sel\n", "look-around"},
		{head + "  sel:\n    a|re: '(?<!x)y'\n  condition: sel\n", "look-around"},
		{head + "  sel:\n    a|re: '(a)\\1'\n  condition: sel\n", "back-reference"},
		{head + "  sel:\n    a|re: '((a{1000}){1000}){1000}'\n  condition: sel\n", "regular expression"},
		{head + "  sel:\n    a|re: '(abcdefghij){500}'\n  condition: sel\n", "instructions"},
		{head + "  sel:\n    a|re: '('\n  condition: sel\n", "t.yml:7:11"},
		{head + "  sel:\n    a|cidr: 10.0.0\n  condition: sel\n", "cidr"},
		{head + "  sel:\n    a|lt: abc\n  condition: sel\n", "want a number"},
		{head + "  sel:\n    a|expand: '%nobody%'\n  condition: sel\n", "placeholder %nobody%"},
		{head + "  sel:\n    a|exists: maybe\n  condition: sel\n", "true or false"},
		{head + "  sel:\n    a|re|cidr: x\n  condition: sel\n", "cannot be combined"},
		{head + "  sel:\n    a: {b: c}\n  condition: sel\n", "write the path with dots"},
		{head + "  sel: {a: b}\n  timeframe: 5m\n  condition: sel\n", "Sigma 1"},
		{head + "  sel: {a: b, a: c}\n  condition: sel\n", "already defined"},
		{"title: t\ncorrelation: {type: event_cont, rules: [x], timespan: 1m}", "correlation type"},
		{"title: t\ncorrelation: {type: event_count, rules: [x], timespan: 1x, condition: {gte: 1}}", "timespan"},
		{"title: t\ncorrelation: {type: event_count, rules: [x], timespan: 1m}", "needs a condition"},
		{"title: t\ncorrelation: {type: value_count, rules: [x], timespan: 1m, condition: {gte: 1}}", "needs a field"},
		{"title: t\ncorrelation: {type: event_count, rules: [x], timespan: 1m, condition: {gte: 1}}", `a rule "x" that is not there`},
		{"title: t\nname: x\ncorrelation: {type: temporal, rules: [y], timespan: 1m}\n---\ntitle: u\nname: y\ncorrelation: {type: temporal, rules: [x], timespan: 1m}", "depends on itself"},
		{"title: t\nlogsource: {product: aws}\nfilter: {selection: {a: b}, condition: selection}", "names the rules"},
		{strings.Repeat("[", 100000), "nested too deep"},
		{"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]", "too large"},
	} {
		rules, err := sigma.Parse("t.yml", []byte(c.src))
		if err == nil {
			_, err = sigma.Compile(rules, sigma.Options{})
		}
		var fault *sigma.Error
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.As(err, &fault) || fault.Line == 0 {
			t.Errorf("%.200s\n  gives %v\n  want %s", c.src, err, c.want)
		}
	}
}
