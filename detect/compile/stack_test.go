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
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/compile"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

func packResults(t *testing.T, target compile.Target) []compile.Result {
	t.Helper()
	rules, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{Fields: detect.Fields()})
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

// delivered is what a template of a message says.
type delivered struct {
	Severity string
	Rules    []struct {
		Rule, Title string
		CheckAgain  bool
		Events      []string
	}
	Time, Account, Region, Event any
}

// about returns the detection that a message is about: the one that has the
// event's name.
func (d delivered) about(name string) []string {
	var out []string
	for _, r := range d.Rules {
		if len(d.Rules) == 1 || slices.ContainsFunc(r.Events, func(e string) bool {
			start, prefix := strings.CutSuffix(e, "*")
			return strings.EqualFold(name, e) || prefix && strings.HasPrefix(strings.ToLower(name), strings.ToLower(start))
		}) {
			out = append(out, r.Rule)
		}
	}
	return out
}

// bus is one EventBridge rule of a stack.
type bus struct {
	name, pattern, state string
	message              delivered
}

// check holds the rules of a stack against what EventBridge refuses.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_InputTransformer.html
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
func check(t *testing.T, results []compile.Result, name, description, pattern, state, message string) bus {
	t.Helper()
	filled := strings.NewReplacer("<time>", "1", "<account>", "1", "<region>", "1", "<detail>", "1").Replace(message)
	b := bus{name: name, pattern: pattern, state: state}
	if err := json.Unmarshal([]byte(filled), &b.message); err != nil || len(description) > 512 || len(message) > 8192 || utf8.RuneCountInString(pattern) > 2048 || !json.Valid([]byte(pattern)) {
		t.Errorf("%s: %v, %d, %d and %d characters\n%s\n%s\n%s", name, err, len(description), len(message), len(pattern), description, message, pattern)
	}
	if b.message.Time == nil || b.message.Account == nil || b.message.Region == nil || b.message.Event == nil {
		t.Errorf("%s: the message lacks a part: %s", name, message)
	}
	seen := map[string]bool{}
	for _, r := range b.message.Rules {
		i := slices.IndexFunc(results, func(x compile.Result) bool { return strings.HasPrefix(x.RuleID, strings.TrimSuffix(r.Rule, "…")) })
		if i < 0 {
			t.Errorf("%s has %s, which is no rule", name, r.Rule)
			continue
		}
		x := results[i]
		if len(x.RuleID) < 200 && (x.Severity != b.message.Severity || r.CheckAgain != (x.Fidelity == compile.Wider) || seen[x.RuleID]) {
			t.Errorf("%s: %+v of %s", name, r, x.RuleID)
		}
		seen[x.RuleID] = true
		if slices.ContainsFunc(x.Patterns, func(p compile.Pattern) bool { return p.AllReads }) && state == "ENABLED" {
			t.Errorf("%s does not get the calls that only read, which %s is about", name, x.RuleID)
		}
	}
	return b
}

// checkBus holds the rules of a stack together against the quotas of a bus: every
// result that is not refused is there.
func checkBus(t *testing.T, results []compile.Result, all []bus) {
	t.Helper()
	starred := 0
	there := map[string]bool{}
	for _, b := range all {
		if strings.Contains(b.pattern, `"wildcard"`) {
			starred++
		}
		for _, r := range b.message.Rules {
			there[strings.TrimSuffix(r.Rule, "…")] = true
		}
	}
	for _, r := range results {
		if id := r.RuleID[:min(len(r.RuleID), 200)]; there[id] != (r.Fidelity != compile.Refused) {
			t.Errorf("%s is %s, and in the stack: %v", r.RuleID, r.Fidelity, there[id])
		}
	}
	if starred > 30 || len(all) > 300 || len(all) == 0 {
		t.Errorf("%d rules, %d with wildcards: a bus takes 300 and 30", len(all), starred)
	}
}

// checkTemplate holds a template against what CloudFormation and EventBridge
// refuse and cfn-lint does not see.
func checkTemplate(t *testing.T, results []compile.Result, text []byte) []bus {
	t.Helper()
	var doc struct {
		Metadata  struct{ Rules map[string]any }
		Resources map[string]struct {
			Type       string
			Properties struct {
				Description, State string
				EventPattern       any
				Targets            []struct {
					InputTransformer struct {
						InputPathsMap map[string]string
						InputTemplate string
					}
					DeadLetterConfig any
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var anything any
	if err := json.Unmarshal(text, &anything); err != nil {
		t.Fatal(err)
	}
	if hasNull(anything) {
		t.Error("CloudFormation takes no null in a template")
	}
	for _, r := range results {
		if doc.Metadata.Rules[r.RuleID] == nil {
			t.Errorf("the metadata say nothing of %s", r.RuleID)
		}
	}
	id := regexp.MustCompile(`^[A-Za-z0-9]{1,255}$`)
	var all []bus
	for name, r := range doc.Resources {
		if !id.MatchString(name) {
			t.Errorf("logical id %q", name)
		}
		if r.Type != "AWS::Events::Rule" {
			continue
		}
		pattern, isText := r.Properties.EventPattern.(string)
		x := r.Properties.Targets[0]
		if !isText || x.DeadLetterConfig == nil || len(x.InputTransformer.InputPathsMap) != 4 {
			t.Errorf("%s: %+v", name, r.Properties)
		}
		all = append(all, check(t, results, name, r.Properties.Description, pattern, r.Properties.State, x.InputTransformer.InputTemplate))
	}
	checkBus(t, results, all)
	if len(doc.Resources) > 500 || len(text) > 1<<20 {
		t.Errorf("%d resources, %d bytes", len(doc.Resources), len(text))
	}
	return all
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
	if all := checkTerraform(t, results, text); len(all) < 50 {
		t.Errorf("%d rules: too few to mean much", len(all))
	}
}

func checkTerraform(t *testing.T, results []compile.Result, text []byte) []bus {
	t.Helper()
	var doc struct {
		Comment   string `json:"//"`
		Terraform struct {
			RequiredProviders map[string]struct{ Source, Version string } `json:"required_providers"`
		}
		Variable map[string]struct{ Type string }
		Locals   map[string]string
		Data     map[string]map[string]any
		Output   map[string]struct{ Value string }
		Resource map[string]map[string]map[string]any
	}
	var parts struct {
		Resource struct {
			Rules map[string]struct {
				Name, Description, State string
				EventPattern             string `json:"event_pattern"`
			} `json:"aws_cloudwatch_event_rule"`
			Targets map[string]struct {
				Rule, Arn        string
				DeadLetters      []map[string]string `json:"dead_letter_config"`
				InputTransformer []struct {
					InputTemplate string `json:"input_template"`
				} `json:"input_transformer"`
			} `json:"aws_cloudwatch_event_target"`
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &parts); err != nil {
		t.Fatal(err)
	}
	// Whatever is referred to is there.
	for _, m := range regexp.MustCompile(`(?:^|[^$])\$\{([^}]*)\}`).FindAllStringSubmatch(string(text), -1) {
		for _, path := range regexp.MustCompile(`(?:[a-z_]+\.)+[a-z_0-9]+`).FindAllString(m[1], -1) {
			words := strings.Split(path, ".")
			known := false
			switch words[0] {
			case "var":
				_, known = doc.Variable[words[1]]
			case "local":
				_, known = doc.Locals[words[1]]
			case "data":
				_, known = doc.Data[words[1]][words[2]]
			default:
				_, known = doc.Resource[words[0]][words[1]]
			}
			if !known {
				t.Errorf("%s refers to nothing", path)
			}
		}
	}
	template := regexp.MustCompile(`(^|[^$])\$\{|(^|[^%])%\{`)
	name := regexp.MustCompile(`^[.\-_A-Za-z0-9]{1,64}$`) // PutRule
	id := regexp.MustCompile(`^[a-z_][a-z0-9_-]*$`)
	unescape := strings.NewReplacer("$${", "${", "%%{", "%{")
	for _, r := range results {
		if r.Fidelity != compile.Exact && !strings.Contains(doc.Comment, r.RuleID) {
			t.Errorf("the stack says nothing of %s, which is %s", r.RuleID, r.Fidelity)
		}
	}
	var all []bus
	for k, r := range parts.Resource.Rules {
		x, ok := parts.Resource.Targets[k]
		if !ok || !id.MatchString(k) || !name.MatchString(strings.Replace(r.Name, "${var.name_prefix}", "bartizan-", 1)) {
			t.Errorf("%s: %+v", k, r)
			continue
		}
		in := x.InputTransformer[0].InputTemplate
		if template.MatchString(in) || template.MatchString(r.Description) || template.MatchString(r.EventPattern) {
			t.Errorf("%s: a template of Terraform: %s %s", k, r.Description, in)
		}
		if x.Arn != "${local.topic_arn}" || x.Rule != "${aws_cloudwatch_event_rule."+k+".name}" || len(x.DeadLetters) != 1 {
			t.Errorf("%s: target %+v", k, x)
		}
		all = append(all, check(t, results, k, unescape.Replace(r.Description), unescape.Replace(r.EventPattern), r.State, unescape.Replace(in)))
	}
	checkBus(t, results, all)
	if len(parts.Resource.Targets) != len(all) || doc.Variable["topic_arn"].Type != "string" || doc.Terraform.RequiredProviders["aws"].Source != "hashicorp/aws" || template.MatchString(doc.Comment) {
		t.Errorf("%+v", doc)
	}
	return all
}

// TestStackAgrees: where a stack of many rules puts several into one rule of
// EventBridge, its message tells which one an event is for, and that is a rule
// which matches it by the engine, or may be wider.
func TestStackAgrees(t *testing.T) {
	c := samples(t)
	results := compile.Rules(c.rules, compile.CloudFormation)
	text, _, err := compile.Stack(results, compile.CloudFormation)
	if err != nil {
		t.Fatal(err)
	}
	all := checkTemplate(t, results, text)
	type compiled struct {
		bus
		doc map[string]any
	}
	var rules []compiled
	in := map[string][]int{} // by detection
	shared := 0
	for i, b := range all {
		var doc map[string]any
		if err := json.Unmarshal([]byte(b.pattern), &doc); err != nil {
			t.Fatal(err)
		}
		valid(t, b.name, doc, []byte(b.pattern))
		rules = append(rules, compiled{b, doc})
		for _, r := range b.message.Rules {
			in[r.Rule] = append(in[r.Rule], i)
		}
		if len(b.message.Rules) > 1 {
			shared += len(b.message.Rules)
		}
	}
	total := &verdict{}
	for _, r := range results {
		if r.Fidelity == compile.Refused {
			continue
		}
		kind := kindOf(r.Rule)
		wrong := faults(t, r.RuleID, "")
		list := c.mutants(t, r.Rule, 40)
		for i, s := range c.of(kind) {
			if i%12 == 0 || s.hits[r.RuleID] {
				list = append(list, s)
			}
		}
		for _, s := range list {
			e := any(envelope(s))
			field := map[event.Kind]string{event.CloudTrail: "eventName", event.GuardDuty: "type"}[kind]
			name, _ := s.doc[field].(string)
			want := s.hits[r.RuleID]
			got := slices.ContainsFunc(in[r.RuleID], func(i int) bool {
				about := rules[i].message.about(name)
				return ruler{e, want}.match(rules[i].doc, e, nil) && len(about) == 1 && about[0] == r.RuleID
			})
			total.compare(r.Fidelity == compile.Exact, want, got, wrong, s)
		}
	}
	if total.matches < 6000/(4*thin()-3) || shared < 150 {
		t.Errorf("%v; %d rules share one: too few to mean much", total, shared)
	}
	t.Logf("%d rules of EventBridge for %d results, of which %d share one; %v", len(all), len(results), shared, total)
}

// TestSmallStack: the rules of a small stack have an EventBridge rule each.
func TestSmallStack(t *testing.T) {
	results := packResults(t, compile.CloudFormation)[:20]
	for i := range results {
		results[i] = compile.Rules([]*sigma.Rule{results[i].Rule}, compile.CloudFormation)[0]
	}
	text, warnings, err := compile.Stack(results, compile.CloudFormation)
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	for _, b := range checkTemplate(t, results, text) {
		if len(b.message.Rules) != 1 || b.message.Rules[0].Events != nil {
			t.Errorf("%s: %+v", b.name, b.message)
		}
	}
}

// TestHostileNames: whatever rules are called, a stack has names that are unique
// and fit, and messages that fit.
func TestHostileNames(t *testing.T) {
	long := strings.Repeat("a_very_long_name_", 30)
	var docs []string
	for i, name := range []string{long + "1", long + "2", "Ünïcödé", "日本語", "日本", "${AWS::AccountId}", "a-b", "a_b", "a.b", "A_B", "9", "<detail>", "x\"}", "%{ if true }"} {
		text, _ := json.Marshal(name)
		title, _ := json.Marshal(name + strings.Repeat("\u0001<&>${x}", 500))
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
