package event

import "golang.org/x/sys/cpu"

// canMark reports whether markBlocks runs on this processor.
var canMark = cpu.X86.HasAVX2 && cpu.X86.HasPCLMULQDQ

// markBlocks looks at n blocks of 64 bytes that begin at text.
//
//go:noescape
func markBlocks(text *byte, n int, out *rawMarks)
