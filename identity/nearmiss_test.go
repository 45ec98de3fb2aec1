package identity_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bartizan-security/bartizan/identity"
)

func TestNearMisses(t *testing.T) {
	c := stackCase{
		id: []string{pol(
			st("Allow", "s3:PutObject", "*"),
			st("Allow", "ec2:*", "*"),
			st("Allow", "s3:Get*", "arn:aws:s3:::other/*"),
			st("Allow", "s3:*", "*", when("StringEquals", "aws:SourceVpc", "vpc-1", "vpc-2")),
			st("Allow", "s3:*", "*", when("Bool", "aws:SecureTransport", "true")),
			st("Allow", "s3:Put*", "arn:aws:s3:::other/*"),
			st("Deny", "s3:*", "arn:aws:s3:::other/*"),
		)},
		rp:  pol(st("Allow", "s3:GetObject", "*", aws(extUser))),
		ctx: map[string][]string{"aws:SourceVpc": {"vpc-3"}},
	}
	r, s := c.build(t)
	misses, err := identity.NearMisses(r, s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range misses {
		got = append(got, m.String())
	}
	want := []string{
		"statement 0 of the resource policy resourcePolicy[0] at 1:38 fails on its Principal",
		"statement 0 of the identity policy identityPolicy[0] at 1:38 fails on its Action",
		"statement 2 of the identity policy identityPolicy[0] at 1:147 fails on its Resource",
		"statement 3 of the identity policy identityPolicy[0] at 1:219 fails on its condition StringEquals aws:SourceVpc: want vpc-1 or vpc-2, but the request has vpc-3",
		"statement 4 of the identity policy identityPolicy[0] at 1:334 fails on its condition Bool aws:SecureTransport: want true, but the request does not carry the key",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
