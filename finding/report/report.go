// Package report writes findings in every output format, one finding at a time.
//
// New returns a Writer for a format; Run says what was looked at, Result what it
// came to. Plain, Lines and Cell make hostile text harmless.
//
// # Caveats
//
// The formats json, jsonl, csv, sarif, ocsf, asff and html write findings in the
// order in which they come, in bounded memory; table and markdown sort them and
// show a limited number per rule; junit keeps what it wrote until it ends. The
// same findings in the same order give the same bytes: no writer reads a clock.
package report

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// Run says what was looked at, by what and when.
type Run struct {
	Tool    string    `json:"tool"`            // bartizan
	Version string    `json:"version"`         // the tool's version
	Command string    `json:"command"`         // scan, detect, iam escalations
	Time    time.Time `json:"time"`            // when the report was made
	Source  string    `json:"source"`          // a file, or aws:ACCOUNT for live AWS
	Scope   []string  `json:"scope,omitempty"` // accounts, regions, log files
}

// Result is what is known when the last finding has been written.
type Result struct {
	Summary finding.Summary `json:"summary"`
	Gaps    []estate.Gap    `json:"gaps"` // what could not be read

	// Incomplete lists other reasons why the report does not say everything:
	// an unreadable log file, an interrupted run.
	Incomplete []string `json:"incomplete,omitempty"`

	// Warnings are those of the mute file.
	Warnings []string `json:"warnings,omitempty"`

	// Incidents join detections, worst first; the formats table, json, markdown,
	// html and ocsf write them. Alone is the detections that belong to none,
	// which the table then shows in place of all of them.
	Incidents []*finding.Incident `json:"-"`
	Alone     []Alone             `json:"-"`
}

// Options are for the formats that people read.
type Options struct {
	Color bool
	Width int  // columns of a table; 0 is 80
	All   bool // passed findings are shown as well, so they are handed to Write
}

// Writer writes one report. Write is called for every finding that is to be
// shown, Close once at the end; it writes what remains but closes no file.
type Writer interface {
	Write(*finding.Finding) error
	Close(*Result) error
}

type newWriter func(w io.Writer, run Run, o Options) Writer

// writers is every format, in the order in which help shows them.
var writers = []struct {
	name string
	make newWriter
}{
	{"table", newTable},
	{"json", newJSON},
	{"jsonl", newJSONL},
	{"csv", newCSV},
	{"markdown", newMarkdown},
	{"html", newHTML},
	{"sarif", newSARIF},
	{"ocsf", newOCSF},
	{"asff", newASFF},
	{"junit", newJUnit},
}

// Formats lists the names of the formats; the first is for a terminal.
func Formats() []string {
	var out []string
	for _, f := range writers {
		out = append(out, f.name)
	}
	return out
}

// New returns a Writer of the format to w.
func New(format string, w io.Writer, run Run, o Options) (Writer, error) {
	i := slices.IndexFunc(writers, func(f struct {
		name string
		make newWriter
	}) bool {
		return f.name == format
	})
	if i < 0 {
		return nil, fmt.Errorf("write report: unknown format %q", format)
	}
	run.Time = run.Time.UTC().Truncate(time.Second)
	if o.Width <= 0 {
		o.Width = 80
	}
	o.Width = min(max(o.Width, 40), 200)
	return writers[i].make(w, run, o), nil
}
