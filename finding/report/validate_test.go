package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// odd is findings that lack everything, or have too much of it.
func odd() []finding.Finding {
	long := strings.Repeat("long ", 4000)
	tags := map[string]string{"": "no key", "no value": " "}
	var evidence []finding.Evidence
	for i := range 80 {
		tags[fmt.Sprintf("tag-%02d", i)] = "x"
		evidence = append(evidence, finding.Evidence{Path: fmt.Sprintf("p[%d]", i), Value: long})
	}
	frameworks := map[string][]string{}
	for i := range 40 {
		frameworks[fmt.Sprintf("framework-%02d", i)] = []string{"a", hostile + long}
	}
	return []finding.Finding{
		{Status: finding.StatusFail, Fingerprint: "00000000000000000000000000000001"},
		{Status: finding.StatusUnknown, Severity: finding.SeverityLow, RuleID: " ", Title: " ", Fingerprint: "00000000000000000000000000000002"},
		{Status: "no status", Severity: "no severity", RuleID: "r", Title: "t", Pillar: "no pillar", Fingerprint: "00000000000000000000000000000003", Resource: finding.Resource{ID: ".."}},
		{Status: finding.StatusMuted, Severity: finding.SeverityHigh, RuleID: "muted-without-mute", Title: "t", Fingerprint: "00000000000000000000000000000004", Fix: &finding.Fix{}},
		{Status: finding.StatusFail, Severity: finding.SeverityHigh, RuleID: long, Title: hostile + long, Reason: long, Why: long, Pillar: finding.PillarData, Fingerprint: "00000000000000000000000000000005",
			Resource: finding.Resource{Type: "AWS::S3::Bucket", ID: long, ARN: "arn:aws:s3:::" + long, Account: "12", Region: "eu-west-1", Tags: tags},
			Evidence: evidence, Frameworks: frameworks, Fix: &finding.Fix{Text: long, CLI: "```\n" + long}},
		{Status: finding.StatusPass, Severity: finding.SeverityHigh, RuleID: "detection-that-passes", Time: at, Fingerprint: "00000000000000000000000000000006", Techniques: []string{""}, EventIDs: []string{""}},
	}
}

// sets is what every validator is given.
func sets() map[string][]finding.Finding {
	return map[string][]finding.Finding{"sample": sample(), "odd": odd(), "none": nil}
}

// venv is the environment of the peers, as make test installs it.
func venv(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("BARTIZAN_MOTO_VENV")
	if dir == "" {
		dir = "../../.venv"
	}
	python, err := filepath.Abs(filepath.Join(dir, "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("the schemas of the peers are missing: %v; run 'make test', or set BARTIZAN_MOTO_VENV to a virtual environment with requirements-test.txt", err)
	}
	return python
}

// TestSchemas: OCSF events are valid against the schema of their version, as
// the OCSF server publishes it; ASFF findings against botocore's model of
// BatchImportFindings; JUnit against the schema of the Jenkins xUnit plugin; and
// a parser of HTML sees only the elements that the report itself has.
func TestSchemas(t *testing.T) {
	python := venv(t)
	for _, format := range []string{"ocsf", "asff", "junit", "html"} {
		for name, fs := range sets() {
			t.Run(format+"/"+name, func(t *testing.T) {
				args := []string{"testdata/validate.py", format}
				if format == "junit" {
					args = append(args, "testdata/junit-10.xsd")
				}
				cmd := exec.Command(python, args...)
				cmd.Stdin = bytes.NewReader(write(t, format, fs, report.Options{All: true}))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				want := fmt.Sprintf("checked %d\n", len(fs))
				if format == "junit" {
					want = fmt.Sprintf("checked %d\n", len(fs)+3) // two gaps and one unreadable file
				}
				if string(out) != want {
					t.Errorf("got %q, want %q", out, want)
				}
			})
		}
	}
}

// TestSchemasNotice: the validators are not deaf.
func TestSchemasNotice(t *testing.T) {
	python := venv(t)
	for _, c := range []struct{ format, from, to string }{
		{"ocsf", `"severity_id":4`, `"severity_id":44`},
		{"ocsf", `"provider":"AWS"`, `"provider_name":"AWS"`},
		{"asff", `"Label":"HIGH"`, `"Label":"TERRIBLE"`},
		{"asff", `"SchemaVersion"`, `"Schema"`},
		{"junit", `<failure `, `<broken `},
		{"junit", `failures="1"`, `failures="7"`},
		{"html", `<main `, `<main onclick="x" `},
		{"html", `"use strict";`, `"use strict"; alert(1);`},
	} {
		args := []string{"testdata/validate.py", c.format}
		if c.format == "junit" {
			args = append(args, "testdata/junit-10.xsd")
		}
		data := write(t, c.format, sample(), report.Options{})
		broken := bytes.Replace(data, []byte(c.from), []byte(c.to), 1)
		if bytes.Equal(data, broken) {
			t.Errorf("%s: %q is not in the report", c.format, c.from)
		}
		cmd := exec.Command(python, args...)
		cmd.Stdin = bytes.NewReader(broken)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s with %q is found valid: %s", c.format, c.to, out)
		}
	}
	data := bytes.Replace(write(t, "sarif", sample(), report.Options{}), []byte(`"kind":"fail"`), []byte(`"kind":"bad"`), 1)
	if err := validateSARIF(t, data); err == nil {
		t.Error("a sarif report of a wrong kind is found valid")
	}
}

// TestSARIF: valid against the 2.1.0 schema that go-sarif carries, and every
// result names its rule and a relative place.
func TestSARIF(t *testing.T) {
	for name, fs := range sets() {
		t.Run(name, func(t *testing.T) {
			data := write(t, "sarif", fs, report.Options{All: true})
			r, err := sarif.FromBytes(data)
			if err != nil {
				t.Fatal(err)
			}
			if err := validateSARIF(t, data); err != nil {
				t.Fatal(err)
			}
			results := r.Runs[0].Results
			if len(results) != len(fs) {
				t.Fatalf("%d results, want %d", len(results), len(fs))
			}
			for i, res := range results {
				if rule := r.Runs[0].Tool.Driver.Rules[res.RuleIndex]; *rule.ID != fs[i].RuleID {
					t.Errorf("result %d names rule %q", i, *rule.ID)
				}
				uri := *res.Locations[0].PhysicalLocation.ArtifactLocation.URI
				if u, err := url.Parse(uri); err != nil || u.IsAbs() || strings.Contains(uri, "/..") {
					t.Errorf("result %d: place %q: %v", i, uri, err)
				}
				suppressed := len(res.Suppressions) > 0
				if suppressed != (fs[i].Status == finding.StatusMuted) || (res.Kind == "pass") != (fs[i].Status == finding.StatusPass) {
					t.Errorf("result %d of status %s has kind %s, suppressed %v", i, fs[i].Status, res.Kind, suppressed)
				}
			}
			if inv := r.Runs[0].Invocations[0]; *inv.ExecutionSuccessful || len(inv.ToolExecutionNotifications) != 3 {
				t.Errorf("what could not be read is not told: %+v", inv)
			}
		})
	}
}

// sarifSchema is the schema of OASIS that go-sarif carries in its source: the
// library itself validates only what it wrote.
var sarifSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3").Output()
	if err != nil {
		return nil, fmt.Errorf("find go-sarif: %w", err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "pkg/report/v210/sarif/schema.go"), nil, 0)
	if err != nil {
		return nil, err
	}
	text, err := "", errors.New("go-sarif has no constant with the schema any more")
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && v.Names[0].Name == "schema" && len(v.Values) == 1 {
			if literal, ok := v.Values[0].(*ast.BasicLit); ok {
				text, err = strconv.Unquote(literal.Value)
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif-2.1.0.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("sarif-2.1.0.json")
})

func validateSARIF(t *testing.T, data []byte) error {
	t.Helper()
	schema, err := sarifSchema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// TestJSON: the report reads back as the same findings.
func TestJSON(t *testing.T) {
	for _, format := range []string{"json", "jsonl"} {
		for name, fs := range sets() {
			data := write(t, format, fs, report.Options{All: true})
			if format == "json" && !json.Valid(data) {
				t.Errorf("%s of %s is no JSON", format, name)
			}
			var got []string
			if err := finding.Read(bytes.NewReader(data), func(f *finding.Finding) error {
				got = append(got, f.Fingerprint)
				return nil
			}); err != nil {
				t.Errorf("%s of %s: %v", format, name, err)
			}
			if len(got) != len(fs) {
				t.Errorf("%s of %s: read %d findings, wrote %d", format, name, len(got), len(fs))
			}
			for i := range min(len(got), len(fs)) {
				if got[i] != fs[i].Fingerprint {
					t.Errorf("%s of %s: finding %d is %q", format, name, i, got[i])
				}
			}
		}
	}
}

// TestCSV: every line has all columns, and no cell is a formula.
func TestCSV(t *testing.T) {
	for name, fs := range sets() {
		rows, err := csv.NewReader(bytes.NewReader(write(t, "csv", fs, report.Options{All: true}))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != len(fs)+1 {
			t.Errorf("%s: %d rows, want %d", name, len(rows), len(fs)+1)
		}
		for n, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "+") || strings.HasPrefix(cell, "-") || strings.HasPrefix(cell, "@") {
					t.Errorf("%s row %d: cell %.40q is a formula", name, n, cell)
				}
			}
		}
	}
}

func TestCell(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "": "", "a=b": "a=b", "1": "1",
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "  =1": "'  =1", "＝1": "'＝1",
		"\t=1": `\t=1`, "\r=1": `\r=1`,
	} {
		if got := report.Cell(in); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, c := range []struct{ in, plain, lines string }{
		{"grüße, 世界 🚀", "grüße, 世界 🚀", "grüße, 世界 🚀"},
		{"a\nb\tc\r\nd", `a\nb\tc\r\nd`, "a\nb\tc\nd"},
		{"\x1b]8;;http://x\x07", `\x1b]8;;http://x\x07`, `\x1b]8;;http://x\x07`},
		{"C1 \u009b31m", `C1 \u009b31m`, `C1 \u009b31m`},
		{"del\x7f", `del\x7f`, `del\x7f`},
		{"bidi \u202e\u2066", `bidi \u202e\u2066`, `bidi \u202e\u2066`},
		{"zero\u200bwidth\ufeff", `zero\u200bwidth\ufeff`, `zero\u200bwidth\ufeff`},
		{"line\u2028separator", `line\u2028separator`, `line\u2028separator`},
		{"bad \xff\xc3", `bad \xff\xc3`, `bad \xff\xc3`},
		{"tag \U000e0041", `tag \U000e0041`, `tag \U000e0041`},
		{"replacement \ufffd stays", "replacement \ufffd stays", "replacement \ufffd stays"},
	} {
		if got := report.Plain(c.in); got != c.plain {
			t.Errorf("Plain(%q) = %q, want %q", c.in, got, c.plain)
		}
		if got := report.Lines(c.in); got != c.lines {
			t.Errorf("Lines(%q) = %q, want %q", c.in, got, c.lines)
		}
	}
}

// FuzzPlain: what comes out is harmless, and harmless text is left alone.
func FuzzPlain(f *testing.F) {
	f.Add(hostile)
	f.Add("=1\x00\u2029")
	f.Fuzz(func(t *testing.T, in string) {
		out := report.Plain(in)
		if !utf8.ValidString(out) {
			t.Errorf("Plain(%q) = %q is not UTF-8", in, out)
		}
		for _, r := range out {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("Plain(%q) = %q holds %U", in, out, r)
			}
		}
		if again := report.Plain(out); again != out {
			t.Errorf("Plain(%q) = %q is changed again to %q", in, out, again)
		}
		cell := strings.TrimLeft(report.Cell(in), " ")
		if cell != "" && strings.ContainsAny(cell[:1], "=+-@") {
			t.Errorf("Cell(%q) = %q is a formula", in, cell)
		}
	})
}
