package posture

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/bartizan-security/bartizan/estate"
)

// A control reads AWS documents, in which most members are optional. Inside a
// control's expressions an absent member is null, a member of null is null, null
// has no elements and size 0, and a text test on null is false. Null never
// orders against a number: that is an error, hence unknown.

// absent is that null. It is not types.NullValue, because CEL lets nothing be
// selected from that one.
type absent struct{}

var (
	absentType = types.NewObjectType("null_or_absent", traits.ContainerType|traits.IndexerType|traits.IterableType|traits.SizerType)
	nothing    = absent{}

	_ traits.Mapper   = absent{}
	_ traits.Iterable = absent{}
)

func (absent) ConvertToNative(t reflect.Type) (any, error) {
	return types.NullValue.ConvertToNative(t)
}
func (absent) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String("null")
	case types.TypeType:
		return types.NullType
	}
	return types.NewErr("null cannot become %s", t.TypeName())
}
func (absent) Equal(other ref.Val) ref.Val {
	return types.Bool(other == nothing || other == types.NullValue)
}
func (absent) Type() ref.Type               { return absentType }
func (absent) Value() any                   { return nil }
func (absent) Contains(ref.Val) ref.Val     { return types.False }
func (absent) Get(ref.Val) ref.Val          { return nothing }
func (absent) Find(ref.Val) (ref.Val, bool) { return nothing, true }
func (absent) Size() ref.Val                { return types.IntZero }
func (absent) Iterator() traits.Iterator    { return &iterator{} }
func (absent) IsZeroValue() bool            { return true }
func (absent) Fold(traits.Folder)           {}

// iterator walks values; the zero one is empty.
type iterator struct {
	ref.Val
	values []ref.Val
	next   int
	st     *state // where steps are counted, or nil
}

func (i *iterator) HasNext() ref.Val { return types.Bool(i.next < len(i.values)) }
func (i *iterator) Next() ref.Val {
	if i.next >= len(i.values) {
		return nil
	}
	if err := i.st.step(); err != nil {
		i.next = len(i.values)
		return err
	}
	i.next++
	return i.values[i.next-1]
}

// list is a JSON array. Walking it counts the steps of the evaluation.
type list struct {
	values []any
	st     *state
}

var _ traits.Lister = (*list)(nil)

// plain is the same list as CEL has them, for what is rarely asked for.
func (l *list) plain() traits.Lister { return types.NewDynamicList(theAdapter, l.values) }

func (l *list) ConvertToNative(t reflect.Type) (any, error) { return l.plain().ConvertToNative(t) }
func (l *list) ConvertToType(t ref.Type) ref.Val {
	if t == types.ListType {
		return l
	}
	return l.plain().ConvertToType(t)
}
func (l *list) Equal(other ref.Val) ref.Val {
	if o, ok := other.(*list); ok {
		other = o.plain()
	}
	return l.plain().Equal(other)
}
func (l *list) Type() ref.Type { return types.ListType }
func (l *list) Value() any     { return l.values }
func (l *list) Add(other ref.Val) ref.Val {
	if o, ok := other.(*list); ok {
		other = o.plain()
	}
	return l.plain().Add(other)
}
func (l *list) Contains(v ref.Val) ref.Val {
	for _, e := range l.values {
		if wrap(e, l.st).Equal(v) == types.True {
			return types.True
		}
	}
	return types.False
}
func (l *list) Get(index ref.Val) ref.Val {
	i, err := types.IndexOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	if i < 0 || i >= len(l.values) {
		return types.NewErr("index out of bounds: %d", i)
	}
	return wrap(l.values[i], l.st)
}
func (l *list) Size() ref.Val             { return types.Int(len(l.values)) }
func (l *list) Iterator() traits.Iterator { return &listIterator{of: l} }

// listIterator walks a list, wrapping its elements as it comes to them.
type listIterator struct {
	ref.Val
	of   *list
	next int
}

func (i *listIterator) HasNext() ref.Val { return types.Bool(i.next < len(i.of.values)) }
func (i *listIterator) Next() ref.Val {
	if i.next >= len(i.of.values) {
		return nil
	}
	if err := i.of.st.step(); err != nil {
		i.next = len(i.of.values)
		return err
	}
	i.next++
	return wrap(i.of.values[i.next-1], i.of.st)
}

// wrap makes a CEL value of a JSON-shaped one.
func wrap(v any, st *state) ref.Val {
	switch v := v.(type) {
	case nil:
		return nothing
	case string:
		return types.String(v)
	case bool:
		return types.Bool(v)
	case int64:
		return types.Int(v)
	case float64:
		return types.Double(v)
	case map[string]any:
		return &object{members: v, st: st}
	case []any:
		return &list{v, st}
	}
	return theAdapter.NativeToValue(v)
}

// adapter turns JSON-shaped Go values into CEL values without copying them.
type adapter struct{ types.Adapter }

func newAdapter() adapter { return adapter{types.DefaultTypeAdapter} }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		if v == types.NullValue {
			return nothing
		}
		return v
	case *missing:
		return v.st.unknown(v.gap)
	case nil, string, bool, int64, float64, map[string]any, []any:
		return wrap(v, nil)
	}
	return a.Adapter.NativeToValue(v)
}

var theAdapter = newAdapter()

// object is a JSON object. The outermost one knows the resource whose document
// it is, and answers unknown for the parts that could not be read.
type object struct {
	members map[string]any
	res     *estate.Resource
	st      *state
}

var (
	_ traits.Mapper   = (*object)(nil)
	_ traits.Iterable = (*object)(nil)
)

func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(o.members).AssignableTo(t) {
		return o.members, nil
	}
	return nil, fmt.Errorf("convert document to %v: not supported", t)
}
func (o *object) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return o
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("a document cannot become %s", t.TypeName())
}
func (o *object) Equal(other ref.Val) ref.Val {
	b, ok := other.(*object)
	if !ok {
		return types.False
	}
	return types.Bool(o.members != nil && reflect.DeepEqual(o.members, b.members))
}
func (o *object) Type() ref.Type { return types.MapType }
func (o *object) Value() any     { return o.members }
func (o *object) Contains(key ref.Val) ref.Val {
	k, ok := key.(types.String)
	if !ok {
		return types.False
	}
	if u := o.unknownPart(string(k)); u != nil {
		return u
	}
	_, found := o.members[string(k)]
	return types.Bool(found)
}
func (o *object) Get(key ref.Val) ref.Val {
	v, _ := o.Find(key)
	return v
}
func (o *object) Find(key ref.Val) (ref.Val, bool) {
	k, ok := key.(types.String)
	if !ok {
		return types.NewErr("a member's name is a string, not %s", key.Type().TypeName()), false
	}
	v, found := o.members[string(k)]
	if !found {
		if u := o.unknownPart(string(k)); u != nil {
			return u, true
		}
		return nothing, true
	}
	return wrap(v, o.st), true
}
func (o *object) Size() ref.Val { return types.Int(len(o.members)) }
func (o *object) Iterator() traits.Iterator {
	keys := make([]ref.Val, 0, len(o.members))
	for _, k := range sortedKeys(o.members) {
		keys = append(keys, types.String(k))
	}
	return &iterator{values: keys, st: o.st}
}

func (o *object) unknownPart(part string) ref.Val {
	if o.res == nil || len(o.res.Unknown) == 0 {
		return nil
	}
	for i := range o.res.Unknown {
		if g := &o.res.Unknown[i]; g.Part == part || g.Part == "" {
			return o.st.unknown(*g)
		}
	}
	return nil
}

// missing stands in a document where a member of a member could not be read.
type missing struct {
	st  *state
	gap estate.Gap
}

// withMissing returns a document with a missing in the place of every nested
// part that a gap names, as in ListAccessKeys.AccessKeyMetadata[0].X. What it
// changes it copies first.
func withMissing(st *state, doc map[string]any, gaps []estate.Gap) map[string]any {
	for _, g := range gaps {
		if steps := partSteps(g.Part); len(steps) > 1 {
			if d, ok := put(doc, steps, &missing{st, g}).(map[string]any); ok {
				doc = d
			}
		}
	}
	return doc
}

// partSteps splits A.B[0].C into A, B, 0, C.
func partSteps(part string) []string {
	return strings.FieldsFunc(part, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
}

func put(v any, steps []string, leaf any) any {
	if len(steps) == 0 {
		return leaf
	}
	switch v := v.(type) {
	case map[string]any:
		out := maps.Clone(v)
		out[steps[0]] = put(v[steps[0]], steps[1:], leaf)
		return out
	case []any:
		i, err := strconv.Atoi(steps[0])
		if err != nil || i < 0 || i >= len(v) {
			return v
		}
		out := slices.Clone(v)
		out[i] = put(v[i], steps[1:], leaf)
		return out
	case nil:
		return leaf // the member that would hold it is missing too
	}
	return v
}

// resourceList is the answer of a lookup. Where the type could not be read
// completely it ends with an unknown, so that "one of them is …" can still be
// true and "none of them is …" cannot.
type resourceList struct {
	items []ref.Val
	gap   ref.Val // nil or *types.Unknown
	st    *state
}

var _ traits.Lister = (*resourceList)(nil)

func (l *resourceList) all() []ref.Val {
	if l.gap == nil {
		return l.items
	}
	return append(slices.Clip(l.items), l.gap)
}
func (l *resourceList) ConvertToNative(t reflect.Type) (any, error) {
	return types.NewRefValList(theAdapter, l.items).ConvertToNative(t)
}
func (l *resourceList) ConvertToType(t ref.Type) ref.Val {
	return types.NewRefValList(theAdapter, l.items).ConvertToType(t)
}
func (l *resourceList) Equal(other ref.Val) ref.Val {
	if l.gap != nil {
		return l.gap
	}
	return types.NewRefValList(theAdapter, l.items).Equal(other)
}
func (l *resourceList) Type() ref.Type { return types.ListType }
func (l *resourceList) Value() any     { return l.items }
func (l *resourceList) Add(other ref.Val) ref.Val {
	if o, ok := other.(*resourceList); ok {
		gap := l.gap
		if gap == nil {
			gap = o.gap
		}
		return &resourceList{append(slices.Clip(l.items), o.items...), gap, l.st}
	}
	if l.gap != nil {
		return l.gap
	}
	return types.NewRefValList(theAdapter, l.items).Add(other)
}
func (l *resourceList) Contains(v ref.Val) ref.Val {
	for _, i := range l.items {
		if i.Equal(v) == types.True {
			return types.True
		}
	}
	if l.gap != nil {
		return l.gap
	}
	return types.False
}
func (l *resourceList) Get(index ref.Val) ref.Val {
	i, ok := index.(types.Int)
	if !ok || i < 0 {
		return types.NewErr("a list's index is a number from 0")
	}
	if int(i) < len(l.items) {
		return l.items[i]
	}
	if l.gap != nil {
		return l.gap
	}
	return nothing
}
func (l *resourceList) Size() ref.Val {
	if l.gap != nil {
		return l.gap
	}
	return types.Int(len(l.items))
}
func (l *resourceList) Iterator() traits.Iterator { return &iterator{values: l.all(), st: l.st} }

// native turns a CEL value back into a JSON-shaped one, for evidence.
func native(v ref.Val) any {
	switch v := v.(type) {
	case absent, types.Null:
		return nil
	case *object:
		if v.res != nil {
			return resourceName(v.res)
		}
		return v.members
	case types.String:
		return string(v)
	case types.Bool:
		return bool(v)
	case types.Int:
		return int64(v)
	case types.Double:
		return float64(v)
	case types.Timestamp:
		return v.UTC().Format("2006-01-02T15:04:05Z07:00")
	case types.Duration:
		return v.String()
	case traits.Lister:
		out := []any{} // that nothing was found is a value, too
		for it := v.Iterator(); it.HasNext() == types.True; {
			out = append(out, native(it.Next()))
		}
		return out
	case traits.Mapper:
		out := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			out[fmt.Sprint(k.Value())] = native(v.Get(k))
		}
		return out
	case *types.Unknown, *types.Err:
		return nil
	}
	return fmt.Sprint(v.Value())
}

// resourceName is what a reader knows a resource by.
func resourceName(r *estate.Resource) string {
	if r.ARN != "" {
		return r.ARN
	}
	return r.Type + " " + r.ID
}
