package asl

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/asl/value"
)

func readerFailure(format string, args ...any) *failure {
	return &failure{name: "States.ItemReaderFailed", cause: fmt.Sprintf(format, args...), hasCause: true}
}

func (b *branch) readItems(g *group, e *evaluation) {
	r := b.st.reader
	var params any = value.NewObject(0)
	if r.parameters != nil {
		var f *failure
		if params, f = r.parameters.eval(e); f != nil {
			b.runFailed(g, b.place(f))
			return
		}
	}
	most, limited, f := e.integer(r.maxItems)
	if f != nil {
		b.runFailed(g, b.place(f))
		return
	}
	if r.inputType == "CSV" && r.csvLocation == "GIVEN" && repeated(r.csvHeaders) {
		b.runFailed(g, duplicateHeaders())
		return
	}
	if !limited {
		most = maxItems + 1
	}
	b.readObject(g, r.resource, params, func(out any) {
		from, format, f := r.sources(out, params)
		if f != nil {
			b.runFailed(g, f)
			return
		}
		if format != nil {
			b.readSources(g, e, from, format, int(most))
			return
		}
		items, f := r.parse(out)
		if f != nil {
			b.runFailed(g, f)
			return
		}
		g.items = items[:min(len(items), int(most))]
		b.launchChildren(g, e)
	})
}

// readObject makes one call of an ItemReader.
func (b *branch) readObject(g *group, resource string, params any, then func(out any)) {
	res := parseResource(resource)
	call := &Call{Execution: b.r.id.ID, State: b.st.name, Resource: resource, Service: res.service, Action: res.action, Parameters: value.Append(nil, params), EventID: b.prev, Reader: true, Attempt: b.retryCount}
	b.block()
	// Reading has no effect: it may be done again by a resumed run.
	w := b.r.invoke(b, call, false, nil)
	w.fire = func(o outcome) {
		b.forget(w)
		b.resume(func() {
			if o.fail != nil {
				b.runFailed(g, readerFailure("%s", strings.TrimSpace(o.fail.cause)))
				return
			}
			// What was read counts from here on: a resumed run must see the same.
			b.r.emit(b.scope, Event{Type: "MapItemsRead", Name: b.st.name, Output: o.output, hasOut: true, Internal: true})
			then(o.output)
		})
	}
	b.waits = append(b.waits, w)
}

// readSources reads the objects that a manifest or listing names, one after
// another, until there are enough items.
func (b *branch) readSources(g *group, e *evaluation, from []source, format *itemReader, most int) {
	if len(from) == 0 || len(g.items) >= most {
		g.items = g.items[:min(len(g.items), most)]
		b.launchChildren(g, e)
		return
	}
	at := strings.LastIndexByte(format.resource, ':')
	b.readObject(g, format.resource[:at+1]+"getObject", value.Obj("Bucket", from[0].bucket, "Key", from[0].key), func(out any) {
		items, f := format.parse(out)
		if f != nil {
			f.cause = from[0].key + ": " + f.cause
			b.runFailed(g, f)
			return
		}
		if g.items = append(g.items, items...); len(g.items) > maxItems && most > maxItems {
			b.runFailed(g, readerFailure("The objects hold more than %d items", maxItems))
			return
		}
		b.readSources(g, e, from[1:], format, most)
	})
}

// parse turns what the reader's call returned into items: the body of an
// object in the format of InputType, or a listing's Contents.
func (r *itemReader) parse(out any) ([]any, *failure) {
	if list, ok := out.([]any); ok {
		return list, nil
	}
	o, ok := out.(*value.Object)
	if !ok {
		if text, isText := out.(string); isText {
			return r.parseBody(text)
		}
		return nil, readerFailure("Attempting to map over non-iterable node.")
	}
	if c, ok := o.Get("Contents"); ok {
		list, _ := c.([]any)
		return listing(list), nil
	}
	body, ok := o.Get("Body")
	if !ok {
		return nil, readerFailure("Attempting to map over non-iterable node.")
	}
	if text, ok := body.(string); ok {
		return r.parseBody(text)
	}
	return r.iterable(body)
}

func (r *itemReader) parseBody(text string) ([]any, *failure) {
	text, f := plainBody(text)
	if f != nil {
		return nil, f
	}
	switch r.inputType {
	case "CSV", "MANIFEST":
		return r.parseCSV(text)
	case "JSONL":
		var items []any
		for n, line := range strings.Split(text, "\n") {
			if strings.TrimSpace(line) == "" {
				continue
			}
			v, err := value.Parse([]byte(line))
			if err != nil {
				return nil, readerFailure("Line %d is not valid JSON: %v", n+1, err)
			}
			items = append(items, v)
		}
		return items, nil
	case "PARQUET":
		return parquetItems(text)
	}
	v, err := value.Parse([]byte(text))
	if err != nil {
		return nil, readerFailure("The file is not valid JSON: %v", err)
	}
	return r.iterable(v)
}

func (r *itemReader) iterable(v any) ([]any, *failure) {
	if r.itemsPtr != "" {
		for _, part := range strings.Split(strings.TrimPrefix(r.itemsPtr, "/"), "/") {
			o, ok := v.(*value.Object)
			if !ok {
				return nil, readerFailure("Attempting to map over non-iterable node.")
			}
			if v, ok = o.Get(strings.NewReplacer("~1", "/", "~0", "~").Replace(part)); !ok {
				return nil, readerFailure("Attempting to map over non-iterable node.")
			}
		}
	}
	switch x := v.(type) {
	case []any:
		return x, nil
	case *value.Object:
		if r.itemsPtr != "" {
			items, _ := objectItems(x)
			return items, nil
		}
	}
	return nil, readerFailure("Attempting to map over non-iterable node.")
}

var delimiters = map[string]rune{"": ',', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "SPACE": ' ', "TAB": '\t'}

func repeated(headers []string) bool {
	sorted := slices.Clone(headers)
	slices.Sort(sorted)
	return len(slices.Compact(sorted)) < len(headers)
}

func duplicateHeaders() *failure { return readerFailure("CSV headers cannot contain duplicates.") }

// listing names and writes the members of a listed object as Step Functions
// does: Etag, and the time in seconds.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
func listing(contents []any) []any {
	out := make([]any, len(contents))
	for i, c := range contents {
		out[i] = c
		o, ok := c.(*value.Object)
		if !ok {
			continue
		}
		item := value.NewObject(o.Len())
		for j := range o.Len() {
			k, v := o.At(j)
			if text, isText := v.(string); k == "LastModified" && isText {
				if at, err := time.Parse(time.RFC3339, text); err == nil {
					v = at.Unix()
				}
			}
			if k == "ETag" {
				k = "Etag"
			}
			item.Set(k, v)
		}
		out[i] = item
	}
	return out
}

// parseCSV makes one object of texts per row. Fields beyond the headers are
// left out, missing ones are empty.
func (r *itemReader) parseCSV(text string) ([]any, *failure) {
	rd := csv.NewReader(strings.NewReader(text))
	rd.FieldsPerRecord = -1
	rd.LazyQuotes = true
	rd.Comma = delimiters[r.delimiter]
	headers := r.csvHeaders
	if r.csvLocation == "FIRST_ROW" || headers == nil {
		first, err := rd.Read()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, readerFailure("The CSV file cannot be read: %v", err)
		}
		headers = first
	}
	if repeated(headers) {
		return nil, duplicateHeaders()
	}
	var items []any
	for {
		row, err := rd.Read()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, readerFailure("The CSV file cannot be read: %v", err)
		}
		o := value.NewObject(len(headers))
		for i, h := range headers {
			cell := ""
			if i < len(row) {
				cell = row[i]
			}
			o.Set(h, cell)
		}
		items = append(items, o)
		if len(items) > maxItems {
			return nil, readerFailure("The file holds more than %d items", maxItems)
		}
	}
}
