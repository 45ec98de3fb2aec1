package catalog

import "embed"

// Detections holds detections/SOURCE/NAME.yml, rules in the Sigma format, and
// NAME.examples.yml beside each: what it must match and what it must not.
//
//go:embed detections
var Detections embed.FS
