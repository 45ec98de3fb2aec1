package report

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/finding"
)

// junitWriter writes JUnit XML: a suite per pillar and one for detections, a
// case per finding. Unknown is an error and muted is skipped; a rule of which no
// case is shown has one case that says how many passed.
//
// The counts come first in the file, so the cases are kept until Close.
type junitWriter struct {
	w      *bufio.Writer
	run    Run
	all    bool
	suites map[finding.Pillar]*junitSuite
}

type junitSuite struct {
	cases                          bytes.Buffer
	tests, failures, errs, skipped int
	rules                          map[string]bool
}

const junitDetections finding.Pillar = "detections"

func newJUnit(w io.Writer, run Run, o Options) Writer {
	return &junitWriter{bufio.NewWriter(w), run, o.All, map[finding.Pillar]*junitSuite{}}
}

func (j *junitWriter) suite(p finding.Pillar) *junitSuite {
	if j.suites[p] == nil {
		j.suites[p] = &junitSuite{rules: map[string]bool{}}
	}
	return j.suites[p]
}

func (j *junitWriter) Write(f *finding.Finding) error {
	name := cmp.Or(f.Pillar, "other")
	if f.IsDetection() {
		name = junitDetections
	}
	s := j.suite(name)
	s.rules[f.RuleID] = true
	s.tests++
	label := strings.TrimSpace(f.Title + " — " + strings.TrimSpace(resourceName(&f.Resource)+" "+place(&f.Resource)))
	var body strings.Builder
	for _, line := range []string{why(f), f.Resource.ARN, stamp(f.Time), f.Actor} {
		if line != "" {
			body.WriteString(Plain(line) + "\n")
		}
	}
	for _, e := range f.Evidence {
		body.WriteString(Plain(evidenceText(e, 4<<10)) + "\n")
	}
	if f.Fix != nil && f.Fix.Text != "" {
		body.WriteString("Fix: " + Lines(f.Fix.Text) + "\n")
	}
	body.WriteString("Fingerprint: " + Plain(f.Fingerprint) + "\n")
	open := fmt.Sprintf("    <testcase name=\"%s\" classname=\"%s\" time=\"0\"", xmlText(label), xmlText(string(name)+"."+f.RuleID))
	message := xmlText(cmp.Or(why(f), f.Title))
	switch f.Status {
	case finding.StatusPass:
		fmt.Fprintf(&s.cases, "%s/>\n", open)
	case finding.StatusFail:
		s.failures++
		fmt.Fprintf(&s.cases, "%s>\n      <failure message=\"%s\" type=\"%s\">%s</failure>\n    </testcase>\n", open, message, xmlText(string(f.Severity)), xmlLines(body.String()))
	case finding.StatusMuted:
		s.skipped++
		fmt.Fprintf(&s.cases, "%s>\n      <skipped message=\"%s\"/>\n    </testcase>\n", open, message)
	default:
		s.errs++
		fmt.Fprintf(&s.cases, "%s>\n      <error message=\"%s\" type=\"unknown\">%s</error>\n    </testcase>\n", open, message, xmlLines(body.String()))
	}
	return nil
}

func (j *junitWriter) Close(r *Result) error {
	for _, rule := range r.Summary.Rules {
		if j.all || rule.Pass == 0 {
			continue
		}
		name := cmp.Or(rule.Pillar, "other")
		if rule.Detection {
			name = junitDetections
		}
		s := j.suite(name)
		s.tests++
		fmt.Fprintf(&s.cases, "    <testcase name=\"%s\" classname=\"%s\" time=\"0\"/>\n",
			xmlText(fmt.Sprintf("%s — %d %s", rule.Title, rule.Pass, plural(rule.Pass, "resource passes", "resources pass"))), xmlText(string(name)+"."+rule.ID))
	}
	for _, g := range groupGaps(r.Gaps) {
		s := j.suite("not read")
		s.tests++
		s.errs++
		fmt.Fprintf(&s.cases, "    <testcase name=\"%s\" classname=\"collect\" time=\"0\">\n      <error message=\"%s\" type=\"not read\"/>\n    </testcase>\n", xmlText(g.Operation), xmlText(gapText(g)))
	}
	for _, text := range r.Incomplete {
		s := j.suite("not read")
		s.tests++
		s.errs++
		fmt.Fprintf(&s.cases, "    <testcase name=\"%s\" classname=\"input\" time=\"0\">\n      <error message=\"%[1]s\" type=\"not read\"/>\n    </testcase>\n", xmlText(text))
	}
	fmt.Fprint(j.w, xml.Header, "<testsuites>\n") // the Writer keeps its error for Flush
	names := make([]finding.Pillar, 0, len(j.suites))
	names = append(names, junitDetections)
	names = append(names, finding.Pillars()...)
	for _, p := range slices.Sorted(maps.Keys(j.suites)) {
		if !slices.Contains(names, p) {
			names = append(names, p)
		}
	}
	id := 0
	for _, p := range names {
		s := j.suites[p]
		if s == nil {
			continue
		}
		fmt.Fprintf(j.w, "  <testsuite name=\"%s\" package=\"bartizan.%s\" id=\"%d\" timestamp=\"%s\" hostname=\"localhost\" tests=\"%d\" failures=\"%d\" errors=\"%d\" skipped=\"%d\" time=\"0\">\n",
			xmlText(string(p)), xmlText(j.run.Command), id, j.run.Time.Format("2006-01-02T15:04:05"), s.tests, s.failures, s.errs, s.skipped)
		id++
		fmt.Fprintf(j.w, "    <properties>\n      <property name=\"source\" value=\"%s\"/>\n      <property name=\"version\" value=\"%s\"/>\n    </properties>\n", xmlText(cmp.Or(j.run.Source, "-")), xmlText(cmp.Or(j.run.Version, "-")))
		if _, err := j.w.Write(s.cases.Bytes()); err != nil {
			return err
		}
		fmt.Fprint(j.w, "    <system-out></system-out>\n    <system-err></system-err>\n  </testsuite>\n")
	}
	fmt.Fprint(j.w, "</testsuites>\n")
	return j.w.Flush()
}

// xmlText makes s safe in an attribute, on one line.
func xmlText(s string) string { return xmlLines(Plain(s)) }

// xmlLines escapes s, which Plain or Lines has seen, for text.
func xmlLines(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return strings.ReplaceAll(b.String(), "&#xA;", "\n")
}
