package posture

import (
	"strings"
	"testing"
)

// minimal is a control that passes every check, to be spoiled by the tests.
const minimal = `id: s3-bucket-named
title: The bucket has the right name
pillar: data
severity: low
resource: AWS::S3::Bucket
assert: resource.Name == "right"
message: The bucket is called {{resource.Name}}.
why: Because a wrong name is the root of many evils, and nobody likes to look for things twice.
fix:
  text: Make another bucket with the right name and move the objects.
  cli: aws s3 mb s3://right
  terraform: resource "aws_s3_bucket" "right" {}
frameworks: {waf: [SEC07-BP01]}
examples:
  - {name: right, expect: pass, document: {Name: right}}
  - {name: nearly, expect: fail, document: {Name: Right}}
`

func TestParseControl(t *testing.T) {
	if _, err := ParseControl("x.yaml", []byte(minimal)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key is refused", "severity: low", "severity: low\ncolour: red", "colour"},
		{"severity is one of five", "severity: low", "severity: bad", `severity "bad"`},
		{"pillar is one of five", "pillar: data", "pillar: storage", `pillar "storage"`},
		{"the id is made of words", "id: s3-bucket-named", "id: S3_Bucket", `id "S3_Bucket"`},
		{"the type is CloudFormation's", "AWS::S3::Bucket", "aws_s3_bucket", "CloudFormation type name"},
		{"why must say something", "why: Because a wrong name is the root of many evils, and nobody likes to look for things twice.", "why: Because.", "why is too thin"},
		{"every way to fix is needed", "  cli: aws s3 mb s3://right\n", "", "fix.cli is missing"},
		{"a passing example is needed", "expect: pass", "expect: none", "none passes"},
		{"a failing example is needed", "expect: fail", "expect: none", "none fails"},
		{"examples have names of their own", "name: nearly", "name: right", "a name of its own"},
		{"frameworks are known", "waf: [SEC07-BP01]", "soc-9: [A]", `framework "soc-9"`},
		{"ids look like those of their framework", "SEC07-BP01", "SEC7-1", "is no id of it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(minimal, c.old) {
				t.Fatalf("the test is out of date: %q", c.old)
			}
			_, err := ParseControl("x.yaml", []byte(strings.Replace(minimal, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestParseControlRefusesTheForeign(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "list": "- a\n- b\n", "two": minimal + "---\n" + minimal, "huge": minimal + strings.Repeat("# x\n", maxControl/4),
		"cut": "id: [", "binary": "\x00\x01\x02",
	} {
		if _, err := ParseControl(name, []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct{ name, assert, want string }{
		{"a syntax error", `resource.Name ==`, "Syntax error"},
		{"an unknown variable", `bucket.Name == "x"`, "undeclared reference"},
		{"an unknown function", `shout(resource.Name) == "X"`, "undeclared reference"},
		{"a wrong argument", `ports.covers(resource, 22, "tcp")`, "no matching overload"},
		{"what is neither true nor false", `resource.Name`, "must be true or false"},
		{"a lookup of a type that is not written out", `estate.byType(resource.Name).size() == 0`, "must be written out"},
		{"both kinds of lookup", `estate.byType("AWS::S3::Bucket").all(b, organization.contains(b.Name))`, "not both"},
		{"a pattern that is none", `resource.Name.matches("(")`, "matches"},
		{"a pattern that an attacker could write", `resource.Name.matches(resource.Pattern)`, "literal"},
	} {
		t.Run(c.name, func(t *testing.T) {
			control, err := ParseControl("x.yaml", []byte(minimal))
			if err != nil {
				t.Fatal(err)
			}
			control.Assert = c.assert
			_, err = Compile([]*Control{control})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestCompileRefusesDuplicates(t *testing.T) {
	a, err := ParseControl("a.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	b := *a
	b.File = "b.yaml"
	if _, err := Compile([]*Control{a, &b}); err == nil || !strings.Contains(err.Error(), "a.yaml and in b.yaml") {
		t.Errorf("got error %v", err)
	}
}

func TestExamplesAreRun(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"all is well", "", "", ""},
		{"an example that gives another result", "expect: fail, document: {Name: Right}", "expect: fail, document: {Name: right}", "want fail, got pass"},
		{"a member that no example shows", `assert: resource.Name == "right"`, `assert: resource.Name == "right" || resource.Namee == "x"`, "reads Namee"},
	} {
		control, err := ParseControl("x.yaml", []byte(strings.Replace(minimal, c.old, c.new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		set, err := Compile([]*Control{control})
		if err != nil {
			t.Fatal(err)
		}
		errs := set.Test(t.Context(), control.ID)
		switch {
		case c.want == "" && len(errs) > 0, c.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, errs, c.want)
		}
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte(minimal))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseControl("x.yaml", data)
		if err != nil {
			return
		}
		if set, err := Compile([]*Control{c}); err == nil {
			set.Test(t.Context(), c.ID)
		}
	})
}
