// Package mototest starts a real moto server for a test: [Start] returns its
// endpoint, [Python] the interpreter of the same virtual environment.
//
// # Caveats
//
// The environment is the directory named by BARTIZAN_MOTO_VENV, or .venv at the
// root of the repository; make test creates it. A test that finds neither fails.
package mototest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var running = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// Start runs a moto server on a free port of 127.0.0.1 until the test ends and
// returns its endpoint. The environment gets credentials and a region that suit
// it, so that clients of the test need no more than the endpoint.
func Start(t testing.TB) (endpoint string) {
	t.Helper()
	python := Python(t)
	cmd := exec.Command(python, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", "AWS_ACCESS_KEY_ID=testing", "AWS_SECRET_ACCESS_KEY=testing", "AWS_DEFAULT_REGION=us-east-1")
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatalf("start moto: %v", err)
	}
	cmd.Stdout = nil
	if err := cmd.Start(); err != nil {
		t.Fatalf("start moto: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found := make(chan string, 1)
	go func() {
		var seen []string
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			seen = append(seen, lines.Text())
			if m := running.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		if len(seen) == 0 || !running.MatchString(seen[len(seen)-1]) {
			found <- "died: " + strings.Join(seen, "\n")
		}
		_, _ = io.Copy(io.Discard, pipe)
	}()
	select {
	case endpoint = <-found:
	case <-time.After(2 * time.Minute):
		t.Fatal("start moto: no answer within two minutes")
	}
	if !strings.HasPrefix(endpoint, "http://") {
		t.Fatalf("start moto: the server %s", endpoint)
	}
	for range 50 {
		resp, err := http.Get(endpoint + "/moto-api/")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "testing")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "testing")
	for _, name := range []string{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"} {
		t.Setenv(name, "") // so that it comes back after the test
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_DEFAULT_REGION", "us-east-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	return endpoint
}

// Reset empties the moto server.
func Reset(t testing.TB, endpoint string) {
	t.Helper()
	resp, err := http.Post(endpoint+"/moto-api/reset", "", nil)
	if err != nil {
		t.Fatalf("reset moto: %v", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("reset moto: %s", resp.Status)
	}
}

// Python returns the interpreter that has moto and boto3.
func Python(t testing.TB) string {
	t.Helper()
	venv := os.Getenv("BARTIZAN_MOTO_VENV")
	if venv == "" {
		root, err := root()
		if err != nil {
			t.Fatalf("find the virtual environment of moto: %v", err)
		}
		venv = filepath.Join(root, ".venv")
	}
	python := filepath.Join(venv, "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("this test needs a Python environment with moto[all,server] and boto3, and %s has none: run make test, or set BARTIZAN_MOTO_VENV", venv)
	}
	return python
}

// root is the directory of go.mod above the working directory.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("no go.mod above the working directory")
		}
		dir = up
	}
}
