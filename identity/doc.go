// Package identity reads, prints and decides AWS IAM policies.
//
// The types are few. A [Policy] is a parsed document whose every element knows
// its line, column and path; [ParsePolicy] makes one, and [ParseLenient] makes
// one from a document with mistakes and lists them. A [Pattern] is a compiled
// wildcard string. A [Document] is a policy compiled for a [Layer], once for many
// requests and goroutines; see [Compile]. A [Request] is who asks for what under
// which circumstances; [Evaluate] decides it over a whole [Stack] of documents.
// The [Decision] names the layer and the statements that decided.
//
// # Caveats
//
// The package is pure: it reads no clock, no environment and no network, so a
// request carries everything that a condition may look at. Whatever is not
// known is named in [Request.UnknownContext]; a key that is neither in the
// context nor there is taken to be absent from the request. Columns count
// characters, not bytes. The rules, with the AWS page that states each, are in
// docs/iam-evaluation.md.
package identity
