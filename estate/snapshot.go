package estate

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
)

// Schema is the version of the snapshot layout that this package writes. It
// reads this version and older ones.
const Schema = 1

// MaxLine bounds one line of a snapshot, in bytes: one resource.
const MaxLine = 64 << 20

// Errors that reading a snapshot wraps.
var (
	// ErrForeign means that the input is no snapshot at all.
	ErrForeign = errors.New("not a bartizan snapshot")
	// ErrTruncated means that the end is missing: the copy or the collection broke off.
	ErrTruncated = errors.New("the snapshot is truncated")
	// ErrDamaged means that a line does not hold what it should.
	ErrDamaged = errors.New("the snapshot is damaged")
)

// The kinds of line in a snapshot. The header stands first and the trailer
// last; between them the accounts in ascending order, of each first the gaps,
// then the resources.
const (
	kindHeader   = "header"
	kindGap      = "gap"
	kindResource = "resource"
	kindTrailer  = "trailer"
)

const formatName = "bartizan-estate"

type headerLine struct {
	Kind   string `json:"kind"`
	Format string `json:"format"`
	Header
}

type gapLine struct {
	Kind string `json:"kind"`
	Gap
}

// Writer writes a snapshot: zstd-compressed JSON Lines. The same estate gives
// the same bytes.
type Writer struct {
	z         *zstd.Encoder
	line      []byte
	last      string // account written last
	any       bool
	resources int64
	gaps      int64
}

// NewWriter begins a snapshot with its header.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Schema = Schema
	h.Time = h.Time.UTC()
	// One goroutine: the blocks, and so the bytes, do not depend on timing.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	if err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	sw := &Writer{z: z}
	if err := sw.marshal(headerLine{kindHeader, formatName, h}); err != nil {
		return nil, err
	}
	// A file that breaks off before the first account can be told from a foreign one.
	if err := z.Flush(); err != nil {
		return nil, fmt.Errorf("write snapshot: %w", err)
	}
	return sw, nil
}

func (w *Writer) marshal(v any) error {
	b := bytes.NewBuffer(w.line[:0])
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	w.line = b.Bytes()
	return w.flush()
}

func (w *Writer) flush() error {
	if _, err := w.z.Write(w.line); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// WriteAccount writes one account, which it sorts. Accounts must come in
// ascending order of their ids, each once.
func (w *Writer) WriteAccount(a *Account) error {
	if w.any && a.ID <= w.last {
		return fmt.Errorf("write snapshot: account %q after %q: accounts must ascend", a.ID, w.last)
	}
	w.any, w.last = true, a.ID
	a.Sort()
	for _, g := range a.Gaps {
		g.Account = a.ID
		if err := w.marshal(gapLine{kindGap, g}); err != nil {
			return err
		}
		w.gaps++
	}
	for _, r := range a.Resources {
		if r.Account != a.ID {
			return fmt.Errorf("write snapshot: %s %s is of account %q, not %q", r.Type, r.ID, r.Account, a.ID)
		}
		line, err := appendResource(w.line[:0], r)
		if err != nil {
			return fmt.Errorf("write snapshot: %s %s: %w", r.Type, r.ID, err)
		}
		if len(line) > MaxLine {
			return fmt.Errorf("write snapshot: %s %s: document of %d bytes is larger than %d", r.Type, r.ID, len(line), MaxLine)
		}
		line = append(line, '\n')
		w.line = line
		if err := w.flush(); err != nil {
			return err
		}
		w.resources++
	}
	// What is written of whole accounts can be read again if the rest is lost.
	if err := w.z.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Close writes the trailer. It does not close the underlying writer.
func (w *Writer) Close() error {
	err := w.marshal(map[string]any{"kind": kindTrailer, "resources": w.resources, "gaps": w.gaps})
	if err != nil {
		return err
	}
	if err := w.z.Close(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

// Write writes a whole source as a snapshot.
func Write(w io.Writer, s Source) error {
	sw, err := NewWriter(w, s.Header())
	if err != nil {
		return err
	}
	for a, err := range s.Accounts() {
		if err != nil {
			return err
		}
		if err := sw.WriteAccount(a); err != nil {
			return err
		}
	}
	return sw.Close()
}

func appendResource(dst []byte, r *Resource) ([]byte, error) {
	dst = append(dst, `{"kind":"resource","type":`...)
	dst = appendString(dst, r.Type)
	dst = append(dst, `,"id":`...)
	dst = appendString(dst, r.ID)
	if r.ARN != "" {
		dst = append(dst, `,"arn":`...)
		dst = appendString(dst, r.ARN)
	}
	dst = append(dst, `,"account":`...)
	dst = appendString(dst, r.Account)
	if r.Region != "" {
		dst = append(dst, `,"region":`...)
		dst = appendString(dst, r.Region)
	}
	var err error
	if len(r.Tags) > 0 {
		dst = append(dst, `,"tags":`...)
		if dst, err = AppendJSON(dst, r.Tags); err != nil {
			return nil, err
		}
	}
	dst = append(dst, `,"document":`...)
	doc := r.Document
	if doc == nil {
		doc = map[string]any{}
	}
	if dst, err = AppendJSON(dst, doc); err != nil {
		return nil, err
	}
	if len(r.Unknown) > 0 {
		u, err := json.Marshal(r.Unknown)
		if err != nil {
			return nil, err
		}
		dst = append(append(dst, `,"unknown":`...), u...)
	}
	return append(dst, '}'), nil
}

// zstd's magic number, little-endian (RFC 8878, section 3.1.1).
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// Reader reads a snapshot as a stream, compressed or not.
type Reader struct {
	head    Header
	in      *bufio.Reader
	z       *zstd.Decoder
	dec     Decoder
	line    []byte
	n       int // number of the line read last
	partial bool
	read    *guard
}

// IsSnapshot reports whether the first bytes of a file can be a snapshot:
// compressed, or starting with a header line.
func IsSnapshot(start []byte) bool {
	return bytes.HasPrefix(start, zstdMagic) || bytes.HasPrefix(start, []byte(`{"kind":"header"`))
}

// NewReader begins to read a snapshot. The error wraps ErrForeign, ErrTruncated
// or ErrDamaged where it is the input's fault. Call Close when done.
func NewReader(r io.Reader) (*Reader, error) {
	g := &guard{r: r}
	raw := bufio.NewReaderSize(g, 64<<10)
	start, err := raw.Peek(len(zstdMagic))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	sr := &Reader{in: raw, read: g}
	if bytes.Equal(start, zstdMagic) {
		z, err := zstd.NewReader(raw, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, fmt.Errorf("read snapshot: %w: %w", ErrForeign, err)
		}
		sr.z = z
		sr.in = bufio.NewReaderSize(z, 256<<10)
	}
	if err := sr.readHeader(); err != nil {
		sr.Close()
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return sr, nil
}

// NewPartialReader reads what there is of a snapshot whose collection broke
// off: a missing end is no error, and the last account, which may not be whole,
// is dropped if the trailer is missing.
func NewPartialReader(r io.Reader) (*Reader, error) {
	sr, err := NewReader(r)
	if sr != nil {
		sr.partial = true
	}
	return sr, err
}

// Close frees what the reader holds. It does not close the underlying reader.
func (r *Reader) Close() {
	if r.z != nil {
		r.z.Close()
	}
}

// Header returns the snapshot's header.
func (r *Reader) Header() Header { return r.head }

func (r *Reader) readHeader() error {
	line, err := r.next()
	if err != nil {
		if errors.Is(err, ErrTruncated) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	var h headerLine
	if err := json.Unmarshal(line, &h); err != nil || h.Kind != kindHeader || h.Format != formatName {
		return fmt.Errorf("%w: the first line is no header", ErrForeign)
	}
	if h.Schema < 1 || h.Schema > Schema {
		return fmt.Errorf("schema version %d: this bartizan reads versions 1 to %d: use a newer bartizan", h.Schema, Schema)
	}
	r.head = h.Header
	return nil
}

// guard counts compressed bytes, so that a small file that unpacks without end
// is recognised.
type guard struct {
	r   io.Reader
	in  int64
	out int64
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.in += int64(n)
	return n, err
}

const (
	guardFrom  = 256 << 20 // a file may always unpack to this many bytes
	guardRatio = 2000      // and beyond it to this many times its size
)

func (r *Reader) next() ([]byte, error) {
	r.line = r.line[:0]
	for {
		part, err := r.in.ReadSlice('\n')
		r.line = append(r.line, part...)
		r.read.out += int64(len(part))
		switch {
		case len(r.line) > MaxLine:
			return nil, fmt.Errorf("line %d: longer than %d bytes", r.n+1, MaxLine)
		case r.read.out > guardFrom && r.read.out/guardRatio > r.read.in:
			return nil, fmt.Errorf("line %d: unpacks to more than %d times its size", r.n+1, guardRatio)
		case err == nil:
			r.n++
			return r.line[:len(r.line)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if len(r.line) == 0 && r.n == 0 && r.read.in == 0 {
				return nil, errors.New("the file is empty")
			}
			if r.n == 0 && r.z == nil {
				r.n++
				return r.line, nil // a foreign file of one line
			}
			return nil, ErrTruncated
		default:
			if r.z != nil {
				return nil, fmt.Errorf("%w: after line %d: %w", ErrDamaged, r.n, err)
			}
			return nil, fmt.Errorf("after line %d: %w", r.n, err)
		}
	}
}

// Accounts walks the snapshot account by account; memory is needed for one.
// It may be called once.
func (r *Reader) Accounts() iter.Seq2[*Account, error] {
	return func(yield func(*Account, error) bool) {
		var cur *Account
		var resources, gaps int64
		fail := func(err error) { yield(nil, fmt.Errorf("read snapshot: %w", err)) }
		enter := func(id string) (ok, stop bool) {
			if cur != nil && cur.ID == id {
				return true, false
			}
			if cur != nil {
				if id <= cur.ID {
					return false, false
				}
				if !yield(cur, nil) {
					return false, true
				}
			}
			cur = &Account{ID: id}
			return true, false
		}
		for {
			line, err := r.next()
			if errors.Is(err, ErrTruncated) && r.partial {
				return
			}
			if err != nil {
				fail(err)
				return
			}
			rec, err := r.record(line)
			if err != nil {
				fail(fmt.Errorf("%w: line %d: %w", ErrDamaged, r.n, err))
				return
			}
			if rec.trailer {
				if rec.resources != resources || rec.gaps != gaps {
					fail(fmt.Errorf("%w: %d resources and %d gaps, the trailer says %d and %d", ErrDamaged, resources, gaps, rec.resources, rec.gaps))
					return
				}
				if cur != nil {
					yield(cur, nil)
				}
				return
			}
			ok, stop := enter(rec.account)
			if stop {
				return
			}
			if !ok {
				fail(fmt.Errorf("%w: line %d: account %q after %q", ErrDamaged, r.n, rec.account, cur.ID))
				return
			}
			if rec.resource != nil {
				resources++
				cur.Resources = append(cur.Resources, rec.resource)
			} else {
				gaps++
				cur.Gaps = append(cur.Gaps, rec.gap)
			}
		}
	}
}
