package report

import (
	"cmp"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
)

// asffWriter writes a JSON array in the AWS Security Finding Format, one finding
// to a line, as BatchImportFindings takes it (100 at a time).
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format-syntax.html
//
// A finding without an account, which the format cannot hold, gets the account
// of the first that has one.
type asffWriter struct {
	e       *encoder
	run     Run
	n       int
	account string
	region  string
}

func newASFF(w io.Writer, run Run, _ Options) Writer {
	a := &asffWriter{e: newEncoder(w, false), run: run, account: "000000000000", region: "us-east-1"}
	for _, s := range run.Scope {
		if isAccount(s) {
			a.account = s
			break
		}
	}
	a.e.text("[")
	return a
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func (a *asffWriter) Write(f *finding.Finding) error {
	if a.n > 0 {
		a.e.text(",")
	}
	a.n++
	a.e.text("\n")
	a.e.value(a.finding(f))
	return a.e.err
}

func (a *asffWriter) Close(*Result) error {
	a.e.text("\n]\n")
	return a.e.err
}

func (a *asffWriter) finding(f *finding.Finding) object {
	account, region, partition := f.Resource.Account, cmp.Or(f.Resource.Region, a.region), "aws"
	if isAccount(account) {
		if a.account == "000000000000" {
			a.account = account
		}
	} else {
		account = a.account
	}
	if parsed, err := arn.Parse(f.Resource.ARN); err == nil && slices.Contains([]string{"aws", "aws-cn", "aws-us-gov", "aws-us-iso", "aws-us-iso-b"}, parsed.Partition) {
		partition = parsed.Partition
	}
	when := f.Time
	if when.IsZero() {
		when = a.run.Time
	}
	stamp := when.UTC().Format(time.RFC3339)
	label := strings.ToUpper(string(f.Severity))
	if f.Severity.Rank() == 0 || f.Status == finding.StatusPass {
		label = "INFORMATIONAL"
	}
	out := object{
		"SchemaVersion": "2018-10-08",
		"Id":            short("bartizan/"+f.Fingerprint, 512),
		"ProductArn":    "arn:" + partition + ":securityhub:" + region + ":" + account + ":product/" + account + "/default",
		"ProductName":   "bartizan",
		"CompanyName":   "bartizan",
		"GeneratorId":   short(cmp.Or(f.RuleID, "bartizan"), 512),
		"AwsAccountId":  account,
		"Region":        region,
		"Types":         []string{"Software and Configuration Checks/AWS Security Best Practices"},
		"CreatedAt":     stamp,
		"UpdatedAt":     a.run.Time.Format(time.RFC3339),
		"Severity":      object{"Label": label, "Original": string(cmp.Or(f.Severity, "none"))},
		"Title":         short(cmp.Or(f.Title, f.RuleID, "finding"), 256),
		"Description":   short(cmp.Or(joinSentences(f.Reason, f.Why), f.Title, "finding"), 1024),
		"Resources":     []object{asffResource(&f.Resource, account, region, partition)},
		"Workflow":      object{"Status": "NEW"},
		"RecordState":   "ACTIVE",
		"ProductFields": asffFields(f),
	}
	switch f.Status {
	case finding.StatusMuted:
		out["Workflow"] = object{"Status": "SUPPRESSED"}
		out["Note"] = object{"Text": short(why(f), 512), "UpdatedBy": short(cmp.Or(muteOwner(f), "bartizan"), 512), "UpdatedAt": stampOf(a.run.Time)}
	case finding.StatusPass:
		out["Workflow"] = object{"Status": "RESOLVED"}
	}
	if f.IsDetection() {
		out["Types"] = []string{"TTPs"}
	} else {
		c := object{"Status": asffStatus(f.Status)}
		if ids := frameworkIDs(f.Frameworks); len(ids) > 0 {
			ids = ids[:min(len(ids), 32)]
			for i := range ids {
				ids[i] = short(ids[i], 64)
			}
			c["RelatedRequirements"] = ids
		}
		out["Compliance"] = c
	}
	if f.Fix != nil && strings.TrimSpace(f.Fix.Text) != "" {
		out["Remediation"] = object{"Recommendation": object{"Text": short(f.Fix.Text, 512)}}
	}
	return out
}

func stampOf(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func muteOwner(f *finding.Finding) string {
	if f.Mute == nil {
		return ""
	}
	return f.Mute.Owner
}

// asffStatus: what is unknown is a warning, never passed.
func asffStatus(s finding.Status) string {
	switch s {
	case finding.StatusPass:
		return "PASSED"
	case finding.StatusFail, finding.StatusMuted:
		return "FAILED"
	}
	return "WARNING"
}

// asffFields holds what the format has no member for. At most 50 fields.
func asffFields(f *finding.Finding) map[string]string {
	out := map[string]string{}
	field := func(k, v string) {
		if strings.TrimSpace(v) != "" && len(out) < 50 {
			out[short("bartizan/"+k, 128)] = short(v, 2048)
		}
	}
	field("fingerprint", f.Fingerprint)
	field("status", string(f.Status))
	field("pillar", string(f.Pillar))
	field("change", string(f.Change))
	field("actor", f.Actor)
	field("techniques", strings.Join(f.Techniques, ","))
	field("events", strings.Join(f.EventIDs, ","))
	for i, e := range f.Evidence {
		field("evidence/"+strconv.Itoa(i+1), evidenceText(e, 2000))
	}
	return out
}

func asffResource(r *finding.Resource, account, region, partition string) object {
	id := cmp.Or(r.ARN, r.ID)
	if strings.TrimSpace(id) == "" {
		id = "AWS::::Account:" + account
	}
	o := object{"Type": asffType(r.Type), "Id": short(id, 512), "Partition": partition, "Region": region}
	if len(r.Tags) > 0 {
		tags := map[string]string{}
		for _, k := range slices.Sorted(maps.Keys(r.Tags))[:min(len(r.Tags), 50)] {
			// Keys and values must not be blank.
			if strings.TrimSpace(k) != "" && strings.TrimSpace(r.Tags[k]) != "" {
				tags[short(k, 128)] = short(r.Tags[k], 256)
			}
		}
		if len(tags) > 0 {
			o["Tags"] = tags
		}
	}
	return o
}

// short cuts s to n characters; blank text, which the format refuses, is "-".
func short(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.TrimSpace(s) == "" {
		return "-"
	}
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func joinSentences(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			if !strings.HasSuffix(p, ".") {
				p += "."
			}
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// asffType maps a CloudFormation type to the format's own name, which is
// "Other" for a type it does not have.
func asffType(t string) string {
	if t == "AWS::Account" || t == "AWS::::Account" {
		return "AwsAccount"
	}
	key := strings.ToLower(strings.ReplaceAll(t, "::", ""))
	key = strings.Replace(key, "awselasticloadbalancingv2", "awselbv2", 1)
	key = strings.Replace(key, "awselasticloadbalancingloadbalancer", "awselbloadbalancer", 1)
	if name, ok := asffTypes[key]; ok {
		return name
	}
	return "Other"
}
