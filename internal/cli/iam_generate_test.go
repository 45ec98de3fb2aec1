package cli

import (
	"context"
	"strings"
	"testing"

	"github.com/bartizan-security/bartizan/detect/event"
	"github.com/bartizan-security/bartizan/detect/logs"
	"github.com/bartizan-security/bartizan/identity/usage"
	"github.com/bartizan-security/bartizan/internal/thirdparty"
)

// Nearly every kind of event in recorded CloudTrail logs has its IAM action;
// those without are signing in and what services note by themselves.
func TestEventsHaveActions(t *testing.T) {
	dir := thirdparty.Path(t, "cloudtrail")
	sources, err := logs.Files(dir)
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := map[string]bool{}, map[string]bool{}
	r := &logs.Reader{Schema: event.NewSchema("eventName"), Problem: func(logs.Problem) {}, Skipped: func(string) {}}
	r.Visit = func(e *event.Event) error {
		doc, err := e.Document()
		if err != nil {
			return nil //nolint:nilerr // an event that is not JSON is not of interest here
		}
		c, ok := newTrailCall(doc)
		if !ok || strings.HasPrefix(c.Source, "signin.") {
			return nil
		}
		if len(usage.ActionsOf(c.Source, c.Name)) > 0 {
			known[c.Source+" "+c.Name] = true
		} else {
			unknown[c.Source+" "+c.Name] = true
		}
		return nil
	}
	for _, s := range sources {
		if _, err := r.Read(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kinds of event with an action, %d without: %v", len(known), len(unknown), unknown)
	if len(known) < 400 || len(unknown)*50 > len(known) {
		t.Errorf("%d kinds of event have no action: %v", len(unknown), unknown)
	}
}
