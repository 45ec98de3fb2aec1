package coverage

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

//go:embed dataevents.yaml
var dataEventsFile []byte

// dataType is one resource type that data events are recorded for.
type dataType struct {
	Type   string   `yaml:"type"`
	Words  string   `yaml:"words"`
	Hides  string   `yaml:"hides"` // what goes unseen without it
	Source string   `yaml:"source"`
	Estate string   `yaml:"estate"`
	Inside bool     `yaml:"inside"`
	Names  []string `yaml:"names"`
}

var dataTypes = sync.OnceValue(func() []dataType {
	var out []dataType
	if err := yaml.UnmarshalWithOptions(dataEventsFile, &out, yaml.Strict()); err != nil {
		panic(fmt.Sprintf("coverage: embedded dataevents.yaml: %v", err)) // a test reads it
	}
	return out
})

// call is what one event is to CloudTrail's selectors.
type call struct {
	category string // Management, Data, NetworkActivity
	source   string // "" is any
	name     string // "" is any
	readOnly bool
	typ      string // of Data: the resource type
	arn      string // of Data: the resource, "" is any
	inside   bool   // the selector's ARNs are those of things within arn
}

// need is one kind of record that a rule reads. Rules with the same needs share
// the same eyes.
type need struct {
	log    string // as event.Kind
	call   call   // of CloudTrail
	global bool   // recorded in us-east-1 only
}

// globals are services whose events CloudTrail records in us-east-1.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events
var globals = strings.Fields(`iam.amazonaws.com cloudfront.amazonaws.com route53.amazonaws.com organizations.amazonaws.com
	account.amazonaws.com route53domains.amazonaws.com globalaccelerator.amazonaws.com shield.amazonaws.com
	billingconsole.amazonaws.com ce.amazonaws.com budgets.amazonaws.com artifact.amazonaws.com support.amazonaws.com`)

// readNames are calls that CloudTrail marks readOnly although their names do not
// begin like those of reads, and writes the other way round.
var (
	reads = strings.Fields(`AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity AssumeRoot Decrypt DecodeAuthorizationMessage Encrypt
		GenerateDataKey GenerateDataKeyWithoutPlaintext GenerateDataKeyPair GenerateMac GenerateRandom Sign Verify VerifyMac
		SimulatePrincipalPolicy SimulateCustomPolicy GenerateCredentialReport GenerateServiceLastAccessedDetails
		InvokeModel InvokeModelWithResponseStream Converse ConverseStream Retrieve RetrieveAndGenerate
		Query Scan TransactGetItems ReceiveMessage Select SelectObjectContent CheckMfa`)
	writes      = strings.Fields(`GetFederationToken`)
	readPrefix  = strings.Fields(`Get List Describe Lookup Search Head BatchGet Scan Preview Check View Test Validate Estimate Simulate Discover`)
	insightType = "Insight"
)

// ReadOnly reports whether CloudTrail marks a call of this name as one that only
// reads, as far as the name tells.
func ReadOnly(eventName string) bool { return readOnly(eventName) }

// DataType returns the resource type of the data events that a call is recorded
// as; "" for management events.
func DataType(eventSource, eventName string) string {
	for _, d := range dataTypes() {
		if strings.EqualFold(d.Source, eventSource) && slices.ContainsFunc(d.Names, func(n string) bool { return n == "*" || strings.EqualFold(n, eventName) }) {
			return d.Type
		}
	}
	return ""
}

func readOnly(name string) bool {
	if slices.Contains(writes, name) {
		return false
	}
	if slices.Contains(reads, name) {
		return true
	}
	for _, p := range readPrefix {
		if rest, ok := strings.CutPrefix(name, p); ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return true
		}
	}
	return false
}

// needsOf returns what a detection needs of CloudTrail.
func needsOf(r *sigma.Rule) []need {
	names, knownNames := r.Values("eventName")
	sources, knownSources := r.Values("eventSource")
	if types, ok := r.Values("eventType"); ok && len(types) == 1 && types[0] == "AwsCloudTrailInsight" {
		return []need{{log: "cloudtrail", call: call{category: insightType}}}
	}
	if c, ok := r.Values("eventCategory"); ok && len(c) == 1 && c[0] == "NetworkActivity" {
		src := ""
		if knownSources && len(sources) > 0 {
			src = sources[0]
		}
		return []need{{log: "cloudtrail", call: call{category: "NetworkActivity", source: src}}}
	}
	if !knownSources {
		sources = []string{""}
	}
	if !knownNames {
		names = []string{""}
	}
	var out []need
	add := func(n need) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, src := range sources {
		global := slices.Contains(globals, strings.ToLower(src))
		if strings.ContainsAny(src, "*?") {
			src = ""
		}
		for _, name := range names {
			found := false
			for i := range dataTypes() {
				d := &dataTypes()[i]
				if src != "" && !strings.EqualFold(d.Source, src) {
					continue
				}
				for _, n := range d.Names {
					if n == "*" { // all that the service does is data
						if src != "" {
							found = true
							add(need{log: "cloudtrail", call: call{category: "Data", source: d.Source, name: name, readOnly: readOnly(name), typ: d.Type}})
						}
						continue
					}
					if strings.EqualFold(n, name) || strings.ContainsAny(name, "*?") && fits(name, n) {
						found = true
						add(need{log: "cloudtrail", call: call{category: "Data", source: d.Source, name: n, readOnly: readOnly(n), typ: d.Type}})
					}
				}
			}
			if found && !strings.ContainsAny(name, "*?") {
				continue
			}
			c := call{category: "Management", source: src, name: name}
			if strings.ContainsAny(name, "*?") || name == "" {
				c.name = ""
				prefix, _, _ := strings.Cut(name, "*")
				c.readOnly = readOnly(prefix)
				add(need{log: "cloudtrail", call: c, global: global})
				if !c.readOnly {
					c.readOnly = true
					add(need{log: "cloudtrail", call: c, global: global})
				}
				continue
			}
			c.readOnly = readOnly(name)
			add(need{log: "cloudtrail", call: c, global: global})
		}
	}
	return out
}

func fits(pattern, name string) bool {
	ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(name))
	return ok
}
