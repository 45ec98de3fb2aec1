// Command models turns the service models of one botocore release into the
// catalogue that package awsapi embeds.
//
// The release is a wheel that pip has downloaded; its checksum must be the
// pinned one. The same wheel gives the same bytes.
package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/awsapi/model"
)

// The pinned release. To move to another, change these two and run make models.
const (
	version  = "1.44.5"
	checksum = "8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921"
)

func main() {
	wheel := flag.String("wheel", "", "the botocore wheel")
	out := flag.String("out", "awsapi/models.bin", "the catalogue to write")
	flag.Parse()
	if err := run(*wheel, *out); err != nil {
		fmt.Fprintln(os.Stderr, "models:", err)
		os.Exit(1)
	}
}

func run(wheel, out string) error {
	data, err := os.ReadFile(wheel)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if got := hex.EncodeToString(sum[:]); got != checksum {
		return fmt.Errorf("%s has checksum %s, pinned is %s", wheel, got, checksum)
	}
	r, err := newRelease(data)
	if err != nil {
		return err
	}
	partitions, rules, err := r.partitions()
	if err != nil {
		return err
	}
	listed, err := r.listed()
	if err != nil {
		return err
	}
	var services []*model.Service
	operations := 0
	for _, name := range r.services() {
		s, err := r.service(name, rules)
		if err != nil {
			return err
		}
		s.Regions = listed[s.EndpointPrefix]
		services = append(services, s)
		operations += len(s.Operations)
	}
	source := model.Source{Package: "botocore", Version: version, File: "botocore-" + version + "-py3-none-any.whl", SHA256: checksum, License: "Apache-2.0", Homepage: "https://github.com/boto/botocore"}
	packed, err := model.Pack(source, partitions, services)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d services, %d operations, %d bytes\n", len(services), operations, len(packed))
	return os.WriteFile(out, packed, 0o644)
}

// release is the wheel's data directory.
type release struct {
	files map[string]*zip.File // below botocore/data/
	dirs  map[string][]string  // service: its API versions
}

func newRelease(wheel []byte) (*release, error) {
	z, err := zip.NewReader(bytes.NewReader(wheel), int64(len(wheel)))
	if err != nil {
		return nil, err
	}
	r := &release{files: map[string]*zip.File{}, dirs: map[string][]string{}}
	for _, f := range z.File {
		rel, ok := strings.CutPrefix(f.Name, "botocore/data/")
		if !ok {
			continue
		}
		r.files[rel] = f
		if parts := strings.Split(rel, "/"); len(parts) == 3 && strings.HasPrefix(parts[2], "service-2.json") {
			r.dirs[parts[0]] = append(r.dirs[parts[0]], parts[1])
		}
	}
	return r, nil
}

func (r *release) services() []string {
	names := make([]string, 0, len(r.dirs))
	for n := range r.dirs {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// read returns a file, unpacked, or nil when the release has none.
func (r *release) read(name string) ([]byte, error) {
	f, packed := r.files[name], false
	if f == nil {
		f, packed = r.files[name+".gz"], true
	}
	if f == nil {
		return nil, nil
	}
	rc, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	var in io.Reader = rc
	if packed {
		if in, err = gzip.NewReader(rc); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(in)
}

// merged reads a file and lays the SDK's own additions over it.
func (r *release) merged(dir, file string) ([]byte, error) {
	base, err := r.read(path.Join(dir, file+".json"))
	if err != nil || base == nil {
		return nil, err
	}
	extras, err := r.read(path.Join(dir, file+".sdk-extras.json"))
	if err != nil || extras == nil {
		return base, err
	}
	var a map[string]any
	var b struct {
		Merge map[string]any `json:"merge"`
	}
	if err := json.Unmarshal(base, &a); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(extras, &b); err != nil {
		return nil, err
	}
	merge(a, b.Merge)
	return json.Marshal(a)
}

func merge(a, b map[string]any) {
	for k, v := range b {
		am, isMap := a[k].(map[string]any)
		bm, alsoMap := v.(map[string]any)
		if isMap && alsoMap {
			merge(am, bm)
			continue
		}
		a[k] = v
	}
}

func (r *release) service(name string, rules *evaluator) (*model.Service, error) {
	versions := r.dirs[name]
	sort.Strings(versions)
	dir := path.Join(name, versions[len(versions)-1])
	var parts [3][]byte
	for i, file := range []string{"service-2", "paginators-1", "waiters-2"} {
		data, err := r.merged(dir, file)
		if err != nil {
			return nil, fmt.Errorf("read %s/%s: %w", dir, file, err)
		}
		parts[i] = data
	}
	s, err := model.Parse(name, parts[0], parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	ruleset, err := r.read(path.Join(dir, "endpoint-rule-set-1.json"))
	if err != nil {
		return nil, err
	}
	if err := rules.endpoints(s, ruleset, parts[0]); err != nil {
		return nil, fmt.Errorf("evaluate endpoint rules of %s: %w", name, err)
	}
	return s, nil
}
