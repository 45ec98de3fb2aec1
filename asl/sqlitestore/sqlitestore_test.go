package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

// What cannot be recorded is not done: the run stops with an error.
func TestReadOnlyDisk(t *testing.T) {
	if os.Geteuid() == 0 {
		// root writes everywhere: take the table away instead
		s := open(t)
		if _, err := s.db.Exec(`PRAGMA query_only = 1; DROP TABLE IF EXISTS nothing`); err != nil {
			t.Log(err)
		}
		s.db.SetMaxOpenConns(1)
		if _, err := s.db.Exec(`DROP TABLE event`); err == nil {
			m, _ := asl.Parse([]byte(counting))
			if _, err := asl.Run(context.Background(), m, []byte(`{"n":1}`), asl.Host{History: s}); err == nil {
				t.Error("a run without a place for its history succeeded")
			}
			return
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), filepath.Join(dir, "file", "history.db")); err == nil {
		t.Error("a file below a file was opened")
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
