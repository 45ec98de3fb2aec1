package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/collect"
)

func newDoctorCommand(a *App) *cobra.Command {
	f := &estateFlags{}
	var types, services []string
	var policy bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say who you are, what AWS lets you read, and what is missing",
		Long: `doctor checks what collecting needs: credentials, endpoint, regions, and each
permission of the collector's policy. It asks IAM's policy simulator where that
is allowed, and else tries harmless list calls. --policy prints the least policy
that collecting needs, without calling AWS; where it is larger than IAM lets one
managed policy be, it prints several, each to be attached.`,
		Example: `  bartizan doctor
  bartizan doctor --profile audit -o json
  bartizan doctor --policy > collector-policy.json
  bartizan doctor --policy --services iam,s3,ec2`,
		Args: cobra.NoArgs,
	}
	f.addAWS(c)
	out := addOutputFlag(c, "table", "json")
	c.Flags().BoolVar(&policy, "policy", false, "print the least IAM policy for collecting, and end")
	c.Flags().StringSliceVar(&types, "types", nil, "only for these resource types")
	c.Flags().StringSliceVar(&services, "services", nil, "only for these services")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		cat, err := resourceCatalogue()
		if err != nil {
			return err
		}
		selected, err := cat.Select(types, services)
		if err != nil {
			return &Error{Code: ExitUsage, Err: err, Hint: "'bartizan collect --list-types' names them all"}
		}
		if policy {
			return printPolicy(a, cat.Policy(selected))
		}
		return f.diagnose(c.Context(), a, cat, selected, out)
	}
	return c
}

func printPolicy(a *App, docs []collect.Document) error {
	e := json.NewEncoder(a.Stdout)
	e.SetIndent("", "  ")
	for _, d := range docs {
		if err := e.Encode(d); err != nil {
			return err
		}
	}
	if len(docs) > 1 {
		a.notef("IAM allows %d characters in one managed policy: create %d policies from the documents above and attach them all", collect.PolicyQuota, len(docs))
	}
	a.notef("next: attach it to the identity that runs 'bartizan collect', then 'bartizan doctor'")
	return nil
}

func (f *estateFlags) diagnose(ctx context.Context, a *App, cat *collect.Catalogue, types []*collect.Type, out *outputs) error {
	s, err := f.session(ctx, a)
	if err != nil {
		return err
	}
	a.notef("asking AWS who you are and what you may read …")
	d, err := collect.Diagnose(ctx, s, cat, types)
	if err != nil {
		err = collectError(err)
		if e := (*Error)(nil); errors.As(err, &e) && e.Code == ExitIncomplete {
			e.Hint = "check the network, --endpoint-url and --region; a proxy is taken from HTTPS_PROXY"
		}
		return err
	}
	err = out.emit(a, func(format string, w io.Writer, _ bool) error {
		if format == "json" {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(diagnosisJSON(d))
		}
		return writeDiagnosis(w, d)
	})
	if err != nil {
		return err
	}
	switch {
	case len(d.Missing) > 0:
		a.notef("next: 'bartizan doctor --policy' prints the policy that collecting needs")
		return errIncomplete
	case len(d.Failed) > 0:
		a.notef("next: bartizan collect; what failed here will be missing in the snapshot")
		return errIncomplete
	}
	a.notef("next: bartizan collect")
	return nil
}

func diagnosisJSON(d *collect.Diagnosis) any {
	type missing struct {
		Action string   `json:"action"`
		Types  []string `json:"types"`
	}
	type failed struct {
		Operation string `json:"operation"`
		Code      string `json:"code,omitempty"`
		Reason    string `json:"reason"`
	}
	report := struct {
		Version    string    `json:"version"`
		Caller     string    `json:"caller"`
		Account    string    `json:"account"`
		Partition  string    `json:"partition"`
		Region     string    `json:"region"`
		Management string    `json:"managementAccount,omitempty"`
		Regions    []string  `json:"regions"`
		Method     string    `json:"method"`
		Allowed    []string  `json:"allowed"`
		Missing    []missing `json:"missing"`
		Untested   []string  `json:"untested"`
		Failed     []failed  `json:"failed"`
	}{version(), d.Caller, d.Account, d.Partition, d.Region, d.Management, d.Regions, d.Method, orNone(d.Allowed), []missing{}, orNone(d.Untested), []failed{}}
	for _, n := range d.Missing {
		report.Missing = append(report.Missing, missing{n.Action, orNone(n.Types)})
	}
	for _, e := range d.Failed {
		report.Failed = append(report.Failed, failed(e))
	}
	return report
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func writeDiagnosis(w io.Writer, d *collect.Diagnosis) error {
	var b strings.Builder
	row := func(name, value string) { fmt.Fprintf(&b, "%-13s %s\n", name, plain(value)) }
	row("bartizan", version())
	row("caller", d.Caller)
	row("account", d.Account+" in partition "+d.Partition)
	switch d.Management {
	case "":
		row("organization", "none, or not readable")
	case d.Account:
		row("organization", "this is the management account: --role-name reads every account")
	default:
		row("organization", "member; the management account is "+d.Management)
	}
	row("region", d.Region)
	row("enabled", fmt.Sprintf("%d regions: %s", len(d.Regions), strings.Join(d.Regions, " ")))
	row("permissions", fmt.Sprintf("%d allowed, %d missing, %d not tested (%s)", len(d.Allowed), len(d.Missing), len(d.Untested), d.Method))
	for _, n := range d.Missing {
		fmt.Fprintf(&b, "missing       %s%s\n", n.Action, forTypes(n.Types))
	}
	for _, e := range d.Failed {
		fmt.Fprintf(&b, "failed        %s: %s\n", e.Operation, plain(strings.TrimPrefix(e.Code+": "+e.Reason, ": ")))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func forTypes(types []string) string {
	switch {
	case len(types) == 0:
		return ""
	case len(types) > 3:
		return fmt.Sprintf(" for %s and %d more", strings.Join(types[:3], ", "), len(types)-3)
	}
	return " for " + strings.Join(types, ", ")
}
