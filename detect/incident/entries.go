package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// maxFile bounds a file of entries, in bytes.
const maxFile = 1 << 20

// entry is one mapping of a list, as text.
type entry struct {
	line   int
	values map[string]string
}

// entriesOf reads a YAML or JSON list of mappings of the given members to text.
func entriesOf(data []byte, members ...string) ([]entry, error) {
	docs, err := yamldoc.Parse("", data, maxFile)
	var fault *yamldoc.Error
	if errors.As(err, &fault) {
		return nil, fmt.Errorf("line %d: %s", fault.Line, fault.Reason)
	}
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	if len(docs) > 1 || docs[0].Kind != yamldoc.List {
		return nil, fmt.Errorf("want a list of entries with %s", strings.Join(members, ", "))
	}
	var out []entry
	for _, item := range docs[0].Vals {
		e, err := entryOf(item, members)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", item.Line, err)
		}
		out = append(out, e)
	}
	return out, nil
}

func entryOf(n *yamldoc.Node, members []string) (entry, error) {
	e := entry{line: n.Line, values: map[string]string{}}
	if n.Kind != yamldoc.Map {
		return e, fmt.Errorf("want an entry with %s", strings.Join(members, ", "))
	}
	for i, k := range n.Keys {
		if !slices.Contains(members, k.Text) {
			return e, fmt.Errorf("unknown member %q; want a list of entries with %s", k.Text, strings.Join(members, ", "))
		}
		v := n.Vals[i]
		if v.Kind > yamldoc.Null {
			return e, fmt.Errorf("%s: want plain text, found %v", k.Text, v.Kind)
		}
		e.values[k.Text] = strings.TrimSpace(v.Text)
	}
	return e, nil
}
