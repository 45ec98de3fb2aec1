// Package coverage says which attacks an estate's logs cannot show: which
// detection rules and ATT&CK techniques are blind, where, why, and which setting
// opens the eye.
//
// The types are Report, what Assess makes of an estate and rules; Rule and
// Technique, how much of each is seen; Eye, one kind of record with the places
// where it is and is not written; and Place.
//
// # Caveats
//
// What the estate does not show is Unknown, never Covered. Covered means that
// the records are written, not that somebody reads them. Whether a call is a
// management or a data event is taken from a table of data events; calls that
// are not in it count as management events.
package coverage

import (
	"cmp"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/estate"
)

// Report is the coverage of an estate.
type Report struct {
	Summary    Summary     `json:"summary"`
	Eyes       []Eye       `json:"eyes"`       // those that are not open everywhere first
	Rules      []Rule      `json:"rules"`      // by name
	Techniques []Technique `json:"techniques"` // by id
}

// Summary counts the rules by state.
type Summary struct {
	Rules   int `json:"rules"`
	Covered int `json:"covered"`
	Partly  int `json:"partly"`
	Blind   int `json:"blind"`
	Unknown int `json:"unknown"`
	None    int `json:"none"` // the estate has nothing that they watch
}

// Rule says how much of what a rule reads is recorded.
type Rule struct {
	RuleID     string   `json:"ruleId"`
	Title      string   `json:"title"`
	Severity   string   `json:"severity"`
	Techniques []string `json:"techniques"`
	State      State    `json:"state"`
	Eyes       []string `json:"eyes"` // ids of what it reads
}

// Technique says how much of an ATT&CK technique the rules for it see.
type Technique struct {
	ID    string   `json:"id"`
	State State    `json:"state"`
	Rules []string `json:"rules"`
	Blind []string `json:"blind,omitempty"` // those of the rules that see less than all
}

// Eye is one kind of record.
type Eye struct {
	ID         string   `json:"id"`
	Title      string   `json:"title"`
	State      State    `json:"state"`
	Invisible  string   `json:"invisible,omitempty"` // what goes unseen without it
	Places     []Place  `json:"places"`              // where it is less than covered
	Seen       int      `json:"seen"`                // number of places where it is covered
	Rules      []string `json:"rules"`
	Techniques []string `json:"techniques,omitempty"`
	Console    string   `json:"console"` // how to open it
	CLI        string   `json:"cli"`
}

// Assess compares what the rules read with what the estate records. Rules must
// be compiled; filters and rules of other products are left out.
func Assess(e *estate.Estate, rules []*sigma.Rule) *Report {
	a := &assessment{sight: newSight(e), eyes: map[string]*Eye{}, techniques: map[string]*Technique{}, places: map[need][]Place{}}
	r := &Report{Rules: []Rule{}, Eyes: []Eye{}, Techniques: []Technique{}}
	for _, rule := range rules {
		if rule.Filter != nil || rule.Silent() || len(rule.Logs()) == 0 {
			continue
		}
		r.Rules = append(r.Rules, a.rule(rule))
	}
	slices.SortStableFunc(r.Rules, func(x, y Rule) int { return strings.Compare(x.RuleID, y.RuleID) })
	for _, rule := range r.Rules {
		r.Summary.count(rule.State)
		a.technique(rule)
	}
	for _, eye := range a.eyes {
		eye.finish()
		r.Eyes = append(r.Eyes, *eye)
	}
	slices.SortFunc(r.Eyes, func(x, y Eye) int {
		return cmp.Or(order[x.State]-order[y.State], len(y.Rules)-len(x.Rules), strings.Compare(x.ID, y.ID))
	})
	for _, t := range a.techniques {
		r.Techniques = append(r.Techniques, *t)
	}
	slices.SortFunc(r.Techniques, func(x, y Technique) int { return strings.Compare(x.ID, y.ID) })
	return r
}

var order = map[State]int{Blind: 0, Partly: 1, Unknown: 2, Covered: 3, None: 4}

func (s *Summary) count(state State) {
	s.Rules++
	switch state {
	case Covered:
		s.Covered++
	case Partly:
		s.Partly++
	case Blind:
		s.Blind++
	case Unknown:
		s.Unknown++
	case None:
		s.None++
	}
}

type assessment struct {
	sight      *sight
	eyes       map[string]*Eye
	techniques map[string]*Technique
	places     map[need][]Place
}

func (a *assessment) rule(r *sigma.Rule) Rule {
	out := Rule{RuleID: r.Key(), Title: r.Title, Severity: r.Level, Techniques: r.Techniques(), Eyes: []string{}}
	detections := []*sigma.Rule{r}
	if r.Correlation != nil {
		detections = r.Base()
	}
	var all []Place
	for _, d := range detections {
		for _, kind := range d.Kinds() {
			needs := []need{{log: string(kind)}}
			if kind == "cloudtrail" {
				needs = needsOf(d)
			}
			for _, n := range needs {
				places := a.look(n)
				all = append(all, places...)
				eye := a.eye(n, places)
				if !slices.Contains(out.Eyes, eye.ID) {
					out.Eyes = append(out.Eyes, eye.ID)
				}
				if !slices.Contains(eye.Rules, out.RuleID) {
					eye.Rules = append(eye.Rules, out.RuleID)
				}
				for _, t := range out.Techniques {
					if !slices.Contains(eye.Techniques, t) {
						eye.Techniques = append(eye.Techniques, t)
					}
				}
			}
		}
	}
	out.State = sum(all)
	return out
}

// sum is the state of several places together.
func sum(places []Place) State {
	n := map[State]int{}
	for _, p := range places {
		n[p.State]++
	}
	total := len(places) - n[None]
	switch {
	case total == 0:
		return None
	case n[Covered] == total:
		return Covered
	case n[Blind] == total:
		return Blind
	case n[Partly] == 0 && n[Blind] == 0:
		return Unknown // some is covered at most, the rest was not read
	}
	return Partly
}

func (a *assessment) look(n need) []Place {
	places, ok := a.places[n]
	if !ok {
		places = a.sight.places(n)
		a.places[n] = places
	}
	return places
}

// eye returns the eye that a need looks through, with its places added: for
// each place the worst that any rule's need finds there.
func (a *assessment) eye(n need, places []Place) *Eye {
	id, title := nameOf(n)
	eye := a.eyes[id]
	if eye == nil {
		eye = &Eye{ID: id, Title: title, Rules: []string{}, Places: []Place{}}
		eye.Invisible, eye.Console, eye.CLI = opening(n)
		a.eyes[id] = eye
	}
	for _, p := range places {
		i := slices.IndexFunc(eye.Places, func(q Place) bool {
			return q.Account == p.Account && q.Region == p.Region && q.Resource == p.Resource
		})
		switch {
		case i < 0:
			eye.Places = append(eye.Places, p)
		case order[p.State] < order[eye.Places[i].State]:
			eye.Places[i] = p
		}
	}
	return eye
}

func (eye *Eye) finish() {
	eye.State = sum(eye.Places)
	slices.Sort(eye.Rules)
	slices.Sort(eye.Techniques)
	var open []Place
	for _, p := range eye.Places {
		if p.State == Covered {
			eye.Seen++
		} else if p.State != None {
			open = append(open, p)
		}
	}
	slices.SortFunc(open, func(x, y Place) int {
		return cmp.Or(strings.Compare(x.Account, y.Account), strings.Compare(x.Region, y.Region), strings.Compare(x.Resource, y.Resource))
	})
	eye.Places = append([]Place{}, open...)
}

func (a *assessment) technique(r Rule) {
	for _, id := range r.Techniques {
		t := a.techniques[id]
		if t == nil {
			t = &Technique{ID: id, State: r.State, Rules: []string{}}
			a.techniques[id] = t
		}
		t.Rules = append(t.Rules, r.RuleID)
		if r.State != Covered && r.State != None {
			t.Blind = append(t.Blind, r.RuleID)
		}
		t.State = joined(t.State, r.State)
	}
}

// joined is what two rules see of one technique.
func joined(x, y State) State {
	switch {
	case x == y || y == None:
		return x
	case x == None:
		return y
	case (x == Unknown || x == Covered) && (y == Unknown || y == Covered):
		return Unknown
	}
	return Partly
}
