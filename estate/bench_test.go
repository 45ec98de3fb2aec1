package estate_test

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"runtime"
	"testing"

	"github.com/bartizan-security/bartizan/estate"
)

// generated is an estate of many accounts that is made while it is read, so
// that a benchmark measures the snapshot and not the generator's memory.
type generated struct{ accounts, each int }

func (g generated) Header() estate.Header { return sample().Head }

func (g generated) Accounts() iter.Seq2[*estate.Account, error] {
	return func(yield func(*estate.Account, error) bool) {
		for n := range g.accounts {
			a := &estate.Account{ID: fmt.Sprintf("%012d", n)}
			for i := range g.each {
				a.Resources = append(a.Resources, groupOf(a.ID, n*g.each+i))
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

func groupOf(account string, i int) *estate.Resource {
	type m = map[string]any
	id := fmt.Sprintf("sg-%017x", i*7919)
	return &estate.Resource{Type: "AWS::EC2::SecurityGroup", ID: id, Account: account, Region: "eu-west-1",
		ARN:  "arn:aws:ec2:eu-west-1:" + account + ":security-group/" + id,
		Tags: map[string]string{"Name": fmt.Sprintf("web-%d", i), "team": "ops"},
		Document: m{"GroupId": id, "GroupName": fmt.Sprintf("web-%d", i), "Description": "allows web", "OwnerId": account, "VpcId": fmt.Sprintf("vpc-%017x", i%97),
			"IpPermissions": []any{m{"FromPort": int64(443), "ToPort": int64(443), "IpProtocol": "tcp",
				"IpRanges": []any{m{"CidrIp": fmt.Sprintf("10.%d.%d.0/24", i%250, i/250%250), "Description": "office"}}, "Ipv6Ranges": []any{}, "UserIdGroupPairs": []any{}}},
			"IpPermissionsEgress": []any{m{"IpProtocol": "-1", "IpRanges": []any{m{"CidrIp": "0.0.0.0/0"}}}},
			"Tags":                []any{m{"Key": "Name", "Value": fmt.Sprintf("web-%d", i)}, m{"Key": "team", "Value": "ops"}}}}
}

func plainSize(b *testing.B, packed []byte) int64 {
	b.Helper()
	return int64(len(unpack(b, packed)))
}

func BenchmarkWrite(b *testing.B) {
	const n = 20_000
	e, err := estate.Load(generated{10, n / 10})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(plainSize(b, write(b, e)))
	b.ReportAllocs()
	for b.Loop() {
		if err := estate.Write(io.Discard, e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "resources/s")
}

func BenchmarkRead(b *testing.B) {
	const n = 20_000
	packed := write(b, generated{10, n / 10})
	b.SetBytes(plainSize(b, packed))
	b.ReportAllocs()
	for b.Loop() {
		r, err := estate.NewReader(bytes.NewReader(packed))
		if err != nil {
			b.Fatal(err)
		}
		for _, err := range r.Accounts() {
			if err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "resources/s")
}

// BenchmarkStreamAccounts reports the highest memory in use while an estate of
// many accounts is written and read again: it must not grow with their number.
func BenchmarkStreamAccounts(b *testing.B) {
	for _, accounts := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(accounts), func(b *testing.B) {
			const each = 100
			for b.Loop() {
				in, out := io.Pipe()
				go func() { out.CloseWithError(estate.Write(out, generated{accounts, each})) }()
				r, err := estate.NewReader(in)
				if err != nil {
					b.Fatal(err)
				}
				var most uint64
				seen, walked := 0, 0
				for a, err := range r.Accounts() {
					if err != nil {
						b.Fatal(err)
					}
					seen += len(a.Resources)
					if walked++; walked%10 == 0 {
						var m runtime.MemStats
						runtime.GC()
						runtime.ReadMemStats(&m)
						most = max(most, m.HeapAlloc)
					}
				}
				r.Close()
				if seen != accounts*each {
					b.Fatalf("%d resources, want %d", seen, accounts*each)
				}
				b.ReportMetric(float64(most)/(1<<20), "MB-live")
			}
		})
	}
}

func BenchmarkIndexReferences(b *testing.B) {
	const n = 20_000
	e, err := estate.Load(generated{10, n / 10})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		x := e.Index()
		x.References(x.All()[0])
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "resources/s")
}
