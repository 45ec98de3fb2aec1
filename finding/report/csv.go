package report

import (
	"encoding/csv"
	"io"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/finding"
)

// csvWriter writes one line per finding. Every cell is safe to open in a
// spreadsheet. Lists within a cell are separated by "; ".
type csvWriter struct{ w *csv.Writer }

var csvHeader = []string{
	"status", "severity", "pillar", "rule", "title", "account", "region", "resource_type", "resource_id", "arn", "tags",
	"reason", "evidence", "change", "time", "actor", "techniques", "event_ids", "frameworks", "fix",
	"mute_reason", "mute_owner", "mute_expires", "fingerprint",
}

func newCSV(w io.Writer, _ Run, _ Options) Writer {
	c := &csvWriter{csv.NewWriter(w)}
	_ = c.w.Write(csvHeader) // csv.Writer keeps the error for Error
	return c
}

func (c *csvWriter) Write(f *finding.Finding) error {
	const most = 8 << 10 // a spreadsheet's cell holds 32,767 characters
	var evidence []string
	for _, e := range f.Evidence {
		evidence = append(evidence, evidenceText(e, most))
	}
	var fix, reason, owner, expires, when string
	if f.Fix != nil {
		fix = f.Fix.Text
	}
	if f.Mute != nil {
		reason, owner, expires = f.Mute.Reason, f.Mute.Owner, lastDay(f.Mute)
	}
	when = stamp(f.Time)
	r := &f.Resource
	row := []string{
		string(f.Status), string(f.Severity), string(f.Pillar), f.RuleID, f.Title, r.Account, r.Region, r.Type, r.ID, r.ARN, joinTags(r.Tags),
		f.Reason, strings.Join(evidence, "; "), string(f.Change), when, f.Actor, strings.Join(f.Techniques, "; "), strings.Join(f.EventIDs, "; "),
		strings.Join(frameworkIDs(f.Frameworks), "; "), fix, reason, owner, expires, f.Fingerprint,
	}
	for i, s := range row {
		row[i] = Cell(s)
	}
	return c.w.Write(row)
}

func (c *csvWriter) Close(*Result) error {
	c.w.Flush()
	return c.w.Error()
}

func joinTags(tags map[string]string) string {
	out := make([]string, 0, len(tags))
	for k, v := range tags {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, "; ")
}

// frameworkIDs lists "framework id", sorted.
func frameworkIDs(frameworks map[string][]string) []string {
	var out []string
	for name, ids := range frameworks {
		for _, id := range ids {
			out = append(out, name+" "+id)
		}
	}
	slices.Sort(out)
	return out
}
