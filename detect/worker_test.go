package detect

import (
	"context"
	"hash/maphash"
	"os"
	"reflect"
	"testing"

	"github.com/bartizan-security/bartizan/catalog"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// What a worker remembers of former events saves work and changes nothing: a worker
// that has seen a log twice makes the same findings and observations of an event as
// one that sees it first.
func TestRememberingChangesNothing(t *testing.T) {
	pack, err := LoadRules(catalog.Detections, "detections", "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := LoadRules(os.DirFS(thirdparty.Path(t, "sigma-aws")), ".", "sigma-aws")
	if err != nil {
		t.Fatal(err)
	}
	engine, err := sigma.Compile(append(pack, public...), sigma.Options{Fields: Fields()})
	if err != nil {
		t.Fatal(err)
	}
	sources, err := logs.Files(thirdparty.Path(t, "cloudtrail/invictus"))
	if err != nil {
		t.Fatal(err)
	}
	seed := maphash.MakeSeed()
	old := newWorker(engine, Options{}, seed)
	hits, known := 0, 0
	compare := func(e *event.Event) error {
		old.batch = nil
		if err := old.event(e); err != nil {
			return err
		}
		if old.matcher.Context() != nil {
			known++
		}
		e = e.Clone() // as it was before anybody asked for a field
		fresh := newWorker(engine, Options{}, seed)
		if err := fresh.event(e); err != nil {
			return err
		}
		if len(old.batch) != len(fresh.batch) {
			t.Fatalf("%s: %d hits, alone %d", e.Ref(), len(old.batch), len(fresh.batch))
		}
		for i := range fresh.batch {
			hits++
			got, want := &old.batch[i], &fresh.batch[i]
			if !reflect.DeepEqual(got.observations, want.observations) || got.id != want.id || len(got.matches) != len(want.matches) {
				t.Fatalf("%s: %+v\nalone %+v", e.Ref(), got, want)
			}
			for k := range want.matches {
				if g, w := got.matches[k], want.matches[k]; g.Rule != w.Rule || g.Source != w.Source || !reflect.DeepEqual(g.Finding, w.Finding) {
					t.Fatalf("%s: %+v\nalone %+v", e.Ref(), g.Finding, w.Finding)
				}
			}
		}
		return nil
	}
	reader := &logs.Reader{Schema: engine.Schema(), Visit: compare}
	for range 3 {
		for _, s := range sources {
			if stats, err := reader.Read(context.Background(), s); err != nil || stats.Malformed > 0 {
				t.Fatal(stats, err)
			}
		}
	}
	if hits < 1000 || known < 1000 {
		t.Fatalf("%d hits, %d events whose context was known: the test compares little", hits, known)
	}
}
