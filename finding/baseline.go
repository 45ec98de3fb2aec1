package finding

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Change says how a finding stands against an earlier report.
type Change string

// The changes. A failure is new if the earlier report did not show it failing,
// so an expired mute makes it new again.
const (
	ChangeNew       Change = "new"
	ChangeUnchanged Change = "unchanged"
	ChangeFixed     Change = "fixed" // failed before and passes now
	ChangeGone      Change = "gone"  // failed before and is not reported now: deleted, or not looked at
)

// BaselineCount is how a report compares with its baseline.
type BaselineCount struct {
	New       int   `json:"new"`
	Unchanged int   `json:"unchanged"`
	Fixed     []Old `json:"fixed"`
	Gone      []Old `json:"gone"`
}

// Old is a failure of the earlier report.
type Old struct {
	Fingerprint string   `json:"fingerprint"`
	RuleID      string   `json:"ruleId"`
	Title       string   `json:"title"`
	Severity    Severity `json:"severity"`
	Resource    string   `json:"resource"` // ARN or id
}

// Baseline is the failures of an earlier report. Its memory grows with the
// number of those failures. It is not safe for concurrent use.
type Baseline struct {
	old   map[string]Old
	seen  map[string]Status
	fresh int
	same  int
}

// ReadBaseline reads an earlier report in the json or jsonl format.
func ReadBaseline(r io.Reader) (*Baseline, error) {
	b := &Baseline{old: map[string]Old{}, seen: map[string]Status{}}
	err := Read(r, func(f *Finding) error {
		if f.Status != StatusFail {
			return nil
		}
		if f.Fingerprint == "" {
			return fmt.Errorf("a finding of %q has no fingerprint", f.RuleID)
		}
		b.old[f.Fingerprint] = Old{f.Fingerprint, f.RuleID, f.Title, f.Severity, cmp.Or(f.Resource.ARN, f.Resource.ID)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	return b, nil
}

// Mark sets f.Change where f fails, and remembers what became of old failures.
func (b *Baseline) Mark(f *Finding) {
	_, known := b.old[f.Fingerprint]
	if known {
		b.seen[f.Fingerprint] = f.Status
	}
	if f.Status != StatusFail {
		return
	}
	if known {
		f.Change = ChangeUnchanged
		b.same++
	} else {
		f.Change = ChangeNew
		b.fresh++
	}
}

// Result compares the findings marked so far with the earlier report. A failure
// that is now muted or unknown is neither fixed nor gone.
func (b *Baseline) Result() *BaselineCount {
	c := &BaselineCount{New: b.fresh, Unchanged: b.same, Fixed: []Old{}, Gone: []Old{}}
	for fp, o := range b.old {
		switch status, ok := b.seen[fp]; {
		case !ok:
			c.Gone = append(c.Gone, o)
		case status == StatusPass:
			c.Fixed = append(c.Fixed, o)
		}
	}
	for _, list := range [][]Old{c.Fixed, c.Gone} {
		slices.SortFunc(list, func(a, b Old) int {
			return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), cmp.Compare(a.RuleID, b.RuleID),
				cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Fingerprint, b.Fingerprint))
		})
	}
	return c
}
