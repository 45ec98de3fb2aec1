package catalog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// ErrFormat is wrapped by every error about data that is not a catalogue.
var ErrFormat = errors.New("not a catalogue file")

// The container: magic, length of the header, header as JSON, blocks. A block is
// one zstd frame and is decompressed only when it is asked for.
const (
	magic     = "BZC1"
	maxHeader = 8 << 20
	maxBlock  = 16 << 20 // decompressed
)

type entry struct {
	Name string `json:"n"`
	Off  int    `json:"o"`
	Len  int    `json:"l"`
	Raw  int    `json:"r"`
}

type container[H any] struct {
	header H
	blocks []byte
}

func openContainer[H any](data []byte) (container[H], error) {
	var c container[H]
	if len(data) < len(magic)+4 || string(data[:len(magic)]) != magic {
		return c, fmt.Errorf("read header: %w", ErrFormat)
	}
	n := int64(binary.BigEndian.Uint32(data[len(magic):]))
	rest := data[len(magic)+4:]
	if n > maxHeader || n > int64(len(rest)) {
		return c, fmt.Errorf("read header: %w: header of %d bytes is cut off", ErrFormat, n)
	}
	if err := json.Unmarshal(rest[:n], &c.header); err != nil {
		return c, fmt.Errorf("read header: %w: %w", ErrFormat, err)
	}
	c.blocks = rest[n:]
	return c, nil
}

func (c container[H]) block(e entry) ([]byte, error) {
	if e.Off < 0 || e.Len < 0 || e.Off > len(c.blocks) || e.Len > len(c.blocks)-e.Off || e.Raw < 0 || e.Raw > maxBlock {
		return nil, fmt.Errorf("read block %s: %w: it lies outside the file", e.Name, ErrFormat)
	}
	d, err := zstd.NewReader(bytes.NewReader(c.blocks[e.Off:e.Off+e.Len]), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", e.Name, err)
	}
	defer d.Close()
	out := make([]byte, 0, e.Raw)
	buf := bytes.NewBuffer(out)
	if _, err := io.Copy(buf, io.LimitReader(d, int64(e.Raw)+1)); err != nil {
		return nil, fmt.Errorf("read block %s: %w: %w", e.Name, ErrFormat, err)
	}
	if buf.Len() != e.Raw {
		return nil, fmt.Errorf("read block %s: %w: %d bytes, want %d", e.Name, ErrFormat, buf.Len(), e.Raw)
	}
	return buf.Bytes(), nil
}

// packer builds a container's blocks.
type packer struct {
	enc     *zstd.Encoder
	blocks  []byte
	entries []entry
}

func newPacker() (*packer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, fmt.Errorf("start compression: %w", err)
	}
	return &packer{enc: enc}, nil
}

func (p *packer) add(name string, raw []byte) {
	before := len(p.blocks)
	p.blocks = p.enc.EncodeAll(raw, p.blocks)
	p.entries = append(p.entries, entry{name, before, len(p.blocks) - before, len(raw)})
}

func (p *packer) bytes(header any) ([]byte, error) {
	h, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	out := append([]byte(magic), 0, 0, 0, 0)
	binary.BigEndian.PutUint32(out[len(magic):], uint32(len(h)))
	return append(append(out, h...), p.blocks...), nil
}
