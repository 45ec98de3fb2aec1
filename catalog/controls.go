package catalog

import (
	"embed"
	"io/fs"

	"github.com/bartizan-security/bartizan/posture"
)

//go:embed controls
var controls embed.FS

// Controls returns the built-in controls, by id.
func Controls() ([]*posture.Control, error) {
	sub, err := fs.Sub(controls, "controls")
	if err != nil {
		return nil, err
	}
	return posture.Load(sub)
}
