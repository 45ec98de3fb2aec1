package derive

import (
	"bytes"
	"encoding/json"
	"hash/maphash"
	"strconv"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// maxText bounds the request and the answer that are read: CloudTrail writes no
// record of more than 256 KB.
const maxText = 1 << 20

// record is what the fields of one record have in common.
type record struct {
	source, name, account string
	request, response     part

	rules    []opening
	haveOpen bool

	policies      []*policy
	havePolicies  bool
	strangers     []letIn
	haveStrangers bool
	proofs, looks int // that may still be spent

	values map[string][]event.Value // of the fields that were asked for, by path
}

// of returns the record of an event, nil for what is no call of CloudTrail's. Calls
// of one request and answer have one record, if they are remembered.
func of(e *event.Event) *record {
	r, _ := e.Note(func(e *event.Event) any {
		if e.Kind != event.CloudTrail {
			return nil
		}
		m, _ := e.Memory(func() any { return &memory{seed: maphash.MakeSeed()} }).(*memory)
		return m.record(record{
			source: e.Source(), name: e.Name(), account: e.Account(),
			request: partOf(e, "requestParameters"), response: partOf(e, "responseElements"),
		})
	}).(*record)
	return r
}

// once makes the values of a field be worked out once for a record.
func once(path string, values event.Derive) event.Derive {
	return func(e *event.Event) []event.Value {
		r := of(e)
		if r == nil {
			return nil
		}
		vs, ok := r.values[path]
		if !ok {
			vs = values(e)
			if r.values == nil {
				r.values = map[string][]event.Value{}
			}
			r.values[path] = vs
		}
		return vs
	}
}

// part is an object of a record, decoded when somebody asks for it.
type part struct {
	text    []byte // nil where there is none, or one that is too long
	decoded bool
	doc     map[string]any
}

func partOf(e *event.Event, path string) part {
	vs := e.Lookup(path)
	if len(vs) != 1 || vs[0].Kind != event.Object || len(vs[0].Text) > maxText {
		return part{}
	}
	return part{text: vs[0].Text}
}

func (p *part) object() map[string]any {
	if !p.decoded {
		p.decoded = true
		d := json.NewDecoder(bytes.NewReader(p.text))
		d.UseNumber()
		if d.Decode(&p.doc) != nil {
			p.doc = nil
		}
	}
	return p.doc
}

// get returns the member of an object that has one of the names, whatever their
// case: requests and answers spell them differently, ipProtocol and IpProtocol.
func get(doc map[string]any, names ...string) any {
	for _, n := range names {
		if v, ok := doc[n]; ok {
			return v
		}
	}
	for _, n := range names {
		found := ""
		for k := range doc {
			if strings.EqualFold(k, n) && (found == "" || k < found) {
				found = k
			}
		}
		if found != "" {
			return doc[found]
		}
	}
	return nil
}

// items returns the objects of a list, whether it is one, or an object with the
// list in it, as the query protocol has it, or one object that stands alone.
func items(v any, names ...string) []map[string]any {
	switch v := v.(type) {
	case []any:
		var out []map[string]any
		for _, e := range v {
			if doc, ok := e.(map[string]any); ok {
				out = append(out, doc)
			}
		}
		return out
	case map[string]any:
		for _, n := range append(names, "items", "item", "member") {
			if inner := get(v, n); inner != nil {
				return items(inner, names...)
			}
		}
		if len(v) > 0 {
			return []map[string]any{v}
		}
	}
	return nil
}

// text returns a text, or a number or truth value as it is written.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
