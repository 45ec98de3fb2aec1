package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Source says where the models come from.
type Source struct {
	Package  string `json:"package"` // "botocore"
	Version  string `json:"version"`
	File     string `json:"file"`
	SHA256   string `json:"sha256"`
	License  string `json:"license"`
	Homepage string `json:"homepage"`
}

// Partition is one of AWS's separate worlds of regions.
type Partition struct {
	ID        string   `json:"id"` // "aws"
	Regex     string   `json:"regex"`
	Regions   []string `json:"regions"`
	DNSSuffix string   `json:"dns"`
	Global    string   `json:"global"` // the region that signs for global services

	regex *regexp.Regexp
}

// Matches reports whether a region belongs to the partition, by its list or,
// for regions newer than the models, by the pattern of its name.
func (p *Partition) Matches(region string) bool {
	for _, r := range p.Regions {
		if r == region {
			return true
		}
	}
	return p.regex != nil && p.regex.MatchString(region)
}

// Entry is what the catalogue's index knows of a service without reading its model.
type Entry struct {
	Name           string `json:"n"`
	ID             string `json:"i"`
	FullName       string `json:"f"`
	EndpointPrefix string `json:"e"`
	SigningName    string `json:"s"`
	Operations     int    `json:"o"`
	Offset         int    `json:"a"`
	Length         int    `json:"l"`
	Size           int    `json:"u"` // uncompressed
}

type header struct {
	Source     Source      `json:"source"`
	Partitions []Partition `json:"partitions"`
	Services   []Entry     `json:"services"`
}

// Catalogue holds the compact models of many services in one block of bytes and
// reads each when it is first asked for. It is safe for concurrent use.
type Catalogue struct {
	header header
	chunks []byte
	zstd   *zstd.Decoder
	lazy   []lazyService
	byName map[string]int
}

type lazyService struct {
	once    sync.Once
	service *Service
	err     error
}

// magic opens the file; its last digit is the version of the format.
var magic = []byte("bartizan-models-2\n")

// Pack writes a catalogue. Services keep their order; the bytes depend on
// nothing but the arguments.
func Pack(source Source, partitions []Partition, services []*Service) ([]byte, error) {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, err
	}
	h := header{Source: source, Partitions: partitions}
	var chunks []byte
	for _, s := range services {
		raw := Encode(s)
		at := len(chunks)
		chunks = w.EncodeAll(raw, chunks)
		h.Services = append(h.Services, Entry{
			Name: s.Name, ID: s.ID, FullName: s.FullName, EndpointPrefix: s.EndpointPrefix, SigningName: s.SigningName,
			Operations: len(s.Operations), Offset: at, Length: len(chunks) - at, Size: len(raw),
		})
	}
	index, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	index = w.EncodeAll(index, nil)
	out := append([]byte{}, magic...)
	out = append(out, byte(len(index)>>24), byte(len(index)>>16), byte(len(index)>>8), byte(len(index)))
	out = append(out, index...)
	return append(out, chunks...), nil
}

// Open reads the index of a catalogue.
func Open(data []byte) (*Catalogue, error) {
	rest, ok := bytes.CutPrefix(data, magic)
	if !ok || len(rest) < 4 {
		return nil, errors.New("open service models: not a catalogue of this version")
	}
	n := int(rest[0])<<24 | int(rest[1])<<16 | int(rest[2])<<8 | int(rest[3])
	rest = rest[4:]
	if n > len(rest) {
		return nil, errors.New("open service models: the index ends early")
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, fmt.Errorf("open service models: %w", err)
	}
	c := &Catalogue{chunks: rest[n:], zstd: z}
	index, err := z.DecodeAll(rest[:n], nil)
	if err != nil {
		return nil, fmt.Errorf("open service models: %w", err)
	}
	if err := json.Unmarshal(index, &c.header); err != nil {
		return nil, fmt.Errorf("open service models: %w", err)
	}
	for i := range c.header.Partitions {
		p := &c.header.Partitions[i]
		if p.regex, err = regexp.Compile(p.Regex); err != nil {
			return nil, fmt.Errorf("open service models: %w", err)
		}
	}
	c.lazy = make([]lazyService, len(c.header.Services))
	c.byName = make(map[string]int, len(c.header.Services))
	for i, e := range c.header.Services {
		if e.Offset < 0 || e.Length < 0 || e.Offset > len(c.chunks)-e.Length {
			return nil, fmt.Errorf("open service models: %s lies outside the file", e.Name)
		}
		c.byName[e.Name] = i
	}
	return c, nil
}

// Source says where the models come from.
func (c *Catalogue) Source() Source { return c.header.Source }

// Partitions returns AWS's partitions.
func (c *Catalogue) Partitions() []Partition { return c.header.Partitions }

// Entries returns the index, ordered by name.
func (c *Catalogue) Entries() []Entry { return c.header.Services }

// Service reads the model of the service with exactly the given name, or
// returns nil when there is none.
func (c *Catalogue) Service(name string) (*Service, error) {
	i, ok := c.byName[name]
	if !ok {
		return nil, nil
	}
	l := &c.lazy[i]
	l.once.Do(func() { l.service, l.err = c.read(i) })
	return l.service, l.err
}

// read decodes a service's model.
func (c *Catalogue) read(i int) (*Service, error) {
	e := c.header.Services[i]
	raw, err := c.zstd.DecodeAll(c.chunks[e.Offset:e.Offset+e.Length], make([]byte, 0, max(e.Size, 0)))
	if err != nil {
		return nil, fmt.Errorf("read model of %s: %w", e.Name, err)
	}
	return Decode(raw)
}
