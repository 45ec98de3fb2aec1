package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/baseline"
	"github.com/bartizan-security/bartizan/finding/report"
)

// emitBaseline writes a state for people or as it is.
func emitBaseline(a *App, out *outputs, s *baseline.State) error {
	return out.emit(a, func(format string, w io.Writer, _ bool) error {
		if format == "json" {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			return enc.Encode(s)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%d events of %d principals over %d days, %s to %s\n\n", s.Events, len(s.Principals), s.Days(), s.Since.UTC().Format("2006-01-02"), s.Until.UTC().Format("2006-01-02"))
		fmt.Fprintf(&b, "%8s %5s %5s %7s %8s %6s  %s\n", "events", "days", "calls", "regions", "networks", "agents", "principal")
		names := make([]string, 0, len(s.Principals))
		for n := range s.Principals {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			p := s.Principals[n]
			fmt.Fprintf(&b, "%8d %5d %5d %7d %8d %6d  %s\n", p.Events, p.Known(), len(p.Calls), len(p.Regions), len(p.Networks), len(p.Agents), report.Plain(n))
		}
		_, err := io.WriteString(w, b.String())
		return err
	})
}
