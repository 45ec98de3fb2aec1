package estate

import (
	"strings"
	"sync"
)

// Index finds resources by type, id and ARN, and the references between them.
// It does not change once made and is safe for concurrent use.
type Index struct {
	all    []*Resource
	byType map[string][]*Resource
	byARN  map[string]*Resource
	byID   map[string][]*Resource

	linked sync.Once
	out    map[*Resource][]Reference
	in     map[*Resource][]Reference
}

// Reference says that a document names another resource.
type Reference struct {
	From, To *Resource
	Path     string // where in From's document, Groups[0].GroupId
}

// NewIndex indexes resources in the given order.
func NewIndex(resources []*Resource) *Index {
	x := &Index{
		all:    resources,
		byType: map[string][]*Resource{},
		byARN:  make(map[string]*Resource, len(resources)),
		byID:   make(map[string][]*Resource, len(resources)),
	}
	for _, r := range resources {
		x.byType[r.Type] = append(x.byType[r.Type], r)
		if r.ARN != "" && x.byARN[r.ARN] == nil {
			x.byARN[r.ARN] = r
		}
		x.byID[r.ID] = append(x.byID[r.ID], r)
	}
	return x
}

// All returns every resource, in the order given.
func (x *Index) All() []*Resource { return x.all }

// Type returns the resources of a type.
func (x *Index) Type(name string) []*Resource { return x.byType[name] }

// ARN returns the resource with that ARN, or nil.
func (x *Index) ARN(arn string) *Resource { return x.byARN[arn] }

// ID returns the resources with that id: more than one where types, accounts
// or regions use the same.
func (x *Index) ID(id string) []*Resource { return x.byID[id] }

// Find returns the resource of a type with that id or ARN, seen from another
// resource's account and region, or nil. An id of another region is found only
// where the type is global.
func (x *Index) Find(from *Resource, typ, id string) *Resource {
	if r := x.byARN[id]; r != nil && r.Type == typ {
		return r
	}
	for _, r := range x.byID[id] {
		if r.Type == typ && near(from, r) {
			return r
		}
	}
	return nil
}

// References returns what r's document names, sorted by path. The first call of
// References or Referrers walks all documents once.
func (x *Index) References(r *Resource) []Reference {
	x.linked.Do(x.link)
	return x.out[r]
}

// Referrers returns the resources whose documents name r.
func (x *Index) Referrers(r *Resource) []Reference {
	x.linked.Do(x.link)
	return x.in[r]
}

func (x *Index) link() {
	x.out, x.in = map[*Resource][]Reference{}, map[*Resource][]Reference{}
	for _, r := range x.all {
		l := linker{x: x, from: r}
		l.walk(r.Document)
		if l.refs != nil {
			x.out[r] = l.refs
		}
		for _, ref := range l.refs {
			x.in[ref.To] = append(x.in[ref.To], ref)
		}
	}
}

type linker struct {
	x    *Index
	from *Resource
	path []string
	refs []Reference
}

func (l *linker) walk(v any) {
	switch v := v.(type) {
	case string:
		l.text(v)
	case []any:
		for i, e := range v {
			switch e.(type) {
			case string, map[string]any, []any:
				l.path = append(l.path, "["+itoa(i)+"]")
				l.walk(e)
				l.path = l.path[:len(l.path)-1]
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			if k == "Tags" || k == "TagSet" || k == "TagList" || k == "tags" {
				continue // a tag's value says nothing about AWS
			}
			switch e := v[k].(type) {
			case string, map[string]any, []any:
				l.path = append(l.path, k)
				l.walk(e)
				l.path = l.path[:len(l.path)-1]
			}
		}
	}
}

func (l *linker) text(s string) {
	if len(s) < 3 || len(s) > 2048 {
		return
	}
	if strings.HasPrefix(s, "arn:") {
		to := l.x.byARN[s]
		if to == nil {
			to = l.x.byARN[strings.TrimSuffix(s, ":*")] // log group ARNs end so
		}
		if to != nil && to != l.from {
			l.add(to)
		}
		return
	}
	for _, to := range l.x.byID[s] {
		if to != l.from && near(l.from, to) {
			l.add(to)
		}
	}
}

func (l *linker) add(to *Resource) {
	var b strings.Builder
	for i, p := range l.path {
		if i > 0 && p[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(p)
	}
	l.refs = append(l.refs, Reference{l.from, to, b.String()})
}

// near reports whether an id in from's document can mean to: ids are unique
// within account and region only, bucket names in the whole partition.
func near(from, to *Resource) bool {
	if from == nil || to.Type == "AWS::S3::Bucket" {
		return true
	}
	return from.Account == to.Account && (from.Region == to.Region || from.Region == "" || to.Region == "")
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
