package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// ExamplesSuffix ends the name of the file that holds the examples of the rules
// in the file beside it: create_user.yml, create_user.examples.yml.
const ExamplesSuffix = ".examples.yml"

// PlaceholdersFile is the name of the file in a folder of rules that holds the
// values of the placeholders that they expand.
const PlaceholdersFile = "placeholders.yml"

// LoadRules parses every rule file in a folder and the folders in it, in
// lexical order, and gives each rule the placeholders of the folder. label is put
// before the names in errors. The error lists every fault (see sigma.Faults); the
// rules without fault are returned with it.
func LoadRules(fsys fs.FS, root, label string) ([]*sigma.Rule, error) {
	placeholders, err := LoadPlaceholders(fsys, root)
	if err != nil {
		return nil, fmt.Errorf("load rules from %s: %w", label, err)
	}
	var rules []*sigma.Rule
	var faults []error
	err = fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); ext != ".yml" && ext != ".yaml" || strings.HasSuffix(name, ExamplesSuffix) || d.Name() == PlaceholdersFile {
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		parsed, err := sigma.Parse(path.Join(label, name), src)
		if err != nil {
			faults = append(faults, err)
		}
		rules = append(rules, parsed...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load rules from %s: %w", label, err)
	}
	for _, r := range rules {
		r.Placeholders = placeholders
	}
	return rules, errors.Join(faults...)
}

// LoadPlaceholders reads the file of placeholders in a folder of rules; nil if
// there is none.
func LoadPlaceholders(fsys fs.FS, root string) (map[string][]string, error) {
	src, err := fs.ReadFile(fsys, path.Join(root, PlaceholdersFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	values, err := ParsePlaceholders(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", PlaceholdersFile, err)
	}
	return values, nil
}

// ParsePlaceholders reads a YAML map of placeholders: a name and its value, or a
// list of values.
func ParsePlaceholders(src []byte) (map[string][]string, error) {
	var file map[string]any
	if err := yaml.Unmarshal(src, &file); err != nil {
		return nil, fmt.Errorf("parse placeholders: %w", err)
	}
	values := make(map[string][]string, len(file))
	for name, v := range file {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			values[name] = append(values[name], fmt.Sprint(e))
		}
	}
	return values, nil
}
