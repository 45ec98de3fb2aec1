package cli_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bartizan-security/bartizan/identity/catalog"
	"github.com/bartizan-security/bartizan/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bartizan": func() { os.Exit(cli.Main()) }})
}

// TestScript runs every file of testdata/script: one behaviour of the command
// line each, with stdout, stderr and exit code. A script may read $SHARED, the
// folder of third-party inputs, and $REPO, the checkout.
func TestScript(t *testing.T) {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("REPO", repo)
			e.Setenv("SHARED", filepath.Join(filepath.Dir(repo), "shared"))
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":    exitCode,
			"npm-package": npmPackage,
		},
	})
}

// exitCode runs a command and checks its exit code: exitcode 3 bartizan scan …
// Its stdout and stderr can be examined with the builtin stdout and stderr.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE PROGRAM [ARG …]")
	}
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		type coder interface{ ExitCode() int }
		if c, ok := err.(coder); ok {
			got = itoa(c.ExitCode())
		} else {
			ts.Fatalf("run %s: %v", args[1], err)
		}
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

// npmPackage writes the package that catalogues are made from, with the
// embedded services, some of their actions, and further ones:
// npm-package FILE VERSION ACTION…
func npmPackage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: npm-package FILE VERSION ACTION…")
	}
	type object = map[string]any
	files := object{
		"package.json":                   object{"name": catalog.SourcePackage, "version": args[1]},
		"data/services.json":             catalog.Embedded().Services(),
		"data/serviceNames.json":         object{},
		"data/rcpSupportedServices.json": catalog.Embedded().RCPServices(),
	}
	for _, prefix := range catalog.Embedded().Services() {
		actions := object{}
		for _, a := range args[2:] {
			if service, name, _ := strings.Cut(a, ":"); service == prefix {
				actions[strings.ToLower(name)] = object{"name": name, "accessLevel": "Write", "resourceTypes": []object{{"name": "object", "required": true}}}
			}
		}
		types := object{}
		if prefix == "s3" {
			types["object"] = object{"key": "object", "arn": "arn:${Partition}:s3:::${BucketName}/${ObjectName}"}
		}
		files["data/actions/"+prefix+".json"] = actions
		files["data/resourceTypes/"+prefix+".json"] = types
		files["data/conditionKeys/"+prefix+".json"] = object{}
	}
	var globals strings.Builder
	for _, k := range catalog.Embedded().GlobalConditionKeys() {
		fmt.Fprintf(&globals, "key: '%s', category: '%s', type: '%s'\n", k.Key, k.Category, k.Type)
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	t := tar.NewWriter(z)
	add := func(name string, data []byte) {
		ts.Check(t.WriteHeader(&tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(data))}))
		_, err := t.Write(data)
		ts.Check(err)
	}
	for name, v := range files {
		data, err := json.Marshal(v)
		ts.Check(err)
		add(name, data)
	}
	add("dist/esm/globalConditionKeys.js", []byte(globals.String()))
	ts.Check(t.Close())
	ts.Check(z.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), buf.Bytes(), 0o644))
}

func itoa(n int) string {
	if n >= 0 && n < 10 {
		return string(rune('0' + n))
	}
	return "?"
}
