package detect_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

type held struct {
	name string
	gz   []byte
}

func (h held) Name() string { return h.name }
func (h held) Named() bool  { return true }
func (h held) Open(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(h.gz)), nil
}

func sourcesOf(files [][]byte) []logs.Source {
	var out []logs.Source
	for i, f := range files {
		out = append(out, held{"file" + string(rune('a'+i%26)), f})
	}
	return out
}

func sharedFiles(b *testing.B) [][]byte {
	var out [][]byte
	sources, err := logs.Files(thirdparty.Path(b, "cloudtrail/invictus"))
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range sources {
		text, err := os.ReadFile(s.Name())
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

func gunzip(b *testing.B, files [][]byte) (bytesOut int64) {
	var gz gzip.Reader
	buf := make([]byte, 512<<10)
	for _, f := range files {
		if err := gz.Reset(bytes.NewReader(f)); err != nil {
			b.Fatal(err)
		}
		for {
			n, err := gz.Read(buf)
			bytesOut += int64(n)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	return bytesOut
}

// recorded is the events of the recorded intrusion many times in one object, as
// a long log holds them: its first objects no longer count for much.
func recorded(b *testing.B) [][]byte {
	var events []string
	for _, f := range sharedFiles(b) {
		r, err := gzip.NewReader(bytes.NewReader(f))
		if err != nil {
			b.Fatal(err)
		}
		var doc struct{ Records []json.RawMessage }
		if err := json.NewDecoder(r).Decode(&doc); err != nil {
			b.Fatal(err)
		}
		for _, e := range doc.Records {
			events = append(events, string(e))
		}
	}
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, `{"Records":[`+strings.Join(events, ","))
	for range 34 {
		_, _ = io.WriteString(w, ","+strings.Join(events, ","))
	}
	_, _ = io.WriteString(w, `]}`)
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return [][]byte{out.Bytes()}
}

// BenchmarkDetect prints events a second, of all passes and of the fastest, MB/s of
// decompressed logs, the ratio to gunzip alone of the same bytes, how many events a
// second gunzip alone would give, and the peak of the heap.
func BenchmarkDetect(b *testing.B) {
	engine := allRules(b)
	for _, set := range []struct {
		name  string
		files [][]byte
	}{{"generated", corpus(100_000, 2000, 400)}, {"crowd", corpus(100_000, 2000, 0)}, {"recorded", recorded(b)}, {"invictus", sharedFiles(b)}} {
		for _, workers := range []int{1, 2} {
			b.Run(set.name+"/"+string(rune('0'+workers))+"-core", func(b *testing.B) {
				before := runtime.GOMAXPROCS(workers)
				defer runtime.GOMAXPROCS(before)
				defer debug.SetGCPercent(debug.SetGCPercent(100))
				var peak atomic.Uint64
				stop := watchHeap(&peak)
				sources := sourcesOf(set.files)
				var events, bytesIn, matches int64
				var cpu, gzip, fastest float64
				b.ResetTimer()
				for range b.N {
					// Gunzip alone and detection take turns, so that both have
					// the same of what else the machine does.
					b.StopTimer()
					start := cpuSeconds()
					gunzip(b, set.files)
					begun := cpuSeconds()
					gzip += begun - start
					b.StartTimer()
					stats, err := detect.Run(context.Background(), sources, engine, detect.Options{Workers: workers}, func(*detect.Match) error { return nil })
					if err != nil {
						b.Fatal(err)
					}
					events, bytesIn, matches = events+stats.Events, bytesIn+stats.Bytes, matches+stats.Matches
					took := cpuSeconds() - begun
					cpu += took
					fastest = max(fastest, float64(stats.Events)/took)
				}
				b.StopTimer()
				stop()
				sec := b.Elapsed().Seconds()
				b.ReportMetric(float64(events)/sec, "events/s")
				b.ReportMetric(float64(bytesIn)/sec/1e6, "MB/s")
				b.ReportMetric(float64(events)/cpu, "events/cpu-s")
				b.ReportMetric(fastest, "fastest-events/cpu-s")
				b.ReportMetric(cpu/gzip, "x-gunzip-cpu")
				b.ReportMetric(float64(events)/gzip, "gunzip-events/cpu-s")
				b.ReportMetric(float64(matches)/float64(events), "matches/event")
				b.ReportMetric(float64(peak.Load())/(1<<20), "peak-MB")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// cpuSeconds is the processor time of this process: on a machine that does
// other work too, it says more than the clock.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func watchHeap(peak *atomic.Uint64) (stop func()) {
	done := make(chan struct{})
	go func() {
		var m runtime.MemStats
		for {
			runtime.ReadMemStats(&m)
			if m.Sys-m.HeapReleased > peak.Load() {
				peak.Store(m.Sys - m.HeapReleased)
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() { close(done) }
}

// BenchmarkCommand is the program itself over a folder of objects, with every rule
// and with incidents: events a second from its start to its end, and the most
// memory it ever held (resident set).
func BenchmarkCommand(b *testing.B) {
	dir := b.TempDir()
	bin := filepath.Join(dir, "bartizan")
	if text, err := exec.Command("go", "build", "-o", bin, "../cmd/bartizan").CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, text)
	}
	const events, perFile = 600_000, 3000
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		b.Fatal(err)
	}
	for i, f := range corpus(events, perFile, 400) {
		if err := os.WriteFile(filepath.Join(logs, fmt.Sprintf("%04d.json.gz", i)), f, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	rules := thirdparty.Path(b, "sigma-aws")
	for _, cores := range []int{1, 2} {
		b.Run(fmt.Sprintf("%d-core", cores), func(b *testing.B) {
			var cpu, peak float64
			for range b.N {
				cmd := exec.Command(bin, "detect", logs, "--rules", rules, "--fail-on", "never")
				cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", cores))
				var text bytes.Buffer
				cmd.Stdout, cmd.Stderr = &text, &text
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				stop := watchResident(cmd.Process.Pid, &peak)
				err := cmd.Wait()
				stop()
				if err != nil || !bytes.Contains(text.Bytes(), []byte("600000 events in 200 files")) {
					b.Fatalf("%v\n%s", err, text.Bytes())
				}
				cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(events*b.N)/cpu, "events/cpu-s")
			b.ReportMetric(peak, "peak-RSS-MB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// watchResident keeps the highest resident set of a process, in MB, as Linux tells
// it. What wait reports will not do: it begins with that of the parent.
func watchResident(pid int, peak *float64) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if _, rest, ok := strings.Cut(string(text), "VmHWM:"); ok {
				var kb float64
				if _, err := fmt.Sscan(rest, &kb); err == nil {
					*peak = max(*peak, kb/1024)
				}
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// BenchmarkScan is the reader without rules, on text that is not compressed.
func BenchmarkScan(b *testing.B) {
	files := corpus(20_000, 20_000, 400)
	gz, err := gzip.NewReader(bytes.NewReader(files[0]))
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(gz)
	if err != nil {
		b.Fatal(err)
	}
	engine := allRules(b)
	r := &logs.Reader{Schema: engine.Schema(), Visit: func(*event.Event) error { return nil }}
	b.SetBytes(int64(len(text)))
	b.ResetTimer()
	for range b.N {
		if stats, err := r.Read(context.Background(), held{"x", text}); err != nil || stats.Events != 20_000 {
			b.Fatal(stats, err)
		}
	}
}

// BenchmarkMatch is the matcher alone.
func BenchmarkMatch(b *testing.B) {
	files := corpus(5000, 5000, 400)
	engine := allRules(b)
	var events []*event.Event
	r := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
		events = append(events, e.Clone())
		return nil
	}}
	if _, err := r.Read(context.Background(), held{"x", files[0]}); err != nil {
		b.Fatal(err)
	}
	m := engine.Matcher()
	scratch := event.New(engine.Schema())
	b.ResetTimer()
	for i := range b.N {
		e := events[i%len(events)]
		_, _ = scratch.Scan(e.Raw(), 0)
		scratch.Kind = e.Kind
		m.Match(scratch, func(*detect.Rule) {})
	}
}
