package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// batchError is the answer to a line of a batch that could not be answered.
type batchError struct {
	ID    json.RawMessage `json:"id"`
	Line  int             `json:"line"`
	Error string          `json:"error"`
}

// batch answers each line of a JSON Lines file in order, one object a line. A
// line that cannot be answered gets an answer that says so, the rest goes on,
// and the exit code is 3.
func (a *App) batch(ctx context.Context, file, what string, answer func(line []byte, n int, tooLong bool) (out any, ok bool)) error {
	in, done, err := a.openInput(file)
	if err != nil {
		return err
	}
	defer done()
	r := bufio.NewReaderSize(in, 256<<10)
	w := bufio.NewWriterSize(a.Stdout, 64<<10)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	failed, answered := 0, 0
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			w.Flush()
			return incompleteErrorf("stopped at line %d: %w", n, err)
		}
		line, tooLong, err := readLine(r, maxBatchLine)
		if err != nil && !errors.Is(err, io.EOF) {
			w.Flush()
			return incompleteErrorf("read %s: %w", file, err)
		}
		if text := bytes.TrimSpace(line); len(text) > 0 || tooLong {
			out, ok := answer(text, n, tooLong)
			answered++
			if !ok {
				failed++
			}
			if err := enc.Encode(out); err != nil {
				return incompleteErrorf("write an answer: %w", err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := w.Flush(); err != nil {
		return incompleteErrorf("write an answer: %w", err)
	}
	if failed > 0 {
		return &Error{Code: ExitIncomplete, Err: fmt.Errorf("%d of %d %s could not be answered", failed, answered, what), Hint: "see the error in their answers"}
	}
	return nil
}

// lineID reads the id of a line whose other fields may be wrong.
func lineID(line []byte) json.RawMessage {
	var only struct {
		ID json.RawMessage `json:"id"`
	}
	if json.Unmarshal(line, &only) != nil || len(only.ID) == 0 {
		return json.RawMessage("null")
	}
	return only.ID
}
