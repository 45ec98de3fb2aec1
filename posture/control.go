// Package posture checks an estate with controls: rules in CEL that say of each
// resource, account or region whether it is as it should be.
//
// A Control is one YAML file. Compile turns controls into a Set, which is
// immutable and safe for concurrent use; Set.Run walks an estate.Source and
// gives one finding.Finding per control and resource. Control.Test runs the
// examples that every control carries.
//
// # Caveats
//
// Inside expressions an absent member is null and a member of null is null. What
// could not be read is unknown: a result that depends on it is unknown, with the
// operation that failed, and one that does not is decided. An expression that
// fails at run time gives unknown, never pass.
package posture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// Scope says what a control yields one result for.
type Scope string

// The scopes. The empty scope is resource.
const (
	ScopeResource     Scope = "resource"     // each resource of the control's types
	ScopeAccount      Scope = "account"      // each account
	ScopeRegion       Scope = "region"       // each enabled region of each account
	ScopeOrganization Scope = "organization" // the organization, once
)

// scopeTypes are the resources that stand for what a scope is about.
var scopeTypes = map[Scope]string{ScopeAccount: typeAccount, ScopeRegion: typeRegion, ScopeOrganization: typeOrganization}

// Control is a rule over the estate, as its file states it.
type Control struct {
	ID         string              `yaml:"id" json:"id"`
	Title      string              `yaml:"title" json:"title"`
	Pillar     finding.Pillar      `yaml:"pillar" json:"pillar"`
	Severity   finding.Severity    `yaml:"severity" json:"severity"`
	Scope      Scope               `yaml:"scope,omitempty" json:"scope,omitempty"`
	Resource   Texts               `yaml:"resource,omitempty" json:"resource,omitempty"` // CloudFormation type names
	Applies    string              `yaml:"applies,omitempty" json:"applies,omitempty"`   // CEL; false: no result
	Assert     string              `yaml:"assert" json:"assert"`                         // CEL; true: pass
	Evidence   Texts               `yaml:"evidence,omitempty" json:"evidence,omitempty"` // CEL; what decided
	Message    string              `yaml:"message" json:"message"`                       // of a failure; {{CEL}} is filled in
	Why        string              `yaml:"why" json:"why"`
	Fix        finding.Fix         `yaml:"fix" json:"fix"`
	Frameworks map[string][]string `yaml:"frameworks" json:"frameworks"`
	Examples   []Example           `yaml:"examples" json:"examples,omitempty"`

	File string `yaml:"-" json:"file,omitempty"` // where it stands, for messages
}

// Texts is one text or several.
type Texts []string

// UnmarshalYAML accepts a text where a list of one is meant.
func (t *Texts) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if unmarshal(&one) == nil {
		*t = Texts{one}
		return nil
	}
	var many []string
	if err := unmarshal(&many); err != nil {
		return err
	}
	*t = many
	return nil
}

// Example is a document with the result that the control must give for it.
type Example struct {
	Name   string `yaml:"name" json:"name"`
	Expect string `yaml:"expect" json:"expect"` // pass, fail, unknown, or none where the control does not apply

	Type     string            `yaml:"type,omitempty" json:"type,omitempty"` // where the control has several
	ID       string            `yaml:"id,omitempty" json:"id,omitempty"`
	ARN      string            `yaml:"arn,omitempty" json:"arn,omitempty"`
	Account  string            `yaml:"account,omitempty" json:"account,omitempty"` // default 111122223333
	Region   string            `yaml:"region,omitempty" json:"region,omitempty"`   // default us-east-1
	Tags     map[string]string `yaml:"tags,omitempty" json:"tags,omitempty"`
	Document map[string]any    `yaml:"document,omitempty" json:"document,omitempty"`
	Unknown  []ExampleGap      `yaml:"unknown,omitempty" json:"unknown,omitempty"`

	With []ExampleResource `yaml:"with,omitempty" json:"with,omitempty"` // what else there is
	Gaps []ExampleGap      `yaml:"gaps,omitempty" json:"gaps,omitempty"` // what of the account could not be read
}

// ExampleResource is another resource that an example's lookups find.
type ExampleResource struct {
	Type     string            `yaml:"type" json:"type"`
	ID       string            `yaml:"id,omitempty" json:"id,omitempty"`
	ARN      string            `yaml:"arn,omitempty" json:"arn,omitempty"`
	Account  string            `yaml:"account,omitempty" json:"account,omitempty"`
	Region   string            `yaml:"region,omitempty" json:"region,omitempty"`
	Tags     map[string]string `yaml:"tags,omitempty" json:"tags,omitempty"`
	Document map[string]any    `yaml:"document" json:"document"`
	Unknown  []ExampleGap      `yaml:"unknown,omitempty" json:"unknown,omitempty"`
}

// ExampleGap is a part, a type or a region that could not be read.
type ExampleGap struct {
	Type      string `yaml:"type,omitempty" json:"type,omitempty"`
	Region    string `yaml:"region,omitempty" json:"region,omitempty"`
	Part      string `yaml:"part,omitempty" json:"part,omitempty"`
	Operation string `yaml:"operation" json:"operation"`
	Reason    string `yaml:"reason,omitempty" json:"reason,omitempty"`
}

func (g ExampleGap) gap(account string) estate.Gap {
	reason := g.Reason
	if reason == "" {
		reason = "access denied"
	}
	return estate.Gap{Type: g.Type, Account: account, Region: g.Region, Part: g.Part, Operation: g.Operation, Reason: reason}
}

// maxControl bounds one control's file, in bytes.
const maxControl = 256 << 10

// ParseControl reads one control. name stands in messages. The control is
// checked for what its text alone can show; Compile checks its expressions.
func ParseControl(name string, data []byte) (*Control, error) {
	c := &Control{File: name}
	found, err := yamldoc.Decode(name, data, maxControl, c)
	if err != nil {
		return nil, fmt.Errorf("read control: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("read control %s: the file is empty", name)
	}
	if c.Scope == "" {
		c.Scope = ScopeResource
	}
	if typ := scopeTypes[c.Scope]; typ != "" {
		if len(c.Resource) > 0 {
			return nil, fmt.Errorf("read control %s: a control of scope %s has no resource: its document is that of %s", name, c.Scope, typ)
		}
		c.Resource = Texts{typ}
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("read control %s: %w", name, err)
	}
	for i := range c.Examples {
		e := &c.Examples[i]
		e.Document, _ = plain(e.Document).(map[string]any)
		for j := range e.With {
			e.With[j].Document, _ = plain(e.With[j].Document).(map[string]any)
		}
	}
	return c, nil
}

// plain turns what YAML gives into what documents hold.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = plain(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case int:
		return int64(v)
	case uint64:
		return int64(v)
	case float32:
		return float64(v)
	}
	return v
}

var (
	idPattern   = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)
	typePattern = regexp.MustCompile(`^[A-Za-z0-9]+::[A-Za-z0-9]+::[A-Za-z0-9]+$`)
)

// Framework is a catalogue of requirements that controls point into.
type Framework struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Edition string `json:"edition"`
	pattern *regexp.Regexp
}

// Frameworks lists the frameworks whose ids a control may carry.
func Frameworks() []Framework {
	return []Framework{
		{"waf", "AWS Well-Architected Framework, Security Pillar", "November 2024", regexp.MustCompile(`^SEC((01|10|11)-BP0[1-8]|02-BP0[1-6]|03-BP0[1-9]|0[4578]-BP0[1-4]|06-BP0[1-5]|09-BP0[1-3])$`)},
		{"cis-5", "CIS Amazon Web Services Foundations Benchmark", "5.0.0", regexp.MustCompile(`^[1-5](\.[0-9]+){1,3}$`)},
		{"cis-6", "CIS Amazon Web Services Foundations Benchmark", "6.0.0", regexp.MustCompile(`^[2-6](\.[0-9]+){1,3}$`)},
		{"fsbp", "AWS Foundational Security Best Practices", "1.0.0", regexp.MustCompile(`^[A-Z][A-Za-z0-9]+\.[0-9]+$`)},
		{"nist-800-53-r5", "NIST SP 800-53", "Revision 5", regexp.MustCompile(`^[A-Z]{2}-[0-9]+(\([0-9]+\))?$`)},
	}
}

// check finds what is wrong with the text of a control; it names everything.
func (c *Control) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !idPattern.MatchString(c.ID) {
		bad("id %q: want words of small letters and digits, joined by -", c.ID)
	}
	if !slices.Contains(finding.Pillars(), c.Pillar) {
		bad("pillar %q: want identity, detection, infrastructure, data or response", c.Pillar)
	}
	if c.Severity.Rank() == 0 {
		bad("severity %q: want critical, high, medium, low or informational", c.Severity)
	}
	switch c.Scope {
	case ScopeResource:
		if len(c.Resource) == 0 {
			bad("resource is missing: name the CloudFormation type, or give a scope")
		}
	case ScopeAccount, ScopeRegion, ScopeOrganization:
	default:
		bad("scope %q: want resource, account, region or organization", c.Scope)
	}
	for _, t := range c.Resource {
		if !typePattern.MatchString(t) {
			bad("resource %q: want a CloudFormation type name, as in AWS::S3::Bucket", t)
		}
	}
	for _, part := range []struct {
		name, text string
		least      int
	}{
		{"title", c.Title, 12}, {"assert", c.Assert, 3}, {"message", c.Message, 12}, {"why", c.Why, 60},
		{"fix.text", c.Fix.Text, 30}, {"fix.cli", c.Fix.CLI, 10}, {"fix.terraform", c.Fix.Terraform, 10},
	} {
		if n := len(strings.TrimSpace(part.text)); n == 0 {
			bad("%s is missing", part.name)
		} else if n < part.least {
			bad("%s is too thin: %d characters, want at least %d", part.name, n, part.least)
		}
	}
	c.checkFrameworks(bad)
	c.checkExamples(bad)
	return errors.Join(errs...)
}

func (c *Control) checkFrameworks(bad func(string, ...any)) {
	known := map[string]*regexp.Regexp{}
	for _, f := range Frameworks() {
		known[f.ID] = f.pattern
	}
	for _, name := range sortedKeys(c.Frameworks) {
		pattern := known[name]
		if pattern == nil {
			bad("framework %q: want one of %s", name, strings.Join(sortedKeys(known), ", "))
			continue
		}
		for _, id := range c.Frameworks[name] {
			if !pattern.MatchString(id) {
				bad("framework %s: %q is no id of it", name, id)
			}
		}
	}
}

func (c *Control) checkExamples(bad func(string, ...any)) {
	seen := map[string]int{}
	names := map[string]bool{}
	for i, e := range c.Examples {
		seen[e.Expect]++
		if e.Name == "" || names[e.Name] {
			bad("example %d: wants a name of its own", i+1)
		}
		names[e.Name] = true
		if !slices.Contains([]string{"pass", "fail", "unknown", "none"}, e.Expect) {
			bad("example %q: expect %q: want pass, fail, unknown or none", e.Name, e.Expect)
		}
		if len(c.Resource) > 1 && !slices.Contains(c.Resource, e.Type) {
			bad("example %q: type %q: want one of the control's", e.Name, e.Type)
		}
		for _, w := range e.With {
			if !typePattern.MatchString(w.Type) {
				bad("example %q: with type %q: want a CloudFormation type name", e.Name, w.Type)
			}
		}
	}
	if seen["pass"] == 0 {
		bad("examples: none passes")
	}
	if seen["fail"] == 0 {
		bad("examples: none fails")
	}
}

// Load reads every *.yaml of a tree as a control, in the order of the ids, and
// refuses two with the same id. It reads on after an error and names them all.
func Load(fsys fs.FS) ([]*Control, error) {
	var controls []*Control
	var errs []error
	files := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			return nil
		}
		data, err := readBounded(fsys, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read control %s: %w", name, err))
			return nil
		}
		c, err := ParseControl(name, data)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		if first, twice := files[c.ID]; twice {
			errs = append(errs, fmt.Errorf("read control %s: id %s stands in %s already", name, c.ID, first))
			return nil
		}
		files[c.ID] = name
		controls = append(controls, c)
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("read controls: %w", err))
	}
	slices.SortFunc(controls, func(a, b *Control) int { return strings.Compare(a.ID, b.ID) })
	return controls, errors.Join(errs...)
}

func readBounded(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxControl+1))
}
