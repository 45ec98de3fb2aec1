package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Catalogue says what can be collected. It is immutable.
type Catalogue struct {
	types       []*Type
	byName      map[string][]*Type
	permissions map[string]string // service:Operation to IAM action
	prefixes    map[string]string // service to IAM prefix
	unavailable []string
}

// Type is how the resources of one type are read.
type Type struct {
	Name    string
	Variant string // tells entries of the same type apart
	Doc     string // one sentence for the documentation
	Global  bool   // read once per account, in the partition's home region
	Single  bool   // exactly one per account or region, without a list operation
	When    string // "@management": in an organization's management account only
	List    List
	More    []More // further operations per item, in order

	id, arn  string
	tags     path
	region   *regionRule
	gone     []string
	decode   []decoding
	redact   []path
	parent   *Type
	children []*Type
}

// List is the operation that names the resources.
type List struct {
	Service, Operation string

	input   map[string]any
	items   path
	bare    string
	each    map[string][]any
	recurse bool
	absent  []string
	where   [2]string         // path and the value it must have
	drop    map[string]string // paths and values, as in "aws*" and "0?", of items that are left out if all agree
}

// More is a further operation per resource.
type More struct {
	Service, Operation string
	Part               string // the document's member that it fills; "" when merged
	Option             string // only with this option switched on

	input  map[string]any
	merge  path
	merged bool
	forAll path
	when   string
	absent []string
	decode []decoding
	redact []path
	keep   []keeping
	before *before
}

type decoding struct {
	at  path
	how string
}

// keeping reduces a list to the items whose member has one of the values.
type keeping struct {
	at     path
	member string
	values []string
}

// before is an operation that is called until its answer says so.
type before struct {
	service, operation string
	at                 path
	want               string
}

type regionRule struct {
	from     path
	fallback string
	names    map[string]string
}

// The YAML of a catalogue file.
type (
	fileYAML struct {
		Service     string            `yaml:"service"`
		Prefixes    map[string]string `yaml:"prefixes"`
		Scope       string            `yaml:"scope"`
		Permissions map[string]string `yaml:"permissions"`
		Unavailable []string          `yaml:"unavailable"`
		Types       []typeYAML        `yaml:"types"`
	}
	typeYAML struct {
		Type    string            `yaml:"type"`
		Variant string            `yaml:"variant"`
		Doc     string            `yaml:"doc"`
		Scope   string            `yaml:"scope"`
		Single  bool              `yaml:"single"`
		When    string            `yaml:"when"`
		Of      string            `yaml:"of"`
		List    listYAML          `yaml:"list"`
		ID      string            `yaml:"id"`
		ARN     string            `yaml:"arn"`
		Tags    string            `yaml:"tags"`
		Region  *regionYAML       `yaml:"region"`
		Gone    []string          `yaml:"gone"`
		Decode  map[string]string `yaml:"decode"`
		Redact  []string          `yaml:"redact"`
		More    []moreYAML        `yaml:"more"`
	}
	listYAML struct {
		Call    string           `yaml:"call"`
		Items   string           `yaml:"items"`
		Input   map[string]any   `yaml:"input"`
		Bare    string           `yaml:"bare"`
		Each    map[string][]any `yaml:"each"`
		Recurse bool             `yaml:"recurse"`
		Absent  []string         `yaml:"absent"`
		Where   string           `yaml:"where"`

		Drop map[string]string `yaml:"drop"`
	}
	moreYAML struct {
		Call   string                         `yaml:"call"`
		As     string                         `yaml:"as"`
		Input  map[string]any                 `yaml:"input"`
		Merge  string                         `yaml:"merge"`
		For    string                         `yaml:"for"`
		When   string                         `yaml:"when"`
		Option string                         `yaml:"option"`
		Absent []string                       `yaml:"absent"`
		Decode map[string]string              `yaml:"decode"`
		Redact []string                       `yaml:"redact"`
		Keep   map[string]map[string][]string `yaml:"keep"`
		Before *beforeYAML                    `yaml:"before"`
	}
	beforeYAML struct {
		Call  string `yaml:"call"`
		Until string `yaml:"until"`
	}
	regionYAML struct {
		From    string            `yaml:"from"`
		Default string            `yaml:"default"`
		Names   map[string]string `yaml:"names"`
	}
)

// ParseCatalogue reads every YAML file of a directory. An error names the file,
// the type and what is wrong.
func ParseCatalogue(files fs.FS, dir string) (*Catalogue, error) {
	names, err := fs.Glob(files, dir+"/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	c := &Catalogue{byName: map[string][]*Type{}, permissions: map[string]string{}, prefixes: map[string]string{}}
	of := map[*Type]string{}
	for _, name := range names {
		src, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		var f fileYAML
		if err := yaml.UnmarshalWithOptions(src, &f, yaml.Strict()); err != nil {
			return nil, fmt.Errorf("read catalogue %s: %w", name, err)
		}
		if err := c.add(f, of); err != nil {
			return nil, fmt.Errorf("read catalogue %s: %w", name, err)
		}
	}
	for _, t := range c.types {
		if of[t] == "" {
			continue
		}
		parents := c.byName[of[t]]
		if len(parents) != 1 || parents[0].Global != t.Global {
			return nil, fmt.Errorf("read catalogue: %s: parent %s must be one entry of the same scope", t.Name, of[t])
		}
		t.parent = parents[0]
		parents[0].children = append(parents[0].children, t)
	}
	return c, nil
}

func (c *Catalogue) add(f fileYAML, of map[*Type]string) error {
	for call, action := range f.Permissions {
		if c.permissions[call] != "" {
			return fmt.Errorf("permission of %s is given twice", call)
		}
		c.permissions[call] = action
	}
	maps.Copy(c.prefixes, f.Prefixes)
	c.unavailable = append(c.unavailable, f.Unavailable...)
	for _, y := range f.Types {
		t, err := c.parseType(f, y)
		if err != nil {
			return fmt.Errorf("%s: %w", y.Type, err)
		}
		for _, other := range c.byName[t.Name] {
			if other.Variant == t.Variant {
				return fmt.Errorf("%s: given twice; a variant must tell them apart", t.Name)
			}
		}
		c.types = append(c.types, t)
		c.byName[t.Name] = append(c.byName[t.Name], t)
		of[t] = y.Of
	}
	return nil
}

func (c *Catalogue) parseType(f fileYAML, y typeYAML) (*Type, error) {
	if strings.Count(y.Type, "::") != 2 || y.ID == "" {
		return nil, errors.New("a type needs a CloudFormation name and an id")
	}
	where := y.Scope
	if where == "" {
		where = f.Scope
	}
	if where != "" && where != "global" && where != "regional" {
		return nil, fmt.Errorf("scope %q: want global or regional", where)
	}
	t := &Type{Name: y.Type, Variant: y.Variant, Doc: y.Doc, Global: where == "global", Single: y.Single,
		When: y.When, id: y.ID, arn: y.ARN, gone: y.Gone}
	var err error
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	parse := func(s string) path {
		p, e := parsePath(s)
		fail(e)
		return p
	}
	if y.When != "" && y.When != "@management" {
		fail(fmt.Errorf("when %q: want @management", y.When))
	}
	if y.Single == (y.List.Call != "") {
		fail(errors.New("want either a list or single"))
	}
	if y.List.Call != "" {
		l := &t.List
		l.Service, l.Operation = split(f.Service, y.List.Call)
		l.input, l.items, l.bare, l.recurse, l.absent = y.List.Input, parse(y.List.Items), y.List.Bare, y.List.Recurse, y.List.Absent
		l.each, l.drop = y.List.Each, y.List.Drop
		if at, want, ok := strings.Cut(y.List.Where, "="); ok {
			l.where = [2]string{at, want}
		} else if y.List.Where != "" {
			fail(fmt.Errorf("where %q: want Path=value", y.List.Where))
		}
		if y.List.Items == "" {
			fail(errors.New("a list needs items"))
		}
		if len(l.each) > 1 {
			fail(errors.New("each takes one parameter"))
		}
	}
	t.tags = parse(y.Tags)
	t.decode = decodings(y.Decode, fail)
	t.redact = paths(y.Redact, fail)
	if y.Region != nil {
		t.region = &regionRule{parse(y.Region.From), y.Region.Default, y.Region.Names}
		if len(t.region.from) == 0 {
			fail(errors.New("region: from is missing"))
		}
	}
	parts := map[string]bool{}
	for _, m := range y.More {
		more, e := parseMore(f.Service, m)
		if e != nil {
			return nil, fmt.Errorf("%s: %w", m.Call, e)
		}
		if more.Part != "" && more.forAll == nil && parts[more.Part] {
			fail(fmt.Errorf("%s: fills the same member twice; use as", m.Call))
		}
		if t.Single && (more.merged || more.forAll != nil) {
			fail(fmt.Errorf("%s: the operations of a single resource are called at once; merge and for need an order", m.Call))
		}
		parts[more.Part] = true
		t.More = append(t.More, more)
	}
	return t, err
}

func parseMore(service string, y moreYAML) (More, error) {
	var err error
	fail := func(e error) {
		if err == nil {
			err = e
		}
	}
	m := More{Option: y.Option, input: y.Input, when: y.When, absent: y.Absent, merged: y.Merge != ""}
	m.Service, m.Operation = split(service, y.Call)
	parse := func(s string) path {
		p, e := parsePath(s)
		fail(e)
		return p
	}
	m.merge, m.forAll = parse(y.Merge), parse(y.For)
	m.decode = decodings(y.Decode, fail)
	m.redact = paths(y.Redact, fail)
	switch {
	case m.Operation == "":
		fail(errors.New("the call is missing"))
	case y.As != "" && m.merged:
		fail(errors.New("what is merged has no name"))
	case !m.merged:
		m.Part = y.As
		if m.Part == "" {
			m.Part = m.Operation
		}
	}
	for at, by := range y.Keep {
		for member, values := range by {
			m.keep = append(m.keep, keeping{parse(strings.TrimSuffix(at, "[]")), member, values})
		}
	}
	if y.Before != nil {
		at, want, ok := strings.Cut(y.Before.Until, "=")
		if !ok {
			fail(fmt.Errorf("until %q: want Path=value", y.Before.Until))
		}
		m.before = &before{at: parse(at), want: want}
		m.before.service, m.before.operation = split(service, y.Before.Call)
	}
	return m, err
}

func split(service, call string) (string, string) {
	if s, op, ok := strings.Cut(call, ":"); ok {
		return s, op
	}
	return service, call
}

func decodings(m map[string]string, fail func(error)) []decoding {
	var out []decoding
	for at, how := range m {
		p, err := parsePath(at)
		if err != nil {
			fail(err)
		}
		if how != "policy" && how != "csv" {
			fail(fmt.Errorf("decode %q: want policy or csv", how))
		}
		out = append(out, decoding{p, how})
	}
	return out
}

func paths(list []string, fail func(error)) []path {
	var out []path
	for _, s := range list {
		p, err := parsePath(s)
		if err != nil {
			fail(err)
		}
		out = append(out, p)
	}
	return out
}

// Types returns every entry in the order of the files.
func (c *Catalogue) Types() []*Type { return slices.Clone(c.types) }

// Permission returns the IAM action that allows an operation, or "" where none
// is needed.
func (c *Catalogue) Permission(service, operation string) string {
	if a, ok := c.permissions[service+":"+operation]; ok {
		if a == "-" {
			return ""
		}
		return a
	}
	prefix := service
	if p, ok := c.prefixes[service]; ok {
		prefix = p
	}
	return prefix + ":" + operation
}

// Select returns the entries whose type or service is named; no names mean all.
// Types may end in * (AWS::EC2::*). A child brings its parents. An error names
// what the catalogue does not have.
func (c *Catalogue) Select(types, services []string) ([]*Type, error) {
	if len(types) == 0 && len(services) == 0 {
		return c.Types(), nil
	}
	want := map[*Type]bool{}
	pick := func(match func(*Type) bool) (found bool) {
		for _, t := range c.types {
			if match(t) {
				found = true
				for ; t != nil; t = t.parent {
					want[t] = true
				}
			}
		}
		return found
	}
	for _, name := range types {
		stem, wild := strings.CutSuffix(name, "*")
		if !pick(func(t *Type) bool {
			return strings.EqualFold(t.Name, name) || wild && len(t.Name) >= len(stem) && strings.EqualFold(t.Name[:len(stem)], stem)
		}) {
			return nil, fmt.Errorf("resource type %q is not in the catalogue", name)
		}
	}
	for _, name := range services {
		if !pick(func(t *Type) bool {
			return strings.EqualFold(t.List.Service, name) || strings.EqualFold(strings.Split(t.Name, "::")[1], name)
		}) {
			return nil, fmt.Errorf("service %q is not in the catalogue", name)
		}
	}
	var out []*Type
	for _, t := range c.types {
		if want[t] {
			out = append(out, t)
		}
	}
	return out, nil
}
