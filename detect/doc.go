// Package detect finds, in AWS logs, what rules describe: it reads every form
// of log, matches Sigma rules and states each match as a finding.
//
// The types are Engine, a set of compiled rules; Run, which streams sources
// through an engine; and Match, what came out: the rule, the finding, and for a
// correlation its window. Events, readers and rules are the packages event,
// logs and sigma below this one.
//
// # Caveats
//
// Matches come in the order of the sources and of the records in them, whatever
// the number of workers; those of correlations come at the end. An event that is
// delivered twice matches once, as long as the two copies are not further apart
// than a few hundred thousand matches.
package detect

import (
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
)

// The names that users of this package meet most.
type (
	// Event is one record of a log.
	Event = event.Event
	// Source is something to read.
	Source = logs.Source
	// Rule is one detection or correlation.
	Rule = sigma.Rule
	// Engine is a set of compiled rules.
	Engine = sigma.Engine
)
