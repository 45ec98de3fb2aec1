package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/bartizan-security/bartizan/estate"
	"github.com/bartizan-security/bartizan/finding"
)

// encoder writes JSON values one after another, with HTML characters as they
// are unless html asks for them escaped.
type encoder struct {
	w   io.Writer
	buf bytes.Buffer
	enc *json.Encoder
	err error
}

func newEncoder(w io.Writer, html bool) *encoder {
	e := &encoder{w: w}
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(html)
	return e
}

func (e *encoder) text(s string) {
	if e.err == nil {
		_, e.err = io.WriteString(e.w, s)
	}
}

// value writes v without a line end.
func (e *encoder) value(v any) {
	if e.err != nil {
		return
	}
	e.buf.Reset()
	if e.err = e.enc.Encode(v); e.err == nil {
		_, e.err = e.w.Write(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	}
}

// finding writes f. Evidence that has no JSON form (a NaN, a time of year
// 10000) is written as text rather than losing the finding.
func (e *encoder) finding(f *finding.Finding) {
	if e.err != nil {
		return
	}
	e.buf.Reset()
	if e.enc.Encode(f) != nil {
		g := *f
		g.Evidence = nil
		for _, v := range f.Evidence {
			if _, err := json.Marshal(v.Value); err != nil {
				v.Value = fmt.Sprint(v.Value)
			}
			g.Evidence = append(g.Evidence, v)
		}
		if y := g.Time.UTC().Year(); y < 1 || y > 9999 {
			g.Time = time.Time{}
		}
		e.buf.Reset()
		e.err = e.enc.Encode(&g)
	}
	if e.err == nil {
		_, e.err = e.w.Write(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	}
}

// filled gives a result's lists their JSON form: [] rather than null.
func filled(r *Result) Result {
	out := *r
	if out.Gaps == nil {
		out.Gaps = []estate.Gap{}
	}
	return out
}

// jsonWriter writes one document: {"report":…,"findings":[…],"summary":…,…}.
type jsonWriter struct {
	e *encoder
	n int
}

func newJSON(w io.Writer, run Run, _ Options) Writer {
	j := &jsonWriter{e: newEncoder(w, false)}
	j.e.text("{\n\"report\":")
	j.e.value(run)
	j.e.text(",\n\"findings\":[")
	return j
}

func (j *jsonWriter) Write(f *finding.Finding) error {
	if j.n > 0 {
		j.e.text(",")
	}
	j.n++
	j.e.text("\n")
	j.e.finding(f)
	return j.e.err
}

func (j *jsonWriter) Close(r *Result) error {
	out := filled(r)
	j.e.text("\n]")
	if len(out.Incidents) > 0 {
		j.e.text(",\n\"incidents\":[")
		for i, in := range out.Incidents {
			if i > 0 {
				j.e.text(",")
			}
			j.e.text("\n")
			j.e.value(in)
		}
		j.e.text("\n]")
	}
	j.e.text(",\n\"summary\":")
	j.e.value(out.Summary)
	j.e.text(",\n\"gaps\":")
	j.e.value(out.Gaps)
	if len(out.Incomplete) > 0 {
		j.e.text(",\n\"incomplete\":")
		j.e.value(out.Incomplete)
	}
	if len(out.Warnings) > 0 {
		j.e.text(",\n\"warnings\":")
		j.e.value(out.Warnings)
	}
	j.e.text("\n}\n")
	return j.e.err
}

// jsonlWriter writes one finding per line and nothing else.
type jsonlWriter struct{ e *encoder }

func newJSONL(w io.Writer, _ Run, _ Options) Writer { return &jsonlWriter{e: newEncoder(w, false)} }

func (j *jsonlWriter) Write(f *finding.Finding) error {
	j.e.finding(f)
	j.e.text("\n")
	return j.e.err
}

func (j *jsonlWriter) Close(*Result) error { return j.e.err }
