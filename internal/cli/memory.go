package cli

import (
	"runtime"
	"runtime/debug"
)

// boundMemory makes the garbage collector run sooner where a command would take
// more than it needs: it may have 190 MB, or 120 MB beyond what it has loaded so
// far. What the user says with GOMEMLIMIT or GOGC goes first.
func (a *App) boundMemory() {
	if a.Getenv("GOMEMLIMIT") != "" || a.Getenv("GOGC") != "" {
		return
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	debug.SetMemoryLimit(max(190<<20, int64(m.HeapAlloc)+120<<20))
}
