package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/parquet-go/parquet-go"

	"github.com/bartizan-security/bartizan/detect/event"
)

// maxParquet bounds a Parquet file that cannot be read at random and has to be
// held: AWS delivers flow logs in files of at most 75 MB.
const maxParquet = 96 << 20

// parquet reads flow logs in Apache Parquet.
//
// https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
func (r *Reader) parquet(ctx context.Context, f io.Reader, rest io.Reader) (err error) {
	// The library panics on some broken files.
	defer func() {
		if p := recover(); p != nil {
			r.problem(0, fmt.Errorf("read Parquet: %v", p))
			err = nil
		}
	}()
	at, size, openErr := randomAccess(f, rest)
	if openErr != nil {
		r.problem(0, openErr)
		return nil
	}
	file, openErr := parquet.OpenFile(at, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if openErr != nil {
		r.problem(0, fmt.Errorf("open Parquet: %w", openErr))
		return nil
	}
	var names []string
	for _, path := range file.Schema().Columns() {
		names = append(names, strings.ReplaceAll(strings.Join(path, "."), "_", "-"))
	}
	kind := flowKind(names)
	if flowHeader([]byte(strings.Join(names, " "))) == nil {
		r.problem(0, fmt.Errorf("a Parquet file with columns %s: %w", strings.Join(names, " "), ErrNotLog))
		return nil
	}
	e, columns := event.New(r.Schema), event.NewColumns(r.Schema, names)
	fields := make([][]byte, len(names))
	batch := make([]parquet.Row, 256)
	number := int64(0)
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		for {
			if ctx.Err() != nil {
				rows.Close()
				return ctx.Err()
			}
			n, readErr := rows.ReadRows(batch)
			for _, row := range batch[:n] {
				line := parquetRow(fields, row)
				e.SetFields(columns, line, fields)
				e.Kind, e.File, e.Offset = kind, r.file, number
				number++
				r.stats.Events++
				if err := r.Visit(e); err != nil {
					rows.Close()
					return err
				}
			}
			if readErr != nil {
				if !errors.Is(readErr, io.EOF) {
					r.problem(number, fmt.Errorf("read Parquet row: %w", readErr))
				}
				break
			}
		}
		rows.Close()
	}
	r.stats.Bytes = size
	return nil
}

// parquetRow writes the row into fields and returns it as a line.
func parquetRow(fields [][]byte, row parquet.Row) []byte {
	for i := range fields {
		fields[i] = []byte("-")
	}
	for _, v := range row {
		if c := v.Column(); c >= 0 && c < len(fields) && !v.IsNull() {
			fields[c] = []byte(v.String())
		}
	}
	var line []byte
	for i, f := range fields {
		if i > 0 {
			line = append(line, ' ')
		}
		line = append(line, f...)
	}
	return line
}

func randomAccess(f, rest io.Reader) (io.ReaderAt, int64, error) {
	type file interface {
		io.ReaderAt
		io.Seeker
	}
	if at, ok := f.(file); ok {
		if size, err := at.Seek(0, io.SeekEnd); err == nil {
			return at, size, nil
		}
	}
	held, err := io.ReadAll(io.LimitReader(rest, maxParquet+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read Parquet: %w", err)
	}
	if len(held) > maxParquet {
		return nil, 0, fmt.Errorf("a Parquet stream of more than %d MB: give it as a file", maxParquet>>20)
	}
	at := strings.NewReader(string(held))
	return at, at.Size(), nil
}
