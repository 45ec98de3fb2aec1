package collect_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/bartizan-security/bartizan/collect"
)

// BenchmarkAccounts reports the memory in use while an organization is
// collected: it must not grow with the number of accounts.
func BenchmarkAccounts(b *testing.B) {
	for _, accounts := range []int{10, 100} {
		b.Run(fmt.Sprint(accounts), func(b *testing.B) {
			for b.Loop() {
				f := newFake()
				many(f)
				var list l
				for n := range accounts {
					list = append(list, m{"Id": fmt.Sprintf("%012d", int64(n)+111111111111), "Status": "ACTIVE"})
				}
				f.on("organizations:ListAccounts", func(call) (m, error) { return m{"Accounts": list}, nil })
				var most uint64
				done := 0
				sum, err := collect.Run(context.Background(), fakeSession{f, "111111111111"}, collect.Options{
					Catalogue: catalogue(b), Role: "Reader", Regions: []string{"eu-west-1"}, Time: fixed,
					Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
					Progress: func(p collect.Progress) {
						if p.AccountsDone == done {
							return
						}
						if done = p.AccountsDone; done%5 == 0 {
							var stats runtime.MemStats
							runtime.GC()
							runtime.ReadMemStats(&stats)
							most = max(most, stats.HeapAlloc)
						}
					},
				}, io.Discard)
				if err != nil || sum.Accounts != accounts {
					b.Fatal(err, sum)
				}
				b.ReportMetric(float64(most)/(1<<20), "MB-live")
				b.ReportMetric(float64(sum.Resources), "resources")
			}
		})
	}
}
