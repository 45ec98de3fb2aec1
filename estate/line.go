package estate

import (
	"errors"
	"fmt"
	"slices"
)

// record is one line of a snapshot after the header.
type record struct {
	account         string
	resource        *Resource
	gap             Gap
	trailer         bool
	resources, gaps int64
}

func (r *Reader) record(line []byte) (record, error) {
	v, err := r.dec.Decode(line)
	if err != nil {
		return record{}, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return record{}, errors.New("want an object")
	}
	switch m["kind"] {
	case kindTrailer:
		n, ok1 := m["resources"].(int64)
		g, ok2 := m["gaps"].(int64)
		if !ok1 || !ok2 {
			return record{}, errors.New("the trailer has no counts")
		}
		return record{trailer: true, resources: n, gaps: g}, nil
	case kindGap:
		g, err := gapFrom(m)
		return record{account: g.Account, gap: g}, err
	case kindResource:
		res, err := resourceFrom(m)
		if err != nil {
			return record{}, err
		}
		return record{account: res.Account, resource: res}, nil
	}
	return record{}, fmt.Errorf("unknown kind %.40q", fmt.Sprint(m["kind"]))
}

// fields reads string members of a line, remembering the first that is none.
type fields struct {
	m   map[string]any
	bad string
}

func (f *fields) text(name string) string {
	v, ok := f.m[name]
	if !ok || v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok && f.bad == "" {
		f.bad = name
	}
	return s
}

func (f *fields) err() error {
	if f.bad != "" {
		return fmt.Errorf("member %s is no string", f.bad)
	}
	return nil
}

func gapFrom(m map[string]any) (Gap, error) {
	f := fields{m: m}
	g := Gap{Type: f.text("type"), Account: f.text("account"), Region: f.text("region"), Part: f.text("part"),
		Operation: f.text("operation"), Code: f.text("code"), Reason: f.text("reason"), Permission: f.text("permission")}
	return g, f.err()
}

func resourceFrom(m map[string]any) (*Resource, error) {
	f := fields{m: m}
	res := &Resource{Type: f.text("type"), ID: f.text("id"), ARN: f.text("arn"), Account: f.text("account"), Region: f.text("region")}
	if err := f.err(); err != nil {
		return nil, err
	}
	if res.Type == "" || res.ID == "" {
		return nil, errors.New("a resource needs a type and an id")
	}
	var ok bool
	if res.Document, ok = m["document"].(map[string]any); !ok {
		return nil, errors.New("a resource needs a document")
	}
	if tags, has := m["tags"]; has {
		t, ok := tags.(map[string]any)
		if !ok {
			return nil, errors.New("tags is no object")
		}
		res.Tags = make(map[string]string, len(t))
		for k, v := range t {
			s, ok := v.(string)
			if !ok {
				return nil, errors.New("a tag's value is no string")
			}
			res.Tags[k] = s
		}
	}
	if u, has := m["unknown"]; has {
		list, ok := u.([]any)
		if !ok {
			return nil, errors.New("unknown is no list")
		}
		for _, e := range list {
			em, ok := e.(map[string]any)
			if !ok {
				return nil, errors.New("unknown holds no object")
			}
			g, err := gapFrom(em)
			if err != nil {
				return nil, err
			}
			res.Unknown = append(res.Unknown, g)
		}
		res.Unknown = slices.Clip(res.Unknown)
	}
	return res, nil
}
