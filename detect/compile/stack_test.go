package compile_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

func packResults(t *testing.T, target compile.Target) []compile.Result {
	t.Helper()
	rules, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return compile.Rules(engine.Rules(), target)
}

// TestCloudFormation has cfn-lint judge the stack of the whole pack.
func TestCloudFormation(t *testing.T) {
	results := packResults(t, compile.CloudFormation)
	text, warnings, err := compile.Stack(results, compile.CloudFormation)
	if err != nil {
		t.Fatal(err)
	}
	checkTemplate(t, results, text)
	t.Logf("%d bytes; %v", len(text), warnings)
	file := filepath.Join(t.TempDir(), "stack.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(filepath.Dir(python(t, "cfnlint")), "cfn-lint")
	if out, err := exec.Command(bin, "--", file).CombinedOutput(); err != nil {
		t.Errorf("cfn-lint: %v\n%.3000s", err, out)
	}
}

// checkTemplate holds a template against what CloudFormation and EventBridge
// refuse and cfn-lint does not see.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
func checkTemplate(t *testing.T, results []compile.Result, text []byte) {
	t.Helper()
	var doc struct {
		Metadata  struct{ Rules map[string]any }
		Resources map[string]struct {
			Type       string
			Properties struct {
				Description  string
				EventPattern any
				Targets      []struct {
					InputTransformer struct {
						InputPathsMap map[string]string
						InputTemplate string
					}
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if hasNull(all) {
		t.Error("CloudFormation takes no null in a template")
	}
	want := map[string]int{}
	for _, r := range results {
		for _, p := range r.Patterns {
			want[string(p.JSON)]++
		}
		if doc.Metadata.Rules[r.RuleID] == nil {
			t.Errorf("the metadata say nothing of %s", r.RuleID)
		}
	}
	id := regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)
	rules := 0
	for name, r := range doc.Resources {
		if !id.MatchString(name) {
			t.Errorf("logical id %q", name)
		}
		if r.Type != "AWS::Events::Rule" {
			continue
		}
		rules++
		pattern, isText := r.Properties.EventPattern.(string)
		if want[pattern]--; !isText || want[pattern] < 0 {
			t.Errorf("%s: the pattern is no text of the results: %v", name, r.Properties.EventPattern)
		}
		in := r.Properties.Targets[0].InputTransformer
		filled := in.InputTemplate
		for k := range in.InputPathsMap {
			filled = strings.Replace(filled, "<"+k+">", `"x"`, 1)
		}
		if len(r.Properties.Description) > 512 || len(in.InputTemplate) > 8192 || !json.Valid([]byte(filled)) {
			t.Errorf("%s: %+v", name, r.Properties)
		}
	}
	if rules == 0 || len(doc.Resources) > 500 || len(text) > 1<<20 {
		t.Errorf("%d rules, %d resources, %d bytes", rules, len(doc.Resources), len(text))
	}
}

func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case []any:
		return slices.ContainsFunc(v, hasNull)
	case map[string]any:
		for _, e := range v {
			if hasNull(e) {
				return true
			}
		}
	}
	return false
}

// TestTerraform checks the shape of Terraform's JSON syntax.
// https://developer.hashicorp.com/terraform/language/syntax/json
func TestTerraform(t *testing.T) {
	results := packResults(t, compile.Terraform)
	text, _, err := compile.Stack(results, compile.Terraform)
	if err != nil {
		t.Fatal(err)
	}
	if n := checkTerraform(t, results, text); n < 50 {
		t.Errorf("%d rules: too few to mean much", n)
	}
}

func checkTerraform(t *testing.T, results []compile.Result, text []byte) int {
	t.Helper()
	var doc struct {
		Comment   string `json:"//"`
		Terraform struct {
			RequiredProviders map[string]struct{ Source, Version string } `json:"required_providers"`
		}
		Variable map[string]struct{ Type string }
		Resource struct {
			Rules map[string]struct {
				Name, Description, State string
				EventPattern             string `json:"event_pattern"`
			} `json:"aws_cloudwatch_event_rule"`
			Targets map[string]struct {
				Rule, Arn        string
				InputTransformer []struct {
					InputTemplate string `json:"input_template"`
				} `json:"input_transformer"`
			} `json:"aws_cloudwatch_event_target"`
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	template := regexp.MustCompile(`(^|[^$])\$\{|(^|[^%])%\{`)
	name := regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`) // PutRule
	id := regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)
	want := 0
	for _, r := range results {
		want += len(r.Patterns)
		if r.Fidelity != compile.Exact && !strings.Contains(doc.Comment, r.RuleID) {
			t.Errorf("the stack says nothing of %s, which is %s", r.RuleID, r.Fidelity)
		}
	}
	if len(doc.Resource.Rules) != want || len(doc.Resource.Targets) != want {
		t.Errorf("%d rules and %d targets for %d patterns", len(doc.Resource.Rules), len(doc.Resource.Targets), want)
	}
	for k, r := range doc.Resource.Rules {
		unescape := strings.NewReplacer("$${", "${", "%%{", "%{")
		pattern := unescape.Replace(r.EventPattern)
		if !id.MatchString(k) || !name.MatchString(r.Name) || len(unescape.Replace(r.Description)) > 512 || !json.Valid([]byte(pattern)) {
			t.Errorf("%s: %+v", k, r)
		}
		if in := doc.Resource.Targets[k].InputTransformer[0].InputTemplate; len(in) > 8192 || template.MatchString(in) || template.MatchString(r.Description) || template.MatchString(r.EventPattern) {
			t.Errorf("%s: %s %s", k, r.Description, in)
		}
		if x := doc.Resource.Targets[k]; x.Arn != "${var.topic_arn}" || x.Rule != "${aws_cloudwatch_event_rule."+k+".name}" {
			t.Errorf("%s: target %+v", k, x)
		}
	}
	if doc.Variable["topic_arn"].Type != "string" || doc.Terraform.RequiredProviders["aws"].Source != "hashicorp/aws" || template.MatchString(doc.Comment) {
		t.Errorf("%+v", doc)
	}
	return want
}

// TestHostileNames: whatever rules are called, a stack has names that are unique
// and fit, and messages that fit.
func TestHostileNames(t *testing.T) {
	long := strings.Repeat("a_very_long_name_", 30)
	var docs []string
	for i, name := range []string{long + "1", long + "2", "Ünïcödé", "日本語", "日本", "${AWS::AccountId}", "a-b", "a_b", "a.b", "A_B", "9", "<detail>", "x\"}", "%{ if true }"} {
		text, _ := json.Marshal(name)
		title, _ := json.Marshal(name + strings.Repeat("\u0001<&>${x}", 2000))
		docs = append(docs, fmt.Sprintf("title: %s\nname: %s\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  s: {eventName: E%d}\n  condition: s\n", title, text, i))
	}
	rules, err := sigma.Parse("x.yml", []byte(strings.Join(docs, "---\n")))
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []compile.Target{compile.CloudFormation, compile.Terraform} {
		results := compile.Rules(engine.Rules(), target)
		text, _, err := compile.Stack(results, target)
		if err != nil {
			t.Fatal(err)
		}
		if target == compile.CloudFormation {
			checkTemplate(t, results, text)
		} else {
			checkTerraform(t, results, text)
		}
	}
}

// TestReads: a rule about calls that only read must ask EventBridge for them.
func TestReads(t *testing.T) {
	for detection, want := range map[string]bool{
		"  s: {eventName: GetPasswordData}\n  condition: s":     true,
		"  s: {eventName: StopLogging}\n  condition: s":         false,
		"  s: {eventSource: sts.amazonaws.com}\n  condition: s": true,
	} {
		r := compiledRule(t, detection, compile.EventBridge)
		if r.Patterns[0].AllReads != want {
			t.Errorf("%s: all management events: %v, want %v", detection, r.Patterns[0].AllReads, want)
		}
	}
}
