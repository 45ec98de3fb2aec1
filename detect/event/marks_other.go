//go:build !amd64

package event

// canMark reports whether markBlocks runs on this processor.
var canMark = false

// markBlocks is called where canMark says so: never here.
func markBlocks(*byte, int, *rawMarks) { panic("this processor does not mark") }
