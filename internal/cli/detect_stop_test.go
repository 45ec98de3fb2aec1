package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who stops a run is told that nothing of it counts.
func TestDetectStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	dir := t.TempDir()
	file := filepath.Join(dir, "trail.json")
	if err := os.WriteFile(file, []byte(`{"Records":[{"eventVersion":"1.08","eventName":"StopLogging","eventSource":"cloudtrail.amazonaws.com"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "s.zst")
	for _, args := range [][]string{
		{"detect", file},
		{"detect", file, "--backtest", "pack"},
		{"detect", "baseline", "learn", file, "--state", state},
	} {
		code, stdout, stderr := execute(ctx, args...)
		if code != ExitIncomplete || stdout != "" || !strings.Contains(stderr, "interrupted") || strings.Contains(stderr, "context canceled") {
			t.Errorf("%v: exit code %d, stdout %s, stderr %s", args, code, stdout, stderr)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v left %v", err, left)
	}
}
