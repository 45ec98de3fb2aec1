package asl

import (
	"github.com/bartizan-security/bartizan/asl/value"
)

// group is the branches or iterations of a Parallel or Map state under way.
type group struct {
	effective any
	results   []any
	running   int
	next      int // iteration to start
	limit     int
	failed    int
	items     []any
	keys      []string // of the items, where they came from an object
	prev      int64
	tolerated int
	percent   float64
	ok        []bool
	mapRun    string
	errors    []*failure
	over      bool
}

// containerInput evaluates InputPath and Parameters or Arguments.
func (s *state) containerInput(e *evaluation, trace *processed) (effective, args any, f *failure) {
	if effective, f = e.path(s.inputPath); f != nil {
		return
	}
	e.input = effective
	args = effective
	if trace != nil {
		trace.afterInputPath, trace.afterParameters = effective, effective
	}
	if s.parameters != nil {
		args, f = s.parameters.eval(e)
	}
	if trace != nil {
		trace.afterParameters = args
	}
	return
}

func (b *branch) parallel() {
	s := b.st
	effective, args, f := s.containerInput(b.evaluation(b.input), nil)
	if f != nil {
		b.fail(f)
		return
	}
	b.started = true
	start := b.emit(Event{Type: "ParallelStateStarted"})
	g := &group{effective: effective, results: make([]any, len(s.branches)), running: len(s.branches)}
	b.group = g
	b.block()
	b.children = nil
	for i, flow := range s.branches {
		c := &branch{r: b.r, scope: b.scope, flow: flow, parent: b, vars: &variables{outer: b.vars}, prev: start}
		c.done = func(out any, f *failure) { b.branchDone(g, i, c, out, f) }
		b.children = append(b.children, c)
		c.start(args)
	}
}

func (b *branch) branchDone(g *group, i int, c *branch, out any, f *failure) {
	if g.over || b.dead {
		return
	}
	b.prev = c.prev
	if f == nil {
		g.results[i] = out
		if g.running--; g.running > 0 {
			return
		}
		g.over = true
		b.children = nil
		b.resume(func() {
			last := b.prev
			b.emit(Event{Type: "ParallelStateSucceeded"})
			b.prev = last
			b.conclude(g.effective, g.results, true)
		})
		return
	}
	g.over = true
	// The state that failed is aborted like the others, if it was at work.
	if c.st != nil && (c.st.typ == "Task" || c.st.typ == "Wait") {
		c.abortedEvent()
	}
	for _, other := range b.children {
		other.abort(true)
	}
	b.children = nil
	b.resume(func() { b.fail(f) })
}

func (b *branch) mapState() {
	s := b.st
	e := b.evaluation(b.input)
	effective, _, f := s.containerInput(e, nil)
	if f != nil {
		b.fail(f)
		return
	}
	g := &group{effective: effective}
	n, hasLimit, f := e.integer(s.concurrency)
	if f != nil {
		b.fail(f)
		return
	}
	distributed := s.processor.mode == "DISTRIBUTED"
	g.limit = maxConcurrency
	if distributed {
		g.limit = maxChildren
	}
	if hasLimit && n > 0 && int(n) < g.limit {
		g.limit = int(n)
	}
	if distributed {
		b.mapRun(g, e)
		return
	}
	if g.items, g.keys, f = s.mapItems(e, effective); f != nil {
		b.fail(f)
		return
	}
	b.started = true
	start := b.emit(Event{Type: "MapStateStarted", Details: value.Obj("length", int64(len(g.items)))})
	b.group = g
	g.prev = start
	g.results = make([]any, len(g.items))
	if len(g.items) == 0 {
		b.mapSucceeded(g)
		return
	}
	b.block()
	b.children = make([]*branch, len(g.items))
	b.iterate(g)
}

// mapItems evaluates what a Map iterates over. An object's members become
// items with Key and Value.
func (s *state) mapItems(e *evaluation, effective any) ([]any, []string, *failure) {
	v := effective
	switch {
	case s.items != nil:
		var f *failure
		if v, f = s.items.eval(e); f != nil {
			return nil, nil, f
		}
		x, isExpr := s.items.node.(exprNode)
		if _, isArray := v.([]any); !isArray && isExpr {
			return nil, nil, queryFailure("Items", "The JSONata expression '%s' specified for the field 'Items' returned an unexpected result type. Expected 'array', but was '%s' for value: %s", x.expr.Source(), value.TypeName(v), value.String(v))
		}
	case s.itemsPath != nil:
		var err error
		if v, err = e.read(s.itemsPath); err != nil {
			return nil, nil, runtimeFailure("Invalid path '%s' : %v", s.itemsPath, err)
		}
	}
	list, ok := v.([]any)
	switch {
	case ok:
		return list, nil, nil
	case s.jsonata():
		return nil, nil, queryFailure("", "Map state input must be an array but was: %s", value.String(v))
	case s.itemsPath != nil:
		return nil, nil, runtimeFailure("Reference path \"%s\" must point to array.", s.itemsPath)
	}
	return nil, nil, runtimeFailure("Reference path \"$\" must point to array.")
}

// iterate starts iterations until the limit is reached.
func (b *branch) iterate(g *group) {
	for !g.over && b.r.err == nil && g.running < g.limit && g.next < len(g.items) {
		i := g.next
		g.next++
		g.running++
		id := b.r.emit(b.scope, Event{Previous: g.prev, Type: "MapIterationStarted", Name: b.st.name, Details: value.Obj("index", int64(i))})
		c := &branch{r: b.r, scope: b.scope, flow: b.st.processor, parent: b, vars: &variables{outer: b.vars}, prev: id}
		c.done = func(out any, f *failure) { b.iterationDone(g, i, c, out, f) }
		b.children[i] = c
		input, f := b.itemInput(g, i, c)
		if f != nil {
			c.finish(nil, b.place(f))
			return
		}
		c.start(input)
	}
}

// itemInput is what iteration i starts with.
func (b *branch) itemInput(g *group, i int, c *branch) (any, *failure) {
	item := value.Obj("Index", int64(i), "Value", g.items[i])
	if g.keys != nil {
		item.Set("Key", g.keys[i])
	}
	c.item = value.Obj("Item", item)
	if b.st.itemSelector == nil {
		return g.items[i], nil
	}
	e := b.evaluation(g.effective)
	if b.st.jsonata() {
		e.input = b.input
	}
	e.context = func() *value.Object {
		o := b.context()
		o.Set("Map", c.item)
		return o
	}
	return b.st.itemSelector.eval(e)
}

func (b *branch) iterationDone(g *group, i int, c *branch, out any, f *failure) {
	if g.over || b.dead {
		return
	}
	g.running--
	if f == nil {
		id := b.r.emit(b.scope, Event{Previous: c.prev, Type: "MapIterationSucceeded", Name: b.st.name, Details: value.Obj("index", int64(i))})
		g.results[i], g.prev = out, id
		b.children[i] = nil
		if g.next < len(g.items) {
			b.iterate(g)
			return
		}
		if g.running == 0 {
			g.over = true
			b.children = nil
			b.resume(func() { b.mapSucceeded(g) })
		}
		return
	}
	g.over = true
	b.r.emit(b.scope, Event{Previous: c.prev, Type: "MapIterationFailed", Name: b.st.name, Details: value.Obj("index", int64(i))})
	for j, other := range b.children {
		if other == nil || other == c || other.dead {
			continue
		}
		other.abort(true)
		b.r.emit(b.scope, Event{Previous: other.prev, Type: "MapIterationAborted", Name: b.st.name, Details: value.Obj("index", int64(j))})
	}
	b.prev = c.prev
	b.children = nil
	b.resume(func() { b.fail(f) })
}

func (b *branch) mapSucceeded(g *group) {
	b.prev = g.prev
	b.emit(Event{Type: "MapStateSucceeded"})
	b.prev = g.prev
	b.conclude(g.effective, g.results, true)
}
