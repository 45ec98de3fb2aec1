package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/estate"
)

// item is a resource on its way into the estate.
type item struct {
	typ    *Type
	doc    map[string]any
	parent map[string]any
	region string // where its operations are called
	res    estate.Resource
	gone   bool
}

func (a *accountRun) from(it *item, doc any) scope {
	s := scope{doc: doc, account: a.id, region: it.region, partition: a.partition}
	if it.parent != nil {
		s.parent = it.parent
	}
	return s
}

// read reads a unit: the list, the further operations of each item, and the
// types that hang below.
func (a *accountRun) read(ctx context.Context, u *unit) {
	region := u.region
	if u.typ.Global {
		region = a.home
	}
	a.tree(ctx, u, u.typ, region, nil, 0)
}

func (a *accountRun) tree(ctx context.Context, u *unit, t *Type, region string, parent map[string]any, depth int) {
	items := a.list(ctx, u, t, region, parent)
	a.details(ctx, items)
	for _, it := range items {
		if it.gone {
			continue
		}
		a.finish(u, it)
		for _, child := range t.children {
			if slices.Contains(a.types, child) {
				a.tree(ctx, u, child, region, it.doc, 0)
			}
		}
		if t.List.recurse && depth < 10 {
			a.tree(ctx, u, t, region, it.doc, depth+1)
		}
	}
}

func (a *accountRun) list(ctx context.Context, u *unit, t *Type, region string, parent map[string]any) []*item {
	if t.Single {
		return []*item{{typ: t, doc: map[string]any{}, region: region}}
	}
	l := &t.List
	s := scope{doc: parent, account: a.id, region: region, partition: a.partition}
	inputs := []map[string]any{nil}
	// What hangs below an unread type is unread, too.
	hidden := func(err error) (gaps []estate.Gap) {
		for _, name := range a.familyOf(t) {
			gaps = append(gaps, a.gap(name, a.id, u.region, "", l.Service+":"+l.Operation, err))
		}
		return gaps
	}
	fail := func(err error) { u.gaps = append(u.gaps, hidden(err)...) }
	v, err := s.expand(orEmpty(l.input))
	if err != nil {
		fail(err)
		return nil
	}
	inputs[0] = v.(map[string]any)
	for name, values := range l.each {
		inputs = inputs[:0]
		for _, value := range values {
			in := clone(v).(map[string]any)
			in[name] = value
			inputs = append(inputs, in)
		}
	}
	var items []*item
	for _, in := range inputs {
		out, err := a.shared(ctx, region, l.Service, l.Operation, in)
		switch {
		case err == nil:
		case matches(err, l.absent), matches(err, a.Catalogue.unavailable), notOffered(err), parent != nil && matches(err, t.gone):
			continue
		case unresolved(err):
			u.missing = append(u.missing, hidden(err)...)
			continue
		default:
			fail(err)
			continue
		}
		if err := l.items.wrong(out); err != nil {
			fail(fmt.Errorf("%w: %w", errNonsense, err))
			continue
		}
		for _, v := range l.items.all(out) {
			doc, ok := v.(map[string]any)
			if name, text := v.(string); text && l.bare != "" {
				doc, ok = map[string]any{l.bare: name}, true
			}
			if !ok || len(doc) == 0 {
				if v != nil {
					fail(fmt.Errorf("%w: %s lists a %s", errNonsense, strings.Join(l.items, "."), kindName(v)))
				}
				continue
			}
			if !l.wants(doc, s) {
				continue
			}
			doc = clone(doc).(map[string]any)
			decodeAll(doc, t.decode)
			redactAll(doc, t.redact)
			items = append(items, &item{typ: t, doc: doc, parent: parent, region: region})
		}
	}
	return items
}

// wants reports whether an item is one that the type asks for: its own, where
// an API may list others'.
func (l *List) wants(doc map[string]any, s scope) bool {
	unwanted := len(l.drop) > 0
	for at, want := range l.drop {
		p, _ := parsePath(at)
		v := p.first(doc)
		want, optional := strings.CutSuffix(want, "?")
		stem, wild := strings.CutSuffix(want, "*")
		got := fmt.Sprint(v)
		unwanted = unwanted && (v == nil && optional || v != nil && (got == want || wild && strings.HasPrefix(got, stem)))
	}
	if unwanted {
		return false
	}
	if l.where[0] == "" {
		return true
	}
	want, err := s.text(l.where[1])
	s.doc = doc
	got, err2 := s.value(l.where[0])
	return err != nil || err2 != nil || got == want
}

func orEmpty(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// shared calls a list operation once for all types of the account that need the
// same answer, as IAM's authorization details serve four.
func (a *accountRun) shared(ctx context.Context, region, service, operation string, in map[string]any) (map[string]any, error) {
	uses := 0
	for _, t := range a.types {
		if t.parent == nil && t.List.Service == service && t.List.Operation == operation {
			uses++
		}
	}
	if uses < 2 {
		return a.ask(ctx, region, service, operation, in)
	}
	b, err := estate.AppendJSON([]byte(region+" "+service+" "+operation+" "), in)
	if err != nil {
		return nil, err
	}
	key := string(b)
	a.mu.Lock()
	c := a.lists[key]
	if c == nil {
		c = &listCall{done: make(chan struct{})}
		a.lists[key] = c
		a.mu.Unlock()
		c.out, c.err = a.ask(ctx, region, service, operation, in)
		close(c.done)
	} else {
		a.mu.Unlock()
		<-c.done
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.uses++; c.uses >= uses {
		delete(a.lists, key) // the last one to need it
	}
	return c.out, c.err
}

func (a *accountRun) ask(ctx context.Context, region, service, operation string, in map[string]any) (map[string]any, error) {
	out, err := a.patient(ctx, a.limits.of(service, region, a.Parallel), a.api(region), service, operation, in)
	if err == nil || !unresolved(err) && !notOffered(err) && ctx.Err() == nil {
		a.mu.Lock()
		a.answered[region] = true
		if region == a.home {
			a.answered[""] = true
		}
		a.mu.Unlock()
	}
	return out, err
}

// finish gives the item its identity and puts it into the unit.
func (a *accountRun) finish(u *unit, it *item) {
	t := it.typ
	s := a.from(it, it.doc)
	id, err := s.name(t.id)
	if err != nil {
		op := t.List.Service + ":" + t.List.Operation
		u.gaps = append(u.gaps, a.gap(t.Name, a.id, u.region, "", op, fmt.Errorf("%w: an item of %s has no id: %w", errNonsense, op, err)))
		return
	}
	r := it.res
	r.Type, r.ID, r.Account, r.Region, r.Document = t.Name, id, a.id, u.region, it.doc
	if t.region != nil {
		if name := t.region.of(it.doc); name != "" {
			r.Region = name
		}
	}
	if t.arn != "" {
		r.ARN, _ = s.name(t.arn)
	}
	if t.tags != nil {
		r.Tags = tagsOf(t.tags.all(it.doc))
	}
	u.resources = append(u.resources, &r)
}
