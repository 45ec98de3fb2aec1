package logs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bartizan-security/bartizan/detect/event"
)

// maxUnwrap is how often a record may be wrapped in another: an EventBridge
// event in an SNS message in an SQS body.
const maxUnwrap = 4

// containers are the members whose arrays hold records.
var containers = []string{"Records", "Events", "events", "logEvents", "Findings", "findings", "QueryResultRows"}

func isContainer(key []byte) bool {
	for _, c := range containers {
		if string(key) == c {
			return true
		}
	}
	return false
}

// json reads any stream of JSON values: objects in a row or one a line, arrays,
// and objects that hold arrays of records.
func (r *Reader) json(ctx context.Context, src Source, s *stream) error {
	p := &jsonReader{Reader: r, stream: s, ctx: ctx, src: src}
	p.prepare()
	err := p.run()
	if err == nil && s.err != nil {
		r.problem(s.base+int64(s.end), fmt.Errorf("read source: %w", s.err))
	} else if err == nil && len(p.open) > 0 && !p.gaveUp {
		r.problem(s.offset(), errors.New("the source ends within an array or object: it is cut short"))
	}
	if err == nil && r.stats.Events == 0 && r.stats.Malformed == 0 && p.others > 0 {
		return r.notLog(src, 0)
	}
	for range min(p.others, 1) {
		if r.stats.Events > 0 {
			r.stats.Malformed += int64(p.others - 1)
			r.problem(p.firstOther, fmt.Errorf("%d objects are %w", p.others, ErrNotLog))
		}
	}
	return err
}

func (r *Reader) prepare() {
	for i := range r.events {
		if r.events[i] == nil || r.events[i].Schema() != r.Schema {
			r.events[i] = event.New(r.Schema)
		}
	}
}

type jsonReader struct {
	*Reader
	*stream
	ctx        context.Context
	src        Source
	open       []byte // the containers we are in: { [ and R, the rows of a Lake query
	others     int    // objects that are no records
	firstOther int64
	gaveUp     bool
	form       *form          // of lines in messages
	columns    *event.Columns // of form
	resyncs    int
}

func (p *jsonReader) top() byte {
	if len(p.open) == 0 {
		return 0
	}
	return p.open[len(p.open)-1]
}

func (p *jsonReader) run() error {
	blank := 0
	for n := 0; ; n++ {
		if n&1023 == 0 && p.ctx.Err() != nil {
			return p.ctx.Err()
		}
		if p.pos < p.end && p.buf[p.pos] <= ' ' || p.pos == p.end {
			from := p.pos
			p.pos = event.SkipSpace(p.buf[:p.end], p.pos)
			blank += p.pos - from
			if blank > MaxRecord {
				p.problem(p.offset(), errors.New("nothing but white space for megabytes: stopped"))
				p.gaveUp = true
				return nil
			}
			if p.pos == p.end {
				if !p.fill() {
					return nil
				}
				continue
			}
		}
		blank = 0
		var err error
		switch c := p.buf[p.pos]; {
		case c == '{':
			err = p.object()
		case c == ',':
			p.pos++
		case c == '[' && p.top() == 'R':
			err = p.row()
		case c == '[':
			if len(p.open) >= event.MaxDepth {
				err = event.ErrDeep
				break
			}
			p.open = append(p.open, '[')
			p.pos++
		case c == ']' && (p.top() == '[' || p.top() == 'R'), c == '}' && p.top() == '{':
			p.open = p.open[:len(p.open)-1]
			p.pos++
		case c == '"' && p.top() == '{':
			err = p.memberOfContainer()
		case c == '"' || c == 't' || c == 'f' || c == 'n' || c == '-' || c >= '0' && c <= '9':
			at := p.offset()
			if err = p.skip(); err == nil {
				p.other(at)
			}
		default:
			err = event.ErrSyntax
		}
		if err == nil {
			continue
		}
		if !isFormat(err) {
			return err
		}
		at := p.offset()
		p.problem(at, err)
		if !p.resync() {
			p.gaveUp = true
			return nil
		}
	}
}

func isFormat(err error) bool {
	return errors.Is(err, event.ErrShort) || errors.Is(err, event.ErrSyntax) || errors.Is(err, event.ErrDeep) || errors.Is(err, errTooLong)
}

// whole calls try until it succeeds or the source ends, filling the window in
// between.
func (p *jsonReader) whole(try func() error) error {
	for {
		err := try()
		if !errors.Is(err, event.ErrShort) {
			return err
		}
		if p.fill() {
			continue
		}
		if p.eof {
			return event.ErrShort
		}
		return errTooLong
	}
}

// skip consumes the JSON value at pos.
func (p *jsonReader) skip() error {
	return p.whole(func() error {
		end, err := event.SkipValue(p.buf[:p.end], p.pos)
		if err == nil && end == p.end && !p.eof {
			return event.ErrShort // a number may go on
		}
		if err == nil {
			p.pos = end
		}
		return err
	})
}

// object consumes the object at pos: a record, or the beginning of a container.
func (p *jsonReader) object() error {
	if p.pos+16 > p.end {
		p.fill()
	}
	if p.top() != '[' && p.descends() {
		return nil
	}
	e := p.events[0]
	var end int
	large := false
	err := p.whole(func() (err error) {
		end, err = e.Scan(p.buf[:p.end], p.pos)
		if errors.Is(err, event.ErrShort) && p.end-p.pos > window/2 && !large {
			large = true
			if p.longContainer() {
				return errDescend
			}
		}
		return err
	})
	if errors.Is(err, errDescend) {
		p.open = append(p.open, '{')
		p.pos++
		return nil
	}
	if err != nil {
		return err
	}
	raw := p.buf[p.pos:end]
	if bytes.IndexByte(raw, '\n') >= 0 && !json.Valid(raw) {
		return event.ErrSyntax // two broken lines can look like one record
	}
	if e.Classify() == event.Container {
		p.open = append(p.open, '{')
		p.pos++
		return nil
	}
	offset := p.offset()
	p.pos = end
	return p.record(0, offset)
}

var errDescend = errors.New("descend")

// descends enters the object at pos if its first member is an array of records,
// which is how CloudTrail delivers: {"Records":[
func (p *jsonReader) descends() bool {
	b := p.buf[p.pos:p.end]
	i := event.SkipSpace(b, 1)
	for _, c := range containers {
		if i+len(c)+3 < len(b) && b[i] == '"' && string(b[i+1:i+1+len(c)]) == c && b[i+1+len(c)] == '"' {
			j := event.SkipSpace(b, i+len(c)+2)
			if j >= len(b) || b[j] != ':' {
				return false
			}
			if j = event.SkipSpace(b, j+1); j >= len(b) || b[j] != '[' {
				return false
			}
			p.open = append(p.open, '{', openFor(c))
			p.pos += j + 1
			return true
		}
	}
	return false
}

func openFor(key string) byte {
	if key == "QueryResultRows" {
		return 'R'
	}
	return '['
}

// longContainer reports whether the object at pos, which is longer than the
// window, has an array of records among the members that are in sight.
func (p *jsonReader) longContainer() bool {
	found := false
	event.Members(p.buf[p.pos:p.end], func(key []byte, value []byte) bool {
		found = isContainer(key) && len(value) > 0 && value[0] == '['
		return !found
	})
	return found
}

// memberOfContainer consumes one member of a container, up to the inside of its
// value if that is an array of records.
func (p *jsonReader) memberOfContainer() error {
	if len(p.open) >= event.MaxDepth {
		return event.ErrDeep
	}
	return p.whole(func() error {
		key, i, err := event.NextKey(p.buf[:p.end], p.pos)
		if err != nil {
			return err
		}
		if i >= p.end {
			return event.ErrShort
		}
		if isContainer(key) && p.buf[i] == '[' {
			p.open = append(p.open, openFor(string(key)))
			p.pos = i + 1
			return nil
		}
		end, err := event.SkipValue(p.buf[:p.end], i)
		if err == nil {
			p.pos = end
		}
		return err
	})
}

func (p *jsonReader) other(offset int64) {
	if p.others == 0 {
		p.firstOther = offset
	}
	p.others++
}

// record hands on the record that events[depth] has scanned, or what is in it.
func (p *jsonReader) record(depth int, offset int64) error {
	e := p.events[depth]
	e.File, e.Offset = p.file, offset
	kind := e.Classify()
	switch kind {
	case event.Record:
		if e.IsUpperCase() {
			return p.inner(depth, lowerKeys(e.Raw()), offset)
		}
		p.stats.Events++
		err := p.Visit(e)
		if e.Cut() {
			p.problem(offset, event.ErrCut)
		}
		return err
	case event.Digest:
		p.stats.Digests++
		return nil
	case event.Inside:
		if text := e.Inner(); text != nil {
			return p.inner(depth, text, offset)
		}
		if line := e.Line(); line != nil && depth < maxUnwrap {
			if done, err := p.message(p.events[depth+1], line, offset); done {
				return err
			}
		}
	case event.Container:
		var failed error
		ok := false
		event.Members(e.Raw(), func(key, value []byte) bool {
			if isContainer(key) && len(value) > 0 && value[0] == '[' {
				ok, failed = true, p.inner(depth, value, offset)
			}
			return failed == nil
		})
		if ok {
			return failed
		}
	}
	p.other(offset)
	return nil
}

// message reads a line of a log, such as a flow record, that CloudWatch Logs
// hands on as the message of a log event. done is false where it is no such line.
func (p *jsonReader) message(e *event.Event, line []byte, offset int64) (done bool, err error) {
	if p.form == nil {
		f := recognise(line, p.FlowFormat)
		if f == nil || f.csv || f.split == nil || len(f.names) == 0 {
			return false, nil
		}
		p.form, p.columns = f, event.NewColumns(p.Schema, append(f.names[:len(f.names):len(f.names)], f.derived...))
	}
	fields, ok := p.form.split(nil, line)
	if !ok || len(fields) != len(p.form.names) {
		p.problem(offset, fmt.Errorf("a message of %d fields, where a %s log has %d", len(fields), p.form.kind, len(p.form.names)))
		return true, nil
	}
	if p.form.derive != nil {
		fields = append(fields, p.form.derive(fields)...)
	}
	e.SetFields(p.columns, line, fields)
	e.Kind, e.File, e.Offset = p.form.kind, p.file, offset
	p.stats.Events++
	return true, p.Visit(e)
}

// inner reads the JSON value that was found inside the record at depth.
func (p *jsonReader) inner(depth int, text []byte, offset int64) error {
	if depth == maxUnwrap {
		p.problem(offset, fmt.Errorf("a record wrapped more than %d times", maxUnwrap))
		return nil
	}
	if text[0] == '[' {
		var failed error
		err := event.Elements(text, func(element []byte) bool {
			failed = p.inner(depth, element, offset)
			return failed == nil
		})
		if err != nil {
			p.problem(offset, err)
		}
		return failed
	}
	end, err := p.events[depth+1].Scan(text, 0)
	if err == nil && event.SkipSpace(text, end) != len(text) {
		err = event.ErrSyntax
	}
	if err != nil {
		p.problem(offset, fmt.Errorf("the record inside: %w", err))
		return nil
	}
	return p.record(depth+1, offset)
}

// row consumes one row of a CloudTrail Lake query: [{"eventName":"x"},{…}]
func (p *jsonReader) row() error {
	start := p.offset()
	from := p.pos
	var raw []byte
	err := p.whole(func() error {
		end, err := event.SkipValue(p.buf[:p.end], p.pos)
		if err == nil {
			from = p.pos
			raw = p.buf[from:end]
			p.pos = end
		}
		return err
	})
	if err != nil {
		return err
	}
	doc, err := mergeRow(raw)
	if err != nil {
		p.problem(start, err)
		return nil
	}
	return p.inner(0, doc, start)
}

// The limits of looking for the next record behind a broken one.
const maxResyncs, resyncSpan = 100_000, 2 << 20

// resync moves to the next place behind pos where a record seems to begin: an
// object after a comma, a bracket or the beginning of a line that scans and is
// of a known kind. It reports whether there is one.
func (p *jsonReader) resync() bool {
	e := p.events[1]
	p.pos++
	for {
		i := bytes.Index(p.buf[p.pos:p.end], []byte(`{`))
		if i < 0 {
			p.pos = p.end
			if !p.fill() {
				return false
			}
			continue
		}
		at := p.pos + i
		if !startsRecord(p.buf[:at]) {
			p.pos = at + 1
			continue
		}
		if p.resyncs++; p.resyncs > maxResyncs {
			p.problem(p.offset(), errors.New("too many broken records: stopped"))
			return false
		}
		p.pos = at
		err := p.whole(func() error {
			_, err := e.Scan(p.buf[:min(p.end, p.pos+resyncSpan)], p.pos)
			if errors.Is(err, event.ErrShort) && p.end-p.pos >= resyncSpan {
				return errTooLong
			}
			return err
		})
		if err == nil {
			kind := e.Classify()
			if kind == event.Record || kind == event.Inside || kind == event.Container {
				return true
			}
		}
		p.pos++
	}
}

// startsRecord reports whether an object that begins behind b can be a record.
func startsRecord(b []byte) bool {
	for i := len(b) - 1; i >= 0; i-- {
		switch b[i] {
		case ' ', '\t', '\r':
		case '\n', ',', '[', '}':
			return true
		default:
			return false
		}
	}
	return true
}
