package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
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
	return ParsePlaceholders(PlaceholdersFile, src)
}

// maxPlaceholders bounds a file of placeholders, in bytes.
const maxPlaceholders = 8 << 20

// ParsePlaceholders reads a YAML map of placeholders: a name and its value, or a
// list of values.
func ParsePlaceholders(name string, src []byte) (map[string][]string, error) {
	docs, err := yamldoc.Parse(name, src, maxPlaceholders)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	if len(docs) > 1 || docs[0].Kind != yamldoc.Map {
		return nil, docs[len(docs)-1].Errorf(name, "want one map of placeholders to their values")
	}
	values := make(map[string][]string, len(docs[0].Keys))
	for i, k := range docs[0].Keys {
		list := []*yamldoc.Node{docs[0].Vals[i]}
		if list[0].Kind == yamldoc.List {
			list = list[0].Vals
		}
		for _, v := range list {
			if v.Kind >= yamldoc.Null {
				return nil, v.Errorf(name, "%s: want a value or a list of values, found %v", k.Text, v.Kind)
			}
			values[k.Text] = append(values[k.Text], v.Text)
		}
	}
	return values, nil
}
