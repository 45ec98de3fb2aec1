package estate

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Difference is what changed from one estate to another.
type Difference struct {
	Added   []*Resource
	Removed []*Resource
	Changed []Changed
}

// Changed is one resource that both estates have, with what differs.
type Changed struct {
	Old, New *Resource
	Changes  []Change
}

// Change is one value that differs. Path is the way through the document,
// IpPermissions[0].FromPort; it begins with tags. or unknown. for those parts.
// A list is compared by content where its items have no order in AWS.
type Change struct {
	Path     string `json:"path"`
	Old      any    `json:"old,omitempty"` // nil where the value is new
	New      any    `json:"new,omitempty"` // nil where the value is gone
	Appeared bool   `json:"appeared,omitempty"`
	Vanished bool   `json:"vanished,omitempty"`
}

// IsEmpty reports whether nothing changed.
func (d *Difference) IsEmpty() bool {
	return len(d.Added) == 0 && len(d.Removed) == 0 && len(d.Changed) == 0
}

type diffKey struct{ account, region, typ, id string }

// Diff compares two estates account by account. Resources are the same if
// account, region, type and id are. A part that either estate could not read is
// left out of the comparison, because nothing is known about it.
func Diff(before, after Source) (*Difference, error) {
	olds, err := resourcesByKey(before)
	if err != nil {
		return nil, err
	}
	d := &Difference{}
	for a, err := range after.Accounts() {
		if err != nil {
			return nil, err
		}
		for _, r := range a.Resources {
			k := diffKey{r.Account, r.Region, r.Type, r.ID}
			o := olds[k]
			delete(olds, k)
			if o == nil {
				d.Added = append(d.Added, r)
				continue
			}
			if c := compare(o, r); len(c) > 0 {
				d.Changed = append(d.Changed, Changed{o, r, c})
			}
		}
	}
	for _, r := range olds {
		d.Removed = append(d.Removed, r)
	}
	slices.SortFunc(d.Removed, func(a, b *Resource) int {
		return cmp.Or(strings.Compare(a.Account, b.Account), compareResources(a, b))
	})
	return d, nil
}

func resourcesByKey(s Source) (map[diffKey]*Resource, error) {
	m := map[diffKey]*Resource{}
	for a, err := range s.Accounts() {
		if err != nil {
			return nil, err
		}
		for _, r := range a.Resources {
			m[diffKey{r.Account, r.Region, r.Type, r.ID}] = r
		}
	}
	return m, nil
}

func compare(o, n *Resource) []Change {
	skip := map[string]bool{}
	for _, g := range append(slices.Clone(o.Unknown), n.Unknown...) {
		skip[g.Part] = true
	}
	var out differ
	out.members("", o.Document, n.Document, skip)
	out.members("tags.", asAny(o.Tags), asAny(n.Tags), nil)
	return out.changes
}

func asAny(m map[string]string) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

type differ struct{ changes []Change }

func (d *differ) members(prefix string, o, n map[string]any, skip map[string]bool) {
	keys := sortedKeys(o)
	for k := range n {
		if _, both := o[k]; !both {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if skip[k] {
			continue
		}
		ov, inOld := o[k]
		nv, inNew := n[k]
		path := prefix + k
		switch {
		case !inOld:
			d.changes = append(d.changes, Change{Path: path, New: nv, Appeared: true})
		case !inNew:
			d.changes = append(d.changes, Change{Path: path, Old: ov, Vanished: true})
		default:
			d.value(path, ov, nv)
		}
	}
}

func (d *differ) value(path string, o, n any) {
	switch ov := o.(type) {
	case map[string]any:
		if nv, ok := n.(map[string]any); ok {
			d.members(path+".", ov, nv, nil)
			return
		}
	case []any:
		if nv, ok := n.([]any); ok {
			d.list(path, ov, nv)
			return
		}
	}
	if !equal(o, n) {
		d.changes = append(d.changes, Change{Path: path, Old: o, New: n})
	}
}

// list compares by content first, so that AWS answering in another order is no
// change; what has no equal is paired by position.
func (d *differ) list(path string, o, n []any) {
	left := map[string][]int{}
	for i, v := range o {
		k := canonical(v)
		left[k] = append(left[k], i)
	}
	var fresh []int
	for i, v := range n {
		k := canonical(v)
		if at := left[k]; len(at) > 0 {
			left[k] = at[1:]
			continue
		}
		fresh = append(fresh, i)
	}
	var gone []int
	for _, at := range left {
		gone = append(gone, at...)
	}
	slices.Sort(gone)
	for len(gone) > 0 && len(fresh) > 0 {
		d.value(path+"["+strconv.Itoa(fresh[0])+"]", o[gone[0]], n[fresh[0]])
		gone, fresh = gone[1:], fresh[1:]
	}
	for _, i := range gone {
		d.changes = append(d.changes, Change{Path: path + "[" + strconv.Itoa(i) + "]", Old: o[i], Vanished: true})
	}
	for _, i := range fresh {
		d.changes = append(d.changes, Change{Path: path + "[" + strconv.Itoa(i) + "]", New: n[i], Appeared: true})
	}
}

func equal(a, b any) bool {
	switch a.(type) {
	case map[string]any, []any:
		return canonical(a) == canonical(b)
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

func canonical(v any) string {
	b, err := AppendJSON(nil, v)
	if err != nil {
		return "?"
	}
	return string(b)
}

// Filter drops what keep does not want.
func (d *Difference) Filter(keep func(*Resource) bool) {
	drop := func(r *Resource) bool { return !keep(r) }
	d.Added = slices.DeleteFunc(d.Added, drop)
	d.Removed = slices.DeleteFunc(d.Removed, drop)
	d.Changed = slices.DeleteFunc(d.Changed, func(c Changed) bool { return drop(c.New) })
}
