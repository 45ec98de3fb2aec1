package identity

import (
	"strings"
)

// Request is one request to AWS: who wants to do what to which resource, and
// the circumstances that conditions look at.
type Request struct {
	Principal       string // see ParseCaller
	Action          string // s3:GetObject
	Resource        string // an ARN, or * for an action that has no resource
	ResourceAccount string // who owns the resource; "": see ResourceOwner

	// Context holds the condition keys of the request with their values. Case
	// does not matter in keys. A key without values counts as absent.
	Context map[string][]string
	// UnknownContext names keys that the request may or may not carry, with
	// values that are not known. A name that ends in /* stands for all keys with
	// that prefix, such as aws:RequestTag/*.
	UnknownContext []string
	// ManagementAccount is the management account of the organization, where
	// service control policies do not apply. Without it the context's
	// aws:PrincipalOrgMasterAccountId is used.
	ManagementAccount string
}

// ResourceOwner returns the account that owns the resource: ResourceAccount,
// or the account in the resource's ARN, or else the principal's account.
func (r *Request) ResourceOwner() string {
	if r.ResourceAccount != "" {
		return r.ResourceAccount
	}
	if seg, ok := splitARN(r.Resource); ok && isAccountID(seg[4]) {
		return seg[4]
	}
	c, err := ParseCaller(r.Principal)
	if err != nil {
		return ""
	}
	return c.AccountID
}

type keyState uint8

const (
	keyAbsent keyState = iota
	keyPresent
	keyUnknown
)

// value looks a key up in what the caller supplied.
func (r *Request) value(key string) ([]string, keyState) {
	for _, u := range r.UnknownContext {
		if len(u) >= 2 && u[len(u)-2:] == "/*" {
			if p := u[:len(u)-1]; len(key) >= len(p) && strings.EqualFold(key[:len(p)], p) {
				return nil, keyUnknown
			}
		} else if strings.EqualFold(u, key) {
			return nil, keyUnknown
		}
	}
	if v, ok := r.Context[key]; ok {
		if len(v) == 0 {
			return nil, keyAbsent
		}
		return v, keyPresent
	}
	best := ""
	found := false
	for k := range r.Context {
		if strings.EqualFold(k, key) && (!found || k < best) {
			best, found = k, true
		}
	}
	if v := r.Context[best]; found && len(v) > 0 {
		return v, keyPresent
	}
	return nil, keyAbsent
}

// lookup is value with the keys that AWS derives from the request itself. What
// the caller supplied is never overridden.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func (e *evaluation) lookup(k *contextKey) ([]string, keyState) {
	if v, state := e.req.value(k.name); state != keyAbsent {
		return v, state
	}
	if k.derived == notDerived {
		return nil, keyAbsent
	}
	if v, ok := e.derive(k.derived); ok {
		e.derived[k.derived][0] = v
		return e.derived[k.derived][:], keyPresent
	}
	return nil, keyAbsent
}

type derivedKey uint8

const (
	notDerived derivedKey = iota
	principalArn
	principalAccount
	principalType
	principalIsService
	principalServiceName
	userName
	userID
	resourceAccount
	derivedKeys // how many there are
)

func derivedFrom(lower string) derivedKey {
	switch lower {
	case "aws:principalarn":
		return principalArn
	case "aws:principalaccount", "kms:calleraccount":
		return principalAccount
	case "aws:principaltype":
		return principalType
	case "aws:principalisawsservice":
		return principalIsService
	case "aws:principalservicename":
		return principalServiceName
	case "aws:username":
		return userName
	case "aws:userid":
		return userID
	case "aws:resourceaccount":
		return resourceAccount
	}
	return notDerived
}

func (e *evaluation) derive(k derivedKey) (string, bool) {
	c := &e.caller
	switch k {
	case principalArn:
		if !c.inAccount() {
			return "", false
		}
		if c.Kind == SessionCaller {
			return "arn:" + c.Partition + ":iam::" + c.AccountID + ":role/" + c.Role, true
		}
		if !strings.HasPrefix(c.Name, "arn:") {
			return "arn:" + c.Partition + ":iam::" + c.AccountID + ":root", true
		}
		return c.Name, true
	case principalAccount:
		return c.AccountID, c.inAccount()
	case principalType:
		switch c.Kind {
		case AnonymousCaller:
			return "Anonymous", true
		case RootCaller:
			return "Account", true
		case UserCaller:
			return "User", true
		case RoleCaller, SessionCaller:
			return "AssumedRole", true
		case FederatedUserCaller:
			return "FederatedUser", true
		}
	case principalIsService:
		switch {
		case c.Kind == ServiceCaller:
			return "true", true
		case c.inAccount():
			return "false", true
		}
	case principalServiceName:
		return c.Name, c.Kind == ServiceCaller
	case userName:
		return c.User, c.Kind == UserCaller
	case userID:
		switch c.Kind {
		case RootCaller:
			return c.AccountID, true
		case FederatedUserCaller:
			return c.AccountID + ":" + c.User, true
		}
	case resourceAccount:
		return e.owner, e.owner != ""
	}
	return "", false
}

// contextKey is a condition key as a policy names it.
type contextKey struct {
	name    string
	derived derivedKey
}

func newContextKey(name string) contextKey {
	return contextKey{name, derivedFrom(strings.ToLower(name))}
}
