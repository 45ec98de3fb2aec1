package catalog

import "embed"

// Escalations holds escalations/*.yaml: the known ways to gain the rights of
// another principal, for identity/paths.
//
//go:embed escalations/*.yaml
var Escalations embed.FS
