package catalog

import "strings"

// Service is one service of the authorization reference.
type Service struct {
	Prefix        string // as in actions and ARNs of policies: s3
	Name          string // as AWS titles it: Amazon S3
	Actions       []*Action
	ResourceTypes []*ResourceType
	ConditionKeys []*ConditionKey

	actions map[string]*Action
	types   map[string]*ResourceType
	keys    keyIndex
}

// Action returns the service's action of that name, in any case.
func (s *Service) Action(name string) (*Action, bool) {
	a, ok := s.actions[strings.ToLower(name)]
	return a, ok
}

// ResourceType returns the service's resource type of that name, in any case.
func (s *Service) ResourceType(name string) (*ResourceType, bool) {
	t, ok := s.types[strings.ToLower(name)]
	return t, ok
}

// AccessLevel is AWS's classification of an action.
type AccessLevel string

// The access levels of the authorization reference.
const (
	List        AccessLevel = "List"
	Read        AccessLevel = "Read"
	Write       AccessLevel = "Write"
	Tagging     AccessLevel = "Tagging"
	Permissions AccessLevel = "Permissions management"
)

// Action is one action of one service.
type Action struct {
	Service          string // the prefix, s3
	Name             string // GetObject
	Level            AccessLevel
	ResourceTypes    []ActionResource
	ConditionKeys    []string // keys of the action itself, templates such as aws:RequestTag/${TagKey} included
	DependentActions []string // full names
}

// String returns the full name, s3:GetObject.
func (a *Action) String() string { return a.Service + ":" + a.Name }

// WildcardOnly reports whether the action accepts no resource but "*", because
// the reference names no resource type for it.
func (a *Action) WildcardOnly() bool { return len(a.ResourceTypes) == 0 }

// ActionResource is a resource type that an action works on.
type ActionResource struct {
	Type             string
	Required         bool // the action fails unless a resource of this type is allowed
	ConditionKeys    []string
	DependentActions []string
}

// ResourceType is a kind of resource with the format of its ARN.
type ResourceType struct {
	Service       string
	Name          string
	ARN           string // with variables: arn:${Partition}:s3:::${BucketName}
	ConditionKeys []string
}

// KeyType is the type of a condition key's values.
type KeyType string

// The types of condition keys. Multi-valued keys are ArrayOf and one of these.
const (
	String    KeyType = "String"
	ARN       KeyType = "ARN"
	Bool      KeyType = "Bool"
	Numeric   KeyType = "Numeric"
	Date      KeyType = "Date"
	IPAddress KeyType = "IPAddress"
	Binary    KeyType = "Binary"
)

// ConditionKey is a key that a policy's Condition element can name.
type ConditionKey struct {
	Key         string // AWS's spelling, perhaps a template: aws:RequestTag/${TagKey}
	Type        KeyType
	MultiValued bool   // the request may carry several values (ArrayOf…)
	Global      bool   // available across services
	Category    string // of global keys: principal, session, network, resource, request
}

// Template reports whether the key has a part that the policy author chooses,
// such as a tag key.
func (k *ConditionKey) Template() bool { return strings.Contains(k.Key, "${") }

// Prefix returns what stands before the first colon: aws, s3, saml.
func (k *ConditionKey) Prefix() string {
	p, _, _ := strings.Cut(k.Key, ":")
	return p
}
