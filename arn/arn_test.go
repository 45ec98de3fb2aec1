package arn_test

import (
	"errors"
	"testing"

	"github.com/bartizan-security/bartizan/arn"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ in, typ, id, name string }{
		// A role's path belongs to its id, not to its name.
		{"arn:aws:iam::123456789012:role/team/ops/Deployer", "role", "team/ops/Deployer", "Deployer"},
		// A colon can separate type and id.
		{"arn:aws:lambda:eu-west-1:123456789012:function:resize:2", "function", "resize:2", "resize:2"},
		// An S3 resource has no type, even if the key has slashes.
		{"arn:aws:s3:::logs/2024/x", "", "logs/2024/x", "x"},
		{"arn:aws-us-gov:sqs:us-gov-west-1:123456789012:jobs", "", "jobs", "jobs"},
		{"arn:aws:iam::aws:policy/AdministratorAccess", "policy", "AdministratorAccess", "AdministratorAccess"},
	} {
		a, err := arn.Parse(c.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", c.in, err)
			continue
		}
		if a.String() != c.in || a.ResourceType() != c.typ || a.ResourceID() != c.id || a.Name() != c.name {
			t.Errorf("Parse(%q) = %q type %q id %q name %q", c.in, a, a.ResourceType(), a.ResourceID(), a.Name())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{"", "*", "arn:aws:iam::1", "arn::iam::1:x", "arn:aws:::1:x", "arn:aws:iam::1:", "ARN:aws:iam::1:x"} {
		if a, err := arn.Parse(in); !errors.Is(err, arn.ErrNotARN) {
			t.Errorf("Parse(%q) = %v, %v; want ErrNotARN", in, a, err)
		}
	}
}
