//go:build !amd64

package event

// canMark reports whether markBlocks runs on this processor.
var canMark = false

func markBlocks(*byte, int, *rawMarks) {}
