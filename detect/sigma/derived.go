package sigma

import (
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/derive"
	"github.com/bartizan-security/bartizan/detect/event"
)

// IsDerived reports whether a field stands in no record but is worked out from
// it: see package derive.
func IsDerived(field string) bool { return strings.HasPrefix(field, event.DerivedPrefix) }

// unknownField says what is wrong with a path that begins like a derived field
// but is none; "" where nothing is.
func unknownField(path string) string {
	if !IsDerived(path) || derive.Find(path) != nil {
		return ""
	}
	var known []string
	for _, f := range derive.Fields() {
		known = append(known, f.Path)
	}
	return path + " is no derived field; there are " + strings.Join(known, ", ") + " (see docs/sigma.md)"
}

// newSchema returns the schema of paths, with what those of them are read from
// that are derived.
func newSchema(paths []string) *event.Schema {
	if slices.ContainsFunc(paths, IsDerived) {
		paths = append(paths, derive.Inputs()...)
	}
	return event.NewDerivedSchema(derive.Find, paths...)
}
