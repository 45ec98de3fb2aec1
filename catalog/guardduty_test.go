package catalog_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/ruletest"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// coverageRow is one row of docs/guardduty-coverage.md.
type coverageRow struct {
	Type   string
	Claims []claim
	Needs  string // why nothing covers it
	Own    string // the rule of the page that does with a list of the user's
}

// claim is one thing that covers a type: a rule with one of its examples, or terms
// of the baseline with a case of baselineCases.
type claim struct {
	Rule    string
	Example int // of the rule's positive examples, from 1
	Terms   []string
	Case    string

	Incident string
}

var (
	findingType = regexp.MustCompile(`^[A-Za-z]+:[A-Za-z0-9]+/[A-Za-z&]+[A-Za-z.!]*(?:\.[A-Z])?(?:![A-Za-z]+)?$`)
	coveredBy   = regexp.MustCompile("^`([a-z0-9_]+)` example ([1-9])$")
	baselined   = regexp.MustCompile("^(`baseline/[a-z-]+`(?: \\+ `baseline/[a-z-]+`)*) case ([a-z-]+)$")
	joinedTo    = regexp.MustCompile("^an incident, case ([a-z-]+)$")
	needs       = regexp.MustCompile(`^no: (.+)$`)
	ownList     = regexp.MustCompile("^own list: `([a-z_]+)`$")
	claimed     = regexp.MustCompile(`Of (\d+) types, (\d+) are covered, and (\d+) more with a list of your own\.`)
	ownRules    = regexp.MustCompile("(?s)```yaml\n(.*?)```")
)

// readCoverage reads the page: the rows of its tables, the reasons that it
// explains, and the two numbers that it claims.
func readCoverage(t *testing.T) (rows []coverageRow, reasons map[string]bool, numbers [3]int) {
	page, err := os.ReadFile("../docs/guardduty-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	m := claimed.FindSubmatch(page)
	if m == nil {
		t.Fatal("the page does not say how many types are covered")
	}
	for i := range numbers {
		numbers[i], _ = strconv.Atoi(string(m[i+1]))
	}
	reasons = map[string]bool{}
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) == 2 && cells[0] != "needs" {
			reasons[cells[0]] = true
		}
		if len(cells) != 3 || cells[0] == "finding type" {
			continue
		}
		r := coverageRow{Type: cells[0]}
		if !findingType.MatchString(r.Type) {
			t.Errorf("%q is no finding type", r.Type)
		}
		if m := needs.FindStringSubmatch(cells[1]); m != nil {
			r.Needs = m[1]
			rows = append(rows, r)
			continue
		}
		if m := ownList.FindStringSubmatch(cells[1]); m != nil {
			r.Own = m[1]
			rows = append(rows, r)
			continue
		}
		for text := range strings.SplitSeq(cells[1], "<br>") {
			if m := coveredBy.FindStringSubmatch(text); m != nil {
				n, _ := strconv.Atoi(m[2])
				r.Claims = append(r.Claims, claim{Rule: m[1], Example: n})
			} else if m := baselined.FindStringSubmatch(text); m != nil {
				r.Claims = append(r.Claims, claim{Terms: strings.Split(strings.ReplaceAll(m[1], "`", ""), " + "), Case: m[2]})
			} else if m := joinedTo.FindStringSubmatch(text); m != nil {
				r.Claims = append(r.Claims, claim{Incident: m[1]})
			} else {
				t.Errorf("%s: %q names neither a rule with its example, nor terms of the baseline or an incident with their case, nor what is needed", r.Type, text)
			}
		}
		rows = append(rows, r)
	}
	return rows, reasons, numbers
}

// TestGuardDutyCoverage holds docs/guardduty-coverage.md to what the rules do:
// the example of each behaviour fires the rule that the page names, with all
// other rules beside it.
func TestGuardDutyCoverage(t *testing.T) {
	rows, reasons, numbers := readCoverage(t)
	engine, examples := wholePack(t)
	seen := map[string]bool{}
	own := ownListRules(t)
	count, withList := 0, 0
	for _, r := range rows {
		if seen[r.Type] {
			t.Errorf("%s stands there twice", r.Type)
		}
		seen[r.Type] = true
		if r.Needs != "" {
			if !reasons[r.Needs] {
				t.Errorf("%s: the page does not explain %q", r.Type, r.Needs)
			}
			continue
		}
		if r.Own != "" {
			withList++
			if !own[r.Own] {
				t.Errorf("%s: the page has no rule %s that matches with a list", r.Type, r.Own)
			}
			continue
		}
		count++
		for _, cl := range r.Claims {
			switch {
			case cl.Case != "":
				checkBaseline(t, r.Type, cl)
			case cl.Incident != "":
				checkIncident(t, r.Type, cl.Incident)
			default:
				checkRule(t, r.Type, cl, engine, examples)
			}
		}
	}
	if has := [3]int{len(rows), count, withList}; numbers != has {
		t.Errorf("the page claims %d types, covered and covered with a list; its tables have %d", numbers, has)
	}
	if len(rows) < 224 {
		t.Errorf("the page has %d finding types; GuardDuty has more", len(rows))
	}
}

// ownListRules compiles the rules of the page with a list of addresses, and
// returns those that match an event with such an address and none without.
func ownListRules(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../docs/guardduty-coverage.md")
	if err != nil {
		t.Fatal(err)
	}
	m := ownRules.FindSubmatch(page)
	if m == nil {
		t.Fatal("the page has no rules")
	}
	rules, err := sigma.Parse("guardduty-coverage.md", m[1])
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{Placeholders: map[string][]string{"own_list": {"203.0.113.0/25", "2001:db8:7::1"}}})
	if err != nil {
		t.Fatal(err)
	}
	call := `{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/mlopez","accountId":"111122223333","userName":"mlopez"},"eventTime":"2026-03-04T09:20:11Z","eventSource":"iam.amazonaws.com",` +
		`"eventName":"ListUsers","awsRegion":"us-east-1","sourceIPAddress":%q,"userAgent":"aws-cli/2.22.10","requestID":"r","eventID":%q,"readOnly":true,"eventType":"AwsApiCall","recipientAccountId":"111122223333"}` + "\n"
	flow := "2 111122223333 eni-0a1b2c3d4e5f60718 %s %s 50123 443 6 40 9000 1772616011 1772616071 %s OK\n"
	out := map[string]bool{}
	run := func(text string) {
		matched := map[string]int{}
		stats, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("log", strings.NewReader(text))}, engine, detect.Options{Workers: 1},
			func(m *detect.Match) error { matched[m.Rule.Key()]++; return nil })
		if err != nil || stats.Events != 4 {
			t.Fatalf("%d events read of 4: %v", stats.Events, err)
		}
		for rule, n := range matched {
			if n != 2 {
				t.Errorf("%s matches %d of four events, of which two have an address of the list", rule, n)
			}
			out[rule] = true
		}
	}
	run(fmt.Sprintf(call+call+call+call, "203.0.113.77", "1", "2001:db8:7::1", "2", "203.0.113.200", "3", "cloudformation.amazonaws.com", "4"))
	run(fmt.Sprintf(flow+flow+flow+flow, "10.0.1.20", "203.0.113.77", "ACCEPT", "203.0.113.9", "10.0.1.20", "ACCEPT", "203.0.113.9", "10.0.1.20", "REJECT", "10.0.1.20", "203.0.113.200", "ACCEPT"))
	return out
}

// checkRule proves a claim: the example fires the rule, which does not read
// GuardDuty's own findings.
func checkRule(t *testing.T, typ string, cl claim, engine *sigma.Engine, examples map[string]*ruletest.File) {
	t.Helper()
	rule := engine.Find(cl.Rule)
	if rule == nil {
		t.Errorf("%s: there is no rule %s", typ, cl.Rule)
		return
	}
	if strings.HasPrefix(cl.Rule, "guardduty_many") || rule.LogSource.Service == "guardduty" {
		t.Errorf("%s: %s reads what GuardDuty found; that is not detection from logs alone", typ, cl.Rule)
	}
	one, err := example(examples[cl.Rule], cl)
	if err != nil {
		t.Errorf("%s: %v", typ, err)
		return
	}
	for _, got := range one.Run(context.Background(), engine) {
		if got.Err != nil {
			t.Errorf("%s: example %d of %s: %v", typ, cl.Example, cl.Rule, got.Err)
		}
	}
}

// TestGuardDutyFindingsAreRouted: a finding of any type on the page meets a rule.
func TestGuardDutyFindingsAreRouted(t *testing.T) {
	rows, _, _ := readCoverage(t)
	engine, _ := wholePack(t)
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&text, `{"schemaVersion":"2.0","accountId":"111122223333","region":"eu-west-1","id":%q,"type":%q,"severity":5,"title":"a finding",`+
			`"service":{"detectorId":"12ab34cd56ef","archived":false,"eventLastSeen":"2026-03-04T09:20:11Z"},"resource":{"resourceType":"AccessKey"}}`+"\n", r.Type, r.Type)
	}
	met := map[string]bool{}
	_, err := detect.Run(context.Background(), []logs.Source{logs.FromReader("findings", strings.NewReader(text.String()))}, engine, detect.Options{Workers: 1},
		func(m *detect.Match) error {
			for _, id := range m.Finding.EventIDs {
				met[id] = true
			}
			return nil
		})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !met[r.Type] {
			t.Errorf("no rule of the pack meets a GuardDuty finding of type %s", r.Type)
		}
	}
}

// example returns the one positive example that a row names.
func example(f *ruletest.File, r claim) (*ruletest.File, error) {
	if f == nil {
		return nil, fmt.Errorf("%s has no examples", r.Rule)
	}
	n := 0
	for _, e := range f.Positive {
		if e.Rule != "" && e.Rule != r.Rule {
			continue
		}
		if n++; n == r.Example {
			e.Rule = r.Rule
			return &ruletest.File{Positive: []ruletest.Example{e}}, nil
		}
	}
	return nil, fmt.Errorf("%s has %d positive examples, not %d", r.Rule, n, r.Example)
}

// wholePack compiles all rules, and returns the examples of each by rule name.
func wholePack(t *testing.T) (*sigma.Engine, map[string]*ruletest.File) {
	t.Helper()
	rules, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{})
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]*ruletest.File{}
	for _, r := range rules {
		if r.Name == "" {
			continue
		}
		name := strings.TrimSuffix(r.File, path.Ext(r.File)) + detect.ExamplesSuffix
		src, err := fs.ReadFile(catalog.Detections, name)
		if err != nil {
			t.Fatal(err)
		}
		if examples[r.Name], err = ruletest.Parse(name, src); err != nil {
			t.Fatal(err)
		}
	}
	return engine, examples
}
