package catalog_test

import (
	"context"
	"testing"

	"github.com/bartizan-security/bartizan/detect"
	"github.com/bartizan-security/bartizan/detect/logs"
)

// TestOrdinaryWork feeds the pack a day on which nothing happens: people who
// look around in the console, Terraform, a pipeline, CloudFormation, scanners
// of AWS, cluster nodes, a user who rotates his key and mistypes his password.
// Nothing above informational may come of it.
func TestOrdinaryWork(t *testing.T) {
	engine := pack(t)
	sources, err := logs.Files("testdata/ordinary.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	stats, err := detect.Run(context.Background(), sources, engine, detect.Options{Workers: 1}, func(m *detect.Match) error {
		if m.Rule.Level != "informational" {
			t.Errorf("%s (%s): %s %v", m.Rule.Name, m.Rule.Level, m.Finding.Reason, m.Finding.EventIDs)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Events < 250 || stats.Malformed > 0 {
		t.Errorf("read %d events, %d malformed", stats.Events, stats.Malformed)
	}
}
