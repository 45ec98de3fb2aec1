package inventory

import (
	"strings"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/identity"
)

// accountBlock is a block public access configuration, of an account or bucket.
type accountBlock struct {
	ignoreACLs, restrict bool
	missing              string // why it is not known
}

// blockOf reads a PublicAccessBlockConfiguration; one that is absent blocks
// nothing.
func blockOf(r *estate.Resource, member, operation string) accountBlock {
	b := accountBlock{}
	for _, g := range r.Unknown {
		if g.Part == member || g.Operation == operation {
			b.missing = "block public access: " + g.Operation + ": " + g.Reason
		}
	}
	m, _ := r.Document[member].(map[string]any)
	c, _ := m["PublicAccessBlockConfiguration"].(map[string]any)
	b.ignoreACLs, _ = c["IgnorePublicAcls"].(bool)
	b.restrict, _ = c["RestrictPublicBuckets"].(bool)
	return b
}

// bucketAccess reads what decides about a bucket beside its policy.
func bucketAccess(r *estate.Resource) *identity.S3Access {
	s := &identity.S3Access{}
	controls, _ := r.Document["GetBucketOwnershipControls"].(map[string]any)
	oc, _ := controls["OwnershipControls"].(map[string]any)
	for _, rule := range objects(oc["Rules"]) {
		s.ObjectOwnership, _ = rule["ObjectOwnership"].(string)
	}
	acl, _ := r.Document["GetBucketAcl"].(map[string]any)
	for _, g := range objects(acl["Grants"]) {
		grantee, _ := g["Grantee"].(map[string]any)
		uri, _ := grantee["URI"].(string)
		permission, _ := g["Permission"].(string)
		if uri != "" {
			s.ACL = append(s.ACL, identity.ACLGrant{Grantee: uri, Permission: permission})
		}
	}
	return s
}

// blockPublicAccess joins the settings of buckets with those of their accounts:
// the stricter one holds.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
func (inv *Inventory) blockPublicAccess() {
	for _, r := range inv.Resources {
		if r.Type != "AWS::S3::Bucket" {
			continue
		}
		own := blockOf(r.Source, "GetPublicAccessBlock", "s3:GetPublicAccessBlock")
		account := inv.blocks[r.Account]
		r.S3.IgnorePublicAcls = own.ignoreACLs || account.ignoreACLs
		r.S3.RestrictPublicBuckets = own.restrict || account.restrict
		for _, b := range []accountBlock{own, account} {
			if b.missing != "" && !r.S3.RestrictPublicBuckets {
				r.Unsure = append(r.Unsure, b.missing)
			}
		}
	}
}

// grantsOf reads the grants of a KMS key.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_ListGrants.html
func grantsOf(r *estate.Resource) []identity.Grant {
	listed, _ := r.Document["ListGrants"].(map[string]any)
	var out []identity.Grant
	for _, m := range objects(listed["Grants"]) {
		g := identity.Grant{Key: r.ARN, Operations: texts(m["Operations"])}
		g.GranteePrincipal, _ = m["GranteePrincipal"].(string)
		g.RetiringPrincipal, _ = m["RetiringPrincipal"].(string)
		c, _ := m["Constraints"].(map[string]any)
		g.EncryptionContextEquals = textMap(c["EncryptionContextEquals"])
		g.EncryptionContextSubset = textMap(c["EncryptionContextSubset"])
		if strings.TrimSpace(g.GranteePrincipal) != "" {
			out = append(out, g)
		}
	}
	return out
}

func textMap(v any) map[string]string {
	m, _ := v.(map[string]any)
	if len(m) == 0 {
		return nil
	}
	out := map[string]string{}
	for k, v := range m {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}
