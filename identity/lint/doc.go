// Package lint finds what is wrong, risky or pointless in an IAM policy.
//
// [Lint] reads one policy and returns its [Finding]s, in the order of the
// document. The checks and their codes are those of IAM Access Analyzer's
// ValidatePolicy; checks of our own have codes that start with BARTIZAN_ and can
// be left out. [Checks] lists them all.
//
// # Caveats
//
// A finding's code, type and path are AWS's; its message is ours. Which actions,
// resource types and condition keys exist is what the catalogue says, so a newer
// one may be needed for a newer service. AWS documents when each check fires
// in prose; where that leaves a choice, docs/iam-lint.md says which was made.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html
package lint
