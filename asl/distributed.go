package asl

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

// mapRun runs a Map state in distributed mode: items are read, batched, and
// each started as a child execution with a history of its own.
// https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
func (b *branch) mapRun(g *group, e *evaluation) {
	s := b.st
	n, _, f := e.integer(s.tolerated)
	if f != nil {
		b.fail(f)
		return
	}
	g.tolerated = int(n)
	if g.percent, _, f = e.number(s.toleratedPercent); f != nil {
		b.fail(f)
		return
	}
	if s.reader == nil {
		if g.items, g.keys, f = s.distributedItems(e, g.effective); f != nil {
			b.fail(f)
			return
		}
	}
	b.started = true
	var d *value.Object
	if s.reader == nil {
		d = value.Obj("length", int64(len(g.items)))
	}
	b.emit(Event{Type: "MapStateStarted", Details: d})
	label := s.label
	if label == "" {
		label = s.name
	}
	g.mapRun = strings.Replace(b.r.id.StateMachineID, ":stateMachine:", ":mapRun:", 1) + "/" + label + ":" + b.r.env.uuid()
	b.emit(Event{Type: "MapRunStarted", Details: value.Obj("mapRunArn", g.mapRun)})
	g.prev = b.prev
	b.group = g
	if s.reader == nil {
		b.launchChildren(g, e)
		return
	}
	b.readItems(g, e)
}

// distributedItems takes an object too, whose members are the items.
func (s *state) distributedItems(e *evaluation, effective any) ([]any, []string, *failure) {
	if o, ok := effective.(*value.Object); ok && s.items == nil && s.itemsPath == nil && !s.jsonata() {
		items, keys := objectItems(o)
		return items, keys, nil
	}
	return s.mapItems(e, effective)
}

func objectItems(o *value.Object) ([]any, []string) {
	items := make([]any, 0, o.Len())
	for i := range o.Len() {
		k, v := o.At(i)
		items = append(items, value.Obj("Key", k, "Value", v))
	}
	return items, o.Keys()
}

// batches groups the items as ItemBatcher says; each batch is one child's input.
func (b *branch) batches(inputs []any, e *evaluation) ([]any, *failure) {
	t := b.st.batcher
	count, hasCount, f := e.integer(t.maxItems)
	if f != nil {
		return nil, f
	}
	size, hasSize, f := e.integer(t.maxBytes)
	if f != nil {
		return nil, f
	}
	var extra any
	if t.input != nil {
		if extra, f = t.input.eval(e); f != nil {
			return nil, f
		}
	}
	var out []any
	for len(inputs) > 0 {
		n, bytes := 0, 0
		for n < len(inputs) && (!hasCount || int64(n) < max(count, 1)) {
			bytes += value.Size(inputs[n]) + 1
			if hasSize && n > 0 && int64(bytes) > size {
				break
			}
			n++
		}
		batch := value.NewObject(2)
		if extra != nil {
			batch.Set("BatchInput", extra)
		}
		batch.Set("Items", inputs[:n:n])
		out = append(out, batch)
		inputs = inputs[n:]
	}
	return out, nil
}

// launchChildren starts the child executions.
func (b *branch) launchChildren(g *group, e *evaluation) {
	if len(g.items) > maxItems {
		b.runFailed(g, readerFailure("The Map has more than %d items", maxItems))
		return
	}
	inputs := make([]any, len(g.items))
	for i := range g.items {
		c := &branch{}
		v, f := b.itemInput(g, i, c)
		if f != nil {
			b.runFailed(g, b.place(f))
			return
		}
		inputs[i] = v
	}
	if b.st.batcher != nil {
		var f *failure
		if inputs, f = b.batches(inputs, e); f != nil {
			b.runFailed(g, b.place(f))
			return
		}
		g.keys = nil
	}
	g.items = inputs
	g.results = make([]any, len(inputs))
	g.ok = make([]bool, len(inputs))
	g.errors = make([]*failure, len(inputs))
	if len(inputs) == 0 {
		b.runSucceeded(g)
		return
	}
	b.block()
	b.children = make([]*branch, len(inputs))
	b.startChildren(g)
}

func (b *branch) startChildren(g *group) {
	for !g.over && b.r.err == nil && g.running < g.limit && g.next < len(g.items) {
		i := g.next
		g.next++
		g.running++
		name := fmt.Sprintf("%s/%s-%d", b.scope.child, b.st.name, i)
		if b.scope.child == "" {
			name = name[1:]
		}
		sc := &scope{child: fmt.Sprintf("%s#%d", name, b.entered), input: g.items[i]}
		c := &branch{r: b.r, scope: sc, flow: b.st.processor, vars: &variables{}}
		b.r.emit(sc, Event{Type: "ExecutionStarted", Input: g.items[i], hasInput: true})
		sc.start = b.r.last
		c.done = func(out any, f *failure) { b.childDone(g, i, c, out, f) }
		b.children[i] = c
		c.start(g.items[i])
	}
}

func (b *branch) childDone(g *group, i int, c *branch, out any, f *failure) {
	if g.over || b.dead {
		return
	}
	g.running--
	b.children[i] = nil
	if f == nil {
		b.r.emit(c.scope, Event{Previous: c.prev, Type: "ExecutionSucceeded", Output: out, hasOut: true})
		g.results[i], g.ok[i] = out, true
	} else {
		ev := Event{Previous: c.prev, Type: "ExecutionFailed"}
		ev.Error, ev.hasErr, ev.Cause, ev.hasCause = f.name, f.name != "", f.cause, f.hasCause
		b.r.emit(c.scope, ev)
		g.failed++
		g.errors[i] = f
		if g.exceeded() {
			g.over = true
			for _, other := range b.children {
				if other != nil {
					other.abort(true)
				}
			}
			b.children = nil
			b.resume(func() {
				b.runFailed(g, &failure{name: "States.ExceedToleratedFailureThreshold", cause: "The specified tolerated failure threshold was exceeded", hasCause: true})
			})
			return
		}
	}
	if g.next < len(g.items) {
		b.startChildren(g)
		return
	}
	if g.running == 0 {
		g.over = true
		b.children = nil
		b.resume(func() { b.runSucceeded(g) })
	}
}

// exceeded reports whether more children failed than is tolerated, by number
// or by percentage; either is enough to go on.
func (g *group) exceeded() bool {
	if g.failed <= g.tolerated {
		return false
	}
	return g.percent == 0 || float64(g.failed)*100/float64(len(g.items)) > g.percent
}

func (b *branch) runFailed(g *group, f *failure) {
	if b.dead {
		return
	}
	e := Event{Type: "MapRunFailed", Error: f.name, hasErr: true, Cause: f.cause, hasCause: f.hasCause}
	b.emit(e)
	ff := *f
	ff.evaluation = false
	b.fail(&ff)
}

func (b *branch) runSucceeded(g *group) {
	results := []any{}
	for i, r := range g.results {
		if g.ok[i] {
			results = append(results, r)
		}
	}
	if b.st.writer != nil && b.st.writer.writes {
		b.writeResults(g, results)
		return
	}
	if b.st.writer != nil && b.st.writer.transform == "FLATTEN" {
		results = flatten(results)
	}
	b.runEnded(g, results)
}

func (b *branch) runEnded(g *group, result any) {
	b.emit(Event{Type: "MapRunSucceeded"})
	last := b.prev
	b.emit(Event{Type: "MapStateSucceeded"})
	b.prev = last
	b.conclude(g.effective, result, true)
}

func flatten(list []any) []any {
	out := []any{}
	for _, e := range list {
		if l, ok := e.([]any); ok {
			out = append(out, l...)
			continue
		}
		out = append(out, e)
	}
	return out
}

// writeResults exports the results to a bucket, one file and a manifest, and
// gives the place as the state's result.
func (b *branch) writeResults(g *group, results []any) {
	w := b.st.writer
	e := b.evaluation(g.effective)
	var params any = value.NewObject(0)
	if w.parameters != nil {
		var f *failure
		if params, f = w.parameters.eval(e); f != nil {
			b.runFailed(g, b.place(f))
			return
		}
	}
	p, ok := params.(*value.Object)
	if !ok {
		b.runFailed(g, &failure{name: "States.ResultWriterFailed", cause: "The parameters of the ResultWriter are no object", hasCause: true})
		return
	}
	bucket, _ := p.Get("Bucket")
	prefix, _ := p.Get("Prefix")
	folder, _ := prefix.(string)
	if folder != "" && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	folder += g.mapRun[strings.LastIndexByte(g.mapRun, ':')+1:]
	key := folder + "/manifest.json"
	manifest := value.Obj("DestinationBucket", bucket, "MapRunArn", g.mapRun, "ResultFiles",
		value.Obj("FAILED", []any{}, "PENDING", []any{}, "SUCCEEDED", []any{value.Obj("Key", folder+"/SUCCEEDED_0.json", "Size", int64(value.Size(results)))}))
	put := func(key string, body []byte) []byte {
		return value.Append(nil, value.Obj("Bucket", bucket, "Key", key, "Body", string(body)))
	}
	body := w.format(results)
	b.put(g, put(folder+"/SUCCEEDED_0.json", body), func() {
		b.put(g, put(key, value.Append(nil, manifest)), func() {
			b.runEnded(g, value.Obj("MapRunArn", g.mapRun, "ResultWriterDetails", value.Obj("Bucket", bucket, "Key", key)))
		})
	})
}

func (w *resultWriter) format(results []any) []byte {
	if w.transform == "FLATTEN" {
		results = flatten(results)
	}
	if w.outputType != "JSONL" {
		return value.Append(nil, results)
	}
	var buf bytes.Buffer
	for _, r := range results {
		buf.Write(value.Append(nil, r))
		buf.WriteByte('\n')
	}
	return buf.Bytes()
}

// put makes one PutObject call; writing the same object again is harmless, so
// a resumed run repeats it.
func (b *branch) put(g *group, params []byte, then func()) {
	w := b.st.writer
	res := parseResource(w.resource)
	b.block()
	call := &Call{Execution: b.r.id.ID, State: b.st.name, Resource: w.resource, Service: res.service, Action: res.action, Parameters: params, EventID: b.prev, Writer: true}
	x := b.r.invoke(b, call, false, nil)
	x.fire = func(o outcome) {
		b.forget(x)
		b.resume(func() {
			if o.fail != nil {
				b.runFailed(g, &failure{name: "States.ResultWriterFailed", cause: o.fail.cause, hasCause: true})
				return
			}
			b.r.emit(b.scope, Event{Type: "MapResultsWritten", Name: b.st.name, Output: nil, hasOut: true, Internal: true})
			then()
		})
	}
	b.waits = append(b.waits, x)
}
