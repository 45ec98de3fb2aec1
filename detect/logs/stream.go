package logs

import (
	"bytes"
	"fmt"
	"io"
)

// stream is a window on a source: buf[pos:end] is what is not consumed.
type stream struct {
	r        io.Reader
	buf      []byte
	pos, end int
	base     int64 // offset of buf[0] in the source
	eof      bool
	err      error // why the source ended, if not by its end
}

const window = 128 << 10

func (s *stream) offset() int64 { return s.base + int64(s.pos) }

// fill reads more behind what is there, keeping buf[pos:end]. It reports
// whether anything came.
func (s *stream) fill() bool {
	if s.eof {
		return false
	}
	if s.buf == nil {
		s.buf = make([]byte, window)
	}
	if s.pos > 0 {
		copy(s.buf, s.buf[s.pos:s.end])
		s.base += int64(s.pos)
		s.end -= s.pos
		s.pos = 0
	}
	if s.end == len(s.buf) {
		if len(s.buf) >= MaxRecord {
			return false
		}
		bigger := make([]byte, min(2*len(s.buf), MaxRecord))
		copy(bigger, s.buf[:s.end])
		s.buf = bigger
	}
	got := false
	for s.end < len(s.buf) {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		got = got || n > 0
		if err != nil {
			s.eof = true
			if err != io.EOF {
				s.err = err
			}
			break
		}
	}
	return got
}

// line returns the next line without its end and consumes it. tooLong says that
// it was longer than MaxRecord and has been skipped. ok is false at the end.
func (s *stream) line() (line []byte, offset int64, tooLong, ok bool) {
	from := 0
	for {
		offset = s.offset()
		if i := bytes.IndexByte(s.buf[s.pos+from:s.end], '\n'); i >= 0 {
			line = s.buf[s.pos : s.pos+from+i]
			s.pos += from + i + 1
			return bytes.TrimSuffix(line, []byte("\r")), offset, false, true
		}
		from = s.end - s.pos
		if s.fill() {
			continue
		}
		if s.eof {
			line = s.buf[s.pos:s.end]
			s.pos = s.end
			return bytes.TrimSuffix(line, []byte("\r")), offset, false, len(line) > 0
		}
		s.skipLine()
		return nil, offset, true, true
	}
}

// skipLine consumes up to and with the next end of line, however far it is.
func (s *stream) skipLine() {
	for {
		if i := bytes.IndexByte(s.buf[s.pos:s.end], '\n'); i >= 0 {
			s.pos += i + 1
			return
		}
		s.pos = s.end
		if !s.fill() {
			return
		}
	}
}

var errTooLong = fmt.Errorf("longer than %d MB", MaxRecord>>20)
