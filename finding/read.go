package finding

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrNotReport is wrapped by Read's errors about input that is no report.
var ErrNotReport = errors.New("not a bartizan report in the json or jsonl format")

// Read reads the findings of a report written as json or as jsonl, one at a
// time, and hands each to visit. A truncated report is an error.
//
// A json report is one object with the member "findings". A jsonl report begins
// with an object that has only "report", continues with one finding each, and
// ends with an object that has "summary".
func Read(r io.Reader, visit func(*Finding) error) error {
	d := json.NewDecoder(r)
	fail := func(err error) error {
		switch {
		case errors.Is(err, io.EOF) && d.InputOffset() == 0:
			return fmt.Errorf("%w: it is empty", ErrNotReport)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w: it is truncated after byte %d", ErrNotReport, d.InputOffset())
		}
		return fmt.Errorf("%w: byte %d: %w", ErrNotReport, d.InputOffset(), err)
	}
	delim := func(want json.Delim) error {
		t, err := d.Token()
		if err != nil {
			return fail(err)
		}
		if t != want {
			return fail(fmt.Errorf("want %v", want))
		}
		return nil
	}
	one := func() error {
		var f Finding
		if err := d.Decode(&f); err != nil {
			return fail(err)
		}
		return visit(&f)
	}

	if err := delim('{'); err != nil {
		return err
	}
	isReport, isDocument := false, false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fail(err)
		}
		isReport = isReport || key == "report"
		if key != "findings" {
			var skip json.RawMessage
			if err := d.Decode(&skip); err != nil {
				return fail(err)
			}
			continue
		}
		isDocument = true
		if err := delim('['); err != nil {
			return err
		}
		for d.More() {
			if err := one(); err != nil {
				return err
			}
		}
		if err := delim(']'); err != nil {
			return err
		}
	}
	if err := delim('}'); err != nil {
		return err
	}
	if !isReport {
		return fmt.Errorf("%w: it has no member \"report\"", ErrNotReport)
	}
	for !isDocument {
		var line struct {
			Finding
			Summary json.RawMessage `json:"summary"`
		}
		if err := d.Decode(&line); err != nil {
			return fail(err)
		}
		if line.Summary != nil {
			break
		}
		if err := visit(&line.Finding); err != nil {
			return err
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail(errors.New("something follows the end of the report"))
	}
	return nil
}
