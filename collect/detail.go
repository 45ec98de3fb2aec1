package collect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bartizan-security/bartizan/estate"
)

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
				if it.typ.Single {
					a.together(ctx, it)
					continue
				}
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

// together calls all further operations of a single resource at once: none
// needs what another answers.
func (a *accountRun) together(ctx context.Context, it *item) {
	type answer struct {
		out map[string]any
		gap *estate.Gap
		ok  bool
	}
	answers := make([]answer, len(it.typ.More))
	var wait sync.WaitGroup
	for i := range it.typ.More {
		m := &it.typ.More[i]
		if !a.asked(it, m) {
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			w := &answers[i]
			w.out, w.gap, w.ok = a.detail(ctx, it, m, it.doc, m.Part)
		}()
	}
	wait.Wait()
	for i := range answers {
		a.settlePart(it, &it.typ.More[i], it.doc, answers[i].out, answers[i].gap, answers[i].ok)
	}
}

// asked reports whether an operation is to be called for an item.
func (a *accountRun) asked(it *item, m *More) bool {
	return !it.gone && (m.Option == "" || slices.Contains(a.Include, m.Option)) && a.wanted(m.when, it.doc)
}

func (a *accountRun) settlePart(it *item, m *More, doc, out map[string]any, gap *estate.Gap, ok bool) {
	if ok {
		m.store(doc, out)
	} else if gap != nil {
		it.res.Unknown = append(it.res.Unknown, *gap)
	}
}

func (a *accountRun) more(ctx context.Context, it *item, m *More) {
	if !a.asked(it, m) {
		return
	}
	if m.forAll == nil {
		out, gap, ok := a.detail(ctx, it, m, it.doc, m.Part)
		a.settlePart(it, m, it.doc, out, gap, ok)
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
		out, gap, ok := a.detail(ctx, it, m, doc, part)
		a.settlePart(it, m, doc, out, gap, ok)
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
