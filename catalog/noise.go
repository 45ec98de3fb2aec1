package catalog

import _ "embed" // the data below

// Automation is noise/automation.yml: how callers that are programs are known,
// as detect/incident.ParseAutomation reads it.
//
//go:embed noise/automation.yml
var Automation []byte
