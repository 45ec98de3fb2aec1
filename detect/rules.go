package detect

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
)

// ExamplesSuffix ends the name of the file that holds the examples of the rules
// in the file beside it: create_user.yml, create_user.examples.yml.
const ExamplesSuffix = ".examples.yml"

// LoadRules parses every rule file in a folder and the folders in it, in
// lexical order. label is put before the names in errors. The error lists every
// fault (see sigma.Faults); the rules without fault are returned with it.
func LoadRules(fsys fs.FS, root, label string) ([]*sigma.Rule, error) {
	var rules []*sigma.Rule
	var faults []error
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if ext := path.Ext(name); ext != ".yml" && ext != ".yaml" || strings.HasSuffix(name, ExamplesSuffix) {
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
	return rules, errors.Join(faults...)
}
