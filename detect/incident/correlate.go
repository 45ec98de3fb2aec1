package incident

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/finding"
)

// Options says how detections are joined. The zero value has the defaults.
type Options struct {
	// Gap is the longest time between two detections of one incident; 6 hours
	// if it is zero. Less than an hour counts as an hour.
	Gap time.Duration
	// MaxSteps bounds the steps that are kept at once; 20,000 if it is zero. Half
	// of them are kept for medium severity and worse, a quarter for high and worse,
	// and no rule has more than a quarter.
	MaxSteps int
	// MaxLinks bounds the sessions that are remembered; 60,000 if it is zero.
	MaxLinks int
	// Automation is what callers are known as programs by.
	Automation []Automation
	// Judge, if set, says what actors can reach.
	Judge Judge
}

// Report is what Finish returns.
type Report struct {
	Incidents []*finding.Incident // worst first, then in order of time
	Alone     []Alone             // detections that belong to none, in order of time
	Forgotten int64               // sessions beyond Options.MaxLinks
	Dropped   int64               // detections beyond Options.MaxSteps
	Noisiest  string              // title and key of the rule with most of the dropped
}

// Alone is detections of one rule by one caller on one resource within an hour
// that belong to no incident.
type Alone struct {
	Finding    *finding.Finding // the first of them, without evidence
	Count      int
	Automation string
}

// Correlator joins detections. It is not safe for concurrent use.
type Correlator struct {
	opt      Options
	seed     maphash.Seed
	callers  map[uint64]*who // by hash
	byARN    map[string]*who
	rules    map[string]*rule
	steps    map[stepKey]*step
	sessions *sessions
}

// rule is what steps share.
type rule struct {
	key, title          string
	severity            finding.Severity
	tactics, techniques []string
	steps, dropped      int
}

type stepKey struct {
	rule                 *rule
	who                  *who
	source, typ, id, err string
	hour                 int64
}

type step struct {
	stepKey
	first, last int64 // Unix milliseconds
	count       int
	refs        []ref // the earliest, in order
	sample      *finding.Finding
	change      *change

	origin *origin
	auto   *Automation
}

type ref struct {
	at int64
	id string
}

const (
	maxRefs    = 5 // per step
	maxChanges = 500
)

// New returns an empty Correlator.
func New(o Options) *Correlator {
	if o.Gap == 0 {
		o.Gap = 6 * time.Hour
	}
	o.Gap = max(o.Gap, time.Hour)
	o.MaxSteps = cmp.Or(max(o.MaxSteps, 0), 20_000)
	o.MaxLinks = cmp.Or(max(o.MaxLinks, 0), 60_000)
	return &Correlator{opt: o, seed: maphash.MakeSeed(), callers: map[uint64]*who{}, byARN: map[string]*who{}, rules: map[string]*rule{},
		steps: map[stepKey]*step{}, sessions: newSessions(o.MaxLinks)}
}

// intern returns the one copy of a caller that is kept, if it is known or there is
// room.
func (c *Correlator) intern(w *who) *who {
	h := w.hash(c.seed)
	known := c.callers[h]
	if known != nil && *known == *w {
		return known
	}
	if known == nil && len(c.callers) < c.opt.MaxSteps {
		w = w.clone()
		c.callers[h] = w
	}
	if old := c.byARN[w.arn]; w.arn != "" && w.typ == "AssumedRole" && (old == nil || w.key < old.key) && (old != nil || len(c.byARN) < c.opt.MaxSteps) {
		named := w.clone()
		c.byARN[named.arn] = named
	}
	return w
}

// own is a caller that holds on to no other text, to be kept.
func (c *Correlator) own(w *who) *who {
	if c.callers[w.hash(c.seed)] == w {
		return w
	}
	return w.clone()
}

// room reports whether another step of a rule can be kept: what is grave has room
// left when what is not has taken its share, and no rule alone takes more than a
// quarter.
func (c *Correlator) room(r *rule) bool {
	most := c.opt.MaxSteps
	switch r.severity.Rank() {
	case 0, 1, 2:
		most /= 2
	case 3:
		most -= most / 4
	}
	return len(c.steps) < most && r.steps < max(1, c.opt.MaxSteps/4)
}

// Add takes a match, whose Kept is what Keep kept; a match of LinkRule tells who
// opened a session.
func (c *Correlator) Add(m *detect.Match) {
	seen, _ := m.Kept.(*sighting)
	if m.Rule.Name == LinkRuleName {
		if seen != nil && seen.handed != nil {
			c.sessions.add(seen.handed, c.own(c.intern(&seen.who)))
		}
		return
	}
	f := m.Finding
	r := c.rules[f.RuleID]
	if r == nil {
		r = &rule{key: f.RuleID, title: f.Title, severity: f.Severity, tactics: m.Rule.Tactics(), techniques: f.Techniques}
		c.rules[f.RuleID] = r
	}
	k := stepKey{rule: r, typ: f.Resource.Type, id: f.Resource.ID}
	var made *change
	if seen != nil {
		if seen.known == nil {
			if known := c.callers[seen.who.hash(c.seed)]; known == nil && !c.room(r) {
				r.dropped++ // a new caller has no step yet
				return
			}
			if k.who = c.intern(&seen.who); k.who != &seen.who {
				seen.known = k.who
			}
		}
		k.who, k.source, k.err, made = cmp.Or(seen.known, &seen.who), seen.source, seen.err, seen.change
	} else {
		k.who = c.named(f)
	}
	c.add(k, f, made)
}

// AddFinding takes a finding that is no rule's match, such as an anomaly.
func (c *Correlator) AddFinding(f *finding.Finding) {
	r := c.rules[f.RuleID]
	if r == nil {
		r = &rule{key: f.RuleID, title: f.Title, severity: f.Severity, techniques: f.Techniques}
		c.rules[f.RuleID] = r
	}
	c.add(stepKey{rule: r, who: c.named(f), typ: f.Resource.Type, id: f.Resource.ID}, f, nil)
}

// named is the caller of a finding without an event.
func (c *Correlator) named(f *finding.Finding) *who {
	return c.intern(&who{kind: event.CloudTrail, arn: arnOnly(f.Actor), typ: typeOf(f.Actor), name: f.Actor, account: f.Resource.Account})
}

func arnOnly(s string) string {
	if len(s) > 4 && s[:4] == "arn:" {
		return s
	}
	return ""
}

func (c *Correlator) add(k stepKey, f *finding.Finding, made *change) {
	at := int64(0)
	if !f.Time.IsZero() {
		at = f.Time.UnixMilli()
	}
	k.hour = at / time.Hour.Milliseconds()
	s := c.steps[k]
	if s == nil {
		if !c.room(k.rule) {
			k.rule.dropped++
			return
		}
		k.rule.steps++
		k.who = c.own(k.who)
		k.source, k.typ, k.id, k.err = strings.Clone(k.source), strings.Clone(k.typ), strings.Clone(k.id), strings.Clone(k.err)
		s = &step{stepKey: k, first: at, last: at}
		c.steps[k] = s
	}
	s.count++
	s.first, s.last = min(s.first, at), max(s.last, at)
	for _, id := range f.EventIDs[:min(len(f.EventIDs), maxRefs)] {
		s.ref(at, id)
	}
	if s.sample == nil || cmp.Or(f.Time.Compare(s.sample.Time), cmp.Compare(f.Fingerprint, s.sample.Fingerprint)) < 0 {
		s.sample, s.change = slim(f), made
	}
}

// slim is a copy of a finding without what is long: tens of thousands are kept.
func slim(f *finding.Finding) *finding.Finding {
	out := &finding.Finding{Fingerprint: f.Fingerprint, RuleID: f.RuleID, Title: f.Title, Pillar: f.Pillar, Severity: f.Severity, Status: f.Status,
		Reason: strings.Clone(f.Reason), Resource: f.Resource, Techniques: f.Techniques, Actor: strings.Clone(f.Actor), Time: f.Time}
	r := &out.Resource
	for _, s := range []*string{&r.Type, &r.ID, &r.ARN, &r.Account, &r.Region} {
		*s = strings.Clone(*s)
	}
	for _, id := range f.EventIDs[:min(len(f.EventIDs), maxRefs)] {
		out.EventIDs = append(out.EventIDs, strings.Clone(id))
	}
	return out
}

func (s *step) ref(at int64, id string) {
	r := ref{at, clip(id)}
	i, found := slices.BinarySearchFunc(s.refs, r, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
	})
	if found || i >= maxRefs {
		return
	}
	r.id = strings.Clone(r.id)
	s.refs = slices.Insert(s.refs, i, r)
	s.refs = s.refs[:min(len(s.refs), maxRefs)]
}

func (s *step) compare(o *step) int {
	first := func(s *step) string {
		if len(s.refs) > 0 {
			return s.refs[0].id
		}
		return ""
	}
	return cmp.Or(cmp.Compare(s.first, o.first), cmp.Compare(s.last, o.last), cmp.Compare(s.rule.key, o.rule.key), cmp.Compare(s.typ, o.typ),
		cmp.Compare(s.id, o.id), cmp.Compare(s.source, o.source), cmp.Compare(s.err, o.err), cmp.Compare(first(s), first(o)),
		cmp.Compare(s.who.label(), o.who.label()), cmp.Compare(s.who.key, o.who.key))
}

// run is the steps of one origin without a gap between them.
type run struct {
	key         string
	steps       []*step
	first, last int64
	worst       int
	up          *run // union
	joins       []finding.SessionLink
}

func (r *run) top() *run {
	for r.up != nil {
		r = r.up
	}
	return r
}

// near reports whether two runs lie within gap of each other.
func (r *run) near(o *run, gap int64) bool {
	return r.first-o.last <= gap && o.first-r.last <= gap
}

// Finish joins what was given. The Correlator must not be used afterwards.
func (c *Correlator) Finish() *Report {
	out := &Report{Forgotten: c.sessions.forgotten}
	noisiest := &rule{}
	for _, r := range c.rules {
		out.Dropped += int64(r.dropped)
		if r.dropped > noisiest.dropped || r.dropped == noisiest.dropped && r.key < noisiest.key {
			noisiest, out.Noisiest = r, r.title+" ("+r.key+")"
		}
	}
	steps := make([]*step, 0, len(c.steps))
	origins := map[*who]*origin{}
	for _, s := range c.steps {
		w := s.who
		if w.isSession() && w.issuer == "" && c.byARN[w.arn] != nil {
			w = c.byARN[w.arn] // a correlation names a session by its ARN alone
		}
		if origins[w] == nil {
			o := c.sessions.resolve(w)
			origins[w] = &o
		}
		s.origin = origins[w]
		s.auto = recognise(c.opt.Automation, s)
		steps = append(steps, s)
	}
	slices.SortFunc(steps, (*step).compare)

	runs := c.runs(steps)
	c.join(runs)
	groups := map[*run][]*run{}
	for _, r := range runs {
		groups[r.top()] = append(groups[r.top()], r)
	}
	b := &builder{c: c, reach: map[string]Answer{}}
	for _, r := range runs { // in order of time, so that the outcome is
		group := groups[r]
		if group == nil {
			continue
		}
		if in := b.build(group); in != nil {
			out.Incidents = append(out.Incidents, in)
			continue
		}
		for _, g := range group {
			for _, s := range g.steps {
				a := Alone{Finding: s.sample, Count: s.count}
				if s.auto != nil && !s.auto.Hint {
					a.Automation = s.auto.Reason
				}
				out.Alone = append(out.Alone, a)
			}
		}
	}
	slices.SortStableFunc(out.Incidents, func(a, b *finding.Incident) int {
		return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID))
	})
	slices.SortStableFunc(out.Alone, func(a, b Alone) int {
		return cmp.Or(a.Finding.Time.Compare(b.Finding.Time), cmp.Compare(a.Finding.RuleID, b.Finding.RuleID), cmp.Compare(a.Finding.Fingerprint, b.Finding.Fingerprint))
	})
	return out
}

// runs splits the steps, which are in order of time, by origin and gap.
func (c *Correlator) runs(steps []*step) []*run {
	open := map[string]*run{}
	var out []*run
	for _, s := range steps {
		key := originKey(s)
		r := open[key]
		if r == nil || s.first <= 0 || s.first-r.last > c.opt.Gap.Milliseconds() {
			r = &run{key: key, first: s.first, last: s.last}
			out = append(out, r)
			if s.first > 0 {
				open[key] = r
			}
		}
		r.steps = append(r.steps, s)
		r.last = max(r.last, s.last)
		r.worst = max(r.worst, s.rule.severity.Rank())
	}
	return out
}

// originKey is what steps are joined by. A service acts in many accounts for
// many reasons: its calls belong together within one account at most.
func originKey(s *step) string {
	if s.who.isService() || s.origin.name == "" {
		return s.origin.name + "\x00" + s.origin.account + "\x00" + s.id
	}
	return s.origin.name
}
