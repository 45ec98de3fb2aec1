// Package acme is the example company: an estate of three accounts and the
// CloudTrail logs of one bad day, as build.py and incident.py made them.
package acme

import "embed"

// Files holds estate.jsonl.zst and the folder logs, laid out like the bucket of
// a trail.
//
//go:embed estate.jsonl.zst logs
var Files embed.FS
