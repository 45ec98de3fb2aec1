package report_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/bartizan-security/bartizan/finding"
	"github.com/bartizan-security/bartizan/finding/report"
)

// BenchmarkWrite writes 100,000 findings of 120 controls in each format.
func BenchmarkWrite(b *testing.B) {
	const n = 100_000
	base := sample()[2]
	fs := make([]finding.Finding, n)
	for i := range fs {
		f := base
		f.RuleID = fmt.Sprintf("control-%03d", i%120)
		f.Resource.ID = fmt.Sprintf("sg-%017x", i)
		f.Resource.ARN = "arn:aws:ec2:eu-west-1:111122223333:security-group/" + f.Resource.ID
		f.Fingerprint = finding.Fingerprint(f.RuleID, f.Resource.ID)
		fs[i] = f
	}
	end := result(fs)
	for _, format := range report.Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			size := &counter{}
			for b.Loop() {
				size.n = 0
				w, err := report.New(format, size, run, report.Options{})
				if err != nil {
					b.Fatal(err)
				}
				for i := range fs {
					if err := w.Write(&fs[i]); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(end); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "findings/s")
			b.ReportMetric(float64(size.n)/n, "B/finding")
		})
	}
}

type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return io.Discard.Write(p)
}
