package compile_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	text, warnings, err := compile.Stack(packResults(t, compile.CloudFormation), compile.CloudFormation)
	if err != nil {
		t.Fatal(err)
	}
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

// TestTerraform checks the shape of Terraform's JSON syntax.
// https://developer.hashicorp.com/terraform/language/syntax/json
func TestTerraform(t *testing.T) {
	results := packResults(t, compile.Terraform)
	text, _, err := compile.Stack(results, compile.Terraform)
	if err != nil {
		t.Fatal(err)
	}
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
				Rule, Arn string
			} `json:"aws_cloudwatch_event_target"`
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`) // PutRule
	id := regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)
	want := 0
	for _, r := range results {
		want += len(r.Patterns)
		if r.Fidelity != compile.Exact && !strings.Contains(doc.Comment, r.RuleID) {
			t.Errorf("the stack says nothing of %s, which is %s", r.RuleID, r.Fidelity)
		}
	}
	if len(doc.Resource.Rules) != want || len(doc.Resource.Targets) != want || want < 50 {
		t.Errorf("%d rules and %d targets for %d patterns", len(doc.Resource.Rules), len(doc.Resource.Targets), want)
	}
	for k, r := range doc.Resource.Rules {
		pattern := strings.NewReplacer("$${", "${", "%%{", "%{").Replace(r.EventPattern)
		if !id.MatchString(k) || !name.MatchString(r.Name) || len(r.Description) > 512 || !json.Valid([]byte(pattern)) {
			t.Errorf("%s: %+v", k, r)
		}
		if x := doc.Resource.Targets[k]; x.Arn != "${var.topic_arn}" || x.Rule != "${aws_cloudwatch_event_rule."+k+".name}" {
			t.Errorf("%s: target %+v", k, x)
		}
	}
	if doc.Variable["topic_arn"].Type != "string" || doc.Terraform.RequiredProviders["aws"].Source != "hashicorp/aws" {
		t.Errorf("%+v", doc)
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
