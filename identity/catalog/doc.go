// Package catalog knows every AWS service, action, resource type and condition
// key that IAM policies can name, and the AWS-managed policies.
//
// The types:
//
//   - [Catalog] is one version of the service authorization reference. Default
//     returns the one in effect: the embedded one, or a newer one that Open has
//     read and that Use names before the first question.
//   - [Service], [Action], [ResourceType] and [ConditionKey] are its entries.
//   - [ManagedPolicies] is one version of the AWS-managed policies.
//
// Everything is decoded when first asked for: a program that looks up one S3
// action decodes the S3 block and nothing else.
//
// # Caveats
//
// The reference describes what AWS documents, not what AWS enforces: an action
// missing here may be undocumented rather than invalid. Names compare without
// regard to case, as IAM compares them; results carry AWS's own spelling.
//
// Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
package catalog
