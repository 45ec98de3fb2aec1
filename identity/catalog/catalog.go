package catalog

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bartizan-security/bartizan/internal/glob"
)

//go:embed data/iam.bin
var embedded []byte

// inEffect is the catalogue of this process.
var inEffect struct {
	once sync.Once
	*Catalog
}

// Default returns the catalogue that everything in this process goes by: the
// embedded one, unless [Use] has named another.
func Default() *Catalog {
	inEffect.once.Do(func() { inEffect.Catalog = Embedded() })
	return inEffect.Catalog
}

// Use makes another catalogue the default, and reports whether it is. What was
// learnt from a catalogue is kept for the life of the process, so this must come
// before the first question: once Default has answered, nothing changes it.
func Use(c *Catalog) bool {
	inEffect.once.Do(func() { inEffect.Catalog = c })
	return inEffect.Catalog == c
}

// Embedded returns the catalogue that is part of the program.
var Embedded = sync.OnceValue(func() *Catalog {
	c, err := Open(embedded)
	if err != nil {
		panic("the embedded catalogue is damaged: " + err.Error())
	}
	return c
})

// header is the JSON at the front of a catalogue file.
type header struct {
	Kind     string              `json:"kind"` // "iam"
	Source   string              `json:"source"`
	Version  string              `json:"version"`
	SHA256   string              `json:"sha256"` // of the package the data came from
	Updated  string              `json:"updated,omitempty"`
	Services []entry             `json:"services"`
	Global   []globalKey         `json:"global"`
	Prefixes map[string][]string `json:"prefixes"` // key prefix to the services that define its keys, where they differ
	ARNs     map[string][]string `json:"arns"`     // service part of ARNs to the services that define such resource types
	RCP      []string            `json:"rcp"`
}

type globalKey struct {
	Key      string `json:"k"`
	Type     string `json:"t"`
	Category string `json:"c"`
}

// Catalog is one version of the service authorization reference. It is safe for
// concurrent use.
type Catalog struct {
	c       container[header]
	order   []string
	lazy    map[string]func() (*Service, error)
	global  keyIndex
	globals []*ConditionKey
	rcp     map[string]bool
}

// Open reads a catalogue file, as Build writes it. The error wraps ErrFormat.
// It keeps data.
func Open(data []byte) (*Catalog, error) {
	box, err := openContainer[header](data)
	if err != nil {
		return nil, err
	}
	if box.header.Kind != "iam" {
		return nil, fmt.Errorf("read header: %w: kind %q, want %q", ErrFormat, box.header.Kind, "iam")
	}
	c := &Catalog{c: box, lazy: map[string]func() (*Service, error){}, global: newKeyIndex(), rcp: map[string]bool{}}
	for _, e := range box.header.Services {
		c.order = append(c.order, e.Name)
		c.lazy[e.Name] = sync.OnceValues(func() (*Service, error) {
			raw, err := box.block(e)
			if err != nil {
				return nil, err
			}
			s, err := decodeService(raw)
			if err != nil {
				return nil, fmt.Errorf("read service %s: %w", e.Name, err)
			}
			return s, nil
		})
	}
	if !slices.IsSorted(c.order) {
		return nil, fmt.Errorf("read header: %w: the services are not sorted", ErrFormat)
	}
	for _, g := range box.header.Global {
		t, multi := keyType(g.Type)
		k := &ConditionKey{Key: g.Key, Type: t, MultiValued: multi, Global: true, Category: g.Category}
		c.globals = append(c.globals, k)
		c.global.add(k)
	}
	for _, s := range box.header.RCP {
		c.rcp[s] = true
	}
	return c, nil
}

// Check decodes everything, as a file from elsewhere deserves before it is used.
func (c *Catalog) Check() error {
	for _, name := range c.order {
		s, err := c.lazy[name]()
		if err != nil {
			return err
		}
		if s.Prefix != name {
			return fmt.Errorf("read service %s: %w: the block is of %s", name, ErrFormat, s.Prefix)
		}
	}
	if len(c.order) == 0 {
		return fmt.Errorf("%w: no services", ErrFormat)
	}
	return nil
}

// Version returns the version of the source package.
func (c *Catalog) Version() string { return c.c.header.Version }

// Source returns the package that the data came from and its SHA-256.
func (c *Catalog) Source() (name, sha256 string) { return c.c.header.Source, c.c.header.SHA256 }

// Services returns every service prefix, sorted. The caller must not change it.
func (c *Catalog) Services() []string { return c.order }

// Service returns the service with that prefix, in any case.
func (c *Catalog) Service(prefix string) (*Service, bool) {
	load, ok := c.lazy[strings.ToLower(prefix)]
	if !ok {
		return nil, false
	}
	s, err := load()
	return s, err == nil
}

// Action returns the action with that full name, such as s3:GetObject, in any case.
func (c *Catalog) Action(name string) (*Action, bool) {
	prefix, action, ok := strings.Cut(name, ":")
	if !ok {
		return nil, false
	}
	s, ok := c.Service(prefix)
	if !ok {
		return nil, false
	}
	return s.Action(action)
}

// ServicesMatching returns the services that a prefix with wildcards names.
func (c *Catalog) ServicesMatching(pattern string) []*Service {
	pattern = strings.ToLower(pattern)
	if !strings.ContainsAny(pattern, "*?") {
		if s, ok := c.Service(pattern); ok {
			return []*Service{s}
		}
		return nil
	}
	var out []*Service
	for _, name := range c.order {
		if glob.Match(pattern, name) {
			if s, ok := c.Service(name); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// ExpandAction returns the actions that a policy's pattern names, sorted by
// service and name: "s3:Get*", "*", "s3:GetObject". Nothing matches a pattern
// without a colon except "*".
func (c *Catalog) ExpandAction(pattern string) []*Action {
	prefix, name, ok := strings.Cut(strings.ToLower(pattern), ":")
	if !ok {
		if strings.Trim(pattern, "*") != "" || pattern == "" {
			return nil
		}
		prefix, name = "*", "*"
	}
	var out []*Action
	for _, s := range c.ServicesMatching(prefix) {
		if !strings.ContainsAny(name, "*?") {
			if a, ok := s.Action(name); ok {
				out = append(out, a)
			}
			continue
		}
		for _, a := range s.Actions {
			if glob.Match(name, strings.ToLower(a.Name)) {
				out = append(out, a)
			}
		}
	}
	return out
}

// Matches reports whether the pattern names at least one known action.
func (c *Catalog) Matches(pattern string) bool {
	prefix, name, ok := strings.Cut(strings.ToLower(pattern), ":")
	if !ok {
		return len(c.ExpandAction(pattern)) > 0
	}
	for _, s := range c.ServicesMatching(prefix) {
		if name == "*" && len(s.Actions) > 0 {
			return true
		}
		if _, ok := s.actions[name]; ok {
			return true
		}
		if !strings.ContainsAny(name, "*?") {
			continue
		}
		for low := range s.actions {
			if glob.Match(name, low) {
				return true
			}
		}
	}
	return false
}

// ResourceTypesOf returns the resource types an action works on, none for one
// that accepts only "*".
func (c *Catalog) ResourceTypesOf(a *Action) []*ResourceType {
	s, ok := c.Service(a.Service)
	if !ok {
		return nil
	}
	var out []*ResourceType
	for _, r := range a.ResourceTypes {
		if t, ok := s.ResourceType(r.Type); ok {
			out = append(out, t)
		}
	}
	return out
}

// ARNTypes returns the resource types whose ARNs have that service part, of every
// service: arn:aws:iam… is used by iam, sts and others. It reports false for a
// service part that no resource type and no service has.
func (c *Catalog) ARNTypes(service string) ([]*ResourceType, bool) {
	low := strings.ToLower(service)
	owners, known := c.c.header.ARNs[low]
	_, isService := c.lazy[low]
	var out []*ResourceType
	for _, name := range owners {
		s, ok := c.Service(name)
		if !ok {
			continue
		}
		for _, t := range s.ResourceTypes {
			if arnService(t) == low {
				out = append(out, t)
			}
		}
	}
	return out, known || isService
}

// arnService returns the service part of a type's ARNs. Where the format leaves
// it open (recovery points of AWS Backup) that is the service itself.
func arnService(t *ResourceType) string {
	if f := SplitARN(t.ARN); len(f) == 6 && !strings.Contains(f[2], "$") {
		return f[2]
	}
	return t.Service
}

// GlobalConditionKeys returns the keys that are available across services.
func (c *Catalog) GlobalConditionKeys() []*ConditionKey { return c.globals }

// ConditionKey returns the key a policy names, in any case: a global key, a key
// of the service with its prefix, or one of a federation provider. A key such as
// aws:RequestTag/team finds the template aws:RequestTag/${TagKey}.
func (c *Catalog) ConditionKey(key string) (*ConditionKey, bool) {
	low := strings.ToLower(key)
	if k, ok := c.global.find(low); ok {
		return k, true
	}
	prefix, _, ok := strings.Cut(low, ":")
	if !ok {
		return nil, false
	}
	if s, ok := c.Service(prefix); ok {
		if k, ok := s.keys.find(low); ok {
			return k, true
		}
	}
	others := c.c.header.Prefixes[prefix]
	if strings.Contains(prefix, ".") { // a federation provider; some are templates themselves
		others = []string{"sts"}
	}
	for _, name := range others {
		if s, ok := c.Service(name); ok {
			if k, ok := s.keys.find(low); ok {
				return k, true
			}
		}
	}
	return nil, false
}

// KnownKeyPrefix reports whether some known condition key starts with prefix and
// a colon: a service, aws, or a federation provider.
func (c *Catalog) KnownKeyPrefix(prefix string) bool {
	low := strings.ToLower(prefix)
	_, service := c.lazy[low]
	_, other := c.c.header.Prefixes[low]
	return low == "aws" || service || other
}

// ActionKeys returns every condition key that requests of the action carry:
// those of the action and of its resource types. Keys that all requests can
// carry (GlobalConditionKeys without tags) are not repeated.
func (c *Catalog) ActionKeys(a *Action) []string {
	seen := map[string]bool{}
	var out []string
	add := func(keys []string) {
		for _, k := range keys {
			if low := strings.ToLower(k); !seen[low] {
				seen[low] = true
				out = append(out, k)
			}
		}
	}
	add(a.ConditionKeys)
	for _, r := range a.ResourceTypes {
		add(r.ConditionKeys)
	}
	for _, t := range c.ResourceTypesOf(a) {
		add(t.ConditionKeys)
	}
	slices.Sort(out)
	return out
}

// SupportsRCP reports whether resource control policies apply to the service.
//
// Source: https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_rcps.html
func (c *Catalog) SupportsRCP(prefix string) bool { return c.rcp[strings.ToLower(prefix)] }

// RCPServices returns the services that resource control policies apply to.
func (c *Catalog) RCPServices() []string { return c.c.header.RCP }

func keyType(s string) (KeyType, bool) {
	base, multi := strings.CutPrefix(s, "ArrayOf")
	return KeyType(base), multi
}
