package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/estate"
)

func newDiffCommand(a *App) *cobra.Command {
	var types []string
	var failOnChange bool
	f := &estateFlags{}
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what changed from one estate to another",
		Long: `diff compares two estates: resources that were added, removed or changed, and in
those the values. Parts that either estate could not read are not compared.`,
		Example: `  bartizan diff monday.jsonl.zst today.jsonl.zst
  bartizan diff monday.jsonl.zst today.jsonl.zst --types 'AWS::IAM::*' -o json
  bartizan diff monday.jsonl.zst today.jsonl.zst --exit-code`,
		Args: cobra.ExactArgs(2),
	}
	out := addOutputFlag(c, "table", "json")
	c.Flags().StringSliceVar(&types, "types", nil, "resource types to compare, such as AWS::IAM::* (default all)")
	c.Flags().BoolVar(&failOnChange, "exit-code", false, "exit with 1 if anything changed")
	c.Flags().StringVar(&f.account, "account", "", "account `ID` of files that do not say it")
	c.Flags().StringVar(&f.region, "region", "", "region of files that do not say it")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		before, err := f.open(c.Context(), a, args[0])
		if err != nil {
			return err
		}
		defer before.Close()
		after, err := f.open(c.Context(), a, args[1])
		if err != nil {
			return err
		}
		defer after.Close()
		d, err := estate.Diff(before, after)
		if err != nil {
			return err
		}
		d.Filter(func(r *estate.Resource) bool { return typeMatches(types, r.Type) })
		err = out.emit(a, func(format string, w io.Writer, _ bool) error {
			if format == "json" {
				return writeDiffJSON(w, d)
			}
			return writeDiffTable(w, d)
		})
		if err == nil && failOnChange && !d.IsEmpty() {
			return errFindings
		}
		return err
	}
	return c
}

// typeMatches reports whether a type is one of the names, which may end in *.
func typeMatches(names []string, typ string) bool {
	for _, n := range names {
		stem, wild := strings.CutSuffix(n, "*")
		if n == typ || wild && strings.HasPrefix(typ, stem) {
			return true
		}
	}
	return len(names) == 0
}

type diffResource struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	ARN     string `json:"arn,omitempty"`
	Account string `json:"account"`
	Region  string `json:"region,omitempty"`
}

type diffChanged struct {
	diffResource
	Changes []estate.Change `json:"changes"`
}

func identityOf(r *estate.Resource) diffResource {
	return diffResource{r.Type, r.ID, r.ARN, r.Account, r.Region}
}

func writeDiffJSON(w io.Writer, d *estate.Difference) error {
	report := struct {
		Added   []diffResource `json:"added"`
		Removed []diffResource `json:"removed"`
		Changed []diffChanged  `json:"changed"`
	}{[]diffResource{}, []diffResource{}, []diffChanged{}}
	for _, r := range d.Added {
		report.Added = append(report.Added, identityOf(r))
	}
	for _, r := range d.Removed {
		report.Removed = append(report.Removed, identityOf(r))
	}
	for _, c := range d.Changed {
		report.Changed = append(report.Changed, diffChanged{identityOf(c.New), c.Changes})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(report)
}

func writeDiffTable(w io.Writer, d *estate.Difference) error {
	var b strings.Builder
	for _, r := range d.Added {
		fmt.Fprintf(&b, "+ %s\n", resourceLine(r))
	}
	for _, r := range d.Removed {
		fmt.Fprintf(&b, "- %s\n", resourceLine(r))
	}
	for _, c := range d.Changed {
		fmt.Fprintf(&b, "~ %s\n", resourceLine(c.New))
		for _, v := range c.Changes {
			switch {
			case v.Appeared:
				fmt.Fprintf(&b, "    + %s: %s\n", plain(v.Path), short(v.New))
			case v.Vanished:
				fmt.Fprintf(&b, "    - %s: %s\n", plain(v.Path), short(v.Old))
			default:
				fmt.Fprintf(&b, "    %s: %s -> %s\n", plain(v.Path), short(v.Old), short(v.New))
			}
		}
	}
	fmt.Fprintf(&b, "%d added, %d removed, %d changed\n", len(d.Added), len(d.Removed), len(d.Changed))
	_, err := io.WriteString(w, b.String())
	return err
}

func resourceLine(r *estate.Resource) string {
	where := r.Account
	if r.Region != "" {
		where += " " + r.Region
	}
	return plain(r.Type + " " + r.ID + " (" + where + ")")
}

// short is a value as compact JSON, cut to fit a line.
func short(v any) string {
	b, err := estate.AppendJSON(nil, v)
	if err != nil {
		return "?"
	}
	const most = 120
	if len(b) > most {
		return plain(strings.ToValidUTF8(string(b[:most]), "")) + "…"
	}
	return plain(string(b))
}

// plain takes control characters out of what came from outside.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
