// Command benchmarks runs the benchmarks that stand behind the numbers of
// docs/benchmarks.md and writes that page: what was asked, what was measured,
// on which machine and when.
//
// Usage: go run ./internal/gen/benchmarks [-o docs/benchmarks.md] [-only WORD]
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// goal is one number that the product promises.
type goal struct {
	topic  string
	what   string
	pkg    string
	bench  string // pattern of go test -bench
	row    string // prefix of the benchmark's own line, without Benchmark
	metric string // unit as the benchmark reports it
	want   string // in words
	limit  float64
	atMost bool
	scale  func(float64) float64 // from the benchmark's unit to the goal's
	unit   string
	time   string // -benchtime
}

func nsToRate(ns float64) float64 { return 1e9 / ns }

func nsToMS(ns float64) float64 { return ns / 1e6 }

func nsToUS(ns float64) float64 { return ns / 1e3 }

var goals = []goal{
	{topic: "scan", what: "scanning 100,000 resources with all controls, one core", pkg: "./catalog", bench: "Scan", row: "Scan/100-accounts", metric: "resources/s", want: "20,000 resources/s or more", limit: 20_000, unit: "resources/s", time: "2x"},
	{topic: "scan", what: "live heap of that scan", pkg: "./catalog", bench: "Scan", row: "Scan/100-accounts", metric: "MB-heap", want: "under 300 MB", limit: 300, atMost: true, unit: "MB", time: "2x"},
	{topic: "snapshot", what: "reading a snapshot", pkg: "./estate", bench: "Read$", row: "Read", metric: "resources/s", unit: "resources/s", time: "2x"},
	{topic: "snapshot", what: "writing a snapshot", pkg: "./estate", bench: "Write$", row: "Write", metric: "resources/s", unit: "resources/s", time: "2x"},
	{topic: "snapshot", what: "live heap while streaming 100 accounts", pkg: "./estate", bench: "StreamAccounts", row: "StreamAccounts/100", metric: "MB-live", unit: "MB", time: "1x"},
	{topic: "snapshot", what: "live heap while streaming 1,000 accounts", pkg: "./estate", bench: "StreamAccounts", row: "StreamAccounts/1000", metric: "MB-live", want: "no more than for 100", limit: 20, atMost: true, unit: "MB", time: "1x"},
	{topic: "awsapi", what: "opening the models of all services", pkg: "./awsapi", bench: "OpenCatalogue", row: "OpenCatalogue", metric: "ns/op", scale: nsToMS, unit: "ms", time: "20x"},
	{topic: "awsapi", what: "decoding DescribeInstances (ec2 XML)", pkg: "./awsapi", bench: "DecodeInstances", row: "DecodeInstances", metric: "MB/s", unit: "MB/s", time: "20x"},
	{topic: "identity", what: "decisions for a principal with ten ordinary policies, one core", pkg: "./identity", bench: "Evaluate$", row: "Evaluate/mixed", metric: "ns/op", want: "1,000,000 a second", limit: 1e6, scale: nsToRate, unit: "decisions/s", time: "2s"},
	{topic: "identity", what: "allocations per decision", pkg: "./identity", bench: "Evaluate$", row: "Evaluate/mixed", metric: "allocs/op", want: "none beyond the decision", limit: 1, atMost: true, unit: "allocations", time: "2s"},
	{topic: "identity", what: "who-can over 100,000 principals in 1,000 accounts", pkg: "./identity/inventory", bench: "WhoCan100000", row: "WhoCan100000", metric: "ns/op", want: "under a second", limit: 1000, atMost: true, scale: nsToMS, unit: "ms", time: "3x"},
	{topic: "identity", what: "comparing two ordinary policies, 99th percentile", pkg: "./identity/prove", bench: "Compare", row: "Compare", metric: "p99-ms", want: "under 10 ms", limit: 10, atMost: true, unit: "ms", time: "2s"},
	{topic: "identity", what: "escalation paths and the smallest cut, 10,000 principals in 20 accounts", pkg: "./identity/paths", bench: "Find$", row: "Find/accounts=20/cut=true", metric: "ns/op", want: "under 5 s", limit: 5000, atMost: true, scale: nsToMS, unit: "ms", time: "1x"},
	{topic: "identity", what: "the same where nearly everyone can become everyone, without the cut", pkg: "./identity/paths", bench: "FindCrowd", row: "FindCrowd/principals=10000/cut=false", metric: "ns/op", scale: nsToMS, unit: "ms", time: "1x"},
	{topic: "detect", what: "recorded events, 101,500 in one object, all rules, one core", pkg: "./detect", bench: "Detect", row: "Detect/recorded/1-core", metric: "events/cpu-s", want: "250,000 events/s", limit: 250_000, unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the same, the fastest of 20 passes", pkg: "./detect", bench: "Detect", row: "Detect/recorded/1-core", metric: "fastest-events/cpu-s", want: "250,000 events/s", limit: 250_000, unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the same, decompressed bytes", pkg: "./detect", bench: "Detect", row: "Detect/recorded/1-core", metric: "MB/s", unit: "MB/s", time: "20x"},
	{topic: "detect", what: "the limit: gunzip alone of the same bytes", pkg: "./detect", bench: "Detect", row: "Detect/recorded/1-core", metric: "gunzip-events/cpu-s", unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the same, CPU time against gunzip alone", pkg: "./detect", bench: "Detect", row: "Detect/recorded/1-core", metric: "x-gunzip-cpu", unit: "times gunzip", time: "20x"},
	{topic: "detect", what: "the same object, two cores", pkg: "./detect", bench: "Detect", row: "Detect/recorded/2-core", metric: "events/s", unit: "events/s", time: "20x"},
	{topic: "detect", what: "the 55 small objects of that intrusion, one core", pkg: "./detect", bench: "Detect", row: "Detect/invictus/1-core", metric: "events/cpu-s", want: "250,000 events/s", limit: 250_000, unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "generated events of 400 callers, more than half of which a public rule matches, one core", pkg: "./detect", bench: "Detect", row: "Detect/generated/1-core", metric: "events/cpu-s", want: "250,000 events/s", limit: 250_000, unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the same, the fastest of 20 passes", pkg: "./detect", bench: "Detect", row: "Detect/generated/1-core", metric: "fastest-events/cpu-s", unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the limit: gunzip alone of the same bytes", pkg: "./detect", bench: "Detect", row: "Detect/generated/1-core", metric: "gunzip-events/cpu-s", unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "the same, CPU time against gunzip alone", pkg: "./detect", bench: "Detect", row: "Detect/generated/1-core", metric: "x-gunzip-cpu", unit: "times gunzip", time: "20x"},
	{topic: "detect", what: "the same, each event by another caller", pkg: "./detect", bench: "Detect", row: "Detect/crowd/1-core", metric: "events/cpu-s", unit: "events per CPU second", time: "20x"},
	{topic: "detect", what: "generated events, two cores", pkg: "./detect", bench: "Detect", row: "Detect/generated/2-core", metric: "events/s", unit: "events/s", time: "20x"},
	{topic: "detect", what: "`bartizan detect` over 600,000 of those in 200 objects, with incidents, one core", pkg: "./detect", bench: "Command", row: "Command/1-core", metric: "events/s", unit: "events/s", time: "1x"},
	{topic: "detect", what: "the same, two cores", pkg: "./detect", bench: "Command", row: "Command/2-core", metric: "events/s", unit: "events/s", time: "1x"},
	{topic: "detect", what: "the same, most memory ever held (resident)", pkg: "./detect", bench: "Command", row: "Command/2-core", metric: "peak-RSS-MB", want: "under 256 MB", limit: 256, atMost: true, unit: "MB", time: "1x"},
	{topic: "asl", what: "state transitions in memory, one core", pkg: "./asl", bench: "Transitions", row: "Transitions", metric: "transitions/s", want: "100,000 a second", limit: 100_000, unit: "transitions/s", time: "1s"},
	{topic: "asl", what: "durable state transitions", pkg: "./asl/sqlitestore", bench: "Durable", row: "Durable/1_at_once", metric: "transitions/s", want: "5,000 a second", limit: 5000, unit: "transitions/s", time: "1s"},
	{topic: "asl", what: "1,000 executions at once", pkg: "./asl/sqlitestore", bench: "ThousandExecutions", row: "ThousandExecutions", metric: "MB", want: "under 500 MB", limit: 500, atMost: true, unit: "MB", time: "1x"},
	{topic: "asl", what: "a compiled JSONata expression of a playbook", pkg: "./asl/jsonata", bench: "Eval", row: "Eval/$states.input.count_>_2", metric: "ns/op", want: "under 100 µs", limit: 100, atMost: true, scale: nsToUS, unit: "µs", time: "1s"},
	{topic: "asl", what: "a compiled JSONata expression with a function of its own", pkg: "./asl/jsonata", bench: "Eval", row: "Eval/$map(", metric: "ns/op", want: "under 100 µs", limit: 100, atMost: true, scale: nsToUS, unit: "µs", time: "1s"},
	{topic: "reports", what: "findings as json", pkg: "./finding/report", bench: "Write", row: "Write/json", metric: "findings/s", unit: "findings/s", time: "1x"},
	{topic: "reports", what: "findings as html", pkg: "./finding/report", bench: "Write", row: "Write/html", metric: "findings/s", unit: "findings/s", time: "1x"},
}

// line is one result line of go test -bench.
var line = regexp.MustCompile(`^Benchmark(\S+?)(-\d+)?\s+\d+\s+(.*)$`)

func main() {
	out := flag.String("o", "docs/benchmarks.md", "file to write")
	only := flag.String("only", "", "only goals of this topic")
	flag.Parse()
	if err := run(*out, *only); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out, only string) error {
	var page bytes.Buffer
	fmt.Fprintf(&page, "# Benchmarks\n\nWritten by `make bench` on %s: %s, %d cores, %s, %s/%s, load average %s before the run.\nGoals are those of the product; a row without one is there to compare with.\n\n",
		time.Now().UTC().Format("2 January 2006"), cpu(), runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, load())
	page.WriteString("| area | what | goal | measured | |\n|---|---|---|---|---|\n")
	start, err := startUp()
	if err != nil {
		return err
	}
	row(&page, goal{topic: "program", what: "`bartizan --version`, best of 20 starts", want: "under 50 ms", limit: 50, atMost: true, unit: "ms"}, start)
	results := map[string]map[string]map[string]float64{}
	var missing []string
	for _, g := range goals {
		if only != "" && g.topic != only {
			continue
		}
		key := g.pkg + " " + g.bench + " " + g.time
		if results[key] == nil {
			fmt.Fprintf(os.Stderr, "%s: %s\n", g.pkg, g.bench)
			r, err := bench(g)
			if err != nil {
				return err
			}
			results[key] = r
		}
		found := false
		for name, metrics := range results[key] {
			if v, ok := metrics[g.metric]; ok && (name == g.row || strings.HasPrefix(name, g.row) && !strings.HasPrefix(name, g.row+"0")) {
				if g.scale != nil {
					v = g.scale(v)
				}
				row(&page, g, v)
				found = true
				break
			}
		}
		if !found {
			missing = append(missing, g.what)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("no result for: %s", strings.Join(missing, "; "))
	}
	page.WriteString("\nThe limit of detection is gunzip: the row \"CPU time against gunzip alone\" compares with\ndecompressing the same bytes: the two take turns. Memory is live heap or the peak of the\nprocess, as the benchmark's name says. Nothing here is asserted by a test.\nOn a machine that is shared with others the absolute numbers of two runs can differ by\na third; the ratios within a run say more.\n")
	return os.WriteFile(out, page.Bytes(), 0o644)
}

func row(w *bytes.Buffer, g goal, v float64) {
	verdict := ""
	if g.want != "" {
		verdict = "met"
		if g.atMost && v > g.limit || !g.atMost && v < g.limit {
			verdict = "**missed**"
		}
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s %s | %s |\n", g.topic, g.what, g.want, number(v), g.unit, verdict)
	fmt.Fprintf(os.Stderr, "  %s: %s %s %s\n", g.what, number(v), g.unit, verdict)
}

// number prints three or more significant digits with thousands separated.
func number(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bench runs one benchmark and returns its metrics by row.
func bench(g goal) (map[string]map[string]float64, error) {
	cmd := exec.Command("go", "test", g.pkg, "-run", "^$", "-bench", g.bench, "-benchtime", g.time, "-benchmem", "-timeout", "20m")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("benchmark %s in %s: %w\n%s%s", g.bench, g.pkg, err, text, stderr.String())
	}
	rows := map[string]map[string]float64{}
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		metrics := map[string]float64{}
		fields := strings.Fields(m[3])
		for i := 0; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				metrics[fields[i+1]] = v
			}
		}
		rows[m[1]] = metrics
	}
	return rows, s.Err()
}

// startUp returns the shortest of 20 starts of the program, in milliseconds.
func startUp() (float64, error) {
	dir, err := os.MkdirTemp("", "bartizan-bench-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	bin := dir + "/bartizan"
	if text, err := exec.Command("go", "build", "-o", bin, "./cmd/bartizan").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build: %w\n%s", err, text)
	}
	best := time.Hour
	for range 20 {
		begin := time.Now()
		if err := exec.Command(bin, "--version").Run(); err != nil {
			return 0, fmt.Errorf("start: %w", err)
		}
		best = min(best, time.Since(begin))
	}
	return float64(best.Microseconds()) / 1000, nil
}

func cpu() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	for _, l := range strings.Split(string(data), "\n") {
		if name, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "unknown processor"
}

func load() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(data), " ")
	return one
}
