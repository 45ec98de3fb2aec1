package catalog

import "embed"

// Resources holds resources/*.yaml: what collect reads.
//
//go:embed resources/*.yaml
var Resources embed.FS
