// Package thirdparty finds the inputs for tests that other people made, which
// stand beside the checkout and not in it: [Path].
//
// # Caveats
//
// A test that needs an input which is absent fails and says so. Only where
// BARTIZAN_NO_SHARED is set does it skip, aloud: then the checkout is known to
// have none.
package thirdparty

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the file or folder of that name below ../shared/data, as seen
// from the root of the repository. The name has forward slashes.
func Path(t testing.TB, name string) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("find the repository: the test was built without file names")
	}
	root := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	path := filepath.Join(filepath.Dir(root), "shared", "data", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("BARTIZAN_NO_SHARED") != "" {
			t.Skipf("NOT RUN: %s is absent and BARTIZAN_NO_SHARED is set", name)
		}
		t.Fatalf("%v: put the third-party inputs beside the repository, or set BARTIZAN_NO_SHARED=1 if this checkout has none", err)
	}
	return path
}
