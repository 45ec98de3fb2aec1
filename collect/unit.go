package collect

import (
	"context"
	"encoding/base64"
	"encoding/csv"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bartizan-security/bartizan/estate"
)

// Redacted stands where a value was that a snapshot must not hold.
const Redacted = "(redacted)"

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

// details calls the further operations, for several items at once.
func (a *accountRun) details(ctx context.Context, items []*item) {
	workers := min(a.Parallel, len(items))
	next := make(chan *item)
	var wait sync.WaitGroup
	for range workers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for it := range next {
				for i := range it.typ.More {
					a.more(ctx, it, &it.typ.More[i])
				}
			}
		}()
	}
	for _, it := range items {
		next <- it
	}
	close(next)
	wait.Wait()
}

func (a *accountRun) more(ctx context.Context, it *item, m *More) {
	if it.gone || m.Option != "" && !slices.Contains(a.Include, m.Option) || !a.wanted(m.when, it.doc) {
		return
	}
	if m.forAll == nil {
		if out, gap, ok := a.detail(ctx, it, m, it.doc, m.Part); ok {
			m.store(it.doc, out)
		} else if gap != nil {
			it.res.Unknown = append(it.res.Unknown, *gap)
		}
		return
	}
	n := 0
	m.forAll.each(it.doc, func(v any, _ func(any)) {
		part := fmt.Sprintf("%s[%d].%s", strings.TrimSuffix(dotted(m.forAll), "[]"), n, m.Part)
		n++
		doc, ok := v.(map[string]any)
		if !ok {
			return
		}
		if out, gap, ok := a.detail(ctx, it, m, doc, part); ok {
			m.store(doc, out)
		} else if gap != nil {
			it.res.Unknown = append(it.res.Unknown, *gap)
		}
	})
}

// dotted prints a path as it is written.
func dotted(p path) string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 && s[0] != '[' {
			b.WriteByte('.')
		}
		b.WriteString(s)
	}
	return b.String()
}

// wanted evaluates a condition on the document: Path=value, Path!=value,
// @management, or a path that must be there.
func (a *accountRun) wanted(when string, doc map[string]any) bool {
	if when == "" {
		return true
	}
	if when == "@management" {
		return a.management
	}
	name, want, not := strings.Cut(when, "!=")
	if !not {
		var is bool
		if name, want, is = strings.Cut(when, "="); !is {
			p, _ := parsePath(name)
			return p.first(doc) != nil
		}
	}
	p, _ := parsePath(name)
	v := p.first(doc)
	return (v != nil && fmt.Sprint(v) == want) != not
}

func (m *More) store(doc map[string]any, out map[string]any) {
	if !m.merged {
		if out == nil {
			doc[m.Part] = nil
			return
		}
		doc[m.Part] = out
		return
	}
	if from, ok := m.merge.first(out).(map[string]any); ok {
		for k, v := range from {
			doc[k] = v
		}
	}
}

// detail calls one further operation. ok with nil output means absent.
func (a *accountRun) detail(ctx context.Context, it *item, m *More, doc any, part string) (out map[string]any, gap *estate.Gap, ok bool) {
	op := m.Service + ":" + m.Operation
	fail := func(err error) (map[string]any, *estate.Gap, bool) {
		g := a.gap("", "", "", part, op, err)
		if part == "" {
			g.Part = m.Operation // what would have been merged has no member of its own
		}
		return nil, &g, false
	}
	s := a.from(it, doc)
	v, err := s.expand(orEmpty(m.input))
	if err != nil {
		return fail(err)
	}
	if m.before != nil {
		if err := a.prepare(ctx, it.region, m.before); err != nil {
			return fail(err)
		}
	}
	region := it.region
	if r := it.typ.region; r != nil {
		if name := r.of(it.doc); name != "" {
			region = name
		}
	}
	out, err = a.ask(ctx, region, m.Service, m.Operation, v.(map[string]any))
	switch {
	case err == nil:
	case matches(err, m.absent), matches(err, a.Catalogue.unavailable), notOffered(err):
		return nil, nil, !m.merged
	case matches(err, it.typ.gone):
		it.gone = true
		return nil, nil, false
	default:
		return fail(err)
	}
	if m.merged {
		if _, isMap := m.merge.first(out).(map[string]any); !isMap {
			return fail(fmt.Errorf("%w: no %s", errNonsense, dotted(m.merge)))
		}
	}
	out = clone(out).(map[string]any)
	decodeAll(out, m.decode)
	redactAll(out, m.redact)
	for _, k := range m.keep {
		k.at.each(out, func(v any, set func(any)) {
			if list, isList := v.([]any); isList {
				set(k.reduce(list))
			}
		})
	}
	return out, nil, true
}

func (k keeping) reduce(list []any) []any {
	out := []any{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		if name, _ := m[k.member].(string); slices.Contains(k.values, name) {
			out = append(out, v)
		}
	}
	return out
}

func (a *accountRun) prepare(ctx context.Context, region string, b *before) error {
	for range 20 {
		out, err := a.ask(ctx, region, b.service, b.operation, map[string]any{})
		if err != nil {
			return err
		}
		if b.at.first(out) == b.want {
			return nil
		}
		if err := a.Sleep(ctx, 2*time.Second); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %s:%s does not finish", errNonsense, b.service, b.operation)
}

func (r *regionRule) of(doc map[string]any) string {
	if _, asked := doc[r.from[0]]; !asked {
		return "" // the operation that says it was not called yet, or failed
	}
	name, _ := r.from.first(doc).(string)
	if name == "" {
		return r.fallback
	}
	if other, ok := r.names[name]; ok {
		return other
	}
	return name
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

func redactAll(doc map[string]any, at []path) {
	for _, p := range at {
		p.each(doc, func(v any, set func(any)) {
			if v != nil && v != "" {
				set(Redacted)
			}
		})
	}
}

func decodeAll(doc map[string]any, list []decoding) {
	for _, d := range list {
		d.at.each(doc, func(v any, set func(any)) {
			text, ok := v.(string)
			if !ok {
				return
			}
			switch d.how {
			case "policy":
				if p, ok := decodePolicy(text); ok {
					set(p)
				}
			case "csv":
				if rows, ok := decodeCSV(text); ok {
					set(rows)
				}
			}
		})
	}
}

// decodePolicy turns a policy that IAM returns percent-encoded into JSON, as
// the AWS CLI shows it. https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func decodePolicy(text string) (any, bool) {
	if strings.HasPrefix(text, "%") {
		plain, err := url.PathUnescape(text)
		if err != nil {
			return nil, false
		}
		text = plain
	}
	v, err := estate.DecodeJSON([]byte(text))
	if _, isMap := v.(map[string]any); err != nil || !isMap {
		return nil, false
	}
	return v, true
}

// decodeCSV turns a report into one object per row.
func decodeCSV(text string) (any, bool) {
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(raw)
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return nil, false
	}
	out := []any{}
	for _, row := range rows[1:] {
		m := map[string]any{}
		for i, name := range rows[0] {
			if i < len(row) {
				m[name] = row[i]
			}
		}
		out = append(out, m)
	}
	return out, true
}
