// Package ruletest holds a rule against the examples that stand beside it.
//
// The types are File, the examples of one rule file, and Example, one event or
// stream of events that the rule must match, or must not although it is near.
//
// # Caveats
//
// An example runs through the readers and the whole engine, so what passes here
// is what detect does.
package ruletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/detect/sigma"
	"github.com/bartizan-security/bartizan/internal/yamldoc"
)

// File is the content of NAME.examples.yml beside NAME.yml.
type File struct {
	Positive []Example `yaml:"positive"`
	Negative []Example `yaml:"negative"`
}

// Example is what one test feeds to a rule: exactly one of Event, Events and Log.
type Example struct {
	Rule   string           `yaml:"rule,omitempty"`   // name or id; not needed where the file has one rule
	Reason string           `yaml:"reason,omitempty"` // why a near miss is none; needed of negative examples
	Event  map[string]any   `yaml:"event,omitempty"`
	Events []map[string]any `yaml:"events,omitempty"`
	Log    string           `yaml:"log,omitempty"` // lines of a log, as AWS writes them

	// For correlations: feed it so often, so far apart. Each time, eventTime is
	// moved and eventID made new; in a log, {i} becomes the number, from 0, and
	// {time} the seconds since 1970. Vary names fields of which each repetition
	// gets its own value: the given one with -0, -1, … behind it.
	Repeat int      `yaml:"repeat,omitempty"`
	Every  string   `yaml:"every,omitempty"`
	Vary   []string `yaml:"vary,omitempty"`
}

// Parse reads a file of examples.
func Parse(name string, src []byte) (*File, error) {
	var f File
	if _, err := yamldoc.Decode(name, src, 4<<20, &f); err != nil {
		return nil, fmt.Errorf("parse examples: %w", err)
	}
	return &f, nil
}

// Complete returns what a rule's examples lack: at least one positive and one
// negative example, the negative ones with a reason.
func (f *File) Complete(rules []*sigma.Rule) error {
	var faults []error
	for _, r := range rules {
		if r.Filter != nil || r.Silent() {
			continue
		}
		positive, negative := 0, 0
		for _, e := range f.Positive {
			if e.Rule == "" && only(rules) == r || r.Is(e.Rule) {
				positive++
			}
		}
		for i, e := range f.Negative {
			if e.Rule == "" && only(rules) == r || r.Is(e.Rule) {
				negative++
				if strings.TrimSpace(e.Reason) == "" {
					faults = append(faults, fmt.Errorf("negative example %d of %s has no reason", i+1, r.Key()))
				}
			}
		}
		if positive == 0 || negative == 0 {
			faults = append(faults, fmt.Errorf("%s has %d positive and %d negative examples; it needs one of each", r.Key(), positive, negative))
		}
	}
	return errors.Join(faults...)
}

// only returns the one rule that yields findings, or nil.
func only(rules []*sigma.Rule) *sigma.Rule {
	var out *sigma.Rule
	for _, r := range rules {
		if r.Filter != nil || r.Silent() {
			continue
		}
		if out != nil {
			return nil
		}
		out = r
	}
	return out
}

// Result is the outcome of one example.
type Result struct {
	Rule     string
	Positive bool
	Number   int // from 1, among those of its kind
	Err      error
}

// Run feeds every example to an engine of the file's rules alone.
func (f *File) Run(ctx context.Context, engine *sigma.Engine) []Result {
	var out []Result
	for _, positive := range []bool{true, false} {
		list := f.Positive
		if !positive {
			list = f.Negative
		}
		for i, e := range list {
			r := Result{Positive: positive, Number: i + 1}
			r.Rule, r.Err = run(ctx, engine, e, positive)
			out = append(out, r)
		}
	}
	return out
}

func run(ctx context.Context, engine *sigma.Engine, e Example, positive bool) (string, error) {
	target := only(engine.Rules())
	if e.Rule != "" {
		target = engine.Find(e.Rule)
	}
	if target == nil {
		return e.Rule, fmt.Errorf("which rule is it for? name one that the file has: rule: NAME")
	}
	text, err := e.text()
	if err != nil {
		return target.Key(), err
	}
	matched := 0
	var problems []string
	stats, err := detect.Run(ctx, []logs.Source{logs.FromReader("example", strings.NewReader(text))}, engine,
		detect.Options{Workers: 1, Problem: func(p logs.Problem) { problems = append(problems, p.Error()) }},
		func(m *detect.Match) error {
			if m.Rule == target {
				matched++
			}
			return nil
		})
	switch {
	case err != nil:
		return target.Key(), err
	case len(problems) > 0:
		return target.Key(), errors.New(strings.Join(problems, "; "))
	case stats.Events == 0:
		return target.Key(), errors.New("the example holds no event")
	case positive && matched == 0:
		return target.Key(), errors.New("does not match" + why(ctx, engine, target, text))
	case !positive && matched > 0:
		return target.Key(), errors.New("matches, but must not")
	}
	return target.Key(), nil
}

// why shows which part of a detection failed on the first event.
func why(ctx context.Context, engine *sigma.Engine, r *sigma.Rule, text string) string {
	if !r.IsDetection() {
		return ""
	}
	out := ""
	reader := &logs.Reader{Schema: engine.Schema(), Visit: func(e *event.Event) error {
		if out == "" {
			out = ":\n" + engine.Matcher().Explain(r, e).String()
		}
		return nil
	}}
	_, _ = reader.Read(ctx, logs.FromReader("example", strings.NewReader(text)))
	return out
}

func (e *Example) text() (string, error) {
	given := 0
	for _, has := range []bool{e.Event != nil, len(e.Events) > 0, e.Log != ""} {
		if has {
			given++
		}
	}
	if given != 1 {
		return "", errors.New("an example has one of event, events and log")
	}
	every := time.Duration(0)
	if e.Every != "" {
		var err error
		if every, err = time.ParseDuration(e.Every); err != nil {
			return "", fmt.Errorf("every: %w", err)
		}
	}
	if e.Repeat > 100_000 || e.Repeat < 0 {
		return "", errors.New("repeat: at most 100000 times")
	}
	list := e.Events
	if e.Event != nil {
		list = []map[string]any{e.Event}
	}
	const start = 1_700_000_000 // some moment: 2023-11-14T22:13:20Z
	var b strings.Builder
	for i := range max(e.Repeat, 1) {
		if e.Log != "" {
			at := strconv.FormatInt(start+int64(time.Duration(i)*every/time.Second), 10)
			b.WriteString(strings.NewReplacer("{i}", strconv.Itoa(i), "{time}", at).Replace(strings.TrimRight(e.Log, "\n")))
			b.WriteByte('\n')
			continue
		}
		for k, doc := range list {
			text, err := json.Marshal(e.repeated(doc, i, k, time.Duration(i)*every))
			if err != nil {
				return "", fmt.Errorf("event %d: %w", k+1, err)
			}
			b.Write(text)
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}

func (e *Example) repeated(doc map[string]any, i, k int, later time.Duration) map[string]any {
	out := copied(doc).(map[string]any)
	_, cloudTrail := out["eventName"]
	if id, ok := out["eventID"].(string); ok && i > 0 {
		out["eventID"] = fmt.Sprintf("%s-%d", id, i)
	} else if !ok && cloudTrail {
		out["eventID"] = fmt.Sprintf("example-%d-%d", k, i)
	}
	if at, ok := out["eventTime"].(string); ok {
		if t := event.ParseTime(at); !t.IsZero() {
			out["eventTime"] = t.Add(later).Format(time.RFC3339)
		}
	} else if cloudTrail {
		out["eventTime"] = time.Unix(1_700_000_000, 0).UTC().Add(later).Format(time.RFC3339)
	}
	if cloudTrail && out["eventVersion"] == nil {
		out["eventVersion"] = "1.11"
	}
	for _, path := range e.Vary {
		vary(out, strings.Split(path, "."), i)
	}
	return out
}

func vary(doc map[string]any, path []string, i int) {
	for ; len(path) > 1; path = path[1:] {
		next, ok := doc[path[0]].(map[string]any)
		if !ok {
			return
		}
		doc = next
	}
	if v, ok := doc[path[0]]; ok {
		doc[path[0]] = fmt.Sprintf("%v-%d", v, i)
	}
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e)
		}
		return out
	}
	return v
}
