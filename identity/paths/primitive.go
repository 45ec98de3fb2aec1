package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// TargetKind says what a primitive is aimed at.
type TargetKind string

// The kinds of target.
const (
	PassedRole TargetKind = "pass-role" // a role of the account that a service may assume
	Existing   TargetKind = "resource"  // a resource that runs as a role
	AnyUser    TargetKind = "user"      // another user of the account
	AnyRole    TargetKind = "role"      // another role; of any account if only assumed
	Self       TargetKind = "self"      // the user or role itself
	SelfUser   TargetKind = "self-user"
	SelfRole   TargetKind = "self-role"
	OwnGroup   TargetKind = "own-group"   // a group that the user is in
	OtherGroup TargetKind = "other-group" // a group that it is not in
)

// Plus says what the gained principal has in addition to its own policies.
type Plus string

// What can be added.
const (
	PlusNothing Plus = ""
	PlusAdmin   Plus = "admin" // a policy that allows everything
	PlusGroup   Plus = "group" // the policies of the group
)

// Target describes what a primitive is aimed at.
type Target struct {
	Kind     TargetKind `yaml:"kind" json:"kind"`
	Services []string   `yaml:"services,omitempty" json:"services,omitempty"` // one of which the role must trust
	Policy   bool       `yaml:"policy,omitempty" json:"policy,omitempty"`     // through a customer managed policy attached to it
	Type     string     `yaml:"type,omitempty" json:"type,omitempty"`         // of the existing resource
	Role     string     `yaml:"role,omitempty" json:"role,omitempty"`         // where its document names the role
	Optional bool       `yaml:"optional,omitempty" json:"optional,omitempty"` // without that member the resource has no role; else its role was not read
	ARN      string     `yaml:"arn,omitempty" json:"arn,omitempty"`           // of such a resource, where none was read
}

// Need is a precondition that permissions do not express.
type Need string

// The preconditions.
const (
	NeedsLoginProfile    Need = "login-profile"
	NeedsNoLoginProfile  Need = "no-login-profile"
	NeedsFreeAccessKey   Need = "free-access-key"
	NeedsInstanceProfile Need = "instance-profile"
	NeedsVersion         Need = "free-policy-version"
)

// Call is one step of a primitive: an API call with what it must be allowed on.
// In texts {word} stands for a value; a word that the target does not give is a
// name that the caller chooses.
type Call struct {
	Action  string              `yaml:"action" json:"action"`
	On      []string            `yaml:"on" json:"on"` // each must be allowed; in one, alternatives are parted by " or "
	Context map[string][]string `yaml:"context,omitempty" json:"context,omitempty"`
	Trusted bool                `yaml:"trusted,omitempty" json:"trusted,omitempty"` // the role's trust policy now names the caller
	CLI     string              `yaml:"cli" json:"cli"`
}

// Primitive is one way to gain the rights of somebody else.
type Primitive struct {
	ID        string `yaml:"id" json:"id"`
	Title     string `yaml:"title" json:"title"`
	Category  string `yaml:"category" json:"category"`
	Become    string `yaml:"become" json:"become"` // role, user or self
	Plus      Plus   `yaml:"plus,omitempty" json:"plus,omitempty"`
	Target    Target `yaml:"target" json:"target"`
	Needs     []Need `yaml:"needs,omitempty" json:"needs,omitempty"`
	Steps     []Call `yaml:"steps" json:"steps"`
	Note      string `yaml:"note,omitempty" json:"note,omitempty"` // what else it takes, which an estate does not show
	Detection string `yaml:"detection" json:"detection"`
	Fix       string `yaml:"fix" json:"fix"`

	assumes bool // a step assumes the role under the trust policy that it has
}

// ErrPrimitive is wrapped by every error of Load.
var ErrPrimitive = errors.New("malformed escalation primitive")

// Load reads the primitives of a directory of YAML files, sorted by id.
func Load(dir fs.FS) ([]*Primitive, error) {
	names, err := fs.Glob(dir, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("read escalation primitives: %w", err)
	}
	var all []*Primitive
	seen := map[string]string{}
	for _, name := range names {
		data, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, fmt.Errorf("read escalation primitives: %w", err)
		}
		list, err := Parse(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(name), err)
		}
		for _, p := range list {
			if other, twice := seen[p.ID]; twice {
				return nil, fmt.Errorf("%s: %w: %s stands in %s, too", name, ErrPrimitive, p.ID, other)
			}
			seen[p.ID] = name
		}
		all = append(all, list...)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return all, nil
}

// Parse reads one file of primitives and checks each against the catalogue of
// actions: the actions exist, and each accepts the resources of its step.
func Parse(data []byte) ([]*Primitive, error) {
	var f struct {
		Escalations []*Primitive `yaml:"escalations"`
	}
	if err := yaml.UnmarshalWithOptions(data, &f, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPrimitive, err)
	}
	for i, p := range f.Escalations {
		if p == nil {
			return nil, fmt.Errorf("%w: entry %d is empty", ErrPrimitive, i)
		}
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrPrimitive, p.ID, err)
		}
	}
	return f.Escalations, nil
}

var (
	kinds = []TargetKind{PassedRole, Existing, AnyUser, AnyRole, Self, SelfUser, SelfRole, OwnGroup, OtherGroup}
	needs = []Need{NeedsLoginProfile, NeedsNoLoginProfile, NeedsFreeAccessKey, NeedsInstanceProfile, NeedsVersion}
)

func (p *Primitive) check() error {
	t := p.Target
	switch {
	case p.ID == "" || p.Title == "" || p.Category == "" || p.Detection == "" || p.Fix == "":
		return errors.New("want id, title, category, detection and fix")
	case !slices.Contains([]string{"role", "user", "self"}, p.Become):
		return fmt.Errorf("become %q: want role, user or self", p.Become)
	case !slices.Contains([]Plus{PlusNothing, PlusAdmin, PlusGroup}, p.Plus):
		return fmt.Errorf("plus %q: want admin or group", p.Plus)
	case !slices.Contains(kinds, t.Kind):
		return fmt.Errorf("target kind %q: want one of %v", t.Kind, kinds)
	case (t.Kind == PassedRole || t.Kind == Existing) != (len(t.Services) > 0):
		return errors.New("services belong to the targets pass-role and resource")
	case (t.Kind == Existing) != (t.Type != "" && t.Role != "" && t.ARN != ""):
		return errors.New("type, role and arn belong to the target resource")
	case len(p.Steps) == 0:
		return errors.New("no steps")
	case (p.Become == "self") != (p.targetsSelf() || t.Kind == OwnGroup || t.Kind == OtherGroup):
		return fmt.Errorf("become %s does not fit the target %s", p.Become, t.Kind)
	case p.Become == "self" && p.Plus == PlusNothing:
		return errors.New("become self needs plus")
	}
	for _, n := range p.Needs {
		if !slices.Contains(needs, n) {
			return fmt.Errorf("needs %q: want one of %v", n, needs)
		}
	}
	for i := range p.Steps {
		if err := p.Steps[i].check(p); err != nil {
			return fmt.Errorf("step %s: %w", p.Steps[i].Action, err)
		}
		if p.Steps[i].Action == "sts:AssumeRole" && !p.Steps[i].Trusted {
			p.assumes = true
		}
	}
	return nil
}

func (p *Primitive) targetsSelf() bool {
	return p.Target.Kind == Self || p.Target.Kind == SelfUser || p.Target.Kind == SelfRole
}

func (c *Call) check(p *Primitive) error {
	cat := catalog.Default()
	a, ok := cat.Action(c.Action)
	switch {
	case !ok || a.String() != c.Action:
		return errors.New("no such action")
	case len(c.On) == 0 || c.CLI == "":
		return errors.New("want on and cli")
	case c.Trusted && c.Action != "sts:AssumeRole":
		return errors.New("trusted belongs to sts:AssumeRole")
	}
	for _, list := range c.On {
		for _, on := range strings.Split(list, alternative) {
			if err := takesOn(a, on, p.Target.ARN); err != nil {
				return err
			}
		}
	}
	known := cat.ActionKeys(a)
	for _, k := range slices.Sorted(maps.Keys(c.Context)) {
		if !slices.Contains(known, k) {
			return fmt.Errorf("context %s: the action has no such key", k)
		}
	}
	return nil
}

// alternative parts resources of which one will do.
const alternative = " or "

// takesOn checks that an action takes a resource of a step.
func takesOn(a *catalog.Action, on, target string) error {
	switch {
	case on == "*" && !a.WildcardOnly():
		return errors.New("the action takes resources; * does not do")
	case on == "*":
		return nil
	case a.WildcardOnly():
		return fmt.Errorf("on %s: the action takes no resource but *", on)
	}
	// {…} becomes a wildcard, and the ARN of a target one of its kind.
	shape := on
	for from, to := range map[string]string{
		"{role.arn}": "arn:*:iam::*:role/*", "{user.arn}": "arn:*:iam::*:user/*", "{self.arn}": "arn:*:iam::*:*",
		"{group.arn}": "arn:*:iam::*:group/*", "{policy.arn}": "arn:*:iam::*:policy/*", "{resource.arn}": target,
	} {
		shape = strings.ReplaceAll(shape, from, to)
	}
	for {
		before, rest, open := strings.Cut(shape, "{")
		_, after, closed := strings.Cut(rest, "}")
		if !open || !closed {
			break
		}
		shape = before + "*" + after
	}
	fits := func(shape string) bool {
		return slices.ContainsFunc(catalog.Default().ResourceTypesOf(a), func(t *catalog.ResourceType) bool { return catalog.MatchARN(shape, t) })
	}
	// What AWS owns has no account in its ARN.
	if f := strings.SplitN(shape, ":", 6); len(f) == 6 && f[4] == "" && f[3] != "" && !fits(shape) {
		f[4] = "*"
		shape = strings.Join(f, ":")
	}
	if !fits(shape) {
		return fmt.Errorf("on %s: no resource type of the action has such an ARN", on)
	}
	return nil
}

// expand fills the values into a text. What has no value stays.
func expand(text string, values map[string]string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if v, known := values[name]; known && closed {
			b.WriteString(v)
		} else if closed {
			b.WriteString("{" + name + "}")
		} else {
			b.WriteString("{" + rest)
			return b.String()
		}
		text = after
	}
}

// free lists the names that a text leaves open, in order.
func free(text string) []string {
	var names []string
	for {
		_, rest, ok := strings.Cut(text, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !ok || !closed {
			return names
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		text = after
	}
}
