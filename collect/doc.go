// Package collect makes an estate: from live AWS accounts, or from files that
// the AWS CLI wrote.
//
// A [Catalogue] says what to read, all of it data: for every resource type the
// list operation, the identity of its items and the further operations of each.
// [Run] reads accounts through a [Session] and streams a snapshot; [Files] reads
// a directory of AWS CLI outputs. [Policy] is the least IAM policy that Run needs.
//
// # Caveats
//
// Nothing is guessed: what AWS refused, failed to answer or answered wrongly
// becomes an estate.Gap that names the operation and the permission. A gap of a
// whole type has an empty Part; a gap of one resource's part is in its Unknown.
package collect
