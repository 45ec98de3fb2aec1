package finding

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNotReport is wrapped by Read's errors about input that is no report.
var ErrNotReport = errors.New("not a bartizan report in the json or jsonl format")

// Read reads the findings of a report written as json or as jsonl, one at a
// time, and hands each to visit. A truncated report is an error.
//
// A json report is one object that begins with the member "report". In a jsonl
// report every line is one finding; nothing marks its end.
func Read(r io.Reader, visit func(*Finding) error) error {
	in := bufio.NewReader(r)
	d := json.NewDecoder(in)
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

	if !startsDocument(in) {
		return readLines(d, fail, visit)
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
	if !isDocument {
		return fmt.Errorf("%w: it has no member \"findings\"", ErrNotReport)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fail(errors.New("something follows the end of the report"))
	}
	return nil
}

// startsDocument looks ahead for a member of a json report.
func startsDocument(in *bufio.Reader) bool {
	start, _ := in.Peek(256) // an error shows when the report is read
	text := strings.TrimLeft(string(start), " \t\r\n")
	if text == "" {
		return false
	}
	text, ok := strings.CutPrefix(text, "{")
	text = strings.TrimLeft(text, " \t\r\n")
	for _, member := range []string{`"report"`, `"findings"`, `"summary"`, `"gaps"`} {
		if strings.HasPrefix(text, member) {
			return true
		}
	}
	return !ok
}

// readLines reads a jsonl report.
func readLines(d *json.Decoder, fail func(error) error, visit func(*Finding) error) error {
	for n := 1; ; n++ {
		var f Finding
		switch err := d.Decode(&f); {
		case errors.Is(err, io.EOF):
			return nil // also of an empty file, which is what a report without findings is
		case err != nil:
			return fail(err)
		case f.RuleID == "" && f.Fingerprint == "" && f.Status == "":
			return fmt.Errorf("%w: value %d is no finding", ErrNotReport, n)
		}
		if err := visit(&f); err != nil {
			return err
		}
	}
}
