package catalog

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed data/managed.bin
var embeddedManaged []byte

// DefaultManaged returns the embedded AWS-managed policies.
var DefaultManaged = sync.OnceValue(func() *ManagedPolicies {
	m, err := OpenManaged(embeddedManaged)
	if err != nil {
		panic("the embedded managed policies are damaged: " + err.Error())
	}
	return m
})

// ManagedPolicy returns the embedded AWS-managed policy with that ARN.
func ManagedPolicy(arn string) (Policy, bool) { return DefaultManaged().Policy(arn) }

// Policy is an AWS-managed policy in its default version.
type Policy struct {
	ARN       string // in the partition aws
	Name      string
	Path      string // /, /service-role/, /aws-service-role/, /job-function/
	VersionID string // v3
	Document  []byte // compact JSON; the caller must not change it
}

type managedHeader struct {
	Kind    string         `json:"kind"` // "managed"
	Source  string         `json:"source"`
	Version string         `json:"version"`
	SHA256  string         `json:"sha256"`
	Blocks  []entry        `json:"blocks"`
	Index   []managedEntry `json:"index"` // sorted by ARN
}

type managedEntry struct {
	ARN     string `json:"a"`
	Version string `json:"v"`
	Block   int    `json:"b"`
	Line    int    `json:"l"`
}

// ManagedPolicies is one version of the AWS-managed policies. It is safe for
// concurrent use.
type ManagedPolicies struct {
	c      container[managedHeader]
	blocks []func() ([][]byte, error)
}

// OpenManaged reads a file of managed policies. The error wraps ErrFormat.
func OpenManaged(data []byte) (*ManagedPolicies, error) {
	box, err := openContainer[managedHeader](data)
	if err != nil {
		return nil, err
	}
	if box.header.Kind != "managed" {
		return nil, fmt.Errorf("read header: %w: kind %q, want %q", ErrFormat, box.header.Kind, "managed")
	}
	m := &ManagedPolicies{c: box}
	for _, e := range box.header.Blocks {
		m.blocks = append(m.blocks, sync.OnceValues(func() ([][]byte, error) {
			raw, err := box.block(e)
			if err != nil {
				return nil, err
			}
			return bytes.Split(raw, []byte("\n")), nil
		}))
	}
	return m, nil
}

// Version returns the version of the source package.
func (m *ManagedPolicies) Version() string { return m.c.header.Version }

// ARNs returns every policy's ARN, sorted.
func (m *ManagedPolicies) ARNs() []string {
	out := make([]string, len(m.c.header.Index))
	for i, e := range m.c.header.Index {
		out[i] = e.ARN
	}
	return out
}

// Policy returns the managed policy with that ARN. ARNs of other partitions
// (aws-cn, aws-us-gov) find the policy of the partition aws.
func (m *ManagedPolicies) Policy(arn string) (Policy, bool) {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) != 3 || parts[0] != "arn" {
		return Policy{}, false
	}
	arn = "arn:aws:" + parts[2]
	i, ok := slices.BinarySearchFunc(m.c.header.Index, arn, func(e managedEntry, a string) int { return strings.Compare(e.ARN, a) })
	if !ok {
		return Policy{}, false
	}
	e := m.c.header.Index[i]
	if e.Block < 0 || e.Block >= len(m.blocks) {
		return Policy{}, false
	}
	lines, err := m.blocks[e.Block]()
	if err != nil || e.Line < 0 || e.Line >= len(lines) {
		return Policy{}, false
	}
	_, full, _ := strings.Cut(arn, ":policy")
	name := full[strings.LastIndexByte(full, '/')+1:]
	return Policy{ARN: arn, Name: name, Path: strings.TrimSuffix(full, name), VersionID: e.Version, Document: lines[e.Line]}, true
}

// managedBlock is how many policies share one compressed block.
const managedBlock = 48

// BuildManaged writes a file of managed policies. Documents may be of any
// layout; they are stored compact.
func BuildManaged(source, version, sha256 string, policies []Policy) ([]byte, error) {
	policies = slices.Clone(policies)
	slices.SortFunc(policies, func(a, b Policy) int { return strings.Compare(a.ARN, b.ARN) })
	p, err := newPacker()
	if err != nil {
		return nil, err
	}
	h := managedHeader{Kind: "managed", Source: source, Version: version, SHA256: sha256}
	var block bytes.Buffer
	n := 0
	flush := func() {
		if n > 0 {
			p.add("policies", bytes.Clone(block.Bytes()))
			block.Reset()
			n = 0
		}
	}
	for _, pol := range policies {
		if n > 0 {
			block.WriteByte('\n')
		}
		if err := json.Compact(&block, pol.Document); err != nil {
			return nil, fmt.Errorf("write policy %s: %w", pol.ARN, err)
		}
		h.Index = append(h.Index, managedEntry{pol.ARN, pol.VersionID, len(p.entries), n})
		if n++; n == managedBlock {
			flush()
		}
	}
	flush()
	h.Blocks = p.entries
	return p.bytes(h)
}
