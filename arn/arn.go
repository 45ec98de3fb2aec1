// Package arn holds the Amazon Resource Name as a small comparable value.
//
// An ARN has six parts separated by colons; only the last may contain colons
// itself:
//
//	arn:partition:service:region:account-id:resource
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
//
// # Caveats
//
// Parse accepts what AWS accepts as the shape of an ARN. It does not check that
// the service, the region or the account exist. Patterns with wildcards (as in
// policies) parse too; see IsPattern.
package arn

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotARN is wrapped by every error that Parse returns.
var ErrNotARN = errors.New("not an ARN")

// ARN is a parsed Amazon Resource Name. The zero value is no ARN and prints as "".
type ARN struct {
	Partition string // aws, aws-cn, aws-us-gov
	Service   string // the service namespace: iam, s3, ec2
	Region    string // empty for global services
	AccountID string // twelve digits, empty for some resources, "aws" for AWS-managed policies
	Resource  string // everything after the fifth colon, e.g. role/path/Name
}

// Parse splits s into its six parts. The error wraps ErrNotARN and says which
// part is missing.
func Parse(s string) (ARN, error) {
	var parts [6]string
	rest, n := s, 0
	for n < 5 {
		i := strings.IndexByte(rest, ':')
		if i < 0 {
			break
		}
		parts[n], rest = rest[:i], rest[i+1:]
		n++
	}
	parts[5] = rest
	if n < 5 || parts[0] != "arn" {
		return ARN{}, fmt.Errorf("parse %q: %w: want arn:partition:service:region:account:resource", clip(s), ErrNotARN)
	}
	a := ARN{parts[1], parts[2], parts[3], parts[4], parts[5]}
	switch {
	case a.Partition == "":
		return ARN{}, fmt.Errorf("parse %q: %w: the partition is empty", clip(s), ErrNotARN)
	case a.Service == "":
		return ARN{}, fmt.Errorf("parse %q: %w: the service is empty", clip(s), ErrNotARN)
	case a.Resource == "":
		return ARN{}, fmt.Errorf("parse %q: %w: the resource is empty", clip(s), ErrNotARN)
	}
	return a, nil
}

// String returns the ARN in its usual form, or "" for the zero value.
func (a ARN) String() string {
	if a == (ARN{}) {
		return ""
	}
	return "arn:" + a.Partition + ":" + a.Service + ":" + a.Region + ":" + a.AccountID + ":" + a.Resource
}

// IsZero reports whether a is the zero value.
func (a ARN) IsZero() bool { return a == ARN{} }

// IsPattern reports whether any part holds a policy wildcard, * or ?.
func (a ARN) IsPattern() bool { return strings.ContainsAny(a.String(), "*?") }

// ResourceType returns the part of the resource before the first slash or
// colon ("role" of role/path/Name, "function" of function:name), and "" for a
// resource that has none (an S3 bucket, an SQS queue).
func (a ARN) ResourceType() string {
	if i := strings.IndexAny(a.Resource, "/:"); i > 0 && a.Service != "s3" {
		return a.Resource[:i]
	}
	return ""
}

// ResourceID returns what follows the resource type, paths included
// ("path/Name" of role/path/Name), or the whole resource where there is no type.
func (a ARN) ResourceID() string {
	if t := a.ResourceType(); t != "" {
		return a.Resource[len(t)+1:]
	}
	return a.Resource
}

// Name returns the last slash-separated element of the resource: the name of
// an IAM role without its path.
func (a ARN) Name() string {
	id := a.ResourceID()
	return id[strings.LastIndexByte(id, '/')+1:]
}

func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
