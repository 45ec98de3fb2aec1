package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/bartizan-security/bartizan/detect/event"
)

// MaxRecord is how long one record may be. CloudTrail's own limit is 1 MB.
const MaxRecord = 8 << 20

// maxRatio bounds what compressed input may swell to, after the first 256 MB:
// logs compress ten to thirty times, a bomb a thousand times.
const maxRatio, ratioFrom = 400, 256 << 20

// Problem is one record or file that could not be read.
type Problem struct {
	File   string
	Offset int64 // in the decompressed source
	Err    error
}

func (p Problem) Error() string {
	return fmt.Sprintf("read %s at offset %d: %v", p.File, p.Offset, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// ErrNotLog says that a source is no log that this package knows.
var ErrNotLog = errors.New("not a log that bartizan knows")

// Stats counts what was read.
type Stats struct {
	Files     int   `json:"files"`
	Bytes     int64 `json:"bytes"` // decompressed
	Events    int64 `json:"events"`
	Malformed int64 `json:"malformed"`
	Digests   int   `json:"digests"` // digest files of CloudTrail, which hold no events
	NotLogs   int   `json:"notLogs"` // files in folders that are no logs
}

// Add adds the counts of another source.
func (s *Stats) Add(o Stats) {
	s.Files += o.Files
	s.Bytes += o.Bytes
	s.Events += o.Events
	s.Malformed += o.Malformed
	s.Digests += o.Digests
	s.NotLogs += o.NotLogs
}

// Reader reads sources. It is reused to spare buffers; the zero value with a
// Schema and a Visit is ready. It must not be used by two goroutines at once.
type Reader struct {
	Schema  *event.Schema
	Visit   func(*event.Event) error // an error ends the reading and is returned
	Problem func(Problem)
	Skipped func(file string) // a file in a folder that is no log
	// FlowFormat is the format of flow logs that have no header line, as it was
	// given to AWS: ${version} ${srcaddr} … Empty means the default format.
	FlowFormat string

	gz     *gzip.Reader
	zd     *zstd.Decoder
	in     *bufio.Reader
	first  []byte
	small  bytes.Reader
	spare  []byte
	events [maxUnwrap + 1]*event.Event
	stats  Stats
	file   string
}

// Read reads one source to its end. The error is the context's or the
// callback's; what could not be read goes to Problem.
func (r *Reader) Read(ctx context.Context, src Source) (Stats, error) {
	r.stats, r.file = Stats{Files: 1}, src.Name()
	f, err := src.Open(ctx)
	if err != nil {
		r.problem(0, err)
		return r.stats, nil
	}
	defer f.Close()
	err = r.read(ctx, src, f)
	return r.stats, err
}

func (r *Reader) problem(offset int64, err error) {
	r.stats.Malformed++
	if r.Problem != nil {
		r.Problem(Problem{r.file, offset, err})
	}
}

func (r *Reader) read(ctx context.Context, src Source, f io.ReadCloser) error {
	if r.in == nil {
		r.in = bufio.NewReaderSize(nil, 128<<10)
	}
	counted := &countingReader{r: f, ctx: ctx}
	in, magic, err := r.head(counted)
	if len(magic) == 0 {
		if err != nil && !errors.Is(err, io.EOF) {
			r.problem(0, err)
		}
		return ctx.Err()
	}
	if bytes.HasPrefix(magic, []byte("PAR1")) {
		return r.parquet(ctx, f, in)
	}
	body, err := r.decompress(in, magic)
	if err != nil {
		r.problem(0, err)
		return nil
	}
	s := &stream{r: &ratioReader{r: body, in: counted, compressed: body != in}, buf: r.spare}
	if body != in && in == io.Reader(r.in) && runtime.GOMAXPROCS(0) > 1 {
		// A large compressed source: decompress it beside the matching.
		a := readAhead(s.r)
		defer a.stop()
		s.r = a
	}
	err = r.records(ctx, src, s)
	r.spare = s.buf
	if cap(r.spare) > 2<<20 {
		r.spare = nil // do not keep what one huge record needed
	}
	r.stats.Bytes = s.base + int64(s.end)
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return err
}

// head reads the beginning of a source. A small source is then in memory as a
// whole, which spares the decompressor the buffering; a larger one is streamed.
func (r *Reader) head(src io.Reader) (in io.Reader, magic []byte, err error) {
	if r.first == nil {
		r.first = make([]byte, 1<<20)
	}
	n, err := io.ReadFull(src, r.first)
	head := r.first[:n]
	magic = head[:min(n, 4)]
	switch err {
	case io.EOF, io.ErrUnexpectedEOF:
		r.small.Reset(head)
		return &r.small, magic, nil
	case nil:
		r.in.Reset(io.MultiReader(bytes.NewReader(head), src))
		return r.in, magic, nil
	}
	r.in.Reset(io.MultiReader(bytes.NewReader(head), failing{err}))
	return r.in, magic, err
}

// failing is a reader that only has an error.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (r *Reader) decompress(in io.Reader, magic []byte) (io.Reader, error) {
	switch {
	case magic[0] == 0x1f && len(magic) > 1 && magic[1] == 0x8b:
		if r.gz == nil {
			gz, err := gzip.NewReader(in)
			if err != nil {
				return nil, fmt.Errorf("read gzip header: %w", err)
			}
			r.gz = gz
			return gz, nil
		}
		if err := r.gz.Reset(in); err != nil {
			return nil, fmt.Errorf("read gzip header: %w", err)
		}
		return r.gz, nil
	case len(magic) == 4 && [4]byte(magic) == [4]byte{0x28, 0xb5, 0x2f, 0xfd}:
		if r.zd == nil {
			zd, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20))
			if err != nil {
				return nil, fmt.Errorf("prepare zstd: %w", err)
			}
			r.zd = zd
		}
		if err := r.zd.Reset(in); err != nil {
			return nil, fmt.Errorf("read zstd header: %w", err)
		}
		return r.zd, nil
	}
	return in, nil
}

// records recognises the text and hands it to the reader of its form.
func (r *Reader) records(ctx context.Context, src Source, s *stream) error {
	if !s.fill() && s.err != nil {
		r.problem(0, s.err)
	}
	s.pos = event.SkipSpace(s.buf[:s.end], bom(s.buf[:s.end]))
	if s.pos == s.end {
		if s.eof {
			return nil // empty
		}
		return r.json(ctx, src, s) // which bounds white space
	}
	switch c := s.buf[s.pos]; c {
	case '{', '[':
		return r.json(ctx, src, s)
	}
	if form := recognise(s.buf[s.pos:s.end], r.FlowFormat); form != nil {
		return r.lines(ctx, s, form)
	}
	if head := s.buf[s.pos:s.end]; bytes.Contains(head, []byte(`"eventName"`)) || bytes.Contains(head, []byte(`"eventVersion"`)) {
		return r.json(ctx, src, s) // records behind something broken
	}
	return r.notLog(src, 0)
}

func (r *Reader) notLog(src Source, offset int64) error {
	if src.Named() {
		r.problem(offset, ErrNotLog)
	} else {
		r.stats.NotLogs++
		if r.Skipped != nil {
			r.Skipped(src.Name())
		}
	}
	return nil
}

func bom(b []byte) int {
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return 3
	}
	return 0
}

// countingReader counts the bytes of the raw source and ends with the context.
type countingReader struct {
	r   io.Reader
	ctx context.Context
	n   int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// ratioReader refuses input that swells out of all proportion.
type ratioReader struct {
	r          io.Reader
	in         *countingReader
	compressed bool
	n          int64
}

func (d *ratioReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	d.n += int64(n)
	if d.compressed && d.n > ratioFrom && d.n/maxRatio > d.in.n {
		return n, fmt.Errorf("the compressed source swells more than %d times: looks like a bomb, stopped", maxRatio)
	}
	return n, err
}
