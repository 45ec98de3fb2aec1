package catalog

import "embed"

// Controls holds controls/PILLAR/ID.yaml: what an estate is checked for.
//
//go:embed controls/*/*.yaml
var Controls embed.FS
