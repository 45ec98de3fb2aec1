package cli

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/bartizan-security/bartizan/identity/lint"
)

// The parts of SARIF 2.1.0 that a lint report needs.
// https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
type (
	lintSARIF struct {
		Schema  string         `json:"$schema"`
		Version string         `json:"version"`
		Runs    []lintSARIFRun `json:"runs"`
	}
	lintSARIFRun struct {
		Tool struct {
			Driver lintSARIFDriver `json:"driver"`
		} `json:"tool"`
		ColumnKind string            `json:"columnKind"`
		Results    []lintSARIFResult `json:"results"`
	}
	lintSARIFDriver struct {
		Name    string          `json:"name"`
		Version string          `json:"version"`
		Rules   []lintSARIFRule `json:"rules"`
	}
	lintSARIFText struct {
		Text string `json:"text"`
	}
	lintSARIFRule struct {
		ID               string        `json:"id"`
		ShortDescription lintSARIFText `json:"shortDescription"`
	}
	lintSARIFResult struct {
		RuleID    string              `json:"ruleId"`
		Level     string              `json:"level"`
		Message   lintSARIFText       `json:"message"`
		Locations []lintSARIFLocation `json:"locations"`
	}
	lintSARIFLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
			Region struct {
				StartLine   int `json:"startLine"`
				StartColumn int `json:"startColumn"`
			} `json:"region"`
		} `json:"physicalLocation"`
	}
)

// lintLevels are SARIF's levels by type of finding.
var lintLevels = map[lint.Type]string{lint.Error: "error", lint.SecurityWarning: "error", lint.Warning: "warning", lint.Suggestion: "note"}

func writeLintSARIF(w io.Writer, found []lintFinding) error {
	run := lintSARIFRun{ColumnKind: "unicodeCodePoints", Results: []lintSARIFResult{}}
	run.Tool.Driver = lintSARIFDriver{Name: "bartizan iam lint", Version: version(), Rules: []lintSARIFRule{}}
	used := map[string]bool{}
	for _, f := range found {
		used[f.Code] = true
		r := lintSARIFResult{RuleID: f.Code, Level: lintLevels[f.Type], Message: lintSARIFText{f.Message}}
		var l lintSARIFLocation
		l.Physical.Artifact.URI = lintURI(f.File)
		l.Physical.Region.StartLine, l.Physical.Region.StartColumn = f.Line, f.Column
		r.Locations = []lintSARIFLocation{l}
		run.Results = append(run.Results, r)
	}
	for _, c := range lint.Checks() {
		if used[c.Code] {
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, lintSARIFRule{c.Code, lintSARIFText{c.When}})
		}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(lintSARIF{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []lintSARIFRun{run}})
}

func lintURI(file string) string {
	if file == "-" {
		return "stdin"
	}
	u := url.URL{Path: filepath.ToSlash(file)}
	return strings.TrimPrefix(u.String(), "./")
}
