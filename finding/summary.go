package finding

import (
	"cmp"
	"slices"
)

// Counts is how many findings there are of each status.
type Counts struct {
	Fail    int `json:"fail"`
	Unknown int `json:"unknown"`
	Pass    int `json:"pass"`
	Muted   int `json:"muted"`
}

// Total is the number of findings.
func (c Counts) Total() int { return c.Fail + c.Unknown + c.Pass + c.Muted }

func (c *Counts) add(s Status) {
	switch s {
	case StatusFail:
		c.Fail++
	case StatusPass:
		c.Pass++
	case StatusMuted:
		c.Muted++
	default: // whatever is not known to be fine is unknown
		c.Unknown++
	}
}

// RuleCount is what one control or detection came to.
type RuleCount struct {
	ID        string   `json:"id"`
	Title     string   `json:"title"`
	Pillar    Pillar   `json:"pillar,omitempty"`
	Severity  Severity `json:"severity"`
	Detection bool     `json:"detection,omitempty"`
	Counts
}

// PillarCount is what one pillar's controls came to.
type PillarCount struct {
	Pillar Pillar `json:"pillar"`
	Score  *int   `json:"score"` // 0 to 100; nil where nothing was weighed
	Rules  int    `json:"controls"`
	Counts
}

// Summary is the whole of a report in numbers.
type Summary struct {
	Counts
	Score      *int             `json:"score"`      // over all pillars; nil where nothing was weighed
	BySeverity map[Severity]int `json:"bySeverity"` // failures alone
	Pillars    []PillarCount    `json:"pillars,omitempty"`
	Rules      []RuleCount      `json:"rules,omitempty"`
	Baseline   *BaselineCount   `json:"baseline,omitempty"`
}

// Weight is what a control of this severity counts in a score: 10, 5, 2, 1 and,
// for informational, nothing.
func (s Severity) Weight() int {
	switch s {
	case SeverityCritical:
		return 10
	case SeverityHigh:
		return 5
	case SeverityMedium:
		return 2
	case SeverityLow:
		return 1
	}
	return 0
}

// Tally counts findings as they come. Its memory grows with the number of
// rules, not of findings. The zero value is ready; it is not safe for
// concurrent use.
type Tally struct {
	total      Counts
	bySeverity map[Severity]int
	rules      map[string]*RuleCount
}

// Add counts one finding.
func (t *Tally) Add(f *Finding) {
	if t.rules == nil {
		t.rules, t.bySeverity = map[string]*RuleCount{}, map[Severity]int{}
	}
	r := t.rules[f.RuleID]
	if r == nil {
		r = &RuleCount{ID: f.RuleID, Title: f.Title, Pillar: f.Pillar, Severity: f.Severity, Detection: f.IsDetection()}
		t.rules[f.RuleID] = r
	}
	if f.Severity.Rank() > r.Severity.Rank() {
		r.Severity = f.Severity
	}
	if f.Title < r.Title { // one title, whatever the order of the findings
		r.Title = f.Title
	}
	r.add(f.Status)
	t.total.add(f.Status)
	if f.Status == StatusFail {
		t.bySeverity[f.Severity]++
	}
}

// Summary returns the numbers so far.
//
// The score of a pillar is the weighted mean, over its controls, of the share
// of resources that pass: 100 × Σ weight·pass/(pass+fail+unknown) / Σ weight,
// rounded down. Unknown counts against the score, as it is not known to pass;
// muted findings and detections are left out. A control whose findings are all
// muted weighs nothing. 100 therefore means that all passed.
func (t *Tally) Summary() Summary {
	s := Summary{Counts: t.total, BySeverity: map[Severity]int{}}
	for _, v := range Severities() {
		s.BySeverity[v] = t.bySeverity[v]
	}
	for _, r := range t.rules {
		s.Rules = append(s.Rules, *r)
	}
	slices.SortFunc(s.Rules, func(a, b RuleCount) int {
		return cmp.Or(cmp.Compare(pillarRank(a.Pillar), pillarRank(b.Pillar)),
			cmp.Compare(a.Pillar, b.Pillar),
			cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
			cmp.Compare(a.ID, b.ID))
	})
	var all score
	for i := 0; i < len(s.Rules); {
		p := PillarCount{Pillar: s.Rules[i].Pillar}
		var one score
		for ; i < len(s.Rules) && s.Rules[i].Pillar == p.Pillar; i++ {
			r := s.Rules[i]
			if r.Detection {
				continue
			}
			p.Rules++
			p.Fail += r.Fail
			p.Unknown += r.Unknown
			p.Pass += r.Pass
			p.Muted += r.Muted
			one.add(r)
			all.add(r)
		}
		if p.Rules > 0 && p.Pillar != "" {
			p.Score = one.percent()
			s.Pillars = append(s.Pillars, p)
		}
	}
	s.Score = all.percent()
	return s
}

// score is a weighted mean in exact parts, so that 100 means all and the order
// of addition cannot show.
type score struct {
	weight int
	failed bool
	got    float64
}

func (s *score) add(r RuleCount) {
	n := r.Pass + r.Fail + r.Unknown
	if n == 0 || r.Severity.Weight() == 0 {
		return
	}
	s.weight += r.Severity.Weight()
	s.failed = s.failed || r.Pass < n
	s.got += float64(r.Severity.Weight()) * float64(r.Pass) / float64(n)
}

func (s *score) percent() *int {
	if s.weight == 0 {
		return nil
	}
	p := int(100*s.got/float64(s.weight) + 1e-9)
	if s.failed && p > 99 {
		p = 99
	}
	return &p
}

func pillarRank(p Pillar) int {
	if i := slices.Index(Pillars(), p); i >= 0 {
		return i
	}
	return len(Pillars())
}

// Compare orders findings for a reader: failures first, then unknown, muted and
// passed; within these by pillar, worst severity, rule, account, region and
// resource. Findings that compare equal are the same claim.
func Compare(a, b *Finding) int {
	return cmp.Or(
		cmp.Compare(statusRank(a.Status), statusRank(b.Status)),
		cmp.Compare(pillarRank(a.Pillar), pillarRank(b.Pillar)),
		cmp.Compare(b.Severity.Rank(), a.Severity.Rank()),
		cmp.Compare(a.RuleID, b.RuleID),
		a.Time.Compare(b.Time),
		cmp.Compare(a.Resource.Account, b.Resource.Account),
		cmp.Compare(a.Resource.Region, b.Resource.Region),
		cmp.Compare(a.Resource.Type, b.Resource.Type),
		cmp.Compare(a.Resource.ID, b.Resource.ID),
		cmp.Compare(a.Fingerprint, b.Fingerprint))
}

func statusRank(s Status) int {
	switch s {
	case StatusFail:
		return 0
	case StatusMuted:
		return 2
	case StatusPass:
		return 3
	}
	return 1
}
