package asl

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/bartizan-security/bartizan/asl/value"
)

var stateTypes = []string{"Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map"}

// The fields of each type: in both languages, in JSONPath, in JSONata.
// https://states-language.net/#state-type-table
var stateFields = map[string][3][]string{
	"Pass":     {{"Next", "End", "Assign"}, {"InputPath", "OutputPath", "Parameters", "Result", "ResultPath"}, {"Output"}},
	"Task":     {{"Resource", "Next", "End", "Assign", "Retry", "Catch", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"}, {"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "TimeoutSecondsPath", "HeartbeatSecondsPath"}, {"Arguments", "Output"}},
	"Choice":   {{"Choices", "Default", "Assign"}, {"InputPath", "OutputPath"}, {"Output"}},
	"Wait":     {{"Next", "End", "Assign", "Seconds", "Timestamp"}, {"InputPath", "OutputPath", "SecondsPath", "TimestampPath"}, {"Output"}},
	"Succeed":  {{}, {"InputPath", "OutputPath"}, {"Output"}},
	"Fail":     {{"Error", "Cause"}, {"ErrorPath", "CausePath"}, {}},
	"Parallel": {{"Branches", "Next", "End", "Assign", "Retry", "Catch"}, {"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath"}, {"Arguments", "Output"}},
	"Map": {{"ItemProcessor", "Iterator", "Next", "End", "Assign", "Retry", "Catch", "MaxConcurrency", "ItemSelector", "ItemReader", "ItemBatcher", "ResultWriter", "ToleratedFailureCount", "ToleratedFailurePercentage", "Label"},
		{"InputPath", "OutputPath", "Parameters", "ResultSelector", "ResultPath", "ItemsPath", "MaxConcurrencyPath", "ToleratedFailureCountPath", "ToleratedFailurePercentagePath"}, {"Items", "Output"}},
}

func (b *builder) state(o *value.Object, name, p, ql string) *state {
	s := &state{name: name, pointer: p, ql: ql}
	outerQL, outerVars, outerAt, outerTyp := b.ql, b.vars, b.at, b.typ
	b.vars = map[string]bool{}
	defer func() {
		s.variables = sortedNames(b.vars)
		sort.Strings(s.variables)
		b.ql, b.vars, b.at, b.typ = outerQL, outerVars, outerAt, outerTyp
	}()
	s.comment, _ = b.str(o, p, "Comment")
	mixed := false
	if o.Has("QueryLanguage") {
		if s.ql = b.language(o, p); ql == JSONata && s.ql == JSONPath {
			mixed = true
			b.errorf(p, "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine")
		}
	}
	b.ql = s.ql
	if !o.Has("Type") {
		b.required(o, p, "Type")
		return nil
	}
	typ, ok := b.oneOf(o, p, "Type", stateTypes...)
	if !ok {
		return nil
	}
	s.typ = typ
	b.at, b.typ = p, typ
	b.stateFieldNames(o, p, s, mixed)
	b.nextOrEnd(o, p, s)
	b.inputOutput(o, p, s)
	switch typ {
	case "Pass":
		if s.result, s.hasResult = o.Get("Result"); s.hasResult && !s.jsonata() {
			b.staticResult(s.result, p+"/Result", 0)
		}
	case "Task":
		b.task(o, p, s)
	case "Choice":
		b.choice(o, p, s)
	case "Wait":
		b.wait(o, p, s)
	case "Fail":
		b.fail(o, p, s)
	case "Parallel":
		b.parallel(o, p, s)
	case "Map":
		b.mapState(o, p, s)
	}
	return s
}

// staticResult warns of a Pass state's Result that is written as if it were a
// template.
func (b *builder) staticResult(v any, pointer string, depth int) {
	o, ok := v.(*value.Object)
	if !ok || depth > 20 {
		return
	}
	for i := range o.Len() {
		k, e := o.At(i)
		if strings.HasSuffix(k, ".$") && looksDynamic(e) {
			b.remark(SeverityWarning, CodeStaticResult, value.Pointer(pointer, k), "The Result of a Pass state is static: the path in '%s' is not evaluated", k)
		}
		b.staticResult(e, value.Pointer(pointer, k), depth+1)
	}
}

func (b *builder) stateFieldNames(o *value.Object, p string, s *state, mixed bool) {
	sets := stateFields[s.typ]
	other, mine := 2, 1
	if s.jsonata() {
		other, mine = 1, 2
	}
	known := append(append([]string{"Type", "Comment", "QueryLanguage"}, sets[0]...), sets[mine]...)
	for _, k := range o.Keys() {
		if slices.Contains(known, k) {
			continue
		}
		if slices.Contains(sets[other], k) {
			if !mixed {
				d := b.errorf(value.Pointer(p, k), "The QueryLanguage is set to '%s', but field '%s' is only supported for the '%s' QueryLanguage", s.ql, k, otherLanguage(s.ql))
				d.Location = b.location(p)
			}
			continue
		}
		b.unsupported(p, k, known)
	}
}

func otherLanguage(ql string) string {
	if ql == JSONata {
		return JSONPath
	}
	return JSONata
}

func (b *builder) nextOrEnd(o *value.Object, p string, s *state) {
	s.next, _ = b.str(o, p, "Next")
	s.end, _ = b.boolean(o, p, "End")
	switch s.typ {
	case "Succeed", "Fail", "Choice":
		return
	}
	switch hasNext := o.Has("Next"); {
	case hasNext && s.end:
		b.onlyOne(o, p, "Next", "End")
	case !hasNext && !o.Has("End"):
		b.errorf(p, "These fields are required: [Next]")
	case !hasNext && !s.end:
		b.errorf(p, "These fields are required: [Next]")
	}
}

func (b *builder) inputOutput(o *value.Object, p string, s *state) {
	get := func(name string, into **template) {
		if v, ok := o.Get(name); ok {
			*into = b.template(v, p+"/"+name, name, s.jsonata())
		}
	}
	if s.jsonata() {
		get("Output", &s.output)
		get("Arguments", &s.parameters)
	} else {
		s.inputPath = b.pathField(o, p, "InputPath", false, false)
		s.outputPath = b.pathField(o, p, "OutputPath", false, false)
		s.resultPath = b.pathField(o, p, "ResultPath", true, false)
		if s.resultPath.path != nil && (s.resultPath.path.Context() || s.resultPath.path.Variable() != "") {
			b.errorf(p+"/ResultPath", "Value is not a Reference Path: it must start with $.")
		}
		if s.typ != "Map" {
			get("Parameters", &s.parameters)
		}
		get("ResultSelector", &s.resultSelector)
		if v, ok := o.Get("ResultSelector"); ok {
			b.object(v, p+"/ResultSelector")
		}
	}
	s.assign = b.assign(o, p, "Assign", s.jsonata())
}

var variableName = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_]{0,79}$`)

func (b *builder) assign(o *value.Object, p, where string, ja bool) *template {
	v, ok := o.Get("Assign")
	if !ok {
		return nil
	}
	at := p + "/Assign"
	a, ok := b.object(v, at)
	if !ok {
		return nil
	}
	for _, k := range a.Keys() {
		name := k
		if !ja {
			name = strings.TrimSuffix(k, ".$")
		}
		switch {
		case name == "states":
			b.errorf(value.Pointer(at, k), "The variable name 'states' is reserved")
		case !variableName.MatchString(name):
			b.errorf(value.Pointer(at, k), "'%s' is not a valid variable name", name)
		}
	}
	return b.template(v, at, where, ja)
}

// numberField reads NAME, which JSONata states may compute, and NAMEPath.
func (b *builder) numberField(o *value.Object, p string, s *state, name string, least, most float64, whole bool) numberField {
	pathName := name + "Path"
	if !s.jsonata() {
		b.onlyOne(o, p, name, pathName)
	}
	if v, ok := o.Get(name); ok {
		if text, isText := v.(string); isText && s.jsonata() {
			if src, ok := expression(text); ok {
				x := b.compile(src, p+"/"+name)
				return numberField{set: x != nil, expr: x, name: name}
			}
		}
		f, isNumber := value.Float(v)
		if _, isInt := value.Int(v); !isNumber || whole && !isInt {
			kind := "NUMBER"
			if whole {
				kind = "INTEGER"
			}
			b.errorf(p+"/"+name, "Expected value of type [%s]", kind)
			return numberField{}
		}
		if f < least || f > most {
			word, bound := "Minimum", least
			if f > most {
				word, bound = "Maximum", most
			}
			if whole {
				b.errorf(p+"/"+name, "%s value is %.0f", word, bound)
			} else {
				b.errorf(p+"/"+name, "%s value is %.1f", word, bound)
			}
			return numberField{}
		}
		return numberField{set: true, fixed: f, name: name}
	}
	if v, ok := o.Get(pathName); ok && !s.jsonata() {
		text, isText := v.(string)
		if !isText {
			b.errorf(p+"/"+pathName, "Expected value of type [STRING]")
			return numberField{}
		}
		path := b.jsonPath(text, p+"/"+pathName, true)
		return numberField{set: path != nil, path: path, name: pathName}
	}
	return numberField{}
}

const mostSeconds = 99999999

var uri = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:.+`)

func (b *builder) task(o *value.Object, p string, s *state) {
	if b.required(o, p, "Resource") {
		s.resource, _ = b.str(o, p, "Resource")
		s.res = parseResource(s.resource)
		switch {
		case s.res.lacksPattern():
			b.errorf(p+"/Resource", "The resource provided %s is not recognized. The value is not a valid resource ARN, or the resource is not available in this region.", s.resource)
		case strings.HasPrefix(s.resource, "arn:"):
		case uri.MatchString(s.resource):
			b.remark(SeverityWarning, CodeResource, p+"/Resource", "Value is not a valid resource ARN")
		case o.Has("Resource"):
			b.errorf(p+"/Resource", "Value is not a valid resource ARN").lint = s.resource != ""
		}
	}
	s.timeout = b.numberField(o, p, s, "TimeoutSeconds", 1, mostSeconds, true)
	s.heartbeat = b.numberField(o, p, s, "HeartbeatSeconds", 1, mostSeconds, true)
	if s.timeout.set && s.heartbeat.set && s.timeout.fixed > 0 && s.heartbeat.fixed >= s.timeout.fixed {
		b.errorf(p, "The field 'HeartbeatSeconds' must be smaller than 'TimeoutSeconds'")
	}
	if v, ok := o.Get("Credentials"); ok {
		if _, text := v.(string); !text || !s.jsonata() {
			if _, ok := b.object(v, p+"/Credentials"); !ok {
				return
			}
		}
		s.credentials = b.template(v, p+"/Credentials", "Credentials", s.jsonata())
	}
	b.retryCatch(o, p, s)
}

func (b *builder) errorEquals(o *value.Object, p string, last bool) []string {
	if !b.required(o, p, "ErrorEquals") {
		return nil
	}
	v, _ := o.Get("ErrorEquals")
	a, ok := b.array(v, p+"/ErrorEquals")
	if !ok {
		return nil
	}
	if len(a) == 0 {
		b.errorf(p+"/ErrorEquals", "Value cannot be empty")
	}
	var names []string
	for i, e := range a {
		n, ok := e.(string)
		if !ok {
			b.errorf(elementPointer(p+"/ErrorEquals", i), "Expected value of type [STRING]")
			continue
		}
		if strings.HasPrefix(n, "States.") && !slices.Contains(errorNames, n) {
			d := b.remark(SeverityWarning, CodeSchema, elementPointer(p+"/ErrorEquals", i), "'%s' is not an error name that Step Functions reports", n)
			d.Suggestion = nearest(n, errorNames)
		}
		names = append(names, n)
	}
	if slices.Contains(names, "States.ALL") && (len(names) > 1 || !last) {
		b.errorf(p+"/ErrorEquals", "'States.ALL' must appear alone and in the last entry")
	}
	return names
}

// errorNames are the errors that Step Functions itself reports.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
var errorNames = []string{
	"States.ALL", "States.BranchFailed", "States.DataLimitExceeded", "States.ExceedToleratedFailureThreshold",
	"States.HeartbeatTimeout", "States.Http.Socket", "States.IntrinsicFailure", "States.ItemReaderFailed",
	"States.NoChoiceMatched", "States.ParameterPathFailure", "States.Permissions", "States.QueryEvaluationError",
	"States.ResultPathMatchFailure", "States.ResultWriterFailed", "States.Runtime", "States.TaskFailed", "States.Timeout",
}

func (b *builder) retryCatch(o *value.Object, p string, s *state) {
	if v, ok := o.Get("Retry"); ok {
		list, _ := b.array(v, p+"/Retry")
		for i, e := range list {
			at := elementPointer(p+"/Retry", i)
			ro, ok := b.object(e, at)
			if !ok {
				continue
			}
			b.fields(ro, at, []string{"ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment"})
			r := retrier{interval: 1, attempts: 3, backoff: 2, errors: b.errorEquals(ro, at, i == len(list)-1)}
			if n, ok := b.integer(ro, at, "IntervalSeconds", 1, mostSeconds); ok {
				r.interval = float64(n)
			}
			if n, ok := b.integer(ro, at, "MaxAttempts", 0, mostSeconds); ok {
				r.attempts = n
			}
			if v, ok := ro.Get("BackoffRate"); ok {
				f, isNumber := value.Float(v)
				switch {
				case !isNumber:
					b.errorf(at+"/BackoffRate", "Expected value of type [NUMBER]")
				case f < 1:
					b.errorf(at+"/BackoffRate", "Minimum value is 1.0")
				default:
					r.backoff = f
				}
			}
			if n, ok := b.integer(ro, at, "MaxDelaySeconds", 1, 31622400); ok {
				r.maxDelay, r.hasMaxDelay = float64(n), true
				if float64(n) <= r.interval {
					b.errorf(at, "The field 'MaxDelaySeconds' must be greater than 'IntervalSeconds'")
				}
			}
			if j, ok := b.oneOf(ro, at, "JitterStrategy", "FULL", "NONE"); ok {
				r.jitter = j == "FULL"
			}
			s.retry = append(s.retry, r)
		}
	}
	v, ok := o.Get("Catch")
	if !ok {
		return
	}
	list, _ := b.array(v, p+"/Catch")
	for i, e := range list {
		at := elementPointer(p+"/Catch", i)
		co, ok := b.object(e, at)
		if !ok {
			s.catch = append(s.catch, catcher{})
			continue
		}
		c := catcher{}
		known := []string{"ErrorEquals", "Next", "Assign", "Comment"}
		if s.jsonata() {
			known = append(known, "Output")
			if v, ok := co.Get("Output"); ok {
				c.output = b.template(v, at+"/Output", fmt.Sprintf("Catch[%d]/Output", i), true)
			}
		} else {
			known = append(known, "ResultPath")
			c.resultPath = b.pathField(co, at, "ResultPath", true, false)
		}
		b.fields(co, at, known)
		b.required(co, at, "Next")
		c.next, _ = b.str(co, at, "Next")
		c.errors = b.errorEquals(co, at, i == len(list)-1)
		c.assign = b.assign(co, at, fmt.Sprintf("Catch[%d]/Assign", i), s.jsonata())
		s.catch = append(s.catch, c)
	}
}

func (b *builder) wait(o *value.Object, p string, s *state) {
	names := []string{"Seconds", "Timestamp", "SecondsPath", "TimestampPath"}
	n := 0
	for _, k := range names {
		if o.Has(k) {
			n++
		}
	}
	b.onlyOne(o, p, "Seconds", "SecondsPath", "Timestamp", "TimestampPath")
	if n == 0 {
		b.errorf(p, "One of these fields is required: [Seconds, SecondsPath, Timestamp, TimestampPath]")
	}
	if n <= 1 {
		s.seconds = b.numberField(o, p, s, "Seconds", 0, mostSeconds, true)
	}
	if v, ok := o.Get("Timestamp"); ok {
		text, isText := v.(string)
		_, isExpr := expression(text)
		switch {
		case !isText:
			b.errorf(p+"/Timestamp", "Expected value of type [STRING]")
		case isExpr && s.jsonata():
			s.timestamp = b.template(v, p+"/Timestamp", "Timestamp", true)
		default:
			if s.at, s.hasAt = timestamp(text); !s.hasAt {
				b.errorf(p+"/Timestamp", "String does not match RFC3339 timestamp")
			}
		}
	}
	if text, ok := b.str(o, p, "TimestampPath"); ok && !s.jsonata() {
		s.timestampPath = b.jsonPath(text, p+"/TimestampPath", true)
	}
}

func (b *builder) fail(o *value.Object, p string, s *state) {
	b.onlyOne(o, p, "Error", "ErrorPath")
	b.onlyOne(o, p, "Cause", "CausePath")
	if v, ok := b.str(o, p, "Error"); ok {
		s.errorText = b.template(v, p+"/Error", "Error", s.jsonata())
	}
	if v, ok := b.str(o, p, "Cause"); ok {
		s.causeText = b.template(v, p+"/Cause", "Cause", s.jsonata())
	}
	if !s.jsonata() {
		s.errorPath = b.pathField(o, p, "ErrorPath", true, true)
		s.causePath = b.pathField(o, p, "CausePath", true, true)
	}
}

func (b *builder) parallel(o *value.Object, p string, s *state) {
	if b.required(o, p, "Branches") {
		v, _ := o.Get("Branches")
		list, ok := b.array(v, p+"/Branches")
		if ok && len(list) == 0 {
			b.errorf(p+"/Branches", "Value cannot be empty")
		}
		for i, e := range list {
			at := elementPointer(p+"/Branches", i)
			bo, ok := b.object(e, at)
			if !ok {
				continue
			}
			b.fields(bo, at, []string{"StartAt", "States", "Comment"})
			s.branches = append(s.branches, b.flow(bo, at, s.flowLanguage(b)))
		}
	}
	b.retryCatch(o, p, s)
}

// flowLanguage is the query language that states inside take by default: the
// machine's, as a state's own QueryLanguage holds for that state alone.
func (s *state) flowLanguage(b *builder) string { return b.machine.queryLanguage }
