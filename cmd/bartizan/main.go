// Command bartizan guards AWS estates over the five domains of the
// Well-Architected Security Pillar.
package main

import (
	"os"

	"github.com/bartizan-security/bartizan/internal/cli"
)

func main() { os.Exit(cli.Main()) }
