package detect_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// TestPlaceholders: a folder of rules has lists, which those of the caller join.
func TestPlaceholders(t *testing.T) {
	rule := func(list string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("title: x\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  a: {eventName|expand: '%" + list + "%'}\n  condition: a\n")}
	}
	folder := fstest.MapFS{
		"placeholders.yml": {Data: []byte("calls: [CreateUser, CreateRole]\none: CreateGroup\nnumbers: [22, true]\n")},
		"a.yml":            rule("calls"),
		"below/b.yml":      rule("one"),
	}
	rules, err := detect.LoadRules(folder, ".", "")
	if err != nil || len(rules) != 2 {
		t.Fatalf("%d rules: %v", len(rules), err)
	}
	for _, r := range rules {
		if got := r.Placeholders["numbers"]; !slices.Equal(got, []string{"22", "true"}) {
			t.Errorf("%s has numbers %q", r.File, got)
		}
	}
	own := map[string][]string{"calls": {"CreateRole", "CreateKey"}}
	if _, err := sigma.Compile(rules, sigma.Options{Placeholders: own}); err != nil {
		t.Error(err)
	}
	if !maps.EqualFunc(own, map[string][]string{"calls": {"CreateRole", "CreateKey"}}, slices.Equal) || len(rules[0].Placeholders["calls"]) != 2 {
		t.Error("compiling changed the lists")
	}
	folder["c.yml"] = rule("nobody")
	if rules, err = detect.LoadRules(folder, ".", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := sigma.Compile(rules, sigma.Options{}); err == nil || !strings.Contains(err.Error(), "%nobody% has no value") {
		t.Errorf("a list that is nowhere: %v", err)
	}
	folder["placeholders.yml"] = &fstest.MapFile{Data: []byte("calls: [unclosed\n")}
	if _, err := detect.LoadRules(folder, ".", "my-rules"); err == nil || !strings.Contains(err.Error(), "placeholders.yml") {
		t.Errorf("a broken file of lists: %v", err)
	}
}
