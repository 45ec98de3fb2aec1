package report

import (
	"cmp"
	"io"
	"strings"

	"github.com/bartizan-security/bartizan/arn"
	"github.com/bartizan-security/bartizan/finding"
)

// ocsfVersion is the version of the schema that every event names.
// https://schema.ocsf.io/1.5.0/
const ocsfVersion = "1.5.0"

// ocsfWriter writes a JSON array of OCSF events, one to a line: a Compliance
// Finding (class 2003) for a control, a Detection Finding (2004) for a detection,
// an Incident Finding (2005) for an incident.
type ocsfWriter struct {
	e   *encoder
	run Run
	n   int
}

func newOCSF(w io.Writer, run Run, _ Options) Writer {
	o := &ocsfWriter{e: newEncoder(w, false), run: run}
	o.e.text("[")
	return o
}

func (o *ocsfWriter) Write(f *finding.Finding) error {
	if o.n > 0 {
		o.e.text(",")
	}
	o.n++
	o.e.text("\n")
	o.e.value(o.event(f))
	return o.e.err
}

func (o *ocsfWriter) Close(r *Result) error {
	for _, in := range r.Incidents {
		if o.n > 0 {
			o.e.text(",")
		}
		o.n++
		o.e.text("\n")
		o.e.value(o.incident(in))
	}
	o.e.text("\n]\n")
	return o.e.err
}

type object = map[string]any

func (o *ocsfWriter) event(f *finding.Finding) object {
	when := o.run.Time
	if !f.Time.IsZero() {
		when = f.Time
	}
	activity, activityName := 1, "Create"
	if f.Change == finding.ChangeUnchanged {
		activity, activityName = 2, "Update"
	}
	severity, severityName := ocsfSeverity(f.Severity)
	status, statusName := 1, "New"
	if f.Status == finding.StatusMuted {
		status, statusName = 3, "Suppressed"
	}
	info := object{"uid": f.Fingerprint, "title": f.Title, "created_time": when.UnixMilli(),
		"analytic": object{"uid": f.RuleID, "name": f.Title, "type": "Rule", "type_id": 1}}
	put(info, "desc", f.Why)
	e := object{
		"category_uid": 2, "category_name": "Findings",
		"activity_id": activity, "activity_name": activityName,
		"time":        when.UnixMilli(),
		"severity_id": severity, "severity": severityName,
		"status_id": status, "status": statusName,
		"metadata": object{"version": ocsfVersion, "profiles": []string{"cloud"}, "event_code": f.RuleID, "uid": f.Fingerprint,
			"product": object{"name": "bartizan", "vendor_name": "bartizan", "version": o.run.Version}},
		"finding_info": info,
		"cloud":        ocsfCloud(&f.Resource),
		"message":      cmp.Or(f.Reason, f.Title),
	}
	put(e, "status_detail", why(f))
	if r := ocsfResource(&f.Resource); r != nil {
		e["resources"] = []object{r}
	}
	if f.Fix != nil {
		if text := fixText(f.Fix); text != "" {
			e["remediation"] = object{"desc": text}
		}
	}
	if f.Change != "" {
		e["unmapped"] = object{"change": f.Change}
	}
	if f.IsDetection() {
		o.detection(e, info, f)
	} else {
		ocsfCompliance(e, f)
	}
	e["type_uid"] = e["class_uid"].(int)*100 + activity
	e["type_name"] = e["class_name"].(string) + ": " + activityName
	return e
}

func ocsfCompliance(e object, f *finding.Finding) {
	e["class_uid"], e["class_name"] = 2003, "Compliance Finding"
	id, name := 0, "Unknown"
	switch f.Status {
	case finding.StatusPass:
		id, name = 1, "Pass"
	case finding.StatusFail, finding.StatusMuted:
		id, name = 3, "Fail"
	}
	c := object{"control": f.RuleID, "status_id": id, "status": name}
	put(c, "status_detail", f.Reason)
	put(c, "category", string(f.Pillar))
	if ids := frameworkIDs(f.Frameworks); len(ids) > 0 {
		c["requirements"] = ids
		c["standards"] = sortedKeys(f.Frameworks)
	}
	e["compliance"] = c
	if len(f.Evidence) > 0 {
		list := make([]object, len(f.Evidence))
		for i, v := range f.Evidence {
			list[i] = object{"path": v.Path, "value": valueText(v.Value, 16<<10)}
			put(list[i], "note", v.Note)
		}
		more, _ := e["unmapped"].(object)
		if more == nil {
			more = object{}
			e["unmapped"] = more
		}
		more["evidence"] = list
	}
}

func (o *ocsfWriter) detection(e, info object, f *finding.Finding) {
	e["class_uid"], e["class_name"] = 2004, "Detection Finding"
	e["is_alert"] = f.Status == finding.StatusFail
	var attacks []object
	for _, t := range f.Techniques {
		if parent, _, sub := strings.Cut(t, "."); sub {
			attacks = append(attacks, object{"technique": object{"uid": parent}, "sub_technique": object{"uid": t}})
		} else if t != "" {
			attacks = append(attacks, object{"technique": object{"uid": t}})
		}
	}
	if len(attacks) > 0 {
		info["attacks"] = attacks
	}
	if !f.Time.IsZero() {
		info["first_seen_time"] = f.Time.UnixMilli()
	}
	if len(f.EventIDs) > 0 {
		var related []object
		for _, id := range f.EventIDs {
			related = append(related, object{"uid": id})
		}
		info["related_events"] = related
		info["related_events_count"] = len(related)
	}
	evidence := object{"data": object{}}
	data := evidence["data"].(object)
	for _, v := range f.Evidence {
		data[cmp.Or(v.Path, "value")] = valueText(v.Value, 16<<10)
	}
	if f.Actor != "" {
		user := object{"name": f.Actor}
		if a, err := arn.Parse(f.Actor); err == nil {
			user = object{"name": a.Name(), "uid": f.Actor}
		}
		evidence["actor"] = object{"user": user}
	}
	if len(data) > 0 || f.Actor != "" {
		e["evidences"] = []object{evidence}
	}
}

func ocsfSeverity(s finding.Severity) (int, string) {
	if r := s.Rank(); r > 0 { // 1 informational to 5 critical, as here
		return r, strings.ToUpper(string(s[:1])) + string(s[1:])
	}
	return 0, "Unknown"
}

func ocsfCloud(r *finding.Resource) object {
	c := object{"provider": "AWS"}
	if r.Account != "" {
		c["account"] = object{"uid": r.Account, "type": "AWS Account", "type_id": 10}
	}
	put(c, "region", r.Region)
	if a, err := arn.Parse(r.ARN); err == nil {
		c["cloud_partition"] = a.Partition
	}
	return c
}

func ocsfResource(r *finding.Resource) object {
	id := cmp.Or(r.ARN, r.ID)
	if id == "" {
		return nil
	}
	o := object{"uid": id}
	put(o, "name", r.ID)
	put(o, "type", r.Type)
	put(o, "region", r.Region)
	if a, err := arn.Parse(r.ARN); err == nil {
		o["cloud_partition"] = a.Partition
	}
	if len(r.Tags) > 0 {
		var tags []object
		for _, k := range sortedKeys(r.Tags) {
			tags = append(tags, object{"name": k, "value": r.Tags[k]})
		}
		o["tags"] = tags
	}
	return o
}

func put(o object, key, value string) {
	if value != "" {
		o[key] = value
	}
}
