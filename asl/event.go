package asl

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/bartizan-security/bartizan/asl/value"
)

// Event is one entry of an execution's history, named as AWS names it.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html
type Event struct {
	ID       int64
	Previous int64
	Type     string
	Time     time.Time
	Name     string // of the state or, for iterations, of the Map state
	Input    any
	Output   any
	Error    string
	Cause    string
	Details  *value.Object // what else the event carries

	// Child names the child execution of a distributed Map that the event
	// belongs to, empty for the execution itself. Internal events carry what a
	// resumed run needs to know and AWS has no event for.
	Child    string
	Internal bool

	wake     int64 // the wait that ended with this event, 0 for none
	hasInput bool
	hasOut   bool
	hasErr   bool
	hasCause bool
}

// detailsMember is the name of the member that holds an event's details.
func detailsMember(typ string) string {
	switch {
	case strings.HasSuffix(typ, "StateEntered"):
		return "stateEnteredEventDetails"
	case strings.HasSuffix(typ, "StateExited"):
		return "stateExitedEventDetails"
	}
	r := []rune(typ)
	r[0] = unicode.ToLower(r[0])
	return string(r) + "EventDetails"
}

// MarshalJSON writes the event as GetExecutionHistory returns it: inputs and
// outputs are JSON in a string.
func (e Event) MarshalJSON() ([]byte, error) {
	o := value.NewObject(5)
	o.Set("timestamp", stamp(e.Time))
	o.Set("type", e.Type)
	o.Set("id", e.ID)
	o.Set("previousEventId", e.Previous)
	d := value.NewObject(4)
	if e.Name != "" {
		d.Set("name", e.Name)
	}
	if e.hasInput {
		d.Set("input", value.String(e.Input))
	}
	if e.hasOut {
		d.Set("output", value.String(e.Output))
	}
	if e.hasErr {
		d.Set("error", e.Error)
	}
	if e.hasCause {
		d.Set("cause", e.Cause)
	}
	if e.Details != nil {
		for i := range e.Details.Len() {
			k, v := e.Details.At(i)
			switch k {
			case "parameters", "taskInput":
				v = value.String(v)
			case "assignedVariables":
				if vars, ok := v.(*value.Object); ok {
					texts := value.NewObject(vars.Len())
					for j := range vars.Len() {
						n, x := vars.At(j)
						texts.Set(n, value.String(x))
					}
					v = texts
				}
			}
			d.Set(k, v)
		}
	}
	if d.Len() > 0 {
		o.Set(detailsMember(e.Type), d)
	}
	return value.Append(nil, o), nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// Encode writes the event for a [History], with everything a resumed run needs.
func (e Event) Encode() []byte {
	o := value.Obj("i", e.ID, "p", e.Previous, "t", e.Type, "at", e.Time.UTC().Format(time.RFC3339Nano))
	opt := func(k string, has bool, v any) {
		if has {
			o.Set(k, v)
		}
	}
	opt("n", e.Name != "", e.Name)
	opt("in", e.hasInput, e.Input)
	opt("out", e.hasOut, e.Output)
	opt("e", e.hasErr, e.Error)
	opt("c", e.hasCause, e.Cause)
	opt("child", e.Child != "", e.Child)
	opt("internal", e.Internal, true)
	opt("w", e.wake != 0, e.wake)
	if e.Details != nil {
		o.Set("d", e.Details)
	}
	return value.Append(nil, o)
}

// DecodeEvent reads what Encode wrote.
func DecodeEvent(raw []byte) (Event, error) {
	v, err := value.Parse(raw)
	if err != nil {
		return Event{}, fmt.Errorf("decode event: %w", err)
	}
	o, ok := v.(*value.Object)
	if !ok {
		return Event{}, fmt.Errorf("decode event: %.40q is no object", raw)
	}
	text := func(k string) (string, bool) {
		x, ok := o.Get(k)
		s, isText := x.(string)
		return s, ok && isText
	}
	num := func(k string) int64 {
		x, _ := o.Get(k)
		n, _ := x.(int64)
		return n
	}
	e := Event{ID: num("i"), Previous: num("p"), wake: num("w")}
	e.Type, _ = text("t")
	e.Name, _ = text("n")
	e.Child, _ = text("child")
	e.Error, e.hasErr = text("e")
	e.Cause, e.hasCause = text("c")
	e.Input, e.hasInput = o.Get("in")
	e.Output, e.hasOut = o.Get("out")
	e.Internal = o.Has("internal")
	if d, ok := o.Get("d"); ok {
		e.Details, _ = d.(*value.Object)
	}
	at, _ := text("at")
	if e.Time, err = time.Parse(time.RFC3339Nano, at); err != nil || e.Type == "" {
		return Event{}, fmt.Errorf("decode event: %.40q has no type or time", raw)
	}
	return e, nil
}
