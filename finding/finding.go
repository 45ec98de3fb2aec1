// Package finding is the one shape in which every part of bartizan states a
// claim about an estate or about events, with the evidence that decides it.
//
// The types are Finding, its Status and Severity, the Resource it is about and
// the Evidence for it. A control of package posture yields one finding per
// resource it looked at; a detection yields one per match. Muter applies a mute
// file, Baseline compares with an earlier report, Tally counts and scores.
// Package finding/report writes them.
//
// # Caveats
//
// StatusUnknown is never a pass: writers show it, summaries count it, and the
// command line turns it into exit code 3.
package finding

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Status says what was decided.
type Status string

// The four statuses.
const (
	StatusFail    Status = "fail"
	StatusPass    Status = "pass"
	StatusUnknown Status = "unknown"
	StatusMuted   Status = "muted"
)

// Severity says how bad a failure is.
type Severity string

// The severities, from worst to least. The words are those of OCSF and ASFF.
const (
	SeverityCritical      Severity = "critical"
	SeverityHigh          Severity = "high"
	SeverityMedium        Severity = "medium"
	SeverityLow           Severity = "low"
	SeverityInformational Severity = "informational"
)

// Severities lists all severities, worst first.
func Severities() []Severity {
	return []Severity{SeverityCritical, SeverityHigh, SeverityMedium, SeverityLow, SeverityInformational}
}

// Rank orders severities: 5 for critical down to 1 for informational, 0 for a
// word that is no severity.
func (s Severity) Rank() int {
	switch s {
	case SeverityCritical:
		return 5
	case SeverityHigh:
		return 4
	case SeverityMedium:
		return 3
	case SeverityLow:
		return 2
	case SeverityInformational:
		return 1
	}
	return 0
}

// ParseSeverity reads a severity, ignoring case; "info" is informational.
func ParseSeverity(s string) (Severity, error) {
	v := Severity(strings.ToLower(strings.TrimSpace(s)))
	if v == "info" {
		v = SeverityInformational
	}
	if v.Rank() == 0 {
		return "", fmt.Errorf("parse severity %q: want critical, high, medium, low or informational", s)
	}
	return v, nil
}

// Pillar is one of the five security domains of the Well-Architected Framework.
type Pillar string

// The five pillars, in the order in which reports show them.
const (
	PillarIdentity       Pillar = "identity"
	PillarDetection      Pillar = "detection"
	PillarInfrastructure Pillar = "infrastructure"
	PillarData           Pillar = "data"
	PillarResponse       Pillar = "response"
)

// Pillars lists the pillars in report order.
func Pillars() []Pillar {
	return []Pillar{PillarIdentity, PillarDetection, PillarInfrastructure, PillarData, PillarResponse}
}

// Resource names what a finding is about.
type Resource struct {
	Type    string            `json:"type"`          // CloudFormation type name, AWS::S3::Bucket
	ID      string            `json:"id"`            // id within its type, account and region
	ARN     string            `json:"arn,omitempty"` // the ARN where the resource has one
	Account string            `json:"account,omitempty"`
	Region  string            `json:"region,omitempty"` // empty for global resources
	Tags    map[string]string `json:"tags,omitempty"`
}

// Evidence is one value that decided: where it stands and what it is.
type Evidence struct {
	Path  string `json:"path"`           // path within the resource's document or the event
	Value any    `json:"value"`          // the value as read, JSON-shaped
	Note  string `json:"note,omitempty"` // why this value decides, where that is not obvious
}

// Fix says what to do about a failure, once for each way of doing it.
type Fix struct {
	Text      string `json:"text,omitempty"` // what to do, in the console's words
	CLI       string `json:"cli,omitempty"`  // AWS CLI commands
	Terraform string `json:"terraform,omitempty"`
}

// Finding is one claim with its evidence.
type Finding struct {
	Fingerprint string              `json:"fingerprint"`
	RuleID      string              `json:"ruleId"` // control or detection id
	Title       string              `json:"title"`
	Pillar      Pillar              `json:"pillar,omitempty"`
	Severity    Severity            `json:"severity"`
	Status      Status              `json:"status"`
	Reason      string              `json:"reason,omitempty"` // why it failed, is unknown or is muted
	Resource    Resource            `json:"resource"`
	Evidence    []Evidence          `json:"evidence,omitempty"`
	Why         string              `json:"why,omitempty"` // why it matters
	Fix         *Fix                `json:"fix,omitempty"`
	Frameworks  map[string][]string `json:"frameworks,omitempty"` // framework → ids
	Mute        *Mute               `json:"mute,omitempty"`       // the rule that muted it
	Change      Change              `json:"change,omitempty"`     // against the baseline, where there is one

	// Detections only.
	Techniques []string  `json:"techniques,omitempty"` // ATT&CK technique ids, T1078.004
	EventIDs   []string  `json:"eventIds,omitempty"`
	Actor      string    `json:"actor,omitempty"` // ARN or other name of who did it
	Time       time.Time `json:"time,omitzero"`   // when it happened; zero for controls
}

// IsDetection reports whether f came from events rather than from a control.
func (f *Finding) IsDetection() bool {
	return !f.Time.IsZero() || len(f.EventIDs) > 0 || len(f.Techniques) > 0
}

// Fingerprint is stable over runs: it depends on the rule and on the identity
// of the resource or events alone, never on time, order, title or severity.
// 32 hex digits.
func Fingerprint(ruleID string, parts ...string) string {
	var space [512]byte
	text := part(space[:0], ruleID)
	for _, p := range parts {
		text = part(text, p)
	}
	sum := sha256.Sum256(text)
	var out [32]byte
	hex.Encode(out[:], sum[:16])
	return string(out[:])
}

// part appends a text with its length, so that no two lists of texts read the same.
func part(dst []byte, s string) []byte {
	dst = strconv.AppendInt(dst, int64(len(s)), 10)
	dst = append(dst, ':')
	return append(dst, s...)
}
