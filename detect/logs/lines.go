package logs

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strings"

	"github.com/bartizan-security/bartizan/detect/event"
)

// form is the format of a log of lines.
type form struct {
	kind  event.Kind
	names []string
	split func(dst [][]byte, line []byte) ([][]byte, bool)
	// exported says that a time stands before each line; without names the rest
	// of the line is JSON.
	exported bool
	csv      bool // a CSV file of CloudTrail Lake
	// columns derives the names from a header line or a #Fields directive.
	columns func(line []byte) []string
	// derived names further fields that derive makes of the others.
	derived []string
	derive  func(fields [][]byte) [][]byte
}

// lines reads a log of lines.
func (r *Reader) lines(ctx context.Context, s *stream, f *form) error {
	switch {
	case f.csv:
		return r.lakeCSV(ctx, s)
	case f.exported && f.names == nil:
		return r.exportedJSON(ctx, s)
	}
	e := event.New(r.Schema)
	columns := event.NewColumns(r.Schema, append(f.names[:len(f.names):len(f.names)], f.derived...))
	want := len(f.names)
	var fields [][]byte
	for n := 0; ; n++ {
		if n&1023 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, offset, tooLong, ok := s.line()
		if !ok {
			break
		}
		if tooLong {
			r.problem(offset, errTooLong)
			continue
		}
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if f.exported {
			_, line, _ = bytes.Cut(line, []byte(" "))
			if len(line) == 0 {
				continue
			}
		}
		if f.columns != nil {
			if names := f.columns(line); names != nil {
				columns, want = event.NewColumns(r.Schema, names), len(names)
				continue
			}
		}
		if line[0] == '#' {
			continue
		}
		fields, ok = f.split(fields[:0], line)
		if !ok || len(fields) < min(want, minFields(f.kind, want)) {
			r.problem(offset, fmt.Errorf("a line of %d fields, where a %s log has %d", len(fields), f.kind, want))
			continue
		}
		fields = fields[:min(len(fields), want)]
		if f.derive != nil {
			for len(fields) < want {
				fields = append(fields, noValue)
			}
			fields = append(fields, f.derive(fields)...)
		}
		e.SetFields(columns, line, fields)
		e.Kind, e.File, e.Offset = f.kind, r.file, offset
		r.stats.Events++
		if err := r.Visit(e); err != nil {
			return err
		}
	}
	if s.err != nil {
		r.problem(s.base+int64(s.end), fmt.Errorf("read source: %w", s.err))
	}
	return nil
}

// exportedJSON reads lines of a time and a JSON record.
func (r *Reader) exportedJSON(ctx context.Context, s *stream) error {
	p := &jsonReader{Reader: r, stream: s, ctx: ctx}
	p.prepare()
	for {
		line, offset, tooLong, ok := s.line()
		switch {
		case !ok:
			if s.err != nil {
				r.problem(s.base+int64(s.end), fmt.Errorf("read source: %w", s.err))
			}
			return ctx.Err()
		case tooLong:
			r.problem(offset, errTooLong)
			continue
		case len(line) == 0:
			continue
		}
		i := bytes.IndexByte(line, '{')
		if i < 0 {
			r.problem(offset, fmt.Errorf("a line without a record: %w", event.ErrSyntax))
			continue
		}
		if err := p.inner(-1, bytes.TrimSpace(line[i:]), offset); err != nil {
			return err
		}
		if p.others > 0 {
			p.others = 0
			r.problem(offset, ErrNotLog)
		}
	}
}

var noValue = []byte("-")

// minFields is how many fields a line needs: AWS adds columns at the end of the
// load balancer and S3 formats, so older lines are shorter.
func minFields(k event.Kind, want int) int {
	switch k {
	case event.ALB:
		return 12
	case event.CLB:
		return 12
	case event.NLB:
		return 15
	case event.S3Access:
		return 17
	}
	return want
}

// lakeCSV reads the result file of a CloudTrail Lake query.
//
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/view-download-cloudtrail-lake-query-results.html
func (r *Reader) lakeCSV(ctx context.Context, s *stream) error {
	text := &recordReader{s: s}
	in := csv.NewReader(text)
	in.FieldsPerRecord = -1
	in.LazyQuotes = true
	header, err := in.Read()
	if err != nil {
		r.problem(0, fmt.Errorf("read header: %w", err))
		return nil
	}
	var whole int
	for i, h := range header {
		if n := strings.ToLower(h); n == "eventdata" || n == "eventjson" || n == "event" {
			whole = i + 1
		}
	}
	e := event.New(r.Schema)
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		offset := in.InputOffset()
		text.sinceRecord = 0
		cells, err := in.Read()
		if err != nil {
			var bad *csv.ParseError
			if errors.As(err, &bad) {
				r.problem(offset, err)
				continue
			}
			break
		}
		var record []byte
		if whole > 0 && whole <= len(cells) && strings.HasPrefix(cells[whole-1], "{") {
			record = []byte(cells[whole-1])
		} else if record, err = lakeRecord(header, cells); err != nil {
			r.problem(offset, err)
			continue
		}
		if _, err := e.Scan(record, 0); err != nil {
			r.problem(offset, err)
			continue
		}
		if e.Classify() != event.Record {
			r.problem(offset, fmt.Errorf("a row that is no event: %w", ErrNotLog))
			continue
		}
		e.File, e.Offset = r.file, offset
		r.stats.Events++
		if err := r.Visit(e); err != nil {
			return err
		}
	}
	if s.err != nil {
		r.problem(s.base+int64(s.end), fmt.Errorf("read source: %w", s.err))
	}
	return nil
}

// recordReader gives a stream's bytes to the CSV reader and stops where one
// record goes on for longer than MaxRecord, as behind a quote that never ends.
type recordReader struct {
	s           *stream
	sinceRecord int
}

func (l *recordReader) Read(p []byte) (int, error) {
	if l.sinceRecord > MaxRecord {
		l.s.err = errTooLong
		return 0, errTooLong
	}
	if l.s.pos == l.s.end && !l.s.fill() {
		return 0, errEOF(l.s)
	}
	n := copy(p, l.s.buf[l.s.pos:l.s.end])
	l.s.pos += n
	l.sinceRecord += n
	return n, nil
}
