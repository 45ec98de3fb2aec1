package identity

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// S3Access is what besides policies decides about a bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
type S3Access struct {
	IgnorePublicAcls      bool // of the bucket or its account
	RestrictPublicBuckets bool
	ObjectOwnership       string     // BucketOwnerEnforced turns access control lists off
	ACL                   []ACLGrant // of the bucket, or of the object that the request names
}

// ACLGrant is one grant of an access control list.
type ACLGrant struct {
	Grantee    string // AllUsers, AuthenticatedUsers (or their URIs), or an account id
	Permission string // READ, WRITE, READ_ACP, WRITE_ACP, FULL_CONTROL
}

// throughS3 applies block public access and access control lists to what the
// bucket policy grants.
func (e *evaluation) throughS3(g granted) granted {
	s := e.stack.S3
	if s.Restricts(e.stack.Resource) && e.caller.Kind != ServiceCaller && (!e.caller.inAccount() || e.caller.AccountID != e.owner) {
		g.direct, g.role, g.account = no, no, no
	}
	if s.ObjectOwnership == "BucketOwnerEnforced" || e.service != "s3" {
		return g
	}
	for _, a := range s.ACL {
		if !slices.Contains(a.Actions(strings.Contains(e.req.Resource, "/")), strings.ToLower(e.name)) {
			continue
		}
		switch group := a.Grantee[strings.LastIndexByte(a.Grantee, '/')+1:]; {
		case group == "AllUsers" && !s.IgnorePublicAcls:
			g.direct = yes
		case group == "AuthenticatedUsers" && !s.IgnorePublicAcls && e.caller.inAccount():
			g.direct = yes
		case isAccountID(group) && e.caller.inAccount() && group == e.caller.AccountID:
			g.account = yes
		}
	}
	return g
}

// aclActions are the actions that a permission of an access control list allows,
// without the service, in lower case.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html
var aclActions = map[string][]string{
	"READ":      {"listbucket", "listbucketversions", "listbucketmultipartuploads"},
	"WRITE":     {"putobject", "deleteobject"}, // of the bucket
	"READ_ACP":  {"getbucketacl", "getobjectacl", "getobjectversionacl"},
	"WRITE_ACP": {"putbucketacl", "putobjectacl", "putobjectversionacl"},
}

// aclObjectActions are those that it allows beside them on an object.
var aclObjectActions = map[string][]string{"READ": {"getobject", "getobjectversion"}}

// Actions lists the actions that the grant allows on a bucket or an object, in
// lower case and without the service.
func (g ACLGrant) Actions(object bool) []string {
	if g.Permission == "FULL_CONTROL" {
		if object {
			return allOfACL.object
		}
		return allOfACL.bucket
	}
	if object && g.Permission == "READ" {
		return readOfACL
	}
	return aclActions[g.Permission]
}

// What full control allows, and what reading an object does.
var (
	allOfACL  = fullControl()
	readOfACL = slices.Concat(aclActions["READ"], aclObjectActions["READ"])
)

func fullControl() (all struct{ bucket, object []string }) {
	for _, permission := range slices.Sorted(maps.Keys(aclActions)) {
		all.bucket = append(all.bucket, aclActions[permission]...)
	}
	all.object = slices.Concat(all.bucket, aclObjectActions["READ"])
	return all
}

// Restricts reports whether block public access takes away what a bucket policy
// grants outside the bucket's account, except to services.
func (s *S3Access) Restricts(policy *Document) bool {
	return s.RestrictPublicBuckets && policy != nil && isPublicBucketPolicy(policy.Policy)
}

// isPublicBucketPolicy reports whether S3 calls a bucket policy public: a
// statement allows a principal that is not fixed, and no condition with fixed
// values limits it.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html#access-control-block-public-access-policy-status
func isPublicBucketPolicy(p *Policy) bool {
	for _, s := range p.Statements {
		if s.Effect == Allow && !hasFixedPrincipal(s) && !hasFixedCondition(s) {
			return true
		}
	}
	return false
}

func hasFixedPrincipal(s *Statement) bool {
	if s.Principal == nil || s.Principal.Everyone {
		return false
	}
	for _, e := range s.Principal.Entries {
		for _, v := range e.Values {
			if strings.Contains(v.Text, "*") {
				return false
			}
		}
	}
	return true
}

func hasFixedCondition(s *Statement) bool {
	for _, c := range s.Conditions {
		op, ok := ParseOperator(c.Operator)
		if !ok || op.Negated || op.IfExists || op.Set == ForAllValues || op.Base == "Null" {
			continue
		}
		for _, k := range c.Keys {
			if fixesCaller(strings.ToLower(k.Name)) && len(k.Values) > 0 && allFixed(k) {
				return true
			}
		}
	}
	return false
}

func fixesCaller(key string) bool {
	switch key {
	case "aws:sourceip", "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:sourceowner", "aws:sourceaccount",
		"aws:userid", "aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths",
		"s3:dataaccesspointarn", "s3:dataaccesspointaccount", "s3:x-amz-server-side-encryption-aws-kms-key-id", "aws:sourceorgid", "aws:sourceorgpaths":
		return true
	}
	return false
}

func allFixed(k *ConditionKey) bool {
	for _, v := range k.Values {
		switch strings.ToLower(k.Name) {
		case "aws:sourceip":
			n, ok := parseNetwork(v.Text)
			if !ok || tooWide(n) {
				return false
			}
		case "aws:userid":
			if strings.HasPrefix(v.Text, "*") || strings.Contains(v.Text, "?") {
				return false // AROAEXAMPLE:* names one role
			}
		case "s3:dataaccesspointarn":
			// The account must be fixed, the access point need not be.
			if seg, ok := splitARN(v.Text); !ok || !isAccountID(seg[4]) {
				return false
			}
		default:
			if strings.ContainsAny(v.Text, "*?") || strings.Contains(v.Text, "${") {
				return false
			}
		}
	}
	return true
}

// tooWide reports whether a network is so large that S3 calls it public.
func tooWide(n netip.Prefix) bool {
	if n.Addr().Is4() {
		return n.Bits() < 8
	}
	return n.Bits() < 32
}
