package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bartizan-security/bartizan/detect/coverage"
	"github.com/bartizan-security/bartizan/finding/report"
)

// coverageTypes are what coverage reads of a live account.
var coverageTypes = []string{
	"AWS::Account::Account", "AWS::Account::Region", "AWS::Organizations::Account",
	"AWS::CloudTrail::Trail", "AWS::CloudTrail::EventDataStore", "AWS::GuardDuty::Detector", "AWS::SecurityHub::Hub",
	"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::NetworkInterface", "AWS::EC2::TransitGateway", "AWS::EC2::FlowLog", "AWS::EC2::Snapshot",
	"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancing::LoadBalancer", "AWS::CloudFront::Distribution",
	"AWS::WAFv2::WebACL", "AWS::Route53Resolver::ResolverQueryLoggingConfigAssociation", "AWS::Logs::Delivery", "AWS::Logs::DeliverySource",
	"AWS::S3::Bucket", "AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::SNS::Topic", "AWS::SQS::Queue", "AWS::Kinesis::Stream",
	"AWS::Cognito::IdentityPool", "AWS::RDS::DBCluster", "AWS::StepFunctions::StateMachine",
}

func newDetectCoverageCommand(a *App) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "coverage",
		Short: "List the attacks that an estate's logs cannot show",
		Long: `coverage compares what the detection rules read with what the estate records:
trails and their event selectors, regions, flow logs, load balancer, S3, CloudFront,
WAF and resolver logs, GuardDuty and Security Hub. It lists the rules and ATT&CK
techniques that are blind, where and why, and the setting that opens the eye.

What could not be read is unknown, never covered. Exit code 1 says that something
is blind, 3 that something is unknown and nothing is known to be blind.`,
		Example: `  bartizan detect coverage --estate estate.jsonl.zst
  bartizan detect coverage --estate estate.jsonl.zst -o markdown=blind-spots.md
  bartizan detect coverage --estate estate.jsonl.zst --rules my-rules --only critical,high -o json`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&path, "estate", "", "`FILE` made by 'bartizan collect', or a folder of AWS CLI outputs (default: live AWS)")
	estates := addEstateFlags(c)
	rules := addRuleFlags(c)
	out := addOutputFlag(c, "table", "json", "markdown")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := out.parse(); err != nil {
			return err
		}
		engine, err := rules.engine(a)
		if err != nil {
			return err
		}
		e, err := estates.load(c.Context(), a, path, coverageTypes...)
		if err != nil {
			return err
		}
		r := coverage.Assess(e, engine.Rules())
		err = out.emit(a, func(format string, w io.Writer, _ bool) error {
			switch format {
			case "json":
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(r)
			case "markdown":
				return coverageMarkdown(w, r)
			}
			return coverageTable(w, r)
		})
		if err != nil {
			return err
		}
		switch s := r.Summary; {
		case s.Blind+s.Partly > 0:
			a.notef("open the eyes named above, collect again, and run this once more; 'bartizan detect' reads the logs")
			return errFindings
		case s.Unknown > 0:
			a.notef("give the collector the permissions that 'bartizan collect' names, and run this once more")
			return errIncomplete
		}
		return nil
	}
	return c
}

func coverageSummary(s coverage.Summary) string {
	return fmt.Sprintf("%d rules: %d covered, %d partly blind, %d blind, %d unknown, %d with nothing to watch", s.Rules, s.Covered, s.Partly, s.Blind, s.Unknown, s.None)
}

// somePlaces names the first places of an eye in words; regions of an account
// that are alike share a line.
func somePlaces(eye coverage.Eye, most int) []string {
	type group struct {
		place   coverage.Place
		regions []string
	}
	var groups []*group
	same := map[coverage.Place]*group{}
	for _, p := range eye.Places {
		key := p
		if p.Resource == "" {
			key.Region = ""
		}
		if same[key] == nil {
			same[key] = &group{place: p}
			groups = append(groups, same[key])
		}
		same[key].regions = append(same[key].regions, p.Region)
	}
	var lines []string
	for i, g := range groups {
		if i == most {
			lines = append(lines, fmt.Sprintf("… and %d more", len(groups)-most))
			break
		}
		line := fmt.Sprintf("%s: %s", g.place.State, g.place)
		if n := len(g.regions); n > 1 {
			line = fmt.Sprintf("%s: %s in %s", g.place.State, g.place.Account, strings.ReplaceAll(someOf(g.regions, 4), " and ", " and in "))
		}
		if g.place.Why != "" {
			line += ", " + g.place.Why
		}
		lines = append(lines, report.Plain(line))
	}
	return lines
}

func coverageTable(w io.Writer, r *coverage.Report) error {
	fmt.Fprintf(w, "%s\n", coverageSummary(r.Summary))
	for _, eye := range r.Eyes {
		if eye.State == coverage.Covered || eye.State == coverage.None {
			continue
		}
		fmt.Fprintf(w, "\n%s  %s", strings.ToUpper(string(eye.State)), report.Plain(eye.Title))
		if eye.Seen > 0 {
			fmt.Fprintf(w, " (recorded in %d of %d places)", eye.Seen, eye.Seen+len(eye.Places))
		}
		fmt.Fprintf(w, "\n  invisible   %s\n", eye.Invisible)
		for i, line := range somePlaces(eye, 8) {
			fmt.Fprintf(w, "  %-11s %s\n", map[bool]string{true: "where"}[i == 0], line)
		}
		fmt.Fprintf(w, "  rules       %s\n", report.Plain(someOf(eye.Rules, 6)))
		fmt.Fprintf(w, "  techniques  %s\n", someOf(eye.Techniques, 12))
		fmt.Fprintf(w, "  open it     %s\n              %s\n", eye.Console, eye.CLI)
	}
	var blind, partly, unknown []string
	for _, t := range r.Techniques {
		switch t.State {
		case coverage.Blind:
			blind = append(blind, t.ID)
		case coverage.Partly:
			partly = append(partly, t.ID)
		case coverage.Unknown:
			unknown = append(unknown, t.ID)
		}
	}
	fmt.Fprintln(w)
	for _, row := range []struct {
		name string
		ids  []string
	}{{"blind", blind}, {"partly blind", partly}, {"unknown", unknown}} {
		if len(row.ids) > 0 {
			fmt.Fprintf(w, "techniques %s: %s\n", row.name, strings.Join(row.ids, " "))
		}
	}
	return nil
}

func someOf(list []string, most int) string {
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], " "), len(list)-most)
	}
	return strings.Join(list, " ")
}

func coverageMarkdown(w io.Writer, r *coverage.Report) error {
	cell := func(s string) string {
		return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "\n", " ").Replace(report.Plain(s))
	}
	fmt.Fprintf(w, "# Blind spots\n\n%s.\n\n## What is not recorded\n\n| state | record | invisible without it | rules | techniques |\n|---|---|---|---|---|\n", coverageSummary(r.Summary))
	for _, eye := range r.Eyes {
		if eye.State != coverage.Covered && eye.State != coverage.None {
			fmt.Fprintf(w, "| %s | %s | %s | %d | %s |\n", eye.State, cell(eye.Title), cell(eye.Invisible), len(eye.Rules), strings.Join(eye.Techniques, " "))
		}
	}
	for _, eye := range r.Eyes {
		if eye.State == coverage.Covered || eye.State == coverage.None {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n\n", cell(eye.Title))
		for _, line := range somePlaces(eye, 20) {
			fmt.Fprintf(w, "- %s\n", cell(line))
		}
		fmt.Fprintf(w, "\nConsole: %s\n\n```sh\n%s\n```\n", cell(eye.Console), eye.CLI)
	}
	fmt.Fprint(w, "\n## Techniques\n\n| technique | state | rules that see less than all |\n|---|---|---|\n")
	for _, t := range r.Techniques {
		fmt.Fprintf(w, "| %s | %s | %s |\n", t.ID, t.State, cell(strings.Join(t.Blind, " ")))
	}
	fmt.Fprint(w, "\n## Rules\n\n| rule | severity | state | reads |\n|---|---|---|---|\n")
	for _, rule := range r.Rules {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", cell(rule.RuleID), rule.Severity, rule.State, cell(strings.Join(rule.Eyes, ", ")))
	}
	return nil
}
