package baseline

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"unicode"

	"github.com/bartizan-security/bartizan/detect/event"
)

// Fields returns the fields that this package reads, for sigma.Options.Fields.
func Fields() []string {
	return append([]string{pathReadOnly, pathBucket, pathDecryption, pathSecret, pathSecrets}, parameterPaths...)
}

const (
	pathReadOnly   = "readOnly"
	pathBucket     = "requestParameters.bucketName"
	pathDecryption = "requestParameters.withDecryption"
	pathSecret     = "requestParameters.secretId"
	pathSecrets    = "requestParameters.secretIdList"
)

// parameterPaths are where the parameters of Systems Manager stand that a call
// asks for.
var parameterPaths = []string{"requestParameters.name", "requestParameters.names", "requestParameters.path"}

// field is a field in the terms of a schema.
type field struct {
	path string
	slot event.Slot // −1 where the schema lacks it
}

func fieldOf(s *event.Schema, path string) field {
	if slot, ok := s.Slot(path); ok {
		return field{path, slot}
	}
	return field{path, -1}
}

func (f field) values(e *event.Event) []event.Value {
	if f.slot >= 0 {
		return e.Values(f.slot)
	}
	return e.Lookup(f.path)
}

func (f field) text(e *event.Event) []byte {
	if f.slot >= 0 {
		return e.Text(f.slot)
	}
	return []byte(e.Get(f.path))
}

// fields are those of Fields.
type fields struct {
	readOnly, bucket, decryption field
	secret, secretList           field
	parameters                   []field
}

func fieldsOf(s *event.Schema) fields {
	f := fields{readOnly: fieldOf(s, pathReadOnly), bucket: fieldOf(s, pathBucket), decryption: fieldOf(s, pathDecryption),
		secret: fieldOf(s, pathSecret), secretList: fieldOf(s, pathSecrets)}
	for _, path := range parameterPaths {
		f.parameters = append(f.parameters, fieldOf(s, path))
	}
	return f
}

const maxText = 200

// clip is s in at most about maxText bytes of valid UTF-8, which a state file gives
// back as they were. What is cut off still tells two texts apart.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxText {
		return s
	}
	h := fnv.New32a()
	h.Write([]byte(s))
	return strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("…%08x", h.Sum32())
}

// caller is whose habits events belong to.
type caller struct {
	key     string
	group   string // of its peers
	account string // that the calls were made in
	person  bool
}

// session is a caller by the name that a call gave.
type session struct {
	who   *caller
	actor string
}

// What the ARNs of roles hold, of those that Identity Center makes for permission
// sets, and of those that services work with.
const (
	aRole          = ":role/"
	aPermissionSet = ":role/aws-reserved/sso.amazonaws.com/"
	aServiceRole   = ":role/aws-service-role/"
)

// callerOf returns whose habits an event belongs to, and its peers: the sessions of
// Identity Center users of one permission set, the users of one account. Sessions
// of other roles are the role's, as their names change from run to run, and those
// of GetFederationToken are the user's who asked for them. Calls that services
// make for themselves are nobody's: nil.
func callerOf(e *event.Event) *caller {
	typ := string(e.Text(event.SlotIdentityType))
	if typ == awsService || typ == "AWSAccount" {
		return nil
	}
	actor, issuer, account := e.Actor(), e.Issuer(), clip(e.Account())
	if strings.Contains(issuer, aRole) {
		if strings.Contains(issuer, aPermissionSet) {
			if i := strings.LastIndexByte(actor, '/'); i >= 0 {
				return &caller{clip(issuer + actor[i:]), clip(issuer), account, true}
			}
		}
		if strings.Contains(issuer, aServiceRole) {
			return nil
		}
		return &caller{key: clip(issuer), account: account}
	}
	actor = cmp.Or(issuer, actor)
	switch {
	case actor == "", actor == "HIDDEN_DUE_TO_SECURITY_REASONS": // a sign-in with a name that is none
		return nil
	case !strings.HasPrefix(actor, "arn:") && (typ == "" || len(e.Text(event.SlotIdentityInvokedBy)) > 0):
		return nil
	}
	c := &caller{key: clip(actor), account: account, person: typ != "WebIdentityUser"}
	if home := cmp.Or(string(e.Text(event.SlotIdentityAccount)), e.Account()); home != "" {
		c.group = "users of " + clip(home)
	}
	return c
}

// call is an API with its service.
type call struct {
	name     string // iam:CreateUser
	regional bool   // the record's region is where it worked
	reads    bool   // if the record does not say
	buckets  bool   // it names one
	secrets  secretSort
}

func callOf(source, name string) *call {
	service := strings.TrimSuffix(source, ".amazonaws.com")
	return &call{name: clip(service + ":" + name), regional: isRegional(service, name), reads: soundsReading(name),
		buckets: source == "s3.amazonaws.com", secrets: secretSortOf(name)}
}

// awsService is the type of the identity that calls of services have which they
// make for themselves; awsServices is where calls of services come from.
const (
	awsService  = "AWSService"
	awsServices = "AWS services"
)

// address is where a call came from.
type address struct {
	network string // the networkOf, or awsServices
	place   *Place // nil where it is not known
}

// networkOf is the /24 or /48 of an address.
func networkOf(a netip.Addr) netip.Prefix {
	bits := 48
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // no error: the address has no zone and that many bits
	return p
}

// program is the family of a user agent, without versions: aws-cli, Boto3.
type program struct {
	name    string
	service bool // it calls itself a service of AWS
}

func programOf(agent string) program {
	s := strings.TrimLeft(agent, "[( ")
	if i := strings.IndexFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || r == ']' }); i >= 0 {
		s = s[:i]
	}
	return program{strings.Clone(clip(s)), strings.HasSuffix(s, ".amazonaws.com")}
}

// from is the program's name. The name of a service counts as one only where the
// call came from a service, because a client may call itself anything.
func (p program) from(a address) string {
	if p.service && a.network == awsServices {
		return awsServices
	}
	return p.name
}

// isRegional reports whether a record's region is where the call worked. Services
// without regions write us-east-1 or the caller's place into their records, which
// says nothing.
//
// See https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-concepts.html#cloudtrail-concepts-global-service-events
func isRegional(service, name string) bool {
	switch service {
	case "iam", "sts", "signin", "organizations", "cloudfront", "route53", "route53domains", "globalaccelerator", "networkmanager",
		"account", "billing", "budgets", "ce", "cur", "shield", "support", "trustedadvisor", "health", "artifact", "importexport", "sso-directory":
		return false
	}
	return name != "ListBuckets" && name != "ListAllMyBuckets"
}

// soundsReading reports whether a call only reads, by its name.
func soundsReading(name string) bool {
	for _, p := range []string{"Get", "List", "Describe", "Head", "Lookup", "Search"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// secretSort is how a call names the secrets that it asks for: those of Secrets
// Manager, and of the parameters of Systems Manager those asked for decrypted.
type secretSort uint8

const (
	noSecret secretSort = iota
	oneSecret
	secretList
	parameters
)

func secretSortOf(name string) secretSort {
	switch name {
	case "GetSecretValue":
		return oneSecret
	case "BatchGetSecretValue":
		return secretList
	case "GetParameter", "GetParameters", "GetParametersByPath", "GetParameterHistory":
		return parameters
	}
	return noSecret
}

// secrets are the secrets that a call asked for.
func (f *fields) secrets(e *event.Event, sort secretSort) (out []string) {
	add := func(values []event.Value, name func(string) string) {
		for _, v := range values {
			if v.Kind == event.String && len(out) < maxValues {
				out = append(out, clip(name(v.String())))
			}
		}
	}
	switch sort {
	case oneSecret:
		add(f.secret.values(e), secretName)
	case secretList:
		add(f.secretList.values(e), secretName)
	case parameters:
		if string(f.decryption.text(e)) != "true" {
			return nil
		}
		for _, p := range f.parameters {
			add(p.values(e), func(s string) string { return "parameter " + s })
		}
	}
	return out
}

// secretName is a secret's name, however it was asked for: an ARN ends in a dash
// and six characters that Secrets Manager chose.
func secretName(id string) string {
	_, name, ok := strings.Cut(id, ":secret:")
	if !ok {
		return id
	}
	if n := len(name) - 7; n > 0 && name[n] == '-' {
		return name[:n]
	}
	return name
}

// isDenied reports whether a call was refused for want of permission.
func isDenied(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation", "UnauthorizedException",
		"NotAuthorized", "NotAuthorizedException", "AuthorizationError", "AuthorizationErrorException", "Forbidden", "ForbiddenException":
		return true
	}
	return false
}
