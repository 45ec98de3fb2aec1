// Package catalog embeds the content of bartizan, all of it data: what is
// collected, controls, detections, playbooks and drills.
//
// Each kind of content is one embed.FS, parsed by the package that uses it.
//
// # Caveats
//
// The content's own tests stand here and check every file: what it names must
// exist in AWS's service models, and ids must be unique.
package catalog
