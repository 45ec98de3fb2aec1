package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/bartizan-security/bartizan/asl"
)

const counting = `{"StartAt":"Count","States":{
 "Count":{"Type":"Pass","Parameters":{"n.$":"States.MathAdd($.n, -1)"},"Next":"More"},
 "More":{"Type":"Choice","Choices":[{"Variable":"$.n","NumericGreaterThan":0,"Next":"Count"}],"Default":"Done"},
 "Done":{"Type":"Succeed"}}}`

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(context.Background(), filepath.Join(t.TempDir(), "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestRunIsRecordedAndNotRepeated(t *testing.T) {
	s := open(t)
	m, err := asl.Parse([]byte(counting))
	if err != nil {
		t.Fatal(err)
	}
	first, err := asl.Run(context.Background(), m, []byte(`{"n":5}`), asl.Host{History: s})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := s.Executions(context.Background())
	if err != nil || len(ids) != 1 {
		t.Fatalf("executions %v, %v", ids, err)
	}
	loaded, err := s.Load(context.Background(), ids[0])
	if err != nil || len(loaded) != len(first.Events) {
		t.Fatalf("%d events on disk, want %d: %v", len(loaded), len(first.Events), err)
	}
	again, err := asl.Run(context.Background(), m, []byte(`{"n":5}`), asl.Host{History: s})
	if err != nil {
		t.Fatal(err)
	}
	for i := range first.Events {
		if string(first.Events[i].Encode()) != string(again.Events[i].Encode()) {
			t.Errorf("event %d differs: %s, %s", i, first.Events[i].Encode(), again.Events[i].Encode())
		}
	}
	if _, err := asl.Run(context.Background(), m, []byte(`{"n":6}`), asl.Host{History: s}); err == nil {
		t.Error("an execution was resumed with another input")
	}
}

func TestConflictIsRefused(t *testing.T) {
	s := open(t)
	e := []asl.Event{{ID: 1, Type: "ExecutionStarted"}}
	if err := s.Append(context.Background(), "x", 0, e); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(context.Background(), "x", 0, e); !errors.Is(err, asl.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

// remembering performs tasks and remembers what it did, as a service would.
type remembering struct {
	mu    sync.Mutex
	calls map[int64]int
}

func (r *remembering) Invoke(_ context.Context, c *asl.Call) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[c.EventID]++
	return fmt.Appendf(nil, "%q", strings.Repeat("x", 20_000)), nil
}

func (r *remembering) Recover(ctx context.Context, c *asl.Call) ([]byte, bool, error) {
	r.mu.Lock()
	known := r.calls[c.EventID] > 0
	r.mu.Unlock()
	if !known {
		return nil, false, asl.ErrRepeat
	}
	return fmt.Appendf(nil, "%q", strings.Repeat("x", 20_000)), true, nil
}

// When the disk is full the run stops with an error and does nothing that is
// not recorded; with room again it goes on, and repeats nothing.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	s := open(t)
	s.db.SetMaxOpenConns(1)
	if _, err := s.db.Exec(`PRAGMA max_page_count = 30`); err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse([]byte(`{"StartAt":"Each","States":{"Each":{"Type":"Map","MaxConcurrency":1,"End":true,"ItemProcessor":{"StartAt":"T","States":{
		"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","ResultPath":null,"End":true}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	tasks := &remembering{calls: map[int64]int{}}
	host := asl.Host{History: s, Tasks: tasks, Execution: asl.Execution{ID: "full"}}
	input := []byte(`[1,2,3,4,5,6,7,8,9,10]`)
	if _, err = asl.Run(ctx, m, input, host); err == nil || !strings.Contains(err.Error(), "full") {
		t.Fatalf("got %v, want an error that the disk is full", err)
	}
	events, err := s.Load(ctx, "full")
	if err != nil {
		t.Fatal(err)
	}
	scheduled := map[int64]bool{}
	for _, e := range events {
		scheduled[e.ID] = scheduled[e.ID] || e.Type == "TaskScheduled"
	}
	for id := range tasks.calls {
		if !scheduled[id] {
			t.Errorf("the task of event %d was done and is not recorded", id)
		}
	}
	if _, err := s.db.Exec(`PRAGMA max_page_count = 100000`); err != nil {
		t.Fatal(err)
	}
	r, err := asl.Run(ctx, m, input, host)
	if err != nil || r.Status != asl.StatusSucceeded {
		t.Fatalf("%v %+v", err, r)
	}
	if len(tasks.calls) != 10 {
		t.Errorf("%d tasks were done, want 10", len(tasks.calls))
	}
	for id, n := range tasks.calls {
		if n != 1 {
			t.Errorf("the task of event %d was done %d times", id, n)
		}
	}
}

// A place where no file can be is refused when the store is opened.
func TestNoPlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), filepath.Join(file, "history.db")); err == nil {
		t.Error("a file below a file was opened")
	}
}

// A file that another program wrote is refused, not overwritten.
func TestForeignFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.txt")
	text := []byte(strings.Repeat("these are my notes\n", 100))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(context.Background(), file); err == nil {
		s.Close()
		t.Error("a file that is no database was opened")
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}
}

// BenchmarkDurable counts state transitions with every event on disk.
func BenchmarkDurable(b *testing.B) {
	for _, together := range []int{1, 16} {
		b.Run(fmt.Sprintf("%d at once", together), func(b *testing.B) {
			s := open(b)
			m, err := asl.Parse([]byte(counting))
			if err != nil {
				b.Fatal(err)
			}
			const n = 500
			run := 0
			for b.Loop() {
				var wg sync.WaitGroup
				for range together {
					run++
					id := fmt.Sprint("run-", b.N, "-", run, "-", b.Elapsed())
					wg.Go(func() {
						h := asl.Host{History: s, Execution: asl.Execution{ID: id}, DiscardEvents: true}
						if _, err := asl.Run(context.Background(), m, fmt.Appendf(nil, `{"n":%d}`, n), h); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
			b.ReportMetric(float64(run*(2*n+1))/b.Elapsed().Seconds(), "transitions/s")
		})
	}
}

// BenchmarkThousandExecutions holds a thousand executions open at once, each
// waiting, and reports the heap they take.
func BenchmarkThousandExecutions(b *testing.B) {
	m, err := asl.Parse([]byte(`{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"arn:aws:states:::lambda:invoke","End":true}}}`))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s := open(b)
		release := make(chan struct{})
		var entered, all sync.WaitGroup
		entered.Add(1000)
		tasks := asl.TasksFunc(func(context.Context, *asl.Call) ([]byte, error) {
			entered.Done()
			<-release
			return []byte(`{"ok":true}`), nil
		})
		for i := range 1000 {
			all.Go(func() {
				h := asl.Host{History: s, Tasks: tasks, Execution: asl.Execution{ID: fmt.Sprint(i)}}
				if _, err := asl.Run(context.Background(), m, []byte(`{"payload":"`+string(make([]byte, 0))+`"}`), h); err != nil {
					b.Error(err)
				}
			})
		}
		entered.Wait()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		b.ReportMetric(float64(ms.Sys)/(1<<20), "MB")
		close(release)
		all.Wait()
	}
}
