// Package estate holds what the AWS APIs answered about every account: the
// resources as API-shaped documents, an index over them, the snapshot file and
// the difference of two estates.
//
// A Resource's document is the item that the list or describe operation
// returned, plus one member per further operation, named after that operation
// (GetBucketPolicy, GetPublicAccessBlock). Type names are CloudFormation's.
//
// A [Source] gives an estate account by account: an [Estate] in memory, or a
// [Reader] that streams a snapshot which a [Writer] wrote. An [Index] finds
// resources by type, id and ARN, and by what refers to what. [Diff] compares two
// sources.
//
// # Caveats
//
// A part that could not be read is listed in Resource.Unknown, and its member is
// missing from the document. A part that AWS says does not exist (no bucket
// policy) is present with the value nil, so "absent" and "unknown" never look
// alike.
package estate

// Resource is one AWS resource as its service describes it.
type Resource struct {
	Type    string            `json:"type"`             // CloudFormation type name, AWS::EC2::SecurityGroup
	ID      string            `json:"id"`               // unique within type, account and region
	ARN     string            `json:"arn,omitempty"`    // empty where the service gives none
	Account string            `json:"account"`          // twelve digits
	Region  string            `json:"region,omitempty"` // empty for global resources
	Tags    map[string]string `json:"tags,omitempty"`

	// Document is JSON-shaped: map[string]any, []any, string, bool, nil, int64
	// for whole numbers and float64 for others. Times are RFC 3339 strings.
	Document map[string]any `json:"document"`

	// Unknown lists the parts that could not be read.
	Unknown []Gap `json:"unknown,omitempty"`
}

// Gap is a part of an account or of a resource that could not be read.
type Gap struct {
	Type       string `json:"type,omitempty"` // resource type, for a gap that hides whole resources
	Account    string `json:"account,omitempty"`
	Region     string `json:"region,omitempty"`
	Part       string `json:"part,omitempty"`       // document member that is missing; empty for the whole type
	Operation  string `json:"operation"`            // service:Operation, s3:GetBucketPolicy
	Code       string `json:"code,omitempty"`       // AWS's error code
	Reason     string `json:"reason"`               // in words
	Permission string `json:"permission,omitempty"` // the IAM action that would allow it
}
