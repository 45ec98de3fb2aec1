package coverage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/estate"
)

// State says how much is seen.
type State string

// The states, from best to worst. None means that there is nothing to be seen.
const (
	Covered State = "covered"
	Partly  State = "partly"
	Blind   State = "blind"
	Unknown State = "unknown"
	None    State = "none"
)

// recorder is a trail, or an event data store of CloudTrail Lake.
type recorder struct {
	name, arn, account, home string
	multi, org, globals      bool
	state                    State // Covered where it records; Blind where it is stopped; Unknown
	why                      string
	basic                    []any
	advanced                 []any
	insights                 State
	members                  map[string]bool // of an organization's trail: accounts that see it
	lake                     bool
}

// recorders reads the trails and event data stores of an estate, each once.
func recorders(e *estate.Estate) []*recorder {
	byARN := map[string]*recorder{}
	var out []*recorder
	for r := range e.Resources() {
		switch r.Type {
		case "AWS::CloudTrail::Trail", "AWS::CloudTrail::EventDataStore":
		default:
			continue
		}
		rec := recorderOf(r)
		if old := byARN[rec.arn]; old != nil && rec.arn != "" {
			old.members[r.Account] = true
			// A member account sees its organization's trail but not all of it.
			if old.state == Unknown && rec.state != Unknown {
				rec.members = old.members
				*old = *rec
			}
			continue
		}
		byARN[rec.arn] = rec
		out = append(out, rec)
	}
	return out
}

func recorderOf(r *estate.Resource) *recorder {
	d := doc(r.Document)
	rec := &recorder{arn: r.ARN, account: r.Account, home: r.Region, state: Covered, members: map[string]bool{r.Account: true}, insights: Blind}
	if a, err := arn.Parse(r.ARN); err == nil && a.AccountID != "" {
		rec.account = a.AccountID
	}
	if r.Type == "AWS::CloudTrail::EventDataStore" {
		rec.lake, rec.name, rec.globals = true, d.str("Name"), true
		rec.multi, rec.org = d.flag("MultiRegionEnabled"), d.flag("OrganizationEnabled")
		rec.advanced = d.list("AdvancedEventSelectors")
		switch status := d.str("Status"); status {
		case "ENABLED", "STARTING_INGESTION":
		case "":
			rec.state, rec.why = Unknown, "the state of event data store "+rec.name+" was not read"
		default:
			rec.state, rec.why = Blind, fmt.Sprintf("event data store %s is %s", rec.name, status)
		}
		return rec
	}
	rec.name, rec.home = d.str("Name"), d.str("HomeRegion")
	if rec.home == "" {
		rec.home = r.Region
	}
	rec.multi, rec.org, rec.globals = d.flag("IsMultiRegionTrail"), d.flag("IsOrganizationTrail"), d.flag("IncludeGlobalServiceEvents")
	status := d.sub("GetTrailStatus")
	logging, known := status["IsLogging"].(bool)
	switch {
	case !known:
		rec.state, rec.why = Unknown, "whether trail "+rec.name+" is logging was not read"
	case !logging:
		rec.state, rec.why = Blind, "trail "+rec.name+" is stopped"
	case status.str("LatestDeliveryError") != "":
		rec.state, rec.why = Blind, fmt.Sprintf("trail %s cannot deliver: %s", rec.name, status.str("LatestDeliveryError"))
	}
	selectors, read := d["GetEventSelectors"].(map[string]any)
	if !read && rec.state == Covered {
		rec.state, rec.why = Unknown, "the event selectors of trail "+rec.name+" were not read"
	}
	rec.basic, rec.advanced = doc(selectors).list("EventSelectors"), doc(selectors).list("AdvancedEventSelectors")
	if v, ok := d["GetInsightSelectors"]; !ok {
		rec.insights = Unknown
	} else if m, ok := v.(map[string]any); ok && len(doc(m).list("InsightSelectors")) > 0 {
		rec.insights = Covered
	}
	return rec
}

// reaches reports whether the recorder is there for an account and region.
func (rec *recorder) reaches(account, region string, members map[string]bool) bool {
	if !rec.multi && region != rec.home {
		return false
	}
	return account == rec.account || rec.members[account] || rec.org && members[account]
}

// sees judges one call by the recorder's selectors. The text says what is left
// out where that is a part.
func (rec *recorder) sees(c call, global bool) (State, string) {
	if global && !rec.globals {
		return Blind, "trail " + rec.name + " leaves global service events out"
	}
	if c.category == insightType {
		if rec.lake {
			return Blind, ""
		}
		return rec.insights, ""
	}
	if len(rec.basic) == 0 && len(rec.advanced) == 0 {
		// The default: all management events.
		if c.category == "Management" {
			return Covered, ""
		}
		return Blind, rec.name + " records no " + map[string]string{"Data": "data", "NetworkActivity": "network activity"}[c.category] + " events"
	}
	best, why := Blind, ""
	for _, s := range rec.basic {
		best, why = better(best, why)(basicSees(mapOf(s), c))
	}
	for _, s := range rec.advanced {
		best, why = better(best, why)(advancedSees(mapOf(s), c))
	}
	if why == "" && best != Covered {
		why = rec.name + " does not select it"
	}
	return best, why
}

var rank = map[State]int{Covered: 4, Partly: 3, Unknown: 2, Blind: 1, "": 0}

func better(s State, why string) func(State, string) (State, string) {
	return func(t State, other string) (State, string) {
		if rank[t] > rank[s] || rank[t] == rank[s] && why == "" {
			return t, other
		}
		return s, why
	}
}

// basicSees judges by a basic event selector.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_EventSelector.html
func basicSees(d doc, c call) (State, string) {
	switch rw := d.str("ReadWriteType"); {
	case rw == "ReadOnly" && !c.readOnly:
		return Blind, "writes are not selected"
	case rw == "WriteOnly" && c.readOnly:
		return Blind, "reads are not selected"
	}
	if c.category == "Management" {
		if include, ok := d["IncludeManagementEvents"].(bool); ok && !include {
			return Blind, "management events are not selected"
		}
		return excluded(d.strs("ExcludeManagementEventSources"), c)
	}
	if c.category != "Data" {
		return Blind, ""
	}
	best, why := Blind, ""
	for _, v := range d.list("DataResources") {
		res := mapOf(v)
		if res.str("Type") != c.typ {
			continue
		}
		for _, value := range res.strs("Values") {
			s := within(value, c, true)
			if s == Partly {
				best, why = better(best, why)(s, "only "+value)
				continue
			}
			best, why = better(best, why)(s, "")
		}
	}
	return best, why
}

func excluded(sources []string, c call) (State, string) {
	if len(sources) == 0 {
		return Covered, ""
	}
	if c.source == "" {
		return Partly, "events of " + strings.Join(sources, ", ") + " are excluded"
	}
	for _, s := range sources {
		if strings.EqualFold(s, c.source) {
			return Blind, "events of " + s + " are excluded"
		}
	}
	return Covered, ""
}

// within judges a prefix of ARNs, in a data resource or StartsWith.
func within(prefix string, c call, prefixOfAll bool) State {
	if prefixOfAll && strings.Count(prefix, ":") <= 2 || strings.HasSuffix(prefix, ":::") && strings.Count(prefix, ":") == 5 {
		return Covered // arn:aws:s3, arn:aws:s3:::, arn:aws:lambda: all of them
	}
	if c.arn == "" {
		return Partly
	}
	whole := c.arn
	if c.inside {
		whole += "/"
	}
	switch {
	case strings.HasPrefix(whole, prefix):
		return Covered
	case c.inside && strings.HasPrefix(prefix, whole):
		return Partly
	}
	return Blind
}

// advancedSees judges by an advanced event selector: all its fields must hold.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_AdvancedFieldSelector.html
func advancedSees(d doc, c call) (State, string) {
	out, why := Covered, ""
	worse := func(s State, text string) {
		if rank[s] < rank[out] {
			out, why = s, text
		}
	}
	hasType := false
	for _, v := range d.list("FieldSelectors") {
		f := mapOf(v)
		field := f.str("Field")
		switch field {
		case "eventCategory":
			worse(known(f, c.category), "")
		case "readOnly":
			worse(known(f, fmt.Sprint(c.readOnly)), map[bool]string{true: "reads are not selected", false: "writes are not selected"}[c.readOnly])
		case "eventSource":
			worse(maybe(f, c.source), "event sources are left out")
		case "eventName":
			worse(maybe(f, c.name), "event names are left out")
		case "resources.type":
			hasType = true
			worse(known(f, c.typ), "")
		case "resources.ARN":
			s := ofARN(f, c)
			worse(s, "only some ARNs are selected")
		default:
			worse(Partly, "only events of a certain "+field+" are selected")
		}
		if out == Blind {
			return out, why
		}
	}
	if c.category == "Data" && !hasType {
		return Blind, ""
	}
	return out, why
}

// known judges a field whose value is given; case counts in selectors.
func known(f doc, value string) State {
	if holds(f, value) {
		return Covered
	}
	return Blind
}

// maybe is known for a value that "" leaves open.
func maybe(f doc, value string) State {
	if value == "" {
		return Partly
	}
	return known(f, value)
}

func holds(f doc, value string) bool {
	positive := false
	for op, test := range tests {
		values := f.strs(op)
		for _, v := range values {
			if test(value, v) {
				positive = true
			}
		}
		for _, v := range f.strs("Not" + op) {
			if test(value, v) {
				return false
			}
		}
	}
	return positive || len(f.strs("Equals"))+len(f.strs("StartsWith"))+len(f.strs("EndsWith")) == 0
}

var tests = map[string]func(s, part string) bool{
	"Equals": func(s, v string) bool { return s == v }, "StartsWith": strings.HasPrefix, "EndsWith": strings.HasSuffix,
}

func ofARN(f doc, c call) State {
	if c.arn == "" {
		return Partly
	}
	out := Blind
	positives := 0
	for _, v := range f.strs("StartsWith") {
		positives++
		if s := within(v, c, false); rank[s] > rank[out] {
			out = s
		}
	}
	for _, v := range f.strs("Equals") {
		positives++
		switch {
		case !c.inside && v == c.arn:
			out = Covered
		case c.inside && strings.HasPrefix(v, c.arn+"/") && out == Blind:
			out = Partly
		}
	}
	for _, v := range f.strs("EndsWith") {
		positives++
		if c.inside && out == Blind {
			out = Partly
		} else if !c.inside && strings.HasSuffix(c.arn, v) {
			out = Covered
		}
	}
	if positives == 0 {
		out = Covered
	}
	for _, v := range f.strs("NotStartsWith") {
		switch s := within(v, c, false); {
		case s == Covered:
			return Blind
		case s == Partly && out == Covered:
			out = Partly
		}
	}
	if !c.inside && (slices.Contains(f.strs("NotEquals"), c.arn) || slices.ContainsFunc(f.strs("NotEndsWith"), func(v string) bool { return strings.HasSuffix(c.arn, v) })) {
		return Blind
	}
	if c.inside && len(f.strs("NotEquals"))+len(f.strs("NotEndsWith")) > 0 && out == Covered {
		out = Partly
	}
	return out
}

// doc is a document of the estate.
type doc map[string]any

func mapOf(v any) doc {
	m, _ := v.(map[string]any)
	return m
}

func (d doc) str(key string) string { s, _ := d[key].(string); return s }
func (d doc) flag(key string) bool  { b, _ := d[key].(bool); return b }
func (d doc) sub(key string) doc    { return mapOf(d[key]) }
func (d doc) list(key string) []any { l, _ := d[key].([]any); return l }
func (d doc) has(key string) bool   { _, ok := d[key]; return ok }
func (d doc) at(keys ...string) doc {
	for _, k := range keys {
		d = d.sub(k)
	}
	return d
}

func (d doc) strs(key string) []string {
	var out []string
	for _, v := range d.list(key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}
