package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxBatchLine bounds one line of a batch.
const maxBatchLine = 64 << 20

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
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
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
		if r.Buffered() == 0 { // whoever writes the next line may wait for this answer
			if err := w.Flush(); err != nil {
				return incompleteErrorf("write an answer: %w", err)
			}
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

// readLine reads one line; of a longer one than most it keeps nothing.
func readLine(r *bufio.Reader, most int) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			tooLong, line = true, nil
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// openInput opens a file, or standard input for -.
func (a *App) openInput(file string) (io.Reader, func(), error) {
	if file == "-" {
		return a.Stdin, func() {}, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, incompleteErrorf("read the requests: %w", err)
	}
	return f, func() { f.Close() }, nil
}
