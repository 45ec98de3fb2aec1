package catalog_test

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

var update = flag.Bool("update", false, "write the tables of rules into docs/detections.md")

const detectionsDoc = "../docs/detections.md"

// pack returns the engine of the built-in rules.
func pack(t testing.TB) *sigma.Engine {
	t.Helper()
	rules, err := detect.LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(rules, sigma.Options{Fields: detect.Fields()})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// TestDetectionsDoc keeps the tables of docs/detections.md in step with the pack.
func TestDetectionsDoc(t *testing.T) {
	engine := pack(t)
	src, err := os.ReadFile(detectionsDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := src
	for name, table := range map[string]string{"rules": ruleTables(engine), "recorded": recordedTable(t, engine)} {
		if want, err = between(want, name, table); err != nil {
			t.Fatal(err)
		}
	}
	if bytes.Equal(src, want) {
		return
	}
	if !*update {
		t.Fatal("docs/detections.md does not list the rules of the pack: run go test ./catalog -run TestDetectionsDoc -update")
	}
	if err := os.WriteFile(detectionsDoc, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// between replaces what stands between the two marks of a name.
func between(doc []byte, name, text string) ([]byte, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	i, j := bytes.Index(doc, []byte(begin)), bytes.Index(doc, []byte(end))
	if i < 0 || j < i {
		return nil, fmt.Errorf("%s has no marks %q and %q", detectionsDoc, begin, end)
	}
	return slices.Concat(doc[:i+len(begin)], []byte(text), doc[j:]), nil
}

// sources are the logs in the order of the document.
var sources = []struct{ service, heading string }{
	{"cloudtrail", "CloudTrail"},
	{"vpcflow", "VPC flow logs"},
	{"tgwflow", "Transit gateway flow logs"},
	{"alb", "Load balancer access logs"},
	{"elb", "Load balancer access logs, of all kinds"},
	{"s3access", "S3 server access logs"},
	{"cloudfront", "CloudFront access logs"},
	{"waf", "AWS WAF logs"},
	{"route53resolver", "DNS query logs of the Route 53 Resolver"},
	{"guardduty", "GuardDuty findings"},
	{"securityhub", "Security Hub findings"},
}

var severities = []string{"critical", "high", "medium", "low", "informational"}

func ruleTables(engine *sigma.Engine) string {
	byService := map[string][]*sigma.Rule{}
	for _, r := range engine.Rules() {
		if r.Filter == nil && !r.Silent() {
			s := service(engine, r)
			byService[s] = append(byService[s], r)
		}
	}
	var b strings.Builder
	known := map[string]bool{}
	table := func(heading string, rules []*sigma.Rule) {
		slices.SortFunc(rules, func(a, b *sigma.Rule) int {
			return cmp.Or(slices.Index(severities, a.Level)-slices.Index(severities, b.Level), strings.Compare(a.Name, b.Name))
		})
		fmt.Fprintf(&b, "\n### %s (%d)\n\n| rule | what it detects | severity | ATT&CK |\n|---|---|---|---|\n", heading, len(rules))
		for _, r := range rules {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", r.Name, strings.ReplaceAll(r.Title, "|", "\\|"), r.Level, strings.Join(r.Techniques(), " "))
		}
	}
	for _, s := range sources {
		known[s.service] = true
		if rules := byService[s.service]; len(rules) > 0 {
			table(s.heading, rules)
		}
	}
	var others []string
	for s := range byService {
		if !known[s] {
			others = append(others, s)
		}
	}
	slices.Sort(others)
	for _, s := range others {
		table(s, byService[s])
	}
	b.WriteByte('\n')
	return b.String()
}

// service names the log that a rule reads; a correlation reads that of its rules.
func service(engine *sigma.Engine, r *sigma.Rule) string {
	for r.Correlation != nil && len(r.Correlation.Rules) > 0 {
		r = engine.Find(r.Correlation.Rules[0])
	}
	return cmp.Or(r.LogSource.Service, r.LogSource.Category, "all logs")
}

func recordedTable(t *testing.T, engine *sigma.Engine) string {
	var b strings.Builder
	b.WriteString("\n| technique | named by |\n|---|---|\n")
	for _, r := range recorded {
		var names []string
		for _, n := range r.rules {
			if engine.Find(n) == nil {
				t.Errorf("%s: there is no rule %s", r.technique, n)
			}
			names = append(names, "`"+n+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", r.technique, strings.Join(names, ", "))
	}
	b.WriteByte('\n')
	return b.String()
}
