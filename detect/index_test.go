package detect_test

import (
	"context"
	"slices"
	"testing"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// TestIndexedEqualsPlain: what the matcher finds through its indexes and caches is
// what trying every rule finds.
func TestIndexedEqualsPlain(t *testing.T) {
	engine := allRules(t)
	indexed, plain := engine.Matcher(), engine.Matcher()
	events, matches, step := 0, 0, 1
	if testing.Short() {
		step = 8
		t.Log("LEFT OUT by -short: the comparison of seven events in eight, and 26,250 generated ones")
	}
	r := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
		events++
		var got, want []string
		indexed.Match(e, func(r *detect.Rule) { got = append(got, r.Key()) })
		if events%step != 0 {
			return nil
		}
		for _, r := range engine.Rules() {
			if r.IsDetection() && slices.Contains(r.Kinds(), e.Kind) && plain.Matches(r, e) {
				want = append(want, r.Key())
			}
		}
		matches += len(want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s@%d: %v, want %v", e.File, e.Offset, got, want)
		}
		return nil
	}}
	for _, dir := range []string{"cloudtrail/invictus", "cloudtrail/stratus", "cloudtrail/traildiscover.jsonl.gz"} {
		sources, err := logs.Files(thirdparty.Path(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range slices.Repeat(sources, 3) { // once more when all is known, and with what that leaves
			if _, err := r.Read(context.Background(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range append(corpus(3000, 1000, 0), corpus(30_000/step, 1000, 50)...) {
		if _, err := r.Read(context.Background(), held{"generated", f}); err != nil {
			t.Fatal(err)
		}
	}
	if events < 9000 || matches < 1000/step {
		t.Errorf("%d events, %d matches: too few to mean much", events, matches)
	}
}
