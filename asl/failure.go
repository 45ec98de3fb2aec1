package asl

import "fmt"

// failure is how a state fails: an error name and a cause, as a Catch sees them.
type failure struct {
	name     string
	cause    string
	hasCause bool
	hasName  bool // false only for a Fail state without Error
	placed   bool // the cause still needs "An error occurred while executing …" before it

	evaluation bool   // an EvaluationFailed event belongs to it
	location   string // the field of the expression that failed
	aborted    bool   // the execution itself ended: nothing catches it
}

func runtimeFailure(format string, args ...any) *failure {
	return &failure{name: "States.Runtime", cause: fmt.Sprintf(format, args...), hasCause: true, placed: true}
}

func queryFailure(location, format string, args ...any) *failure {
	return &failure{name: "States.QueryEvaluationError", cause: fmt.Sprintf(format, args...), hasCause: true, placed: true, evaluation: true, location: location}
}

// catchable reports whether Retry and Catch may look at the failure at all.
// https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
func (f *failure) catchable() bool { return f.name != "States.Runtime" && !f.aborted }

// matches reports whether an ErrorEquals list names the failure.
func (f *failure) matches(names []string) bool {
	for _, n := range names {
		switch {
		case n == "States.ALL", n == f.name:
			return true
		case n == "States.TaskFailed" && f.name != "States.Timeout" && f.name != "States.HeartbeatTimeout":
			return true
		case n == "States.Timeout" && f.name == "States.HeartbeatTimeout":
			return true
		}
	}
	return false
}
