package awsapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bartizan-security/bartizan/awsapi/internal/jmes"
	"github.com/bartizan-security/bartizan/awsapi/model"
)

// WaitError says why a waiter ended without success.
type WaitError struct {
	Service, Waiter string
	Reason          string
	cause           error
}

func (e *WaitError) Error() string {
	s := fmt.Sprintf("wait for %s %s: %s", e.Service, e.Waiter, e.Reason)
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the last error of the waiter's operation, if that ended it.
func (e *WaitError) Unwrap() error { return e.cause }

// Wait calls a waiter's operation until the waiter succeeds. It returns a
// [WaitError] when the waiter fails or gives up. The waiter's name may be
// spelled as in the model (InstanceRunning) or in the AWS CLI (instance-running).
func (c *Client) Wait(ctx context.Context, service, waiter string, input map[string]any) error {
	s, err := Lookup(service)
	if err != nil {
		return err
	}
	w := s.Waiter(waiter)
	if w == nil {
		var all []string
		for _, other := range s.Waiters {
			all = append(all, other.Name)
		}
		return &UnknownError{What: s.Name + " waiter", Name: waiter, Near: nearest(waiter, all)}
	}
	op := s.Operation(w.Operation)
	if op == nil {
		return &UnknownError{What: s.Name + " operation", Name: w.Operation}
	}
	for attempt := 1; ; attempt++ {
		out, err := c.call(ctx, op, input)
		if IsCanceled(err) {
			return err
		}
		state, derr := decide(w, out, err)
		switch {
		case derr != nil:
			return fmt.Errorf("wait for %s %s: %w", s.Name, w.Name, derr)
		case state == "success":
			return nil
		case state == "failure":
			return &WaitError{s.Name, w.Name, "what it waits for cannot come any more", err}
		case state == "" && err != nil:
			return &WaitError{s.Name, w.Name, "the question failed", err}
		case attempt >= w.MaxAttempts:
			return &WaitError{s.Name, w.Name, fmt.Sprintf("gave up after %d attempts, %d seconds apart", attempt, w.Delay), err}
		}
		if err := c.base.options.Sleep(ctx, time.Duration(w.Delay)*time.Second); err != nil {
			return err
		}
	}
}

// decide asks the acceptors in order; "" means that none has an opinion.
func decide(w *model.Waiter, out map[string]any, err error) (string, error) {
	for _, a := range w.Acceptors {
		ok, merr := accepts(a, out, err)
		if merr != nil {
			return "", merr
		}
		if ok {
			return a.State, nil
		}
	}
	return "", nil
}

func accepts(a model.Acceptor, out map[string]any, err error) (bool, error) {
	var e *Error
	isError := errors.As(err, &e)
	switch a.Matcher {
	case "error":
		switch want := a.Expected.(type) {
		case string:
			return isError && e.Code == want, nil
		case bool:
			return want == (err != nil), nil
		}
		return false, nil
	case "status":
		status := 200.0
		if isError {
			status = float64(e.Status)
		}
		return jmes.Equal(a.Expected, status), nil
	}
	if err != nil {
		return false, nil //nolint:nilerr // a failed call has no output to look at; the waiter judges the error itself
	}
	v, serr := search(a.Argument, out)
	if serr != nil {
		return false, serr
	}
	if a.Matcher == "path" {
		return jmes.Equal(v, a.Expected), nil
	}
	list, _ := v.([]any)
	matched := 0
	for _, item := range list {
		if jmes.Equal(item, a.Expected) {
			matched++
		}
	}
	if a.Matcher == "pathAll" {
		return matched > 0 && matched == len(list), nil
	}
	return matched > 0, nil
}
