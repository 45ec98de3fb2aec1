// Package sigma reads detection rules in the Sigma format, version 2.1, and
// matches them against AWS log events.
//
// The types are Rule, one document of a rule file; Engine, an immutable set of
// compiled rules; Matcher, what one goroutine matches events with; Correlator,
// which finds the correlations among the matches; and Error, a fault in a rule
// with file, line, column and reason.
//
// The specification is https://sigmahq.io/sigma-specification/. What it leaves
// open, above all how correlation windows are laid, is decided in docs/sigma.md.
//
// # Caveats
//
// Regular expressions run in linear time, so look-arounds and back-references
// are refused. A rule with a placeholder that has no value is refused, as the
// specification demands.
package sigma
